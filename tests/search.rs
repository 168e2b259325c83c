//! The search with a judge that needs no network: the same at any order and number of threads, and after any kill.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use lossgen::evolution::{
    Evaluator, Event, Outcome, Population, Score, Search, SearchConfig, StopReason, Trial, newest_population,
};
use lossgen::fault::{Kind, Result};
use lossgen::formula::Formula;
use lossgen::grammar::Grammar;
use lossgen::run::RunDir;

use crate::support::Batch;

/// Judges a loss by how far a few gradient steps on free logits get; some losses "diverge".
#[derive(Default)]
struct Toy {
    /// Results arrive in reverse order.
    reversed: bool,
    /// Every fifth training fails the first time.
    weak: bool,
    /// Losses whose training has failed.
    failed: RefCell<BTreeSet<String>>,
}

impl Toy {
    fn judge(trial: Trial, loss: &Formula) -> Outcome {
        if trial == Trial::Scratch && loss.to_string().contains("mean_top") {
            return Outcome::Stalled { dice: 0.1 };
        }
        if loss.to_string().contains("log1p") {
            return Outcome::Diverged { step: 3 };
        }
        let mut batch = Batch::random(1, [2, 1, 60], 1.0, 0.2);
        for _ in 0..8 {
            let (_, slopes) = batch.gradient(loss);
            let largest = slopes.iter().fold(1e-300, |m: f64, s| m.max(s.abs()));
            batch.logits.iter_mut().zip(slopes).for_each(|(z, slope)| *z -= 0.4 * slope / largest);
        }
        let dice = 1.0 - batch.value(&"(ratio (sum tp) (* 0.5 (sum abs_diff)))".parse().unwrap());
        Outcome::Trained(Score { dice: vec![dice, dice], hd95_mm: vec![1.0, 2.0] })
    }
}

impl Evaluator for Toy {
    fn context(&self) -> String {
        "toy".to_string()
    }

    fn evaluate(&self, trial: Trial, losses: &[Formula], done: &mut dyn FnMut(usize, Outcome) -> bool) {
        let mut order: Vec<usize> = (0..losses.len()).collect();
        if self.reversed {
            order.reverse();
        }
        for slot in order {
            let text = losses[slot].to_string();
            let fails = self.weak && text.len().is_multiple_of(5) && self.failed.borrow_mut().insert(text);
            let failure = || Outcome::Failed { reason: "no memory".to_string() };
            let outcome = if fails { failure() } else { Self::judge(trial, &losses[slot]) };
            if !done(slot, outcome) {
                return;
            }
        }
    }
}

fn search(path: &Path, seed: u64, reversed: bool, watch: &mut dyn FnMut(&Event) -> bool) -> (Population, StopReason) {
    try_search(path, seed, &Toy { reversed, ..Toy::default() }, watch).unwrap()
}

fn try_search(
    path: &Path,
    seed: u64,
    toy: &Toy,
    watch: &mut dyn FnMut(&Event) -> bool,
) -> Result<(Population, StopReason)> {
    let run = if path.exists() { RunDir::open(path).unwrap() } else { RunDir::create(path).unwrap() };
    run.write("manifest.ron", b"()").unwrap();
    let config = SearchConfig { population: 16, generations: 5, ..SearchConfig::default() };
    let grammar = Grammar::polarity();
    Search { config: &config, seed, grammar: &grammar, evaluator: toy, run: &run }.run(watch)
}

fn generations(path: &Path) -> Vec<String> {
    (0..6).map(|g| std::fs::read_to_string(path.join(format!("generation-{g:04}.ron"))).unwrap()).collect()
}

#[test]
fn the_order_in_which_results_arrive_decides_nothing() {
    let home = tempfile::tempdir().unwrap();
    for (name, reversed) in [("a", false), ("b", true)] {
        search(&home.path().join(name), 1, reversed, &mut |_| true);
    }
    assert_eq!(generations(&home.path().join("a")), generations(&home.path().join("b")));
}

