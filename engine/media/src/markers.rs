//! Markers: what somebody said of a place in a recorder's timeline.
//!
//! Owns: the lines of `.audyn/markers/`. Must never: alter a recording or what seals it; markers are no part of the chain.
//!
//! ```text
//! RECORDER/.audyn/markers/2026-07-02.jsonl    a line for each marker whose place lies on that day of TAI, in the order they were made
//! {"audyn_marker":1,"position":84067852800000,"rate":48000,"kind":"person","text":"goal","who":"anna","made":"2026-07-02T13:46:03Z"}
//! ```
//!
//! A place is a frame of the recorder, not of a file: it holds for each of the formats that are recorded at once, whatever the files are
//! called and however they are cut. Lines are only ever appended, each by one write, by whoever may write there; a torn one is none.
//! What ledgers tell of (gaps, a clock that was lost) is not written a second time, nor what peaks show (silence, clipping); whoever wants
//! it reads it there.
//!
//! # Rejected designs
//! *A file beside each recording*: a marker would have to be in those of all formats, or be lost with one of them. *Chunks in the
//! audio*: what is sealed would have to change.

mod levels;
mod place;
mod told;

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use audyn_units::{FrameCount, FrameIndex, SampleRate};
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

use crate::Beneath;
use crate::archive::{LedgerGaps, NOT_RECORDED, Range};
use crate::beneath::OFlags;
use crate::chain::{HOUSE, ledger_of};
use crate::ledger::LedgerLine;

pub use levels::{CLIP, LevelRules, SILENCE, levels};
pub use place::{marked, position_of, position_of_now, utc_of, wanted_at, wanted_between};
pub use told::{Told, told, told_between};

/// Version of the lines.
pub const VERSION: u32 = 1;

/// Bytes of a text.
pub const MOST_TEXT: usize = 1_000;

/// Markers that are told at once.
pub const MOST: usize = 100_000;

/// A line is never longer.
const MOST_LINE: u64 = 64 * 1024;

/// The directory in the house of the chain.
const NAME: &str = "markers";

/// The kind of what a ledger tells as missing.
pub const GAP: &str = "gap";

/// The kind of what a person has marked.
pub const PERSON: &str = "person";

/// A marker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// [`VERSION`].
    pub audyn_marker: u32,
    /// Its frame.
    pub position: FrameIndex,
    /// Frames per second that the position counts.
    pub rate: SampleRate,
    /// What made it: [`PERSON`], or where it was found.
    pub kind: String,
    /// What it says: one line.
    pub text: String,
    /// Who said so; may be empty.
    pub who: String,
    /// When it was made, in UTC.
    pub made: String,
}

impl Marker {
    /// The same place counted at another rate.
    #[must_use]
    pub fn position_at(&self, rate: SampleRate) -> FrameIndex {
        let (from, to) = (u128::from(self.rate.hz()), u128::from(rate.hz()));
        let position = (u128::from(self.position.0) * to + from / 2) / from;
        FrameIndex(u64::try_from(position).unwrap_or(u64::MAX))
    }

    /// The same marker at another rate.
    #[must_use]
    pub fn at_rate(&self, rate: SampleRate) -> Self {
        Self { position: self.position_at(rate), rate, ..self.clone() }
    }
}

/// What is wrong with what a marker would say: a sentence, if something is.
#[must_use]
pub fn objection(text: &str, who: &str) -> Option<String> {
    for (what, told) in [("text", text), ("maker", who)] {
        if told.len() > MOST_TEXT || told.chars().any(char::is_control) {
            return Some(format!("the {what} of a marker is one line of at most {MOST_TEXT} bytes"));
        }
    }
    text.is_empty().then(|| "a marker says something; give it a text".to_owned())
}

