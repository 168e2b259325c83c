//! Losses over folds: full trainings from scratch, judged on whole volumes.
//!
//! Trainings of a fold and seed start from the same weights and see the same patches, whatever their loss; the last network is
//! judged, never the luckiest. Each training is a cell on its own: what decides its result is the study and the cell, not
//! which others there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::checkpoint::{Keep, train_kept};
use super::infer::{Inference, Prediction, Window};
use super::{Job, Outcome as Training, Recipe, Step, workers};
use crate::data::Case;
use crate::data::folds::Fold;
use crate::fault::Result;
use crate::losses::strategy::Strategy;
use crate::metrics::{CaseMetrics, evaluate};
use crate::nn::{self, UNet3d, UNet3dConfig};
use crate::phase::{self, Phase, Stage};
use crate::rng::{Purpose, stream};
use crate::volume::Volume;

/// What all trainings of a comparison have in common.
pub struct Study<'a> {
    /// The losses.
    pub losses: &'a [Strategy],
    /// All cases.
    pub cases: &'a [Arc<Case>],
    /// Shape of the network.
    pub network: UNet3dConfig,
    /// How it is trained.
    pub recipe: &'a Recipe,
    /// How test volumes are predicted.
    pub window: Window,
    /// Axes along which they are mirrored as well.
    pub mirror: [bool; 3],
    /// Steps between two checkpoints, 0 for none.
    pub checkpoint: usize,
    /// Threads in all.
    pub threads: usize,
    /// Set when the work is to stop.
    pub stop: &'a AtomicBool,
}

/// One training.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Place in the losses.
    pub loss: usize,
    /// Number of the fold, from 0: start and patches depend on it.
    pub fold: usize,
    /// Who trains and who is tested.
    pub cases: Fold,
    /// Seed of weights and patches.
    pub seed: u64,
    /// By what the learning rate of the recipe is multiplied.
    pub rate_factor: f64,
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

/// Who is told, from any thread, what cells do. `cell` is the place in the list of cells.
pub trait Watcher: Sync {
    /// A cell begins.
    ///
    /// # Errors
    /// If it cannot.
    fn begins(&self, cell: usize) -> Result<()>;

    /// A step is made, or was made before an interruption.
    fn step(&self, cell: usize);

    /// The last checkpoint of a cell.
    ///
    /// # Errors
    /// If there is one that cannot be read.
    fn kept(&self, cell: usize) -> Result<Option<Vec<u8>>>;

    /// Takes a checkpoint.
    ///
    /// # Errors
    /// If it cannot be written.
    fn keep(&self, cell: usize, state: &[u8]) -> Result<()>;

    /// Takes the mask of a test case on the grid of its file, 0 is background, c + 1 is class c.
    ///
    /// # Errors
    /// If it cannot be written.
    fn mask(&self, cell: usize, case: &Case, mask: &Volume<u8>) -> Result<()>;
}

impl Study<'_> {
    /// Trains the cells; `done` is told each result as it comes and says whether to go on.
    pub fn run(&self, cells: &[Cell], watcher: &dyn Watcher, done: &mut dyn FnMut(usize, CellOutcome) -> bool) {
        let work = |place: usize| {
            watcher.begins(place)?;
            self.cell(&cells[place], place, watcher)
        };
        workers::run(cells.len(), self.threads, self.stop, work, &mut |place, result| match result {
            Ok(Ok(Some(outcome))) => done(place, outcome),
            Ok(Ok(None)) => false,
            Ok(Err(fault)) => done(place, CellOutcome::Failed { reason: fault.to_string() }),
            Err(reason) => done(place, CellOutcome::Failed { reason }),
        });
    }

    /// How a cell is trained.
    pub fn recipe(&self, cell: &Cell) -> Recipe {
        Recipe { learning_rate: cell.rate_factor * self.recipe.learning_rate, ..self.recipe.clone() }
    }

    /// The network of a fold and seed before its first step.
    pub fn fresh(&self, cell: &Cell) -> UNet3d {
        let weights = &mut stream(cell.seed, Purpose::Weights, 0, cell.fold as u64);
        self.network.init(weights, &nn::device().autodiff())
    }

    /// The cases at places.
    pub fn pick(&self, places: &[usize]) -> Vec<Arc<Case>> {
        places.iter().map(|place| Arc::clone(&self.cases[*place])).collect()
    }

    /// `None` if the work was stopped.
    fn cell(&self, cell: &Cell, place: usize, watcher: &dyn Watcher) -> Result<Option<CellOutcome>> {
        phase::begin(Stage::Folds);
        let (cases, recipe) = (self.pick(&cell.cases.train), self.recipe(cell));
        let sequence = cell.fold as u64;
        let job = Job { cases: &cases, loss: &self.losses[cell.loss], recipe: &recipe, seed: cell.seed, sequence };
        let mut curve = Vec::with_capacity(recipe.steps);
        let kept = if self.checkpoint > 0 { watcher.kept(place)? } else { None };
        let keep = Keep { every: self.checkpoint, kept, keep: &mut |state| watcher.keep(place, state) };
        let outcome = train_kept(self.fresh(cell), &job, keep, &mut |made| {
            curve.push(made.clone());
            watcher.step(place);
            !self.stop.load(Ordering::SeqCst)
        });
        Ok(match outcome {
            Training::Stopped => None,
            Training::Diverged { step } => Some(CellOutcome::Diverged { step }),
            Training::Failed(fault) => return Err(fault),
            Training::Finished(network) => {
                let take = &mut |case: &Case, mask: &Volume<u8>| watcher.mask(place, case, mask);
                let metrics = self.judge(&network, &self.pick(&cell.cases.test), take)?;
                Some(CellOutcome::Trained { network, metrics, curve })
            }
        })
    }

    /// The metrics of each case and class; masks are handed on as they come.
    ///
    /// # Errors
    /// If a case cannot be read or predicted, or a mask is not taken.
    pub fn judge(
        &self,
        network: &UNet3d,
        cases: &[Arc<Case>],
        take: &mut dyn FnMut(&Case, &Volume<u8>) -> Result<()>,
    ) -> Result<Vec<Vec<CaseMetrics>>> {
        let networks = [nn::inference(network)];
        let inference = Inference { networks: &networks, window: self.window, mirror: self.mirror };
        let judge = |case: &Arc<Case>| {
            let truth = &*case.native_label.whole()?;
            let found = Prediction::of(&inference, case)?;
            phase::end(Phase::Predict);
            take(case, &found.mask)?;
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
