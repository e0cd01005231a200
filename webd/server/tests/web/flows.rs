//! Statistics of flows: as JSON, and for Prometheus.

use std::collections::{BTreeMap, BTreeSet};

use audyn_api::{
    FlowSnapshot, INTERVAL_EDGES_NANOS, LATENESS_EDGES_NANOS, LegCounters, LegPeriod, LegSnapshot, LegState,
    LegStatistics, SourceId, WakeupLateness,
};
use audyn_units::Ssrc;
use serde_json::json;

use crate::common::Harness;

fn leg() -> LegStatistics {
    let mut intervals = vec![0; INTERVAL_EDGES_NANOS.len() + 1];
    (intervals[14], intervals[15], intervals[35]) = (9_990, 8, 1);
    LegStatistics {
        sender: Some([192, 0, 2, 9].into()),
        dscps: vec![0, 34],
        ttl_min: Some(15),
        ttl_max: Some(15),
        expected: 10_003,
        rfc3550_lost: 3,
        jitter_nanos: 20_833,
        ts_df_nanos: Some(68_000),
        since_start: LegPeriod {
            packets: 10_000,
            lost: 3,
            intervals,
            interval_sum_nanos: 10_000_000_000,
            ..LegPeriod::default()
        },
        last_minute: LegPeriod { packets: 600, ..LegPeriod::default() },
        ..LegStatistics::default()
    }
}

async fn harness() -> Harness {
    Harness::with(|state| {
        let two = FlowSnapshot {
            source: Some(SourceId::new("two-legs").unwrap()),
            address: "239.1.2.3:5004".to_owned(),
            statistics: vec![leg(), LegStatistics { ts_df_nanos: None, ..leg() }],
            ..FlowSnapshot::default()
        };
        let odd = FlowSnapshot {
            address: "odd \"name\\".to_owned(),
            statistics: vec![leg()],
            ..FlowSnapshot::default()
        };
        state.snapshot.flows =
            vec![two, odd, FlowSnapshot { address: "239.1.2.4:5004".to_owned(), ..FlowSnapshot::default() }];
        let mut counts = vec![0; LATENESS_EDGES_NANOS.len() + 1];
        (counts[0], counts[3]) = (70, 30);
        state.snapshot.lateness = WakeupLateness {
            worst_nanos: 90_000,
            last_minute_worst_nanos: 80_000,
            sum_nanos: 1_000_000,
            counts,
        };
    })
    .await
}

#[tokio::test]
async fn a_flow_is_told_by_its_source_or_its_address() {
    let harness = harness().await;
    for address in ["/api/flows/two-legs", "/api/flows/239.1.2.3:5004", "/api/flows/two-legs/"] {
        let flow = harness.get(address).await.json();
        assert_eq!(
            (flow["id"].as_str(), flow["legs"].as_array().map(Vec::len)),
            (Some("two-legs"), Some(2)),
            "{flow}"
        );
        let leg = &flow["legs"][0];
        assert_eq!(
            (leg["jitter_nanos"].as_i64(), leg["dscps"].to_string()),
            (Some(20_833), "[0,34]".to_owned())
        );
        assert_eq!(
            (leg["since_start"]["packets"].as_u64(), leg["last_minute"]["packets"].as_u64()),
            (Some(10_000), Some(600))
        );
        let edges = leg["since_start"]["interval_edges_nanos"].as_array().map(Vec::len);
        assert_eq!(edges.map(|edges| edges + 1), leg["since_start"]["intervals"].as_array().map(Vec::len));
    }
    assert_eq!(harness.get("/api/flows").await.json().as_array().map(Vec::len), Some(3));
    let problem = harness.get("/api/flows/none").await.problem(404);
    assert!(problem["detail"].as_str().unwrap().contains("`none`"), "{problem}");
}

#[tokio::test]
async fn the_legs_are_told_wherever_the_flow_is() {
    let harness = Harness::with(|state| {
        let flow = &mut state.snapshot.flows[0];
        flow.legs = vec![
            LegSnapshot {
                address: "239.1.2.3:5004".to_owned(),
                interface: Some("eth0".to_owned()),
                state: LegState::Receiving,
                ssrc: Some(Ssrc(0xbeef)),
                sender: Some([192, 0, 2, 9].into()),
                counters: LegCounters { received: 10_000, used: 9_999, lost: 2, ..LegCounters::default() },
                receive_buffer_bytes: 4096,
                ..LegSnapshot::default()
            },
            LegSnapshot {
                address: "239.2.2.3:5004".to_owned(),
                state: LegState::Failed,
                behind_nanos: 7,
                error: Some("no cable".to_owned()),
                ..LegSnapshot::default()
            },
        ];
        flow.statistics = vec![leg(), leg()];
    })
    .await;
    let legs = harness.get("/api/recorders/r1").await.json()["legs"].clone();
    assert_eq!(
        legs[0],
        json!({
            "address": "239.1.2.3:5004", "interface": "eth0", "state": "receiving", "ssrc": "0000beef",
            "sender": "192.0.2.9", "behind_nanos": 0, "receive_buffer_bytes": 4096, "error": null,
            "counters": {
                "received": 10_000, "bytes": 0, "used": 9_999, "lost": 2, "late": 0, "reordered": 0, "duplicated": 0,
                "foreign": 0, "differing": 0, "refused": 0, "kernel_dropped": 0,
            },
        })
    );
    assert_eq!((&legs[1]["state"], &legs[1]["error"]), (&json!("failed"), &json!("no cable")));
    assert_eq!(harness.get("/api/control/status").await.json()["flows"][0]["legs"], legs);
    let flows = harness.get("/api/flows").await.json();
    for (n, told) in legs.as_array().unwrap().iter().enumerate() {
        for name in ["address", "state", "error", "behind_nanos", "counters"] {
            assert_eq!(flows[0]["legs"][n][name], told[name], "{name}");
        }
    }
    // Its recorder has no source.
    assert_eq!(harness.get("/api/recorders/r2").await.json()["legs"], json!([]));
}

