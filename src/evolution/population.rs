//! A population as a RON document.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::individual::{Entry, Individual};
use super::ledger::Spent;
use super::shrinkage::Shrinkage;
use super::{generation_number, pareto};
use crate::fault::{Fault, Result};
use crate::gates::Rejection;
use crate::notation;

/// Version of the file format. 1 had no gains, rungs or islands; those of it cannot be compared with anything here.
const VERSION: u32 = 2;

/// All individuals of a generation, best first, and what it cost to get here.
#[derive(Debug, Clone, PartialEq)]
pub struct Population {
    /// Number of the generation, from 0.
    pub generation: usize,
    /// The id that the next individual gets.
    pub next_id: u64,
    /// Best first.
    pub individuals: Vec<Individual>,
    /// The ids of the elites, best first: confirmed from scratch, judged on several replicates, and beaten by none of the
    /// others on the same cases. Age does not remove them.
    pub elites: Vec<u64>,
    /// Everybody who has ever been trained in the run and is not among the individuals, for lineage, front and novelty.
    pub departed: Vec<Individual>,
    /// Candidates that were not trained, by reason, over all generations so far.
    pub rejections: BTreeMap<Rejection, usize>,
    /// Losses that were negated, because all of their gradient pointed the wrong way, over all generations so far.
    pub repaired: usize,
    /// Losses that were not trained because they behave like earlier ones, by canonical text.
    pub twins: BTreeMap<String, Twin>,
    /// How often each operator made something, worth a training or not, over all generations so far.
    pub tried: BTreeMap<String, usize>,
    /// What the search has cost so far.
    pub spent: Spent,
}

/// Whom a loss behaves like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Twin {
    /// The id of the first that behaved so; none if that one was not trained either.
    pub same_as: Option<u64>,
    /// Its canonical text.
    pub first: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    generation: usize,
    next_id: u64,
    #[serde(default)]
    spent: Spent,
    #[serde(default)]
    elites: Vec<u64>,
    individuals: Vec<Entry>,
    #[serde(default)]
    departed: Vec<Entry>,
    #[serde(default)]
    rejections: BTreeMap<Rejection, usize>,
    #[serde(default)]
    repaired: usize,
    #[serde(default)]
    twins: BTreeMap<String, Twin>,
    #[serde(default)]
    tried: BTreeMap<String, usize>,
}

/// What every version of a document has.
#[derive(Deserialize)]
pub(super) struct Versioned {
    pub(super) version: u32,
}

impl Population {
    /// Everybody, individuals first.
    pub fn everybody(&self) -> impl Iterator<Item = &Individual> {
        self.individuals.iter().chain(&self.departed)
    }

    /// The individual with an id, alive or departed.
    pub fn find(&self, id: u64) -> Option<&Individual> {
        self.everybody().find(|individual| individual.id == id)
    }

    /// The best of the elites, or else the best individual that trained, of the living.
    pub fn best(&self) -> Option<&Individual> {
        let elite = self.elites.first().and_then(|id| self.find(*id));
        elite.or_else(|| self.individuals.iter().find(|individual| individual.outcome.score().is_some()))
    }

    /// The Pareto front of Dice, surface distance and size over everybody who was ever trained to the end, smallest first.
    pub fn front(&self) -> Vec<Individual> {
        pareto::front(self.everybody()).into_iter().cloned().collect()
    }

    /// How far leads are to be believed.
    pub fn shrinkage(&self) -> Shrinkage {
        Shrinkage::of(self.everybody())
    }

    /// The text of the document.
    ///
    /// # Errors
    /// If it cannot be written as RON.
    pub fn to_text(&self) -> Result<String> {
        notation::to_text(&Document {
            version: VERSION,
            generation: self.generation,
            next_id: self.next_id,
            spent: self.spent,
            elites: self.elites.clone(),
            individuals: self.individuals.iter().map(Entry::from).collect(),
            departed: self.departed.iter().map(Entry::from).collect(),
            rejections: self.rejections.clone(),
            repaired: self.repaired,
            twins: self.twins.clone(),
            tried: self.tried.clone(),
        })
    }

    /// Reads a document. Whatever is read can be searched on: there is somebody, and everybody can be compared.
    ///
    /// # Errors
    /// If the file cannot be read, is not a population, holds something that is not a loss, or contradicts itself.
    pub fn load(path: &Path) -> Result<Self> {
        let text = notation::read(path)?;
        let name = path.display().to_string();
        let read = || -> Result<Self> {
            // A file of another version is told by its version, not by the first field that is not known.
            if let Ok(Versioned { version }) = notation::from_text(&name, &text)
                && version != VERSION
            {
                return Err(Fault::new("unknown version of a population")
                    .field("version")
                    .expected(VERSION)
                    .found(version)
                    .hint("look at it with the version of lossgen that made it, or start a new run"));
            }
            let document: Document = notation::from_text(&name, &text)?;
            let all = |entries: Vec<Entry>| entries.into_iter().map(Individual::try_from).collect::<Result<Vec<_>>>();
            let population = Self {
                generation: document.generation,
                next_id: document.next_id,
                individuals: all(document.individuals)?,
                departed: all(document.departed)?,
                rejections: document.rejections,
                repaired: document.repaired,
                twins: document.twins,
                tried: document.tried,
                spent: document.spent,
                elites: document.elites,
            };
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            population.check(generation_number(&name))?;
            Ok(population)
        };
        read().map_err(|fault| fault.file(path).or_hint(DAMAGED))
    }

    /// `number` is that of the file's name, if it has one.
    fn check(&self, number: Option<usize>) -> Result<()> {
        if let Some(number) = number.filter(|number| *number != self.generation) {
            return Err(Fault::new("population is of another generation than its file")
                .field("generation")
                .expected(format!("{number}, as in the name"))
                .found(self.generation));
        }
        if self.individuals.is_empty() {
            return Err(Fault::new("population is empty")
                .field("individuals")
                .expected("at least one individual")
                .found("none"));
        }
        let mut ids = BTreeSet::new();
        let cases = self.everybody().find_map(|one| one.outcome.score()).map_or(0, |score| score.dice.len());
        for one in self.everybody() {
            if !ids.insert(one.id) {
                return Err(Fault::new("two individuals have the same id")
                    .field("id")
                    .expected("every id once")
                    .found(format!("{} again", one.id)));
            }
            if one.id >= self.next_id {
                return Err(Fault::new("an individual is newer than the next one")
                    .field("id")
                    .expected(format!("below next_id, {}", self.next_id))
                    .found(one.id));
            }
            one.check(cases)?;
        }
        match self.elites.iter().find(|id| !ids.contains(id)) {
            None => Ok(()),
            Some(id) => Err(Fault::new("an elite is missing from the population")
                .field("elites")
                .expected("ids of individuals")
                .found(id)),
        }
    }
}

const DAMAGED: &str =
    "the file was edited or damaged; restore it from a copy, or move it away to continue from the generation before";
