//! One candidate and how it came to be.

use serde::{Deserialize, Serialize};

use super::fitness::{Gain, Outcome};
use crate::fault::{Fault, Result};
use crate::formula::Formula;
use crate::gates::Traits;
use crate::stats::summary::mean;

/// A candidate loss. Identity is a counter, age a generation: no clock is involved.
#[derive(Debug, Clone, PartialEq)]
pub struct Individual {
    /// Unique within a run.
    pub id: u64,
    /// The generation in which it was born.
    pub birth: usize,
    /// The island on which it lives.
    pub island: usize,
    /// The individuals it was made from.
    pub parents: Vec<u64>,
    /// How it was made.
    pub origin: Origin,
    /// The loss.
    pub formula: Formula,
    /// The rung at which it ended: a training from a start had the steps of the recipe over this. 1 is the last rung, a whole
    /// replicate.
    pub part: u32,
    /// What came of it there; [`Outcome::Stalled`] if it failed to train a network from scratch.
    pub outcome: Outcome,
    /// What it is beside the control, for every replicate of that training; none of a failure. On the last rung each is
    /// made of a training from scratch and one from a shared start, by their weights.
    pub gains: Vec<Gain>,
    /// Mean Dice from scratch, if it has got so far and survived that.
    pub scratch: Option<f64>,
    /// What the gates found out.
    pub traits: Option<Traits>,
}

impl Individual {
    /// Whether it has trained a network from scratch. Only those that reached the last rung are put to that test (only
    /// elites, where it has no weight); any other may be a loss that polishes a trained network and never trains one.
    pub fn is_confirmed(&self) -> bool {
        self.scratch.is_some()
    }

    /// Whether it got the whole training of the proxy and survived it.
    pub fn is_through(&self) -> bool {
        self.part == 1 && self.outcome.score().is_some()
    }

    /// Mean Dice less the control's, over all cases and replicates; negative infinity of a failure.
    pub fn gain(&self) -> f64 {
        if self.outcome.score().is_none() || self.gains.is_empty() {
            return f64::NEG_INFINITY;
        }
        mean(&self.gains.iter().map(Gain::mean).collect::<Vec<_>>())
    }

    /// Mean HD95 less the control's, in mm, over all replicates; infinity of a failure.
    pub fn surface_gain(&self) -> f64 {
        if self.outcome.score().is_none() || self.gains.is_empty() {
            return f64::INFINITY;
        }
        mean(&self.gains.iter().map(|gain| gain.hd95_mm).collect::<Vec<_>>())
    }

    /// Whether it can be compared with individuals that were judged on so many cases.
    ///
    /// # Errors
    /// If a value is missing, too many or no number.
    pub(super) fn check(&self, cases: usize) -> Result<()> {
        let of = |what: &str| format!("{what} of individual {}", self.id);
        let score = self.outcome.score();
        let lists = score.into_iter().flat_map(|score| [("dice", &score.dice), ("hd95_mm", &score.hd95_mm)]);
        for (name, values) in lists.chain(self.gains.iter().map(|gain| ("gains", &gain.dice))) {
            if values.is_empty() || values.len() != cases {
                return Err(Fault::new("individuals were judged on different cases")
                    .field(of(name))
                    .expected(format!("{} values, as many as the first individual has", cases.max(1)))
                    .found(values.len()));
            }
        }
        if score.is_some() == self.gains.is_empty() {
            return Err(Fault::new("an individual has no place beside the control")
                .field(of("gains"))
                .expected(if score.is_some() { "a gain for every replicate" } else { "none, because it failed" })
                .found(self.gains.len()));
        }
        let scored = score.into_iter().flat_map(|score| {
            let dice = score.dice.iter().map(|value| ("dice", *value, 0.0, 1.0));
            dice.chain(score.hd95_mm.iter().map(|value| ("hd95_mm", *value, 0.0, f64::MAX)))
        });
        let gained = self.gains.iter().flat_map(|gain| {
            let dice = gain.dice.iter().map(|value| ("gains", *value, -1.0, 1.0));
            dice.chain([("gains", gain.hd95_mm, -f64::MAX, f64::MAX)])
        });
        let stalled =
            if let Outcome::Stalled { dice } = self.outcome { Some(("outcome", dice, 0.0, 1.0)) } else { None };
        let scratch = self.scratch.map(|dice| ("scratch", dice, 0.0, 1.0));
        let out = |(_, value, least, most): &(&str, f64, f64, f64)| !(least..=most).contains(&value);
        match scored.chain(gained).chain(stalled).chain(scratch).find(out) {
            None => Ok(()),
            Some((name, value, least, most)) => {
                let expected = match (least, most) {
                    (0.0, 1.0) => "a number from 0 to 1",
                    (0.0, _) => "a finite number, at least 0",
                    (_, 1.0) => "a number from -1 to 1",
                    _ => "a finite number",
                };
                Err(Fault::new("value out of range").field(of(name)).expected(expected).found(value))
            }
        }
    }
}

