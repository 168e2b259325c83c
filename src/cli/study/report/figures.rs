//! What may be said of the differences, drawn.

use crate::cli::study::results::Against;
use crate::cli::study::standing::Standing;
use crate::cli::study::tables::{head, is_share};
use crate::fault::Result;
use crate::metrics::Metric;
use crate::report::boxes::boxes;
use crate::report::differences::{Difference, differences};
use crate::report::page::Page;
use crate::report::significance::{Pair, map};
use crate::report::stability::stability;
use crate::rng::{Purpose, stream};
use crate::stats::Verdict;
use crate::stats::ranking::{Scheme, Scores};

/// What is drawn: overlap, and distance.
const METRICS: [Metric; 2] = [Metric::Dice, Metric::Hd95];

/// Draws of subjects for the stability of a ranking.
const RESAMPLES: usize = 1000;

/// Differences, boxes, tests of all pairs and the stability of the ranking, of the losses that are complete.
///
/// # Errors
/// None that a person can cause.
pub(super) fn add(page: &mut Page, standing: &Standing<'_>) -> Result<()> {
    let complete = standing.complete();
    let names: Vec<String> = complete.iter().map(|loss| standing.name(*loss).to_string()).collect();
    if complete.len() > 1 {
        page.section("Differences to the first loss", "");
        page.paragraph(&format!(
            "Mean over subjects of the paired difference to {}, with the bootstrap interval (BCa, 95 %). Verdicts are those of \
             Wilcoxon's signed-rank test, corrected for the number of losses (Holm); they need mean and ranks to agree.",
            names[0]
        ));
        for metric in METRICS {
            let drawn: Vec<Difference> =
                standing.against_first(metric)?.iter().map(|against| difference(standing, metric, against)).collect();
            let title = format!("{} less that of {}", metric.title(), names[0]);
            page.figure("", &differences(&title, unit(metric), metric.direction(), &drawn));
        }
    }
    page.section("Every subject", "");
    page.paragraph("Median, quartiles and range over subjects (whiskers reach 1.5 times the quartiles' distance); each dot is one of them.");
    for metric in METRICS {
        let factor = factor(metric);
        let values = standing.values(&complete, metric);
        let scaled = values.iter().map(|values| values.iter().map(|value| factor * value).collect());
        let groups: Vec<(String, Vec<f64>)> = names.iter().cloned().zip(scaled).collect();
        page.figure("", &boxes(&head(metric), unit(metric), &groups));
    }
    if complete.len() > 1 {
        pairs(page, standing, &complete, &names)?;
    }
    Ok(())
}

/// The tests of all pairs, and how much the order owes to the draw of the subjects.
fn pairs(page: &mut Page, standing: &Standing<'_>, complete: &[usize], names: &[String]) -> Result<()> {
    page.section("Who is better than whom", "");
    page.paragraph(
        "Wilcoxon's signed-rank test over subjects for every pair of losses, corrected for the number of pairs (Holm).",
    );
    for metric in METRICS {
        let tests = standing.pairwise(complete, metric)?;
        let pair = |row: usize, column: usize| {
            tests.test(row, column).map(|test| Pair { gain: factor(metric) * test.gain, p: test.p })
        };
        let places = 0..complete.len();
        let matrix: Vec<Vec<Option<Pair>>> =
            places.clone().map(|row| places.clone().map(|column| pair(row, column)).collect()).collect();
        page.figure("", &map(&head(metric), names, &matrix));
    }
    page.section("How stable the ranking is", "");
    page.paragraph(&format!(
        "Losses are ranked by their mean over subjects, and again on {RESAMPLES} draws of as many subjects with replacement: the \
         area of a blob is the share of draws in which a loss had a rank (Wiesenfarth et al. 2021). A ranking claims nothing."
    ));
    for (number, metric) in METRICS.into_iter().enumerate() {
        let scores = Scores::new(&standing.values(complete, metric), metric.direction())?;
        let rng = &mut stream(standing.manifest.config.seed, Purpose::Bootstrap, 1, number as u64);
        let found = scores.stability(Scheme::AggregateThenRank, RESAMPLES, rng);
        page.figure("", &stability(&head(metric), names, &found.shares));
    }
    Ok(())
}

/// A loss less the first one: the comparison is the other way round.
fn difference(standing: &Standing<'_>, metric: Metric, against: &Against) -> Difference {
    let Against { loss, comparison, verdict, .. } = against;
    let factor = factor(metric);
    Difference {
        name: standing.name(*loss).to_string(),
        mean: -factor * comparison.paired.mean,
        low: -factor * comparison.bootstrap.high,
        high: -factor * comparison.bootstrap.low,
        verdict: match verdict {
            Verdict::Better => Verdict::Worse,
            Verdict::Worse => Verdict::Better,
            open @ Verdict::NotResolvable { .. } => *open,
        },
    }
}

/// Shares are told in percent.
fn factor(metric: Metric) -> f64 {
    if is_share(metric) { 100.0 } else { 1.0 }
}

fn unit(metric: Metric) -> &'static str {
    if is_share(metric) { "%" } else { metric.unit() }
}
