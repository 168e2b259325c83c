//! `lossgen evolve`: search for a loss.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use clap::Args;

use super::config::Config;
use super::explain;
use super::manifest::{Command, Manifest, check_digest, check_kernels};
use super::reference;
use super::stopwatch::Stopwatch;
use super::term::{Term, table};
use super::watcher::Watcher;
use super::{Common, STOP};
use crate::data::Dataset;
use crate::data::folds::Holdout;
use crate::evolution::{Breeder, Ended, Headroom, Kind, Search, StopReason, Strategy, Sweep, Trial, newest_population};
use crate::fault::{Fault, Result};
use crate::gates::{Open, Rejection};
use crate::grammar::Grammar;
use crate::nn::UNet3dConfig;
use crate::notation;
use crate::run::RunDir;
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
    /// A loss for the first population, before those of the catalog: a name, a name with parameters, a formula, RUN/best or
    /// RUN#ID; may be repeated
    #[arg(long = "guess", value_name = "L", conflicts_with = "resume")]
    guesses: Vec<String>,
    /// Grammar: the name of a built-in one, or a RON file
    #[arg(long, value_name = "G", conflicts_with = "resume")]
    grammar: Option<String>,
    /// Gates that candidates must pass before they are trained: all, none, or some of structure, envelope, profile,
    /// duplicate and descent with commas between them
    #[arg(long, value_name = "G", conflicts_with = "resume", value_parser = |typed: &str| Open::parse(typed).map_err(|fault| fault.to_string()))]
    gates: Option<Open>,
    /// How children are made: evolution, or random, enumerate, hillclimb and plain, which it has to beat
    #[arg(long, value_name = "S", conflicts_with = "resume", value_parser = |typed: &str| Strategy::parse(typed).map_err(|fault| fault.to_string()))]
    strategy: Option<Strategy>,
    /// Stop after the generation with which so many trainings are done
    #[arg(long, value_name = "N")]
    most_trainings: Option<usize>,
    /// Stop after the generation with which so many optimiser steps are done
    #[arg(long, value_name = "N")]
    most_steps: Option<u64>,
    /// Stop after the generation that is at work when so many minutes are over
    #[arg(long, value_name = "M")]
    most_minutes: Option<f64>,
    /// Do not search: train the catalog with three replicates and at three learning rates, and say what the proxy can tell
    #[arg(long)]
    headroom: bool,
}

pub(super) fn run(arguments: &Arguments, common: &Common, term: &Term) -> Result<()> {
    let clock = Stopwatch::start();
    let old = arguments.resume.as_deref().map(|run| Manifest::of(run, Command::Evolve)).transpose()?;
    let mut config = configure(arguments, old.as_ref(), common)?;
    let grammar = match &old {
        Some(manifest) => Grammar::from_text("grammar of the run", &manifest.grammar)?,
        None => Grammar::load(&config.search.grammar)?,
    };

    let dataset = config.dataset(term)?;
    let split = config.holdout(&dataset)?;
    config.search.guesses.extend(guesses(&arguments.guesses, &dataset, &split, term)?);
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
    // Of another version or damaged: told before anything is trained for it.
    newest_population(run.path())?;
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
    let bar = term.bar(proxy.steps_to_start(&run) as u64, "shared starts");
    let judge = proxy.prepare(&run, &|_, loss| {
        bar.inc(1);
        bar.set_message(format!("loss {loss:.3}"));
        !STOP.load(Ordering::SeqCst)
    })?;
    bar.finish_and_clear();

    let most_minutes = config.search.most_minutes;
    let time_is_over = || most_minutes.is_some_and(|most| clock.minutes() >= most);
    let search = Search { breeder, evaluator: &judge, run: &run, time_is_over: &time_is_over };
    let mut watcher = Watcher::new(term, config.search.generations);
    let resume = format!("lossgen evolve --resume {}", run.path().display());
    if arguments.headroom {
        let found = search.headroom(&mut |event| watcher.see(event))?;
        watcher.clear();
        let headroom = found.ok_or_else(|| {
            Fault::stopped("stopped while measuring; finished trainings are saved")
                .hint(format!("continue with `{resume} --headroom`"))
        })?;
        term.result(&if common.json { json_of(&headroom)? } else { report(&headroom) });
        return Ok(());
    }
    let ended = search.run(&mut |event| watcher.see(event))?;
    watcher.clear();
    if ended.reason == StopReason::Signal {
        return Err(Fault::stopped(format!(
            "stopped after generation {}; the run is saved",
            ended.population.generation
        ))
        .hint(format!("continue with `{resume}`")));
    }
    conclude(&ended, &run, common, term)
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
    search.strategy = arguments.strategy.unwrap_or(search.strategy);
    search.most_trainings = arguments.most_trainings.or(search.most_trainings);
    search.most_steps = arguments.most_steps.or(search.most_steps);
    search.most_minutes = arguments.most_minutes.or(search.most_minutes);
    if let Some(grammar) = &arguments.grammar {
        search.grammar.clone_from(grammar);
    }
    if let Some(gates) = &arguments.gates {
        search.gates.clone_from(gates);
    }
    config.check()?;
    Ok(config)
}

