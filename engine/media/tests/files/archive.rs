//! Stretches of a recorder out of many files, and what an archive is asked for.

use std::ffi::OsStr;
use std::path::Path;

use audyn_media::archive::{Catalog, Kind, Part, Range, RangeReader, Segment, State, Wanted, When};
use audyn_media::chain::{Chain, Hashes, account, set_open_files};
use audyn_media::opus::OpusSpec;
use audyn_media::{Beneath, Facts, FileFormat, FlacSpec, PcmDepth, WavSpec};
use audyn_units::{ChannelCount, FrameCount, FrameIndex, SampleRate};

use crate::support::index_signal;

pub(crate) const RATE: SampleRate = SampleRate::HZ_48000;
/// 2025-07-01T23:46:40 TAI.
pub(crate) const START: u64 = 84_067_852_800_000;
pub(crate) const LENGTH: u64 = 48_000;
const CHANNELS: usize = 2;

pub(crate) fn format(kind: Kind) -> FileFormat {
    let channels = ChannelCount::STEREO;
    match kind {
        Kind::Wav => FileFormat::Wav(WavSpec { rate: RATE, channels, depth: PcmDepth::Pcm24 }),
        Kind::Flac => FileFormat::Flac(FlacSpec::new(RATE, channels, PcmDepth::Pcm24).unwrap()),
        Kind::Opus => FileFormat::Opus(OpusSpec::new(RATE, channels)),
    }
}

/// The samples of frames from `from` on, each of which tells its place.
pub(crate) fn signal(from: u64, frames: u64) -> Vec<i32> {
    index_signal(PcmDepth::Pcm24, (from * CHANNELS as u64) as usize, frames as usize * CHANNELS)
}

fn ledger(dir: &Path, name: &str, recorder: &str, first: u64, lines: &str) {
    let utc = 1_751_413_563 + (first - START) / 48_000;
    let utc = jiff::Timestamp::from_second(utc as i64).unwrap();
    let header = format!(
        r#"{{"audyn_ledger":3,"recorder":"{recorder}","studio":"s","file":"{name}","first_position":{first},"start_utc":"{utc}","zone":"Europe/Dublin","rate":48000,"channels":2,"bits":24,"placed_by":"media-clock","clock":"ptp-locked","tai_minus_utc":37}}"#
    );
    std::fs::write(dir.join(format!("{name}.gaps.jsonl")), format!("{header}\n{lines}")).unwrap();
}

/// A second of the signal, as one file that begins `at` seconds behind the start.
pub(crate) fn record(dir: &Path, kind: Kind, at: u64, lines: &str) -> String {
    let name = format!("{at:02}.{}", kind.name());
    let first = START + at * LENGTH;
    let root = Beneath::root(dir).unwrap();
    let mut file =
        format(kind).create_in(&root, OsStr::new(&name), &Facts::default(), PcmDepth::Pcm24).unwrap();
    file.append(&signal(first, LENGTH)).unwrap();
    assert!(file.close().iter().all(|finished| finished.result.is_ok()));
    ledger(dir, &name, "a", first, lines);
    name
}

pub(crate) fn segments(dir: &Path) -> Vec<Segment> {
    let root = Beneath::root(dir).unwrap();
    let names = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| Kind::of(name.rsplit('.').next().unwrap()).is_some())
        .map(|name| Segment::of_unsealed(&root, &name).unwrap())
        .collect()
}

fn reader(dir: &Path, from: u64, to: u64, only: Option<Kind>) -> RangeReader {
    let range = Range::plan(segments(dir), FrameIndex(from), FrameIndex(to), only).unwrap();
    RangeReader::new(Beneath::root(dir).unwrap(), range)
}

