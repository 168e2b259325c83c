//! `lossgen data`: phantoms as files.

use std::path::PathBuf;

use clap::Subcommand;

use super::Common;
use super::term::Term;
use crate::data::Phantom;
use crate::fault::Result;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write spine phantoms as a folder in the form of the Medical Segmentation Decathlon
    Phantom {
        /// The folder to make
        folder: PathBuf,
        /// Number of cases
        #[arg(long, default_value_t = 24)]
        cases: usize,
    },
}

pub(super) fn run(command: &Command, common: &Common, term: &Term) -> Result<()> {
    let Command::Phantom { folder, cases } = command;
    let mut phantom = Phantom { cases: *cases, ..Phantom::default() };
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
