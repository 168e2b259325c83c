//! A volume through networks, patch by patch, and out again plane by plane.
//!
//! Patches begin in the order of their first axis, so planes before the next beginning are done: they are divided by the
//! weights that they gathered and handed on. Sums are kept for as many planes as a patch has; accumulators of the whole
//! volume would need a float for each class and voxel.

use burn::tensor::{Tensor, TensorData};

use super::window::{gaussian, starts};
use super::{Inference, Window};
use crate::fault::Result;
use crate::nn::{self, UNet3d, floats};

/// Takes a plane of logits `[outputs, height, width]`, in the order of the planes.
pub(super) type Give<'a> = dyn FnMut(&[f32]) -> Result<()> + 'a;

/// Sends the channels of an image of `shape` through the networks.
///
/// # Errors
/// Those of `give`.
pub(super) fn sweep(inference: &Inference<'_>, image: &[&[f32]], shape: [usize; 3], give: &mut Give<'_>) -> Result<()> {
    match inference.window {
        Window::Whole => whole(inference, image, shape, give),
        Window::Sliding { patch, overlap } => sliding(inference, image, shape, patch, overlap, give),
    }
}

fn whole(inference: &Inference<'_>, image: &[&[f32]], shape: [usize; 3], give: &mut Give<'_>) -> Result<()> {
    let size = fitting(inference, shape);
    let logits = logits(inference, image, shape, [0; 3], size);
    let padded: usize = size.iter().product();
    let [depth, height, width] = shape;
    for i in 0..depth {
        let rows = logits
            .chunks_exact(padded)
            .flat_map(|class| (0..height).map(move |j| &class[(i * size[1] + j) * size[2]..][..width]));
        give(&rows.flatten().copied().collect::<Vec<f32>>())?;
    }
    Ok(())
}

fn sliding(
    inference: &Inference<'_>,
    image: &[&[f32]],
    shape: [usize; 3],
    patch: [usize; 3],
    overlap: f64,
    give: &mut Give<'_>,
) -> Result<()> {
    let patch = fitting(inference, patch);
    let mut slab = Slab::new(inference.networks[0].config().out_channels, shape, patch);
    let [i, j, k] = [0, 1, 2].map(|axis| starts(shape[axis], patch[axis], overlap));
    for (n, begin) in i.iter().enumerate() {
        for origin in j.iter().flat_map(|j| k.iter().map(move |k| [*begin, *j, *k])) {
            slab.add(origin, &logits(inference, image, shape, origin, patch));
        }
        slab.finish(i.get(n + 1).copied().unwrap_or(shape[0]), give)?;
    }
    Ok(())
}

/// The size that every network divides, no smaller than `size`.
fn fitting(inference: &Inference<'_>, size: [usize; 3]) -> [usize; 3] {
    let multiples = inference.networks[0].config().multiples();
    std::array::from_fn(|axis| size[axis].next_multiple_of(multiples[axis]))
}

/// Sums of weighted logits of some planes.
struct Slab {
    outputs: usize,
    shape: [usize; 3],
    patch: [usize; 3],
    importance: Vec<f32>,
    /// The plane with which it begins.
    first: usize,
    /// `[planes, outputs, height, width]`.
    sums: Vec<f32>,
    /// `[planes, height, width]`.
    weights: Vec<f32>,
}

impl Slab {
    fn new(outputs: usize, shape: [usize; 3], patch: [usize; 3]) -> Self {
        let plane = shape[1] * shape[2];
        let planes = patch[0].min(shape[0]);
        Self {
            outputs,
            shape,
            patch,
            importance: gaussian(patch),
            first: 0,
            sums: vec![0.0; planes * outputs * plane],
            weights: vec![0.0; planes * plane],
        }
    }

