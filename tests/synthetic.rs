//! A judge of known truth and calibrated noise, so that a whole search takes a fraction of a second.
//!
//! The nearer a loss pushes to a hidden one, the better the networks of which it would make: the truth. What is reported of
//! it has the noise of real proxies: cases and trainings that all losses share, which differences to the control are free
//! of, and 0.003 Dice of their own from one training to the next, more on lower rungs, which have opinions of their own, too.
//! Differences of one case have a standard deviation of 0.01, as on hippocampus volumes.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use lossgen::evolution::{Evaluator, Outcome, Score, Trial};
use lossgen::fault::Result;
use lossgen::formula::Formula;
use lossgen::formula::fingerprint::distance;
use lossgen::gates::{Gates, Open};
use lossgen::losses::greedy::Greedy;
use lossgen::rng::{Purpose, stream};
use rand::RngExt;
use rand_distr::StandardNormal;

/// Validation cases.
const CASES: u64 = 12;

/// The judge.
pub(crate) struct Synthetic {
    pub(crate) gates: Gates,
    /// Where the hidden loss pushes.
    pub(crate) hidden: Vec<f32>,
    pub(crate) known: Mutex<HashMap<String, f64>>,
    /// What multiplies all noise.
    pub(crate) noise: f64,
    /// Trainings at once; their results come in as they come.
    pub(crate) threads: usize,
    /// How long a training takes.
    pub(crate) pause: Duration,
}

impl Default for Synthetic {
    fn default() -> Self {
        let gates = Gates::new(Open::None);
        let hidden: Formula =
            "(+ (mean (* (^ abs_diff 1.4) (+ ce_fg (* 0.6 ce_bg)))) (* 0.7 (ratio (sum tp) (+ (* 0.4 (sum fp)) (sum fn)))))"
                .parse()
                .unwrap();
        let hidden = gates.look(&hidden.canonical()).unwrap().direction.unwrap();
        Self { gates, hidden, known: Mutex::default(), noise: 1.0, threads: 1, pause: Duration::ZERO }
    }
}

impl Synthetic {
    /// How good a loss is, in Dice: the best possible is 0.9.
    pub(crate) fn truth(&self, loss: &Formula) -> f64 {
        let canonical = loss.canonical();
        let text = canonical.to_string();
        if let Some(truth) = self.known.lock().unwrap().get(&text) {
            return *truth;
        }
        let direction = self.gates.look(&canonical).ok().and_then(|passed| passed.direction);
        let far = direction.map_or(2.0, |direction| distance(&direction, &self.hidden));
        let truth = if far.is_finite() { 0.9 - 0.1 * far } else { 0.6 };
        self.known.lock().unwrap().insert(text, truth);
        truth
    }

    /// Constants go where the truth is best of all that greedy trials could choose.
    fn adapt(&self, loss: &Formula) -> Outcome {
        let Some((named, greedy)) = Greedy::of_numbers(&loss.canonical()) else {
            return Outcome::Adapted { loss: loss.canonical().to_string() };
        };
        let reached = greedy.candidates().into_iter().map(|values| greedy.at(&named, &values).canonical());
        let best = reached.max_by(|a, b| self.truth(a).total_cmp(&self.truth(b))).unwrap();
        Outcome::Adapted { loss: best.to_string() }
    }

    fn judge(&self, trial: Trial, loss: &Formula) -> Outcome {
        let truth = self.truth(loss);
        let (part, own) = match trial {
            Trial::Proxy { part, .. } | Trial::Sift { part, .. } => (f64::from(part), 0.003),
            Trial::Rate { .. } | Trial::Scratch { .. } => (1.0, 0.003),
            Trial::Adapt => return self.adapt(loss),
        };
        let text = loss.canonical().to_string();
        // A loss that pushes nowhere near does not train a fresh network.
        if matches!(trial, Trial::Scratch { .. }) && truth < 0.75 {
            return Outcome::Trained(Score { dice: vec![0.2; CASES as usize], hd95_mm: vec![30.0; CASES as usize] });
        }
        let opinion = 0.003 * part.ln() * normal(&[&text, &part.to_string()], 0);
        let training = own * part.sqrt() * normal(&[&text, &format!("{trial:?}")], 0);
        // Every loss wants the common learning rate; a training at three times it diverges if the loss is a bad one.
        let off =
            if let Trial::Rate { times, over, .. } = trial { (f64::from(times) / f64::from(over)).ln() } else { 0.0 };
        if off > 0.0 && truth < 0.75 {
            return Outcome::Diverged { step: 3 };
        }
        let truth = truth - 0.02 * off * off;
        let case = |case: u64| {
            let shared = 0.03 * normal(&["case"], case) + 0.01 * normal(&[&format!("{trial:?}")], case);
            let own = self.noise * (opinion + training + 0.007 * normal(&[&text, &format!("{trial:?}")], 1 + case));
            (truth + shared + own).clamp(0.0, 1.0)
        };
        let dice: Vec<f64> = (0..CASES).map(case).collect();
        let hd95_mm = dice.iter().map(|dice| 20.0 * (1.0 - dice)).collect();
        Outcome::Trained(Score { dice, hd95_mm })
    }
}

/// A normal deviate of its own for every address.
fn normal(address: &[&str], index: u64) -> f64 {
    let digest = blake3::hash(address.join("|").as_bytes());
    let seed = u64::from_le_bytes(digest.as_bytes()[..8].try_into().unwrap());
    stream(seed, Purpose::Probe, 0, index).sample(StandardNormal)
}

impl Evaluator for Synthetic {
    fn context(&self) -> Vec<(String, String)> {
        vec![("synthetic.noise".to_string(), self.noise.to_string())]
    }

    fn steps(&self, trial: Trial) -> u64 {
        match trial {
            Trial::Proxy { part, .. } | Trial::Sift { part, .. } => 90 / u64::from(part),
            Trial::Rate { .. } | Trial::Scratch { .. } => 90,
            Trial::Adapt => 30,
        }
    }

    fn evaluate(&self, trial: Trial, losses: &[Formula], done: &mut dyn FnMut(usize, Result<Outcome>) -> bool) {
        let next = AtomicUsize::new(0);
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    loop {
                        let slot = next.fetch_add(1, Ordering::SeqCst);
                        let Some(loss) = losses.get(slot) else { return };
                        std::thread::sleep(self.pause);
                        if sender.send((slot, self.judge(trial, loss))).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for (slot, outcome) in receiver {
                if !done(slot, Ok(outcome)) {
                    next.store(losses.len(), Ordering::SeqCst);
                }
            }
        });
    }
}
