//! Reads Ogg Opus: its frames at 48 kHz, from any place, also of a file that grows or was cut.
//!
//! Owns: which sample is the first and which the last one (RFC 7845 §4). Takes what others write: packets of any length, granule
//! positions that don't begin at 0. Damage costs what it hit: the frames after it stay at their places, with silence between.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use audyn_units::{ChannelCount, FrameCount, SampleRate};
use opus::MSDecoder;

use super::encoder::{PACKET, PREROLL};
use super::head::Head;
use super::page::LONGEST;
use super::pages::{Pages, Refusal, headers, last_page};
use crate::MediaError;

/// Samples of the longest packet, 120 ms.
const LONGEST_PACKET: usize = 5_760;

/// Samples that are decoded before a place that was sought, so that the decoder gives there what it gives when it comes along.
const SEEK_PREROLL: u64 = PREROLL * PACKET;

/// What an Opus file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpusInfo {
    /// Samples of a frame.
    pub channels: ChannelCount,
    /// Frames per second that the encoder was given, if the file tells one of AES67's. What is read has always 48,000.
    pub given: Option<SampleRate>,
    /// Frames at 48 kHz that the file had when this was asked.
    pub frames: FrameCount,
    /// Whether its end is marked: nothing comes any more, and nothing was cut off.
    pub ended: bool,
}

/// Reads the frames of an Opus file, from the first unless told otherwise.
#[derive(Debug)]
pub struct OpusReader<R: Read + Seek = File> {
    source: Pages<R>,
    what: String,
    head: Head,
    channels: ChannelCount,
    serial: u32,
    /// Where the first page of audio begins.
    audio: u64,
    /// Granule position before the first packet.
    origin: u64,
    frames: FrameCount,
    ended: bool,
    decoder: MSDecoder,
    /// The next frame.
    next: FrameCount,
    /// Granule position behind what was decoded; none behind a seek, until a page tells it.
    decoded: Option<u64>,
    /// A packet that goes on on the next page.
    part: Vec<u8>,
    /// Decoded samples, and how many of them were read.
    pcm: Vec<f32>,
    used: usize,
    /// Frames of silence that stand for what is missing, before those of `pcm`.
    missing: u64,
    room: Vec<f32>,
}

impl OpusReader {
    /// Opens the file `path`.
    ///
    /// # Errors
    /// [`MediaError::Read`] if the file cannot be read, [`MediaError::NotOpus`] if it is no Ogg Opus of 1 to 64 channels.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, MediaError> {
        let what = path.as_ref().display().to_string();
        match File::open(path) {
            Ok(file) => Self::from_source(file, what),
            Err(source) => Err(MediaError::Read { what, source }),
        }
    }
}

impl<R: Read + Seek> OpusReader<R> {
    /// Reads from any source; `what` names it in messages.
    ///
    /// # Errors
    /// As [`open`](OpusReader::open).
    pub fn from_source(source: R, what: impl Into<String>) -> Result<Self, MediaError> {
        let what = what.into();
        let mut source = Pages::new(source);
        let opened = headers(&mut source).and_then(|(head, serial)| {
            let channels =
                u8::try_from(head.mapping.table.len()).ok().and_then(|n| ChannelCount::new(n).ok());
            let channels = channels
                .ok_or_else(|| Refusal::NotOpus(format!("has more than {} channels", ChannelCount::MAX)))?;
            let mapping = &head.mapping;
            let decoder = MSDecoder::new(48_000, mapping.streams, mapping.coupled, &mapping.table)
                .and_then(|mut decoder| decoder.set_gain(i32::from(head.gain)).map(|()| decoder));
            Ok((
                head,
                serial,
                channels,
                decoder.map_err(|e| Refusal::NotOpus(format!("has streams of which libopus says: {e}")))?,
            ))
        });
        let (head, serial, channels, decoder) = match opened {
            Ok(opened) => opened,
            Err(refusal) => return Err(refusal.named(&what)),
        };
        let mut reader = Self {
            audio: source.at(),
            source,
            what,
            head,
            channels,
            serial,
            origin: 0,
            frames: FrameCount::ZERO,
            ended: false,
            decoder,
            next: FrameCount::ZERO,
            decoded: None,
            part: Vec::new(),
            pcm: Vec::new(),
            used: 0,
            missing: 0,
            room: vec![0.0; LONGEST_PACKET * channels.get()],
        };
        reader.origin = reader.find_origin()?;
        reader.refresh()?;
        reader.rewind();
        Ok(reader)
    }

