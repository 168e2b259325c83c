//! Variations of a patch that keep its truth: one family a file.
//!
//! The kinds are those of the founding talk (Hun, 2021: affine, Gaussian noise, MixUp) and those of nnU-Net and MONAI, with
//! their ranges. Every family draws its parameters from the generator it is given, apart from applying them: a batch is a
//! function of its address, and patches can be made on any thread. The image is interpolated linearly, the mask never;
//! only MixUp makes targets soft. Prediction uses none of this.

pub mod affine;
pub mod bias_field;
pub mod blur;
pub mod brightness;
pub mod contrast;
pub mod elastic;
pub mod gamma;
pub mod low_resolution;
pub mod mirror;
pub mod mixup;
pub mod noise;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use affine::Affine;
pub use bias_field::BiasField;
pub use blur::Blur;
pub use brightness::Brightness;
pub use contrast::Contrast;
pub use elastic::Elastic;
pub use gamma::Gamma;
pub use low_resolution::LowResolution;
pub use mirror::Axis;
pub use mixup::Mixup;
pub use noise::Noise;

use crate::fault::{Fault, Result};

/// Which variations are applied to training patches; what is left out is not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Axes that are mirrored with probability one half each; empty for none.
    pub mirror: Vec<Axis>,
    /// Rotation, scale, shear and shift.
    pub affine: Option<Affine>,
    /// Smooth deformation.
    pub elastic: Option<Elastic>,
    /// Gaussian noise.
    pub noise: Option<Noise>,
    /// Gaussian blur.
    pub blur: Option<Blur>,
    /// A factor for all values.
    pub brightness: Option<Brightness>,
    /// A factor for the distance from the mean.
    pub contrast: Option<Contrast>,
    /// The shading of coils.
    pub bias_field: Option<BiasField>,
    /// Fewer voxels.
    pub low_resolution: Option<LowResolution>,
    /// A bent curve of intensities.
    pub gamma: Option<Gamma>,
    /// Mixing with another patch of the batch.
    pub mixup: Option<Mixup>,
}

impl Default for Augment {
    /// Mirroring only: what a short training can still use.
    fn default() -> Self {
        Self { mirror: vec![Axis::I, Axis::J, Axis::K], ..Self::none() }
    }
}

/// All that was drawn for one patch, before anything is done.
#[derive(Debug, Clone, PartialEq)]
pub struct Variation {
    /// Where the patch comes from, if not from where it is.
    pub placement: Option<affine::Placement>,
    /// How it is deformed.
    pub field: Option<elastic::Field>,
    /// Axes that are mirrored.
    pub flips: [bool; 3],
    /// What happens to the intensities of each channel.
    pub channels: Vec<Shades>,
}

/// What was drawn for the intensities of one channel.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shades {
    noise: Option<noise::Grain>,
    blur: Option<f64>,
    brightness: Option<f32>,
    contrast: Option<f32>,
    bias_field: Option<bias_field::Shading>,
    low_resolution: Option<f64>,
    gamma: Option<gamma::Curve>,
}

impl Augment {
    /// Patches as they are.
    pub fn none() -> Self {
        Self {
            mirror: Vec::new(),
            affine: None,
            elastic: None,
            noise: None,
            blur: None,
            brightness: None,
            contrast: None,
            bias_field: None,
            low_resolution: None,
            gamma: None,
            mixup: None,
        }
    }

    /// Every family with its defaults: what a long training on few cases may profit from.
    pub fn all() -> Self {
        Self {
            mirror: vec![Axis::I, Axis::J, Axis::K],
            affine: Some(Affine::default()),
            elastic: Some(Elastic::default()),
            noise: Some(Noise::default()),
            blur: Some(Blur::default()),
            brightness: Some(Brightness::default()),
            contrast: Some(Contrast::default()),
            bias_field: Some(BiasField::default()),
            low_resolution: Some(LowResolution::default()),
            gamma: Some(Gamma::default()),
            mixup: Some(Mixup::default()),
        }
    }

    /// Checks the numbers of a configuration.
    ///
    /// # Errors
    /// If a range is empty, not finite or cannot be drawn from.
    pub fn validate(&self) -> Result<()> {
        self.affine.as_ref().map_or(Ok(()), Affine::validate)?;
        self.elastic.as_ref().map_or(Ok(()), Elastic::validate)?;
        self.noise.as_ref().map_or(Ok(()), Noise::validate)?;
        self.blur.as_ref().map_or(Ok(()), Blur::validate)?;
        self.brightness.as_ref().map_or(Ok(()), Brightness::validate)?;
        self.contrast.as_ref().map_or(Ok(()), Contrast::validate)?;
        self.bias_field.as_ref().map_or(Ok(()), BiasField::validate)?;
        self.low_resolution.as_ref().map_or(Ok(()), LowResolution::validate)?;
        self.gamma.as_ref().map_or(Ok(()), Gamma::validate)?;
        self.mixup.as_ref().map_or(Ok(()), Mixup::validate)
    }

