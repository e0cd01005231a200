//! The source that a flow is received from, and how its counters are read.
//!
//! Owns: where a source's sequence and timestamp stood last. Never: a decision; the receiver decides.

use audyn_units::{FrameIndex, Mono, Nanos, RtpTime, SeqNo, Ssrc, Timestamp};
use audyn_wire::rtp::Header;

use super::DRIFT_PPM;
use super::arrival::ArrivalClock;
use super::drift::DriftMeter;
use super::history::History;
use super::legs::Reference;

/// A packet may be this many places late and still be a straggler. RFC 3550 A.1 has 100, for packets of 20 ms; here the
/// reorder window alone is 192 packets wide, of 5 frames at 48 kHz.
pub(super) const MAX_MISORDER: i16 = 200;

/// The source that is received, as of its furthest packet.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) ssrc: Ssrc,
    pub(super) seq: SeqNo,
    pub(super) timestamp: RtpTime,
    pub(super) at: FrameIndex,
    pub(super) frames: u32,
    /// Of its longest packet: what a packet that is missing may have held.
    pub(super) longest: u32,
    pub(super) arrival: Timestamp<Mono>,
    pub(super) history: History,
    pub(super) clock: ArrivalClock,
    pub(super) drift: DriftMeter,
}

impl Source {
    /// Its furthest packet.
    pub(super) fn newest(&self) -> Reference {
        let Self { seq, timestamp, at, frames, .. } = *self;
        Reference { seq, timestamp, at, frames }
    }
}

/// Where a source's counters stood when they broke. Late packets from before the break are told by it.
#[derive(Debug)]
pub(super) struct Former {
    pub(super) ssrc: Ssrc,
    pub(super) seq: SeqNo,
    pub(super) timestamp: RtpTime,
    pub(super) frames: u32,
    pub(super) arrival: Timestamp<Mono>,
}

impl Former {
    pub(super) fn of(source: &Source) -> Self {
        let Source { ssrc, seq, timestamp, frames, arrival, .. } = *source;
        Self { ssrc, seq, timestamp, frames, arrival }
    }

    /// Whether a packet still counts as before the break, by `misorder` places at most, and came within `patience` of it.
    pub(super) fn counts(
        &self,
        header: &Header,
        arrival: Timestamp<Mono>,
        patience: Nanos,
        misorder: i16,
    ) -> bool {
        let steps = header.sequence.distance_from(self.seq);
        let ticks = header.timestamp.distance_from(self.timestamp);
        header.ssrc == self.ssrc
            && arrival - self.arrival <= patience
            && (-misorder..=misorder).contains(&steps)
            && i64::from(ticks) == i64::from(steps) * i64::from(self.frames)
    }
}

/// How far two clocks may have parted in `span`.
pub(super) fn drift(span: Nanos) -> Nanos {
    Nanos(span.0 / 1_000_000 * DRIFT_PPM)
}

pub(super) fn shifted(at: FrameIndex, by: i64) -> FrameIndex {
    FrameIndex(at.0.saturating_add_signed(by))
}

/// The position that a timestamp means: of all that are equal modulo 2³², the one next to `expected`.
pub(super) fn unwrapped(source: &Source, timestamp: RtpTime, expected: FrameIndex) -> FrameIndex {
    let near = shifted(source.at, i64::from(timestamp.distance_from(source.timestamp)));
    let turns = (expected.distance_from(near) + (1 << 31)) >> 32;
    shifted(near, turns << 32)
}
