//! The limits that are wanted, and those that are in force.
//!
//! Owns: `retention-limits.json` in the state directory, the limits that were in force last. What the configuration says more tightly than
//! that acts only after an hour, also after a start: so neither a restart of the engine nor a configuration file that was changed while it
//! was off shortens the hour. Only the time that an engine runs counts, and how much of it a limit has waited is noted too, in steps of ten
//! minutes: so a box that never runs for an hour gets its limits all the same. A note that cannot be read says that nothing was limited, and
//! so does one that is missing, but where an engine of before there were such notes has run: what is wanted then was in force under it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Mutex;

use audyn_api::{PendingLimits, RetentionConfig, VolumeConfig};
use audyn_core::retention::{Delayed, Floor, Limits, Tightness};
use audyn_units::{Mono, Nanos, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Also, NOTE as CLOCK_NOTE, Rules};
use crate::durable;
use crate::engine::lock;

/// The note's name.
const NOTE: &str = "retention-limits.json";

/// How much of the hour has passed is noted in steps of so many seconds.
const STEP: u64 = 600;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    recorders: BTreeMap<String, NotedLimits>,
    floor: NotedFloor,
    /// What is wanted and not in force yet.
    #[serde(default)]
    waiting: BTreeMap<String, NotedWait<NotedLimits>>,
    #[serde(default)]
    floor_waiting: Option<NotedWait<NotedFloor>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NotedWait<T> {
    wanted: T,
    /// So long, while an engine ran.
    seconds: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct NotedLimits {
    days: Option<u32>,
    bytes: Option<u64>,
    make_room: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct NotedFloor {
    bytes: u64,
    percent: u8,
}

impl From<Limits> for NotedLimits {
    fn from(Limits { days, bytes, make_room }: Limits) -> Self {
        Self { days, bytes, make_room }
    }
}

impl From<NotedLimits> for Limits {
    fn from(NotedLimits { days, bytes, make_room }: NotedLimits) -> Self {
        Self { days, bytes, make_room }
    }
}

impl From<Floor> for NotedFloor {
    fn from(Floor { bytes, percent }: Floor) -> Self {
        Self { bytes, percent }
    }
}

impl From<NotedFloor> for Floor {
    fn from(NotedFloor { bytes, percent }: NotedFloor) -> Self {
        Self { bytes, percent }
    }
}

/// Whole seconds that are left.
fn seconds(rest: Nanos) -> u64 {
    rest.0.max(0).unsigned_abs().div_ceil(1_000_000_000)
}

/// What a limit waits for, if it waits.
fn waits<T: Tightness, N: From<T>>(limit: &Delayed<T>, at: Timestamp<Mono>) -> Option<NotedWait<N>> {
    let waited = limit.waited(at)?.0.max(0).unsigned_abs() / 1_000_000_000;
    Some(NotedWait { wanted: limit.wanted().into(), seconds: waited / STEP * STEP })
}

/// Goes on waiting where an earlier engine was, if it waited for the same.
fn goes_on<T: Tightness, N: Into<T>>(limit: &mut Delayed<T>, noted: NotedWait<N>, at: Timestamp<Mono>) {
    let seconds = i64::try_from(noted.seconds).unwrap_or(0).min(3_600);
    if limit.wanted() == noted.wanted.into() {
        limit.has_waited(Nanos::from_secs(seconds), at);
    }
}

/// What is wanted and what is in force.
#[derive(Debug, Clone)]
pub(super) struct Delays {
    wanted: Rules,
    /// Those that are in force or wanted.
    recorders: BTreeMap<String, Delayed<Limits>>,
    floor: Delayed<Floor>,
    /// What the note says, if it is known to.
    noted: Option<Note>,
}

impl Note {
    /// These are in force.
    fn of(rules: &Rules) -> Self {
        let Rules { recorders, volume, .. } = rules;
        let recorders = recorders.iter().map(|(recorder, limits)| (recorder.clone(), (*limits).into()));
        let floor = NotedFloor { bytes: volume.floor_bytes, percent: volume.floor_percent };
        Self { recorders: recorders.collect(), floor, ..Self::default() }
    }
}

impl Delays {
    /// Goes on from what an earlier engine noted.
    pub(super) fn open(state: &Path, rules: &Rules, at: Timestamp<Mono>) -> Self {
        let note = match std::fs::read(state.join(NOTE)) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
            // An engine that knew of no such note obeyed what was configured.
            Err(error) if error.kind() == io::ErrorKind::NotFound && state.join(CLOCK_NOTE).exists() => {
                Note::of(rules)
            }
            Err(_) => Note::default(),
        };
        let mut delays = Self {
            wanted: Rules::default(),
            recorders: note
                .recorders
                .into_iter()
                .map(|(recorder, noted)| (recorder, Delayed::new(noted.into())))
                .collect(),
            floor: Delayed::new(note.floor.into()),
            noted: None,
        };
        delays.want(rules, at);
        for (recorder, noted) in note.waiting {
            if let Some(limit) = delays.recorders.get_mut(&recorder) {
                goes_on(limit, noted, at);
            }
        }
        if let Some(noted) = note.floor_waiting {
            goes_on(&mut delays.floor, noted, at);
        }
        delays
    }

    /// Sets what is wanted from now on; whether that is something else than before.
    pub(super) fn want(&mut self, rules: &Rules, at: Timestamp<Mono>) -> bool {
        for (recorder, limits) in &rules.recorders {
            let limit = self.recorders.entry(recorder.clone());
            limit.or_insert_with(|| Delayed::new(Limits::default())).want(*limits, at);
        }
        // Whoever has no limit any more is forgotten, and the next one begins anew.
        self.recorders.retain(|recorder, _| rules.recorders.iter().any(|(wanted, _)| wanted == recorder));
        let VolumeConfig { floor_bytes: bytes, floor_percent: percent, .. } = rules.volume;
        self.floor.want(Floor { bytes, percent }, at);
        std::mem::replace(&mut self.wanted, rules.clone()) != *rules
    }

    /// What is wanted.
    pub(super) fn wanted(&self) -> &Rules {
        &self.wanted
    }

    /// What is in force now.
    pub(super) fn in_force(&mut self, at: Timestamp<Mono>) -> Rules {
        let of = |(recorder, _): &(String, Limits)| {
            let limits = self.recorders.get_mut(recorder)?.in_force(at);
            (limits != Limits::default()).then(|| (recorder.clone(), limits))
        };
        let recorders = self.wanted.recorders.iter().filter_map(of).collect();
        let also =
            |(recorder, limit): (&String, &mut Delayed<Limits>)| Some((recorder.clone(), limit.also(at)?));
        let volume = |Floor { bytes: floor_bytes, percent: floor_percent }| VolumeConfig {
            floor_bytes,
            floor_percent,
            ..self.wanted.volume
        };
        let also = Also {
            recorders: self.recorders.iter_mut().filter_map(also).collect(),
            floor: self.floor.also(at).map(volume),
        };
        Rules { recorders, volume: volume(self.floor.in_force(at)), also }
    }

    /// What waits.
    pub(super) fn pending(&self, at: Timestamp<Mono>) -> Vec<PendingLimits> {
        let recorders = self.recorders.iter().filter_map(|(recorder, limit)| {
            let acts_in_seconds = seconds(limit.acts_in(at)?);
            let mut now = *limit;
            let Limits { days, bytes, make_room } = now.in_force(at);
            let in_force = Some(RetentionConfig { days, bytes, make_room });
            Some(PendingLimits { recorder: Some(recorder.clone()), acts_in_seconds, in_force })
        });
        // Who makes no room has nothing to do with the floor.
        let makes_room = self.recorders.values().any(|limit| limit.wanted().make_room);
        let floor = self.floor.acts_in(at).filter(|_| makes_room);
        let floor = floor.map(|rest| PendingLimits {
            recorder: None,
            acts_in_seconds: seconds(rest),
            in_force: None,
        });
        recorders.chain(floor).collect()
    }

    /// Seconds until the first recorder makes room that is to and does not yet.
    pub(super) fn makes_room_in(&mut self, at: Timestamp<Mono>) -> Option<u64> {
        let of = |limit: &mut Delayed<Limits>| {
            let makes_none = limit.wanted().make_room && !limit.in_force(at).make_room;
            limit.acts_in(at).filter(|_| makes_none).map(seconds)
        };
        self.recorders.values_mut().filter_map(of).min()
    }

    /// What is to be noted; none if it is.
    pub(super) fn unnoted(&mut self, at: Timestamp<Mono>) -> Option<Note> {
        let note = Note::of(&self.in_force(at));
        let of = |(recorder, limit): (&String, _)| Some((recorder.clone(), waits(limit, at)?));
        let waiting = self.recorders.iter().filter_map(of).collect();
        let note = Note { waiting, floor_waiting: waits(&self.floor, at), ..note };
        (self.noted.as_ref() != Some(&note)).then_some(note)
    }

    /// It was.
    pub(super) fn noted(&mut self, note: Note) {
        self.noted = Some(note);
    }
}

/// Notes what is in force, if that is something else than what was noted. While it is written nobody else waits for the limits.
pub(super) fn note(limits: &Mutex<Delays>, state: &Path, at: Timestamp<Mono>) -> io::Result<()> {
    let note = lock(limits).unnoted(at);
    if let Some(note) = note {
        durable::replace(state, NOTE, &serde_json::to_vec(&note)?)?;
        lock(limits).noted(note);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp<Mono> {
        Timestamp::from_nanos(minute * 60_000_000_000)
    }

    fn noted(delays: &mut Delays, state: &Path, minute: i64) {
        let note = delays.unnoted(at(minute)).unwrap();
        durable::replace(state, NOTE, &serde_json::to_vec(&note).unwrap()).unwrap();
        delays.noted(note);
        assert_eq!(delays.unnoted(at(minute)), None);
    }

    fn rules(recorders: &[(&str, u32)], floor_percent: u8) -> Rules {
        let of = |&(recorder, days): &(&str, u32)| {
            (recorder.to_owned(), Limits { days: Some(days), bytes: None, make_room: true })
        };
        let volume = VolumeConfig { floor_percent, ..VolumeConfig::default() };
        Rules { recorders: recorders.iter().map(of).collect(), volume, also: Also::default() }
    }

    fn pending(delays: &Delays, minute: i64) -> Vec<(Option<String>, u64)> {
        let of = |pending: PendingLimits| (pending.recorder, pending.acts_in_seconds / 60);
        delays.pending(at(minute)).into_iter().map(of).collect()
    }

    #[test]
    fn the_hour_goes_on_after_a_restart_and_what_was_in_force_stays_so() {
        let state = tempfile::tempdir().unwrap();
        let open = |rules: &Rules, minute| Delays::open(state.path(), rules, at(minute));
        let wanted = rules(&[("a", 30), ("b", 9)], 5);
        let mut first = open(&wanted, 0);
        assert_eq!(first.in_force(at(59)), rules(&[], 0));
        let waits = |recorder: Option<&str>, minutes| (recorder.map(str::to_owned), minutes);
        assert_eq!(pending(&first, 18), [waits(Some("a"), 42), waits(Some("b"), 42), waits(None, 42)]);
        assert_eq!(first.makes_room_in(at(18)), Some(42 * 60));
        noted(&mut first, state.path(), 59);
        // What is noted is up to ten minutes old, and the clock is another one after a boot.
        let mut second = open(&wanted, 7);
        assert_eq!(pending(&second, 7), [waits(Some("a"), 10), waits(Some("b"), 10), waits(None, 10)]);
        assert_eq!(second.in_force(at(16)), rules(&[], 0));
        assert_eq!(second.in_force(at(17)), wanted);
        assert_eq!(second.makes_room_in(at(17)), None);
        noted(&mut second, state.path(), 17);
        let mut third = open(&wanted, 0);
        assert_eq!((third.in_force(at(0)), pending(&third, 0)), (wanted.clone(), vec![]));
        // The file was changed while no engine ran.
        let tighter = rules(&[("a", 9), ("b", 90)], 9);
        let mut fourth = open(&tighter, 0);
        assert_eq!(fourth.in_force(at(59)), rules(&[("a", 30), ("b", 90)], 5));
        assert_eq!(fourth.in_force(at(60)), tighter);
    }

    #[test]
    fn a_box_that_never_runs_for_an_hour_gets_its_limits() {
        let state = tempfile::tempdir().unwrap();
        let wanted = rules(&[("a", 30)], 5);
        let mut runs = 0;
        loop {
            let delays = Mutex::new(Delays::open(state.path(), &wanted, at(0)));
            // It is off after 25 minutes.
            for minute in 0..25 {
                note(&delays, state.path(), at(minute)).unwrap();
            }
            runs += 1;
            if lock(&delays).in_force(at(24)) == wanted {
                break;
            }
            assert!(runs < 9);
        }
        assert_eq!(runs, 3, "of each run 20 minutes are noted");
    }

    #[test]
    fn who_waits_for_something_else_waits_from_the_start() {
        let state = tempfile::tempdir().unwrap();
        let mut first = Delays::open(state.path(), &rules(&[("a", 30), ("b", 9)], 5), at(0));
        noted(&mut first, state.path(), 40);
        let second = Delays::open(state.path(), &rules(&[("a", 29), ("b", 9)], 6), at(0));
        let waits = |recorder: Option<&str>, minutes| (recorder.map(str::to_owned), minutes);
        assert_eq!(pending(&second, 0), [waits(Some("a"), 60), waits(Some("b"), 20), waits(None, 60)]);
    }

    #[test]
    fn where_an_engine_without_such_a_note_ran_what_is_wanted_is_in_force_once() {
        let wanted = rules(&[("a", 30)], 5);
        let state = tempfile::tempdir().unwrap();
        let mut new = Delays::open(state.path(), &wanted, at(0));
        assert_eq!(new.in_force(at(0)), rules(&[], 0), "nothing ran here");
        std::fs::write(state.path().join(CLOCK_NOTE), "{}").unwrap();
        let mut old = Delays::open(state.path(), &wanted, at(0));
        assert_eq!((old.in_force(at(0)), pending(&old, 0)), (wanted.clone(), vec![]));
        noted(&mut old, state.path(), 0);
        let tighter = rules(&[("a", 3)], 5);
        let mut next = Delays::open(state.path(), &tighter, at(0));
        assert_eq!(next.in_force(at(59)), wanted, "from then on there is one");
        // One that is there and cannot be read is no missing one.
        std::fs::remove_file(state.path().join(NOTE)).unwrap();
        std::fs::create_dir(state.path().join(NOTE)).unwrap();
        assert_eq!(Delays::open(state.path(), &wanted, at(0)).in_force(at(59)), rules(&[], 0));
    }

    #[test]
    fn a_recorder_that_comes_back_with_its_limit_waits_again() {
        let state = tempfile::tempdir().unwrap();
        let mut delays = Delays::open(state.path(), &rules(&[("a", 30)], 0), at(0));
        assert_eq!(delays.in_force(at(60)), rules(&[("a", 30)], 0));
        assert!(delays.want(&rules(&[], 0), at(61)));
        noted(&mut delays, state.path(), 61);
        assert!(delays.want(&rules(&[("a", 30)], 0), at(62)));
        assert_eq!(delays.in_force(at(63)), rules(&[], 0));
        drop(delays);
        let mut next = Delays::open(state.path(), &rules(&[("a", 30)], 0), at(70));
        assert_eq!(next.in_force(at(129)), rules(&[], 0), "its limit is not in force in the note either");
    }

    #[test]
    fn a_note_that_cannot_be_read_says_that_nothing_was_limited() {
        let state = tempfile::tempdir().unwrap();
        for text in ["", "{", r#"{"recorders":{"a":{"days":1,"hours":2}},"floor":{}}"#] {
            std::fs::write(state.path().join(NOTE), text).unwrap();
            let mut delays = Delays::open(state.path(), &rules(&[("a", 30)], 5), at(0));
            assert_eq!(delays.in_force(at(59)), rules(&[], 0));
        }
    }
}
