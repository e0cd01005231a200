//! What is pinned: every message of the contract once, every field of it with a value of its own, and a name.

use audyn_api::{
    ArchiveCheck, ArchiveClock, ArchiveConfig, Beginning, CaptureRights, CaptureStats, ChannelLevel,
    ClientFrame, ClockAlarm, ClockAlarmKind, ClockConfig, ClockSnapshot, ConfigDocument, DeletedFile,
    Diagnosis, DiskState, Event, FlowCounters, FlowSnapshot, FlowState, FlowTiming, FormatConfig, GapCause,
    GapEntry, GlobalConfig, INTERVAL_EDGES_NANOS, LATENESS_EDGES_NANOS, Layout, LegConfig, LegCounters,
    LegPeriod, LegSnapshot, LegState, LegStatistics, LevelsFrame, MAGIC, OpusApplication, OpusConfig,
    OpusMode, PendingLimits, Placement, ProposedLimits, ProposedRecorder, ProtectedFile, PtpChoice,
    PtpSnapshot, PtpState, RecorderConfig, RecorderId, RecorderLevels, RecorderPlan, RecorderSnapshot,
    RecorderState, Refusal, RefusalKind, Reply, Request, RetentionConfig, RetentionEntry, RetentionPlan,
    RetentionReason, RetentionSnapshot, RoomAlarm, RoomAlarmKind, SelfTestReport, ServerFrame, SilenceCause,
    Snapshot, SourceConfig, SourceId, StampKind, Subscription, TaiSource, VERSION, VolumeConfig,
    VolumeIdentity, VolumeReport, VolumeSnapshot, VolumeStanding, WakeupLateness,
};
use audyn_units::{
    ChannelCount, ClockQuality, Dbfs, Encoding, FrameCount, FrameIndex, PayloadType, SampleRate, SkewClass,
    Ssrc, Timestamp,
};

pub(crate) fn recorder_id() -> RecorderId {
    RecorderId::new("studio-1").unwrap()
}

pub(crate) fn global() -> GlobalConfig {
    GlobalConfig {
        archive_root: "/srv/audio".to_owned(),
        active_recorders: 6,
        capture_period_micros: 4_000,
        receive_buffer_bytes: 4_194_304,
        fifo_priority: 50,
        sync_every_second: true,
        tai_offset_seconds: Some(37),
        clock: ClockConfig {
            ptp: PtpChoice::Software,
            interface: Some("eth1".to_owned()),
            device: Some("/dev/ptp1".to_owned()),
            socket: Some("/run/ptp4l".to_owned()),
            domain: Some(5),
            max_offset_micros: 500,
            holdover_seconds: 60,
        },
        volume: VolumeConfig { floor_bytes: 1 << 31, floor_percent: 7, alarm_hours: 48 },
        mirror: Some("/srv/mirror".to_owned()),
    }
}

pub(crate) fn recorder() -> RecorderConfig {
    RecorderConfig {
        id: recorder_id(),
        name: "Studio 1".to_owned(),
        enabled: true,
        auto_start: false,
        studio_id: Some("blue".to_owned()),
        source_id: Some(SourceId::new("desk").unwrap()),
        channels: vec![2, 3],
        format: FormatConfig::Wav24,
        also: vec![FormatConfig::Opus],
        opus: OpusConfig {
            bitrate: Some(96_000),
            mode: OpusMode::Cbr,
            complexity: 9,
            application: OpusApplication::LowDelay,
        },
        archive: ArchiveConfig {
            layout: Layout::Custom,
            custom_format: Some("%Y/%H-%M-%S".to_owned()),
            period_seconds: 900,
            clock: ArchiveClock::Utc,
        },
        retention: RetentionConfig { days: Some(90), bytes: Some(1 << 40), make_room: true },
    }
}

pub(crate) fn source() -> SourceConfig {
    SourceConfig {
        id: SourceId::new("desk").unwrap(),
        name: "Desk".to_owned(),
        description: "Main mix".to_owned(),
        address: "239.69.1.2".parse().unwrap(),
        port: 5004,
        payload_type: PayloadType::new(97).unwrap(),
        encoding: Encoding::L24,
        rate: SampleRate::HZ_96000,
        channels: ChannelCount::new(8).unwrap(),
        packet_frames: Some(12),
        interface: Some("eth1".to_owned()),
        source_filter: Some("fe80::7".parse().unwrap()),
        channel_names: vec!["L".to_owned(), "R".to_owned()],
        media_clock_offset: Some(2_911_906_980),
        ref_clock: Some("ptp=IEEE1588-2008:00-1D-C1-FF-FE-12-34-56:0".to_owned()),
        second_leg: Some(Box::new(LegConfig {
            address: "239.70.1.2".parse().unwrap(),
            port: 5006,
            interface: Some("eth2".to_owned()),
            source_filter: Some("192.0.2.7".parse().unwrap()),
        })),
        skew: SkewClass::C,
    }
}

