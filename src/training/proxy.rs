//! The bridge between the search and the networks: a candidate's fitness is what a short training makes of it.
//!
//! All candidates of a trial start from the same weights and see the same patches in the same order, the control too. Most
//! trials start from half-trained networks, because a few steps tell there what takes hundreds from nothing. There are
//! several, made by different losses with different steps and seeds, of which every rung and every replicate has another: measured
//! on hippocampus volumes, one start ranks the losses of the catalog nearly by lot (Kendall's tau +0.10 with long trainings).
//!
//! They sift and do not judge. Losses that polish a trained network and never train one lead from every start (the worst
//! tenth of abs(p - y), say, gained 0.14 Dice on phantoms and reached 0.18 alone), and each start has opinions. A training from
//! scratch with a third of the steps of a long one orders nine of ten pairs as that does (docs/experiments/proxy.md).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::infer::{Window, WindowSetting, predict};
use super::{Job, Outcome as Training, Recipe, train, workers};
use crate::data::Case;
use crate::evolution::{Evaluator, Outcome, Score, Trial, control, settings};
use crate::fault::{Fault, Result};
use crate::formula::Formula;
use crate::formula::fingerprint;
use crate::losses;
use crate::losses::strategy::{Kind, Strategy};
use crate::metrics::{Metric, evaluate};
use crate::nn::{self, UNet3d, UNet3dConfig, Weights};
use crate::phase::{self, Phase, Stage};
use crate::rng::{Purpose, stream};
use crate::run::RunDir;

/// Settings of the short trainings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProxyConfig {
    /// Steps of Dice + CE that make the first start.
    pub warm_steps: usize,
    /// Further starts. Rungs and replicates take turns with all of them.
    pub more_starts: Vec<Start>,
    /// Steps of a training from scratch; none for those of the first start.
    pub scratch_steps: Option<usize>,
    /// The training of a candidate from a start, on the last rung; that from scratch has the same but for its steps.
    pub recipe: Recipe,
    /// How validation volumes are predicted.
    pub window: WindowSetting,
}

/// How a start is made, beside that of Dice + CE.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The loss, as people name it.
    pub loss: String,
    /// Steps, as a share of those of the first start.
    pub share: f64,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        let recipe = Recipe::default();
        let start = |loss: &str, share| Start { loss: loss.to_string(), share };
        let more_starts = vec![start("ce", 0.7), start("dice", 0.5)];
        Self { warm_steps: 900, more_starts, scratch_steps: None, recipe, window: WindowSetting::default() }
    }
}

impl ProxyConfig {
    /// Steps of a training from scratch.
    pub fn scratch_steps(&self) -> usize {
        self.scratch_steps.unwrap_or(self.warm_steps)
    }

    /// How validation volumes are predicted.
    pub fn window(&self) -> Window {
        self.window.of(self.recipe.patches.patch)
    }

    /// Whether trainings can be made of it.
    ///
    /// # Errors
    /// The first value out of its range.
    pub fn check(&self) -> Result<()> {
        if self.warm_steps == 0 {
            return Err(Fault::new("setting out of range").field("warm_steps").expected("at least 1").found(0));
        }
        if self.scratch_steps == Some(0) {
            return Err(Fault::new("setting out of range").field("scratch_steps").expected("at least 1").found(0));
        }
        for (place, start) in self.more_starts.iter().enumerate() {
            let field = format!("more_starts[{place}]");
            losses::named(&start.loss).map_err(|fault| fault.or_field(&field))?;
            if !(start.share > 0.0 && start.share <= 2.0) {
                return Err(Fault::new("setting out of range")
                    .field(format!("{field}.share"))
                    .expected("above 0, at most 2")
                    .found(start.share));
            }
        }
        self.recipe.check().map_err(|fault| fault.within("recipe"))?;
        self.window().check().map_err(|fault| fault.within("window"))
    }
}

/// What the short trainings are made of.
pub struct Proxy<'a> {
    /// Settings.
    pub config: &'a ProxyConfig,
    /// Shape of the network.
    pub network: UNet3dConfig,
    /// Cases on which candidates train.
    pub train: Vec<Arc<Case>>,
    /// Cases on which they are judged.
    pub validation: Vec<Arc<Case>>,
    /// Digest of the dataset.
    pub digest: &'a str,
    /// Seed of weights and patches.
    pub seed: u64,
    /// Threads in all.
    pub threads: usize,
    /// Set when the work is to stop.
    pub stop: &'a AtomicBool,
}

/// A proxy with its starts: it can judge.
pub struct Judge<'a> {
    proxy: Proxy<'a>,
    starts: Vec<Weights>,
}

