//! `manifest.ron`: what a run was asked to do, so that it can be resumed and its data be kept apart.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::config::Config;
use crate::data::Dataset;
use crate::data::folds::Holdout;
use crate::fault::{Fault, Result};
use crate::notation;

/// A search's settings and split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// Version of the program that made the run.
    pub(super) lossgen: String,
    /// Kernels that computed it; another set rounds differently.
    pub(super) kernels: String,
    /// The resolved configuration.
    pub(super) config: Config,
    /// The grammar's text.
    pub(super) grammar: String,
    /// Digest of the cases.
    pub(super) data_digest: String,
    /// Ids of the cases on which candidates trained.
    pub(super) train: Vec<String>,
    /// Ids of the cases that judged them.
    pub(super) validation: Vec<String>,
    /// Ids of the cases that the search never saw.
    pub(super) held_out: Vec<String>,
}

impl Manifest {
    pub(super) fn new(config: &Config, grammar: &str, dataset: &Dataset, split: &Holdout) -> Self {
        let ids = dataset.ids();
        let named = |places: &[usize]| places.iter().map(|place| ids[*place].clone()).collect();
        Self {
            lossgen: env!("CARGO_PKG_VERSION").to_string(),
            kernels: crate::nn::kernel_path().name().to_string(),
            config: config.clone(),
            grammar: grammar.to_string(),
            data_digest: dataset.digest.clone(),
            train: named(&split.train),
            validation: named(&split.validation),
            held_out: named(&split.held_out),
        }
    }

    /// The manifest of a run.
    ///
    /// # Errors
    /// If there is none or it cannot be read.
    pub(super) fn load(run: &Path) -> Result<Self> {
        let path = run.join("manifest.ron");
        if !path.is_file() {
            return Err(Fault::new("not the run of a search").file(run).expected("a `manifest.ron` in it"));
        }
        notation::load(&path)
    }

    /// Whether the data are still those of the run.
    ///
    /// # Errors
    /// If they are not.
    pub(super) fn check_data(&self, dataset: &Dataset) -> Result<()> {
        if dataset.digest == self.data_digest {
            return Ok(());
        }
        Err(Fault::new("the data are not those of the run")
            .field("data_digest")
            .expected(&self.data_digest)
            .found(&dataset.digest)
            .hint("restore the files with which the run was started, or start a new run"))
    }

    /// Places in the dataset of the cases that the search never saw.
    ///
    /// # Errors
    /// If a case is missing.
    pub(super) fn held_out_places(&self, dataset: &Dataset) -> Result<Vec<usize>> {
        let known = dataset.ids();
        let place = |id: &String| {
            let found = known.iter().position(|other| other == id);
            found.ok_or_else(|| {
                Fault::new("a case of the run is missing from the data").expected(format!("case `{id}`"))
            })
        };
        self.held_out.iter().map(place).collect()
    }
}
