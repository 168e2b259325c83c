//! Why a loss won, in words and tables.

use super::term::table;
use crate::evolution::{Change, Contender, Lead, Winner};

/// The last race, what tuning did, and what the parts of the winner are worth.
pub(super) fn winner(winner: &Winner) -> String {
    let mut text = format!(
        "\nwinner: {} (individual {}), after generation {}: {}; less Dice + CE, {} replicate(s)\n{}",
        winner.loss,
        winner.id,
        winner.generation,
        winner.stopped.name(),
        winner.replicates,
        leads(winner),
    );
    text += &format!("  {}\n", winner.verdict());
    if let Some(nearest) = &winner.nearest {
        text += &format!("  nearest known loss: {} at a distance of {:.3}\n", nearest.name, nearest.distance);
    }
    if let Some(tuning) = &winner.tuning {
        let lead = |lead: Option<f64>| lead.map_or("failed".to_string(), |lead| format!("{lead:+.4}"));
        text += &format!(
            "  constants tuned from {}\n    promised {:+.4}, kept {} on all replicates{}: {}\n",
            tuning.from,
            tuning.promised,
            lead(tuning.kept),
            tuning.snapped.map_or(String::new(), |snapped| format!(", {snapped:+.4} with two digits")),
            if tuning.taken { "taken" } else { "not taken" },
        );
    }
    text += &format!("\nthe last race\n\n{}\n", race(&winner.finalists));
    if !winner.changes.is_empty() {
        text += &format!(
            "\nwhat its parts are worth (mean Dice less the winner's, one short training each)\n\n{}\n",
            parts(&winner.changes)
        );
    }
    text
}

/// What the winner leads Dice + CE by, and in which trainings.
pub(super) fn leads(winner: &Winner) -> String {
    let lead = |name: &str, lead: &Lead| {
        format!("  {name:<18}{:+.4} [{:+.4}, {:+.4}]", lead.mean, lead.interval.0, lead.interval.1)
    };
    let parts = [("from shared starts", winner.from_starts), ("from scratch", winner.from_scratch)];
    format!(
        "{}   HD95 {:+.2} mm\n{}  control: Dice {:.4}, HD95 {:.2} mm\n",
        lead("gain", &winner.gain),
        winner.hd95_gain_mm,
        parts.into_iter().filter_map(|(name, part)| Some(lead(name, &part?) + "\n")).collect::<String>(),
        winner.control_dice,
        winner.control_hd95_mm,
    )
}

fn race(finalists: &[Contender]) -> String {
    let header = ["id", "gain", "n", "left the race", "loss"].map(String::from);
    let row = |one: &Contender| {
        let dropped = one.dropped.clone().unwrap_or_else(|| "-".to_string());
        vec![one.id.to_string(), format!("{:+.4}", one.gain), one.replicates.to_string(), dropped, one.loss.clone()]
    };
    table(header.to_vec(), finalists.iter().map(row).collect(), |column| column < 3)
}

fn parts(changes: &[Change]) -> String {
    let header = ["Dice", "change", "loss"].map(String::from);
    let row = |change: &Change| {
        let difference = change.difference.map_or("failed".to_string(), |difference| format!("{difference:+.4}"));
        vec![difference, change.what.clone(), change.loss.clone()]
    };
    table(header.to_vec(), changes.iter().map(row).collect(), |column| column == 0)
}
