//! The results of `lossgen train`: gathered as folds finish, written at once, shown as the table of the field.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::STOP;
use super::term::{Term, table};
use crate::fault::{Fault, Result};
use crate::metrics::table::{Row, Table, pair, write_csv};
use crate::metrics::{CaseMetrics, Metric};
use crate::nn::UNet3d;
use crate::report::trajectory::picture;
use crate::rng::{Purpose, stream};
use crate::run::{Journal, RunDir, read_journal};
use crate::stats::{self, holm, wilcoxon};
use crate::training::crossval::{Cell, CellOutcome, Study};
use crate::training::model::{Model, ModelCard, TrainedOn, TrainedWith};
use crate::training::objective::names;
use crate::training::{Passes, Step};

/// The level of the tests.
const LEVEL: f64 = 0.05;

/// One table per loss that trained in every fold.
pub(super) struct Results {
    tables: Vec<(String, Table)>,
    folds: usize,
}

/// A finished cell: a line of `cells.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
struct Finished {
    loss: usize,
    fold: usize,
    ending: Ending,
}

/// What became of a cell, for good: a cell that failed for reasons of the machine is tried again.
#[derive(Debug, Serialize, Deserialize)]
enum Ending {
    Trained(Vec<Row>),
    Diverged { step: usize },
}

/// Trains the cells of a study that are not in the journal of `out`; every finished one is on the disk before the next is
/// looked at. `card` is what all models have in common.
///
/// # Errors
/// If a result cannot be written, or a signal stopped the work.
pub(super) fn collect(study: &Study<'_>, card: &ModelCard, out: &RunDir, term: &Term) -> Result<Results> {
    let file = out.file("cells.jsonl");
    let earlier: Vec<Finished> = read_journal(&file)?;
    let mut cells: BTreeMap<(usize, usize), Ending> =
        earlier.into_iter().map(|cell| ((cell.loss, cell.fold), cell.ending)).collect();
    let open: Vec<Cell> = study.cells().into_iter().filter(|c| !cells.contains_key(&(c.loss, c.fold))).collect();
    if !cells.is_empty() {
        term.say(&format!("{} of {} trainings found in the journal", cells.len(), study.cells().len()));
    }
    let mut journal = Journal::open(&file)?;
    let mut trouble: Option<Fault> = None;
    let bar = term.bar((open.len() * study.recipe.steps) as u64, "training");
    study.run(&open, &|| bar.inc(1), &mut |cell, outcome| {
        let place = format!("{}, fold {}/{}", study.losses[cell.loss].name, cell.fold + 1, study.folds.len());
        let ending = match outcome {
            CellOutcome::Trained { network, metrics, curve } => {
                let rows = rows(study, cell, metrics);
                let mean = Table { rows: rows.clone() }.over_cases(Metric::Dice, None).mean;
                term.say(&format!("  {place}: Dice {:.2} %{}", 100.0 * mean, cost(&curve)));
                trouble = trouble.take().or_else(|| save(study, card, out, cell, &network, &curve).err());
                Some(Ending::Trained(rows))
            }
            CellOutcome::Diverged { step } => {
                term.say(&format!("  {place}: diverged at step {step}"));
                Some(Ending::Diverged { step })
            }
            CellOutcome::Failed { reason } => {
                term.say(&format!("  {place}: failed: {reason}"));
                None
            }
        };
        if let (Some(ending), None) = (ending, &trouble) {
            let finished = Finished { loss: cell.loss, fold: cell.fold, ending };
            trouble = journal.append(&finished).err();
            cells.insert((cell.loss, cell.fold), finished.ending);
            trouble = trouble.take().or_else(|| write_cases(out, &tables(study, &cells)).err());
        }
        trouble.is_none() && !STOP.load(Ordering::SeqCst)
    });
    bar.finish_and_clear();
    if let Some(fault) = trouble {
        return Err(fault);
    }
    if STOP.load(Ordering::SeqCst) && cells.len() < study.cells().len() {
        let resume = format!("lossgen train --resume {}", out.path().display());
        return Err(Fault::stopped("stopped; finished trainings are saved").hint(format!("continue with `{resume}`")));
    }
    let mut tables = tables(study, &cells);
    for (loss, (name, _)) in tables.iter().enumerate() {
        let missing = study.folds.len() - trained(&cells, loss).count();
        if missing > 0 {
            term.say(&format!(
                "{name}: {missing} of {} folds have no result; left out of the table",
                study.folds.len()
            ));
        }
    }
    let mut complete = (0..tables.len()).map(|loss| trained(&cells, loss).count() == study.folds.len());
    tables.retain(|_| complete.next().unwrap_or(false));
    if tables.is_empty() {
        return Err(Fault::failed("no loss could be trained in every fold").file(out.path()));
    }
    Ok(Results { tables, folds: study.folds.len() })
}

