//! A sender of AES67 audio that knows what becomes of each of its packets.
//!
//! Owns: packetising, the faults put in on purpose, and the true record of them. Never: a socket, a clock, a
//! thread, a file; the driver sends what [`Sender::next`] returns when it is due, or hands it to a simulated
//! network.
//!
//! The timeline is cut into slots of one packet. Slot *n* holds the positions *n·F* to *(n+1)·F − 1* and is due
//! *n·F* frames after the start; nothing moves a slot. What is lost or paused leaves its slot empty, what is held
//! back leaves in a later slot.
//!
//! ```text
//!         ┌─ paused ───────────────┐
//! slot ───┼─ lost ─────────────────┼─→ Truth
//!         └─ sent ─ held back? ─ copied? ─→ datagrams of this or a later slot
//! ```

mod impair;
mod legs;
mod signal;
#[cfg(test)]
mod tests;
mod truth;

use audyn_units::{
    ChannelCount, Counted, Encoding, FrameCount, FrameIndex, Nanos, PayloadType, RtpTime, SampleRate, SeqNo,
    Ssrc,
};
use audyn_wire::pcm;
use audyn_wire::rtp::{HEADER_BYTES, Header};

pub use impair::{Chance, Event, Fault, Impairments, MAX_DELAY, Random, draw_identity};
pub use legs::{LegFates, LegFaults, LegSent, LegsTruth};
pub use signal::{Index, Source, Tone, index_identify, index_position_of, index_sample, streams};
pub use truth::{Change, Pause, PauseKind, Sent, Span, Spans, Step, Truth};

use impair::Plan;

/// The largest payload of a packet, in bytes (AES67-2018 §7.2).
pub const MAX_PAYLOAD: usize = 1440;

/// Why a sender can't be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SenderError {
    /// The packet time is not one of AES67's.
    #[error("{} a packet is outside {min} to {max} at {rate}; choose 125 µs to 4 ms", Counted((*.frames).into(), "frame"))]
    PacketTime {
        /// What was asked for.
        frames: u32,
        /// The fewest frames at this rate.
        min: u32,
        /// The most frames at this rate.
        max: u32,
        /// The rate.
        rate: SampleRate,
    },
    /// The payload is longer than a packet may be.
    #[error(
        "{} of {} {encoding} make a payload of {bytes} bytes, more than 1440; choose a shorter packet time or fewer channels",
        Counted((*.frames).into(), "frame"),
        .channels.counted()
    )]
    Payload {
        /// Frames a packet.
        frames: u32,
        /// Channels.
        channels: ChannelCount,
        /// Encoding.
        encoding: Encoding,
        /// Their product.
        bytes: usize,
    },
    /// A probability outside 0 to 1.
    #[error("the probability {probability} is outside 0 to 1; give 0 to 100 %")]
    Chance {
        /// What was asked for.
        probability: f64,
    },
    /// A random fault without an extent.
    #[error("the {what} has a chance but a length of 0 packets; give it 1 or more")]
    NoExtent {
        /// Which fault.
        what: &'static str,
    },
    /// A delay that would hold too many packets.
    #[error("a delay of {packets} packets is more than {max}; choose a shorter one")]
    Delay {
        /// What was asked for.
        packets: u32,
        /// The most that is held.
        max: u32,
    },
    /// Two pauses share a stretch of time.
    #[error("the pause at {at} begins within the one before; let pauses follow one another")]
    PausesOverlap {
        /// Where the later one begins.
        at: FrameIndex,
    },
}

/// The form of a stream's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// How samples lie in the payload.
    pub encoding: Encoding,
    /// Frames per second.
    pub rate: SampleRate,
    /// Channels of the stream.
    pub channels: ChannelCount,
    /// Frames in each packet: 125 µs to 4 ms of audio, in a payload of at most [`MAX_PAYLOAD`] bytes. At 44.1 kHz
    /// the counts are those of 48 kHz (AES67-2018 §7.2).
    pub packet_frames: u32,
}

impl Format {
    /// Bytes of a payload.
    pub const fn payload_bytes(&self) -> usize {
        self.encoding.frame_bytes(self.channels) * self.packet_frames as usize
    }

    /// Checks packet time and payload.
    pub fn validate(&self) -> Result<(), SenderError> {
        let (min, max) = if self.rate == SampleRate::HZ_96000 { (12, 384) } else { (5, 192) };
        let frames = self.packet_frames;
        if !(min..=max).contains(&frames) {
            return Err(SenderError::PacketTime { frames, min, max, rate: self.rate });
        }
        let bytes = self.payload_bytes();
        if bytes > MAX_PAYLOAD {
            let Self { channels, encoding, .. } = *self;
            return Err(SenderError::Payload { frames, channels, encoding, bytes });
        }
        Ok(())
    }
}

