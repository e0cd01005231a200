//! What one of two volumes lacks is copied to it from the other, and what a person has deleted from the archive goes from the mirror.
//!
//! Owns: a thread that compares both now and then, while both are there, and copies one file after the other, at leisure. Never: keeps
//! anybody waiting, the engine's end included; copies what was deleted on the volume that lacks it; replaces, joins or shortens a file.
//!
//! # Invariants
//! 1. A copy is what its source's sidecar tells, to the byte: on the way, and read back from the disk before it is sealed there.
//! 2. Its name is that of its source; if something else has that there, as what its volume had of it before it was away, both stay, and the
//!    copy has the next tie-break. Whoever reads a range gets each frame once (`audyn_media::archive`).
//! 3. A deletion holds: nothing comes back to a volume that was deleted there, by whom ever (`lacks`). What a person deletes from the archive
//!    goes from the mirror too, whole or in parts, also when it comes back later; what limits delete is each volume's own affair.
//! 4. What is protected on the source is protected as a copy.
//! 5. A tenth of a volume stays free of copies, so that they take no recording's room; the newest come first.
//!
//! # Procedures
//! *Round*, each ten seconds: 1. both volumes are ours and their chains have grown since the last one, or something is left to do; 2. the
//! archive's tombstones of persons are carried over to the mirror; 3. what each volume lacks is found, and found again half a minute later,
//! since the other's disk may only be slower; 4. each is copied.
//! *Copy*: 1. as in `audyn_media::chain::copy`; 2. it is read back from the disk and compared; 3. sealed; 4. protected.
//! A crash before 3 leaves a closed recording that is not sealed, which the next engine seals (`sweep`).

mod lacks;
mod look;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread::Thread;
use std::time::Duration;

use audyn_api::DiskState;
use audyn_core::archive::tie_break;
use audyn_media::chain::{self, Copied, Hashes, segment_of};
use audyn_media::{Beneath, MediaError};
use audyn_sys::{clock, idle_io};
use audyn_units::{Mono, Nanos, Timestamp};

use crate::again::Again;
use crate::chains::{Chains, Job};
use crate::volume::state_of;
use lacks::{going, lacks};
use look::{Heads, Looker, There};

/// Time between two rounds.
const PERIOD: Duration = Duration::from_secs(10);

/// What is lacked for so long is not only late.
const SETTLED: Nanos = Nanos::from_secs(30);

/// What is lacked is found anew after so long.
const AT_ONCE: Nanos = Nanos::from_secs(60);

/// Bytes a second that are copied, and read back, at most.
const PACE: u64 = 20_000_000;

/// Bytes that are read at once where they are hashed.
const PIECE: usize = 256 * 1_024;

/// Between two looks whether both volumes are still there, while a file is copied.
const LOOK_EACH: u64 = 16 << 20;

/// Names tried for a copy.
const TIES: u32 = 100;

/// Who protects and deletes by this, where nobody else is named.
const WHO: &str = "mirror";

/// What is known of one volume.
#[derive(Debug, Default)]
pub(crate) struct Count {
    /// Files that it lacks and the other has.
    pub(crate) lacks: AtomicU64,
    /// Files that were copied to it since the start.
    pub(crate) copied: AtomicU64,
}

/// The handle of the running thread, which nobody waits for.
#[derive(Debug)]
pub(crate) struct Refill {
    stop: Arc<AtomicBool>,
    counts: Arc<[Count; 2]>,
    thread: Thread,
}

impl Refill {
    /// Starts it.
    pub(crate) fn start(archive: Chains, mirror: Chains) -> io::Result<Self> {
        let (stop, counts) = (Arc::<AtomicBool>::default(), Arc::<[Count; 2]>::default());
        let mut filler = Filler::new([archive, mirror], Arc::clone(&stop), Arc::clone(&counts));
        let thread = std::thread::Builder::new().name("audyn-refill".to_owned()).spawn(move || {
            if let Err(error) = idle_io() {
                tracing::debug!(%error, "copies are not behind everything else at the disk");
            }
            while !filler.is_stopped() {
                filler.round(clock::mono_now());
                std::thread::park_timeout(PERIOD);
            }
        })?;
        Ok(Self { stop, counts, thread: thread.thread().clone() })
    }

