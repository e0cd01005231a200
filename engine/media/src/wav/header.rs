//! The header: 4,096 bytes before the first sample, a block of the file system.
//!
//! ```text
//!    0  RIFF | RF64 | BW64  size of all that follows, or 0xFFFFFFFF
//!    8  WAVE
//!   12  JUNK | ds64    28   nothing, or the 64-bit sizes: RIFF, data, frames; and an empty table
//!   48  fmt         16|18   tag 1 or 3, channels, rate, bytes a second, bytes a frame, bits; 18 for floats
//!       fact            4   floats alone: frames, or 0xFFFFFFFF
//!       bext        602+n   see [`super::bext`]
//!       iXML            n   see [`super::ixml`]
//!       JUNK            n   what is left
//! 4088  data                size of the samples, or 0xFFFFFFFF
//! 4096  samples, and one pad byte if their size is odd
//! ```
//!
//! A file begins as RIFF with room kept in `JUNK`; when its sizes outgrow 32 bits the same bytes are written as RF64 (EBU Tech 3306,
//! "on-the-fly conversion"), or as BW64 (ITU-R BS.2088), which keeps the layout.
//!
//! It has this length whatever it tells: a longer one would lie in two pages, between which a kill could cut it. What does not fit is
//! names of channels in iXML: they are cut, down to 8 letters, until all fit, and of more than about 20 channels only the first have
//! theirs. How many channels there are is told in any case.
//!
//! Versions before wrote a header of 80 bytes, without `fact` to the second `JUNK`. Such files are read and mended like others.
//!
//! The format tag is plain PCM (1) or float (3) and never `WAVE_FORMAT_EXTENSIBLE`, which Microsoft asks for above 16 bit or
//! two channels: Python's `wave` refuses the extensible tag up to version 3.11, and nobody that reads
//! extensible refuses plain PCM. What extensible adds, speaker positions, a recorder of AES67 does not know.

use audyn_units::FrameCount;

use super::{bext, ixml};
use crate::{BigForm, Facts, PcmDepth, WavSpec};

/// Bytes before the first sample.
pub const LEN: usize = 4_096;

/// Bytes before the first sample in files of earlier versions.
pub(super) const EARLIER: usize = 80;

/// The body of `ds64` with an empty table (EBU Tech 3306 §3).
const DS64_LEN: u32 = 28;

/// The header of one file. All that may change in it is counted by [`counting`](Self::counting).
#[derive(Debug, Clone)]
pub(super) struct Head {
    bytes: Vec<u8>,
    frame_bytes: u64,
    /// Where the body of `fact` lies.
    fact: Option<usize>,
    big: BigForm,
}

impl Head {
    /// The header of a new file.
    pub(super) fn new(spec: WavSpec, facts: &Facts) -> Self {
        let mut bytes = b"RIFF\0\0\0\0WAVE".to_vec();
        chunk(&mut bytes, *b"JUNK", &[0; DS64_LEN as usize]);
        chunk(&mut bytes, *b"fmt ", &format(spec));
        let fact = (spec.depth == PcmDepth::Float32).then(|| {
            chunk(&mut bytes, *b"fact", &[0; 4]);
            bytes.len() - 4
        });
        chunk(&mut bytes, *b"bext", &bext::encode(spec, facts));
        let taken = bytes.len() + 3 * 8; // and what begins iXML, the filler and the data
        if let Some(mut xml) = ixml::encode(spec, facts, LEN - taken - 1) {
            if xml.len() % 2 == 1 {
                xml.push(' '); // not all who read it know of a pad byte
            }
            chunk(&mut bytes, *b"iXML", xml.as_bytes());
        }
        let filler = LEN - bytes.len() - 2 * 8;
        chunk(&mut bytes, *b"JUNK", &vec![0; filler]);
        bytes.extend(b"data\0\0\0\0");
        let mut head = Self { bytes, frame_bytes: spec.frame_bytes() as u64, fact, big: BigForm::Rf64 };
        head.counting(FrameCount::ZERO);
        head
    }

