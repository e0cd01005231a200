//! What `audyn record` shows: the live line, lines of levels, the summary.

use std::io::IsTerminal;
use std::path::PathBuf;

use audyn_api::{FlowCounters, LegSnapshot, LevelsFrame, RecorderSnapshot, Snapshot, SourceConfig};
use audyn_core::flow::{Gap, GapCause};
use audyn_daemon::{CLOCK_LOG, Notice, Printer};
use audyn_units::{FrameCount, FrameIndex};
use serde::Serialize;

use super::RecordError;
use crate::words::counted;

/// What came of a recording.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    files: Vec<(PathBuf, FrameIndex)>,
    gaps: Vec<Gap>,
    error: Option<String>,
    /// The recording has ended and its files are closed.
    pub(super) ended: bool,
    last: Option<RecorderSnapshot>,
    /// The flow and its legs as they were when the recording ended: closing the files takes its time, and the flow goes on.
    counters: FlowCounters,
    legs: Vec<LegSnapshot>,
    /// They stay as they are.
    settled: bool,
}

/// The summary as `--json` prints it.
#[derive(Serialize)]
struct Summary<'a> {
    files: Vec<FileLine<'a>>,
    rate: u32,
    frames_written: u64,
    frames_filled: u64,
    gaps: &'a [Gap],
    /// Of the flow until the recording ended; gaps and lost frames are those in the files.
    counters: FlowCounters,
    legs: &'a [LegSnapshot],
}

#[derive(Serialize)]
struct FileLine<'a> {
    path: &'a std::path::Path,
    /// Position of its first frame, in the terms of the gaps' positions.
    first_position: FrameIndex,
}

#[derive(Serialize)]
struct LevelsLine {
    levels: Vec<ChannelLine>,
}

#[derive(Serialize)]
struct ChannelLine {
    rms: f32,
    peak: f32,
    clipping: bool,
}

/// Logs to standard error; only warnings unless asked for more, and those of the clock only where PTP was asked for: most who
/// record one file have none, and the ledger says how well the clock was known.
pub(super) fn logging(verbose: u8, ptp_asked: bool, errors: Printer) {
    let level = match verbose {
        0 if ptp_asked => "warn".to_owned(),
        0 => format!("warn,{CLOCK_LOG}=error"),
        1 => "info".to_owned(),
        _ => "debug".to_owned(),
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| level.into());
    // A second call in one process changes nothing.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || errors.clone())
        .without_time()
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
}

/// A line of levels, if there is a recorder.
pub(super) fn levels(frame: &LevelsFrame, json: bool) -> Option<String> {
    let recorder = frame.recorders.first()?;
    if json {
        let levels = recorder.channels.iter();
        let levels =
            levels.map(|l| ChannelLine { rms: l.rms.0, peak: l.peak.0, clipping: l.clipping }).collect();
        let line = serde_json::to_string(&LevelsLine { levels }).expect("numbers and flags are JSON");
        Some(line + "\n")
    } else {
        let line: Vec<String> =
            recorder.channels.iter().map(|l| format!("{:.1}/{:.1}", l.rms.0, l.peak.0)).collect();
        Some(format!("levels {}\n", line.join(" ")))
    }
}

/// One line on the terminal that is drawn over and over.
pub(super) struct Live {
    on: bool,
    drawn: bool,
    errors: Printer,
}

impl Live {
    pub(super) fn new(on: bool, errors: Printer) -> Self {
        Self { on, drawn: false, errors }
    }

    pub(super) fn draw(&mut self, snapshot: &Snapshot, levels: &LevelsFrame) {
        let Some(recorder) = snapshot.recorders.first().filter(|_| self.on) else { return };
        let frames = recorder.frames_written + recorder.frames_filled;
        let loudest = levels.recorders.first().map_or_else(String::new, |levels| {
            let channels: Vec<String> = levels.channels.iter().map(|l| format!("{:5.1}", l.peak.0)).collect();
            if channels.len() > 8 { format!("{} …", channels[..8].join(" ")) } else { channels.join(" ") }
        });
        let lost = recorder.frames_filled.0 as f64 * 1e3 / f64::from(recorder.rate.max(1));
        let file = recorder.current_file.as_deref().unwrap_or("(waiting for audio)");
        let trouble = recorder.errors.first().map_or_else(String::new, |error| format!("  ! {error}"));
        let line =
            format!("● {}  {loudest} dBFS  lost {lost:.0} ms  {file}{trouble}", clock(frames, recorder.rate));
        // `\x1b[K` clears what a longer line left.
        self.errors.print(format!("\r{line}\x1b[K"));
        self.drawn = true;
    }

    /// What ends the line, if there is one.
    pub(super) fn finish(&self) -> &'static str {
        if self.drawn { "\n" } else { "" }
    }
}

/// What was told of each of two legs. The recording goes on by the other one, so nothing else would show it without a terminal.
#[derive(Debug, Default)]
pub(super) struct Legs {
    told: Vec<Option<String>>,
}

impl Legs {
    /// Warns of a leg that is not received, when that begins and when it ends.
    pub(super) fn tell(&mut self, snapshot: &Snapshot) {
        for sentence in snapshot.flows.first().map(|flow| self.news(&flow.legs)).unwrap_or_default() {
            tracing::warn!("{sentence}");
        }
    }

