//! The machine's clocks, the link between them, and waiting on an absolute time grid.
//!
//! Owns: readings of CLOCK_MONOTONIC, CLOCK_REALTIME and CLOCK_TAI as typed instants.
//! Never: sets a clock, or mixes two without saying by which offset. (PTP hardware clocks are read in [`crate::phc`].)

use audyn_units::{Mono, Nanos, Timestamp, Utc};
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};

use crate::SysError;

const SECOND: i64 = 1_000_000_000;

fn read(clock: ClockId) -> i64 {
    let time =
        clock_gettime(clock).expect("every Linux since 3.10 has the monotonic, real-time and TAI clocks");
    // Both are narrower on 32-bit machines.
    time.tv_sec() as i64 * SECOND + time.tv_nsec() as i64
}

/// CLOCK_MONOTONIC now: never steps, stands still during suspend.
#[must_use]
pub fn mono_now() -> Timestamp<Mono> {
    Timestamp::from_nanos(read(ClockId::CLOCK_MONOTONIC))
}

/// CLOCK_REALTIME now: UTC as the machine believes it; steps when it is corrected.
#[must_use]
pub fn utc_now() -> Timestamp<Utc> {
    Timestamp::from_nanos(read(ClockId::CLOCK_REALTIME))
}

/// TAI − UTC in whole seconds as the kernel was told (37 since 2017), or `None` if nobody told it.
///
/// Read as CLOCK_TAI − CLOCK_REALTIME rather than by `adjtimex(2)`, which systemd's ProtectClock= forbids.
#[must_use]
pub fn tai_offset() -> Option<i32> {
    // A step of the clock between two readings would give a wrong difference: believe none that isn't bracketed.
    (0..8)
        .find_map(|_| {
            let before = read(ClockId::CLOCK_REALTIME);
            let tai = read(ClockId::CLOCK_TAI);
            let after = read(ClockId::CLOCK_REALTIME);
            let calm = (0..SECOND / 10).contains(&(after - before));
            calm.then(|| (tai - before + SECOND / 2).div_euclid(SECOND))
        })
        .and_then(|offset| i32::try_from(offset).ok())
        .filter(|&offset| offset != 0)
}

/// Waits until `instant` has come; returns at once if it has passed. Interrupted by a signal, it waits on.
pub fn sleep_until(instant: Timestamp<Mono>) {
    let nanos = instant.as_nanos().max(0);
    let target = TimeSpec::new((nanos / SECOND) as _, (nanos % SECOND) as _);
    let absolute = ClockNanosleepFlags::TIMER_ABSTIME;
    loop {
        match clock_nanosleep(ClockId::CLOCK_MONOTONIC, absolute, &target) {
            Ok(_) => return,
            Err(Errno::EINTR) => {}
            Err(error) => {
                unreachable!("a normalised time on the monotonic clock can be waited for ({error})")
            }
        }
    }
}

/// What CLOCK_REALTIME and CLOCK_MONOTONIC showed at one moment: converts between the two.
///
/// Good for instants near [`ClockPair::at`]: UTC is slewed by up to 500 ppm (adjtimex(2)) and may step, so
/// sample anew each turn of the capture loop; it costs three clock readings, without a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockPair {
    /// When it was sampled.
    pub at: Timestamp<Mono>,
    /// UTC − monotonic.
    pub offset: Nanos,
    /// The offset is right to within ± this span: half of what the sampling took.
    pub uncertainty: Nanos,
}

impl ClockPair {
    /// Reads monotonic, UTC, monotonic, up to five times, and keeps the narrowest bracket.
    #[must_use]
    pub fn sample() -> Self {
        /// A bracket as narrow as this was not interrupted; a reading takes some 20–50 ns.
        const NARROW: Nanos = Nanos(250);
        let mut best = Self::sample_once();
        for _ in 1..5 {
            if best.uncertainty <= NARROW {
                break;
            }
            let next = Self::sample_once();
            if next.uncertainty < best.uncertainty {
                best = next;
            }
        }
        best
    }

    fn sample_once() -> Self {
        let (before, utc, after) = (mono_now(), utc_now(), mono_now());
        Self::bracketed(before, utc, after)
    }

    fn bracketed(before: Timestamp<Mono>, utc: Timestamp<Utc>, after: Timestamp<Mono>) -> Self {
        let half = Nanos((after - before).0 / 2);
        let at = before + half;
        Self { at, offset: Nanos(utc.as_nanos() - at.as_nanos()), uncertainty: (after - at).abs() }
    }

    /// The monotonic instant of a UTC one, e.g. of a kernel receive time.
    #[must_use]
    pub fn to_mono(&self, utc: Timestamp<Utc>) -> Timestamp<Mono> {
        Timestamp::from_nanos((utc - self.offset).as_nanos())
    }

    /// The UTC instant of a monotonic one.
    #[must_use]
    pub fn to_utc(&self, mono: Timestamp<Mono>) -> Timestamp<Utc> {
        Timestamp::from_nanos((mono + self.offset).as_nanos())
    }
}

