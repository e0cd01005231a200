//! Reads WAV and RF64: what a file holds, and its frames from any place.
//!
//! Takes what others write: chunks in any number before the data, PCM or float, plain or extensible, BW64 for RF64, and
//! sizes that promise more than there is (a recording that is still growing or was cut).

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use audyn_units::{ChannelCount, Counted, FrameCount, SampleRate};

use super::bext::{self, Bext};
use super::convert::decode;
use super::ixml;
use crate::{Facts, MediaError, PcmDepth, WavSpec};

const TAG_PCM: u16 = 1;
const TAG_FLOAT: u16 = 3;
const TAG_EXTENSIBLE: u16 = 0xFFFE;
/// The GUID that means PCM or float in an extensible format, behind its first two bytes, which hold the tag.
const GUID_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];

/// What a WAV file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WavInfo {
    /// The format.
    pub spec: WavSpec,
    /// Where the first sample lies, in bytes.
    pub data_offset: u64,
    /// Whole frames that can be read: what the header counts or what the file has, whichever is less.
    pub frames: FrameCount,
    /// Frames that the header counts.
    pub declared: FrameCount,
    /// Whether the sizes are 64 bits wide (RF64 or BW64).
    pub rf64: bool,
}

/// Why a file was refused, before its name is known.
enum Refusal {
    Io(io::Error),
    NotWav(String),
}

impl From<io::Error> for Refusal {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

impl Refusal {
    fn named(self, what: &str) -> MediaError {
        let what = what.to_owned();
        match self {
            Self::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                MediaError::NotWav { what, reason: "it ends inside its header".to_owned() }
            }
            Self::Io(source) => MediaError::Read { what, source },
            Self::NotWav(reason) => MediaError::NotWav { what, reason },
        }
    }
}

impl WavInfo {
    /// Reads the header of the file `path`.
    ///
    /// # Errors
    /// [`MediaError::Read`] if the file cannot be read, [`MediaError::NotWav`] if it is no WAV of 16 or 24 bit
    /// or 32-bit floats at a rate of AES67.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, MediaError> {
        WavReader::open(path).map(|reader| reader.info)
    }

    /// Reads a header from `source`, whatever its position; leaves the position anywhere.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn read(source: &mut (impl Read + Seek)) -> Result<Self, MediaError> {
        parse(source).map(|(info, _)| info).map_err(|e| e.named("the stream"))
    }
}

/// Bytes of a describing chunk that are read at most; a longer one is not read.
const DESCRIPTION_MOST: u32 = 256 * 1024;

/// Where the chunks lie that describe a file, and how long they are.
#[derive(Debug, Clone, Copy, Default)]
struct Described {
    bext: Option<(u64, u32)>,
    ixml: Option<(u64, u32)>,
}

fn parse(source: &mut (impl Read + Seek)) -> Result<(WavInfo, Described), Refusal> {
    let file_len = source.seek(SeekFrom::End(0))?;
    source.rewind()?;
    if file_len == 0 {
        return Err(Refusal::NotWav("it is empty".to_owned()));
    }
    let riff: [u8; 12] = take(source)?;
    let rf64 = matches!(&riff[..4], b"RF64" | b"BW64");
    if !(rf64 || &riff[..4] == b"RIFF") || &riff[8..] != b"WAVE" {
        return Err(Refusal::NotWav("it does not begin as RIFF or RF64 WAVE".to_owned()));
    }
    let mut at = 12;
    let mut format = None;
    let mut long_data = None;
    let mut described = Described::default();
    loop {
        source.seek(SeekFrom::Start(at))?;
        let chunk: [u8; 8] = take(source).map_err(|e| {
            if at >= file_len { Refusal::NotWav("it has no data chunk".to_owned()) } else { e.into() }
        })?;
        let size = u32_at(&chunk, 4);
        let body = at + 8;
        match &chunk[..4] {
            b"ds64" if rf64 => {
                let sizes: [u8; 24] = take(source)?;
                long_data = Some(u64_at(&sizes, 8));
            }
            b"fmt " => format = Some(parse_format(source, size)?),
            b"bext" => described.bext = Some((body, size)),
            b"iXML" => described.ixml = Some((body, size)),
            b"data" => {
                let Some(spec) = format else {
                    return Err(Refusal::NotWav("its data come before its format".to_owned()));
                };
                // EBU Tech 3306 §3: the 64-bit size holds where the 32-bit one is all ones.
                let declared = match long_data {
                    Some(long) if size == u32::MAX => long,
                    _ => u64::from(size),
                };
                let frame_bytes = spec.frame_bytes() as u64;
                let there = file_len - body;
                let info = WavInfo {
                    spec,
                    data_offset: body,
                    frames: FrameCount(declared.min(there) / frame_bytes),
                    declared: FrameCount(declared / frame_bytes),
                    rf64,
                };
                return Ok((info, described));
            }
            _ if size == u32::MAX => {
                return Err(Refusal::NotWav("a chunk before its data is longer than 4 GiB".to_owned()));
            }
            _ => {}
        }
        at = body + u64::from(size) + u64::from(size & 1);
    }
}

