//! From cases to the numbers of a paper: means that say how many cases they stand on.
//!
//! Guards three rules. A mean is over the cases where the metric is defined, and carries what it left out. An infinite
//! distance counts as the volume's diagonal, so that a missed structure costs the worst that the volume allows instead
//! of vanishing. The spread in a table is the sample deviation of *fold means*, the field's convention; tests of
//! differences never use it, they take the subjects of [`pair`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use serde::{Deserialize, Serialize};

use super::{CaseMetrics, Metric};
use crate::fault::{Fault, Result};
use crate::stats::summary::{mean, standard_deviation};

/// What was measured on one case and class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Identifier of the case: one subject.
    pub case: String,
    /// The fold in whose validation part the case was.
    pub fold: usize,
    /// The class.
    pub class: u8,
    /// The values.
    pub metrics: CaseMetrics,
}

/// Cases of one method.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// One row per case and class.
    pub rows: Vec<Row>,
}

/// A mean over cases, and what it stands on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CaseMean {
    /// Mean over the defined values; NaN if there is none.
    pub mean: f64,
    /// Sample standard deviation of the same values.
    pub sd: f64,
    /// Defined values.
    pub n: usize,
    /// Values left out because they are 0/0, or because they were not measured.
    pub undefined: usize,
    /// Cases where something was to be found and nothing was predicted.
    pub missed: usize,
    /// Cases where something was predicted and nothing was to be found.
    pub spurious: usize,
    /// Infinite distances that count as the volume's diagonal; part of `n`.
    pub replaced: usize,
}

/// A mean over folds, and the means it is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldMean {
    /// Mean of the fold means that are defined.
    pub mean: f64,
    /// Sample standard deviation of the same; NaN of a single fold.
    pub sd: f64,
    /// Fold and mean over its cases, in ascending order of the fold.
    pub folds: Vec<(usize, CaseMean)>,
}

/// Two methods on the same subjects.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pair {
    /// Subjects that both have, in alphabetical order.
    pub cases: Vec<String>,
    /// Values of the first method.
    pub first: Vec<f64>,
    /// Values of the second.
    pub second: Vec<f64>,
    /// Subjects left out because a method lacks them or has no defined value for them.
    pub unmatched: usize,
}

impl Table {
    /// Mean over the cases, of one class or of all.
    pub fn over_cases(&self, metric: Metric, class: Option<u8>) -> CaseMean {
        summarise(metric, self.rows.iter().filter(|row| class.is_none_or(|class| row.class == class)))
    }

    /// Mean and deviation over the folds of the means over their cases, of one class or of all.
    pub fn over_folds(&self, metric: Metric, class: Option<u8>) -> FoldMean {
        let chosen = || self.rows.iter().filter(|row| class.is_none_or(|class| row.class == class));
        let numbers: BTreeSet<usize> = chosen().map(|row| row.fold).collect();
        let fold = |number| (number, summarise(metric, chosen().filter(|row| row.fold == number)));
        let folds: Vec<_> = numbers.into_iter().map(fold).collect();
        let means: Vec<f64> = folds.iter().map(|(_, cases)| cases.mean).filter(|mean| !mean.is_nan()).collect();
        FoldMean { mean: mean(&means), sd: standard_deviation(&means), folds }
    }

    /// One number per subject: the mean of its defined values over classes, folds and repeats, distances replaced as in
    /// [`Table::over_cases`]. Subjects without a defined value are absent.
    pub fn by_subject(&self, metric: Metric, class: Option<u8>) -> BTreeMap<&str, f64> {
        let mut values: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| class.is_none_or(|class| row.class == class)) {
            let value = replaced(&row.metrics, metric);
            if !value.is_nan() {
                values.entry(&row.case).or_default().push(value);
            }
        }
        values.into_iter().map(|(case, values)| (case, mean(&values))).collect()
    }
}

