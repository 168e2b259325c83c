//! How logits become probabilities, as people type it.

use clap::ValueEnum;

use crate::formula::eval::Activation;

/// A choice that is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ActivationOption {
    /// Every channel on its own
    Sigmoid,
    /// The channels of a voxel sum to 1
    Softmax,
}

impl From<ActivationOption> for Activation {
    fn from(typed: ActivationOption) -> Self {
        match typed {
            ActivationOption::Sigmoid => Self::Sigmoid,
            ActivationOption::Softmax => Self::Softmax,
        }
    }
}
