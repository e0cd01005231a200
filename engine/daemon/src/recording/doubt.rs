//! What the disk has confirmed of a recording's files, and what becomes of those that it has not.
//!
//! A closed file counts as open, and is not sealed, until the disk has confirmed it and its ledger. What it once fails to confirm is in
//! doubt, whatever it says later: an open file is let go of with all others of the recording, as where a disk refuses a write; a closed
//! one alone. Whoever lists them looks at what the disk has, and mends them (`unfinished`): of a WAV no more is counted than was confirmed
//! before, since a block that the disk has lost looks like any other. Where the whole volume has gone, nobody can say what it has: a closed file is
//! looked at as after a power cut once it is back.

use std::io;
use std::path::{Path, PathBuf};

use audyn_units::{FrameCount, Mono, Timestamp};

use super::{Recording, TOLD};
use crate::ledger;
use crate::syncer::{Due, State, Told};
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

    /// Takes note of what the disk said; of what is none of this recording's nothing.
    pub(crate) fn told(&mut self, told: &Told, now: Timestamp<Mono>) {
        let Told { due: Due { path, state }, result } = told;
        match (result, *state) {
            (Ok(()), State::Closed) => self.whole(path),
            (Ok(()), State::Open(Some(frames))) => self.confirmed(path, frames),
            (Ok(()), State::Open(None)) => {}
            (Err(error), _) => self.in_doubt(path, error, now),
        }
    }

    /// So many frames of an open file are safe.
    fn confirmed(&mut self, path: &Path, frames: FrameCount) {
        if self.doubted || !self.files().any(|file| file.path == path) {
            return; // what an fsync says after one that failed is worth nothing
        }
        match self.confirmed.iter_mut().find(|(of, _)| of == path) {
            Some((_, confirmed)) => *confirmed = frames,
            None => self.confirmed.push((path.to_owned(), frames)),
        }
    }

    /// What is to be told of a file that is let go of.
    pub(super) fn cut_of(&mut self, file: OpenFile, doubted: bool) -> Cut {
        let confirmed =
            self.confirmed.extract_if(.., |(of, _)| *of == file.path).map(|(_, frames)| frames).next();
        Cut { file, confirmed: doubted.then(|| confirmed.unwrap_or_default()) }
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

    fn in_doubt(&mut self, path: &Path, error: &io::Error, now: Timestamp<Mono>) {
        let is_of = |audio: &Path| audio == path || ledger::path_of(audio) == path;
        let sentence = || {
            format!(
                "the disk does not confirm what was written to {}: {error}; what it has of it is kept, and the recording goes on in \
                 a new file: check the disk and its cable",
                path.display()
            )
        };
        let elsewhere = is_not_ours(error);
        let closed: Vec<OpenFile> = self
            .unconfirmed
            .extract_if(.., |unconfirmed| is_of(&unconfirmed.file.path))
            .map(|unconfirmed| unconfirmed.file)
            .collect();
        if !closed.is_empty() {
            self.late.retain(|(file, _)| !is_of(&file.path));
            let cut: Vec<Cut> = closed.into_iter().map(|file| self.cut_of(file, !elsewhere)).collect();
            self.cut.extend(cut);
            self.tell_open();
        } else if elsewhere {
            // What is open is closed as soon as it is seen to have gone.
        } else if self.files().any(|file| is_of(&file.path)) {
            self.doubted = true;
            // What follows in it is lost with it, so it goes at once; but not again and again where a disk never confirms anything.
            self.failing = Some(self.opened);
            self.status().error = Some(sentence());
        } else {
            return; // let go of already, or a directory of several
        }
        if elsewhere {
            return; // who asks for the next file is told
        }
        let sentence = sentence();
        tracing::error!(recorder = self.about.recorder, "{sentence}");
        // It is told for a while, also where the next file is open by then.
        self.status().warning = Some(sentence);
        self.told_until = Some(now + TOLD);
    }
}
