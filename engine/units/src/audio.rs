//! Rates, channels, frames: what audio is counted in.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};

use crate::{Counted, Nanos};

/// A value that a unit cannot hold, with the range that it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfRange {
    /// What was being made, in the field's words.
    pub what: &'static str,
    /// The value that was refused.
    pub value: u64,
    /// The smallest value that is taken.
    pub min: u64,
    /// The largest value that is taken.
    pub max: u64,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} is outside {} to {}", self.what, self.value, self.min, self.max)
    }
}

impl core::error::Error for OutOfRange {}

/// Frames per second: 44,100, 48,000 or 96,000 (AES67-2018 §7.1), never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u32", into = "u32"))]
pub struct SampleRate(u32);

impl SampleRate {
    /// 44.1 kHz.
    pub const HZ_44100: Self = Self(44_100);
    /// 48 kHz, the rate that AES67 makes mandatory.
    pub const HZ_48000: Self = Self(48_000);
    /// 96 kHz.
    pub const HZ_96000: Self = Self(96_000);

    /// A rate in hertz; anything but the three rates of AES67 is refused.
    pub const fn new(hz: u32) -> Result<Self, OutOfRange> {
        match hz {
            44_100 | 48_000 | 96_000 => Ok(Self(hz)),
            _ => Err(OutOfRange {
                what: "sample rate (44100, 48000 or 96000)",
                value: hz as u64,
                min: 44_100,
                max: 96_000,
            }),
        }
    }

    /// The rate in hertz.
    pub const fn hz(self) -> u32 {
        self.0
    }

    /// How long `frames` last, rounded down to the nanosecond.
    pub const fn duration(self, frames: FrameCount) -> Nanos {
        // Days fit into 64 bits, where a division costs a tenth; this is on the way of each packet.
        match frames.0.checked_mul(1_000_000_000) {
            Some(product) => Nanos((product / self.0 as u64) as i64),
            None => Nanos((frames.0 as i128 * 1_000_000_000 / self.0 as i128) as i64),
        }
    }

    /// How many whole frames fit into `span`; a negative span holds none.
    pub const fn frames_in(self, span: Nanos) -> FrameCount {
        if span.0 <= 0 {
            return FrameCount(0);
        }
        match (span.0 as u64).checked_mul(self.0 as u64) {
            Some(product) => FrameCount(product / 1_000_000_000),
            None => FrameCount((span.0 as i128 * self.0 as i128 / 1_000_000_000) as u64),
        }
    }
}

impl TryFrom<u32> for SampleRate {
    type Error = OutOfRange;

    fn try_from(hz: u32) -> Result<Self, OutOfRange> {
        Self::new(hz)
    }
}

impl From<SampleRate> for u32 {
    fn from(rate: SampleRate) -> u32 {
        rate.0
    }
}

impl fmt::Display for SampleRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz", self.0)
    }
}

/// Channels of a flow or a file: 1 to 64 (ST 2110-30 level C is the widest).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u8", into = "u8"))]
pub struct ChannelCount(u8);

impl ChannelCount {
    /// One channel.
    pub const MONO: Self = Self(1);
    /// Two channels.
    pub const STEREO: Self = Self(2);
    /// The widest flow that is taken.
    pub const MAX: usize = 64;

    /// A count of channels, 1 to 64.
    pub const fn new(channels: u8) -> Result<Self, OutOfRange> {
        if channels >= 1 && channels as usize <= Self::MAX {
            Ok(Self(channels))
        } else {
            Err(OutOfRange { what: "channel count", value: channels as u64, min: 1, max: Self::MAX as u64 })
        }
    }

    /// The count, for arithmetic.
    pub const fn get(self) -> usize {
        self.0 as usize
    }

    /// The count with its noun, for sentences: "1 channel", "2 channels".
    pub const fn counted(self) -> Counted<'static> {
        Counted(self.0 as u64, "channel")
    }
}

impl TryFrom<u8> for ChannelCount {
    type Error = OutOfRange;