pub(crate) fn legs() -> Vec<LegSnapshot> {
    let counters = LegCounters {
        received: 31,
        bytes: 32,
        used: 33,
        lost: 34,
        late: 35,
        reordered: 36,
        duplicated: 37,
        foreign: 38,
        differing: 39,
        refused: 40,
        kernel_dropped: 41,
    };
    let leg = |state: LegState| LegSnapshot {
        address: "239.70.1.2:5006".to_owned(),
        interface: Some("eth2".to_owned()),
        state,
        ssrc: Some(Ssrc(0xdead_bee0)),
        sender: Some("192.0.2.7".parse().unwrap()),
        counters,
        behind_nanos: 1_500_000,
        receive_buffer_bytes: 4_194_304,
        error: Some("no cable".to_owned()),
    };
    LEG_STATES.map(leg).to_vec()
}

pub(crate) fn config() -> ConfigDocument {
    ConfigDocument { revision: 7, global: global(), recorders: vec![recorder()], sources: vec![source()] }
}

pub(crate) fn counters() -> FlowCounters {
    FlowCounters {
        received: 1,
        bytes: 2,
        reordered: 3,
        duplicated: 4,
        late: 5,
        lost_frames: 6,
        gaps: 7,
        ssrc_changes: 8,
        sequence_resets: 9,
        timestamp_jumps: 10,
        too_short: 11,
        bad_version: 12,
        malformed: 13,
        wrong_payload_type: 14,
        wrong_size: 15,
        oversized: 16,
        foreign_source: 17,
        kernel_dropped: 18,
    }
}

pub(crate) fn statistics() -> LegStatistics {
    let period = |from: i64| LegPeriod {
        packets: from as u64,
        bytes: from as u64 + 1,
        lost: from as u64 + 2,
        lost_frames: from as u64 + 3,
        reordered: from as u64 + 4,
        duplicated: from as u64 + 5,
        late: from as u64 + 6,
        jitter_mean_nanos: from + 7,
        jitter_max_nanos: from + 8,
        ts_df_max_nanos: Some(from + 9),
        interval_min_nanos: Some(from + 10),
        interval_max_nanos: Some(from + 11),
        interval_sum_nanos: from + 12,
        link_offset_min_nanos: Some(-from),
        link_offset_max_nanos: None,
        intervals: (0..=INTERVAL_EDGES_NANOS.len() as u64).collect(),
    };
    LegStatistics {
        ssrc: Some(Ssrc(0xdead_beef)),
        sender: Some("192.0.2.9".parse().unwrap()),
        dscps: vec![0, 34],
        ttl_min: Some(14),
        ttl_max: Some(15),
        expected: 5,
        rfc3550_lost: -1,
        restarts: 2,
        timestamp_jumps: 3,
        strays: 4,
        foreign: 6,
        jitter_nanos: 20_833,
        jitter_ticks: 1,
        ts_df_nanos: Some(68_000),
        link_offset_nanos: Some(-7),
        since_start: period(1_000),
        last_minute: period(100),
    }
}

