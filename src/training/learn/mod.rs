//! Learning a loss (Bechtle et al. 2021, ML3; Raymond et al. 2025, AdaLFL): which slopes should a loss have, so that a step
//! along them makes a network better at its task?
//!
//! For a network with parameters w, a loss with weights f and a step `w' = w - P dL/dw` of an optimiser that divides by P's
//! inverse, the task after the step moves with f as `dT/df = -sum_i (d slope_i / df) dz_i`, where dz is how the outputs z
//! move along `P dT/dw'`: two more passes forward give it as a difference, so nothing is differentiated twice. Only its
//! direction counts, because every loss is used with a gradient of one size: what is climbed is the cosine of both
//! gradients of the network, measured by P. (Measured by the slopes themselves, a loss learns to move all outputs together,
//! because networks move that way most easily: the cosine of slopes and dz ends in losses that empty every mask.) Several
//! networks of different ages learn side by side, each from its own weights; the loss meets all phases of a training in
//! every lesson, instead of the first step alone, which is what made published losses short-sighted. The gradient of the
//! task at w' and P are held constant, though both move with f, and P has Adam's divisor and not its momentum: what is
//! judged is the gradient of this step, not the steps before.

mod adam;
pub(in crate::training) mod online;
mod pupil;
mod snapshot;
mod teaching;

use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::adam::Adam;
use self::pupil::Pupil;
use self::teaching::{Learnt, Task};
use super::trainer::CLIP;
use super::{Optimizer, Recipe};
use crate::data::Case;
use crate::data::patches::Batch;
use crate::fault::{Fault, Result};
use crate::formula::Formula;
use crate::formula::fingerprint::{Probe, probes};
use crate::gates::gradient_factor_of;
use crate::losses::learned::{Learned, Listens};
use crate::nn::UNet3dConfig;
use crate::rng::{Purpose, stream};

/// Places of random streams from here on belong to the learning of losses.
const ADDRESS: u64 = 1 << 20;

/// How a loss is learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LearnConfig {
    /// Lessons: steps of the optimiser of the loss.
    pub lessons: usize,
    /// Networks that learn side by side, evenly spread over the ages of a training. One alone grows from lesson to lesson,
    /// and the loss with it, as in `AdaLFL`.
    pub networks: usize,
    /// Units of each hidden layer of the loss.
    pub hidden: usize,
    /// Learning rate of Adam for the loss; falls to a tenth along a cosine.
    pub learning_rate: f64,
    /// What a network is to be good at: a loss of the catalog, or a formula.
    pub task: String,
    /// To what the loss listens beside prediction and target.
    pub listens: Listens,
    /// How the networks are trained; its steps are the life of a network.
    pub recipe: Recipe,
}

impl Default for LearnConfig {
    fn default() -> Self {
        Self {
            lessons: 600,
            networks: 4,
            hidden: 16,
            learning_rate: 5e-3,
            task: "dice_ce".to_string(),
            listens: Listens::default(),
            recipe: Recipe::default(),
        }
    }
}

impl LearnConfig {
    /// Whether a loss can be learned so.
    ///
    /// # Errors
    /// The first value out of its range.
    pub fn check(&self) -> Result<()> {
        let out = |field: &str, expected: &str, found: String| {
            Err(Fault::new("setting out of range").field(field).expected(expected).found(found))
        };
        if self.lessons == 0 {
            return out("lessons", "at least 1", self.lessons.to_string());
        }
        if !(1..=64).contains(&self.networks) {
            return out("networks", "1 to 64", self.networks.to_string());
        }
        if !(1..=1024).contains(&self.hidden) {
            return out("hidden", "1 to 1024", self.hidden.to_string());
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return out("learning_rate", "a positive number", self.learning_rate.to_string());
        }
        if self.recipe.optimizer != Optimizer::Adam {
            return Err(Fault::new("losses are learned through steps of Adam")
                .field("recipe.optimizer")
                .expected("none, or `Adam`")
                .found(format!("{:?}", self.recipe.optimizer))
                .hint("leave it out of `learn`; final trainings may have another one"));
        }
        self.recipe.check().map_err(|fault| fault.within("recipe"))
    }
}

/// On what a loss is learned.
pub struct School<'a> {
    /// Cases of the networks.
    pub cases: &'a [Arc<Case>],
    /// Shape of the networks.
    pub network: UNet3dConfig,
    /// How.
    pub config: &'a LearnConfig,
    /// What a network is to be good at.
    pub task: Formula,
    /// Seed of everything.
    pub seed: u64,
}

/// A finished lesson: means over the networks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lesson {
    /// Its number, from 0.
    pub number: usize,
    /// Cosine between the gradient of the loss and that of the task, of all parameters.
    pub cosine: f64,
    /// The task after the step, on other patches; not a number if no network could be taught from.
    pub task: f64,
}

impl School<'_> {
    fn batch(&self, purpose: Purpose, place: usize, number: usize) -> Result<Batch> {
        let rng = &mut stream(self.seed, purpose, ADDRESS + place as u64, number as u64);
        self.config.recipe.patches.batch(self.cases, &self.config.recipe.augment, rng)
    }
}

