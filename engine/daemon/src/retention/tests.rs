//! The thread's turns over an archive of small files, at times of the tests' choosing.

use std::os::unix::fs::MetadataExt as _;

use audyn_api::VolumeConfig;
use audyn_media::archive::{Range, Wanted, of_recorder};
use audyn_media::chain::{Hashes, account, verify};
use audyn_media::export::{Order, export};
use audyn_media::{Beneath, Facts, FileFormat, FlacSpec, PcmDepth, WavSpec};
use audyn_units::{ChannelCount, SampleRate};

use super::*;

/// 2026-07-02T00:00:00Z.
const NOW: i64 = 1_782_950_400;
const DAY: i64 = 86_400;

struct Rack {
    dir: tempfile::TempDir,
    shared: Shared,
    /// Seconds of the monotonic clock.
    mono: i64,
}

impl Rack {
    fn new(rules: &Rules) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("archive");
        std::fs::create_dir(&root).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let believed = ClockNote { believed: Some(utc(NOW)), ..ClockNote::default() };
        let shared = Shared {
            archive: Archive { chains: Chains::below(root.clone()), root, open: OpenFiles::default() },
            limits: Mutex::new(in_force(rules)),
            state: dir.path().to_owned(),
            changes: AtomicU64::new(0),
            told: Mutex::default(),
            scanner: Scanner::new(Arc::clone(&stop)),
            trying: Mutex::default(),
            undeletable: Mutex::default(),
            trust: Mutex::new(ClockTrust::from_note(believed, Some("boot".to_owned()))),
            noted: Mutex::default(),
            yields: Mutex::default(),
            volume: Asking::KERNEL,
            writing: AtomicU64::new(0),
            clock: Arc::default(),
            stop,
        };
        Self { dir, shared, mono: 0 }
    }

    /// Sets limits as if they had been so for long.
    fn set(&self, rules: &Rules) {
        *lock(&self.shared.limits) = in_force(rules);
    }

    fn floor(&self, floor_bytes: u64) {
        let mut rules = lock(&self.shared.limits).wanted().clone();
        rules.volume.floor_bytes = floor_bytes;
        self.set(&rules);
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join("archive").join(file)
    }

    /// A sealed recording that began `days` days before now and lasts a second: `recorder/….suffix`.
    fn record(&self, recorder: &str, file: &str, days: i64) {
        self.record_unsealed(recorder, file, days);
        let directory = self.shared.archive.chains.directory(&self.path(recorder)).unwrap();
        let file = Path::new(file);
        let sealing = account(&directory, file).unwrap();
        let hashes = Hashes::of(&directory, file, || true).unwrap();
        self.shared.archive.chains.with(&self.path(recorder), |chain| chain.seal(sealing, hashes)).unwrap();
    }

    fn record_unsealed(&self, recorder: &str, file: &str, days: i64) {
        let path = self.path(recorder).join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let (rate, depth) = (SampleRate::HZ_48000, PcmDepth::Pcm16);
        let format = match file.ends_with("wav") {
            true => FileFormat::Wav(WavSpec { rate, channels: ChannelCount::MONO, depth }),
            false => FileFormat::Flac(FlacSpec::new(rate, ChannelCount::MONO, depth).unwrap()),
        };
        let directory = Beneath::root(path.parent().unwrap()).unwrap();
        let name = path.file_name().unwrap();
        let mut made = format.create_in(&directory, name, &Facts::default(), depth).unwrap();
        // Noise: FLAC would make nothing of silence.
        let noise = (1..48_001_u32).map(|n| (n.wrapping_mul(2_654_435_761) as i32) >> 16 << 16);
        made.append(&noise.collect::<Vec<i32>>()).unwrap();
        made.close();
        let start = NOW - days * DAY;
        let start_utc = jiff::Timestamp::from_second(start).unwrap();
        let header = serde_json::json!({
            "audyn_ledger": 3, "recorder": recorder, "file": name.to_str(), "first_position": start * 48_000,
            "start_utc": start_utc.to_string(), "rate": 48_000, "channels": 1, "bits": 16, "placed_by": null,
            "clock": "ntp", "tai_minus_utc": null,
        });
        let closed = r#"{"closed":true,"frames_written":48000,"frames_filled":0}"#;
        std::fs::write(crate::ledger::path_of(&path), format!("{header}\n{closed}\n")).unwrap();
    }

    /// A turn a minute later, the clock being `ahead` by so many seconds.
    fn turn_at(&mut self, ahead: i64, quality: ClockQuality) -> Told {
        self.mono += 60;
        self.shared.turn(mono(self.mono), utc(NOW + self.mono + ahead), quality);
        self.shared.told()
    }

    fn turn(&mut self) -> Told {
        self.turn_at(0, ClockQuality::Ntp)
    }

    /// Recordings that are there, and that nothing is wrong with what each recorder's chain says.
    fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for (recorder, _) in &lock(&self.shared.limits).wanted().recorders {
            let directory = Beneath::root(&self.path(recorder)).unwrap();
            assert_eq!(verify(&directory, false, |_| true).unwrap().faults, []);
            walk(&self.path(recorder), recorder, &mut left);
        }
        left.sort();
        left
    }
}

