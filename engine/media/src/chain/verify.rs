//! Looking whether a recorder's directory is what its chain says.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use audyn_units::Counted;
use serde::Serialize;

use super::files::{self, HOUSE, Head, House, MOST_BYTES, Tombstone, is_audio, is_sidecar, ledger_of};
use super::hash::{Sha256, hash_of};
use super::seal::place;
use super::sidecar::{Sidecar, VERSION};
use crate::beneath::{FileType, OFlags};
use crate::{Beneath, MediaError};

/// Directories within directories that are looked into; a layout makes fewer.
const DEEPEST: usize = 32;

/// Something that is not as the chain says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields are what the sentence of each names: see Display")]
#[non_exhaustive]
pub enum Fault {
    /// A file is gone, its sidecar is there.
    Missing { file: String },
    /// A file has another length than its sidecar says.
    Length { file: String, bytes: u64, told: u64 },
    /// A file's hash is not what its sidecar says.
    Changed { file: String, sha256: Sha256, told: Sha256 },
    /// A file, or something that belongs to it, cannot be read.
    Unreadable { file: String, why: String },
    /// A ledger is gone or changed.
    Ledger { file: String },
    /// A sidecar or tombstone cannot be what Audyn has written.
    NotOurs { file: String, why: String },
    /// Entries are missing.
    Hole { first: u64, last: u64 },
    /// Two entries have the same number.
    Twice { entry: u64, one: String, other: String },
    /// An entry does not follow the one before it: one of both was changed.
    Unlinked { entry: u64, file: String },
    /// The head names an entry that is not the newest that was found.
    Head { entry: u64, newest: u64 },
    /// There are entries and no head.
    NoHead,
    /// A file that a tombstone names is still there.
    Undead { file: String },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { file } => {
                write!(f, "{file} is gone, and no tombstone says who deleted it")
            }
            Self::Length { file, bytes, told } => {
                let bytes = Counted(*bytes, "byte");
                write!(f, "{file} has {bytes} and had {told} when it was closed")
            }
            Self::Changed { file, sha256, told } => {
                write!(f, "{file} was changed since it was closed: its SHA-256 is {sha256} and was {told}")
            }
            Self::Unreadable { file, why } => write!(f, "{file} cannot be read: {why}"),
            Self::Ledger { file } => {
                write!(f, "the gap ledger of {file} is gone or was changed since it was closed")
            }
            Self::NotOurs { file, why } => {
                write!(f, "{file} was not written by Audyn, or was changed: {why}")
            }
            Self::Hole { first, last } if first == last => {
                write!(f, "entry {first} of the chain is missing: a recording was removed with its sidecar")
            }
            Self::Hole { first, last } => {
                write!(
                    f,
                    "entries {first} to {last} of the chain are missing: recordings were removed with their sidecars"
                )
            }
            Self::Twice { entry, one, other } => {
                write!(f, "{one} and {other} are both entry {entry} of the chain")
            }
            Self::Unlinked { entry, file } => {
                write!(
                    f,
                    "entry {entry} of the chain ({file}) does not follow the entry before it: one of the two was changed"
                )
            }
            Self::Head { entry, newest } if entry > newest => {
                write!(
                    f,
                    "the head is entry {entry} of the chain and the newest found is {newest}: what was recorded last is gone"
                )
            }
            Self::Head { entry, .. } => {
                write!(
                    f,
                    "the head is entry {entry} of the chain, and another entry has that number: one of the two was changed"
                )
            }
            Self::NoHead => write!(f, "the chain has no head: {HOUSE}/head.json is gone or damaged"),
            Self::Undead { file } => {
                write!(f, "{file} is still there, and a tombstone says that it was deleted")
            }
        }
    }
}

/// What was found in a recorder's directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Sealed recordings.
    pub sealed: u64,
    /// Bytes of their audio.
    pub bytes: u64,
    /// Deletions that a tombstone accounts for.
    pub deleted: u64,
    /// Audio without a sidecar: being recorded, or not sealed yet.
    pub unsealed: Vec<String>,
    /// The newest entry.
    pub head: Option<Head>,
    /// What is wrong, in the order of the chain where it has one.
    pub faults: Vec<Fault>,
}

/// Looks at everything below a recorder's directory. `quick` compares lengths and does not read audio. `each` is told the name
/// of each recording before it is read; its answer says whether to go on.
///
/// # Errors
/// [`MediaError::Chain`] if the directory itself cannot be read, or `each` said no.
pub fn verify(
    recorder: &Beneath,
    quick: bool,
    mut each: impl FnMut(&str) -> bool,
) -> Result<Found, MediaError> {
    looked(recorder, quick, &mut each)
        .map_err(|source| MediaError::Chain { path: recorder.path().to_owned(), source })
}

