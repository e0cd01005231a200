//! Where a recording's files go, and the making of a new one.
//!
//! Owns: that a file which exists is never opened: a taken name gets the next tie-break.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use audyn_core::archive::{ArchivePolicy, tie_break};
use audyn_media::{MediaError, WavSpec, WavWriter};
use audyn_units::Nanos;
use jiff::tz::TimeZone;

use crate::error::EngineError;
use crate::feed::Opening;
use crate::ledger;

/// Names tried for one segment before it counts as impossible.
const TIES: u32 = 10_000;

/// Where a recording's files go.
#[derive(Debug, Clone)]
pub enum Naming {
    /// One file of this name, whatever its length.
    File(PathBuf),
    /// Files below a directory, named and cut by a policy.
    Archive {
        /// The recorder's own directory.
        root: PathBuf,
        /// Names and cuts.
        policy: ArchivePolicy,
        /// The zone of [`audyn_core::archive::ArchiveClock::LocalTime`].
        zone: TimeZone,
    },
}

impl Naming {
    /// Whether files would go to the same places under the same names.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(a), Self::File(b)) => a == b,
            (Self::Archive { root: a, policy: p, .. }, Self::Archive { root: b, policy: q, .. }) => {
                a == b && p == q
            }
            _ => false,
        }
    }

    /// Tries whether a name could be told, with TAI − UTC if it is known, and a file be made, and leaves none. An archive's directory is
    /// made.
    ///
    /// # Errors
    /// [`EngineError::Archive`] if the archive clock is not known, [`EngineError::Conflict`] if the one file exists, [`EngineError::Unwritable`] if its directory takes none.
    pub fn check_writable(&self, tai_offset: Option<Nanos>) -> Result<(), EngineError> {
        let directory = match self {
            Self::File(path) if path.exists() || ledger::path_of(path).exists() => {
                let detail = format!(
                    "{} or its gap ledger exists already and is left as it is; record under another name",
                    path.display()
                );
                return Err(EngineError::Conflict(detail));
            }
            Self::File(path) => match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            },
            Self::Archive { root, policy, zone } => {
                policy.name(audyn_sys::clock::utc_now(), zone, tai_offset, "wav")?;
                root
            }
        };
        let unwritable = |source| EngineError::Unwritable { path: directory.to_owned(), source };
        if matches!(self, Self::Archive { .. }) {
            std::fs::create_dir_all(directory).map_err(unwritable)?;
        }
        let probe = directory.join(format!(".audyn-probe-{}", std::process::id()));
        // One that a killed process of the same number left is as good.
        OpenOptions::new().write(true).create(true).truncate(false).open(&probe).map_err(unwritable)?;
        std::fs::remove_file(&probe).map_err(unwritable)
    }

    /// Makes the file of a segment; the error is a sentence. `first` says whether the recording has made none yet: one file
    /// is a name of its own, and what must follow it (a flow that is placed anew) is numbered.
    pub(crate) fn create(&self, opening: &Opening, first: bool, spec: WavSpec) -> Result<WavWriter, String> {
        let (root, name) = match self {
            Self::File(path) if first => {
                return WavWriter::create(path, spec).map_err(|error| error.to_string());
            }
            Self::File(path) => (Path::new(""), path.to_string_lossy().into_owned()),
            Self::Archive { root, policy, zone } => {
                let name = policy.name(opening.utc, zone, opening.tai_offset, "wav");
                (root.as_path(), name.map_err(|error| error.to_string())?)
            }
        };
        for n in 1..=TIES {
            let path = root.join(tie_break(&name, n));
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                std::fs::create_dir_all(parent).map_err(|error| {
                    format!(
                        "cannot make the directory {} ({error}); check that it is writable and on a mounted disk",
                        parent.display()
                    )
                })?;
            }
            // The ledger of a recording that somebody moved away is as little overwritten as the recording.
            if ledger::path_of(&path).exists() {
                continue;
            }
            match WavWriter::create(&path, spec) {
                Err(MediaError::Exists { .. }) => {}
                other => return other.map_err(|error| error.to_string()),
            }
        }
        Err(format!(
            "{TIES} files called {name} exist below {}; choose a layout with minutes",
            root.display()
        ))
    }
}
