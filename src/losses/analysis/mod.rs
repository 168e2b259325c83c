//! How a loss behaves: its value and its gradient on controlled [shapes] and errors, as plain numbers.
//!
//! The analyses are those by which losses are compared in the field: against the size of a structure, against its shape
//! at equal volume, against over- and under-segmentation, the gradient of one voxel against its probability (as in the
//! figure of the focal loss, Lin et al. 2017), and where in a slice the gradient is. Nothing is random and nothing is
//! drawn here. One class, one sample, voxels of 1 mm.

pub mod scene;
pub mod shapes;

use rayon::prelude::*;
use serde::Serialize;

use super::Loss;
use crate::formula::plan::Plan;
use crate::volume::Volume;
use scene::{SURE, Scene, UNSURE, grown, shifted};
use shapes::{Shape, ball};

/// What can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Analysis {
    /// The loss of spheres of many sizes, each predicted one voxel too small. One voxel is what a person or a network is
    /// wrong by, at any size; with an error that is a share of the size, every region loss would be constant by
    /// construction.
    Size,
    /// The loss of [`Shape::ALL`] at equal volume, each predicted one voxel too small.
    Shape,
    /// The loss of a sphere that is predicted too large, too small, or beside its place.
    Segmentation,
    /// dL/dlogit of one voxel against its probability, everything else being equal.
    Profile,
    /// Where in the middle slice of a vertebra the gradient is.
    Slice,
}

impl Analysis {
    /// In the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Size, Self::Shape, Self::Segmentation, Self::Profile, Self::Slice];

    /// What people type.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Shape => "shape",
            Self::Segmentation => "segmentation",
            Self::Profile => "profile",
            Self::Slice => "slice",
        }
    }
}

/// The loss of one scene.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// Where the scene stands: a radius, the number of a shape, an error in voxels.
    pub x: f64,
    /// The loss.
    pub loss: f64,
    /// The loss if the target itself had been predicted, equally softly.
    pub perfect: f64,
}

/// dL/dlogit of one voxel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Slope {
    /// Probability of the voxel.
    pub p: f64,
    /// dL/dlogit: positive where training lowers the logit.
    pub slope: f64,
}

/// A slice through the gradient.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Slice {
    /// Height and width.
    pub shape: [usize; 2],
    /// |dL/dlogit|, row by row.
    pub magnitude: Vec<f64>,
    /// Where the target is.
    pub target: Vec<bool>,
    /// Where p > 0.5.
    pub prediction: Vec<bool>,
}

/// All that was looked at of one loss; what was not is empty.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Behaviour {
    /// The loss.
    pub loss: String,
    /// Against the radius of a sphere in voxels.
    pub size: Vec<Point>,
    /// Against the position in [`Shape::ALL`].
    pub shape: Vec<Point>,
    /// Against the voxels by which a sphere is predicted too large; negative is too small.
    pub growth: Vec<Point>,
    /// Against the voxels by which a sphere is predicted beside its place.
    pub shift: Vec<Point>,
    /// Of a voxel of the foreground, three voxels from its border.
    pub foreground: Vec<Slope>,
    /// Of a voxel of the background, three voxels from the foreground.
    pub background: Vec<Slope>,
    /// The slice.
    pub slice: Option<Slice>,
}

/// How losses behave at `progress` (from 0 to 1) of a training.
pub fn behaviours(losses: &[Loss], analyses: &[Analysis], progress: f64) -> Vec<Behaviour> {
    let wanted =
        |analysis, trials: fn() -> Vec<Trial>| if analyses.contains(&analysis) { trials() } else { Vec::new() };
    let sizes = wanted(Analysis::Size, sizes);
    let shapes = wanted(Analysis::Shape, shapes_of_equal_volume);
    let growths = wanted(Analysis::Segmentation, growths);
    let shifts = wanted(Analysis::Segmentation, shifts);
    let behaviour = |loss: &Loss| {
        let plan = Plan::new(&loss.formula);
        let points = |trials: &[Trial]| trials.par_iter().map(|trial| trial.point(&plan, progress)).collect();
        let slopes = |of| if analyses.contains(&Analysis::Profile) { profile(&plan, of, progress) } else { Vec::new() };
        Behaviour {
            loss: loss.name.clone(),
            size: points(&sizes),
            shape: points(&shapes),
            growth: points(&growths),
            shift: points(&shifts),
            foreground: slopes(FOREGROUND),
            background: slopes(BACKGROUND),
            slice: analyses.contains(&Analysis::Slice).then(|| slice(&plan, progress)),
        }
    };
    losses.iter().map(behaviour).collect()
}

