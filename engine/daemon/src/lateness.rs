//! How late the capture thread woke after its ticks: by length since the start, and the worst of the last minute.
//!
//! Owns: counters that the capture thread alone writes and control reads. Never: a lock, an allocation.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use audyn_api::{LATENESS_EDGES_NANOS, WakeupLateness};
use audyn_units::{Mono, Timestamp};

const SLOTS: usize = 60;
const BUCKETS: usize = LATENESS_EDGES_NANOS.len() + 1;
const SECOND: i64 = 1_000_000_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Lateness {
    counts: [AtomicU64; BUCKETS],
    sum: AtomicU64,
    /// For each of the last sixty seconds: its number in the upper half, its worst in nanoseconds in the lower.
    seconds: [AtomicU64; SLOTS],
}

impl Default for Lateness {
    fn default() -> Self {
        Self {
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            sum: AtomicU64::new(0),
            seconds: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Lateness {
    /// Takes note of a wake-up. By one thread only: it reads, then writes.
    pub(crate) fn note(&self, now: Timestamp<Mono>, late: u64) {
        let bucket = LATENESS_EDGES_NANOS.partition_point(|edge| *edge < late);
        self.counts[bucket].store(self.counts[bucket].load(Relaxed) + 1, Relaxed);
        self.sum.store(self.sum.load(Relaxed) + late, Relaxed);
        let second = second_of(now);
        let slot = &self.seconds[(second % SLOTS as u64) as usize];
        let (of, worst) = (slot.load(Relaxed) >> 32, slot.load(Relaxed) & u64::from(u32::MAX));
        let late = late.min(u64::from(u32::MAX));
        if of != second || late > worst {
            slot.store(second << 32 | late, Relaxed);
        }
    }

    /// What was noted up to `now`.
    pub(crate) fn read(&self, now: Timestamp<Mono>, worst_nanos: u64) -> WakeupLateness {
        let newest = second_of(now);
        let recent = self.seconds.iter().map(|slot| slot.load(Relaxed));
        let recent = recent.filter(|slot| newest.wrapping_sub(slot >> 32) < SLOTS as u64);
        WakeupLateness {
            worst_nanos,
            last_minute_worst_nanos: recent.map(|slot| slot & u64::from(u32::MAX)).max().unwrap_or(0),
            sum_nanos: self.sum.load(Relaxed),
            counts: self.counts.iter().map(|count| count.load(Relaxed)).collect(),
        }
    }
}

/// Seconds of the monotonic clock, which begins when the machine does: 32 bits last for a century.
fn second_of(now: Timestamp<Mono>) -> u64 {
    now.as_nanos().div_euclid(SECOND) as u64 & u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp<Mono> {
        Timestamp::from_nanos(second * SECOND + 5)
    }

    #[test]
    fn a_minute_forgets_and_the_rest_does_not() {
        let lateness = Lateness::default();
        lateness.note(at(100), 40_000_000);
        lateness.note(at(100), 3_000);
        for second in 101..200 {
            lateness.note(at(second), second as u64 * 1_000);
        }
        let read = lateness.read(at(159), 40_000_000);
        assert_eq!(read.last_minute_worst_nanos, 159_000, "what comes later belongs to a later minute");
        let read = lateness.read(at(230), 40_000_000);
        assert_eq!((read.last_minute_worst_nanos, read.worst_nanos), (199_000, 40_000_000));
        assert_eq!(read.counts.iter().sum::<u64>(), 101);
        assert_eq!(read.counts[0], 1, "3 µs");
        assert_eq!(read.sum_nanos, 40_003_000 + (101..200).map(|n| n * 1_000).sum::<u64>());
        assert_eq!(lateness.read(at(300), 0).last_minute_worst_nanos, 0);
    }

    #[test]
    fn what_is_longer_than_four_seconds_is_told_as_that() {
        let lateness = Lateness::default();
        lateness.note(at(7), 9 * SECOND as u64);
        let read = lateness.read(at(7), 0);
        assert_eq!(read.last_minute_worst_nanos, u64::from(u32::MAX));
        assert_eq!(read.counts.last(), Some(&1));
    }
}
