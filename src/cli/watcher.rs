//! Turns what a search tells into bars, a board under them, and lines.

use std::sync::atomic::Ordering;

use indicatif::ProgressBar;

use super::STOP;
use super::stopwatch::Stopwatch;
use super::term::Term;
use crate::evolution::{Event, Trial};

/// Rows of the front that are shown.
const MOST_ROWS: usize = 8;

/// Characters of a loss that are shown there.
const MOST_CHARACTERS: usize = 50;

/// Watches a search.
pub(super) struct Watcher<'a> {
    term: &'a Term,
    bar: Option<ProgressBar>,
    board: ProgressBar,
    generations: usize,
    clock: Stopwatch,
    /// Trainings seen.
    trained: usize,
    /// The generation at work, and the first of this go.
    generation: usize,
    first: Option<usize>,
    /// What gates have done.
    gates: String,
    /// The front as it was last saved.
    front: String,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(term: &'a Term, generations: usize) -> Self {
        Self {
            term,
            bar: None,
            board: term.board(),
            generations,
            clock: Stopwatch::start(),
            trained: 0,
            generation: 0,
            first: None,
            gates: String::new(),
            front: String::new(),
        }
    }

    /// Takes everything off the screen.
    pub(super) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.board.finish_and_clear();
    }

    /// Whether to go on.
    pub(super) fn see(&mut self, event: &Event) -> bool {
        match event {
            Event::FounderSkipped { name, reason } => self.term.detail(&format!("founder {name} skipped: {reason}")),
            Event::Bred { generation, rejected, duplicates, .. } => {
                self.generation = *generation;
                self.first.get_or_insert(*generation);
                let others = rejected - duplicates;
                self.gates = format!("{others} candidates rejected, {duplicates} behave like earlier ones");
            }
            Event::Trying { generation, trial, to_train, losses } => {
                let stage = match (generation, self.first) {
                    (Some(generation), _) => format!("generation {generation}, {trial}"),
                    (None, None) => format!("headroom, {trial}"),
                    (None, Some(_)) => format!("finals, {trial}"),
                };
                if *to_train <= *losses && *to_train > 0 {
                    self.term.detail(&format!("{stage}: {to_train} to train of {losses}"));
                }
                if let Some(bar) = self.bar.replace(self.term.bar(*to_train as u64, &stage)) {
                    bar.finish_and_clear();
                }
            }
            Event::Judged { trial, loss, outcome, .. } => {
                self.trained += 1;
                if let Some(bar) = &self.bar {
                    bar.inc(1);
                }
                let place = if *trial == Trial::FULL { String::new() } else { format!("{trial}: ") };
                self.term.log(&format!("  {place}{outcome}  {loss}"));
            }
            // Told to the record only.
            Event::Rejected { .. } => {}
            Event::Failed { loss, reason, .. } => self.term.say(&format!("  failed: {reason}  {loss}")),
            Event::Headroom { verdict } => self.term.say(&format!("headroom: {verdict}\n")),
            Event::Generation { generation, best_dice, best_gain, best, front, trained, saved, spent } => {
                self.front = front
                    .iter()
                    .rev()
                    .take(MOST_ROWS)
                    .map(|(size, gain, hd95, loss)| {
                        // A line that wraps would be left behind on the screen.
                        let loss: String = loss.chars().take(MOST_CHARACTERS).collect();
                        format!("\n  {size:>3} words  {gain:+.4}  {hd95:+6.2} mm  {loss}")
                    })
                    .collect();
                self.term.say(&format!(
                    "generation {generation}/{}: best Dice {best_dice:.4}, {best_gain:+.4} to Dice + CE; {trained} losses, \
                     {} trainings, {saved} saved\n  {best}",
                    self.generations, spent.trainings,
                ));
            }
            Event::Stopped { reason } => {
                self.term.say(&format!("{}; the best race for the first place", reason.name()));
            }
            Event::Dropped { id, replicates, reason } => {
                self.term.say(&format!("  {id} is out after {replicates} replicates: {reason}"));
            }
            Event::Tuned { loss, gain } => self.term.detail(&format!("  tuned: {gain:+.4}  {loss}")),
        }
        self.board.set_message(self.text());
        !STOP.load(Ordering::SeqCst)
    }

    /// The board: how fast, how long still, what gates did, and the front.
    fn text(&self) -> String {
        let minutes = self.clock.minutes();
        let rate = if minutes > 0.0 { self.trained as f64 / minutes * 60.0 } else { 0.0 };
        let done = self.first.map_or(0, |first| self.generation - first);
        let left = match self.generations.saturating_sub(self.generation) + 1 {
            left if done > 0 => format!(", about {:.0} min left", (minutes / done as f64 * left as f64).ceil()),
            _ => String::new(),
        };
        format!("  {rate:.0} trainings an hour{left}; {}{}", self.gates, self.front)
    }
}
