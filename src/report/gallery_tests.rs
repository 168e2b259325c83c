//! For people who change a drawing: every drawing with ordinary and with awkward numbers, and a page of them all.
//!
//! `LOSSGEN_PICTURES=DIR cargo test --release gallery` writes them into a folder, to be looked at in a browser. Without the
//! variable they are made and checked all the same. `LOSSGEN_TEST_DATA` adds a real case of each data set to the folder, with
//! its truth moved by two voxels as the prediction.

use super::curves::curves;
use super::differences::{Difference, differences};
use super::markup::{check, tags};
use super::overlay::overlay;
use super::page::{Cell, Page, preformatted};
use super::scene::phantom;
use super::significance::{Pair, map};
use super::solid::{View, render};
use super::stability::stability;
use super::{boxes::boxes, voxels::distribution};
use crate::data::nifti;
use crate::formula::Formula;
use crate::losses::catalog::CATALOG;
use crate::stats::ranking::ranks;
use crate::stats::{Direction, Verdict};

/// Names as people give them and as searches find them.
const NAMES: [&str; 20] = [
    "dice_ce",
    "dice",
    "ce",
    "tversky(fp_weight=0.3, fn_weight=0.7)",
    "tversky(fp_weight=0.4, fn_weight=0.6)",
    "focal_tversky",
    "cov(dice, boundary)",
    "rebalance(dice, hausdorff, alpha=0.99)",
    "greedy(tversky(fp_weight=0.5, fn_weight=0.5), parameters=fp_weight fn_weight, every=100)",
    "(+ (ratio (+ (sum tp) smooth_nr=1e-5) (+ (sum fp) (sum fn))) (* 0.37 (mean_top 12 (+ ce_fg ce_bg))))",
    "topk",
    "focal",
    "iou",
    "asymmetric",
    "boundary",
    "hausdorff",
    "softadapt(dice, ce)",
    "learned(run)",
    "weighted_ce",
    "a < b & \"c\"",
];

