//! `lossgen doctor`: what this machine is to the program, and whether it computes what it should.
//!
//! Everything that is said here is found out by what trainings use, not looked up: the device is the one on which they would
//! run, the kernels theirs, the losses evaluated as in a step. A check that fails is exit code 1.

mod agreement;
mod environment;

use clap::Args;

use super::term::{Term, table};
use super::{Common, STOP};
use crate::fault::{Fault, Result};
use agreement::Check;
use environment::Fact;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print the losses of the steps alone: what the doctor asks the CPU for, to compare with
    #[arg(long, hide = true)]
    reference: bool,
}

pub(super) fn run(arguments: &Arguments, common: &Common, term: &Term) -> Result<()> {
    let threads = common.threads();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| Fault::failed(format!("cannot start threads: {error}")))?;
    if arguments.reference {
        let losses = pool.install(|| agreement::steps(crate::nn::Precision::F32))?;
        term.result(&serde_json::json!(losses).to_string());
        return Ok(());
    }
    let facts = environment::facts(threads);
    let mut checks = Vec::new();
    let mut milliseconds = f64::NAN;
    pool.install(|| -> Result<()> {
        checks.extend(agreement::losses());
        checks.extend(agreement::of_steps(threads)?);
        milliseconds = agreement::time_of_a_step(&STOP)?;
        Ok(())
    })?;
    term.result(&if common.json { json(&facts, &checks, milliseconds) } else { text(&facts, &checks, milliseconds) });
    let failed: Vec<&Check> = checks.iter().filter(|check| !check.holds()).collect();
    let Some(worst) = failed.first() else { return Ok(()) };
    Err(Fault::failed("this machine does not compute what it should")
        .field(&worst.what)
        .expected(format!("a difference of at most {:.0e}", worst.limit))
        .found(format!("{:.1e} ({}); {} of {} checks failed", worst.found, worst.worst, failed.len(), checks.len()))
        .hint("try `--device cpu`, or other kernels (LOSSGEN_KERNELS=portable); if that helps, the driver or the processor is at fault"))
}

fn text(facts: &[Fact], checks: &[Check], milliseconds: f64) -> String {
    let mut text: String = facts.iter().map(|fact| format!("{:<12} {}\n", fact.name, fact.says)).collect();
    let head = ["check", "difference", "at most", "where", ""].map(String::from).to_vec();
    let row = |check: &Check| {
        let verdict = if check.holds() { "ok" } else { "FAILS" };
        vec![
            check.what.clone(),
            format!("{:.1e}", check.found),
            format!("{:.0e}", check.limit),
            check.worst.clone(),
            verdict.to_string(),
        ]
    };
    let rows = checks.iter().map(row).collect();
    text += &format!("\n{}\n\n", table(head, rows, |column| (1..3).contains(&column)));
    text + &format!("a training step ({}): {milliseconds:.0} ms, median of {}\n", agreement::TIMED, agreement::REPEATS)
}

fn json(facts: &[Fact], checks: &[Check], milliseconds: f64) -> String {
    let facts: serde_json::Map<String, serde_json::Value> =
        facts.iter().map(|fact| (fact.name.to_string(), fact.value.clone())).collect();
    let check = |check: &Check| {
        serde_json::json!({"what": check.what, "difference": check.found, "limit": check.limit, "where": check.worst,
            "ok": check.holds()})
    };
    serde_json::json!({
        "environment": facts, "checks": checks.iter().map(check).collect::<Vec<_>>(), "step_ms": milliseconds,
        "ok": checks.iter().all(Check::holds),
    })
    .to_string()
}
