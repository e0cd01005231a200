//! `audyn verify`: whether recordings are what they were when they were closed.
//!
//! Owns: which directories are looked at, and the words. Never: the looking, which is media's; nor does it write anything.

use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};

use audyn_media::beneath::FileType;
use audyn_media::chain::{Found, HOUSE, verify};
use audyn_media::{Beneath, MediaError};
use serde::Serialize;

use crate::stop::{SignalError, Stop};

/// Recorders lie directly below an archive's root; somebody may give what lies above.
const DEEPEST: usize = 4;

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// Archive roots or recorders' directories.
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// Compare lengths and the chain, and do not read the audio.
    #[arg(long)]
    quick: bool,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    #[error("cannot look into {}: {source}; give an archive's root or a recorder's directory", .path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    #[error(
        "no recorder has recorded below {}: no directory {HOUSE} is there; give an archive's root or a recorder's directory",
        .0.display()
    )]
    NoChain(PathBuf),
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error("{0}")]
    Signals(#[from] SignalError),
    #[error("{0}")]
    Faults(String),
    #[error("nothing more was looked at, as asked")]
    Stopped,
}

impl VerifyError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Directory { .. } | Self::NoChain(_) => 2,
            _ => 1,
        }
    }
}

/// A line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    directory: &'a Path,
    #[serde(flatten)]
    found: &'a Found,
    /// What is wrong, in words, in the order of `faults`.
    sentences: Vec<String>,
}

/// Looks at all of them, and tells.
pub(crate) fn run(args: &VerifyArgs, json: bool) -> Result<(), VerifyError> {
    let stop = Stop::on_signals()?;
    let mut chains = Vec::new();
    for path in &args.directories {
        let directory = |source| VerifyError::Directory { path: path.clone(), source };
        let before = chains.len();
        find(&Beneath::root(path).map_err(directory)?, 0, &mut chains).map_err(directory)?;
        if chains.len() == before {
            return Err(VerifyError::NoChain(path.clone()));
        }
    }
    chains.sort_by(|a, b| a.path().cmp(b.path()));
    let live = !json && std::io::stderr().is_terminal();
    let (mut faults, mut bad) = (0, 0);
    for chain in &chains {
        let found = verify(chain, args.quick, |file| {
            if live {
                let _ = write!(std::io::stderr(), "\r\x1b[K{}", chain.path().join(file).display());
            }
            !stop.is_set()
        });
        if live {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
        if stop.is_set() {
            return Err(VerifyError::Stopped);
        }
        let found = found?;
        faults += found.faults.len();
        bad += usize::from(!found.faults.is_empty());
        let text = if json { line(chain.path(), &found) } else { told(chain.path(), &found, args.quick) };
        let _ = writeln!(std::io::stdout(), "{text}"); // whoever read there may have gone
    }
    match faults {
        0 => Ok(()),
        1 => Err(VerifyError::Faults("1 fault was found".to_owned())),
        _ if bad == 1 => Err(VerifyError::Faults(format!("{faults} faults were found"))),
        _ => Err(VerifyError::Faults(format!("{faults} faults were found in {bad} directories"))),
    }
}

/// The directories with a chain at or below this one.
fn find(directory: &Beneath, depth: usize, chains: &mut Vec<Beneath>) -> std::io::Result<()> {
    if directory.kind_of(HOUSE.as_ref())? == Some(FileType::Directory) {
        chains.push(directory.try_clone()?);
    }
    if depth == DEEPEST {
        return Ok(());
    }
    for (name, kind) in directory.entries()? {
        if kind == FileType::Directory && !name.as_encoded_bytes().starts_with(b".") {
            find(&directory.try_clone()?.open(Path::new(&name))?, depth + 1, chains)?;
        }
    }
    Ok(())
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

fn line(directory: &Path, found: &Found) -> String {
    let sentences = found.faults.iter().map(ToString::to_string).collect();
    serde_json::to_string(&Line { directory, found, sentences }).expect("its fields are plain")
}

fn told(directory: &Path, found: &Found, quick: bool) -> String {
    let name = directory.display();
    let mut lines: Vec<String> = found.faults.iter().map(|fault| format!("{name}: {fault}")).collect();
    lines.extend(found.unsealed.iter().map(|file| {
        format!("{name}: {file} is not sealed: it is being recorded, or waits for its engine to seal it")
    }));
    let recordings = match found.sealed {
        1 => "1 sealed recording".to_owned(),
        n => format!("{n} sealed recordings"),
    };
    let deletions = match found.deleted {
        0 => String::new(),
        1 => ", 1 deletion accounted for".to_owned(),
        n => format!(", {n} deletions accounted for"),
    };
    let verdict = match (found.faults.len(), quick) {
        (0, false) => "all as they were when they were closed",
        (0, true) => "none is missing; their audio was not read",
        (1, _) => "1 fault",
        _ => &format!("{} faults", found.faults.len()),
    };
    let head = match &found.head {
        Some(head) if head.entry > 0 => match head.hash {
            Some(hash) => format!("; the chain ends with entry {}, {hash}", head.entry),
            None => String::new(),
        },
        _ => String::new(),
    };
    lines.push(format!("{name}: {recordings}, {}{deletions}: {verdict}{head}", size(found.bytes)));
    lines.join("\n")
}
