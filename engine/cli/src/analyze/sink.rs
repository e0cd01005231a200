//! Where the audio of a capture goes: a WAV file for each stream, and beside it a gap ledger as a recording has.
//!
//! Owns: names, and that nothing that exists is touched. Must never: tell an instant that a capture does not know; its clock may be UTC,
//! TAI or wrong, so positions count from the stream's first frame, and the ledger's header says that no clock placed them.

use std::path::{Path, PathBuf};

use audyn_core::flow::{FlowEvent, FlowSink, Gap, Placed};
use audyn_daemon::{event_line, gap_line};
use audyn_media::chain::ledger_of;
use audyn_media::ledger::{LedgerEnd, LedgerHeader, LedgerLine, LedgerWriter, VERSION};
use audyn_media::{Beneath, Facts, MediaError, PcmDepth, WavSpec, WavWriter};
use audyn_units::{Encoding, FrameCount, FrameIndex};

use super::AnalyzeError;
use super::receive::{CaptureClock, Merger};
use crate::capture::Survey;

/// Gaps that are kept of one stream for the report; more are counted.
const GAPS: usize = 100_000;

/// Where audio goes.
#[derive(Debug)]
pub(super) enum Output {
    File(PathBuf),
    Directory(PathBuf),
}

/// When the first frame of a stream came, as far as the capture tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Began {
    /// Its arrival by the capturing machine's clock.
    pub(super) at: i64,
    /// What that clock counts.
    pub(super) clock: Option<CaptureClock>,
    /// TAI − UTC in seconds.
    pub(super) tai_offset: i64,
}

/// Takes a receiver's timeline: counts it, lists its gaps, and writes both if wanted.
#[derive(Default)]
pub(super) struct Sink {
    pub(super) gaps: Vec<Gap>,
    pub(super) gaps_more: u64,
    pub(super) frames: u64,
    pub(super) filled: u64,
    pub(super) path: Option<PathBuf>,
    files: Option<Files>,
    error: Option<MediaError>,
}

/// The audio, and what is to be said of it.
struct Files {
    audio: WavWriter,
    ledger: LedgerWriter,
    channels: usize,
    /// The end of what was given.
    head: FrameIndex,
    tai_minus_utc: Option<i64>,
}

impl FlowSink for Sink {
    // No clock is told, so there is one stretch, which begins with frame 0.
    fn placed(&mut self, _: &Placed) {}

    fn audio(&mut self, at: FrameIndex, samples: &[i32]) {
        self.write(|files| {
            files.head = at + FrameCount((samples.len() / files.channels) as u64);
            files.audio.append(samples)
        });
    }

    fn silence(&mut self, at: FrameIndex, frames: FrameCount) {
        self.filled += frames.0;
        self.write(|files| {
            files.head = at + frames;
            files.audio.append_silence(frames)
        });
    }

    fn gap_opened(&mut self, _: Gap) {}

    fn gap_closed(&mut self, gap: Gap) {
        self.write(|files| files.enter(&gap_line(gap, false)));
        if self.gaps.len() < GAPS {
            self.gaps.push(gap);
        } else {
            self.gaps_more += 1;
        }
    }

    fn event(&mut self, event: FlowEvent) {
        self.write(|files| files.enter(&event_line(files.head, event)));
    }
}

impl Files {
    fn enter(&mut self, line: &LedgerLine) -> Result<(), MediaError> {
        self.ledger.enter(line).map_err(|source| no_ledger(self.audio.path(), source))
    }
}

impl Sink {
    fn write(&mut self, what: impl FnOnce(&mut Files) -> Result<(), MediaError>) {
        if let Some(files) = &mut self.files
            && let Err(error) = what(files)
        {
            self.files = None;
            self.error = Some(error);
        }
    }

    /// Ends both files, of which the receiver has given so many `frames`.
    pub(super) fn finish(&mut self, frames: FrameCount) -> Result<(), MediaError> {
        self.frames = frames.0;
        let frames_filled = FrameCount(self.filled);
        self.write(|files| {
            let tai_minus_utc = files.tai_minus_utc;
            let frames_written = frames.saturating_sub(frames_filled);
            let end =
                LedgerEnd { closed: true, frames_written, frames_filled, drift_ppm: None, tai_minus_utc };
            files.enter(&LedgerLine::End(end))
        });
        match (self.files.take(), self.error.take()) {
            (_, Some(error)) => Err(error),
            (Some(files), None) => files.audio.close(),
            (None, None) => Ok(()),
        }
    }
}