#[cfg(test)]
impl Individual {
    /// One that got the whole training, with these gains.
    pub(super) fn with_gains(id: u64, formula: &str, gains: Vec<Gain>) -> Self {
        Self {
            id,
            birth: 0,
            island: 0,
            parents: Vec::new(),
            origin: Origin::Random,
            formula: formula.parse().expect("a formula of a test"),
            part: 1,
            outcome: Outcome::Trained(super::fitness::Score { dice: vec![0.8], hd95_mm: vec![2.0] }),
            gains,
            scratch: None,
            traits: None,
        }
    }
}

/// How an individual was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// From the catalog, under this name, or a guess as it was typed.
    Founder(String),
    /// From the atlas: farthest from everybody known, or the next one where a grammar is enumerated.
    Atlas,
    /// Drawn from the grammar.
    Random,
    /// One word replaced.
    Point,
    /// One constant moved.
    Constant,
    /// A subtree replaced by a random one.
    Regrow,
    /// A subtree made an argument of a new word.
    Wrap,
    /// A word dropped and one of its arguments put in its place.
    Unwrap,
    /// A random term added to a subtree.
    Insert,
    /// A term of a sum or a factor of a product left out.
    Delete,
    /// A subtree replaced by a part of itself.
    Hoist,
    /// A subtree replaced by one of another individual.
    Crossover,
    /// Constants moved by greedy trials while a network trained.
    Greedy,
}

impl Origin {
    /// In one word, for tables.
    pub fn name(&self) -> String {
        match self {
            Self::Founder(name) => name.clone(),
            other => other.operator().to_string(),
        }
    }

    /// Which operator made it, for statistics.
    pub fn operator(&self) -> &'static str {
        match self {
            Self::Founder(_) => "founder",
            Self::Atlas => "atlas",
            Self::Random => "random",
            Self::Point => "point",
            Self::Constant => "constant",
            Self::Regrow => "regrow",
            Self::Wrap => "wrap",
            Self::Unwrap => "unwrap",
            Self::Insert => "insert",
            Self::Delete => "delete",
            Self::Hoist => "hoist",
            Self::Crossover => "crossover",
            Self::Greedy => "greedy",
        }
    }
}

/// How an individual stands in a file: the loss as text, so that a population can be read and edited by people.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    id: u64,
    birth: usize,
    #[serde(default)]
    island: usize,
    parents: Vec<u64>,
    origin: Origin,
    loss: String,
    part: u32,
    outcome: Outcome,
    #[serde(default)]
    gains: Vec<Gain>,
    #[serde(default)]
    scratch: Option<f64>,
    #[serde(default)]
    traits: Option<Traits>,
}

impl From<&Individual> for Entry {
    fn from(individual: &Individual) -> Self {
        Self {
            id: individual.id,
            birth: individual.birth,
            island: individual.island,
            parents: individual.parents.clone(),
            origin: individual.origin.clone(),
            loss: individual.formula.to_string(),
            part: individual.part,
            outcome: individual.outcome.clone(),
            gains: individual.gains.clone(),
            scratch: individual.scratch,
            traits: individual.traits,
        }
    }
}

impl TryFrom<Entry> for Individual {
    type Error = Fault;

    fn try_from(entry: Entry) -> Result<Self> {
        let formula =
            entry.loss.parse().map_err(|fault: Fault| fault.field(format!("loss of individual {}", entry.id)))?;
        Ok(Self {
            id: entry.id,
            birth: entry.birth,
            island: entry.island,
            parents: entry.parents,
            origin: entry.origin,
            formula,
            part: entry.part,
            outcome: entry.outcome,
            gains: entry.gains,
            scratch: entry.scratch,
            traits: entry.traits,
        })
    }
}
