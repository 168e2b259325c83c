//! The settings of a search, in one table, stored in every run.

use serde::{Deserialize, Serialize};

use super::fitness::Trial;
use super::strategy::Strategy;
use crate::fault::{Fault, Result};
use crate::formula::LONGEST;
use crate::gates::Open;
use crate::losses;

/// Version of the table of defaults below: it changes whenever a default does, so that no upgrade changes a study
/// silently. A run keeps the settings with which it began.
pub const DEFAULTS: u32 = 4;

/// How to search, in one table. Budgets count candidates, steps and generations; time can end a search between two
/// generations and decides nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchConfig {
    /// Which table of defaults the settings that are left out come from; there is only the newest.
    pub defaults: u32,
    /// How children are made.
    pub strategy: Strategy,
    /// Individuals per generation.
    pub population: usize,
    /// Islands that breed for themselves, each of at least six individuals.
    pub islands: usize,
    /// Share of the parents that come from the neighbouring island.
    pub migration: f64,
    /// Share of a generation that children replace, the oldest first: age decides who goes, so that nobody's luck lasts.
    pub turnover: f64,
    /// Most losses of the catalog, in its order, in the first population; the rest of it is of the atlas or random.
    pub founders: usize,
    /// Losses of whoever asks (`tversky(fp_weight=0.7, fn_weight=0.3)`, a formula), in the first population before those of the
    /// catalog: what is known to be good on such data is to be beaten, not found again.
    pub guesses: Vec<String>,
    /// Largest losses of the atlas, in words. Those that are farthest from everything known join the founders and are the
    /// immigrants, before random losses; 0 for random losses only.
    pub atlas: usize,
    /// Most generations after the first population.
    pub generations: usize,
    /// Most trainings, of whatever length; none for as many as the generations need.
    pub most_trainings: Option<usize>,
    /// Most optimiser steps of all trainings together.
    pub most_steps: Option<u64>,
    /// Most minutes of one go; a generation that has begun is finished.
    pub most_minutes: Option<f64>,
    /// Individuals that a tournament draws.
    pub tournament: usize,
    /// Chance that the best of them wins; else the second, with the same chance, and so on.
    pub certainty: f64,
    /// Share of the tournaments that are decided by fronts of Dice, surface distance and size (NSGA-II).
    pub by_front: f64,
    /// Share of the tournaments that are decided by how differently a loss behaves from the others that live.
    pub by_novelty: f64,
    /// Best individuals that age does not remove. They are trained on further replicates.
    pub elites: usize,
    /// Share of a gain that is made from scratch; the rest is made from a shared start. 1 ranks the losses of the catalog
    /// best (docs/experiments/proxy.md), and starts only sift. 0: only elites are trained from scratch, as a test.
    pub scratch_weight: f64,
    /// What the lower rungs train; where starts alone count, they sift, too.
    pub sift: Sift,
    /// Share of the control's Dice that a training from scratch must reach.
    pub scratch_share: f64,
    /// Share of children made by crossover; the rest is mutated.
    pub crossover: f64,
    /// Share of attempts at a child in which the constants of a parent move by greedy trials during a training, and stay
    /// where they ended. Each costs a training, which is why there are few.
    pub greedy: f64,
    /// Share of children that owe nothing to anybody: of the atlas, or drawn fresh from the grammar.
    pub immigrants: f64,
    /// How often each edit is tried, relative to the others.
    pub rates: Rates,
    /// Mean Dice that a word must be worth when individuals compete: 0.0002 is a tenth of the smallest difference
    /// between good losses that twenty subjects can resolve.
    pub toll_per_word: f64,
    /// Mean Dice that a size costs in tournaments if it is as frequent as all together on an even spread; half of it, half
    /// as frequent: sizes that everybody has get rarer.
    pub crowding: f64,
    /// Rungs of the proxy: on each a third survives, with three times the steps; on the last, what counts is trained.
    pub rungs: usize,
    /// Most replicates of the whole training, for elites and finalists.
    pub replicates: usize,
    /// Individuals that race for the first place at the end.
    pub finalists: usize,
    /// Rounds of four trials in which the constants of the winner are tuned.
    pub tuning: usize,
    /// Losses of the catalog in the short report about headroom before the search; 0 for none.
    pub headroom: usize,
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

