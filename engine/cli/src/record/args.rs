//! The options of `audyn record`, and what they mean together.

use std::net::IpAddr;
use std::path::PathBuf;

use audyn_api::{
    ClockConfig, FormatConfig, LegConfig, OpusConfig, OpusMode, PtpChoice, SourceConfig, SourceId,
};
use audyn_core::archive::{ArchiveClock, ArchivePolicy, Layout};
use audyn_daemon::{Naming, clock_is_there};
use audyn_units::{ChannelCount, Encoding, FrameCount, Nanos, PayloadType, SampleRate, SkewClass};
use audyn_wire::sdp::{Media, SdpError, Session};
use clap::Args;

use super::RecordError;
use crate::legs::{self, SecondLeg};
use crate::values;

/// Examples at the end of `--help`.
const EXAMPLES: &str = "\
Examples:
  audyn record -o show.wav -m 239.69.1.10                 one file, stereo L24 at 48 kHz
  audyn record --archive-root /srv/audio studio-a.sdp     a file an hour, all from the sender's SDP
  audyn record -o mic7.wav -m 239.69.1.20 --stream-channels 8 --channel-offset 6 -c 1 --duration 60
  audyn record -o desk.wav -m 239.1.2.3 --encoding L16 --interface enp3s0 --json
  audyn record --archive-root /srv/audio studio-a.sdp --archive-clock ptp --ptp-interface enp3s0
  audyn record -o air.wav -m 239.1.0.1 --interface eth0 --second-leg 239.2.0.1@eth1   protected by ST 2022-7

Exit codes: 0 recorded, 1 it went wrong while running, 2 it was asked for wrongly.";

/// Ends of names that promise another file than any that is written. What is none of them is taken for WAV.
const OTHER_SUFFIXES: [&str; 12] =
    ["mp3", "ogg", "oga", "m4a", "aac", "ac3", "wma", "aif", "aiff", "caf", "w64", "wv"];

