//! `audyn repair`: puts right what a kill, a power cut or a copy that broke off has left of recordings.
//!
//! Owns: which files are looked at, the words, and that a mended file of an archive is sealed. Never: the mending, which is media's; nor
//! does it change a file before it has told what is wrong with it.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use audyn_media::beneath::FileType;
use audyn_media::repair::{Case, Found, LedgerState, kind_of, look, recorder_of, seal};
use audyn_media::{Beneath, MediaError};
use audyn_units::FrameCount;
use serde::Serialize;

use crate::stop::{SignalError, Stop};
use crate::words::counted;

/// Directories in directories that are gone into.
const DEEPEST: usize = 32;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Of each file one line: what is wrong, frames before and after, what was done. With --json one object, and of a file that is changed two:
`damaged` before anything is done, `mended` after. In a recorder's directory of an archive, closed files are sealed as well.
What is sealed or being written is left as it is.

Exit codes: 0 nothing is left to do; 1 a file could not be mended or sealed, or with --dry-run would be changed; 2 asked for wrongly.

Examples:
  audyn repair --dry-run /srv/audio      what would be done
  audyn repair /srv/audio                do it
  audyn repair take.wav --json           one file, also of another program")]
pub(crate) struct RepairArgs {
    /// Files, or directories that are searched with all that is in them for .wav, .flac and .opus.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Say what would be done, and change nothing; exit code 1 if that is anything.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum RepairError {
    #[error("cannot look at {}: {source}; give a recording, or a directory with some", .path.display())]
    Path { path: PathBuf, source: std::io::Error },
    #[error("{} is called neither .wav nor .flac nor .opus; give a recording, or a directory with some", .0.display())]
    Kind(PathBuf),
    #[error("{}", match .0 {
        1 => "1 file could not be mended or sealed".to_owned(),
        n => format!("{n} files could not be mended or sealed"),
    })]
    Failed(usize),
    #[error("{}", match .0 {
        1 => "1 file would be changed; nothing was".to_owned(),
        n => format!("{n} files would be changed; nothing was"),
    })]
    Dry(usize),
    #[error("{0}")]
    Signals(#[from] SignalError),
    #[error("nothing more was looked at, as asked")]
    Stopped,
}

impl RepairError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Path { .. } | Self::Kind(_) => 2,
            _ => 1,
        }
    }
}

/// How a file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// Nothing was wrong with it.
    Whole,
    /// Something is wrong with it. The only line of `--dry-run`; else the one before it is mended.
    Damaged,
    /// It was put right.
    Mended,
    /// It is sealed, and left as it is.
    Sealed,
    /// It is being written, and left as it is.
    BeingWritten,
    /// It cannot be mended, and is left as it is.
    Refused,
}

/// A line of `--json`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    file: &'a Path,
    state: State,
    /// What was wrong and what is done about it; or why nothing is.
    #[serde(skip_serializing_if = "String::is_empty")]
    told: String,
    /// Frames that it counted, and that are there. Opus counts 48,000 a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    frames_before: Option<FrameCount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frames_after: Option<FrameCount>,
    /// Bytes that hold no whole frame and are cut off; of the file, and of a torn line of its ledger.
    bytes_cut: u64,
    ledger_bytes_cut: u64,
    /// Its place in the chain, if it was sealed by this.
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed_as: Option<u64>,
    /// Why it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_sealed: Option<String>,
}

impl<'a> Line<'a> {
    fn new(file: &'a Path, state: State, told: String) -> Self {
        Self {
            file,
            state,
            told,
            frames_before: None,
            frames_after: None,
            bytes_cut: 0,
            ledger_bytes_cut: 0,
            sealed_as: None,
            not_sealed: None,
        }
    }

    fn of(file: &'a Path, state: State, case: &Case) -> Self {
        let (before, after) = case.frames();
        Self {
            frames_before: Some(before),
            frames_after: Some(after),
            bytes_cut: case.cut(),
            ledger_bytes_cut: case.ledger_torn(),
            ..Self::new(file, state, told(case))
        }
    }
}

