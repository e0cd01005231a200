//! The running engine on loopback: real sockets, threads and files.

use crate::common::*;
use audyn_api::{FlowState, RecorderState};
use audyn_daemon::{EngineError, Naming, Notice};
use audyn_units::FrameCount;

#[test]
fn two_groups_on_one_port_never_meet() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (address(1), address(2));
    assert_eq!(one.port(), two.port());
    let sources = [source("one", one), source("two", two)];
    let mut engine = engine(dir.path());
    engine.configure(
        vec![recorder("one", &sources[0], dir.path()), recorder("two", &sources[1], dir.path())],
        &sources,
    );
    engine.record("one", None).unwrap();
    engine.record("two", None).unwrap();
    let (mut first, mut second) = (Stream::new(1, one), Stream::new(2, two));
    for _ in 0..8 {
        first.send(100);
        second.send(100);
    }
    for id in ["one", "two"] {
        until_written(&mut engine, id, 800 * 48);
        stop(&mut engine, id);
    }
    for (id, stream) in [("one", 1), ("two", 2)] {
        let files = recordings(&dir.path().join(id));
        assert_eq!(files.len(), 1);
        assert!(samples(&files[0]) == signal(stream, 0, 800 * 48), "{id} is not what was sent");
    }
}

#[test]
fn what_a_power_cut_left_of_a_recording_is_mended_by_the_next_engine() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("unfinished.jsonl");
    let source = source("cut", address(8));
    let start = || {
        let mut engine = engine_with(dir.path(), Some(dir.path().to_owned()));
        engine.configure(vec![recorder("cut", &source, dir.path())], std::slice::from_ref(&source));
        engine.record("cut", None).unwrap();
        engine
    };
    let mut engine = start();
    Stream::new(8, address(8)).send(100);
    until_written(&mut engine, "cut", 4_800);
    let path = recordings(&dir.path().join("cut")).remove(0);
    let listed = || std::fs::read_to_string(&list).unwrap_or_default().contains(path.to_str().unwrap());
    until("an open file in the list", listed);
    drop(engine);
    assert!(listed(), "this engine does not wait for the disk");

    // What the disk had: the header, and not all that it counts.
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(4_096 + 1_000 * 6 + 1).unwrap();
    let _engine = start();
    until("a header that counts what is there", || {
        audyn_media::WavInfo::open(&path).is_ok_and(|info| info.declared == FrameCount(1_000))
    });
    assert!(samples(&path) == signal(8, 0, 1_000));
}

#[test]
fn recorders_share_a_flow_and_choose_channels() {
    let dir = tempfile::tempdir().unwrap();
    let to = address(3);
    let source = source("desk", to);
    let mut right = recorder("right", &source, dir.path());
    right.channels = vec![1];
    let mut engine = engine(dir.path());
    engine.configure(vec![recorder("both", &source, dir.path()), right], std::slice::from_ref(&source));
    engine.record("both", None).unwrap();
    engine.record("right", Some(FrameCount(1_000))).unwrap();
    Stream::new(5, to).send(100);
    until_written(&mut engine, "both", 4_800);
    stop(&mut engine, "both");
    stop(&mut engine, "right");
    assert_eq!(engine.snapshot().flows.len(), 1, "one socket serves both");
    let all = signal(5, 0, 4_800);
    assert!(samples(&recordings(&dir.path().join("both"))[0]) == all);
    let rights: Vec<i32> = all.iter().skip(1).step_by(2).copied().take(1_000).collect();
    assert!(samples(&recordings(&dir.path().join("right"))[0]) == rights, "one channel, to the frame");
}

#[test]
fn a_second_recording_in_the_same_hour_leaves_the_first_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let to = address(4);
    let source = source("desk", to);
    let mut engine = engine(dir.path());
    engine.configure(vec![recorder("a", &source, dir.path())], std::slice::from_ref(&source));
    let mut stream = Stream::new(1, to);
    let root = dir.path().join("a");

    engine.record("a", None).unwrap();
    stream.send(50);
    until_written(&mut engine, "a", 50 * 48);
    stop(&mut engine, "a");
    let first = recordings(&root).remove(0);
    let before = std::fs::read(&first).unwrap();

    engine.record("a", None).unwrap();
    stream.send(50);
    until_written(&mut engine, "a", 50 * 48);
    stop(&mut engine, "a");
    let files = recordings(&root);
    assert_eq!(files.len(), 2);
    assert_eq!(files[0], first, "the later file sorts after the first");
    assert_eq!(std::fs::read(&first).unwrap(), before);
    assert!(samples(&files[1]) == signal(1, 50 * 48, 50 * 48));
}

