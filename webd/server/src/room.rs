//! The JSON that tells how long the room on the archive's volume lasts.

use audyn_api::{PendingLimits, RetentionSnapshot, RoomAlarm, RoomAlarmKind};
use serde::Serialize;

use crate::time::rfc3339;

#[derive(Serialize)]
pub(crate) struct Room<'a> {
    /// Bytes that the volume shall keep free.
    floor_bytes: u64,
    /// What all recorders write together.
    bytes_per_second: u64,
    /// Until it is full; null while that is not foreseen.
    seconds_left: Option<u64>,
    /// Recordings that limits have deleted since the engine started, and their bytes.
    deleted: u64,
    deleted_bytes: u64,
    /// Limits that were made tighter and do not act yet.
    pending: Vec<Pending<'a>>,
    /// Each stands among the warnings too.
    alarms: Vec<Alarm<'a>>,
}

#[derive(Serialize)]
struct Pending<'a> {
    /// Whose; none for the volume's floor.
    recorder: Option<&'a str>,
    acts_in_seconds: u64,
}

#[derive(Serialize)]
pub(crate) struct Alarm<'a> {
    /// `full-soon`, `below-floor`, `clock-doubted`, `undeletable` or `fruitless`
    kind: RoomAlarmKind,
    text: &'a str,
    began: String,
}

impl<'a> From<&'a RoomAlarm> for Alarm<'a> {
    fn from(alarm: &'a RoomAlarm) -> Self {
        Self { kind: alarm.kind, text: &alarm.text, began: rfc3339(alarm.began) }
    }
}

impl<'a> From<&'a RetentionSnapshot> for Room<'a> {
    fn from(room: &'a RetentionSnapshot) -> Self {
        let RetentionSnapshot {
            floor_bytes,
            bytes_per_second,
            seconds_left,
            deleted,
            deleted_bytes,
            pending,
            alarms,
        } = room;
        let waits = |pending: &'a PendingLimits| Pending {
            recorder: pending.recorder.as_deref(),
            acts_in_seconds: pending.acts_in_seconds,
        };
        Self {
            floor_bytes: *floor_bytes,
            bytes_per_second: *bytes_per_second,
            seconds_left: *seconds_left,
            deleted: *deleted,
            deleted_bytes: *deleted_bytes,
            pending: pending.iter().map(waits).collect(),
            alarms: alarms.iter().map(Alarm::from).collect(),
        }
    }
}
