//! What stands before the frames of a FLAC file: STREAMINFO, seek table, comments, padding (RFC 9639 §8).
//!
//! Owns: its bytes, and what they mean. Never: a frame.

use std::io::{self, Read, Seek, SeekFrom};

use super::FlacSpec;
use crate::{Facts, MediaError};

/// Where the body of STREAMINFO lies: behind `fLaC` and its own header.
pub(super) const INFO_AT: u64 = 8;
const INFO_LEN: usize = 34;

/// Where the seek points of our own files lie.
const POINTS_AT: u64 = INFO_AT + INFO_LEN as u64 + 4;
pub(super) const POINT_LEN: usize = 18;

/// Room for 24 h.
const POINTS: usize = (24 * 3_600 / POINT_SECONDS) as usize;

/// Seconds from a seek point to the next.
pub(super) const POINT_SECONDS: u32 = 20;

/// What a disk and a page hold at once: the frames begin at a multiple of it.
const PAGE: usize = 4_096;

/// Room that is left at least for another program's tags.
const PADDING: usize = 4_096;

/// Lengths from here on are written as 0: the field has 36 bits.
const COUNT_END: u64 = 1 << 36;

const TYPE_INFO: u8 = 0;
const TYPE_PADDING: u8 = 1;
const TYPE_POINTS: u8 = 3;
const TYPE_COMMENTS: u8 = 4;
const LAST: u8 = 0x80;

/// The fields of STREAMINFO. 0 is "unknown" for the sizes, the count and the MD5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamInfo {
    /// Smallest and largest block in frames of audio, but for the last one.
    pub(super) blocks: [u16; 2],
    /// Smallest and largest frame of FLAC in bytes.
    pub(super) sizes: [u32; 2],
    pub(super) rate: u32,
    pub(super) channels: u8,
    pub(super) bits: u8,
    pub(super) frames: u64,
    pub(super) md5: [u8; 16],
}

impl StreamInfo {
    pub(super) fn new(spec: FlacSpec) -> Self {
        Self {
            blocks: [spec.block(); 2],
            sizes: [0; 2],
            rate: spec.rate().hz(),
            channels: spec.channels().get() as u8,
            bits: spec.depth().bits() as u8,
            frames: 0,
            md5: [0; 16],
        }
    }

    pub(super) fn encode(&self) -> [u8; INFO_LEN] {
        let mut bytes = [0; INFO_LEN];
        bytes[..2].copy_from_slice(&self.blocks[0].to_be_bytes());
        bytes[2..4].copy_from_slice(&self.blocks[1].to_be_bytes());
        bytes[4..7].copy_from_slice(&self.sizes[0].to_be_bytes()[1..]);
        bytes[7..10].copy_from_slice(&self.sizes[1].to_be_bytes()[1..]);
        let frames = if self.frames < COUNT_END { self.frames } else { 0 };
        let packed = u64::from(self.rate) << 44
            | u64::from(self.channels - 1) << 41
            | u64::from(self.bits - 1) << 36
            | frames;
        bytes[10..18].copy_from_slice(&packed.to_be_bytes());
        bytes[18..].copy_from_slice(&self.md5);
        bytes
    }

    fn parse(bytes: &[u8; INFO_LEN]) -> Self {
        let int = |from: usize, to: usize| bytes[from..to].iter().fold(0u64, |n, &b| n << 8 | u64::from(b));
        let packed = int(10, 18);
        let mut md5 = [0; 16];
        md5.copy_from_slice(&bytes[18..]);
        Self {
            blocks: [int(0, 2) as u16, int(2, 4) as u16],
            sizes: [int(4, 7) as u32, int(7, 10) as u32],
            rate: (packed >> 44) as u32,
            channels: (packed >> 41 & 7) as u8 + 1,
            bits: (packed >> 36 & 31) as u8 + 1,
            frames: packed & (COUNT_END - 1),
            md5,
        }
    }
}

