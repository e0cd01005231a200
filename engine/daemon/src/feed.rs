//! From a worker to the disk writer: one recording's samples and what is to be done with them.
//!
//! Owns: the two rings of a recording, the cut of its segments, and what happens when the disk is too slow: the frames
//! that find no room are counted, and once there is room again as much silence follows, ledgered. Never: waits.
//!
//! ```text
//!            first audio                     the cut's frame
//!  [waiting] ───────────► [segment is open] ────────────────► [next segment is open] …
//!                           │        ▲ room again: silence, ledger entry
//!                  no room  └► [stalled]
//! ```

use audyn_core::archive::ArchivePolicy;
use audyn_core::flow::{FlowEvent, Gap, GapCause};
use audyn_core::segment::{Cut, TimeAnchor};
use audyn_units::{FrameCount, FrameIndex, Nanos, SampleRate, Timestamp, Utc};
use jiff::tz::TimeZone;
use rtrb::{Consumer, Producer, RingBuffer};

/// How much audio waits in memory while the disk doesn't take it.
pub(crate) const DISK_BUFFER: Nanos = Nanos::from_millis(4_000);

/// Commands that wait at most. At 50 % loss of 125 µs packets this is more than [`DISK_BUFFER`] makes.
const COMMANDS: usize = 65_536;

/// Room that ordinary commands leave for those that must get through.
const RESERVE: usize = 16;

/// Called when a recording's last file is closed.
pub(crate) type Done = Box<dyn FnOnce() + Send>;

/// What the disk writer is to do, in order. Samples come by the ring beside.
pub(crate) enum DiskCommand {
    /// Close what is open and begin a file with the frame at `position`.
    Open { position: FrameIndex, utc: Timestamp<Utc> },
    /// Take so many frames from the sample ring.
    Audio(FrameCount),
    /// Write so many frames of silence.
    Silence(FrameCount),
    /// Enter a gap whose end isn't known yet.
    GapOpened(Gap),
    /// Enter a gap.
    GapClosed(Gap),
    /// Enter an event at a position.
    Event(FrameIndex, FlowEvent),
    /// Close what is open; the recording has ended.
    Close(Option<Done>),
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
    open: bool,
    /// Frames in the sample ring that no command has told of yet.
    pending: FrameCount,
    stalled: Option<Gap>,
    /// Frames still to be recorded, if there is a limit.
    left: Option<FrameCount>,
    done: Option<Done>,
    ended: bool,
}

/// The disk writer's end of a recording.
pub(crate) struct FeedEnd {
    pub(crate) commands: Consumer<DiskCommand>,
    pub(crate) samples: Consumer<i32>,
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
    let feed = Feed {
        commands: commands_in,
        samples: samples_in,
        width,
        cutting,
        cut: None,
        open: false,
        pending: FrameCount::ZERO,
        stalled: None,
        left: limit,
        done: None,
        ended: false,
    };
    (feed, FeedEnd { commands: commands_out, samples: samples_out })
}

impl Feed {
    /// Whether the recording has ended and nothing more is to be told.
    pub(crate) fn is_finished(&self) -> bool {
        self.ended && self.done.is_none() && self.stalled.is_none()
    }

    /// Takes audio: interleaved, left-justified, whole frames.
    pub(crate) fn audio(&mut self, at: FrameIndex, samples: &[i32], anchor: &TimeAnchor) {
        let (mut at, mut samples) = (at, samples);
        while !samples.is_empty() {
            let frames = FrameCount((samples.len() / self.width) as u64);
            let Some(part) = self.admit(at, frames, anchor) else { return };
            let (now, later) = samples.split_at(part.0 as usize * self.width);
            if self.has_room(at, part, now.len(), GapCause::DiskStall) {
                self.samples.push_entire_slice(now).expect("room was found for it just now");
                self.pending += part;
            }
            self.took(part);
            at += part;
            samples = later;
        }
    }

    /// Takes silence in the place of lost audio.
    pub(crate) fn silence(&mut self, at: FrameIndex, frames: FrameCount, anchor: &TimeAnchor) {
        let (mut at, mut left) = (at, frames);
        while left > FrameCount::ZERO {
            let Some(part) = self.admit(at, left, anchor) else { return };
            if self.has_room(at, part, 0, GapCause::DiskStall) {
                self.tell(DiskCommand::Silence(part));
            }
            self.took(part);
            at += part;
            left = left.saturating_sub(part);
        }
    }

