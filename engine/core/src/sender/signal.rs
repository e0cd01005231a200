//! What the sender says: sources of samples, and the index signal that lets a checker know each sample again.
//!
//! Owns: tone and index, and the index's inverse. Never: a file, a clock, state that depends on how often it is
//! asked; a source's sample depends on its position alone.
//!
//! # The index signal
//!
//! Let *b* be the bits of the encoding (16 or 24), *p* a frame's position from 0 on, and
//! *i* = 64 × stream + channel. The sample, as a *b*-bit number, is
//!
//! ```text
//! v = p + i × (2p + 1)   mod 2^b        which is the same as        2v + 1 = (2p + 1)(2i + 1)   mod 2^(b+1)
//! ```
//!
//! Odd numbers are invertible modulo a power of two, so that
//!
//! - for one stream and channel, each position below 2^b has a value of its own ([`index_position_of`]): 349 s at
//!   24 bit and 48 kHz, 1.4 s at 16 bit;
//! - at one position, no two streams or channels have the same value, at no frame at all;
//! - two neighbouring frames of one channel differ by 2*i* + 1, so that a checker who knows nothing reads stream,
//!   channel and position out of two samples ([`index_identify`]).
//!
//! Stream 0, channel 0 is a plain ramp. Streams below 2^17 (L24) or 2^9 (L16) are told apart; see [`streams`].

use core::convert::Infallible;
use core::f64::consts::TAU;

use audyn_units::{ChannelCount, Dbfs, Encoding, FrameIndex, SampleRate};

/// Where samples come from: interleaved, left-justified `i32` (see `audyn_wire::pcm`).
pub trait Source {
    /// Why samples may fail to come.
    type Error;

    /// Writes the frames from `position` on; `out` is a whole number of frames of `channels` samples.
    ///
    /// Returns how many frames it wrote. Fewer than asked means that the source ends there. Positions are asked for
    /// in order and without a hole, whatever is lost on the way.
    fn fill(
        &mut self,
        position: FrameIndex,
        channels: ChannelCount,
        out: &mut [i32],
    ) -> Result<usize, Self::Error>;
}

/// A sine on all channels, in phase.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tone {
    hz: f64,
    peak: f64,
    rate: SampleRate,
    encoding: Encoding,
}

impl Tone {
    /// A sine of `hz` whose peak is at `level`; 0 dBFS is a sine that just reaches full scale (AES17). Samples are
    /// rounded to the encoding's bits, without dither.
    ///
    /// A frequency above half the rate folds back, and a level above 0 dBFS is taken as 0 dBFS.
    pub fn new(hz: f64, level: Dbfs, rate: SampleRate, encoding: Encoding) -> Self {
        let full_scale = f64::from((1i32 << (encoding.bits() - 1)) - 1);
        let peak = full_scale * 10f64.powf(f64::from(level.0.min(0.0)) / 20.0);
        Self { hz, peak, rate, encoding }
    }

    fn sample(&self, position: u64) -> i32 {
        // In turns first: the product stays exact to a billionth of a turn for days.
        let turns = (position as f64 * self.hz / f64::from(self.rate.hz())).fract();
        let value = (self.peak * (turns * TAU).sin()).round() as i32;
        value << (32 - self.encoding.bits())
    }
}

impl Source for Tone {
    type Error = Infallible;

    fn fill(
        &mut self,
        position: FrameIndex,
        channels: ChannelCount,
        out: &mut [i32],
    ) -> Result<usize, Infallible> {
        let mut frames = 0;
        for (frame, place) in out.chunks_exact_mut(channels.get()).zip(position.0..) {
            frame.fill(self.sample(place));
            frames += 1;
        }
        Ok(frames)
    }
}

/// The index signal of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Index {
    /// The stream's number, so that two streams are never taken for one another.
    pub stream: u32,
    /// The bits that the position is laid out in.
    pub encoding: Encoding,
}

impl Source for Index {
    type Error = Infallible;

    fn fill(
        &mut self,
        position: FrameIndex,
        channels: ChannelCount,
        out: &mut [i32],
    ) -> Result<usize, Infallible> {
        let mut frames = 0;
        for (frame, place) in out.chunks_exact_mut(channels.get()).zip(position.0..) {
            for (channel, sample) in frame.iter_mut().enumerate() {
                *sample = index_sample(self.stream, FrameIndex(place), channel, self.encoding);
            }
            frames += 1;
        }
        Ok(frames)
    }
}

/// How many streams the index signal can tell apart from two samples: those numbered 0 to this less 1.
pub const fn streams(encoding: Encoding) -> u32 {
    1 << (encoding.bits() as u32 - 1 - CHANNEL_BITS)
}

/// Channels of a stream that are told apart: 64.
const CHANNEL_BITS: u32 = ChannelCount::MAX.trailing_zeros();

const fn identity(stream: u32, channel: usize) -> u32 {
    (stream << CHANNEL_BITS).wrapping_add(channel as u32)
}

const fn mask(encoding: Encoding) -> u32 {
    (1 << encoding.bits()) - 1
}

/// The index signal's sample, left-justified. `channel` counts from 0.
pub const fn index_sample(stream: u32, position: FrameIndex, channel: usize, encoding: Encoding) -> i32 {
    let p = position.0 as u32;
    let v = p.wrapping_add(identity(stream, channel).wrapping_mul(p.wrapping_mul(2).wrapping_add(1)));
    (v << (32 - encoding.bits() as u32)) as i32
}

