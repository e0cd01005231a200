//! Finds the whole frames of a FLAC stream and decodes them, whatever lies between them (RFC 9639 §9).
//!
//! Owns: what counts as a whole frame: a header with the right CRC-8 that fits the stream, and a body that decodes and ends in the
//! right CRC-16. Never: an opinion on what is missing; it tells only what is there.
//!
//! Decodes with `claxon`, which is plain Rust, tells where a frame ends, and knows nothing of the library that made it.

use std::fmt;
use std::io::{self, Cursor, Read, Seek, SeekFrom};

use claxon::frame::{Block, FrameReader};

use super::head::StreamInfo;

/// Bytes that are read at once.
const READ_BYTES: usize = 256 * 1024;

/// A whole frame.
pub(super) struct Frame {
    /// Where it begins in the file.
    pub(super) offset: u64,
    /// Its length in bytes.
    pub(super) bytes: u32,
    /// Its first frame of audio.
    pub(super) first: u64,
    /// Its samples, right-justified, a channel behind the other.
    pub(super) block: Block,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, bytes, first, .. } = self;
        write!(f, "Frame {{ at {offset}, {bytes} bytes, frames {first} to {} }}", self.next())
    }
}

impl Frame {
    /// Where it ends in the file.
    pub(super) fn end(&self) -> u64 {
        self.offset + u64::from(self.bytes)
    }

    /// The frame of audio behind it.
    pub(super) fn next(&self) -> u64 {
        self.first + u64::from(self.block.duration())
    }
}

/// Goes through a stream from whole frame to whole frame, in memory for two of the largest.
#[derive(Debug)]
pub(super) struct Frames<R> {
    source: R,
    info: StreamInfo,
    buffer: Vec<u8>,
    /// Place in the file of the buffer's first byte.
    base: u64,
    /// Place in the buffer from which the next frame is looked for.
    at: usize,
    /// Room for samples, given back by [`recycle`](Self::recycle).
    spare: Vec<i32>,
}

impl<R: Read + Seek> Frames<R> {
    pub(super) fn new(source: R, info: StreamInfo) -> Self {
        Self { source, info, buffer: Vec::new(), base: 0, at: 0, spare: Vec::new() }
    }

    /// Goes on at a place in the file.
    pub(super) fn go_to(&mut self, offset: u64) -> io::Result<()> {
        self.buffer.clear();
        self.at = 0;
        self.base = self.source.seek(SeekFrom::Start(offset))?;
        Ok(())
    }

    /// Takes back what a frame's samples lay in.
    pub(super) fn recycle(&mut self, frame: Frame) {
        self.spare = frame.block.into_buffer();
    }

    /// The next whole frame; none at the end. Asked again, it looks whether the file has grown.
    pub(super) fn next(&mut self) -> io::Result<Option<Frame>> {
        let longest = longest(&self.info);
        loop {
            self.fill(longest)?;
            let rest = &self.buffer[self.at..];
            let at_end = rest.len() < longest;
            let (mut from, mut unfinished) = (0, None);
            while at_end || rest.len() - from >= longest {
                let Some(skip) = rest[from..].iter().position(|&byte| byte == 0xFF) else {
                    from = rest.len();
                    break;
                };
                from += skip;
                let candidate = &rest[from..];
                let first = first_frame(candidate, &self.info);
                if let Some(first) = first
                    && let Some((block, bytes)) =
                        decode(candidate, &self.info, std::mem::take(&mut self.spare))
                {
                    let offset = self.base + (self.at + from) as u64;
                    self.at += from + bytes;
                    return Ok(Some(Frame { offset, bytes: bytes as u32, first, block }));
                }
                if first.is_some() || candidate.len() < LONGEST_HEADER {
                    unfinished = unfinished.or(Some(from)); // it may be being written right now
                }
                from += 1;
            }
            if at_end {
                self.at += unfinished.unwrap_or(rest.len());
                return Ok(None);
            }
            self.at += from;
        }
    }

    /// Has `longest` bytes in the buffer, or all up to the end.
    fn fill(&mut self, longest: usize) -> io::Result<()> {
        if self.buffer.len() - self.at >= longest {
            return Ok(());
        }
        self.buffer.drain(..self.at);
        self.base += self.at as u64;
        self.at = 0;
        let wanted = (longest + READ_BYTES - self.buffer.len()) as u64;
        self.source.by_ref().take(wanted).read_to_end(&mut self.buffer)?;
        Ok(())
    }
}

/// Sync code and flags, a number of up to 7 bytes, block and rate of 2 bytes each, CRC-8.
const LONGEST_HEADER: usize = 16;

/// The longest frame that an encoder makes: samples as they are, one bit more for the side channel.
fn longest(info: &StreamInfo) -> usize {
    let subframe = 8 + usize::from(info.blocks[1]) * (usize::from(info.bits) + 1) / 8;
    LONGEST_HEADER + usize::from(info.channels) * subframe + 2
}

/// The number of the first frame of audio, if `bytes` begin with the header of a frame of this stream.
fn first_frame(bytes: &[u8], info: &StreamInfo) -> Option<u64> {
    let &[0xFF, sync, sizes, format, ..] = bytes else { return None };
    let (block, rate) = (sizes >> 4, sizes & 15);
    let (channels, bits) = (format >> 4, format >> 1 & 7);
    let channels = match channels {
        0..=7 => channels + 1,
        8..=10 => 2,
        _ => return None,
    };
    let bits_fit = bits == 0 || [0, 8, 12, 0, 16, 20, 24, 32][usize::from(bits)] == info.bits;
    if sync & 0xFE != 0xF8
        || block == 0
        || rate == 15
        || channels != info.channels
        || !bits_fit
        || format & 1 != 0
    {
        return None;
    }
    let lead = *bytes.get(4)?;
    let (more, mut number) = match lead.leading_ones() {
        0 => (0, u64::from(lead)),
        ones @ 2..=7 => (ones as usize - 1, u64::from(lead & (0x7F >> ones))),
        _ => return None,
    };
    for &byte in bytes.get(5..5 + more)? {
        if byte & 0xC0 != 0x80 {
            return None;
        }
        number = number << 6 | u64::from(byte & 0x3F);
    }
    let block_bytes = match block {
        6 => 1,
        7 => 2,
        _ => 0,
    };
    let rate_bytes = match rate {
        12 => 1,
        13 | 14 => 2,
        _ => 0,
    };
    let end = 5 + more + block_bytes + rate_bytes;
    if crc8(bytes.get(..end)?) != *bytes.get(end)? {
        return None;
    }
    Some(if sync & 1 == 0 { number * u64::from(info.blocks[1]) } else { number })
}

/// The frame that `bytes` begin with and its length, if it is whole.
fn decode(bytes: &[u8], info: &StreamInfo, spare: Vec<i32>) -> Option<(Block, usize)> {
    let mut reader = FrameReader::new(Cursor::new(bytes));
    let block = reader.read_next_or_eof(spare).ok()??;
    let fits = block.channels() == u32::from(info.channels) && block.duration() <= u32::from(info.blocks[1]);
    fits.then(|| (block, reader.into_inner().position() as usize))
}

/// x⁸ + x² + x + 1 (RFC 9639 §9.1.8).
fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ byte, |crc, _| if crc & 0x80 == 0 { crc << 1 } else { crc << 1 ^ 0x07 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_of_a_header_is_the_polynomial_of_the_standard() {
        assert_eq!(crc8(b"123456789"), 0xF4); // CRC-8/SMBUS, by its published check value
    }
}
