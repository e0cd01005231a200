//! `audyn export`: one file with the exact frames of a stretch of a recorder, out of however many it lies in.
//!
//! Owns: options and words, and what a time means for that recorder. Never: the export itself, which is media's.

use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};

use audyn_api::{FormatConfig, OpusConfig, OpusMode};
use audyn_core::archive::ArchiveClock;
use audyn_media::archive::{Kind, Range, Segment, Wanted, When};
use audyn_media::export::{Exported, Lacks, Mirrored, Order, export, position_at};
use audyn_media::{Beneath, FileFormat, MediaError, NamingClock, PcmDepth};
use audyn_units::{Encoding, FrameCount, FrameIndex, Nanos};
use jiff::tz::TimeZone;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::both::{self, OneRecorder};
use crate::find::{FindError, one_recorder};
use crate::instant::{self, Instant};
use crate::stop::{SignalError, Stop};
use crate::values;
use crate::words::{counted, joined};

const EXAMPLES: &str = "\
Examples:
  audyn export --archive-root /srv/audio --recorder studio-1 --from 13:00 --to 14:00 -o news.wav
  audyn export --archive-root /srv/audio --recorder studio-1 --from now-15m --to now -o last.flac
  audyn export --archive-root /srv/audio --recorder studio-1 --from 2026-07-02T12:59:30Z --to @84067852800000 -o cut.opus --json
  audyn export --archive-root /srv/audio --mirror /srv/mirror --recorder studio-1 --from 13:00 --to 14:00 -o whole.wav

What nothing was recorded of is silence of its length; FILE.gaps.jsonl lists it, with what the recordings' own ledgers tell of, as
frames since 1970-01-01 00:00:00 TAI. What is recorded only later is left out.

What is going to be read is held from the beginning on, with --mirror on both volumes: no limit by days or bytes deletes it meanwhile, nor
anything younger instead, and the volume's floor takes what is next in age; what a person deletes is exported all the same. So let an export
of much come to its end.

With --mirror, what the archive lacks (a recording that is gone, cannot be read, ends early or has a gap) is taken from there, to the
frame; the output and FILE.gaps.jsonl say what.

Exit codes: 0 exported, also if something lacks; 1 it went wrong while running, 2 it was asked for wrongly.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{}\n\n{EXAMPLES}", instant::FORMS))]
pub(crate) struct ExportArgs {
    /// The archive's root, or one recorder's directory.
    #[arg(long, value_name = "DIR")]
    archive_root: PathBuf,
    /// The archive's mirror, as audyn-engine has it: what the archive lacks is taken from there.
    #[arg(long, value_name = "DIR")]
    mirror: Option<PathBuf>,
    /// The recorder; need not be given where there is only one.
    #[arg(long, value_name = "ID")]
    recorder: Option<String>,
    /// The first frame.
    #[arg(long, value_name = "TIME", value_parser = instant::instant)]
    from: Instant,
    /// The frame after the last one.
    #[arg(long, value_name = "TIME", value_parser = instant::instant)]
    to: Instant,
    /// The file that is made; it must not exist.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Its format: wav, flac or opus [default: as the name of -o ends, or wav].
    #[arg(long, value_name = "FORMAT", value_parser = kind)]
    format: Option<Kind>,
    /// Depth of WAV and FLAC: 16, 24, or in WAV 32 for floats; as recorded unless given.
    #[arg(long, value_name = "BITS", value_parser = values::depth)]
    bits: Option<u16>,
    /// Take only recordings of this format: wav, flac or opus; unless given, Opus is taken only where nothing lossless is.
    #[arg(long, value_name = "FORMAT", value_parser = kind)]
    source_format: Option<Kind>,
    /// Clock of the file's date and time (bext): localtime (where it was recorded), utc or ptp.
    #[arg(long, value_name = "CLOCK", default_value = "localtime")]
    clock: ArchiveClock,
    /// Bitrate of Opus in bits per second, all channels together [default: 128000, more for more than two channels].
    #[arg(long, value_name = "BITS", value_parser = values::bitrate)]
    bitrate: Option<u32>,
    /// Opus as many bits as the signal needs; this is the default.
    #[arg(long, conflicts_with = "cbr")]
    vbr: bool,
    /// Opus packets all of one size.
    #[arg(long)]
    cbr: bool,
    /// How much work the Opus encoder may take: 0 to 10 [default: 5].
    #[arg(long, value_name = "N", value_parser = values::complexity)]
    complexity: Option<u8>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(
        "the first that was recorded after --from is of {begin}, {days} days later, and all before it would be silence; begin at most a day \
         before it"
    )]
    Early { begin: String, days: u64 },
    #[error("--bits {0} is not a depth that {1} is written in; use 16 or 24, or with wav 32 for floats")]
    Bits(u16, &'static str),
    #[error("{0} is for Opus, and the file is {1}; add --format opus")]
    NoOpus(&'static str, &'static str),
    #[error(transparent)]
    Media(MediaError),
    #[error("{0}")]
    Signals(#[from] SignalError),
}

impl ExportError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Find(error) => error.exit_code(),
            Self::Media(
                MediaError::Range { .. }
                | MediaError::Spec { .. }
                | MediaError::Exists { .. }
                | MediaError::Create { .. },
            ) => 2,
            Self::Media(_) | Self::Signals(_) => 1,
            _ => 2,
        }
    }
}

