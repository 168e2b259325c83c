//! The engine with a judge of known truth: it finds what is good, beats what it has to beat, and arrives at the same file at
//! any number of threads, after any kill and with a full disk in between.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use lossgen::evolution::{
    Breeder, Ended, HEADROOM, Headroom, Individual, Kind, Origin, Population, Search, SearchConfig, Sift, StopReason,
    Strategy, Winner, newest_population,
};
use lossgen::fault::Result;
use lossgen::formula::Formula;
use lossgen::gates::{Gate, Open};
use lossgen::grammar::Grammar;
use lossgen::notation;
use lossgen::rng::{Purpose, stream};
use lossgen::run::RunDir;
use lossgen::stats::summary::Summary;
use rand::RngExt;

use crate::synthetic::Synthetic;

/// A place where a journal costs nothing: every line of it is synced.
fn home() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// The gates that cost microseconds.
fn cheap() -> Open {
    Open::Only(vec![Gate::Structure, Gate::Envelope, Gate::Profile, Gate::Duplicate])
}

fn small() -> SearchConfig {
    SearchConfig {
        population: 24,
        islands: 2,
        founders: 12,
        generations: 4,
        headroom: 0,
        gates: cheap(),
        // More than by default, so that kills and threads meet trainings in the middle of breeding, and replicates of two.
        greedy: 0.1,
        scratch_weight: 0.3,
        ..SearchConfig::default()
    }
}

fn search(path: &Path, config: &SearchConfig, seed: u64, judge: &Synthetic) -> Result<Ended> {
    search_until(path, config, seed, judge, &|| false)
}

fn search_until(
    path: &Path,
    config: &SearchConfig,
    seed: u64,
    judge: &Synthetic,
    time_is_over: &dyn Fn() -> bool,
) -> Result<Ended> {
    let run = if path.exists() { RunDir::open(path)? } else { RunDir::create(path)? };
    run.write("manifest.ron", b"()")?;
    let (grammar, stop) = (Grammar::load(&config.grammar)?, AtomicBool::new(false));
    let breeder = Breeder { config, seed, grammar: &grammar, stop: &stop };
    Search { breeder, evaluator: judge, run: &run, time_is_over }.run(&mut |_| true)
}

/// What a run arrived at.
fn outcome(path: &Path) -> [String; 2] {
    ["generation-0004.ron", "winner.ron"].map(|file| std::fs::read_to_string(path.join(file)).unwrap())
}

/// What the search believes to be best.
fn found(ended: &Ended, judge: &Synthetic) -> f64 {
    let formula = match &ended.winner {
        Some(winner) => winner.formula().unwrap(),
        None => ended.population.individuals[0].formula.clone(),
    };
    judge.truth(&formula)
}

/// Median of the best possible truth less that of what was found, over twenty seeds, with a budget of 120 whole trainings.
fn regret(strategy: Strategy, founders: usize) -> f64 {
    let home = home();
    let judge = Synthetic::default();
    let plain = strategy == Strategy::Plain;
    let config = SearchConfig {
        strategy,
        founders,
        grammar: if plain { "untyped" } else { "polarity" }.to_string(),
        gates: if plain { Open::None } else { cheap() },
        generations: 1000,
        most_steps: Some(120 * 90),
        scratch_weight: 1.0,
        ..small()
    };
    let regrets: Vec<f64> = (1..=20)
        .map(|seed| {
            let ended = search(&home.path().join(seed.to_string()), &config, seed, &judge).unwrap();
            assert_eq!(ended.reason, StopReason::Steps);
            0.9 - found(&ended, &judge)
        })
        .collect();
    Summary::of(&regrets).median
}

/// The bound is a little above what was measured when this was written; whoever makes the search worse learns of it here.
/// From the catalog there is little left to gain: nearly all that evolution and random sampling find is its best loss. Who
/// searches is seen where nobody is given the catalog, as in the search of Hun (2021).
#[test]
fn the_search_finds_what_is_good_and_beats_what_it_has_to_beat() {
    let evolution = regret(Strategy::Evolution, 12);
    let alone = regret(Strategy::Evolution, 0);
    let random = regret(Strategy::Random, 0);
    let plain = regret(Strategy::Plain, 0);
    let told = format!("evolution {evolution:.4}, without founders {alone:.4}, random {random:.4}, plain {plain:.4}");
    assert!(evolution < golden("regret").parse::<f64>().unwrap(), "{told}");
    assert!(alone < random && random < plain, "{told}");
}

