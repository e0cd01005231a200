//! A recorder's place on a flow: it meters always, and feeds the disk while it records.
//!
//! Owns: the channel map, the meter, the feed of the running recording. Lives in a worker.

use audyn_core::channels::ChannelMap;
use audyn_core::flow::{FlowEvent, FlowSink, Gap};
use audyn_core::meter::Meter;
use audyn_core::segment::TimeAnchor;
use audyn_units::{FrameCount, FrameIndex, Mono, Nanos, Timestamp};

use crate::feed::{DiskCommand, Feed};
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
            published,
        }
    }

    fn audio(&mut self, at: FrameIndex, samples: &[i32], anchor: &TimeAnchor) {
        let chosen = self.map.apply(samples, &mut self.scratch);
        self.meter.audio(chosen);
        if let Some(feed) = &mut self.feed {
            feed.audio(at, chosen, anchor);
        }
    }

    fn silence(&mut self, at: FrameIndex, frames: FrameCount, anchor: &TimeAnchor) {
        self.meter.silence(frames.0);
        if let Some(feed) = &mut self.feed {
            feed.silence(at, frames, anchor);
        }
    }

    fn ledger(&mut self, command: impl FnOnce() -> DiskCommand) {
        if let Some(feed) = &mut self.feed {
            feed.ledger(command());
        }
    }

    /// Ends a turn: publishes levels when they are due.
    pub(crate) fn turn(&mut self, now: Timestamp<Mono>, head: FrameIndex, anchor: Option<&TimeAnchor>) {
        if let Some(feed) = &mut self.feed {
            feed.turn(head, anchor);
            if feed.is_finished() {
                self.feed = None;
            }
        }
        if now - self.last_reading >= METER_PERIOD {
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
    pub(crate) position: FrameIndex,
}

impl FlowSink for Taps<'_> {
    fn audio(&mut self, at: FrameIndex, samples: &[i32]) {
        self.position = at;
        for tap in &mut *self.taps {
            tap.audio(at, samples, &self.anchor);
        }
    }

    fn silence(&mut self, at: FrameIndex, frames: FrameCount) {
        self.position = at;
        for tap in &mut *self.taps {
            tap.silence(at, frames, &self.anchor);
        }
    }

    fn gap_opened(&mut self, gap: Gap) {
        for tap in &mut *self.taps {
            tap.ledger(|| DiskCommand::GapOpened(gap));
        }
    }

    fn gap_closed(&mut self, gap: Gap) {
        for tap in &mut *self.taps {
            tap.ledger(|| DiskCommand::GapClosed(gap));
        }
    }

    fn event(&mut self, event: FlowEvent) {
        let at = self.position;
        for tap in &mut *self.taps {
            tap.ledger(|| DiskCommand::Event(at, event));
        }
    }
}
