//! Which recordings still have a file open, and who waits for one to be closed.
//!
//! Owns: the list of recordings for as long as the disk writer has them, whatever becomes of their recorders. Never: touches a
//! file.

use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::engine::lock;
use crate::feed::Done;
use crate::shared::SharedRecording;

/// Those who wait for the end of one recording. Clones wait for the same.
#[derive(Clone)]
pub(crate) struct Closing(Arc<Mutex<Option<Vec<Done>>>>);

/// Tells them when it is called, or dropped: a worker that dies does not keep them waiting.
pub(crate) struct Closed(Closing);

impl Closing {
    /// A recording that ends: who waits, and what the disk writer calls.
    pub(crate) fn begin() -> (Self, Done) {
        let closing = Self(Arc::new(Mutex::new(Some(Vec::new()))));
        let closed = Closed(closing.clone());
        (closing, Box::new(move || drop(closed)))
    }

    /// Calls `done` when the recording's file is closed; at once if it is.
    pub(crate) fn wait(&self, done: Done) {
        let mut waiting = lock(&self.0);
        match &mut *waiting {
            Some(others) => others.push(done),
            None => {
                drop(waiting);
                done();
            }
        }
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        let waiting = lock(&self.0.0).take();
        for done in waiting.unwrap_or_default() {
            done();
        }
    }
}

/// The recordings whose files may be open. Clones are the same list.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenFiles(Arc<Mutex<List>>);

#[derive(Debug, Default)]
struct List {
    recordings: Vec<SharedRecording>,
    /// Bytes that those have written which are not in it any more.
    past: u64,
}

impl OpenFiles {
    /// Adds a recording. Those that nobody else knows any more, neither recorder nor disk writer, go.
    pub(crate) fn add(&self, recording: &SharedRecording) {
        let mut list = lock(&self.0);
        let List { recordings, past } = &mut *list;
        recordings.retain(|recording| {
            let is_known = Arc::strong_count(recording) > 1;
            *past += if is_known { 0 } else { lock(recording).bytes };
            is_known
        });
        recordings.push(Arc::clone(recording));
    }

    /// Bytes that all recordings have written since the engine began.
    pub(crate) fn written(&self) -> u64 {
        let list = lock(&self.0);
        list.recordings.iter().fold(list.past, |sum, recording| sum.saturating_add(lock(recording).bytes))
    }

    /// How many files are being written, and whether the disk refuses one of their recordings something.
    pub(crate) fn writing(&self) -> (u64, bool) {
        lock(&self.0).recordings.iter().fold((0, false), |(files, refused), recording| {
            let recording = lock(recording);
            // What a recording that has ended was refused is past.
            let is_refused = recording.error.is_some() && (recording.active || !recording.open.is_empty());
            (files + recording.open.len() as u64, refused || is_refused)
        })
    }

    /// How many files are being written below a directory.
    pub(crate) fn below(&self, root: &Path) -> u64 {
        let of = |recording: &SharedRecording| {
            lock(recording).open.iter().filter(|path| path.starts_with(root)).count()
        };
        lock(&self.0).recordings.iter().map(of).sum::<usize>() as u64
    }

    /// Whether a path is being written.
    pub(crate) fn contains(&self, path: &Path) -> bool {
        lock(&self.0).recordings.iter().any(|recording| lock(recording).open.iter().any(|open| open == path))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn all_who_wait_are_told_once_the_file_is_closed() {
        let told = Arc::new(AtomicU32::new(0));
        let count = |told: &Arc<AtomicU32>| {
            let told = Arc::clone(told);
            Box::new(move || {
                told.fetch_add(1, Relaxed);
            })
        };
        let (closing, closed) = Closing::begin();
        closing.wait(count(&told));
        closing.wait(count(&told));
        assert_eq!(told.load(Relaxed), 0);
        closed();
        assert_eq!(told.load(Relaxed), 2);
        closing.wait(count(&told));
        assert_eq!(told.load(Relaxed), 3);
        let (closing, closed) = Closing::begin();
        closing.wait(count(&told));
        drop(closed);
        assert_eq!(told.load(Relaxed), 4, "the worker has died");
    }

    #[test]
    fn a_file_is_open_as_long_as_the_disk_writer_has_it() {
        let open = OpenFiles::default();
        let path = Path::new("/a/b.wav");
        let of_recorder = SharedRecording::default();
        lock(&of_recorder).open = vec![path.to_owned()];
        open.add(&of_recorder);
        let of_disk = Arc::clone(&of_recorder);
        drop(of_recorder);
        open.add(&SharedRecording::default());
        assert!(open.contains(path), "the recorder has gone or records anew");
        drop(of_disk);
        open.add(&SharedRecording::default());
        assert!(!open.contains(path));
    }

    #[test]
    fn what_was_written_stays_counted_when_its_recording_has_gone() {
        let open = OpenFiles::default();
        let (one, other) = (SharedRecording::default(), SharedRecording::default());
        for (recording, bytes) in [(&one, 300), (&other, 50)] {
            lock(recording).bytes = bytes;
            open.add(recording);
        }
        assert_eq!(open.written(), 350);
        drop(one);
        lock(&other).bytes = 60;
        for _ in 0..2 {
            open.add(&SharedRecording::default());
            assert_eq!(open.written(), 360);
        }
    }
}
