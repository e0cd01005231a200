//! Which files are being written or not sealed yet, on the disk: what a power cut may have left of them is mended at the next start.
//!
//! Owns: `unfinished.jsonl` in the state directory, one file a line, and the mending of what an earlier engine left in it; when a file is
//! to be sealed.
//! Never: opens a file that this engine writes; shortens a recording; keeps the disk writer waiting: it has a thread of its own, since
//! an fsync may take seconds.
//!
//! # Procedures
//!
//! *List*, when a file has been opened, and before the disk writer has its header count a frame (it waits no longer than its buffer
//! of 256 KiB: audio goes before): 1. write `unfinished.jsonl.new`, all that is
//! open, what was closed less than a minute ago (the disk need not have it yet), and what is not sealed; 2. fsync; 3. rename; 4. fsync the directory.
//! *Mend*, for each line that an earlier engine left, and each file that was let go of, one between two listings: 1. fdatasync, and memory
//! forgets it: what is judged is what the disk has; 2. the header counts what is there, fdatasync; 3. blocks set aside behind
//! the end are given back; 4. the ledger loses a
//! torn line and says so; 5. it is sealed, if it belongs to an archive; 6. the line goes with the next listing. A crash after any of these finds the line again, and nothing left to mend.
//!
//! What was closed, or killed, before it could be listed, `sweep` finds at the next start.
//!
//! A file whose directory isn't there may be on a volume that comes later: its line stays, and is tried again each 2 s. What a disk keeps from
//! being mended for another reason is tried ever later (`again`), since each try may read all of it. If a disk fails to confirm a WAV that is
//! to be mended, the last minute before its end may not be there whatever it says later: its line notes the frames that surely are.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use audyn_media::beneath::{self, OFlags};
use audyn_media::ledger::LedgerFacts;
use audyn_media::wav::{FAR, WavInfo};
use audyn_media::{FileFormat, MediaError, chain, confirm, is_ours_to_change, release};
use audyn_sys::clock;
use audyn_units::{FrameCount, Mono, Nanos, Timestamp};
use serde::{Deserialize, Serialize};

use crate::again::{Again, passes};
use crate::chains::{Chains, Job, Outcome, Sealer};
use crate::sweep::Sweep;
use crate::{durable, ledger};

/// The list's name in the state directory.
const NAME: &str = "unfinished.jsonl";

/// A closed file stays listed for this long: twice what the kernel takes to write it by itself.
const SETTLED: Nanos = Nanos::from_secs(60);

/// The thread looks again after this long, also when nothing was opened or closed.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Lines of an earlier engine that are kept at most.
const MOST: usize = 1_024;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    path: PathBuf,
    format: FileFormat,
    /// The recorder's directory whose chain it joins once it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chain: Option<PathBuf>,
    /// Frames that the disk has confirmed, if it has failed to confirm those behind them, or that it surely has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confirmed: Option<FrameCount>,
}

/// A file that is being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenFile {
    pub(crate) path: PathBuf,
    pub(crate) format: FileFormat,
    /// The recorder's directory whose chain it joins once it is closed; a file by itself joins none.
    pub(crate) chain: Option<PathBuf>,
}

/// A file that was let go of before it was whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) file: OpenFile,
    /// Frames that the disk has confirmed, if it has failed to confirm those behind them.
    pub(crate) confirmed: Option<FrameCount>,
}

impl Line {
    fn new(file: &OpenFile) -> Self {
        let OpenFile { path, format, chain } = file.clone();
        Self { path, format, chain, confirmed: None }
    }
}

#[derive(Debug)]
struct Listed {
    line: Line,
    /// When it was closed.
    closed: Option<Timestamp<Mono>>,
    seal: Seal,
    /// Device and inode that its name led to while it is open.
    place: Place,
    /// When it was to be tried again before it was mended, if that failed.
    again: Option<Again>,
}

/// Where an open file was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Unknown,
    At(u64, u64),
    /// Not there any more, which is told.
    Gone,
}

/// How far the sealing of a file has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seal {
    /// It is to be sealed once it is closed.
    Wanted,
    /// The sealer knows.
    Asked,
    /// It is sealed, or needn't be.
    Done,
}

impl Listed {
    fn new(line: Line, closed: Option<Timestamp<Mono>>) -> Self {
        let seal = if line.chain.is_some() { Seal::Wanted } else { Seal::Done };
        Self { line, closed, seal, place: Place::Unknown, again: None }
    }

