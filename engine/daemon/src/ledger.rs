//! The gap ledger of a file that is being recorded. What its lines are, `audyn_media::ledger` says.
//!
//! Owns: what is entered, and in which words: gaps, events, why the flow was placed anew and the file ends, the end.
//! Lines are only ever appended, each by one write, so a crash leaves whole lines. A power cut may tear the
//! last line; the next engine takes what is left of it away.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use audyn_core::flow::{FlowEvent, Gap, Placed, Placement, Why};
use audyn_media::beneath::OFlags;
use audyn_media::ledger::{
    LedgerEnd, LedgerEvent, LedgerGap, LedgerHeader, LedgerLine, LedgerWriter, MENDED,
};
use audyn_media::{Beneath, chain};
use audyn_units::{Counted, FrameCount, FrameIndex, Nanos};

/// What is known of a file at its end.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Ending {
    /// By how many parts per million the sender's clock ran faster than the machine's.
    pub(crate) drift_ppm: Option<f64>,
    /// TAI − UTC.
    pub(crate) tai_offset: Option<Nanos>,
}

/// The ledger of one open file. What the disk refuses waits, and the log says so once.
pub(crate) struct Ledger {
    /// The file that it belongs to.
    audio: PathBuf,
    writer: LedgerWriter,
    /// The disk refused what came last.
    refused: bool,
}

/// TAI − UTC is whole seconds.
pub(crate) fn whole_seconds(offset: Nanos) -> i64 {
    offset.0 / 1_000_000_000
}

/// Where the ledger of an audio file lies.
pub(crate) fn path_of(audio: &Path) -> PathBuf {
    audio.with_file_name(chain::ledger_of(audio.file_name().unwrap_or_default()))
}

/// Mends the ledger of `audio` in `directory`, which an earlier engine left: a torn last line goes, and if the header of `audio` or the
/// ledger's last line counted more than the `frames` that are there, by `lost`, a line says so.
pub(crate) fn mend(
    directory: &Beneath,
    audio: &Path,
    shortened: Option<(FrameCount, FrameCount)>,
) -> io::Result<()> {
    #[derive(serde::Deserialize)]
    struct Beginning {
        first_position: FrameIndex,
    }
    let ledger = path_of(audio);
    let file = directory.file(ledger.file_name().unwrap_or_default(), OFlags::RDWR)?;
    let event = match shortened {
        None => None,
        Some((frames, lost)) => {
            let mut first = Vec::new();
            BufReader::new(&file).take(64 * 1024).read_until(b'\n', &mut first)?;
            let beginning: Beginning = serde_json::from_slice(&first)?;
            let detail = format!(
                "after a power cut or a disk's failure: the last {lost} did not surely reach the disk; the file ends here"
            );
            let position = beginning.first_position + frames;
            Some(LedgerLine::Event(LedgerEvent { position, event: MENDED.to_owned(), detail }))
        }
    };
    audyn_media::ledger::mend(&file, event.as_ref())
}

/// The line of a gap; an open one has at least its length.
#[must_use]
pub fn gap_line(gap: Gap, open: bool) -> LedgerLine {
    let Gap { position, frames, cause, estimated } = gap;
    LedgerLine::Gap(LedgerGap { position, frames, cause: cause.name().to_owned(), estimated, open })
}

/// The line of what happened to a flow when its timeline stood at `position`.
#[must_use]
pub fn event_line(position: FrameIndex, event: FlowEvent) -> LedgerLine {
    let (event, detail) = match event {
        FlowEvent::Started { ssrc, packet_frames } => {
            ("started", format!("SSRC {ssrc}, {} a packet", Counted(packet_frames.into(), "frame")))
        }
        FlowEvent::SsrcChanged { from, to } => ("ssrc-changed", format!("from {from} to {to}")),
        FlowEvent::SenderMoved { leg, from, to } => {
            let leg = leg.index() + 1;
            ("sender-moved", format!("from {from} to {to}, with the same SSRC, on leg {leg}"))
        }
        FlowEvent::SequenceReset => ("sequence-reset", "the timestamps went on".to_owned()),
        FlowEvent::TimestampJumped(frames) => {
            let (way, by) = (if frames < 0 { "-" } else { "" }, Counted(frames.unsigned_abs(), "frame"));
            ("timestamp-jumped", format!("by {way}{by} against the arrival clock"))
        }
        FlowEvent::OutageBegan => ("outage-began", "nothing has come for a second".to_owned()),
        FlowEvent::LegsDiffer(leg) => {
            let leg = leg.index() + 1;
            ("legs-differ", format!("leg {leg} carries another stream; nothing of it is recorded"))
        }
        FlowEvent::ClockQualityChanged { from, to } => {
            ("clock-quality", format!("this machine's clock is {to}, and was {from}; no frame moves"))
        }
        FlowEvent::ClockStepped(step) => (
            "clock-stepped",
            format!(
                "this machine's clock stepped by {:+.3} s and stood by it; the flow goes on by its media clock, and no frame moves",
                step.as_secs_f64()
            ),
        ),
    };
    LedgerLine::Event(LedgerEvent { position, event: event.to_owned(), detail })
}

