//! `lossgen evolve`: search for a loss.

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;

use super::config::Config;
use super::manifest::{Command, Manifest, check_digest, check_kernels};
use super::term::Term;
use super::{Common, STOP, reference};
use crate::data::Dataset;
use crate::data::folds::{self, Holdout};
use crate::evolution::{Breeder, Evaluator, Event, Individual, Origin, Population, Score, Search, StopReason, Trial};
use crate::fault::{Fault, Result};
use crate::gates::{Open, Rejection};
use crate::grammar::Grammar;
use crate::nn::UNet3dConfig;
use crate::notation;
use crate::run::RunDir;
use crate::stats::paired::{Paired, differences};
use crate::training::proxy::Proxy;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Configuration (RON); without it, built-in settings for phantoms or for --data
    config: Option<PathBuf>,
    /// Continue an interrupted run; with --data if its cases are elsewhere now
    #[arg(long, value_name = "RUN", conflicts_with_all = ["config", "out", "seed"])]
    resume: Option<PathBuf>,
    /// Generations after the first population
    #[arg(long, value_name = "N")]
    generations: Option<usize>,
    /// Individuals per generation
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    population: Option<usize>,
    /// Losses of the catalog in the first population, in the order of `lossgen loss list`
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    founders: Option<usize>,
    /// Grammar: the name of a built-in one, or a RON file
    #[arg(long, value_name = "G", conflicts_with = "resume")]
    grammar: Option<String>,
    /// Gates that candidates must pass before they are trained: all, none, or some of structure, envelope, profile,
    /// duplicate and descent with commas between them
    #[arg(long, value_name = "G", conflicts_with = "resume", value_parser = |typed: &str| Open::parse(typed).map_err(|fault| fault.to_string()))]
    gates: Option<Open>,
}

pub(super) fn run(arguments: &Arguments, common: &Common, term: &Term) -> Result<()> {
    let old = arguments.resume.as_deref().map(|run| Manifest::of(run, Command::Evolve)).transpose()?;
    let config = configure(arguments, old.as_ref(), common)?;
    let grammar = match &old {
        Some(manifest) => Grammar::from_text("grammar of the run", &manifest.grammar)?,
        None => Grammar::load(&config.search.grammar)?,
    };

    let dataset = config.dataset(term)?;
    let split = folds::holdout(
        &dataset.ids(),
        &dataset.subjects(),
        config.split.validation,
        config.split.held_out,
        config.seed,
    )
    .map_err(|fault| fault.within("split"))?;
    if let Some(manifest) = &old {
        check_kernels(&manifest.kernels, manifest.config.proxy.recipe.precision)?;
        check_digest(&manifest.data_digest, &dataset)?;
    }
    let breeder = Breeder { config: &config.search, seed: config.seed, grammar: &grammar, stop: &STOP };
    breeder.check()?;
    let network = config.unet(&dataset, &config.proxy.recipe).map_err(|fault| fault.within("proxy"))?;
    // The directory is made after everything that can be wrong has been looked at: nothing is left half-made.
    let run = match &arguments.resume {
        Some(path) => RunDir::open(path)?,
        None => RunDir::create(&common.out.clone().unwrap_or_else(|| free_directory("runs/evolve")))?,
    };
    let manifest = Manifest::new(Command::Evolve, &config, &grammar.text, &dataset, &split);
    if old.is_none_or(|old| old.config != manifest.config) {
        run.write("manifest.ron", notation::to_text(&manifest)?.as_bytes())?;
    }
    introduce(&config, &dataset, &split, &run, common, term);
    introduce_network(&config, &network, term);

    let proxy = Proxy {
        config: &config.proxy,
        network,
        train: dataset.select(&split.train),
        validation: dataset.select(&split.validation),
        digest: &dataset.digest,
        seed: config.seed,
        threads: common.threads(),
        stop: &STOP,
    };
    let bar = term.bar(config.proxy.warm_steps as u64, "shared start");
    let judge = proxy.prepare(&run, &|_, loss| {
        bar.inc(1);
        bar.set_message(format!("Dice + CE {loss:.3}"));
        !STOP.load(std::sync::atomic::Ordering::SeqCst)
    })?;
    bar.finish_and_clear();

    let search = Search { breeder, evaluator: &judge, run: &run };
    let mut watcher = Watcher { term, bar: None, best: String::new(), generations: config.search.generations };
    let (population, reason) = search.run(&mut |event| watcher.see(event))?;
    if let Some(bar) = watcher.bar.take() {
        bar.finish_and_clear();
    }
    if reason == StopReason::Signal {
        let resume = format!("lossgen evolve --resume {}", run.path().display());
        return Err(Fault::stopped(format!("stopped after generation {}; the run is saved", population.generation))
            .hint(format!("continue with `{resume}`")));
    }
    conclude(&population, &judge, &run, common, term)
}