/// Record an AES67 stream: to WAV or FLAC, bit for bit, or to Opus.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RecordArgs {
    /// Session description (SDP) of the stream; the options below overrule it.
    #[arg(value_name = "SDP")]
    sdp: Option<PathBuf>,

    /// Record to this one file; it must not exist.
    #[arg(short, long, value_name = "FILE", conflicts_with = "archive_root", help_heading = "Where to")]
    output: Option<PathBuf>,
    /// Record to files below this directory, named and cut by the archive options.
    #[arg(long, value_name = "DIR", help_heading = "Where to")]
    archive_root: Option<PathBuf>,
    /// Names of the files: flat, hierarchy, combo, dailydir, accurate or custom.
    #[arg(
        long,
        conflicts_with = "output",
        value_name = "LAYOUT",
        default_value = "flat",
        help_heading = "Where to"
    )]
    archive_layout: Layout,
    /// strftime format for the layout custom, without suffix.
    #[arg(long, conflicts_with = "output", value_name = "FORMAT", help_heading = "Where to")]
    archive_format: Option<String>,
    /// Length of a file in seconds.
    #[arg(
        long,
        conflicts_with = "output",
        value_name = "SECONDS",
        default_value_t = 3_600,
        value_parser = values::within("length of a file in seconds", 1..=86_400u32),
        help_heading = "Where to"
    )]
    archive_period: u32,
    /// Clock of names and cuts: localtime, utc or ptp.
    #[arg(
        long,
        conflicts_with = "output",
        value_name = "CLOCK",
        default_value = "localtime",
        help_heading = "Where to"
    )]
    archive_clock: ArchiveClock,
    /// Format of the files: wav, flac or opus [default: as the name of -o ends, or wav].
    #[arg(long, value_name = "SUFFIX", help_heading = "Where to")]
    archive_suffix: Option<String>,
    /// A further format that is recorded at once, under the same name: wav, flac or opus.
    #[arg(long, value_name = "SUFFIX", help_heading = "Where to")]
    also: Vec<String>,
    /// Bitrate of Opus in bits per second, all channels together [default: 128000, more for more than two channels].
    #[arg(long, value_name = "BITS", value_parser = values::bitrate, help_heading = "Where to")]
    bitrate: Option<u32>,
    /// Opus as many bits as the signal needs; this is the default.
    #[arg(long, conflicts_with = "cbr", help_heading = "Where to")]
    vbr: bool,
    /// Opus packets all of one size.
    #[arg(long, help_heading = "Where to")]
    cbr: bool,
    /// How much work the Opus encoder may take: 0 to 10 [default: 5].
    #[arg(long, value_name = "N", value_parser = values::complexity, help_heading = "Where to")]
    complexity: Option<u8>,
    /// Depth of WAV and FLAC: 16 (a 24-bit stream is dithered), 24, or in WAV 32 for floats; as the stream unless given.
    #[arg(long, value_name = "BITS", value_parser = values::depth, help_heading = "Where to")]
    bits: Option<u16>,
    /// End after so much audio, in seconds or as 500ms.
    #[arg(long, value_name = "TIME", value_parser = values::duration, help_heading = "Where to")]
    pub(super) duration: Option<Nanos>,

    /// Multicast group, or the address of this machine that the stream is sent to.
    #[arg(short = 'm', long, value_name = "IP", value_parser = values::address, help_heading = "What")]
    address: Option<IpAddr>,
    /// UDP port [default: 5004].
    #[arg(short, long, value_parser = values::port, help_heading = "What")]
    port: Option<u16>,
    /// Network interface, by name or address.
    #[arg(long, value_name = "IF", help_heading = "What")]
    interface: Option<String>,
    /// Where the stream comes a second time (ST 2022-7): ADDR[:PORT][@IF]; none leaves out the one that the SDP names.
    #[arg(long, value_name = "PLACE", value_parser = legs::second_leg, help_heading = "What")]
    second_leg: Option<SecondLeg>,
    /// By how much one leg may lag behind the other: a (10 ms), b (50 ms) or c (450 ms).
    #[arg(long, value_name = "CLASS", default_value = "a", value_parser = values::skew, help_heading = "What")]
    skew: SkewClass,
    /// RTP payload type [default: 96].
    #[arg(long, value_name = "PT", value_parser = values::payload_type, help_heading = "What")]
    pt: Option<PayloadType>,
    /// Encoding of the stream: L16 or L24 [default: L24].
    #[arg(long, value_parser = values::encoding, help_heading = "What")]
    encoding: Option<Encoding>,
    /// Sample rate: 44100, 48000 or 96000 [default: 48000].
    #[arg(short, long, value_parser = values::rate, help_heading = "What")]
    rate: Option<SampleRate>,
    /// Channels to record [default: all of the stream, or 2].
    #[arg(short, long, value_parser = values::channels, help_heading = "What")]
    channels: Option<ChannelCount>,
    /// Channels of the stream, where it has more than are recorded.
    #[arg(long, value_name = "N", value_parser = values::channels, help_heading = "What")]
    stream_channels: Option<ChannelCount>,
    /// First channel to record, counted from 0.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = values::within("channel, counted from 0", 0..=63u8), help_heading = "What")]
    channel_offset: u8,
    /// Frames in a packet, if known; the packets themselves are believed.
    #[arg(long, value_name = "FRAMES", value_parser = values::within("number of frames", 1..=744u16), help_heading = "What")]
    spp: Option<u16>,
    /// RTP timestamp less the sender's media clock, as a=mediaclk:direct= of its SDP [default: 0]
    #[arg(long, value_name = "FRAMES", value_parser = values::within("number of frames", 0..=u32::MAX), help_heading = "What")]
    media_clock_offset: Option<u32>,
    /// TAI less UTC in seconds (37 since 2017), if nobody has told it to the kernel.
    #[arg(long, value_name = "SECONDS", value_parser = values::tai_offset, help_heading = "What")]
    pub(super) tai_offset: Option<i32>,
    /// Receive buffer of the socket, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 4_194_304, value_parser = values::within("receive buffer in bytes", 65_536..=268_435_456usize), help_heading = "What")]
    pub(super) rcvbuf: usize,

    /// PTP hardware clock to judge the clock by, as /dev/ptp0; that of the interface unless given.
    #[arg(long, value_name = "DEVICE", help_heading = "Clock")]
    ptp_device: Option<PathBuf>,
    /// Network interface whose PTP the clock is judged by; every ptp4l of this machine unless given.
    #[arg(long, value_name = "IF", help_heading = "Clock")]
    ptp_interface: Option<String>,
    /// Use no hardware clock: the system clock and the TAI offset, with the kernel's time stamps.
    #[arg(long, conflicts_with = "ptp_device", help_heading = "Clock")]
    ptp_software: bool,

    /// Print the levels to standard output, a line each interval.
    #[arg(long, help_heading = "What is shown")]
    pub(super) levels: bool,
    /// Time between two lines of levels, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 33, value_parser = values::within("interval in milliseconds", 10..=60_000u32), help_heading = "What is shown")]
    pub(super) levels_interval: u32,
    /// Say more: once for what the engine does, twice for everything.
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = "What is shown")]
    pub(super) verbose: u8,
    /// Show nothing while recording.
    #[arg(short, long, conflicts_with = "verbose", help_heading = "What is shown")]
    pub(super) quiet: bool,

    #[command(flatten)]
    later: LaterArgs,
}

