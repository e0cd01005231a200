//! Where periods begin.
//!
//! Between two changes of a zone's offset the wall clock runs evenly, so the next boundary is arithmetic there. At
//! a change the clock leaps from reading *a* to reading *b*: if a whole number of periods lies in between, ends
//! included, the change is a boundary. All arithmetic is in nanoseconds of `i128`: nothing overflows.

use audyn_units::{Timestamp, Utc};

use super::Reading;

const NANOS: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * NANOS;

/// The first boundary later than `after`.
pub(super) fn next(period_seconds: u32, clock: Reading<'_>, after: Timestamp<Utc>) -> Timestamp<Utc> {
    let period = i128::from(period_seconds) * NANOS;
    let mut utc = i128::from(after.as_nanos());
    let zone = match clock {
        Reading::Tai(offset) => {
            let offset = i128::from(offset.0);
            return timestamp(next_reading(utc + offset, period) - offset);
        }
        Reading::Zone(zone) => zone,
    };
    loop {
        let instant =
            jiff::Timestamp::from_nanosecond(utc).expect("the years 1677 to 2262 are within jiff's range");
        let offset = i128::from(zone.to_offset(instant).seconds()) * NANOS;
        let boundary = next_reading(utc + offset, period) - offset;
        let Some(change) = zone.following(instant).next() else { return timestamp(boundary) };
        let changed = change.timestamp().as_nanosecond();
        if boundary <= changed {
            return timestamp(boundary);
        }
        let (a, b) = (changed + offset, changed + i128::from(change.offset().seconds()) * NANOS);
        if next_reading(a.min(b) - 1, period) <= a.max(b) {
            return timestamp(changed);
        }
        utc = changed;
    }
}

/// The first reading of the clock later than `reading` that is a whole number of periods after midnight.
fn next_reading(reading: i128, period: i128) -> i128 {
    let midnight = reading.div_euclid(DAY) * DAY;
    let periods = (reading - midnight) / period + 1;
    midnight + (periods * period).min(DAY)
}

fn timestamp(nanos: i128) -> Timestamp<Utc> {
    Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX)) // the year 2262 has no later boundary
}

#[cfg(test)]
mod tests {
    use audyn_units::Nanos;
    use jiff::tz::{TimeZone, TimeZoneDatabase};
    use proptest::prelude::*;

    use super::*;

    fn utc(text: &str) -> Timestamp<Utc> {
        let instant: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_nanos(i64::try_from(instant.as_nanosecond()).unwrap())
    }

    fn zone(name: &str) -> TimeZone {
        TimeZoneDatabase::bundled().get(name).unwrap()
    }

    /// The boundaries after `from`, as the zone's clock shows them, with its offset.
    fn shown(name: &str, period: u32, from: &str, count: usize) -> Vec<String> {
        let zone = zone(name);
        let mut at = utc(from);
        (0..count)
            .map(|_| {
                at = next(period, Reading::Zone(&zone), at);
                let instant = jiff::Timestamp::from_nanosecond(i128::from(at.as_nanos())).unwrap();
                instant.to_zoned(zone.clone()).strftime("%dT%H:%M:%S%z").to_string()
            })
            .collect()
    }

