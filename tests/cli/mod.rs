//! The program as a person runs it.

mod atlas;
mod bad_input;
mod bench;
mod compare;
mod data;
mod evaluate;
mod export;
mod learn;
mod loss_eval;
mod machine;
mod plot;
mod predict;
mod road;

use std::path::Path;

use assert_cmd::Command;

/// The program in a directory of its own.
fn lossgen(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lossgen"));
    command.current_dir(home);
    // Verdicts on datasets go to a person's cache, which tests leave alone.
    command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command
}

/// A configuration so small that a whole search takes seconds.
fn tiny() -> String {
    "(
        version: 1, seed: 3,
        data: Phantoms((cases: 9, shape: (16, 16, 12), seed: 2)),
        split: (validation: 0.23, held_out: 0.45),
        network: (width: 2, levels: 2),
        proxy: (warm_steps: 6, recipe: (steps: 4, patches: (patch: (8, 8, 8), batch: 2, foreground_share: 0.5))),
        search: (population: 6, generations: 2, headroom: 2, tuning: 1),
        train: (folds: 2, recipe: (steps: 5, patches: (patch: (8, 8, 8), batch: 2, foreground_share: 0.5)), window: Sliding(patch: (8, 8, 8), overlap: 0.5)),
    )"
    .to_string()
}
