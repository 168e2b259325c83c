//! Connected components of a mask: what of a class hangs together.
//!
//! Voxels that share a face, an edge or a corner are neighbours (26-connected), as in nnU-Net and MONAI. Works on runs along
//! the last axis and joins those of neighbouring rows (union-find, Rosenfeld & Pfaltz 1966), so memory grows with the
//! outline of a structure and not with the volume.

use std::ops::Range;

use super::Volume;

/// Voxels of one class that follow each other along the last axis.
struct Run {
    start: usize,
    end: usize,
    class: u8,
}

/// Erases all but the largest component of every class but 0; of equally large ones the first in the order of voxels stays.
/// Returns the number of voxels that were erased.
pub fn keep_largest(mask: &mut Volume<u8>) -> usize {
    let [depth, height, width] = mask.grid.shape;
    let mut runs: Vec<Run> = Vec::new();
    // Where the runs of a row begin; one entry more than rows.
    let mut rows = vec![0];
    for row in mask.voxels.chunks_exact(width.max(1)) {
        let mut start = 0;
        for part in row.chunk_by(|a, b| a == b) {
            let end = start + part.len();
            if part[0] > 0 {
                runs.push(Run { start, end, class: part[0] });
            }
            start = end;
        }
        rows.push(runs.len());
    }
    let mut parents: Vec<usize> = (0..runs.len()).collect();
    for i in 0..depth {
        for j in 0..height {
            let row = i * height + j;
            let before = [(1, -1), (1, 0), (1, 1), (0, -1)];
            for (back, across) in before {
                let neighbour = j.checked_add_signed(across).filter(|j| *j < height);
                let (Some(i), Some(j)) = (i.checked_sub(back), neighbour) else { continue };
                let other = i * height + j;
                touching(&runs, rows[row]..rows[row + 1], rows[other]..rows[other + 1], |a, b| {
                    join(&mut parents, a, b);
                });
            }
        }
    }
    let roots: Vec<usize> = (0..runs.len()).map(|run| root(&mut parents, run)).collect();
    let mut sizes = vec![0; runs.len()];
    for (run, root) in runs.iter().zip(&roots) {
        sizes[*root] += run.end - run.start;
    }
    let mut largest: [Option<usize>; 256] = [None; 256];
    for (root, run) in runs.iter().enumerate().filter(|(root, _)| sizes[*root] > 0) {
        let best = &mut largest[usize::from(run.class)];
        if best.is_none_or(|best| sizes[root] > sizes[best]) {
            *best = Some(root);
        }
    }
    let mut erased = 0;
    for (row, voxels) in mask.voxels.chunks_exact_mut(width.max(1)).enumerate() {
        for run in rows[row]..rows[row + 1] {
            let Run { start, end, class } = runs[run];
            if largest[usize::from(class)] != Some(roots[run]) {
                voxels[start..end].fill(0);
                erased += end - start;
            }
        }
    }
    erased
}

/// Tells every two runs of one class in two rows that overlap or meet at a corner.
fn touching(runs: &[Run], these: Range<usize>, those: Range<usize>, mut tell: impl FnMut(usize, usize)) {
    let mut first = those.start;
    for a in these {
        while first < those.end && runs[first].end < runs[a].start {
            first += 1;
        }
        for b in (first..those.end).take_while(|b| runs[*b].start <= runs[a].end) {
            if runs[a].class == runs[b].class {
                tell(a, b);
            }
        }
    }
}

/// The first run of a component, with shorter ways for who asks next.
fn root(parents: &mut [usize], mut run: usize) -> usize {
    while parents[run] != run {
        parents[run] = parents[parents[run]];
        run = parents[run];
    }
    run
}

fn join(parents: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root(parents, a), root(parents, b));
    parents[a.max(b)] = a.min(b);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Grid;
    use proptest::prelude::*;

    fn mask(shape: [usize; 3], voxels: Vec<u8>) -> Volume<u8> {
        Volume::new(Grid::aligned(shape, [1.0; 3]), voxels).unwrap()
    }

    /// The same by flooding from every voxel.
    fn flooded(mask: &Volume<u8>) -> Vec<u8> {
        let shape = mask.grid.shape;
        let mut component = vec![usize::MAX; mask.voxels.len()];
        let mut sizes = Vec::new();
        for seed in 0..mask.voxels.len() {
            if mask.voxels[seed] == 0 || component[seed] != usize::MAX {
                continue;
            }
            let (number, mut open) = (sizes.len(), vec![seed]);
            component[seed] = number;
            sizes.push((mask.voxels[seed], 0));
            while let Some(voxel) = open.pop() {
                sizes[number].1 += 1;
                let at = [voxel / (shape[1] * shape[2]), voxel / shape[2] % shape[1], voxel % shape[2]];
                for step in 0..27 {
                    let to: [usize; 3] =
                        std::array::from_fn(|axis| (at[axis] + step / 3_usize.pow(axis as u32) % 3).wrapping_sub(1));
                    if (0..3).all(|axis| to[axis] < shape[axis]) {
                        let index = mask.index(to);
                        if mask.voxels[index] == mask.voxels[seed] && component[index] == usize::MAX {
                            component[index] = number;
                            open.push(index);
                        }
                    }
                }
            }
        }
        let largest = |class: u8| {
            let of_class = sizes.iter().enumerate().filter(|(_, (other, _))| *other == class);
            of_class.max_by_key(|(number, (_, size))| (*size, std::cmp::Reverse(*number))).map(|(number, _)| number)
        };
        let keep = |(class, component): (&u8, &usize)| {
            if *class > 0 && largest(*class) == Some(*component) { *class } else { 0 }
        };
        mask.voxels.iter().zip(&component).map(keep).collect()
    }

    #[test]
    fn corners_connect_and_classes_do_not() {
        let mut corner = mask([2, 2, 4], vec![1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 2]);
        // (0, 0, 0) and (1, 1, 1) share a corner; (0, 1, 3) is alone; (1, 1, 3) is of another class.
        assert_eq!(keep_largest(&mut corner), 1);
        assert_eq!(corner.voxels, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2]);
        let mut empty = mask([1, 1, 3], vec![0; 3]);
        assert_eq!(keep_largest(&mut empty), 0);
    }

    proptest! {
        #[test]
        fn it_is_what_flooding_finds(
            shape in [1_usize..6, 1_usize..6, 1_usize..8],
            draws in prop::collection::vec(0_u8..6, 6 * 6 * 8),
        ) {
            let voxels = draws[..shape.iter().product()].iter().map(|draw| draw.saturating_sub(3)).collect();
            let mut ours = mask(shape, voxels);
            let expected = flooded(&ours);
            let foreground = |voxels: &[u8]| voxels.iter().filter(|v| **v > 0).count();
            let erased = foreground(&ours.voxels) - foreground(&expected);
            prop_assert_eq!(keep_largest(&mut ours), erased);
            prop_assert_eq!(ours.voxels, expected);
        }
    }
}
