//! One file out of a stretch of a recorder, with the exact frames, and a report of what lacks.
//!
//! Owns: that an export is whole or not there. Must never: overwrite a file, alter what it reads from, or hold more than a few blocks
//! in memory, however long the stretch.
//!
//! ```text
//! NAME                what was asked for, as one file; its first frame is the first that was asked for
//! NAME.gaps.jsonl     a gap ledger as beside each recording: positions of the export, which are those of the recorder
//! NAME.markers.jsonl  what people have marked there, at the export's positions; only if there is something
//! ```
//!
//! # Procedure
//! 1 `.NAME.part` and its ledger are made, 2 filled, 3 closed and synced, 4 ledger and markers get their names, 5 the file gets its name
//! (each fails if that is taken). An end before that removes all; a kill leaves `.NAME.part`, which the next export of that name
//! removes, unless somebody writes it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::TryLockError;
use std::io::{self, BufReader, Write as _};
use std::path::{Path, PathBuf};

use audyn_units::{ChannelCount, FrameCount, FrameIndex, SampleRate};
use serde::Serialize;

use crate::archive::{Kind, Part, Range, RangeReader, Segment};
use crate::beneath::OFlags;
use crate::chain::ledger_of;
use crate::ledger::{
    self, LedgerEnd, LedgerEvent, LedgerFacts, LedgerGap, LedgerHeader, LedgerLine, LedgerWriter,
};
use crate::markers::{self, Marker};
use crate::{AudioFile, Beneath, Facts, FileFormat, MediaError, Moment, NamingClock};

/// Sentences of what could not be read that are kept; the report has all.
const MOST_TROUBLES: usize = 20;

/// What is to be exported.
#[derive(Debug)]
pub struct Order<'a> {
    /// The recorder's directory.
    pub recorder: Beneath,
    /// What is read.
    pub range: Range,
    /// What is made of it; takes the range's rate and channels.
    pub format: FileFormat,
    /// The file that is made.
    pub output: &'a Path,
    /// The clock that `bext`'s TimeReference follows; none takes that of the recorder's zone.
    pub clock: Option<NamingClock<'a>>,
    /// The program that writes, with its version.
    pub originator: String,
}

/// What lacks for one cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Lacks {
    /// How often.
    pub count: u64,
    /// Frames in all.
    pub frames: FrameCount,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// The file.
    pub path: PathBuf,
    /// Its first frame's position.
    pub from: FrameIndex,
    /// Position of the frame after its last one.
    pub to: FrameIndex,
    /// Its first frame's instant: RFC 3339.
    pub start_utc: String,
    /// Frames per second that positions count.
    pub rate: SampleRate,
    /// Samples of a frame.
    pub channels: ChannelCount,
    /// Frames in it.
    pub frames: FrameCount,
    /// Those of them that came.
    pub frames_written: FrameCount,
    /// Those that are silence.
    pub frames_filled: FrameCount,
    /// What they are silence for, by cause.
    pub lacks: BTreeMap<String, Lacks>,
    /// How many files of each kind it was taken from.
    pub sources: BTreeMap<&'static str, u64>,
    /// What could not be read, in sentences; the first few.
    pub troubles: Vec<String>,
    /// Markers that lie in it.
    pub markers: u64,
    /// Length of the file in bytes.
    pub bytes: u64,
}

/// Where an instant lies among segments of one recorder, sorted by start: as the one that holds it tells, else the nearest.
#[must_use]
pub fn position_at(segments: &[Segment], utc: i64) -> Option<FrameIndex> {
    nearest(segments, utc).map(|segment| segment.position_of(utc))
}

/// The one of them that holds an instant, else the nearest.
pub(crate) fn nearest(segments: &[Segment], utc: i64) -> Option<&Segment> {
    let holds = |s: &&Segment| s.start_utc <= utc && utc < s.end_utc;
    let distance = |s: &&Segment| if utc < s.start_utc { s.start_utc - utc } else { utc - s.end_utc };
    segments.iter().find(holds).or_else(|| segments.iter().min_by_key(distance))
}

