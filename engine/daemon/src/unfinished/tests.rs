//! The list of unfinished files, and what is made of what an earlier engine has left in it.

use std::fs::OpenOptions;

use audyn_media::{Facts, PcmDepth, WavReader, WavSpec, WavWriter};
use audyn_units::{ChannelCount, SampleRate};

use super::*;

const SPEC: WavSpec =
    WavSpec { rate: SampleRate::HZ_48000, channels: ChannelCount::MONO, depth: PcmDepth::Pcm24 };

fn at(seconds: i64) -> Timestamp<Mono> {
    Timestamp::from_nanos(seconds * 1_000_000_000)
}

fn file(path: &Path) -> OpenFile {
    OpenFile { path: path.to_owned(), format: FileFormat::Wav(SPEC), chain: None }
}

fn list_of(state: &Path, archive: &Path) -> Unfinished {
    let chains = Chains::below(archive.to_owned());
    Unfinished::read(Some(state.to_owned()), chains.clone(), Sealer::start(chains).unwrap())
}

fn lines(state: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(state.join(NAME)).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str::<Line>(line).unwrap())
        .map(|l| l.path.display().to_string())
        .collect()
}

/// What the thread does until nothing is due.
fn go(list: &mut Unfinished, now: Timestamp<Mono>, open: &[OpenFile]) {
    while list.mend_one(now) {}
    list.turn(now, open);
}

fn cut(dir: &Path) -> PathBuf {
    cut_as(dir, "a.wav")
}

/// A recording of 100 frames of which a cut has left 60, and its ledger with a torn last line.
fn cut_as(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    let mut writer = WavWriter::create(&path, SPEC, &Facts::default()).unwrap();
    writer.append(&[256; 100]).unwrap();
    writer.close().unwrap();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(4_096 + 60 * 3).unwrap();
    let header = r#"{"audyn_ledger":1,"first_position":1000}"#;
    std::fs::write(ledger::path_of(&path), format!("{header}\n{{\"position\":10")).unwrap();
    path
}

#[test]
fn what_is_open_is_listed_and_what_is_closed_for_another_minute() {
    let state = tempfile::tempdir().unwrap();
    let mut list = list_of(state.path(), state.path());
    let (a, b) = (Path::new("/r/a.wav"), Path::new("/r/b.wav"));
    go(&mut list, at(0), &[file(a)]);
    assert_eq!(lines(state.path()), ["/r/a.wav"]);
    go(&mut list, at(1), &[file(b)]);
    assert_eq!(lines(state.path()), ["/r/b.wav", "/r/a.wav"], "what is open comes first");
    go(&mut list, at(60), &[file(b)]);
    assert_eq!(lines(state.path()).len(), 2);
    go(&mut list, at(61), &[file(b)]);
    assert_eq!(lines(state.path()), ["/r/b.wav"]);
    list.end(true);
    assert_eq!(lines(state.path()), [""; 0]);
}

#[test]
fn a_listing_waits_for_one_file_to_be_mended_and_not_for_all() {
    let state = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = ["a.wav", "b.wav", "c.wav"].map(|name| cut_as(state.path(), name)).to_vec();
    let away = state.path().join("away/d.wav");
    let open: Vec<OpenFile> = std::iter::once(&away).chain(&paths).map(|path| file(path)).collect();
    list_of(state.path(), state.path()).turn(at(0), &open);

    let mut list = list_of(state.path(), state.path());
    let mended = || {
        let whole = |path: &&PathBuf| WavReader::open(path).unwrap().info().declared == FrameCount(60);
        paths.iter().filter(whole).count()
    };
    let new = [file(&state.path().join("new.wav"))];
    for (n, left) in [(0, 5), (0, 5), (1, 4), (2, 3), (3, 2)] {
        list.turn(at(0), &new);
        assert_eq!(
            (mended(), lines(state.path()).len()),
            (n, left),
            "what is open, and what is to be mended"
        );
        assert_eq!(list.mend_one(at(0)), n < 3, "one whose volume is away is tried later");
    }
    assert!(!list.mend_one(at(1)) && list.mend_one(at(2)));
}

