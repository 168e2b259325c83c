//! What people type where a loss is wanted: a name, a formula, or a place in a run or population.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use crate::evolution::{Individual, Population, WINNER, Winner, newest_population};
use crate::fault::{Fault, Result};
use crate::losses::form::Form;
use crate::losses::strategy::Strategy;
use crate::losses::{self, Loss};

/// A loss, and the run in which it was found.
pub(super) struct Found {
    pub(super) loss: Loss,
    /// The run directory, if the loss comes from one.
    pub(super) run: Option<PathBuf>,
    /// Whether it was found by a search of which no manifest tells what it saw.
    pub(super) lost_its_run: bool,
}

impl Found {
    fn typed(loss: Loss) -> Self {
        Self { loss, run: None, lost_its_run: false }
    }

    /// A loss of a search, of which `place` is the run or a population.
    fn of(typed: &str, individual: &Individual, place: &Path) -> Self {
        let run = run_of(place);
        let loss = Loss { name: typed.to_string(), formula: individual.formula.clone() };
        Self { loss, lost_its_run: run.is_none(), run }
    }
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
        return Ok(Found::typed(losses::named_in(typed, form)?));
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
        return Ok(Found::of(typed, individual, Path::new(place)));
    }
    if let Some(run) = typed.strip_suffix("/best").map(Path::new) {
        let population = population(run)?;
        let best = population.best().ok_or_else(|| {
            Fault::new("no individual of the run has trained")
                .file(run)
                .expected("at least one that trained")
                .found("failures alone")
                .hint(format!("`lossgen inspect {}` tells why", run.display()))
        })?;
        // The winner of the last race, with the constants that were tuned for it; before that race, the best so far.
        let winner = Winner::load(run, population.generation)?;
        let mut found = Found::of(typed, best, run);
        if let Some(winner) = winner {
            found.loss.formula = winner.formula().map_err(|fault| fault.file(run.join(WINNER)))?;
        }
        return Ok(found);
    }
    Ok(Found::typed(losses::named_in(typed, form)?))
}

/// A strategy, and the losses of which it is made.
pub(super) struct Composed {
    pub(super) strategy: Strategy,
    pub(super) parts: Vec<Found>,
    /// The run in which it was learned.
    pub(super) run: Option<PathBuf>,
}

/// The loss or strategy called `typed`: whatever [`find`] knows, alone or inside `rebalance(...)` and its like.
///
/// # Errors
/// As [`find`], or if it is no strategy.
pub(super) fn compose(typed: &str, form: &Form) -> Result<Composed> {
    let parts = RefCell::new(Vec::new());
    let part = |typed: &str| -> Result<Loss> {
        let found = find_in(typed, form.clone())?;
        let loss = found.loss.clone();
        parts.borrow_mut().push(found);
        Ok(loss)
    };
    let (mut run, mut text) = (None, typed.trim().to_string());
    if let Some((place, settings)) = Strategy::learned_at(typed) {
        run = run_of(Path::new(place));
        let net = format!("net={}", super::learn::load(Path::new(place))?.text());
        text = format!("learned({})", [&[net.as_str()], &settings[..]].concat().join(", "));
    }
    let strategy = match Strategy::parse(&text, &part)? {
        Some(strategy) => Strategy { name: typed.trim().to_string(), ..strategy },
        None => part(typed)?.into(),
    };
    Ok(Composed { strategy, parts: parts.into_inner(), run })
}

/// The newest population of a run, or that of a file.
///
/// # Errors
/// If there is none.
pub(super) fn population(place: &Path) -> Result<Population> {
    if place.is_dir() {
        return newest_population(place)?.ok_or_else(|| {
            Fault::new("run has no population yet")
                .file(place)
                .expected("a file `generation-NNNN.ron` in it")
                .found("none")
                .hint(format!("`lossgen evolve --resume {}` continues a search", place.display()))
        });
    }
    if !place.exists() {
        return Err(Fault::new("no such run or population")
            .file(place)
            .expected("a run directory or a population")
            .found("nothing")
            .hint("give a run directory or a `.ron` file of one"));
    }
    Population::load(place)
}

/// The run to which a place belongs.
fn run_of(place: &Path) -> Option<PathBuf> {
    let directory = if place.is_dir() { place } else { place.parent()? };
    directory.join("manifest.ron").is_file().then(|| directory.to_path_buf())
}
