//! The disk writer: one thread for the volume of the archive root, and one for the mirror's.
//!
//! Owns: every open file. Takes commands and samples from the feeds' rings, writes, and flushes each file at least
//! every 200 ms. Never: keeps a worker waiting; while the disk stalls the rings fill.
//!
//! # Procedures
//!
//! *Open*: 1. directories; 2. the ledger under a new name (a taken name gets the next tie-break); 3. the audio file; 4. the list
//! of open files (`unfinished`, which another thread writes); only then a header that counts a frame. What of 1 and 3 may wait for the
//! disk is done some seconds before a cut that is foreseen (`recording::ahead`).
//! *Flush*: 1. samples; 2. the header that counts them (both in `media`).
//! *Close*: 1. flush; 2. the ledger's last line; 3. if configured, fdatasync of both and of their directory; until the disk has
//! confirmed both, the file counts as open, and is not sealed.
//! A crash after any of these steps leaves a file that is right for what it holds; after a power cut its header may count up to
//! a second that the disk never got, which the next engine puts right at its start.
//!
//! *Stall*: 10 s wait in the rings (`feed`), what comes then is a gap. *No room*: 16 MiB a file wait in memory (`media`), and what comes
//! then is owed as silence; a mirror's file ends there, and another begins behind it once there is room. *Any other error* for 2 s, or an fdatasync that failed 2 s ago: 1. files, ledgers and chain are let go of; 2. others are tried each 250 ms; 3. what was let go of
//! is mended (`unfinished`). *A file has gone from its place* (looked at each second): 1. it is closed where it is; 2. others are begun.
//! *The archive's root lies on another volume than its own* (`volume`, asked before each file is made): no file is made there, and what comes
//! waits in the rings; tried each 250 ms. *The engine ends, and one of two disks does nothing for 3 s*: it is left as after a crash, and
//! the other one ends as it should.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicI64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::mpsc::{Receiver as Inbox, Sender, SyncSender, channel};
use std::time::Duration;

use audyn_sys::{Grid, SysError, clock};
use audyn_units::{Mono, Nanos, Timestamp};

use crate::chains::Chains;
use crate::feed::DISK_BUFFER;
use crate::parting::Parting;
use crate::recording::Recording;
use crate::shared::Notice;
use crate::syncer::{MakeSafe, State, Syncer, Told, is_not_asked};
use crate::unfinished::Listing;
use crate::volume::is_not_ours;

/// Time between two turns.
const PERIOD: Nanos = Nanos::from_millis(40);

/// A file with unflushed samples is flushed when its last flush is this long ago: with a turn and what lies before the
/// disk writer that stays below 200 ms and the bound of 250 ms on what a crash can cost.
const FLUSH_AFTER: Nanos = Nanos::from_millis(120);

/// How much of a turn may go into the encoding of long silence.
const SILENCE: Nanos = Nanos::from_millis(60);

/// A turn that takes longer than this is one in which the disk does not answer: all of them together rarely take a tenth of it.
const STALLED: Nanos = Nanos::from_secs(1);

/// Time between two fdatasyncs of a file.
const SYNC_AFTER: Nanos = Nanos::from_secs(1);

/// Of two volumes, one whose disk has done nothing for this long at the engine's end is left: what it holds is as after a crash, and what
/// follows (the other one's end, the notes for the next engine) shall not be lost with it. Neither is left earlier than that after the order to end.
const LEFT_AFTER: Nanos = Nanos::from_secs(3);

/// The handle of the running disk writer. Dropping it closes every file and ends the thread. Where there is another volume, neither is
/// waited for longer than its disk does something ([`LEFT_AFTER`]).
pub(crate) struct Disk {
    recordings: Sender<Recording>,
    /// When its last turn began, in monotonic nanoseconds.
    turned: Arc<AtomicI64>,
    /// It writes the mirror.
    mirrors: bool,
    /// There is one for another volume.
    has_other: AtomicBool,
    stop: Arc<AtomicBool>,
    thread: Option<Parting>,
}

impl Disk {
    /// Starts the thread. `notices` gets what happens; notices that find no room there are dropped. With `safe` files are
    /// made safe by it, about once a second and when they are closed. With a `state` directory the open ones are listed there, and those
    /// that are listed there from before are mended. What is closed is sealed in one of `chains`.
    pub(crate) fn start(
        notices: SyncSender<Notice>,
        safe: Option<MakeSafe>,
        state: Option<PathBuf>,
        chains: Chains,
    ) -> Result<Self, SysError> {
        Self::start_until(Arc::default(), notices, safe, state, chains)
    }

