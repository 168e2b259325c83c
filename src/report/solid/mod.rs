//! Ground truth and prediction as bodies in the volume, seen from the side: a rendering without a graphics card.
//!
//! Guards that panels can be compared: same view, scale, light and slice, and a colour belongs to a label and not to its
//! place in a list. The sagittal slice of the image through the middle of the structure stands in the volume for
//! orientation; what is behind it is seen through it. The last panel paints the predicted surface with its distance to the
//! true one, whichever label both have there; what is missing altogether has no predicted surface and is not seen in it.

mod body;
mod trace;
mod view;

use rayon::prelude::*;

use self::body::{Body, upright};
use self::trace::{Light, Seen, Sheet, encoded, linear, trace};
pub use self::view::View;
use self::view::{Camera, Vector};
use super::heat::SHADES;
use super::overlay::{is_empty, same_shape};
use super::raster::{Colour, LINE, Raster, text_width};
use super::slices::{around, centre, window};
use crate::fault::Result;
use crate::stats::summary::quantile;
use crate::volume::Volume;

/// Colours of labels and their names: label 1 has the first, label 8 the first again.
pub const COLOURS: [(&str, Colour); 7] = [
    ("orange", [238, 164, 40]),
    ("sky blue", [86, 180, 233]),
    ("green", [0, 158, 115]),
    ("pink", [214, 130, 176]),
    ("yellow", [240, 228, 66]),
    ("red", [213, 94, 0]),
    ("blue", [0, 114, 178]),
];

/// Pixels of a panel.
const SIZE: [usize; 2] = [420, 400];
/// Pixels left free around the volume: room for words.
const MARGIN: f64 = 26.0;
/// What is seen around the structure, as a share of its longest side.
const AROUND: f64 = 0.35;
/// Differences of neighbouring pixels that are seen as a step.
const STEP: u8 = 10;
const INK: Colour = [34; 3];
const FAINT: Colour = [130; 3];
/// Places within a pixel at which it is looked through if it lies on an edge.
const SAMPLES: [[f64; 2]; 4] = [[0.375, 0.125], [0.875, 0.375], [0.125, 0.625], [0.625, 0.875]];

/// Truth, prediction and (if neither is empty) distance as panels of a PNG file. All three volumes are on one grid.
///
/// # Errors
/// If the volumes differ in shape or are empty.
pub fn render(image: &Volume<f32>, truth: &Volume<u8>, prediction: &Volume<u8>, view: View) -> Result<Vec<u8>> {
    same_shape(image, [truth, prediction])?;
    let region = around([truth, prediction], AROUND);
    let window = window(image);
    let image = upright(image, &region);
    let (truth, prediction) = (upright(truth, &region), upright(prediction, &region));
    let main = if is_empty(&truth) { &prediction } else { &truth };
    let sheet = Sheet { image: &image, window, slice: centre(&image.grid, Some(main))[0] };
    let grid = &image.grid;
    let extent = [0, 1, 2].map(|axis| grid.shape[axis] as f64 * grid.spacing[axis]);
    let camera = Camera::new(view, extent, SIZE, MARGIN);
    let inner = around([&truth, &prediction], 0.0);
    let bodies = [&truth, &prediction].map(|mask| Body::of(mask, &inner));

    let mut panels = Vec::new();
    for (name, body) in ["ground truth", "prediction"].into_iter().zip(&bodies) {
        let paint = |place: Vector| body.as_ref().map_or([0.0; 3], |body| of_label(body.label(place)));
        let title = if body.is_some() { name.to_string() } else { format!("{name}: empty") };
        panels.push(panel(&camera, &sheet, body.as_ref(), &paint, extent, &title));
    }
    if let [Some(truth), Some(prediction)] = &bodies {
        let most = scale(truth, prediction);
        let paint = |place: Vector| of_share(truth.distance(place).abs() / most);
        let mut panel = panel(&camera, &sheet, Some(prediction), &paint, extent, "distance to the truth");
        key(&mut panel, most);
        panels.push(panel);
    }
    Raster::beside(&panels, 0, [255; 3]).png()
}

