//! `/api/recorders` and `/api/control` against a fake engine.

use audyn_api::{Event, Refusal, RefusalKind, Request};
use axum::http::Method;
use serde_json::{Value, json};

use crate::common::{self, Harness, in_time};

#[tokio::test]
async fn the_list_has_what_existing_clients_read() {
    let harness = Harness::new().await;
    harness.send_levels(-20.0).await;
    for path in ["/api/recorders", "/api/recorders/"] {
        let list = harness.get(path).await.json();
        assert_eq!(list.as_array().unwrap().len(), 2);
        let mut one = list[0].clone();
        let config = one.as_object_mut().unwrap().remove("config").unwrap();
        assert_eq!(
            one,
            json!({
                "id": "r1", "name": "Recorder r1", "enabled": true, "state": "recording", "studio_id": "blue",
                "levels": [
                    { "name": "L", "level_db": -20.0, "level_linear": 0.1, "peak_db": -6.0, "clipping": true },
                    { "name": "R", "level_db": -144.0, "level_linear": 0.0, "peak_db": -6.0, "clipping": true },
                ],
                "start_time": "2026-01-10T14:30:00.25Z", "bytes_written": 288_000, "current_file": "r1/now.wav",
                "errors": ["the disk is slow"], "flow_state": "receiving", "frames_written": 47_904,
                "frames_filled": 96, "lost_frames": 96, "lost_seconds": 0.002, "gaps": 2, "rate": 48_000,
                "channel_names": ["L", "R"],
                "timing": {
                    "placement": "arrival", "quality": "ntp", "drift_ppm": 1.5, "behind_nanos": 1_500_000,
                },
                "legs": [], "pending_limits": null,
            })
        );
        assert_eq!((&config["revision"], &config["id"]), (&json!(7), &json!("r1")));
        assert_eq!(config["archive"]["period_seconds"], 3600);
        assert_eq!((&list[1]["state"], &list[1]["lost_seconds"]), (&json!("stopped"), &json!(0.0)));
        assert_eq!((&list[1]["start_time"], &list[1]["levels"]), (&Value::Null, &json!([])));
    }
}

#[tokio::test]
async fn one_recorder_and_its_levels() {
    let harness = Harness::new().await;
    assert_eq!(harness.get("/api/recorders/r1").await.json()["id"], "r1");
    assert_eq!(harness.get("/api/recorders/r1/levels").await.json(), json!([]));
    harness.send_levels(-20.0).await;
    assert_eq!(harness.get("/api/recorders/r1/levels/").await.json()[0]["level_db"], -20.0);
    assert_eq!(harness.get("/api/recorders/r2/levels").await.json(), json!([]));
    for path in
        ["/api/recorders/r3", "/api/recorders/r3/levels", "/api/recorders/R%201", "/api/recorders/%00"]
    {
        harness.get(path).await.problem(404);
    }
    harness.get("/api/recorders/%ff").await.problem(400);
}

#[tokio::test]
async fn orders_answer_with_the_state_after_them() {
    let harness = Harness::new().await;
    let post = |path: &'static str| harness.call(Method::POST, path);
    assert_eq!(post("/api/recorders/r2/start").await.json()["state"], "recording");
    // The fake engine sends no event: what is read now comes of the order itself.
    assert_eq!(harness.get("/api/recorders/r2").await.json()["state"], "recording");
    assert_eq!(post("/api/recorders/r2/stop/").await.json()["state"], "stopped");
    assert_eq!(post("/api/recorders/start-all").await.json()[1]["state"], "recording");
    assert_eq!(post("/api/recorders/stop-all").await.json()[0]["state"], "stopped");
    assert_eq!(harness.get("/api/recorders/r1").await.json()["state"], "stopped");
    post("/api/recorders/r3/start").await.problem(404);
    post("/api/recorders/..%2f/stop").await.problem(404);
    let id = |id| audyn_api::RecorderId::new(id).unwrap();
    let asked = harness.asked();
    assert_eq!(asked[..2], [Request::Start(id("r2")), Request::Stop(id("r2"))]);
    assert_eq!(asked[2..4], [Request::StartAll, Request::StopAll]);
    harness.get("/api/recorders/r2/start").await.problem(405);
    harness.call(Method::DELETE, "/api/recorders").await.problem(405);
}

#[tokio::test]
async fn each_refusal_has_its_status() {
    let harness = Harness::new().await;
    for (kind, status) in [
        (RefusalKind::Invalid, 422),
        (RefusalKind::NotFound, 404),
        (RefusalKind::Conflict, 409),
        (RefusalKind::Forbidden, 403),
        (RefusalKind::Failed, 500),
        (RefusalKind::Version, 502),
    ] {
        harness.state.lock().unwrap().refuse =
            Some(Refusal { kind, detail: "because of the moon".to_owned() });
        let problem = harness.call(Method::POST, "/api/recorders/r1/start").await.problem(status);
        assert_eq!(problem["detail"], "because of the moon");
    }
    harness.state.lock().unwrap().refuse = None;
    harness.state.lock().unwrap().babble = true;
    harness.call(Method::POST, "/api/recorders/r1/start").await.problem(502);
}

