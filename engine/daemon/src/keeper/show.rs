//! What is known of the clock, in the contract's words.

use audyn_api::{ClockAlarm, ClockAlarmKind, ClockSnapshot, PtpSnapshot, PtpState, TaiSource};
use audyn_core::judge::{self, Alarm, AlarmKind, Follow, PhcTold, Verdict};
use audyn_wire::ptp::PortState;

use super::{Heard, stamps};

pub(super) fn snapshot(
    verdict: &Verdict,
    heard: &[Heard],
    synchronised: Option<bool>,
    alarms: &[Alarm],
) -> ClockSnapshot {
    let (tai_offset, tai_source) = verdict.tai_offset.unzip();
    ClockSnapshot {
        quality: verdict.quality,
        tai_offset,
        tai_source: tai_source.map(|source| match source {
            judge::TaiSource::Ptp => TaiSource::Ptp,
            judge::TaiSource::Kernel => TaiSource::Kernel,
            judge::TaiSource::Held => TaiSource::Held,
            judge::TaiSource::Configured => TaiSource::Configured,
        }),
        synchronised,
        chosen: verdict.chosen.and_then(|place| u8::try_from(place).ok()),
        system_offset_nanos: verdict.system_offset.map(|offset| offset.0),
        unlocked_seconds: verdict.unlocked_for.map(|span| span.to_duration().as_secs()),
        ptp: heard.iter().zip(&verdict.follows).map(|(heard, &follow)| ptp(heard, follow)).collect(),
        alarms: alarms.iter().map(alarm).collect(),
    }
}

fn ptp(heard: &Heard, follow: Follow) -> PtpSnapshot {
    let told = heard.told.told.as_ref().filter(|_| follow != Follow::Absent);
    // A grandmaster that is gone is named by ptp4l still, with all that was known of it.
    let with_grandmaster = told.filter(|_| follow != Follow::NoGrandmaster);
    let port = told.and_then(|told| told.port());
    PtpSnapshot {
        name: heard.told.name.clone(),
        state: match follow {
            Follow::Absent => PtpState::Absent,
            Follow::NoGrandmaster => PtpState::NoGrandmaster,
            Follow::Settling => PtpState::Settling,
            Follow::SyncStopped => PtpState::SyncStopped,
            Follow::Following => PtpState::Following,
        },
        port_state: port.map(|port| state_name(port.state)),
        domain: told.map(|told| told.domain),
        grandmaster: with_grandmaster.map(|told| told.grandmaster.clock.to_string()),
        grandmaster_class: with_grandmaster.map(|told| told.grandmaster.quality.class),
        steps_removed: with_grandmaster.map(|told| told.steps_removed),
        offset_nanos: with_grandmaster.map(|told| told.offset.0),
        path_delay_nanos: with_grandmaster.map(|told| told.path_delay.0),
        utc_offset: with_grandmaster.map(|told| told.time.utc_offset),
        utc_offset_valid: with_grandmaster.is_some_and(|told| told.time.utc_valid),
        ptp_timescale: with_grandmaster.is_some_and(|told| told.time.ptp_timescale),
        stamps: stamps(port.and_then(|port| port.stamping)),
        device: heard.device.as_ref().map(|path| path.display().to_string()),
        device_offset_nanos: match &heard.told.phc {
            Some(PhcTold::Read { minus_utc, .. }) => Some(minus_utc.0),
            _ => None,
        },
        device_method: heard.reading.as_ref().map(|reading| reading.method().to_owned()),
    }
}

fn state_name(state: PortState) -> String {
    let name = match state {
        PortState::Initializing => "INITIALIZING",
        PortState::Faulty => "FAULTY",
        PortState::Disabled => "DISABLED",
        PortState::Listening => "LISTENING",
        PortState::PreMaster => "PRE_MASTER",
        PortState::Master => "MASTER",
        PortState::Passive => "PASSIVE",
        PortState::Uncalibrated => "UNCALIBRATED",
        PortState::Slave => "SLAVE",
        PortState::Other(number) => return number.to_string(),
    };
    name.to_owned()
}

fn alarm(alarm: &Alarm) -> ClockAlarm {
    ClockAlarm {
        kind: match alarm.kind {
            AlarmKind::PtpSilent => ClockAlarmKind::PtpSilent,
            AlarmKind::GrandmasterGone => ClockAlarmKind::GrandmasterGone,
            AlarmKind::GrandmasterChanged => ClockAlarmKind::GrandmasterChanged,
            AlarmKind::GrandmasterDiffers => ClockAlarmKind::GrandmasterDiffers,
            AlarmKind::TimescaleArbitrary => ClockAlarmKind::TimescaleArbitrary,
            AlarmKind::SyncStopped => ClockAlarmKind::SyncStopped,
            AlarmKind::TaiUnset => ClockAlarmKind::TaiUnset,
            AlarmKind::TaiDiffers => ClockAlarmKind::TaiDiffers,
            AlarmKind::OffsetLarge => ClockAlarmKind::OffsetLarge,
            AlarmKind::PhcGone => ClockAlarmKind::PhcGone,
            AlarmKind::PhcStepped => ClockAlarmKind::PhcStepped,
        },
        subject: alarm.subject.clone(),
        text: alarm.text.clone(),
        began: alarm.began,
        ended: alarm.ended,
    }
}
