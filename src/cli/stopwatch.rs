//! The only clock of the program.

use std::time::Instant;

/// Tells the time between two looks at it.
pub(super) struct Stopwatch(Instant);

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the last lap or the start, in minutes.
    pub(super) fn minutes(&self) -> f64 {
        self.0.elapsed().as_secs_f64() / 60.0
    }

    /// Time since the last lap or the start, in ms.
    pub(super) fn lap(&mut self) -> f64 {
        let now = Instant::now();
        let milliseconds = now.duration_since(self.0).as_secs_f64() * 1e3;
        self.0 = now;
        milliseconds
    }
}
