//! Recordings that go by themselves, as their recorders' limits say.
//!
//! Owns: a thread that looks once a minute, and when limits change, and deletes what core's plan says; what it last saw, for whoever
//! tells of the room; which limits are in force ([`limits`]). Never: deletes anything where nobody set a limit; keeps capture, the disk writer or control waiting; deletes what is
//! protected, being recorded or read, not sealed, or not below the archive's root on the same mount.
//!
//! # Procedure
//!
//! *Turn*: 1. look at the clock, and note what is believed of it in `retention.json`, now and then and when it is believed first
//! in a boot, and which limits are in force or wait in `retention-limits.json`, as they change, that first; 2. list what each recorder with a limit has,
//! from the sidecars; 3. plan; 4. for each segment that goes: lock its files, look whether it is still the one that was judged, bury each file
//! (the chain's procedure), and behind each that goes for the floor look whether the volume has become roomier, or recorders have written
//! instead; where neither is so, a snapshot, a hard link or a reader holds the blocks: after a stated amount, also on a full disk, nothing more
//! goes for the floor for an hour, and an alarm says so (core's `yields`); 5. remove directories that are empty then.
//! A crash between any of these leaves a chain that verifies: a file is buried whole or not, and what is left of a segment of several
//! formats goes with the next turn.

mod answer;
mod limits;
mod remove;
pub(crate) mod room;
mod scan;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use audyn_api::{DiskState, PendingLimits, RetentionPlan, VolumeConfig};
use audyn_core::retention::{
    ClockNote, ClockTrust, Fruitless, Going, Limits, Plan, Reason, Room, Sight, Tightness as _, Writers,
    Yields, plan,
};
use audyn_media::Beneath;
use audyn_sys::{SysError, clock};
use audyn_units::{ByteSize, ClockQuality, Counted, Mono, Nanos, Timestamp, Utc};

use crate::chains::Chains;
use crate::closing::OpenFiles;
use crate::engine::lock;
use crate::parting::Parting;
use crate::shared::ClockShared;
use crate::{durable, volume};
use limits::Delays;
use scan::{Found, Scanner};

/// Time between two turns.
const PERIOD: Duration = Duration::from_secs(60);

/// Between two looks at a volume that is to settle its accounts; all looks together are about ten seconds.
const SETTLES: Duration = Duration::from_millis(100);

/// How long the end of one of two waits for its disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// So often a turn plans anew when something could not be deleted.
const ROUNDS: u32 = 4;

/// What is believed of the clock is noted so often.
const NOTE_AFTER: Nanos = Nanos::from_secs(600);

/// The note's name in the state directory.
const NOTE: &str = "retention.json";

/// What the recorders keep, and the room that the volume shall have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Each recorder that has a limit: its identifier, which is its directory below the root.
    pub(crate) recorders: Vec<(String, Limits)>,
    /// The floor.
    pub(crate) volume: VolumeConfig,
    /// What keeps too, while one kind of limit is exchanged for another.
    pub(crate) also: Also,
}

/// Limits beside those that are in force: nothing goes that these would keep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Also {
    recorders: Vec<(String, Limits)>,
    floor: Option<VolumeConfig>,
}

impl Rules {
    /// What a recorder keeps, by its place.
    fn kept(&self, place: usize) -> audyn_core::retention::Kept {
        let (recorder, limits) = &self.recorders[place];
        let also = self.also.recorders.iter().find(|(other, _)| other == recorder).map(|(_, also)| *also);
        audyn_core::retention::Kept { limits: *limits, also }
    }

    /// The bytes that a volume of `total` shall have free.
    fn floor(&self, total: u64) -> u64 {
        let floor = self.volume.floor(total);
        self.also.floor.map_or(floor, |also| floor.min(also.floor(total)))
    }
}

/// What the last turn saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Each recorder that has a limit.
    pub(crate) recorders: Vec<Kept>,
    /// Bytes that the volume lacks to its floor though all that may go has gone.
    pub(crate) lacking: u64,
    /// Files and bytes that were deleted since the start.
    pub(crate) deleted: u64,
    pub(crate) deleted_bytes: u64,
    /// The clock is believed.
    pub(crate) believed: bool,
    /// Why nothing goes by its age though something is old by what the clock shows.
    pub(crate) doubt: Option<String>,
    /// What could not be looked at or deleted.
    pub(crate) failed: Option<String>,
    /// Why nothing is deleted for the floor though it may be.
    pub(crate) fruitless: Option<String>,
}

