//! What the gates said of every loss that was looked at, by canonical text: nobody is looked at twice, least of all those
//! that were rejected.
//!
//! What is said of a loss is a function of its canonical form and of the gates that are open, so the archive saves time
//! and decides nothing: a search that was stopped and continued begins with an empty one and goes the same way.

use std::collections::BTreeMap;

use super::{Gates, Passed, Rejection};
use crate::formula::Formula;

/// Everything that was looked at.
#[derive(Debug)]
pub struct Archive {
    gates: Gates,
    known: BTreeMap<String, Record>,
}

/// What is known of one loss.
#[derive(Debug)]
struct Record {
    look: Result<Passed, Rejection>,
    /// The score of the last gate, once it was asked for.
    descent: Option<Result<Option<f64>, Rejection>>,
}

impl Archive {
    /// Nobody was looked at.
    pub fn new(gates: Gates) -> Self {
        Self { gates, known: BTreeMap::new() }
    }

    /// The gates.
    pub fn gates(&self) -> &Gates {
        &self.gates
    }

    /// Canonical texts that were looked at.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nobody was looked at.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// As [`Gates::look`] on the canonical form; `text` is its text.
    ///
    /// # Errors
    /// As there.
    pub fn look(&mut self, formula: &Formula, text: &str) -> Result<Passed, Rejection> {
        if let Some(record) = self.known.get(text) {
            return record.look.clone();
        }
        let look = self.gates.look(formula);
        self.known.insert(text.to_string(), Record { look: look.clone(), descent: None });
        look
    }

    /// As [`Gates::descend`] for a loss that was looked at.
    ///
    /// # Errors
    /// As there.
    pub fn descend(&mut self, passed: &Passed, text: &str) -> Result<Option<f64>, Rejection> {
        let gates = &self.gates;
        match self.known.get_mut(text) {
            Some(record) => *record.descent.get_or_insert_with(|| gates.descend(passed)),
            None => gates.descend(passed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Open;
    use super::*;

    #[test]
    fn what_was_said_once_is_said_again_and_never_found_out_twice() {
        let mut archive = Archive::new(Gates::new(Open::All));
        let good: Formula = "(mean (+ ce_bg ce_fg))".parse().unwrap();
        let bad: Formula = "(mean y)".parse().unwrap();
        for _ in 0..2 {
            let passed = archive.look(&good, &good.to_string()).unwrap();
            assert!(archive.descend(&passed, &good.to_string()).unwrap().unwrap() > 0.9);
            assert_eq!(archive.look(&bad, &bad.to_string()).unwrap_err(), Rejection::IgnoresPrediction);
        }
        assert_eq!(archive.len(), 2);
        // Whatever is asked under a known text gets the answer of that text.
        assert!(archive.look(&bad, &good.to_string()).is_ok());
    }
}