#[test]
fn each_recorders_directory_is_told_what_is_not_sealed_there() {
    let state = tempfile::tempdir().unwrap();
    let archive = state.path().join("archive");
    for recorder in ["a", "b"] {
        std::fs::create_dir_all(archive.join(recorder)).unwrap();
    }
    let open = |recorder: &str, file: &str| {
        let recorder = archive.join(recorder);
        OpenFile { chain: Some(recorder.clone()), ..self::file(&recorder.join(file)) }
    };
    let told = |recorder: &str| {
        std::fs::read_to_string(archive.join(recorder).join(".audyn/open.json")).unwrap_or_default()
    };
    let mut list = list_of(state.path(), &archive);
    list.turn(at(0), &[open("a", "x/1.wav"), open("a", "1.opus"), open("b", "1.wav")]);
    assert_eq!((told("a").as_str(), told("b").as_str()), ("[\"x/1.wav\",\"1.opus\"]\n", "[\"1.wav\"]\n"));
    // An engine that is killed now leaves it as it is, and the next one knows of it.
    let mut next = list_of(state.path(), &archive);
    next.turn(at(1), &[open("b", "2.wav")]);
    assert!(told("b").contains("2.wav"), "{}", told("b"));
}

#[test]
fn an_open_file_that_has_gone_from_its_place_is_told_once() {
    let state = tempfile::tempdir().unwrap();
    let mut list = list_of(state.path(), state.path());
    let names: Vec<_> = ["moved", "replaced", "stays"].iter().map(|name| state.path().join(name)).collect();
    let never = state.path().join("never/there");
    names.iter().for_each(|name| std::fs::write(name, "audio").unwrap());
    let open: Vec<_> = names.iter().chain([&never]).map(|name| file(name)).collect();
    list.turn(at(0), &open);
    assert_eq!(list.missing(), [never]);
    std::fs::rename(&names[0], state.path().join("elsewhere")).unwrap();
    std::fs::write(state.path().join("other"), "another's").unwrap();
    std::fs::rename(state.path().join("other"), &names[1]).unwrap();
    assert_eq!(list.missing(), names[..2]);
    assert!(list.missing().is_empty());
    std::fs::remove_file(&names[2]).unwrap();
    list.turn(at(1), &[]);
    assert!(list.missing().is_empty(), "a closed one may go");
}

#[test]
fn what_was_let_go_of_is_mended_like_what_an_earlier_engine_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = cut(dir.path());
    let mut list = list_of(dir.path(), dir.path());
    list.turn(at(0), &[file(&path)]);
    let confirmed = None;
    list.let_go(vec![Cut { file: file(&path), confirmed }]);
    list.turn(at(1), &[]);
    assert_eq!(lines(dir.path()), [path.display().to_string()], "a crash finds it");
    assert!(list.mend_one(at(1)));
    assert_eq!(WavReader::open(&path).unwrap().info().frames, FrameCount(60));
}

#[test]
fn what_the_disk_has_not_confirmed_of_what_was_let_go_of_is_not_counted_whichever_engine_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    for (name, next) in [("a.wav", false), ("b.wav", true)] {
        let path = cut_as(dir.path(), name);
        let mut list = list_of(dir.path(), dir.path());
        list.turn(at(0), &[file(&path)]);
        list.let_go(vec![Cut { file: file(&path), confirmed: Some(FrameCount(50)) }]);
        list.turn(at(1), &[]);
        if next {
            list = list_of(dir.path(), dir.path());
        }
        assert!(list.mend_one(at(1)));
        assert_eq!(WavReader::open(&path).unwrap().info().frames, FrameCount(50));
        let told = std::fs::read_to_string(ledger::path_of(&path)).unwrap();
        assert!(told.contains("\"position\":1050") && told.contains("50 frames"), "{told}");
        list.turn(at(2), &[]);
    }
}

#[test]
fn what_the_disk_has_not_confirmed_is_not_counted_by_a_later_repair_either() {
    let header = r#"{"audyn_ledger":3,"recorder":"a","file":"a.wav","first_position":1000,"start_utc":"2026-07-02T13:46:03Z","rate":48000,"channels":1,"bits":24}"#;
    let closed = r#"{"closed":true,"frames_written":100,"frames_filled":0}"#;
    // Its header came to the disk with all of it, or is the one of before, or none was confirmed.
    for (counted, confirmed, ends) in [(100, 50, true), (50, 50, true), (100, 0, true), (100, 0, false)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let mut writer = WavWriter::create(&path, SPEC, &Facts::default()).unwrap();
        writer.append(&vec![256; counted]).unwrap();
        writer.close().unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(4_096 + 100 * 3).unwrap();
        let end = if ends { closed } else { "" };
        std::fs::write(ledger::path_of(&path), format!("{header}\n{end}\n")).unwrap();
        let mut list = list_of(dir.path(), dir.path());
        list.let_go(vec![Cut { file: file(&path), confirmed: Some(FrameCount(confirmed)) }]);
        assert!(list.mend_one(at(0)));
        let frames = || WavReader::open(&path).unwrap().info().declared;
        assert_eq!(frames(), FrameCount(confirmed));
        // As `audyn repair` and the next engine's sweep do.
        let directory = audyn_media::Beneath::root(dir.path()).unwrap();
        let found = audyn_media::repair::look(&directory, "a.wav".as_ref()).unwrap();
        let audyn_media::repair::Found::Closed(case) = found else { panic!("nobody writes it") };
        assert_eq!(case.words(), None, "{counted} {confirmed} {ends}");
        case.mend().unwrap();
        assert_eq!(frames(), FrameCount(confirmed), "{counted} {confirmed} {ends}");
    }
}

