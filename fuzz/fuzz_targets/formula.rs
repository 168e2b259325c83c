//! Any bytes are a formula or an error; what is printed of a formula reads back as it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lossgen::formula::Formula;

fuzz_target!(|text: &str| {
    if let Ok(formula) = text.parse::<Formula>() {
        assert_eq!(formula.to_string().parse::<Formula>().unwrap(), formula);
        // Neither the canonical form nor the notations of people may fail.
        let canonical = formula.canonical();
        assert_eq!(canonical.canonical(), canonical);
        let _ = (formula.infix(), formula.latex());
    }
});
