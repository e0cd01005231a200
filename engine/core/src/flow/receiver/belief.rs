//! What becomes of packets that break the timeline: they wait, and are believed or dropped.
//!
//! Owns: when that is, and where the flow stands then. Never: a packet's own check.

use audyn_units::{FrameCount, FrameIndex, Mono, Nanos, Timestamp};
use audyn_wire::rtp::Header;

use super::super::anchor::Mark;
use super::super::arrival::ArrivalClock;
use super::super::candidate::{Candidate, Doubt, Waiting};
use super::super::drift::DriftMeter;
use super::super::history::History;
use super::super::legs::Leg;
use super::super::pins::Came;
use super::super::source::{Former, MAX_MISORDER, Source, drift, shifted, unwrapped};
use super::super::{FlowEvent, FlowSink, Gap, GapCause, TAKEOVER};
use super::release::close;
use super::{COUNTERS_LAST, Receiver, TOLERANCE, TOLERANCE_IN_SEQUENCE};

/// A sender whose clock stopped is told from a burst that catches up by its pace over this time.
const PACE_TIME: Nanos = Nanos::from_millis(60);

/// A packet in doubt keeps its place for this long: twice the longest packet time, so that its second can come.
const SECOND_COMES: Nanos = Nanos::from_millis(8);

/// A break with no packet missing counts as a joint if arrival agrees within this.
const JOINT: Nanos = Nanos::from_millis(25);

impl Receiver {
    /// Keeps a packet that is not believed yet, and considers whether it should be.
    pub(super) fn doubt(
        &mut self,
        doubt: Doubt,
        came: &Came<'_>,
        header: Header,
        frames: u32,
        payload: &[u8],
        sink: &mut impl FlowSink,
    ) {
        if self.candidate.agrees(doubt, came, &header, frames) {
            if !self.candidate.add(came, header, frames, payload) {
                // No room, so it comes faster than audio is played: a burst, or a flood.
                self.dismiss();
            }
        } else {
            // A stray packet does not drive out one that waits for its second, nor one that has it.
            let patience = if self.candidate.packets().len() > 1 { TAKEOVER } else { SECOND_COMES };
            let waits = self.candidate.last_arrival().is_some_and(|last| came.arrival - last < patience);
            // The flow's own source, though its counters broke, goes before another that waits for its silence.
            let own = matches!(doubt, Doubt::Jump | Doubt::Behind | Doubt::Back);
            let held =
                waits && !(own && matches!(self.candidate.doubt(), Some(Doubt::Foreign | Doubt::Elsewhere)));
            if held {
                self.counters.foreign_source += 1;
                self.legs.foreign(came.leg);
                return;
            }
            self.dismiss();
            self.candidate.restart(doubt, came, header, frames, payload);
        }
        self.consider(came.arrival, sink);
    }

    /// Believes the packets that wait, if it is time to.
    pub(super) fn consider(&mut self, now: Timestamp<Mono>, sink: &mut impl FlowSink) {
        let Some(doubt) = self.candidate.doubt() else { return };
        if self.candidate.packets().len() < 2 {
            return;
        }
        let rate = self.format.rate;
        let believed = match doubt {
            Doubt::First => true,
            Doubt::Jump => self.legs.are_quiet(now),
            Doubt::Foreign | Doubt::Elsewhere | Doubt::Back => {
                let silent = self.source.as_ref().is_none_or(|source| now - source.arrival >= TAKEOVER);
                let pinned = doubt != Doubt::Elsewhere || self.pins.are_silent(now);
                silent && pinned && self.legs.are_quiet(now)
            }
            Doubt::Behind => {
                let pace = rate.frames_in(PACE_TIME);
                self.candidate.span_covers(rate, pace) && self.candidate.frames() <= pace + pace
            }
        };
        if believed {
            self.anchor(doubt, sink);
        }
    }

    /// Gives the flow a new source, or its source a new place, and replays the packets that waited.
    pub(super) fn anchor(&mut self, doubt: Doubt, sink: &mut impl FlowSink) {
        let first = *self.candidate.first().expect("a candidate that is believed holds packets");
        if doubt == Doubt::Elsewhere && self.goes_on(&first) {
            return self.resume(None, sink);
        }
        let (at, clock) = match self.source.take() {
            None => {
                let mark =
                    Mark { timestamp: first.header.timestamp, counted: self.head, arrival: first.arrival };
                if let Some(placed) = self.anchor.place_first(mark) {
                    sink.placed(&placed);
                }
                sink.event(FlowEvent::Started { ssrc: first.header.ssrc, packet_frames: first.frames });
                (self.head, ArrivalClock::new(self.format.rate, first.arrival, self.head))
            }
            Some(before) => {
                self.release_all(sink);
                self.re_anchor(doubt, &first, before, sink)
            }
        };
        self.source = Some(Source {
            ssrc: first.header.ssrc,
            seq: first.header.sequence.previous(),
            timestamp: first.header.timestamp,
            at,
            frames: first.frames,
            longest: first.frames,
            arrival: first.arrival,
            history: History::before(first.header.sequence),
            clock,
            drift: DriftMeter::new(self.format.rate, first.arrival),
        });
        self.legs.anchored(first.leg);
        if matches!(doubt, Doubt::First | Doubt::Foreign) {
            // Another sender; from its own addresses.
            Leg::ALL.into_iter().for_each(|leg| self.pins.let_go(leg));
        }
        // `place` clears the store it reads from, so the store is taken out while it is replayed.
        let store = std::mem::replace(&mut self.candidate, Candidate::unallocated());
        self.legs.replay(store.packets());
        for packet in store.packets() {
            let ticks = packet.header.timestamp.distance_from(first.header.timestamp);
            let place = shifted(at, i64::from(ticks));
            let came = store.came(packet);
            self.pin(&came, sink);
            self.place(&came, &packet.header, place, packet.frames, store.payload(packet), sink);
        }
        self.candidate = store;
        self.candidate.clear();
    }

