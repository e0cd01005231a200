//! What goes wrong on the way, by plan and by seeded chance.
//!
//! Owns: the decision what becomes of each packet. Never: the packet itself, a generator that isn't seeded.
//!
//! Each kind of fault draws from a generator of its own, once a packet, whether or not the packet is sent. So two
//! runs with one seed lose the same packets, even if one of them also reorders or pauses.

use audyn_units::{FrameCount, FrameIndex, RtpTime, SeqNo, Ssrc};
use rand_core::Rng;
use rand_pcg::Pcg32;

use super::SenderError;
use super::truth::PauseKind;

/// How likely something is, for each packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chance {
    /// Of 2³² draws, how many hit.
    hits: u64,
}

impl Chance {
    /// Never.
    pub const NEVER: Self = Self { hits: 0 };

    /// A probability from 0 to 1, kept to one part in 2³².
    pub fn new(probability: f64) -> Result<Self, SenderError> {
        if !(0.0..=1.0).contains(&probability) {
            return Err(SenderError::Chance { probability });
        }
        Ok(Self { hits: (probability * (1u64 << 32) as f64).round() as u64 })
    }

    /// Which of two things hits, each with this chance and never both (if it is at most a half).
    pub(super) fn one_of_two(self, random: &mut Pcg32) -> Option<usize> {
        let draw = u64::from(random.next_u32());
        match self.hits {
            hits if draw < hits => Some(0),
            hits if draw < hits * 2 => Some(1),
            _ => None,
        }
    }

    fn draw(self, random: &mut Pcg32) -> bool {
        u64::from(random.next_u32()) < self.hits
    }
}

/// Something that happens with a certain chance, to a certain extent in packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Random {
    /// How likely, for each packet.
    pub chance: Chance,
    /// How far, in packets; what that means is said where it is used.
    pub packets: u32,
}

/// A fault at a stated position. It takes effect with the first packet that starts there or later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// From where on.
    pub at: FrameIndex,
    /// What happens.
    pub fault: Fault,
}

/// What can happen at a stated position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// So many packets are lost.
    Lose {
        /// How many.
        packets: u32,
    },
    /// The packet is held back until so many later ones have had their turn.
    Delay {
        /// How many.
        packets: u32,
    },
    /// The packet is sent again, so many packets later; 0 is at once.
    Duplicate {
        /// How many.
        packets: u32,
    },
    /// The source goes away: packets that start at the stated position or within `length` after it are not sent.
    /// Pauses must not overlap.
    Pause {
        /// For how long.
        length: FrameCount,
        /// What its counters do meanwhile.
        kind: PauseKind,
    },
    /// The source takes another identifier; none given, one is drawn. Its counters go on.
    SsrcChange {
        /// The new identifier.
        to: Option<Ssrc>,
    },
    /// The sequence numbers go on at `to`. Timestamps go on.
    SequenceReset {
        /// The next number.
        to: SeqNo,
    },
    /// The timestamps step by so many frames, back if negative. The audio goes on without a break.
    Jump {
        /// How far.
        frames: i64,
    },
}

/// All faults of a run; the default has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Impairments {
    /// Single packets are lost.
    pub loss: Chance,
    /// Runs of exactly `packets` packets are lost; a run that begins within another prolongs it.
    pub burst: Random,
    /// Packets are held back by 1 to `packets` packets, each equally likely.
    pub reorder: Random,
    /// Packets are sent twice, the copy 0 to `packets` packets later, each equally likely.
    pub duplicate: Random,
    /// Faults at stated positions, in any order.
    pub events: Vec<Event>,
}

impl Impairments {
    /// Checks what can't be meant.
    pub(super) fn validate(&self) -> Result<(), SenderError> {
        for (what, random) in [("burst", &self.burst), ("reorder", &self.reorder)] {
            if random.chance != Chance::NEVER && random.packets == 0 {
                return Err(SenderError::NoExtent { what });
            }
        }
        let delays = [self.reorder.packets, self.duplicate.packets].into_iter();
        let stated = self.events.iter().filter_map(|event| match event.fault {
            Fault::Delay { packets } | Fault::Duplicate { packets } => Some(packets),
            _ => None,
        });
        if let Some(packets) = delays.chain(stated).find(|&packets| packets > MAX_DELAY) {
            return Err(SenderError::Delay { packets, max: MAX_DELAY });
        }
        let mut until = FrameIndex(0);
        for event in sorted(&self.events) {
            if let Fault::Pause { length, .. } = event.fault {
                if event.at < until {
                    return Err(SenderError::PausesOverlap { at: event.at });
                }
                until = FrameIndex(event.at.0.saturating_add(length.0));
            }
        }
        Ok(())
    }
}

