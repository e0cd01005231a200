//! How fast a sender's clock runs against ours.
//!
//! Owns: two points of the timeline, some minutes apart, and the rate between the earlier and now. The points are taken from the
//! arrival clock, which jitter does not move.

use audyn_units::{FrameIndex, Mono, Nanos, SampleRate, Timestamp};

/// After a new anchor the arrival clock finds the shortest delay; two of its windows and a little more.
const SETTLING: Nanos = Nanos::from_secs(6);

/// A shorter stretch says nothing: a millisecond of network in half a minute is 33 ppm.
const LEAST: Nanos = Nanos::from_secs(30);

/// A point is kept for at least this long, so that what is told is of the last 10 to 20 minutes.
const KEPT: Nanos = Nanos::from_secs(600);

#[derive(Debug, Clone, Copy)]
pub(super) struct DriftMeter {
    rate: SampleRate,
    /// When the flow was anchored.
    since: Timestamp<Mono>,
    older: Option<(Timestamp<Mono>, FrameIndex)>,
    newer: Option<(Timestamp<Mono>, FrameIndex)>,
    ppm: Option<f64>,
}

impl DriftMeter {
    pub(super) fn new(rate: SampleRate, since: Timestamp<Mono>) -> Self {
        Self { rate, since, older: None, newer: None, ppm: None }
    }

    /// Takes note that the frame at `at` should be arriving `now`. To be told only while packets come.
    pub(super) fn observe(&mut self, now: Timestamp<Mono>, at: FrameIndex) {
        if now - self.since < SETTLING {
            return;
        }
        let older = *self.older.get_or_insert((now, at));
        let newer = *self.newer.get_or_insert((now, at));
        let span = now - older.0;
        if span >= LEAST {
            let ran = at.distance_from(older.1) as f64 / f64::from(self.rate.hz());
            self.ppm = Some((ran / span.as_secs_f64() - 1.0) * 1e6);
        }
        if now - newer.0 >= KEPT {
            self.older = Some(newer);
            self.newer = Some((now, at));
        }
    }

    /// By how many parts per million the sender runs faster than this machine, once that can be said.
    pub(super) fn ppm(&self) -> Option<f64> {
        self.ppm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drift_is_told_after_half_a_minute_and_follows_its_change() {
        let mut meter = DriftMeter::new(SampleRate::HZ_48000, Timestamp::ZERO);
        let mut place = 0.0;
        let mut run = |from: i64, to: i64, ppm: f64, meter: &mut DriftMeter| {
            for second in from..to {
                place += 48_000.0 * (1.0 + ppm / 1e6);
                meter.observe(Timestamp::ZERO + Nanos::from_secs(second), FrameIndex(place as u64));
            }
        };
        run(0, 30, 50.0, &mut meter);
        assert_eq!(meter.ppm(), None);
        run(30, 120, 50.0, &mut meter);
        assert!((meter.ppm().unwrap() - 50.0).abs() < 1.0, "{meter:?}");
        run(120, 2_000, -20.0, &mut meter);
        assert!((meter.ppm().unwrap() + 20.0).abs() < 1.0, "{meter:?}");
    }
}
