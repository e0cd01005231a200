//! From a worker to the disk writer: one recording's samples and what is to be done with them.
//!
//! Owns: the two rings of a recording, the cut of its segments, what is left out at its begin since the engine before has it, and what
//! happens when the disk is too slow: frames that find no room become silence of the same length, whose cause says so. Never: waits.
//!
//! A mirror's feed leaves such frames out instead: its file ends where they begin, and another begins with the first that finds room, since
//! the archive has what is between. So a mirror that was away for hours has no hours of silence that pass for recordings.
//!
//! ```text
//!         first kept frame                   the cut's frame, or the flow is placed anew
//!  [waiting] ───────────► [segment is open] ────────────────────────────────────────► [next segment is open] …
//!                           │        ▲ a quarter of the ring is free again
//!                  no room  └► [stalled: silence in place of audio; a mirror's file ends]
//! ```

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Weak};

use audyn_core::archive::{ArchiveClock, ArchivePolicy};
use audyn_core::flow::{FlowEvent, GapCause, Placed, Placement};
use audyn_core::segment::{Cut, TimeAnchor};
use audyn_units::{FrameCount, FrameIndex, Nanos, SampleRate, Timestamp, Utc};
use jiff::tz::TimeZone;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::ledger::Ending;

/// How much audio waits in memory while the disk doesn't take it: a disk that stalls for 8 s costs nothing. A recorder of two channels
/// at 48 kHz has 3.8 MB of it, and 3 MB of commands.
pub(crate) const DISK_BUFFER: Nanos = Nanos::from_millis(10_000);

/// Commands that wait at most. At 50 % loss of 125 µs packets this is more than [`DISK_BUFFER`] makes.
const COMMANDS: usize = 131_072;

/// Room that ordinary commands leave for those that must get through.
const RESERVE: usize = 64;

/// UTC that differs by more than this from what the running segment implies has been told anew: TAI−UTC was unknown before. A leap
/// second is less.
const STEP: Nanos = Nanos::from_millis(1_500);

/// A recording that is to go on at some frame does so if the flow begins no more than this before it. Legs are less apart (ST 2022-7: 450 ms
/// at most); what lies further back is another time, by a clock that was set back, and is recorded.
pub(crate) const NEAR: Nanos = Nanos::from_secs(1);

/// Called when a recording's last file is closed.
pub(crate) type Done = Box<dyn FnOnce() + Send>;

/// What the disk writer is to do, in order. Samples come by the ring beside. Small, since many wait: what is rare is in a box.
pub(crate) enum DiskCommand {
    /// Close what is open and begin a file.
    Open(Box<Opening>),
    /// Close what is open, since the flow was placed anew; another file may follow.
    Ends(Box<Placed>),
    /// Enter this when the open file is closed.
    Ending(Box<Ending>),
    /// Take so many frames from the sample ring.
    Audio(FrameCount),
    /// Write so many frames of silence, and enter them with this cause.
    Silence(FrameCount, GapCause),
    /// The sender's timeline broke here: what follows is placed by its arrival.
    Joint(GapCause),
    /// Enter an event.
    Event(Box<FlowEvent>),
    /// Close what is open: what follows is left out, and another file begins behind it.
    Parts,
    /// Close what is open, since the engine ends: all before this frame is recorded.
    Leaves(FrameIndex),
    /// Close what is open; the recording has ended.
    Close(Option<Done>),
}

/// What a new file begins with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Opening {
    /// Its first frame.
    pub(crate) position: FrameIndex,
    /// The instant by which it is named.
    pub(crate) utc: Timestamp<Utc>,
    /// TAI − UTC, if it is known.
    pub(crate) tai_offset: Option<Nanos>,
    /// How the flow was placed; none if no clock was known.
    pub(crate) placed: Option<Placed>,
}

/// How a recording is cut into files.
#[derive(Debug, Clone)]
pub(crate) struct Cutting {
    pub(crate) policy: ArchivePolicy,
    pub(crate) zone: TimeZone,
}