fn walk(directory: &Path, prefix: &str, left: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), &name, left);
        } else if [".wav", ".flac"].iter().any(|suffix| name.ends_with(suffix)) {
            left.push(name);
        }
    }
}

fn utc(seconds: i64) -> Timestamp<Utc> {
    Timestamp::from_nanos(seconds * 1_000_000_000)
}

fn rules(recorders: &[(&str, Limits)]) -> Rules {
    Rules {
        recorders: recorders.iter().map(|(id, limits)| ((*id).to_owned(), *limits)).collect(),
        volume: VolumeConfig { floor_percent: 0, ..VolumeConfig::default() },
        also: Also::default(),
    }
}

/// Limits that were set long ago.
fn in_force(rules: &Rules) -> Delays {
    let state = tempfile::tempdir().unwrap();
    let mut limits = Delays::open(state.path(), rules, mono(-3_600));
    limits.in_force(mono(0));
    limits
}

fn mono(seconds: i64) -> Timestamp<Mono> {
    Timestamp::from_nanos(seconds * 1_000_000_000)
}

fn days(days: u32) -> Limits {
    Limits { days: Some(days), ..Limits::default() }
}

fn tombstones(of: &Rack, recorder: &str) -> Vec<String> {
    let text = std::fs::read_to_string(of.path(recorder).join(".audyn/tombstones.jsonl")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn what_is_too_old_goes_with_all_that_is_its_own_and_says_why() {
    let mut of = Rack::new(&rules(&[("a", days(30)), ("b", days(10))]));
    for (recorder, file, age) in [
        ("a", "2026/05/a.wav", 40),
        ("a", "2026/05/b.wav", 31),
        ("a", "2026/06/c.wav", 20),
        ("b", "d.wav", 12),
        ("b", "e.wav", 8),
        ("c", "f.wav", 400),
    ] {
        of.record(recorder, file, age);
    }
    let plan = {
        of.shared.told.lock().unwrap().believed = true;
        // The plan asks this machine's clock, which is past all of these.
        of.shared.dry_run(None)
    };
    assert!(plan.going.iter().any(|entry| entry.path == "a/2026/05/a.wav"), "{plan:?}");
    assert_eq!(of.left().len(), 5, "to plan is not to delete");
    let told = of.turn();
    assert_eq!((told.deleted, told.failed, told.doubt), (3, None, None));
    assert!(told.deleted_bytes > 3 * 96_000);
    assert_eq!(of.left(), ["a/2026/06/c.wav", "b/e.wav"]);
    assert!(of.path("c/f.wav").exists(), "it has no limit");
    assert!(!of.path("a/2026/05").exists(), "an empty directory goes");
    assert!(of.path("b").exists());
    let told = tombstones(&of, "a");
    assert!(
        told.len() == 2 && told[0].contains("a.wav") && told[0].contains(r#""who":"retention""#),
        "{told:?}"
    );
    assert!(told[0].contains("it is older than 30 days"));
    assert_eq!(of.turn().deleted, 3, "once is enough");
    std::fs::remove_file(of.path("b/e.wav")).unwrap();
    std::fs::remove_file(of.path("b/e.wav.json")).unwrap();
}

#[test]
fn a_clock_ten_years_ahead_deletes_nothing_and_is_alarmed() {
    let mut of = Rack::new(&rules(&[("a", days(30))]));
    of.record("a", "old.wav", 31);
    of.record("a", "new.wav", 1);
    assert!(of.turn().believed);
    assert_eq!(of.left(), ["a/new.wav"]);
    for quality in [ClockQuality::None, ClockQuality::PtpLocked, ClockQuality::Ntp] {
        let told = of.turn_at(3_650 * DAY, quality);
        assert_eq!((told.believed, of.left()), (false, vec!["a/new.wav".to_owned()]));
        let doubt = told.doubt.unwrap();
        let why = if quality == ClockQuality::None {
            "neither PTP nor NTP"
        } else {
            "set the clock if it is wrong"
        };
        assert!(doubt.contains(why) && doubt.contains("2036-"), "{doubt}");
    }
    assert!(of.turn().believed, "it is where it was");
}

#[test]
fn that_the_clock_is_believed_since_the_boot_is_noted_before_anything_goes() {
    fn is_noted(root: &Path) -> DiskState {
        let note = std::fs::read(root.parent().unwrap().join(NOTE)).unwrap();
        let note: ClockNote = serde_json::from_slice(&note).unwrap();
        assert!(note.boot.unwrap().confirmed);
        DiskState::default()
    }
    let mut of = Rack::new(&rules(&[("a", days(30))]));
    of.record("a", "old.wav", 31);
    // An hour in which nobody disciplined the clock.
    of.turn_at(0, ClockQuality::None);
    let note: ClockNote = serde_json::from_slice(&std::fs::read(of.dir.path().join(NOTE)).unwrap()).unwrap();
    assert!(!note.boot.unwrap().confirmed);
    of.shared.volume = Asking { state: is_noted, settle: |_, _, _| {} };
    assert_eq!(of.turn().deleted, 1);
}

#[test]
fn what_is_held_stays_protected_read_recorded_or_not_sealed() {
    let mut of = Rack::new(&rules(&[("a", days(1))]));
    for file in ["protected.wav", "read.wav", "open.wav", "goes.wav"] {
        of.record("a", file, 9);
    }
    of.record_unsealed("a", "unsealed.wav", 9);
    let chains = of.shared.archive.chains.clone();
    let protect = |on| chains.with(&of.path("a"), |chain| chain.protect("protected.wav", on, "anna", "now"));
    protect(true).unwrap();
    let reader = std::fs::File::open(of.path("a/read.wav")).unwrap();
    reader.lock_shared().unwrap();
    let recording = crate::shared::SharedRecording::default();
    lock(&recording).open = vec![of.path("a/open.wav")];
    of.shared.archive.open.add(&recording);
    let told = of.turn();
    assert_eq!((told.deleted, told.failed), (1, None));
    assert_eq!(of.left(), ["a/open.wav", "a/protected.wav", "a/read.wav", "a/unsealed.wav"]);
    assert_eq!(of.shared.dry_run(None).protected, 1);
    drop(reader);
    lock(&recording).open.clear();
    let chains = of.shared.archive.chains.clone();
    chains.with(&of.path("a"), |chain| chain.protect("protected.wav", false, "anna", "now")).unwrap();
    of.turn();
    assert_eq!(of.left(), ["a/unsealed.wav"]);
}

#[test]
fn what_an_export_is_going_to_read_stays_until_it_has_been_read() {
    let mut of = Rack::new(&rules(&[("a", days(1))]));
    of.record("a", "a.wav", 9);
    let recorder = of.shared.archive.chains.directory(&of.path("a")).unwrap();
    let segments = of_recorder(&recorder, &Wanted::default()).unwrap();
    let (from, to) = (segments[0].start, segments[0].end());
    let (rate, channels, depth) = (SampleRate::HZ_48000, ChannelCount::MONO, PcmDepth::Pcm16);
    let output = of.dir.path().join("out.wav");
    let order = Order {
        recorder: recorder.into(),
        range: Range::plan(segments, from, to, None).unwrap(),
        descriptors: 16,
        format: FileFormat::Wav(WavSpec { rate, channels, depth }),
        output: &output,
        clock: None,
        originator: "Audyn test".to_owned(),
    };
    let mut deleted = Vec::new();
    let done = export(order, |_| {
        deleted.push(of.turn().deleted);
        true
    });
    assert_eq!((done.unwrap().frames_filled.0, deleted), (0, vec![0]));
    assert_eq!(of.turn().deleted, 1);
}

#[test]
fn a_directory_with_a_chain_of_its_own_is_not_the_recorders_to_judge() {
    let mut rack = Rack::new(&rules(&[("a", days(1))]));
    rack.record("a", "old.wav", 10);
    // Restored from elsewhere, or recorded there by another program.
    rack.record("a/restored", "old.wav", 10);
    rack.turn();
    assert!(!rack.path("a/old.wav").exists() && rack.path("a/restored/old.wav").exists());
}

#[test]
fn who_plans_and_who_deletes_do_not_take_each_other_for_a_reader() {
    let of = Rack::new(&rules(&[("a", days(1))]));
    of.record("a", "a.wav", 9);
    let rules = lock(&of.shared.limits).wanted().clone();
    let judged = of.shared.judge(&rules, Some(utc(NOW)), true, &HashSet::new());
    let (found, trying) = (&judged.found[0], &of.shared.trying);
    let directory = of.shared.archive.chains.directory(&of.path("a")).unwrap();
    // Asked before a file is locked.
    let tried = std::cell::Cell::new(0);
    let is_open = |_: &Path| {
        tried.set(tried.get() + 1);
        assert!(trying.try_lock().is_err(), "another one might try meanwhile");
        false
    };
    assert!(!remove::is_busy(&directory, found, trying, &is_open));
    assert!(trying.try_lock().is_ok());
    let gone = remove::segment(&of.shared.archive.chains, &of.path("a"), found, "", false, trying, &is_open);
    assert_eq!((gone.unwrap().is_some(), tried.get()), (true, 2));
}

#[test]
fn links_lead_to_nothing_that_goes() {
    let mut of = Rack::new(&rules(&[("a", days(1)), ("linked", days(1))]));
    of.record("a", "x/goes.wav", 9);
    of.record("other", "stays.wav", 9);
    std::os::unix::fs::symlink(of.path("other"), of.path("a/way")).unwrap();
    std::os::unix::fs::symlink(of.path("other"), of.path("linked")).unwrap();
    std::os::unix::fs::symlink(of.path("other/stays.wav"), of.path("a/alias.wav")).unwrap();
    std::os::unix::fs::symlink(of.path("other/stays.wav.json"), of.path("a/alias.wav.json")).unwrap();
    let told = of.turn();
    assert_eq!(told.deleted, 1);
    assert!(told.failed.unwrap().contains("is a link"));
    assert!(of.path("other/stays.wav").exists() && !of.path("a/x").exists());
}

#[test]
fn all_formats_of_a_segment_go_together_or_stay_together() {
    let limits = |bytes| rules(&[("a", Limits { bytes: Some(bytes), ..Limits::default() })]);
    let mut of = Rack::new(&limits(u64::MAX));
    for n in 0..6 {
        of.record("a", &format!("{n}.wav"), 9 - n);
        of.record("a", &format!("{n}.flac"), 9 - n);
    }
    // Two of six are too many, and the second one is read in one of its formats.
    let all = of.turn().recorders[0].bytes;
    of.set(&limits(all * 2 / 3 + 1_000));
    let reader = std::fs::File::open(of.path("a/1.flac")).unwrap();
    reader.lock_shared().unwrap();
    let told = of.turn();
    assert_eq!(told.failed, None);
    let stems = |of: &Rack| of.left().iter().map(|file| file[2..3].to_owned()).collect::<Vec<_>>();
    assert_eq!(
        stems(&of),
        ["1", "1", "2", "2", "3", "3", "4", "4", "5", "5"],
        "nothing younger goes instead"
    );
    drop(reader);
    of.turn();
    assert_eq!(stems(&of), ["2", "2", "3", "3", "4", "4", "5", "5"]);
}

#[test]
fn the_floor_takes_from_those_who_make_room_and_tells_what_lacks() {
    let room = Limits { make_room: true, ..Limits::default() };
    let mut of =
        Rack::new(&rules(&[("a", room), ("b", Limits { bytes: Some(u64::MAX), ..Limits::default() })]));
    of.record("a", "a.wav", 9);
    of.record("b", "b.wav", 99);
    assert_eq!((of.turn().deleted, of.turn().lacking), (0, 0), "there is no floor");
    of.floor(u64::MAX);
    let told = of.turn();
    assert_eq!(told.deleted, 1);
    assert!(told.lacking > 0);
    assert_eq!(of.left(), ["b/b.wav"]);
}

/// A volume of 200 MB, of which 104 MB are for the archive and what lies beside it, each file once however often it is linked.
fn small_volume(root: &Path) -> DiskState {
    fn sum(directory: &Path, seen: &mut std::collections::HashMap<u64, u64>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            match meta.is_dir() {
                true => sum(&entry.path(), seen),
                // The chain's own files are more than these recordings.
                false if directory.ends_with(".audyn") => {}
                false => {
                    seen.insert(meta.ino(), meta.blocks() * 512);
                }
            }
        }
    }
    let mut seen = std::collections::HashMap::new();
    sum(root.parent().unwrap(), &mut seen);
    let used: u64 = seen.values().sum();
    DiskState { total_bytes: 200_000_000, free_bytes: 104_000_000_u64.saturating_sub(used) }
}

#[test]
fn deleting_for_the_floor_ends_where_it_frees_nothing_and_goes_on_where_it_does() {
    let room = Limits { make_room: true, ..Limits::default() };
    let mut of = Rack::new(&rules(&[("a", room), ("b", days(30))]));
    of.shared.volume = Asking { state: small_volume, settle: |_, _, _| {} };
    let links = of.dir.path().join("links");
    std::fs::create_dir(&links).unwrap();
    for n in 0..30 {
        let name = format!("{n:02}.wav");
        of.record("a", &name, 40 - n);
        std::fs::hard_link(of.path("a").join(&name), links.join(&name)).unwrap();
    }
    of.record("b", "old.wav", 31);
    // What is recorded does not fit beside that.
    of.floor(103_600_000);
    let told = of.turn();
    // The first megabyte tells that nothing becomes free; without a look all would have gone.
    assert_eq!(told.deleted, 11 + 1, "the other's by its age");
    let text = told.fruitless.unwrap();
    assert!(text.contains("had 1.1 MB on the volume, and ") && text.contains("hard link"), "{text}");
    assert!(of.shared.dry_run(None).notes.iter().any(|note| note.contains("has made no room")));
    for _ in 0..10 {
        assert_eq!(of.turn().deleted, 12);
    }
    of.record("b", "older.wav", 32);
    assert_eq!(of.turn().deleted, 13, "what its recorder doesn't keep goes all the same");
    of.mono += 3_600;
    let told = of.turn();
    assert_eq!((told.deleted, told.fruitless.is_some()), (13 + 11, true), "an hour later it is tried again");
    let rules_before = lock(&of.shared.limits).wanted().clone();
    of.set(&rules(&[("b", days(30))]));
    assert_eq!(of.turn().fruitless, None, "nobody makes room any more");
    of.set(&rules_before);
    // Whoever kept them lets go.
    std::fs::remove_dir_all(&links).unwrap();
    let told = of.turn();
    assert_eq!((told.fruitless, told.failed), (None, None));
    assert!(told.lacking == 0 && of.left().len() < 8, "{:?}", of.left());
    assert_eq!(of.turn().deleted, told.deleted, "no more than the floor needs");
}

#[test]
fn on_a_full_volume_deleting_goes_on_while_recorders_write_and_ends_where_a_snapshot_holds_the_blocks() {
    fn full(_: &Path) -> DiskState {
        DiskState { total_bytes: 200_000_000, free_bytes: 0 }
    }
    fn has_room(_: &Path) -> DiskState {
        DiskState { total_bytes: 200_000_000, free_bytes: 90_000_000 }
    }
    let room = Limits { make_room: true, ..Limits::default() };
    // So many bytes have to have gone; none where all of it goes.
    for (state, refused, writes, enough) in [
        (full as fn(&Path) -> _, false, 0, Some(4 << 20)),
        (full, true, 0, Some(4 << 20)),
        (full, true, 96_000, None),
        (has_room, true, 0, Some(4 << 20)),
        (has_room, false, 0, Some(1 << 20)),
    ] {
        let mut of = Rack::new(&rules(&[("a", room)]));
        of.shared.volume = Asking { state, settle: |_, _, _| {} };
        for n in 0..50 {
            of.record("a", &format!("{n:02}.wav"), 60 - n);
        }
        let one = std::fs::metadata(of.path("a/00.wav")).unwrap().blocks() * 512;
        let goes = enough.map_or(50, |enough: u64| enough.div_ceil(one));
        let recording = crate::shared::SharedRecording::default();
        lock(&recording).active = refused;
        // That of one that has ended is past.
        lock(&recording).error = Some("no room is left on the disk".to_owned());
        of.shared.archive.open.add(&recording);
        of.floor(if writes == 0 { 180_000_000 } else { 400_000 });
        // Turn by turn a few, where the floor is small; what they free is written at once.
        let mut told = of.turn();
        while told.fruitless.is_none() && told.deleted < 50 {
            lock(&recording).bytes += writes * 5;
            told = of.turn();
        }
        assert_eq!((told.deleted, told.fruitless.is_none()), (goes, enough.is_none()), "{refused} {writes}");
    }
}

#[test]
fn what_cannot_be_removed_gets_one_tombstone_and_makes_no_room() {
    /// Each sidecar that is there stands for 100 kB.
    fn volume(root: &Path) -> DiskState {
        let files = std::fs::read_dir(root.join("a")).unwrap();
        let sealed = files.filter(|file| file.as_ref().unwrap().path().extension() == Some("json".as_ref()));
        DiskState { total_bytes: 200_000_000, free_bytes: 104_000_000 - 100_000 * sealed.count() as u64 }
    }
    let room = Limits { make_room: true, ..Limits::default() };
    let mut of = Rack::new(&rules(&[("a", room)]));
    of.shared.volume = Asking { state: volume, settle: |_, _, _| {} };
    for n in 0..9 {
        of.record("a", &format!("{n}.wav"), 40 - n);
    }
    // Two that cannot go whole: a directory is no file that can be removed.
    for stuck in ["0.wav.peaks", "1.wav.peaks"] {
        std::fs::create_dir_all(of.path("a").join(stuck)).unwrap();
    }
    let free = volume(&of.path("")).free_bytes;
    of.floor(free + 250_000);
    let told = of.turn();
    let text = told.failed.unwrap();
    assert!(text.contains("cannot be deleted") && text.contains("0.wav"), "{text}");
    let count = |of: &Rack, file: &str| tombstones(of, "a").iter().filter(|line| line.contains(file)).count();
    assert_eq!((count(&of, "\"0.wav\""), count(&of, "\"1.wav\""), told.lacking), (1, 1, 0));
    assert_eq!(told.deleted, 3, "others go for them");
    let all = tombstones(&of, "a").len();
    for _ in 0..3 {
        of.floor(free + 450_000);
        of.turn();
    }
    assert!(tombstones(&of, "a").len() > all, "more is to go");
    assert_eq!((count(&of, "\"0.wav\""), count(&of, "\"1.wav\"")), (1, 1));
    std::fs::remove_dir(of.path("a/0.wav.peaks")).unwrap();
    std::fs::remove_dir(of.path("a/1.wav.peaks")).unwrap();
    of.floor(180_000_000);
    assert_eq!(of.turn().failed, None);
    assert_eq!((of.left().len(), count(&of, "\"0.wav\""), of.path("a/0.wav.json").exists()), (0, 1, false));
}

#[test]
fn a_recording_whose_name_was_taken_by_another_since_it_was_judged_stays() {
    let mut of = Rack::new(&rules(&[("a", days(1))]));
    of.record("a", "a.wav", 9);
    let rules = lock(&of.shared.limits).wanted().clone();
    let judged = of.shared.judge(&rules, Some(utc(NOW)), true, &HashSet::new());
    assert_eq!(judged.plan.going.len(), 1);
    let chains = of.shared.archive.chains.clone();
    chains.with(&of.path("a"), |chain| chain.bury("a.wav", "anna", "now", "asked for")).unwrap();
    of.record("a", "a.wav", 0);
    assert_eq!((of.turn().deleted, of.left()), (0, vec!["a/a.wav".to_owned()]));
    assert_eq!(
        of.shared.judge(&rules, Some(utc(NOW)), true, &HashSet::new()).plan.going,
        [],
        "and is read anew"
    );
}

#[test]
fn a_tighter_limit_can_be_seen_and_taken_back_for_an_hour() {
    let mut of = Rack::new(&rules(&[("a", days(30))]));
    for (file, age) in [("old.wav", 40), ("middle.wav", 20), ("young.wav", 5)] {
        of.record("a", file, age);
    }
    assert_eq!(of.turn().deleted, 1);
    let at = mono(of.mono);
    assert!(of.shared.want(&rules(&[("a", days(10))]), at));
    for _ in 0..59 {
        assert_eq!(of.turn().deleted, 1);
    }
    // What would go is told as soon as it is wanted; these turns believe the clock, which this machine's may be past.
    let told = of.shared.dry_run(None);
    assert!(told.going.iter().any(|entry| entry.path == "a/middle.wav"), "{told:?}");
    let pending = lock(&of.shared.limits).pending(mono(of.mono));
    assert_eq!(pending[0].acts_in_seconds, 60);
    assert_eq!(pending[0].in_force.and_then(|limits| limits.days), Some(30), "what takes it back");
    assert!(of.shared.want(&rules(&[("a", days(30))]), mono(of.mono)));
    assert_eq!((of.turn().deleted, of.turn().deleted), (1, 1), "it was taken back");
    assert!(of.shared.want(&rules(&[("a", days(10))]), mono(of.mono)));
    of.mono += 3_540;
    assert_eq!(of.turn().deleted, 2);
    assert_eq!(of.left(), ["a/young.wav"]);
    let noted = std::fs::read_to_string(of.dir.path().join("retention-limits.json")).unwrap();
    assert!(noted.contains(r#""a":{"days":10,"#), "{noted}");
}

#[test]
fn who_exchanges_days_for_bytes_or_percent_for_bytes_keeps_both_for_an_hour() {
    let bytes = Limits { bytes: Some(150_000), ..Limits::default() };
    let mut of = Rack::new(&rules(&[("a", days(30))]));
    for (file, age) in [("old.wav", 29), ("middle.wav", 20), ("young.wav", 5)] {
        of.record("a", file, age);
    }
    assert_eq!(of.turn().deleted, 0);
    assert!(of.shared.want(&rules(&[("a", bytes)]), mono(of.mono)));
    assert_eq!(of.turn().deleted, 0, "it is too much, and none is too old");
    assert_eq!(of.turn().recorders[0].limits, Limits::default(), "that ends no growth yet");
    of.record("a", "older.wav", 31);
    assert_eq!(of.turn().deleted, 1, "it is both");
    of.mono += 3_600;
    assert_eq!((of.turn().deleted, of.left()), (3, vec!["a/young.wav".to_owned()]));

    of.shared.volume = Asking { state: small_volume, settle: |_, _, _| {} };
    let with = |floor_bytes, floor_percent| {
        let volume = VolumeConfig { floor_bytes, floor_percent, ..VolumeConfig::default() };
        Rules { volume, ..rules(&[("a", bytes)]) }
    };
    of.set(&with(0, 20));
    let floor = |of: &Rack| of.shared.room(&lock(&of.shared.limits).in_force(mono(of.mono))).floor;
    for (wanted, meanwhile) in [(with(30_000_000, 0), 30_000_000), (with(50_000_000, 0), 40_000_000)] {
        of.shared.want(&wanted, mono(of.mono));
        assert_eq!(floor(&of), meanwhile);
    }
    of.mono += 3_600;
    assert_eq!(floor(&of), 50_000_000);
}

#[test]
fn a_plan_tells_of_each_recorder_how_many_recordings_would_go_and_of_which_time() {
    let bytes = Limits { bytes: Some(1), ..Limits::default() };
    let of = Rack::new(&rules(&[("a", bytes), ("b", days(36_500))]));
    for (recorder, file, age) in
        [("a", "old.wav", 9), ("a", "old.flac", 9), ("a", "new.wav", 2), ("b", "kept.wav", 9)]
    {
        of.record(recorder, file, age);
    }
    let plan = of.shared.dry_run(None);
    let [a] = &plan.recorders[..] else { panic!("{plan:?}") };
    assert_eq!((&*a.recorder, a.recordings, a.files), ("a", 2, 3));
    assert_eq!((a.files, a.bytes), (plan.files, plan.bytes));
    assert_eq!((a.oldest, a.newest), (utc(NOW - 9 * DAY), utc(NOW - 2 * DAY)));
}

#[test]
fn what_is_proposed_is_told_and_not_set() {
    let mut of = Rack::new(&rules(&[("a", days(30))]));
    of.record("a", "a.wav", 9);
    of.record("b", "b.wav", 9);
    assert!(of.turn().believed);
    let limits = Limits { bytes: Some(1), ..Limits::default() };
    let plan = of.shared.dry_run(Some(rules(&[("b", limits)])));
    let paths: Vec<&str> = plan.going.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["b/b.wav"]);
    let [b] = &plan.pending[..] else { panic!("{plan:?}") };
    assert_eq!((b.recorder.as_deref(), b.acts_in_seconds), (Some("b"), 3_600), "if it were set now");
    assert_eq!(b.in_force, Some(audyn_api::RetentionConfig::default()));
    assert_eq!(lock(&of.shared.limits).pending(mono(of.mono)), []);
    assert_eq!(*lock(&of.shared.limits).wanted(), rules(&[("a", days(30))]));
    of.mono += 3_600;
    assert_eq!(of.turn().deleted, 0);
}

#[test]
fn a_turn_that_went_by_limits_of_before_deletes_nothing_more() {
    let of = Rack::new(&rules(&[("a", days(1))]));
    of.record("a", "a.wav", 9);
    let before = rules(&[("a", days(1))]);
    let judged = of.shared.judge(&before, Some(utc(NOW)), true, &HashSet::new());
    let delete = |changes| {
        of.shared.delete(
            &before,
            &judged.found,
            judged.plan.going[0],
            changes,
            &mut HashSet::new(),
            &mut Told::default(),
        )
    };
    assert!(of.shared.want(&rules(&[("a", days(99))]), mono(0)));
    assert_eq!((delete(0), of.left().len()), (None, 1));
    assert!(delete(1).is_some());
}

#[test]
fn a_limit_that_was_in_force_is_so_from_the_start_and_what_is_believed_is_noted() {
    let of = Rack::new(&rules(&[]));
    of.record("a", "a.wav", 9);
    of.record("a", "b.wav", 8);
    let Rack { dir, shared, .. } = of;
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let wanted = rules(&[("a", Limits { bytes: Some(150_000), ..Limits::default() })]);
    limits::note(&Mutex::new(in_force(&wanted)), &state, mono(0)).unwrap();
    let clock = Arc::<ClockShared>::default();
    let retention = Retention::start(shared.archive.clone(), state.clone(), clock, &wanted).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(50); // only for what never comes
    while retention.told().deleted == 0 {
        assert!(std::time::Instant::now() < deadline, "it never goes");
        std::thread::yield_now();
    }
    drop(retention);
    let archive = dir.path().join("archive/a");
    assert!(!archive.join("a.wav").exists() && archive.join("b.wav").exists());
    let note = std::fs::read(state.join(NOTE)).unwrap();
    let note: ClockNote = serde_json::from_slice(&note).unwrap();
    assert_eq!(note.boot.map(|noted| noted.id), boot());
    assert!(boot().is_some());
}