/// The settings of the run: those of the old run, or of the configuration, with what was typed on top.
fn configure(arguments: &Arguments, old: Option<&Manifest>, common: &Common) -> Result<Config> {
    let mut config = match old {
        Some(manifest) => {
            let mut config = manifest.config.clone();
            config.locate(common.data.as_deref());
            config
        }
        None => Config::resolve(arguments.config.as_deref(), common)?,
    };
    let search = &mut config.search;
    search.generations = arguments.generations.unwrap_or(search.generations);
    search.population = arguments.population.unwrap_or(search.population);
    search.founders = arguments.founders.unwrap_or(search.founders);
    if let Some(grammar) = &arguments.grammar {
        search.grammar.clone_from(grammar);
    }
    if let Some(gates) = &arguments.gates {
        search.gates.clone_from(gates);
    }
    config.check()?;
    Ok(config)
}

fn introduce(config: &Config, dataset: &Dataset, split: &Holdout, run: &RunDir, common: &Common, term: &Term) {
    term.say(&format!(
        "{}: {} cases, {} to train candidates, {} to judge them, {} never seen by the search",
        dataset.name,
        dataset.cases.len(),
        split.train.len(),
        split.validation.len(),
        split.held_out.len(),
    ));
    term.say(&format!(
        "search: {} losses a generation, {} generations; each is trained {} steps from a shared start of {} ({} threads)",
        config.search.population,
        config.search.generations + 1,
        config.proxy.recipe.steps,
        config.proxy.warm_steps,
        common.threads(),
    ));
    term.say(&format!("run: {}\n", run.path().display()));
}

fn introduce_network(config: &Config, network: &UNet3dConfig, term: &Term) {
    term.detail(&format!(
        "network: {} parameters; kernels: {}; seed {}",
        network.parameters(),
        crate::nn::kernel_path().name_at(config.proxy.recipe.precision),
        config.seed
    ));
}

/// Turns events into bars and lines.
struct Watcher<'a> {
    term: &'a Term,
    bar: Option<ProgressBar>,
    best: String,
    generations: usize,
}

impl Watcher<'_> {
    /// Whether to go on.
    fn see(&mut self, event: &Event) -> bool {
        match event {
            Event::FounderSkipped { name, reason } => self.term.say(&format!("founder {name} skipped: {reason}")),
            Event::Bred { generation, to_train, from_journal } => {
                if *from_journal > 0 {
                    self.term.say(&format!("generation {generation}: {from_journal} trainings found in the journal"));
                }
                let bar = self.term.bar(*to_train as u64, &format!("generation {generation}"));
                bar.set_message(self.best.clone());
                self.bar = Some(bar);
            }
            Event::Confirming { generation, to_train } => {
                if let Some(bar) =
                    self.bar.replace(self.term.bar(*to_train as u64, &format!("confirming {generation}")))
                {
                    bar.finish_and_clear();
                }
            }
            Event::Judged { trial, loss, outcome, .. } => {
                if let Some(bar) = &self.bar {
                    bar.inc(1);
                }
                let place = if *trial == Trial::Scratch { "from scratch: " } else { "" };
                self.term.log(&format!("  {place}{outcome}  {loss}"));
            }
            // Told to the record only.
            Event::Rejected { .. } => {}
            Event::Failed { loss, reason, .. } => self.term.say(&format!("  failed: {reason}  {loss}")),
            Event::Generation { generation, best_dice, best, trained, saved } => {
                self.best = format!("best {best_dice:.4} {best} ({saved} trainings saved)");
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
                self.term.say(&format!(
                    "generation {generation}/{}: best Dice {best_dice:.4}, {trained} losses trained, {saved} trainings saved\n  {best}",
                    self.generations,
                ));
            }
        }
        !STOP.load(std::sync::atomic::Ordering::SeqCst)
    }
}

