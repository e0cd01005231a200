//! Scenarios by seed: which seeds are run, on all processors, and how one that fails is seen again alone.
//!
//! Owns: `SEED` (only that one) and `SEEDS` (as many). Never: what a seed means; a test draws its scenario from it and judges it.

use std::fmt::Debug;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Draws and judges the scenario of every seed below `seeds`, or of those that the environment asks for. One that fails ends no other.
///
/// `test` is how `cargo test -p audyn-sim --test` finds the caller: its file, and its name where the file has several.
pub(crate) fn every_seed<S: Debug>(
    test: &str,
    seeds: u64,
    draw: impl Fn(u64) -> S + Sync,
    judge: impl Fn(&S) + Sync,
) {
    let asked =
        |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().expect("SEED and SEEDS are numbers"));
    let seeds = range(asked("SEED"), asked("SEEDS").unwrap_or(seeds));
    if let Err(failed) = verdict(test, seeds, draw, judge) {
        panic!("{failed}");
    }
}

/// Judges these seeds; if some fail, tells which, and how one is seen alone.
pub(crate) fn verdict<S: Debug>(
    test: &str,
    seeds: Range<u64>,
    draw: impl Fn(u64) -> S + Sync,
    judge: impl Fn(&S) + Sync,
) -> Result<(), String> {
    let alone = |seed: u64| format!("SEED={seed} cargo test -p audyn-sim --test {test}");
    let failed = failing(seeds, |seed| {
        let passed = catch_unwind(AssertUnwindSafe(|| judge(&draw(seed)))).is_ok();
        if !passed {
            eprintln!("{:?}\nto see it alone: {}\n", draw(seed), alone(seed));
        }
        passed
    });
    match failed.first() {
        None => Ok(()),
        Some(&first) => Err(format!("seeds {failed:?} fail; see one alone: {}", alone(first))),
    }
}

/// The seeds that are run.
pub(crate) fn range(only: Option<u64>, seeds: u64) -> Range<u64> {
    only.map_or(0..seeds, |seed| seed..seed + 1)
}

/// Those that do not pass, in order.
fn failing(seeds: Range<u64>, passes: impl Fn(u64) -> bool + Sync) -> Vec<u64> {
    let (next, failed) = (AtomicU64::new(seeds.start), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    if !passes(seed) {
                        failed.lock().expect("no thread panics while it holds the list").push(seed);
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().expect("no thread panics while it holds the list");
    failed.sort_unstable();
    failed
}
