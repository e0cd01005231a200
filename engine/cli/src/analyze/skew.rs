//! By how much the second leg comes after the first.
//!
//! Owns: the measure by packets that came on both legs, and where none did, the one by their timestamps. Never: a place of a packet, or
//! more memory than the widest skew class needs.
//!
//! What came on both legs is compared packet by packet. Legs of which each has what the other lost have no such packet; but both count
//! on one media clock, so each packet of one leg is held against the other's latest: what their arrivals are apart, less what their
//! timestamps are apart. That holds the sender's and the network's jitter too, so of each second the median counts, and what is told is
//! the least and the greatest of those.

use std::collections::HashMap;

use audyn_units::{RtpTime, SampleRate, SeqNo};

/// What one leg lost waits for the other's for so long.
const WAITS: i64 = 1_000_000_000;

/// Packets that wait at once before the old ones are let go.
const MOST: usize = 65_536;

/// A second, of which one median is taken.
const WINDOW: i64 = 1_000_000_000;

/// The least number of differences that a median is taken of.
const ENOUGH: usize = 10;

/// What tells a skew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Packets that came on both legs.
    Packets,
    /// The timestamps of what each leg brought, a median each second.
    Timestamps,
}

impl By {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Packets => "packets",
            Self::Timestamps => "timestamps",
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Skew {
    rate: SampleRate,
    seen: HashMap<(u16, u32), (bool, i64)>,
    by_packets: Option<(i64, i64)>,
    /// Each leg's latest packet: its arrival and its timestamp.
    latest: [Option<(i64, RtpTime)>; 2],
    /// The differences of the running second, and when it began.
    window: (Option<i64>, Vec<i64>),
    by_timestamps: Option<(i64, i64)>,
}

impl Skew {
    pub(super) fn new(rate: SampleRate) -> Self {
        Self {
            rate,
            seen: HashMap::new(),
            by_packets: None,
            latest: [None; 2],
            window: (None, Vec::new()),
            by_timestamps: None,
        }
    }

    /// Takes a packet of the first or the `second` leg.
    pub(super) fn take(&mut self, second: bool, at: i64, sequence: SeqNo, timestamp: RtpTime) {
        self.compare(second, at, (sequence.0, timestamp.0));
        let here = usize::from(second);
        self.latest[here] = Some((at, timestamp));
        if let Some((came, other)) = self.latest[1 - here].filter(|(came, _)| (at - came).abs() < WAITS) {
            let ticks = i64::from(timestamp.distance_from(other));
            let apart = (at - came) - ticks * 1_000_000_000 / i64::from(self.rate.hz());
            self.difference(at, if second { apart } else { -apart });
        }
    }

    /// The least and the greatest, in nanoseconds by which the second leg is later, and what tells them.
    pub(super) fn told(&self) -> Option<((i64, i64), By)> {
        let by_timestamps = || {
            let all = widened(self.by_timestamps, median(&self.window.1));
            all.map(|skew| (skew, By::Timestamps))
        };
        self.by_packets.map(|skew| (skew, By::Packets)).or_else(by_timestamps)
    }

    fn compare(&mut self, second: bool, at: i64, place: (u16, u32)) {
        match self.seen.get(&place).copied() {
            // A copy on one leg: the first of them is what the other leg's is compared with.
            Some((other, _)) if other == second => {}
            Some((_, came)) => {
                self.seen.remove(&place);
                self.by_packets = widened(self.by_packets, Some(if second { at - came } else { came - at }));
            }
            None => {
                // What one leg lost waits here for ever; what is older than any skew class is let go.
                if self.seen.len() >= MOST {
                    self.seen.retain(|_, (_, came)| at - *came < WAITS);
                }
                self.seen.insert(place, (second, at));
            }
        }
    }

