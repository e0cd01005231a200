//! A disk without a free block. The test runs itself again in a mount namespace of its own, with a small tmpfs there.

use std::io::Write as _;
use std::process::Command;

use super::*;

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
    if !is_on_disk("chain::tests::full::a_full_disk_can_be_emptied_by_who_may", "6m") {
        return;
    }
    let dir = tempfile::tempdir_in(std::env::var_os(DISK).unwrap()).unwrap();
    let archive = Archive { dir };
    let reserve = || std::fs::metadata(archive.path(".audyn/reserve")).map(|file| file.len());
    for file in ["a.wav", "b.wav", "c.wav"] {
        archive.record(file);
        archive.seal(file).unwrap();
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
    archive.record("d.wav");
    archive.seal("d.wav").unwrap();
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
