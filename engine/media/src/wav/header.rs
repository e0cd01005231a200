//! The header: 80 bytes before the first sample.
//!
//! ```text
//!  0  RIFF | RF64       size of all that follows, or 0xFFFFFFFF
//!  8  WAVE
//! 12  JUNK | ds64  28   nothing, or the 64-bit sizes: RIFF, data, frames; and an empty table
//! 48  fmt          16   tag 1, channels, rate, bytes a second, bytes a frame, bits
//! 72  data              size of the samples, or 0xFFFFFFFF
//! 80  samples, and one pad byte if their size is odd
//! ```
//!
//! A file begins as RIFF with room kept in `JUNK`; when its sizes outgrow 32 bits the same 80 bytes are written
//! as RF64 (EBU Tech 3306, "on-the-fly conversion"; ITU-R BS.2088 keeps the layout).
//!
//! The format tag is plain PCM (1) and never `WAVE_FORMAT_EXTENSIBLE`, which Microsoft asks for above 16 bit or
//! two channels: Python's `wave` refuses the extensible tag up to version 3.11, and nobody that reads
//! extensible refuses plain PCM. What extensible adds, speaker positions, a recorder of AES67 does not know.

use audyn_units::FrameCount;

use crate::WavSpec;

/// Bytes before the first sample.
pub const LEN: usize = 80;

/// What the RIFF size counts beside the data: all of the header behind the size field itself.
const RIFF_OVERHEAD: u64 = LEN as u64 - 8;

/// The body of `ds64` with an empty table (EBU Tech 3306 §3).
const DS64_LEN: u32 = 28;

/// The header of a file of `frames`.
pub fn encode(spec: WavSpec, frames: FrameCount) -> [u8; LEN] {
    let data = frames.0 * spec.frame_bytes() as u64;
    let riff = RIFF_OVERHEAD + data + (data & 1); // the pad byte counts in RIFF, not in data
    let (form, room, riff32, data32) = match (u32::try_from(riff), u32::try_from(data)) {
        (Ok(riff32), Ok(data32)) => (b"RIFF", b"JUNK", riff32, data32),
        _ => (b"RF64", b"ds64", u32::MAX, u32::MAX),
    };
    let frame_bytes = spec.frame_bytes() as u16; // at most 64 channels of 3 bytes
    let rate = spec.rate.hz();

    let mut bytes = [0; LEN];
    let mut at = 0;
    let mut put = |field: &[u8]| {
        bytes[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    };
    put(form);
    put(&riff32.to_le_bytes());
    put(b"WAVE");
    put(room);
    put(&DS64_LEN.to_le_bytes());
    if form == b"RF64" {
        put(&riff.to_le_bytes());
        put(&data.to_le_bytes());
        put(&frames.0.to_le_bytes());
        put(&0u32.to_le_bytes()); // entries of the table
    } else {
        put(&[0; DS64_LEN as usize]);
    }
    put(b"fmt ");
    put(&16u32.to_le_bytes());
    put(&1u16.to_le_bytes());
    put(&(spec.channels.get() as u16).to_le_bytes());
    put(&rate.to_le_bytes());
    put(&(rate * u32::from(frame_bytes)).to_le_bytes());
    put(&frame_bytes.to_le_bytes());
    put(&spec.depth.bits().to_le_bytes());
    put(b"data");
    put(&data32.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use audyn_units::{ChannelCount, SampleRate};

    use super::*;
    use crate::PcmDepth;

    fn spec(channels: u8) -> WavSpec {
        WavSpec {
            rate: SampleRate::HZ_48000,
            channels: ChannelCount::new(channels).unwrap(),
            depth: PcmDepth::Pcm24,
        }
    }

    fn u32_at(bytes: &[u8; LEN], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    #[test]
    fn the_last_riff_and_the_first_rf64() {
        // The largest even RIFF size is 0xFFFFFFFE; mono 24 bit reaches it with a data size that divides by 3.
        let last = (u64::from(u32::MAX - 1) - RIFF_OVERHEAD) / 3;
        let riff = encode(spec(1), FrameCount(last));
        assert_eq!(&riff[..4], b"RIFF");
        assert_eq!(&riff[12..16], b"JUNK");
        assert_eq!(u64::from(u32_at(&riff, 76)), last * 3);
        let rf64 = encode(spec(1), FrameCount(last + 1));
        assert_eq!(&rf64[..4], b"RF64");
        assert_eq!(&rf64[12..16], b"ds64");
        assert_eq!(u32_at(&rf64, 4), u32::MAX);
        assert_eq!(u32_at(&rf64, 76), u32::MAX);
        let data = (last + 1) * 3;
        assert_eq!(u64::from_le_bytes(rf64[20..28].try_into().unwrap()), 72 + data + (data & 1));
        assert_eq!(u64::from_le_bytes(rf64[28..36].try_into().unwrap()), data);
        assert_eq!(u64::from_le_bytes(rf64[36..44].try_into().unwrap()), last + 1);
    }

    #[test]
    fn sixty_four_channels_fit_their_fields() {
        let spec = WavSpec { rate: SampleRate::HZ_96000, ..spec(64) };
        let bytes = encode(spec, FrameCount::ZERO);
        assert_eq!(u32_at(&bytes, 64), 96_000 * 192);
        assert_eq!(u16::from_le_bytes([bytes[68], bytes[69]]), 192);
        assert_eq!(u32_at(&bytes, 4), 72);
    }
}
