//! Kernels and strides along each axis: where taps are, and who sees whom on the way back.
//!
//! A flat kernel (3 x 3 x 1) is nothing but a shorter list of taps, and a stride of (2, 2, 1) four parities instead of eight;
//! no kernel of ours knows the difference.

/// One number for each axis.
pub(super) type Axes = [usize; 3];

/// The positions of a kernel in the order of its weights.
pub(super) fn positions([depth, height, width]: Axes) -> impl Iterator<Item = Axes> {
    (0..depth * height * width).map(move |t| [t / (height * width), t / width % height, t % width])
}

/// The parities of a stride in the order of the positions of a kernel that is as large.
pub(super) fn parities(stride: Axes) -> impl Iterator<Item = Axes> {
    positions(stride)
}

/// Zeros in front of each axis and behind it for the gradient of the input.
pub(super) fn rims_back(kernel: Axes, stride: Axes) -> [Axes; 2] {
    let before = std::array::from_fn(|axis| if stride[axis] == 1 { kernel[axis] / 2 } else { 0 });
    [before, kernel.map(|k| k / 2)]
}

/// The outputs that see an input voxel of a parity: their positions, with the number of the weight by which each sees it.
pub(super) fn seen_by(kernel: Axes, stride: Axes, parity: Axes) -> (Vec<Axes>, Vec<usize>) {
    let [z, y, x] = [0, 1, 2].map(|axis| seen_along(kernel[axis], stride[axis], parity[axis]));
    let (mut positions, mut weights) = (Vec::new(), Vec::new());
    for (tap_z, z) in &z {
        for (tap_y, y) in &y {
            for (tap_x, x) in &x {
                positions.push([*z, *y, *x]);
                weights.push((tap_z * kernel[1] + tap_y) * kernel[2] + tap_x);
            }
        }
    }
    (positions, weights)
}

/// Taps along an axis with the output that they belong to. Without a stride the kernel is turned around; with one, an even
/// voxel is seen by the middle tap of one output, an odd one by the last tap of one and the first tap of the next.
fn seen_along(kernel: usize, stride: usize, parity: usize) -> Vec<(usize, usize)> {
    match (stride, parity) {
        (1, _) => (0..kernel).map(|output| (kernel - 1 - output, output)).collect(),
        (_, 0) => vec![(1, 0)],
        _ => vec![(0, 1), (2, 0)],
    }
}
