//! The atlas against the naive way of doing the same, and its golden counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;

use super::*;
use crate::formula::fingerprint::{SAME, answers, direction, distance, probes};
use crate::formula::plan::Plan;
use crate::formula::word::{Sides, WordId};
use crate::grammar::Kind;

fn reference() -> Grammar {
    Grammar::from_text("reference.ron", include_str!("../../tests/reference.ron")).unwrap()
}

fn explore(grammar: &Grammar, largest: usize, constants: usize) -> Atlas {
    Atlas::explore(grammar, largest, constants, &AtomicBool::new(false), &mut |_| {}).unwrap()
}

/// Structures, canonical forms and behaviours by size.
fn counts(atlas: &Atlas) -> Vec<[usize; 4]> {
    atlas.rows.iter().map(|row| [row.size, row.structures, row.canonical, row.behaviours]).collect()
}

#[test]
fn the_reference_grammar_up_to_eight_words() {
    let atlas = explore(&reference(), 8, 1);
    let golden = [
        [1, 0, 0, 0],
        [2, 1, 1, 1],
        [3, 2, 2, 2],
        [4, 24, 23, 12],
        [5, 70, 68, 38],
        [6, 576, 464, 194],
        [7, 1626, 1371, 594],
        [8, 13_231, 8980, 2638],
    ];
    assert_eq!(counts(&atlas), golden);
    // Powers of powers of cross-entropy, in which one voxel decides.
    let rejected = |row: &Row| row.rejected.iter().map(|(why, count)| (*why, *count)).collect::<Vec<_>>();
    assert!(atlas.rows[..5].iter().all(|row| row.rejected.is_empty()));
    assert_eq!([5, 6, 7].map(|size| rejected(&atlas.rows[size])), [1, 4, 23].map(|n| vec![(Rejection::Uneven, n)]));

    let catalog = atlas.catalog();
    let on_the_map: Vec<&str> =
        catalog.iter().filter(|known| known.is_on_the_map()).map(|known| known.name.as_str()).collect();
    // Dice needs no constant: the overlap twice is as good as half of the mistakes.
    assert_eq!(on_the_map, ["ce", "weighted_ce", "focal", "dice", "generalised_dice", "iou", "effectiveness"]);
    let of = |name: &str| catalog.iter().find(|known| known.name == name).unwrap();
    assert_eq!(atlas.behaviours[of("ce").nearest].formula.to_string(), "(mean (+ ce_fg ce_bg))");
    assert!(of("dice_ce").distance > 0.1);
}

#[test]
fn the_reference_grammar_up_to_ten_words() {
    let counts = counts(&explore(&reference(), 10, 1));
    assert_eq!(counts[8..], [[9, 37_607, 27_082, 8794], [10, 309_600, 173_917, 35_909]]);
}

#[test]
fn the_default_grammar_up_to_six_words() {
    let golden = [[1, 0, 0, 0], [2, 1, 1, 1], [3, 3, 3, 3], [4, 31, 30, 17], [5, 200, 197, 132], [6, 1157, 1037, 550]];
    assert_eq!(counts(&explore(&Grammar::polarity(), 6, 1)), golden);
}

/// Trees by size, sort and coverage, with the operands of words that commute in order.
type Naive = BTreeMap<(usize, usize), Vec<Formula>>;

/// All trees of a grammar with constants at the values that the atlas uses, by brute force.
fn brute_force(grammar: &Grammar, largest: usize) -> Naive {
    let mut trees = Naive::new();
    for (sort, kind) in grammar.sorts.iter().map(|sort| sort.kind).enumerate() {
        if let Kind::Constant { low, high } = kind {
            let value = crate::grammar::two_digits((low.ln() + 0.75 * (high / low).ln()).exp());
            trees.insert((1, sort), vec![Formula::number(value)]);
        }
    }
    let node = |word: WordId, value: f64, mut below: Vec<Formula>| {
        if word.word().commutes() {
            below.sort_by_key(ToString::to_string);
        }
        if below.is_empty() { Formula::leaf(word, value) } else { Formula::node(word, &below) }
    };
    for size in 1..=largest {
        // Rules without words of their own come last.
        let mut rules: Vec<_> = grammar.rules.iter().collect();
        rules.sort_by_key(|rule| rule.words() == 0);
        for rule in rules {
            let fillings = rule.holes().fold(vec![Vec::new()], |fillings: Vec<Vec<Formula>>, hole| {
                let more = |filling: &Vec<Formula>| -> Vec<Vec<Formula>> {
                    let used: usize = filling.iter().map(Formula::size).sum();
                    (1..=size.saturating_sub(used))
                        .flat_map(|size| trees.get(&(size, hole)).into_iter().flatten())
                        .map(|tree| [filling.as_slice(), std::slice::from_ref(tree)].concat())
                        .collect()
                };
                fillings.iter().flat_map(more).collect()
            });
            let built = fillings.into_iter().map(|filling| rule.fold(filling, node));
            let built: Vec<Formula> = built.filter(|tree| tree.size() == size).collect();
            let known = trees.entry((size, rule.gives)).or_default();
            let mut texts: BTreeSet<String> = known.iter().map(ToString::to_string).collect();
            for tree in built {
                let vanishes = (0..tree.size()).any(|node| tree.subtree(node).cover() == Some(Sides::NONE));
                if !vanishes && texts.insert(tree.to_string()) {
                    known.push(tree);
                }
            }
        }
    }
    trees
}

