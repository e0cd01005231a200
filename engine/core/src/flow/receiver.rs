//! The receiver of one flow: judges each packet, places its frames, and gives a gapless timeline to its sink.
//!
//! The picture of its states, its invariants and what was rejected stand in the [module](super) docs. Which packets
//! it believes when they break the timeline stands in `belief`, how it gives what it has in `release`.

mod belief;
mod release;

use core::net::SocketAddr;

use audyn_units::{ClockQuality, FrameCount, FrameIndex, Mono, Nanos, SkewClass, Ssrc, Timestamp};
use audyn_wire::pcm;
use audyn_wire::rtp::{HEADER_BYTES, Header, Packet, RtpError};

use crate::clock::TaiReading;
use crate::segment::TimeAnchor;

use super::anchor::{Anchor, Mark, Placement};
use super::candidate::{Candidate, Doubt};
use super::history::History;
use super::leap::{Leap, Leaps, is_leap, is_pause};
use super::legs::{Flow, Leg, LegReport, Legs, Reference, Sorted};
use super::patience::HELD;
use super::pins::{Came, Pins, Whose};
use super::source::{Former, MAX_MISORDER, Source, drift, shifted, unwrapped};
use super::window::Window;
use super::{FlowCounters, FlowEvent, FlowFormat, FlowSink, Gap, GapCause, OUTAGE_MARGIN, TAKEOVER};
use release::close;

/// The longest payload that is taken, in bytes: what fits into an Ethernet frame. AES67 §7.1 allows 1,440.
const MAX_PAYLOAD: usize = 1_500 - HEADER_BYTES;

/// The reorder window: at least this many packets, and at least this long (AES67 §7.4 recommends 20 packet times or 20 ms).
const REORDER_PACKETS: u64 = 10;
const REORDER_TIME: Nanos = Nanos::from_millis(20);

/// How far a timestamp that does not follow from its neighbour may lie from the arrival clock and still be believed.
const TOLERANCE: Nanos = Nanos::from_millis(250);

/// How far ahead of the arrival clock a packet may be that agrees with the one before in sequence and timestamp.
const TOLERANCE_IN_SEQUENCE: Nanos = Nanos::from_millis(1_000);

/// After this long the two counters may both have wrapped, so they no longer vouch for each other.
const COUNTERS_LAST: Nanos = Nanos::from_secs(3_600);

/// No packet for this long and the flow counts as silent.
const SILENT_AFTER: Nanos = Nanos::from_millis(250);

/// The receiver of one flow. See the [module](super) docs.
#[derive(Debug)]
pub struct Receiver {
    format: FlowFormat,
    source: Option<Source>,
    former: Option<Former>,
    candidate: Candidate,
    window: Window,
    /// Where the frames that are counted here stand.
    anchor: Anchor,
    /// The next frame that the sink gets, as it is counted here.
    head: FrameIndex,
    /// The gap that the head stands in, as it is counted here.
    open: Option<Gap>,
    /// Holes of the sender's own.
    leaps: Leaps,
    pins: Pins,
    counters: FlowCounters,
    legs: Legs,
    /// One packet's samples.
    scratch: Vec<i32>,
}

impl Receiver {
    /// A receiver whose first frame will stand at `base` if no clock is told ([`Receiver::on_clock`]) before it comes. Allocates all that it will ever need: the reorder window
    /// (80 ms of samples, and 12 packets of any length) and the store for packets in doubt (120 ms).
    pub fn new(format: FlowFormat, base: FrameIndex) -> Self {
        Self::with(format, base, None)
    }

    /// A receiver of a flow that comes on two legs (ST 2022-7), of which one may lag behind the other by a class's skew. A hole
    /// waits for the other leg as long as that and 20 ms, also after a stall of both; what is in order is given at once. So the reorder window and the
    /// store for packets in doubt grow by the skew: at 450 ms to 30 MB for 64 channels of 24 bit at 96 kHz (the ring alone
    /// 17 MB), to 0.8 MB for 2 channels at 48 kHz, and 80 kB to tell copies by.
    pub fn with_second_leg(format: FlowFormat, base: FrameIndex, skew: SkewClass) -> Self {
        Self::with(format, base, Some(skew))
    }

