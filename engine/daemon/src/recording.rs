//! One recording on its way to the disk: its files, one after the other, and their ledgers.
//!
//! Owns: the file that is open, and the account of frames written and filled. An error of the disk ends nothing: the
//! recording says so and tries again, and what could not be written is ledgered.
//!
//! ```text
//!            Open                       error on open
//!  [waiting] ────► [file is open] ◄───────────────────► [no file: tried again each second]
//!                     │ Open: close, next file
//!                     └ Close ► [finished]
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::sync::{MutexGuard, PoisonError};

use audyn_core::archive::{ArchivePolicy, tie_break};
use audyn_core::flow::{Gap, GapCause};
use audyn_media::{MediaError, PcmDepth, WavSpec, WavWriter};
use audyn_units::{FrameCount, FrameIndex, Mono, Nanos, Timestamp, Utc};
use jiff::tz::TimeZone;

use crate::disk::NEVER;
use crate::error::EngineError;
use crate::feed::{DiskCommand, Done, FeedEnd};
use crate::ledger::{self, Ledger, LedgerHeader};
use crate::shared::{Notice, RecordingStatus, SharedRecording};

/// Time between two tries to open a file.
const RETRY: Nanos = Nanos::from_secs(1);

/// Names tried for one segment before it counts as impossible.
const TIES: u32 = 10_000;

/// Where a recording's files go.
#[derive(Debug, Clone)]
pub enum Naming {
    /// One file of this name, whatever its length.
    File(PathBuf),
    /// Files below a directory, named and cut by a policy.
    Archive {
        /// The recorder's own directory.
        root: PathBuf,
        /// Names and cuts.
        policy: ArchivePolicy,
        /// The zone of [`audyn_core::archive::ArchiveClock::LocalTime`].
        zone: TimeZone,
    },
}

struct OpenFile {
    wav: WavWriter,
    /// None if it could not be made; said so in the log.
    ledger: Option<Ledger>,
    account: Account,
    /// Frames that the file could not take while the disk refused; silence is owed in their place.
    owed: Option<Gap>,
}

/// What was written, in bytes of files and in frames.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    bytes: u64,
    written: FrameCount,
    filled: FrameCount,
}

pub(crate) struct Recording {
    recorder: String,
    naming: Naming,
    spec: WavSpec,
    source_depth: PcmDepth,
    end: FeedEnd,
    file: Option<OpenFile>,
    /// All files that are closed.
    closed: Account,
    /// Position after the last frame taken from the feed.
    head: FrameIndex,
    /// The gap that the head stands in, over the ends of files.
    open_gap: Option<Gap>,
    /// A file is wanted since this frame and instant: audio goes nowhere until it can be opened.
    wants_file: Option<(FrameIndex, Timestamp<Utc>)>,
    last_try: Timestamp<Mono>,
    last_flush: Timestamp<Mono>,
    pub(crate) last_sync: Timestamp<Mono>,
    finished: bool,
    shared: SharedRecording,
}

/// What a new recording is made of.
pub(crate) struct RecordingPlan {
    pub(crate) recorder: String,
    pub(crate) naming: Naming,
    pub(crate) spec: WavSpec,
    pub(crate) source_depth: PcmDepth,
}