/// A prediction to be judged, and the best there could be.
struct Trial {
    x: f64,
    scene: Scene,
    perfect: Scene,
}

impl Trial {
    fn new(x: f64, target: &Volume<bool>, prediction: &Volume<bool>) -> Self {
        Self { x, scene: Scene::new(target, prediction, SURE), perfect: Scene::new(target, target, SURE) }
    }

    fn point(&self, plan: &Plan, progress: f64) -> Point {
        Point { x: self.x, loss: self.scene.value(plan, progress), perfect: self.perfect.value(plan, progress) }
    }
}

/// Side of the cube in which spheres are judged, and the radius of those whose prediction varies.
const SIDE: usize = 32;
const RADIUS: f64 = 8.0;

fn sizes() -> Vec<Trial> {
    let trial = |radius: u32| {
        let target = ball(SIDE, f64::from(radius));
        Trial::new(f64::from(radius), &target, &grown(&target, -1.0))
    };
    (2..=13).map(trial).collect()
}

fn growths() -> Vec<Trial> {
    let target = ball(SIDE, RADIUS);
    (-6..=6).map(|by| Trial::new(f64::from(by), &target, &grown(&target, f64::from(by)))).collect()
}

fn shifts() -> Vec<Trial> {
    let target = ball(SIDE, RADIUS);
    (0..=7).map(|by| Trial::new(by as f64, &target, &shifted(&target, [0, by]))).collect()
}

/// Side of the cube that holds the shapes, and their volume in voxels.
const SHAPE_SIDE: usize = 40;
const SHAPE_VOXELS: usize = 2400;

fn shapes_of_equal_volume() -> Vec<Trial> {
    let trial = |(number, shape): (usize, Shape)| {
        let target = shape.mask(SHAPE_SIDE, SHAPE_VOXELS);
        Trial::new(number as f64, &target, &grown(&target, -1.0))
    };
    Shape::ALL.into_iter().enumerate().map(trial).collect()
}

/// Side and radius of the scene of a profile, and the distance of its two voxels from the middle.
const PROFILE_SIDE: usize = 22;
const PROFILE_RADIUS: f64 = 6.0;
const FOREGROUND: usize = 3;
const BACKGROUND: usize = 9;

/// The rest of the scene is a sphere predicted one voxel too small: with nothing wrong, region losses have no gradient
/// that could be compared.
fn profile(plan: &Plan, from_middle: usize, progress: f64) -> Vec<Slope> {
    const STEPS: usize = 60;
    let target = ball(PROFILE_SIDE, PROFILE_RADIUS);
    let scene = Scene::new(&target, &grown(&target, -1.0), SURE);
    let middle = PROFILE_SIDE / 2;
    let voxel = target.index([middle, middle, middle + from_middle]);
    let slope = |step: usize| {
        let p = (step as f64 + 0.5) / STEPS as f64;
        let mut scene = scene.clone();
        scene.logits[voxel] = (p / (1.0 - p)).ln();
        Slope { p, slope: scene.gradient(plan, progress)[voxel] }
    };
    (0..STEPS).into_par_iter().map(slope).collect()
}

