//! When the clock may be believed that a recording is old.
//!
//! A clock that jumps ten years ahead makes every recording too old at once, and what is deleted does not come back. So an age counts
//! only by a clock that somebody disciplines (PTP or NTP), and only while its time goes on from the time that was believed before: the
//! monotonic clock, which never steps, says how far it may have come. A clock that is elsewhere is believed when it has stood by its
//! new time for a whole day, long enough for a person to see the alarm. Jumps are thus not asked whether they are right: a grandmaster
//! that lies is as well synchronised as one that doesn't.
//!
//! While the machine was off nobody counted. A week is granted then, so that a box which is off at the weekend needn't wait; and so much
//! too early a recording can go in the worst case, where the clock is wrong after a start and disciplined all the same.
//!
//! Rejected: *a limit of deletions an hour*: a night is long enough to lose an archive slowly. *The newest recording as a witness*: it is
//! stamped by the same clock.

use audyn_units::{Mono, Nanos, Timestamp, Utc};
use serde::{Deserialize, Serialize};

/// By how much the clock may be set between two looks: it slews, and a leap second is one.
const STEP: Nanos = Nanos::from_secs(60);

/// How long the machine may have been off.
const AWAY: Nanos = Nanos::from_secs(7 * 86_400);

/// For how long a clock must stand by a time that doesn't follow from the one before.
const SETTLES: Nanos = Nanos::from_secs(86_400);

/// What outlives the engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockNote {
    /// The time that was believed last.
    pub believed: Option<Timestamp<Utc>>,
    /// A time that isn't believed yet, and for how long the clock has stood by it.
    pub waiting: Option<(Timestamp<Utc>, Nanos)>,
}

/// Follows the clock. One for the life of the engine.
#[derive(Debug, Clone)]
pub struct ClockTrust {
    note: ClockNote,
    /// The last look.
    last: Option<Timestamp<Mono>>,
    /// The clock was disciplined at the last look.
    was_good: bool,
    /// It has been since the engine started.
    seen_good: bool,
    /// The clock has been believed since then: what it was off before is over.
    confirmed: bool,
}

impl ClockTrust {
    /// Goes on from what an earlier engine noted.
    #[must_use]
    pub fn from_note(note: ClockNote) -> Self {
        Self { note, last: None, was_good: false, seen_good: false, confirmed: false }
    }

    /// What is to be noted.
    #[must_use]
    pub fn note(&self) -> ClockNote {
        self.note
    }

    /// For how long the clock must still stand by its time before it is believed; none while it is, or is not disciplined.
    #[must_use]
    pub fn still(&self) -> Option<Nanos> {
        let (_, stood) = self.note.waiting.filter(|_| self.was_good)?;
        Some(SETTLES - stood)
    }

