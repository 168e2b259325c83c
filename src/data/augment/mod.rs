//! Variations of a patch that keep its truth: mirroring, affine maps, noise, MixUp.
//!
//! The kinds are those of the founding talk (Hun, 2021: affine, Gaussian noise, MixUp) and mirroring. Every kind draws
//! its parameters apart from applying them, from the generator it is given, so that a batch is a function of its address.
//! The image is interpolated linearly, the mask never; only MixUp makes targets soft. Prediction uses none of this.

pub mod affine;
pub mod mirror;
pub mod mixup;
pub mod noise;

use serde::{Deserialize, Serialize};

pub use affine::Affine;
pub use mirror::Axis;
pub use mixup::Mixup;
pub use noise::Noise;

use crate::fault::{Fault, Result};

/// Which variations are applied to training patches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Axes that are mirrored with probability one half each; empty for none.
    pub mirror: Vec<Axis>,
    /// Rotation, scale and shift.
    pub affine: Option<Affine>,
    /// Gaussian noise.
    pub noise: Option<Noise>,
    /// Mixing with another patch of the batch.
    pub mixup: Option<Mixup>,
}

impl Default for Augment {
    /// Mirroring only: what a short training can still use.
    fn default() -> Self {
        Self { mirror: vec![Axis::I, Axis::J, Axis::K], affine: None, noise: None, mixup: None }
    }
}

impl Augment {
    /// Patches as they are.
    pub fn none() -> Self {
        Self { mirror: Vec::new(), ..Self::default() }
    }

    /// Checks the numbers of a configuration.
    ///
    /// # Errors
    /// If a range is empty, not finite or cannot be drawn from.
    pub fn validate(&self) -> Result<()> {
        self.affine.as_ref().map_or(Ok(()), Affine::validate)?;
        self.noise.as_ref().map_or(Ok(()), Noise::validate)?;
        self.mixup.as_ref().map_or(Ok(()), Mixup::validate)
    }
}

/// A range from `low` to `high` of which both ends are finite and at least `least`.
fn validate_range(field: &str, (low, high): (f64, f64), least: f64) -> Result<()> {
    if least <= low && low <= high && high.is_finite() {
        return Ok(());
    }
    Err(Fault::new("range cannot be drawn from")
        .field(field)
        .expected(format!("{least} <= low <= high"))
        .found(format!("({low}, {high})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_read_strictly_and_checked() {
        let options = ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME);
        let read = |text: &str| options.from_str::<Augment>(text);
        let full = read("(mirror: [K], affine: (rotation: (10, 0, 0)), noise: (), mixup: (alpha: 0.4))").unwrap();
        assert_eq!((full.mirror.clone(), full.mixup.map(|m| m.alpha)), (vec![Axis::K], Some(0.4)));
        assert!(full.validate().is_ok());
        assert_eq!(read("()").unwrap(), Augment::default());
        assert!(read("(mirrors: [])").is_err());
        assert!(read("(affine: (rotate: 3))").is_err());
        for wrong in [
            "(affine: (scale: (0, 1)))",
            "(affine: (scale: (1.2, 1.1)))",
            "(affine: (rotation: (10, -1, 0)))",
            "(affine: (translation: inf))",
            "(noise: (deviation: (-0.1, 0.1)))",
            "(mixup: (alpha: 0))",
            "(mixup: (alpha: NaN))",
        ] {
            assert!(read(wrong).unwrap().validate().is_err(), "{wrong}");
        }
    }
}
