//! What nobody may delete until somebody lets it go.
//!
//! Owns: `.audyn/protected.jsonl`, to which lines are only ever added; the last one on a segment holds. Never: changes a recording. It is no
//! part of the chain: it says what shall be, not what was.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::House;
use crate::{Beneath, MediaError};

/// A segment is protected, and was to be deleted.
#[derive(Debug, thiserror::Error)]
#[error("it is protected; let it go first (audyn unprotect)")]
pub struct Protected;

/// A line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// Version of these fields: 1.
    audyn_protection: u32,
    /// Path of the segment's files below the recorder's directory, without their suffix.
    segment: String,
    /// Whether it is protected from here on.
    protected: bool,
    who: String,
    when: String,
}

/// What all files of a segment share: the path of one without its suffix.
#[must_use]
pub fn segment_of(file: &str) -> String {
    let suffix = Path::new(file).extension().map_or(0, |suffix| suffix.len() + 1);
    file[..file.len() - suffix].to_owned()
}

/// The segments of a recorder that are protected, as [`segment_of`] names them.
///
/// # Errors
/// [`MediaError::Chain`]: then any of them may be.
pub fn protected(recorder: &Beneath) -> Result<BTreeSet<String>, MediaError> {
    let list = House::open(recorder)
        .and_then(|house| house.map_or_else(|| Ok(BTreeSet::new()), |house| read(&house)));
    list.map_err(|source| MediaError::Chain { path: recorder.path().to_owned(), source })
}

pub(super) fn read(house: &House) -> io::Result<BTreeSet<String>> {
    let mut segments = BTreeSet::new();
    let mut unread = None;
    house.protections(|line| match serde_json::from_slice::<Line>(line) {
        Ok(Line { segment, protected: true, .. }) => {
            segments.insert(segment);
        }
        Ok(Line { segment, .. }) => {
            segments.remove(&segment);
        }
        Err(error) => unread = Some(error),
    })?;
    match unread {
        None => Ok(segments),
        // It may protect anything.
        Some(error) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "a line of .audyn/protected.jsonl cannot be read ({error}); nothing here is deleted until it is taken away"
            ),
        )),
    }
}

pub(super) fn enter(house: &House, file: &str, protected: bool, who: &str, when: &str) -> io::Result<()> {
    let segment = segment_of(file);
    if read(house)?.contains(&segment) == protected {
        return Ok(());
    }
    let (who, when) = (who.to_owned(), when.to_owned());
    let line = serde_json::to_vec(&Line { audyn_protection: 1, segment, protected, who, when })?;
    house.append_protection(&line, protected)
}