/// All samples of a range, and its lacks as (frames from the start, frames, cause).
fn read(mut reader: RangeReader) -> (Vec<i32>, Vec<(u64, u64, String)>) {
    let from = reader.range().from;
    let channels = reader.range().channels.get();
    let (mut all, mut lacks) = (Vec::new(), Vec::new());
    while let Some(part) = reader.next_part() {
        let there = from + FrameCount((all.len() / channels) as u64);
        match part {
            Part::Audio { position, samples, .. } => {
                assert_eq!(position, there);
                all.extend_from_slice(samples);
            }
            Part::Lack(gap) => {
                assert_eq!(gap.position, there);
                all.resize(all.len() + gap.frames.0 as usize * channels, 0);
                lacks.push((gap.position.since(from).0, gap.frames.0, gap.cause));
            }
        }
    }
    assert_eq!((all.len() / channels) as u64, reader.range().frames().0);
    (all, lacks)
}

#[test]
fn a_stretch_over_twenty_files_comes_back_frame_by_frame_in_each_lossless_format() {
    for kind in [Kind::Wav, Kind::Flac] {
        let dir = tempfile::tempdir().unwrap();
        for at in 0..20 {
            record(dir.path(), kind, at, "");
        }
        let end = START + 20 * LENGTH;
        for (from, to) in [(START, end), (START + 12_345, end - 7), (START + LENGTH - 1, START + LENGTH + 1)]
        {
            let (samples, lacks) = read(reader(dir.path(), from, to, None));
            assert_eq!(lacks, []);
            assert!(samples == signal(from, to - from), "{kind:?} from {from} to {to}");
        }
    }
}

#[test]
fn what_no_file_holds_and_what_a_ledger_tells_is_silence_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let gap = |at: u64, frames: u64| {
        format!(
            "{{\"position\":{},\"frames\":{frames},\"cause\":\"loss\",\"estimated\":false}}\n",
            START + at
        )
    };
    record(dir.path(), Kind::Wav, 0, &gap(100, 50));
    record(dir.path(), Kind::Flac, 0, "");
    record(dir.path(), Kind::Wav, 2, &(gap(2 * LENGTH, 10) + &gap(2 * LENGTH + 47_990, 10)));
    let (samples, lacks) = read(reader(dir.path(), START + 120, START + 3 * LENGTH + 5, None));
    let told: Vec<(u64, u64, &str)> =
        lacks.iter().map(|(at, n, why)| (*at + 120, *n, why.as_str())).collect();
    let expected = [
        (120, 30, "loss"),
        (LENGTH, LENGTH, "not-recorded"),
        (2 * LENGTH, 10, "loss"),
        (2 * LENGTH + 47_990, 10, "loss"),
        (3 * LENGTH, 5, "not-recorded"),
    ];
    assert_eq!(told, expected);
    let mut wanted = signal(START + 120, 3 * LENGTH + 5 - 120);
    for (at, frames, _) in expected {
        let from = (at - 120) as usize * CHANNELS;
        wanted[from..from + frames as usize * CHANNELS].fill(0);
    }
    assert!(samples == wanted);
}

#[test]
fn a_file_that_is_gone_by_then_is_told_and_the_others_come() {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..3).map(|at| record(dir.path(), Kind::Wav, at, "")).collect();
    let mut gone = reader(dir.path(), START, START + 3 * LENGTH, None);
    std::fs::remove_file(dir.path().join(&names[1])).unwrap();
    let mut lacks = Vec::new();
    while let Some(part) = gone.next_part() {
        if let Part::Lack(gap) = part {
            lacks.push((gap.position.0 - START, gap.frames.0, gap.cause));
        }
    }
    assert_eq!(lacks, [(LENGTH, LENGTH, "unreadable".to_owned())]);
    assert!(gone.take_troubles()[0].to_string().contains("01.wav"));
    let mut cut = reader(dir.path(), START, START + LENGTH, None);
    let file = std::fs::OpenOptions::new().write(true).open(dir.path().join(&names[0])).unwrap();
    file.set_len(4_096 + 1_000 * 6).unwrap();
    let mut last = None;
    while let Some(part) = cut.next_part() {
        last = Some(match part {
            Part::Audio { position, .. } => (position.0 - START, 0),
            Part::Lack(gap) => (gap.position.0 - START, gap.frames.0),
        });
    }
    assert_eq!(last, Some((1_000, LENGTH - 1_000)));
}

