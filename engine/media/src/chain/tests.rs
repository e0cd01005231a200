//! The chain as a whole: what it proves, and that no crash between two steps breaks it.

use std::path::{Path, PathBuf};

use audyn_units::{FrameCount, FrameIndex, SampleRate};

use super::*;
use crate::{Beneath, MediaError};

/// What is sealed of `file`: 100 frames, 10 of them silence.
fn sealing(file: &str) -> Sealing {
    let instants = |position: u64| Instants {
        position: FrameIndex(position),
        tai: format!("1970-01-01T00:00:00.{position:06}"),
        utc: "1970-01-01T00:00:00Z".to_owned(),
        local: None,
    };
    let gap = GapFacts {
        position: FrameIndex(50),
        frames: FrameCount(10),
        cause: "loss".to_owned(),
        estimated: false,
    };
    Sealing(Sidecar {
        audyn_sidecar: VERSION,
        recorder: "a".to_owned(),
        studio: Some("one".to_owned()),
        file: file.to_owned(),
        format: FormatFacts {
            kind: "wav".to_owned(),
            rate: SampleRate::HZ_48000,
            channels: 1,
            bits: Some(24),
        },
        start: instants(20),
        end: instants(120),
        frames: FrameCount(100),
        frames_written: FrameCount(90),
        frames_filled: FrameCount(10),
        frames_unlisted: FrameCount::ZERO,
        gaps: vec![gap],
        gaps_in_all: 1,
        clock: ClockFacts::default(),
        mended: false,
        bytes: 0,
        sha256: Sha256::UNKNOWN,
        ledger: None,
        entry: 0,
        previous: None,
    })
}

/// A sidecar of that file.
pub(super) fn sidecar(file: &str) -> Sidecar {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive { dir };
    archive.record(file);
    archive.seal(file).unwrap()
}

/// Has a recorder's directory hold this file, sealed.
pub(super) fn recorder_with(directory: &Beneath, file: &str) -> Sidecar {
    let path = directory.path().join(file);
    std::fs::write(&path, format!("audio of {file}")).unwrap();
    std::fs::write(path.with_file_name(ledger_of(path.file_name().unwrap())), "{}\n").unwrap();
    seal(&mut Chain::open(directory.try_clone().unwrap()).unwrap(), directory, file)
}

/// Seals a file that is there.
pub(super) fn seal(chain: &mut Chain, directory: &Beneath, file: &str) -> Sidecar {
    let hashes = Hashes::of(directory, Path::new(file), || true).unwrap();
    chain.seal(sealing(file), hashes).unwrap()
}

/// A recorder's directory.
struct Archive {
    dir: tempfile::TempDir,
}

impl Archive {
    /// With these files, sealed in this order.
    fn of(files: &[&str]) -> Self {
        let archive = Self { dir: tempfile::tempdir().unwrap() };
        for file in files {
            archive.record(file);
            archive.seal(file).unwrap();
        }
        archive
    }

    fn record(&self, file: &str) {
        let path = self.path(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("audio of {file}")).unwrap();
        std::fs::write(path.with_file_name(ledger_of(path.file_name().unwrap())), "{}\n").unwrap();
    }

    fn root(&self) -> Beneath {
        Beneath::root(self.dir.path()).unwrap()
    }

    /// Seals a file as its engine does.
    fn seal(&self, file: &str) -> Result<Sidecar, MediaError> {
        let hashes = Hashes::of(&self.root(), Path::new(file), || true)?;
        self.chain().seal(sealing(file), hashes)
    }

