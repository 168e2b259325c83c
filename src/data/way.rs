//! The way of an image from the grid of its file to that of the network, and back.
//!
//! Three steps, each with an inverse: axes are permuted and flipped, the box of voxels that are anything is cut out, and
//! the box gets another number of voxels. The first two move voxels and change none; the last one keeps the box
//! ([`resample`]). What comes back stands on the file's own grid, bit for bit, because the grid is kept and never computed
//! back. Knows nothing of intensities and classes.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::header::MOST_VOXELS;
use super::preprocess::{Preprocess, ThroughPlane};
use crate::fault::{Fault, Result};
use crate::volume::orientation::{Orientation, turned};
use crate::volume::planes::Planes;
use crate::volume::{Grid, Volume, affine, resample};

/// How one image gets to the network's grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Way {
    /// The grid of the file.
    native: Grid,
    /// Axis of the file that each axis of the box is, and whether it runs backwards.
    order: [usize; 3],
    flipped: [bool; 3],
    /// The first voxel of the box along the turned axes.
    first: [usize; 3],
    /// The box at the resolution of the file.
    cut: Grid,
    /// The box as the network sees it.
    grid: Grid,
    /// The axis along which slices are not blended.
    coarse: Option<usize>,
}

impl Way {
    /// The way of an image of these channels, one at least, all on one grid.
    ///
    /// # Errors
    /// If the result would not fit in memory.
    pub fn new(settings: &Preprocess, channels: &[Volume<f32>]) -> Result<Self> {
        let native = &channels[0].grid;
        match settings.crop.then(|| nonzero(channels)).flatten() {
            Some(kept) => Self::through(settings, native, &kept),
            None => Self::whole(settings, native),
        }
    }

    /// The way of an image on the grid `native` of which nothing is cut away.
    ///
    /// # Errors
    /// As [`Way::new`].
    pub fn whole(settings: &Preprocess, native: &Grid) -> Result<Self> {
        Self::through(settings, native, &[0, 1, 2].map(|axis| 0..native.shape[axis]))
    }

    /// The way of the voxels `kept` (ranges along the axes of the file) of an image on the grid `native`.
    ///
    /// # Errors
    /// As [`Way::new`].
    fn through(settings: &Preprocess, native: &Grid, kept: &[Range<usize>; 3]) -> Result<Self> {
        let own = Orientation::of(&native.affine);
        let (order, flipped) = own.turn_to(&settings.axes.unwrap_or(own));
        let turned = turned(native, order, flipped);
        let first = [0, 1, 2].map(|axis| {
            let kept = &kept[order[axis]];
            if flipped[axis] { turned.shape[axis] - kept.end } else { kept.start }
        });
        let shape = order.map(|axis| kept[axis].len());
        let mut affine = turned.affine;
        for row in &mut affine {
            row[3] += (0..3).map(|axis| row[axis] * first[axis] as f64).sum::<f64>();
        }
        let cut = Grid { shape, spacing: turned.spacing, affine };
        let grid = affine::refilled(&cut, shape_of(settings, &cut)?);
        let coarse = match settings.through_plane {
            ThroughPlane::Nearest => resample::coarse_axis(cut.spacing).or(resample::coarse_axis(grid.spacing)),
            ThroughPlane::Linear => None,
        };
        Ok(Self { native: native.clone(), order, flipped, first, cut, grid, coarse })
    }

    /// The grid of the network.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The grid of the file.
    pub fn native_grid(&self) -> &Grid {
        &self.native
    }