/// Writes the tables of several losses and seeds, one line per loss, seed, case, class and metric:
/// `loss,seed,case,fold,class,metric,value,unit`. Values are as measured: `NaN` where undefined, `inf` for a distance to an
/// empty mask. Metrics that were not measured have no line.
///
/// # Errors
/// If `writer` fails.
pub fn write_csv<'a>(tables: impl IntoIterator<Item = (&'a str, u64, &'a Table)>, writer: impl Write) -> Result<()> {
    let mut csv = csv::Writer::from_writer(writer);
    let failed = |error: csv::Error| Fault::failed(format!("cannot write the table of cases: {error}"));
    csv.write_record(["loss", "seed", "case", "fold", "class", "metric", "value", "unit"]).map_err(failed)?;
    for (loss, seed, table) in tables {
        let seed = seed.to_string();
        for Row { case, fold, class, metrics } in &table.rows {
            for metric in Metric::all().filter(|metric| metrics.measured(*metric)) {
                let [fold, class, value] = [fold.to_string(), class.to_string(), metrics.value(metric).to_string()];
                csv.write_record([loss, &seed, case, &fold, &class, metric.key(), &value, metric.unit()])
                    .map_err(failed)?;
            }
        }
    }
    csv.flush().map_err(|error| failed(error.into()))
}

/// The subjects that two methods share, for a paired test.
pub fn pair(first: &Table, second: &Table, metric: Metric, class: Option<u8>) -> Pair {
    let rows = first.rows.iter().chain(&second.rows).filter(|row| class.is_none_or(|class| row.class == class));
    let all: BTreeSet<&str> = rows.map(|row| row.case.as_str()).collect();
    let (first, second) = (first.by_subject(metric, class), second.by_subject(metric, class));
    let mut pair = Pair::default();
    for case in all {
        match (first.get(case), second.get(case)) {
            (Some(one), Some(other)) => {
                pair.cases.push(case.to_string());
                pair.first.push(*one);
                pair.second.push(*other);
            }
            _ => pair.unmatched += 1,
        }
    }
    pair
}

/// A value with infinity replaced by the volume's diagonal.
fn replaced(metrics: &CaseMetrics, metric: Metric) -> f64 {
    let value = metrics.value(metric);
    if value.is_infinite() { metrics.diagonal_mm } else { value }
}