pub(crate) fn snapshot() -> Snapshot {
    Snapshot {
        at: Timestamp::from_nanos(1_768_050_000_250_000_000),
        sequence: 300,
        engine_version: "0.1.0".to_owned(),
        started: Timestamp::from_nanos(1_768_049_000_000_000_000),
        config_revision: 7,
        capture: CaptureStats {
            turns: 21,
            missed_ticks: 22,
            worst_lateness_nanos: 23,
            datagrams: 24,
            slots_exhausted: 25,
            realtime: true,
        },
        disk: DiskState { total_bytes: 1 << 40, free_bytes: 1 << 39 },
        flows: vec![FlowSnapshot {
            source: Some(SourceId::new("desk").unwrap()),
            address: "239.69.1.2:5004".to_owned(),
            state: FlowState::Receiving,
            ssrc: Some(Ssrc(0xdead_beef)),
            sender: Some("192.0.2.9".parse().unwrap()),
            packet_frames: Some(48),
            position: FrameIndex(48_000),
            counters: counters(),
            receive_buffer_bytes: 8_388_608,
            error: Some("none, really".to_owned()),
            diagnosis: Some(Diagnosis {
                cause: SilenceCause::Level,
                sentence: "each sample is zero; look at the desk".to_owned(),
            }),
            timing: FlowTiming {
                placement: Some(Placement::MediaClock),
                quality: ClockQuality::PtpLocked,
                drift_ppm: Some(-0.25),
                behind_nanos: Some(1_234_567),
            },
            stamps: StampKind::Hardware,
            legs: legs(),
            statistics: vec![statistics()],
        }],
        recorders: vec![RecorderSnapshot {
            id: "studio-1".to_owned(),
            name: "Studio 1".to_owned(),
            enabled: true,
            state: RecorderState::Recording,
            studio_id: Some("blue".to_owned()),
            flow_state: FlowState::Silent,
            start_time: Some(Timestamp::from_nanos(1_768_049_500_000_000_000)),
            current_file: Some("studio-1/2026-01-10-13.wav".to_owned()),
            bytes_written: 288_000,
            frames_written: FrameCount(48_000),
            frames_filled: FrameCount(96),
            gaps: 2,
            rate: 48_000,
            channel_names: vec!["L".to_owned(), "R".to_owned()],
            errors: vec!["the disk is slow".to_owned()],
        }],
        warnings: vec!["no SCHED_FIFO".to_owned()],
        clock: clock(),
        lateness: WakeupLateness {
            worst_nanos: 90_000,
            last_minute_worst_nanos: 80_000,
            sum_nanos: 1_000_000,
            counts: (0..=LATENESS_EDGES_NANOS.len() as u64).collect(),
        },
        retention: RetentionSnapshot {
            floor_bytes: 1 << 31,
            bytes_per_second: 288_000,
            seconds_left: Some(86_000),
            deleted: 42,
            deleted_bytes: 43,
            pending: pending(),
            alarms: ROOM_ALARMS.map(room_alarm).to_vec(),
        },
        volumes: vec![VolumeSnapshot {
            root: "/srv/mirror".to_owned(),
            standing: Some(VolumeStanding::Missing),
            disk: DiskState { total_bytes: 57, free_bytes: 58 },
            writing: 59,
            lacks: 60,
            copied: 61,
            alarms: vec!["the mirror is not there".to_owned()],
            floor_bytes: 62,
            bytes_per_second: 63,
            seconds_left: Some(64),
            room_alarms: vec![room_alarm(RoomAlarmKind::FullSoon)],
        }],
    }
}

pub(crate) const ROOM_ALARMS: [RoomAlarmKind; 5] = [
    RoomAlarmKind::FullSoon,
    RoomAlarmKind::BelowFloor,
    RoomAlarmKind::ClockDoubted,
    RoomAlarmKind::Undeletable,
    RoomAlarmKind::Fruitless,
];

fn pending() -> Vec<PendingLimits> {
    let in_force = RetentionConfig { days: Some(65), bytes: None, make_room: true };
    let of = |recorder, acts_in_seconds, in_force| PendingLimits { recorder, acts_in_seconds, in_force };
    vec![of(Some("studio-1".to_owned()), 51, Some(in_force)), of(None, 52, None)]
}

fn proposed() -> ProposedLimits {
    let retention = RetentionConfig { days: Some(53), bytes: Some(1 << 40), make_room: true };
    ProposedLimits {
        recorders: vec![ProposedRecorder { id: RecorderId::new("studio-1").unwrap(), retention }],
        volume: Some(VolumeConfig { floor_bytes: 54, floor_percent: 55, alarm_hours: 56 }),
    }
}

fn room_alarm(kind: RoomAlarmKind) -> RoomAlarm {
    RoomAlarm { kind, text: "the disk is full soon".to_owned(), began: Timestamp::from_nanos(44) }
}

fn retention_plan() -> RetentionPlan {
    let entry = |reason| RetentionEntry {
        path: "studio-1/a.wav".to_owned(),
        bytes: 45,
        start: Timestamp::from_nanos(46),
        reason,
        why: "it is old".to_owned(),
    };
    RetentionPlan {
        going: [RetentionReason::Days, RetentionReason::Bytes, RetentionReason::Floor].map(entry).to_vec(),
        files: 47,
        bytes: 48,
        recorders: vec![RecorderPlan {
            recorder: "studio-1".to_owned(),
            recordings: 66,
            files: 67,
            bytes: 68,
            oldest: Timestamp::from_nanos(69),
            newest: Timestamp::from_nanos(70),
        }],
        protected: 49,
        lacking_bytes: 50,
        pending: pending(),
        notes: vec!["the clock is not disciplined".to_owned()],
    }
}

