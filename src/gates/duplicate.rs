//! Gate 4: nobody behaves the same.
//!
//! Two losses whose gradients on the probes point in the same direction train alike; the second is linked to the first
//! and not trained. Directions are compared, not hashed (see [`distance`](crate::formula::fingerprint::distance)).

use crate::formula::fingerprint::SAME;

/// Directions that were seen, and of whom.
#[derive(Debug, Clone)]
pub struct Known<T> {
    all: Vec<(Vec<f32>, T)>,
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self { all: Vec::new() }
    }
}

impl<T> Known<T> {
    /// Of whom a direction is, if somebody's is nearer than [`SAME`]; of several, the first.
    pub fn find(&self, direction: &[f32]) -> Option<&T> {
        self.all.iter().find(|(known, _)| is_same(known, direction)).map(|(_, whose)| whose)
    }

    /// Remembers a direction.
    pub fn insert(&mut self, direction: Vec<f32>, whose: T) {
        self.all.push((direction, whose));
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

/// Whether the distance of two directions is below [`SAME`], found out as early as possible: most pairs differ in their
/// first numbers.
fn is_same(a: &[f32], b: &[f32]) -> bool {
    let bound = SAME * SAME * a.len().max(1) as f64;
    let mut sum = 0.0;
    for (a, b) in a.chunks(32).zip(b.chunks(32)) {
        sum += a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        if sum >= bound {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formula::fingerprint::distance;

    #[test]
    fn the_first_that_is_near_enough_is_found_and_near_means_what_it_means_elsewhere() {
        let mut known = Known::default();
        assert!(known.is_empty() && known.find(&[0.0; 100]).is_none());
        let one: Vec<f32> = (0..100).map(|i| i as f32 / 57.0).collect();
        let moved = |by: f32| one.iter().map(|x| x + by).collect::<Vec<f32>>();
        known.insert(one.clone(), "first");
        known.insert(moved(0.0005), "second");
        assert_eq!(known.find(&moved(0.0009)), Some(&"first"));
        assert_eq!(known.find(&moved(0.0012)), Some(&"second"));
        assert_eq!((known.find(&moved(0.01)), known.len()), (None, 2));
        for by in [0.0009, 0.0011, 0.1] {
            assert_eq!(is_same(&one, &moved(by)), distance(&one, &moved(by)) < SAME);
        }
    }
}