#[tokio::test]
async fn the_active_count_is_read_and_set() {
    let harness = Harness::new().await;
    assert_eq!(harness.get("/api/recorders/active-count").await.json(), json!({ "count": 6, "max": 64 }));
    let put = |path: &'static str| harness.call(Method::PUT, path);
    assert_eq!(put("/api/recorders/active-count/12").await.json()["count"], 12);
    assert_eq!(harness.get("/api/recorders/active-count/").await.json()["count"], 12);
    for bad in ["0", "65", "256", "-1", "1.5", "x"] {
        let path = format!("/api/recorders/active-count/{bad}");
        assert_eq!(harness.call(Method::PUT, &path).await.problem(422)["field"], "n");
    }
    assert_eq!(harness.asked().len(), 1);
}

/// The configuration of `r1` as a GET shows it.
async fn read_config(harness: &Harness) -> Value {
    harness.get("/api/recorders/r1").await.json()["config"].clone()
}

#[tokio::test]
async fn a_configuration_is_read_changed_and_sent_back() {
    let harness = Harness::new().await;
    let mut config = read_config(&harness).await;
    config["name"] = json!("Control room");
    config["archive"]["period_seconds"] = json!(900);
    let path = "/api/recorders/r1/config";
    let after = harness.send(Method::PUT, path, &[], config.to_string()).await.json();
    assert_eq!(after["config"]["revision"], 8);
    assert_eq!(after["config"]["archive"]["period_seconds"], 900);
    assert_eq!(read_config(&harness).await["name"], "Control room");

    // The same again was made from revision 7, which is past: nothing changes.
    config["name"] = json!("Too late");
    let problem = harness.send(Method::PUT, path, &[], config.to_string()).await.problem(409);
    assert!(problem["detail"].as_str().unwrap().contains("changed"));
    assert_eq!(read_config(&harness).await["name"], "Control room");

    // By header instead of body, stale and right; and without either, from what holds now.
    config.as_object_mut().unwrap().remove("revision");
    harness.send(Method::PUT, path, &[("if-match", "\"7\"")], config.to_string()).await.problem(409);
    harness.send(Method::PUT, path, &[("if-match", "\"8\"")], config.to_string()).await.json();
    config["name"] = json!("Last");
    assert_eq!(
        harness.send(Method::PUT, path, &[], config.to_string()).await.json()["config"]["revision"],
        10
    );
}

