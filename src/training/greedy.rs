//! Trials of greedy adaptation (Seo et al. 2020): what would the network be after one step with each candidate's
//! parameters, and how good would it be?
//!
//! Every trial is a whole step of the optimiser on a copy. What is dear is the gradient of the network for each of the 3^p
//! candidates. Many losses depend on the voxels of a sample only through sums of p, p y and p², so that
//! dL/dlogit = p (1 - p) (a + b y + c p) with numbers a, b, c per sample and class: then the gradients of all candidates are
//! combinations of a few that are computed once. Whether a loss is such a loss is not looked up but seen: if the slopes of
//! every candidate fit, they are combined, and otherwise, or where that is no cheaper, every candidate is propagated.

use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Tensor, TensorData};

use super::objective::Adaptation;
use super::trainer::{CLIP, Passes};
use crate::formula::eval::{Activation, Inputs};
use crate::formula::plan::Plan;
use crate::formula::simd::Program;
use crate::nn::{self, Precision, UNet3d, floats};

/// Where the training stands when trials begin.
pub(super) struct Trials<'a> {
    pub(super) network: &'a UNet3d,
    pub(super) optimizer: &'a ModuleOptimizer,
    pub(super) rate: f64,
    pub(super) precision: Precision,
    pub(super) image: &'a Tensor<5>,
    /// Outputs of the network for `image`, their targets.
    pub(super) inputs: &'a Inputs<'a, f32>,
    /// Other patches on which trials are judged, with their targets.
    pub(super) held_out: Option<(Tensor<5>, Vec<f32>)>,
}

/// Largest misfit of slopes, relative to their size, that counts as rounding.
const MISFIT: f64 = 1e-4;

impl Trials<'_> {
    /// The score of every candidate, in their order, and what it took; not a number where a trial has no finite gradient.
    pub(super) fn scores(&self, adaptation: &Adaptation) -> (Vec<f64>, Passes) {
        let slopes = self.slopes(adaptation);
        let judge = Program::new(&Plan::new(&adaptation.score.formula()));
        let (gradients, backward) = match combinations(self.inputs, &slopes) {
            Some(combined) => (self.combined(&combined), combined.basis.len()),
            None => (slopes.iter().map(|slopes| self.propagated(slopes)).collect(), slopes.len()),
        };
        let scores = gradients.into_iter().map(|gradient: Vec<f32>| self.score(&gradient, &judge)).collect();
        // The tensor library forgets a forward pass once it went backward through it.
        (scores, Passes { forward: backward + slopes.len(), backward })
    }

    /// dL/dlogit of every candidate, in the size of that of Dice + CE: each has its own factor, or the candidate with the
    /// largest gradient would make the largest step and win by it.
    fn slopes(&self, adaptation: &Adaptation) -> Vec<Vec<f32>> {
        let of = |(program, factor): &(Program, f64)| {
            let mut slopes = vec![0f32; self.inputs.logits.len()];
            program.gradient(self.inputs, &mut slopes);
            for slope in &mut slopes {
                *slope *= *factor as f32;
            }
            slopes
        };
        adaptation.programs().iter().map(of).collect()
    }

    /// The gradient of the network for some dL/dlogit.
    fn propagated(&self, slopes: &[f32]) -> Vec<f32> {
        let logits = self.network.forward_at(self.precision, self.image.clone());
        let slopes = Tensor::<5>::from_data(TensorData::new(slopes.to_vec(), logits.dims()), &nn::device().autodiff());
        let gradients = GradientsParams::from_grads((logits * slopes).sum().backward(), self.network);
        nn::flatten(self.network, &gradients)
    }

    fn combined(&self, Combined { basis, shares }: &Combined) -> Vec<Vec<f32>> {
        let basis: Vec<Vec<f32>> = basis.iter().map(|slopes| self.propagated(slopes)).collect();
        let combine = |shares: &Vec<f64>| -> Vec<f32> {
            let one = |place: usize| -> f64 {
                shares.iter().zip(&basis).map(|(share, gradient)| share * f64::from(gradient[place])).sum()
            };
            (0..basis[0].len()).map(|place| one(place) as f32).collect()
        };
        shares.iter().map(combine).collect()
    }

    /// How good the network is after one step along a gradient.
    fn score(&self, gradient: &[f32], judge: &Program) -> f64 {
        if gradient.iter().any(|g| !g.is_finite()) {
            return f64::NAN;
        }
        let mut gradients = nn::unflatten(self.network, gradient);
        nn::clip_global_norm(self.network, &mut gradients, CLIP);
        let network = self.optimizer.clone().step(self.rate, self.network.clone(), gradients);
        let network = nn::inference(&network);
        let (image, targets) = match &self.held_out {
            Some((image, targets)) => (image.clone(), targets.as_slice()),
            None => (self.image.clone().inner(), self.inputs.targets),
        };
        let outputs = floats(network.forward_at(self.precision, image));
        judge.value(&Inputs { logits: &outputs, targets, ..*self.inputs })
    }
}

