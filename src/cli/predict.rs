//! `lossgen predict`: masks of images, on the grid and with the header of each image.
//!
//! A mask is written when it is whole, and an image that cannot be predicted costs no other: it is told, and told again at
//! the end. Nothing is ever overwritten; `--continue` leaves out what is there.

mod models;
mod output;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use clap::Args;

use super::stopwatch::Stopwatch;
use super::term::{Term, table};
use super::{Common, STOP};
use crate::data::augment::Axis;
use crate::data::layout::{Found, images};
use crate::data::{Prepared, nifti};
use crate::fault::{Fault, Kind, Result};
use crate::nn::UNet3d;
use crate::phase::{self, Phase, Stage};
use crate::training::infer::{Inference, Window};
use crate::training::model::{Label, ModelCard};
use crate::volume::Volume;
use crate::volume::components::keep_largest;
use output::Output;

#[derive(Debug, Args)]
#[command(after_help = RULES)]
pub(super) struct Arguments {
    /// A model (RUN/loss1-fold1), or a run of `lossgen train`: the models of its folds are averaged
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// A NIfTI image, a folder of them, or a dataset
    #[arg(value_name = "IMAGES")]
    images: PathBuf,
    /// Which loss of a run, as it was typed, if the run has several
    #[arg(long, value_name = "L")]
    loss: Option<String>,
    /// Share of a patch by which neighbours overlap, instead of the model's
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    overlap: Option<f64>,
    /// Average over mirror images along these axes of the network's grid, those of the file unless the model turns images
    /// (`preprocess.axes`): none, i, j, k, or several as in ijk
    #[arg(long, value_name = "AXES")]
    mirror: Option<String>,
    /// Keep the largest connected component of each class alone
    #[arg(long)]
    largest: bool,
    /// Predict only what is not in the folder of the results yet
    #[arg(long = "continue")]
    resume: bool,
}

const RULES: &str = "\
Masks have the grid and the header of their image and the label values of the dataset that the model was
trained on. They go to OUT/ID.nii.gz; for a single image OUT may be a file. Of a dataset, imagesTs is
predicted if there is one, else the images with masks. Several channels are files numbered ID_0000, ID_0001,
or one file with four axes.

An image that cannot be predicted is told, and the others are predicted all the same; the exit code is then 2.";

/// What became of a case.
struct Done {
    id: String,
    file: PathBuf,
    /// Voxels of each class, and the volume of one, in mm³.
    voxels: Vec<usize>,
    voxel: f64,
}

pub(super) fn run(arguments: &Arguments, common: &Common, term: &Term) -> Result<()> {
    let models = models::load(&arguments.model, arguments.loss.as_deref())?;
    let card = &models[0].card;
    let window = window(card.window, arguments.overlap)?;
    let mirror = mirror(arguments.mirror.as_deref(), card)?;
    let Found { place, cases } = images(&arguments.images, card.channels.len(), card.numbered)?;
    let record = output::Record::new(&models, window, mirror, arguments.largest);
    let output = Output::prepare(common.out.as_deref(), arguments.images.is_file(), &record, arguments.resume)?;
    for remark in models::remarks(&models, mirror, cases.keys()) {
        term.say(&remark);
    }
    let open: Vec<_> = cases.into_iter().filter(|(id, _)| !output.has(id)).collect();
    let many = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    term.say(&format!("{} with {} from {}", many(open.len(), "case"), many(models.len(), "model"), place.display()));

    let networks: Vec<UNet3d> = models.iter().map(|model| model.network.clone()).collect();
    let inference = Inference { networks: &networks, window, mirror };
    let work = Work { inference, card, largest: arguments.largest, output: &output, term };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(common.threads()).build();
    let pool = pool.map_err(|error| Fault::failed(format!("cannot start threads: {error}")))?;
    let (mut done, mut faults) = (Vec::new(), Vec::new());
    let count = open.len();
    for (id, files) in open {
        match pool.install(|| files.and_then(|files| work.case(&id, &files))) {
            Ok(case) => done.push(case),
            Err(fault) if fault.kind() == Kind::Stopped => return Err(fault),
            Err(fault) => {
                let fault = fault.in_case(&id);
                term.fault(&fault);
                faults.push(fault);
            }
        }
    }
    let classes = card.classes();
    if !done.is_empty() {
        term.result(&if common.json { json(&done, &classes) } else { overview(&done, &classes) });
    }
    unpredicted(&faults, count, &place)
}

/// The one error at the end.
fn unpredicted(faults: &[Fault], count: usize, place: &Path) -> Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    let title = "some cases could not be predicted";
    let broken = faults.iter().any(|fault| fault.kind() == Kind::Failed);
    let fault = if broken { Fault::failed(title) } else { Fault::new(title) };
    Err(fault
        .file(place)
        .expected(format!("{count} images that can be predicted"))
        .found(format!("{} that cannot, each with its reason above", faults.len()))
        .hint("mend them and predict the rest with `--continue`; the masks of the others are written"))
}

/// What is the same for every case.
struct Work<'a> {
    inference: Inference<'a>,
    card: &'a ModelCard,
    largest: bool,
    output: &'a Output,
    term: &'a Term,
}

