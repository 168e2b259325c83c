//! What became of a cell: a line of `cells.jsonl`.

use serde::{Deserialize, Serialize};

use super::cell::{Purpose, Task};
use crate::metrics::table::Row;
use crate::training::{Passes, Step};

/// A cell that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::cli) struct Record {
    /// Digest of everything that decides the result; empty in runs of earlier versions, which had one seed.
    #[serde(default)]
    pub(in crate::cli) key: String,
    pub(in crate::cli) loss: usize,
    pub(in crate::cli) fold: usize,
    #[serde(default)]
    pub(in crate::cli) seed: u64,
    #[serde(default = "one")]
    pub(in crate::cli) rate_factor: f64,
    /// Whether a learning rate was tried.
    #[serde(default)]
    pub(in crate::cli) trial: bool,
    /// Wall time from the first step of the last sitting to the last metric.
    #[serde(default)]
    pub(in crate::cli) seconds: f64,
    /// Passes forward and backward that trials of a loss's parameters took, a step.
    #[serde(default)]
    pub(in crate::cli) passes: [f64; 2],
    pub(in crate::cli) ending: Ending,
}

fn one() -> f64 {
    1.0
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::cli) enum Ending {
    /// With a network, of which these are the values of every test case and class.
    Trained(Vec<Row>),
    /// Loss or gradient ceased to be finite.
    Diverged {
        /// The step, from 0.
        step: usize,
    },
    /// For reasons of the machine or the data.
    Failed {
        /// In words.
        reason: String,
    },
}

impl Record {
    pub(super) fn new(task: &Task, ending: Ending, seconds: f64, curve: &[Step]) -> Self {
        Self {
            key: task.key.clone(),
            loss: task.cell.loss,
            fold: task.cell.fold,
            seed: task.cell.seed,
            rate_factor: task.cell.rate_factor,
            trial: task.purpose == Purpose::Trial,
            seconds,
            passes: trials(curve),
            ending,
        }
    }

    /// The values of every test case; none if it has no network.
    pub(in crate::cli) fn rows(&self) -> Option<&Vec<Row>> {
        if let Ending::Trained(rows) = &self.ending { Some(rows) } else { None }
    }
}

impl Ending {
    /// Why there is no network.
    pub(in crate::cli) fn trouble(&self) -> Option<String> {
        match self {
            Self::Trained(_) => None,
            Self::Diverged { step } => Some(format!("diverged at step {step}")),
            Self::Failed { reason } => Some(reason.clone()),
        }
    }
}

/// Mean passes forward and backward per step beside those of the step itself.
fn trials(curve: &[Step]) -> [f64; 2] {
    let mean = |of: fn(&Passes) -> usize| {
        curve.iter().map(|step| of(&step.trials)).sum::<usize>() as f64 / curve.len().max(1) as f64
    };
    [mean(|passes| passes.forward), mean(|passes| passes.backward)]
}
