//! The frames of a range, from the files that hold them.
//!
//! Owns: the order of what is told, and which of two volumes is asked: the second only for what the first lacks.

use std::fs::File;

use audyn_units::{FrameCount, FrameIndex};

use super::shelf::Shelf;
use super::track::{Got, Track, behind};
use super::{Directories, Range};
use crate::MediaError;
use crate::chain::GapFacts;

/// Frames that are read at once.
const BLOCK: usize = 8_192;

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
        /// Which of [`Range::segments`] they were read from.
        segment: usize,
    },
    /// Frames that did not: as much silence belongs into their place. One of no length is a joint, where what follows was placed
    /// anew.
    Lack(GapFacts),
}

/// Reads a [`Range`] from its first frame to its last: see the module's page.
#[derive(Debug)]
pub struct RangeReader {
    shelf: Shelf,
    range: Range,
    /// The next frame.
    at: FrameIndex,
    first: Track,
    /// The way over the other volume; none where nothing lies on it.
    second: Option<Track>,
    /// What the first way lacks from the next frame on, and the second is to be asked for.
    lack: Option<GapFacts>,
    samples: Vec<i32>,
    /// What could not be read, in sentences that nobody has taken yet.
    troubles: Vec<MediaError>,
}

impl RangeReader {
    /// Reads `range` from the files below the recorder's directory, or those on two volumes.
    pub fn new(directories: impl Into<Directories>, range: Range) -> Self {
        Self::of(Shelf::new(directories.into()), range)
    }

    /// The same, and holds what it is going to read with at most so many descriptors, two for each file: no limit deletes that meanwhile,
    /// and what a person deletes comes all the same.
    pub fn holding(directories: impl Into<Directories>, range: Range, descriptors: usize) -> Self {
        Self::of(Shelf::holding(directories.into(), &range, descriptors), range)
    }

    fn of(shelf: Shelf, range: Range) -> Self {
        let samples = vec![0; BLOCK * range.channels.get()];
        let first = Track::new(range.from, false);
        let is_there = range.second.iter().any(|piece| piece.segment.is_some());
        let second = is_there.then(|| Track::new(range.from, true));
        Self { shelf, at: range.from, range, first, second, lack: None, samples, troubles: Vec::new() }
    }

    /// What is read.
    #[must_use]
    pub fn range(&self) -> &Range {
        &self.range
    }

    /// The ledger of one of the range's segments, from its beginning; none if it cannot be read.
    pub(crate) fn ledger(&self, number: usize) -> Option<File> {
        self.shelf.files(&self.range, number).ok()?.ledger
    }

    /// Position of the next frame.
    #[must_use]
    pub fn position(&self) -> FrameIndex {
        self.at
    }

    /// What could not be read since this was asked last; its frames were told as lacks, or came from the other volume.
    pub fn take_troubles(&mut self) -> Vec<MediaError> {
        std::mem::take(&mut self.troubles)
    }

    /// The next part; none at the end. Parts follow one another without a hole.
    pub fn next_part(&mut self) -> Option<Part<'_>> {
        self.shelf.go_to(&self.range, self.at);
        loop {
            let Self { shelf, range, samples, troubles, .. } = self;
            let lack = match self.lack.take() {
                Some(lack) => lack,
                None => match self.first.next(shelf, range, samples, troubles, range.to)? {
                    Got::Audio { segment, frames } => return Some(self.audio(segment, frames)),
                    Got::Lack(lack) => lack,
                },
            };
            let Some(second) = self.second.as_mut().filter(|_| lack.frames > FrameCount::ZERO) else {
                return Some(self.lacking(lack));
            };
            second.go_to(self.at);
            let end = self.at + lack.frames;
            match second.next(shelf, range, samples, troubles, end) {
                None => return Some(self.lacking(lack)),
                Some(Got::Audio { segment, frames }) => {
                    self.lack = behind(lack, self.at + FrameCount(frames as u64));
                    return Some(self.audio(segment, frames));
                }
                // A joint of what is not taken.
                Some(Got::Lack(gap)) if gap.frames == FrameCount::ZERO => self.lack = Some(lack),
                Some(Got::Lack(gap)) => {
                    let told = of_both(&lack, &gap);
                    self.lack = behind(lack, self.at + gap.frames);
                    return Some(self.lacking(told));
                }
            }
        }
    }

    fn audio(&mut self, segment: usize, frames: usize) -> Part<'_> {
        let position = self.at;
        self.at += FrameCount(frames as u64);
        Part::Audio { position, samples: &self.samples[..frames * self.range.channels.get()], segment }
    }

    fn lacking(&mut self, lack: GapFacts) -> Part<'static> {
        self.at += lack.frames;
        Part::Lack(lack)
    }
}

/// What is told of frames that neither volume has: as the archive's ledger tells it, or, where none does, as the mirror's.
fn of_both(archive: &GapFacts, mirror: &GapFacts) -> GapFacts {
    let is_untold = |gap: &GapFacts| [NOT_RECORDED, UNREADABLE].contains(&gap.cause.as_str());
    let told = if is_untold(archive) && !is_untold(mirror) { mirror } else { archive };
    let (cause, estimated) = (told.cause.clone(), told.estimated);
    GapFacts { position: mirror.position, frames: mirror.frames, cause, estimated }
}
