//! The chains of all recorders, and the thread that seals what was closed.
//!
//! Owns: that each chain has one writer in this process, and that a closed recording is sealed at leisure: its hash is read from the
//! disk, which takes seconds for an hour of audio, and nobody waits for it. Never: decides what is closed; the list of unfinished files
//! says so, and keeps it until it is sealed. Never: enters the archive while its root lies on another volume than its own. What can never
//! be sealed is told in its recorder's directory (`unsealable.json`).

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use audyn_media::chain::{Chain, Hashes, account};
use audyn_media::{Beneath, MediaError};
use audyn_sys::clock;
use audyn_units::{Mono, Timestamp};

use crate::again::{Again, passes};
use crate::engine::lock;
use crate::volume::{Ours, is_not_ours};

/// Time between two looks for what is to be tried again.
const RETRY: Duration = Duration::from_secs(2);

/// A chain that somebody else has is tried again after this, so often: a second in all.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSES: u32 = 20;

/// The chains below an archive's root. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Chains {
    ours: Ours,
    open: Arc<Mutex<HashMap<PathBuf, Chain>>>,
}

impl Chains {
    /// Those below a root on any volume.
    #[cfg(any(test, feature = "bench"))]
    pub(crate) fn below(archive: PathBuf) -> Self {
        Self::on(Ours::any(archive))
    }

    /// Those on a root's volume.
    pub(crate) fn on(ours: Ours) -> Self {
        Self { ours, open: Arc::default() }
    }

    /// The archive's root.
    pub(crate) fn archive(&self) -> &Path {
        self.ours.root()
    }

    /// Its volume.
    pub(crate) fn ours(&self) -> &Ours {
        &self.ours
    }

    /// Opens a recorder's directory: no link below the archive's root is followed, nor any at all elsewhere; and nothing is opened while the
    /// root lies on another volume.
    pub(crate) fn directory(&self, recorder: &Path) -> io::Result<Beneath> {
        match recorder.strip_prefix(self.archive()) {
            Ok(below) => self.ours.open()?.open(below),
            Err(_) => Beneath::root(Path::new("/"))?.open(recorder.strip_prefix("/").unwrap_or(recorder)),
        }
    }

    /// Does something with the chain of a recorder's directory. After an error the chain is opened anew, which catches up with what was
    /// left undone. While somebody else has it, it is waited for: who asks for recordings, here or in another program, has it for as long as
    /// its index takes to be written.
    pub(crate) fn with<T>(
        &self,
        recorder: &Path,
        work: impl FnOnce(&mut Chain) -> Result<T, MediaError>,
    ) -> Result<T, MediaError> {
        self.with_pauses(recorder, || std::thread::sleep(PAUSE), work)
    }

    fn with_pauses<T>(
        &self,
        recorder: &Path,
        mut pause: impl FnMut(),
        work: impl FnOnce(&mut Chain) -> Result<T, MediaError>,
    ) -> Result<T, MediaError> {
        let mut pauses = 0;
        loop {
            let mut open = lock(&self.open);
            // One that is open leads to the volume on which it was opened; what is asked for is on the one that is there now.
            if recorder.starts_with(self.archive())
                && let Err(source) = self.ours.open()
                && is_not_ours(&source)
            {
                open.clear();
                return Err(MediaError::Chain { path: recorder.to_owned(), source });
            }
            match open.remove(recorder).map_or_else(|| self.opened(recorder), Ok) {
                Ok(mut chain) => {
                    let done = work(&mut chain)?;
                    open.insert(recorder.to_owned(), chain);
                    return Ok(done);
                }
                Err(MediaError::Chain { source, .. })
                    if source.kind() == io::ErrorKind::ResourceBusy && pauses < PAUSES => {}
                Err(error) => return Err(error),
            }
            // The others' chains are not kept from anybody meanwhile.
            drop(open);
            pauses += 1;
            pause();
        }
    }

    fn opened(&self, recorder: &Path) -> Result<Chain, MediaError> {
        let directory = self.directory(recorder);
        Chain::open(directory.map_err(|source| MediaError::Chain { path: recorder.to_owned(), source })?)
    }

    /// Closes a chain until it is needed again: nothing of it keeps its volume.
    pub(crate) fn close(&self, recorder: &Path) {
        lock(&self.open).remove(recorder);
    }

    /// The same for all of them.
    pub(crate) fn close_all(&self) {
        lock(&self.open).clear();
    }

    /// Seals a closed file of a recorder's directory. What was read of it is `kept` for another try, so that a disk without room for the
    /// sidecar does not have hours of audio read every few seconds.
    pub(crate) fn seal(
        &self,
        job: &Job,
        kept: &mut Option<Hashes>,
        go_on: impl FnMut() -> bool,
    ) -> Result<(), MediaError> {
        let of = |source| MediaError::Chain { path: job.path.clone(), source };
        let directory = self.directory(&job.recorder).map_err(of)?;
        let file =
            job.path.strip_prefix(&job.recorder).map_err(|_| of(io::ErrorKind::InvalidInput.into()))?;
        // A chain that cannot be opened is found out before hours of audio are read for nothing.
        self.with(&job.recorder, |_| Ok(()))?;
        let sealing = account(&directory, file)?;
        let hashes = match kept.take().filter(|hashes| hashes.are_of(&directory, file)) {
            Some(hashes) => hashes,
            None => Hashes::of(&directory, file, go_on)?,
        };
        *kept = Some(hashes);
        let sidecar = self.with(&job.recorder, |chain| chain.seal(sealing, hashes))?;
        tracing::debug!(path = %job.path.display(), entry = sidecar.entry, "sealed");
        Ok(())
    }
}

