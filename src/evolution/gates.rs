//! What is known of a candidate before any training: cheap checks on fixed probes, each with a name.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::formula::Formula;
use crate::formula::fingerprint::{Answer, Probe, answers, direction, probes};
use crate::formula::plan::Plan;

/// Why a candidate is not worth a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Rejection {
    /// The loss or its gradient is not finite on some probe.
    NotFinite,
    /// The gradient vanishes on all ordinary probes.
    NoGradient,
    /// On all ordinary probes the gradient is zero on the whole foreground, or on the whole background.
    OneSided,
    /// Most of the gradient pushes voxels away from their target.
    WrongSign,
    /// A candidate of the run behaves the same and has been trained.
    Duplicate,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFinite => "not finite on some probe",
            Self::NoGradient => "no gradient",
            Self::OneSided => "silent about one side of the target",
            Self::WrongSign => "pushes voxels away from their target",
            Self::Duplicate => "behaves like an earlier candidate",
        })
    }
}

/// The probes, computed once.
#[derive(Debug)]
pub struct Gates {
    probes: Vec<Probe>,
}

impl Default for Gates {
    fn default() -> Self {
        Self { probes: probes() }
    }
}

impl Gates {
    /// The direction in which the candidate pushes, or why it is rejected. Duplicates are for the caller to find.
    ///
    /// # Errors
    /// The first gate that does not open.
    pub fn pass(&self, formula: &Formula) -> Result<Vec<f32>, Rejection> {
        let answers = answers(&Plan::new(formula), &self.probes);
        if !answers.iter().all(Answer::is_finite) {
            return Err(Rejection::NotFinite);
        }
        let ordinary = || self.probes.iter().zip(&answers).filter(|(probe, _)| !probe.extreme);
        if ordinary().all(|(_, answer)| answer.gradient.iter().all(|g| *g == 0.0)) {
            return Err(Rejection::NoGradient);
        }
        let silent = |(probe, answer): (&Probe, &Answer), side: f64| {
            probe.targets.iter().zip(&answer.gradient).all(|(y, g)| *y != side || *g == 0.0)
        };
        // Over all probes together: a top-k loss is silent about the foreground where the background is worse.
        if [0.0, 1.0].into_iter().any(|side| ordinary().all(|pair| silent(pair, side))) {
            return Err(Rejection::OneSided);
        }
        // A voxel of the foreground is to rise, one of the background to fall.
        let pushes = |(probe, answer): (&Probe, &Answer)| -> (f64, f64) {
            let push = probe.targets.iter().zip(&answer.gradient).map(|(y, g)| g * (1.0 - 2.0 * y));
            push.fold((0.0, 0.0), |(right, wrong), push| (right + push.max(0.0), wrong + (-push).max(0.0)))
        };
        let (right, wrong) = ordinary().map(pushes).fold((0.0, 0.0), |sum, next| (sum.0 + next.0, sum.1 + next.1));
        if wrong > right {
            return Err(Rejection::WrongSign);
        }
        direction(&answers).ok_or(Rejection::NoGradient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formula::fingerprint::{SAME, distance};
    use crate::losses::catalog::CATALOG;

    #[test]
    fn every_loss_of_the_catalog_passes_and_only_relatives_in_name_are_alike() {
        let gates = Gates::default();
        let directions: Vec<(&str, Vec<f32>)> = CATALOG
            .iter()
            .map(|entry| {
                (entry.name, gates.pass(&entry.formula()).unwrap_or_else(|why| panic!("{}: {why}", entry.name)))
            })
            .collect();
        let mut alike = Vec::new();
        for (i, (name, direction)) in directions.iter().enumerate() {
            let twins = directions[..i].iter().filter(|(_, earlier)| distance(direction, earlier) < SAME);
            alike.extend(twins.map(|(earlier, _)| (*earlier, *name)));
        }
        // Effectiveness at its start value is Dice, and so is generalised Dice of a single class; so they should be.
        let dice = [("dice", "generalised_dice"), ("dice", "effectiveness"), ("generalised_dice", "effectiveness")];
        assert_eq!(alike, dice);
    }

    #[test]
    fn known_failures_are_caught_by_their_gate() {
        let gates = Gates::default();
        let verdict = |text: &str| gates.pass(&text.parse().unwrap()).unwrap_err();
        assert_eq!(verdict("(mean y)"), Rejection::NoGradient);
        assert_eq!(verdict("(* 0 (mean (+ ce_fg ce_bg)))"), Rejection::NoGradient);
        assert_eq!(verdict("(mean ce_fg)"), Rejection::OneSided);
        assert_eq!(verdict("(mean (+ tp tn))"), Rejection::WrongSign);
        assert_eq!(verdict("(^ (* 1e300 (sum ce_fg)) 4)"), Rejection::NotFinite);
    }
}
