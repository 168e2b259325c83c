//! How good is a mask: one table of metrics, and their values for one case and class.
//!
//! Guards the policy for empty masks. A ratio is NaN only where it is 0/0. Distances are +inf when exactly one mask is
//! empty, so that missing a structure can never improve them, and NaN when both are. Means over cases, with the counts
//! of what was undefined, missed or replaced, are [`table`]'s work.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Result, did_you_mean};
use crate::volume::affine::TOLERANCE_MM;
use crate::volume::surface::surface_distances;
use crate::volume::{Grid, Volume};

pub mod calibration;
pub mod evaluation;
pub mod overlap;
pub mod surface;
pub mod table;

pub use calibration::Calibration;
pub use evaluation::Evaluation;
pub use overlap::Confusion;
pub use surface::SurfaceMetrics;

pub use crate::stats::Direction;

/// A number that says how good a mask is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
#[expect(missing_docs, reason = "the table below documents each")]
pub enum Metric {
    Accuracy,
    Dice,
    F2,
    Iou,
    Precision,
    Recall,
    Specificity,
    VolumeDifference,
    Hd,
    Hd95,
    Assd,
    Masd,
    Nsd,
    Brier,
    Ece,
}

/// Key, title, unit (empty for ratios) and direction, in the order of the enum.
const TABLE: [(Metric, &str, &str, &str, Direction); 15] = [
    (Metric::Accuracy, "accuracy", "Accuracy", "", Direction::Higher),
    (Metric::Dice, "dice", "Dice", "", Direction::Higher),
    (Metric::F2, "f2", "F2", "", Direction::Higher),
    (Metric::Iou, "iou", "IoU", "", Direction::Higher),
    (Metric::Precision, "precision", "Precision", "", Direction::Higher),
    (Metric::Recall, "recall", "Recall", "", Direction::Higher),
    (Metric::Specificity, "specificity", "Specificity", "", Direction::Higher),
    (Metric::VolumeDifference, "volume_difference", "Volume difference", "ml", Direction::Lower),
    (Metric::Hd, "hd", "HD", "mm", Direction::Lower),
    (Metric::Hd95, "hd95", "HD95", "mm", Direction::Lower),
    (Metric::Assd, "assd", "ASSD", "mm", Direction::Lower),
    (Metric::Masd, "masd", "MASD", "mm", Direction::Lower),
    (Metric::Nsd, "nsd", "NSD at 1 mm", "", Direction::Higher),
    (Metric::Brier, "brier", "Brier score", "", Direction::Lower),
    (Metric::Ece, "ece", "ECE", "", Direction::Lower),
];

impl Metric {
    /// Every metric, in the order of reports.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    /// Those that two masks decide: all but the metrics of probabilities.
    pub fn of_masks() -> impl Iterator<Item = Self> {
        Self::all().filter(|metric| !metric.needs_probabilities())
    }

    /// Whether a mask is not enough to know it.
    pub fn needs_probabilities(self) -> bool {
        matches!(self, Self::Brier | Self::Ece)
    }

    /// The columns of the main table.
    pub const MAIN: [Self; 8] =
        [Self::Accuracy, Self::Dice, Self::F2, Self::Iou, Self::Precision, Self::Recall, Self::Hd, Self::Hd95];

    /// Name in files and options.
    pub fn key(self) -> &'static str {
        TABLE[self as usize].1
    }

    /// Name for people, without the unit.
    pub fn title(self) -> &'static str {
        TABLE[self as usize].2
    }

    /// The head of a column where surface Dice was measured with `nsd_tolerance`, in mm.
    pub fn head(self, nsd_tolerance: f64) -> String {
        if self == Self::Nsd { format!("NSD at {nsd_tolerance} mm") } else { self.to_string() }
    }

    /// Unit; empty for ratios.
    pub fn unit(self) -> &'static str {
        TABLE[self as usize].3
    }

    /// Which values are good.
    pub fn direction(self) -> Direction {
        TABLE[self as usize].4
    }

    /// The metric with this key.
    ///
    /// # Errors
    /// If there is none; the hint names the nearest or all.
    pub fn from_key(key: &str) -> Result<Self> {
        TABLE.iter().find(|row| row.1 == key).map(|row| row.0).ok_or_else(|| {
            let keys: Vec<&str> = TABLE.iter().map(|row| row.1).collect();
            let hint = match did_you_mean(key, keys.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known metrics: {}", keys.join(", ")),
            };
            Fault::new("unknown metric").found(format!("`{key}`")).hint(hint)
        })
    }
}

