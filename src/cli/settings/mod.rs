//! `lossgen config`: what a configuration comes to, whether it can be run, and what every field means.

mod fields;
mod plan;
mod table;

use std::path::PathBuf;

use clap::Subcommand;

use super::Common;
use super::config::Config;
use super::term::Term;
use crate::fault::{Fault, Result, did_you_mean};
use crate::notation;
use fields::{Setting, settings};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The whole configuration, with all that is left out: what a run would write down
    Show {
        /// Configuration (RON); without it, built-in settings for phantoms or for --data
        config: Option<PathBuf>,
    },
    /// Whether a configuration can be run; with --data, what it would do to these data
    Check {
        /// Configuration (RON)
        config: PathBuf,
    },
    /// Every field: its default, its unit, what it may be, what it decides
    Explain {
        /// A field or a section, as in `search` or `train.recipe.augment.affine`; without it, all of them
        path: Option<String>,
    },
}

pub(super) fn run(command: &Command, common: &Common, term: &Term) -> Result<()> {
    match command {
        Command::Show { config } => {
            let config = Config::resolve(config.as_deref(), common)?;
            let json = || serde_json::to_string(&config).map_err(|error| Fault::failed(error.to_string()));
            term.result(&if common.json { json()? } else { notation::to_text(&config)? });
        }
        Command::Check { config: file } => {
            let config = Config::resolve(Some(file), common)?;
            let plan = common.data.is_some().then(|| plan::Plan::of(&config, term)).transpose()?;
            let facts = plan.map_or_else(Vec::new, |plan| plan.facts(&config));
            term.result(&if common.json {
                let facts: serde_json::Map<_, _> =
                    facts.into_iter().map(|(name, text)| (name.to_string(), text.into())).collect();
                serde_json::json!({"file": file, "ok": true, "data": facts}).to_string()
            } else {
                let lines: String = facts.iter().map(|(name, text)| format!("  {name:<14} {text}\n")).collect();
                format!("{} can be run\n{lines}", file.display())
            });
        }
        Command::Explain { path } => {
            let found = chosen(path.as_deref().unwrap_or(""))?;
            term.result(&if common.json { json(&found) } else { text(&found) });
        }
    }
    Ok(())
}

/// The settings at a place and below it.
fn chosen(path: &str) -> Result<Vec<Setting>> {
    let (all, path) = (settings()?, path.trim_end_matches('.'));
    let is_below =
        |setting: &Setting| path.is_empty() || setting.path == path || setting.path.starts_with(&format!("{path}."));
    let names: Vec<String> = all.iter().map(|setting| setting.path.clone()).collect();
    let found: Vec<Setting> = all.into_iter().filter(is_below).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let close = did_you_mean(path, names.iter().map(String::as_str));
    // Whoever knows the name of a field need not know where it stands.
    let inside = names.iter().find(|name| name.ends_with(&format!(".{path}")));
    let hint = match inside.map(String::as_str).or(close) {
        Some(close) => format!("did you mean `{close}`?"),
        None => "`lossgen config explain` prints all fields".to_string(),
    };
    Err(Fault::new("no such field in a configuration")
        .field("PATH")
        .expected("a field or a section, as in `search` or `train.recipe.steps`")
        .found(format!("`{path}`"))
        .hint(hint))
}

/// A line with the value, and one with its meaning.
fn text(settings: &[Setting]) -> String {
    let line = |setting: &Setting| {
        let unit = if setting.field.unit.is_empty() { String::new() } else { format!(" [{}]", setting.field.unit) };
        format!(
            "{}: {}{unit}\n    {}\n    may be: {}\n",
            setting.path, setting.default, setting.field.means, setting.field.range
        )
    };
    settings.iter().map(line).collect()
}

fn json(settings: &[Setting]) -> String {
    let row = |setting: &Setting| {
        serde_json::json!({"path": setting.path, "default": setting.default, "unit": setting.field.unit,
            "range": setting.field.range, "means": setting.field.means})
    };
    serde_json::json!(settings.iter().map(row).collect::<Vec<_>>()).to_string()
}