/// What a sender is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The form of the packets.
    pub format: Format,
    /// The payload type in the headers.
    pub payload_type: PayloadType,
    /// The source's identifier at the start.
    pub ssrc: Ssrc,
    /// The sequence number of the first packet.
    pub first_sequence: SeqNo,
    /// The timestamp of position 0. Near 2³², the wrap falls into the run.
    pub first_timestamp: RtpTime,
    /// How many packets' time to run, lost and paused ones included; none is without end.
    pub packets: Option<u64>,
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// What goes wrong.
    pub impairments: Impairments,
}

/// A datagram that has been made, perhaps under way.
#[derive(Debug)]
struct Slab {
    bytes: Vec<u8>,
    sent: Sent,
    /// How many times it is still to leave.
    uses: u8,
}

/// A datagram on its way.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// The slot that it leaves in.
    leaves: u64,
    /// The slot that it was made in.
    made: u64,
    /// Not the first to leave of its packet.
    copy: bool,
    slab: usize,
}

/// What leaves in one slot.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// The slot's first position.
    pub position: FrameIndex,
    /// When it leaves, from the start on. Never earlier than the slot before.
    pub due: Nanos,
    slabs: &'a [Slab],
    ready: &'a [Held],
}

impl Outgoing<'_> {
    /// The datagrams, RTP header included, in the order that they leave in. There may be none.
    pub fn datagrams(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.packets().map(|(_, bytes)| bytes)
    }

    /// The same, each with what it carries.
    pub fn packets(&self) -> impl ExactSizeIterator<Item = (Sent, &[u8])> {
        self.ready.iter().map(|held| {
            let slab = &self.slabs[held.slab];
            (slab.sent, slab.bytes.as_slice())
        })
    }
}

/// The sender. See the module for what it does.
#[derive(Debug)]
pub struct Sender {
    config: Config,
    plan: Plan,
    truth: Truth,
    /// The slot that comes next.
    slot: u64,
    /// The slot after the last one that makes a packet, once that is known.
    end: Option<u64>,
    sequence: SeqNo,
    ssrc: Ssrc,
    /// The sum of all steps in the timestamps.
    shift: u32,
    pause: Option<(FrameIndex, PauseKind)>,
    samples: Vec<i32>,
    slabs: Vec<Slab>,
    free: Vec<usize>,
    held: Vec<Held>,
    ready: Vec<Held>,
}

impl Sender {
    /// A sender at its start.
    pub fn new(config: Config) -> Result<Self, SenderError> {
        config.format.validate()?;
        config.impairments.validate()?;
        let Format { encoding, rate, channels, packet_frames } = config.format;
        let truth = Truth {
            rate,
            channels,
            encoding,
            packet_frames,
            seed: config.seed,
            first_timestamp: config.first_timestamp,
            frames: FrameCount::ZERO,
            packets: 0,
            datagrams: 0,
            first: None,
            last: None,
            lost: Spans::default(),
            pauses: Vec::new(),
            duplicated: Spans::default(),
            reordered: Spans::default(),
            changes: Vec::new(),
        };
        Ok(Self {
            plan: Plan::new(&config.impairments, config.seed),
            truth,
            slot: 0,
            end: config.packets,
            sequence: config.first_sequence,
            ssrc: config.ssrc,
            shift: 0,
            pause: None,
            samples: vec![0; packet_frames as usize * channels.get()],
            slabs: Vec::new(),
            free: Vec::new(),
            held: Vec::new(),
            ready: Vec::new(),
            config,
        })
    }

