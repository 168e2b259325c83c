//! `manifest.ron` of `lossgen train` and `lossgen compare`: what was asked, resolved, so that the same can be continued.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cli::config::Config;
use crate::cli::manifest::{self, Manifest};
use crate::data::folds::{self, Fold};
use crate::data::splits::{self, NamedFold};
use crate::fault::Result;
use crate::losses::strategy::Strategy;

/// A comparison of losses over folds and seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cli) struct StudyManifest {
    /// Version of the program that made the run.
    pub(in crate::cli) lossgen: String,
    /// Kernels that compute it; another set rounds differently.
    pub(in crate::cli) kernels: String,
    /// The resolved configuration.
    pub(in crate::cli) config: Config,
    /// Names, and formulas or strategies of formulas. Files and folders are called by places in this list, so losses that
    /// are added come last.
    pub(in crate::cli) losses: Vec<(String, String)>,
    /// Seeds of weights and patches. Runs of earlier versions lack them; theirs is that of the configuration.
    #[serde(default)]
    pub(in crate::cli) seeds: Vec<u64>,
    /// Ids of the cases.
    pub(in crate::cli) cases: Vec<String>,
    /// Whose each case is. Runs of earlier versions lack it; everybody has one case then.
    #[serde(default)]
    pub(in crate::cli) subjects: Vec<String>,
    /// Digest of the dataset from which the cases are.
    pub(in crate::cli) data_digest: String,
    /// Who trains on which case. Runs of earlier versions lack it; theirs follow from the seed.
    #[serde(default)]
    pub(in crate::cli) folds: Vec<NamedFold>,
}

impl StudyManifest {
    /// The manifest of a run.
    ///
    /// # Errors
    /// If there is none, or it is that of a search.
    pub(in crate::cli) fn load(run: &Path) -> Result<Self> {
        let found: Self = manifest::load(run, "train", |manifest: &Manifest| manifest.command.name())?;
        let seeds = if found.seeds.is_empty() { vec![found.config.seed] } else { found.seeds };
        let subjects = if found.subjects.is_empty() { found.cases.clone() } else { found.subjects };
        Ok(Self { seeds, subjects, ..found })
    }

    /// The folds of the cases.
    ///
    /// # Errors
    /// If they are not folds of these cases.
    pub(in crate::cli) fn folds(&self) -> Result<Vec<Fold>> {
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
    pub(in crate::cli) fn losses(&self) -> Result<Vec<Strategy>> {
        self.losses.iter().map(|(name, text)| Strategy::read(name, text)).collect()
    }

    /// The subject of each case.
    pub(in crate::cli) fn whose(&self) -> BTreeMap<&str, &str> {
        self.cases.iter().map(String::as_str).zip(self.subjects.iter().map(String::as_str)).collect()
    }
}
