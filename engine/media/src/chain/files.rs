//! Where sidecars, tombstones and the head lie, and how they reach the disk.

use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io::{self, BufRead as _, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::hash::Sha256;
use super::reserve;
use crate::Beneath;
use crate::beneath::OFlags;

/// The directory below a recorder's own in which its chain is kept.
pub const HOUSE: &str = ".audyn";

/// What a sidecar's name has behind the file's.
pub const SIDECAR_SUFFIX: &str = ".json";

const HEAD: &str = "head.json";
const TOMBSTONES: &str = "tombstones.jsonl";
const PROTECTED: &str = "protected.jsonl";
const LOCK: &str = "lock";

/// A head or tombstone is never longer: a sidecar of [`super::MOST_GAPS`] gaps has some 130 KiB.
pub(super) const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// Suffixes of audio.
pub(super) const AUDIO: [&str; 3] = ["wav", "flac", "opus"];

/// The name of a file's sidecar.
#[must_use]
pub fn sidecar_of(file: &OsStr) -> OsString {
    let mut name = file.to_owned();
    name.push(SIDECAR_SUFFIX);
    name
}

/// The name of a file's gap ledger.
#[must_use]
pub fn ledger_of(file: &OsStr) -> OsString {
    let mut name = file.to_owned();
    name.push(".gaps.jsonl");
    name
}

/// Whether a name is that of an audio file's sidecar.
#[must_use]
pub fn is_sidecar(name: &str) -> bool {
    name.strip_suffix(SIDECAR_SUFFIX).is_some_and(is_audio)
}

/// Whether a name is that of an audio file.
pub(super) fn is_audio(name: &str) -> bool {
    AUDIO.iter().any(|suffix| Path::new(name).extension() == Some(OsStr::new(suffix)))
}

/// The newest entry of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Version of these fields: 1.
    pub audyn_head: u32,
    /// Its number; 0 while there is none.
    pub entry: u64,
    /// Its hash; none while there is none.
    pub hash: Option<Sha256>,
    /// A sidecar that is about to be written as the next entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Next>,
}

/// A sidecar that may be on the disk already, or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Next {
    /// Its file, as a path below the recorder's directory.
    pub file: String,
    /// Its hash.
    pub hash: Sha256,
}

impl Head {
    /// An entry as the newest one.
    pub(super) fn at(entry: u64, hash: Option<Sha256>) -> Self {
        Self { audyn_head: 1, entry, hash, next: None }
    }
}

/// An authorised deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tombstone {
    /// Version of these fields: 1.
    pub audyn_tombstone: u32,
    /// The file that was deleted, as its sidecar named it.
    pub file: String,
    /// Who deleted it: `retention`, or whom the web's audit log names.
    pub who: String,
    /// When, in UTC.
    pub when: String,
    /// Why, for people.
    pub why: String,
    /// The text of the sidecar that went with it, to the byte: its hash stays an entry of the chain. None if it was not sealed yet.
    pub sidecar: Option<String>,
    /// Place in the recorder's chain.
    pub entry: u64,
    /// Hash of the entry before.
    pub previous: Option<Sha256>,
}

/// The house of the chain in a recorder's directory.
#[derive(Debug)]
pub(super) struct House {
    dir: Beneath,
    /// Held by whoever writes; the kernel lets go of it with the process.
    _lock: Option<File>,
}

