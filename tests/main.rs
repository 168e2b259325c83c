//! One binary for all integration tests: every further one would link the whole tensor library again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agree;
mod cli;
#[cfg(unix)]
mod console;
mod documents;
mod engine;
mod export;
mod gradient;
mod laws;
mod precision;
mod proxy;
mod search;
mod support;
mod synthetic;
mod tidy;
