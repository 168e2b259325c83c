//! The language of losses: a loss is a formula over what a voxel can get right or wrong.
//!
//! ```
//! use lossgen::formula::Formula;
//!
//! let iou: Formula = "(ratio (mean tp) (mean abs_diff))".parse()?;
//! assert_eq!(iou.infix(), "mean(abs_diff) / (mean(tp) + mean(abs_diff))");
//! # Ok::<(), lossgen::fault::Fault>(())
//! ```
//!
//! A [`Formula`] is a flat prefix vector of [`Gene`]s: value semantics, no aliasing, and every subtree is a contiguous
//! span. Everything that is true of a tree is a [`Formula::fold`] over the table of [words](word). The `f64` evaluator
//! in [`eval`] is the definition of what a formula means. This folder knows nothing of searches, tensors or files.

pub mod behaviours;
pub mod canonical;
pub mod eval;
pub mod fingerprint;
pub mod forward;
pub mod kernel;
pub mod level;
pub mod maps;
mod mathml;
mod parse;
pub mod plan;
mod print;
pub mod real;
pub mod simd;
pub mod word;
pub mod words;

use std::ops::Range;

use word::{Argument, Cover, Op, Rank, Sides, WordId};

/// The longest formula that can be held: far beyond what a person reads, and a bound for hostile input.
pub const LONGEST: usize = 4096;

/// One node of a formula. 16 bytes: constants are `f64`, because a `f32` 0.3 already differs from the reference
/// libraries in the eighth digit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gene {
    /// What the node says.
    pub word: WordId,
    /// Length of the subtree's span, itself included.
    pub size: u16,
    /// The constant of a number or parameter; 0 for every other word.
    pub value: f64,
}

/// A loss, or a part of one, in prefix order with the root first.
#[derive(Debug, Clone, PartialEq)]
pub struct Formula {
    genes: Vec<Gene>,
}

impl Formula {
    /// A leaf.
    pub fn leaf(word: WordId, value: f64) -> Self {
        debug_assert_eq!(word.word().arity(), 0);
        Self { genes: vec![Gene { word, size: 1, value }] }
    }

    /// A literal constant.
    pub fn number(value: f64) -> Self {
        Self::leaf(WordId::NUMBER, value)
    }

    /// A word with its arguments, as many as its arity.
    pub fn node(word: WordId, arguments: &[Self]) -> Self {
        debug_assert_eq!(word.word().arity(), arguments.len());
        let size = 1 + arguments.iter().map(Self::size).sum::<usize>();
        let mut genes = Vec::with_capacity(size);
        genes.push(Gene { word, size: size as u16, value: 0.0 });
        for argument in arguments {
            genes.extend_from_slice(&argument.genes);
        }
        Self { genes }
    }

    /// Builds a formula from words in prefix order; `None` if they do not form exactly one tree.
    fn from_words(words: &[(WordId, f64)]) -> Option<Self> {
        let mut genes: Vec<Gene> =
            words.iter().map(|(word, value)| Gene { word: *word, size: 1, value: *value }).collect();
        let mut spans: Vec<u16> = Vec::new();
        for gene in genes.iter_mut().rev() {
            for _ in 0..gene.word.word().arity() {
                gene.size = gene.size.checked_add(spans.pop()?)?;
            }
            spans.push(gene.size);
        }
        (spans.len() == 1).then_some(Self { genes })
    }

    /// The genes in prefix order.
    pub fn genes(&self) -> &[Gene] {
        &self.genes
    }

    /// Number of words.
    pub fn size(&self) -> usize {
        self.genes.len()
    }

    /// The span of the subtree at `node`.
    pub fn span(&self, node: usize) -> Range<usize> {
        node..node + usize::from(self.genes[node].size)
    }

    /// A copy of the subtree at `node`.
    #[must_use]
    pub fn subtree(&self, node: usize) -> Self {
        Self { genes: self.genes[self.span(node)].to_vec() }
    }

    /// A copy in which the subtree at `node` is `graft`. Only the sizes of its ancestors change.
    #[must_use]
    pub fn replace(&self, node: usize, graft: &Self) -> Self {
        let span = self.span(node);
        let mut genes = Vec::with_capacity(self.size() - span.len() + graft.size());
        for (i, gene) in self.genes[..node].iter().enumerate() {
            let holds = self.span(i).contains(&node);
            let size = usize::from(gene.size);
            let size = if holds { size - span.len() + graft.size() } else { size };
            genes.push(Gene { size: size as u16, ..*gene });
        }
        genes.extend_from_slice(&graft.genes);
        genes.extend_from_slice(&self.genes[span.end..]);
        Self { genes }
    }

    /// A copy in which the constant of `node` is `value`, and that of every namesake if it is a parameter: one name,
    /// one value.
    #[must_use]
    pub fn with_constant(&self, node: usize, value: f64) -> Self {
        let word = self.genes[node].word;
        let mut changed = self.clone();
        for (i, gene) in changed.genes.iter_mut().enumerate() {
            if i == node || (gene.word == word && word != WordId::NUMBER) {
                gene.value = value;
            }
        }
        changed
    }

    /// The positions of the arguments of `node`.
    pub fn arguments(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        let mut next = node + 1;
        (0..self.genes[node].word.word().arity()).map(move |_| {
            let argument = next;
            next = self.span(argument).end;
            argument
        })
    }