    fn chain(&self) -> Chain {
        Chain::open(self.root()).unwrap()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    fn remove(&self, file: &str) {
        std::fs::remove_file(self.path(file)).unwrap();
    }

    fn verify(&self) -> Found {
        verify(&self.root(), false, |_| true).unwrap()
    }

    /// The sentences of what is wrong.
    fn faults(&self) -> Vec<String> {
        self.verify().faults.iter().map(ToString::to_string).collect()
    }

    /// A small change that keeps the length.
    fn alter(&self, file: &str) {
        let mut bytes = std::fs::read(self.path(file)).unwrap();
        let at = bytes.iter().rposition(|&byte| byte == b'a' || byte == b'1').unwrap();
        bytes[at] += 1;
        std::fs::write(self.path(file), bytes).unwrap();
    }
}

#[test]
fn what_nobody_touched_is_found_as_it_was() {
    let archive = Archive::of(&["a.wav", "2026/b.wav", "2026/07/archive.flac"]);
    archive.record("open.wav");
    let found = archive.verify();
    assert_eq!(found.faults, []);
    assert_eq!((found.sealed, found.deleted), (3, 0));
    assert_eq!(found.unsealed, ["open.wav"]);
    assert_eq!(found.head.unwrap().entry, 3);
}

#[test]
fn a_sealed_file_stays_sealed_as_it_was() {
    let archive = Archive::of(&["a.wav"]);
    let text = std::fs::read(archive.path("a.wav.json")).unwrap();
    let again = archive.seal("a.wav").unwrap();
    assert_eq!(again.entry, 1);
    assert_eq!(std::fs::read(archive.path("a.wav.json")).unwrap(), text);
    assert_eq!(archive.chain().head().entry, 1);
}

#[test]
fn every_hand_that_was_laid_on_a_recording_is_seen() {
    let files = ["a.wav", "b.wav", "c.wav", "d.wav"];
    let whole = |file: &'static str| {
        move |a: &Archive| {
            for end in ["wav", "wav.gaps.jsonl", "wav.json"] {
                a.remove(&format!("{file}.{end}"));
            }
        }
    };
    type Hand<'a> = &'a dyn Fn(&Archive);
    let cases: &[(Hand<'_>, &str)] = &[
        (&|a| a.alter("b.wav"), "b.wav was changed since it was closed"),
        (&|a| std::fs::write(a.path("b.wav"), "short").unwrap(), "b.wav has 5 bytes and had 14"),
        (&|a| a.remove("b.wav"), "b.wav is gone"),
        (&|a| a.remove("b.wav.gaps.jsonl"), "the gap ledger of b.wav"),
        (&|a| std::fs::write(a.path("b.wav.gaps.jsonl"), "[]\n").unwrap(), "the gap ledger of b.wav"),
        (&|a| a.alter("b.wav.json"), "(c.wav) does not follow"),
        (&|a| std::fs::write(a.path("b.wav.json"), "{}").unwrap(), "b.wav.json was not written by Audyn"),
        (
            &|a| std::fs::rename(a.path("b.wav.json"), a.path("e.wav.json")).unwrap(),
            "it is the sidecar of b.wav",
        ),
        (&|a| a.remove("b.wav.json"), "entry 2 of the chain is missing"),
        (&whole("b"), "entry 2 of the chain is missing"),
        (&whole("d"), "the head is entry 4 of the chain and the newest found is 3"),
        (&|a| a.remove(".audyn/head.json"), "the chain has no head"),
        (
            &|a| {
                a.record("x.wav");
                let text = std::fs::read_to_string(a.path("b.wav.json")).unwrap();
                std::fs::write(a.path("x.wav.json"), text.replace("b.wav", "x.wav")).unwrap();
            },
            "are both entry 2",
        ),
    ];
    for (hand, part) in cases {
        let archive = Archive::of(&files);
        hand(&archive);
        let faults = archive.faults();
        assert!(faults.iter().any(|fault| fault.contains(part)), "{part}: {faults:?}");
    }
}

#[test]
fn whoever_may_delete_leaves_a_tombstone_and_no_fault() {
    let archive = Archive::of(&["a.wav", "2026/b.wav", "c.wav"]);
    archive.chain().bury("2026/b.wav", "retention", "2026-08-01T00:00:00Z", "older than 30 days").unwrap();
    archive.record("d.wav");
    archive.seal("d.wav").unwrap();
    archive.chain().bury("a.wav", "anna", "2026-08-02T00:00:00Z", "asked for").unwrap();
    let found = archive.verify();
    assert_eq!((found.faults, found.sealed, found.deleted), (vec![], 2, 2));
    for gone in ["2026/b.wav", "2026/b.wav.gaps.jsonl", "2026/b.wav.json", "a.wav"] {
        assert!(!archive.path(gone).exists(), "{gone}");
    }
    let text = std::fs::read_to_string(archive.path(".audyn/tombstones.jsonl")).unwrap();
    let first: Tombstone = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((first.who.as_str(), first.entry), ("retention", 4));

    std::fs::write(archive.path(".audyn/tombstones.jsonl"), text.replace("anna", "otto")).unwrap();
    assert!(archive.faults()[0].contains("the head is entry 6"), "{:?}", archive.faults());
    std::fs::write(archive.path(".audyn/tombstones.jsonl"), text.replace("retention", "nobody")).unwrap();
    assert!(archive.faults()[0].contains("entry 5 of the chain (d.wav) does not follow"));
    let error = archive.chain().bury("none.wav", "anna", "", "").unwrap_err();
    assert!(
        matches!(error, MediaError::Chain { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    );
}

#[test]
fn what_cannot_be_removed_leaves_one_tombstone_however_often_it_is_tried() {
    let archive = Archive::of(&["a.wav", "b.wav"]);
    let whole = std::fs::read(archive.path("a.wav")).unwrap();
    // A directory is no file that can be removed.
    std::fs::remove_file(archive.path("a.wav")).unwrap();
    std::fs::create_dir(archive.path("a.wav")).unwrap();
    assert!(archive.chain().bury("a.wav", "retention", "now", "too old").is_err());
    archive.chain().bury("b.wav", "anna", "now", "asked for").unwrap();
    let text = || std::fs::read_to_string(archive.path(".audyn/tombstones.jsonl")).unwrap();
    let before = text();
    assert_eq!(before.lines().count(), 2);
    for _ in 0..3 {
        assert!(archive.chain().bury_again("a.wav", "retention", "later", "too old").is_err());
    }
    assert_eq!(text(), before);
    std::fs::remove_dir(archive.path("a.wav")).unwrap();
    std::fs::write(archive.path("a.wav"), whole).unwrap();
    archive.chain().bury_again("a.wav", "retention", "later", "too old").unwrap();
    assert!(!archive.path("a.wav").exists() && !archive.path("a.wav.json").exists());
    assert_eq!((text(), archive.faults()), (before, vec![]));
    // A later one of its name has a sidecar of its own, and gets a tombstone.
    archive.record("a.wav");
    archive.seal("a.wav").unwrap();
    archive.chain().bury_again("a.wav", "retention", "later", "too old").unwrap();
    assert_eq!(text().lines().count(), 3);
}

#[test]
fn what_was_not_sealed_yet_leaves_a_tombstone_too() {
    let archive = Archive::of(&["a.wav"]);
    archive.record("b.wav");
    archive.chain().bury("b.wav", "anna", "", "").unwrap();
    assert!(!archive.path("b.wav").exists() && !archive.path("b.wav.gaps.jsonl").exists());
    // Its name is free again, and what takes it stays.
    archive.record("b.wav");
    archive.chain();
    assert!(archive.path("b.wav").exists());
    let found = archive.verify();
    assert_eq!((found.faults, found.sealed, found.deleted), (vec![], 1, 1));
}

#[test]
fn a_directory_with_a_chain_of_its_own_is_another_recorders() {
    let archive = Archive::of(&["a.wav"]);
    archive.record("other/b.wav");
    Chain::open(archive.root().open(Path::new("other")).unwrap()).unwrap();
    let found = archive.verify();
    assert_eq!((found.faults, found.unsealed), (vec![], Vec::<String>::new()));
}

/// The state of a directory.
fn snapshot(archive: &Archive) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut directories = vec![archive.dir.path().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => directories.push(path),
                false => files.push((path.clone(), std::fs::read(&path).unwrap())),
            }
        }
    }
    files.sort();
    files
}