    /// Whether the open file has gone from its place since this was asked last. A disk that does not say so counts as one that has it.
    fn has_gone(&mut self) -> bool {
        if self.closed.is_some() || self.place == Place::Gone {
            return false;
        }
        let seen = match std::fs::symlink_metadata(&self.line.path) {
            Ok(found) => Place::At(found.dev(), found.ino()),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Place::Gone
            }
            Err(_) => return false,
        };
        if self.place != Place::Unknown && seen != self.place {
            self.place = Place::Gone;
            return true;
        }
        self.place = seen;
        seen == Place::Gone
    }

    /// Whether nothing is left to be done for it.
    fn is_settled(&self, now: Timestamp<Mono>) -> bool {
        self.seal == Seal::Done && self.closed.is_some_and(|closed| now - closed >= SETTLED)
    }
}

/// The thread that lists and mends, as the disk writer sees it.
#[derive(Debug)]
pub(crate) struct Listing {
    /// Dropped to end the thread.
    sets: Option<Sender<(Vec<OpenFile>, Vec<Cut>)>>,
    /// Open files that have gone from their places.
    gone: Receiver<PathBuf>,
    /// What it was told last, and how often it was told.
    last: Vec<OpenFile>,
    told: u64,
    /// How much of that is on the disk.
    done: Arc<AtomicU64>,
    thread: JoinHandle<Unfinished>,
}

