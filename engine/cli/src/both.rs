//! An archive and its mirror, read as one, for `find` and `export`.
//!
//! Owns: which directories are read together, and the refusal of a directory that nothing proves to be the mirror. Never: the proof, which is
//! media's.

use std::path::{Path, PathBuf};

use audyn_media::archive::{
    Catalog, Directories, Hit, Kinship, Segment, State, Wanted, When, is_mirror, lacked,
};
use audyn_media::{Beneath, MediaError};
use audyn_units::FrameCount;

use crate::find::{FindError, catalog};
use crate::words::joined;

/// The files of one recorder on both volumes.
#[derive(Debug)]
pub(crate) struct OneRecorder {
    /// Its directory on each.
    pub(crate) directories: Directories,
    /// By their starts.
    pub(crate) archive: Vec<Segment>,
    pub(crate) mirror: Vec<Segment>,
}

/// Recorders' directories below a root, each by its path below that.
fn below<'a>(catalog: &'a Catalog, root: &Path) -> Vec<(PathBuf, &'a Beneath)> {
    let of = |directory: &'a Beneath| (below_of(directory.path(), root), directory);
    catalog.directories().map(of).collect()
}

fn below_of(directory: &Path, root: &Path) -> PathBuf {
    directory.strip_prefix(root).unwrap_or(directory).to_owned()
}

fn named<'a>(all: &[(PathBuf, &'a Beneath)], below: &Path) -> Option<&'a Beneath> {
    all.iter().find(|(other, _)| other == below).map(|(_, directory)| *directory)
}

/// Whether one of two is a root, and the other a recorder's directory: then nothing in them has the same path.
fn are_of_other_levels(here: &[(PathBuf, &Beneath)], there: &[(PathBuf, &Beneath)]) -> bool {
    let is_recorders_own =
        |all: &[(PathBuf, &Beneath)]| all.iter().any(|(below, _)| below.as_os_str().is_empty());
    is_recorders_own(here) != is_recorders_own(there)
        && !here.iter().any(|(below, _)| named(there, below).is_some())
}

/// What is there of all that is wanted, on either volume, if it is of one recorder in one directory.
pub(crate) fn one_recorder(root: &Path, mirror: &Path, wanted: &Wanted) -> Result<OneRecorder, FindError> {
    let (here, there) = (catalog(root)?, catalog(mirror)?);
    let found = |catalog: &Catalog, root: &Path| -> Result<Vec<(PathBuf, Segment)>, MediaError> {
        let hits = catalog.find(wanted)?.into_iter().filter(|hit| hit.state != State::Missing);
        Ok(hits.map(|hit| (below_of(&hit.directory, root), hit.segment)).collect())
    };
    let (archive, mirrored) = (found(&here, root)?, found(&there, mirror)?);
    let distinct = |of: &dyn Fn(&(PathBuf, Segment)) -> String| {
        let mut all: Vec<String> = archive.iter().chain(&mirrored).map(of).collect();
        all.sort();
        all.dedup();
        all
    };
    if are_of_other_levels(&below(&here, root), &below(&there, mirror)) {
        return Err(FindError::Levels { root: root.to_owned(), mirror: mirror.to_owned() });
    }
    let recorders = distinct(&|(_, segment)| segment.recorder.clone());
    let directories = distinct(&|(below, _)| root.join(below).display().to_string());
    match (recorders.as_slice(), directories.as_slice()) {
        ([], _) | (_, []) => {
            let of = wanted.recorder.as_ref().map(|id| format!("by {id} ")).unwrap_or_default();
            return Err(FindError::Nothing { of, root: root.to_owned() });
        }
        ([_], [_]) => {}
        ([recorder], several) => {
            let directories = joined(several, "and");
            return Err(FindError::Directories { recorder: recorder.clone(), directories });
        }
        (several, _) => return Err(FindError::Which(joined(several, "and"))),
    }
    let below_root = archive.iter().chain(&mirrored).map(|(below, _)| below.clone()).next();
    let below_root = below_root.unwrap_or_default();
    let lonely = |which: &Path, other: &Path| FindError::Lonely {
        recorder: recorders[0].clone(),
        which: which.to_owned(),
        other: other.to_owned(),
    };
    let archive_directory = named(&below(&here, root), &below_root).ok_or_else(|| lonely(root, mirror))?;
    let mirror_directory = named(&below(&there, mirror), &below_root).ok_or_else(|| lonely(mirror, root))?;
    if let Some(refused) = refused(is_mirror(archive_directory, mirror_directory)?, mirror_directory.path()) {
        return Err(refused);
    }
    let clone = |directory: &Beneath| {
        directory
            .try_clone()
            .map_err(|source| MediaError::Chain { path: directory.path().to_owned(), source })
    };
    let directories =
        Directories { archive: clone(archive_directory)?, mirror: Some(clone(mirror_directory)?) };
    let segments = |found: Vec<(PathBuf, Segment)>| found.into_iter().map(|(_, segment)| segment).collect();
    Ok(OneRecorder { directories, archive: segments(archive), mirror: segments(mirrored) })
}

