//! How stable a ranking is: how often each loss came to each rank when subjects were drawn again.
//!
//! Guards that a first place is seen together with the chance that other subjects would have given it to another: the area
//! of a disc is the share of the bootstrap replicas (Wiesenfarth et al. 2021, challengeR: the blob plot), the cross is the
//! median rank, the line the middle 95 %. Ranks claim nothing about differences; those have tests.

use super::axis::Axis;
use super::rows::Rows;
use super::svg::{INK, PALETTE, Stroke, TINTS};
use crate::stats::CONFIDENCE;

const EXPLANATION: &str = "area of a disc: share of resampled sets of subjects; line: middle 95 %; cross: median rank";

/// Diameter of a disc of all replicas, in pixels.
const LARGEST: f64 = 26.0;

/// One row per loss; `shares[loss][rank - 1]` is the share of replicas in which the loss had the rank.
pub fn stability(title: &str, names: &[String], shares: &[Vec<f64>]) -> String {
    let ranks = shares.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let rows = Rows {
        title,
        explanation: EXPLANATION,
        unit: "rank, 1 is the best",
        names: names.iter().map(String::as_str).collect(),
        axis: Axis::exact(0.5, ranks as f64 + 0.5, (ranks as u32).clamp(1, 25)),
        left: None,
        right: None,
        height: 32.0,
        column: ("median rank, share of first places", 190.0),
    };
    let mut ground = rows.ground();
    for (row, shares) in shares.iter().enumerate() {
        let middle = ground.y(row);
        for (rank, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let place = [ground.x(rank as f64 + 1.0), middle];
            ground.svg.dots(&[place], (LARGEST * share.sqrt()).max(1.5), TINTS[0]);
        }
        let tail = (1.0 - CONFIDENCE) / 2.0;
        let ends = [tail, 0.5, 1.0 - tail].map(|share| rank_at(shares, share));
        let [Some(low), Some(median), Some(high)] = ends else {
            ground.text(row, "no ranking", INK);
            continue;
        };
        let line = Stroke { width: 1.6, ..Stroke::thin(PALETTE[0]) };
        ground.svg.line([ground.x(low), middle], [ground.x(high), middle], line);
        let (x, cross) = (ground.x(median), Stroke { width: 2.0, ..Stroke::thin(INK) });
        ground.svg.line([x - 4.5, middle - 4.5], [x + 4.5, middle + 4.5], cross);
        ground.svg.line([x - 4.5, middle + 4.5], [x + 4.5, middle - 4.5], cross);
        let first = 100.0 * shares.first().copied().unwrap_or(0.0);
        ground.text(row, &format!("{median}, first in {first:.0} %"), INK);
    }
    ground.svg.finish(title)
}

/// The smallest rank that at least `share` of the replicas do not exceed.
fn rank_at(shares: &[f64], share: f64) -> Option<f64> {
    let total: f64 = shares.iter().sum();
    let mut below = 0.0;
    let place = shares.iter().position(|own| {
        below += own;
        below >= share * total - 1e-9 && total > 0.0
    })?;
    Some(place as f64 + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::markup::check;

    #[test]
    fn discs_grow_with_the_share_and_medians_are_marked() {
        let names = ["a".to_string(), "b & c".to_string()];
        let text = stability("Ranks", &names, &[vec![0.81, 0.19], vec![0.19, 0.81]]);
        check(&text);
        assert_eq!(text.matches("stroke-width=\"23.4\"").count(), 2, "{text}");
        assert_eq!(text.matches("stroke-width=\"11.3\"").count(), 2, "{text}");
        assert!(text.contains("1, first in 81 %") && text.contains("2, first in 19 %") && text.contains("b &amp; c"));
        assert_eq!(text, stability("Ranks", &names, &[vec![0.81, 0.19], vec![0.19, 0.81]]));
    }

    #[test]
    fn quantiles_of_ranks_count_shares() {
        let shares = [0.02, 0.5, 0.4, 0.08];
        assert_eq!([0.025, 0.5, 0.975].map(|share| rank_at(&shares, share)), [Some(2.0), Some(2.0), Some(4.0)]);
        assert_eq!(rank_at(&[0.0, 1.0], 0.025), Some(2.0));
        assert_eq!(rank_at(&[0.0, 0.0], 0.5), None);
    }

    #[test]
    fn one_loss_and_none_are_drawn() {
        check(&stability("Ranks", &["a".to_string()], &[vec![1.0]]));
        check(&stability("Ranks", &["a".to_string()], &[vec![0.0]]));
        check(&stability("Ranks", &[], &[]));
    }
}