/// The worker's end of a recording.
pub(crate) struct Feed {
    commands: Producer<DiskCommand>,
    samples: Producer<i32>,
    width: usize,
    cutting: Option<Cutting>,
    cut: Option<Cut>,
    /// TAI − UTC by which the cut was found.
    cut_by: Option<Nanos>,
    open: bool,
    /// How the running stretch of the flow was placed.
    placed: Option<Placed>,
    /// What is known of the open file, should it end now.
    ending_facts: Ending,
    /// Frames that no command has told of yet: in the sample ring, or silence with its cause.
    pending: FrameCount,
    pending_silence: Option<(FrameCount, GapCause)>,
    /// The disk is too slow: audio becomes silence until there is room again.
    stalled: bool,
    /// What finds no room is left out: another feed has it.
    mirrors: bool,
    /// Frames before this one are left out: the engine before has recorded them.
    floor: Option<FrameIndex>,
    /// Frames still to be recorded, if there is a limit.
    left: Option<FrameCount>,
    done: Option<Done>,
    ending: Arc<AtomicBool>,
}

/// The disk writer's end of a recording.
pub(crate) struct FeedEnd {
    pub(crate) commands: Consumer<DiskCommand>,
    pub(crate) samples: Consumer<i32>,
    ending: Arc<AtomicBool>,
}

impl FeedEnd {
    /// Whether the recording ends, or the worker has gone: what is in the rings is all that there will be.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Acquire) || self.commands.is_abandoned()
    }
}

/// Makes both ends of a recording of `width` channels.
pub(crate) fn connect(
    rate: SampleRate,
    width: usize,
    cutting: Option<Cutting>,
    limit: Option<FrameCount>,
) -> (Feed, FeedEnd) {
    // A whole number of frames, so that a frame never lies across the ring's seam.
    let (samples_in, samples_out) = RingBuffer::new(rate.frames_in(DISK_BUFFER).0 as usize * width);
    let (commands_in, commands_out) = RingBuffer::new(COMMANDS);
    let ending = Arc::new(AtomicBool::new(false));
    let feed = Feed {
        commands: commands_in,
        samples: samples_in,
        width,
        cutting,
        cut: None,
        cut_by: None,
        open: false,
        placed: None,
        ending_facts: Ending::default(),
        pending: FrameCount::ZERO,
        pending_silence: None,
        stalled: false,
        mirrors: false,
        floor: None,
        left: limit,
        done: None,
        ending: Arc::clone(&ending),
    };
    (feed, FeedEnd { commands: commands_out, samples: samples_out, ending })
}

impl Feed {
    /// The feed of a mirror: what finds no room is left out.
    pub(crate) fn mirroring(self) -> Self {
        Self { mirrors: true, ..self }
    }

    /// What lives as long as one of both ends, and so its rings.
    pub(crate) fn life(&self) -> Weak<AtomicBool> {
        Arc::downgrade(&self.ending)
    }

    /// Whether the recording has ended and nothing more is to be told.
    pub(crate) fn is_finished(&self) -> bool {
        self.has_ended() && self.done.is_none()
    }

    /// Whether more than half of the room for samples is taken.
    pub(crate) fn is_crowded(&self) -> bool {
        self.samples.slots() < self.samples.buffer().capacity() / 2
    }

    fn has_ended(&self) -> bool {
        self.ending.load(Acquire)
    }

