//! Exchange of subtrees of one sort: the child is the first parent with a part of the second.

use rand::{Rng, RngExt};

use crate::formula::Formula;
use crate::grammar::{Grammar, Site};

/// A child of two losses; `None` if they share no sort at the chosen place, or the child leaves the language.
pub(super) fn cross(mother: &Formula, father: &Formula, grammar: &Grammar, rng: &mut impl Rng) -> Option<Formula> {
    let into = grammar.derive(mother)?.sites;
    let from = grammar.derive(father)?.sites;
    let place = into[rng.random_range(0..into.len())];
    // The size limit is met before the draw, not by retrying after it.
    let room = grammar.max_size + mother.span(place.node).len() - mother.size();
    let fits = |site: &&Site| site.sort == place.sort && father.span(site.node).len() <= room;
    let grafts: Vec<&Site> = from.iter().filter(fits).collect();
    let graft = grafts.get(rng.random_range(0..grafts.len().max(1)))?;
    let child = mother.replace(place.node, &father.subtree(graft.node));
    (child != *mother && grammar.check_loss(&child).is_ok()).then_some(child)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};

    #[test]
    fn children_stay_in_the_language_and_hold_parts_of_both() {
        let grammar = Grammar::polarity();
        let mother: Formula = "(mean (+ ce_fg ce_bg))".parse().unwrap();
        let father: Formula = "(ratio (sum tp) (* 0.5 (sum (^ abs_diff 1.5))))".parse().unwrap();
        let children: Vec<String> = (0..300)
            .filter_map(|slot| cross(&mother, &father, &grammar, &mut stream(5, Purpose::Breeding, 0, slot)))
            .map(|child| child.to_string())
            .collect();
        assert!(children.contains(&"(mean (^ abs_diff 1.5))".to_string()), "{children:?}");
        assert!(children.contains(&father.to_string()));
    }
}
