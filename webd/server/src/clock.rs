//! The clock, as `/api/control/status` tells it: whom it follows, how well, and what is wrong with it.

use audyn_api::{ClockAlarm, ClockAlarmKind, ClockSnapshot, PtpSnapshot, TaiSource};
use audyn_units::ClockQuality;
use serde::Serialize;

use crate::time::rfc3339;

#[derive(Serialize)]
pub(crate) struct Clock<'a> {
    /// `ptp-locked`, `ptp-free-running`, `ntp` or `none`
    quality: ClockQuality,
    /// TAI − UTC in seconds; null if nobody knows.
    tai_offset: Option<i32>,
    /// `ptp`, `kernel` or `held`
    tai_source: Option<TaiSource>,
    synchronised: Option<bool>,
    /// The grandmaster that the clock is judged by, its domain, and the network port that it is followed on.
    grandmaster: Option<&'a str>,
    domain: Option<u8>,
    port: Option<&'a str>,
    /// System clock − grandmaster's time.
    system_offset_nanos: Option<i64>,
    /// For how long the clock has run without the lock that it had.
    unlocked_seconds: Option<u64>,
    ptp: &'a [PtpSnapshot],
    /// Those that stand, then the last that ended.
    alarms: Vec<Alarm<'a>>,
}

#[derive(Serialize)]
struct Alarm<'a> {
    kind: ClockAlarmKind,
    subject: &'a str,
    text: &'a str,
    began: String,
    ended: Option<String>,
}

impl<'a> From<&'a ClockSnapshot> for Clock<'a> {
    fn from(clock: &'a ClockSnapshot) -> Self {
        let chosen = clock.chosen.and_then(|at| clock.ptp.get(usize::from(at)));
        Self {
            quality: clock.quality,
            tai_offset: clock.tai_offset,
            tai_source: clock.tai_source,
            synchronised: clock.synchronised,
            grandmaster: chosen.and_then(|ptp| ptp.grandmaster.as_deref()),
            domain: chosen.and_then(|ptp| ptp.domain),
            port: chosen.map(|ptp| ptp.name.as_str()),
            system_offset_nanos: clock.system_offset_nanos,
            unlocked_seconds: clock.unlocked_seconds,
            ptp: &clock.ptp,
            alarms: clock.alarms.iter().map(Alarm::from).collect(),
        }
    }
}

impl<'a> From<&'a ClockAlarm> for Alarm<'a> {
    fn from(alarm: &'a ClockAlarm) -> Self {
        Self {
            kind: alarm.kind,
            subject: &alarm.subject,
            text: &alarm.text,
            began: rfc3339(alarm.began),
            ended: alarm.ended.map(rfc3339),
        }
    }
}