#[test]
fn a_crash_after_any_step_is_caught_up_with() {
    // What is on the disk after each step of *seal* and *bury*: the files of before and after, step by step.
    let archive = Archive::of(&["a.wav"]);
    archive.record("b.wav");
    let head = std::fs::read(archive.path(".audyn/head.json")).unwrap();
    archive.seal("b.wav").unwrap();
    let sidecar = std::fs::read(archive.path("b.wav.json")).unwrap();
    let mut with_next: Head = serde_json::from_slice(&head).unwrap();
    with_next.next = Some(Next { file: "b.wav".to_owned(), hash: Sha256::of(&sidecar) });
    let with_next = serde_json::to_vec(&with_next).unwrap();
    let sealed = std::fs::read(archive.path(".audyn/head.json")).unwrap();

    // After step 3: the sidecar is to come. After step 4: it is there.
    for there in [false, true] {
        std::fs::write(archive.path(".audyn/head.json"), &with_next).unwrap();
        match there {
            true => std::fs::write(archive.path("b.wav.json"), &sidecar).unwrap(),
            false => archive.remove("b.wav.json"),
        }
        std::fs::write(archive.path(".b.wav.json.new"), "torn").unwrap();
        assert_eq!(archive.faults(), [""; 0], "verify sees no fault in it");
        assert_eq!(archive.chain().head().entry, if there { 2 } else { 1 });
        // Another file may come first.
        archive.record("c.wav");
        archive.seal("c.wav").unwrap();
        archive.seal("b.wav").unwrap();
        assert_eq!(archive.faults(), [""; 0]);
        assert_eq!(archive.chain().head().entry, 3);
        for file in ["c.wav", "c.wav.gaps.jsonl", "c.wav.json"] {
            archive.remove(file);
        }
        std::fs::write(archive.path("b.wav.json"), &sidecar).unwrap();
        std::fs::write(archive.path(".audyn/head.json"), &sealed).unwrap();
    }

    // *Bury*: the tombstone torn; whole; the head; audio gone; all gone.
    let before = snapshot(&archive);
    archive.chain().bury("a.wav", "anna", "now", "asked for").unwrap();
    let tombstones = std::fs::read(archive.path(".audyn/tombstones.jsonl")).unwrap();
    let buried = std::fs::read(archive.path(".audyn/head.json")).unwrap();
    for step in 0..5 {
        for (path, bytes) in &before {
            std::fs::write(path, bytes).unwrap();
        }
        let length = if step == 0 { tombstones.len() / 2 } else { tombstones.len() };
        std::fs::write(archive.path(".audyn/tombstones.jsonl"), &tombstones[..length]).unwrap();
        if step >= 2 {
            std::fs::write(archive.path(".audyn/head.json"), &buried).unwrap();
        }
        if step >= 3 {
            archive.remove("a.wav");
        }
        if step >= 4 {
            archive.remove("a.wav.gaps.jsonl");
        }
        let head = archive.chain().head().entry;
        assert_eq!(archive.faults(), [""; 0], "step {step}");
        assert_eq!((head, archive.path("a.wav").exists()), if step == 0 { (2, true) } else { (3, false) });
        assert_eq!(archive.path("a.wav.json").exists(), step == 0);
    }
}

