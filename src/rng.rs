//! Random numbers by address: seed, purpose, index and slot name a stream, and nothing else decides what it yields.
//!
//! No generator is ever shared or passed on, so the result of a run does not depend on the number of threads, on the
//! order in which work finishes, or on what was done before an interruption. `ChaCha8` is portable and its output is
//! stable across versions (`StdRng` promises neither).

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a stream is for. Numbers are part of every saved run: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// Initial weights of a network.
    Weights = 1,
    /// Patches and augmentation of one optimiser step.
    Batch = 2,
    /// The first population.
    Birth = 3,
    /// Parents and variation of one child.
    Breeding = 4,
    /// Folds and splits of the cases.
    Folds = 5,
    /// Phantom volumes.
    Phantom = 6,
    /// Resampling of statistics.
    Bootstrap = 7,
    /// Fixed probes of formulas.
    Probe = 8,
    /// Patches on which a trial step is judged.
    Trial = 9,
    /// Who stays on a rung by lot.
    Survival = 10,
    /// Steps of constants that are tuned.
    Tuning = 11,
}

/// The stream of `purpose` number `index` (below 2^24) and `slot` (below 2^32) under `seed`.
///
/// ```
/// use lossgen::rng::{stream, Purpose};
/// use rand::RngExt;
///
/// let draw = |slot| stream(7, Purpose::Breeding, 3, slot).random::<u64>();
/// assert_eq!(draw(5), draw(5));
/// assert_ne!(draw(5), draw(6));
/// ```
pub fn stream(seed: u64, purpose: Purpose, index: u64, slot: u64) -> ChaCha8Rng {
    debug_assert!(index < 1 << 24 && slot < 1 << 32, "stream address ({index}, {slot}) out of range");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream((purpose as u64) << 56 | index << 32 | slot);
    rng
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn the_numbers_of_a_stream_never_change() {
        let draw = |purpose, index, slot| stream(42, purpose, index, slot).random::<u64>();
        let golden = [
            draw(Purpose::Weights, 0, 0),
            draw(Purpose::Batch, 0, 0),
            draw(Purpose::Batch, 1, 0),
            draw(Purpose::Batch, 0, 1),
        ];
        assert_eq!(golden, GOLDEN);
    }

    const GOLDEN: [u64; 4] =
        [10_778_380_846_689_891_090, 1_491_449_246_528_654_903, 6_338_520_216_663_918_911, 1_563_497_024_682_941_011];
}