    /// Draws the variation of one patch of `shape` voxels of `spacing` mm. Channels move together and are shaded apart.
    pub fn draw(&self, shape: [usize; 3], spacing: [f64; 3], channels: usize, rng: &mut ChaCha8Rng) -> Variation {
        Variation {
            placement: self.affine.and_then(|ranges| ranges.draw(spacing, rng)),
            field: self.elastic.and_then(|ranges| ranges.draw(shape, spacing, rng)),
            flips: mirror::draw(&self.mirror, rng),
            channels: (0..channels).map(|_| self.draw_shades(rng)).collect(),
        }
    }

    fn draw_shades(&self, rng: &mut ChaCha8Rng) -> Shades {
        Shades {
            noise: self.noise.and_then(|ranges| ranges.draw(rng)),
            blur: self.blur.and_then(|ranges| ranges.draw(rng)),
            brightness: self.brightness.and_then(|ranges| ranges.draw(rng)),
            contrast: self.contrast.and_then(|ranges| ranges.draw(rng)),
            bias_field: self.bias_field.and_then(|ranges| ranges.draw(rng)),
            low_resolution: self.low_resolution.and_then(|ranges| ranges.draw(rng)),
            gamma: self.gamma.and_then(|ranges| ranges.draw(rng)),
        }
    }
}

impl Shades {
    /// Shades the values of one channel of a patch of `shape` voxels of `spacing` mm: first what a scanner does, then what
    /// is done to its images. The order is nnU-Net's.
    pub fn apply(&self, values: &mut [f32], shape: [usize; 3], spacing: [f64; 3]) {
        if let Some(grain) = self.noise {
            noise::apply(values, grain);
        }
        if let Some(deviation) = self.blur {
            blur::apply(values, shape, deviation);
        }
        if let Some(factor) = self.brightness {
            brightness::apply(values, factor);
        }
        if let Some(factor) = self.contrast {
            contrast::apply(values, factor);
        }
        if let Some(shading) = &self.bias_field {
            bias_field::apply(values, shape, shading);
        }
        if let Some(zoom) = self.low_resolution {
            low_resolution::apply(values, shape, spacing, zoom);
        }
        if let Some(curve) = self.gamma {
            gamma::apply(values, curve);
        }
    }
}

/// Whether something of this probability happens.
fn happens(probability: f64, rng: &mut ChaCha8Rng) -> bool {
    rng.random::<f64>() < probability
}

/// Uniform; written out because an empty range is a legitimate "never".
fn between((low, high): (f64, f64), rng: &mut ChaCha8Rng) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

/// The mean of values.
fn mean(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64
}

/// The smallest and the largest value.
fn range(values: &[f32]) -> (f32, f32) {
    values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)))
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

/// A number within bounds.
fn validate_number(field: &str, value: f64, (low, high): (f64, f64)) -> Result<()> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(Fault::new("setting out of range").field(field).expected(format!("{low} to {high}")).found(value))
}