    /// What is known of the archive's volume (0) and the mirror (1).
    pub(crate) fn count(&self, volume: usize) -> &Count {
        &self.counts[volume]
    }
}

impl Drop for Refill {
    fn drop(&mut self) {
        self.stop.store(true, Release);
        self.thread.unpark();
    }
}

/// A file that is to be copied: to which volume, of which recorder, which file, and its entry in its chain.
type Key = (usize, PathBuf, String, u64);

struct Filler {
    /// The archive's, and the mirror's.
    volumes: [Chains; 2],
    looker: Looker,
    /// Each recorder's chains when nothing was left to be done for it.
    settled: HashMap<PathBuf, [Heads; 2]>,
    /// When each file was first found to be lacked.
    seen: HashMap<Key, Timestamp<Mono>>,
    /// What failed, and when it is tried again.
    failed: HashMap<Key, Again>,
    /// Copies that are there and could not be sealed yet.
    unsealed: Vec<(usize, Job)>,
    /// What room a volume has.
    room: fn(&Path) -> DiskState,
    /// Volumes of which it was told that they have no room for copies.
    full: [bool; 2],
    stop: Arc<AtomicBool>,
    counts: Arc<[Count; 2]>,
}

impl Filler {
    fn new(volumes: [Chains; 2], stop: Arc<AtomicBool>, counts: Arc<[Count; 2]>) -> Self {
        Self {
            volumes,
            looker: Looker::default(),
            settled: HashMap::new(),
            seen: HashMap::new(),
            failed: HashMap::new(),
            unsealed: Vec::new(),
            room: state_of,
            full: [false; 2],
            stop,
            counts,
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Acquire)
    }

    /// One round, at this time.
    fn round(&mut self, now: Timestamp<Mono>) {
        if self.volumes.iter().any(|chains| chains.ours().open().is_err()) {
            return;
        }
        self.seal_again();
        if let Err(error) = self.compare(now) {
            tracing::debug!(%error, "the two volumes are not compared; it is tried again");
        }
    }

    fn compare(&mut self, now: Timestamp<Mono>) -> io::Result<()> {
        let heads = look::heads(&self.volumes)?;
        let changed: Vec<PathBuf> = heads
            .iter()
            .filter(|(below, heads)| self.settled.get(*below) != Some(heads))
            .map(|(below, _)| below.clone())
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        let mut there = self.looker.look(&self.volumes, &changed)?;
        for below in &changed {
            let [archive, mirror] = there.entry(below.clone()).or_default();
            if self.carry(below, archive, mirror) {
                return Ok(()); // what is there now is seen in the next round
            }
        }
        let mut lacked: Vec<(Key, &There)> = Vec::new();
        for (below, both) in &there {
            for to in 0..2 {
                let (here, other) = (&both[to], &both[1 - to]);
                let pieces = here.files.iter().map(|file| &file.piece).chain(&here.buried);
                let others: Vec<_> = other.files.iter().map(|file| &file.piece).collect();
                let found = lacks(pieces, &others).into_iter().map(|at| &other.files[at]);
                // What was deleted before it was sealed is known by its name alone.
                let found = found.filter(|file| !here.nameless.contains(&file.name));
                lacked.extend(found.map(|file| ((to, below.clone(), file.name.clone(), file.entry), other)));
            }
        }
        for to in 0..2 {
            let count = lacked.iter().filter(|(key, _)| key.0 == to).count() as u64;
            self.counts[to].lacks.store(count, Relaxed);
        }
        let keys: HashSet<&Key> = lacked.iter().map(|(key, _)| key).collect();
        self.seen.retain(|key, _| keys.contains(key));
        self.failed.retain(|key, _| keys.contains(key));
        let mut left = HashSet::new();
        let began = clock::mono_now();
        for (key, other) in &lacked {
            let first = *self.seen.entry(key.clone()).or_insert(now);
            let is_due = now - first >= SETTLED && self.failed.get(key).is_none_or(|again| again.is_due(now));
            // What has come meanwhile is looked at before the next ones: the newest comes first.
            let is_time = clock::mono_now() - began < AT_ONCE;
            if !(is_due && is_time && self.copy_one(key, other, now)) {
                left.insert(key.1.clone());
            }
            if self.is_stopped() {
                return Ok(());
            }
        }
        for (below, heads) in heads {
            // What was copied has moved its chain on, and is looked at once more.
            if changed.contains(&below) && !left.contains(&below) {
                self.settled.insert(below, heads);
            }
        }
        Ok(())
    }

