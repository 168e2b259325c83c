//! What to do where a word is missing: the language has a closed table of words, and this is what stands in place of it.
//!
//! A word is more than a function. It has a value and a slope in two precisions, a rank, a coverage, and its text in five
//! other languages, and tests hold all of these to each other; a word of which only the value were known could be neither
//! gated, nor trained on a device, nor exported. So the table (`src/formula/words.rs`, a row a word) grows in the crate
//! alone. Outside of it, a word is said by those that there are, and a grammar makes it something that a search may use.

#![expect(clippy::print_stdout, reason = "a page that shows what it does")]

use lossgen::fault::Result;
use lossgen::formula::Formula;
use lossgen::formula::eval::{Inputs, gradient};
use lossgen::formula::plan::Plan;
use lossgen::gates::Gates;
use lossgen::grammar::Grammar;
use lossgen::rng::{Purpose, stream};

/// "Squared error", "worse mistake" and a soft threshold, as the language says them.
const SQUARED: &str = "(* abs_diff abs_diff)";
const WORSE: &str = "(max fp fn)";
const THRESHOLD: &str = "(/ (^ abs_diff 4) (+ (^ abs_diff 4) 0.0625))";

/// A grammar in which they are words: every rule is a sentence with holes.
const GRAMMAR: &str = r#"(
    version: 1, name: "own words", start: "loss", max_size: 40,
    sorts: {"loss": Tree, "mistake": Tree, "weight": Constant(low: 0.1, high: 10.0)},
    rules: [
        (gives: "mistake", form: "SQUARED"),
        (gives: "mistake", form: "WORSE"),
        (gives: "mistake", form: "THRESHOLD"),
        (gives: "loss", form: "(mean mistake)"),
        (gives: "loss", form: "(+ loss (* weight loss))"),
    ],
)"#;

fn main() -> Result<()> {
    let words = [("SQUARED", SQUARED), ("WORSE", WORSE), ("THRESHOLD", THRESHOLD)];
    let text = words.iter().fold(GRAMMAR.to_string(), |text, (name, says)| text.replace(name, says));
    let grammar = Grammar::from_text("own words", &text)?;

    // Losses that a search in this grammar would breed (`lossgen evolve --grammar FILE` does), and what the gates say.
    let gates = Gates::default();
    let (logits, targets) = ([2.0f32, -1.0, 0.5, -3.0], [1.0f32, 0.0, 0.0, 1.0]);
    for slot in 0..4 {
        let loss: Formula = grammar.sample_loss(24, &mut stream(1, Purpose::Birth, 0, slot)).canonical();
        let verdict = gates.rejection(&loss).map_or("can be trained".to_string(), |why| why.to_string());
        let mut slopes = [0.0; 4];
        let value = gradient(&Plan::new(&loss), &Inputs::new(1, 1, &logits, &targets), &mut slopes);
        println!("{}\n    {value:.4}, slopes {slopes:.3?}; {verdict}", loss.infix());
    }
    Ok(())
}
