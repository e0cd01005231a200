//! The contract of the engine: what a client may ask, what it is told, and how the bytes are framed.
//!
//! Owns: the types that cross `audyn-engine`'s Unix socket, their version, the framing, and (feature `client`)
//! a client over tokio. The configuration types are the JSON files' types too. Never: engine logic, file
//! access, a type of another crate than `units`.
//!
//! # The wire
//!
//! A frame is a little-endian `u32` length followed by that many bytes of postcard ([`frame`]). The client
//! speaks first with [`ClientFrame::Hello`]; the engine answers [`ServerFrame::Hello`] or, to a version that it
//! does not speak, [`ServerFrame::Refused`] and closes. After that each request carries a number of the
//! client's choice, which its reply repeats. Events are sent only to clients that subscribed. A client that
//! reads too slowly is disconnected: the engine waits for nobody.
//!
//! # When changing
//!
//! postcard has no field names: a new field at the end of a struct breaks old bytes, a new enum variant at the
//! end does not. Append variants; for anything else raise [`VERSION`] and mend `tests/golden.rs`, which fails
//! until the new bytes are pinned. JSON names are pinned there as well.
#![forbid(unsafe_code)]

#[cfg(feature = "client")]
pub mod client;
mod clock;
pub mod config;
mod diagnosis;
pub mod frame;
mod legs;
mod message;
mod retention;
mod selftest;
mod snapshot;
mod stats;
mod timing;
mod volume;

pub use clock::{
    ClockAlarm, ClockAlarmKind, ClockConfig, ClockSnapshot, PtpChoice, PtpSnapshot, PtpState, StampKind,
    TaiSource,
};
pub use config::{
    ArchiveClock, ArchiveConfig, ConfigDocument, FormatConfig, GlobalConfig, Layout, OpusApplication,
    OpusConfig, OpusMode, RecorderConfig, RecorderId, SourceConfig, SourceId,
};
pub use diagnosis::{Diagnosis, SilenceCause};
pub use legs::{LegConfig, LegCounters, LegSnapshot, LegState};
pub use message::{
    Beginning, ClientFrame, DeletedFile, Event, Refusal, RefusalKind, Reply, Request, ServerFrame,
    Subscription,
};
pub use retention::{
    PendingLimits, ProposedLimits, ProposedRecorder, ProtectedFile, RecorderPlan, RetentionConfig,
    RetentionEntry, RetentionPlan, RetentionReason, RetentionSnapshot, RoomAlarm, RoomAlarmKind,
    VolumeConfig,
};
pub use selftest::{ArchiveCheck, CaptureRights, SelfTestReport};
pub use snapshot::{
    CaptureStats, ChannelLevel, DiskState, FlowCounters, FlowSnapshot, FlowState, GapCause, GapEntry,
    LevelsFrame, RecorderLevels, RecorderSnapshot, RecorderState, Snapshot,
};
pub use stats::{INTERVAL_EDGES_NANOS, LATENESS_EDGES_NANOS, LegPeriod, LegStatistics, WakeupLateness};
pub use timing::{FlowTiming, Placement};
pub use volume::{VolumeIdentity, VolumeReport, VolumeSnapshot, VolumeStanding};

/// The version of this contract. Client and engine must have the same one.
pub const VERSION: u16 = 7;

/// What a client's first frame starts with, so that a stranger's bytes are recognised as such.
pub const MAGIC: [u8; 4] = *b"AUDN";
