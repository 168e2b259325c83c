//! Every loss of a grammar up to a number of words, smallest first, each structure once.
//!
//! Trees are built bottom-up by sort, coverage and size from the trees of the sizes below, up to the order of the operands
//! of `+`, `*` and `max`; constants stand at a few fixed values. Every canonical form keeps its values and slopes on the
//! probes, so a tree costs one operation on its arguments' and not an evaluation. Work is cut into pieces of fixed size:
//! a piece is looked at in parallel, what was found is written down in order, so the result does not depend on threads.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::tree::{Hole, around, hash, hash_node, mix, values};
use super::{Behaviour, Row};
use crate::formula::Formula;
use crate::formula::behaviours::Behaviours;
use crate::formula::fingerprint::{answers, direction, normalised};
use crate::formula::forward::{Part, Screen};
use crate::formula::plan::Plan;
use crate::formula::word::{Sides, WordId};
use crate::gates::{Gates, Rejection};
use crate::grammar::{Grammar, Kind, Rule, SortId};

/// Trees that are looked at in parallel before anything is written down: the directions of a piece take 16 MB.
const PIECE: usize = 4096;

/// Words that a loss must still have to spare beside the least that stands around a tree, for the tree's values to be kept.
const SPARE: usize = 2;

/// A tree: what tells its structure from others, and its canonical form.
#[derive(Clone, Copy)]
struct Tree {
    structure: u64,
    form: u32,
}

/// A canonical form, of what it was built, and what it does, if that is kept.
struct Form {
    formula: Formula,
    rule: Option<usize>,
    children: Vec<u32>,
    part: Option<Part>,
}

/// A rule and, for each of its holes, the trees that may fill it: all combinations of them are one block.
struct Block<'a> {
    number: usize,
    rule: &'a Rule,
    cover: Option<Sides>,
    holes: Vec<Hole>,
    count: usize,
}

/// A tree that was built, before it is known whether it is new.
struct Built {
    structure: u64,
    form: u64,
    formula: Formula,
    children: Vec<u32>,
}

/// A tree that is new.
struct Fresh {
    built: Built,
    block: usize,
    /// Whether it is a whole loss, of which no canonical form was seen.
    is_loss: bool,
    /// The form in which its values are to be kept.
    keep_in: Option<usize>,
}

/// What is known after a tree was looked at.
enum Found {
    /// It pushes like nobody before it.
    New(Vec<f32>),
    /// It pushes like this earlier one, or not at all.
    Known,
    /// It has no direction.
    Nowhere,
}

/// A walk through a grammar.
pub(super) struct Explorer<'a> {
    grammar: &'a Grammar,
    gates: Gates,
    screen: Screen,
    largest: usize,
    /// For each sort the least number of words around a tree of it in a loss.
    around: Vec<Option<usize>>,
    /// `[size][sort][coverage]`.
    trees: Vec<Vec<[Vec<Tree>; 4]>>,
    forms: Vec<Form>,
    /// By the hash of a canonical form its place in `forms`.
    places: HashMap<u64, u32>,
    /// Hashes of the canonical forms of whole losses.
    losses: HashSet<u64>,
    pub(super) behaviours: Vec<Behaviour>,
    pub(super) index: Behaviours,
}

impl<'a> Explorer<'a> {
    pub(super) fn new(grammar: &'a Grammar, largest: usize, constants: usize) -> Self {
        let empty = || vec![<[Vec<Tree>; 4]>::default(); grammar.sorts.len()];
        let mut explorer = Self {
            grammar,
            gates: Gates::default(),
            screen: Screen::default(),
            largest: largest.min(grammar.max_size),
            around: around(grammar),
            trees: (0..=largest).map(|_| empty()).collect(),
            forms: Vec::new(),
            places: HashMap::new(),
            losses: HashSet::new(),
            behaviours: Vec::new(),
            index: Behaviours::default(),
        };
        for (sort, kind) in grammar.sorts.iter().map(|sort| sort.kind).enumerate() {
            let Kind::Constant { low, high } = kind else { continue };
            for value in values(low, high, constants) {
                let formula = Formula::number(value);
                let part = explorer.screen.part(WordId::NUMBER, value, &[]);
                let structure = hash(&formula);
                let form = explorer.forms.len() as u32;
                explorer.places.insert(structure, form);
                explorer.forms.push(Form { formula, rule: None, children: Vec::new(), part: Some(part) });
                explorer.trees[1][sort][0].push(Tree { structure, form });
            }
        }
        explorer
    }

