//! `/metrics`: the engine's state for Prometheus, in its text format 0.0.4.
//!
//! Names end in their unit; what only grows ends in `_total`. Seconds and bytes, as Prometheus wants it. While the engine is away there
//! is `audyn_engine_up 0` and nothing else: a figure that is not known is left out, not 0. Who may read it: whoever may read the page.

use std::fmt::Write as _;

use audyn_api::{
    FlowSnapshot, FlowState, INTERVAL_EDGES_NANOS, LATENESS_EDGES_NANOS, LegStatistics, RecorderState,
    RetentionSnapshot, RoomAlarmKind, Snapshot,
};
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::app::App;
use crate::flows::id_of;

/// The format's name and version, which the scraper asks for.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) fn add_routes(routes: Router<App>) -> Router<App> {
    routes.route("/metrics", get(metrics))
}

async fn metrics(State(app): State<App>) -> Response {
    let view = app.engine.view().ok();
    let text = write(view.as_deref().map(|view| &view.snapshot));
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}

/// The text being written. A family is written whole before the next begins, as the format wants it.
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let _ = write!(self.0, "{name}");
        for (n, (label, text)) in labels.iter().enumerate() {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{escaped}\"", if n == 0 { "{" } else { "," });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// Buckets by their upper edges in nanoseconds, of which there is one less than counts.
    fn histogram(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        edges: &[u64],
        counts: &[u64],
        sum_nanos: f64,
    ) {
        let mut all = 0;
        let edges = edges.iter().map(|edge| (*edge as f64 / 1e9).to_string()).chain(["+Inf".to_owned()]);
        for (edge, count) in edges.zip(counts) {
            all += count;
            let labels: Vec<_> = labels.iter().copied().chain([("le", edge.as_str())]).collect();
            self.sample(&format!("{name}_bucket"), &labels, all as f64);
        }
        self.sample(&format!("{name}_sum"), labels, sum_nanos / 1e9);
        self.sample(&format!("{name}_count"), labels, all as f64);
    }

    /// A family with a sample of each leg that has a figure.
    fn legs(
        &mut self,
        snapshot: &Snapshot,
        name: &str,
        kind: &str,
        help: &str,
        of: impl Fn(&LegStatistics) -> Option<f64>,
    ) {
        self.family(name, kind, help);
        for (flow, leg, statistics) in legs(snapshot) {
            if let Some(value) = of(statistics) {
                self.sample(name, &[("source", flow), ("leg", leg)], value);
            }
        }
    }

    /// A family with a sample of each flow.
    fn flows(
        &mut self,
        snapshot: &Snapshot,
        name: &str,
        kind: &str,
        help: &str,
        of: impl Fn(&FlowSnapshot) -> f64,
    ) {
        self.family(name, kind, help);
        for flow in &snapshot.flows {
            self.sample(name, &[("source", id_of(flow))], of(flow));
        }
    }
}

/// Every leg: its flow, its number, its statistics.
fn legs(snapshot: &Snapshot) -> impl Iterator<Item = (&str, &'static str, &LegStatistics)> {
    snapshot.flows.iter().flat_map(|flow| {
        ["1", "2"]
            .into_iter()
            .zip(&flow.statistics)
            .map(move |(leg, statistics)| (id_of(flow), leg, statistics))
    })
}

fn write(snapshot: Option<&Snapshot>) -> String {
    let mut text = Text(String::with_capacity(16 * 1024));
    text.one(
        "audyn_engine_up",
        "gauge",
        "Whether the engine answers.",
        f64::from(u8::from(snapshot.is_some())),
    );
    if let Some(snapshot) = snapshot {
        engine(&mut text, snapshot);
        of_flows(&mut text, snapshot);
        of_legs(&mut text, snapshot);
        timing(&mut text, snapshot);
        recorders(&mut text, snapshot);
    }
    text.0
}