/// How often each edit is tried, relative to the others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "each is explained where its edit stands, in `Origin`")]
pub struct Rates {
    pub point: f64,
    pub constant: f64,
    pub wrap: f64,
    pub unwrap: f64,
    pub insert: f64,
    pub delete: f64,
    pub regrow: f64,
    pub hoist: f64,
}

impl Rates {
    /// No edit at all.
    pub(super) const NONE: Self =
        Self { point: 0.0, constant: 0.0, wrap: 0.0, unwrap: 0.0, insert: 0.0, delete: 0.0, regrow: 0.0, hoist: 0.0 };
}

impl Default for Rates {
    /// What the large hyper-parameter searches of symbolic regression ended at: mostly edits of one word or one constant.
    fn default() -> Self {
        Self { point: 3.0, constant: 3.0, wrap: 1.0, unwrap: 1.0, insert: 1.0, delete: 1.0, regrow: 1.0, hoist: 0.5 }
    }
}

/// What the lower rungs of a search train, on which most losses end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sift {
    /// Parts of the recipe, from shared starts, which are right about most losses in a dozen steps, and believe those that only
    /// polish (docs/experiments/proxy.md).
    Starts,
    /// Parts of the training from scratch, which find those out, and cost more.
    Scratch,
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
            defaults: DEFAULTS,
            strategy: Strategy::Evolution,
            population: 48,
            islands: 4,
            migration: 0.1,
            turnover: 0.5,
            founders: 24,
            guesses: Vec::new(),
            atlas: 0,
            generations: 10,
            most_trainings: None,
            most_steps: None,
            most_minutes: None,
            tournament: 4,
            certainty: 0.9,
            by_front: 0.2,
            by_novelty: 0.1,
            elites: 2,
            scratch_weight: 1.0,
            sift: Sift::Starts,
            scratch_share: 0.5,
            crossover: 0.15,
            greedy: 0.02,
            immigrants: 0.1,
            rates: Rates::default(),
            toll_per_word: 0.0002,
            crowding: 0.001,
            rungs: 3,
            replicates: 3,
            finalists: 4,
            tuning: 3,
            headroom: 4,
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

/// The fewest individuals of an island: below, a tournament knows its winner.
const SMALLEST_ISLAND: usize = 6;

impl SearchConfig {
    /// How many islands there are: as many as asked for, if none of them is too small.
    pub(super) fn islands(&self) -> usize {
        self.islands.min(self.population / SMALLEST_ISLAND).max(1)
    }

    /// How many children a generation has.
    pub(super) fn children(&self) -> usize {
        let room = self.population - self.elites;
        ((self.population as f64 * self.turnover).round() as usize).clamp(1, room.max(1))
    }

    /// The rungs, by what the steps are divided by: `[9, 3, 1]`, the last a whole replicate.
    pub(super) fn parts(&self) -> Vec<u32> {
        (0..self.rungs as u32).rev().map(|depth| 3u32.pow(depth)).collect()
    }

    /// The training of a rung, by what its steps are divided by; on the last, all of those from a start.
    pub fn rung(&self, part: u32, replicate: u32) -> Trial {
        match self.sift {
            Sift::Scratch if part > 1 && self.scratch_weight > 0.0 => Trial::Sift { part, replicate },
            _ => Trial::Proxy { part, replicate },
        }
    }

    /// The rung on which the winner is tuned and taken apart where trainings from scratch do not count: the last but one.
    pub(super) fn cheap_part(&self) -> u32 {
        if self.rungs > 1 { 3 } else { 1 }
    }