impl House {
    /// Opens it for its one writer, and makes it if it is not there.
    ///
    /// # Errors
    /// [`io::ErrorKind::ResourceBusy`] if another program writes into it.
    pub(super) fn make(recorder: &Beneath) -> io::Result<Self> {
        let dir = recorder.try_clone()?.make(Path::new(HOUSE))?;
        let lock = dir.file(OsStr::new(LOCK), OFlags::RDWR | OFlags::CREATE)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir, _lock: Some(lock) }),
            Err(TryLockError::WouldBlock) => {
                let busy =
                    "another program keeps this chain: an engine that runs seals and deletes by itself";
                Err(io::Error::new(io::ErrorKind::ResourceBusy, busy))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Opens it to write what is no part of the chain; none if there is no chain yet or another program keeps it.
    pub(super) fn borrow(recorder: &Beneath) -> io::Result<Option<Self>> {
        let Some(house) = Self::open(recorder)? else { return Ok(None) };
        let Some(lock) = existing(house.dir.file(OsStr::new(LOCK), OFlags::RDWR))? else { return Ok(None) };
        Ok(lock.try_lock().is_ok().then_some(Self { _lock: Some(lock), ..house }))
    }

    /// The directory itself.
    pub(super) fn dir(&self) -> &Beneath {
        &self.dir
    }

    /// Opens it to read; none if it is not there.
    pub(super) fn open(recorder: &Beneath) -> io::Result<Option<Self>> {
        match recorder.try_clone()?.open(Path::new(HOUSE)) {
            Ok(dir) => Ok(Some(Self { dir, _lock: None })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The head; none if there is none, or what is there is no head.
    pub(super) fn head(&self) -> io::Result<Option<Head>> {
        let text = read(&self.dir, OsStr::new(HEAD))?.unwrap_or_default();
        Ok(serde_json::from_slice(&text).ok().filter(|head: &Head| head.audyn_head == 1))
    }

    pub(super) fn set_head(&self, head: &Head) -> io::Result<()> {
        let mut text = serde_json::to_vec(head)?;
        text.push(b'\n');
        replace(&self.dir, OsStr::new(HEAD), &text)
    }

    /// The same after a deletion, which nothing may hold up: where there is no room for it, the reserve is given up.
    pub(super) fn set_head_of_tombstone(&self, head: &Head) -> io::Result<()> {
        reserve::with(&self.dir, || self.set_head(head))
    }

    /// The whole lines of the tombstones, in their order, to `each`; in constant memory. What follows the last one is torn.
    pub(super) fn tombstones(&self, each: impl FnMut(&[u8])) -> io::Result<()> {
        self.lines(TOMBSTONES, each)
    }

    /// Those of the list of what is protected, likewise.
    pub(super) fn protections(&self, each: impl FnMut(&[u8])) -> io::Result<()> {
        self.lines(PROTECTED, each)
    }

    fn lines(&self, name: &str, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let Some(file) = existing(self.dir.file(OsStr::new(name), OFlags::RDONLY))? else {
            return Ok(());
        };
        let mut reader = io::BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let taken = (&mut reader).take(MOST_BYTES).read_until(b'\n', &mut line)?;
            match line.pop() {
                Some(b'\n') => each(&line),
                _ if taken == 0 => return Ok(()),
                _ => {} // torn, or longer than any of ours
            }
        }
    }

    /// Takes a torn last line away, of the tombstones and of what is protected.
    pub(super) fn mend(&self) -> io::Result<()> {
        self.mend_lines(TOMBSTONES)?;
        self.mend_lines(PROTECTED)
    }

    fn mend_lines(&self, name: &str) -> io::Result<()> {
        let Some(mut file) = existing(self.dir.file(OsStr::new(name), OFlags::RDWR))? else {
            return Ok(());
        };
        let length = file.metadata()?.len();
        let begin = length.saturating_sub(MOST_BYTES);
        file.seek(SeekFrom::Start(begin))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        let whole = end.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        if whole < end.len() {
            file.set_len(begin + whole as u64)?;
            file.sync_data()?;
        }
        Ok(())
    }

    /// Appends a tombstone by one write. One that a full disk has torn is taken back.
    /// Where there is no room for it, the reserve is given up.
    pub(super) fn append_tombstone(&self, line: &[u8]) -> io::Result<()> {
        reserve::with(&self.dir, || self.append(TOMBSTONES, line))
    }

    /// Appends a line to the list of what is protected, likewise by one write. One that lets something go is given the reserve, since a
    /// disk that is full of what is protected could not be emptied else; one that protects is not: then nobody could delete anything.
    pub(super) fn append_protection(&self, line: &[u8], protects: bool) -> io::Result<()> {
        let append = || self.append(PROTECTED, line);
        if protects { append() } else { reserve::with(&self.dir, append) }
    }

    /// Keeps room for the next tombstone, as far as there is any.
    pub(super) fn fill_reserve(&self) {
        reserve::fill(&self.dir);
    }

    fn append(&self, name: &str, line: &[u8]) -> io::Result<()> {
        let how = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
        let mut file = self.dir.file(OsStr::new(name), how)?;
        let before = file.metadata()?.len();
        let written = file.write_all(&[line, b"\n"].concat()).and_then(|()| file.sync_data());
        if written.is_err() {
            let _ = file.set_len(before); // what stays of it is taken away when the chain is opened
        }
        written?;
        self.dir.sync()
    }
}

/// The content of a file; none if there is none. One that is longer than [`MOST_BYTES`] is an error.
pub(super) fn read(directory: &Beneath, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = existing(directory.file(name, OFlags::RDONLY))? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too long to be one of ours"));
    }
    Ok(Some(bytes))
}

fn existing<T>(opened: io::Result<T>) -> io::Result<Option<T>> {
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a file that was not there: 1. write `.NAME.new`; 2. fsync; 3. rename, which fails if the name is taken; 4. fsync the directory.
pub(super) fn create(directory: &Beneath, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
    let new = write_new(directory, name, bytes)?;
    let renamed = directory.rename_to_free(&new, name);
    if renamed.is_err() {
        let _ = directory.remove(&new);
    }
    renamed?;
    directory.sync()
}

/// Makes a file or replaces it whole, likewise.
pub(crate) fn replace(directory: &Beneath, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
    let new = write_new(directory, name, bytes)?;
    directory.rename_over(&new, name)?;
    directory.sync()
}

fn write_new(directory: &Beneath, name: &OsStr, bytes: &[u8]) -> io::Result<OsString> {
    let mut new = OsString::from(".");
    new.push(name);
    new.push(".new");
    let mut file = directory.file(&new, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(new)
}
