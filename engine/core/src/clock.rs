//! What the machine's clock says of TAI, and when that counts.
//!
//! Owns: one reading of the clock, and the judgement whether it has stepped for good. Never: reads a clock.
//!
//! A clock that is corrected a little is followed without a word. One that leaps is not believed before it has stood by it
//! for [`LASTING`]: between a leap second and the word that TAI−UTC has changed up to a second passes, in which TAI
//! seems to step and hasn't.
//!
//! ```text
//!            leaps by more than SLEW              stands there for LASTING
//!  follows ──────────────────────────► in doubt ───────────────────────────► follows, and it was a step
//!     ▲                                   │      (no step if it is below STEP)
//!     └───────── comes back ──────────────┘  leaps on: in doubt anew
//! ```

use audyn_units::{ClockQuality, FrameCount, FrameIndex, Mono, Nanos, SampleRate, Tai, Timestamp, Utc};

/// A change between two readings that is followed without a word. Clocks are slewed by 500 ppm (adjtimex(2)), by some
/// programs by a tenth; two readings of a worker lie 8 ms apart.
pub const SLEW: Nanos = Nanos::from_millis(10);

/// A clock that has leapt by more than this has stepped, if it stands by it.
pub const STEP: Nanos = Nanos::from_millis(100);

/// How long a clock must stand by a leap until it counts.
pub const LASTING: Nanos = Nanos::from_secs(3);

/// One reading of the machine's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaiReading {
    /// When, on the clock that never steps.
    pub at: Timestamp<Mono>,
    /// UTC then.
    pub utc: Timestamp<Utc>,
    /// TAI − UTC, if somebody told it. Without it UTC stands in for TAI, and the quality is none the better for it.
    pub tai_offset: Option<Nanos>,
    /// How well the clock is known to run.
    pub quality: ClockQuality,
}

impl TaiReading {
    /// TAI then, or UTC in its place.
    pub fn tai(&self) -> Timestamp<Tai> {
        Timestamp::from_nanos(self.utc.as_nanos() + self.tai_offset.unwrap_or(Nanos::ZERO).0)
    }

    /// TAI less the monotonic clock.
    fn offset(&self) -> Nanos {
        Nanos(self.tai().as_nanos() - self.at.as_nanos())
    }
}

/// The machine's TAI, as far as it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowedClock {
    /// The last reading.
    reading: TaiReading,
    /// TAI less the monotonic clock, as believed.
    offset: Nanos,
    /// A leap that isn't believed yet: what the offset would be, and since when.
    doubt: Option<(Nanos, Timestamp<Mono>)>,
}

impl FollowedClock {
    /// A clock that is believed at once.
    pub fn new(reading: TaiReading) -> Self {
        Self { reading, offset: reading.offset(), doubt: None }
    }

    /// Takes the next reading. Returns by how much the clock has stepped, if it now has.
    pub fn follow(&mut self, reading: TaiReading) -> Option<Nanos> {
        self.reading = reading;
        let seen = reading.offset();
        let leap = seen - self.offset;
        if leap.abs() <= SLEW {
            self.offset = seen;
            self.doubt = None;
            return None;
        }
        match self.doubt {
            Some((stood, since)) if (seen - stood).abs() <= SLEW => {
                if reading.at - since < LASTING {
                    return None;
                }
                self.offset = seen;
                self.doubt = None;
                (leap.abs() > STEP).then_some(leap)
            }
            _ => {
                self.doubt = Some((seen, reading.at));
                None
            }
        }
    }

    /// The last reading.
    pub fn reading(&self) -> &TaiReading {
        &self.reading
    }

    /// Whether a leap is in doubt.
    pub fn is_in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    /// TAI at an instant, as believed.
    pub fn tai_at(&self, at: Timestamp<Mono>) -> Timestamp<Tai> {
        Timestamp::from_nanos((at + self.offset).as_nanos())
    }

