//! Requests, replies and events.

use audyn_units::{FrameIndex, SampleRate, Timestamp, Utc};
use serde::{Deserialize, Serialize};

use crate::config::{ConfigDocument, GlobalConfig, RecorderConfig, RecorderId, SourceConfig, SourceId};
use crate::retention::{ProposedLimits, ProtectedFile, RetentionPlan};
use crate::selftest::SelfTestReport;
use crate::snapshot::{GapEntry, LevelsFrame, RecorderState, Snapshot};
use crate::volume::VolumeReport;

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "a request is made, sent and gone; nobody keeps many")]
pub enum ClientFrame {
    /// The first frame of a connection.
    Hello {
        /// [`crate::MAGIC`].
        magic: [u8; 4],
        /// [`crate::VERSION`] of the client.
        version: u16,
        /// Who calls, for the engine's log (`audyn-webd 0.1.0`).
        client: String,
    },
    /// Something asked.
    Request {
        /// Chosen by the client; the reply repeats it.
        id: u32,
        /// What is asked.
        request: Request,
    },
}

/// What the engine sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ServerFrame {
    /// The hello was understood.
    Hello {
        /// [`crate::VERSION`] of the engine.
        version: u16,
        /// The engine's version, as Cargo knows it.
        engine: String,
    },
    /// The connection is refused and closes.
    Refused(Refusal),
    /// The answer to the request with this number.
    Reply {
        /// The request's number.
        id: u32,
        /// The answer.
        reply: Reply,
    },
    /// Something happened that the client subscribed to.
    Event(Event),
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// The snapshot, now. Answer: [`Reply::Snapshot`].
    Snapshot,
    /// The whole configuration. Answer: [`Reply::Config`].
    Config,
    /// Replace `global.json`. Answer: [`Reply::Changed`].
    PutGlobal {
        /// The revision that the change was made from.
        revision: u64,
        /// The new value.
        global: GlobalConfig,
    },
    /// Add or replace a recorder. Answer: [`Reply::Changed`].
    PutRecorder {
        /// The revision that the change was made from.
        revision: u64,
        /// The new value.
        recorder: RecorderConfig,
    },
    /// Remove a recorder; its recordings stay. Answer: [`Reply::Changed`].
    RemoveRecorder {
        /// The revision that the change was made from.
        revision: u64,
        /// Which.
        id: RecorderId,
    },
    /// Add or replace a source. Answer: [`Reply::Changed`].
    PutSource {
        /// The revision that the change was made from.
        revision: u64,
        /// The new value.
        source: SourceConfig,
    },
    /// Remove a source that no recorder uses. Answer: [`Reply::Changed`].
    RemoveSource {
        /// The revision that the change was made from.
        revision: u64,
        /// Which.
        id: SourceId,
    },
    /// Start recording; recording already is no error. Answer: [`Reply::Done`].
    Start(RecorderId),
    /// Stop recording and close the file. Answer: [`Reply::Done`], when the file is closed.
    Stop(RecorderId),
    /// Start every enabled recorder. Answer: [`Reply::Done`].
    StartAll,
    /// Stop every recorder. Answer: [`Reply::Done`], when all files are closed.
    StopAll,
    /// Delete recordings; what is being recorded stays. Each leaves a tombstone in its recorder's chain. Answer: [`Reply::Deleted`].
    DeleteRecordings {
        /// Paths relative to the archive root.
        paths: Vec<String>,
        /// Who deletes, for the tombstones: one line of at most 200 bytes.
        who: String,
        /// Where the recording begins that is meant by each path, in their order: another one of its name stays
        /// ([`RefusalKind::Conflict`]). None, and where there are fewer than paths, means whatever has the name.
        meant: Vec<Option<Beginning>>,
    },
    /// Which events to send from now on. Answer: [`Reply::Done`].
    Subscribe(Subscription),
    /// Send a flow over loopback to the engine's own capture thread and compare what arrives; no recorder is touched. Answer:
    /// [`Reply::SelfTest`] after about 2 s and 10 s at most; [`RefusalKind::Conflict`] while another one runs.
    SelfTest,
    /// What the recorders' limits, or those that are proposed, would delete now; nothing is, and nothing is set. Answer:
    /// [`Reply::RetentionPlan`].
    RetentionPlan(ProposedLimits),
    /// Protect recordings against every deletion, or let them go again; a segment is protected with all its formats. Answer:
    /// [`Reply::Protected`].
    Protect {
        /// Paths relative to the archive root.
        paths: Vec<String>,
        /// Whether they are protected from now on.
        protected: bool,
        /// Who says so, for the list: one line of at most 200 bytes.
        who: String,
    },
    /// The volumes of the archive roots. Answer: [`Reply::Volumes`].
    Volumes,
    /// The volume that is at this archive root belongs there from now on; one without an identity gets one. Answer: [`Reply::Volumes`].
    AdoptVolume {
        /// The archive root, as [`Reply::Volumes`] tells it.
        root: String,
        /// Who says so, for the log: one line of at most 200 bytes.
        who: String,
    },
    /// Mark a place in what a recorder records or has recorded; no recording changes. Answer: [`Reply::Marked`].
    Mark {
        /// Whose.
        id: RecorderId,
        /// The instant; none is now.
        at: Option<Timestamp<Utc>>,
        /// What to say of it: one line of 1 to 1,000 bytes.
        text: String,
        /// Who says so: one line of at most 200 bytes.
        who: String,
    },
}

