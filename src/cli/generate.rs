//! `lossgen generate`: completions for shells, and manual pages.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, Subcommand};
use clap_complete::Shell;

use super::term::Term;
use super::{Cli, Common};
use crate::fault::{Fault, Result};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print what makes a shell complete commands and options, as in `lossgen generate completions bash > FILE`
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write manual pages, one for each command, as in `lossgen generate man ~/.local/share/man/man1`
    Man {
        /// The folder; it is made if it is not there, and pages in it are replaced
        folder: PathBuf,
    },
}

pub(super) fn run(command: &Command, common: &Common, term: &Term) -> Result<()> {
    match command {
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "lossgen", &mut text);
            term.result(&String::from_utf8_lossy(&text));
        }
        Command::Man { folder } => {
            let count = pages(folder)?;
            term.result(&if common.json {
                serde_json::json!({"folder": folder, "pages": count}).to_string()
            } else {
                format!("{count} manual pages in {}; `man -l {}`", folder.display(), folder.join("lossgen.1").display())
            });
        }
    }
    Ok(())
}

/// Writes all pages; how many there are.
fn pages(folder: &Path) -> Result<usize> {
    fs::create_dir_all(folder).map_err(|error| Fault::io("create", folder, &error))?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(|error| Fault::io("write pages to", folder, &error))?;
    let entries = fs::read_dir(folder).map_err(|error| Fault::io("read", folder, &error))?;
    let is_page = |name: &str| name.starts_with("lossgen") && name.ends_with(".1");
    Ok(entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_page)).count())
}
