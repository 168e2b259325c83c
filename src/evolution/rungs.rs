//! Successive halving: everybody is trained a little, the best third three times as long, and so on (Jamieson and Talwalkar
//! 2016, with synchronous rungs, because whoever is promoted as results come in depends on the order in which they come).

use rand::RngExt;

use super::config::SearchConfig;
use super::event::Watch;
use super::fitness::{Gain, Outcome, Trial};
use super::ledger::{Ledger, Stage};
use super::replicate::{self, Replicate};
use crate::fault::Result;
use crate::formula::Formula;
use crate::rng::{Purpose, stream};

/// Where a loss ended.
#[derive(Debug, Clone)]
pub(super) struct Climb {
    /// The last rung it reached, by what the steps are divided by.
    pub(super) part: u32,
    /// What came of it there.
    pub(super) outcome: Outcome,
    /// What it is beside the control, unless it failed.
    pub(super) gains: Vec<Gain>,
    /// Mean Dice from scratch, if it got that far and that counts.
    pub(super) scratch: Option<f64>,
}

/// Puts losses through the rungs, each beside the control; `None` if the watcher wants to stop.
///
/// # Errors
/// As [`Ledger::train`].
pub(super) fn climb(
    generation: usize,
    losses: &[&Formula],
    config: &SearchConfig,
    seed: u64,
    ledger: &mut Ledger<'_>,
    watch: Watch<'_>,
) -> Result<Option<Vec<Climb>>> {
    let mut ends: Vec<Option<Climb>> = vec![None; losses.len()];
    let mut climbing: Vec<usize> = (0..losses.len()).collect();
    for part in config.parts() {
        let trial = config.rung(part, 0);
        let open: Vec<&Formula> = climbing.iter().map(|slot| losses[*slot]).collect();
        // The last rung is a whole replicate, which elites have more of.
        let (stage, whole) = (Stage::Generation(generation), trial == Trial::FULL);
        let go_on = if whole {
            replicate::train(0, &open, config, stage, ledger, watch)?
        } else {
            ledger.train(stage, trial, &open, watch)?
        };
        if !go_on {
            return Ok(None);
        }
        let mut worths: Vec<(usize, f64)> = Vec::new();
        for slot in climbing {
            let loss = losses[slot];
            let found = if whole {
                replicate::read(0, loss, config, ledger)
            } else {
                replicate::gain(trial, loss, ledger).map(|(gain, score)| Replicate { gain, score, scratch: None })
            };
            ends[slot] = Some(match found {
                Ok(Replicate { gain, score, scratch }) => {
                    worths.push((slot, gain.mean() - config.toll_per_word * loss.size() as f64));
                    Climb { part, outcome: Outcome::Trained(score), gains: vec![gain], scratch }
                }
                Err(failure) => Climb { part, outcome: failure, gains: Vec::new(), scratch: None },
            });
        }
        worths
            .sort_by(|a, b| b.1.total_cmp(&a.1).then(losses[a.0].size().cmp(&losses[b.0].size())).then(a.0.cmp(&b.0)));
        let order: Vec<usize> = worths.into_iter().map(|(slot, _)| slot).collect();
        climbing = promoted(&order, generation, part, seed);
    }
    Ok(Some(ends.into_iter().map(|end| end.expect("there is a first rung")).collect()))
}

/// Who goes on: the best third, and one of the others by lot, because a rung may be wrong about a kind of loss.
fn promoted(order: &[usize], generation: usize, part: u32, seed: u64) -> Vec<usize> {
    let (best, rest) = order.split_at(order.len().div_ceil(3));
    let mut promoted = best.to_vec();
    if !rest.is_empty() {
        let mut rng = stream(seed, Purpose::Survival, generation as u64, u64::from(part));
        promoted.push(rest[rng.random_range(0..rest.len())]);
    }
    promoted.sort_unstable();
    promoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_goes_on_and_one_by_lot() {
        let order = [4, 0, 3, 1, 2, 5, 8, 7, 6];
        let who = |seed| promoted(&order, 2, 9, seed);
        assert!((0..20).all(|seed| who(seed).len() == 4 && [4, 0, 3].iter().all(|best| who(seed).contains(best))));
        assert!((0..20).any(|seed| who(seed) != who(0)), "the lot always falls on the same");
        assert_eq!(promoted(&[7], 0, 3, 1), [7]);
        assert!(promoted(&[], 0, 3, 1).is_empty());
    }
}
