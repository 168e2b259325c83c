//! Under what everything was computed: data, cost, failures, settings.

use std::path::Path;

use crate::cli::config::Source;
use crate::cli::study::manifest::StudyManifest;
use crate::cli::study::standing::Standing;
use crate::cli::study::voxels;
use crate::fault::Result;
use crate::notation;
use crate::report::page::{Cell, Page, preformatted};
use crate::report::voxels::distribution;
use crate::stats::summary::quantile;

/// What the data are called. The path of a folder says where somebody works, and stays out of a page that is handed on.
pub(super) fn dataset(manifest: &StudyManifest) -> String {
    match &manifest.config.data {
        Source::Phantoms(_) => "spine phantoms".to_string(),
        Source::Decathlon(folder) => {
            folder.file_name().map_or("a folder".to_string(), |name| name.to_string_lossy().into_owned())
        }
    }
}

/// Foreground and background.
///
/// # Errors
/// If the table of shares cannot be read.
pub(super) fn data(page: &mut Page, run: &Path) -> Result<()> {
    let shares = voxels::read(run)?;
    if !shares.is_empty() {
        page.section("Foreground and background", "");
        page.paragraph("Share of the voxels of each case that a class has, in the images as networks see them; each dot is a case.");
        page.figure("", &distribution("share of the voxels", &shares));
    }
    Ok(())
}

/// What the trainings took.
pub(super) fn cost(page: &mut Page, standing: &Standing<'_>) {
    let choice = standing.manifest.config.compare.learning_rates.len() > 1;
    let row = |loss: usize| -> Option<Vec<Cell>> {
        let mut seconds: Vec<f64> = standing.trained(loss).map(|(record, _)| record.seconds).collect();
        seconds.sort_unstable_by(f64::total_cmp);
        let (record, _) = standing.trained(loss).next()?;
        let [forward, backward] = record.passes;
        let factors = standing.trained(loss).map(|(record, _)| record.rate_factor.to_string()).collect::<Vec<_>>();
        let mut row = vec![
            Cell::from(standing.name(loss)),
            Cell::from(seconds.len().to_string()),
            Cell::from(format!("{:.1}", quantile(&seconds, 0.5))),
            Cell::from(format!("{forward:.2}")),
            Cell::from(format!("{backward:.2}")),
        ];
        if choice {
            row.push(Cell::from(factors.join(", ")));
        }
        Some(row)
    };
    let rows: Vec<Vec<Cell>> = (0..standing.losses()).filter_map(row).collect();
    if rows.is_empty() {
        return;
    }
    page.section("Cost", "");
    page.paragraph(
        "Wall time of a training with the judging of its test cases, in seconds: of the last sitting where it was interrupted, \
         beside others at the same time. Passes are those of trials of a loss's parameters, a step, beside one forward and one \
         backward of the step itself.",
    );
    let mut heads = vec!["loss", "trainings", "median time [s]", "trial passes forward", "backward"];
    if choice {
        heads.push("learning rate times");
    }
    page.table(&heads, rows);
    if choice {
        page.paragraph(
            "Learning rates were chosen for each loss and fold by Dice on a fifth of the training cases; no test case was seen.",
        );
    }
}

/// Cells without a network.
pub(super) fn trouble(page: &mut Page, standing: &Standing<'_>) {
    let all = (0..standing.losses()).flat_map(|loss| standing.places(loss));
    let row = |(loss, fold, seed): (usize, usize, u64)| -> Option<Vec<Cell>> {
        let why = standing.result((loss, fold, seed))?.ending.trouble()?;
        let [fold, seed] = [(fold + 1).to_string(), seed.to_string()];
        Some([standing.name(loss), &fold, &seed, &why].map(Cell::from).to_vec())
    };
    let rows: Vec<Vec<Cell>> = all.filter_map(row).collect();
    if !rows.is_empty() {
        page.section("What failed", "");
        page.paragraph("A loss without a network for every fold and seed is left out of tables and tests.");
        page.table(&["loss", "fold", "seed", "why"], rows);
    }
}

/// Versions and settings: with the data, enough to do it again.
///
/// # Errors
/// None that a person can cause.
pub(super) fn settings(page: &mut Page, manifest: &StudyManifest) -> Result<()> {
    let mut shown = manifest.clone();
    if let Source::Decathlon(folder) = &mut shown.config.data
        && let Some(name) = folder.file_name()
    {
        *folder = name.into();
    }
    page.section("Environment", "");
    let rows = [
        ("lossgen", manifest.lossgen.as_str()),
        ("kernels", &manifest.kernels),
        ("operating system", std::env::consts::OS),
        ("processor", std::env::consts::ARCH),
        ("digest of the data", &manifest.data_digest),
    ];
    page.table(&["", ""], rows.map(|(name, value)| vec![Cell::from(name), Cell::from(value)]).to_vec());
    page.details("the manifest: settings, losses, folds", &preformatted(&notation::to_text(&shown)?));
    Ok(())
}
