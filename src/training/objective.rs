//! What a network is trained to minimise, step by step: from its outputs to the loss and dL/dlogit.
//!
//! A fixed loss is a formula; the weights of a [strategy](crate::losses::strategy) move from step to step, its parameters
//! by greedy trials (`training::greedy`). Formulas need no automatic differentiation, so neither does what is made of them.

use serde::{Deserialize, Serialize};

use super::learn::online::{Before, Online};
use crate::data::patches::Batch;
use crate::formula::Formula;
use crate::formula::eval::Inputs;
use crate::formula::fingerprint::probes;
use crate::formula::plan::Plan;
use crate::formula::simd::Program;
use crate::gates::{gradient_factor, gradient_factor_of};
use crate::losses::greedy::Greedy;
use crate::losses::learned::Learned;
use crate::losses::strategy::{Judgement, Kind, Strategy};
use crate::losses::weighting::Weighting;
use crate::nn::UNet3d;

/// A strategy that is being carried out.
pub(super) struct Objective {
    /// A loss without weights is one term.
    terms: Vec<Program>,
    /// Gives the loss the gradient of Dice + CE: a sum of terms at weights of 1, a loss whose parameters move wherever they
    /// stand.
    factor: f64,
    movement: Movement,
}

enum Movement {
    Still,
    Weights(Weighting),
    Parameters(Adaptation),
    /// No term is a formula.
    Learned(Learned),
    /// The weights of the network that is the loss.
    Online(Learned, Online),
}

/// Where a strategy stands, apart from what the strategy is.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Standing {
    /// The weighting, where weights move.
    weighting: Option<Weighting>,
    /// Steps that each Adam has made.
    steps: Vec<u32>,
    /// Parameters, or weights and moments of what learns. Apart from the text, because they need not be finite.
    #[serde(skip)]
    pub(super) numbers: Vec<Vec<f64>>,
}

/// Parameters that move by trials.
pub(super) struct Adaptation {
    loss: Formula,
    pub(super) greedy: Greedy,
    pub(super) score: Judgement,
    pub(super) held_out: bool,
}

/// The loss of one step, and where what moves stands: weights or parameters, in the order of [`names`].
pub(super) struct Reading {
    pub(super) loss: f64,
    pub(super) moving: Vec<f64>,
}

impl Objective {
    pub(super) fn new(strategy: &Strategy) -> Self {
        let factor = strategy.formula().map(|formula| gradient_factor(&Plan::new(&formula)));
        let (terms, movement) = match &strategy.kind {
            Kind::Fixed(formula) => (vec![program(formula)], Movement::Still),
            Kind::Weighted { terms, weighting } => {
                (terms.iter().map(program).collect(), Movement::Weights(weighting.clone()))
            }
            Kind::Greedy { loss, greedy, score, held_out } => {
                let (loss, greedy) = (loss.clone(), greedy.clone());
                let adaptation = Adaptation { loss: loss.clone(), greedy, score: *score, held_out: *held_out };
                (vec![program(&loss)], Movement::Parameters(adaptation))
            }
            Kind::Learned { loss, online: None } => (Vec::new(), Movement::Learned(loss.clone())),
            Kind::Learned { loss, online: Some(task) } => {
                (Vec::new(), Movement::Online(loss.clone(), Online::new(task, loss)))
            }
        };
        let mut objective = Self { terms, factor: factor.unwrap_or(1.0), movement };
        objective.measure();
        objective
    }

    /// Gives a learned loss the gradient of Dice + CE as it is now.
    fn measure(&mut self) {
        if let Movement::Learned(loss) | Movement::Online(loss, _) = &self.movement {
            self.factor = gradient_factor_of(&loss.slopes(&probes()));
        }
    }

    /// The loss; dL/dlogit is written to `slopes`, in the size of that of Dice + CE. Weights move one step.
    pub(super) fn gradient(&mut self, inputs: &Inputs<'_, f32>, slopes: &mut [f32]) -> Reading {
        let reading = match &mut self.movement {
            Movement::Weights(weighting) => {
                let mut all = vec![vec![0f32; slopes.len()]; self.terms.len()];
                let losses: Vec<f64> =
                    self.terms.iter().zip(&mut all).map(|(term, slopes)| term.gradient(inputs, slopes)).collect();
                let weights = weighting.step(&losses, inputs.progress);
                for (place, slope) in slopes.iter_mut().enumerate() {
                    let sum: f64 = weights.iter().zip(&all).map(|(weight, term)| weight * f64::from(term[place])).sum();
                    *slope = sum as f32;
                }
                Reading { loss: weights.iter().zip(&losses).map(|(weight, loss)| weight * loss).sum(), moving: weights }
            }
            Movement::Learned(loss) | Movement::Online(loss, _) => {
                Reading { loss: loss.table(inputs.progress).gradient(inputs, slopes), moving: Vec::new() }
            }
            Movement::Still => Reading { loss: self.terms[0].gradient(inputs, slopes), moving: Vec::new() },
            Movement::Parameters(adaptation) => Reading {
                loss: self.terms[0].gradient(inputs, slopes),
                moving: adaptation.greedy.parameters.iter().map(|parameter| parameter.value).collect(),
            },
        };
        let factor = self.factor as f32;
        for slope in slopes {
            *slope *= factor;
        }
        reading
    }

