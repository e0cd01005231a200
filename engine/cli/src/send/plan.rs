//! From the options to what the sender is told, checked against one another and against the file.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::time::Duration;

use audyn_core::sender::{
    Chance, Config, Event, Fault, Format, Impairments, Index, LegFaults, Random, Span, Tone, draw_identity,
    streams,
};
use audyn_media::{PcmDepth, WavReader};
use audyn_units::{ChannelCount, Dbfs, Encoding, FrameCount, Nanos, RtpTime, SampleRate, SeqNo};

use super::args::SendArgs;
use super::error::SendError;
use super::source::{Signal, WavSource};
use crate::values::{At, Placed};
use crate::words::counted;

/// All that is decided before anything is opened but the audio file.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) config: Config,
    pub(super) source: Signal,
    pub(super) destination: SocketAddr,
    pub(super) second: Option<SecondLeg>,
    /// What the stream is called, unless the user says.
    pub(super) label: String,
}

/// The second leg, and what is lost on either.
#[derive(Debug)]
pub(super) struct SecondLeg {
    pub(super) to: SocketAddr,
    pub(super) interface: Option<String>,
    pub(super) faults: LegFaults,
    pub(super) delay: Duration,
}

fn second_leg(args: &SendArgs, rate: SampleRate) -> Result<Option<SecondLeg>, SendError> {
    let Some(place) = &args.second_leg else { return Ok(None) };
    let to = SocketAddr::new(place.address, place.port.unwrap_or(args.port));
    let interface = place.interface.clone().or_else(|| args.interface.clone());
    if (to.ip(), to.port(), &interface) == (args.destination, args.port, &args.interface) {
        return Err(SendError::Usage(
            "the second leg is the first one again; give it another address, port or interface".into(),
        ));
    }
    let loss = args.leg_loss.unwrap_or_default();
    if loss > Chance::new(0.5).expect("a half is a probability") {
        return Err(SendError::Usage(
            "--leg-loss above 50% would lose packets on both legs; give 50% or less, and --loss for what is lost on both".into(),
        ));
    }
    let cuts = |cuts: &[Placed<At>]| {
        let span = |cut: &Placed<At>| Span { start: cut.at.position(rate), frames: cut.what.length(rate) };
        cuts.iter().map(span).collect()
    };
    let faults = LegFaults { loss, cuts: [cuts(&args.first_leg_cut), cuts(&args.second_leg_cut)] };
    let delay = args.second_leg_delay.unwrap_or(Nanos::ZERO).to_duration();
    Ok(Some(SecondLeg { to, interface, faults, delay }))
}

pub(super) fn plan(args: &SendArgs) -> Result<Plan, SendError> {
    let destination = SocketAddr::new(args.destination, args.port);
    if destination.ip().is_unspecified() {
        return Err(SendError::Usage(format!(
            "nothing can be sent to {}; give a multicast group, as 239.1.2.3, or a receiver's address",
            destination.ip()
        )));
    }
    let file = args.file.as_ref().map(WavReader::open).transpose()?;
    let (encoding, rate, channels) = audio(args, file.as_ref())?;
    let packet_frames = args.spp.unwrap_or_else(|| packet_frames(args.ptime.unwrap_or(1.0), rate));
    let format = Format { encoding, rate, channels, packet_frames };
    format.validate().map_err(|error| SendError::Usage(error.to_string()))?;

    let (source, label) = match (args.tone, file) {
        (_, Some(reader)) => {
            let path = args.file.as_ref().expect("the reader came from it");
            let label = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
            (Signal::File(WavSource::new(reader, args.repeat)), label)
        }
        (Some(hz), None) => {
            if hz * 2.0 >= f64::from(rate.hz()) {
                return Err(SendError::Usage(format!(
                    "a tone of {hz} Hz is not below half of {rate}; choose a lower one"
                )));
            }
            (Signal::Tone(Tone::new(hz, Dbfs(args.level), rate, encoding)), format!("Tone {hz} Hz"))
        }
        (None, None) => {
            let stream = args.stream_id;
            if stream >= streams(encoding) {
                return Err(SendError::Usage(format!(
                    "the index signal in {encoding} tells {} streams apart; give --stream-id 0 to {}",
                    streams(encoding),
                    streams(encoding) - 1
                )));
            }
            (Signal::Index(Index { stream, encoding }), format!("Index {stream}"))
        }
    };

    let seed = args.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let (ssrc, sequence, timestamp) = draw_identity(seed);
    let config = Config {
        format,
        payload_type: args.pt,
        ssrc: args.ssrc.unwrap_or(ssrc),
        first_sequence: args.first_seq.map_or(sequence, SeqNo),
        first_timestamp: args.first_timestamp.map_or(timestamp, RtpTime),
        packets: args.packets.or(args.duration.map(|time| packets_in(time, rate, packet_frames))),
        seed,
        impairments: impairments(args, rate),
    };
    Ok(Plan { config, source, destination, second: second_leg(args, rate)?, label })
}

