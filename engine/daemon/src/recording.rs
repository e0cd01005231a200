//! One recording on its way to the disk: its files, one after the other.
//!
//! Owns: when a file is opened and closed, and what is told of it. An error of the disk ends nothing: while no file can be
//! opened the rings keep what comes, and what finds no room there is ledgered as a stall.
//!
//! ```text
//!            Open                       error on open
//!  [waiting] ────► [file is open] ◄───────────────────► [no file: tried again, nothing is taken from the rings]
//!                     │ Open: close, next file              │ the recording ends: given up, and said
//!                     └ Close ► [finished] ◄────────────────┘
//! ```

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::sync::{MutexGuard, PoisonError};

use audyn_media::{MediaError, PcmDepth, WavSpec};
use audyn_units::{FrameCount, FrameIndex, Mono, Nanos, Timestamp};

use crate::disk::NEVER;
use crate::facts::{About, rfc3339};
use crate::feed::{DiskCommand, Done, FeedEnd, Opening};
use crate::ledger::{self, Ledger, LedgerHeader};
use crate::naming::Naming;
use crate::resume::Leaving;
use crate::segment::{Account, Segment};
use crate::shared::{Notice, RecordingStatus, SharedRecording};
use crate::unfinished::OpenFile;

/// Time between two tries to open a file.
const RETRY: Nanos = Nanos::from_millis(250);

pub(crate) struct Recording {
    about: About,
    naming: Naming,
    spec: WavSpec,
    source_depth: PcmDepth,
    end: FeedEnd,
    segment: Option<Segment>,
    /// All files that are closed.
    closed: Account,
    /// A file is wanted that begins with this frame at this instant.
    wants_file: Option<Opening>,
    /// What the last file began with.
    began: Option<Opening>,
    /// Whom to tell where it stands when the engine ends.
    leaving: Option<Leaving>,
    /// No file has been made yet.
    first: bool,
    /// Frames that found no file before the recording ended.
    unwritten: FrameCount,
    last_try: Timestamp<Mono>,
    last_flush: Timestamp<Mono>,
    last_sync: Timestamp<Mono>,
    /// The open file is in no list yet by which it would be mended after a power cut: it isn't flushed before.
    unlisted: bool,
    /// Closed files and their directories, which shall survive a power cut.
    to_sync: Vec<PathBuf>,
    finished: bool,
    shared: SharedRecording,
}

/// What a new recording is made of.
pub(crate) struct RecordingPlan {
    pub(crate) about: About,
    pub(crate) naming: Naming,
    pub(crate) spec: WavSpec,
    pub(crate) source_depth: PcmDepth,
}

impl Recording {
    pub(crate) fn new(plan: RecordingPlan, end: FeedEnd, shared: SharedRecording) -> Self {
        let RecordingPlan { about, naming, spec, source_depth } = plan;
        Self {
            about,
            naming,
            spec,
            source_depth,
            end,
            segment: None,
            closed: Account::default(),
            wants_file: None,
            began: None,
            leaving: None,
            first: true,
            unwritten: FrameCount::ZERO,
            last_try: NEVER,
            last_flush: NEVER,
            last_sync: NEVER,
            unlisted: false,
            to_sync: Vec::new(),
            finished: false,
            shared,
        }
    }

    /// Has it noted where it stands when the engine ends.
    pub(crate) fn noted_by(self, leaving: Leaving) -> Self {
        Self { leaving: Some(leaving), ..self }
    }

