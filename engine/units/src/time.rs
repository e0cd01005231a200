//! Instants on a named clock, and the spans between them.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::ops::{Add, AddAssign, Mul, Neg, Sub};

/// A clock that instants are told on. Implemented by [`Tai`], [`Utc`], [`Mono`] and [`Phc`] only.
pub trait Clock: Copy + fmt::Debug + 'static {
    /// The clock's name, for messages.
    const NAME: &'static str;
}

/// International Atomic Time: nanoseconds since the PTP epoch, 1970-01-01 00:00:00 TAI (IEEE 1588-2019 §7.2).
#[derive(Debug, Clone, Copy)]
pub enum Tai {}
/// Coordinated Universal Time as POSIX counts it: nanoseconds since 1970-01-01 00:00:00 UTC, leap seconds left out.
#[derive(Debug, Clone, Copy)]
pub enum Utc {}
/// The machine's monotonic clock: nanoseconds since an origin of its own; it never steps.
#[derive(Debug, Clone, Copy)]
pub enum Mono {}
/// A network card's own clock (PTP hardware clock): nanoseconds since an origin that whoever leads it chose. Led by a PTP
/// grandmaster it is TAI, if that one's time is; it steps, and vanishes with the card.
#[derive(Debug, Clone, Copy)]
pub enum Phc {}

impl Clock for Tai {
    const NAME: &'static str = "TAI";
}
impl Clock for Utc {
    const NAME: &'static str = "UTC";
}
impl Clock for Mono {
    const NAME: &'static str = "monotonic";
}
impl Clock for Phc {
    const NAME: &'static str = "PHC";
}

/// An instant on clock `C`, in nanoseconds since that clock's origin (an `i64` reaches the year 2262).
///
/// Instants of two clocks do not mix:
///
/// ```compile_fail
/// use audyn_units::{Timestamp, Tai, Utc};
/// let _ = Timestamp::<Utc>::from_nanos(1) - Timestamp::<Tai>::from_nanos(1);
/// ```
pub struct Timestamp<C: Clock> {
    nanos: i64,
    clock: PhantomData<C>,
}

impl<C: Clock> Timestamp<C> {
    /// The clock's origin.
    pub const ZERO: Self = Self::from_nanos(0);

    /// The instant `nanos` after the clock's origin.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self { nanos, clock: PhantomData }
    }

    /// Nanoseconds since the clock's origin.
    pub const fn as_nanos(self) -> i64 {
        self.nanos
    }
}

impl<C: Clock> Clone for Timestamp<C> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<C: Clock> Copy for Timestamp<C> {}
impl<C: Clock> PartialEq for Timestamp<C> {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}
impl<C: Clock> Eq for Timestamp<C> {}
impl<C: Clock> PartialOrd for Timestamp<C> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<C: Clock> Ord for Timestamp<C> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}
impl<C: Clock> Hash for Timestamp<C> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.nanos.hash(state);
    }
}
impl<C: Clock> Default for Timestamp<C> {
    fn default() -> Self {
        Self::ZERO
    }
}
impl<C: Clock> fmt::Debug for Timestamp<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ns {}", self.nanos, C::NAME)
    }
}

impl<C: Clock> Add<Nanos> for Timestamp<C> {
    type Output = Self;

    fn add(self, span: Nanos) -> Self {
        Self::from_nanos(self.nanos + span.0)
    }
}
impl<C: Clock> Sub<Nanos> for Timestamp<C> {
    type Output = Self;

    fn sub(self, span: Nanos) -> Self {
        Self::from_nanos(self.nanos - span.0)
    }
}
impl<C: Clock> AddAssign<Nanos> for Timestamp<C> {
    fn add_assign(&mut self, span: Nanos) {
        self.nanos += span.0;
    }
}
impl<C: Clock> Sub for Timestamp<C> {
    type Output = Nanos;

    fn sub(self, earlier: Self) -> Nanos {
        Nanos(self.nanos - earlier.nanos)
    }
}

#[cfg(feature = "serde")]
impl<C: Clock> serde::Serialize for Timestamp<C> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.nanos)
    }
}

#[cfg(feature = "serde")]
impl<'de, C: Clock> serde::Deserialize<'de> for Timestamp<C> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(Self::from_nanos)
    }
}

/// How well the machine knows TAI: what stands behind an instant that was read from its clock. Best first.
///
/// Stated wherever a position or a name was taken from the clock; never guessed upwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum ClockQuality {
    /// A PTP grandmaster is followed, and the offset from UTC is known.
    PtpLocked,
    /// A PTP grandmaster was followed and is gone; the clock runs on by itself.
    PtpFreeRunning,
    /// The system clock is synchronised by NTP or the like.
    Ntp,
    /// Nothing is known to set the clock.
    #[default]
    None,
}

impl ClockQuality {
    /// Every quality, best first.
    pub const ALL: [Self; 4] = [Self::PtpLocked, Self::PtpFreeRunning, Self::Ntp, Self::None];

    /// The name in the files and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PtpLocked => "ptp-locked",
            Self::PtpFreeRunning => "ptp-free-running",
            Self::Ntp => "ntp",
            Self::None => "none",
        }
    }
}

impl fmt::Display for ClockQuality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PtpLocked => "locked to PTP",
            Self::PtpFreeRunning => "free-running after PTP",
            Self::Ntp => "synchronised by NTP",
            Self::None => "not synchronised",
        })
    }
}

/// A signed span of time in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Nanos(pub i64);

impl Nanos {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of whole microseconds.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros * 1_000)
    }

    /// A span of whole milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis * 1_000_000)
    }

    /// A span of whole seconds.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs * 1_000_000_000)
    }

    /// The span in seconds, for people.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The length without its sign.
    pub const fn abs(self) -> Self {
        Self(self.0.abs())
    }

    /// As a [`core::time::Duration`]; a negative span is zero.
    pub const fn to_duration(self) -> core::time::Duration {
        core::time::Duration::from_nanos(if self.0 < 0 { 0 } else { self.0 as u64 })
    }
}

impl Add for Nanos {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}
impl Sub for Nanos {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}
impl Neg for Nanos {
    type Output = Self;

    fn neg(self) -> Self {
        Self(-self.0)
    }
}
impl Mul<i64> for Nanos {
    type Output = Self;

    fn mul(self, times: i64) -> Self {
        Self(self.0 * times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_and_spans() {
        let t = Timestamp::<Mono>::from_nanos(5) + Nanos::from_micros(1);
        assert_eq!(t.as_nanos(), 1_005);
        assert_eq!(t - Timestamp::from_nanos(5), Nanos(1_000));
        assert_eq!(Nanos(-3).to_duration(), core::time::Duration::ZERO);
    }
}
