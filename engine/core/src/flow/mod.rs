//! One flow: from datagrams to a gapless timeline.
//!
//! Owns: what a packet means and where its frames belong. Never: sockets, clocks, allocation after
//! [`Receiver::new`]. Time comes in as an argument; what came of it goes out through [`FlowSink`].
//!
//! # Invariants
//!
//! - What the sink is given is contiguous within a stretch: each call starts where the one before ended, and a frame is given
//!   once. A stretch begins where the sink is told so ([`FlowSink::placed`]), and is never moved.
//! - Frames of audio + frames of silence = frames elapsed on the media clock. Audio after a loss never moves.
//! - Every stretch of silence is in the ledger, with its cause. A position that was taken from arrival times and
//!   not from the sender's timestamps is marked estimated.
//!
//! # What a position is
//!
//! Frames since the PTP epoch (1970-01-01 00:00:00 TAI). How a flow is placed, by its media clock or by its arrival, and when
//! it is placed anew, stands in the docs of `anchor`. Without a clock ([`Receiver::on_clock`]) positions count from the base that
//! the receiver was made with.
//!
//! # How a packet finds its place
//!
//! The RTP timestamp places it. The sequence number tells neighbours and repeats, never lengths: at 125 µs
//! packets it wraps in 8 s. Timestamps are believed while they agree with the arrival clock; when they do not, the
//! packet waits as a candidate until a second one agrees with it (the probation of RFC 3550 A.1), and then the
//! flow is anchored anew at the arrival time. Timestamps that are believed and leap over frames of which no packet is missing leave a hole that the
//! sender made, and the ledger says so (`leap`).
//!
//! ```text
//!            2 packets agree                 timestamps disagree, another SSRC, or another address (`pins`)
//!   Waiting ────────────────► Receiving ───────────────────────────► candidate waits beside
//!                              ▲  │ ▲                                   │ it agrees with itself
//!           a packet in place  │  │ └───────────── anchored anew ◄──────┘ (and the old source is silent)
//!                              │  ▼ nothing for OUTAGE_MARGIN
//!                             Outage: silence follows the arrival clock, OUTAGE_MARGIN behind it
//! ```
//!
//! # Rejected
//!
//! - *A length from the sequence distance*: wrong after 8 s of outage.
//! - *Silence up to the clock without a margin*: packets that were merely late would be refused.
//! - *The reorder window emptied by the arrival clock*: it takes seconds to follow a path that became longer, and all
//!   that comes out of order would be refused meanwhile. It is emptied after as long without a packet.
//! - *Any two packets of the flow's SSRC that agree anchor it anew*: two copies from before a break would. What counts
//!   on by the counters from before is late.
//! - *Two packets confirm another SSRC while the first still sends*: two senders on one group would alternate
//!   in one file.

mod anchor;
mod arrival;
mod candidate;
mod drift;
mod history;
mod leap;
mod legs;
mod numbers;
mod patience;
mod pins;
mod receiver;
mod source;
pub mod stats;
mod window;

use core::net::SocketAddr;

use audyn_units::{
    ChannelCount, ClockQuality, Encoding, FrameCount, FrameIndex, Nanos, PayloadType, SampleRate, Ssrc,
};

pub use anchor::{AGREES_AHEAD, AGREES_BEHIND, NEWS, Placed, Placement, Why};
pub use legs::{Leg, LegCounters, LegReport, LegState};
pub use receiver::Receiver;

/// How far silence stays behind the arrival clock while nothing comes. What arrives late by less than this is taken.
pub const OUTAGE_MARGIN: Nanos = Nanos::from_millis(1_000);

/// How fast two free-running clocks may part: 200 ppm, twice the ±100 ppm that IEEE 1588 asks of one oscillator.
/// The margin and the tolerances grow by it during an outage.
pub const DRIFT_PPM: i64 = 200;

/// A source must be silent for this long before another SSRC, or another address, takes its place. Senders that packetise whole
/// buffers send nothing for about 20 ms between bursts.
pub const TAKEOVER: Nanos = Nanos::from_millis(40);

/// What is known of a flow before its first packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowFormat {
    /// Sample encoding of the payload.
    pub encoding: Encoding,
    /// Sample rate, which is also the rate of the RTP timestamps.
    pub rate: SampleRate,
    /// Channels of a frame.
    pub channels: ChannelCount,
    /// The payload type that is taken.
    pub payload_type: PayloadType,
}

impl FlowFormat {
    /// Bytes of one frame in a payload.
    pub fn frame_bytes(&self) -> usize {
        self.encoding.frame_bytes(self.channels)
    }
}

