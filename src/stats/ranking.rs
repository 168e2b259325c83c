//! Several methods over the same subjects in an order, and how much of that order is the draw of the subjects.
//!
//! Guards the two schemes of challenges (Maier-Hein et al. 2018, "Why rankings of biomedical image analysis competitions
//! should be interpreted with care"; Wiesenfarth et al. 2021, challengeR), which can disagree, and three rules: ties
//! share their mean rank; an undefined value is worse than any defined one, so that failing never helps; subjects are
//! what is resampled. A ranking claims nothing: whether the first is better than the second is [`super::compare`]'s to
//! say.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::kendall::tau;
use super::summary::{mean, quantile};
use super::{CONFIDENCE, Direction, Interval};
use crate::fault::{Fault, Result};

/// In what order values become one rank per method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Ranks the means over subjects. Sizes of differences count, and so do outliers.
    AggregateThenRank,
    /// Ranks the methods on every subject, then the means of those ranks. A subject has one vote, however hard it is.
    RankThenAggregate,
}

/// One value per method and subject, the subjects of all methods in the same order.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    values: Vec<Vec<f64>>,
    direction: Direction,
    dropped: usize,
}

/// A ranking and its replicas on resampled subjects.
#[derive(Debug, Clone, PartialEq)]
pub struct Stability {
    /// Rank of every method on all subjects, 1 being the best.
    pub ranks: Vec<f64>,
    /// Kendall's tau-b between that ranking and each replica, ascending: 1 where no subject matters to the order.
    pub taus: Vec<f64>,
    /// Replicas without a tau, because all methods tie in them or on all subjects.
    pub unordered: usize,
    /// For every method the middle [`CONFIDENCE`] of its ranks over the replicas.
    pub intervals: Vec<Interval>,
    /// For every method the share of replicas in which it had each rank, from 1 on. Methods that tie share the places
    /// that they take together evenly, so that the shares of a method add up to 1, and those of a rank as well.
    pub shares: Vec<Vec<f64>>,
}

impl Scores {
    /// Takes `values[method][subject]`, where NaN is undefined: the method is then last on that subject, or, if means
    /// are ranked, last of all, because no mean can be worse than an unknown one. Metrics that know their worst value
    /// (an infinite distance: the diagonal of the volume) should put it in beforehand. Subjects on which every method is
    /// undefined say nothing about the methods and are dropped and counted.
    ///
    /// # Errors
    /// If there is no method, the methods differ in their number of subjects, or no subject is left.
    pub fn new(values: &[Vec<f64>], direction: Direction) -> Result<Self> {
        let Some(first) = values.first() else { return Err(Fault::new("there is no method to rank")) };
        if let Some(other) = values.iter().find(|method| method.len() != first.len()) {
            return Err(Fault::new("ranked methods differ in their number of subjects")
                .expected(format!("{} values, as the first method", first.len()))
                .found(other.len())
                .hint("rank methods on the subjects that all of them have"));
        }
        let told: Vec<bool> = (0..first.len()).map(|s| values.iter().any(|method| !method[s].is_nan())).collect();
        let dropped = told.iter().filter(|told| !**told).count();
        if dropped == first.len() {
            return Err(Fault::new("there is no subject to rank methods on")
                .expected("a subject on which at least one method has a value")
                .found(format!("{} subjects, none with a value", first.len())));
        }
        let keep = |method: &Vec<f64>| method.iter().zip(&told).filter(|(_, told)| **told).map(|(v, _)| *v).collect();
        Ok(Self { values: values.iter().map(keep).collect(), direction, dropped })
    }

    /// Subjects that the ranking stands on.
    pub fn subjects(&self) -> usize {
        self.values[0].len()
    }

    /// Subjects left out because no method has a value on them.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// Rank of every method, 1 being the best.
    pub fn ranks(&self, scheme: Scheme) -> Vec<f64> {
        self.votes(scheme).ranks(&self.all())
    }

