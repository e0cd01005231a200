//! One recording on its way to the disk: its files, one after the other, in one format or several at once.
//!
//! Owns: when a file is opened and closed, and what is told of it. An error of the disk ends nothing: while no file can be
//! opened the rings keep what comes, and what finds no room there is ledgered as a stall.
//!
//! ```text
//!            Open                       error on open
//!  [waiting] ────► [files are open] ◄──────────────────► [one is missing: tried again, nothing is taken from the rings]
//!                     │ Open: close or succeed, next files  │ the recording ends: given up, and said
//!                     └ Close ► [finished] ◄────────────────┘
//! ```
//!
//! Each format has a file and a ledger of its own, under one name. What is told of the recording is what the first of them holds. Where one
//! encoder runs over all files (Opus), the ended one stays open until its last frame has come out.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::sync::{MutexGuard, PoisonError};

use audyn_media::ledger::{LedgerHeader, VERSION};
use audyn_media::{FileFormat, MediaError, PcmDepth};
use audyn_units::{FrameCount, FrameIndex, Mono, Nanos, Timestamp};

use crate::disk::NEVER;
use crate::facts::{About, rfc3339};
use crate::feed::{DiskCommand, Done, FeedEnd, Opening};
use crate::ledger::{self, Ledger};
use crate::naming::{Naming, Place};
use crate::resume::Leaving;
use crate::segment::{Account, Book, Closed, Segment};
use crate::shared::{Notice, RecordingStatus, SharedRecording};
use crate::unfinished::OpenFile;

/// Time between two tries to open a file.
const RETRY: Nanos = Nanos::from_millis(250);

pub(crate) struct Recording {
    about: About,
    naming: Naming,
    /// One for each format; never empty.
    tracks: Vec<Track>,
    source_depth: PcmDepth,
    end: FeedEnd,
    /// All files of the first format that are closed.
    closed: Account,
    /// Bytes of all files that are closed.
    closed_bytes: u64,
    /// Files are wanted that begin with this frame at this instant.
    wants_files: Option<Opening>,
    /// Where they are to be made, once that is known.
    place: Option<Place>,
    /// What the last files began with.
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
    /// An open file is in no list yet by which it would be mended after a power cut: none is flushed before.
    unlisted: bool,
    /// Closed files and their directories, which shall survive a power cut.
    to_sync: Vec<PathBuf>,
    finished: bool,
    shared: SharedRecording,
}

/// The files of one format.
struct Track {
    format: FileFormat,
    segment: Option<Segment<'static>>,
    /// Files whose last frames are still in the encoder, oldest first.
    ended: Vec<Book>,
    /// The next file is not made yet.
    wants: bool,
}

/// What a new recording is made of.
pub(crate) struct RecordingPlan {
    pub(crate) about: About,
    pub(crate) naming: Naming,
    /// Formats of its files, at least one.
    pub(crate) formats: Vec<FileFormat>,
    pub(crate) source_depth: PcmDepth,
}

