//! `audyn repair` as a person runs it: what it says, what it changes, and what `audyn verify` says afterwards.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy exempts only test functions themselves"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

use audyn_media::chain::Chain;
use audyn_media::{Beneath, Facts, PcmDepth, WavSpec, WavWriter};
use audyn_units::{ChannelCount, SampleRate};
use serde_json::Value;

const HEADER: &str = r#"{"audyn_ledger":3,"recorder":"one","studio":null,"file":"a.wav","first_position":1000,"start_utc":"2026-07-02T13:46:03Z","zone":null,"rate":48000,"channels":1,"bits":24,"placed_by":null,"clock":null,"tai_minus_utc":37}"#;

/// One test at a time: a child that another one starts has all open files, and their locks, until its program runs.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn audyn(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_audyn")).args(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn lines(output: &Output) -> Vec<Value> {
    out(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn spec() -> WavSpec {
    WavSpec { rate: SampleRate::HZ_48000, channels: ChannelCount::MONO, depth: PcmDepth::Pcm24 }
}

/// An archive with one recorder, whose chain has begun.
struct Archive {
    dir: tempfile::TempDir,
}

impl Archive {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("one/2026")).unwrap();
        Chain::open(Beneath::root(&dir.path().join("one")).unwrap()).unwrap();
        Self { dir }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join("one/2026").join(file)
    }

    /// A recording of 10,000 frames.
    fn record(&self, file: &str) -> Vec<u8> {
        let mut writer = WavWriter::create(self.path(file), spec(), &Facts::default()).unwrap();
        writer.append(&[256; 10_000]).unwrap();
        writer.close().unwrap();
        self.ledger(file, "");
        std::fs::read(self.path(file)).unwrap()
    }

    fn ledger(&self, file: &str, lines: &str) {
        std::fs::write(self.path(&format!("{file}.gaps.jsonl")), format!("{HEADER}\n{lines}")).unwrap();
    }

    fn root(&self) -> &str {
        self.dir.path().to_str().unwrap()
    }

    /// Every file below the archive with its content.
    fn all(&self) -> Vec<(PathBuf, Vec<u8>)> {
        fn below(dir: &Path, all: &mut Vec<(PathBuf, Vec<u8>)>) {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => below(&path, all),
                    false => all.push((path.clone(), std::fs::read(&path).unwrap())),
                }
            }
        }
        let mut all = Vec::new();
        below(self.dir.path(), &mut all);
        all.sort();
        all
    }
}

#[test]
fn what_a_crash_has_left_of_an_archive_is_mended_sealed_and_accepted_by_verify() {
    let _alone = alone();
    let archive = Archive::new();
    let whole = archive.record("a.wav");
    archive.record("b.wav");
    std::fs::write(archive.path("a.wav"), &whole[..4_096 + 6_000 * 3 + 1]).unwrap();
    archive.ledger("a.wav", "{\"position\":9");
    std::fs::write(archive.path("note.txt"), "mine").unwrap();

    let before = archive.all();
    let dry = audyn(&["repair", "--dry-run", archive.root()]);
    assert_eq!(dry.status.code(), Some(1), "{}", err(&dry));
    assert!(
        out(&dry).contains("10000 to 6000 frames: its header counts 10000 frames, and 6000 frames are there")
    );
    assert!(
        out(&dry).contains("its ledger ends in a torn line of 13 bytes, which will be cut off"),
        "{}",
        out(&dry)
    );
    assert!(err(&dry).contains("1 file would be changed; nothing was"), "{}", err(&dry));
    assert_eq!(archive.all(), before);

    let done = audyn(&["repair", archive.root()]);
    assert_eq!(done.status.code(), Some(0), "{}", err(&done));
    let told = out(&done);
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told.len(), 2, "one line a file: {told:?}");
    assert!(told[0].ends_with(": done; sealed as entry 1"), "{told:?}");
    assert!(told[1].ends_with("b.wav: whole, 10000 frames; sealed as entry 2"), "{told:?}");
    let verified = audyn(&["verify", archive.root()]);
    assert_eq!(verified.status.code(), Some(0), "{}", out(&verified));
    assert!(out(&verified).contains("2 sealed recordings"), "{}", out(&verified));

    let before = archive.all();
    let again = audyn(&["repair", "--json", archive.root()]);
    assert_eq!(again.status.code(), Some(0));
    assert!(lines(&again).iter().all(|line| line["state"] == "sealed"), "{}", out(&again));
    assert_eq!(archive.all(), before, "twice is as once");

    // What is sealed and changed is a matter of verify, not of repair.
    std::fs::write(archive.path("b.wav"), &whole[..5_000]).unwrap();
    let before = archive.all();
    assert_eq!(audyn(&["repair", archive.root()]).status.code(), Some(0));
    assert_eq!(archive.all(), before);
    assert_eq!(audyn(&["verify", archive.root()]).status.code(), Some(1));
}