    /// Deletes from the mirror what persons have deleted from the archive; whether something went.
    fn carry(&self, below: &Path, archive: &There, mirror: &There) -> bool {
        let mut gone = false;
        let files: Vec<_> = mirror.files.iter().filter(|file| file.piece.sealed).collect();
        let pieces: Vec<_> = files.iter().map(|file| &file.piece).collect();
        let asked: Vec<_> = archive.asked.iter().map(|asked| &asked.piece).collect();
        for (at, which) in going(&asked, &pieces) {
            let (file, asked) = (files[at], &archive.asked[which]);
            let chains = &self.volumes[1];
            let recorder = chains.archive().join(below);
            let buried =
                chains.with(&recorder, |chain| chain.bury(&file.name, &asked.who, &asked.when, CARRIED));
            let path = recorder.join(&file.name);
            match buried {
                Ok(()) => {
                    gone = true;
                    tracing::info!(path = %path.display(), who = asked.who, "recording deleted, as in the archive");
                }
                Err(error) => {
                    tracing::debug!(path = %path.display(), %error, "it was deleted from the archive, and stays here");
                }
            }
        }
        gone
    }

    /// Copies a file; whether it is done with.
    fn copy_one(&mut self, key: &Key, other: &There, now: Timestamp<Mono>) -> bool {
        let (to, below, file, _) = key;
        let bytes = other.files.iter().find(|there| there.name == *file).map_or(0, |there| there.bytes);
        if !self.has_room(*to, bytes) {
            return true; // until something is recorded or deleted there
        }
        let path = self.volumes[1 - to].archive().join(below).join(file);
        match self.copied(*to, below, file) {
            Ok(name) => {
                self.failed.remove(key);
                self.counts[*to].copied.fetch_add(1, Relaxed);
                self.counts[*to].lacks.fetch_sub(1, Relaxed);
                let copy = self.volumes[*to].archive().join(below).join(name);
                tracing::info!(path = %path.display(), copy = %copy.display(), "copied to the volume that lacked it");
                true
            }
            Err(_) if self.is_stopped() => false,
            Err(error) => {
                let before =
                    self.failed.insert(key.clone(), Again::later(self.failed.get(key).copied(), now));
                if before.is_none() {
                    tracing::warn!(path = %path.display(), %error, "it is not copied to the volume that lacks it; it is tried again");
                }
                false
            }
        }
    }

    /// Whether a copy of so many bytes leaves a tenth of a volume free.
    fn has_room(&mut self, to: usize, bytes: u64) -> bool {
        let root = self.volumes[to].archive();
        let state = (self.room)(root);
        let has = state.free_bytes > bytes.saturating_add(state.total_bytes / 10);
        if !has && !std::mem::replace(&mut self.full[to], true) {
            tracing::warn!(root = %root.display(), "a tenth of it is kept free of copies, so it goes on lacking what the other volume has");
        }
        self.full[to] = !has;
        has
    }

