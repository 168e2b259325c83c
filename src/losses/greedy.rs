//! Greedy adaptation of the parameters of a loss while a network trains (Seo et al. 2020, "Generalized loss function
//! with adaptive learning for segmentation"): each may step down, stay or step up, all combinations are tried, the best
//! stays.
//!
//! This is the state: which combinations there are, and which one won. What a combination is worth is for whoever can
//! make a trial step of the network to say, by a score that does not depend on the parameters. The value of the loss
//! itself is no such score: lowering both weights of a Tversky loss always lowers it, and would end at a loss that is
//! nothing. For the same reason whoever makes trial steps gives all candidates gradients of one size, or the largest would
//! win as a learning rate.

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Result};
use crate::formula::Formula;
use crate::formula::word::{Op, WordId};

/// Most parameters that are moved at once: 3^4 = 81 combinations.
const MOST: usize = 4;

/// By what share a score has to be better than that of a candidate before it: below it stands rounding, in 32 bits.
const MARGIN: f64 = 1e-6;

/// Least weight to which trials go: a loss whose weights are all 0 is nothing, and has no gradient of any size.
const LEAST_WEIGHT: f64 = 0.05;

/// Parameters that stand for plain numbers, and their largest value. What they are called says nothing then.
const STANDING_FOR: [&str; 2] = ["fp_weight", "fn_weight"];
const LARGEST: f64 = 10.0;

/// The parameters, and where they stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Greedy {
    /// In the order of their appearance in the formula.
    pub parameters: Vec<Tunable>,
    /// How far a parameter moves in one step.
    pub delta: f64,
    /// Optimiser steps between two adaptations.
    pub every: usize,
}

/// A parameter within its box.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tunable {
    /// Its name in the formula.
    pub name: String,
    /// Where it stands.
    pub value: f64,
    /// Least value.
    pub low: f64,
    /// Largest value.
    pub high: f64,
}

impl Greedy {
    /// All named parameters of a loss, or those that are asked for, moving by 0.05 every 10 steps.
    ///
    /// # Errors
    /// If the loss has no such parameter, or more than four would move.
    pub fn new(loss: &Formula, wanted: &[&str]) -> Result<Self> {
        let known = loss.parameters();
        let names = || known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        if let Some(stranger) = wanted.iter().find(|name| !known.iter().any(|(known, _)| known == *name)) {
            return Err(Fault::new("the loss has no such parameter")
                .field("greedy")
                .expected(if known.is_empty() { "a loss with parameters".to_string() } else { names() })
                .found(format!("`{stranger}`")));
        }
        // Smoothing keeps a ratio finite; it is no choice between errors.
        let moves = |name: &str| if wanted.is_empty() { !name.starts_with("smooth") } else { wanted.contains(&name) };
        let parameters: Vec<Tunable> = loss
            .genes()
            .iter()
            .filter_map(|gene| match gene.word.word().op {
                Op::Parameter { low, high, .. } => Some((gene.word.word().name, gene.value, low, high)),
                _ => None,
            })
            .filter(|(name, ..)| moves(name))
            .map(|(name, value, low, high)| {
                let low = if name.ends_with("_weight") { low.max(LEAST_WEIGHT).min(value) } else { low };
                Tunable { name: name.to_string(), value, low, high }
            })
            .fold(Vec::new(), |mut unique: Vec<Tunable>, next| {
                if !unique.iter().any(|known| known.name == next.name) {
                    unique.push(next);
                }
                unique
            });
        if parameters.is_empty() || parameters.len() > MOST {
            return Err(Fault::new("greedy adaptation moves one to four parameters")
                .field("greedy")
                .expected(format!("1 to {MOST} of: {}", if known.is_empty() { "none".to_string() } else { names() }))
                .found(parameters.len())
                .hint("name the parameters that may move: `greedy(tversky, fp_weight, fn_weight)`"));
        }
        Ok(Self { parameters, delta: 0.05, every: 10 })
    }

