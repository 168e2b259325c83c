//! Losses over folds and seeds: what `lossgen train`, `lossgen compare` and `lossgen report` have in common.
//!
//! A run is a grid of cells, one training each, and whatever can be said of those that are done. `train` is a comparison with
//! one seed and the learning rate of the recipe; its run can be extended by `compare`.

mod cell;
mod estimate;
mod files;
mod grid;
mod losses;
mod manifest;
mod rates;
mod record;
mod report;
mod results;
mod settings;
mod standing;
mod tables;
mod voxels;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

pub(super) use estimate::Estimate;
pub(super) use grid::{Grid, Selection};
pub(super) use manifest::StudyManifest;
pub(super) use report::Report;
pub(super) use settings::CompareConfig;
pub(super) use standing::Standing;

use self::losses::{Typed, unseen};
use super::config::Config;
use super::evolve::free_directory;
use super::manifest::{Manifest, check_digest, check_kernels, places};
use super::term::Term;
use super::{Common, STOP};
use crate::data::augment::Axis;
use crate::data::folds::{self, Fold};
use crate::data::store::Places;
use crate::data::strata::{Member, stratified};
use crate::data::{Case, Dataset, splits};
use crate::fault::{Fault, Result};
use crate::losses::strategy::Strategy;
use crate::nn::UNet3dConfig;
use crate::notation;
use crate::run::RunDir;
use crate::training::crossval::Study;
use crate::training::model::{self, Channel, Label, ModelCard, TrainedOn, TrainedWith};

/// What is asked of a new run.
#[derive(Debug, Default, Args)]
pub(super) struct Setup {
    /// Configuration (RON); without it, that of the run from which a loss comes, or built-in settings
    pub(super) config: Option<PathBuf>,
    /// A loss, may be repeated: a name, a name with parameters, a formula, RUN/best, RUN#ID, or a strategy such as
    /// `rebalance(dice, boundary)`, `softadapt(dice, ce)`, `cov(dice, hausdorff)`, `greedy(tversky)`, `learned(RUN)`
    #[arg(short, long = "loss", value_name = "L")]
    pub(super) losses: Vec<String>,
    /// Use only cases that the search of this run never saw; implied by a loss that comes from a run
    #[arg(long, value_name = "RUN")]
    pub(super) run: Option<PathBuf>,
    /// Number of folds
    #[arg(long, value_name = "K")]
    pub(super) folds: Option<usize>,
    /// Folds from a file, as nnU-Net and `lossgen data split` write it (`splits_final.json`)
    #[arg(long, value_name = "FILE", conflicts_with = "folds")]
    pub(super) splits: Option<PathBuf>,
    /// Optimiser steps of each training
    #[arg(long, value_name = "N")]
    pub(super) steps: Option<usize>,
}

/// The command that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// `lossgen train`: one seed, one learning rate, the losses that were typed.
    Train,
    /// `lossgen compare`: what the configuration says as well.
    Compare,
}

/// What is to be done, from what was typed or from the run that is continued.
pub(super) struct Plan {
    pub(super) manifest: StudyManifest,
    pub(super) losses: Vec<Strategy>,
    pub(super) dataset: Dataset,
    pub(super) network: UNet3dConfig,
    pub(super) cases: Vec<Arc<Case>>,
    pub(super) folds: Vec<Fold>,
}

