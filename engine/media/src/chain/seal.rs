//! Adding to a chain: closed files, and deletions. The procedures are on the module's page.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::files::{self, Head, House, Next, Tombstone, ledger_of, sidecar_of};
use super::hash::{Sha256, hash_of};
use super::listing;
use super::protect::{self, segment_of};
use super::reserve;
use super::sidecar::{LedgerHash, Sidecar};
use super::verify::entries_of;
use crate::archive::Segment;
use crate::archive::index::{self, Row};
use crate::beneath::OFlags;
use crate::peaks::peaks_of;
use crate::{Beneath, MediaError, confirm};

/// A sidecar to be: all that it tells but its hashes and its place in the chain, which [`Chain::seal`] enters.
#[derive(Debug, Clone, PartialEq)]
pub struct Sealing(pub(super) Sidecar);

impl Sealing {
    /// The sidecar that it is to become, without hashes and a place in the chain.
    #[must_use]
    pub fn as_sidecar(&self) -> &Sidecar {
        &self.0
    }
}

/// What a closed file and its ledger are, to the byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashes {
    bytes: u64,
    sha256: Sha256,
    ledger: Option<LedgerHash>,
    /// Which files these were.
    read: Stamps,
}

/// A file and its ledger as they were when they were read: their names may be others' by now, and they may have been mended since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamps {
    audio: Stamp,
    ledger: Option<Stamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    /// When it was changed last.
    modified: (i64, i64),
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let data = file.metadata()?;
        Ok(Self { inode: data.ino(), bytes: data.len(), modified: (data.mtime(), data.mtime_nsec()) })
    }
}

impl Stamps {
    fn of(directory: &Beneath, name: &OsStr) -> io::Result<Self> {
        let audio = Stamp::of(&directory.file(name, OFlags::RDONLY)?)?;
        match directory.file(&ledger_of(name), OFlags::RDONLY) {
            Ok(ledger) => Ok(Self { audio, ledger: Some(Stamp::of(&ledger)?) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self { audio, ledger: None }),
            Err(error) => Err(error),
        }
    }
}

impl Hashes {
    /// Whether `file` and its ledger are still those that were read, as far as their lengths and times tell: then they need not be read
    /// again for another try.
    #[must_use]
    pub fn are_of(&self, recorder: &Beneath, file: &Path) -> bool {
        place(recorder, file)
            .and_then(|(directory, name)| Stamps::of(&directory, name))
            .is_ok_and(|now| now == self.read)
    }

    /// Whether these are the file and the ledger that a sidecar tells of.
    #[must_use]
    pub fn are_told_by(&self, sidecar: &Sidecar) -> bool {
        (self.bytes, self.sha256, self.ledger) == (sidecar.bytes, sidecar.sha256, sidecar.ledger)
    }

