//! What is configured, as it stands in the JSON files and as it crosses the socket.
//!
//! The engine is the only writer. Shape errors (unknown or missing fields) are serde's; what a value means is
//! checked by the engine, whole, before anything changes.
//!
//! Only serde attributes that postcard can follow are used here: no `tag`, `untagged`, `flatten` or
//! `skip_serializing_if`. On the socket every field is there; in the files the engine leaves out the later ones (`retention`, `volume`, `mirror`)
//! where they have their defaults, since an older engine refuses what it doesn't know, and a box must be able to go back to one.

use std::fmt;
use std::net::IpAddr;

use audyn_units::{ChannelCount, Encoding, PayloadType, SampleRate, SkewClass};
use serde::{Deserialize, Serialize};

use crate::clock::ClockConfig;
use crate::legs::LegConfig;
use crate::retention::{RetentionConfig, VolumeConfig};

/// Names a recorder: 1 to 32 of `a–z`, `0–9`, `-` and `_`, so that it can be a directory and part of a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecorderId(String);

/// Names a source; the same characters as [`RecorderId`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceId(String);

/// An identifier that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be an identifier: use 1 to 32 of a–z, 0–9, `-` and `_`, starting with a letter or digit"
)]
pub struct BadId(pub String);

fn check_id(id: String) -> Result<String, BadId> {
    let mut bytes = id.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let rest = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    if first && rest && id.len() <= 32 { Ok(id) } else { Err(BadId(id)) }
}

macro_rules! id_impls {
    ($name:ident) => {
        impl $name {
            /// An identifier, checked.
            pub fn new(id: impl Into<String>) -> Result<Self, BadId> {
                check_id(id.into()).map(Self)
            }

            /// The characters.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;

            fn try_from(id: String) -> Result<Self, BadId> {
                check_id(id).map(Self)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
id_impls!(RecorderId);
id_impls!(SourceId);

/// `global.json`: what holds for the whole engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GlobalConfig {
    /// Directory below which each recorder has its own (absolute path).
    pub archive_root: String,
    /// Recorders that may be enabled at once: 1 to 64.
    pub active_recorders: u8,
    /// Period of the capture thread's wake-ups in microseconds: 1,000 to 20,000.
    pub capture_period_micros: u32,
    /// Receive buffer asked for each flow's socket, in bytes.
    pub receive_buffer_bytes: u32,
    /// SCHED_FIFO priority of the capture thread: 1 to 99; 0 leaves it at normal priority.
    pub fifo_priority: u8,
    /// Wait for the disk (fdatasync) about once a second; off leaves it to the kernel.
    pub sync_every_second: bool,
    /// TAI − UTC in seconds (37 since 2017), 1 to 255, for a machine whose kernel nobody tells it. It changes with the next leap
    /// second, so leave it out where PTP or chrony tells it.
    pub tai_offset_seconds: Option<i32>,
    /// Whom the clock is judged by.
    pub clock: ClockConfig,
    /// The room that the archive's volume shall keep, and the mirror's.
    pub volume: VolumeConfig,
    /// Directory on a second volume that gets every recording as well (absolute path); none for no mirror. It is not made.
    pub mirror: Option<String>,
}

impl Default for GlobalConfig {
    fn default() -> Self {
        Self {
            archive_root: "/var/lib/audyn/recordings".to_owned(),
            active_recorders: 6,
            capture_period_micros: 4_000,
            receive_buffer_bytes: 4_194_304,
            fifo_priority: 50,
            sync_every_second: true,
            tai_offset_seconds: None,
            clock: ClockConfig::default(),
            volume: VolumeConfig::default(),
            mirror: None,
        }
    }
}

/// One recorder of `recorders.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecorderConfig {
    /// Its identifier; also its directory below the archive root.
    pub id: RecorderId,
    /// Its name for people.
    pub name: String,
    /// An enabled recorder always receives and meters.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Whether an enabled recorder starts recording when the engine starts.
    #[serde(default = "yes")]
    pub auto_start: bool,
    /// The studio that it is assigned to; the engine only carries it.
    #[serde(default)]
    pub studio_id: Option<String>,
    /// The source that it records; none leaves it idle.
    #[serde(default)]
    pub source_id: Option<SourceId>,
    /// Which channels of the source, in file order, counted from 0; empty takes all.
    #[serde(default)]
    pub channels: Vec<u8>,
    /// The files' format.
    #[serde(default)]
    pub format: FormatConfig,
    /// Further formats of the same recording, written at once under the same names with their own suffix.
    #[serde(default)]
    pub also: Vec<FormatConfig>,
    /// How Opus is encoded, where it is among the formats.
    #[serde(default)]
    pub opus: OpusConfig,
    /// Where the files go and how they are named.
    #[serde(default)]
    pub archive: ArchiveConfig,
    /// What it keeps; everything, if nothing is said.
    #[serde(default)]
    pub retention: RetentionConfig,
}

fn yes() -> bool {
    true
}

/// The format that a recorder writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FormatConfig {
    /// WAV as deep as the source: 16 bit for L16, 24 bit for L24.
    #[default]
    Wav,
    /// 16-bit WAV; a 24-bit source is dithered.
    Wav16,
    /// 24-bit WAV.
    Wav24,
    /// WAV of 32-bit floats: what came, bit for bit, for programs that count in floats.
    #[serde(rename = "wav32f")]
    Wav32f,
    /// FLAC as deep as the source, at most 8 channels.
    Flac,
    /// 16-bit FLAC; a 24-bit source is dithered.
    Flac16,
    /// 24-bit FLAC.
    Flac24,
    /// Ogg Opus: small, and not what came bit for bit.
    Opus,
}

impl FormatConfig {
    /// The suffix of its files.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Wav | Self::Wav16 | Self::Wav24 | Self::Wav32f => "wav",
            Self::Flac | Self::Flac16 | Self::Flac24 => "flac",
            Self::Opus => "opus",
        }
    }
}