fn looked(recorder: &Beneath, quick: bool, each: &mut dyn FnMut(&str) -> bool) -> io::Result<Found> {
    // Before the entries: an engine that runs may add to them meanwhile, and never takes one away.
    let head = House::open(recorder)?.map(|house| house.head()).transpose()?.flatten();
    let mut found = Found { head, ..Found::default() };
    let mut odd = Vec::new();
    let mut entries = entries_of(recorder, &mut |file, why| {
        odd.push(Fault::NotOurs { file: file.to_owned(), why });
    })?;
    entries.sort_by_key(|entry| entry.number);
    links(&entries, &mut found.faults);
    found.faults.extend(odd);

    let buried: BTreeMap<&str, Sha256> = entries
        .iter()
        .filter(|e| matches!(e.what, What::Buried))
        .map(|e| (e.file.as_str(), e.hash))
        .collect();
    for entry in &entries {
        match &entry.what {
            What::Tombstone => found.deleted += 1,
            What::Buried => {}
            What::Sealed(sidecar) => {
                if !each(&sidecar.file) {
                    return Err(io::Error::new(io::ErrorKind::Interrupted, "asked to stop"));
                }
                found.sealed += 1;
                found.bytes += sidecar.bytes;
                if buried.get(entry.file.as_str()) == Some(&entry.hash) {
                    found.faults.push(Fault::Undead { file: entry.file.clone() });
                } else if let Err(fault) = look_at(recorder, sidecar, quick, each)
                    && !is_buried_by_now(recorder, &sidecar.file)?
                {
                    found.faults.push(fault);
                }
            }
        }
    }
    let sealed: BTreeMap<&str, ()> = entries
        .iter()
        .filter(|entry| matches!(entry.what, What::Sealed(_)))
        .map(|entry| (entry.file.as_str(), ()))
        .collect();
    walk(recorder, &mut |file, _, name| {
        if is_audio(name) && !sealed.contains_key(file) {
            found.unsealed.push(file.to_owned());
        }
        Ok(())
    })?;
    found.unsealed.sort();

    match (&found.head, entries.last()) {
        (None, Some(_)) => found.faults.push(Fault::NoHead),
        (Some(head), newest) => {
            // What is ahead of it was added since; or a crash has left it one behind.
            let known = head.entry == 0
                || entries.iter().any(|e| (e.number, Some(e.hash)) == (head.entry, head.hash));
            if !known {
                let newest = newest.map_or(0, |entry| entry.number);
                found.faults.push(Fault::Head { entry: head.entry, newest });
            }
        }
        (None, None) => {}
    }
    Ok(found)
}

/// Whether a tombstone of this file has come since the entries were read.
fn is_buried_by_now(recorder: &Beneath, file: &str) -> io::Result<bool> {
    let Some(house) = House::open(recorder)? else { return Ok(false) };
    let mut buried = false;
    house.tombstones(|line| {
        buried |= serde_json::from_slice::<Tombstone>(line).is_ok_and(|stone| stone.file == file);
    })?;
    let path = Path::new(file);
    let (directory, name) = place(recorder, path)?;
    Ok(buried && directory.kind_of(&files::sidecar_of(name))?.is_none())
}

/// What a link of the chain is.
#[derive(Debug)]
enum What {
    Sealed(Box<Sidecar>),
    /// A sidecar that lives on in a tombstone.
    Buried,
    Tombstone,
}

/// A link of the chain.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) hash: Sha256,
    previous: Option<Sha256>,
    file: String,
    what: What,
}

impl Entry {
    /// The sidecar of a recording that is there.
    pub(super) fn sealed(&self) -> Option<&Sidecar> {
        match &self.what {
            What::Sealed(sidecar) => Some(sidecar),
            What::Buried | What::Tombstone => None,
        }
    }
}

/// All links, in no order; `odd` is told what looks like one and is none.
pub(super) fn entries_of(recorder: &Beneath, odd: &mut dyn FnMut(&str, String)) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    walk(recorder, &mut |file, directory, name| {
        if !is_sidecar(name) {
            return Ok(());
        }
        let text = files::read(directory, OsStr::new(name))?.unwrap_or_default();
        match sidecar(&text) {
            Ok(sidecar) if format!("{}{}", sidecar.file, files::SIDECAR_SUFFIX) != file => {
                odd(file, format!("it is the sidecar of {}", sidecar.file));
            }
            Ok(sidecar) => entries.push(Entry {
                number: sidecar.entry,
                hash: Sha256::of(&text),
                previous: sidecar.previous,
                file: sidecar.file.clone(),
                what: What::Sealed(Box::new(sidecar)),
            }),
            Err(why) => odd(file, why),
        }
        Ok(())
    })?;
    let Some(house) = House::open(recorder)? else { return Ok(entries) };
    let mut buried = BTreeMap::new();
    house.tombstones(|line| {
        let tombstone = match serde_json::from_slice::<Tombstone>(line) {
            Ok(tombstone) => tombstone,
            Err(error) => return odd("a line of the tombstones", error.to_string()),
        };
        if let Some(text) = tombstone.sidecar {
            match sidecar(text.as_bytes()) {
                // Where removing failed it may have been buried twice.
                Ok(sidecar) => {
                    buried.insert(Sha256::of(text.as_bytes()), sidecar);
                }
                Err(why) => odd(&format!("the tombstone of {}", tombstone.file), why),
            }
        }
        entries.push(Entry {
            number: tombstone.entry,
            hash: Sha256::of(line),
            previous: tombstone.previous,
            file: tombstone.file,
            what: What::Tombstone,
        });
    })?;
    entries.extend(buried.into_iter().map(|(hash, sidecar)| Entry {
        number: sidecar.entry,
        hash,
        previous: sidecar.previous,
        file: sidecar.file,
        what: What::Buried,
    }));
    Ok(entries)
}