fn summarise<'a>(metric: Metric, rows: impl Iterator<Item = &'a Row>) -> CaseMean {
    let rows: Vec<&CaseMetrics> = rows.map(|row| &row.metrics).collect();
    let values: Vec<f64> = rows.iter().map(|case| replaced(case, metric)).filter(|value| !value.is_nan()).collect();
    let count = |of: &dyn Fn(&CaseMetrics) -> bool| rows.iter().filter(|case| of(case)).count();
    CaseMean {
        mean: mean(&values),
        sd: standard_deviation(&values),
        n: values.len(),
        undefined: rows.len() - values.len(),
        missed: count(&CaseMetrics::missed),
        spurious: count(&CaseMetrics::spurious),
        replaced: count(&|case| case.value(metric).is_infinite()),
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use super::*;
    use crate::metrics::{Calibration, evaluate};
    use crate::volume::{Grid, Volume};

    /// A row of eight voxels, 1 mm apart: its diagonal is sqrt(66).
    fn row(case: &str, fold: usize, prediction: [u8; 8], truth: [u8; 8]) -> Row {
        let volume = |voxels: [u8; 8]| Volume { grid: Grid::aligned([1, 1, 8], [1.0; 3]), voxels: voxels.to_vec() };
        Row { case: case.into(), fold, class: 1, metrics: evaluate(&volume(prediction), &volume(truth), 1).unwrap() }
    }

    fn table() -> Table {
        let truth = [0, 1, 1, 1, 1, 0, 0, 0];
        Table {
            rows: vec![
                row("a", 0, truth, truth),
                row("b", 0, [0, 0, 1, 1, 1, 1, 0, 0], truth),
                row("c", 1, [0; 8], truth),
                row("d", 1, truth, [0; 8]),
                row("e", 1, [0; 8], [0; 8]),
            ],
        }
    }

    #[test]
    fn means_carry_what_they_left_out_and_what_they_replaced() {
        let dice = table().over_cases(Metric::Dice, None);
        assert_eq!((dice.mean, dice.n, dice.undefined), (1.75 / 4.0, 4, 1));
        assert_eq!((dice.missed, dice.spurious, dice.replaced), (1, 1, 0));
        let hd = table().over_cases(Metric::Hd, Some(1));
        assert_eq!((hd.n, hd.undefined, hd.replaced), (4, 1, 2));
        assert!((hd.mean - (0.0 + 1.0 + 2.0 * 66.0_f64.sqrt()) / 4.0).abs() < 1e-15);
        let other = table().over_cases(Metric::Dice, Some(2));
        assert!(other.mean.is_nan() && other.n == 0);
    }

    #[test]
    fn missing_a_structure_never_improves_a_distance() {
        let with = |metric, rows: &[usize]| {
            Table { rows: rows.iter().map(|row| table().rows[*row].clone()).collect() }.over_cases(metric, None).mean
        };
        for metric in [Metric::Hd, Metric::Hd95, Metric::Assd, Metric::Masd] {
            assert!(with(metric, &[0, 1, 2]) > with(metric, &[0, 1]), "{metric}");
        }
    }

    #[test]
    fn the_spread_of_a_table_is_that_of_fold_means() {
        let dice = table().over_folds(Metric::Dice, None);
        let folds: Vec<_> = dice.folds.iter().map(|(fold, cases)| (*fold, cases.mean, cases.n)).collect();
        assert_eq!(folds, [(0, 0.875, 2), (1, 0.0, 2)]);
        assert_eq!((dice.mean, dice.sd), (0.4375, 0.875 / 2.0_f64.sqrt()));
        let one = Table { rows: table().rows[..2].to_vec() }.over_folds(Metric::Dice, None);
        assert!(one.mean == 0.875 && one.sd.is_nan(), "one fold has no spread");
    }

    #[test]
    fn pairs_are_subjects_that_both_methods_have() {
        let mut repeated = table();
        repeated.rows.push(row("b", 0, [0, 1, 1, 1, 1, 0, 0, 0], [0, 1, 1, 1, 1, 0, 0, 0]));
        repeated.rows.remove(0);
        let pair = pair(&repeated, &table(), Metric::Dice, None);
        assert_eq!(pair.cases, ["b", "c", "d"]);
        assert_eq!((pair.first, pair.second), (vec![0.875, 0.0, 0.0], vec![0.75, 0.0, 0.0]));
        assert_eq!(pair.unmatched, 2, "a is in one only, e has no value in either");
    }

    #[test]
    fn the_file_is_tidy_and_keeps_what_was_measured() {
        let mut bytes = Vec::new();
        write_csv([("dice", 3, &table())], &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.lines().count(), 1 + 5 * Metric::of_masks().count());
        assert!(text.starts_with("loss,seed,case,fold,class,metric,value,unit\ndice,3,a,0,1,accuracy,1,\n"));
        assert!(text.contains("\ndice,3,b,0,1,hd,1,mm\n") && text.contains("\ndice,3,c,1,1,hd95,inf,mm\n"));
        assert!(text.contains("\ndice,3,c,1,1,precision,NaN,\n"));
    }

    #[test]
    fn probabilities_have_lines_only_where_they_were_measured() {
        let mut table = table();
        let calibration = Calibration::of([0.25; 8], &[0, 1, 1, 1, 1, 0, 0, 0], 1).unwrap();
        table.rows[1].metrics.calibration = Some(calibration);
        let mut bytes = Vec::new();
        write_csv([("dice", 3, &table)], &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.lines().count(), 1 + 5 * Metric::of_masks().count() + 2);
        assert!(text.contains("\ndice,3,b,0,1,brier,0.3125,\ndice,3,b,0,1,ece,0.25,\n"));
        let brier = table.over_cases(Metric::Brier, None);
        assert_eq!((brier.mean, brier.n, brier.undefined), (0.3125, 1, 4));
        assert_eq!(table.by_subject(Metric::Ece, None), BTreeMap::from([("b", 0.25)]));
        let json = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<Table>(&json).unwrap(), table);
    }

    #[test]
    fn rows_of_runs_before_there_were_probabilities_are_still_read() {
        let text = serde_json::to_string(&table().rows[2]).unwrap();
        let earlier = concat!(
            r#"{"case":"c","fold":1,"class":1,"metrics":{"confusion":{"true_positive":0,"false_positive":0,"#,
            r#""false_negative":4,"true_negative":4},"surface":null,"voxel_ml":0.001,"diagonal_mm":8.12403840463596}}"#
        );
        assert_eq!(text, earlier);
        assert_eq!(serde_json::from_str::<Row>(earlier).unwrap(), table().rows[2]);
    }

    #[test]
    fn rows_survive_json_although_it_has_no_infinity() {
        let text = serde_json::to_string(&table()).unwrap();
        assert_eq!(serde_json::from_str::<Table>(&text).unwrap(), table());
        assert_eq!(serde_json::to_string(&Metric::Hd95).unwrap(), "\"hd95\"");
        assert!(serde_json::from_str::<Metric>("\"hd59\"").unwrap_err().to_string().contains("unknown metric"));
    }
}
