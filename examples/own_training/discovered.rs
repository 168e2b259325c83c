// (+ (mean (* (^ abs_diff 0.8) (+ ce_fg ce_bg))) (ratio (sum tp) (+ (* 0.4 (sum fp)) (sum fn)))): mean(abs_diff^0.8·(ce_fg + ce_bg)) + (0.4·sum(fp) + sum(fn)) / (sum(tp) + 0.4·sum(fp) + sum(fn))
// As a formula of lossgen: (+ (mean (* (^ abs_diff 0.8) (+ ce_fg ce_bg))) (ratio (sum tp) (+ (* 0.4 (sum fp)) (sum fn))))
// Written by lossgen 0.1.0 for burn 0.22; needs nothing else.

use burn::tensor::Tensor;

/// The loss of logits and targets `[samples, classes, depth, height, width]`, 32-bit floats; predictions are a sigmoid for every class.
///
/// `spacing`: distances of voxels in mm, one row for each sample, for losses that measure in mm; `progress`: of the
/// training, from 0 to 1, for losses that listen to it. Back-propagate the result.
#[allow(clippy::let_and_return, clippy::redundant_clone, unused_parens)]
pub fn discovered(logits: Tensor<5>, targets: Tensor<5>, spacing: &[[f64; 3]], progress: f64) -> Tensor<1> {
    let (samples, classes) = (logits.dims()[0], logits.dims()[1]);
    let v = runtime::Voxels::new(logits, targets, spacing, progress, false);
    let x0 = v.q() * v.y();
    let x1 = v.sum(x0.clone());
    let x2 = v.p() * v.not_y();
    let x3 = v.sum(x2.clone());
    let x5 = x3.clone() * v.constant(0.4);
    let x6 = x1.clone() + x5.clone();
    let x7 = v.p() * v.y();
    let x8 = v.sum(x7.clone());
    let x9 = runtime::ratio(x8.clone(), x6.clone());
    let x10 = v.not_y() * v.neg_log_q();
    let x11 = v.y() * v.neg_log_p();
    let x12 = x10.clone() + x11.clone();
    let x14 = v.p() * v.not_y() + v.q() * v.y();
    let x15 = runtime::power(x14.clone(), 0.8);
    let x16 = x12.clone() * x15.clone();
    let x17 = v.mean(x16.clone());
    let x18 = x9.clone() + x17.clone();
    let loss: Tensor<3> = x18;
    loss.expand([samples, classes, 1]).mean() * 1.0
}

// What every loss needs. Values are [samples, classes, voxels], with 1 in place of an axis that they do not have.
#[allow(dead_code)]
mod runtime {
    use burn::tensor::{Tensor, TensorData, activation};

    /// Smallest denominator.
    pub const TINY: f64 = 1e-12;

    /// From what a distance is measured.
    #[derive(Clone, Copy, PartialEq)]
    pub enum Source {
        /// The border of the target: negative inside, 0 at the rim.
        SignedTarget,
        /// The border of the target.
        Target,
        /// The border of the prediction.
        Prediction,
    }

    /// What is known of the voxels of a batch.
    pub struct Voxels {
        pub progress: f64,
        pub classes: usize,
        samples: usize,
        shape: [usize; 3],
        spacing: Vec<[f64; 3]>,
        softmax: bool,
        z: Tensor<3>,
        y: Tensor<3>,
    }

    impl Voxels {
        pub fn new(logits: Tensor<5>, targets: Tensor<5>, spacing: &[[f64; 3]], progress: f64, softmax: bool) -> Self {
            let [samples, classes, depth, height, width] = logits.dims();
            let count = depth * height * width;
            let z: Tensor<3> = logits.reshape([samples, classes, count]);
            let y = targets.reshape([samples, classes, count]);
            // A softmax is a sigmoid of the logit against all others together.
            let z = if softmax { z.clone() - others(&z) } else { z };
            let (shape, spacing) = ([depth, height, width], spacing.to_vec());
            Self { progress, classes, samples, shape, spacing, softmax, z, y }
        }

        pub fn y(&self) -> Tensor<3> {
            self.y.clone()
        }

        pub fn not_y(&self) -> Tensor<3> {
            -self.y.clone() + 1.0
        }

