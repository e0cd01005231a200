//! When the clock may be believed that a recording is old.
//!
//! A clock that jumps ten years ahead makes every recording too old at once, and what is deleted does not come back. So an age counts
//! only by a clock that somebody disciplines (PTP or NTP), and only while its time goes on from the time that was believed before: the
//! monotonic clock, which never steps, says how far it may have come. A clock that is elsewhere is believed when it has stood by its
//! new time for a whole day, long enough for a person to see the alarm. Jumps are thus not asked whether they are right: a grandmaster
//! that lies is as well synchronised as one that doesn't.
//!
//! While the machine was off nobody counted. A week is granted then, so that a box which is off at the weekend needn't wait; and so much
//! too early a recording can go in the worst case, where the clock is wrong after a start and disciplined all the same. It is granted
//! once a boot: the monotonic clock goes on while only the engine is restarted, so an engine of the same boot goes on from where the one
//! before has stopped, and one that is restarted again and again is granted nothing by that.
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockNote {
    /// The time that was believed last.
    pub believed: Option<Timestamp<Utc>>,
    /// A time that isn't believed yet, and for how long the clock has stood by it.
    pub waiting: Option<(Timestamp<Utc>, Nanos)>,
    /// The boot that both were seen in; none if that could not be told.
    #[serde(default)]
    pub boot: Option<BootNote>,
}

/// What holds only as long as the machine is not started again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootNote {
    /// The boot, as the kernel names it.
    pub id: String,
    /// When the times of the note were looked at last.
    pub at: Timestamp<Mono>,
    /// The clock was disciplined at some time since the machine started.
    pub seen_good: bool,
    /// The clock has been believed since then: what the machine was off before is over.
    pub confirmed: bool,
}

/// Follows the clock. One for the life of the engine.
#[derive(Debug, Clone)]
pub struct ClockTrust {
    believed: Option<Timestamp<Utc>>,
    waiting: Option<(Timestamp<Utc>, Nanos)>,
    /// The boot that the engine runs in.
    boot: Option<String>,
    /// The last look.
    last: Option<Timestamp<Mono>>,
    /// The clock was disciplined at the last look.
    was_good: bool,
    /// It has been since the machine started.
    seen_good: bool,
    /// The clock has been believed since then: what it was off before is over.
    confirmed: bool,
}

impl ClockTrust {
    /// Goes on from what an earlier engine noted. `boot` names the boot that this one runs in; none takes it for another one.
    #[must_use]
    pub fn from_note(note: ClockNote, boot: Option<String>) -> Self {
        let same = note.boot.filter(|noted| Some(&noted.id) == boot.as_ref());
        Self {
            believed: note.believed,
            waiting: note.waiting,
            boot,
            last: same.as_ref().map(|noted| noted.at),
            was_good: false,
            seen_good: same.as_ref().is_some_and(|noted| noted.seen_good),
            confirmed: same.is_some_and(|noted| noted.confirmed),
        }
    }

    /// What is to be noted.
    #[must_use]
    pub fn note(&self) -> ClockNote {
        let boot = self.boot.clone().zip(self.last).map(|(id, at)| BootNote {
            id,
            at,
            seen_good: self.seen_good,
            confirmed: self.confirmed,
        });
        ClockNote { believed: self.believed, waiting: self.waiting, boot }
    }

    /// For how long the clock must still stand by its time before it is believed; none while it is, or is not disciplined.
    #[must_use]
    pub fn still(&self) -> Option<Nanos> {
        let (_, stood) = self.waiting.filter(|_| self.was_good)?;
        Some(SETTLES - stood)
    }

