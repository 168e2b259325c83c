//! `lossgen atlas`: every small loss of a grammar, what they do, and where known losses stand among them.

use std::collections::BTreeSet;
use std::path::Path;

use clap::Args;
use rayon::ThreadPoolBuilder;

use super::stopwatch::Stopwatch;
use super::term::{Term, table};
use super::{Common, STOP};
use crate::atlas::{Atlas, Ladder, Landmark, Row, ladder};
use crate::fault::{Fault, Result};
use crate::grammar::Grammar;
use crate::report::atlas::{Dot, Place, map};
use crate::run::replace;

/// Random losses of which duplicates are counted.
const RANDOM_LOSSES: usize = 2000;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// polarity, or a RON file
    #[arg(default_value = "polarity")]
    grammar: String,
    /// Words of the largest losses; two more words take about ten times as long
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=20))]
    max_size: u32,
    /// Values at which the constants of every sort stand, spread over its range
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=9))]
    constants: u32,
    /// Print so many losses that differ most from each other
    #[arg(long, value_name = "N", default_value_t = 0)]
    spread: usize,
    /// Count also how often random losses of the grammar say the same again
    #[arg(long)]
    duplicates: bool,
}

pub(super) fn run(arguments: &Arguments, common: &Common, term: &Term) -> Result<()> {
    let grammar = Grammar::load(&arguments.grammar)?;
    if let Some(folder) = &common.out {
        check_empty(folder)?;
    }
    let pool = ThreadPoolBuilder::new().num_threads(common.threads()).build();
    let pool = pool.map_err(|error| Fault::failed(format!("cannot start threads: {error}")))?;
    pool.install(|| {
        let mut watch = Stopwatch::start();
        let (largest, constants) = (arguments.max_size as usize, arguments.constants as usize);
        let atlas = Atlas::explore(&grammar, largest, constants, &STOP, &mut |row| {
            term.log(&format!("{} words: {} structures, {} behaviours", row.size, row.structures, row.behaviours));
        })?;
        let seconds = watch.lap() / 1e3;
        let found = Findings {
            catalog: atlas.catalog(),
            spread: atlas.spread(arguments.spread),
            ladder: arguments.duplicates.then(|| ladder(&grammar, RANDOM_LOSSES)),
            seconds,
            grammar,
            atlas,
        };
        if let Some(folder) = &common.out {
            found.write(folder, constants)?;
            term.say(&format!("written: atlas.ron, atlas.csv and atlas.svg in {}", folder.display()));
        }
        term.result(&if common.json { found.json() } else { found.text() });
        Ok(())
    })
}

/// Before anything is computed.
fn check_empty(folder: &Path) -> Result<()> {
    let taken = folder.is_file() || std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if taken {
        return Err(Fault::new("there is something already")
            .file(folder)
            .expected("a folder that is empty or not there")
            .found(if folder.is_file() { "a file" } else { "a folder with files in it" })
            .hint("choose another place with `--out`: an atlas never overwrites"));
    }
    Ok(())
}

/// What is told.
struct Findings {
    grammar: Grammar,
    atlas: Atlas,
    catalog: Vec<Landmark>,
    spread: Vec<usize>,
    ladder: Option<Ladder>,
    seconds: f64,
}

impl Findings {
    fn structures(&self) -> usize {
        self.atlas.rows.iter().map(|row| row.structures).sum()
    }

    fn text(&self) -> String {
        let mut text = format!("losses of the grammar `{}`\n\n{}\n", self.grammar.name, self.sizes());
        let per_second = self.structures() as f64 / self.seconds.max(1e-9);
        text += &format!("\n{} structures in {:.2} s, {per_second:.0} per second\n", self.structures(), self.seconds);
        let rows = self.catalog.iter().map(|known| {
            let nearest = self.atlas.behaviours[known.nearest].formula.infix();
            let distance = if known.is_on_the_map() { "same".to_string() } else { format!("{:.3}", known.distance) };
            vec![known.name.clone(), distance, nearest]
        });
        let header = ["known loss", "distance", "nearest"].map(String::from).to_vec();
        text += &format!(
            "\nknown losses and what is nearest to them (0 alike, 2 opposite)\n\n{}\n",
            table(header, rows.collect(), |column| column == 1)
        );
        if !self.spread.is_empty() {
            text += "\nlosses that differ most\n";
            for place in &self.spread {
                text += &format!("  {}\n", self.atlas.behaviours[*place].formula);
            }
        }
        if let Some(ladder) = self.ladder {
            text += &format!("\nof {} random losses, so many say the same as an earlier one\n", ladder.losses);
            for (step, count) in steps(ladder) {
                text += &format!("  {:>5.1} %  by their {step}\n", 100.0 * count as f64 / ladder.losses as f64);
            }
        }
        text
    }