/// What was found and what is done, in words.
fn told(case: &Case) -> String {
    let mut parts = Vec::new();
    if let Some((found, remedy)) = case.words() {
        parts.push(format!("{found}; {remedy}"));
    }
    match case.ledger_torn() {
        0 if !case.is_whole() && case.words().is_none() => {
            parts.push("the last line of its ledger lacks its end, which it will get".to_owned());
        }
        0 => {}
        torn => {
            parts.push(format!(
                "its ledger ends in a torn line of {}, which will be cut off",
                counted(torn, "byte")
            ));
        }
    }
    match case.ledger() {
        LedgerState::Unreadable(why) => parts.push(format!("its ledger is left as it is: {why}")),
        LedgerState::Missing if !case.is_whole() => parts.push("it has no ledger".to_owned()),
        LedgerState::Missing | LedgerState::There => {}
    }
    parts.join("; ")
}

/// Looks at all of them, mends and seals, and tells.
pub(crate) fn run(args: &RepairArgs, json: bool) -> Result<(), RepairError> {
    let stop = Stop::on_signals()?;
    // All of them are looked for before any is changed.
    for path in &args.paths {
        let there =
            std::fs::metadata(path).map_err(|source| RepairError::Path { path: path.clone(), source })?;
        if !there.is_dir() && path.file_name().and_then(kind_of).is_none() {
            return Err(RepairError::Kind(path.clone()));
        }
    }
    let mut work = Work { dry_run: args.dry_run, json, stop, failed: 0, would: 0 };
    for path in &args.paths {
        let failed = |source| RepairError::Path { path: path.clone(), source };
        if path.is_dir() {
            work.directory(&Beneath::root(path).map_err(failed)?, 0);
        } else {
            let parent = Beneath::root(path.parent().unwrap_or(Path::new(""))).map_err(failed)?;
            work.file(&parent, path.file_name().unwrap_or_default());
        }
    }
    match (work.failed, work.would) {
        _ if work.stop.is_set() => Err(RepairError::Stopped),
        (0, 0) => Ok(()),
        (0, would) => Err(RepairError::Dry(would)),
        (failed, _) => Err(RepairError::Failed(failed)),
    }
}

struct Work {
    dry_run: bool,
    json: bool,
    stop: Stop,
    failed: usize,
    would: usize,
}

impl Work {
    /// All files in a directory and below, in the order of their names. No link is followed.
    fn directory(&mut self, directory: &Beneath, depth: usize) {
        let mut entries = match directory.entries() {
            Ok(entries) => entries,
            Err(error) => return self.refuse(directory.path(), &error.to_string()),
        };
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        for (name, kind) in entries {
            if self.stop.is_set() {
                return;
            }
            match kind {
                _ if name.as_encoded_bytes().starts_with(b".") => {}
                FileType::RegularFile if kind_of(&name).is_some() => self.file(directory, &name),
                FileType::Directory if depth < DEEPEST => {
                    match directory.try_clone().and_then(|above| above.open(Path::new(&name))) {
                        Ok(below) => self.directory(&below, depth + 1),
                        Err(error) => self.refuse(&directory.path_of(&name), &error.to_string()),
                    }
                }
                _ => {}
            }
        }
    }

    fn refuse(&mut self, path: &Path, why: &str) {
        self.failed += 1;
        self.tell(&Line::new(path, State::Refused, why.to_owned()));
    }