    /// Reads `file`, a path below the recorder's directory, and its ledger, both as the disk has them once it has confirmed them. Takes
    /// as long as the file is; `go_on` is asked meanwhile, see [`hash_of`].
    ///
    /// # Errors
    /// [`MediaError::Sync`] if the disk does not confirm one of them: it is to be judged anew, and mended, before it is sealed.
    /// [`MediaError::Chain`], of the kind [`io::ErrorKind::NotFound`] if the file is gone, [`io::ErrorKind::ResourceBusy`] while it is
    /// being written.
    pub fn of(recorder: &Beneath, file: &Path, mut go_on: impl FnMut() -> bool) -> Result<Self, MediaError> {
        let path = recorder.path().join(file);
        let of = |source| MediaError::Chain { path: path.clone(), source };
        let (directory, name) = place(recorder, file).map_err(of)?;
        let audio = directory.file(name, OFlags::RDONLY).map_err(of)?;
        if matches!(audio.try_lock_shared(), Err(TryLockError::WouldBlock)) {
            return Err(of(io::Error::new(io::ErrorKind::ResourceBusy, "it is being written")));
        }
        let ledger = match directory.file(&ledger_of(name), OFlags::RDONLY) {
            Ok(ledger) => Some(ledger),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(of(error)),
        };
        for file in std::iter::once(&audio).chain(&ledger) {
            confirm(file).map_err(|source| MediaError::Sync { path: path.clone(), source })?;
        }
        let read = Stamps::of(&directory, name).map_err(of)?;
        let (sha256, bytes) = hash_of(&audio, &mut go_on).map_err(of)?;
        let ledger = match ledger {
            Some(ledger) => {
                let (sha256, bytes) = hash_of(&ledger, &mut go_on).map_err(of)?;
                Some(LedgerHash { bytes, sha256 })
            }
            None => None,
        };
        Ok(Self { bytes, sha256, ledger, read })
    }
}

/// A recorder's chain, to be added to. See the module's page.
#[derive(Debug)]
pub struct Chain {
    recorder: Beneath,
    house: House,
    head: Head,
    /// The index is not that of the chain, and was not to be made anew.
    unindexed: bool,
}

impl Chain {
    /// Opens the chain in a recorder's directory, or begins one.
    ///
    /// # Errors
    /// [`MediaError::Chain`].
    pub fn open(recorder: Beneath) -> Result<Self, MediaError> {
        let what = recorder.path().to_owned();
        Self::opened(recorder).map_err(|source| MediaError::Chain { path: what, source })
    }

    fn opened(recorder: Beneath) -> io::Result<Self> {
        let house = House::make(&recorder)?;
        house.mend()?;
        let head = match house.head()? {
            Some(head) => head,
            None => newest(&recorder)?,
        };
        let mut chain = Self { recorder, house, head, unindexed: false };
        chain.catch_up()?;
        // What cannot be indexed is found all the same, more slowly.
        chain.unindexed = listing::indexed(&chain.recorder, &chain.house, &chain.head).is_err();
        chain.house.fill_reserve();
        Ok(chain)
    }

    /// The newest entry.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// What a crash between two steps has left undone.
    fn catch_up(&mut self) -> io::Result<()> {
        if let Some(Next { file, hash }) = self.head.next.clone() {
            let there = self.sidecar(Path::new(&file))?;
            match there.is_some_and(|text| Sha256::of(&text) == hash) {
                true => self.set_head(self.head.entry + 1, hash)?,
                false => self.head.next = None,
            }
        }
        let mut last = None;
        self.house.tombstones(|line| last = Some(line.to_vec()))?;
        let Some(line) = last else { return Ok(()) };
        let Ok(tombstone) = serde_json::from_slice::<Tombstone>(&line) else { return Ok(()) };
        // A later recording may have taken the name: only the very one that was buried goes.
        let (file, buried) = (Path::new(&tombstone.file), tombstone.sidecar.map(String::into_bytes));
        if buried.is_some() && self.sidecar(file)? == buried {
            // What cannot be removed stops nothing else; [`super::verify`] tells of it.
            let _ = self.remove(file);
        }
        if tombstone.entry == self.head.entry + 1 && tombstone.previous == self.head.hash {
            let head = Head::at(tombstone.entry, Some(Sha256::of(&line)));
            self.house.set_head_of_tombstone(&head)?;
            self.head = head;
        }
        Ok(())
    }

    /// Seals a closed file: its sidecar becomes the newest entry. One that is sealed already stays as it is.
    ///
    /// # Errors
    /// [`MediaError::Chain`]: the file is as it was and can be sealed later; of the kind [`io::ErrorKind::NotFound`] if it is gone,
    /// [`io::ErrorKind::InvalidData`] if what is to be told contradicts itself.
    pub fn seal(&mut self, sealing: Sealing, hashes: Hashes) -> Result<Sidecar, MediaError> {
        let path = self.recorder.path().join(&sealing.0.file);
        self.sealed(sealing, hashes).map_err(|source| MediaError::Chain { path, source })
    }