/// What a recorder keeps now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) recorder: String,
    pub(crate) limits: Limits,
    /// Bytes of everything.
    pub(crate) bytes: u64,
    /// Bytes of what nothing but its limits holds.
    pub(crate) free_to_go: u64,
    /// When the oldest one of those ended.
    pub(crate) oldest: Option<Timestamp<Utc>>,
}

/// Where the archive is and who else works on it.
#[derive(Debug, Clone)]
pub(crate) struct Archive {
    pub(crate) root: PathBuf,
    pub(crate) chains: Chains,
    /// This volume's alone: what another one refuses is no reason to delete here.
    pub(crate) open: OpenFiles,
}

/// How the volume is asked.
#[derive(Debug, Clone, Copy)]
struct Asking {
    /// What room it has.
    state: fn(&Path) -> DiskState,
    /// To settle its accounts: some count a block as free only once they have written that it is, and some later. It is told how often it
    /// was asked, from 1 on, and what says that nobody waits any more.
    settle: fn(&Path, u32, &AtomicBool),
}

impl Asking {
    const KERNEL: Self = Self { state: volume::state_of, settle };
}

/// What cannot be settled is judged as it is. XFS and servers free blocks behind the deletion, in their own time: so it is waited for a
/// while, in short steps.
fn settle(root: &Path, asked: u32, stop: &AtomicBool) {
    if asked > 1 {
        if !stop.load(Acquire) {
            std::thread::sleep(SETTLES);
        }
    } else if let Ok(root) = std::fs::File::open(root) {
        let _ = nix::unistd::syncfs(&root);
    }
}

#[derive(Debug)]
struct Shared {
    archive: Archive,
    /// Where what outlives the engine is noted.
    state: PathBuf,
    limits: Mutex<Delays>,
    /// How often they were changed: a turn that began before ends.
    changes: AtomicU64,
    told: Mutex<Told>,
    scanner: Scanner,
    trying: remove::Trying,
    /// Segments that could not be deleted, each by its first file: they have their tombstones already.
    undeletable: Mutex<HashSet<PathBuf>>,
    trust: Mutex<ClockTrust>,
    /// When that was noted, and whether the clock was believed since the boot.
    noted: Mutex<Option<(Timestamp<Mono>, Option<bool>)>>,
    yields: Mutex<Yields>,
    volume: Asking,
    /// Bytes a second that recorders write.
    writing: AtomicU64,
    clock: Arc<ClockShared>,
    stop: Arc<AtomicBool>,
}

/// The handle of the running thread. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Retention {
    shared: Arc<Shared>,
    /// Wakes it; dropped to end it.
    wake: Option<Sender<()>>,
    thread: Option<Parting>,
    /// Its end is waited for no longer than this.
    patience: Option<Duration>,
}

impl Retention {
    /// Starts the thread. `state` is where it notes what it believes of the clock, and which limits are in force.
    pub(crate) fn start(
        archive: Archive,
        state: PathBuf,
        clock: Arc<ClockShared>,
        rules: &Rules,
    ) -> Result<Self, SysError> {
        let note = std::fs::read(state.join(NOTE)).ok();
        // A note that cannot be read is none: then the clock has to earn belief anew.
        let note: ClockNote = note.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let stop = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(Shared {
            archive,
            limits: Mutex::new(Delays::open(&state, rules, clock::mono_now())),
            state,
            changes: AtomicU64::new(0),
            told: Mutex::default(),
            scanner: Scanner::new(Arc::clone(&stop)),
            trying: Mutex::default(),
            undeletable: Mutex::default(),
            trust: Mutex::new(ClockTrust::from_note(note, boot())),
            noted: Mutex::default(),
            yields: Mutex::default(),
            volume: Asking::KERNEL,
            writing: AtomicU64::new(0),
            clock,
            stop,
        });
        let (wake, woken) = channel();
        let of_thread = Arc::clone(&shared);
        let thread = Parting::start("audyn-retention", move || of_thread.run(&woken))
            .map_err(|source| SysError::Thread { source })?;
        Ok(Self { shared, wake: Some(wake), thread: Some(thread), patience: None })
    }

