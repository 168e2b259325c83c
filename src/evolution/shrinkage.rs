//! How far leads are to be believed: shrunk by what noise makes of leads, and rid of the luck of the control.

use super::individual::Individual;
use crate::stats::summary::{mean, quantile};

/// How far a lead is to be believed. Of many losses that are equally good, one looks best by luck; a mean over n replicates
/// is moved towards the middle of all, to `middle + n / (n + k) (mean - middle)`, with k the variance of noise over that of
/// quality, both estimated in the run (empirical Bayes: Efron and Morris 1975).
///
/// The control is trained once in a replicate, and its luck is in everybody's gain there. Elites have replicates that
/// newcomers do not have, so what those have in common is taken off first. It cannot be the mean of their gains, because
/// only who led in the first replicate has others: it is what is left of them after the shrunk lead of each (a mixed
/// model with losses and replicates as random effects, by alternation: Robinson 1991).
#[derive(Debug, Clone, PartialEq)]
pub struct Shrinkage {
    /// The middle of all that were trained to the end.
    pub middle: f64,
    /// Variance of noise over that of quality.
    pub k: f64,
    /// Standard deviation of one replicate's gain, if enough have three.
    pub noise: Option<f64>,
    /// What all gains of a replicate have in common beside the first one's, which everybody has: 0 of the first.
    pub luck: Vec<f64>,
}

/// How far k is believed.
const BELIEVED: (f64, f64) = (0.1, 10.0);

/// Variance of the noise of one loss over that of the luck of a replicate: the control is as lucky as anybody, twice, in
/// this replicate and in the first.
const LUCK: f64 = 0.5;

/// Rounds of alternation, at most, and what nobody would see of a change, in Dice: rounds are quick, and the more replicates
/// there are, the more it takes.
const ROUNDS: usize = 1000;
const SETTLED: f64 = 1e-7;

impl Shrinkage {
    /// From everybody who was trained to the end.
    pub fn of<'a>(individuals: impl Iterator<Item = &'a Individual>) -> Self {
        let through = individuals.filter(|individual| individual.is_through());
        let gains: Vec<Vec<f64>> = through.map(means).collect();
        let replicates = gains.iter().map(Vec::len).max().unwrap_or(0);
        let mut found = Self { middle: 0.0, k: 1.0, noise: None, luck: vec![0.0; replicates] };
        for _ in 0..ROUNDS {
            found.estimate(&gains);
            let luck: Vec<f64> = (0..replicates).map(|replicate| found.luck_of(replicate, &gains)).collect();
            let moved = luck.iter().zip(&found.luck).map(|(new, old)| (new - old).abs()).fold(0.0, f64::max);
            found.luck = luck;
            if moved < SETTLED {
                break;
            }
        }
        found
    }

    /// Mean gain without luck, as it was seen; negative infinity of a failure.
    pub(super) fn seen(&self, individual: &Individual) -> f64 {
        if individual.is_through() { mean(&self.fair(&means(individual))) } else { individual.gain() }
    }

    /// What is to be believed of somebody's lead over the control; negative infinity of a failure.
    pub fn shrunk(&self, individual: &Individual) -> f64 {
        if individual.is_through() { self.believed(&means(individual)) } else { individual.gain() }
    }

    fn believed(&self, gains: &[f64]) -> f64 {
        let n = gains.len() as f64;
        self.middle + n / (n + self.k) * (mean(&self.fair(gains)) - self.middle)
    }

    /// Gains without luck. A replicate that nobody had when it was estimated has none that is known.
    fn fair(&self, gains: &[f64]) -> Vec<f64> {
        let luck = self.luck.iter().copied().chain(std::iter::repeat(0.0));
        gains.iter().zip(luck).map(|(gain, luck)| gain - luck).collect()
    }

    /// Middle, noise and quality, luck being known.
    fn estimate(&mut self, gains: &[Vec<f64>]) {
        let fair: Vec<Vec<f64>> = gains.iter().map(|own| self.fair(own)).collect();
        let mut leads: Vec<f64> = fair.iter().map(|own| mean(own)).collect();
        leads.sort_by(f64::total_cmp);
        if leads.is_empty() {
            return;
        }
        // Median and quartiles: a single loss that collapses must not make all others look alike.
        self.middle = quantile(&leads, 0.5);
        let spread = (quantile(&leads, 0.75) - quantile(&leads, 0.25)) / 1.349;
        // Noise is what further replicates differ by: whoever has them led in the first by luck as well, which is no noise
        // of theirs. One degree of freedom goes for every loss, and one for the luck of every replicate but one.
        let further: Vec<&[f64]> = fair.iter().filter_map(|own| own.get(1..).filter(|own| own.len() > 1)).collect();
        let squares = |own: &&[f64]| own.iter().map(|gain| (gain - mean(own)).powi(2)).sum::<f64>();
        let freedom =
            further.iter().map(|own| own.len() - 1).sum::<usize>().saturating_sub(self.luck.len().saturating_sub(2));
        if freedom == 0 {
            return;
        }
        let noise = further.iter().map(squares).sum::<f64>() / freedom as f64;
        let replicates: usize = fair.iter().map(Vec::len).sum();
        let quality = spread.powi(2) - noise * fair.len() as f64 / replicates as f64;
        let k = if quality > 0.0 { noise / quality } else { BELIEVED.1 };
        self.k = k.clamp(BELIEVED.0, BELIEVED.1);
        self.noise = Some(noise.sqrt());
    }

    /// What the gains of a replicate have in common, leads being known; the fewer there are, the less is believed of it.
    fn luck_of(&self, replicate: usize, gains: &[Vec<f64>]) -> f64 {
        let of_this = gains.iter().filter(|own| own.len() > replicate);
        let left: Vec<f64> = of_this.map(|own| own[replicate] - self.believed(own)).collect();
        let n = left.len() as f64;
        if replicate == 0 { 0.0 } else { n / (n + LUCK) * mean(&left) }
    }
}

