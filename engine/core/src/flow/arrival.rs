//! The arrival clock: which frame should be arriving at a given instant.
//!
//! Owns: the shortest delay seen lately between a frame's place and its arrival. Jitter only ever makes a packet
//! late, so the shortest delay follows the sender's clock; two windows of two seconds let it follow drift both ways.

use audyn_units::{FrameCount, FrameIndex, Mono, Nanos, SampleRate, Timestamp};

/// Length of one of the two windows over which the shortest delay is kept.
const WINDOW: Nanos = Nanos::from_secs(2);

#[derive(Debug, Clone)]
pub(super) struct ArrivalClock {
    rate: SampleRate,
    /// An arrival and its position, from which both are counted; moved up at each new window so that numbers stay small.
    origin: (Timestamp<Mono>, FrameIndex),
    window_began: Timestamp<Mono>,
    shortest: Nanos,
    shortest_before: Nanos,
}

impl ArrivalClock {
    pub(super) fn new(rate: SampleRate, arrival: Timestamp<Mono>, at: FrameIndex) -> Self {
        Self {
            rate,
            origin: (arrival, at),
            window_began: arrival,
            shortest: Nanos::ZERO,
            shortest_before: Nanos::ZERO,
        }
    }

    /// Takes note that the frame at `at` arrived at `arrival`.
    pub(super) fn observe(&mut self, arrival: Timestamp<Mono>, at: FrameIndex) {
        let delay = self.delay(arrival, at);
        if arrival - self.window_began >= WINDOW {
            self.origin = (arrival, at);
            self.window_began = arrival;
            self.shortest_before = self.shortest - delay;
            self.shortest = Nanos::ZERO;
        } else if delay < self.shortest {
            self.shortest = delay;
        }
    }

    /// The frame that should be arriving at `now`.
    pub(super) fn position_at(&self, now: Timestamp<Mono>) -> FrameIndex {
        let (origin, at) = self.origin;
        let elapsed = now - origin - self.shortest.min(self.shortest_before);
        if elapsed.0 >= 0 {
            at + self.rate.frames_in(elapsed)
        } else {
            FrameIndex(at.0.saturating_sub(self.rate.frames_in(-elapsed).0))
        }
    }

    fn delay(&self, arrival: Timestamp<Mono>, at: FrameIndex) -> Nanos {
        let (origin, from) = self.origin;
        let distance = at.distance_from(from);
        let span = self.rate.duration(FrameCount(distance.unsigned_abs()));
        (arrival - origin) - if distance < 0 { -span } else { span }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One packet of 48 frames a millisecond of the sender's clock, which runs `ppm` fast, each `jitter` late.
    fn run(clock: &mut ArrivalClock, packets: u64, ppm: i64, jitter: impl Fn(u64) -> i64) -> Timestamp<Mono> {
        let mut arrival = Timestamp::ZERO;
        for n in 0..packets {
            let nominal = n as i64 * 1_000_000;
            arrival = Timestamp::from_nanos(nominal - nominal * ppm / 1_000_000 + jitter(n));
            clock.observe(arrival, FrameIndex(n * 48));
        }
        arrival
    }

    #[test]
    fn follows_drift_both_ways_through_jitter() {
        for ppm in [-200, 200] {
            let mut clock = ArrivalClock::new(SampleRate::HZ_48000, Timestamp::ZERO, FrameIndex(0));
            let jitter = |n: u64| (n * 7_919 % 3_000_000) as i64;
            let packets = 600_000;
            run(&mut clock, packets, ppm, jitter);
            let nominal = packets as i64 * 1_000_000;
            let now = Timestamp::from_nanos(nominal - nominal * ppm / 1_000_000);
            let error = clock.position_at(now).distance_from(FrameIndex(packets * 48));
            // Two windows of drift at 200 ppm are 0.8 ms, 38 frames.
            assert!(error.abs() <= 48, "off by {error} frames at {ppm} ppm");
        }
    }

    #[test]
    fn a_burst_does_not_pull_it_back() {
        let mut clock = ArrivalClock::new(SampleRate::HZ_48000, Timestamp::ZERO, FrameIndex(0));
        // Packets come in bursts of 20: the last of each burst has waited least.
        run(&mut clock, 5_000, 0, |n| (19 - n % 20) as i64 * 1_000_000);
        let error =
            clock.position_at(Timestamp::from_nanos(5_000_000_000)).distance_from(FrameIndex(240_000));
        assert!(error.abs() <= 1, "off by {error} frames");
    }
}