/// A closed file and the recorder's directory whose chain it joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) recorder: PathBuf,
    pub(crate) path: PathBuf,
}

/// What became of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is sealed, or gone.
    Done,
    /// It can never be sealed, and why.
    Never(String),
    /// The disk does not confirm it: it is to be mended before it is sealed.
    Unconfirmed,
}

/// Where the sealer is asked. Clones ask the same one, which goes on until all of them are dropped.
#[derive(Debug, Clone)]
pub(crate) struct Jobs(Sender<Job>);

impl Jobs {
    /// Asks for a closed file to be sealed. Waits for nothing.
    pub(crate) fn seal(&self, job: Job) {
        let _ = self.0.send(job); // a thread that has died has said why
    }
}

/// The thread that seals, one file after the other.
#[derive(Debug)]
pub(crate) struct Sealer {
    jobs: Option<Jobs>,
    told: Receiver<(Job, Outcome)>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sealer {
    pub(crate) fn start(chains: Chains) -> io::Result<Self> {
        let (jobs, inbox) = channel();
        let (tell, told) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("audyn-seal".to_owned())
            .spawn(move || work(&chains, &inbox, &tell, &stopped))?;
        Ok(Self { jobs: Some(Jobs(jobs)), told, stop, thread: Some(thread) })
    }

    /// One that does nothing by itself, with what it is asked, and who tells what came of it.
    #[cfg(test)]
    pub(crate) fn scripted() -> (Self, Receiver<Job>, Sender<(Job, Outcome)>) {
        let ((jobs, inbox), (tell, told)) = (channel(), channel());
        (Self { jobs: Some(Jobs(jobs)), told, stop: Arc::default(), thread: None }, inbox, tell)
    }

    /// Where it is asked; none once it has ended.
    pub(crate) fn jobs(&self) -> Option<Jobs> {
        self.jobs.clone()
    }

    /// Asks for a closed file to be sealed. Waits for nothing.
    pub(crate) fn seal(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            jobs.seal(job);
        }
    }

    /// What is done with since the last call.
    pub(crate) fn told(&self) -> impl Iterator<Item = (Job, Outcome)> {
        self.told.try_iter()
    }

