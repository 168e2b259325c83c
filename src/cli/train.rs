//! `lossgen train`: any losses over k folds, judged on whole volumes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::config::Config;
use super::evolve::free_directory;
use super::learn::only_sigmoid;
use super::manifest::{Manifest, check_digest, check_kernels, places};
use super::reference::{self, Composed, Found};
use super::study::StudyManifest;
use super::term::Term;
use super::{Common, STOP, results};
use crate::data::augment::Axis;
use crate::data::folds::{self, Fold};
use crate::data::{Case, Dataset, splits};
use crate::fault::{Fault, Result};
use crate::formula::eval::Activation;
use crate::gates::Gates;
use crate::losses::form::Form;
use crate::losses::strategy::{Kind, Strategy};
use crate::nn::UNet3dConfig;
use crate::notation;
use crate::run::RunDir;
use crate::training::crossval::Study;
use crate::training::model::{self, Channel, Label, ModelCard, TrainedOn, TrainedWith};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Configuration (RON); without it, that of the run from which a loss comes, or built-in settings
    config: Option<PathBuf>,
    /// A loss, may be repeated: a name, a name with parameters, a formula, RUN/best, RUN#ID, or a strategy such as
    /// `rebalance(dice, boundary)`, `softadapt(dice, ce)`, `cov(dice, hausdorff)`, `greedy(tversky)`, `learned(RUN)`
    #[arg(short, long = "loss", value_name = "L", required_unless_present = "resume")]
    losses: Vec<String>,
    /// Continue an interrupted run; with --data if its cases are elsewhere now
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "losses", "run", "folds", "splits", "steps", "out", "seed"])]
    resume: Option<PathBuf>,
    /// Train only on cases that the search of this run never saw; implied by a loss that comes from a run
    #[arg(long, value_name = "RUN")]
    run: Option<PathBuf>,
    /// Number of folds
    #[arg(long, value_name = "K")]
    folds: Option<usize>,
    /// Folds from a file, as nnU-Net and `lossgen data split` write it (`splits_final.json`)
    #[arg(long, value_name = "FILE", conflicts_with = "folds")]
    splits: Option<PathBuf>,
    /// Optimiser steps of each training
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
}

/// What is to be done, from what was typed or from the run that is continued.
struct Plan {
    config: Config,
    losses: Vec<Strategy>,
    dataset: Dataset,
    network: UNet3dConfig,
    cases: Vec<Arc<Case>>,
    folds: Vec<Fold>,
    out: RunDir,
}

pub(super) fn run(arguments: &Arguments, common: &Common, term: &Term) -> Result<()> {
    let plan = match &arguments.resume {
        Some(run) => resumed(run, common, term)?,
        None => planned(arguments, common, term)?,
    };
    let Plan { config, losses, dataset, network, cases, folds, out } = &plan;
    term.say(&format!(
        "{} losses x {} folds, {} steps each ({} threads)\nresults: {}\n",
        losses.len(),
        folds.len(),
        config.train.recipe.steps,
        common.threads(),
        out.path().display(),
    ));
    let study = Study {
        losses,
        cases,
        folds,
        network: *network,
        recipe: &config.train.recipe,
        window: config.train.window,
        mirror: Axis::chosen(&config.train.mirror),
        seed: config.seed,
        threads: common.threads(),
        stop: &STOP,
    };
    let results = results::collect(&study, &card(config, dataset, *network), out, term)?;
    results.conclude(config.seed, out, common.json, term)
}