#[test]
fn stopped_recorders_meter_and_a_dropped_engine_closes_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let to = address(5);
    let source = source("desk", to);
    let mut engine = engine(dir.path());
    engine.configure(
        vec![recorder("idle", &source, dir.path()), recorder("busy", &source, dir.path())],
        std::slice::from_ref(&source),
    );
    engine.record("busy", None).unwrap();
    let mut stream = Stream::new(3, to);
    until("a level above silence", || {
        stream.send(20);
        engine.levels().recorders.iter().all(|r| r.channels.iter().any(|c| c.peak.0 > -60.0))
    });
    let idle = &engine.snapshot().recorders[0];
    assert_eq!((idle.state, idle.flow_state), (RecorderState::Stopped, FlowState::Receiving));
    assert!(!dir.path().join("idle").exists());
    until_written(&mut engine, "busy", 480);
    drop(engine);
    let file = recordings(&dir.path().join("busy")).remove(0);
    let ledger = std::fs::read_to_string(file.with_extension("wav.gaps.jsonl")).unwrap();
    assert!(ledger.lines().last().unwrap().contains(r#""closed":true"#), "{ledger}");
    let got = samples(&file);
    assert!(got == signal(3, 0, got.len() as u64 / 2));
}

#[test]
fn what_cannot_be_recorded_is_said_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let source = source("desk", address(6));
    let file = dir.path().join("a file");
    std::fs::write(&file, "mine").unwrap();
    let mut engine = engine(dir.path());
    let mut lone = recorder("lone", &source, dir.path());
    lone.source = None;
    let mut taken = recorder("taken", &source, dir.path());
    taken.naming = Naming::File(file.clone());
    engine.configure(vec![recorder("under", &source, &file), lone, taken], std::slice::from_ref(&source));
    let mut refused = |id| engine.record(id, None).unwrap_err();
    assert!(matches!(refused("under"), EngineError::Unwritable { .. }));
    assert!(matches!(refused("lone"), EngineError::Conflict(_)));
    assert!(matches!(refused("taken"), EngineError::Conflict(_)));
    assert!(refused("nobody").to_string().contains("there are under, lone, taken"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}

#[test]
fn a_link_in_the_archive_is_not_followed_and_the_others_record() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let root = outside.path().join("root"); // which may be a link
    std::os::unix::fs::symlink(dir.path(), &root).unwrap();
    let elsewhere = outside.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, dir.path().join("linked")).unwrap();
    let source = source("desk", address(20));
    let mut engine = engine(&root);
    let recorders = vec![recorder("linked", &source, &root), recorder("plain", &source, &root)];
    engine.configure(recorders, std::slice::from_ref(&source));
    let error = engine.record("linked", None).unwrap_err().to_string();
    assert!(error.contains("linked is a link, and below the archive's root nothing may be one"), "{error}");
    engine.record("plain", None).unwrap();
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert!(dir.path().join("plain").is_dir());
}

#[test]
fn a_flow_that_cannot_be_opened_says_why_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let to = address(7);
    let good = source("good", to);
    let bad = audyn_api::SourceConfig { interface: Some("nope0".to_owned()), ..source("bad", address(8)) };
    let sources = [bad, good];
    let mut engine = engine(dir.path());
    engine.configure(
        vec![recorder("bad", &sources[0], dir.path()), recorder("good", &sources[1], dir.path())],
        &sources,
    );
    engine.record("bad", None).unwrap();
    engine.record("good", None).unwrap();
    Stream::new(1, to).send(10);
    until_written(&mut engine, "good", 480);
    let snapshot = engine.snapshot();
    assert_eq!(snapshot.recorders[0].state, RecorderState::Error);
    assert!(snapshot.recorders[0].errors[0].contains("nope0"), "{:?}", snapshot.recorders[0].errors);
    assert_eq!(snapshot.recorders[1].state, RecorderState::Recording);
    stop(&mut engine, "bad");
}

#[test]
fn rubbish_on_the_port_is_counted_and_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let to = address(9);
    let source = source("desk", to);
    let mut engine = engine(dir.path());
    engine.configure(vec![recorder("a", &source, dir.path())], std::slice::from_ref(&source));
    engine.record("a", None).unwrap();
    let mut stream = Stream::new(1, to);
    let rubbish = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    rubbish.set_multicast_if_v4(&std::net::Ipv4Addr::LOCALHOST).unwrap();
    for _ in 0..50 {
        stream.send(10);
        let header = [0x80, 97, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1];
        for bytes in [&[0u8; 5][..], &[0x40; 100], &header, &[0x80; 3_000]] {
            rubbish.send_to(bytes, &to.into()).unwrap();
        }
    }
    until_written(&mut engine, "a", 500 * 48);
    until("all rubbish counted", || {
        let c = engine.snapshot().flows[0].counters;
        (c.too_short, c.bad_version, c.wrong_payload_type, c.oversized) == (50, 50, 50, 50)
    });
    stop(&mut engine, "a");
    assert!(samples(&recordings(&dir.path().join("a"))[0]) == signal(1, 0, 500 * 48));
}

