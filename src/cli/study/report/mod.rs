//! `report.html`: everything that a run of a comparison has to say, on one page that needs nothing else.
//!
//! What is drawn is in `report`; here is what is drawn of which numbers. What costs time (how losses behave, pictures of
//! cases) is kept, because the page is written anew with every cell that is done.

mod curves;
mod environment;
mod figures;
mod losses;
mod pictures;

use std::sync::Arc;

use self::losses::Behaviours;
use self::pictures::Pictures;
use super::manifest::StudyManifest;
use super::standing::{LEVEL, Standing};
use super::tables::{columns, head, mean_sd};
use super::voxels::{self, Shares};
use crate::data::Case;
use crate::fault::Result;
use crate::metrics::Metric;
use crate::metrics::table::Table;
use crate::report::page::{Cell, Page, escape};
use crate::run::RunDir;
use crate::stats::pairwise::Pairwise;
use crate::stats::summary::standard_deviation;

/// A report that is written again and again.
pub(in crate::cli) struct Report<'a> {
    behaviours: Behaviours,
    /// None where nobody asked for them.
    pictures: Option<Pictures<'a>>,
}

impl<'a> Report<'a> {
    /// A report of a run; `cases` are those of the manifest, in its order.
    pub(in crate::cli) fn new(manifest: &StudyManifest, cases: Option<&'a [Arc<Case>]>) -> Self {
        let pictures = cases.map(|cases| Pictures::new(cases, manifest));
        Self { behaviours: Behaviours::default(), pictures }
    }

    /// Writes `report.html` into the run; `remark` is told what could not be shown.
    ///
    /// # Errors
    /// If a file of the run cannot be read, or the page cannot be written.
    pub(in crate::cli) fn write(
        &mut self,
        standing: &Standing<'_>,
        out: &RunDir,
        remark: &mut dyn FnMut(&str),
    ) -> Result<()> {
        let manifest = standing.manifest;
        let mut page = Page::new(&format!("Losses compared: {}", environment::dataset(manifest)));
        summary(&mut page, standing)?;
        if !standing.complete().is_empty() {
            tables(&mut page, standing, out)?;
            figures::add(&mut page, standing)?;
        }
        curves::add(&mut page, standing, out)?;
        losses::add(&mut page, standing, &mut self.behaviours)?;
        environment::data(&mut page, out.path())?;
        if let Some(pictures) = &self.pictures {
            pictures.add(&mut page, standing, out, remark)?;
        }
        environment::cost(&mut page, standing);
        environment::trouble(&mut page, standing);
        environment::settings(&mut page, manifest)?;
        out.write("report.html", page.render().as_bytes())
    }
}

/// What was compared, how far it is, and what may be said.
fn summary(page: &mut Page, standing: &Standing<'_>) -> Result<()> {
    let manifest = standing.manifest;
    let [all, over, trained] = standing.counts();
    let subjects: std::collections::BTreeSet<&String> = manifest.subjects.iter().collect();
    page.section("In short", "");
    page.paragraph(&format!(
        "{} losses, {} folds, {} seed(s): {all} trainings of {} steps, of which {over} are over and {trained} have a network. \
         {} cases of {} subjects. In a fold and seed all losses start from the same weights and see the same patches; the last \
         network counts. Every case is predicted by a network that has not seen its subject.",
        standing.losses(),
        standing.folds(),
        manifest.seeds.len(),
        manifest.config.train.recipe.steps,
        manifest.cases.len(),
        subjects.len(),
    ));
    let complete = standing.complete();
    if complete.len() < 2 {
        page.paragraph("Fewer than two losses have a network for every fold and seed: nothing is compared yet.");
        return Ok(());
    }
    for metric in [Metric::Dice, Metric::Hd95] {
        page.paragraph(&sentence(standing, &complete, metric)?);
    }
    Ok(())
}

/// Who leads by a metric, in words that the tests allow.
fn sentence(standing: &Standing<'_>, complete: &[usize], metric: Metric) -> Result<String> {
    let pairs = standing.pairwise(complete, metric)?;
    let names =
        |places: &[usize]| places.iter().map(|place| standing.name(complete[*place])).collect::<Vec<_>>().join("; ");
    let leaders = pairs.leaders();
    let title = metric.title();
    Ok(match pairs.best() {
        Some(best) => format!("{title}: {} is better than every other loss.", names(&[best])),
        None if leaders.len() == complete.len() => {
            format!("{title}: these data resolve no difference between the losses.")
        }
        None => format!(
            "{title}: no loss is better than every other one. No other is better than any of: {}.",
            names(&leaders)
        ),
    } + &format!(" (Wilcoxon's signed-rank test over subjects, Holm over all pairs, level {LEVEL}.)"))
}

