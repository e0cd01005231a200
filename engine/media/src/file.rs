//! What every format has in common: how a file of audio is written.

use std::path::Path;

use audyn_units::{ChannelCount, FrameCount, SampleRate};

use crate::{MediaError, Store, WavWriter};

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

    /// Writes the rest and closes; does not wait for the disk.
    ///
    /// # Errors
    /// [`MediaError::Close`]: what was still buffered is lost.
    fn close(self: Box<Self>) -> Result<(), MediaError>;
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

    fn close(self: Box<Self>) -> Result<(), MediaError> {
        WavWriter::close(*self)
    }
}