/// The gain of every replicate.
fn means(individual: &Individual) -> Vec<f64> {
    individual.gains.iter().map(super::Gain::mean).collect()
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use rand::RngExt;

    use super::super::fitness::{Gain, Outcome};
    use super::super::select::better_first;
    use super::*;
    use crate::rng::{Purpose, stream};

    fn one(id: u64, gains: &[f64]) -> Individual {
        let gain = |dice: &f64| Gain { dice: vec![*dice], hd95_mm: 0.0 };
        Individual::with_gains(id, "(mean abs_diff)", gains.iter().map(gain).collect())
    }

    #[test]
    fn a_lead_of_one_training_is_believed_less_than_the_same_of_three() {
        // True gains have a standard deviation of 0.01, trainings one of 0.01: half of a single lead is luck.
        let mut rng = stream(5, Purpose::Trial, 0, 0);
        let mut deviate = || 0.01 * rng.sample::<f64, _>(rand_distr::StandardNormal);
        let mut all: Vec<Individual> = (0..400)
            .map(|id| {
                let truth = deviate();
                let gains: Vec<f64> = (0..if id < 100 { 3 } else { 1 }).map(|_| truth + deviate()).collect();
                one(id, &gains)
            })
            .collect();
        let shrinkage = Shrinkage::of(all.iter());
        assert!((shrinkage.noise.unwrap() - 0.01).abs() < 0.001 && (0.6..1.6).contains(&shrinkage.k), "{shrinkage:?}");
        let (lucky, proven) = (one(1000, &[0.03]), one(1001, &[0.025, 0.03, 0.02]));
        assert!(shrinkage.shrunk(&lucky) < 0.02 && shrinkage.shrunk(&proven) > shrinkage.shrunk(&lucky));
        assert_eq!(better_first(&proven, &lucky, &shrinkage, 0.0), Ordering::Less);
        // Whoever came higher is better, whatever the lead; a failure is worse than anybody.
        all[0].part = 9;
        assert_eq!(better_first(&all[1], &all[0], &shrinkage, 0.0), Ordering::Less);
        let failed = Individual { outcome: Outcome::Diverged { step: 1 }, gains: Vec::new(), ..all[1].clone() };
        assert_eq!(better_first(&all[0], &failed, &shrinkage, 0.0), Ordering::Less);
        assert_eq!(Shrinkage::of(std::iter::empty()).noise, None);
    }

    /// Newcomers have the first replicate, elites others, in which the control did badly.
    #[test]
    fn the_luck_of_the_control_is_nobodys_merit() {
        let mut rng = stream(6, Purpose::Trial, 0, 0);
        let mut deviate = |size: f64| size * rng.sample::<f64, _>(rand_distr::StandardNormal);
        let truths: Vec<f64> = (0..200).map(|_| deviate(0.01)).collect();
        let mut all: Vec<Individual> =
            truths.iter().enumerate().map(|(id, truth)| one(id as u64, &[truth + deviate(0.01)])).collect();
        all.sort_by(|a, b| b.gain().total_cmp(&a.gain()));
        let lucks = [0.0, 0.04, 0.03];
        for elite in &mut all[..24] {
            let truth = truths[elite.id as usize];
            for luck in &lucks[1..] {
                elite.gains.push(Gain { dice: vec![truth + luck + deviate(0.01)], hd95_mm: 0.0 });
            }
        }
        let found = Shrinkage::of(all.iter());
        for (found, luck) in found.luck.iter().zip(lucks) {
            // Three standard errors: noise of 24 losses, and as much of what is believed of them.
            assert!((found - luck).abs() < 0.009, "{found} for {luck}");
        }
        assert!((found.noise.unwrap() - 0.01).abs() < 0.003, "{:?}", found.noise);
        // They led by luck in the first replicate as well: what is believed of them is what is true.
        let error: Vec<f64> = all[..24].iter().map(|elite| found.shrunk(elite) - truths[elite.id as usize]).collect();
        assert!(mean(&error).abs() < 0.005, "{error:?}");
        let unaware = Shrinkage { luck: Vec::new(), ..found };
        assert!(unaware.shrunk(&all[0]) - truths[all[0].id as usize] > 0.01);
    }
}