    /// What the file holds, as of the opening or the last [`refresh`](Self::refresh).
    pub fn info(&self) -> OpusInfo {
        let given = SampleRate::new(self.head.rate).ok();
        OpusInfo { channels: self.channels, given, frames: self.frames, ended: self.ended }
    }

    /// Looks how far a file that grows has come; the next frame stays the same.
    ///
    /// # Errors
    /// [`MediaError::Read`].
    pub fn refresh(&mut self) -> Result<OpusInfo, MediaError> {
        let last = last_page(&mut self.source, 0, self.serial);
        if let Some(last) = last.map_err(|e| self.unread(e))? {
            let samples =
                last.granule.saturating_sub(self.origin).saturating_sub(u64::from(self.head.pre_skip));
            (self.frames, self.ended) = (FrameCount(samples), last.ended);
        }
        Ok(self.info())
    }

    /// Goes to the frame that lies `frames` behind the first, or to the end if there are fewer.
    ///
    /// # Errors
    /// [`MediaError::Read`].
    pub fn seek(&mut self, frames: FrameCount) -> Result<(), MediaError> {
        let frames = frames.min(self.frames);
        self.rewind();
        let granule = self.origin + u64::from(self.head.pre_skip) + frames.0;
        let before = granule.saturating_sub(SEEK_PREROLL);
        if before > self.origin {
            // The last page that ends before; the one after it begins with a packet that is wanted or comes before such.
            let (mut low, mut high) = (self.audio, self.length()?);
            while high.saturating_sub(low) > LONGEST as u64 {
                let middle = low + (high - low) / 2;
                match self.page_from(middle, high).map_err(|e| self.unread(e))? {
                    Some((end, granule)) if granule <= before => low = end,
                    _ => high = middle,
                }
            }
            self.source.go(low);
            self.decoded = if low == self.audio { Some(self.origin) } else { None };
        }
        self.next = frames;
        Ok(())
    }

    /// Fills `samples` with whole frames, interleaved and left-justified in 24 bit, and says how many; 0 at the end. Room for less
    /// than a frame at the end of `samples` is left alone. At the end of a file that grows, a later call reads on.
    ///
    /// # Errors
    /// [`MediaError::Read`]. Seek before reading on.
    pub fn read(&mut self, samples: &mut [i32]) -> Result<FrameCount, MediaError> {
        let channels = self.channels.get();
        let room = samples.len() / channels;
        let mut done = 0;
        while done < room {
            let out = &mut samples[done * channels..room * channels];
            let there = (self.pcm.len() - self.used) / channels;
            if self.missing > 0 {
                let n = (room - done).min(usize::try_from(self.missing).unwrap_or(usize::MAX));
                out[..n * channels].fill(0);
                self.missing -= n as u64;
                done += n;
                self.next.0 += n as u64;
            } else if there > 0 {
                let n = (room - done).min(there);
                let pcm = &self.pcm[self.used..self.used + n * channels];
                out.iter_mut().zip(pcm).for_each(|(out, &sample)| *out = to_24(sample));
                self.used += n * channels;
                done += n;
                self.next.0 += n as u64;
            } else if !self.decode_page()? {
                break;
            }
        }
        Ok(FrameCount(done as u64))
    }

    fn unread(&self, source: io::Error) -> MediaError {
        MediaError::Read { what: self.what.clone(), source }
    }

    fn length(&mut self) -> Result<u64, MediaError> {
        let length = self.source.source().seek(SeekFrom::End(0));
        length.map_err(|e| self.unread(e))
    }

    fn rewind(&mut self) {
        self.source.go(self.audio);
        self.next = FrameCount::ZERO;
        self.decoded = Some(self.origin);
        self.part.clear();
        self.pcm.clear();
        (self.used, self.missing) = (0, 0);
        // It cannot fail, and a decoder that was not reset would only need its preroll.
        let _ = self.decoder.reset_state();
    }

