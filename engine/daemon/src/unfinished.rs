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
mod tests {
    use std::fs::OpenOptions;

    use audyn_media::{Facts, PcmDepth, WavReader, WavSpec, WavWriter};
    use audyn_units::{ChannelCount, SampleRate};

    use super::*;

    const SPEC: WavSpec =
        WavSpec { rate: SampleRate::HZ_48000, channels: ChannelCount::MONO, depth: PcmDepth::Pcm24 };

    fn at(seconds: i64) -> Timestamp<Mono> {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    fn file(path: &Path) -> OpenFile {
        OpenFile { path: path.to_owned(), format: FileFormat::Wav(SPEC), chain: None }
    }

    fn list_of(state: &Path, archive: &Path) -> Unfinished {
        let chains = Chains::below(archive.to_owned());
        Unfinished::read(Some(state.to_owned()), chains.clone(), Sealer::start(chains).unwrap())
    }

    fn lines(state: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(state.join(NAME)).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str::<Line>(line).unwrap())
            .map(|l| l.path.display().to_string())
            .collect()
    }

    /// What the thread does until nothing is due.
    fn go(list: &mut Unfinished, now: Timestamp<Mono>, open: &[OpenFile]) {
        while list.mend_one(now) {}
        list.turn(now, open);
    }

    fn cut(dir: &Path) -> PathBuf {
        cut_as(dir, "a.wav")
    }

    /// A recording of 100 frames of which a cut has left 60, and its ledger with a torn last line.
    fn cut_as(dir: &Path, name: &str) -> PathBuf {
        let path = dir.join(name);
        let mut writer = WavWriter::create(&path, SPEC, &Facts::default()).unwrap();
        writer.append(&[256; 100]).unwrap();
        writer.close().unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(4_096 + 60 * 3).unwrap();
        let header = r#"{"audyn_ledger":1,"first_position":1000}"#;
        std::fs::write(ledger::path_of(&path), format!("{header}\n{{\"position\":10")).unwrap();
        path
    }

    #[test]
    fn what_is_open_is_listed_and_what_is_closed_for_another_minute() {
        let state = tempfile::tempdir().unwrap();
        let mut list = list_of(state.path(), state.path());
        let (a, b) = (Path::new("/r/a.wav"), Path::new("/r/b.wav"));
        go(&mut list, at(0), &[file(a)]);
        assert_eq!(lines(state.path()), ["/r/a.wav"]);
        go(&mut list, at(1), &[file(b)]);
        assert_eq!(lines(state.path()), ["/r/b.wav", "/r/a.wav"], "what is open comes first");
        go(&mut list, at(60), &[file(b)]);
        assert_eq!(lines(state.path()).len(), 2);
        go(&mut list, at(61), &[file(b)]);
        assert_eq!(lines(state.path()), ["/r/b.wav"]);
        list.end(true);
        assert_eq!(lines(state.path()), [""; 0]);
    }

    #[test]
    fn a_listing_waits_for_one_file_to_be_mended_and_not_for_all() {
        let state = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = ["a.wav", "b.wav", "c.wav"].map(|name| cut_as(state.path(), name)).to_vec();
        let away = state.path().join("away/d.wav");
        let open: Vec<OpenFile> = std::iter::once(&away).chain(&paths).map(|path| file(path)).collect();
        list_of(state.path(), state.path()).turn(at(0), &open);

        let mut list = list_of(state.path(), state.path());
        let mended = || {
            let whole = |path: &&PathBuf| WavReader::open(path).unwrap().info().declared == FrameCount(60);
            paths.iter().filter(whole).count()
        };
        let new = [file(&state.path().join("new.wav"))];
        for (n, left) in [(0, 5), (0, 5), (1, 4), (2, 3), (3, 2)] {
            list.turn(at(0), &new);
            assert_eq!(
                (mended(), lines(state.path()).len()),
                (n, left),
                "what is open, and what is to be mended"
            );
            assert_eq!(list.mend_one(at(0)), n < 3, "one whose volume is away is tried later");
        }
        assert!(!list.mend_one(at(1)) && list.mend_one(at(2)));
    }