/// Options that other recorders have and this one will have. Each is refused by name.
#[derive(Debug, Args)]
struct LaterArgs {
    #[arg(long, hide = true, num_args = 0..=1)]
    pipewire: Option<Option<String>>,
    #[arg(long, hide = true)]
    vox: bool,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    vox_threshold: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    vox_release: Option<String>,
    #[arg(long, hide = true)]
    vox_detection: Option<String>,
    #[arg(long, hide = true)]
    vox_hangover: Option<String>,
    #[arg(long, hide = true)]
    vox_preroll: Option<String>,
    #[arg(long, hide = true)]
    vox_level: Option<String>,
}

impl LaterArgs {
    /// The first of them that was given, with what it belongs to.
    fn given(&self) -> Option<(&'static str, &'static str)> {
        let pipewire = "recording from PipeWire";
        let vox = "recording on voice";
        [
            (self.pipewire.is_some(), "--pipewire", pipewire),
            (self.vox, "--vox", vox),
            (self.vox_threshold.is_some(), "--vox-threshold", vox),
            (self.vox_release.is_some(), "--vox-release", vox),
            (self.vox_detection.is_some(), "--vox-detection", vox),
            (self.vox_hangover.is_some(), "--vox-hangover", vox),
            (self.vox_preroll.is_some(), "--vox-preroll", vox),
            (self.vox_level.is_some(), "--vox-level", vox),
        ]
        .into_iter()
        .find_map(|(given, option, what)| given.then_some((option, what)))
    }
}

/// What is recorded, from where to where.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) source: SourceConfig,
    pub(super) channels: Vec<u8>,
    /// Formats of the files, the first one's suffix being that of their name.
    pub(super) formats: Vec<FormatConfig>,
    pub(super) opus: OpusConfig,
    pub(super) naming: Naming,
    pub(super) clock: ClockConfig,
    /// What was odd about the session description.
    pub(super) oddities: Vec<String>,
}

impl RecordArgs {
    /// Checks everything that can be checked before anything is opened.
    pub(super) fn plan(&self) -> Result<Plan, RecordError> {
        if let Some((option, what)) = self.later.given() {
            return Err(RecordError::NotYet { option, what });
        }
        let (formats, opus) = self.formats()?;
        let (mut source, oddities) = match &self.sdp {
            // Another leg or another stream than the description's: what it says of its legs concerns nobody.
            Some(path) => from_sdp(path, self.address.is_none() && self.second_leg.is_none())?,
            None => (self.plain_source()?, Vec::new()),
        };
        self.overrule(&mut source);
        if self.duration.is_some_and(|time| source.rate.frames_in(time) == FrameCount::ZERO) {
            return Err(RecordError::NoDuration);
        }
        if let Some(second) = &source.second_leg
            && (second.address, second.port, &second.interface)
                == (source.address, source.port, &source.interface)
        {
            return Err(RecordError::SameLeg);
        }
        let channels = self.pick(source.channels)?;
        let count =
            ChannelCount::new(channels.len() as u8).expect("they were picked from a stream's channels");
        audyn_daemon::formats_of(&formats, &opus, source.rate, count, source.encoding)
            .map_err(RecordError::Format)?;
        let (naming, clock) = (self.naming()?, self.clock()?);
        Ok(Plan { source, channels, formats, opus, naming, clock, oddities })
    }

