//! What an Opus file holds, and how it is encoded.

use audyn_units::{ChannelCount, Counted, SampleRate};
use serde::{Deserialize, Serialize};

use super::head::Mapping;
use crate::MediaError;

/// Bits per second of one stream, from the least at which libopus encodes full band to the most it makes of 20 ms.
const STREAM_BITRATE: std::ops::RangeInclusive<u32> = 6_000..=510_000;

/// How the bitrate is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpusBitrateMode {
    /// As many bits as the signal needs; the bitrate is the mean over all kinds of signals.
    #[default]
    Vbr,
    /// The same, but within what a line of that bitrate carries.
    ConstrainedVbr,
    /// Each packet has the same size.
    Cbr,
}

/// What the encoder is to favour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpusApplication {
    /// That it sounds like the original: for music and all that is mixed.
    #[default]
    Audio,
    /// That speech is understood.
    Voip,
    /// The shortest delay; gives up the part of the codec that is made for speech.
    LowDelay,
}

/// What the channels are to each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpusLayout {
    /// One channel is mono, two are a stereo pair (mapping family 0), and more stand each for itself (family 255), which players
    /// do not mix: what a recorder knows of its channels.
    #[default]
    Discrete,
    /// Loudspeakers, 1 to 8, in the order of RFC 7845 §5.1.1.2 (family 1): 5.1 is L C R Ls Rs LFE. Pairs are encoded together.
    Surround,
}

/// The format of an Opus file, and how it is encoded. [`OpusSpec::new`] has the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OpusSpec {
    /// Frames per second that are given. The file's own are always 48,000.
    pub rate: SampleRate,
    /// Samples of a frame.
    pub channels: ChannelCount,
    /// What the channels are to each other.
    pub layout: OpusLayout,
    /// Bits per second, all channels together: 6,000 to 510,000 for each stream, of which a pair that is encoded together is one.
    pub bitrate: u32,
    /// How the bitrate is kept.
    pub mode: OpusBitrateMode,
    /// How much work the encoder may take, 0 to 10.
    pub complexity: u8,
    /// What the encoder is to favour.
    pub application: OpusApplication,
}

impl OpusSpec {
    /// 128 kbit/s, and 64 kbit/s for each channel where there are more than two; VBR, complexity 5, [`OpusApplication::Audio`].
    pub const fn new(rate: SampleRate, channels: ChannelCount) -> Self {
        let bitrate = if channels.get() > 2 { 64_000 * channels.get() as u32 } else { 128_000 };
        Self {
            rate,
            channels,
            layout: OpusLayout::Discrete,
            bitrate,
            mode: OpusBitrateMode::Vbr,
            complexity: 5,
            application: OpusApplication::Audio,
        }
    }

    /// Whether it can be encoded.
    ///
    /// # Errors
    /// [`MediaError::Spec`] with what is out of range.
    pub fn check(self) -> Result<(), MediaError> {
        let no = |reason| Err(MediaError::Spec { reason });
        let channels = self.channels.get();
        if self.layout == OpusLayout::Surround && channels > 8 {
            return no(format!(
                "Opus knows the loudspeakers of 1 to 8 channels, not of {channels}; record them as discrete channels"
            ));
        }
        let streams = u32::from(Mapping::of(self.layout, self.channels).streams);
        let (min, max) = (STREAM_BITRATE.start() * streams, STREAM_BITRATE.end() * streams);
        if !(min..=max).contains(&self.bitrate) {
            return no(format!(
                "an Opus bitrate of {} bit/s is outside {min} to {max} for {} in {}",
                self.bitrate,
                self.channels.counted(),
                Counted(streams.into(), "stream")
            ));
        }
        if self.complexity > 10 {
            return no(format!("an Opus complexity of {} is outside 0 to 10", self.complexity));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(channels: u8) -> OpusSpec {
        OpusSpec::new(SampleRate::HZ_48000, ChannelCount::new(channels).unwrap())
    }

    #[test]
    fn the_defaults_can_be_encoded_at_any_number_of_channels() {
        for channels in 1..=64 {
            spec(channels).check().unwrap();
        }
    }

    #[test]
    fn what_is_out_of_range_is_said_with_the_range() {
        let surround = OpusLayout::Surround;
        for (spec, said) in [
            (
                OpusSpec { bitrate: 5_999, ..spec(2) },
                "5999 bit/s is outside 6000 to 510000 for 2 channels in 1 stream",
            ),
            (OpusSpec { bitrate: 510_001, ..spec(1) }, "outside 6000 to 510000"),
            (OpusSpec { bitrate: 128_000, ..spec(64) }, "outside 384000 to 32640000"),
            (OpusSpec { complexity: 11, ..spec(1) }, "complexity of 11 is outside 0 to 10"),
            (OpusSpec { layout: surround, ..spec(9) }, "loudspeakers of 1 to 8 channels, not of 9"),
        ] {
            let error = spec.check().unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        OpusSpec { layout: surround, ..spec(8) }.check().unwrap();
    }
}