impl Ledger {
    /// Makes the ledger of `audio` in `directory`; its name must be new as well.
    pub(crate) fn create(directory: &Beneath, audio: &Path, header: LedgerHeader) -> io::Result<Self> {
        let writer = LedgerWriter::create_in(directory, audio.file_name().unwrap_or_default(), header)?;
        Ok(Self::on(audio, writer))
    }

    pub(crate) fn on(audio: &Path, writer: LedgerWriter) -> Self {
        Self { audio: audio.to_owned(), writer, refused: false }
    }

    /// Enters a gap of this file; an open one has at least its length.
    pub(crate) fn gap(&mut self, gap: Gap, open: bool) {
        self.line(&gap_line(gap, open));
    }

    /// Enters that the end of the file could not be written.
    pub(crate) fn cut_short(&mut self, position: FrameIndex, frames: FrameCount) {
        let detail = format!("the disk refused the last {frames}; the file ends here");
        self.happened(position, "cut-short", detail);
    }

    /// Enters that the flow was placed anew, so that the file ends.
    pub(crate) fn placed_anew(&mut self, position: FrameIndex, placed: &Placed) {
        let why = match placed.why {
            Why::First => "the flow begins anew".to_owned(),
            Why::ClockStepped(step) => {
                format!("this machine's clock stepped by {:+.3} s and stood by it", step.as_secs_f64())
            }
            Why::MediaClockAgrees => {
                "the sender's media clock agrees with this machine's clock by now".to_owned()
            }
            Why::SenderBroke => "the sender's timestamps broke".to_owned(),
        };
        let by = match placed.placement {
            Placement::MediaClock => "by its media clock",
            Placement::Arrival => "by arrival",
        };
        let detail = format!(
            "{why}; the next file goes on at {}, {:+} frames from here, placed {by}",
            placed.position, placed.moved
        );
        self.happened(position, "placed-anew", detail);
    }

    pub(crate) fn event(&mut self, position: FrameIndex, event: FlowEvent) {
        self.line(&event_line(position, event));
    }

    /// Ends the ledger of a file that is closed as it should be. Comes back while the disk has not taken all of it.
    pub(crate) fn close(mut self, written: FrameCount, filled: FrameCount, ending: Ending) -> Option<Self> {
        // A tenth of a part per million is more than can be known.
        let drift_ppm = ending.drift_ppm.map(|ppm| (ppm * 10.0).round() / 10.0);
        self.line(&LedgerLine::End(LedgerEnd {
            closed: true,
            frames_written: written,
            frames_filled: filled,
            drift_ppm,
            tai_minus_utc: ending.tai_offset.map(whole_seconds),
        }));
        self.writer.waits().then_some(self)
    }

    /// Writes what the disk refused before; whether nothing waits any more.
    pub(crate) fn settle(&mut self) -> bool {
        if self.writer.waits() {
            let flushed = self.writer.flush();
            self.said(flushed);
        }
        !self.writer.waits()
    }

    fn happened(&mut self, position: FrameIndex, event: &str, detail: String) {
        self.line(&LedgerLine::Event(LedgerEvent { position, event: event.to_owned(), detail }));
    }

    fn line(&mut self, line: &LedgerLine) {
        let entered = self.writer.enter(line);
        self.said(entered);
    }

    /// Takes note of what the disk said to a line.
    fn said(&mut self, result: io::Result<()>) {
        let before = std::mem::replace(&mut self.refused, result.is_err());
        let path = self.audio.display();
        match result {
            Err(error) if !before => {
                tracing::warn!(%path, %error, "the gap ledger cannot be written; its lines wait in memory and are tried again");
            }
            Ok(()) if before => tracing::info!(%path, "the gap ledger is written again"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use audyn_core::flow::GapCause;
    use audyn_units::ClockQuality;

    use super::*;

    #[test]
    fn the_words_are_those_of_the_contracts() {
        let word = |value: serde_json::Result<serde_json::Value>| value.unwrap();
        for cause in [
            GapCause::Loss,
            GapCause::Outage,
            GapCause::SsrcChange,
            GapCause::TimestampJump,
            GapCause::DiskStall,
        ] {
            assert_eq!(word(serde_json::to_value(cause)), cause.name());
        }
        for placement in [Placement::MediaClock, Placement::Arrival] {
            assert_eq!(word(serde_json::to_value(placement)), placement.name());
        }
        for quality in ClockQuality::ALL {
            assert_eq!(word(serde_json::to_value(quality)), quality.name());
        }
    }
}