#[test]
fn a_file_that_grows_is_read_as_far_as_its_header_counted() {
    for kind in [Kind::Wav, Kind::Flac] {
        let dir = tempfile::tempdir().unwrap();
        record(dir.path(), kind, 0, "");
        let (root, name) = (Beneath::root(dir.path()).unwrap(), format!("open.{}", kind.name()));
        let first = START + LENGTH;
        let mut open =
            format(kind).create_in(&root, OsStr::new(&name), &Facts::default(), PcmDepth::Pcm24).unwrap();
        ledger(dir.path(), &name, "a", first, "");
        open.append(&signal(first, 30_000)).unwrap();
        open.checkpoint().unwrap();
        let held = segments(dir.path()).iter().find(|s| s.file == name).unwrap().frames.0;
        assert!(held > 20_000 && held == open.frames().0 - open.buffered_frames().0);
        let mut growing = reader(dir.path(), START, first + held, None);
        let part = growing.next_part();
        assert!(matches!(part, Some(Part::Audio { .. })));
        open.append(&signal(first + 30_000, 18_000)).unwrap();
        open.flush().unwrap();
        let mut all = match part {
            Some(Part::Audio { samples, .. }) => samples.to_vec(),
            _ => Vec::new(),
        };
        while let Some(Part::Audio { samples, .. }) = growing.next_part() {
            all.extend_from_slice(samples);
        }
        assert!(all == signal(START, LENGTH + held), "{kind:?}");
        open.close();
    }
}

/// A steady tone, which a codec without a seam gives back as one.
fn tone(from: u64, frames: u64) -> Vec<i32> {
    let sample = |n: u64| {
        (0.25 * (n as f64 * std::f64::consts::TAU * 997.0 / 48_000.0).sin() * 2_147_483_648.0) as i32
    };
    (from..from + frames).flat_map(|n| [sample(n); CHANNELS]).collect()
}

#[test]
fn opus_files_of_one_encoder_come_back_as_the_one_that_was_not_cut() {
    let dir = tempfile::tempdir().unwrap();
    let root = Beneath::root(dir.path()).unwrap();
    let create = |name: &str| {
        format(Kind::Opus).create_in(&root, OsStr::new(name), &facts_at(0), PcmDepth::Pcm24).unwrap()
    };
    let mut file = create("00.opus");
    for at in 0..20 {
        if at > 0 {
            let name = format!("{at:02}.opus");
            file.succeed_in(&root, OsStr::new(&name), None, &facts_at(at)).unwrap().unwrap();
        }
        ledger(dir.path(), &format!("{at:02}.opus"), "a", START + at * LENGTH, "");
        file.append(&tone(at * LENGTH, LENGTH)).unwrap();
    }
    assert_eq!(file.close().len(), 20);
    let uncut = tempfile::tempdir().unwrap();
    let other = Beneath::root(uncut.path()).unwrap();
    let mut whole =
        format(Kind::Opus).create_in(&other, OsStr::new("00.opus"), &facts_at(0), PcmDepth::Pcm24).unwrap();
    whole.append(&tone(0, 20 * LENGTH)).unwrap();
    whole.close();
    ledger(uncut.path(), "00.opus", "a", START, "");
    let (from, to) = (START + 1_000, START + 20 * LENGTH - 1_000);
    let (joined, lacks) = read(reader(dir.path(), from, to, None));
    assert_eq!(lacks, []);
    assert!(joined == read(reader(uncut.path(), from, to, None)).0);
}

fn facts_at(at: u64) -> Facts {
    Facts {
        first: FrameIndex(START + at * LENGTH),
        start_utc: "2025-07-01T23:46:03Z".to_owned(),
        ..Facts::default()
    }
}

