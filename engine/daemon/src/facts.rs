//! What a file tells of itself: the facts of a recording that begins, on the clock that names it.
//!
//! Owns: by which of its clocks a file's first frame is told. Never: a position of its own; the ledger's `first_position` and these facts are the
//! same frame.
//!
//! A flow that is placed by its media clock has its instant by arithmetic: position, rate and TAI − UTC give it to the frame, whatever
//! boundary the file was meant to begin at. One that is placed by arrival drifts against its positions, so there the instant is that of the
//! ledger's `start_utc`, to the nearest frame.

use audyn_core::archive::ArchiveClock;
use audyn_core::flow::Placement;
use audyn_media::{Facts, Moment, NamingClock};
use audyn_units::{SampleRate, Timestamp, Utc};
use jiff::tz::TimeZone;

use crate::feed::Opening;

/// What is known of a recording before its first file.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    /// The recorder's identifier.
    pub(crate) recorder: String,
    /// Its name for people; may be empty.
    pub(crate) name: String,
    /// Names of the file's channels, in order; empty ones have none.
    pub(crate) channel_names: Vec<String>,
}

impl About {
    /// The facts of a file that begins as `opening` says, and is named by `clock`.
    pub(crate) fn facts(
        &self,
        opening: &Opening,
        rate: SampleRate,
        (clock, zone): (ArchiveClock, &TimeZone),
    ) -> Facts {
        let tai_minus_utc = opening.tai_offset.map(|offset| offset.0 / 1_000_000_000);
        let placed = opening.placed;
        let moment = match placed.is_some_and(|placed| placed.placement == Placement::MediaClock) {
            true => Moment::of_position(opening.position, rate, tai_minus_utc),
            false => Moment::of_utc(opening.utc.as_nanos(), rate),
        };
        let clock = match clock {
            ArchiveClock::LocalTime => NamingClock::Zone(zone),
            ArchiveClock::Utc => NamingClock::Zone(&TimeZone::UTC),
            ArchiveClock::Ptp => NamingClock::Tai,
        };
        let mut facts = Facts {
            recorder: self.recorder.clone(),
            description: self.name.clone(),
            originator: concat!("Audyn ", env!("CARGO_PKG_VERSION")).to_owned(),
            first: opening.position,
            start_utc: rfc3339(opening.utc),
            tai_minus_utc,
            placed_by: placed.map(|placed| placed.placement.name().to_owned()),
            clock: placed.map(|placed| placed.quality.name().to_owned()),
            channel_names: self.channel_names.clone(),
            ..Facts::default()
        };
        moment.enter(&mut facts, clock, tai_minus_utc);
        facts
    }
}

/// An instant as RFC 3339 in UTC, to the nanosecond.
pub(crate) fn rfc3339(utc: Timestamp<Utc>) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(utc.as_nanos()))
        .expect("64 bits of nanoseconds lie between the years 1677 and 2262")
        .to_string()
}

#[cfg(test)]
mod tests {
    use audyn_core::flow::{Placed, Why};
    use audyn_core::segment::TimeAnchor;
    use audyn_units::{ClockQuality, FrameCount, FrameIndex, Nanos};

    use super::*;

    /// A file whose first frame lies `frames` behind `utc`, which is meant to begin at `utc`.
    fn opening(utc: &str, frames: u64, rate: SampleRate, placement: Placement) -> Opening {
        let utc: jiff::Timestamp = utc.parse().unwrap();
        let offset = Nanos::from_secs(37);
        let seconds = u64::try_from(utc.as_second() + 37).unwrap();
        let position = FrameIndex(seconds * u64::from(rate.hz()) + frames);
        let utc = Timestamp::from_nanos(i64::try_from(utc.as_nanosecond()).unwrap());
        let anchor = TimeAnchor { position, utc, rate, exact: true, tai_offset: Some(offset) };
        let quality = ClockQuality::PtpLocked;
        let placed = Placed {
            position,
            moved: 0,
            placement,
            quality,
            tai_offset: Some(offset),
            why: Why::First,
            anchor,
        };
        Opening { position, utc, tai_offset: Some(offset), placed: Some(placed) }
    }

