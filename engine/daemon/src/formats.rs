//! The formats of a recorder's configuration, as the files need them.

use audyn_api::{FormatConfig, OpusApplication, OpusConfig, OpusMode};
use audyn_media::opus::{self, OpusBitrateMode, OpusSpec};
use audyn_media::{FileFormat, FlacSpec, MediaError, PcmDepth, WavSpec};
use audyn_units::{ChannelCount, Encoding, SampleRate};

/// How deep the samples of a flow are.
pub(crate) fn depth_of(encoding: Encoding) -> PcmDepth {
    match encoding {
        Encoding::L16 => PcmDepth::Pcm16,
        Encoding::L24 => PcmDepth::Pcm24,
    }
}

/// The formats that a configuration means for `channels` of a flow.
///
/// # Errors
/// [`MediaError::Spec`] with what cannot be written.
pub fn formats_of(
    formats: &[FormatConfig],
    opus: &OpusConfig,
    rate: SampleRate,
    channels: ChannelCount,
    encoding: Encoding,
) -> Result<Vec<FileFormat>, MediaError> {
    for (at, format) in formats.iter().enumerate() {
        if formats[..at].iter().any(|before| before.suffix() == format.suffix()) {
            let reason = format!(
                "two formats of one recorder would both be called .{}; leave one of them out",
                format.suffix()
            );
            return Err(MediaError::Spec { reason });
        }
    }
    let source = depth_of(encoding);
    let wav = |depth| Ok(FileFormat::Wav(WavSpec { rate, channels, depth }));
    let flac = |depth| FlacSpec::new(rate, channels, depth).map(FileFormat::Flac);
    let format = |format: &FormatConfig| match format {
        FormatConfig::Wav => wav(source),
        FormatConfig::Wav16 => wav(PcmDepth::Pcm16),
        FormatConfig::Wav24 => wav(PcmDepth::Pcm24),
        FormatConfig::Wav32f => wav(PcmDepth::Float32),
        FormatConfig::Flac => flac(source),
        FormatConfig::Flac16 => flac(PcmDepth::Pcm16),
        FormatConfig::Flac24 => flac(PcmDepth::Pcm24),
        FormatConfig::Opus => opus_spec(opus, rate, channels).map(FileFormat::Opus),
    };
    formats.iter().map(format).collect()
}

fn opus_spec(config: &OpusConfig, rate: SampleRate, channels: ChannelCount) -> Result<OpusSpec, MediaError> {
    let defaults = OpusSpec::new(rate, channels);
    let spec = OpusSpec {
        bitrate: config.bitrate.unwrap_or(defaults.bitrate),
        mode: match config.mode {
            OpusMode::Vbr => OpusBitrateMode::Vbr,
            OpusMode::ConstrainedVbr => OpusBitrateMode::ConstrainedVbr,
            OpusMode::Cbr => OpusBitrateMode::Cbr,
        },
        complexity: config.complexity,
        application: match config.application {
            OpusApplication::Audio => opus::OpusApplication::Audio,
            OpusApplication::Voip => opus::OpusApplication::Voip,
            OpusApplication::LowDelay => opus::OpusApplication::LowDelay,
        },
        ..defaults
    };
    spec.check().map(|()| spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formats(formats: &[FormatConfig], opus: OpusConfig, channels: u8) -> Result<Vec<FileFormat>, String> {
        let channels = ChannelCount::new(channels).unwrap();
        formats_of(formats, &opus, SampleRate::HZ_48000, channels, Encoding::L24).map_err(|e| e.to_string())
    }

    #[test]
    fn a_master_and_a_proxy_are_two_formats_and_two_masters_of_one_name_are_refused() {
        use FormatConfig::{Flac, Opus, Wav, Wav16};
        let made = formats(&[Wav, Opus], OpusConfig::default(), 2).unwrap();
        assert_eq!(made.iter().map(FileFormat::name).collect::<Vec<_>>(), ["wav", "opus"]);
        let refused = |wanted: &[FormatConfig], opus, channels, part: &str| {
            let said = formats(wanted, opus, channels).unwrap_err();
            assert!(said.contains(part), "{said}");
        };
        refused(&[Wav, Wav16], OpusConfig::default(), 2, "both be called .wav");
        refused(&[Wav, Flac], OpusConfig::default(), 9, "8 channels at most");
        refused(&[Opus], OpusConfig { complexity: 11, ..OpusConfig::default() }, 2, "complexity of 11");
        refused(&[Opus], OpusConfig { bitrate: Some(1), ..OpusConfig::default() }, 2, "bitrate of 1");
    }
}