/// What a scraper makes of the text: each sample by its name and labels. Panics at what the format forbids.
fn scrape(text: &str) -> BTreeMap<String, f64> {
    let (mut samples, mut families, mut kinds) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
    let mut family = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            assert!(families.insert(name.to_owned()), "{name} stands twice");
            assert!(!help.is_empty() && name.starts_with("audyn_"), "{line}");
            let kinds = ["counter", "gauge", "histogram", "summary"];
            assert!(
                !name.split('_').any(|part| kinds.contains(&part)),
                "{name} names its kind, which promtool does not like"
            );
            family = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, family);
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            kinds.insert(family.clone(), kind.to_owned());
        } else {
            let (sample, value) = line.rsplit_once(' ').expect("a value");
            let name = sample.split('{').next().unwrap();
            let of = if kinds[&family] == "histogram" {
                ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|end| name.strip_suffix(end))
                    .expect("a part of a histogram")
            } else {
                name
            };
            assert_eq!(of, family, "{line}");
            assert!(
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'),
                "{name}"
            );
            assert!(sample.find('{').is_none_or(|_| sample.ends_with('}')), "{line}");
            assert!(
                samples.insert(sample.to_owned(), value.parse().expect("a number")).is_none(),
                "{line} stands twice"
            );
        }
    }
    samples
}

#[tokio::test]
async fn prometheus_reads_what_the_engine_counts() {
    let harness = harness().await;
    let answer = harness.get("/metrics").await;
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = String::from_utf8(answer.bytes.clone()).unwrap();
    let samples = scrape(&text);
    for (name, value) in [
        ("audyn_engine_up", 1.0),
        ("audyn_flow_packets_total{source=\"two-legs\",leg=\"1\"}", 10_000.0),
        ("audyn_flow_packets_total{source=\"two-legs\",leg=\"2\"}", 10_000.0),
        ("audyn_flow_lost_packets{source=\"odd \\\"name\\\\\",leg=\"1\"}", 3.0),
        ("audyn_flow_jitter_seconds{source=\"two-legs\",leg=\"1\"}", 0.000_020_833),
        ("audyn_flow_ts_df_seconds{source=\"two-legs\",leg=\"1\"}", 0.000_068),
        ("audyn_flow_dscp_seen{source=\"two-legs\",leg=\"1\",dscp=\"34\"}", 1.0),
        ("audyn_flow_interarrival_seconds_bucket{source=\"two-legs\",leg=\"1\",le=\"0.000841\"}", 0.0),
        ("audyn_flow_interarrival_seconds_bucket{source=\"two-legs\",leg=\"1\",le=\"0.00119\"}", 9_990.0),
        ("audyn_flow_interarrival_seconds_bucket{source=\"two-legs\",leg=\"1\",le=\"+Inf\"}", 9_999.0),
        ("audyn_flow_interarrival_seconds_count{source=\"two-legs\",leg=\"1\"}", 9_999.0),
        ("audyn_flow_interarrival_seconds_sum{source=\"two-legs\",leg=\"1\"}", 10.0),
        ("audyn_capture_wakeup_lateness_seconds_bucket{le=\"0.0001\"}", 100.0),
        ("audyn_capture_wakeup_lateness_seconds_count", 100.0),
        ("audyn_capture_wakeup_lateness_last_minute_max_seconds", 0.000_08),
        ("audyn_archive_floor_bytes", 50.0),
        ("audyn_archive_written_bytes_per_second", 6.0),
        ("audyn_archive_seconds_left", 100.0),
        ("audyn_retention_deleted_total", 2.0),
        ("audyn_retention_deleted_bytes_total", 70.0),
        ("audyn_archive_alarm{kind=\"full-soon\"}", 1.0),
        ("audyn_archive_alarm{kind=\"below-floor\"}", 0.0),
        ("audyn_archive_alarm{kind=\"fruitless\"}", 0.0),
    ] {
        assert_eq!(samples.get(name), Some(&value), "{name}\n{text}");
    }
    assert!(
        !samples
            .keys()
            .any(|name| name.starts_with("audyn_flow_ts_df_seconds") && name.contains("leg=\"2\""))
    );
}

#[tokio::test]
async fn an_engine_that_is_away_is_a_figure_too() {
    let harness = Harness::unconnected(|_| {});
    let answer = harness.get("/metrics").await;
    let samples = scrape(&String::from_utf8(answer.bytes.clone()).unwrap());
    assert_eq!(samples.into_iter().collect::<Vec<_>>(), [("audyn_engine_up".to_owned(), 0.0)]);
}
