//! What the sequence numbers of one source tell: what is missing, what came late, what came twice.
//!
//! A length comes from both counters where they agree, since the sequence number alone wraps within 8 s at 125 µs. Where they
//! do not, the limits of RFC 3550 A.1 hold: a small step is believed by itself, a large one waits for its second.

use audyn_units::{RtpTime, SeqNo};
use audyn_wire::rtp::Header;

use super::super::history::History;

/// RFC 3550 A.1: a gap up to this is a gap; from here on it is another beginning until a second packet says so, too.
const MAX_DROPOUT: i64 = 3_000;

/// How far back a packet may be and still be a straggler, as the receiver has it.
pub(super) const MAX_MISORDER: i64 = 200;

/// Where a packet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// After all that came before; `missing` packets between them have not come yet.
    Ahead { missing: u64 },
    /// After a later one. It had been counted as missing.
    Behind,
    /// Before the first that ever came; `missing` packets between them have not come.
    Before { missing: u64 },
    /// It had come before.
    Again,
    /// It fits to nothing, and waits for a second.
    Doubtful,
    /// The second: the counters go on here. The one that waited before counts, too.
    Restarted,
}

#[derive(Debug, Clone)]
pub(super) struct Sequence {
    /// Packets from the first of the run to the furthest, both included.
    run: u64,
    /// Those of the runs before.
    before: u64,
    history: History,
    seq: SeqNo,
    timestamp: RtpTime,
    frames: u32,
    doubtful: Option<(SeqNo, RtpTime)>,
}

impl Sequence {
    pub(super) fn new(first: &Header, frames: u32) -> Self {
        Self {
            run: 1,
            before: 0,
            history: History::new(first.sequence),
            seq: first.sequence,
            timestamp: first.timestamp,
            frames,
            doubtful: None,
        }
    }

    /// Packets that should have come: the extended highest number less the first, plus one (RFC 3550 A.3), over all runs.
    pub(super) fn expected(&self) -> u64 {
        self.before + self.run
    }

    /// Places a packet.
    pub(super) fn place(&mut self, header: &Header, frames: u32) -> Place {
        let Some(steps) = self.steps(header) else { return self.doubt(header, frames) };
        self.doubtful = None;
        if steps > 0 {
            if steps <= i64::from(i16::MAX) {
                self.history.note(header.sequence);
            } else {
                self.history = History::new(header.sequence);
            }
            self.run += steps as u64;
            self.seq = header.sequence;
            self.timestamp = header.timestamp;
            self.frames = frames;
            return Place::Ahead { missing: steps as u64 - 1 };
        }
        if self.history.note(header.sequence) {
            return Place::Again;
        }
        let back = steps.unsigned_abs();
        if back >= self.run {
            let missing = back - self.run;
            self.run = back + 1;
            return Place::Before { missing };
        }
        Place::Behind
    }

    /// Takes another source's first packet; what was expected of the one before stays.
    pub(super) fn restart(&mut self, first: &Header, frames: u32) {
        *self = Self { before: self.expected(), ..Self::new(first, frames) };
    }

    /// Packets from the furthest one to this one, if that can be told.
    fn steps(&self, header: &Header) -> Option<i64> {
        let near = i64::from(header.sequence.distance_from(self.seq));
        let ticks = i64::from(header.timestamp.distance_from(self.timestamp));
        let frames = i64::from(self.frames);
        let told = ticks / frames;
        let agree = ticks % frames == 0 && (told - near) % 65_536 == 0;
        let steps = if agree { told } else { near };
        let far = if agree { i64::MAX } else { MAX_DROPOUT };
        (-MAX_MISORDER..=far).contains(&steps).then_some(steps)
    }