    /// The next slot, or none after the end, when everything that was held back has left.
    ///
    /// Takes the slot's samples from `source`. If that fails, the slot has not passed and can be asked for again.
    /// Allocates only while more packets are held back than ever before.
    pub fn next<S: Source>(&mut self, source: &mut S) -> Result<Option<Outgoing<'_>>, S::Error> {
        let Format { channels, packet_frames, rate, .. } = self.config.format;
        let slot = self.slot;
        let position = FrameIndex(slot * u64::from(packet_frames));
        if self.end.is_none_or(|end| slot < end) {
            let filled = source.fill(position, channels, &mut self.samples)?;
            if filled < packet_frames as usize {
                self.end = Some(if filled == 0 { slot } else { slot + 1 });
                self.samples[filled * channels.get()..].fill(0);
            }
            if filled > 0 {
                self.make(slot, position);
                self.truth.frames += FrameCount(u64::from(packet_frames));
            }
        }
        self.collect(slot);
        let over = self.end.is_some_and(|end| slot >= end);
        if over && self.ready.is_empty() && self.held.is_empty() {
            return Ok(None);
        }
        self.slot += 1;
        let due = rate.duration(FrameCount(position.0));
        Ok(Some(Outgoing { position, due, slabs: &self.slabs, ready: &self.ready }))
    }

    /// Makes no more packets. What is held back still comes out of [`Sender::next`].
    pub fn stop(&mut self) {
        self.end = Some(self.end.map_or(self.slot, |end| end.min(self.slot)));
    }

    /// What happened so far: all that [`Sender::next`] has returned, taken as sent.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// Decides on one packet and, if it is to leave, makes it.
    fn make(&mut self, slot: u64, position: FrameIndex) {
        let span = Span { start: position, frames: FrameCount(u64::from(self.config.format.packet_frames)) };
        if let Some((_, kind)) = self.pause.take_if(|(until, _)| *until <= position)
            && kind == PauseKind::Frozen
            && let Some(pause) = self.truth.pauses.last()
        {
            let frames = -(pause.span.frames.0 as i64);
            self.step_timestamp(position, frames);
        }
        let (mut delay, mut copy) = (0, None);
        while let Some(event) = self.plan.due(position) {
            match event.fault {
                Fault::Lose { packets } => self.plan.lose(packets),
                Fault::Delay { packets } => delay = delay.max(packets),
                Fault::Duplicate { packets } => copy = Some(packets),
                Fault::Pause { length, kind } => {
                    let until = FrameIndex(event.at.0.saturating_add(length.0));
                    if until > position {
                        self.pause = Some((until, kind));
                        let span = Span { start: position, frames: FrameCount::ZERO };
                        self.truth.pauses.push(Pause { span, kind });
                    }
                }
                Fault::SsrcChange { to } => {
                    let to = to.unwrap_or_else(|| self.plan.identifier(self.ssrc));
                    self.change(position, Step::Ssrc { from: self.ssrc, to });
                    self.ssrc = to;
                }
                Fault::SequenceReset { to } => {
                    self.change(position, Step::Sequence { from: self.sequence, to });
                    self.sequence = to;
                }
                Fault::Jump { frames } => self.step_timestamp(position, frames),
            }
        }
        let fate = self.plan.draw();

        if let Some((_, kind)) = self.pause {
            let pause = self.truth.pauses.last_mut().expect("a pause under way was entered when it began");
            pause.span.frames += span.frames;
            if kind == PauseKind::Outage {
                self.sequence = self.sequence.next();
            }
            return;
        }
        let sent = Sent {
            position,
            sequence: self.sequence,
            timestamp: self.config.first_timestamp.advanced(position.0 as u32).advanced(self.shift),
            ssrc: self.ssrc,
        };
        self.sequence = sent.sequence.next();
        if fate.lost {
            self.truth.lost.insert(span);
            return;
        }
        let slab = self.packet(sent);
        let leaves = slot + u64::from(delay.max(fate.delay));
        self.held.push(Held { leaves, made: slot, copy: false, slab });
        if let Some(after) = copy.or(fate.copy) {
            self.slabs[slab].uses = 2;
            self.held.push(Held { leaves: leaves + u64::from(after), made: slot, copy: true, slab });
        }
    }

    fn change(&mut self, position: FrameIndex, step: Step) {
        self.truth.changes.push(Change { position, step });
    }

    fn step_timestamp(&mut self, position: FrameIndex, frames: i64) {
        self.shift = self.shift.wrapping_add(frames as u32);
        self.change(position, Step::Timestamp { frames });
    }

    /// Writes the slot's samples into a datagram; returns its slab.
    fn packet(&mut self, sent: Sent) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            let bytes = vec![0; HEADER_BYTES + self.config.format.payload_bytes()];
            self.slabs.push(Slab { bytes, sent, uses: 0 });
            self.slabs.len() - 1
        });
        let slab = &mut self.slabs[place];
        slab.sent = sent;
        slab.uses = 1;
        let header = Header {
            marker: false,
            payload_type: self.config.payload_type,
            sequence: sent.sequence,
            timestamp: sent.timestamp,
            ssrc: sent.ssrc,
        };
        let (fixed, payload) =
            slab.bytes.split_first_chunk_mut().expect("every slab was made with room for the header");
        header.write(fixed);
        pcm::encode(self.config.format.encoding, &self.samples, payload);
        place
    }

    /// Gathers what leaves in `slot`: its own packet first, then what was held back, oldest first.
    fn collect(&mut self, slot: u64) {
        for held in self.ready.drain(..) {
            let slab = &mut self.slabs[held.slab];
            slab.uses -= 1;
            if slab.uses == 0 {
                self.free.push(held.slab);
            }
        }
        self.ready.extend(self.held.extract_if(.., |held| held.leaves <= slot));
        self.ready.sort_by_key(|held| (held.made != slot, held.made, held.copy));

        let frames = FrameCount(u64::from(self.config.format.packet_frames));
        for held in &self.ready {
            let sent = self.slabs[held.slab].sent;
            let span = Span { start: sent.position, frames };
            self.truth.datagrams += 1;
            if held.copy {
                self.truth.duplicated.insert(span);
                continue;
            }
            self.truth.packets += 1;
            if self.truth.last.is_some_and(|last| last.position > sent.position) {
                self.truth.reordered.insert(span);
            } else {
                self.truth.last = Some(sent);
            }
            if self.truth.first.is_none_or(|first| first.position > sent.position) {
                self.truth.first = Some(sent);
            }
        }
    }
}