        pub fn p(&self) -> Tensor<3> {
            activation::sigmoid(self.z.clone())
        }

        pub fn q(&self) -> Tensor<3> {
            activation::sigmoid(-self.z.clone())
        }

        pub fn neg_log_p(&self) -> Tensor<3> {
            softplus(-self.z.clone())
        }

        pub fn neg_log_q(&self) -> Tensor<3> {
            softplus(self.z.clone())
        }

        pub fn constant(&self, value: f64) -> Tensor<3> {
            Tensor::full([1, 1, 1], value, &self.y.device())
        }

        fn whole(&self, value: Tensor<3>) -> Tensor<3> {
            value.expand(self.y.dims())
        }

        pub fn mean(&self, value: Tensor<3>) -> Tensor<3> {
            self.whole(value).mean_dim(2)
        }

        pub fn sum(&self, value: Tensor<3>) -> Tensor<3> {
            self.whole(value).sum_dim(2)
        }

        pub fn mean_top(&self, percent: f64, value: Tensor<3>) -> Tensor<3> {
            let all: Tensor<1> = self.whole(value).flatten(0, 2);
            let total = all.dims()[0];
            let count = ((total as f64 * percent / 100.0 + 1e-9).floor() as usize).clamp(1, total);
            all.sort_descending(0).slice(0..count).mean().reshape([1, 1, 1])
        }

        /// The classes that count: with a softmax the background only if it is asked for.
        pub fn counted(&self, background: f64, value: Tensor<3>) -> Tensor<3> {
            let first = usize::from(self.softmax && background == 0.0 && self.classes > 1);
            value.expand([self.samples, self.classes, 1]).slice([0..self.samples, first..self.classes])
        }

        pub fn is_class(&self, number: f64) -> Tensor<3> {
            let row: Vec<f32> = (0..self.classes).map(|class| if class as f64 == number { 1.0 } else { 0.0 }).collect();
            Tensor::from_data(TensorData::new(row, [1, self.classes, 1]), &self.y.device())
        }

        /// 1 / volume² of every target; an absent class has the largest weight of its sample, or 1.
        pub fn volume_weight(&self) -> Tensor<3> {
            let mut weights: Vec<f32> = floats(self.y().sum_dim(2)).iter().map(|volume| volume.powi(2).recip()).collect();
            for sample in weights.chunks_mut(self.classes) {
                let largest = sample.iter().copied().filter(|weight| weight.is_finite()).fold(0.0, f32::max);
                let stand_in = if largest > 0.0 { largest } else { 1.0 };
                sample.iter_mut().filter(|weight| !weight.is_finite()).for_each(|weight| *weight = stand_in);
            }
            Tensor::from_data(TensorData::new(weights, [self.samples, self.classes, 1]), &self.y.device())
        }

        /// A distance map, computed on the CPU; no gradient flows through it.
        pub fn distance(&self, source: Source, in_mm: bool) -> Tensor<3> {
            let values = floats(if source == Source::Prediction { self.p() } else { self.y() });
            let voxels = self.shape.iter().product();
            let mut maps: Vec<f32> = Vec::with_capacity(values.len());
            for (region, values) in values.chunks(voxels).enumerate() {
                let inside: Vec<bool> = values.iter().map(|value| *value > 0.5).collect();
                let spacing = self.spacing.get(region / self.classes).copied().filter(|_| in_mm).unwrap_or([1.0; 3]);
                maps.extend(map(&inside, self.shape, spacing, source == Source::SignedTarget, in_mm));
            }
            Tensor::from_data(TensorData::new(maps, self.y.dims()), &self.y.device())
        }
    }

    fn floats(tensor: Tensor<3>) -> Vec<f32> {
        tensor.into_data().try_into_vec().expect("tensors of 32-bit floats")
    }

    /// For every class log(sum exp z) over the others.
    fn others(z: &Tensor<3>) -> Tensor<3> {
        let [samples, classes, voxels] = z.dims();
        let of = |class: usize| {
            let rest = (0..classes).filter(|other| *other != class);
            let parts = rest.map(|other| z.clone().slice([0..samples, other..other + 1, 0..voxels])).collect();
            let others = Tensor::cat(parts, 1);
            let largest = others.clone().detach().max_dim(1);
            (others - largest.clone()).exp().sum_dim(1).log() + largest
        };
        Tensor::cat((0..classes).map(of).collect(), 1)
    }