    /// Takes audio: interleaved, left-justified, whole frames.
    pub(crate) fn audio(&mut self, at: FrameIndex, samples: &[i32], anchor: &TimeAnchor) {
        let out = self.left_out(at, FrameCount((samples.len() / self.width) as u64), anchor);
        let (mut at, mut samples) = (at + out, &samples[out.0 as usize * self.width..]);
        while !samples.is_empty() {
            let frames = FrameCount((samples.len() / self.width) as u64);
            if self.parts(samples.len()) {
                return self.pass_over(frames);
            }
            let Some(part) = self.admit(at, frames, anchor) else { return };
            let (now, later) = samples.split_at(part.0 as usize * self.width);
            if self.has_room(now.len()) {
                self.tell_silence();
                self.samples.push_entire_slice(now).expect("room was found for it just now");
                self.pending += part;
            } else {
                self.add_silence(part, GapCause::DiskStall);
            }
            self.took(part);
            at += part;
            samples = later;
        }
    }

    /// Takes silence in the place of lost audio.
    pub(crate) fn silence(
        &mut self,
        at: FrameIndex,
        frames: FrameCount,
        cause: GapCause,
        anchor: &TimeAnchor,
    ) {
        let out = self.left_out(at, frames, anchor);
        let (mut at, mut left) = (at + out, frames.saturating_sub(out));
        while left > FrameCount::ZERO {
            if self.stalled && self.parts(0) {
                return self.pass_over(left);
            }
            let Some(part) = self.admit(at, left, anchor) else { return };
            self.add_silence(part, cause);
            self.took(part);
            at += part;
            left = left.saturating_sub(part);
        }
    }

    /// Takes note that what follows is placed by its arrival.
    pub(crate) fn joint(&mut self, cause: GapCause) {
        if self.open && !self.has_ended() {
            self.tell(DiskCommand::Joint(cause));
        }
    }

    /// Takes note that what follows stands elsewhere: the file that is open ends.
    pub(crate) fn placed(&mut self, placed: &Placed) {
        if self.placed.replace(*placed).is_some() {
            self.floor = None;
        }
        if self.open && !self.has_ended() {
            self.tell_pending();
            self.tell_silence();
            self.tell_ending();
            self.push(DiskCommand::Ends(Box::new(*placed)));
            self.open = false;
            self.cut = None;
        }
    }

    /// Takes note of how fast the sender runs.
    pub(crate) fn drift(&mut self, ppm: Option<f64>) {
        self.ending_facts.drift_ppm = ppm;
    }

    /// Takes an event for the ledger.
    pub(crate) fn event(&mut self, event: FlowEvent) {
        if self.open && !self.has_ended() && self.commands.slots() > RESERVE {
            self.tell(DiskCommand::Event(Box::new(event)));
        }
    }

    /// Ends the recording; `done` is called when its file is closed.
    pub(crate) fn end(&mut self, done: Option<Done>) {
        self.done = match (self.done.take(), done) {
            (Some(first), Some(second)) => Some(Box::new(move || {
                first();
                second();
            })),
            (first, second) => first.or(second),
        };
        if !self.ending.swap(true, Release) {
            self.done.get_or_insert_with(|| Box::new(|| {}));
        }
    }

    /// Leaves out what lies before `floor`, if the flow is placed by its media clock and begins [`NEAR`] it.
    pub(crate) fn begin_at(&mut self, floor: FrameIndex) {
        self.floor = Some(floor);
    }

    /// The engine ends: what follows `position` is the next one's. Says so of a recording that runs and can be found again by its media
    /// clock. Nothing may follow.
    pub(crate) fn leave(&mut self, position: FrameIndex) {
        if self.open && !self.has_ended() {
            self.tell_pending();
            self.tell_silence();
            self.tell_ending();
        }
        let position = match self.floor {
            // It has not come so far yet, and has no file.
            Some(floor) => floor,
            None if self.open && self.is_exact() => position,
            None => return,
        };
        if !self.has_ended() {
            self.tell(DiskCommand::Leaves(position));
        }
    }

