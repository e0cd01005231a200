//! A disk without a free block. The test runs itself again in a mount namespace of its own, with a small tmpfs there. It is a program
//! of its own: a child has all open files, and their locks, until its program runs.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use audyn_media::chain::{Chain, Hashes, account, verify};
use audyn_media::{Beneath, Facts, MediaError, PcmDepth, WavSpec, WavWriter};
use audyn_units::{ChannelCount, SampleRate};

/// A recorder's directory.
struct Archive {
    dir: tempfile::TempDir,
}

impl Archive {
    fn root(&self) -> Beneath {
        Beneath::root(self.dir.path()).unwrap()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    fn remove(&self, file: &str) {
        std::fs::remove_file(self.path(file)).unwrap();
    }

    fn chain(&self) -> Chain {
        Chain::open(self.root()).unwrap()
    }

    /// A sealed recording of a tenth of a second.
    fn seal(&self, file: &str) {
        let spec =
            WavSpec { rate: SampleRate::HZ_48000, channels: ChannelCount::MONO, depth: PcmDepth::Pcm24 };
        let mut wav = WavWriter::create(self.path(file), spec, &Facts::default()).unwrap();
        wav.append(&[256; 4_800]).unwrap();
        wav.close().unwrap();
        let header = format!(
            r#"{{"audyn_ledger":3,"recorder":"a","file":"{file}","first_position":1000,"start_utc":"2026-07-02T13:46:03Z","rate":48000,"channels":1,"bits":24,"placed_by":null,"clock":null,"tai_minus_utc":null}}"#
        );
        let closed = r#"{"closed":true,"frames_written":4800,"frames_filled":0}"#;
        std::fs::write(self.path(&format!("{file}.gaps.jsonl")), format!("{header}\n{closed}\n")).unwrap();
        let file = Path::new(file);
        let hashes = Hashes::of(&self.root(), file, || true).unwrap();
        self.chain().seal(account(&self.root(), file).unwrap(), hashes).unwrap();
    }

    fn faults(&self) -> Vec<String> {
        let found = verify(&self.root(), false, |_| true).unwrap();
        found.faults.iter().map(ToString::to_string).collect()
    }
}

/// Set where the test runs on a small disk: the directory that it is mounted on.
const DISK: &str = "AUDYN_TEST_SMALL_DISK";

/// Runs a test of this program on a disk of `size` (as `mount` takes it). False if it has; true if this is the run on the disk. Where nothing
/// can be mounted it says so and counts as run.
fn is_on_disk(name: &str, size: &str) -> bool {
    if std::env::var_os(DISK).is_some() {
        return true;
    }
    let dir = tempfile::tempdir().unwrap();
    let run = |script: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]);
        unshare.arg(dir.path()).arg(std::env::current_exe().unwrap()).arg(name).env(DISK, dir.path());
        unshare.output()
    };
    let mount = format!("mount -t tmpfs -o size={size} none \"$1\"");
    match run(&mount) {
        Ok(tried) if tried.status.success() => {}
        tried => {
            let why = tried.map_or_else(
                |error| error.to_string(),
                |tried| String::from_utf8_lossy(&tried.stderr).into_owned(),
            );
            println!("skipped: this user may mount no disk ({})", why.trim());
            return false;
        }
    }
    let ran = run(&format!("{mount} && exec \"$2\" --exact \"$3\" --nocapture")).unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    false
}

/// Takes every byte that is free.
fn fill(archive: &Archive, name: &str) {
    let mut file = std::fs::File::create(archive.path(name)).unwrap();
    let mut length = 1 << 20;
    while length > 0 {
        match file.write(&vec![1; length]) {
            Ok(written) if written == length => {}
            Ok(_) => length /= 2,
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
                length /= 2;
            }
        }
    }
}

