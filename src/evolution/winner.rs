//! `winner.ron`: who won the last race, with which constants, and why. Everything in it follows from the journal and the
//! newest population, so it can be made again at any time.

use std::path::Path;

use rand::RngExt;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use super::breed::Breeder;
use super::event::{Event, StopReason, Watch};
use super::fitness::{Gain, Score, Trial};
use super::individual::Individual;
use super::ledger::{Ledger, Stage};
use super::mutate::{CONSTANT_STEP, constants, removals};
use super::population::{Population, Versioned};
use super::race::{self, Measured, case_differences};
use super::replicate;
use crate::fault::{Fault, Result};
use crate::formula::Formula;
use crate::formula::fingerprint::distance;
use crate::formula::word::WordId;
use crate::gates::Gates;
use crate::grammar::two_digits;
use crate::losses::catalog::CATALOG;
use crate::notation;
use crate::rng::{Purpose, stream};
use crate::run::RunDir;
use crate::stats::paired::Paired;
use crate::stats::summary::mean;

/// The file.
pub const WINNER: &str = "winner.ron";

/// Version of the file.
const VERSION: u32 = 2;

/// Most constants that are tuned together: with four trials a round, more would not be.
const MOST_CONSTANTS: usize = 6;

/// Trials of a round.
const TRIALS: u64 = 4;

/// Most changes by which the winner is taken apart.
const MOST_CHANGES: usize = 10;

/// Who won, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Winner {
    version: u32,
    /// The generation after which it was found.
    pub generation: usize,
    /// Why the search stopped.
    pub stopped: StopReason,
    /// The individual that won.
    pub id: u64,
    /// Its loss, with tuned constants if they are better.
    pub loss: String,
    /// What it is ranked by: mean Dice less the control's over cases and replicates, unshrunk.
    pub gain: Lead,
    /// That from the shared starts, if it counts.
    pub from_starts: Option<Lead>,
    /// That from scratch; where it does not count, of one replicate.
    pub from_scratch: Option<Lead>,
    /// Mean HD95 less the control's, in mm.
    pub hd95_gain_mm: f64,
    /// Mean Dice of the control in the same trainings, by the same weights.
    pub control_dice: f64,
    /// Mean HD95 of the control in the same trainings, in mm.
    pub control_hd95_mm: f64,
    /// On so many replicates.
    pub replicates: usize,
    /// Mean Dice of a fresh network.
    pub scratch: f64,
    /// What tuning did to its constants.
    pub tuning: Option<Tuning>,
    /// Everybody in the race, the winner first.
    pub finalists: Vec<Contender>,
    /// What becomes of it if a part is left out or a constant is reset.
    pub changes: Vec<Change>,
    /// The loss of the catalog that pushes most alike.
    pub nearest: Option<Nearest>,
}

/// A difference to the control over cases, each the mean of its replicates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lead {
    /// Mean.
    pub mean: f64,
    /// Its 95 % interval; too narrow for the best of many.
    pub interval: (f64, f64),
}

impl Lead {
    fn of(gains: &[Gain]) -> Option<Self> {
        let paired = (!gains.is_empty()).then(|| Paired::of(&case_means(gains)))?;
        Some(Self { mean: paired.mean, interval: (paired.interval.low, paired.interval.high) })
    }
}

/// A finalist.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contender {
    /// Its id.
    pub id: u64,
    /// Its loss.
    pub loss: String,
    /// Mean Dice less the control's.
    pub gain: f64,
    /// On so many replicates.
    pub replicates: usize,
    /// Why it left the race, if it did not end it.
    pub dropped: Option<String>,
}

/// What tuning did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuning {
    /// The loss before.
    pub from: String,
    /// The best constants that were found.
    pub best: String,
    /// Mean Dice of the best less that of the loss before, where it was tuned: optimistic.
    pub promised: f64,
    /// The same on all replicates of the whole training; none if it failed one.
    pub kept: Option<f64>,
    /// The same of the best with two digits, if they were tried.
    pub snapped: Option<f64>,
    /// Whether the winner has other constants than before.
    pub taken: bool,
}

/// What one part of a loss is worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// What was changed.
    pub what: String,
    /// The loss after it.
    pub loss: String,
    /// Its mean Dice less the winner's; none if it failed.
    pub difference: Option<f64>,
}

/// A known loss and how far it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nearest {
    /// Its name.
    pub name: String,
    /// Root mean square of the difference of gradients on the probes, from 0 (alike) to 2 (opposite).
    pub distance: f64,
}