#[test]
fn what_the_disk_fails_to_confirm_while_it_is_mended_is_not_counted_then_and_each_try_comes_later() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    let mut writer = WavWriter::create(&path, SPEC, &Facts::default()).unwrap();
    let second = 48_000;
    (0..61).for_each(|_| writer.append(&vec![256; second]).unwrap());
    writer.close().unwrap();
    let refuses = |_: &File| Err(io::Error::from_raw_os_error(nix::libc::EIO));
    list_of(dir.path(), dir.path()).turn(at(0), &[file(&path)]);
    let mut list = Unfinished { confirm: refuses, ..list_of(dir.path(), dir.path()) };
    let tried: Vec<i64> = (0..100).filter(|&seconds| list.mend_one(at(seconds))).collect();
    assert_eq!(tried, [0, 2, 6, 14, 30, 62]);
    let declared = || WavReader::open(&path).unwrap().info().declared;
    assert_eq!(declared(), FrameCount(61 * second as u64), "nobody knows what there is");
    list.turn(at(100), &[]);
    // Linux has told of it, and the next engine, or the next try, hears nothing any more.
    for mut list in [list_of(dir.path(), dir.path()), Unfinished { confirm, ..list }] {
        assert!(list.mend_one(at(1_000)));
        assert_eq!(declared(), FrameCount(second as u64), "the last minute may not be there");
    }
}

#[test]
fn the_thread_says_when_the_disk_knows() {
    let state = tempfile::tempdir().unwrap();
    let path = Path::new("/r/a.wav");
    let mut listing =
        Listing::start(Some(state.path().to_owned()), Chains::below(state.path().to_owned())).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(60); // only for what never comes
    while !listing.tell(vec![file(path)], Vec::new()) {
        assert!(std::time::Instant::now() < deadline, "it never says so");
        std::thread::yield_now();
    }
    assert_eq!(lines(state.path()), ["/r/a.wav"]);
    listing.end(false);
    assert_eq!(lines(state.path()), ["/r/a.wav"], "the disk may not have it all");
    Listing::start(Some(state.path().to_owned()), Chains::below(state.path().to_owned())).unwrap().end(true);
    assert_eq!(lines(state.path()), ["/r/a.wav"], "an earlier engine's, whose volume is not there");
}

#[test]
fn what_a_cut_has_left_is_mended_once_its_volume_is_there() {
    let state = tempfile::tempdir().unwrap();
    let volume = state.path().join("volume");
    let mut list = list_of(state.path(), state.path());
    go(&mut list, at(0), &[file(&volume.join("a.wav"))]);

    let mut list = list_of(state.path(), state.path());
    go(&mut list, at(0), &[]);
    assert_eq!(lines(state.path()).len(), 1, "the volume may come");
    std::fs::create_dir(&volume).unwrap();
    let path = cut(&volume);
    go(&mut list, at(1), &[]);
    assert_eq!(
        WavReader::open(&path).unwrap().info().declared,
        FrameCount(100),
        "not each turn asks the disk"
    );
    go(&mut list, at(2), &[]);
    assert_eq!(WavReader::open(&path).unwrap().info().declared, FrameCount(60));
    assert_eq!(lines(state.path()), [""; 0]);
    let told = std::fs::read_to_string(ledger::path_of(&path)).unwrap();
    let last = told.lines().last().unwrap();
    assert!(
        last.contains("\"mended\"") && last.contains("\"position\":1060") && last.contains("40 frames"),
        "{told}"
    );
    assert_eq!(told.lines().count(), 2, "the torn line has gone: {told}");
}

