//! A recording that goes on in other files, since those that were open have gone, or their disk fails, or a mirror has no room.
//!
//! Owns: when files are let go of before they are whole, and where the next ones begin. Never: what becomes of those (`unfinished` mends them).

use std::path::Path;
use std::sync::mpsc::SyncSender;

use audyn_core::flow::GapCause;
use audyn_units::{FrameCount, Mono, Timestamp};

use super::{LET_GO, Recording, TOLD};
use crate::disk::NEVER;
use crate::feed::Opening;
use crate::segment::Segment;
use crate::shared::Notice;
use crate::unfinished::OpenFile;
use crate::volume::is_not_ours;

impl Recording {
    /// Lets go of the files of a disk that has refused for [`LET_GO`], so that it can be checked, mounted anew or replaced.
    pub(super) fn let_go_of_a_failing_disk(&mut self, now: Timestamp<Mono>, notices: &SyncSender<Notice>) {
        let Some(since) = self.failing else { return };
        if since == NEVER {
            self.failing = Some(now);
        } else if now - since >= LET_GO {
            self.begin_anew(notices);
            // Their last lines would wait for the same disk, and keep it; what it confirms of them says nothing any more. A write that it
            // refused may have been one of memory's, of which it tells nobody later on: no more counts than was confirmed.
            let files: Vec<OpenFile> = self.files().collect();
            self.late.clear();
            self.unconfirmed.clear();
            files.into_iter().for_each(|file| self.cut_off(file, true));
            self.tell_open();
        }
    }

    /// A file that is written has gone from its place. The recording goes on in others.
    pub(crate) fn gone(&mut self, path: &Path, now: Timestamp<Mono>, notices: &SyncSender<Notice>) {
        let is_mine = self.segments().any(|segment| segment.path() == path);
        // Where the whole volume has gone, the recording goes on nowhere, and the refusal of a new file says so.
        if is_mine && self.begin_anew(notices) && !self.is_elsewhere() {
            let sentence = format!(
                "{} was removed, renamed or replaced while it was recorded; the recording goes on in a new file: leave open files in \
                 their place",
                path.display()
            );
            tracing::warn!(recorder = self.about.recorder, "{sentence}");
            self.status().warning = Some(sentence);
            self.told_until = Some(now + TOLD);
        }
    }

    /// Ends a mirror's files where they are owed something, and begins others behind it: silence there would pass for a recording, and the
    /// archive has one.
    pub(super) fn part_where_owed(&mut self, notices: &SyncSender<Notice>) {
        // A file without audio, since its encoder fails, would end again and again: it is paid.
        let ends = |segment: &Segment<'_>| segment.is_owed() && segment.account().written > FrameCount::ZERO;
        if self.ours.is_mirror() && self.segments().any(|segment| ends(segment)) {
            self.begin_anew(notices);
        }
    }

    /// Whether the archive's root lies on another volume than its own.
    fn is_elsewhere(&self) -> bool {
        let is_ours = self.naming.root() == Some(self.ours.root());
        is_ours && self.ours.open().is_err_and(|error| is_not_ours(&error))
    }

    /// Lets go of the files and wants others that begin with what comes next, or with what these have lost of the end, which a mirror goes
    /// without. False if none was open. Where others are wanted already, all of them are.
    pub(super) fn begin_anew(&mut self, notices: &SyncSender<Notice>) -> bool {
        let head = self.segments().map(|segment| segment.head()).next();
        // Nothing overlaps: of a format that has lost more than another, the rest is missing between its files.
        let lost = self.close_all(notices);
        self.failing = None;
        self.stuck_at = None;
        self.doubted.clear();
        self.last_try = NEVER;
        self.place = None;
        if self.wants_files.is_some() {
            self.tracks.iter_mut().for_each(|track| track.wants = true);
        } else if let (Some(began), Some(head), false) = (self.began, head, self.finished) {
            let mirrors = self.ours.is_mirror();
            let position = if mirrors { head } else { head - lost };
            if lost > FrameCount::ZERO && mirrors {
                tracing::warn!(
                    recorder = self.about.recorder,
                    "{lost} that the mirror's disk did not take are in the archive alone"
                );
            } else if lost > FrameCount::ZERO {
                self.silence.push_front((lost, GapCause::DiskStall));
                tracing::warn!(
                    recorder = self.about.recorder,
                    "{lost} waited in memory for a disk that failed, and are lost"
                );
            }
            let utc = began.utc + self.rate().duration(position.since(began.position));
            self.tracks.iter_mut().for_each(|track| track.wants = true);
            self.wants_files = Some(Opening { position, utc, ..began });
        }
        head.is_some()
    }
}
