//! All that can be told of a stretch.
//!
//! Owns: that what people marked, what ledgers tell and what peaks show come as one list, by place.

use std::io;
use std::path::PathBuf;

use audyn_units::{FrameCount, FrameIndex};

use super::{LevelRules, Marker, derived, levels, position_of, position_of_now, read, utc_of};
use crate::archive::{Range, Segment, When};
use crate::{Beneath, MediaError};

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
    told.markers.sort_by_key(|marker| marker.position_at(range.rate));
    Ok(told)
}

/// The same between two instants, in nanoseconds of UTC, among the recordings that are found by [`wanted_between`](super::wanted_between):
/// whatever their rates and channels are, which may change from one to the next. `now` is when it is asked.
///
/// # Errors
/// [`MediaError::Chain`] with what the system says.
pub fn told_between(
    recorder: &Beneath,
    segments: &[Segment],
    (from, to): (i64, i64),
    now: i64,
    rules: Option<LevelRules>,
) -> Result<Told, MediaError> {
    let failed = |source| MediaError::Chain { path: recorder.path().to_owned(), source };
    let alike = |a: &Segment, b: &Segment| (a.rate, a.channels) == (b.rate, b.channels);
    let mut all = Told::default();
    let mut begin = from;
    let mut runs = segments.chunk_by(alike).peekable();
    while let Some(run) = runs.next() {
        let end = runs.peek().map_or(to, |next| next[0].start_utc.clamp(begin, to));
        let [first, last] = [begin, end].map(|utc| position_of(run, When::Utc(utc)));
        begin = end;
        // What is marked this very moment is.
        let last = last + FrameCount(u64::from(end >= now));
        if first >= last {
            continue;
        }
        let there = last.min(position_of_now(run, now)).max(first + FrameCount(1));
        let found = match Range::plan(run.to_vec(), first, there, None) {
            Ok(range) => told(recorder, &range, last, rules).map_err(failed)?,
            // Nothing of it is counted yet.
            Err(_) => {
                Told { markers: read(recorder, first, last, run[0].rate).map_err(failed)?, ..Told::default() }
            }
        };
        all.markers.extend(found.markers);
        all.without_peaks.extend(found.without_peaks);
    }
    all.markers.sort_by_cached_key(|marker| utc_of(segments, marker));
    Ok(all)
}
