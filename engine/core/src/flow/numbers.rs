//! How many packets a sender has sent, as the sequence numbers of the furthest packet of any leg tell.
//!
//! Owns: a number for each packet, which doesn't wrap and is the same on both legs. Never: a leg, or a place.
//!
//! Frames don't tell it: a sender that pauses while its clock runs on, or whose timestamps leap, leaves out frames and sends no packet less. A
//! sequence number alone doesn't either, since it wraps; how often it did is told by the positions, where both say the same as far as the
//! number reaches. Where it goes on elsewhere (a sender that began anew), nothing is known to be missing: the packet is the next, of another run.

use super::history::SPAN;
use super::legs::Reference;

/// A sequence number further ahead than this goes on elsewhere, unless the position says the same.
const FURTHEST_AHEAD: i16 = 1_000;

/// A packet's number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Number {
    /// Counted from the first packet of the flow as it stands.
    pub(super) at: i64,
    /// How often the sequence numbers had gone on elsewhere.
    pub(super) run: u32,
}

/// The numbers of a flow.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    furthest: Option<(Reference, Number)>,
}

impl Numbers {
    /// The number of a packet of the flow, on whichever leg it came.
    pub(super) fn of(&mut self, place: &Reference) -> Number {
        let Some((furthest, number)) = &mut self.furthest else {
            self.furthest = Some((*place, Number::default()));
            return Number::default();
        };
        let steps = place.seq.distance_from(furthest.seq);
        let packets = place.at.distance_from(furthest.at) / i64::from(furthest.frames.max(1));
        if packets > 0 && packets as u16 == steps as u16 {
            number.at += packets;
        } else if (1..FURTHEST_AHEAD).contains(&steps) {
            number.at += i64::from(steps);
        } else if (-(SPAN as i32)..=0).contains(&i32::from(steps)) {
            return Number { at: number.at + i64::from(steps), ..*number };
        } else {
            *number = Number { at: number.at + 1, run: number.run.wrapping_add(1) };
        }
        *furthest = *place;
        *number
    }

    /// The number of the furthest packet.
    pub(super) fn furthest(&self) -> i64 {
        self.furthest.map_or(0, |(_, number)| number.at)
    }

    /// The flow stands on a new anchor: what follows is counted from there.
    pub(super) fn anchored(&mut self) {
        self.furthest = None;
    }
}

#[cfg(test)]
mod tests {
    use audyn_units::{FrameIndex, RtpTime, SeqNo};

    use super::*;

    fn packet(seq: u16, at: u64) -> Reference {
        Reference { seq: SeqNo(seq), timestamp: RtpTime(at as u32), at: FrameIndex(at), frames: 48 }
    }

    #[test]
    fn packets_are_counted_and_not_frames() {
        let mut numbers = Numbers::default();
        let mut told = |seq, at| {
            let Number { at, run } = numbers.of(&packet(seq, at));
            (at, run)
        };
        assert_eq!(told(65_530, 1_000_000), (0, 0));
        assert_eq!(told(65_531, 1_000_048), (1, 0));
        assert_eq!(told(3, 1_000_432), (9, 0), "across the wrap, seven missing");
        assert_eq!(told(65_534, 1_000_192), (4, 0), "the other leg's, or late");
        assert_eq!(told(4, 4_000_000), (10, 0), "a pause is no packet");
        assert_eq!(told(4, 4_000_000 + 2 * 65_536 * 48), (10 + 2 * 65_536, 0), "two whole turns");
        assert_eq!(told(30_000, 11_000_000), (11 + 2 * 65_536, 1), "elsewhere: the next");
        assert_eq!(told(30_001, 11_000_048), (12 + 2 * 65_536, 1));
    }
}
