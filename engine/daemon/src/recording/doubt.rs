//! What the disk has confirmed of a recording's files, and what becomes of those that it has not.
//!
//! A closed file counts as open, and is not sealed, until the disk has confirmed it and its ledger. What it once fails to confirm is in
//! doubt, whatever it says later: an open file is let go of with all others of the recording, as where a disk refuses a write; a closed
//! one alone, and one that is closed before its time has come takes its doubt along. Whoever lists them looks at what the disk has, and mends them (`unfinished`): of a WAV no more is counted than was confirmed
//! before, since a block that the disk has lost looks like any other. Where the whole volume has gone, or a file cannot be opened to ask the disk
//! of it, nobody can say what it has: a closed file is looked at as after a power cut once that can be done, and an open one is asked of again.

use std::io;
use std::path::{Path, PathBuf};

use audyn_units::{FrameCount, Mono, Timestamp};

use super::{Recording, TOLD};
use crate::ledger::{self, Ledger};
use crate::syncer::{Due, State, Told, is_not_asked};
use crate::unfinished::{Cut, OpenFile};
use crate::volume::is_not_ours;

/// A closed file that the disk has not confirmed.
pub(super) struct Unconfirmed {
    pub(super) file: OpenFile,
    /// What of it the disk is still to confirm.
    left: Vec<PathBuf>,
}

impl Recording {
    /// Wants a closed file, or a part of it, confirmed by the disk.
    pub(super) fn want_confirmed(&mut self, file: OpenFile, left: Vec<PathBuf>) {
        self.to_sync.extend(left.iter().map(|path| Due { path: path.clone(), state: State::Closed }));
        self.unconfirmed.push(Unconfirmed { file, left });
    }

    /// Takes note of what the disk said; of what is none of this recording's nothing. Says whether an error is one of its files'.
    pub(crate) fn told(&mut self, told: &Told, now: Timestamp<Mono>) -> bool {
        let Told { due: Due { path, state }, result } = told;
        match (result, *state) {
            (Ok(()), State::Closed) => self.whole(path),
            (Ok(()), State::Open(Some(frames))) => self.confirmed(path, frames),
            (Ok(()), State::Open(None) | State::Directory) => {}
            (Err(error), State::Open(_) | State::Closed) => return self.in_doubt(path, error, now),
            (Err(_), State::Directory) => return false,
        }
        true
    }

    /// Whether the disk has failed to confirm something of a file that is being written.
    pub(super) fn doubts_open(&self) -> bool {
        let mut open = self.tracks.iter().filter_map(|track| track.segment.as_ref());
        open.any(|segment| self.doubted.iter().any(|doubted| doubted == segment.path()))
    }

    /// So many frames of an open file are safe.
    fn confirmed(&mut self, path: &Path, frames: FrameCount) {
        if self.doubted.iter().any(|doubted| doubted == path) || !self.files().any(|file| file.path == path) {
            return; // what an fsync says after one that failed is worth nothing
        }
        self.ours.note_confirmed();
        match self.confirmed.iter_mut().find(|(of, _)| of == path) {
            Some((_, confirmed)) => *confirmed = frames,
            None => self.confirmed.push((path.to_owned(), frames)),
        }
    }

    /// Lets go of a closed file, once: whoever lists it mends it. If what was confirmed is to count, and never was anything on its volume,
    /// then nothing is known of what this disk confirms, and what it has counts.
    pub(super) fn cut_off(&mut self, file: OpenFile, doubted: bool) {
        let ledger = ledger::path_of(&file.path);
        self.doubted.retain(|path| *path != file.path);
        self.to_sync.retain(|due| due.path != file.path && due.path != ledger);
        let confirmed =
            self.confirmed.extract_if(.., |(of, _)| *of == file.path).map(|(_, frames)| frames).next();
        let none = || self.ours.has_confirmed().then_some(FrameCount::ZERO);
        let confirmed = if doubted { confirmed.or_else(none) } else { None };
        if !self.cut.iter().any(|cut| cut.file == file) {
            self.cut.push(Cut { file, confirmed });
        }
    }

    /// A closed file, or its ledger, is safe.
    fn whole(&mut self, path: &Path) {
        let before = self.unconfirmed.len();
        for unconfirmed in &mut self.unconfirmed {
            if let Some(at) = unconfirmed.left.iter().position(|left| left == path) {
                unconfirmed.left.swap_remove(at);
                break;
            }
        }
        self.unconfirmed.retain(|unconfirmed| !unconfirmed.left.is_empty());
        if self.unconfirmed.len() != before {
            let files: Vec<PathBuf> = self.files().map(|file| file.path).collect();
            self.confirmed.retain(|(of, _)| files.contains(of));
            self.tell_open();
        }
    }

    /// The disk has not confirmed this. Says whether it is one of the files.
    fn in_doubt(&mut self, path: &Path, error: &io::Error, now: Timestamp<Mono>) -> bool {
        let is_of = |audio: &Path| audio == path || ledger::path_of(audio) == path;
        let sentence = || {
            format!(
                "the disk does not confirm what was written to {}: {error}; what it has of it is kept, and the recording goes on in \
                 a new file: check the disk and its cable",
                path.display()
            )
        };
        let unknown = is_not_ours(error) || is_not_asked(error);
        let is_unconfirmed = |unconfirmed: &mut Unconfirmed| is_of(&unconfirmed.file.path);
        // What waits to be written to a ledger is asked of the disk once it is there.
        let is_late = |(file, _): &mut (OpenFile, Ledger)| is_of(&file.path) && !is_not_asked(error);
        let unconfirmed = self.unconfirmed.extract_if(.., is_unconfirmed).map(|unconfirmed| unconfirmed.file);
        let closed: Vec<OpenFile> =
            unconfirmed.chain(self.late.extract_if(.., is_late).map(|(file, _)| file)).collect();
        let open = self.files().find(|file| is_of(&file.path));
        if !closed.is_empty() {
            closed.into_iter().for_each(|file| self.cut_off(file, !unknown));
            self.tell_open();
        } else if unknown {
            // What is open is closed as soon as it is seen to have gone, and else asked of in a second.
        } else if let Some(OpenFile { path, .. }) = open {
            if !self.doubted.contains(&path) {
                self.doubted.push(path);
            }
            // What follows in it is lost with it, so it goes at once; but not again and again where a disk never confirms anything. One
            // that has ended, and is in the encoder yet, goes by itself.
            if self.doubts_open() {
                self.failing = Some(self.opened);
                self.status().error = Some(sentence());
            }
        } else {
            return false; // let go of already
        }
        if unknown {
            return true; // who asks for the next file is told, and the log was
        }
        let sentence = sentence();
        tracing::error!(recorder = self.about.recorder, "{sentence}");
        // It is told for a while, also where the next file is open by then.
        self.status().warning = Some(sentence);
        self.told_until = Some(now + TOLD);
        true
    }
}
