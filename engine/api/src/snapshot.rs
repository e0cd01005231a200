//! What the engine is doing, as everybody sees it: one value, published whole.

use std::net::IpAddr;

use audyn_units::{Dbfs, FrameCount, FrameIndex, Ssrc, Timestamp, Utc};
use serde::{Deserialize, Serialize};

use crate::clock::{ClockSnapshot, StampKind};
use crate::config::{RecorderId, SourceId};
use crate::diagnosis::Diagnosis;
use crate::legs::LegSnapshot;
use crate::retention::RetentionSnapshot;
use crate::stats::{LegStatistics, WakeupLateness};
use crate::timing::FlowTiming;
use crate::volume::VolumeSnapshot;

/// The state of the whole engine at an instant.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// When it was taken.
    pub at: Timestamp<Utc>,
    /// Rises with each snapshot.
    pub sequence: u64,
    /// The engine's version, as Cargo knows it.
    pub engine_version: String,
    /// When the engine started.
    pub started: Timestamp<Utc>,
    /// Revision of the configuration in force.
    pub config_revision: u64,
    /// The capture thread.
    pub capture: CaptureStats,
    /// The volume that holds the archive root.
    pub disk: DiskState,
    /// Every flow that is received.
    pub flows: Vec<FlowSnapshot>,
    /// Every recorder that is configured, in configured order.
    pub recorders: Vec<RecorderSnapshot>,
    /// What the engine lacks or could not do, each a sentence; it goes on without.
    pub warnings: Vec<String>,
    /// What is known of the clock.
    pub clock: ClockSnapshot,
    /// How late the capture thread wakes.
    pub lateness: WakeupLateness,
    /// What limits have deleted, and how long the room lasts.
    pub retention: RetentionSnapshot,
    /// Each volume that is recorded to: the archive's, and the mirror's if there is one.
    pub volumes: Vec<VolumeSnapshot>,
}

/// The capture thread's counters since start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CaptureStats {
    /// Turns of the capture loop; what the watchdog is fed by.
    pub turns: u64,
    /// Ticks of the grid that passed while a turn was late.
    pub missed_ticks: u64,
    /// The latest wake-up after its tick, in nanoseconds.
    pub worst_lateness_nanos: u64,
    /// Datagrams taken from the kernel.
    pub datagrams: u64,
    /// Turns on which a flow had no free slot, so its packets waited in the kernel.
    pub slots_exhausted: u64,
    /// Whether the thread runs under SCHED_FIFO.
    pub realtime: bool,
}

/// Room on the volume that holds the archive root, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DiskState {
    /// Size of the volume.
    pub total_bytes: u64,
    /// What an unprivileged writer may still use.
    pub free_bytes: u64,
}

/// Whether a flow's packets come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowState {
    /// Nothing valid has come since the flow was opened.
    #[default]
    Waiting,
    /// Audio comes.
    Receiving,
    /// Audio came and has stopped.
    Silent,
    /// The socket could not be opened or failed; [`FlowSnapshot::error`] says why. It is tried again.
    Failed,
}

/// One flow that is received.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FlowSnapshot {
    /// The source that it is, if it is configured as one.
    pub source: Option<SourceId>,
    /// Where it is received: `239.69.1.2:5004`.
    pub address: String,
    /// Whether packets come.
    pub state: FlowState,
    /// The sender's SSRC, once known.
    pub ssrc: Option<Ssrc>,
    /// The sender's address, once known.
    pub sender: Option<IpAddr>,
    /// Frames in its packets, once known.
    pub packet_frames: Option<u16>,
    /// Position of the next frame: frames since the PTP epoch.
    pub position: FrameIndex,
    /// What has been counted.
    pub counters: FlowCounters,
    /// Receive buffer that the kernel granted, in bytes.
    pub receive_buffer_bytes: u64,
    /// Why the flow failed, in a sentence.
    pub error: Option<String>,
    /// Why no audio comes, if none does.
    pub diagnosis: Option<Diagnosis>,
    /// How it stands on the clock.
    pub timing: FlowTiming,
    /// Who stamps its packets when they arrive.
    pub stamps: StampKind,
    /// Its legs, in configured order: one, or two where it is protected by a second (ST 2022-7).
    pub legs: Vec<LegSnapshot>,
    /// Statistics of each leg, in order; none before the first packet could come.
    pub statistics: Vec<LegStatistics>,
}

