#![doc = include_str!("../README.md")]
//!
//! # Reading order
//!
//! [`formula`] is the language, [`grammar`] what a search may say in it, [`losses`] what people found, [`gates`] what is
//! known of a loss before any training, [`atlas`] the map of what small losses do, [`export`] takes losses to other programs;
//! [`evolution`] searches, [`data`] and
//! [`nn`] make networks learn, [`training`] joins them, [`metrics`] and [`stats`] judge.

pub mod atlas;
pub mod cli;
pub mod data;
pub mod evolution;
pub mod export;
pub mod fault;
pub mod formula;
pub mod gates;
pub mod grammar;
pub mod losses;
pub mod metrics;
pub mod nn;
pub mod notation;
pub mod phase;
pub mod report;
pub mod rng;
pub mod run;
pub mod stats;
pub mod training;
pub mod volume;