    fn file(&mut self, directory: &Beneath, name: &OsStr) {
        let path = directory.path_of(name);
        let left = |state, why: &str| Line::new(&path, state, why.to_owned());
        let case = match look(directory, name) {
            Ok(Found::Closed(case)) => case,
            Ok(Found::Sealed) => {
                return self
                    .tell(&left(State::Sealed, "it is sealed and left as it is; audyn verify judges it"));
            }
            Ok(Found::BeingWritten) => {
                return self.tell(&left(State::BeingWritten, "it is being written and left as it is"));
            }
            Err(error) => return self.refuse(&path, &format!("{error}; it is left as it is")),
        };
        let mut line = Line::of(&path, if case.is_whole() { State::Whole } else { State::Damaged }, &case);
        if line.state == State::Damaged && self.dry_run {
            self.would += 1;
            return self.tell(&line);
        }
        if line.state == State::Damaged {
            self.tell_before(&line);
            if let Err(error) = case.mend() {
                self.failed += 1;
                (line.state, line.told) = (State::Refused, error.to_string());
                return self.tell_after(&line);
            }
            line.state = State::Mended;
        } else if self.dry_run {
            drop(case);
        } else {
            // It only loses what its writer had set aside, if it can; and sealing asks for its lock.
            let _ = case.mend();
        }
        if !self.dry_run {
            match sealed(directory.path(), name, &|| !self.stop.is_set()) {
                Ok(entry) => line.sealed_as = entry,
                Err(why) => {
                    line.not_sealed = Some(why.to_string());
                    self.failed += usize::from(!is_anothers(&why));
                }
            }
        }
        match line.state {
            State::Mended => self.tell_after(&line),
            _ => self.tell(&line),
        }
    }

    /// One line.
    fn tell(&self, line: &Line<'_>) {
        let text = if self.json { as_json(line) } else { format!("{}{}", begin(line), end(line)) };
        say(&format!("{text}\n"));
    }

    /// What is wrong, before anything is changed.
    fn tell_before(&self, line: &Line<'_>) {
        say(&if self.json { format!("{}\n", as_json(line)) } else { begin(line) });
    }

    /// What became of it.
    fn tell_after(&self, line: &Line<'_>) {
        let text = match (self.json, line.state) {
            (true, _) => as_json(line),
            (false, State::Refused) => format!("; but that failed: {}", line.told),
            (false, _) => format!(": done{}", end(line)),
        };
        say(&format!("{text}\n"));
    }
}

fn as_json(line: &Line<'_>) -> String {
    serde_json::to_string(line).expect("its fields are plain")
}

/// Which file, how many frames, and what is wrong.
fn begin(line: &Line<'_>) -> String {
    let file = line.file.display();
    match (line.state, line.frames_before, line.frames_after) {
        (State::Whole, _, Some(frames)) => format!("{file}: whole, {frames}"),
        (State::Whole | State::Sealed | State::BeingWritten | State::Refused, ..) => {
            format!("{file}: {}", line.told)
        }
        (_, Some(before), Some(after)) => format!("{file}: {} to {after}: {}", before.0, line.told),
        _ => format!("{file}: {}", line.told),
    }
}

/// What became of its seal.
fn end(line: &Line<'_>) -> String {
    let told = if line.state == State::Whole && !line.told.is_empty() {
        format!("; {}", line.told)
    } else {
        String::new()
    };
    match (line.sealed_as, &line.not_sealed) {
        (Some(entry), _) => format!("{told}; sealed as entry {entry}"),
        (_, Some(why)) => format!("{told}; not sealed: {why}"),
        _ => told,
    }
}

/// Tells it at once: what follows may change a file.
fn say(text: &str) {
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush()); // whoever read there may have gone
}

/// Seals a file if it lies in a recorder's directory, and says as which entry.
fn sealed(directory: &Path, name: &OsStr, go_on: &dyn Fn() -> bool) -> Result<Option<u64>, MediaError> {
    let there = std::fs::canonicalize(directory);
    let of = |source| MediaError::Chain { path: directory.join(name), source };
    let there = there.map_err(of)?;
    let Some(recorder) = recorder_of(&there).map_err(of)? else { return Ok(None) };
    let below = there.strip_prefix(&recorder).expect("it is one above").join(name);
    Ok(Some(seal(&recorder, &below, go_on)?.entry))
}

/// Whether it will be sealed, or cannot be, through no fault that was found here: an engine keeps the chain, or there is no ledger.
fn is_anothers(error: &MediaError) -> bool {
    matches!(error, MediaError::Chain { source, .. }
        if matches!(source.kind(), std::io::ErrorKind::ResourceBusy | std::io::ErrorKind::NotFound))
}
