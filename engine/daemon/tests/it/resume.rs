//! An engine that begins where another one ended in good order, and is sent the last packets once more, as a second leg does that lags.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use audyn_api::{LegConfig, SourceConfig};
use audyn_daemon::{Engine, KeptSockets};
use audyn_units::{RtpTime, SkewClass};

use crate::common::*;

/// The media clock in a tenth of a second: so much more time is left until it no longer agrees with this machine's.
pub(crate) fn media_clock() -> RtpTime {
    let offset = audyn_daemon::tai_minus_utc(None).map_or(0, |offset| offset.0 as u128);
    let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_millis(100);
    RtpTime(((soon.as_nanos() + offset) * 48_000 / 1_000_000_000) as u32)
}

/// The first line of a recording's ledger.
pub(crate) fn header(recording: &Path) -> serde_json::Value {
    let ledger = std::fs::read_to_string(recording.with_extension("wav.gaps.jsonl")).unwrap();
    serde_json::from_str(ledger.lines().next().unwrap()).unwrap()
}

/// An engine that has what it needs to record, and does so from its start or not.
fn begin(dir: &Path, n: u8, records: bool) -> Engine {
    let source = source("desk", address(n));
    let mut engine = engine_with(dir, Some(dir.to_owned()));
    engine.hold(KeptSockets::none());
    engine.configure(vec![recorder("a", &source, dir)], std::slice::from_ref(&source));
    if records {
        engine.record_when_possible("a");
    }
    engine.release();
    engine
}

/// The same sender once more, from its packet `first` on.
fn sent_again(first_timestamp: RtpTime, first: usize, n: u8) -> Stream {
    let mut stream = Stream::from(1, address(99), first_timestamp);
    stream.send(first);
    stream.to = address(n);
    stream
}

/// What the next engine records of packets 40 on, of which the one before had those before 50: its first frame, in the signal and by
/// the positions. None if the machine was so slow that the timestamps did not agree with its clock any more.
fn next_begins_at(n: u8, by_hand: bool) -> Option<(u64, u64)> {
    let dir = tempfile::tempdir().unwrap();
    let note = dir.path().join("resume.json");
    let first_timestamp = media_clock();
    let mut engine = begin(dir.path(), n, true);
    sent_again(first_timestamp, 0, n).send(50);
    until_written(&mut engine, "a", 50 * 48);
    assert!(!note.exists());
    drop(engine);
    let first = recordings(&dir.path().join("a")).remove(0);
    assert!(samples(&first) == signal(1, 0, 50 * 48));
    let noted = note.exists();

    let mut engine = begin(dir.path(), n, !by_hand);
    assert!(!note.exists(), "it serves one start");
    if by_hand {
        engine.record("a", None).unwrap();
    }
    sent_again(first_timestamp, 40, n).send(30);
    let frames = if by_hand { 30 * 48 } else { 20 * 48 };
    until_written(&mut engine, "a", frames);
    stop(&mut engine, "a");
    drop(engine);
    assert!(!note.exists(), "a person ended it");
    let second = recordings(&dir.path().join("a")).remove(1);
    let (one, other) = (header(&first), header(&second));
    if one["placed_by"] != "media-clock" || other["placed_by"] != "media-clock" {
        return None;
    }
    assert!(noted);
    let got = samples(&second);
    let begins = 70 * 48 - got.len() as u64 / 2;
    assert!(
        got == signal(1, begins, 70 * 48 - begins),
        "it begins with frame {begins}, and is not what was sent"
    );
    let ledger = std::fs::read_to_string(second.with_extension("wav.gaps.jsonl")).unwrap();
    assert_eq!(ledger.lines().count(), 2, "{ledger}");
    let position = |header: &serde_json::Value| header["first_position"].as_u64().unwrap();
    Some((begins, position(&other) - position(&one)))
}

fn tried(n: u8, by_hand: bool) -> (u64, u64) {
    (0..20).find_map(|_| next_begins_at(n, by_hand)).expect("a flow that is placed by its media clock")
}

#[test]
fn the_next_engine_begins_with_the_very_frame_after_the_last() {
    assert_eq!(tried(81, false), (50 * 48, 50 * 48));
}

#[test]
fn a_recording_that_a_person_starts_begins_with_what_comes() {
    assert_eq!(tried(82, true), (40 * 48, 40 * 48));
}

/// What the next engine records of the second leg's copies, from packet 35 on, of a flow whose first leg lost packet 40 and brought those
/// up to 50 before the engine ended: its first frame. None if the machine was so slow that the loss was given up before.
fn next_begins_after_a_loss_at() -> Option<u64> {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (address(83), address(84));
    let source = SourceConfig {
        second_leg: Some(Box::new(LegConfig {
            address: second.ip(),
            port: second.port(),
            interface: Some("lo".to_owned()),
            source_filter: None,
        })),
        skew: SkewClass::C,
        ..source("desk", first)
    };
    let begin = || {
        let mut engine = engine_with(dir.path(), Some(dir.path().to_owned()));
        engine.hold(KeptSockets::none());
        engine.configure(vec![recorder("a", &source, dir.path())], std::slice::from_ref(&source));
        engine.record_when_possible("a");
        engine.release();
        engine
    };
    let first_timestamp = media_clock();
    let mut engine = begin();
    let sent = Instant::now();
    let mut stream = sent_again(first_timestamp, 0, 83);
    stream.send(40);
    stream.to = address(99);
    stream.send(1);
    stream.to = first;
    stream.send(9);
    until("all of the first leg", || engine.snapshot().flows[0].legs[0].counters.received == 49);
    drop(engine);
    // The window of class C is longer.
    let in_time = sent.elapsed() < Duration::from_millis(400);

    let mut engine = begin();
    sent_again(first_timestamp, 35, 84).send(30);
    until("all of the second leg", || engine.snapshot().flows[0].legs[1].counters.received == 30);
    drop(engine);
    let files = recordings(&dir.path().join("a"));
    let exact = files.iter().all(|file| header(file)["placed_by"] == "media-clock");
    let frames = samples(&files[1]).len() as u64 / 2;
    (in_time && exact).then_some(65 * 48 - frames)
}

#[test]
fn a_packet_that_one_leg_lost_before_the_end_is_recorded_of_the_other() {
    let begins = (0..20).find_map(|_| next_begins_after_a_loss_at());
    assert_eq!(begins.expect("a machine that is fast enough"), 40 * 48);
}
