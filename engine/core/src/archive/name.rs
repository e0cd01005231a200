//! Names of segments, and what tells apart those that would be equal.
//!
//! What is added begins with `_`, which sorts after `.` and before nothing that a longer name could bring, and
//! stands before the suffix. Digits sort before letters, so that one hour reads, in byte order and in time:
//! `…-01.wav`, `…-01_002.wav`, `…-01_UTC+0000.wav`, `…-01_UTC+0000_002.wav`, `…-02.wav`.

use audyn_units::{Nanos, Timestamp, Utc};
use jiff::civil::DateTime;
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use super::{ArchiveClock, ArchiveError, Reading};

/// The longest part of a path: the 255 bytes of Linux file systems, less what is added to a name.
const MAX_PART: usize = 200;

/// An instant that every custom format must be able to tell: 2026-01-10 14:30:00.25 UTC.
const SAMPLE: Timestamp<Utc> = Timestamp::from_nanos(1_768_055_400_250_000_000);

/// The path of a segment that starts at `start`.
pub(super) fn name(
    format: &str,
    clock: Reading<'_>,
    start: Timestamp<Utc>,
    suffix: &str,
) -> Result<String, ArchiveError> {
    if !(1..=16).contains(&suffix.len()) || !suffix.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(ArchiveError::Suffix(suffix.to_owned()));
    }
    let mut path = formatted(format, clock, start)?;
    if let Reading::Zone(zone) = clock
        && let Some((again, offset)) = repeats(zone, start)
        && formatted(format, clock, again)? == path
    {
        path.push_str("_UTC");
        path.push_str(&strtime::format("%z", &again_at(start, offset)).map_err(|e| unusable(format, &e))?);
    }
    path.push('.');
    path.push_str(suffix);
    Ok(path)
}

/// Refuses a format that cannot tell a sample instant or makes an unusable path of it.
pub(super) fn check_format(format: &str, clock: ArchiveClock) -> Result<(), ArchiveError> {
    // The sample's name is thrown away: any offset shows whether the format can be told without a zone.
    formatted(format, clock.reading(&TimeZone::UTC, Some(Nanos::ZERO))?, SAMPLE).map(drop)
}

/// The path of the `n`-th segment that would be called `path`: `path` itself for 1, `a_002.wav` for the second.
///
/// Numbers sort in byte order without end: `_002` … `_999`, `_A001000` … `_A999999`, `_B0001000000` ….
pub fn tie_break(path: &str, n: u32) -> String {
    let number = match n {
        0 | 1 => return path.to_owned(),
        2..=999 => format!("_{n:03}"),
        1_000..=999_999 => format!("_A{n:06}"),
        _ => format!("_B{n:010}"),
    };
    let file = path.rfind('/').map_or(0, |slash| slash + 1);
    // A dot at the start of a file's name hides it and begins no suffix.
    let dot = match path[file..].rfind('.') {
        Some(dot) if dot > 0 => file + dot,
        _ => path.len(),
    };
    format!("{}{number}{}", &path[..dot], &path[dot..])
}

fn jiff(instant: Timestamp<Utc>) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(i128::from(instant.as_nanos()))
        .expect("the years 1677 to 2262 are within jiff's range")
}

fn formatted(format: &str, clock: Reading<'_>, at: Timestamp<Utc>) -> Result<String, ArchiveError> {
    let broken_down = match clock {
        Reading::Zone(zone) => BrokenDownTime::from(&jiff(at).to_zoned(zone.clone())),
        Reading::Tai(offset) => BrokenDownTime::from(tai(at, offset)),
    };
    let path = strtime::format(format, broken_down).map_err(|e| unusable(format, &e))?;
    match flaw(&path) {
        None => Ok(path),
        Some(reason) => Err(ArchiveError::Format { format: format.to_owned(), reason: reason.to_owned() }),
    }
}

/// TAI has a date and a time of day, but no zone: directives that tell one fail.
fn tai(at: Timestamp<Utc>, offset: Nanos) -> DateTime {
    let nanos = i128::from(at.as_nanos()) + i128::from(offset.0);
    let instant =
        jiff::Timestamp::from_nanosecond(nanos).expect("two i64 of nanoseconds are within jiff's range");
    Offset::UTC.to_datetime(instant)
}

fn unusable(format: &str, error: &jiff::Error) -> ArchiveError {
    ArchiveError::Format {
        format: format.to_owned(),
        reason: format!("{error}; use strftime directives that this clock can tell"),
    }
}

/// Why `path` cannot be a path below the archive's root, with what to do.
fn flaw(path: &str) -> Option<&'static str> {
    if path.trim().is_empty() {
        return Some("it makes an empty name; give it at least one directive, for example %H");
    }
    if path.starts_with('/') {
        return Some("it makes an absolute path; begin it with a directory below the archive's root");
    }
    if path.chars().any(char::is_control) {
        return Some("it makes a name with a control character; leave out NUL, %n and %t");
    }
    for part in path.split('/') {
        match part {
            "" => return Some("it makes a part without a name; take out the doubled or last /"),
            "." | ".." => return Some("it leads out of the archive or nowhere; take out the parts . and .."),
            _ if part.len() > MAX_PART => return Some("it makes a part longer than 200 bytes; shorten it"),
            _ => {}
        }
    }
    None
}

/// If the wall clock shows `start` for the second time, the instant that it was shown first, and the offset now.
fn repeats(zone: &TimeZone, start: Timestamp<Utc>) -> Option<(Timestamp<Utc>, Offset)> {
    let offset = zone.to_offset(jiff(start));
    match zone.to_ambiguous_timestamp(offset.to_datetime(jiff(start))).offset() {
        AmbiguousOffset::Fold { before, after } if after == offset => {
            let fold = Nanos::from_secs(i64::from(before.seconds() - after.seconds()));
            Some((start - fold, offset))
        }
        _ => None,
    }
}