    /// Ends a turn of the worker: tells of what was taken, and follows the clock.
    pub(crate) fn turn(&mut self, head: FrameIndex, anchor: Option<&TimeAnchor>) {
        self.tell_pending();
        if self.has_ended() {
            self.tell_silence();
            if self.done.is_some() {
                self.tell_ending();
            }
            if let Some(done) = self.done.take()
                && let Err(rtrb::PushError::Full(DiskCommand::Close(done))) =
                    self.commands.push(DiskCommand::Close(Some(done)))
            {
                self.done = done;
            }
            return;
        }
        let Some(anchor) = anchor.filter(|_| self.open && self.cutting.is_some()) else { return };
        self.leap(head, anchor);
        match &mut self.cut {
            // Asked at each turn, so drift never adds up to a step. What follows one belongs into a file named by it.
            Some(cut) if (anchor.utc_of(cut.position) - cut.utc).abs() > STEP => cut.position = head,
            Some(cut) => cut.follow(head, anchor),
            // No boundary could be told before: the archive clock was not known.
            None => self.cut = self.next_cut(head, anchor.utc_of(head), anchor),
        }
    }

    /// A leap second moves the cut, also where it is told of with the very frames that lie behind it; but none that PTP time names, which
    /// has no leap seconds.
    fn leap(&mut self, at: FrameIndex, anchor: &TimeAnchor) {
        let (before, now) = (self.cut_by, anchor.tai_offset);
        self.cut_by = now;
        let (Some(cut), Some(before), Some(now)) = (&mut self.cut, before, now) else { return };
        let leap = now - before;
        if leap == Nanos::ZERO || leap.abs() > STEP {
            return;
        }
        if self.cutting.as_ref().is_some_and(|cutting| cutting.policy.clock() == ArchiveClock::Ptp) {
            cut.utc = cut.utc - leap;
        } else if anchor.exact {
            let moved = anchor.position_of(cut.utc);
            if moved >= at {
                cut.position = moved;
            }
        }
    }

    fn is_exact(&self) -> bool {
        self.placed.is_some_and(|placed| placed.placement == Placement::MediaClock)
    }

    /// How many of `frames` from `at` lie before the floor. Where it is reached, or lies elsewhere, there is none from here on.
    fn left_out(&mut self, at: FrameIndex, frames: FrameCount, anchor: &TimeAnchor) -> FrameCount {
        let Some(floor) = self.floor else { return FrameCount::ZERO };
        let ahead = floor.since(at);
        if ahead == FrameCount::ZERO || ahead > anchor.rate.frames_in(NEAR) || !self.is_exact() {
            self.floor = None;
            return FrameCount::ZERO;
        }
        if ahead < frames {
            self.floor = None;
        }
        ahead.min(frames)
    }

    /// What comes next begins a file, as at a boundary of the archive.
    #[cfg(test)]
    pub(crate) fn cut_here(&mut self) {
        self.open = false;
    }

    /// How many of `frames` from `at` go into the segment that is open, after opening one if it is time to.
    /// None if the recording takes no more.
    fn admit(&mut self, at: FrameIndex, frames: FrameCount, anchor: &TimeAnchor) -> Option<FrameCount> {
        if self.has_ended() {
            return None;
        }
        if self.left == Some(FrameCount::ZERO) {
            self.end(None);
            return None;
        }
        let now = anchor.utc_of(at);
        if self.open {
            self.ending_facts.tai_offset = anchor.tai_offset;
            self.leap(at, anchor);
        }
        match self.cut {
            _ if !self.open => self.begin(at, now, anchor),
            // At the cut the name follows the instant that was meant, not the frame nearest to it.
            Some(cut) if at >= cut.position && (now - cut.utc).abs() <= STEP => {
                self.begin(at, cut.utc, anchor);
            }
            Some(cut) if at >= cut.position => self.begin(at, now, anchor),
            _ => {}
        }
        let to_cut = self.cut.map_or(frames, |cut| cut.position.since(at));
        Some(frames.min(to_cut).min(self.left.unwrap_or(frames)))
    }

