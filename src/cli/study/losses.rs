//! The losses of a comparison as they were typed, and the cases that the searches behind them have seen.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::learn::only_sigmoid;
use super::super::manifest::{Manifest, places};
use super::super::reference::{self, Composed, Found};
use super::super::term::Term;
use crate::data::{Case, Dataset};
use crate::fault::{Fault, Result};
use crate::formula::eval::Activation;
use crate::gates::Gates;
use crate::losses::form::Form;
use crate::losses::strategy::{Kind, Strategy};
use crate::training::{Optimizer, Recipe};

/// Losses that were looked at before any volume is read; what the classes are is only known then.
pub(super) struct Typed {
    losses: Vec<String>,
    /// The runs whose cases must be kept apart.
    pub(super) runs: Vec<PathBuf>,
}

impl Typed {
    /// Looks at the losses, and says what a person may not know of them. `run` is a search that is named beside them.
    ///
    /// # Errors
    /// If there is none, one is mistyped, or one is there twice.
    pub(super) fn new(losses: &[String], run: Option<&Path>, term: &Term) -> Result<Self> {
        if losses.is_empty() {
            return Err(Fault::new("no loss to train with")
                .field("--loss")
                .expected("at least one loss")
                .found("none")
                .hint("name one, for example `--loss dice_ce`; `lossgen loss list` has the known ones"));
        }
        if let Some(twice) = losses.iter().enumerate().find(|(place, loss)| losses[..*place].contains(loss)) {
            return Err(Fault::new("the same loss twice")
                .field("--loss")
                .expected("every loss once")
                .found(format!("`{}` again", twice.1))
                .hint("leave one of the two out"));
        }
        let form = Form::default();
        let composed: Vec<Composed> =
            losses.iter().map(|typed| reference::compose(typed, &form)).collect::<Result<_>>()?;
        let learned: Vec<PathBuf> = composed.iter().filter_map(|composed| composed.run.clone()).collect();
        let found: Vec<Found> = composed.into_iter().flat_map(|composed| composed.parts).collect();
        let gates = Gates::default();
        for Found { loss, .. } in &found {
            if let Some(why) = gates.rejection(&loss.formula) {
                term.say(&format!("{}: a search would not train it: {why}", loss.name));
            }
        }
        for Found { loss, .. } in found.iter().filter(|found| found.lost_its_run && run.is_none()) {
            let cure = "give the run with `--run`, or judge it on other data";
            term.say(&format!(
                "{}: no manifest beside it; the cases that its search saw are not kept apart: {cure}",
                loss.name
            ));
        }
        let searches = found.into_iter().filter_map(|found| found.run);
        let runs = distinct(run.map(Path::to_path_buf).into_iter().chain(searches).chain(learned))?;
        Ok(Self { losses: losses.to_vec(), runs })
    }

    /// The losses for the classes of a dataset.
    ///
    /// # Errors
    /// If one of them cannot be trained so.
    pub(super) fn resolve(&self, form: &Form, activation: Activation, recipe: &Recipe) -> Result<Vec<Strategy>> {
        let compose = |typed: &String| Ok(reference::compose(typed, form)?.strategy);
        let losses: Vec<Strategy> = self.losses.iter().map(compose).collect::<Result<_>>()?;
        let is = |wanted: fn(&Kind) -> bool| losses.iter().find(|loss| wanted(&loss.kind));
        if activation == Activation::Softmax && is(|kind| matches!(kind, Kind::Learned { .. })).is_some() {
            return Err(only_sigmoid());
        }
        let learning = is(|kind| matches!(kind, Kind::Learned { online: Some(_), .. }));
        if let (Some(loss), false) = (learning, recipe.optimizer == Optimizer::Adam) {
            return Err(Fault::new("a loss that goes on learning does so through steps of Adam")
                .field("train.recipe.optimizer")
                .expected("none, or `Adam`")
                .found(format!("{:?}, with {}", recipe.optimizer, loss.name))
                .hint("leave `online=` out, or train with Adam"));
        }
        Ok(losses)
    }

    /// What the searches saw.
    ///
    /// # Errors
    /// If a manifest cannot be read.
    pub(super) fn searches(&self) -> Result<Vec<Manifest>> {
        self.runs.iter().map(|run| Manifest::load(run)).collect()
    }
}

/// Every run once, by whatever path it is called.
fn distinct(runs: impl Iterator<Item = PathBuf>) -> Result<Vec<PathBuf>> {
    let canonical = |path: &Path| std::fs::canonicalize(path).map_err(|error| Fault::io("read", path, &error));
    let mut known: Vec<(PathBuf, PathBuf)> = Vec::new();
    for run in runs {
        let whole = canonical(&run)?;
        if !known.iter().any(|(_, other)| *other == whole) {
            known.push((run, whole));
        }
    }
    Ok(known.into_iter().map(|(run, _)| run).collect())
}

/// The cases that no search has seen; all of them without a search, or if these are other data.
///
/// # Errors
/// If none is left.
pub(super) fn unseen(dataset: &Dataset, searches: &[Manifest]) -> Result<Vec<Arc<Case>>> {
    let mut left = dataset.cases.clone();
    for search in searches {
        if dataset.digest == search.data_digest {
            let held_out = places(&search.held_out, dataset)?;
            left.retain(|case| held_out.iter().any(|place| dataset.cases[*place].id == case.id));
        } else {
            // Other data, or the same cases prepared otherwise: whatever carries a name that the search saw stays out.
            left.retain(|case| !search.train.iter().chain(&search.validation).any(|seen| *seen == case.id));
        }
    }
    if left.is_empty() {
        let several = searches.len() > 1;
        return Err(Fault::new("the searches have seen every case of these data")
            .field(if several { "--loss" } else { "--data" })
            .expected("cases whose ids no search saw")
            .found(format!("{} cases, all of them seen", dataset.cases.len()))
            .hint("use data that no search saw; searches with the same seed and split keep the same cases apart"));
    }
    Ok(left)
}
