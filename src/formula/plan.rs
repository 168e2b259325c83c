//! What a formula computes, each value once: a hash-consed graph of steps in the order of their execution.
//!
//! Equal subtrees become one step, whatever the order of the operands of `+`, `*` and `max`. Steps are added after
//! their arguments, so the order of insertion is a schedule. The *level* of a step is the number of reductions that lie
//! below it: everything of one level is computed by one pass over the voxels.

use std::collections::BTreeMap;

use petgraph::dot::{Config, Dot};
use petgraph::graph::DiGraph;

use super::Formula;
use super::word::{Op, Rank, WordId};

/// One value to compute.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// How.
    pub word: WordId,
    /// The constant of a number or parameter.
    pub value: f64,
    /// From which steps, all of them earlier.
    pub arguments: Vec<usize>,
    /// How many values it has.
    pub rank: Rank,
    /// Number of reductions on the longest path below it, itself included.
    pub level: usize,
}

/// The steps of a formula; the last one is its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// In order of execution.
    pub steps: Vec<Step>,
    /// For each level from 1: the steps which a pass over the voxels has to know, in order of execution. They are the
    /// steps with a value per voxel that the level's reductions need, and the values per sample that those use.
    pub passes: Vec<Vec<usize>>,
}

/// What makes two steps the same.
type Key = (WordId, u64, Vec<usize>);

impl Plan {
    /// Compiles a formula.
    pub fn new(formula: &Formula) -> Self {
        let mut known: BTreeMap<Key, usize> = BTreeMap::new();
        let mut steps: Vec<Step> = Vec::new();
        formula.fold(|gene, below: &[usize]| {
            let word = gene.word.word();
            let mut arguments = below.to_vec();
            if word.commutes() {
                arguments.sort_unstable();
            }
            *known.entry((gene.word, gene.value.to_bits(), arguments.clone())).or_insert_with(|| {
                let ranks: Vec<Rank> = arguments.iter().map(|a| steps[*a].rank).collect();
                let below = arguments.iter().map(|a| steps[*a].level).max().unwrap_or(0);
                steps.push(Step {
                    word: gene.word,
                    value: gene.value,
                    rank: super::rank_of(gene, &ranks),
                    level: below + usize::from(matches!(word.op, Op::Reduce(_))),
                    arguments,
                });
                steps.len() - 1
            })
        });
        let levels = steps.last().map_or(0, |root| root.level);
        let passes = (1..=levels).map(|level| needed(&steps, level)).collect();
        Self { steps, passes }
    }

    /// The reductions of a level.
    pub fn reductions(&self, level: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.steps.len()).filter(move |s| {
            let step = &self.steps[*s];
            step.level == level && matches!(step.word.word().op, Op::Reduce(_))
        })
    }

    /// The graph; an edge runs from an argument to its user and carries the argument's position.
    pub fn graph(&self) -> DiGraph<String, usize> {
        let mut graph = DiGraph::new();
        let nodes: Vec<_> =
            self.steps.iter().map(|step| graph.add_node(Formula::label(step.word, step.value))).collect();
        for (user, step) in self.steps.iter().enumerate() {
            for (position, argument) in step.arguments.iter().enumerate() {
                graph.add_edge(nodes[*argument], nodes[user], position);
            }
        }
        graph
    }

    /// The graph in the DOT language of Graphviz.
    pub fn dot(&self) -> String {
        dot(&self.graph())
    }
}

fn dot(graph: &DiGraph<String, usize>) -> String {
    let style = |_: &DiGraph<String, usize>, (_, label): (_, &String)| {
        format!("label={label:?} shape=box style=rounded fontname=\"Helvetica\"")
    };
    Dot::with_attr_getters(graph, &[Config::EdgeNoLabel, Config::NodeNoLabel], &|_, _| String::new(), &style)
        .to_string()
}

impl Formula {
    /// The tree as it is written, nothing shared, in the DOT language of Graphviz; an edge runs from an argument to its
    /// user.
    pub fn dot(&self) -> String {
        let mut graph = DiGraph::new();
        self.fold(|gene, below: &[_]| {
            let node = graph.add_node(Self::label(gene.word, gene.value));
            for (position, argument) in below.iter().enumerate() {
                graph.add_edge(*argument, node, position);
            }
            node
        });
        dot(&graph)
    }

    /// One node in words: its name, or its constant.
    fn label(word: WordId, value: f64) -> String {
        match word.word().op {
            Op::Number | Op::Parameter { .. } => Self::leaf(word, value).to_string(),
            _ => word.word().name.to_string(),
        }
    }
}

/// The steps that the reductions of `level` need at every voxel.
fn needed(steps: &[Step], level: usize) -> Vec<usize> {
    let mut wanted = vec![false; steps.len()];
    for (s, step) in steps.iter().enumerate().rev() {
        let reduces_here = step.level == level && matches!(step.word.word().op, Op::Reduce(_));
        let voxels_wanted = wanted[s] && step.rank == Rank::Voxel;
        if reduces_here {
            // The first argument of `mean_top` is a number: only what is reduced is wanted at every voxel.
            step.arguments.last().into_iter().for_each(|a| wanted[*a] = true);
        } else if voxels_wanted {
            step.arguments.iter().for_each(|a| wanted[*a] = true);
        }
    }
    (0..steps.len()).filter(|s| wanted[*s]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Plan {
        Plan::new(&text.parse().unwrap())
    }

    #[test]
    fn equal_parts_are_computed_once() {
        assert_eq!(plan("(+ (mean (+ tp fp)) (* 2 (mean (+ fp tp))))").steps.len(), 7);
    }

    #[test]
    fn levels_count_passes_over_the_voxels() {
        let nested = plan("(mean (* (ratio (mean tp) (mean fp)) ce_fg))");
        assert_eq!(nested.passes.len(), 2);
        let words = |pass: &[usize]| pass.iter().map(|s| nested.steps[*s].word.word().name).collect::<Vec<_>>();
        assert_eq!(words(&nested.passes[0]), ["fp", "tp"]);
        assert_eq!(words(&nested.passes[1]), ["ce_fg", "ratio", "*"]);
    }

    #[test]
    fn the_picture_names_every_step() {
        let dot = plan("(ratio (mean tp) (* 0.5 (mean abs_diff)))").dot();
        for word in ["ratio", "mean", "tp", "0.5", "abs_diff"] {
            assert!(dot.contains(&format!("label=\"{word}\"")), "{word} missing in {dot}");
        }
    }
}
