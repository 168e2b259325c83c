//! Why a candidate is not worth a training, and which gate says so.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The gates, cheap first: the order in which a candidate meets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// What can be read off the words.
    Structure,
    /// Numbers that 32 bits can hold.
    Envelope,
    /// The gradient on the probes.
    Profile,
    /// Nobody behaves the same.
    Duplicate,
    /// It drives predictions to their targets.
    Descent,
}

impl Gate {
    /// Every gate, in order.
    pub const ALL: [Self; 5] = [Self::Structure, Self::Envelope, Self::Profile, Self::Duplicate, Self::Descent];

    /// As people write it.
    pub const fn name(self) -> &'static str {
        ["structure", "envelope", "profile", "duplicate", "descent"][self as usize]
    }
}

/// Why a candidate is not worth a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Rejection {
    /// It has a value per voxel, so it is no loss.
    NoLoss,
    /// It does not look at the prediction.
    IgnoresPrediction,
    /// It does not look at the target.
    IgnoresTarget,
    /// Its words speak about one side of the target only.
    CoversOneSide,
    /// More words or levels than anybody reads.
    TooLarge,
    /// Some value is provably larger than 32 bits can hold.
    Overflow,
    /// The gradient is.
    GradientOverflow,
    /// The loss or its gradient is not finite on some probe.
    NotFinite,
    /// The gradient vanishes on all ordinary probes.
    NoGradient,
    /// On all ordinary probes the gradient is zero on the whole foreground, or on the whole background.
    OneSided,
    /// Too much of the gradient pushes voxels of a side away from their target.
    WrongSign,
    /// All of it does, and the grammar does not allow the loss to be turned around.
    Reversed,
    /// A few voxels have nearly all of the gradient.
    Uneven,
    /// A candidate of the run behaves the same.
    Duplicate,
    /// It ceases to be finite while predictions follow its gradient.
    Diverged,
    /// Predictions that follow its gradient do not come near their targets.
    Stuck,
}

/// Each rejection with its gate and what is said of it.
#[rustfmt::skip]
const TABLE: [(Rejection, Gate, &str); 16] = [
    (Rejection::NoLoss,            Gate::Structure, "a value per voxel, no loss"),
    (Rejection::IgnoresPrediction, Gate::Structure, "does not look at the prediction"),
    (Rejection::IgnoresTarget,     Gate::Structure, "does not look at the target"),
    (Rejection::CoversOneSide,     Gate::Structure, "speaks about one side of the target only"),
    (Rejection::TooLarge,          Gate::Structure, "too many words or levels"),
    (Rejection::Overflow,          Gate::Envelope,  "overflows in 32 bits"),
    (Rejection::GradientOverflow,  Gate::Envelope,  "gradient overflows in 32 bits"),
    (Rejection::NotFinite,         Gate::Profile,   "not finite on some probe"),
    (Rejection::NoGradient,        Gate::Profile,   "no gradient"),
    (Rejection::OneSided,          Gate::Profile,   "silent about one side of the target"),
    (Rejection::WrongSign,         Gate::Profile,   "pushes voxels away from their target"),
    (Rejection::Reversed,          Gate::Profile,   "pushes voxels away from their target everywhere"),
    (Rejection::Uneven,            Gate::Profile,   "nearly all of the gradient in a few voxels"),
    (Rejection::Duplicate,         Gate::Duplicate, "behaves like an earlier candidate"),
    (Rejection::Diverged,          Gate::Descent,   "ceases to be finite on free predictions"),
    (Rejection::Stuck,             Gate::Descent,   "does not drive predictions to their targets"),
];

impl Rejection {
    /// Who says so.
    pub fn gate(self) -> Gate {
        TABLE[self as usize].1
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(TABLE[*self as usize].2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_rejection_in_its_place_and_every_gate_in_order() {
        assert!(TABLE.iter().enumerate().all(|(place, (rejection, ..))| *rejection as usize == place));
        assert!(TABLE.is_sorted_by_key(|(_, gate, _)| *gate));
        assert!(Gate::ALL.iter().enumerate().all(|(place, gate)| *gate as usize == place));
    }
}
