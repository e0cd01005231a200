//! The files of a range, where they lie and held while they are read.
//!
//! Owns: the way from a segment to its open file and ledger, on the volume that it was planned on; and that what was planned is what is
//! read. Never: takes one from the other volume; more descriptors than it was given; a lock on what is not sealed, which who mends or seals it
//! would take for a writer's.
//!
//! Each file and its ledger are opened when the range is planned. What is sealed is locked to be read, so that no limit deletes it meanwhile
//! (retention leaves what somebody has locked, and takes the next one). A person's deletion goes ahead: what is held is read to its end all
//! the same, and its blocks are free then.
//!
//! Where there are more files than descriptors, those that are needed first are held, and others in their turn as these are done with.
//! One that goes away or is replaced before its turn is told as that, and what stands under its name is not read.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fs::{File, TryLockError};
use std::io::{self, Seek as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use audyn_units::FrameIndex;
use rustix::io::Errno;

use super::Range;
use crate::Beneath;
use crate::beneath::OFlags;
use crate::chain::ledger_of;

/// Descriptors of a file and its ledger.
const OF_EACH: usize = 2;

/// A recorder's directory on each volume that is read.
#[derive(Debug)]
pub struct Directories {
    /// The archive's.
    pub archive: Beneath,
    /// Its mirror's, if that is read as well: known as such by [`is_mirror`](super::is_mirror).
    pub mirror: Option<Beneath>,
}

impl From<Beneath> for Directories {
    fn from(archive: Beneath) -> Self {
        Self { archive, mirror: None }
    }
}

impl Directories {
    /// The one that a segment of a range lies in. Without a mirror nothing is planned on it.
    fn of(&self, range: &Range, number: usize) -> &Beneath {
        self.mirror.as_ref().filter(|_| range.is_of_mirror(number)).unwrap_or(&self.archive)
    }
}

/// A file and its ledger, to be read from their beginnings.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) audio: File,
    /// Without one nobody knows of gaps.
    pub(super) ledger: Option<File>,
}

impl Files {
    /// The same open files once more. They share their place, so one at a time is read.
    fn again(&self) -> io::Result<Self> {
        let again = |file: &File| -> io::Result<File> {
            let mut file = file.try_clone()?;
            file.rewind()?;
            Ok(file)
        };
        Ok(Self { audio: again(&self.audio)?, ledger: self.ledger.as_ref().map(again).transpose()? })
    }

