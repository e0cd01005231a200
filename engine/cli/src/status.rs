//! `audyn status`: what a running engine does.
//!
//! Owns: one question to the engine, and its answer for people or, with `--json`, for programs.

use std::fmt::Write as _;
use std::path::PathBuf;

use audyn_api::client::{Client, ClientError, DEFAULT_SOCKET};
use audyn_api::{
    ClockSnapshot, FlowSnapshot, FlowTiming, LegSnapshot, Placement, PtpState, RecorderSnapshot,
    RecorderState, Reply, Request, RetentionSnapshot, Snapshot, StampKind, VolumeSnapshot, VolumeStanding,
};
use audyn_units::ByteSize;
use clap::Args;

use crate::legs_text;
use crate::words::counted;

const EXAMPLES: &str = "\
Examples:
  audyn status                                  the engine of this machine
  audyn status --socket /tmp/engine.sock --json the whole snapshot as JSON
  audyn status --flow desk                      one flow: loss, jitter, TS-DF, DSCP, since the start and over the last minute

Exit codes: 0 no recorder has an error (one whose sender is away has none), 1 one cannot record or the engine does not answer, 2 it was asked
for wrongly.";

/// Tell what a running engine does.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StatusArgs {
    /// The engine's socket.
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
    /// Only this flow, with its statistics: its source's identifier, or its address or its second leg's, as 239.1.2.3:5004.
    #[arg(long, value_name = "ID")]
    flow: Option<String>,
}

/// Why there is nothing to tell, or nothing good.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StatusError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("no runtime could be started: {0}; free memory or raise the limit of descriptors")]
    Runtime(std::io::Error),
    #[error("{0} cannot record; its line above says why")]
    Unwell(String),
    #[error("there is no flow {wanted}; those that are received: {known}")]
    NoFlow { wanted: String, known: String },
}

impl StatusError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NoFlow { .. } => 2,
            Self::Client(_) | Self::Runtime(_) | Self::Unwell(_) => 1,
        }
    }
}

/// Asks, and prints the answer.
pub(crate) fn run(args: &StatusArgs, json: bool) -> Result<(), StatusError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StatusError::Runtime)?;
    let snapshot = runtime.block_on(async {
        let mut client = Client::connect(&args.socket, concat!("audyn ", env!("CARGO_PKG_VERSION"))).await?;
        match client.request(Request::Snapshot).await? {
            Reply::Snapshot(snapshot) => Ok(*snapshot),
            _ => Err(ClientError::Unexpected),
        }
    })?;
    if let Some(wanted) = &args.flow {
        return one_flow(&snapshot, wanted, json);
    }
    if json {
        println!("{}", serde_json::to_string(&snapshot).expect("a snapshot is numbers and words"));
    } else {
        print!("{}", describe(&snapshot));
    }
    match snapshot.recorders.iter().find(|recorder| recorder.state == RecorderState::Error) {
        Some(recorder) => Err(StatusError::Unwell(recorder.id.clone())),
        None => Ok(()),
    }
}

/// One flow with its statistics.
fn one_flow(snapshot: &Snapshot, wanted: &str, json: bool) -> Result<(), StatusError> {
    let name = |flow: &FlowSnapshot| {
        flow.source.as_ref().map_or_else(|| flow.address.clone(), |id| id.as_str().to_owned())
    };
    let is_wanted = |flow: &&FlowSnapshot| {
        name(flow) == wanted || flow.address == wanted || flow.legs.iter().any(|leg| leg.address == wanted)
    };
    let Some(flow) = snapshot.flows.iter().find(is_wanted) else {
        let known: Vec<String> = snapshot.flows.iter().map(name).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(StatusError::NoFlow { wanted: wanted.to_owned(), known });
    };
    if json {
        println!("{}", serde_json::to_string(flow).expect("a flow is numbers and words"));
    } else {
        print!("{}", one_flow_text(flow));
    }
    Ok(())
}

/// A flow and its statistics in words. A leg of which nothing has come is told all the same.
fn one_flow_text(flow: &FlowSnapshot) -> String {
    let mut text = flow_line(flow) + "\n";
    leg_lines(flow, &mut text);
    text + &legs_text::describe(flow)
}

/// A line for each leg; one leg alone says nothing that its flow doesn't.
fn leg_lines(flow: &FlowSnapshot, text: &mut String) {
    for leg in flow.legs.iter().filter(|_| flow.legs.len() > 1) {
        text.push_str(&leg_line(leg));
        text.push('\n');
    }
}

