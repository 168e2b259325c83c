//! Losses over folds: full trainings from scratch, judged on whole volumes.
//!
//! In a fold, every loss starts from the same weights and sees the same patches; the last network is judged, never the
//! luckiest. Each pair of loss and fold is a cell, trained on its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::infer::{Inference, Prediction, Window};
use super::{Job, Outcome as Training, Recipe, Step, train, workers};
use crate::data::Case;
use crate::data::folds::Fold;
use crate::fault::Result;
use crate::losses::strategy::Strategy;
use crate::metrics::{CaseMetrics, evaluate};
use crate::nn::{self, UNet3d, UNet3dConfig};
use crate::phase::{self, Phase, Stage};
use crate::rng::{Purpose, stream};

/// What is compared.
pub struct Study<'a> {
    /// The losses.
    pub losses: &'a [Strategy],
    /// All cases.
    pub cases: &'a [Arc<Case>],
    /// Places in `cases`.
    pub folds: &'a [Fold],
    /// Shape of the network.
    pub network: UNet3dConfig,
    /// How it is trained.
    pub recipe: &'a Recipe,
    /// How test volumes are predicted.
    pub window: Window,
    /// Axes along which they are mirrored as well.
    pub mirror: [bool; 3],
    /// Seed of weights and patches.
    pub seed: u64,
    /// Threads in all.
    pub threads: usize,
    /// Set when the work is to stop.
    pub stop: &'a AtomicBool,
}

/// One loss in one fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// Place in the losses.
    pub loss: usize,
    /// Place in the folds.
    pub fold: usize,
}

/// What became of a cell.
pub enum CellOutcome {
    /// It trained.
    Trained {
        /// The network after the last step.
        network: Box<UNet3d>,
        /// For each test case, in order of the fold, and each class.
        metrics: Vec<Vec<CaseMetrics>>,
        /// Every step.
        curve: Vec<Step>,
    },
    /// Loss or gradient ceased to be finite.
    Diverged {
        /// The step, from 0.
        step: usize,
    },
    /// It could not be trained or judged.
    Failed {
        /// Why.
        reason: String,
    },
}

impl Study<'_> {
    /// All cells, loss by loss.
    pub fn cells(&self) -> Vec<Cell> {
        let folds = self.folds.len();
        (0..self.losses.len() * folds).map(|i| Cell { loss: i / folds, fold: i % folds }).collect()
    }

    /// Trains the cells; `step` counts steps of all of them from any thread, `done` is told each result as it comes and
    /// says whether to go on.
    pub fn run(&self, cells: &[Cell], step: &(dyn Fn() + Sync), done: &mut dyn FnMut(Cell, CellOutcome) -> bool) {
        let work = |job: usize| self.cell(cells[job], step);
        workers::run(cells.len(), self.threads, self.stop, work, &mut |job, result| match result {
            Ok(Some(outcome)) => done(cells[job], outcome),
            Ok(None) => false,
            Err(reason) => done(cells[job], CellOutcome::Failed { reason }),
        });
    }

    /// `None` if the work was stopped.
    fn cell(&self, cell: Cell, step: &(dyn Fn() + Sync)) -> Option<CellOutcome> {
        phase::begin(Stage::Folds);
        let fold = &self.folds[cell.fold];
        let pick = |places: &[usize]| places.iter().map(|i| Arc::clone(&self.cases[*i])).collect::<Vec<_>>();
        let cases = pick(&fold.train);
        let weights = &mut stream(self.seed, Purpose::Weights, 0, cell.fold as u64);
        let fresh = self.network.init(weights, &nn::device().autodiff());
        let job = Job {
            cases: &cases,
            loss: &self.losses[cell.loss],
            recipe: self.recipe,
            seed: self.seed,
            sequence: cell.fold as u64,
        };
        let mut curve = Vec::with_capacity(self.recipe.steps);
        let outcome = train(fresh, &job, &mut |done| {
            curve.push(done.clone());
            step();
            !self.stop.load(Ordering::SeqCst)
        });
        match outcome {
            Training::Stopped => None,
            Training::Diverged { step } => Some(CellOutcome::Diverged { step }),
            Training::Failed(fault) => Some(CellOutcome::Failed { reason: fault.to_string() }),
            Training::Finished(network) => Some(match self.judge(&network, &pick(&fold.test)) {
                Ok(metrics) => CellOutcome::Trained { network, metrics, curve },
                Err(fault) => CellOutcome::Failed { reason: fault.to_string() },
            }),
        }
    }

    fn judge(&self, network: &UNet3d, cases: &[Arc<Case>]) -> Result<Vec<Vec<CaseMetrics>>> {
        let networks = [nn::inference(network)];
        let inference = Inference { networks: &networks, window: self.window, mirror: self.mirror };
        let judge = |case: &Arc<Case>| {
            let truth = &*case.native_label.whole()?;
            let found = Prediction::of(&inference, case)?;
            phase::end(Phase::Predict);
            let calibrations = found.calibrations(&truth.voxels)?;
            let join = |(class, calibration)| {
                Ok(CaseMetrics { calibration: Some(calibration), ..evaluate(&found.mask, truth, class)? })
            };
            let metrics = (1..=u8::MAX).zip(calibrations).map(join).collect();
            phase::end(Phase::Judge);
            metrics
        };
        cases.iter().map(judge).collect()
    }
}