    /// Locks it to be read; false if it is to be tried again, since somebody has it. Not every file system has locks.
    fn lock(&self) -> bool {
        !matches!(self.audio.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// Device and inode of the audio: another file of its name has others.
    fn stamp(&self) -> io::Result<(u64, u64)> {
        let data = self.audio.metadata()?;
        Ok((data.dev(), data.ino()))
    }
}

/// A segment that is needed from one frame of the range to another.
#[derive(Debug)]
struct Planned {
    number: usize,
    from: FrameIndex,
    to: FrameIndex,
}

/// Opens them, and holds them.
#[derive(Debug)]
pub(super) struct Shelf {
    directories: Directories,
    /// Descriptors that may be held.
    most: usize,
    held: HashMap<usize, Files>,
    /// Those that are held, by the frame from which on nobody needs them.
    ends: BTreeSet<(FrameIndex, usize)>,
    /// Those that are held and were locked by somebody when they were to be: who looks what may be deleted locks each for a moment.
    unlocked: Vec<usize>,
    /// Those that wait for a descriptor, by the frame from which on they are needed.
    waiting: VecDeque<Planned>,
    /// What each of these was when it was planned.
    stamps: HashMap<usize, (u64, u64)>,
}

impl Shelf {
    /// Holds nothing: each file is opened when it is read.
    pub(super) fn new(directories: Directories) -> Self {
        let (held, ends) = (HashMap::new(), BTreeSet::new());
        let (waiting, stamps) = (VecDeque::new(), HashMap::new());
        Self { directories, most: 0, held, ends, unlocked: Vec::new(), waiting, stamps }
    }

    /// Holds the files of a range with at most so many descriptors.
    pub(super) fn holding(directories: Directories, range: &Range, most: usize) -> Self {
        let mut needed: Vec<Option<(FrameIndex, FrameIndex)>> = vec![None; range.segments.len()];
        for piece in range.pieces.iter().chain(&range.second) {
            if let Some(number) = piece.segment {
                let (from, to) = needed[number].get_or_insert((piece.from, piece.to));
                (*from, *to) = ((*from).min(piece.from), (*to).max(piece.to));
            }
        }
        let planned = |(number, needed): (usize, Option<(FrameIndex, FrameIndex)>)| {
            needed.map(|(from, to)| Planned { number, from, to })
        };
        let mut waiting: Vec<Planned> = needed.into_iter().enumerate().filter_map(planned).collect();
        waiting.sort_by_key(|planned| (planned.from, planned.to));
        let mut shelf = Self { most, waiting: waiting.into(), ..Self::new(directories) };
        shelf.fill(range);
        let stamp =
            |planned: &Planned| Some((planned.number, shelf.open(range, planned.number).ok()?.stamp().ok()?));
        let stamps = shelf.waiting.iter().filter_map(stamp).collect();
        shelf.stamps = stamps;
        shelf
    }

    /// Whoever reads has come to a frame: what is done with goes, and what is needed next is held instead.
    pub(super) fn go_to(&mut self, range: &Range, at: FrameIndex) {
        while let Some(&(end, number)) = self.ends.first()
            && end <= at
        {
            self.ends.remove(&(end, number));
            self.held.remove(&number);
        }
        let held = &self.held;
        self.unlocked.retain(|number| held.get(number).is_some_and(|files| !files.lock()));
        self.fill(range);
    }

    /// The files of a segment.
    ///
    /// # Errors
    /// What the system says; that it is not the one that was planned.
    pub(super) fn files(&self, range: &Range, number: usize) -> io::Result<Files> {
        if let Some(held) = self.held.get(&number) {
            return held.again();
        }
        let opened = self.open(range, number);
        let Some(planned) = self.stamps.get(&number) else { return opened };
        let files = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(self.lost("was deleted")),
            opened => opened?,
        };
        if files.stamp()? == *planned { Ok(files) } else { Err(self.lost("was replaced by another one")) }
    }

    /// Where a segment lies, for messages.
    pub(super) fn path_of(&self, range: &Range, number: usize) -> PathBuf {
        self.directories.of(range, number).path().join(&range.segments[number].file)
    }

    /// Holds as many of those that wait as it may.
    fn fill(&mut self, range: &Range) {
        while (self.held.len() + 1) * OF_EACH <= self.most
            && let Some(next) = self.waiting.pop_front()
        {
            match self.open(range, next.number) {
                Ok(files) => self.hold(range, &next, files),
                Err(error) if is_exhausted(&error) => {
                    // Others in this program have taken what it was to have.
                    self.most = self.held.len() * OF_EACH;
                    self.waiting.push_front(next);
                    return;
                }
                Err(_) => {} // it is told when it is to be read
            }
        }
    }

    fn hold(&mut self, range: &Range, planned: &Planned, files: Files) {
        let stamp = self.stamps.get(&planned.number);
        if stamp.is_some_and(|stamp| files.stamp().ok() != Some(*stamp)) {
            return; // it is told when it is to be read
        }
        if range.segments[planned.number].entry > 0 {
            self.unlocked.extend((!files.lock()).then_some(planned.number));
        }
        self.ends.insert((planned.to, planned.number));
        self.held.insert(planned.number, files);
    }

    fn open(&self, range: &Range, number: usize) -> io::Result<Files> {
        let path = Path::new(&range.segments[number].file);
        let directory = self.directories.of(range, number).try_clone()?;
        let directory = directory.open(path.parent().unwrap_or(Path::new("")))?;
        let name = path.file_name().unwrap_or_default();
        let audio = directory.file(name, OFlags::RDONLY)?;
        match directory.file(&ledger_of(name), OFlags::RDONLY) {
            Err(error) if is_exhausted(&error) => Err(error),
            ledger => Ok(Files { audio, ledger: ledger.ok() }),
        }
    }

    /// What was planned is not there any more.
    fn lost(&self, what: &str) -> io::Error {
        io::Error::other(format!(
            "it {what} after this had begun; of all the files that are wanted {} at a time could be held, by the {} open files that this \
             program may have for that (ulimit -n)",
            self.most / OF_EACH,
            self.most
        ))
    }
}

/// Whether an error says that no more files can be open.
fn is_exhausted(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE))
}