    /// Whether it has ended and nothing of it is left to do.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished && self.to_sync.is_empty()
    }

    /// Does what the feed asks.
    pub(crate) fn work(&mut self, now: Timestamp<Mono>, notices: &SyncSender<Notice>) {
        if self.finished {
            return;
        }
        // Asked before the ring is emptied, or the last commands could be missed.
        let gone = self.end.commands.is_abandoned();
        loop {
            if self.wants_file.is_some() && !self.try_open(now, notices) {
                break;
            }
            let Ok(command) = self.end.commands.pop() else {
                if gone {
                    self.end(None, notices);
                }
                break;
            };
            self.obey(command, notices);
            if self.finished {
                break;
            }
        }
        self.tell(notices);
    }

    /// The file that is being written.
    pub(crate) fn file(&self) -> Option<OpenFile> {
        let path = self.segment.as_ref()?.path().to_owned();
        Some(OpenFile { path, spec: self.spec, chain: self.naming.chain() })
    }

    /// Takes note that the open file is listed, or that nobody lists.
    pub(crate) fn listed(&mut self) {
        self.unlisted = false;
    }

    /// Writes what is buffered if the last time is `after` ago.
    pub(crate) fn flush(&mut self, now: Timestamp<Mono>, after: Nanos, notices: &SyncSender<Notice>) {
        if self.unlisted || now - self.last_flush < after {
            return;
        }
        self.last_flush = now;
        if let Some(segment) = &mut self.segment {
            let flushed = segment.flush();
            self.result(flushed);
            self.tell(notices);
        }
    }

    /// What shall be made safe against a power cut now: closed files at once, the open one when `after` has passed.
    pub(crate) fn due_to_sync(&mut self, now: Timestamp<Mono>, after: Nanos) -> Vec<PathBuf> {
        let mut due = std::mem::take(&mut self.to_sync);
        if let Some(segment) = self.segment.as_ref().filter(|_| now - self.last_sync >= after) {
            self.last_sync = now;
            // The ledger first: silence in the file that no ledger names would pass for audio.
            due.push(ledger::path_of(segment.path()));
            due.push(segment.path().to_owned());
        }
        due
    }

    /// Keeps what could not be made safe yet, for the next turn.
    pub(crate) fn sync_later(&mut self, path: PathBuf) {
        self.to_sync.push(path);
    }

    /// Ends without the feed's word: the engine ends. What is in the rings is written first.
    pub(crate) fn finish(&mut self, now: Timestamp<Mono>, notices: &SyncSender<Notice>) {
        self.work(now, notices);
        if !self.finished {
            self.end(None, notices);
        }
    }

    fn obey(&mut self, command: DiskCommand, notices: &SyncSender<Notice>) {
        match command {
            DiskCommand::Open(opening) => {
                self.close_segment(notices);
                self.last_try = NEVER;
                self.wants_file = Some(opening);
            }
            DiskCommand::Ends(placed) => {
                if let Some(segment) = &mut self.segment {
                    segment.ends(&placed);
                }
                self.close_segment(notices);
            }
            DiskCommand::Ending(ending) => {
                if let Some(segment) = &mut self.segment {
                    segment.ending(ending);
                }
            }
            DiskCommand::Audio(frames) => self.audio(frames),
            DiskCommand::Silence(frames, cause) => match &mut self.segment {
                Some(segment) => {
                    let result = segment.silence(frames, cause);
                    self.result(result);
                }
                None => self.unwritten += frames,
            },
            DiskCommand::Joint(cause) => {
                if let Some(segment) = &mut self.segment {
                    segment.joint(cause);
                }
            }
            DiskCommand::Event(event) => {
                if let Some(segment) = &mut self.segment {
                    segment.event(event);
                }
            }
            DiskCommand::Leaves(position) => self.leave(position, notices),
            DiskCommand::Close(done) => self.end(done, notices),
        }
    }

    /// The engine ends: tells how far the recording has come, if it has come there well. `position` may lie before the file's end.
    fn leave(&mut self, position: FrameIndex, notices: &SyncSender<Notice>) {
        let before = self.closed.written + self.closed.filled;
        let open = self.segment.is_some();
        self.close_segment(notices);
        let whole = self.unwritten == FrameCount::ZERO && self.status().error.is_none();
        let (Some(leaving), true) = (&self.leaving, whole) else { return };
        let held = (self.closed.written + self.closed.filled).saturating_sub(before);
        match self.began {
            Some(began) if open => leaving.at(position.min(began.position + held)),
            Some(_) => {}
            // What it was to leave out has not all come yet.
            None => leaving.at(position),
        }
    }

    fn audio(&mut self, frames: FrameCount) {
        let chunk = self
            .end
            .samples
            .read_chunk(frames.0 as usize * self.spec.channels.get())
            .expect("the feed pushed the samples before the command");
        let result = match &mut self.segment {
            Some(segment) => {
                let (first, second) = chunk.as_slices();
                let before = segment.audio(first);
                before.and(segment.audio(second))
            }
            None => {
                self.unwritten += frames;
                Ok(())
            }
        };
        chunk.commit_all();
        self.result(result);
    }

    /// Tries to open the file that is wanted. False if the rings must wait. Once the recording ends there is nothing to
    /// wait for: what finds no file then is lost, and said.
    fn try_open(&mut self, now: Timestamp<Mono>, notices: &SyncSender<Notice>) -> bool {
        let Some(opening) = self.wants_file else { return true };
        let ending = self.end.is_ending();
        if now - self.last_try < RETRY && self.last_try != NEVER && !ending {
            return false;
        }
        self.last_try = now;
        match self.open(&opening) {
            Ok(segment) => {
                let path = segment.path().to_owned();
                self.segment = Some(segment);
                self.unlisted = true;
                self.wants_file = None;
                self.began = Some(opening);
                self.first = false;
                self.last_flush = now;
                {
                    let mut status = self.status();
                    status.file = Some(path.clone());
                    status.error = None;
                }
                let (recorder, position) = (self.about.recorder.clone(), opening.position);
                let _ = notices.try_send(Notice::Opened { recorder, path, position });
                true
            }
            Err(detail) => {
                self.status().error = Some(detail);
                if ending {
                    self.wants_file = None;
                }
                ending
            }
        }
    }

    /// The open procedure.
    fn open(&self, opening: &Opening) -> Result<Segment, String> {
        let facts = self.about.facts(opening, self.spec.rate, self.naming.clock());
        let (mut wav, directory) = self.naming.create(opening, self.first, self.spec, &facts)?;
        wav.set_source_depth(self.source_depth);
        let path = wav.path().to_owned();
        let header = LedgerHeader {
            audyn_ledger: ledger::VERSION,
            recorder: self.about.recorder.clone(),
            studio: self.status().studio.clone(),
            file: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            first_position: opening.position,
            start_utc: rfc3339(opening.utc),
            zone: self.naming.zone_name(),
            rate: self.spec.rate.hz(),
            channels: self.spec.channels.into(),
            bits: self.spec.depth.bits(),
            placed_by: opening.placed.map(|placed| placed.placement),
            clock: opening.placed.map(|placed| placed.quality),
            tai_minus_utc: opening.tai_offset.map(ledger::whole_seconds),
        };
        let ledger = Ledger::create(&directory, &path, &header)
            .map_err(|error| {
                tracing::warn!(path = %path.display(), %error, "the gap ledger cannot be made; gaps are only counted");
            })
            .ok();
        Ok(Segment::new(wav, ledger, opening.position))
    }

    /// The close procedure.
    fn close_segment(&mut self, notices: &SyncSender<Notice>) {
        let Some(segment) = self.segment.take() else { return };
        let path = segment.path().to_owned();
        let (account, gaps, result) = segment.close();
        self.closed.written += account.written;
        self.closed.filled += account.filled;
        self.report(gaps, notices);
        self.result(result);
        self.to_sync.push(ledger::path_of(&path));
        self.to_sync.extend(path.parent().filter(|parent| !parent.as_os_str().is_empty()).map(PathBuf::from));
        self.to_sync.push(path);
        self.status().file = None;
    }

    fn end(&mut self, done: Option<Done>, notices: &SyncSender<Notice>) {
        self.close_segment(notices);
        self.tell(notices);
        self.finished = true;
        let error = {
            let mut status = self.status();
            status.active = false;
            if self.unwritten > FrameCount::ZERO {
                let why = status.error.take().unwrap_or_default();
                status.error = Some(format!("{} at the end found no file: {why}", self.unwritten));
            }
            status.error.clone()
        };
        let _ = notices.try_send(Notice::Ended { recorder: self.about.recorder.clone(), error });
        if let Some(done) = done {
            done();
        }
    }

    /// Publishes the account of all files, closed ones and the open one, and the gaps that have become complete.
    fn tell(&mut self, notices: &SyncSender<Notice>) {
        let (open, counted, gaps) = match &mut self.segment {
            Some(segment) => (segment.account(), segment.counted(), segment.take_gaps()),
            None => (Account::default(), FrameCount::ZERO, Vec::new()),
        };
        self.report(gaps, notices);
        let closed = self.closed;
        let bytes = (closed.written + closed.filled + counted).0 * self.spec.frame_bytes() as u64;
        let mut status = self.status();
        status.bytes = bytes;
        status.written = closed.written + open.written;
        status.filled = closed.filled + open.filled;
    }

    fn report(&self, gaps: Vec<audyn_core::flow::Gap>, notices: &SyncSender<Notice>) {
        self.status().gaps += gaps.len() as u64;
        for gap in gaps {
            let _ = notices.try_send(Notice::Gap { recorder: self.about.recorder.clone(), gap });
        }
    }

    fn result(&mut self, result: Result<(), MediaError>) {
        match result {
            Ok(()) if self.segment.is_some() => self.status().error = None,
            Ok(()) => {}
            Err(error) => self.status().error = Some(error.to_string()),
        }
    }

    fn status(&self) -> MutexGuard<'_, RecordingStatus> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a file, or a directory's names, safe against a power cut. What has been deleted meanwhile needs it no more.
