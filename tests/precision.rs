//! Trainings in bfloat16 on phantoms: as good as those in 32 bits, and never taken for them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use lossgen::data::{Case, Dataset, PatchSampler, Phantom, Preprocess};
use lossgen::evolution::Evaluator;
use lossgen::losses::named;
use lossgen::losses::strategy::Strategy;
use lossgen::metrics::{Metric, evaluate};
use lossgen::nn::{Precision, UNet3dConfig, device, inference, kernel_path};
use lossgen::rng::{Purpose, stream};
use lossgen::run::RunDir;
use lossgen::training::infer::{Window, predict};
use lossgen::training::proxy::{Proxy, ProxyConfig};
use lossgen::training::{Job, Outcome, Recipe, train};

const NETWORK: UNet3dConfig =
    UNet3dConfig { in_channels: 1, out_channels: 1, width: 4, levels: 3, joins: [0; 3], halvings: [6; 3] };

fn phantoms() -> Dataset {
    Phantom { cases: 10, shape: [32, 32, 16], seed: 1 }.dataset(&Preprocess::default()).unwrap()
}

fn recipe(precision: Precision, steps: usize) -> Recipe {
    let patches = PatchSampler { patch: [16, 24, 16], batch: 2, foreground_share: 0.33 };
    Recipe { steps, learning_rate: 2e-3, patches, precision, ..Recipe::default() }
}

/// Mean Dice on unseen cases of a training from scratch with Dice + CE.
fn dice(precision: Precision, seed: u64, train_on: &[Arc<Case>], unseen: &[Arc<Case>]) -> f64 {
    let (loss, recipe) = (Strategy::from(named("dice_ce").unwrap()), recipe(precision, 200));
    let network = NETWORK.init(&mut stream(seed, Purpose::Weights, 0, 0), &device().autodiff());
    let job = Job { cases: train_on, loss: &loss, recipe: &recipe, seed, sequence: 0 };
    let Outcome::Finished(network) = train(network, &job, &mut |_| true) else { panic!("{precision:?} diverged") };
    let network = inference(&network);
    let judge = |case: &Arc<Case>| {
        let mask = predict(&network, case, Window::Sliding { patch: recipe.patches.patch, overlap: 0.5 }).unwrap();
        evaluate(&mask, &case.native_label.whole().unwrap(), 1).unwrap().value(Metric::Dice)
    };
    unseen.iter().map(judge).sum::<f64>() / unseen.len() as f64
}

#[test]
fn what_bfloat16_costs_in_dice_is_less_than_what_another_seed_does() {
    let data = phantoms();
    let (train_on, unseen) = (data.select(&[0, 1, 2, 3, 4, 5]), data.select(&[6, 7, 8, 9]));
    let found = [Precision::F32, Precision::Bf16]
        .map(|precision| [1, 2, 3].map(|seed| dice(precision, seed, &train_on, &unseen)));
    let [whole, half] = found;
    assert!(whole.iter().zip(&half).all(|(whole, half)| whole != half), "one of the two was trained twice: {found:?}");
    let mean = |values: &[f64; 3]| values.iter().sum::<f64>() / 3.0;
    let deviation = (whole.iter().map(|dice| (dice - mean(&whole)).powi(2)).sum::<f64>() / 2.0).sqrt();
    assert!(mean(&half) > 0.5, "nothing is learnt: {found:?}");
    assert!(mean(&half) > mean(&whole) - deviation.max(0.01), "{found:?}, deviation {deviation:.4}");
}

#[test]
fn results_of_different_precision_have_different_contexts_and_kernels() {
    let data = phantoms();
    let stop = AtomicBool::new(false);
    let context = |precision| {
        let recipe = recipe(precision, 2);
        let config = ProxyConfig { warm_steps: 2, recipe, ..ProxyConfig::default() };
        let (train, validation) = (data.select(&[0, 1]), data.select(&[2]));
        let (digest, stop) = (data.digest.as_str(), &stop);
        let proxy = Proxy { config: &config, network: NETWORK, train, validation, digest, seed: 1, threads: 1, stop };
        let home = tempfile::tempdir().unwrap();
        proxy.prepare(&RunDir::create(home.path()).unwrap(), &|_, _| true).unwrap().context()
    };
    assert_ne!(context(Precision::F32), context(Precision::Bf16));
    assert_eq!(context(Precision::Bf16), context(Precision::Bf16));
    let kernels = kernel_path();
    assert_eq!(kernels.name_at(Precision::F32), kernels.name());
    assert!(kernels.name_at(Precision::Bf16).starts_with(&format!("{}+bf16", kernels.name())));
}