pub(crate) const VOLUME_STANDINGS: [VolumeStanding; 8] = [
    VolumeStanding::Ours,
    VolumeStanding::New,
    VolumeStanding::Another,
    VolumeStanding::Unmarked,
    VolumeStanding::Unreadable,
    VolumeStanding::Missing,
    VolumeStanding::Unchosen,
    VolumeStanding::Same,
];

pub(crate) fn volume(standing: VolumeStanding) -> VolumeReport {
    let identity = |digit: &str| VolumeIdentity {
        id: digit.repeat(32),
        made: Some("2026-07-02T13:46:03Z".to_owned()),
        by: Some("audyn-1a2b3c".to_owned()),
    };
    VolumeReport {
        root: "/srv/recordings".to_owned(),
        standing,
        expected: Some(identity("a")),
        found: Some(identity("b")),
        disk: DiskState { total_bytes: 51, free_bytes: 52 },
        note: Some("another volume is there".to_owned()),
    }
}

pub(crate) fn clock() -> ClockSnapshot {
    ClockSnapshot {
        quality: ClockQuality::PtpFreeRunning,
        tai_offset: Some(37),
        tai_source: Some(TaiSource::Held),
        synchronised: Some(true),
        chosen: Some(0),
        system_offset_nanos: Some(-26),
        unlocked_seconds: Some(27),
        ptp: vec![PtpSnapshot {
            name: "eth1".to_owned(),
            state: PtpState::NoGrandmaster,
            port_state: Some("LISTENING".to_owned()),
            domain: Some(5),
            grandmaster: Some("00-1D-C1-FF-FE-12-34-56".to_owned()),
            grandmaster_class: Some(6),
            steps_removed: Some(1),
            offset_nanos: Some(-28),
            path_delay_nanos: Some(29),
            utc_offset: Some(37),
            utc_offset_valid: true,
            ptp_timescale: true,
            stamps: StampKind::Software,
            device: Some("/dev/ptp1".to_owned()),
            device_offset_nanos: Some(37_000_000_030),
            device_method: Some("extended".to_owned()),
        }],
        alarms: vec![ClockAlarm {
            kind: ClockAlarmKind::GrandmasterGone,
            subject: "eth1".to_owned(),
            text: "gone".to_owned(),
            began: Timestamp::from_nanos(1_768_050_000_000_000_000),
            ended: Some(Timestamp::from_nanos(1_768_050_000_100_000_000)),
        }],
    }
}

pub(crate) fn levels() -> LevelsFrame {
    LevelsFrame {
        at: Timestamp::from_nanos(1_768_050_000_283_000_000),
        recorders: vec![RecorderLevels {
            recorder: recorder_id(),
            channels: vec![ChannelLevel {
                rms: Dbfs(-20.5),
                peak: Dbfs(-12.25),
                held_peak: Dbfs(-6.0),
                clipping: true,
            }],
        }],
    }
}

pub(crate) fn self_test() -> SelfTestReport {
    SelfTestReport {
        failures: vec!["it failed".to_owned()],
        frames_sent: FrameCount(96_000),
        frames_received: FrameCount(95_952),
        frames_different: FrameCount(3),
        frames_lost: FrameCount(48),
        kernel_dropped: 1,
        rights: CaptureRights {
            fifo_priority: Some(50),
            cpu: Some(3),
            pinned: true,
            isolated: false,
            memory_locked: true,
            missing: vec!["no memory lock".to_owned()],
        },
        archive: ArchiveCheck {
            root: "/srv/audio".to_owned(),
            error: Some("read-only".to_owned()),
            free_bytes: 1 << 39,
        },
    }
}

pub(crate) fn gap(cause: GapCause) -> GapEntry {
    GapEntry { position: FrameIndex(1_000), frames: FrameCount(144), cause, estimated: true }
}

pub(crate) fn refusal(kind: RefusalKind) -> Refusal {
    Refusal { kind, detail: "not so".to_owned() }
}

pub(crate) const REFUSALS: [RefusalKind; 6] = [
    RefusalKind::Invalid,
    RefusalKind::NotFound,
    RefusalKind::Conflict,
    RefusalKind::Forbidden,
    RefusalKind::Failed,
    RefusalKind::Version,
];
pub(crate) const CAUSES: [GapCause; 5] =
    [GapCause::Loss, GapCause::Outage, GapCause::SsrcChange, GapCause::TimestampJump, GapCause::DiskStall];
