//! `lossgen inspect`: what is in a population.

use std::path::PathBuf;

use clap::Args;
use petgraph::dot::{Config as DotConfig, Dot};
use petgraph::graph::DiGraph;

use super::Common;
use super::reference::population;
use super::term::{Term, table};
use crate::evolution::{Individual, Outcome, Population, Score};
use crate::fault::{Fault, Result};
use crate::formula::plan::Plan;
use crate::gates::Rejection;
use crate::grammar::Grammar;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A run directory, or a file generation-NNNN.ron
    population: PathBuf,
    /// One individual explained: its id, or `best`
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Everybody who was ever trained, not only the last generation
    #[arg(long)]
    all: bool,
    /// Print the computation of the individual as a graph in the DOT language (needs --id)
    #[arg(long, requires = "id")]
    dot: bool,
    /// Print the family tree of everybody in the DOT language
    #[arg(long, conflicts_with_all = ["dot", "id"])]
    lineage: bool,
}

pub(super) fn run(arguments: &Arguments, common: &Common, term: &Term) -> Result<()> {
    let population = population(&arguments.population)?;
    if arguments.lineage {
        term.result(&if common.json { family(&population) } else { lineage(&population) });
        return Ok(());
    }
    let Some(id) = &arguments.id else {
        term.result(&if common.json { json(&population) } else { overview(&population, arguments) });
        return Ok(());
    };
    let individual = match id.as_str() {
        "best" => population.best(),
        id => id.parse().ok().and_then(|id| population.find(id)),
    };
    let individual = individual.ok_or_else(|| {
        Fault::new("no such individual")
            .file(&arguments.population)
            .field("--id")
            .expected("`best` or an id of the table")
            .found(format!("`{id}`"))
            .hint("without `--id`, the table of all individuals is printed")
    })?;
    let graph = || Plan::new(&individual.formula).dot();
    term.result(&if arguments.dot && common.json {
        serde_json::json!({"id": individual.id, "dot": graph()}).to_string()
    } else if arguments.dot {
        graph()
    } else if common.json {
        row(individual).to_string()
    } else {
        explain(individual, &population)
    });
    Ok(())
}

/// Ranked table, front, and what was thrown away.
fn overview(population: &Population, arguments: &Arguments) -> String {
    // The living in the order in which they breed, Dice less a toll per word: the first is `best`.
    let mut everybody: Vec<&Individual> = population.individuals.iter().collect();
    if arguments.all {
        let mut departed: Vec<&Individual> = population.departed.iter().collect();
        departed.sort_by(|a, b| b.outcome.dice().total_cmp(&a.outcome.dice()).then(a.id.cmp(&b.id)));
        everybody.extend(departed);
    }
    let front = population.front();
    let mut text = format!(
        "generation {}, {} individuals, {} losses trained in all\n\n{}\n",
        population.generation,
        population.individuals.len(),
        population.everybody().count(),
        ranked(&everybody),
    );
    text += &format!(
        "\nPareto front (validation Dice against size in words; unconfirmed: nobody knows whether it trains a fresh network)\n\n{}\n",
        ranked(&front.iter().collect::<Vec<_>>())
    );
    if !population.rejections.is_empty() {
        text += &format!("\nnot trained, of all candidates that were bred\n\n{}\n", rejections(population));
    }
    if population.repaired > 0 {
        text += &format!("\n{} losses were written the wrong way round and negated\n", population.repaired);
    }
    text
}

/// Why candidates were not trained, in the order of the gates.
fn rejections(population: &Population) -> String {
    let all: usize = population.rejections.values().sum();
    let row = |(why, count): (&Rejection, &usize)| {
        let share = format!("{:.1}", 100.0 * *count as f64 / all as f64);
        vec![why.gate().name().to_string(), why.to_string(), count.to_string(), share]
    };
    let header = ["gate", "reason", "candidates", "%"].map(String::from);
    table(header.to_vec(), population.rejections.iter().map(row).collect(), |column| column > 1)
}

fn ranked(individuals: &[&Individual]) -> String {
    let header = ["rank", "id", "born", "Dice", "HD95 [mm]", "scratch", "words", "origin", "loss"].map(String::from);
    let row = |(rank, individual): (usize, &&Individual)| {
        vec![
            (rank + 1).to_string(),
            individual.id.to_string(),
            individual.birth.to_string(),
            dice(&individual.outcome),
            individual.outcome.score().map_or("-".into(), |score| format!("{:.2}", score.mean_hd95_mm())),
            scratch(individual),
            individual.formula.size().to_string(),
            individual.origin.name(),
            individual.formula.infix(),
        ]
    };
    table(header.to_vec(), individuals.iter().enumerate().map(row).collect(), |column| column < 7)
}

/// Mean Dice from scratch, or that nobody has tried it.
fn scratch(individual: &Individual) -> String {
    match (individual.scratch, individual.outcome.score()) {
        (Some(dice), _) => format!("{dice:.4}"),
        (None, Some(_)) => "unconfirmed".to_string(),
        (None, None) => "-".to_string(),
    }
}

/// Mean Dice, or why there is none.
fn dice(outcome: &Outcome) -> String {
    outcome.score().map_or_else(|| outcome.to_string(), |score| format!("{:.4}", score.mean_dice()))
}

/// Losses alike that are shown of one individual; the population file has all.
const MOST_TWINS: usize = 8;