    #[test]
    fn summer_time_begins_and_ends() {
        #[rustfmt::skip]
        let table: &[(&str, u32, &str, &[&str])] = &[
            // Dublin, 29 March: 01:00 +0000 becomes 02:00 +0100.
            ("Europe/Dublin", 3_600, "2026-03-28T23:59:59Z",
             &["29T00:00:00+0000", "29T02:00:00+0100", "29T03:00:00+0100"]),
            ("Europe/Dublin", 7_200, "2026-03-28T23:59:59Z",
             &["29T00:00:00+0000", "29T02:00:00+0100", "29T04:00:00+0100"]),
            // Dublin, 25 October: 02:00 +0100 becomes 01:00 +0000; hour 01 comes twice, each with its file.
            ("Europe/Dublin", 3_600, "2026-10-24T22:30:00Z",
             &["25T00:00:00+0100", "25T01:00:00+0100", "25T01:00:00+0000", "25T02:00:00+0000"]),
            // Two-hour periods: the change is a boundary, since 02:00 is reached twice.
            ("Europe/Dublin", 7_200, "2026-10-24T22:30:00Z",
             &["25T00:00:00+0100", "25T01:00:00+0000", "25T02:00:00+0000", "25T04:00:00+0000"]),
            // A day has 23 and 25 hours.
            ("Europe/Dublin", 86_400, "2026-03-28T23:59:59Z", &["29T00:00:00+0000", "30T00:00:00+0100"]),
            ("Europe/Dublin", 86_400, "2026-10-24T22:30:00Z", &["25T00:00:00+0100", "26T00:00:00+0000"]),
            // New York, 8 March: 02:00 -0500 becomes 03:00 -0400.
            ("America/New_York", 3_600, "2026-03-08T05:30:00Z",
             &["08T01:00:00-0500", "08T03:00:00-0400", "08T04:00:00-0400"]),
            // Forty minutes: 02:00 and 02:40 are skipped, the change stands for both.
            ("America/New_York", 2_400, "2026-03-08T06:00:00Z",
             &["08T01:20:00-0500", "08T03:00:00-0400", "08T03:20:00-0400"]),
            // Two and a half hours: 02:30 is skipped.
            ("America/New_York", 9_000, "2026-03-08T05:30:00Z", &["08T03:00:00-0400", "08T05:00:00-0400"]),
            // New York, 1 November: 02:00 -0400 becomes 01:00 -0500.
            ("America/New_York", 1_800, "2026-11-01T05:10:00Z",
             &["01T01:30:00-0400", "01T01:00:00-0500", "01T01:30:00-0500", "01T02:00:00-0500"]),
            // Lord Howe moves by half an hour. 4 October: 02:00 +1030 becomes 02:30 +1100.
            ("Australia/Lord_Howe", 3_600, "2026-10-03T14:30:00Z",
             &["04T02:30:00+1100", "04T03:00:00+1100", "04T04:00:00+1100"]),
            // 5 April: 02:00 +1100 becomes 01:30 +1030.
            ("Australia/Lord_Howe", 3_600, "2026-04-04T14:00:00Z",
             &["05T01:30:00+1030", "05T02:00:00+1030", "05T03:00:00+1030"]),
            // Samoa left out 30 December 2011 altogether.
            ("Pacific/Apia", 3_600, "2011-12-30T08:59:59Z",
             &["29T23:00:00-1000", "31T00:00:00+1400", "31T01:00:00+1400"]),
            // Half an hour off UTC: hours are those of the wall.
            ("Asia/Kolkata", 3_600, "2026-01-10T14:00:00Z", &["10T20:00:00+0530"]),
        ];
        for (name, period, from, expected) in table {
            assert_eq!(
                shown(name, *period, from, expected.len()),
                *expected,
                "{name} {period} s after {from}"
            );
        }
    }

    #[test]
    fn a_period_that_does_not_divide_the_day_starts_again_at_midnight() {
        assert_eq!(
            shown("UTC", 36_000, "2026-01-10T00:00:00Z", 4),
            ["10T10:00:00+0000", "10T20:00:00+0000", "11T00:00:00+0000", "11T10:00:00+0000"]
        );
    }

    #[test]
    fn a_boundary_is_not_its_own_successor() {
        let zone = TimeZone::UTC;
        let hour = utc("2026-01-10T14:00:00Z");
        assert_eq!(next(3_600, Reading::Zone(&zone), hour), utc("2026-01-10T15:00:00Z"));
        assert_eq!(next(3_600, Reading::Zone(&zone), hour - Nanos(1)), hour);
    }

    #[test]
    fn ptp_boundaries_are_those_of_tai() {
        let clock = Reading::Tai(Nanos::from_secs(37));
        assert_eq!(next(3_600, clock, utc("2026-01-10T13:30:00Z")), utc("2026-01-10T13:59:23Z"));
        assert_eq!(next(3_600, clock, utc("2026-01-10T13:59:23Z")), utc("2026-01-10T14:59:23Z"));
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        let zone = zone("Europe/Dublin");
        assert!(next(3_600, Reading::Zone(&zone), Timestamp::from_nanos(i64::MIN)).as_nanos() > i64::MIN);
        assert_eq!(next(86_400, Reading::Zone(&zone), Timestamp::from_nanos(i64::MAX)).as_nanos(), i64::MAX);
    }

    proptest! {
        #[test]
        fn boundaries_are_later_near_and_the_same_from_anywhere_before(
            period in 1u32..=86_400,
            seconds in 0i64..4_000_000_000,
            within in 0.0f64..1.0,
            name in prop::sample::select(vec!["Europe/Dublin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
        ) {
            let zone = zone(name);
            let after = Timestamp::from_nanos(seconds * 1_000_000_000 + 1);
            let boundary = next(period, Reading::Zone(&zone), after);
            let span = boundary - after;
            prop_assert!(span > Nanos::ZERO);
            // The longest is a repeated hour in which no boundary falls.
            prop_assert!(span <= Nanos::from_secs(i64::from(period) + 3_600));
            let between = after + Nanos((span.0 as f64 * within) as i64 - 1);
            if between >= after {
                prop_assert_eq!(next(period, Reading::Zone(&zone), between), boundary);
            }
        }
    }
}
