//! `lossgen evaluate`: predicted masks against the truth.
//!
//! Standard output has the summary or the JSON and nothing else; values per case go into a file. What an earlier
//! evaluation wrote is never lost: it is moved aside.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use clap::Args;
use rayon::prelude::*;
use serde::{Serialize, Serializer};

use super::term::{Term, table};
use super::{Common, STOP};
use crate::data::pairs::{MaskPair, pairs};
use crate::fault::{Fault, Result};
use crate::metrics::evaluation::{CaseEvaluation, ClassMean, Evaluation, Measured};
use crate::metrics::surface::NSD_TOLERANCE_MM;
use crate::run;

#[derive(Debug, Args)]
#[command(after_help = FORMATS)]
pub(super) struct Arguments {
    /// Folder of predicted masks (ID.nii.gz or ID.nii), or one mask
    #[arg(value_name = "PRED")]
    predictions: PathBuf,
    /// Folder of true masks with the same names, for example labelsTr, or one mask
    #[arg(value_name = "GT")]
    truths: PathBuf,
    /// Surfaces at most this far apart agree in the normalised surface Dice (nsd)
    #[arg(long, value_name = "MM", default_value_t = NSD_TOLERANCE_MM, allow_negative_numbers = true)]
    nsd_tolerance: f64,
}

const FORMATS: &str = "\
Masks hold whole numbers from 0 to 255. Every class that occurs in any mask of the two folders is
evaluated in every case; 0 is background. Prediction and truth must be on the same grid.

Values per case are written as case,class,metric,value,unit to DIR/cases.csv with --out DIR, otherwise
to PRED/evaluation.csv (ID-evaluation.csv beside one mask), where earlier values are kept under the name
evaluation-1.csv, -2, ... They are as measured: NaN where a metric is 0/0, inf for a distance to an empty
mask.

Means are over the n cases where a metric is defined; infinite distances count in them as the volume's
diagonal (replaced). missed: cases with the class in the truth only; spurious: in the prediction only.

--json prints {\"cases\": [{case, class, metric, value, unit}], \"summary\": [{class, metric, mean, sd, n,
undefined, missed, spurious, replaced, unit}]}: shares from 0 to 1, undefined values are null, infinite
distances the string \"inf\".";

pub(super) fn run(arguments: &Arguments, common: &Common, term: &Term) -> Result<()> {
    let tolerance = arguments.nsd_tolerance;
    if !(tolerance >= 0.0 && tolerance.is_finite()) {
        return Err(Fault::new("tolerance is not a distance")
            .field("--nsd-tolerance")
            .expected("a number of mm, at least 0")
            .found(tolerance));
    }
    let pairs = pairs(&arguments.predictions, &arguments.truths)?;
    let file = destination(&arguments.predictions, common.out.as_deref())?;
    let evaluation = evaluate(&pairs, tolerance, common.threads(), term)?;
    if evaluation.classes.is_empty() {
        return Err(Fault::new("there is nothing to evaluate: every voxel of every mask is background")
            .file(&arguments.truths)
            .expected("at least one voxel of a class from 1 to 255"));
    }
    let mut csv = Vec::new();
    evaluation.write_csv(&mut csv)?;
    // Shown first: a folder that cannot be written to must not cost the result.
    term.result(&if common.json { json(&evaluation)? } else { overview(&evaluation, pairs.len(), tolerance) });
    save(&file, &csv, term).map_err(|fault| fault.hint("choose another folder with `--out`"))
}

/// Evaluates every pair; the first fault in the order of the cases is the one that is told.
fn evaluate(pairs: &[MaskPair], tolerance: f64, threads: usize, term: &Term) -> Result<Evaluation> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| Fault::failed(format!("cannot start threads: {error}")))?;
    let bar = term.bar(pairs.len() as u64, "evaluating");
    let one = |pair: &MaskPair| {
        if STOP.load(Ordering::SeqCst) {
            return Err(Fault::stopped("stopped before every case was evaluated; nothing is written"));
        }
        let (prediction, truth) = pair.read()?;
        let case = CaseEvaluation::of(&prediction, &truth, tolerance).map_err(|fault| fault.file(&pair.prediction))?;
        bar.inc(1);
        Ok((pair.id.clone(), case))
    };
    let cases: Vec<Result<_>> = pool.install(|| pairs.par_iter().map(one).collect());
    bar.finish_and_clear();
    Ok(Evaluation::new(&cases.into_iter().collect::<Result<Vec<_>>>()?))
}