#[test]
fn a_chain_without_a_head_goes_on_where_it_was() {
    for damage in ["", "{\"audyn_head\":2}", "\0\0\0"] {
        let archive = Archive::of(&["a.wav", "b.wav"]);
        archive.chain().bury("b.wav", "anna", "", "").unwrap();
        std::fs::write(archive.path(".audyn/head.json"), damage).unwrap();
        archive.record("c.wav");
        assert_eq!(archive.seal("c.wav").unwrap().entry, 4, "{damage:?}");
        assert_eq!(archive.faults(), [""; 0]);
    }
}

#[test]
fn a_buried_file_whose_name_was_taken_again_keeps_the_new_one() {
    let archive = Archive::of(&["a.wav"]);
    archive.chain().bury("a.wav", "anna", "", "").unwrap();
    archive.record("a.wav");
    archive.seal("a.wav").unwrap();
    archive.chain();
    assert!(archive.path("a.wav").exists());
    assert_eq!(archive.faults(), [""; 0]);
}

#[test]
fn what_the_disk_does_not_confirm_is_not_hashed() {
    let archive = Archive::of(&[]);
    archive.record("a.wav");
    let ledger = archive.path("a.wav.gaps.jsonl");
    let text = std::fs::read(&ledger).unwrap();
    std::fs::remove_file(&ledger).unwrap();
    // A pipe can be read, and never be confirmed.
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &ledger, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let error = Hashes::of(&archive.root(), Path::new("a.wav"), || true).unwrap_err();
    assert!(matches!(error, MediaError::Sync { .. }), "{error}");
    std::fs::remove_file(&ledger).unwrap();
    std::fs::write(&ledger, text).unwrap();
    archive.seal("a.wav").unwrap();
    assert_eq!(archive.faults(), [""; 0]);
}

#[test]
fn an_end_that_is_asked_for_leaves_the_file_to_be_sealed_later() {
    let archive = Archive::of(&[]);
    archive.record("a.wav");
    let error = Hashes::of(&archive.root(), Path::new("a.wav"), || false).unwrap_err();
    assert!(
        matches!(error, MediaError::Chain { source, .. } if source.kind() == std::io::ErrorKind::Interrupted)
    );
    assert_eq!(archive.verify().unsealed, ["a.wav"]);
    archive.seal("a.wav").unwrap();
    assert_eq!(archive.faults(), [""; 0]);
}

#[test]
fn a_chain_has_one_writer() {
    let archive = Archive::of(&["a.wav"]);
    let chain = archive.chain();
    let MediaError::Chain { source, .. } = Chain::open(archive.root()).unwrap_err() else {
        panic!("another error")
    };
    assert_eq!(source.kind(), std::io::ErrorKind::ResourceBusy);
    assert_eq!(archive.faults(), [""; 0], "readers may look");
    drop(chain);
    archive.chain();
}

