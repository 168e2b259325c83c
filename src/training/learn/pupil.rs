//! A network that is trained with the loss while the loss is learned from it.

use burn::optim::SgdConfig;
use burn::tensor::{Tensor, TensorData};

use super::School;
use super::adam::Adam;
use super::teaching::{Learnt, Taken, Task, inputs, propagated};
use crate::fault::Result;
use crate::losses::learned::Learned;
use crate::nn::{self, UNet3d, floats};
use crate::rng::{Purpose, stream};

/// The network, and where its training stands.
pub(super) struct Pupil {
    pub(super) place: usize,
    /// Steps since it was born.
    pub(super) age: usize,
    /// How often it was born again.
    pub(super) lives: usize,
    pub(super) network: UNet3d,
    pub(super) adam: Adam,
}

impl Pupil {
    pub(super) fn new(school: &School<'_>, place: usize, lives: usize) -> Self {
        let weights = &mut stream(school.seed, Purpose::Weights, super::ADDRESS + 1 + place as u64, lives as u64);
        let network = school.network.init(weights, &nn::device().autodiff());
        Self { place, age: 0, lives, network, adam: Adam::new(school.network.parameters()) }
    }

    /// Steps of this life. First lives are of different lengths, so that from then on the networks have different ages.
    fn life(&self, school: &School<'_>) -> usize {
        let (steps, networks) = (school.config.recipe.steps, school.config.networks);
        if self.lives == 0 { (steps * (networks - self.place)).div_ceil(networks) } else { steps }
    }

    /// One step of the network with a loss that is `factor` times as large, and what the loss learns from it. `None` where
    /// there is nothing to learn; a network that is not finite any more is born again.
    ///
    /// # Errors
    /// If cases cannot be read any more.
    pub(super) fn step(
        &mut self,
        school: &School<'_>,
        loss: &Learned,
        factor: f64,
        task: &Task,
        number: usize,
    ) -> Result<Option<Learnt>> {
        let recipe = &school.config.recipe;
        if self.age >= self.life(school) {
            *self = Self::new(school, self.place, self.lives + 1);
        }
        let batch = school.batch(Purpose::Batch, self.place, number)?;
        let image = TensorData::new(batch.image.clone(), batch.shape);
        let image = Tensor::<5>::from_data(image, &nn::device().autodiff());
        let logits = self.network.forward_at(recipe.precision, image.clone());
        let outputs = floats(logits.clone());
        let inputs = inputs(&batch, &outputs, recipe.progress(self.age));
        let table = loss.table(inputs.progress);
        let mut slopes = vec![0f32; outputs.len()];
        table.gradient(&inputs, &mut slopes);
        for slope in &mut slopes {
            *slope = (f64::from(*slope) * factor) as f32;
        }
        let mut gradients = propagated(&self.network, logits, slopes);
        if !nn::clip_global_norm(&self.network, &mut gradients, super::CLIP).is_finite() {
            *self = Self::new(school, self.place, self.lives + 1);
            return Ok(None);
        }
        let gradient = nn::flatten(&self.network, &gradients);
        let way = self.adam.step(&gradient.iter().map(|g| f64::from(*g)).collect::<Vec<_>>());
        let way: Vec<f32> = way.into_iter().map(|way| way as f32).collect();
        let before = self.network.clone();
        let way = nn::unflatten(&before, &way);
        self.network = SgdConfig::new().init().step(recipe.rate(self.age), before.clone(), way);
        self.age += 1;
        let taken = Taken {
            before: &before,
            after: &self.network,
            image: &image,
            inputs: &inputs,
            loss,
            table: &table,
            gradient: &gradient,
            spread: &self.adam.spread(),
        };
        Ok(taken.teach(task, &school.batch(Purpose::Trial, self.place, number)?))
    }
}
