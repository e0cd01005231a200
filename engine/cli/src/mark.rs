//! `audyn mark` and `audyn markers`: places in a recorder's timeline, and what somebody said of them.
//!
//! Owns: options and words, and which frame is meant. Never: how a marker is kept; that is media's.

use std::io::Write as _;
use std::path::PathBuf;

use audyn_media::archive::{Range, Segment, Wanted, When};
use audyn_media::export::position_at;
use audyn_media::markers::{self, LevelRules, Marker, PERSON};
use audyn_media::{Beneath, MediaError};
use audyn_units::{FrameCount, FrameIndex, Nanos};

use crate::find::{FindError, one_recorder};
use crate::instant::{self, Instant};
use crate::values;

const MARK_EXAMPLES: &str = "\
Examples:
  audyn mark --archive-root /srv/audio --recorder studio-1 \"goal, 2:1\"            now, while it is recorded
  audyn mark --archive-root /srv/audio --recorder studio-1 --at 13:46:03.5 \"the quote\"

Exit codes: 0 marked, 1 it went wrong while running, 2 it was asked for wrongly.";

const MARKERS_EXAMPLES: &str = "\
Examples:
  audyn markers --archive-root /srv/audio --recorder studio-1 --from 13:00 --to 14:00
  audyn markers --archive-root /srv/audio --recorder studio-1 --from 2026-07-02 --to 2026-07-03 --json
  audyn markers --archive-root /srv/audio --recorder studio-1 --from 00:00 --to now --silence 3 --silence-below -50

Exit codes: 0 told, also if there are none; 1 it went wrong while running, 2 it was asked for wrongly.";

/// A place this long behind a recording's end is still its: the file that is written counts it a moment later.
const JUST_NOW: i64 = 5_000_000_000;

#[derive(Debug, clap::Args)]
#[command(after_help = MARK_EXAMPLES, after_long_help = format!("{}\n\n{MARK_EXAMPLES}", instant::FORMS))]
pub(crate) struct MarkArgs {
    /// What to say of it: one line.
    text: String,
    /// The archive's root, or one recorder's directory.
    #[arg(long, value_name = "DIR")]
    archive_root: PathBuf,
    /// The recorder; need not be given where only one has recorded then.
    #[arg(long, value_name = "ID")]
    recorder: Option<String>,
    /// The place.
    #[arg(long, value_name = "TIME", default_value = "now", value_parser = instant::instant)]
    at: Instant,
    /// Who says so.
    #[arg(long, value_name = "NAME", default_value = "")]
    who: String,
}

#[derive(Debug, clap::Args)]
#[command(after_help = MARKERS_EXAMPLES, after_long_help = format!("{}\n\n{MARKERS_EXAMPLES}", instant::FORMS))]
pub(crate) struct MarkersArgs {
    /// The archive's root, or one recorder's directory.
    #[arg(long, value_name = "DIR")]
    archive_root: PathBuf,
    /// The recorder; need not be given where only one has recorded then.
    #[arg(long, value_name = "ID")]
    recorder: Option<String>,
    /// Where to begin.
    #[arg(long, value_name = "TIME", value_parser = instant::instant)]
    from: Instant,
    /// Where to end.
    #[arg(long, value_name = "TIME", value_parser = instant::instant)]
    to: Instant,
    /// Only what people have marked, not what lacks, what happened to the clock, silence or clipping.
    #[arg(long)]
    people: bool,
    /// Silence counts from so many seconds on.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = values::within("number of seconds", 1..=86_400u32))]
    silence: u32,
    /// Nothing in silence is louder than this, in dBFS.
    #[arg(long, value_name = "DB", default_value_t = -60, allow_hyphen_values = true,
        value_parser = values::within("level in dBFS", -90..=0i32))]
    silence_below: i32,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum MarkError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error("{0}")]
    Text(String),
    #[error("cannot keep or read the markers of {}: {source}; the recordings are as they were", .path.display())]
    Disk { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Media(#[from] MediaError),
}

impl MarkError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Find(error) => error.exit_code(),
            Self::Disk { .. } => 1,
            _ => 2,
        }
    }
}

fn open(directory: &std::path::Path) -> Result<Beneath, MarkError> {
    Beneath::root(directory).map_err(|source| MarkError::Disk { path: directory.to_owned(), source })
}