/// Whether sorted entries follow one another.
fn links(entries: &[Entry], faults: &mut Vec<Fault>) {
    let mut before: Option<&Entry> = None;
    for entry in entries {
        let expected = before.map_or(1, |before| before.number + 1);
        match before {
            // A sidecar whose file could not be removed is there and in its tombstone.
            Some(before) if before.number == entry.number && before.hash == entry.hash => {}
            Some(before) if before.number == entry.number => {
                let (one, other) = (before.file.clone(), entry.file.clone());
                faults.push(Fault::Twice { entry: entry.number, one, other });
            }
            _ if entry.number > expected => {
                faults.push(Fault::Hole { first: expected, last: entry.number - 1 });
            }
            _ if entry.previous != before.map(|before| before.hash) => {
                faults.push(Fault::Unlinked { entry: entry.number, file: entry.file.clone() });
            }
            _ => {}
        }
        before = Some(entry);
    }
}

/// A sidecar that does not contradict itself.
fn sidecar(text: &[u8]) -> Result<Sidecar, String> {
    let sidecar: Sidecar = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if sidecar.audyn_sidecar != VERSION {
        return Err(format!("it has version {}, and {VERSION} is known", sidecar.audyn_sidecar));
    }
    if sidecar.entry == 0 {
        return Err("its entry is 0, and the first one is 1".to_owned());
    }
    sidecar.contradiction().map_or(Ok(sidecar), Err)
}

/// Whether a sealed recording and its ledger are what the sidecar says.
fn look_at(
    recorder: &Beneath,
    sidecar: &Sidecar,
    quick: bool,
    each: &mut dyn FnMut(&str) -> bool,
) -> Result<(), Fault> {
    let file = sidecar.file.clone();
    let path = PathBuf::from(&file);
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Fault::Missing { file: file.clone() },
        _ => Fault::Unreadable { file: file.clone(), why: error.to_string() },
    };
    let parent = path.parent().unwrap_or(Path::new(""));
    let directory = recorder.try_clone().and_then(|above| above.open(parent)).map_err(unreadable)?;
    let name = path.file_name().unwrap_or_default();
    let audio = directory.file(name, OFlags::RDONLY).map_err(unreadable)?;
    let bytes = audio.metadata().map_err(unreadable)?.len();
    if bytes != sidecar.bytes {
        return Err(Fault::Length { file, bytes, told: sidecar.bytes });
    }
    if !quick {
        let (sha256, _) = hash_of(audio, || each(&file)).map_err(unreadable)?;
        if sha256 != sidecar.sha256 {
            return Err(Fault::Changed { file, sha256, told: sidecar.sha256 });
        }
    }
    let Some(told) = sidecar.ledger else { return Ok(()) };
    let ledger = directory.file(&ledger_of(name), OFlags::RDONLY).and_then(|ledger| hash_of(ledger, || true));
    match ledger {
        Ok((sha256, bytes)) if (sha256, bytes) == (told.sha256, told.bytes) => Ok(()),
        Ok(_) => Err(Fault::Ledger { file }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Fault::Ledger { file }),
        Err(error) => Err(unreadable(error)),
    }
}

/// Tells `each` file below a recorder's directory: its path, the directory that it is in, and its name there. No link is followed;
/// names that are no text, what begins with a dot, and what lies below a directory with a chain of its own, are none of this chain's.
pub(super) fn walk(
    recorder: &Beneath,
    each: &mut dyn FnMut(&str, &Beneath, &str) -> io::Result<()>,
) -> io::Result<()> {
    let mut directories = vec![(recorder.try_clone()?, String::new(), 0)];
    while let Some((directory, path, depth)) = directories.pop() {
        for (name, kind) in directory.entries()? {
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            let below = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            match kind {
                FileType::Directory if depth < DEEPEST => {
                    let entered = match directory.try_clone()?.open(Path::new(name)) {
                        Err(error) if error.kind() == io::ErrorKind::NotFound => continue, // empty, and taken away
                        entered => entered?,
                    };
                    if entered.kind_of(OsStr::new(HOUSE))? != Some(FileType::Directory) {
                        directories.push((entered, below, depth + 1));
                    }
                }
                FileType::RegularFile => each(&below, &directory, name)?,
                _ => {}
            }
        }
    }
    Ok(())
}

const _: () =
    assert!(MOST_BYTES > super::sidecar::MOST_GAPS as u64 * 512, "a sidecar of many gaps can be read again");
