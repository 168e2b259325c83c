//! How long the parts of the work took: what `-v` says at the end of a command.
//!
//! Every thread that trains has a clock of its own; times of those that work at the same time are added. Where a device
//! computes on while the program goes on, its time shows in the part that waits for it.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use super::stopwatch::Stopwatch;
use super::term::table;
use crate::phase::{self, Mark, Phase, Stage};

/// Microseconds by stage and phase.
static SPENT: [[AtomicU64; Phase::ALL.len()]; Stage::ALL.len()] =
    [const { [const { AtomicU64::new(0) }; Phase::ALL.len()] }; Stage::ALL.len()];

thread_local! {
    static CLOCK: RefCell<Option<(Stage, Stopwatch)>> = const { RefCell::new(None) };
}

/// From now on, time is taken.
pub(super) fn listen() {
    phase::listen(|mark| {
        CLOCK.with_borrow_mut(|clock| match (mark, clock) {
            (Mark::Begin(stage), clock) => *clock = Some((stage, Stopwatch::start())),
            (Mark::End(phase), Some((stage, watch))) => {
                let microseconds = (watch.lap() * 1e3) as u64;
                SPENT[*stage as usize][phase as usize].fetch_add(microseconds, Ordering::Relaxed);
            }
            // Work that is no stage of a command: a bench has its own clock.
            (Mark::End(_), None) => {}
        });
    });
}

/// The table; none if no time was taken.
pub(super) fn text() -> Option<String> {
    let spent = SPENT.each_ref().map(|stage| stage.each_ref().map(|time| time.load(Ordering::Relaxed) as f64 / 1e6));
    of(&spent)
}

/// Seconds as a table: stages that took none are left out, as are phases.
fn of(spent: &[[f64; Phase::ALL.len()]; Stage::ALL.len()]) -> Option<String> {
    let whole: f64 = spent.iter().flatten().sum();
    let used = |phase: &usize| spent.iter().any(|stage| stage[*phase] > 0.0);
    let phases: Vec<usize> = (0..Phase::ALL.len()).filter(used).collect();
    let stages = || Stage::ALL.iter().zip(spent).filter(|(_, times)| times.iter().any(|time| *time > 0.0));
    if phases.is_empty() {
        return None;
    }
    let header = std::iter::once("time in s").chain(stages().map(|((_, name), _)| *name)).chain(["%"]);
    let row = |phase: usize| {
        let all: f64 = spent.iter().map(|stage| stage[phase]).sum();
        let cells = stages().map(|(_, times)| format!("{:.2}", times[phase]));
        let share = format!("{:.1}", 100.0 * all / whole);
        std::iter::once(Phase::ALL[phase].1.to_string()).chain(cells).chain([share]).collect::<Vec<String>>()
    };
    let mut rows: Vec<Vec<String>> = phases.into_iter().map(row).collect();
    let sums = stages().map(|(_, times)| format!("{:.2}", times.iter().sum::<f64>()));
    rows.push(std::iter::once("together".to_string()).chain(sums).chain(["100.0".to_string()]).collect());
    Some(table(header.map(String::from).collect(), rows, |column| column > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_in_the_order_of_the_work() {
        assert!(Stage::ALL.iter().enumerate().all(|(place, (stage, _))| *stage as usize == place));
        assert!(Phase::ALL.iter().enumerate().all(|(place, (phase, _))| *phase as usize == place));
    }

    #[test]
    fn what_took_no_time_is_left_out_and_the_rest_adds_up() {
        let mut spent = [[0.0; Phase::ALL.len()]; Stage::ALL.len()];
        assert_eq!(of(&spent), None);
        spent[Stage::Starts as usize][Phase::Backward as usize] = 3.0;
        spent[Stage::Candidates as usize][Phase::Judge as usize] = 1.0;
        let text = of(&spent).unwrap();
        let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[0], ["time", "in", "s", "shared", "starts", "candidates", "%"]);
        assert_eq!(words[2], ["backward", "3.00", "0.00", "75.0"]);
        assert_eq!(words[4], ["together", "3.00", "1.00", "100.0"]);
        assert_eq!(words.len(), 5);
    }
}