#[tokio::test]
async fn a_wrong_configuration_names_the_field_and_reaches_nobody() {
    let harness = Harness::new().await;
    let path = "/api/recorders/r1/config";
    for (body, field) in [
        (r#"{"name":"One","colour":"red"}"#, "colour"),
        (r#"{"name":"One","archive":{"period_secs":1}}"#, "archive.period_secs"),
        (r#"{"name":"One","archive":{"layout":"spiral"}}"#, "archive.layout"),
        (r#"{"name":7}"#, "name"),
        (r#"{"enabled":true}"#, "name"),
        (r#"{"name":"One","channels":[0,300]}"#, "channels[1]"),
        (r#"{"name":"One","source_id":"Not An Id"}"#, "source_id"),
        (r#"{"name":"One","id":"r2"}"#, "id"),
        (r#"{"name":"One","id":7}"#, "id"),
        (r#"{"name":"One","revision":"7"}"#, "revision"),
    ] {
        let problem = harness.send(Method::PUT, path, &[], body).await.problem(422);
        assert_eq!(problem["field"], field, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(field.rsplit('.').next().unwrap()), "{problem}");
    }
    for rubbish in ["", "{", "not json", "{\"name\":\"One\"} tail", "\u{0}"] {
        harness.send(Method::PUT, path, &[], rubbish).await.problem(400);
    }
    for other in ["[]", "7", "null", "\"text\""] {
        harness.send(Method::PUT, path, &[], other).await.problem(422);
    }
    let form = harness.send(Method::PUT, path, &[], "name=One");
    form.await.problem(400);
    let headers = [("content-type", "text/plain")];
    common::call(harness.app.router(), Method::PUT, path, &headers, r#"{"name":"One"}"#).await.problem(415);
    harness.send(Method::PUT, path, &[], vec![b' '; (1 << 20) + 1]).await.problem(413);
    harness.send(Method::PUT, "/api/recorders/r9/config", &[], r#"{"name":"One"}"#).await.problem(404);
    assert_eq!(harness.asked(), []);
}

#[tokio::test]
async fn the_status_tells_of_engine_disk_and_flows() {
    let harness = Harness::new().await;
    let status = harness.get("/api/control/status").await.json();
    assert_eq!(status["connected"], true);
    assert_eq!(
        status["engine"],
        json!({ "connected": true, "version": "9.8.7", "started": "2026-01-10T14:30:00Z", "uptime_seconds": 60.0 })
    );
    assert_eq!(
        (&status["recorders"], &status["recording"], &status["enabled"]),
        (&json!(2), &json!(1), &json!(1))
    );
    assert_eq!(status["disk"], json!({ "total_bytes": 1000, "free_bytes": 600 }));
    assert_eq!(
        status["room"],
        json!({
            "floor_bytes": 50, "bytes_per_second": 6, "seconds_left": 100, "deleted": 2, "deleted_bytes": 70,
            "pending": [{ "recorder": "studio-1", "acts_in_seconds": 7 }],
            "alarms": [{ "kind": "full-soon", "text": "full soon", "began": "2026-01-10T14:30:00Z" }],
        })
    );
    assert_eq!(status["warnings"], json!(["no SCHED_FIFO"]));
    let clock = &status["clock"];
    assert_eq!((&clock["quality"], &clock["tai_offset"]), (&json!("ptp-locked"), &json!(37)));
    assert_eq!(clock["grandmaster"], "00-1D-C1-FF-FE-12-34-56");
    assert_eq!((&clock["domain"], &clock["port"]), (&json!(5), &json!("eth1")));
    assert_eq!(
        clock["alarms"][0],
        json!({ "kind": "grandmaster-changed", "subject": "eth1", "text": "another", "began": "2026-01-10T14:30:00Z", "ended": null })
    );
    assert_eq!(status["flows"][0]["stamps"], "unknown");
    assert_eq!(status["flows"][0]["ssrc"], "0000beef");
    assert_eq!(status["flows"][0]["counters"]["kernel_dropped"], 0);
    assert_eq!(status["archive_root"], harness.archive().to_str().unwrap());
    harness.call(Method::POST, "/api/control/status").await.problem(405);
}

#[tokio::test]
async fn without_an_engine_everything_says_so() {
    let mut harness = Harness::new().await;
    harness.kill_engine().await;
    for path in
        ["/api/recorders", "/api/recorders/r1", "/api/recorders/r1/levels", "/api/recorders/active-count"]
    {
        let problem = harness.get(path).await.problem(503);
        assert!(problem["detail"].as_str().unwrap().contains("engine"), "{problem}");
    }
    for path in
        ["/api/assets/browse", "/api/assets/search?q=x", "/api/assets/stats", "/api/assets/download/x.wav"]
    {
        harness.get(path).await.problem(503);
    }
    for path in ["/api/recorders/r1/start", "/api/recorders/stop-all"] {
        let problem = harness.call(Method::POST, path).await.problem(503);
        assert!(problem["detail"].as_str().unwrap().contains("engine.sock"), "{problem}");
    }
    let status = harness.get("/api/control/status").await.json();
    assert_eq!((&status["connected"], &status["engine"]["connected"]), (&json!(false), &json!(false)));
    assert!(status["detail"].as_str().unwrap().contains("engine"), "{status}");
    assert_eq!(status.get("recorders"), None);
}

#[tokio::test]
async fn an_engine_of_another_version_is_a_bad_gateway() {
    let detail = "this engine speaks version 2".to_owned();
    let refusal = Refusal { kind: RefusalKind::Version, detail };
    let harness = Harness::unconnected(|state| state.refuse_hello = Some(refusal));
    harness.away("version 2").await;
    assert_eq!(harness.get("/api/recorders").await.problem(502)["detail"], "this engine speaks version 2");
    harness.call(Method::POST, "/api/recorders/r1/start").await.problem(502);
}

#[tokio::test]
async fn news_of_the_engine_is_followed_with_its_configuration() {
    let harness = Harness::new().await;
    let snapshot = {
        let mut state = harness.state.lock().unwrap();
        state.config.revision = 9;
        state.config.recorders[0].name = "Renamed".to_owned();
        state.snapshot.config_revision = 9;
        state.snapshot.sequence += 1;
        state.snapshot.recorders[0].name = "Renamed".to_owned();
        state.snapshot.clone()
    };
    let mut link = harness.app.engine.link();
    link.mark_unchanged();
    harness.events.send(Event::Snapshot(Box::new(snapshot.clone()))).unwrap();
    in_time(link.changed()).await.unwrap();
    let one = harness.get("/api/recorders/r1").await.json();
    assert_eq!((&one["name"], &one["config"]["name"]), (&json!("Renamed"), &json!("Renamed")));
    assert_eq!(one["config"]["revision"], 9);

    // What is older than what is known changes nothing; the marker behind it shows that it has been seen.
    let mut old = snapshot.clone();
    old.sequence = 1;
    old.recorders.clear();
    harness.events.send(Event::Snapshot(Box::new(old))).unwrap();
    harness.send_levels(-1.0).await;
    assert_eq!(harness.get("/api/recorders").await.json().as_array().unwrap().len(), 2);
}