    /// log(1 + exp x) without overflow.
    fn softplus(x: Tensor<3>) -> Tensor<3> {
        x.clone().clamp_min(0.0) + (-x.abs()).exp().log1p()
    }

    pub fn floor(exponent: f64) -> f64 {
        if exponent >= 1.0 { 0.0 } else { 1e-7 }
    }

    pub fn power(base: Tensor<3>, exponent: f64) -> Tensor<3> {
        let floored = base.clamp_min(floor(exponent));
        if exponent == 2.0 { floored.clone() * floored } else { floored.powf_scalar(exponent) }
    }

    /// Of equals the first has the gradient.
    pub fn larger(a: Tensor<3>, b: Tensor<3>) -> Tensor<3> {
        let first = a.clone().greater_equal(b.clone()).float();
        a * first.clone() + b * (-first + 1.0)
    }

    pub fn divide(a: Tensor<3>, b: Tensor<3>) -> Tensor<3> {
        a / b.clamp_min(TINY)
    }

    pub fn ratio(overlap: Tensor<3>, mistakes: Tensor<3>) -> Tensor<3> {
        mistakes.clone() / (overlap + mistakes).clamp_min(TINY)
    }

    pub fn neg_log_ratio(overlap: Tensor<3>, mistakes: Tensor<3>) -> Tensor<3> {
        let (overlap, mistakes) = (overlap.clamp_min(0.0), mistakes.clamp_min(0.0));
        ((overlap.clone() + mistakes + TINY) / (overlap + TINY)).log()
    }

    /// Distances to the border of a mask; zeros without a border.
    fn map(inside: &[bool], shape: [usize; 3], spacing: [f64; 3], signed: bool, in_mm: bool) -> Vec<f32> {
        if inside.iter().all(|inside| *inside) || !inside.contains(&true) {
            return vec![0.0; inside.len()];
        }
        let outside: Vec<bool> = inside.iter().map(|inside| !inside).collect();
        let (outwards, inwards) = (nearest(inside, shape, spacing), nearest(&outside, shape, spacing));
        let depth: Vec<f64> = match (signed, in_mm) {
            (false, _) => inwards.iter().map(|d| -d).collect(),
            (true, false) => inwards.iter().map(|d| (d - 1.0).max(0.0)).collect(),
            (true, true) => nearest(&rim(inside, shape), shape, spacing),
        };
        let of = |voxel: usize| if inside[voxel] { -depth[voxel] } else { outwards[voxel] };
        (0..inside.len()).map(|voxel| of(voxel) as f32).collect()
    }

    /// Distance of every voxel to the nearest one of a mask, by minima along one axis after the other.
    fn nearest(mask: &[bool], shape: [usize; 3], spacing: [f64; 3]) -> Vec<f64> {
        let mut squared: Vec<f64> = mask.iter().map(|inside| if *inside { 0.0 } else { f64::INFINITY }).collect();
        for axis in 0..3 {
            let stride: usize = shape[axis + 1..].iter().product();
            let before = squared.clone();
            for (voxel, least) in squared.iter_mut().enumerate() {
                let here = voxel / stride % shape[axis];
                for there in 0..shape[axis] {
                    let step = (here as f64 - there as f64) * spacing[axis];
                    *least = least.min(before[voxel - here * stride + there * stride] + step * step);
                }
            }
        }
        squared.into_iter().map(f64::sqrt).collect()
    }

    /// Voxels of a mask of which a neighbour across a face is outside, or outside of the image.
    fn rim(mask: &[bool], shape: [usize; 3]) -> Vec<bool> {
        let surrounded = |voxel: usize| {
            (0..3).all(|axis| {
                let stride: usize = shape[axis + 1..].iter().product();
                let here = voxel / stride % shape[axis];
                here > 0 && here + 1 < shape[axis] && mask[voxel - stride] && mask[voxel + stride]
            })
        };
        (0..mask.len()).map(|voxel| mask[voxel] && !surrounded(voxel)).collect()
    }
}