    /// Ranks the methods again on `resamples` draws of as many subjects as there are, with replacement.
    pub fn stability(&self, scheme: Scheme, resamples: usize, rng: &mut ChaCha8Rng) -> Stability {
        let (votes, subjects) = (self.votes(scheme), self.subjects());
        let mut replica = || {
            let drawn: Vec<usize> = (0..subjects).map(|_| rng.random_range(0..subjects)).collect();
            votes.ranks(&drawn)
        };
        let replicas: Vec<Vec<f64>> = (0..resamples).map(|_| replica()).collect();
        Stability::of(votes.ranks(&self.all()), &replicas)
    }

    fn all(&self) -> Vec<usize> {
        (0..self.subjects()).collect()
    }

    fn votes(&self, scheme: Scheme) -> Votes {
        match scheme {
            Scheme::AggregateThenRank => Votes { values: self.values.clone(), direction: self.direction },
            Scheme::RankThenAggregate => {
                let mut values = self.values.clone();
                for subject in 0..self.subjects() {
                    let column: Vec<f64> = self.values.iter().map(|method| method[subject]).collect();
                    for (method, rank) in values.iter_mut().zip(ranks(&column, self.direction)) {
                        method[subject] = rank;
                    }
                }
                Votes { values, direction: Direction::Lower }
            }
        }
    }
}

/// What is averaged over subjects before the last ranking: values in one scheme, ranks in the other.
struct Votes {
    values: Vec<Vec<f64>>,
    direction: Direction,
}

impl Votes {
    fn ranks(&self, subjects: &[usize]) -> Vec<f64> {
        let of = |method: &Vec<f64>| mean(&subjects.iter().map(|subject| method[*subject]).collect::<Vec<f64>>());
        ranks(&self.values.iter().map(of).collect::<Vec<f64>>(), self.direction)
    }
}

impl Stability {
    fn of(ranks: Vec<f64>, replicas: &[Vec<f64>]) -> Self {
        let mut taus: Vec<f64> =
            replicas.iter().map(|replica| tau(&ranks, replica)).filter(|tau| !tau.is_nan()).collect();
        taus.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - CONFIDENCE) / 2.0;
        let interval = |method: usize| {
            let mut ranks: Vec<f64> = replicas.iter().map(|replica| replica[method]).collect();
            ranks.sort_unstable_by(f64::total_cmp);
            Interval { low: quantile(&ranks, tail), high: quantile(&ranks, 1.0 - tail) }
        };
        let intervals = (0..ranks.len()).map(interval).collect();
        Self { unordered: replicas.len() - taus.len(), taus, intervals, shares: shares(ranks.len(), replicas), ranks }
    }
}

/// How often each method had each rank.
fn shares(methods: usize, replicas: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut shares = vec![vec![0.0; methods]; methods];
    for replica in replicas {
        for (own, rank) in shares.iter_mut().zip(replica) {
            let tied = replica.iter().filter(|other| *other == rank).count();
            // The mean of the places of `tied` methods is their rank.
            let first = (rank - (tied as f64 - 1.0) / 2.0).round() as usize;
            for place in &mut own[first - 1..first - 1 + tied] {
                *place += 1.0 / (tied * replicas.len()) as f64;
            }
        }
    }
    shares
}

