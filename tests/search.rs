//! The search with a judge that needs no network: the same at any order and number of threads, and after any kill.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use lossgen::evolution::{
    Breeder, Evaluator, Event, Origin, Outcome, Population, Score, Search, SearchConfig, StopReason, Strategy, Trial,
    control, newest_population,
};
use lossgen::fault::{Fault, Kind, Result};
use lossgen::formula::Formula;
use lossgen::gates::{Gate, Gates, LEAST, Open, Rejection};
use lossgen::grammar::Grammar;
use lossgen::run::RunDir;

use crate::support::Batch;

/// Judges a loss by how far a few gradient steps on free logits get; some losses "diverge".
#[derive(Default)]
struct Toy {
    /// Results arrive in reverse order.
    reversed: bool,
    /// The machine fails the first time at every fifth loss.
    weak: bool,
    /// At which it has failed.
    failed: RefCell<BTreeSet<String>>,
    /// The machine always fails at losses with this word.
    fails_at: &'static str,
    /// A signal cuts every training from this number on short.
    cut_from: usize,
    /// Trainings begun so far.
    count: AtomicUsize,
}

impl Toy {
    fn judge(trial: Trial, loss: &Formula) -> Outcome {
        if matches!(trial, Trial::Scratch { .. }) && loss.to_string().contains("mean_top") {
            return Outcome::Trained(Score { dice: vec![0.1, 0.1], hd95_mm: vec![9.0, 9.0] });
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
    fn context(&self) -> Vec<(String, String)> {
        vec![("judge".to_string(), "toy".to_string())]
    }

    fn steps(&self, _: Trial) -> u64 {
        8
    }

    fn evaluate(&self, trial: Trial, losses: &[Formula], done: &mut dyn FnMut(usize, Result<Outcome>) -> bool) {
        let mut order: Vec<usize> = (0..losses.len()).collect();
        if self.reversed {
            order.reverse();
        }
        for slot in order {
            let number = 1 + self.count.fetch_add(1, Ordering::SeqCst);
            if self.cut_from > 0 && number >= self.cut_from {
                continue;
            }
            let hopeless = !self.fails_at.is_empty() && losses[slot].to_string().contains(self.fails_at);
            let text = losses[slot].to_string();
            let fails =
                hopeless || (self.weak && text.len().is_multiple_of(5) && self.failed.borrow_mut().insert(text));
            let outcome = if fails { Err(Fault::failed("no memory")) } else { Ok(Self::judge(trial, &losses[slot])) };
            if !done(slot, outcome) {
                return;
            }
        }
    }
}

/// The gates that cost microseconds; what is tested here does not depend on the last one.
fn cheap() -> Open {
    Open::Only(vec![Gate::Structure, Gate::Envelope, Gate::Profile, Gate::Duplicate])
}

/// Without what the tests here do not look at.
fn plain() -> SearchConfig {
    SearchConfig { founders: 12, headroom: 0, ..SearchConfig::default() }
}

fn attempt(
    path: &Path,
    seed: u64,
    evaluator: &Toy,
    watch: &mut dyn FnMut(&Event) -> bool,
) -> Result<(Population, StopReason)> {
    let config = SearchConfig { population: 16, generations: 5, gates: cheap(), ..plain() };
    attempt_with(path, seed, &config, evaluator, watch)
}

fn attempt_with(
    path: &Path,
    seed: u64,
    config: &SearchConfig,
    evaluator: &Toy,
    watch: &mut dyn FnMut(&Event) -> bool,
) -> Result<(Population, StopReason)> {
    let run = if path.exists() { RunDir::open(path)? } else { RunDir::create(path)? };
    run.write("manifest.ron", b"()")?;
    let (grammar, stop) = (Grammar::polarity(), AtomicBool::new(false));
    let breeder = Breeder { config, seed, grammar: &grammar, stop: &stop };
    let ended = Search { breeder, evaluator, run: &run, time_is_over: &|| false }.run(watch)?;
    Ok((ended.population, ended.reason))
}

fn search(path: &Path, seed: u64, reversed: bool, watch: &mut dyn FnMut(&Event) -> bool) -> (Population, StopReason) {
    attempt(path, seed, &Toy { reversed, ..Toy::default() }, watch).unwrap()
}

fn generations(path: &Path) -> Vec<String> {
    let files = (0..6).map(|g| format!("generation-{g:04}.ron")).chain(["winner.ron".to_string()]);
    files.map(|file| std::fs::read_to_string(path.join(file)).unwrap()).collect()
}

#[test]
fn the_order_in_which_results_arrive_decides_nothing() {
    let home = tempfile::tempdir().unwrap();
    for (name, reversed) in [("a", false), ("b", true)] {
        search(&home.path().join(name), 1, reversed, &mut |_| true);
    }
    assert_eq!(generations(&home.path().join("a")), generations(&home.path().join("b")));
}

/// Founders and immigrants of the atlas are those that are farthest from everybody known, resumed or not.
#[test]
fn an_atlas_fills_the_places_of_random_losses() {
    let home = tempfile::tempdir().unwrap();
    let search = SearchConfig { population: 20, generations: 5, immigrants: 0.5, atlas: 4, ..plain() };
    let config = SearchConfig { gates: cheap(), ..search };
    let run = |name: &str, patience: usize| {
        let mut left = patience;
        attempt_with(&home.path().join(name), 9, &config, &Toy::default(), &mut |_| {
            left = left.saturating_sub(1);
            left > 0
        })
    };
    let (population, _) = run("whole", usize::MAX).unwrap();
    let of_the_atlas = |born: bool| {
        let is = |i: &&lossgen::evolution::Individual| i.origin == Origin::Atlas && (i.birth == 0) == born;
        population.everybody().filter(is).count()
    };
    assert!(of_the_atlas(true) >= 8 && of_the_atlas(false) > 0, "{} {}", of_the_atlas(true), of_the_atlas(false));
    // There are 17 behaviours of up to four words; when all are known, losses are drawn at random.
    assert!(population.everybody().any(|individual| individual.origin == Origin::Random));
    let _ = run("stopped", 60);
    run("stopped", usize::MAX).unwrap();
    assert_eq!(generations(&home.path().join("whole")), generations(&home.path().join("stopped")));
}

#[test]
fn a_search_stopped_anywhere_continues_as_if_it_had_not_been() {
    let home = tempfile::tempdir().unwrap();
    let whole = home.path().join("whole");
    search(&whole, 2, false, &mut |_| true);
    for patience in [0, 1, 7, 20, 33, 60] {
        let path = home.path().join(format!("stopped-{patience}"));
        let mut left = patience;
        let stopped = attempt(&path, 2, &Toy::default(), &mut |_| {
            left -= 1;
            left > 0
        });
        // Before the first generation is complete there is no population to return, only a journal.
        match stopped {
            Ok((_, reason)) => assert_eq!(reason, StopReason::Signal, "{patience}"),
            Err(fault) => assert_eq!(fault.kind(), Kind::Stopped, "{patience}: {fault}"),
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
fn a_training_that_fails_once_is_tried_again_at_once() {
    let home = tempfile::tempdir().unwrap();
    let (weak, strong) = (home.path().join("weak"), home.path().join("strong"));
    let toy = Toy { weak: true, ..Toy::default() };
    let mut told = 0;
    let count = &mut |event: &Event| {
        told += usize::from(matches!(event, Event::Failed { .. }));
        true
    };
    attempt(&weak, 2, &toy, count).unwrap();
    search(&strong, 2, false, &mut |_| true);
    assert!(told > 5, "the toy failed {told} times only");
    assert_eq!(generations(&weak), generations(&strong));
}

#[test]
fn trouble_of_the_machine_that_stays_is_no_result_and_is_tried_again_on_resume() {
    let home = tempfile::tempdir().unwrap();
    let (whole, path) = (home.path().join("whole"), home.path().join("failed"));
    search(&whole, 2, false, &mut |_| true);
    let failing = Toy { fails_at: "mean_top", ..Toy::default() };
    let fault = attempt(&path, 2, &failing, &mut |_| true).unwrap_err();
    assert_eq!(fault.kind(), Kind::Failed, "{fault}");
    let message = fault.to_string();
    assert!(message.contains("no memory") && message.contains("mean_top"), "{message}");
    assert!(miette::Diagnostic::help(&fault).unwrap().to_string().contains("evolve --resume"));
    // The others of the generation were finished and are not paid for again, the failure was held against nobody.
    let journal = std::fs::read_to_string(path.join("journal.jsonl")).unwrap();
    let hopeless = journal.lines().filter(|line| line.contains("mean_top")).count();
    assert!(journal.lines().count() >= 10 && hopeless == 0 && !journal.contains("no memory"), "{journal}");
    search(&path, 2, true, &mut |_| true);
    assert_eq!(generations(&path), generations(&whole));
}

#[test]
fn a_signal_that_cuts_trainings_short_leaves_a_run_that_continues() {
    let home = tempfile::tempdir().unwrap();
    let whole = home.path().join("whole");
    search(&whole, 2, false, &mut |_| true);
    for cut_from in [1, 10, 17, 25] {
        let path = home.path().join(format!("cut-{cut_from}"));
        match attempt(&path, 2, &Toy { cut_from, ..Toy::default() }, &mut |_| true) {
            Ok((_, reason)) => assert_eq!(reason, StopReason::Signal, "{cut_from}"),
            Err(fault) => assert_eq!(fault.kind(), Kind::Stopped, "{cut_from}: {fault}"),
        }
        search(&path, 2, true, &mut |_| true);
        assert_eq!(generations(&path), generations(&whole), "cut from {cut_from}");
    }
}

#[test]
fn a_grammar_with_nothing_to_train_is_known_before_a_run_is_made_and_a_small_one_keeps_its_people() {
    let grammar = |forms: &[&str]| {
        let rules: String = forms.iter().map(|form| format!("(gives: \"loss\", form: \"{form}\"),")).collect();
        let text = format!(
            "(version: 1, name: \"g\", start: \"loss\", max_size: 12, sorts: {{\"loss\": Tree}}, rules: [{rules}])"
        );
        Grammar::from_text("g.ron", &text).unwrap()
    };
    let stop = AtomicBool::new(false);
    let config = SearchConfig { population: 4, generations: 3, elites: 0, attempts: 2, ..plain() };
    let bad = grammar(&["(mean (- 1 abs_diff))"]);
    let fault = Breeder { config: &config, seed: 1, grammar: &bad, stop: &stop }.check().unwrap_err();
    assert!(fault.to_string().contains("pushes voxels away"), "{fault}");

    // One loss and no elites: nobody is born after the first generation, and nobody goes.
    let one = grammar(&["(mean abs_diff)"]);
    let breeder = Breeder { config: &config, seed: 1, grammar: &one, stop: &stop };
    breeder.check().unwrap();
    let home = tempfile::tempdir().unwrap();
    let run = RunDir::create(&home.path().join("run")).unwrap();
    let search = Search { breeder, evaluator: &Toy::default(), run: &run, time_is_over: &|| false };
    let population = search.run(&mut |_| true).unwrap().population;
    assert_eq!((population.generation, population.individuals.len()), (3, 1));

    stop.store(true, Ordering::SeqCst);
    let many = SearchConfig { population: 100_000, ..SearchConfig::default() };
    let fault = Breeder { config: &many, seed: 1, grammar: &Grammar::polarity(), stop: &stop }.check().unwrap_err();
    assert_eq!(fault.kind(), Kind::Stopped);
}

#[test]
fn every_rejection_is_on_record_and_twins_name_their_first() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("run");
    let (population, _) = search(&path, 3, false, &mut |_| true);
    assert!(population.individuals.iter().all(|one| one.traits.is_some_and(|traits| traits.factor > 0.0)));
    for (loss, twin) in &population.twins {
        let first = population.find(twin.same_as.expect("without the last gate every first is trained")).unwrap();
        assert_eq!(first.formula.canonical().to_string(), twin.first, "{loss}");
    }
    let events = std::fs::read_to_string(path.join("events.jsonl")).unwrap();
    let told: BTreeSet<String> = events
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|event| event["event"] == "rejected" && event["gate"] == "duplicate")
        .filter(|event| event["loss"] != event["first"])
        .map(|event| event["loss"].as_str().unwrap().to_string())
        .collect();
    assert!(told.len() > 5 && told.iter().eq(population.twins.keys()), "{told:?} {:?}", population.twins);
    assert!(population.rejections[&Rejection::Duplicate] >= told.len());
}

/// The control of an experiment: a grammar without meaning, with and without gates.
#[test]
fn without_gates_anything_is_trained_and_with_them_what_can_be() {
    let text = "(version: 1, name: \"wild\", start: \"loss\", max_size: 12, sorts: {\"loss\": Tree, \"map\": Tree}, rules: [
        (gives: \"loss\", form: \"(mean map)\"), (gives: \"loss\", form: \"(- loss loss)\"), (gives: \"loss\", form: \"(* -1 loss)\"),
        (gives: \"map\", form: \"tp\"), (gives: \"map\", form: \"abs_diff\"), (gives: \"map\", form: \"(- map map)\"),
        (gives: \"map\", form: \"(* map map)\"), (gives: \"map\", form: \"(+ map map)\"),
    ])";
    let grammar = Grammar::from_text("wild.ron", text).unwrap();
    let stop = AtomicBool::new(false);
    let home = tempfile::tempdir().unwrap();
    let go = |name: &str, gates: Open| {
        let config = SearchConfig { population: 10, founders: 0, generations: 1, gates, ..plain() };
        let breeder = Breeder { config: &config, seed: 5, grammar: &grammar, stop: &stop };
        let run = RunDir::create(&home.path().join(name)).unwrap();
        let search = Search { breeder, evaluator: &Toy::default(), run: &run, time_is_over: &|| false };
        search.run(&mut |_| true).unwrap().population
    };
    let (open, all) = (go("none", Open::None), go("all", Open::All));
    assert!(open.rejections.is_empty() && open.repaired == 0 && open.twins.is_empty());
    let gates = Gates::default();
    let hopeless =
        |population: &Population| population.everybody().filter(|one| gates.look(&one.formula).is_err()).count();
    assert!(hopeless(&open) >= 4 && hopeless(&all) == 0, "{} {}", hopeless(&open), hopeless(&all));
    assert!(all.rejections.len() > 2, "{:?}", all.rejections);
    assert!(
        all.everybody().all(|one| one.traits.and_then(|traits| traits.descent).is_some_and(|score| score >= LEAST))
    );
}

#[test]
fn guesses_are_the_first_founders_and_one_that_is_none_is_told() {
    let with = |guesses: [&str; 2]| {
        let guesses = guesses.map(String::from).to_vec();
        SearchConfig { population: 8, founders: 3, generations: 0, gates: cheap(), guesses, ..plain() }
    };
    let home = tempfile::tempdir().unwrap();
    let go = |name: &str, config: &SearchConfig| {
        attempt_with(&home.path().join(name), 1, config, &Toy::default(), &mut |_| true)
    };
    let guesses = ["tversky(fp_weight=0.7, fn_weight=0.3)", "(mean (^ abs_diff 1.5))"];
    let (population, _) = go("good", &with(guesses)).unwrap();
    let names = |population: &Population| -> Vec<String> {
        let mut born: Vec<_> = population.everybody().map(|one| (one.id, one.origin.name())).collect();
        born.sort_unstable();
        born.into_iter().map(|(_, name)| name).collect()
    };
    let names_of_all = names(&population);
    assert_eq!(names_of_all[..2], guesses);
    assert_eq!(names_of_all[2..5], ["ce", "weighted_ce", "topk"], "the catalog has its places beside them");
    assert!(names_of_all[5..].iter().all(|name| name == "random"), "{names_of_all:?}");

    let settled = SearchConfig { strategy: Strategy::Plain, ..with(guesses) };
    let (population, _) = go("plain", &settled).unwrap();
    assert!(
        population.everybody().all(|one| one.origin == Origin::Random),
        "textbook genetic programming has no guesses"
    );

    let without_founders = SearchConfig { founders: 0, ..with(guesses) };
    let (population, _) = go("alone", &without_founders).unwrap();
    assert_eq!(names(&population)[..2], guesses);
    assert!(names(&population)[2..].iter().all(|name| name == "random"));

    let (grammar, stop) = (Grammar::polarity(), AtomicBool::new(false));
    let check = |config: &SearchConfig| {
        Breeder { config, seed: 1, grammar: &grammar, stop: &stop }
            .check()
            .expect_err("it is found before a run is made")
    };
    for (guesses, place, why) in [
        (["ce", "boundary"], 1, "`polarity`"),
        (["tverski", "ce"], 0, "did you mean `tversky`?"),
        (["run/best", "ce"], 0, "`--guess`"),
        (["dice", "dice"], 1, "behaves like another guess"),
    ] {
        let fault = check(&with(guesses));
        let told = format!("{:?}", fault.parts());
        assert!(told.contains(&format!("search.guesses[{place}]")) && told.contains(why), "{told}");
    }
    let many = SearchConfig { guesses: vec!["ce".to_string(); 9], ..with(guesses) };
    assert!(check(&many).to_string().contains("at most as many as the population"));
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
    assert!(count >= 16 + 5 * 7, "only {count} were trained");
    let trained: Vec<bool> = population.individuals.iter().map(|i| i.outcome.score().is_some()).collect();
    assert!(trained.is_sorted_by(|a, b| a >= b), "a failure ranks before a success");
    assert!(population.everybody().any(|i| i.outcome.score().is_none()), "the toy diverges sometimes");

    // One line per training, and those from scratch of the best are trainings, too.
    let journal = std::fs::read_to_string(path.join("journal.jsonl")).unwrap();
    let lines: BTreeSet<&str> = journal.lines().collect();
    assert_eq!(lines.len(), journal.lines().count(), "a training was paid for twice");
    let control = control().canonical().to_string();
    let all = count + usize::from(!texts.contains(&control));
    assert_eq!(journal.matches(r#""trial":{"proxy":{"part":9,"replicate":0}}"#).count(), all);
    assert_eq!(population.spent.trainings, journal.matches(r#""generation":0"#).count() + later(&journal));
    let elites: Vec<_> = population.elites.iter().map(|id| population.find(*id).unwrap()).collect();
    assert!(!elites.is_empty() && elites.iter().all(|elite| elite.scratch.is_some() && elite.gains.len() > 1));
    assert!(
        elites.iter().all(|elite| !elite.formula.to_string().contains("mean_top")),
        "a loss that stalls is an elite"
    );
    assert_eq!(population.best().unwrap().id, population.elites[0]);
    let front = population.front();
    let (gain, size) = (|at: usize| front[at].gain(), |at: usize| front[at].formula.size());
    let dominates = |a: usize, b: usize| {
        let surface = |at: usize| front[at].surface_gain();
        let at_least = gain(a) >= gain(b) && size(a) <= size(b) && surface(a) <= surface(b);
        at_least && (gain(a) > gain(b) || size(a) < size(b) || surface(a) < surface(b))
    };
    assert!((0..front.len()).all(|b| (0..front.len()).all(|a| !dominates(a, b))));
    assert!(!front.is_empty() && front.windows(2).all(|two| two[0].formula.size() <= two[1].formula.size()));
}

/// Trainings that later generations paid for.
fn later(journal: &str) -> usize {
    (1..6).map(|generation| journal.matches(&format!(r#""generation":{generation},"#)).count()).sum()
}

#[test]
fn a_population_survives_being_written_and_damage_is_told() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("run");
    let (population, _) = search(&path, 4, false, &mut |_| true);
    let file = path.join("generation-0005.ron");
    assert_eq!(newest_population(&path).unwrap().unwrap(), population);

    let text = std::fs::read_to_string(&file).unwrap();
    let id = |n: usize| format!("id: {},", population.individuals[n].id);
    let score = text.split("dice: [").nth(1).unwrap().split(']').next().unwrap();
    let head = text.split("individuals: [").next().unwrap();
    for (damaged, part) in [
        (text[..text.len() / 2].to_string(), "found:"),
        (text.replacen("(mean ", "(maen ", 1), "loss of individual"),
        (text.replacen("version: 2", "version: 9", 1), "version"),
        (text.replacen("generation: 5", "generation: 4", 1), "5, as in the name"),
        (text.replacen(&id(1), &id(0), 1), "same id"),
        (text.replacen("next_id: ", "next_id: 3, // ", 1), "next_id"),
        (text.replacen(score, "", 1), "found:    0"),
        (text.replacen(score, "0.5", 1), "judged on different cases"),
        (text.replacen(score, "0.5, NaN", 1), "NaN"),
        (text.replacen("hd95_mm: [", "hd95_mm: [inf, ", 1), "hd95_mm of individual"),
        (format!("{head}individuals: [])"), "population is empty"),
        (String::new(), "found:"),
    ] {
        std::fs::write(&file, damaged).unwrap();
        let fault = Population::load(&file).unwrap_err();
        let message = fault.to_string();
        assert!(message.contains("generation-0005.ron") && message.contains(part), "{part}: {message}");
        assert!(message.contains("expected:") && message.contains("found:"), "{part}: {message}");
        assert!(miette::Diagnostic::help(&fault).is_some(), "{part}: {message}");
    }
}
