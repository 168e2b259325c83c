//! `lossgen data show`: one case, to look at.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Common, Term, by, short, table};
use crate::data::check::Facts;
use crate::data::layout::Layout;
use crate::data::nifti;
use crate::fault::{Fault, Result};
use crate::report::slices::{COLOURS, centre, slices};
use crate::run::replace;
use crate::volume::relation::Relation;
use crate::volume::{Volume, affine};

/// How many folders above an image its dataset may begin.
const HIGHEST: usize = 7;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// DATASET/ID, an image of a dataset, any NIfTI image, or an ID together with --data
    case: PathBuf,
    /// Which channel the picture shows
    #[arg(long, value_name = "N", default_value_t = 0)]
    channel: usize,
    /// Show the slice N of the file's axis i, j or k instead of the one with most labelled voxels; may be repeated
    #[arg(long = "slice", value_name = "AXIS=N")]
    slices: Vec<String>,
    /// Outline the labels of this mask instead of the dataset's, for example of a prediction
    #[arg(long, value_name = "FILE")]
    mask: Option<PathBuf>,
}

/// What is shown.
struct Shown {
    id: String,
    images: Vec<PathBuf>,
    label: Option<PathBuf>,
    /// Names of labels and channels, as far as a dataset gives them.
    classes: Vec<(u8, String)>,
    channels: Vec<String>,
}

pub(super) fn run(arguments: &Arguments, common: &Common, term: &Term) -> Result<()> {
    let mut shown = find(arguments, common)?;
    if let Some(mask) = &arguments.mask {
        shown.label = Some(mask.clone());
    }
    let out = common.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.png", shown.id)));
    if out.extension().is_none_or(|ending| !ending.eq_ignore_ascii_case("png")) {
        return Err(Fault::new("picture needs a name that says its format")
            .field("--out")
            .expected("a name that ends in .png")
            .found(out.display())
            .hint("for example `--out case.png`"));
    }
    let channels = shown.images.iter().map(|path| channels(path, term)).collect::<Result<Vec<_>>>()?.concat();
    let mask = shown.label.as_deref().map(|path| mask(path, term)).transpose()?;
    if let (Some(file), Some(mask)) = (&shown.label, &mask)
        && let Some(difference) = affine::difference(&channels[0].grid, &mask.grid)
    {
        let fault = Fault::new("mask is on another grid than the image")
            .file(file)
            .expected(format!("{}, as the image", difference.first))
            .found(difference.second)
            .hint(Relation::of(&channels[0].grid, &mask.grid).cure());
        if arguments.mask.is_some() {
            return Err(fault.field("--mask"));
        }
        let drawn = if mask.grid.shape == channels[0].grid.shape { "drawn voxel by voxel" } else { "not drawn" };
        warn(term, &fault, &format!("the mask is {drawn}"));
    }
    let Some(image) = channels.get(arguments.channel) else {
        return Err(Fault::new("image has no such channel")
            .field("--channel")
            .expected(format!("0 to {}", channels.len() - 1))
            .found(arguments.channel)
            .hint("channels are counted from 0"));
    };
    let facts = Facts::of(&shown.id, &channels, mask.as_ref().map(|mask| mask.map(|v| f32::from(*v))).as_ref());
    let mut at = centre(&image.grid, mask.as_ref());
    for typed in &arguments.slices {
        let (axis, slice) = slice(typed, image)?;
        at[axis] = slice;
    }
    let labels: Vec<u8> = facts.labels.keys().copied().collect();
    replace(&out, &slices(image, mask.as_ref(), &labels, at).png()?)?;
    term.result(&if common.json {
        serde_json::json!({"facts": facts, "images": shown.images, "mask": shown.label, "picture": out, "voxel": at})
            .to_string()
    } else {
        text(&shown, &facts, &channels[0], at, &out)
    });
    Ok(())
}

/// The channels of an image. A voxel without a value is told, and no reason to draw nothing: who looks at a case wants to
/// see why it is refused elsewhere.
fn channels(path: &Path, term: &Term) -> Result<Vec<Volume<f32>>> {
    nifti::read_channels(path).or_else(|fault| {
        let channels = nifti::read_values(path)?;
        warn(term, &fault, "what is not a number is black, what is infinite black or white");
        Ok(channels)
    })
}

/// A mask; values that are no labels are told and drawn as the nearest label.
fn mask(path: &Path, term: &Term) -> Result<Volume<u8>> {
    nifti::read_label(path).or_else(|fault| match nifti::read_values(path)?.as_slice() {
        [mask] => {
            warn(term, &fault, "such voxels are drawn as the nearest label");
            Ok(mask.map(|value| nifti::nearest_label(*value)))
        }
        _ => Err(fault),
    })
}

/// Tells what is wrong with what is drawn all the same.
fn warn(term: &Term, fault: &Fault, drawn: &str) {
    let hint = fault.parts().into_iter().find(|(name, _)| *name == "hint");
    let hint = hint.map_or(String::new(), |(_, hint)| format!("\n  help:     {hint}"));
    term.say(&format!("warning: {fault}{hint}\n  picture:  {drawn}"));
}