    /// Looks at the clock; `good` says that somebody disciplines it. Gives the time if it is to be believed.
    pub fn look(&mut self, at: Timestamp<Mono>, utc: Timestamp<Utc>, good: bool) -> Option<Timestamp<Utc>> {
        let elapsed = self.last.map_or(Nanos::ZERO, |last| Nanos((at - last).0.max(0)));
        self.last = Some(at);
        let goes_on = |time: Timestamp<Utc>| Timestamp::from_nanos(time.as_nanos().saturating_add(elapsed.0));
        self.note.believed = self.note.believed.map(goes_on);
        self.note.waiting = self.note.waiting.map(|(time, stood)| (goes_on(time), stood));
        let stood_by = std::mem::replace(&mut self.was_good, good);
        if !good {
            return None;
        }
        let seen = std::mem::replace(&mut self.seen_good, true);
        let follows = |time: Timestamp<Utc>, ran: bool| {
            let by = utc.as_nanos().saturating_sub(time.as_nanos());
            (-STEP.0..=if ran { STEP.0 } else { AWAY.0 }).contains(&by)
        };
        let believed = self.note.believed.is_some_and(|time| follows(time, self.confirmed));
        let stood = match self.note.waiting {
            Some((time, stood)) if follows(time, seen) => {
                stood + if stood_by { elapsed } else { Nanos::ZERO }
            }
            _ => Nanos::ZERO,
        };
        if believed || stood >= SETTLES {
            self.confirmed = true;
            self.note = ClockNote { believed: Some(utc), waiting: None };
            return Some(utc);
        }
        self.note.waiting = Some((utc, stood));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60;
    const HOUR: i64 = 3_600;
    const DAY: i64 = 86_400;
    const YEAR: i64 = 365 * DAY;
    /// In 2026.
    const NOW: i64 = 1_780_000_000;

    fn utc(seconds: i64) -> Timestamp<Utc> {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    /// An engine: its monotonic clock, and what the clock shows beyond that.
    struct Engine {
        trust: ClockTrust,
        mono: i64,
        ahead: i64,
        good: bool,
    }

    impl Engine {
        fn after(note: ClockNote, shows: i64) -> Self {
            Self { trust: ClockTrust::from_note(note), mono: 100, ahead: shows - 100, good: true }
        }

        fn look(&mut self) -> bool {
            let shows = utc(self.mono + self.ahead);
            let believed =
                self.trust.look(Timestamp::from_nanos(self.mono * 1_000_000_000), shows, self.good);
            assert!(believed.is_none_or(|believed| believed == shows));
            believed.is_some()
        }

        /// Goes on for so long, looking once a minute; how often it believed.
        fn run(&mut self, seconds: i64) -> i64 {
            let mut believed = 0;
            for _ in 0..seconds / MINUTE {
                self.mono += MINUTE;
                believed += i64::from(self.look());
            }
            believed
        }
    }

    fn believing() -> ClockNote {
        ClockNote { believed: Some(utc(NOW)), waiting: None }
    }

    #[test]
    fn a_clock_that_goes_on_is_believed_at_once_also_after_a_start() {
        for off in [-59, 0, 90, DAY, 7 * DAY] {
            let mut engine = Engine::after(believing(), NOW + off);
            assert!(engine.look(), "{off}");
            assert_eq!(engine.run(HOUR), 60);
        }
    }

    #[test]
    fn a_jump_of_ten_years_waits_for_a_day_also_over_a_start() {
        for jump in [10 * YEAR, -10 * YEAR, 2 * HOUR, -2 * HOUR] {
            let mut engine = Engine::after(believing(), NOW);
            assert!(engine.look());
            engine.ahead += jump;
            assert_eq!(engine.run(DAY), 0, "{jump}");
            assert!(engine.trust.still().is_some_and(|still| still.0 > 0));
            assert_eq!(engine.run(HOUR), 60, "it has stood by it: {jump}");
            assert_eq!(engine.trust.still(), None);

            // An engine that starts meanwhile goes on waiting, and what is put right in time is forgotten.
            let mut engine = Engine::after(believing(), NOW);
            assert!(engine.look());
            engine.ahead += jump;
            assert_eq!(engine.run(12 * HOUR), 0);
            let mut next = Engine::after(engine.trust.note(), engine.mono + engine.ahead + 30);
            if jump.abs() > 7 * DAY {
                assert_eq!(next.run(6 * HOUR), 0, "{jump}");
                next.ahead -= jump;
                assert_eq!(next.run(HOUR), 60, "it is where it was: {jump}");
            }
        }
    }

    #[test]
    fn a_machine_that_was_off_for_longer_waits() {
        let mut engine = Engine::after(believing(), NOW + 8 * DAY);
        assert_eq!(engine.run(DAY), 0);
        assert!(engine.run(HOUR) > 0);
        let mut first = Engine::after(ClockNote::default(), NOW);
        assert_eq!(first.run(DAY), 0, "nor is a new machine believed on its first day");
        assert!(first.run(HOUR) > 0);
    }

    #[test]
    fn a_clock_that_nobody_disciplines_is_never_believed() {
        let mut engine = Engine::after(believing(), NOW);
        engine.good = false;
        assert_eq!(engine.run(3 * DAY), 0);
        // One that starts in 1970 and is set once NTP answers.
        let mut engine = Engine::after(believing(), 0);
        engine.good = false;
        engine.run(HOUR);
        (engine.good, engine.ahead) = (true, NOW + HOUR);
        assert!(engine.look());
        // And that loses it for two days and has drifted.
        engine.good = false;
        engine.run(2 * DAY);
        (engine.good, engine.ahead) = (true, engine.ahead + 17);
        assert!(engine.look());
    }

    #[test]
    fn what_is_not_disciplined_meanwhile_does_not_count() {
        let mut engine = Engine::after(ClockNote::default(), NOW);
        for _ in 0..30 {
            engine.good = true;
            assert!(!engine.look());
            engine.good = false;
            engine.run(HOUR);
        }
    }

    #[test]
    fn no_time_is_too_far_off() {
        for shows in [i64::MIN, i64::MAX] {
            let note = ClockNote { believed: Some(Timestamp::from_nanos(!shows)), waiting: None };
            let mut trust = ClockTrust::from_note(note);
            let shows = Timestamp::from_nanos(shows);
            assert_eq!(trust.look(Timestamp::from_nanos(0), shows, true), None);
            assert_eq!(trust.look(Timestamp::from_nanos(1), shows, true), None);
        }
    }
}