/// Turns until what is closed is sealed.
fn await_seal(list: &mut Unfinished, sidecar: &Path) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60); // only for what never comes
    while !sidecar.exists() || list.listed.iter().any(|listed| listed.seal != Seal::Done) {
        assert!(std::time::Instant::now() < deadline, "it is never sealed");
        go(list, at(3), &[]);
        std::thread::yield_now();
    }
}

#[test]
fn what_is_closed_is_listed_until_it_is_sealed_whichever_engine_does() {
    let state = tempfile::tempdir().unwrap();
    let recorder = state.path().join("recordings/a");
    std::fs::create_dir_all(&recorder).unwrap();
    let path = cut(&recorder);
    let header = r#"{"audyn_ledger":3,"recorder":"a","file":"a.wav","first_position":1000,"start_utc":"2026-07-02T13:46:03Z","rate":48000,"channels":1,"bits":24,"placed_by":null,"clock":null,"tai_minus_utc":null}"#;
    std::fs::write(ledger::path_of(&path), format!("{header}\n")).unwrap();
    let open = OpenFile { path: path.clone(), format: FileFormat::Wav(SPEC), chain: Some(recorder.clone()) };
    go(&mut list_of(state.path(), state.path()), at(0), std::slice::from_ref(&open));

    // It ended here; the next one mends and seals.
    let mut list = list_of(state.path(), state.path());
    go(&mut list, at(0), &[]);
    assert_eq!(lines(state.path()).len(), 1, "it is not sealed");
    await_seal(&mut list, &recorder.join("a.wav.json"));
    go(&mut list, at(100), &[]);
    assert_eq!(lines(state.path()), [""; 0]);
    let text = std::fs::read(recorder.join("a.wav.json")).unwrap();
    let sidecar: audyn_media::chain::Sidecar = serde_json::from_slice(&text).unwrap();
    assert_eq!((sidecar.frames, sidecar.mended, sidecar.entry), (FrameCount(60), true, 1));

    // Closed by this one.
    for name in ["wav.json", "wav.gaps.jsonl"] {
        let _ = std::fs::remove_file(recorder.join(format!("a.{name}")));
    }
    std::fs::rename(&path, recorder.join("b.wav")).unwrap();
    let path = recorder.join("b.wav");
    std::fs::write(ledger::path_of(&path), format!("{header}\n")).unwrap();
    go(&mut list, at(3), &[OpenFile { path, ..open }]);
    go(&mut list, at(3), &[]);
    await_seal(&mut list, &recorder.join("b.wav.json"));
}

#[test]
fn what_the_disk_does_not_confirm_is_mended_before_it_is_sealed() {
    let state = tempfile::tempdir().unwrap();
    let recorder = state.path().join("a");
    std::fs::create_dir(&recorder).unwrap();
    let path = cut(&recorder);
    let (sealer, jobs, tell) = Sealer::scripted();
    let chains = Chains::below(state.path().to_owned());
    let mut list = Unfinished::read(Some(state.path().to_owned()), chains, sealer);
    let open = OpenFile { chain: Some(recorder), ..file(&path) };
    list.turn(at(0), &[open]);
    list.turn(at(1), &[]);
    let job = jobs.recv().unwrap();
    tell.send((job, Outcome::Unconfirmed)).unwrap();
    list.turn(at(2), &[]);
    assert_eq!(lines(state.path()), [path.display().to_string()], "a crash finds it");
    // What cannot be confirmed now is not judged either: a pipe never is.
    let ledger = ledger::path_of(&path);
    let text = std::fs::read(&ledger).unwrap();
    std::fs::remove_file(&ledger).unwrap();
    nix::unistd::mkfifo(&ledger, nix::sys::stat::Mode::S_IRWXU).unwrap();
    go(&mut list, at(4), &[]);
    let declared = || WavReader::open(&path).unwrap().info().declared;
    assert_eq!((jobs.try_iter().count(), declared()), (0, FrameCount(100)));
    std::fs::remove_file(&ledger).unwrap();
    std::fs::write(&ledger, text).unwrap();
    go(&mut list, at(8), &[]);
    assert_eq!(jobs.try_iter().count(), 1, "sealed anew");
    assert_eq!(declared(), FrameCount(60));
}

