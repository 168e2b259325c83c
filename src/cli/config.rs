//! `configs/*.ron`: everything that decides a run, in one document.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Common;
use crate::data::{Dataset, Phantom, Preprocess};
use crate::evolution::SearchConfig;
use crate::fault::{Fault, Result};
use crate::formula::eval::Activation;
use crate::losses::form::{Classes, Form};
use crate::nn::UNet3dConfig;
use crate::notation;
use crate::training::Recipe;
use crate::training::infer::Window;
use crate::training::proxy::ProxyConfig;

/// The only version of the file format so far.
const VERSION: u32 = 1;

/// A whole experiment: search and final trainings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    pub(super) version: u32,
    pub(super) seed: u64,
    pub(super) data: Source,
    #[serde(default)]
    pub(super) preprocess: Preprocess,
    #[serde(default)]
    pub(super) split: Split,
    #[serde(default)]
    pub(super) network: Network,
    #[serde(default)]
    pub(super) proxy: ProxyConfig,
    #[serde(default)]
    pub(super) search: SearchConfig,
    #[serde(default)]
    pub(super) train: TrainConfig,
}

/// Where the cases come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Source {
    /// Made up from a seed.
    Phantoms(Phantom),
    /// A folder in the form of the Medical Segmentation Decathlon.
    Decathlon(PathBuf),
}

/// Shares of the cases that the search does not train on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Split {
    /// Judges candidates.
    pub(super) validation: f64,
    /// Never seen by the search: final trainings and verdicts.
    pub(super) held_out: f64,
}

impl Default for Split {
    fn default() -> Self {
        Self { validation: 0.2, held_out: 0.5 }
    }
}

/// Size of the 3D U-Net; channels follow from the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Network {
    /// Feature maps of the first level; each further level has twice as many.
    pub(super) width: usize,
    /// Levels, each at half the resolution of the one above.
    pub(super) levels: usize,
    /// How outputs become probabilities; with a softmax the background has an output of its own.
    pub(super) activation: Activation,
}

impl Default for Network {
    fn default() -> Self {
        Self { width: 8, levels: 3, activation: Activation::Sigmoid }
    }
}

/// Final trainings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TrainConfig {
    /// Number of folds.
    pub(super) folds: usize,
    /// How each network is trained.
    pub(super) recipe: Recipe,
    /// How test volumes are predicted.
    pub(super) window: Window,
}

impl Default for TrainConfig {
    fn default() -> Self {
        let recipe = Recipe { steps: 1000, ..Recipe::default() };
        let window = Window::Sliding { patch: recipe.patches.patch, overlap: 0.5 };
        Self { folds: 3, recipe, window }
    }
}

impl Config {
    /// The configuration that was asked for: a file, or a built-in one that fits the data, with what was typed on top.
    ///
    /// # Errors
    /// If the file is not a configuration, or a value is out of its range.
    pub(super) fn resolve(file: Option<&Path>, common: &Common) -> Result<Self> {
        let mut config = match (file, &common.data) {
            (Some(file), _) => notation::load(file)?,
            (None, None) => built_in("smoke.ron", include_str!("../../configs/smoke.ron")),
            (None, Some(_)) => built_in("evolve.ron", include_str!("../../configs/evolve.ron")),
        };
        if let Some(folder) = &common.data {
            config.data = Source::Decathlon(folder.clone());
        }
        // A run is continued and its winner trained from any directory.
        if let Source::Decathlon(folder) = &mut config.data
            && let Ok(whole) = std::fs::canonicalize(&*folder)
        {
            *folder = whole;
        }
        if let Some(seed) = common.seed {
            config.seed = seed;
        }
        config.check().map_err(|fault| match file {
            Some(file) => fault.file(file),
            None => fault,
        })?;
        Ok(config)
    }

    /// Whether a run can be made of it.
    ///
    /// # Errors
    /// The first value out of its range.
    pub(super) fn check(&self) -> Result<()> {
        if self.version != VERSION {
            return Err(Fault::new("unknown version of a configuration")
                .field("version")
                .expected(VERSION)
                .found(self.version));
        }
        let sizes = [("network.width", self.network.width, 1..=512), ("network.levels", self.network.levels, 1..=7)];
        for (field, size, range) in sizes {
            if !range.contains(&size) {
                return Err(Fault::new("setting out of range")
                    .field(field)
                    .expected(format!("{} to {}", range.start(), range.end()))
                    .found(size));
            }
        }
        self.train.window.check().map_err(|fault| fault.field("train.window"))?;
        self.proxy.check().map_err(|fault| fault.hint("the setting is in `proxy`"))?;
        self.train.recipe.check().map_err(|fault| fault.hint("the setting is in `train.recipe`"))?;
        let multiple = self.unet(1).multiple();
        for (field, recipe) in [("proxy.recipe", &self.proxy.recipe), ("train.recipe", &self.train.recipe)] {
            if recipe.patches.patch.iter().any(|n| n % multiple != 0) {
                return Err(Fault::new("patch does not fit the network")
                    .field(format!("{field}.patches.patch"))
                    .expected(format!("multiples of {multiple}, for {} levels", self.network.levels))
                    .found(format!("{:?}", recipe.patches.patch)));
            }
        }
        self.search.check()?;
        self.preprocess.validate()
    }

    /// Reads or makes the cases.
    ///
    /// # Errors
    /// If the data cannot be used.
    pub(super) fn dataset(&self) -> Result<Dataset> {
        match &self.data {
            Source::Phantoms(phantom) => phantom.dataset(&self.preprocess),
            Source::Decathlon(folder) => Dataset::load(folder, &self.preprocess),
        }
    }

    /// The network for a number of foreground classes.
    pub(super) fn unet(&self, classes: usize) -> UNet3dConfig {
        let background = usize::from(self.network.activation == Activation::Softmax);
        let out_channels = classes + background;
        UNet3dConfig { in_channels: 1, out_channels, width: self.network.width, levels: self.network.levels }
    }

    /// The form of losses for a number of foreground classes.
    pub(super) fn form(&self, classes: usize) -> Form {
        let classes = match self.network.activation {
            Activation::Sigmoid => Classes::Foreground,
            Activation::Softmax => Classes::Softmax(classes + 1),
        };
        Form { classes, ..Form::default() }
    }
}

fn built_in(name: &str, text: &str) -> Config {
    notation::from_text(name, text).expect("built-in configurations are tested to load")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_configuration_can_be_run() {
        for (name, text) in [
            ("smoke.ron", include_str!("../../configs/smoke.ron")),
            ("evolve.ron", include_str!("../../configs/evolve.ron")),
        ] {
            let config = built_in(name, text);
            config.check().unwrap_or_else(|fault| panic!("{name}: {fault}"));
            let again: Config = notation::from_text(name, &notation::to_text(&config).unwrap()).unwrap();
            assert_eq!(again, config, "{name} does not survive being written");
        }
    }
}