/// Exports. `each` is told how many frames are done, now and then; its answer says whether to go on.
///
/// # Errors
/// [`MediaError::Exists`] if the name is taken, [`MediaError::Create`] and [`MediaError::Write`] as for any file that is written,
/// [`MediaError::Stopped`] if `each` said no. Nothing is left behind then.
pub fn export(order: Order<'_>, each: impl FnMut(FrameCount) -> bool) -> Result<Exported, MediaError> {
    let output = order.output;
    let name = output.file_name().ok_or_else(|| MediaError::Create {
        path: output.to_owned(),
        source: io::ErrorKind::InvalidInput.into(),
    })?;
    let create = |source| MediaError::Create { path: output.to_owned(), source };
    let directory = Beneath::root(output.parent().unwrap_or(Path::new(""))).map_err(create)?;
    let part = Parts { directory, name: name.to_owned(), part: part_of(name) };
    part.make_way().map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => MediaError::Exists { path: output.to_owned() },
        _ => create(error),
    })?;
    let done = filled(order, &part, each).and_then(|mut exported| {
        part.reveal().map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => MediaError::Exists { path: output.to_owned() },
            _ => create(error),
        })?;
        exported.path = output.to_owned();
        Ok(exported)
    });
    if done.is_err() {
        part.remove();
    }
    done
}

/// The name of a file that is not whole yet.
fn part_of(name: &OsStr) -> OsString {
    let mut part = OsString::from(".");
    part.push(name);
    part.push(".part");
    part
}

/// The name of an export's markers.
fn markers_of(name: &OsStr) -> OsString {
    let mut markers = name.to_owned();
    markers.push(".markers.jsonl");
    markers
}

/// The files of an export, under the names that they have until they are whole.
struct Parts {
    directory: Beneath,
    name: OsString,
    part: OsString,
}

impl Parts {
    /// Refuses a name that is taken, and removes what a killed export has left.
    fn make_way(&self) -> io::Result<()> {
        for name in [self.name.clone(), ledger_of(&self.name), markers_of(&self.name)] {
            if self.directory.kind_of(&name)?.is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
        }
        match self.directory.file(&self.part, OFlags::RDONLY) {
            Ok(left) if matches!(left.try_lock_shared(), Err(TryLockError::WouldBlock)) => {
                let busy = "another export to this name is under way";
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, busy));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.remove();
        Ok(())
    }

    fn remove(&self) {
        // What is not there needs no removing, and what cannot be removed the next export will say.
        let _ = self.directory.remove(&self.part);
        let _ = self.directory.remove(&ledger_of(&self.part));
        let _ = self.directory.remove(&markers_of(&self.part));
    }

    /// Gives all their names once the disk has them, the file last.
    fn reveal(&self) -> io::Result<()> {
        let mut names = vec![(ledger_of(&self.part), ledger_of(&self.name))];
        if self.directory.kind_of(&markers_of(&self.part))?.is_some() {
            names.push((markers_of(&self.part), markers_of(&self.name)));
        }
        names.push((self.part.clone(), self.name.clone()));
        for (part, _) in &names {
            self.directory.file(part, OFlags::RDONLY)?.sync_data()?;
        }
        for (n, (part, name)) in names.iter().enumerate() {
            if let Err(error) = self.directory.rename_to_free(part, name) {
                names[..n].iter().for_each(|(_, revealed)| drop(self.directory.remove(revealed)));
                return Err(error);
            }
        }
        self.directory.sync()
    }

    /// Writes the markers, if there are any.
    fn mark(&self, markers: &[Marker]) -> io::Result<()> {
        if markers.is_empty() {
            return Ok(());
        }
        let mut text = Vec::new();
        for marker in markers {
            serde_json::to_writer(&mut text, marker)?;
            text.push(b'\n');
        }
        let how = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        self.directory.file(&markers_of(&self.part), how)?.write_all(&text)
    }
}

