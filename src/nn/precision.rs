//! In how many bits the products of a training are computed.
//!
//! Decides speed and rounding, never what is stored: weights, files, losses, predictions and metrics are of 32-bit floats
//! at every precision. Does not choose kernels; that is [`super::kernels`].

use serde::{Deserialize, Serialize};

/// Precision of the convolutions of a training, forward and backward.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Precision {
    /// 32-bit floats throughout.
    #[default]
    F32,
    /// Factors of products are rounded to bfloat16, sums are of 32-bit floats. The first convolution (of one image
    /// channel) and pointwise ones stay in 32 bits: they cost little.
    Bf16,
}

impl Precision {
    /// Name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}
