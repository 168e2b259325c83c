//! `lossgen grammar`: what a grammar can say.

use clap::Subcommand;

use super::reference;
use super::term::Term;
use crate::fault::Result;
use crate::formula::Formula;
use crate::formula::word::Sides;
use crate::grammar::{Grammar, Kind};
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

pub(super) fn run(command: &Command, term: &Term) -> Result<()> {
    match command {
        Command::Show { grammar } => term.result(&show(&Grammar::load(grammar)?)),
        Command::Check { loss, grammar } => {
            let grammar = Grammar::load(grammar)?;
            let formula = reference::find(loss)?.loss.formula.canonical();
            let derivation = grammar.check_loss(&formula)?;
            let mut text = format!("`{formula}` is in the language `{}`\n", grammar.name);
            for site in derivation.sites {
                text += &format!("  {:<14} {}\n", grammar.sorts[site.sort].name, formula.subtree(site.node));
            }
            term.result(&text);
        }
    }
    Ok(())
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
    for slot in 0..8 {
        text += &format!("  {}\n", grammar.sample_loss(16, &mut stream(0, Purpose::Birth, 0, slot)));
    }
    text
}
