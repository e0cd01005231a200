//! The reorder window: frames that came before their neighbours.
//!
//! Owns: a ring of frames by position, with one bit a frame that says whether it is there. Any mix of packet
//! lengths, overlaps and repeats comes to the same bits.

use audyn_units::{ChannelCount, FrameCount, FrameIndex};

#[derive(Debug)]
pub(super) struct Window {
    channels: usize,
    /// Capacity in frames less one; the capacity is a power of two.
    mask: u64,
    samples: Vec<i32>,
    present: Vec<u64>,
    /// Frames present.
    count: u64,
    /// End of the furthest frame that was put in; meaningless while `count` is 0.
    end: FrameIndex,
}

impl Window {
    /// A window that holds at least `frames`.
    pub(super) fn new(channels: ChannelCount, frames: FrameCount) -> Self {
        let capacity = frames.0.next_power_of_two().max(64);
        Self {
            channels: channels.get(),
            mask: capacity - 1,
            samples: vec![0; capacity as usize * channels.get()],
            present: vec![0; capacity as usize / 64],
            count: 0,
            end: FrameIndex(0),
        }
    }

    pub(super) fn capacity(&self) -> FrameCount {
        FrameCount(self.mask + 1)
    }

    /// The memory that it holds.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.samples.capacity() * size_of::<i32>() + self.present.capacity() * size_of::<u64>()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// End of the furthest frame in the window, if it holds any.
    pub(super) fn end(&self) -> Option<FrameIndex> {
        (self.count > 0).then_some(self.end)
    }

    /// Puts frames at `at`, which with its length must lie within the capacity from the reader's head. Returns how
    /// many were new; frames that are there already stay as they are.
    pub(super) fn put(&mut self, at: FrameIndex, samples: &[i32]) -> FrameCount {
        debug_assert!(
            samples.len() / self.channels <= self.mask as usize + 1,
            "more frames than the ring holds"
        );
        let mut new = 0;
        for (position, frame) in (at.0..).zip(samples.chunks_exact(self.channels)) {
            let slot = position & self.mask;
            let (word, bit) = ((slot / 64) as usize, 1u64 << (slot % 64));
            if self.present[word] & bit == 0 {
                self.present[word] |= bit;
                let from = slot as usize * self.channels;
                self.samples[from..from + self.channels].copy_from_slice(frame);
                new += 1;
            }
        }
        let end = at + FrameCount((samples.len() / self.channels) as u64);
        if self.count == 0 || end > self.end {
            self.end = end;
        }
        self.count += new;
        FrameCount(new)
    }

    /// The first frame at or after `from` that is there.
    pub(super) fn next_present(&self, from: FrameIndex) -> Option<FrameIndex> {
        (self.count > 0).then(|| (from.0..self.end.0).find(|&p| self.has(p)).map(FrameIndex)).flatten()
    }

    /// Takes the longest run that starts at `from` and does not cross the ring's seam; call again for the rest.
    pub(super) fn take_run(&mut self, from: FrameIndex, give: impl FnOnce(&[i32])) -> FrameCount {
        let seam = (from.0 | self.mask) + 1;
        let mut to = from.0;
        while to < seam && self.count > 0 && self.has(to) {
            let slot = to & self.mask;
            self.present[(slot / 64) as usize] &= !(1 << (slot % 64));
            self.count -= 1;
            to += 1;
        }
        if to > from.0 {
            let start = (from.0 & self.mask) as usize * self.channels;
            let length = (to - from.0) as usize * self.channels;
            give(&self.samples[start..start + length]);
        }
        FrameCount(to - from.0)
    }

    fn has(&self, position: u64) -> bool {
        let slot = position & self.mask;
        self.present[(slot / 64) as usize] & (1 << (slot % 64)) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_come_out_in_order_across_the_seam() {
        let mut window = Window::new(ChannelCount::MONO, FrameCount(64));
        assert_eq!(window.put(FrameIndex(60), &[60, 61, 62, 63, 64, 65]), FrameCount(6));
        assert_eq!(window.put(FrameIndex(64), &[-1, -1, 66]), FrameCount(1), "frames that are there stay");
        assert_eq!(window.next_present(FrameIndex(50)), Some(FrameIndex(60)));
        let mut got = Vec::new();
        let mut at = FrameIndex(60);
        loop {
            let taken = window.take_run(at, |run| got.extend_from_slice(run));
            if taken == FrameCount::ZERO {
                break;
            }
            at += taken;
        }
        assert_eq!(got, [60, 61, 62, 63, 64, 65, 66]);
        assert!(window.is_empty());
        assert_eq!(window.next_present(FrameIndex(0)), None);
    }
}
