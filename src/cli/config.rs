//! `configs/*.ron`: everything that decides a run, in one document.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::data::check::before_training;
use super::stopwatch::Stopwatch;
use super::study::CompareConfig;
use super::term::Term;
use super::{Common, user_cache};
use crate::data::augment::Axis;
use crate::data::folds::{self, Holdout};
use crate::data::store::Voxels;
use crate::data::{self, Dataset, Phantom, Preprocess};
use crate::evolution::SearchConfig;
use crate::fault::{Fault, Result};
use crate::formula::eval::Activation;
use crate::losses::form::{Classes, Form};
use crate::nn::UNet3dConfig;
use crate::notation;
use crate::training::Recipe;
use crate::training::infer::{Window, WindowSetting};
use crate::training::learn::LearnConfig;
use crate::training::proxy::ProxyConfig;

/// The only version of the file format so far.
const VERSION: u32 = 1;

/// Most parameters of a network: 0.8 GB, and four times that with their gradients and the moments of Adam. The largest
/// networks of the field have a sixth.
const MOST_PARAMETERS: usize = 200_000_000;

/// Steps between two checkpoints: a minute or two of the trainings that a laptop makes.
const CHECKPOINT: usize = 250;

/// Bytes.
const GIB: f64 = (1_u64 << 30) as f64;

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
    pub(super) cache: Cache,
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
    #[serde(default)]
    pub(super) compare: CompareConfig,
}

/// Where the cases come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Source {
    /// Made up from a seed.
    Phantoms(Phantom),
    /// A folder in any layout that is known; the name is that of the first one, and stands in the runs of people.
    Decathlon(PathBuf),
}

/// Where the cases of large sets are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Cache {
    /// Memory that all cases may need together, in GiB; those of larger sets are kept in files.
    pub(super) above_gib: f64,
    /// The folder of these files; none for that of the person's cache.
    pub(super) folder: Option<PathBuf>,
}

impl Default for Cache {
    fn default() -> Self {
        Self { above_gib: 4.0, folder: None }
    }
}

/// Shares of the cases that the search does not train on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Split {
    /// Judges candidates.
    pub(super) validation: f64,
    /// Never seen by the search: final trainings and verdicts.
    pub(super) held_out: f64,
    /// Seed of the division, where several searches are to be judged on the same cases; the run's own if none is given.
    pub(super) seed: Option<u64>,
}

impl Default for Split {
    fn default() -> Self {
        Self { validation: 0.2, held_out: 0.5, seed: None }
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
    /// Whether kernels and strides differ along the axes.
    pub(super) shape: Shape,
}

/// Kernels and strides along the axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Shape {
    /// As the median spacing of the cases and the patch ask for; alike where voxels are about cubes.
    Auto,
    /// Alike, whatever the voxels are.
    Isotropic,
}

impl Default for Network {
    fn default() -> Self {
        Self { width: 8, levels: 3, activation: Activation::Sigmoid, shape: Shape::Auto }
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
    pub(super) window: WindowSetting,
    /// Axes along which they are mirrored as well; logits are averaged.
    pub(super) mirror: Vec<Axis>,
    /// Steps between two checkpoints of a training: what a kill loses at most. 0 for none.
    pub(super) checkpoint: usize,
}

impl Default for TrainConfig {
    fn default() -> Self {
        let recipe = Recipe { steps: 1000, ..Recipe::default() };
        let window = WindowSetting::default();
        Self { folds: 3, splits: None, recipe, window, mirror: Vec::new(), checkpoint: CHECKPOINT }
    }
}

impl TrainConfig {
    /// How test volumes are predicted.
    pub(super) fn window(&self) -> Window {
        self.window.of(self.recipe.patches.patch)
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
        if !(self.cache.above_gib >= 0.0 && self.cache.above_gib.is_finite()) {
            return Err(Fault::new("setting out of range")
                .field("cache.above_gib")
                .expected("a number of GiB, 0 to keep every set in files")
                .found(self.cache.above_gib));
        }
        self.proxy.check().map_err(|fault| fault.within("proxy"))?;
        self.train.recipe.check().map_err(|fault| fault.within("train.recipe"))?;
        self.train.window().check().map_err(|fault| fault.within("train.window"))?;
        self.learn.check().map_err(|fault| fault.within("learn"))?;
        self.compare.check().map_err(|fault| fault.within("compare"))?;
        self.fits_in_memory()?;
        // What the voxels of files ask for is only known when they have been read.
        let spacing = match (&self.data, self.network.shape) {
            (_, Shape::Isotropic) => Some([1.0; 3]),
            (Source::Phantoms(phantom), Shape::Auto) if self.preprocess.keeps_the_grid() => Some(phantom.spacing()),
            _ => None,
        };
        let recipes = [
            ("proxy.recipe", &self.proxy.recipe),
            ("learn.recipe", &self.learn.recipe),
            ("train.recipe", &self.train.recipe),
        ];
        for (field, recipe) in recipes {
            let patch = recipe.patches.patch;
            let network = spacing.map(|spacing| self.isotropic(1, 1).shaped_for(spacing, patch));
            network.map_or(Ok(()), |network| fits(&network, patch)).map_err(|fault| fault.within(field))?;
        }
        self.search.check()?;
        self.preprocess.validate().map_err(|fault| fault.within("preprocess"))
    }

