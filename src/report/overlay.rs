//! Ground truth and prediction of a case on three mid-slices: where they agree, and where not.
//!
//! Guards that both contours are seen where they coincide: the truth is a broad line, the prediction a narrow one on it.
//! Sky blue and orange are told apart with any colour vision (Okabe and Ito 2008) and on any grey. All classes have the same
//! two colours; borders between classes are contours as well.

use super::raster::{Colour, LINE, Raster, text_width};
use super::slices::{GAP, Layer, around, centre, panels, scale};
use crate::fault::{Fault, Result};
use crate::volume::Volume;

/// The contour of the ground truth.
pub const TRUTH: Colour = [86, 180, 233];
/// The contour of the prediction.
pub const PREDICTION: Colour = [255, 160, 0];

/// What is seen around the structure, as a share of its longest side.
const MARGIN: f64 = 0.35;

/// The mid-slices of a case as a PNG file: sagittal, coronal and axial through the most labelled slices of the truth (of
/// the prediction if the truth is empty), cut to the structure and its surroundings. All three volumes are on one grid.
///
/// # Errors
/// If the volumes differ in shape or are empty.
pub fn overlay(image: &Volume<f32>, truth: &Volume<u8>, prediction: &Volume<u8>) -> Result<Vec<u8>> {
    same_shape(image, [truth, prediction])?;
    let main = if is_empty(truth) { prediction } else { truth };
    let at = centre(&image.grid, Some(main));
    let layer = |mask, colour, width| Layer { mask, colours: labels(mask).map(|l| (l, colour)).collect(), width };
    let layers = [layer(truth, TRUTH, 3.4), layer(prediction, PREDICTION, 1.5)];
    let region = around([truth, prediction], MARGIN);
    let slices = Raster::beside(&panels(image, &layers, at, &region), GAP, [0; 3]);
    let mut whole = Raster::new(slices.width, slices.height + LINE + 12, [0; 3]);
    whole.paste(&slices, [0, 0]);
    let mut left = 8;
    for (name, mask, colour, width) in
        [("ground truth", truth, TRUTH, 3.4), ("prediction", prediction, PREDICTION, 1.5)]
    {
        let name = if is_empty(mask) { format!("{name}: empty") } else { name.to_string() };
        let middle = (slices.height + 6 + LINE / 2) as f64;
        whole.segments(&[[[left as f64, middle], [left as f64 + 26.0, middle]]], width, colour);
        whole.text([left + 34, slices.height + 6], &name, [235; 3]);
        left += 34 + text_width(&name) + 28;
    }
    bar(&mut whole, scale(&image.grid, &region));
    whole.png()
}

/// A length in mm at the lower right: the longest round one of at most a fifth of a panel.
fn bar(picture: &mut Raster, scale: f64) {
    let most = 90.0 / scale;
    let power = 10f64.powf(most.log10().floor());
    let length = [5.0, 2.0, 1.0].map(|digit| digit * power).into_iter().find(|l| *l <= most).unwrap_or(power);
    let words = format!("{length} mm");
    let left = picture.width.saturating_sub(text_width(&words) + 8);
    let top = picture.height - LINE - 6;
    picture.text([left, top], &words, [235; 3]);
    let (end, middle) = (left as f64 - 8.0, (top + LINE / 2) as f64);
    let start = end - length * scale;
    let ends = [start, end].map(|x| [[x, middle - 4.0], [x, middle + 4.0]]);
    picture.segments(&[[[start, middle], [end, middle]], ends[0], ends[1]], 1.5, [235; 3]);
}

/// The labels that occur, ascending, without the background.
pub(super) fn labels(mask: &Volume<u8>) -> impl Iterator<Item = u8> + use<> {
    let mut occurs = [false; 256];
    for label in &mask.voxels {
        occurs[usize::from(*label)] = true;
    }
    (1..=u8::MAX).filter(move |label| occurs[usize::from(*label)])
}

pub(super) fn is_empty(mask: &Volume<u8>) -> bool {
    mask.voxels.iter().all(|label| *label == 0)
}

/// That image and masks can be laid over each other.
pub(super) fn same_shape(image: &Volume<f32>, masks: [&Volume<u8>; 2]) -> Result<()> {
    for (name, mask) in ["ground truth", "prediction"].into_iter().zip(masks) {
        if mask.grid.shape != image.grid.shape {
            return Err(Fault::new(format!("{name} and image differ in shape"))
                .expected(format!("{:?} voxels, as the image", image.grid.shape))
                .found(format!("{:?}", mask.grid.shape)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::raster::tests::decoded;
    use crate::report::scene::{ball, phantom};

    /// Pixels of about a colour.
    fn count(raster: &Raster, colour: Colour) -> usize {
        let is_near = |pixel: &&[u8]| pixel.iter().zip(colour).all(|(own, wanted)| own.abs_diff(wanted) < 40);
        raster.pixels.chunks_exact(3).filter(is_near).count()
    }

    #[test]
    fn both_contours_are_seen_also_where_they_coincide() {
        let (image, truth, prediction) = phantom([40, 40, 20], [1.0, 1.0, 2.0]);
        let apart = decoded(&overlay(&image, &truth, &prediction).unwrap());
        let equal = decoded(&overlay(&image, &truth, &truth).unwrap());
        for picture in [&apart, &equal] {
            assert!(count(picture, TRUTH) > 300 && count(picture, PREDICTION) > 300, "{}", count(picture, TRUTH));
        }
        assert!(count(&apart, TRUTH) > count(&equal, TRUTH), "the narrow line hides the middle of the broad one");
        assert_eq!(overlay(&image, &truth, &prediction).unwrap(), overlay(&image, &truth, &prediction).unwrap());
    }

    #[test]
    fn right_is_left_and_a_millimetre_is_as_long_everywhere() {
        let grid = crate::volume::Grid::aligned([40, 40, 20], [1.0, 1.0, 2.0]);
        let image = Volume { voxels: vec![100.0; grid.voxels()], grid: grid.clone() };
        // Truth at the patient's right (large i), prediction at the left.
        let (truth, prediction) = (ball(&grid, [30.0, 20.0, 20.0], 5.0, 1), ball(&grid, [10.0, 20.0, 20.0], 5.0, 1));
        let picture = decoded(&overlay(&image, &truth, &prediction).unwrap());
        // The axial panel is the last: columns of the contours in it.
        let legend = LINE + 12;
        let columns = |colour: Colour| -> Vec<usize> {
            let panel = picture.width - 420;
            let rows = picture.height - legend;
            (panel..picture.width).filter(|x| (0..rows).any(|y| picture.at([*x, y]) == colour)).collect()
        };
        let (right, left) = (columns(TRUTH), columns(PREDICTION));
        assert!(right.last() < left.first(), "patient's right is on the left: {right:?} {left:?}");
    }

    #[test]
    fn empty_masks_are_said_and_other_shapes_refused() {
        let (image, truth, _) = phantom([20, 20, 20], [1.0; 3]);
        let nothing = truth.map(|_| 0);
        let picture = decoded(&overlay(&image, &truth, &nothing).unwrap());
        assert!(count(&picture, TRUTH) > 300);
        overlay(&image, &nothing, &nothing).unwrap();
        overlay(&image, &nothing, &truth).unwrap();
        let (_, other, _) = phantom([20, 20, 10], [1.0; 3]);
        assert!(overlay(&image, &other, &truth).unwrap_err().to_string().contains("differ in shape"));
    }
}
