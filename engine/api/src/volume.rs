//! Which volumes are recorded to, the archive's and its mirror, and whether each is the right one.

use serde::{Deserialize, Serialize};

use crate::retention::RoomAlarm;
use crate::snapshot::DiskState;

/// The volume of an archive root, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeReport {
    /// The archive root.
    pub root: String,
    /// How it stands with it.
    pub standing: VolumeStanding,
    /// The one that belongs there.
    pub expected: Option<VolumeIdentity>,
    /// The one that is there.
    pub found: Option<VolumeIdentity>,
    /// Room of what is there.
    pub disk: DiskState,
    /// What a person is to know of it, and do.
    pub note: Option<String>,
}

/// A volume that is recorded to, as it was seen last, no more than some seconds ago unless its disk does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VolumeSnapshot {
    /// The archive root, or the mirror.
    pub root: String,
    /// How it stands with it; none if it has not answered yet.
    pub standing: Option<VolumeStanding>,
    /// Room of what is there.
    pub disk: DiskState,
    /// Files that are being written there.
    pub writing: u64,
    /// Files that the other volume has and this one lacks, and that are to be copied to it.
    pub lacks: u64,
    /// Files that were copied to it from the other volume since the engine started.
    pub copied: u64,
    /// What keeps recordings from being written there now, each a sentence.
    pub alarms: Vec<String>,
    /// Bytes that it shall keep free.
    pub floor_bytes: u64,
    /// Bytes a second that recorders write there now.
    pub bytes_per_second: u64,
    /// Seconds until it is full; none while that is not to be foreseen.
    pub seconds_left: Option<u64>,
    /// What is wrong with its room; each stands among the warnings of the snapshot too.
    pub room_alarms: Vec<RoomAlarm>,
}

/// What tells a volume from every other: `.audyn-volume.json` in its root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeIdentity {
    /// 32 hexadecimal digits.
    pub id: String,
    /// When it was made, in UTC.
    pub made: Option<String>,
    /// The machine that made it.
    pub by: Option<String>,
}

/// How it stands with the volume of an archive root. Only the first two are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeStanding {
    /// It is the one that belongs there.
    Ours,
    /// None is known to belong there, and it has no identity yet.
    New,
    /// It is another one.
    Another,
    /// It has no identity, though one is expected: it may be an empty mount point.
    Unmarked,
    /// Its identity cannot be read.
    Unreadable,
    /// The root is not there.
    Missing,
    /// The machine has not chosen a disk for it yet.
    Unchosen,
    /// It is the mirror's, and lies on the archive's volume, so that it would protect nothing.
    Same,
}
