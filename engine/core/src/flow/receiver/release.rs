//! How a receiver gives what it has: what is in order at once, holes as silence when nothing more is awaited.
//!
//! Owns: the head, the open gap and its line in the ledger. Never: a packet's place.

use audyn_units::{FrameCount, FrameIndex};

use super::super::anchor::Shift;
use super::super::{FlowEvent, FlowSink, Gap, GapCause};
use super::Receiver;

impl Receiver {
    /// Gives what is in order, and gives up on what later frames have left behind by the reorder window, and what no other leg will bring
    /// (`patience`): on that part of a hole only, since a packet that is merely late may belong into the rest of it.
    pub(super) fn release(&mut self, sink: &mut impl FlowSink) {
        let patience = self.reorder_frames();
        loop {
            self.give_run(sink);
            match self.window.end() {
                Some(end) if end.since(self.head) > patience => {
                    let until = self.awaited_from(end - patience);
                    if until <= self.head {
                        return;
                    }
                    self.give_up_hole(until, sink);
                }
                _ => return,
            }
        }
    }

    /// Gives everything before `until`, holes as silence; a packet at `next` is on its way into the window.
    pub(super) fn release_before(&mut self, until: FrameIndex, next: FrameIndex, sink: &mut impl FlowSink) {
        loop {
            self.give_run(sink);
            if self.head >= until {
                return;
            }
            if self.window.is_empty() {
                let cause = self.cause_of_hole(next, sink);
                return self.fill(until, cause, sink);
            }
            self.give_up_hole(until, sink);
        }
    }

    /// Gives everything in the window, holes as silence.
    pub(super) fn release_all(&mut self, sink: &mut impl FlowSink) {
        loop {
            self.give_run(sink);
            if self.window.is_empty() {
                return;
            }
            self.give_up_hole(FrameIndex(u64::MAX), sink);
        }
    }

    /// Fills the hole at the head, but not beyond `until`.
    fn give_up_hole(&mut self, until: FrameIndex, sink: &mut impl FlowSink) {
        let next = self
            .window
            .next_present(self.head)
            .expect("frames are put at the head or after it, and not beyond the ring");
        let cause = self.cause_of_hole(next, sink);
        self.fill(next.min(until), cause, sink);
    }

    /// Why the hole at the head, which ends at `next`, is there. One that is half filled has its cause already.
    fn cause_of_hole(&mut self, next: FrameIndex, sink: &mut impl FlowSink) -> GapCause {
        if let Some(open) = &self.open {
            return open.cause;
        }
        match self.leaps.take(self.head, next) {
            None => GapCause::Loss,
            Some(leap) if leap.paused => GapCause::Outage,
            Some(leap) => {
                self.counters.timestamp_jumps += 1;
                sink.event(FlowEvent::TimestampJumped(leap.frames));
                GapCause::TimestampJump
            }
        }
    }

    fn give_run(&mut self, sink: &mut impl FlowSink) {
        loop {
            let (head, shift) = (self.head, self.anchor.shift);
            let open = &mut self.open;
            let taken = self.window.take_run(head, |run| {
                close(open, shift, sink);
                sink.audio(shift.of(head), run);
            });
            if taken == FrameCount::ZERO {
                return;
            }
            self.head += taken;
        }
    }

    /// Gives silence from the head to `until`, in the gap that is open or in a new one.
    pub(super) fn fill(&mut self, until: FrameIndex, cause: GapCause, sink: &mut impl FlowSink) {
        let frames = until.since(self.head);
        if frames == FrameCount::ZERO {
            return;
        }
        match &mut self.open {
            Some(gap) => gap.frames += frames,
            None => {
                let gap = Gap { position: self.head, frames, cause, estimated: false };
                sink.gap_opened(told(gap, self.anchor.shift));
                self.open = Some(gap);
                self.counters.gaps += 1;
            }
        }
        self.counters.lost_frames += frames.0;
        sink.silence(self.anchor.shift.of(self.head), frames);
        self.head = until;
    }
}

/// Closes the open gap: audio follows, or another stretch.
pub(super) fn close(open: &mut Option<Gap>, shift: Shift, sink: &mut impl FlowSink) {
    if let Some(gap) = open.take() {
        sink.gap_closed(told(gap, shift));
    }
}

/// A gap as the sink is told of it.
fn told(gap: Gap, shift: Shift) -> Gap {
    Gap { position: shift.of(gap.position), ..gap }
}
