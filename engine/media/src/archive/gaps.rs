//! The gaps of a ledger one after the other, however many there are.

use std::io::{self, BufRead};

use audyn_units::{FrameCount, FrameIndex};

use crate::chain::GapFacts;
use crate::ledger::{LedgerGap, LedgerLine};

/// A line is never longer.
const MOST_LINE: u64 = 64 * 1024;

/// Reads the gaps of a ledger that lie within [from, to), in order and in constant memory.
#[derive(Debug)]
pub struct LedgerGaps<R> {
    lines: R,
    to: FrameIndex,
    /// Waits for what follows: a line of the same position replaces one that was open.
    waiting: Option<LedgerGap>,
    /// Where the last one ended: what a damaged ledger tells twice is told once.
    told: FrameIndex,
    over: bool,
    /// The last line has come: the file was closed.
    closed: bool,
}

impl<R: BufRead> LedgerGaps<R> {
    /// What a ledger tells of the frames [from, to), which its file holds. A gap that was still open reaches to `to`.
    pub fn new(lines: R, from: FrameIndex, to: FrameIndex) -> Self {
        Self { lines, to, waiting: None, told: from, over: false, closed: false }
    }

    /// The next one, cut to the range; none at the end. One of no length is a joint.
    ///
    /// # Errors
    /// What reading says.
    pub fn next_gap(&mut self) -> io::Result<Option<GapFacts>> {
        let mut line = Vec::new();
        loop {
            let gap = if self.over {
                match self.waiting.take() {
                    None => return Ok(None),
                    Some(gap) if gap.open && !self.closed => {
                        LedgerGap { frames: self.to.since(gap.position), ..gap }
                    }
                    Some(gap) => gap,
                }
            } else {
                line.clear();
                io::Read::take(&mut self.lines, MOST_LINE).read_until(b'\n', &mut line)?;
                self.over = line.is_empty();
                let gap = match LedgerLine::parse(&line) {
                    Some(LedgerLine::Gap(gap)) => gap,
                    other => {
                        self.closed |= matches!(other, Some(LedgerLine::End(_)));
                        continue;
                    }
                };
                match self.waiting.replace(gap) {
                    Some(before)
                        if before.open
                            && self.waiting.as_ref().is_some_and(|gap| gap.position == before.position) =>
                    {
                        continue;
                    }
                    Some(before) => before,
                    None => continue,
                }
            };
            let start = gap.position.max(self.told);
            let end = FrameIndex(gap.position.0.saturating_add(gap.frames.0)).min(self.to);
            let joint = gap.frames == FrameCount::ZERO && gap.position >= self.told && gap.position < self.to;
            if start < end || joint {
                let frames = end.since(start);
                self.told = start + frames;
                return Ok(Some(GapFacts {
                    position: start,
                    frames,
                    cause: gap.cause,
                    estimated: gap.estimated,
                }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEDGER: &str = r#"{"audyn_ledger":3,"first_position":1000}
{"position":1010,"frames":5,"cause":"loss","estimated":false}
{"position":1020,"event":"started","detail":"SSRC 1"}
{"position":1030,"frames":0,"cause":"loss","estimated":true}
{"position":1050,"frames":10,"cause":"outage","estimated":true,"open":true}
{"position":1050,"frames":30,"cause":"outage","estimated":true}
{"position":1100,"frames":1,"cause":"outage","estimated":true,"open":true}
{"position":11"#;

    fn gaps(from: u64, to: u64) -> Vec<(u64, u64)> {
        let mut gaps = LedgerGaps::new(LEDGER.as_bytes(), FrameIndex(from), FrameIndex(to));
        let mut told = Vec::new();
        while let Some(gap) = gaps.next_gap().unwrap() {
            told.push((gap.position.0, gap.frames.0));
        }
        told
    }

    #[test]
    fn gaps_are_cut_to_the_range_and_an_open_one_reaches_to_its_end() {
        assert_eq!(gaps(1_000, 1_200), [(1_010, 5), (1_030, 0), (1_050, 30), (1_100, 100)]);
        assert_eq!(gaps(1_012, 1_060), [(1_012, 3), (1_030, 0), (1_050, 10)]);
        assert_eq!(gaps(1_015, 1_050), [(1_030, 0)]);
        assert_eq!(gaps(1_080, 1_100), []);
    }
}
