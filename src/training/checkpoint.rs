//! A training that was interrupted goes on as if it had not been: everything that its next step depends on, as bytes.
//!
//! Weights, the state of the optimiser, where a loss that moves stands, and the steps so far. Batches and the learning rate
//! follow from the number of the step, so no generator and no schedule has a state. On the CPU the result is the same to the
//! bit as that of a training that was never interrupted.

use std::collections::HashMap;

use burn::tensor::Bytes;
use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::objective::Standing;
use super::trainer::{Job, Outcome, Passes, State, Step, Watch};
use crate::fault::{Fault, Result};
use crate::nn::{self, UNet3d};
use crate::phase;

/// The key of the metadata.
const KEY: &str = "training";

/// Numbers of a step beside what moves: its loss, and the passes of trials.
const OF_A_STEP: usize = 3;

/// How a training is kept.
pub struct Keep<'a> {
    /// Steps between two checkpoints; 0 for none at all. There is one more where a training is stopped.
    pub every: usize,
    /// The last checkpoint of the same training.
    pub kept: Option<Vec<u8>>,
    /// Takes a checkpoint.
    pub keep: &'a mut dyn FnMut(&[u8]) -> Result<()>,
}

/// As [`train`](super::train()), from where it was kept. The watcher is told the steps before that as well.
pub fn train_kept(network: UNet3d, job: &Job<'_>, keep: Keep<'_>, watch: Watch<'_>) -> Outcome {
    let Keep { every, kept, keep } = keep;
    let (state, mut steps) = match kept.map(|bytes| load(&bytes, job)) {
        None => (State::begin(network, job), Vec::new()),
        Some(Ok(kept)) => kept,
        Some(Err(fault)) => return Outcome::Failed(fault),
    };
    if !steps.iter().all(&mut *watch) {
        return Outcome::Stopped;
    }
    state.run(job, &mut |phase| phase::end(phase.into()), &mut |state, step| {
        let go_on = watch(step);
        if every > 0 {
            steps.push(step.clone());
            let is_due = state.step.is_multiple_of(every) || !go_on;
            if is_due && state.step < job.recipe.steps {
                keep(&save(state, &steps)?)?;
            }
        }
        Ok(go_on)
    })
}

/// What is counted, not computed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counts {
    version: u32,
    step: usize,
    /// What moves in every step.
    moving: usize,
    standing: Standing,
    /// Lists of numbers of the standing.
    lists: usize,
}

const VERSION: u32 = 1;

