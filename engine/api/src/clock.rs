//! The clock: how it is configured, and what is known of it.

use audyn_units::{ClockQuality, Timestamp, Utc};
use serde::{Deserialize, Serialize};

/// Which PTP clock is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PtpChoice {
    /// Every ptp4l of this machine is asked, and the hardware clock that each leads is read.
    #[default]
    Auto,
    /// Every ptp4l is asked; no hardware clock is read, and none stamps packets: the system clock and the TAI offset alone.
    Software,
    /// Nobody is asked.
    Off,
}

/// `clock` in `global.json`: whom the clock is judged by. Nothing here sets a clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClockConfig {
    /// Which PTP clock is looked at.
    pub ptp: PtpChoice,
    /// Look at the PTP of this network interface only, by its name.
    pub interface: Option<String>,
    /// Read this hardware clock (`/dev/ptp0`) instead of the one that belongs to the interface.
    pub device: Option<String>,
    /// ptp4l's socket for management; none looks where the box and where Debian have it.
    pub socket: Option<String>,
    /// PTP domain, 0 to 127; none finds it out.
    pub domain: Option<u8>,
    /// The system clock may be so far from the grandmaster's time and counts as locked, in microseconds: 1 to 1,000,000.
    pub max_offset_micros: u32,
    /// For so long after a lock the clock counts as free-running after PTP, in seconds: up to 604,800 (a week).
    pub holdover_seconds: u32,
}

impl Default for ClockConfig {
    fn default() -> Self {
        Self {
            ptp: PtpChoice::Auto,
            interface: None,
            device: None,
            socket: None,
            domain: None,
            max_offset_micros: 1_000,
            holdover_seconds: 3_600,
        }
    }
}

/// Who says what TAI − UTC is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaiSource {
    /// The grandmaster that is followed announces it as valid.
    Ptp,
    /// The kernel was told.
    Kernel,
    /// The grandmaster announced it before it was gone.
    Held,
    /// A person did (`tai_offset_seconds`).
    Configured,
}

/// How a ptp4l stands to its grandmaster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PtpState {
    /// It does not answer.
    #[default]
    Absent,
    /// It has none.
    NoGrandmaster,
    /// It has chosen one, and its clock is not there yet.
    Settling,
    /// It has one whose syncs do not come.
    SyncStopped,
    /// It follows one.
    Following,
}

/// Who stamps packets when they arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StampKind {
    /// Nothing has come yet.
    #[default]
    Unknown,
    /// The kernel, by the system clock.
    Software,
    /// The network card, by its hardware clock.
    Hardware,
}

/// What is known of the clock.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ClockSnapshot {
    /// How well TAI is known.
    pub quality: ClockQuality,
    /// TAI − UTC in seconds; none if nobody knows.
    pub tai_offset: Option<i32>,
    /// Who says so.
    pub tai_source: Option<TaiSource>,
    /// The system clock is synchronised by NTP or the like; none if nobody tells.
    pub synchronised: Option<bool>,
    /// The one of `ptp` that the clock is judged by, counted from 0.
    pub chosen: Option<u8>,
    /// System clock − grandmaster's time, in nanoseconds, if measured.
    pub system_offset_nanos: Option<i64>,
    /// For how long the clock has run without the lock that it had, in seconds.
    pub unlocked_seconds: Option<u64>,
    /// Every ptp4l that is asked, and every hardware clock that is watched.
    pub ptp: Vec<PtpSnapshot>,
    /// Those that stand, newest first, then the last that ended.
    pub alarms: Vec<ClockAlarm>,
}

/// One ptp4l.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PtpSnapshot {
    /// The network port, or the device, that it is known by.
    pub name: String,
    /// How it stands to its grandmaster.
    pub state: PtpState,
    /// The state of its port in PTP's words, as `SLAVE`; none if it does not answer.
    pub port_state: Option<String>,
    /// Its domain.
    pub domain: Option<u8>,
    /// The grandmaster that it follows, as SDP writes it: `00-1D-C1-FF-FE-12-34-56`; none while it follows none.
    pub grandmaster: Option<String>,
    /// clockClass of that grandmaster.
    pub grandmaster_class: Option<u8>,
    /// Hops to it.
    pub steps_removed: Option<u16>,
    /// Its clock − the grandmaster's, in nanoseconds.
    pub offset_nanos: Option<i64>,
    /// The way to the grandmaster, in nanoseconds.
    pub path_delay_nanos: Option<i64>,
    /// TAI − UTC in seconds, as announced.
    pub utc_offset: Option<i16>,
    /// The grandmaster says that this is valid.
    pub utc_offset_valid: bool,
    /// The grandmaster's time is TAI.
    pub ptp_timescale: bool,
    /// Its own time stamps.
    pub stamps: StampKind,
    /// The hardware clock that is read, as `/dev/ptp0`.
    pub device: Option<String>,
    /// Hardware clock − system clock (UTC), in nanoseconds, as last read.
    pub device_offset_nanos: Option<i64>,
    /// How that was measured, best first: `precise`, `extended`, `plain`, `read`.
    pub device_method: Option<String>,
}

/// What is wrong with the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockAlarmKind {
    /// A ptp4l that answered does not any more.
    PtpSilent,
    /// The grandmaster that was followed is gone.
    GrandmasterGone,
    /// Another grandmaster has taken over.
    GrandmasterChanged,
    /// A source follows another grandmaster than this machine.
    GrandmasterDiffers,
    /// The grandmaster's time began anywhere, so it is no TAI.
    TimescaleArbitrary,
    /// The grandmaster is announced, but its syncs do not come.
    SyncStopped,
    /// The kernel does not know the offset of TAI from UTC.
    TaiUnset,
    /// Kernel and PTP disagree about it.
    TaiDiffers,
    /// The system clock is not where the grandmaster's time is.
    OffsetLarge,
    /// A hardware clock can't be read.
    PhcGone,
    /// A hardware clock was set.
    PhcStepped,
}

/// An alarm of the clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockAlarm {
    /// What is wrong.
    pub kind: ClockAlarmKind,
    /// Whose it is: a PTP port or a source; empty for the machine's.
    pub subject: String,
    /// What is wrong and what to do.
    pub text: String,
    /// When it began.
    pub began: Timestamp<Utc>,
    /// When it ended; none while it stands.
    pub ended: Option<Timestamp<Utc>>,
}
