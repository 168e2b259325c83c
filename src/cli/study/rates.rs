//! Which learning rate a loss gets, if there is a choice.
//!
//! Losses whose gradients have one size still differ in the step that suits them, and a comparison at one learning rate may be
//! a comparison of step sizes. So each loss is trained with every factor on four fifths of the training cases of a fold, judged
//! by Dice on the fifth, and gets the best one for this fold: no case of the fold's test part is seen. One choice for all folds,
//! on the training cases of the first, would be cheaper and would have seen the test cases of every other fold. Trials are as
//! long as the training itself, because short ones prefer steps that are too long, and have the first seed.

use std::collections::BTreeMap;

use super::Plan;
use super::cell::{Purpose, Task, cell};
use super::member;
use super::record::Ending;
use crate::data::folds::Fold;
use crate::data::strata::stratified;
use crate::fault::{Fault, Result};
use crate::metrics::Metric;
use crate::metrics::table::Table;
use crate::training::Recipe;

/// Parts into which training cases are divided; one of them judges.
const PARTS: usize = 5;

/// The factor of a loss in a fold.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) struct Choice {
    pub(in crate::cli) loss: usize,
    pub(in crate::cli) fold: usize,
    pub(in crate::cli) factor: f64,
    /// Dice of every factor on the inner part, in the order of the configuration; not a number where a training diverged.
    pub(in crate::cli) dice: Vec<f64>,
}

impl Plan {
    fn factors(&self) -> &[f64] {
        &self.config().compare.learning_rates
    }

    /// The trainings by which factors are chosen; none if there is no choice.
    ///
    /// # Errors
    /// If the training cases of a fold cannot be divided.
    pub(super) fn trials(&self) -> Result<Vec<Task>> {
        if self.factors().len() == 1 {
            return Ok(Vec::new());
        }
        let inner: Vec<Fold> = self.folds.iter().map(|fold| self.inner(fold)).collect::<Result<_>>()?;
        let mut tasks = Vec::new();
        for loss in 0..self.losses.len() {
            for (fold, cases) in inner.iter().enumerate() {
                for factor in self.factors() {
                    let cell = cell(loss, fold, self.manifest.seeds[0], cases, *factor);
                    tasks.push(self.task(cell, Purpose::Trial, &self.recipe(*factor))?);
                }
            }
        }
        Ok(tasks)
    }

    /// The recipe with a factor.
    pub(super) fn recipe(&self, factor: f64) -> Recipe {
        let recipe = &self.config().train.recipe;
        Recipe { learning_rate: factor * recipe.learning_rate, ..recipe.clone() }
    }

    /// The training cases of a fold, most to train on and some to judge by.
    fn inner(&self, fold: &Fold) -> Result<Fold> {
        let members: Vec<_> = fold.train.iter().map(|place| member(&self.cases[*place])).collect();
        let mut subjects: Vec<&str> = members.iter().map(|member| member.subject.as_str()).collect();
        subjects.sort_unstable();
        subjects.dedup();
        let parts = stratified(&members, PARTS.min(subjects.len()), self.config().seed).map_err(|_| {
            Fault::new("learning rates cannot be chosen: a fold has too few training cases")
                .field("compare.learning_rates")
                .expected("training cases of at least two subjects in every fold")
                .found(format!("{} subject", subjects.len()))
                .hint("give one learning rate, or bring more subjects")
        })?;
        let outer = |places: &[usize]| places.iter().map(|place| fold.train[*place]).collect();
        Ok(Fold { train: outer(&parts[0].train), test: outer(&parts[0].test) })
    }

    /// The factors that are known by now; `done` has what became of each key.
    pub(super) fn choices(&self, trials: &[Task], done: &BTreeMap<String, Ending>) -> Vec<Choice> {
        let mut choices = Vec::new();
        for loss in 0..self.losses.len() {
            for fold in 0..self.folds.len() {
                if let [factor] = self.factors() {
                    choices.push(Choice { loss, fold, factor: *factor, dice: Vec::new() });
                    continue;
                }
                let of = trials.iter().filter(|task| task.cell.loss == loss && task.cell.fold == fold);
                let dice: Option<Vec<f64>> = of.map(|task| dice(done.get(&task.key)?)).collect();
                if let Some(dice) = dice {
                    choices.push(Choice { loss, fold, factor: best(self.factors(), &dice), dice });
                }
            }
        }
        choices
    }

    /// The trainings of the comparison whose factor is known.
    ///
    /// # Errors
    /// None that a person can cause.
    pub(super) fn results(&self, choices: &[Choice]) -> Result<Vec<Task>> {
        let mut tasks = Vec::new();
        for Choice { loss, fold, factor, .. } in choices {
            for seed in &self.manifest.seeds {
                let cell = cell(*loss, *fold, *seed, &self.folds[*fold], *factor);
                tasks.push(self.task(cell, Purpose::Result, &self.recipe(*factor))?);
            }
        }
        Ok(tasks)
    }
}

/// Mean Dice of a trial; `None` if it has to be made again.
fn dice(ending: &Ending) -> Option<f64> {
    match ending {
        Ending::Trained(rows) => Some(Table { rows: rows.clone() }.over_cases(Metric::Dice, None).mean),
        Ending::Diverged { .. } => Some(f64::NAN),
        Ending::Failed { .. } => None,
    }
}

/// The factor of the best Dice; of those that are alike the one that changes least, and so where none trained.
fn best(factors: &[f64], dice: &[f64]) -> f64 {
    let rank = |place: &usize| (if dice[*place].is_nan() { -1.0 } else { dice[*place] }, -factors[*place].ln().abs());
    let better = |a: &usize, b: &usize| rank(a).0.total_cmp(&rank(b).0).then(rank(a).1.total_cmp(&rank(b).1));
    (0..factors.len()).max_by(better).map_or(1.0, |place| factors[place])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_factor_wins_and_ties_change_least() {
        let factors = [0.3, 1.0, 3.0];
        assert_eq!(best(&factors, &[0.5, 0.6, 0.7]), 3.0);
        assert_eq!(best(&factors, &[0.7, 0.7, f64::NAN]), 1.0);
        assert_eq!(best(&factors, &[0.1, f64::NAN, f64::NAN]), 0.3);
        assert_eq!(best(&factors, &[f64::NAN; 3]), 1.0);
    }
}
