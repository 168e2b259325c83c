//! `lossgen inspect`: what is in a population.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use super::Common;
use super::explain;
use super::lineage::{Family, ancestors};
use super::reference::population;
use super::term::{Term, table};
use crate::evolution::{Gain, Individual, Outcome, Population, Score, Winner, nearest};
use crate::fault::{Fault, Result};
use crate::formula::plan::Plan;
use crate::gates::Rejection;
use crate::grammar::Grammar;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "what a person may ask for")]
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
    /// Print the family tree in the DOT language: of everybody or, with --id, of that individual and its ancestors
    #[arg(long, conflicts_with = "dot")]
    lineage: bool,
    /// Print the family tree as an SVG picture, generations from left to right (needs --lineage)
    #[arg(long, requires = "lineage")]
    svg: bool,
}

pub(super) fn run(arguments: &Arguments, common: &Common, term: &Term) -> Result<()> {
    let population = population(&arguments.population)?;
    let winner =
        if arguments.population.is_dir() { Winner::load(&arguments.population, population.generation)? } else { None };
    let Some(id) = &arguments.id else {
        if arguments.lineage {
            term.result(&family(&Family::of_all(&population), arguments, common));
            return Ok(());
        }
        term.result(&if common.json {
            json(&population, winner.as_ref())
        } else {
            overview(&population, winner.as_ref(), arguments)
        });
        return Ok(());
    };
    let individual = match id.as_str() {
        "best" => match &winner {
            Some(winner) => population.find(winner.id),
            None => population.best(),
        },
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
    if arguments.lineage {
        term.result(&family(&Family::of(individual, &population), arguments, common));
        return Ok(());
    }
    let graph = || Plan::new(&individual.formula).dot();
    term.result(&if arguments.dot && common.json {
        serde_json::json!({"id": individual.id, "dot": graph()}).to_string()
    } else if arguments.dot {
        graph()
    } else if common.json {
        row(individual).to_string()
    } else {
        let own = winner.as_ref().filter(|winner| winner.id == individual.id);
        explain(individual, &population) + &own.map(explain::winner).unwrap_or_default()
    });
    Ok(())
}

/// The family in the form that was asked for.
fn family(family: &Family<'_>, arguments: &Arguments, common: &Common) -> String {
    match (arguments.svg, common.json) {
        (true, true) => serde_json::json!({"svg": family.svg()}).to_string(),
        (true, false) => family.svg(),
        (false, true) => family.json(),
        (false, false) => family.dot(),
    }
}

/// Ranked table, front, who won and why, which operators paid, and what was thrown away.
fn overview(population: &Population, winner: Option<&Winner>, arguments: &Arguments) -> String {
    // The living in the order in which they breed: those who came highest, by what is to be believed of their leads.
    let mut everybody: Vec<&Individual> = population.individuals.iter().collect();
    if arguments.all {
        let mut departed: Vec<&Individual> = population.departed.iter().collect();
        departed.sort_by(|a, b| a.part.cmp(&b.part).then(b.gain().total_cmp(&a.gain())).then(a.id.cmp(&b.id)));
        everybody.extend(departed);
    }
    let front = population.front();
    let mut text = format!(
        "generation {}, {} individuals, {} losses trained in all, {} trainings of {} steps together\n{}\n\n{}\n",
        population.generation,
        population.individuals.len(),
        population.everybody().count(),
        population.spent.trainings,
        population.spent.steps,
        noise(population),
        ranked(population, &everybody),
    );
    text += &format!(
        "\nPareto front (Dice and HD95 less those of Dice + CE, and size in words; of those trained to the end; unconfirmed: \
         nobody knows whether it trains a fresh network)\n\n{}\n",
        ranked(population, &front.iter().collect::<Vec<_>>())
    );
    if let Some(winner) = winner {
        text += &explain::winner(winner);
    }
    text += &format!("\nwhat made them, and which of it paid\n\n{}\n", operators(population));
    if !population.rejections.is_empty() {
        text += &format!("\nnot trained, of all candidates that were bred\n\n{}\n", rejections(population));
    }
    if population.repaired > 0 {
        text += &format!("\n{} losses were written the wrong way round and negated\n", population.repaired);
    }
    text
}

/// How far leads are to be believed.
fn noise(population: &Population) -> String {
    let shrinkage = population.shrinkage();
    match shrinkage.noise {
        None => "too few losses have three trainings of a kind: half of a lead is believed after one, without knowing how much is noise".to_string(),
        Some(noise) => format!(
            "noise of one lead {noise:.4} Dice; of a lead over the middle ({:+.4}), {:.0} % are believed after one training, \
             {:.0} % after three",
            shrinkage.middle,
            100.0 / (1.0 + shrinkage.k),
            300.0 / (3.0 + shrinkage.k),
        ),
    }
}

/// How often each operator made something, and what became of it.
fn operators(population: &Population) -> String {
    let mut rows: BTreeMap<&str, [usize; 5]> = BTreeMap::new();
    for one in population.everybody() {
        let row = rows.entry(one.origin.operator()).or_default();
        // Gains of different rungs are not compared: whoever came higher than a parent is better than it.
        let beats = |parent: &Individual| !parent.is_through() || one.gain() > parent.gain();
        let parents: Vec<&Individual> = one.parents.iter().filter_map(|id| population.find(*id)).collect();
        let better = one.is_through() && !parents.is_empty() && parents.into_iter().all(beats);
        let facts = [true, one.is_through(), better, one.is_confirmed()];
        for (count, fact) in row[1..].iter_mut().zip(facts) {
            *count += usize::from(fact);
        }
    }
    for (operator, tried) in &population.tried {
        rows.entry(operator).or_default()[0] = *tried;
    }
    let header =
        ["made by", "tried", "trained", "to the end", "better than its parents", "from scratch"].map(String::from);
    let row = |(operator, counts): (&str, [usize; 5])| {
        let tried = if counts[0] == 0 { "-".to_string() } else { counts[0].to_string() };
        let rest = counts[1..].iter().map(ToString::to_string);
        [operator.to_string(), tried].into_iter().chain(rest).collect()
    };
    table(header.to_vec(), rows.into_iter().map(row).collect(), |column| column > 0)
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

fn ranked(population: &Population, individuals: &[&Individual]) -> String {
    let header = [
        "rank",
        "id",
        "born",
        "rung",
        "n",
        "gain",
        "believed",
        "Dice",
        "HD95 [mm]",
        "scratch",
        "words",
        "origin",
        "loss",
    ];
    let shrinkage = population.shrinkage();
    let row = |(rank, individual): (usize, &&Individual)| {
        let score = individual.outcome.score();
        let signed = |value: f64| score.map_or("-".to_string(), |_| format!("{value:+.4}"));
        vec![
            (rank + 1).to_string(),
            individual.id.to_string(),
            individual.birth.to_string(),
            rung(individual.part),
            individual.gains.len().to_string(),
            signed(individual.gain()),
            if individual.is_through() { signed(shrinkage.shrunk(individual)) } else { "-".to_string() },
            dice(&individual.outcome),
            score.map_or("-".into(), |score| format!("{:.2}", score.mean_hd95_mm())),
            scratch(individual),
            individual.formula.size().to_string(),
            individual.origin.name(),
            individual.formula.infix(),
        ]
    };
    let rows = individuals.iter().enumerate().map(row).collect();
    table(header.map(String::from).to_vec(), rows, |column| column < 11)
}

/// The last rung is `all`; lower ones are shares of its steps.
fn rung(part: u32) -> String {
    if part == 1 { "all".to_string() } else { format!("1/{part}") }
}

/// Mean Dice from scratch, or that nobody has tried it.
fn scratch(individual: &Individual) -> String {
    match (individual.scratch, individual.outcome.score()) {
        (Some(dice), _) => format!("{dice:.4}"),
        (None, Some(_)) if individual.is_through() => "unconfirmed".to_string(),
        (None, _) => "-".to_string(),
    }
}

/// Mean Dice, or why there is none.
pub(super) fn dice(outcome: &Outcome) -> String {
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
    if let Some(nearest) = nearest(formula) {
        text += &format!("  nearest known {} at a distance of {:.3}\n", nearest.name, nearest.distance);
    }
    if Grammar::polarity().check_loss(formula).is_err() {
        text += "  grammar       outside the default language\n";
    }
    match &individual.outcome {
        Outcome::Trained(score) => text += &scores(individual, score),
        other => text += &format!("  training      {other}\n"),
    }
    if let Some(dice) = individual.scratch {
        text += &format!("  from scratch  Dice {dice:.4}\n");
    } else if individual.outcome.score().is_some() {
        text += "  from scratch  unconfirmed: never tried\n";
    }
    text += "\nancestors\n";
    let found = ancestors(individual, population);
    for parent in &found {
        text += &format!(
            "  {:>4}  Dice {}  {:<10}  {}\n",
            parent.id,
            dice(&parent.outcome),
            parent.origin.name(),
            parent.formula
        );
    }
    if found.is_empty() {
        text += "  none\n";
    }
    text
}

fn scores(individual: &Individual, score: &Score) -> String {
    let list =
        |values: &[f64], digits: usize| values.iter().map(|v| format!("{v:.digits$}")).collect::<Vec<_>>().join(" ");
    let gains = individual.gains.iter().map(|gain| format!("{:+.4}", gain.mean())).collect::<Vec<_>>().join(" ");
    format!(
        "  rung          {}\n  gain          {:+.4} Dice, {:+.2} mm HD95 to Dice + CE  (replicates: {gains})\n  \
         Dice          {:.4}  ({})\n  HD95          {:.2} mm  ({})\n",
        rung(individual.part),
        individual.gain(),
        individual.surface_gain(),
        score.mean_dice(),
        list(&score.dice, 3),
        score.mean_hd95_mm(),
        list(&score.hd95_mm, 1),
    )
}

pub(super) fn row(individual: &Individual) -> serde_json::Value {
    let (formula, score) = (&individual.formula, individual.outcome.score());
    serde_json::json!({
        "id": individual.id, "birth": individual.birth, "parents": individual.parents, "origin": individual.origin.name(),
        "loss": formula.to_string(), "infix": formula.infix(), "latex": formula.latex(), "size": formula.size(),
        "canonical": formula.canonical().to_string(),
        "part": individual.part, "island": individual.island, "gain": score.map(|_| individual.gain()),
        "gains": individual.gains.iter().map(Gain::mean).collect::<Vec<_>>(),
        "dice": score.map(Score::mean_dice), "hd95_mm": score.map(Score::mean_hd95_mm), "scratch_dice": individual.scratch,
        "confirmed": individual.is_confirmed(), "traits": individual.traits,
    })
}

fn json(population: &Population, winner: Option<&Winner>) -> String {
    let rows: Vec<_> = population.everybody().map(row).collect();
    let front: Vec<u64> = population.front().iter().map(|individual| individual.id).collect();
    let rejected: Vec<_> = population
        .rejections
        .iter()
        .map(|(why, count)| serde_json::json!({"gate": why.gate(), "reason": why, "candidates": count}))
        .collect();
    serde_json::json!({
        "generation": population.generation, "spent": population.spent, "winner": winner, "elites": population.elites,
        "tried": population.tried, "individuals": rows, "front": front,
        "rejected": rejected, "repaired": population.repaired, "twins": population.twins,
    })
    .to_string()
}
