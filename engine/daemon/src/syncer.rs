//! The thread that waits for the disk (fdatasync), so that nobody else does.
//!
//! Owns: what is to be made safe against a power cut, in order, and what the disk said of each. Never: forgets one that it took.
//!
//! What the disk does not confirm once is in doubt from then on: Linux tells of a write that failed once, and counts it as done.

use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread::JoinHandle;

use audyn_units::FrameCount;

/// What waits for the disk at most, before it waits where it comes from.
const MOST: usize = 64;

/// Makes what a path names safe against a power cut; waits for the disk. [`make_safe`] but in tests.
pub(crate) type MakeSafe = Box<dyn Fn(&Path) -> io::Result<()> + Send>;

/// Something that is to be made safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) path: PathBuf,
    /// What it is for the recording that it belongs to.
    pub(crate) state: State,
}

/// How a file stands when it is to be made safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It is being written, and counts so many frames; a ledger counts none.
    Open(Option<FrameCount>),
    /// Nobody writes it any more: what is confirmed now is all of it.
    Closed,
}

/// What the disk said.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) due: Due,
    pub(crate) result: io::Result<()>,
}

pub(crate) struct Syncer {
    dues: Option<SyncSender<Due>>,
    tell: Sender<Told>,
    told: Receiver<Told>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    /// Starts it; none if it cannot be, which is said.
    pub(crate) fn start(safe: MakeSafe) -> Option<Self> {
        let (dues, inbox) = sync_channel::<Due>(MOST);
        let (tell, told) = channel();
        let teller = tell.clone();
        let thread = std::thread::Builder::new()
            .name("audyn-sync".to_owned())
            .spawn(move || {
                for due in inbox {
                    // Syncing through another descriptor writes the same pages.
                    let result = safe(&due.path);
                    let _ = teller.send(Told { due, result });
                }
            })
            .map_err(|error| tracing::warn!(%error, "no thread for fdatasync; the kernel writes within 30 s"))
            .ok()?;
        Some(Self { dues: Some(dues), tell, told, thread: Some(thread) })
    }

    /// Asks for it; gives it back while the disk is slow and the queue is full.
    pub(crate) fn sync(&self, due: Due) -> Result<(), Due> {
        match self.dues.as_ref().map(|dues| dues.try_send(due)) {
            Some(Err(TrySendError::Full(due))) => return Err(due),
            Some(Err(TrySendError::Disconnected(due))) => self.nobody_asks(due),
            _ => {}
        }
        Ok(())
    }

    /// Asks for it and waits for room: nothing else is left to do.
    pub(crate) fn sync_before_end(&self, due: Due) {
        if let Some(Err(error)) = self.dues.as_ref().map(|dues| dues.send(due)) {
            self.nobody_asks(error.0);
        }
    }

    /// The thread has died, and has said why. The kernel writes by itself.
    fn nobody_asks(&self, due: Due) {
        let _ = self.tell.send(Told { due, result: Ok(()) });
    }

    /// What the disk has said since this was asked last.
    pub(crate) fn told(&self) -> impl Iterator<Item = Told> {
        self.told.try_iter()
    }

    /// Waits until the disk has said something of all of it, and gives what has not been asked for yet.
    pub(crate) fn end(mut self) -> Vec<Told> {
        self.join();
        self.told.try_iter().collect()
    }

    fn join(&mut self) {
        self.dues = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.join();
    }
}

/// Makes a file, or a directory's names, safe against a power cut. What has been deleted meanwhile needs it no more.
pub(crate) fn make_safe(path: &Path) -> io::Result<()> {
    // Not through a link that somebody put in its place, nor waiting for whoever might write to a pipe.
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path);
    match file {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // It is somebody else's now, or this process has too much open: nothing is known of what was written.
        Err(error) if !is_of_the_disk(&error) => {
            tracing::warn!(
                path = %path.display(), %error,
                "it cannot be opened to be made safe; a power cut could lose more than a second"
            );
            Ok(())
        }
        file => file?.sync_data(),
    }
}

fn is_of_the_disk(error: &io::Error) -> bool {
    use nix::libc::{EACCES, ELOOP, EMFILE, ENFILE, ENOMEM, ENXIO, EPERM};
    !matches!(error.raw_os_error(), Some(EACCES | ELOOP | EMFILE | ENFILE | ENOMEM | ENXIO | EPERM))
}