    fn try_from(channels: u8) -> Result<Self, OutOfRange> {
        Self::new(channels)
    }
}

impl From<ChannelCount> for u8 {
    fn from(channels: ChannelCount) -> u8 {
        channels.0
    }
}

impl fmt::Display for ChannelCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How a sample lies in an RTP payload: big-endian signed PCM (AES67-2018 §7.1; RFC 3551, RFC 3190).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Encoding {
    /// 16 bit.
    L16,
    /// 24 bit.
    L24,
}

impl Encoding {
    /// Bytes of one sample of one channel.
    pub const fn bytes(self) -> usize {
        match self {
            Self::L16 => 2,
            Self::L24 => 3,
        }
    }

    /// Bits of one sample.
    pub const fn bits(self) -> u16 {
        self.bytes() as u16 * 8
    }

    /// Bytes of one frame: one sample of each channel.
    pub const fn frame_bytes(self, channels: ChannelCount) -> usize {
        self.bytes() * channels.get()
    }

    /// The name that SDP gives it (`L16`, `L24`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::L16 => "L16",
            Self::L24 => "L24",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A length in frames; one frame is one sample of each channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct FrameCount(pub u64);

impl FrameCount {
    /// No frame.
    pub const ZERO: Self = Self(0);

    /// The length left when `other` is taken away, or none.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for FrameCount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for FrameCount {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl fmt::Display for FrameCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Counted(self.0, "frame").fmt(f)
    }
}

/// A position on a flow's media timeline: frames since the PTP epoch, 1970-01-01 00:00:00 TAI. It never wraps, and within a file
/// it never goes back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct FrameIndex(pub u64);

impl FrameIndex {
    /// The length from `earlier` to here; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> FrameCount {
        FrameCount(self.0.saturating_sub(earlier.0))
    }

    /// The signed distance from `other` to here, in frames.
    pub const fn distance_from(self, other: Self) -> i64 {
        self.0.wrapping_sub(other.0) as i64
    }
}

impl Add<FrameCount> for FrameIndex {
    type Output = Self;

    fn add(self, length: FrameCount) -> Self {
        Self(self.0 + length.0)
    }
}

impl AddAssign<FrameCount> for FrameIndex {
    fn add_assign(&mut self, length: FrameCount) {
        self.0 += length.0;
    }
}

impl Sub<FrameCount> for FrameIndex {
    type Output = Self;

    fn sub(self, length: FrameCount) -> Self {
        Self(self.0 - length.0)
    }
}

impl fmt::Display for FrameIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_exact_at_every_rate() {
        for hz in [44_100u32, 48_000, 96_000] {
            let rate = SampleRate::new(hz).unwrap();
            let hour = Nanos(3_600 * 1_000_000_000);
            assert_eq!(rate.frames_in(hour).0, 3_600 * u64::from(hz));
            assert_eq!(rate.duration(rate.frames_in(hour)), hour);
        }
    }

    #[test]
    fn decades_are_as_exact_as_milliseconds() {
        for hz in [44_100u32, 48_000, 96_000] {
            let rate = SampleRate::new(hz).unwrap();
            for seconds in [1, 86_400 * 3, 86_400 * 30, 86_400 * 365 * 56] {
                let span = Nanos::from_secs(seconds);
                assert_eq!(rate.frames_in(span).0, seconds as u64 * u64::from(hz));
                assert_eq!(rate.duration(rate.frames_in(span)), span);
            }
        }
    }

    #[test]
    fn refusals_name_the_value() {
        assert_eq!(SampleRate::new(0).unwrap_err().value, 0);
        assert_eq!(ChannelCount::new(65).unwrap_err().max, 64);
        assert!(ChannelCount::new(0).is_err());
    }

    #[test]
    fn a_negative_span_holds_no_frame() {
        assert_eq!(SampleRate::HZ_48000.frames_in(Nanos(-1)), FrameCount::ZERO);
    }
}