    /// Whether packets from another address go on by the counters of the source.
    fn goes_on(&self, first: &Waiting) -> bool {
        let Some(source) = &self.source else { return false };
        let quiet = first.arrival - source.arrival;
        let ahead = self.format.rate.frames_in(TOLERANCE_IN_SEQUENCE + drift(quiet));
        let latest = source.clock.position_at(first.arrival) + ahead;
        let misorder = self.misorder();
        quiet < COUNTERS_LAST
            && source
                .newest()
                .place(&first.header)
                .is_some_and(|(at, steps)| at <= latest && steps >= -misorder)
    }

    /// The source goes on from another address, on one leg or all: what waited stands where the counters say.
    pub(super) fn resume(&mut self, only: Option<Leg>, sink: &mut impl FlowSink) {
        let Some(newest) = self.source.as_ref().map(Source::newest) else { return };
        // As in `anchor`: what is read from is cleared by `place`.
        let mut store = std::mem::replace(&mut self.candidate, Candidate::unallocated());
        self.legs.replay(store.packets());
        for packet in store.packets().iter().filter(|packet| only.is_none_or(|leg| packet.leg == leg)) {
            let came = store.came(packet);
            self.pin(&came, sink);
            if let Some((at, _)) = newest.place(&packet.header) {
                self.place(&came, &packet.header, at, packet.frames, store.payload(packet), sink);
            }
        }
        match only {
            Some(leg) => store.forget(leg),
            None => {
                store.clear();
            }
        }
        self.candidate = store;
    }

    /// Where a source stands that took the place of `before`: by its timestamps if they go on, else by arrival.
    fn re_anchor(
        &mut self,
        doubt: Doubt,
        first: &Waiting,
        before: Source,
        sink: &mut impl FlowSink,
    ) -> (FrameIndex, ArrivalClock) {
        let rate = self.format.rate;
        let expected = before.clock.position_at(first.arrival);
        let told = unwrapped(&before, first.header.timestamp, expected);
        let off = told.distance_from(expected);
        // A source whose clock stood still goes on with the counters that it had.
        self.former = (doubt == Doubt::Jump || self.legs.are_two()).then(|| Former::of(&before));
        let near = rate.frames_in(TOLERANCE + self.legs.apart() + drift(first.arrival - before.arrival)).0;

        if matches!(doubt, Doubt::Foreign | Doubt::Elsewhere) {
            if doubt == Doubt::Foreign {
                self.counters.ssrc_changes += 1;
                sink.event(FlowEvent::SsrcChanged { from: before.ssrc, to: first.header.ssrc });
            }
            if off.unsigned_abs() <= near && told >= self.head {
                // The new source counts on the same media clock: exact, and whatever is missing is plain loss.
                self.fill(told, GapCause::SsrcChange, sink);
                self.anchor.ask(first.arrival);
                return (told, before.clock);
            }
        } else if self.legs.are_two()
            && doubt == Doubt::Jump
            && off.unsigned_abs() <= near
            && told >= self.head
        {
            // One leg would have been believed at once: a pause, or sequence numbers that go on elsewhere.
            let pause = first.header.sequence.distance_from(before.seq);
            if !(1..MAX_MISORDER).contains(&pause) {
                self.counters.sequence_resets += 1;
                sink.event(FlowEvent::SequenceReset);
            } else {
                let longest = before.longest.max(first.frames);
                self.note_leap(
                    first.arrival - before.arrival,
                    &before.newest(),
                    longest,
                    &first.header,
                    told,
                );
            }
            // Not filled here: what came out of order may belong before it.
            return (told, before.clock);
        } else {
            self.counters.timestamp_jumps += 1;
            sink.event(FlowEvent::TimestampJumped(off));
        }

        let another = matches!(doubt, Doubt::Foreign | Doubt::Elsewhere);
        let cause = if another { GapCause::SsrcChange } else { GapCause::TimestampJump };
        let adjacent = first.header.sequence == before.seq.next();
        let joint = adjacent && expected.distance_from(self.head).unsigned_abs() <= rate.frames_in(JOINT).0;
        let at = if joint { self.head } else { expected.max(self.head) };
        self.fill(at, cause, sink);
        let gap = self.open.get_or_insert_with(|| {
            self.counters.gaps += 1;
            Gap { position: at, frames: FrameCount::ZERO, cause, estimated: true }
        });
        gap.estimated = true;
        let before = self.anchor.shift;
        let mark = Mark { timestamp: first.header.timestamp, counted: at, arrival: first.arrival };
        if let Some(placed) = self.anchor.place_broken(mark) {
            close(&mut self.open, before, sink);
            sink.placed(&placed);
        }
        (at, ArrivalClock::new(rate, first.arrival, at))
    }

    /// Drops the packets that wait, and counts them.
    pub(super) fn dismiss(&mut self) {
        let behind = self.candidate.doubt() == Some(Doubt::Behind);
        for packet in self.candidate.packets() {
            if behind {
                self.legs.former(packet.leg);
            } else {
                self.legs.foreign(packet.leg);
            }
        }
        let count = self.candidate.clear();
        if behind {
            self.counters.received += count;
            self.counters.late += count;
        } else {
            self.counters.foreign_source += count;
        }
    }
}