    fn difference(&mut self, at: i64, skew: i64) {
        let (began, differences) = &mut self.window;
        if at - *began.get_or_insert(at) >= WINDOW {
            self.by_timestamps = widened(self.by_timestamps, median(differences));
            *began = Some(at);
            differences.clear();
        }
        differences.push(skew);
    }
}

fn median(of: &[i64]) -> Option<i64> {
    let mut sorted = of.to_vec();
    let middle = sorted.len() / 2;
    (sorted.len() >= ENOUGH).then(|| *sorted.select_nth_unstable(middle).1)
}

fn widened(range: Option<(i64, i64)>, value: Option<i64>) -> Option<(i64, i64)> {
    match (range, value) {
        (Some((least, greatest)), Some(value)) => Some((least.min(value), greatest.max(value))),
        (None, Some(value)) => Some((value, value)),
        (range, None) => range,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// Packets of 1 ms, of which `on` says by which legs each comes, and `late` by how much later than it was sent.
    fn told(
        packets: i64,
        on: impl Fn(i64) -> [bool; 2],
        late: impl Fn(usize, i64) -> i64,
    ) -> Option<((i64, i64), By)> {
        let mut all = Vec::new();
        for n in 0..packets {
            let legs = on(n).into_iter().enumerate().filter(|(_, comes)| *comes);
            all.extend(legs.map(|(leg, _)| (n * MS + late(leg, n), leg, n)));
        }
        all.sort_unstable();
        let mut skew = Skew::new(SampleRate::HZ_48000);
        for (at, leg, n) in all {
            let timestamp = RtpTime((u32::MAX - 20_000).wrapping_add(n as u32 * 48));
            skew.take(leg == 1, at, SeqNo(n as u16), timestamp);
        }
        skew.told()
    }

    fn turns(n: i64) -> [bool; 2] {
        [n % 2 == 0, n % 2 == 1]
    }

    #[test]
    fn disjoint_legs_are_measured_by_their_timestamps() {
        for (skew, packets) in [(3 * MS, 400), (400 * MS, 5_000), (-40 * MS, 5_000), (0, 5_000)] {
            let base = 500 * MS;
            let late = |leg: usize, _| base + if leg == 1 { skew } else { 0 };
            assert_eq!(told(packets, turns, late), Some(((skew, skew), By::Timestamps)), "{skew}");
        }
    }

    #[test]
    fn what_came_on_both_counts_before_that() {
        let one_of_a_hundred = |n| if n % 100 == 0 { [true; 2] } else { turns(n) };
        let late = |leg: usize, n: i64| leg as i64 * (3 * MS + n * 10);
        let Some(((least, greatest), by)) = told(4_000, one_of_a_hundred, late) else { panic!("nothing") };
        assert_eq!((least, greatest, by), (3 * MS, 3 * MS + 3_900 * 10, By::Packets));
    }

    #[test]
    fn jitter_and_outliers_move_no_median_by_much() {
        // Up to 1 ms of jitter on either leg, and every fiftieth packet of the second held up by 200 ms.
        let jitter = |leg: usize, n: i64| (n * (7 + leg as i64 * 4) % 1_000) * 1_000;
        let late = |leg: usize, n: i64| {
            let held = if leg == 1 && n % 50 == 1 { 200 * MS } else { 0 };
            jitter(leg, n) + if leg == 1 { 20 * MS } else { 0 } + held
        };
        let Some(((least, greatest), _)) = told(10_000, turns, late) else { panic!("nothing") };
        assert!(19 * MS < least && least <= greatest && greatest < 21 * MS, "{least} to {greatest}");
    }

    #[test]
    fn legs_that_never_send_together_tell_nothing() {
        // One ends 2 s before the other begins: nothing lies near enough, and drift would pass for skew.
        let apart = |n| if n < 2_000 { [true, false] } else { [false, n >= 4_000] };
        assert_eq!(told(6_000, apart, |_, _| 0), None);
        assert_eq!(told(6, turns, |_, _| 0), None, "too few");
    }
}
