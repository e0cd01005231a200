//! The limits that are wanted, and those that are in force.
//!
//! Owns: `retention-limits.json` in the state directory, the limits that were in force last. What the configuration says more tightly than
//! that acts only after an hour, also after a start: so neither a restart of the engine nor a configuration file that was changed while it
//! was off shortens the hour. A note that is missing or cannot be read says that nothing was limited.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Mutex;

use audyn_api::{PendingLimits, VolumeConfig};
use audyn_core::retention::{Delayed, Floor, Limits};
use audyn_units::{Mono, Timestamp};
use serde::{Deserialize, Serialize};

use super::Rules;
use crate::durable;
use crate::engine::lock;

/// The note's name.
const NOTE: &str = "retention-limits.json";

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    recorders: BTreeMap<String, NotedLimits>,
    floor: NotedFloor,
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

/// What is wanted and what is in force.
#[derive(Debug)]
pub(super) struct Delays {
    wanted: Rules,
    /// Those that are in force or wanted.
    recorders: BTreeMap<String, Delayed<Limits>>,
    floor: Delayed<Floor>,
    /// What the note says, if it is known to.
    noted: Option<Note>,
}

impl Delays {
    /// Goes on from what an earlier engine noted.
    pub(super) fn open(state: &Path, rules: &Rules, at: Timestamp<Mono>) -> Self {
        let text = std::fs::read(state.join(NOTE)).ok();
        let note: Note = text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let limits = |noted: NotedLimits| {
            let NotedLimits { days, bytes, make_room } = noted;
            Delayed::new(Limits { days, bytes, make_room })
        };
        let NotedFloor { bytes, percent } = note.floor;
        let mut delays = Self {
            wanted: Rules::default(),
            recorders: note
                .recorders
                .into_iter()
                .map(|(recorder, noted)| (recorder, limits(noted)))
                .collect(),
            floor: Delayed::new(Floor { bytes, percent }),
            noted: None,
        };
        delays.want(rules, at);
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
        let Floor { bytes: floor_bytes, percent: floor_percent } = self.floor.in_force(at);
        Rules { recorders, volume: VolumeConfig { floor_bytes, floor_percent, ..self.wanted.volume } }
    }

    /// What waits.
    pub(super) fn pending(&self, at: Timestamp<Mono>) -> Vec<PendingLimits> {
        let seconds = |rest: audyn_units::Nanos| rest.0.max(0).unsigned_abs().div_ceil(1_000_000_000);
        let recorders = self.recorders.iter().filter_map(|(recorder, limit)| {
            let acts_in_seconds = seconds(limit.acts_in(at)?);
            Some(PendingLimits { recorder: Some(recorder.clone()), acts_in_seconds })
        });
        // Who makes no room has nothing to do with the floor.
        let makes_room = self.recorders.values().any(|limit| limit.wanted().make_room);
        let floor = self.floor.acts_in(at).filter(|_| makes_room);
        let floor = floor.map(|rest| PendingLimits { recorder: None, acts_in_seconds: seconds(rest) });
        recorders.chain(floor).collect()
    }

    /// What is to be noted; none if it is.
    pub(super) fn unnoted(&mut self, at: Timestamp<Mono>) -> Option<Note> {
        let Rules { recorders, volume } = self.in_force(at);
        let of = |(recorder, Limits { days, bytes, make_room })| {
            (recorder, NotedLimits { days, bytes, make_room })
        };
        let floor = NotedFloor { bytes: volume.floor_bytes, percent: volume.floor_percent };
        let note = Note { recorders: recorders.into_iter().map(of).collect(), floor };
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
        Rules { recorders: recorders.iter().map(of).collect(), volume }
    }

    fn pending(delays: &Delays, minute: i64) -> Vec<(Option<String>, u64)> {
        let of = |pending: PendingLimits| (pending.recorder, pending.acts_in_seconds / 60);
        delays.pending(at(minute)).into_iter().map(of).collect()
    }

    #[test]
    fn a_restart_begins_the_hour_anew_and_what_was_in_force_stays_so() {
        let state = tempfile::tempdir().unwrap();
        let open = |rules: &Rules, minute| Delays::open(state.path(), rules, at(minute));
        let wanted = rules(&[("a", 30), ("b", 9)], 5);
        let mut first = open(&wanted, 0);
        assert_eq!(first.in_force(at(59)), rules(&[], 0));
        let waits = |recorder: Option<&str>, minutes| (recorder.map(str::to_owned), minutes);
        assert_eq!(pending(&first, 18), [waits(Some("a"), 42), waits(Some("b"), 42), waits(None, 42)]);
        noted(&mut first, state.path(), 59);
        let mut second = open(&wanted, 59);
        assert_eq!(
            second.in_force(at(118)),
            rules(&[], 0),
            "an engine that starts each hour deletes nothing"
        );
        assert_eq!(second.in_force(at(119)), wanted);
        noted(&mut second, state.path(), 119);
        let mut third = open(&wanted, 0);
        assert_eq!((third.in_force(at(0)), pending(&third, 0)), (wanted.clone(), vec![]));
        // The file was changed while no engine ran.
        let tighter = rules(&[("a", 9), ("b", 90)], 9);
        let mut fourth = open(&tighter, 0);
        assert_eq!(fourth.in_force(at(59)), rules(&[("a", 30), ("b", 90)], 5));
        assert_eq!(fourth.in_force(at(60)), tighter);
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
