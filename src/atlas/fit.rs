//! The loss nearest to something that is no formula: the nearest behaviour of an atlas, and then the best of its constants.

use super::Atlas;
use crate::formula::Formula;
use crate::formula::fingerprint::{distance, normalised};
use crate::formula::forward::Screen;
use crate::formula::word::WordId;

/// Factors by which a constant is tried, coarse ones first.
const STEPS: [f64; 4] = [2.0, 1.4, 1.1, 1.03];

/// A formula and how far it is from what was asked for, from 0 to 2.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbour {
    /// With constants at the values of the atlas.
    pub nearest: Formula,
    /// Its distance.
    pub distance: f64,
    /// With the best constants that were found.
    pub fitted: Formula,
    /// Its distance.
    pub fitted_distance: f64,
}

impl Atlas {
    /// The behaviour nearest to a direction, fitted; `None` if the atlas is empty.
    pub fn neighbour(&self, direction: &[f32]) -> Option<Neighbour> {
        let (place, distance) = self.directions.nearest(direction)?;
        let nearest = self.behaviours[place].formula.clone();
        let (fitted, fitted_distance) = fitted(&nearest, direction);
        Some(Neighbour { nearest, distance, fitted, fitted_distance })
    }
}

/// Constants moved one at a time, up and down by ever smaller factors, as long as the distance falls.
fn fitted(formula: &Formula, direction: &[f32]) -> (Formula, f64) {
    let screen = Screen::default();
    let far = |formula: &Formula| {
        let (_, slopes) = screen.answer(formula);
        normalised(&slopes).map_or(f64::INFINITY, |pushes| distance(&pushes, direction))
    };
    let constants: Vec<usize> =
        (0..formula.size()).filter(|node| formula.genes()[*node].word == WordId::NUMBER).collect();
    let (mut best, mut least) = (formula.clone(), far(formula));
    for step in STEPS {
        loop {
            let before = least;
            for node in &constants {
                for factor in [step, 1.0 / step] {
                    let tried = best.with_constant(*node, best.genes()[*node].value * factor);
                    let distance = far(&tried);
                    if distance < least {
                        (best, least) = (tried, distance);
                    }
                }
            }
            if least >= 0.999 * before {
                break;
            }
        }
    }
    (best, least)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::grammar::Grammar;

    #[test]
    fn a_formula_of_the_grammar_with_other_constants_is_found_again() {
        let grammar = Grammar::built_in("distribution").unwrap();
        let atlas = Atlas::explore(&grammar, 6, 1, &AtomicBool::new(false), &mut |_| {}).unwrap();
        let wanted: Formula = "(mean (+ ce_bg (* 3.7 ce_fg)))".parse().unwrap();
        let direction = normalised(&Screen::default().answer(&wanted).1).unwrap();
        let found = atlas.neighbour(&direction).unwrap();
        assert!(found.distance > 0.01 && found.fitted_distance < 0.3 * found.distance, "{found:?}");
    }
}
