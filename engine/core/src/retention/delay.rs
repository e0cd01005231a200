//! When limits that were made tighter act.
//!
//! What is deleted does not come back, and a limit may have been typed wrongly, for the wrong recorder, or by somebody who shouldn't have.
//! So what makes a limit tighter acts after an hour, in which people are told of it and can take it back. What makes it looser acts at
//! once. The hour is counted by the steady clock from the last change that left the limit tighter than what is in force, while an engine runs.
//!
//! Who exchanges one kind of limit for another, days for bytes, or a floor in percent for one in bytes, has both in that hour: only what
//! both would delete goes.
//!
//! Rejected: *an hour for each number of a limit*: two hours that run beside each other for one recorder are nothing that can be told in
//! a sentence. *The hour by the clock of the day*: it would be over when that is set.

use audyn_units::{Mono, Nanos, Timestamp};

use super::Limits;

/// How long a tighter limit waits.
pub const TIGHTER_AFTER: Nanos = Nanos::from_secs(3_600);

/// What can be tight or loose.
pub trait Tightness: Copy + PartialEq {
    /// What takes nothing that either of both would keep.
    #[must_use]
    fn loosest(self, other: Self) -> Self;

    /// What is in force of this one while `wanted` waits, together with that.
    #[must_use]
    fn meanwhile(self, wanted: Self) -> Self;
}

impl Tightness for Limits {
    fn loosest(self, other: Self) -> Self {
        Self {
            days: self.days.zip(other.days).map(|(one, other)| one.max(other)),
            bytes: self.bytes.zip(other.bytes).map(|(one, other)| one.max(other)),
            make_room: self.make_room && other.make_room,
        }
    }

    fn meanwhile(self, wanted: Self) -> Self {
        let is_exchange = (wanted.days.is_some() && self.days.is_none())
            || (wanted.bytes.is_some() && self.bytes.is_none())
            || (wanted.make_room && !self.make_room);
        if !is_exchange {
            return self.loosest(wanted);
        }
        Self {
            days: self.days.map(|days| wanted.days.map_or(days, |wanted| days.max(wanted))),
            bytes: self.bytes.map(|bytes| wanted.bytes.map_or(bytes, |wanted| bytes.max(wanted))),
            make_room: self.make_room,
        }
    }
}

/// The room that a volume shall have; the greater one of both holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Floor {
    /// In bytes.
    pub bytes: u64,
    /// In percent of the volume.
    pub percent: u8,
}

impl Tightness for Floor {
    fn loosest(self, other: Self) -> Self {
        Self { bytes: self.bytes.min(other.bytes), percent: self.percent.min(other.percent) }
    }

    /// Which of the two is less depends on the volume.
    fn meanwhile(self, _wanted: Self) -> Self {
        self
    }
}

/// A limit that is wanted, and what of it is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delayed<T> {
    in_force: T,
    wanted: T,
    /// When it was made tighter.
    since: Option<Timestamp<Mono>>,
}

impl<T: Tightness> Delayed<T> {
    /// What is in force and wanted.
    pub fn new(in_force: T) -> Self {
        Self { in_force, wanted: in_force, since: None }
    }

    /// Sets what is wanted from now on.
    pub fn want(&mut self, wanted: T, at: Timestamp<Mono>) {
        let before = self.in_force(at);
        self.in_force = match before.loosest(wanted) {
            loosest if loosest == wanted => wanted,
            _ => before.meanwhile(wanted),
        };
        if self.in_force == wanted {
            self.since = None;
        } else if self.wanted != wanted || self.since.is_none() {
            self.since = Some(at);
        }
        self.wanted = wanted;
    }

    /// What holds beside what is in force: nothing goes that this would keep.
    pub fn also(&mut self, at: Timestamp<Mono>) -> Option<T> {
        let in_force = self.in_force(at);
        (in_force != self.wanted && in_force.loosest(self.wanted) != in_force).then_some(self.wanted)
    }

    /// What is in force now.
    pub fn in_force(&mut self, at: Timestamp<Mono>) -> T {
        if self.acts_in(at).is_some_and(|rest| rest.0 <= 0) {
            (self.in_force, self.since) = (self.wanted, None);
        }
        self.in_force
    }

    /// How long what is wanted has waited; none if it is in force.
    pub fn waited(&self, at: Timestamp<Mono>) -> Option<Nanos> {
        self.since.map(|since| Nanos(at.as_nanos().saturating_sub(since.as_nanos())))
    }

    /// It waits since so long ago, if it waits: an engine before this one has seen that.
    pub fn has_waited(&mut self, waited: Nanos, at: Timestamp<Mono>) {
        self.since = self.since.map(|_| Timestamp::from_nanos(at.as_nanos().saturating_sub(waited.0)));
    }

    /// What is wanted.
    pub fn wanted(&self) -> T {
        self.wanted
    }