/// Why a directory is not read as the mirror of another.
fn refused(kinship: Kinship, mirror: &Path) -> Option<FindError> {
    match kinship {
        Kinship::Mirror => None,
        Kinship::Same => Some(FindError::Itself(mirror.to_owned())),
        Kinship::Stranger => Some(FindError::Stranger(mirror.to_owned())),
        Kinship::Unknown => Some(FindError::Unproven(mirror.to_owned())),
    }
}

/// What the mirror has that the archive lacks.
#[derive(Debug, Default)]
pub(crate) struct FromMirror {
    /// Each recording, with the frames of it that the archive lacks.
    pub(crate) hits: Vec<(Hit, FrameCount)>,
    /// Why a recorder's directory on the mirror was not looked at, in sentences.
    pub(crate) left_out: Vec<String>,
}

/// Finds it.
pub(crate) fn from_mirror(
    archive: &Catalog,
    root: &Path,
    mirror: &Path,
    wanted: &Wanted,
) -> Result<FromMirror, FindError> {
    let there = catalog(mirror)?;
    let (here, beside) = (below(archive, root), below(&there, mirror));
    if are_of_other_levels(&here, &beside) {
        return Err(FindError::Levels { root: root.to_owned(), mirror: mirror.to_owned() });
    }
    let (mut told, mut is_proven, mut unproven) = (FromMirror::default(), false, None);
    let mut taken = Vec::new();
    for (below, directory) in &beside {
        let Some(own) = named(&here, below) else {
            let (recorder, which) = (below.display().to_string(), root.to_owned());
            let lonely = FindError::Lonely { recorder, which, other: directory.path().to_owned() };
            told.left_out.push(lonely.to_string());
            continue;
        };
        match refused(is_mirror(own, directory)?, directory.path()) {
            None => {
                is_proven = true;
                taken.push(below);
            }
            // A recorder of which nothing is sealed on both yet.
            Some(why @ FindError::Unproven(_)) => {
                told.left_out.push(why.to_string());
                unproven.get_or_insert(why);
            }
            Some(refused) => return Err(refused),
        }
    }
    if !is_proven {
        return Err(unproven.unwrap_or_else(|| FindError::Unproven(mirror.to_owned())));
    }
    let mut hits = there.find(wanted)?;
    let is_taken = |hit: &Hit| taken.iter().any(|below| **below == below_of(&hit.directory, mirror));
    hits.retain(|hit| hit.state != State::Missing && is_taken(hit));
    if hits.is_empty() {
        return Ok(told);
    }
    // Files of both are cut elsewhere after one was away: those that reach into what was found are looked at, too.
    let from = hits.iter().map(|hit| hit.segment.start_utc).min().map(When::Utc);
    let to = hits.iter().map(|hit| hit.segment.end_utc).max().map(When::Utc);
    let own = archive.find(&Wanted { from, to, ..Wanted::default() })?;
    for below in taken {
        let (Some(own_directory), Some(directory)) = (named(&here, below), named(&beside, below)) else {
            continue;
        };
        let lies_below = |root: &Path, hit: &Hit| below_of(&hit.directory, root) == *below;
        let of_mirror: Vec<&Hit> = hits.iter().filter(|hit| lies_below(mirror, hit)).collect();
        let of_archive: Vec<&Hit> = own.iter().filter(|hit| lies_below(root, hit)).collect();
        for found in lacked((own_directory, &of_archive), (directory, &of_mirror))? {
            told.hits.push((of_mirror[found.hit].clone(), found.frames));
        }
    }
    Ok(told)
}
