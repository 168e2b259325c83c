//! Gate 1: what can be read off the words, before anything is computed.
//!
//! A loss has to look at the prediction and at the target, to speak about both sides of the target as far as its words
//! do, to have one value per sample at most, and to be of a size that somebody can read.

use std::sync::LazyLock;

use super::Rejection;
use crate::formula::Formula;
use crate::formula::kernel::{Block, LeafKernel};
use crate::formula::maps::Side;
use crate::formula::word::{Op, Rank, Sides, WordId};
use crate::formula::words::WORDS;

/// Twice the largest loss of the catalog.
const MOST_WORDS: usize = 64;

/// Twice the deepest loss of the catalog.
const MOST_LEVELS: usize = 16;

/// At what a word looks.
#[derive(Clone, Copy)]
struct Looks {
    prediction: bool,
    target: bool,
}

/// For each row of the table of words.
static LOOKS: LazyLock<Vec<Looks>> = LazyLock::new(|| WORDS.iter().map(|word| looks(&word.op)).collect());

fn looks(op: &Op) -> Looks {
    match op {
        Op::Leaf(kernel) => looks_of_leaf(kernel),
        // No gradient flows through a distance, so one from the prediction does not count as a look at it.
        Op::Map(map) => Looks { prediction: false, target: map.of != Side::Prediction },
        Op::VolumeWeight => Looks { prediction: false, target: true },
        _ => Looks { prediction: false, target: false },
    }
}

/// A leaf looks at what changes it.
fn looks_of_leaf(kernel: &LeafKernel) -> Looks {
    let (p, q): ([f64; 4], [f64; 4]) = ([0.2, 0.6, 0.2, 0.6], [0.8, 0.4, 0.8, 0.4]);
    let (y, neg_log_p, neg_log_q) = ([0.0, 0.0, 1.0, 1.0], p.map(|p| -p.ln()), q.map(|q| -q.ln()));
    let mut v = [0.0; 4];
    (kernel.double.value)(&Block { p: &p, q: &q, y: &y, neg_log_p: &neg_log_p, neg_log_q: &neg_log_q }, &mut v);
    Looks { prediction: v[0] != v[1] || v[2] != v[3], target: v[0] != v[2] || v[1] != v[3] }
}

/// Whether the words can make a loss.
///
/// # Errors
/// The first reason why not.
pub(super) fn pass(formula: &Formula) -> Result<(), Rejection> {
    let of = |word: WordId| LOOKS[word.index()];
    let any = |f: fn(Looks) -> bool| formula.genes().iter().any(|gene| f(of(gene.word)));
    if formula.rank() == Rank::Voxel {
        return Err(Rejection::NoLoss);
    }
    if !any(|looks| looks.prediction) {
        return Err(Rejection::IgnoresPrediction);
    }
    if !any(|looks| looks.target) {
        return Err(Rejection::IgnoresTarget);
    }
    if formula.cover() != Some(Sides::BOTH) {
        return Err(Rejection::CoversOneSide);
    }
    if formula.size() > MOST_WORDS || formula.depth() > MOST_LEVELS {
        return Err(Rejection::TooLarge);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formula::word::names;
    use crate::losses::catalog::CATALOG;

    #[test]
    fn at_what_a_word_looks_is_known_without_being_told() {
        let of = |f: fn(&Looks) -> bool| -> Vec<&str> {
            names().filter(|name| f(&LOOKS[WordId::of(name).unwrap().index()])).collect()
        };
        let prediction = ["tp", "fp", "fn", "tn", "abs_diff", "ce_fg", "ce_bg", "p", "neg_log_p", "neg_log_q"];
        assert_eq!(of(|looks| looks.prediction), prediction);
        let target = of(|looks| looks.target);
        assert!(["y", "tp", "abs_diff", "signed_distance", "volume_weight"].iter().all(|name| target.contains(name)));
        assert!(!["p", "neg_log_p", "predicted_distance", "t", "classes"].iter().any(|name| target.contains(name)));
    }

    #[test]
    fn nothing_of_the_catalog_is_half_as_large_as_what_is_too_large() {
        let most = |f: fn(&Formula) -> usize| CATALOG.iter().map(|entry| f(&entry.formula())).max().unwrap();
        assert!(2 * most(Formula::size) <= MOST_WORDS && 2 * most(Formula::depth) <= MOST_LEVELS);
    }
}
