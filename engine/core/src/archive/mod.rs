//! The archive: what a segment is called and when the next one begins.
//!
//! Owns: layouts, the rule for names that would meet, the boundaries of periods. Must never: look at a disk or a
//! clock, know a time zone but the one it is given, or hold a TAI−UTC offset of its own.
//!
//! # Goals
//! Names of Rotter's layouts, sorted by byte order as they were recorded, at every change of the clock. No name
//! is given to two segments: the repeated hour at the end of summer time carries its UTC offset
//! (`2026-10-25-01_UTC+0000.wav`), and whatever else would meet is numbered ([`tie_break`]).
//!
//! # Invariants
//! 1. A boundary is always later than the instant it is asked for, and depends on nothing but that instant.
//! 2. A name is a relative path that stays below the archive's root.
//! 3. Byte order of `name`, its numbered followers, the repeated hour, the next period is the order of time. Where a name tells minutes
//!    (`accurate`, `custom`), those of the repeated hour stand among those of the first one, each in order for itself.
//!
//! # Rejected designs
//! *Numbering the repeated hour too*: after a restart nobody could tell which hour a number means.
//! *Boundaries by adding the period*: they drift off the full hour with the first restart or leap of the clock.

mod boundary;
mod layout;
mod name;

pub use layout::{ArchiveClock, Layout};
pub use name::tie_break;

use audyn_units::{Nanos, Timestamp, Utc};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// The longest period: a day.
pub const MAX_PERIOD_SECONDS: u32 = 86_400;

/// What is wrong with an archive's configuration, or what a name lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// No layout has this name.
    #[error("archive layout {0:?} is not known; use flat, hierarchy, combo, dailydir, accurate or custom")]
    UnknownLayout(String),
    /// No clock has this name.
    #[error("archive clock {0:?} is not known; use localtime, utc or ptp")]
    UnknownClock(String),
    /// The period is 0 or longer than a day.
    #[error("archive period {0} s is outside 1 to {MAX_PERIOD_SECONDS} s; 3600 makes a file each hour")]
    Period(u32),
    /// The layout `custom` has no format.
    #[error("archive layout custom needs a format; give one, for example %Y-%m-%d/%H%M")]
    FormatMissing,
    /// A format was given to a layout that has its own.
    #[error("archive layout {0} has its own format; leave the format out or use the layout custom")]
    FormatUnused(Layout),
    /// The custom format cannot make names.
    #[error("archive format {format:?} cannot be used: {reason}")]
    Format {
        /// The format.
        format: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The suffix cannot be part of a name.
    #[error("archive suffix {0:?} is not 1 to 16 letters or digits; use wav, flac or opus")]
    Suffix(String),
    /// The clock is `ptp` and nobody knows TAI−UTC.
    #[error(
        "the TAI-UTC offset is not known yet, so no name in PTP time can be made; wait for a grandmaster that \
         announces it, set it in the kernel, or use the archive clock utc"
    )]
    TaiUnknown,
}

/// How a recorder's segments are named and cut; always valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PolicyFields", into = "PolicyFields")]
pub struct ArchivePolicy {
    layout: Layout,
    format: Option<String>,
    period_seconds: u32,
    clock: ArchiveClock,
}

/// The policy as the configuration file holds it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PolicyFields {
    layout: Layout,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<String>,
    period_seconds: u32,
    clock: ArchiveClock,
}

impl Default for PolicyFields {
    fn default() -> Self {
        ArchivePolicy::default().into()
    }
}

impl TryFrom<PolicyFields> for ArchivePolicy {
    type Error = ArchiveError;

    fn try_from(fields: PolicyFields) -> Result<Self, ArchiveError> {
        Self::new(fields.layout, fields.format, fields.period_seconds, fields.clock)
    }
}

impl From<ArchivePolicy> for PolicyFields {
    fn from(policy: ArchivePolicy) -> Self {
        let ArchivePolicy { layout, format, period_seconds, clock } = policy;
        Self { layout, format, period_seconds, clock }
    }
}

impl Default for ArchivePolicy {
    /// Flat names, a file each hour, local time.
    fn default() -> Self {
        Self { layout: Layout::Flat, format: None, period_seconds: 3_600, clock: ArchiveClock::LocalTime }
    }
}

impl ArchivePolicy {
    /// A policy; `format` (strftime) belongs to the layout `custom` and to no other.
    ///
    /// # Errors
    /// An [`ArchiveError`] for a period outside 1 s to a day, and for a format that is missing, unused, cannot be
    /// formatted on this clock, or makes a path that is absolute or leads out of the archive.
    pub fn new(
        layout: Layout,
        format: Option<String>,
        period_seconds: u32,
        clock: ArchiveClock,
    ) -> Result<Self, ArchiveError> {
        if !(1..=MAX_PERIOD_SECONDS).contains(&period_seconds) {
            return Err(ArchiveError::Period(period_seconds));
        }
        match (layout, &format) {
            (Layout::Custom, None) => return Err(ArchiveError::FormatMissing),
            (Layout::Custom, Some(format)) => name::check_format(format, clock)?,
            (_, Some(_)) => return Err(ArchiveError::FormatUnused(layout)),
            (_, None) => {}
        }
        Ok(Self { layout, format, period_seconds, clock })
    }