    /// The copy procedure; gives the copy's name.
    fn copied(&mut self, to: usize, below: &Path, file: &str) -> Result<PathBuf, MediaError> {
        let recorders = [0, 1].map(|at: usize| self.volumes[at].archive().join(below));
        let of = |source| MediaError::Chain { path: recorders[1 - to].join(file), source };
        let from = self.volumes[1 - to].directory(&recorders[1 - to]).map_err(of)?;
        let sidecar = chain::sidecar_in(&from, Path::new(file)).map_err(of)?;
        let sidecar = sidecar.ok_or_else(|| of(io::ErrorKind::NotFound.into()))?;
        let target = self.volumes[to].ours().open().and_then(|root| root.make(below)).map_err(of)?;
        let mut pace = Pace::new(&self.volumes, &self.stop);
        let name = self.name(&from, &sidecar, &target, &mut pace)?;
        let job = Job { path: recorders[to].join(&name), recorder: recorders[to].clone() };
        let hashes = Hashes::of(&target, &name, || pace.go_on(PIECE));
        let hashes = hashes.inspect_err(|_| self.unsealed.push((to, job.clone())))?;
        if !hashes.are_told_by(&sidecar) {
            chain::uncopy(&target, &name)?;
            let sentence = "what was written there is not what is read; check the disk and its cable";
            return Err(of(io::Error::new(io::ErrorKind::InvalidData, sentence)));
        }
        let sealed = self.volumes[to].seal(&job, &mut Some(hashes), || true);
        sealed.inspect_err(|_| self.unsealed.push((to, job.clone())))?;
        if chain::protected(&from)?.contains(&segment_of(file)) {
            let when = jiff::Timestamp::now().to_string();
            let name = name.to_string_lossy();
            self.volumes[to].with(&recorders[to], |chain| chain.protect(&name, true, WHO, &when))?;
        }
        Ok(name)
    }

    /// Copies under the first name that is free.
    fn name(
        &self,
        from: &Beneath,
        sidecar: &chain::Sidecar,
        target: &Beneath,
        pace: &mut Pace<'_>,
    ) -> Result<PathBuf, MediaError> {
        let file = Path::new(&sidecar.file);
        let base = file.file_name().unwrap_or_default().to_string_lossy();
        for n in 1..=TIES {
            let name = file.with_file_name(tie_break(&base, n));
            match chain::copy(from, sidecar, target, &name, |bytes| pace.go_on(bytes))? {
                Copied::Whole => return Ok(name),
                Copied::Taken => {}
            }
        }
        let source = io::ErrorKind::AlreadyExists.into();
        Err(MediaError::Chain { path: target.path().join(file), source })
    }

    /// Tries once more to seal what was copied.
    fn seal_again(&mut self) {
        let (volumes, stop) = (&self.volumes, &self.stop);
        self.unsealed.retain(|(to, job)| {
            let sealed = volumes[*to].seal(job, &mut None, || !stop.load(Acquire));
            sealed.is_err() && job.path.exists()
        });
    }
}

/// Why the mirror's copy of what was deleted from the archive goes.
const CARRIED: &str = "asked for in the archive";

/// Holds copying to a pace, and ends it where a volume has gone.
struct Pace<'a> {
    volumes: &'a [Chains; 2],
    stop: &'a AtomicBool,
    began: Timestamp<Mono>,
    bytes: u64,
    looked: u64,
}

impl<'a> Pace<'a> {
    fn new(volumes: &'a [Chains; 2], stop: &'a AtomicBool) -> Self {
        Self { volumes, stop, began: clock::mono_now(), bytes: 0, looked: 0 }
    }

    /// Waits until so many bytes more may be copied; false if no more are to be.
    fn go_on(&mut self, bytes: usize) -> bool {
        self.bytes += bytes as u64;
        let nanos = u128::from(self.bytes) * 1_000_000_000 / u128::from(PACE);
        clock::sleep_until(self.began + Nanos(i64::try_from(nanos).unwrap_or(i64::MAX)));
        if self.bytes - self.looked >= LOOK_EACH {
            self.looked = self.bytes;
            if self.volumes.iter().any(|chains| chains.ours().open().is_err()) {
                return false;
            }
        }
        !self.stop.load(Acquire)
    }
}