pub(crate) const RECORDER_STATES: [RecorderState; 4] =
    [RecorderState::Stopped, RecorderState::Recording, RecorderState::Paused, RecorderState::Error];
pub(crate) const FLOW_STATES: [FlowState; 4] =
    [FlowState::Waiting, FlowState::Receiving, FlowState::Silent, FlowState::Failed];

pub(crate) const LEG_STATES: [LegState; 5] =
    [LegState::Waiting, LegState::Receiving, LegState::Silent, LegState::Differs, LegState::Failed];

pub(crate) fn requests() -> Vec<Request> {
    vec![
        Request::Snapshot,
        Request::Config,
        Request::PutGlobal { revision: 7, global: global() },
        Request::PutRecorder { revision: 7, recorder: recorder() },
        Request::RemoveRecorder { revision: 7, id: recorder_id() },
        Request::PutSource { revision: 7, source: source() },
        Request::RemoveSource { revision: 7, id: SourceId::new("desk").unwrap() },
        Request::Start(recorder_id()),
        Request::Stop(recorder_id()),
        Request::StartAll,
        Request::StopAll,
        Request::DeleteRecordings {
            paths: vec!["studio-1/a.wav".to_owned()],
            who: "anna".to_owned(),
            meant: vec![Some(Beginning {
                position: FrameIndex(84_067_852_800_000),
                rate: SampleRate::HZ_48000,
            })],
        },
        Request::Subscribe(Subscription { levels: true, state: false }),
        Request::SelfTest,
        Request::RetentionPlan(proposed()),
        Request::Protect {
            paths: vec!["studio-1/a.wav".to_owned()],
            protected: true,
            who: "anna".to_owned(),
        },
        Request::Volumes,
        Request::AdoptVolume { root: "/srv/recordings".to_owned(), who: "anna".to_owned() },
        Request::Mark {
            id: recorder_id(),
            at: Some(Timestamp::from_nanos(1_782_999_963_500_000_000)),
            text: "goal, 2:1".to_owned(),
            who: "anna".to_owned(),
        },
    ]
}

/// No wildcard here, on purpose: a variant that is added does not compile until it is named, and the test
/// `every_variant_is_pinned` fails until it is pinned.
pub(crate) fn request_name(request: &Request) -> &'static str {
    match request {
        Request::Snapshot => "request.snapshot",
        Request::Config => "request.config",
        Request::PutGlobal { .. } => "request.put-global",
        Request::PutRecorder { .. } => "request.put-recorder",
        Request::RemoveRecorder { .. } => "request.remove-recorder",
        Request::PutSource { .. } => "request.put-source",
        Request::RemoveSource { .. } => "request.remove-source",
        Request::Start(_) => "request.start",
        Request::Stop(_) => "request.stop",
        Request::StartAll => "request.start-all",
        Request::StopAll => "request.stop-all",
        Request::DeleteRecordings { .. } => "request.delete-recordings",
        Request::Subscribe(_) => "request.subscribe",
        Request::SelfTest => "request.self-test",
        Request::RetentionPlan(_) => "request.retention-plan",
        Request::Protect { .. } => "request.protect",
        Request::Volumes => "request.volumes",
        Request::AdoptVolume { .. } => "request.adopt-volume",
        Request::Mark { .. } => "request.mark",
    }
}

pub(crate) fn replies() -> Vec<Reply> {
    let mut all = vec![
        Reply::Snapshot(Box::new(snapshot())),
        Reply::Config(Box::new(config())),
        Reply::Changed { revision: 8 },
        Reply::Done,
        Reply::Deleted(vec![
            DeletedFile { path: "a.wav".to_owned(), refused: None },
            DeletedFile { path: "b.wav".to_owned(), refused: Some(refusal(RefusalKind::Conflict)) },
        ]),
    ];
    all.extend(REFUSALS.map(|kind| Reply::Refused(refusal(kind))));
    all.push(Reply::SelfTest(Box::new(self_test())));
    all.push(Reply::RetentionPlan(Box::new(retention_plan())));
    all.push(Reply::Protected(vec![
        ProtectedFile { path: "a.wav".to_owned(), refused: None },
        ProtectedFile { path: "b.wav".to_owned(), refused: Some(refusal(RefusalKind::NotFound)) },
    ]));
    all.push(Reply::Volumes(VOLUME_STANDINGS.map(volume).to_vec()));
    all.push(Reply::Marked {
        position: FrameIndex(85_583_999_064_000),
        rate: SampleRate::HZ_48000,
        at: Timestamp::from_nanos(1_782_999_963_500_000_000),
    });
    all
}

