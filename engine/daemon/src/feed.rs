//! From a worker to the disk writer: one recording's samples and what is to be done with them.
//!
//! Owns: the two rings of a recording, the cut of its segments, what is left out at its begin since the engine before has it, and what
//! happens when the disk is too slow: frames that find no room become silence of the same length, whose cause says so. Never: waits.
//!
//! ```text
//!         first kept frame                   the cut's frame, or the flow is placed anew
//!  [waiting] ───────────► [segment is open] ────────────────────────────────────────► [next segment is open] …
//!                           │        ▲ a quarter of the ring is free again
//!                  no room  └► [stalled: silence in place of audio]
//! ```

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};

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
        floor: None,
        left: limit,
        done: None,
        ending: Arc::clone(&ending),
    };
    (feed, FeedEnd { commands: commands_out, samples: samples_out, ending })
}

impl Feed {
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
mod tests {
    use audyn_core::flow::Why;

    use super::*;

    const RATE: SampleRate = SampleRate::HZ_48000;

    fn anchor() -> TimeAnchor {
        TimeAnchor {
            position: FrameIndex(0),
            utc: Timestamp::from_nanos(1_767_225_597_000_000_000),
            rate: RATE,
            exact: false,
            tai_offset: None,
        }
    }

    /// What came through, with neighbouring audio joined.
    fn drain(end: &mut FeedEnd) -> Vec<String> {
        let mut told = Vec::new();
        while let Ok(command) = end.commands.pop() {
            told.push(match command {
                DiskCommand::Open(opening) => {
                    let Opening { position, utc, .. } = *opening;
                    format!("open {} {}", position.0, utc.as_nanos() / 1_000_000)
                }
                DiskCommand::Ends(placed) => format!("ends {} {:?}", placed.position.0, placed.why),
                DiskCommand::Ending(ending) => match ending.drift_ppm {
                    Some(ppm) => format!("drift {ppm}"),
                    None => continue,
                },
                DiskCommand::Audio(n) => {
                    end.samples.read_chunk(n.0 as usize).unwrap().commit_all();
                    format!("audio {}", n.0)
                }
                DiskCommand::Silence(n, cause) => format!("silence {} {cause:?}", n.0),
                DiskCommand::Joint(cause) => format!("joint {cause:?}"),
                DiskCommand::Event(event) => format!("event {event:?}"),
                DiskCommand::Leaves(position) => format!("leaves {}", position.0),
                DiskCommand::Close(_) => "close".to_owned(),
            });
        }
        told
    }

    #[test]
    fn segments_are_cut_at_the_very_frame() {
        let cutting = Cutting { policy: ArchivePolicy::default(), zone: TimeZone::UTC };
        let (mut feed, mut end) = connect(RATE, 1, Some(cutting), None);
        // 2025-12-31 23:59:57: the hour ends after 3 s.
        feed.audio(FrameIndex(0), &vec![1; 143_990], &anchor());
        feed.audio(FrameIndex(143_990), &[1; 48], &anchor());
        feed.turn(FrameIndex(144_038), Some(&anchor()));
        assert_eq!(
            drain(&mut end),
            ["open 0 1767225597000", "audio 144000", "open 144000 1767225600000", "audio 38"]
        );
    }

    #[test]
    fn a_slow_disk_costs_an_exact_gap_and_nothing_moves() {
        let (mut feed, mut end) = connect(RATE, 1, None, None);
        let capacity = RATE.frames_in(DISK_BUFFER).0;
        let packet = [7; 48];
        let mut at = FrameIndex(0);
        let mut give = |feed: &mut Feed, count: u64| {
            for _ in 0..count {
                feed.audio(at, &packet, &anchor());
                at += FrameCount(48);
            }
            feed.turn(at, None);
        };
        give(&mut feed, capacity / 48 + 10);
        assert_eq!(drain(&mut end), ["open 0 1767225597000".to_owned(), format!("audio {capacity}")]);
        give(&mut feed, 2);
        assert_eq!(drain(&mut end), ["silence 480 DiskStall", "audio 96"]);
    }