impl Listing {
    /// Starts the thread; it begins with what an earlier engine left. Without a state directory nothing is listed, and what is closed
    /// is sealed before the end.
    pub(crate) fn start(directory: Option<PathBuf>, chains: Chains) -> io::Result<Self> {
        let (sets, inbox) = channel::<(Vec<OpenFile>, Vec<Cut>)>();
        let (missing, gone) = channel();
        let sealer = Sealer::start(chains.clone())?;
        let done = Arc::new(AtomicU64::new(0));
        let listed = Arc::clone(&done);
        let thread = std::thread::Builder::new().name("audyn-list".to_owned()).spawn(move || {
            let mut list = Unfinished::read(directory, chains, sealer);
            let sweep = list.sweep();
            let (mut open, mut heard) = (Vec::new(), 0);
            loop {
                list.turn(clock::mono_now(), &open);
                listed.store(heard, Release);
                for path in list.missing() {
                    let _ = missing.send(path); // nobody may be left to hear it
                }
                // What is opened meanwhile waits for one file to be mended, not for all.
                let more = list.mend_one(clock::mono_now());
                match inbox.recv_timeout(if more { Duration::ZERO } else { LOOK_AGAIN }) {
                    Ok((set, cut)) => {
                        list.let_go(cut);
                        (open, heard) = (set, heard + 1);
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            if let Some(sweep) = sweep {
                sweep.end();
            }
            list
        })?;
        Ok(Self { sets: Some(sets), gone, last: Vec::new(), told: 0, done, thread })
    }

    /// Tells what is open, and which files were let go of before they were whole. Waits for nothing; says whether the disk knows.
    pub(crate) fn tell(&mut self, mut open: Vec<OpenFile>, cut: Vec<Cut>) -> bool {
        // In whatever order the recordings had their turns.
        open.sort_by(|a, b| a.path.cmp(&b.path));
        if open != self.last || !cut.is_empty() {
            self.last = open;
            self.told += 1;
            if let Some(sets) = &self.sets {
                let _ = sets.send((self.last.clone(), cut)); // a thread that has died has said why
            }
        }
        self.done.load(Acquire) == self.told || self.thread.is_finished()
    }

    /// Open files that have gone from their places, each told once.
    pub(crate) fn gone(&self) -> impl Iterator<Item = PathBuf> {
        self.gone.try_iter()
    }

    /// Ends the thread; `safe` says that all files are closed and the disk has them. What is not sealed by then the next engine seals.
    pub(crate) fn end(mut self, safe: bool) {
        self.sets = None;
        if let Ok(mut list) = self.thread.join() {
            list.end(safe);
        }
    }
}

/// The list of one engine.
#[derive(Debug)]
struct Unfinished {
    /// The state directory, if there is one.
    directory: Option<PathBuf>,
    chains: Chains,
    sealer: Sealer,
    /// What an earlier engine was writing, and is not mended yet; each with when it is tried again.
    earlier: VecDeque<(Line, Option<Again>)>,
    /// Has the disk confirm a file: [`confirm`] but in tests.
    confirm: fn(&File) -> io::Result<()>,
    listed: Vec<Listed>,
    /// The list on the disk is another.
    changed: bool,
    /// It could not be written; said once.
    failing: bool,
    /// What each recorder's directory was told of its open files, by paths below it.
    published: BTreeMap<PathBuf, Vec<String>>,
}

impl Unfinished {
    /// Reads what an earlier engine left. A line that can't be read is left out: a cut could only have torn a list that was
    /// not renamed yet.
    fn read(directory: Option<PathBuf>, chains: Chains, sealer: Sealer) -> Self {
        let text = directory.as_ref().and_then(|directory| std::fs::read(directory.join(NAME)).ok());
        let text = text.unwrap_or_default();
        let lines = text.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        let earlier: VecDeque<_> = lines.take(MOST).map(|line| (line, None)).collect();
        let changed = !earlier.is_empty();
        Self {
            directory,
            chains,
            sealer,
            earlier,
            confirm,
            listed: Vec::new(),
            changed,
            failing: false,
            published: BTreeMap::new(),
        }
    }

    /// Starts the search for what no list tells of. An engine without a state directory records files by themselves.
    fn sweep(&self) -> Option<Sweep> {
        let jobs = self.directory.as_ref().and(self.sealer.jobs())?;
        let listed = self.earlier.iter().map(|(line, _)| line.path.clone()).collect();
        Sweep::start(self.chains.clone(), listed, jobs)
            .map_err(|error| tracing::warn!(%error, "no thread looks for recordings that were cut before they were listed"))
            .ok()
    }

    /// Mends one file of an earlier engine, if one is due, and says whether it did: then another may be. A FLAC of an hour takes seconds,
    /// so no more than one is mended between two listings. The list on the disk changes with the next turn.
    fn mend_one(&mut self, now: Timestamp<Mono>) -> bool {
        let due = self.earlier.iter().position(|(_, again)| again.is_none_or(|again| again.is_due(now)));
        let Some((mut line, before)) = due.and_then(|at| self.earlier.remove(at)) else { return false };
        let confirmed = line.confirmed;
        match mend(&mut line, &self.chains, before.is_none(), self.confirm) {
            Mend::Soon => self.earlier.push_back((line, Some(Again::soon(now)))),
            Mend::Later => {
                self.changed |= line.confirmed != confirmed;
                self.earlier.push_back((line, Some(Again::later(before, now))));
            }
            Mend::Done => {
                self.changed = true;
                if line.chain.is_some() {
                    self.listed.push(Listed { again: before, ..Listed::new(line, Some(now)) });
                }
            }
        }
        true
    }

    /// Lists what is open now. Waits for the disk where something changed.
    fn turn(&mut self, now: Timestamp<Mono>, open: &[OpenFile]) {
        for listed in &mut self.listed {
            if listed.closed.is_none() && !open.iter().any(|file| file.path == listed.line.path) {
                listed.closed = Some(now);
            }
        }
        self.seal(now);
        let before = self.listed.len();
        self.listed.retain(|listed| !listed.is_settled(now));
        self.changed |= self.listed.len() != before;
        for file in open {
            if !self.listed.iter().any(|listed| listed.closed.is_none() && listed.line.path == file.path) {
                self.listed.push(Listed::new(Line::new(file), None));
                self.changed = true;
            }
        }
        self.save();
        self.publish();
    }

    /// Tells each recorder's directory which of its files are not sealed, for whoever looks for recordings there.
    fn publish(&mut self) {
        let mut now: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
        let unsealed =
            self.listed.iter().filter(|listed| listed.seal != Seal::Done).map(|listed| &listed.line);
        for line in unsealed.chain(self.earlier.iter().map(|(line, _)| line)) {
            if let Some(recorder) = &line.chain
                && let Ok(below) = line.path.strip_prefix(recorder)
                && let Some(below) = below.to_str()
            {
                now.entry(recorder.clone()).or_default().push(below.to_owned());
            }
        }
        for recorder in self.published.keys() {
            now.entry(recorder.clone()).or_default();
        }
        for (recorder, files) in now {
            if self.published.get(&recorder) == Some(&files) {
                continue;
            }
            let told = self.chains.directory(&recorder).and_then(|dir| chain::set_open_files(&dir, &files));
            match told {
                Ok(()) => drop(self.published.insert(recorder, files)),
                Err(error) => {
                    tracing::debug!(recorder = %recorder.display(), %error, "its open files are not told");
                }
            }
        }
    }

    /// Tells a recorder's directory of a recording that can never be sealed, so that whoever looks for recordings finds it.
    fn tell_never(&self, recorder: &Path, path: &Path, why: &str) {
        let Some(file) = path.strip_prefix(recorder).ok().and_then(Path::to_str) else { return };
        let told = self
            .chains
            .directory(recorder)
            .and_then(|directory| chain::tell_unsealable(&directory, file, why));
        if let Err(error) = told {
            tracing::warn!(path = %path.display(), %error, "that it can never be sealed is told nowhere but here");
        }
    }

    /// Open files that have gone from their places, each once.
    fn missing(&mut self) -> Vec<PathBuf> {
        self.listed
            .iter_mut()
            .filter_map(|listed| listed.has_gone().then(|| listed.line.path.clone()))
            .collect()
    }

    /// These were let go of before they were whole, so that nothing keeps their volume: they are mended like what an earlier engine
    /// left.
    fn let_go(&mut self, cut: Vec<Cut>) {
        for Cut { file, confirmed } in cut {
            if let Some(recorder) = &file.chain {
                self.chains.close(recorder);
            }
            self.listed.retain(|listed| listed.closed.is_some() || listed.line.path != file.path);
            self.earlier.push_back((Line { confirmed, ..Line::new(&file) }, None));
            self.changed = true;
        }
    }

    /// Asks for what is closed to be sealed, and takes note of what is.
    fn seal(&mut self, now: Timestamp<Mono>) {
        for listed in &mut self.listed {
            if let (Some(recorder), Some(_), Seal::Wanted) = (&listed.line.chain, listed.closed, listed.seal)
            {
                self.sealer.seal(Job { recorder: recorder.clone(), path: listed.line.path.clone() });
                listed.seal = Seal::Asked;
            }
        }
        for (Job { recorder, path }, outcome) in self.sealer.told().collect::<Vec<_>>() {
            let is_it = |listed: &Listed| listed.closed.is_some() && listed.line.path == path;
            match outcome {
                Outcome::Done => {
                    self.listed.iter_mut().filter(|listed| is_it(listed)).for_each(|l| l.seal = Seal::Done);
                }
                Outcome::Never(why) => {
                    self.listed.iter_mut().filter(|listed| is_it(listed)).for_each(|l| l.seal = Seal::Done);
                    self.tell_never(&recorder, &path, &why);
                }
                // What the disk has of it is to be looked at anew.
                Outcome::Unconfirmed => {
                    let again = self.listed.extract_if(.., |listed| is_it(listed));
                    let again = again.map(|listed| (listed.line, Some(Again::later(listed.again, now))));
                    self.earlier.extend(again);
                    self.changed = true;
                }
            }
        }
    }

    /// The engine ends. With `safe` all files are closed and the disk has them.
    fn end(&mut self, safe: bool) {
        let now = clock::mono_now();
        if safe || self.directory.is_none() {
            for listed in &mut self.listed {
                listed.closed.get_or_insert(now);
            }
            self.seal(now);
        }
        self.sealer.end(self.directory.is_none());
        self.seal(now);
        if safe {
            let before = self.listed.len();
            self.listed.retain(|listed| listed.seal != Seal::Done);
            self.changed |= self.listed.len() != before;
            self.save();
        }
        self.publish();
    }

    fn save(&mut self) {
        let Some(directory) = self.directory.as_ref().filter(|_| self.changed) else { return };
        // What is open comes first: no more than so many are read again.
        let of = |open: bool| self.listed.iter().filter(move |listed| listed.closed.is_none() == open);
        let lines = of(true).chain(of(false)).map(|listed| &listed.line);
        let lines = lines.chain(self.earlier.iter().map(|(line, _)| line));
        let saved = list(directory, lines);
        self.changed = saved.is_err();
        let failed_before = std::mem::replace(&mut self.failing, saved.is_err());
        if let Err(error) = saved
            && !failed_before
        {
            tracing::warn!(
                %error,
                "the list of open files cannot be written; after a power cut a header may count a second that is not there"
            );
        }
    }
}

/// The list procedure.
fn list<'a>(directory: &Path, lines: impl Iterator<Item = &'a Line>) -> io::Result<()> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    durable::replace(directory, NAME, &text)
}

/// What came of a try to mend a file.
enum Mend {
    /// It is mended, or never will be.
    Done,
    /// It is to be tried again: something is away, or somebody writes it.
    Soon,
    /// The same, and each try may read all of it.
    Later,
}

impl Mend {
    fn after(error: &(dyn std::error::Error + 'static)) -> Self {
        if passes(error) { Self::Soon } else { Self::Later }
    }
}

/// What was written before this the disk has, twice over: the kernel writes by itself after 30 s.
const WRITTEN: Nanos = Nanos::from_secs(60);

/// The frames of a file that the disk surely has, where it has failed to confirm it: those behind them it may have lost, and will not tell of
/// it twice. Other formats than WAV tell by themselves what is whole.
fn surely_there(file: &File, format: FileFormat) -> Option<FrameCount> {
    let FileFormat::Wav(spec) = format else { return None };
    let frames = WavInfo::read(&mut &*file).map_or(FrameCount::ZERO, |info| info.frames);
    Some(frames.saturating_sub(spec.rate.frames_in(WRITTEN)))
}

/// The frames of a WAV that the disk has failed to confirm, and how many more it is said to have had when it was `closed`.
fn uncounted(file: &File, line: &Line, closed: FrameCount) -> Option<(FrameCount, FrameCount)> {
    let (Some(_), FileFormat::Wav(_)) = (line.confirmed, line.format) else { return None };
    let frames = WavInfo::read(&mut &*file).ok()?.frames;
    Some((frames, closed.saturating_sub(frames))).filter(|(_, lost)| lost.0 > 0)
}

/// Mends a file of an earlier engine; why it cannot be yet is said at the `first` try.
fn mend(line: &mut Line, chains: &Chains, first: bool, confirm: fn(&File) -> io::Result<()>) -> Mend {
    let path = line.path.display();
    let name = line.path.file_name().unwrap_or_default();
    let opened = chains
        .directory(line.path.parent().unwrap_or(Path::new("")))
        .and_then(|directory| Ok((directory.file(name, OFlags::RDWR)?, directory)));
    let (file, directory) = match opened {
        Ok(opened) => opened,
        // Its volume is not there yet; or it was deleted.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return if line.path.parent().is_some_and(Path::is_dir) { Mend::Done } else { Mend::Soon };
        }
        Err(error) if beneath::is_link(&error) => {
            tracing::warn!(%path, %error, "it was being written when the engine ended; it is left as it is");
            return Mend::Done;
        }
        Err(error) => {
            if first {
                tracing::warn!(%path, %error, "a recording that a crash has cut is not mended yet; it is tried again");
            }
            return Mend::after(&error);
        }
    };
    // A later recording may have its name.
    if !is_ours_to_change(&file) {
        return Mend::Soon;
    }
    // What is sealed is as it should be, and stays so.
    if !matches!(directory.kind_of(&chain::sidecar_of(name)), Ok(None)) {
        return Mend::Done;
    }
    let ledger = directory.file(&chain::ledger_of(name), OFlags::RDONLY).ok();
    // It is mended by what the disk has.
    let of_audio = confirm(&file);
    if of_audio.is_err() && line.confirmed.is_none() {
        line.confirmed = surely_there(&file, line.format);
    }
    if let Err(error) = of_audio.and_then(|()| ledger.as_ref().map_or(Ok(()), confirm)) {
        if first {
            tracing::warn!(%path, %error, "the disk does not confirm a recording that is to be mended; it is tried again");
        }
        return Mend::after(&error);
    }
    let ledger = ledger.and_then(|ledger| LedgerFacts::read(BufReader::new(ledger), FAR).ok());
    match line.format.mend_file(&file, &line.path, ledger.as_ref(), line.confirmed) {
        Ok(mended) => {
            let lost = mended.map(|mended| (mended.frames, mended.declared.saturating_sub(mended.frames)));
            let shortened = lost.filter(|(_, lost)| lost.0 > 0);
            // Or the disk has lost the header that counted them, and the ledger counts them still.
            let unconfirmed = || uncounted(&file, line, ledger.as_ref()?.end?.frames());
            let shortened = shortened.or_else(unconfirmed);
            if let Some((frames, lost)) = shortened {
                tracing::warn!(
                    %path,
                    "the power went, or the disk, while this was recorded: its last {lost} did not surely reach the disk; its \
                     header counts the {frames} before them"
                );
            }
            if let Err(error) = ledger::mend(&directory, &line.path, shortened) {
                tracing::warn!(%path, %error, "its ledger is not mended");
            }
            let _ = release(&file); // what takes room and holds nothing stops nobody
            Mend::Done
        }
        Err(
            error @ (MediaError::NotWav { .. } | MediaError::NotFlac { .. } | MediaError::NotOpus { .. }),
        ) => {
            tracing::warn!(%error, "it was being written when the engine ended; it is left as it is");
            Mend::Done
        }
        Err(error) => {
            if first {
                tracing::warn!(%error, "a recording that a crash has cut is not mended yet; it is tried again");
            }
            Mend::after(&error)
        }
    }
}

#[cfg(test)]
mod tests;
