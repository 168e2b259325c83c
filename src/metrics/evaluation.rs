//! Predicted masks of many cases against their truths: every class that occurs anywhere, in every case.
//!
//! Guards one rule: the classes are those of all cases together, predictions included. A class that a prediction misses
//! in every case still has a row there, and so has one that is predicted where no truth knows it. Background, class 0,
//! has none. Opens no file; the numbers themselves are [`CaseMetrics`]'s work, means and counts [`Table`]'s.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use super::table::{CaseMean, Row, Table};
use super::{CaseMetrics, Metric, evaluate_within};
use crate::fault::{Fault, Result};
use crate::volume::Volume;

/// The classes that occur in a case, and what is true of all others.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseEvaluation {
    present: BTreeMap<u8, CaseMetrics>,
    absent: CaseMetrics,
}

impl CaseEvaluation {
    /// Compares every class of a prediction or its truth; `nsd_tolerance` is that of surface Dice, in mm.
    ///
    /// # Errors
    /// As [`evaluate_within`].
    pub fn of(prediction: &Volume<u8>, truth: &Volume<u8>, nsd_tolerance: f64) -> Result<Self> {
        let mut occurs = [false; 256];
        for voxel in prediction.voxels.iter().chain(&truth.voxels) {
            occurs[usize::from(*voxel)] = true;
        }
        let classes = (1..=u8::MAX).filter(|class| occurs[usize::from(*class)]);
        let one = |class| Ok((class, evaluate_within(prediction, truth, class, nsd_tolerance)?));
        Ok(Self { present: classes.map(one).collect::<Result<_>>()?, absent: CaseMetrics::absent(&truth.grid) })
    }
}

/// Every class in every case.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Classes that occur in a prediction or a truth of any case, ascending; without background.
    pub classes: Vec<u8>,
    /// One row per case and class, in the order of the cases; there are no folds, so all are of fold 0.
    pub table: Table,
}

/// One number of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured<'a> {
    /// The case.
    pub case: &'a str,
    /// The class.
    pub class: u8,
    /// What was measured.
    pub metric: Metric,
    /// NaN where undefined, +inf for a distance to an empty mask.
    pub value: f64,
}

/// The mean of a class over the cases.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassMean {
    /// The class.
    pub class: u8,
    /// What was measured.
    pub metric: Metric,
    /// The mean, and what it stands on.
    pub over: CaseMean,
}

impl Evaluation {
    /// Joins cases, each with its name.
    pub fn new(cases: &[(String, CaseEvaluation)]) -> Self {
        let classes: BTreeSet<u8> = cases.iter().flat_map(|(_, case)| case.present.keys().copied()).collect();
        let row = |name: &str, case: &CaseEvaluation, class: u8| {
            let metrics = case.present.get(&class).copied().unwrap_or(case.absent);
            Row { case: name.to_string(), fold: 0, class, metrics }
        };
        let rows = cases.iter().flat_map(|(name, case)| classes.iter().map(move |class| row(name, case, *class)));
        Self { table: Table { rows: rows.collect() }, classes: classes.into_iter().collect() }
    }