pub(crate) fn make_safe(path: &Path) -> std::io::Result<()> {
    // Not through a link that somebody put in its place, nor waiting for whoever might write to a pipe.
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path);
    match file.and_then(|file| file.sync_data()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use audyn_core::flow::{FlowEvent, GapCause, Placed, Placement, Why};
    use audyn_core::segment::TimeAnchor;
    use audyn_units::{ChannelCount, ClockQuality, SampleRate};

    use super::*;
    use crate::feed;

    const RATE: SampleRate = SampleRate::HZ_48000;

    fn placed(position: u64, moved: i64, placement: Placement, why: Why) -> Placed {
        let seconds = (position / 48_000) as i64;
        let offset = Nanos::from_secs(37);
        let anchor = TimeAnchor {
            position: FrameIndex(position),
            utc: Timestamp::from_nanos(seconds * 1_000_000_000) - offset,
            rate: RATE,
            exact: placement == Placement::MediaClock,
            tai_offset: Some(offset),
        };
        let (position, tai_offset) = (FrameIndex(position), Some(offset));
        Placed { position, moved, placement, quality: ClockQuality::PtpLocked, tai_offset, why, anchor }
    }

    #[test]
    fn a_flow_that_is_placed_anew_ends_its_file_and_both_ledgers_say_how_they_stand() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let (mut feed, end) = feed::connect(RATE, 1, None, None);
        let plan = RecordingPlan {
            about: About {
                recorder: "a".to_owned(),
                name: "Studio 1".to_owned(),
                channel_names: vec!["Mono".to_owned()],
            },
            naming: Naming::File(path.clone()),
            spec: WavSpec { rate: RATE, channels: ChannelCount::MONO, depth: PcmDepth::Pcm24 },
            source_depth: PcmDepth::Pcm24,
        };
        let mut recording = Recording::new(plan, end, SharedRecording::default());
        let (notices, news) = std::sync::mpsc::sync_channel(64);

        let first = 1_783_000_000 * 48_000;
        let one = placed(first, 0, Placement::Arrival, Why::First);
        feed.placed(&one);
        feed.audio(one.position, &[256; 48], &one.anchor);
        feed.silence(one.position + FrameCount(48), FrameCount(5), GapCause::Loss, &one.anchor);
        feed.drift(Some(-12.345));
        let why = Why::ClockStepped(Nanos::from_secs(-3_600));
        let two = placed(first - 3_600 * 48_000, -172_800_053, Placement::MediaClock, why);
        feed.placed(&two);
        feed.audio(two.position, &[512; 48], &two.anchor);
        let (from, to) = (ClockQuality::PtpLocked, ClockQuality::PtpFreeRunning);
        feed.event(FlowEvent::ClockQualityChanged { from, to });
        feed.event(FlowEvent::ClockStepped(Nanos::from_secs(2)));
        feed.end(None);
        feed.turn(two.position + FrameCount(48), None);
        recording.work(Timestamp::from_nanos(1_000_000_000), &notices);

        let opened: Vec<_> = news
            .try_iter()
            .filter_map(|notice| match notice {
                Notice::Opened { path, position, .. } => Some((path, position)),
                _ => None,
            })
            .collect();
        let next = dir.path().join("a_002.wav");
        assert_eq!(opened, [(path.clone(), one.position), (next.clone(), two.position)]);
        let lines = |path: &Path| -> Vec<serde_json::Value> {
            let text = std::fs::read_to_string(ledger::path_of(path)).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let ledger = lines(&path);
        assert_eq!((&ledger[0]["placed_by"], &ledger[0]["clock"]), (&"arrival".into(), &"ptp-locked".into()));
        assert_eq!(ledger[0]["tai_minus_utc"], 37);
        assert_eq!(ledger[0]["start_utc"], "2026-07-02T13:46:03Z");
        assert_eq!((&ledger[1]["cause"], &ledger[1]["frames"]), (&"loss".into(), &5.into()));
        assert_eq!(ledger[2]["event"], "placed-anew");
        assert_eq!(
            ledger[2]["detail"],
            "this machine's clock stepped by -3600.000 s and stood by it; the next file goes on at frame \
             85583827200000, -172800053 frames from here, placed by its media clock"
        );
        assert_eq!((&ledger[3]["closed"], &ledger[3]["drift_ppm"]), (&true.into(), &(-12.3).into()));
        assert_eq!(ledger.len(), 4);
        let ledger = lines(&next);
        assert_eq!((&ledger[0]["placed_by"], ledger.len()), (&"media-clock".into(), 4));
        assert_eq!(
            (&ledger[1]["event"], &ledger[1]["position"]),
            (&"clock-quality".into(), &(two.position.0 + 48).into())
        );
        assert_eq!(
            ledger[1]["detail"],
            "this machine's clock is free-running after PTP, and was locked to PTP; no frame moves"
        );
        assert_eq!(ledger[2]["event"], "clock-stepped");
        assert_eq!(
            ledger[2]["detail"],
            "this machine's clock stepped by +2.000 s and stood by it; the flow goes on by its media clock, and no frame moves"
        );
        assert_eq!(ledger[0]["file"], "a_002.wav");
        for (path, position, reading) in [(&path, one.position, 49_563), (&next, two.position, 45_963)] {
            let mut reader = audyn_media::WavReader::open(path).unwrap();
            let (bext, facts) = (reader.bext().unwrap().unwrap(), reader.facts().unwrap().unwrap());
            assert_eq!(bext.time_reference.0, reading * 48_000, "the second of the day in UTC");
            assert_eq!(
                (facts.first, facts.start_utc.as_str()),
                (position, lines(path)[0]["start_utc"].as_str().unwrap())
            );
            assert_eq!(facts.placed_by.as_deref(), lines(path)[0]["placed_by"].as_str());
            assert_eq!((facts.tai_minus_utc, facts.clock.as_deref()), (Some(37), Some("ptp-locked")));
            assert_eq!(
                (bext.description.as_str(), facts.channel_names),
                ("Studio 1", vec!["Mono".to_owned()])
            );
            assert!(bext.originator.starts_with("Audyn "), "{}", bext.originator);
        }
    }
}