    /// One for another volume, which ends with `first`, neither after the other.
    pub(crate) fn start_beside(
        first: &Self,
        notices: SyncSender<Notice>,
        safe: Option<MakeSafe>,
        state: Option<PathBuf>,
        chains: Chains,
    ) -> Result<Self, SysError> {
        let other = Self::start_until(Arc::clone(&first.stop), notices, safe, state, chains)?;
        for disk in [first, &other] {
            disk.has_other.store(true, Relaxed);
        }
        Ok(other)
    }

    fn start_until(
        stop: Arc<AtomicBool>,
        notices: SyncSender<Notice>,
        safe: Option<MakeSafe>,
        state: Option<PathBuf>,
        chains: Chains,
    ) -> Result<Self, SysError> {
        let mut grid = Grid::new(PERIOD)?;
        let (recordings, inbox) = channel();
        let stopped = Arc::clone(&stop);
        let turned = Arc::new(AtomicI64::new(clock::mono_now().as_nanos()));
        let turns = Arc::clone(&turned);
        let mirrors = chains.ours().is_mirror();
        let name = if mirrors { "audyn-mirror" } else { "audyn-disk" };
        // At the end there are no turns any more, and yet it is told that something was done.
        let moves = move |turns: &AtomicI64| turns.store(clock::mono_now().as_nanos(), Relaxed);
        let (ending, confirms) = (Arc::clone(&stop), Arc::clone(&turned));
        let safe = safe.map(|safe| -> MakeSafe {
            Box::new(move |path| {
                let made = safe(path);
                if ending.load(Acquire) {
                    moves(&confirms);
                }
                made
            })
        });
        let thread = Parting::start(name, move || {
                let syncer = safe.and_then(Syncer::start);
                let mut list = Listing::start(state, chains)
                    .map_err(|error| tracing::warn!(%error, "no thread lists the open files; what a power cut leaves is not mended, and nothing is sealed"))
                    .ok();
                let mut open = Vec::new();
                while !stopped.load(Acquire) {
                    clock::sleep_until(grid.next_after(clock::mono_now()).at);
                    moves(&turns);
                    turn(&mut open, &inbox, &notices, syncer.as_ref(), list.as_mut());
                }
                // Workers have ended by now, so this drains what they left.
                open.extend(inbox.try_iter());
                let now = clock::mono_now();
                for recording in &mut open {
                    recording.finish(now, &notices);
                    make_safe(recording, now, syncer.as_ref());
                    moves(&turns);
                }
                let waited = syncer.is_some();
                // Waits until the disk has it all, or has said that it has not.
                for told in syncer.map(Syncer::end).unwrap_or_default() {
                    tell(&mut open, &told, now);
                }
                if let Some(mut list) = list {
                    let cut: Vec<_> = open.iter_mut().flat_map(Recording::take_cut).collect();
                    let left: Vec<_> = open.iter().flat_map(Recording::files).collect();
                    let whole = cut.is_empty() && left.is_empty();
                    list.tell(left, cut);
                    list.end(waited && whole);
                }
            })
            .map_err(|source| SysError::Thread { source })?;
        let has_other = AtomicBool::new(false);
        Ok(Self { recordings, turned, mirrors, has_other, stop, thread: Some(thread) })
    }

    /// What is to be said of a disk that keeps the thread waiting, and whether audio is lost by now.
    pub(crate) fn complaint(&self, now: Timestamp<Mono>) -> Option<(String, bool)> {
        self.stalled(now).map(if self.mirrors { mirrors_complaint } else { complaint })
    }

    /// For how long the disk has kept the thread waiting, if it is longer than a turn may take.
    fn stalled(&self, now: Timestamp<Mono>) -> Option<Nanos> {
        let since = now - Timestamp::from_nanos(self.turned.load(Relaxed));
        (since >= STALLED).then_some(since)
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
        let Some(thread) = self.thread.take() else { return };
        if !self.has_other.load(Relaxed) {
            return thread.join();
        }
        let asked = clock::mono_now();
        let left = || {
            let moved = Timestamp::from_nanos(self.turned.load(Relaxed)).max(asked);
            let left = (moved + LEFT_AFTER - clock::mono_now()).0;
            Duration::from_nanos(u64::try_from(left).unwrap_or(0))
        };
        if !thread.join_within(left) {
            let whose = if self.mirrors { "mirror" } else { "archive" };
            tracing::error!(
                "the {whose}'s disk does not answer, so the engine ends without it; its files are mended at the next start: check the \
                 disk and its cable"
            );
        }
    }
}

