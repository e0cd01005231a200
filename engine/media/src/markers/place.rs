//! Which frame is meant where somebody marks an instant, and which instant a marked frame is.
//!
//! Owns: the search and the place. Never: a write.

use audyn_units::FrameIndex;

use super::{Marker, PERSON, VERSION};
use crate::archive::{Segment, Wanted, When};
use crate::export::{nearest, position_at};

/// A place this long behind a recording's end is still its, in nanoseconds: what waits for the disk is counted a moment later.
const JUST_NOW: i64 = 10_000_000_000;

/// What to look for where a place is to be marked. What is found must be of one recorder.
#[must_use]
pub fn wanted_at(recorder: Option<String>, at: When) -> Wanted {
    let (from, to) = match at {
        When::Utc(utc) => (When::Utc(utc.saturating_sub(JUST_NOW)), When::Utc(utc.saturating_add(1))),
        When::Frame(frame) => (When::Frame(frame), When::Frame(FrameIndex(frame.0.saturating_add(1)))),
    };
    Wanted { recorder, studio: None, from: Some(from), to: Some(to) }
}

/// What to look for where the markers between two instants are to be told: also what was counted shortly before them, in which somebody has
/// marked what came then.
#[must_use]
pub fn wanted_between(recorder: Option<String>, from: i64, to: i64) -> Wanted {
    let from = Some(When::Utc(from.saturating_sub(JUST_NOW)));
    Wanted { recorder, studio: None, from, to: Some(When::Utc(to)) }
}

/// The frame that is meant among recordings of one recorder, sorted by start; the epoch where there are none.
#[must_use]
pub fn position_of(segments: &[Segment], at: When) -> FrameIndex {
    match at {
        When::Frame(frame) => frame,
        When::Utc(utc) => position_at(segments, utc).unwrap_or(FrameIndex(0)),
    }
}

/// Where now is among them: the end of a recording that goes on, of which the disk counts the last moments a moment later.
#[must_use]
pub fn position_of_now(segments: &[Segment], utc: i64) -> FrameIndex {
    let now = position_of(segments, When::Utc(utc));
    match segments.last() {
        Some(last) if last.end_utc > utc.saturating_sub(JUST_NOW) => now.min(last.end()),
        _ => now,
    }
}

/// The instant of a marker among them, in nanoseconds of UTC: as the recording that holds it tells, else the last one; 0 where there are
/// none.
#[must_use]
pub fn utc_of(segments: &[Segment], marker: &Marker) -> i64 {
    let holds = |s: &&Segment| (s.start..s.end()).contains(&marker.position_at(s.rate));
    let holds = segments.iter().find(holds).or(segments.last());
    holds.map_or(0, |segment| segment.utc_of(marker.position_at(segment.rate)))
}

/// The marker of a person at a place among what was found by [`wanted_at`]; none where that is nothing. `made` says when, in UTC.
#[must_use]
pub fn marked(segments: &[Segment], at: When, text: &str, who: &str, made: &str) -> Option<Marker> {
    // The rate may have changed a moment ago.
    let (position, rate) = match at {
        When::Frame(frame) => (frame, segments.first()?.rate),
        When::Utc(utc) => nearest(segments, utc).map(|one| (one.position_of(utc), one.rate))?,
    };
    Some(Marker {
        audyn_marker: VERSION,
        position,
        rate,
        kind: PERSON.to_owned(),
        text: text.to_owned(),
        who: who.to_owned(),
        made: made.to_owned(),
    })
}