impl TryFrom<String> for Metric {
    type Error = Fault;

    fn try_from(key: String) -> Result<Self> {
        Self::from_key(&key)
    }
}

impl From<Metric> for &'static str {
    fn from(metric: Metric) -> Self {
        metric.key()
    }
}

impl fmt::Display for Metric {
    /// The head of a column: title and unit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit() {
            "" => f.write_str(self.title()),
            unit => write!(f, "{} [{unit}]", self.title()),
        }
    }
}

/// Everything measured on one case and class, as finite numbers from which every metric follows.
///
/// Values that may be infinite or undefined are not stored, so that any format can keep this.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseMetrics {
    /// Agreement of the voxels.
    pub confusion: Confusion,
    /// Agreement of the surfaces; `None` if either mask is empty.
    pub surface: Option<SurfaceMetrics>,
    /// Agreement of the probabilities; `None` if only masks were compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// Volume of a voxel, in ml.
    pub voxel_ml: f64,
    /// Diagonal of the volume, in mm: what replaces an infinite distance in means.
    pub diagonal_mm: f64,
}

impl CaseMetrics {
    /// What there is to say of a class that is nowhere on a grid, neither predicted nor true.
    pub fn absent(grid: &Grid) -> Self {
        Self {
            confusion: Confusion { true_negative: grid.voxels() as u64, ..Confusion::default() },
            surface: None,
            calibration: None,
            voxel_ml: grid.spacing.iter().product::<f64>() / 1000.0,
            diagonal_mm: grid.diagonal(),
        }
    }

    /// The value of `metric`: NaN if undefined or not measured, +inf for distances to an empty mask.
    pub fn value(&self, metric: Metric) -> f64 {
        let counts = &self.confusion;
        let distance = |of: fn(&SurfaceMetrics) -> f64, one_empty: f64| match &self.surface {
            Some(surface) => of(surface),
            None if self.missed() || self.spurious() => one_empty,
            None => f64::NAN,
        };
        match metric {
            Metric::Accuracy => counts.accuracy(),
            Metric::Dice => counts.dice(),
            Metric::F2 => counts.f_beta(2.0),
            Metric::Iou => counts.iou(),
            Metric::Precision => counts.precision(),
            Metric::Recall => counts.recall(),
            Metric::Specificity => counts.specificity(),
            Metric::VolumeDifference => counts.volume_difference() as f64 * self.voxel_ml,
            Metric::Hd => distance(|s| s.hd, f64::INFINITY),
            Metric::Hd95 => distance(|s| s.hd95, f64::INFINITY),
            Metric::Assd => distance(|s| s.assd, f64::INFINITY),
            Metric::Masd => distance(|s| s.masd, f64::INFINITY),
            Metric::Nsd => distance(|s| s.nsd, 0.0),
            Metric::Brier => self.calibration.as_ref().map_or(f64::NAN, Calibration::brier),
            Metric::Ece => self.calibration.as_ref().map_or(f64::NAN, Calibration::ece),
        }
    }

    /// Whether there was something to measure `metric` on; what was not measured is left out of files.
    pub fn measured(&self, metric: Metric) -> bool {
        self.calibration.is_some() || !metric.needs_probabilities()
    }

    /// Whether there is something to find and nothing was predicted.
    pub fn missed(&self) -> bool {
        self.confusion.predicted() == 0 && self.confusion.real() > 0
    }