    /// Visits every subtree bottom-up: `f` gets a gene and what it returned for the arguments.
    pub fn fold<T>(&self, mut f: impl FnMut(&Gene, &[T]) -> T) -> T {
        let mut pending: Vec<T> = Vec::new();
        for gene in self.genes.iter().rev() {
            // Prefix order read backwards leaves the first argument on top.
            let mut arguments = pending.split_off(pending.len() - gene.word.word().arity());
            arguments.reverse();
            pending.push(f(gene, &arguments));
        }
        pending.pop().expect("a formula has at least one gene")
    }

    /// Longest path from the root, a leaf having depth 1.
    pub fn depth(&self) -> usize {
        self.fold(|_, below: &[usize]| 1 + below.iter().max().copied().unwrap_or(0))
    }

    /// How many values it has.
    pub fn rank(&self) -> Rank {
        self.fold(rank_of)
    }

    /// The sides of the target about which it speaks; `None` if it says nothing about the prediction.
    pub fn cover(&self) -> Option<Sides> {
        self.fold(|gene, below: &[Option<Sides>]| combine(gene.word.word().cover, below.iter().copied()))
    }

    /// The named parameters and their values, each once, in order of appearance.
    pub fn parameters(&self) -> Vec<(&'static str, f64)> {
        let mut found: Vec<(&'static str, f64)> = Vec::new();
        for gene in self.genes.iter().filter(|gene| matches!(gene.word.word().op, Op::Parameter { .. })) {
            let name = gene.word.word().name;
            if !found.iter().any(|(known, _)| *known == name) {
                found.push((name, gene.value));
            }
        }
        found
    }

    /// Why some node has arguments that its word does not take: the position of the argument, what was expected, what
    /// was found. A formula without such a node can be evaluated if its rank is below [`Rank::Voxel`].
    fn misfit(&self) -> Option<(usize, Argument, Rank)> {
        let ranks: Vec<Rank> = (0..self.size()).map(|node| self.subtree(node).rank()).collect();
        (0..self.size()).find_map(|node| {
            let demands = self.genes[node].word.word().arguments;
            demands.iter().zip(self.arguments(node)).find_map(|(demand, argument)| {
                let fits = match demand {
                    Argument::Any => true,
                    Argument::Number => ranks[argument] == Rank::Number,
                    Argument::Region => ranks[argument] <= Rank::Region,
                    Argument::Voxel => ranks[argument] == Rank::Voxel,
                };
                (!fits).then_some((argument, *demand, ranks[argument]))
            })
        })
    }
}

/// The rank of a node from the ranks of its arguments.
fn rank_of(gene: &Gene, below: &[Rank]) -> Rank {
    match gene.word.word().op {
        Op::Number | Op::Parameter { .. } | Op::Progress | Op::Classes => Rank::Number,
        Op::Leaf(_) | Op::Map(_) => Rank::Voxel,
        Op::Pointwise(_) => below.iter().copied().max().unwrap_or(Rank::Number),
        Op::Reduce(_) | Op::OverClasses(_) | Op::Class | Op::VolumeWeight => Rank::Region,
    }
}

/// The coverage of a word from that of its arguments, where `None` is neutral.
pub fn combine(cover: Cover, below: impl Iterator<Item = Option<Sides>>) -> Option<Sides> {
    match cover {
        Cover::Leaf(sides) => Some(sides),
        Cover::Neutral => None,
        Cover::Union => below.flatten().reduce(Sides::union),
        Cover::Intersection => below.flatten().reduce(Sides::intersection),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formula(text: &str) -> Formula {
        text.parse().unwrap()
    }

    #[test]
    fn replacing_a_subtree_keeps_every_span_right() {
        let whole = formula("(ratio (mean tp) (* 0.5 (mean abs_diff)))");
        let changed = whole.replace(1, &formula("(+ (mean tp) 0.25)"));
        assert_eq!(changed, formula("(ratio (+ (mean tp) 0.25) (* 0.5 (mean abs_diff)))"));
        assert_eq!(changed.subtree(5).to_string(), "(* 0.5 (mean abs_diff))");
    }

    #[test]
    fn coverage_is_what_a_loss_speaks_about() {
        let cover = |text: &str| formula(text).cover();
        assert_eq!(cover("(mean ce_fg)"), Some(Sides::FOREGROUND));
        assert_eq!(cover("(mean (+ ce_fg ce_bg))"), Some(Sides::BOTH));
        assert_eq!(cover("(mean (* ce_fg ce_bg))"), Some(Sides::NONE));
        assert_eq!(cover("(mean (* (+ 2 y) fp))"), Some(Sides::BACKGROUND));
        assert_eq!(cover("(* 2 t)"), None);
    }

    #[test]
    fn a_parameter_has_one_value_wherever_it_stands() {
        let twice = formula("(* beta=2 (+ beta=2 (mean ce_fg)))");
        assert_eq!(twice.with_constant(1, 3.0).to_string(), "(* beta=3 (+ beta=3 (mean ce_fg)))");
        assert_eq!(twice.parameters(), [("beta", 2.0)]);
    }

    #[test]
    fn ranks_widen_and_depth_counts_levels() {
        assert_eq!(formula("(+ 1 (mean tp))").rank(), Rank::Region);
        assert_eq!(formula("(^ t 2)").rank(), Rank::Number);
        assert_eq!(formula("(mean (* 2 (+ tp fp)))").depth(), 4);
    }
}
