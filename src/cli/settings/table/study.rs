//! Final trainings and comparisons.

use super::{Field, field};

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    field("train.folds", "", "2 or more, or 1", "number of folds"),
    field("train.splits", "file", "None, or a path", "folds that are given instead, as nnU-Net's splits_final.json"),
    field("train.mirror", "axes", "a list of I, J, K", "test volumes are predicted mirrored along these as well; logits are averaged"),
    field("train.checkpoint", "optimiser steps", "0 or more", "between two checkpoints of a training, what a kill loses at most; 0 for none"),
    field("compare.losses", "", "a list of losses", "that `lossgen compare` trains; those that are typed come behind them"),
    field("compare.seeds", "", "a list of whole numbers, each once", "of weights and patches, a training with each; none for the seed of the run"),
    field("compare.learning_rates", "", "a list of positive numbers, each once", "factors of the learning rate, of which each loss gets the best in each fold, by an inner part of its training cases"),
    field("compare.stratified", "", "true, false", "whether folds resemble each other in labels and foreground"),
];
