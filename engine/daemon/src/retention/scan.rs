//! What a recorder has on the disk.
//!
//! Owns: which files make a segment, and what is known of each from its sidecar. Never: follows a link or enters another mount below the
//! archive's root; reads a sidecar twice.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Acquire;
use std::sync::{Arc, Mutex};

use audyn_core::retention::{Hold, Segment};
use audyn_media::Beneath;
use audyn_media::beneath::{FileType, OFlags};
use audyn_media::chain::{self, HOUSE, is_sidecar, segment_of, sidecar_of};
use audyn_media::peaks::peaks_of;
use audyn_units::{ClockQuality, Timestamp, Utc};
use serde::Deserialize;

use super::is_disciplined;
use crate::engine::lock;

/// Directories within directories that are looked into; a layout makes fewer.
const DEEPEST: usize = 32;

/// No sidecar is longer.
const MOST_BYTES: u64 = 4 * 1_024 * 1_024;

/// A segment with its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The files, as paths below the recorder's directory, each with its place in the chain and its bytes.
    pub(super) files: Vec<(String, Brief)>,
    /// What decides about it.
    pub(super) segment: Segment,
}

/// What a sidecar says that matters here. A file without one has zeros and its own length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Brief {
    start: Timestamp<Utc>,
    end: Timestamp<Utc>,
    pub(super) entry: u64,
    pub(super) bytes: u64,
    /// The clock that stamped it was disciplined.
    dated: bool,
}

/// The same as it stands there.
#[derive(Deserialize)]
struct Told {
    start: ToldInstant,
    end: ToldInstant,
    bytes: u64,
    ledger: Option<ToldLedger>,
    entry: u64,
    clock: ToldClock,
}

#[derive(Deserialize)]
struct ToldClock {
    quality: Option<ClockQuality>,
}

#[derive(Deserialize)]
struct ToldInstant {
    utc: String,
}

#[derive(Deserialize)]
struct ToldLedger {
    bytes: u64,
}

/// Looks, and remembers what sidecars said. Several may look at once, a turn and a plan: neither waits for the other's disk.
#[derive(Debug)]
pub(super) struct Scanner {
    known: Mutex<HashMap<PathBuf, Brief>>,
    /// The engine ends; a great archive takes long to look into.
    stop: Arc<AtomicBool>,
}

impl Scanner {
    pub(super) fn new(stop: Arc<AtomicBool>) -> Self {
        Self { known: Mutex::default(), stop }
    }

    /// All segments of a recorder, which is the one of this place. What cannot be read is left out: it cannot be judged.
    pub(super) fn scan(&self, directory: &Beneath, recorder: usize) -> io::Result<Vec<Found>> {
        let protected = chain::protected(directory).map_err(io::Error::other)?;
        let device = directory.device()?;
        let root = directory.path().to_owned();
        let mut files = Files::default();
        self.walk(directory, "", device, 0, &mut files)?;
        // What has gone is forgotten, so that a later file of its name is read.
        lock(&self.known)
            .retain(|path, _| path.strip_prefix(&root).map_or(true, |file| files.sidecars.contains(file)));
        let found = files.segments.into_iter().map(|(name, (files, sealed))| {
            let hold = match (sealed, protected.contains(&name)) {
                (_, true) => Some(Hold::Protected),
                (false, false) => Some(Hold::Unsealed),
                (true, false) => None,
            };
            let briefs = || files.iter().map(|(_, brief)| brief);
            let segment = Segment {
                recorder,
                start: briefs().map(|brief| brief.start).min().unwrap_or_default(),
                end: briefs().map(|brief| brief.end).max().unwrap_or_default(),
                entry: briefs().map(|brief| brief.entry).min().unwrap_or_default(),
                bytes: briefs().map(|brief| brief.bytes).sum(),
                dated: briefs().all(|brief| brief.dated),
                hold,
            };
            Found { files, segment }
        });
        Ok(found.collect())
    }

    /// Forgets what the sidecars of a segment said.
    pub(super) fn forget(&self, recorder: &Path, found: &Found) {
        for (file, _) in &found.files {
            lock(&self.known).remove(&recorder.join(sidecar_of(file.as_ref())));
        }
    }

