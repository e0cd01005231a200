//! One file out of a stretch of a recorder, with the exact frames, and a report of what lacks.
//!
//! Owns: that an export is whole or not there. Must never: overwrite a file, alter what it reads from, or hold more than a few blocks
//! in memory, however long the stretch.
//!
//! ```text
//! NAME                what was asked for, as one file; its first frame is the first that was asked for
//! NAME.gaps.jsonl     a gap ledger as beside each recording: positions of the export, which are those of the recorder; an event
//!                     `from-mirror` for each stretch that the archive lacks and its mirror has
//! NAME.markers.jsonl  what people have marked there, at the export's positions; only if there is something
//! ```
//!
//! What is read is held from the beginning on: see [`Order::descriptors`] and `archive`'s page on the files of a range.
//!
//! # Procedure
//! 1 `.NAME.part` and its ledger are made, 2 filled, 3 closed and synced, 4 ledger and markers get their names, 5 the file gets its name
//! (each fails if that is taken). An end before that removes all; a kill leaves `.NAME.part`, which the next export of that name
//! removes, unless somebody writes it.

mod facts;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::TryLockError;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use audyn_units::{ChannelCount, FrameCount, FrameIndex, SampleRate};
use serde::Serialize;

use crate::archive::{Directories, Kind, Part, Range, RangeReader, Segment};
use crate::beneath::OFlags;
use crate::chain::ledger_of;
use crate::ledger::{LedgerEnd, LedgerEvent, LedgerGap, LedgerLine, LedgerWriter};
use crate::markers::{self, Marker};
use crate::{AudioFile, Beneath, FileFormat, MediaError, NamingClock};
use facts::told;

/// Sentences of what could not be read that are kept; the report has all.
const MOST_TROUBLES: usize = 20;

/// What is to be exported.
#[derive(Debug)]
pub struct Order<'a> {
    /// The recorder's directory; also that on the mirror, if the range was planned on both.
    pub recorder: Directories,
    /// What is read.
    pub range: Range,
    /// Descriptors that may be held so that what is planned is there to the end: two for each file.
    pub descriptors: usize,
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

/// What came from the mirror, since the archive lacks it. The report has each stretch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Mirrored {
    /// In how many stretches.
    pub count: u64,
    /// Frames in all.
    pub frames: FrameCount,
    /// The files that they were taken from, as paths below the recorder's directory.
    pub files: Vec<String>,
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
    /// What came from the mirror; none where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirrored>,
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

/// Steps 1 to 3 of the procedure.
fn filled(
    order: Order<'_>,
    parts: &Parts,
    mut each: impl FnMut(FrameCount) -> bool,
) -> Result<Exported, MediaError> {
    let Order { recorder, range, descriptors, format, output, clock, originator } = order;
    let is_of_two = recorder.mirror.is_some();
    let marked = marked(&recorder.archive, &range)?;
    let mut reader = RangeReader::holding(recorder, range, descriptors);
    let (facts, header) = told(&reader, format, clock, originator, &parts.name);
    let range = reader.range().clone();
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
        sources: BTreeMap::new(),
        mirror: is_of_two.then(Mirrored::default),
        troubles: Vec::new(),
        markers: marked.len() as u64,
        bytes: 0,
    };
    parts.mark(&marked).map_err(|source| MediaError::Create {
        path: parts.directory.path_of(&markers_of(&parts.name)),
        source,
    })?;
    let second = u64::from(range.rate.hz());
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
    let mut used: BTreeSet<usize> = range.pieces.iter().filter_map(|piece| piece.segment).collect();
    let mut stretch: Option<Stretch> = None;
    while let Some(part) = reader.next_part() {
        let ended = stretch.take_if(|stretch| !stretch.takes(&part));
        report_mirrored(ended, &range, &mut report, &mut exported).map_err(ledger)?;
        let position = match part {
            Part::Audio { samples, segment, position } => {
                let frames = (samples.len() / header.channels as usize) as u64;
                file.append(samples)?;
                exported.frames_written.0 += frames;
                step(&mut *file, frames)?;
                used.insert(segment);
                if range.is_of_mirror(segment) {
                    let none = Stretch { position, frames: FrameCount::ZERO, segment };
                    stretch.get_or_insert(none).frames += FrameCount(frames);
                }
                position
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
                position
            }
        };
        for trouble in reader.take_troubles() {
            let detail = trouble.to_string();
            let event = LedgerEvent { position, event: "unreadable".to_owned(), detail: detail.clone() };
            report.enter(&LedgerLine::Event(event)).map_err(ledger)?;
            if exported.troubles.len() < MOST_TROUBLES {
                exported.troubles.push(detail);
            }
        }
    }
    report_mirrored(stretch, &range, &mut report, &mut exported).map_err(ledger)?;
    exported.sources = sources(&range, &used);
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

/// What people have marked in a range, at its positions. Markers stand on the archive's volume alone.
fn marked(recorder: &Beneath, range: &Range) -> Result<Vec<Marker>, MediaError> {
    let own = range.segments.first().map_or(range.rate, |segment| segment.rate);
    let (first, last) = match range.segments.first() {
        Some(segment) => (range.position_back(segment, range.from), range.position_back(segment, range.to)),
        None => (range.from, range.to),
    };
    let marked = markers::read(recorder, first, last, own)
        .map_err(|source| MediaError::Chain { path: recorder.path().to_owned(), source })?;
    Ok(marked.iter().map(|marker| marker.at_rate(range.rate)).collect())
}

/// Frames that follow one another in a file of the mirror.
struct Stretch {
    position: FrameIndex,
    frames: FrameCount,
    segment: usize,
}

impl Stretch {
    /// Whether it goes on with a part.
    fn takes(&self, part: &Part<'_>) -> bool {
        matches!(part, Part::Audio { segment, .. } if *segment == self.segment)
    }
}

/// Enters a stretch that has ended.
fn report_mirrored(
    ended: Option<Stretch>,
    range: &Range,
    report: &mut LedgerWriter,
    exported: &mut Exported,
) -> io::Result<()> {
    let (Some(Stretch { position, frames, segment }), Some(mirrored)) = (ended, &mut exported.mirror) else {
        return Ok(());
    };
    let file = &range.segments[segment].file;
    mirrored.count += 1;
    mirrored.frames += frames;
    if mirrored.files.last() != Some(file) && !mirrored.files.contains(file) {
        mirrored.files.push(file.clone());
    }
    let detail = format!("{frames} that the archive lacks are the mirror's, of {file}");
    report.enter(&LedgerLine::Event(LedgerEvent { position, event: "from-mirror".to_owned(), detail }))
}

/// How many files of each kind a range was taken from.
fn sources(range: &Range, used: &BTreeSet<usize>) -> BTreeMap<&'static str, u64> {
    let of = |kind: Kind| used.iter().filter(|&&at| range.segments[at].kind == kind).count() as u64;
    Kind::ALL.into_iter().map(|kind| (kind.name(), of(kind))).filter(|(_, count)| *count > 0).collect()
}