    /// The plain numbers of a loss as parameters that move: the first two that are weights or powers by their size, and
    /// not smoothing or percentages. The loss comes with names in their places. `None` if it has no such number.
    ///
    /// Two, because there are 3^n candidates; and in the order of the canonical form, so that it is a function of the loss.
    pub fn of_numbers(loss: &Formula) -> Option<(Formula, Self)> {
        let moves = |node: &usize| {
            let gene = &loss.genes()[*node];
            matches!(gene.word.word().op, Op::Number) && (LEAST_WEIGHT..=LARGEST).contains(&gene.value)
        };
        let nodes: Vec<usize> = (0..loss.size()).filter(moves).take(STANDING_FOR.len()).collect();
        if nodes.is_empty() || !loss.parameters().is_empty() {
            return None;
        }
        let named = nodes.iter().zip(STANDING_FOR).try_fold(loss.clone(), |named, (node, name)| {
            Some(named.replace(*node, &Formula::leaf(WordId::of(name)?, loss.genes()[*node].value)))
        })?;
        let greedy = Self::new(&named, &[]).ok()?;
        Some((named, greedy))
    }

    /// Narrows the box of a parameter; `None` if it is not one within the parameter's range that holds its value.
    pub fn limit(&mut self, name: &str, low: f64, high: f64) -> Option<()> {
        let parameter = self.parameters.iter_mut().find(|parameter| parameter.name == name)?;
        let fits = parameter.low <= low && low <= parameter.value && parameter.value <= high && high <= parameter.high;
        fits.then(|| (parameter.low, parameter.high) = (low, high))
    }

    /// The values that can be reached in one step, each once, to stay where they are first.
    pub fn candidates(&self) -> Vec<Vec<f64>> {
        let mut all: Vec<Vec<f64>> = vec![Vec::new()];
        for Tunable { value, low, high, .. } in &self.parameters {
            let mut moves = vec![*value];
            for moved in [value - self.delta, value + self.delta] {
                // Without rounding, steps down and up again would not lead back.
                let moved = ((moved * 1e9).round() / 1e9).clamp(*low, *high);
                if moved != *value {
                    moves.push(moved);
                }
            }
            all = all.iter().flat_map(|head| moves.iter().map(|m| [head.as_slice(), &[*m]].concat())).collect();
        }
        all
    }

    /// Moves to the candidate of the least score, in the order of [`Greedy::candidates`], and returns its place. Of those
    /// that tie up to rounding the first is taken, so a parameter that makes no difference stays; a score that is not a
    /// number moves nothing.
    pub fn choose(&mut self, scores: &[f64]) -> usize {
        let mut best = 0;
        for (place, score) in scores.iter().enumerate() {
            if *score < scores[best] - MARGIN * scores[best].abs() {
                best = place;
            }
        }
        let chosen = self.candidates().swap_remove(best);
        for (parameter, value) in self.parameters.iter_mut().zip(chosen) {
            parameter.value = value;
        }
        best
    }

    /// The loss with the parameters at `values`.
    #[must_use]
    pub fn at(&self, loss: &Formula, values: &[f64]) -> Formula {
        self.parameters.iter().zip(values).fold(loss.clone(), |formula, (parameter, value)| {
            let node = formula.genes().iter().position(|gene| gene.word.word().name == parameter.name);
            node.map_or_else(|| formula.clone(), |node| formula.with_constant(node, *value))
        })
    }

