//! What a finished cell leaves beside its line in the journal: model, masks of its test cases, curves.
//!
//! Masks are kept because they are small (tens of kB a case, compressed) and dear (a prediction each): the pictures of a report
//! need them, and so does whoever wants to look at the errors with a program of his own.

use std::fs;
use std::path::PathBuf;

use super::Plan;
use super::cell::Task;
use crate::data::{Case, nifti};
use crate::fault::{Fault, Result};
use crate::metrics::table::{Row, Table};
use crate::metrics::{CaseMetrics, Metric};
use crate::nn::UNet3d;
use crate::report::tensorboard::{Scalar, events};
use crate::report::trajectory::picture;
use crate::run::RunDir;
use crate::training::model::{Model, ModelCard, TrainedOn, TrainedWith};
use crate::training::objective::names;
use crate::training::{Passes, Step};
use crate::volume::Volume;

/// Folder of the masks beside a model.
const MASKS: &str = "masks";

/// Folder of the files for `TensorBoard`.
const EVENTS: &str = "tensorboard";

/// Where the mask of a case is kept.
pub(super) fn mask_file(run: &std::path::Path, stem: &str, id: &str) -> PathBuf {
    run.join(stem).join(MASKS).join(format!("{id}.nii.gz"))
}

impl Plan {
    /// Keeps the mask of a test case, with the label values of the dataset.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn keep_mask(&self, out: &RunDir, task: &Task, case: &Case, mask: &Volume<u8>) -> Result<()> {
        let file = mask_file(out.path(), &task.stem, &case.id);
        let folder = file.parent().unwrap_or(out.path());
        fs::create_dir_all(folder).map_err(|error| Fault::io("create", folder, &error))?;
        let values: Vec<u8> = self.card().classes().iter().map(|label| label.value).collect();
        let labels = mask.map(|class| if *class == 0 { 0 } else { values[usize::from(*class) - 1] });
        match &case.source {
            Some(image) => nifti::write_label(&file, &labels, image),
            None => nifti::write_new_label(&file, &labels),
        }
    }

    /// The rows of a cell: its test cases in order of the fold, and their classes.
    pub(super) fn rows(&self, task: &Task, metrics: Vec<Vec<CaseMetrics>>) -> Vec<Row> {
        let cases = task.cell.cases.test.iter().map(|place| self.cases[*place].id.clone());
        let one = |(case, classes): (String, Vec<CaseMetrics>)| {
            let fold = task.cell.fold;
            let row = move |(class, metrics)| Row { case: case.clone(), fold, class, metrics };
            (1u8..).zip(classes).map(row).collect::<Vec<Row>>()
        };
        cases.zip(metrics).flat_map(one).collect()
    }

    /// The model of a cell, and its curves: the loss of every step, and where what moves stood.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(super) fn keep(&self, out: &RunDir, task: &Task, network: &UNet3d, curve: &[Step], rows: &[Row]) -> Result<()> {
        let Task { cell, stem, .. } = task;
        let (loss, common) = (&self.losses[cell.loss], self.card());
        let card = ModelCard {
            loss: TrainedWith { name: loss.name.clone(), text: loss.text.clone() },
            recipe: self.recipe(cell.rate_factor),
            training: TrainedOn {
                cases: cell.cases.train.iter().map(|place| self.cases[*place].id.clone()).collect(),
                fold: (cell.fold + 1, self.folds.len()),
                seed: cell.seed,
                ..common.training.clone()
            },
            ..common
        };
        Model::save(&out.file(stem), card, network)?;
        let moved = names(loss);
        out.write(&format!("{stem}-curve.csv"), csv(&moved, curve).as_bytes())?;
        self.events(out, task, &moved, curve, rows)?;
        if moved.is_empty() {
            return Ok(());
        }
        let losses: Vec<f64> = curve.iter().map(|step| step.loss).collect();
        let moving: Vec<Vec<f64>> = curve.iter().map(|step| step.moving.clone()).collect();
        out.write(&format!("{stem}-curve.svg"), picture(&moved, &losses, &moving).as_bytes())
    }

    /// The same curves for `TensorBoard`, with the metrics of the test cases at the last step.
    fn events(&self, out: &RunDir, task: &Task, moved: &[String], curve: &[Step], rows: &[Row]) -> Result<()> {
        let recipe = self.recipe(task.cell.rate_factor);
        let tags: Vec<String> = moved.iter().map(|name| format!("moving/{name}")).collect();
        let mut scalars = Vec::new();
        for Step { number: step, loss, moving, .. } in curve {
            let mut add = |tag, value| scalars.push(Scalar { step: *step, tag, value });
            add("loss", *loss);
            add("learning_rate", recipe.rate(*step));
            tags.iter().zip(moving).for_each(|(tag, value)| add(tag, *value));
        }
        let table = Table { rows: rows.to_vec() };
        let test: Vec<(String, f64)> = Metric::all()
            .map(|metric| (format!("test/{}", metric.key()), table.over_cases(metric, None).mean))
            .collect();
        let last = curve.len().saturating_sub(1);
        scalars.extend(test.iter().map(|(tag, value)| Scalar { step: last, tag, value: *value }));
        // A folder is a run there, and its path the name of it.
        let loss: String = self.losses[task.cell.loss].name.chars().map(plain).take(60).collect();
        let folder = format!("{EVENTS}/{}-{loss}", task.stem);
        fs::create_dir_all(out.file(&folder)).map_err(|error| Fault::io("create", &out.file(&folder), &error))?;
        out.write(&format!("{folder}/events.out.tfevents.0.lossgen"), &events(scalars))
    }
}

/// A character that no file system and no shell minds.
fn plain(character: char) -> char {
    if character.is_ascii_alphanumeric() || "-_.=".contains(character) { character } else { '_' }
}

/// A row per step.
fn csv(moved: &[String], curve: &[Step]) -> String {
    let mut csv = [&["step".to_string(), "loss".to_string()], moved].concat().join(",");
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
    csv + "\n"
}