/// A vertebra predicted two voxels beside its place, and a small sphere that is not there.
fn slice(plan: &Plan, progress: f64) -> Slice {
    let target = Shape::Vertebra.mask(SHAPE_SIDE, SHAPE_VOXELS);
    let mut prediction = shifted(&target, [0, 2]);
    let island = shifted(&ball(SHAPE_SIDE, 2.5), [14, 14]);
    prediction.voxels.iter_mut().zip(&island.voxels).for_each(|(m, i)| *m |= i);
    let gradient = Scene::new(&target, &prediction, UNSURE).gradient(plan, progress);
    let middle = SHAPE_SIDE / 2 * SHAPE_SIDE * SHAPE_SIDE..(SHAPE_SIDE / 2 + 1) * SHAPE_SIDE * SHAPE_SIDE;
    Slice {
        shape: [SHAPE_SIDE; 2],
        magnitude: gradient[middle.clone()].iter().map(|slope| slope.abs()).collect(),
        target: target.voxels[middle.clone()].to_vec(),
        prediction: prediction.voxels[middle].to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::named;

    fn behaviour(typed: &str, analysis: Analysis) -> Behaviour {
        behaviours(&[named(typed).unwrap()], &[analysis], 0.0).remove(0)
    }

    #[test]
    fn region_losses_mind_small_structures_and_thin_ones_most() {
        let size = behaviour("dice", Analysis::Size).size;
        assert!(size.windows(2).all(|pair| pair[1].loss < pair[0].loss), "{size:?}");
        let shape = behaviour("dice", Analysis::Shape).shape;
        assert!(shape.is_sorted_by(|a, b| a.loss < b.loss), "{shape:?}");
        let size = behaviour("ce", Analysis::Size).size;
        assert!(size.windows(2).all(|pair| pair[1].loss > pair[0].loss), "cross-entropy counts voxels: {size:?}");
    }

    #[test]
    fn weights_of_mistakes_lean_towards_one_side() {
        let sides = |typed: &str| {
            let growth = behaviour(typed, Analysis::Segmentation).growth;
            let at = |x: f64| growth.iter().find(|point| point.x == x).unwrap().loss;
            (at(-2.0), at(2.0))
        };
        let (small, large) = sides("tversky(fp_weight=0.1, fn_weight=0.9)");
        assert!(small > 2.0 * large);
        let (small, large) = sides("tversky(fp_weight=0.9, fn_weight=0.1)");
        assert!(large > 2.0 * small);
    }

    #[test]
    fn the_right_prediction_is_the_best_one() {
        for entry in crate::losses::catalog::CATALOG {
            let b = behaviour(entry.name, Analysis::Segmentation);
            let right = b.shift[0];
            assert_eq!(right.loss, right.perfect, "{}", entry.name);
            let better = |point: &&Point| point.loss < right.loss;
            let better: Vec<f64> = b.growth.iter().chain(&b.shift).filter(better).map(|point| point.x).collect();
            // The rim of a target is worth nothing to the boundary loss, so that leaving it out is free, and keeps soft
            // probabilities off the outside.
            let known: &[f64] = if entry.name == "boundary" { &[-1.0] } else { &[] };
            assert_eq!(better, known, "{}", entry.name);
        }
    }

    #[test]
    fn the_profile_of_cross_entropy_is_its_textbook_slope() {
        let b = behaviour("ce", Analysis::Profile);
        let voxels = (PROFILE_SIDE as f64).powi(3);
        assert!(b.foreground.iter().all(|s| (s.slope * voxels - (s.p - 1.0)).abs() < 1e-12));
        assert!(b.background.iter().all(|s| (s.slope * voxels - s.p).abs() < 1e-12));
    }

    #[test]
    fn only_what_is_asked_for_is_computed() {
        let b = behaviour("dice", Analysis::Slice);
        assert!(b.size.is_empty() && b.shift.is_empty() && b.foreground.is_empty());
        let slice = b.slice.unwrap();
        assert_eq!(slice.magnitude.len(), 1600);
        assert!(slice.target != slice.prediction && slice.magnitude.iter().all(|m| m.is_finite()));
    }

    #[test]
    fn progress_reaches_the_formula() {
        let loss = [named("(* t (mean (+ ce_fg ce_bg)))").unwrap()];
        let at = |progress| behaviours(&loss, &[Analysis::Size], progress)[0].size[3].loss;
        assert!(at(0.0) == 0.0 && (2.0 * at(0.5) - at(1.0)).abs() < 1e-15 && at(1.0) > 0.0);
    }
}