/// Numbers in no order, from 0 to 1, always the same.
fn noise(seed: usize, n: usize) -> f64 {
    let mut x =
        (seed as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (n as u64 + 1).wrapping_mul(0xD1B5_4A32_D192_ED03);
    x = (x ^ (x >> 31)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((x ^ (x >> 29)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Dice of a loss on a case.
fn dice(loss: usize, case: usize) -> f64 {
    let hard = 0.12 * noise(99, case).powi(3);
    (0.9 - 0.006 * loss as f64 - hard - 0.05 * noise(loss, case)).clamp(0.0, 1.0)
}

fn names(n: usize) -> Vec<String> {
    NAMES[..n].iter().map(ToString::to_string).collect()
}

fn cases(losses: usize, cases: usize) -> Vec<(String, Vec<f64>)> {
    names(losses).into_iter().enumerate().map(|(l, name)| (name, (0..cases).map(|c| dice(l, c)).collect())).collect()
}

fn forest(n: usize) -> Vec<Difference> {
    let of = |(loss, name): (usize, String)| {
        let mean = 0.015 - 0.004 * loss as f64;
        let half = 0.006 + 0.01 * noise(loss, 3);
        let verdict = match mean {
            mean if mean - half > 0.0 => Verdict::Better,
            mean if mean + half < 0.0 => Verdict::Worse,
            _ => Verdict::NotResolvable { n: 12 },
        };
        Difference { name, mean, low: mean - half, high: mean + half, verdict }
    };
    names(n).into_iter().enumerate().map(of).collect()
}

fn pairs(n: usize) -> Vec<Vec<Option<Pair>>> {
    let pair = |row: usize, column: usize| {
        let gain = 0.006 * (column as f64 - row as f64);
        (row != column).then(|| Pair { gain, p: (0.6 * (-gain.abs() * 130.0).exp()).min(1.0) })
    };
    (0..n).map(|row| (0..n).map(|column| pair(row, column)).collect()).collect()
}

/// Shares of ranks of losses that are resampled.
fn shares(n: usize) -> Vec<Vec<f64>> {
    let mut shares = vec![vec![0.0; n]; n];
    for draw in 0..200 {
        let values: Vec<f64> = (0..n).map(|loss| dice(loss, draw) + 0.02 * noise(loss, 1000 + draw)).collect();
        for (loss, rank) in ranks(&values, Direction::Higher).into_iter().enumerate() {
            shares[loss][rank.round() as usize - 1] += 1.0 / 200.0;
        }
    }
    shares
}

fn falling(loss: usize, steps: usize) -> Vec<[f64; 2]> {
    let at = |step: usize| {
        let share = step as f64 / steps as f64;
        let level = (0.08 + 0.01 * loss as f64) + 0.9 * (-(5.0 + loss as f64 * 0.3) * share).exp();
        [step as f64, level * (0.75 + 0.5 * noise(loss, step))]
    };
    (0..steps).map(at).collect()
}

fn drawings() -> Vec<(&'static str, String)> {
    let open = Verdict::NotResolvable { n: 3 };
    let mut failed = forest(8);
    failed.push(Difference { name: "failed".into(), mean: -0.81, low: -0.9, high: -0.7, verdict: Verdict::Worse });
    failed.push(Difference { name: "n = 1".into(), mean: 0.01, low: f64::NAN, high: f64::NAN, verdict: open });
    failed.push(Difference { name: "none".into(), mean: f64::NAN, low: f64::NAN, high: f64::NAN, verdict: open });
    let mut distances = cases(6, 15);
    for value in distances.iter_mut().flat_map(|(_, values)| values) {
        *value = 40.0 * (1.0 - *value);
    }
    distances[1].1[3] = f64::INFINITY;
    distances[2].1[5] = f64::NAN;
    distances[3].1 = vec![2.5; 15];
    distances[4].1 = vec![f64::NAN; 15];
    distances[5].1 = vec![3.0];
    let curve = |n: usize, steps| -> Vec<(String, Vec<[f64; 2]>)> {
        names(n).into_iter().enumerate().map(|(loss, name)| (name, falling(loss, steps))).collect()
    };
    let mut broken = curve(3, 500);
    broken[0].1.iter_mut().for_each(|point| point[1] -= 0.4);
    broken[1].1[200..260].iter_mut().for_each(|point| point[1] = f64::NAN);
    broken[2].1.truncate(180);
    let class = |name: &str, size: f64, absent: usize| {
        let share = |case: usize| if case < absent { 0.0 } else { size * (0.5 + noise(7, case)) };
        (name.to_string(), (0..24).map(share).collect::<Vec<f64>>())
    };
    let mut classes = vec![class("L1", 0.004, 0), class("L5", 0.006, 3), class("a very small structure", 2e-5, 9)];
    let all = (0..24).map(|case| 1.0 - classes.iter().map(|(_, shares)| shares[case]).sum::<f64>()).collect();
    classes.insert(0, ("background".to_string(), all));
    vec![
        (
            "differences",
            differences("Dice: difference to dice_ce", "difference of Dice", Direction::Higher, &forest(8)),
        ),
        ("differences-20", differences("Dice", "difference of Dice", Direction::Higher, &forest(20))),
        ("differences-failed", differences("HD95", "difference in mm", Direction::Lower, &failed)),
        ("differences-1", differences("Dice", "difference of Dice", Direction::Higher, &forest(1))),
        ("boxes", boxes("Dice of every case", "Dice", &cases(8, 24))),
        ("boxes-20", boxes("Dice of every case", "Dice", &cases(20, 60))),
        ("boxes-odd", boxes("HD95 of every case", "HD95 in mm", &distances)),
        ("boxes-1", boxes("Dice of every case", "Dice", &cases(1, 5))),
        ("significance", map("Dice", &names(7), &pairs(7))),
        ("significance-20", map("Dice", &names(20), &pairs(20))),
        ("significance-2", map("Dice", &names(2), &pairs(2))),
        ("stability", stability("Dice: ranks over resampled subjects", &names(8), &shares(8))),
        ("stability-20", stability("Dice: ranks over resampled subjects", &names(20), &shares(20))),
        ("stability-1", stability("Dice: ranks over resampled subjects", &names(1), &shares(1))),
        ("curves", curves("Loss while training", "loss of the batch", &curve(4, 3000))),
        ("curves-20", curves("Loss while training", "loss of the batch", &curve(20, 1000))),
        ("curves-odd", curves("Loss while training", "loss of the batch", &broken)),
        ("voxels", distribution("Voxels per class", &classes)),
    ]
}

/// Name and bytes of every photograph.
fn photographs() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for (name, shape, spacing) in [("cube", [60; 3], [1.0; 3]), ("flat", [18, 128, 128], [4.0, 0.8, 0.8])] {
        let (image, truth, prediction) = phantom(shape, spacing);
        let nothing = truth.map(|_| 0);
        files.push((format!("overlay-{name}"), overlay(&image, &truth, &prediction).unwrap()));
        files.push((format!("solid-{name}"), render(&image, &truth, &prediction, View::SAGITTAL).unwrap()));
        if name == "cube" {
            files.push((format!("overlay-{name}-empty"), overlay(&image, &truth, &nothing).unwrap()));
            files.push((format!("solid-{name}-empty"), render(&image, &truth, &nothing, View::SAGITTAL).unwrap()));
        }
    }
    files
}

/// The same of a real case of each data set, if there are any.
fn real() -> Vec<(String, Vec<u8>)> {
    let Some(root) = std::env::var_os("LOSSGEN_TEST_DATA").map(std::path::PathBuf::from) else { return Vec::new() };
    let mut files = Vec::new();
    for name in ["hippocampus_msd", "lumbar_myosegmentum"] {
        let labels = std::fs::read_dir(root.join(name).join("labelsTr")).unwrap();
        let label = labels.map(|entry| entry.unwrap().path()).min().unwrap();
        let file = label.file_name().unwrap();
        let image = nifti::read_image(&root.join(name).join("imagesTr").join(file)).unwrap();
        let truth = nifti::read_label(&label).unwrap();
        let step = 2 * truth.grid.shape[2];
        let mut prediction = truth.clone();
        prediction.voxels.rotate_right(step);
        files.push((format!("overlay-{name}"), overlay(&image, &truth, &prediction).unwrap()));
        files.push((format!("solid-{name}"), render(&image, &truth, &prediction, View::SAGITTAL).unwrap()));
    }
    files
}

fn page(drawings: &[(&str, String)], photographs: &[(String, Vec<u8>)]) -> Page {
    let mut page = Page::new("Comparison of losses: what a report looks like");
    page.paragraph("Made-up numbers, to look at drawings.");
    let number = |loss: usize, n: usize| format!("{:.3} ± {:.3}", dice(loss, n), 0.02 * noise(loss, n));
    let row = |(loss, name): (usize, &&str)| {
        let mut cells = vec![Cell::from(*name)];
        cells.extend((0..7).map(|n| if n == loss { Cell::best(&number(loss, n)) } else { number(loss, n).into() }));
        cells.push(if loss == 2 { "–".into() } else { "not resolvable".into() });
        cells
    };
    let head = ["loss", "Acc", "Dice", "F2", "IoU", "Precision", "Recall", "HD95 in mm", "verdict"];
    page.section("Results", "").table(&head, NAMES[..9].iter().enumerate().map(row).collect());
    for (name, svg) in drawings {
        page.section(name, "").figure("A caption that says how it is read.", svg);
    }
    page.section("Cases", "");
    for (name, png) in photographs {
        page.heading(name).picture("Contours: blue the ground truth, orange the prediction.", png);
    }
    page.section("Formulas", "");
    for entry in CATALOG {
        page.heading(entry.name).formula(&entry.formula().mathml());
    }
    page.heading("found").formula(&NAMES[9].parse::<Formula>().unwrap().mathml());
    page.section("Environment", "").details("Manifest", &preformatted("(\n  seed: 1,\n  losses: [\"a < b\"],\n)"));
    page
}

#[test]
fn every_drawing_is_whole_and_can_be_looked_at() {
    let (drawings, photographs) = (drawings(), photographs());
    let html = page(&drawings, &photographs).render();
    if let Some(folder) = std::env::var_os("LOSSGEN_PICTURES").map(std::path::PathBuf::from) {
        let write = |name: String, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        for (name, svg) in &drawings {
            write(format!("{name}.svg"), svg.as_bytes());
        }
        for (name, png) in photographs.iter().chain(&real()) {
            write(format!("{name}.png"), png);
        }
        write("report.html".to_string(), html.as_bytes());
    }
    for (_, svg) in &drawings {
        check(svg);
    }
    tags(&html);
    assert!(!html.contains("http:") && !html.contains("https:") && !html.contains("<script"));
}
