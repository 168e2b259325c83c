//! `lossgen report`: the report and the tables of a comparison, from what its run holds.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::Common;
use super::manifest::{check_digest, places};
use super::study::{Report, Standing, StudyManifest};
use super::term::Term;
use crate::data::Case;
use crate::fault::Result;
use crate::run::RunDir;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A run of `lossgen compare` or `lossgen train`; with --data if its cases are elsewhere now
    run: PathBuf,
    /// Leave the pictures of cases out: then no volume is read
    #[arg(long)]
    no_pictures: bool,
}

pub(super) fn run(arguments: &Arguments, common: &Common, term: &Term) -> Result<()> {
    let mut manifest = StudyManifest::load(&arguments.run)?;
    let out = RunDir::open(&arguments.run)?;
    let cases = if arguments.no_pictures { None } else { Some(cases(&mut manifest, common, term)?) };
    let standing = Standing::read(&manifest, out.path())?;
    standing.write_tables(&out)?;
    Report::new(&manifest, cases.as_deref()).write(&standing, &out, &mut |remark| term.say(remark))?;
    let file = out.file("report.html");
    term.result(&if common.json {
        serde_json::json!({ "report": file }).to_string()
    } else {
        format!("written to {}", file.display())
    });
    Ok(())
}

/// The cases of the run, in the order of its manifest.
fn cases(manifest: &mut StudyManifest, common: &Common, term: &Term) -> Result<Vec<Arc<Case>>> {
    manifest.config.locate(common.data.as_deref());
    let hint = "`--data DIR` says where they are now; `--no-pictures` does without them";
    let dataset = manifest.config.dataset(term).map_err(|fault| fault.and_hint(hint))?;
    check_digest(&manifest.data_digest, &dataset)?;
    Ok(dataset.select(&places(&manifest.cases, &dataset)?))
}