    /// Adds the logits `[outputs, patch]` of a patch at `origin`, whose first plane is that of the slab.
    fn add(&mut self, origin: [usize; 3], logits: &[f32]) {
        let plane = self.shape[1] * self.shape[2];
        let (outputs, first) = (self.outputs, self.first);
        copy_box(self.shape, origin, self.patch, |inside, voxels| {
            let importance = &self.importance[inside.clone()];
            let (i, at) = (voxels.start / plane - first, voxels.start % plane);
            let weights = &mut self.weights[i * plane + at..][..importance.len()];
            weights.iter_mut().zip(importance).for_each(|(sum, weight)| *sum += weight);
            for (output, logits) in logits.chunks_exact(self.importance.len()).enumerate() {
                let sums = &mut self.sums[(i * outputs + output) * plane + at..][..importance.len()];
                for ((sum, logit), weight) in sums.iter_mut().zip(&logits[inside.clone()]).zip(importance) {
                    *sum += logit * weight;
                }
            }
        });
    }

    /// Gives the planes before `next` and begins there.
    fn finish(&mut self, next: usize, give: &mut Give<'_>) -> Result<()> {
        let plane = self.shape[1] * self.shape[2];
        let done = next - self.first;
        for (sums, weights) in
            self.sums.chunks_exact_mut(self.outputs * plane).zip(self.weights.chunks_exact(plane)).take(done)
        {
            for sums in sums.chunks_exact_mut(plane) {
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum /= weight);
            }
            give(sums)?;
        }
        for (values, unit) in [(&mut self.sums, self.outputs * plane), (&mut self.weights, plane)] {
            let length = values.len();
            values.copy_within(done * unit.., 0);
            values[length - done * unit..].fill(0.0);
        }
        self.first = next;
        Ok(())
    }
}

/// Logits `[outputs, size]` of a box of the volume, which may reach past its end: the mean over networks and mirror images.
fn logits(
    inference: &Inference<'_>,
    image: &[&[f32]],
    shape: [usize; 3],
    origin: [usize; 3],
    size: [usize; 3],
) -> Vec<f32> {
    let voxels: usize = size.iter().product();
    let mut values = vec![0f32; image.len() * voxels];
    for (part, channel) in values.chunks_exact_mut(voxels).zip(image) {
        copy_box(shape, origin, size, |inside, from| part[inside].copy_from_slice(&channel[from]));
    }
    let [depth, height, width] = size;
    let data = TensorData::new(values, [1, image.len(), depth, height, width]);
    let image = Tensor::<5>::from_data(data, &nn::device());
    let mut sum: Option<Tensor<5>> = None;
    let mut count = 0_u8;
    for axes in combinations(inference.mirror) {
        for network in inference.networks {
            let logits = mirrored(network, image.clone(), &axes);
            count += 1;
            sum = Some(match sum {
                Some(sum) => sum + logits,
                None => logits,
            });
        }
    }
    let sum = sum.expect("there is a network");
    floats(if count == 1 { sum } else { sum / f32::from(count) })
}

/// Axes of a tensor to flip: every combination of the mirrored ones, none of them first.
fn combinations(mirror: [bool; 3]) -> Vec<Vec<usize>> {
    let all = (0..8_usize).map(|bits| [0, 1, 2].map(|axis| bits >> axis & 1 == 1));
    let wanted = all.filter(|flips| flips.iter().zip(mirror).all(|(flip, allowed)| allowed || !flip));
    wanted.map(|flips| (0..3_usize).filter(|axis| flips[*axis]).map(|axis| axis + 2).collect()).collect()
}

fn mirrored(network: &UNet3d, image: Tensor<5>, axes: &[usize]) -> Tensor<5> {
    let flip = |tensor: Tensor<5>| axes.iter().fold(tensor, |tensor, axis| tensor.flip([*axis]));
    flip(network.forward(flip(image)))
}

