//! `audyn verify`: whether recordings are what they were when they were closed.
//!
//! Owns: which directories are looked at, and the words. Never: the looking, which is media's; nor does it write anything.

use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};

use audyn_media::beneath::FileType;
use audyn_media::chain::{Found, HOUSE, Heads, MOST_HEADS, PublicKey, verify};
use audyn_media::{Beneath, MediaError};
use audyn_units::ByteSize;
use serde::Serialize;

use crate::head::text_of;
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
    /// Heads that were exported by `audyn head`: the chains must still hold them. Takes one DIR, the one that was exported.
    #[arg(long, value_name = "FILE", requires = "public")]
    head: Option<PathBuf>,
    /// The public key of whoever signed them: Ed25519 in PEM.
    #[arg(long, value_name = "FILE", requires = "head")]
    public: Option<PathBuf>,
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
    #[error("cannot read {}: {source}", .path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("--head names the chains below one directory, and {0} are given; give the one that was exported")]
    ManyDirectories(usize),
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
            Self::Directory { .. } | Self::NoChain(_) | Self::Read { .. } | Self::ManyDirectories(_) => 2,
            Self::Media(MediaError::Key { .. }) => 2,
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
    let kept = match (&args.head, &args.public, args.directories.as_slice()) {
        (Some(head), Some(public), [directory]) => Some((directory, heads(head, public)?)),
        (Some(_), _, directories) => return Err(VerifyError::ManyDirectories(directories.len())),
        _ => None,
    };
    let mut chains = Vec::new();
    for path in &args.directories {
        let directory = |source| VerifyError::Directory { path: path.clone(), source };
        let below = chains_below(&Beneath::root(path).map_err(directory)?).map_err(directory)?;
        // Where heads were exported and no chain is left, that is what is to be told.
        if below.is_empty() && kept.is_none() {
            return Err(VerifyError::NoChain(path.clone()));
        }
        chains.extend(below);
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
    if let Some((directory, heads)) = &kept {
        let gone = tell_kept(directory, heads, json);
        faults += gone;
        bad += gone;
    }
    match faults {
        0 => Ok(()),
        1 => Err(VerifyError::Faults("1 fault was found".to_owned())),
        _ if bad == 1 => Err(VerifyError::Faults(format!("{faults} faults were found"))),
        _ => Err(VerifyError::Faults(format!("{faults} faults were found in {bad} directories"))),
    }
}

/// What was exported, if the owner of the key has signed it.
fn heads(head: &Path, public: &Path) -> Result<Heads, VerifyError> {
    let text = |path: &Path| {
        let text = text_of(path, MOST_HEADS);
        text.map_err(|source| VerifyError::Read { path: path.to_owned(), source })
    };
    let key = PublicKey::from_pem(&text(public)?, &public.display().to_string())?;
    Ok(Heads::signed_by(&text(head)?, &key, &head.display().to_string())?)
}

/// A line of `--json` for a head that was exported.
#[derive(Serialize)]
struct KeptLine<'a> {
    directory: &'a Path,
    /// When it was exported, and what.
    exported: &'a str,
    entry: u64,
    hash: String,
    /// Whether the chain still holds it.
    held: bool,
    /// Why it cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// Tells of each head that was exported whether its chain holds it, and says how many do not.
fn tell_kept(directory: &Path, heads: &Heads, json: bool) -> usize {
    let mut gone = 0;
    for kept in &heads.chains {
        let chain = Beneath::root(directory).and_then(|root| root.open(Path::new(&kept.directory)));
        let held = chain.map_err(|error| error.to_string());
        let held = held.and_then(|chain| kept.is_in(&chain).map_err(|error| error.to_string()));
        gone += usize::from(held != Ok(true));
        let directory = directory.join(&kept.directory);
        let (entry, when) = (kept.entry, heads.when.as_str());
        let text = match (json, &held) {
            (true, _) => {
                let (held, why) = (held == Ok(true), held.err());
                let line = KeptLine {
                    directory: &directory,
                    exported: when,
                    entry,
                    hash: kept.hash.to_string(),
                    held,
                    why,
                };
                serde_json::to_string(&line).expect("its fields are plain")
            }
            (false, Ok(true)) => format!(
                "{}: entry {entry}, which was its head at {when}, is in the chain, and so all before it",
                directory.display()
            ),
            (false, Ok(false)) => format!(
                "{}: entry {entry}, which was its head at {when}, is not in the chain: recordings were removed with their \
                 sidecars, or the chain was made anew",
                directory.display()
            ),
            (false, Err(why)) => format!(
                "{}: entry {entry}, which was its head at {when}, cannot be looked for: {why}",
                directory.display()
            ),
        };
        let _ = writeln!(std::io::stdout(), "{text}");
    }
    gone
}

/// The directories with a chain at or below this one, in the order of their names.
pub(crate) fn chains_below(directory: &Beneath) -> std::io::Result<Vec<Beneath>> {
    let mut chains = Vec::new();
    find(directory, 0, &mut chains)?;
    chains.sort_by(|a, b| a.path().cmp(b.path()));
    Ok(chains)
}

/// Looks at this one and below.
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
    lines.push(format!("{name}: {recordings}, {}{deletions}: {verdict}{head}", ByteSize(found.bytes)));
    lines.join("\n")
}