fn panel(
    camera: &Camera,
    sheet: &Sheet<'_>,
    body: Option<&Body>,
    paint: &(dyn Fn(Vector) -> Light + Sync),
    extent: Vector,
    title: &str,
) -> Raster {
    let [width, height] = SIZE;
    let at = |index: usize, [right, down]: [f64; 2]| {
        let pixel = [(index % width) as f64 + right, (index / width) as f64 + down];
        trace(camera, sheet, body, paint, pixel)
    };
    let centres: Vec<Seen> = (0..width * height).into_par_iter().map(|index| at(index, [0.5; 2])).collect();
    let depths: Vec<f64> = centres.iter().map(|seen| seen.depth).collect();
    let lights: Vec<Light> = centres.iter().map(|seen| seen.light).collect();
    let colours = (0..width * height).into_par_iter().map(|index| {
        let light = if is_edge(&lights, index) {
            let seen = SAMPLES.map(|place| at(index, place).light);
            [0, 1, 2].map(|channel| seen.iter().map(|light| light[channel]).sum::<f64>() / SAMPLES.len() as f64)
        } else {
            lights[index]
        };
        light.map(encoded)
    });
    let pixels = colours.collect::<Vec<Colour>>().concat();
    let mut panel = Raster { width, height, pixels };
    edges(&mut panel, camera, extent, &depths);
    letters(&mut panel, camera, sheet, extent, &depths);
    panel.text([(SIZE[0] - text_width(title)) / 2, 4], title, INK);
    panel
}

/// Whether a pixel differs from one beside it by so much that steps would be seen: only there more rays are worth it.
fn is_edge(lights: &[Light], index: usize) -> bool {
    let [width, height] = SIZE;
    let (x, y) = (index % width, index / width);
    let near = [
        (x > 0).then(|| index - 1),
        (x + 1 < width).then(|| index + 1),
        (y > 0).then(|| index - width),
        (y + 1 < height).then(|| index + width),
    ];
    let own = lights[index].map(encoded);
    let differs = |other: usize| lights[other].map(encoded).iter().zip(own).any(|(a, b)| a.abs_diff(b) > STEP);
    near.into_iter().flatten().any(differs)
}

/// The edges of the volume that lie behind or beside it, where nothing is before them.
fn edges(panel: &mut Raster, camera: &Camera, extent: Vector, depths: &[f64]) {
    let corner = |bits: usize| [0, 1, 2].map(|axis| if bits >> axis & 1 == 1 { extent[axis] } else { 0.0 });
    let nearest =
        (0..8).max_by(|a, b| camera.project(corner(*a)).1.total_cmp(&camera.project(corner(*b)).1)).unwrap_or(0);
    let mut lines = Vec::new();
    for bits in 0..8_usize {
        // Those of the corner nearest to the eye would cross everything.
        let is_before = |axis: usize| [bits, bits | 1 << axis].contains(&nearest);
        for axis in (0..3).filter(|axis| bits >> axis & 1 == 0 && !is_before(*axis)) {
            let ends = [bits, bits | 1 << axis].map(|bits| camera.project(corner(bits)));
            let [(from, near), (to, far)] = ends;
            let steps = (2.0 * (from[0] - to[0]).hypot(from[1] - to[1])).ceil().max(1.0);
            let at = |step: f64| {
                let share = step / steps;
                ([0, 1].map(|n| from[n] + share * (to[n] - from[n])), near + share * (far - near))
            };
            for step in 0..steps as usize {
                let (point, depth) = at(step as f64 + 0.5);
                let [x, y] = [0, 1].map(|n| (point[n].max(0.0) as usize).min(SIZE[n] - 1));
                // A hair of tolerance, because the slice ends on these edges.
                if depth + 0.5 >= depths[y * SIZE[0] + x] {
                    lines.push([at(step as f64).0, at(step as f64 + 1.0).0]);
                }
            }
        }
    }
    panel.segments(&lines, 1.0, [176; 3]);
}

