//! Each packet at its time.
//!
//! Every slot's time is counted from the start, never from the slot before, so that a late wake-up delays no later
//! packet: what has become due meanwhile leaves at once.

use std::thread;
use std::time::{Duration, Instant};

use audyn_core::sender::Sender;
use audyn_units::Nanos;

use super::error::SendError;
use super::legs::Lines;
use super::source::Signal;
use crate::stop::Stop;

/// How it went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// A signal ended it.
    pub(super) interrupted: bool,
    /// How far behind its time the latest slot was.
    pub(super) worst_late: Nanos,
}

pub(super) fn run(
    sender: &mut Sender,
    source: &mut Signal,
    lines: &mut Lines,
    stop: &Stop,
    start: Instant,
) -> Result<Pace, SendError> {
    let mut worst = Duration::ZERO;
    let mut interrupted = false;
    while let Some(slot) = sender.next(source)? {
        let due = start + slot.due.to_duration();
        if !interrupted {
            interrupted = !send_until(due, lines, stop)?;
            if !interrupted {
                worst = worst.max(Instant::now().saturating_duration_since(due));
            }
        }
        // The slot at hand is in the record, so it leaves even if the end came while it waited; so does, at once, what
        // was held back.
        for (sent, datagram) in slot.packets() {
            lines.send(slot.position, due, &sent, datagram)?;
        }
        if interrupted {
            sender.stop();
        }
    }
    // What waits for the later leg leaves in its time, or at once if a signal came.
    while let Some(due) = lines.next_due() {
        interrupted |= !sleep_until(due, stop);
        lines.send_due(due)?;
    }
    Ok(Pace { interrupted, worst_late: Nanos(i64::try_from(worst.as_nanos()).unwrap_or(i64::MAX)) })
}

/// Sends what is due on the later leg until `due`. Whether that came before a signal did.
fn send_until(due: Instant, lines: &mut Lines, stop: &Stop) -> Result<bool, SendError> {
    while let Some(earlier) = lines.next_due().filter(|&earlier| earlier <= due) {
        if !sleep_until(earlier, stop) {
            return Ok(false);
        }
        lines.send_due(earlier)?;
    }
    Ok(sleep_until(due, stop))
}

/// Whether the time came before a signal did.
pub(super) fn sleep_until(due: Instant, stop: &Stop) -> bool {
    loop {
        if stop.is_set() {
            return false;
        }
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        thread::park_timeout(left);
    }
}
