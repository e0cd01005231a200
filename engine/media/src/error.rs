//! What can go wrong with a file, each in one sentence that says what still works and what to do.

use std::io;
use std::path::PathBuf;

use audyn_units::{Counted, FrameCount};

/// An error of a media file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// The name is taken. Nothing was opened or changed.
    #[error("{} exists already and is left as it is; record under another name", path.display())]
    Exists {
        /// The name that was asked for.
        path: PathBuf,
    },
    /// The file could not be made. Nothing was left behind.
    #[error("cannot create {}: {source}; check that the directory exists, is writable and has space", path.display())]
    Create {
        /// The name that was asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Writing failed. The samples given so far are kept in memory, and the next flush tries again.
    #[error(
        "cannot write {}: {source}; the file is valid with its first {valid}, the rest is kept in memory and \
         tried again: free space on the disk or replace it",
        path.display()
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// What the file holds: the length of the last good flush.
        valid: FrameCount,
        /// What the system said.
        source: io::Error,
    },
    /// Writing has failed for so long that memory is full. The samples of this call were *not* taken; write as
    /// much silence in their place once the disk is back, so that later audio does not move.
    #[error(
        "cannot write {}: {source}; the file is valid with its first {valid}, {buffered} wait in memory and no \
         more are taken: free space on the disk or replace it",
        path.display()
    )]
    Backlog {
        /// The file.
        path: PathBuf,
        /// What the file holds: the length of the last good flush.
        valid: FrameCount,
        /// What waits in memory.
        buffered: FrameCount,
        /// What the system said.
        source: io::Error,
    },
    /// The last flush of a file that was closed failed.
    #[error(
        "cannot finish {}: {source}; the file is valid with its first {valid}, the last {lost} are lost: free \
         space on the disk or replace it",
        path.display()
    )]
    Close {
        /// The file.
        path: PathBuf,
        /// What the file holds: the length of the last good flush.
        valid: FrameCount,
        /// What was given to the writer and is not in the file.
        lost: FrameCount,
        /// What the system said.
        source: io::Error,
    },
    /// The file was written, but the disk does not confirm that it would survive a power cut.
    #[error("cannot make {} safe against a power cut: {source}; the recording goes on, check the disk", path.display())]
    Sync {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The samples are not whole frames. Nothing was taken.
    #[error("{samples} samples are not whole frames of {}; give whole frames", Counted(*.channels as u64, "channel"))]
    PartialFrame {
        /// How many samples were given.
        samples: usize,
        /// Samples of a frame.
        channels: usize,
    },
    /// The file could not be read.
    #[error("cannot read {what}: {source}")]
    Read {
        /// The file's name, or what else was read.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not a WAV file that this can read.
    #[error("{what} cannot be read as WAV: {reason}")]
    NotWav {
        /// The file's name, or what else was read.
        what: String,
        /// What was found.
        reason: String,
    },
    /// The file is not a FLAC file that this can read.
    #[error("{what} cannot be read as FLAC: {reason}")]
    NotFlac {
        /// The file's name, or what else was read.
        what: String,
        /// What was found.
        reason: String,
    },
    /// The file is no Opus file that this can read.
    #[error("{what} cannot be read as Opus: {reason}")]
    NotOpus {
        /// The file's name, or what else was read.
        what: String,
        /// What was found.
        reason: String,
    },
    /// What a file is to hold cannot be encoded. Nothing was made.
    #[error("{reason}")]
    Spec {
        /// What is out of range, and the range.
        reason: String,
    },
    /// The encoder failed, which it never should. What was written so far is valid; begin a new file.
    #[error("cannot encode {}: {reason}; what was written so far is valid: go on in a new file", path.display())]
    Codec {
        /// The file.
        path: PathBuf,
        /// What the library said.
        reason: String,
    },
    /// Somebody asked for an end before it was done. Nothing was left behind.
    #[error("it was stopped as asked, and nothing was left behind")]
    Stopped,
    /// A stretch of a recorder cannot be read as one.
    #[error("this range cannot be read: {reason}")]
    Range {
        /// Why not, and what to do.
        reason: String,
    },
    /// A file holds no key of the kind that is needed.
    #[error("{what} is no {wanted}")]
    Key {
        /// The file's name.
        what: String,
        /// What it should be, and what makes one.
        wanted: &'static str,
    },
    /// A statement of heads is none, or is not to be believed.
    #[error("{what} proves nothing: {reason}")]
    Heads {
        /// The file's name.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A chain, or a file that belongs into it, could not be read or written. Audio is never touched by it.
    #[error("cannot keep the record of {}: {source}; the recording itself is as it was, check the disk", path.display())]
    Chain {
        /// The recorder's directory, or the file.
        path: PathBuf,
        /// What the system said, or what was found.
        source: io::Error,
    },
}