    /// Whether a search can be made of it.
    ///
    /// # Errors
    /// The first value out of its range.
    pub fn check(&self) -> Result<()> {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let amount = |value: f64| value >= 0.0 && value.is_finite();
        let rates = self.rates;
        let rates = [
            rates.point,
            rates.constant,
            rates.wrap,
            rates.unwrap,
            rates.insert,
            rates.delete,
            rates.regrow,
            rates.hoist,
        ];
        let rows = [
            ("search.defaults", self.defaults == DEFAULTS, "4, the only table", self.defaults.to_string()),
            ("search.islands", (1..=1000).contains(&self.islands), "1 to 1000", self.islands.to_string()),
            ("search.migration", share(self.migration), "0 to 1", self.migration.to_string()),
            (
                "search.turnover",
                self.turnover > 0.0 && self.turnover <= 1.0,
                "above 0, at most 1",
                self.turnover.to_string(),
            ),
            (
                "search.certainty",
                self.certainty > 0.5 && self.certainty <= 1.0,
                "above 0.5, at most 1",
                self.certainty.to_string(),
            ),
            ("search.by_front", share(self.by_front), "0 to 1", self.by_front.to_string()),
            ("search.by_novelty", share(self.by_novelty), "0 to 1", self.by_novelty.to_string()),
            (
                "search.rates",
                rates.iter().all(|rate| amount(*rate)) && rates.iter().sum::<f64>() > 0.0,
                "numbers of at least 0, and not 0 alone",
                format!("{rates:?}"),
            ),
            ("search.crowding", amount(self.crowding), "0 or more", self.crowding.to_string()),
            ("search.rungs", (1..=5).contains(&self.rungs), "1 to 5", self.rungs.to_string()),
            ("search.replicates", (1..=100).contains(&self.replicates), "1 to 100", self.replicates.to_string()),
            ("search.finalists", (1..=100).contains(&self.finalists), "1 to 100", self.finalists.to_string()),
            ("search.tuning", self.tuning <= 100, "at most 100", self.tuning.to_string()),
            (
                "search.most_minutes",
                self.most_minutes.is_none_or(|minutes| minutes > 0.0 && minutes.is_finite()),
                "a positive number",
                format!("{:?}", self.most_minutes),
            ),
            (
                "search.population",
                (2..=100_000).contains(&self.population),
                "at least 2, at most 100000",
                self.population.to_string(),
            ),
            (
                "search.guesses",
                self.guesses.len() <= self.population,
                "at most as many as the population",
                self.guesses.len().to_string(),
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
            ("search.scratch_weight", share(self.scratch_weight), "0 to 1", self.scratch_weight.to_string()),
            ("search.scratch_share", share(self.scratch_share), "0 to 1", self.scratch_share.to_string()),
            ("search.crossover", share(self.crossover), "0 to 1", self.crossover.to_string()),
            ("search.greedy", share(self.greedy), "0 to 1", self.greedy.to_string()),
            ("search.immigrants", share(self.immigrants), "0 to 1", self.immigrants.to_string()),
            ("search.toll_per_word", amount(self.toll_per_word), "0 or more", self.toll_per_word.to_string()),
            ("search.attempts", self.attempts >= 1, "at least 1", self.attempts.to_string()),
        ];
        if let Some((field, _, expected, found)) = rows.iter().find(|(_, fine, _, _)| !fine) {
            return Err(Fault::new("setting out of range").field(*field).expected(*expected).found(found));
        }
        let guess = |(place, typed): (usize, &String)| {
            let of_a_run = typed.contains('#') || typed.ends_with("/best");
            losses::named(typed)
                .map_err(|fault| fault.field(format!("search.guesses[{place}]")))
                .map_err(|fault| if of_a_run { fault.hint("what a run found is given with `--guess`") } else { fault })
        };
        self.guesses.iter().enumerate().try_for_each(|row| guess(row).map(|_| ()))
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
