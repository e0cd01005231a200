//! Instants as text: RFC 3339 for JSON, RFC 9110 §5.6.7 for headers. Nothing else formats a time.

use audyn_units::{Timestamp, Utc};
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};

static HTTP_PRINTER: DateTimePrinter = DateTimePrinter::new();
static HTTP_PARSER: DateTimeParser = DateTimeParser::new();

/// `2026-01-10T14:30:00.25Z`
pub(crate) fn rfc3339(at: Timestamp<Utc>) -> String {
    instant(i128::from(at.as_nanos())).to_string()
}

/// The instant of an RFC 3339 text, if it is one within the years 1678 to 2261.
pub(crate) fn parse_rfc3339(text: &str) -> Option<Timestamp<Utc>> {
    let at: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(at.as_nanosecond()).ok().map(Timestamp::from_nanos)
}

/// The same from a file's whole seconds since 1970 and nanoseconds. What no calendar reaches becomes its edge.
pub(crate) fn rfc3339_of_file(seconds: i64, nanos: i64) -> String {
    instant(i128::from(seconds) * 1_000_000_000 + i128::from(nanos)).to_string()
}

/// `Sat, 10 Jan 2026 14:30:00 GMT`; none for the years that the format cannot hold.
pub(crate) fn http_date(seconds: i64) -> Option<String> {
    let at = jiff::Timestamp::from_second(seconds).ok()?;
    HTTP_PRINTER.timestamp_to_rfc9110_string(&at).ok()
}

/// Seconds since 1970 of an HTTP date, if it is one.
pub(crate) fn parse_http_date(text: &str) -> Option<i64> {
    HTTP_PARSER.parse_timestamp(text).ok().map(jiff::Timestamp::as_second)
}

fn instant(nanos: i128) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(nanos).unwrap_or(if nanos < 0 {
        jiff::Timestamp::MIN
    } else {
        jiff::Timestamp::MAX
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_utc() {
        assert_eq!(rfc3339(Timestamp::from_nanos(1_768_055_400_250_000_000)), "2026-01-10T14:30:00.25Z");
        assert_eq!(rfc3339(Timestamp::ZERO), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339_of_file(1_768_055_400, 0), "2026-01-10T14:30:00Z");
        let same = ["2026-01-10T14:30:00.25Z", "2026-01-10T15:30:00.25+01:00"].map(parse_rfc3339);
        assert_eq!(same, [Some(Timestamp::from_nanos(1_768_055_400_250_000_000)); 2]);
        for bad in ["", "now", "2026-01-10", "2026-01-10T14:30:00", "9999-01-01T00:00:00Z"] {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }

    #[test]
    fn no_instant_panics() {
        for edge in [i64::MIN, -1, i64::MAX] {
            rfc3339(Timestamp::from_nanos(edge));
            rfc3339_of_file(edge, 999_999_999);
            http_date(edge);
        }
    }

    #[test]
    fn http_dates_come_back() {
        let text = http_date(1_768_055_400).unwrap();
        assert_eq!(text, "Sat, 10 Jan 2026 14:30:00 GMT");
        assert_eq!(parse_http_date(&text), Some(1_768_055_400));
        assert_eq!(parse_http_date("\"an-etag\""), None);
    }
}
