//! What a PCM file holds.

use audyn_units::{ChannelCount, SampleRate};
use serde::{Deserialize, Serialize};

/// One sample in a file, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PcmDepth {
    /// 16 bit, signed.
    Pcm16,
    /// 24 bit, signed.
    Pcm24,
    /// IEEE 754 in 32 bit, full scale at ±1: holds up to 24 bits exactly, and of 32 the 24 that are most significant, rounded.
    Float32,
}

impl PcmDepth {
    /// Every depth, by its bits.
    pub const ALL: [Self; 3] = [Self::Pcm16, Self::Pcm24, Self::Float32];

    /// Bytes of one sample of one channel.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Pcm16 => 2,
            Self::Pcm24 => 3,
            Self::Float32 => 4,
        }
    }

    /// Bits of one sample.
    pub const fn bits(self) -> u16 {
        self.bytes() as u16 * 8
    }
}

/// The format of a WAV file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WavSpec {
    /// Frames per second.
    pub rate: SampleRate,
    /// Samples of a frame.
    pub channels: ChannelCount,
    /// Bits of a sample.
    pub depth: PcmDepth,
}

impl WavSpec {
    /// Bytes of one frame: one sample of each channel (2 to 256).
    pub const fn frame_bytes(self) -> usize {
        self.depth.bytes() * self.channels.get()
    }
}

/// What a WAV file becomes whose sizes outgrow 32 bits; below that all are RIFF.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum BigForm {
    /// RF64 (EBU Tech 3306), which more programs read.
    #[default]
    Rf64,
    /// BW64 (ITU-R BS.2088), its successor: the same bytes under another name.
    Bw64,
}