impl Recording {
    pub(crate) fn new(plan: RecordingPlan, end: FeedEnd, shared: SharedRecording) -> Self {
        let RecordingPlan { recorder, naming, spec, source_depth } = plan;
        Self {
            recorder,
            naming,
            spec,
            source_depth,
            end,
            file: None,
            closed: Account::default(),
            head: FrameIndex(0),
            open_gap: None,
            wants_file: None,
            last_try: NEVER,
            last_flush: NEVER,
            last_sync: NEVER,
            finished: false,
            shared,
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    pub(crate) fn last_flush(&self) -> Timestamp<Mono> {
        self.last_flush
    }

    pub(crate) fn open_path(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.wav.path())
    }

    /// Does what the feed asks.
    pub(crate) fn work(&mut self, now: Timestamp<Mono>, notices: &SyncSender<Notice>) {
        if self.file.is_none() && self.wants_file.is_some() && now - self.last_try >= RETRY {
            self.try_open(now, notices);
        }
        // Whether the feed has gone is asked before its ring is emptied, or the last commands could be missed.
        let abandoned = self.end.commands.is_abandoned();
        while let Ok(command) = self.end.commands.pop() {
            match command {
                DiskCommand::Open { position, utc } => {
                    self.head = position;
                    self.close_file();
                    self.wants_file = Some((position, utc));
                    self.try_open(now, notices);
                }
                DiskCommand::Audio(frames) => self.audio(frames),
                DiskCommand::Silence(frames) => self.silence(frames),
                DiskCommand::GapOpened(gap) => self.gap(gap, true, notices),
                DiskCommand::GapClosed(gap) => self.gap(gap, false, notices),
                DiskCommand::Event(at, event) => {
                    if let Some(ledger) = self.file.as_mut().and_then(|file| file.ledger.as_mut()) {
                        let entered = ledger.event(at, event);
                        self.ledger_result(entered);
                    }
                }
                DiskCommand::Close(done) => self.end(done, notices),
            }
        }
        if abandoned && !self.finished {
            self.end(None, notices);
        }
        self.tell();
    }

    /// Writes what is buffered, and the header that counts it.
    pub(crate) fn flush(&mut self, now: Timestamp<Mono>) {
        self.last_flush = now;
        if let Some(file) = &mut self.file
            && file.wav.needs_flush()
        {
            let flushed = file.wav.flush();
            self.wav_result(flushed);
            self.tell();
        }
    }

    /// Closes whatever is open: the engine ends.
    pub(crate) fn finish(&mut self, notices: &SyncSender<Notice>) {
        if !self.finished {
            self.end(None, notices);
        }
    }

    fn end(&mut self, done: Option<Done>, notices: &SyncSender<Notice>) {
        self.close_file();
        self.wants_file = None;
        self.finished = true;
        let error = {
            let mut status = self.status();
            status.active = false;
            status.file = None;
            status.error.clone()
        };
        let _ = notices.try_send(Notice::Ended { recorder: self.recorder.clone(), error });
        if let Some(done) = done {
            done();
        }
    }

    fn audio(&mut self, frames: FrameCount) {
        let chunk = self
            .end
            .samples
            .read_chunk(frames.0 as usize * self.spec.channels.get())
            .expect("the feed pushed the samples before the command");
        let mut result = Ok(());
        if let Some(file) = &mut self.file {
            let (first, second) = chunk.as_slices();
            let width = self.spec.channels.get();
            let seam = self.head + FrameCount((first.len() / width) as u64);
            result = file.append(self.head, first, width).and(file.append(seam, second, width));
        }
        chunk.commit_all();
        self.head += frames;
        self.wav_result(result);
    }

    fn silence(&mut self, frames: FrameCount) {
        let at = self.head;
        self.head += frames;
        if let Some(file) = &mut self.file {
            let result = file.append_silence(at, frames);
            self.wav_result(result);
        }
    }

    fn gap(&mut self, gap: Gap, open: bool, notices: &SyncSender<Notice>) {
        self.open_gap = open.then_some(gap);
        // An open gap's silence comes after it, so its end lies beyond the head.
        let end = if open { gap.position + gap.frames } else { self.head };
        let Some(ledger) = self.file.as_mut().and_then(|file| file.ledger.as_mut()) else { return };
        let entered = ledger.gap(gap, end, open);
        if let (Ok(Some(gap)), false) = (&entered, open) {
            self.count_gap(*gap, notices);
        }
        self.ledger_result(entered.map(drop));
    }

    fn count_gap(&self, gap: Gap, notices: &SyncSender<Notice>) {
        self.status().gaps += 1;
        let _ = notices.try_send(Notice::Gap { recorder: self.recorder.clone(), gap });
    }

    fn try_open(&mut self, now: Timestamp<Mono>, notices: &SyncSender<Notice>) {
        let Some((since, utc)) = self.wants_file else { return };
        self.last_try = now;
        let utc = utc + self.spec.rate.duration(self.head.since(since));
        match self.open(utc) {
            Ok(file) => {
                let path = file.wav.path().to_owned();
                self.file = Some(file);
                self.wants_file = None;
                self.last_flush = now;
                let mut status = self.status();
                status.file = Some(path.clone());
                status.error = None;
                drop(status);
                let _ = notices.try_send(Notice::Opened {
                    recorder: self.recorder.clone(),
                    path,
                    position: self.head,
                });
            }
            Err(detail) => self.status().error = Some(detail),
        }
    }

    /// The open procedure.
    fn open(&self, utc: Timestamp<Utc>) -> Result<OpenFile, String> {
        let mut wav = self.create(utc)?;
        wav.set_source_depth(self.source_depth);
        let path = wav.path().to_owned();
        let header = LedgerHeader {
            audyn_ledger: 0,
            recorder: self.recorder.clone(),
            file: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            first_position: self.head,
            start_utc: rfc3339(utc),
            rate: self.spec.rate.hz(),
            channels: self.spec.channels.into(),
            bits: self.spec.depth.bits(),
        };
        let ledger = Ledger::create(&path, header).and_then(|mut ledger| {
            if let Some(gap) = self.open_gap {
                let here = Gap { position: self.head, frames: FrameCount::ZERO, ..gap };
                ledger.gap(here, self.head, true)?;
            }
            Ok(ledger)
        });
        let ledger = ledger
            .map_err(|error| {
                tracing::warn!(path = %path.display(), %error, "the gap ledger cannot be made; gaps are only counted");
            })
            .ok();
        Ok(OpenFile { wav, ledger, account: Account::default(), owed: None })
    }

    fn create(&self, utc: Timestamp<Utc>) -> Result<WavWriter, String> {
        let (root, policy, zone) = match &self.naming {
            Naming::File(path) => {
                return WavWriter::create(path, self.spec).map_err(|error| error.to_string());
            }
            Naming::Archive { root, policy, zone } => (root, policy, zone),
        };
        let tai = audyn_sys::clock::tai_offset().map(|secs| Nanos::from_secs(i64::from(secs)));
        let name = policy.name(utc, zone, tai, "wav").map_err(|error| error.to_string())?;
        for n in 1..=TIES {
            let path = root.join(tie_break(&name, n));
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(|error| {
                    format!(
                        "cannot make the directory {} ({error}); check that it is writable and on a mounted disk",
                        parent.display()
                    )
                })?;
            }
            // The ledger of a recording that somebody moved away is as little overwritten as the recording.
            if ledger::path_of(&path).exists() {
                continue;
            }
            match WavWriter::create(&path, self.spec) {
                Err(MediaError::Exists { .. }) => {}
                other => return other.map_err(|error| error.to_string()),
            }
        }
        Err(format!(
            "{TIES} files called {name} exist below {}; choose a layout with minutes",
            root.display()
        ))
    }