    fn with(format: FlowFormat, base: FrameIndex, skew: Option<SkewClass>) -> Self {
        let legs = Legs::new(format.rate, REORDER_TIME, skew);
        Self {
            format,
            source: None,
            former: None,
            candidate: Candidate::new(&format, legs.hold() + TAKEOVER * 3, legs.are_two()),
            window: Window::new(format.channels, window_frames(&format, legs.window(), skew.is_some())),
            legs,
            anchor: Anchor::new(format.rate, 0),
            head: base,
            open: None,
            leaps: Leaps::default(),
            pins: Pins::default(),
            counters: FlowCounters::default(),
            scratch: vec![0; MAX_PAYLOAD / format.encoding.bytes()],
        }
    }

    /// The same with the media clock offset of the sender's SDP (`a=mediaclk:direct=`, RFC 7273 §5.2); 0 without.
    #[must_use]
    pub fn with_media_clock(mut self, offset: Option<u32>) -> Self {
        self.anchor = Anchor::new(self.format.rate, offset.unwrap_or(0));
        self
    }

    /// What the flow carries.
    pub fn format(&self) -> &FlowFormat {
        &self.format
    }

    /// RTP timestamp less media clock, as it was told.
    pub fn media_clock_offset(&self) -> u32 {
        self.anchor.media_clock_offset()
    }

    /// What has been counted.
    pub fn counters(&self) -> &FlowCounters {
        &self.counters
    }

    /// Position of the next frame that the sink will get.
    pub fn position(&self) -> FrameIndex {
        self.anchor.shift.of(self.head)
    }

    /// How the flow was placed, and how good the machine's clock was then; none before it is.
    pub fn placement(&self) -> Option<(Placement, ClockQuality)> {
        self.anchor.placement()
    }

    /// By how many parts per million the sender's clock runs faster than this machine's, once that can be said.
    pub fn drift_ppm(&self) -> Option<f64> {
        self.source.as_ref().and_then(|source| source.drift.ppm())
    }

    /// How much later a frame arrives than its position says, by this machine's clock: the way of the packets, and what the two
    /// clocks are apart.
    pub fn behind(&self, now: Timestamp<Mono>) -> Option<Nanos> {
        self.anchor.behind(self.source.as_ref()?.clock.position_at(now), now)
    }

    /// Which instant a frame has, as of now; none while no clock has been told.
    pub fn time_anchor(&self, now: Timestamp<Mono>) -> Option<TimeAnchor> {
        let arriving = self.source.as_ref().map_or(self.head, |source| source.clock.position_at(now));
        self.anchor.time_anchor(arriving, now)
    }

    /// The sender's SSRC and the frames in its packets, once it is known.
    pub fn sender(&self) -> Option<(Ssrc, u32)> {
        self.source.as_ref().map(|source| (source.ssrc, source.frames))
    }

    /// Whether packets of the flow have come within the last quarter of a second.
    pub fn is_receiving(&self, now: Timestamp<Mono>) -> bool {
        self.source.is_some() && self.legs.last_in_step().is_some_and(|last| now - last < SILENT_AFTER)
    }

    /// What is known of a leg.
    pub fn leg(&self, leg: Leg, now: Timestamp<Mono>) -> LegReport {
        let report = self.legs.report(leg, now);
        let ssrc = if self.legs.are_two() { report.ssrc } else { self.sender().map(|(ssrc, _)| ssrc) };
        LegReport { ssrc, ..report }
    }

    /// Packets that a leg has missed since the flow was opened while it was silent, as the other one tells; and the frames of each.
    pub fn missed(&self, leg: Leg) -> (u64, u32) {
        self.legs.missed(leg)
    }

    /// The address that a leg follows, where addresses are told.
    pub fn follows(&self, leg: Leg) -> Option<SocketAddr> {
        self.pins.of(leg)
    }

    /// Counts a datagram that did not fit into a slot; what is left of it is not looked at.
    pub fn on_oversized(&mut self, leg: Leg) {
        self.counters.oversized += 1;
        self.legs.refused(leg);
    }

    /// Takes a reading of the machine's clock; to be told at each turn, before its packets. Where it shows that the flow must be
    /// placed anew, a new stretch begins here.
    pub fn on_clock(&mut self, reading: TaiReading, sink: &mut impl FlowSink) {
        if let Some((from, to)) = self.anchor.on_clock(reading) {
            sink.event(FlowEvent::ClockQualityChanged { from, to });
        }
        let Some(source) = &mut self.source else { return };
        if let Some(step) = self.anchor.outlived_step() {
            sink.event(FlowEvent::ClockStepped(step));
        }
        let now = reading.at;
        let counted = source.clock.position_at(now);
        if now - source.arrival < SILENT_AFTER {
            source.drift.observe(now, counted);
        }
        let since = counted.distance_from(source.at) as u32; // modulo 2³², as timestamps are
        let mark = Mark { timestamp: source.timestamp.advanced(since), counted, arrival: now };
        let before = self.anchor.shift;
        if let Some(placed) = self.anchor.reconsider(mark, self.head, now) {
            close(&mut self.open, before, sink);
            sink.placed(&placed);
        }
    }