    #[test]
    fn each_recorders_directory_is_told_what_is_not_sealed_there() {
        let state = tempfile::tempdir().unwrap();
        let archive = state.path().join("archive");
        for recorder in ["a", "b"] {
            std::fs::create_dir_all(archive.join(recorder)).unwrap();
        }
        let open = |recorder: &str, file: &str| {
            let recorder = archive.join(recorder);
            OpenFile { chain: Some(recorder.clone()), ..self::file(&recorder.join(file)) }
        };
        let told = |recorder: &str| {
            std::fs::read_to_string(archive.join(recorder).join(".audyn/open.json")).unwrap_or_default()
        };
        let mut list = list_of(state.path(), &archive);
        list.turn(at(0), &[open("a", "x/1.wav"), open("a", "1.opus"), open("b", "1.wav")]);
        assert_eq!((told("a").as_str(), told("b").as_str()), ("[\"x/1.wav\",\"1.opus\"]\n", "[\"1.wav\"]\n"));
        // An engine that is killed now leaves it as it is, and the next one knows of it.
        let mut next = list_of(state.path(), &archive);
        next.turn(at(1), &[open("b", "2.wav")]);
        assert!(told("b").contains("2.wav"), "{}", told("b"));
    }

    #[test]
    fn an_open_file_that_has_gone_from_its_place_is_told_once() {
        let state = tempfile::tempdir().unwrap();
        let mut list = list_of(state.path(), state.path());
        let names: Vec<_> =
            ["moved", "replaced", "stays"].iter().map(|name| state.path().join(name)).collect();
        let never = state.path().join("never/there");
        names.iter().for_each(|name| std::fs::write(name, "audio").unwrap());
        let open: Vec<_> = names.iter().chain([&never]).map(|name| file(name)).collect();
        list.turn(at(0), &open);
        assert_eq!(list.missing(), [never]);
        std::fs::rename(&names[0], state.path().join("elsewhere")).unwrap();
        std::fs::write(state.path().join("other"), "another's").unwrap();
        std::fs::rename(state.path().join("other"), &names[1]).unwrap();
        assert_eq!(list.missing(), names[..2]);
        assert!(list.missing().is_empty());
        std::fs::remove_file(&names[2]).unwrap();
        list.turn(at(1), &[]);
        assert!(list.missing().is_empty(), "a closed one may go");
    }