/// Losses that were typed as guesses, as a configuration holds them: what a run found is written out, because that run may be
/// gone when this one is continued.
///
/// # Errors
/// If there is no such loss, or it was found on cases that this search keeps apart for its own audit.
fn guesses(typed: &[String], dataset: &Dataset, split: &Holdout, term: &Term) -> Result<Vec<String>> {
    let apart: Vec<&String> = split.held_out.iter().map(|place| &dataset.cases[*place].id).collect();
    let guess = |typed: &String| {
        let found = reference::find(typed).map_err(|fault| fault.field("--guess"))?;
        if found.lost_its_run {
            term.say(&format!(
                "{typed}: no manifest beside it; its search may have seen cases that this one keeps apart"
            ));
            return Ok(found.loss.formula.to_string());
        }
        let Some(run) = found.run else { return Ok(typed.clone()) };
        let manifest = Manifest::load(&run)?;
        match manifest.train.iter().chain(&manifest.validation).find(|seen| apart.contains(seen)) {
            None => Ok(found.loss.formula.to_string()),
            Some(seen) => Err(Fault::new("a guess was found on cases that this search keeps apart")
                .field("--guess")
                .expected("the loss of a search that kept the same cases apart")
                .found(format!("`{typed}`, whose search saw `{seen}`"))
                .hint("give both searches the same `split: (seed: N)`")),
        }
    };
    typed.iter().map(guess).collect()
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
    let search = &config.search;
    term.say(&format!(
        "search ({}): {} losses, at most {} generations; rungs of {} ({} shared starts of up to {} steps, {} threads)",
        Strategy::ALL.iter().find(|(_, strategy)| *strategy == search.strategy).map_or("", |(name, _)| *name),
        search.population,
        search.generations + 1,
        rungs(config),
        1 + config.proxy.more_starts.len(),
        config.proxy.warm_steps,
        common.threads(),
    ));
    if let Some(remark) = config.proxy.window.remark(config.proxy.recipe.patches.patch) {
        term.say(&remark);
    }
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

/// The steps of all rungs, and from scratch.
pub(super) fn rungs(config: &Config) -> String {
    let rungs = if config.search.strategy == Strategy::Plain { 1 } else { config.search.rungs };
    let weight = config.search.scratch_weight;
    // What counts for nothing is not trained.
    let last = usize::from(weight == 1.0);
    let rung = |depth: usize| {
        let part = 3u32.pow(depth as u32);
        match config.search.rung(part, 0) {
            Trial::Sift { .. } => (config.proxy.scratch_steps().div_ceil(part as usize), " from scratch"),
            _ => (config.proxy.recipe.steps.div_ceil(part as usize), ""),
        }
    };
    let scratch = (weight > 0.0).then(|| (config.proxy.scratch_steps(), " from scratch"));
    let all: Vec<(usize, &str)> = (last..rungs).rev().map(rung).chain(scratch).collect();
    let alike = all.chunk_by(|one, other| one.1 == other.1).map(|rungs| {
        let steps: Vec<String> = rungs.iter().map(|(steps, _)| steps.to_string()).collect();
        format!("{} steps{}", steps.join(", "), rungs[0].1)
    });
    alike.collect::<Vec<_>>().join(", then ")
}

/// What was found, beside what everybody uses, and what to do next.
fn conclude(ended: &Ended, run: &RunDir, common: &Common, term: &Term) -> Result<()> {
    let population = &ended.population;
    let Some(winner) = &ended.winner else {
        return Err(Fault::failed("no loss could be trained")
            .file(run.path())
            .hint("see the reasons in journal.jsonl"));
    };
    let formula = winner.formula()?;
    if common.json {
        let row = |name: &str, dice: f64, hd95: f64| serde_json::json!({"loss": name, "dice": dice, "hd95_mm": hd95});
        let (dice, hd95) = (winner.control_dice, winner.control_hd95_mm);
        let table =
            [row(&winner.loss, dice + winner.gain.mean, hd95 + winner.hd95_gain_mm), row("Dice + CE", dice, hd95)];
        let result = serde_json::json!({
            "run": run.path(), "id": winner.id, "loss": winner.loss, "infix": formula.infix(), "latex": formula.latex(),
            "validation": table, "gain": winner.gain, "from_starts": winner.from_starts, "from_scratch": winner.from_scratch,
            "verdict": winner.verdict(), "replicates": winner.replicates,
            "stopped": ended.reason, "spent": population.spent,
        });
        term.result(&result.to_string());
        return Ok(());
    }
    let rejected: usize =
        population.rejections.iter().filter(|(why, _)| **why != Rejection::Duplicate).map(|(_, n)| n).sum();
    let saved = population.rejections.get(&Rejection::Duplicate).copied().unwrap_or(0);
    let mut text = format!("\nfound: {}\n       {}\n\n", formula.infix(), winner.loss);
    let cases = population.best().and_then(|best| best.outcome.score()).map_or(0, |score| score.dice.len());
    text += &format!(
        "on the {cases} validation cases of the search, less Dice + CE in the same trainings, {} replicate(s)\n{}",
        winner.replicates,
        explain::leads(winner),
    );
    text += &format!("  {}\n", winner.verdict());
    if let Some(nearest) = &winner.nearest {
        text += &format!(
            "  nearest known loss: {}, at a distance of {:.3} (0 alike, 2 opposite)\n",
            nearest.name, nearest.distance
        );
    }
    text += &format!(
        "\n{}: {} trainings of {} steps in all, {} losses, {saved} trainings saved because a candidate behaved like an \
         earlier one, {rejected} candidates rejected by gates\n",
        ended.reason.name(),
        population.spent.trainings,
        population.spent.steps,
        population.everybody().count(),
    );
    text += &format!("why it won, and which operators paid: lossgen inspect {}\n", run.path().display());
    text +=
        "the winner was chosen on these cases, so its lead is optimistic; judge it on cases the search never saw:\n\n";
    text += &format!("  lossgen train --loss {}/best --loss dice_ce --loss ce\n", run.path().display());
    term.result(&text);
    Ok(())
}

/// What the proxy can tell, as a table and in words.
fn report(headroom: &Headroom) -> String {
    let last = headroom.rungs.last();
    let mut header = vec!["loss".to_string()];
    header.extend(headroom.rungs.iter().map(|rung| match rung.kind {
        Kind::Start(_) => format!("{} steps", rung.steps),
        Kind::Sift(_) | Kind::Scratch => format!("{} from scratch", rung.steps),
        Kind::Both => "both".to_string(),
    }));
    let mut order: Vec<usize> = (0..headroom.losses.len()).collect();
    let gain = |at: usize| last.and_then(|rung| rung.gains[at]).unwrap_or(f64::NEG_INFINITY);
    order.sort_by(|a, b| gain(*b).total_cmp(&gain(*a)));
    let cell = |value: Option<f64>| value.map_or("failed".to_string(), |value| format!("{value:+.4}"));
    let row = |at: &usize| {
        let gains = headroom.rungs.iter().map(|rung| cell(rung.gains[*at]));
        std::iter::once(headroom.losses[*at].clone()).chain(gains).collect::<Vec<_>>()
    };
    let mut rows: Vec<Vec<String>> = order.iter().map(row).collect();
    let mut summary = |name: &str, value: &dyn Fn(&crate::evolution::Rung) -> String| {
        rows.push(std::iter::once(name.to_string()).chain(headroom.rungs.iter().map(value)).collect());
    };
    summary("noise of a difference", &|rung| format!("{:.4}", rung.noise));
    summary("spread between losses", &|rung| format!("{:.4}", rung.spread));
    summary("pairs told apart", &|rung| format!("{}/{}", rung.told_apart, rung.pairs));
    summary("Kendall with the last", &|rung| rung.tau.map_or("-".to_string(), |tau| format!("{tau:+.2}")));
    format!(
        "Dice less that of Dice + CE in the same training, mean of {} replicates\n\n{}\n\n{}{}\n",
        headroom.replicates,
        table(header, rows, |column| column > 0),
        headroom.sweep.as_ref().map_or(String::new(), |sweep| rates(&headroom.losses, sweep)),
        headroom.verdict(),
    )
}

/// What other learning rates make of each loss, those in front that lead where each has its own.
fn rates(names: &[String], sweep: &Sweep) -> String {
    let mut header = vec!["loss".to_string()];
    header.extend(sweep.factors.iter().map(|factor| format!("rate x {factor:.2}")));
    header.extend(["best at", "and then"].map(String::from));
    let gain = |loss: usize| sweep.best(loss).map_or(f64::NEG_INFINITY, |best| best.gain);
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|a, b| gain(*b).total_cmp(&gain(*a)));
    let row = |loss: &usize| {
        let gains =
            sweep.gains[*loss].iter().map(|gain| gain.map_or("failed".to_string(), |gain| format!("{gain:+.4}")));
        let best = sweep.best(*loss);
        let own = [best.map(|best| format!("x {:.2}", best.factor)), best.map(|best| format!("{:+.4}", best.gain))];
        let own = own.map(|cell| cell.unwrap_or_else(|| "-".to_string()));
        std::iter::once(names[*loss].clone()).chain(gains).chain(own).collect::<Vec<_>>()
    };
    format!(
        "all steps at other learning rates, less Dice + CE at the common one, mean of {} replicates; last column: each at its \
         own best, less Dice + CE at its own\n\n{}\n\n",
        sweep.replicates,
        table(header, order.iter().map(row).collect(), |column| column > 0),
    )
}