fn engine(text: &mut Text, snapshot: &Snapshot) {
    let capture = &snapshot.capture;
    let started = snapshot.started.as_nanos() as f64 / 1e9;
    text.one(
        "audyn_engine_start_time_seconds",
        "gauge",
        "When the engine started, since 1970 in UTC.",
        started,
    );
    let free = snapshot.disk.free_bytes as f64;
    text.one("audyn_archive_free_bytes", "gauge", "Room left on the volume of the archive.", free);
    text.one("audyn_archive_size_bytes", "gauge", "Size of that volume.", snapshot.disk.total_bytes as f64);
    room(text, &snapshot.retention);
    let (datagrams, missed) = (capture.datagrams as f64, capture.missed_ticks as f64);
    text.one("audyn_capture_datagrams_total", "counter", "Datagrams taken from the kernel.", datagrams);
    text.one(
        "audyn_capture_missed_ticks_total",
        "counter",
        "Ticks that passed while capture was late.",
        missed,
    );
    let exhausted = capture.slots_exhausted as f64;
    text.one(
        "audyn_capture_slots_exhausted_total",
        "counter",
        "Turns on which a flow had no free slot.",
        exhausted,
    );
    let realtime = f64::from(u8::from(capture.realtime));
    text.one("audyn_capture_realtime", "gauge", "Whether capture runs at real-time priority.", realtime);
    let late = &snapshot.lateness;
    let name = "audyn_capture_wakeup_lateness_seconds";
    text.family(name, "histogram", "How late capture woke after its ticks.");
    text.histogram(name, &[], &LATENESS_EDGES_NANOS, &late.counts, late.sum_nanos as f64);
    let name = "audyn_capture_wakeup_lateness_last_minute_max_seconds";
    text.one(name, "gauge", "The latest of the last minute.", late.last_minute_worst_nanos as f64 / 1e9);
}

fn room(text: &mut Text, retention: &RetentionSnapshot) {
    let floor = retention.floor_bytes as f64;
    text.one("audyn_archive_floor_bytes", "gauge", "Room that the volume shall keep.", floor);
    let rate = retention.bytes_per_second as f64;
    text.one("audyn_archive_written_bytes_per_second", "gauge", "What all recorders write together.", rate);
    if let Some(left) = retention.seconds_left {
        let help = "Until the volume is full at this rate; left out while that is not foreseen.";
        text.one("audyn_archive_seconds_left", "gauge", help, left as f64);
    }
    let (deleted, bytes) = (retention.deleted as f64, retention.deleted_bytes as f64);
    text.one("audyn_retention_deleted_total", "counter", "Recordings that limits have deleted.", deleted);
    text.one("audyn_retention_deleted_bytes_total", "counter", "Bytes of those.", bytes);
    let name = "audyn_archive_alarm";
    text.family(name, "gauge", "Whether an alarm of the room on the volume stands.");
    for (kind, word) in [
        (RoomAlarmKind::FullSoon, "full-soon"),
        (RoomAlarmKind::BelowFloor, "below-floor"),
        (RoomAlarmKind::ClockDoubted, "clock-doubted"),
        (RoomAlarmKind::Undeletable, "undeletable"),
        (RoomAlarmKind::Fruitless, "fruitless"),
    ] {
        let stands = retention.alarms.iter().any(|alarm| alarm.kind == kind);
        text.sample(name, &[("kind", word)], f64::from(u8::from(stands)));
    }
}

fn of_flows(text: &mut Text, snapshot: &Snapshot) {
    let receiving = |flow: &FlowSnapshot| f64::from(u8::from(flow.state == FlowState::Receiving));
    text.flows(snapshot, "audyn_flow_receiving", "gauge", "Whether audio comes.", receiving);
    text.flows(
        snapshot,
        "audyn_flow_filled_frames_total",
        "counter",
        "Frames filled with silence.",
        |flow| flow.counters.lost_frames as f64,
    );
    text.flows(snapshot, "audyn_flow_gaps_total", "counter", "Gaps entered in the ledger.", |flow| {
        flow.counters.gaps as f64
    });
    let help = "Datagrams that the kernel dropped since the receive buffer was full.";
    text.flows(snapshot, "audyn_flow_kernel_dropped_packets_total", "counter", help, |flow| {
        flow.counters.kernel_dropped as f64
    });
    let name = "audyn_flow_refused_packets_total";
    text.family(name, "counter", "Datagrams refused, by the reason.");
    for flow in &snapshot.flows {
        let c = &flow.counters;
        for (reason, count) in [
            ("too_short", c.too_short),
            ("bad_version", c.bad_version),
            ("malformed", c.malformed),
            ("wrong_payload_type", c.wrong_payload_type),
            ("wrong_size", c.wrong_size),
            ("oversized", c.oversized),
            ("foreign_source", c.foreign_source),
        ] {
            text.sample(name, &[("source", id_of(flow)), ("reason", reason)], count as f64);
        }
    }
}

/// One figure of a leg: name, help, and where it is.
type Figure = (&'static str, &'static str, fn(&LegStatistics) -> u64);

