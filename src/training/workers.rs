//! Several trainings at once, each with its own threads.
//!
//! Two trainings on one core each do more than one training on two cores, so work is spread over workers first. A panic
//! in a library ends its job, never the run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

/// Runs `work` for each of `count` jobs on `threads` threads in all and tells `done` every result as it comes, with the
/// number of its job; `Err` holds the message of a panic. After `done` has said no, jobs that have not begun are left
/// out, and running jobs see `stop` set.
pub fn run<R: Send>(
    count: usize,
    threads: usize,
    stop: &AtomicBool,
    work: impl Fn(usize) -> R + Sync,
    done: &mut dyn FnMut(usize, Result<R, String>) -> bool,
) {
    let workers = threads.clamp(1, count.max(1));
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (sender, next, work) = (sender.clone(), &next, &work);
            // Threads that do not divide evenly go to the first workers.
            let own = threads.max(1) / workers + usize::from(worker < threads.max(1) % workers);
            scope.spawn(move || {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(own).build();
                loop {
                    let job = next.fetch_add(1, Ordering::SeqCst);
                    if job >= count || stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let guarded =
                        || catch_unwind(AssertUnwindSafe(|| work(job))).map_err(|panic| message(panic.as_ref()));
                    let result = match &pool {
                        Ok(pool) => pool.install(guarded),
                        Err(error) => Err(format!("cannot start threads: {error}")),
                    };
                    if sender.send((job, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (job, result) in receiver {
            if !done(job, result) {
                stop.store(true, Ordering::SeqCst);
            }
        }
    });
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text =
        panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    text.unwrap_or_else(|| "panic without a message".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_done_once_and_a_panic_is_a_result() {
        for threads in [1, 2, 8] {
            let mut seen = vec![0; 20];
            run(
                20,
                threads,
                &AtomicBool::new(false),
                |job| if job == 7 { panic!("seven") } else { job },
                &mut |job, result| {
                    seen[job] += 1;
                    assert_eq!(result, if job == 7 { Err("seven".to_string()) } else { Ok(job) });
                    true
                },
            );
            assert_eq!(seen, [1; 20]);
        }
    }

    #[test]
    fn a_no_leaves_the_rest_out() {
        let stop = AtomicBool::new(false);
        // A job ends after the results of all earlier ones have been seen, or the worker would be done with all of them
        // before the first is looked at.
        let seen = AtomicUsize::new(0);
        let work = |job| {
            while seen.load(Ordering::SeqCst) < job {
                std::thread::yield_now();
            }
        };
        run(100, 1, &stop, work, &mut |_, _| seen.fetch_add(1, Ordering::SeqCst) < 2);
        assert!((3..=5).contains(&seen.load(Ordering::SeqCst)) && stop.load(Ordering::SeqCst));
    }
}