/// The snapshot in words.
fn describe(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    let up = (snapshot.at - snapshot.started).0 / 1_000_000_000;
    let free = snapshot.disk.free_bytes as f64 / 1e9;
    let scheduling = if snapshot.capture.realtime { "real-time" } else { "ordinary priority" };
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "audyn-engine {}, up {} h {:02} min, {free:.1} GB free, capture at {scheduling}",
        snapshot.engine_version,
        up / 3_600,
        up / 60 % 60,
    );
    clock_lines(&snapshot.clock, &mut text);
    room_line(&snapshot.retention, &mut text);
    volume_lines(&snapshot.volumes, &mut text);
    let late = &snapshot.lateness;
    if late.counts.iter().sum::<u64>() > 0 {
        let _ = writeln!(
            text,
            "capture wakes at most {:.3} ms late in the last minute, {:.3} ms since the start",
            late.last_minute_worst_nanos as f64 / 1e6,
            late.worst_nanos as f64 / 1e6
        );
    }
    for recorder in &snapshot.recorders {
        let _ = writeln!(text, "{}", recorder_line(recorder));
        for error in &recorder.errors {
            let _ = writeln!(text, "    {error}");
        }
    }
    for flow in &snapshot.flows {
        let _ = writeln!(text, "{}", flow_line(flow));
        leg_lines(flow, &mut text);
        if let Some(diagnosis) = &flow.diagnosis {
            let cause = format!("{:?}", diagnosis.cause).to_lowercase();
            let _ = writeln!(text, "    {cause}: {}", diagnosis.sentence);
        }
        if let Some(timing) = timing_line(&flow.timing) {
            let _ = writeln!(text, "    {timing}");
        }
    }
    for warning in &snapshot.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

/// A line for each volume, where there is a mirror. What is wrong stands among the warnings and the recorders' errors.
fn volume_lines(volumes: &[VolumeSnapshot], text: &mut String) {
    for (which, volume) in volumes.iter().enumerate().filter(|_| volumes.len() > 1) {
        let name = if which == 0 { "archive" } else { "mirror" };
        let standing = match volume.standing {
            Some(VolumeStanding::Ours | VolumeStanding::New) if volume.alarms.is_empty() => "well",
            _ => "NOT WELL",
        };
        let free = ByteSize(volume.disk.free_bytes);
        let _ = write!(text, "{name:8} {}: {standing}, {free} free", volume.root);
        if volume.lacks > 0 {
            let files = counted(volume.lacks, "file");
            let _ = write!(text, ", lacks {files} of the other volume's, which are copied");
        }
        if volume.copied > 0 {
            let files = counted(volume.copied, "file");
            let _ = write!(text, ", {files} copied to it since the start");
        }
        text.push('\n');
    }
}

/// How long the room lasts, while something is written; and what limits have deleted. What is wrong stands among the warnings.
fn room_line(room: &RetentionSnapshot, text: &mut String) {
    if room.bytes_per_second > 0 {
        let _ = write!(text, "room     {} a second are written: ", ByteSize(room.bytes_per_second));
        let _ = match room.seconds_left {
            Some(left) => writeln!(text, "full in {} h {:02} min", left / 3_600, left / 60 % 60),
            None => writeln!(text, "limits delete as much, so it is not foreseen to be full"),
        };
    }
    if room.deleted > 0 {
        let (files, bytes) = (counted(room.deleted, "recording"), ByteSize(room.deleted_bytes));
        let _ = writeln!(text, "limits have deleted {files} with {bytes} since the start");
    }
    for pending in &room.pending {
        let _ = writeln!(text, "{}", crate::retention::acts_in(pending));
    }
}

