//! The archive's root on another volume than its own: nothing is written there, and the right one is gone on with by itself.

use std::fs::{create_dir, read_dir, remove_dir_all, rename};
use std::path::Path;

use audyn_api::client::Client;
use audyn_api::{RecorderState, RefusalKind, Reply, Request, VolumeReport, VolumeStanding};
use audyn_daemon::Engine;
use audyn_media::Beneath;
use audyn_media::chain::verify;
use audyn_media::volume::{self, NAME};

use crate::common::{
    PACKET, Stream, address, engine_with, recorder, recordings, samples, signal, source, stop, until,
    until_written,
};
use crate::socket::{Running, files, id, kind};

/// Waits until the recorder and the engine say so.
fn until_told(engine: &mut Engine, words: &str) {
    until(words, || {
        let snapshot = engine.snapshot();
        let recorder = &snapshot.recorders[0];
        let told = |sentences: &[String]| sentences.iter().any(|sentence| sentence.contains(words));
        recorder.state == RecorderState::Error && told(&recorder.errors) && told(&snapshot.warnings)
    });
}

fn names(root: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn nothing_is_written_to_another_volume_and_the_recording_goes_on_when_the_right_one_is_back() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (root, aside) = (dir.path().join("root"), dir.path().join("aside"));
    let to = address(70);
    let source = source("desk", to);
    let mut engine = engine_with(&root, Some(state.path().to_owned()));
    engine.configure(vec![recorder("a", &source, &root)], std::slice::from_ref(&source));
    engine.record("a", None).unwrap();
    Stream::new(1, to).send(100);
    until_written(&mut engine, "a", 100 * u64::from(PACKET));
    assert_eq!(names(&root), [NAME, "a"]);

    // The disk is pulled: the mount point is empty.
    rename(&root, &aside).unwrap();
    create_dir(&root).unwrap();
    until_told(&mut engine, "empty mount point");
    assert_eq!(names(&root), [""; 0]);
    // Nor can anybody begin there.
    engine.configure(
        vec![recorder("a", &source, &root), recorder("b", &source, &root)],
        std::slice::from_ref(&source),
    );
    assert!(engine.record("b", None).unwrap_err().to_string().contains("no identity"));
    assert_eq!(names(&root), [""; 0]);
    // Another disk comes.
    volume::make(&Beneath::root(&root).unwrap(), "2020".to_owned(), None).unwrap();
    until_told(&mut engine, "another volume");
    assert_eq!(names(&root), [NAME]);
    remove_dir_all(&root).unwrap();
    until_told(&mut engine, "is not there");
    assert!(!root.exists());

    rename(&aside, &root).unwrap();
    until("an end of what is said", || {
        let snapshot = engine.snapshot();
        let recorder = &snapshot.recorders[0];
        let all = recorder.errors.iter().chain(&snapshot.warnings);
        // That nothing comes just now is said as well.
        recorder.state == RecorderState::Recording && !all.into_iter().any(|it| it.contains("volume"))
    });
    stop(&mut engine, "a");
    let files = recordings(&root.join("a"));
    assert_eq!(files.len(), 2, "{files:?}");
    let cut = samples(&files[0]);
    assert!(cut.starts_with(&signal(1, 0, 100 * u64::from(PACKET))));
    let first = |file: &Path| {
        let ledger = std::fs::read_to_string(file.with_extension("wav.gaps.jsonl")).unwrap();
        let header: serde_json::Value = serde_json::from_str(ledger.lines().next().unwrap()).unwrap();
        header["first_position"].as_u64().unwrap()
    };
    assert_eq!(first(&files[1]), first(&files[0]) + cut.len() as u64 / 2, "memory held all between");
    let sealed = |file: &std::path::PathBuf| file.with_extension("wav.json").exists();
    until("both to be sealed", || files.iter().all(sealed));
    drop(engine);
    let found = verify(&Beneath::root(&root.join("a")).unwrap(), false, |_| true).unwrap();
    assert_eq!((found.sealed, found.faults.len()), (2, 0), "{:?}", found.faults);
}

