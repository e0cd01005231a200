//! One way over the pieces of a range, on whichever volume each of them lies.
//!
//! Owns: the file that is open on it, and the place in it. Never: goes back.

use std::fs::File;
use std::io::BufReader;

use audyn_units::{FrameCount, FrameIndex};

use super::reader::{NOT_RECORDED, UNREADABLE};
use super::shelf::{Files, Shelf};
use super::{AudioSource, LedgerGaps, Piece, Range};
use crate::MediaError;
use crate::chain::GapFacts;

/// Silence that is longer is not read but passed over: to find a frame anew costs up to 20 s of decoding.
const WORTH_A_SEEK: u64 = 30 * 48_000;

/// What comes next.
#[derive(Debug)]
pub(super) enum Got {
    /// So many frames of a segment, at the beginning of the samples.
    Audio {
        segment: usize,
        frames: usize,
    },
    Lack(GapFacts),
}

/// The file that is being read.
#[derive(Debug)]
struct Open {
    source: AudioSource,
    gaps: Option<LedgerGaps<BufReader<File>>>,
    /// The gap ahead, on the range's timeline.
    gap: Option<GapFacts>,
    /// The frame that the source gives next.
    at: FrameIndex,
}

#[derive(Debug)]
pub(super) struct Track {
    /// It leads over [`Range::second`].
    is_second: bool,
    /// The next frame.
    at: FrameIndex,
    /// The piece that it lies in.
    piece: usize,
    open: Option<Open>,
    /// The piece whose file cannot be read, which was told.
    broken: Option<usize>,
}

/// What is left of a gap from a frame on; a joint lies at its place.
pub(super) fn behind(gap: GapFacts, at: FrameIndex) -> Option<GapFacts> {
    if gap.position >= at {
        return Some(gap);
    }
    let end = gap.position + gap.frames;
    (end > at).then(|| GapFacts { position: at, frames: end.since(at), ..gap })
}

impl Track {
    pub(super) fn new(at: FrameIndex, is_second: bool) -> Self {
        Self { is_second, at, piece: 0, open: None, broken: None }
    }

    /// Goes to a frame that lies ahead.
    pub(super) fn go_to(&mut self, at: FrameIndex) {
        self.at = at;
        if let Some(open) = &mut self.open {
            open.gap = open.gap.take().and_then(|gap| behind(gap, at));
        }
    }

    /// What comes next before `until`, which lies ahead; none at the end. What can't be read is told once, and lacks.
    pub(super) fn next(
        &mut self,
        shelf: &Shelf,
        range: &Range,
        samples: &mut [i32],
        troubles: &mut Vec<MediaError>,
        until: FrameIndex,
    ) -> Option<Got> {
        let pieces = if self.is_second { &range.second } else { &range.pieces };
        let piece = loop {
            let piece = pieces.get(self.piece)?;
            if self.at < piece.to {
                break piece;
            }
            self.piece += 1;
            self.open = None;
        };
        let to = piece.to.min(until);
        let Some(segment) = piece.segment else { return Some(self.lack(to, NOT_RECORDED)) };
        if self.broken == Some(self.piece) {
            return Some(self.lack(to, UNREADABLE));
        }
        match self.got(shelf, range, samples, (segment, piece), to) {
            Ok(got) => Some(got),
            Err(error) => {
                troubles.push(error);
                self.broken = Some(self.piece);
                self.open = None;
                Some(self.lack(to, UNREADABLE))
            }
        }
    }