    /// The granule position before the first packet: 0, but in a stream that was joined late (RFC 7845 §4.5).
    fn find_origin(&mut self) -> Result<u64, MediaError> {
        self.source.go(self.audio);
        let mut samples = 0;
        let mut part = Vec::new();
        while let Some(page) =
            self.source.page().map_err(|source| MediaError::Read { what: self.what.clone(), source })?
        {
            for (bytes, ends) in page.packets() {
                part.extend_from_slice(bytes);
                if ends {
                    samples += duration(&part);
                    part.clear();
                }
            }
            if let Some(granule) = page.granule() {
                return Ok(granule.saturating_sub(samples));
            }
        }
        Ok(0)
    }

    /// The first page from the byte `from` on that counts: where it ends, and its granule position. None up to `to`.
    fn page_from(&mut self, from: u64, to: u64) -> io::Result<Option<(u64, u64)>> {
        self.source.go(from);
        loop {
            let found = self.source.page()?.map(|page| (page.granule(), page.serial(), page.ends_packet()));
            match found {
                None => return Ok(None),
                Some(_) if self.source.began() >= to => return Ok(None),
                Some((Some(granule), serial, true)) if serial == self.serial => {
                    return Ok(Some((self.source.at(), granule)));
                }
                Some(_) => {}
            }
        }
    }

    /// Decodes the next page; false if there is none yet.
    fn decode_page(&mut self) -> Result<bool, MediaError> {
        let Self { source, part, pcm, room, decoder, .. } = self;
        let page = match source.page() {
            Ok(Some(page)) if page.serial() == self.serial => page,
            Ok(Some(_)) => return Ok(true), // another stream's
            Ok(None) => return Ok(false),
            Err(source) => return Err(MediaError::Read { what: self.what.clone(), source }),
        };
        let channels = self.channels.get();
        pcm.clear();
        self.used = 0;
        if !page.continues() {
            part.clear(); // its end is missing
        }
        let mut begun = page.continues() && part.is_empty(); // its beginning is missing
        let mut samples = 0;
        for (bytes, ends) in page.packets() {
            if begun {
                begun = !ends;
                continue;
            }
            part.extend_from_slice(bytes);
            if ends {
                let expected = duration(part);
                // What cannot be decoded is silence of its length.
                let decoded = decoder.decode_float(part, room, false).unwrap_or(0);
                pcm.extend_from_slice(&room[..decoded * channels]);
                pcm.resize(pcm.len() + (expected as usize).saturating_sub(decoded) * channels, 0.0);
                samples += expected.max(decoded as u64);
                part.clear();
            }
        }
        let (granule, ended) = (page.granule(), page.ends_stream());
        self.place(granule, samples, ended);
        Ok(true)
    }

    /// Gives what a page held its place: leaves out what lies before the next frame or behind the stream's end.
    fn place(&mut self, granule: Option<u64>, samples: u64, ended: bool) {
        let channels = self.channels.get();
        let mut start = match (self.decoded, granule) {
            (Some(decoded), Some(granule)) if !ended => decoded.max(granule.saturating_sub(samples)),
            (Some(decoded), _) => decoded,
            (None, Some(granule)) => granule.saturating_sub(samples),
            (None, None) => return self.pcm.clear(), // nobody knows yet where this is
        };
        let mut end = start + samples;
        self.decoded = Some(end);
        if let (true, Some(granule)) = (ended, granule) {
            end = end.min(granule.max(start));
        }
        let wanted = self.origin + u64::from(self.head.pre_skip) + self.next.0;
        self.pcm.truncate((end - start) as usize * channels);
        let early = wanted.saturating_sub(start).min(end - start);
        self.used = early as usize * channels;
        start += early;
        self.missing = if end > start { start.saturating_sub(wanted) } else { 0 };
    }
}

/// Left-justified, rounded to 24 bit.
fn to_24(sample: f32) -> i32 {
    let rounded = (f64::from(sample) * 8_388_608.0).round_ties_even().clamp(-8_388_608.0, 8_388_607.0);
    (rounded as i32) << 8
}

/// Samples of a packet at 48 kHz; none if it is no packet of Opus.
fn duration(packet: &[u8]) -> u64 {
    opus::packet::get_nb_samples(packet, 48_000).map_or(0, |samples| samples as u64)
}
