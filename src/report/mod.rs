//! What people compare has a picture: numbers in, files out, one format or drawing per file.
//!
//! Nothing is computed here that an argument could rest on, and nothing is read or written: every function returns text.

pub mod atlas;
pub mod axis;
pub mod behaviour;
pub mod catalog;
pub mod chart;
pub mod heat;
pub mod learned;
pub mod legend;
pub mod svg;
pub mod tensorboard;
pub mod trajectory;
