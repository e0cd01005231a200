//! How the engine runs, as it is told once, at its start.

use std::path::PathBuf;

use audyn_api::ClockConfig;
use audyn_units::Nanos;

/// How the engine runs.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Period of the capture thread's wake-ups.
    pub capture_period: Nanos,
    /// SCHED_FIFO priority of the capture thread; none leaves it ordinary.
    pub fifo_priority: Option<u8>,
    /// Receive buffer asked for each flow's socket, in bytes.
    pub receive_buffer: usize,
    /// Keep all memory of the process in RAM.
    pub lock_memory: bool,
    /// Wait for the disk about once a second.
    pub sync_every_second: bool,
    /// The directory whose volume is watched.
    pub archive_root: PathBuf,
    /// A directory on a second volume that gets every recording of an archive as well; only with a state directory.
    pub mirror: Option<PathBuf>,
    /// A file in which the machine tells which of its disks it chose for the archive's root; none where there is one for all times.
    pub volume_chosen: Option<PathBuf>,
    /// TAI − UTC in seconds for a kernel that nobody has told it.
    pub tai_offset: Option<i32>,
    /// Where open files are listed, so that the next engine mends what a power cut leaves of them.
    pub state: Option<PathBuf>,
    /// Whom the clock is judged by.
    pub clock: ClockConfig,
}