/// Directions of the patient beside the edges of the slice, where nothing is seen behind them.
fn letters(panel: &mut Raster, camera: &Camera, sheet: &Sheet<'_>, extent: Vector, depths: &[f64]) {
    let right = sheet.position();
    let [_, front, head] = extent;
    let away = 0.05 * front.max(head);
    let sides: [(&str, &dyn Fn(f64) -> Vector); 4] = [
        ("A", &|share| [right, front + away, share * head]),
        ("P", &|share| [right, -away, share * head]),
        ("S", &|share| [right, share * front, head + away]),
        ("I", &|share| [right, share * front, -away]),
    ];
    for (letter, side) in sides {
        let [wide, high] = [text_width(letter), LINE];
        let is_free = |corner: &[usize; 2]| {
            let fits = corner[0] + wide <= panel.width && corner[1] + high <= panel.height && corner[1] >= LINE + 4;
            let is_paper = |x: usize, y: usize| depths[y * panel.width + x] == f64::NEG_INFINITY;
            fits && (0..high).all(|y| (0..wide).all(|x| is_paper(corner[0] + x, corner[1] + y)))
        };
        let corner = |share: f64| {
            let ([x, y], _) = camera.project(side(share));
            [x - wide as f64 / 2.0, y - high as f64 / 2.0].map(|n| n.max(0.0) as usize)
        };
        // Along the side, from its middle on.
        if let Some(corner) = [0.5, 0.65, 0.35, 0.8, 0.2, 0.95, 0.05].map(corner).into_iter().find(is_free) {
            panel.text(corner, letter, FAINT);
        }
    }
}

/// The distance that has the darkest shade: a round number that nineteen of twenty voxels of the predicted surface do not
/// exceed; at least a voxel, so that rounding is not painted as error.
fn scale(truth: &Body, prediction: &Body) -> f64 {
    let mut distances: Vec<f64> = prediction.rim().iter().map(|place| truth.distance(*place).abs()).collect();
    distances.sort_unstable_by(f64::total_cmp);
    let most = quantile(&distances, 0.95).max(2.0 * truth.finest());
    let power = 10f64.powf(most.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power).into_iter().find(|round| *round >= most).unwrap_or(10.0 * power)
}

/// The shades of distances, and what they mean.
fn key(panel: &mut Raster, most: f64) {
    let [width, height] = [140, 10];
    let last = format!("{most} mm or more");
    let left = (SIZE[0] - width - 24 - text_width(&last)) / 2;
    let top = SIZE[1] - LINE - 4;
    panel.text([left, top], "0", INK);
    for x in 0..width {
        let light = of_share((x as f64 + 0.5) / width as f64);
        panel.rectangle([left + 14 + x, top + 3], [1, height], light.map(encoded));
    }
    panel.text([left + 22 + width, top], &last, INK);
}

fn of_label(label: u8) -> Light {
    let (_, colour) = COLOURS[(usize::from(label).max(1) - 1) % COLOURS.len()];
    colour.map(|channel| linear(f64::from(channel) / 255.0))
}

/// A shade between those of the maps: pale for 0, dark for 1 and above.
fn of_share(share: f64) -> Light {
    let place = share.clamp(0.0, 1.0) * (SHADES.len() - 1) as f64;
    let (below, rest) = ((place as usize).min(SHADES.len() - 2), place - (place as usize).min(SHADES.len() - 2) as f64);
    let [from, to] = [below, below + 1].map(|n| channels(SHADES[n]));
    [0, 1, 2].map(|n| from[n] + rest * (to[n] - from[n]))
}

