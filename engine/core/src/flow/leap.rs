//! Holes that the sender itself makes: its timestamps leap over frames of which no packet is missing.
//!
//! Owns: which hole that is, and whether the sender paused or jumped. Never: fills it. It waits as any
//! other does, since what came before the leap may come out of order.
//!
//! A hole counts as a leap if more than half of it is not accounted for by the missing packets: then a packet that is lost beside it hides
//! nothing, and packets that are not all of one length are no leap: each that is missing may have been as long as the longest. If as much time has passed as the timestamps say, the sender
//! paused while its clock ran on: nothing came, and nothing was lost.

use audyn_units::{FrameCount, FrameIndex, Nanos, SampleRate};

/// So many are known at once; they are forgotten as the holes are filled. Of a sender that leaps more often within a window, the others'
/// holes count as loss.
const KNOWN: usize = 64;

/// Whether a hole of so many frames is a leap, where the packets that are missing in it held `explained`.
pub(super) fn is_leap(hole: i64, explained: i64) -> bool {
    hole - explained > explained.max(0)
}

/// Whether a leap over a `hole` is a pause: so much time `passed` between the arrival of a packet of `frames` before it and one after it.
pub(super) fn is_pause(hole: i64, frames: u32, passed: Nanos, rate: SampleRate) -> bool {
    let span = |frames: u64| rate.duration(FrameCount(frames));
    let longer = passed - span(u64::from(frames));
    longer + longer >= span(hole.unsigned_abs())
}

/// A leap of the sender's timestamps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leap {
    /// The frame at which the hole begins, as it was when the leap was found, and the one after it. Packets that come later may make it
    /// shorter at either end.
    pub(super) from: FrameIndex,
    pub(super) to: FrameIndex,
    /// By how many frames the timestamps went further than the packets.
    pub(super) frames: i64,
    /// The sender paused, and its clock ran on.
    pub(super) paused: bool,
}

/// The last leaps whose holes are not filled yet.
#[derive(Debug)]
pub(super) struct Leaps {
    known: [Option<Leap>; KNOWN],
    next: usize,
}

impl Default for Leaps {
    fn default() -> Self {
        Self { known: [None; KNOWN], next: 0 }
    }
}

impl Leaps {
    pub(super) fn note(&mut self, leap: Leap) {
        self.known[self.next] = Some(leap);
        self.next = (self.next + 1) % KNOWN;
    }

    /// The leap that made the hole between these frames, which is forgotten. What is missing beside it is less than it leapt over, so of several
    /// holes where it found one, the one that is long enough is its own.
    pub(super) fn take(&mut self, head: FrameIndex, next: FrameIndex) -> Option<Leap> {
        let hole = next.distance_from(head);
        let made = |leap: &Leap| head < leap.to && leap.from < next && next <= leap.to && leap.frames <= hole;
        self.known.iter_mut().find(|known| known.as_ref().is_some_and(made))?.take()
    }
}