/// One individual: formula in three notations, score, sorts, ancestors.
fn explain(individual: &Individual, population: &Population) -> String {
    let formula = &individual.formula;
    let mut text = format!(
        "individual {}, born in generation {} ({})\n\n",
        individual.id,
        individual.birth,
        individual.origin.name()
    );
    text += &format!(
        "  s-expression  {formula}\n  infix         {}\n  LaTeX         {}\n",
        formula.infix(),
        formula.latex()
    );
    text += &format!("  size          {} words, depth {}\n", formula.size(), formula.depth());
    text += &format!("  speaks about  {}\n", formula.cover().unwrap_or_default().name());
    if let Some(traits) = &individual.traits {
        text += &format!("  gradient      unit size with factor {:.4e}", traits.factor);
        text += if traits.silent_on_empty { "; silent on empty masks" } else { "; speaks on empty masks" };
        text += if traits.fits_half { "; fits 16 bits\n" } else { "\n" };
        if let Some(score) = traits.descent {
            text += &format!("  descent       {score:.3} of what Dice + CE reaches with free predictions\n");
        }
    }
    let twins: Vec<&String> =
        population.twins.iter().filter(|(_, twin)| twin.same_as == Some(individual.id)).map(|(loss, _)| loss).collect();
    if !twins.is_empty() {
        text += &format!("  alike         {} losses that were not trained again\n", twins.len());
        text += &twins.iter().take(MOST_TWINS).map(|loss| format!("                {loss}\n")).collect::<String>();
    }
    if Grammar::polarity().check_loss(formula).is_err() {
        text += "  grammar       outside the default language\n";
    }
    match &individual.outcome {
        Outcome::Trained(score) => text += &scores(score),
        other => text += &format!("  training      {other}\n"),
    }
    if let Some(dice) = individual.scratch {
        text += &format!("  from scratch  Dice {dice:.4}\n");
    } else if individual.outcome.score().is_some() {
        text += "  from scratch  unconfirmed: never tried\n";
    }
    text += "\nancestors\n";
    let mut open = individual.parents.clone();
    let mut seen: Vec<u64> = Vec::new();
    while let Some(id) = open.pop() {
        if seen.contains(&id) {
            continue;
        }
        seen.push(id);
        if let Some(parent) = population.find(id) {
            text += &format!(
                "  {:>4}  Dice {}  {:<10}  {}\n",
                id,
                dice(&parent.outcome),
                parent.origin.name(),
                parent.formula
            );
            open.extend(&parent.parents);
        }
    }
    if seen.is_empty() {
        text += "  none\n";
    }
    text
}

fn scores(score: &Score) -> String {
    let list =
        |values: &[f64], digits: usize| values.iter().map(|v| format!("{v:.digits$}")).collect::<Vec<_>>().join(" ");
    format!(
        "  Dice          {:.4}  ({})\n  HD95          {:.2} mm  ({})\n",
        score.mean_dice(),
        list(&score.dice, 3),
        score.mean_hd95_mm(),
        list(&score.hd95_mm, 1),
    )
}

fn row(individual: &Individual) -> serde_json::Value {
    let (formula, score) = (&individual.formula, individual.outcome.score());
    serde_json::json!({
        "id": individual.id, "birth": individual.birth, "parents": individual.parents, "origin": individual.origin.name(),
        "loss": formula.to_string(), "infix": formula.infix(), "latex": formula.latex(), "size": formula.size(),
        "dice": score.map(Score::mean_dice), "hd95_mm": score.map(Score::mean_hd95_mm), "scratch_dice": individual.scratch,
        "confirmed": individual.is_confirmed(), "traits": individual.traits,
    })
}

fn json(population: &Population) -> String {
    let rows: Vec<_> = population.everybody().map(row).collect();
    let front: Vec<u64> = population.front().iter().map(|individual| individual.id).collect();
    let rejected: Vec<_> = population
        .rejections
        .iter()
        .map(|(why, count)| serde_json::json!({"gate": why.gate(), "reason": why, "candidates": count}))
        .collect();
    serde_json::json!({
        "generation": population.generation, "individuals": rows, "front": front,
        "rejected": rejected, "repaired": population.repaired, "twins": population.twins,
    })
    .to_string()
}

/// Who descends from whom: nodes as in the list of individuals, and edges from parent to child.
fn family(population: &Population) -> String {
    let mut everybody: Vec<&Individual> = population.everybody().collect();
    everybody.sort_by_key(|individual| individual.id);
    let edges = everybody.iter().flat_map(|child| child.parents.iter().map(|parent| [*parent, child.id]));
    let edges: Vec<[u64; 2]> = edges.collect();
    let nodes: Vec<_> = everybody.into_iter().map(row).collect();
    serde_json::json!({"individuals": nodes, "edges": edges}).to_string()
}

/// Who descends from whom; the front is filled.
fn lineage(population: &Population) -> String {
    let mut graph = DiGraph::<String, &str>::new();
    let front = population.front();
    let mut everybody: Vec<&Individual> = population.everybody().collect();
    everybody.sort_by_key(|individual| individual.id);
    let mut nodes = std::collections::BTreeMap::new();
    for individual in everybody {
        let fill = if front.iter().any(|other| other.id == individual.id) {
            " style=filled fillcolor=\"#cfe8cf\""
        } else {
            ""
        };
        let label = format!("{} {}\n{}", individual.id, individual.origin.name(), dice(&individual.outcome));
        let node = graph.add_node(format!("label={label:?} shape=box fontname=\"Helvetica\"{fill}"));
        nodes.insert(individual.id, node);
        for parent in individual.parents.iter().filter_map(|parent| nodes.get(parent)) {
            graph.update_edge(*parent, node, "");
        }
    }
    let style = |_: &DiGraph<String, &str>, (_, style): (_, &String)| style.clone();
    Dot::with_attr_getters(&graph, &[DotConfig::EdgeNoLabel, DotConfig::NodeNoLabel], &|_, _| String::new(), &style)
        .to_string()
}