/// The case that is meant.
fn find(arguments: &Arguments, common: &Common) -> Result<Shown> {
    let case = arguments.case.as_path();
    if let Some(folder) = &common.data {
        return of_dataset(&Layout::find(folder)?, &case.to_string_lossy());
    }
    if case.is_file() {
        return of_file(case);
    }
    let folder = case.parent().filter(|folder| folder.is_dir() && !folder.as_os_str().is_empty());
    match (folder, case.file_name()) {
        (Some(folder), Some(id)) if !case.exists() => of_dataset(&Layout::find(folder)?, &id.to_string_lossy()),
        _ => Err(Fault::new("no such case")
            .field("CASE")
            .expected("DATASET/ID, a NIfTI image, or an ID together with --data DATASET")
            .found(case.display())
            .hint("`lossgen data check DATASET` lists the ids of a dataset")),
    }
}

fn of_dataset(layout: &Layout, id: &str) -> Result<Shown> {
    let entry = layout.entry(id)?;
    Ok(Shown {
        id: entry.id.clone(),
        images: entry.images.clone(),
        label: Some(entry.label.clone()),
        classes: layout.classes.clone(),
        channels: layout.channels.clone(),
    })
}

/// An image: with its mask if a folder above it is a dataset to which it belongs, else alone.
fn of_file(file: &Path) -> Result<Shown> {
    let whole = std::fs::canonicalize(file).map_err(|error| Fault::io("read", file, &error))?;
    for folder in whole.ancestors().skip(1).take(HIGHEST) {
        let Ok(layout) = Layout::find(folder) else { continue };
        let own = |path: &PathBuf| std::fs::canonicalize(path).is_ok_and(|path| path == whole);
        if let Some(entry) = layout.entries.iter().find(|entry| entry.images.iter().any(own) || own(&entry.label)) {
            return of_dataset(&layout, &entry.id);
        }
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let id = name.trim_end_matches(".gz").trim_end_matches(".nii").to_string();
    Ok(Shown { id, images: vec![file.to_path_buf()], label: None, classes: Vec::new(), channels: Vec::new() })
}

fn slice(typed: &str, image: &Volume<f32>) -> Result<(usize, usize)> {
    let parsed = typed.split_once('=').and_then(|(axis, slice)| {
        Some((["i", "j", "k"].iter().position(|name| *name == axis.trim())?, slice.trim().parse::<usize>().ok()?))
    });
    let [i, j, k] = image.grid.shape.map(|n| n - 1);
    parsed.filter(|(axis, slice)| *slice < image.grid.shape[*axis]).ok_or_else(|| {
        Fault::new("image has no such slice")
            .field("--slice")
            .expected(format!("i=0 to i={i}, j=0 to j={j} or k=0 to k={k}"))
            .found(format!("`{typed}`"))
            .hint("slices are counted from 0 along the axes of the file")
    })
}

fn text(shown: &Shown, facts: &Facts, image: &Volume<f32>, at: [usize; 3], out: &Path) -> String {
    let path = |path: &PathBuf| path.display().to_string();
    let extent: [f64; 3] =
        std::array::from_fn(|axis| (facts.shape[axis] as f64 * facts.spacing_mm[axis] * 100.0).round() / 100.0);
    let origin = image.grid.affine.map(|row| (row[3] * 1e3).round() / 1e3);
    let mut text = format!(
        "{}\n  image        {}\n  mask         {}\n  voxels       {} of {} mm, {} mm in all\n  axes         {}: {}\n  origin       ({}, {}, {}) mm\n\n",
        shown.id,
        shown.images.iter().map(path).collect::<Vec<_>>().join("\n               "),
        shown.label.as_ref().map_or("none".to_string(), path),
        by(&facts.shape),
        by(&facts.spacing_mm),
        by(&extent),
        facts.axes,
        directions(&facts.axes),
        origin[0],
        origin[1],
        origin[2],
    );
    let head = ["channel", "min", "0.5 %", "median", "99.5 %", "max"].map(String::from).to_vec();
    let rows = facts.channels.iter().enumerate().map(|(number, c)| {
        let name = shown.channels.get(number).cloned().unwrap_or_else(|| number.to_string());
        let values = [c.min, c.low, c.median, c.high, c.max].map(|value| short(f64::from(value)));
        std::iter::once(name).chain(values).collect()
    });
    text.push_str(&format!("{}\n\n", table(head, rows.collect(), |column| column > 0)));
    if !facts.labels.is_empty() {
        let head = ["label", "name", "voxels", "mm³", "%", "outline"].map(String::from).to_vec();
        let total = facts.shape.iter().product::<usize>() as f64;
        let rows = facts.labels.iter().enumerate().map(|(place, (value, voxels))| {
            let name = shown.classes.iter().find(|(known, _)| known == value).map_or("", |(_, name)| name);
            vec![
                value.to_string(),
                name.to_string(),
                voxels.to_string(),
                format!("{:.0}", *voxels as f64 * facts.voxel_mm3()),
                format!("{:.2}", 100.0 * *voxels as f64 / total),
                COLOURS[place % COLOURS.len()].0.to_string(),
            ]
        });
        text.push_str(&format!("{}\n\n", table(head, rows.collect(), |column| (2..5).contains(&column))));
    }
    text + &format!(
        "{} shows sagittal, coronal and axial planes through i = {}, j = {}, k = {}; right is left as on films\n",
        out.display(),
        at[0],
        at[1],
        at[2]
    )
}

fn directions(axes: &str) -> String {
    let word = |letter: char| match letter {
        'R' => "left to right",
        'L' => "right to left",
        'A' => "back to front",
        'P' => "front to back",
        'S' => "feet to head",
        _ => "head to feet",
    };
    let names = axes.chars().zip(["i", "j", "k"]).map(|(letter, axis)| format!("{axis} runs {}", word(letter)));
    names.collect::<Vec<_>>().join(", ")
}
