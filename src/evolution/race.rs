//! Paired races: elites get further replicates of the same kind, fresh networks have to be trained, and whoever is worse
//! than the leader on the same cases goes.

use super::config::SearchConfig;
use super::event::{Event, Watch};
use super::fitness::{Outcome, Trial};
use super::individual::Individual;
use super::ledger::{Ledger, Stage};
use super::population::Population;
use super::replicate::{self, Replicate};
use super::select::better_first;
use super::shrinkage::Shrinkage;
use crate::fault::Result;
use crate::formula::Formula;
use crate::stats::summary::mean;
use crate::stats::wilcoxon::SignedRank;

/// Whoever is worse than the leader at this level leaves a race. Two-sided, as in irace: a race that is too strict loses
/// the best now and then, one that is too lax costs a training.
const LEVEL: f64 = 0.1;

/// First less second for every case, each the mean over the replicates that both have. Replicates are numbered and
/// everybody gets them in the same order, so the shared ones are the first.
pub(super) fn case_differences(first: &Individual, second: &Individual) -> Vec<f64> {
    let shared = first.gains.len().min(second.gains.len());
    let cases = first.gains.first().map_or(0, |gain| gain.dice.len());
    let over =
        |one: &Individual, case: usize| mean(&one.gains[..shared].iter().map(|g| g.dice[case]).collect::<Vec<_>>());
    (0..cases).map(|case| over(first, case) - over(second, case)).collect()
}

/// The p-value with which somebody is worse than the leader, if that is enough to drop him (Wilcoxon's signed-rank test
/// over cases). With fewer than five cases nothing ever is.
pub(super) fn beaten(leader: &Individual, other: &Individual) -> Option<f64> {
    let differences = case_differences(leader, other);
    let p = SignedRank::of(&differences).p;
    (mean(&differences) > 0.0 && p < LEVEL).then_some(p)
}

/// One more replicate for each of them, or the failure it was; false if the watcher wants to stop.
fn further(
    racers: &mut [&mut Individual],
    number: u32,
    config: &SearchConfig,
    stage: Stage,
    ledger: &mut Ledger<'_>,
    watch: Watch<'_>,
) -> Result<bool> {
    let losses: Vec<Formula> = racers.iter().map(|racer| racer.formula.clone()).collect();
    if !replicate::train(number, &losses.iter().collect::<Vec<_>>(), config, stage, ledger, watch)? {
        return Ok(false);
    }
    for racer in racers.iter_mut() {
        match replicate::read(number, &racer.formula, config, ledger) {
            Ok(Replicate { gain, scratch, .. }) => {
                racer.gains.push(gain);
                racer.scratch = racer.scratch.or(scratch);
            }
            Err(failure) => fail(racer, failure),
        }
    }
    Ok(true)
}

/// Trains fresh networks; false if the watcher wants to stop.
fn from_scratch(
    racers: &mut [&mut Individual],
    config: &SearchConfig,
    stage: Stage,
    ledger: &mut Ledger<'_>,
    watch: Watch<'_>,
) -> Result<bool> {
    let losses: Vec<Formula> = racers.iter().map(|racer| racer.formula.clone()).collect();
    if !ledger.train(stage, Trial::Scratch { replicate: 0 }, &losses.iter().collect::<Vec<_>>(), watch)? {
        return Ok(false);
    }
    for racer in racers.iter_mut() {
        match replicate::scratch(0, &racer.formula, config, ledger) {
            Ok(dice) => racer.scratch = Some(dice),
            Err(failure) => fail(racer, failure),
        }
    }
    Ok(true)
}

fn fail(racer: &mut Individual, failure: Outcome) {
    racer.outcome = failure;
    racer.gains.clear();
    racer.scratch = None;
}

/// Sorts a population, best first.
pub(super) fn sort(population: &mut Population, config: &SearchConfig) {
    let shrinkage = population.shrinkage();
    population.individuals.sort_by(|a, b| better_first(a, b, &shrinkage, config.toll_per_word));
}