/// What was measured or found when this was written, by name. In a file of its own: it changes with defaults and operators.
fn golden(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/search.txt");
    let text = std::fs::read_to_string(file).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.unwrap_or_else(|| panic!("no `{name}` among the golden values")).to_string()
}

/// The file is the same at any number of threads, and on this kind of machine it is the one that it always was.
#[test]
fn the_number_of_threads_changes_no_byte() {
    let home = home();
    let mut digests = Vec::new();
    for threads in [1, 2, 8] {
        let path = home.path().join(threads.to_string());
        let judge = Synthetic { threads, ..Synthetic::default() };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| search(&path, &small(), 7, &judge)).unwrap();
        digests.push(outcome(&path).map(|text| blake3::hash(text.as_bytes()).to_hex()[..16].to_string()));
    }
    assert!(digests[0] == digests[1] && digests[0] == digests[2], "{digests:?}");
    // Logarithms and powers of the standard library differ between systems in the last digit.
    if cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        let wanted = ["generation-0004.ron", "winner.ron"].map(golden);
        assert_eq!(
            digests[0], wanted,
            "if a default or an operator was changed on purpose, the first is the new value"
        );
    }
}

/// In a process of its own: a search that is slow enough to be killed. Does nothing when it is not asked to.
#[test]
fn child_of_the_tests_below() {
    let Some(path) = std::env::var_os("LOSSGEN_TEST_SEARCH").map(PathBuf::from) else { return };
    let pause = Duration::from_micros(std::env::var("LOSSGEN_TEST_PAUSE").unwrap().parse().unwrap());
    search(&path, &small(), 7, &Synthetic { threads: 2, pause, ..Synthetic::default() }).unwrap();
}

