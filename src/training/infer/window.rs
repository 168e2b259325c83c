//! How a network sees a volume that is larger than a patch.

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Result};

/// How a network sees a volume larger than a patch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Window {
    /// The whole volume at once, padded with zeros to what the network divides by. Fast, but instance normalisation then
    /// sees other statistics than in training: on phantoms of twice the patch, Dice + CE fell from 0.76 to 0.61.
    Whole,
    /// Patches that overlap, blended by a Gaussian of an eighth of the patch (nnU-Net).
    Sliding {
        /// Voxels of a patch.
        patch: [usize; 3],
        /// Share of a patch by which neighbours overlap, from 0 to below 1.
        overlap: f64,
    },
}

/// Most voxels of a patch.
const MOST_VOXELS: f64 = 1e9;

impl Window {
    /// Whether volumes can be predicted with it.
    ///
    /// # Errors
    /// If a patch is empty or patches would not advance.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Sliding { patch, overlap }
                if !(1.0..=MOST_VOXELS).contains(&patch.iter().map(|n| *n as f64).product::<f64>())
                    || !(0.0..1.0).contains(overlap) =>
            {
                Err(Fault::new("setting out of range")
                    .expected("a patch of 1 to 1e9 voxels and an overlap from 0 to below 1")
                    .found(format!("{self:?}")))
            }
            _ => Ok(()),
        }
    }
}

/// The window that a configuration asks for.
///
/// By default that of the patches of training, whatever they are: nnU-Net predicts so, and instance normalisation has other
/// statistics in other windows. On hippocampus volumes, Dice + CE trained on patches of 24 x 32 x 24 had 87.2 % in windows of that
/// size and 83.1 % in windows of 32 x 48 x 32, where it over-segments (docs/experiments/discovery.md).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum WindowSetting {
    /// [`Window::Sliding`].
    Sliding {
        /// Voxels of a patch; none for those of training.
        #[serde(default)]
        patch: Option<[usize; 3]>,
        /// Share of a patch by which neighbours overlap, from 0 to below 1.
        overlap: f64,
    },
    /// [`Window::Whole`].
    Whole,
}

impl Default for WindowSetting {
    fn default() -> Self {
        Self::Sliding { patch: None, overlap: 0.5 }
    }
}

impl WindowSetting {
    /// The window of a network that is trained on patches of so many voxels.
    pub fn of(self, trained: [usize; 3]) -> Window {
        match self {
            Self::Sliding { patch, overlap } => Window::Sliding { patch: patch.unwrap_or(trained), overlap },
            Self::Whole => Window::Whole,
        }
    }

    /// What is to be said where networks do not see in prediction what they were trained on.
    pub fn remark(self, trained: [usize; 3]) -> Option<String> {
        let text = |[i, j, k]: [usize; 3]| format!("{i} x {j} x {k}");
        let seen = match self.of(trained) {
            Window::Whole => "the whole volume at once".to_string(),
            Window::Sliding { patch, .. } if patch == trained => return None,
            Window::Sliding { patch, .. } => format!("windows of {}", text(patch)),
        };
        Some(format!(
            "note: networks are trained on patches of {} voxels and predict with {seen}; instance normalisation sees other \
             statistics then, which may cost points of Dice and favour losses that make up for it",
            text(trained),
        ))
    }
}

/// Where patches begin along an axis: evenly spread, the last one ending with the volume.
pub(super) fn starts(length: usize, patch: usize, overlap: f64) -> Vec<usize> {
    let last = length.saturating_sub(patch);
    let stride = ((patch as f64 * (1.0 - overlap)) as usize).max(1);
    let steps = last.div_ceil(stride);
    (0..=steps).map(|step| (last * step + steps / 2).checked_div(steps).unwrap_or(0)).collect()
}

/// Weight of each voxel of a patch: a Gaussian around its centre whose standard deviation is an eighth of the patch, as in
/// nnU-Net (Isensee et al. 2021, `sigma_scale = 1/8`). Never zero, or a voxel that only one corner sees would be divided by
/// nothing; nnU-Net lifts zeros to the smallest other weight, here no axis falls below a thousandth.
pub(super) fn gaussian(patch: [usize; 3]) -> Vec<f32> {
    let axis = |n: usize| -> Vec<f64> {
        let (centre, deviation) = ((n as f64 - 1.0) / 2.0, n as f64 / 8.0);
        (0..n).map(|i| (-0.5 * ((i as f64 - centre) / deviation).powi(2)).exp().max(1e-3)).collect()
    };
    let [i, j, k] = patch.map(axis);
    i.iter()
        .flat_map(|a| {
            j.iter().flat_map(|b| k.iter().map(|c| (a * b * c) as f32).collect::<Vec<f32>>()).collect::<Vec<f32>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_is_no_patch_of_training_is_told() {
        let sliding = |patch| WindowSetting::Sliding { patch: Some(patch), overlap: 0.5 };
        assert_eq!(sliding([24, 32, 24]).remark([24, 32, 24]), None);
        assert_eq!(WindowSetting::default().remark([24, 32, 24]), None);
        assert_eq!(WindowSetting::default().of([24, 32, 24]), sliding([24, 32, 24]).of([8, 8, 8]));
        let remark = sliding([32, 48, 32]).remark([24, 32, 24]).unwrap();
        assert!(remark.contains("24 x 32 x 24") && remark.contains("32 x 48 x 32"), "{remark}");
        assert!(WindowSetting::Whole.remark([8, 8, 8]).unwrap().contains("whole volume"));
    }

    #[test]
    fn a_window_is_written_with_or_without_a_patch() {
        let read = |text: &str| crate::notation::from_text::<WindowSetting>("c.ron", text).unwrap();
        assert_eq!(read("Sliding(overlap: 0.25)").of([4, 6, 8]), Window::Sliding { patch: [4, 6, 8], overlap: 0.25 });
        for (text, patch) in
            [("Sliding(patch: (8, 8, 4), overlap: 0.5)", Some([8, 8, 4])), ("Sliding(patch: None, overlap: 0.5)", None)]
        {
            let setting = WindowSetting::Sliding { patch, overlap: 0.5 };
            assert_eq!(read(text), setting);
            assert_eq!(read(&crate::notation::to_text(&setting).unwrap()), setting);
        }
        assert_eq!(read("Whole").of([4, 6, 8]), Window::Whole);
    }

    #[test]
    fn patches_cover_every_voxel_and_end_with_the_volume() {
        for length in 1..60 {
            for patch in [1, 4, 16, 32] {
                let starts = starts(length, patch, 0.5);
                let mut seen = vec![false; length];
                for start in &starts {
                    assert!(start + patch <= length || *start == 0);
                    (*start..length.min(start + patch)).for_each(|i| seen[i] = true);
                }
                assert!(seen.iter().all(|s| *s), "{length} {patch} {starts:?}");
            }
        }
    }

    #[test]
    fn weights_fall_from_the_centre_by_an_eighth_of_the_patch_and_never_to_zero() {
        let weights = gaussian([1, 1, 17]);
        let expected = (-0.5 * (2.0_f64 / (17.0 / 8.0)).powi(2)).exp() as f32;
        assert!((weights[8] - 1.0).abs() < 1e-7 && (weights[6] - expected).abs() < 1e-7 && weights[6] == weights[10]);
        assert!(gaussian([64, 64, 64]).iter().all(|weight| *weight > 0.0));
    }
}
