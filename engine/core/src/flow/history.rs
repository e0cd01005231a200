//! Which of the last 1,024 sequence numbers have been seen: what tells a repeat from a late packet.

use audyn_units::SeqNo;

const WORDS: usize = 16;
const SPAN: u32 = WORDS as u32 * 64;

/// Bit `n` of the ring stands for a number `n` modulo 1,024.
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

    /// Takes note of a number. True if it had been seen before. A number further back than the span is taken as seen.
    pub(super) fn note(&mut self, seq: SeqNo) -> bool {
        let ahead = seq.distance_from(self.highest);
        if ahead > 0 {
            if ahead as u32 >= SPAN {
                self.seen = [0; WORDS];
            } else {
                for step in 1..ahead {
                    self.clear(SeqNo(self.highest.0.wrapping_add(step as u16)));
                }
            }
            self.highest = seq;
            self.clear(seq);
        } else if u32::from(ahead.unsigned_abs()) >= SPAN {
            return true;
        }
        let (word, bit) = Self::place(seq);
        let before = self.seen[word] & bit != 0;
        self.mark(seq);
        before
    }

    fn place(seq: SeqNo) -> (usize, u64) {
        let n = u32::from(seq.0) % SPAN;
        ((n / 64) as usize, 1 << (n % 64))
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
        assert!(!history.note(SeqNo(1_024)), "same bit as 0, but another number");
        assert!(!history.note(SeqNo(5_000)));
        assert!(!history.note(SeqNo(4_999)));
    }
}
