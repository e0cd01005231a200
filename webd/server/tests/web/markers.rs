//! `/api/recorders/{id}/markers`: what is marked goes to the engine, what is told comes from the archive.

use audyn_api::{Refusal, RefusalKind, Request};
use audyn_media::markers::{self, Marker};
use audyn_media::{Beneath, Facts, PcmDepth, WavSpec, WavWriter};
use audyn_units::{ChannelCount, FrameIndex, SampleRate, Timestamp};
use axum::http::Method;
use serde_json::{Value, json};

use crate::common::Harness;

const PATH: &str = "/api/recorders/r1/markers";

/// 2026-01-10T14:30:00 UTC in seconds.
const START: u64 = 1_768_055_400;

/// A second from `start` (of UTC since 1970) that is still recorded, with a gap in it and a marker in its midst.
fn record(harness: &Harness, start: u64) {
    record_as(harness, "now", start, SampleRate::HZ_48000);
}

fn record_as(harness: &Harness, name: &str, start: u64, rate: SampleRate) {
    let recorder = harness.archive().join("r1");
    std::fs::create_dir_all(recorder.join(".audyn")).unwrap();
    let spec = WavSpec { rate, channels: ChannelCount::MONO, depth: PcmDepth::Pcm16 };
    let hz = u64::from(rate.hz());
    let mut wav = WavWriter::create(recorder.join(format!("{name}.wav")), spec, &Facts::default()).unwrap();
    wav.append(&vec![1 << 20; hz as usize]).unwrap();
    wav.close().unwrap();
    let first = start * hz;
    let utc = jiff::Timestamp::from_second(start as i64).unwrap().to_string();
    let ledger = [
        json!({
            "audyn_ledger": 3, "recorder": "r1", "file": format!("{name}.wav"), "first_position": first,
            "start_utc": utc, "rate": hz, "channels": 1, "bits": 16, "placed_by": null, "clock": null,
            "tai_minus_utc": null,
        }),
        json!({ "position": first + 96, "frames": 48, "cause": "loss", "estimated": false }),
    ];
    let ledger = ledger.map(|line| format!("{line}\n")).concat();
    std::fs::write(recorder.join(format!("{name}.wav.gaps.jsonl")), ledger).unwrap();
    mark(harness, FrameIndex(first + hz / 2), rate);
}

fn mark(harness: &Harness, position: FrameIndex, rate: SampleRate) {
    let marker = Marker {
        audyn_marker: markers::VERSION,
        position,
        rate,
        kind: markers::PERSON.to_owned(),
        text: "goal, 2:1".to_owned(),
        who: "anna".to_owned(),
        made: "2026-01-10T14:30:01Z".to_owned(),
    };
    markers::add(&Beneath::root(&harness.archive().join("r1")).unwrap(), &marker).unwrap();
}

