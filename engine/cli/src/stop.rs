//! Ctrl-C and SIGTERM, as a flag that also wakes the sleeping main thread.
//!
//! Owns: a thread that waits for the two signals. Never: work in a signal handler. A signal two seconds after
//! the first ends the process at once, for a command that hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};

/// The system refuses to tell of signals.
#[derive(Debug, thiserror::Error)]
#[error("cannot wait for Ctrl-C: {0}; try again, or end it with SIGKILL")]
pub(crate) struct SignalError(String);

/// A signal this long after the first means that somebody waits for an end which does not come. Sooner it is the same wish
/// said twice: timeout(1) and a terminal both do that, and a file is being closed meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);

/// Set once a signal came. The thread that made it is the one that is woken.
#[derive(Debug, Clone)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn on_signals() -> Result<Self, SignalError> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGINT);
        signals.add(Signal::SIGTERM);
        // Blocked here, and so in the thread made below, which then takes them one by one.
        signals.thread_block().map_err(|error| SignalError(error.to_string()))?;
        let stop = Self(Arc::new(AtomicBool::new(false)));
        let (flag, sleeper) = (stop.clone(), thread::current());
        let watch = move || {
            let mut first: Option<Instant> = None;
            while let Ok(signal) = signals.wait() {
                if first.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                    std::process::exit(128 + signal as i32);
                }
                flag.0.store(true, Ordering::Relaxed);
                sleeper.unpark();
            }
        };
        thread::Builder::new()
            .name("signals".into())
            .spawn(watch)
            .map_err(|error| SignalError(error.to_string()))?;
        Ok(stop)
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