    /// Takes a datagram of the first leg; see [`Self::on_leg_packet`].
    pub fn on_packet(&mut self, arrival: Timestamp<Mono>, datagram: &[u8], sink: &mut impl FlowSink) {
        self.on_leg_packet(Leg::First, arrival, datagram, sink);
    }

    /// Takes a datagram that arrived at `arrival`, from wherever. Arrivals come in order, as a socket gives them; those of two legs as well
    /// as may be.
    pub fn on_leg_packet(
        &mut self,
        leg: Leg,
        arrival: Timestamp<Mono>,
        datagram: &[u8],
        sink: &mut impl FlowSink,
    ) {
        self.take(&Came { leg, arrival, from: None }, datagram, sink);
    }

    /// The same, told where it came `from`: a leg follows one address as long as that sends. False if it has the flow's SSRC and came from
    /// another.
    pub fn on_packet_from(
        &mut self,
        leg: Leg,
        arrival: Timestamp<Mono>,
        from: &SocketAddr,
        datagram: &[u8],
        sink: &mut impl FlowSink,
    ) -> bool {
        self.take(&Came { leg, arrival, from: Some(from) }, datagram, sink)
    }

    fn take(&mut self, came: &Came<'_>, datagram: &[u8], sink: &mut impl FlowSink) -> bool {
        let Some((mut header, frames, payload)) = self.judge(came.leg, datagram) else { return true };
        if self.source.as_ref().is_some_and(|source| came.arrival - source.arrival >= OUTAGE_MARGIN) {
            // A reader that was held up has not let this time pass yet, and what it made silence must not depend on that.
            self.on_time(came.arrival, sink);
        }
        let whose = self.pins.hear(came);
        if let Whose::Elsewhere { silent } = whose
            && let Some(ssrc) = self.source.as_ref().map(|source| source.ssrc)
            && (header.ssrc == ssrc || self.legs.ssrc(came.leg) == Some(header.ssrc))
        {
            header.ssrc = ssrc;
            if !silent || !self.legs.one_goes_on(came.arrival) {
                self.doubt(Doubt::Elsewhere, came, header, frames, payload, sink);
                return false;
            }
            if self.candidate.agrees(Doubt::Elsewhere, came, &header, frames) {
                self.resume(Some(came.leg), sink);
            }
        }
        self.sort(came, whose, header, frames, payload, sink);
        true
    }

    /// Follows the address of a packet that is placed.
    fn pin(&mut self, came: &Came<'_>, sink: &mut impl FlowSink) {
        if let (Some(from), Some(&to)) = (self.pins.follow(came), came.from) {
            sink.event(FlowEvent::SenderMoved { leg: came.leg, from, to });
        }
    }

