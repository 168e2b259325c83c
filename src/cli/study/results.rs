//! The result of a comparison in words: the table of the field, and what may be said of the differences.

use super::standing::{LEVEL, Standing};
use super::tables::{columns, head, mean_sd, measured};
use crate::cli::term::{Term, table};
use crate::fault::{Fault, Result};
use crate::metrics::Metric;
use crate::metrics::table::pair;
use crate::rng::{Purpose, stream};
use crate::run::RunDir;
use crate::stats::{Comparison, Verdict, compare, holm, wilcoxon};

/// The first loss against another one.
pub(in crate::cli) struct Against {
    /// Place of the other loss.
    pub(in crate::cli) loss: usize,
    pub(in crate::cli) comparison: Comparison,
    /// Of the signed-rank test, corrected for the number of other losses.
    pub(in crate::cli) p: f64,
    /// On the first loss.
    pub(in crate::cli) verdict: Verdict,
}

impl Standing<'_> {
    /// The first loss that is complete against each other one, with subjects as the unit.
    ///
    /// # Errors
    /// None that a person can cause.
    pub(in crate::cli) fn against_first(&self, metric: Metric) -> Result<Vec<Against>> {
        let complete = self.complete();
        let Some((first, others)) = complete.split_first() else { return Ok(Vec::new()) };
        let first = self.by_subject(*first);
        let compared = |loss: &usize| -> Result<(usize, Comparison)> {
            let pair = pair(&first, &self.by_subject(*loss), metric, None);
            let rng = &mut stream(self.manifest.config.seed, Purpose::Bootstrap, 0, 0);
            Ok((*loss, compare(&pair.first, &pair.second, rng)?))
        };
        let compared: Vec<(usize, Comparison)> = others.iter().map(compared).collect::<Result<_>>()?;
        let p: Vec<f64> = compared.iter().map(|(_, comparison)| comparison.signed_rank.p).collect();
        let judge = |((loss, comparison), p): ((usize, Comparison), f64)| {
            let verdict = comparison.verdict(metric.direction(), p, LEVEL);
            Against { loss, comparison, p, verdict }
        };
        Ok(compared.into_iter().zip(holm::adjusted(&p)).map(judge).collect())
    }

    /// Prints and saves the table of the talk, and what may be said of the differences.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(in crate::cli) fn conclude(&self, out: &RunDir, as_json: bool, term: &Term) -> Result<()> {
        for loss in (0..self.losses()).filter(|loss| !self.is_complete(*loss)) {
            let [all, trained] = [self.places(loss).count(), self.trained(loss).count()];
            let over = self.places(loss).filter(|place| self.result(*place).is_some()).count();
            // What is not over yet is no news.
            if over == all {
                let what = if self.manifest.seeds.len() > 1 { "trainings" } else { "folds" };
                let name = self.name(loss);
                let missing = all - trained;
                term.say(&format!("{name}: {missing} of {all} {what} have no result; left out of the table"));
            }
        }
        let [all, over, _] = self.counts();
        if self.complete().is_empty() {
            if over < all {
                term.say(&format!("{over} of {all} trainings are over; no loss is complete yet"));
                return Ok(());
            }
            return Err(Fault::failed("no loss could be trained in every fold").file(out.path()));
        }
        let text = format!("{}\n\n{}", self.grid(), self.remarks()?);
        out.write("table.txt", text.as_bytes())?;
        term.result(&if as_json { self.json() } else { text });
        Ok(())
    }

    fn json(&self) -> String {
        let mut json = Vec::new();
        for (name, table) in self.named_tables() {
            for metric in measured(&table) {
                let (folds, cases) = (table.over_folds(metric, None), table.over_cases(metric, None));
                json.push(serde_json::json!({
                    "loss": name, "metric": metric.key(), "unit": metric.unit(), "mean": folds.mean, "sd": folds.sd,
                    "n": cases.n, "undefined": cases.undefined, "missed": cases.missed, "spurious": cases.spurious,
                }));
            }
        }
        serde_json::json!(json).to_string()
    }

    /// Mean and standard deviation over folds of the mean over cases: shares in percent, distances in mm.
    fn grid(&self) -> String {
        let header = std::iter::once("loss".to_string()).chain(columns().into_iter().map(head)).collect();
        let row = |loss: &usize| {
            let table = self.table(*loss);
            let cell = |metric: Metric| {
                let [mean, sd] = mean_sd(&table, metric);
                format!("{mean:.2} ± {sd:.2}")
            };
            std::iter::once(self.name(*loss).to_string()).chain(columns().into_iter().map(cell)).collect()
        };
        table(header, self.complete().iter().map(row).collect(), |column| column > 0)
    }

    /// What the numbers are, and Dice of the first loss against each other one with subjects as the unit.
    fn remarks(&self) -> Result<String> {
        let complete = self.complete();
        let first = self.table(complete[0]);
        let cases = first.over_cases(Metric::Dice, None);
        let seeds = self.manifest.seeds.len();
        let repeats = if seeds > 1 { format!(" and {seeds} seeds") } else { String::new() };
        let folds = self.folds();
        let mut text = format!(
            "mean ± sd over {folds} folds of the mean over test volumes{repeats} ({} values of Dice)\n",
            cases.n
        );
        for (name, table) in self.named_tables() {
            let cases = table.over_cases(Metric::Hd95, None);
            if cases.missed + cases.spurious > 0 {
                text += &format!(
                    "{name}: {} missed and {} spurious structures; their distances count as the volume diagonal\n",
                    cases.missed, cases.spurious
                );
            }
            for metric in Metric::MAIN {
                let undefined = table.over_cases(metric, None).undefined;
                if undefined > 0 {
                    text += &format!("{name}: {metric} of {undefined} masks is 0/0 and left out\n");
                }
            }
        }
        if self.manifest.config.compare.learning_rates.len() > 1 {
            for loss in &complete {
                let factors = self.trained(*loss).map(|(record, _)| record.rate_factor.to_string());
                let factors = factors.collect::<Vec<_>>().join(", ");
                text += &format!(
                    "{}: learning rate times {factors} in the folds, chosen on training cases\n",
                    self.name(*loss)
                );
            }
        }
        let against = self.against_first(Metric::Dice)?;
        for Against { loss, comparison, p, verdict } in &against {
            let paired = &comparison.paired;
            text += &format!(
                "\nDice of {} against {}: {verdict}\n  difference {:+.2} points, 95 % interval [{:+.2}, {:+.2}], Wilcoxon p = {p:.3} (Holm), n = {}; detectable {:.2}\n",
                self.name(complete[0]),
                self.name(*loss),
                100.0 * paired.mean,
                100.0 * comparison.bootstrap.low,
                100.0 * comparison.bootstrap.high,
                paired.n,
                100.0 * comparison.detectable,
            );
            if against.len() as f64 * wilcoxon::least_p(paired.n) >= LEVEL {
                text += &format!("  n = {} is too small: no outcome could have p < {LEVEL}\n", paired.n);
            }
        }
        Ok(text)
    }
}
