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
use crate::training::learn::LearnConfig;
use crate::training::proxy::ProxyConfig;

/// The only version of the file format so far.
const VERSION: u32 = 1;

/// Most parameters of a network: 0.8 GB, and four times that with their gradients and the moments of Adam. The largest
/// networks of the field have a sixth.
const MOST_PARAMETERS: usize = 200_000_000;

/// Most values of the first level, for all patches of a batch together: 4 GB for each of its dozen tensors.
const MOST_VALUES: f64 = 1e9;

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
    pub(super) learn: LearnConfig,
    #[serde(default)]
    pub(super) train: TrainConfig,
}

/// Where the cases come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Source {
    /// Made up from a seed.
    Phantoms(Phantom),
    /// A folder in any layout that is known; the name is that of the first one, and stands in the runs of people.
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
    /// Folds that are given instead, as nnU-Net's `splits_final.json`.
    pub(super) splits: Option<PathBuf>,
    /// How each network is trained.
    pub(super) recipe: Recipe,
    /// How test volumes are predicted.
    pub(super) window: Window,
}

impl Default for TrainConfig {
    fn default() -> Self {
        let recipe = Recipe { steps: 1000, ..Recipe::default() };
        let window = Window::Sliding { patch: recipe.patches.patch, overlap: 0.5 };
        Self { folds: 3, splits: None, recipe, window }
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
        config.locate(common.data.as_deref());
        if let Some(seed) = common.seed {
            config.seed = seed;
        }
        config.check().map_err(|fault| match file {
            Some(file) => fault.file(file),
            None => fault,
        })?;
        Ok(config)
    }

    /// Takes the cases from `folder`, if one is given, and from wherever they are by the whole path: a run is continued
    /// and its winner trained from any directory. Whether there is such a folder is found out when it is read.
    pub(super) fn locate(&mut self, folder: Option<&Path>) {
        if let Some(folder) = folder {
            self.data = Source::Decathlon(folder.to_path_buf());
        }
        if let Source::Decathlon(folder) = &mut self.data
            && let Ok(whole) = std::fs::canonicalize(&*folder)
        {
            *folder = whole;
        }
    }

    /// Whether a run can be made of it.
    ///
    /// # Errors
    /// The first value out of its range.
    pub(super) fn check(&self) -> Result<()> {
        self.settings().map_err(|fault| {
            fault.or_hint("change it in the configuration; a setting that is left out has a default that works")
        })
    }

    fn settings(&self) -> Result<()> {
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
        if let Source::Decathlon(folder) = &self.data
            && folder.to_str().is_none()
        {
            return Err(Fault::new("a run cannot write down where its data are")
                .field("data")
                .expected("a path in UTF-8")
                .found(folder.display())
                .hint("rename the folder"));
        }
        self.train.window.check().map_err(|fault| fault.within("train.window"))?;
        self.proxy.check().map_err(|fault| fault.within("proxy"))?;
        self.train.recipe.check().map_err(|fault| fault.within("train.recipe"))?;
        self.learn.check().map_err(|fault| fault.within("learn"))?;
        self.fits_in_memory()?;
        let multiple = self.unet(1, 1).multiple();
        let recipes = [
            ("proxy.recipe", &self.proxy.recipe),
            ("learn.recipe", &self.learn.recipe),
            ("train.recipe", &self.train.recipe),
        ];
        for (field, recipe) in recipes {
            if recipe.patches.patch.iter().any(|n| n % multiple != 0) {
                return Err(Fault::new("patch does not fit the network")
                    .field(format!("{field}.patches.patch"))
                    .expected(format!("multiples of {multiple}, for {} levels", self.network.levels))
                    .found(format!("{:?}", recipe.patches.patch)));
            }
        }
        self.search.check()?;
        self.preprocess.validate().map_err(|fault| fault.within("preprocess"))
    }

    /// Sizes that are fine one by one and absurd together.
    fn fits_in_memory(&self) -> Result<()> {
        let parameters = self.unet(1, 1).parameters();
        if parameters > MOST_PARAMETERS {
            return Err(Fault::new("network is impossibly large")
                .field("network.width, network.levels")
                .expected(format!("at most {MOST_PARAMETERS} parameters"))
                .found(format!("{parameters} parameters"))
                .hint("every level more doubles the feature maps; lower the width or the levels"));
        }
        let batch = |recipe: &Recipe| (recipe.patches.patch, recipe.patches.batch);
        let seen = |window: Window| if let Window::Sliding { patch, .. } = window { (patch, 1) } else { ([0; 3], 0) };
        let sizes = [
            ("proxy.recipe.patches", batch(&self.proxy.recipe)),
            ("train.recipe.patches", batch(&self.train.recipe)),
            ("proxy.window.patch", seen(self.proxy.window)),
            ("train.window.patch", seen(self.train.window)),
        ];
        for (field, (patch, batch)) in sizes {
            let values = patch.iter().chain([&batch, &self.network.width]).map(|n| *n as f64).product::<f64>();
            if values > MOST_VALUES {
                return Err(Fault::new("patches are impossibly large for the network")
                    .field(field)
                    .expected(format!("at most {MOST_VALUES:e} values in the first level: voxels times network.width"))
                    .found(format!("{batch} patch(es) of {patch:?} with {} feature maps", self.network.width))
                    .hint("use smaller patches, fewer of them, or a narrower network"));
            }
        }
        Ok(())
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

    /// The network for a number of channels and of foreground classes.
    pub(super) fn unet(&self, in_channels: usize, classes: usize) -> UNet3dConfig {
        let background = usize::from(self.network.activation == Activation::Softmax);
        let out_channels = classes + background;
        UNet3dConfig { in_channels, out_channels, width: self.network.width, levels: self.network.levels }
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
            ("proxy-one-start.ron", include_str!("../../configs/proxy-one-start.ron")),
            ("proxy-three-starts.ron", include_str!("../../configs/proxy-three-starts.ron")),
            ("proxy-long.ron", include_str!("../../configs/proxy-long.ron")),
            ("grammar.ron", include_str!("../../configs/grammar.ron")),
        ] {
            let config = built_in(name, text);
            config.check().unwrap_or_else(|fault| panic!("{name}: {fault}"));
            let again: Config = notation::from_text(name, &notation::to_text(&config).unwrap()).unwrap();
            assert_eq!(again, config, "{name} does not survive being written");
        }
    }
}