fn planned(arguments: &Arguments, common: &Common, term: &Term) -> Result<Plan> {
    let compose = |form: &Form| -> Result<Vec<Composed>> {
        arguments.losses.iter().map(|typed| reference::compose(typed, form)).collect()
    };
    // Mistyped losses are told before volumes are read; what the classes are is only known then.
    let composed = compose(&Form::default())?;
    let learned: Vec<PathBuf> = composed.iter().filter_map(|composed| composed.run.clone()).collect();
    let found: Vec<Found> = composed.into_iter().flat_map(|composed| composed.parts).collect();
    if let Some(twice) = arguments.losses.iter().enumerate().find(|(i, loss)| arguments.losses[..*i].contains(loss)) {
        return Err(Fault::new("the same loss twice")
            .field("--loss")
            .expected("every loss once")
            .found(format!("`{}` again", twice.1))
            .hint("leave one of the two out"));
    }
    let gates = Gates::default();
    for Found { loss, .. } in &found {
        if let Some(why) = gates.rejection(&loss.formula) {
            term.say(&format!("{}: a search would not train it: {why}", loss.name));
        }
    }
    for Found { loss, .. } in found.iter().filter(|found| found.lost_its_run && arguments.run.is_none()) {
        let cure = "give the run with `--run`, or judge it on other data";
        term.say(&format!(
            "{}: no manifest beside it; the cases that its search saw are not kept apart: {cure}",
            loss.name
        ));
    }
    let search = the_run(arguments, &found, &learned)?;
    let manifest = search.as_deref().map(Manifest::load).transpose()?;
    let config = configure(arguments, manifest.as_ref(), common)?;

    let dataset = config.dataset(term)?;
    let composed = compose(&config.form(dataset.classes.len()))?;
    let losses: Vec<Strategy> = composed.into_iter().map(|composed| composed.strategy).collect();
    let is_softmax = config.network.activation == Activation::Softmax;
    if is_softmax && losses.iter().any(|loss| matches!(loss.kind, Kind::Learned { .. })) {
        return Err(only_sigmoid());
    }
    let cases = unseen(&dataset, manifest.as_ref())?;
    let ids: Vec<String> = cases.iter().map(|case| case.id.clone()).collect();
    // Whatever can be wrong is looked at before anything is made.
    let folds = if let Some(file) = &config.train.splits {
        let given = splits::read(file)?;
        splits::places(&given, &ids, &dataset.ids()).map_err(|fault| fault.file(file))?
    } else {
        let subjects: Vec<String> = cases.iter().map(|case| case.subject.clone()).collect();
        folds::split(&ids, &subjects, config.train.folds, config.seed)?
    };
    let seen = search.map_or(String::new(), |run| format!(", none of them seen by the search of {}", run.display()));
    let network = config.unet(&dataset, &config.train.recipe).map_err(|fault| fault.within("train"))?;
    term.say(&format!("{}: {} cases{seen}", dataset.name, cases.len()));

    let out = RunDir::create(&common.out.clone().unwrap_or_else(|| free_directory("runs/train")))?;
    let manifest = StudyManifest::new(&config, &losses, ids, &folds, &dataset);
    out.write("manifest.ron", notation::to_text(&manifest)?.as_bytes())?;
    Ok(Plan { config, losses, dataset, network, cases, folds, out })
}

fn resumed(run: &Path, common: &Common, term: &Term) -> Result<Plan> {
    let old = StudyManifest::load(run)?;
    check_kernels(&old.kernels, old.config.train.recipe.precision)?;
    let mut manifest = old.clone();
    manifest.config.locate(common.data.as_deref());
    let dataset = manifest.config.dataset(term)?;
    check_digest(&manifest.data_digest, &dataset)?;
    let cases = dataset.select(&places(&manifest.cases, &dataset)?);
    let network = manifest.config.unet(&dataset, &manifest.config.train.recipe)?;
    let (losses, folds) = (manifest.losses()?, manifest.folds()?);
    let out = RunDir::open(run)?;
    if manifest != old {
        out.write("manifest.ron", notation::to_text(&manifest)?.as_bytes())?;
    }
    Ok(Plan { losses, folds, config: manifest.config, dataset, network, cases, out })
}