    #[test]
    fn what_was_let_go_of_is_mended_like_what_an_earlier_engine_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = cut(dir.path());
        let mut list = list_of(dir.path(), dir.path());
        list.turn(at(0), &[file(&path)]);
        let confirmed = None;
        list.let_go(vec![Cut { file: file(&path), confirmed }]);
        list.turn(at(1), &[]);
        assert_eq!(lines(dir.path()), [path.display().to_string()], "a crash finds it");
        assert!(list.mend_one(at(1)));
        assert_eq!(WavReader::open(&path).unwrap().info().frames, FrameCount(60));
    }

    #[test]
    fn what_the_disk_has_not_confirmed_of_what_was_let_go_of_is_not_counted_whichever_engine_mends_it() {
        let dir = tempfile::tempdir().unwrap();
        for (name, next) in [("a.wav", false), ("b.wav", true)] {
            let path = cut_as(dir.path(), name);
            let mut list = list_of(dir.path(), dir.path());
            list.turn(at(0), &[file(&path)]);
            list.let_go(vec![Cut { file: file(&path), confirmed: Some(FrameCount(50)) }]);
            list.turn(at(1), &[]);
            if next {
                list = list_of(dir.path(), dir.path());
            }
            assert!(list.mend_one(at(1)));
            assert_eq!(WavReader::open(&path).unwrap().info().frames, FrameCount(50));
            let told = std::fs::read_to_string(ledger::path_of(&path)).unwrap();
            assert!(told.contains("\"position\":1050") && told.contains("50 frames"), "{told}");
            list.turn(at(2), &[]);
        }
    }

    #[test]
    fn what_the_disk_fails_to_confirm_while_it_is_mended_is_not_counted_then_and_each_try_comes_later() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let mut writer = WavWriter::create(&path, SPEC, &Facts::default()).unwrap();
        let second = 48_000;
        (0..61).for_each(|_| writer.append(&vec![256; second]).unwrap());
        writer.close().unwrap();
        let refuses = |_: &File| Err(io::Error::from_raw_os_error(nix::libc::EIO));
        list_of(dir.path(), dir.path()).turn(at(0), &[file(&path)]);
        let mut list = Unfinished { confirm: refuses, ..list_of(dir.path(), dir.path()) };
        let tried: Vec<i64> = (0..100).filter(|&seconds| list.mend_one(at(seconds))).collect();
        assert_eq!(tried, [0, 2, 6, 14, 30, 62]);
        let declared = || WavReader::open(&path).unwrap().info().declared;
        assert_eq!(declared(), FrameCount(61 * second as u64), "nobody knows what there is");
        list.turn(at(100), &[]);
        // Linux has told of it, and the next engine, or the next try, hears nothing any more.
        for mut list in [list_of(dir.path(), dir.path()), Unfinished { confirm, ..list }] {
            assert!(list.mend_one(at(1_000)));
            assert_eq!(declared(), FrameCount(second as u64), "the last minute may not be there");
        }
    }

    #[test]
    fn the_thread_says_when_the_disk_knows() {
        let state = tempfile::tempdir().unwrap();
        let path = Path::new("/r/a.wav");
        let mut listing =
            Listing::start(Some(state.path().to_owned()), Chains::below(state.path().to_owned())).unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(60); // only for what never comes
        while !listing.tell(vec![file(path)], Vec::new()) {
            assert!(std::time::Instant::now() < deadline, "it never says so");
            std::thread::yield_now();
        }
        assert_eq!(lines(state.path()), ["/r/a.wav"]);
        listing.end(false);
        assert_eq!(lines(state.path()), ["/r/a.wav"], "the disk may not have it all");
        Listing::start(Some(state.path().to_owned()), Chains::below(state.path().to_owned()))
            .unwrap()
            .end(true);
        assert_eq!(lines(state.path()), ["/r/a.wav"], "an earlier engine's, whose volume is not there");
    }

    #[test]
    fn what_a_cut_has_left_is_mended_once_its_volume_is_there() {
        let state = tempfile::tempdir().unwrap();
        let volume = state.path().join("volume");
        let mut list = list_of(state.path(), state.path());
        go(&mut list, at(0), &[file(&volume.join("a.wav"))]);

        let mut list = list_of(state.path(), state.path());
        go(&mut list, at(0), &[]);
        assert_eq!(lines(state.path()).len(), 1, "the volume may come");
        std::fs::create_dir(&volume).unwrap();
        let path = cut(&volume);
        go(&mut list, at(1), &[]);
        assert_eq!(
            WavReader::open(&path).unwrap().info().declared,
            FrameCount(100),
            "not each turn asks the disk"
        );
        go(&mut list, at(2), &[]);
        assert_eq!(WavReader::open(&path).unwrap().info().declared, FrameCount(60));
        assert_eq!(lines(state.path()), [""; 0]);
        let told = std::fs::read_to_string(ledger::path_of(&path)).unwrap();
        let last = told.lines().last().unwrap();
        assert!(
            last.contains("\"mended\"") && last.contains("\"position\":1060") && last.contains("40 frames"),
            "{told}"
        );
        assert_eq!(told.lines().count(), 2, "the torn line has gone: {told}");
    }

    /// Turns until what is closed is sealed.
    fn await_seal(list: &mut Unfinished, sidecar: &Path) {
        let deadline = std::time::Instant::now() + Duration::from_secs(60); // only for what never comes
        while !sidecar.exists() || list.listed.iter().any(|listed| listed.seal != Seal::Done) {
            assert!(std::time::Instant::now() < deadline, "it is never sealed");
            go(list, at(3), &[]);
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_is_closed_is_listed_until_it_is_sealed_whichever_engine_does() {
        let state = tempfile::tempdir().unwrap();
        let recorder = state.path().join("recordings/a");
        std::fs::create_dir_all(&recorder).unwrap();
        let path = cut(&recorder);
        let header = r#"{"audyn_ledger":3,"recorder":"a","file":"a.wav","first_position":1000,"start_utc":"2026-07-02T13:46:03Z","rate":48000,"channels":1,"bits":24,"placed_by":null,"clock":null,"tai_minus_utc":null}"#;
        std::fs::write(ledger::path_of(&path), format!("{header}\n")).unwrap();
        let open =
            OpenFile { path: path.clone(), format: FileFormat::Wav(SPEC), chain: Some(recorder.clone()) };
        go(&mut list_of(state.path(), state.path()), at(0), std::slice::from_ref(&open));

        // It ended here; the next one mends and seals.
        let mut list = list_of(state.path(), state.path());
        go(&mut list, at(0), &[]);
        assert_eq!(lines(state.path()).len(), 1, "it is not sealed");
        await_seal(&mut list, &recorder.join("a.wav.json"));
        go(&mut list, at(100), &[]);
        assert_eq!(lines(state.path()), [""; 0]);
        let text = std::fs::read(recorder.join("a.wav.json")).unwrap();
        let sidecar: audyn_media::chain::Sidecar = serde_json::from_slice(&text).unwrap();
        assert_eq!((sidecar.frames, sidecar.mended, sidecar.entry), (FrameCount(60), true, 1));

        // Closed by this one.
        for name in ["wav.json", "wav.gaps.jsonl"] {
            let _ = std::fs::remove_file(recorder.join(format!("a.{name}")));
        }
        std::fs::rename(&path, recorder.join("b.wav")).unwrap();
        let path = recorder.join("b.wav");
        std::fs::write(ledger::path_of(&path), format!("{header}\n")).unwrap();
        go(&mut list, at(3), &[OpenFile { path, ..open }]);
        go(&mut list, at(3), &[]);
        await_seal(&mut list, &recorder.join("b.wav.json"));
    }

    #[test]
    fn what_the_disk_does_not_confirm_is_mended_before_it_is_sealed() {
        let state = tempfile::tempdir().unwrap();
        let recorder = state.path().join("a");
        std::fs::create_dir(&recorder).unwrap();
        let path = cut(&recorder);
        let (sealer, jobs, tell) = Sealer::scripted();
        let chains = Chains::below(state.path().to_owned());
        let mut list = Unfinished::read(Some(state.path().to_owned()), chains, sealer);
        let open = OpenFile { chain: Some(recorder), ..file(&path) };
        list.turn(at(0), &[open]);
        list.turn(at(1), &[]);
        let job = jobs.recv().unwrap();
        tell.send((job, Outcome::Unconfirmed)).unwrap();
        list.turn(at(2), &[]);
        assert_eq!(lines(state.path()), [path.display().to_string()], "a crash finds it");
        // What cannot be confirmed now is not judged either: a pipe never is.
        let ledger = ledger::path_of(&path);
        let text = std::fs::read(&ledger).unwrap();
        std::fs::remove_file(&ledger).unwrap();
        nix::unistd::mkfifo(&ledger, nix::sys::stat::Mode::S_IRWXU).unwrap();
        go(&mut list, at(4), &[]);
        let declared = || WavReader::open(&path).unwrap().info().declared;
        assert_eq!((jobs.try_iter().count(), declared()), (0, FrameCount(100)));
        std::fs::remove_file(&ledger).unwrap();
        std::fs::write(&ledger, text).unwrap();
        go(&mut list, at(8), &[]);
        assert_eq!(jobs.try_iter().count(), 1, "sealed anew");
        assert_eq!(declared(), FrameCount(60));
    }

    #[test]
    fn what_can_never_be_sealed_is_told_where_it_lies_with_the_reason_for_good() {
        let state = tempfile::tempdir().unwrap();
        let recorder = state.path().join("a");
        std::fs::create_dir_all(recorder.join("day")).unwrap();
        let (one, other) = (cut_as(&recorder.join("day"), "a.wav"), cut_as(&recorder.join("day"), "b.wav"));
        std::fs::write(ledger::path_of(&one), "no ledger\n").unwrap();
        std::fs::remove_file(ledger::path_of(&other)).unwrap();
        let mut list = list_of(state.path(), state.path());
        let open = |path: &Path| OpenFile { chain: Some(recorder.clone()), ..file(path) };
        list.turn(at(0), &[open(&one), open(&other)]);
        let deadline = std::time::Instant::now() + Duration::from_secs(60); // only for what never comes
        while list.listed.iter().any(|listed| listed.seal != Seal::Done) {
            assert!(std::time::Instant::now() < deadline, "it is never told");
            list.turn(at(1), &[]);
            std::thread::yield_now();
        }
        list.end(true);
        let told = chain::unsealable(&audyn_media::Beneath::root(&recorder).unwrap()).unwrap();
        let files: Vec<_> = told.iter().map(|(file, _)| file.as_str()).collect();
        assert_eq!(files, ["day/a.wav", "day/b.wav"]);
        assert!(told[1].1.contains("gap ledger"), "{told:?}");
    }

    #[test]
    fn what_somebody_writes_waits_and_what_is_sealed_stays_as_it_is() {
        let state = tempfile::tempdir().unwrap();
        let path = cut(state.path());
        go(&mut list_of(state.path(), state.path()), at(0), &[file(&path)]);
        let writer = std::fs::File::open(&path).unwrap();
        writer.try_lock().unwrap();
        let mut list = list_of(state.path(), state.path());
        go(&mut list, at(0), &[]);
        let declared = || WavReader::open(&path).unwrap().info().declared;
        assert_eq!((declared(), lines(state.path()).len()), (FrameCount(100), 1), "a recording has its name");
        drop(writer);
        let sidecar = state.path().join("a.wav.json");
        std::fs::write(&sidecar, "{}").unwrap();
        go(&mut list, at(2), &[]);
        assert_eq!((declared(), lines(state.path()).len()), (FrameCount(100), 0), "it is sealed");
        std::fs::remove_file(&sidecar).unwrap();
        go(&mut list_of(state.path(), state.path()), at(0), &[file(&path)]);
        go(&mut list_of(state.path(), state.path()), at(0), &[]);
        assert_eq!(declared(), FrameCount(60), "else it is mended");
    }

    #[test]
    fn a_link_is_not_written_through() {
        let (state, archive, elsewhere) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = cut(elsewhere.path());
        let before = (std::fs::read(&path).unwrap(), std::fs::read(ledger::path_of(&path)).unwrap());
        std::os::unix::fs::symlink(elsewhere.path(), archive.path().join("r")).unwrap();
        std::os::unix::fs::symlink(&path, archive.path().join("a.wav")).unwrap();
        for (root, file) in [
            (archive.path(), archive.path().join("r/a.wav")),
            (archive.path(), archive.path().join("a.wav")),
            (state.path(), archive.path().join("r/a.wav")), // the root was changed since
        ] {
            let mut list = list_of(state.path(), root);
            go(&mut list, at(0), &[super::tests::file(&file)]);
            let mut list = list_of(state.path(), root);
            go(&mut list, at(0), &[]);
            assert_eq!(lines(state.path()), [""; 0]);
            assert_eq!(std::fs::read(&path).unwrap(), before.0);
            assert_eq!(std::fs::read(ledger::path_of(&path)).unwrap(), before.1);
        }
        // The root itself may be one.
        let root = state.path().join("root");
        std::os::unix::fs::symlink(elsewhere.path(), &root).unwrap();
        let mut list = list_of(state.path(), &root);
        go(&mut list, at(0), &[file(&root.join("a.wav"))]);
        go(&mut list_of(state.path(), &root), at(0), &[]);
        assert_eq!(WavReader::open(&path).unwrap().info().declared, FrameCount(60));
    }

    #[test]
    fn what_was_deleted_or_is_anothers_is_let_go() {
        let state = tempfile::tempdir().unwrap();
        let (gone, other) = (state.path().join("gone.wav"), state.path().join("other.wav"));
        std::fs::write(&other, [b'x'; 200]).unwrap();
        let mut list = list_of(state.path(), state.path());
        go(&mut list, at(0), &[file(&gone), file(&other)]);
        let mut list = list_of(state.path(), state.path());
        go(&mut list, at(0), &[]);
        assert_eq!(lines(state.path()), [""; 0]);
        assert_eq!(std::fs::read(&other).unwrap(), [b'x'; 200]);
    }
}
