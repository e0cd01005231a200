//! `audyn mark` and `audyn markers`: places in a recorder's timeline, and what somebody said of them.
//!
//! Owns: options and words, and which frame is meant. Never: how a marker is kept; that is media's.

use std::io::Write as _;
use std::path::PathBuf;

use audyn_api::client::{ClientError, DEFAULT_SOCKET};
use audyn_api::{RecorderId, Reply, Request};
use audyn_media::archive::{Range, Segment, Wanted, When};
use audyn_media::markers::{self, LevelRules, Marker, PERSON};
use audyn_media::{Beneath, MediaError};
use audyn_units::{FrameCount, FrameIndex, Nanos, Timestamp};

use crate::find::{FindError, one_recorder};
use crate::instant::{self, Instant};
use crate::retention::{RetentionError, ask, who};
use crate::values;

const MARK_EXAMPLES: &str = "\
Examples:
  audyn mark --recorder studio-1 \"goal, 2:1\"                      now, in what the engine of this machine records
  audyn mark --recorder studio-1 --at 13:46:03.5 \"the quote\"
  audyn mark --archive-root /mnt/old --at 2026-07-02T13:46 \"the quote\"   in an archive to which no engine writes

Exit codes: 0 marked, 1 it went wrong while running, 2 it was asked for wrongly.";

const MARKERS_EXAMPLES: &str = "\
Examples:
  audyn markers --archive-root /srv/audio --recorder studio-1 --from 13:00 --to 14:00
  audyn markers --archive-root /srv/audio --recorder studio-1 --from 2026-07-02 --to 2026-07-03 --json
  audyn markers --archive-root /srv/audio --recorder studio-1 --from 00:00 --to now --silence 3 --silence-below -50

Exit codes: 0 told, also if there are none; 1 it went wrong while running, 2 it was asked for wrongly.";

#[derive(Debug, clap::Args)]
#[command(after_help = MARK_EXAMPLES, after_long_help = format!("{}\n\n{MARK_EXAMPLES}", instant::FORMS))]
pub(crate) struct MarkArgs {
    /// What to say of it: one line.
    text: String,
    /// Mark in this archive (its root, or one recorder's directory) without the engine.
    #[arg(long, value_name = "DIR", conflicts_with = "socket")]
    archive_root: Option<PathBuf>,
    /// The engine's socket.
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
    /// The recorder; of an archive it need not be given where only one has recorded then.
    #[arg(long, value_name = "ID", required_unless_present = "archive_root")]
    recorder: Option<String>,
    /// The place.
    #[arg(long, value_name = "TIME", default_value = "now", value_parser = instant::instant)]
    at: Instant,
    /// Who says so; none takes the user's name.
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
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
    #[error(transparent)]
    Engine(#[from] RetentionError),
}

impl MarkError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Find(error) => error.exit_code(),
            Self::Disk { .. } => 1,
            Self::Engine(error) => error.exit_code(),
            _ => 2,
        }
    }
}

fn open(directory: &std::path::Path) -> Result<Beneath, MarkError> {
    Beneath::root(directory).map_err(|source| MarkError::Disk { path: directory.to_owned(), source })
}

/// Marks, and tells which frame.
pub(crate) fn mark(args: &MarkArgs, json: bool) -> Result<(), MarkError> {
    let who = who(args.who.clone());
    if let Some(objection) = markers::objection(&args.text, &who) {
        return Err(MarkError::Text(objection));
    }
    let now = instant::now();
    let at = args.at.when(&now);
    let Some(root) = &args.archive_root else {
        return mark_by_engine(args, at, &who, json);
    };
    let wanted = markers::wanted_at(args.recorder.clone(), at);
    let (directory, segments) = one_recorder(root, &wanted)?;
    let made = now.timestamp().to_string();
    let Some(marker) = markers::marked(&segments, at, &args.text, &who, &made) else {
        return Err(FindError::Nothing { of: String::new(), root: root.clone() }.into());
    };
    markers::add(&open(&directory)?, &marker)
        .map_err(|source| MarkError::Disk { path: directory, source })?;
    let told = match json {
        true => serde_json::to_string(&marker).expect("its fields are plain"),
        false => told(&marker, &segments),
    };
    let _ = writeln!(std::io::stdout(), "{told}"); // whoever read there may have gone
    Ok(())
}

/// The same by the engine, to which the archive belongs.
fn mark_by_engine(args: &MarkArgs, at: When, who: &str, json: bool) -> Result<(), MarkError> {
    let id = args.recorder.clone().unwrap_or_default();
    let id = RecorderId::new(id).map_err(|error| MarkError::Text(error.to_string()))?;
    let at = match at {
        When::Utc(utc) => Some(Timestamp::from_nanos(utc)),
        When::Frame(_) => {
            let why = "the engine marks instants; mark a frame with --archive-root, or say when it was";
            return Err(MarkError::Text(why.to_owned()));
        }
    };
    let wish = Request::Mark { id, at, text: args.text.clone(), who: who.to_owned() };
    let Reply::Marked { position, rate, at } = ask(&args.socket, wish)? else {
        return Err(RetentionError::from(ClientError::Unexpected).into());
    };
    let (at, text) = (in_utc(at.as_nanos()), &args.text);
    let told = match json {
        true => serde_json::json!({ "position": position, "rate": rate, "at": at, "text": text, "who": who })
            .to_string(),
        false => line(&at, position, PERSON, text, who),
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
    let position = |when| markers::position_of(&segments, when);
    let now = i64::try_from(now.timestamp().as_nanosecond()).unwrap_or(i64::MAX);
    let (from, to) = (position(from), position(to).min(position(When::Utc(now)) + FrameCount(1)));
    let recorder = open(&directory)?;
    let failed = |source| MarkError::Disk { path: directory.clone(), source };
    let there = to.min(markers::position_of_now(&segments, now)).max(from + FrameCount(1));
    let range = Range::plan(segments.clone(), from, there, None)?;
    let rules = LevelRules {
        silence: Nanos::from_secs(i64::from(args.silence)),
        below: f64::from(args.silence_below),
    };
    let found = markers::told(&recorder, &range, to, (!args.people).then_some(rules)).map_err(failed)?;
    let (all, without) = (found.markers, found.without_peaks);
    if let Some(file) = without.first() {
        eprintln!(
            "audyn: {} of the files {} no peaks, so silence and clipping in {} not told: audyn peaks {} makes them",
            without.len(),
            if without.len() == 1 { "has" } else { "have" },
            if without.len() == 1 { "it are" } else { "them are" },
            file.display()
        );
    }
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
    let Marker { position, kind, text, who, .. } = marker;
    line(&in_utc(markers::utc_of(segments, marker)), *position, kind, text, who)
}

fn in_utc(nanos: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

fn line(at: &str, position: FrameIndex, kind: &str, text: &str, who: &str) -> String {
    let who = if who.is_empty() { String::new() } else { format!(" ({who})") };
    format!("{at}  @{}  {kind}: {text}{who}", position.0)
}
