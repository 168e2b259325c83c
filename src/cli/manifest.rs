//! `manifest.ron`: what a run was asked to do, so that it can be resumed and its data be kept apart.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::config::Config;
use super::study::StudyManifest;
use crate::data::Dataset;
use crate::data::folds::Holdout;
use crate::fault::{Fault, Result};
use crate::nn::Precision;
use crate::notation;

/// The command that made a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) enum Command {
    /// `lossgen evolve`.
    #[default]
    Evolve,
    /// `lossgen learn`.
    Learn,
}

/// Settings and split of a search, or of the learning of a loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// Version of the program that made the run.
    pub(super) lossgen: String,
    /// What made it.
    #[serde(default)]
    pub(super) command: Command,
    /// Kernels that computed it; another set rounds differently.
    pub(super) kernels: String,
    /// The resolved configuration.
    pub(super) config: Config,
    /// The grammar's text; empty where a loss was learned.
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

impl Command {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Evolve => "evolve",
            Self::Learn => "learn",
        }
    }
}

impl Manifest {
    pub(super) fn new(command: Command, config: &Config, grammar: &str, dataset: &Dataset, split: &Holdout) -> Self {
        let precision = match command {
            Command::Evolve => config.proxy.recipe.precision,
            Command::Learn => config.learn.recipe.precision,
        };
        let ids = dataset.ids();
        let named = |places: &[usize]| places.iter().map(|place| ids[*place].clone()).collect();
        Self {
            lossgen: env!("CARGO_PKG_VERSION").to_string(),
            command,
            kernels: crate::nn::kernel_path().name_at(precision),
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
        load(run, "evolve", |_: &StudyManifest| "train")
    }

    /// The manifest of a run that `command` made and can continue.
    ///
    /// # Errors
    /// As [`Manifest::load`], or if another command made it.
    pub(super) fn of(run: &Path, command: Command) -> Result<Self> {
        let manifest: Self = load(run, command.name(), |_: &StudyManifest| "train")?;
        if manifest.command == command {
            return Ok(manifest);
        }
        Err(another(run, command.name(), manifest.command.name()))
    }
}

/// The manifest of a run of the command `ours`.
///
/// # Errors
/// If there is none, it cannot be read, or the run is one of the command that `others` tells.
pub(super) fn load<Ours: DeserializeOwned, Others: DeserializeOwned>(
    run: &Path,
    ours: &str,
    others: impl Fn(&Others) -> &'static str,
) -> Result<Ours> {
    let path = run.join("manifest.ron");
    let wanted = format!("a run of `lossgen {ours}`");
    if !path.is_file() {
        return Err(Fault::new(format!("not {wanted}"))
            .file(run)
            .expected("a `manifest.ron` in it")
            .found("none")
            .hint("name the directory that `--out` made"));
    }
    notation::load(&path).map_err(|fault| match notation::load::<Others>(&path) {
        Err(_) => fault,
        Ok(manifest) => another(run, ours, others(&manifest)),
    })
}

/// A run that another command made.
fn another(run: &Path, ours: &str, others: &str) -> Fault {
    Fault::new(format!("not a run of `lossgen {ours}`"))
        .file(run)
        .expected(format!("a run of `lossgen {ours}`"))
        .found(format!("a run of `lossgen {others}`"))
        .hint(format!("`lossgen {others} --resume {}` continues it", run.display()))
}

/// Whether the data are still those of a run.
///
/// # Errors
/// If they are not.
pub(super) fn check_digest(expected: &str, dataset: &Dataset) -> Result<()> {
    if dataset.digest == expected {
        return Ok(());
    }
    Err(Fault::new("the data are not those of the run")
        .field("data_digest")
        .expected(expected)
        .found(&dataset.digest)
        .hint("restore the files with which the run was started, or start a new run"))
}

/// Whether this processor rounds like the one that began a run whose trainings have this precision.
///
/// # Errors
/// If it does not.
pub(super) fn check_kernels(expected: &str, precision: Precision) -> Result<()> {
    let found = crate::nn::kernel_path().name_at(precision);
    if found == expected {
        return Ok(());
    }
    Err(Fault::new("the run was begun with other kernels, which round differently")
        .field("kernels")
        .expected(expected)
        .found(found)
        .hint("resume on a processor of the same kind, or start a new run"))
}

/// Places of cases in the dataset.
///
/// # Errors
/// If a case is missing.
pub(super) fn places(ids: &[String], dataset: &Dataset) -> Result<Vec<usize>> {
    let known = dataset.ids();
    let place = |id: &String| {
        let found = known.iter().position(|other| other == id);
        found.ok_or_else(|| {
            Fault::new("a case of the run is missing from the data")
                .field("id")
                .expected(format!("case `{id}`"))
                .found(format!("{} other cases", known.len()))
                .hint("restore the files with which the run was started")
        })
    };
    ids.iter().map(place).collect()
}
