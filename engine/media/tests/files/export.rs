//! One file out of many: its frames, what it tells of itself, its report, and what is left when it ends early.

use std::path::Path;

use audyn_media::archive::{Kind, Range};
use audyn_media::export::{Exported, Order, export, position_at};
use audyn_media::{Beneath, FileFormat, FlacReader, MediaError, NamingClock, PcmDepth, WavReader, WavSpec};
use audyn_units::{FrameCount, FrameIndex};

use crate::archive::{LENGTH, RATE, START, format, record, segments, signal};

/// Exports [from, to) of what lies in `dir` to `output`.
fn exported(
    dir: &Path,
    (from, to): (u64, u64),
    format: FileFormat,
    output: &Path,
    each: impl FnMut(FrameCount) -> bool,
) -> Result<Exported, MediaError> {
    let range = Range::plan(segments(dir), FrameIndex(from), FrameIndex(to), None)?;
    let order = Order {
        recorder: Beneath::root(dir).unwrap().into(),
        range,
        descriptors: 64,
        format,
        output,
        clock: Some(NamingClock::Tai),
        originator: "Audyn test".to_owned(),
    };
    export(order, each)
}

fn lines(output: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(format!("{}.gaps.jsonl", output.display())).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn twenty_files_become_one_with_every_frame_and_a_report() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let loss =
        format!("{{\"position\":{},\"frames\":50,\"cause\":\"loss\",\"estimated\":false}}\n", START + 100);
    for at in (0..20).filter(|at| *at != 7) {
        record(
            dir.path(),
            if at % 2 == 0 { Kind::Wav } else { Kind::Flac },
            at,
            if at == 0 { &loss } else { "" },
        );
    }
    let (from, to) = (START + 10, START + 20 * LENGTH - 3);
    let mut wanted = signal(from, to - from);
    wanted[2 * 90..2 * 140].fill(0);
    let hole = 2 * (7 * LENGTH - 10) as usize..2 * (8 * LENGTH - 10) as usize;
    wanted[hole].fill(0);
    for kind in [Kind::Wav, Kind::Flac] {
        let output = out.path().join(format!("all.{}", kind.name()));
        let told = exported(dir.path(), (from, to), format(kind), &output, |_| true).unwrap();
        let mut samples = vec![0; wanted.len() + 2];
        let read = match kind {
            Kind::Wav => WavReader::open(&output).unwrap().read(&mut samples).unwrap(),
            _ => FlacReader::open(&output).unwrap().read(&mut samples).unwrap(),
        };
        assert_eq!(read, FrameCount(to - from));
        assert!(samples[..wanted.len()] == wanted, "{kind:?}");
        assert_eq!((told.frames, told.frames_filled), (read, FrameCount(50 + LENGTH)));
        assert_eq!(told.bytes, std::fs::metadata(&output).unwrap().len());
        assert_eq!(told.sources.values().sum::<u64>(), 19);
        let report = lines(&output);
        assert_eq!(report[0]["first_position"], from);
        assert_eq!(
            (&report[0]["file"], &report[0]["recorder"]),
            (&format!("all.{}", kind.name()).into(), &"a".into())
        );
        let gaps: Vec<_> = report[1..report.len() - 1]
            .iter()
            .map(|gap| (gap["position"].as_u64().unwrap() - START, gap["frames"].as_u64().unwrap()))
            .collect();
        assert_eq!(gaps, [(100, 50), (7 * LENGTH, LENGTH)]);
        assert_eq!(report.last().unwrap()["frames_filled"], 50 + LENGTH);
    }
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 4, "no part is left");
}

#[test]
fn what_was_marked_goes_with_it_and_what_the_ledgers_tell_is_told_as_markers() {
    use audyn_media::markers::{Marker, PERSON, add, derived, read};
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let at = |frame: u64| FrameIndex(START + frame);
    let lines = format!(
        "{{\"position\":{},\"event\":\"clock-quality\",\"detail\":\"none, and was ptp-locked\"}}\n\
         {{\"position\":{},\"frames\":50,\"cause\":\"loss\",\"estimated\":false}}\n",
        at(900).0,
        at(1_000).0
    );
    record(dir.path(), Kind::Wav, 0, &lines);
    record(dir.path(), Kind::Wav, 2, "");
    let root = Beneath::root(dir.path()).unwrap();
    for (frame, text) in [(5, "before"), (10, "first"), (2 * LENGTH, "later"), (3 * LENGTH, "after")] {
        let (text, who, made) = (text.to_owned(), "anna".to_owned(), "2025-07-02T00:00:00Z".to_owned());
        add(
            &root,
            &Marker {
                audyn_marker: 1,
                position: at(frame),
                rate: RATE,
                kind: PERSON.to_owned(),
                text,
                who,
                made,
            },
        )
        .unwrap();
    }
    let output = out.path().join("a.flac");
    let told =
        exported(dir.path(), (at(10).0, at(3 * LENGTH).0), format(Kind::Flac), &output, |_| true).unwrap();
    assert_eq!(told.markers, 2);
    let text = std::fs::read_to_string(out.path().join("a.flac.markers.jsonl")).unwrap();
    let texts: Vec<String> = text.lines().map(|l| serde_json::from_str::<Marker>(l).unwrap().text).collect();
    assert_eq!(texts, ["first", "later"]);
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 3);
    let range = Range::plan(segments(dir.path()), at(0), at(3 * LENGTH), None).unwrap();
    let automatic = derived(&root, &range).unwrap();
    let automatic: Vec<_> =
        automatic.iter().map(|m| (m.position.0 - START, m.kind.as_str(), m.text.as_str())).collect();
    let expected = [
        (900, "clock-quality", "none, and was ptp-locked"),
        (1_000, "gap", "loss: 50 frames"),
        (LENGTH, "gap", "not-recorded: 48000 frames"),
    ];
    assert_eq!(automatic, expected);
    // Without any there is no file, and one that is there is not taken for ours.
    let none = out.path().join("b.wav");
    std::fs::write(out.path().join("b.wav.markers.jsonl"), "theirs").unwrap();
    let ask = || exported(dir.path(), (at(20).0, at(30).0), format(Kind::Wav), &none, |_| true);
    assert!(matches!(ask().unwrap_err(), MediaError::Exists { .. }));
    std::fs::remove_file(out.path().join("b.wav.markers.jsonl")).unwrap();
    ask().unwrap();
    assert!(!out.path().join("b.wav.markers.jsonl").exists());
    assert_eq!(read(&root, at(0), at(9), RATE).unwrap().len(), 1);
}

