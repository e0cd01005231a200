//! Reads FLAC: what a file holds, and its frames from any place.
//!
//! Takes what others write as long as it is 16 or 24 bit at a rate of AES67, files that still grow, and files that were cut: a
//! stretch that is broken is told as silence, so that what lies behind it stays at its time.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use audyn_units::{ChannelCount, FrameCount, SampleRate};

use super::frames::{Frame, Frames};
use super::head::Head;
use crate::{Facts, MediaError, PcmDepth};

/// What a FLAC file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlacInfo {
    /// Frames per second.
    pub rate: SampleRate,
    /// Samples of a frame.
    pub channels: ChannelCount,
    /// Bits of a sample.
    pub depth: PcmDepth,
    /// Frames that the file counts; 0 is also what a file says that does not know. One that is being written may hold more, one
    /// that was cut less.
    pub declared: FrameCount,
    /// The MD5 sum of its samples; none while it is written, and if it was not closed.
    pub md5: Option<[u8; 16]>,
    /// What it tells of itself: names in capitals, and values.
    pub comments: Vec<(String, String)>,
}

impl FlacInfo {
    /// Reads the head of the file `path`.
    ///
    /// # Errors
    /// [`MediaError::Read`] if the file cannot be read, [`MediaError::NotFlac`] if it is no FLAC of 16 or 24 bit at a rate of
    /// AES67.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, MediaError> {
        FlacReader::open(path).map(|reader| reader.info)
    }

    /// What the comments tell, if Audyn wrote them.
    pub fn facts(&self) -> Facts {
        Facts::from_comments(&self.comments)
    }

    fn of(head: &Head, what: &str) -> Result<Self, MediaError> {
        let no = |reason| MediaError::NotFlac { what: what.to_owned(), reason };
        let depth = match head.info.bits {
            16 => PcmDepth::Pcm16,
            24 => PcmDepth::Pcm24,
            bits => return Err(no(format!("its samples have {bits} bits instead of 16 or 24"))),
        };
        let md5 = head.info.md5;
        Ok(Self {
            rate: SampleRate::new(head.info.rate).map_err(|e| no(e.to_string()))?,
            channels: ChannelCount::new(head.info.channels).map_err(|e| no(e.to_string()))?,
            depth,
            declared: FrameCount(head.info.frames),
            md5: (md5 != [0; 16]).then_some(md5),
            comments: head.comments.clone(),
        })
    }
}

/// Reads the frames of a FLAC file, from the first unless told otherwise, in the memory of a few blocks.
#[derive(Debug)]
pub struct FlacReader<R: Read + Seek = BufReader<File>> {
    frames: Frames<R>,
    what: String,
    head: Head,
    info: FlacInfo,
    /// The next frame.
    next: u64,
    /// What was decoded and not read yet.
    block: Option<Frame>,
}

impl FlacReader {
    /// Opens the file `path`.
    ///
    /// # Errors
    /// As [`FlacInfo::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, MediaError> {
        let what = path.as_ref().display().to_string();
        match File::open(path) {
            Ok(file) => Self::from_source(BufReader::new(file), what),
            Err(source) => Err(MediaError::Read { what, source }),
        }
    }
}

impl<R: Read + Seek> FlacReader<R> {
    /// Reads from any source; `what` names it in messages.
    ///
    /// # Errors
    /// As [`FlacInfo::open`].
    pub fn from_source(mut source: R, what: impl Into<String>) -> Result<Self, MediaError> {
        let what = what.into();
        let head = Head::read(&mut source, &what)?;
        let info = FlacInfo::of(&head, &what)?;
        let frames = Frames::new(source, head.info);
        let mut reader = Self { frames, what, head, info, next: 0, block: None };
        reader.seek(FrameCount::ZERO)?;
        Ok(reader)
    }

    /// What the file held when it was opened.
    pub fn info(&self) -> &FlacInfo {
        &self.info
    }

    /// Goes to the frame that lies `frames` behind the first; behind the end, nothing is read. Decodes from the seek point before
    /// it on, or from the beginning if the file has none.
    ///
    /// # Errors
    /// [`MediaError::Read`].
    pub fn seek(&mut self, frames: FrameCount) -> Result<(), MediaError> {
        let points = &self.head.points;
        let before = points.partition_point(|point| point.first <= frames.0);
        let offset = before.checked_sub(1).map_or(0, |number| points[number].offset);
        self.next = frames.0;
        self.block = None;
        let gone = self.frames.go_to(self.head.frames_at + offset);
        gone.map_err(|source| MediaError::Read { what: self.what.clone(), source })
    }

    /// Fills `samples` with frames, interleaved and left-justified, and says how many; 0 at the end, which a file that is being
    /// written may leave behind later. Room for less than a frame at the end of `samples` is left alone.
    ///
    /// # Errors
    /// [`MediaError::Read`]. The position is then unknown: seek before reading on.
    pub fn read(&mut self, samples: &mut [i32]) -> Result<FrameCount, MediaError> {
        let channels = self.info.channels.get();
        let room = samples.len() / channels;
        let mut done = 0;
        while done < room {
            let Some(frame) = self.block_ahead()? else { break };
            let silent = frame.first.saturating_sub(self.next).min((room - done) as u64) as usize;
            let out = &mut samples[done * channels..];
            out[..silent * channels].fill(0);
            self.next += silent as u64;
            done += silent;
            // Silence may have taken all the room.
            let from = self.next.saturating_sub(frame.first) as usize;
            let count = (frame.block.duration() as usize - from).min(room - done);
            let out = &mut samples[done * channels..][..count * channels];
            let shift = 32 - self.info.depth.bits();
            for channel in 0..channels {
                let source = &frame.block.channel(channel as u32)[from..];
                for (sample, &value) in out.iter_mut().skip(channel).step_by(channels).zip(source) {
                    *sample = value << shift;
                }
            }
            self.next += count as u64;
            done += count;
            self.block = Some(frame);
        }
        Ok(FrameCount(done as u64))
    }

    /// The block that holds the next frame of audio, or the first behind it.
    fn block_ahead(&mut self) -> Result<Option<Frame>, MediaError> {
        while self.block.as_ref().is_none_or(|frame| frame.next() <= self.next) {
            if let Some(frame) = self.block.take() {
                self.frames.recycle(frame);
            }
            match self.frames.next() {
                Ok(Some(frame)) => self.block = Some(frame),
                Ok(None) => return Ok(None),
                Err(source) => return Err(MediaError::Read { what: self.what.clone(), source }),
            }
        }
        Ok(self.block.take())
    }
}
