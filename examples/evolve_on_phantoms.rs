//! A search for a loss, from the library: phantoms, a proxy that judges candidates, a search in a run directory.
//!
//! `cargo run --release --example evolve_on_phantoms` takes ten seconds or so and leaves a run that `lossgen inspect` understands.
//! What `lossgen evolve` does beyond this: configurations, checks of the data, a manifest with which a run can be resumed.

#![expect(clippy::print_stdout, reason = "a page that shows what it does")]

use std::sync::atomic::AtomicBool;

use lossgen::data::{PatchSampler, Phantom, Preprocess};
use lossgen::evolution::{Breeder, Event, Search, SearchConfig};
use lossgen::fault::Result;
use lossgen::grammar::Grammar;
use lossgen::nn::UNet3dConfig;
use lossgen::run::RunDir;
use lossgen::training::Recipe;
use lossgen::training::proxy::{Proxy, ProxyConfig};

fn main() -> Result<()> {
    // Twelve spines: eight train candidates, four judge them. A real search keeps others apart, to be judged on at the end.
    let data = Phantom { cases: 12, shape: [32, 32, 16], seed: 1 }.dataset(&Preprocess::default())?;
    let (train, validation) = (data.select(&[0, 1, 2, 3, 4, 5, 6, 7]), data.select(&[8, 9, 10, 11]));

    // How a candidate is judged: sifted by a few steps from a start that is half trained, then trained from scratch.
    let patches = PatchSampler { patch: [16, 16, 16], batch: 2, foreground_share: 0.33 };
    let recipe = Recipe { steps: 60, learning_rate: 2e-3, patches, ..Recipe::default() };
    let config = ProxyConfig { warm_steps: 120, recipe, ..ProxyConfig::default() };
    let stop = AtomicBool::new(false);
    let (digest, seed, threads) = (data.digest.as_str(), 1, 2);
    let network = UNet3dConfig { width: 4, levels: 2, ..UNet3dConfig::default() };
    let proxy = Proxy { config: &config, network, train, validation, digest, seed, threads, stop: &stop };

    // Everything that is found out goes into this folder; a search that was stopped goes on from it.
    let folder = std::env::temp_dir().join(format!("lossgen-example-{}", std::process::id()));
    let run = RunDir::create(&folder)?;
    let judge = proxy.prepare(&run, &|_, _| true)?;

    let search = SearchConfig { population: 8, founders: 6, generations: 2, headroom: 0, ..SearchConfig::default() };
    let grammar = Grammar::polarity();
    let breeder = Breeder { config: &search, seed, grammar: &grammar, stop: &stop };
    let search = Search { breeder, evaluator: &judge, run: &run, time_is_over: &|| false };
    let ended = search.run(&mut |event| {
        if let Event::Generation { generation, best_gain, best, .. } = event {
            println!("generation {generation}: {best_gain:+.4} Dice to Dice + CE: {best}");
        }
        true
    })?;

    if let Some(winner) = ended.winner {
        println!("\n{}\n{}\n{}", winner.loss, winner.formula()?.latex(), winner.verdict());
    }
    println!("lossgen inspect {}", folder.display());
    Ok(())
}
