//! The archive policy of a recorder's configuration.

use audyn_api::{ArchiveClock, ArchiveConfig, Layout};
use audyn_core::archive::{self, ArchiveError, ArchivePolicy};
use audyn_units::Nanos;
use jiff::tz::TimeZone;

/// The policy that a configuration means, checked.
pub(crate) fn of(config: &ArchiveConfig) -> Result<ArchivePolicy, ArchiveError> {
    let layout = match config.layout {
        Layout::Flat => archive::Layout::Flat,
        Layout::Hierarchy => archive::Layout::Hierarchy,
        Layout::Combo => archive::Layout::Combo,
        Layout::DailyDir => archive::Layout::DailyDir,
        Layout::Accurate => archive::Layout::Accurate,
        Layout::Custom => archive::Layout::Custom,
    };
    let clock = match config.clock {
        ArchiveClock::LocalTime => archive::ArchiveClock::LocalTime,
        ArchiveClock::Utc => archive::ArchiveClock::Utc,
        ArchiveClock::Ptp => archive::ArchiveClock::Ptp,
    };
    ArchivePolicy::new(layout, config.custom_format.clone(), config.period_seconds, clock)
}

/// The machine's time zone; UTC where none is set.
pub fn local_zone() -> TimeZone {
    TimeZone::try_system().unwrap_or(TimeZone::UTC)
}

/// TAI − UTC: as the kernel was told, else as somebody gave it by hand, in seconds.
pub fn tai_minus_utc(by_hand: Option<i32>) -> Option<Nanos> {
    audyn_sys::clock::tai_offset().or(by_hand).map(|seconds| Nanos::from_secs(i64::from(seconds)))
}
