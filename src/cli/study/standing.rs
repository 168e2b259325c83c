//! What is known of a comparison at a moment: the cells that are over, and the tables that they make.
//!
//! It needs the manifest and the journal alone, so a report can be made where the data are not.

use std::collections::BTreeMap;
use std::path::Path;

use super::manifest::StudyManifest;
use super::record::Record;
use crate::fault::Result;
use crate::metrics::Metric;
use crate::metrics::table::{Row, Table};
use crate::run::read_journal;
use crate::stats::pairwise::Pairwise;

/// Name of the journal in a run.
pub(super) const JOURNAL: &str = "cells.jsonl";

/// The level of the tests.
pub(super) const LEVEL: f64 = 0.05;

/// Place of a result: loss, fold, seed.
type Place = (usize, usize, u64);

/// The cells that are over.
pub(in crate::cli) struct Standing<'a> {
    pub(in crate::cli) manifest: &'a StudyManifest,
    results: BTreeMap<Place, Record>,
}

impl<'a> Standing<'a> {
    /// The standing of records, of which later ones take the place of earlier ones.
    pub(super) fn new(manifest: &'a StudyManifest, records: impl IntoIterator<Item = Record>) -> Self {
        let mut results = BTreeMap::new();
        for record in records.into_iter().filter(|record| !record.trial) {
            // A run of an earlier version had one seed and did not write it down.
            let seed = if record.key.is_empty() { manifest.seeds[0] } else { record.seed };
            results.insert((record.loss, record.fold, seed), record);
        }
        Self { manifest, results }
    }

    /// The standing of a run.
    ///
    /// # Errors
    /// If its journal cannot be read.
    pub(in crate::cli) fn read(manifest: &'a StudyManifest, run: &Path) -> Result<Self> {
        Ok(Self::new(manifest, read_journal::<Record>(&run.join(JOURNAL))?))
    }

    pub(in crate::cli) fn losses(&self) -> usize {
        self.manifest.losses.len()
    }

    pub(in crate::cli) fn folds(&self) -> usize {
        if self.manifest.folds.is_empty() { self.manifest.config.train.folds } else { self.manifest.folds.len() }
    }

    /// The places of a loss, fold by fold.
    pub(in crate::cli) fn places(&self, loss: usize) -> impl Iterator<Item = Place> {
        (0..self.folds()).flat_map(move |fold| self.manifest.seeds.iter().map(move |seed| (loss, fold, *seed)))
    }

    pub(in crate::cli) fn result(&self, place: Place) -> Option<&Record> {
        self.results.get(&place)
    }

    /// The results of a loss that have a network.
    pub(in crate::cli) fn trained(&self, loss: usize) -> impl Iterator<Item = (&Record, &Vec<Row>)> {
        self.places(loss).filter_map(|place| self.result(place)).filter_map(|record| Some((record, record.rows()?)))
    }

    /// Whether a loss has a network for every fold and seed.
    pub(in crate::cli) fn is_complete(&self, loss: usize) -> bool {
        self.places(loss).all(|place| self.result(place).is_some_and(|record| record.rows().is_some()))
    }

    /// The losses that are complete.
    pub(in crate::cli) fn complete(&self) -> Vec<usize> {
        (0..self.losses()).filter(|loss| self.is_complete(*loss)).collect()
    }

    /// How many results there are to be, are over, and have a network.
    pub(in crate::cli) fn counts(&self) -> [usize; 3] {
        let all = || (0..self.losses()).flat_map(|loss| self.places(loss));
        let over: Vec<&Record> = all().filter_map(|place| self.result(place)).collect();
        [all().count(), over.len(), over.iter().filter(|record| record.rows().is_some()).count()]
    }

    /// The values of a loss, in the order of folds and seeds: the order in which cells finish leaves no trace.
    pub(in crate::cli) fn table(&self, loss: usize) -> Table {
        Table { rows: self.trained(loss).flat_map(|(_, rows)| rows.clone()).collect() }
    }

    /// The same with subjects in the place of cases, for tests whose unit they are.
    pub(in crate::cli) fn by_subject(&self, loss: usize) -> Table {
        let whose = self.manifest.whose();
        let mut table = self.table(loss);
        for row in &mut table.rows {
            if let Some(subject) = whose.get(row.case.as_str()) {
                row.case = (*subject).to_string();
            }
        }
        table
    }

    /// One value per loss and subject; not a number where it is not defined.
    pub(in crate::cli) fn values(&self, losses: &[usize], metric: Metric) -> Vec<Vec<f64>> {
        let tables: Vec<Table> = losses.iter().map(|loss| self.by_subject(*loss)).collect();
        let of: Vec<BTreeMap<&str, f64>> = tables.iter().map(|table| table.by_subject(metric, None)).collect();
        let mut subjects: Vec<&str> = of.iter().flat_map(|values| values.keys().copied()).collect();
        subjects.sort_unstable();
        subjects.dedup();
        let row = |values: &BTreeMap<&str, f64>| {
            subjects.iter().map(|subject| values.get(subject).copied().unwrap_or(f64::NAN)).collect()
        };
        of.iter().map(row).collect()
    }

    /// The tests of all pairs of losses.
    ///
    /// # Errors
    /// None that a person can cause.
    pub(in crate::cli) fn pairwise(&self, losses: &[usize], metric: Metric) -> Result<Pairwise> {
        Pairwise::of(&self.values(losses, metric), metric.direction(), LEVEL)
    }

    /// Name of a loss.
    pub(in crate::cli) fn name(&self, loss: usize) -> &str {
        &self.manifest.losses[loss].0
    }
}
