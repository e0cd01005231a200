//! Which of the last 16,384 sequence numbers have been seen: what tells a repeat from a late packet.
//!
//! So many because the later of two legs may lag by 450 ms: 3,600 packets of 125 µs, and twice that at 62.5 µs.

use audyn_units::SeqNo;

const WORDS: usize = 256;

/// Sequence numbers that are remembered.
pub(super) const SPAN: usize = WORDS * 64;

/// Bit `n` of the ring stands for a number `n` modulo [`SPAN`].
#[derive(Debug, Clone)]
pub(super) struct History {
    highest: SeqNo,
    seen: [u64; WORDS],
}

impl History {
    /// Only `first` has been seen.
    pub(super) fn new(first: SeqNo) -> Self {
        let mut history = Self { highest: first, seen: [0; WORDS] };
        history.mark(first);
        history
    }

    /// Nothing has been seen, and numbers a little before `first` may still come.
    pub(super) fn before(first: SeqNo) -> Self {
        Self { highest: SeqNo(first.0.wrapping_sub(SPAN as u16 / 2)), seen: [0; WORDS] }
    }

    /// Takes note of a number. True if it had been seen before. A number further back than the span is taken as seen.
    pub(super) fn note(&mut self, seq: SeqNo) -> bool {
        let ahead = seq.distance_from(self.highest);
        if ahead > 0 {
            if ahead as usize >= SPAN {
                self.seen = [0; WORDS];
            } else {
                for step in 1..ahead {
                    self.clear(SeqNo(self.highest.0.wrapping_add(step as u16)));
                }
            }
            self.highest = seq;
            self.clear(seq);
        } else if usize::from(ahead.unsigned_abs()) >= SPAN {
            return true;
        }
        let (word, bit) = Self::place(seq);
        let before = self.seen[word] & bit != 0;
        self.mark(seq);
        before
    }

    /// Whether a number has been seen; further ahead than the highest none has, further back than the span all have.
    pub(super) fn has(&self, seq: SeqNo) -> bool {
        let ahead = seq.distance_from(self.highest);
        let (word, bit) = Self::place(seq);
        ahead <= 0 && (usize::from(ahead.unsigned_abs()) >= SPAN || self.seen[word] & bit != 0)
    }

    fn place(seq: SeqNo) -> (usize, u64) {
        let n = usize::from(seq.0) % SPAN;
        (n / 64, 1 << (n % 64))
    }

    fn mark(&mut self, seq: SeqNo) {
        let (word, bit) = Self::place(seq);
        self.seen[word] |= bit;
    }

    fn clear(&mut self, seq: SeqNo) {
        let (word, bit) = Self::place(seq);
        self.seen[word] &= !bit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_repeat_from_a_late_one_across_the_wrap() {
        let mut history = History::new(SeqNo(65_530));
        for n in 1..20u16 {
            if n != 9 {
                assert!(!history.note(SeqNo(65_530u16.wrapping_add(n))));
            }
        }
        assert!(!history.note(SeqNo(65_530u16.wrapping_add(9))), "late, not a repeat");
        assert!(history.note(SeqNo(65_530u16.wrapping_add(9))), "now it is one");
        assert!(history.note(SeqNo(65_530)));
    }

    #[test]
    fn forgets_what_a_jump_leaves_behind() {
        let mut history = History::new(SeqNo(0));
        assert!(!history.note(SeqNo(16_384)), "same bit as 0, but another number");
        assert!(!history.note(SeqNo(40_000)));
        assert!(!history.note(SeqNo(39_999)));
        assert!(history.has(SeqNo(39_999)) && !history.has(SeqNo(39_998)) && !history.has(SeqNo(40_001)));
    }
}