impl Output {
    /// A file for one stream, or a directory for several.
    pub(super) fn at(path: &Path, survey: &Survey, mergers: &[Merger]) -> Result<Self, AnalyzeError> {
        let whole = survey.flows.len() - mergers.iter().map(|merger| merger.flows.len() - 1).sum::<usize>();
        let named = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        if whole == 1 && !named && !path.is_dir() {
            return Ok(Self::File(path.to_owned()));
        }
        if path.extension().is_some_and(|extension| extension == "wav") && !path.is_dir() {
            return Err(AnalyzeError::Usage(format!(
                "the capture has {whole} streams, and {} is one file; choose one by --flow, or give a directory",
                path.display()
            )));
        }
        std::fs::create_dir_all(path)
            .map_err(|error| AnalyzeError::Directory { path: path.to_owned(), reason: error.to_string() })?;
        Ok(Self::Directory(path.to_owned()))
    }

    /// Opens the files of one stream, or of the legs together. Of legs, only a directory gets each by itself.
    pub(super) fn open(
        &self,
        survey: &Survey,
        flows: &[usize],
        is_leg: bool,
        began: Began,
    ) -> Result<Sink, MediaError> {
        let form = &survey.flows[flows[0]].form;
        let names = flows.iter().map(|flow| {
            let to = survey.shapes.shapes[survey.flows[*flow].shape].way.destination;
            format!("{}-{}", to.ip().to_string().replace(':', "_"), to.port())
        });
        let name = names.collect::<Vec<_>>().join("+");
        let path = match self {
            Self::File(_) if is_leg => return Ok(Sink::default()),
            Self::File(path) => path.clone(),
            Self::Directory(directory) => directory.join(format!("{name}.wav")),
        };
        let depth = match form.format.encoding {
            Encoding::L16 => PcmDepth::Pcm16,
            Encoding::L24 => PcmDepth::Pcm24,
        };
        let spec = WavSpec { rate: form.format.rate, channels: form.format.channels, depth };
        let originator = concat!("Audyn ", env!("CARGO_PKG_VERSION")).to_owned();
        let facts = Facts { description: name, originator, ..Facts::default() };
        // Both names have to be free before either is taken.
        let file = path.file_name().unwrap_or_default();
        let ledger = path.with_file_name(ledger_of(file));
        if ledger.symlink_metadata().is_ok() {
            return Err(MediaError::Exists { path: ledger });
        }
        let mut audio = WavWriter::create(&path, spec, &facts)?;
        audio.set_source_depth(depth);
        let by_tai = began.clock == Some(CaptureClock::Tai);
        let tai_minus_utc = by_tai.then_some(began.tai_offset);
        let header = LedgerHeader {
            audyn_ledger: VERSION,
            recorder: "analyze".to_owned(),
            studio: None,
            file: file.to_string_lossy().into_owned(),
            first_position: FrameIndex(0),
            start_utc: utc(began.at.saturating_sub(tai_minus_utc.unwrap_or(0) * 1_000_000_000)),
            zone: None,
            rate: spec.rate,
            channels: spec.channels.into(),
            bits: Some(depth.bits()),
            placed_by: None,
            clock: None,
            tai_minus_utc,
        };
        let beside = Beneath::root(path.parent().unwrap_or(Path::new("")));
        let ledger = beside
            .and_then(|beside| LedgerWriter::create_in(&beside, file, header))
            .map_err(|source| no_ledger(&path, source))?;
        let files =
            Files { audio, ledger, channels: spec.channels.get(), head: FrameIndex(0), tai_minus_utc };
        Ok(Sink { path: Some(path), files: Some(files), ..Sink::default() })
    }
}

/// A ledger that cannot be made or written.
fn no_ledger(audio: &Path, source: std::io::Error) -> MediaError {
    MediaError::Create {
        path: audio.with_file_name(ledger_of(audio.file_name().unwrap_or_default())),
        source,
    }
}

/// An instant as RFC 3339 has it.
pub(super) fn utc(nanos: i64) -> String {
    let at = jiff::Timestamp::from_nanosecond(i128::from(nanos));
    at.expect("64 bits of nanoseconds end long before the calendar does").to_string()
}
