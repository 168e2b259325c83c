//! Known losses on the map: which behaviour of an atlas is nearest to each, and how far it is.

use super::Atlas;
use crate::formula::Formula;
use crate::formula::fingerprint::{SAME, answers, direction, probes};
use crate::formula::plan::Plan;
use crate::losses::catalog::CATALOG;

/// A known loss and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Landmark {
    /// Its name.
    pub name: String,
    /// With its parameters at their defaults.
    pub formula: Formula,
    /// How it pushes.
    pub direction: Vec<f32>,
    /// The nearest behaviour, by its place in [`Atlas::behaviours`].
    pub nearest: usize,
    /// The distance to it, from 0 to 2; below [`SAME`] they are one.
    pub distance: f64,
}

impl Landmark {
    /// Whether the atlas has it.
    pub fn is_on_the_map(&self) -> bool {
        self.distance < SAME
    }
}

impl Atlas {
    /// Every loss of the catalog, in its order; none if the atlas is empty.
    pub fn catalog(&self) -> Vec<Landmark> {
        let named = CATALOG.iter().map(|entry| (entry.name.to_string(), entry.formula()));
        named.filter_map(|(name, formula)| self.landmark(name, formula)).collect()
    }

    /// Where a loss stands; `None` if the atlas is empty or the loss does not push.
    pub fn landmark(&self, name: String, formula: Formula) -> Option<Landmark> {
        let direction = direction(&answers(&Plan::new(&formula), &probes()))?;
        let (nearest, distance) = self.directions.nearest(&direction)?;
        Some(Landmark { name, formula, direction, nearest, distance })
    }
}