impl Plan {
    /// A new run, which is not made yet.
    ///
    /// # Errors
    /// If something of it cannot be.
    pub(super) fn new(asker: Asker, setup: &Setup, seeds: &[u64], common: &Common, term: &Term) -> Result<Self> {
        // A configuration without losses of its own is enough to look at those that were typed.
        let own = match (asker, &setup.config) {
            (Asker::Compare, Some(file)) => Config::resolve(Some(file), common)?.compare.losses,
            _ => Vec::new(),
        };
        // Mistyped losses are told before volumes are read.
        let typed = Typed::new(&[own, setup.losses.clone()].concat(), setup.run.as_deref(), term)?;
        let searches = typed.searches()?;
        let mut config = configure(setup, searches.first(), common)?;
        let asked = match asker {
            Asker::Train => CompareConfig { stratified: false, ..CompareConfig::default() },
            Asker::Compare => config.compare.clone(),
        };
        let seeds =
            [seeds, &asked.seeds].into_iter().find(|seeds| !seeds.is_empty()).unwrap_or(&[config.seed]).to_vec();
        config.compare = CompareConfig { seeds: seeds.clone(), losses: Vec::new(), ..asked };
        config.check()?;

        let dataset = config.dataset(term)?;
        let recipe = &config.train.recipe;
        let losses = typed.resolve(&config.form(dataset.classes.len()), config.network.activation, recipe)?;
        let cases = unseen(&dataset, &searches)?;
        let ids: Vec<String> = cases.iter().map(|case| case.id.clone()).collect();
        let subjects: Vec<String> = cases.iter().map(|case| case.subject.clone()).collect();
        // Whatever can be wrong is looked at before anything is made.
        let folds = if let Some(file) = &config.train.splits {
            let given = splits::read(file)?;
            splits::places(&given, &ids, &dataset.ids()).map_err(|fault| fault.file(file))?
        } else if config.compare.stratified {
            stratified(&cases.iter().map(|case| member(case)).collect::<Vec<_>>(), config.train.folds, config.seed)?
        } else {
            folds::split(&ids, &subjects, config.train.folds, config.seed)?
        };
        let network = config.unet(&dataset, recipe).map_err(|fault| fault.within("train"))?;
        let runs = typed.runs.iter().map(|run| run.display().to_string()).collect::<Vec<_>>().join(" and ");
        let seen = if runs.is_empty() { String::new() } else { format!(", none of them seen by the search of {runs}") };
        term.say(&format!("{}: {} cases{seen}", dataset.name, cases.len()));
        if let Some(remark) = config.train.window.remark(recipe.patches.patch) {
            term.say(&remark);
        }
        let manifest = StudyManifest {
            lossgen: env!("CARGO_PKG_VERSION").to_string(),
            kernels: crate::nn::kernel_path().name_at(recipe.precision),
            losses: losses.iter().map(|loss| (loss.name.clone(), loss.text.clone())).collect(),
            seeds,
            folds: splits::named(&folds, &ids),
            cases: ids,
            subjects,
            data_digest: dataset.digest.clone(),
            config,
        };
        Ok(Self { manifest, losses, dataset, network, cases, folds })
    }