/// What was found, beside what everybody uses, and what to do next.
fn conclude(population: &Population, judge: &dyn Evaluator, run: &RunDir, common: &Common, term: &Term) -> Result<()> {
    let Some(best) = population.best() else {
        return Err(Fault::failed("no loss could be trained")
            .file(run.path())
            .hint("see the reasons in journal.jsonl"));
    };
    let baselines = [("dice_ce", "Dice + CE"), ("ce", "cross-entropy")];
    let rows: Vec<(&str, Score)> =
        baselines.iter().filter_map(|(name, title)| Some((*title, baseline(population, judge, name)?))).collect();
    let found = best.outcome.score().expect("the best individual has trained");
    if common.json {
        let row = |name: &str, score: &Score| serde_json::json!({"loss": name, "dice": score.mean_dice(), "hd95_mm": score.mean_hd95_mm()});
        let mut table = vec![row(&best.formula.to_string(), found)];
        table.extend(rows.iter().map(|(name, score)| row(name, score)));
        let result = serde_json::json!({"run": run.path(), "id": best.id, "infix": best.formula.infix(), "latex": best.formula.latex(), "validation": table});
        term.result(&result.to_string());
        return Ok(());
    }
    let rejected: usize =
        population.rejections.iter().filter(|(why, _)| **why != Rejection::Duplicate).map(|(_, n)| n).sum();
    let saved = population.rejections.get(&Rejection::Duplicate).copied().unwrap_or(0);
    let mut text = format!("\nfound: {}\n       {}\n\n", best.formula.infix(), best.formula);
    text += &format!("on the {} validation cases of the search\n", found.dice.len());
    text += &format!("  {:<14} Dice {:.4}   HD95 {:6.2} mm\n", "found", found.mean_dice(), found.mean_hd95_mm());
    for (title, score) in &rows {
        let gain = Paired::of(&differences(&found.dice, &score.dice)?);
        text += &format!(
            "  {title:<14} Dice {:.4}   HD95 {:6.2} mm   found - this {:+.4} [{:+.4}, {:+.4}]\n",
            score.mean_dice(),
            score.mean_hd95_mm(),
            gain.mean,
            gain.interval.low,
            gain.interval.high,
        );
    }
    text += &format!(
        "\n{} losses trained, {saved} trainings saved because a candidate behaved like an earlier one, {rejected} rejected by gates\n",
        population.everybody().count(),
    );
    text +=
        "the winner was chosen on these cases, so its lead is optimistic; judge it on cases the search never saw:\n\n";
    text += &format!("  lossgen train --loss {}/best --loss dice_ce --loss ce\n", run.path().display());
    term.result(&text);
    Ok(())
}

/// The score of a loss of the catalog: as a founder, or trained now if the grammar has no place for it.
fn baseline(population: &Population, judge: &dyn Evaluator, name: &str) -> Option<Score> {
    let founder = |individual: &&Individual| individual.origin == Origin::Founder(name.to_string());
    if let Some(individual) = population.everybody().find(founder) {
        return individual.outcome.score().cloned();
    }
    let loss = reference::find(name).ok()?.loss.formula;
    let mut score = None;
    judge.evaluate(Trial::SharedStart, &[loss], &mut |_, outcome| {
        score = outcome.ok().and_then(|outcome| outcome.score().cloned());
        true
    });
    score
}

/// `stem`, or the first of `stem-2`, `stem-3` ... that does not exist.
pub(super) fn free_directory(stem: &str) -> PathBuf {
    let numbered = (2..).map(|n| PathBuf::from(format!("{stem}-{n}")));
    std::iter::once(PathBuf::from(stem)).chain(numbered).find(|path| !Path::exists(path)).expect("numbers do not end")
}
