//! Volumes and masks from disk (or made up) to batches: what the trainer sees and what the judge sees.
//!
//! The way of a case: [`layout`] finds its files, [`nifti`] reads them, [`check`] says what is wrong with them,
//! [`preprocess`] normalises the image and [`way`] brings it to the network's grid and predictions
//! back, a [`Case`] keeps both the preprocessed and the native truth, [`folds`] (or [`strata`], kept in [`splits`]) decide
//! who trains on it, cases of one of the [`subjects`] on one side, [`patches`] cuts batches from it and [`augment`] varies them. [`cache`] keeps sets that are too large for
//! memory in files, which [`store`] reads. [`phantom`] makes cases out of nothing but a seed. Knows no network and no loss.

pub mod augment;
pub mod cache;
pub mod case;
pub mod check;
#[cfg(test)]
mod corpus_tests;
mod cut;
mod dataset;
mod digest;
pub mod folds;
mod header;
pub mod layout;
pub mod nifti;
pub mod npy;
pub mod pairs;
pub mod patches;
pub mod phantom;
pub mod preprocess;
#[cfg(test)]
mod real;
pub mod splits;
pub mod store;
pub mod strata;
mod stream;
pub mod subjects;
mod voxels;
pub mod way;

pub use augment::Augment;
pub use cache::Cache;
pub use case::Case;
pub use dataset::Dataset;
pub use patches::{Batch, PatchSampler};
pub use phantom::Phantom;
pub use preprocess::{LabelMode, Prepared, Preprocess};
pub use way::Way;