/// What all models of the run have in common; loss, fold, cases and weights are those of each.
fn card(config: &Config, dataset: &Dataset, network: UNet3dConfig) -> ModelCard {
    let unnamed = |number: usize| format!("channel {number}");
    let channel = |number: usize| dataset.channel_names.get(number).cloned().unwrap_or_else(|| unnamed(number));
    let label = |(value, name): &(u8, String)| Label { value: *value, name: name.clone() };
    ModelCard {
        version: model::VERSION,
        lossgen: env!("CARGO_PKG_VERSION").to_string(),
        network,
        activation: config.network.activation,
        channels: (0..dataset.channels).map(|number| Channel { name: channel(number) }).collect(),
        numbered: dataset.numbered,
        labels: dataset.labels.iter().map(label).collect(),
        preprocess: config.preprocess.clone(),
        window: config.train.window,
        mirror: config.train.mirror.clone(),
        loss: TrainedWith { name: String::new(), text: String::new() },
        recipe: config.train.recipe.clone(),
        training: TrainedOn {
            dataset: dataset.name.clone(),
            digest: dataset.digest.clone(),
            cases: Vec::new(),
            fold: (0, 0),
            seed: config.seed,
            kernels: crate::nn::kernel_path().name_at(config.train.recipe.precision),
        },
        weights: String::new(),
    }
}

/// The one run whose cases must be kept apart.
fn the_run(arguments: &Arguments, found: &[Found], learned: &[PathBuf]) -> Result<Option<PathBuf>> {
    let canonical = |path: &Path| std::fs::canonicalize(path).map_err(|error| Fault::io("read", path, &error));
    let mut runs: Vec<PathBuf> = Vec::new();
    for run in arguments.run.iter().chain(found.iter().filter_map(|found| found.run.as_ref())).chain(learned) {
        if !runs.iter().any(|known| canonical(known).ok() == canonical(run).ok()) {
            runs.push(run.clone());
        }
    }
    match runs.as_slice() {
        [] => Ok(None),
        [run] => Ok(Some(run.clone())),
        [first, second, ..] => Err(Fault::new("losses come from different runs, which held different cases apart")
            .expected("losses of one run and of the catalog")
            .found(format!("{} and {}", first.display(), second.display()))
            .hint("train them one run at a time, or give the formulas themselves")),
    }
}

fn configure(arguments: &Arguments, manifest: Option<&Manifest>, common: &Common) -> Result<Config> {
    let mut config = match (manifest, &arguments.config) {
        (Some(manifest), None) if common.data.is_none() => manifest.config.clone(),
        (_, file) => Config::resolve(file.as_deref(), common)?,
    };
    config.seed = common.seed.unwrap_or(config.seed);
    if let Some(folds) = arguments.folds {
        (config.train.folds, config.train.splits) = (folds, None);
    }
    if let Some(file) = &arguments.splits {
        config.train.splits = Some(file.clone());
    }
    config.train.recipe.steps = arguments.steps.unwrap_or(config.train.recipe.steps);
    config.check()?;
    Ok(config)
}

/// The cases that a search has not seen; all of them without a search, or if these are other data.
fn unseen(dataset: &Dataset, manifest: Option<&Manifest>) -> Result<Vec<Arc<Case>>> {
    let Some(manifest) = manifest else { return Ok(dataset.cases.clone()) };
    let seen: Vec<&String> = manifest.train.iter().chain(&manifest.validation).collect();
    if dataset.digest == manifest.data_digest {
        return Ok(dataset.select(&places(&manifest.held_out, dataset)?));
    }
    // Other data, or the same cases prepared otherwise: whatever carries a name that the search saw stays out.
    let rest: Vec<Arc<Case>> = dataset.cases.iter().filter(|case| !seen.contains(&&case.id)).cloned().collect();
    if rest.is_empty() {
        return Err(Fault::new("the search has seen every case of these data")
            .field("--data")
            .expected("cases whose ids the search did not see")
            .found(format!("{} cases, all of them seen", dataset.cases.len()))
            .hint("use data that the search did not see"));
    }
    Ok(rest)
}
