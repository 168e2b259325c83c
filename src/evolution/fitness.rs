//! What a training says about a loss, and who is asked.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fault::Result;
use crate::formula::Formula;
use crate::losses::catalog;
use crate::stats::summary::mean;

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
    /// Its constants moved while a network trained: what [`Trial::Adapt`] gives instead of a score.
    Adapted {
        /// The canonical text of the loss with the constants where they ended.
        loss: String,
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

/// A score beside that of the control in the same training: same start, same patches, another loss. What both share, a
/// hard case or a lucky start, is gone from it; what is left is worth comparing. That of a whole replicate may be
/// made of two trainings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gain {
    /// Dice less the control's, per case.
    pub dice: Vec<f64>,
    /// Mean HD95 less the control's, in mm: below 0 is better.
    pub hd95_mm: f64,
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

    /// What this is beside the control's score on the same cases.
    pub fn over(&self, control: &Self) -> Gain {
        let dice = self.dice.iter().zip(&control.dice).map(|(own, control)| own - control).collect();
        Gain { dice, hd95_mm: self.mean_hd95_mm() - control.mean_hd95_mm() }
    }
}

impl Gain {
    /// Mean Dice less the control's.
    pub fn mean(&self) -> f64 {
        mean(&self.dice)
    }

    /// This and another, which counts by a weight from 0 to 1, case by case.
    pub(super) fn with(&self, other: &Self, weight: f64) -> Self {
        let of = |own: f64, other: f64| (1.0 - weight) * own + weight * other;
        let dice = self.dice.iter().zip(&other.dice).map(|(own, other)| of(*own, *other)).collect();
        Self { dice, hd95_mm: of(self.hd95_mm, other.hd95_mm) }
    }
}

impl Outcome {
    /// The score, if there is one.
    pub fn score(&self) -> Option<&Score> {
        match self {
            Self::Trained(score) => Some(score),
            Self::Diverged { .. } | Self::Stalled { .. } | Self::Adapted { .. } => None,
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
            Self::Adapted { loss } => write!(f, "became {loss}"),
        }
    }
}

/// Which training a loss is put through. All losses of a trial see the same start, the same patches in the same order and
/// the same augmentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trial {
    /// From a half-trained start that all candidates share.
    Proxy {
        /// The steps of the recipe are divided by this: 9 and 3 on the lower rungs.
        part: u32,
        /// Another replicate has other patches and, where there are several, another start.
        replicate: u32,
    },
    /// From scratch with a part of the steps, annealed to nothing: on the lower rungs, where starts do not sift.
    Sift {
        /// The steps from scratch are divided by this: 9 and 3.
        part: u32,
        /// Another replicate has other weights and patches; no part has those of another part or of the whole.
        replicate: u32,
    },
    /// From scratch: a loss can polish a trained network and yet never train one.
    Scratch {
        /// Another replicate has other weights and patches.
        replicate: u32,
    },
    /// A third of the steps from a shared start, in which the constants of the loss move by greedy trials (Seo et al. 2020).
    /// What comes of it is another loss.
    Adapt,
    /// As [`Trial::full`], but at another learning rate: does a loss win by its shape or by its step size?
    Rate {
        /// The learning rate is multiplied by this
        times: u32,
        /// and divided by this.
        over: u32,
        /// As that of [`Trial::Proxy`], with the same patches and start.
        replicate: u32,
    },
}

impl Trial {
    /// A training of all steps, the first replicate.
    pub const FULL: Self = Self::full(0);

    /// Whether what it gives is a difference to the control, which must have trained then.
    pub fn needs_control(self) -> bool {
        matches!(self, Self::Proxy { .. } | Self::Sift { .. } | Self::Scratch { .. })
    }

    /// A training of all steps.
    pub const fn full(replicate: u32) -> Self {
        Self::Proxy { part: 1, replicate }
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proxy { part: 1, replicate: 0 } => write!(f, "all steps"),
            Self::Proxy { part: 1, replicate } => write!(f, "replicate {replicate}"),
            Self::Proxy { part, replicate: 0 } => write!(f, "1/{part} of the steps"),
            Self::Proxy { part, replicate } => write!(f, "1/{part} of the steps, replicate {replicate}"),
            Self::Sift { part, replicate: 0 } => write!(f, "1/{part} of the steps from scratch"),
            Self::Sift { part, replicate } => write!(f, "1/{part} of the steps from scratch, replicate {replicate}"),
            Self::Scratch { replicate: 0 } => write!(f, "from scratch"),
            Self::Scratch { replicate } => write!(f, "from scratch, replicate {replicate}"),
            Self::Adapt => write!(f, "adapting constants"),
            Self::Rate { times, over, replicate } => {
                write!(f, "all steps at {times}/{over} of the learning rate, replicate {replicate}")
            }
        }
    }
}

/// Trains losses. A result must be a function of the loss, the trial and [`Evaluator::context`] alone: not of the order
/// of the losses, of the number of threads or of the time.
pub trait Evaluator {
    /// Everything but the loss that decides a result: names of settings with their values.
    fn context(&self) -> Vec<(String, String)>;

    /// Optimiser steps of a trial.
    fn steps(&self, trial: Trial) -> u64;

    /// Trains each loss; `done` is told every result as soon as it is known, or why the machine could not get one, and
    /// says whether to go on. After a no, the trainings that have not begun are left out.
    fn evaluate(&self, trial: Trial, losses: &[Formula], done: &mut dyn FnMut(usize, Result<Outcome>) -> bool);
}

/// The control: Dice + CE, which nobody has to invent. It is trained in every trial, and scores are differences to it.
///
/// # Panics
/// Never: the catalog has it.
pub fn control() -> Formula {
    catalog::find("dice_ce").expect("the catalog has Dice + CE").formula()
}
