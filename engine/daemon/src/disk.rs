//! The disk writer: one thread for the volume of the archive root.
//!
//! Owns: every open file. Takes commands and samples from the feeds' rings, writes, and flushes each file at least
//! every 200 ms. Never: keeps a worker waiting; while the disk stalls the rings fill.
//!
//! # Procedures
//!
//! *Open*: 1. directories; 2. audio file under a new name (a taken name gets the next tie-break); 3. its ledger.
//! *Flush*: 1. samples; 2. the header that counts them (both in `media`).
//! *Close*: 1. flush; 2. the ledger's last line; 3. if configured, fdatasync of both and of their directory.
//! A crash after any of these steps leaves a file that is right for what it holds.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};
use std::sync::mpsc::{Receiver as Inbox, Sender, SyncSender, TrySendError, channel};
use std::thread::JoinHandle;

use audyn_sys::{Grid, SysError, clock};
use audyn_units::{Mono, Nanos, Timestamp};

use crate::recording::{Recording, make_safe};
use crate::shared::Notice;

/// Time between two turns.
const PERIOD: Nanos = Nanos::from_millis(40);

/// A file with unflushed samples is flushed when its last flush is this long ago: with a turn and what lies before the
/// disk writer that stays below 200 ms and the bound of 250 ms on what a crash can cost.
const FLUSH_AFTER: Nanos = Nanos::from_millis(120);

/// Time between two fdatasyncs of a file.
const SYNC_AFTER: Nanos = Nanos::from_secs(1);

/// The handle of the running disk writer. Dropping it closes every file and ends the thread.
pub(crate) struct Disk {
    recordings: Sender<Recording>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Disk {
    /// Starts the thread. `notices` gets what happens; notices that find no room there are dropped.
    pub(crate) fn start(notices: SyncSender<Notice>, sync: bool) -> Result<Self, SysError> {
        let mut grid = Grid::new(PERIOD)?;
        let (recordings, inbox) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("audyn-disk".to_owned())
            .spawn(move || {
                let syncer = sync.then(Syncer::start);
                let mut open = Vec::new();
                while !stopped.load(Acquire) {
                    clock::sleep_until(grid.next_after(clock::mono_now()).at);
                    turn(&mut open, &inbox, &notices, syncer.as_ref());
                }
                // Workers have ended by now, so this drains what they left.
                open.extend(inbox.try_iter());
                let now = clock::mono_now();
                for recording in &mut open {
                    recording.finish(now, &notices);
                    for path in recording.due_to_sync(now, SYNC_AFTER) {
                        if let Some(syncer) = &syncer {
                            syncer.sync_before_end(path);
                        }
                    }
                }
            })
            .map_err(|source| SysError::Thread { source })?;
        Ok(Self { recordings, stop, thread: Some(thread) })
    }

    /// Takes a recording over.
    pub(crate) fn add(&self, recording: Recording) {
        // A disk writer that has died has said why; the recording's ring fills and is ledgered as a stall.
        let _ = self.recordings.send(recording);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.stop.store(true, Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn turn(
    open: &mut Vec<Recording>,
    inbox: &Inbox<Recording>,
    notices: &SyncSender<Notice>,
    syncer: Option<&Syncer>,
) {
    open.extend(inbox.try_iter());
    for recording in open.iter_mut() {
        let now = clock::mono_now();
        recording.work(now, notices);
        recording.flush(now, FLUSH_AFTER, notices);
        for path in recording.due_to_sync(now, SYNC_AFTER) {
            if let Some(syncer) = syncer
                && let Err(path) = syncer.sync(path)
            {
                recording.sync_later(path);
            }
        }
    }
    open.retain(|recording| !recording.is_finished());
}

/// A thread that waits for the disk (fdatasync), so that nobody else does.
struct Syncer {
    paths: Option<SyncSender<PathBuf>>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    fn start() -> Self {
        let (paths, inbox) = std::sync::mpsc::sync_channel::<PathBuf>(64);
        let thread = std::thread::Builder::new()
            .name("audyn-sync".to_owned())
            .spawn(move || {
                for path in inbox {
                    // Syncing through another descriptor writes the same pages.
                    if let Err(error) = make_safe(&path) {
                        tracing::warn!(
                            path = %path.display(), %error,
                            "the disk does not confirm what was written; a power cut could lose more than a second"
                        );
                    }
                }
            })
            .map_err(|error| tracing::warn!(%error, "no thread for fdatasync; the kernel writes within 30 s"))
            .ok();
        Self { paths: Some(paths), thread }
    }

    /// Asks for it; gives the path back while the disk is slow and the queue is full.
    fn sync(&self, path: PathBuf) -> Result<(), PathBuf> {
        match self.paths.as_ref().map(|paths| paths.try_send(path)) {
            Some(Err(TrySendError::Full(path))) => Err(path),
            _ => Ok(()),
        }
    }

    /// Asks for it and waits for room: nothing else is left to do.
    fn sync_before_end(&self, path: PathBuf) {
        if let Some(paths) = &self.paths {
            let _ = paths.send(path);
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.paths = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// When a clock has not been used yet.
pub(crate) const NEVER: Timestamp<Mono> = Timestamp::ZERO;