    /// There is one for another volume: from now on the end of neither waits for a disk that hangs.
    pub(crate) fn is_one_of_two(&mut self) {
        self.patience = Some(PATIENCE);
    }

    /// Sets what is kept from now on: at once where that is more than before, else an hour later.
    pub(crate) fn configure(&self, rules: &Rules) {
        if self.shared.want(rules, clock::mono_now())
            && let Some(wake) = &self.wake
        {
            let _ = wake.send(()); // a thread that has died has said why
        }
    }

    /// Limits that were made tighter and do not act yet.
    pub(crate) fn pending(&self) -> Vec<PendingLimits> {
        lock(&self.shared.limits).pending(clock::mono_now())
    }

    /// Seconds until the first recorder makes room that is to and does not yet.
    pub(crate) fn makes_room_in(&self) -> Option<u64> {
        lock(&self.shared.limits).makes_room_in(clock::mono_now())
    }

    /// Says how many bytes a second are being written: that much less is free without anybody's fault.
    pub(crate) fn writes(&self, bytes_per_second: u64) {
        self.shared.writing.store(bytes_per_second, Relaxed);
    }

    /// What it was told last by [`Retention::writes`].
    #[cfg(test)]
    pub(crate) fn written(&self) -> u64 {
        self.shared.writing.load(Relaxed)
    }

    /// Whom it asks which files are being written.
    #[cfg(test)]
    pub(crate) fn open_files(&self) -> &OpenFiles {
        &self.shared.archive.open
    }

    /// What the last turn saw.
    pub(crate) fn told(&self) -> Told {
        lock(&self.shared.told).clone()
    }

    /// What makes the plan, to be called where a disk may be waited for: by the limits that are wanted, or those that are `proposed`.
    pub(crate) fn planner(&self, proposed: Option<Rules>) -> impl FnOnce() -> RetentionPlan + Send + use<> {
        let shared = Arc::clone(&self.shared);
        move || shared.dry_run(proposed)
    }
}

impl Drop for Retention {
    fn drop(&mut self) {
        self.shared.stop.store(true, Release);
        self.wake = None;
        // It ends before the next file, or the next deletion.
        let Some(thread) = self.thread.take() else { return };
        let Some(patience) = self.patience else { return thread.join() };
        let until = Instant::now() + patience;
        if !thread.join_within(|| until.saturating_duration_since(Instant::now())) {
            let root = self.shared.archive.root.display();
            tracing::warn!(
                "what deletes by limits at {root} waits for its disk, and is left; a deletion may be half done, and the next engine ends it"
            );
        }
    }
}

/// What was seen, and what comes of it.
struct Judged {
    found: Vec<Found>,
    plan: Plan,
    failed: Option<String>,
}

impl Shared {
    /// Sets what is wanted; whether that is something else than before.
    fn want(&self, rules: &Rules, at: Timestamp<Mono>) -> bool {
        let is_other = lock(&self.limits).want(rules, at);
        self.changes.fetch_add(u64::from(is_other), Release);
        is_other
    }

    fn run(&self, woken: &Receiver<()>) {
        loop {
            self.turn(clock::mono_now(), clock::utc_now(), self.clock.quality());
            match woken.recv_timeout(PERIOD) {
                Ok(()) | Err(RecvTimeoutError::Timeout) if !self.stop.load(Acquire) => {}
                _ => return,
            }
        }
    }

    /// Notes what is believed of the clock, now and then; and at once that it is believed since the boot, so that what was granted then is
    /// not granted again.
    fn note_clock(&self, at: Timestamp<Mono>) {
        let note = lock(&self.trust).note();
        let confirmed = note.boot.as_ref().map(|boot| boot.confirmed);
        let mut noted = lock(&self.noted);
        if noted.is_none_or(|(noted, before)| at - noted >= NOTE_AFTER || before != confirmed) {
            *noted = Some((at, confirmed));
            let note = serde_json::to_vec(&note).expect("a note is numbers and a name");
            if let Err(error) = durable::replace(&self.state, NOTE, &note) {
                tracing::warn!(%error, "what is believed of the clock is not noted; the next engine waits a day with deletions by age");
            }
        }
    }

