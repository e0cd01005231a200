//! Peaks: the least and the greatest sample of every stretch of a recording, so that hours of it are drawn at once.
//!
//! Owns: the bytes of `NAME.wav.peaks`. Must never: be needed for anything but drawing; a file of peaks that is missing, cut or old
//! is made anew from the audio.
//!
//! ```text
//! head, 64 bytes, little-endian:
//!   "AUDYNPK1"   rate (4)   channels (4)   frames of the finest entry, 256 (4)   entries of a chunk by level, 256, 16 and 1 (3 × 4)
//!   position of the first frame (8)   zeros
//! then chunks, each of 65,536 frames of audio:
//!   1 entry of 65,536 frames, 16 of 4,096, 256 of 256
//! an entry: for each channel the least sample and the greatest one, 16 bits each (of the sample's most significant)
//! ```
//!
//! # Invariants
//! 1. The file only grows, by whole chunks, and what is written stays. An entry's place follows from its frames alone. A chunk that
//!    a crash or a power cut has torn is shorter than the others, and is not read; a torn chunk within (a power cut) draws nonsense
//!    for 1.4 s and nothing else.
//! 2. All levels of a chunk are written at once: none is derived later, and none contradicts another.
//! 3. Of the last chunk the entries behind the end hold 32,767 as the least and −32,768 as the greatest: nothing.
//!
//! # What it costs
//! 1,092 bytes a channel for 65,536 frames: 0.8 kB/s a channel at 48 kHz, 0.6 % of 24-bit audio. Up to 1.4 s at the end of a
//! recording that is still made are not in the file yet, nor are they after a kill. An hour in 1,000 points took 2 ms to be told, a day
//! 52 ms (`examples/peaks.rs`, on a machine with other work).
//!
//! # Rejected designs
//! *A file for each level*: three that can contradict each other. *Coarse levels behind the finest one at the close*: a recording
//! of a day that is still made would be read whole to be drawn. *Levels of loudness*: what is drawn is the waveform.

mod reader;
mod writer;

use std::ffi::{OsStr, OsString};

use audyn_units::{ChannelCount, FrameIndex, SampleRate};

pub use reader::{Peaks, WavePoint, Waveform};
pub use writer::{PeakWriter, make};

/// What the name of a recording's peaks has behind the recording's.
pub const SUFFIX: &str = ".peaks";

/// Frames of the finest entry.
pub(crate) const BASE: usize = 256;
/// Entries of the finest level in one of the middle level, and of these in the coarsest one.
pub(crate) const STEP: usize = 16;
/// Frames of a chunk.
pub(crate) const CHUNK: usize = BASE * STEP * STEP;
/// Entries of a chunk.
pub(crate) const ENTRIES: usize = 1 + STEP + STEP * STEP;
/// Bytes of the head.
pub(crate) const HEAD: usize = 64;
const MAGIC: &[u8; 8] = b"AUDYNPK1";

/// What a file of peaks is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeakSpec {
    /// Frames per second.
    pub rate: SampleRate,
    /// Samples of a frame.
    pub channels: ChannelCount,
    /// Position of the first frame.
    pub first: FrameIndex,
}

/// The least and the greatest sample of a stretch of one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peak {
    /// The least.
    pub min: i16,
    /// The greatest.
    pub max: i16,
}

impl Peak {
    /// Of no sample at all.
    pub const NONE: Self = Self { min: i16::MAX, max: i16::MIN };

    /// As the file has it: 4 bytes.
    fn parse(bytes: &[u8]) -> Self {
        let half = |at: usize| i16::from_le_bytes([bytes[at], bytes[at + 1]]);
        Self { min: half(0), max: half(2) }
    }

    /// Of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    /// Whether it is of no sample.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.min > self.max
    }
}

/// The name of a recording's peaks.
#[must_use]
pub fn peaks_of(file: &OsStr) -> OsString {
    let mut name = file.to_owned();
    name.push(SUFFIX);
    name
}

impl PeakSpec {
    /// Bytes of an entry.
    pub(crate) fn entry(self) -> usize {
        4 * self.channels.get()
    }

    fn head(self) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(MAGIC);
        let fields =
            [self.rate.hz(), self.channels.get() as u32, BASE as u32, (STEP * STEP) as u32, STEP as u32, 1];
        for (place, field) in head[8..32].chunks_exact_mut(4).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        head[32..40].copy_from_slice(&self.first.0.to_le_bytes());
        head
    }

    /// What a head tells; none if it is no head of ours.
    fn parse(head: &[u8; HEAD]) -> Option<Self> {
        let field = |at: usize| head[at..at + 4].iter().rev().fold(0u32, |n, &byte| n << 8 | u32::from(byte));
        let spec = Self {
            rate: SampleRate::new(field(8)).ok()?,
            channels: ChannelCount::new(u8::try_from(field(12)).ok()?).ok()?,
            first: FrameIndex(u64::from(field(32)) | u64::from(field(36)) << 32),
        };
        (spec.head() == *head).then_some(spec)
    }
}
