//! Any bytes are a grammar or an error; every loss that a grammar draws belongs to it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lossgen::grammar::Grammar;
use lossgen::rng::{Purpose, stream};

fuzz_target!(|text: &str| {
    if let Ok(grammar) = Grammar::from_text("grammar.ron", text) {
        let loss = grammar.sample_loss(12, &mut stream(1, Purpose::Birth, 0, 0));
        grammar.check_loss(&loss).unwrap();
    }
});
