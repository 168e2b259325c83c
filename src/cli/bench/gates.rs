//! `lossgen bench gates`: how many losses a search can look at before any training.
//!
//! Random losses of a grammar, each canonical text once, the same for the same seed. The first four gates are timed on all
//! of them together, from the tree to the comparison with everybody before, canonical text included; the descent on the first of those that pass,
//! because whoever fails leaves early and would flatter it. Every figure is of one thread.

use std::collections::BTreeSet;

use clap::Args;
use rand::RngExt;

use super::super::stopwatch::Stopwatch;
use super::super::term::Term;
use super::durations::{Durations, measure};
use super::{Repeats, Report};
use crate::fault::{Fault, Result};
use crate::formula::Formula;
use crate::formula::behaviours::Behaviours;
use crate::formula::plan::Plan;
use crate::gates::{Archive, Gates, Open, Passed, gradient_factor, share, starts};
use crate::grammar::Grammar;
use crate::rng::{Purpose, stream};

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Random losses for the first four gates
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    losses: u32,
    /// Of those that pass, how many descend
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    descents: u32,
    /// Largest loss, in words
    #[arg(long, value_name = "N", default_value_t = 16)]
    max_size: usize,
    /// Grammar: polarity, or a RON file
    #[arg(long, value_name = "G", default_value = "polarity")]
    grammar: String,
    #[command(flatten)]
    repeats: Repeats,
}

pub(super) fn run(arguments: &Arguments, seed: u64, term: &Term) -> Result<Report> {
    let Arguments { losses, descents, max_size, grammar: name, repeats } = arguments;
    let grammar = Grammar::load(name)?;
    let losses = distinct(&grammar, *losses, *max_size, seed);
    let gates = Gates::default();
    let passes = |loss: &Formula| gates.look(&loss.canonical()).ok().filter(|passed| gates.descend(passed).is_ok());
    let passing: Vec<Passed> = losses.iter().filter_map(passes).take(*descents as usize).collect();
    if passing.is_empty() {
        return Err(Fault::new("none of the losses passes the gates, so there is no descent to measure")
            .field("--losses")
            .expected("losses of which some pass")
            .found(losses.len())
            .hint("ask for more losses, or for another grammar"));
    }
    let plans: Vec<Plan> = passing.iter().map(|passed| Plan::new(&passed.formula)).collect();
    let factors: Vec<f64> = plans.iter().map(gradient_factor).collect();

    let [mut looks, mut whole, mut one]: [Durations; 3] = Default::default();
    let mut counts = [0; 2];
    measure(*repeats, term, || {
        let mut watch = Stopwatch::start();
        counts = look(&losses);
        looks.push(watch.lap());
        for passed in &passing {
            std::hint::black_box(gates.descend(passed).is_ok());
        }
        whole.push(watch.lap());
        for (plan, factor) in plans.iter().zip(&factors) {
            std::hint::black_box(share(plan, *factor, 1).is_ok());
        }
        one.push(watch.lap());
    })?;
    let [looks, whole, one] = [looks, whole, one].map(|all| all.after(repeats.warm_up));
    let per_second = |count: usize, durations: &Durations| 1e3 * count as f64 / durations.median();
    let best = |count: usize, durations: &Durations| 1e3 * count as f64 / durations.min();
    let mut report = Report::new("gates", *repeats);
    report.set("grammar", name.as_str());
    report.set("losses", losses.len());
    report.set("descents", passing.len());
    report.set("start", starts().nth(1).unwrap_or_default());
    report.figure("losses_per_second", per_second(losses.len(), &looks));
    report.figure("losses_per_second_best", best(losses.len(), &looks));
    report.figure("descents_per_second", per_second(passing.len(), &whole));
    report.figure("descents_per_second_best", best(passing.len(), &whole));
    report.figure("starts_per_second", per_second(passing.len(), &one));
    report.figure("starts_per_second_best", best(passing.len(), &one));
    report.time("looks", looks);
    report.time("descents", whole);
    report.time("starts", one);
    for (name, count) in ["rejected", "duplicates"].into_iter().zip(counts) {
        report.result(name, count);
    }
    Ok(report)
}

/// So many losses of which no two are written alike, or as many as are found: repetitions would cost a look-up only.
fn distinct(grammar: &Grammar, count: u32, max_size: usize, seed: u64) -> Vec<Formula> {
    let mut texts = BTreeSet::new();
    let draw = |slot: u64| {
        let mut rng = stream(seed, Purpose::Birth, 0, slot);
        let budget = rng.random_range(2..=max_size.max(2));
        grammar.sample_loss(budget, &mut rng)
    };
    let drawn = (0..20 * u64::from(count)).map(draw);
    drawn.filter(|loss| texts.insert(loss.canonical().to_string())).take(count as usize).collect()
}

/// The first four gates on all losses, one after the other; how many were rejected and how many had been there.
fn look(losses: &[Formula]) -> [usize; 2] {
    let mut archive = Archive::new(Gates::new(Open::All));
    let mut known = Behaviours::default();
    let mut counts = [0; 2];
    for loss in losses {
        let canonical = loss.canonical();
        match archive.look(&canonical, &canonical.to_string()) {
            Err(_) => counts[0] += 1,
            Ok(Passed { direction: Some(direction), .. }) if known.find(&direction).is_none() => {
                known.insert(direction);
            }
            Ok(_) => counts[1] += 1,
        }
    }
    counts
}