/// The ledger's header of the file that a range begins in, or the one that comes first.
fn first_header(recorder: &Beneath, range: &Range) -> Option<(LedgerHeader, Segment)> {
    let number = range.pieces.iter().find_map(|piece| piece.segment)?;
    let segment = &range.segments[number];
    let path = Path::new(&segment.file);
    let directory = recorder.try_clone().ok()?.open(path.parent()?).ok()?;
    let file = directory.file(&ledger_of(path.file_name()?), OFlags::RDONLY).ok()?;
    let facts = LedgerFacts::read(BufReader::new(file), FrameCount::ZERO).ok()?;
    Some((facts.header, segment.clone()))
}

/// Steps 1 to 3 of the procedure.
fn filled(
    order: Order<'_>,
    parts: &Parts,
    mut each: impl FnMut(FrameCount) -> bool,
) -> Result<Exported, MediaError> {
    let Order { recorder, range, format, output, clock, originator } = order;
    let (facts, header) = told(&recorder, &range, format, clock, originator, parts);
    let mut file = format.create_in(&parts.directory, &parts.part, &facts, range.depth)?;
    let ledger =
        |source| MediaError::Create { path: parts.directory.path_of(&ledger_of(&parts.name)), source };
    let mut report =
        LedgerWriter::create_in(&parts.directory, &parts.part, header.clone()).map_err(ledger)?;
    let mut exported = Exported {
        path: output.to_owned(),
        from: range.from,
        to: range.to,
        start_utc: facts.start_utc,
        rate: range.rate,
        channels: range.channels,
        frames: range.frames(),
        frames_written: FrameCount::ZERO,
        frames_filled: FrameCount::ZERO,
        lacks: BTreeMap::new(),
        sources: sources(&range),
        troubles: Vec::new(),
        markers: 0,
        bytes: 0,
    };
    let own = range.segments.first().map_or(range.rate, |segment| segment.rate);
    let (first, last) = match range.segments.first() {
        Some(segment) => (range.position_back(segment, range.from), range.position_back(segment, range.to)),
        None => (range.from, range.to),
    };
    let marked = markers::read(&recorder, first, last, own)
        .map_err(|source| MediaError::Chain { path: recorder.path().to_owned(), source })?;
    let marked: Vec<Marker> = marked.iter().map(|marker| marker.at_rate(range.rate)).collect();
    exported.markers = marked.len() as u64;
    parts.mark(&marked).map_err(|source| MediaError::Create {
        path: parts.directory.path_of(&markers_of(&parts.name)),
        source,
    })?;
    let second = u64::from(range.rate.hz());
    let mut reader = RangeReader::new(recorder, range);
    let mut since = 0;
    let mut step = |file: &mut dyn AudioFile, frames: u64| -> Result<(), MediaError> {
        since += frames;
        if since >= second {
            since = 0;
            file.checkpoint()?;
            if !each(file.frames()) {
                return Err(MediaError::Stopped);
            }
        }
        Ok(())
    };
    while let Some(part) = reader.next_part() {
        match part {
            Part::Audio { samples, .. } => {
                let frames = (samples.len() / header.channels as usize) as u64;
                file.append(samples)?;
                exported.frames_written.0 += frames;
                step(&mut *file, frames)?;
            }
            Part::Lack(gap) => {
                let mut left = gap.frames.0;
                while left > 0 {
                    let now = left.min(second);
                    file.append_silence(FrameCount(now))?;
                    left -= now;
                    step(&mut *file, now)?;
                }
                exported.frames_filled += gap.frames;
                let lacks = exported.lacks.entry(gap.cause.clone()).or_default();
                lacks.count += 1;
                lacks.frames += gap.frames;
                let (position, frames) = (gap.position, gap.frames);
                let line =
                    LedgerGap { position, frames, cause: gap.cause, estimated: gap.estimated, open: false };
                report.enter(&LedgerLine::Gap(line)).map_err(ledger)?;
                for trouble in reader.take_troubles() {
                    let detail = trouble.to_string();
                    let event =
                        LedgerEvent { position, event: "unreadable".to_owned(), detail: detail.clone() };
                    report.enter(&LedgerLine::Event(event)).map_err(ledger)?;
                    if exported.troubles.len() < MOST_TROUBLES {
                        exported.troubles.push(detail);
                    }
                }
            }
        }
    }
    for finished in file.close() {
        finished.result?;
        exported.bytes = finished.bytes;
    }
    let end = LedgerEnd {
        closed: true,
        frames_written: exported.frames_written,
        frames_filled: exported.frames_filled,
        drift_ppm: None,
        tai_minus_utc: header.tai_minus_utc,
    };
    report.enter(&LedgerLine::End(end)).map_err(ledger)?;
    Ok(exported)
}

