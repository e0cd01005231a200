//! The mirror: a second volume that gets every recording as well.
//!
//! # Goals
//! A disk that fails, fills, goes read-only or is pulled costs no recording, and a person hears of it within two seconds.
//!
//! # Non-goals
//! Two volumes that hold the same at every instant: each has what its disk took. What one lacks is copied from the other afterwards (`refill`).
//! Markers stand on the archive's volume alone; plans of what limits would delete are of that one.
//!
//! # Invariants
//! 1. Neither volume waits for the other: each has a thread for its disk, its list of open files, its sealer, and 10 s of memory for
//!    each recorder. Both are given the same frames by the same worker, which waits for neither.
//! 2. Files of both have the same names below their roots, begin and end with the same frames, and are the same to the byte, as long as
//!    both volumes take what they are given. A name that one of them has already is passed over there alone.
//! 3. Each volume is whole by itself: its own ledgers, sidecars, chains, index, limits and identity. Either of them, put into another
//!    box, is an archive.
//! 4. The archive's volume is recorded to as if there were no mirror: it alone fills what it missed with silence, so that all frames are
//!    accounted for (`feed`). What the mirror missed is in none of its files: the file ends there, and the next begins behind it.
//! 5. Nothing is written to a mirror that is not known by its identity, nor to one on the archive's own volume (`volume`).
//!
//! # What happens
//!
//! | | |
//! |---|---|
//! | the mirror stalls, fills, goes read-only, fails or is pulled | alarmed; the archive's files are what they would have been. After 10 s of memory, or where 16 MiB of a file wait for room, its file ends; it is tried each 250 ms, and goes on in a new file by itself |
//! | the archive's volume does | alarmed; the mirror records on; the recorder counts as recording, since it is |
//! | the mirror hangs, and recordings are ended and begun | two of each recorder wait for it in memory; those that follow are in the archive alone, which is told, and go to the mirror as soon as it has let go of one (`begin`) |
//! | both do | as without a mirror |
//! | the mirror is missing at the start | alarmed; it is recorded to as soon as it is there |
//! | a recording is to begin while the archive's disk hangs | refused after 10 s, as without a mirror |
//! | a recording is ended | whoever waits for that waits for the archive's file; the mirror's is closed beside it |
//! | the engine ends | both are asked to end at once, then waited for; one whose disk does nothing for 3 s is left as after a crash, and the other ends as it should |
//!
//! What its list of open files, its places of the last engine and its identity need stands in `mirror/` in the state directory.
//!
//! # Rejected designs
//! *One encoder, two writers*: a format's file is header, backlog and encoder in one, and what a disk refuses stays in it; the two would have
//! to be taken apart, and the slower disk would hold the other's bytes. Two encoders cost a second thread, which is there.
//! *Two volumes below one file system (RAID)*: is the better choice where a box has it; it does not tell a full disk from a failed one,
//! and neither disk can be read in another box by itself.
//! *Silence where the mirror was away*: hours of silence under names of recordings, beside an archive that has them.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::sync_channel;

use audyn_api::VolumeSnapshot;
use audyn_sys::clock;
use audyn_units::FrameIndex;

use super::begin::ALONE;
use super::{Engine, RecorderEntry, lock};
use crate::chains::Chains;
use crate::closing::OpenFiles;
use crate::disk::Disk;
use crate::error::EngineError;
use crate::feed::{Feed, FeedEnd};
use crate::naming::Naming;
use crate::recording::{Recording, RecordingPlan};
use crate::refill::{Count, Refill};
use crate::resume::{Resume, Timeline};
use crate::shared::{RecordingStatus, SharedRecording};
use crate::syncer::{MakeSafe, make_safe};
use crate::volume::{Ours, Volume};

/// Its directory in the state directory.
const STATE: &str = "mirror";

/// Sentences of one volume that are told at most.
const MOST_ALARMS: usize = 8;

/// The second volume, and who writes there.
pub(crate) struct Mirror {
    // In the order in which they must end.
    /// None where no thread could be had.
    pub(crate) refill: Option<Refill>,
    disk: Disk,
    /// Notes where its files end.
    resume: Resume,
    pub(crate) volume: Volume,
    pub(crate) chains: Chains,
    /// Its own: what one volume refuses says nothing of the other.
    pub(crate) open_files: OpenFiles,
}

/// Where the mirror's threads keep what outlives the engine.
pub(crate) fn state_of(state: &Path) -> PathBuf {
    state.join(STATE)
}

impl Mirror {
    /// Starts to write the mirror of `first` at `root`.
    pub(super) fn start(
        root: PathBuf,
        state: &Path,
        archive: Chains,
        sync: bool,
        beside: &Disk,
    ) -> Result<Self, EngineError> {
        let state = state_of(state);
        // Without it nothing is remembered over restarts; the recordings go on.
        if let Err(error) = std::fs::create_dir_all(&state) {
            tracing::warn!(path = %state.display(), %error, "what the mirror needs over restarts cannot be noted");
        }
        let chains = Chains::on(Ours::mirror(root, state.clone(), archive.ours().clone()));
        // Nobody is told what the archive's disk writer tells as well.
        let (notices, _) = sync_channel(0);
        let safe = sync.then(|| safe(chains.ours().clone()));
        let disk = Disk::start_beside(beside, notices, safe, Some(state.clone()), chains.clone())?;
        let resume = Resume::take(Some(state));
        let volume = Volume::watch(chains.clone())?;
        let refill = Refill::start(archive, chains.clone())
            .inspect_err(|error| tracing::warn!(%error, "no thread copies to one volume what the other has"))
            .ok();
        Ok(Self { refill, disk, resume, volume, chains, open_files: OpenFiles::default() })
    }

