//! What is known of a candidate before any training: gates, cheap first, each with a name and a reason for every no.
//!
//! A training costs seconds to minutes, a look through the gates microseconds to milliseconds. [`Gates::look`] reads the
//! words, bounds the numbers and looks at the gradient on the probes; whoever pushes like somebody before is a duplicate
//! (see [`Behaviours`](crate::formula::behaviours::Behaviours)); [`Gates::descend`] lets free predictions follow the loss. The gates are calibrated: everything that people found
//! passes, and a list of losses known to be bad does not (see the tests). Knows no search: what becomes of a verdict is
//! for the caller.

mod archive;
mod crops;
mod descent;
mod enclosure;
mod envelope;
mod grid;
mod interval;
mod operations;
mod profile;
mod rejection;
mod scale;
mod structure;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use archive::Archive;
pub use descent::{LEAST, STEPS, share, starts};
pub use profile::Profile;
pub use rejection::{Gate, Rejection};
pub use scale::{gradient_factor, gradient_factor_of, unit_factor};

use crate::fault::Fault;
use crate::formula::Formula;
use crate::formula::fingerprint::VOXELS;
use crate::formula::forward::Screen;
use crate::formula::plan::Plan;

/// Which gates are open for business; a control for an experiment leaves some of them out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Open {
    /// Every gate.
    #[default]
    All,
    /// No gate: whatever has a value is trained.
    None,
    /// These gates.
    Only(Vec<Gate>),
}

impl Open {
    /// Reads `all`, `none`, or names of gates with commas between them.
    ///
    /// # Errors
    /// If it is none of these.
    pub fn parse(typed: &str) -> Result<Self, Fault> {
        let gate = |name: &str| {
            let found = Gate::ALL.into_iter().find(|gate| gate.name() == name.trim());
            let names = Gate::ALL.map(Gate::name);
            found.ok_or_else(|| {
                Fault::new("no such gate")
                    .expected(format!("`all`, `none`, or some of {} with commas between them", names.join(", ")))
                    .found(format!("`{name}`"))
            })
        };
        match typed {
            "all" => Ok(Self::All),
            "none" => Ok(Self::None),
            names => names.split(',').map(gate).collect::<Result<_, _>>().map(Self::Only),
        }
    }

    /// Whether candidates meet a gate.
    pub fn has(&self, gate: Gate) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Only(gates) => gates.contains(&gate),
        }
    }
}

/// What is known of a loss that may be trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traits {
    /// The factor that gives its gradient on the probes a root mean square of 1.
    pub factor: f64,
    /// Whether samples without the class have next to no gradient: Dice is silent there, cross-entropy is not.
    pub silent_on_empty: bool,
    /// Whether its gradient, times the factor, provably stays within the range of 16-bit floats.
    pub fits_half: bool,
    /// The score of the descent gate: hard Dice of free predictions over that of Dice + CE, if the gate was asked.
    pub descent: Option<f64>,
}

/// A loss that passed the gates that look at it alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Passed {
    /// The loss: negated if it was written the wrong way round.
    pub formula: Formula,
    /// Whether it was negated.
    pub repaired: bool,
    /// In which direction it pushes; `None` if it has none and nobody minds.
    pub direction: Option<Vec<f32>>,
    /// What else is known of it.
    pub traits: Traits,
}

/// The gates with everything that does not depend on the candidate.
#[derive(Debug)]
pub struct Gates {
    open: Open,
    screen: Screen,
}

impl Default for Gates {
    fn default() -> Self {
        Self::new(Open::All)
    }
}

impl Gates {
    /// Gates of which these are open for business.
    pub fn new(open: Open) -> Self {
        Self { open, screen: Screen::default() }
    }

    /// Which gates are open for business.
    pub fn open(&self) -> &Open {
        &self.open
    }

    /// What structure, envelope and profile say of a loss.
    ///
    /// # Errors
    /// The first gate that does not let it pass. A value per voxel is no loss, whatever gates there are.
    pub fn look(&self, formula: &Formula) -> Result<Passed, Rejection> {
        match structure::pass(formula) {
            Err(why) if self.open.has(Gate::Structure) || why == Rejection::NoLoss => return Err(why),
            _ => {}
        }
        let plan = Plan::new(formula);
        if self.open.has(Gate::Envelope) {
            envelope::pass(&plan)?;
        }
        let (losses, slopes) = self.screen.answer(formula);
        let profile = match profile::pass(self.screen.probes(), &losses, &slopes) {
            Err(why) if self.open.has(Gate::Profile) => return Err(why),
            found => found.unwrap_or_else(|_| Profile::unjudged(self.screen.probes(), &slopes)),
        };
        let repaired = profile.reversed && self.open.has(Gate::Profile);
        let factor = unit_factor(profile.scale);
        let sign = if repaired { -1.0 } else { 1.0 };
        let has_direction = profile.scale.is_finite() && profile.scale > 0.0;
        let unit = |slope: &f64| (sign * slope / profile.scale) as f32;
        Ok(Passed {
            formula: if repaired { negated(formula) } else { formula.clone() },
            repaired,
            direction: has_direction.then(|| slopes.iter().map(unit).collect()),
            traits: Traits {
                factor,
                silent_on_empty: profile.silent_on_empty,
                fits_half: envelope::fits_half(&plan, factor, VOXELS),
                descent: None,
            },
        })
    }

    /// Why a search would not train a loss as it is written, duplicates and the descent apart.
    pub fn rejection(&self, formula: &Formula) -> Option<Rejection> {
        match self.look(formula) {
            Ok(passed) => passed.repaired.then_some(Rejection::Reversed),
            Err(why) => Some(why),
        }
    }

    /// The score of the descent gate, if it is open for business.
    ///
    /// # Errors
    /// If free predictions that follow the loss stay too far from their targets.
    pub fn descend(&self, passed: &Passed) -> Result<Option<f64>, Rejection> {
        if !self.open.has(Gate::Descent) {
            return Ok(None);
        }
        let factor = scale::factor_like_reference(passed.traits.factor.recip());
        descent::pass(&Plan::new(&passed.formula), factor).map(Some)
    }
}

/// The loss times -1.
fn negated(formula: &Formula) -> Formula {
    let times = crate::formula::word::WordId::of("*").expect("the language multiplies");
    Formula::node(times, &[Formula::number(-1.0), formula.clone()]).canonical()
}