/// `#rrggbb` as light.
fn channels(colour: &str) -> Light {
    [1, 3, 5].map(|at| {
        let value = u8::from_str_radix(&colour[at..at + 2], 16).expect("shades are written in hexadecimal digits");
        linear(f64::from(value) / 255.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::raster::tests::decoded;
    use crate::report::scene::{ball, phantom};
    use crate::volume::Grid;

    const LEVEL: View = View { azimuth: 0.0, elevation: 0.0 };

    /// Whether a pixel is about the colour of a label, in light or in shadow, and not grey.
    fn is_label(pixel: Colour, label: u8) -> bool {
        let reference = COLOURS[usize::from(label) - 1].1.map(f64::from);
        let own = pixel.map(f64::from);
        let product: f64 = own.iter().zip(reference).map(|(a, b)| a * b).sum();
        let size = |v: [f64; 3]| v.iter().map(|n| n * n).sum::<f64>().sqrt();
        let spread = own.iter().copied().fold(0.0, f64::max) - own.iter().copied().fold(255.0, f64::min);
        product > 0.97 * size(own) * size(reference) && spread > 25.0
    }

    #[test]
    fn a_ball_is_lit_in_the_middle_and_has_the_colour_of_its_label() {
        let grid = Grid::aligned([40; 3], [1.0; 3]);
        let image = Volume { voxels: vec![0.0; grid.voxels()], grid: grid.clone() };
        for label in 1..=7 {
            let mask = ball(&grid, [20.0; 3], 12.0, label);
            let picture = decoded(&render(&image, &mask, &mask.map(|_| 0), View::SAGITTAL).unwrap());
            assert_eq!((picture.width, picture.height), (2 * SIZE[0], SIZE[1]));
            assert!(is_label(picture.at([210, 200]), label), "{label}: {:?}", picture.at([210, 200]));
            // Nothing is predicted: no pixel of the second panel has a colour.
            let coloured = |x: usize, y: usize| {
                let pixel = picture.at([x, y]);
                pixel.iter().max().unwrap().abs_diff(*pixel.iter().min().unwrap()) > 8
            };
            assert!(!(SIZE[0]..2 * SIZE[0]).any(|x| (0..SIZE[1]).any(|y| coloured(x, y))));
            assert_eq!(picture.at([2, 390]), [255; 3], "paper");
        }
    }

    #[test]
    fn from_the_left_the_front_is_left_the_head_up_and_the_near_side_before_the_slice() {
        let grid = Grid::aligned([40, 40, 40], [1.0; 3]);
        let image = Volume { voxels: vec![1.0; grid.voxels()], grid: grid.clone() };
        // Label 1 at the front, 2 at the head, both in the patient's left half, before the slice through a ball of 3.
        let mut mask = ball(&grid, [20.0, 12.0, 10.0], 6.0, 3);
        for (centre, label) in [([12.0, 34.0, 20.0], 1), ([12.0, 20.0, 34.0], 2)] {
            let other = ball(&grid, centre, 5.0, label);
            mask.voxels.iter_mut().zip(&other.voxels).filter(|(_, new)| **new > 0).for_each(|(own, new)| *own = *new);
        }
        let picture = decoded(&render(&image, &mask, &mask, LEVEL).unwrap());
        let middle = |label: u8| {
            let places: Vec<[usize; 2]> = (0..SIZE[0])
                .flat_map(|x| (30..SIZE[1]).map(move |y| [x, y]))
                .filter(|place| is_label(picture.at(*place), label))
                .collect();
            let mean = |n: usize| places.iter().map(|place| place[n] as f64).sum::<f64>() / places.len() as f64;
            assert!(places.len() > 1000, "label {label} is seen in {} pixels", places.len());
            [mean(0), mean(1)]
        };
        let [front, head, back] = [middle(1), middle(2), middle(3)];
        assert!(front[0] < head[0] && head[0] < back[0], "{front:?} {head:?} {back:?}");
        assert!(head[1] < front[1] && front[1] < back[1], "{front:?} {head:?} {back:?}");
    }

    #[test]
    fn what_lies_as_it_should_is_pale_and_what_does_not_is_dark() {
        let grid = Grid::aligned([40; 3], [1.0; 3]);
        let image = Volume { voxels: vec![0.0; grid.voxels()], grid: grid.clone() };
        let truth = ball(&grid, [20.0; 3], 9.0, 1);
        let redness = |prediction: &Volume<u8>| {
            let picture = decoded(&render(&image, &truth, prediction, LEVEL).unwrap());
            assert_eq!(picture.width, 3 * SIZE[0]);
            let pixel = picture.at([2 * SIZE[0] + 210, 200]);
            f64::from(pixel[0]) / f64::from(pixel[2].max(1))
        };
        let (right, wrong) = (redness(&truth), redness(&ball(&grid, [20.0; 3], 15.0, 1)));
        assert!(right < 1.4 && wrong > 2.5, "{right} {wrong}");
    }

    #[test]
    fn pictures_repeat_and_empty_or_flat_volumes_are_drawn() {
        let (image, truth, prediction) = phantom([30, 30, 12], [1.0, 1.0, 3.0]);
        let once = render(&image, &truth, &prediction, View::SAGITTAL).unwrap();
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(once, alone.install(|| render(&image, &truth, &prediction, View::SAGITTAL).unwrap()));
        let nothing = truth.map(|_| 0);
        render(&image, &nothing, &nothing, View::SAGITTAL).unwrap();
        let (image, truth, prediction) = phantom([1, 30, 30], [4.0, 1.0, 1.0]);
        render(&image, &truth, &prediction, View::SAGITTAL).unwrap();
        assert!(render(&image, &once_smaller(&truth), &prediction, View::SAGITTAL).is_err());
    }

    fn once_smaller(mask: &Volume<u8>) -> Volume<u8> {
        let grid = Grid::aligned([1, 30, 29], mask.grid.spacing);
        Volume { voxels: vec![0; grid.voxels()], grid }
    }
}
