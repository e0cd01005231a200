//! What a self-test of the engine finds: whether its own signal came through the capture path, and what it has to do it with.

use audyn_units::FrameCount;
use serde::{Deserialize, Serialize};

/// The report of a self-test.
///
/// `frames_sent = frames_received + frames_lost`; of those received, `frames_different` were not what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SelfTestReport {
    /// Why the engine failed, each a sentence; empty if every sample arrived as it was sent. What `rights` lack and what the
    /// `archive` refuses is no failure: the engine captures without.
    pub failures: Vec<String>,
    /// Frames of the test signal that were sent.
    pub frames_sent: FrameCount,
    /// Frames of it that arrived.
    pub frames_received: FrameCount,
    /// Frames that arrived with other samples than were sent at their place.
    pub frames_different: FrameCount,
    /// Frames that did not arrive.
    pub frames_lost: FrameCount,
    /// Datagrams that the kernel dropped because the receive buffer was full.
    pub kernel_dropped: u64,
    /// How the capture thread runs.
    pub rights: CaptureRights,
    /// Where recordings go.
    pub archive: ArchiveCheck,
}

impl SelfTestReport {
    /// Whether every sample arrived as it was sent.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// How the capture thread runs, as the kernel tells it at the time of the test.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CaptureRights {
    /// Its priority under SCHED_FIFO; none if it is scheduled as any thread.
    pub fifo_priority: Option<u8>,
    /// The CPU that it ran on last.
    pub cpu: Option<u16>,
    /// It may run on that CPU only.
    pub pinned: bool,
    /// The kernel keeps that CPU free of other threads (`isolcpus=`).
    pub isolated: bool,
    /// All memory of the engine is held in RAM.
    pub memory_locked: bool,
    /// What it asked for and may not have, each a sentence that names the right.
    pub missing: Vec<String>,
}

/// Whether the archive takes recordings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ArchiveCheck {
    /// The archive root in force.
    pub root: String,
    /// Why no file can be made below it; none if one can.
    pub error: Option<String>,
    /// What may still be written there, in bytes; 0 if the volume does not answer.
    pub free_bytes: u64,
}