fn json_of(headroom: &Headroom) -> Result<String> {
    let text = serde_json::to_value(headroom).map(|mut value| {
        value["verdict"] = headroom.verdict().into();
        value["enough"] = headroom.is_enough().into();
        value.to_string()
    });
    text.map_err(|error| Fault::failed(format!("cannot write the report: {error}")))
}

/// `stem`, or the first of `stem-2`, `stem-3` ... that does not exist.
pub(super) fn free_directory(stem: &str) -> PathBuf {
    let numbered = (2..).map(|n| PathBuf::from(format!("{stem}-{n}")));
    std::iter::once(PathBuf::from(stem)).chain(numbered).find(|path| !Path::exists(path)).expect("numbers do not end")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evolution::Sift;

    #[test]
    fn rungs_are_told_as_they_are_trained() {
        let told = |sift: Sift, scratch_weight: f64| {
            let mut config: Config = notation::from_text("c.ron", "(version: 1, seed: 1, data: Phantoms(()))").unwrap();
            config.proxy.recipe.steps = 100;
            config.proxy.scratch_steps = Some(900);
            (config.search.sift, config.search.scratch_weight) = (sift, scratch_weight);
            rungs(&config)
        };
        assert_eq!(told(Sift::Starts, 1.0), "12, 34 steps, then 900 steps from scratch");
        assert_eq!(told(Sift::Starts, 0.5), "12, 34, 100 steps, then 900 steps from scratch");
        assert_eq!(told(Sift::Scratch, 1.0), "100, 300, 900 steps from scratch");
        assert_eq!(
            told(Sift::Scratch, 0.5),
            "100, 300 steps from scratch, then 100 steps, then 900 steps from scratch"
        );
        assert_eq!(told(Sift::Scratch, 0.0), "12, 34, 100 steps");
    }
}