impl Work<'_> {
    fn case(&self, id: &str, files: &[PathBuf]) -> Result<Done> {
        stopped()?;
        let classes = self.card.classes();
        let mut watch = Stopwatch::start();
        phase::begin(Stage::Masks);
        let Prepared { channels, way } = self.card.preprocess.read(files, self.card.channels.len(), other_channels)?;
        phase::end(Phase::Prepare);
        let read = watch.lap();
        let bar = self.term.bar(way.cut_shape()[0] as u64, "planes");
        bar.set_message(id.to_string());
        let image: Vec<&[f32]> = channels.iter().map(|channel| channel.voxels.as_slice()).collect();
        let mask = self.inference.mask(&image, &way, classes.len(), &mut || {
            bar.inc(1);
            stopped()
        });
        bar.finish_and_clear();
        drop(channels);
        let mut mask = mask?;
        phase::end(Phase::Predict);
        let predicted = watch.lap();
        let erased = if self.largest { keep_largest(&mut mask) } else { 0 };
        let voxels = relabel(&mut mask, &classes);
        let file = self.output.file(id);
        nifti::write_label(&file, &mask, &files[0])?;
        phase::end(Phase::Write);
        let seconds = |milliseconds: f64| format!("{:.1} s", milliseconds / 1e3);
        let erased =
            if self.largest { format!(", {erased} voxels outside of the largest parts") } else { String::new() };
        self.term.say(&format!(
            "  {id}: read and prepared in {}, predicted in {}, written in {}{erased}",
            seconds(read),
            seconds(predicted),
            seconds(watch.lap()),
        ));
        Ok(Done { id: id.to_string(), file, voxels, voxel: mask.grid.spacing.iter().product() })
    }
}

/// An image that has not the channels that the model was trained on.
fn other_channels(image: &Path, expected: usize, found: usize) -> Fault {
    Fault::new("image has not the channels of the model")
        .file(image)
        .field("channels")
        .expected(format!("{expected}, on which the model was trained"))
        .found(found)
        .hint("channels stand along the fourth axis or in a file each, ID_0000, ID_0001, ...; `channels` in model.ron names them")
}

/// Writes the dataset's values in place of classes, and counts the voxels of each.
fn relabel(mask: &mut Volume<u8>, classes: &[Label]) -> Vec<usize> {
    let mut counts = vec![0; classes.len()];
    for voxel in mask.voxels.iter_mut().filter(|voxel| **voxel > 0) {
        let class = usize::from(*voxel) - 1;
        counts[class] += 1;
        *voxel = classes[class].value;
    }
    counts
}

fn stopped() -> Result<()> {
    if STOP.load(Ordering::SeqCst) {
        return Err(Fault::stopped("stopped; the masks that were finished are written")
            .hint("predict the rest with the same words and `--continue`"));
    }
    Ok(())
}

/// The model's window, with another overlap if one is given.
fn window(window: Window, overlap: Option<f64>) -> Result<Window> {
    let window = match (window, overlap) {
        (Window::Sliding { patch, .. }, Some(overlap)) => Window::Sliding { patch, overlap },
        (window, None) => window,
        (Window::Whole, Some(overlap)) => {
            return Err(Fault::new("model sees whole volumes, which do not overlap")
                .field("--overlap")
                .expected("no such option")
                .found(overlap)
                .hint("leave the option out"));
        }
    };
    window.check().map_err(|fault| fault.field("--overlap").hint("0.5 is usual; more is smoother and slower"))?;
    Ok(window)
}

/// The axes that were typed, or those of the model.
fn mirror(typed: Option<&str>, card: &ModelCard) -> Result<[bool; 3]> {
    let Some(typed) = typed else { return Ok(Axis::chosen(&card.mirror)) };
    let mut mirror = [false; 3];
    for letter in typed.chars().filter(|_| typed != "none") {
        match "ijk".find(letter) {
            Some(axis) if !mirror[axis] => mirror[axis] = true,
            _ => {
                return Err(Fault::new("unknown axes to mirror along")
                    .field("--mirror")
                    .expected("none, i, j, k, ij, ik, jk or ijk")
                    .found(format!("`{typed}`"))
                    .hint("i, j and k are the axes of the network's grid: those of the model's `preprocess.axes`, else of the file (`lossgen data show` says where those run)"));
            }
        }
    }
    Ok(mirror)
}

/// Volumes in ml, as radiologists count.
fn overview(done: &[Done], classes: &[Label]) -> String {
    let header = std::iter::once("case".to_string()).chain(classes.iter().map(|label| format!("{} [ml]", label.name)));
    let row = |case: &Done| {
        let ml = |voxels: &usize| format!("{:.2}", *voxels as f64 * case.voxel / 1e3);
        std::iter::once(case.id.clone()).chain(case.voxels.iter().map(ml)).collect()
    };
    table(header.collect(), done.iter().map(row).collect(), |column| column > 0)
}

fn json(done: &[Done], classes: &[Label]) -> String {
    let case = |case: &Done| {
        let label = |(label, voxels): (&Label, &usize)| {
            serde_json::json!({
                "value": label.value, "name": label.name, "voxels": voxels, "ml": *voxels as f64 * case.voxel / 1e3,
            })
        };
        let labels: Vec<_> = classes.iter().zip(&case.voxels).map(label).collect();
        serde_json::json!({"case": case.id, "file": case.file, "labels": labels})
    };
    serde_json::json!(done.iter().map(case).collect::<Vec<_>>()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Grid;

    #[test]
    fn classes_become_the_values_of_the_dataset() {
        let grid = Grid::aligned([1, 1, 6], [1.0; 3]);
        let mut mask = Volume { grid, voxels: vec![0, 1, 2, 2, 1, 2] };
        let label = |value, name: &str| Label { value, name: name.to_string() };
        let counts = relabel(&mut mask, &[label(2, "L1"), label(200, "L2")]);
        assert_eq!((mask.voxels, counts), (vec![0, 2, 200, 200, 2, 200], vec![2, 3]));
    }
}
