//! Laws of all drawings: whatever the numbers and however long the names, a picture is a whole file, keeps to its page, and
//! is the same again.

use proptest::collection::vec;
use proptest::prelude::*;

use super::boxes::boxes;
use super::curves::curves;
use super::differences::{Difference, differences};
use super::markup::{check, marks};
use super::overlay::overlay;
use super::raster::tests::decoded;
use super::significance::{Pair, map};
use super::solid::{View, render};
use super::stability::stability;
use super::voxels::distribution;
use crate::stats::{Direction, Verdict};
use crate::volume::{Grid, Volume};

/// Numbers that measurements give, and those that they should not.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => -1.0..1.0_f64,
        3 => -1e4..1e4_f64,
        1 => any::<f64>(),
        1 => prop::sample::select(vec![0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, 1e-300, 5e-324]),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z_]{1,12}", 1 => "[ -~]{0,120}", 1 => "\\PC{0,40}"]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop::sample::select(vec![Verdict::Better, Verdict::Worse, Verdict::NotResolvable { n: 5 }])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn groups_of_any_numbers_are_drawn(groups in vec((name(), vec(number(), 0..12)), 0..6)) {
        let text = boxes("t", "u", &groups);
        check(&text);
        prop_assert_eq!(&text, &boxes("t", "u", &groups));
        let has_place = |v: &&f64| !v.is_nan() && **v != f64::NEG_INFINITY;
        let cases = groups.iter().map(|(_, values)| values.iter().filter(has_place).count()).sum::<usize>();
        prop_assert_eq!(marks(&text, "h0"), cases);
        check(&distribution("t", &groups));
    }

    #[test]
    fn any_differences_are_drawn(rows in vec((name(), number(), number(), number(), verdict()), 0..8)) {
        let rows: Vec<Difference> = rows
            .into_iter()
            .map(|(name, mean, low, high, verdict)| Difference { name, mean, low, high, verdict })
            .collect();
        for direction in [Direction::Higher, Direction::Lower] {
            check(&differences("t", "u", direction, &rows));
        }
    }

    #[test]
    fn any_curves_are_drawn(lines in vec((name(), vec(number(), 0..60)), 0..10)) {
        let points = |values: Vec<f64>| values.into_iter().enumerate().map(|(n, v)| [n as f64, v]).collect();
        let lines: Vec<(String, Vec<[f64; 2]>)> = lines.into_iter().map(|(name, v)| (name, points(v))).collect();
        check(&curves("t", "loss", &lines));
    }

    #[test]
    fn any_maps_and_rankings_are_drawn(names in vec(name(), 1..15), cells in vec((number(), 0.0..1.0_f64), 225)) {
        let n = names.len();
        let pair = |row: usize, column: usize| {
            let (gain, p) = cells[row * n + column];
            (row != column).then_some(Pair { gain, p })
        };
        let matrix: Vec<Vec<Option<Pair>>> = (0..n).map(|row| (0..n).map(|column| pair(row, column)).collect()).collect();
        check(&map("t", &names, &matrix));
        let shares: Vec<Vec<f64>> = (0..n).map(|row| (0..n).map(|rank| cells[row * n + rank].1).collect()).collect();
        check(&stability("t", &names, &shares));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn volumes_of_any_shape_and_direction_are_shown(
        shape in [1..9_usize, 1..9, 1..9],
        spacing in [0.3..5.0_f64, 0.3..5.0, 0.3..5.0],
        turn in 0..6_usize,
        voxels in vec((number(), 0..6_u8, 0..6_u8), 512),
    ) {
        let mut grid = Grid::aligned(shape, spacing);
        let order = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]][turn];
        grid.affine = [[0.0; 4]; 3];
        for axis in 0..3 {
            grid.affine[order[axis]][axis] = if turn % 2 == 0 { spacing[axis] } else { -spacing[axis] };
        }
        // Three of six values are background.
        let label = |value: u8| value.saturating_sub(2);
        let n = grid.voxels();
        let image = Volume { voxels: voxels[..n].iter().map(|v| v.0 as f32).collect(), grid: grid.clone() };
        let truth = Volume { voxels: voxels[..n].iter().map(|v| label(v.1)).collect(), grid: grid.clone() };
        let prediction = Volume { voxels: voxels[..n].iter().map(|v| label(v.2)).collect(), grid };
        prop_assert!(decoded(&overlay(&image, &truth, &prediction).unwrap()).height > 20);
        prop_assert!(decoded(&render(&image, &truth, &prediction, View::SAGITTAL).unwrap()).height > 20);
    }
}