#[test]
fn the_lines_of_json_tell_what_is_wrong_before_and_what_became_of_it_after() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("foreign.wav");
    let mut writer = WavWriter::create(&path, spec(), &Facts::default()).unwrap();
    writer.append(&[256; 10_000]).unwrap();
    writer.close().unwrap();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..4_096 + 300]).unwrap();
    let done = audyn(&["repair", "--json", path.to_str().unwrap()]);
    assert_eq!(done.status.code(), Some(0), "{}", err(&done));
    let told = lines(&done);
    let of =
        |line: &Value| (line["state"].clone(), line["frames_before"].as_u64(), line["frames_after"].as_u64());
    assert_eq!(
        told.iter().map(of).collect::<Vec<_>>(),
        [("damaged".into(), Some(10_000), Some(100)), ("mended".into(), Some(10_000), Some(100))]
    );
    assert!(told[0]["told"].as_str().unwrap().contains("it has no ledger"), "{told:?}");
    assert!(told[1].get("sealed_as").is_none(), "no recorder's directory");
}

#[test]
fn what_an_engine_writes_or_keeps_is_left_to_it() {
    let _alone = alone();
    let archive = Archive::new();
    let mut writer = WavWriter::create(archive.path("a.wav"), spec(), &Facts::default()).unwrap();
    writer.append(&[256; 10_000]).unwrap();
    let before = std::fs::read(archive.path("a.wav")).unwrap();
    let told = audyn(&["repair", "--json", archive.root()]);
    assert_eq!((told.status.code(), lines(&told)[0]["state"].as_str()), (Some(0), Some("being-written")));
    assert_eq!(std::fs::read(archive.path("a.wav")).unwrap(), before);
    writer.close().unwrap();
    archive.ledger("a.wav", "");

    let chain = Chain::open(Beneath::root(&archive.dir.path().join("one")).unwrap()).unwrap();
    let told = audyn(&["repair", archive.root()]);
    assert_eq!(told.status.code(), Some(0), "the engine will seal it");
    assert!(out(&told).contains("whole, 10000 frames; not sealed: "), "{}", out(&told));
    assert!(!archive.path("a.wav.json").exists());
    drop(chain);
    assert!(out(&audyn(&["repair", archive.root()])).contains("sealed as entry 1"));
}

#[test]
fn what_cannot_be_mended_is_left_and_said() {
    let _alone = alone();
    let archive = Archive::new();
    archive.record("a.wav");
    for (name, content) in [("b.wav", &b"not a recording"[..]), ("c.flac", b""), ("d.opus", &[7; 3_000])] {
        std::fs::write(archive.path(name), content).unwrap();
    }
    std::os::unix::fs::symlink(archive.path("a.wav"), archive.path("e.wav")).unwrap();
    std::os::unix::fs::symlink("/", archive.path("root")).unwrap();
    let before: Vec<_> =
        ["b.wav", "c.flac", "d.opus"].map(|name| std::fs::read(archive.path(name)).unwrap()).into();
    let told = audyn(&["repair", archive.root()]);
    assert_eq!(told.status.code(), Some(1));
    assert!(err(&told).contains("3 files could not be mended or sealed"), "{}", err(&told));
    assert_eq!(out(&told).lines().count(), 4, "{}", out(&told));
    assert_eq!(out(&told).matches("it is left as it is").count(), 3);
    let after: Vec<_> =
        ["b.wav", "c.flac", "d.opus"].map(|name| std::fs::read(archive.path(name)).unwrap()).into();
    assert_eq!(before, after);
    let link = audyn(&["repair", archive.path("e.wav").to_str().unwrap()]);
    assert!(out(&link).contains("is a link"), "{}", out(&link));
}

#[test]
fn what_was_asked_for_wrongly_changes_nothing() {
    let _alone = alone();
    let archive = Archive::new();
    let whole = archive.record("a.wav");
    std::fs::write(archive.path("a.wav"), &whole[..5_000]).unwrap();
    let before = archive.all();
    for (wrong, sentence) in
        [("/nowhere/a.wav", "cannot look at /nowhere/a.wav"), ("/etc/hostname", "neither .wav")]
    {
        let told = audyn(&["repair", archive.root(), wrong]);
        assert_eq!(told.status.code(), Some(2));
        assert!(err(&told).contains(sentence), "{}", err(&told));
    }
    assert_eq!(audyn(&["repair"]).status.code(), Some(2));
    assert_eq!(archive.all(), before);
}