/// Marks, and tells which frame.
pub(crate) fn mark(args: &MarkArgs, json: bool) -> Result<(), MarkError> {
    let now = instant::now();
    let at = args.at.when(&now);
    let (from, to) = match at {
        When::Utc(utc) => (When::Utc(utc.saturating_sub(JUST_NOW)), When::Utc(utc.saturating_add(1))),
        When::Frame(frame) => (When::Frame(frame), When::Frame(FrameIndex(frame.0.saturating_add(1)))),
    };
    let wanted = Wanted { recorder: args.recorder.clone(), studio: None, from: Some(from), to: Some(to) };
    let (directory, segments) = one_recorder(&args.archive_root, &wanted)?;
    let position = match at {
        When::Frame(frame) => frame,
        When::Utc(utc) => position_at(&segments, utc).unwrap_or(FrameIndex(0)),
    };
    let Some(segment) = segments.first() else {
        return Err(FindError::Nothing { of: String::new(), root: args.archive_root.clone() }.into());
    };
    let marker = Marker {
        audyn_marker: markers::VERSION,
        position,
        rate: segment.rate,
        kind: PERSON.to_owned(),
        text: args.text.clone(),
        who: args.who.clone(),
        made: now.timestamp().to_string(),
    };
    if let Some(objection) = marker.objection() {
        return Err(MarkError::Text(objection));
    }
    markers::add(&open(&directory)?, &marker)
        .map_err(|source| MarkError::Disk { path: directory, source })?;
    let told = match json {
        true => serde_json::to_string(&marker).expect("its fields are plain"),
        false => told(&marker, &segments),
    };
    let _ = writeln!(std::io::stdout(), "{told}"); // whoever read there may have gone
    Ok(())
}

/// Tells the markers of a stretch.
pub(crate) fn list(args: &MarkersArgs, json: bool) -> Result<(), MarkError> {
    let now = instant::now();
    let (from, to) = (args.from.when(&now), args.to.when(&now));
    let wanted = Wanted { recorder: args.recorder.clone(), studio: None, from: Some(from), to: Some(to) };
    let (directory, segments) = one_recorder(&args.archive_root, &wanted)?;
    let position = |when: When| match when {
        When::Frame(frame) => frame,
        When::Utc(utc) => position_at(&segments, utc).unwrap_or(FrameIndex(0)),
    };
    let now = i64::try_from(now.timestamp().as_nanosecond()).unwrap_or(i64::MAX);
    let (from, to) = (position(from), position(to).min(position(When::Utc(now)) + FrameCount(1)));
    let recorder = open(&directory)?;
    let failed = |source| MarkError::Disk { path: directory.clone(), source };
    let range = Range::plan(segments.clone(), from, to, None)?;
    let mut all = markers::read(&recorder, range.from, range.to, range.rate).map_err(failed)?;
    if !args.people {
        all.extend(markers::derived(&recorder, &range).map_err(failed)?);
        let (silence, below) = (Nanos::from_secs(i64::from(args.silence)), f64::from(args.silence_below));
        let rules = LevelRules { silence, below };
        let (found, without) = markers::levels(&recorder, &range, rules).map_err(failed)?;
        all.extend(found);
        if let Some(file) = without.first() {
            eprintln!(
                "audyn: {} of the files {} no peaks, so silence and clipping in {} not told: audyn peaks {} makes them",
                without.len(),
                if without.len() == 1 { "has" } else { "have" },
                if without.len() == 1 { "it are" } else { "them are" },
                file.display()
            );
        }
    }
    all.sort_by_key(|marker| marker.at_rate(range.rate).position);
    for marker in &all {
        let told = match json {
            true => serde_json::to_string(marker).expect("its fields are plain"),
            false => told(marker, &segments),
        };
        if writeln!(std::io::stdout(), "{told}").is_err() {
            return Ok(()); // whoever read there has gone
        }
    }
    Ok(())
}

fn told(marker: &Marker, segments: &[Segment]) -> String {
    let place = segments.first().map_or(marker.position, |segment| marker.at_rate(segment.rate).position);
    let holds = segments.iter().find(|s| (s.start..s.end()).contains(&place)).or(segments.last());
    let utc = holds.map_or(0, |segment| segment.utc_of(place));
    let utc = jiff::Timestamp::from_nanosecond(i128::from(utc)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let who = if marker.who.is_empty() { String::new() } else { format!(" ({})", marker.who) };
    format!("{utc}  @{}  {}: {}{who}", marker.position.0, marker.kind, marker.text)
}