    /// The close procedure.
    fn close_file(&mut self) {
        let Some(mut file) = self.file.take() else { return };
        let head = self.head;
        let settled = file.settle(head);
        self.wav_result(settled);
        if let (Some(gap), Some(ledger)) = (self.open_gap, &mut file.ledger) {
            // The gap goes on in the next file; this one's part of it ends here.
            let so_far = Gap { frames: head.since(gap.position), ..gap };
            let entered = ledger.gap(so_far, head, false);
            self.status().gaps += 1;
            self.ledger_result(entered.map(drop));
        }
        let OpenFile { wav, ledger, mut account, .. } = file;
        account.bytes = self.spec.frame_bytes() as u64 * wav.frames().0;
        let result = wav.close();
        self.wav_result(result);
        if let Some(ledger) = ledger {
            let result = ledger.close(account.written, account.filled);
            self.ledger_result(result);
        }
        self.closed.bytes += account.bytes;
        self.closed.written += account.written;
        self.closed.filled += account.filled;
        self.tell();
    }

    /// Publishes the account of all files, closed ones and the open one.
    fn tell(&self) {
        let open = self.file.as_ref().map(|file| {
            let bytes = self.spec.frame_bytes() as u64
                * (file.wav.frames().saturating_sub(file.wav.buffered_frames())).0;
            Account { bytes, ..file.account }
        });
        let open = open.unwrap_or_default();
        let mut status = self.status();
        status.bytes = self.closed.bytes + open.bytes;
        status.written = self.closed.written + open.written;
        status.filled = self.closed.filled + open.filled;
    }

