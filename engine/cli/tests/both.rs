//! `audyn find` and `audyn export` over an archive with holes and its mirror, as a person runs them.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy exempts only test functions themselves"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

use audyn_media::chain::{Chain, Hashes, account};
use audyn_media::{Beneath, Facts, PcmDepth, WavReader, WavSpec, WavWriter};
use audyn_units::{ChannelCount, SampleRate};
use serde_json::Value;

/// 2025-07-01T23:46:40 TAI.
const START: u64 = 84_067_852_800_000;
const LENGTH: u64 = 48_000;

/// One test at a time: a child that another one starts has all open files, and their locks, until its program runs.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn audyn(dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_audyn")).args(arguments).current_dir(dir).output().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

/// Samples that tell their place, and whose they are.
fn signal(whose: u64, from: u64, frames: u64) -> Vec<i32> {
    (from..from + frames).map(|n| (((n + whose) as u32).wrapping_mul(2_654_435_761) << 8) as i32).collect()
}

/// A second of a recorder, sealed, `at` seconds behind the start.
fn record(volume: &Path, recorder: &str, at: u64, whose: u64) {
    let folder = volume.join("a");
    std::fs::create_dir_all(&folder).unwrap();
    let (name, first) = (format!("{at:02}.wav"), START + at * LENGTH);
    let spec = WavSpec { rate: SampleRate::HZ_48000, channels: ChannelCount::MONO, depth: PcmDepth::Pcm24 };
    let mut writer = WavWriter::create(folder.join(&name), spec, &Facts::default()).unwrap();
    writer.append(&signal(whose, first, LENGTH)).unwrap();
    writer.close().unwrap();
    let utc = jiff::Timestamp::from_second((1_751_413_563 + at) as i64).unwrap();
    let header = format!(
        r#"{{"audyn_ledger":3,"recorder":"{recorder}","studio":null,"file":"{name}","first_position":{first},"start_utc":"{utc}","zone":null,"rate":48000,"channels":1,"bits":24,"placed_by":"media-clock","clock":null,"tai_minus_utc":37}}"#
    );
    let closed =
        format!(r#"{{"closed":true,"frames_written":{LENGTH},"frames_filled":0,"tai_minus_utc":37}}"#);
    std::fs::write(folder.join(format!("{name}.gaps.jsonl")), format!("{header}\n{closed}\n")).unwrap();
    let root = Beneath::root(&folder).unwrap();
    let (told, hashes) =
        (account(&root, Path::new(&name)).unwrap(), Hashes::of(&root, Path::new(&name), || true).unwrap());
    Chain::open(root).unwrap().seal(told, hashes).unwrap();
}

/// An archive of four seconds, of which one is gone and one cut short, and its whole mirror.
fn two() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    for at in 0..4 {
        for volume in ["archive", "mirror"] {
            record(&dir.path().join(volume), "a", at, 0);
        }
    }
    std::fs::remove_file(dir.path().join("archive/a/01.wav")).unwrap();
    let short = std::fs::File::options().write(true).open(dir.path().join("archive/a/02.wav")).unwrap();
    short.set_len(4_096 + 3 * 1_000).unwrap();
    let output = dir.path().join("out.wav");
    (dir, output)
}

fn export<'a>(mirror: &'a [&'a str], to: &'a str) -> Vec<&'a str> {
    let what =
        ["--json", "export", "--archive-root", "archive", "--recorder", "a", "--from", "@84067852800000"];
    [&what[..], &["--to", to, "-o", "out.wav"], mirror].concat()
}

const END: &str = "@84067852992000";

#[test]
fn an_export_of_both_is_whole_to_the_sample_and_says_what_came_from_where() {
    let _alone = alone();
    let (dir, output) = two();
    let (code, text) = audyn(dir.path(), &export(&["--mirror", "mirror"], END));
    assert_eq!(code, Some(0), "{text}");
    let told: Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!((&told["frames"], &told["frames_filled"]), (&(4 * LENGTH).into(), &0.into()));
    let mirror =
        serde_json::json!({ "count": 2, "frames": 2 * LENGTH - 1_000, "files": ["01.wav", "02.wav"] });
    assert_eq!(told["mirror"], mirror);
    let mut samples = vec![0; 4 * LENGTH as usize];
    WavReader::open(&output).unwrap().read(&mut samples).unwrap();
    assert!(samples == signal(0, START, 4 * LENGTH));
    // The same in words.
    std::fs::remove_file(&output).unwrap();
    std::fs::remove_file(dir.path().join("out.wav.gaps.jsonl")).unwrap();
    let (_, text) = audyn(dir.path(), &export(&["--mirror", "mirror"], END)[1..]);
    let said = "; nothing lacks; 95000 frames in 2 places come from the mirror: 01.wav and 02.wav";
    assert!(text.contains(said) && text.contains("02.wav: "), "{text}");
}

