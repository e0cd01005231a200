//! Linear PCM as AES67 carries it: big-endian, signed, interleaved (AES67-2018 §7.1; L16 RFC 3551 §4.5.11, L24
//! RFC 3190 §4).
//!
//! Owns: the change between payload bytes and the engine's one form of a sample. Never: dither, gain, rounding,
//! a channel map; what is decoded is bit for bit what was sent.
//!
//! The engine's form: interleaved `i32`, **left-justified** to 32 bit: an L16 sample is shifted up by 16, an L24
//! sample by 8, the low bits are 0. Full scale is `i32::MIN` to `i32::MAX` whatever the encoding, so a level or a
//! gain needs no knowledge of it.
//!
//! Both directions go over fixed-size chunks with equal lengths, which the compiler turns into vector code.

use audyn_units::{ChannelCount, Encoding, FrameCount};

/// Decodes as many whole samples as both `payload` and `out` hold; returns how many that were.
///
/// `out` is in samples, not frames. Bytes after the last whole sample are left alone, as is the rest of `out`.
#[inline]
pub fn decode(encoding: Encoding, payload: &[u8], out: &mut [i32]) -> usize {
    let samples = out.len().min(payload.len() / encoding.bytes());
    let out = &mut out[..samples];
    match encoding {
        Encoding::L16 => {
            for (bytes, sample) in payload.chunks_exact(2).zip(out) {
                *sample = i32::from_be_bytes([bytes[0], bytes[1], 0, 0]);
            }
        }
        Encoding::L24 => {
            for (bytes, sample) in payload.chunks_exact(3).zip(out) {
                *sample = i32::from_be_bytes([bytes[0], bytes[1], bytes[2], 0]);
            }
        }
    }
    samples
}

/// Encodes as many samples as both `samples` and `out` hold; returns how many bytes of `out` that filled.
///
/// The bits below the encoding's last are cut off, not rounded: a sample that came from [`decode`] goes back
/// unchanged.
#[inline]
pub fn encode(encoding: Encoding, samples: &[i32], out: &mut [u8]) -> usize {
    match encoding {
        Encoding::L16 => {
            for (bytes, sample) in out.chunks_exact_mut(2).zip(samples) {
                bytes.copy_from_slice(&sample.to_be_bytes()[..2]);
            }
        }
        Encoding::L24 => {
            for (bytes, sample) in out.chunks_exact_mut(3).zip(samples) {
                bytes.copy_from_slice(&sample.to_be_bytes()[..3]);
            }
        }
    }
    samples.len().min(out.len() / encoding.bytes()) * encoding.bytes()
}

/// How many frames a payload of `bytes` holds, or `None` if it is not a whole number of frames.
pub const fn frames_in(encoding: Encoding, channels: ChannelCount, bytes: usize) -> Option<FrameCount> {
    let frame = encoding.frame_bytes(channels);
    if bytes.is_multiple_of(frame) { Some(FrameCount((bytes / frame) as u64)) } else { None }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn samples_are_left_justified() {
        let mut out = [7; 5];
        let l16 = [0x80, 0x00, 0x7f, 0xff, 0xff, 0xff, 0x00, 0x01];
        assert_eq!(decode(Encoding::L16, &l16, &mut out), 4);
        assert_eq!(out, [i32::MIN, 0x7fff_0000, -0x1_0000, 0x1_0000, 7]);

        let l24 = [0x80, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x02, 0x03];
        assert_eq!(decode(Encoding::L24, &l24, &mut out), 4);
        assert_eq!(out, [i32::MIN, 0x7fff_ff00, -0x100, 0x0102_0300, 7]);
    }

    #[test]
    fn encoding_cuts_the_low_bits_off() {
        let mut out = [9; 7];
        assert_eq!(encode(Encoding::L16, &[0x7fff_ffff, -1], &mut out), 4);
        assert_eq!(out, [0x7f, 0xff, 0xff, 0xff, 9, 9, 9]);
        assert_eq!(encode(Encoding::L24, &[0x0102_03ff, i32::MIN], &mut out), 6);
        assert_eq!(out, [1, 2, 3, 0x80, 0, 0, 9]);
    }

    #[test]
    fn the_shorter_side_bounds_the_work() {
        let mut out = [5; 2];
        assert_eq!(decode(Encoding::L24, &[1; 11], &mut out), 2);
        assert_eq!(decode(Encoding::L24, &[1; 2], &mut out), 0);
        let mut bytes = [0; 5];
        assert_eq!(encode(Encoding::L16, &[1 << 16; 9], &mut bytes), 4);
        assert_eq!(bytes, [0, 1, 0, 1, 0]);
    }

    #[test]
    fn only_whole_frames_count() {
        assert_eq!(frames_in(Encoding::L24, ChannelCount::STEREO, 288), Some(FrameCount(48)));
        assert_eq!(frames_in(Encoding::L24, ChannelCount::STEREO, 289), None);
        assert_eq!(frames_in(Encoding::L16, ChannelCount::MONO, 0), Some(FrameCount::ZERO));
    }

    proptest! {
        #[test]
        fn decoding_then_encoding_changes_no_bit(bytes: Vec<u8>, wide: bool) {
            let encoding = if wide { Encoding::L24 } else { Encoding::L16 };
            let whole = bytes.len() / encoding.bytes() * encoding.bytes();
            let mut samples = vec![0; bytes.len() / encoding.bytes()];
            let mut back = vec![0; whole];
            decode(encoding, &bytes, &mut samples);
            prop_assert_eq!(encode(encoding, &samples, &mut back), whole);
            prop_assert_eq!(&back[..], &bytes[..whole]);
        }
    }
}
