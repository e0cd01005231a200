//! What every format has in common: how a file of audio is written.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use audyn_units::{ChannelCount, FrameCount, SampleRate};

use crate::{Beneath, Facts, MediaError, Spare, Store, WavWriter};

/// A file that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Its name.
    pub path: PathBuf,
    /// Frames that it was given, those that are lost included.
    pub frames: FrameCount,
    /// Its size.
    pub bytes: u64,
    /// [`MediaError::Close`] if its end could not be written.
    pub result: Result<(), MediaError>,
}

/// A file of audio being written, whatever its format.
///
/// Its name shows a whole, valid file of length 0 from the start on. What [`checkpoint`](Self::checkpoint) has written is read by
/// ordinary tools after a kill at any later instant. While the disk refuses, what was given waits in memory, up to a bound.
pub trait AudioFile: Send {
    /// Its name.
    fn path(&self) -> &Path;

    /// Frames per second that it is given; the file's own may differ (Opus is always 48 kHz).
    fn rate(&self) -> SampleRate;

    /// Samples of a frame.
    fn channels(&self) -> ChannelCount;

    /// Takes whole frames: interleaved, left-justified.
    ///
    /// # Errors
    /// [`MediaError::Write`]: the samples are taken and wait in memory, a flush is to be tried again.
    /// [`MediaError::Backlog`] and [`MediaError::PartialFrame`]: the samples are not taken.
    fn append(&mut self, samples: &[i32]) -> Result<(), MediaError>;

    /// Takes `frames` of digital silence.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    fn append_silence(&mut self, frames: FrameCount) -> Result<(), MediaError>;

    /// Writes of what is buffered all that a file that goes on should have by now, then what counts it.
    ///
    /// # Errors
    /// [`MediaError::Write`]: nothing is lost yet, and the next one goes on where this one stopped.
    fn checkpoint(&mut self) -> Result<(), MediaError>;

    /// Writes everything that can be written, for a disk that had refused.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint).
    fn flush(&mut self) -> Result<(), MediaError>;

    /// Frames taken so far, buffered ones included.
    fn frames(&self) -> FrameCount;

    /// Frames taken that the file does not hold yet: what a kill at this instant would lose.
    fn buffered_frames(&self) -> FrameCount;

    /// Bytes of the file as it is.
    fn bytes(&self) -> u64;

    /// Ends the file with the frames given so far and goes on in another, where one encoder runs over all of them; none where each file
    /// stands for itself, which is then to be closed and the next one created. The ended one comes from
    /// [`take_finished`](Self::take_finished) once the encoder has let go of its last frame, some frames later. A `spare` becomes the
    /// other file.
    ///
    /// # Errors
    /// As for a file that is created; the running file runs on then.
    fn succeed_in(
        &mut self,
        _dir: &Beneath,
        _name: &OsStr,
        _spare: Option<Spare>,
        _facts: &Facts,
    ) -> Option<Result<(), MediaError>> {
        None
    }

    /// The files that have ended since this was asked last, oldest first.
    fn take_finished(&mut self) -> Vec<Finished> {
        Vec::new()
    }

    /// Writes the rest and closes; does not wait for the disk. Tells of each file that was not handed out yet, the running one at
    /// the end.
    fn close(self: Box<Self>) -> Vec<Finished>;
}

impl<S: Store + Send> AudioFile for WavWriter<S> {
    fn path(&self) -> &Path {
        WavWriter::path(self)
    }

    fn rate(&self) -> SampleRate {
        self.spec().rate
    }

    fn channels(&self) -> ChannelCount {
        self.spec().channels
    }

    fn append(&mut self, samples: &[i32]) -> Result<(), MediaError> {
        WavWriter::append(self, samples)
    }

    fn append_silence(&mut self, frames: FrameCount) -> Result<(), MediaError> {
        WavWriter::append_silence(self, frames)
    }

    fn checkpoint(&mut self) -> Result<(), MediaError> {
        self.flush_blocks()
    }

    fn flush(&mut self) -> Result<(), MediaError> {
        WavWriter::flush(self)
    }

    fn frames(&self) -> FrameCount {
        WavWriter::frames(self)
    }

    fn buffered_frames(&self) -> FrameCount {
        WavWriter::buffered_frames(self)
    }

    fn bytes(&self) -> u64 {
        WavWriter::bytes(self)
    }

    fn close(self: Box<Self>) -> Vec<Finished> {
        let (path, frames) = (WavWriter::path(&self).to_owned(), WavWriter::frames(&self));
        // As it will be: nothing but its length is known once it is closed.
        let whole = WavWriter::bytes(&self) + self.buffered_frames().0 * self.spec().frame_bytes() as u64;
        let left = WavWriter::bytes(&self);
        let result = WavWriter::close(*self);
        vec![Finished { path, frames, bytes: if result.is_ok() { whole } else { left }, result }]
    }
}
