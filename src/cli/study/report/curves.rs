//! How losses fell while networks learned, and how what moves in them moved: from the tables of the cells.

use std::path::Path;

use crate::cli::study::cell::stem;
use crate::cli::study::standing::Standing;
use crate::fault::{Fault, Result};
use crate::report::curves::curves;
use crate::report::page::Page;
use crate::report::trajectory::picture;
use crate::run::RunDir;

/// Most points of a curve: more than a screen has.
const MOST: usize = 400;

/// The columns of a training: the loss, and what moves.
struct Course {
    names: Vec<String>,
    loss: Vec<f64>,
    moving: Vec<Vec<f64>>,
}

/// Learning curves of the first fold and seed, and the trajectories of losses that move.
///
/// # Errors
/// If a table of a cell cannot be read.
pub(super) fn add(page: &mut Page, standing: &Standing<'_>, out: &RunDir) -> Result<()> {
    let manifest = standing.manifest;
    let (mut drawn, mut moved) = (Vec::new(), Vec::new());
    for loss in 0..standing.losses() {
        let first =
            standing.places(loss).find(|place| standing.result(*place).is_some_and(|record| record.rows().is_some()));
        let Some((_, fold, seed)) = first else { continue };
        let Some(course) = read(&out.file(&format!("{}-curve.csv", stem(manifest, loss, fold, seed))))? else {
            continue;
        };
        drawn.push((standing.name(loss).to_string(), thinned(&course.loss)));
        if !course.names.is_empty() {
            moved.push((standing.name(loss), fold, course));
        }
    }
    if drawn.is_empty() {
        return Ok(());
    }
    page.section("While they learned", "");
    page.paragraph(
        "The loss of every batch, smoothed, of the first training of each loss. Losses have scales of their own: what may be \
         compared is when a curve has become flat, not how low it is.",
    );
    page.figure("", &curves("learning curves", "loss", &drawn));
    if !moved.is_empty() {
        page.section("What moved in the losses", "");
        for (name, fold, Course { names, loss, moving }) in moved {
            page.figure(&format!("{name}, fold {}", fold + 1), &picture(&names, &loss, &moving));
        }
    }
    Ok(())
}

/// The table of a cell; none if there is no such file.
fn read(file: &Path) -> Result<Option<Course>> {
    if !file.is_file() {
        return Ok(None);
    }
    let damaged = |found: String| {
        Fault::new("curve of a training cannot be read")
            .file(file)
            .expected("step,loss and what moves, a row for each step")
            .found(found)
            .hint("remove the file: the report goes without it")
    };
    let mut reader = csv::Reader::from_path(file).map_err(|error| damaged(error.to_string()))?;
    let heads = reader.headers().map_err(|error| damaged(error.to_string()))?.clone();
    // Passes of trials are a cost, and nothing that moves.
    let names: Vec<String> =
        heads.iter().skip(2).filter(|name| !name.starts_with("trial_")).map(ToString::to_string).collect();
    let (mut loss, mut moving) = (Vec::new(), Vec::new());
    for row in reader.records() {
        let row = row.map_err(|error| damaged(error.to_string()))?;
        let number = |column: usize| {
            let text = row.get(column).unwrap_or_default();
            text.parse::<f64>().map_err(|_| damaged(format!("`{text}`")))
        };
        loss.push(number(1)?);
        moving.push((0..names.len()).map(|place| number(2 + place)).collect::<Result<Vec<f64>>>()?);
    }
    Ok(Some(Course { names, loss, moving }))
}

/// Means of so many steps each that a curve has few points.
fn thinned(values: &[f64]) -> Vec<[f64; 2]> {
    let length = values.len().div_ceil(MOST).max(1);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    values.chunks(length).enumerate().map(|(place, part)| [(place * length) as f64, mean(part)]).collect()
}
