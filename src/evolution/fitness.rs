//! What a training says about a loss, and who is asked.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fault::Result;
use crate::formula::Formula;

/// The result of one proxy training: a value, also when it went wrong, and always the loss's own doing. Trouble of the
/// machine (out of memory, a panic in a library) is no outcome but a fault, so that it can neither be saved nor compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// It trained.
    Trained(Score),
    /// Loss or gradient ceased to be finite.
    Diverged {
        /// The optimiser step, from 0.
        step: usize,
    },
    /// It improves a trained network, but does not train one from scratch.
    Stalled {
        /// Mean Dice reached from scratch.
        dice: f64,
    },
}

/// How good a network became, on whole validation volumes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Dice per case, in [0, 1], in the order of the evaluator's cases.
    pub dice: Vec<f64>,
    /// 95th percentile of the Hausdorff distance per case, in mm; the diagonal of the volume where nothing was found.
    pub hd95_mm: Vec<f64>,
}

impl Score {
    /// Mean Dice over the cases.
    pub fn mean_dice(&self) -> f64 {
        mean(&self.dice)
    }

    /// Mean HD95 over the cases, in mm.
    pub fn mean_hd95_mm(&self) -> f64 {
        mean(&self.hd95_mm)
    }
}

impl Outcome {
    /// The score, if there is one.
    pub fn score(&self) -> Option<&Score> {
        match self {
            Self::Trained(score) => Some(score),
            Self::Diverged { .. } | Self::Stalled { .. } => None,
        }
    }

    /// Mean Dice, or negative infinity: failures order below every finite score.
    pub fn dice(&self) -> f64 {
        self.score().map_or(f64::NEG_INFINITY, Score::mean_dice)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trained(score) => write!(f, "Dice {:.4}", score.mean_dice()),
            Self::Diverged { step } => write!(f, "diverged at step {step}"),
            Self::Stalled { dice } => write!(f, "stalls from scratch at Dice {dice:.4}"),
        }
    }
}

/// Which training a loss is put through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trial {
    /// From the start that all candidates share: what they are ranked by.
    SharedStart,
    /// From scratch: what the best must survive. A loss can polish a trained network and yet never train one.
    Scratch,
}

/// Trains losses. A result must be a function of the loss, the trial and [`Evaluator::context`] alone: not of the order
/// of the losses, of the number of threads or of the time.
pub trait Evaluator {
    /// Everything but the loss that decides a result, as a digest.
    fn context(&self) -> String;

    /// Trains each loss; `done` is told every result as soon as it is known, or why the machine could not get one, and
    /// says whether to go on. After a no, the trainings that have not begun are left out.
    fn evaluate(&self, trial: Trial, losses: &[Formula], done: &mut dyn FnMut(usize, Result<Outcome>) -> bool);
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