    /// The voxels of the box, turned, at the resolution of the file.
    ///
    /// # Panics
    /// If `volume` has another shape than the file's grid.
    pub fn cut<'a, T: Copy>(&self, volume: &'a Volume<T>) -> Cow<'a, Volume<T>> {
        assert_eq!(volume.grid.shape, self.native.shape, "the way of another image");
        if self.moves_nothing() {
            return Cow::Borrowed(volume);
        }
        let mut voxels = Vec::with_capacity(self.cut.voxels());
        self.each_row(|row, from, step| {
            voxels.extend(row.enumerate().map(|(n, _)| volume.voxels[from.wrapping_add_signed(n as isize * step)]));
        });
        Cow::Owned(Volume { grid: self.cut.clone(), voxels })
    }

    /// An image on the grid of [`Way::cut`] at the resolution of the network.
    #[must_use]
    pub fn resampled(&self, image: Volume<f32>) -> Volume<f32> {
        if self.resamples_nothing() { image } else { resample::linear(&image, self.grid.shape, self.coarse) }
    }

    /// A mask of the file on the grid of the network; each voxel takes the class that fills most of it.
    ///
    /// # Panics
    /// As [`Way::cut`].
    pub fn labels<'a>(&self, mask: &'a Volume<u8>) -> Cow<'a, Volume<u8>> {
        let cut = self.cut(mask);
        if self.resamples_nothing() { cut } else { Cow::Owned(resample::labels(&cut, self.grid.shape)) }
    }

    /// Brings a map (a logit, a probability) back to the grid of the file, linearly; voxels that were cut away get
    /// `outside`.
    ///
    /// # Errors
    /// If `map` does not have one value per voxel of the network's grid.
    pub fn restore(&self, map: Vec<f32>, outside: f32) -> Result<Volume<f32>> {
        let map = Volume::new(self.grid.clone(), map)?;
        let map = if self.resamples_nothing() { map } else { resample::linear(&map, self.cut.shape, self.coarse) };
        Ok(self.put_back(map, outside))
    }

    /// Brings a map of classes back to the grid of the file, by vote; voxels that were cut away are background. Needs a
    /// fraction of the memory of [`Way::restore`] for every class, and puts edges on whole voxels of the network's grid.
    ///
    /// # Errors
    /// As [`Way::restore`].
    pub fn restore_labels(&self, classes: Vec<u8>) -> Result<Volume<u8>> {
        let map = Volume::new(self.grid.clone(), classes)?;
        let map = if self.resamples_nothing() { map } else { resample::labels(&map, self.cut.shape) };
        Ok(self.put_back(map, 0))
    }

    /// Shape of the box at the resolution of the file.
    pub fn cut_shape(&self) -> [usize; 3] {
        self.cut.shape
    }

    /// Brings maps of `channels` channels to the resolution of the file while they come, plane by plane: as
    /// [`Way::restore`] before anything is put back.
    pub fn planes(&self, channels: usize) -> Planes {
        Planes::new(channels, self.grid.shape, self.cut.shape, self.coarse)
    }

    /// Puts a map of the box at the resolution of the file, such as [`Way::planes`] gives it, where it belongs; voxels that
    /// were cut away get `outside`.
    ///
    /// # Errors
    /// If `map` does not have one value per voxel of the box.
    pub fn place<T: Copy>(&self, map: Vec<T>, outside: T) -> Result<Volume<T>> {
        Ok(self.put_back(Volume::new(self.cut.clone(), map)?, outside))
    }

    /// The inverse of [`Way::cut`].
    fn put_back<T: Copy>(&self, map: Volume<T>, outside: T) -> Volume<T> {
        if self.moves_nothing() {
            return Volume { grid: self.native.clone(), voxels: map.voxels };
        }
        let mut whole = Volume { voxels: vec![outside; self.native.voxels()], grid: self.native.clone() };
        self.each_row(|row, to, step| {
            for (n, value) in map.voxels[row].iter().enumerate() {
                whole.voxels[to.wrapping_add_signed(n as isize * step)] = *value;
            }
        });
        whole
    }

    fn moves_nothing(&self) -> bool {
        self.order == [0, 1, 2] && self.flipped == [false; 3] && self.cut.shape == self.native.shape
    }

    fn resamples_nothing(&self) -> bool {
        self.cut.shape == self.grid.shape
    }

    /// Tells every row of the box: its voxels, and where the first of them stands in the file and how far the next is.
    fn each_row(&self, mut row: impl FnMut(Range<usize>, usize, isize)) {
        let [_, height, width] = self.native.shape;
        let strides = [height * width, width, 1].map(|stride| stride as isize);
        let steps = [0, 1, 2].map(|axis| {
            let stride = strides[self.order[axis]];
            if self.flipped[axis] { -stride } else { stride }
        });
        // The voxel at which the turned axes begin.
        let corner: isize = (0..3)
            .filter(|axis| self.flipped[*axis])
            .map(|axis| (self.native.shape[self.order[axis]] as isize - 1) * strides[self.order[axis]])
            .sum();
        let start = corner + (0..3).map(|axis| self.first[axis] as isize * steps[axis]).sum::<isize>();
        let [depth, height, width] = self.cut.shape;
        for i in 0..depth {
            for j in 0..height {
                let from = (i * height + j) * width;
                row(from..from + width, (start + i as isize * steps[0] + j as isize * steps[1]) as usize, steps[2]);
            }
        }
    }
}

