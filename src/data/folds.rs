//! Who trains on which case: k folds, and three sets that never meet.
//!
//! Guards two invariants: every case is tested exactly once and never by a model that saw it, and no person is on both
//! sides. A split depends on the seed, the ids and who they are; cases are sorted by id before they are shuffled, so the
//! order of a directory listing cannot decide a result.

use std::collections::BTreeMap;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::fault::{Fault, Result};
use crate::rng::{Purpose, stream};

/// One division of the cases; numbers are places in the list of ids, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// Cases to train on.
    pub train: Vec<usize>,
    /// Cases to test on.
    pub test: Vec<usize>,
}

/// The three sets of a search: the search never sees what its result is judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdout {
    /// Cases on which candidate losses train.
    pub train: Vec<usize>,
    /// Cases on which candidates are compared.
    pub validation: Vec<usize>,
    /// Cases that only the final verdict sees.
    pub held_out: Vec<usize>,
}

/// Divides the cases into `folds` test sets; training sets are the rest. `subjects` says whose each case is; sizes of
/// test sets differ by one at most where everybody has one case.
///
/// # Errors
/// If there are fewer than two folds, fewer subjects than folds, or an id twice.
pub fn split(ids: &[String], subjects: &[String], folds: usize, seed: u64) -> Result<Vec<Fold>> {
    let people = shuffled(ids, subjects, seed, 0)?;
    if folds < 2 || folds > people.len() {
        return Err(indivisible(folds, people.len(), ids.len()));
    }
    let mut tests: Vec<Vec<usize>> = vec![Vec::new(); folds];
    for places in people {
        // The first of the smallest.
        let smallest = tests.iter_mut().min_by_key(|test| test.len()).expect("there are two folds at least");
        smallest.extend(places);
    }
    let fold = |mut test: Vec<usize>| {
        test.sort_unstable();
        Fold { train: (0..ids.len()).filter(|place| !test.contains(place)).collect(), test }
    };
    Ok(tests.into_iter().map(fold).collect())
}

/// Too few folds, or more than there are subjects.
pub(super) fn indivisible(folds: usize, subjects: usize, cases: usize) -> Fault {
    let fault = Fault::new("cases cannot be divided into folds").field("folds");
    let why = "cases whose masks are equal count as one subject (`lossgen data check DIR` names them), as do those \
               that a table or the layout gives to one person";
    match (subjects, cases) {
        (0 | 1, 0 | 1) => fault.expected("2 cases at least").found(cases).hint("bring more cases"),
        (0 | 1, _) => fault
            .expected("cases of 2 subjects at least")
            .found(format!("{cases} cases, which count as 1 subject"))
            .hint(format!("{why}; bring cases of other people")),
        _ if subjects < cases => fault
            .expected(format!("2 to {subjects}, the number of subjects"))
            .found(folds)
            .hint(format!("ask for fewer folds: {cases} cases are of {subjects} subjects; {why}")),
        _ => fault
            .expected(format!("2 to {cases}, the number of cases"))
            .found(folds)
            .hint("ask for another number of folds, or bring more cases"),
    }
}

/// Divides the cases into three sets; `validation` and `held_out` are shares of all cases, rounded, one case at least, and
/// more where a person would otherwise be divided.
///
/// # Errors
/// If a share is not between 0 and 1, nothing is left to train on, or an id occurs twice.
pub fn holdout(ids: &[String], subjects: &[String], validation: f64, held_out: f64, seed: u64) -> Result<Holdout> {
    let impossible = || {
        Fault::new("cases cannot be divided into three sets")
            .field("validation, held_out")
            .expected(format!("shares above 0 that leave at least one of {} cases to train on", ids.len()))
            .found(format!("{validation} and {held_out}"))
            .hint("lower the shares, or bring more cases; all cases of a subject are in one set")
    };
    let count = |share: f64| ((share * ids.len() as f64).round() as usize).max(1);
    let within = |share: f64| share > 0.0 && share < 1.0;
    if !within(validation) || !within(held_out) || count(validation) + count(held_out) >= ids.len() {
        return Err(impossible());
    }
    let mut people = shuffled(ids, subjects, seed, 1)?;
    let mut take = |count: usize| {
        let mut places = Vec::new();
        while places.len() < count {
            places.extend(people.pop()?);
        }
        places.sort_unstable();
        Some(places)
    };
    let (validation, held_out) =
        (take(count(validation)).ok_or_else(impossible)?, take(count(held_out)).ok_or_else(impossible)?);
    let mut train: Vec<usize> = people.into_iter().flatten().collect();
    train.sort_unstable();
    if train.is_empty() { Err(impossible()) } else { Ok(Holdout { train, validation, held_out }) }
}

/// Places of the cases of every person, people in random order, the same for any order of the same ids; `slot` keeps folds
/// and holdout apart.
fn shuffled(ids: &[String], subjects: &[String], seed: u64, slot: u64) -> Result<Vec<Vec<usize>>> {
    let mut places: Vec<usize> = (0..ids.len()).collect();
    places.sort_by_key(|place| &ids[*place]);
    if let Some(pair) = places.windows(2).find(|pair| ids[pair[0]] == ids[pair[1]]) {
        return Err(Fault::new("two cases have the same id")
            .field("id")
            .expected("every id once")
            .found(format!("`{}` twice", ids[pair[0]]))
            .hint("rename one of the two"));
    }
    // People stand in the order of their first ids.
    let mut people: Vec<Vec<usize>> = Vec::new();
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for place in places {
        let person = *known.entry(&subjects[place]).or_insert(people.len());
        people.resize(people.len().max(person + 1), Vec::new());
        people[person].push(place);
    }
    shuffle(&mut people, &mut stream(seed, Purpose::Folds, 0, slot));
    Ok(people)
}

