//! The frames of a range, from the files that hold them.

use std::io::BufReader;
use std::path::Path;

use audyn_units::{FrameCount, FrameIndex};

use super::{AudioSource, LedgerGaps, Range, Segment};
use crate::beneath::OFlags;
use crate::chain::{GapFacts, ledger_of};
use crate::{Beneath, MediaError};

/// Frames that are read at once.
const BLOCK: usize = 8_192;

/// Silence that is longer is not read but passed over: to find a frame anew costs up to 20 s of decoding.
const WORTH_A_SEEK: u64 = 30 * 48_000;

/// The cause of a lack that no ledger tells of: there is no file.
pub const NOT_RECORDED: &str = "not-recorded";

/// The cause of a lack where a file is that should hold it and cannot be read.
pub const UNREADABLE: &str = "unreadable";

/// What comes next of a range.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Frames that came.
    Audio {
        /// The first one's position.
        position: FrameIndex,
        /// Interleaved, left-justified.
        samples: &'a [i32],
    },
    /// Frames that did not: as much silence belongs into their place. One of no length is a joint, where what follows was placed
    /// anew.
    Lack(GapFacts),
}

/// The file that is being read.
#[derive(Debug)]
struct Open {
    source: AudioSource,
    gaps: Option<LedgerGaps<BufReader<std::fs::File>>>,
    /// The gap ahead, on the range's timeline.
    gap: Option<GapFacts>,
    /// The frame that the source gives next.
    at: FrameIndex,
    /// Which piece it was opened for.
    piece: usize,
}

/// Reads a [`Range`] from its first frame to its last: see the module's page.
#[derive(Debug)]
pub struct RangeReader {
    directory: Beneath,
    range: Range,
    /// The next frame.
    at: FrameIndex,
    /// The piece that it lies in.
    piece: usize,
    open: Option<Open>,
    samples: Vec<i32>,
    /// What could not be read, in sentences that nobody has taken yet.
    troubles: Vec<MediaError>,
}

impl RangeReader {
    /// Reads `range` from the files below the recorder's directory.
    pub fn new(directory: Beneath, range: Range) -> Self {
        let samples = vec![0; BLOCK * range.channels.get()];
        Self { directory, at: range.from, range, piece: 0, open: None, samples, troubles: Vec::new() }
    }

    /// What is read.
    #[must_use]
    pub fn range(&self) -> &Range {
        &self.range
    }

    /// Position of the next frame.
    #[must_use]
    pub fn position(&self) -> FrameIndex {
        self.at
    }

    /// What could not be read since this was asked last; its frames were told as lacks.
    pub fn take_troubles(&mut self) -> Vec<MediaError> {
        std::mem::take(&mut self.troubles)
    }