    /// Looks at the clock; `good` says that somebody disciplines it. Gives the time if it is to be believed.
    pub fn look(&mut self, at: Timestamp<Mono>, utc: Timestamp<Utc>, good: bool) -> Option<Timestamp<Utc>> {
        let elapsed =
            self.last.map_or(Nanos::ZERO, |last| Nanos(at.as_nanos().saturating_sub(last.as_nanos()).max(0)));
        self.last = Some(at);
        let goes_on = |time: Timestamp<Utc>| Timestamp::from_nanos(time.as_nanos().saturating_add(elapsed.0));
        self.believed = self.believed.map(goes_on);
        self.waiting = self.waiting.map(|(time, stood)| (goes_on(time), stood));
        let stood_by = std::mem::replace(&mut self.was_good, good);
        if !good {
            return None;
        }
        let seen = std::mem::replace(&mut self.seen_good, true);
        let follows = |time: Timestamp<Utc>, ran: bool| {
            let by = utc.as_nanos().saturating_sub(time.as_nanos());
            (-STEP.0..=if ran { STEP.0 } else { AWAY.0 }).contains(&by)
        };
        let believed = self.believed.is_some_and(|time| follows(time, self.confirmed));
        let stood = match self.waiting {
            Some((time, stood)) if follows(time, seen) => {
                stood + if stood_by { elapsed } else { Nanos::ZERO }
            }
            _ => Nanos::ZERO,
        };
        if believed || stood >= SETTLES {
            self.confirmed = true;
            (self.believed, self.waiting) = (Some(utc), None);
            return Some(utc);
        }
        self.waiting = Some((utc, stood));
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
        /// In another boot than the note.
        fn after(note: ClockNote, shows: i64) -> Self {
            let boot = note.boot.as_ref().map_or_else(String::new, |boot| boot.id.clone()) + "+";
            let trust = ClockTrust::from_note(note, Some(boot));
            Self { trust, mono: 100, ahead: shows - 100, good: true }
        }

        /// Another engine in the same boot, so many seconds later.
        fn restart(&mut self, seconds: i64) {
            self.trust = ClockTrust::from_note(self.trust.note(), self.trust.boot.clone());
            self.mono += seconds;
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
        ClockNote { believed: Some(utc(NOW)), ..ClockNote::default() }
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
    fn what_a_machine_may_have_been_off_is_granted_once_a_boot_however_often_the_engine_starts() {
        let mut engine = Engine::after(believing(), NOW + 6 * DAY);
        assert!(engine.look(), "the machine was off");
        for jump in [-2 * HOUR, 2 * HOUR, 6 * DAY] {
            for _ in 0..20 {
                engine.restart(10);
                engine.ahead += jump;
                assert_eq!(engine.run(10 * MINUTE), 0, "it cannot go on from there: {jump}");
                engine.restart(10);
                engine.ahead -= jump;
                assert!(engine.look(), "and is where it was: {jump}");
            }
        }
        // An engine that was stopped for long has missed nothing: the monotonic clock went on.
        engine.restart(3 * DAY);
        assert!(engine.look());
        // Another boot is granted it again, and so is one that cannot be told from the one before.
        let note = engine.trust.note();
        for boot in [Some("another".to_owned()), None] {
            let shows = engine.mono + engine.ahead + 6 * DAY;
            let mut next = Engine {
                trust: ClockTrust::from_note(note.clone(), boot),
                ..Engine::after(note.clone(), shows)
            };
            assert!(next.look());
        }
    }

    #[test]
    fn what_is_granted_waits_for_a_clock_over_restarts_within_a_boot() {
        let mut engine = Engine::after(believing(), 0);
        engine.good = false;
        engine.run(HOUR);
        engine.restart(HOUR);
        engine.run(HOUR);
        // Now NTP answers: the machine was off for two days.
        (engine.good, engine.ahead) = (true, NOW + 2 * DAY);
        assert!(engine.look());
        engine.restart(10);
        engine.ahead += 2 * DAY;
        assert!(!engine.look(), "that was granted already");
    }

    #[test]
    fn standing_by_a_new_time_goes_on_over_a_restart_and_does_not_count_what_nobody_saw() {
        let mut engine = Engine::after(ClockNote::default(), NOW);
        assert_eq!(engine.run(12 * HOUR), 0);
        engine.restart(6 * HOUR);
        assert_eq!(engine.run(11 * HOUR), 0);
        assert!(engine.run(2 * HOUR) > 0);
    }

    #[test]
    fn a_note_of_before_boots_were_noted_is_read() {
        let note: ClockNote =
            serde_json::from_str(r#"{"believed":1780000000000000000,"waiting":null}"#).unwrap();
        assert_eq!(note, believing());
        let noted = Engine::after(note, NOW).trust.note();
        assert_eq!(
            serde_json::from_str::<ClockNote>(&serde_json::to_string(&noted).unwrap()).unwrap(),
            noted
        );
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
            let note = ClockNote { believed: Some(Timestamp::from_nanos(!shows)), ..ClockNote::default() };
            let mut trust = ClockTrust::from_note(note, None);
            let shows = Timestamp::from_nanos(shows);
            assert_eq!(trust.look(Timestamp::from_nanos(0), shows, true), None);
            assert_eq!(trust.look(Timestamp::from_nanos(1), shows, true), None);
            let note = |at| BootNote { id: String::new(), at, seen_good: true, confirmed: true };
            for at in [i64::MIN, i64::MAX].map(Timestamp::from_nanos) {
                let note = ClockNote { boot: Some(note(at)), ..trust.note() };
                ClockTrust::from_note(note, Some(String::new())).look(Timestamp::from_nanos(5), shows, true);
            }
        }
    }
}
