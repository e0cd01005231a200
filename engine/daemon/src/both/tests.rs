//! What the mirror does of what a person asks, on two small archives.

use std::fs::create_dir_all;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::Duration;

use audyn_media::chain::{Hashes, account, protected};
use audyn_media::{Beneath, Facts, FileFormat, PcmDepth, WavSpec};
use audyn_units::{ChannelCount, FrameIndex, SampleRate};

use super::*;

struct Two {
    dir: tempfile::TempDir,
    volumes: Volumes,
}

impl Two {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [archive, chains] = ["archive", "mirror"].map(|name| {
            create_dir_all(dir.path().join(name).join("a")).unwrap();
            Chains::below(dir.path().join(name))
        });
        let (follower, patience) = (Follower::default(), Duration::from_secs(60));
        let mirror = Mirror { chains, stalled: None, follower, patience };
        let root = archive.archive().to_owned();
        Self { dir, volumes: Volumes { root, archive, mirror: Some(mirror) } }
    }

    fn mirror(&mut self) -> &mut Mirror {
        self.volumes.mirror.as_mut().unwrap()
    }

    fn chains(&self, volume: usize) -> &Chains {
        [&self.volumes.archive, &self.volumes.mirror.as_ref().unwrap().chains][volume]
    }

    fn recorder(&self, volume: usize) -> PathBuf {
        self.dir.path().join(["archive", "mirror"][volume]).join("a")
    }

    fn has(&self, volume: usize, name: &str) -> bool {
        self.recorder(volume).join(name).exists()
    }

    /// A recording of these frames, without a sidecar.
    fn write(&self, volume: usize, name: &str, (from, to): (u64, u64)) {
        let directory = Beneath::root(&self.recorder(volume)).unwrap();
        let (rate, depth) = (SampleRate::HZ_48000, PcmDepth::Pcm16);
        let format = FileFormat::Wav(WavSpec { rate, channels: ChannelCount::MONO, depth });
        let mut made = format.create_in(&directory, name.as_ref(), &Facts::default(), depth).unwrap();
        made.append(&vec![0; (to - from) as usize]).unwrap();
        made.close();
        let header = serde_json::json!({
            "audyn_ledger": 3, "recorder": "a", "file": name, "first_position": from,
            "start_utc": "2026-07-02T00:00:00Z", "rate": 48_000, "channels": 1, "bits": 16,
        });
        let closed = serde_json::json!({ "closed": true, "frames_written": to - from, "frames_filled": 0 });
        let ledger = crate::ledger::path_of(&self.recorder(volume).join(name));
        std::fs::write(ledger, format!("{header}\n{closed}\n")).unwrap();
    }

    /// The same with a sidecar.
    fn record(&self, volume: usize, name: &str, span: (u64, u64)) {
        self.write(volume, name, span);
        let directory = Beneath::root(&self.recorder(volume)).unwrap();
        let sealing = account(&directory, name.as_ref()).unwrap();
        let hashes = Hashes::of(&directory, name.as_ref(), || true).unwrap();
        let seal = |chain: &mut audyn_media::chain::Chain| chain.seal(sealing, hashes);
        self.chains(volume).with(&self.recorder(volume), seal).unwrap();
    }

    fn delete(&self, names: &[&str]) -> Vec<Option<Refusal>> {
        let paths = names.iter().map(|name| format!("a/{name}")).collect();
        let deleted = self.volumes.delete(paths, &[], "anna", |_| false);
        deleted.into_iter().map(|file| file.refused).collect()
    }

    /// The one that begins there.
    fn delete_shown(&self, name: &str, position: u64) -> Option<Refusal> {
        let meant = Beginning { position: FrameIndex(position), rate: SampleRate::HZ_48000 };
        self.volumes.delete(vec![format!("a/{name}")], &[Some(meant)], "anna", |_| false).remove(0).refused
    }

    fn delete_one(&self, name: &str) -> Option<Refusal> {
        self.delete(&[name]).remove(0)
    }
}

