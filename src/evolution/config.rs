//! The settings of a search, in one table, stored in every run.

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Result};
use crate::formula::LONGEST;
use crate::gates::Open;

/// How to search. Budgets count candidates and generations, never time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchConfig {
    /// Individuals per generation.
    pub population: usize,
    /// Most losses of the catalog, in its order, in the first population; the rest of it is of the atlas or random.
    pub founders: usize,
    /// Largest losses of the atlas, in words. Those that are farthest from everything known join the founders and are the
    /// immigrants, before random losses; 0 for random losses only.
    pub atlas: usize,
    /// Generations after the first population.
    pub generations: usize,
    /// Individuals that a tournament draws.
    pub tournament: usize,
    /// Best individuals that pass into the next generation unchanged.
    pub elites: usize,
    /// Share of children made by crossover; the rest is mutated.
    pub crossover: f64,
    /// Share of children drawn fresh from the grammar.
    pub immigrants: f64,
    /// Mean Dice that a word must be worth when individuals compete: 0.0002 is a tenth of the smallest difference
    /// between good losses that twenty subjects can resolve.
    pub toll_per_word: f64,
    /// Largest random formula of the first population and among immigrants, in words.
    pub random_size: usize,
    /// How random formulas are drawn.
    pub sampling: Sampling,
    /// Attempts at a child that is new before a random one is drawn instead.
    pub attempts: usize,
    /// Which gates candidates have to pass before they are trained: `all`, `none`, or `only([...])` of `structure`,
    /// `envelope`, `profile`, `duplicate` and `descent`. Fewer than all are a control for experiments.
    pub gates: Open,
    /// `polarity`, or the path of a grammar file.
    pub grammar: String,
}

/// How random formulas are drawn, of at most so many words as `random_size` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sampling {
    /// Rule by rule, each as often as its weight says, within a budget of words that is drawn evenly: most are small.
    Rules,
    /// Every size as often as any other, and every formula of a size: grammars can be compared.
    Sizes,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            population: 14,
            founders: 12,
            atlas: 0,
            generations: 5,
            tournament: 3,
            elites: 2,
            crossover: 0.15,
            immigrants: 0.1,
            toll_per_word: 0.0002,
            random_size: 16,
            sampling: Sampling::Rules,
            attempts: 20,
            gates: Open::All,
            grammar: "polarity".to_string(),
        }
    }
}

/// In words what [`LONGEST`] is in a number.
const MOST_WORDS: &str = "at most 4096 words";
const _: () = assert!(LONGEST == 4096);

/// Atlases grow eightfold with two words, and one is made for every generation: beyond this it would be felt.
const LARGEST_ATLAS: usize = 8;

impl SearchConfig {
    /// Whether a search can be made of it.
    ///
    /// # Errors
    /// The first value out of its range.
    pub fn check(&self) -> Result<()> {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let rows = [
            (
                "search.population",
                (2..=100_000).contains(&self.population),
                "at least 2, at most 100000",
                self.population.to_string(),
            ),
            ("search.atlas", self.atlas <= LARGEST_ATLAS, "0 to 8 words", self.atlas.to_string()),
            ("search.random_size", self.random_size <= LONGEST, MOST_WORDS, self.random_size.to_string()),
            (
                "search.tournament",
                (1..=self.population).contains(&self.tournament),
                "1 to the population",
                self.tournament.to_string(),
            ),
            ("search.attempts", self.attempts <= 10_000, "at most 10000", self.attempts.to_string()),
            ("search.elites", self.elites < self.population, "fewer than the population", self.elites.to_string()),
            ("search.crossover", share(self.crossover), "0 to 1", self.crossover.to_string()),
            ("search.immigrants", share(self.immigrants), "0 to 1", self.immigrants.to_string()),
            (
                "search.toll_per_word",
                self.toll_per_word >= 0.0 && self.toll_per_word.is_finite(),
                "0 or more",
                self.toll_per_word.to_string(),
            ),
            ("search.attempts", self.attempts >= 1, "at least 1", self.attempts.to_string()),
        ];
        match rows.iter().find(|(_, fine, _, _)| !fine) {
            None => Ok(()),
            Some((field, _, expected, found)) => {
                Err(Fault::new("setting out of range").field(*field).expected(*expected).found(found))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gates::Gate;
    use crate::notation::{from_text, to_text};

    #[test]
    fn gates_are_read_as_people_write_them() {
        let read = |gates: &str| from_text::<SearchConfig>("search.ron", &format!("(gates: {gates})"));
        assert_eq!(read("all").unwrap(), SearchConfig::default());
        assert_eq!(read("none").unwrap().gates, Open::None);
        let some = SearchConfig { gates: Open::Only(vec![Gate::Structure, Gate::Descent]), ..SearchConfig::default() };
        assert_eq!(read("only([structure, descent])").unwrap(), some);
        assert_eq!(from_text::<SearchConfig>("search.ron", &to_text(&some).unwrap()).unwrap(), some);
        let fault = read("only([structural])").unwrap_err().to_string();
        assert!(fault.contains("structural") && fault.contains("envelope"), "{fault}");

        assert_eq!(Open::parse("structure,descent").unwrap(), some.gates);
        assert_eq!((Open::parse("all").unwrap(), Open::parse("none").unwrap()), (Open::All, Open::None));
        let fault = Open::parse("structure,desent").unwrap_err().to_string();
        assert!(fault.contains("desent") && fault.contains("envelope"), "{fault}");
    }
}