/// A loss that is being learned.
pub struct Course<'a> {
    school: &'a School<'a>,
    task: Task,
    probes: Vec<Probe>,
    loss: Learned,
    adam: Adam,
    pupils: Vec<Pupil>,
    lessons: Vec<Lesson>,
}

impl<'a> Course<'a> {
    /// Begins with a random loss and random networks.
    pub fn begin(school: &'a School<'a>) -> Self {
        let School { config, task, seed, .. } = school;
        let loss = Learned::random(config.listens, config.hidden, &mut stream(*seed, Purpose::Weights, ADDRESS, 0));
        Self {
            task: Task::new(task),
            probes: probes(),
            adam: Adam::new(loss.net().weights().len()),
            loss,
            pupils: (0..config.networks).map(|place| Pupil::new(school, place, 0)).collect(),
            lessons: Vec::new(),
            school,
        }
    }

    /// Whether all lessons were given.
    pub fn is_over(&self) -> bool {
        self.lessons.len() >= self.total()
    }

    /// How many lessons there will be.
    pub fn total(&self) -> usize {
        self.school.config.lessons
    }

    /// All lessons so far.
    pub fn lessons(&self) -> &[Lesson] {
        &self.lessons
    }

    /// The loss as it is written.
    pub fn loss(&self) -> Learned {
        self.loss.clone().rounded()
    }

    /// A step of every network, and then one of the loss.
    ///
    /// # Errors
    /// If cases cannot be read any more.
    pub fn lesson(&mut self) -> Result<Lesson> {
        let Self { school, task, probes, loss, adam, pupils, lessons } = self;
        let (config, number) = (school.config, lessons.len());
        let factor = gradient_factor_of(&loss.slopes(probes));
        // All of them take their step, so that the fault is the first by place and not by time.
        let learnt: Vec<Result<Option<Learnt>>> =
            pupils.par_iter_mut().map(|pupil| pupil.step(school, loss, factor, task, number)).collect();
        let learnt: Vec<Option<Learnt>> = learnt.into_iter().collect::<Result<_>>()?;
        let learnt: Vec<Learnt> = learnt.into_iter().flatten().collect();
        let count = learnt.len() as f64;
        if !learnt.is_empty() {
            let mut downhill = vec![0.0; loss.net().weights().len()];
            for Learnt { uphill, .. } in &learnt {
                downhill.iter_mut().zip(uphill).for_each(|(sum, own)| *sum -= own / count);
            }
            let share = number as f64 / config.lessons as f64;
            let rate = config.learning_rate * (0.55 + 0.45 * (std::f64::consts::PI * share).cos());
            let way = adam.step(&downhill);
            loss.weights_mut().iter_mut().zip(way).for_each(|(weight, way)| *weight -= rate * way);
        }
        let mean = |of: fn(&Learnt) -> f64| learnt.iter().map(of).sum::<f64>() / count;
        let lesson = Lesson { number, cosine: mean(|learnt| learnt.cosine), task: mean(|learnt| learnt.task) };
        lessons.push(lesson);
        Ok(lesson)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{PatchSampler, Phantom, Preprocess};
    use crate::losses::named;

    #[test]
    fn a_course_that_was_saved_goes_on_as_if_it_had_not_been() {
        let phantom = Phantom { cases: 3, shape: [16, 16, 12], seed: 4 };
        let cases = phantom.dataset(&Preprocess::default()).unwrap().cases;
        let patches = PatchSampler { patch: [8, 8, 8], batch: 1, ..PatchSampler::default() };
        // Short lives, so that networks are born again before and behind the interruption.
        let recipe = Recipe { steps: 3, patches, ..Recipe::default() };
        let listens = Listens { progress: true, distance: true };
        let config = LearnConfig { lessons: 8, networks: 2, hidden: 3, listens, recipe, ..LearnConfig::default() };
        let network = UNet3dConfig { width: 2, levels: 2, ..UNet3dConfig::default() };
        let task = named("dice").unwrap().formula;
        let school = School { cases: &cases, network, config: &config, task, seed: 6 };
        let mut whole = Course::begin(&school);
        let mut saved = Vec::new();
        while !whole.is_over() {
            if whole.lessons().len() == 5 {
                saved = whole.save().unwrap();
            }
            whole.lesson().unwrap();
        }
        let mut rest = Course::load(&school, &saved).unwrap();
        while !rest.is_over() {
            rest.lesson().unwrap();
        }
        assert_eq!(rest.lessons(), whole.lessons());
        assert_eq!(rest.loss(), whole.loss());
        assert!(whole.save().unwrap() == rest.save().unwrap());
        let ages: Vec<(usize, usize)> = whole.pupils.iter().map(|pupil| (pupil.age, pupil.lives)).collect();
        // Lives of 3, 3 and 2 steps so far, and of 2, 3 and 3.
        assert_eq!(ages, [(2, 2), (3, 2)]);

        assert!(Course::load(&school, &saved[..saved.len() - 1]).is_err() && Course::load(&school, b"").is_err());
        let other = LearnConfig { networks: 3, ..config.clone() };
        let other = School { config: &other, task: school.task.clone(), ..school };
        assert!(Course::load(&other, &saved).is_err());
    }
}