#[test]
fn what_was_deleted_is_asked_for_again_and_another_recording_of_its_name_stays_on_the_mirror() {
    let two = Two::new();
    two.record(0, "hour.wav", (1_000, 2_000));
    two.record(1, "hour.wav", (9_000, 9_500));
    assert_eq!(two.delete_one("hour.wav"), None);
    let again = two.delete_one("hour.wav").unwrap();
    assert_eq!(again.kind, RefusalKind::NotFound);
    assert!(!two.has(0, "hour.wav") && two.has(1, "hour.wav"));
    // Nor does one go that the archive never had, or had and never sealed: nothing tells that it is that one.
    two.record(1, "other.wav", (20_000, 21_000));
    two.write(0, "unsealed.wav", (30_000, 31_000));
    two.record(1, "unsealed.wav", (40_000, 41_000));
    two.delete_one("unsealed.wav");
    for name in ["other.wav", "unsealed.wav"] {
        let refused = two.delete_one(name).unwrap();
        assert_eq!(refused.kind, RefusalKind::NotFound);
        assert!(refused.detail.contains("does not exist in the archive, and is not deleted on the mirror"));
        assert!(two.has(1, name), "{name}");
    }
}

#[test]
fn what_the_mirror_has_yet_of_what_was_deleted_goes_when_it_is_asked_for_again() {
    let mut two = Two::new();
    for volume in 0..2 {
        two.record(volume, "hour.wav", (1_000, 2_000));
        two.write(volume, "unsealed.wav", (2_000, 3_000));
    }
    two.mirror().stalled = Some("the mirror stalls".to_owned());
    assert_eq!(two.delete_one("hour.wav"), None, "it goes there later");
    let told = two.delete_one("unsealed.wav").unwrap();
    assert!(told.detail.contains("not on the mirror; ask again when that is well: the mirror stalls"));
    assert!(two.has(1, "hour.wav") && !two.has(0, "hour.wav"));
    two.mirror().stalled = None;
    assert_eq!(two.delete_one("hour.wav"), None);
    assert!(!two.has(1, "hour.wav"));
    assert_eq!(two.delete_one("hour.wav").unwrap().kind, RefusalKind::NotFound);

    // What the mirror itself refuses does not go later.
    two.record(0, "kept.wav", (5_000, 6_000));
    two.record(1, "kept.wav", (5_000, 6_000));
    two.chains(1).with(&two.recorder(1), |chain| chain.protect("kept.wav", true, "otto", "now")).unwrap();
    let told = two.delete_one("kept.wav").unwrap();
    assert!(told.kind == RefusalKind::Failed && told.detail.contains("unprotect"), "{}", told.detail);
    assert!(!two.has(0, "kept.wav") && two.has(1, "kept.wav"));
}

#[test]
fn names_that_have_parted_hide_nothing_from_what_is_asked() {
    let two = Two::new();
    two.record(0, "hour.wav", (1_000, 2_000));
    two.record(1, "hour.wav", (1_000, 1_400));
    two.record(1, "hour_002.wav", (1_500, 2_000));
    two.record(1, "next.wav", (2_000, 3_000));
    let protect = |protected| {
        let done = two.volumes.protect(vec!["a/hour.wav".to_owned()], protected, "anna");
        assert_eq!(done[0].refused, None);
        let there = protected_on(&two, 1);
        ["hour", "hour_002", "next"].map(|segment| there.contains(segment))
    };
    assert_eq!(protect(true), [true, true, false]);
    assert_eq!(protect(false), [false; 3]);
    assert_eq!(two.delete_one("hour.wav"), None);
    assert_eq!(["hour.wav", "hour_002.wav", "next.wav"].map(|name| two.has(1, name)), [false, false, true]);

    // What holds more than was asked for is no such file: it is protected as well, and never deleted with it.
    let two = Two::new();
    two.record(0, "one.wav", (2_000, 2_500));
    two.record(0, "two.wav", (2_500, 3_000));
    two.record(1, "whole.wav", (1_000, 3_000));
    two.volumes.protect(vec!["a/one.wav".to_owned()], true, "anna");
    assert!(protected_on(&two, 1).contains("whole"));
    let done = two.volumes.protect(vec!["a/one.wav".to_owned()], false, "anna").remove(0);
    assert!(
        done.refused
            .unwrap()
            .detail
            .contains("is let go in the archive, but not on the mirror: `a/whole.wav`")
    );
    let told = two.delete_one("one.wav").unwrap();
    assert_eq!(told.kind, RefusalKind::Failed);
    assert!(told.detail.contains("`a/whole.wav` there holds a part of it"), "{}", told.detail);
    assert!(two.has(1, "whole.wav") && !two.has(0, "one.wav"));
}