    /// UTC of an instant of TAI, by what was told last.
    pub fn utc_of(&self, tai: Timestamp<Tai>) -> Timestamp<Utc> {
        Timestamp::from_nanos((tai - self.reading.tai_offset.unwrap_or(Nanos::ZERO)).as_nanos())
    }
}

/// The frame that begins at or before an instant: frames since the PTP epoch. An instant before the epoch has frame 0.
pub fn frame_at(rate: SampleRate, tai: Timestamp<Tai>) -> FrameIndex {
    FrameIndex(rate.frames_in(Nanos(tai.as_nanos())).0)
}

/// When a frame begins, rounded down to the nanosecond.
pub fn tai_of(rate: SampleRate, position: FrameIndex) -> Timestamp<Tai> {
    Timestamp::from_nanos(rate.duration(FrameCount(position.0)).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(millis: i64, tai_millis: i64) -> TaiReading {
        TaiReading {
            at: Timestamp::from_nanos(millis * 1_000_000),
            utc: Timestamp::from_nanos((tai_millis - 37_000) * 1_000_000),
            tai_offset: Some(Nanos::from_secs(37)),
            quality: ClockQuality::Ntp,
        }
    }

    /// Reads the clock each 8 ms for so long while it shows `ahead` more than the monotonic clock; all steps.
    fn run(clock: &mut FollowedClock, from: i64, millis: i64, ahead: impl Fn(i64) -> i64) -> Vec<(i64, i64)> {
        let steps = (from..from + millis).step_by(8).filter_map(|at| {
            let step = clock.follow(reading(at, at + ahead(at)))?;
            Some((at, step.0 / 1_000_000))
        });
        steps.collect()
    }

    #[test]
    fn a_step_counts_when_it_has_lasted() {
        for step in [-3_600_000, -1_000, 1_000, 3_600_000] {
            let mut clock = FollowedClock::new(reading(0, 1_000_000));
            assert_eq!(run(&mut clock, 0, 1_000, |_| 1_000_000), []);
            let steps = run(&mut clock, 1_000, 10_000, |_| 1_000_000 + step);
            assert_eq!(steps, [(4_000, step)]);
            assert_eq!(clock.tai_at(Timestamp::ZERO), Timestamp::from_nanos((1_000_000 + step) * 1_000_000));
        }
    }

    #[test]
    fn a_leap_that_does_not_last_is_none() {
        let mut clock = FollowedClock::new(reading(0, 1_000_000));
        assert_eq!(
            run(&mut clock, 0, 10_000, |at| if (2_000..4_900).contains(&at) { 0 } else { 1_000_000 }),
            []
        );
        assert_eq!(clock.tai_at(Timestamp::ZERO), Timestamp::from_nanos(1_000_000_000_000));
    }

    #[test]
    fn a_slew_is_followed_and_a_small_leap_is_no_step() {
        let mut clock = FollowedClock::new(reading(0, 1_000_000));
        // A tenth, for 20 s.
        assert_eq!(run(&mut clock, 0, 20_000, |at| 1_000_000 + at / 10), []);
        assert_eq!(run(&mut clock, 20_000, 20_000, |_| 1_002_050), []);
        assert_eq!(clock.tai_at(Timestamp::ZERO), Timestamp::from_nanos(1_002_050_000_000));
    }

    #[test]
    fn positions_and_instants_are_arithmetic() {
        for rate in [SampleRate::HZ_44100, SampleRate::HZ_48000, SampleRate::HZ_96000] {
            let hour = Timestamp::from_nanos(1_783_000_800_000_000_000);
            let position = frame_at(rate, hour);
            assert_eq!(position.0, 1_783_000_800 * u64::from(rate.hz()));
            assert_eq!(tai_of(rate, position), hour);
            let later = frame_at(rate, hour + Nanos::from_secs(3_600));
            assert_eq!(later.since(position).0, 3_600 * u64::from(rate.hz()));
        }
    }
}
