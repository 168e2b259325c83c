//! How often random losses say the same thing again, and how much each way of looking at them sees of it.

use std::collections::BTreeSet;

use rand::RngExt;

use crate::formula::behaviours::Behaviours;
use crate::formula::fingerprint::{answers, direction, probes};
use crate::formula::plan::Plan;
use crate::grammar::Grammar;
use crate::rng::{Purpose, stream};

/// Largest of the random losses, in words: what a search draws unless told otherwise.
const LARGEST: usize = 16;

/// The steps, each with its own key; a step counts the losses that say nothing new at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ladder {
    /// Random losses that were drawn.
    pub losses: usize,
    /// Whose text was there before.
    pub text: usize,
    /// Whose canonical form was.
    pub canonical: usize,
    /// Whose canonical form was, numbers apart: they differ by a tuning of constants at most.
    pub structure: usize,
    /// Whose direction was, or that have none.
    pub gradient: usize,
}

/// The duplicates among random losses of a grammar, always the same.
pub fn ladder(grammar: &Grammar, losses: usize) -> Ladder {
    let probes = probes();
    let mut texts: [BTreeSet<String>; 3] = Default::default();
    let mut behaviours = Behaviours::default();
    let mut ladder = Ladder { losses, ..Ladder::default() };
    for slot in 0..losses {
        let mut rng = stream(0, Purpose::Birth, 1, slot as u64);
        let budget = rng.random_range(2..=LARGEST);
        let loss = grammar.sample_loss(budget, &mut rng);
        let keys = [loss.to_string(), loss.canonical().to_string(), loss.structure()];
        let steps = [&mut ladder.text, &mut ladder.canonical, &mut ladder.structure];
        for ((step, known), key) in steps.into_iter().zip(&mut texts).zip(keys) {
            *step += usize::from(!known.insert(key));
        }
        match direction(&answers(&Plan::new(&loss), &probes)) {
            Some(pushes) if behaviours.find(&pushes).is_none() => {
                behaviours.insert(pushes);
            }
            _ => ladder.gradient += 1,
        }
    }
    ladder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_sees_what_the_one_before_it_saw() {
        let found = ladder(&Grammar::polarity(), 500);
        assert!(found.text > 0 && found.text <= found.canonical, "{found:?}");
        assert!(found.canonical <= found.structure && found.canonical < found.gradient, "{found:?}");
        assert!(found.structure < found.losses && found.gradient < found.losses, "{found:?}");
    }
}