    /// Ends the thread; with `all` when everything that it was asked for is done, or was tried once more.
    pub(crate) fn end(&mut self, all: bool) {
        self.jobs = None;
        self.stop.store(!all, Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Jobs that are to be tried again.
#[derive(Debug, Default)]
struct Refused(VecDeque<(Job, Option<Hashes>, Again)>);

impl Refused {
    /// The next one that is due, or any if it is tried for the `last` time.
    fn next(&mut self, now: Timestamp<Mono>, last: bool) -> Option<(Job, Option<Hashes>, Again)> {
        let due = self.0.iter().position(|(.., again)| last || again.is_due(now))?;
        self.0.remove(due)
    }
}

fn work(chains: &Chains, inbox: &Receiver<Job>, tell: &Sender<(Job, Outcome)>, stop: &AtomicBool) {
    let mut refused = Refused::default();
    // Whoever sweeps may still be able to ask.
    while !stop.load(Acquire) {
        let (job, mut kept, before, last) = match inbox.recv_timeout(RETRY) {
            Ok(job) => (job, None, None, false),
            Err(error) => {
                let last = error == RecvTimeoutError::Disconnected;
                match refused.next(clock::mono_now(), last) {
                    Some((job, kept, before)) => (job, kept, Some(before), last),
                    None if last => return,
                    None => continue,
                }
            }
        };
        if stop.load(Acquire) {
            return;
        }
        let path = job.path.display();
        let mut outcome = Outcome::Done;
        match chains.seal(&job, &mut kept, || !stop.load(Acquire)) {
            Ok(()) => {}
            Err(MediaError::Chain { source, .. }) if source.kind() == io::ErrorKind::Interrupted => return,
            // Deleted meanwhile, or without a ledger; not on a volume that has gone.
            Err(MediaError::Chain { source, .. })
                if source.kind() == io::ErrorKind::NotFound
                    && job.path.parent().is_some_and(Path::is_dir) =>
            {
                tracing::debug!(%path, "not sealed: it or its ledger is gone");
                if job.path.symlink_metadata().is_ok() {
                    outcome = Outcome::Never("its gap ledger is not there".to_owned());
                }
            }
            // Not to be tried again as it is: the disk would confirm it then, whatever it has of it.
            Err(error @ MediaError::Sync { .. }) => {
                tracing::error!(%path, %error, "a recording is not sealed before what the disk has of it was looked at");
                outcome = Outcome::Unconfirmed;
            }
            Err(MediaError::Chain { source, .. }) if is_hopeless(&source) => {
                tracing::warn!(%path, error = %source, "a recording gets no sidecar");
                outcome = Outcome::Never(source.to_string());
            }
            Err(error) => {
                tracing::warn!(%path, %error, "a recording is not sealed yet");
                if !last {
                    // Each try may read hours of audio from a disk with a bad sector in them.
                    let now = clock::mono_now();
                    let again = if passes(&error) { Again::soon(now) } else { Again::later(before, now) };
                    refused.0.push_back((job, kept, again));
                }
                continue;
            }
        }
        let _ = tell.send((job, outcome)); // nobody may be left to hear it
    }
}

/// Whether the same would come of it again.
fn is_hopeless(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use audyn_media::{Facts, PcmDepth, WavSpec, WavWriter};
    use audyn_units::{ChannelCount, SampleRate};

    use super::*;

    #[test]
    fn what_a_broken_disk_refuses_keeps_nobody_from_its_turn() {
        let at = |seconds: i64| Timestamp::from_nanos(seconds * 1_000_000_000);
        let job = |path: &str| Job { recorder: PathBuf::from("/r"), path: PathBuf::from(path) };
        let next = |refused: &mut Refused, seconds, last| {
            refused.next(at(seconds), last).map(|(job, ..)| job.path.display().to_string())
        };
        let twice = Again::later(Some(Again::later(None, at(0))), at(0));
        let mut refused = Refused::default();
        refused.0.push_back((job("broken"), None, twice));
        refused.0.push_back((job("away"), None, Again::soon(at(0))));
        assert_eq!(next(&mut refused, 1, false), None);
        assert_eq!(next(&mut refused, 2, false).as_deref(), Some("away"));
        assert_eq!(next(&mut refused, 3, false), None);
        assert_eq!(next(&mut refused, 3, true).as_deref(), Some("broken"));
    }

    #[test]
    fn a_chain_that_somebody_has_for_a_moment_is_waited_for_and_one_that_another_keeps_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let chains = Chains::below(dir.path().to_owned());
        let recorder = dir.path().join("one");
        std::fs::create_dir(&recorder).unwrap();
        let theirs = || Some(Chain::open(Beneath::root(&recorder).unwrap()).unwrap());
        let (mut kept, mut pauses) = (theirs(), 0);
        let pause = || {
            assert!(chains.open.try_lock().is_ok(), "the others' chains are to be had meanwhile");
            pauses += 1;
            if pauses == 3 {
                drop(kept.take());
            }
        };
        chains.with_pauses(&recorder, pause, |_| Ok(())).unwrap();
        assert_eq!(pauses, 3);
        chains.close_all();
        let (_kept, mut pauses) = (theirs(), 0);
        let error = chains.with_pauses(&recorder, || pauses += 1, |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("another program keeps this chain"), "{error}");
        assert_eq!(pauses, PAUSES);
    }

    #[test]
    fn a_file_is_read_once_however_often_its_sidecar_is_refused_and_again_when_it_was_changed() {
        let dir = tempfile::tempdir().unwrap();
        let recorder = dir.path().join("one");
        std::fs::create_dir(&recorder).unwrap();
        let path = recorder.join("a.wav");
        let spec =
            WavSpec { rate: SampleRate::HZ_48000, channels: ChannelCount::MONO, depth: PcmDepth::Pcm24 };
        let mut writer = WavWriter::create(&path, spec, &Facts::default()).unwrap();
        writer.append(&[256; 100]).unwrap();
        writer.close().unwrap();
        let header = r#"{"audyn_ledger":3,"recorder":"one","file":"a.wav","first_position":1000,"start_utc":"2026-07-02T13:46:03Z","rate":48000,"channels":1,"bits":24}"#;
        std::fs::write(crate::ledger::path_of(&path), format!("{header}\n")).unwrap();
        // Where the sidecar is written first stands something else.
        let stands = recorder.join(".a.wav.json.new");
        std::fs::create_dir(&stands).unwrap();
        let chains = Chains::below(dir.path().to_owned());
        let job = Job { recorder: recorder.clone(), path: path.clone() };
        let (mut kept, mut reads) = (None, 0);
        let mut seal = |kept: &mut Option<Hashes>| {
            let before = reads;
            let sealed = chains.seal(&job, kept, || {
                reads += 1;
                true
            });
            (sealed.is_ok(), reads > before)
        };
        assert_eq!(seal(&mut kept), (false, true));
        assert_eq!(seal(&mut kept), (false, false), "what was read is kept");
        std::fs::write(crate::ledger::path_of(&path), format!("{header}\n\n")).unwrap();
        assert_eq!(seal(&mut kept), (false, true), "it was changed");
        std::fs::remove_dir(stands).unwrap();
        assert_eq!(seal(&mut kept), (true, false));
        let found = audyn_media::chain::verify(&Beneath::root(&recorder).unwrap(), false, |_| true).unwrap();
        assert_eq!((found.sealed, found.faults.len()), (1, 0), "{:?}", found.faults);
    }
}