/// What was counted on a flow since it was opened. Packets unless the name says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FlowCounters {
    /// Valid packets of this flow, duplicates and late ones among them.
    pub received: u64,
    /// Bytes of those packets, RTP header included.
    pub bytes: u64,
    /// Came after a later one, and in time.
    pub reordered: u64,
    /// Came again.
    pub duplicated: u64,
    /// Came after their place had been filled.
    pub late: u64,
    /// Frames that never came in time and were filled with silence.
    pub lost_frames: u64,
    /// Gaps, one that goes on among them.
    pub gaps: u64,
    /// Changes of the SSRC.
    pub ssrc_changes: u64,
    /// Jumps of the sequence number with timestamps that went on.
    pub sequence_resets: u64,
    /// Jumps of the timestamp.
    pub timestamp_jumps: u64,
    /// Refused: shorter than an RTP header.
    pub too_short: u64,
    /// Refused: not RTP version 2.
    pub bad_version: u64,
    /// Refused: CSRC list, extension or padding beyond the packet's end.
    pub malformed: u64,
    /// Refused: another payload type.
    pub wrong_payload_type: u64,
    /// Refused: payload empty or not a whole number of frames.
    pub wrong_size: u64,
    /// Refused: larger than a slot, so cut by the kernel.
    pub oversized: u64,
    /// Refused: valid RTP of a source other than the flow's, which was still sending.
    pub foreign_source: u64,
    /// Dropped by the kernel because the receive buffer was full.
    pub kernel_dropped: u64,
}

/// What a recorder is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecorderState {
    /// Not recording.
    #[default]
    Stopped,
    /// Recording, or ready to as soon as audio comes.
    Recording,
    /// Held by a person.
    Paused,
    /// Wants to record and cannot; `errors` says why. It is tried again.
    Error,
}

/// One recorder.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RecorderSnapshot {
    /// Its identifier.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Whether it receives and meters.
    pub enabled: bool,
    /// What it is doing.
    pub state: RecorderState,
    /// The studio that it is assigned to.
    pub studio_id: Option<String>,
    /// Whether its flow's packets come; waiting without a source.
    pub flow_state: FlowState,
    /// When the running recording began.
    pub start_time: Option<Timestamp<Utc>>,
    /// The file being written, relative to the archive root.
    pub current_file: Option<String>,
    /// Bytes of audio written since the recording began.
    pub bytes_written: u64,
    /// Frames that came and were written since the recording began.
    pub frames_written: FrameCount,
    /// Frames of silence put in the place of lost audio since the recording began.
    pub frames_filled: FrameCount,
    /// Gaps in the ledger since the recording began.
    pub gaps: u64,
    /// Sample rate in hertz; 0 without a source.
    pub rate: u32,
    /// Names of the recorded channels, in file order.
    pub channel_names: Vec<String>,
    /// What is wrong now, each a sentence.
    pub errors: Vec<String>,
}

/// Why audio is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapCause {
    /// Packets were lost on the way.
    Loss,
    /// Nothing came for a while.
    Outage,
    /// The sender became another one (SSRC).
    SsrcChange,
    /// The sender's timestamps jumped.
    TimestampJump,
    /// The disk was too slow for the buffer.
    DiskStall,
}

/// A line of the gap ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapEntry {
    /// First missing frame, on the flow's timeline.
    pub position: FrameIndex,
    /// How many frames of silence stand there; 0 marks a joint at which nothing is known to miss.
    pub frames: FrameCount,
    /// Why.
    pub cause: GapCause,
    /// True where the length was taken from arrival times, not from the sender's timestamps.
    pub estimated: bool,
}

/// The level of one channel.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ChannelLevel {
    /// RMS over the last 1/30 s or so.
    pub rms: Dbfs,
    /// Highest sample in that time.
    pub peak: Dbfs,
    /// Highest sample with hold.
    pub held_peak: Dbfs,
    /// A full-scale sample was seen within the hold time.
    pub clipping: bool,
}

/// The levels of one recorder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecorderLevels {
    /// Whose.
    pub recorder: RecorderId,
    /// One for each recorded channel, in file order; empty without a source.
    pub channels: Vec<ChannelLevel>,
}

/// The levels of all enabled recorders, 30 times a second.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LevelsFrame {
    /// When they were measured.
    pub at: Timestamp<Utc>,
    /// In configured order.
    pub recorders: Vec<RecorderLevels>,
}