    fn got(
        &mut self,
        shelf: &Shelf,
        range: &Range,
        samples: &mut [i32],
        (segment, piece): (usize, &Piece),
        to: FrameIndex,
    ) -> Result<Got, MediaError> {
        let open = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(opened(shelf, range, segment, (self.at, piece.to))?),
        };
        open.look_ahead(range, segment, self.at, piece.to);
        if let Some(gap) = open.gap.take_if(|gap| gap.position <= self.at) {
            open.gap = behind(gap.clone(), to);
            let frames = FrameCount(gap.frames.0.min(to.since(gap.position).0));
            self.at += frames;
            return Ok(Got::Lack(GapFacts { frames, ..gap }));
        }
        let end = open.gap.as_ref().map_or(to, |gap| gap.position.min(to));
        let start = range.position(&range.segments[segment], range.segments[segment].start);
        let frames = open.audio(samples, range.channels.get(), start, (self.at, end))?;
        if frames == 0 {
            let what = shelf.path_of(range, segment).display().to_string();
            return Err(MediaError::Read { what, source: std::io::ErrorKind::UnexpectedEof.into() });
        }
        self.at += FrameCount(frames as u64);
        Ok(Got::Audio { segment, frames })
    }

    fn lack(&mut self, to: FrameIndex, cause: &str) -> Got {
        let (position, frames) = (self.at, to.since(self.at));
        self.at = to;
        Got::Lack(GapFacts { position, frames, cause: cause.to_owned(), estimated: false })
    }
}

impl Open {
    /// Finds the next gap of a piece that ends at `end`, if it is not known.
    fn look_ahead(&mut self, range: &Range, segment: usize, at: FrameIndex, end: FrameIndex) {
        let scale = range.scale(&range.segments[segment]);
        while self.gap.is_none()
            && let Some(gaps) = &mut self.gaps
        {
            // A ledger that breaks off tells of no more gaps: what the file holds is given as it is.
            let Some(gap) = gaps.next_gap().ok().flatten() else {
                self.gaps = None;
                return;
            };
            let (start, stop) =
                (scale.position(gap.position), scale.position(gap.position + gap.frames).min(end));
            // What was passed over is past; a joint that was scaled may come a frame too early.
            let is_past = if gap.frames == FrameCount::ZERO { start.0 + 1 < at.0 } else { stop <= at };
            if !is_past {
                let position = start.max(at).min(stop.max(at));
                self.gap = Some(GapFacts { position, frames: stop.since(position), ..gap });
            }
        }
    }

    /// Reads up to all the room that there is of the frames from `at` to `end`, and says how many; `start` is the file's first.
    fn audio(
        &mut self,
        samples: &mut [i32],
        channels: usize,
        start: FrameIndex,
        (at, end): (FrameIndex, FrameIndex),
    ) -> Result<usize, MediaError> {
        let most = (samples.len() / channels) as u64;
        if at < self.at || at.since(self.at).0 > WORTH_A_SEEK {
            self.source.seek(at.since(start))?;
            self.at = at;
        }
        loop {
            let ahead = if self.at < at { at.since(self.at) } else { end.since(at) };
            let frames = ahead.0.min(most) as usize;
            let read = self.source.read(&mut samples[..frames * channels])?;
            let passed = self.at < at;
            self.at += read;
            if !passed || read == FrameCount::ZERO {
                return Ok(read.0 as usize);
            }
        }
    }
}

/// Opens a segment for the frames [at, to) of its piece.
fn opened(
    shelf: &Shelf,
    range: &Range,
    number: usize,
    (at, to): (FrameIndex, FrameIndex),
) -> Result<Open, MediaError> {
    let segment = &range.segments[number];
    let what = || shelf.path_of(range, number).display().to_string();
    let unread = |source| MediaError::Read { what: what(), source };
    let Files { audio, ledger } = shelf.files(range, number).map_err(unread)?;
    let mut source = AudioSource::of_file(audio, what(), segment.kind)?;
    if (source.channels(), source.rate()) != (range.channels, range.rate) {
        let reason = "it is not the file that was recorded: its format is another";
        return Err(unread(std::io::Error::new(std::io::ErrorKind::InvalidData, reason)));
    }
    source.seek(at.since(range.position(segment, segment.start)))?;
    let scale = range.scale(segment);
    // A frame more at each end, where positions are scaled: what lies outside is cut off behind.
    let (from, to) = (scale.back(at), scale.back(to) + FrameCount(u64::from(segment.rate != range.rate)));
    let gaps = ledger.map(|file| LedgerGaps::new(BufReader::new(file), from, to.min(segment.end())));
    Ok(Open { source, gaps, gap: None, at })
}
