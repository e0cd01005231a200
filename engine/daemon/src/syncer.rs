//! The thread that waits for the disk (fdatasync), so that nobody else does.
//!
//! Owns: what is to be made safe against a power cut, what is closed first, and what the disk said of each. Never: forgets a closed file;
//! has one that is open wait twice, however slow the disk is: it is asked for each second, and 64 recorders ask more often than a disk with
//! a head answers.
//!
//! What the disk does not confirm once is in doubt from then on: Linux tells of a write that failed once, and counts it as done. What it
//! could not be asked of, since it cannot be opened, is neither confirmed nor in doubt ([`is_not_asked`]).

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use audyn_media::is_unsupported;
use audyn_units::FrameCount;

use crate::engine::lock;

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
    /// It is a directory, with new names in it.
    Directory,
}

/// What the disk said.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) due: Due,
    pub(crate) result: io::Result<()>,
}

/// What waits for the disk.
#[derive(Debug, Default)]
struct Waiting {
    /// What is closed, and directories: they come first.
    closed: VecDeque<Due>,
    /// One for each path at most, and none that has been closed meanwhile.
    open: VecDeque<Due>,
    /// Nothing more comes.
    ended: bool,
}

impl Waiting {
    fn add(&mut self, due: Due) {
        match due.state {
            // What is asked of a path that waits already is answered together, by what it counts then.
            State::Open(_) if self.closed.iter().any(|waiting| waiting.path == due.path) => {}
            State::Open(_) => match self.open.iter_mut().find(|waiting| waiting.path == due.path) {
                Some(waiting) => *waiting = due,
                None => self.open.push_back(due),
            },
            State::Directory if self.closed.contains(&due) => {}
            // A ledger whose last lines came late is asked for twice, and twice somebody waits for the answer.
            State::Directory | State::Closed => {
                self.open.retain(|waiting| waiting.path != due.path);
                self.closed.push_back(due);
            }
        }
    }

    fn next(&mut self) -> Option<Due> {
        self.closed.pop_front().or_else(|| self.open.pop_front())
    }
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

impl Queue {
    fn add(&self, due: Due) {
        lock(&self.waiting).add(due);
        self.more.notify_one();
    }

    /// The next one, as soon as there is one; none once it has ended.
    fn next(&self) -> Option<Due> {
        let mut waiting = lock(&self.waiting);
        loop {
            match waiting.next() {
                None if !waiting.ended => {
                    waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                }
                next => return next,
            }
        }
    }

    fn end(&self) {
        lock(&self.waiting).ended = true;
        self.more.notify_one();
    }
}

pub(crate) struct Syncer {
    queue: Arc<Queue>,
    tell: Sender<Told>,
    told: Receiver<Told>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    /// Starts it; none if it cannot be, which is said.
    pub(crate) fn start(safe: MakeSafe) -> Option<Self> {
        let queue = Arc::<Queue>::default();
        let asked = Arc::clone(&queue);
        let (tell, told) = channel();
        let teller = tell.clone();
        let thread = std::thread::Builder::new()
            .name("audyn-sync".to_owned())
            .spawn(move || {
                while let Some(due) = asked.next() {
                    // Syncing through another descriptor writes the same pages.
                    let result = safe(&due.path);
                    let _ = teller.send(Told { due, result });
                }
            })
            .map_err(|error| tracing::warn!(%error, "no thread for fdatasync; the kernel writes within 30 s"))
            .ok()?;
        Some(Self { queue, tell, told, thread: Some(thread) })
    }

    /// Asks for it. Waits for nothing: what is open is asked for again and again, and waits once.
    pub(crate) fn sync(&self, due: Due) {
        self.queue.add(due);
        if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            self.nobody_asks();
        }
    }

    /// The thread has died, and has said why. The kernel writes by itself: what is closed counts as confirmed, and nothing that is open.
    fn nobody_asks(&self) {
        let mut waiting = lock(&self.queue.waiting);
        while let Some(due) = waiting.next() {
            if due.state == State::Closed {
                let _ = self.tell.send(Told { due, result: Ok(()) });
            }
        }
    }

    /// What the disk has said since this was asked last.
    pub(crate) fn told(&self) -> impl Iterator<Item = Told> {
        self.told.try_iter()
    }

    /// Waits until the disk has said something of all of it, and gives what has not been asked for yet.
    pub(crate) fn end(mut self) -> Vec<Told> {
        self.join();
        self.nobody_asks();
        self.told.try_iter().collect()
    }