#[test]
fn opus_alone_at_96_khz_is_told_at_48() {
    let dir = tempfile::tempdir().unwrap();
    let root = Beneath::root(dir.path()).unwrap();
    let spec = OpusSpec::new(SampleRate::HZ_96000, ChannelCount::STEREO);
    let mut file =
        FileFormat::Opus(spec).create_in(&root, OsStr::new("a.opus"), &facts_at(0), PcmDepth::Pcm24).unwrap();
    file.append(&tone(0, 2 * LENGTH)).unwrap();
    file.close();
    ledger(dir.path(), "a.opus", "a", START, "");
    let path = dir.path().join("a.opus.gaps.jsonl");
    let text = std::fs::read_to_string(&path).unwrap().replace("\"rate\":48000", "\"rate\":96000");
    let gap =
        format!("{{\"position\":{},\"frames\":200,\"cause\":\"loss\",\"estimated\":false}}\n", START + 1_000);
    std::fs::write(&path, text + &gap).unwrap();
    let reader = reader(dir.path(), START, START + 2 * LENGTH, None);
    assert_eq!((reader.range().rate, reader.range().frames()), (RATE, FrameCount(LENGTH)));
    let (samples, lacks) = read(reader);
    assert_eq!(lacks, [(500, 100, "loss".to_owned())]);
    assert!(samples[1_000..1_200].iter().all(|&s| s == 0) && samples[2_000..].iter().any(|&s| s > 1 << 28));
}

/// An archive of one recorder with three sealed files, one that is written, and its chain.
pub(crate) fn archive() -> (tempfile::TempDir, Chain) {
    let dir = tempfile::tempdir().unwrap();
    let recorder = dir.path().join("a");
    std::fs::create_dir(&recorder).unwrap();
    let root = Beneath::root(&recorder).unwrap();
    let mut chain = Chain::open(root.try_clone().unwrap()).unwrap();
    for at in 0..3 {
        let name = record(&recorder, Kind::Wav, at, "");
        seal(&recorder, &mut chain, &name);
    }
    let open = record(&recorder, Kind::Wav, 3, "");
    set_open_files(&root, &[open]).unwrap();
    (dir, chain)
}

fn seal(recorder: &Path, chain: &mut Chain, name: &str) {
    let root = Beneath::root(recorder).unwrap();
    let told = account(&root, Path::new(name)).unwrap();
    let hashes = Hashes::of(&root, Path::new(name), || true).unwrap();
    chain.seal(told, hashes).unwrap();
}

fn found(dir: &Path, wanted: &Wanted) -> Vec<(String, State)> {
    let hits = Catalog::open(dir).unwrap().find(wanted).unwrap();
    hits.into_iter().map(|hit| (hit.segment.file, hit.state)).collect()
}