fn complaint(stalled: Nanos) -> (String, bool) {
    let (seconds, room) = (stalled.as_secs_f64(), DISK_BUFFER.as_secs_f64());
    let lost = stalled >= DISK_BUFFER;
    let what = if lost {
        format!("the {room:.0} s that memory holds are full, and what comes now is a gap until it answers")
    } else {
        format!("nothing is lost yet, since {room:.0} s of audio wait in memory")
    };
    (
        format!(
            "the archive's disk has not answered for {seconds:.0} s; {what}: check the disk and its cable"
        ),
        lost,
    )
}

fn mirrors_complaint(stalled: Nanos) -> (String, bool) {
    let (seconds, room) = (stalled.as_secs_f64(), DISK_BUFFER.as_secs_f64());
    let lost = stalled >= DISK_BUFFER;
    let what = if lost { "what comes now is in the archive alone" } else { "nothing is missing there yet" };
    (
        format!(
            "the mirror's disk has not answered for {seconds:.0} s; {what}, since memory holds {room:.0} s for it: check the disk and its cable"
        ),
        lost,
    )
}

fn turn(
    open: &mut Vec<Recording>,
    inbox: &Inbox<Recording>,
    notices: &SyncSender<Notice>,
    syncer: Option<&Syncer>,
    mut list: Option<&mut Listing>,
) {
    open.extend(inbox.try_iter());
    for told in syncer.iter().flat_map(|syncer| syncer.told()) {
        tell(open, &told, clock::mono_now());
    }
    for path in list.iter().flat_map(|list| list.gone()) {
        open.iter_mut().for_each(|recording| recording.gone(&path, clock::mono_now(), notices));
    }
    // Whoever has long silence to write comes to its turn.
    if !open.is_empty() {
        open.rotate_left(1);
    }
    let began = clock::mono_now();
    for recording in open.iter_mut() {
        recording.work(clock::mono_now(), began + SILENCE, notices);
    }
    let cut: Vec<_> = open.iter_mut().flat_map(Recording::take_cut).collect();
    let listed =
        list.as_mut().is_none_or(|list| list.tell(open.iter().flat_map(Recording::files).collect(), cut));
    for recording in open.iter_mut() {
        let now = clock::mono_now();
        if listed {
            recording.listed();
        }
        recording.flush(now, FLUSH_AFTER, notices);
        make_safe(recording, now, syncer);
    }
    // One a turn: where all are cut at the same second, what that costs is spread over the seconds before.
    let _ = open.iter_mut().any(Recording::make_ready);
    open.retain(|recording| !recording.is_finished());
}

/// Has the syncer make safe what is due of a recording. Where there is none, what is closed counts as confirmed, and nothing that is open.
fn make_safe(recording: &mut Recording, now: Timestamp<Mono>, syncer: Option<&Syncer>) {
    for due in recording.due_to_sync(now, SYNC_AFTER) {
        match syncer {
            Some(syncer) => syncer.sync(due),
            None if due.state == State::Closed => drop(recording.told(&Told { due, result: Ok(()) }, now)),
            None => {}
        }
    }
}

/// Tells the recordings what the disk said; an error that is of none of their files is told in the log.
fn tell(open: &mut [Recording], told: &Told, now: Timestamp<Mono>) {
    let mut is_somebodys = false;
    for recording in open {
        is_somebodys |= recording.told(told, now);
    }
    if let Err(error) = &told.result
        && !is_somebodys
        && !is_not_ours(error)
        && !is_not_asked(error)
    {
        let path = told.due.path.display();
        match told.due.state {
            State::Directory => tracing::error!(
                %path, %error,
                "the disk does not confirm the names in a directory; after a power cut recordings may be missing there: check the disk \
                 and its cable"
            ),
            _ => {
                tracing::error!(%path, %error, "the disk does not confirm what was let go of; it is mended by what was confirmed");
            }
        }
    }
}

