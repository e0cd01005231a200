//! The receiver's machine and its clock: right, wrong, corrected, and told of leap seconds early or late.
//!
//! Owns: what the clock shows when. Never: what the receiver makes of it.

use audyn_core::clock::TaiReading;
use audyn_units::{ClockQuality, Mono, Nanos, Tai, Timestamp};

/// What becomes of the machine's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// From here on it is ahead of true UTC by this much.
    Ahead(Nanos),
    /// True TAI − UTC is this from here on: a leap second.
    Leap(Nanos),
    /// Somebody tells TAI − UTC.
    Told(Nanos),
    /// How good it is known to be.
    Quality(ClockQuality),
}

/// A machine's clock. It runs as evenly as true TAI, but for its turns.
#[derive(Debug, Clone)]
pub struct MachineClock {
    /// True TAI at an instant of the machine's monotonic clock.
    pub origin: (Timestamp<Mono>, Timestamp<Tai>),
    /// How much faster than the monotonic clock true TAI runs, in parts per million.
    pub ppm: i64,
    /// True TAI − UTC at the start.
    pub leap_seconds: Nanos,
    /// What is told of it at the start.
    pub told: Option<Nanos>,
    /// What comes, in order.
    pub turns: Vec<(Timestamp<Mono>, Turn)>,
}

impl MachineClock {
    /// True TAI.
    pub fn tai(&self, at: Timestamp<Mono>) -> Timestamp<Tai> {
        let (from, tai) = self.origin;
        let span = at - from;
        tai + span + Nanos(span.0 / 1_000 * self.ppm / 1_000)
    }

    /// What the clock shows.
    pub fn reading(&self, at: Timestamp<Mono>) -> TaiReading {
        let (mut ahead, mut leap_seconds, mut told) = (Nanos::ZERO, self.leap_seconds, self.told);
        let mut quality = ClockQuality::None;
        for &(_, turn) in self.turns.iter().take_while(|&&(when, _)| when <= at) {
            match turn {
                Turn::Ahead(span) => ahead = span,
                Turn::Leap(offset) => leap_seconds = offset,
                Turn::Told(offset) => told = Some(offset),
                Turn::Quality(is) => quality = is,
            }
        }
        let utc = self.tai(at) - leap_seconds + ahead;
        TaiReading { at, utc: Timestamp::from_nanos(utc.as_nanos()), tai_offset: told, quality }
    }

    /// By how much what the clock shows is ahead of true TAI.
    pub fn error(&self, at: Timestamp<Mono>) -> Nanos {
        self.reading(at).tai() - self.tai(at)
    }
}