/// Starts the search as a child, after a command of the shell.
fn start(path: &Path, pause_us: u64, before: &str) -> Child {
    let line = format!("{before} exec \"$0\" --exact engine::child_of_the_tests_below");
    Command::new("sh")
        .arg("-c")
        .arg(line)
        .arg(std::env::current_exe().unwrap())
        .env("LOSSGEN_TEST_SEARCH", path)
        .env("LOSSGEN_TEST_PAUSE", pause_us.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[cfg(unix)]
#[test]
fn a_search_that_is_killed_at_any_moment_arrives_at_the_same_file() {
    let home = home();
    let whole = home.path().join("whole");
    let clock = Instant::now();
    assert!(start(&whole, 30_000, "").wait().unwrap().success());
    let long = clock.elapsed();
    let mut rng = stream(11, Purpose::Trial, 0, 0);
    let mut at_work = 0;
    for number in 0..5 {
        let path = home.path().join(format!("killed-{number}"));
        // Killed four times, each time a little later: what is finished stays finished.
        for _ in 0..4 {
            let mut child = start(&path, 30_000, "");
            // Short, because a machine may be busier while the whole search is timed than now.
            std::thread::sleep(long.mul_f64(0.03 + 0.2 * rng.random::<f64>()));
            // Whoever is at work keeps others out, who ask for a fifth of a second: the search takes ten times as long.
            at_work += usize::from(RunDir::open(&path).is_err_and(|f| f.to_string().contains("another process")));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        search(&path, &small(), 7, &Synthetic::default()).unwrap();
        assert_eq!(outcome(&path), outcome(&whole), "{number}");
    }
    assert!(at_work >= 5, "only {at_work} of 20 kills found the search at work");
}

/// A limit on the size of files stands for a full disk: writes fail in the same place, with another number.
#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_that_leaves_the_last_snapshot_intact() {
    let home = home();
    let whole = home.path().join("whole");
    search(&whole, &small(), 7, &Synthetic::default()).unwrap();
    let mut snapshots = 0;
    for blocks in [40, 100, 200] {
        let path = home.path().join(format!("full-{blocks}"));
        let status = start(&path, 0, &format!("ulimit -f {blocks}; trap '' XFSZ;")).wait().unwrap();
        assert!(!status.success(), "{blocks} blocks were enough");
        snapshots += usize::from(newest_population(&path).unwrap().is_some());
        search(&path, &small(), 7, &Synthetic::default()).unwrap();
        assert_eq!(outcome(&path), outcome(&whole), "{blocks}");
    }
    assert!(snapshots > 0, "no run had got as far as a snapshot");
}

#[test]
fn a_run_is_not_continued_with_other_settings_and_the_one_that_differs_is_named() {
    let home = home();
    let path = home.path().join("run");
    let config = SearchConfig { generations: 0, ..small() };
    search(&path, &config, 7, &Synthetic::default()).unwrap();
    let refused = |config: &SearchConfig, seed: u64, judge: &Synthetic, parts: &[&str]| {
        let message = search(&path, config, seed, judge).unwrap_err().to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{parts:?}: {message}");
    };
    let changed = SearchConfig { tournament: 5, ..config.clone() };
    refused(&changed, 7, &Synthetic::default(), &["search.tournament", "expected: 4", "found:    5", "journal.jsonl"]);
    let changed = SearchConfig { grammar: "region".to_string(), ..config.clone() };
    refused(&changed, 7, &Synthetic::default(), &["grammar"]);
    refused(&config, 8, &Synthetic::default(), &["seed", "expected: 7", "found:    8"]);
    refused(&config, 7, &Synthetic { noise: 2.0, ..Synthetic::default() }, &["synthetic.noise"]);
    // Budgets may change: a run is prolonged.
    let ended = search(&path, &SearchConfig { generations: 1, ..config }, 7, &Synthetic::default()).unwrap();
    assert_eq!(ended.population.generation, 1);

    // Runs of earlier versions are told by their version.
    let old = home.path().join("generation-0000.ron");
    std::fs::write(&old, "(version: 1, generation: 0, next_id: 0, individuals: [])").unwrap();
    let message = newest_population(home.path()).unwrap_err().to_string();
    assert!(message.contains("unknown version of a population") && message.contains("expected: 2"), "{message}");
    let journal = path.join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, text.lines().skip(1).map(|line| line.to_string() + "\n").collect::<String>()).unwrap();
    refused(&small(), 7, &Synthetic::default(), &["does not say under which settings", "line 1"]);
}

#[test]
fn budgets_end_a_search_between_generations_and_it_goes_on_from_there() {
    let home = home();
    let whole = home.path().join("whole");
    let ended = search(&whole, &small(), 7, &Synthetic::default()).unwrap();
    assert_eq!(ended.reason, StopReason::Generations);
    let spent = ended.population.spent;
    let budget = |path: &Path, config: SearchConfig, reason: StopReason, over: bool| {
        let ended = search_until(path, &config, 7, &Synthetic::default(), &|| over).unwrap();
        assert_eq!(ended.reason, reason);
        assert_eq!(ended.winner.unwrap().stopped, reason);
        assert!(ended.population.generation < 4 && ended.population.spent.trainings < spent.trainings);
        search(path, &small(), 7, &Synthetic::default()).unwrap();
        assert_eq!(outcome(path), outcome(&whole));
    };
    let most = Some(spent.trainings / 2);
    let trainings = SearchConfig { most_trainings: most, ..small() };
    budget(&home.path().join("trainings"), trainings, StopReason::Trainings, false);
    let steps = SearchConfig { most_steps: Some(spent.steps / 2), ..small() };
    budget(&home.path().join("steps"), steps, StopReason::Steps, false);
    budget(&home.path().join("time"), small(), StopReason::Time, true);
}

#[test]
fn every_strategy_makes_its_own_kind_of_children() {
    let home = home();
    let children = |strategy: Strategy| -> Vec<Individual> {
        let config = SearchConfig { strategy, ..small() };
        let path = home.path().join(format!("{strategy:?}"));
        let ended = search(&path, &config, 3, &Synthetic::default()).unwrap();
        assert!(ended.winner.is_some(), "{strategy:?}");
        ended.population.everybody().filter(|one| one.birth > 0).cloned().collect()
    };
    let count = |all: &[Individual], what: fn(&Individual) -> bool| all.iter().filter(|one| what(one)).count();
    let random = children(Strategy::Random);
    assert_eq!(count(&random, |one| one.origin == Origin::Random), random.len());
    let mut atlas: Vec<Individual> =
        children(Strategy::Enumerate).into_iter().filter(|one| one.origin == Origin::Atlas).collect();
    atlas.sort_by_key(|one| one.id);
    assert!(atlas.len() > 20 && atlas.is_sorted_by_key(|one| one.formula.size()), "{}", atlas.len());
    let climb = children(Strategy::HillClimb);
    assert_eq!(count(&climb, |one| one.origin == Origin::Crossover), 0);
    assert!(count(&climb, |one| one.parents.len() == 1) > climb.len() / 2);
    let plain = children(Strategy::Plain);
    assert!(count(&plain, |one| one.origin == Origin::Crossover) > plain.len() / 2);
    assert_eq!(count(&plain, |one| one.part == 1 && one.gains.len() <= 1), plain.len());
    let evolution = children(Strategy::Evolution);
    let edits = count(&evolution, |one| one.parents.len() == 1);
    assert!(edits > count(&evolution, |one| one.parents.len() == 2), "{edits} of {}", evolution.len());
    assert!(evolution.iter().any(|one| one.part == 9) && evolution.iter().any(|one| one.part == 1));
}

#[test]
fn elites_have_replicates_and_the_winner_is_explained_and_can_be_made_again() {
    let home = home();
    let path = home.path().join("run");
    let judge = Synthetic::default();
    // The first whose winner has constants, which are tuned.
    let tuned = |seed: &u64| {
        let ended = search(&home.path().join(seed.to_string()), &small(), *seed, &judge).unwrap();
        ended.winner.is_some_and(|winner| winner.tuning.is_some() && !winner.changes.is_empty())
    };
    let seed = (7..30).find(tuned).unwrap();
    let ended = search(&path, &small(), seed, &judge).unwrap();
    let elites: Vec<&Individual> =
        ended.population.elites.iter().map(|id| ended.population.find(*id).unwrap()).collect();
    assert!(!elites.is_empty() && elites.iter().all(|one| one.is_confirmed() && one.gains.len() >= 2));
    let noise = ended.population.shrinkage().noise.unwrap();
    assert!((0.001..0.008).contains(&noise), "{noise}, where 0.005 is true");
    let winner = ended.winner.unwrap();
    assert_eq!(Winner::load(&path, 4).unwrap(), Some(winner.clone()));
    assert_eq!(Winner::load(&path, 5).unwrap(), None);
    assert!(winner.finalists[0].dropped.is_none() && winner.replicates == 3);
    assert!(winner.tuning.is_some() && !winner.changes.is_empty() && winner.nearest.is_some());
    // The control has none of the noise of its own in what is compared.
    let lead = judge.truth(&winner.formula().unwrap()) - judge.truth(&lossgen::evolution::control());
    assert!((winner.gain.mean - lead).abs() < 0.012, "{} is told, {lead} is true", winner.gain.mean);

    let before = outcome(&path);
    std::fs::remove_file(path.join("winner.ron")).unwrap();
    let journal = std::fs::read(path.join("journal.jsonl")).unwrap();
    search(&path, &small(), seed, &judge).unwrap();
    assert_eq!(outcome(&path), before);
    assert_eq!(std::fs::read(path.join("journal.jsonl")).unwrap(), journal, "something was trained again");
}

/// Whoever is born ahead of the leader is put beside it at once, though little is believed of one training.
#[test]
fn newcomers_challenge_the_leader() {
    let home = home();
    let path = home.path().join("run");
    let config = SearchConfig { elites: 1, scratch_weight: 1.0, toll_per_word: 0.0, generations: 8, ..small() };
    search(&path, &config, 5, &Synthetic { noise: 0.0, ..Synthetic::default() }).unwrap();
    let population = |number: usize| Population::load(&path.join(format!("generation-{number:04}.ron"))).unwrap();
    let first = |one: &Individual| one.gains[0].dice.iter().sum::<f64>();
    let mut challenges = 0;
    for number in 1..=8 {
        let (before, now) = (population(number - 1), population(number));
        let leader = before.find(before.elites[0]).unwrap();
        let newborn = now.individuals.iter().filter(|one| one.birth == number && one.is_through());
        let Some(best) = newborn.max_by(|a, b| first(a).total_cmp(&first(b))) else { continue };
        if first(best) > first(leader) {
            challenges += 1;
            assert!(best.gains.len() >= leader.gains.len(), "{} is ahead of {}", best.formula, leader.formula);
        }
    }
    assert!(challenges > 0, "nobody was ever ahead");
}

/// The gain of the first replicate is what the journal says of its trainings, by their weights, and what counts for nothing
/// is not trained; without a weight, elites alone are.
#[test]
fn a_gain_is_made_of_what_counts() {
    let home = home();
    for weight in [0.0, 0.3, 1.0] {
        let path = home.path().join(weight.to_string());
        // A report about headroom trains from starts as well, which must not count where starts do not.
        let config = SearchConfig { scratch_weight: weight, greedy: 0.0, tuning: 0, headroom: 4, ..small() };
        let ended = search(&path, &config, 4, &Synthetic::default()).unwrap();
        let journal = std::fs::read_to_string(path.join("journal.jsonl")).unwrap();
        let dice = |trial: &str, loss: &Formula| -> Option<f64> {
            let (trial, loss) = (format!("\"trial\":{trial},"), format!("\"loss\":\"{}\"", loss.canonical()));
            let line = journal.lines().find(|line| line.contains(&trial) && line.contains(&loss))?;
            let line: serde_json::Value = serde_json::from_str(&line[line.find('{').unwrap()..]).unwrap();
            let dice = line["training"]["outcome"]["Trained"]["dice"].as_array()?;
            Some(dice.iter().map(|dice| dice.as_f64().unwrap()).sum::<f64>() / dice.len() as f64)
        };
        let trials = [r#"{"proxy":{"part":1,"replicate":0}}"#, r#"{"scratch":{"replicate":0}}"#];
        let control = lossgen::evolution::control();
        let through: Vec<&Individual> = ended.population.everybody().filter(|one| one.is_through()).collect();
        assert!(through.len() > 5);
        for one in &through {
            let [start, scratch] = trials.map(|trial| Some(dice(trial, &one.formula)? - dice(trial, &control)?));
            let gain = (1.0 - weight) * start.unwrap_or(0.0) + weight * scratch.unwrap_or(0.0);
            let mean = one.gains[0].dice.iter().sum::<f64>() / one.gains[0].dice.len() as f64;
            assert!((mean - gain).abs() < 1e-12, "{mean} is told of {}, {gain} is true", one.formula);
            assert!(start.is_some() || weight == 1.0);
            assert_eq!(scratch.is_some(), weight > 0.0 || one.is_confirmed());
        }
        assert_eq!(through.iter().all(|one| one.is_confirmed()), weight > 0.0);
        let winner = ended.winner.unwrap();
        assert_eq!(winner.from_starts.is_some(), weight < 1.0);
        let parts = [(winner.from_starts, 1.0 - weight), (winner.from_scratch, weight)];
        let gain: f64 = parts.iter().filter(|part| part.1 > 0.0).map(|(lead, share)| share * lead.unwrap().mean).sum();
        assert!((winner.gain.mean - gain).abs() < 1e-12);
    }
}

/// What a training made of a parent's constants is what the child has, and stands in the journal under the parent.
#[test]
fn constants_that_moved_in_a_training_are_inherited() {
    let home = home();
    let path = home.path().join("run");
    let config = SearchConfig { greedy: 0.6, ..small() };
    let ended = search(&path, &config, 3, &Synthetic::default()).unwrap();
    let journal = std::fs::read_to_string(path.join("journal.jsonl")).unwrap();
    let adapted: Vec<(String, String)> = journal
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(&line[line.find('{').unwrap()..]).unwrap())
        .map(|line| line["training"].clone())
        .filter(|training| training["trial"] == "adapt")
        .map(|training| {
            assert!(training["generation"].is_u64(), "somebody pays: {training}");
            let text = |value: &serde_json::Value| value.as_str().unwrap().to_string();
            (text(&training["loss"]), text(&training["outcome"]["Adapted"]["loss"]))
        })
        .collect();
    let children: Vec<&Individual> = ended.population.everybody().filter(|one| one.origin == Origin::Greedy).collect();
    assert!(children.len() >= 3, "only {} children of {} trainings", children.len(), adapted.len());
    for child in children {
        let parent = ended.population.find(child.parents[0]).unwrap().formula.canonical().to_string();
        let known = adapted.iter().find(|(loss, _)| *loss == parent).expect("the training is in the journal");
        assert_eq!(known.1, child.formula.canonical().to_string());
        assert_ne!(known.1, parent);
    }
    assert_eq!(adapted.iter().filter(|pair| **pair == adapted[0]).count(), 1, "nothing is paid for twice");
    // Without it, nobody is made so, and nothing is trained for it.
    let none = home.path().join("none");
    let config = SearchConfig { greedy: 0.0, ..small() };
    let ended = search(&none, &config, 3, &Synthetic::default()).unwrap();
    assert!(ended.population.everybody().all(|one| one.origin != Origin::Greedy));
    assert!(!std::fs::read_to_string(none.join("journal.jsonl")).unwrap().contains("adapt"));
}

#[test]
fn rungs_of_trainings_from_scratch_need_no_start() {
    let home = home();
    let config = SearchConfig { sift: Sift::Scratch, scratch_weight: 1.0, greedy: 0.0, ..small() };
    let run = home.path().join("run");
    search(&run, &config, 1, &Synthetic::default()).unwrap();
    let journal = std::fs::read_to_string(run.join("journal.jsonl")).unwrap();
    for trial in [r#""sift":{"part":9,"#, r#""sift":{"part":3,"#, r#""scratch":{"#] {
        assert!(journal.contains(trial), "no {trial}");
    }
    assert!(!journal.contains(r#""proxy":{"#), "a training from a start");
    assert!(journal.contains("search.sift") && !journal.contains("search.guesses"));
    // As runs from before this could be said, which go on.
    let plain = home.path().join("plain");
    search(&plain, &SearchConfig { generations: 0, ..small() }, 1, &Synthetic::default()).unwrap();
    assert!(!std::fs::read_to_string(plain.join("journal.jsonl")).unwrap().contains("search.sift"));

    let run = RunDir::create(&home.path().join("room")).unwrap();
    let (grammar, stop) = (Grammar::polarity(), AtomicBool::new(false));
    let breeder = Breeder { config: &config, seed: 1, grammar: &grammar, stop: &stop };
    let search = Search { breeder, evaluator: &Synthetic::default(), run: &run, time_is_over: &|| false };
    let room = search.headroom(&mut |_| true).unwrap().unwrap();
    let kinds = [Kind::Sift(9), Kind::Sift(3), Kind::Start(1), Kind::Scratch];
    assert!(room.rungs.iter().map(|rung| rung.kind).eq(kinds), "{:?}", room.rungs);
}

#[test]
fn headroom_is_told_from_noise() {
    let home = home();
    let report = |noise: f64| -> Headroom {
        let run = RunDir::create(&home.path().join(noise.to_string())).unwrap();
        let (grammar, stop) = (Grammar::polarity(), AtomicBool::new(false));
        let config = small();
        let breeder = Breeder { config: &config, seed: 1, grammar: &grammar, stop: &stop };
        let judge = Synthetic { noise, ..Synthetic::default() };
        let search = Search { breeder, evaluator: &judge, run: &run, time_is_over: &|| false };
        search.headroom(&mut |_| true).unwrap().unwrap()
    };
    let (clear, vague) = (report(0.2), report(15.0));
    assert!(clear.is_enough() && clear.verdict().contains("can tell losses apart"), "{}", clear.verdict());
    assert!(!vague.is_enough() && vague.verdict().contains("cannot tell losses apart"), "{}", vague.verdict());
    assert!(clear.rungs[0].tau.unwrap() > 0.8 && clear.rungs[4].tau == Some(1.0));
    assert!(clear.losses.len() > 10 && clear.rungs.iter().map(|rung| rung.steps).eq([10, 30, 90, 90, 180]));
    let kinds = [Kind::Start(9), Kind::Start(3), Kind::Start(1), Kind::Scratch, Kind::Both];
    assert!(clear.rungs.iter().map(|rung| rung.kind).eq(kinds));
    for (at, both) in clear.rungs[4].gains.iter().enumerate() {
        let [start, scratch] = [2, 3].map(|rung: usize| clear.rungs[rung].gains[at].unwrap());
        assert!((both.unwrap() - 0.7 * start - 0.3 * scratch).abs() < 1e-12);
    }
    assert!(vague.rungs[2].noise > 10.0 * clear.rungs[2].noise);

    // The judge wants the common learning rate for every loss, and bad ones diverge above it.
    let sweep = clear.sweep.as_ref().unwrap();
    assert_eq!(sweep.gains.len(), clear.losses.len());
    assert!((0..clear.losses.len()).filter_map(|loss| sweep.best(loss)).all(|best| best.factor == 1.0), "{sweep:?}");
    assert!(clear.verdict().contains("does not owe it to its step size"), "{}", clear.verdict());
    let read: Headroom = notation::load(&home.path().join("0.2").join(HEADROOM)).unwrap();
    assert_eq!(read, clear);
    // What was trained at the common rate for the last rung is not trained again.
    let journal = std::fs::read_to_string(home.path().join("0.2/journal.jsonl")).unwrap();
    let trainings = journal.lines().filter(|line| line.contains("\"training\"")).count();
    assert_eq!(trainings, clear.losses.len() * (4 * 3 + 2 * 2));
}