/// The number of voxels that the settings ask for, for a box on `grid`.
fn shape_of(settings: &Preprocess, grid: &Grid) -> Result<[usize; 3]> {
    let Some(spacing) = settings.spacing else {
        let fewer = |axis: usize| (grid.shape[axis] as f64 / settings.average[axis] as f64).round().max(1.0) as usize;
        return Ok([0, 1, 2].map(fewer));
    };
    let shape = resample::shape_at(grid, spacing);
    // In floating point, because the product of absurd shapes overflows.
    if shape.iter().map(|n| *n as f64).product::<f64>() > MOST_VOXELS as f64 {
        return Err(Fault::new("resampled image would be impossibly large")
            .field("spacing")
            .expected(format!("at most {MOST_VOXELS} voxels"))
            .found(format!("{shape:?} voxels at {spacing:?} mm"))
            .hint(format!(
                "the file has voxels of {:?} mm; if that is wrong (`lossgen data show` draws it to scale), mend its header, else choose a coarser `preprocess.spacing`",
                grid.spacing
            )));
    }
    Ok(shape)
}

/// The smallest box that holds every voxel that is not zero in some channel; `None` if all are.
fn nonzero(channels: &[Volume<f32>]) -> Option<[Range<usize>; 3]> {
    let [depth, height, width] = channels[0].grid.shape;
    let mut kept = [depth..0, height..0, width..0];
    for channel in channels {
        for (number, row) in channel.voxels.chunks_exact(width).enumerate() {
            let Some(from) = row.iter().position(|value| *value != 0.0) else { continue };
            let to = row.iter().rposition(|value| *value != 0.0).unwrap_or(from);
            for (range, (low, high)) in kept.iter_mut().zip([
                (number / height, number / height),
                (number % height, number % height),
                (from, to),
            ]) {
                *range = range.start.min(low)..range.end.max(high + 1);
            }
        }
    }
    (!kept[0].is_empty()).then_some(kept)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::*;
    use crate::data::nifti;
    use proptest::prelude::*;

    /// An oblique grid whose axes run S, P, R, nearly.
    fn grid(shape: [usize; 3]) -> Grid {
        Grid {
            shape,
            spacing: [1.0, 2.0, 4.0],
            affine: [[0.0, 0.2, 4.0, 9.0], [0.1, -1.9, 0.3, 5.0], [1.0, 0.4, 0.0, -7.0]],
        }
    }

    fn numbered(shape: [usize; 3]) -> Volume<f32> {
        let grid = grid(shape);
        Volume { voxels: (0..grid.voxels()).map(|n| n as f32 + 1.0).collect(), grid }
    }

    /// Scanner coordinates of a voxel.
    fn place(grid: &Grid, voxel: [usize; 3]) -> [f64; 3] {
        grid.affine.map(|row| row[3] + (0..3).map(|axis| row[axis] * voxel[axis] as f64).sum::<f64>())
    }

    fn settings(axes: Option<&str>, crop: bool) -> Preprocess {
        Preprocess { axes: axes.map(|letters| Orientation::parse(letters).unwrap()), crop, ..Preprocess::default() }
    }

    #[test]
    fn every_voxel_keeps_its_place_in_space_whatever_way_it_is_turned() {
        let mut image = numbered([4, 5, 6]);
        // A border of zeros, another one on each side.
        for (index, value) in image.voxels.iter_mut().enumerate() {
            let [i, j, k] = [index / 30, index / 6 % 5, index % 6];
            if i == 0 || j == 4 || k < 2 {
                *value = 0.0;
            }
        }
        for letters in ["SPR", "RAS", "LPS", "AIL", "IPL"] {
            let way = Way::new(&settings(Some(letters), true), std::slice::from_ref(&image)).unwrap();
            assert_eq!(Orientation::of(&way.grid().affine).letters(), letters);
            let cut = way.cut(&image);
            assert_eq!(cut.voxels.len(), 3 * 4 * 4);
            let mut at = Vec::new();
            for (index, value) in cut.voxels.iter().enumerate() {
                let [_, height, width] = cut.grid.shape;
                let old = *value as usize - 1;
                at.push((
                    place(&cut.grid, [index / (height * width), index / width % height, index % width]),
                    place(&image.grid, [old / 30, old / 6 % 5, old % 6]),
                ));
            }
            assert!(at.iter().all(|(new, old)| new.iter().zip(old).all(|(a, b)| (a - b).abs() < 1e-9)), "{letters}");
            assert_eq!(way.restore(cut.voxels.clone(), 0.0).unwrap(), image, "{letters}");
        }
    }

    #[test]
    fn what_was_cut_away_comes_back_as_told() {
        let mut image = numbered([3, 3, 3]);
        image.voxels[..9].fill(0.0);
        let way = Way::new(&settings(None, true), std::slice::from_ref(&image)).unwrap();
        assert_eq!((way.grid().shape, way.grid().affine[2][3]), ([2, 3, 3], -6.0));
        let back = way.restore(vec![2.0; 18], f32::NEG_INFINITY).unwrap();
        assert!(back.voxels[..9].iter().all(|v| *v == f32::NEG_INFINITY) && back.voxels[9..].iter().all(|v| *v == 2.0));
        assert_eq!(way.restore_labels(vec![3; 18]).unwrap().voxels[8..10], [0, 3]);
        assert!(way.restore(vec![0.0; 27], 0.0).is_err());
        let empty = image.map(|_| 0.0);
        assert_eq!(Way::new(&settings(None, true), &[empty]).unwrap().grid(), &image.grid, "nothing to hold on to");
    }

    #[test]
    fn masks_that_come_back_lie_on_their_image_bit_by_bit() {
        let folder = tempfile::tempdir().unwrap();
        let (image, mask) = (folder.path().join("image.nii.gz"), folder.path().join("mask.nii.gz"));
        let plain = Grid::aligned([6, 5, 4], [0.75, 0.75, 4.4]);
        let reversed = turned(&plain, [0, 1, 2], [true, true, false]);
        let sagittal = turned(&plain, [2, 1, 0], [false, true, true]);
        // Columns as long as the spacing says, at no right angle to space.
        let affine = [[0.0, -1.2, 2.4, 5.0], [1.0, 0.0, 0.0, -6.0], [0.0, 1.6, 1.8, 7.0]];
        let oblique = Grid { shape: [6, 5, 4], spacing: [1.0, 2.0, 3.0], affine };
        for (name, grid) in [("RAS", plain), ("LPS", reversed), ("SPR", sagittal), ("oblique", oblique)] {
            // The first plane is empty.
            let plane = grid.shape[1] * grid.shape[2];
            let voxels = (0..grid.voxels()).map(|n| if n < plane { 0 } else { n as i16 % 7 + 1 }).collect();
            nifti::write_new_image(&image, &Volume { grid, voxels }).unwrap();
            let own = nifti::read_grid(&image).unwrap();
            for axes in [None, Some("RAS"), Some("PIL")] {
                let settings = Preprocess { average: [2, 1, 1], ..settings(axes, true) };
                let prepared =
                    settings.read(std::slice::from_ref(&image), 1, crate::data::case::other_channels).unwrap();
                let ones = vec![1; prepared.way.grid().voxels()];
                let back = prepared.way.restore_labels(ones).unwrap();
                nifti::write_label(&mask, &back, &image).unwrap();
                assert_eq!(nifti::read_grid(&mask).unwrap(), own, "{name}, {axes:?}");
                let read = nifti::read_label(&mask).unwrap();
                assert!(
                    read.voxels.iter().enumerate().all(|(n, class)| (*class == 1) == (n >= plane)),
                    "{name}, {axes:?}"
                );
            }
        }
    }

    #[test]
    fn channels_are_cut_to_what_any_of_them_shows() {
        let (mut one, mut two) = (numbered([1, 1, 6]), numbered([1, 1, 6]));
        one.voxels[2..].fill(0.0);
        two.voxels[..3].fill(0.0);
        two.voxels[5] = 0.0;
        assert_eq!(nonzero(&[one, two]), Some([0..1, 0..1, 0..5]));
    }

    #[test]
    fn averaging_counts_along_the_turned_axes() {
        let image = numbered([4, 6, 2]);
        let way = |average| {
            let settings = Preprocess { average, ..settings(Some("RPS"), false) };
            Way::new(&settings, std::slice::from_ref(&image)).unwrap()
        };
        let halved = way([1, 2, 2]);
        assert_eq!((halved.grid().shape, halved.grid().spacing), ([2, 3, 2], [4.0, 4.0, 2.0]));
        let mean = halved.resampled(halved.cut(&image).into_owned()).voxels[0];
        // Voxels (0, 0, 0), (0, 1, 0), (1, 0, 0) and (1, 1, 0) of the file.
        assert_eq!(mean, (1.0 + 3.0 + 13.0 + 15.0) / 4.0);
        assert_eq!(way([9, 1, 1]).grid().shape, [1, 6, 4], "at least one voxel remains");
    }

    proptest! {
        #[test]
        fn there_and_back_again_is_the_same_grid_and_a_mask_survives_finer_voxels(
            shape in prop::array::uniform3(1_usize..7),
            turn in 0_usize..4,
            parts in prop::array::uniform3(1_usize..4),
        ) {
            let image = numbered(shape);
            let axes = [None, Some("RAS"), Some("LSA"), Some("IPR")][turn];
            // Every voxel divided into whole parts, so that none of them is shared.
            let own = Way::new(&settings(axes, true), std::slice::from_ref(&image)).unwrap().grid().spacing;
            let spacing = Some([0, 1, 2].map(|axis| own[axis] / parts[axis] as f64));
            let settings = Preprocess { spacing, ..settings(axes, true) };
            let way = Way::new(&settings, std::slice::from_ref(&image)).unwrap();
            let mask = image.map(|value| (*value as usize % 3) as u8);
            let there = way.labels(&mask);
            prop_assert_eq!(&there.grid, way.grid());
            prop_assert_eq!(way.restore_labels(there.voxels.clone()).unwrap(), mask);
            let flat = way.restore(vec![1.5; way.grid().voxels()], 0.0).unwrap();
            prop_assert_eq!(&flat.grid, &image.grid);
            prop_assert!(flat.voxels.iter().all(|value| (value - 1.5).abs() < 1e-5));
        }
    }
}