    /// Finds the place of a datagram whose form is right.
    fn sort(
        &mut self,
        came: &Came<'_>,
        whose: Whose,
        mut header: Header,
        frames: u32,
        payload: &[u8],
        sink: &mut impl FlowSink,
    ) {
        let (leg, arrival) = (came.leg, came.arrival);
        let (reorder, misorder) = (self.reorder_frames(), self.misorder());
        if self.source.is_none() {
            return self.doubt(Doubt::First, came, header, frames, payload, sink);
        }
        if self.legs.are_two() {
            let flow = self.flow_at(came, &header, frames);
            let Some(source) = &mut self.source else { return };
            let sorted = self.legs.sort(leg, arrival, &mut header, payload, &flow, &source.history);
            self.tell_news(sink);
            match sorted {
                Sorted::Alone if self.candidate.agrees(Doubt::Jump, came, &header, frames) => {
                    return self.doubt(Doubt::Jump, came, header, frames, payload, sink);
                }
                Sorted::Plain | Sorted::Alone => {}
                Sorted::Follows => {
                    self.follow(header.ssrc, &flow.newest, sink);
                }
                Sorted::At(at) => {
                    if whose != Whose::Pinned {
                        self.pin(came, sink);
                    }
                    return self.place(came, &header, at, frames, payload, sink);
                }
                Sorted::Former => return self.is_former(leg),
                Sorted::Broken => {
                    let doubt = if header.ssrc == flow.ssrc { Doubt::Jump } else { Doubt::Foreign };
                    return self.doubt(doubt, came, header, frames, payload, sink);
                }
                Sorted::Foreign => {
                    self.counters.foreign_source += 1;
                    return;
                }
            }
        }
        let Some(source) = &mut self.source else { return };
        if header.ssrc != source.ssrc {
            return self.doubt(Doubt::Foreign, came, header, frames, payload, sink);
        }

        let steps = header.sequence.distance_from(source.seq);
        let ticks = header.timestamp.distance_from(source.timestamp);
        let quiet = arrival - source.arrival;
        let in_step =
            i64::from(ticks) == i64::from(steps) * i64::from(source.frames) && quiet < COUNTERS_LAST;
        let expected = source.clock.position_at(arrival);
        let allowance = drift(quiet);
        let rate = self.format.rate;

        let at = if in_step {
            // Neighbours by both counters: believed wherever it lies, but not in a future that the clock forbids.
            let at = shifted(source.at, i64::from(ticks));
            if steps < -misorder {
                // Too far back for a straggler (RFC 3550 A.1): an old copy, or a sender that began again as it began before.
                return self.doubt(Doubt::Back, came, header, frames, payload, sink);
            }
            let ahead = rate.frames_in(TOLERANCE_IN_SEQUENCE + allowance);
            if at.distance_from(expected) > ahead.0 as i64 {
                return self.doubt(Doubt::Jump, came, header, frames, payload, sink);
            }
            at
        } else if self
            .former
            .as_ref()
            .is_some_and(|f| f.counts(&header, arrival, rate.duration(reorder + reorder), misorder))
        {
            // Out of order or a copy, and the counters broke meanwhile: two of them must not bring the old ones back.
            return self.is_former(leg);
        } else {
            let at = unwrapped(source, header.timestamp, expected);
            let off = at.distance_from(expected);
            let back = steps > 0 && at < source.at;
            if back || off.unsigned_abs() > rate.frames_in(TOLERANCE + self.legs.apart() + allowance).0 {
                return self.doubt(Doubt::Jump, came, header, frames, payload, sink);
            }
            let straggler = (-misorder..0).contains(&steps) && at < source.at;
            // Fewer frames than the sequence says: not a loss, the sequence itself jumped.
            let short = at.distance_from(source.at) < i64::from(steps) * i64::from(source.frames);
            if !straggler && (steps <= 0 || short) {
                self.counters.sequence_resets += 1;
                self.former = Some(Former::of(source));
                source.history = History::new(header.sequence.previous());
                source.seq = header.sequence.previous();
                sink.event(FlowEvent::SequenceReset);
            } else if !straggler {
                let newest = source.newest();
                let longest = source.longest.max(frames);
                self.note_leap(quiet, &newest, longest, &header, at);
            }
            at
        };
        if whose != Whose::Pinned {
            self.pin(came, sink);
        }
        self.place(came, &header, at, frames, payload, sink);
    }

    /// Takes note if the sender left out frames between the flow's newest packet and this one, and no packet with them.
    /// A packet that is missing may have held as many as the `longest`.
    fn note_leap(&mut self, quiet: Nanos, newest: &Reference, longest: u32, header: &Header, at: FrameIndex) {
        let missing = i64::from(header.sequence.distance_from(newest.seq)) - 1;
        let hole = at.distance_from(newest.at) - i64::from(newest.frames);
        let explained = missing * i64::from(longest);
        if missing >= 0 && is_leap(hole, explained) {
            let paused = is_pause(hole, newest.frames, quiet, self.format.rate);
            let from = newest.at + FrameCount(u64::from(newest.frames));
            self.leaps.note(Leap { from, to: at, frames: hole - explained, paused });
        }
    }

    /// The flow as a packet of one of two legs finds it.
    fn flow_at(&self, came: &Came<'_>, header: &Header, length: u32) -> Flow {
        let arrival = came.arrival;
        let source = self.source.as_ref().expect("packets of legs are sorted by the source");
        let quiet = arrival - source.arrival;
        let ahead = self.format.rate.frames_in(TOLERANCE_IN_SEQUENCE + drift(quiet));
        let patience = self.format.rate.duration(self.reorder_frames()) * 2;
        // The other leg may have another SSRC; its counters are the same.
        let counts =
            |f: &Former| f.counts(&Header { ssrc: f.ssrc, ..*header }, arrival, patience, self.misorder());
        Flow {
            ssrc: source.ssrc,
            newest: source.newest(),
            stale: quiet >= COUNTERS_LAST,
            latest: source.clock.position_at(arrival) + ahead,
            former: self.former.as_ref().is_some_and(counts),
            awaited: self.candidate.agrees(Doubt::Foreign, came, header, length),
        }
    }

