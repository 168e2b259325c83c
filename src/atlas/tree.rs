//! What is true of a tree before it is evaluated: which structure it is, about what it speaks, how much must stand around
//! it, and which numbers it may hold.

use crate::formula::Formula;
use crate::formula::word::{Sides, WordId};
use crate::grammar::{Grammar, SortId, two_digits};

/// Size, sort and coverage of the trees of a hole; the place of what says nothing at all is that of what speaks about
/// neither side, because no tree does that.
pub(super) type Hole = (usize, SortId, usize);

/// For each sort the least number of words around a tree of it in a loss, a fixed point as the smallest trees are.
pub(super) fn around(grammar: &Grammar) -> Vec<Option<usize>> {
    let mut least: Vec<Option<usize>> = vec![None; grammar.sorts.len()];
    least[grammar.start] = Some(0);
    loop {
        let before = least.clone();
        for rule in &grammar.rules {
            let Some(outside) = before[rule.gives] else { continue };
            let holes: Vec<SortId> = rule.holes().collect();
            let sizes = holes.iter().map(|hole| grammar.smallest(*hole, Sides::NONE)).collect::<Option<Vec<usize>>>();
            let Some(sizes) = sizes else { continue };
            for (hole, size) in holes.iter().zip(&sizes) {
                let total = outside + rule.words() + sizes.iter().sum::<usize>() - size;
                least[*hole] = Some(least[*hole].map_or(total, |known| known.min(total)));
            }
        }
        if least == before {
            return least;
        }
    }
}

/// At which values the constants of a sort stand: spread evenly over the logarithm of its range. A single one stands at
/// three quarters: in the middle of many ranges lies 1, which as a factor or an exponent says nothing.
pub(super) fn values(low: f64, high: f64, count: usize) -> Vec<f64> {
    let share = |number: usize| if count == 1 { 0.75 } else { (2 * number + 1) as f64 / (2 * count) as f64 };
    let at = |number| two_digits((low.ln() + share(number) * (high / low).ln()).exp()).clamp(low, high);
    (0..count).map(at).collect()
}

/// Hash of a formula, whatever the order of the operands of words that commute.
pub(super) fn hash(formula: &Formula) -> u64 {
    formula.fold(|gene, below: &[u64]| hash_node(gene.word, gene.value, below.to_vec()))
}

pub(super) fn hash_node(word: WordId, value: f64, below: Vec<u64>) -> u64 {
    let name = word.word().name.bytes().fold(value.to_bits(), |hash, byte| mix(hash ^ u64::from(byte)));
    if word.word().commutes() {
        mix(below.into_iter().map(mix).fold(name, u64::wrapping_add))
    } else {
        below.into_iter().fold(mix(name), |hash, next| mix(hash.rotate_left(23) ^ next))
    }
}

/// The finaliser of splitmix64: every bit decides every bit.
pub(super) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_structure_does_not_know_the_order_of_operands_that_commute() {
        let hash = |text: &str| hash(&text.parse().unwrap());
        assert_eq!(hash("(+ (mean fp) (* 2 (mean fn)))"), hash("(+ (* (mean fn) 2) (mean fp))"));
        assert_ne!(hash("(ratio (mean fp) (mean tp))"), hash("(ratio (mean tp) (mean fp))"));
        assert_ne!(hash("(* 2 (mean fp))"), hash("(* 3 (mean fp))"));
        assert_ne!(hash("(+ (mean fp) (+ (mean fn) (mean tp)))"), hash("(+ (+ (mean fp) (mean fn)) (mean tp))"));
    }

    #[test]
    fn constants_are_spread_over_their_range_and_one_alone_says_something() {
        assert_eq!(values(0.1, 10.0, 1), [3.2]);
        assert_eq!(values(0.25, 4.0, 1), [2.0]);
        assert_eq!(values(0.25, 4.0, 2), [0.5, 2.0]);
        assert_eq!(values(0.1, 10.0, 3), [0.22, 1.0, 4.6]);
    }

    #[test]
    fn around_a_sort_stands_the_least_of_a_whole_loss() {
        let grammar = Grammar::polarity();
        let around = around(&grammar);
        let of = |name: &str| around[grammar.sorts.iter().position(|sort| sort.name == name).unwrap()];
        // (mean _), (ratio (sum _) (sum fp)), (mean (* _ fp))
        assert_eq!([of("error"), of("error_map"), of("overlap_map"), of("weight")], [0, 1, 4, 3].map(Some));
    }
}