/// A seek point: a frame of FLAC that begins there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    /// Its first frame of audio.
    pub(super) first: u64,
    /// Bytes from the first frame of FLAC.
    pub(super) offset: u64,
    /// Its frames of audio.
    pub(super) frames: u16,
}

impl Point {
    /// One that is not used yet; such stand behind all others.
    pub(super) const PLACEHOLDER: Self = Self { first: u64::MAX, offset: 0, frames: 0 };

    pub(super) fn encode(self) -> [u8; POINT_LEN] {
        let mut bytes = [0; POINT_LEN];
        bytes[..8].copy_from_slice(&self.first.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_be_bytes());
        bytes[16..].copy_from_slice(&self.frames.to_be_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Self {
        let int = |from: usize, to: usize| bytes[from..to].iter().fold(0u64, |n, &b| n << 8 | u64::from(b));
        Self { first: int(0, 8), offset: int(8, 16), frames: int(16, 18) as u16 }
    }
}

/// Where the point with that number lies in a file of our own; none if there is no room for it.
pub(super) fn point_at(number: usize) -> Option<u64> {
    (number < POINTS).then(|| POINTS_AT + (number * POINT_LEN) as u64)
}

/// The head of a file of no frames.
pub(super) fn encode(spec: FlacSpec, facts: &Facts) -> Vec<u8> {
    let mut head = b"fLaC".to_vec();
    block(&mut head, TYPE_INFO, &StreamInfo::new(spec).encode());
    block(&mut head, TYPE_POINTS, &Point::PLACEHOLDER.encode().repeat(POINTS));
    block(&mut head, TYPE_COMMENTS, &comments(facts));
    let padding = (head.len() + 4 + PADDING).next_multiple_of(PAGE) - head.len() - 4;
    block(&mut head, TYPE_PADDING | LAST, &vec![0; padding]);
    head
}

fn block(head: &mut Vec<u8>, kind: u8, body: &[u8]) {
    let [_, high, mid, low] = (body.len() as u32).to_be_bytes();
    head.extend_from_slice(&[kind, high, mid, low]);
    head.extend_from_slice(body);
}

/// The begin of a head of ours: all before its seek points.
pub(super) fn beginning(info: &StreamInfo) -> Vec<u8> {
    let mut head = b"fLaC".to_vec();
    block(&mut head, TYPE_INFO, &info.encode());
    head.push(TYPE_POINTS);
    head.extend_from_slice(&((POINTS * POINT_LEN) as u32).to_be_bytes()[1..]);
    head
}

/// A head of exactly this length, without seek points; none if there is no room for it.
pub(super) fn of_length(info: &StreamInfo, facts: &Facts, length: u64) -> Option<Vec<u8>> {
    let length = usize::try_from(length).ok()?;
    let mut head = b"fLaC".to_vec();
    block(&mut head, TYPE_INFO, &info.encode());
    if length == head.len() {
        head[4] |= LAST;
        return Some(head);
    }
    let comments = comments(facts);
    if head.len() + 4 + comments.len() + 4 <= length {
        block(&mut head, TYPE_COMMENTS, &comments);
    }
    let padding = length.checked_sub(head.len() + 4)?;
    if padding >= 1 << 24 {
        return None;
    }
    block(&mut head, TYPE_PADDING | LAST, &vec![0; padding]);
    Some(head)
}

/// The facts as a block of Vorbis comments, whose numbers are little-endian.
fn comments(facts: &Facts) -> Vec<u8> {
    let mut comments = facts.comments();
    // What BWF's fields of these names hold, where programs that know broadcast look for them in FLAC.
    comments.push(("ORIGINATOR".to_owned(), facts.originator.clone()));
    if !facts.start_utc.is_empty() {
        comments.push(("TIMEREFERENCE".to_owned(), facts.since_midnight.0.to_string()));
    }
    comments.retain(|(_, value)| !value.is_empty());
    let mut body = Vec::new();
    let string = |body: &mut Vec<u8>, s: &str| {
        body.extend_from_slice(&(s.len() as u32).to_le_bytes());
        body.extend_from_slice(s.as_bytes());
    };
    string(&mut body, "Audyn with libFLAC");
    body.extend_from_slice(&(comments.len() as u32).to_le_bytes());
    for (name, value) in comments {
        string(&mut body, &format!("{name}={value}"));
    }
    body
}

/// The head of a file, ours or another's.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) info: StreamInfo,
    /// Where the table's points lie and how many there are, unused ones included; none without a table.
    pub(super) table: Option<(u64, usize)>,
    /// The points that can be right.
    pub(super) points: Vec<Point>,
    /// Points that are no placeholders.
    pub(super) points_used: usize,
    pub(super) comments: Vec<(String, String)>,
    /// Where the first frame lies.
    pub(super) frames_at: u64,
}

impl Head {
    /// Reads a head; `what` names the file in messages.
    ///
    /// # Errors
    /// [`MediaError::NotFlac`] and [`MediaError::Read`] as they say.
    pub(super) fn read(source: &mut (impl Read + Seek), what: &str) -> Result<Self, MediaError> {
        let no = |reason: &str| MediaError::NotFlac { what: what.to_owned(), reason: reason.to_owned() };
        match Self::parse(source) {
            Ok(Ok(head)) => Ok(head),
            Ok(Err(reason)) => Err(no(reason)),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(no("it ends inside its head")),
            Err(source) => Err(MediaError::Read { what: what.to_owned(), source }),
        }
    }