/// The name of the file of the day on which a frame lies, by TAI.
fn day_of(position: FrameIndex, rate: SampleRate) -> OsString {
    let seconds = i64::try_from(position.0 / u64::from(rate.hz())).unwrap_or(i64::MAX);
    let instant = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    format!("{}.jsonl", Offset::UTC.to_datetime(instant).date()).into()
}

/// Adds a marker of a recorder, and returns when it would survive a power cut.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] with [`objection`]; what the disk says: it is not added then, or torn and so none.
pub fn add(recorder: &Beneath, marker: &Marker) -> io::Result<()> {
    if let Some(objection) = objection(&marker.text, &marker.who) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, objection));
    }
    let directory = recorder.try_clone()?.make(&Path::new(HOUSE).join(NAME))?;
    let how = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE;
    let mut file = directory.file(&day_of(marker.position, marker.rate), how)?;
    let mut line = Vec::new();
    if file.metadata()?.len() > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            line.push(b'\n'); // what was torn before stays a line of its own
        }
    }
    serde_json::to_writer(&mut line, marker)?;
    line.push(b'\n');
    file.write_all(&line)?;
    file.sync_data()?;
    directory.sync()
}

/// The markers of a recorder in the frames [from, to), which count `rate`, by place; at most [`MOST`].
///
/// # Errors
/// What the system says.
pub fn read(
    recorder: &Beneath,
    from: FrameIndex,
    to: FrameIndex,
    rate: SampleRate,
) -> io::Result<Vec<Marker>> {
    let directory = match recorder.try_clone()?.open(&Path::new(HOUSE).join(NAME)) {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    // Names of days sort as the days do; a marker of another rate lies on the same day.
    let last = FrameIndex(to.0.max(1)) - FrameCount(1);
    let days = day_of(from, rate)..=day_of(last, rate);
    let mut names: Vec<OsString> = directory.entries()?.into_iter().map(|(name, _)| name).collect();
    names.retain(|name| days.contains(name));
    names.sort();
    let mut markers = Vec::new();
    for name in names {
        let lines = BufReader::new(directory.file(&name, OFlags::RDONLY)?);
        each_line(lines, |line| {
            if let Ok(marker) = serde_json::from_slice::<Marker>(line)
                && marker.audyn_marker == VERSION
                && (from..to).contains(&marker.position_at(rate))
                && markers.len() < MOST
            {
                markers.push(marker);
            }
        })?;
    }
    markers.sort_by_key(|marker| marker.position_at(rate));
    Ok(markers)
}

/// A marker that nobody has made.
fn derived_marker(position: FrameIndex, rate: SampleRate, kind: &str, text: String) -> Marker {
    let (kind, who, made) = (kind.to_owned(), String::new(), String::new());
    Marker { audyn_marker: VERSION, position, rate, kind, text, who, made }
}

/// What the files of a range tell of themselves in their ledgers, as markers by place: what lacks (the kind is `gap`), and what happened to
/// the flow and the clock (the kind is the event's word); at most [`MOST`].
///
/// # Errors
/// What the system says.
pub fn derived(recorder: &Beneath, range: &Range) -> io::Result<Vec<Marker>> {
    let mut markers = Vec::new();
    let mut tell = |position: FrameIndex, kind: &str, text: String| {
        if markers.len() < MOST {
            markers.push(derived_marker(position, range.rate, kind, text));
        }
    };
    for piece in &range.pieces {
        let Some(segment) = piece.segment.map(|at| &range.segments[at]) else {
            tell(piece.from, GAP, format!("{NOT_RECORDED}: {}", piece.to.since(piece.from)));
            continue;
        };
        let path = Path::new(&segment.file);
        let parent = recorder.try_clone()?.open(path.parent().unwrap_or(Path::new("")))?;
        let ledger = || match parent.file(&ledger_of(path.file_name().unwrap_or_default()), OFlags::RDONLY) {
            Ok(file) => Ok(Some(BufReader::new(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        let Some(lines) = ledger()? else { continue };
        let (from, to) = (range.position_back(segment, piece.from), range.position_back(segment, piece.to));
        let mut gaps = LedgerGaps::new(lines, from, to.min(segment.end()));
        while let Some(gap) = gaps.next_gap()? {
            tell(range.position(segment, gap.position), GAP, format!("{}: {}", gap.cause, gap.frames));
        }
        let Some(lines) = ledger()? else { continue };
        each_line(lines, |line| {
            if let Some(LedgerLine::Event(event)) = LedgerLine::parse(line)
                && (from..to).contains(&event.position)
            {
                tell(range.position(segment, event.position), &event.event, event.detail);
            }
        })?;
    }
    markers.sort_by_key(|marker| marker.position);
    Ok(markers)
}

fn each_line(mut lines: impl io::BufRead, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut lines).take(MOST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.ends_with(b"\n") {
            each(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: SampleRate = SampleRate::HZ_48000;
    /// 2025-07-02T00:00:00 TAI.
    const MIDNIGHT: u64 = 1_751_414_400 * 48_000;

    fn marker(position: u64, text: &str) -> Marker {
        Marker {
            audyn_marker: VERSION,
            position: FrameIndex(position),
            rate: RATE,
            kind: PERSON.to_owned(),
            text: text.to_owned(),
            who: "anna".to_owned(),
            made: "2025-07-02T00:00:00Z".to_owned(),
        }
    }

    fn told(root: &Beneath, from: u64, to: u64) -> Vec<String> {
        let markers = read(root, FrameIndex(from), FrameIndex(to), RATE).unwrap();
        markers.into_iter().map(|marker| marker.text).collect()
    }

    #[test]
    fn markers_come_back_by_place_also_over_midnight() {
        let dir = tempfile::tempdir().unwrap();
        let root = Beneath::root(dir.path()).unwrap();
        assert_eq!(told(&root, 0, u64::MAX), [""; 0]);
        for (position, text) in
            [(MIDNIGHT, "c"), (MIDNIGHT - 1, "b"), (MIDNIGHT + 50, "d"), (MIDNIGHT - 9, "a")]
        {
            add(&root, &marker(position, text)).unwrap();
        }
        add(&root, &Marker { rate: SampleRate::HZ_96000, ..marker(2 * MIDNIGHT + 20, "twice") }).unwrap();
        assert_eq!(told(&root, MIDNIGHT - 9, MIDNIGHT + 50), ["a", "b", "c", "twice"]);
        assert_eq!(told(&root, MIDNIGHT, MIDNIGHT + 51), ["c", "twice", "d"]);
        assert_eq!(told(&root, MIDNIGHT - 8, MIDNIGHT), ["b"]);
        let days = std::fs::read_dir(dir.path().join(".audyn/markers")).unwrap();
        let mut days: Vec<_> = days.map(|day| day.unwrap().file_name()).collect();
        days.sort();
        assert_eq!(days, ["2025-07-01.jsonl", "2025-07-02.jsonl"]);
    }

    #[test]
    fn a_torn_line_costs_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let root = Beneath::root(dir.path()).unwrap();
        add(&root, &marker(MIDNIGHT, "a")).unwrap();
        let path = dir.path().join(".audyn/markers/2025-07-02.jsonl");
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"audyn_mar");
        std::fs::write(&path, text).unwrap();
        assert_eq!(told(&root, MIDNIGHT, MIDNIGHT + 9), ["a"]);
        add(&root, &marker(MIDNIGHT + 1, "b")).unwrap();
        assert_eq!(told(&root, MIDNIGHT, MIDNIGHT + 9), ["a", "b"]);
    }

    #[test]
    fn what_is_no_line_is_refused_and_nothing_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let root = Beneath::root(dir.path()).unwrap();
        for bad in ["", "a\nb", &"a".repeat(MOST_TEXT + 1)] {
            assert_eq!(add(&root, &marker(0, bad)).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{bad}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