/// Fisher-Yates.
fn shuffle<T>(people: &mut [T], rng: &mut ChaCha8Rng) {
    for last in (1..people.len()).rev() {
        people.swap(last, rng.random_range(0..=last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(count: usize) -> Vec<String> {
        (0..count).map(|i| format!("case_{i:03}")).collect()
    }

    /// Everybody has one case.
    fn split(ids: &[String], folds: usize, seed: u64) -> Result<Vec<Fold>> {
        super::split(ids, ids, folds, seed)
    }

    fn holdout(ids: &[String], validation: f64, held_out: f64, seed: u64) -> Result<Holdout> {
        super::holdout(ids, ids, validation, held_out, seed)
    }

    #[test]
    fn a_split_never_changes() {
        let tests: Vec<Vec<usize>> = split(&ids(7), 3, 7).unwrap().into_iter().map(|fold| fold.test).collect();
        assert_eq!(tests, [vec![3, 4, 6], vec![0, 2], vec![1, 5]]);
        assert_ne!(split(&ids(30), 3, 1).unwrap(), split(&ids(30), 3, 2).unwrap());
    }

    #[test]
    fn impossible_divisions_are_refused() {
        assert!(split(&ids(5), 1, 0).is_err());
        assert!(split(&ids(5), 6, 0).is_err());
        assert!(split(&["a".to_string(), "a".to_string()], 2, 0).unwrap_err().to_string().contains("same id"));
        assert!(holdout(&ids(10), 0.5, 0.5, 0).is_err());
        assert!(holdout(&ids(2), 0.1, 0.1, 0).is_err());
        assert!(holdout(&ids(9), f64::NAN, 0.1, 0).is_err());
        let one = vec!["anna".to_string(); 5];
        let fault = super::split(&ids(5), &one, 2, 0).unwrap_err();
        assert!(fault.to_string().contains("5 cases, which count as 1 subject"), "{fault}");
        assert!(fault.parts().iter().any(|(_, text)| text.contains("masks are equal")), "{fault}");
        assert!(super::holdout(&ids(5), &one, 0.2, 0.2, 0).is_err());
    }

    proptest! {
        #[test]
        fn every_case_is_tested_once_by_a_model_that_never_saw_it(count in 2_usize..60, share in 0.0_f64..1.0, seed: u64) {
            let folds = 2 + (share * (count - 2) as f64) as usize;
            let split = split(&ids(count), folds, seed).unwrap();
            let mut tested: Vec<usize> = split.iter().flat_map(|fold| fold.test.clone()).collect();
            tested.sort_unstable();
            prop_assert_eq!(tested, (0..count).collect::<Vec<_>>());
            for fold in &split {
                let mut all = [fold.train.clone(), fold.test.clone()].concat();
                all.sort_unstable();
                prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
                prop_assert!(fold.test.len() == count / folds || fold.test.len() == count.div_ceil(folds));
            }
        }

        #[test]
        fn three_sets_share_no_case_and_lose_none(count in 4_usize..60, seed: u64) {
            let sets = holdout(&ids(count), 0.25, 0.25, seed).unwrap();
            let mut all = [sets.train.clone(), sets.validation, sets.held_out].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
            prop_assert!(!sets.train.is_empty());
        }

        #[test]
        fn nobody_is_on_both_sides(who in prop::collection::vec(0_usize..9, 8..40), seed: u64) {
            let subjects: Vec<String> = who.iter().map(|person| format!("sub-{person}")).collect();
            let ids = ids(who.len());
            let of = |places: &[usize]| places.iter().map(|place| &subjects[*place]).collect::<std::collections::BTreeSet<_>>();
            let disjoint = |sets: &[&[usize]]| {
                let mut all: Vec<usize> = sets.concat();
                all.sort_unstable();
                all == (0..who.len()).collect::<Vec<_>>()
                    && (0..sets.len()).all(|a| (0..a).all(|b| of(sets[a]).is_disjoint(&of(sets[b]))))
            };
            if let Ok(sets) = super::holdout(&ids, &subjects, 0.2, 0.3, seed) {
                prop_assert!(disjoint(&[&sets.train, &sets.validation, &sets.held_out]));
                prop_assert!(sets.held_out.len() as f64 >= 0.3 * who.len() as f64 - 0.5);
            }
            if let Ok(folds) = super::split(&ids, &subjects, 3, seed) {
                prop_assert!(folds.iter().all(|fold| disjoint(&[&fold.train, &fold.test]) && !fold.test.is_empty()));
            }
        }

        #[test]
        fn the_order_of_a_listing_decides_nothing(count in 2_usize..30, turn in 0_usize..30, seed: u64) {
            let names = |ids: &[String]| -> Vec<Vec<String>> {
                let named = |fold: Fold| {
                    let mut test: Vec<String> = fold.test.iter().map(|place| ids[*place].clone()).collect();
                    test.sort();
                    test
                };
                split(ids, 2, seed).unwrap().into_iter().map(named).collect()
            };
            let mut turned = ids(count);
            turned.rotate_left(turn % count);
            prop_assert_eq!(names(&ids(count)), names(&turned));
        }
    }
}
