//! A recorder's place on a flow: it meters always, and feeds the disk while it records.
//!
//! Owns: the channel map, the meter, the feeds of the running recording: the archive's and the mirror's. Lives in a worker.

use audyn_core::channels::ChannelMap;
use audyn_core::flow::{FlowEvent, FlowSink, Gap, GapCause, Placed};
use audyn_core::meter::Meter;
use audyn_core::segment::TimeAnchor;
use audyn_units::{FrameCount, FrameIndex, Mono, Nanos, Timestamp};

use crate::feed::{Done, Feed};
use crate::shared::SharedLevels;

/// Time between two readings of the meters: 30 a second.
const METER_PERIOD: Nanos = Nanos(33_333_333);

pub(crate) struct Tap {
    pub(crate) recorder: String,
    map: ChannelMap,
    meter: Meter,
    last_reading: Timestamp<Mono>,
    scratch: Vec<i32>,
    pub(crate) feed: Option<Feed>,
    /// The feed of the mirror. It begins and ends with the other, and neither waits for the other's disk.
    pub(crate) mirror: Option<Feed>,
    published: SharedLevels,
}

impl Tap {
    pub(crate) fn new(recorder: String, map: ChannelMap, published: SharedLevels) -> Self {
        Self {
            recorder,
            meter: Meter::new(map.output()),
            map,
            last_reading: Timestamp::ZERO,
            scratch: Vec::new(),
            feed: None,
            mirror: None,
            published,
        }
    }

    fn audio(&mut self, at: FrameIndex, samples: &[i32], anchor: &TimeAnchor) {
        let chosen = self.map.apply(samples, &mut self.scratch);
        self.meter.audio(chosen);
        for feed in self.feed.iter_mut().chain(&mut self.mirror) {
            feed.audio(at, chosen, anchor);
        }
    }

    /// Both feeds, as far as there are any.
    pub(crate) fn feeds(&mut self) -> impl Iterator<Item = &mut Feed> {
        self.feed.iter_mut().chain(&mut self.mirror)
    }

    /// Whether a recording runs that has no mirror.
    pub(crate) fn is_alone(&self) -> bool {
        self.feed.is_some() && self.mirror.is_none()
    }

    /// Takes both feeds out.
    pub(crate) fn take_feeds(&mut self) -> impl Iterator<Item = Feed> + use<> {
        self.feed.take().into_iter().chain(self.mirror.take())
    }

    /// Ends both; `done` is called when the archive's file is closed, whatever keeps the mirror. None are there if it comes back.
    pub(crate) fn end(&mut self, done: Done) -> Option<Done> {
        if let Some(mirror) = &mut self.mirror {
            mirror.end(None);
        }
        match &mut self.feed {
            Some(feed) => {
                feed.end(Some(done));
                None
            }
            None => Some(done),
        }
    }

    fn silence(&mut self, at: FrameIndex, frames: FrameCount, cause: GapCause, anchor: &TimeAnchor) {
        self.meter.silence(frames.0);
        for feed in self.feeds() {
            feed.silence(at, frames, cause, anchor);
        }
    }

    /// Ends a turn: publishes levels when they are due. Between two bursts of a sender that is `receiving` the
    /// last ones stand: no packet is not silence.
    pub(crate) fn turn(
        &mut self,
        now: Timestamp<Mono>,
        receiving: bool,
        head: FrameIndex,
        anchor: Option<&TimeAnchor>,
        drift: Option<f64>,
    ) {
        for feed in self.feeds() {
            feed.drift(drift);
            feed.turn(head, anchor);
        }
        self.feed.take_if(|feed| feed.is_finished());
        self.mirror.take_if(|feed| feed.is_finished());
        if now - self.last_reading >= METER_PERIOD && !(receiving && self.meter.is_empty()) {
            self.last_reading = now;
            let levels = self.meter.read(now);
            // A reader that holds the lock costs this one reading; the next comes in 33 ms.
            if let Ok(mut published) = self.published.try_lock() {
                *published = levels;
            }
        }
    }
}

/// All taps of one flow, as the receiver's sink.
pub(crate) struct Taps<'a> {
    pub(crate) taps: &'a mut [Tap],
    pub(crate) anchor: TimeAnchor,
    /// Cause of the gap that the flow stands in; kept by the flow, since a recording may begin within it.
    pub(crate) cause: &'a mut GapCause,
    /// Set when a sample comes that is not zero.
    pub(crate) heard: &'a mut bool,
    /// How the running stretch was placed; kept by the flow for the same reason.
    pub(crate) placed: &'a mut Option<Placed>,
}

impl Taps<'_> {
    /// Whether the archive's disk writer is far behind on one of them.
    pub(crate) fn is_crowded(&self) -> bool {
        self.taps.iter().filter_map(|tap| tap.feed.as_ref()).any(Feed::is_crowded)
    }
}

impl FlowSink for Taps<'_> {
    fn placed(&mut self, placed: &Placed) {
        self.anchor = placed.anchor;
        *self.placed = Some(*placed);
        for feed in self.taps.iter_mut().flat_map(Tap::feeds) {
            feed.placed(placed);
        }
    }

    fn audio(&mut self, at: FrameIndex, samples: &[i32]) {
        *self.heard = *self.heard || samples.iter().any(|&sample| sample != 0);
        for tap in &mut *self.taps {
            tap.audio(at, samples, &self.anchor);
        }
    }

    fn silence(&mut self, at: FrameIndex, frames: FrameCount) {
        for tap in &mut *self.taps {
            tap.silence(at, frames, *self.cause, &self.anchor);
        }
    }

    fn gap_opened(&mut self, gap: Gap) {
        *self.cause = gap.cause;
    }

    fn gap_closed(&mut self, gap: Gap) {
        if gap.estimated {
            for feed in self.taps.iter_mut().flat_map(Tap::feeds) {
                feed.joint(gap.cause);
            }
        }
    }

    fn event(&mut self, event: FlowEvent) {
        for feed in self.taps.iter_mut().flat_map(Tap::feeds) {
            feed.event(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use audyn_core::meter::Levels;
    use audyn_units::ChannelCount;

    use super::*;

    #[test]
    fn meters_keep_their_reading_between_two_bursts_and_fall_when_the_sender_has_gone() {
        let published = SharedLevels::default();
        let map = ChannelMap::new(ChannelCount::STEREO, &[]).unwrap();
        let mut tap = Tap::new("a".to_owned(), map, Arc::clone(&published));
        let anchor = TimeAnchor {
            position: FrameIndex(0),
            utc: Timestamp::ZERO,
            rate: audyn_units::SampleRate::HZ_48000,
            exact: false,
            tai_offset: None,
        };
        let read = |tap: &mut Tap, turn: i64, receiving| -> Levels {
            let now = Timestamp::ZERO + METER_PERIOD * turn;
            tap.turn(now, receiving, FrameIndex(0), Some(&anchor), None);
            published.lock().unwrap().clone()
        };
        tap.audio(FrameIndex(0), &[1 << 30; 96], &anchor);
        let loud = read(&mut tap, 1, true);
        assert!(loud[0].peak.0 > -7.0 && loud[0].rms.0 > -7.0, "{loud:?}");
        // A sender of bursts: turns pass, no packet has come, and the flow counts as receiving.
        assert_eq!(read(&mut tap, 2, true), loud);
        assert_eq!(read(&mut tap, 3, true), loud);
        let gone = read(&mut tap, 4, false);
        assert_eq!((gone[0].peak, gone[0].rms), (audyn_units::Dbfs::FLOOR, audyn_units::Dbfs::FLOOR));
    }
}
