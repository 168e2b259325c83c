//! Folds that resemble each other and never share a person.
//!
//! All cases of a subject go to the same side. Subjects are sorted by the labels they have and by their foreground share,
//! and every run of K neighbours is dealt to the K folds, one each: every fold gets its part of the rare and of the large.
//! Who of the neighbours goes where is drawn by the seed, but a fold with fewer cases comes first, so that sizes differ
//! as little as subjects allow. A result depends on the seed, the ids and what the masks hold; not on any order of files.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;

use super::folds::{Fold, indivisible};
use crate::fault::Result;
use crate::rng::{Purpose, stream};

/// What decides where a case goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The case.
    pub id: String,
    /// The person.
    pub subject: String,
    /// Labels that its mask has.
    pub labels: BTreeSet<u8>,
    /// Share of voxels with a label, 0 to 1.
    pub foreground: f64,
}

/// A person's cases.
struct Subject<'a> {
    name: &'a str,
    places: Vec<usize>,
    labels: BTreeSet<u8>,
    foreground: f64,
}

/// Divides the cases into `folds` test sets; training sets are the rest.
///
/// # Errors
/// If there are fewer than two folds, or fewer subjects than folds.
pub fn stratified(members: &[Member], folds: usize, seed: u64) -> Result<Vec<Fold>> {
    let mut subjects: BTreeMap<&str, Subject<'_>> = BTreeMap::new();
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|place| &members[*place].id);
    for place in order {
        let member = &members[place];
        let subject = subjects.entry(&member.subject).or_insert_with(|| Subject {
            name: &member.subject,
            places: Vec::new(),
            labels: BTreeSet::new(),
            foreground: 0.0,
        });
        subject.places.push(place);
        subject.labels.extend(&member.labels);
        subject.foreground += member.foreground;
    }
    if folds < 2 || folds > subjects.len() {
        return Err(indivisible(folds, subjects.len(), members.len()));
    }
    let mut subjects: Vec<Subject<'_>> = subjects.into_values().collect();
    // Largest first, so that what comes later can level the folds; then alike beside alike.
    subjects.sort_by(|a, b| {
        let share = |subject: &Subject<'_>| subject.foreground / subject.places.len() as f64;
        (b.places.len().cmp(&a.places.len()))
            .then_with(|| a.labels.cmp(&b.labels))
            .then_with(|| share(a).total_cmp(&share(b)))
            .then_with(|| a.name.cmp(b.name))
    });
    let mut tests: Vec<Vec<usize>> = vec![Vec::new(); folds];
    for (run, neighbours) in subjects.chunks(folds).enumerate() {
        let mut rng = stream(seed, Purpose::Folds, 0, 2 + run as u64);
        let mut turns: Vec<(usize, u64, usize)> =
            tests.iter().enumerate().map(|(fold, test)| (test.len(), rng.random(), fold)).collect();
        turns.sort_unstable();
        for (subject, (_, _, fold)) in neighbours.iter().zip(turns) {
            tests[fold].extend(&subject.places);
        }
    }
    Ok(tests
        .into_iter()
        .map(|mut test| {
            test.sort_unstable();
            let train = (0..members.len()).filter(|place| !test.contains(place)).collect();
            Fold { train, test }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member(number: usize, subject: usize, labels: &[u8], foreground: f64) -> Member {
        Member {
            id: format!("case_{number:03}"),
            subject: format!("sub-{subject:02}"),
            labels: labels.iter().copied().collect(),
            foreground,
        }
    }

    #[test]
    fn rare_labels_and_shares_are_dealt_to_all_folds() {
        let labels = |n: usize| -> &[u8] { if n < 3 { &[1, 2] } else { &[1] } };
        let members: Vec<Member> = (0..30).map(|n| member(n, n, labels(n), n as f64 / 100.0)).collect();
        for seed in 0..20 {
            for fold in stratified(&members, 3, seed).unwrap() {
                assert_eq!(fold.test.len(), 10);
                assert_eq!(fold.test.iter().filter(|n| **n < 3).count(), 1, "the rare label is in every test set");
                let share = fold.test.iter().map(|n| members[*n].foreground).sum::<f64>() / 10.0;
                assert!((share - 0.145).abs() < 0.011, "{share}");
            }
        }
        assert_ne!(stratified(&members, 3, 1).unwrap(), stratified(&members, 3, 2).unwrap());
    }

    #[test]
    fn more_folds_than_people_are_refused() {
        let members = [member(0, 0, &[1], 0.1), member(1, 0, &[1], 0.1), member(2, 1, &[1], 0.1)];
        assert_eq!(stratified(&members, 2, 0).unwrap().len(), 2);
        let text = stratified(&members, 3, 0).unwrap_err().to_string();
        assert!(text.contains("2 to 2, the number of subjects"), "{text}");
        assert!(stratified(&members, 1, 0).is_err());
    }

    proptest! {
        #[test]
        fn nobody_is_on_both_sides_and_everybody_is_tested_once(
            people in prop::collection::vec((0_usize..12, 0_u8..4, 0.0_f64..0.3), 12..60),
            folds in 2_usize..5,
            turn in 0_usize..60,
            seed: u64,
        ) {
            let mut members: Vec<Member> =
                people.iter().enumerate().map(|(n, (who, label, share))| member(n, *who, &[*label], *share)).collect();
            let persons: BTreeSet<String> = members.iter().map(|member| member.subject.clone()).collect();
            prop_assume!(persons.len() >= folds);
            let split = stratified(&members, folds, seed).unwrap();
            let mut tested: Vec<usize> = split.iter().flat_map(|fold| fold.test.clone()).collect();
            tested.sort_unstable();
            prop_assert_eq!(tested, (0..members.len()).collect::<Vec<_>>());
            let largest = persons.iter().map(|who| members.iter().filter(|m| m.subject == *who).count()).max().unwrap();
            let sizes: Vec<usize> = split.iter().map(|fold| fold.test.len()).collect();
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= largest);
            for fold in &split {
                let who = |places: &[usize]| places.iter().map(|n| members[*n].subject.clone()).collect::<BTreeSet<_>>();
                prop_assert!(who(&fold.train).is_disjoint(&who(&fold.test)));
                prop_assert!(!fold.test.is_empty() && !fold.train.is_empty());
            }
            let names = |split: &[Fold], members: &[Member]| -> Vec<BTreeSet<String>> {
                split.iter().map(|fold| fold.test.iter().map(|n| members[*n].id.clone()).collect()).collect()
            };
            let before = names(&split, &members);
            let turn = turn % members.len();
            members.rotate_left(turn);
            prop_assert_eq!(names(&stratified(&members, folds, seed).unwrap(), &members), before);
        }
    }
}