/// Who the clock follows, and what is wrong with it.
fn clock_lines(clock: &ClockSnapshot, text: &mut String) {
    let chosen = clock.chosen.and_then(|at| clock.ptp.get(usize::from(at)));
    let _ = write!(text, "clock    {}", clock.quality);
    if let (Some(ptp), Some(grandmaster)) = (chosen, chosen.and_then(|ptp| ptp.grandmaster.as_ref())) {
        let domain = ptp.domain.unwrap_or(0);
        let _ = write!(text, ", grandmaster {grandmaster} in domain {domain} on {}", ptp.name);
    }
    if let Some(seconds) = clock.unlocked_seconds {
        let _ = write!(text, ", without lock for {seconds} s");
    }
    if let Some(offset) = clock.system_offset_nanos {
        let _ = write!(text, ", off by {:+.3} ms", offset as f64 / 1e6);
    }
    let _ = match clock.tai_offset {
        Some(offset) => writeln!(text, ", TAI is {offset} s ahead of UTC"),
        None => writeln!(text, ", TAI is not known"),
    };
    for ptp in &clock.ptp {
        let state = match ptp.state {
            PtpState::Absent => "does not answer",
            PtpState::NoGrandmaster => "no grandmaster",
            PtpState::Settling => "settling",
            PtpState::SyncStopped => "syncs have stopped",
            PtpState::Following => "following",
        };
        let _ = write!(text, "ptp      {:<12} {state}", ptp.name);
        if let (Some(offset), Some(delay)) = (ptp.offset_nanos, ptp.path_delay_nanos) {
            let _ = write!(text, ", offset {offset} ns, path {delay} ns");
        }
        let _ = match &ptp.device {
            Some(device) => writeln!(text, ", {device}"),
            None => writeln!(text),
        };
    }
    for alarm in clock.alarms.iter().filter(|alarm| alarm.ended.is_none()) {
        let _ = writeln!(text, "    {}", alarm.text);
    }
}

fn recorder_line(recorder: &RecorderSnapshot) -> String {
    let state = match recorder.state {
        RecorderState::Stopped if !recorder.enabled => "disabled",
        RecorderState::Stopped => "stopped",
        // It will record as soon as something comes; to call that recording would calm people wrongly.
        RecorderState::Recording if recorder.current_file.is_none() => "waiting",
        RecorderState::Recording => "recording",
        RecorderState::Paused => "paused",
        RecorderState::Error => "ERROR",
    };
    let mut line = format!("recorder {:<12} {state:<9}", recorder.id);
    if let Some(file) = &recorder.current_file {
        let rate = f64::from(recorder.rate.max(1));
        let seconds = (recorder.frames_written + recorder.frames_filled).0 as f64 / rate;
        let lost = match recorder.gaps {
            0 if recorder.frames_filled.0 == 0 => "nothing lost".to_owned(),
            0 => format!("{:.3} s lost in a gap that goes on", recorder.frames_filled.0 as f64 / rate),
            gaps => {
                format!("lost {:.3} s in {}", recorder.frames_filled.0 as f64 / rate, counted(gaps, "gap"))
            }
        };
        let _ = write!(line, " {seconds:.1} s, {lost}, {file}");
    }
    line
}

fn flow_line(flow: &FlowSnapshot) -> String {
    let c = &flow.counters;
    let name = flow.source.as_ref().map_or("", |id| id.as_str());
    let state = format!("{:?}", flow.state).to_lowercase();
    let refused = c.too_short
        + c.bad_version
        + c.malformed
        + c.wrong_payload_type
        + c.wrong_size
        + c.oversized
        + c.foreign_source;
    format!(
        "flow     {name:<12} {state:<9} {} received {} reordered {} duplicated {} late {} refused {refused} dropped by the \
         kernel {}{}",
        flow.address,
        c.received,
        c.reordered,
        c.duplicated,
        c.late,
        c.kernel_dropped,
        if flow.stamps == StampKind::Hardware { ", stamped by the card" } else { "" }
    )
}

/// How a flow stands on the clock, in words; none before its first packet.
fn timing_line(timing: &FlowTiming) -> Option<String> {
    let mut line = match timing.placement? {
        Placement::MediaClock => "placed by its media clock, exact".to_owned(),
        Placement::Arrival => "placed by arrival, estimated".to_owned(),
    };
    let _ = write!(line, "; this machine's clock was {}", timing.quality);
    if let Some(behind) = timing.behind_nanos {
        let _ = write!(line, "; arrives {:.1} ms after its time", behind as f64 / 1e6);
    }
    if let Some(ppm) = timing.drift_ppm {
        let _ = write!(
            line,
            "; the sender runs {:.1} ppm {}",
            ppm.abs(),
            if ppm < 0.0 { "slow" } else { "fast" }
        );
    }
    Some(line)
}