/// Descriptors that the export itself needs: what it writes, and whatever is open before it begins.
const OWN: u64 = 64;

/// Descriptors that hold what is read, at most: what is open keeps some kilobytes of the kernel's memory, beside an engine that records.
const MOST_HELD: u64 = 16_384;

/// Descriptors that may hold what is read: as many as this process may be given, within reason. A day of ten-second files takes 17,280; files
/// beyond are held in their turn.
fn descriptors() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 0 };
    // What is refused leaves it as it was.
    let most = if setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft };
    most.saturating_sub(OWN).min(MOST_HELD) as usize
}

/// Files of the mirror that are told by name; the report names all of them.
const MOST_NAMED: usize = 5;

fn kind(text: &str) -> Result<Kind, String> {
    Kind::of(text).ok_or_else(|| format!("\"{text}\" is no format; give wav, flac or opus"))
}

/// Exports, and tells what lacks.
pub(crate) fn run(args: &ExportArgs, json: bool) -> Result<(), ExportError> {
    args.check()?;
    let stop = Stop::on_signals()?;
    let now = instant::now();
    let (from, to) = (args.from.when(&now), args.to.when(&now));
    let wanted = Wanted { recorder: args.recorder.clone(), studio: None, from: Some(from), to: Some(to) };
    let OneRecorder { directories, archive, mirror } = args.recorder(&wanted)?;
    let now = i64::try_from(now.timestamp().as_nanosecond()).unwrap_or(i64::MAX);
    let range = plan((archive, mirror), (from, to), now, args.source_format).map_err(ExportError::Media)?;
    no_ages_of_silence(&range)?;
    let format = args.file_format(&range)?;
    let zone = TimeZone::UTC;
    let clock = match args.clock {
        ArchiveClock::LocalTime => None,
        ArchiveClock::Utc => Some(NamingClock::Zone(&zone)),
        ArchiveClock::Ptp => Some(NamingClock::Tai),
    };
    let live = !json && std::io::stderr().is_terminal();
    let frames = range.frames();
    let order = Order {
        recorder: directories,
        range,
        descriptors: descriptors(),
        format,
        output: &args.output,
        clock,
        originator: concat!("Audyn ", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    let exported = export(order, |done| {
        if live {
            let percent = done.0 as f64 / frames.0.max(1) as f64 * 100.0;
            let _ = write!(std::io::stderr(), "\r\x1b[K{percent:.0} %");
        }
        !stop.is_set()
    });
    if live {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    let exported = exported.map_err(ExportError::Media)?;
    let told =
        if json { serde_json::to_string(&exported).expect("its fields are plain") } else { told(&exported) };
    let _ = writeln!(std::io::stdout(), "{told}"); // whoever read there may have gone
    Ok(())
}

/// Where the frames lie, in the archive or on its mirror. What was not recorded yet at `now` is left out.
fn plan(
    (archive, mirror): (Vec<Segment>, Vec<Segment>),
    (from, to): (When, When),
    now: i64,
    only: Option<Kind>,
) -> Result<Range, MediaError> {
    let mut segments: Vec<Segment> = archive.iter().chain(&mirror).cloned().collect();
    // Stable: of two that tell an instant the archive's does.
    segments.sort_by_key(|segment| segment.start_utc);
    let position = |when: When| match when {
        When::Frame(position) => position,
        When::Utc(utc) => position_at(&segments, utc).unwrap_or(FrameIndex(0)),
    };
    let to = position(to).min(position(When::Utc(now)));
    let mut range = Range::plan_both(archive, mirror, position(from), to, only)?;
    if let [.., before, last] = range.pieces.as_slice()
        && last.segment.is_none()
        && let Some(number) = before.segment
    {
        let segment = &range.segments[number];
        let end = segment.utc_of(range.position_back(segment, last.from));
        if now.saturating_sub(end) < YET_TO_COME {
            range.cut(last.from);
        }
    }
    // Nor does the archive lack what the mirror's file of the same recording counts already and its own a moment later.
    if let [.., before, last] = range.pieces.as_slice()
        && let (Some(here), Some(there)) = (before.segment, last.segment)
        && range.is_of_mirror(there)
        && !range.is_of_mirror(here)
        && range.segments[here].entry == 0
        && range.segments[there].entry == 0
        && range.rate.duration(last.to.since(last.from)).0 < YET_TO_COME
        && now.saturating_sub(range.segments[there].end_utc) < YET_TO_COME
    {
        range.cut(last.from);
    }
    Ok(range)
}

/// Whoever gives another year than he means gets no disk full of silence.
fn no_ages_of_silence(range: &Range) -> Result<(), ExportError> {
    let day = range.rate.frames_in(Nanos::from_secs(86_400));
    let [first, second, ..] = range.pieces.as_slice() else { return Ok(()) };
    let silent = second.from.since(first.from);
    match (first.segment, second.segment.map(|number| &range.segments[number])) {
        (None, Some(segment)) if silent > day => {
            let at = jiff::Timestamp::from_nanosecond(i128::from(segment.start_utc)).unwrap_or_default();
            Err(ExportError::Early { begin: format!("{at:.0}"), days: silent.0 / day.0 })
        }
        _ => Ok(()),
    }
}

/// What a file that is being written has ended with so recently is no hole: more comes, though its header does not count it yet.
const YET_TO_COME: i64 = 5_000_000_000;

impl ExportArgs {
    /// The recorder that is meant, and its files.
    fn recorder(&self, wanted: &Wanted) -> Result<OneRecorder, ExportError> {
        if let Some(mirror) = &self.mirror {
            return Ok(both::one_recorder(&self.archive_root, mirror, wanted)?);
        }
        let (directory, archive) = one_recorder(&self.archive_root, wanted)?;
        let opened = Beneath::root(&directory)
            .map_err(|source| ExportError::Media(MediaError::Chain { path: directory, source }))?;
        Ok(OneRecorder { directories: opened.into(), archive, mirror: Vec::new() })
    }

    /// Refuses what does not fit together, before anything is read.
    fn check(&self) -> Result<(), ExportError> {
        let kind = self.kind();
        match (kind, self.bits) {
            (_, None) | (Kind::Wav, Some(16 | 24 | 32)) | (Kind::Flac, Some(16 | 24)) => {}
            (_, Some(bits)) => return Err(ExportError::Bits(bits, kind.name())),
        }
        let given = [
            (self.bitrate.is_some(), "--bitrate"),
            (self.vbr, "--vbr"),
            (self.cbr, "--cbr"),
            (self.complexity.is_some(), "--complexity"),
        ];
        match given.into_iter().find(|(given, _)| *given && kind != Kind::Opus) {
            Some((_, option)) => Err(ExportError::NoOpus(option, kind.name())),
            None => Ok(()),
        }
    }

    fn kind(&self) -> Kind {
        let named = self.output.extension().and_then(|suffix| Kind::of(suffix.to_str()?));
        self.format.or(named).unwrap_or(Kind::Wav)
    }

    fn file_format(&self, range: &Range) -> Result<FileFormat, ExportError> {
        let config = match (self.kind(), self.bits, range.depth) {
            (Kind::Opus, ..) => FormatConfig::Opus,
            (Kind::Wav, Some(16), _) | (Kind::Wav, None, PcmDepth::Pcm16) => FormatConfig::Wav16,
            (Kind::Wav, Some(32), _) | (Kind::Wav, None, PcmDepth::Float32) => FormatConfig::Wav32f,
            (Kind::Wav, ..) => FormatConfig::Wav24,
            (Kind::Flac, Some(16), _) | (Kind::Flac, None, PcmDepth::Pcm16) => FormatConfig::Flac16,
            (Kind::Flac, ..) => FormatConfig::Flac24,
        };
        let opus = OpusConfig {
            bitrate: self.bitrate,
            mode: if self.cbr { OpusMode::Cbr } else { OpusMode::Vbr },
            complexity: self.complexity.unwrap_or(OpusConfig::default().complexity),
            ..OpusConfig::default()
        };
        // Each names its own depth; the encoding only stands in for that.
        let formats = audyn_daemon::formats_of(&[config], &opus, range.rate, range.channels, Encoding::L24);
        let format = formats.map_err(ExportError::Media)?.into_iter().next();
        Ok(format.expect("one format was asked for"))
    }
}

fn told(exported: &Exported) -> String {
    let seconds = exported.rate.duration(exported.frames).as_secs_f64();
    let files: u64 = exported.sources.values().sum();
    let mut lines = exported.troubles.clone();
    let mut line = format!(
        "{}: {} ({seconds:.3} s) from {} on, out of {}",
        exported.path.display(),
        exported.frames,
        exported.start_utc,
        counted(files, "recording")
    );
    if exported.frames_filled == FrameCount(0) {
        line.push_str("; nothing lacks");
    } else {
        let of = |(cause, lacks): (&String, &Lacks)| {
            format!("{} of {cause} with {}", counted(lacks.count, "gap"), lacks.frames)
        };
        let lacks: Vec<String> = exported.lacks.iter().map(of).collect();
        let report = report(&exported.path);
        line.push_str(&format!("; silence for {}: {} tells where", joined(&lacks, "and"), report.display()));
    }
    if let Some(mirrored) = exported.mirror.as_ref().filter(|mirrored| mirrored.count > 0) {
        let Mirrored { count, frames, files } = mirrored;
        let mut named: Vec<String> = files.iter().take(MOST_NAMED).cloned().collect();
        if files.len() > MOST_NAMED {
            named.push(format!("{} more", files.len() - MOST_NAMED));
        }
        let (places, named) = (counted(*count, "place"), joined(&named, "and"));
        line.push_str(&format!("; {frames} in {places} come from the mirror: {named}"));
    }
    lines.push(line);
    lines.join("\n")
}

/// The name of the report.
fn report(path: &Path) -> PathBuf {
    path.with_file_name(audyn_media::chain::ledger_of(path.file_name().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use audyn_units::SampleRate;

    use super::*;

    #[test]
    fn what_the_mirror_counts_a_moment_earlier_is_not_lacked_by_the_archive() {
        let end_utc = |frames: u64| (frames / 48 * 1_000_000).cast_signed();
        let of = |frames: u64, entry| Segment {
            recorder: "a".to_owned(),
            studio: None,
            file: "a.wav".to_owned(),
            kind: Kind::Wav,
            rate: SampleRate::HZ_48000,
            channels: 1,
            bits: Some(24),
            start: FrameIndex(0),
            frames: FrameCount(frames),
            start_utc: 0,
            end_utc: end_utc(frames),
            filled: FrameCount(0),
            gaps: 0,
            bytes: 0,
            exact: true,
            tai_minus_utc: None,
            entry,
        };
        let planned = |here: Segment, there: Segment, now: i64| {
            let to = there.end();
            let times = (When::Frame(FrameIndex(0)), When::Frame(to));
            plan((vec![here], vec![there]), times, now, None).unwrap().to.0
        };
        let (second, now) = (48_000, end_utc(11 * 48_000));
        assert_eq!(planned(of(10 * second, 0), of(10 * second + 24_000, 0), now), 10 * second);
        // It ended there, or lags by more than a moment.
        assert_eq!(planned(of(10 * second, 1), of(10 * second + 24_000, 1), now), 10 * second + 24_000);
        assert_eq!(planned(of(2 * second, 0), of(10 * second, 0), now), 10 * second);
    }
}