impl Winner {
    /// The winner of a run, if its last race is over; `None` too if the search went on since then.
    ///
    /// # Errors
    /// If the file is damaged or of another version.
    pub fn load(run: &Path, generation: usize) -> Result<Option<Self>> {
        let path = run.join(WINNER);
        if !path.is_file() {
            return Ok(None);
        }
        let text = notation::read(&path)?;
        // A file of another version is told by its version, not by the first field that is not known.
        if let Ok(Versioned { version }) = notation::from_text(WINNER, &text)
            && version != VERSION
        {
            return Err(Fault::new("unknown version of a winner")
                .file(path)
                .field("version")
                .expected(VERSION)
                .found(version)
                .hint("move the file away; `lossgen evolve --resume` makes it again"));
        }
        let winner: Self = notation::from_text(WINNER, &text).map_err(|fault: Fault| fault.file(&path))?;
        Ok((winner.generation == generation).then_some(winner))
    }

    /// Whether the cases tell it from the control, in words.
    pub fn verdict(&self) -> &'static str {
        let Lead { mean, interval } = self.gain;
        match (mean > 0.0, interval.0 > 0.0, interval.1 < 0.0) {
            (true, true, _) => "ahead of Dice + CE on these cases",
            (true, false, _) => "ahead of Dice + CE, but these cases cannot tell the two apart",
            (false, _, true) => "behind Dice + CE on these cases: the search found nothing better",
            (false, _, false) => "not ahead of Dice + CE: the search found nothing better that these cases can tell",
        }
    }

    /// Its loss.
    ///
    /// # Errors
    /// If the file was edited and holds none.
    pub fn formula(&self) -> Result<Formula> {
        self.loss.parse().map_err(|fault: Fault| fault.file(WINNER).field("loss"))
    }
}

/// What the last race needs.
pub(super) struct Finals<'s, 'l> {
    pub(super) breeder: Breeder<'s>,
    pub(super) run: &'s RunDir,
    pub(super) ledger: &'s mut Ledger<'l>,
}

impl Finals<'_, '_> {
    /// Races, tunes, takes apart and writes the file; `None` if the watcher wants to stop or nobody trains a network.
    ///
    /// # Errors
    /// As [`Ledger::train`], or if the file cannot be written.
    pub(super) fn hold(
        &mut self,
        population: &Population,
        stopped: StopReason,
        watch: Watch<'_>,
    ) -> Result<Option<Winner>> {
        let Some(finalists) = race::finals(population, self.breeder.config, self.ledger, watch)? else {
            return Ok(None);
        };
        let Some(first) = finalists.first().filter(|first| first.dropped.is_none()) else { return Ok(None) };
        let Some((winner, tuning)) = self.tuned(&first.individual, watch)? else { return Ok(None) };
        let Some(changes) = self.taken_apart(&winner.formula, watch)? else { return Ok(None) };
        let replicates = 0..winner.gains.len() as u32;
        let lead = |trial: fn(u32) -> Trial| {
            let gains = replicates.clone().filter_map(|number| self.ledger.gain(trial(number), &winner.formula));
            Lead::of(&gains.collect::<Vec<_>>())
        };
        let control = |value: fn(&Score) -> f64| -> f64 {
            let of = |trial: fn(u32) -> Trial| {
                let scores = replicates.clone().filter_map(|number| self.ledger.control(trial(number)));
                mean(&scores.map(value).collect::<Vec<_>>())
            };
            replicate::parts(self.breeder.config).map(|(trial, share)| share * of(trial)).sum()
        };
        // What counts for nothing may have been trained for a report about headroom; a result does not depend on that.
        let starts_count = self.breeder.config.scratch_weight < 1.0;
        let contender = |finalist: &race::Finalist| Contender {
            id: finalist.individual.id,
            loss: finalist.individual.formula.to_string(),
            gain: if finalist.individual.gains.is_empty() { -1.0 } else { finalist.individual.gain() },
            replicates: finalist.individual.gains.len(),
            dropped: finalist.dropped.clone(),
        };
        let found = Winner {
            version: VERSION,
            generation: population.generation,
            stopped,
            id: winner.id,
            loss: winner.formula.to_string(),
            gain: Lead::of(&winner.gains).expect("whoever wins a race was in it"),
            from_starts: if starts_count { lead(Trial::full) } else { None },
            from_scratch: lead(|replicate| Trial::Scratch { replicate }),
            hd95_gain_mm: winner.surface_gain(),
            control_dice: control(Score::mean_dice),
            control_hd95_mm: control(Score::mean_hd95_mm),
            replicates: winner.gains.len(),
            scratch: winner.scratch.unwrap_or(0.0),
            tuning,
            finalists: finalists.iter().map(contender).collect(),
            changes,
            nearest: nearest(&winner.formula),
        };
        self.run.write(WINNER, notation::to_text(&found)?.as_bytes())?;
        Ok(Some(found))
    }