    /// The flow goes on under another SSRC, whose first packets waited: they stand where their counters say.
    fn follow(&mut self, to: Ssrc, newest: &Reference, sink: &mut impl FlowSink) {
        let Some(source) = &mut self.source else { return };
        let from = std::mem::replace(&mut source.ssrc, to);
        self.counters.ssrc_changes += 1;
        sink.event(FlowEvent::SsrcChanged { from, to });
        // As in `anchor`: what is read from is cleared by `place`.
        let mut store = std::mem::replace(&mut self.candidate, Candidate::unallocated());
        self.legs.replay(store.packets());
        for packet in store.packets() {
            if let Some((at, _)) = newest.place(&packet.header) {
                let (came, payload) = (store.came(packet), store.payload(packet));
                self.place(&came, &packet.header, at, packet.frames, payload, sink);
            }
        }
        store.clear();
        self.candidate = store;
    }

    fn is_former(&mut self, leg: Leg) {
        self.counters.received += 1;
        self.counters.late += 1;
        self.legs.former(leg);
    }

    fn tell_news(&mut self, sink: &mut impl FlowSink) {
        if let Some(leg) = self.legs.take_news() {
            sink.event(FlowEvent::LegsDiffer(leg));
        }
    }

    fn misorder(&self) -> i16 {
        self.legs.misorder(MAX_MISORDER, self.source.as_ref().map_or(1, |source| source.frames))
    }

    /// Lets time pass: gives up on packets that are overdue, and lets silence follow the clock during an outage.
    /// Call it at each turn, after the packets of that turn.
    pub fn on_time(&mut self, now: Timestamp<Mono>, sink: &mut impl FlowSink) {
        let Some(source) = &self.source else { return };
        let rate = self.format.rate;
        let arriving = source.clock.position_at(now);
        let quiet = now - source.arrival;

        // Later packets stopped coming too, so nothing pushes the window on: the clock does. Not by the arrival clock, which
        // needs seconds to follow a path that became longer, and would refuse what is merely out of order meanwhile.
        let wait = rate.duration(self.reorder_frames());
        if quiet > if self.legs.both_live() { wait.max(HELD) } else { wait } {
            self.release_all(sink);
        }
        if quiet >= OUTAGE_MARGIN && self.window.is_empty() {
            let behind = rate.frames_in(OUTAGE_MARGIN + drift(quiet));
            let until = FrameIndex(arriving.0.saturating_sub(behind.0));
            if until > self.head {
                if self.open.is_none() {
                    sink.event(FlowEvent::OutageBegan);
                }
                self.fill(until, GapCause::Outage, sink);
            }
        }
        let waits =
            |doubt| matches!(doubt, Doubt::Foreign | Doubt::Elsewhere | Doubt::Back) || self.legs.are_two();
        if self.candidate.doubt().is_some_and(waits) {
            self.consider(now, sink);
        }
        self.legs.count_missed(now);
    }

    /// Gives what waits in the reorder window, its holes as silence: nothing more is awaited.
    pub fn flush(&mut self, sink: &mut impl FlowSink) {
        self.release_all(sink);
    }