/// How Opus is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OpusConfig {
    /// Bits per second of all channels together: 6,000 to 510,000 for one or two channels, as much for each of more. None: 128,000,
    /// and 64,000 for each channel of more than two.
    pub bitrate: Option<u32>,
    /// How the bitrate is kept.
    pub mode: OpusMode,
    /// How much work the encoder may take: 0 to 10.
    pub complexity: u8,
    /// What the encoder is to favour.
    pub application: OpusApplication,
}

impl Default for OpusConfig {
    fn default() -> Self {
        Self { bitrate: None, mode: OpusMode::Vbr, complexity: 5, application: OpusApplication::Audio }
    }
}

/// How Opus keeps its bitrate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpusMode {
    /// As many bits as the signal needs; the bitrate is a mean.
    #[default]
    Vbr,
    /// The same, but within what a line of that bitrate carries.
    ConstrainedVbr,
    /// Each packet has the same size.
    Cbr,
}

/// What Opus favours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpusApplication {
    /// That it sounds like the original.
    #[default]
    Audio,
    /// That speech is understood.
    Voip,
    /// The shortest delay.
    LowDelay,
}

/// Archive layout; the names and their strftime formats are those of the archive policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `2026-01-10-14.wav`
    #[default]
    Flat,
    /// `2026/01/10/14/archive.wav`
    Hierarchy,
    /// `2026/01/10/14/2026-01-10-14.wav`
    Combo,
    /// `2026-01-10/2026-01-10-14.wav`
    DailyDir,
    /// `2026-01-10/2026-01-10-14-30-00-00.wav`
    Accurate,
    /// [`ArchiveConfig::custom_format`].
    Custom,
}

/// The clock that names follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArchiveClock {
    /// The machine's time zone.
    #[default]
    LocalTime,
    /// UTC.
    Utc,
    /// TAI, as PTP counts it; needs a TAI offset that somebody told the kernel.
    Ptp,
}

/// Where a recorder's files go and how they are named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArchiveConfig {
    /// Layout of directories and names.
    pub layout: Layout,
    /// strftime format without suffix, for [`Layout::Custom`] only.
    pub custom_format: Option<String>,
    /// Length of a segment in seconds: 1 to 86,400.
    pub period_seconds: u32,
    /// The clock that boundaries and names follow.
    pub clock: ArchiveClock,
}

impl Default for ArchiveConfig {
    fn default() -> Self {
        Self {
            layout: Layout::Flat,
            custom_format: None,
            period_seconds: 3_600,
            clock: ArchiveClock::LocalTime,
        }
    }
}

/// One source of `sources.json`: an AES67 flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// Its identifier.
    pub id: SourceId,
    /// Its name for people.
    pub name: String,
    /// What it is, for people.
    #[serde(default)]
    pub description: String,
    /// Multicast group, or the local unicast address that it is sent to.
    pub address: IpAddr,
    /// UDP port.
    #[serde(default = "rtp_port")]
    pub port: u16,
    /// RTP payload type.
    #[serde(default = "dynamic")]
    pub payload_type: PayloadType,
    /// Sample encoding.
    #[serde(default = "l24")]
    pub encoding: Encoding,
    /// Sample rate in hertz.
    #[serde(default = "rate")]
    pub rate: SampleRate,
    /// Channels of the flow.
    #[serde(default = "stereo")]
    pub channels: ChannelCount,
    /// Frames in a packet, if known; the packets themselves are believed.
    #[serde(default)]
    pub packet_frames: Option<u16>,
    /// Network interface by name or address; none lets the routing table choose.
    #[serde(default)]
    pub interface: Option<String>,
    /// Accept only this sender (source-specific multicast, RFC 4607).
    #[serde(default)]
    pub source_filter: Option<IpAddr>,
    /// Names of the flow's channels, in order; missing ones are numbered.
    #[serde(default)]
    pub channel_names: Vec<String>,
    /// RTP timestamp less media clock (`a=mediaclk:direct=` of the SDP); none tries 0.
    #[serde(default)]
    pub media_clock_offset: Option<u32>,
    /// The clock that the sender follows, as its SDP says after `a=ts-refclk:`. Told where it isn't this machine's.
    #[serde(default)]
    pub ref_clock: Option<String>,
    /// The same flow a second time, on a way of its own (ST 2022-7).
    #[serde(default)]
    pub second_leg: Option<Box<LegConfig>>,
    /// By how much one leg may lag behind the other: `a` (10 ms), `b` (50 ms) or `c` (450 ms). Means nothing without a
    /// second leg.
    #[serde(default)]
    pub skew: SkewClass,
}

pub(crate) fn rtp_port() -> u16 {
    5004
}
fn dynamic() -> PayloadType {
    PayloadType::DYNAMIC
}
fn l24() -> Encoding {
    Encoding::L24
}
fn rate() -> SampleRate {
    SampleRate::HZ_48000
}
fn stereo() -> ChannelCount {
    ChannelCount::STEREO
}

/// The whole configuration with the revision that a change must name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConfigDocument {
    /// Rises by one at each change.
    pub revision: u64,
    /// `global.json`
    pub global: GlobalConfig,
    /// `recorders.json`
    pub recorders: Vec<RecorderConfig>,
    /// `sources.json`
    pub sources: Vec<SourceConfig>,
}