    /// The loss with the parameters where they stand.
    #[must_use]
    pub fn current(&self, loss: &Formula) -> Formula {
        self.at(loss, &self.parameters.iter().map(|parameter| parameter.value).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::named;

    fn tversky() -> (Formula, Greedy) {
        let loss = named("tversky").unwrap().formula;
        let greedy = Greedy::new(&loss, &[]).unwrap();
        (loss, greedy)
    }

    #[test]
    fn every_parameter_may_step_down_stay_or_step_up() {
        let (_, greedy) = tversky();
        let names: Vec<&str> = greedy.parameters.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["fp_weight", "fn_weight"]);
        let found = greedy.candidates();
        assert_eq!(found.len(), 9);
        assert_eq!(found[0], [0.3, 0.7]);
        for first in [0.25, 0.3, 0.35] {
            for second in [0.65, 0.7, 0.75] {
                assert!(found.iter().any(|c| (c[0] - first).abs() < 1e-12 && (c[1] - second).abs() < 1e-12));
            }
        }
    }

    #[test]
    fn weights_stop_before_nothing_is_left_unless_they_start_there() {
        let lows = |typed: &str| -> Vec<f64> {
            Greedy::new(&named(typed).unwrap().formula, &[]).unwrap().parameters.iter().map(|p| p.low).collect()
        };
        assert_eq!(lows("tversky"), [0.05, 0.05]);
        assert_eq!(lows("tversky(fp_weight=0)"), [0.0, 0.05]);
        assert_eq!(lows("focal"), [0.0]);
    }

    #[test]
    fn at_the_edge_of_its_box_a_parameter_has_fewer_choices() {
        let (_, mut greedy) = tversky();
        greedy.parameters[0].value = greedy.parameters[0].low;
        assert_eq!(greedy.candidates().len(), 6);
    }

    #[test]
    fn the_least_score_wins_and_a_tie_moves_nothing() {
        let (loss, mut greedy) = tversky();
        assert_eq!(greedy.choose(&[1.0; 9]), 0);
        assert_eq!(greedy.choose(&[f64::NAN; 9]), 0);
        // Noise of the last digits is a tie, too; a score may be negative.
        let noisy = |score: f64| (0..9).map(|i| score * (1.0 + 1e-7 * f64::from(i).sin())).collect::<Vec<_>>();
        assert_eq!([greedy.choose(&noisy(0.04)), greedy.choose(&noisy(-0.04))], [0, 0]);
        assert_eq!(greedy.current(&loss), loss);
        // Two moves that tie: the first, which moves one parameter instead of both.
        let one = [1.0, 1.0, 1.0, 0.5, 0.5 - 1e-9, 1.0, 1.0, 1.0, 1.0];
        assert_eq!(greedy.clone().choose(&one), 3);
        let target = greedy.candidates()[4].clone();
        let scores: Vec<f64> = (0..9).map(|i| if i == 4 { 0.5 } else { 1.0 }).collect();
        assert_eq!(greedy.choose(&scores), 4);
        assert_eq!(greedy.parameters.iter().map(|p| p.value).collect::<Vec<_>>(), target);
        assert_ne!(greedy.current(&loss), loss);
    }

    #[test]
    fn plain_numbers_can_move_but_not_smoothing() {
        let loss: Formula = "(ratio (+ (sum tp) 1e-5) (+ (* 0.3 (sum fp)) (* 0.7 (^ (sum fn) 1.5))))".parse().unwrap();
        let (named, greedy) = Greedy::of_numbers(&loss).unwrap();
        let values: Vec<f64> = greedy.parameters.iter().map(|parameter| parameter.value).collect();
        assert_eq!(values, [0.3, 0.7]);
        assert_eq!(named.canonical(), loss.canonical(), "the same loss");
        let moved = greedy.at(&named, &[0.35, 0.65]).canonical();
        let expected: Formula = loss.to_string().replace("0.3 ", "0.35 ").replace("0.7 ", "0.65 ").parse().unwrap();
        assert_eq!(moved, expected.canonical());
        assert!(Greedy::of_numbers(&"(mean (+ ce_fg ce_bg))".parse().unwrap()).is_none());
        assert!(
            Greedy::of_numbers(&"(+ (ratio (+ (sum tp) 1e-5) (sum abs_diff)) (mean_top 12 ce_fg))".parse().unwrap())
                .is_none()
        );
    }

    #[test]
    fn what_cannot_move_is_told() {
        let wrong = |typed: &str, names: &[&str]| Greedy::new(&named(typed).unwrap().formula, names).unwrap_err();
        assert!(wrong("tversky", &["gamma"]).to_string().contains("fp_weight"));
        assert!(wrong("ce", &[]).to_string().contains("one to four"));
    }
}