#[test]
fn what_was_shown_on_the_mirror_is_deleted_and_another_one_of_its_name_in_the_archive_is_not() {
    let two = Two::new();
    // After one was away: the same name, and not the same recording.
    two.record(0, "hour.wav", (1_000, 2_000));
    two.record(1, "hour.wav", (5_000, 6_000));
    let refused = two.delete_shown("hour.wav", 5_000).unwrap();
    assert_eq!(refused.kind, RefusalKind::Conflict);
    assert!(refused.detail.contains("another recording in the archive than the one that was shown"));
    assert!(two.has(0, "hour.wav") && two.has(1, "hour.wav"));
    // What it is cannot be told.
    two.write(0, "open.wav", (7_000, 8_000));
    std::fs::remove_file(two.recorder(0).join("open.wav.gaps.jsonl")).unwrap();
    let refused = two.delete_shown("open.wav", 7_000).unwrap();
    assert!(refused.detail.contains("cannot be told from another recording"), "{}", refused.detail);
    assert!(two.has(0, "open.wav"));
    // The very one.
    assert_eq!(two.delete_shown("hour.wav", 1_000), None);
    assert!(!two.has(0, "hour.wav") && two.has(1, "hour.wav"));
    // Of what has gone from the archive only what was shown goes from the mirror: not the rest of another one of its name.
    two.record(1, "rest.wav", (1_500, 2_000));
    assert_eq!(two.delete_shown("hour.wav", 5_000).unwrap().kind, RefusalKind::NotFound);
    assert!(two.has(1, "hour.wav") && two.has(1, "rest.wav"));
    assert_eq!(two.delete_shown("none.wav", 5_000).unwrap().kind, RefusalKind::NotFound);
}

fn protected_on(two: &Two, volume: usize) -> std::collections::BTreeSet<String> {
    protected(&Beneath::root(&two.recorder(volume)).unwrap()).unwrap()
}

#[test]
fn a_mirror_that_hangs_keeps_nothing_from_being_done_in_the_archive() {
    let mut two = Two::new();
    for volume in 0..2 {
        for (at, name) in ["one.wav", "two.wav", "three.wav"].into_iter().enumerate() {
            let from = 1_000 * (1 + at as u64);
            two.write(volume, name, (from, from + 1_000));
        }
    }
    two.mirror().patience = Duration::ZERO;
    let (chains, recorder) = (two.chains(1).clone(), two.recorder(1));
    let ((hangs, hung), (go_on, waits)) = (channel(), channel::<()>());
    let disk = std::thread::spawn(move || {
        chains.with(&recorder, |_| {
            hangs.send(()).unwrap();
            let _ = waits.recv();
            Ok(())
        })
    });
    hung.recv().unwrap();
    for refused in two.delete(&["one.wav", "two.wav"]) {
        assert!(
            refused.unwrap().detail.contains("is deleted in the archive, but not on the mirror; ask again")
        );
    }
    assert!(!two.has(0, "one.wav") && !two.has(0, "two.wav"));
    // And no more threads wait for it than one.
    let told = two.delete_one("three.wav").unwrap().detail;
    assert!(told.contains("has not answered yet what it was asked before"), "{told}");
    assert!(!two.has(0, "three.wav") && two.has(1, "one.wav") && two.has(1, "two.wav"));
    drop(go_on);
    disk.join().unwrap().unwrap();
    while two.mirror().follower.waits() {
        std::thread::yield_now();
    }
    assert!(!two.has(1, "one.wav") && !two.has(1, "two.wav"), "what was asked is done when it answers");
    assert!(two.has(1, "three.wav"));
}