    /// All trees of a size, after those of all smaller ones; `None` if the work was stopped.
    pub(super) fn grow(&mut self, size: usize, stop: &AtomicBool) -> Option<Row> {
        let mut row = Row { size, ..Row::default() };
        let mut seen: HashSet<u64> = HashSet::new();
        // A rule without words of its own passes trees of the same size on: in rounds, until nothing is new.
        let mut passed_on = false;
        loop {
            let before = seen.len();
            let blocks = self.blocks(size, passed_on);
            let ends: Vec<usize> = blocks
                .iter()
                .scan(0, |end, block| {
                    *end += block.count;
                    Some(*end)
                })
                .collect();
            let all = ends.last().copied().unwrap_or(0);
            for start in (0..all).step_by(PIECE) {
                if stop.load(Ordering::Relaxed) {
                    return None;
                }
                let built: Vec<Option<(usize, Built)>> = (start..all.min(start + PIECE))
                    .into_par_iter()
                    .map(|number| {
                        let block = ends.partition_point(|end| *end <= number);
                        let within = number + blocks[block].count - ends[block];
                        self.build(&blocks[block], within).map(|built| (block, built))
                    })
                    .collect();
                self.write_down(&blocks, built, &mut seen, &mut row);
            }
            if passed_on && seen.len() == before {
                return Some(row);
            }
            passed_on = true;
        }
    }