#[test]
fn an_engine_that_starts_with_another_volume_writes_nothing_there_and_mends_nothing() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (root, aside) = (dir.path().join("root"), dir.path().join("aside"));
    let to = address(71);
    let source = source("desk", to);
    let start = || {
        let mut engine = engine_with(&root, Some(state.path().to_owned()));
        engine.configure(vec![recorder("a", &source, &root)], std::slice::from_ref(&source));
        engine
    };
    let mut engine = start();
    engine.record("a", None).unwrap();
    Stream::new(1, to).send(100);
    until_written(&mut engine, "a", 100 * u64::from(PACKET));
    stop(&mut engine, "a");
    drop(engine);

    rename(&root, &aside).unwrap();
    create_dir(&root).unwrap();
    let mut engine = start();
    engine.record_when_possible("a");
    Stream::new(2, to).send(100);
    until_told(&mut engine, "empty mount point");
    assert_eq!(names(&root), [""; 0]);
    remove_dir_all(&root).unwrap();
    rename(&aside, &root).unwrap();
    until_written(&mut engine, "a", 100 * u64::from(PACKET));
    stop(&mut engine, "a");
    let files = recordings(&root.join("a"));
    assert_eq!(files.len(), 2, "{files:?}");
    assert!(samples(&files[1]) == signal(2, 0, 100 * u64::from(PACKET)));
}

async fn volumes(client: &mut Client) -> VolumeReport {
    match client.request(Request::Volumes).await.unwrap() {
        Reply::Volumes(mut volumes) => volumes.remove(0),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_person_sees_which_volume_is_there_and_takes_another_one_over() {
    let (sources, recorders) = files(address(72), &["a".to_owned()]);
    let engine = Running::start_with(&sources, &recorders);
    let mut client = engine.client().await;
    let archive = engine.dir.path().join("archive");
    assert_eq!(volumes(&mut client).await.standing, VolumeStanding::New);
    assert!(!archive.exists(), "who only asks makes nothing");
    client.request(Request::StartAll).await.unwrap();
    let now = volumes(&mut client).await;
    assert_eq!(
        (now.standing, now.root.as_str(), now.note),
        (VolumeStanding::Ours, archive.to_str().unwrap(), None)
    );
    assert!(now.disk.total_bytes > 0 && now.expected.is_some() && now.expected == now.found);
    client.request(Request::StopAll).await.unwrap();

    rename(&archive, engine.dir.path().join("aside")).unwrap();
    create_dir(&archive).unwrap();
    let wrong = volumes(&mut client).await;
    assert_eq!(
        (wrong.standing, &wrong.expected, wrong.found),
        (VolumeStanding::Unmarked, &now.expected, None)
    );
    assert_eq!(kind(client.request(Request::Start(id("a"))).await), RefusalKind::Conflict);
    let paths = vec!["a/one.wav".to_owned()];
    let delete = Request::DeleteRecordings { paths, who: "anna".to_owned(), meant: vec![] };
    let Reply::Deleted(mut files) = client.request(delete).await.unwrap() else { panic!("another answer") };
    assert_eq!(
        files.remove(0).refused.map(|refusal| refusal.kind),
        Some(RefusalKind::Conflict),
        "it is not gone"
    );
    assert_eq!(names(&archive), [""; 0]);

    let adopt = |root: &Path, who: &str| Request::AdoptVolume {
        root: root.to_string_lossy().into_owned(),
        who: who.to_owned(),
    };
    assert_eq!(kind(client.request(adopt(&archive, "")).await), RefusalKind::Invalid);
    assert_eq!(kind(client.request(adopt(Path::new("/elsewhere"), "anna")).await), RefusalKind::NotFound);
    let Reply::Volumes(adopted) = client.request(adopt(&archive, "anna")).await.unwrap() else {
        panic!("another answer")
    };
    assert_eq!(adopted[0].standing, VolumeStanding::Ours);
    assert_ne!(adopted[0].expected, now.expected);
    client.request(Request::Start(id("a"))).await.unwrap();
}
