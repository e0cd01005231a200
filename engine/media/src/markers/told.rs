//! All that can be told of a stretch.
//!
//! Owns: that what people marked, what ledgers tell and what peaks show come as one list, by place.

use std::io;
use std::path::PathBuf;

use audyn_units::FrameIndex;

use super::{LevelRules, Marker, derived, levels, read};
use crate::Beneath;
use crate::archive::Range;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// By place.
    pub markers: Vec<Marker>,
    /// Files without peaks, of which silence and clipping are not told.
    pub without_peaks: Vec<PathBuf>,
}

/// The markers of a recorder in a range: with rules all of them, without only what people have marked. The latter up to `to`, which lies
/// behind the range where a recording goes on.
///
/// # Errors
/// What the system says.
pub fn told(
    recorder: &Beneath,
    range: &Range,
    to: FrameIndex,
    rules: Option<LevelRules>,
) -> io::Result<Told> {
    let markers = read(recorder, range.from, to.max(range.to), range.rate)?;
    let mut told = Told { markers, ..Told::default() };
    if let Some(rules) = rules {
        told.markers.extend(derived(recorder, range)?);
        let (found, without_peaks) = levels(recorder, range, rules)?;
        told.markers.extend(found);
        told.without_peaks = without_peaks;
    }
    told.markers.sort_by_key(|marker| marker.at_rate(range.rate).position);
    Ok(told)
}
