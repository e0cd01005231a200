//! Where a recording's files go, and what they are called.
//!
//! Owns: that a taken name is passed over for the next tie-break, whatever of a recording has it; and that neither a link below the archive's
//! root nor another volume in its place leads a recording elsewhere.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use audyn_core::archive::{ArchiveClock, ArchivePolicy, tie_break};
use audyn_media::beneath::{self, OFlags};
use audyn_media::{Beneath, MediaError, chain, peaks};
use audyn_units::Nanos;
use jiff::tz::TimeZone;

use crate::error::EngineError;
use crate::feed::Opening;
use crate::ledger;
use crate::volume::{Ours, is_not_ours};

/// Names tried for one segment before it counts as impossible.
const TIES: u32 = 10_000;

static UTC: TimeZone = TimeZone::UTC;

/// Where a recording's files go.
#[derive(Debug, Clone)]
pub enum Naming {
    /// One file of this name, whatever its length.
    File(PathBuf),
    /// Files below a directory, named and cut by a policy.
    Archive {
        /// The archive's root. It may be a link.
        root: PathBuf,
        /// The recorder's own directory below it; may be empty. Neither it nor what is below it is ever a link.
        below: PathBuf,
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
            (
                Self::Archive { root: a, below: c, policy: p, .. },
                Self::Archive { root: b, below: d, policy: q, .. },
            ) => a == b && c == d && p == q,
            _ => false,
        }
    }

    /// The same place below another root; a file by itself stays where it is.
    pub(crate) fn at(&self, root: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(path.clone()),
            Self::Archive { below, policy, zone, .. } => Self::Archive {
                root: root.to_owned(),
                below: below.clone(),
                policy: policy.clone(),
                zone: zone.clone(),
            },
        }
    }

    /// The name of the zone that names follow, as the time zone database has it.
    pub(crate) fn zone_name(&self) -> Option<String> {
        match self {
            Self::File(_) => None,
            Self::Archive { zone, .. } => zone.iana_name().map(str::to_owned),
        }
    }

    /// The directory whose chain closed files join. A file by itself joins none.
    pub(crate) fn chain(&self) -> Option<PathBuf> {
        match self {
            Self::File(_) => None,
            Self::Archive { root, below, .. } => Some(root.join(below)),
        }
    }

    /// The root of its archive. A file by itself has none.
    pub(crate) fn root(&self) -> Option<&Path> {
        match self {
            Self::File(_) => None,
            Self::Archive { root, .. } => Some(root),
        }
    }

    /// The clock that names the files. A file of a name of its own is told in UTC.
    pub(crate) fn clock(&self) -> (ArchiveClock, &TimeZone) {
        match self {
            Self::File(_) => (ArchiveClock::Utc, &UTC),
            Self::Archive { policy, zone, .. } => (policy.clock(), zone),
        }
    }

    /// Tries whether a name could be told, with TAI − UTC if it is known, and files of these suffixes be made, and leaves none. An
    /// archive's directory is made.
    ///
    /// # Errors
    /// [`EngineError::Archive`] if the archive clock is not known, [`EngineError::Conflict`] if the one file exists, [`EngineError::Unwritable`] if its directory takes none.
    pub fn check_writable(&self, tai_offset: Option<Nanos>, suffixes: &[&str]) -> Result<(), EngineError> {
        self.check_writable_on(&Ours::any(PathBuf::new()), tai_offset, suffixes)
    }

    /// The same, where the archive's root must lie on its volume.
    pub(crate) fn check_writable_on(
        &self,
        ours: &Ours,
        tai_offset: Option<Nanos>,
        suffixes: &[&str],
    ) -> Result<(), EngineError> {
        let (root, below) = match self {
            Self::File(path) => {
                let taken = |path: &PathBuf| path.exists() || ledger::path_of(path).exists();
                let paths = own_names(path, suffixes).into_iter().map(|name| path.with_file_name(name));
                if let Some(path) = paths.into_iter().find(taken) {
                    let detail = format!(
                        "{} or its gap ledger exists already and is left as it is; record under another name",
                        path.display()
                    );
                    return Err(EngineError::Conflict(detail));
                }
                (path.parent().unwrap_or(Path::new("")), Path::new(""))
            }
            Self::Archive { root, below, policy, zone } => {
                policy.name(audyn_sys::clock::utc_now(), zone, tai_offset, "wav")?;
                (root.as_path(), below.as_path())
            }
        };
        let probe = || -> io::Result<()> {
            let opened = match self {
                Self::Archive { .. } => ours.make(root)?,
                Self::File(_) => Beneath::root(root)?,
            };
            let directory = opened.make(below)?;
            let name = format!(".audyn-probe-{}", std::process::id());
            // One that a killed process of the same number left is as good.
            directory.file(OsStr::new(&name), OFlags::WRONLY | OFlags::CREATE)?;
            directory.remove(OsStr::new(&name))
        };
        probe().map_err(|source| match beneath::is_link(&source) || is_not_ours(&source) {
            true => EngineError::Conflict(source.to_string()),
            false => EngineError::Unwritable { path: root.join(below), source },
        })
    }

    /// Finds the names of a segment's files, one for each suffix, that nothing has yet, and makes their directory, if the archive's root lies
    /// on its volume; the error is a sentence. `first` says whether the recording has made none yet: one file is a name of its own, and what must follow it (a flow
    /// that is placed anew) is numbered.
    pub(crate) fn place(
        &self,
        opening: &Opening,
        first: bool,
        suffixes: &[&str],
        ours: &Ours,
    ) -> Result<Place, String> {
        let (root, below, names) = match self {
            Self::File(path) => {
                let parent = path.parent().unwrap_or(Path::new(""));
                let names = own_names(path, suffixes);
                if first {
                    let directory = Beneath::root(parent)
                        .map_err(|source| MediaError::Create { path: path.clone(), source });
                    let directory = directory.map_err(|error| error.to_string())?;
                    return Ok(Place { directory, names });
                }
                let names = names.iter().map(|name| name.to_string_lossy().into_owned()).collect();
                (parent, Path::new(""), names)
            }
            Self::Archive { root, below, policy, zone } => {
                let name = |suffix: &&str| policy.name(opening.utc, zone, opening.tai_offset, suffix);
                let names: Result<Vec<String>, _> = suffixes.iter().map(name).collect();
                (root.as_path(), below.as_path(), names.map_err(|error| error.to_string())?)
            }
        };
        for n in 1..=TIES {
            let paths: Vec<PathBuf> = names.iter().map(|name| below.join(tie_break(name, n))).collect();
            let parent = paths.first().and_then(|path| path.parent()).unwrap_or(Path::new(""));
            let made = ours.make(root).and_then(|root| root.make(parent));
            let directory = made.map_err(|error| match beneath::is_link(&error) || is_not_ours(&error) {
                true => error.to_string(),
                false => format!(
                    "cannot make the directory {} ({error}); check that it is writable and on a mounted disk",
                    root.join(parent).display()
                ),
            })?;
            let names: Vec<OsString> =
                paths.iter().filter_map(|path| path.file_name()).map(OsStr::to_owned).collect();
            if names.iter().all(|name| is_free(&directory, name)) {
                return Ok(Place { directory, names });
            }
        }
        Err(format!(
            "{TIES} files called {} exist below {}; choose a layout with minutes",
            names.first().map_or("", String::as_str),
            root.join(below).display()
        ))
    }
}

