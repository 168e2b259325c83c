//! Gate 5: predictions that follow the loss come to their targets.
//!
//! Adam on logits is the cheapest training there is: no network, sixty steps on a cube of 16 voxels. Who cannot bring
//! logits near their target in that time will not bring a network there; the reverse is not promised, which is why there
//! are trainings. What is near is what Dice + CE reaches in the same steps from the same start.
//!
//! Free logits alone reject next to nothing of a grammar with polarity: each voxel follows the sign of its own slope. The
//! coarse start does, because there voxels of both sides have to agree on a compromise, as they do in a network: a loss
//! that hears false positives far louder than false negatives, or the mean of |p - y| where the foreground is rare.

use std::sync::LazyLock;

use super::Rejection;
use super::crops::{CROPS, Crop, SIDE, VOXELS};
use super::scale::gradient_factor;
use crate::formula::eval::Inputs;
use crate::formula::plan::Plan;
use crate::formula::simd::Program;
use crate::losses::catalog;

/// Steps of the optimiser.
pub const STEPS: usize = 60;

/// Share of the hard Dice of Dice + CE that has to be reached from every start.
pub const LEAST: f64 = 0.9;

/// Adam's settings; the rate is in logits, of which a certain prediction takes about five.
const RATE: f32 = 0.15;
const MOMENTS: [f32; 2] = [0.9, 0.999];
const EPSILON: f32 = 1e-8;

/// What Dice + CE reaches on every crop.
static REFERENCE: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let plan = Plan::new(&catalog::find("dice_ce").expect("the catalog has Dice + CE").formula());
    let reach = |crop: &Crop| descend(&plan, gradient_factor(&plan), crop).expect("Dice + CE does not diverge");
    CROPS.iter().map(reach).collect()
});

/// The hard Dice that a loss, whose gradient is multiplied by `factor`, reaches from a start, over that of Dice + CE.
///
/// # Errors
/// If the loss ceases to be finite.
pub fn share(plan: &Plan, factor: f64, start: usize) -> Result<f64, Rejection> {
    descend(plan, factor, &CROPS[start]).map(|dice| dice / REFERENCE[start])
}

/// The score of a loss whose gradient is multiplied by `factor`: the mean of its [shares](share) over all starts.
///
/// # Errors
/// If the loss ceases to be finite, or its share is too small from some start; later starts are not tried then.
pub(super) fn pass(plan: &Plan, factor: f64) -> Result<f64, Rejection> {
    let mut sum = 0.0;
    for start in 0..CROPS.len() {
        let share = share(plan, factor, start)?;
        if share < LEAST {
            return Err(Rejection::Stuck);
        }
        sum += share;
    }
    Ok(sum / CROPS.len() as f64)
}

/// From what predictions start, in the order in which starts are tried.
pub fn starts() -> impl Iterator<Item = &'static str> {
    CROPS.iter().map(|crop| crop.name)
}

/// Lets the predictions of a crop follow a loss; their hard Dice at the end.
///
/// # Errors
/// If the loss or its gradient ceases to be finite.
fn descend(plan: &Plan, factor: f64, crop: &Crop) -> Result<f64, Rejection> {
    let program = Program::new(plan);
    let mut moved = Adam::new(&crop.start);
    let (mut logits, mut slopes) = (vec![0f32; VOXELS], vec![0f32; VOXELS]);
    let mut by_point = vec![0f32; crop.start.len()];
    for step in 0..=STEPS {
        match &crop.grid {
            Some(grid) => grid.interpolate(&moved.values, &mut logits),
            None => logits.copy_from_slice(&moved.values),
        }
        if step == STEPS {
            break;
        }
        let progress = step as f64 / (STEPS - 1) as f64;
        let inputs = Inputs { progress, shape: [SIDE; 3], ..Inputs::new(1, 1, &logits, &crop.targets) };
        let loss = program.gradient(&inputs, &mut slopes);
        if !loss.is_finite() {
            return Err(Rejection::Diverged);
        }
        let gradient = match &crop.grid {
            Some(grid) => {
                grid.gather(&slopes, &mut by_point);
                &by_point
            }
            None => &slopes,
        };
        moved.step(gradient, factor as f32);
    }
    // A slope that was not finite once is in its value ever since.
    if moved.values.iter().all(|value| value.is_finite()) {
        Ok(hard_dice(&logits, &crop.targets))
    } else {
        Err(Rejection::Diverged)
    }
}

/// Dice of what is predicted to be foreground.
pub(super) fn hard_dice(logits: &[f32], targets: &[f32]) -> f64 {
    let (mut both, mut either) = (0u32, 0u32);
    for (logit, target) in logits.iter().zip(targets) {
        let (predicted, wanted) = (u32::from(*logit > 0.0), u32::from(*target > 0.5));
        both += predicted * wanted;
        either += predicted + wanted;
    }
    f64::from(2 * both) / f64::from(either.max(1))
}

/// Numbers that follow a gradient (Kingma and Ba 2015).
struct Adam {
    values: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    /// Powers of the moments' decay.
    decay: [f32; 2],
}

impl Adam {
    fn new(start: &[f32]) -> Self {
        Self { values: start.to_vec(), first: vec![0.0; start.len()], second: vec![0.0; start.len()], decay: [1.0; 2] }
    }

    fn step(&mut self, gradient: &[f32], factor: f32) {
        let [b1, b2] = MOMENTS;
        self.decay = [self.decay[0] * b1, self.decay[1] * b2];
        let rate = RATE / (1.0 - self.decay[0]);
        let spread = (1.0 - self.decay[1]).sqrt().recip();
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((value, (first, second)), slope) in self.values.iter_mut().zip(moments).zip(gradient) {
            let slope = slope * factor;
            *first = b1 * *first + (1.0 - b1) * slope;
            *second = b2 * *second + (1.0 - b2) * slope * slope;
            *value -= rate * *first / (second.sqrt() * spread + EPSILON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str) -> Result<f64, Rejection> {
        let plan = Plan::new(&text.parse().unwrap());
        pass(&plan, gradient_factor(&plan))
    }

    #[test]
    fn dice_and_cross_entropy_reaches_what_it_is_measured_by() {
        let plan = Plan::new(&catalog::find("dice_ce").unwrap().formula());
        assert_eq!(pass(&plan, gradient_factor(&plan)), Ok(1.0));
        assert!(REFERENCE[0] > 0.8 && REFERENCE[1] > 0.99 && REFERENCE[2] > 0.99, "{:?}", *REFERENCE);
    }

    #[test]
    fn the_score_does_not_depend_on_the_scale_of_a_loss() {
        let of = |text: &str| verdict(text).unwrap();
        let (one, other) = (of("(mean (+ ce_fg ce_bg))"), of("(* 4096 (mean (+ ce_fg ce_bg)))"));
        assert!((one - other).abs() < 1e-3, "{one} {other}");
    }

    #[test]
    fn a_loss_that_wants_something_else_is_stuck() {
        // Everything is to be 0.5.
        assert_eq!(verdict("(mean (* (- fp 0.5) (- fp 0.5)))"), Err(Rejection::Stuck));
    }
}