fn leg_line(leg: &LegSnapshot) -> String {
    let c = &leg.counters;
    let state = format!("{:?}", leg.state).to_lowercase();
    let on = leg.interface.as_ref().map_or_else(String::new, |name| format!(" on {name}"));
    let behind = leg.behind_nanos as f64 / 1e6;
    let why = leg.error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
    format!(
        "  leg    {state:<9} {}{on} received {} used {} lost {} late {} foreign {} refused {} dropped by the kernel {}, \
         {behind:.1} ms behind{why}",
        leg.address,
        c.received,
        c.used,
        c.lost,
        c.late,
        c.foreign + c.differing,
        c.refused,
        c.kernel_dropped
    )
}

#[cfg(test)]
mod tests {
    use audyn_api::{ClockAlarm, ClockAlarmKind, Diagnosis, LegState, PtpSnapshot, SilenceCause};
    use audyn_units::{ClockQuality, FrameCount, Timestamp};

    use super::*;

    #[test]
    fn how_a_flow_stands_on_the_clock_is_told() {
        let timing = FlowTiming {
            placement: Some(Placement::Arrival),
            quality: ClockQuality::None,
            drift_ppm: Some(-12.34),
            behind_nanos: Some(1_250_000),
        };
        assert_eq!(timing_line(&FlowTiming::default()), None);
        assert_eq!(
            timing_line(&timing).unwrap(),
            "placed by arrival, estimated; this machine's clock was not synchronised; arrives 1.2 ms after its time; the sender \
             runs 12.3 ppm slow"
        );
    }

    #[test]
    fn how_long_the_room_lasts_is_told_while_something_is_written() {
        let told = |room: RetentionSnapshot| describe(&Snapshot { retention: room, ..Snapshot::default() });
        assert!(!told(RetentionSnapshot::default()).contains("room"));
        let writes = RetentionSnapshot { bytes_per_second: 288_000, ..RetentionSnapshot::default() };
        let full = RetentionSnapshot { seconds_left: Some(90_059), ..writes.clone() };
        assert!(told(full).contains("room     288.0 kB a second are written: full in 25 h 00 min\n"));
        let goes_on = RetentionSnapshot { deleted: 2, deleted_bytes: 3_000_000, ..writes };
        let goes_on = told(goes_on);
        assert!(
            goes_on.contains("not foreseen to be full\nlimits have deleted 2 recordings with 3.0 MB"),
            "{goes_on}"
        );
        let recorder = Some("a".to_owned());
        let pending = audyn_api::PendingLimits { recorder, acts_in_seconds: 3_541, in_force: None };
        let waits = RetentionSnapshot { pending: vec![pending], ..RetentionSnapshot::default() };
        assert!(told(waits).contains("recorder a's limits do not all act yet: in 60 minutes\n"));
    }

    #[test]
    fn two_volumes_are_told_and_one_alone_is_not() {
        let volume = |root: &str, standing, alarms: &[&str], lacks| VolumeSnapshot {
            root: root.to_owned(),
            standing: Some(standing),
            disk: audyn_api::DiskState { total_bytes: 4_000_000_000, free_bytes: 2_000_000_000 },
            writing: 1,
            lacks,
            copied: lacks / 2,
            alarms: alarms.iter().map(|&alarm| alarm.to_owned()).collect(),
            ..VolumeSnapshot::default()
        };
        let told = |volumes: Vec<_>| describe(&Snapshot { volumes, ..Snapshot::default() });
        let archive = volume("/srv/1", VolumeStanding::Ours, &[], 0);
        assert!(!told(vec![archive.clone()]).contains("/srv/1"));
        let both = told(vec![archive.clone(), volume("/srv/2", VolumeStanding::Missing, &[], 2)]);
        assert!(both.contains("archive  /srv/1: well, 2.0 GB free\n"), "{both}");
        let mirror = "mirror   /srv/2: NOT WELL, 2.0 GB free, lacks 2 files of the other volume's, which are copied, 1 file copied to it since the start\n";
        assert!(both.contains(mirror), "{both}");
        assert!(
            told(vec![archive, volume("/srv/2", VolumeStanding::Ours, &["full"], 0)])
                .contains("/srv/2: NOT WELL")
        );
    }

