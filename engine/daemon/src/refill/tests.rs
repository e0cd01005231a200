//! Rounds over two small archives, at times of the tests' choosing.

use std::fs::{create_dir_all, read, read_dir};

use audyn_media::chain::{account, verify};
use audyn_media::{Facts, FileFormat, PcmDepth, WavSpec};
use audyn_units::{ChannelCount, SampleRate};

use super::*;

/// 2026-07-02T00:00:00Z.
const BEGIN: i64 = 1_782_950_400;

struct Two {
    dir: tempfile::TempDir,
    filler: Filler,
    /// Seconds of the monotonic clock.
    mono: i64,
}

impl Two {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let volumes = ["archive", "mirror"].map(|name| {
            create_dir_all(dir.path().join(name).join("a")).unwrap();
            Chains::below(dir.path().join(name))
        });
        let mut filler = Filler::new(volumes, Arc::default(), Arc::default());
        // Whatever the disk of temporary files has.
        filler.room = |_| DiskState { total_bytes: 1 << 30, free_bytes: 1 << 30 };
        Self { dir, filler, mono: 0 }
    }

    fn recorder(&self, volume: usize) -> PathBuf {
        self.dir.path().join(["archive", "mirror"][volume]).join("a")
    }

    /// A sealed recording of seconds `from` to `to`, of which `stalled` are silence since its disk took nothing.
    fn record(&self, volume: usize, name: &str, (from, to): (i64, i64), stalled: Option<(i64, i64)>) {
        let recorder = self.recorder(volume);
        let (rate, depth) = (SampleRate::HZ_48000, PcmDepth::Pcm16);
        let format = FileFormat::Wav(WavSpec { rate, channels: ChannelCount::MONO, depth });
        let directory = Beneath::root(&recorder).unwrap();
        let mut made = format.create_in(&directory, name.as_ref(), &Facts::default(), depth).unwrap();
        let is_silent = |second: i64| stalled.is_some_and(|(first, end)| (first..end).contains(&second));
        for second in from..to {
            let sample = |n: i64| if is_silent(second) { 0 } else { ((second * 48_000 + n) as i32) << 16 };
            made.append(&(0..48_000).map(sample).collect::<Vec<i32>>()).unwrap();
        }
        made.close();
        let header = serde_json::json!({
            "audyn_ledger": 3, "recorder": "a", "file": name, "first_position": (BEGIN + from) * 48_000,
            "start_utc": jiff::Timestamp::from_second(BEGIN + from).unwrap().to_string(), "rate": 48_000, "channels": 1,
            "bits": 16, "placed_by": "media-clock", "clock": "ntp", "tai_minus_utc": null,
        });
        let gap = stalled.map(|(first, end)| {
            let (position, frames) = ((BEGIN + first) * 48_000, (end - first) * 48_000);
            serde_json::json!({ "position": position, "frames": frames, "cause": "disk-stall", "estimated": false })
        });
        let filled = stalled.map_or(0, |(first, end)| (end - first) * 48_000);
        let closed = serde_json::json!({
            "closed": true, "frames_written": (to - from) * 48_000 - filled, "frames_filled": filled,
        });
        let lines = [Some(header), gap, Some(closed)].into_iter().flatten();
        let ledger: String = lines.map(|line| format!("{line}\n")).collect();
        std::fs::write(crate::ledger::path_of(&recorder.join(name)), ledger).unwrap();
        let sealing = account(&directory, name.as_ref()).unwrap();
        let hashes = Hashes::of(&directory, name.as_ref(), || true).unwrap();
        self.filler.volumes[volume].with(&recorder, |chain| chain.seal(sealing, hashes)).unwrap();
    }

    fn bury(&self, volume: usize, name: &str, who: &str, why: &str) {
        let when = "2026-07-03T00:00:00Z";
        self.filler.volumes[volume]
            .with(&self.recorder(volume), |chain| chain.bury(name, who, when, why))
            .unwrap();
    }

    /// A round, so many seconds after the one before.
    fn round(&mut self, after: i64) {
        self.mono += after;
        self.filler.round(Timestamp::from_nanos(self.mono * 1_000_000_000));
    }

    /// As many rounds as it takes.
    fn settle(&mut self) {
        for _ in 0..4 {
            self.round(31);
        }
    }

    fn names(&self, volume: usize) -> Vec<String> {
        let entries = read_dir(self.recorder(volume)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name.ends_with(".wav"));
        names.sort();
        names
    }

    fn lacks(&self) -> [u64; 2] {
        [0, 1].map(|volume: usize| self.filler.counts[volume].lacks.load(Relaxed))
    }

    /// Both chains verify, and all is sealed.
    fn verify(&self) {
        for volume in 0..2 {
            let found = verify(&Beneath::root(&self.recorder(volume)).unwrap(), false, |_| true).unwrap();
            assert_eq!(
                (found.faults.len(), found.unsealed.len()),
                (0, 0),
                "{:?} {:?}",
                found.faults,
                found.unsealed
            );
            assert_eq!(found.sealed as usize, self.names(volume).len());
        }
    }

    fn bytes(&self, volume: usize, name: &str) -> Vec<u8> {
        read(self.recorder(volume).join(name)).unwrap()
    }
}