    #[test]
    fn a_limit_is_kept_to_the_frame() {
        let (mut feed, mut end) = connect(RATE, 1, None, Some(FrameCount(100)));
        for n in 0..4 {
            feed.audio(FrameIndex(n * 48), &[1; 48], &anchor());
        }
        feed.turn(FrameIndex(192), None);
        assert_eq!(drain(&mut end), ["open 0 1767225597000", "audio 100", "close"]);
        assert!(feed.is_finished());
    }

    #[test]
    fn an_end_during_a_stall_comes_after_the_stall() {
        let (mut feed, mut end) = connect(RATE, 1, None, None);
        feed.audio(FrameIndex(0), &vec![1; RATE.frames_in(DISK_BUFFER).0 as usize], &anchor());
        feed.audio(FrameIndex(480_000), &[1; 48], &anchor());
        feed.end(None);
        feed.turn(FrameIndex(480_048), None);
        assert_eq!(drain(&mut end)[1..], ["audio 480000", "silence 48 DiskStall", "close"]);
        assert!(feed.is_finished());
    }

    #[test]
    fn a_cut_during_a_stall_divides_the_stall() {
        let cutting = Cutting { policy: ArchivePolicy::default(), zone: TimeZone::UTC };
        let (mut feed, mut end) = connect(RATE, 1, Some(cutting), None);
        let early = TimeAnchor { utc: anchor().utc - Nanos::from_secs(12), ..anchor() };
        // The ring is full after 10 s, the hour ends after 15.
        for second in 0..17 {
            feed.audio(FrameIndex(second * 48_000), &vec![1; 48_000], &early);
            feed.turn(FrameIndex((second + 1) * 48_000), Some(&early));
        }
        feed.end(None);
        feed.turn(FrameIndex(816_000), None);
        let told = drain(&mut end);
        let audio = told.iter().filter(|line| line.starts_with("audio 48000")).count();
        assert_eq!(audio, 10);
        let rest: Vec<_> = told.iter().filter(|line| !line.starts_with("audio")).collect();
        assert_eq!(
            rest,
            [
                "open 0 1767225585000",
                "silence 240000 DiskStall",
                "open 720000 1767225600000",
                "silence 96000 DiskStall",
                "close"
            ]
        );
    }

    fn placed(position: u64, moved: i64, anchor: TimeAnchor) -> Placed {
        Placed {
            position: FrameIndex(position),
            moved,
            placement: Placement::Arrival,
            quality: audyn_units::ClockQuality::Ntp,
            tai_offset: anchor.tai_offset,
            why: Why::ClockStepped(Nanos::from_secs(1)),
            anchor,
        }
    }

    #[test]
    fn a_flow_that_is_placed_anew_begins_a_file_that_is_named_by_it() {
        for hours in [-8_760, -3, 5, 8_760] {
            let cutting = Cutting { policy: ArchivePolicy::default(), zone: TimeZone::UTC };
            let (mut feed, mut end) = connect(RATE, 1, Some(cutting), None);
            let early = TimeAnchor {
                position: FrameIndex(2_000_000_000_000),
                utc: anchor().utc - Nanos::from_secs(1_000),
                ..anchor()
            };
            let moved = 3_600 * hours * 48_000;
            let at = early.position.0.saturating_add_signed(moved) + 48_000;
            let stepped = TimeAnchor {
                position: FrameIndex(at),
                utc: early.utc + Nanos::from_secs(3_600 * hours + 1),
                ..early
            };
            feed.placed(&placed(early.position.0, 0, early));
            feed.audio(early.position, &vec![1; 48_000], &early);
            feed.drift(Some(1.5));
            feed.turn(early.position + FrameCount(48_000), Some(&early));
            feed.placed(&placed(at, moved, stepped));
            feed.silence(FrameIndex(at), FrameCount(48), GapCause::Outage, &stepped);
            feed.audio(FrameIndex(at + 48), &[1; 48], &stepped);
            feed.end(None);
            feed.turn(FrameIndex(at + 96), None);
            let start = 1_767_224_597_000i64;
            assert_eq!(
                drain(&mut end),
                [
                    format!("open {} {start}", early.position.0),
                    "audio 48000".to_owned(),
                    "drift 1.5".to_owned(),
                    format!("ends {at} ClockStepped(Nanos(1000000000))"),
                    format!("open {at} {}", start + 3_600_000 * hours + 1_000),
                    "silence 48 Outage".to_owned(),
                    "audio 48".to_owned(),
                    "drift 1.5".to_owned(),
                    "close".to_owned(),
                ],
                "{hours} h"
            );
        }
    }

