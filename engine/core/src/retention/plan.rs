//! What goes, and why.

use audyn_units::{Nanos, Timestamp, Utc};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// All files that a recorder made of one stretch of time: one of each format, with what belongs to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Place of its recorder among the limits.
    pub recorder: usize,
    /// When its first frame was recorded.
    pub start: Timestamp<Utc>,
    /// When its last one was.
    pub end: Timestamp<Utc>,
    /// Place in the recorder's chain: decides between segments of one start.
    pub entry: u64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// The clock that stamped it was disciplined: what a clock that nobody had set yet wrote has no age.
    pub dated: bool,
    /// Why it stays, whatever the limits say.
    pub hold: Option<Hold>,
}

/// Why a segment stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Somebody protects it.
    Protected,
    /// A file of it is not sealed: it is being recorded, or was just now.
    Unsealed,
}

/// What a recorder keeps. Nothing is set by itself: then everything is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Days that a recording is kept after its end.
    pub days: Option<u32>,
    /// Bytes of all its recordings together, but for those that stay whatever the limits say.
    pub bytes: Option<u64>,
    /// Its oldest recordings make room where the volume has less than its floor.
    pub make_room: bool,
}

/// What a recorder keeps while one kind of limit is exchanged for another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// What is in force.
    pub limits: Limits,
    /// What keeps too: nothing goes that this would keep.
    pub also: Option<Limits>,
}

impl From<Limits> for Kept {
    fn from(limits: Limits) -> Self {
        Self { limits, also: None }
    }
}

/// What limits say of a segment.
enum Verdict {
    Stays,
    ForRoom,
    Goes(Reason),
}

/// The volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// Bytes that are free.
    pub free: u64,
    /// Bytes that shall be.
    pub floor: u64,
}

/// Why a segment goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It ended more than so many days ago.
    Days(u32),
    /// Its recorder has more than so many bytes.
    Bytes(u64),
    /// The volume has less than so many bytes free.
    Floor(u64),
}

/// A segment that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Going {
    /// Its place among the segments.
    pub segment: usize,
    /// Why.
    pub reason: Reason,
}

/// What goes, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In this order.
    pub going: Vec<Going>,
    /// Bytes that the volume lacks to its floor when all of it has gone.
    pub lacking: u64,
}

/// Decides. `now` is none while the clock cannot be believed: then nothing goes by its age. `is_busy` is asked of a segment, by its
/// place, only when it would go: whether one of its files is being recorded or read. Such a one goes later, and counts as gone for its
/// recorder's own limits.
pub fn plan<L: Copy + Into<Kept>>(
    segments: &[Segment],
    limits: &[L],
    room: Room,
    now: Option<Timestamp<Utc>>,
    mut is_busy: impl FnMut(usize) -> bool,
) -> Plan {
    let starts = starts(segments);
    let mut order: Vec<usize> = (0..segments.len()).collect();
    order.sort_by_key(|&at| (starts[at], segments[at].recorder, segments[at].entry));
    let mut held = vec![0_u64; limits.len()];
    // What is held does not count: it would take the place of what is recorded from now on.
    for segment in segments.iter().filter(|segment| segment.hold.is_none()) {
        if let Some(bytes) = held.get_mut(segment.recorder) {
            *bytes = bytes.saturating_add(segment.bytes);
        }
    }
    let mut free = room.free;
    let mut plan = Plan::default();
    let mut left = Vec::new();
    // Age and size first: what goes by these makes room as well.
    for at in order {
        let segment = &segments[at];
        let Some(&kept) = limits.get(segment.recorder) else { continue };
        if segment.hold.is_some() {
            continue;
        }
        match verdict(segment, kept.into(), held[segment.recorder], now) {
            Verdict::Goes(reason) if !is_busy(at) => {
                plan.going.push(Going { segment: at, reason });
                held[segment.recorder] = held[segment.recorder].saturating_sub(segment.bytes);
                free = free.saturating_add(segment.bytes);
            }
            // It goes once nobody has it any more. Nothing younger goes in its place: a long export of what is old would cost what is new.
            Verdict::Goes(_) => {
                held[segment.recorder] = held[segment.recorder].saturating_sub(segment.bytes);
            }
            Verdict::ForRoom => left.push((at, kept.into())),
            Verdict::Stays => {}
        }
    }
    for (at, kept) in left {
        if free >= room.floor {
            break;
        }
        let segment = &segments[at];
        // What has gone since may have been enough for a limit that holds beside this one.
        let stays = matches!(verdict(segment, kept, held[segment.recorder], now), Verdict::Stays);
        if !stays && !is_busy(at) {
            plan.going.push(Going { segment: at, reason: Reason::Floor(room.floor) });
            held[segment.recorder] = held[segment.recorder].saturating_sub(segment.bytes);
            free = free.saturating_add(segment.bytes);
        }
    }
    plan.going.sort_by_key(|going| {
        let segment = &segments[going.segment];
        (starts[going.segment], segment.recorder, segment.entry)
    });
    plan.lacking = room.floor.saturating_sub(free);
    plan
}

