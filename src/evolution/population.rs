//! A population as a RON document.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::gates::Rejection;
use super::individual::{Entry, Individual};
use super::pareto;
use crate::fault::{Fault, Result};
use crate::notation;

/// The only version of the file format so far.
const VERSION: u32 = 1;

/// All individuals of a generation, best first, and what it cost to get here.
#[derive(Debug, Clone, PartialEq)]
pub struct Population {
    /// Number of the generation, from 0.
    pub generation: usize,
    /// The id that the next individual gets.
    pub next_id: u64,
    /// Best first.
    pub individuals: Vec<Individual>,
    /// Everybody who has ever been trained in the run and is not among the individuals, for lineage, front and novelty.
    pub departed: Vec<Individual>,
    /// Candidates that were not trained, by reason, over all generations so far.
    pub rejections: BTreeMap<Rejection, usize>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    generation: usize,
    next_id: u64,
    individuals: Vec<Entry>,
    #[serde(default)]
    departed: Vec<Entry>,
    #[serde(default)]
    rejections: BTreeMap<Rejection, usize>,
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

    /// The best individual that trained, of the living.
    pub fn best(&self) -> Option<&Individual> {
        self.individuals.iter().find(|individual| individual.outcome.score().is_some())
    }

    /// The Pareto front over everybody who was ever trained, smallest first.
    pub fn front(&self) -> Vec<Individual> {
        let everybody: Vec<Individual> = self.everybody().cloned().collect();
        pareto::front(&everybody).into_iter().cloned().collect()
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
            individuals: self.individuals.iter().map(Entry::from).collect(),
            departed: self.departed.iter().map(Entry::from).collect(),
            rejections: self.rejections.clone(),
        })
    }

    /// Reads a document.
    ///
    /// # Errors
    /// If the file cannot be read, is not a population, or holds something that is not a loss.
    pub fn load(path: &Path) -> Result<Self> {
        let document: Document = notation::load(path)?;
        if document.version != VERSION {
            return Err(Fault::new("unknown version of a population")
                .file(path)
                .field("version")
                .expected(VERSION)
                .found(document.version));
        }
        let read = |entries: Vec<Entry>| -> Result<Vec<Individual>> {
            entries.into_iter().map(|entry| Individual::try_from(entry).map_err(|fault| fault.file(path))).collect()
        };
        let population = Self {
            generation: document.generation,
            next_id: document.next_id,
            individuals: read(document.individuals)?,
            departed: read(document.departed)?,
            rejections: document.rejections,
        };
        population.check().map_err(|fault| fault.file(path))?;
        Ok(population)
    }

    /// What RON cannot know: somebody lives, ids are unique, and everybody was judged on the same cases.
    fn check(&self) -> Result<()> {
        let wrong = |field: &str, expected: String, found: String| {
            let hint = "restore the file, or remove it: `evolve --resume` continues from the generation before";
            Err(Fault::new("not a population").field(field).expected(expected).found(found).hint(hint))
        };
        if self.individuals.is_empty() {
            return wrong("individuals", "at least one".into(), "none".into());
        }
        let cases = self.everybody().find_map(|individual| individual.outcome.score()).map_or(0, |s| s.dice.len());
        let mut ids = BTreeSet::new();
        for individual in self.everybody() {
            let id = individual.id;
            if !ids.insert(id) || id >= self.next_id {
                return wrong("id", format!("every id once, below {}", self.next_id), id.to_string());
            }
            let Some(score) = individual.outcome.score() else { continue };
            for (field, values) in [("dice", &score.dice), ("hd95_mm", &score.hd95_mm)] {
                if values.len() != cases || values.is_empty() || !values.iter().all(|value| value.is_finite()) {
                    let expected = format!("{} finite numbers, one per validation case", cases.max(1));
                    return wrong(&format!("{field} of individual {id}"), expected, format!("{values:?}"));
                }
            }
        }
        Ok(())
    }
}