/// The farthest that a packet is held back, in packets: each one that is under way holds a buffer.
pub const MAX_DELAY: u32 = 10_000;

fn sorted(events: &[Event]) -> Vec<Event> {
    let mut events = events.to_vec();
    events.sort_by_key(|event| event.at);
    events
}

/// Source identifier, first sequence number and first timestamp out of a seed, for who doesn't choose them himself:
/// unpredictable to others, as RFC 3550 §5.1 asks, and yet the same again for the same seed.
pub fn draw_identity(seed: u64) -> (Ssrc, SeqNo, RtpTime) {
    let mut random = Pcg32::new(seed, 6);
    (Ssrc(random.next_u32()), SeqNo((random.next_u32() >> 16) as u16), RtpTime(random.next_u32()))
}

/// What becomes of one packet by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) lost: bool,
    /// Held back by so many packets.
    pub(super) delay: u32,
    /// Sent again, so many packets after that.
    pub(super) copy: Option<u32>,
}

/// The faults of a run as it goes on.
#[derive(Debug)]
pub(super) struct Plan {
    loss: (Chance, Pcg32),
    burst: (Random, Pcg32),
    reorder: (Random, Pcg32),
    duplicate: (Random, Pcg32),
    identifiers: Pcg32,
    /// Packets that are still to be lost of a run.
    losing: u32,
    /// What is still to happen, the next one last.
    events: Vec<Event>,
}

impl Plan {
    pub(super) fn new(impairments: &Impairments, seed: u64) -> Self {
        let generator = |stream| Pcg32::new(seed, stream);
        let mut events = sorted(&impairments.events);
        events.reverse();
        Self {
            loss: (impairments.loss, generator(1)),
            burst: (impairments.burst, generator(2)),
            reorder: (impairments.reorder, generator(3)),
            duplicate: (impairments.duplicate, generator(4)),
            identifiers: generator(5),
            losing: 0,
            events,
        }
    }

    /// The next event whose position is reached, if there is one.
    pub(super) fn due(&mut self, position: FrameIndex) -> Option<Event> {
        self.events.pop_if(|event| event.at <= position)
    }

    pub(super) fn lose(&mut self, packets: u32) {
        self.losing = self.losing.max(packets);
    }

    /// An identifier that isn't `old`.
    pub(super) fn identifier(&mut self, old: Ssrc) -> Ssrc {
        loop {
            let new = Ssrc(self.identifiers.next_u32());
            if new != old {
                return new;
            }
        }
    }

    /// Draws one packet's fate; to be called once for each packet, sent or not.
    pub(super) fn draw(&mut self) -> Fate {
        let single = self.loss.0.draw(&mut self.loss.1);
        if self.burst.0.chance.draw(&mut self.burst.1) {
            self.lose(self.burst.0.packets);
        }
        let lost = single || self.losing > 0;
        self.losing = self.losing.saturating_sub(1);
        // Both numbers are drawn each time, so that one packet's fate doesn't shift the next one's.
        let held = self.reorder.0.chance.draw(&mut self.reorder.1);
        let by = below(&mut self.reorder.1, self.reorder.0.packets) + 1;
        let twice = self.duplicate.0.chance.draw(&mut self.duplicate.1);
        let after = below(&mut self.duplicate.1, self.duplicate.0.packets.saturating_add(1));
        Fate { lost, delay: if held { by } else { 0 }, copy: twice.then_some(after) }
    }
}

/// A number below `bound` (0 for a bound of 0), each equally likely to one part in 2³².
fn below(random: &mut Pcg32, bound: u32) -> u32 {
    ((u64::from(random.next_u32()) * u64::from(bound)) >> 32) as u32
}
