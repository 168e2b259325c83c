//! `lossgen learn`: a loss that is not written but learned, and the formula nearest to it.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::config::Config;
use super::evolve::free_directory;
use super::manifest::{Command, Manifest, check_digest, check_kernels};
use super::term::Term;
use super::{Common, STOP, reference};
use crate::atlas::{Atlas, Neighbour};
use crate::fault::{Fault, Result};
use crate::formula::Formula;
use crate::formula::eval::Activation;
use crate::formula::fingerprint::{distance, normalised, probes};
use crate::formula::forward::Screen;
use crate::grammar::Grammar;
use crate::losses::catalog::CATALOG;
use crate::losses::learned::{Learned, Listens};
use crate::notation;
use crate::report::learned::{Profile, picture};
use crate::run::RunDir;
use crate::training::learn::{Course, Lesson, School};

/// The weights of the loss in a run.
pub(super) const WEIGHTS: &str = "learned.safetensors";

/// Where the course of a run stands.
const COURSE: &str = "course.safetensors";

/// Lessons between two times that the course is saved.
const EVERY: usize = 25;

/// Grammars whose small losses are held against the learned one, and how small they are, in words.
const NEIGHBOURHOODS: [(&str, usize); 2] = [("distribution", 7), ("polarity", 7)];

/// Known losses that are told.
const KNOWN: usize = 3;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Configuration file
    config: Option<PathBuf>,
    /// Continue an interrupted run; with --data if its cases are elsewhere now
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "lessons", "task", "distance", "out", "seed"])]
    resume: Option<PathBuf>,
    /// Lessons: steps of the optimiser of the loss
    #[arg(long, value_name = "N")]
    lessons: Option<usize>,
    /// What networks are to be good at: a loss of the catalog, or a formula
    #[arg(long, value_name = "L")]
    task: Option<String>,
    /// The loss listens to the distance to the rim of the target, too
    #[arg(long)]
    distance: bool,
}

/// `learned.ron`: what was learned, for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    task: String,
    listens: Listens,
    hidden: usize,
    lessons: usize,
    seed: u64,
    /// Cosine between the gradient of the loss and the task's on other patches: mean over the last tenth of the lessons.
    cosine: f64,
    /// Known losses and how far they are, the nearest first.
    known: Vec<(String, f64)>,
    /// The nearest small formulas, by grammar.
    formulas: Vec<Nearest>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nearest {
    grammar: String,
    formula: String,
    distance: f64,
    fitted: String,
    fitted_distance: f64,
}

pub(super) fn run(arguments: &Arguments, common: &Common, term: &Term) -> Result<()> {
    let old = arguments.resume.as_deref().map(|run| Manifest::of(run, Command::Learn)).transpose()?;
    let config = configure(arguments, old.as_ref(), common)?;
    let task = reference::find(&config.learn.task)?.loss.formula;
    let dataset = config.dataset(term)?;
    let network = config.unet(&dataset, &config.learn.recipe).map_err(|fault| fault.within("learn"))?;
    if config.network.activation == Activation::Softmax {
        return Err(only_sigmoid());
    }
    let split = config.holdout(&dataset)?;
    if let Some(old) = &old {
        check_kernels(&old.kernels, config.learn.recipe.precision)?;
        check_digest(&old.data_digest, &dataset)?;
    }
    let run = match &arguments.resume {
        Some(path) => RunDir::open(path)?,
        None => RunDir::create(&common.out.clone().unwrap_or_else(|| free_directory("runs/learn")))?,
    };
    let manifest = Manifest::new(Command::Learn, &config, "", &dataset, &split);
    if old.is_none_or(|old| old.config != manifest.config) {
        run.write("manifest.ron", notation::to_text(&manifest)?.as_bytes())?;
    }
    let cases = dataset.select(&split.train);
    let school = School { cases: &cases, network, config: &config.learn, task, seed: config.seed };
    let mut course = begun(&school, &run)?;
    term.say(&format!(
        "{}: {} cases; {} networks, {} lessons, {} of them given ({} threads)\nrun: {}\n",
        dataset.name,
        cases.len(),
        config.learn.networks,
        config.learn.lessons,
        course.lessons().len(),
        common.threads(),
        run.path().display(),
    ));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(common.threads()).build();
    let pool = pool.map_err(|error| Fault::failed(format!("cannot start threads: {error}")))?;
    pool.install(|| teach(&mut course, &config.learn.task, &run, term))?;
    let loss = course.loss();
    let document = pool.install(|| describe(&loss, &config, course.lessons()))?;
    write(&run, &loss, course.lessons(), &document)?;
    term.result(&if common.json { json(&document)? } else { text(&document, &run) });
    Ok(())
}