/// Sequences of patches under the seed: of the first start, of the further starts, of trainings from scratch and of parts of
/// them, and of the trials from a start, of which there are so many for a replicate. Further fresh networks have numbers that
/// no start has.
const WARM_SEQUENCE: u64 = 0;
const START_SEQUENCES: u64 = 1 << 23;
const SCRATCH_SEQUENCES: u64 = 1 << 24;
const SIFT_SEQUENCES: u64 = 1 << 25;
const RUNGS: u64 = 8;
const FRESH: usize = 1 << 16;
const SIFT_FRESH: usize = 1 << 24;

/// The steps of the proxy are divided by this where constants move; and the sequence of patches of that training, which is
/// that of a rung that no search has: what is adapted is not judged on the patches that it was adapted to.
const ADAPTING: u32 = 3;
const ADAPTING_SEQUENCE: u64 = RUNGS;

impl<'a> Proxy<'a> {
    /// Makes the shared starts, or reads those that the run has; `watch` is told every step and says whether to go on.
    ///
    /// # Errors
    /// If the run cannot be read or written, holds another network, or the work was stopped.
    pub fn prepare(self, run: &RunDir, watch: &(dyn Fn(usize, f64) -> bool + Sync)) -> Result<Judge<'a>> {
        let starts = self.starts(run, watch)?;
        Ok(Judge { proxy: self, starts })
    }

    /// Steps of all starts that a run does not have yet.
    pub fn steps_to_start(&self, run: &RunDir) -> usize {
        let open = |start: &usize| !run.file(&start_file(*start)).exists();
        (0..=self.config.more_starts.len()).filter(open).map(|start| self.start_recipe(start).steps).sum()
    }

    /// Weights of a network that nobody has trained: of every start its own, and of every training from scratch.
    fn fresh(&self, start: usize) -> Weights {
        let rng = &mut stream(self.seed, Purpose::Weights, 0, start as u64);
        Weights::of(&self.network.init(rng, &nn::device()))
    }

    fn start_recipe(&self, start: usize) -> Recipe {
        let share = if start == 0 { 1.0 } else { self.config.more_starts[start - 1].share };
        let steps = ((self.config.warm_steps as f64 * share).round() as usize).max(1);
        Recipe { steps, ..self.config.recipe.clone() }
    }

    /// All starts, several at once; what is finished is saved even if others are stopped.
    fn starts(&self, run: &RunDir, watch: &(dyn Fn(usize, f64) -> bool + Sync)) -> Result<Vec<Weights>> {
        let count = 1 + self.config.more_starts.len();
        let mut starts: Vec<Option<Weights>> = vec![None; count];
        let mut failed = None;
        let work = |start: usize| self.start(start, run, watch);
        workers::run(count, self.threads, self.stop, work, &mut |start, result| {
            match result {
                Ok(Ok(weights)) => starts[start] = Some(weights),
                Ok(Err(fault)) => failed = failed.take().or(Some(fault)),
                Err(reason) => {
                    let fault = Fault::failed(format!("a shared start could not be trained: {reason}"));
                    failed = failed.take().or(Some(fault));
                }
            }
            failed.is_none()
        });
        match (failed, starts.into_iter().collect::<Option<Vec<_>>>()) {
            (None, Some(starts)) => Ok(starts),
            (Some(fault), _) => Err(fault),
            (None, None) => Err(unfinished_start()),
        }
    }

    fn start(&self, start: usize, run: &RunDir, watch: &(dyn Fn(usize, f64) -> bool + Sync)) -> Result<Weights> {
        let name = start_file(start);
        let file = run.file(&name);
        if file.exists() {
            let bytes = std::fs::read(&file).map_err(|error| Fault::io("read", &file, &error))?;
            let network = nn::decode(&bytes, &nn::device()).map_err(|fault| fault.file(&file))?;
            return Ok(Weights::of(&network));
        }
        let recipe = self.start_recipe(start);
        let formula = match start.checked_sub(1) {
            None => control(),
            Some(further) => losses::named(&self.config.more_starts[further].loss)?.formula,
        };
        let sequence = if start == 0 { WARM_SEQUENCE } else { START_SEQUENCES + start as u64 };
        let loss = Strategy::fixed(formula);
        let job = Job { cases: &self.train, loss: &loss, recipe: &recipe, seed: self.seed, sequence };
        phase::begin(Stage::Starts);
        let network = self.fresh(start).network(&nn::device().autodiff())?;
        match train(network, &job, &mut |step| watch(step.number, step.loss)) {
            Training::Finished(network) => {
                run.write(&name, &nn::encode(&network)?)?;
                Ok(Weights::of(&network))
            }
            Training::Stopped => Err(unfinished_start()),
            Training::Diverged { step } => {
                Err(Fault::failed(format!("the shared start {name} diverged at step {step}"))
                    .field("proxy.recipe.learning_rate")
                    .found(recipe.learning_rate)
                    .hint("lower the learning rate"))
            }
            Training::Failed(fault) => Err(fault),
        }
    }

    /// The training of a candidate in a trial, and the patches that it sees.
    fn trial(&self, part: u32, replicate: u32) -> (Recipe, u64) {
        let steps = self.config.recipe.steps.div_ceil(part.max(1) as usize);
        let sequence = 1 + u64::from(replicate) * RUNGS + depth(part);
        (Recipe { steps, ..self.config.recipe.clone() }, sequence)
    }

    /// A part of a training from scratch: its weights, recipe and patches.
    fn sift(&self, part: u32, replicate: u32) -> (Weights, Recipe, u64) {
        let number = u64::from(replicate) * RUNGS + depth(part);
        let recipe = Recipe { steps: self.sift_steps(part), ..self.config.recipe.clone() };
        (self.fresh(SIFT_FRESH + number as usize), recipe, SIFT_SEQUENCES + number)
    }

    fn sift_steps(&self, part: u32) -> usize {
        self.config.scratch_steps().div_ceil(part.max(1) as usize)
    }

    /// Trains a loss from some weights and judges the network; `None` if the work was stopped.
    fn train_from(&self, weights: &Weights, recipe: &Recipe, sequence: u64, loss: &Formula) -> Result<Option<Outcome>> {
        let network = weights.network(&nn::device().autodiff())?;
        let loss = &Strategy::fixed(loss.clone());
        let job = Job { cases: &self.train, loss, recipe, seed: self.seed, sequence };
        Ok(match train(network, &job, &mut |_| !self.stop.load(Ordering::SeqCst)) {
            Training::Stopped => None,
            Training::Diverged { step } => Some(Outcome::Diverged { step }),
            Training::Failed(fault) => return Err(fault),
            Training::Finished(network) => Some(Outcome::Trained(self.score(&network)?)),
        })
    }

    /// What the constants of a loss become while a network trains from some weights; `None` if the work was stopped.
    fn adapt(&self, weights: &Weights, loss: &Formula) -> Result<Option<Outcome>> {
        let unmoved = Outcome::Adapted { loss: loss.canonical().to_string() };
        let Some(strategy) = Strategy::adapting(&loss.canonical()) else { return Ok(Some(unmoved)) };
        let network = weights.network(&nn::device().autodiff())?;
        let (recipe, _) = self.trial(ADAPTING, 0);
        let job =
            Job { cases: &self.train, loss: &strategy, recipe: &recipe, seed: self.seed, sequence: ADAPTING_SEQUENCE };
        let mut constants = Vec::new();
        let outcome = train(network, &job, &mut |step| {
            constants.clone_from(&step.moving);
            !self.stop.load(Ordering::SeqCst)
        });
        Ok(match (outcome, strategy.kind) {
            (Training::Stopped, _) => None,
            (Training::Diverged { step }, _) => Some(Outcome::Diverged { step }),
            (Training::Failed(fault), _) => return Err(fault),
            (Training::Finished(_), Kind::Greedy { loss, greedy, .. }) => {
                Some(Outcome::Adapted { loss: greedy.at(&loss, &constants).canonical().to_string() })
            }
            (Training::Finished(_), _) => Some(unmoved),
        })
    }

    fn score(&self, network: &UNet3d) -> Result<Score> {
        let mut score = Score { dice: Vec::new(), hd95_mm: Vec::new() };
        let network = nn::inference(network);
        for case in &self.validation {
            let mask = predict(&network, case, self.config.window())?;
            phase::end(Phase::Predict);
            let truth = case.native_label.whole()?;
            let classes = case.classes() as f64;
            let (mut dice, mut hd95) = (0.0, 0.0);
            for class in 1..=case.classes() as u8 {
                let metrics = evaluate(&mask, &truth, class)?;
                // A class that is neither there nor predicted is right; one that is missed is as far off as can be.
                let (overlap, distance) = (metrics.value(Metric::Dice), metrics.value(Metric::Hd95));
                dice += if overlap.is_nan() { 1.0 } else { overlap };
                hd95 += if distance.is_nan() { 0.0 } else { distance.min(metrics.diagonal_mm) };
            }
            score.dice.push(dice / classes);
            score.hd95_mm.push(hd95 / classes);
            phase::end(Phase::Judge);
        }
        Ok(score)
    }
}

