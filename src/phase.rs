//! Where time goes: parts of the work say when they begin and end, and whoever has a clock may listen.
//!
//! Nothing is decided here and no clock is read; without a listener it costs a look at one address. A listener for the whole
//! program, and not an argument of every function between the command and the optimiser, because nobody in between cares.

use std::sync::OnceLock;

/// What a thread is at work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A dataset is checked.
    Checks,
    /// Cases are made ready.
    Cases,
    /// A shared start is trained.
    Starts,
    /// A candidate is trained from a shared start.
    Candidates,
    /// A candidate is trained from scratch.
    Scratch,
    /// A network is trained and judged in a fold.
    Folds,
    /// Masks are made of images.
    Masks,
}

/// A part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Files are read and decoded.
    Read,
    /// What was read is examined, and cases are compared with each other.
    Examine,
    /// Images are clipped, normalised and resampled, truths brought to the same grid.
    Prepare,
    /// Patches are cut and varied.
    Batch,
    /// From image to logits.
    Forward,
    /// From logits to the loss and dL/dlogit.
    Loss,
    /// From dL/dlogit to the gradients of all parameters.
    Backward,
    /// Clipping, and the step itself.
    Optimizer,
    /// Whole volumes are predicted.
    Predict,
    /// Masks are compared with the truth.
    Judge,
    /// Masks are written.
    Write,
}

impl Stage {
    /// All of them, in the order in which they come.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Checks, "checks"),
        (Self::Cases, "cases"),
        (Self::Starts, "shared starts"),
        (Self::Candidates, "candidates"),
        (Self::Scratch, "from scratch"),
        (Self::Folds, "folds"),
        (Self::Masks, "masks"),
    ];
}

impl Phase {
    /// All of them, in the order in which they come.
    pub const ALL: [(Self, &'static str); 11] = [
        (Self::Read, "reading"),
        (Self::Examine, "examining"),
        (Self::Prepare, "preprocessing"),
        (Self::Batch, "batches"),
        (Self::Forward, "forward"),
        (Self::Loss, "loss"),
        (Self::Backward, "backward"),
        (Self::Optimizer, "optimiser"),
        (Self::Predict, "prediction"),
        (Self::Judge, "judging"),
        (Self::Write, "writing"),
    ];
}

/// What a listener is told, on the thread that does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Work on a stage begins.
    Begin(Stage),
    /// What was done since the last mark of this thread.
    End(Phase),
}

static LISTENER: OnceLock<fn(Mark)> = OnceLock::new();

/// Who is told; the first for the whole program.
pub fn listen(listener: fn(Mark)) {
    let _ = LISTENER.set(listener);
}

/// Work on a stage begins on this thread.
pub(crate) fn begin(stage: Stage) {
    tell(Mark::Begin(stage));
}

/// A part of the work ends on this thread.
pub(crate) fn end(phase: Phase) {
    tell(Mark::End(phase));
}

fn tell(mark: Mark) {
    if let Some(listener) = LISTENER.get() {
        listener(mark);
    }
}