/// What a segment's limits say of it, its recorder having so many bytes.
fn verdict(segment: &Segment, kept: Kept, held: u64, now: Option<Timestamp<Utc>>) -> Verdict {
    let of = |limits: Limits| {
        let by_days = limits.days.filter(|&days| now.is_some_and(|now| is_older(segment, now, days)));
        let by_bytes = limits.bytes.filter(|&most| held > most);
        match by_days.map(Reason::Days).or(by_bytes.map(Reason::Bytes)) {
            Some(reason) => Verdict::Goes(reason),
            None if limits.make_room => Verdict::ForRoom,
            None => Verdict::Stays,
        }
    };
    match (of(kept.limits), kept.also.map(of)) {
        (Verdict::Stays, _) | (_, Some(Verdict::Stays)) => Verdict::Stays,
        (Verdict::ForRoom, _) | (_, Some(Verdict::ForRoom)) => Verdict::ForRoom,
        (goes, _) => goes,
    }
}

/// When each began, as far as that decides who is older: one without a date is as young as the latest before it in its recorder's chain,
/// since it was closed after that.
fn starts(segments: &[Segment]) -> Vec<Timestamp<Utc>> {
    let mut starts: Vec<_> = segments.iter().map(|segment| segment.start).collect();
    let mut order: Vec<usize> = (0..segments.len()).collect();
    order.sort_by_key(|&at| (segments[at].recorder, segments[at].entry));
    let mut latest = None;
    for at in order {
        let segment = &segments[at];
        let before = latest.filter(|&(recorder, _)| recorder == segment.recorder).map(|(_, start)| start);
        if !segment.dated {
            starts[at] = starts[at].max(before.unwrap_or(starts[at]));
        }
        latest = Some((segment.recorder, before.map_or(starts[at], |before| before.max(starts[at]))));
    }
    starts
}

