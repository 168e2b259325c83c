//! Laws of whole training steps: no bit depends on the number of threads or on what else runs.

use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Tensor, TensorData};

use super::{UNet3dConfig, Weights, clip_global_norm, device};
use crate::rng::{Purpose, stream};

const NETWORK: UNet3dConfig =
    UNet3dConfig { in_channels: 1, out_channels: 2, width: 4, levels: 3, joins: [0; 3], halvings: [6; 3] };

/// The weights after three steps from `start`, on images of their own for each `seed`, and the length of the last gradient.
fn trained(start: &Weights, seed: u64) -> (Weights, f64) {
    let device = device().autodiff();
    let mut network = start.network(&device).unwrap();
    let mut optimizer = AdamConfig::new().with_epsilon(1e-8).init();
    let mut length = 0.0;
    for step in 0..3 {
        let wave = |speed: f64| move |i: usize| (speed * (i as u64 + 4096 * (seed + 10 * step)) as f64).sin() as f32;
        let tensor = |values: Vec<f32>, channels| {
            Tensor::<5>::from_data(TensorData::new(values, [2, channels, 8, 16, 12]), &device)
        };
        let logits = network.forward(tensor((0..3072).map(wave(1.3)).collect(), 1));
        let slopes = tensor((0..6144).map(wave(0.7)).collect(), 2);
        let gradients = (logits * slopes).sum().backward();
        let mut gradients = GradientsParams::from_grads(gradients, &network);
        length = clip_global_norm(&network, &mut gradients, 12.0);
        network = optimizer.step(1e-3, network, gradients);
    }
    (Weights::of(&network), length)
}

fn in_pool<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

fn start() -> Weights {
    Weights::of(&NETWORK.init(&mut stream(1, Purpose::Weights, 0, 0), &device()))
}

#[test]
fn a_training_has_the_same_bits_on_any_number_of_threads() {
    let start = start();
    let one = in_pool(1, || trained(&start, 0));
    assert_ne!(one.0, start);
    assert!(one.1.is_finite() && one.1 > 0.0);
    for threads in [2, 8] {
        assert_eq!(one, in_pool(threads, || trained(&start, 0)), "{threads} threads");
    }
}

#[test]
fn trainings_side_by_side_do_not_disturb_each_other() {
    let start = start();
    let alone: Vec<_> = (0..4).map(|seed| in_pool(1, || trained(&start, seed))).collect();
    let together: Vec<_> = std::thread::scope(|scope| {
        let trainings: Vec<_> = (0..4)
            .map(|seed| {
                scope.spawn({
                    let start = &start;
                    move || in_pool(1, || trained(start, seed))
                })
            })
            .collect();
        trainings.into_iter().map(|training| training.join().unwrap()).collect()
    });
    assert_eq!(alone, together);
    assert_ne!(alone[0], alone[1]);
}
