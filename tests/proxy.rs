//! The proxy on phantoms: it learns, it tells losses apart, and its results depend on nothing but what they should.

use std::sync::atomic::AtomicBool;

use lossgen::data::{Dataset, PatchSampler, Phantom, Preprocess};
use lossgen::evolution::{Evaluator, Outcome, Trial};
use lossgen::formula::Formula;
use lossgen::losses::named;
use lossgen::nn::UNet3dConfig;
use lossgen::run::RunDir;
use lossgen::training::Recipe;
use lossgen::training::proxy::{Proxy, ProxyConfig};

fn phantoms() -> Dataset {
    Phantom { cases: 10, shape: [32, 32, 16], seed: 1 }.dataset(&Preprocess::default()).unwrap()
}

/// The outcome of each loss under `seed`.
fn outcomes(data: &Dataset, trial: Trial, losses: &[Formula], seed: u64, threads: usize) -> Vec<Outcome> {
    let patches = PatchSampler { patch: [16, 24, 16], batch: 2, foreground_share: 0.33 };
    let recipe = Recipe { steps: 100, learning_rate: 2e-3, patches, ..Recipe::default() };
    let config = ProxyConfig { warm_steps: 240, recipe, ..ProxyConfig::default() };
    let stop = AtomicBool::new(false);
    let proxy = Proxy {
        config: &config,
        network: UNet3dConfig { width: 4, ..UNet3dConfig::default() },
        train: data.select(&[0, 1, 2, 3, 4, 5]),
        validation: data.select(&[6, 7, 8, 9]),
        digest: &data.digest,
        seed,
        threads,
        stop: &stop,
    };
    let home = tempfile::tempdir().unwrap();
    let judge = proxy.prepare(&RunDir::create(home.path()).unwrap(), &|_, _| true).unwrap();
    let mut outcomes: Vec<Option<Outcome>> = vec![None; losses.len()];
    judge.evaluate(trial, losses, &mut |slot, outcome| {
        outcomes[slot] = Some(outcome.unwrap());
        true
    });
    outcomes.into_iter().map(Option::unwrap).collect()
}

/// The phantoms are a task on which the choice of the loss matters beyond the noise of seeds.
#[test]
fn a_pair_of_losses_differs_by_more_than_two_and_a_half_paired_deviations() {
    let data = phantoms();
    let losses = ["dice", "tversky"].map(|name| named(name).unwrap().formula);
    let gains: Vec<f64> = (1..=3)
        .map(|seed| {
            let dice: Vec<f64> = outcomes(&data, Trial::FULL, &losses, seed, 2).iter().map(Outcome::dice).collect();
            assert!(dice[0] > 0.2, "Dice loss reached a Dice of {} only: nothing is learnt", dice[0]);
            dice[0] - dice[1]
        })
        .collect();
    let mean = gains.iter().sum::<f64>() / 3.0;
    let sd = (gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
    assert!(mean.abs() > 2.5 * sd, "differences {gains:?}: mean {mean:.4}, sd {sd:.4}");
}

/// It sharpens what a network knows already, and teaches a fresh one nothing.
#[test]
fn a_loss_that_only_polishes_is_found_out() {
    let data = phantoms();
    let [polish, ce] =
        ["(mean_top 12 abs_diff)", "(mean (+ ce_fg ce_bg))"].map(|text| text.parse::<Formula>().unwrap());
    let continued = &outcomes(&data, Trial::FULL, std::slice::from_ref(&polish), 1, 2)[0];
    assert!(continued.dice() > 0.4, "{continued}");
    let fresh = outcomes(&data, Trial::Scratch { replicate: 0 }, &[polish, ce], 1, 2);
    assert!(fresh[0].dice() < 0.25 && fresh[1].dice() > 0.3, "{}, {}", fresh[0], fresh[1]);
}

/// What a training makes of constants is a function of the loss, and other constants.
#[test]
fn constants_move_while_a_network_trains() {
    let data = phantoms();
    let loss: Formula = "(ratio (+ (sum tp) 1e-5) (+ (* 0.1 (sum fp)) (* 2 (sum fn))))".parse().unwrap();
    let plain = named("ce").unwrap().formula;
    let found = outcomes(&data, Trial::Adapt, &[loss.clone(), plain.clone()], 5, 2);
    let [Outcome::Adapted { loss: adapted }, Outcome::Adapted { loss: unmoved }] = found.as_slice() else {
        panic!("{found:?}")
    };
    let adapted: Formula = adapted.parse().unwrap();
    assert!(adapted != loss.canonical() && adapted.size() == loss.canonical().size(), "{adapted}");
    assert_eq!(unmoved.parse::<Formula>().unwrap(), plain.canonical(), "nothing of it could move");
    assert_eq!(outcomes(&data, Trial::Adapt, &[loss], 5, 1)[0], found[0]);
}

#[test]
fn neither_threads_nor_company_change_a_result_and_a_divergence_is_one() {
    let data = phantoms();
    let dice = named("dice").unwrap().formula;
    let exploding: Formula = "(^ (* 1e300 (sum (+ ce_fg ce_bg))) 4)".parse().unwrap();
    let third = Trial::Proxy { part: 3, replicate: 1 };
    let mut all = Vec::new();
    let rate = Trial::Rate { times: 1, over: 1, replicate: 0 };
    let sift = Trial::Sift { part: 3, replicate: 0 };
    for trial in [Trial::FULL, third, Trial::Scratch { replicate: 1 }, rate, sift, Trial::Scratch { replicate: 0 }] {
        let together = outcomes(&data, trial, &[exploding.clone(), dice.clone()], 5, 8);
        let alone = outcomes(&data, trial, std::slice::from_ref(&dice), 5, 1);
        assert_eq!(together[0], Outcome::Diverged { step: 0 });
        assert_eq!(together[1], alone[0]);
        all.extend(alone);
    }
    assert_eq!(all[0], all[3], "the learning rate itself is no other one");
    assert!(all[4].dice() < all[5].dice(), "a third of the steps from scratch teach less: {} {}", all[4], all[5]);
}
