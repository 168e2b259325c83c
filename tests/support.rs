//! What several tests need.

use lossgen::formula::Formula;
use lossgen::formula::eval::{Inputs, Sample, gradient, value};
use lossgen::formula::plan::Plan;
use lossgen::rng::{Purpose, stream};
use rand::RngExt;
use rand_distr::StandardNormal;

/// Logits and targets of `[samples, classes, voxels]`.
#[derive(Clone)]
pub(crate) struct Batch {
    pub(crate) samples: usize,
    pub(crate) classes: usize,
    pub(crate) logits: Vec<f64>,
    pub(crate) targets: Vec<f64>,
    pub(crate) progress: f64,
}

impl Batch {
    /// Random logits of a spread, random targets with a share of foreground.
    pub(crate) fn random(seed: u64, [samples, classes, voxels]: [usize; 3], spread: f64, share: f64) -> Self {
        let mut rng = stream(seed, Purpose::Probe, 0, 0);
        let n = samples * classes * voxels;
        Self {
            samples,
            classes,
            logits: (0..n).map(|_| spread * rng.sample::<f64, _>(StandardNormal)).collect(),
            targets: (0..n).map(|_| f64::from(rng.random::<f64>() < share)).collect(),
            progress: 0.3,
        }
    }

    pub(crate) fn value(&self, loss: &Formula) -> f64 {
        value(&Plan::new(loss), &self.inputs())
    }

    pub(crate) fn gradient(&self, loss: &Formula) -> (f64, Vec<f64>) {
        let mut slopes = vec![0.0; self.logits.len()];
        let value = gradient(&Plan::new(loss), &self.inputs(), &mut slopes);
        (value, slopes)
    }

    fn inputs(&self) -> Inputs<'_, f64> {
        self.with(&self.logits, &self.targets)
    }

    pub(crate) fn with<'a, T: Sample>(&self, logits: &'a [T], targets: &'a [T]) -> Inputs<'a, T> {
        Inputs { progress: self.progress, ..Inputs::new(self.samples, self.classes, logits, targets) }
    }
}

/// Everything that a loss meets: ordinary batches, several classes, empty, full, single-voxel and saturated ones.
pub(crate) fn batches() -> Vec<(&'static str, Batch)> {
    let ordinary = Batch::random(1, [2, 1, 60], 1.5, 0.2);
    let fill = |name: &'static str, target: f64, logit: Option<f64>| {
        let mut batch = ordinary.clone();
        batch.targets.fill(target);
        if let Some(logit) = logit {
            batch.logits.fill(logit);
        }
        (name, batch)
    };
    let signed = |name: &'static str, right: f64| {
        let mut batch = ordinary.clone();
        batch.logits = batch.targets.iter().map(|y| right * (2.0 * y - 1.0)).collect();
        (name, batch)
    };
    let mut single = ordinary.clone();
    single.targets.fill(0.0);
    single.targets[7] = 1.0;
    let mut soft = ordinary.clone();
    soft.targets.iter_mut().enumerate().for_each(|(i, y)| *y = (i % 5) as f64 / 4.0);
    vec![
        ("ordinary", ordinary.clone()),
        ("two classes", Batch::random(2, [3, 2, 40], 1.0, 0.3)),
        ("one sample, many blocks", Batch::random(3, [1, 1, 9000], 2.0, 0.05)),
        ("confident", Batch::random(4, [2, 1, 60], 6.0, 0.2)),
        ("rare", Batch::random(5, [2, 1, 200], 1.0, 0.01)),
        ("soft targets", soft),
        ("single voxel", single),
        fill("empty target", 0.0, None),
        fill("full target", 1.0, None),
        fill("empty target, nothing predicted", 0.0, Some(-90.0)),
        fill("full target, all predicted", 1.0, Some(90.0)),
        fill("empty target, all predicted", 0.0, Some(90.0)),
        signed("saturated and right", 90.0),
        signed("saturated and wrong", -90.0),
        signed("half right", 50.0),
    ]
}
