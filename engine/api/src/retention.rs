//! Which recordings go by themselves, and whether the disk has room: configuration, state, what would go now.

use audyn_units::{Timestamp, Utc};
use serde::{Deserialize, Serialize};

/// `retention` of a recorder in `recorders.json`: what it keeps. Without any of these it keeps everything. What makes it keep less than
/// before acts an hour after it was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// Days that a recording is kept after its end: 1 to 36,500. They count while the clock is disciplined by PTP or NTP and goes on from
    /// the time that it showed before, and for recordings that such a clock has stamped.
    pub days: Option<u32>,
    /// Bytes that all its recordings together may have, with what belongs to them; at least 1,000,000. What is protected or not sealed
    /// yet does not count.
    pub bytes: Option<u64>,
    /// Its oldest recordings go where the volume has less room than its floor.
    pub make_room: bool,
}

/// `volume` in `global.json`: the room that the archive's volume shall keep. It is alarmed where it can't be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VolumeConfig {
    /// The floor in bytes; the greater one of both holds.
    pub floor_bytes: u64,
    /// The floor as a share of the volume in percent: 0 to 90.
    pub floor_percent: u8,
    /// An alarm is raised when the room lasts for fewer hours at the present rate of writing: 0 (never) to 8,760.
    pub alarm_hours: u32,
}

impl Default for VolumeConfig {
    fn default() -> Self {
        Self { floor_bytes: 0, floor_percent: 5, alarm_hours: 24 }
    }
}

impl VolumeConfig {
    /// The floor of a volume of `total` bytes: nine tenths of it at most, since more can never be reached.
    #[must_use]
    pub fn floor(&self, total: u64) -> u64 {
        let most = total / 100 * 90;
        self.floor_bytes.max(total / 100 * u64::from(self.floor_percent)).min(most)
    }
}

/// What has been deleted by limits since the engine started, and how long the room lasts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RetentionSnapshot {
    /// Bytes that the volume shall keep free.
    pub floor_bytes: u64,
    /// Bytes a second that all recorders write now, in all their formats; FLAC is counted as the PCM in it, so it is rather less.
    pub bytes_per_second: u64,
    /// Seconds until the volume is full; none while that is not to be foreseen: nothing is recorded, or limits delete as much.
    pub seconds_left: Option<u64>,
    /// Recordings (files with their ledgers and sidecars) that limits have deleted.
    pub deleted: u64,
    /// Bytes of those.
    pub deleted_bytes: u64,
    /// Limits that were made tighter and do not act yet.
    pub pending: Vec<PendingLimits>,
    /// What is wrong with the room; each stands among the warnings of the snapshot too.
    pub alarms: Vec<RoomAlarm>,
}

/// What is wrong with the room on the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoomAlarmKind {
    /// It lasts for fewer hours than was asked for.
    FullSoon,
    /// There is less than the floor, and nothing may be deleted.
    BelowFloor,
    /// Recordings are to be deleted by age, and the clock isn't believed.
    ClockDoubted,
    /// Something that is to be deleted cannot be.
    Undeletable,
    /// What was deleted for the floor has made no room, so nothing more is.
    Fruitless,
}

/// An alarm of the room on the volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomAlarm {
    /// What is wrong.
    pub kind: RoomAlarmKind,
    /// What is wrong and what to do.
    pub text: String,
    /// When it began.
    pub began: Timestamp<Utc>,
}

/// Why a recording goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetentionReason {
    /// It is older than its recorder keeps.
    Days,
    /// Its recorder has more bytes than it keeps.
    Bytes,
    /// The volume has less room than its floor.
    Floor,
}

/// A recording that would go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionEntry {
    /// Its file, relative to the archive root; a segment of several formats has several.
    pub path: String,
    /// Its bytes, with its ledger and sidecar.
    pub bytes: u64,
    /// When it began.
    pub start: Timestamp<Utc>,
    /// Why.
    pub reason: RetentionReason,
    /// The same for people.
    pub why: String,
}

/// Limits that were made tighter, or set where there were none: they act an hour later. What makes them looser acts at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingLimits {
    /// Whose; none for the volume's floor.
    pub recorder: Option<String>,
    /// When they act, while an engine runs: the time without one does not count.
    pub acts_in_seconds: u64,
    /// What is in force of a recorder's limits until then: to set these again takes the change back. None for the volume's floor.
    pub in_force: Option<RetentionConfig>,
}

/// Limits that are tried, and not set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProposedLimits {
    /// Recorders that would have other limits than they are configured with.
    pub recorders: Vec<ProposedRecorder>,
    /// The room that the volume would keep; none takes what is configured.
    pub volume: Option<VolumeConfig>,
}

/// A recorder with limits that are tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposedRecorder {
    /// Which.
    pub id: crate::RecorderId,
    /// All of its limits.
    pub retention: RetentionConfig,
}

/// What would go now by the limits that are configured or proposed, whether they act already or not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RetentionPlan {
    /// The first that would go, the oldest first; 1,000 at most.
    pub going: Vec<RetentionEntry>,
    /// How many would go in all.
    pub files: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// The same of each recorder of which something would go.
    pub recorders: Vec<RecorderPlan>,
    /// Recordings of recorders with limits that stay since they are protected.
    pub protected: u64,
    /// Bytes that the volume lacks to its floor when all of them have gone.
    pub lacking_bytes: u64,
    /// Limits among these that do not act yet, or would not if they were set now.
    pub pending: Vec<PendingLimits>,
    /// Why nothing goes by its age, where that is so; or what could not be looked at.
    pub notes: Vec<String>,
}

/// What would go of one recorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecorderPlan {
    /// Whose.
    pub recorder: String,
    /// How many recordings: a segment of several formats is one.
    pub recordings: u64,
    /// Their files.
    pub files: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// When the first of them began.
    pub oldest: Timestamp<Utc>,
    /// When the last of them began.
    pub newest: Timestamp<Utc>,
}

/// What became of one recording that was to be protected, or let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectedFile {
    /// As it was asked for.
    pub path: String,
    /// Why nothing has changed; none if it is as asked.
    pub refused: Option<crate::Refusal>,
}