    /// When what is wanted is in force; none if it is.
    pub fn acts_in(&self, at: Timestamp<Mono>) -> Option<Nanos> {
        self.waited(at).map(|waited| Nanos(TIGHTER_AFTER.0.saturating_sub(waited.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp<Mono> {
        Timestamp::from_nanos(minute * 60_000_000_000)
    }

    fn limits(days: u32, bytes: u64, make_room: bool) -> Limits {
        let none_of = |number: u64| (number > 0).then_some(number);
        Limits { days: (days > 0).then_some(days), bytes: none_of(bytes), make_room }
    }

    #[test]
    fn tighter_waits_for_an_hour_and_looser_does_not() {
        let keep = Limits::default();
        for (before, wanted, meanwhile) in [
            (keep, limits(90, 0, false), keep),
            (keep, limits(0, 5, false), keep),
            (keep, limits(0, 0, true), keep),
            (limits(90, 0, false), limits(30, 0, false), limits(90, 0, false)),
            (limits(90, 7, true), limits(90, 5, true), limits(90, 7, true)),
            // One is tighter, the other one looser: that acts at once.
            (limits(90, 5, true), limits(30, 7, true), limits(90, 7, true)),
            // One kind for another.
            (limits(90, 0, true), limits(0, 5, true), limits(90, 0, true)),
            (limits(0, 0, true), limits(30, 5, false), limits(0, 0, true)),
            (limits(90, 5, false), limits(30, 0, true), limits(90, 5, false)),
        ] {
            let mut limit = Delayed::new(before);
            limit.want(wanted, at(10));
            assert_eq!(limit.in_force(at(10)), meanwhile, "{before:?} {wanted:?}");
            assert_eq!(limit.acts_in(at(28)), Some(Nanos::from_secs(42 * 60)));
            limit.want(wanted, at(60));
            assert_eq!(limit.in_force(at(69)), meanwhile, "to want it again is no change");
            assert_eq!((limit.in_force(at(70)), limit.acts_in(at(70))), (wanted, None));
        }
        for (before, wanted) in [
            (limits(30, 5, true), keep),
            (limits(30, 5, true), limits(31, 6, false)),
            (limits(30, 5, true), limits(30, 5, true)),
        ] {
            let mut limit = Delayed::new(before);
            limit.want(wanted, at(0));
            assert_eq!((limit.in_force(at(0)), limit.acts_in(at(0))), (wanted, None));
        }
    }

    #[test]
    fn who_exchanges_one_kind_for_another_has_both_and_can_take_it_back() {
        let (before, wanted) = (limits(90, 0, false), limits(0, 5, false));
        let mut limit = Delayed::new(before);
        limit.want(wanted, at(0));
        assert_eq!((limit.in_force(at(59)), limit.also(at(59))), (before, Some(wanted)));
        limit.want(before, at(59));
        assert_eq!((limit.in_force(at(59)), limit.also(at(59)), limit.acts_in(at(59))), (before, None, None));
        limit.want(wanted, at(60));
        assert_eq!((limit.in_force(at(120)), limit.also(at(120))), (wanted, None));
    }

    #[test]
    fn another_change_begins_the_hour_anew_and_one_that_takes_it_back_ends_it() {
        let of = |days| limits(days, 0, false);
        let mut limit = Delayed::new(of(90));
        limit.want(of(9), at(0));
        limit.want(of(60), at(50));
        assert_eq!((limit.in_force(at(109)), limit.in_force(at(110))), (of(90), of(60)));
        limit.want(of(9), at(200));
        limit.want(of(60), at(259));
        assert_eq!((limit.in_force(at(300)), limit.acts_in(at(300))), (of(60), None));
        // What became due before anybody looked is in force from when it was due.
        limit.want(of(9), at(400));
        limit.want(of(8), at(460));
        assert_eq!(limit.in_force(at(461)), of(9));
        assert_eq!(limit.wanted(), of(8));
    }

    #[test]
    fn of_two_floors_neither_of_which_is_the_less_both_hold() {
        let floor = |bytes, percent| Floor { bytes, percent };
        let mut limit = Delayed::new(floor(10, 5));
        limit.want(floor(20, 0), at(0));
        assert_eq!((limit.in_force(at(1)), limit.also(at(1))), (floor(10, 5), Some(floor(20, 0))));
        assert_eq!((limit.in_force(at(60)), limit.also(at(60))), (floor(20, 0), None));
        limit.want(floor(9, 0), at(61));
        limit.want(floor(20, 0), at(62));
        assert_eq!((limit.in_force(at(63)), limit.also(at(63))), (floor(9, 0), None));
    }

    #[test]
    fn no_time_is_too_far_off() {
        for (since, now) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN)] {
            let mut limit = Delayed::new(Floor::default());
            limit.want(Floor { bytes: 1, percent: 0 }, Timestamp::from_nanos(since));
            limit.has_waited(Nanos(since), Timestamp::from_nanos(now));
            limit.in_force(Timestamp::from_nanos(now));
        }
    }
}
