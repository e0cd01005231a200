//! The gap ledger: beside each recording `NAME.wav` lies `NAME.gaps.jsonl`, one JSON object a line.
//!
//! Owns: the lines and their order. The first is the header (`LedgerHeader`), then come gaps, events, and at the end
//! `{"closed":true,…}`. Lines are only ever appended, each by one write, so a crash leaves whole lines. A gap that is still
//! open has `"open":true`; the line with the same position that follows it has the final length. A power cut may tear the
//! last line; the next engine takes what is left of it away.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use audyn_core::flow::{FlowEvent, Gap, GapCause};
use audyn_units::{FrameCount, FrameIndex};
use serde::Serialize;

/// Version of the ledger's lines.
pub(crate) const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LedgerHeader {
    pub(crate) audyn_ledger: u32,
    pub(crate) recorder: String,
    /// Name of the audio file, beside the ledger.
    pub(crate) file: String,
    /// Position of the file's first frame on the flow's timeline.
    pub(crate) first_position: FrameIndex,
    /// When that frame arrived.
    pub(crate) start_utc: String,
    pub(crate) rate: u32,
    pub(crate) channels: u8,
    pub(crate) bits: u16,
}

#[derive(Serialize)]
struct GapLine {
    position: FrameIndex,
    frames: FrameCount,
    cause: GapCause,
    estimated: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    open: bool,
}

#[derive(Serialize)]
struct EventLine {
    position: FrameIndex,
    event: &'static str,
    detail: String,
}

#[derive(Serialize)]
struct ClosedLine {
    closed: bool,
    frames_written: FrameCount,
    frames_filled: FrameCount,
}

/// The ledger of one open file.
#[derive(Debug)]
pub(crate) struct Ledger {
    file: File,
}

/// Where the ledger of an audio file lies.
pub(crate) fn path_of(audio: &Path) -> PathBuf {
    audio.with_extension("gaps.jsonl")
}

/// Mends the ledger of `audio`, which an earlier engine left: a torn last line goes, and if the header of `audio` counted more
/// than the `frames` that are there, by `lost`, a line says so.
pub(crate) fn mend(audio: &Path, shortened: Option<(FrameCount, FrameCount)>) -> io::Result<()> {
    #[derive(serde::Deserialize)]
    struct Beginning {
        first_position: FrameIndex,
    }
    let mut file = OpenOptions::new().read(true).append(true).open(path_of(audio))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    if whole < text.len() {
        file.set_len(whole as u64)?;
    }
    if let Some((frames, lost)) = shortened {
        let first = text[..whole].split(|&byte| byte == b'\n').next().unwrap_or_default();
        let beginning: Beginning = serde_json::from_slice(first)?;
        let detail =
            format!("after a power cut: the last {lost} had not reached the disk; the file ends here");
        let mut ledger = Ledger { file };
        ledger.line(&EventLine { position: beginning.first_position + frames, event: "mended", detail })?;
        file = ledger.file;
    }
    file.sync_data()
}

impl Ledger {
    /// Makes the ledger of `audio`, whose name must be new as well.
    pub(crate) fn create(audio: &Path, header: &LedgerHeader) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).open(path_of(audio))?;
        let mut ledger = Self { file };
        ledger.line(header)?;
        Ok(ledger)
    }

    /// Enters a gap of this file; an open one has at least its length.
    pub(crate) fn gap(&mut self, gap: Gap, open: bool) -> io::Result<()> {
        let Gap { position, frames, cause, estimated } = gap;
        self.line(&GapLine { position, frames, cause, estimated, open })
    }

    /// Enters that the end of the file could not be written.
    pub(crate) fn cut_short(&mut self, position: FrameIndex, frames: FrameCount) -> io::Result<()> {
        let detail = format!("the disk refused the last {frames}; the file ends here");
        self.line(&EventLine { position, event: "cut-short", detail })
    }

    pub(crate) fn event(&mut self, position: FrameIndex, event: FlowEvent) -> io::Result<()> {
        let (event, detail) = match event {
            FlowEvent::Started { ssrc, packet_frames } => {
                ("started", format!("SSRC {ssrc}, {packet_frames} frames a packet"))
            }
            FlowEvent::SsrcChanged { from, to } => ("ssrc-changed", format!("from {from} to {to}")),
            FlowEvent::SequenceReset => ("sequence-reset", "the timestamps went on".to_owned()),
            FlowEvent::TimestampJumped(frames) => {
                ("timestamp-jumped", format!("by {frames} frames against the arrival clock"))
            }
            FlowEvent::OutageBegan => ("outage-began", "nothing has come for a second".to_owned()),
        };
        self.line(&EventLine { position, event, detail })
    }

    /// Ends the ledger of a file that is closed as it should be.
    pub(crate) fn close(mut self, written: FrameCount, filled: FrameCount) -> io::Result<()> {
        self.line(&ClosedLine { closed: true, frames_written: written, frames_filled: filled })
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.file.write_all(&bytes)
    }
}
