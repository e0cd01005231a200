//! A thread whose end is waited for: until it has come, or no longer than it is worth.
//!
//! Owns: the thread's handle, and what tells that it has ended. Never: ends a thread. One that is left goes on by itself, and ends with the
//! process at the latest; only what may be cut off at any instant may be left.

use std::convert::Infallible;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// A running thread.
#[derive(Debug)]
pub(crate) struct Parting {
    thread: JoinHandle<()>,
    /// Nothing comes here; its other end goes with the thread.
    ended: Receiver<Infallible>,
}

impl Parting {
    pub(crate) fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (ends, ended) = channel();
        let work = move || {
            // Goes after all that the work has.
            let _ends = ends;
            work();
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self { thread, ended })
    }

    /// Waits until it has ended, however long that takes.
    pub(crate) fn join(self) {
        // A panic in there has been printed; there is nothing to add to it here.
        let _ = self.thread.join();
    }

    /// Waits as long as there is `left` something to wait for; whether it has ended.
    pub(crate) fn join_within(self, left: impl Fn() -> Duration) -> bool {
        loop {
            let left = left();
            match self.ended.recv_timeout(left) {
                Err(RecvTimeoutError::Disconnected) => {
                    self.join();
                    return true;
                }
                Err(RecvTimeoutError::Timeout) if left.is_zero() => return false,
                Err(RecvTimeoutError::Timeout) => {}
                Ok(never) => match never {},
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn one_that_hangs_is_left_when_there_is_nothing_more_to_wait_for() {
        let (go, gate) = channel::<()>();
        let hangs = move || {
            // An error means that the gate stands open.
            let _ = gate.recv();
        };
        let hangs = Parting::start("hangs", hangs).unwrap();
        let asked = Cell::new(0);
        let left = || {
            asked.set(asked.get() + 1);
            Duration::from_millis(if asked.get() < 3 { 1 } else { 0 })
        };
        assert!(!hangs.join_within(left));
        assert_eq!(asked.get(), 3, "asked again each time that it had been waited for");
        drop(go);
        let ends = Parting::start("ends", || {}).unwrap();
        assert!(ends.join_within(|| Duration::from_secs(20)));
    }
}
