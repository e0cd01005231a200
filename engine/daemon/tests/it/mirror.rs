//! A second volume gets every recording as well; either of them may fail, and costs the other nothing.
//!
//! The mirror lies in memory here, the archive on the disk of temporary files: two file systems.

use std::collections::BTreeMap;
use std::fs::{create_dir, read, remove_dir, rename};
use std::path::{Path, PathBuf};

use audyn_api::client::Client;
use audyn_api::{RecorderState, Reply, Request, VolumeStanding};
use audyn_daemon::Engine;
use audyn_media::Beneath;
use audyn_media::chain::verify;
use audyn_media::volume::NAME;

use crate::common::{PACKET, Stream, address, recordings, samples, signal, stop, until, until_written};
use crate::places::Places;
use crate::socket::{Running, files};

const FRAMES: u64 = 100 * PACKET as u64;

/// What stands in a recorder's directory, but for its chain's own.
fn contents(recorder: &Path) -> BTreeMap<String, Vec<u8>> {
    let all = std::fs::read_dir(recorder).unwrap().map(|entry| entry.unwrap().path());
    let files = all.filter(|path| path.is_file());
    files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), read(&path).unwrap())).collect()
}

fn until_sealed(recorder: &Path, files: usize) {
    until("all to be sealed", || {
        let found = recordings(recorder);
        found.len() == files && found.iter().all(|file| file.with_extension("wav.json").exists())
    });
}

fn until_standing(engine: &mut Engine, which: usize, standing: VolumeStanding) -> Vec<String> {
    let mut said = Vec::new();
    until(&format!("volume {which} to be {standing:?}"), || {
        let volume = engine.snapshot().volumes.remove(which);
        said = volume.alarms;
        volume.standing == Some(standing)
    });
    said
}

fn until_mirrored(mirror: &Path, files: usize) {
    until("a file on the mirror", || recordings(&mirror.join("a")).len() == files);
}

#[test]
fn both_volumes_get_the_same_files_to_the_byte_and_a_chain_each() {
    let places = Places::new();
    let (mut engine, mut stream) = places.fed(230, &places.mirror());
    engine.record("a", None).unwrap();
    stream.send(100);
    until_written(&mut engine, "a", FRAMES);
    until_standing(&mut engine, 1, VolumeStanding::Ours);
    let volumes = engine.snapshot().volumes;
    assert_eq!(volumes.iter().map(|volume| volume.writing).collect::<Vec<_>>(), [1, 1]);
    assert!(
        volumes.iter().all(|volume| volume.alarms.is_empty() && volume.disk.total_bytes > 0),
        "{volumes:?}"
    );
    stop(&mut engine, "a");
    let recorders = [places.root().join("a"), places.mirror().join("a")];
    recorders.iter().for_each(|recorder| until_sealed(recorder, 1));
    drop(engine);
    let [archive, mirror] = recorders.each_ref().map(|recorder| contents(recorder));
    assert_eq!(archive.keys().collect::<Vec<_>>(), mirror.keys().collect::<Vec<_>>());
    assert!(archive.len() >= 4, "audio, ledger, peaks and sidecar: {:?}", archive.keys());
    assert!(archive == mirror, "to the byte");
    assert!(samples(&recordings(&recorders[1])[0]) == signal(1, 0, FRAMES));
    for recorder in &recorders {
        let found = verify(&Beneath::root(recorder).unwrap(), false, |_| true).unwrap();
        assert_eq!((found.sealed, found.faults.len()), (1, 0), "{:?}", found.faults);
    }
    let identity = |root: PathBuf| read(root.join(NAME)).unwrap();
    assert_ne!(identity(places.root()), identity(places.mirror()));
}