    #[test]
    fn a_leap_second_moves_the_cut_and_closes_nothing() {
        // Placed by its media clock: position 0 is 23:59:57 of a day that gets a second more.
        let cutting = Cutting { policy: ArchivePolicy::default(), zone: TimeZone::UTC };
        let (mut feed, mut end) = connect(RATE, 1, Some(cutting), None);
        let before = TimeAnchor { exact: true, tai_offset: Some(Nanos::from_secs(37)), ..anchor() };
        let after = TimeAnchor {
            utc: before.utc - Nanos::from_secs(1),
            tai_offset: Some(Nanos::from_secs(38)),
            ..before
        };
        let mut told = Vec::new();
        for second in 0..6u64 {
            let anchor = if second < 2 { &before } else { &after };
            feed.audio(FrameIndex(second * 48_000), &vec![1; 48_000], anchor);
            feed.turn(FrameIndex((second + 1) * 48_000), Some(anchor));
            told.extend(drain(&mut end).into_iter().filter(|line| !line.starts_with("audio")));
        }
        assert_eq!(told, ["open 0 1767225597000", "open 192000 1767225600000"], "four seconds, not three");
    }

    #[test]
    fn a_leap_second_that_is_told_with_its_first_frame_moves_the_cut() {
        // The day would end after three seconds, at frame 144,000.
        for (leap, at, end_of_day) in [(1, 144_000, 192_000), (-1, 96_000, 96_000)] {
            let cutting = Cutting { policy: ArchivePolicy::default(), zone: TimeZone::UTC };
            let (mut feed, mut end) = connect(RATE, 1, Some(cutting), None);
            let before = TimeAnchor { exact: true, tai_offset: Some(Nanos::from_secs(37)), ..anchor() };
            let leap = Nanos::from_secs(leap);
            let after = TimeAnchor {
                utc: before.utc - leap,
                tai_offset: Some(Nanos::from_secs(37) + leap),
                ..before
            };
            let mut told = Vec::new();
            for millis in 0..5_000u64 {
                let first = millis * 48;
                let anchor = if first < at { &before } else { &after };
                feed.audio(FrameIndex(first), &[1; 48], anchor);
                feed.turn(FrameIndex(first + 48), Some(anchor));
                told.extend(drain(&mut end).into_iter().filter(|line| !line.starts_with("audio")));
            }
            let second = format!("open {end_of_day} 1767225600000");
            assert_eq!(told, ["open 0 1767225597000".to_owned(), second], "{leap:?}");
        }
    }

    /// A flow that begins at `first`, by its media clock or not, and gives four packets of 48 frames, the third of them lost.
    fn begins(feed: &mut Feed, first: u64, placement: Placement) {
        let anchor = TimeAnchor { exact: true, ..anchor() };
        feed.placed(&Placed { placement, why: Why::First, ..placed(first, 0, anchor) });
        feed.audio(FrameIndex(first), &[1; 96], &anchor);
        feed.silence(FrameIndex(first + 96), FrameCount(48), GapCause::Loss, &anchor);
        feed.audio(FrameIndex(first + 144), &[1; 48], &anchor);
        feed.turn(FrameIndex(first + 192), Some(&anchor));
    }