    /// One turn at this time.
    fn turn(&self, at: Timestamp<Mono>, shows: Timestamp<Utc>, quality: ClockQuality) {
        let disciplined = is_disciplined(quality);
        let (now, still) = {
            let mut trust = lock(&self.trust);
            (trust.look(at, shows, disciplined), trust.still())
        };
        let changes = self.changes.load(Acquire);
        let rules = lock(&self.limits).in_force(at);
        // Before anything goes: a limit is noted once it acts, and not while one that acted is noted still. And before the clock is: where
        // that alone is noted, an engine of before there were limits' notes has run.
        if let Err(error) = limits::note(&self.limits, &self.state, at) {
            tracing::warn!(%error, "the limits in force are not noted; after a restart they act an hour later again");
        }
        // Before anything goes by it: deleting may take long, and be cut short.
        self.note_clock(at);
        let mut told = Told { believed: now.is_some(), ..Told::default() };
        {
            let before = lock(&self.told);
            (told.deleted, told.deleted_bytes) = (before.deleted, before.deleted_bytes);
        }
        if rules.recorders.is_empty() {
            *lock(&self.told) = told;
            return;
        }
        let began = clock::mono_now();
        let sight = || {
            // Before the volume: what they are refused now may have been written by then.
            let (files, refused) = self.archive.open.writing();
            let bytes_per_second = self.writing.load(Relaxed);
            let free = (self.volume.state)(&self.archive.root).free_bytes;
            // Behind it: what is written is not free any more.
            let written = self.archive.open.written();
            let writers = Writers { bytes_per_second, files, refused, written };
            Sight { at: at + (clock::mono_now() - began), free, writers }
        };
        let mut for_floor = lock(&self.yields).may_delete(sight());
        // What could not be deleted makes no room: then others go for it.
        let mut skip = HashSet::new();
        for _ in 0..ROUNDS {
            let Judged { mut found, plan, failed } = self.judge(&rules, now, for_floor, &skip);
            told.failed = told.failed.take().or(failed);
            told.lacking = plan.lacking;
            if now.is_none() {
                told.doubt = self.doubt(&rules, &found, shows, still);
            }
            let mut gone = vec![false; found.len()];
            let skipped = skip.len();
            for_floor &= self.delete_all(
                &rules,
                &found,
                &plan,
                changes,
                &sight,
                (&mut gone[..], &mut skip, &mut told),
            );
            let mut gone = gone.into_iter();
            found.retain(|_| gone.next() != Some(true));
            told.recorders = kept(&rules, &found);
            if skip.len() == skipped {
                break;
            }
        }
        if rules.recorders.iter().any(|(_, limits)| limits.make_room) {
            told.fruitless = lock(&self.yields).fruitless().as_ref().map(fruitless);
        }
        *lock(&self.told) = told;
    }

    /// Deletes what is planned. Whether more may go for the floor.
    fn delete_all(
        &self,
        rules: &Rules,
        found: &[Found],
        plan: &Plan,
        changes: u64,
        sight: &impl Fn() -> Sight,
        (gone, skip, told): (&mut [bool], &mut HashSet<PathBuf>, &mut Told),
    ) -> bool {
        // For the floor last: then nothing else is counted into what that frees.
        let is_for_floor = |going: &&Going| matches!(going.reason, Reason::Floor(_));
        let (floor, limits): (Vec<&Going>, Vec<&Going>) = plan.going.iter().partition(is_for_floor);
        for going in limits {
            gone[going.segment] = self.delete(rules, found, *going, changes, skip, told).is_some();
        }
        for going in floor {
            lock(&self.yields).before(sight());
            let Some(on_volume) = self.delete(rules, found, *going, changes, skip, told) else { continue };
            gone[going.segment] = true;
            let look = |asked: u32| {
                if asked > 0 {
                    (self.volume.settle)(&self.archive.root, asked, &self.stop);
                }
                sight()
            };
            if !lock(&self.yields).after(on_volume, look) {
                return false;
            }
        }
        true
    }