fn save(state: &State, steps: &[Step]) -> Result<Vec<u8>> {
    let failed = |error: String| Fault::failed(format!("cannot write a checkpoint: {error}"));
    let standing = state.objective.standing();
    let moving = steps.first().map_or(0, |step| step.moving.len());
    let row = |step: &Step| {
        let Passes { forward, backward } = step.trials;
        [step.loss, forward as f64, backward as f64]
            .into_iter()
            .chain(step.moving.iter().copied())
            .collect::<Vec<f64>>()
    };
    let optimizer = state.optimizer.into_bytes().map_err(|error| failed(error.to_string()))?;
    let ids: Vec<u8> = nn::identities(&state.network).iter().flat_map(|id| id.to_le_bytes()).collect();
    let mut tensors = vec![
        ("network".to_string(), Dtype::U8, nn::encode(&state.network)?),
        ("identities".to_string(), Dtype::U8, ids),
        ("optimizer".to_string(), Dtype::U8, optimizer.to_vec()),
        ("steps".to_string(), Dtype::F64, bytes(&steps.iter().flat_map(row).collect::<Vec<f64>>())),
    ];
    for (number, list) in standing.numbers.iter().enumerate() {
        tensors.push((format!("standing.{number}"), Dtype::F64, bytes(list)));
    }
    let refused = |error: SafeTensorError| failed(error.to_string());
    let views = tensors.iter().map(|(name, kind, bytes)| {
        let length = bytes.len() / if *kind == Dtype::F64 { 8 } else { 1 };
        Ok((name.as_str(), TensorView::new(*kind, vec![length], bytes).map_err(refused)?))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    let lists = standing.numbers.len();
    let counts = Counts { version: VERSION, step: state.step, moving, standing, lists };
    let counts = serde_json::to_string(&counts).map_err(|error| failed(error.to_string()))?;
    safetensors::serialize(views, Some(HashMap::from([(KEY.to_string(), counts)]))).map_err(refused)
}

fn bytes(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// The training as it was kept, and its steps.
fn load(kept: &[u8], job: &Job<'_>) -> Result<(State, Vec<Step>)> {
    let (_, metadata) = SafeTensors::read_metadata(kept).map_err(broken)?;
    let counts = metadata.metadata().as_ref().and_then(|map| map.get(KEY));
    let counts: Counts = serde_json::from_str(counts.ok_or_else(|| broken("no counts"))?).map_err(broken)?;
    let file = SafeTensors::deserialize(kept).map_err(broken)?;
    let data = |name: &str| file.tensor(name).map(|view| view.data()).map_err(|_| broken(format!("no `{name}`")));
    let numbers = |name: &str| -> Result<Vec<f64>> {
        let (words, rest) = data(name)?.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(broken(format!("half a number in `{name}`")));
        }
        Ok(words.iter().map(|word| f64::from_le_bytes(*word)).collect())
    };
    let Counts { version, step, moving, mut standing, lists } = counts;
    let table = numbers("steps")?;
    if version != VERSION || step >= job.recipe.steps || table.len() != step * (OF_A_STEP + moving) {
        return Err(broken(format!("version {version}, step {step} of {}", job.recipe.steps)));
    }
    let row = |(number, row): (usize, &[f64])| Step {
        number,
        loss: row[0],
        trials: Passes { forward: row[1] as usize, backward: row[2] as usize },
        moving: row[OF_A_STEP..].to_vec(),
    };
    let steps = table.chunks_exact(OF_A_STEP + moving).enumerate().map(row).collect();

    let network = nn::decode(data("network")?, &nn::device().autodiff())?;
    let (ids, _) = data("identities")?.as_chunks::<8>();
    let ids: Vec<u64> = ids.iter().map(|id| u64::from_le_bytes(*id)).collect();
    let network = nn::with_identities(network, &ids).ok_or_else(|| broken("other parameters"))?;
    let State { optimizer, mut objective, .. } = State::begin(network.clone(), job);
    let optimizer = optimizer.from_bytes(Bytes::from_bytes_vec(data("optimizer")?.to_vec())).map_err(broken)?;
    standing.numbers = (0..lists).map(|list| numbers(&format!("standing.{list}"))).collect::<Result<_>>()?;
    if !objective.stand(standing) {
        return Err(broken("the standing of another loss"));
    }
    Ok((State { step, network, optimizer, objective }, steps))
}

fn broken(found: impl std::fmt::Display) -> Fault {
    Fault::new("not a checkpoint of this training")
        .expected("what was written in the middle of it")
        .found(found)
        .hint("the file is damaged; remove it, and the training begins anew")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Phantom, Preprocess};
    use crate::losses::learned::{Learned, Listens};
    use crate::losses::strategy::Strategy;
    use crate::nn::{UNet3dConfig, Weights};
    use crate::rng::{Purpose, stream};
    use crate::training::{Optimizer, Recipe};

    #[test]
    fn a_training_that_is_cut_anywhere_ends_at_the_same_bits() {
        let dataset = Phantom { cases: 2, shape: [16, 16, 12], ..Phantom::default() };
        let cases = dataset.dataset(&Preprocess::default()).unwrap().cases;
        let config = UNet3dConfig { width: 2, levels: 2, ..UNet3dConfig::default() };
        let net = Learned::random(Listens::default(), 4, &mut stream(1, Purpose::Weights, 9, 0));
        let online = format!("learned(net={}, online=dice_ce)", net.text());
        let sgd = Optimizer::Sgd { momentum: 0.9, nesterov: true, weight_decay: 1e-4 };
        let losses = [
            ("dice_ce", Optimizer::Adam),
            ("dice_ce", sgd),
            ("softadapt(dice, ce)", Optimizer::Adam),
            ("cov(dice, ce)", Optimizer::Adam),
            ("greedy(tversky, every=2)", Optimizer::Adam),
            (&online, Optimizer::Adam),
        ];
        for (typed, optimizer) in losses {
            let mut recipe = Recipe { steps: 6, optimizer, ..Recipe::default() };
            recipe.patches.patch = [8, 8, 8];
            let loss = Strategy::read(typed, typed).unwrap();
            let job = Job { cases: &cases, loss: &loss, recipe: &recipe, seed: 1, sequence: 0 };
            let fresh = || config.init(&mut stream(1, Purpose::Weights, 0, 0), &nn::device().autodiff());
            let run = |kept: Option<Vec<u8>>, until: usize| {
                let (mut last, mut steps) = (None, Vec::new());
                let mut keep = |bytes: &[u8]| {
                    last = Some(bytes.to_vec());
                    Ok(())
                };
                let keep = Keep { every: 4, kept, keep: &mut keep };
                let outcome = train_kept(fresh(), &job, keep, &mut |step| {
                    steps.push(step.clone());
                    step.number + 1 < until
                });
                let weights = if let Outcome::Finished(network) = outcome { Some(Weights::of(&network)) } else { None };
                (weights, last, steps)
            };
            let (whole, kept, steps) = run(None, 9);
            assert!(whole.is_some() && kept.is_some(), "{typed}");
            for until in [1, 3, 5] {
                let (none, kept, _) = run(None, until);
                assert!(none.is_none(), "{typed} was not stopped");
                let (resumed, _, all) = run(kept, 9);
                assert!(resumed == whole, "{typed}, cut after {until} steps");
                assert_eq!(format!("{all:?}"), format!("{steps:?}"), "{typed}");
            }
            // From the last regular checkpoint, as after a kill.
            assert!(run(kept.clone(), 9).0 == whole, "{typed}");
            let mut damaged = kept.unwrap();
            damaged.truncate(damaged.len() / 2);
            assert!(load(&damaged, &job).is_err());
        }
    }
}