    /// The header that a file of ours begins with, to be changed; `bytes` reach to the first sample. None if it is another's.
    pub(super) fn found(bytes: Vec<u8>, spec: WavSpec) -> Option<Self> {
        if !matches!(bytes.len(), EARLIER | LEN) || !matches!(&bytes[12..16], b"JUNK" | b"ds64") {
            return None;
        }
        let (mut at, mut fact) = (12, None);
        while at < bytes.len() - 8 {
            let size = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().ok()?) as usize;
            match (&bytes[at..at + 4], size) {
                (b"fact", 4) => fact = Some(at + 8),
                (b"fact", _) => return None,
                _ if at == 12 && size != DS64_LEN as usize => return None,
                _ => {}
            }
            at = at.checked_add(8)?.checked_add(size)?.checked_add(size & 1)?;
        }
        let ends = at == bytes.len() - 8 && bytes[at..at + 4] == *b"data";
        let big = if bytes.starts_with(b"BW64") { BigForm::Bw64 } else { BigForm::Rf64 };
        ends.then_some(Self { bytes, frame_bytes: spec.frame_bytes() as u64, fact, big })
    }

    /// Says what the file becomes past 4 GiB; RF64 unless this was called.
    pub(super) fn set_big(&mut self, big: BigForm) {
        self.big = big;
    }

    /// Bytes before the first sample.
    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The header of a file of `frames`.
    pub(super) fn counting(&mut self, frames: FrameCount) -> &[u8] {
        let data = frames.0 * self.frame_bytes;
        let riff = self.len() - 8 + data + (data & 1); // the pad byte counts in RIFF, not in data
        let mut sizes = [0; DS64_LEN as usize];
        let (form, room, riff32, data32, frames32) = match (u32::try_from(riff), u32::try_from(data)) {
            (Ok(riff32), Ok(data32)) => (b"RIFF", b"JUNK", riff32, data32, frames.0 as u32),
            _ => {
                sizes[..8].copy_from_slice(&riff.to_le_bytes());
                sizes[8..16].copy_from_slice(&data.to_le_bytes());
                sizes[16..24].copy_from_slice(&frames.0.to_le_bytes());
                let form = match self.big {
                    BigForm::Rf64 => b"RF64",
                    BigForm::Bw64 => b"BW64",
                };
                (form, b"ds64", u32::MAX, u32::MAX, u32::MAX)
            }
        };
        let mut put = |at: usize, field: &[u8]| self.bytes[at..at + field.len()].copy_from_slice(field);
        put(0, form);
        put(4, &riff32.to_le_bytes());
        put(12, room);
        put(20, &sizes);
        if let Some(fact) = self.fact {
            put(fact, &frames32.to_le_bytes());
        }
        let data_size = self.bytes.len() - 4;
        self.bytes[data_size..].copy_from_slice(&data32.to_le_bytes());
        &self.bytes
    }
}

fn format(spec: WavSpec) -> Vec<u8> {
    let frame_bytes = spec.frame_bytes() as u16; // at most 64 channels of 4 bytes
    let float = spec.depth == PcmDepth::Float32;
    let mut body = Vec::with_capacity(18);
    body.extend(if float { 3_u16 } else { 1 }.to_le_bytes());
    body.extend((spec.channels.get() as u16).to_le_bytes());
    body.extend(spec.rate.hz().to_le_bytes());
    body.extend((spec.rate.hz() * u32::from(frame_bytes)).to_le_bytes());
    body.extend(frame_bytes.to_le_bytes());
    body.extend(spec.depth.bits().to_le_bytes());
    if float {
        body.extend(0_u16.to_le_bytes()); // all but PCM say that nothing more follows
    }
    body
}

/// Appends a chunk of even length.
fn chunk(bytes: &mut Vec<u8>, id: [u8; 4], body: &[u8]) {
    debug_assert!(body.len().is_multiple_of(2), "no chunk of the header needs a pad byte");
    bytes.extend(id);
    bytes.extend((body.len() as u32).to_le_bytes()); // less than the header's length
    bytes.extend(body);
}

#[cfg(test)]
mod tests {
    use audyn_units::{ChannelCount, FrameIndex, SampleRate};

    use super::*;

    fn spec(channels: u8, depth: PcmDepth) -> WavSpec {
        WavSpec { rate: SampleRate::HZ_48000, channels: ChannelCount::new(channels).unwrap(), depth }
    }

    fn facts() -> Facts {
        Facts {
            recorder: "studio-1".to_owned(),
            description: "Studio 1".to_owned(),
            originator: "Audyn 0.1.0".to_owned(),
            first: FrameIndex(85_584_000_024_000),
            start_utc: "2026-07-02T13:46:03.5Z".to_owned(),
            start_named: "2026-07-02T14:46:03.5+01:00".to_owned(),
            since_midnight: FrameCount(2_551_848_000),
            tai_minus_utc: Some(37),
            placed_by: Some("media-clock".to_owned()),
            clock: Some("ptp-locked".to_owned()),
            channel_names: vec!["Left".to_owned(), "Right".to_owned()],
        }
    }

