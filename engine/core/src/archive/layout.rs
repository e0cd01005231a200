//! The names of layouts and clocks, as configuration and command line give them.

use core::fmt;
use core::str::FromStr;

use audyn_units::Nanos;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::{ArchiveError, Reading};

static UTC: TimeZone = TimeZone::UTC;

/// How files lie in the archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `2026-01-10-14.wav`
    #[default]
    Flat,
    /// `2026/01/10/14/archive.wav`
    Hierarchy,
    /// `2026/01/10/14/2026-01-10-14.wav`
    Combo,
    /// `2026-01-10/2026-01-10-14.wav`
    DailyDir,
    /// `2026-01-10/2026-01-10-14-30-00-00.wav`; the last pair is hundredths of a second.
    Accurate,
    /// By a strftime format of the user's.
    Custom,
}

impl Layout {
    /// Every layout.
    pub const ALL: [Self; 6] =
        [Self::Flat, Self::Hierarchy, Self::Combo, Self::DailyDir, Self::Accurate, Self::Custom];

    /// The name that configuration and command line use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Hierarchy => "hierarchy",
            Self::Combo => "combo",
            Self::DailyDir => "dailydir",
            Self::Accurate => "accurate",
            Self::Custom => "custom",
        }
    }

    /// The strftime format, without suffix; none for `custom`.
    pub const fn format(self) -> Option<&'static str> {
        match self {
            Self::Flat => Some("%Y-%m-%d-%H"),
            Self::Hierarchy => Some("%Y/%m/%d/%H/archive"),
            Self::Combo => Some("%Y/%m/%d/%H/%Y-%m-%d-%H"),
            Self::DailyDir => Some("%Y-%m-%d/%Y-%m-%d-%H"),
            Self::Accurate => Some("%Y-%m-%d/%Y-%m-%d-%H-%M-%S-%2f"),
            Self::Custom => None,
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Layout {
    type Err = ArchiveError;

    fn from_str(name: &str) -> Result<Self, ArchiveError> {
        Self::ALL
            .into_iter()
            .find(|layout| layout.name() == name)
            .ok_or_else(|| ArchiveError::UnknownLayout(name.to_owned()))
    }
}

/// The clock that names and boundaries are told by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArchiveClock {
    /// The wall clock of the machine's time zone, with its summer time.
    #[default]
    LocalTime,
    /// UTC.
    Utc,
    /// PTP time, which is TAI: ahead of UTC by the leap seconds (IEEE 1588-2019 §7.2).
    Ptp,
}

impl ArchiveClock {
    /// Every clock.
    pub const ALL: [Self; 3] = [Self::LocalTime, Self::Utc, Self::Ptp];

    /// The name that configuration and command line use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LocalTime => "localtime",
            Self::Utc => "utc",
            Self::Ptp => "ptp",
        }
    }

    pub(super) fn reading(
        self,
        tz: &TimeZone,
        tai_minus_utc: Option<Nanos>,
    ) -> Result<Reading<'_>, ArchiveError> {
        match self {
            Self::LocalTime => Ok(Reading::Zone(tz)),
            Self::Utc => Ok(Reading::Zone(&UTC)),
            Self::Ptp => tai_minus_utc.map(Reading::Tai).ok_or(ArchiveError::TaiUnknown),
        }
    }
}

impl fmt::Display for ArchiveClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ArchiveClock {
    type Err = ArchiveError;

    fn from_str(name: &str) -> Result<Self, ArchiveError> {
        Self::ALL
            .into_iter()
            .find(|clock| clock.name() == name)
            .ok_or_else(|| ArchiveError::UnknownClock(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back_and_are_those_of_the_file() {
        for layout in Layout::ALL {
            assert_eq!(layout.to_string().parse(), Ok(layout));
            assert_eq!(serde_json::to_string(&layout).unwrap(), format!("\"{layout}\""));
        }
        for clock in ArchiveClock::ALL {
            assert_eq!(clock.to_string().parse(), Ok(clock));
            assert_eq!(serde_json::to_string(&clock).unwrap(), format!("\"{clock}\""));
        }
    }

    #[test]
    fn an_unknown_name_is_told_with_the_known_ones() {
        let error = "Flat".parse::<Layout>().unwrap_err().to_string();
        assert!(error.contains("\"Flat\"") && error.contains("dailydir"), "{error}");
        assert!("gmt".parse::<ArchiveClock>().unwrap_err().to_string().contains("localtime, utc or ptp"));
    }
}
