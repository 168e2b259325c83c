//! What is known of every loss that was ever looked at, worth a training or not: nothing is looked at twice.
//!
//! Results are found by canonical text, and behaviours by direction. What is rejected is kept with its reason, because a
//! search comes back to it as often as to what it likes.

use std::collections::BTreeMap;

use super::gate::{Gates, Rejection, pass};
use crate::formula::Formula;
use crate::formula::behaviours::Behaviours;

/// What is known of a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It behaves like nobody before it; the number of its behaviour.
    New(usize),
    /// It behaves like the loss with this number.
    SameAs(usize),
    /// It is not worth a training.
    Rejected(Rejection),
}

/// Everything that is known.
#[derive(Debug, Default)]
pub struct Archive {
    gates: Gates,
    /// By canonical text.
    verdicts: BTreeMap<String, Verdict>,
    behaviours: Behaviours,
    /// For each behaviour the canonical text of the first loss that had it.
    first: Vec<String>,
}

impl Archive {
    /// What is known of a loss; from now on it is known.
    pub fn judge(&mut self, formula: &Formula) -> Verdict {
        let text = formula.canonical().to_string();
        if let Some(known) = self.verdicts.get(&text) {
            return match *known {
                Verdict::New(number) => Verdict::SameAs(number),
                other => other,
            };
        }
        let verdict = match pass(&self.gates, formula) {
            Err(rejection) => Verdict::Rejected(rejection),
            Ok(direction) => {
                let twin = self.behaviours.find(&direction).map(Verdict::SameAs);
                twin.unwrap_or_else(|| {
                    self.first.push(text.clone());
                    Verdict::New(self.behaviours.insert(direction))
                })
            }
        };
        self.verdicts.insert(text, verdict);
        verdict
    }

    /// The canonical text of the first loss of a behaviour.
    pub fn first(&self, number: usize) -> Option<&str> {
        self.first.get(number).map(String::as_str)
    }

    /// The directions of all behaviours, by number.
    pub fn directions(&self) -> &[Vec<f32>] {
        self.behaviours.directions()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_looked_at_twice_and_everybody_has_a_first() {
        let mut archive = Archive::default();
        let mut judge = |text: &str| archive.judge(&text.parse().unwrap());
        assert_eq!(judge("(ratio (mean tp) (mean abs_diff))"), Verdict::New(0));
        assert_eq!(judge("(mean (+ ce_fg ce_bg))"), Verdict::New(1));
        assert_eq!(judge("(mean (+ ce_bg ce_fg))"), Verdict::SameAs(1));
        assert_eq!(judge("(* 3 (ratio (sum tp) (sum abs_diff)))"), Verdict::SameAs(0));
        for _ in 0..2 {
            assert_eq!(judge("(mean y)"), Verdict::Rejected(Rejection::NoGradient));
        }
        assert_eq!(archive.first(0), Some("(ratio (mean tp) (mean abs_diff))"));
        assert_eq!(archive.directions().len(), 2);
    }
}
