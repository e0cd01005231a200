//! What is to be done to a file that a crash has cut: found first, told, and done only then.
//!
//! Owns: how a finding is carried out. Never: an opinion on what is wrong; each format has its own.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use audyn_units::FrameCount;

use crate::MediaError;

/// A file that is to be mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fix {
    /// Frames that the file counts.
    pub(crate) declared: FrameCount,
    /// Frames that are there, and that it will count.
    pub(crate) frames: FrameCount,
    /// Bytes at its end that hold no whole frame and are cut off.
    pub(crate) cut: u64,
    /// What is wrong, for people, with "it" for the file.
    pub(crate) found: String,
    /// What is done about it.
    pub(crate) remedy: String,
    /// In this order: a crash between any two leaves a file of which the same is found again.
    pub(crate) steps: Vec<Step>,
}

/// A change of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// These bytes at this place.
    Write(u64, Vec<u8>),
    /// The file ends here.
    Cut(u64),
}

impl Fix {
    /// Does it. Returns when the disk has confirmed it; `path` is the file's name in messages.
    ///
    /// # Errors
    /// [`MediaError::Write`] and [`MediaError::Sync`] as they say.
    pub(crate) fn apply(&self, file: &File, path: &Path) -> Result<(), MediaError> {
        let write = self.steps.iter().try_for_each(|step| match step {
            Step::Write(at, bytes) => file.write_all_at(bytes, *at),
            Step::Cut(length) => file.set_len(*length),
        });
        let (path, valid) = (path.to_owned(), self.frames);
        write.map_err(|source| MediaError::Write { path: path.clone(), valid, source })?;
        file.sync_data().map_err(|source| MediaError::Sync { path, source })
    }
}
