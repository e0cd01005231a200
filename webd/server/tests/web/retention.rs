//! `/api/recorders/{id}/retention`, and what a recorder tells of limits that wait.

use audyn_api::{
    FormatConfig, PendingLimits, ProposedLimits, ProposedRecorder, RecorderId, RecorderPlan, Refusal,
    RefusalKind, Request, RetentionConfig, RetentionPlan,
};
use audyn_units::Timestamp;
use axum::http::Method;
use serde_json::{Value, json};

use crate::common::Harness;

const PATH: &str = "/api/recorders/r1/retention";

const BEFORE: RetentionConfig = RetentionConfig { days: Some(90), bytes: None, make_room: false };

/// Of `r2` more would go than of `r1`.
fn plan() -> RetentionPlan {
    let of = |recorder: &str, recordings| RecorderPlan {
        recorder: recorder.to_owned(),
        recordings,
        files: 2 * recordings,
        bytes: 41_000_000_000,
        oldest: Timestamp::from_nanos(1_768_055_400_250_000_000),
        newest: Timestamp::from_nanos(1_768_055_460_000_000_000),
    };
    let waits = |recorder: Option<&str>, acts_in_seconds| PendingLimits {
        recorder: recorder.map(str::to_owned),
        acts_in_seconds,
        in_force: recorder.map(|_| BEFORE),
    };
    RetentionPlan {
        files: 1_424,
        bytes: 82_000_000_000,
        recorders: vec![of("r2", 400), of("r1", 312)],
        protected: 3,
        lacking_bytes: 5,
        pending: vec![waits(Some("r2"), 7), waits(None, 8), waits(Some("r1"), 3_600)],
        notes: vec!["the clock is not believed".to_owned()],
        ..RetentionPlan::default()
    }
}

async fn harness() -> Harness {
    Harness::with(|state| state.plan = plan()).await
}

#[tokio::test]
async fn what_a_recorders_limits_would_delete_is_told_of_that_recorder() {
    let harness = harness().await;
    let expected = json!({
        "recordings": 312, "files": 624, "bytes": 41_000_000_000_u64, "oldest": "2026-01-10T14:30:00.25Z",
        "newest": "2026-01-10T14:31:00Z", "acts_in_seconds": 3_600, "protected": 3, "lacking_bytes": 5,
        "notes": ["the clock is not believed"],
    });
    for path in [PATH, "/api/recorders/r1/retention/"] {
        assert_eq!(harness.get(path).await.json(), expected);
    }
    assert_eq!(harness.asked(), vec![Request::RetentionPlan(ProposedLimits::default()); 2]);
    harness.state.lock().unwrap().plan = RetentionPlan::default();
    let nothing = harness.get(PATH).await.json();
    assert_eq!((&nothing["recordings"], &nothing["bytes"]), (&json!(0), &json!(0)));
    for none in ["oldest", "newest", "acts_in_seconds"] {
        assert_eq!(nothing[none], Value::Null);
    }
}

#[tokio::test]
async fn limits_are_tried_and_nothing_is_set() {
    let harness = harness().await;
    let before = harness.get("/api/recorders/r1").await.json();
    let post = async |body: Value| harness.send(Method::POST, PATH, &[], body.to_string()).await;
    assert_eq!(post(json!({ "days": 30, "make_room": true })).await.json()["recordings"], 312);
    post(json!({})).await.json();
    let tried = |retention| {
        let id = RecorderId::new("r1").unwrap();
        let recorders = vec![ProposedRecorder { id, retention }];
        Request::RetentionPlan(ProposedLimits { recorders, volume: None })
    };
    let limits = RetentionConfig { days: Some(30), bytes: None, make_room: true };
    assert_eq!(harness.asked(), [tried(limits), tried(RetentionConfig::default())]);
    assert_eq!(harness.get("/api/recorders/r1").await.json(), before);
}

#[tokio::test]
async fn a_wrong_limit_is_named_and_reaches_nobody() {
    let harness = harness().await;
    let post = async |path: &str, body: &str| harness.send(Method::POST, path, &[], body.to_owned()).await;
    for (body, field) in [
        (r#"{"days":-1}"#, "days"),
        (r#"{"days":"30"}"#, "days"),
        (r#"{"bytes":1.5}"#, "bytes"),
        (r#"{"make_room":1}"#, "make_room"),
        (r#"{"hours":1}"#, "hours"),
    ] {
        assert_eq!(post(PATH, body).await.problem(422)["field"], field, "{body}");
    }
    post(PATH, "days=30").await.problem(400);
    for nobody in ["/api/recorders/r9/retention", "/api/recorders/..%2f/retention"] {
        post(nobody, "{}").await.problem(404);
        harness.get(nobody).await.problem(404);
    }
    harness.call(Method::PUT, PATH).await.problem(405);
    assert_eq!(harness.asked(), []);
    // What a value means is the engine's to judge.
    let detail = "recorder `r1`: retention: days 0 is outside 1 to 36500".to_owned();
    harness.state.lock().unwrap().refuse =
        Some(Refusal { kind: RefusalKind::Invalid, detail: detail.clone() });
    assert_eq!(post(PATH, r#"{"days":0}"#).await.problem(422)["detail"], detail);
}

#[tokio::test]
async fn limits_that_wait_are_told_with_what_takes_them_back() {
    let harness = Harness::with(|state| state.snapshot.retention.pending = plan().pending).await;
    let one = harness.get("/api/recorders/r1").await.json();
    let in_force = json!({ "days": 90, "bytes": null, "make_room": false });
    assert_eq!(one["pending_limits"], json!({ "acts_in_seconds": 3_600, "in_force": in_force }));

    // They are set back, and formats set, with the configuration that was read.
    let mut config = one["config"].clone();
    assert_eq!(config["retention"], json!({ "days": null, "bytes": null, "make_room": false }));
    config["retention"] = one["pending_limits"]["in_force"].clone();
    config["format"] = json!("flac");
    config["also"] = json!(["opus"]);
    config["opus"]["bitrate"] = json!(96_000);
    harness.send(Method::PUT, "/api/recorders/r1/config", &[], config.to_string()).await.json();
    let Ok([Request::PutRecorder { recorder, .. }]) = <[Request; 1]>::try_from(harness.asked()) else {
        panic!("one order")
    };
    assert_eq!(recorder.retention, BEFORE);
    assert_eq!((recorder.format, recorder.also), (FormatConfig::Flac, vec![FormatConfig::Opus]));
    assert_eq!(recorder.opus.bitrate, Some(96_000));
}
