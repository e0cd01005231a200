//! The contract's bytes and JSON, pinned.
//!
//! `golden/wire.txt` holds one line for each message: its name and the whole frame in hexadecimal.
//! `golden/*.json` hold the configuration files and the snapshot as JSON. A test that fails here says that the
//! contract drifted: raise `audyn_api::VERSION` (or undo the change), then run with `AUDYN_GOLDEN=write` and
//! review the difference as you would review code. Appended enum variants add lines and change none.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "golden/samples.rs"]
mod samples;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use audyn_api::frame::{self, MAX_BODY};
use audyn_api::{
    ArchiveClock, ClientFrame, FormatConfig, GlobalConfig, Layout, MAGIC, RecorderConfig, RecorderId,
    ServerFrame, SourceConfig, VERSION,
};
use audyn_units::{Encoding, SkewClass};
use serde::Serialize;
use serde::de::DeserializeOwned;

use samples::*;

// ---- How it is compared.

fn golden_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn compare(name: &str, now: &str) {
    let path = golden_path(name);
    if std::env::var("AUDYN_GOLDEN").is_ok_and(|mode| mode == "write") {
        std::fs::write(&path, now).unwrap();
    }
    let pinned = std::fs::read_to_string(&path).expect("the golden file is part of the repository");
    for (number, (was, is)) in pinned.lines().zip(now.lines()).enumerate() {
        assert_eq!(is, was, "the contract drifted at golden/{name}:{}", number + 1);
    }
    assert_eq!(
        now.lines().count(),
        pinned.lines().count(),
        "golden/{name} has other lines than the contract"
    );
}

fn hex<T: Serialize>(value: &T) -> String {
    let mut bytes = Vec::new();
    frame::encode(value, &mut bytes).unwrap();
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

/// Takes a pinned line apart again with the reader's half of the framing.
fn decode<T: DeserializeOwned>(line_of: &str) -> T {
    let pinned = std::fs::read_to_string(golden_path("wire.txt")).unwrap();
    let line = pinned.lines().find_map(|line| line.strip_prefix(&format!("{line_of} "))).unwrap();
    let bytes = unhex(line);
    let (prefix, body) = bytes.split_first_chunk::<4>().unwrap();
    assert_eq!(frame::body_length(*prefix, MAX_BODY).unwrap(), body.len());
    frame::decode_body(body).unwrap()
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

// ---- The tests.

#[test]
fn the_bytes_on_the_wire() {
    let mut text = format!("version {VERSION}\nmagic {}\n", MAGIC.map(|b| format!("{b:02x}")).concat());
    for (name, frame) in client_frames() {
        writeln!(text, "{name} {}", hex(&frame)).unwrap();
    }
    for (name, frame) in server_frames() {
        writeln!(text, "{name} {}", hex(&frame)).unwrap();
    }
    compare("wire.txt", &text);
}

#[test]
fn pinned_bytes_are_understood() {
    for (name, frame) in client_frames() {
        assert_eq!(decode::<ClientFrame>(&name), frame, "{name}");
    }
    for (name, frame) in server_frames() {
        assert_eq!(decode::<ServerFrame>(&name), frame, "{name}");
    }
}

/// postcard numbers variants in order; the numbers in use must have no hole and no name twice.
#[test]
fn every_variant_is_pinned() {
    fn check<T: Serialize>(what: &str, all: &[(String, T)], variants: usize) {
        let names: BTreeSet<&String> = all.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), all.len(), "two {what} with one name");
        let numbers: BTreeSet<u8> =
            all.iter().map(|(_, value)| postcard_variant(&postcard_body(value))).collect();
        let expected: BTreeSet<u8> = (0..variants as u8).collect();
        assert_eq!(numbers, expected, "{what}");
    }
    let requests: Vec<_> = requests().into_iter().map(|r| (request_name(&r).to_owned(), r)).collect();
    check("requests", &requests, 19);
    let replies: Vec<_> = replies().into_iter().map(|r| (reply_name(&r), r)).collect();
    check("replies", &replies, 11);
    let events: Vec<_> = events().into_iter().map(|e| (event_name(&e), e)).collect();
    check("events", &events, 4);
    let flows: Vec<_> = FLOW_STATES.into_iter().map(|s| (flow_state_name(s).to_owned(), s)).collect();
    check("flow states", &flows, 4);
    let legs: Vec<_> = LEG_STATES.into_iter().map(|s| (leg_state_name(s).to_owned(), s)).collect();
    check("leg states", &legs, 5);
}

