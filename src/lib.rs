//! placeholder
pub mod evolution;
pub mod fault;
pub mod formula;
pub mod grammar;
pub mod losses;
pub mod notation;
pub mod rng;
pub mod run;
pub mod volume;