    /// The next part; none at the end. Parts follow one another without a hole.
    pub fn next_part(&mut self) -> Option<Part<'_>> {
        let piece = loop {
            let piece = self.range.pieces.get(self.piece)?.clone();
            if self.at < piece.to {
                break piece;
            }
            self.piece += 1;
            self.open = None;
        };
        let Some(segment) = piece.segment else {
            return Some(self.lack(piece.to, NOT_RECORDED));
        };
        if self.open.as_ref().is_none_or(|open| open.piece != self.piece) {
            match self.opened(segment, piece.to) {
                Ok(open) => self.open = Some(open),
                Err(error) => return Some(self.unreadable(piece.to, error)),
            }
        }
        let open = self.open.as_mut()?;
        if open.gap.is_none()
            && let Some(gaps) = &mut open.gaps
        {
            let scale = self.range.scale(&self.range.segments[segment]);
            // A ledger that breaks off tells of no more gaps: what the file holds is given as it is.
            open.gap = gaps.next_gap().ok().flatten().map(|gap| {
                let end = scale.position(gap.position + gap.frames).min(piece.to);
                let position = scale.position(gap.position).max(self.at).min(end.max(self.at));
                GapFacts { position, frames: end.since(position), ..gap }
            });
            if open.gap.is_none() {
                open.gaps = None;
            }
        }
        if let Some(gap) = open.gap.take_if(|gap| gap.position <= self.at) {
            self.at += gap.frames;
            return Some(Part::Lack(gap));
        }
        let end = open.gap.as_ref().map_or(piece.to, |gap| gap.position.min(piece.to));
        match self.audio(segment, end) {
            Ok(0) => {
                let segment = &self.range.segments[segment];
                let error = MediaError::Read {
                    what: self.directory.path().join(&segment.file).display().to_string(),
                    source: std::io::ErrorKind::UnexpectedEof.into(),
                };
                Some(self.unreadable(piece.to, error))
            }
            Ok(frames) => {
                let position = self.at;
                self.at += FrameCount(frames as u64);
                Some(Part::Audio { position, samples: &self.samples[..frames * self.range.channels.get()] })
            }
            Err(error) => Some(self.unreadable(piece.to, error)),
        }
    }

    /// Reads up to a block of frames that lie before `end`, and says how many.
    fn audio(&mut self, segment: usize, end: FrameIndex) -> Result<usize, MediaError> {
        let channels = self.range.channels.get();
        let start = self.start_of(&self.range.segments[segment]);
        let Some(open) = &mut self.open else { return Ok(0) };
        if self.at < open.at || self.at.since(open.at).0 > WORTH_A_SEEK {
            open.source.seek(self.at.since(start))?;
            open.at = self.at;
        }
        loop {
            let ahead = if open.at < self.at { self.at.since(open.at) } else { end.since(self.at) };
            let frames = ahead.0.min(BLOCK as u64) as usize;
            let read = open.source.read(&mut self.samples[..frames * channels])?;
            let passed = open.at < self.at;
            open.at += read;
            if !passed || read == FrameCount::ZERO {
                return Ok(read.0 as usize);
            }
        }
    }

    /// The first frame of a file on the range's timeline.
    fn start_of(&self, segment: &Segment) -> FrameIndex {
        self.range.position(segment, segment.start)
    }

    fn opened(&self, number: usize, to: FrameIndex) -> Result<Open, MediaError> {
        let segment = &self.range.segments[number];
        let path = Path::new(&segment.file);
        let what = || self.directory.path().join(path).display().to_string();
        let unread = |source| MediaError::Read { what: what(), source };
        let parent = path.parent().unwrap_or(Path::new(""));
        let directory = self.directory.try_clone().and_then(|above| above.open(parent)).map_err(unread)?;
        let name = path.file_name().unwrap_or_default();
        let mut source = AudioSource::open_in(&directory, name, segment.kind)?;
        if (source.channels(), source.rate()) != (self.range.channels, self.range.rate) {
            let reason = "it is not the file that was recorded: its format is another";
            return Err(unread(std::io::Error::new(std::io::ErrorKind::InvalidData, reason)));
        }
        source.seek(self.at.since(self.start_of(segment)))?;
        let scale = self.range.scale(segment);
        // A frame more at each end, where positions are scaled: what lies outside is cut off behind.
        let (from, to) =
            (scale.back(self.at), scale.back(to) + FrameCount(u64::from(segment.rate != self.range.rate)));
        // Without a ledger nobody knows of gaps.
        let gaps = directory
            .file(&ledger_of(name), OFlags::RDONLY)
            .ok()
            .map(|file| LedgerGaps::new(BufReader::new(file), from, to.min(segment.end())));
        Ok(Open { source, gaps, gap: None, at: self.at, piece: self.piece })
    }

    fn unreadable(&mut self, to: FrameIndex, error: MediaError) -> Part<'static> {
        self.troubles.push(error);
        self.lack(to, UNREADABLE)
    }

    fn lack(&mut self, to: FrameIndex, cause: &str) -> Part<'static> {
        let (position, frames) = (self.at, to.since(self.at));
        self.at = to;
        Part::Lack(GapFacts { position, frames, cause: cause.to_owned(), estimated: false })
    }
}
