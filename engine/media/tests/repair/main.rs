//! Files that other programs make are whole, and mended when they are cut; and what is mended other programs take.
//!
//! One test, in a process of its own: a child has all open files, and the locks on them, until its program runs.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy exempts only test functions themselves"
)]

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use audyn_media::flac::FlacSpec;
use audyn_media::repair::{Case, Found, LedgerState, look};
use audyn_media::{AudioFile, Beneath, Facts, FlacWriter, PcmDepth};
use audyn_units::{ChannelCount, SampleRate};

/// Whether a program is there; scripts/test installs them. Under an emulator one that is not seems to start, and fails.
fn there(program: &str) -> bool {
    let version = if program == "ffmpeg" { "-version" } else { "--version" };
    Command::new(program).arg(version).output().is_ok_and(|told| told.status.success())
}

fn case(dir: &Path, name: &str) -> Case {
    match look(&Beneath::root(dir).unwrap(), OsStr::new(name)).unwrap() {
        Found::Closed(case) => *case,
        other => panic!("{other:?}"),
    }
}

fn of_others(program: &str, arguments: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    assert!(Command::new(program).args(arguments).current_dir(dir.path()).status().unwrap().success());
    let name = *arguments.iter().find(|argument| argument.starts_with("a.")).unwrap();
    let path = dir.path().join(name);
    let whole = std::fs::read(&path).unwrap();
    let case = || case(dir.path(), name);
    {
        let case = case();
        assert!(case.is_whole(), "{program} {arguments:?}: {:?}", case.words());
        assert_eq!(case.ledger(), &LedgerState::Missing);
    }
    let frames = case().frames().1;
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let cut = case();
    let (_, left) = cut.frames();
    assert!(left.0 > 0 && left.0 < frames.0 * 3 / 4, "{program} {name}: {left} of {frames}");
    cut.mend().unwrap();
    assert!(case().is_whole(), "{program} {name}: {:?}", case().words());
}

/// A FLAC that has lost its head, and got another.
fn headless(lost: usize) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.flac");
    let spec = FlacSpec::new(SampleRate::HZ_48000, ChannelCount::MONO, PcmDepth::Pcm24).unwrap();
    let mut writer = FlacWriter::create(&path, spec, &Facts::default()).unwrap();
    let samples: Vec<i32> = (0..60_011).map(|n: i32| n.wrapping_mul(n) << 8).collect();
    writer.append(&samples).unwrap();
    Box::new(writer).close().into_iter().for_each(|finished| finished.result.unwrap());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..lost].fill(0);
    std::fs::write(&path, bytes).unwrap();
    case(dir.path(), "a.flac").mend().unwrap();
    let tested = Command::new("flac").args(["-t", "-s"]).arg(&path).status().unwrap();
    assert!(tested.success(), "flac -t refuses a head made for {lost} bytes");
}

#[test]
fn files_of_others_are_whole_and_mended_when_they_are_cut_and_others_take_what_is_mended() {
    let sine = ["-loglevel", "error", "-f", "lavfi", "-i"];
    for (program, arguments) in [
        ("sox", &["-n", "-r", "44100", "-b", "16", "a.wav", "synth", "1", "sine", "440"][..]),
        ("sox", &["-n", "-r", "48000", "-b", "24", "-c", "2", "a.wav", "synth", "1", "sine", "440"]),
        ("ffmpeg", &["sine=d=1", "-c:a", "pcm_s24le", "a.wav"]),
        ("ffmpeg", &["sine=d=1", "-rf64", "always", "a.wav"]),
        ("ffmpeg", &["sine=d=1", "a.flac"]),
        ("ffmpeg", &["sine=d=5", "-c:a", "libopus", "a.opus"]),
    ] {
        if there(program) {
            let before = if program == "ffmpeg" { &sine[..] } else { &[] };
            of_others(program, &[before, arguments].concat());
        }
    }
    if there("flac") {
        [60, 512, 4_096].into_iter().for_each(headless);
    }
}