/// Whoever was born in this generation and gained most challenges the leader: it gets the leader's replicates, one by one,
/// as long as it is ahead on those that both have (Hutter et al. 2011 intensify so). Of one training little is believed, and
/// without this a newcomer would have to wait for luck; false if the watcher wants to stop.
///
/// # Errors
/// As [`Ledger::train`].
fn challenge(
    population: &mut Population,
    config: &SearchConfig,
    ledger: &mut Ledger<'_>,
    watch: Watch<'_>,
) -> Result<bool> {
    sort(population, config);
    let generation = population.generation;
    let elder = |one: &&Individual| one.is_through() && one.gains.len() > 1;
    let Some(leader) = population.individuals.iter().find(elder).cloned() else { return Ok(true) };
    let newborn = population.individuals.iter_mut().filter(|one| one.birth == generation && one.is_through());
    let Some(challenger) = newborn.max_by(|a, b| a.gain().total_cmp(&b.gain())) else { return Ok(true) };
    let ahead = |one: &Individual| one.is_through() && mean(&case_differences(one, &leader)) > 0.0;
    while challenger.gains.len() < leader.gains.len() && ahead(challenger) {
        let number = challenger.gains.len() as u32;
        if !further(&mut [&mut *challenger], number, config, Stage::Generation(generation), ledger, watch)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Finds the elites of a generation: the best get further replicates, one more for every generation that they stay, then
/// have to train a fresh network if they have not yet, until the best are all known so well; false if the watcher wants to
/// stop. Replicates come first, because most who lead by luck are found out by them.
///
/// # Errors
/// As [`Ledger::train`].
pub(super) fn elect(
    population: &mut Population,
    config: &SearchConfig,
    ledger: &mut Ledger<'_>,
    watch: Watch<'_>,
) -> Result<bool> {
    if !challenge(population, config, ledger, watch)? {
        return Ok(false);
    }
    let generation = population.generation;
    let stage = Stage::Generation(generation);
    let wanted = |one: &Individual| config.replicates.min(2 + generation - one.birth);
    loop {
        sort(population, config);
        let places = config.elites.max(1);
        let mut best: Vec<&mut Individual> =
            population.individuals.iter_mut().filter(|one| one.is_through()).take(places).collect();
        let number = best.iter().filter(|one| one.gains.len() < wanted(one)).map(|one| one.gains.len()).min();
        if let Some(number) = number {
            best.retain(|one| one.gains.len() == number);
            if !further(&mut best, number as u32, config, stage, ledger, watch)? {
                return Ok(false);
            }
            continue;
        }
        best.retain(|one| one.scratch.is_none());
        if best.is_empty() {
            break;
        }
        if !from_scratch(&mut best, config, stage, ledger, watch)? {
            return Ok(false);
        }
    }
    let best: Vec<&Individual> =
        population.individuals.iter().filter(|one| one.is_through()).take(config.elites.max(1)).collect();
    let stays = |one: &&&Individual| beaten(best[0], one).is_none();
    population.elites = best.iter().filter(stays).map(|one| one.id).collect();
    Ok(true)
}

/// A finalist, as it left the race.
#[derive(Debug, Clone)]
pub(super) struct Finalist {
    pub(super) individual: Individual,
    /// Why it left the race, if it did not end it.
    pub(super) dropped: Option<String>,
}

/// The last race, among the best who were ever trained to the end; best first. The first has trained a fresh network.
/// `None` if the watcher wants to stop.
///
/// # Errors
/// As [`Ledger::train`].
pub(super) fn finals(
    population: &Population,
    config: &SearchConfig,
    ledger: &mut Ledger<'_>,
    watch: Watch<'_>,
) -> Result<Option<Vec<Finalist>>> {
    let mut racing: Vec<Individual> = population.everybody().filter(|one| one.is_through()).cloned().collect();
    // Their replicates change what is known of luck; whoever races is in it as he is now.
    let sort = |racing: &mut Vec<Individual>| {
        let others = population.everybody().filter(|one| racing.iter().all(|racer| racer.id != one.id));
        let shrinkage = Shrinkage::of(racing.iter().chain(others));
        racing.sort_by(|a, b| better_first(a, b, &shrinkage, config.toll_per_word));
    };
    sort(&mut racing);
    // Half of them by what is believed, the others by what was seen: a race is what tells luck from merit.
    let hoped = racing.split_off(config.finalists.div_ceil(2).min(racing.len()));
    racing.extend(most_seen(hoped, config.finalists - racing.len(), &population.shrinkage()));
    let mut left: Vec<Finalist> = Vec::new();
    for number in 1..config.replicates {
        let mut open: Vec<&mut Individual> = racing.iter_mut().filter(|one| one.gains.len() == number).collect();
        if !open.is_empty() && !further(&mut open, number as u32, config, Stage::Finals, ledger, watch)? {
            return Ok(None);
        }
        sort(&mut racing);
        let Some(leader) = racing.first().cloned() else { break };
        let verdict = |one: &Individual| match beaten(&leader, one) {
            _ if one.outcome.score().is_none() => Some(one.outcome.to_string()),
            Some(p) => Some(format!("worse than {} on the same cases, p = {p:.3}", leader.id)),
            None => None,
        };
        let (out, on): (Vec<Individual>, Vec<Individual>) = racing.into_iter().partition(|one| verdict(one).is_some());
        for one in out {
            let reason = verdict(&one).unwrap_or_default();
            let dropped = Event::Dropped { id: one.id, replicates: number as u32 + 1, reason: reason.clone() };
            if !ledger.tell(&dropped, watch)? {
                return Ok(None);
            }
            left.push(Finalist { individual: one, dropped: Some(reason) });
        }
        racing = on;
    }
    // Whoever is first has to train a fresh network; if he does not, the next one has to.
    while let Some(first) = racing.iter_mut().find(|one| one.outcome.score().is_some()) {
        if first.scratch.is_some() {
            break;
        }
        if !from_scratch(&mut [first], config, Stage::Finals, ledger, watch)? {
            return Ok(None);
        }
    }
    sort(&mut racing);
    left.reverse();
    let ended = racing.into_iter().map(|individual| {
        let dropped = individual.outcome.score().is_none().then(|| individual.outcome.to_string());
        Finalist { individual, dropped }
    });
    let (on, out): (Vec<Finalist>, Vec<Finalist>) = ended.partition(|finalist| finalist.dropped.is_none());
    Ok(Some(on.into_iter().chain(out).chain(left).collect()))
}

/// Those with the largest gains, unshrunk.
fn most_seen(mut individuals: Vec<Individual>, count: usize, shrinkage: &Shrinkage) -> Vec<Individual> {
    individuals.sort_by(|a, b| shrinkage.seen(b).total_cmp(&shrinkage.seen(a)).then(a.id.cmp(&b.id)));
    individuals.truncate(count);
    individuals
}

/// What became of a loss that was put beside a finalist.
#[derive(Debug)]
pub(super) enum Measured {
    /// The watcher wants to stop.
    Stopped,
    /// It failed one of the trainings.
    Failed,
    /// It can be compared.
    Trained(Box<Individual>),
}

/// The gains of a loss on as many replicates as a finalist has, and a fresh network.
///
/// # Errors
/// As [`Ledger::train`].
pub(super) fn measured(
    like: &Individual,
    formula: &Formula,
    config: &SearchConfig,
    ledger: &mut Ledger<'_>,
    watch: Watch<'_>,
) -> Result<Measured> {
    let mut one = Individual { formula: formula.clone(), gains: Vec::new(), scratch: None, ..like.clone() };
    for number in 0..like.gains.len() {
        if !further(&mut [&mut one], number as u32, config, Stage::Finals, ledger, watch)? {
            return Ok(Measured::Stopped);
        }
        if one.outcome.score().is_none() {
            return Ok(Measured::Failed);
        }
    }
    if let Ok(Replicate { score, .. }) = replicate::read(0, formula, config, ledger) {
        one.outcome = Outcome::Trained(score);
    }
    if one.scratch.is_none() && !from_scratch(&mut [&mut one], config, Stage::Finals, ledger, watch)? {
        return Ok(Measured::Stopped);
    }
    Ok(if one.scratch.is_some() { Measured::Trained(Box::new(one)) } else { Measured::Failed })
}

#[cfg(test)]
mod tests {
    use super::super::fitness::Gain;
    use super::*;

    #[test]
    fn who_was_seen_to_lead_is_a_finalist_whatever_is_believed() {
        let gain = |dice: f64| Gain { dice: vec![dice], hd95_mm: 0.0 };
        let one = |id, gains: &[f64]| {
            Individual::with_gains(id, "(mean abs_diff)", gains.iter().copied().map(gain).collect())
        };
        let all = vec![one(0, &[0.01, 0.02, 0.03]), one(1, &[0.03]), one(2, &[0.02]), one(3, &[-0.01])];
        let shrinkage = Shrinkage { middle: 0.0, k: 10.0, noise: None, luck: vec![0.0, 0.01, 0.02] };
        assert!(shrinkage.shrunk(&all[0]) > shrinkage.shrunk(&all[2]));
        let found: Vec<u64> = most_seen(all, 3, &shrinkage).iter().map(|one| one.id).collect();
        // The gains of the first are as good as 0.01 of the first replicate.
        assert_eq!(found, [1, 2, 0]);
    }
}