    /// Whether something was predicted where there is nothing to find.
    pub fn spurious(&self) -> bool {
        self.confusion.predicted() > 0 && self.confusion.real() == 0
    }
}

/// Compares `class` in a prediction with the truth, surface Dice at the default tolerance. Only masks are compared:
/// `calibration` is the caller's to add.
///
/// # Errors
/// As [`evaluate_within`].
pub fn evaluate(prediction: &Volume<u8>, truth: &Volume<u8>, class: u8) -> Result<CaseMetrics> {
    evaluate_within(prediction, truth, class, surface::NSD_TOLERANCE_MM)
}

/// Compares `class` in a prediction with the truth; `nsd_tolerance` is that of surface Dice, in mm.
///
/// The spacing is the truth's. Position and direction do not enter any metric and are not compared.
///
/// # Errors
/// If the grids differ in shape or in spacing: no voxel would have a partner, no distance a unit.
pub fn evaluate_within(
    prediction: &Volume<u8>,
    truth: &Volume<u8>,
    class: u8,
    nsd_tolerance: f64,
) -> Result<CaseMetrics> {
    let (found, expected) = (&prediction.grid, &truth.grid);
    if found.shape != expected.shape {
        return Err(Fault::new("prediction and truth differ in shape")
            .expected(format!("{:?} voxels, as the truth", expected.shape))
            .found(format!("{:?} voxels in the prediction", found.shape))
            .hint("bring the prediction back to the grid of its image before evaluating it"));
    }
    // Written so that NaN counts as a difference.
    if !found.spacing.iter().zip(expected.spacing).all(|(a, b)| (a - b).abs() <= TOLERANCE_MM) {
        return Err(Fault::new("prediction and truth differ in spacing")
            .expected(format!("{:?} mm, as the truth", expected.spacing))
            .found(format!("{:?} mm in the prediction", found.spacing))
            .hint("write predictions with the header of their image"));
    }
    Ok(CaseMetrics {
        confusion: Confusion::of(&prediction.voxels, &truth.voxels, class),
        surface: surface_distances(truth, prediction, class).map(|found| SurfaceMetrics::of(found, nsd_tolerance)),
        ..CaseMetrics::absent(expected)
    })
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "infinity is compared with itself")]
mod tests {
    use super::*;

    type Mask = fn([i32; 3]) -> bool;

    const NAN: f64 = f64::NAN;
    const INF: f64 = f64::INFINITY;
    const ISOTROPIC: [f64; 3] = [1.0, 1.0, 1.0];
    const ANISOTROPIC: [f64; 3] = [3.0, 0.8, 0.5];

    fn ball(v: [i32; 3], centre: [i32; 3], square_radius: i32) -> bool {
        (0..3).map(|axis| (v[axis] - centre[axis]).pow(2)).sum::<i32>() <= square_radius
    }

    fn cuboid(v: [i32; 3], from: [i32; 3], to: [i32; 3]) -> bool {
        (0..3).all(|axis| (from[axis]..to[axis]).contains(&v[axis]))
    }

    fn voxel(v: [i32; 3], at: [i32; 3]) -> bool {
        v == at
    }

    fn volume(spacing: [f64; 3], mask: Mask) -> Volume<u8> {
        let at = |v: i32| [v / (11 * 13), v / 13 % 11, v % 13];
        Volume {
            grid: Grid::aligned([9, 11, 13], spacing),
            voxels: (0..9 * 11 * 13).map(|v| 2 * u8::from(mask(at(v)))).collect(),
        }
    }

    #[test]
    fn every_metric_agrees_with_scipy_and_monai() {
        for (name, spacing, prediction, truth, expected) in GOLDEN {
            let found = evaluate(&volume(spacing, prediction), &volume(spacing, truth), 2).unwrap();
            for (metric, expected) in Metric::all().zip(expected) {
                let value = found.value(metric);
                let same =
                    value == expected || (value.is_nan() && expected.is_nan()) || (value - expected).abs() < 1e-12;
                assert!(same, "{name}: {metric} is {value}, not {expected}");
            }
        }
    }