fn of_legs(text: &mut Text, snapshot: &Snapshot) {
    let counters: [Figure; 8] = [
        ("audyn_flow_packets_total", "Valid packets, copies and late ones among them.", |leg| {
            leg.since_start.packets
        }),
        ("audyn_flow_received_bytes_total", "Bytes of those, RTP headers included.", |leg| {
            leg.since_start.bytes
        }),
        ("audyn_flow_expected_packets_total", "Packets that should have come (RFC 3550 A.3).", |leg| {
            leg.expected
        }),
        ("audyn_flow_reordered_packets_total", "Came after a later one.", |leg| leg.since_start.reordered),
        ("audyn_flow_duplicated_packets_total", "Came again.", |leg| leg.since_start.duplicated),
        ("audyn_flow_late_packets_total", "Came after their place had been filled.", |leg| {
            leg.since_start.late
        }),
        ("audyn_flow_sequence_restarts_total", "Times that the counters began anew.", |leg| leg.restarts),
        ("audyn_flow_timestamp_jumps_total", "Times that the timestamps jumped.", |leg| leg.timestamp_jumps),
    ];
    for (name, help, of) in counters {
        text.legs(snapshot, name, "counter", help, |leg| Some(of(leg) as f64));
    }
    // A straggler lowers these, and a counter must not fall.
    let gauges: [Figure; 3] = [
        ("audyn_flow_lost_packets", "Sequence numbers that did not come, since the start.", |leg| {
            leg.since_start.lost
        }),
        ("audyn_flow_lost_frames", "Frames that did not come, since the start.", |leg| {
            leg.since_start.lost_frames
        }),
        (
            "audyn_flow_lost_last_minute_packets",
            "Sequence numbers that did not come in the last minute.",
            |leg| leg.last_minute.lost,
        ),
    ];
    for (name, help, of) in gauges {
        text.legs(snapshot, name, "gauge", help, |leg| Some(of(leg) as f64));
    }
    let name = "audyn_flow_dscp_seen";
    text.family(name, "gauge", "Differentiated services code points that were seen.");
    for (flow, leg, statistics) in legs(snapshot) {
        for dscp in &statistics.dscps {
            text.sample(name, &[("source", flow), ("leg", leg), ("dscp", &dscp.to_string())], 1.0);
        }
    }
    let help = "The least TTL or hop limit that was seen.";
    text.legs(snapshot, "audyn_flow_ttl_min_hops", "gauge", help, |leg| leg.ttl_min.map(f64::from));
}

fn timing(text: &mut Text, snapshot: &Snapshot) {
    let seconds = |nanos: i64| nanos as f64 / 1e9;
    let help = "Interarrival jitter (RFC 3550 6.4.1).";
    text.legs(snapshot, "audyn_flow_jitter_seconds", "gauge", help, |leg| Some(seconds(leg.jitter_nanos)));
    let help = "Greatest jitter of the last minute.";
    text.legs(snapshot, "audyn_flow_jitter_last_minute_max_seconds", "gauge", help, |leg| {
        Some(seconds(leg.last_minute.jitter_max_nanos))
    });
    let help = "Time-stamped delay factor of the last whole second (EBU Tech 3337).";
    text.legs(snapshot, "audyn_flow_ts_df_seconds", "gauge", help, |leg| leg.ts_df_nanos.map(seconds));
    let help = "Greatest time-stamped delay factor of the last minute.";
    text.legs(snapshot, "audyn_flow_ts_df_last_minute_max_seconds", "gauge", help, |leg| {
        leg.last_minute.ts_df_max_nanos.map(seconds)
    });
    let help = "Arrival less media time of the last packet.";
    text.legs(snapshot, "audyn_flow_link_offset_seconds", "gauge", help, |leg| {
        leg.link_offset_nanos.map(seconds)
    });
    let name = "audyn_flow_interarrival_seconds";
    text.family(name, "histogram", "Time between two arrivals.");
    for (flow, leg, statistics) in legs(snapshot) {
        let all = &statistics.since_start;
        let labels = [("source", flow), ("leg", leg)];
        text.histogram(name, &labels, &INTERVAL_EDGES_NANOS, &all.intervals, all.interval_sum_nanos as f64);
    }
}

fn recorders(text: &mut Text, snapshot: &Snapshot) {
    let mut family =
        |name: &str, kind: &str, help: &str, of: &dyn Fn(&audyn_api::RecorderSnapshot) -> f64| {
            text.family(name, kind, help);
            for recorder in &snapshot.recorders {
                text.sample(name, &[("recorder", &recorder.id)], of(recorder));
            }
        };
    family("audyn_recorder_recording", "gauge", "Whether it records.", &|recorder| {
        f64::from(u8::from(recorder.state == RecorderState::Recording))
    });
    family("audyn_recorder_failed", "gauge", "Whether it wants to record and cannot.", &|recorder| {
        f64::from(u8::from(recorder.state == RecorderState::Error))
    });
    family(
        "audyn_recorder_written_frames",
        "gauge",
        "Frames of the running recording that came.",
        &|recorder| recorder.frames_written.0 as f64,
    );
    family(
        "audyn_recorder_filled_frames",
        "gauge",
        "Frames of the running recording that are silence instead.",
        &|recorder| recorder.frames_filled.0 as f64,
    );
}
