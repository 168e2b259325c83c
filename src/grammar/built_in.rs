//! The grammars that come with the program.

use super::Grammar;

/// A grammar by name.
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    /// What can be said in it, in a line.
    pub says: &'static str,
    text: &'static str,
}

/// All of them; the first is the one that searches use unless told otherwise.
#[rustfmt::skip]
pub static BUILT_IN: [BuiltIn; 5] = [
    BuiltIn { name: "polarity",     says: "overlap and cross-entropy families, their sums, products and powers", text: include_str!("../../grammars/polarity.ron") },
    BuiltIn { name: "region",       says: "the overlap alone: the family of Dice, IoU and Tversky",              text: include_str!("../../grammars/region.ron") },
    BuiltIn { name: "distribution", says: "every voxel on its own: cross-entropy, focal and top-k losses",       text: include_str!("../../grammars/distribution.ron") },
    BuiltIn { name: "distance",     says: "as polarity, with boundary and Hausdorff terms",                      text: include_str!("../../grammars/distance.ron") },
    BuiltIn { name: "untyped",      says: "arithmetic without meaning, the control of experiments",              text: include_str!("../../grammars/untyped.ron") },
];

impl BuiltIn {
    /// Reads it.
    pub fn grammar(&self) -> Grammar {
        Grammar::from_text(&format!("{}.ron", self.name), self.text).expect("built-in grammars are tested to load")
    }
}

impl Grammar {
    /// The built-in grammar of this name.
    pub fn built_in(name: &str) -> Option<Self> {
        BUILT_IN.iter().find(|known| known.name == name).map(BuiltIn::grammar)
    }

    /// The built-in grammar that searches use unless told otherwise.
    pub fn polarity() -> Self {
        BUILT_IN[0].grammar()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::catalog::CATALOG;

    #[test]
    fn files_and_grammars_have_one_name() {
        for known in &BUILT_IN {
            assert_eq!(known.grammar().name, known.name);
        }
    }

    #[test]
    fn every_family_of_the_catalog_has_its_language() {
        let within = |name: &str| -> Vec<&str> {
            let grammar = Grammar::built_in(name).unwrap();
            let known = CATALOG.iter().filter(|entry| grammar.check_loss(&entry.formula().canonical()).is_ok());
            known.map(|entry| entry.name).collect()
        };
        assert_eq!(within("distribution"), ["ce", "weighted_ce", "topk", "focal"]);
        let region = ["dice", "generalised_dice", "iou", "tversky", "asymmetric", "effectiveness", "focal_tversky"];
        assert_eq!(within("region"), [&region[..], &["focal_dice"]].concat());
        let all = CATALOG.iter().map(|entry| entry.name).filter(|name| *name != "generalised_dice");
        assert_eq!(within("distance"), all.collect::<Vec<_>>());
        assert!(within("untyped").is_empty());
    }
}