    fn parse(source: &mut (impl Read + Seek)) -> io::Result<Result<Self, &'static str>> {
        let length = source.seek(SeekFrom::End(0))?;
        source.rewind()?;
        let mut magic = [0; 8];
        source.read_exact(&mut magic)?;
        if &magic[..4] != b"fLaC" {
            return Ok(Err("it does not begin as FLAC"));
        }
        if magic[4] & !LAST != TYPE_INFO || magic[5..] != [0, 0, INFO_LEN as u8] {
            return Ok(Err("it does not begin with STREAMINFO"));
        }
        let mut bytes = [0; INFO_LEN];
        source.read_exact(&mut bytes)?;
        let info = StreamInfo::parse(&bytes);
        let (mut last, mut at) = (magic[4] & LAST != 0, INFO_AT + INFO_LEN as u64);
        let (mut table, mut points, mut comments) = (None, Vec::new(), Vec::new());
        while !last {
            let mut header = [0; 4];
            source.seek(SeekFrom::Start(at))?;
            source.read_exact(&mut header)?;
            last = header[0] & LAST != 0;
            let size = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
            at += 4;
            if at + size as u64 > length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match header[0] & !LAST {
                TYPE_POINTS => {
                    let body = take(source, size)?;
                    table = Some((at, size / POINT_LEN));
                    points = body.chunks_exact(POINT_LEN).map(Point::parse).collect();
                }
                TYPE_COMMENTS => comments = parse_comments(&take(source, size)?).unwrap_or_default(),
                0x7F => return Ok(Err("its head holds a block of a type that cannot be")),
                _ => {}
            }
            at += size as u64;
        }
        if info.blocks[1] < 16 {
            return Ok(Err("its blocks are said to be shorter than any can be"));
        }
        let points_used = points.iter().filter(|point| point.first != u64::MAX).count();
        let mut before = None;
        let usable = points.iter().take_while(|point| {
            let fits = before < Some(point.first) && point.first != u64::MAX && point.offset < length - at;
            before = Some(point.first);
            fits
        });
        let usable = usable.count();
        points.truncate(usable);
        Ok(Ok(Self { info, table, points, points_used, comments, frames_at: at }))
    }
}

fn take(source: &mut impl Read, size: usize) -> io::Result<Vec<u8>> {
    let mut body = vec![0; size];
    source.read_exact(&mut body)?;
    Ok(body)
}

