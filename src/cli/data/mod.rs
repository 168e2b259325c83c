//! `lossgen data`: datasets looked at, checked, divided and made up.

pub(super) mod check;
mod show;
mod split;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::Common;
use super::term::{Term, table};
use crate::data::Phantom;
use crate::fault::Result;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Everything that is wrong with a dataset, in one table; exit code 2 if it cannot be used
    Check(check::Arguments),
    /// One case: a picture of three planes with the outlines of its labels, and its numbers
    Show(show::Arguments),
    /// Divide the cases into folds that resemble each other and share no person
    Split(split::Arguments),
    /// Write spine phantoms as a folder in the form of the Medical Segmentation Decathlon
    Phantom {
        /// The folder to make
        folder: PathBuf,
        /// Number of cases
        #[arg(long, default_value_t = 24)]
        cases: usize,
        /// Voxels along i, j and k, of a box that is always 80 x 80 x 72 mm
        #[arg(long, num_args = 3, value_names = ["I", "J", "K"])]
        shape: Option<Vec<usize>>,
    },
}

pub(super) fn run(command: &Command, common: &Common, term: &Term) -> Result<()> {
    match command {
        Command::Check(arguments) => check::run(arguments, common, term),
        Command::Show(arguments) => show::run(arguments, common, term),
        Command::Split(arguments) => split::run(arguments, common, term),
        Command::Phantom { folder, cases, shape } => phantom(folder, *cases, shape.as_deref(), common, term),
    }
}

fn phantom(folder: &Path, cases: usize, shape: Option<&[usize]>, common: &Common, term: &Term) -> Result<()> {
    let mut phantom = Phantom { cases, ..Phantom::default() };
    if let Some([i, j, k]) = shape {
        phantom.shape = [*i, *j, *k];
    }
    if let Some(seed) = common.seed {
        phantom.seed = seed;
    }
    phantom.write(folder)?;
    term.result(&if common.json {
        serde_json::json!({"folder": folder, "cases": phantom.cases, "seed": phantom.seed}).to_string()
    } else {
        format!("{} phantoms written to {}", phantom.cases, folder.display())
    });
    Ok(())
}

/// Three numbers as people write sizes.
fn by<T: std::fmt::Display>([i, j, k]: &[T; 3]) -> String {
    format!("{i} x {j} x {k}")
}

/// A number with four digits at most, in powers of ten if it is large.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_string(),
        size if (1e-2..1e6).contains(&size) => {
            let digits = (3 - size.log10().floor() as i32).max(0);
            let scale = 10_f64.powi(digits);
            format!("{}", (value * scale).round() / scale)
        }
        _ => format!("{value:.2e}"),
    }
}