    fn sizes(&self) -> String {
        let reasons: BTreeSet<_> = self.atlas.rows.iter().flat_map(|row| row.rejected.keys().copied()).collect();
        let header = ["words", "structures", "canonical", "behaviours"].map(String::from).into_iter();
        let header: Vec<String> = header.chain(reasons.iter().map(ToString::to_string)).collect();
        let row = |row: &Row| -> Vec<String> {
            let counts = [row.size, row.structures, row.canonical, row.behaviours].into_iter();
            let rejected = reasons.iter().map(|reason| row.rejected.get(reason).copied().unwrap_or(0));
            counts.chain(rejected).map(|count| count.to_string()).collect()
        };
        table(header, self.atlas.rows.iter().map(row).collect(), |_| true)
    }

    fn json(&self) -> String {
        let size = |row: &Row| {
            let rejected: serde_json::Map<String, serde_json::Value> =
                row.rejected.iter().map(|(reason, count)| (format!("{reason:?}"), (*count).into())).collect();
            serde_json::json!({
                "words": row.size, "structures": row.structures, "canonical": row.canonical,
                "behaviours": row.behaviours, "rejected": rejected,
            })
        };
        let known = |known: &Landmark| {
            let nearest = self.atlas.behaviours[known.nearest].formula.to_string();
            serde_json::json!({
                "name": known.name, "nearest": nearest, "distance": known.distance, "same": known.is_on_the_map(),
            })
        };
        let spread = self.spread.iter().map(|place| self.atlas.behaviours[*place].formula.to_string());
        serde_json::json!({
            "grammar": self.grammar.name,
            "structures": self.structures(),
            "behaviours": self.atlas.behaviours.len(),
            "seconds": self.seconds,
            "sizes": self.atlas.rows.iter().map(size).collect::<Vec<_>>(),
            "catalog": self.catalog.iter().map(known).collect::<Vec<_>>(),
            "spread": spread.collect::<Vec<_>>(),
            "duplicates": self.ladder.map(|ladder| {
                let share = |(step, count)| (String::from(step), f64::from(count as u32) / ladder.losses as f64);
                steps(ladder).map(share).into_iter().collect::<std::collections::BTreeMap<String, f64>>()
            }),
        })
        .to_string()
    }

    fn write(&self, folder: &Path, constants: usize) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(|error| Fault::io("create", folder, &error))?;
        let plane = self.atlas.plane();
        replace(&folder.join("atlas.csv"), self.atlas.to_csv(plane.as_ref())?.as_bytes())?;
        let picture = plane.map_or_else(
            || map(&self.title(), &[], &[], [0.0; 2]),
            |plane| {
                let judged = self.atlas.behaviours.iter().zip(self.atlas.directions.directions());
                let passing = judged.filter(|(behaviour, _)| behaviour.rejection.is_none());
                let dots: Vec<Dot> = passing
                    .map(|(behaviour, pushes)| Dot { at: plane.place(pushes), size: behaviour.formula.size() })
                    .collect();
                let catalog = self.catalog.iter();
                let places: Vec<Place<'_>> = catalog
                    .map(|known| {
                        let at = plane.place(&known.direction);
                        Place { name: &known.name, at, on_the_map: known.is_on_the_map() }
                    })
                    .collect();
                map(&self.title(), &dots, &places, plane.shares)
            },
        );
        replace(&folder.join("atlas.svg"), picture.as_bytes())?;
        let document = self.atlas.to_ron(&self.grammar, constants, &self.catalog)?;
        replace(&folder.join("atlas.ron"), document.as_bytes())
    }

    fn title(&self) -> String {
        let largest = self.atlas.rows.last().map_or(0, |row| row.size);
        format!("Losses of up to {largest} words of the grammar {}", self.grammar.name)
    }
}

/// The steps of the ladder, cheapest first.
const fn steps(ladder: Ladder) -> [(&'static str, usize); 4] {
    [
        ("text", ladder.text),
        ("canonical form", ladder.canonical),
        ("structure", ladder.structure),
        ("gradient", ladder.gradient),
    ]
}