/// Which events a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subscription {
    /// [`Event::Levels`], 30 times a second.
    pub levels: bool,
    /// [`Event::Snapshot`] (at once, at each change and once a second), [`Event::Recorder`] and [`Event::Gap`].
    pub state: bool,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// The snapshot.
    Snapshot(Box<Snapshot>),
    /// The configuration.
    Config(Box<ConfigDocument>),
    /// The change is in force and on disk.
    Changed {
        /// The new revision.
        revision: u64,
    },
    /// It was done.
    Done,
    /// What became of each file.
    Deleted(Vec<DeletedFile>),
    /// It was not done, and nothing changed.
    Refused(Refusal),
    /// What the self-test found, good or bad.
    SelfTest(Box<SelfTestReport>),
    /// What would go.
    RetentionPlan(Box<RetentionPlan>),
    /// What became of each file.
    Protected(Vec<ProtectedFile>),
    /// The volume of the archive root; then that of the mirror, if there is one.
    Volumes(Vec<VolumeReport>),
    /// The marker is kept.
    Marked {
        /// Its frame, counted from the epoch of the media clock.
        position: FrameIndex,
        /// Frames per second that it counts.
        rate: SampleRate,
        /// Its instant.
        at: Timestamp<Utc>,
    },
}

/// What tells a recording from another one of its name, on whichever volume it lies: its first frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beginning {
    /// Counted from the epoch of the media clock.
    pub position: FrameIndex,
    /// Frames per second that it counts.
    pub rate: SampleRate,
}

/// What became of one file that was to be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedFile {
    /// As it was asked for.
    pub path: String,
    /// Why it stays; none if it is gone.
    pub refused: Option<Refusal>,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For programs.
    pub kind: RefusalKind,
    /// For people: what was wrong and what to do.
    pub detail: String,
}

/// The kinds of refusal; each maps to one HTTP status and one exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalKind {
    /// A value is wrong.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// The configuration changed in the meantime, or the state forbids it.
    Conflict,
    /// The caller may not.
    Forbidden,
    /// The engine tried and failed.
    Failed,
    /// The client speaks another version of the contract.
    Version,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// New levels.
    Levels(LevelsFrame),
    /// A new snapshot.
    Snapshot(Box<Snapshot>),
    /// A recorder's state changed.
    Recorder {
        /// Which.
        id: RecorderId,
        /// Its new state.
        state: RecorderState,
    },
    /// A gap was entered in a running recording's ledger.
    Gap {
        /// Whose recording.
        id: RecorderId,
        /// The entry.
        gap: GapEntry,
    },
}
