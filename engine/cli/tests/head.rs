//! `audyn head` and `audyn verify --head`: a chain whose end was taken away with its head is found out by a head that was kept.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy exempts only test functions themselves"
)]

use std::path::Path;
use std::process::{Command, Output};

use audyn_media::chain::{Chain, HeadKey, Sha256};
use audyn_media::{Beneath, Facts, PcmDepth, WavSpec, WavWriter};
use audyn_units::{ChannelCount, SampleRate};

fn audyn(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_audyn")).args(arguments).current_dir(dir).output().unwrap()
}

fn told(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// A sealed recording.
fn record(dir: &Path, recorder: &str, name: &str) {
    let folder = dir.join("archive").join(recorder);
    std::fs::create_dir_all(&folder).unwrap();
    drop(Chain::open(Beneath::root(&folder).unwrap()).unwrap());
    let spec = WavSpec { rate: SampleRate::HZ_48000, channels: ChannelCount::MONO, depth: PcmDepth::Pcm24 };
    let mut writer = WavWriter::create(folder.join(name), spec, &Facts::default()).unwrap();
    writer.append(&[256; 100]).unwrap();
    writer.close().unwrap();
    let header = format!(
        r#"{{"audyn_ledger":3,"recorder":"{recorder}","file":"{name}","first_position":1000,"start_utc":"2026-07-02T13:46:03Z","rate":48000,"channels":1,"bits":24}}"#
    );
    std::fs::write(folder.join(format!("{name}.gaps.jsonl")), header + "\n").unwrap();
    let sealed = audyn(dir, &["repair", &format!("archive/{recorder}")]);
    assert!(told(&sealed).1.contains("sealed as entry"), "{:?}", told(&sealed));
}

#[test]
fn a_chain_that_was_cut_back_is_found_out_by_a_head_that_was_kept() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let key = HeadKey::generate().unwrap();
    std::fs::write(dir.join("key.pem"), key.to_pem()).unwrap();
    std::fs::write(dir.join("public.pem"), key.public().to_pem()).unwrap();
    let export = |name: &str| audyn(dir, &["head", "archive", "--key", "key.pem", "-o", name]);
    let verify = |more: &[&str]| told(&audyn(dir, &[&["verify", "archive"][..], more].concat()));

    std::fs::create_dir(dir.join("archive")).unwrap();
    assert_eq!(told(&export("none.head")).0, Some(1), "nothing was sealed yet");
    assert!(!dir.join("none.head").exists());
    for (recorder, name) in [("one", "a.wav"), ("two", "a.wav"), ("one", "b.wav")] {
        record(dir, recorder, name);
    }
    let (code, text) = told(&export("day.head"));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("one: entry 2, ") && text.contains("two: entry 1, "), "{text}");
    let (code, text) = told(&export("day.head"));
    assert!(code == Some(2) && text.contains("what exists is left"), "{text}");

    let kept = ["--head", "day.head", "--public", "public.pem"];
    let (code, text) = verify(&kept);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("archive/one: entry 2, which was its head at "), "{text}");
    record(dir, "one", "c.wav");
    assert_eq!(verify(&kept).0, Some(0), "what came since is none of its business");

    // The end is cut off, the head with it: the chain by itself is whole.
    let one = dir.join("archive/one");
    for name in ["b.wav", "c.wav"] {
        for suffix in ["", ".json", ".gaps.jsonl"] {
            std::fs::remove_file(one.join(format!("{name}{suffix}"))).unwrap();
        }
    }
    let newest = Sha256::of(&std::fs::read(one.join("a.wav.json")).unwrap());
    std::fs::remove_dir_all(one.join(".audyn")).unwrap();
    std::fs::create_dir(one.join(".audyn")).unwrap();
    let head = format!("{{\"audyn_head\":1,\"entry\":1,\"hash\":\"{newest}\"}}\n");
    std::fs::write(one.join(".audyn/head.json"), head).unwrap();
    assert_eq!(verify(&[]).0, Some(0));
    let (code, text) = verify(&kept);
    assert_eq!(code, Some(1));
    assert!(text.contains("archive/one: entry 2") && text.contains("is not in the chain"), "{text}");
    assert!(
        text.contains("archive/two: entry 1, which was its head at ") && text.contains("1 fault was found"),
        "{text}"
    );
    let lines = audyn(dir, &[&["verify", "--json", "archive"][..], &kept].concat());
    let lines = String::from_utf8(lines.stdout).unwrap();
    assert_eq!(lines.matches("\"held\":false").count(), 1, "{lines}");

    // All of a recorder is gone, its directory included.
    std::fs::remove_dir_all(dir.join("archive/two")).unwrap();
    let (code, text) = verify(&kept);
    assert!(
        code == Some(1) && text.contains("archive/two: entry 1") && text.contains("cannot be looked for"),
        "{text}"
    );
    std::fs::remove_dir_all(one).unwrap();
    assert!(verify(&kept).1.contains("2 faults"));
}

#[test]
fn what_is_not_signed_by_the_key_proves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (key, other) = (HeadKey::generate().unwrap(), HeadKey::generate().unwrap());
    std::fs::write(dir.join("key.pem"), key.to_pem()).unwrap();
    std::fs::write(dir.join("public.pem"), key.public().to_pem()).unwrap();
    std::fs::write(dir.join("other.pem"), other.public().to_pem()).unwrap();
    record(dir, "one", "a.wav");
    let head = audyn(dir, &["head", "archive/one", "--key", "key.pem", "-o", "day.head"]);
    assert_eq!(told(&head).0, Some(0), "{:?}", told(&head));
    let verify = |head: &str, public: &str| {
        told(&audyn(dir, &["verify", "archive/one", "--head", head, "--public", public]))
    };
    assert_eq!(verify("day.head", "public.pem").0, Some(0), "a recorder's own directory");
    let (code, text) = verify("day.head", "other.pem");
    assert!(code == Some(1) && text.contains("another key"), "{text}");
    let text = std::fs::read_to_string(dir.join("day.head")).unwrap();
    std::fs::write(dir.join("forged.head"), text.replace("\"entry\":1", "\"entry\":0")).unwrap();
    let (code, text) = verify("forged.head", "public.pem");
    assert!(code == Some(1) && text.contains("changed since"), "{text}");
    let (code, text) = verify("day.head", "key.pem");
    assert!(code == Some(2) && text.contains("no public key"), "{text}");
    assert_eq!(verify("nowhere.head", "public.pem").0, Some(2));
    let (code, text) = told(&audyn(dir, &["verify", "archive", "--head", "day.head"]));
    assert!(code == Some(2) && text.contains("--public"), "{text}");
    let (code, text) = told(&audyn(dir, &["head", "archive", "--key", "public.pem", "-o", "x.head"]));
    assert!(code == Some(2) && text.contains("no private key"), "{text}");

    // A head that its chain does not hold is not vouched for.
    std::fs::remove_file(dir.join("archive/one/a.wav.json")).unwrap();
    let (code, text) = told(&audyn(dir, &["head", "archive", "--key", "key.pem", "-o", "x.head"]));
    assert!(code == Some(1) && text.contains("does not hold the entry"), "{text}");
    assert!(!dir.join("x.head").exists());
}