pub(crate) fn reply_name(reply: &Reply) -> String {
    match reply {
        Reply::Snapshot(_) => "reply.snapshot".to_owned(),
        Reply::Config(_) => "reply.config".to_owned(),
        Reply::Changed { .. } => "reply.changed".to_owned(),
        Reply::Done => "reply.done".to_owned(),
        Reply::Deleted(_) => "reply.deleted".to_owned(),
        Reply::Refused(refusal) => format!("reply.refused.{}", refusal_name(refusal.kind)),
        Reply::SelfTest(_) => "reply.self-test".to_owned(),
        Reply::RetentionPlan(_) => "reply.retention-plan".to_owned(),
        Reply::Protected(_) => "reply.protected".to_owned(),
        Reply::Volumes(_) => "reply.volumes".to_owned(),
        Reply::Marked { .. } => "reply.marked".to_owned(),
    }
}

pub(crate) fn refusal_name(kind: RefusalKind) -> &'static str {
    match kind {
        RefusalKind::Invalid => "invalid",
        RefusalKind::NotFound => "not-found",
        RefusalKind::Conflict => "conflict",
        RefusalKind::Forbidden => "forbidden",
        RefusalKind::Failed => "failed",
        RefusalKind::Version => "version",
    }
}

pub(crate) fn events() -> Vec<Event> {
    let mut all = vec![Event::Levels(levels()), Event::Snapshot(Box::new(snapshot()))];
    all.extend(RECORDER_STATES.map(|state| Event::Recorder { id: recorder_id(), state }));
    all.extend(CAUSES.map(|cause| Event::Gap { id: recorder_id(), gap: gap(cause) }));
    all
}

pub(crate) fn event_name(event: &Event) -> String {
    match event {
        Event::Levels(_) => "event.levels".to_owned(),
        Event::Snapshot(_) => "event.snapshot".to_owned(),
        Event::Recorder { state, .. } => format!("event.recorder.{}", recorder_state_name(*state)),
        Event::Gap { gap, .. } => format!("event.gap.{}", cause_name(gap.cause)),
    }
}

pub(crate) fn recorder_state_name(state: RecorderState) -> &'static str {
    match state {
        RecorderState::Stopped => "stopped",
        RecorderState::Recording => "recording",
        RecorderState::Paused => "paused",
        RecorderState::Error => "error",
    }
}

pub(crate) fn cause_name(cause: GapCause) -> &'static str {
    match cause {
        GapCause::Loss => "loss",
        GapCause::Outage => "outage",
        GapCause::SsrcChange => "ssrc-change",
        GapCause::TimestampJump => "timestamp-jump",
        GapCause::DiskStall => "disk-stall",
    }
}

pub(crate) fn flow_state_name(state: FlowState) -> &'static str {
    match state {
        FlowState::Waiting => "waiting",
        FlowState::Receiving => "receiving",
        FlowState::Silent => "silent",
        FlowState::Failed => "failed",
    }
}

pub(crate) fn leg_state_name(state: LegState) -> &'static str {
    match state {
        LegState::Waiting => "waiting",
        LegState::Receiving => "receiving",
        LegState::Silent => "silent",
        LegState::Differs => "differs",
        LegState::Failed => "failed",
    }
}

/// Every frame of the contract with its name, in the order of the file.
pub(crate) fn client_frames() -> Vec<(String, ClientFrame)> {
    let hello = ClientFrame::Hello { magic: MAGIC, version: VERSION, client: "golden 1".to_owned() };
    let mut all = vec![("hello.client".to_owned(), hello)];
    for request in requests() {
        all.push((request_name(&request).to_owned(), ClientFrame::Request { id: 0x1234_5678, request }));
    }
    all
}

pub(crate) fn server_frames() -> Vec<(String, ServerFrame)> {
    let mut all = vec![
        ("hello.server".to_owned(), ServerFrame::Hello { version: VERSION, engine: "0.1.0".to_owned() }),
        ("hello.refused".to_owned(), ServerFrame::Refused(refusal(RefusalKind::Version))),
    ];
    for reply in replies() {
        all.push((reply_name(&reply), ServerFrame::Reply { id: 0x1234_5678, reply }));
    }
    all.extend(events().into_iter().map(|event| (event_name(&event), ServerFrame::Event(event))));
    all
}
