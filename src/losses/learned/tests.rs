//! What a learned loss says, looked up and computed; what moves with its weights; files.

use super::*;
use crate::formula::fingerprint::probes;
use crate::rng::{Purpose, stream};

fn learned(listens: Listens) -> Learned {
    Learned::random(listens, 6, &mut stream(3, Purpose::Probe, 0, 0)).rounded()
}

fn all() -> [Learned; 3] {
    let listens = |progress, distance| learned(Listens { progress, distance });
    [listens(false, false), listens(true, false), listens(true, true)]
}

const SHAPE: [usize; 3] = [4, 5, 5];

/// Two samples of one class with logits of all sizes, soft targets among them.
fn batch() -> (Vec<f32>, Vec<f32>) {
    let logits = (0..200).map(|i| 6.0 * (1.3 * i as f32).sin() + if i == 7 { 9.0 } else { 0.0 }).collect();
    let targets = (0..200).map(|i| if i % 50 == 3 { 0.25 } else { f32::from(u8::from(i % 5 < 2)) }).collect();
    (logits, targets)
}

#[test]
fn tables_say_what_the_network_says() {
    let (logits, targets) = batch();
    for loss in all() {
        let inputs = Inputs { shape: SHAPE, ..Inputs::new(2, 1, &logits, &targets) };
        let mut slopes = vec![0f32; logits.len()];
        let value = loss.table(0.3).gradient(&inputs, &mut slopes);
        let map = Map { of: Side::SignedTarget, unit: Unit::Voxel }.compute(&inputs, &targets);
        let mut exact = 0.0;
        for at in 0..200 {
            let y = f64::from(targets[at]);
            let of = |side: f64| loss.at([f64::from(logits[at]), side, 0.3, map[at].clamp(-8.0, 8.0)]);
            let ((far, far_slope), (near, near_slope)) = (of(0.0), of(1.0));
            exact += ((1.0 - y) * far + y * near) / 200.0;
            let slope = ((1.0 - y) * far_slope + y * near_slope) / 200.0;
            assert!((f64::from(slopes[at]) - slope).abs() < 2e-5, "{at}: {} and {slope}", slopes[at]);
        }
        assert!((value - exact).abs() < 2e-3, "{value} and {exact}");
    }
}

#[test]
fn voxels_that_do_not_count_have_no_slope() {
    let (logits, targets) = batch();
    let mask: Vec<bool> = (0..200).map(|i| i % 3 != 0).collect();
    let inputs = Inputs { shape: SHAPE, mask: Some(&mask), ..Inputs::new(2, 1, &logits, &targets) };
    let loss = learned(Listens::default());
    let mut slopes = vec![1f32; 200];
    let table = loss.table(0.5);
    let value = table.gradient(&inputs, &mut slopes);
    assert!((0..200).all(|i| mask[i] == (slopes[i] != 0.0)));
    // Neither do their logits matter.
    let mut other = logits.clone();
    other[0] = 3.0;
    assert_eq!(table.gradient(&Inputs { logits: &other, ..inputs }, &mut slopes), value);
}

#[test]
fn what_moves_with_the_weights_is_that_of_differences() {
    let (logits, targets) = batch();
    let shares: Vec<f64> = (0..200).map(|i| (0.7 * f64::from(i)).cos()).collect();
    for loss in all() {
        let inputs = Inputs { shape: SHAPE, ..Inputs::new(2, 1, &logits, &targets) };
        let sum = |loss: &Learned| -> f64 {
            let mut slopes = vec![0f32; 200];
            loss.table(0.6).gradient(&inputs, &mut slopes);
            slopes.iter().zip(&shares).map(|(slope, share)| f64::from(*slope) * share).sum()
        };
        let mut exact = vec![0.0; loss.net().weights().len()];
        loss.table(0.6).add_slope_gradient(&loss, &inputs, &shares, &mut exact);
        let largest = exact.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
        for place in (0..exact.len()).step_by(5) {
            let moved = |by: f64| {
                let mut loss = loss.clone();
                loss.weights_mut()[place] += by;
                sum(&loss)
            };
            let difference = (moved(1e-3) - moved(-1e-3)) / 2e-3;
            assert!((difference - exact[place]).abs() < 1e-3 * largest, "{place}: {difference} and {}", exact[place]);
        }
    }
}

#[test]
fn texts_and_files_read_back_and_others_are_refused() {
    for loss in all() {
        assert_eq!(Learned::read(&loss.text()).unwrap(), loss);
        let bytes = loss.to_safetensors().unwrap();
        assert_eq!(Learned::from_safetensors(&bytes).unwrap(), loss);
        assert!(Learned::from_safetensors(&bytes[..bytes.len() - 4]).is_err());
    }
    for text in ["", "1", "1.6", "9.6.00", "1.6.zz", "1.6.3f800000", "1.99999999.3f800000", "1.6.é"] {
        assert!(Learned::read(text).is_err(), "{text}");
    }
    assert!(Learned::from_safetensors(b"nothing").is_err());
}

#[test]
fn on_probes_it_is_a_loss_like_any_other() {
    let (loss, probes) = (learned(Listens { progress: true, distance: true }), probes());
    let slopes = loss.slopes(&probes);
    assert_eq!(slopes.len(), probes.iter().map(|probe| probe.logits.len()).sum::<usize>());
    assert!(slopes.iter().all(|slope| slope.is_finite()) && slopes.iter().any(|slope| *slope != 0.0));
}