fn postcard_body<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(value, &mut bytes).unwrap();
    bytes.split_off(4)
}

fn postcard_variant(body: &[u8]) -> u8 {
    body[0]
}

#[test]
fn the_json_of_the_files() {
    compare("global.json", &json(&global()));
    compare("recorder.json", &json(&recorder()));
    compare("source.json", &json(&source()));
    compare("snapshot.json", &json(&snapshot()));
    compare("levels.json", &json(&levels()));
    compare("self-test.json", &json(&self_test()));
    compare("volumes.json", &json(&VOLUME_STANDINGS.map(volume)));
}

#[test]
fn the_words_of_the_enums() {
    fn words<T: Serialize>(values: &[T]) -> Vec<String> {
        values.iter().map(|v| serde_json::to_value(v).unwrap().as_str().unwrap().to_owned()).collect()
    }
    assert_eq!(words(&RECORDER_STATES), RECORDER_STATES.map(recorder_state_name));
    assert_eq!(words(&FLOW_STATES), FLOW_STATES.map(flow_state_name));
    assert_eq!(words(&LEG_STATES), LEG_STATES.map(leg_state_name));
    assert_eq!(words(&CAUSES), CAUSES.map(cause_name));
    assert_eq!(
        words(&ROOM_ALARMS),
        ["full-soon", "below-floor", "clock-doubted", "undeletable", "fruitless"]
    );
    assert_eq!(words(&SkewClass::ALL), SkewClass::ALL.map(SkewClass::name));
    assert_eq!(
        words(&[
            FormatConfig::Wav,
            FormatConfig::Wav16,
            FormatConfig::Wav24,
            FormatConfig::Wav32f,
            FormatConfig::Flac,
            FormatConfig::Flac16,
            FormatConfig::Flac24,
            FormatConfig::Opus,
        ]),
        ["wav", "wav16", "wav24", "wav32f", "flac", "flac16", "flac24", "opus"]
    );
    assert_eq!(
        words(&[
            Layout::Flat,
            Layout::Hierarchy,
            Layout::Combo,
            Layout::DailyDir,
            Layout::Accurate,
            Layout::Custom
        ]),
        ["flat", "hierarchy", "combo", "dailydir", "accurate", "custom"]
    );
    assert_eq!(
        words(&[ArchiveClock::LocalTime, ArchiveClock::Utc, ArchiveClock::Ptp]),
        ["localtime", "utc", "ptp"]
    );
    assert_eq!(words(&[Encoding::L16, Encoding::L24]), ["L16", "L24"]);
}

/// What a file may leave out, and what it then means.
#[test]
fn the_defaults_of_the_files() {
    compare("global.defaults.json", &json(&serde_json::from_str::<GlobalConfig>("{}").unwrap()));
    let recorder: RecorderConfig = serde_json::from_str(r#"{"id":"r1","name":"One"}"#).unwrap();
    compare("recorder.defaults.json", &json(&recorder));
    let source: SourceConfig =
        serde_json::from_str(r#"{"id":"s1","name":"One","address":"239.69.1.2"}"#).unwrap();
    compare("source.defaults.json", &json(&source));
}

#[test]
fn a_misspelt_field_is_named() {
    let error = serde_json::from_str::<GlobalConfig>(r#"{"archive_rot":"/srv"}"#).unwrap_err().to_string();
    assert!(error.contains("archive_rot"), "{error}");
    let error =
        serde_json::from_str::<RecorderConfig>(r#"{"id":"r1","name":"One","archive":{"period_secs":3600}}"#)
            .unwrap_err()
            .to_string();
    assert!(error.contains("period_secs"), "{error}");
    let error = serde_json::from_str::<SourceConfig>(r#"{"id":"s1","name":"One"}"#).unwrap_err().to_string();
    assert!(error.contains("address"), "{error}");
}

#[test]
fn an_identifier_cannot_leave_its_directory() {
    for bad in ["", ".", "..", "../x", "a/b", "A", "-a", "_a", "a b", "ä", "a\0", &"a".repeat(33)] {
        assert!(RecorderId::new(bad).is_err(), "{bad:?}");
        assert!(serde_json::from_value::<RecorderId>(serde_json::json!(bad)).is_err(), "{bad:?}");
    }
    assert!(RecorderId::new("a".repeat(32)).is_ok());
}
