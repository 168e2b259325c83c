//! Who is worth a training: whoever passes the gates and behaves like nobody before; and who would be the newest of all.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use super::gates::Rejection;
use super::population::Population;
use crate::atlas::{Archive, Atlas, Spread, Verdict};
use crate::fault::Result;
use crate::formula::Formula;
use crate::grammar::Grammar;

/// What breeding must not repeat, and what it threw away.
#[derive(Default)]
pub(super) struct Novelty {
    /// Of everybody who was ever looked at.
    archive: Archive,
    pub(super) rejections: BTreeMap<Rejection, usize>,
    atlas: Option<Map>,
}

/// An atlas, and how far its behaviours are from those of the archive.
struct Map {
    atlas: Atlas,
    spread: Spread,
    /// How many behaviours of the archive the distances know.
    seen: usize,
}

impl Novelty {
    /// Everybody who was ever trained is known, as are the rejections so far.
    pub(super) fn after(newest: Option<&Population>) -> Self {
        let mut archive = Archive::default();
        for individual in newest.into_iter().flat_map(Population::everybody) {
            archive.judge(&individual.formula);
        }
        let rejections = newest.map(|population| population.rejections.clone()).unwrap_or_default();
        Self { archive, rejections, atlas: None }
    }

    /// From now on [`Novelty::farthest`] walks over the losses of a grammar of at most `largest` words.
    ///
    /// # Errors
    /// If the work was stopped.
    pub(super) fn explore(&mut self, grammar: &Grammar, largest: usize, stop: &AtomicBool) -> Result<()> {
        let atlas = Atlas::explore(grammar, largest, 1, stop, &mut |_| {})?;
        let spread = Spread::over(&atlas);
        self.atlas = Some(Map { atlas, spread, seen: 0 });
        Ok(())
    }

    /// Whether a candidate is worth a training; if so, it is known from now on, and if not, the reason is counted.
    pub(super) fn admit(&mut self, formula: &Formula) -> bool {
        let rejection = match self.archive.judge(formula) {
            Verdict::New(_) => return true,
            Verdict::SameAs(_) => Rejection::Duplicate,
            Verdict::Rejected(rejection) => rejection,
        };
        *self.rejections.entry(rejection).or_default() += 1;
        false
    }

    /// The loss of the atlas that pushes least like anybody known, which is known from now on; `None` without an atlas, or
    /// if all of it is known.
    pub(super) fn farthest(&mut self) -> Option<Formula> {
        let Map { atlas, spread, seen } = self.atlas.as_mut()?;
        for direction in &self.archive.directions()[*seen..] {
            spread.take(atlas, direction);
        }
        *seen = self.archive.directions().len();
        let (place, _) = spread.farthest()?;
        let formula = atlas.behaviours[place].formula.clone();
        self.archive.judge(&formula);
        Some(formula)
    }
}