/// The rows of a loss, fold by fold.
fn trained(cells: &BTreeMap<(usize, usize), Ending>, loss: usize) -> impl Iterator<Item = &Vec<Row>> {
    cells.range((loss, 0)..=(loss, usize::MAX)).filter_map(|(_, ending)| match ending {
        Ending::Trained(rows) => Some(rows),
        Ending::Diverged { .. } => None,
    })
}

/// One table per loss, in order of the folds: the order in which cells finish leaves no trace.
fn tables(study: &Study<'_>, cells: &BTreeMap<(usize, usize), Ending>) -> Vec<(String, Table)> {
    let table = |loss: usize| Table { rows: trained(cells, loss).flatten().cloned().collect() };
    study.losses.iter().enumerate().map(|(place, loss)| (loss.name.clone(), table(place))).collect()
}

fn rows(study: &Study<'_>, cell: Cell, metrics: Vec<Vec<CaseMetrics>>) -> Vec<Row> {
    let cases = study.folds[cell.fold].test.iter().map(|place| study.cases[*place].id.clone());
    let one = |(case, classes): (String, Vec<CaseMetrics>)| {
        let row = move |(class, metrics)| Row { case: case.clone(), fold: cell.fold, class, metrics };
        (1u8..).zip(classes).map(row).collect::<Vec<Row>>()
    };
    cases.zip(metrics).flat_map(one).collect()
}

/// Name of the model and of the curve of a cell.
fn stem(cell: Cell) -> String {
    format!("loss{}-fold{}", cell.loss + 1, cell.fold + 1)
}

/// The model of a cell, and its curve: the loss of every step, and where what moves stood.
fn save(study: &Study<'_>, card: &ModelCard, out: &RunDir, cell: Cell, network: &UNet3d, curve: &[Step]) -> Result<()> {
    let stem = stem(cell);
    let (loss, fold) = (&study.losses[cell.loss], &study.folds[cell.fold]);
    let card = ModelCard {
        loss: TrainedWith { name: loss.name.clone(), text: loss.text.clone() },
        training: TrainedOn {
            cases: fold.train.iter().map(|place| study.cases[*place].id.clone()).collect(),
            fold: (cell.fold + 1, study.folds.len()),
            ..card.training.clone()
        },
        ..card.clone()
    };
    Model::save(&out.file(&stem), card, network)?;
    let moved = names(&study.losses[cell.loss]);
    let mut csv = [&["step".to_string(), "loss".to_string()], &moved[..]].concat().join(",");
    let has_trials = curve.iter().any(|step| step.trials != Passes::default());
    if has_trials {
        csv += ",trial_forward_passes,trial_backward_passes";
    }
    for Step { number, loss, moving, trials } in curve {
        csv += &format!("\n{number},{loss}");
        csv.extend(moving.iter().map(|value| format!(",{value}")));
        if has_trials {
            csv += &format!(",{},{}", trials.forward, trials.backward);
        }
    }
    out.write(&format!("{stem}-curve.csv"), format!("{csv}\n").as_bytes())?;
    if moved.is_empty() {
        return Ok(());
    }
    let losses: Vec<f64> = curve.iter().map(|step| step.loss).collect();
    let moving: Vec<Vec<f64>> = curve.iter().map(|step| step.moving.clone()).collect();
    out.write(&format!("{stem}-curve.svg"), picture(&moved, &losses, &moving).as_bytes())
}

/// What trials of the loss's parameters cost, if there were any. A step itself is one pass forward and one backward.
fn cost(curve: &[Step]) -> String {
    let mean = |of: fn(&Step) -> usize| curve.iter().map(of).sum::<usize>() as f64 / curve.len() as f64;
    let [forward, backward] = [mean(|step| step.trials.forward), mean(|step| step.trials.backward)];
    if forward + backward == 0.0 {
        return String::new();
    }
    format!("; trials took {forward:.2} passes forward and {backward:.2} backward a step")
}

fn write_cases(out: &RunDir, tables: &[(String, Table)]) -> Result<()> {
    let mut bytes = Vec::new();
    write_csv(tables.iter().map(|(name, table)| (name.as_str(), table)), &mut bytes)?;
    out.write("cases.csv", &bytes)
}

