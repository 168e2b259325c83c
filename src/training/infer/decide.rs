//! From logits to classes.

/// The class of every voxel of `[outputs, voxels]` logits. With an output for the background (a softmax) that of the largest
/// logit; otherwise each output is a sigmoid, class c + 1, and the background is where none is above one half.
pub(super) fn decide(logits: &[f32], outputs: usize, background: bool) -> Vec<u8> {
    let voxels = logits.len() / outputs.max(1);
    let mut classes = vec![0; voxels];
    let mut best = vec![if background { f32::NEG_INFINITY } else { 0.0 }; voxels];
    for (class, map) in (u8::from(!background)..=u8::MAX).zip(logits.chunks_exact(voxels.max(1))) {
        for ((voxel, best), logit) in classes.iter_mut().zip(&mut best).zip(map) {
            if *logit > *best {
                (*voxel, *best) = (class, *logit);
            }
        }
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sigmoid_decides_at_one_half_and_a_softmax_for_the_largest() {
        let logits = [-1.0, 2.0, 0.5, -90.0, -2.0, 1.0, 0.75, 90.0];
        assert_eq!(decide(&logits, 2, false), [0, 1, 2, 2]);
        assert_eq!(decide(&logits, 2, true), [0, 0, 1, 1]);
    }
}
