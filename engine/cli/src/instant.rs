//! Instants as people give them to `find`, `export` and `mark`.

use audyn_media::archive::When;
use audyn_units::FrameIndex;
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// What an instant may be, for `--help`.
pub(crate) const FORMS: &str = "\
Times: 2026-07-02T14:00:00Z or +01:00 (RFC 3339), 2026-07-02T14:00 or 14:00:30 (this machine's zone, today where no date is given), \
2026-07-02T14:00[Europe/Dublin], @84067852800000 (frames since 1970-01-01 00:00:00 TAI), now, or now-90s, now-15m, now-2h.
A local time that the clock shows twice is the first of both.";

/// What an option was given, before it is known what `now` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Instant {
    /// A position.
    Frame(FrameIndex),
    /// An instant.
    Utc(Timestamp),
    /// Now, less so many seconds.
    Now(u32),
    /// A time of this day, in this machine's zone.
    Today(Time),
    /// A reading of a clock in this machine's zone.
    Local(DateTime),
}

impl Instant {
    /// When it is.
    pub(crate) fn when(&self, now: &Zoned) -> When {
        let of =
            |timestamp: Timestamp| When::Utc(i64::try_from(timestamp.as_nanosecond()).unwrap_or(i64::MAX));
        let local = |reading: DateTime| {
            now.time_zone().to_ambiguous_zoned(reading).compatible().map_or(Timestamp::MAX, |z| z.timestamp())
        };
        match self {
            Self::Frame(position) => When::Frame(*position),
            Self::Utc(timestamp) => of(*timestamp),
            Self::Now(before) => of(now.timestamp() - jiff::SignedDuration::from_secs(i64::from(*before))),
            Self::Today(time) => of(local(now.date().to_datetime(*time))),
            Self::Local(reading) => of(local(*reading)),
        }
    }
}

/// Now, in this machine's zone.
pub(crate) fn now() -> Zoned {
    Timestamp::now().to_zoned(audyn_daemon::local_zone())
}

/// An instant as text; the error is a sentence.
pub(crate) fn instant(text: &str) -> Result<Instant, String> {
    let no = || {
        format!(
            "\"{text}\" is no time; give one as 2026-07-02T14:00:00Z, 2026-07-02T14:00 (local), 14:00 (today), @FRAME or now"
        )
    };
    if let Some(frame) = text.strip_prefix('@') {
        return frame.parse().map(|frame| Instant::Frame(FrameIndex(frame))).map_err(|_| no());
    }
    if let Some(rest) = text.strip_prefix("now") {
        return before(rest).map(Instant::Now).ok_or_else(no);
    }
    let text = text.trim();
    if text.ends_with(']') {
        return text.parse::<Zoned>().map(|zoned| Instant::Utc(zoned.timestamp())).or_else(|_| {
            // Without an offset: a reading and its zone.
            let (reading, zone) = text.trim_end_matches(']').split_once('[').ok_or_else(no)?;
            let zone = TimeZone::get(zone).map_err(|_| no())?;
            let reading = reading.parse::<DateTime>().map_err(|_| no())?;
            let zoned = zone.to_ambiguous_zoned(reading).compatible().map_err(|_| no())?;
            Ok(Instant::Utc(zoned.timestamp()))
        });
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(Instant::Utc(timestamp));
    }
    if let Ok(time) = text.parse::<Time>()
        && text.contains(':')
        && !text.contains('-')
    {
        return Ok(Instant::Today(time));
    }
    text.parse::<DateTime>().map(Instant::Local).map_err(|_| no())
}

/// Seconds before now: nothing, or `-90s`.
fn before(rest: &str) -> Option<u32> {
    if rest.is_empty() {
        return Some(0);
    }
    let rest = rest.strip_prefix('-')?;
    let (number, unit) = rest.split_at_checked(rest.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u32>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn when(text: &str) -> Result<When, String> {
        // The rules of Dublin, without a database: summer time ends on 2026-10-25 at 01:00 UTC.
        let zone = TimeZone::posix("GMT0IST,M3.5.0/1,M10.5.0").unwrap();
        let now = "2026-07-02T13:46:03Z".parse::<Timestamp>().unwrap().to_zoned(zone);
        instant(text).map(|instant| instant.when(&now))
    }

    #[test]
    fn times_are_what_people_mean_by_them() {
        let utc = |text: &str| {
            When::Utc(i64::try_from(text.parse::<Timestamp>().unwrap().as_nanosecond()).unwrap())
        };
        for (text, expected) in [
            ("2026-07-02T14:00:00Z", "2026-07-02T14:00:00Z"),
            ("2026-07-02T14:00:00.25+01:00", "2026-07-02T13:00:00.25Z"),
            ("2026-07-02T14:00", "2026-07-02T13:00:00Z"),
            ("2026-07-02 14:00:30", "2026-07-02T13:00:30Z"),
            ("2026-07-02", "2026-07-01T23:00:00Z"),
            ("14:00", "2026-07-02T13:00:00Z"),
            ("00:00:01.5", "2026-07-01T23:00:01.5Z"),
            ("now", "2026-07-02T13:46:03Z"),
            ("now-90s", "2026-07-02T13:44:33Z"),
            ("now-2h", "2026-07-02T11:46:03Z"),
            // Shown twice: the first; never shown: as much behind.
            ("2026-10-25T01:30", "2026-10-25T00:30:00Z"),
            ("2026-03-29T01:30", "2026-03-29T01:30:00Z"),
        ] {
            assert_eq!(when(text), Ok(utc(expected)), "{text}");
        }
        assert_eq!(when("@84067852800000"), Ok(When::Frame(FrameIndex(84_067_852_800_000))));
    }

    #[test]
    fn what_is_no_time_gets_a_sentence() {
        for wrong in ["", "@", "@-1", "yesterday", "14", "25:00", "2026-13-01", "now+1h", "now-", "now-1w"] {
            assert!(when(wrong).unwrap_err().contains("is no time; give one as"), "{wrong}");
        }
    }
}