/// The table of the field, and Dice of every class.
fn tables(page: &mut Page, standing: &Standing<'_>, out: &RunDir) -> Result<()> {
    let (complete, columns) = (standing.complete(), columns());
    let pairs: Vec<Pairwise> =
        columns.iter().map(|metric| standing.pairwise(&complete, *metric)).collect::<Result<_>>()?;
    let heads: Vec<String> = std::iter::once("loss".to_string()).chain(columns.iter().copied().map(head)).collect();
    let row = |(place, loss): (usize, &usize)| {
        let table = standing.table(*loss);
        let cell = |(metric, pairs): (&Metric, &Pairwise)| {
            let [mean, sd] = mean_sd(&table, *metric);
            let text = format!("{mean:.2} ± {sd:.2}");
            if pairs.best() == Some(place) { Cell::best(&text) } else { Cell::from(text) }
        };
        let name = Cell::from(standing.name(*loss));
        std::iter::once(name).chain(columns.iter().zip(&pairs).map(cell)).collect()
    };
    page.section("Table", "");
    page.paragraph(&format!(
        "Mean ± standard deviation over folds of the mean over test cases{}. A value is bold where its loss is better than every \
         other one by the tests. An infinite distance (a structure that was missed altogether) counts as the diagonal of the \
         volume.",
        if standing.manifest.seeds.len() > 1 { " and seeds" } else { "" }
    ));
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    page.table(&heads, complete.iter().enumerate().map(row).collect());
    let counts: Vec<String> = complete.iter().filter_map(|loss| missed(standing, *loss)).collect();
    if !counts.is_empty() {
        page.html(&format!("<p>{}</p>", counts.iter().map(|text| escape(text)).collect::<Vec<_>>().join("<br/>")));
    }
    classes(page, standing, &complete, &voxels::read(out.path())?);
    seeds(page, standing, &complete);
    Ok(())
}

/// How far the draw of weights and patches moves a mean, beside the draw of the cases.
fn seeds(page: &mut Page, standing: &Standing<'_>, complete: &[usize]) {
    let seeds = &standing.manifest.seeds;
    if seeds.len() < 2 {
        return;
    }
    let row = |loss: &usize| {
        let of_seed = |seed: &u64| 100.0 * standing.table_of(*loss, *seed).over_folds(Metric::Dice, None).mean;
        let means: Vec<f64> = seeds.iter().map(of_seed).collect();
        let [_, folds] = mean_sd(&standing.table(*loss), Metric::Dice);
        let each = means.iter().map(|mean| format!("{mean:.2}")).collect::<Vec<_>>().join(", ");
        let spreads = [folds, standard_deviation(&means)].map(|spread| Cell::from(format!("{spread:.2}")));
        [Cell::from(standing.name(*loss)), Cell::from(each)].into_iter().chain(spreads).collect()
    };
    page.heading("Dice with each seed, in percent");
    page.paragraph("A difference between losses that is not larger than the spread over seeds may be one of seeds.");
    let heads = ["loss", "mean with each seed", "sd over folds", "sd over seeds"];
    page.table(&heads, complete.iter().map(row).collect());
}

/// Structures that a loss missed or made up.
fn missed(standing: &Standing<'_>, loss: usize) -> Option<String> {
    let cases = standing.table(loss).over_cases(Metric::Hd95, None);
    let text = format!("{}: {} structures missed, {} made up", standing.name(loss), cases.missed, cases.spurious);
    (cases.missed + cases.spurious > 0).then_some(text)
}

/// Dice of every class, if there are several.
fn classes(page: &mut Page, standing: &Standing<'_>, complete: &[usize], shares: &[Shares]) {
    let tables: Vec<_> = complete.iter().map(|loss| standing.table(*loss)).collect();
    let mut classes: Vec<u8> = tables.iter().flat_map(|table| table.rows.iter().map(|row| row.class)).collect();
    classes.sort_unstable();
    classes.dedup();
    if classes.len() < 2 {
        return;
    }
    // What the classes are called stands in the table of their voxels, the background last.
    let name = |class: &u8| {
        let named = shares.get(usize::from(*class) - 1).map(|(name, _)| name.clone());
        named.unwrap_or_else(|| format!("class {class}"))
    };
    let row = |(loss, table): (&usize, &Table)| {
        let cell = |class: &u8| {
            let folds = table.over_folds(Metric::Dice, Some(*class));
            Cell::from(format!("{:.2} ± {:.2}", 100.0 * folds.mean, 100.0 * folds.sd))
        };
        std::iter::once(Cell::from(standing.name(*loss))).chain(classes.iter().map(cell)).collect()
    };
    let heads: Vec<String> = std::iter::once("loss".to_string()).chain(classes.iter().map(name)).collect();
    page.heading("Dice of every class, in percent");
    page.table(&heads.iter().map(String::as_str).collect::<Vec<_>>(), complete.iter().zip(&tables).map(row).collect());
}