/// Where the values go: beside the predictions, as `nnUNetv2_evaluate_folder` does it, unless a folder is given.
fn destination(predictions: &Path, out: Option<&Path>) -> Result<PathBuf> {
    if let Some(out) = out {
        let taken = out.is_dir() && std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
        if taken || out.is_file() {
            return Err(Fault::new("output directory is not empty").file(out).hint("choose another one with `--out`"));
        }
        return Ok(out.join("cases.csv"));
    }
    if predictions.is_dir() {
        return Ok(predictions.join("evaluation.csv"));
    }
    let name = predictions.file_name().unwrap_or_default().to_string_lossy();
    let id = name.strip_suffix(".gz").unwrap_or(&name);
    let id = id.strip_suffix(".nii").unwrap_or(id);
    Ok(predictions.with_file_name(format!("{id}-evaluation.csv")))
}

/// Writes the file; other values that were there before are kept under the first free name.
fn save(file: &Path, csv: &[u8], term: &Term) -> Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| Fault::io("create", folder, &error))?;
    if file.exists() && std::fs::read(file).ok().as_deref() != Some(csv) {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let name = |number: usize| file.with_file_name(format!("{stem}-{number}.csv"));
        let aside = (1..1000)
            .map(name)
            .find(|path| !path.exists())
            .ok_or_else(|| Fault::new("earlier values cannot be kept: every name up to 999 is taken").file(file))?;
        std::fs::rename(file, &aside).map_err(|error| Fault::io("rename", file, &error))?;
        term.say(&format!("earlier values: {}", aside.display()));
    }
    run::replace(file, csv)?;
    term.say(&format!("values per case: {}", file.display()));
    Ok(())
}

/// The summary: shares in percent, as in every table of this program.
fn overview(evaluation: &Evaluation, cases: usize, tolerance: f64) -> String {
    let header = ["class", "metric", "mean", "sd", "n", "undefined", "missed", "spurious", "replaced"];
    let row = |mean: ClassMean| {
        let ClassMean { class, metric, over } = mean;
        let is_share = metric.unit().is_empty();
        let head = metric.head(tolerance);
        let number = |value: f64| match value {
            value if value.is_nan() => "-".to_string(),
            value => format!("{:.2}", if is_share { 100.0 * value } else { value }),
        };
        let mut row = vec![class.to_string(), if is_share { format!("{head} [%]") } else { head }];
        row.extend([number(over.mean), number(over.sd)]);
        row.extend([over.n, over.undefined, over.missed, over.spurious, over.replaced].map(|count| count.to_string()));
        row
    };
    let rows: Vec<Vec<String>> = evaluation.means().map(row).collect();
    let replaced = evaluation.means().any(|mean| mean.over.replaced > 0);
    let mut text = table(header.map(String::from).to_vec(), rows, |column| column != 1);
    text += &format!("\n\nmean and sd over {cases} {}", if cases == 1 { "case" } else { "cases" });
    if replaced {
        text += "; infinite distances (missed or spurious) count as the volume diagonal";
    }
    text
}

#[derive(Serialize)]
struct Document<'a> {
    cases: Vec<CaseLine<'a>>,
    summary: Vec<SummaryLine>,
}

#[derive(Serialize)]
struct CaseLine<'a> {
    case: &'a str,
    class: u8,
    metric: &'static str,
    #[serde(serialize_with = "number")]
    value: f64,
    unit: &'static str,
}

#[derive(Serialize)]
struct SummaryLine {
    class: u8,
    metric: &'static str,
    #[serde(serialize_with = "number")]
    mean: f64,
    #[serde(serialize_with = "number")]
    sd: f64,
    n: usize,
    undefined: usize,
    missed: usize,
    spurious: usize,
    replaced: usize,
    unit: &'static str,
}

/// JSON has neither NaN nor infinity: the one is null, the other a word that no reader takes for a missing value.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the serialiser's signature")]
fn number<S: Serializer>(value: &f64, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    match value {
        value if value.is_nan() => serializer.serialize_none(),
        value if value.is_infinite() => serializer.serialize_str("inf"),
        value => serializer.serialize_f64(*value),
    }
}

fn json(evaluation: &Evaluation) -> Result<String> {
    let case = |Measured { case, class, metric, value }| CaseLine {
        case,
        class,
        metric: metric.key(),
        value,
        unit: metric.unit(),
    };
    let summary = |ClassMean { class, metric, over }| SummaryLine {
        class,
        metric: metric.key(),
        mean: over.mean,
        sd: over.sd,
        n: over.n,
        undefined: over.undefined,
        missed: over.missed,
        spurious: over.spurious,
        replaced: over.replaced,
        unit: metric.unit(),
    };
    let document = Document {
        cases: evaluation.measured().map(case).collect(),
        summary: evaluation.means().map(summary).collect(),
    };
    serde_json::to_string(&document).map_err(|error| Fault::failed(format!("cannot write the result: {error}")))
}
