//! One binary for all integration tests: every further one would link the whole tensor library again.

mod agree;
mod gradient;
mod laws;
mod search;
mod support;