fn again_at(start: Timestamp<Utc>, offset: Offset) -> jiff::Zoned {
    jiff(start).to_zoned(offset.to_time_zone())
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZoneDatabase;

    use super::super::{ArchivePolicy, Layout};
    use super::*;

    fn utc(text: &str) -> Timestamp<Utc> {
        let instant: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_nanos(i64::try_from(instant.as_nanosecond()).unwrap())
    }

    fn zone(name: &str) -> TimeZone {
        TimeZoneDatabase::bundled().get(name).unwrap()
    }

    fn custom(format: &str, clock: ArchiveClock) -> Result<ArchivePolicy, ArchiveError> {
        ArchivePolicy::new(Layout::Custom, Some(format.to_owned()), 3_600, clock)
    }

    /// File naming is a contract: each line of the golden file is layout, clock, zone, UTC instant, path.
    #[test]
    fn names_are_those_of_the_golden_file() {
        let mut lines = 0;
        for line in include_str!("names.golden").lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [layout, clock, tz, start, path] = fields[..] else { panic!("{line}") };
            let clock = clock.parse().unwrap();
            let policy = match layout.strip_prefix("custom:") {
                Some(format) => custom(format, clock).unwrap(),
                None => ArchivePolicy::new(layout.parse().unwrap(), None, 3_600, clock).unwrap(),
            };
            let suffix = path.rsplit('.').next().unwrap();
            let made = policy.name(utc(start), &zone(tz), Some(Nanos::from_secs(37)), suffix);
            assert_eq!(made.as_deref(), Ok(path), "{line}");
            lines += 1;
        }
        assert!(lines > 20);
    }

    #[test]
    fn without_an_offset_there_is_no_ptp_name() {
        let policy = ArchivePolicy::new(Layout::Flat, None, 3_600, ArchiveClock::Ptp).unwrap();
        let error = policy.name(SAMPLE, &TimeZone::UTC, None, "wav").unwrap_err();
        assert_eq!(error, ArchiveError::TaiUnknown);
        assert!(error.to_string().contains("TAI-UTC offset is not known"));
        assert_eq!(policy.next_boundary(SAMPLE, &TimeZone::UTC, None), Err(ArchiveError::TaiUnknown));
    }

    #[test]
    fn formats_that_make_no_usable_path_are_refused_in_a_sentence() {
        for (format, part) in [
            ("", "empty name"),
            ("  ", "empty name"),
            ("/srv/%H", "absolute"),
            ("../%H", "leads out"),
            ("%Y/../../%H", "leads out"),
            ("%Y/./%H", "leads out"),
            ("%Y//%H", "without a name"),
            ("%Y/", "without a name"),
            ("%H\0", "control character"),
            ("%H%n", "control character"),
            ("%H%", "%H%"),
            ("%J", "%J"),
        ] {
            let error = custom(format, ArchiveClock::LocalTime).unwrap_err();
            assert!(matches!(error, ArchiveError::Format { .. }), "{format:?}");
            assert!(error.to_string().contains(part), "{format:?}: {error}");
        }
        assert!(custom(&"a".repeat(201), ArchiveClock::Utc).is_err());
        assert!(custom("%H%z", ArchiveClock::Ptp).is_err(), "TAI has no zone");
        assert!(custom("%H%z", ArchiveClock::LocalTime).is_ok());
        assert!(custom("..%H", ArchiveClock::LocalTime).is_ok(), "dots within a part lead nowhere");
    }

    #[test]
    fn suffixes_are_plain_words() {
        let policy = ArchivePolicy::default();
        for suffix in ["", ".wav", "wav/..", "a b", "abcdefghijklmnopq"] {
            let error = policy.name(SAMPLE, &TimeZone::UTC, None, suffix).unwrap_err();
            assert_eq!(error, ArchiveError::Suffix(suffix.to_owned()));
        }
    }

    #[test]
    fn numbers_stand_before_the_suffix() {
        for (path, n, expected) in [
            ("2026-01-10-14.wav", 1, "2026-01-10-14.wav"),
            ("2026-01-10-14.wav", 2, "2026-01-10-14_002.wav"),
            ("2026/01/10/14/archive.wav", 12, "2026/01/10/14/archive_012.wav"),
            ("a.b/14", 2, "a.b/14_002"),
            ("a/.14", 2, "a/.14_002"),
            ("14.30.opus", 1_000, "14.30_A001000.opus"),
        ] {
            assert_eq!(tie_break(path, n), expected);
        }
    }

    #[test]
    fn byte_order_is_the_order_of_time() {
        let dublin = zone("Europe/Dublin");
        let numbers = [1, 2, 3, 9, 10, 99, 100, 999, 1_000, 1_001, 9_999, 999_999, 1_000_000, u32::MAX];
        for layout in Layout::ALL.into_iter().filter(|l| *l != Layout::Custom) {
            let policy = ArchivePolicy::new(layout, None, 3_600, ArchiveClock::LocalTime).unwrap();
            let mut names = Vec::new();
            let mut start = utc("2026-10-24T20:00:00Z");
            for _ in 0..8 {
                let first = policy.name(start, &dublin, None, "wav").unwrap();
                names.extend(numbers.iter().map(|&n| tie_break(&first, n)));
                start = policy.next_boundary(start, &dublin, None).unwrap();
            }
            assert!(names.iter().any(|n| n.contains("_UTC+0000")) || layout == Layout::Custom);
            assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{layout}: {names:#?}");
        }
    }
}