    /// The layout.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The strftime format of the names, without suffix.
    pub fn format(&self) -> &str {
        match &self.format {
            Some(format) => format,
            None => {
                self.layout.format().expect("every layout but custom has a format, and new() checked custom")
            }
        }
    }

    /// Length of a period, 1 s to a day.
    pub fn period_seconds(&self) -> u32 {
        self.period_seconds
    }

    /// The clock that names are told by.
    pub fn clock(&self) -> ArchiveClock {
        self.clock
    }

    /// The path below the archive's root, `/` between its parts, of the segment that starts at `start`.
    ///
    /// For a segment that starts at a boundary, give the boundary itself: a start that was rounded to a frame
    /// just before the hour would be named by the hour before. `tz` is used by the clock `localtime` only,
    /// `tai_minus_utc` (37 s in 2026) by `ptp` only.
    ///
    /// # Errors
    /// [`ArchiveError::Suffix`], [`ArchiveError::TaiUnknown`], and [`ArchiveError::Format`] if the custom format
    /// makes an unusable name at this very instant.
    pub fn name(
        &self,
        start: Timestamp<Utc>,
        tz: &TimeZone,
        tai_minus_utc: Option<Nanos>,
        suffix: &str,
    ) -> Result<String, ArchiveError> {
        name::name(self.format(), self.clock.reading(tz, tai_minus_utc)?, start, suffix)
    }

    /// The first boundary later than `after`.
    ///
    /// Boundaries lie where the clock shows a whole number of periods since its midnight; midnight is always
    /// one. Where the clock is changed and jumps over such a reading or shows it twice, the change itself is a
    /// boundary, so that no segment mixes two meanings of one name.
    ///
    /// # Errors
    /// [`ArchiveError::TaiUnknown`].
    pub fn next_boundary(
        &self,
        after: Timestamp<Utc>,
        tz: &TimeZone,
        tai_minus_utc: Option<Nanos>,
    ) -> Result<Timestamp<Utc>, ArchiveError> {
        Ok(boundary::next(self.period_seconds, self.clock.reading(tz, tai_minus_utc)?, after))
    }
}

/// A clock with all that is needed to read it.
#[derive(Clone, Copy)]
enum Reading<'a> {
    /// UTC moved by the rules of a zone; UTC itself is a zone too.
    Zone(&'a TimeZone),
    /// TAI: UTC and this much, no zone.
    Tai(Nanos),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(layout: Layout, format: Option<&str>) -> Result<ArchivePolicy, ArchiveError> {
        ArchivePolicy::new(layout, format.map(str::to_owned), 3_600, ArchiveClock::LocalTime)
    }

    #[test]
    fn periods_reach_from_a_second_to_a_day() {
        for (seconds, good) in [(0, false), (1, true), (3_600, true), (86_400, true), (86_401, false)] {
            let made = ArchivePolicy::new(Layout::Flat, None, seconds, ArchiveClock::Utc);
            assert_eq!(made.is_ok(), good, "{seconds}");
        }
    }

    #[test]
    fn a_format_belongs_to_custom_alone() {
        assert_eq!(policy(Layout::Custom, None), Err(ArchiveError::FormatMissing));
        assert_eq!(policy(Layout::Flat, Some("%H")), Err(ArchiveError::FormatUnused(Layout::Flat)));
        assert_eq!(policy(Layout::Custom, Some("%Y/%j/%H%M")).unwrap().format(), "%Y/%j/%H%M");
        assert!(policy(Layout::Flat, None).unwrap().layout() == Layout::Flat);
    }

    #[test]
    fn the_configuration_file_is_validated_as_a_whole() {
        let read = |json: &str| serde_json::from_str::<ArchivePolicy>(json).map_err(|e| e.to_string());
        assert_eq!(read("{}").unwrap(), ArchivePolicy::default());
        let full = r#"{"layout":"custom","format":"%H","period_seconds":900,"clock":"ptp"}"#;
        assert_eq!(serde_json::to_string(&read(full).unwrap()).unwrap(), full);
        let flat = r#"{"layout":"dailydir","period_seconds":3600,"clock":"localtime"}"#;
        assert_eq!(serde_json::to_string(&read(flat).unwrap()).unwrap(), flat);
        for (json, part) in [
            (r#"{"periodseconds":1}"#, "periodseconds"),
            (r#"{"period_seconds":0}"#, "archive period 0 s"),
            (r#"{"layout":"custom"}"#, "needs a format"),
            (r#"{"layout":"custom","format":"../%H"}"#, "leads out"),
            (r#"{"layout":"tree"}"#, "tree"),
        ] {
            assert!(read(json).unwrap_err().contains(part), "{json}");
        }
    }
}