    fn u32_at(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    fn u64_at(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    /// The chunks of a header as (id, size).
    fn chunks(bytes: &[u8]) -> Vec<(String, usize)> {
        let (mut at, mut chunks) = (12, Vec::new());
        while at < bytes.len() {
            let size = u32_at(bytes, at + 4) as usize;
            chunks.push((String::from_utf8_lossy(&bytes[at..at + 4]).into_owned(), size));
            at += 8 + size;
        }
        chunks
    }

    #[test]
    fn the_bytes_are_those_of_the_golden_file() {
        let mut head = Head::new(spec(2, PcmDepth::Pcm24), &facts());
        let bytes = head.counting(FrameCount(1_000));
        let golden = include_bytes!("header.golden");
        if bytes != golden {
            std::fs::write(std::env::temp_dir().join("header.golden"), bytes).unwrap();
        }
        assert!(bytes == golden, "they differ; what came out lies in the directory for temporary files");
    }

    #[test]
    fn the_last_riff_and_the_first_rf64_or_bw64() {
        for (depth, big, name) in [
            (PcmDepth::Pcm24, BigForm::Rf64, b"RF64"),
            (PcmDepth::Pcm24, BigForm::Bw64, b"BW64"),
            (PcmDepth::Float32, BigForm::Rf64, b"RF64"),
        ] {
            // The largest even RIFF size is 0xFFFFFFFE.
            let last = (u64::from(u32::MAX - 1) - 4_088) / depth.bytes() as u64;
            let mut head = Head::new(spec(1, depth), &facts());
            head.set_big(big);
            let riff = head.counting(FrameCount(last)).to_vec();
            assert_eq!((&riff[..4], &riff[12..16]), (&b"RIFF"[..], &b"JUNK"[..]));
            assert_eq!(u64::from(u32_at(&riff, 4_092)), last * depth.bytes() as u64);
            let long = head.counting(FrameCount(last + 1)).to_vec();
            assert_eq!((&long[..4], &long[12..16]), (&name[..], &b"ds64"[..]));
            assert_eq!((u32_at(&long, 4), u32_at(&long, 4_092)), (u32::MAX, u32::MAX));
            let data = (last + 1) * depth.bytes() as u64;
            assert_eq!(u64_at(&long, 20), 4_088 + data + (data & 1));
            assert_eq!((u64_at(&long, 28), u64_at(&long, 36)), (data, last + 1));
            if depth == PcmDepth::Float32 {
                assert_eq!((&riff[74..78], u64::from(u32_at(&riff, 82))), (&b"fact"[..], last));
                assert_eq!(u32_at(&long, 82), u32::MAX);
            }
            assert_eq!(head.counting(FrameCount(last)), riff, "and back, after a cut");
        }
    }

    #[test]
    fn whatever_is_told_the_samples_begin_at_the_second_block() {
        let long = || "&".repeat(300);
        let many = Facts {
            recorder: long(),
            description: "\u{1F3A4}".repeat(300),
            originator: long(),
            channel_names: (0..64).map(|_| long()).collect(),
            ..facts()
        };
        let odd = Facts { start_utc: long(), start_named: long(), placed_by: Some(long()), ..many.clone() };
        for (channels, depth, facts, has_xml) in [
            (1, PcmDepth::Pcm16, Facts::default(), true),
            (2, PcmDepth::Pcm24, facts(), true),
            (64, PcmDepth::Float32, facts(), true),
            (64, PcmDepth::Float32, many, true),
            (1, PcmDepth::Float32, odd, false),
        ] {
            let spec = spec(channels, depth);
            let bytes = Head::new(spec, &facts).counting(FrameCount(10)).to_vec();
            assert_eq!(bytes.len(), LEN);
            let chunks = chunks(&bytes);
            let names: Vec<&str> = chunks.iter().map(|(name, _)| name.as_str()).collect();
            let mut wanted = vec!["JUNK", "fmt ", "fact", "bext", "iXML", "JUNK", "data"];
            wanted.retain(|name| *name != "fact" || depth == PcmDepth::Float32);
            wanted.retain(|name| *name != "iXML" || has_xml);
            assert_eq!(names, wanted);
            assert_eq!(chunks.last().unwrap().1, 10 * spec.frame_bytes());
            assert!(chunks.iter().rev().skip(1).all(|(_, size)| size % 2 == 0));
            let mut again = Head::found(bytes.clone(), spec).unwrap();
            again.counting(FrameCount(11));
            assert!(again.counting(FrameCount(10)) == bytes);
        }
    }

    #[test]
    fn sixty_four_channels_fit_their_fields() {
        let spec = WavSpec { rate: SampleRate::HZ_96000, ..spec(64, PcmDepth::Float32) };
        let bytes = Head::new(spec, &facts()).bytes;
        assert_eq!(u32_at(&bytes, 64), 96_000 * 256);
        assert_eq!(u16::from_le_bytes([bytes[68], bytes[69]]), 256);
        assert_eq!((bytes[56], u32_at(&bytes, 52), u32_at(&bytes, 4)), (3, 18, 4_088));
    }

    #[test]
    fn a_header_of_another_is_not_taken_for_ours() {
        let spec = spec(2, PcmDepth::Pcm24);
        let ours = Head::new(spec, &facts()).bytes;
        assert!(Head::found(ours[..LEN - 1].to_vec(), spec).is_none());
        for (at, byte) in [(12, b'X'), (16, 29), (52, 17), (4_088, b'D')] {
            let mut other = ours.clone();
            other[at] = byte;
            assert!(Head::found(other, spec).is_none(), "{at}");
        }
    }
}