    /// Every number, by case, class and metric.
    pub fn measured(&self) -> impl Iterator<Item = Measured<'_>> {
        self.table.rows.iter().flat_map(|row| {
            let value =
                |metric| Measured { case: &row.case, class: row.class, metric, value: row.metrics.value(metric) };
            Metric::of_masks().map(value)
        })
    }

    /// Means over the cases, by class and metric.
    pub fn means(&self) -> impl Iterator<Item = ClassMean> {
        self.classes.iter().flat_map(|class| {
            let mean = |metric| ClassMean { class: *class, metric, over: self.table.over_cases(metric, Some(*class)) };
            Metric::of_masks().map(mean)
        })
    }

    /// Writes one line per number: `case,class,metric,value,unit`; `NaN` where undefined, `inf` for a distance to an
    /// empty mask.
    ///
    /// # Errors
    /// If `writer` fails.
    pub fn write_csv(&self, writer: impl Write) -> Result<()> {
        let mut csv = csv::Writer::from_writer(writer);
        let failed = |error: csv::Error| Fault::failed(format!("cannot write the table of cases: {error}"));
        csv.write_record(["case", "class", "metric", "value", "unit"]).map_err(failed)?;
        for Measured { case, class, metric, value } in self.measured() {
            let [class, value] = [class.to_string(), value.to_string()];
            csv.write_record([case, &class, metric.key(), &value, metric.unit()]).map_err(failed)?;
        }
        csv.flush().map_err(|error| failed(error.into()))
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use super::*;
    use crate::metrics::evaluate;
    use crate::volume::Grid;

    fn volume(voxels: [u8; 8]) -> Volume<u8> {
        Volume { grid: Grid::aligned([1, 1, 8], [1.0, 1.0, 2.0]), voxels: voxels.to_vec() }
    }

    fn evaluation(cases: &[(&str, [u8; 8], [u8; 8])]) -> Evaluation {
        let one = |(name, prediction, truth): &(&str, [u8; 8], [u8; 8])| {
            (name.to_string(), CaseEvaluation::of(&volume(*prediction), &volume(*truth), 2.0).unwrap())
        };
        Evaluation::new(&cases.iter().map(one).collect::<Vec<_>>())
    }

    #[test]
    fn a_class_that_occurs_anywhere_has_a_row_everywhere() {
        let found = evaluation(&[
            ("a", [0, 1, 1, 0, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0, 0, 0]),
            ("b", [0, 1, 1, 0, 0, 0, 0, 9], [0, 1, 1, 0, 0, 4, 0, 0]),
        ]);
        assert_eq!(found.classes, [1, 4, 9]);
        let places: Vec<_> = found.table.rows.iter().map(|row| (row.case.as_str(), row.class)).collect();
        assert_eq!(places, [("a", 1), ("a", 4), ("a", 9), ("b", 1), ("b", 4), ("b", 9)]);
        let dice = |class| found.means().find(|mean| mean.class == class && mean.metric == Metric::Dice).unwrap().over;
        assert_eq!((dice(1).mean, dice(1).n), (1.0, 2));
        assert_eq!((dice(4).mean, dice(4).n, dice(4).undefined, dice(4).missed, dice(4).spurious), (0.0, 1, 1, 1, 0));
        assert_eq!((dice(9).mean, dice(9).n, dice(9).undefined, dice(9).missed, dice(9).spurious), (0.0, 1, 1, 0, 1));
    }

    #[test]
    fn a_row_of_an_absent_class_is_what_a_comparison_would_give() {
        let (prediction, truth) = (volume([0, 1, 1, 0, 0, 0, 0, 0]), volume([0, 1, 0, 0, 0, 0, 0, 0]));
        let case = CaseEvaluation::of(&prediction, &truth, 2.0).unwrap();
        assert_eq!(case.absent, evaluate(&prediction, &truth, 7).unwrap());
    }

    #[test]
    fn the_tolerance_reaches_surface_dice_and_nothing_else() {
        let (prediction, truth) = ([0, 1, 0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 0, 0]);
        let case = |tolerance| CaseEvaluation::of(&volume(prediction), &volume(truth), tolerance).unwrap().present[&1];
        let values = |tolerance| Metric::of_masks().map(|metric| case(tolerance).value(metric)).collect::<Vec<f64>>();
        let (tight, loose) = (values(1.9), values(2.0));
        for metric in Metric::of_masks() {
            let pair = (tight[metric as usize], loose[metric as usize]);
            assert!(if metric == Metric::Nsd { pair == (0.0, 1.0) } else { pair.0 == pair.1 }, "{metric}: {pair:?}");
        }
    }

    #[test]
    fn the_file_is_tidy() {
        let mut bytes = Vec::new();
        evaluation(&[("a, b", [0, 1, 0, 0, 0, 0, 0, 0], [0; 8])]).write_csv(&mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.lines().count(), 1 + Metric::of_masks().count());
        assert!(text.starts_with("case,class,metric,value,unit\n\"a, b\",1,accuracy,0.875,\n"), "{text}");
        assert!(text.contains("\n\"a, b\",1,recall,NaN,\n") && text.contains("\n\"a, b\",1,hd,inf,mm\n"), "{text}");
    }
}
