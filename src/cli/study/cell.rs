//! What a cell of the grid is called, and the digest of everything that decides its result.

use serde::Serialize;

use super::{Plan, StudyManifest};
use crate::data::augment::Axis;
use crate::data::folds::Fold;
use crate::fault::{Fault, Result};
use crate::formula::eval::Activation;
use crate::nn::UNet3dConfig;
use crate::training::Recipe;
use crate::training::crossval::Cell;
use crate::training::infer::Window;

/// What a training is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Purpose {
    /// A result of the comparison, with a model.
    Result,
    /// The choice of a learning rate on an inner part of the training cases.
    Trial,
}

/// A training, and how it is found.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Task {
    pub(in crate::cli) cell: Cell,
    pub(in crate::cli) purpose: Purpose,
    /// Digest of everything that decides the result.
    pub(in crate::cli) key: String,
    /// For people and patterns: `dice_ce/fold1/seed1`.
    pub(in crate::cli) name: String,
    /// For files: `loss1-fold1`, with `-seed7` for every seed but the first.
    pub(in crate::cli) stem: String,
}

/// Everything that decides a result. Thread counts, checkpoints and other cells do not.
#[derive(Serialize)]
struct Identity<'a> {
    version: u32,
    loss: &'a str,
    fold: usize,
    train: Vec<&'a String>,
    test: Vec<&'a String>,
    seed: u64,
    recipe: &'a Recipe,
    network: &'a UNet3dConfig,
    activation: Activation,
    window: Window,
    mirror: &'a [Axis],
    /// Contents of the files, classes and preprocessing.
    data: &'a str,
    kernels: &'a str,
}

/// Counts changes of the program that change results under the same settings.
const VERSION: u32 = 1;

impl Plan {
    /// The task of a cell.
    ///
    /// # Errors
    /// None that a person can cause.
    pub(super) fn task(&self, cell: Cell, purpose: Purpose, recipe: &Recipe) -> Result<Task> {
        let (config, manifest) = (self.config(), &self.manifest);
        let ids = |places: &[usize]| places.iter().map(|place| &manifest.cases[*place]).collect();
        let loss = &self.losses[cell.loss];
        let identity = Identity {
            version: VERSION,
            loss: &loss.text,
            fold: cell.fold,
            train: ids(&cell.cases.train),
            test: ids(&cell.cases.test),
            seed: cell.seed,
            recipe,
            network: &self.network,
            activation: config.network.activation,
            window: config.train.window(),
            mirror: &config.train.mirror,
            data: &manifest.data_digest,
            kernels: &manifest.kernels,
        };
        let text = serde_json::to_string(&identity).map_err(|error| Fault::failed(error.to_string()))?;
        let key = blake3::hash(text.as_bytes()).to_hex()[..32].to_string();
        let (number, seed) = (cell.fold + 1, cell.seed);
        let mut name = format!("{}/fold{number}/seed{seed}", loss.name);
        let mut stem = stem(manifest, cell.loss, cell.fold, seed);
        if purpose == Purpose::Trial {
            name += &format!("/rate{}", cell.rate_factor);
            stem += &format!("-rate{}", cell.rate_factor);
        }
        Ok(Task { cell, purpose, key, name, stem })
    }
}

/// The cell of a loss in a fold with a seed.
pub(super) fn cell(loss: usize, fold: usize, seed: u64, cases: &Fold, rate_factor: f64) -> Cell {
    Cell { loss, fold, cases: cases.clone(), seed, rate_factor }
}

/// What the files of a result are called.
pub(super) fn stem(manifest: &StudyManifest, loss: usize, fold: usize, seed: u64) -> String {
    let stem = format!("loss{}-fold{}", loss + 1, fold + 1);
    if seed == manifest.seeds[0] { stem } else { format!("{stem}-seed{seed}") }
}

/// Whether a name fits what a person typed: with `*` (anything) the whole of it, without it any part.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let (Some(first), true) = (parts.next(), pattern.contains('*')) else { return name.contains(pattern) };
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_parts_and_wholes() {
        let name = "rebalance(dice, boundary)/fold2/seed11";
        for yes in ["dice", "fold2", "*", "*fold2*", "rebalance(*)/fold2/seed11", "*/seed11", "reb*bound*fold2*1"] {
            assert!(fits(yes, name), "{yes}");
        }
        for no in
            ["focal", "*/seed1", "dice*", "*fold1*", "reb*fold2*dice*", "rebalance(dice, boundary)/fold2/seed11*1"]
        {
            assert!(!fits(no, name), "{no}");
        }
    }
}
