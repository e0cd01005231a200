//! TS-DF, the time-stamped delay factor (EBU Tech 3337): how far the transit times of a second lie apart.
//!
//! The relative transit time of packet *i* is `D(i,0) = (R(i) − R(0)) − (S(i) − S(0))`, with arrival *R*, RTP timestamp *S*, and the
//! window's first packet as 0. TS-DF is the greatest less the least of a window. The reference falls out of the difference, so
//! no clock has to agree with another; only their drift within the window adds, 0.1 ms a second at 100 ppm.
//!
//! The window is a second here. EBU's LIST takes 200 ms, so its figures are smaller where delay changes slowly.

use audyn_units::{FrameCount, Mono, Nanos, RtpTime, SampleRate, Timestamp};

/// Length of a window.
pub const TS_DF_WINDOW: Nanos = Nanos::from_secs(1);

#[derive(Debug, Clone, Copy)]
struct Window {
    arrival: Timestamp<Mono>,
    timestamp: RtpTime,
    least: Nanos,
    greatest: Nanos,
}

#[derive(Debug, Clone, Default)]
pub(super) struct TsDf {
    window: Option<Window>,
    last: Option<Nanos>,
    greatest: Option<Nanos>,
}

impl TsDf {
    /// Takes a packet. Returns the figure of the window that it ended, if it ended one.
    pub(super) fn observe(
        &mut self,
        arrival: Timestamp<Mono>,
        timestamp: RtpTime,
        rate: SampleRate,
    ) -> Option<Nanos> {
        let open = Window { arrival, timestamp, least: Nanos::ZERO, greatest: Nanos::ZERO };
        let Some(window) = &mut self.window else {
            self.window = Some(open);
            return None;
        };
        let passed = arrival - window.arrival;
        if passed >= TS_DF_WINDOW {
            let ended = window.greatest - window.least;
            self.window = Some(open);
            self.last = Some(ended);
            self.greatest = self.greatest.max(self.last);
            return self.last;
        }
        let transit = passed - span(timestamp.distance_from(window.timestamp), rate);
        window.least = window.least.min(transit);
        window.greatest = window.greatest.max(transit);
        None
    }

    /// The timestamps broke: what was measured across the break means nothing.
    pub(super) fn restart(&mut self) {
        self.window = None;
    }

    /// The last whole window's figure; before there is one, what the window at hand has come to.
    pub(super) fn last(&self) -> Option<Nanos> {
        self.last.or_else(|| self.at_hand())
    }

    /// The greatest so far, the window at hand included.
    pub(super) fn greatest(&self) -> Option<Nanos> {
        self.greatest.max(self.at_hand())
    }

    pub(super) fn at_hand(&self) -> Option<Nanos> {
        self.window.map(|window| window.greatest - window.least)
    }
}

/// How long a signed number of frames lasts.
pub(super) fn span(ticks: i32, rate: SampleRate) -> Nanos {
    let length = rate.duration(FrameCount(u64::from(ticks.unsigned_abs())));
    if ticks < 0 { -length } else { length }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: SampleRate = SampleRate::HZ_48000;

    fn feed(ts_df: &mut TsDf, n: u64, delay_us: i64) -> Option<Nanos> {
        let arrival = Timestamp::from_nanos(n as i64 * 1_000_000 + delay_us * 1_000);
        // The timestamps wrap within the first window.
        ts_df.observe(arrival, RtpTime(u32::MAX - 100).advanced(n as u32 * 48), RATE)
    }

    #[test]
    fn it_is_the_spread_of_a_second_whatever_the_first_packet_was() {
        for first in [0, 300, 700] {
            let mut ts_df = TsDf::default();
            let delay = |n: u64| match n {
                0 => first,
                400 => 0,
                600 => 700,
                _ => 300,
            };
            let ended: Vec<_> = (0..1_010).filter_map(|n| feed(&mut ts_df, n, delay(n))).collect();
            assert_eq!(ended, [Nanos::from_micros(700)], "first packet {first} µs late");
        }
    }

    #[test]
    fn each_window_is_by_itself() {
        let mut ts_df = TsDf::default();
        assert_eq!(ts_df.last(), None);
        // A path that becomes 5 ms longer at once: seen in the window where it happens, and in no other.
        let ended: Vec<_> = (0..4_000)
            .filter_map(|n| feed(&mut ts_df, n, if n > 1_500 { 5_000 } else { 0 }))
            .map(|figure| figure.0 / 1_000)
            .collect();
        assert_eq!(ended, [0, 5_000, 0, 0]);
        assert_eq!(ts_df.last(), Some(Nanos::ZERO));
        assert_eq!(ts_df.greatest(), Some(Nanos::from_millis(5)));
    }

    #[test]
    fn clocks_that_part_show_by_their_drift_only() {
        let mut ts_df = TsDf::default();
        // 100 ppm: a tenth of a millisecond in a second.
        let ended: Vec<_> = (0..2_500).filter_map(|n| feed(&mut ts_df, n, n as i64 / 10)).collect();
        assert_eq!(ended, [Nanos::from_micros(99), Nanos::from_micros(99)]);
    }
}
