//! Packets that wait to be believed.
//!
//! Owns: a bounded store of packets of one would-be source, in arrival order. Never: a decision; the receiver decides.

use core::net::SocketAddr;

use audyn_units::{FrameCount, Mono, Nanos, RtpTime, SampleRate, SeqNo, Ssrc, Timestamp};
use audyn_wire::rtp::Header;

use super::history::{History, SPAN};
use super::pins::Came;
use super::{FlowFormat, Leg};

/// What made the packets wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The flow has no source yet.
    First,
    /// Another SSRC than the flow's.
    Foreign,
    /// The flow's SSRC from another address than its leg follows.
    Elsewhere,
    /// The flow's SSRC with timestamps that agree neither with its last packet nor with the arrival clock.
    Jump,
    /// The flow's SSRC, with both counters back by the same way: old copies, or a sender that began again.
    Back,
    /// The flow's SSRC, in sequence, but in a place that was filled during an outage: the sender's clock had stopped.
    Behind,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) arrival: Timestamp<Mono>,
    pub(super) header: Header,
    pub(super) frames: u32,
    pub(super) leg: Leg,
    from: usize,
    to: usize,
}

#[derive(Debug)]
pub(super) struct Candidate {
    doubt: Doubt,
    ssrc: Ssrc,
    seq: SeqNo,
    timestamp: RtpTime,
    /// The address that they come from on each leg.
    from: [Option<SocketAddr>; 2],
    packets: Vec<Waiting>,
    bytes: Vec<u8>,
    /// Two legs bring each packet twice; only the first copy waits. None with one leg.
    copies: Option<History>,
}

impl Candidate {
    /// Room for the audio of `time` in packets as short as 6 frames. More than that is refused, so a flood fills nothing.
    pub(super) fn new(format: &FlowFormat, time: Nanos, two_legs: bool) -> Self {
        let frames = format.rate.frames_in(time);
        Self {
            copies: two_legs.then(|| History::new(SeqNo(0))),
            packets: Vec::with_capacity((frames.0 / 6) as usize),
            bytes: Vec::with_capacity(frames.0 as usize * format.frame_bytes()),
            ..Self::unallocated()
        }
    }

    /// A candidate without room, to stand in while the real one is read from.
    pub(super) fn unallocated() -> Self {
        Self {
            doubt: Doubt::First,
            ssrc: Ssrc(0),
            seq: SeqNo(0),
            timestamp: RtpTime(0),
            from: [None; 2],
            packets: Vec::new(),
            bytes: Vec::new(),
            copies: None,
        }
    }

    pub(super) fn doubt(&self) -> Option<Doubt> {
        (!self.packets.is_empty()).then_some(self.doubt)
    }

    pub(super) fn packets(&self) -> &[Waiting] {
        &self.packets
    }

    pub(super) fn payload(&self, packet: &Waiting) -> &[u8] {
        &self.bytes[packet.from..packet.to]
    }

    /// How a packet came.
    pub(super) fn came(&self, packet: &Waiting) -> Came<'_> {
        Came { leg: packet.leg, arrival: packet.arrival, from: self.from[packet.leg.index()].as_ref() }
    }

    pub(super) fn first(&self) -> Option<&Waiting> {
        self.packets.first()
    }

    pub(super) fn last_arrival(&self) -> Option<Timestamp<Mono>> {
        self.packets.last().map(|p| p.arrival)
    }

    /// Frames of audio that wait.
    pub(super) fn frames(&self) -> FrameCount {
        FrameCount(self.packets.iter().map(|p| u64::from(p.frames)).sum())
    }

    /// Whether the packets took as long to come as `frames` last.
    pub(super) fn span_covers(&self, rate: SampleRate, frames: FrameCount) -> bool {
        match (self.packets.first(), self.packets.last()) {
            (Some(first), Some(last)) => rate.frames_in(last.arrival - first.arrival) >= frames,
            _ => false,
        }
    }

    /// Whether a packet goes on from those that wait: one source, from one address on each leg, and sequence and timestamp tell the same distance.
    pub(super) fn agrees(&self, doubt: Doubt, came: &Came<'_>, header: &Header, frames: u32) -> bool {
        if self.packets.is_empty() || self.doubt != doubt || self.ssrc != header.ssrc {
            return false;
        }
        if self.from[came.leg.index()].is_some_and(|from| came.from.is_some_and(|other| *other != from)) {
            return false;
        }
        let steps = i64::from(header.sequence.distance_from(self.seq));
        let ticks = i64::from(header.timestamp.distance_from(self.timestamp));
        let reach = if self.copies.is_some() { SPAN as i64 / 2 } else { 100 };
        (steps != 0 || self.copies.is_some()) && steps.abs() <= reach && ticks == steps * i64::from(frames)
    }

    /// Starts anew with this packet.
    pub(super) fn restart(
        &mut self,
        doubt: Doubt,
        came: &Came<'_>,
        header: Header,
        frames: u32,
        payload: &[u8],
    ) {
        self.clear();
        self.from = [None; 2];
        if let Some(copies) = &mut self.copies {
            *copies = History::before(header.sequence);
        }
        self.doubt = doubt;
        self.ssrc = header.ssrc;
        self.seq = header.sequence;
        self.timestamp = header.timestamp;
        self.add(came, header, frames, payload);
    }

    /// Adds a packet that agrees. False if there is no room.
    pub(super) fn add(&mut self, came: &Came<'_>, header: Header, frames: u32, payload: &[u8]) -> bool {
        let Came { leg, arrival, from } = *came;
        let known = &mut self.from[leg.index()];
        *known = known.or(from.copied());
        if self.copies.as_mut().is_some_and(|copies| copies.note(header.sequence)) {
            return true;
        }
        let begin = self.bytes.len();
        let to = begin + payload.len();
        if self.packets.len() == self.packets.capacity() || to > self.bytes.capacity() {
            return false;
        }
        self.bytes.extend_from_slice(payload);
        self.packets.push(Waiting { arrival, header, frames, leg, from: begin, to });
        if header.sequence.distance_from(self.seq) > 0 {
            self.seq = header.sequence;
            self.timestamp = header.timestamp;
        }
        true
    }

    /// Forgets those of one leg; their room is free again once all are.
    pub(super) fn forget(&mut self, leg: Leg) {
        self.packets.retain(|packet| packet.leg != leg);
        self.from[leg.index()] = None;
        if self.packets.is_empty() {
            self.clear();
        }
    }

    /// Forgets all of them. Returns how many there were.
    pub(super) fn clear(&mut self) -> u64 {
        let count = self.packets.len() as u64;
        self.packets.clear();
        self.bytes.clear();
        count
    }
}
