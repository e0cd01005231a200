//! What really happened to a sender's audio: the ledger that a receiver's own ledger is held against.
//!
//! Owns: the record, and its arithmetic. Never: a guess; each entry is made at the moment it happens.
//!
//! Positions count frames of the sender's media clock from its start, 0, and run on through every pause: position
//! and time since the start are one thing in two units.

use audyn_units::{ChannelCount, Encoding, FrameCount, FrameIndex, RtpTime, SampleRate, SeqNo, Ssrc};
use serde::{Deserialize, Serialize};

/// A stretch of the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Its first frame.
    pub start: FrameIndex,
    /// Its length.
    pub frames: FrameCount,
}

impl Span {
    /// The frame after its last one.
    pub fn end(self) -> FrameIndex {
        self.start + self.frames
    }
}

/// Stretches in order, none touching another: neighbours are joined as they are put in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spans(Vec<Span>);

impl Spans {
    /// Adds a stretch. What it shares with stretches that are there already counts once.
    pub fn insert(&mut self, span: Span) {
        if span.frames == FrameCount::ZERO {
            return;
        }
        let from = self.0.partition_point(|other| other.end() < span.start);
        let to = self.0.partition_point(|other| other.start <= span.end());
        let joined = &self.0[from..to];
        let start = joined.first().map_or(span.start, |other| other.start.min(span.start));
        let end = joined.last().map_or(span.end(), |other| other.end().max(span.end()));
        self.0.splice(from..to, [Span { start, frames: end.since(start) }]);
    }

    /// The stretches, in order.
    pub fn as_slice(&self) -> &[Span] {
        &self.0
    }

    /// The length of all stretches together.
    pub fn frames(&self) -> FrameCount {
        self.0.iter().fold(FrameCount::ZERO, |sum, span| sum + span.frames)
    }

    /// Whether `position` lies in one of them.
    pub fn contains(&self, position: FrameIndex) -> bool {
        let place = self.0.partition_point(|span| span.end() <= position);
        self.0.get(place).is_some_and(|span| span.start <= position)
    }
}

/// What goes on while a source is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseKind {
    /// The path is cut: sequence numbers and timestamps run on unseen.
    Outage,
    /// The source is silent while its media clock runs on: timestamps run on, sequence numbers stand still.
    Running,
    /// The source stands still: after the pause, its timestamps and sequence numbers go on as if there had been none.
    Frozen,
}

/// A time in which nothing was sent, in whole packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// When.
    #[serde(flatten)]
    pub span: Span,
    /// What its timestamps and sequence numbers did.
    pub kind: PauseKind,
}

/// A step in what the headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Step {
    /// The source took another identifier.
    Ssrc {
        /// The one before.
        from: Ssrc,
        /// The one from here on.
        to: Ssrc,
    },
    /// The sequence numbers went on elsewhere.
    Sequence {
        /// The number that would have come.
        from: SeqNo,
        /// The number that came.
        to: SeqNo,
    },
    /// The timestamps went on elsewhere.
    Timestamp {
        /// How many frames later than it would have been (earlier, if negative).
        frames: i64,
    },
}

/// A step, and the position that it counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The first position that the step applies to; the start of a packet, which may itself have been lost.
    pub position: FrameIndex,
    /// What changed.
    #[serde(flatten)]
    pub step: Step,
}

/// A packet that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The position of its first frame.
    pub position: FrameIndex,
    /// Its sequence number.
    pub sequence: SeqNo,
    /// Its timestamp.
    pub timestamp: RtpTime,
    /// Its source.
    pub ssrc: Ssrc,
}

/// The whole record of a run. It grows with each separate fault, by 16 bytes, and not with time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// Frames per second.
    pub rate: SampleRate,
    /// Channels of the stream.
    pub channels: ChannelCount,
    /// How the samples lay in the packets.
    pub encoding: Encoding,
    /// Frames in each packet.
    pub packet_frames: u32,
    /// The seed of the faults.
    pub seed: u64,
    /// The timestamp of position 0.
    pub first_timestamp: RtpTime,
    /// Frames that passed on the media clock: sent, lost and paused together.
    pub frames: FrameCount,
    /// Packets that were sent, copies not counted.
    pub packets: u64,
    /// Datagrams that left: packets and copies.
    pub datagrams: u64,
    /// The sent packet with the earliest position.
    pub first: Option<Sent>,
    /// The sent packet with the latest position.
    pub last: Option<Sent>,
    /// Positions that were made into packets which never left (loss, bursts).
    pub lost: Spans,
    /// Times when the source was away.
    pub pauses: Vec<Pause>,
    /// Positions that left twice.
    pub duplicated: Spans,
    /// Positions that left after a later position had left.
    pub reordered: Spans,
    /// Steps in the headers, in order.
    pub changes: Vec<Change>,
}

impl Truth {
    /// Every position that never left, whatever the cause: what a perfect receiver's gap ledger holds.
    pub fn never_sent(&self) -> Spans {
        let mut all = self.lost.clone();
        for pause in &self.pauses {
            all.insert(pause.span);
        }
        all
    }

    /// The timestamp that position `position` has, or would have had.
    pub fn timestamp_of(&self, position: FrameIndex) -> RtpTime {
        let passed = self.changes.iter().take_while(|change| change.position <= position);
        let steps = passed.fold(0u32, |sum, change| match change.step {
            Step::Timestamp { frames } => sum.wrapping_add(frames as u32),
            Step::Ssrc { .. } | Step::Sequence { .. } => sum,
        });
        self.first_timestamp.advanced(position.0 as u32).advanced(steps)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(start: u64, frames: u64) -> Span {
        Span { start: FrameIndex(start), frames: FrameCount(frames) }
    }

    fn spans(of: &[(u64, u64)]) -> Spans {
        let mut out = Spans::default();
        of.iter().for_each(|&(start, frames)| out.insert(span(start, frames)));
        out
    }

    #[test]
    fn neighbours_are_joined_in_any_order() {
        assert_eq!(spans(&[(0, 5), (5, 5)]).as_slice(), [span(0, 10)]);
        assert_eq!(spans(&[(5, 5), (0, 5)]).as_slice(), [span(0, 10)]);
        assert_eq!(spans(&[(0, 5), (10, 5), (5, 5)]).as_slice(), [span(0, 15)]);
        assert_eq!(spans(&[(0, 5), (6, 4)]).as_slice(), [span(0, 5), span(6, 4)]);
        assert_eq!(spans(&[(20, 5), (0, 0), (3, 1), (1, 30)]).as_slice(), [span(1, 30)]);
    }

    proptest! {
        #[test]
        fn spans_are_the_set_of_their_positions(of in prop::collection::vec((0u64..60, 0u64..8), 0..20)) {
            let joined = spans(&of);
            for p in 0..70 {
                let wanted = of.iter().any(|&(start, frames)| (start..start + frames).contains(&p));
                prop_assert_eq!(joined.contains(FrameIndex(p)), wanted, "{}", p);
            }
            prop_assert!(joined.as_slice().windows(2).all(|w| w[0].end() < w[1].start));
            prop_assert!(joined.as_slice().iter().all(|s| s.frames.0 > 0));
        }
    }
}