/// Ranks from 1, the best; equal values share the mean of their ranks, and undefined ones are equal and last.
pub fn ranks(values: &[f64], direction: Direction) -> Vec<f64> {
    let beats = |a: f64, b: f64| direction.gain(a) > direction.gain(b) || (b.is_nan() && !a.is_nan());
    let rank = |own: &f64| {
        let (better, worse) = values.iter().fold((0_usize, 0_usize), |(better, worse), other| {
            (better + usize::from(beats(*other, *own)), worse + usize::from(beats(*own, *other)))
        });
        // One more than the better ones and half of the other equals, which are all the rest.
        (values.len() + 1 + better - worse) as f64 / 2.0
    };
    values.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};
    use crate::stats::bootstrap::RESAMPLES;

    const NAN: f64 = f64::NAN;
    const INF: f64 = f64::INFINITY;
    const SCHEMES: [Scheme; 2] = [Scheme::AggregateThenRank, Scheme::RankThenAggregate];

    /// Dice in percent of four methods on five subjects: whole numbers, so that ties are ties in both programs.
    fn dice() -> Scores {
        let values = [[91, 84, 88, 79, 93], [90, 86, 88, 60, 92], [85, 83, 90, 81, 95], [70, 86, 85, 75, 90]];
        Scores::new(&values.map(|method| method.map(f64::from).to_vec()), Direction::Higher).unwrap()
    }

    #[test]
    fn both_schemes_agree_with_scipy_and_not_with_each_other() {
        for (scheme, ranks, ..) in SCIPY {
            assert_eq!(dice().ranks(scheme), ranks, "{scheme:?}");
        }
        assert!((tau(&SCIPY[0].1, &SCIPY[1].1) - 2.0 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn every_resample_agrees_with_scipy_and_draws_tend_to_it() {
        for (scheme, ranks, mean_tau, quantiles, intervals) in SCIPY {
            let votes = dice().votes(scheme);
            let draw = |index: usize| (0..5).map(|place| index / 5_usize.pow(place) % 5).collect::<Vec<usize>>();
            let replicas: Vec<Vec<f64>> = (0..3125).map(|index| votes.ranks(&draw(index))).collect();
            let all = Stability::of(ranks.to_vec(), &replicas);
            assert!((mean(&all.taus) - mean_tau).abs() < 1e-12 && all.unordered == 0, "{scheme:?}");
            for (share, expected) in [0.025, 0.25, 0.5].into_iter().zip(quantiles) {
                assert!((quantile(&all.taus, share) - expected).abs() < 1e-12, "{scheme:?}");
            }
            let ends: Vec<[f64; 2]> = all.intervals.iter().map(|interval| [interval.low, interval.high]).collect();
            assert_eq!(ends, intervals, "{scheme:?}");

            let drawn = |slot| dice().stability(scheme, RESAMPLES, &mut stream(3, Purpose::Bootstrap, 0, slot));
            assert!((mean(&drawn(0).taus) - mean_tau).abs() < 0.02, "{scheme:?}");
            assert_eq!(drawn(0).ranks, ranks);
            assert_eq!(drawn(0), drawn(0), "the same stream is the same result");
            assert_ne!(drawn(0).taus, drawn(1).taus);
        }
    }

    #[test]
    fn undefined_is_worse_than_the_worst_and_ties_share_their_rank() {
        assert_eq!(ranks(&[3.0, NAN, 3.0, INF, 1.0, NAN], Direction::Lower), [2.5, 5.5, 2.5, 4.0, 1.0, 5.5]);
        assert_eq!(ranks(&[3.0, NAN, 3.0, -INF, 1.0], Direction::Higher), [1.5, 5.0, 1.5, 4.0, 3.0]);
        assert_eq!(ranks(&[0.0, -0.0], Direction::Higher), [1.5, 1.5]);
        // Rank-then-aggregate by scipy.stats.rankdata, undefined values put at the end; on the third subject the
        // first and third method fail.
        let hd =
            [vec![3.0, 2.0, NAN, 8.0], vec![4.0, 1.0, 5.0, INF], vec![3.0, NAN, NAN, 7.0], vec![9.0, 6.0, 2.0, 1.0]];
        let scores = Scores::new(&hd, Direction::Lower).unwrap();
        assert_eq!(scores.ranks(Scheme::RankThenAggregate), [2.5, 2.5, 4.0, 1.0]);
        // Means: undefined, infinite, undefined, 4.5.
        assert_eq!(scores.ranks(Scheme::AggregateThenRank), [3.5, 2.0, 3.5, 1.0]);
    }

    #[test]
    fn a_subject_without_any_value_changes_nothing_but_the_count() {
        let values = vec![vec![0.9, NAN, 0.7], vec![0.8, NAN, 0.9]];
        let scores = Scores::new(&values, Direction::Higher).unwrap();
        assert_eq!((scores.subjects(), scores.dropped()), (2, 1));
        let without = Scores::new(&[vec![0.9, 0.7], vec![0.8, 0.9]], Direction::Higher).unwrap();
        for scheme in SCHEMES {
            assert_eq!(scores.ranks(scheme), without.ranks(scheme));
        }
    }

    #[test]
    fn a_method_that_is_best_everywhere_is_first_in_every_replica() {
        let values = vec![vec![0.7, 0.5, 0.9], vec![0.9, 0.8, 0.95], vec![0.6, 0.7, 0.8]];
        for scheme in SCHEMES {
            let scores = Scores::new(&values, Direction::Higher).unwrap();
            let found = scores.stability(scheme, 500, &mut stream(1, Purpose::Bootstrap, 0, 0));
            assert_eq!(found.intervals[1], Interval { low: 1.0, high: 1.0 });
            assert!(found.taus.iter().all(|tau| *tau > -1.0) && found.intervals[0].high > found.intervals[0].low);
        }
    }

    #[test]
    fn shares_of_methods_and_of_ranks_add_up_to_one() {
        let found = shares(4, &[vec![1.0, 2.0, 3.0, 4.0], vec![2.5, 1.0, 2.5, 4.0], vec![2.0, 2.0, 2.0, 4.0]]);
        let expected = [
            [1.0 + 1.0 / 3.0, 0.5 + 1.0 / 3.0, 0.5 + 1.0 / 3.0, 0.0],
            [1.0 + 1.0 / 3.0, 1.0 + 1.0 / 3.0, 1.0 / 3.0, 0.0],
            [1.0 / 3.0, 0.5 + 1.0 / 3.0, 1.0 + 0.5 + 1.0 / 3.0, 0.0],
            [0.0, 0.0, 0.0, 3.0],
        ];
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - expected / 3.0).abs() < 1e-12, "{found} {expected}");
        }
        let drawn = dice().stability(SCHEMES[1], 200, &mut stream(1, Purpose::Bootstrap, 0, 0)).shares;
        for n in 0..4 {
            let column: f64 = drawn.iter().map(|method| method[n]).sum();
            assert!((column - 1.0).abs() < 1e-9 && (drawn[n].iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn equal_methods_have_no_order_and_bad_tables_are_refused() {
        let equal = Scores::new(&[vec![0.5, 0.6], vec![0.5, 0.6]], Direction::Lower).unwrap();
        let found = equal.stability(Scheme::AggregateThenRank, 50, &mut stream(1, Purpose::Bootstrap, 0, 0));
        assert_eq!((found.ranks.as_slice(), found.taus.len(), found.unordered), (&[1.5, 1.5][..], 0, 50));
        for bad in [&[][..], &[vec![]], &[vec![NAN], vec![NAN]], &[vec![1.0], vec![1.0, 2.0]]] {
            assert!(Scores::new(bad, Direction::Higher).is_err(), "{bad:?}");
        }
    }

    type Golden = (Scheme, [f64; 4], f64, [f64; 3], [[f64; 2]; 4]);

    /// SciPy 1.17.1: `rankdata(method="average")`, and over all 5^5 resamples the mean of `kendalltau`, its 0.025, 0.25
    /// and 0.5 quantiles and the rank intervals by NumPy 2.4.6 (`percentile`).
    const SCIPY: [Golden; 2] = [
        (
            Scheme::AggregateThenRank,
            [1.0, 3.0, 2.0, 4.0],
            0.600_006_955_864_347_2,
            [1.0 / 3.0, 1.0 / 3.0, 2.0 / 3.0],
            [[1.0, 3.0], [1.0, 4.0], [1.0, 3.0], [3.0, 4.0]],
        ),
        (
            Scheme::RankThenAggregate,
            [2.0, 3.0, 1.0, 4.0],
            0.657_907_846_687_510_6,
            [-2.0 / 3.0, 0.547_722_557_505_166_1, 0.912_870_929_175_276_8],
            [[1.0, 3.0], [1.0, 4.0], [1.0, 4.0], [2.0, 4.0]],
        ),
    ];
}
