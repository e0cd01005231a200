//! The sidecar of a closed recording.

use audyn_units::{ClockQuality, Counted, FrameCount, FrameIndex, SampleRate};
use serde::{Deserialize, Serialize};

use super::hash::Sha256;

/// Version of the sidecar's fields.
pub const VERSION: u32 = 1;

/// Gaps that a sidecar lists; the ledger has them all.
pub const MOST_GAPS: usize = 1_000;

/// What is known of a closed recording, for good: `NAME.wav.json` beside `NAME.wav`, JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sidecar {
    /// [`VERSION`].
    pub audyn_sidecar: u32,
    /// The recorder's identifier.
    pub recorder: String,
    /// The studio that the recorder was assigned to when the file began.
    pub studio: Option<String>,
    /// The file, as a path below the recorder's directory, `/` between its parts.
    pub file: String,
    /// What it holds.
    pub format: FormatFacts,
    /// Its first frame.
    pub start: Instants,
    /// The frame after its last one.
    pub end: Instants,
    /// Frames in the file; `end.position` less `start.position`.
    pub frames: FrameCount,
    /// Those of them that came.
    pub frames_written: FrameCount,
    /// Those that are silence in the place of what did not.
    pub frames_filled: FrameCount,
    /// Those of the filled ones that no gap tells of, since the disk refused lines of the ledger; left out where there are none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub frames_unlisted: FrameCount,
    /// Where silence stands for what did not come, or what follows is placed by its arrival; the first [`MOST_GAPS`].
    pub gaps: Vec<GapFacts>,
    /// How many there are.
    pub gaps_in_all: u64,
    /// How well its place in time is known.
    pub clock: ClockFacts,
    /// The file was not closed by the engine that recorded it, and was mended later.
    pub mended: bool,
    /// Length of the file.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: Sha256,
    /// The gap ledger beside it; none if it could not be made.
    pub ledger: Option<LedgerHash>,
    /// Place in the recorder's chain, from 1.
    pub entry: u64,
    /// Hash of the entry before; none for the first.
    pub previous: Option<Sha256>,
}

/// The format of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormatFacts {
    /// `wav`, `flac` or `opus`.
    pub kind: String,
    /// Frames per second of the flow, which positions count.
    pub rate: SampleRate,
    /// Samples of a frame.
    pub channels: u8,
    /// Bits of a sample; none for Opus.
    pub bits: Option<u16>,
}

/// A frame's instant on each clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instants {
    /// Frames since the PTP epoch.
    pub position: FrameIndex,
    /// The same as TAI: `2026-07-02T13:46:40`, with as many digits of a second as it needs.
    pub tai: String,
    /// UTC: `2026-07-02T13:46:03Z`.
    pub utc: String,
    /// In the recorder's zone: `2026-07-02T14:46:03+01:00[Europe/Dublin]`; none where it was not known.
    pub local: Option<String>,
}

/// A gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GapFacts {
    /// Its first frame.
    pub position: FrameIndex,
    /// Its length; 0 where nothing is missing and what follows is placed anew.
    pub frames: FrameCount,
    /// The ledger's word: `loss`, `outage`, `disk-stall` and so on.
    pub cause: String,
    /// Its length is an estimate.
    pub estimated: bool,
}

/// How well a file's place in time is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockFacts {
    /// How good the machine's clock was at the start.
    pub quality: Option<ClockQuality>,
    /// How the first frame was placed: `media-clock` or `arrival`.
    pub placed_by: Option<String>,
    /// TAI − UTC in seconds at the end of the file, if it was known.
    pub tai_minus_utc: Option<i64>,
    /// By how many parts per million the sender's clock ran faster than the machine's.
    pub drift_ppm: Option<f64>,
}

/// Length and hash of the gap ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerHash {
    /// Length.
    pub bytes: u64,
    /// SHA-256.
    pub sha256: Sha256,
}

fn is_none(frames: &FrameCount) -> bool {
    *frames == FrameCount::ZERO
}

impl Sidecar {
    /// What is wrong in itself: a sentence, if something is.
    #[must_use]
    pub fn contradiction(&self) -> Option<String> {
        let span = self.end.position.0.checked_sub(self.start.position.0);
        if span != Some(self.frames.0) {
            let (start, end) = (self.start.position, self.end.position);
            return Some(format!("it has {} from {start} to {end}", self.frames));
        }
        if self.frames_written + self.frames_filled != self.frames {
            let (written, filled) = (self.frames_written, self.frames_filled);
            return Some(format!("{written} and {filled} of silence do not make {}", self.frames));
        }
        let listed = self.gaps.len() as u64;
        if self.gaps_in_all != listed && (self.gaps_in_all < listed || listed < MOST_GAPS as u64) {
            return Some(format!("it lists {} and counts {}", Counted(listed, "gap"), self.gaps_in_all));
        }
        let mut at = self.start.position;
        for gap in &self.gaps {
            let end = FrameIndex(gap.position.0.saturating_add(gap.frames.0));
            if gap.position < at || end > self.end.position {
                return Some(format!("a gap at {} lies outside the file or another gap", gap.position));
            }
            at = end;
        }
        let filled = self.gaps.iter().fold(FrameCount::ZERO, |sum, gap| sum + gap.frames);
        if self.gaps_in_all == listed && filled + self.frames_unlisted != self.frames_filled {
            let told = self.frames_filled;
            return Some(format!("its gaps have {filled}, and it counts {told} of silence"));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::tests::sidecar;

    #[test]
    fn a_sidecar_that_contradicts_itself_says_where() {
        let good = sidecar("a.wav");
        assert_eq!(good.contradiction(), None);
        let bad = |change: fn(&mut Sidecar), part: &str| {
            let mut sidecar = good.clone();
            change(&mut sidecar);
            let said = sidecar.contradiction().unwrap_or_default();
            assert!(said.contains(part), "{said}");
        };
        bad(|s| s.frames = FrameCount(99), "99 frames from");
        bad(|s| s.frames_filled = FrameCount(9), "do not make");
        bad(|s| s.gaps_in_all = 7, "counts 7");
        bad(|s| s.gaps[0].position = FrameIndex(1), "outside");
        bad(|s| s.gaps[0].frames = FrameCount(11), "its gaps have 11");
        bad(|s| s.gaps.push(s.gaps[0].clone()), "lists 2 gaps and counts 1");
    }
}