#[test]
fn without_the_option_it_is_silence_as_before() {
    let _alone = alone();
    let (dir, _) = two();
    let (code, text) = audyn(dir.path(), &export(&[], END));
    let told: Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!((code, &told["frames_filled"]), (Some(0), &(2 * LENGTH - 1_000).into()));
    assert_eq!(told.get("mirror"), None);
    let (_, found) = audyn(dir.path(), &["find", "--archive-root", "archive"]);
    assert!(found.contains("01.wav, gone") && found.ends_with("4 recordings\n"), "{found}");
}

#[test]
fn what_nothing_proves_to_be_the_mirror_is_refused_and_nothing_is_made() {
    let _alone = alone();
    let (dir, output) = two();
    for at in 0..4 {
        // Another box's, which cuts at the same frames; and one whose files are another recorder's.
        record(&dir.path().join("others"), "a", at, 7);
        record(&dir.path().join("renamed"), "b", at, 0);
    }
    record(&dir.path().join("later"), "a", 9, 0);
    std::fs::create_dir_all(dir.path().join("empty")).unwrap();
    for (mirror, why) in [
        ("others", "it is another archive's, and nothing of it is taken"),
        ("renamed", "it is another archive's, and nothing of it is taken"),
        ("later", "nothing tells whether it is its mirror"),
        ("archive", "is the archive itself"),
        ("empty", "no recorder has recorded below empty"),
        ("mirror/a", "one is a root and the other a recorder's directory"),
    ] {
        let (code, text) = audyn(dir.path(), &export(&["--mirror", mirror], END));
        assert!(code == Some(2) && text.contains(why), "{mirror}: {text}");
        let (code, text) = audyn(dir.path(), &["find", "--archive-root", "archive", "--mirror", mirror]);
        assert!(code == Some(2) && text.contains(why), "{mirror}: {text}");
    }
    assert!(!output.exists());
}

#[test]
fn what_only_the_mirror_has_is_found_beside_what_the_archive_has() {
    let _alone = alone();
    let (dir, _) = two();
    let find = ["find", "--archive-root", "archive", "--mirror", "mirror"];
    let (code, text) = audyn(dir.path(), &find);
    assert_eq!(code, Some(0), "{text}");
    // Another box's recorder that lies there as well is not the archive's.
    std::fs::create_dir(dir.path().join("other")).unwrap();
    record(&dir.path().join("other"), "b", 1, 0);
    std::fs::rename(dir.path().join("other/a"), dir.path().join("mirror/b")).unwrap();
    let (_, beside) = audyn(dir.path(), &find);
    assert!(
        beside.contains("nothing in archive is of b, so nothing tells whether mirror/b belongs"),
        "{beside}"
    );
    assert!(beside.starts_with(text.as_str()), "{beside}");
    let of_mirror: Vec<&str> = text.lines().filter(|line| line.contains("on the mirror")).collect();
    assert!(of_mirror.len() == 2 && text.ends_with("6 recordings\n"), "{text}");
    assert!(
        of_mirror[0].contains("mirror/a/01.wav, on the mirror: the archive lacks 48000 frames"),
        "{text}"
    );
    let (_, text) = audyn(dir.path(), &[&["--json"], &find[..], &["--from", "@84067852900000"]].concat());
    let lines = text.lines().filter(|line| line.starts_with('{'));
    let lines: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let mirrored: Vec<&Value> = lines.iter().filter(|line| line["volume"] == "mirror").collect();
    assert_eq!((lines.len(), mirrored.len()), (3, 1));
    assert_eq!((&mirrored[0]["file"], &mirrored[0]["lacked"]), (&"02.wav".into(), &48_000.into()));
}

#[test]
fn with_fewer_open_files_than_recordings_an_export_is_whole_all_the_same() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    for at in 0..9 {
        record(&dir.path().join("archive"), "a", at, 0);
    }
    let arguments = export(&[], "@84067853232000");
    let limited = ["-c", "ulimit -n 70 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_audyn")];
    let output = Command::new("sh").args(limited).args(arguments).current_dir(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut samples = vec![0; 9 * LENGTH as usize];
    WavReader::open(dir.path().join("out.wav")).unwrap().read(&mut samples).unwrap();
    assert!(samples == signal(0, START, 9 * LENGTH));
}
