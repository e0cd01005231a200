//! What a PCM file holds.

use audyn_units::{ChannelCount, SampleRate};

/// Bits of one sample in a file: signed little-endian PCM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PcmDepth {
    /// 16 bit.
    Pcm16,
    /// 24 bit.
    Pcm24,
}

impl PcmDepth {
    /// Bytes of one sample of one channel.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Pcm16 => 2,
            Self::Pcm24 => 3,
        }
    }

    /// Bits of one sample.
    pub const fn bits(self) -> u16 {
        self.bytes() as u16 * 8
    }
}

/// The format of a WAV file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WavSpec {
    /// Frames per second.
    pub rate: SampleRate,
    /// Samples of a frame.
    pub channels: ChannelCount,
    /// Bits of a sample.
    pub depth: PcmDepth,
}

impl WavSpec {
    /// Bytes of one frame: one sample of each channel (2 to 192).
    pub const fn frame_bytes(self) -> usize {
        self.depth.bytes() * self.channels.get()
    }
}