    fn wav_result(&mut self, result: Result<(), MediaError>) {
        match result {
            Ok(()) => {
                if self.file.is_some() {
                    self.status().error = None;
                }
            }
            Err(error) => self.status().error = Some(error.to_string()),
        }
    }

    fn ledger_result(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            tracing::warn!(recorder = self.recorder, %error, "a line of the gap ledger could not be written");
        }
    }

    fn status(&self) -> MutexGuard<'_, RecordingStatus> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenFile {
    /// Writes samples, the first of them at `at`. While the disk refuses so long that memory is full, their number is kept.
    fn append(&mut self, at: FrameIndex, samples: &[i32], width: usize) -> Result<(), MediaError> {
        let frames = FrameCount((samples.len() / width) as u64);
        if frames == FrameCount::ZERO {
            return Ok(());
        }
        self.settle(at)?;
        match self.wav.append(samples) {
            Err(error @ MediaError::Backlog { .. }) => {
                self.owe(at, frames);
                Err(error)
            }
            taken => {
                self.account.written += frames;
                taken
            }
        }
    }

    fn append_silence(&mut self, at: FrameIndex, frames: FrameCount) -> Result<(), MediaError> {
        self.settle(at)?;
        match self.wav.append_silence(frames) {
            Err(error @ MediaError::Backlog { .. }) => {
                self.owe(at, frames);
                Err(error)
            }
            taken => {
                self.account.filled += frames;
                taken
            }
        }
    }

    fn owe(&mut self, position: FrameIndex, frames: FrameCount) {
        self.owed = Some(Gap { position, frames, cause: GapCause::DiskStall, estimated: false });
    }

    /// Pays the silence that is owed up to `head`, if the disk takes it now.
    fn settle(&mut self, head: FrameIndex) -> Result<(), MediaError> {
        let Some(gap) = &mut self.owed else { return Ok(()) };
        gap.frames = head.since(gap.position);
        let gap = *gap;
        self.wav.flush()?;
        self.wav.append_silence(gap.frames)?;
        self.owed = None;
        self.account.filled += gap.frames;
        if let Some(ledger) = &mut self.ledger {
            // A ledger on a disk that was full until now; the account above holds even if this line fails.
            let _ = ledger.gap(gap, head, false);
        }
        Ok(())
    }
}

/// An instant as RFC 3339 in UTC, to the nanosecond.
pub(crate) fn rfc3339(utc: Timestamp<Utc>) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(utc.as_nanos()))
        .expect("64 bits of nanoseconds lie between the years 1677 and 2262")
        .to_string()
}

impl Naming {
    /// Whether files would go to the same places under the same names.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(a), Self::File(b)) => a == b,
            (Self::Archive { root: a, policy: p, .. }, Self::Archive { root: b, policy: q, .. }) => {
                a == b && p == q
            }
            _ => false,
        }
    }

    /// Tries whether a file could be made, and leaves none. An archive's directory is made.
    pub(crate) fn check_writable(&self) -> Result<(), EngineError> {
        let directory = match self {
            Self::File(path) if path.exists() || ledger::path_of(path).exists() => {
                let detail = format!(
                    "{} or its gap ledger exists already and is left as it is; record under another name",
                    path.display()
                );
                return Err(EngineError::Conflict(detail));
            }
            Self::File(path) => match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            },
            Self::Archive { root, .. } => root,
        };
        let unwritable = |source| EngineError::Unwritable { path: directory.to_owned(), source };
        if matches!(self, Self::Archive { .. }) {
            std::fs::create_dir_all(directory).map_err(unwritable)?;
        }
        let probe = directory.join(format!(".audyn-probe-{}", std::process::id()));
        std::fs::OpenOptions::new().write(true).create_new(true).open(&probe).map_err(unwritable)?;
        std::fs::remove_file(&probe).map_err(unwritable)
    }
}
