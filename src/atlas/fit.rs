//! The loss nearest to something that is no formula: the nearest behaviours of an atlas, and then the best of their
//! constants and of the weights of their summands.

use rayon::prelude::*;

use super::Atlas;
use crate::formula::Formula;
use crate::formula::behaviours::difference;
use crate::formula::fingerprint::{distance, normalised};
use crate::formula::forward::Screen;
use crate::formula::word::WordId;

/// Nearest behaviours that are fitted: the one that stands nearest need not come nearest.
const FITTED: usize = 16;

/// Factors by which a constant is tried, coarse ones first.
const STEPS: [f64; 4] = [2.0, 1.4, 1.1, 1.03];

/// A formula and how far it is from what was asked for, from 0 to 2.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbour {
    /// With constants at the values of the atlas.
    pub nearest: Formula,
    /// Its distance.
    pub distance: f64,
    /// The formula that comes nearest with constants of its own.
    pub fitted: Formula,
    /// Its distance.
    pub fitted_distance: f64,
}

impl Atlas {
    /// The behaviour nearest to a direction, and the one that fits it best; `None` if the atlas is empty.
    pub fn neighbour(&self, direction: &[f32]) -> Option<Neighbour> {
        let far = |(place, known): (usize, &Vec<f32>)| (difference(known, direction, f64::INFINITY), place);
        let mut places: Vec<(f64, usize)> = self.directions.directions().par_iter().enumerate().map(far).collect();
        places.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let &(distance, place) = places.first()?;
        let fit = |(_, place): &(f64, usize)| fitted(&weighed(&self.behaviours[*place].formula), direction);
        let all: Vec<(Formula, f64)> = places[..places.len().min(FITTED)].par_iter().map(fit).collect();
        let (fitted, fitted_distance) = all.into_iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(Neighbour { nearest: self.behaviours[place].formula.clone(), distance, fitted, fitted_distance })
    }
}

/// The same loss with a constant before every summand but the first, whose weight is in the size of the rest.
fn weighed(formula: &Formula) -> Formula {
    let (Some(plus), Some(times)) = (WordId::of("+"), WordId::of("*")) else { return formula.clone() };
    let mut weighed = formula.clone();
    // From the end, so that places before stay where they are.
    for node in (0..formula.size()).rev().filter(|node| formula.genes()[*node].word == plus) {
        let Some(summand) = weighed.arguments(node).nth(1) else { continue };
        let gene = weighed.genes()[summand];
        let has_one = gene.word == WordId::NUMBER
            || gene.word == times && weighed.arguments(summand).any(|a| weighed.genes()[a].word == WordId::NUMBER);
        if !has_one {
            let product = Formula::node(times, &[Formula::number(1.0), weighed.subtree(summand)]);
            weighed = weighed.replace(summand, &product);
        }
    }
    weighed
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
                    let tried = best.with_constant(*node, rounded(best.genes()[*node].value * factor));
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
    (best.canonical(), least)
}

/// To three digits: more would say nothing and be hard to read.
fn rounded(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
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

    #[test]
    fn summands_are_weighed_once() {
        let text = |formula: &str| weighed(&formula.parse().unwrap()).to_string();
        assert_eq!(text("(mean (+ ce_bg (+ ce_fg abs_diff)))"), "(mean (+ ce_bg (* 1 (+ ce_fg (* 1 abs_diff)))))");
        assert_eq!(text("(mean (+ ce_bg (* 3 ce_fg)))"), "(mean (+ ce_bg (* 3 ce_fg)))");
        assert_eq!(text("(+ 1 (mean fp))"), "(+ 1 (* 1 (mean fp)))");
    }
}