    /// The rules of Dublin, without a database.
    fn dublin() -> TimeZone {
        TimeZone::posix("GMT0IST,M3.5.0/1,M10.5.0").unwrap()
    }

    fn told(opening: &Opening, rate: SampleRate, clock: ArchiveClock, zone: &TimeZone) -> (String, u64) {
        let facts = About::default().facts(opening, rate, (clock, zone));
        assert_eq!(facts.first, opening.position);
        (facts.start_named, facts.since_midnight.0)
    }

    #[test]
    fn each_clock_has_its_reading_to_the_frame() {
        let dublin = dublin();
        let rate = SampleRate::HZ_44100;
        let opening = opening("2026-07-02T13:46:03Z", 22_051, rate, Placement::MediaClock);
        let at = |h: u64, m: u64, s: u64| ((h * 60 + m) * 60 + s) * 44_100 + 22_051;
        for (clock, named, frames) in [
            (ArchiveClock::LocalTime, "2026-07-02T14:46:03.500022675+01:00", at(14, 46, 3)),
            (ArchiveClock::Utc, "2026-07-02T13:46:03.500022675Z", at(13, 46, 3)),
            (ArchiveClock::Ptp, "2026-07-02T13:46:40.500022675", at(13, 46, 40)),
        ] {
            assert_eq!(told(&opening, rate, clock, &dublin), (named.to_owned(), frames));
        }
    }

    #[test]
    fn on_the_day_of_a_change_it_is_the_reading_that_counts() {
        let (dublin, rate) = (dublin(), SampleRate::HZ_48000);
        // Summer time ends at 01:00 UTC: 02:00+01:00 is shown as 01:00+00:00 once more.
        for (utc, named, seconds) in [
            ("2026-10-25T00:30:00Z", "2026-10-25T01:30:00+01:00", 5_400),
            ("2026-10-25T01:30:00Z", "2026-10-25T01:30:00Z", 5_400),
            ("2026-10-25T12:00:00Z", "2026-10-25T12:00:00Z", 43_200),
            ("2026-03-29T12:00:00Z", "2026-03-29T13:00:00+01:00", 46_800),
        ] {
            let opening = opening(utc, 0, rate, Placement::MediaClock);
            let wanted = (named.to_owned(), seconds * 48_000);
            assert_eq!(told(&opening, rate, ArchiveClock::LocalTime, &dublin), wanted);
        }
    }

    #[test]
    fn what_is_placed_by_arrival_goes_by_what_the_clock_said() {
        let rate = SampleRate::HZ_48000;
        // Its positions have drifted by a second.
        let mut drifted = opening("2026-07-02T23:59:59.25Z", 0, rate, Placement::Arrival);
        let read = |opening: &Opening| told(opening, rate, ArchiveClock::Utc, &TimeZone::UTC);
        assert_eq!(read(&drifted), ("2026-07-02T23:59:59.25Z".to_owned(), 86_399 * 48_000 + 12_000));
        // A nanosecond before midnight is midnight's frame, and the day is that of the frame.
        drifted.utc += Nanos(749_999_999);
        assert_eq!(read(&drifted), ("2026-07-03T00:00:00Z".to_owned(), 0));
        // Nobody knew a clock.
        let unknown = Opening { placed: None, tai_offset: None, ..drifted };
        let facts = About::default().facts(&unknown, rate, (ArchiveClock::Utc, &TimeZone::UTC));
        assert_eq!((facts.placed_by, facts.clock, facts.tai_minus_utc), (None, None, None));
        assert_eq!(facts.start_utc, "2026-07-02T23:59:59.999999999Z", "as the ledger has it");
    }

    #[test]
    fn every_frame_of_a_second_is_told_as_itself() {
        for rate in [SampleRate::HZ_44100, SampleRate::HZ_48000, SampleRate::HZ_96000] {
            for frame in (0..u64::from(rate.hz())).step_by(7) {
                let mut opening = opening("2026-07-02T00:00:00Z", 0, rate, Placement::Arrival);
                opening.utc += rate.duration(FrameCount(frame));
                assert_eq!(told(&opening, rate, ArchiveClock::Utc, &TimeZone::UTC).1, frame);
            }
        }
    }
}