    fn walk(
        &self,
        directory: &Beneath,
        prefix: &str,
        device: u64,
        depth: usize,
        files: &mut Files,
    ) -> io::Result<()> {
        let entries = directory.entries()?;
        let mut recordings = BTreeMap::new();
        for (name, kind) in &entries {
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            match kind {
                FileType::Directory if depth < DEEPEST => {
                    let opened = directory.try_clone()?.open(Path::new(name));
                    // A mount is another's, and one that has gone meanwhile nobody's; what has a chain of its own is judged by nobody
                    // here: it was brought from elsewhere, or is recorded by another program.
                    if let Ok(below) = opened
                        && below.device()? == device
                        && below.kind_of(HOUSE.as_ref())?.is_none()
                    {
                        // What it holds cannot be judged if it cannot be read, and stays.
                        match self.walk(&below, &format!("{prefix}{name}/"), device, depth + 1, files) {
                            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                            _ => {}
                        }
                    }
                }
                FileType::RegularFile if is_sidecar(name) => {
                    let recording = name.strip_suffix(chain::SIDECAR_SUFFIX).unwrap_or(name);
                    recordings.insert(recording, true);
                }
                FileType::RegularFile if is_sidecar(&format!("{name}{}", chain::SIDECAR_SUFFIX)) => {
                    recordings.entry(name).or_insert(false);
                }
                _ => {}
            }
        }
        for (name, sealed) in recordings {
            if self.stop.load(Acquire) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let brief = if sealed { self.brief(directory, name) } else { None };
            let file = format!("{prefix}{name}");
            if brief.is_some() {
                files.sidecars.insert(sidecar_of(file.as_ref()).into());
            }
            let segment = files.segments.entry(segment_of(&file)).or_insert_with(|| (Vec::new(), true));
            segment.1 &= brief.is_some();
            let unsealed = || {
                let length = directory.file(name.as_ref(), OFlags::RDONLY).and_then(|file| file.metadata());
                let bytes = length.map_or(0, |length| length.len());
                Brief { start: Timestamp::ZERO, end: Timestamp::ZERO, entry: 0, bytes, dated: false }
            };
            segment.0.push((file, brief.unwrap_or_else(unsealed)));
        }
        Ok(())
    }

    fn brief(&self, directory: &Beneath, recording: &str) -> Option<Brief> {
        let path = directory.path_of(&sidecar_of(recording.as_ref()));
        if let Some(known) = lock(&self.known).get(&path).copied() {
            return Some(known);
        }
        let brief = read(directory, recording.as_ref()).ok()?;
        lock(&self.known).insert(path, brief);
        Some(brief)
    }
}

#[derive(Default)]
struct Files {
    /// By what the files of a segment share: its files, and whether all of them are sealed.
    segments: BTreeMap<String, (Vec<(String, Brief)>, bool)>,
    sidecars: BTreeSet<PathBuf>,
}

/// What the sidecar of a recording says.
pub(super) fn read(directory: &Beneath, recording: &OsStr) -> io::Result<Brief> {
    let mut text = Vec::new();
    let sidecar = directory.file(&sidecar_of(recording), OFlags::RDONLY)?;
    sidecar.take(MOST_BYTES).read_to_end(&mut text)?;
    let told: Told = serde_json::from_slice(&text)?;
    let instant = |told: &ToldInstant| -> io::Result<Timestamp<Utc>> {
        let instant: jiff::Timestamp = told.utc.parse().map_err(io::Error::other)?;
        i64::try_from(instant.as_nanosecond()).map(Timestamp::from_nanos).map_err(io::Error::other)
    };
    let peaks = directory.file(&peaks_of(recording), OFlags::RDONLY).and_then(|peaks| peaks.metadata());
    let peaks = peaks.map_or(0, |peaks| peaks.len());
    let bytes = peaks + told.bytes + told.ledger.map_or(0, |ledger| ledger.bytes) + text.len() as u64;
    let dated = told.clock.quality.is_some_and(is_disciplined);
    Ok(Brief { start: instant(&told.start)?, end: instant(&told.end)?, entry: told.entry, bytes, dated })
}