#[test]
fn a_mirror_that_is_pulled_costs_the_archive_nothing_and_is_gone_on_with_when_it_is_back() {
    let places = Places::new();
    let (mirror, aside) = (places.mirror(), places.other.path().join("aside"));
    let (mut engine, mut stream) = places.fed(231, &mirror);
    engine.record("a", None).unwrap();
    stream.send(100);
    until_written(&mut engine, "a", FRAMES);
    until_mirrored(&mirror, 1);

    rename(&mirror, &aside).unwrap();
    create_dir(&mirror).unwrap();
    let said = until_standing(&mut engine, 1, VolumeStanding::Unmarked);
    assert!(said[0].contains("the mirror") && said[0].contains("audyn volume adopt /dev/shm"), "{said:?}");
    until("the recorder to say so and record on", || {
        let recorder = engine.snapshot().recorders.remove(0);
        recorder.state == RecorderState::Recording
            && recorder.errors.iter().any(|error| error.contains("the mirror"))
    });
    assert!(engine.snapshot().warnings.iter().any(|warning| warning.contains("the mirror")));
    stream.send(100);
    until_written(&mut engine, "a", 2 * FRAMES);
    assert_eq!(std::fs::read_dir(&mirror).unwrap().count(), 0, "nothing is written to an empty mount point");

    remove_dir(&mirror).unwrap();
    rename(&aside, &mirror).unwrap();
    until_mirrored(&mirror, 2);
    assert_eq!(until_standing(&mut engine, 1, VolumeStanding::Ours), [""; 0]);
    stop(&mut engine, "a");
    until_sealed(&mirror.join("a"), 2);
    drop(engine);
    let whole = recordings(&places.root().join("a"));
    assert_eq!(whole.len(), 1, "{whole:?}");
    let archived = samples(&whole[0]);
    // Where the flow was silent too long between the two, that is an outage, and in both.
    assert!(archived.starts_with(&signal(1, 0, FRAMES)), "the archive's is one file, bit for bit");
    // Memory held all between, so the two files of the mirror are that very one.
    let parts: Vec<i32> = recordings(&mirror.join("a")).iter().flat_map(|file| samples(file)).collect();
    assert!(parts == archived, "{} of {}", parts.len(), archived.len());
}

#[test]
fn while_the_archives_volume_is_away_the_mirror_records_and_that_counts_as_recording() {
    let places = Places::new();
    let (root, aside) = (places.root(), places.dir.path().join("aside"));
    let (mut engine, mut stream) = places.fed(232, &places.mirror());
    engine.record("a", None).unwrap();
    stream.send(100);
    until_written(&mut engine, "a", FRAMES);
    until_mirrored(&places.mirror(), 1);
    rename(&root, &aside).unwrap();
    until_standing(&mut engine, 0, VolumeStanding::Missing);
    until("the recorder to say so and record on", || {
        let recorder = engine.snapshot().recorders.remove(0);
        recorder.errors.iter().any(|error| error.contains("is not there"))
            && recorder.state == RecorderState::Recording
    });
    stream.send(100);
    until_written(&mut engine, "a", 2 * FRAMES);
    // Who begins now can.
    stop(&mut engine, "a");
    until_sealed(&places.mirror().join("a"), 1);
    let files = recordings(&places.mirror().join("a"));
    let mirrored = samples(&files[0]);
    assert!(mirrored.starts_with(&signal(1, 0, FRAMES)) && mirrored.len() as u64 >= 2 * 2 * FRAMES);
    engine.record("a", None).unwrap();
    until_mirrored(&places.mirror(), 2);
    assert!(!root.exists(), "nothing is made where the archive was");
    drop(engine);
}

#[test]
fn a_mirror_that_comes_later_is_recorded_to_from_then_on_and_is_not_made() {
    let places = Places::new();
    let mirror = places.mirror();
    remove_dir(&mirror).unwrap();
    let (mut engine, mut stream) = places.fed(233, &mirror);
    engine.record("a", None).unwrap();
    let said = until_standing(&mut engine, 1, VolumeStanding::Missing);
    assert!(said[0].contains("make that directory on it"), "{said:?}");
    stream.send(100);
    until_written(&mut engine, "a", FRAMES);
    assert!(!mirror.exists());
    create_dir(&mirror).unwrap();
    until_mirrored(&mirror, 1);
    stop(&mut engine, "a");
    drop(engine);
    assert!(samples(&recordings(&mirror.join("a"))[0]).starts_with(&signal(1, 0, FRAMES)), "memory held it");
}

#[test]
fn a_mirror_on_the_archives_own_volume_is_not_written_to() {
    let places = Places::new();
    let mirror = places.dir.path().join("beside");
    create_dir(&mirror).unwrap();
    let (mut engine, mut stream) = places.fed(234, &mirror);
    engine.record("a", None).unwrap();
    stream.send(100);
    until_written(&mut engine, "a", FRAMES);
    let said = until_standing(&mut engine, 1, VolumeStanding::Same);
    assert!(said[0].contains("protects nothing"), "{said:?}");
    stop(&mut engine, "a");
    drop(engine);
    assert_eq!(std::fs::read_dir(&mirror).unwrap().count(), 0);
    assert!(samples(&recordings(&places.root().join("a"))[0]) == signal(1, 0, FRAMES));
}