    /// Takes a ledger entry. During a stall the stall's own entry covers it.
    pub(crate) fn ledger(&mut self, command: DiskCommand) {
        if self.open && !self.ended && self.stalled.is_none() && self.commands.slots() > RESERVE {
            self.tell(command);
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
        if !self.ended {
            self.ended = true;
            self.done.get_or_insert_with(|| Box::new(|| {}));
        }
    }

    /// Ends a turn of the worker: tells of what was taken, and follows the clock.
    pub(crate) fn turn(&mut self, head: FrameIndex, anchor: Option<&TimeAnchor>) {
        self.tell_pending();
        if self.ended {
            self.recover(self.samples.buffer().capacity());
            if let Some(done) = self.done.take()
                && let Err(rtrb::PushError::Full(DiskCommand::Close(done))) =
                    self.commands.push(DiskCommand::Close(Some(done)))
            {
                self.done = done;
            }
            return;
        }
        if let (Some(cut), Some(anchor)) = (&mut self.cut, anchor) {
            cut.follow(head, anchor);
        }
    }

    /// How many of `frames` from `at` go into the segment that is open, after opening one if it is time to.
    /// None if the recording takes no more.
    fn admit(&mut self, at: FrameIndex, frames: FrameCount, anchor: &TimeAnchor) -> Option<FrameCount> {
        if self.ended {
            return None;
        }
        if self.left == Some(FrameCount::ZERO) {
            self.end(None);
            return None;
        }
        match self.cut {
            _ if !self.open => self.begin(at, anchor.utc_of(at), anchor),
            // At the cut itself the name follows the instant that was meant, not the frame nearest to it.
            Some(cut) if at == cut.position => self.begin(at, cut.utc, anchor),
            Some(cut) if at > cut.position => self.begin(at, anchor.utc_of(at).max(cut.utc), anchor),
            _ => {}
        }
        let to_cut = self.cut.map_or(frames, |cut| cut.position.since(at));
        Some(frames.min(to_cut).min(self.left.unwrap_or(frames)))
    }

    fn begin(&mut self, position: FrameIndex, utc: Timestamp<Utc>, anchor: &TimeAnchor) {
        self.tell(DiskCommand::Open { position, utc });
        self.open = true;
        self.cut = self.cutting.as_ref().and_then(|cutting| {
            let tai = audyn_sys::clock::tai_offset().map(|secs| Nanos::from_secs(i64::from(secs)));
            let end = cutting.policy.next_boundary(utc, &cutting.zone, tai).ok()?;
            let mut cut = Cut::at(end, anchor);
            // A step of the clock could place the end before the beginning; a second is the shortest period.
            cut.position = cut.position.max(position + FrameCount(u64::from(anchor.rate.hz())));
            Some(cut)
        });
    }

    /// Whether there is room for `samples` and a few commands. If not, the frames join the stall.
    fn has_room(&mut self, at: FrameIndex, frames: FrameCount, samples: usize, cause: GapCause) -> bool {
        self.recover(samples);
        if let Some(gap) = &mut self.stalled {
            gap.frames += frames;
            return false;
        }
        if self.samples.slots() >= samples && self.commands.slots() > RESERVE {
            return true;
        }
        self.tell_pending();
        self.stalled = Some(Gap { position: at, frames, cause, estimated: false });
        false
    }

    /// Ends a stall if a quarter of the ring is free again: the silence, then the entry.
    fn recover(&mut self, wanted: usize) {
        let quarter = self.samples.buffer().capacity() / 4;
        let room =
            self.samples.slots() >= wanted.min(quarter).max(quarter) && self.commands.slots() > RESERVE;
        if room && let Some(gap) = self.stalled.take() {
            self.tell(DiskCommand::Silence(gap.frames));
            self.tell(DiskCommand::GapClosed(gap));
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

    fn tell_pending(&mut self) {
        if self.pending > FrameCount::ZERO {
            let pending = std::mem::take(&mut self.pending);
            // `RESERVE` keeps room for it; if the writer has died there is nobody to tell.
            let _ = self.commands.push(DiskCommand::Audio(pending));
        }
    }

    fn tell(&mut self, command: DiskCommand) {
        self.tell_pending();
        // As in `tell_pending`: ordinary commands leave a reserve for this.
        let _ = self.commands.push(command);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: SampleRate = SampleRate::HZ_48000;

    fn anchor() -> TimeAnchor {
        TimeAnchor {
            position: FrameIndex(0),
            utc: Timestamp::from_nanos(1_767_225_597_000_000_000),
            rate: RATE,
        }
    }

    /// What came through, with neighbouring audio joined.
    fn drain(end: &mut FeedEnd) -> Vec<String> {
        let mut told = Vec::new();
        while let Ok(command) = end.commands.pop() {
            told.push(match command {
                DiskCommand::Open { position, utc } => {
                    format!("open {} {}", position.0, utc.as_nanos() / 1_000_000)
                }
                DiskCommand::Audio(n) => {
                    end.samples.read_chunk(n.0 as usize).unwrap().commit_all();
                    format!("audio {}", n.0)
                }
                DiskCommand::Silence(n) => format!("silence {}", n.0),
                DiskCommand::GapOpened(gap) => format!("opened {}", gap.position.0),
                DiskCommand::GapClosed(gap) => {
                    format!("gap {} {} {:?}", gap.position.0, gap.frames.0, gap.cause)
                }
                DiskCommand::Event(at, _) => format!("event {}", at.0),
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
        assert_eq!(
            drain(&mut end),
            ["silence 480".to_owned(), format!("gap {capacity} 480 DiskStall"), "audio 96".to_owned()]
        );
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
    fn an_end_during_a_stall_is_told_when_there_is_room() {
        let (mut feed, mut end) = connect(RATE, 1, None, None);
        feed.audio(FrameIndex(0), &vec![1; RATE.frames_in(DISK_BUFFER).0 as usize], &anchor());
        feed.audio(FrameIndex(192_000), &[1; 48], &anchor());
        feed.end(None);
        feed.turn(FrameIndex(192_048), None);
        assert!(!feed.is_finished(), "the stall's silence is still to come");
        drain(&mut end);
        feed.turn(FrameIndex(192_048), None);
        assert_eq!(drain(&mut end), ["silence 48", "gap 192000 48 DiskStall"]);
    }
}