    /// The blocks of a size, of rules with words of their own or of the others.
    fn blocks(&self, size: usize, passed_on: bool) -> Vec<Block<'a>> {
        let fits = |sort: SortId| self.around[sort].is_some_and(|around| around + size <= self.largest);
        let mut blocks = Vec::new();
        let rules = self.grammar.rules.iter().enumerate();
        for (number, rule) in rules.filter(|(_, rule)| (rule.words() == 0) == passed_on && fits(rule.gives)) {
            let Some(left) = size.checked_sub(rule.words()) else { continue };
            let sorts: Vec<SortId> = rule.holes().collect();
            for holes in self.fillings(&sorts, left) {
                let spoken = |(_, _, cover): &Hole| Some(Sides::ALL[*cover]).filter(|sides| *sides != Sides::NONE);
                let Ok(cover) = self.grammar.coverage(rule, holes.iter().map(spoken).collect()) else { continue };
                // Only whole losses end a walk.
                let is_loss = rule.gives == self.grammar.start && self.grammar.accepts(cover);
                let twins = rule.has_twins() && holes[0] > holes[1];
                if twins || (size == self.largest && !is_loss) {
                    continue;
                }
                let count = holes.iter().map(|(size, sort, cover)| self.trees[*size][*sort][*cover].len()).product();
                blocks.push(Block { number, rule, cover, holes, count });
            }
        }
        blocks
    }

    /// Every way to share `left` words among holes of these sorts, by coverage.
    fn fillings(&self, sorts: &[SortId], left: usize) -> Vec<Vec<Hole>> {
        let Some((first, rest)) = sorts.split_first() else {
            return if left == 0 { vec![Vec::new()] } else { Vec::new() };
        };
        let mut all = Vec::new();
        for size in if rest.is_empty() { left..=left } else { 1..=left.saturating_sub(rest.len()) } {
            let covers = (0..4).filter(|cover| self.trees.get(size).is_some_and(|t| !t[*first][*cover].is_empty()));
            for cover in covers {
                for more in self.fillings(rest, left - size) {
                    all.push([vec![(size, *first, cover)], more].concat());
                }
            }
        }
        all
    }

    /// One combination of a block; `None` if it is another one with its operands exchanged.
    fn build(&self, block: &Block<'_>, mut number: usize) -> Option<Built> {
        let mut places = Vec::with_capacity(block.holes.len());
        let mut trees = Vec::with_capacity(block.holes.len());
        for (size, sort, cover) in &block.holes {
            let choices = &self.trees[*size][*sort][*cover];
            places.push(number % choices.len());
            trees.push(choices[number % choices.len()]);
            number /= choices.len();
        }
        if block.rule.has_twins() && block.holes[0] == block.holes[1] && places[0] > places[1] {
            return None;
        }
        let structure = block.rule.fold(trees.iter().map(|tree| tree.structure).collect(), hash_node);
        let arguments = trees.iter().map(|tree| self.forms[tree.form as usize].formula.clone()).collect();
        let formula = block.rule.fold(arguments, |word, value, below| Formula::canonical_node(word, value, &below));
        let children = trees.iter().map(|tree| tree.form).collect();
        Some(Built { structure, form: hash(&formula), formula, children })
    }

    /// Counts what is new of a piece, and keeps it for larger trees.
    fn write_down(
        &mut self,
        blocks: &[Block<'_>],
        built: Vec<Option<(usize, Built)>>,
        seen: &mut HashSet<u64>,
        row: &mut Row,
    ) {
        let keeps = row.size < self.largest;
        let mut fresh: Vec<Fresh> = Vec::new();
        for (block, built) in built.into_iter().flatten() {
            let Block { number, rule, cover, .. } = &blocks[block];
            let place = (rule.gives, cover.unwrap_or_default().index());
            if !seen.insert(mix(built.structure ^ mix((4 * place.0 + place.1) as u64))) {
                continue;
            }
            row.trees += 1;
            let is_loss = rule.gives == self.grammar.start && self.grammar.accepts(*cover);
            row.structures += usize::from(is_loss);
            let new_loss = is_loss && self.losses.insert(built.form);
            row.canonical += usize::from(new_loss);
            let mut place_of_form = None;
            if keeps {
                let form = *self.places.entry(built.form).or_insert_with(|| {
                    let (formula, children) = (built.formula.clone(), built.children.clone());
                    self.forms.push(Form { formula, rule: Some(*number), children, part: None });
                    self.forms.len() as u32 - 1
                });
                self.trees[row.size][place.0][place.1].push(Tree { structure: built.structure, form });
                place_of_form = Some(form as usize);
            }
            // What little is built on trees of nearly full size is cheaper to compute again than to keep.
            let spare = self.largest - row.size - self.around[rule.gives].unwrap_or(0);
            let keep_in = place_of_form.filter(|form| spare >= SPARE && self.forms[*form].part.is_none());
            if new_loss || keep_in.is_some() {
                fresh.push(Fresh { built, block, is_loss: new_loss, keep_in });
            }
        }
        let looked_at: Vec<(Part, Option<Found>)> =
            fresh.par_iter().map(|new| self.look_at(blocks[new.block].rule, &new.built, new.is_loss)).collect();
        let mut candidates: Vec<(Formula, Option<Vec<f32>>)> = Vec::new();
        for (Fresh { built, block, keep_in, .. }, (part, found)) in fresh.into_iter().zip(looked_at) {
            if let Some(form) = keep_in {
                self.forms[form].part = Some(part);
            }
            let pushes = match found {
                Some(Found::New(pushes)) => Some(pushes),
                Some(Found::Nowhere) => None,
                Some(Found::Known) | None => continue,
            };
            candidates.push((self.spell(blocks[block].rule, &built.children), pushes));
        }
        self.judge(candidates, row);
    }

    /// A loss as the grammar writes it: a canonical form may have constants that lie outside of their sorts.
    fn spell(&self, rule: &Rule, children: &[u32]) -> Formula {
        let spelled = |form: &u32| {
            let form = &self.forms[*form as usize];
            form.rule.map_or_else(|| form.formula.clone(), |rule| self.spell(&self.grammar.rules[rule], &form.children))
        };
        rule.fold(children.iter().map(spelled).collect(), |word, value, below| {
            if below.is_empty() { Formula::leaf(word, value) } else { Formula::node(word, &below) }
        })
    }

    /// The values of a form.
    fn part(&self, form: u32) -> Cow<'_, Part> {
        let form = &self.forms[form as usize];
        match (&form.part, form.rule) {
            (Some(part), _) => Cow::Borrowed(part),
            (None, Some(rule)) => Cow::Owned(self.compute(&self.grammar.rules[rule], &form.children)),
            (None, None) => unreachable!("the values of a constant are kept"),
        }
    }

    /// What a rule makes of forms.
    fn compute(&self, rule: &Rule, children: &[u32]) -> Part {
        let children = children.iter().map(|form| self.part(*form)).collect();
        let make = |word, value, below: Vec<Cow<'_, Part>>| {
            Cow::Owned(self.screen.part(word, value, &below.iter().map(AsRef::as_ref).collect::<Vec<_>>()))
        };
        rule.fold(children, make).into_owned()
    }

    /// What a form does, and whether anybody pushes like it.
    fn look_at(&self, rule: &Rule, built: &Built, is_loss: bool) -> (Part, Option<Found>) {
        let part = self.compute(rule, &built.children);
        let found = is_loss.then(|| {
            let pushes = match &part {
                Part::Tangled => direction(&answers(&Plan::new(&built.formula), self.screen.probes())),
                known => self.screen.gradient(known).and_then(|slopes| normalised(&slopes)),
            };
            match pushes {
                None => Found::Nowhere,
                Some(pushes) if self.index.find(&pushes).is_some() => Found::Known,
                Some(pushes) => Found::New(pushes),
            }
        });
        (part, found)
    }

    /// Who of a piece is new is written down and goes through the gates; of those that push alike, the first.
    fn judge(&mut self, candidates: Vec<(Formula, Option<Vec<f32>>)>, row: &mut Row) {
        let mut distinct: Vec<Formula> = Vec::new();
        let mut nowhere: Vec<Formula> = Vec::new();
        for (formula, pushes) in candidates {
            match pushes {
                None => nowhere.push(formula),
                Some(pushes) if self.index.find(&pushes).is_some() => {}
                Some(pushes) => {
                    self.index.insert(pushes);
                    distinct.push(formula);
                }
            }
        }
        let rejections = |formulas: &[Formula]| -> Vec<Option<Rejection>> {
            formulas.par_iter().map(|formula| self.gates.rejection(formula)).collect()
        };
        let (of_nowhere, of_distinct) = (rejections(&nowhere), rejections(&distinct));
        for rejection in of_nowhere.iter().chain(&of_distinct).flatten() {
            *row.rejected.entry(*rejection).or_default() += 1;
        }
        row.behaviours += distinct.len();
        let behaviours = distinct.into_iter().zip(of_distinct);
        self.behaviours.extend(behaviours.map(|(formula, rejection)| Behaviour { formula, rejection }));
    }
}
