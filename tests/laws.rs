//! Laws of the language and of the losses.

use lossgen::formula::Formula;
use lossgen::formula::eval::gradient;
use lossgen::formula::forward::Screen;
use lossgen::formula::plan::Plan;
use lossgen::grammar::{BUILT_IN, BuiltIn, Grammar};
use lossgen::losses::named;
use lossgen::rng::{Purpose, stream};

use crate::support::{Batch, batches};

fn loss(typed: &str) -> Formula {
    named(typed).unwrap().formula
}

fn random_losses(grammar: &Grammar, count: u64) -> impl Iterator<Item = Formula> + '_ {
    (0..count).map(move |slot| grammar.sample_loss(25, &mut stream(11, Purpose::Birth, 0, slot)))
}

#[test]
fn known_identities_hold() {
    let pairs = [
        ("focal(gamma=0)", "ce", 1.0),
        ("tversky(fp_weight=0.5, fn_weight=0.5)", "dice(smooth_nr=2e-5, smooth_dr=2e-5)", 1.0),
        ("tversky(fp_weight=0.5, fn_weight=0.5, smooth_nr=0.5, smooth_dr=1)", "dice(smooth_nr=1, smooth_dr=2)", 1.0),
        ("effectiveness", "tversky(fp_weight=0.5, fn_weight=0.5)", 1.0),
        ("topk(k=100)", "ce", 1.0),
        ("weighted_ce(pos_weight=1)", "ce", 1.0),
        ("focal_dice(exponent=1)", "dice", 1.0),
    ];
    for (name, batch) in batches() {
        for (left, right, factor) in pairs {
            let (a, b) = (batch.value(&loss(left)), batch.value(&loss(right)) * factor);
            assert!((a - b).abs() <= 1e-12 * (1.0 + b.abs()), "{left} = {a}, {right} = {b} on {name}");
        }
    }
}

#[test]
fn asymmetric_is_tversky_with_f_beta_weights() {
    let beta: f64 = 1.5;
    let (fp, fn_) = (1.0 / (1.0 + beta * beta), beta * beta / (1.0 + beta * beta));
    let tversky = loss(&format!("tversky(fp_weight={fp}, fn_weight={fn_})"));
    for (name, batch) in batches() {
        let (a, b) = (batch.value(&loss("asymmetric")), batch.value(&tversky));
        assert!((a - b).abs() <= 1e-12, "{a} and {b} on {name}");
    }
}

#[test]
fn the_canonical_form_keeps_value_and_gradient() {
    let batch = Batch::random(21, [2, 1, 50], 1.5, 0.25);
    for grammar in BUILT_IN.iter().map(BuiltIn::grammar) {
        for loss in random_losses(&grammar, 2000) {
            let (value, slopes) = batch.gradient(&loss);
            let (other, others) = batch.gradient(&loss.canonical());
            let largest = slopes.iter().fold(1e-300, |m: f64, s| m.max(s.abs()));
            assert!((value - other).abs() <= 1e-9 * value.abs().max(1e-9), "{loss}: {value} and {other}");
            assert!(slopes.iter().zip(&others).all(|(a, b)| (a - b).abs() <= 1e-7 * largest), "{loss}");
        }
    }
}

/// The promise of the typed grammars: no voxel is ever pushed away from its target, and both sides are spoken about.
#[test]
fn every_tame_sentence_of_a_typed_grammar_keeps_its_polarity() {
    let screen = Screen::default();
    let ordinary = [Batch::random(31, [2, 1, 60], 1.5, 0.2), Batch::random(32, [2, 1, 60], 3.0, 0.5)];
    for grammar in BUILT_IN.iter().filter_map(|known| known.grammar().tame()) {
        for loss in random_losses(&grammar, 10_000) {
            // The largest values may all be of one side; the distance is 0 at the rim, and of scattered voxels all are rim.
            let may_be_silent = ["mean_top", "signed_distance", "signed_distance_mm"];
            let may_be_silent = loss.genes().iter().any(|gene| may_be_silent.contains(&gene.word.word().name));
            // Nobody is pushed away on any probe: empty, full, saturated, half-trained and coarse ones are among them.
            let (_, slopes) = screen.answer(&loss);
            let largest = slopes.iter().fold(0.0, |m: f64, s| m.max(s.abs()));
            let targets = screen.probes().iter().flat_map(|probe| &probe.targets);
            let worst = slopes.iter().zip(targets).map(|(slope, y)| if *y > 0.5 { *slope } else { -*slope });
            let worst = worst.fold(0.0, f64::max);
            assert!(worst <= 1e-12 * largest, "{loss} pushes a voxel of a probe away from its target by {worst:e}");
            let (mut foreground, mut background) = (false, false);
            for batch in &ordinary {
                let (_, slopes) = batch.gradient(&loss);
                let largest = slopes.iter().fold(0.0, |m: f64, s| m.max(s.abs()));
                for (slope, y) in slopes.iter().zip(&batch.targets) {
                    let wrong = if *y > 0.5 { *slope } else { -*slope };
                    assert!(wrong <= 1e-12 * largest, "{loss} pushes a voxel away from its target by {wrong:e}");
                    foreground |= *y > 0.5 && *slope != 0.0;
                    background |= *y < 0.5 && *slope != 0.0;
                }
            }
            assert!(may_be_silent || (foreground && background), "{loss} of {} is silent about a side", grammar.name);
        }
    }
}

#[test]
fn single_precision_and_thread_counts_change_nothing_but_rounding() {
    let batch = Batch::random(41, [2, 2, 20_000], 2.0, 0.1);
    let logits: Vec<f32> = batch.logits.iter().map(|z| *z as f32).collect();
    let targets: Vec<f32> = batch.targets.iter().map(|y| *y as f32).collect();
    for typed in ["dice_ce", "focal", "topk", "(mean (* (ratio (sum_batch tp) (sum_batch fp)) ce_fg))"] {
        let plan = Plan::new(&loss(typed));
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut slopes = vec![0f32; logits.len()];
            let value = pool.install(|| gradient(&plan, &batch.with(&logits, &targets), &mut slopes));
            (value.to_bits(), slopes)
        };
        let one = run(1);
        assert_eq!(one, run(2), "{typed}");
        assert_eq!(one, run(8), "{typed}");
        let exact = batch.value(&loss(typed));
        assert!((f64::from_bits(one.0) - exact).abs() < 1e-5 * exact.abs(), "{typed}");
    }
}