/// One tick of a [`Grid`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// When to wake: after the `now` that was given, by at most one period.
    pub at: Timestamp<Mono>,
    /// How many ticks since the last one given have passed unused.
    pub missed: u64,
}

/// An absolute time grid: ticks at whole multiples of the period, so that lateness never adds up.
///
/// ```text
/// loop: tick = grid.next_after(mono_now()); sleep_until(tick.at); work
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Grid {
    period: Nanos,
    last: Option<Timestamp<Mono>>,
}

impl Grid {
    /// A grid of this period.
    ///
    /// # Errors
    /// [`SysError::GridPeriod`] unless the period is above zero.
    pub fn new(period: Nanos) -> Result<Self, SysError> {
        if period <= Nanos::ZERO {
            return Err(SysError::GridPeriod { nanos: period.0 });
        }
        Ok(Self { period, last: None })
    }

    /// The distance between two ticks.
    #[must_use]
    pub fn period(&self) -> Nanos {
        self.period
    }

    /// The next tick to wait for: the first one after `now` that was not given before. Those between the last one
    /// given and this one are skipped, and counted. (After an early wake-up it is the one after the last.)
    #[must_use]
    pub fn next_after(&mut self, now: Timestamp<Mono>) -> Tick {
        let period = self.period.0;
        let number = |at: Timestamp<Mono>| at.as_nanos().div_euclid(period);
        let mut next = number(now) + 1;
        let mut missed = 0;
        if let Some(last) = self.last {
            let due = number(last) + 1;
            next = next.max(due);
            missed = next.abs_diff(due);
        }
        let at = Timestamp::from_nanos(next * period);
        self.last = Some(at);
        Tick { at, missed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn mono(nanos: i64) -> Timestamp<Mono> {
        Timestamp::from_nanos(nanos)
    }

    #[test]
    fn a_pair_converts_both_ways() {
        let pair = ClockPair::bracketed(mono(1_000), Timestamp::from_nanos(5_000_040), mono(1_081));
        assert_eq!(pair, ClockPair { at: mono(1_040), offset: Nanos(4_999_000), uncertainty: Nanos(41) });
        assert_eq!(pair.to_mono(Timestamp::from_nanos(5_000_140)), mono(1_140));
        assert_eq!(pair.to_utc(mono(1_140)), Timestamp::from_nanos(5_000_140));
    }

    #[test]
    fn a_sample_lies_between_the_readings_around_it() {
        let before = mono_now();
        let pair = ClockPair::sample();
        assert!(before <= pair.at && pair.at <= mono_now());
        assert!(pair.uncertainty >= Nanos::ZERO);
        assert_eq!(pair.to_mono(pair.to_utc(before)), before);
    }

    #[test]
    fn the_tai_offset_is_absent_or_believable() {
        match tai_offset() {
            // 10 s when the difference was first made whole, in 1972; it grows by rare leap seconds.
            Some(offset) => assert!((10..60).contains(&offset), "{offset}"),
            None => println!("path: nobody told this kernel the TAI offset"),
        }
    }

    #[test]
    fn sleeping_never_ends_early() {
        let target = mono_now() + Nanos::from_millis(2);
        sleep_until(target);
        assert!(mono_now() >= target);
        sleep_until(target); // in the past: returns
        sleep_until(mono(-5)); // before the clock's origin: returns
    }

    #[test]
    fn a_grid_on_time_gives_each_tick() {
        let mut grid = Grid::new(Nanos(100)).unwrap();
        assert_eq!(grid.next_after(mono(1_234)), Tick { at: mono(1_300), missed: 0 });
        assert_eq!(grid.next_after(mono(1_301)), Tick { at: mono(1_400), missed: 0 });
        assert_eq!(grid.next_after(mono(1_499)), Tick { at: mono(1_500), missed: 0 });
    }

    #[test]
    fn a_late_grid_skips_and_counts_what_it_missed() {
        let mut grid = Grid::new(Nanos(100)).unwrap();
        assert_eq!(grid.next_after(mono(0)).at, mono(100));
        // 200 and 300 have passed, 400 is now: none of the three can be waited for any more.
        assert_eq!(grid.next_after(mono(400)), Tick { at: mono(500), missed: 3 });
        assert_eq!(grid.next_after(mono(520)), Tick { at: mono(600), missed: 0 });
    }

    #[test]
    fn a_grid_never_gives_a_tick_twice() {
        let mut grid = Grid::new(Nanos(100)).unwrap();
        assert_eq!(grid.next_after(mono(0)).at, mono(100));
        assert_eq!(grid.next_after(mono(50)), Tick { at: mono(200), missed: 0 });
    }

    #[test]
    fn a_grid_without_period_is_an_error() {
        for nanos in [0, -1] {
            let error = Grid::new(Nanos(nanos)).unwrap_err();
            assert!(error.to_string().contains("above zero"), "{error}");
        }
    }
}
