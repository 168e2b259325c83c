//! What is read, and who sees which part of it.

use super::{Field, field};

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    field("version", "", "1", "version of the file format; has to be there"),
    field("seed", "", "any whole number", "seed of everything random; has to be there"),
    field("data", "folder", "Phantoms(...) or Decathlon(\"DIR\")", "where the cases come from; Decathlon reads every layout that is known; has to be there; `--data` replaces it"),
    field("data.cases", "", "1 to 10000", "phantoms: number of cases"),
    field("data.shape", "voxels", "8 to 512 along i, j, k", "phantoms: size of every volume"),
    field("data.seed", "", "any whole number", "phantoms: names the set; the first cases do not depend on how many follow"),
    field("preprocess.axes", "", "None, or letters as in \"RAS\"", "directions in which the axes of every image are to run; permuted and flipped, never interpolated; None keeps those of the file"),
    field("preprocess.crop", "", "true, false", "cut images to the box of voxels that are not zero in some channel"),
    field("preprocess.clip_percentiles", "%", "0 <= low < high <= 100", "intensities beyond are clipped, channel by channel"),
    field("preprocess.average", "voxels", "1 to 64 along i, j, k", "so many voxels are averaged to one, after turning"),
    field("preprocess.spacing", "mm", "None, or three positive numbers", "spacing to resample to instead of averaging; None keeps that of each image"),
    field("preprocess.through_plane", "", "Nearest, Linear", "along an axis more than three times as coarse as the finest, slices are repeated or blended"),
    field("preprocess.labels", "", "Foreground, Classes", "all labels one class, or every label its own"),
    field("cache.above_gib", "GiB", "0 or more", "sets that need more memory are kept in files"),
    field("cache.folder", "folder", "None, or a path", "where these files are; None for the person's cache"),
    field("split.validation", "share of cases", "0 to 1, part of a whole", "cases on which the search judges candidates"),
    field("split.held_out", "share of cases", "0 to 1, part of a whole", "cases that the search never sees: for final trainings and verdicts"),
    field("split.seed", "", "None, or any whole number", "of the division, where several searches are to be judged on the same cases; None for the run's own"),
];