#[test]
fn a_full_disk_can_be_emptied_by_who_may() {
    if !is_on_disk("a_full_disk_can_be_emptied_by_who_may", "6m") {
        return;
    }
    let dir = tempfile::tempdir_in(std::env::var_os(DISK).unwrap()).unwrap();
    let archive = Archive { dir };
    let reserve = || std::fs::metadata(archive.path(".audyn/reserve")).map(|file| file.len());
    for file in ["a.wav", "b.wav", "c.wav"] {
        archive.seal(file);
    }
    assert_eq!(reserve().unwrap(), 1 << 20);
    for (round, file) in ["a.wav", "b.wav"].into_iter().enumerate() {
        fill(&archive, &format!("more{round}"));
        archive.chain().bury(file, "anna", "now", "asked for").unwrap();
        assert!(!archive.path(file).exists() && !archive.path(&format!("{file}.json")).exists());
        assert_eq!(archive.faults(), [""; 0]);
        std::fs::remove_file(archive.path(&format!("more{round}"))).unwrap();
        drop(archive.chain());
        assert_eq!(reserve().unwrap(), 1 << 20, "it is made again");
    }
    // Killed behind the tombstone of the last one: the head is behind, and the disk is full.
    let head = std::fs::read(archive.path(".audyn/head.json")).unwrap();
    archive.chain().bury("c.wav", "anna", "now", "asked for").unwrap();
    std::fs::write(archive.path(".audyn/head.json"), head).unwrap();
    fill(&archive, "more");
    assert_eq!(archive.chain().head().entry, 6);
    assert_eq!(archive.faults(), [""; 0]);
    // Without a reserve it is refused, and nothing has changed.
    std::fs::remove_file(archive.path("more")).unwrap();
    archive.seal("d.wav");
    let chain = &mut archive.chain();
    archive.remove(".audyn/reserve");
    std::fs::remove_file(archive.path(".audyn/tombstones.jsonl")).unwrap();
    fill(&archive, "more");
    let MediaError::Chain { source, .. } = chain.bury("d.wav", "anna", "now", "asked for").unwrap_err()
    else {
        panic!("another error")
    };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
    assert!(archive.path("d.wav").exists() && archive.path("d.wav.json").exists());
}

#[test]
fn protecting_on_a_full_disk_leaves_the_reserve_to_deletions() {
    if !is_on_disk("protecting_on_a_full_disk_leaves_the_reserve_to_deletions", "6m") {
        return;
    }
    let dir = tempfile::tempdir_in(std::env::var_os(DISK).unwrap()).unwrap();
    let archive = Archive { dir };
    for file in ["a.wav", "b.wav", "c.wav"] {
        archive.seal(file);
    }
    let has_reserve = || archive.path(".audyn/reserve").exists();
    let mut chain = archive.chain();
    fill(&archive, "more");
    let MediaError::Chain { source, .. } = chain.protect("a.wav", true, "anna", "now").unwrap_err() else {
        panic!("another error")
    };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
    assert!(has_reserve() && !chain.is_protected("a.wav").unwrap());
    chain.bury("b.wav", "anna", "now", "asked for").unwrap();
    assert_eq!(archive.faults(), [""; 0]);
    // What was protected before can be let go, and then be deleted. The list ends with a block of the disk, so that a line takes another.
    std::fs::remove_file(archive.path("more")).unwrap();
    let length = || std::fs::metadata(archive.path(".audyn/protected.jsonl")).unwrap().len();
    let before = length();
    chain.protect("c.wav", true, "anna", "now").unwrap();
    let line = length() - before;
    chain.protect("c.wav", false, "anna", "now").unwrap();
    let more = 4_096 - (length() + line) % 4_096;
    chain.protect("c.wav", true, &format!("anna{}", "a".repeat(more as usize)), "now").unwrap();
    assert_eq!(length() % 4_096, 0);
    drop(chain);
    let mut chain = archive.chain();
    assert!(has_reserve());
    fill(&archive, "more");
    chain.protect("c.wav", false, "anna", "now").unwrap();
    assert!(!has_reserve(), "it was needed");
    chain.bury("c.wav", "anna", "now", "asked for").unwrap();
    assert_eq!(archive.faults(), [""; 0]);
}
