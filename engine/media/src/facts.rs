//! What a file tells of itself beside its samples: the same facts in BWF's `bext` and iXML, in FLAC's and in Opus's comments.

use audyn_units::{FrameCount, FrameIndex};

/// What is known of a file when it begins. Nothing in it changes while it grows.
///
/// Whoever makes it knows clock and time zone; a format only writes it down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The recorder's identifier: `studio-1`.
    pub recorder: String,
    /// What it is for people, one line: `Studio 1`. May be empty.
    pub description: String,
    /// The program that writes, with its version: `Audyn 0.1.0`.
    pub originator: String,
    /// Position of the first frame: frames since the PTP epoch.
    pub first: FrameIndex,
    /// The same instant in UTC, RFC 3339 with as many digits as it needs: `2026-07-02T13:46:03.5Z`.
    pub start_utc: String,
    /// The same instant on the clock that names the file, RFC 3339 with its offset: `2026-07-02T14:46:03.5+01:00`. The clock `ptp`
    /// has no offset from UTC that RFC 3339 could tell; it is told with none: `2026-07-02T13:46:40.5`.
    pub start_named: String,
    /// Frames from midnight to the first frame on the clock that names the file, counted by its reading: what `bext` calls
    /// TimeReference (EBU Tech 3285 §2.4).
    pub since_midnight: FrameCount,
    /// TAI − UTC in seconds where it was known.
    pub tai_minus_utc: Option<i64>,
    /// How the position was found, in the ledger's word: `media-clock`, `arrival`. None if the machine's clock was not known.
    pub placed_by: Option<String>,
    /// How good the machine's clock was, in the ledger's word: `ptp-locked`, `ptp-free-running`, `ntp`, `none`.
    pub clock: Option<String>,
    /// The channels' names in file order; fewer than there are channels leaves the rest without.
    pub channel_names: Vec<String>,
}