/// Slopes of all candidates as combinations of a few.
struct Combined {
    /// dL/dlogit to be propagated.
    basis: Vec<Vec<f32>>,
    /// `[candidate][basis]`.
    shares: Vec<Vec<f64>>,
}

/// The fewest slopes of which those of all candidates are combinations; `None` where there are none, or not fewer than
/// candidates. First over the whole batch, where sums run over it, then sample by sample; first without p, then with it.
fn combinations(inputs: &Inputs<'_, f32>, slopes: &[Vec<f32>]) -> Option<Combined> {
    if inputs.activation != Activation::Sigmoid {
        return None;
    }
    let regions = inputs.samples * inputs.classes;
    let whole = inputs.logits.len();
    [(2, 1), (3, 1), (2, regions), (3, regions)].into_iter().filter(|(n, parts)| n * parts < slopes.len()).find_map(
        |(functions, parts)| {
            let length = whole / parts;
            let mut basis = vec![vec![0f32; whole]; functions * parts];
            for (part, basis) in basis.chunks_mut(functions).enumerate() {
                for voxel in part * length..(part + 1) * length {
                    for (basis, slope) in basis.iter_mut().zip(columns(inputs, voxel)) {
                        basis[voxel] = slope as f32;
                    }
                }
            }
            let fit = |slopes: &Vec<f32>| -> Option<Vec<f64>> {
                let mut shares = Vec::with_capacity(functions * parts);
                for part in 0..parts {
                    shares.extend(fit(inputs, slopes, part * length..(part + 1) * length, functions)?);
                }
                Some(shares)
            };
            Some(Combined { shares: slopes.iter().map(fit).collect::<Option<_>>()?, basis })
        },
    )
}

/// p (1 - p) times 1, y and p at a voxel.
fn columns(inputs: &Inputs<'_, f32>, voxel: usize) -> [f64; 3] {
    let p = 1.0 / (1.0 + (-f64::from(inputs.logits[voxel])).exp());
    let slope = p * (1.0 - p);
    [slope, slope * f64::from(inputs.targets[voxel]), slope * p]
}

/// Least squares: the shares of the columns in the slopes of a range of voxels, if they fit.
fn fit(inputs: &Inputs<'_, f32>, slopes: &[f32], voxels: std::ops::Range<usize>, functions: usize) -> Option<Vec<f64>> {
    let mut normal = [[0.0; 4]; 3];
    for voxel in voxels.clone() {
        let columns = columns(inputs, voxel);
        for row in 0..functions {
            for column in 0..functions {
                normal[row][column] += columns[row] * columns[column];
            }
            normal[row][3] += columns[row] * f64::from(slopes[voxel]);
        }
    }
    let shares = solve(normal, functions);
    let (mut misfit, mut size) = (0.0, 0.0);
    for voxel in voxels {
        let found: f64 = columns(inputs, voxel).iter().zip(&shares).map(|(column, share)| column * share).sum();
        misfit += (f64::from(slopes[voxel]) - found).powi(2);
        size += f64::from(slopes[voxel]).powi(2);
    }
    (misfit <= MISFIT * MISFIT * size).then_some(shares)
}

