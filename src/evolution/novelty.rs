//! Who is worth a training: whoever passes the gates and behaves like nobody before.

use std::collections::BTreeMap;

use super::gates::{Gates, Rejection};
use super::population::Population;
use crate::formula::Formula;
use crate::formula::fingerprint::{SAME, distance};

/// What breeding must not repeat, and what it threw away.
pub(super) struct Novelty {
    /// The directions of everybody who was ever trained.
    known: Vec<Vec<f32>>,
    pub(super) rejections: BTreeMap<Rejection, usize>,
    gates: Gates,
}

impl Novelty {
    /// Everybody who was ever trained is known, as are the rejections so far.
    pub(super) fn after(newest: Option<&Population>) -> Self {
        let gates = Gates::default();
        let everybody = newest.into_iter().flat_map(Population::everybody);
        Self {
            known: everybody.filter_map(|individual| gates.pass(&individual.formula).ok()).collect(),
            rejections: newest.map(|population| population.rejections.clone()).unwrap_or_default(),
            gates,
        }
    }

    /// Whether a candidate is worth a training; if so, it is known from now on, and if not, the reason is counted.
    pub(super) fn admit(&mut self, formula: &Formula) -> bool {
        let verdict = self.gates.pass(formula).and_then(|direction| {
            let alike = |known: &Vec<f32>| distance(known, &direction) < SAME;
            if self.known.iter().any(alike) {
                return Err(Rejection::Duplicate);
            }
            self.known.push(direction);
            Ok(())
        });
        verdict.map_err(|why| *self.rejections.entry(why).or_default() += 1).is_ok()
    }
}