#[test]
fn what_each_lacks_comes_from_the_other_once_it_is_not_only_late() {
    let mut two = Two::new();
    two.record(0, "one.wav", (0, 2), None);
    two.record(0, "two.wav", (2, 4), None);
    two.record(1, "two.wav", (2, 4), None);
    two.record(1, "three.wav", (4, 6), None);
    two.round(0);
    assert_eq!(two.lacks(), [1, 1]);
    two.round(29);
    assert_eq!((two.names(0).len(), two.names(1).len()), (2, 2), "its disk may only be slower");
    two.round(1);
    for volume in 0..2 {
        assert_eq!(two.names(volume), ["one.wav", "three.wav", "two.wav"]);
    }
    for name in ["one.wav", "one.wav.gaps.jsonl", "three.wav", "three.wav.gaps.jsonl"] {
        assert_eq!(two.bytes(0, name), two.bytes(1, name), "{name}");
    }
    assert_eq!(two.lacks(), [0, 0]);
    two.verify();
    two.settle();
    assert_eq!(two.filler.counts[1].copied.load(Relaxed), 1, "once");
    assert_eq!(two.filler.settled.len(), 1);
}

#[test]
fn where_a_volume_was_away_its_parts_stay_and_the_whole_one_comes_beside_them() {
    let mut two = Two::new();
    two.record(0, "hour.wav", (0, 6), None);
    two.record(1, "hour.wav", (0, 2), None);
    two.record(1, "later.wav", (4, 6), None);
    two.settle();
    assert_eq!(two.names(1), ["hour.wav", "hour_002.wav", "later.wav"]);
    assert_eq!(two.bytes(0, "hour.wav"), two.bytes(1, "hour_002.wav"));
    assert_eq!(two.names(0), ["hour.wav"], "which has all that the parts have");
    two.verify();

    // The archive was away: it has silence where its disk took nothing.
    let mut two = Two::new();
    two.record(0, "hour.wav", (0, 6), Some((2, 4)));
    two.record(1, "hour.wav", (0, 6), None);
    two.settle();
    assert_eq!(
        (two.names(0), two.names(1)),
        (vec!["hour.wav".to_owned(), "hour_002.wav".to_owned()], vec!["hour.wav".to_owned()])
    );
    two.verify();
}

#[test]
fn what_was_deleted_on_a_volume_never_comes_back_to_it() {
    let mut two = Two::new();
    for name in ["old.wav", "new.wav"] {
        let span = if name == "old.wav" { (0, 2) } else { (2, 4) };
        two.record(0, name, span, None);
        two.record(1, name, span, None);
    }
    // By its own limits, each volume its own.
    two.bury(0, "old.wav", "retention", "older than 30 days");
    two.settle();
    assert_eq!(
        (two.names(0), two.names(1)),
        (vec!["new.wav".to_owned()], vec!["new.wav".to_owned(), "old.wav".to_owned()])
    );
    two.bury(1, "new.wav", "retention", "older than 30 days");
    two.settle();
    assert_eq!((two.names(0), two.names(1)), (vec!["new.wav".to_owned()], vec!["old.wav".to_owned()]));
    two.verify();
}

