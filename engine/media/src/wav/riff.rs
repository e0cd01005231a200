//! Sizes of a WAV file that another program made: what they should be, judged by the file's length and by what follows the data.
//!
//! Owns: the few fields of such a header that count. Never: any other byte of it, nor a sample; it makes no file shorter.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use audyn_units::FrameCount;

use crate::MediaError;
use crate::fix::{Fix, Step};

/// PCM, floats, A-law, µ-law, extensible: formats whose frames have all the same length.
const EVEN_FORMATS: [u16; 5] = [1, 3, 6, 7, 0xFFFE];

/// Chunks that are looked at before the data; nobody writes so many.
const MOST_CHUNKS: usize = 1_000;

/// Why a file was refused, behind "it".
pub(super) enum Refusal {
    Io(io::Error),
    NotWav(String),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Refusal {
    pub(super) fn named(self, what: &str) -> MediaError {
        let what = what.to_owned();
        match self {
            Self::Io(source) => MediaError::Read { what, source },
            Self::NotWav(reason) => MediaError::NotWav { what, reason: format!("it {reason}") },
        }
    }
}

fn no<T>(reason: &str) -> Result<T, Refusal> {
    Err(Refusal::NotWav(reason.to_owned()))
}

/// What a header counts, and where.
#[derive(Debug, Default)]
struct Sizes {
    /// All that follows the first eight bytes.
    riff: u64,
    data: u64,
    /// The data's length stands nowhere: 0, or 0xFFFFFFFF without 64-bit sizes.
    unknown: bool,
    /// Bodies of the chunks that count.
    ds64_at: Option<u64>,
    fact_at: Option<u64>,
    data_at: u64,
    /// A `JUNK` of the length of `ds64` is the first chunk.
    room: bool,
    frame: u64,
}

/// What is to be done; none if nothing is.
pub(super) fn plan(file: &File, length: u64) -> Result<Option<Fix>, Refusal> {
    let sizes = scan(file, length)?;
    let there = length - sizes.data_at;
    let follows = |end: u64| end < length && chunks_reach(file, end, length).unwrap_or(false);
    let padded = |data: u64| (sizes.data_at + data + (data & 1)).min(length);
    let whole = |data: u64| data - data % sizes.frame;
    let data = match sizes.unknown {
        // An empty file that ends in tags.
        true if sizes.data == 0 && follows(sizes.data_at) => 0,
        true => whole(there),
        false if sizes.data > there => whole(there),
        false => sizes.data,
    };
    let end = padded(data);
    let riff =
        if follows(end) { length } else { end + (data & 1 & u64::from(end == sizes.data_at + data)) } - 8;
    let right = data == sizes.data && (!sizes.unknown || data == 0);
    // Some leave out the pad byte, and what lies behind the end that RIFF tells is nobody's.
    let plausible = [riff, riff - (data & 1), length - 8].contains(&sizes.riff)
        || sizes.riff < length - 8 && chunks_reach(file, end, sizes.riff + 8).unwrap_or(false);
    if right && plausible {
        return Ok(None);
    }
    let frames = FrameCount(data / sizes.frame);
    let declared = FrameCount(if sizes.unknown { 0 } else { sizes.data / sizes.frame });
    let mut steps = Vec::new();
    if data & 1 == 1 && sizes.data_at + data == length {
        steps.push(Step::Write(length, vec![0]));
    }
    let sizes64 = || [riff.to_le_bytes(), data.to_le_bytes(), frames.0.to_le_bytes()].concat();
    let (riff32, data32) = (u32::try_from(riff), u32::try_from(data));
    let fact = u32::try_from(frames.0).unwrap_or(u32::MAX);
    match (sizes.ds64_at, riff32, data32) {
        (Some(at), _, _) => steps.push(Step::Write(at, sizes64())),
        (None, Ok(riff), Ok(data)) => {
            steps.push(Step::Write(sizes.data_at - 4, data.to_le_bytes().to_vec()));
            steps.push(Step::Write(4, riff.to_le_bytes().to_vec()));
        }
        _ if sizes.room => {
            steps.push(Step::Write(sizes.data_at - 4, vec![0xFF; 4]));
            steps.push(Step::Write(20, sizes64()));
            let form = [b"RF64".as_slice(), &[0xFF; 4], b"WAVEds64"].concat();
            steps.push(Step::Write(0, form));
        }
        _ => {
            return no(
                "holds more than 4 GiB, and its header has no room to count them; its samples are untouched",
            );
        }
    }
    if let Some(at) = sizes.fact_at {
        steps.push(Step::Write(at, fact.to_le_bytes().to_vec()));
    }
    let found = match (sizes.unknown && data > 0, declared == frames) {
        (true, _) => format!("its header does not count its frames, and {frames} are there"),
        (_, false) => format!("its header counts {declared}, and {frames} are there"),
        (_, true) => "the sizes in its header contradict one another".to_owned(),
    };
    let remedy = "its header will count what is there".to_owned();
    Ok(Some(Fix { declared, frames, cut: 0, found, remedy, steps }))
}

/// Frames that the header counts.
pub(super) fn frames(file: &File, length: u64) -> Result<FrameCount, Refusal> {
    let sizes = scan(file, length)?;
    Ok(FrameCount(sizes.data / sizes.frame))
}

fn scan(file: &File, length: u64) -> Result<Sizes, Refusal> {
    let mut begin = [0; 12];
    if length < 12 {
        return no("ends inside its header");
    }
    file.read_exact_at(&mut begin, 0)?;
    let long = matches!(&begin[..4], b"RF64" | b"BW64");
    if !(long || &begin[..4] == b"RIFF") || &begin[8..] != b"WAVE" {
        return no("does not begin as RIFF or RF64 WAVE");
    }
    let riff32 = u32_at(&begin, 4);
    let mut sizes = Sizes { riff: u64::from(riff32), ..Sizes::default() };
    let (mut at, mut data64) = (12, None);
    for number in 0..MOST_CHUNKS {
        if at + 8 > length {
            return no("ends before its data");
        }
        let (id, size) = chunk(file, at)?;
        let body = at + 8;
        match &id {
            b"data" if sizes.frame == 0 => return no("has data before their format"),
            b"data" => {
                sizes.data_at = body;
                sizes.data = match data64 {
                    Some(data) if size == u32::MAX => data,
                    _ => u64::from(size),
                };
                sizes.unknown = sizes.data == 0 || size == u32::MAX && data64.is_none();
                return Ok(sizes);
            }
            b"ds64" if long && size >= 28 && body + 28 <= length => {
                let mut bytes = [0; 16];
                file.read_exact_at(&mut bytes, body)?;
                let u64_at = |at| u64::from(u32_at(&bytes, at)) | u64::from(u32_at(&bytes, at + 4)) << 32;
                if riff32 == u32::MAX {
                    sizes.riff = u64_at(0);
                }
                data64 = Some(u64_at(8));
                sizes.ds64_at = Some(body);
            }
            b"JUNK" if number == 0 && size == 28 => sizes.room = true,
            b"fact" if size == 4 && body + 4 <= length => sizes.fact_at = Some(body),
            b"fmt " if size >= 16 && body + 16 <= length => {
                let mut bytes = [0; 16];
                file.read_exact_at(&mut bytes, body)?;
                let tag = u16::from_le_bytes([bytes[0], bytes[1]]);
                sizes.frame = u64::from(u16::from_le_bytes([bytes[12], bytes[13]]));
                if !EVEN_FORMATS.contains(&tag) || sizes.frame == 0 {
                    return no(&format!(
                        "has the format {tag:#06x}, whose frames are not counted by their length"
                    ));
                }
            }
            _ if size == u32::MAX => return no("has a chunk before its data that is longer than 4 GiB"),
            _ => {}
        }
        at = body + u64::from(size) + u64::from(size & 1);
    }
    no("has more chunks before its data than anybody writes")
}

/// Whether chunk follows chunk from `at` on, at least one, until exactly `end`: tags that a program has appended.
pub(super) fn chunks_reach(file: &File, mut at: u64, end: u64) -> io::Result<bool> {
    for _ in 0..MOST_CHUNKS {
        if at + 8 > end {
            return Ok(false);
        }
        let (id, size) = chunk(file, at)?;
        if !id.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return Ok(false);
        }
        let body = at + 8 + u64::from(size);
        at = body + u64::from(size & 1);
        if at == end || body == end {
            return Ok(true);
        }
    }
    Ok(false)
}

fn chunk(file: &File, at: u64) -> io::Result<([u8; 4], u32)> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, at)?;
    Ok(([bytes[0], bytes[1], bytes[2], bytes[3]], u32_at(&bytes, 4)))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
