//! The proxy on phantoms: it learns, it tells losses apart, and its results depend on nothing but what they should.

use std::sync::atomic::AtomicBool;

use lossgen::data::{Dataset, PatchSampler, Phantom, Preprocess};
use lossgen::evolution::{Evaluator, Outcome};
use lossgen::formula::Formula;
use lossgen::losses::named;
use lossgen::nn::UNet3dConfig;
use lossgen::training::Recipe;
use lossgen::training::proxy::{Proxy, ProxyConfig};

fn phantoms() -> Dataset {
    Phantom { cases: 10, shape: [32, 32, 16], seed: 1 }.dataset(&Preprocess::default()).unwrap()
}

/// The outcome of each loss, from a shared start under `seed`.
fn outcomes(data: &Dataset, losses: &[Formula], seed: u64, threads: usize) -> Vec<Outcome> {
    let patches = PatchSampler { patch: [16, 24, 16], batch: 2, foreground_share: 0.33 };
    let recipe = Recipe { steps: 60, learning_rate: 2e-3, patches, ..Recipe::default() };
    let config = ProxyConfig { warm_steps: 120, recipe, ..ProxyConfig::default() };
    let stop = AtomicBool::new(false);
    let proxy = Proxy {
        config: &config,
        network: UNet3dConfig { in_channels: 1, out_channels: 1, width: 4, levels: 3 },
        train: data.select(&[0, 1, 2, 3, 4, 5]),
        validation: data.select(&[6, 7, 8, 9]),
        digest: &data.digest,
        seed,
        threads,
        stop: &stop,
    };
    let home = tempfile::tempdir().unwrap();
    let judge = proxy.prepare(&home.path().join("start.safetensors"), &mut |_, _| true).unwrap();
    let mut outcomes: Vec<Option<Outcome>> = vec![None; losses.len()];
    judge.evaluate(losses, &mut |slot, outcome| {
        outcomes[slot] = Some(outcome);
        true
    });
    outcomes.into_iter().map(Option::unwrap).collect()
}

/// The phantoms are a task on which the choice of the loss matters beyond the noise of seeds.
#[test]
fn a_pair_of_losses_differs_by_more_than_two_and_a_half_paired_deviations() {
    let data = phantoms();
    let losses = ["ce", "tversky"].map(|name| named(name).unwrap().formula);
    let gains: Vec<f64> = (1..=3)
        .map(|seed| {
            let dice: Vec<f64> = outcomes(&data, &losses, seed, 2).iter().map(Outcome::dice).collect();
            assert!(dice[0] > 0.2, "cross-entropy reached a Dice of {} only: nothing is learnt", dice[0]);
            dice[0] - dice[1]
        })
        .collect();
    let mean = gains.iter().sum::<f64>() / 3.0;
    let sd = (gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
    assert!(mean.abs() > 2.5 * sd, "differences {gains:?}: mean {mean:.4}, sd {sd:.4}");
}

#[test]
fn neither_threads_nor_company_change_a_result_and_a_divergence_is_one() {
    let data = phantoms();
    let dice = named("dice").unwrap().formula;
    let exploding: Formula = "(^ (* 1e300 (sum (+ ce_fg ce_bg))) 4)".parse().unwrap();
    let together = outcomes(&data, &[exploding, dice.clone()], 5, 8);
    let alone = outcomes(&data, &[dice], 5, 1);
    assert_eq!(together[0], Outcome::Diverged { step: 0 });
    assert_eq!(together[1], alone[0]);
}