    /// Deletes what is to go, and gives the bytes that it had on the volume; none if it stays.
    fn delete(
        &self,
        rules: &Rules,
        found: &[Found],
        going: Going,
        changes: u64,
        skip: &mut HashSet<PathBuf>,
        told: &mut Told,
    ) -> Option<u64> {
        // What was loosened meanwhile is loosened at once: the next turn goes by it.
        if self.stop.load(Acquire) || self.changes.load(Acquire) != changes {
            return None;
        }
        let segment = &found[going.segment];
        let (recorder, _) = &rules.recorders[segment.segment.recorder];
        let why = why(recorder, going.reason);
        let directory = self.archive.root.join(recorder);
        let is_open = |path: &Path| self.archive.open.contains(path);
        let key = key(&directory, segment);
        let again = lock(&self.undeletable).contains(&key);
        match remove::segment(&self.archive.chains, &directory, segment, &why, again, &self.trying, &is_open)
        {
            Ok(Some(gone)) => {
                lock(&self.undeletable).remove(&key);
                told.deleted += segment.files.len() as u64;
                told.deleted_bytes += gone.bytes;
                return Some(gone.on_volume);
            }
            // Somebody has it just now, or its name is another's since.
            Ok(None) => self.scanner.forget(&directory, segment),
            Err(error) => {
                lock(&self.undeletable).insert(key.clone());
                skip.insert(key);
                let _ = told
                    .failed
                    .get_or_insert_with(|| format!("a recording that is to go cannot be deleted: {error}"));
            }
        }
        None
    }

    /// Looks at the archive, and plans; `for_floor` says whether anything may go for the floor, and what is to be skipped stays.
    fn judge(
        &self,
        rules: &Rules,
        now: Option<Timestamp<Utc>>,
        for_floor: bool,
        skip: &HashSet<PathBuf>,
    ) -> Judged {
        let (mut found, mut failed, mut directories) = (Vec::new(), None, Vec::new());
        for (place, (recorder, _)) in rules.recorders.iter().enumerate() {
            let path = self.archive.root.join(recorder);
            let opened = self.archive.chains.directory(&path);
            let listed = opened.and_then(|directory| {
                let listed = self.scanner.scan(&directory, place)?;
                Ok((listed, directory))
            });
            match listed {
                Ok((listed, directory)) => {
                    found.extend(listed);
                    directories.push(Some(directory));
                }
                Err(error) => {
                    directories.push(None);
                    // A recorder that has not recorded yet has no directory.
                    if error.kind() != std::io::ErrorKind::NotFound {
                        failed = Some(format!(
                            "{} cannot be looked into: {error}; nothing of it is deleted",
                            path.display()
                        ));
                    }
                }
            }
        }
        let segments: Vec<_> = found.iter().map(|found: &Found| found.segment.clone()).collect();
        let mut limits: Vec<_> = (0..rules.recorders.len()).map(|place| rules.kept(place)).collect();
        limits.iter_mut().filter(|_| !for_floor).for_each(makes_no_room);
        // What lies on another volume makes no room on this one.
        let home = Beneath::root(&self.archive.root).and_then(|root| root.device()).ok();
        for (place, directory) in directories.iter().enumerate() {
            let device = directory.as_ref().and_then(|directory| directory.device().ok());
            let wants_room =
                limits[place].limits.make_room || limits[place].also.is_some_and(|also| also.make_room);
            if wants_room && directory.is_some() && device != home {
                makes_no_room(&mut limits[place]);
                failed.get_or_insert_with(|| {
                    format!(
                        "recorder {} is to make room, and its recordings lie on another volume than {}; nothing of it goes for the \
                         floor: limit it by bytes or days",
                        rules.recorders[place].0,
                        self.archive.root.display()
                    )
                });
            }
        }
        let is_open = |path: &Path| self.archive.open.contains(path);
        let plan = plan(&segments, &limits, self.room(rules), now, |at| {
            let found: &Found = &found[at];
            let directory = directories[found.segment.recorder].as_ref();
            directory.is_none_or(|directory| {
                skip.contains(&key(directory.path(), found))
                    || remove::is_busy(directory, found, &self.trying, &is_open)
            })
        });
        Judged { found, plan, failed }
    }

