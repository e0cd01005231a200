//! What a FLAC file holds.

use audyn_units::{ChannelCount, SampleRate};
use serde::{Deserialize, Serialize};

use crate::{MediaError, PcmDepth};

/// Most channels of a FLAC file (RFC 9639 §8.2).
const MAX_CHANNELS: usize = 8;

/// The level of the `flac` program where none is asked for.
const LEVEL: u8 = 5;

/// The format of a FLAC file: one that FLAC can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FlacSpec {
    rate: SampleRate,
    channels: ChannelCount,
    depth: PcmDepth,
    level: u8,
}

impl FlacSpec {
    /// A format at level 5.
    ///
    /// # Errors
    /// [`MediaError::Spec`] for more than 8 channels, and for a depth other than 16 and 24 bit.
    pub fn new(rate: SampleRate, channels: ChannelCount, depth: PcmDepth) -> Result<Self, MediaError> {
        let reason = if channels.get() > MAX_CHANNELS {
            format!(
                "FLAC has {MAX_CHANNELS} channels at most, and {channels} are asked for; choose WAV or fewer channels"
            )
        } else if depth.bits() > 24 {
            format!(
                "FLAC is written in 16 or 24 bit, and {} are asked for; choose one of these, or WAV",
                depth.bits()
            )
        } else {
            return Ok(Self { rate, channels, depth, level: LEVEL });
        };
        Err(MediaError::Spec { reason })
    }

    /// The same format at another level: 0 costs the least processor, 8 the least disk. The audio is the same at each.
    ///
    /// # Errors
    /// [`MediaError::Spec`] for a level over 8.
    pub fn at_level(self, level: u8) -> Result<Self, MediaError> {
        if level > 8 {
            return Err(MediaError::Spec { reason: format!("FLAC has no level {level}; choose 0 to 8") });
        }
        Ok(Self { level, ..self })
    }

    /// Frames per second.
    pub fn rate(self) -> SampleRate {
        self.rate
    }

    /// Samples of a frame.
    pub fn channels(self) -> ChannelCount {
        self.channels
    }

    /// Bits of a sample.
    pub fn depth(self) -> PcmDepth {
        self.depth
    }

    /// 0 to 8.
    pub fn level(self) -> u8 {
        self.level
    }

    /// Frames of audio in one of FLAC: 85 ms, or 93 at 44.1 kHz. Within the subset that every decoder plays (RFC 9639 §7).
    pub(super) fn block(self) -> u16 {
        if self.rate.hz() > 48_000 { 8_192 } else { 4_096 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(rate: u32) -> FlacSpec {
        FlacSpec::new(SampleRate::new(rate).unwrap(), ChannelCount::STEREO, PcmDepth::Pcm24).unwrap()
    }

    #[test]
    fn a_block_lasts_as_long_at_every_rate() {
        assert_eq!([44_100, 48_000, 96_000].map(|rate| spec(rate).block()), [4_096, 4_096, 8_192]);
    }

    #[test]
    fn what_flac_cannot_hold_is_refused_with_a_way_out() {
        let nine = FlacSpec::new(SampleRate::HZ_48000, ChannelCount::new(9).unwrap(), PcmDepth::Pcm24);
        let told = nine.unwrap_err().to_string();
        assert!(told.contains("8 channels at most, and 9 are asked for; choose WAV"), "{told}");
        let told = spec(48_000).at_level(9).unwrap_err().to_string();
        assert!(told.contains("no level 9; choose 0 to 8"), "{told}");
        assert_eq!(spec(48_000).at_level(8).unwrap().level(), 8);
    }
}
