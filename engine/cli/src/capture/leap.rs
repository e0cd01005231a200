//! TAI − UTC at a date that is past, for captures.
//!
//! Owns: the leap seconds that there have been. Must never: be asked for the present; live audio goes by what PTP or the kernel
//! tells (a leap second that is announced tomorrow is not here).

/// When TAI − UTC grew by one second: the first instant of that year's January or July, in UTC. On the first day it was 10 s (IERS
/// Bulletin C; none since 2017).
const LEAPS: [(i16, i8); 28] = [
    (1972, 1),
    (1972, 7),
    (1973, 1),
    (1974, 1),
    (1975, 1),
    (1976, 1),
    (1977, 1),
    (1978, 1),
    (1979, 1),
    (1980, 1),
    (1981, 7),
    (1982, 7),
    (1983, 7),
    (1985, 7),
    (1988, 1),
    (1990, 1),
    (1991, 1),
    (1992, 7),
    (1993, 7),
    (1994, 7),
    (1996, 1),
    (1997, 7),
    (1999, 1),
    (2006, 1),
    (2009, 1),
    (2012, 7),
    (2015, 7),
    (2017, 1),
];

/// TAI − UTC in seconds at an instant in nanoseconds since 1970. Before 1972, when it was no whole number, what it was then.
pub(crate) fn tai_minus_utc(at: i64) -> i64 {
    let Ok(at) = jiff::Timestamp::from_nanosecond(at.into()) else { return 10 };
    let date = jiff::tz::TimeZone::UTC.to_datetime(at).date();
    let leapt = LEAPS.iter().filter(|(year, month)| (*year, *month) <= (date.year(), date.month())).count();
    9 + leapt.max(1) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_nanosecond() as i64
    }

    #[test]
    fn the_offset_is_that_of_the_date() {
        for (date, offset) in [
            ("1970-01-01T00:00:00Z", 10),
            ("1972-06-30T23:59:59.999999999Z", 10),
            ("1972-07-01T00:00:00Z", 11),
            ("1998-12-31T23:59:59Z", 31),
            ("2001-06-01T12:00:00Z", 32),
            ("2012-06-30T23:59:59Z", 34),
            ("2012-07-01T00:00:00Z", 35),
            ("2016-12-31T23:59:59Z", 36),
            ("2017-01-01T00:00:00Z", 37),
            ("2026-11-29T00:00:00Z", 37),
        ] {
            assert_eq!(tai_minus_utc(at(date)), offset, "{date}");
        }
        assert_eq!((tai_minus_utc(i64::MIN), tai_minus_utc(i64::MAX)), (10, 37));
    }

    /// The list of this machine, if it has one: every date of it up to our last.
    #[test]
    fn the_table_is_that_of_the_iers() {
        let Ok(list) = std::fs::read_to_string("/usr/share/zoneinfo/leap-seconds.list") else { return };
        let mut compared = 0;
        for line in list.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let mut words = line.split_ascii_whitespace().map(|word| word.parse::<i64>());
            let (Some(Ok(ntp)), Some(Ok(offset))) = (words.next(), words.next()) else { panic!("{line}") };
            // Seconds since 1900.
            let unix = ntp - 2_208_988_800;
            let told = tai_minus_utc(unix * 1_000_000_000);
            assert!(told == offset || offset > 37, "{line}: {told}");
            let before = tai_minus_utc(unix * 1_000_000_000 - 1);
            assert!(before == (offset - 1).max(10) || offset > 37, "{line}: {before}");
            compared += 1;
        }
        assert!(compared >= LEAPS.len());
    }
}
