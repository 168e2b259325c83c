//! `lossgen grammar`: what a grammar can say.

use clap::Subcommand;

use super::term::Term;
use super::{Common, reference};
use crate::fault::Result;
use crate::formula::Formula;
use crate::formula::word::Sides;
use crate::grammar::{Grammar, Kind, Site, Sort};
use crate::rng::{Purpose, stream};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Sorts, rules and some random losses
    Show {
        /// polarity, or a RON file
        #[arg(default_value = "polarity")]
        grammar: String,
    },
    /// Whether a loss belongs to the grammar, and where it leaves it
    Check {
        /// A name, a name with parameters, a formula, RUN/best, or RUN#ID
        loss: String,
        /// polarity, or a RON file
        #[arg(long, default_value = "polarity")]
        grammar: String,
    },
}

pub(super) fn run(command: &Command, common: &Common, term: &Term) -> Result<()> {
    match command {
        Command::Show { grammar } => {
            let grammar = Grammar::load(grammar)?;
            term.result(&if common.json { show_json(&grammar) } else { show(&grammar) });
        }
        Command::Check { loss, grammar } => {
            let grammar = Grammar::load(grammar)?;
            let formula = reference::find(loss)?.loss.formula.canonical();
            let derivation = grammar.check_loss(&formula)?;
            if common.json {
                let site = |site: &Site| serde_json::json!({"sort": grammar.sorts[site.sort].name, "part": formula.subtree(site.node).to_string()});
                let sites: Vec<_> = derivation.sites.iter().map(site).collect();
                let verdict = serde_json::json!({"grammar": grammar.name, "loss": formula.to_string(), "sites": sites});
                term.result(&verdict.to_string());
                return Ok(());
            }
            let mut text = format!("`{formula}` is in the language `{}`\n", grammar.name);
            for site in derivation.sites {
                text += &format!("  {:<14} {}\n", grammar.sorts[site.sort].name, formula.subtree(site.node));
            }
            term.result(&text);
        }
    }
    Ok(())
}

/// Some losses of a grammar, always the same.
fn samples(grammar: &Grammar) -> impl Iterator<Item = Formula> + '_ {
    (0..8).map(|slot| grammar.sample_loss(16, &mut stream(0, Purpose::Birth, 0, slot)))
}

fn show_json(grammar: &Grammar) -> String {
    let sort = |(id, sort): (usize, &Sort)| match sort.kind {
        Kind::Constant { low, high } => serde_json::json!({"name": sort.name, "low": low, "high": high}),
        Kind::Tree => {
            let (rules, smallest) = (grammar.rules_of(id).count(), grammar.smallest(id, Sides::NONE));
            serde_json::json!({"name": sort.name, "rules": rules, "smallest": smallest})
        }
    };
    let sorts: Vec<_> = grammar.sorts.iter().enumerate().map(sort).collect();
    let losses: Vec<String> = samples(grammar).map(|loss| loss.to_string()).collect();
    let (name, rules) = (&grammar.name, grammar.rules.len());
    serde_json::json!({"name": name, "max_size": grammar.max_size, "rules": rules, "sorts": sorts, "losses": losses})
        .to_string()
}

fn show(grammar: &Grammar) -> String {
    let mut text =
        format!("{}: losses of up to {} words, {} rules\n\n", grammar.name, grammar.max_size, grammar.rules.len());
    for (id, sort) in grammar.sorts.iter().enumerate() {
        match sort.kind {
            Kind::Constant { low, high } => {
                let [low, high] = [low, high].map(Formula::number);
                text += &format!("  {:<14} a number from {low} to {high}\n", sort.name);
            }
            Kind::Tree => {
                let smallest = grammar.smallest(id, Sides::NONE).unwrap_or(0);
                text += &format!(
                    "  {:<14} {} rules, smallest tree {smallest} word(s)\n",
                    sort.name,
                    grammar.rules_of(id).count()
                );
            }
        }
    }
    text += "\nsome of its losses\n";
    for loss in samples(grammar) {
        text += &format!("  {loss}\n");
    }
    text
}