/// Kind and instant of each.
fn told_of(answer: &Value) -> Vec<(&str, &str)> {
    let markers = answer["markers"].as_array().unwrap();
    markers.iter().map(|one| (one["kind"].as_str().unwrap(), one["at"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_marker_is_the_engines_to_keep() {
    let harness = Harness::new().await;
    let post = async |body: Value| harness.send(Method::POST, PATH, &[], body.to_string()).await;
    let place = post(json!({ "text": "goal, 2:1" })).await.json();
    assert_eq!(place, json!({ "position": 86_700, "rate": 48_000, "at": "2026-01-10T14:30:00.25Z" }));
    let at = "2026-01-10T15:30:00.25+01:00";
    post(json!({ "text": "the quote", "at": at, "who": "anna" })).await.json();
    let Ok([now, then]) = <[Request; 2]>::try_from(harness.asked()) else { panic!("two questions") };
    let wish = |at, text: &str, who: &str| Request::Mark {
        id: audyn_api::RecorderId::new("r1").unwrap(),
        at,
        text: text.to_owned(),
        who: who.to_owned(),
    };
    assert_eq!(now, wish(None, "goal, 2:1", "the web page"));
    assert_eq!(then, wish(Some(Timestamp::from_nanos(1_768_055_400_250_000_000)), "the quote", "anna"));

    let bad = post(json!({ "text": "x", "at": "half past two" })).await.problem(422);
    assert_eq!(bad["field"], "at");
    assert_eq!(post(json!({ "text": "x", "colour": "red" })).await.problem(422)["field"], "colour");
    post(json!({})).await.problem(422);
    let unknown = "/api/recorders/no/such/markers";
    harness.send(Method::POST, unknown, &[], json!({ "text": "x" }).to_string()).await.problem(404);
    assert_eq!(harness.asked().len(), 2, "what is refused here is not asked");

    let detail = "recorder `r1` recorded nothing at that time".to_owned();
    harness.state.lock().unwrap().refuse =
        Some(Refusal { kind: RefusalKind::NotFound, detail: detail.clone() });
    assert_eq!(post(json!({ "text": "too early" })).await.problem(404)["detail"], detail);
}

#[tokio::test]
async fn what_was_marked_and_what_was_found_is_told_for_a_time() {
    let harness = Harness::new().await;
    let get = async |query: &str| harness.get(&format!("{PATH}{query}")).await;
    assert_eq!(get("").await.json(), json!({ "markers": [], "truncated": false }), "nothing was recorded");
    record(&harness, START);
    let hour = "?from=2026-01-10T14:00:00Z&to=2026-01-10T14:30:01Z";
    let goal = json!({
        "position": START * 48_000 + 24_000, "rate": 48_000, "at": "2026-01-10T14:30:00.5Z",
        "kind": "person", "text": "goal, 2:1", "who": "anna",
    });
    assert_eq!(get(hour).await.json()["markers"], json!([goal]));
    let all = get(&format!("{hour}&all=true")).await.json();
    let expected = [
        ("gap", "2026-01-10T14:00:00Z"),
        ("gap", "2026-01-10T14:30:00.002Z"),
        ("person", "2026-01-10T14:30:00.5Z"),
    ];
    assert_eq!(told_of(&all), expected);
    for (elsewhere, why) in [
        ("?from=2026-01-10T14:00:00Z&to=2026-01-10T14:30:00.4Z", "before it"),
        ("", "the last day"),
        ("?to=2026-01-10T14:00:00Z", "the day before"),
    ] {
        assert_eq!(get(elsewhere).await.json()["markers"], json!([]), "{why}");
    }
    for bad in ["?from=now", "?to=2026-01-10", "?from=2026-01-10T14:00:00Z&to=2026-01-10T14:00:00Z"] {
        get(bad).await.problem(422);
    }
    get("?from=2026-01-01T00:00:00Z&to=2026-03-01T00:00:00Z").await.problem(422);
    harness.get("/api/recorders/nobody/markers").await.problem(404);
}

#[tokio::test]
async fn of_what_is_recorded_now_the_end_is_no_gap() {
    let harness = Harness::new().await;
    record(&harness, jiff::Timestamp::now().as_second() as u64 - 1);
    let all = harness.get(&format!("{PATH}?all=true")).await.json();
    let kinds: Vec<_> = told_of(&all).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["gap", "gap", "person"], "before it, within it, and marked: {all}");
}

#[tokio::test]
async fn a_change_of_the_rate_costs_no_marker() {
    for rates in [[48_000, 96_000], [96_000, 48_000]] {
        let harness = Harness::new().await;
        let [before, after] = rates.map(|hz| SampleRate::new(hz).unwrap());
        record_as(&harness, "a", START, before);
        record_as(&harness, "b", START + 1, after);
        let window = "?from=2026-01-10T14:30:00Z&to=2026-01-10T14:30:02Z";
        let people = harness.get(&format!("{PATH}{window}")).await.json();
        let marked = [("person", "2026-01-10T14:30:00.5Z"), ("person", "2026-01-10T14:30:01.5Z")];
        assert_eq!(told_of(&people), marked, "{rates:?}");
        let all = harness.get(&format!("{PATH}{window}&all=true")).await.json();
        let kinds: Vec<_> = told_of(&all).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, ["gap", "person", "gap", "person"], "{rates:?} {all}");
    }
}

#[tokio::test]
async fn what_was_marked_since_the_last_question_is_told_though_the_disk_counts_less() {
    let harness = Harness::new().await;
    record(&harness, START);
    mark(&harness, FrameIndex((START + 2) * 48_000), SampleRate::HZ_48000);
    let since = harness.get(&format!("{PATH}?from=2026-01-10T14:30:01.5Z&to=2026-01-10T14:30:03Z")).await;
    assert_eq!(told_of(&since.json()), [("person", "2026-01-10T14:30:02Z")]);
}

#[tokio::test]
async fn no_link_leads_out_of_the_archive() {
    let harness = Harness::new().await;
    record(&harness, START);
    let elsewhere = harness.dir.path().join("elsewhere");
    std::fs::rename(harness.archive().join("r1"), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, harness.archive().join("r1")).unwrap();
    harness.get(&format!("{PATH}?to=2026-01-10T14:30:01Z")).await.problem(500);
}