fn names(found: &[(String, State)]) -> Vec<&str> {
    found.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn an_archive_answers_by_recorder_studio_and_time() {
    let (dir, _chain) = archive();
    let all = Wanted::default();
    let first_utc = 1_751_413_563_000_000_000;
    let of = |wanted: Wanted| found(dir.path(), &wanted);
    let everything = of(all.clone());
    assert_eq!(names(&everything), ["00.wav", "01.wav", "02.wav", "03.wav"]);
    assert_eq!(
        everything.iter().map(|f| f.1 == State::Sealed).collect::<Vec<_>>(),
        [true, true, true, false]
    );
    assert_eq!(of(Wanted { recorder: Some("b".to_owned()), ..all.clone() }), []);
    assert_eq!(of(Wanted { studio: Some("t".to_owned()), ..all.clone() }), []);
    assert_eq!(of(Wanted { studio: Some("s".to_owned()), ..all.clone() }).len(), 4);
    let time = |from, to| Wanted { from: Some(from), to: Some(to), ..all.clone() };
    let utc = |seconds: f64| When::Utc(first_utc + (seconds * 1e9) as i64);
    let frame = |seconds: f64| When::Frame(FrameIndex(START + (seconds * 48_000.0) as u64));
    for ends in [[utc(1.0), utc(2.5)], [frame(1.0), frame(2.5)]] {
        assert_eq!(names(&of(time(ends[0], ends[1]))), ["01.wav", "02.wav"]);
    }
    assert_eq!(names(&of(time(utc(2.9), utc(9.0)))), ["02.wav", "03.wav"]);
    std::fs::remove_file(dir.path().join("a/01.wav")).unwrap();
    assert_eq!(of(time(utc(1.0), utc(1.5))), [("01.wav".to_owned(), State::Missing)]);
}

#[test]
fn the_answer_is_the_same_whatever_became_of_the_index() {
    let (dir, mut chain) = archive();
    let peaks = dir.path().join("a/01.wav.peaks");
    audyn_media::peaks::make(&Beneath::root(&dir.path().join("a")).unwrap(), OsStr::new("01.wav"), || true)
        .unwrap();
    assert!(peaks.exists());
    chain.bury("01.wav", "anna", "2026-07-02T00:00:00Z", "asked for").unwrap();
    assert!(!peaks.exists(), "what belongs to a recording goes with it");
    let index = dir.path().join("a/.audyn/index");
    let expected = found(dir.path(), &Wanted::default());
    assert_eq!(names(&expected), ["00.wav", "02.wav", "03.wav"]);
    let good = std::fs::read(&index).unwrap();
    let damage: [&dyn Fn(); 4] = [
        &|| std::fs::remove_file(&index).unwrap(),
        &|| std::fs::write(&index, &good[..good.len() - 1]).unwrap(),
        &|| std::fs::write(&index, &good[..60]).unwrap(),
        &|| std::fs::write(&index, "AUDYNIX1").unwrap(),
    ];
    for harm in damage {
        harm();
        let harmed = std::fs::read(&index).ok();
        assert_eq!(found(dir.path(), &Wanted::default()), expected);
        assert_eq!(std::fs::read(&index).ok(), harmed, "an engine keeps it: nobody else writes");
    }
    // What an engine finds at its start it makes anew, and it goes on from there.
    drop(chain);
    let mut chain = Chain::open(Beneath::root(&dir.path().join("a")).unwrap()).unwrap();
    seal(&dir.path().join("a"), &mut chain, "03.wav");
    let sealed = found(dir.path(), &Wanted::default());
    assert_eq!(sealed.last(), Some(&("03.wav".to_owned(), State::Sealed)));
    assert!(std::fs::read(&index).unwrap().len() > 200);
    // Without an engine whoever asks makes it anew, also where the newest entry is a deletion.
    chain.bury("00.wav", "anna", "2026-07-02T00:00:00Z", "asked for").unwrap();
    drop(chain);
    std::fs::remove_file(&index).unwrap();
    let left = found(dir.path(), &Wanted::default());
    assert_eq!(names(&left), ["02.wav", "03.wav"]);
    assert!(index.exists());
    assert_eq!(found(dir.path(), &Wanted::default()), left);
}

#[test]
fn without_a_list_what_is_not_sealed_is_found_by_looking() {
    let (dir, chain) = archive();
    std::fs::remove_file(dir.path().join("a/.audyn/open.json")).unwrap();
    assert_eq!(found(dir.path(), &Wanted::default()).len(), 4);
    drop(chain);
}

#[test]
fn an_index_that_cannot_be_added_to_is_made_anew_with_the_next_recording() {
    let (dir, mut chain) = archive();
    let index = dir.path().join("a/.audyn/index");
    std::fs::remove_file(&index).unwrap();
    std::os::unix::fs::symlink("elsewhere", &index).unwrap();
    chain.bury("00.wav", "anna", "2026-07-02T00:00:00Z", "asked for").unwrap();
    assert!(!index.is_symlink() && !index.exists(), "a deletion waits for nothing else");
    assert_eq!(names(&found(dir.path(), &Wanted::default())), ["01.wav", "02.wav", "03.wav"]);
    seal(&dir.path().join("a"), &mut chain, "03.wav");
    assert!(index.is_file());
    let sealed = found(dir.path(), &Wanted::default());
    assert_eq!(names(&sealed), ["01.wav", "02.wav", "03.wav"]);
    assert!(sealed.iter().all(|(_, state)| *state == State::Sealed));
    chain.bury("01.wav", "anna", "2026-07-02T00:00:00Z", "asked for").unwrap();
    assert_eq!(names(&found(dir.path(), &Wanted::default())), ["02.wav", "03.wav"]);
}
