//! The formats that a recording may have, as one type.

use std::ffi::OsStr;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use audyn_units::{ChannelCount, FrameCount, SampleRate};
use serde::{Deserialize, Serialize};

use crate::flac::{self, FlacReader, FlacSpec, FlacWriter};
use crate::ledger::LedgerFacts;
use crate::opus::{self, OpusSpec, OpusWriter};
use crate::wav::{self, Mended};
use crate::{AudioFile, Beneath, Facts, MediaError, PcmDepth, Spare, WavSpec, WavWriter};

/// A format and all that it needs to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileFormat {
    /// WAV, RF64 past 4 GiB.
    Wav(WavSpec),
    /// FLAC.
    Flac(FlacSpec),
    /// Ogg Opus.
    Opus(OpusSpec),
}

impl FileFormat {
    /// What it is called, which is also the suffix of its files.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Wav(_) => "wav",
            Self::Flac(_) => "flac",
            Self::Opus(_) => "opus",
        }
    }

    /// Whether long silence is a hole in the file, which costs neither time nor room.
    #[must_use]
    pub const fn has_holes(&self) -> bool {
        matches!(self, Self::Wav(_))
    }

    /// Frames per second that it is given.
    #[must_use]
    pub fn rate(&self) -> SampleRate {
        match self {
            Self::Wav(spec) => spec.rate,
            Self::Flac(spec) => spec.rate(),
            Self::Opus(spec) => spec.rate,
        }
    }

    /// Samples of a frame.
    #[must_use]
    pub fn channels(&self) -> ChannelCount {
        match self {
            Self::Wav(spec) => spec.channels,
            Self::Flac(spec) => spec.channels(),
            Self::Opus(spec) => spec.channels,
        }
    }

    /// Bits of a sample; none where there are none.
    #[must_use]
    pub fn bits(&self) -> Option<u16> {
        match self {
            Self::Wav(spec) => Some(spec.depth.bits()),
            Self::Flac(spec) => Some(spec.depth().bits()),
            Self::Opus(_) => None,
        }
    }

    /// Bytes that a second takes: of FLAC as many as of the PCM in it, which is the most; of Opus as its bitrate tells.
    #[must_use]
    pub fn bytes_per_second(&self) -> u64 {
        let bytes = match self {
            Self::Wav(spec) => spec.depth.bytes(),
            Self::Flac(spec) => spec.depth().bytes(),
            Self::Opus(spec) => return u64::from(spec.bitrate).div_ceil(8),
        };
        u64::from(self.rate().hz()) * (self.channels().get() * bytes) as u64
    }

    /// Whether one encoder runs over all files of a recording, so that the next one is made by [`AudioFile::succeed_in`].
    #[must_use]
    pub const fn goes_on(&self) -> bool {
        matches!(self, Self::Opus(_))
    }

    /// Makes a file. `source` says how deep the samples are that it will be given.
    ///
    /// # Errors
    /// [`MediaError::Exists`] if the name is taken: what exists is never opened, truncated or overwritten.
    /// [`MediaError::Spec`] if that cannot be encoded, [`MediaError::Create`] for anything else; nothing is left behind.
    pub fn create_in(
        &self,
        dir: &Beneath,
        name: &OsStr,
        facts: &Facts,
        source: PcmDepth,
    ) -> Result<Box<dyn AudioFile>, MediaError> {
        self.create_of(None, dir, name, facts, source)
    }

    /// The same of a file that was made before, if there is one.
    ///
    /// # Errors
    /// As [`FileFormat::create_in`].
    pub fn create_of(
        &self,
        spare: Option<Spare>,
        dir: &Beneath,
        name: &OsStr,
        facts: &Facts,
        source: PcmDepth,
    ) -> Result<Box<dyn AudioFile>, MediaError> {
        Ok(match *self {
            Self::Wav(spec) => {
                let mut writer = WavWriter::create_in(dir, name, spare, spec, facts)?;
                writer.set_source_depth(source);
                Box::new(writer)
            }
            Self::Flac(spec) => {
                let mut writer = FlacWriter::create_in(dir, name, spare, spec, facts)?;
                writer.set_source_depth(source);
                Box::new(writer)
            }
            Self::Opus(spec) => Box::new(OpusWriter::create_in(dir, name, spare, spec, facts)?),
        })
    }

    /// Puts right what a kill or a power cut left of a file in this format; `path` is its name in messages. If the disk has `confirmed` so
    /// many frames and then failed to, a format that could not tell what is behind them counts no more. None if there was
    /// nothing to mend, or nothing is known to be lost.
    ///
    /// # Errors
    /// [`MediaError::NotWav`] and the like if it is no file in this format; [`MediaError::Read`], [`MediaError::Write`] and
    /// [`MediaError::Sync`] as they say.
    pub fn mend_file(
        &self,
        file: &File,
        path: &Path,
        ledger: Option<&LedgerFacts>,
        confirmed: Option<FrameCount>,
    ) -> Result<Option<Mended>, MediaError> {
        match *self {
            Self::Wav(spec) => wav::mend_confirmed(file, path, spec, ledger, confirmed.unwrap_or(wav::FAR)),
            // Its frames have sums of their own, and so have Opus's pages: what a disk has lost passes for nothing else.
            Self::Flac(_) => flac::mend_file(file, path),
            // A page counts what is in it: it never tells of what is not there.
            Self::Opus(spec) => opus::mend_file(file, path, spec).map(|_| None),
        }
    }
}

/// How many frames of the flow a file of `kind` holds, read from the file itself.
///
/// # Errors
/// [`MediaError::NotWav`] and the like if it is no such file; [`MediaError::Spec`] if no such kind is known.
pub fn frames_of(file: File, path: &Path, rate: SampleRate) -> Result<FrameCount, MediaError> {
    let kind = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    match kind {
        "wav" => Ok(wav::WavInfo::read(&mut &file)?.frames),
        "flac" => {
            let reader = FlacReader::from_source(BufReader::new(file), path.display().to_string())?;
            Ok(reader.info().declared)
        }
        "opus" => {
            let frames = opus::OpusReader::from_source(file, path.display().to_string())?.info().frames.0;
            // Always 48 kHz; half of one is nearer to the next.
            let (rate, base) = (u64::from(rate.hz()), 48_000);
            Ok(FrameCount((frames * rate + base / 2) / base))
        }
        _ => Err(MediaError::Spec { reason: format!("`{kind}` is no format of recordings") }),
    }
}
