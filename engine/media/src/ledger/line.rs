//! The lines of a ledger, as they are written and as they are read.

use audyn_units::{ClockQuality, FrameCount, FrameIndex, SampleRate};
use serde::{Deserialize, Serialize};

/// Version of the lines that are written. Those before are read as well.
pub const VERSION: u32 = 3;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerHeader {
    /// Version of the ledger's lines.
    pub audyn_ledger: u32,
    /// The recorder.
    pub recorder: String,
    /// The studio that it was assigned to when the file began.
    pub studio: Option<String>,
    /// Name of the audio file, beside the ledger.
    pub file: String,
    /// Position of its first frame: frames since the PTP epoch.
    pub first_position: FrameIndex,
    /// When that frame was due by its media clock, or arrived: RFC 3339.
    pub start_utc: String,
    /// The zone of the machine, as the time zone database names it; none where it has no name there.
    pub zone: Option<String>,
    /// Frames per second.
    pub rate: SampleRate,
    /// Samples of a frame.
    pub channels: u8,
    /// Bits of a sample; none where there are none (Opus).
    pub bits: Option<u16>,
    /// How the position was found, `media-clock` or `arrival`; none if the machine's clock was not known.
    pub placed_by: Option<String>,
    /// How good the machine's clock was then.
    pub clock: Option<ClockQuality>,
    /// TAI − UTC in seconds, by which `start_utc` was told; none where it was unknown and UTC stood in for TAI.
    pub tai_minus_utc: Option<i64>,
}

/// Where silence stands for what did not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerGap {
    /// Its first frame.
    pub position: FrameIndex,
    /// Its length; 0 where nothing is missing and what follows is placed anew.
    pub frames: FrameCount,
    /// Why, in a word: `loss`, `outage`, `disk-stall` and so on.
    pub cause: String,
    /// Its length is an estimate.
    pub estimated: bool,
    /// It had not ended when this was written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
}

/// Something that happened to the flow or the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEvent {
    /// Where.
    pub position: FrameIndex,
    /// What, in a word: `started`, `clock-stepped`, `mended` and so on.
    pub event: String,
    /// The same for people.
    pub detail: String,
}

/// The last line of a ledger whose file was closed as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LedgerEnd {
    /// True.
    pub closed: bool,
    /// Frames that came.
    pub frames_written: FrameCount,
    /// Frames of silence.
    pub frames_filled: FrameCount,
    /// By how many parts per million the sender's clock ran faster than the machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_ppm: Option<f64>,
    /// TAI − UTC in seconds at the end: another one than at the start after a leap second.
    pub tai_minus_utc: Option<i64>,
}

impl LedgerEnd {
    /// Frames that the file should hold.
    #[must_use]
    pub fn frames(&self) -> FrameCount {
        FrameCount(self.frames_written.0.saturating_add(self.frames_filled.0))
    }
}

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum LedgerLine {
    /// The first one.
    Header(LedgerHeader),
    /// A gap.
    Gap(LedgerGap),
    /// An event.
    Event(LedgerEvent),
    /// The last one.
    End(LedgerEnd),
}

impl LedgerLine {
    /// Its bytes, the end of the line included.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("text and numbers have a form in JSON");
        bytes.push(b'\n');
        bytes
    }

    /// The line that these bytes are, whoever's version of Audyn wrote it; none if they are none, or torn.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        fn of<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
            serde_json::from_slice(bytes).ok()
        }
        // No two kinds have all their fields in common.
        of(bytes)
            .map(Self::Gap)
            .or_else(|| of(bytes).map(Self::Event))
            .or_else(|| of(bytes).map(Self::End))
            .or_else(|| of(bytes).map(Self::Header))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_as_they_always_were_and_read_again() {
        let header = LedgerHeader {
            audyn_ledger: VERSION,
            recorder: "a".to_owned(),
            studio: None,
            file: "a.wav".to_owned(),
            first_position: FrameIndex(1_000),
            start_utc: "2026-07-02T13:46:03Z".to_owned(),
            zone: Some("Europe/Dublin".to_owned()),
            rate: SampleRate::HZ_48000,
            channels: 2,
            bits: Some(24),
            placed_by: Some("media-clock".to_owned()),
            clock: Some(ClockQuality::PtpLocked),
            tai_minus_utc: Some(37),
        };
        let gap = LedgerGap {
            position: FrameIndex(1_050),
            frames: FrameCount(30),
            cause: "outage".to_owned(),
            estimated: true,
            open: true,
        };
        let event = LedgerEvent {
            position: FrameIndex(1_080),
            event: "started".to_owned(),
            detail: "SSRC 1".to_owned(),
        };
        let end = LedgerEnd {
            closed: true,
            frames_written: FrameCount(65),
            frames_filled: FrameCount(35),
            drift_ppm: Some(1.5),
            tai_minus_utc: None,
        };
        for (line, text) in [
            (
                LedgerLine::Header(header),
                r#"{"audyn_ledger":3,"recorder":"a","studio":null,"file":"a.wav","first_position":1000,"start_utc":"2026-07-02T13:46:03Z","zone":"Europe/Dublin","rate":48000,"channels":2,"bits":24,"placed_by":"media-clock","clock":"ptp-locked","tai_minus_utc":37}"#,
            ),
            (
                LedgerLine::Gap(gap.clone()),
                r#"{"position":1050,"frames":30,"cause":"outage","estimated":true,"open":true}"#,
            ),
            (
                LedgerLine::Gap(LedgerGap { open: false, ..gap }),
                r#"{"position":1050,"frames":30,"cause":"outage","estimated":true}"#,
            ),
            (LedgerLine::Event(event), r#"{"position":1080,"event":"started","detail":"SSRC 1"}"#),
            (
                LedgerLine::End(end),
                r#"{"closed":true,"frames_written":65,"frames_filled":35,"drift_ppm":1.5,"tai_minus_utc":null}"#,
            ),
            (
                LedgerLine::End(LedgerEnd { drift_ppm: None, ..end }),
                r#"{"closed":true,"frames_written":65,"frames_filled":35,"tai_minus_utc":null}"#,
            ),
        ] {
            assert_eq!(line.encode(), format!("{text}\n").into_bytes());
            assert_eq!(LedgerLine::parse(text.as_bytes()), Some(line));
            assert_eq!(LedgerLine::parse(&text.as_bytes()[..text.len() - 1]), None, "torn");
        }
        assert_eq!(LedgerLine::parse(b"{}"), None);
    }
}