/// Whether a segment ended more than so many days ago. One that ends later than now is not old, nor is one that was stamped by a clock
/// that nobody had set.
fn is_older(segment: &Segment, now: Timestamp<Utc>, days: u32) -> bool {
    if !segment.dated {
        return false;
    }
    let kept = Nanos::from_secs(i64::from(days.min(100_000)) * DAY);
    now.as_nanos().checked_sub(segment.end.as_nanos()).is_some_and(|age| age > kept.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1_000_000_000;
    const NO_FLOOR: Room = Room { free: 0, floor: 0 };

    /// Day 20,000 since 1970 is in October 2024.
    fn day(n: i64) -> Timestamp<Utc> {
        Timestamp::from_nanos((20_000 + n) * DAY * 1_000_000_000)
    }

    /// A segment of a whole day and 10 GB.
    fn of(recorder: usize, n: i64) -> Segment {
        Segment {
            recorder,
            start: day(n),
            end: day(n + 1),
            entry: n.unsigned_abs() + 1,
            bytes: 10 * GB,
            dated: true,
            hold: None,
        }
    }

    fn days(days: u32) -> Limits {
        Limits { days: Some(days), ..Limits::default() }
    }

    fn bytes(bytes: u64) -> Limits {
        Limits { bytes: Some(bytes), ..Limits::default() }
    }

    const NOTHING: [usize; 0] = [];

    const MAKES_ROOM: Limits = Limits { days: None, bytes: None, make_room: true };

    /// Places of what goes.
    fn going(plan: &Plan) -> Vec<usize> {
        plan.going.iter().map(|going| going.segment).collect()
    }

    fn planned(
        segments: &[Segment],
        limits: &[Limits],
        room: Room,
        now: Option<Timestamp<Utc>>,
    ) -> Vec<usize> {
        going(&plan(segments, limits, room, now, |_| false))
    }

    #[test]
    fn without_a_limit_nothing_goes_whatever_the_disk_does() {
        let segments: Vec<Segment> = (0..5).map(|n| of(0, n)).collect();
        let room = Room { free: 0, floor: 100 * GB };
        let made = plan(&segments, &[Limits::default()], room, Some(day(5_000)), |_| false);
        assert_eq!((going(&made), made.lacking), (vec![], 100 * GB));
        assert_eq!(
            planned(&segments, &[], room, Some(day(5_000))),
            NOTHING,
            "of a recorder that nobody knows"
        );
    }

    #[test]
    fn each_limit_takes_the_oldest_and_no_more_than_it_must() {
        // Listed in another order than they were recorded in.
        let segments: Vec<Segment> = [3, 0, 2, 1, 4].map(|n| of(0, n)).to_vec();
        let now = Some(day(5));
        let with_floor = |free| Room { free: free * GB, floor: 25 * GB };
        for (limits, room, gone, lacking) in [
            (days(5), NO_FLOOR, vec![], 0),
            (days(4), NO_FLOOR, vec![], 0), // the first ended exactly four days ago
            (days(3), NO_FLOOR, vec![1], 0),
            (days(0), NO_FLOOR, vec![1, 3, 2, 0], 0), // the last one has just ended
            (bytes(50 * GB), NO_FLOOR, vec![], 0),
            (bytes(50 * GB - 1), NO_FLOOR, vec![1], 0),
            (bytes(0), NO_FLOOR, vec![1, 3, 2, 0, 4], 0),
            (MAKES_ROOM, with_floor(25), vec![], 0),
            (MAKES_ROOM, with_floor(24), vec![1], 0),
            (MAKES_ROOM, with_floor(0), vec![1, 3, 2], 0),
            (MAKES_ROOM, Room { free: 0, floor: 60 * GB }, vec![1, 3, 2, 0, 4], 10 * GB),
            (bytes(30 * GB), with_floor(0), vec![1, 3], 5 * GB), // it makes no room by itself
            (Limits { make_room: true, ..bytes(30 * GB) }, with_floor(0), vec![1, 3, 2], 0),
            (Limits { bytes: Some(20 * GB), ..days(3) }, NO_FLOOR, vec![1, 3, 2], 0),
        ] {
            let made = plan(&segments, &[limits], room, now, |_| false);
            assert_eq!((going(&made), made.lacking), (gone, lacking), "{limits:?} {room:?}");
        }
    }

    #[test]
    fn the_reason_is_the_first_that_holds() {
        let segments: Vec<Segment> = (0..4).map(|n| of(0, n)).collect();
        let limits = Limits { days: Some(2), bytes: Some(20 * GB), make_room: true };
        let room = Room { free: 0, floor: 30 * GB };
        let reasons: Vec<Reason> = plan(&segments, &[limits], room, Some(day(4)), |_| false)
            .going
            .iter()
            .map(|going| going.reason)
            .collect();
        assert_eq!(reasons, [Reason::Days(2), Reason::Bytes(20 * GB), Reason::Floor(30 * GB)]);
    }

    #[test]
    fn while_one_kind_is_exchanged_for_another_only_what_both_delete_goes() {
        let segments: Vec<Segment> = (0..5).map(|n| of(0, n)).collect();
        let low = Room { free: 0, floor: 15 * GB };
        let room_and_days = Limits { make_room: true, ..days(1) };
        for (limits, also, room, gone) in [
            (days(3), bytes(50 * GB), NO_FLOOR, vec![]), // one is too old, none too much
            (days(3), bytes(20 * GB), NO_FLOOR, vec![0]),
            (days(1), bytes(30 * GB), NO_FLOOR, vec![0, 1]),
            (bytes(30 * GB), days(1), NO_FLOOR, vec![0, 1]),
            (days(3), MAKES_ROOM, NO_FLOOR, vec![]),
            (days(3), MAKES_ROOM, low, vec![0]),
            (days(1), MAKES_ROOM, low, vec![0, 1]), // the third is old too, and there is room
            (MAKES_ROOM, bytes(40 * GB), low, vec![0]),
            (room_and_days, MAKES_ROOM, low, vec![0, 1]),
            (Limits::default(), days(0), low, vec![]),
        ] {
            let kept = Kept { limits, also: Some(also) };
            let made = plan(&segments, &[kept], room, Some(day(5)), |_| false);
            assert_eq!(going(&made), gone, "{limits:?} {also:?}");
        }
    }

    #[test]
    fn what_is_held_stays_and_takes_no_place() {
        let mut segments: Vec<Segment> = (0..5).map(|n| of(0, n)).collect();
        segments[0].hold = Some(Hold::Protected);
        segments[2].hold = Some(Hold::Unsealed);
        let room = Room { free: 0, floor: 20 * GB };
        assert_eq!(planned(&segments, &[days(0)], NO_FLOOR, Some(day(900))), [1, 3, 4]);
        assert_eq!(planned(&segments, &[bytes(30 * GB)], NO_FLOOR, None), NOTHING, "it takes nobody's place");
        assert_eq!(planned(&segments, &[bytes(10 * GB)], NO_FLOOR, None), [1, 3]);
        assert_eq!(planned(&segments, &[bytes(0)], NO_FLOOR, None), [1, 3, 4]);
        assert_eq!(planned(&segments, &[MAKES_ROOM], room, None), [1, 3]);
        // What is being read stays too, for room the next one goes instead; and nobody is asked in vain.
        let mut asked = Vec::new();
        let made = plan(&segments, &[MAKES_ROOM], room, None, |at| {
            asked.push(at);
            at == 1
        });
        assert_eq!((going(&made), asked), (vec![3, 4], vec![1, 3, 4]));
    }

    #[test]
    fn what_is_read_for_long_costs_nothing_younger_by_its_recorders_own_limits() {
        let segments: Vec<Segment> = (0..7).map(|n| of(0, n)).collect();
        let gone =
            |limits, read: usize| going(&plan(&segments, &[limits], NO_FLOOR, Some(day(7)), |at| at < read));
        assert_eq!(gone(bytes(60 * GB), 6), NOTHING);
        assert_eq!(gone(bytes(50 * GB), 1), [1], "the first goes once it was read");
        assert_eq!(gone(Limits { days: Some(5), ..bytes(50 * GB) }, 2), NOTHING, "by its age, too");
    }

    #[test]
    fn two_recorders_go_by_their_own_limits_and_the_floor_by_age() {
        let mut segments: Vec<Segment> = (0..3).map(|n| of(0, n)).collect();
        segments.extend((0..3).map(|n| of(1, n)));
        assert_eq!(planned(&segments, &[days(1), Limits::default()], NO_FLOOR, Some(day(3))), [0]);
        assert_eq!(planned(&segments, &[bytes(20 * GB), bytes(10 * GB)], NO_FLOOR, None), [0, 3, 4]);
        let room = Room { free: 0, floor: 30 * GB };
        assert_eq!(
            planned(&segments, &[MAKES_ROOM, MAKES_ROOM], room, None),
            [0, 3, 1],
            "ties by the recorder"
        );
        assert_eq!(planned(&segments, &[Limits::default(), MAKES_ROOM], room, None), [3, 4, 5]);
    }

    #[test]
    fn segments_of_one_start_go_as_they_were_sealed() {
        let mut segments = vec![of(0, 0), of(0, 0), of(0, 0)];
        for (segment, entry) in segments.iter_mut().zip([7, 5, 6]) {
            segment.entry = entry;
        }
        assert_eq!(planned(&segments, &[bytes(10 * GB)], NO_FLOOR, None), [1, 2]);
    }

    #[test]
    fn a_clock_that_is_not_believed_makes_nothing_old() {
        let segments: Vec<Segment> = (0..3).map(|n| of(0, n)).collect();
        assert_eq!(planned(&segments, &[days(1)], NO_FLOOR, None), NOTHING);
        assert_eq!(
            planned(&segments, &[days(1)], NO_FLOOR, Some(day(-9_000))),
            NOTHING,
            "nor one that shows the past"
        );
        // What was recorded while the clock was ahead is young until then, and the last to go by size.
        let ahead = [of(0, 3_650), of(0, 0), of(0, 1)];
        assert_eq!(planned(&ahead, &[days(1)], NO_FLOOR, Some(day(30))), [1, 2]);
        assert_eq!(planned(&ahead, &[bytes(10 * GB)], NO_FLOOR, None), [1, 2]);
    }

    #[test]
    fn what_a_clock_that_nobody_had_set_stamped_has_no_age_and_is_as_young_as_what_was_closed_before_it() {
        // Recorded on day 100 by a box that came up with the time of its last shutdown, or of its build.
        let mut unset = of(0, -9_000);
        unset.dated = false;
        unset.entry = 50;
        let segments = [unset, of(0, 10), of(0, 11), of(1, 12)];
        assert_eq!(planned(&segments, &[days(3), days(3)], NO_FLOOR, Some(day(100))), [1, 2, 3]);
        assert_eq!(planned(&segments, &[bytes(25 * GB), bytes(u64::MAX)], NO_FLOOR, None), [1]);
        let room = Room { free: 0, floor: 25 * GB };
        assert_eq!(planned(&segments, &[MAKES_ROOM, MAKES_ROOM], room, None), [1, 2, 0]);
    }

    #[test]
    fn no_number_is_too_great() {
        let segment = |start, end| Segment {
            recorder: 0,
            start: Timestamp::from_nanos(start),
            end: Timestamp::from_nanos(end),
            entry: u64::MAX,
            bytes: u64::MAX,
            dated: true,
            hold: None,
        };
        let segments = [segment(i64::MIN, i64::MIN), segment(i64::MAX, i64::MAX)];
        let limits = Limits { days: Some(u32::MAX), bytes: Some(u64::MAX), make_room: true };
        let room = Room { free: u64::MAX, floor: u64::MAX };
        for now in [i64::MIN, 0, i64::MAX] {
            plan(&segments, &[limits], room, Some(Timestamp::from_nanos(now)), |_| false);
        }
    }
}