    /// The formats of the files, and how Opus is encoded.
    fn formats(&self) -> Result<(Vec<FormatConfig>, OpusConfig), RecordError> {
        let named = self.output.as_ref().and_then(|path| path.extension()?.to_str());
        if let Some(other) = named.filter(|suffix| OTHER_SUFFIXES.contains(suffix))
            && self.archive_suffix.is_none()
        {
            return Err(RecordError::OtherSuffix(other.to_owned()));
        }
        let named = named.filter(|suffix| ["wav", "flac", "opus"].contains(suffix));
        if let (Some(named), Some(suffix)) = (named, &self.archive_suffix)
            && named != suffix
        {
            return Err(RecordError::TwoSuffixes(named.to_owned(), suffix.clone()));
        }
        let first = self.archive_suffix.as_deref().or(named).unwrap_or("wav");
        let suffixes = std::iter::once(first).chain(self.also.iter().map(String::as_str));
        let formats: Vec<FormatConfig> =
            suffixes.map(|suffix| self.format(suffix)).collect::<Result<_, _>>()?;
        let given = [
            (self.bitrate.is_some(), "--bitrate"),
            (self.vbr, "--vbr"),
            (self.cbr, "--cbr"),
            (self.complexity.is_some(), "--complexity"),
        ];
        if let Some((_, option)) = given.into_iter().find(|(given, _)| *given)
            && !formats.contains(&FormatConfig::Opus)
        {
            return Err(RecordError::NoOpus(option));
        }
        let defaults = OpusConfig::default();
        let opus = OpusConfig {
            bitrate: self.bitrate,
            mode: if self.cbr { OpusMode::Cbr } else { OpusMode::Vbr },
            complexity: self.complexity.unwrap_or(defaults.complexity),
            ..defaults
        };
        Ok((formats, opus))
    }

    fn format(&self, suffix: &str) -> Result<FormatConfig, RecordError> {
        match (suffix, self.bits) {
            ("wav", None) => Ok(FormatConfig::Wav),
            ("wav", Some(16)) => Ok(FormatConfig::Wav16),
            ("wav", Some(24)) => Ok(FormatConfig::Wav24),
            ("wav", Some(32)) => Ok(FormatConfig::Wav32f),
            ("wav", Some(bits)) => Err(RecordError::Bits(bits, "WAV")),
            ("flac", None) => Ok(FormatConfig::Flac),
            ("flac", Some(16)) => Ok(FormatConfig::Flac16),
            ("flac", Some(24)) => Ok(FormatConfig::Flac24),
            ("flac", Some(bits)) => Err(RecordError::Bits(bits, "FLAC")),
            ("opus", _) => Ok(FormatConfig::Opus),
            (other, _) => Err(RecordError::Suffix(other.to_owned())),
        }
    }

    fn plain_source(&self) -> Result<SourceConfig, RecordError> {
        let address = self.address.ok_or(RecordError::NoSource)?;
        Ok(SourceConfig {
            id: source_id(),
            name: address.to_string(),
            description: String::new(),
            address,
            port: 5004,
            payload_type: PayloadType::DYNAMIC,
            encoding: Encoding::L24,
            rate: SampleRate::HZ_48000,
            channels: self.channels.unwrap_or(ChannelCount::STEREO),
            packet_frames: None,
            interface: None,
            source_filter: None,
            channel_names: Vec::new(),
            media_clock_offset: None,
            ref_clock: None,
            second_leg: None,
            skew: SkewClass::A,
        })
    }

    fn overrule(&self, source: &mut SourceConfig) {
        if self.address.is_some() {
            // Another stream than the description's: its second leg is not that one's.
            source.second_leg = None;
        }
        source.address = self.address.unwrap_or(source.address);
        source.port = self.port.unwrap_or(source.port);
        source.payload_type = self.pt.unwrap_or(source.payload_type);
        source.encoding = self.encoding.unwrap_or(source.encoding);
        source.rate = self.rate.unwrap_or(source.rate);
        source.channels = self.stream_channels.unwrap_or(source.channels);
        source.packet_frames = self.spp.or(source.packet_frames);
        source.media_clock_offset = self.media_clock_offset.or(source.media_clock_offset);
        source.interface = self.interface.clone().or_else(|| source.interface.take());
        source.skew = self.skew;
        if let Some(second) = &mut source.second_leg {
            second.interface.clone_from(&source.interface);
        }
        match &self.second_leg {
            Some(SecondLeg::At(place)) => {
                source.second_leg = Some(Box::new(LegConfig {
                    address: place.address,
                    port: place.port.unwrap_or(source.port),
                    interface: place.interface.clone().or_else(|| source.interface.clone()),
                    source_filter: None,
                }));
            }
            Some(SecondLeg::None) => source.second_leg = None,
            None => {}
        }
    }