#[test]
fn what_can_never_be_sealed_is_told_where_it_lies_with_the_reason_for_good() {
    let state = tempfile::tempdir().unwrap();
    let recorder = state.path().join("a");
    std::fs::create_dir_all(recorder.join("day")).unwrap();
    let (one, other) = (cut_as(&recorder.join("day"), "a.wav"), cut_as(&recorder.join("day"), "b.wav"));
    std::fs::write(ledger::path_of(&one), "no ledger\n").unwrap();
    std::fs::remove_file(ledger::path_of(&other)).unwrap();
    let mut list = list_of(state.path(), state.path());
    let open = |path: &Path| OpenFile { chain: Some(recorder.clone()), ..file(path) };
    list.turn(at(0), &[open(&one), open(&other)]);
    let deadline = std::time::Instant::now() + Duration::from_secs(60); // only for what never comes
    while list.listed.iter().any(|listed| listed.seal != Seal::Done) {
        assert!(std::time::Instant::now() < deadline, "it is never told");
        list.turn(at(1), &[]);
        std::thread::yield_now();
    }
    list.end(true);
    let told = chain::unsealable(&audyn_media::Beneath::root(&recorder).unwrap()).unwrap();
    let files: Vec<_> = told.iter().map(|(file, _)| file.as_str()).collect();
    assert_eq!(files, ["day/a.wav", "day/b.wav"]);
    assert!(told[1].1.contains("gap ledger"), "{told:?}");
}

#[test]
fn what_somebody_writes_waits_and_what_is_sealed_stays_as_it_is() {
    let state = tempfile::tempdir().unwrap();
    let path = cut(state.path());
    go(&mut list_of(state.path(), state.path()), at(0), &[file(&path)]);
    let writer = std::fs::File::open(&path).unwrap();
    writer.try_lock().unwrap();
    let mut list = list_of(state.path(), state.path());
    go(&mut list, at(0), &[]);
    let declared = || WavReader::open(&path).unwrap().info().declared;
    assert_eq!((declared(), lines(state.path()).len()), (FrameCount(100), 1), "a recording has its name");
    drop(writer);
    let sidecar = state.path().join("a.wav.json");
    std::fs::write(&sidecar, "{}").unwrap();
    go(&mut list, at(2), &[]);
    assert_eq!((declared(), lines(state.path()).len()), (FrameCount(100), 0), "it is sealed");
    std::fs::remove_file(&sidecar).unwrap();
    go(&mut list_of(state.path(), state.path()), at(0), &[file(&path)]);
    go(&mut list_of(state.path(), state.path()), at(0), &[]);
    assert_eq!(declared(), FrameCount(60), "else it is mended");
}

#[test]
fn a_link_is_not_written_through() {
    let (state, archive, elsewhere) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = cut(elsewhere.path());
    let before = (std::fs::read(&path).unwrap(), std::fs::read(ledger::path_of(&path)).unwrap());
    std::os::unix::fs::symlink(elsewhere.path(), archive.path().join("r")).unwrap();
    std::os::unix::fs::symlink(&path, archive.path().join("a.wav")).unwrap();
    for (root, file) in [
        (archive.path(), archive.path().join("r/a.wav")),
        (archive.path(), archive.path().join("a.wav")),
        (state.path(), archive.path().join("r/a.wav")), // the root was changed since
    ] {
        let mut list = list_of(state.path(), root);
        go(&mut list, at(0), &[super::tests::file(&file)]);
        let mut list = list_of(state.path(), root);
        go(&mut list, at(0), &[]);
        assert_eq!(lines(state.path()), [""; 0]);
        assert_eq!(std::fs::read(&path).unwrap(), before.0);
        assert_eq!(std::fs::read(ledger::path_of(&path)).unwrap(), before.1);
    }
    // The root itself may be one.
    let root = state.path().join("root");
    std::os::unix::fs::symlink(elsewhere.path(), &root).unwrap();
    let mut list = list_of(state.path(), &root);
    go(&mut list, at(0), &[file(&root.join("a.wav"))]);
    go(&mut list_of(state.path(), &root), at(0), &[]);
    assert_eq!(WavReader::open(&path).unwrap().info().declared, FrameCount(60));
}

#[test]
fn what_was_deleted_or_is_anothers_is_let_go() {
    let state = tempfile::tempdir().unwrap();
    let (gone, other) = (state.path().join("gone.wav"), state.path().join("other.wav"));
    std::fs::write(&other, [b'x'; 200]).unwrap();
    let mut list = list_of(state.path(), state.path());
    go(&mut list, at(0), &[file(&gone), file(&other)]);
    let mut list = list_of(state.path(), state.path());
    go(&mut list, at(0), &[]);
    assert_eq!(lines(state.path()), [""; 0]);
    assert_eq!(std::fs::read(&other).unwrap(), [b'x'; 200]);
}
