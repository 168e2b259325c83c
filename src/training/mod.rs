//! One network, one loss, some cases: training, prediction, and the short trainings that judge candidate losses.
//!
//! [`train`](train()) is the loop; [`proxy`] is the only bridge between the search and the networks; [`crossval`] trains
//! losses over folds and judges them on whole volumes;
//! [`model`] is a trained network on disk, [`infer`] what it predicts. A training is a function of its cases, loss, recipe and seed: the
//! batches of a step come from an address, so every loss of a comparison sees the same patches in the same order.

mod checkpoint;
pub mod crossval;
mod greedy;
pub mod infer;
pub mod learn;
pub mod model;
mod moment;
pub mod objective;
pub mod proxy;
mod recipe;
mod trainer;
pub mod workers;

pub use checkpoint::{Keep, train_kept};
pub use recipe::{Optimizer, Recipe};
pub use trainer::{Job, Outcome, Passes, Phase, Step, Watch, train, train_in_phases};
