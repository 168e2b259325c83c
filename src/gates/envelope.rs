//! Gate 2: does the loss stay within the numbers of a training, in 32 bits?
//!
//! Rejected is only what provably does not: at one of a few [corners](CORNERS) that every network may find itself in
//! (certain and wrong, certain and right, undecided; with no, some and nothing but foreground), all values that interval
//! arithmetic leaves possible are beyond the range of a 32-bit float. That bounds over everything a network might say
//! exceed the range proves nothing, because a network never says most of it; they are told, as a property, of the 16-bit
//! range. NaN needs an infinity first, so it needs no proof of its own.

use std::sync::LazyLock;

use super::Rejection;
use super::enclosure::Frame;
use super::interval::Interval;
use crate::formula::plan::{Plan, Step};
use crate::formula::word::Rank;

/// Largest number of 32 bits.
const MOST: f64 = f32::MAX as f64;

/// Largest number of 16 bits (IEEE 754 binary16; bfloat16 has the range of 32 bits).
const MOST_OF_HALF: f64 = 65_504.0;

/// A patch of 128 x 128 x 128, the largest in use, and how certain a network gets before clipping stops it.
const VOXELS: f64 = 2_097_152.0;
const DIAGONAL: f64 = 221.7;
const CERTAIN: f64 = 30.0;

/// Foreground share, logit where y = 0, logit where y = 1, training progress.
type Corner = (f64, f64, f64, f64);

#[rustfmt::skip]
const CORNERS: [Corner; 8] = [
    (0.05,      0.0,      0.0, 0.0),
    (0.05, -CERTAIN,  CERTAIN, 1.0),
    (0.05,  CERTAIN, -CERTAIN, 0.5),
    (0.00,      0.0,      0.0, 0.0),
    (0.00, -CERTAIN,      0.0, 1.0),
    (0.00,  CERTAIN,      0.0, 0.5),
    (1.00,      0.0,      0.0, 0.0),
    (1.00,      0.0, -CERTAIN, 0.5),
];

static FRAMES: LazyLock<[Frame; 8]> = LazyLock::new(|| {
    CORNERS.map(|(share, background, foreground, progress)| {
        let logits = [background, foreground].map(Interval::point);
        Frame::new(VOXELS, Some((share * VOXELS).round()), logits, Interval::point(progress), DIAGONAL)
    })
});

/// Whether the loss stays within the numbers of a training, as far as can be proved.
///
/// # Errors
/// If it provably does not.
pub(super) fn pass(plan: &Plan) -> Result<(), Rejection> {
    for frame in FRAMES.iter() {
        let found = frame.enclose(plan);
        let is_beyond = |(step, values): (&Step, &[Interval; 2])| {
            let of_voxels = step.rank == Rank::Voxel;
            (0..2).any(|side| (!of_voxels || frame.has(side)) && values[side].is_beyond(MOST))
        };
        if plan.steps.iter().zip(&found.steps).any(is_beyond) {
            return Err(Rejection::Overflow);
        }
        if (0..2).any(|side| frame.has(side) && found.slopes[side].is_beyond(MOST)) {
            return Err(Rejection::GradientOverflow);
        }
    }
    Ok(())
}

/// Whether dL/dlogit times `factor` provably stays within 16 bits, whatever a network says of two samples of so many
/// voxels.
pub(super) fn fits_half(plan: &Plan, factor: f64, voxels: usize) -> bool {
    let said = [Interval::new(-CERTAIN, CERTAIN); 2];
    let frame = Frame::new(voxels as f64, None, said, Interval::UNIT, voxels as f64);
    frame.enclose(plan).slopes.iter().all(|slope| slope.size() * factor <= MOST_OF_HALF)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str) -> Result<(), Rejection> {
        pass(&Plan::new(&text.parse().unwrap()))
    }

    #[test]
    fn only_what_provably_overflows_is_rejected() {
        assert_eq!(verdict("(^ (sum (+ ce_fg ce_bg)) 4)"), Ok(()));
        assert_eq!(verdict("(^ (sum (+ ce_fg ce_bg)) 5)"), Err(Rejection::Overflow));
        // Large where no network is.
        assert_eq!(verdict("(/ (mean fp) (mean abs_diff))"), Ok(()));
        assert_eq!(verdict("(* 1e30 (* 1e30 (* 1e-40 (mean (+ ce_fg ce_bg)))))"), Ok(()));
    }

    #[test]
    fn the_16_bit_range_is_a_property() {
        let fits = |text: &str, factor: f64| fits_half(&Plan::new(&text.parse().unwrap()), factor, 48);
        assert!(fits("(mean (+ ce_fg ce_bg))", 100.0));
        assert!(!fits("(mean (+ ce_fg ce_bg))", 1e9));
        // Almost nothing over almost nothing.
        assert!(!fits("(ratio (sum tp) (sum fn))", 1.0));
    }
}
