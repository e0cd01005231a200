//! For how long a hole waits where a flow comes on two legs.
//!
//! Owns: how much time has passed while packets came, and which legs lived in it. Never: a hole; the receiver gives up on those.
//!
//! # The rule
//!
//! A hole is given up once later frames lie beyond it by the window (the class's skew and 20 ms), and
//!
//! 1. each leg that lives has passed it by the reorder window (20 ms, or 10 packets if that is longer), or
//! 2. the flow passed it the window ago, or up to an eighth longer, by a clock that stands still while nothing comes, or
//! 3. the ring has no room for what waits behind it.
//!
//! Frames alone do not tell: after a stall of both legs (a switch or a kernel that held them) the one brings in an instant what was held for
//! longer than any class, and the other does so a moment later. So what a class allows is counted in time, and no time passes in which
//! nothing comes: an interval without a packet counts for [`STANDS`] at most. A leg lives for [`TAKEOVER`] of that time after its last packet. One
//! that is dead is not waited for: then the frames alone tell, as with one leg.
//!
//! # Bounds
//!
//! - Memory: the ring, which two legs give room for [`HELD`] behind the window.
//! - Latency: what is in order is given at once. What stands behind a hole waits for the window, longer only by what the flow itself
//!   stood still, and by no more than the ring holds. Where nothing comes at all, it is given after [`HELD`].
//!
//! # Rejected
//!
//! - *Waiting for a leg that lives, without a clock*: a leg that lies further behind than its class would be waited for as long as the ring
//!   lasts, and nobody would be told that the class is wrong.
//! - *The time of the wall*: a stall is what it would count.

use audyn_units::{FrameIndex, Mono, Nanos, Timestamp};

use super::{Leg, TAKEOVER};

/// The longest time that an interval between two packets counts for: twice the longest packet time of AES67.
const STANDS: Nanos = Nanos::from_millis(8);

/// Where two legs were alive and nothing comes, what waits behind a hole waits for so long; so much audio the ring holds behind the window.
pub(super) const HELD: Nanos = Nanos::from_millis(200);

/// The window is told in so many parts.
const PARTS: usize = 8;

#[derive(Debug)]
pub(super) struct Patience {
    window: Nanos,
    /// The time in which packets came.
    awake: Nanos,
    last: Timestamp<Mono>,
    /// When each leg brought its last packet, by `awake`.
    heard: [Option<Nanos>; 2],
    /// Where the flow stood at the last so many parts of the window, and with which packet's number; the oldest at `next`. And when the
    /// newest was noted.
    marks: [(FrameIndex, i64); PARTS],
    next: usize,
    marked: Nanos,
    /// Where the flow stood the window ago.
    settled: (FrameIndex, i64),
}

impl Patience {
    pub(super) fn new(window: Nanos) -> Self {
        Self {
            window,
            awake: Nanos::ZERO,
            last: Timestamp::ZERO,
            heard: [None; 2],
            marks: [(FrameIndex(0), 0); PARTS],
            next: 0,
            marked: Nanos::ZERO,
            settled: (FrameIndex(0), 0),
        }
    }

    /// Takes note of a packet of the flow, whose furthest frame is before `newest`, and whose furthest packet has `number`.
    pub(super) fn packet(&mut self, leg: Leg, arrival: Timestamp<Mono>, newest: FrameIndex, number: i64) {
        let passed = arrival - self.last;
        self.awake = self.awake + passed.max(Nanos::ZERO).min(STANDS);
        self.last = self.last.max(arrival);
        self.heard[leg.index()] = Some(self.awake);
        if self.awake - self.marked >= Nanos(self.window.0 / PARTS as i64) {
            self.settled = std::mem::replace(&mut self.marks[self.next], (newest, number));
            self.next = (self.next + 1) % PARTS;
            self.marked = self.awake;
        }
    }

    /// Packets come that have waited to be believed, the last of them since `arrival`: no time passes between them.
    pub(super) fn replay(&mut self, arrival: Timestamp<Mono>) {
        self.last = self.last.max(arrival);
    }

    /// Where the flow stood the window ago: nothing before that is waited for.
    pub(super) fn settled(&self) -> FrameIndex {
        self.settled.0
    }

    /// The number of the packet that it stood at then.
    pub(super) fn settled_number(&self) -> i64 {
        self.settled.1
    }

    /// Whether the leg brought something while the flow was last heard.
    pub(super) fn lives(&self, leg: Leg) -> bool {
        self.heard[leg.index()].is_some_and(|heard| self.awake - heard < TAKEOVER)
    }

    /// For how long a leg has brought nothing while packets of the flow came; none if it never brought one.
    pub(super) fn silence(&self, leg: Leg) -> Option<Nanos> {
        Some(self.awake - self.heard[leg.index()]?)
    }

    /// The time in which packets came.
    pub(super) fn awake(&self) -> Nanos {
        self.awake
    }

    /// The flow stands on a new anchor: what each leg brought before says nothing.
    pub(super) fn anchored(&mut self) {
        self.heard = [None; 2];
        self.marks.iter_mut().for_each(|mark| mark.1 = 0);
        self.settled.1 = 0;
    }
}