/// The position that a left-justified `sample` of a known stream and channel stands for, modulo 2^16 (L16) or
/// 2^24 (L24). Bits below the encoding's are not looked at.
pub const fn index_position_of(stream: u32, channel: usize, encoding: Encoding, sample: i32) -> FrameIndex {
    let v = sample as u32 >> (32 - encoding.bits() as u32);
    let slope = identity(stream, channel).wrapping_mul(2).wrapping_add(1);
    // v = p × slope + i; the slope is odd, so it has an inverse.
    let p = v.wrapping_sub(identity(stream, channel)).wrapping_mul(inverse(slope));
    FrameIndex((p & mask(encoding)) as u64)
}

/// Stream and channel out of one channel's samples of two neighbouring frames; none if they are no index signal of
/// one stream (a splice, silence, or other audio: half of all pairs by chance are refused).
pub const fn index_identify(first: i32, second: i32, encoding: Encoding) -> Option<(u32, usize)> {
    let shift = 32 - encoding.bits() as u32;
    let slope = (second as u32 >> shift).wrapping_sub(first as u32 >> shift) & mask(encoding);
    if slope & 1 == 0 {
        return None;
    }
    let identity = slope >> 1;
    Some((identity >> CHANNEL_BITS, (identity & ((1 << CHANNEL_BITS) - 1)) as usize))
}

/// The inverse of an odd number modulo 2^32, by Newton's iteration: each step doubles the bits that are right.
const fn inverse(odd: u32) -> u32 {
    let mut x = odd; // right in 3 bits, since odd × odd ≡ 1 mod 8
    let mut bits = 3;
    while bits < 32 {
        x = x.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(x)));
        bits *= 2;
    }
    x
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOTH: [Encoding; 2] = [Encoding::L16, Encoding::L24];

    #[test]
    fn the_definition_holds_in_both_forms() {
        for encoding in BOTH {
            let modulus = 1u64 << encoding.bits();
            for (stream, p, channel) in [(0, 0, 0), (0, 70_000, 0), (3, 1, 5), (17, 123_456_789, 63)] {
                let i = u64::from(stream) * 64 + channel as u64;
                let v = (p + i * (2 * p + 1)) % modulus;
                let sample = index_sample(stream, FrameIndex(p), channel, encoding);
                assert_eq!(u64::from(sample as u32), v << (32 - encoding.bits()));
                assert_eq!((2 * v + 1) % (2 * modulus), (2 * p + 1) * (2 * i + 1) % (2 * modulus));
            }
        }
    }

    #[test]
    fn stream_0_is_a_ramp_that_wraps() {
        let at = |p| index_sample(0, FrameIndex(p), 0, Encoding::L16);
        assert_eq!([at(0), at(1), at(0x8000), at(0xffff), at(0x1_0000)], [0, 1 << 16, i32::MIN, -1 << 16, 0]);
    }

    #[test]
    fn every_position_of_16_bit_has_its_own_value() {
        let mut seen = vec![false; 1 << 16];
        for p in 0..1u64 << 16 {
            let sample = index_sample(5, FrameIndex(p), 1, Encoding::L16);
            assert_eq!(index_position_of(5, 1, Encoding::L16, sample), FrameIndex(p));
            assert!(!core::mem::replace(&mut seen[(sample as u32 >> 16) as usize], true));
        }
    }

    #[test]
    fn a_tone_reaches_its_level_and_starts_at_zero() {
        let mut out = [0; 96];
        let mut tone = Tone::new(1000.0, Dbfs(0.0), SampleRate::HZ_48000, Encoding::L24);
        assert_eq!(tone.fill(FrameIndex(48_000_000), ChannelCount::STEREO, &mut out), Ok(48));
        assert_eq!((out[0], out[1]), (0, 0));
        assert_eq!(out[24], 0x7f_ffff << 8, "a quarter turn is 12 frames");
        assert_eq!(out[72], -0x7f_ffff << 8);
        assert!(out.chunks(2).all(|frame| frame[0] == frame[1] && frame[0] & 0xff == 0));

        let mut quiet = Tone::new(1000.0, Dbfs(-20.0), SampleRate::HZ_48000, Encoding::L16);
        quiet.fill(FrameIndex(0), ChannelCount::STEREO, &mut out).unwrap();
        assert_eq!(out[24] >> 16, 3277, "32767 / 10, rounded");
    }

    proptest! {
        #[test]
        fn a_sample_tells_its_position(p: u64, stream in 0u32..1 << 17, channel in 0usize..64) {
            for encoding in BOTH {
                let sample = index_sample(stream, FrameIndex(p), channel, encoding);
                let low_bits = p & u64::from(mask(encoding));
                prop_assert_eq!(index_position_of(stream, channel, encoding, sample), FrameIndex(low_bits));
            }
        }

        #[test]
        fn two_samples_tell_their_stream_and_channel(p in 0..u64::MAX, stream: u32, channel in 0usize..64) {
            for encoding in BOTH {
                let stream = stream % streams(encoding);
                let at = |p| index_sample(stream, FrameIndex(p), channel, encoding);
                prop_assert_eq!(index_identify(at(p), at(p + 1), encoding), Some((stream, channel)));
            }
        }

        #[test]
        fn no_two_streams_or_channels_ever_agree(p: u64, a in 0u32..512 * 64, b in 0u32..512 * 64) {
            prop_assume!(a != b);
            for encoding in BOTH {
                let at = |i: u32| index_sample(i / 64, FrameIndex(p), i as usize % 64, encoding);
                prop_assert_ne!(at(a), at(b));
            }
        }
    }
}