    fn room(&self, rules: &Rules) -> Room {
        let state = (self.volume.state)(&self.archive.root);
        // A volume that tells nothing of itself has no floor: nothing goes for it.
        if state.total_bytes == 0 {
            return Room::default();
        }
        Room { free: state.free_bytes, floor: rules.floor(state.total_bytes) }
    }

    /// Why nothing goes by its age, if something were to by what the clock shows.
    fn doubt(
        &self,
        rules: &Rules,
        found: &[Found],
        shows: Timestamp<Utc>,
        still: Option<Nanos>,
    ) -> Option<String> {
        let segments: Vec<_> = found.iter().map(|found| found.segment.clone()).collect();
        let days = |limits: &Limits| Limits { days: limits.days, ..Limits::default() };
        let limits: Vec<Limits> = rules.recorders.iter().map(|(_, limits)| days(limits)).collect();
        let old = plan(&segments, &limits, Room::default(), Some(shows), |_| false).going.len();
        if old == 0 {
            return None;
        }
        let old = Counted(old as u64, "recording");
        let shown = jiff::Timestamp::from_nanosecond(i128::from(shows.as_nanos())).unwrap_or_default();
        Some(match still {
            Some(still) => format!(
                "the clock shows {shown:.0}, which does not go on from the time before; {old} would be too old by it, and \
                 none goes by its age for another {} h; set the clock if it is wrong, protect what is to stay if it is right",
                still.0 / 3_600_000_000_000 + 1
            ),
            None => format!(
                "{old} would be too old by what the clock shows ({shown:.0}), and none goes by its age, since neither PTP nor NTP \
                 disciplines the clock; connect it to one, or limit the recorders by bytes"
            ),
        })
    }

    fn told(&self) -> Told {
        lock(&self.told).clone()
    }
}

/// What a segment is known by from one look to the next.
fn key(recorder: &Path, found: &Found) -> PathBuf {
    recorder.join(found.files.first().map_or("", |(file, _)| file))
}

/// The boot of the machine, as the kernel names it.
fn boot() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

/// Whether somebody sets the clock.
fn is_disciplined(quality: ClockQuality) -> bool {
    matches!(quality, ClockQuality::PtpLocked | ClockQuality::Ntp)
}

/// Nothing of this recorder goes for the floor.
fn makes_no_room(kept: &mut audyn_core::retention::Kept) {
    kept.limits.make_room = false;
    if let Some(also) = &mut kept.also {
        also.make_room = false;
    }
}

/// What each recorder has.
fn kept(rules: &Rules, found: &[Found]) -> Vec<Kept> {
    let of = |(place, (recorder, limits)): (usize, &(String, Limits))| {
        let all = || found.iter().map(|found| &found.segment).filter(|segment| segment.recorder == place);
        let loose = || all().filter(|segment| segment.hold.is_none());
        Kept {
            recorder: recorder.clone(),
            // What both would delete is no less.
            limits: rules.kept(place).also.map_or(*limits, |also| also.loosest(*limits)),
            bytes: all().map(|segment| segment.bytes).sum(),
            free_to_go: loose().map(|segment| segment.bytes).sum(),
            oldest: loose().map(|segment| segment.end).min(),
        }
    };
    rules.recorders.iter().enumerate().map(of).collect()
}

/// Why nothing is deleted for the floor, in words.
fn fruitless(seen: &Fruitless) -> String {
    format!(
        "what was deleted for the volume's floor has made no room: the last recordings had {} on the volume, and {} became free; so nothing \
         is deleted for the floor until the volume has more room again, or for an hour; look for what keeps the blocks (a snapshot, a hard \
         link, a program that still reads what was deleted) or fills them (another that writes there) and end that, or make room elsewhere",
        ByteSize(seen.deleted),
        ByteSize(seen.freed)
    )
}

/// The reason in words.
fn why(recorder: &str, reason: Reason) -> String {
    match reason {
        Reason::Days(1) => "it is older than a day".to_owned(),
        Reason::Days(days) => format!("it is older than {days} days"),
        Reason::Bytes(bytes) => format!("recorder {recorder} keeps {bytes} bytes"),
        Reason::Floor(bytes) => format!("the volume shall have {bytes} bytes free"),
    }
}