/// Calls `row` for every row of a box that lies inside the volume, with its range in the box and in the volume.
fn copy_box(
    shape: [usize; 3],
    origin: [usize; 3],
    size: [usize; 3],
    mut row: impl FnMut(std::ops::Range<usize>, std::ops::Range<usize>),
) {
    let inside = [0, 1, 2].map(|axis| size[axis].min(shape[axis].saturating_sub(origin[axis])));
    for i in 0..inside[0] {
        for j in 0..inside[1] {
            let from = (i * size[1] + j) * size[2];
            let to = ((origin[0] + i) * shape[1] + origin[1] + j) * shape[2] + origin[2];
            row(from..from + inside[2], to..to + inside[2]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_finds_its_rows() {
        let mut rows = Vec::new();
        copy_box([2, 3, 4], [1, 1, 2], [2, 2, 4], |inside, outside| rows.push((inside, outside)));
        assert_eq!(rows, [(0..2, 18..20), (4..6, 22..24)]);
    }

    /// Everything at once: weighted sums over the whole volume.
    fn whole_sums(shape: [usize; 3], patch: [usize; 3], overlap: f64, outputs: usize) -> Vec<f32> {
        let voxels: usize = shape.iter().product();
        let (mut sums, mut weights) = (vec![0f32; outputs * voxels], vec![0f32; voxels]);
        let importance = gaussian(patch);
        let [i, j, k] = [0, 1, 2].map(|axis| starts(shape[axis], patch[axis], overlap));
        for origin in i.iter().flat_map(|i| j.iter().flat_map(|j| k.iter().map(|k| [*i, *j, *k]))) {
            let logits = made_up(origin, outputs * importance.len());
            copy_box(shape, origin, patch, |inside, to| {
                for (inside, to) in inside.zip(to) {
                    weights[to] += importance[inside];
                    for output in 0..outputs {
                        sums[output * voxels + to] += logits[output * importance.len() + inside] * importance[inside];
                    }
                }
            });
        }
        sums.chunks_exact(voxels).flat_map(|sums| sums.iter().zip(&weights).map(|(sum, weight)| sum / weight)).collect()
    }

    fn made_up(origin: [usize; 3], length: usize) -> Vec<f32> {
        let seed = origin[0] * 31 + origin[1] * 7 + origin[2];
        (0..length).map(|n| ((seed * 13 + n) as f32 * 0.37).sin()).collect()
    }

    #[test]
    fn a_slab_gives_what_accumulators_of_the_whole_volume_give() {
        for (shape, patch, overlap) in [
            ([13, 6, 7], [4, 4, 4], 0.5),
            ([13, 6, 7], [5, 4, 8], 0.75),
            ([3, 2, 2], [8, 4, 4], 0.5),
            ([9, 3, 4], [3, 3, 4], 0.0),
        ] {
            let outputs = 2;
            let expected = whole_sums(shape, patch, overlap, outputs);
            let voxels: usize = shape.iter().product();
            let (mut slab, mut given) = (Slab::new(outputs, shape, patch), vec![Vec::new(); outputs]);
            let [i, j, k] = [0, 1, 2].map(|axis| starts(shape[axis], patch[axis], overlap));
            for (n, begin) in i.iter().enumerate() {
                for origin in j.iter().flat_map(|j| k.iter().map(move |k| [*begin, *j, *k])) {
                    slab.add(origin, &made_up(origin, outputs * slab.importance.len()));
                }
                slab.finish(i.get(n + 1).copied().unwrap_or(shape[0]), &mut |plane| {
                    let parts = plane.chunks_exact(plane.len() / outputs);
                    given.iter_mut().zip(parts).for_each(|(all, part)| all.extend_from_slice(part));
                    Ok(())
                })
                .unwrap();
            }
            for (ours, theirs) in given.iter().zip(expected.chunks_exact(voxels)) {
                assert_eq!(ours, theirs, "{shape:?}, {patch:?}");
            }
        }
    }

    #[test]
    fn mirror_images_are_all_combinations_once() {
        assert_eq!(combinations([false; 3]), [Vec::<usize>::new()]);
        assert_eq!(combinations([true, false, true]), [vec![], vec![2], vec![4], vec![2, 4]]);
        assert_eq!(combinations([true; 3]).len(), 8);
    }
}
