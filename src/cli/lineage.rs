//! Who descends from whom, of a whole population or of one individual, as DOT, SVG or JSON.

use std::collections::BTreeMap;

use petgraph::dot::{Config as DotConfig, Dot};
use petgraph::graph::DiGraph;

use super::inspect::{dice, row};
use crate::evolution::{Individual, Population};
use crate::report::lineage::{Mark, Member, picture};

/// Those whom a picture shows, in order of their ids.
pub(super) struct Family<'a> {
    members: Vec<&'a Individual>,
    front: Vec<u64>,
    /// Whose ancestors they are, if they are those of one.
    of: Option<u64>,
}

impl<'a> Family<'a> {
    /// Everybody who was ever trained.
    pub(super) fn of_all(population: &'a Population) -> Self {
        Self::new(population.everybody().collect(), population, None)
    }

    /// One individual and its ancestors.
    pub(super) fn of(individual: &'a Individual, population: &'a Population) -> Self {
        let mut members = ancestors(individual, population);
        members.push(individual);
        Self::new(members, population, Some(individual.id))
    }

    fn new(mut members: Vec<&'a Individual>, population: &Population, of: Option<u64>) -> Self {
        members.sort_by_key(|individual| individual.id);
        Self { members, front: population.front().iter().map(|individual| individual.id).collect(), of }
    }

    /// Nodes as in the list of individuals, and edges from parent to child.
    pub(super) fn json(&self) -> String {
        let edges = self.members.iter().flat_map(|child| child.parents.iter().map(|parent| [*parent, child.id]));
        let edges: Vec<[u64; 2]> = edges.collect();
        let nodes: Vec<_> = self.members.iter().map(|individual| row(individual)).collect();
        serde_json::json!({"individuals": nodes, "edges": edges}).to_string()
    }

    /// In the DOT language; the front is filled.
    pub(super) fn dot(&self) -> String {
        let mut graph = DiGraph::<String, &str>::new();
        let mut nodes = BTreeMap::new();
        for individual in &self.members {
            let fill = if self.front.contains(&individual.id) { " style=filled fillcolor=\"#cfe8cf\"" } else { "" };
            let label = format!("{} {}\n{}", individual.id, individual.origin.name(), dice(&individual.outcome));
            let node = graph.add_node(format!("label={label:?} shape=box fontname=\"Helvetica\"{fill}"));
            nodes.insert(individual.id, node);
            for parent in individual.parents.iter().filter_map(|parent| nodes.get(parent)) {
                graph.update_edge(*parent, node, "");
            }
        }
        let style = |_: &DiGraph<String, &str>, (_, style): (_, &String)| style.clone();
        let settings = [DotConfig::EdgeNoLabel, DotConfig::NodeNoLabel];
        Dot::with_attr_getters(&graph, &settings, &|_, _| String::new(), &style).to_string()
    }

    /// As a picture: a column per generation.
    pub(super) fn svg(&self) -> String {
        let title = match self.of {
            Some(id) => format!("ancestors of individual {id}"),
            None => format!("all {} losses that were trained", self.members.len()),
        };
        picture(&self.members.iter().map(|individual| self.member(individual)).collect::<Vec<_>>(), &title)
    }

    fn member(&self, individual: &Individual) -> Member {
        let mark = match individual.outcome.score() {
            _ if self.of == Some(individual.id) => Mark::Asked,
            None => Mark::Failed,
            Some(_) if self.front.contains(&individual.id) => Mark::Front,
            Some(_) => Mark::Plain,
        };
        let judged = match individual.outcome.score() {
            None => individual.outcome.to_string(),
            Some(score) => {
                let rung = if individual.part == 1 { String::new() } else { format!(", 1/{}", individual.part) };
                format!("gain {:+.4}, Dice {:.3}{rung}", individual.gain(), score.mean_dice())
            }
        };
        Member {
            id: individual.id,
            generation: individual.birth,
            parents: individual.parents.clone(),
            lines: [format!("{} {}", individual.id, individual.origin.name()), judged, individual.formula.infix()],
            mark,
        }
    }
}

/// Everybody from whom an individual descends, parents before grandparents along each line, each once.
pub(super) fn ancestors<'a>(individual: &Individual, population: &'a Population) -> Vec<&'a Individual> {
    let mut open = individual.parents.clone();
    let mut found: Vec<&Individual> = Vec::new();
    while let Some(id) = open.pop() {
        if id == individual.id || found.iter().any(|other| other.id == id) {
            continue;
        }
        if let Some(parent) = population.find(id) {
            found.push(parent);
            open.extend(&parent.parents);
        }
    }
    found
}