    fn join(&mut self) {
        self.queue.end();
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

/// A file could not be opened to be made safe. What it says needs no more words.
#[derive(Debug, thiserror::Error)]
#[error("it cannot be opened to be made safe ({0}); a power cut could lose more than a second")]
struct NotAsked(io::Error);

/// Whether an error says that the disk was not asked: nothing is known of what it has, for better or for worse.
pub(crate) fn is_not_asked(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<NotAsked>())
}

/// Makes a file, or a directory's names, safe against a power cut. What has been deleted meanwhile needs it no more.
///
/// # Errors
/// What the disk says, and one of which [`is_not_asked`] knows.
pub(crate) fn make_safe(path: &Path) -> io::Result<()> {
    // Not through a link that somebody put in its place, nor waiting for whoever might write to a pipe.
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path);
    match file {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // It is somebody else's now, or this process has too much open: nothing is known of what was written.
        Err(error) if !is_of_the_disk(&error) => {
            let error = NotAsked(error);
            tracing::warn!(path = %path.display(), "{error}");
            Err(io::Error::other(error))
        }
        file => match file?.sync_data() {
            Err(error) if is_unsupported(&error) => {
                if !UNSUPPORTED.swap(true, Relaxed) {
                    tracing::warn!(
                        path = %path.display(), %error,
                        "this file system cannot be asked to make anything safe; a power cut could lose more than a second"
                    );
                }
                Ok(())
            }
            done => done,
        },
    }
}

/// That a file system cannot be asked was told.
static UNSUPPORTED: AtomicBool = AtomicBool::new(false);

fn is_of_the_disk(error: &io::Error) -> bool {
    use nix::libc::{EACCES, ELOOP, EMFILE, ENFILE, ENOMEM, ENXIO, EPERM};
    !matches!(error.raw_os_error(), Some(EACCES | ELOOP | EMFILE | ENFILE | ENOMEM | ENXIO | EPERM))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    fn due(path: &str, state: State) -> Due {
        Due { path: PathBuf::from(path), state }
    }

    #[test]
    fn what_is_closed_comes_first_and_what_is_open_waits_once() {
        let (go, gate) = sync_channel::<()>(0);
        let (begun, first) = sync_channel::<()>(1);
        let syncer = Syncer::start(Box::new(move |_: &Path| {
            let _ = begun.try_send(());
            let _ = gate.recv(); // an error means that it stands open
            Ok(())
        }))
        .unwrap();
        let go = go; // goes before the syncer does, which waits for its thread
        let open = |frames| State::Open(Some(FrameCount(frames)));
        syncer.sync(due("first", open(0)));
        first.recv().unwrap();
        for second in 1..100 {
            for path in ["a", "b", "c"] {
                syncer.sync(due(path, open(second)));
            }
        }
        for _ in 0..2 {
            syncer.sync(due("dir", State::Directory));
            syncer.sync(due("b.jsonl", State::Closed));
        }
        syncer.sync(due("b", State::Closed));
        syncer.sync(due("b", open(100)));
        drop(go);
        let told: Vec<Due> = syncer.end().into_iter().map(|told| told.due).collect();
        let expected = [
            due("first", open(0)),
            due("dir", State::Directory),
            due("b.jsonl", State::Closed),
            due("b.jsonl", State::Closed),
            due("b", State::Closed),
            due("a", open(99)),
            due("c", open(99)),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_thread_that_has_died_confirms_nothing_that_is_open() {
        let syncer = Syncer::start(Box::new(|_: &Path| panic!("it dies"))).unwrap();
        for state in [State::Open(None), State::Open(Some(FrameCount(7))), State::Directory, State::Closed] {
            syncer.sync(due("a", state));
            syncer.sync(due("b", state));
        }
        let told: Vec<Due> = syncer.end().into_iter().map(|told| told.due).collect();
        assert!(told.contains(&due("b", State::Closed)), "{told:?}");
        assert!(told.iter().all(|due| due.state == State::Closed), "{told:?}");
    }

    #[test]
    fn a_file_system_that_cannot_be_asked_is_none_that_has_failed() {
        // Nothing of it is to be made safe, and it says so.
        let null = Path::new("/dev/null");
        assert!(is_unsupported(&std::fs::File::open(null).unwrap().sync_data().unwrap_err()));
        make_safe(null).unwrap();
        assert!(!is_unsupported(&io::Error::from_raw_os_error(nix::libc::EIO)));
    }

    #[test]
    fn what_cannot_be_opened_is_not_confirmed_and_what_is_gone_need_not_be() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&file, "audio").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let error = make_safe(&link).unwrap_err();
        assert!(is_not_asked(&error) && error.to_string().contains("cannot be opened"), "{error}");
        make_safe(&file).unwrap();
        make_safe(dir.path()).unwrap();
        make_safe(&dir.path().join("none")).unwrap();
        for errno in [nix::libc::EMFILE, nix::libc::ENFILE, nix::libc::ENOMEM, nix::libc::EACCES] {
            assert!(!is_of_the_disk(&io::Error::from_raw_os_error(errno)), "{errno}");
        }
        let eio = io::Error::from_raw_os_error(nix::libc::EIO);
        assert!(is_of_the_disk(&eio) && !is_not_asked(&eio));
    }
}
