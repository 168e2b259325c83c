//! Durations of repeats, and the two numbers said of them.
//!
//! Median and minimum, because other programs can only add time: the median says what a run costs here, the minimum what
//! the machine can do. A mean would say how busy the others were.

use std::sync::atomic::Ordering;

use super::super::STOP;
use super::super::stopwatch::Stopwatch;
use super::super::term::Term;
use super::{Repeats, stopped};
use crate::fault::Result;
use crate::stats::summary::Summary;

/// Durations of one thing, in ms.
#[derive(Debug, Clone, Default)]
pub(super) struct Durations(Vec<f64>);

impl Durations {
    /// One more, in ms.
    pub(super) fn push(&mut self, milliseconds: f64) {
        self.0.push(milliseconds);
    }

    /// Durations of repeats that consist of parts, repeat by repeat.
    pub(super) fn sum(parts: &[Self]) -> Self {
        let repeats = parts.iter().map(|part| part.0.len()).min().unwrap_or(0);
        Self((0..repeats).map(|repeat| parts.iter().map(|part| part.0[repeat]).sum()).collect())
    }

    /// The mean of several, repeat by repeat.
    pub(super) fn mean(all: &[Self]) -> Self {
        Self(Self::sum(all).0.into_iter().map(|sum| sum / all.len() as f64).collect())
    }

    /// Without the first `count`, those of the warm-up.
    pub(super) fn after(mut self, count: u32) -> Self {
        self.0.drain(..self.0.len().min(count as usize));
        self
    }

    /// The median, in ms; NaN of none.
    pub(super) fn median(&self) -> f64 {
        Summary::of(&self.0).median
    }

    /// The smallest, in ms; NaN of none.
    pub(super) fn min(&self) -> f64 {
        Summary::of(&self.0).min
    }
}

/// Does `work` as often as asked and returns the measured durations with the last result. Results are dropped outside of
/// the time, as a caller would keep them.
///
/// # Errors
/// If a signal stopped it.
pub(super) fn measure<R>(repeats: Repeats, term: &Term, mut work: impl FnMut() -> R) -> Result<(Durations, R)> {
    let bar = term.bar(repeats.total() as u64, "repeats");
    let mut durations = Durations::default();
    let mut last = None;
    for _ in 0..repeats.total() {
        if STOP.load(Ordering::SeqCst) {
            return Err(stopped());
        }
        let mut watch = Stopwatch::start();
        let result = std::hint::black_box(work());
        durations.push(watch.lap());
        last = Some(result);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok((durations.after(repeats.warm_up), last.expect("at least one repeat")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_summed_repeat_by_repeat() {
        let sum = Durations::sum(&[Durations(vec![1.0, 2.0, 9.0]), Durations(vec![4.0, 2.0, 0.0])]);
        assert_eq!(sum.0, [5.0, 4.0, 9.0]);
    }

    #[test]
    fn the_warm_up_is_left_out() {
        let durations = Durations(vec![90.0, 80.0, 3.0, 1.0, 2.0]).after(2);
        assert_eq!((durations.median(), durations.min()), (2.0, 1.0));
    }

    #[test]
    fn every_repeat_is_done_and_the_last_result_is_kept() {
        let mut count = 0;
        let repeats = Repeats { repeats: 3, warm_up: 2 };
        let (durations, last) = measure(repeats, &Term::new(true, false), || {
            count += 1;
            count
        })
        .unwrap();
        assert_eq!((durations.0.len(), last), (3, 5));
    }
}