impl Recording {
    pub(crate) fn new(plan: RecordingPlan, end: FeedEnd, shared: SharedRecording) -> Self {
        let RecordingPlan { about, naming, formats, source_depth } = plan;
        let track = |format| Track { format, segment: None, ended: Vec::new(), wants: false };
        Self {
            about,
            naming,
            tracks: formats.into_iter().map(track).collect(),
            source_depth,
            end,
            closed: Account::default(),
            closed_bytes: 0,
            wants_files: None,
            place: None,
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
            if self.wants_files.is_some() && !self.try_open(now, notices) {
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
        self.take_finished(notices);
        self.tell(notices);
    }

    /// The files that are being written.
    pub(crate) fn files(&self) -> impl Iterator<Item = OpenFile> {
        self.tracks.iter().flat_map(|track| {
            let open = track.segment.iter().map(Segment::path);
            let file = |path: &Path| OpenFile {
                path: path.to_owned(),
                format: track.format,
                chain: self.naming.chain(),
            };
            track.ended.iter().map(Book::path).chain(open).map(file)
        })
    }

    /// Takes note that the open files are listed, or that nobody lists.
    pub(crate) fn listed(&mut self) {
        self.unlisted = false;
    }

    /// Writes what is buffered if the last time is `after` ago.
    pub(crate) fn flush(&mut self, now: Timestamp<Mono>, after: Nanos, notices: &SyncSender<Notice>) {
        if self.unlisted || now - self.last_flush < after {
            return;
        }
        self.last_flush = now;
        if self.is_open() {
            self.each(Segment::flush);
            self.take_finished(notices);
            self.tell(notices);
        }
    }

    /// What shall be made safe against a power cut now: closed files at once, the open ones when `after` has passed.
    pub(crate) fn due_to_sync(&mut self, now: Timestamp<Mono>, after: Nanos) -> Vec<PathBuf> {
        let mut due = std::mem::take(&mut self.to_sync);
        if self.is_open() && now - self.last_sync >= after {
            self.last_sync = now;
            for segment in self.tracks.iter().filter_map(|track| track.segment.as_ref()) {
                // The ledger first: silence in the file that no ledger names would pass for audio.
                due.push(ledger::path_of(segment.path()));
                due.push(segment.path().to_owned());
            }
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
                self.close_segments(notices, |track| !track.format.goes_on());
                self.last_try = NEVER;
                self.place = None;
                self.tracks.iter_mut().for_each(|track| track.wants = true);
                self.wants_files = Some(opening);
            }
            DiskCommand::Ends(placed) => {
                self.segments().for_each(|segment| segment.ends(&placed));
                self.close_segments(notices, |_| true);
            }
            DiskCommand::Ending(ending) => self.segments().for_each(|segment| segment.ending(ending)),
            DiskCommand::Audio(frames) => self.audio(frames),
            DiskCommand::Silence(frames, cause) => {
                if !self.is_open() {
                    self.unwritten += frames;
                }
                self.each(|segment| segment.silence(frames, cause));
            }
            DiskCommand::Joint(cause) => self.segments().for_each(|segment| segment.joint(cause)),
            DiskCommand::Event(event) => self.segments().for_each(|segment| segment.event(event)),
            DiskCommand::Leaves(position) => self.leave(position, notices),
            DiskCommand::Close(done) => self.end(done, notices),
        }
    }

    /// The engine ends: tells how far the recording has come, if it has come there well. `position` may lie before the file's end.
    fn leave(&mut self, position: FrameIndex, notices: &SyncSender<Notice>) {
        let before = self.closed.frames();
        let open = self.is_open();
        self.close_segments(notices, |_| true);
        let whole = self.unwritten == FrameCount::ZERO && self.status().error.is_none();
        let (Some(leaving), true) = (&self.leaving, whole) else { return };
        let held = self.closed.frames().saturating_sub(before);
        match self.began {
            Some(began) if open => leaving.at(position.min(began.position + held)),
            Some(_) => {}
            // What it was to leave out has not all come yet.
            None => leaving.at(position),
        }
    }

    fn audio(&mut self, frames: FrameCount) {
        let width = self.tracks.first().map_or(0, |track| track.format.channels().get());
        let chunk = self
            .end
            .samples
            .read_chunk(frames.0 as usize * width)
            .expect("the feed pushed the samples before the command");
        if !self.tracks.iter().any(|track| track.segment.is_some()) {
            self.unwritten += frames;
        }
        let (first, second) = chunk.as_slices();
        let mut result = Ok(());
        for segment in self.tracks.iter_mut().filter_map(|track| track.segment.as_mut()) {
            let before = segment.audio(first);
            result = result.and(before.and(segment.audio(second)));
        }
        chunk.commit_all();
        self.result(result);
    }

    /// Tries to open the files that are wanted. False if the rings must wait. Once the recording ends there is nothing to
    /// wait for: what finds no file then is lost, and said.
    fn try_open(&mut self, now: Timestamp<Mono>, notices: &SyncSender<Notice>) -> bool {
        let Some(opening) = self.wants_files else { return true };
        let ending = self.end.is_ending();
        if now - self.last_try < RETRY && self.last_try != NEVER && !ending {
            return false;
        }
        self.last_try = now;
        match self.open(&opening, notices) {
            Ok(path) => {
                self.unlisted = true;
                self.wants_files = None;
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
                    // What comes after the cut belongs into no file from before it.
                    self.close_segments(notices, |track| track.wants);
                    self.wants_files = None;
                }
                ending
            }
        }
    }