/// How many files of each kind a range lies in.
fn sources(range: &Range) -> BTreeMap<&'static str, u64> {
    let mut used: Vec<usize> = range.pieces.iter().filter_map(|piece| piece.segment).collect();
    used.sort_unstable();
    used.dedup();
    let of = |kind: Kind| used.iter().filter(|&&at| range.segments[at].kind == kind).count() as u64;
    Kind::ALL.into_iter().map(|kind| (kind.name(), of(kind))).filter(|(_, count)| *count > 0).collect()
}

/// What the file tells of itself, and the first line of its report.
fn told(
    recorder: &Beneath,
    range: &Range,
    format: FileFormat,
    clock: Option<NamingClock<'_>>,
    originator: String,
    parts: &Parts,
) -> (Facts, LedgerHeader) {
    let first = first_header(recorder, range);
    let segment = first.as_ref().map(|(_, segment)| segment).or(range.segments.first());
    let before = first.as_ref().map(|(header, _)| header.clone());
    // At the segments' own rate; on this timeline it is the same instant.
    let own = segment.map_or(range.from, |segment| range.position_back(segment, range.from));
    let utc = segment.map_or(0, |segment| segment.utc_of(own));
    let tai_minus_utc = segment.and_then(|segment| segment.tai_minus_utc);
    let exact = segment.is_some_and(|segment| segment.exact);
    let moment = match exact {
        // A leap second may lie between the file's end, which knows this offset, and its first frame: UTC was told there.
        true if Moment::of_position(range.from, range.rate, tai_minus_utc)
            == Moment::of_utc(utc, range.rate) =>
        {
            Moment::of_position(range.from, range.rate, tai_minus_utc)
        }
        _ => Moment::of_utc(utc, range.rate),
    };
    let start_utc = jiff::Timestamp::from_nanosecond(i128::from(utc)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let zone_name = before.as_ref().and_then(|header| header.zone.clone());
    let zone = zone_name.as_deref().and_then(|name| jiff::tz::TimeZone::get(name).ok());
    let zone = zone.unwrap_or(jiff::tz::TimeZone::UTC);
    let recorder = segment.map(|segment| segment.recorder.clone()).unwrap_or_default();
    let mut facts = Facts {
        recorder: recorder.clone(),
        description: recorder.clone(),
        originator,
        first: range.from,
        start_utc: start_utc.to_string(),
        tai_minus_utc,
        placed_by: before.as_ref().and_then(|header| header.placed_by.clone()),
        clock: before.as_ref().and_then(|header| header.clock).map(|clock| clock.name().to_owned()),
        ..Facts::default()
    };
    moment.enter(&mut facts, clock.unwrap_or(NamingClock::Zone(&zone)), tai_minus_utc);
    let header = LedgerHeader {
        audyn_ledger: ledger::VERSION,
        recorder,
        studio: segment.and_then(|segment| segment.studio.clone()),
        file: parts.name.to_string_lossy().into_owned(),
        first_position: range.from,
        start_utc: start_utc.to_string(),
        zone: zone_name,
        rate: range.rate,
        channels: range.channels.into(),
        bits: format.bits(),
        placed_by: facts.placed_by.clone(),
        clock: before.as_ref().and_then(|header| header.clock),
        tai_minus_utc,
    };
    (facts, header)
}