    #[test]
    fn probabilities_are_measured_only_where_there_are_some() {
        let mask = volume(ISOTROPIC, |v| ball(v, [4, 5, 6], 10));
        let masks = evaluate(&mask, &mask, 2).unwrap();
        let probabilities = mask.voxels.iter().map(|voxel| if *voxel == 2 { 0.75 } else { 0.25 });
        let calibration = Some(Calibration::of(probabilities, &mask.voxels, 2).unwrap());
        let both = CaseMetrics { calibration, ..masks };
        for metric in [Metric::Brier, Metric::Ece] {
            assert!(masks.value(metric).is_nan() && !masks.measured(metric) && both.measured(metric));
            assert_eq!((metric.direction(), Metric::MAIN.contains(&metric)), (Direction::Lower, false));
        }
        assert_eq!((both.value(Metric::Brier), both.value(Metric::Ece)), (0.0625, 0.25));
        assert_eq!(Metric::of_masks().count(), 13);
        assert!(Metric::of_masks().all(|metric| masks.measured(metric)));
    }

    #[test]
    fn the_table_is_in_the_order_of_the_enum_and_keys_are_their_own_inverse() {
        for (place, metric) in Metric::all().enumerate() {
            assert_eq!(metric as usize, place);
            assert_eq!(Metric::from_key(metric.key()).unwrap(), metric);
        }
        assert!(Metric::from_key("hd59").is_err());
        assert_eq!(Metric::Hd95.to_string(), "HD95 [mm]");
        assert_eq!(Metric::Nsd.title(), Metric::Nsd.head(surface::NSD_TOLERANCE_MM));
        assert_eq!((Metric::Nsd.head(2.5), Metric::Hd.head(2.5)), ("NSD at 2.5 mm".into(), "HD [mm]".into()));
        assert_eq!((Direction::Lower.gain(-2.0), Direction::Higher.gain(-2.0)), (2.0, -2.0));
    }

    #[test]
    fn other_grids_are_refused_and_both_are_named() {
        let truth = volume(ISOTROPIC, |_| true);
        let small = Volume { grid: Grid::aligned([9, 11, 12], ISOTROPIC), voxels: vec![0; 9 * 11 * 12] };
        let message = evaluate(&small, &truth, 1).unwrap_err().to_string();
        assert!(message.contains("[9, 11, 13]") && message.contains("[9, 11, 12]"), "{message}");
        let message = evaluate(&volume(ANISOTROPIC, |_| true), &truth, 1).unwrap_err().to_string();
        assert!(message.contains("spacing") && message.contains("0.8"), "{message}");
    }

