//! One recording on its way to the disk: its files, one after the other, in one format or several at once.
//!
//! Owns: when a file is opened and closed, and what is told of it. An error of the disk ends nothing: while no file can be
//! opened the rings keep what comes, and what finds no room there is ledgered as a stall.
//!
//! ```text
//!            Open                       error on open
//!  [waiting] ────► [files are open] ◄──────────────────► [one is missing: tried again, nothing is taken from the rings]
//!                     │ Open: close or succeed, next files  │ the recording ends: given up, and said
//!                     │ one is gone, or refused for 2 s for another reason than want of room, or, on a mirror, is owed
//!                     │ something: let go, next files
//!                     └ Close ► [finished] ◄────────────────┘
//! ```
//!
//! Each format has a file and a ledger of its own, under one name. What is told of the recording is what the first of them holds. Where one
//! encoder runs over all files (Opus), the ended one stays open until its last frame has come out.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::sync::{MutexGuard, PoisonError};

use audyn_core::flow::GapCause;
use audyn_media::{FileFormat, MediaError, PcmDepth};
use audyn_sys::clock;
use audyn_units::{FrameCount, FrameIndex, Mono, Nanos, SampleRate, Timestamp};

use crate::disk::NEVER;
use crate::facts::About;
use crate::feed::{DiskCommand, Done, FeedEnd, Opening};
use crate::ledger::{self, Ledger};
use crate::naming::{Naming, Place};
use crate::resume::Leaving;
use crate::segment::{Account, Book, Closed, Segment};
use crate::shared::{Notice, RecordingStatus, SharedRecording};
use crate::syncer::{Due, State};
use crate::unfinished::{Cut, OpenFile};
use crate::volume::Ours;

mod ahead;
mod anew;
mod doubt;
mod open;

use ahead::Ahead;

/// Time between two tries to open a file.
const RETRY: Nanos = Nanos::from_millis(250);

/// A disk that refuses for so long, and not for want of room, is let go of: while a file is open there nobody can check it or put
/// another in its place.
const LET_GO: Nanos = Nanos::from_secs(2);

/// How long it is told that a file has gone.
const TOLD: Nanos = Nanos::from_secs(60);

/// Silence that an encoder is given at once: some milliseconds of work.
const AT_ONCE: Nanos = Nanos::from_secs(1);