/// Solves a symmetric system by elimination with pivots on the diagonal; a column that is a combination of those before
/// it (no foreground in the sample) gets no share.
fn solve(mut system: [[f64; 4]; 3], size: usize) -> Vec<f64> {
    let start: Vec<f64> = (0..size).map(|i| system[i][i]).collect();
    let used = |system: &[[f64; 4]; 3], i: usize| system[i][i] > 1e-9 * start[i];
    for pivot in 0..size {
        if !used(&system, pivot) {
            continue;
        }
        for row in (0..size).filter(|row| *row != pivot) {
            let factor = system[row][pivot] / system[pivot][pivot];
            let source = system[pivot];
            for (to, from) in system[row].iter_mut().zip(source) {
                *to -= factor * from;
            }
        }
    }
    (0..size).map(|i| if used(&system, i) { system[i][3] / system[i][i] } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use burn::optim::AdamConfig;

    use super::super::objective::Objective;
    use super::*;
    use crate::losses::greedy::Greedy;
    use crate::losses::named;
    use crate::losses::strategy::{Kind, Strategy};
    use crate::nn::UNet3dConfig;
    use crate::rng::{Purpose, stream};

    /// What stands when trials of `typed` begin on two small patches.
    struct Scene {
        network: UNet3d,
        image: Tensor<5>,
        logits: Vec<f32>,
        targets: Vec<f32>,
        objective: Objective,
    }

    const SIZE: [usize; 3] = [8, 8, 4];
    const VOXELS: usize = 256;

    fn scene(typed: &str) -> Scene {
        let strategy = Strategy::parse(typed, &|loss| named(loss)).unwrap().unwrap();
        assert!(matches!(strategy.kind, Kind::Greedy { .. }));
        let config = UNet3dConfig { width: 2, levels: 2, ..UNet3dConfig::default() };
        let network = config.init(&mut stream(1, Purpose::Weights, 0, 0), &nn::device().autodiff());
        let image: Vec<f32> = (0..2 * VOXELS).map(|i| (1.7 * i as f32).sin()).collect();
        let [depth, height, width] = SIZE;
        let image = TensorData::new(image, [2, 1, depth, height, width]);
        let image = Tensor::<5>::from_data(image, &nn::device().autodiff());
        let logits = floats(network.forward(image.clone()));
        let targets = (0..2 * VOXELS).map(|i| f32::from(u8::from(i % 7 < 2 + i / VOXELS))).collect();
        Scene { network, image, logits, targets, objective: Objective::new(&strategy) }
    }

    /// What both ways of computing trials say.
    struct Ways {
        greedy: Greedy,
        /// How many gradients of the network are combined.
        passes: Option<usize>,
        combined: Vec<f64>,
        plain: Vec<f64>,
    }

    fn both_ways(typed: &str) -> Ways {
        let Scene { network, image, logits, targets, objective } = scene(typed);
        let inputs = Inputs { shape: SIZE, ..Inputs::new(2, 1, &logits, &targets) };
        let optimizer = AdamConfig::new().init();
        let trials = Trials {
            network: &network,
            optimizer: &optimizer,
            rate: 1e-2,
            precision: Precision::F32,
            image: &image,
            inputs: &inputs,
            held_out: None,
        };
        let adaptation = objective.due(0).unwrap();
        let slopes = trials.slopes(adaptation);
        let judge = Program::new(&Plan::new(&adaptation.score.formula()));
        let plain = slopes.iter().map(|slopes| trials.score(&trials.propagated(slopes), &judge)).collect();
        let passes = combinations(&inputs, &slopes).map(|combined| combined.basis.len());
        let (combined, took) = trials.scores(adaptation);
        assert_eq!(took.backward, passes.unwrap_or(slopes.len()));
        assert_eq!(took.forward, took.backward + slopes.len());
        Ways { greedy: adaptation.greedy.clone(), passes, combined, plain }
    }

    #[test]
    fn combined_gradients_choose_as_propagated_ones_do() {
        // Two a sample; two in all where sums run over the batch; three a sample would be six of nine.
        let table = [
            ("greedy(tversky)", Some(4)),
            ("greedy(tversky(batch=true))", Some(2)),
            ("greedy(focal_tversky, fp_weight, fn_weight)", Some(4)),
            ("greedy(dice(squared=true), smooth_nr, smooth_dr, delta=1)", Some(6)),
            ("greedy(asymmetric)", None),
            ("greedy(focal)", None),
        ];
        for (typed, expected) in table {
            let Ways { greedy, passes, combined, plain } = both_ways(typed);
            assert_eq!(passes, expected, "{typed}");
            for (combined, plain) in combined.iter().zip(&plain) {
                assert!((combined - plain).abs() <= 1e-5 * plain.abs(), "{typed}: {combined} instead of {plain}");
            }
            let choose = |scores: &[f64]| greedy.clone().choose(scores);
            assert_eq!(choose(&combined), choose(&plain), "{typed}: {combined:?} and {plain:?}");
        }
    }

    #[test]
    fn a_parameter_that_only_scales_the_loss_never_moves() {
        for typed in
            ["(mean (* fp_weight=1 (+ ce_fg ce_bg)))", "(* fp_weight=1 (- 1 (ratio (sum tp) (* 0.5 (sum abs_diff)))))"]
        {
            let Ways { greedy, combined, plain, .. } = both_ways(&format!("greedy({typed}, fp_weight, delta=0.5)"));
            assert_eq!(combined.len(), 3);
            for scores in [combined, plain] {
                assert!(scores.iter().all(|score| (score / scores[0] - 1.0).abs() < 1e-7), "{typed}: {scores:?}");
                assert_eq!(greedy.clone().choose(&scores), 0, "{typed}: {scores:?}");
            }
        }
    }

    #[test]
    fn behind_a_choice_the_gradient_has_the_size_it_had() {
        let Scene { logits, targets, mut objective, .. } =
            scene("greedy((mean (* fp_weight=1 (+ ce_fg ce_bg))), fp_weight, delta=0.5)");
        let inputs = Inputs { shape: SIZE, ..Inputs::new(2, 1, &logits, &targets) };
        let [mut before, mut behind] = [vec![0f32; logits.len()], vec![0f32; logits.len()]];
        let start = objective.gradient(&inputs, &mut before);
        objective.choose(&[1.0, 1.0, 0.5]);
        let moved = objective.gradient(&inputs, &mut behind);
        assert_eq!((start.moving, moved.moving), (vec![1.0], vec![1.5]));
        assert!((moved.loss / start.loss - 1.5).abs() < 1e-5);
        for (before, behind) in before.iter().zip(&behind) {
            assert!((before - behind).abs() <= 1e-5 * before.abs(), "{before} and {behind}");
        }
    }

    #[test]
    fn what_is_chosen_is_what_the_network_would_gain_most_from() {
        let Ways { combined: scores, .. } = both_ways("greedy(tversky, delta=0.3, score=dice)");
        assert!(scores.iter().any(|score| *score < scores[0]) && scores.iter().all(|score| score.is_finite()));
    }
}