impl Results {
    /// Prints and saves the table of the talk, and what may be said of the differences.
    pub(super) fn conclude(&self, seed: u64, out: &RunDir, as_json: bool, term: &Term) -> Result<()> {
        let text = format!("{}\n\n{}", self.grid(), self.remarks(seed)?);
        let mut csv = String::from("loss,metric,unit,mean,sd,n,undefined,missed,spurious\n");
        let mut json = Vec::new();
        for (name, table) in &self.tables {
            // A run that was begun before probabilities were measured has none.
            let measured = |metric: &Metric| table.rows.iter().any(|row| row.metrics.measured(*metric));
            for metric in Metric::all().filter(measured) {
                let (folds, cases) = (table.over_folds(metric, None), table.over_cases(metric, None));
                let counts = format!("{},{},{},{}", cases.n, cases.undefined, cases.missed, cases.spurious);
                csv += &format!(
                    "\"{}\",{},{},{},{},{counts}\n",
                    name.replace('"', "\"\""),
                    metric.key(),
                    metric.unit(),
                    folds.mean,
                    folds.sd
                );
                json.push(serde_json::json!({
                    "loss": name, "metric": metric.key(), "unit": metric.unit(), "mean": folds.mean, "sd": folds.sd,
                    "n": cases.n, "undefined": cases.undefined, "missed": cases.missed, "spurious": cases.spurious,
                }));
            }
        }
        out.write("table.csv", csv.as_bytes())?;
        out.write("table.txt", text.as_bytes())?;
        term.result(&if as_json { serde_json::json!(json).to_string() } else { text });
        Ok(())
    }

    /// Mean and standard deviation over folds of the mean over cases: shares in percent, distances in mm.
    fn grid(&self) -> String {
        let is_share = |metric: Metric| metric.unit().is_empty();
        let head = |metric: Metric| if is_share(metric) { format!("{metric} [%]") } else { metric.to_string() };
        let header = std::iter::once("loss".to_string()).chain(Metric::MAIN.map(head)).collect();
        let row = |(name, losses): &(String, Table)| {
            let cell = |metric: Metric| {
                let folds = losses.over_folds(metric, None);
                let factor = if is_share(metric) { 100.0 } else { 1.0 };
                format!("{:.2} ± {:.2}", factor * folds.mean, factor * folds.sd)
            };
            std::iter::once(name.clone()).chain(Metric::MAIN.map(cell)).collect()
        };
        table(header, self.tables.iter().map(row).collect(), |column| column > 0)
    }

    /// What the numbers are, and Dice of the first loss against each other one with subjects as the unit.
    fn remarks(&self, seed: u64) -> Result<String> {
        let ((first_name, first), others) = self.tables.split_first().expect("at least one loss was trained");
        let cases = first.over_cases(Metric::Dice, None);
        let mut text =
            format!("mean ± sd over {} folds of the mean over test volumes ({} values of Dice)\n", self.folds, cases.n);
        for (name, table) in &self.tables {
            let cases = table.over_cases(Metric::Hd95, None);
            if cases.missed + cases.spurious > 0 {
                text += &format!(
                    "{name}: {} missed and {} spurious structures; their distances count as the volume diagonal\n",
                    cases.missed, cases.spurious
                );
            }
            for metric in Metric::MAIN {
                let undefined = table.over_cases(metric, None).undefined;
                if undefined > 0 {
                    text += &format!("{name}: {metric} of {undefined} masks is 0/0 and left out\n");
                }
            }
        }
        let mut comparisons = Vec::new();
        for (name, other) in others {
            let pair = pair(first, other, Metric::Dice, None);
            let comparison = stats::compare(&pair.first, &pair.second, &mut stream(seed, Purpose::Bootstrap, 0, 0))?;
            comparisons.push((name, comparison));
        }
        let p_values: Vec<f64> = comparisons.iter().map(|(_, comparison)| comparison.signed_rank.p).collect();
        for ((name, comparison), p) in comparisons.iter().zip(holm::adjusted(&p_values)) {
            let paired = &comparison.paired;
            let verdict = comparison.verdict(Metric::Dice.direction(), p, LEVEL);
            text += &format!(
                "\nDice of {first_name} against {name}: {verdict}\n  difference {:+.2} points, 95 % interval [{:+.2}, {:+.2}], Wilcoxon p = {p:.3} (Holm), n = {}; detectable {:.2}\n",
                100.0 * paired.mean,
                100.0 * comparison.bootstrap.low,
                100.0 * comparison.bootstrap.high,
                paired.n,
                100.0 * comparison.detectable,
            );
            if p_values.len() as f64 * wilcoxon::least_p(paired.n) >= LEVEL {
                text += &format!("  n = {} is too small: no outcome could have p < {LEVEL}\n", paired.n);
            }
        }
        Ok(text)
    }
}