    fn doubt(&mut self, header: &Header, frames: u32) -> Place {
        let expected = self.doubtful.replace((header.sequence.next(), header.timestamp.advanced(frames)));
        if expected != Some((header.sequence, header.timestamp)) {
            return Place::Doubtful;
        }
        let first = Header {
            sequence: header.sequence.previous(),
            timestamp: header.timestamp.advanced(frames.wrapping_neg()),
            ..*header
        };
        self.restart(&first, frames);
        self.place(header, frames);
        Place::Restarted
    }
}

#[cfg(test)]
mod tests {
    use audyn_units::{PayloadType, Ssrc};

    use super::*;

    fn header(seq: i64, ticks: i64) -> Header {
        Header {
            marker: false,
            payload_type: PayloadType::DYNAMIC,
            sequence: SeqNo(seq as u16),
            timestamp: RtpTime(ticks as u32),
            ssrc: Ssrc(1),
        }
    }

    fn nth(n: i64) -> Header {
        header(65_530 + n, (1 << 32) - 100 + n * 6)
    }

    #[test]
    fn places_across_both_wraps() {
        let mut sequence = Sequence::new(&nth(0), 6);
        assert_eq!(sequence.place(&nth(1), 6), Place::Ahead { missing: 0 });
        assert_eq!(sequence.place(&nth(20), 6), Place::Ahead { missing: 18 });
        assert_eq!(sequence.place(&nth(19), 6), Place::Behind);
        assert_eq!(sequence.place(&nth(19), 6), Place::Again);
        assert_eq!(sequence.place(&nth(20), 6), Place::Again);
        assert_eq!(sequence.place(&nth(-3), 6), Place::Before { missing: 2 });
        assert_eq!(sequence.place(&nth(-2), 6), Place::Behind);
        assert_eq!(sequence.expected(), 24);
    }

    #[test]
    fn an_outage_longer_than_the_sequence_wraps_is_counted_by_the_timestamp() {
        let mut sequence = Sequence::new(&nth(0), 6);
        // 30 s of 125 µs packets: the sequence number came round three times.
        assert_eq!(sequence.place(&nth(240_000), 6), Place::Ahead { missing: 239_999 });
        assert_eq!(sequence.expected(), 240_001);
        assert_eq!(sequence.place(&nth(239_999), 6), Place::Behind);
        // A copy from long before, whose sequence number alone would look like one ahead.
        assert_eq!(sequence.place(&nth(200_000), 6), Place::Doubtful);
    }

    #[test]
    fn another_beginning_needs_two() {
        let mut sequence = Sequence::new(&nth(0), 6);
        for n in 1..10 {
            sequence.place(&nth(n), 6);
        }
        assert_eq!(sequence.place(&header(30_000, 5), 6), Place::Doubtful, "a stray");
        assert_eq!(sequence.place(&nth(10), 6), Place::Ahead { missing: 0 });
        assert_eq!(
            sequence.place(&header(30_001, 11), 6),
            Place::Doubtful,
            "a stray's second after the flow went on"
        );
        assert_eq!(sequence.place(&header(30_002, 17), 6), Place::Restarted);
        assert_eq!(sequence.place(&header(30_003, 23), 6), Place::Ahead { missing: 0 });
        assert_eq!(sequence.expected(), 11 + 3);
    }

    #[test]
    fn a_replay_from_the_start_is_another_beginning() {
        let mut sequence = Sequence::new(&nth(0), 6);
        for n in 1..5_000 {
            sequence.place(&nth(n), 6);
        }
        assert_eq!(sequence.place(&nth(0), 6), Place::Doubtful);
        assert_eq!(sequence.place(&nth(1), 6), Place::Restarted);
        assert_eq!(sequence.place(&nth(2), 6), Place::Ahead { missing: 0 });
        assert_eq!(sequence.expected(), 5_003);
    }

    #[test]
    fn timestamps_that_jump_leave_the_sequence_alone() {
        let mut sequence = Sequence::new(&nth(0), 6);
        assert_eq!(sequence.place(&header(65_533, 77), 6), Place::Ahead { missing: 2 });
        assert_eq!(sequence.expected(), 4);
    }
}