pub(crate) struct Recording {
    about: About,
    naming: Naming,
    /// One for each format; never empty.
    tracks: Vec<Track>,
    source_depth: PcmDepth,
    /// The archive's volume.
    ours: Ours,
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
    /// What is done for the next ones before they are wanted.
    ahead: Ahead,
    /// Whom to tell where it stands when the engine ends.
    leaving: Option<Leaving>,
    /// No file has been made yet.
    first: bool,
    /// Since when the disk has refused, not for want of room.
    failing: Option<Timestamp<Mono>>,
    /// Bytes that the files had when it refused last. While they grow no further, what is taken into memory proves nothing.
    stuck_at: Option<u64>,
    /// Files that were let go of: whoever lists them mends them once that can be done.
    cut: Vec<Cut>,
    /// Until when it is told that a file has gone.
    told_until: Option<Timestamp<Mono>>,
    /// Silence that was asked for and is not written yet.
    silence: VecDeque<(FrameCount, GapCause)>,
    /// Frames that found no file before the recording ended.
    unwritten: FrameCount,
    last_try: Timestamp<Mono>,
    /// When the last files were made.
    opened: Timestamp<Mono>,
    last_flush: Timestamp<Mono>,
    last_sync: Timestamp<Mono>,
    /// An open file is in no list yet by which it would be mended after a power cut: none is flushed before.
    unlisted: bool,
    /// Closed files and their directories, which shall survive a power cut.
    to_sync: Vec<Due>,
    /// Closed files that the disk has not confirmed yet: such a file is neither sealed nor deleted.
    unconfirmed: Vec<doubt::Unconfirmed>,
    /// How much of the open files the disk has confirmed.
    confirmed: Vec<(PathBuf, FrameCount)>,
    /// Files that are being written and of which the disk has failed to confirm something: whatever it takes from now on, that stays so,
    /// also when they are closed.
    doubted: Vec<PathBuf>,
    /// Ledgers of closed files that the disk has not taken whole yet: such a file is neither sealed nor deleted.
    late: Vec<(OpenFile, Ledger)>,
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
#[derive(Clone)]
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
            ours: Ours::any(PathBuf::new()),
            end,
            closed: Account::default(),
            closed_bytes: 0,
            wants_files: None,
            place: None,
            began: None,
            ahead: Ahead::default(),
            leaving: None,
            first: true,
            failing: None,
            stuck_at: None,
            cut: Vec::new(),
            told_until: None,
            silence: VecDeque::new(),
            unwritten: FrameCount::ZERO,
            last_try: NEVER,
            opened: NEVER,
            last_flush: NEVER,
            last_sync: NEVER,
            unlisted: false,
            to_sync: Vec::new(),
            unconfirmed: Vec::new(),
            confirmed: Vec::new(),
            doubted: Vec::new(),
            late: Vec::new(),
            finished: false,
            shared,
        }
    }

    /// Has it noted where it stands when the engine ends.
    pub(crate) fn noted_by(self, leaving: Leaving) -> Self {
        Self { leaving: Some(leaving), ..self }
    }

    /// Has it make files only while the archive's root lies on its volume.
    pub(crate) fn on(self, ours: Ours) -> Self {
        Self { ours, ..self }
    }

    /// Whether it has ended and nothing of it is left to do.
    pub(crate) fn is_finished(&self) -> bool {
        let has_told = self.cut.is_empty() && self.to_sync.is_empty();
        self.finished && has_told && self.late.is_empty() && self.unconfirmed.is_empty()
    }

    /// Does what the feed asks. Long silence is written until `until` and goes on with the next turn, a second of it at least; what
    /// follows waits in the rings.
    pub(crate) fn work(
        &mut self,
        now: Timestamp<Mono>,
        until: Timestamp<Mono>,
        notices: &SyncSender<Notice>,
    ) {
        if self.finished {
            return;
        }
        // Asked before the ring is emptied, or the last commands could be missed.
        let gone = self.end.commands.is_abandoned();
        self.part_where_owed(notices);
        let paid = self.pay(until);
        loop {
            // Files first: what is silent then stands in them.
            if !paid || self.wants_files.is_some() && !self.try_open(now, notices) || !self.keep_silent(until)
            {
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
            self.part_where_owed(notices);
        }
        self.take_finished(notices);
        self.tell(notices);
    }

    /// The files that are being written, and those that are closed and not whole on the disk yet.
    pub(crate) fn files(&self) -> impl Iterator<Item = OpenFile> {
        let tracks = self.tracks.iter().flat_map(|track| {
            let open = track.segment.iter().map(Segment::path);
            let file = |path| self.file_of(track, path);
            track.ended.iter().map(Book::path).chain(open).map(file)
        });
        let late = self.late.iter().map(|(file, _)| file);
        let unconfirmed = self.unconfirmed.iter().map(|unconfirmed| &unconfirmed.file);
        tracks.chain(
            late.chain(unconfirmed.filter(|file| !self.late.iter().any(|(late, _)| late == *file))).cloned(),
        )
    }

    fn file_of(&self, track: &Track, path: &Path) -> OpenFile {
        OpenFile { path: path.to_owned(), format: track.format, chain: self.naming.chain() }
    }

    /// Takes note that the open files are listed, or that nobody lists.
    pub(crate) fn listed(&mut self) {
        self.unlisted = false;
    }

    #[cfg(test)]
    pub(crate) fn is_in_doubt(&self) -> bool {
        !self.doubted.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn is_unlisted(&self) -> bool {
        self.unlisted
    }

    /// Writes what is buffered if the last time is `after` ago.
    pub(crate) fn flush(&mut self, now: Timestamp<Mono>, after: Nanos, notices: &SyncSender<Notice>) {
        if self.unlisted || now - self.last_flush < after {
            return;
        }
        self.last_flush = now;
        self.settle_late();
        if self.is_open() {
            self.each(Segment::flush);
            self.take_finished(notices);
            self.tell(notices);
        }
        if self.told_until.is_some_and(|until| now >= until) {
            self.told_until = None;
            self.status().warning = None;
        }
        self.let_go_of_a_failing_disk(now, notices);
    }

    /// The files that were let go of since this was asked last.
    pub(crate) fn take_cut(&mut self) -> Vec<Cut> {
        std::mem::take(&mut self.cut)
    }

    /// Tries the ledgers again that the disk has not taken whole.
    fn settle_late(&mut self) {
        if self.late.is_empty() {
            return;
        }
        let settled: Vec<_> = self.late.extract_if(.., |(_, ledger)| ledger.settle()).collect();
        for (file, _) in settled {
            let ledger = ledger::path_of(&file.path);
            self.want_confirmed(file, vec![ledger]);
        }
        self.tell_open();
    }

    /// What shall be made safe against a power cut now: closed files at once, the open ones when `after` has passed.
    pub(crate) fn due_to_sync(&mut self, now: Timestamp<Mono>, after: Nanos) -> Vec<Due> {
        let mut due = std::mem::take(&mut self.to_sync);
        if self.is_open() && now - self.last_sync >= after {
            self.last_sync = now;
            for segment in self.tracks.iter().filter_map(|track| track.segment.as_ref()) {
                // The ledger first: silence in the file that no ledger names would pass for audio.
                let audio = segment.path().to_owned();
                let ledger = ledger::path_of(&audio);
                due.push(Due { path: ledger, state: State::Open(None) });
                due.push(Due { path: audio, state: State::Open(Some(segment.counted())) });
            }
        }
        due
    }

    /// Ends without the feed's word: the engine ends. What is in the rings is written first.
    pub(crate) fn finish(&mut self, now: Timestamp<Mono>, notices: &SyncSender<Notice>) {
        self.work(now, Timestamp::from_nanos(i64::MAX), notices);
        if !self.finished {
            self.end(None, notices);
        }
        self.settle_late();
        for (file, _) in &self.late {
            tracing::error!(
                path = %file.path.display(),
                "the disk still refuses its gap ledger, and the engine ends: what its last lines tell is lost"
            );
        }
    }

    fn obey(&mut self, command: DiskCommand, notices: &SyncSender<Notice>) {
        match command {
            DiskCommand::Open(opening) => {
                self.close_segments(notices, |track| !track.format.goes_on());
                self.last_try = NEVER;
                self.place = None;
                self.tracks.iter_mut().for_each(|track| track.wants = true);
                self.wants_files = Some(*opening);
            }
            DiskCommand::Ends(placed) => {
                self.segments().for_each(|segment| segment.ends(&placed));
                self.close_all(notices);
            }
            DiskCommand::Ending(ending) => self.segments().for_each(|segment| segment.ending(*ending)),
            DiskCommand::Audio(frames) => self.audio(frames),
            DiskCommand::Silence(frames, cause) => self.silence.push_back((frames, cause)),
            DiskCommand::Joint(cause) => self.segments().for_each(|segment| segment.joint(cause)),
            DiskCommand::Event(event) => self.segments().for_each(|segment| segment.event(*event)),
            DiskCommand::Parts => drop(self.close_all(notices)),
            DiskCommand::Leaves(position) => self.leave(position, notices),
            DiskCommand::Close(done) => self.end(done, notices),
        }
    }

    /// The engine ends: tells how far the recording has come, if it has come there well. `position` may lie before the file's end.
    fn leave(&mut self, position: FrameIndex, notices: &SyncSender<Notice>) {
        let before = self.closed.frames();
        let open = self.is_open();
        self.close_all(notices);
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

    /// Pays of the silence that the files are owed, where the disk takes it again. False if that is to go on with the next turn.
    fn pay(&mut self, until: Timestamp<Mono>) -> bool {
        let step = self.rate().frames_in(AT_ONCE);
        loop {
            // One that is still refused keeps nobody waiting: it is owed what comes as well.
            let owing =
                self.segments().map(|segment| segment.pay(step)).any(|paid| matches!(paid, Ok(false)));
            if !owing || clock::mono_now() >= until {
                return !owing;
            }
        }
    }

    /// Writes of the silence that was asked for. False if that is to go on with the next turn.
    fn keep_silent(&mut self, until: Timestamp<Mono>) -> bool {
        while let Some((left, cause)) = self.silence.pop_front() {
            // In a file that has it for nothing, or in none, all of it at once.
            let is_free = self.tracks.iter().all(|track| track.segment.is_none() || track.format.has_holes());
            let now = if is_free { left } else { left.min(self.rate().frames_in(AT_ONCE)) };
            if !self.is_open() {
                self.unwritten += now;
            }
            self.each(|segment| segment.silence(now, cause));
            if left > now {
                self.silence.push_front((left.saturating_sub(now), cause));
            }
            if clock::mono_now() >= until {
                break;
            }
        }
        self.silence.is_empty()
    }

    /// The suffix of each format's files.
    fn suffixes(&self) -> Vec<&'static str> {
        self.tracks.iter().map(|track| track.format.name()).collect()
    }

    fn rate(&self) -> SampleRate {
        self.tracks.first().map_or(SampleRate::HZ_48000, |track| track.format.rate())
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
                self.ahead = Ahead::after(&opening, &self.naming, self.rate());
                self.first = false;
                self.last_flush = now;
                // The disk is to have their ledgers before it has much of them.
                self.last_sync = NEVER;
                self.opened = now;
                self.failing = None;
                self.stuck_at = None;
                // What is in doubt still is in an encoder, if anywhere, and takes its doubt along.
                let files: Vec<PathBuf> = self.files().map(|file| file.path).collect();
                self.doubted.retain(|doubted| files.contains(doubted));
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
                if self.tracks.iter().any(|track| !track.wants) {
                    // Some have their files and others get none: after a while all are begun anew, elsewhere if need be.
                    self.failing.get_or_insert(NEVER);
                }
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

    /// The close procedure, for the tracks that are meant. Gives what the last files of each lack of their end, of the one that lacks least.
    fn close_segments(&mut self, notices: &SyncSender<Notice>, meant: impl Fn(&Track) -> bool) -> FrameCount {
        let mut missing: Option<FrameCount> = None;
        for at in 0..self.tracks.len() {
            let track = &mut self.tracks[at];
            if !meant(track) {
                continue;
            }
            let Some(segment) = track.segment.take() else { continue };
            for closed in segment.close(std::mem::take(&mut track.ended)) {
                missing = Some(missing.map_or(closed.missing, |least| least.min(closed.missing)));
                self.take_note(at, closed, notices);
            }
        }
        if !self.is_open() {
            self.status().file = None;
        }
        missing.unwrap_or_default()
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
        let Closed { path, account, gaps, bytes, result, ledger, .. } = closed;
        self.closed_bytes += bytes;
        if at == 0 {
            self.closed.written += account.written;
            self.closed.filled += account.filled;
            self.report(gaps, notices);
        }
        self.result(result);
        let file = self.file_of(&self.tracks[at], &path);
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).map(PathBuf::from);
        let parent = parent.map(|path| Due { path, state: State::Directory });
        self.to_sync.extend(parent.filter(|due| !self.to_sync.contains(due)));
        if self.doubted.contains(&path) {
            // Whatever the disk says of it from now on is worth nothing.
            self.cut_off(file, true);
            if self.doubted.is_empty() && self.stuck_at.is_none() {
                self.failing = None;
            }
        } else {
            self.late.extend(ledger.map(|ledger| (file.clone(), ledger)));
            self.want_confirmed(file, vec![ledger::path_of(&path), path]);
        }
        self.tell_open();
    }

    /// Publishes which files are being written: one that is closed may be deleted, whether or not the disk has confirmed it.
    fn tell_open(&self) {
        let is_closed =
            |file: &OpenFile| self.unconfirmed.iter().any(|unconfirmed| unconfirmed.file == *file);
        let open = self.files().filter(|file| !is_closed(file)).map(|file| file.path).collect();
        self.status().open = open;
    }

    fn end(&mut self, done: Option<Done>, notices: &SyncSender<Notice>) {
        self.close_all(notices);
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
        // What has ended and is still in the encoder is on the disk, too.
        let ended: u64 = self.tracks.iter().flat_map(|track| &track.ended).map(Book::bytes).sum();
        let bytes = self.closed_bytes + ended + self.segments().map(|segment| segment.bytes()).sum::<u64>();
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
        let bytes: u64 = self.segments().map(|segment| segment.bytes()).sum();
        match result {
            Ok(())
                if self.is_open()
                    && !self.doubts_open()
                    && self.stuck_at.is_none_or(|stuck| bytes > stuck) =>
            {
                self.failing = None;
                self.stuck_at = None;
                self.status().error = None;
            }
            Ok(()) => {}
            Err(error) => {
                if is_failure(&error) {
                    self.failing.get_or_insert(NEVER);
                }
                self.stuck_at = Some(bytes);
                self.status().error = Some(error.to_string());
            }
        }
    }

    fn status(&self) -> MutexGuard<'_, RecordingStatus> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the disk refuses, and not for want of room, which may come back.
fn is_failure(error: &MediaError) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    match error {
        MediaError::Write { source, .. }
        | MediaError::Backlog { source, .. }
        | MediaError::Close { source, .. } => !matches!(source.kind(), StorageFull | QuotaExceeded),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