#[tokio::test]
async fn what_a_person_deletes_goes_from_both_and_what_only_has_its_name_stays() {
    let places = Places::new();
    let mirror = places.mirror();
    let (sources, recorders) = files(address(235), &["a".to_owned()]);
    let engine = Running::start_mirrored(&sources, &recorders, |_| {}, Some(&mirror));
    let root = engine.dir.path().join("archive");
    let mut client = engine.client().await;
    let mut stream = Stream::new(1, address(235));
    let mut make = async |client: &mut Client, files| {
        client.request(Request::StartAll).await.unwrap();
        let path = crate::socket::until_written(client, &mut stream, "a").await;
        let both = [&root, &mirror].map(|root| root.join("a"));
        while both.iter().any(|recorder| recordings(recorder).len() != files) {
            tokio::task::yield_now().await;
        }
        client.request(Request::StopAll).await.unwrap();
        let sealed = |file: &PathBuf| file.with_extension("wav.json").exists();
        while !both.iter().all(|recorder| recordings(recorder).iter().all(sealed)) {
            tokio::task::yield_now().await;
        }
        path.strip_prefix("a/").unwrap().to_owned()
    };
    let first = make(&mut client, 1).await;
    let path = |name: &str| format!("a/{name}");
    let delete = |name: &str| Request::DeleteRecordings {
        paths: vec![path(name)],
        who: "anna".to_owned(),
        meant: vec![],
    };
    let refused = |reply: Reply| match reply {
        Reply::Deleted(mut deleted) => deleted.remove(0).refused.map(|refusal| refusal.detail),
        Reply::Protected(mut done) => done.remove(0).refused.map(|refusal| refusal.detail),
        other => panic!("{other:?}"),
    };
    // Protected on one is protected on both.
    let protect =
        |protected| Request::Protect { paths: vec![path(&first)], protected, who: "anna".to_owned() };
    assert_eq!(refused(client.request(protect(true)).await.unwrap()), None);
    for root in [&root, &mirror] {
        assert!(root.join("a/.audyn/protected.jsonl").exists());
    }
    assert_eq!(refused(client.request(protect(false)).await.unwrap()), None);

    assert_eq!(refused(client.request(delete(&first)).await.unwrap()), None);
    for root in [&root, &mirror] {
        assert!(!root.join(path(&first)).exists());
        let told = std::fs::read_to_string(root.join("a/.audyn/tombstones.jsonl")).unwrap();
        assert!(told.contains(&first) && told.contains("anna") && told.lines().count() == 1, "{told}");
    }
    assert!(refused(client.request(delete(&first)).await.unwrap()).unwrap().contains("does not exist"));

    // While the mirror is away it cannot be protected there, which is said; what is deleted goes from it once it is back.
    let second = make(&mut client, 1).await;
    let aside = places.other.path().join("aside");
    rename(&mirror, &aside).unwrap();
    let protect = Request::Protect { paths: vec![path(&second)], protected: true, who: "anna".to_owned() };
    let said = refused(client.request(protect).await.unwrap()).unwrap();
    assert!(said.contains("protected in the archive, but not on the mirror"), "{said}");
    let protect = Request::Protect { paths: vec![path(&second)], protected: false, who: "anna".to_owned() };
    assert!(refused(client.request(protect).await.unwrap()).is_some());
    assert_eq!(refused(client.request(delete(&second)).await.unwrap()), None);
    assert!(!root.join(path(&second)).exists());
    rename(&aside, &mirror).unwrap();
    assert!(mirror.join(path(&second)).exists());
    while mirror.join(path(&second)).exists() {
        tokio::task::yield_now().await;
    }

    // Another recording of the same name is another one.
    let third = make(&mut client, 1).await;
    let ledger = mirror.join(path(&third) + ".gaps.jsonl");
    let text = std::fs::read_to_string(&ledger).unwrap();
    let (before, after) = text.split_once("\"first_position\":").unwrap();
    let end = after.find(',').unwrap();
    std::fs::write(&ledger, format!("{before}\"first_position\":48{}", &after[end..])).unwrap();
    assert_eq!(refused(client.request(delete(&third)).await.unwrap()), None);
    assert!(!root.join(path(&third)).exists() && mirror.join(path(&third)).exists());
}