    /// The open procedure: what is missing of the files that are wanted is made. Gives the first one's name.
    fn open(&mut self, opening: &Opening, notices: &SyncSender<Notice>) -> Result<PathBuf, String> {
        if self.place.is_none() {
            let suffixes: Vec<&str> = self.tracks.iter().map(|track| track.format.name()).collect();
            self.place = Some(self.naming.place(opening, self.first, &suffixes)?);
        }
        for at in 0..self.tracks.len() {
            if !self.tracks[at].wants {
                continue;
            }
            match self.open_track(at, opening, notices) {
                // Somebody has taken this one's name since it was found free; the others have theirs already.
                Err(error @ MediaError::Exists { .. }) if self.tracks.iter().any(|track| !track.wants) => {
                    tracing::warn!(recorder = self.about.recorder, %error, "a format has no file until the next cut");
                    self.close_segments(notices, |track| track.wants);
                }
                Err(error) => {
                    // All is to be looked at anew.
                    if self.tracks.iter().all(|track| track.wants) {
                        self.place = None;
                    }
                    return Err(error.to_string());
                }
                Ok(()) => {}
            }
            self.tracks[at].wants = false;
            self.tell_open();
        }
        let first = self.tracks.first().and_then(|track| track.segment.as_ref());
        Ok(first.map(|segment| segment.path().to_owned()).unwrap_or_default())
    }

    fn open_track(
        &mut self,
        at: usize,
        opening: &Opening,
        notices: &SyncSender<Notice>,
    ) -> Result<(), MediaError> {
        let place = self.place.take().expect("a place was found before");
        let opened = self.open_in(at, &place, opening, notices);
        self.place = Some(place);
        opened
    }

    fn open_in(
        &mut self,
        at: usize,
        place: &Place,
        opening: &Opening,
        notices: &SyncSender<Notice>,
    ) -> Result<(), MediaError> {
        let Place { directory, names } = place;
        let name = &names[at];
        let format = self.tracks[at].format;
        let facts = self.about.facts(opening, format.rate(), self.naming.clock());
        let header = self.ledger_header(opening, format, name.to_string_lossy().into_owned());
        let ledger = || {
            let path = directory.path_of(name);
            Ledger::create(directory, &path, header.clone())
                .map_err(|error| {
                    tracing::warn!(path = %path.display(), %error, "the gap ledger cannot be made; gaps are only counted");
                })
                .ok()
        };
        if let Some(segment) = &mut self.tracks[at].segment {
            let succeeded = segment
                .succeed(|file| file.succeed_in(directory, name, &facts).map(|made| made.map(|()| ledger())));
            match succeeded {
                Some(Ok(book)) => {
                    self.tracks[at].ended.push(book);
                    return Ok(());
                }
                Some(Err(error)) => return Err(error),
                None => self.close_segments(notices, |track| track.wants),
            }
        }
        let file = format.create_in(directory, name, &facts, self.source_depth)?;
        self.tracks[at].segment = Some(Segment::new(file, ledger(), opening.position));
        Ok(())
    }

    fn ledger_header(&self, opening: &Opening, format: FileFormat, file: String) -> LedgerHeader {
        LedgerHeader {
            audyn_ledger: VERSION,
            recorder: self.about.recorder.clone(),
            studio: self.status().studio.clone(),
            file,
            first_position: opening.position,
            start_utc: rfc3339(opening.utc),
            zone: self.naming.zone_name(),
            rate: format.rate(),
            channels: format.channels().into(),
            bits: format.bits(),
            placed_by: opening.placed.map(|placed| placed.placement.name().to_owned()),
            clock: opening.placed.map(|placed| placed.quality),
            tai_minus_utc: opening.tai_offset.map(ledger::whole_seconds),
        }
    }