#[test]
fn a_loss_is_told_once_and_stands_in_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let to = address(10);
    let source = source("desk", to);
    let mut engine = engine(dir.path());
    engine.configure(vec![recorder("a", &source, dir.path())], std::slice::from_ref(&source));
    engine.record("a", None).unwrap();
    let mut stream = Stream::new(1, to);
    stream.send(20);
    let unheard = Stream::new(1, address(11)).to;
    stream.to = unheard;
    stream.send(5);
    stream.to = to;
    stream.send(100);
    until_written(&mut engine, "a", 125 * 48);
    stop(&mut engine, "a");
    let gaps: Vec<_> = engine
        .notices()
        .into_iter()
        .filter_map(|notice| match notice {
            Notice::Gap { gap, .. } => Some(gap),
            _ => None,
        })
        .collect();
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps[0].frames, FrameCount(240));
    let file = recordings(&dir.path().join("a")).remove(0);
    let mut expected = signal(1, 0, 125 * 48);
    expected[20 * 48 * 2..25 * 48 * 2].fill(0);
    assert!(samples(&file) == expected, "nothing after the loss moved");
    let ledger = std::fs::read_to_string(file.with_extension("wav.gaps.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> =
        ledger.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let at = lines[1]["position"].as_u64().unwrap() - lines[0]["first_position"].as_u64().unwrap();
    assert_eq!((at, lines[1]["frames"].as_u64()), (20 * 48, Some(240)));
    assert_eq!(lines[1]["cause"], "loss");
    assert_eq!(lines.len(), 3, "{ledger}");
}

#[test]
fn audio_waits_for_a_file_that_cannot_be_made_yet() {
    let dir = tempfile::tempdir().unwrap();
    let to = address(12);
    let source = source("desk", to);
    let mut engine = engine(dir.path());
    engine.configure(vec![recorder("a", &source, dir.path())], std::slice::from_ref(&source));
    engine.record("a", None).unwrap();
    // The directory is gone and something else is in its place.
    let root = dir.path().join("a");
    std::fs::remove_dir(&root).unwrap();
    std::fs::write(&root, "in the way").unwrap();
    Stream::new(1, to).send(100);
    until("an error of the recorder", || {
        let recorder = &engine.snapshot().recorders[0];
        recorder.state == RecorderState::Error && recorder.errors.iter().any(|e| e.contains("directory"))
    });
    std::fs::remove_file(&root).unwrap();
    until_written(&mut engine, "a", 100 * 48);
    assert_eq!(engine.snapshot().recorders[0].state, RecorderState::Recording);
    stop(&mut engine, "a");
    assert!(samples(&recordings(&root)[0]) == signal(1, 0, 100 * 48), "nothing of it is lost");
}

#[test]
fn a_recording_that_begins_in_an_outage_has_it_in_its_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let to = address(13);
    let source = source("desk", to);
    let mut engine = engine(dir.path());
    engine.configure(vec![recorder("a", &source, dir.path())], std::slice::from_ref(&source));
    let mut stream = Stream::new(1, to);
    stream.send(10);
    until("the flow", || {
        engine.snapshot().flows[0].position.0 > 0 && engine.snapshot().flows[0].ssrc.is_some()
    });
    until("an outage", || engine.snapshot().flows[0].counters.lost_frames > 0);
    engine.record("a", None).unwrap();
    until_written(&mut engine, "a", 48);
    stop(&mut engine, "a");
    let recorder = &engine.snapshot().recorders[0];
    assert_eq!((recorder.frames_written.0, recorder.gaps), (0, 1));
    let file = recordings(&dir.path().join("a")).remove(0);
    let ledger = std::fs::read_to_string(file.with_extension("wav.gaps.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> =
        ledger.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let gap = lines.iter().rfind(|line| line.get("cause").is_some()).unwrap();
    assert_eq!((&gap["cause"], &gap["position"]), (&"outage".into(), &lines[0]["first_position"]));
    assert_eq!(gap["frames"].as_u64(), Some(samples(&file).len() as u64 / 2), "{ledger}");
}