    /// The formula, if nothing moves: where tensors live on a device, it is computed there.
    pub(super) fn fixed(&self) -> Option<&Plan> {
        matches!(self.movement, Movement::Still).then(|| self.terms[0].plan())
    }

    /// The adaptation, if parameters are to move at this step.
    pub(super) fn due(&self, step: usize) -> Option<&Adaptation> {
        match &self.movement {
            Movement::Parameters(adaptation) if step.is_multiple_of(adaptation.greedy.every) => Some(adaptation),
            _ => None,
        }
    }

    /// Moves the parameters to the candidate of the least score. The loss gets the gradient of Dice + CE anew: what moves
    /// is its shape, and not a learning rate.
    pub(super) fn choose(&mut self, scores: &[f64]) {
        if let Movement::Parameters(adaptation) = &mut self.movement {
            adaptation.greedy.choose(scores);
            let (program, factor) = scaled(&adaptation.greedy.current(&adaptation.loss));
            (self.terms, self.factor) = (vec![program], factor);
        }
    }

    /// Whether the loss learns from every step.
    pub(super) fn learns(&self) -> bool {
        matches!(self.movement, Movement::Online(..))
    }

    /// Learns from a step on the first of the batches by the second one; the cosine between the gradients of loss and task.
    pub(super) fn learn(&mut self, progress: f64, before: &Before, after: &UNet3d, batches: [&Batch; 2]) -> f64 {
        let Movement::Online(loss, online) = &mut self.movement else { return f64::NAN };
        let cosine = online.learn(loss, progress, before, after, batches);
        self.measure();
        cosine
    }

    /// Where it stands behind a step.
    pub(super) fn standing(&self) -> Standing {
        match &self.movement {
            Movement::Still | Movement::Learned(_) => Standing::default(),
            Movement::Weights(weighting) => Standing { weighting: Some(weighting.clone()), ..Standing::default() },
            Movement::Parameters(adaptation) => {
                let values = adaptation.greedy.parameters.iter().map(|parameter| parameter.value).collect();
                Standing { numbers: vec![values], ..Standing::default() }
            }
            Movement::Online(loss, online) => {
                let (steps, mut numbers) = online.standing();
                numbers.push(loss.net().weights().to_vec());
                Standing { steps, numbers, ..Standing::default() }
            }
        }
    }

    /// Goes to where it stood; whether that is a standing of this strategy.
    #[must_use]
    pub(super) fn stand(&mut self, standing: Standing) -> bool {
        let Standing { weighting, steps, mut numbers } = standing;
        match (&mut self.movement, weighting) {
            (Movement::Still | Movement::Learned(_), None) => numbers.is_empty(),
            (Movement::Weights(own), Some(weighting)) => {
                *own = weighting;
                numbers.is_empty()
            }
            (Movement::Parameters(adaptation), None) => {
                let parameters = &mut adaptation.greedy.parameters;
                let [values] = numbers.as_slice() else { return false };
                if values.len() != parameters.len() {
                    return false;
                }
                parameters.iter_mut().zip(values).for_each(|(parameter, value)| parameter.value = *value);
                let (program, factor) = scaled(&adaptation.greedy.current(&adaptation.loss));
                (self.terms, self.factor) = (vec![program], factor);
                true
            }
            (Movement::Online(loss, online), None) => {
                let fits = numbers.pop().is_some_and(|weights| {
                    let fits = weights.len() == loss.net().weights().len();
                    if fits {
                        loss.weights_mut().copy_from_slice(&weights);
                    }
                    fits
                });
                let fits = fits && online.stand(&steps, numbers);
                self.measure();
                fits
            }
            _ => false,
        }
    }

    /// The factor by which every dL/dlogit is multiplied.
    pub(super) fn factor(&self) -> f64 {
        self.factor
    }
}

impl Adaptation {
    /// The loss of each candidate, in their order, and the factor that gives it the gradient of Dice + CE.
    pub(super) fn programs(&self) -> Vec<(Program, f64)> {
        self.greedy.candidates().iter().map(|values| scaled(&self.greedy.at(&self.loss, values))).collect()
    }
}

fn program(formula: &Formula) -> Program {
    Program::new(&Plan::new(formula))
}

fn scaled(formula: &Formula) -> (Program, f64) {
    let plan = Plan::new(formula);
    (Program::new(&plan), gradient_factor(&plan))
}

/// What moves, in words: heads of the columns of a trajectory.
pub fn names(strategy: &Strategy) -> Vec<String> {
    match &strategy.kind {
        Kind::Fixed(_) | Kind::Learned { online: None, .. } => Vec::new(),
        Kind::Learned { online: Some(_), .. } => vec!["cosine".to_string()],
        Kind::Weighted { terms, .. } => (1..=terms.len()).map(|term| format!("weight_{term}")).collect(),
        Kind::Greedy { greedy, .. } => greedy.parameters.iter().map(|parameter| parameter.name.clone()).collect(),
    }
}
