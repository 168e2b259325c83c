//! Who is worth a training: whoever passes the gates and behaves like nobody before; and who would be the newest of all.

use std::collections::{BTreeMap, BTreeSet};

use super::individual::Individual;
use super::population::{Population, Twin};
use crate::atlas::{Atlas, Spread};
use crate::formula::Formula;
use crate::formula::behaviours::{Behaviours, difference};
use crate::gates::{Archive, Gate, Passed, Rejection, Traits};
use crate::grammar::Grammar;

/// What breeding must not repeat, and what it threw away.
pub(super) struct Novelty<'a> {
    archive: &'a mut Archive,
    grammar: &'a Grammar,
    /// How everybody behaves who was ever trained or is going to be, or was found to be stuck in this generation.
    known: Behaviours,
    /// For each of them who it was.
    whose: Vec<Twin>,
    /// The id of the next child.
    next_id: u64,
    /// Texts that were rejected in this generation.
    rejected: BTreeSet<String>,
    atlas: Option<Map<'a>>,
    pub(super) tally: Tally,
}

/// An atlas, and how far its behaviours are from those that are known.
struct Map<'a> {
    atlas: &'a Atlas,
    spread: Spread,
    /// How many of those that are known the distances know.
    seen: usize,
    /// How many of its behaviours were walked over in their order.
    passed: usize,
}

/// What breeding threw away.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Candidates that are not worth a training, by reason, over all generations so far.
    pub(super) rejections: BTreeMap<Rejection, usize>,
    /// Losses that were negated because they were written the wrong way round, over all generations so far.
    pub(super) repaired: usize,
    /// Losses that behave like earlier ones, over all generations so far.
    pub(super) twins: BTreeMap<String, Twin>,
    /// How often each operator made something, worth a training or not, over all generations so far.
    pub(super) tried: BTreeMap<String, usize>,
    /// Who was rejected in this generation, each text once.
    pub(super) refused: Vec<Refused>,
}

/// A candidate that is not trained.
#[derive(Debug)]
pub(super) struct Refused {
    /// Its canonical text.
    pub(super) loss: String,
    pub(super) why: Rejection,
    /// Whose behaviour it repeats.
    pub(super) twin: Option<Twin>,
}

impl<'a> Novelty<'a> {
    /// Everybody who was ever trained is known, as are the rejections so far.
    pub(super) fn after(
        newest: Option<&Population>,
        grammar: &'a Grammar,
        archive: &'a mut Archive,
        atlas: Option<&'a Atlas>,
    ) -> Self {
        let tally = newest.map_or_else(Tally::default, |population| Tally {
            rejections: population.rejections.clone(),
            repaired: population.repaired,
            twins: population.twins.clone(),
            tried: population.tried.clone(),
            refused: Vec::new(),
        });
        let mut novelty = Self {
            archive,
            grammar,
            known: Behaviours::default(),
            whose: Vec::new(),
            next_id: newest.map_or(0, |population| population.next_id),
            rejected: BTreeSet::new(),
            atlas: atlas.map(|atlas| Map { atlas, spread: Spread::over(atlas), seen: 0, passed: 0 }),
            tally,
        };
        for individual in newest.into_iter().flat_map(Population::everybody) {
            let canonical = individual.formula.canonical();
            let text = canonical.to_string();
            if let Ok(Passed { direction: Some(direction), .. }) = novelty.archive.look(&canonical, &text) {
                novelty.know(direction, Twin { same_as: Some(individual.id), first: text });
            }
        }
        novelty
    }

    fn know(&mut self, direction: Vec<f32>, whose: Twin) {
        self.known.insert(direction);
        self.whose.push(whose);
    }

    /// An operator made something, or failed to.
    pub(super) fn tried(&mut self, operator: &str) {
        *self.tally.tried.entry(operator.to_string()).or_default() += 1;
    }