#[test]
fn what_a_person_deletes_from_the_archive_goes_from_a_mirror_that_was_away_in_all_its_parts() {
    let mut two = Two::new();
    two.record(0, "hour.wav", (0, 6), None);
    two.record(0, "next.wav", (6, 8), None);
    two.record(1, "hour.wav", (0, 2), None);
    two.record(1, "later.wav", (4, 6), None);
    two.record(1, "next.wav", (6, 8), None);
    two.bury(0, "hour.wav", "anna", crate::delete::ASKED_FOR);
    two.settle();
    assert_eq!((two.names(0), two.names(1)), (vec!["next.wav".to_owned()], vec!["next.wav".to_owned()]));
    let told = std::fs::read_to_string(two.recorder(1).join(".audyn/tombstones.jsonl")).unwrap();
    assert!(told.lines().count() == 2 && told.contains("anna") && told.contains(CARRIED), "{told}");
    two.verify();
    // What is protected there stays.
    let mut two = Two::new();
    two.record(0, "hour.wav", (0, 2), None);
    two.record(1, "hour.wav", (0, 2), None);
    two.filler.volumes[1]
        .with(&two.recorder(1), |chain| chain.protect("hour.wav", true, "otto", "now"))
        .unwrap();
    two.bury(0, "hour.wav", "anna", crate::delete::ASKED_FOR);
    two.settle();
    assert_eq!((two.names(0).len(), two.names(1).len()), (0, 1));
}

#[test]
fn what_is_protected_is_protected_as_a_copy_and_a_spoilt_source_is_none() {
    let mut two = Two::new();
    two.record(0, "good.wav", (0, 2), None);
    two.record(0, "bad.wav", (2, 4), None);
    two.filler.volumes[0]
        .with(&two.recorder(0), |chain| chain.protect("good.wav", true, "anna", "now"))
        .unwrap();
    let path = two.recorder(0).join("bad.wav");
    let mut bytes = read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    two.settle();
    assert_eq!(two.names(1), ["good.wav"]);
    assert_eq!(two.lacks(), [0, 1]);
    assert!(chain::protected(&Beneath::root(&two.recorder(1)).unwrap()).unwrap().contains("good"));
    assert_eq!(two.filler.failed.len(), 1);
}

#[test]
fn a_copy_that_was_cut_off_before_it_was_sealed_is_sealed_and_not_made_twice() {
    let mut two = Two::new();
    two.record(0, "hour.wav", (0, 2), None);
    let from = Beneath::root(&two.recorder(0)).unwrap();
    let sidecar = chain::sidecar_in(&from, Path::new("hour.wav")).unwrap().unwrap();
    let target = Beneath::root(&two.recorder(1)).unwrap();
    assert_eq!(
        chain::copy(&from, &sidecar, &target, Path::new("hour.wav"), |_| true).unwrap(),
        Copied::Whole
    );
    let job = Job { recorder: two.recorder(1), path: two.recorder(1).join("hour.wav") };
    two.filler.unsealed.push((1, job));
    two.settle();
    assert_eq!((two.names(1), two.filler.unsealed.len()), (vec!["hour.wav".to_owned()], 0));
    two.verify();
}

#[test]
fn a_tenth_of_a_volume_stays_free_of_copies_and_what_it_lacks_is_told() {
    let mut two = Two::new();
    two.record(0, "hour.wav", (0, 2), None);
    two.filler.room = |_| DiskState { total_bytes: 1_000_000, free_bytes: 200_000 };
    two.settle();
    assert_eq!((two.names(1).len(), two.lacks()), (0, [0, 1]));
    // What is recorded or deleted there has it look again.
    two.filler.room = |_| DiskState { total_bytes: 1_000_000, free_bytes: 400_000 };
    two.record(0, "next.wav", (2, 4), None);
    two.record(1, "next.wav", (2, 4), None);
    two.settle();
    assert_eq!((two.names(1).len(), two.lacks()), (2, [0, 0]));
}

#[test]
fn what_lies_on_a_volume_without_its_ledger_keeps_nothing_from_coming() {
    for ledger in [None, Some("")] {
        let mut two = Two::new();
        two.record(0, "one.wav", (0, 2), None);
        two.record(0, "two.wav", (2, 4), None);
        two.record(1, "two.wav", (2, 4), None);
        // The power went before its disk had more of it than names and a head.
        let cut = two.recorder(1).join("one.wav");
        std::fs::write(&cut, &two.bytes(0, "one.wav")[..4_096]).unwrap();
        if let Some(text) = ledger {
            std::fs::write(crate::ledger::path_of(&cut), text).unwrap();
        }
        two.settle();
        assert_eq!(two.names(1), ["one.wav", "one_002.wav", "two.wav"]);
        assert!(two.bytes(1, "one_002.wav") == two.bytes(0, "one.wav"));
        assert_eq!((two.bytes(1, "one.wav").len(), two.lacks()), (4_096, [0, 0]));
    }
}