#[test]
fn a_file_that_is_written_or_is_another_by_now_is_not_sealed() {
    let archive = Archive::of(&[]);
    archive.record("a.wav");
    let kind = |error: MediaError| match error {
        MediaError::Chain { source, .. } => source.kind(),
        other => panic!("{other}"),
    };
    let writer = std::fs::File::open(archive.path("a.wav")).unwrap();
    writer.try_lock().unwrap();
    assert_eq!(kind(archive.seal("a.wav").unwrap_err()), std::io::ErrorKind::ResourceBusy);
    drop(writer);
    let hashes = Hashes::of(&archive.root(), Path::new("a.wav"), || true).unwrap();
    std::fs::rename(archive.path("a.wav"), archive.path("moved.wav")).unwrap();
    archive.record("a.wav");
    let error = archive.chain().seal(sealing("a.wav"), hashes).unwrap_err();
    assert_eq!(kind(error), std::io::ErrorKind::NotFound);
    assert!(!archive.path("a.wav.json").exists());
}

#[test]
fn what_an_engine_adds_while_somebody_verifies_is_no_fault() {
    let archive = Archive::of(&["a.wav", "b.wav"]);
    let mut done = false;
    let found = verify(&archive.root(), false, |_| {
        if !std::mem::replace(&mut done, true) {
            archive.chain().bury("b.wav", "anna", "", "").unwrap();
            archive.record("c.wav");
            archive.seal("c.wav").unwrap();
        }
        true
    });
    assert_eq!(found.unwrap().faults, []);
}

#[test]
fn what_is_protected_is_buried_by_nobody() {
    let archive = Archive::of(&["d/a.wav", "d/a.opus", "d/a.b.wav"]);
    let mut chain = archive.chain();
    let list = || protected(&archive.root()).unwrap().into_iter().collect::<Vec<_>>();
    assert_eq!(list(), [""; 0]);
    chain.protect("d/a.opus", true, "anna", "now").unwrap();
    chain.protect("d/a.wav", true, "anna", "now").unwrap();
    assert_eq!(list(), ["d/a"]);
    for file in ["d/a.wav", "d/a.opus"] {
        assert!(chain.is_protected(file).unwrap(), "all formats of it");
        let MediaError::Chain { source, .. } = chain.bury(file, "anna", "now", "asked for").unwrap_err()
        else {
            panic!("another error")
        };
        assert!(source.to_string().contains("protected"), "{source}");
        assert!(archive.path(file).exists());
    }
    chain.bury("d/a.b.wav", "anna", "now", "asked for").unwrap();
    assert!(chain.protect("d/none.wav", true, "anna", "now").is_err());
    drop(chain);
    // A line that a crash has torn goes, those before it hold.
    let path = archive.path(".audyn/protected.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 1, "what is so already is not entered again");
    std::fs::write(&path, text.clone() + &text[..20]).unwrap();
    assert_eq!(list(), ["d/a"]);
    let mut chain = archive.chain();
    chain.protect("d/a.wav", false, "otto", "later").unwrap();
    assert_eq!(list(), [""; 0]);
    std::fs::write(archive.path("d/a.wav.peaks"), "peaks").unwrap();
    chain.bury("d/a.wav", "anna", "now", "asked for").unwrap();
    assert!(!archive.path("d/a.wav.peaks").exists(), "they go with it");
    assert_eq!(archive.faults(), [""; 0]);
}

#[test]
fn no_link_is_followed() {
    let archive = Archive::of(&["a.wav"]);
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("x.wav"), "theirs").unwrap();
    std::os::unix::fs::symlink(outside.path(), archive.path("link")).unwrap();
    assert!(archive.seal("link/x.wav").is_err());
    assert!(archive.chain().bury("link/x.wav", "anna", "", "").is_err());
    assert!(outside.path().join("x.wav").exists());
    let found = archive.verify();
    assert_eq!((found.faults, found.unsealed.len()), (vec![], 0));
}

#[test]
fn who_reads_all_sidecars_keeps_the_chain_from_nobody_and_writes_no_index_that_is_old_by_then() {
    use super::listing::{reindexed, sealed};
    let archive = Archive::of(&["a.wav", "b.wav"]);
    let index = archive.path(".audyn/index");
    std::fs::remove_file(&index).unwrap();
    let found = reindexed(&archive.root(), || {
        let read = sealed(&archive.root());
        // An engine starts, and seals.
        archive.record("c.wav");
        archive.seal("c.wav").unwrap();
        read
    });
    assert_eq!(found.unwrap().len(), 2);
    let whole = std::fs::read(&index).unwrap();
    assert!(crate::archive::index::covers(&whole, head_of(&archive.root()).unwrap().unwrap()));
    std::fs::remove_file(&index).unwrap();
    assert_eq!(reindexed(&archive.root(), || sealed(&archive.root())).unwrap().len(), 3);
    assert!(std::fs::read(&index).unwrap() == whole);
}
