//! `compare: (...)` of a configuration.

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Result};

/// What `lossgen compare` trains beyond one seed and one learning rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::cli) struct CompareConfig {
    /// Losses; those that are typed come behind them.
    pub(in crate::cli) losses: Vec<String>,
    /// Seeds of weights and patches; none for the seed of the run.
    pub(in crate::cli) seeds: Vec<u64>,
    /// Factors of the learning rate. Of several, each loss gets in each fold the one that does best on an inner part of the
    /// training cases.
    pub(in crate::cli) learning_rates: Vec<f64>,
    /// Whether folds resemble each other in labels and foreground, as those of `lossgen data split`.
    pub(in crate::cli) stratified: bool,
}

impl Default for CompareConfig {
    fn default() -> Self {
        Self { losses: Vec::new(), seeds: Vec::new(), learning_rates: vec![1.0], stratified: true }
    }
}

impl CompareConfig {
    /// Whether a comparison can be made of it.
    ///
    /// # Errors
    /// The first value out of its range.
    pub(in crate::cli) fn check(&self) -> Result<()> {
        let twice = |texts: Vec<String>| {
            let second = texts.iter().enumerate().find(|(place, text)| texts[..*place].contains(text));
            second.map(|(_, text)| text.clone())
        };
        let wrong = |field: &str, expected: &str, found: String| {
            Err(Fault::new("setting out of range").field(field).expected(expected).found(found))
        };
        if let Some(factor) = self.learning_rates.iter().find(|factor| !(factor.is_finite() && **factor > 0.0)) {
            return wrong("learning_rates", "positive numbers", factor.to_string());
        }
        if self.learning_rates.is_empty() {
            return wrong("learning_rates", "at least one factor", "none".to_string());
        }
        if let Some(factor) = twice(self.learning_rates.iter().map(f64::to_string).collect()) {
            return wrong("learning_rates", "every factor once", format!("{factor} twice"));
        }
        if let Some(seed) = twice(self.seeds.iter().map(u64::to_string).collect()) {
            return wrong("seeds", "every seed once", format!("{seed} twice"));
        }
        Ok(())
    }
}