/// The course of a run where it stands, or a new one.
fn begun<'a>(school: &'a School<'a>, run: &RunDir) -> Result<Course<'a>> {
    let file = run.file(COURSE);
    if !file.is_file() {
        return Ok(Course::begin(school));
    }
    let bytes = std::fs::read(&file).map_err(|error| Fault::io("read", &file, &error))?;
    Course::load(school, &bytes).map_err(|fault| fault.file(&file))
}

/// Gives the lessons that are left. Whatever ends it, the next one goes on from at most so many lessons before.
fn teach(course: &mut Course<'_>, task: &str, run: &RunDir, term: &Term) -> Result<()> {
    let total = course.total();
    let bar = term.bar(total as u64, "lessons");
    bar.set_position(course.lessons().len() as u64);
    let mut stopped = false;
    while !course.is_over() && !stopped {
        let lesson = course.lesson()?;
        bar.inc(1);
        bar.set_message(format!("cosine {:.3}, {task} {:.3}", lesson.cosine, lesson.task));
        stopped = STOP.load(Ordering::SeqCst);
        if stopped || course.is_over() || course.lessons().len().is_multiple_of(EVERY) {
            run.write(COURSE, &course.save()?)?;
        }
    }
    bar.finish_and_clear();
    if course.is_over() {
        return Ok(());
    }
    let resume = format!("lossgen learn --resume {}", run.path().display());
    let given = format!("stopped after lesson {} of {total}; the run is saved", course.lessons().len());
    Err(Fault::stopped(given).hint(format!("continue with `{resume}`")))
}

fn configure(arguments: &Arguments, old: Option<&Manifest>, common: &Common) -> Result<Config> {
    if let Some(old) = old {
        let mut config = old.config.clone();
        config.locate(common.data.as_deref());
        return Ok(config);
    }
    let mut config = Config::resolve(arguments.config.as_deref(), common)?;
    let learn = &mut config.learn;
    learn.lessons = arguments.lessons.unwrap_or(learn.lessons);
    if let Some(task) = &arguments.task {
        learn.task.clone_from(task);
    }
    learn.listens.distance |= arguments.distance;
    config.check()?;
    Ok(config)
}

/// A learned loss speaks about every class on its own.
pub(super) fn only_sigmoid() -> Fault {
    Fault::new("a learned loss needs a sigmoid for every class")
        .field("network.activation")
        .expected("Sigmoid")
        .found("Softmax")
        .hint("set `network: (activation: Sigmoid)`, or train with another loss")
}

/// The learned loss of a run, or of a file of weights.
///
/// # Errors
/// If there is none.
pub(super) fn load(place: &Path) -> Result<Learned> {
    let file = if place.is_dir() { place.join(WEIGHTS) } else { place.to_path_buf() };
    let bytes = std::fs::read(&file).map_err(|error| {
        Fault::io("read", &file, &error).expected("a run of `lossgen learn`, or its `learned.safetensors`")
    })?;
    Learned::from_safetensors(&bytes).map_err(|fault| fault.file(&file))
}