    #[test]
    fn what_the_engine_before_has_is_left_out_to_the_frame_and_the_file_begins_behind_it() {
        let first = 10 * 48_000u64;
        let millis = |frame: u64| 1_767_225_597_000 + frame as i64 / 48;
        let all = ["audio 96", "silence 48 Loss", "audio 48"];
        for (ahead, begins_at, told) in [
            (0, 0, all.as_slice()),
            (1, 1, &["audio 95", "silence 48 Loss", "audio 48"]),
            (96, 96, &["silence 48 Loss", "audio 48"]),
            (100, 100, &["silence 44 Loss", "audio 48"]),
            (144, 144, &["audio 48"]),
            (191, 191, &["audio 1"]),
            // Behind the place where the other engine ended, or more than a second before it: it is another time.
            (-1, 0, &all),
            (48_001, 0, &all),
            (i64::MAX, 0, &all),
        ] {
            let (mut feed, mut end) = connect(RATE, 1, None, None);
            feed.begin_at(FrameIndex(first.saturating_add_signed(ahead)));
            begins(&mut feed, first, Placement::MediaClock);
            feed.leave(FrameIndex(first + 144));
            let at = first + begins_at;
            let mut expected = vec![format!("open {at} {}", millis(at))];
            expected.extend(told.iter().map(|&line| line.to_owned()));
            expected.push(format!("leaves {}", first + 144));
            assert_eq!(drain(&mut end), expected, "{ahead}");
        }
    }

    #[test]
    fn a_place_that_is_not_reached_stands_for_the_next_engine() {
        let (mut feed, mut end) = connect(RATE, 1, None, None);
        feed.begin_at(FrameIndex(48_192));
        begins(&mut feed, 192, Placement::MediaClock);
        feed.leave(FrameIndex(384));
        assert_eq!(drain(&mut end), ["leaves 48192"]);
        // A flow from which nothing has come yet.
        let (mut feed, mut end) = connect(RATE, 1, None, None);
        feed.begin_at(FrameIndex(7));
        feed.leave(FrameIndex(0));
        assert_eq!(drain(&mut end), ["leaves 7"]);
    }

    #[test]
    fn nothing_is_left_out_of_a_flow_that_no_media_clock_places_nor_noted_of_it() {
        let (mut feed, mut end) = connect(RATE, 1, None, None);
        feed.begin_at(FrameIndex(48));
        begins(&mut feed, 0, Placement::Arrival);
        feed.leave(FrameIndex(192));
        assert_eq!(drain(&mut end), ["open 0 1767225597000", "audio 96", "silence 48 Loss", "audio 48"]);
    }

    #[test]
    fn a_flow_that_is_placed_anew_is_recorded_from_there() {
        let (mut feed, mut end) = connect(RATE, 1, None, None);
        feed.begin_at(FrameIndex(1_000));
        begins(&mut feed, 0, Placement::MediaClock);
        begins(&mut feed, 600, Placement::MediaClock);
        assert_eq!(drain(&mut end)[..2], ["open 600 1767225597012", "audio 96"]);
    }

    #[test]
    fn a_recording_that_a_person_ended_or_that_has_no_file_is_not_noted() {
        let (mut feed, mut end) = connect(RATE, 1, None, None);
        begins(&mut feed, 0, Placement::MediaClock);
        feed.end(None);
        feed.leave(FrameIndex(192));
        feed.turn(FrameIndex(192), None);
        assert_eq!(drain(&mut end).last().unwrap(), "close");
        let (mut feed, mut end) = connect(RATE, 1, None, None);
        feed.placed(&placed(0, 0, anchor()));
        feed.leave(FrameIndex(0));
        assert!(drain(&mut end).is_empty());
    }
}
