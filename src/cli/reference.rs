//! What people type where a loss is wanted: a name, a formula, or a place in a run or population.

use std::path::{Path, PathBuf};

use crate::evolution::{Individual, Population, newest_population};
use crate::fault::{Fault, Result};
use crate::losses::form::Form;
use crate::losses::{self, Loss};

/// A loss, and the run in which it was found.
pub(super) struct Found {
    pub(super) loss: Loss,
    /// The run directory, if the loss comes from one.
    pub(super) run: Option<PathBuf>,
}

/// The loss called `typed`: `dice`, `focal(gamma=3)`, `(mean ...)`, `RUN/best`, `RUN#ID` or `population.ron#ID`.
///
/// # Errors
/// If there is no such loss, run, population or individual.
pub(super) fn find(typed: &str) -> Result<Found> {
    find_in(typed, Form::default())
}

/// The same, where a loss of the catalog is wanted in a form.
///
/// # Errors
/// As [`find`].
pub(super) fn find_in(typed: &str, form: Form) -> Result<Found> {
    if typed.trim_start().starts_with('(') {
        return Ok(Found { loss: losses::named_in(typed, form)?, run: None });
    }
    if let Some((place, id)) = typed.rsplit_once('#') {
        let population = population(Path::new(place))?;
        let individual = id.parse().ok().and_then(|id| population.find(id)).ok_or_else(|| {
            Fault::new("no such individual")
                .file(place)
                .expected("an id of the population")
                .found(format!("`{id}`"))
                .hint(format!("`lossgen inspect {place}` lists them"))
        })?;
        return Ok(Found { loss: called(typed, individual), run: run_of(Path::new(place)) });
    }
    if let Some(run) = typed.strip_suffix("/best").map(Path::new) {
        let population = population(run)?;
        let best = population.best().ok_or_else(|| Fault::new("no individual of the run has trained").file(run))?;
        return Ok(Found { loss: called(typed, best), run: run_of(run) });
    }
    Ok(Found { loss: losses::named_in(typed, form)?, run: None })
}

fn called(typed: &str, individual: &Individual) -> Loss {
    Loss { name: typed.to_string(), formula: individual.formula.clone() }
}

/// The newest population of a run, or that of a file.
///
/// # Errors
/// If there is none.
pub(super) fn population(place: &Path) -> Result<Population> {
    if place.is_dir() {
        return newest_population(place)?.ok_or_else(|| {
            Fault::new("run has no population yet").file(place).expected("a file `generation-NNNN.ron` in it")
        });
    }
    if !place.exists() {
        return Err(Fault::new("no such run or population")
            .file(place)
            .hint("give a run directory or a `.ron` file of one"));
    }
    Population::load(place)
}

/// The run to which a place belongs.
fn run_of(place: &Path) -> Option<PathBuf> {
    let directory = if place.is_dir() { place } else { place.parent()? };
    directory.join("manifest.ron").is_file().then(|| directory.to_path_buf())
}