fn describe(loss: &Learned, config: &Config, lessons: &[Lesson]) -> Result<Document> {
    let learn = &config.learn;
    let last = lessons[lessons.len() - lessons.len().div_ceil(10)..].iter().map(|lesson| lesson.cosine);
    let last: Vec<f64> = last.filter(|cosine| cosine.is_finite()).collect();
    let direction = normalised(&loss.slopes(&probes()));
    let direction = direction.ok_or_else(|| Fault::failed("the learned loss has no gradient; learn longer"))?;
    let screen = Screen::default();
    let far =
        |formula: &Formula| normalised(&screen.answer(formula).1).map_or(2.0, |known| distance(&known, &direction));
    let mut known: Vec<(String, f64)> =
        CATALOG.iter().map(|entry| (entry.name.to_string(), far(&entry.formula()))).collect();
    known.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut formulas = Vec::new();
    for (name, largest) in NEIGHBOURHOODS {
        let Some(grammar) = Grammar::built_in(name) else { continue };
        let atlas = Atlas::explore(&grammar, largest, 1, &STOP, &mut |_| {})?;
        if let Some(Neighbour { nearest, distance, fitted, fitted_distance }) = atlas.neighbour(&direction) {
            let (formula, fitted) = (nearest.to_string(), fitted.to_string());
            formulas.push(Nearest { grammar: name.to_string(), formula, distance, fitted, fitted_distance });
        }
    }
    Ok(Document {
        version: 1,
        task: learn.task.clone(),
        listens: learn.listens,
        hidden: learn.hidden,
        lessons: learn.lessons,
        seed: config.seed,
        cosine: last.iter().sum::<f64>() / last.len().max(1) as f64,
        known,
        formulas,
    })
}

fn write(run: &RunDir, loss: &Learned, lessons: &[Lesson], document: &Document) -> Result<()> {
    let mut csv = String::from("lesson,cosine,task\n");
    for Lesson { number, cosine, task } in lessons {
        csv += &format!("{number},{cosine:.6},{task:.6}\n");
    }
    run.write("lessons.csv", csv.as_bytes())?;
    run.write("learned.svg", picture(&profiles(loss)).as_bytes())?;
    run.write("learned.ron", notation::to_text(document)?.as_bytes())?;
    // Last: whoever finds it finds everything.
    run.write(WEIGHTS, &loss.to_safetensors()?)
}

/// Slopes of a voxel against its logit at three moments, in the size of their largest.
fn profiles(loss: &Learned) -> Vec<Profile> {
    let moments: &[f64] = if loss.listens().progress { &[0.0, 0.5, 1.0] } else { &[0.5] };
    let logits = || (-60..=60).map(|step| f64::from(step) / 10.0);
    let curve = |progress: f64, side: f64| -> Vec<[f64; 2]> {
        logits().map(|logit| [logit, loss.at([logit, side, progress, 0.0]).1]).collect()
    };
    moments
        .iter()
        .map(|progress| Profile {
            name: format!("t = {progress}"),
            background: curve(*progress, 0.0),
            foreground: curve(*progress, 1.0),
        })
        .collect()
}

fn text(document: &Document, run: &RunDir) -> String {
    let mut text = format!(
        "learned for {} in {} lessons: cosine {:.3} between its gradient and the task's on other patches\n\nnearest known losses (0 alike, 2 opposite)\n",
        document.task, document.lessons, document.cosine
    );
    for (name, distance) in document.known.iter().take(KNOWN) {
        text += &format!("  {distance:.3}  {name}\n");
    }
    text += "\nnearest small formulas\n";
    for nearest in &document.formulas {
        text += &format!("  {:.3}  {}  ({})\n", nearest.fitted_distance, nearest.fitted, nearest.grammar);
    }
    let path = run.path().display();
    text + &format!("\n  lossgen train --loss \"learned({path})\" --loss dice_ce --loss ce\n")
}

fn json(document: &Document) -> Result<String> {
    serde_json::to_string(document).map_err(|error| Fault::failed(error.to_string()))
}