fn parse_format(source: &mut impl Read, size: u32) -> Result<WavSpec, Refusal> {
    let no = |reason: String| Err(Refusal::NotWav(reason));
    if size < 16 {
        return no(format!("its format chunk has {} instead of 16 or more", Counted(size.into(), "byte")));
    }
    let base: [u8; 16] = take(source)?;
    let tag = match u16_at(&base, 0) {
        TAG_EXTENSIBLE if size >= 40 => {
            let more: [u8; 24] = take(source)?;
            if more[10..] == GUID_TAIL { u16_at(&more, 8) } else { TAG_EXTENSIBLE }
        }
        tag => tag,
    };
    let depth = match (tag, u16_at(&base, 14)) {
        (TAG_PCM, 16) => PcmDepth::Pcm16,
        (TAG_PCM, 24) => PcmDepth::Pcm24,
        (TAG_FLOAT, 32) => PcmDepth::Float32,
        (TAG_PCM, bits) => return no(format!("its samples have {bits} bits instead of 16 or 24")),
        (TAG_FLOAT, bits) => return no(format!("its floats have {bits} bits instead of 32")),
        _ => return no(format!("its format is {tag:#06x} instead of PCM or float")),
    };
    let rate = match SampleRate::new(u32_at(&base, 4)) {
        Ok(rate) => rate,
        Err(e) => return no(e.to_string()),
    };
    let channels = u16_at(&base, 2);
    let Some(channels) = u8::try_from(channels).ok().and_then(|n| ChannelCount::new(n).ok()) else {
        return no(format!("it has {channels} channels instead of 1 to {}", ChannelCount::MAX));
    };
    let spec = WavSpec { rate, channels, depth };
    if usize::from(u16_at(&base, 12)) != spec.frame_bytes() {
        return no(format!(
            "its frames are said to have {} instead of {}",
            Counted(u16_at(&base, 12).into(), "byte"),
            spec.frame_bytes()
        ));
    }
    Ok(spec)
}

fn take<const N: usize>(source: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    source.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;

/// Reads the frames of a WAV file, from the first unless told otherwise.
#[derive(Debug)]
pub struct WavReader<R: Read + Seek = BufReader<File>> {
    source: R,
    what: String,
    info: WavInfo,
    described: Described,
    /// The next frame.
    next: FrameCount,
    bytes: Vec<u8>,
}

impl WavReader {
    /// Opens the file `path`.
    ///
    /// # Errors
    /// As [`WavInfo::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, MediaError> {
        let what = path.as_ref().display().to_string();
        match File::open(path) {
            Ok(file) => Self::from_source(BufReader::new(file), what),
            Err(source) => Err(MediaError::Read { what, source }),
        }
    }
}

impl<R: Read + Seek> WavReader<R> {
    /// Reads from any source; `what` names it in messages.
    ///
    /// # Errors
    /// As [`WavInfo::open`].
    pub fn from_source(mut source: R, what: impl Into<String>) -> Result<Self, MediaError> {
        let what = what.into();
        match parse(&mut source) {
            Ok((info, described)) => {
                let (next, bytes) = (FrameCount::ZERO, Vec::new());
                let mut reader = Self { source, what, info, described, next, bytes };
                reader.seek(FrameCount::ZERO)?;
                Ok(reader)
            }
            Err(e) => Err(e.named(&what)),
        }
    }

    /// What the file held when it was opened.
    pub fn info(&self) -> WavInfo {
        self.info
    }

    /// What the file tells of itself in `bext`, whoever wrote it; none if it tells nothing.
    ///
    /// # Errors
    /// [`MediaError::Read`].
    pub fn bext(&mut self) -> Result<Option<Bext>, MediaError> {
        Ok(self.chunk(self.described.bext)?.as_deref().and_then(bext::decode))
    }

    /// The facts that this program wrote into the file; none if another wrote it, a version before, or no instant was known.
    ///
    /// # Errors
    /// [`MediaError::Read`].
    pub fn facts(&mut self) -> Result<Option<Facts>, MediaError> {
        Ok(self.chunk(self.described.ixml)?.as_deref().and_then(ixml::decode))
    }

    fn chunk(&mut self, place: Option<(u64, u32)>) -> Result<Option<Vec<u8>>, MediaError> {
        let Some((at, size)) = place.filter(|(_, size)| *size <= DESCRIPTION_MOST) else { return Ok(None) };
        let mut body = vec![0; size as usize];
        let read = self.source.seek(SeekFrom::Start(at)).and_then(|_| self.source.read_exact(&mut body));
        read.map_err(|source| MediaError::Read { what: self.what.clone(), source })?;
        self.seek(self.next)?;
        Ok(Some(body))
    }

    /// Goes to the frame that lies `frames` behind the first, or to the end if there are fewer.
    ///
    /// # Errors
    /// [`MediaError::Read`].
    pub fn seek(&mut self, frames: FrameCount) -> Result<(), MediaError> {
        self.next = frames.min(self.info.frames);
        let offset = self.info.data_offset + self.next.0 * self.info.spec.frame_bytes() as u64;
        match self.source.seek(SeekFrom::Start(offset)) {
            Ok(_) => Ok(()),
            Err(source) => Err(MediaError::Read { what: self.what.clone(), source }),
        }
    }

    /// Fills `samples` with whole frames, interleaved and left-justified, and says how many; 0 at the end. Room
    /// for less than a frame at the end of `samples` is left alone.
    ///
    /// # Errors
    /// [`MediaError::Read`]; also if the file was made shorter since it was opened. The position is then
    /// unknown: seek before reading on.
    pub fn read(&mut self, samples: &mut [i32]) -> Result<FrameCount, MediaError> {
        let spec = self.info.spec;
        let channels = spec.channels.get();
        let room = FrameCount((samples.len() / channels) as u64);
        let frames = room.min(self.info.frames.saturating_sub(self.next));
        let samples = &mut samples[..frames.0 as usize * channels];
        let at_once = (READ_BYTES / spec.frame_bytes()).max(1) * channels;
        for part in samples.chunks_mut(at_once) {
            self.bytes.resize(part.len() * spec.depth.bytes(), 0);
            if let Err(source) = self.source.read_exact(&mut self.bytes) {
                return Err(MediaError::Read { what: self.what.clone(), source });
            }
            decode(spec.depth, &self.bytes, part);
        }
        self.next += frames;
        Ok(frames)
    }
}