fn parse_comments(body: &[u8]) -> Option<Vec<(String, String)>> {
    fn number(body: &mut &[u8]) -> Option<usize> {
        let (bytes, rest) = body.split_first_chunk()?;
        *body = rest;
        Some(u32::from_le_bytes(*bytes) as usize)
    }
    fn string<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
        let length = number(body)?;
        let (bytes, rest) = body.split_at_checked(length)?;
        *body = rest;
        Some(bytes)
    }
    let mut rest = body;
    string(&mut rest)?; // who wrote it
    let count = number(&mut rest)?;
    let mut comments = Vec::new();
    for _ in 0..count {
        let comment = String::from_utf8_lossy(string(&mut rest)?);
        if let Some((name, value)) = comment.split_once('=') {
            comments.push((name.to_ascii_uppercase(), value.to_owned()));
        }
    }
    Some(comments)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use audyn_units::{ChannelCount, FrameCount, SampleRate};

    use super::*;
    use crate::PcmDepth;

    fn spec() -> FlacSpec {
        FlacSpec::new(SampleRate::HZ_96000, ChannelCount::new(8).unwrap(), PcmDepth::Pcm24).unwrap()
    }

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let facts = Facts {
            recorder: "studio-1".to_owned(),
            originator: "Audyn 0.1.0".to_owned(),
            start_utc: "2026-07-02T13:46:03.5Z".to_owned(),
            since_midnight: FrameCount(12_345),
            ..Facts::default()
        };
        let bytes = encode(spec(), &facts);
        assert_eq!(bytes.len() % PAGE, 0, "frames begin at a page");
        let head = Head::read(&mut Cursor::new(&bytes), "a head").unwrap();
        assert_eq!(head.info, StreamInfo::new(spec()));
        assert_eq!((head.table, head.points.len()), (Some((POINTS_AT, POINTS)), 0));
        assert_eq!(head.frames_at, bytes.len() as u64);
        let named = |name: &str| head.comments.iter().find(|c| c.0 == name).map(|c| c.1.as_str());
        assert_eq!(named("TIMEREFERENCE"), Some("12345"));
        assert_eq!(named("ORIGINATOR"), Some("Audyn 0.1.0"));
        assert_eq!(named("TITLE"), Some("studio-1"));
        let info = StreamInfo { frames: COUNT_END - 1, sizes: [14, 0xFF_FFFE], md5: [7; 16], ..head.info };
        assert_eq!(StreamInfo::parse(&info.encode()), info);
        assert_eq!(StreamInfo::parse(&StreamInfo { frames: COUNT_END, ..info }.encode()).frames, 0);
    }

    #[test]
    fn a_head_that_is_cut_or_none_is_told_and_no_wish_for_memory_is_followed() {
        let bytes = encode(spec(), &Facts::default());
        let read = |bytes: &[u8]| Head::read(&mut Cursor::new(bytes), "it").unwrap_err().to_string();
        for length in [0, 3, 8, 41, 42, 45, 46, 90, bytes.len() - 1] {
            assert!(read(&bytes[..length]).contains("ends inside its head"), "{length}");
        }
        assert!(read(b"RIFF....WAVEfmt ").contains("does not begin as FLAC"));
        assert!(read(&[b"fLaC".as_slice(), &[4, 0, 0, 34], &[0; 34]].concat()).contains("STREAMINFO"));
        assert_eq!(parse_comments(&[255; 40]), None);
        assert_eq!(parse_comments(&[0, 0, 0, 0, 255, 255, 255, 255]), None);
    }

    #[test]
    fn only_points_that_can_be_are_used() {
        let mut bytes = encode(spec(), &Facts::default());
        let head = bytes.len();
        bytes.resize(head + 1_000, 0);
        for (number, first, offset) in [(0, 0, 0), (1, 8_192, 500), (2, 16_384, 1_000), (3, 24_576, 999)] {
            let at = point_at(number).unwrap() as usize;
            bytes[at..at + POINT_LEN].copy_from_slice(&Point { first, offset, frames: 8_192 }.encode());
        }
        let read = Head::read(&mut Cursor::new(&bytes), "it").unwrap();
        assert_eq!(read.points.len(), 2, "the third lies behind the end, and what follows it is not trusted");
        assert_eq!(point_at(POINTS), None);
    }
}