/// Why audio is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapCause {
    /// Packets were lost on the way: later ones came.
    Loss,
    /// Nothing came: for longer than [`OUTAGE_MARGIN`], or since the sender paused, whose unbroken sequence numbers tell that no packet
    /// was lost.
    Outage,
    /// The sender became another one: another SSRC, or the same from another address.
    SsrcChange,
    /// The sender's timestamps jumped; no packet, or few, was lost.
    TimestampJump,
    /// The disk was too slow for the buffer; entered by the recorder, not by the receiver.
    DiskStall,
}

impl GapCause {
    /// The name in the files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Outage => "outage",
            Self::SsrcChange => "ssrc-change",
            Self::TimestampJump => "timestamp-jump",
            Self::DiskStall => "disk-stall",
        }
    }
}

/// A line of the gap ledger: where audio is missing, how much, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Gap {
    /// The first missing frame.
    pub position: FrameIndex,
    /// How many frames of silence stand there. 0 is a joint: the sender's timeline broke, but by arrival nothing is missing.
    pub frames: FrameCount,
    /// Why.
    pub cause: GapCause,
    /// True where the end was placed by arrival time.
    pub estimated: bool,
}

/// Something that happened to the flow as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowEvent {
    /// The first source was found.
    Started {
        /// Its SSRC.
        ssrc: Ssrc,
        /// Frames in its packets.
        packet_frames: u32,
    },
    /// Another source took the place of the first.
    SsrcChanged {
        /// The one that went.
        from: Ssrc,
        /// The one that came.
        to: Ssrc,
    },
    /// The same SSRC comes from another address on this leg, whose own has fallen silent, and is followed.
    SenderMoved {
        /// The leg.
        leg: Leg,
        /// The one that went.
        from: SocketAddr,
        /// The one that came.
        to: SocketAddr,
    },
    /// Sequence numbers jumped while timestamps went on.
    SequenceReset,
    /// Timestamps jumped, by this many frames against the arrival clock.
    TimestampJumped(i64),
    /// Nothing has come for [`OUTAGE_MARGIN`].
    OutageBegan,
    /// This leg carries another stream than the other; nothing of it is taken until it carries the same again.
    LegsDiffer(Leg),
    /// The machine's clock is known better or worse than before. Nothing moves by that.
    ClockQualityChanged {
        /// How well it was known.
        from: ClockQuality,
        /// How well it is now.
        to: ClockQuality,
    },
    /// The machine's clock stepped by this much and stood by it, and the flow goes on by its own media clock: nothing moves. What was placed
    /// by arrival is placed anew instead ([`Why::ClockStepped`]).
    ClockStepped(Nanos),
}

/// Where a receiver's output goes. Samples are interleaved, left-justified in 32 bits.
pub trait FlowSink {
    /// A stretch begins: what follows stands at `placed.position`, wherever the frame before stood. No gap is open. Told
    /// before the first frame too, if the machine's clock is known.
    fn placed(&mut self, placed: &Placed);

    /// Audio, whole frames, the first of them at `at`.
    fn audio(&mut self, at: FrameIndex, samples: &[i32]);

    /// Silence in the place of audio that is missing.
    fn silence(&mut self, at: FrameIndex, frames: FrameCount);

    /// A gap begins, whose silence follows; it has at least `gap.frames`, and its end isn't known yet.
    fn gap_opened(&mut self, gap: Gap);

    /// A gap is complete; its silence was given before.
    fn gap_closed(&mut self, gap: Gap);

    /// Something happened.
    fn event(&mut self, event: FlowEvent);
}

/// What was counted since the flow was opened, in packets unless the name says otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlowCounters {
    /// Valid packets of the flow's source, repeats and late ones among them.
    pub received: u64,
    /// Bytes of those, RTP header included.
    pub bytes: u64,
    /// Came after a later one, and in time.
    pub reordered: u64,
    /// Came again.
    pub duplicated: u64,
    /// Came after their place had been filled.
    pub late: u64,
    /// Frames filled with silence.
    pub lost_frames: u64,
    /// Gaps, one that goes on among them.
    pub gaps: u64,
    /// Changes of the SSRC.
    pub ssrc_changes: u64,
    /// Jumps of the sequence number with timestamps that went on.
    pub sequence_resets: u64,
    /// Jumps of the timestamp.
    pub timestamp_jumps: u64,
    /// Refused: shorter than an RTP header.
    pub too_short: u64,
    /// Refused: not RTP version 2.
    pub bad_version: u64,
    /// Refused: CSRC list, extension or padding beyond the end.
    pub malformed: u64,
    /// Refused: another payload type.
    pub wrong_payload_type: u64,
    /// Refused: payload empty, too long, or not a whole number of frames.
    pub wrong_size: u64,
    /// Refused: cut by the kernel, since it was larger than a slot.
    pub oversized: u64,
    /// Refused: a source other than the flow's (another SSRC, or the same from another address), which was still sending, or a packet that
    /// nothing confirmed.
    pub foreign_source: u64,
}

#[cfg(test)]
mod tests;
