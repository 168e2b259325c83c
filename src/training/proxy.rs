//! The bridge between the search and the networks: a candidate's fitness is what a short training makes of it.
//!
//! All candidates start from the same weights, made once by Dice + CE, and see the same patches in the same order. The
//! shared start is what makes the proxy honest: measured on hippocampus volumes, 450 steps from scratch rank the losses
//! of the catalog backwards (Kendall tau -0.2 with the long run), 300 steps from a start of 900 rank them right (+0.8).
//!
//! A shared start has a blind spot of its own: losses that polish a trained network but never train one (the worst tenth
//! of abs(p - y), say, gained 0.14 Dice on phantoms and reached 0.18 alone). So the best of a generation must also train a
//! fresh network, to a share of what Dice + CE reached in the same steps when it made the shared start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::infer::{Window, predict};
use super::{Job, Outcome as Training, Recipe, train, workers};
use crate::data::Case;
use crate::evolution::{Evaluator, Outcome, Score, Trial};
use crate::fault::{Fault, Result};
use crate::formula::Formula;
use crate::formula::fingerprint;
use crate::losses::catalog;
use crate::losses::strategy::Strategy;
use crate::metrics::{Metric, evaluate};
use crate::nn::{self, UNet3d, UNet3dConfig, Weights};
use crate::rng::{Purpose, stream};
use crate::run::RunDir;

/// Settings of the short trainings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProxyConfig {
    /// Steps of Dice + CE that make the shared start, and of the training from scratch that the best must survive.
    pub warm_steps: usize,
    /// Share of the shared start's Dice that a training from scratch must reach.
    pub scratch_share: f64,
    /// The training of a candidate.
    pub recipe: Recipe,
    /// How validation volumes are predicted.
    pub window: Window,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        let recipe = Recipe::default();
        let window = Window::Sliding { patch: recipe.patches.patch, overlap: 0.5 };
        Self { warm_steps: 600, scratch_share: 0.5, recipe, window }
    }
}

impl ProxyConfig {
    /// Whether trainings can be made of it.
    ///
    /// # Errors
    /// The first value out of its range.
    pub fn check(&self) -> Result<()> {
        if self.warm_steps == 0 {
            return Err(Fault::new("setting out of range").field("warm_steps").expected("at least 1").found(0));
        }
        if !(0.0..=1.0).contains(&self.scratch_share) {
            return Err(Fault::new("setting out of range")
                .field("scratch_share")
                .expected("0 to 1")
                .found(self.scratch_share));
        }
        self.window.check().map_err(|fault| fault.within("window"))?;
        self.recipe.check().map_err(|fault| fault.within("recipe"))
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
    fresh: Weights,
    start: Weights,
    /// How good the shared start is: what Dice + CE reaches from scratch.
    control: Score,
}

/// Sequences of patches under the seed.
const WARM_SEQUENCE: u64 = 0;
const CANDIDATE_SEQUENCE: u64 = 1;

impl<'a> Proxy<'a> {
    /// Makes the shared start, or reads it if the run has one; `watch` is told every step and says whether to go on.
    ///
    /// # Errors
    /// If the run cannot be read or written, holds another network, or the work was stopped.
    pub fn prepare(self, run: &RunDir, watch: &(dyn Fn(usize, f64) -> bool + Sync)) -> Result<Judge<'a>> {
        let rng = &mut stream(self.seed, Purpose::Weights, 0, 0);
        let fresh = Weights::of(&self.network.init(rng, &nn::device()));
        let start = self.start(&fresh, run, watch)?;
        let mut control = None;
        let work = |_| start.network(&nn::device()).and_then(|network| self.score(&network));
        workers::run(1, self.threads, self.stop, work, &mut |_, result| {
            control = Some(result);
            true
        });
        match control {
            Some(Ok(control)) => Ok(Judge { proxy: self, fresh, start, control: control? }),
            Some(Err(reason)) => Err(Fault::failed(format!("the shared start could not be judged: {reason}"))),
            None => Err(Fault::stopped("stopped after making the shared start, which is saved")),
        }
    }

