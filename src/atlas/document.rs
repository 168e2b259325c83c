//! An atlas as files: `atlas.ron` for what it counts and where known losses stand, `atlas.csv` for every behaviour.

use serde::{Deserialize, Serialize};

use super::place::Landmark;
use super::plane::Plane;
use super::{Atlas, Row};
use crate::fault::{Fault, Result};
use crate::formula::fingerprint::PROBES_VERSION;
use crate::gates::Rejection;
use crate::grammar::Grammar;
use crate::notation;

/// The only version of the file format so far.
const VERSION: u32 = 1;

/// What stands in `atlas.ron`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    /// Of the probes on which behaviours were compared.
    probes: u32,
    grammar: String,
    constants: usize,
    sizes: Vec<Size>,
    catalog: Vec<Known>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Size {
    words: usize,
    structures: usize,
    canonical: usize,
    behaviours: usize,
    rejected: std::collections::BTreeMap<Rejection, usize>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    name: String,
    nearest: String,
    distance: f64,
}

impl From<&Row> for Size {
    fn from(row: &Row) -> Self {
        let Row { size, structures, canonical, behaviours, ref rejected, .. } = *row;
        Self { words: size, structures, canonical, behaviours, rejected: rejected.clone() }
    }
}

impl Atlas {
    /// The text of `atlas.ron`.
    ///
    /// # Errors
    /// If it cannot be written as RON.
    pub fn to_ron(&self, grammar: &Grammar, constants: usize, catalog: &[Landmark]) -> Result<String> {
        let known = |landmark: &Landmark| Known {
            name: landmark.name.clone(),
            nearest: self.behaviours[landmark.nearest].formula.to_string(),
            // Four digits tell everything: behaviours are told apart from 0.001 on.
            distance: (landmark.distance * 1e4).round() / 1e4,
        };
        notation::to_text(&Document {
            version: VERSION,
            probes: PROBES_VERSION,
            grammar: grammar.name.clone(),
            constants,
            sizes: self.rows.iter().map(Size::from).collect(),
            catalog: catalog.iter().map(known).collect(),
        })
    }

    /// The text of `atlas.csv`: words, place on the map, why the gates reject it, formula.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn to_csv(&self, plane: Option<&Plane>) -> Result<String> {
        let failed = |error: &dyn std::fmt::Display| Fault::failed(format!("cannot write the atlas as CSV: {error}"));
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["words", "x", "y", "rejected", "loss"]).map_err(|error| failed(&error))?;
        for (behaviour, direction) in self.behaviours.iter().zip(self.directions.directions()) {
            let place = plane.map(|plane| plane.place(direction).map(|x| format!("{x:.4}"))).unwrap_or_default();
            let rejection = behaviour.rejection.map(|rejection| rejection.to_string()).unwrap_or_default();
            let [x, y] = place;
            let record = [behaviour.formula.size().to_string(), x, y, rejection, behaviour.formula.to_string()];
            writer.write_record(record).map_err(|error| failed(&error))?;
        }
        let bytes = writer.into_inner().map_err(|error| failed(&error))?;
        String::from_utf8(bytes).map_err(|error| failed(&error))
    }
}