    /// Where the winner is tuned and taken apart, all of it in the same trial. From scratch, if that counts, and on a replicate
    /// by which no finalist was chosen; else on the last rung but one.
    fn trial(&self) -> Trial {
        let config = self.breeder.config;
        if config.scratch_weight > 0.0 {
            Trial::Scratch { replicate: config.replicates as u32 }
        } else {
            Trial::Proxy { part: config.cheap_part(), replicate: 0 }
        }
    }

    /// The winner with the best constants that a (1 + 4) evolution strategy finds, in the space of their logarithms, if
    /// they are still better on the whole training and all replicates; with two digits, if that makes no difference that
    /// the cases can tell. `None` if the watcher wants to stop.
    fn tuned(&mut self, winner: &Individual, watch: Watch<'_>) -> Result<Option<(Individual, Option<Tuning>)>> {
        let untuned = (winner.clone(), None);
        let grammar = self.breeder.grammar;
        let Some(derivation) = grammar.derive(&winner.formula) else { return Ok(Some(untuned)) };
        let movable = distinct(&winner.formula, constants(&derivation, grammar));
        if self.breeder.config.tuning == 0 || movable.is_empty() {
            return Ok(Some(untuned));
        }
        let trial = self.trial();
        if !self.ledger.train(Stage::Finals, trial, &[&winner.formula], watch)? {
            return Ok(None);
        }
        let Some(before) = self.ledger.gain(trial, &winner.formula).map(|gain| gain.mean()) else {
            return Ok(Some(untuned));
        };
        let (mut best, mut gain, mut step) = (winner.formula.clone(), before, CONSTANT_STEP);
        for round in 0..self.breeder.config.tuning as u64 {
            let trials: Vec<Formula> =
                (0..TRIALS).map(|slot| moved(&best, &movable, step, self.breeder.seed, round, slot)).collect();
            if !self.ledger.train(Stage::Finals, trial, &trials.iter().collect::<Vec<_>>(), watch)? {
                return Ok(None);
            }
            let mut rises = false;
            for tried in trials {
                if let Some(found) = self.ledger.gain(trial, &tried).map(|gain| gain.mean()).filter(|g| *g > gain) {
                    (best, gain, rises) = (tried, found, true);
                }
            }
            // Longer steps while they pay, shorter ones when they do not.
            step *= if rises { 1.5 } else { 0.6 };
            if !self.ledger.tell(&Event::Tuned { loss: best.to_string(), gain }, watch)? {
                return Ok(None);
            }
        }
        if best == winner.formula {
            return Ok(Some(untuned));
        }
        let kept = match race::measured(winner, &best, self.breeder.config, self.ledger, watch)? {
            Measured::Stopped => return Ok(None),
            Measured::Failed => None,
            Measured::Trained(kept) => Some(*kept),
        };
        let lead = |one: &Individual| mean(&case_differences(one, winner));
        let mut tuning = Tuning {
            from: winner.formula.to_string(),
            best: best.to_string(),
            promised: gain - before,
            kept: kept.as_ref().map(lead),
            snapped: None,
            taken: false,
        };
        let Some(kept) = kept.filter(|kept| lead(kept) > 0.0) else { return Ok(Some((winner.clone(), Some(tuning)))) };
        tuning.taken = true;
        let digits = movable.iter().fold(best.clone(), |formula, (node, low, high)| {
            formula.with_constant(*node, two_digits(formula.genes()[*node].value).clamp(*low, *high))
        });
        let snapped = match race::measured(winner, &digits, self.breeder.config, self.ledger, watch)? {
            Measured::Stopped => return Ok(None),
            Measured::Failed => None,
            Measured::Trained(snapped) => Some(*snapped),
        };
        tuning.snapped = snapped.as_ref().map(lead);
        let readable = snapped.filter(|snapped| {
            let loss = Paired::of(&case_differences(snapped, &kept));
            loss.mean >= 0.0 || loss.interval.contains(0.0)
        });
        Ok(Some((readable.unwrap_or(kept), Some(tuning))))
    }