    fn start(&self, fresh: &Weights, run: &RunDir, watch: &(dyn Fn(usize, f64) -> bool + Sync)) -> Result<Weights> {
        let file = run.file("start.safetensors");
        if file.exists() {
            let bytes = std::fs::read(&file).map_err(|error| Fault::io("read", &file, &error))?;
            let network = nn::decode(&bytes, &nn::device()).map_err(|fault| fault.file(&file))?;
            return Ok(Weights::of(&network));
        }
        let recipe = self.long_recipe();
        let loss = Strategy::fixed(control_loss());
        let job = Job { cases: &self.train, loss: &loss, recipe: &recipe, seed: self.seed, sequence: WARM_SEQUENCE };
        let network = fresh.network(&nn::device().autodiff())?;
        let mut outcome = None;
        workers::run(
            1,
            self.threads,
            self.stop,
            |_| train(network.clone(), &job, &mut |step| watch(step.number, step.loss)),
            &mut |_, result| {
                outcome = Some(result);
                true
            },
        );
        match outcome {
            Some(Ok(Training::Finished(network))) => {
                run.write("start.safetensors", &nn::encode(&network)?)?;
                Ok(Weights::of(&network))
            }
            None | Some(Ok(Training::Stopped)) => {
                Err(Fault::stopped("stopped while making the shared start; it begins anew when the run is resumed"))
            }
            Some(Ok(Training::Diverged { step })) => {
                Err(Fault::failed(format!("the shared start diverged at step {step}"))
                    .field("proxy.recipe.learning_rate")
                    .found(recipe.learning_rate)
                    .hint("lower the learning rate"))
            }
            Some(Ok(Training::Failed(fault))) => Err(fault),
            Some(Err(reason)) => Err(Fault::failed(format!("the shared start could not be trained: {reason}"))),
        }
    }

    /// As a candidate's, with the steps of the shared start.
    fn long_recipe(&self) -> Recipe {
        Recipe { steps: self.config.warm_steps, ..self.config.recipe.clone() }
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

    fn score(&self, network: &UNet3d) -> Result<Score> {
        let mut score = Score { dice: Vec::new(), hd95_mm: Vec::new() };
        let network = nn::inference(network);
        for case in &self.validation {
            let mask = predict(&network, case, self.config.window)?;
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
        }
        Ok(score)
    }
}

/// Dice + CE: it makes the shared start.
fn control_loss() -> Formula {
    catalog::find("dice_ce").expect("the catalog has Dice + CE").formula()
}

impl Judge<'_> {
    /// What becomes of one loss; `None` if the work was stopped.
    fn judge(&self, trial: Trial, loss: &Formula) -> Result<Option<Outcome>> {
        let proxy = &self.proxy;
        match trial {
            Trial::SharedStart => proxy.train_from(&self.start, &proxy.config.recipe, CANDIDATE_SEQUENCE, loss),
            // The training that made the shared start need not be repeated.
            Trial::Scratch if loss.canonical() == control_loss().canonical() => {
                Ok(Some(Outcome::Trained(self.control.clone())))
            }
            Trial::Scratch => {
                let outcome = proxy.train_from(&self.fresh, &proxy.long_recipe(), WARM_SEQUENCE, loss)?;
                let least = proxy.config.scratch_share * self.control.mean_dice();
                Ok(outcome.map(|outcome| match outcome.score().map(Score::mean_dice) {
                    Some(dice) if dice < least => Outcome::Stalled { dice },
                    _ => outcome,
                }))
            }
        }
    }
}

impl Evaluator for Judge<'_> {
    fn context(&self) -> String {
        let proxy = &self.proxy;
        let ids = |cases: &[Arc<Case>]| cases.iter().map(|case| case.id.clone()).collect::<Vec<_>>();
        let everything = format!(
            "{:?}",
            (
                proxy.config,
                &proxy.network,
                ids(&proxy.train),
                ids(&proxy.validation),
                proxy.digest,
                proxy.seed,
                nn::kernel_path().name_at(proxy.config.recipe.precision),
                fingerprint::PROBES_VERSION,
            )
        );
        blake3::hash(everything.as_bytes()).to_hex()[..16].to_string()
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