    /// Name, spacing, prediction, truth, and the values in the order of the table. Overlap by `NumPy` 2.4.6, surfaces by
    /// `SciPy` 1.17.1 (`binary_erosion` with `border_value=0`, `distance_transform_edt`, linear `percentile`); MONAI 1.6.1
    /// gives the same for all that it has and defines (float32, to 1e-5). The last three rows are our policy.
    #[rustfmt::skip]
    #[expect(clippy::unreadable_literal, clippy::approx_constant, reason = "as the other tool prints them")]
    #[expect(clippy::type_complexity, reason = "a table, read once")]
    const GOLDEN: [(&str, [f64; 3], Mask, Mask, [f64; 13]); 12] = [
        ("shifted balls", ISOTROPIC, |v| ball(v, [4, 5, 6], 10), |v| ball(v, [5, 5, 7], 10),
            [0.9269619269619269, 0.6802721088435374, 0.6802721088435374, 0.5154639175257731, 0.6802721088435374, 0.6802721088435374, 0.9587719298245614, 0.0, 1.4142135623730951, 1.4142135623730951, 0.7272871569190635, 0.7272871569190634, 0.8]),
        ("shifted balls, anisotropic", ANISOTROPIC, |v| ball(v, [4, 5, 6], 10), |v| ball(v, [5, 5, 7], 10),
            [0.9269619269619269, 0.6802721088435374, 0.6802721088435374, 0.5154639175257731, 0.6802721088435374, 0.6802721088435374, 0.9587719298245614, 0.0, 3.0413812651491097, 2.2262811813689516, 0.6039357418919207, 0.6039357418919207, 0.9]),
        ("one voxel each", ANISOTROPIC, |v| voxel(v, [0, 0, 0]), |v| voxel(v, [8, 10, 12]),
            [0.9984459984459985, 0.0, 0.0, 0.0, 0.0, 0.0, 0.9992223950233281, 0.0, 26.0, 26.0, 26.0, 26.0, 0.0]),
        ("one voxel in a ball", ISOTROPIC, |v| voxel(v, [4, 5, 6]), |v| ball(v, [4, 5, 6], 10),
            [0.8865578865578866, 0.013513513513513514, 0.008488964346349746, 0.006802721088435374, 1.0, 0.006802721088435374, 1.0, 0.146, 3.1622776601683795, 3.1622776601683795, 2.8689344275887345, 2.661542333434876, 0.0]),
        ("boxes cut by the border", ANISOTROPIC, |v| cuboid(v, [0, 0, 0], [5, 6, 7]), |v| cuboid(v, [0, 1, 0], [6, 8, 7]),
            [0.8803418803418803, 0.6944444444444444, 0.6313131313131313, 0.5319148936170213, 0.8333333333333334, 0.5952380952380952, 0.9647532729103726, 0.10080000000000001, 3.4, 3.104834939252005, 0.8346914086475697, 0.7841868846428626, 0.7383720930232558]),
        ("the whole image against a ball", ISOTROPIC, |_| true, |v| ball(v, [4, 5, 6], 10),
            [0.11421911421911422, 0.20502092050209206, 0.392, 0.11421911421911422, 0.11421911421911422, 1.0, 0.0, 1.14, 5.830951894845301, 5.196152422706632, 3.3368106969884677, 2.901665418131407, 0.029239766081871343]),
        ("a missed second component", ISOTROPIC, |v| ball(v, [3, 3, 3], 5), |v| ball(v, [3, 3, 3], 5) || cuboid(v, [7, 9, 11], [9, 11, 13]),
            [0.9937839937839937, 0.9344262295081968, 0.8990536277602523, 0.8769230769230769, 1.0, 0.8769230769230769, 1.0, 0.008, 10.488088481701515, 9.924620228748676, 0.9196779006991016, 0.8397059093339623, 0.9047619047619048]),
        ("a small ball in a large one, anisotropic", ANISOTROPIC, |v| ball(v, [4, 5, 6], 3), |v| ball(v, [4, 5, 6], 20),
            [0.7187257187257188, 0.12980769230769232, 0.08528111181301326, 0.06940874035989718, 1.0, 0.06940874035989718, 1.0, 0.43440000000000006, 9.035485598461214, 9.0, 3.9382335792924925, 2.906817958420495, 0.0]),
        ("the same ball", ANISOTROPIC, |v| ball(v, [4, 5, 6], 10), |v| ball(v, [4, 5, 6], 10),
            [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]),
        ("both empty", ANISOTROPIC, |_| false, |_| false,
            [1.0, NAN, NAN, NAN, NAN, NAN, 1.0, 0.0, NAN, NAN, NAN, NAN, NAN]),
        ("missed", ANISOTROPIC, |_| false, |v| ball(v, [4, 5, 6], 10),
            [0.8857808857808858, 0.0, 0.0, 0.0, NAN, 0.0, 1.0, 0.17640000000000003, INF, INF, INF, INF, 0.0]),
        ("spurious", ANISOTROPIC, |v| ball(v, [4, 5, 6], 10), |_| false,
            [0.8857808857808858, 0.0, 0.0, 0.0, 0.0, NAN, 0.8857808857808858, 0.17640000000000003, INF, INF, INF, INF, 0.0]),
    ];
}