/// Where the files of a segment are to be made.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) directory: Beneath,
    /// A name for each format.
    pub(crate) names: Vec<OsString>,
}

/// The names of a recording that somebody has named: the first format has it, the others have their own suffix.
fn own_names(path: &Path, suffixes: &[&str]) -> Vec<OsString> {
    let name = Path::new(path.file_name().unwrap_or_default());
    let others = suffixes.iter().skip(1).map(|suffix| name.with_extension(suffix).into_os_string());
    std::iter::once(name.as_os_str().to_owned()).chain(others).collect()
}

/// Whether neither a recording has this name, nor one that somebody moved away has left what belonged to it.
fn is_free(directory: &Beneath, name: &OsStr) -> bool {
    let free = |name: &OsStr| matches!(directory.kind_of(name), Ok(None));
    free(name)
        && free(&chain::ledger_of(name))
        && free(&chain::sidecar_of(name))
        && free(&peaks::peaks_of(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_any_format_would_take_is_refused_before_anything_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let naming = Naming::File(dir.path().join("a.wav"));
        naming.check_writable(None, &["wav", "opus"]).unwrap();
        for taken in ["a.wav", "a.opus", "a.wav.gaps.jsonl", "a.opus.gaps.jsonl"] {
            std::fs::write(dir.path().join(taken), "theirs").unwrap();
            let error = naming.check_writable(None, &["wav", "opus"]).unwrap_err();
            assert!(matches!(error, EngineError::Conflict(_)), "{taken}: {error}");
            std::fs::remove_file(dir.path().join(taken)).unwrap();
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
