//! What the threads tell each other about themselves, besides the rings.
//!
//! Owns: counters that one thread writes and others read. The capture thread touches only atomics; workers only
//! try for a lock and go on without.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU8, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex};

use audyn_core::clock::TaiReading;
use audyn_core::flow::stats::LegReading;
use audyn_core::flow::{FlowCounters, Gap, LegReport, Placement};
use audyn_core::meter::Levels;
use audyn_sys::{ClockPair, clock};
use audyn_units::{ClockQuality, FrameCount, FrameIndex, Nanos, Ssrc, Timestamp, Utc};

use crate::lateness::Lateness;

/// The capture thread's counters.
#[derive(Debug, Default)]
pub(crate) struct CaptureShared {
    /// Turns of the loop.
    pub(crate) turns: AtomicU64,
    /// Ticks that passed while a turn was late.
    pub(crate) missed_ticks: AtomicU64,
    /// Worst wake-up after its tick, in nanoseconds.
    pub(crate) worst_lateness: AtomicU64,
    /// How late it woke, by length and over the last minute.
    pub(crate) lateness: Lateness,
    /// Datagrams taken.
    pub(crate) datagrams: AtomicU64,
    /// Turns on which a flow had no free slot.
    pub(crate) slots_exhausted: AtomicU64,
    /// The thread got SCHED_FIFO.
    pub(crate) realtime: AtomicBool,
    /// The thread shall end.
    pub(crate) stop: AtomicBool,
}

/// What is known of the machine's clock, told by control about once a second and read by workers at each turn.
#[derive(Debug)]
pub(crate) struct ClockShared {
    /// Place of the quality in [`ClockQuality::ALL`].
    quality: AtomicU8,
    /// TAI − UTC in seconds; 0 while nobody has told it.
    tai_offset: AtomicI32,
    /// The kernel was told the same: it knows of a leap second in its very instant.
    by_kernel: AtomicBool,
}

impl Default for ClockShared {
    fn default() -> Self {
        Self {
            quality: AtomicU8::new(ClockQuality::ALL.len() as u8 - 1),
            tai_offset: AtomicI32::new(0),
            by_kernel: AtomicBool::new(false),
        }
    }
}

impl ClockShared {
    /// Tells what is known now, and what the kernel was told.
    pub(crate) fn tell(&self, quality: ClockQuality, tai_offset: Option<i32>, kernel: Option<i32>) {
        let place = ClockQuality::ALL.iter().position(|&each| each == quality);
        self.quality.store(place.expect("every quality is among all of them") as u8, Relaxed);
        // What was known once is truer than nothing: without it TAI would seem to step back by all of it.
        if let Some(offset) = tai_offset {
            self.tai_offset.store(offset, Relaxed);
            self.by_kernel.store(kernel == Some(offset), Relaxed);
        }
    }

    /// How well TAI is known.
    pub(crate) fn quality(&self) -> ClockQuality {
        ClockQuality::ALL[usize::from(self.quality.load(Relaxed))]
    }

    /// TAI − UTC in seconds, if somebody told it.
    pub(crate) fn tai_offset(&self) -> Option<i32> {
        Some(self.tai_offset.load(Relaxed)).filter(|&offset| offset != 0)
    }

    /// The same as a span.
    pub(crate) fn tai_minus_utc(&self) -> Option<Nanos> {
        self.tai_offset().map(|seconds| Nanos::from_secs(i64::from(seconds)))
    }

    /// What the clock shows, with what is known of it.
    pub(crate) fn reading(&self, clocks: &ClockPair) -> TaiReading {
        TaiReading {
            at: clocks.at,
            utc: clocks.to_utc(clocks.at),
            tai_offset: self.current(clock::tai_offset).map(|seconds| Nanos::from_secs(i64::from(seconds))),
            quality: self.quality(),
        }
    }

    /// TAI − UTC at this instant: what was told, but for a leap second that the `kernel` has made since.
    fn current(&self, kernel: impl FnOnce() -> Option<i32>) -> Option<i32> {
        let told = self.tai_offset()?;
        if !self.by_kernel.load(Relaxed) {
            return Some(told);
        }
        kernel().filter(|now| now.abs_diff(told) <= 1).or(Some(told))
    }
}

/// Who stamped the last datagram of a flow; as it stands in [`FlowShared::stamps`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stamps {
    /// The kernel.
    Kernel = 1,
    /// The network card.
    Card = 2,
}