    fn news(&mut self, legs: &[LegSnapshot]) -> Vec<String> {
        self.told.resize(legs.len(), None);
        let mut news = Vec::new();
        for (leg, told) in legs.iter().zip(&mut self.told).filter(|_| legs.len() > 1) {
            match &leg.error {
                Some(why) if told.as_ref() != Some(why) => {
                    news.push(format!(
                        "the leg to {} is not received: {why}; it is tried again, and what the other leg brings is recorded",
                        leg.address
                    ));
                }
                None if told.is_some() => news.push(format!("the leg to {} is received by now", leg.address)),
                _ => {}
            }
            told.clone_from(&leg.error);
        }
        news
    }
}

impl Outcome {
    /// Takes what happened.
    pub(super) fn take(&mut self, notices: Vec<Notice>) {
        for notice in notices {
            match notice {
                Notice::Opened { path, position, .. } => self.files.push((path, position)),
                Notice::Gap { gap, .. } => self.gaps.push(gap),
                Notice::Ended { error, .. } => {
                    self.ended = true;
                    self.error = error;
                }
            }
        }
    }

    /// Remembers the last state, for the summary. The recording ends at `limit`, or because it is `stopping`.
    pub(super) fn see(&mut self, snapshot: &Snapshot, limit: Option<FrameCount>, stopping: bool) {
        self.last = snapshot.recorders.first().cloned();
        if self.settled {
            return;
        }
        self.counters = snapshot.flows.first().map(|flow| flow.counters).unwrap_or_default();
        self.legs = snapshot.flows.first().map(|flow| flow.legs.clone()).unwrap_or_default();
        let frames = self.last.as_ref().map(|recorder| recorder.frames_written + recorder.frames_filled);
        self.settled = stopping || self.ended || limit.is_some_and(|limit| frames >= Some(limit));
    }

    /// What was counted, gaps and lost frames as they stand in the files, also of a gap that went on at the end.
    fn counted(&self, last: &RecorderSnapshot) -> FlowCounters {
        let stalls = self.gaps.iter().filter(|gap| gap.cause == GapCause::DiskStall);
        let (gaps, frames) = stalls.fold((0, 0), |(gaps, frames), gap| (gaps + 1, frames + gap.frames.0));
        FlowCounters {
            lost_frames: last.frames_filled.0.saturating_sub(frames),
            gaps: last.gaps.saturating_sub(gaps),
            ..self.counters
        }
    }

    /// The line that sums up, empty if there is nothing to sum up; and what went wrong.
    pub(super) fn summary(self, source: &SourceConfig, json: bool) -> (String, Result<(), RecordError>) {
        let last = self.last.clone().unwrap_or_default();
        if self.files.is_empty() {
            let why = self.error.or_else(|| last.errors.into_iter().next());
            let why = why.unwrap_or_else(|| {
                format!("nothing came to {}:{} before the end", source.address, source.port)
            });
            return (String::new(), Err(RecordError::Nothing(why)));
        }
        let line = if json {
            let summary = Summary {
                files: self.files.iter().map(|(path, at)| FileLine { path, first_position: *at }).collect(),
                rate: source.rate.hz(),
                frames_written: last.frames_written.0,
                frames_filled: last.frames_filled.0,
                gaps: &self.gaps,
                counters: self.counted(&last),
                legs: &self.legs,
            };
            serde_json::to_string(&summary).expect("paths, numbers and words are JSON")
        } else {
            let total = clock(last.frames_written + last.frames_filled, source.rate.hz());
            let files: Vec<String> = self.files.iter().map(|(path, _)| path.display().to_string()).collect();
            let lost = if self.gaps.is_empty() && last.frames_filled == FrameCount::ZERO {
                "nothing lost".to_owned()
            } else {
                let millis = last.frames_filled.0 as f64 * 1e3 / f64::from(source.rate.hz());
                let gaps = counted(self.gaps.len() as u64, "gap");
                format!("{millis:.3} ms lost in {gaps}, filled with silence and ledgered")
            };
            format!("recorded {total}, {lost}: {}", files.join(", "))
        };
        (line + "\n", self.error.map_or(Ok(()), |error| Err(RecordError::Disk(error))))
    }
}

/// Frames as h:mm:ss.mmm.
fn clock(frames: FrameCount, rate: u32) -> String {
    let millis = frames.0 * 1_000 / u64::from(rate.max(1));
    let (seconds, millis) = (millis / 1_000, millis % 1_000);
    format!("{}:{:02}:{:02}.{millis:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leg_that_is_not_received_is_told_once_and_its_end_too() {
        let leg = |address: &str, error: Option<&str>| LegSnapshot {
            address: address.to_owned(),
            error: error.map(str::to_owned),
            ..LegSnapshot::default()
        };
        let mut legs = Legs::default();
        let mut news = |error| legs.news(&[leg("239.1.0.1:5004", None), leg("239.2.0.1:5004", error)]);
        assert!(news(None).is_empty());
        let told = news(Some("there is no network interface eth1"));
        assert_eq!(
            told,
            [
                "the leg to 239.2.0.1:5004 is not received: there is no network interface eth1; it is tried again, and what the \
                 other leg brings is recorded"
            ]
        );
        assert!(news(Some("there is no network interface eth1")).is_empty());
        assert!(news(Some("interface eth1 has no link"))[0].contains("no link"));
        assert_eq!(news(None), ["the leg to 239.2.0.1:5004 is received by now"]);
        // One alone that fails ends the command, which says it.
        assert!(Legs::default().news(&[leg("239.1.0.1:5004", Some("gone"))]).is_empty());
    }

    #[test]
    fn time_is_told_to_the_millisecond() {
        assert_eq!(clock(FrameCount(48_000 * 3_661 + 24), 48_000), "1:01:01.000");
        assert_eq!(clock(FrameCount(48), 48_000), "0:00:00.001");
        assert_eq!(clock(FrameCount(0), 0), "0:00:00.000");
    }
}