    /// Makes the directory of a new run.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(super) fn create(&self, default: &str, common: &Common) -> Result<RunDir> {
        let out = RunDir::create(&common.out.clone().unwrap_or_else(|| free_directory(default)))?;
        self.write(&out)?;
        Ok(out)
    }

    /// A run as it was begun, with further losses and seeds.
    ///
    /// # Errors
    /// If data or kernels are others now, or a loss cannot be added.
    pub(super) fn resumed(run: &Path, losses: &[String], seeds: &[u64], common: &Common, term: &Term) -> Result<Self> {
        let mut manifest = StudyManifest::load(run)?;
        check_kernels(&manifest.kernels, manifest.config.train.recipe.precision)?;
        manifest.config.locate(common.data.as_deref());
        let typed = if losses.is_empty() { None } else { Some(Typed::new(losses, None, term)?) };
        let dataset = manifest.config.dataset(term)?;
        check_digest(&manifest.data_digest, &dataset)?;
        let cases = dataset.select(&places(&manifest.cases, &dataset)?);
        let config = &manifest.config;
        let network = config.unet(&dataset, &config.train.recipe)?;
        if let Some(typed) = typed {
            let allowed = unseen(&dataset, &typed.searches()?)?;
            if let Some(seen) = cases.iter().find(|case| !allowed.iter().any(|other| other.id == case.id)) {
                return Err(Fault::new("the search behind a loss has seen a case of this comparison")
                    .field("--loss")
                    .expected("losses of searches that kept these cases apart")
                    .found(format!("case `{}` among those that it saw", seen.id))
                    .hint("begin a new run with all losses: it uses only cases that no search saw"));
            }
            let form = config.form(dataset.classes.len());
            for loss in typed.resolve(&form, config.network.activation, &config.train.recipe)? {
                if !manifest.losses.iter().any(|(name, _)| *name == loss.name) {
                    manifest.losses.push((loss.name, loss.text));
                }
            }
        }
        for seed in seeds {
            if !manifest.seeds.contains(seed) {
                manifest.seeds.push(*seed);
            }
        }
        let (losses, folds) = (manifest.losses()?, manifest.folds()?);
        Ok(Self { manifest, losses, dataset, network, cases, folds })
    }

    /// Opens the directory of the run and writes down what was added to it.
    ///
    /// # Errors
    /// If somebody else works on it.
    pub(super) fn open(&self, run: &Path) -> Result<RunDir> {
        let out = RunDir::open(run)?;
        if StudyManifest::load(run)? != self.manifest || !run.join(voxels::FILE).is_file() {
            self.write(&out)?;
        }
        Ok(out)
    }

    fn write(&self, out: &RunDir) -> Result<()> {
        let named = splits::named(&self.folds, &self.manifest.cases);
        out.write("splits_final.json", splits::to_text(&named)?.as_bytes())?;
        let (name, shares) = self.voxels()?;
        out.write(name, &shares)?;
        out.write("manifest.ron", notation::to_text(&self.manifest)?.as_bytes())
    }

    /// What is about to be done.
    pub(super) fn told(&self, out: &RunDir, common: &Common) -> String {
        let seeds = self.manifest.seeds.len();
        let repeats = if seeds > 1 { format!(" x {seeds} seeds") } else { String::new() };
        format!(
            "{} losses x {} folds{repeats}, {} steps each ({} threads)\nresults: {}\n",
            self.losses.len(),
            self.folds.len(),
            self.config().train.recipe.steps,
            common.threads(),
            out.path().display(),
        )
    }

    pub(super) fn config(&self) -> &Config {
        &self.manifest.config
    }

    /// What all trainings have in common.
    pub(super) fn study(&self, common: &Common) -> Study<'_> {
        let train = &self.config().train;
        Study {
            losses: &self.losses,
            cases: &self.cases,
            network: self.network,
            recipe: &train.recipe,
            window: train.window(),
            mirror: Axis::chosen(&train.mirror),
            checkpoint: train.checkpoint,
            threads: common.threads(),
            stop: &STOP,
        }
    }

    /// What all models have in common; loss, fold, seed, cases and weights are those of each.
    pub(super) fn card(&self) -> ModelCard {
        let Self { dataset, network, .. } = self;
        let config = self.config();
        let unnamed = |number: usize| format!("channel {number}");
        let channel = |number: usize| dataset.channel_names.get(number).cloned().unwrap_or_else(|| unnamed(number));
        let label = |(value, name): &(u8, String)| Label { value: *value, name: name.clone() };
        ModelCard {
            version: model::VERSION,
            lossgen: env!("CARGO_PKG_VERSION").to_string(),
            network: *network,
            activation: config.network.activation,
            channels: (0..dataset.channels).map(|number| Channel { name: channel(number) }).collect(),
            numbered: dataset.numbered,
            labels: dataset.labels.iter().map(label).collect(),
            preprocess: config.preprocess.clone(),
            window: config.train.window(),
            mirror: config.train.mirror.clone(),
            loss: TrainedWith { name: String::new(), text: String::new() },
            recipe: config.train.recipe.clone(),
            training: TrainedOn {
                dataset: dataset.name.clone(),
                digest: dataset.digest.clone(),
                cases: Vec::new(),
                fold: (0, 0),
                seed: config.seed,
                kernels: self.manifest.kernels.clone(),
            },
            weights: String::new(),
        }
    }
}

/// What decides into which fold a case goes.
fn member(case: &Case) -> Member {
    let voxels = |places: &Places| places.len();
    let labels: BTreeSet<u8> =
        (1u8..).zip(&case.voxels_of_class).filter(|(_, places)| voxels(places) > 0).map(|(class, _)| class).collect();
    let labelled: usize = case.voxels_of_class.iter().map(voxels).sum();
    let foreground = labelled as f64 / case.grid().voxels() as f64;
    Member { id: case.id.clone(), subject: case.subject.clone(), labels, foreground }
}

fn configure(setup: &Setup, search: Option<&Manifest>, common: &Common) -> Result<Config> {
    let mut config = match (search, &setup.config) {
        (Some(search), None) if common.data.is_none() => search.config.clone(),
        (_, file) => Config::resolve(file.as_deref(), common)?,
    };
    config.seed = common.seed.unwrap_or(config.seed);
    if let Some(folds) = setup.folds {
        (config.train.folds, config.train.splits) = (folds, None);
    }
    if let Some(file) = &setup.splits {
        config.train.splits = Some(file.clone());
    }
    config.train.recipe.steps = setup.steps.unwrap_or(config.train.recipe.steps);
    Ok(config)
}