    /// The close procedure, for the tracks that are meant.
    fn close_segments(&mut self, notices: &SyncSender<Notice>, meant: impl Fn(&Track) -> bool) {
        for at in 0..self.tracks.len() {
            let track = &mut self.tracks[at];
            if !meant(track) {
                continue;
            }
            let Some(segment) = track.segment.take() else { continue };
            for closed in segment.close(std::mem::take(&mut track.ended)) {
                self.take_note(at, closed, notices);
            }
        }
        if !self.is_open() {
            self.status().file = None;
        }
    }

    /// Takes the files that have come out of an encoder.
    fn take_finished(&mut self, notices: &SyncSender<Notice>) {
        for at in 0..self.tracks.len() {
            let track = &mut self.tracks[at];
            let Some(segment) = track.segment.as_mut().filter(|_| !track.ended.is_empty()) else { continue };
            for finished in segment.take_finished() {
                let track = &mut self.tracks[at];
                let Some(which) = track.ended.iter().position(|book| book.path() == finished.path) else {
                    continue;
                };
                let closed = track.ended.remove(which).close(finished);
                self.take_note(at, closed, notices);
            }
        }
    }

    /// Takes note of a closed file.
    fn take_note(&mut self, at: usize, closed: Closed, notices: &SyncSender<Notice>) {
        let Closed { path, account, gaps, bytes, result } = closed;
        self.closed_bytes += bytes;
        if at == 0 {
            self.closed.written += account.written;
            self.closed.filled += account.filled;
            self.report(gaps, notices);
        }
        self.result(result);
        self.to_sync.push(ledger::path_of(&path));
        self.to_sync.extend(path.parent().filter(|parent| !parent.as_os_str().is_empty()).map(PathBuf::from));
        self.to_sync.push(path);
        self.tell_open();
    }

    /// Publishes which files are open.
    fn tell_open(&self) {
        let open = self.files().map(|file| file.path).collect();
        self.status().open = open;
    }

