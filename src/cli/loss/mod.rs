//! `lossgen loss`: the catalog, and any formula.

mod eval;
mod plot;

use std::collections::BTreeMap;

use clap::Subcommand;

use super::term::{Term, table};
use super::{Common, reference};
use crate::fault;
use crate::formula::Formula;
use crate::formula::plan::Plan;
use crate::formula::word::Op;
use crate::gates::{Gates, LEAST, Passed, Rejection, gradient_factor, share, starts};
use crate::losses::catalog::{self, CATALOG, Entry};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// All losses of the catalog
    List,
    /// One loss: formula, LaTeX, parameters and their ranges, and what the gates of a search say of it
    Show {
        /// A name, a name with parameters, a formula, RUN/best, or RUN#ID
        loss: String,
        /// Print it as a graph in the DOT language instead: the tree as it is written, or the plan, each value once
        #[arg(long, value_name = "GRAPH")]
        dot: Option<Graph>,
    },
    /// The value and the gradient of a loss on arrays of NumPy, as JSON
    Eval(eval::Arguments),
    /// How losses behave: against size, shape and errors of a structure, and where their gradient is, as SVG
    Plot(plot::Plot),
    /// The page about all losses of the catalog, with pictures
    Docs(plot::Docs),
}

/// A graph of a formula.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum Graph {
    /// As it is written.
    Tree,
    /// Each value once, in the order of their computation.
    Plan,
}

pub(super) fn run(command: &Command, common: &Common, term: &Term) -> fault::Result<()> {
    match command {
        Command::List => list(common, term),
        Command::Show { loss, dot: Some(graph) } => {
            let formula = reference::find(loss)?.loss.formula;
            term.result(&match graph {
                Graph::Tree => formula.dot(),
                Graph::Plan => Plan::new(&formula).dot(),
            });
        }
        Command::Show { loss, dot: None } => show(loss, common, term)?,
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

fn show(typed: &str, common: &Common, term: &Term) -> fault::Result<()> {
    let formula = reference::find(typed)?.loss.formula;
    let entry = catalog::find(typed.split('(').next().unwrap_or_default().trim());
    let look = Gates::default().look(&formula.canonical());
    let plan = Plan::new(&formula);
    let factor = gradient_factor(&plan);
    let descents = starts().enumerate().map(|(start, name)| (name, share(&plan, factor, start)));
    let descents: Vec<(&str, Result<f64, Rejection>)> = descents.collect();
    if common.json {
        let values: serde_json::Map<String, serde_json::Value> =
            formula.parameters().into_iter().map(|(name, value)| (name.to_string(), value.into())).collect();
        let result = serde_json::json!({
            "canonical": formula.canonical().to_string(),
            "formula": formula.to_string(), "infix": formula.infix(), "latex": formula.latex(), "parameters": values,
            "switches": entry.map_or(Vec::new(), |entry| entry.switches.iter().map(|switch| switch.name).collect()),
            "source": entry.map(|entry| entry.source), "elsewhere": entry.map(|entry| entry.elsewhere),
            "gate": look.as_ref().err().map(|why| why.gate()), "rejection": look.as_ref().err(),
            "reversed": look.as_ref().is_ok_and(|passed| passed.repaired),
            "traits": look.as_ref().ok().map(|passed| passed.traits),
            "descent": descents.iter().map(|(name, share)| (*name, share.as_ref().ok())).collect::<BTreeMap<_, _>>(),
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
    text += &gates(&look, &descents);
    term.result(&text);
    Ok(())
}

/// What the gates say of a loss.
fn gates(look: &Result<Passed, Rejection>, descents: &[(&str, Result<f64, Rejection>)]) -> String {
    let mut text = match look {
        Err(why) => format!("gates         a search would not train it: {why} ({})\n", why.gate().name()),
        Ok(passed) => {
            let Passed { repaired, traits, .. } = passed;
            let written = if *repaired { "written the wrong way round; a search would negate it" } else { "pass" };
            let empty = if traits.silent_on_empty { "silent" } else { "speaks" };
            let half = if traits.fits_half { "fits" } else { "may leave" };
            let factor = traits.factor;
            format!(
                "gates         {written}\n  unit gradient with factor {factor:.4e}, which {half} 16 bits; {empty} on empty masks\n"
            )
        }
    };
    text += "descent       hard Dice of free predictions over that of Dice + CE; a search asks for ";
    text += &format!("{LEAST}\n");
    for (start, share) in descents {
        let share = share.as_ref().map_or_else(ToString::to_string, |share| format!("{share:.3}"));
        text += &format!("  {start:<12} {share}\n");
    }
    text
}
