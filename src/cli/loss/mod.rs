//! `lossgen loss`: the catalog, and any formula.

mod eval;
mod plot;

use clap::Subcommand;

use super::term::{Term, table};
use super::{Common, reference};
use crate::fault::Result;
use crate::formula::Formula;
use crate::formula::word::Op;
use crate::losses::catalog::{self, CATALOG, Entry};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// All losses of the catalog
    List,
    /// One loss: formula, LaTeX, parameters and their ranges
    Show {
        /// A name, a name with parameters, a formula, RUN/best, or RUN#ID
        loss: String,
    },
    /// The value and the gradient of a loss on arrays of NumPy, as JSON
    Eval(eval::Arguments),
    /// How losses behave: against size, shape and errors of a structure, and where their gradient is, as SVG
    Plot(plot::Plot),
    /// The page about all losses of the catalog, with pictures
    Docs(plot::Docs),
}

pub(super) fn run(command: &Command, common: &Common, term: &Term) -> Result<()> {
    match command {
        Command::List => list(common, term),
        Command::Show { loss } => show(loss, common, term)?,
        Command::Eval(arguments) => eval::run(arguments, term)?,
        Command::Plot(arguments) => plot::plot(arguments, common, term)?,
        Command::Docs(arguments) => plot::docs(arguments, term)?,
    }
    Ok(())
}

fn list(common: &Common, term: &Term) {
    if common.json {
        let rows: Vec<_> = CATALOG
            .iter()
            .map(|e| serde_json::json!({"name": e.name, "family": family(e), "formula": e.formula().to_string(), "source": e.source, "elsewhere": e.elsewhere}))
            .collect();
        return term.result(&serde_json::json!(rows).to_string());
    }
    let row = |entry: &Entry| {
        let switches: Vec<&str> = entry.switches.iter().map(|switch| switch.name).collect();
        vec![entry.name.to_string(), family(entry), parameters(&entry.formula()), switches.join(", ")]
    };
    let header = ["loss", "family", "parameters", "switches"].map(String::from);
    term.result(&table(header.to_vec(), CATALOG.iter().map(row).collect(), |_| false));
}

fn family(entry: &Entry) -> String {
    format!("{:?}", entry.family).to_lowercase()
}

fn parameters(formula: &Formula) -> String {
    formula
        .parameters()
        .iter()
        .map(|(name, value)| format!("{name}={}", Formula::number(*value)))
        .collect::<Vec<_>>()
        .join(", ")
}

fn show(typed: &str, common: &Common, term: &Term) -> Result<()> {
    let formula = reference::find(typed)?.loss.formula;
    let entry = catalog::find(typed.split('(').next().unwrap_or_default().trim());
    if common.json {
        let values: serde_json::Map<String, serde_json::Value> =
            formula.parameters().into_iter().map(|(name, value)| (name.to_string(), value.into())).collect();
        let result = serde_json::json!({
            "formula": formula.to_string(), "infix": formula.infix(), "latex": formula.latex(), "parameters": values,
            "switches": entry.map_or(Vec::new(), |entry| entry.switches.iter().map(|switch| switch.name).collect()),
            "source": entry.map(|entry| entry.source), "elsewhere": entry.map(|entry| entry.elsewhere),
        });
        term.result(&result.to_string());
        return Ok(());
    }
    let mut text =
        format!("s-expression  {formula}\ninfix         {}\nLaTeX         {}\n", formula.infix(), formula.latex());
    for gene in formula.genes() {
        let word = gene.word.word();
        if let Op::Parameter { low, high, .. } = word.op {
            let row = format!("  {} = {}  ({low} to {high}): {}\n", word.name, gene.value, word.meaning);
            if !text.contains(&row) {
                text += &row;
            }
        }
    }
    if let Some(entry) = entry {
        for switch in entry.switches {
            text += &format!("  {}  {}\n", switch.name, switch.meaning);
        }
        text += &format!("source        {}\nelsewhere     {}\n", entry.source, entry.elsewhere);
    }
    term.result(&text);
    Ok(())
}