#[test]
fn a_search_stopped_anywhere_continues_as_if_it_had_not_been() {
    let home = tempfile::tempdir().unwrap();
    let whole = home.path().join("whole");
    search(&whole, 2, false, &mut |_| true);
    for patience in [0, 1, 7, 20, 33, 60] {
        let path = home.path().join(format!("stopped-{patience}"));
        let mut left = patience;
        let stopped = try_search(&path, 2, &Toy::default(), &mut |_| {
            left -= 1;
            left > 0
        });
        // Before the first generation is complete there is no population to return, only a journal.
        match stopped {
            Ok((_, reason)) => assert_eq!(reason, StopReason::Signal, "{patience}"),
            Err(fault) => assert_eq!(fault.kind(), Kind::Stopped, "{fault}"),
        }
        // A kill leaves half a line behind.
        let journal = path.join("journal.jsonl");
        if journal.exists() {
            let text = std::fs::read_to_string(&journal).unwrap();
            std::fs::write(&journal, text + "0123456789abcdef {\"context\":").unwrap();
        }
        let (_, reason) = search(&path, 2, true, &mut |_| true);
        assert_eq!(reason, StopReason::Generations);
        assert_eq!(generations(&path), generations(&whole), "stopped after {patience} events");
    }
}

#[test]
fn nothing_is_trained_twice_and_failures_rank_last() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("run");
    let (population, _) = search(&path, 3, false, &mut |_| true);
    let mut texts: Vec<String> = population.everybody().map(|i| i.formula.canonical().to_string()).collect();
    let count = texts.len();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), count);
    assert!(count >= 16 + 5 * 12, "only {count} were trained");
    let trained: Vec<bool> = population.individuals.iter().map(|i| i.outcome.score().is_some()).collect();
    assert!(trained.is_sorted_by(|a, b| a >= b), "a failure ranks before a success");
    assert!(population.everybody().any(|i| i.outcome.score().is_none()), "the toy diverges sometimes");

    // One line per training, and those from scratch of the best are trainings, too.
    let journal = std::fs::read_to_string(path.join("journal.jsonl")).unwrap();
    let lines: BTreeSet<&str> = journal.lines().collect();
    assert_eq!(lines.len(), journal.lines().count(), "a training was paid for twice");
    assert_eq!(journal.matches("\"trial\":\"shared_start\"").count(), count);
    let best = &population.individuals[..2];
    assert!(best.iter().all(|elite| elite.scratch.is_some()), "an elite was not confirmed");
    assert!(best.iter().all(|elite| !elite.formula.to_string().contains("mean_top")), "a loss that stalls is an elite");
    let front = population.front();
    assert!(
        front
            .windows(2)
            .all(|w| w[0].formula.size() < w[1].formula.size() && w[0].outcome.dice() < w[1].outcome.dice())
    );
}

#[test]
fn a_population_survives_being_written_and_damage_is_told() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("run");
    let (population, _) = search(&path, 4, false, &mut |_| true);
    let file = path.join("generation-0005.ron");
    assert_eq!(newest_population(&path).unwrap().unwrap(), population);

    let text = std::fs::read_to_string(&file).unwrap();
    for damaged in [
        &text[..text.len() / 2],
        &text.replacen("(mean ", "(maen ", 1),
        &text.replacen("version: 1", "version: 9", 1),
        "",
        "(version: 1, generation: 5, next_id: 0, individuals: [])",
        &text.replacen("next_id: ", "next_id: 1, //", 1),
        &text.replacen("generation: 5", "generation: 4", 1),
        &text.replacen("dice: [", "dice: [0.5, ", 1),
    ] {
        std::fs::write(&file, damaged).unwrap();
        let fault = newest_population(&path).unwrap_err();
        let (message, kind) = (fault.to_string(), fault.kind());
        assert!(message.contains("generation-0005.ron") && kind == Kind::BadInput, "{message}");
    }
}

#[test]
fn a_failure_of_the_machine_is_not_held_against_a_loss() {
    let home = tempfile::tempdir().unwrap();
    let weak = Toy { weak: true, ..Toy::default() };
    try_search(&home.path().join("weak"), 5, &weak, &mut |_| true).unwrap();
    assert!(weak.failed.borrow().len() > 5, "the toy never failed");
    search(&home.path().join("strong"), 5, false, &mut |_| true);
    assert_eq!(generations(&home.path().join("weak")), generations(&home.path().join("strong")));
    let journal = std::fs::read_to_string(home.path().join("weak/journal.jsonl")).unwrap();
    assert!(!journal.contains("no memory"));
}