    /// What becomes of a loss without its parts, and with its constants at 1; `None` if the watcher wants to stop.
    fn taken_apart(&mut self, formula: &Formula, watch: Watch<'_>) -> Result<Option<Vec<Change>>> {
        let trial = self.trial();
        let grammar = self.breeder.grammar;
        // Also a loss that no gate would let pass: that it cannot do without a part is worth knowing.
        let gates = Gates::new(crate::gates::Open::None);
        let without = removals(formula).into_iter().map(|(part, rest)| (format!("without {}", part.infix()), rest));
        let derivation = grammar.derive(formula);
        let movable =
            derivation.map(|derivation| distinct(formula, constants(&derivation, grammar))).unwrap_or_default();
        let reset = movable.into_iter().map(|(node, low, high)| {
            let (old, new) = (formula.genes()[node].value, 1f64.clamp(low, high));
            (format!("{old} reset to {new}"), formula.with_constant(node, new))
        });
        let trainable = |(_, loss): &(String, Formula)| {
            loss != formula && gates.look(loss).is_ok_and(|passed| passed.direction.is_some())
        };
        let changes: Vec<(String, Formula)> = without.chain(reset).filter(trainable).take(MOST_CHANGES).collect();
        let losses: Vec<&Formula> = std::iter::once(formula).chain(changes.iter().map(|(_, loss)| loss)).collect();
        if !self.ledger.train(Stage::Finals, trial, &losses, watch)? {
            return Ok(None);
        }
        let own = self.ledger.gain(trial, formula).map(|gain| gain.mean());
        let change = |(what, loss): (String, Formula)| {
            let gain = self.ledger.gain(trial, &loss).map(|gain| gain.mean());
            let difference = gain.zip(own).map(|(gain, own)| gain - own);
            Change { what, loss: loss.to_string(), difference }
        };
        Ok(Some(changes.into_iter().map(change).collect()))
    }
}

/// A gain for every case, the mean over all replicates.
fn case_means(gains: &[Gain]) -> Vec<f64> {
    let cases = gains.first().map_or(0, |gain| gain.dice.len());
    (0..cases).map(|case| mean(&gains.iter().map(|gain| gain.dice[case]).collect::<Vec<_>>())).collect()
}

/// The first constants of a formula, those of one name once.
fn distinct(formula: &Formula, constants: Vec<(usize, f64, f64)>) -> Vec<(usize, f64, f64)> {
    let word = |node: usize| formula.genes()[node].word;
    let mut found: Vec<(usize, f64, f64)> = Vec::new();
    for constant in constants {
        let named = word(constant.0) != WordId::NUMBER;
        if !(named && found.iter().any(|(node, _, _)| word(*node) == word(constant.0))) {
            found.push(constant);
        }
    }
    found.truncate(MOST_CONSTANTS);
    found
}

/// All constants moved at once, in the space of their logarithms.
fn moved(formula: &Formula, constants: &[(usize, f64, f64)], step: f64, seed: u64, round: u64, slot: u64) -> Formula {
    let mut rng = stream(seed, Purpose::Tuning, round, slot);
    constants.iter().fold(formula.clone(), |formula, (node, low, high)| {
        let by: f64 = rng.sample(StandardNormal);
        let value = (formula.genes()[*node].value * (step * by).exp()).clamp(*low, *high);
        formula.with_constant(*node, value)
    })
}

/// The loss of the catalog that pushes most like a formula; `None` of a formula that does not push.
pub fn nearest(formula: &Formula) -> Option<Nearest> {
    let gates = Gates::new(crate::gates::Open::None);
    let direction = |formula: &Formula| gates.look(&formula.canonical()).ok()?.direction;
    let own = direction(formula)?;
    let known = CATALOG.iter().filter_map(|entry| {
        Some(Nearest { name: entry.name.to_string(), distance: distance(&own, &direction(&entry.formula())?) })
    });
    known.min_by(|a, b| a.distance.total_cmp(&b.distance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_loss_is_nearest_to_itself() {
        let tversky = crate::losses::named("tversky").unwrap().formula;
        let found = nearest(&tversky).unwrap();
        assert_eq!(found.name, "tversky");
        assert!(found.distance < 1e-6, "{found:?}");
        assert!(nearest(&"(mean y)".parse().unwrap()).is_none());
    }

    #[test]
    fn constants_of_one_name_move_together_and_stay_in_range() {
        let grammar = crate::grammar::Grammar::polarity();
        let formula: Formula = "(mean (* 0.5 (^ abs_diff 2)))".parse().unwrap();
        let movable = distinct(&formula, constants(&grammar.derive(&formula).unwrap(), &grammar));
        assert_eq!(movable.len(), 2);
        for slot in 0..50 {
            let tried = moved(&formula, &movable, 5.0, 1, 0, slot);
            grammar.check_loss(&tried).unwrap();
            assert_ne!(tried, formula);
        }
        assert_eq!(moved(&formula, &movable, 0.0, 1, 0, 0), formula);
    }
}