    /// How differently each behaves from the one of them that is most alike; 0 for whom nobody knows how he behaves.
    pub(super) fn loneliness(&mut self, living: &[Individual]) -> Vec<f64> {
        let mut direction = |one: &Individual| {
            let canonical = one.formula.canonical();
            self.archive.look(&canonical, &canonical.to_string()).ok()?.direction
        };
        let directions: Vec<Option<Vec<f32>>> = living.iter().map(&mut direction).collect();
        let nearest = |(at, own): (usize, &Option<Vec<f32>>)| {
            let Some(own) = own else { return 0.0 };
            let others = directions.iter().enumerate().filter(|(other, _)| *other != at);
            others.filter_map(|(_, other)| Some(difference(own, other.as_ref()?, f64::INFINITY))).fold(2.0, f64::min)
        };
        directions.iter().enumerate().map(nearest).collect()
    }

    /// The next loss of the atlas in its order, smallest first, that is worth a training and behaves like nobody known;
    /// `None` without an atlas, or at its end.
    pub(super) fn next_of_atlas(&mut self) -> Option<(Formula, Traits)> {
        loop {
            let Map { atlas, passed, .. } = self.atlas.as_mut()?;
            let behaviour = atlas.behaviours.get(*passed)?;
            let known = self.known.find(&atlas.directions.directions()[*passed]).is_some();
            *passed += 1;
            if behaviour.rejection.is_some() || known {
                continue;
            }
            let formula = behaviour.formula.clone();
            if let Ok(admitted) = self.admit(&formula) {
                return Some(admitted);
            }
        }
    }

    /// The candidate and what is known of it, if it is worth a training; then it is known from now on.
    ///
    /// # Errors
    /// Why it is not, which is counted.
    pub(super) fn admit(&mut self, formula: &Formula) -> Result<(Formula, Traits), Rejection> {
        let canonical = formula.canonical();
        let text = canonical.to_string();
        match self.judge(&canonical, &text) {
            Ok(passed) => {
                self.tally.repaired += usize::from(passed.repaired);
                self.next_id += 1;
                // What was bred, with the redundancy that keeps it open to change, unless it had to be turned around.
                let formula = if passed.repaired { passed.formula } else { formula.clone() };
                Ok((formula, passed.traits))
            }
            Err((why, twin)) => {
                *self.tally.rejections.entry(why).or_default() += 1;
                if let Some(twin) = twin.as_ref().filter(|twin| twin.first != text) {
                    self.tally.twins.entry(text.clone()).or_insert_with(|| twin.clone());
                }
                if self.rejected.insert(text.clone()) {
                    self.tally.refused.push(Refused { loss: text, why, twin });
                }
                Err(why)
            }
        }
    }

    /// The gates, in their order.
    fn judge(&mut self, canonical: &Formula, text: &str) -> Result<Passed, (Rejection, Option<Twin>)> {
        let alone = |why| (why, None);
        let mut passed = self.archive.look(canonical, text).map_err(alone)?;
        if passed.repaired && self.grammar.check_loss(&passed.formula).is_err() {
            return Err(alone(Rejection::Reversed));
        }
        let direction = passed.direction.take().filter(|_| self.archive.gates().open().has(Gate::Duplicate));
        if let Some(twin) = direction.as_ref().and_then(|direction| self.known.find(direction)) {
            return Err((Rejection::Duplicate, Some(self.whose[twin].clone())));
        }
        let descent = self.archive.descend(&passed, text);
        if let Some(direction) = direction {
            let same_as = descent.is_ok().then_some(self.next_id);
            self.know(direction, Twin { same_as, first: text.to_string() });
        }
        passed.traits.descent = descent.map_err(alone)?;
        Ok(passed)
    }

    /// The loss of the atlas that pushes least like anybody known and is worth a training, which is known from now on;
    /// `None` without an atlas, or if all of it is known.
    pub(super) fn farthest(&mut self) -> Option<(Formula, Traits)> {
        loop {
            let Map { atlas, spread, seen, .. } = self.atlas.as_mut()?;
            for direction in &self.known.directions()[*seen..] {
                spread.take(atlas, direction);
            }
            *seen = self.known.len();
            let (place, _) = spread.farthest()?;
            // Whatever becomes of it, nobody comes back to it.
            spread.take(atlas, &atlas.directions.directions()[place]);
            let formula = atlas.behaviours[place].formula.clone();
            if let Ok(admitted) = self.admit(&formula) {
                return Some(admitted);
            }
        }
    }
}
