//! The instant of a frame, and what a clock shows then.
//!
//! Owns: the reading of a clock to the frame. Never: the time of now.

use audyn_units::{FrameCount, FrameIndex, SampleRate};
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use crate::Facts;

/// The clock that names a file.
#[derive(Debug, Clone, Copy)]
pub enum NamingClock<'a> {
    /// The reading of a zone's clocks; UTC is one.
    Zone(&'a TimeZone),
    /// TAI, which PTP tells.
    Tai,
}

/// A frame's instant: whole seconds of UTC since 1970, and frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    seconds: i64,
    frames: u64,
    rate: u64,
}

impl Moment {
    /// By arithmetic, of a frame that was placed by its media clock. Where TAI − UTC is not known UTC stands in for TAI, as in a ledger.
    #[must_use]
    pub fn of_position(position: FrameIndex, rate: SampleRate, tai_minus_utc: Option<i64>) -> Self {
        let rate = u64::from(rate.hz());
        let seconds = i64::try_from(position.0 / rate).unwrap_or(i64::MAX);
        let seconds = seconds.saturating_sub(tai_minus_utc.unwrap_or(0));
        Self { seconds, frames: position.0 % rate, rate }
    }

    /// The nearest frame to an instant in nanoseconds of UTC.
    #[must_use]
    pub fn of_utc(nanos: i64, rate: SampleRate) -> Self {
        let rate = u64::from(rate.hz());
        let half = 500_000_000 / rate.cast_signed();
        let nanos = nanos.saturating_add(half);
        let within = nanos.rem_euclid(1_000_000_000).unsigned_abs();
        Self { seconds: nanos.div_euclid(1_000_000_000), frames: within * rate / 1_000_000_000, rate }
    }

    /// Enters into `facts` what the clock that names a file shows at its first frame.
    pub fn enter(self, facts: &mut Facts, clock: NamingClock<'_>, tai_minus_utc: Option<i64>) {
        let (reading, offset) = match clock {
            NamingClock::Zone(zone) => self.read(zone),
            NamingClock::Tai => {
                let tai = Self { seconds: self.seconds + tai_minus_utc.unwrap_or(0), ..self };
                (tai.read(&TimeZone::UTC).0, String::new())
            }
        };
        let seconds =
            (i64::from(reading.hour()) * 60 + i64::from(reading.minute())) * 60 + i64::from(reading.second());
        facts.start_named = format!("{reading}{offset}");
        facts.since_midnight = FrameCount(seconds.unsigned_abs() * self.rate + self.frames);
    }

    /// What a clock of this zone shows then, and its offset from UTC.
    fn read(self, zone: &TimeZone) -> (DateTime, String) {
        let nanos = (self.frames * 1_000_000_000 / self.rate) as i32;
        // A position that no clock ever told: the reading is all that is wrong with it.
        let instant = jiff::Timestamp::new(self.seconds, nanos).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let offset = zone.to_offset(instant);
        let zoned = instant.to_zoned(offset.to_time_zone());
        let told = if offset == Offset::UTC { "Z".to_owned() } else { zoned.strftime("%:z").to_string() };
        (zoned.datetime(), told)
    }
}