#[test]
fn its_head_tells_the_instant_of_its_own_first_frame() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    record(dir.path(), Kind::Wav, 0, "");
    let output = out.path().join("a.wav");
    let told = exported(dir.path(), (START + 12_001, START + 24_000), format(Kind::Wav), &output, |_| true);
    // 23:46:40 TAI and a quarter of a second, and a frame.
    assert_eq!(told.unwrap().start_utc, "2025-07-01T23:46:03.250020833Z");
    let bext = WavReader::open(&output).unwrap().bext().unwrap().unwrap();
    let seconds = (23 * 60 + 46) * 60 + 40;
    assert_eq!(bext.time_reference, FrameCount(seconds * 48_000 + 12_001));
    let facts = WavReader::open(&output).unwrap().facts().unwrap().unwrap();
    assert_eq!(facts.first, FrameIndex(START + 12_001));
}

#[test]
fn fewer_bits_are_dithered_once_and_more_hold_the_same() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    record(dir.path(), Kind::Flac, 0, "");
    let channels = audyn_units::ChannelCount::STEREO;
    for (depth, most) in [(PcmDepth::Pcm16, 2 << 16), (PcmDepth::Float32, 0)] {
        let format = FileFormat::Wav(WavSpec { rate: RATE, channels, depth });
        let output = out.path().join(format!("{depth:?}.wav"));
        exported(dir.path(), (START, START + LENGTH), format, &output, |_| true).unwrap();
        let mut samples = vec![0; 2 * LENGTH as usize];
        WavReader::open(&output).unwrap().read(&mut samples).unwrap();
        let differ =
            samples.iter().zip(signal(START, LENGTH)).map(|(&a, b)| (i64::from(a) - i64::from(b)).abs());
        assert!(differ.max().unwrap() <= most, "{depth:?}");
    }
}

#[test]
fn a_name_that_is_taken_is_left_alone_and_an_early_end_leaves_nothing() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for at in 0..3 {
        record(dir.path(), Kind::Wav, at, "");
    }
    let whole = (START, START + 3 * LENGTH);
    let output = out.path().join("a.wav");
    for taken in ["a.wav", "a.wav.gaps.jsonl"] {
        std::fs::write(out.path().join(taken), "theirs").unwrap();
        let error = exported(dir.path(), whole, format(Kind::Wav), &output, |_| true).unwrap_err();
        assert!(matches!(error, MediaError::Exists { .. }), "{error}");
        assert_eq!(std::fs::read(out.path().join(taken)).unwrap(), b"theirs");
        std::fs::remove_file(out.path().join(taken)).unwrap();
    }
    let mut seen = 0;
    let stopped = exported(dir.path(), whole, format(Kind::Wav), &output, |done| {
        seen = done.0;
        // What is there by now has another name; whoever would export to it as well is refused.
        assert!(!output.exists() && out.path().join(".a.wav.part").exists());
        let error = exported(dir.path(), whole, format(Kind::Wav), &output, |_| true).unwrap_err();
        assert!(error.to_string().contains("under way"), "{error}");
        done.0 < 2 * LENGTH
    });
    assert!(matches!(stopped.unwrap_err(), MediaError::Stopped) && seen >= 2 * LENGTH);
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
    // What a kill has left is in nobody's way.
    for left in [".a.wav.part", ".a.wav.part.gaps.jsonl"] {
        std::fs::write(out.path().join(left), "half").unwrap();
    }
    exported(dir.path(), whole, format(Kind::Wav), &output, |_| true).unwrap();
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 2);
    // A name that was taken meanwhile.
    let late = out.path().join("b.wav");
    let error = exported(dir.path(), whole, format(Kind::Wav), &late, |_| {
        std::fs::write(&late, "theirs").unwrap();
        true
    });
    assert!(matches!(error.unwrap_err(), MediaError::Exists { .. }));
    assert_eq!(std::fs::read(&late).unwrap(), b"theirs");
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 3);
}

#[test]
fn an_instant_is_told_by_the_file_that_holds_it_or_the_nearest() {
    let dir = tempfile::tempdir().unwrap();
    for at in [0, 1, 5] {
        record(dir.path(), Kind::Wav, at, "");
    }
    let segments = segments(dir.path());
    let first_utc = 1_751_413_563_000_000_000;
    for seconds in [-1.0, 0.0, 0.5, 1.25, 3.0, 5.5, 9.0] {
        let position = position_at(&segments, first_utc + (seconds * 1e9) as i64).unwrap();
        assert_eq!(position.0.cast_signed() - START.cast_signed(), (seconds * 48_000.0) as i64);
    }
    assert_eq!(position_at(&[], 0), None);
}