    pub(super) fn root(&self) -> &Path {
        self.chains.archive()
    }

    /// Where a recording of this timeline goes on that ended with the engine before.
    pub(super) fn end_of(&self, timeline: &Timeline) -> Option<FrameIndex> {
        self.resume.end_of(timeline)
    }

    /// From here on nothing goes on where it ended.
    pub(super) fn forget(&mut self) {
        self.resume.forget();
    }

    /// The same place on the mirror; a file by itself has none.
    pub(crate) fn naming(&self, first: &Naming) -> Option<Naming> {
        first.root().map(|_| first.at(self.root()))
    }

    /// Takes a recording over.
    pub(super) fn record(
        &self,
        plan: RecordingPlan,
        end: FeedEnd,
        shared: SharedRecording,
        timeline: Timeline,
    ) {
        let recording = Recording::new(plan, end, shared).on(self.chains.ours().clone());
        self.disk.add(recording.noted_by(self.resume.leaving(timeline)));
    }

    /// What is to be said of its disk, if that does not answer.
    pub(crate) fn stalled(&self) -> Option<String> {
        self.disk.complaint(clock::mono_now()).map(|(sentence, _)| sentence)
    }

    /// What is to be said of a recording on the mirror, and whether nothing of it reaches the mirror now.
    pub(crate) fn complaints(&self, entry: &RecorderEntry, status: &RecordingStatus) -> (Vec<String>, bool) {
        let stall = self.disk.complaint(clock::mono_now());
        let alone = entry.unmirrored.then(|| ALONE.to_owned());
        let broken =
            alone.is_some() || status.error.is_some() || stall.as_ref().is_some_and(|(_, lost)| *lost);
        let said = status.error.iter().chain(&status.warning).map(|sentence| named(sentence));
        (said.chain(stall.map(|(sentence, _)| sentence)).chain(alone).collect(), broken)
    }
}

/// What is said of a file on the mirror, so that it is not taken for the archive's.
fn named(sentence: &str) -> String {
    if sentence.contains("the mirror") { sentence.to_owned() } else { format!("the mirror: {sentence}") }
}

/// Makes what is written on a volume safe, unless the root lies on another one by now.
pub(super) fn safe(ours: Ours) -> MakeSafe {
    Box::new(move |path: &Path| ours.check(path).and_then(|()| make_safe(path)))
}

impl Engine {
    /// The volumes that are recorded to, the archive's first.
    pub(crate) fn all_chains(&self) -> Vec<Chains> {
        std::iter::once(&self.chains).chain(self.mirror().map(|mirror| &mirror.chains)).cloned().collect()
    }

    /// What is known of each volume.
    pub(crate) fn volumes(&self) -> Vec<VolumeSnapshot> {
        let counted = |which: usize, of: fn(&Count) -> &AtomicU64| {
            let refill = self.mirror().and_then(|mirror| mirror.refill.as_ref());
            refill.map_or(0, |refill| of(refill.count(which)).load(Relaxed))
        };
        let of = |which, volume: &Volume, root: &Path, stall: Option<String>, errors: Vec<String>| {
            let mut alarms: Vec<String> = volume.alarm().into_iter().chain(stall).collect();
            // Where the volume is the wrong one, each recorder says so too.
            for error in errors {
                if alarms.len() < MOST_ALARMS && !alarms.contains(&error) {
                    alarms.push(error);
                }
            }
            let mirror = self.mirror().filter(|_| which == 1);
            let open = mirror.map_or(&self.open_files, |mirror| &mirror.open_files);
            VolumeSnapshot {
                root: root.to_string_lossy().into_owned(),
                standing: volume.standing(),
                disk: volume.state(),
                writing: open.below(root),
                lacks: counted(which, |count| &count.lacks),
                copied: counted(which, |count| &count.copied),
                alarms,
                // How long its room lasts tells who knows the limits.
                ..VolumeSnapshot::default()
            }
        };
        let wanted = || self.recorders.iter().filter(|entry| entry.wanted);
        let errors = wanted().filter_map(|entry| lock(&entry.recording).error.clone()).collect();
        let stall = self.disk_complaint().map(|(sentence, _)| sentence);
        let mut volumes = vec![of(0, &self.volume, &self.options.archive_root, stall, errors)];
        if let Some(mirror) = self.mirror() {
            let errors =
                wanted().filter_map(|entry| lock(&entry.mirrored).error.as_deref().map(named)).collect();
            let stall = mirror.stalled();
            volumes.push(of(1, &mirror.volume, mirror.root(), stall, errors));
        }
        volumes
    }
}

/// A recorder's second feed, and what the mirror's disk writer is to know of it.
pub(super) fn floored(mut feed: Feed, floor: Option<FrameIndex>) -> Feed {
    if let Some(floor) = floor {
        feed.begin_at(floor);
    }
    feed.mirroring()
}