    fn sealed(&mut self, Sealing(told): Sealing, hashes: Hashes) -> io::Result<Sidecar> {
        let path = Path::new(&told.file).to_owned();
        if let Some(text) = self.sidecar(&path)? {
            return Ok(serde_json::from_slice(&text)?);
        }
        let (directory, name) = self.place(&path)?;
        // Deleted since it was hashed, and its name may have been taken again.
        let now = Stamps::of(&directory, name)?;
        if now.audio.inode != hashes.read.audio.inode {
            return Err(io::ErrorKind::NotFound.into());
        }
        if now != hashes.read {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "it was changed while it was read"));
        }
        let Hashes { bytes, sha256, ledger, .. } = hashes;
        let (entry, previous) = (self.head.entry + 1, self.head.hash);
        let sidecar = Sidecar { bytes, sha256, ledger, entry, previous, ..told };
        if let Some(contradiction) = sidecar.contradiction() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, contradiction));
        }
        let mut text = serde_json::to_vec_pretty(&sidecar)?;
        text.push(b'\n');
        let hash = Sha256::of(&text);
        self.head.next = Some(Next { file: sidecar.file.clone(), hash });
        self.house.set_head(&self.head)?;
        files::create(&directory, &sidecar_of(name), &text)?;
        if let Ok(segment) = Segment::of_sidecar(&sidecar) {
            self.index(&Row::sealed(&segment, hash.beginning()));
        }
        self.set_head(sidecar.entry, hash)?;
        Ok(sidecar)
    }

    /// Deletes a recording with all that belongs to it, and enters who did, when and why.
    ///
    /// # Errors
    /// [`MediaError::Chain`]; what of the procedure's steps is not done then is done when the chain is opened the next time.
    pub fn bury(&mut self, file: &str, who: &str, when: &str, why: &str) -> Result<(), MediaError> {
        let path = self.recorder.path().join(file);
        self.buried(file, who, when, why, false).map_err(|source| MediaError::Chain { path, source })
    }

    /// The same for a file that could not be removed before, and may have its tombstone already: then it gets no other one. Reads all
    /// tombstones.
    ///
    /// # Errors
    /// As of [`Self::bury`].
    pub fn bury_again(&mut self, file: &str, who: &str, when: &str, why: &str) -> Result<(), MediaError> {
        let path = self.recorder.path().join(file);
        self.buried(file, who, when, why, true).map_err(|source| MediaError::Chain { path, source })
    }

    fn buried(&mut self, file: &str, who: &str, when: &str, why: &str, again: bool) -> io::Result<()> {
        let path = Path::new(file);
        let (directory, name) = self.place(path)?;
        if directory.kind_of(name)?.is_none() && directory.kind_of(&sidecar_of(name))?.is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        if protect::read(&self.house)?.contains(&segment_of(file)) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, protect::Protected));
        }
        let sidecar = self.sidecar(path)?.map(String::from_utf8).transpose();
        let sidecar =
            sidecar.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "its sidecar is no text"))?;
        if again && sidecar.is_some() && self.newest_tombstone_of(file)? == sidecar {
            return self.remove(path);
        }
        let tombstone = Tombstone {
            audyn_tombstone: 1,
            file: file.to_owned(),
            who: who.to_owned(),
            when: when.to_owned(),
            why: why.to_owned(),
            sidecar,
            entry: self.head.entry + 1,
            previous: self.head.hash,
        };
        let line = serde_json::to_vec(&tombstone)?;
        let buries = tombstone.sidecar.as_deref().and_then(|text| serde_json::from_str::<Sidecar>(text).ok());
        self.house.append_tombstone(&line)?;
        let hash = Sha256::of(&line);
        let buries = buries.map(|sidecar| sidecar.entry);
        self.index(&Row::tombstone(tombstone.entry, hash.beginning(), buries));
        match self.set_head(tombstone.entry, hash) {
            // The head may be one entry behind, and what is removed makes room for it.
            Err(error) if reserve::is_full(&error) => {
                self.remove(path)?;
                self.set_head(tombstone.entry, hash)?;
            }
            moved => {
                moved?;
                self.remove(path)?;
            }
        }
        self.house.fill_reserve();
        Ok(())
    }

    /// What the sidecar was that the newest tombstone of a file tells of.
    fn newest_tombstone_of(&self, file: &str) -> io::Result<Option<String>> {
        let mut newest = None;
        self.house.tombstones(|line| {
            if let Ok(tombstone) = serde_json::from_slice::<Tombstone>(line)
                && tombstone.file == file
            {
                newest = tombstone.sidecar;
            }
        })?;
        Ok(newest)
    }

    /// Protects the segment that a file is of against every deletion, or lets it go again, and enters who said so and when.
    ///
    /// # Errors
    /// [`MediaError::Chain`], of the kind [`io::ErrorKind::NotFound`] if the file is not there; [`io::ErrorKind::StorageFull`] on a full
    /// disk, whose reserve protecting leaves to deletions.
    pub fn protect(&mut self, file: &str, protected: bool, who: &str, when: &str) -> Result<(), MediaError> {
        let path = self.recorder.path().join(file);
        let enter = || {
            let (directory, name) = self.place(Path::new(file))?;
            directory.kind_of(name)?.ok_or(io::ErrorKind::NotFound)?;
            protect::enter(&self.house, file, protected, who, when)
        };
        enter().map_err(|source| MediaError::Chain { path, source })
    }

    /// Whether the segment that a file is of is protected.
    ///
    /// # Errors
    /// [`MediaError::Chain`].
    pub fn is_protected(&self, file: &str) -> Result<bool, MediaError> {
        let read = protect::read(&self.house).map(|protected| protected.contains(&segment_of(file)));
        read.map_err(|source| MediaError::Chain { path: self.recorder.path().join(file), source })
    }

    /// Enters an entry that is on the disk into the index. One that cannot be added to goes, and is made anew when next a recording is
    /// sealed: not now, since it may be a full disk that retention is making room on.
    fn index(&mut self, row: &Row<'_>) {
        let sealed = row.recorded.is_some();
        let added = match self.unindexed {
            true if sealed => listing::write_index(&self.recorder, &self.house, &self.head),
            true => Ok(()),
            false => index::append(self.house.dir(), row),
        };
        match added {
            Ok(()) => self.unindexed &= !sealed,
            Err(_) => {
                self.unindexed = true;
                index::remove(self.house.dir());
            }
        }
    }

    /// The text of a file's sidecar.
    fn sidecar(&self, file: &Path) -> io::Result<Option<Vec<u8>>> {
        match self.place(file) {
            Ok((directory, name)) => files::read(&directory, &sidecar_of(name)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes a file and what belongs to it, its sidecar last.
    fn remove(&self, file: &Path) -> io::Result<()> {
        let (directory, name) = self.place(file)?;
        for name in [name.to_owned(), peaks_of(name), ledger_of(name), sidecar_of(name)] {
            match directory.remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        directory.sync()
    }

    fn place<'a>(&self, file: &'a Path) -> io::Result<(Beneath, &'a OsStr)> {
        place(&self.recorder, file)
    }

    fn set_head(&mut self, entry: u64, hash: Sha256) -> io::Result<()> {
        let head = Head::at(entry, Some(hash));
        self.house.set_head(&head)?;
        self.head = head;
        Ok(())
    }
}

/// The newest entry, found by reading all of them.
fn newest(recorder: &Beneath) -> io::Result<Head> {
    let entries = entries_of(recorder, &mut |_, _| {})?;
    let newest = entries.iter().max_by_key(|entry| entry.number);
    Ok(newest.map_or_else(|| Head::at(0, None), |entry| Head::at(entry.number, Some(entry.hash))))
}

/// The directory of a file below a recorder's, and its name there.
pub(super) fn place<'a>(recorder: &Beneath, file: &'a Path) -> io::Result<(Beneath, &'a OsStr)> {
    let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let directory = recorder.try_clone()?.open(file.parent().unwrap_or(Path::new("")))?;
    Ok((directory, name))
}
