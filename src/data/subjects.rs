//! Whose each case is, as far as masks tell: two people never have the same mask, but one person may have been annotated
//! once for several images.
//!
//! Guards one rule, which folds and splits keep alike: masks are compared by their voxels, never by the bytes of their
//! files, because compressing one again changes those and nothing else.

use std::collections::BTreeMap;

use crate::volume::Volume;

/// BLAKE3 of the shape and the voxels of a mask, whatever its file and its header; none of one without foreground, which
/// tells nothing.
pub fn mask_digest(mask: &Volume<u8>) -> Option<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("{:?}", mask.grid.shape).as_bytes());
    hasher.update(&mask.voxels);
    mask.voxels.iter().any(|value| *value > 0).then(|| hasher.finalize())
}

/// Gives all cases of two subjects to the earlier one where a case of each has the same mask. `subjects` and `masks` (see
/// [`mask_digest`]) are in the order of the cases.
pub fn joined(mut subjects: Vec<String>, masks: &[Option<blake3::Hash>]) -> Vec<String> {
    let mut first: BTreeMap<[u8; 32], usize> = BTreeMap::new();
    for (place, mask) in masks.iter().enumerate() {
        let Some(mask) = mask else { continue };
        let earlier = *first.entry(*mask.as_bytes()).or_insert(place);
        if subjects[earlier] != subjects[place] {
            let (kept, given) = (subjects[earlier].clone(), subjects[place].clone());
            // All of them: a person who has a case elsewhere is still one person.
            subjects.iter_mut().filter(|subject| **subject == given).for_each(|subject| subject.clone_from(&kept));
        }
    }
    subjects
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Grid;

    #[test]
    fn a_digest_knows_voxels_and_shape_and_nothing_else() {
        let mask =
            |shape, spacing, voxels: [u8; 4]| Volume { grid: Grid::aligned(shape, spacing), voxels: voxels.to_vec() };
        let digest = |shape, spacing, voxels| mask_digest(&mask(shape, spacing, voxels));
        let plain = digest([1, 2, 2], [1.0; 3], [0, 1, 2, 0]);
        assert!(plain.is_some());
        assert_eq!(plain, digest([1, 2, 2], [2.0; 3], [0, 1, 2, 0]));
        assert_ne!(plain, digest([2, 2, 1], [1.0; 3], [0, 1, 2, 0]));
        assert_ne!(plain, digest([1, 2, 2], [1.0; 3], [0, 1, 1, 0]));
        assert_eq!(digest([1, 2, 2], [1.0; 3], [0; 4]), None);
    }

    #[test]
    fn cases_with_one_mask_are_one_person_with_all_their_cases() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (x, y) = (Some(blake3::hash(b"x")), Some(blake3::hash(b"y")));
        assert_eq!(joined(names(&["a", "b", "c", "d"]), &[x, None, x, None]), ["a", "b", "a", "d"]);
        assert_eq!(joined(names(&["a", "b", "b", "c"]), &[x, x, y, y]), ["a"; 4]);
        assert_eq!(joined(names(&["a", "b"]), &[x, y]), ["a", "b"]);
    }
}