/// How many rungs below the last one.
fn depth(part: u32) -> u64 {
    u64::from(part.max(1).ilog(3)).min(RUNGS - 1)
}

fn start_file(start: usize) -> String {
    format!("start-{start}.safetensors")
}

fn unfinished_start() -> Fault {
    Fault::stopped(
        "stopped while making the shared starts; those that are unfinished begin anew when the run is resumed",
    )
}

impl Judge<'_> {
    /// What becomes of one loss; `None` if the work was stopped.
    fn judge(&self, trial: Trial, loss: &Formula) -> Result<Option<Outcome>> {
        let proxy = &self.proxy;
        let scratch = matches!(trial, Trial::Scratch { .. } | Trial::Sift { .. });
        phase::begin(if scratch { Stage::Scratch } else { Stage::Candidates });
        match trial {
            Trial::Proxy { part, replicate } => {
                // Rungs take turns, too: nobody comes through by suiting a single start.
                let start = (depth(part) as usize + replicate as usize) % self.starts.len();
                let (recipe, sequence) = proxy.trial(part, replicate);
                proxy.train_from(&self.starts[start], &recipe, sequence, loss)
            }
            Trial::Adapt => proxy.adapt(&self.starts[depth(ADAPTING) as usize % self.starts.len()], loss),
            Trial::Rate { times, over, replicate } => {
                let start = replicate as usize % self.starts.len();
                let (recipe, sequence) = proxy.trial(1, replicate);
                let learning_rate = recipe.learning_rate * f64::from(times) / f64::from(over);
                proxy.train_from(&self.starts[start], &Recipe { learning_rate, ..recipe }, sequence, loss)
            }
            Trial::Sift { part, replicate } => {
                let (fresh, recipe, sequence) = proxy.sift(part, replicate);
                proxy.train_from(&fresh, &recipe, sequence, loss)
            }
            Trial::Scratch { replicate } => {
                let (fresh, sequence) = match replicate {
                    // As the first start began: a loss that trains at all is seen to do so where Dice + CE did.
                    0 => (proxy.fresh(0), WARM_SEQUENCE),
                    more => (proxy.fresh(FRESH + more as usize), SCRATCH_SEQUENCES + u64::from(more)),
                };
                let recipe = Recipe { steps: proxy.config.scratch_steps(), ..proxy.config.recipe.clone() };
                proxy.train_from(&fresh, &recipe, sequence, loss)
            }
        }
    }
}