fn validate_probability(field: &str, value: f64) -> Result<()> {
    validate_number(field, value, (0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;

    /// Every family, always.
    const EVERYTHING: &str = "(mirror: [I, J, K], affine: (probability: 1, shear: 0.2, translation: 2), \
        elastic: (probability: 1, grid: 10, displacement: 4), noise: (probability: 1), blur: (probability: 1), \
        brightness: (probability: 1), contrast: (probability: 1), bias_field: (probability: 1), \
        low_resolution: (probability: 1), gamma: (probability: 1), mixup: (alpha: 0.4))";

    /// Every family, of no strength.
    const NOTHING: &str = "(mirror: [], affine: (probability: 1, rotation: (0, 0, 0), scale: (1, 1)), \
        elastic: (probability: 1, displacement: 0), noise: (probability: 1, deviation: (0, 0)), \
        blur: (probability: 1, deviation: (0, 0)), brightness: (probability: 1, factor: (1, 1)), \
        contrast: (probability: 1, factor: (1, 1)), bias_field: (probability: 1, coefficient: 0), \
        low_resolution: (probability: 1, zoom: (1, 1)), gamma: (probability: 1, exponent: (1, 1)))";

    fn read(text: &str) -> Result<Augment, ron::error::SpannedError> {
        let options = ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME);
        options.from_str(text)
    }

    #[test]
    fn configurations_are_read_strictly_and_checked() {
        let full = read(EVERYTHING).unwrap();
        assert_eq!((full.blur.map(|b| b.deviation), full.mixup.map(|m| m.alpha)), (Some((0.5, 1.0)), Some(0.4)));
        assert!(full.validate().is_ok() && read(NOTHING).unwrap().validate().is_ok());
        assert_eq!(read("()").unwrap(), Augment::default());
        assert!(read("(mirrors: [])").is_err());
        assert!(read("(affine: (rotate: 3))").is_err());
        for wrong in [
            "(affine: (scale: (0, 1)))",
            "(affine: (scale: (1.2, 1.1)))",
            "(affine: (scale: (1, 11)))",
            "(affine: (rotation: (10, -1, 0)))",
            "(affine: (translation: inf))",
            "(affine: (shear: 0.5))",
            "(affine: (probability: 1.5))",
            "(elastic: (displacement: 30))",
            "(noise: (deviation: (-0.1, 0.1)))",
            "(noise: (probability: NaN))",
            "(blur: (deviation: (1, 50)))",
            "(brightness: (factor: (-1, 1)))",
            "(contrast: (factor: (1, inf)))",
            "(bias_field: (coefficient: 2))",
            "(low_resolution: (zoom: (0, 1)))",
            "(low_resolution: (zoom: (0.5, 2)))",
            "(gamma: (exponent: (0, 1)))",
            "(gamma: (inverted: -1))",
            "(mixup: (alpha: 0))",
            "(mixup: (alpha: NaN))",
        ] {
            assert!(read(wrong).unwrap().validate().is_err(), "{wrong}");
        }
    }

    #[test]
    fn families_come_up_as_often_as_they_should() {
        let all = Augment::all();
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let draws: Vec<Variation> = (0..4000).map(|_| all.draw([4; 3], [1.0; 3], 1, &mut rng)).collect();
        let share = |has: fn(&Variation) -> bool| draws.iter().filter(|draw| has(draw)).count() as f64 / 4000.0;
        for (found, expected) in [
            (share(|draw| draw.placement.is_some()), 0.2),
            (share(|draw| draw.field.is_some()), 0.2),
            (share(|draw| draw.channels[0].noise.is_some()), 0.1),
            (share(|draw| draw.channels[0].blur.is_some()), 0.1),
            (share(|draw| draw.channels[0].brightness.is_some()), 0.15),
            (share(|draw| draw.channels[0].contrast.is_some()), 0.15),
            (share(|draw| draw.channels[0].bias_field.is_some()), 0.1),
            (share(|draw| draw.channels[0].low_resolution.is_some()), 0.125),
            (share(|draw| draw.channels[0].gamma.is_some()), 0.4),
        ] {
            // Five standard deviations of a share of 4000 draws.
            assert!((found - expected).abs() < 0.04, "{found} instead of {expected}");
        }
    }

    proptest! {
        #[test]
        fn shades_are_finite_whatever_is_drawn_and_nothing_at_no_strength(
            shape in prop::array::uniform3(1_usize..7),
            spacing in prop::array::uniform3(0.5_f64..5.0),
            flat: bool,
            seed: u64,
        ) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let count = shape.iter().product();
            let values: Vec<f32> = (0..count).map(|_| if flat { 1.0 } else { between((-2.0, 3.0), &mut rng) as f32 }).collect();
            let all = read(EVERYTHING).unwrap().draw(shape, spacing, 2, &mut rng);
            let mut shaded = values.clone();
            all.channels[0].apply(&mut shaded, shape, spacing);
            prop_assert!(shaded.iter().all(|value| value.is_finite()));
            let mut again = values.clone();
            all.channels[0].apply(&mut again, shape, spacing);
            prop_assert_eq!(shaded, again, "what was drawn decides everything");
            let none = read(NOTHING).unwrap().draw(shape, spacing, 1, &mut rng);
            let mut same = values.clone();
            none.channels[0].apply(&mut same, shape, spacing);
            prop_assert_eq!(&same, &values);
            prop_assert_eq!(none.placement, Some(affine::Placement::default()));
            prop_assert!(none.field.unwrap().over(shape).iter().flatten().all(|step| *step == 0.0));
        }
    }
}