    /// Sizes that are fine one by one and absurd together.
    fn fits_in_memory(&self) -> Result<()> {
        let parameters = self.isotropic(1, 1).parameters();
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
            ("learn.recipe.patches", batch(&self.learn.recipe)),
            ("train.recipe.patches", batch(&self.train.recipe)),
            ("proxy.window.patch", seen(self.proxy.window())),
            ("train.window.patch", seen(self.train.window())),
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

    /// Checks and reads the cases, or makes them.
    ///
    /// # Errors
    /// If the data cannot be used.
    pub(super) fn dataset(&self, term: &Term) -> Result<Dataset> {
        term.say("reading cases ...");
        let mut watch = Stopwatch::start();
        let folder = match &self.data {
            Source::Phantoms(phantom) => return phantom.dataset(&self.preprocess),
            Source::Decathlon(folder) => folder,
        };
        // First, because it tells all that is broken, where reading ends at the first case.
        before_training(folder, term)?;
        term.detail(&format!("checking: {:.2} s", watch.lap() / 1e3));
        let cache = self.cache.folder.clone().or_else(|| user_cache("cases"));
        let cache = cache.map(|folder| data::Cache { folder, above: (self.cache.above_gib * GIB) as u64 });
        let dataset = Dataset::load(folder, &self.preprocess, cache.as_ref())?;
        let is_cached = dataset.cases.iter().any(|case| matches!(case.channels[0], Voxels::File { .. }));
        let place = if is_cached { "kept in files" } else { "in memory" };
        term.detail(&format!("reading and preprocessing: {:.2} s, {place}", watch.lap() / 1e3));
        Ok(dataset)
    }

    /// The network for the cases and for patches of a recipe.
    ///
    /// # Errors
    /// If patches do not divide by what the network halves.
    pub(super) fn unet(&self, dataset: &Dataset, recipe: &Recipe) -> Result<UNet3dConfig> {
        let patch = recipe.patches.patch;
        let network = match self.network.shape {
            Shape::Auto => self.plain(dataset).shaped_for(dataset.spacing(), patch),
            Shape::Isotropic => self.plain(dataset),
        };
        let voxels = || {
            let [i, j, k] = dataset.spacing();
            format!("the voxels are of {i} x {j} x {k} mm; change the patch, or `network: (levels: ...)`")
        };
        fits(&network, patch).map_err(|fault| fault.within("recipe").hint(voxels()))?;
        Ok(network)
    }

    fn plain(&self, dataset: &Dataset) -> UNet3dConfig {
        self.isotropic(dataset.channels, dataset.classes.len())
    }

    /// The network for cubes, which no other one of its size exceeds.
    fn isotropic(&self, in_channels: usize, classes: usize) -> UNet3dConfig {
        let background = usize::from(self.network.activation == Activation::Softmax);
        let Network { width, levels, .. } = self.network;
        UNet3dConfig { in_channels, out_channels: classes + background, width, levels, ..UNet3dConfig::default() }
    }

    /// Who trains candidates, who judges them, and who is kept apart.
    ///
    /// # Errors
    /// If a part would be empty.
    pub(super) fn holdout(&self, dataset: &Dataset) -> Result<Holdout> {
        let Split { validation, held_out, seed } = self.split;
        folds::holdout(&dataset.ids(), &dataset.subjects(), validation, held_out, seed.unwrap_or(self.seed))
            .map_err(|fault| fault.within("split"))
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

/// Whether a network can take a patch.
fn fits(network: &UNet3dConfig, patch: [usize; 3]) -> Result<()> {
    let expected = |fault: Fault| {
        let parts = fault.parts();
        let expected = parts.iter().find(|(name, _)| *name == "expected").map(|(_, text)| text.clone());
        Fault::new("patch does not fit the network")
            .field("patches.patch")
            .expected(expected.unwrap_or_default())
            .found(format!("{patch:?}"))
    };
    network.check_shape(patch).map_err(expected)
}

fn built_in(name: &str, text: &str) -> Config {
    notation::from_text(name, text).expect("built-in configurations are tested to load")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_configuration_that_comes_with_the_program_can_be_run() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "ron")).collect();
        assert!(files.len() > 15, "{files:?}");
        for file in files {
            let name = &file.display().to_string();
            let config: Config = notation::load(&file).unwrap();
            config.check().unwrap_or_else(|fault| panic!("{name}: {fault}"));
            let again: Config = notation::from_text(name, &notation::to_text(&config).unwrap()).unwrap();
            assert_eq!(again, config, "{name} does not survive being written");
        }
    }
}
