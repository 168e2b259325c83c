//! What a configuration would do to a dataset: found out by everything but training.

use super::super::config::Config;
use super::super::evolve::rungs;
use super::super::term::Term;
use crate::data::Dataset;
use crate::data::folds::{self, Holdout};
use crate::data::store::Voxels;
use crate::fault::Result;
use crate::nn::UNet3dConfig;
use crate::volume::Grid;

/// What trainings would begin with.
pub(super) struct Plan {
    dataset: Dataset,
    holdout: Holdout,
    /// Cases of which each fold trains and tests, of those that a search never saw.
    folds: Vec<(usize, usize)>,
    proxy: UNet3dConfig,
    train: UNet3dConfig,
}

impl Plan {
    /// Reads and prepares the cases, as every training does.
    ///
    /// # Errors
    /// What would end a training before its first step.
    pub(super) fn of(config: &Config, term: &Term) -> Result<Self> {
        let dataset = config.dataset(term)?;
        let holdout = config.holdout(&dataset)?;
        let (mut ids, mut subjects) = (Vec::new(), Vec::new());
        for case in dataset.select(&holdout.held_out) {
            ids.push(case.id.clone());
            subjects.push(case.subject.clone());
        }
        let folds = folds::split(&ids, &subjects, config.train.folds, config.seed)?;
        let folds = folds.iter().map(|fold| (fold.train.len(), fold.test.len())).collect();
        let proxy = config.unet(&dataset, &config.proxy.recipe).map_err(|fault| fault.within("proxy"))?;
        let train = config.unet(&dataset, &config.train.recipe).map_err(|fault| fault.within("train"))?;
        Ok(Self { dataset, holdout, folds, proxy, train })
    }

    /// In words, by name.
    pub(super) fn facts(&self, config: &Config) -> Vec<(&'static str, String)> {
        let Self { dataset, holdout, folds, proxy, train } = self;
        let bytes: usize = dataset.cases.iter().map(|case| case.grid().voxels() * (4 * case.channels.len() + 1)).sum();
        let in_files = dataset.cases.iter().any(|case| matches!(case.channels[0], Voxels::File { .. }));
        let place = if in_files { "kept in files of the cache" } else { "kept in memory" };
        let sizes = |grid: fn(&crate::data::Case) -> &Grid| {
            let mut all: Vec<&Grid> = dataset.cases.iter().map(|case| grid(case)).collect();
            all.sort_by_key(|grid| grid.voxels());
            let [i, j, k] = all[all.len() / 2].spacing;
            let short = |s: f64| format!("{s:.3}").trim_end_matches('0').trim_end_matches('.').to_string();
            let shape = |grid: &Grid| grid.shape.map(|n| n.to_string()).join(" x ");
            let (least, most) = (shape(all[0]), shape(all[all.len() - 1]));
            let range = if least == most { least } else { format!("{least} to {most}") };
            format!("{range} voxels, {} x {} x {} mm in the middle one", short(i), short(j), short(k))
        };
        let network = |network: &UNet3dConfig| {
            let flat = if network.joins == [0; 3] {
                "kernels alike along all axes"
            } else {
                "flat kernels where voxels are flat"
            };
            format!("{} levels, width {}, {} parameters, {flat}", network.levels, network.width, network.parameters())
        };
        let search = &config.search;
        let each: Vec<String> = folds.iter().map(|(train, test)| format!("{train} + {test}")).collect();
        vec![
            (
                "cases",
                format!(
                    "{} of {}, {} classes: {}",
                    dataset.cases.len(),
                    dataset.name,
                    dataset.classes.len(),
                    dataset.classes.join(", ")
                ),
            ),
            ("in the files", sizes(|case| case.native_grid())),
            (
                "prepared",
                format!("{}; {:.2} GiB, {place}", sizes(crate::data::Case::grid), bytes as f64 / (1_u64 << 30) as f64),
            ),
            (
                "evolve",
                format!(
                    "{} cases train candidates, {} judge them, {} are kept apart",
                    holdout.train.len(),
                    holdout.validation.len(),
                    holdout.held_out.len()
                ),
            ),
            (
                "",
                format!(
                    "{} losses a generation, at most {} generations, rungs of {}",
                    search.population,
                    search.generations + 1,
                    rungs(config)
                ),
            ),
            ("", network(proxy)),
            (
                "train",
                format!(
                    "after a search, {} folds of cases to train + to test: {}; {} steps each",
                    folds.len(),
                    each.join(", "),
                    config.train.recipe.steps
                ),
            ),
            ("", network(train)),
        ]
    }
}
