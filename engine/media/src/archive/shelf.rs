//! The files of a range, where they lie.
//!
//! Owns: the way from a segment to its open file and ledger, on the volume that it was planned on. Never: takes one from the other volume.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::Range;
use crate::Beneath;
use crate::beneath::OFlags;
use crate::chain::ledger_of;

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

/// Opens them.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) directories: Directories,
}

impl Shelf {
    pub(super) fn new(directories: Directories) -> Self {
        Self { directories }
    }

    /// The files of a segment.
    pub(super) fn files(&self, range: &Range, number: usize) -> io::Result<Files> {
        self.open(range, number)
    }

    /// Where a segment lies, for messages.
    pub(super) fn path_of(&self, range: &Range, number: usize) -> PathBuf {
        self.directories.of(range, number).path().join(&range.segments[number].file)
    }

    fn open(&self, range: &Range, number: usize) -> io::Result<Files> {
        let path = Path::new(&range.segments[number].file);
        let directory = self.directories.of(range, number).try_clone()?;
        let directory = directory.open(path.parent().unwrap_or(Path::new("")))?;
        let name = path.file_name().unwrap_or_default();
        let audio = directory.file(name, OFlags::RDONLY)?;
        Ok(Files { audio, ledger: directory.file(&ledger_of(name), OFlags::RDONLY).ok() })
    }
}
