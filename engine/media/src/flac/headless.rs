//! A FLAC file that has lost its head: what its frames, or its ledger, tell of it, and the head that they ask for.
//!
//! Owns: how a head is made anew. Never: moves a frame; a file whose frames leave no room before them gets none.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;

use super::FlacSpec;
use super::frames::Frames;
use super::head::{self, Head, StreamInfo};
use crate::Facts;

/// Bytes from the begin of a file in which its first frame is looked for: three times the head of a file of ours.
const WITHIN: u64 = 256 * 1024;

/// What a ledger tells of its file.
#[derive(Debug, Clone)]
pub(crate) struct FlacTold {
    pub(crate) spec: FlacSpec,
    pub(crate) facts: Facts,
}

/// A head for a file that has none.
pub(super) struct Made {
    pub(super) head: Head,
    /// What is to stand at the begin of the file, up to at least the end of STREAMINFO.
    pub(super) lead: Vec<u8>,
}

/// Makes a head; none if neither frames nor ledger tell what it should say, or there is no room for it.
pub(super) fn head(file: &File, length: u64, told: Option<&FlacTold>) -> io::Result<Option<Made>> {
    let Some((at, info)) = first_frame(file, length, told)? else { return empty(file, length, told) };
    // Where the head is one of ours and only its begin is gone, the rest of it is as it was.
    let lead = head::beginning(&info);
    let mut whole = Overlay { file, lead: &lead, at: 0 };
    if let Ok(head) = Head::read(&mut BufReader::new(&mut whole), "")
        && head.frames_at == at
    {
        return Ok(Some(Made { head, lead }));
    }
    let none = Facts::default();
    let Some(lead) = head::of_length(&info, told.map_or(&none, |told| &told.facts), at) else {
        return Ok(None);
    };
    let mut whole = Overlay { file, lead: &lead, at: 0 };
    let head = Head::read(&mut BufReader::new(&mut whole), "").ok();
    Ok(head.map(|head| Made { head, lead }))
}

/// The head of a file that came no further.
fn empty(file: &File, length: u64, told: Option<&FlacTold>) -> io::Result<Option<Made>> {
    let Some(told) = told else { return Ok(None) };
    let lead = head::encode(told.spec, &told.facts);
    let mut begin = vec![0; length.min(lead.len() as u64) as usize];
    file.read_exact_at(&mut begin, 0)?;
    // It is the begin of a head, or a disk's zeros; anything else is another's.
    let known = begin.len().min(8);
    if length > lead.len() as u64 || begin[..known] != lead[..known] && begin.iter().any(|&byte| byte != 0) {
        return Ok(None);
    }
    let head = Head::read(&mut io::Cursor::new(&lead), "").ok();
    Ok(head.map(|head| Made { head, lead }))
}

/// Where the first frame lies that another follows, or the file's end, and what it tells of the stream.
fn first_frame(file: &File, length: u64, told: Option<&FlacTold>) -> io::Result<Option<(u64, StreamInfo)>> {
    let mut bytes = vec![0; length.min(WITHIN) as usize];
    file.read_exact_at(&mut bytes, 0)?;
    for (at, candidate) in bytes.windows(4).enumerate() {
        let &[0xFF, 0xF8, sizes, format] = candidate else { continue };
        let Some(info) = info_of(sizes, format, told) else { continue };
        let at = at as u64;
        let mut frames = Frames::new(BufReader::new(file), info);
        frames.go_to(at)?;
        let Some(one) = frames.next()?.filter(|frame| frame.offset == at) else { continue };
        let end = one.end();
        if end == length || frames.next()?.is_some_and(|next| next.offset == end) {
            return Ok(Some((at, info)));
        }
    }
    Ok(None)
}

/// What the header of a frame of one size for all (RFC 9639 §9.1) tells; what it leaves to STREAMINFO the ledger does.
fn info_of(sizes: u8, format: u8, told: Option<&FlacTold>) -> Option<StreamInfo> {
    let told = told.map(|told| StreamInfo::new(told.spec));
    let block = match sizes >> 4 {
        1 => 192,
        n @ 2..=5 => 576 << (n - 2),
        n @ 8..=14 => 256 << (n - 8), // and 15 is more than STREAMINFO has room for
        _ => told?.blocks[1],
    };
    let rate = match sizes & 15 {
        1 => 88_200,
        2 => 176_400,
        3 => 192_000,
        4 => 8_000,
        5 => 16_000,
        6 => 22_050,
        7 => 24_000,
        8 => 32_000,
        9 => 44_100,
        10 => 48_000,
        11 => 96_000,
        _ => told?.rate,
    };
    let channels = match format >> 4 {
        n @ 0..=7 => n + 1,
        8..=10 => 2,
        _ => return None,
    };
    let bits = match format >> 1 & 7 {
        1 => 8,
        2 => 12,
        4 => 16,
        5 => 20,
        6 => 24,
        7 => 32,
        _ => told?.bits,
    };
    Some(StreamInfo { blocks: [block; 2], sizes: [0; 2], rate, channels, bits, frames: 0, md5: [0; 16] })
}

/// A file as it would be with another beginning.
struct Overlay<'a> {
    file: &'a File,
    lead: &'a [u8],
    at: u64,
}

impl Read for Overlay<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = match usize::try_from(self.at).ok().and_then(|at| self.lead.get(at..)) {
            Some(rest) if !rest.is_empty() => {
                let n = rest.len().min(to.len());
                to[..n].copy_from_slice(&rest[..n]);
                n
            }
            _ => self.file.read_at(to, self.at)?,
        };
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Overlay<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let length = self.file.metadata()?.len().max(self.lead.len() as u64);
        let (from, by) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::End(by) => (length, by),
            SeekFrom::Current(by) => (self.at, by),
        };
        self.at = from.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
