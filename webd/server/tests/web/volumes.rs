//! The volumes in `/api/control/status`, and `/api/system/volumes`.

use audyn_api::{
    DiskState, Refusal, RefusalKind, Request, RoomAlarm, RoomAlarmKind, VolumeIdentity, VolumeReport,
    VolumeSnapshot, VolumeStanding,
};
use audyn_units::Timestamp;
use axum::http::Method;
use serde_json::{Value, json};

use crate::common::Harness;

const ADOPT: &str = "/api/system/volumes/adopt";

#[tokio::test]
async fn the_status_tells_each_volume_and_how_long_its_room_lasts() {
    let harness = Harness::with(|state| {
        let archive = VolumeSnapshot {
            root: "/srv/recordings".to_owned(),
            standing: Some(VolumeStanding::Ours),
            disk: DiskState { total_bytes: 1_000, free_bytes: 600 },
            writing: 2,
            floor_bytes: 50,
            bytes_per_second: 6,
            seconds_left: Some(100),
            room_alarms: vec![RoomAlarm {
                kind: RoomAlarmKind::FullSoon,
                text: "full soon".to_owned(),
                began: Timestamp::from_nanos(1_768_055_400_000_000_000),
            }],
            ..VolumeSnapshot::default()
        };
        let mirror = VolumeSnapshot {
            root: "/srv/mirror".to_owned(),
            lacks: 3,
            copied: 4,
            alarms: vec!["the mirror is not there".to_owned()],
            ..VolumeSnapshot::default()
        };
        state.snapshot.volumes = vec![archive, mirror];
    })
    .await;
    let volumes = harness.get("/api/control/status").await.json()["volumes"].clone();
    assert_eq!(
        volumes,
        json!([
            {
                "role": "archive", "root": "/srv/recordings", "standing": "ours",
                "disk": { "total_bytes": 1_000, "free_bytes": 600 }, "writing": 2, "lacks": 0, "copied": 0,
                "alarms": [], "floor_bytes": 50, "bytes_per_second": 6, "seconds_left": 100,
                "room_alarms": [{ "kind": "full-soon", "text": "full soon", "began": "2026-01-10T14:30:00Z" }],
            },
            {
                "role": "mirror", "root": "/srv/mirror", "standing": null,
                "disk": { "total_bytes": 0, "free_bytes": 0 }, "writing": 0, "lacks": 3, "copied": 4,
                "alarms": ["the mirror is not there"], "floor_bytes": 0, "bytes_per_second": 0,
                "seconds_left": null, "room_alarms": [],
            },
        ])
    );
}

async fn with_another() -> Harness {
    let identity = |digit: &str| VolumeIdentity { id: digit.repeat(32), made: None, by: None };
    Harness::with(|state| {
        state.volumes = vec![VolumeReport {
            root: "/srv/recordings".to_owned(),
            standing: VolumeStanding::Another,
            expected: Some(identity("a")),
            found: Some(identity("b")),
            disk: DiskState { total_bytes: 1_000, free_bytes: 600 },
            note: Some("another volume is there".to_owned()),
        }];
    })
    .await
}

#[tokio::test]
async fn which_volume_is_there_and_which_belongs_there_is_looked_at() {
    let harness = with_another().await;
    let told = harness.get("/api/system/volumes").await.json();
    assert_eq!(
        (&told[0]["standing"], &told[0]["note"]),
        (&json!("another"), &json!("another volume is there"))
    );
    assert_eq!(told[0]["expected"]["id"], "a".repeat(32));
    assert_eq!(told[0]["found"]["id"], "b".repeat(32));
    assert_eq!(harness.asked(), [Request::Volumes]);
    harness.call(Method::POST, "/api/system/volumes").await.problem(405);
}

#[tokio::test]
async fn a_person_says_that_another_volume_is_the_right_one() {
    let harness = with_another().await;
    let post = async |body: Value| harness.send(Method::POST, ADOPT, &[], body.to_string()).await;
    assert_eq!(post(json!({ "root": "/srv/recordings" })).await.json()[0]["root"], "/srv/recordings");
    post(json!({ "root": "/srv/mirror", "who": "anna" })).await.json();
    let adopt = |root: &str, who: &str| Request::AdoptVolume { root: root.to_owned(), who: who.to_owned() };
    let expected = [adopt("/srv/recordings", "the web page"), adopt("/srv/mirror", "anna")];
    assert_eq!(harness.asked(), expected);
    for (body, field) in [
        (json!({}), "root"),
        (json!({ "root": 7 }), "root"),
        (json!({ "root": "/x", "volume": "b" }), "volume"),
    ] {
        assert_eq!(post(body).await.problem(422)["field"], field);
    }
    harness.get(ADOPT).await.problem(405);
    assert_eq!(harness.asked().len(), 2, "what is refused here is not asked");
    let detail = "the volume at /srv/recordings is the one of the mirror".to_owned();
    harness.state.lock().unwrap().refuse =
        Some(Refusal { kind: RefusalKind::Conflict, detail: detail.clone() });
    assert_eq!(post(json!({ "root": "/srv/recordings" })).await.problem(409)["detail"], detail);
}
