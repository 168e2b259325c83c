//! Losses that are as different from each other as an atlas allows: of all behaviours that pass the gates, always the one
//! that is farthest from everything taken so far (farthest-point traversal, Gonzalez 1985: at most twice as far from the
//! best cover of that many).

use rayon::prelude::*;

use super::Atlas;
use crate::formula::behaviours::difference;

/// A walk over an atlas.
#[derive(Debug, Clone)]
pub struct Spread {
    /// For each behaviour the distance to what is nearest of what was taken.
    least: Vec<f64>,
}

impl Spread {
    /// Nothing is taken; of an atlas, everything that passes the gates can be.
    pub fn over(atlas: &Atlas) -> Self {
        let start = |rejected: bool| if rejected { f64::NEG_INFINITY } else { f64::INFINITY };
        Self { least: atlas.behaviours.iter().map(|behaviour| start(behaviour.rejection.is_some())).collect() }
    }

    /// Something was taken, of the atlas or not.
    pub fn take(&mut self, atlas: &Atlas, direction: &[f32]) {
        self.least.par_iter_mut().zip(atlas.directions.directions()).for_each(|(least, known)| {
            if *least > 0.0 {
                *least = least.min(difference(known, direction, *least));
            }
        });
    }

    /// The behaviour that is farthest from everything taken, of equals the first, and its distance; `None` if whatever is
    /// left is taken already.
    pub fn farthest(&self) -> Option<(usize, f64)> {
        let farther = |best: (usize, f64), next: (usize, f64)| if next.1 > best.1 { next } else { best };
        let found = self.least.iter().copied().enumerate().fold((0, f64::NEG_INFINITY), farther);
        (found.1 >= crate::formula::fingerprint::SAME).then_some(found)
    }
}

impl Atlas {
    /// The places in `behaviours` of `count` losses that pass the gates and differ most, or of as many as there are: first
    /// the smallest, then always the one farthest from those before it.
    pub fn spread(&self, count: usize) -> Vec<usize> {
        let mut spread = Spread::over(self);
        let mut taken = Vec::new();
        while let Some((place, _)) = spread.farthest().filter(|_| taken.len() < count) {
            spread.take(self, &self.directions.directions()[place]);
            taken.push(place);
        }
        taken
    }
}