/// One flow, between capture thread, worker and control.
#[derive(Debug, Default)]
pub(crate) struct FlowShared {
    /// All that the kernel had for this flow up to here (monotonic nanoseconds) lies in the ring. Written by the capture
    /// thread after the datagrams, read by the worker before them.
    pub(crate) captured_until: AtomicI64,
    /// The kernel's drop counter, as last told.
    pub(crate) kernel_dropped: AtomicU32,
    /// The last error of the socket, as errno; 0 for none.
    pub(crate) socket_errno: AtomicU32,
    /// A [`Stamps`]; 0 before the first datagram.
    pub(crate) stamps: AtomicU8,
    /// What the worker tells once a turn.
    pub(crate) status: Mutex<FlowStatus>,
    /// What the worker tells of each leg, four times a second.
    pub(crate) statistics: Mutex<[Option<LegReading>; 2]>,
}

/// What a worker tells of a flow. On cache lines of its own: the capture thread writes what stands before it.
#[derive(Debug, Default, Clone)]
#[repr(align(64))]
pub(crate) struct FlowStatus {
    pub(crate) counters: FlowCounters,
    pub(crate) position: FrameIndex,
    pub(crate) ssrc: Option<Ssrc>,
    pub(crate) packet_frames: Option<u32>,
    pub(crate) sender: Option<std::net::IpAddr>,
    pub(crate) receiving: bool,
    /// For how long each sample that came has been zero.
    pub(crate) quiet: Nanos,
    /// How the flow was placed, and how good the clock was then.
    pub(crate) placement: Option<(Placement, ClockQuality)>,
    pub(crate) drift_ppm: Option<f64>,
    pub(crate) behind: Option<Nanos>,
    /// What each leg does; none until the worker has told.
    pub(crate) legs: [Option<LegReport>; 2],
    /// Who sends on each leg.
    pub(crate) senders: [Option<std::net::IpAddr>; 2],
}

/// A recorder's levels: written by its worker 30 times a second, read by control.
pub(crate) type SharedLevels = Arc<Mutex<Levels>>;

/// A recording's state: written by the disk writer, read by control. Each recording has its own.
pub(crate) type SharedRecording = Arc<Mutex<RecordingStatus>>;

/// What the disk writer tells of a recording.
#[derive(Debug, Default, Clone)]
pub(crate) struct RecordingStatus {
    /// A recording runs, or waits for its first audio.
    pub(crate) active: bool,
    pub(crate) started: Option<Timestamp<Utc>>,
    /// The studio that the recorder is assigned to: told by control, and kept in each file that begins.
    pub(crate) studio: Option<String>,
    /// The file being written, of the first format.
    pub(crate) file: Option<std::path::PathBuf>,
    /// All files that are being written, of every format.
    pub(crate) open: Vec<std::path::PathBuf>,
    pub(crate) bytes: u64,
    pub(crate) written: FrameCount,
    pub(crate) filled: FrameCount,
    pub(crate) gaps: u64,
    /// What is wrong with the disk now.
    pub(crate) error: Option<String>,
    /// What went wrong a short while ago and is right again.
    pub(crate) warning: Option<String>,
}

/// Something that the control side is told once.
#[derive(Debug, Clone)]
pub enum Notice {
    /// A gap was entered in the ledger of a recorder's running file.
    Gap {
        /// The recorder.
        recorder: String,
        /// The entry, as it concerns the recording.
        gap: Gap,
    },
    /// A file was opened.
    Opened {
        /// The recorder.
        recorder: String,
        /// The file.
        path: std::path::PathBuf,
        /// Position of its first frame.
        position: FrameIndex,
    },
    /// A recording ended and its file is closed.
    Ended {
        /// The recorder.
        recorder: String,
        /// Why the end of the file is missing, if the disk refused it.
        error: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leap_second_is_known_with_the_kernel_and_nothing_else_of_it_is_believed() {
        let clock = ClockShared::default();
        assert_eq!(clock.current(|| Some(37)), None, "nobody has told it");
        for (told, kernel, now, current) in [
            (37, Some(37), Some(38), 38),
            (37, Some(37), Some(36), 36),
            (37, Some(37), Some(0), 37),
            (37, Some(37), None, 37),
            (37, Some(36), Some(36), 37),
            (37, None, Some(38), 37),
        ] {
            clock.tell(ClockQuality::PtpLocked, Some(told), kernel);
            assert_eq!(clock.current(|| now), Some(current), "{told} {kernel:?} {now:?}");
        }
        clock.tell(ClockQuality::PtpLocked, None, None);
        assert_eq!(clock.current(|| Some(38)), Some(37), "what was known once");
    }
}