    #[test]
    fn whom_the_clock_follows_is_told_and_what_is_wrong_with_it() {
        let mut snapshot = Snapshot::default();
        assert!(describe(&snapshot).contains("clock    not synchronised, TAI is not known\n"));
        let ptp = PtpSnapshot {
            name: "eth0".into(),
            state: PtpState::Following,
            domain: Some(0),
            grandmaster: Some("00-1D-C1-FF-FE-12-34-56".into()),
            offset_nanos: Some(-120),
            path_delay_nanos: Some(2_000),
            device: Some("/dev/ptp0".into()),
            ..PtpSnapshot::default()
        };
        let alarm = |text: &str, ended| ClockAlarm {
            kind: ClockAlarmKind::GrandmasterChanged,
            subject: "eth0".into(),
            text: text.into(),
            began: Timestamp::ZERO,
            ended,
        };
        snapshot.clock = ClockSnapshot {
            quality: ClockQuality::PtpLocked,
            tai_offset: Some(37),
            chosen: Some(0),
            system_offset_nanos: Some(-26_000),
            ptp: vec![ptp],
            alarms: vec![alarm("another has taken over", None), alarm("long ago", Some(Timestamp::ZERO))],
            ..ClockSnapshot::default()
        };
        let text = describe(&snapshot);
        assert!(
            text.contains(
                "clock    locked to PTP, grandmaster 00-1D-C1-FF-FE-12-34-56 in domain 0 on eth0, off by -0.026 ms, TAI is 37 s \
                 ahead of UTC\nptp      eth0         following, offset -120 ns, path 2000 ns, /dev/ptp0\n    another has taken over\n"
            ),
            "{text}"
        );
        assert!(!text.contains("long ago"), "{text}");
    }

    #[test]
    fn a_loss_and_a_complaint_are_told() {
        let recorder = RecorderSnapshot {
            id: "studio-a".into(),
            enabled: true,
            state: RecorderState::Error,
            rate: 48_000,
            frames_written: FrameCount(47_952),
            frames_filled: FrameCount(48),
            gaps: 1,
            current_file: Some("studio-a/x.wav".into()),
            errors: vec!["the disk is full; free space".into()],
            ..RecorderSnapshot::default()
        };
        let snapshot = Snapshot {
            at: Timestamp::from_nanos(3_720_000_000_000),
            recorders: vec![recorder],
            flows: vec![FlowSnapshot {
                diagnosis: Some(Diagnosis {
                    cause: SilenceCause::Link,
                    sentence: "interface eth0 has no link; check the cable".into(),
                }),
                ..FlowSnapshot::default()
            }],
            ..Snapshot::default()
        };
        let text = describe(&snapshot);
        assert!(text.contains("up 1 h 02 min"), "{text}");
        assert!(
            text.contains("ERROR     1.0 s, lost 0.001 s in 1 gap, studio-a/x.wav\n    the disk is full"),
            "{text}"
        );
        assert!(text.ends_with("    link: interface eth0 has no link; check the cable\n"), "{text}");
    }

    #[test]
    fn legs_are_told_where_there_are_two() {
        let leg = |address: &str, behind_nanos| LegSnapshot {
            address: address.into(),
            interface: Some("eth1".into()),
            state: LegState::Receiving,
            behind_nanos,
            ..LegSnapshot::default()
        };
        let one = FlowSnapshot { legs: vec![leg("239.1.0.1:5004", 0)], ..FlowSnapshot::default() };
        let two = FlowSnapshot {
            legs: vec![leg("239.1.0.1:5004", 0), leg("239.2.0.1:5004", 10_500_000)],
            ..FlowSnapshot::default()
        };
        let text = describe(&Snapshot { flows: vec![one], ..Snapshot::default() });
        assert!(!text.contains("  leg"), "{text}");
        let text = describe(&Snapshot { flows: vec![two], ..Snapshot::default() });
        assert!(text.contains("  leg    receiving 239.2.0.1:5004 on eth1 received 0"), "{text}");
        assert!(text.contains("10.5 ms behind"), "{text}");
        let silent = FlowSnapshot {
            legs: vec![
                leg("239.1.0.1:5004", 0),
                LegSnapshot { state: LegState::Waiting, ..leg("239.2.0.1:5004", 0) },
            ],
            ..FlowSnapshot::default()
        };
        let text = one_flow_text(&silent);
        assert!(text.contains("  leg    waiting   239.2.0.1:5004 on eth1"), "{text}");
        let found =
            one_flow(&Snapshot { flows: vec![silent], ..Snapshot::default() }, "239.2.0.1:5004", true);
        assert!(found.is_ok());
    }
}
