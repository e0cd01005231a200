//! What a ledger says of the file that it lies beside.
//!
//! Must never: take up more memory than [`MOST_GAPS`] gaps need, however long the ledger.

use std::io::{self, BufRead};

use audyn_units::{FrameCount, FrameIndex};

use super::{LedgerEnd, LedgerGap, LedgerHeader, LedgerLine, MENDED};
use crate::chain::{GapFacts, MOST_GAPS};

/// A line is never longer.
pub(super) const MOST_LINE: u64 = 64 * 1024;

/// A ledger, as far as it concerns a file of a certain length.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerFacts {
    /// The first line.
    pub header: LedgerHeader,
    /// The first [`MOST_GAPS`] gaps.
    pub gaps: Vec<GapFacts>,
    /// How many there are.
    pub gaps_in_all: u64,
    /// Frames of all gaps: silence in the file.
    pub filled: FrameCount,
    /// The last line.
    pub end: Option<LedgerEnd>,
    /// Frames that the file had when it was mended last.
    pub mended: Option<FrameCount>,
}

impl LedgerFacts {
    /// Reads the ledger of a file that holds `frames`.
    ///
    /// A gap that was still open when the engine died reaches to the file's end; what the ledger tells of frames behind it is left out: a kill or a power
    /// cut took them. A torn line is none.
    ///
    /// # Errors
    /// What reading says; [`io::ErrorKind::InvalidData`] if the first line is no header.
    pub fn read(mut from: impl BufRead, frames: FrameCount) -> io::Result<Self> {
        let mut line = Vec::new();
        let mut next = |line: &mut Vec<u8>| -> io::Result<bool> {
            line.clear();
            io::Read::take(&mut from, MOST_LINE).read_until(b'\n', line)?;
            Ok(!line.is_empty())
        };
        next(&mut line)?;
        let header: LedgerHeader = serde_json::from_slice(&line)?;
        let end = header.first_position.0.checked_add(frames.0).map(FrameIndex);
        let end = end.ok_or_else(|| {
            let reason = "its first frame lies further from the epoch than can be counted";
            io::Error::new(io::ErrorKind::InvalidData, reason)
        })?;
        let (first, filled) = (header.first_position, FrameCount::ZERO);
        let mut facts = Self { header, gaps: Vec::new(), gaps_in_all: 0, filled, end: None, mended: None };
        // The last gap waits for what follows: a line of the same position replaces one that was open.
        let mut waiting: Option<LedgerGap> = None;
        while next(&mut line)? {
            match LedgerLine::parse(&line) {
                Some(LedgerLine::Gap(gap)) => match waiting.replace(gap) {
                    Some(before)
                        if before.open
                            && waiting.as_ref().is_some_and(|gap| gap.position == before.position) => {}
                    Some(before) => facts.take(before, end),
                    None => {}
                },
                Some(LedgerLine::End(last)) => facts.end = Some(last),
                Some(LedgerLine::Event(event)) if event.event == MENDED => {
                    facts.mended = Some(event.position.since(first));
                }
                Some(LedgerLine::Header(_) | LedgerLine::Event(_)) | None => {}
            }
        }
        if let Some(mut gap) = waiting {
            // With a last line the file was closed, and only the line with the gap's length is lost.
            if gap.open && facts.end.is_none() {
                gap.frames = end.since(gap.position);
            }
            facts.take(gap, end);
        }
        Ok(facts)
    }

    fn take(&mut self, gap: LedgerGap, end: FrameIndex) {
        let LedgerGap { position, frames, cause, estimated, .. } = gap;
        if position > end {
            return;
        }
        let frames = FrameCount(frames.0.min(end.since(position).0));
        self.filled += frames;
        self.gaps_in_all += 1;
        if self.gaps.len() < MOST_GAPS {
            self.gaps.push(GapFacts { position, frames, cause, estimated });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"audyn_ledger":2,"recorder":"a","file":"a.wav","first_position":1000,"start_utc":"2026-07-02T13:46:03Z",
        "rate":48000,"channels":1,"bits":24,"placed_by":"media-clock","clock":"ptp-locked","tai_minus_utc":37}"#;

    fn read(lines: &[&str], frames: u64) -> LedgerFacts {
        let text = [&[HEADER.replace('\n', "").as_str()], lines].concat().join("\n");
        LedgerFacts::read(text.as_bytes(), FrameCount(frames)).unwrap()
    }

    fn gaps(facts: &LedgerFacts) -> Vec<(u64, u64)> {
        facts.gaps.iter().map(|gap| (gap.position.0, gap.frames.0)).collect()
    }

    const LOSS: &str = r#"{"position":1010,"frames":5,"cause":"loss","estimated":false}"#;
    const OPEN: &str = r#"{"position":1050,"frames":10,"cause":"outage","estimated":true,"open":true}"#;
    const DONE: &str = r#"{"position":1050,"frames":30,"cause":"outage","estimated":true}"#;
    const EVENT: &str = r#"{"position":1080,"event":"started","detail":"SSRC 1"}"#;
    const CLOSED: &str = r#"{"closed":true,"frames_written":65,"frames_filled":35,"drift_ppm":1.5}"#;

    #[test]
    fn a_closed_ledger_is_read_whole() {
        let facts = read(&[LOSS, OPEN, DONE, EVENT, CLOSED], 100);
        assert_eq!(gaps(&facts), [(1_010, 5), (1_050, 30)]);
        assert_eq!((facts.filled, facts.gaps_in_all), (FrameCount(35), 2));
        assert_eq!(facts.end.unwrap().frames_written, FrameCount(65));
        assert_eq!((facts.header.bits, facts.header.zone), (Some(24), None));
    }

    #[test]
    fn a_gap_that_a_kill_left_open_reaches_to_the_end_of_the_file() {
        let facts = read(&[LOSS, OPEN], 120);
        assert_eq!((gaps(&facts), facts.end), (vec![(1_010, 5), (1_050, 70)], None));
    }

    #[test]
    fn a_gap_whose_length_is_lost_has_at_least_what_was_known() {
        let facts = read(&[LOSS, OPEN, CLOSED], 100);
        assert_eq!((gaps(&facts), facts.filled), (vec![(1_010, 5), (1_050, 10)], FrameCount(15)));
    }

    #[test]
    fn what_the_file_lost_is_no_gap_of_it() {
        assert_eq!(gaps(&read(&[LOSS, DONE, CLOSED], 60)), [(1_010, 5), (1_050, 10)]);
        assert_eq!(gaps(&read(&[LOSS, DONE, CLOSED], 12)), [(1_010, 2)]);
        assert_eq!(gaps(&read(&[LOSS, DONE, "{\"position\":10"], 200)), [(1_010, 5), (1_050, 30)]);
    }

    #[test]
    fn many_gaps_are_counted_and_the_first_are_kept() {
        let line = |n: u64| {
            format!(r#"{{"position":{},"frames":1,"cause":"loss","estimated":false}}"#, 1_000 + 2 * n)
        };
        let lines: Vec<String> = (0..5_000).map(line).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let facts = read(&lines, 10_000);
        assert_eq!(
            (facts.gaps.len(), facts.gaps_in_all, facts.filled),
            (MOST_GAPS, 5_000, FrameCount(5_000))
        );
    }

    #[test]
    fn what_is_no_ledger_is_said() {
        let never = HEADER.replace('\n', "").replace("1000,", "18446744073709551615,");
        for text in ["", "{}\n", "RIFF\n", &never] {
            let error = LedgerFacts::read(text.as_bytes(), FrameCount(1)).unwrap_err();
            assert!(
                matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof),
                "{error:?}"
            );
        }
    }
}