    fn pick(&self, stream: ChannelCount) -> Result<Vec<u8>, RecordError> {
        let first = usize::from(self.channel_offset);
        let count = self.channels.map_or(stream.get().saturating_sub(first), ChannelCount::get);
        if count == 0 || first + count > stream.get() {
            return Err(RecordError::Channels { first, count, stream: stream.get() });
        }
        Ok((first..first + count).map(|channel| channel as u8).collect())
    }

    /// Whether the clock is asked for by name, so that what is wrong with it concerns the user.
    pub(super) fn asks_for_ptp(&self) -> bool {
        self.ptp_device.is_some()
            || self.ptp_interface.is_some()
            || self.ptp_software
            || self.archive_clock == ArchiveClock::Ptp
    }

    /// Whom the clock is judged by. What is not there is refused at once: it was asked for by name.
    pub(super) fn clock(&self) -> Result<ClockConfig, RecordError> {
        let clock = ClockConfig {
            ptp: if self.ptp_software { PtpChoice::Software } else { PtpChoice::Auto },
            interface: self.ptp_interface.clone(),
            device: self.ptp_device.as_ref().map(|path| path.display().to_string()),
            ..ClockConfig::default()
        };
        clock_is_there(&clock).map_err(RecordError::Clock)?;
        Ok(clock)
    }

    fn naming(&self) -> Result<Naming, RecordError> {
        match (&self.output, &self.archive_root) {
            (Some(file), _) => Ok(Naming::File(file.clone())),
            (None, Some(root)) => {
                let policy = ArchivePolicy::new(
                    self.archive_layout,
                    self.archive_format.clone(),
                    self.archive_period,
                    self.archive_clock,
                )?;
                Ok(Naming::Archive {
                    root: root.clone(),
                    below: PathBuf::new(),
                    policy,
                    zone: audyn_daemon::local_zone(),
                })
            }
            (None, None) => Err(RecordError::NoDestination),
        }
    }
}

fn source_id() -> SourceId {
    SourceId::new("stream").expect("the characters are those that an identifier takes")
}

/// What a description says of its first stream, `with_legs` if those that protect it are wanted; and what is odd about it.
fn from_sdp(path: &std::path::Path, with_legs: bool) -> Result<(SourceConfig, Vec<String>), RecordError> {
    let text =
        std::fs::read(path).map_err(|source| RecordError::SdpFile { path: path.to_owned(), source })?;
    let wrong = |source| match source {
        SdpError::Legs { .. } => RecordError::SdpLegs { path: path.to_owned(), source },
        source => RecordError::Sdp { path: path.to_owned(), source },
    };
    let session = Session::parse(text).map_err(wrong)?;
    let legs = if with_legs { session.legs() } else { session.flow().map(|flow| vec![flow]) };
    let legs = legs.map_err(wrong)?;
    let media = legs[0];
    let mut oddities = session.oddities.clone();
    if legs.len() > 2 {
        oddities.push(format!("the stream has {} legs, of which the first two are received", legs.len()));
    }
    let source = SourceConfig {
        id: source_id(),
        name: session.name.clone(),
        description: String::new(),
        address: media.address,
        port: media.port,
        payload_type: media.payload_type,
        encoding: media.encoding,
        rate: media.rate,
        channels: media.channels,
        packet_frames: media.packet_frames.and_then(|frames| u16::try_from(frames).ok()),
        interface: None,
        source_filter: only_sender(media),
        channel_names: media.channel_names.clone(),
        media_clock_offset: media.media_clock_offset,
        ref_clock: media.ref_clock.clone(),
        second_leg: legs.get(1).map(|leg| {
            Box::new(LegConfig {
                address: leg.address,
                port: leg.port,
                interface: None,
                source_filter: only_sender(leg),
            })
        }),
        skew: SkewClass::A,
    };
    Ok((source, oddities))
}

/// The sender that a group is taken from, where the description names just one.
fn only_sender(media: &Media) -> Option<std::net::IpAddr> {
    match media.source_filter.as_slice() {
        [only] if media.address.is_multicast() => Some(*only),
        _ => None,
    }
}
