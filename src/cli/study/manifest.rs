//! `manifest.ron` of `lossgen train`: what was asked, resolved, so that the same can be continued.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::config::Config;
use super::manifest::{self, Manifest};
use crate::data::Dataset;
use crate::data::folds::{self, Fold};
use crate::data::splits::{self, NamedFold};
use crate::fault::Result;
use crate::losses::strategy::Strategy;

/// A comparison of losses over folds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StudyManifest {
    /// Version of the program that made the run.
    pub(super) lossgen: String,
    /// Kernels that compute it; another set rounds differently.
    pub(super) kernels: String,
    /// The resolved configuration.
    pub(super) config: Config,
    /// Names, and formulas or strategies of formulas.
    pub(super) losses: Vec<(String, String)>,
    /// Ids of the cases.
    pub(super) cases: Vec<String>,
    /// Digest of the dataset from which the cases are.
    pub(super) data_digest: String,
    /// Who trains on which case. Runs of earlier versions lack it; theirs follow from the seed.
    #[serde(default)]
    pub(super) folds: Vec<NamedFold>,
}

impl StudyManifest {
    pub(super) fn new(
        config: &Config,
        losses: &[Strategy],
        cases: Vec<String>,
        folds: &[Fold],
        dataset: &Dataset,
    ) -> Self {
        Self {
            folds: splits::named(folds, &cases),
            lossgen: env!("CARGO_PKG_VERSION").to_string(),
            kernels: crate::nn::kernel_path().name_at(config.train.recipe.precision),
            config: config.clone(),
            losses: losses.iter().map(|loss| (loss.name.clone(), loss.text.clone())).collect(),
            cases,
            data_digest: dataset.digest.clone(),
        }
    }

    /// The manifest of a run.
    ///
    /// # Errors
    /// If there is none, or it is that of a search.
    pub(super) fn load(run: &Path) -> Result<Self> {
        manifest::load(run, "train", |manifest: &Manifest| manifest.command.name())
    }

    /// The folds of the cases.
    ///
    /// # Errors
    /// If they are not folds of these cases.
    pub(super) fn folds(&self) -> Result<Vec<Fold>> {
        // Before folds were written down, everybody was one case.
        if self.folds.is_empty() {
            return folds::split(&self.cases, &self.cases, self.config.train.folds, self.config.seed);
        }
        splits::places(&self.folds, &self.cases, &self.cases)
    }

    /// The losses.
    ///
    /// # Errors
    /// If one of them is none.
    pub(super) fn losses(&self) -> Result<Vec<Strategy>> {
        self.losses.iter().map(|(name, text)| Strategy::read(name, text)).collect()
    }
}