/// When a clock has not been used yet.
pub(crate) const NEVER: Timestamp<Mono> = Timestamp::ZERO;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::mpsc::sync_channel;

    use audyn_core::segment::TimeAnchor;
    use audyn_media::{FileFormat, PcmDepth, WavSpec};
    use audyn_units::{ChannelCount, FrameCount, FrameIndex, SampleRate};

    use std::path::Path;

    use super::*;
    use crate::facts::About;
    use crate::feed::{self, Feed};
    use crate::ledger;
    use crate::naming::Naming;
    use crate::recording::RecordingPlan;
    use crate::syncer::Due;

    /// Only there for what will never come.
    const NEVER_COMES: std::time::Duration = std::time::Duration::from_secs(20);

    /// A recording to this file, with one packet in its rings.
    fn recording(path: &Path) -> (Feed, Recording) {
        let rate = SampleRate::HZ_48000;
        let (mut feed, end) = feed::connect(rate, 1, None, None);
        let plan = RecordingPlan {
            about: About { recorder: "a".to_owned(), ..About::default() },
            naming: Naming::File(path.to_owned()),
            formats: vec![FileFormat::Wav(WavSpec {
                rate,
                channels: ChannelCount::MONO,
                depth: PcmDepth::Pcm24,
            })],
            source_depth: PcmDepth::Pcm24,
        };
        let anchor = TimeAnchor {
            position: FrameIndex(0),
            utc: Timestamp::from_nanos(1),
            rate,
            exact: false,
            tai_offset: None,
        };
        feed.audio(FrameIndex(0), &[256; 48], &anchor);
        feed.turn(FrameIndex(48), Some(&anchor));
        (feed, Recording::new(plan, end, crate::shared::SharedRecording::default()))
    }

    /// A disk writer whose fdatasyncs are told, each with whether the file at `path` was closed by then.
    fn disk(path: &Path) -> (Disk, Inbox<(PathBuf, bool)>, Inbox<Notice>) {
        let (tell, told) = channel();
        let (notices, news) = sync_channel(64);
        let ledger = ledger::path_of(path);
        let safe: MakeSafe = Box::new(move |path| {
            let closed = std::fs::read_to_string(&ledger).is_ok_and(|text| text.contains("\"closed\":true"));
            // Nobody listens any more once the test is over.
            let _ = tell.send((path.to_owned(), closed));
            Ok(())
        });
        (
            Disk::start(notices, Some(safe), None, Chains::below(path.parent().unwrap().to_owned())).unwrap(),
            told,
            news,
        )
    }

    /// The file, its ledger and their directory.
    fn all_of(path: &Path) -> BTreeSet<PathBuf> {
        [path.to_owned(), ledger::path_of(path), path.parent().unwrap().to_owned()].into()
    }

    /// What was made safe after it was complete.
    fn safe(told: impl Iterator<Item = (PathBuf, bool)>) -> BTreeSet<PathBuf> {
        told.filter(|(_, closed)| *closed).map(|(path, _)| path).collect()
    }

    #[test]
    fn a_disk_that_keeps_its_thread_waiting_is_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, _told, _news) = disk(&dir.path().join("a.wav"));
        let later = |nanos: Nanos| Timestamp::from_nanos(disk.turned.load(Relaxed)) + nanos;
        assert_eq!(disk.complaint(later(Nanos::from_millis(500))), None);
        let (sentence, lost) = disk.complaint(later(Nanos::from_millis(3_000))).unwrap();
        assert!(sentence.contains("for 3 s; nothing is lost yet") && !lost, "{sentence}");
        let (sentence, lost) = disk.complaint(later(Nanos::from_secs(12))).unwrap();
        assert!(sentence.contains("for 12 s; the 10 s that memory holds are full") && lost, "{sentence}");
    }

    #[test]
    fn several_recordings_are_listed_whoever_has_his_turn_first() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (recording(&dir.path().join("a.wav")), recording(&dir.path().join("b.wav")));
        let (recordings, inbox) = channel();
        let (notices, _news) = sync_channel(64);
        let state = Some(dir.path().to_owned());
        let mut list = Listing::start(state, Chains::below(dir.path().to_owned())).unwrap();
        let mut open = Vec::new();
        recordings.send(one.1).unwrap();
        recordings.send(two.1).unwrap();
        turn(&mut open, &inbox, &notices, None, Some(&mut list));
        let deadline = std::time::Instant::now() + NEVER_COMES;
        while open.iter().any(Recording::is_unlisted) {
            assert!(std::time::Instant::now() < deadline, "they are never listed, and so never flushed");
            turn(&mut open, &inbox, &notices, None, Some(&mut list));
        }
        list.end(false);
    }

    #[test]
    fn what_is_closed_is_made_safe_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let (disk, told, news) = disk(&path);
        let (mut feed, recording) = recording(&path);
        disk.add(recording);
        feed.end(None);
        feed.turn(FrameIndex(48), None);
        while !matches!(news.recv_timeout(NEVER_COMES).unwrap(), Notice::Ended { .. }) {}
        // The disk writer goes on, and yet they come.
        let mut come = BTreeSet::new();
        while come != all_of(&path) {
            come.extend(safe(std::iter::once(told.recv_timeout(NEVER_COMES).unwrap())));
        }
        drop(disk);
    }

    #[test]
    fn what_the_end_of_the_engine_closes_is_made_safe_before_it_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let (disk, told, news) = disk(&path);
        let (feed, recording) = recording(&path);
        disk.add(recording);
        while !matches!(news.recv_timeout(NEVER_COMES).unwrap(), Notice::Opened { .. }) {}
        // A worker that hangs on to its end makes no difference.
        drop(disk);
        drop(feed);
        assert_eq!(safe(told.try_iter()), all_of(&path));
    }

    #[test]
    fn what_the_disk_does_not_confirm_is_told_to_the_recording_that_wrote_it() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("a.wav"), dir.path().join("b.wav"));
        let ((_feed, one), (_other, two)) = (recording(&path), recording(&other));
        let refused = path.clone();
        let syncer = Syncer::start(Box::new(move |path: &Path| match path == refused {
            true => Err(std::io::Error::from_raw_os_error(nix::libc::EIO)),
            false => Ok(()),
        }))
        .unwrap();
        let (recordings, inbox) = channel();
        let (notices, _news) = sync_channel(64);
        let mut open = Vec::new();
        recordings.send(one).unwrap();
        recordings.send(two).unwrap();
        let deadline = std::time::Instant::now() + NEVER_COMES;
        while !open.iter().any(Recording::is_in_doubt) {
            assert!(std::time::Instant::now() < deadline, "it is never told");
            turn(&mut open, &inbox, &notices, Some(&syncer), None);
        }
        assert_eq!(open.iter().filter(|recording| recording.is_in_doubt()).count(), 1);
        let doubted = open.iter().find(|recording| recording.is_in_doubt()).unwrap();
        assert!(doubted.files().any(|file| file.path == path));
    }

    #[test]
    fn what_the_disk_does_not_confirm_at_the_end_is_left_to_the_next_engine() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let state = dir.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let listed = || std::fs::read_to_string(state.join("unfinished.jsonl")).unwrap_or_default();
        for refuses in [true, false] {
            let (notices, news) = sync_channel(64);
            let safe: MakeSafe = Box::new(move |path: &Path| match refuses && path.ends_with("a.wav") {
                true => Err(std::io::Error::from_raw_os_error(nix::libc::EIO)),
                false => Ok(()),
            });
            let chains = Chains::below(dir.path().to_owned());
            let disk = Disk::start(notices, Some(safe), Some(state.clone()), chains).unwrap();
            let path = if refuses { path.clone() } else { dir.path().join("b.wav") };
            let (feed, recording) = recording(&path);
            disk.add(recording);
            while !matches!(news.recv_timeout(NEVER_COMES).unwrap(), Notice::Opened { .. }) {}
            drop(disk);
            drop(feed);
            assert_eq!(listed().contains("a.wav"), refuses, "{}", listed());
        }
    }

    #[test]
    fn a_slow_disk_delays_what_is_closed_and_forgets_none_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let (mut feed, recording) = recording(&path);
        feed.end(None);
        feed.turn(FrameIndex(48), None);
        let (go, gate) = sync_channel::<()>(0);
        let (tell, told) = channel();
        let syncer = Syncer::start(Box::new(move |path: &Path| {
            // An error means that the gate stands open.
            let _ = gate.recv();
            let _ = tell.send((path.to_owned(), true));
            Ok(())
        }))
        .unwrap();
        // Goes before the syncer does, which waits for its thread.
        let go = go;
        let another = || Due { path: PathBuf::from("another"), state: State::Closed };
        (0..100).for_each(|_| syncer.sync(another()));

        let (recordings, inbox) = channel();
        let (notices, _news) = sync_channel(64);
        let mut open = Vec::new();
        recordings.send(recording).unwrap();
        turn(&mut open, &inbox, &notices, Some(&syncer), None);
        assert_eq!(open.len(), 1, "its file is closed, and yet it is not let go");
        assert_eq!(audyn_media::WavReader::open(&path).unwrap().info().frames, FrameCount(48));

        drop(go);
        let deadline = std::time::Instant::now() + NEVER_COMES;
        while !open.is_empty() {
            assert!(std::time::Instant::now() < deadline, "it is never let go");
            turn(&mut open, &inbox, &notices, Some(&syncer), None);
        }
        drop(syncer);
        let told = told.try_iter().filter(|(path, _)| path != Path::new("another"));
        assert_eq!(safe(told), all_of(&path));
    }
}