/// The form of the audio: as asked, else as the file has it, else L24, 48 kHz, stereo.
fn audio(
    args: &SendArgs,
    file: Option<&WavReader>,
) -> Result<(Encoding, SampleRate, ChannelCount), SendError> {
    let Some(info) = file.map(WavReader::info) else {
        return Ok((
            args.encoding.unwrap_or(Encoding::L24),
            args.rate.unwrap_or(SampleRate::HZ_48000),
            args.channels.unwrap_or(ChannelCount::STEREO),
        ));
    };
    if info.frames == FrameCount::ZERO {
        return Err(SendError::Usage("the file holds no audio; give one that does".into()));
    }
    let spec = info.spec;
    if args.rate.is_some_and(|rate| rate != spec.rate) {
        return Err(SendError::Usage(format!(
            "the file has {}; leave --rate out or convert the file first",
            spec.rate
        )));
    }
    if args.channels.is_some_and(|channels| channels != spec.channels) {
        return Err(SendError::Usage(format!(
            "the file has {}; leave --channels out or convert the file first",
            counted(spec.channels.get() as u64, "channel")
        )));
    }
    let own = match spec.depth {
        PcmDepth::Pcm16 => Encoding::L16,
        PcmDepth::Pcm24 => Encoding::L24,
        PcmDepth::Float32 => {
            let sentence =
                "the file has 32-bit floats, of which L24 would cut bits off; convert it to 24 bit first";
            return Err(SendError::Usage(sentence.into()));
        }
    };
    if (own, args.encoding) == (Encoding::L24, Some(Encoding::L16)) {
        let sentence =
            "the file has 24 bit, of which L16 would cut 8 off; send it as L24 or convert the file first";
        return Err(SendError::Usage(sentence.into()));
    }
    Ok((args.encoding.unwrap_or(own), spec.rate, spec.channels))
}

/// Frames in a packet of `millis`. AES67's packet times are counts of frames at 48 kHz, which 44.1 kHz shares
/// (AES67-2018 §7.2); any other time is rounded to the nearest whole number of frames.
fn packet_frames(millis: f64, rate: SampleRate) -> u32 {
    let frames_at = |rate: SampleRate| (millis * f64::from(rate.hz()) / 1000.0).round() as u32;
    match (rate, frames_at(SampleRate::HZ_48000)) {
        (SampleRate::HZ_44100, named @ (6 | 12 | 16 | 48 | 192)) => named,
        _ => frames_at(rate),
    }
}

/// Packets that `time` takes, the last one begun counted whole; one at least.
fn packets_in(time: Nanos, rate: SampleRate, packet_frames: u32) -> u64 {
    rate.frames_in(time).0.div_ceil(u64::from(packet_frames)).max(1)
}

fn impairments(args: &SendArgs, rate: SampleRate) -> Impairments {
    let mut events = Vec::new();
    collect(&mut events, rate, &args.lose_at, |packets| Fault::Lose { packets });
    collect(&mut events, rate, &args.delay_at, |packets| Fault::Delay { packets });
    collect(&mut events, rate, &args.duplicate_at, |packets| Fault::Duplicate { packets });
    collect(&mut events, rate, &args.pause, |(length, kind)| Fault::Pause {
        length: length.length(rate),
        kind,
    });
    collect(&mut events, rate, &args.ssrc_change, |to| Fault::SsrcChange { to });
    collect(&mut events, rate, &args.sequence_reset, |to| Fault::SequenceReset { to });
    collect(&mut events, rate, &args.jump, |frames| Fault::Jump { frames });
    let or_none = |random: Option<Random>| random.unwrap_or_default();
    Impairments {
        loss: args.loss.unwrap_or_default(),
        burst: or_none(args.burst),
        reorder: or_none(args.reorder),
        duplicate: or_none(args.duplicate),
        events,
    }
}

fn collect<T: Copy>(events: &mut Vec<Event>, rate: SampleRate, of: &[Placed<T>], fault: impl Fn(T) -> Fault) {
    events.extend(of.iter().map(|one| Event { at: one.at.position(rate), fault: fault(one.what) }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_times_have_their_counts() {
        let (k44, k48, k96) = (SampleRate::HZ_44100, SampleRate::HZ_48000, SampleRate::HZ_96000);
        for (millis, at) in [
            (0.125, [6, 6, 12]),
            (0.12, [6, 6, 12]),
            (0.25, [12, 12, 24]),
            (1.0, [48, 48, 96]),
            (4.0, [192, 192, 384]),
        ] {
            assert_eq!([k44, k48, k96].map(|rate| packet_frames(millis, rate)), at, "{millis} ms");
        }
        assert_eq!([k44, k48, k96].map(|rate| packet_frames(0.333, rate)), [16, 16, 32]);
        assert_eq!(packet_frames(1.088, k44), 48);
        assert_eq!(packet_frames(2.0, k44), 88);
    }

    #[test]
    fn a_duration_is_whole_packets() {
        assert_eq!(packets_in(Nanos::from_secs(1), SampleRate::HZ_48000, 48), 1_000);
        assert_eq!(packets_in(Nanos::from_secs(1), SampleRate::HZ_44100, 48), 919);
        assert_eq!(packets_in(Nanos(1), SampleRate::HZ_48000, 48), 1);
    }
}
