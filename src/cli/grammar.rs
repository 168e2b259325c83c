//! `lossgen grammar`: what a grammar can say.

use clap::Subcommand;
use serde_json::json;

use super::term::{Term, table};
use super::{Common, reference};
use crate::fault::Result;
use crate::formula::Formula;
use crate::formula::word::Sides;
use crate::grammar::{BUILT_IN, Census, Coverage, Grammar, Kind, Site, Sort};
use crate::rng::{Purpose, stream};

/// Largest losses of which the number is shown.
const COUNTED: usize = 16;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The grammars that come with the program
    List,
    /// Sorts, rules, numbers of losses and some random ones
    Show {
        /// polarity, region, distribution, distance, untyped, or a RON file
        #[arg(default_value = "polarity")]
        grammar: String,
    },
    /// Whether a loss belongs to the grammar, where it leaves it, and what would fit there
    Check {
        /// A name, a name with parameters, a formula, RUN/best, or RUN#ID
        loss: String,
        /// polarity, region, distribution, distance, untyped, or a RON file
        #[arg(long, default_value = "polarity")]
        grammar: String,
    },
}

pub(super) fn run(command: &Command, common: &Common, term: &Term) -> Result<()> {
    let text = match command {
        Command::List => list(common.json),
        Command::Show { grammar } => {
            let grammar = Grammar::load(grammar)?;
            if common.json { show_json(&grammar) } else { show(&grammar) }
        }
        Command::Check { loss, grammar } => check(loss, &Grammar::load(grammar)?, common.json)?,
    };
    term.result(&text);
    Ok(())
}

fn list(as_json: bool) -> String {
    let known: Vec<(&str, &str, Grammar)> =
        BUILT_IN.iter().map(|known| (known.name, known.says, known.grammar())).collect();
    let eight = |grammar: &Grammar| at_most(grammar, 8);
    if as_json {
        let row = |(name, says, grammar): &(&str, &str, Grammar)| json!({"name": name, "says": says, "rules": grammar.rules.len(), "losses_of_at_most_8_words": eight(grammar)});
        return json!(known.iter().map(row).collect::<Vec<_>>()).to_string();
    }
    let row = |(name, says, grammar): &(&str, &str, Grammar)| {
        [*name, &grammar.rules.len().to_string(), &rounded(eight(grammar)), *says].map(String::from).to_vec()
    };
    let header = ["grammar", "rules", "losses of at most 8 words", "what can be said"].map(String::from).to_vec();
    table(header, known.iter().map(row).collect(), |column| column == 1 || column == 2)
}

fn check(loss: &str, grammar: &Grammar, as_json: bool) -> Result<String> {
    let formula = reference::find(loss)?.loss.formula.canonical();
    let derivation = grammar.check_loss(&formula)?;
    let name = |site: &Site| grammar.sorts[site.sort].name.as_str();
    if as_json {
        let site = |site: &Site| json!({"sort": name(site), "part": formula.subtree(site.node).to_string()});
        let sites: Vec<_> = derivation.sites.iter().map(site).collect();
        return Ok(json!({"grammar": grammar.name, "loss": formula.to_string(), "sites": sites}).to_string());
    }
    let mut text = format!("`{formula}` is in the language `{}`\n", grammar.name);
    for site in &derivation.sites {
        text += &format!("  {:<14} {}\n", name(site), formula.subtree(site.node));
    }
    Ok(text)
}

/// Some losses of a grammar, always the same.
fn samples(grammar: &Grammar) -> impl Iterator<Item = Formula> + '_ {
    (0..8).map(|slot| grammar.sample_loss(16, &mut stream(0, Purpose::Birth, 0, slot)))
}

/// How many losses there are of each size that is counted.
fn counts(grammar: &Grammar) -> Vec<(usize, f64)> {
    let census = Census::new(grammar, COUNTED.min(grammar.max_size));
    (1..=COUNTED.min(grammar.max_size)).map(|size| (size, census.losses(size))).collect()
}

fn at_most(grammar: &Grammar, largest: usize) -> f64 {
    counts(grammar).iter().filter(|(size, _)| *size <= largest).map(|(_, count)| count).sum()
}

/// Large numbers to three digits.
fn rounded(count: f64) -> String {
    if count < 1e6 { format!("{count}") } else { format!("{count:.2e}") }
}

fn show_json(grammar: &Grammar) -> String {
    let sort = |(id, sort): (usize, &Sort)| match sort.kind {
        Kind::Constant { low, high } => json!({"name": sort.name, "low": low, "high": high}),
        Kind::Tree => json!({
            "name": sort.name, "rules": grammar.rules_of(id).count(),
            "smallest": grammar.smallest(id, Sides::NONE), "shallowest": grammar.shallowest(id),
        }),
    };
    let sorts: Vec<_> = grammar.sorts.iter().enumerate().map(sort).collect();
    let losses: Vec<String> = samples(grammar).map(|loss| loss.to_string()).collect();
    let untamed = grammar.rules.iter().filter(|rule| rule.untamed).count();
    json!({
        "name": grammar.name, "max_size": grammar.max_size, "coverage": grammar.coverage, "rules": grammar.rules.len(),
        "untamed": untamed, "sorts": sorts, "counts": counts(grammar), "losses": losses,
    })
    .to_string()
}

fn show(grammar: &Grammar) -> String {
    let untamed = grammar.rules.iter().filter(|rule| rule.untamed).count();
    let mut text = format!(
        "{}: losses of up to {} words, {} rules, {untamed} of them untamed\n",
        grammar.name,
        grammar.max_size,
        grammar.rules.len()
    );
    text += match grammar.coverage {
        Coverage::Complete => "every loss speaks about both sides of the target\n\n",
        Coverage::Free => "losses may speak about whatever they like\n\n",
    };
    for (id, sort) in grammar.sorts.iter().enumerate() {
        text += &match sort.kind {
            Kind::Constant { low, high } => {
                let [low, high] = [low, high].map(Formula::number);
                format!("  {:<14} a number from {low} to {high}\n", sort.name)
            }
            Kind::Tree => format!(
                "  {:<14} {} rules; smallest tree {} words, shallowest {} levels\n",
                sort.name,
                grammar.rules_of(id).count(),
                grammar.smallest(id, Sides::NONE).unwrap_or(0),
                grammar.shallowest(id).unwrap_or(0),
            ),
        };
    }
    text += "\nlosses by number of words; operands in another order count again, values of constants do not\n";
    for (size, count) in counts(grammar).into_iter().filter(|(_, count)| *count > 0.0) {
        text += &format!("  {size:>4}  {}\n", rounded(count));
    }
    text += "\nsome of its losses\n";
    for loss in samples(grammar) {
        text += &format!("  {loss}\n");
    }
    text
}