#[test]
fn counts_and_behaviours_are_those_of_brute_force() {
    let probes = probes();
    for (grammar, largest) in [(reference(), 6), (Grammar::polarity(), 5), (tangled(), 6)] {
        let atlas = explore(&grammar, largest, 1);
        let trees = brute_force(&grammar, largest);
        for row in &atlas.rows {
            let all = trees.get(&(row.size, grammar.start)).into_iter().flatten();
            let losses: Vec<&Formula> = all.filter(|tree| tree.cover() == Some(Sides::BOTH)).collect();
            assert_eq!(row.structures, losses.len(), "{} words of {}", row.size, grammar.name);
            for loss in losses {
                let Some(pushes) = direction(&answers(&Plan::new(loss), &probes)) else { continue };
                let nearest = atlas.directions.nearest(&pushes).unwrap();
                assert!(nearest.1 < 1.001 * SAME, "{loss} is not on the map, but {} away", nearest.1);
            }
        }
        for (number, behaviour) in atlas.behaviours.iter().enumerate() {
            grammar.check_loss(&behaviour.formula).unwrap();
            let kept = &atlas.directions.directions()[number];
            let pushes = direction(&answers(&Plan::new(&behaviour.formula), &probes)).unwrap();
            assert!(distance(kept, &pushes) < 1e-5, "{} behaves otherwise", behaviour.formula);
            let twin = atlas.directions.directions()[..number].iter().position(|other| distance(other, kept) < SAME);
            assert_eq!(twin, None, "{}", behaviour.formula);
        }
    }
}

/// A language whose voxels know of their samples, which only the definition evaluates; with rules that only pass on.
fn tangled() -> Grammar {
    let rules = [
        ("loss", "(mean map)"),
        ("loss", "alias"),
        ("alias", "other"),
        ("other", "(+ loss share)"),
        ("share", "(ratio (mean tp) (mean fp))"),
        ("map", "fp"),
        ("map", "ce_fg"),
        ("map", "(* share map)"),
        ("map", "(+ map map)"),
        ("map", "(* (mean map) (- 1 y))"),
    ];
    let rules: String = rules.map(|(gives, form)| format!("(gives: \"{gives}\", form: \"{form}\"),")).concat();
    let sorts = ["loss", "alias", "other", "share", "map"].map(|sort| format!("\"{sort}\": Tree,")).concat();
    let text =
        format!("(version: 1, name: \"tangled\", start: \"loss\", max_size: 9, sorts: {{{sorts}}}, rules: [{rules}])");
    Grammar::from_text("tangled.ron", &text).unwrap()
}

#[test]
fn the_atlas_is_the_same_on_any_number_of_threads_and_has_more_with_more_constants() {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let atlas = pool.install(|| explore(&Grammar::polarity(), 6, 1));
        (counts(&atlas), atlas.behaviours.clone(), atlas.directions.directions().to_vec(), atlas.spread(20))
    };
    let one = on(1);
    assert_eq!(one, on(3));
    let more = counts(&explore(&Grammar::polarity(), 5, 2));
    assert!(more[4][1] > one.0[4][1] && more[4][3] > one.0[4][3], "{more:?}");
}

#[test]
fn a_spread_walks_from_the_smallest_to_what_is_farthest() {
    let atlas = explore(&reference(), 6, 1);
    let taken = atlas.spread(40);
    assert_eq!((taken.len(), taken[0]), (40, 0));
    let directions = atlas.directions.directions();
    let gap = |n: usize| {
        let others = taken[..n].iter().map(|other| distance(&directions[*other], &directions[taken[n]]));
        others.fold(f64::INFINITY, f64::min)
    };
    assert!((2..40).all(|n| gap(n) <= gap(n - 1) + 1e-6), "{:?}", (1..40).map(gap).collect::<Vec<_>>());
    assert!(gap(39) > 10.0 * SAME);
    let passing = atlas.behaviours.iter().filter(|behaviour| behaviour.rejection.is_none()).count();
    assert_eq!(atlas.spread(100_000).len(), passing);
}

#[test]
fn an_atlas_reads_back_and_lists_every_behaviour() {
    let (grammar, atlas) = (reference(), explore(&reference(), 5, 1));
    let text = atlas.to_ron(&grammar, 1, &atlas.catalog()).unwrap();
    assert!(text.contains("probes: 2") && text.contains("\"focal_tversky\""), "{text}");
    let table = atlas.to_csv(atlas.plane().as_ref()).unwrap();
    assert_eq!(table.lines().count(), 1 + atlas.behaviours.len());
    assert!(table.lines().nth(1).unwrap().ends_with(",,(mean abs_diff)"), "{table}");
}

#[test]
fn whoever_stops_gets_nothing() {
    let stopped = Atlas::explore(&reference(), 6, 1, &AtomicBool::new(true), &mut |_| {}).unwrap_err();
    assert_eq!(stopped.kind(), crate::fault::Kind::Stopped);
}