    /// Checks a datagram by itself and counts it by cause if it is none of this flow's.
    fn judge<'a>(&mut self, leg: Leg, datagram: &'a [u8]) -> Option<(Header, u32, &'a [u8])> {
        let packet = match Packet::parse(datagram) {
            Ok(packet) => packet,
            Err(error) => {
                let counter = match error {
                    RtpError::TooShort => &mut self.counters.too_short,
                    RtpError::Version => &mut self.counters.bad_version,
                    RtpError::CsrcTruncated | RtpError::ExtensionTruncated | RtpError::Padding => {
                        &mut self.counters.malformed
                    }
                };
                *counter += 1;
                self.legs.refused(leg);
                return None;
            }
        };
        if packet.header.payload_type != self.format.payload_type {
            self.counters.wrong_payload_type += 1;
            self.legs.refused(leg);
            return None;
        }
        let length = packet.payload.len();
        let frame = self.format.frame_bytes();
        if length == 0 || length > MAX_PAYLOAD || !length.is_multiple_of(frame) {
            self.counters.wrong_size += 1;
            self.legs.refused(leg);
            return None;
        }
        Some((packet.header, (length / frame) as u32, packet.payload))
    }

    /// Puts a believed packet into its place.
    fn place(
        &mut self,
        came: &Came<'_>,
        header: &Header,
        at: FrameIndex,
        frames: u32,
        payload: &[u8],
        sink: &mut impl FlowSink,
    ) {
        let (leg, arrival) = (came.leg, came.arrival);
        let source = self.source.as_mut().expect("a packet is believed only of a source");
        let length = FrameCount(u64::from(frames));
        let steps = header.sequence.distance_from(source.seq);

        if steps > 0 && at + length <= self.head {
            // In sequence but behind: either a burst that catches up, or a sender whose clock stood still.
            return self.doubt(Doubt::Behind, came, *header, frames, payload, sink);
        }
        let bytes = HEADER_BYTES + payload.len();
        self.counters.received += 1;
        self.counters.bytes += bytes as u64;
        let here = Reference { seq: header.sequence, timestamp: header.timestamp, at, frames };
        let newest = source.at + FrameCount(u64::from(source.frames));
        let arriving = source.clock.position_at(arrival);
        let (again, out_of_turn) = self.legs.count(leg, arrival, here, bytes, newest, arriving);
        let seen = source.history.note(header.sequence);
        self.legs.audio(leg, header.sequence, payload, seen && !again);
        if seen {
            // The other leg's copy is no repeat.
            self.counters.duplicated += u64::from(again || !self.legs.are_two());
            return self.tell_news(sink);
        }
        if at + length <= self.head {
            self.counters.late += 1;
            return;
        }
        self.legs.used(leg);
        source.clock.observe(arrival, at);
        if steps > 0 {
            source.seq = header.sequence;
            source.timestamp = header.timestamp;
            source.at = at;
            source.frames = frames;
            source.longest = source.longest.max(frames);
            source.arrival = arrival;
            // The source lives: whatever else asked for its place was a stranger.
            let hold = self.legs.hold();
            if self.candidate.first().is_some_and(|first| arrival - first.arrival >= hold) {
                self.dismiss();
            }
        } else {
            // In its turn on its own leg, it is merely the later one's.
            self.counters.reordered += u64::from(out_of_turn || !self.legs.are_two());
        }

        let end = at + length;
        if end.since(self.head) > self.window.capacity() {
            // Too far ahead for the window: what it leaves behind by the reorder window will not be completed any more.
            let reorder = self.reorder_frames();
            let behind = FrameIndex(end.0.saturating_sub(reorder.0 + length.0));
            let no_room = FrameIndex(end.0.saturating_sub(self.window.capacity().0));
            self.release_before(self.awaited_from(behind).max(no_room), at, sink);
        }
        let from = at.max(self.head);
        if from >= end {
            // Frames that waited in the window reached beyond it: packets overlapped.
            return;
        }
        let channels = self.format.channels.get();
        let count = pcm::decode(self.format.encoding, payload, &mut self.scratch);
        let samples = from.since(at).0 as usize * channels..count;

        if from == self.head && self.window.is_empty() {
            let shift = self.anchor.shift;
            close(&mut self.open, shift, sink);
            sink.audio(shift.of(from), &self.scratch[samples]);
            self.head = end;
            return;
        }
        self.window.put(from, &self.scratch[samples]);
        self.release(sink);
    }

    fn reorder_frames(&self) -> FrameCount {
        self.frames_or_packets(self.legs.window())
    }

    /// Up to where no hole is waited for, of those before `until`.
    fn awaited_from(&self, until: FrameIndex) -> FrameIndex {
        self.legs.awaited_from(until, self.frames_or_packets(REORDER_TIME))
    }

    fn frames_or_packets(&self, time: Nanos) -> FrameCount {
        let packet = self.source.as_ref().map_or(0, |source| u64::from(source.frames));
        self.format.rate.frames_in(time).max(FrameCount(packet * REORDER_PACKETS))
    }
}

/// What the reorder window must hold: the reorder time and some, and the reorder count in packets as long as they may be.
fn window_frames(format: &FlowFormat, reorder: Nanos, two_legs: bool) -> FrameCount {
    let longest = (MAX_PAYLOAD / format.frame_bytes()) as u64;
    let behind = if two_legs { HELD } else { REORDER_TIME * 3 };
    format.rate.frames_in(reorder + behind).max(FrameCount(longest * (REORDER_PACKETS + 2)))
}

#[cfg(test)]
mod tests;
