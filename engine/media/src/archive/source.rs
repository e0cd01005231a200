//! A recorded file of any format, read by frames.

use std::ffi::OsStr;
use std::fs::File;
use std::io::BufReader;

use audyn_units::{ChannelCount, FrameCount, SampleRate};

use super::Kind;
use crate::beneath::OFlags;
use crate::{Beneath, FlacReader, MediaError, WavReader, opus::OpusReader};

/// Reads a file in whatever format it is.
#[derive(Debug)]
#[non_exhaustive]
pub enum AudioSource {
    /// WAV, RF64, BW64.
    Wav(WavReader<BufReader<File>>),
    /// FLAC.
    Flac(Box<FlacReader<BufReader<File>>>),
    /// Ogg Opus, at 48 kHz.
    Opus(Box<OpusReader<File>>),
}

impl AudioSource {
    /// Opens `name` in a directory.
    ///
    /// # Errors
    /// [`MediaError::Read`] if it cannot be read; [`MediaError::NotWav`] and the like if it is no such file.
    pub fn open_in(directory: &Beneath, name: &OsStr, kind: Kind) -> Result<Self, MediaError> {
        let what = directory.path_of(name).display().to_string();
        let file = directory
            .file(name, OFlags::RDONLY)
            .map_err(|source| MediaError::Read { what: what.clone(), source })?;
        Self::of_file(file, what, kind)
    }

    /// Reads a file that is open and at its beginning; `what` names it in messages.
    ///
    /// # Errors
    /// As of [`Self::open_in`].
    pub fn of_file(file: File, what: String, kind: Kind) -> Result<Self, MediaError> {
        Ok(match kind {
            Kind::Wav => Self::Wav(WavReader::from_source(BufReader::new(file), what)?),
            Kind::Flac => Self::Flac(Box::new(FlacReader::from_source(BufReader::new(file), what)?)),
            Kind::Opus => Self::Opus(Box::new(OpusReader::from_source(file, what)?)),
        })
    }

    /// Frames per second that are read.
    #[must_use]
    pub fn rate(&self) -> SampleRate {
        match self {
            Self::Wav(reader) => reader.info().spec.rate,
            Self::Flac(reader) => reader.info().rate,
            Self::Opus(_) => SampleRate::HZ_48000,
        }
    }

    /// Samples of a frame.
    #[must_use]
    pub fn channels(&self) -> ChannelCount {
        match self {
            Self::Wav(reader) => reader.info().spec.channels,
            Self::Flac(reader) => reader.info().channels,
            Self::Opus(reader) => reader.info().channels,
        }
    }

    /// Goes to the frame that lies `frames` behind the first.
    ///
    /// # Errors
    /// [`MediaError::Read`].
    pub fn seek(&mut self, frames: FrameCount) -> Result<(), MediaError> {
        match self {
            Self::Wav(reader) => reader.seek(frames),
            Self::Flac(reader) => reader.seek(frames),
            Self::Opus(reader) => reader.seek(frames),
        }
    }

    /// Fills `samples` with whole frames, interleaved and left-justified, and says how many; 0 at the end.
    ///
    /// # Errors
    /// [`MediaError::Read`]. Seek before reading on.
    pub fn read(&mut self, samples: &mut [i32]) -> Result<FrameCount, MediaError> {
        match self {
            Self::Wav(reader) => reader.read(samples),
            Self::Flac(reader) => reader.read(samples),
            Self::Opus(reader) => reader.read(samples),
        }
    }
}