    fn end(&mut self, done: Option<Done>, notices: &SyncSender<Notice>) {
        self.close_segments(notices, |_| true);
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

    /// Publishes the account of all files of the first format, closed ones and the open one, and the gaps that have become complete.
    fn tell(&mut self, notices: &SyncSender<Notice>) {
        let bytes = self.closed_bytes + self.segments().map(|segment| segment.bytes()).sum::<u64>();
        // Those of a file that has ended and is still in the encoder count as well.
        let first = self.tracks.first_mut();
        let (mut open, mut gaps) = (Account::default(), Vec::new());
        if let Some(track) = first {
            for account in track.ended.iter().map(Book::account) {
                open.written += account.written;
                open.filled += account.filled;
            }
            if let Some(segment) = &mut track.segment {
                open.written += segment.account().written;
                open.filled += segment.account().filled;
                gaps = segment.take_gaps();
            }
        }
        self.report(gaps, notices);
        let closed = self.closed;
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

    fn is_open(&self) -> bool {
        self.tracks.iter().any(|track| track.segment.is_some())
    }

    fn segments(&mut self) -> impl Iterator<Item = &mut Segment<'static>> {
        self.tracks.iter_mut().filter_map(|track| track.segment.as_mut())
    }

    /// Does the same with each open file; the first error is told.
    fn each(&mut self, work: impl FnMut(&mut Segment<'static>) -> Result<(), MediaError>) {
        let result = self.segments().map(work).fold(Ok(()), Result::and);
        self.result(result);
    }

    fn result(&mut self, result: Result<(), MediaError>) {
        match result {
            Ok(()) if self.is_open() => self.status().error = None,
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

    use audyn_media::WavSpec;

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
            formats: vec![FileFormat::Wav(WavSpec {
                rate: RATE,
                channels: ChannelCount::MONO,
                depth: PcmDepth::Pcm24,
            })],
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

    /// All samples of a file.
    fn samples(path: &Path) -> Vec<i32> {
        let mut samples = vec![0; 200_000];
        let read = match path.extension().and_then(|suffix| suffix.to_str()) {
            Some("wav") => audyn_media::WavReader::open(path).unwrap().read(&mut samples),
            Some("flac") => audyn_media::FlacReader::open(path).unwrap().read(&mut samples),
            _ => audyn_media::opus::OpusReader::open(path).unwrap().read(&mut samples),
        };
        samples.truncate(read.unwrap().0 as usize);
        samples
    }

    #[test]
    fn a_master_and_its_proxies_are_cut_at_the_same_frame_and_each_has_a_ledger() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let (mut feed, end) = feed::connect(RATE, 1, None, None);
        let formats =
            [audyn_api::FormatConfig::Wav24, audyn_api::FormatConfig::Flac, audyn_api::FormatConfig::Opus];
        let opus = audyn_api::OpusConfig::default();
        let encoding = audyn_units::Encoding::L24;
        let plan = RecordingPlan {
            about: About::default(),
            naming: Naming::File(path.clone()),
            formats: crate::formats_of(&formats, &opus, RATE, ChannelCount::MONO, encoding).unwrap(),
            source_depth: PcmDepth::Pcm24,
        };
        let status = SharedRecording::default();
        let mut recording = Recording::new(plan, end, SharedRecording::clone(&status));
        let (notices, _news) = std::sync::mpsc::sync_channel(64);
        let now = Timestamp::from_nanos(1_000_000_000);

        // A tone, since that is what Opus can be held to; three files of odd lengths, the second one with a gap.
        let first = 1_783_000_000 * 48_000;
        let tone = |n: u64| ((n as f64 * 0.0576).sin() * 1e9) as i32 & !0xff;
        let placed = placed(first, 0, Placement::MediaClock, Why::First);
        feed.placed(&placed);
        let mut at = placed.position;
        let mut whole = Vec::new();
        for (number, frames) in [30_011u64, 40_000, 25_003].into_iter().enumerate() {
            if number > 0 {
                // As a boundary of the archive does.
                feed.cut_here();
            }
            let samples: Vec<i32> = (0..frames).map(|n| tone(whole.len() as u64 + n)).collect();
            feed.audio(at, &samples, &placed.anchor);
            at += FrameCount(frames);
            whole.extend(samples);
            if number == 1 {
                feed.silence(at, FrameCount(77), GapCause::Loss, &placed.anchor);
                at += FrameCount(77);
                whole.extend([0; 77]);
            }
            feed.turn(at, None);
            recording.work(now, &notices);
        }
        let open: Vec<_> = recording.files().map(|file| file.path).collect();
        assert!(open.len() >= 3, "an ended file of Opus may still be open");
        assert_eq!(status.lock().unwrap().open, open, "none of them may be deleted");
        feed.end(None);
        feed.turn(at, None);
        recording.work(now, &notices);
        assert_eq!((recording.files().count(), status.lock().unwrap().open.len()), (0, 0));
        assert_eq!(status.lock().unwrap().error, None);

        let names = ["a", "a_002", "a_003"];
        let lengths = [30_011, 40_077, 25_003];
        for suffix in ["wav", "flac", "opus"] {
            let files: Vec<_> =
                names.iter().map(|name| dir.path().join(format!("{name}.{suffix}"))).collect();
            let parts: Vec<_> = files.iter().map(|file| samples(file)).collect();
            assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), lengths, "{suffix}");
            let joined = parts.concat();
            if suffix != "opus" {
                assert!(joined == whole, "{suffix} is not what came");
            }
            let error =
                joined.iter().zip(&whole).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>();
            let power = whole.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>();
            assert!(error < power / 100.0, "{suffix}: {:.1} dB", 10.0 * (power / error).log10());
            for (file, frames) in files.iter().zip(lengths) {
                let text = std::fs::read(ledger::path_of(file)).unwrap();
                let facts =
                    audyn_media::ledger::LedgerFacts::read(&text[..], FrameCount(frames as u64)).unwrap();
                let end = facts.end.unwrap();
                assert_eq!((end.frames_written + end.frames_filled).0, frames as u64, "{}", file.display());
                assert_eq!(facts.filled.0, if frames == 40_077 { 77 } else { 0 }, "{}", file.display());
            }
        }
    }
}