impl Evaluator for Judge<'_> {
    fn context(&self) -> Vec<(String, String)> {
        let proxy = &self.proxy;
        let ids = |cases: &[Arc<Case>]| cases.iter().map(|case| case.id.clone()).collect::<Vec<_>>().join(" ");
        let mut context = settings("proxy", proxy.config).expect("settings are plain values");
        context.extend(
            [
                ("network", format!("{:?}", proxy.network)),
                ("train", ids(&proxy.train)),
                ("validation", ids(&proxy.validation)),
                ("data_digest", proxy.digest.to_string()),
                ("proxy.seed", proxy.seed.to_string()),
                ("kernels", nn::kernel_path().name_at(proxy.config.recipe.precision)),
                ("probes", fingerprint::PROBES_VERSION.to_string()),
            ]
            .map(|(name, value)| (name.to_string(), value)),
        );
        context
    }

    fn steps(&self, trial: Trial) -> u64 {
        match trial {
            Trial::Proxy { part, replicate } => self.proxy.trial(part, replicate).0.steps as u64,
            Trial::Adapt => self.proxy.trial(ADAPTING, 0).0.steps as u64,
            Trial::Rate { replicate, .. } => self.proxy.trial(1, replicate).0.steps as u64,
            Trial::Sift { part, .. } => self.proxy.sift_steps(part) as u64,
            Trial::Scratch { .. } => self.proxy.config.scratch_steps() as u64,
        }
    }

    fn evaluate(&self, trial: Trial, losses: &[Formula], done: &mut dyn FnMut(usize, Result<Outcome>) -> bool) {
        let proxy = &self.proxy;
        workers::run(
            losses.len(),
            proxy.threads,
            proxy.stop,
            |job| self.judge(trial, &losses[job]),
            &mut |job, result| match result {
                Ok(Ok(Some(outcome))) => done(job, Ok(outcome)),
                Ok(Ok(None)) => false,
                Ok(Err(fault)) => done(job, Err(fault)),
                Err(reason) => done(job, Err(Fault::failed(reason))),
            },
        );
    }
}
