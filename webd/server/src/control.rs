//! `/api/control/status`: the engine as a whole. It answers while the engine is away, and says so.

use audyn_api::{
    CaptureStats, DiskState, FlowCounters, FlowSnapshot, FlowState, FlowTiming, RecorderState, StampKind,
    WakeupLateness,
};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use crate::app::{App, both};
use crate::clock::Clock;
use crate::engine::View;
use crate::extract::json;
use crate::legs::Leg;
use crate::room::Room;
use crate::time::rfc3339;
use crate::volumes::Volume;

pub(crate) fn add_routes(routes: Router<App>) -> Router<App> {
    both(routes, "/api/control/status", get(status))
}

/// The whole answer.
#[derive(Serialize)]
struct Status<'a> {
    /// Whether the engine is there; everything but `engine` and `version` is missing if it isn't.
    connected: bool,
    /// Why it isn't.
    detail: Option<String>,
    /// Of this daemon.
    version: &'static str,
    engine: EngineStatus<'a>,
    #[serde(flatten)]
    state: Option<EngineState<'a>>,
}

#[derive(Serialize, Default)]
struct EngineStatus<'a> {
    connected: bool,
    version: Option<&'a str>,
    started: Option<String>,
    uptime_seconds: Option<f64>,
}

#[derive(Serialize)]
struct EngineState<'a> {
    /// When this was so.
    at: String,
    config_revision: u64,
    archive_root: &'a str,
    /// How many recorders there are, are enabled, record.
    recorders: usize,
    enabled: usize,
    recording: usize,
    disk: DiskState,
    /// How long the room lasts, and what limits have deleted.
    room: Room<'a>,
    /// Those that are recorded to: the archive's, and the mirror's if there is one.
    volumes: Vec<Volume<'a>>,
    capture: CaptureStats,
    flows: Vec<Flow<'a>>,
    warnings: &'a [String],
    clock: Clock<'a>,
    lateness: &'a WakeupLateness,
}

#[derive(Serialize)]
struct Flow<'a> {
    source_id: Option<&'a str>,
    address: &'a str,
    state: FlowState,
    /// Eight hexadecimal digits, as other tools write it.
    ssrc: Option<String>,
    sender: Option<String>,
    packet_frames: Option<u16>,
    position: u64,
    receive_buffer_bytes: u64,
    error: Option<&'a str>,
    counters: FlowCounters,
    /// One, or two where it is protected by a second (ST 2022-7).
    legs: Vec<Leg<'a>>,
    /// How it stands on the clock.
    timing: FlowTiming,
    /// Who stamps its packets: `software` (the kernel), `hardware` (the network card), `unknown` before the first.
    stamps: StampKind,
}

impl<'a> From<&'a FlowSnapshot> for Flow<'a> {
    fn from(flow: &'a FlowSnapshot) -> Self {
        Self {
            source_id: flow.source.as_ref().map(|source| source.as_str()),
            address: &flow.address,
            state: flow.state,
            ssrc: flow.ssrc.map(|ssrc| ssrc.to_string()),
            sender: flow.sender.map(|sender| sender.to_string()),
            packet_frames: flow.packet_frames,
            position: flow.position.0,
            receive_buffer_bytes: flow.receive_buffer_bytes,
            error: flow.error.as_deref(),
            counters: flow.counters,
            legs: flow.legs.iter().map(Leg::from).collect(),
            timing: flow.timing,
            stamps: flow.stamps,
        }
    }
}

async fn status(State(app): State<App>) -> Response {
    let version = env!("CARGO_PKG_VERSION");
    match app.engine.view() {
        Ok(view) => json(Status {
            connected: true,
            detail: None,
            version,
            engine: engine_status(&view),
            state: Some(state(&view)),
        }),
        Err(away) => json(Status {
            connected: false,
            detail: Some(away.to_string()),
            version,
            engine: EngineStatus::default(),
            state: None,
        }),
    }
}

fn engine_status(view: &View) -> EngineStatus<'_> {
    let snapshot = &view.snapshot;
    let uptime = i128::from(snapshot.at.as_nanos()) - i128::from(snapshot.started.as_nanos());
    EngineStatus {
        connected: true,
        version: Some(&snapshot.engine_version),
        started: Some(rfc3339(snapshot.started)),
        // A clock that was set meanwhile must not make it negative.
        uptime_seconds: Some((uptime.max(0) as f64 / 1e6).round() / 1e3),
    }
}

fn state(view: &View) -> EngineState<'_> {
    let snapshot = &view.snapshot;
    let recorders = &snapshot.recorders;
    EngineState {
        at: rfc3339(snapshot.at),
        config_revision: snapshot.config_revision,
        archive_root: &view.config.global.archive_root,
        recorders: recorders.len(),
        enabled: recorders.iter().filter(|recorder| recorder.enabled).count(),
        recording: recorders.iter().filter(|recorder| recorder.state == RecorderState::Recording).count(),
        disk: snapshot.disk,
        room: Room::from(&snapshot.retention),
        volumes: Volume::all(&snapshot.volumes),
        capture: snapshot.capture,
        flows: snapshot.flows.iter().map(Flow::from).collect(),
        warnings: &snapshot.warnings,
        clock: Clock::from(&snapshot.clock),
        lateness: &snapshot.lateness,
    }
}
