//! Which coverage a rule must ask of its holes, and the smallest tree of every sort.
//!
//! Both are least fixed points over the rules, computed once when a grammar is loaded. They are what makes generation
//! end: a rule is chosen only if the smallest trees of its holes fit into what is left of the budget.

use super::pattern::{Pattern, Piece};
use super::{Kind, Rule, Sort, SortId};
use crate::formula::word::{Cover, Sides};

/// For each sort whether some tree of it speaks about the prediction.
pub(super) fn speaking(sorts: usize, rules: &[(SortId, Pattern)]) -> Vec<bool> {
    let mut speaks = vec![false; sorts];
    loop {
        let before = speaks.clone();
        for (gives, pattern) in rules {
            speaks[*gives] |= pattern.pieces.iter().any(|piece| match piece {
                Piece::Word(word) => matches!(word.word().cover, Cover::Leaf(_)),
                Piece::Literal(_) => false,
                Piece::Hole(sort) => before[*sort],
            });
        }
        if speaks == before {
            return speaks;
        }
    }
}

/// The ways to ask the holes of a pattern for coverage such that the whole covers at least `need`.
pub(super) fn demands(pattern: &Pattern, speaks: &[bool], need: Sides) -> Vec<Vec<Sides>> {
    let mut ways = at(pattern, 0, speaks, need);
    ways.sort();
    ways.dedup();
    ways
}

fn at(pattern: &Pattern, node: usize, speaks: &[bool], need: Sides) -> Vec<Vec<Sides>> {
    let silent = need == Sides::NONE;
    let possible = |yes: bool| if yes { vec![Vec::new()] } else { Vec::new() };
    let word = match pattern.pieces[node] {
        // Where anything will do, nothing will not: a part that is zero on both sides silences a product and a ratio.
        Piece::Hole(sort) if speaks[sort] && silent => return vec![vec![Sides::FOREGROUND], vec![Sides::BACKGROUND]],
        Piece::Hole(sort) if speaks[sort] || silent => return vec![vec![need]],
        Piece::Hole(_) => return Vec::new(),
        Piece::Literal(_) => return possible(silent),
        Piece::Word(word) => word.word(),
    };
    let arguments = pattern.arguments(node);
    match word.cover {
        Cover::Neutral => possible(silent),
        Cover::Leaf(sides) => possible(sides.contains(need)),
        Cover::Intersection => {
            let shares = arguments.iter().map(|a| if mute(pattern, *a, speaks) { Sides::NONE } else { need });
            product(pattern, &arguments, &shares.collect::<Vec<_>>(), speaks)
        }
        Cover::Union => {
            // Each side that is needed is handed to one of the arguments.
            let sides: Vec<Sides> =
                [Sides::FOREGROUND, Sides::BACKGROUND].into_iter().filter(|s| need.contains(*s)).collect();
            let mut ways = Vec::new();
            for choice in 0..arguments.len().pow(sides.len() as u32) {
                let mut shares = vec![Sides::NONE; arguments.len()];
                let mut digits = choice;
                for side in &sides {
                    let share = &mut shares[digits % arguments.len()];
                    *share = share.union(*side);
                    digits /= arguments.len();
                }
                ways.extend(product(pattern, &arguments, &shares, speaks));
            }
            ways
        }
    }
}

/// Every combination of the ways of the arguments.
fn product(pattern: &Pattern, arguments: &[usize], shares: &[Sides], speaks: &[bool]) -> Vec<Vec<Sides>> {
    arguments.iter().zip(shares).fold(vec![Vec::new()], |ways, (argument, share)| {
        let next = at(pattern, *argument, speaks, *share);
        ways.iter().flat_map(|way| next.iter().map(move |more| [way.as_slice(), more].concat())).collect()
    })
}

/// Whether nothing below `node` can speak about the prediction.
fn mute(pattern: &Pattern, node: usize, speaks: &[bool]) -> bool {
    pattern.pieces[node..pattern.end(node)].iter().all(|piece| match piece {
        Piece::Word(word) => !matches!(word.word().cover, Cover::Leaf(_)),
        Piece::Literal(_) => true,
        Piece::Hole(sort) => !speaks[*sort],
    })
}

/// `[sort][coverage]`: words in the smallest tree that covers at least these sides.
pub(super) fn smallest(sorts: &[Sort], rules: &[Rule]) -> Vec<[Option<usize>; 4]> {
    let constant = [Some(1), None, None, None];
    let mut table: Vec<[Option<usize>; 4]> =
        sorts.iter().map(|sort| if sort.kind == Kind::Tree { [None; 4] } else { constant }).collect();
    loop {
        let before = table.clone();
        for rule in rules {
            for need in Sides::ALL {
                let sizes = rule.demands[need.index()].iter().filter_map(|way| rule.size(way, &before));
                let entry = &mut table[rule.gives][need.index()];
                *entry = sizes.chain(*entry).min();
            }
        }
        if table == before {
            return table;
        }
    }
}

/// `[sort]`: levels of the shallowest tree.
pub(super) fn shallowest(sorts: &[Sort], rules: &[Rule]) -> Vec<Option<usize>> {
    let mut table: Vec<Option<usize>> = sorts.iter().map(|sort| (sort.kind != Kind::Tree).then_some(1)).collect();
    loop {
        let before = table.clone();
        for rule in rules {
            let holes: Option<Vec<usize>> = rule.holes().map(|hole| before[hole]).collect();
            let levels =
                holes.map(|holes| rule.fold(holes, |_, _, below: Vec<usize>| 1 + below.into_iter().max().unwrap_or(0)));
            table[rule.gives] = levels.into_iter().chain(table[rule.gives]).min();
        }
        if table == before {
            return table;
        }
    }
}

impl Rule {
    /// Words in the smallest tree of the rule whose holes cover what `way` asks.
    pub(super) fn size(&self, way: &[Sides], smallest: &[[Option<usize>; 4]]) -> Option<usize> {
        let holes = self.pattern.holes().zip(way).map(|(sort, sides)| smallest[sort][sides.index()]);
        holes.sum::<Option<usize>>().map(|sum| sum + self.pattern.words())
    }
}
