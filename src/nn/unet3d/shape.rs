//! Kernels and strides per level and axis, chosen from the voxels' spacing and the patch.
//!
//! nnU-Net's rule (Isensee et al. 2021): an axis takes part, with kernels of 3 and halving, only from the level on where its
//! spacing is within a factor of 2 of the finest. Until then a neighbour along it is another slice, several times as far as
//! the others; halving the fine axes first makes voxels about cubes. Deepest kernels always have 3, and an axis of fewer
//! than 8 voxels of a patch is not halved again. Where voxels are about cubes from the beginning all axes are treated alike,
//! whatever the patch.

use super::{MOST_LEVELS, UNet3dConfig};

/// Spacings within this factor of the finest count as alike.
const ALIKE: f64 = 2.0;

/// An axis of a patch is not halved below this; nnU-Net's smallest feature map.
const SMALLEST: usize = 4;

impl UNet3dConfig {
    /// The same network for voxels of this spacing (mm) and patches of this shape.
    #[must_use]
    pub fn shaped_for(self, spacing: [f64; 3], patch: [usize; 3]) -> Self {
        let like_the_finest = |spacing: [f64; 3]| {
            let finest = spacing.iter().copied().fold(f64::INFINITY, f64::min);
            spacing.map(|s| s / finest < ALIKE)
        };
        let mut network = Self { joins: [0; 3], halvings: [MOST_LEVELS - 1; 3], ..self };
        if like_the_finest(spacing) == [true; 3] {
            return network;
        }
        let (mut spacing, mut size, mut joined) = (spacing, patch, [false; 3]);
        network.halvings = [0; 3];
        for level in 0..self.levels {
            let deepest = level + 1 == self.levels;
            for (axis, alike) in like_the_finest(spacing).into_iter().enumerate() {
                if !joined[axis] && (alike || deepest) {
                    (joined[axis], network.joins[axis]) = (true, level);
                }
                if joined[axis] && !deepest && size[axis] >= 2 * SMALLEST {
                    network.halvings[axis] += 1;
                    spacing[axis] *= 2.0;
                    size[axis] = size[axis].div_ceil(2);
                }
            }
        }
        network
    }

    /// Voxels of the kernels of a level along each axis.
    pub fn kernel(&self, level: usize) -> [usize; 3] {
        self.joins.map(|joins| if level < joins { 1 } else { 3 })
    }

    /// The stride along each axis from the level above into a level; none into the first.
    pub fn stride(&self, level: usize) -> [usize; 3] {
        std::array::from_fn(|axis| {
            let halved = level.saturating_sub(self.joins[axis]);
            if (1..=self.halvings[axis]).contains(&halved) { 2 } else { 1 }
        })
    }

    /// What each axis of an input must be a multiple of.
    pub fn multiples(&self) -> [usize; 3] {
        let strides = (0..self.levels).map(|level| self.stride(level));
        strides.fold([1; 3], |product, stride| std::array::from_fn(|axis| product[axis] * stride[axis]))
    }
}

/// For messages.
pub(super) fn in_words(multiples: [usize; 3]) -> String {
    match multiples {
        [a, b, c] if a == b && b == c => format!("multiples of {a} along each axis"),
        [a, b, c] => format!("multiples of {a}, {b} and {c} along i, j and k"),
    }
}

/// Files of networks for cubes say nothing of axes, as they did before there were others.
pub(super) fn is_from_the_first(joins: &[usize; 3]) -> bool {
    *joins == [0; 3]
}

pub(super) fn is_as_often_as_possible(halvings: &[usize; 3]) -> bool {
    *halvings == [MOST_LEVELS - 1; 3]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kernels of all levels, then strides into all but the first.
    fn shape(levels: usize, spacing: [f64; 3], patch: [usize; 3]) -> (Vec<[usize; 3]>, Vec<[usize; 3]>) {
        let network = UNet3dConfig { levels, ..UNet3dConfig::default() }.shaped_for(spacing, patch);
        network.check().unwrap();
        let kernels = (0..levels).map(|level| network.kernel(level)).collect();
        (kernels, (1..levels).map(|level| network.stride(level)).collect())
    }

    #[test]
    fn kernels_and_strides_are_those_of_nnunet() {
        // The steps of nnU-Net's `get_pool_and_conv_props` (version 2, smallest feature map 4), cut off at so many levels.
        let (flat, all, wide) = ([3, 3, 1], [3, 3, 3], [2, 2, 1]);
        assert_eq!(shape(3, [2.0, 2.0, 4.0], [32, 32, 16]), (vec![flat, all, all], vec![wide, [2; 3]]));
        assert_eq!(shape(4, [1.0, 1.0, 4.0], [64, 64, 16]), (vec![flat, flat, all, all], vec![wide, wide, [2; 3]]));
        let thick = vec![[1, 3, 3], [1, 3, 3], [1, 3, 3], all];
        assert_eq!(shape(4, [8.0, 1.0, 1.0], [8, 64, 64]), (thick, vec![[1, 2, 2]; 3]));
    }

    #[test]
    fn short_axes_of_a_patch_rest() {
        let (kernels, strides) = shape(4, [1.0, 1.0, 2.5], [64, 64, 8]);
        assert_eq!(kernels, [[3, 3, 1], [3; 3], [3; 3], [3; 3]]);
        assert_eq!(strides, [[2, 2, 1], [2, 2, 2], [2, 2, 1]]);
    }

    #[test]
    fn cubes_get_the_network_for_cubes_whatever_the_patch() {
        let plain = UNet3dConfig { levels: 5, ..UNet3dConfig::default() };
        for spacing in [[1.0; 3], [2.0, 2.0, 3.0], [0.9, 0.5, 0.7]] {
            assert_eq!(plain.shaped_for(spacing, [4, 4, 4]), plain);
        }
        assert_eq!((plain.multiples(), plain.kernel(0), plain.stride(4)), ([16; 3], [3; 3], [2; 3]));
        assert_eq!(
            serde_json::to_string(&plain).unwrap(),
            r#"{"in_channels":1,"out_channels":1,"width":8,"levels":5}"#
        );
    }

    #[test]
    fn axes_divide_by_what_halves_them() {
        let network = UNet3dConfig { levels: 4, ..UNet3dConfig::default() }.shaped_for([1.0, 1.0, 4.0], [64, 64, 16]);
        assert_eq!(network.multiples(), [8, 8, 2]);
        assert!(network.check_shape([64, 32, 18]).is_ok());
        let text = network.check_shape([64, 32, 17]).unwrap_err().to_string();
        assert!(text.contains("multiples of 8, 8 and 2 along i, j and k"), "{text}");
        let back: UNet3dConfig = serde_json::from_str(&serde_json::to_string(&network).unwrap()).unwrap();
        assert_eq!(back, network);
        assert!(UNet3dConfig { joins: [0, 0, 4], ..network }.check().unwrap_err().to_string().contains("joins"));
        assert!(UNet3dConfig { halvings: [9; 3], ..network }.check().unwrap_err().to_string().contains("halvings"));
    }
}