    fn begin(&mut self, position: FrameIndex, utc: Timestamp<Utc>, anchor: &TimeAnchor) {
        self.tell_pending();
        self.tell_silence();
        self.tell_ending();
        let (tai_offset, placed) = (anchor.tai_offset, self.placed);
        self.push(DiskCommand::Open(Box::new(Opening { position, utc, tai_offset, placed })));
        self.open = true;
        self.cut = self.next_cut(position, utc, anchor);
        self.cut_by = anchor.tai_offset;
    }

    /// Where the segment ends that began at `position`, which was meant to be `utc`.
    fn next_cut(&self, position: FrameIndex, utc: Timestamp<Utc>, anchor: &TimeAnchor) -> Option<Cut> {
        let cutting = self.cutting.as_ref()?;
        let end = cutting.policy.next_boundary(utc, &cutting.zone, anchor.tai_offset).ok()?;
        let mut cut = Cut::at(end, anchor);
        // A segment of no length could never be left.
        cut.position = cut.position.max(position + FrameCount(1));
        Some(cut)
    }

    /// Whether there is room for `samples`. A stall ends when a quarter of the ring is free again.
    fn has_room(&mut self, samples: usize) -> bool {
        let wanted = if self.stalled { samples.max(self.samples.buffer().capacity() / 4) } else { samples };
        self.stalled = self.samples.slots() < wanted || self.commands.slots() <= RESERVE;
        !self.stalled
    }

    /// Whether so many samples find no room and are left out. Then the file that is open ends here.
    fn parts(&mut self, samples: usize) -> bool {
        if !self.mirrors || self.has_room(samples) {
            return false;
        }
        if self.open && !self.has_ended() {
            self.tell_pending();
            self.tell_silence();
            self.tell_ending();
            self.push(DiskCommand::Parts);
        }
        self.open = false;
        self.cut = None;
        true
    }

    /// These are left out; of a limited recording they count.
    fn pass_over(&mut self, frames: FrameCount) {
        if !self.has_ended() {
            self.took(frames);
        }
    }

    fn took(&mut self, frames: FrameCount) {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(frames);
            if *left == FrameCount::ZERO {
                self.end(None);
            }
        }
    }

    /// Silence is told of when something else follows, so that a long stall is one command. Where there is no
    /// room for commands either, what follows joins it.
    fn add_silence(&mut self, frames: FrameCount, cause: GapCause) {
        self.tell_pending();
        match &mut self.pending_silence {
            Some((pending, of)) if *of == cause || self.commands.slots() <= RESERVE => *pending += frames,
            _ => {
                self.tell_silence();
                self.pending_silence = Some((frames, cause));
            }
        }
        if cause != GapCause::DiskStall && self.commands.slots() > RESERVE {
            self.tell_silence();
        }
    }

    fn tell_silence(&mut self) {
        if let Some((frames, cause)) = self.pending_silence.take() {
            self.push(DiskCommand::Silence(frames, cause));
        }
    }

    fn tell_pending(&mut self) {
        if self.pending > FrameCount::ZERO {
            let pending = std::mem::take(&mut self.pending);
            self.push(DiskCommand::Audio(pending));
        }
    }

    /// What the open file's last line says.
    fn tell_ending(&mut self) {
        if self.open {
            self.push(DiskCommand::Ending(Box::new(self.ending_facts)));
        }
    }

    fn tell(&mut self, command: DiskCommand) {
        self.tell_pending();
        self.tell_silence();
        self.push(command);
    }

    /// Ordinary commands leave a reserve for the others; the disk writer takes them all each 40 ms while it lives, and
    /// it waits for nothing but the disk.
    fn push(&mut self, command: DiskCommand) {
        if self.commands.push(command).is_err() {
            tracing::error!(
                "the disk has taken nothing for so long that its orders are lost; the recording is not whole"
            );
        }
    }
}

const _: () = assert!(size_of::<DiskCommand>() <= 24, "131,072 of them are in memory for each recorder");

#[cfg(test)]
mod tests;
