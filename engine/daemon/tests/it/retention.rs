//! Recordings that go by themselves: over the socket, and with the engine killed in the midst of it.

use std::io::BufRead as _;
use std::process::{Child, Command, Stdio};

use audyn_api::client::{Client, ClientError};
use audyn_api::{
    GlobalConfig, ProposedLimits, ProposedRecorder, RecorderConfig, RefusalKind, Reply, Request,
    RetentionConfig, RetentionPlan, VolumeConfig,
};
use audyn_media::Beneath;
use audyn_media::chain::{Chain, verify};

use crate::archive::{archive_of, keeps};
use crate::common::{Stream, address, until};
use crate::socket::{Running, change, config, files, id, kind, snapshot, until_written};

async fn plan(client: &mut Client) -> RetentionPlan {
    plan_with(client, ProposedLimits::default()).await.unwrap()
}

/// What would go with other limits.
async fn plan_with(client: &mut Client, limits: ProposedLimits) -> Result<RetentionPlan, ClientError> {
    match client.request(Request::RetentionPlan(limits)).await? {
        Reply::RetentionPlan(plan) => Ok(*plan),
        other => panic!("{other:?}"),
    }
}

fn keep_of(recorder: &str, retention: RetentionConfig) -> ProposedLimits {
    ProposedLimits { recorders: vec![ProposedRecorder { id: id(recorder), retention }], volume: None }
}

/// Asks for one recording to be protected or let go, or deleted; the kind of the refusal, if it is refused.
async fn ask(client: &mut Client, request: Request) -> Option<RefusalKind> {
    let refused = match client.request(request).await.unwrap() {
        Reply::Protected(mut files) => files.remove(0).refused,
        Reply::Deleted(mut files) => files.remove(0).refused,
        other => panic!("{other:?}"),
    };
    refused.map(|refusal| refusal.kind)
}

fn protect(path: &str, protected: bool) -> Request {
    Request::Protect { paths: vec![path.to_owned()], protected, who: "anna".to_owned() }
}

fn delete(path: &str) -> Request {
    Request::DeleteRecordings { paths: vec![path.to_owned()], who: "otto".to_owned(), meant: vec![] }
}

#[tokio::test]
async fn while_it_records_the_oldest_that_nobody_protects_goes() {
    let to = address(80);
    let (sources, mut recorders) = files(to, &["a".to_owned()]);
    recorders[0]["retention"] = serde_json::json!({ "bytes": 1_000_000 });
    let engine = Running::start_on(&sources, &recorders, |state| keeps(state, "a", 1_000_000));
    let mut client = engine.client().await;
    let archive = engine.dir.path().join("archive");
    let mut stream = Stream::new(1, to);
    // Three of half a megabyte or more, of which two are too much, and one that goes on.
    let mut recorded = Vec::new();
    for n in 0..4 {
        client.request(Request::Start(id("a"))).await.unwrap();
        recorded.push(until_written(&mut client, &mut stream, "a").await);
        if n < 3 {
            stream.send(1_800);
            let enough =
                async |client: &mut Client| snapshot(client).await.recorders[0].bytes_written > 500_000;
            while !enough(&mut client).await {
                tokio::task::yield_now().await;
            }
            client.request(Request::Stop(id("a"))).await.unwrap();
            let sidecar = archive.join(format!("{}.json", recorded[n]));
            while !sidecar.exists() {
                tokio::task::yield_now().await;
            }
        }
        if n == 0 {
            assert_eq!(ask(&mut client, protect(&recorded[0], true)).await, None);
        }
    }
    let now = snapshot(&mut client).await;
    assert_eq!(now.retention.bytes_per_second, 288_000);
    // The volume is whatever this machine has.
    assert_eq!(now.retention.seconds_left, None, "its limit deletes as much");
    assert_eq!(ask(&mut client, protect("a/none.wav", true)).await, Some(RefusalKind::NotFound));
    let nobody = Request::Protect { paths: Vec::new(), protected: true, who: String::new() };
    assert_eq!(kind(client.request(nobody).await), RefusalKind::Invalid);

    // A change of any limit has it look at once, and not within the minute.
    let global = config(&mut client).await.global;
    let volume = VolumeConfig { alarm_hours: 1, ..global.volume };
    let global = GlobalConfig { volume, ..global };
    change(&mut client, |revision| Request::PutGlobal { revision, global }).await.unwrap();
    while snapshot(&mut client).await.retention.deleted == 0 {
        tokio::task::yield_now().await;
    }
    // Neither what is protected nor what is being recorded counts; without the second one it is little enough.
    let there: Vec<bool> = recorded.iter().map(|file| archive.join(file).exists()).collect();
    assert_eq!(there, [true, false, true, true], "the oldest is protected");
    let now = snapshot(&mut client).await;
    let tombstones = std::fs::read_to_string(archive.join("a/.audyn/tombstones.jsonl")).unwrap();
    let names = |n: usize| tombstones.contains(&format!("\"{}\"", recorded[n].trim_start_matches("a/")));
    assert_eq!([0, 1, 2, 3].map(names), [false, true, false, false], "{recorded:?} {tombstones}");
    assert_eq!(now.retention.deleted, tombstones.lines().count() as u64, "{tombstones}");
    assert_eq!(now.recorders[0].state, audyn_api::RecorderState::Recording);
    assert_eq!(now.recorders[0].gaps, 0);
    let rest = plan(&mut client).await;
    assert_eq!(rest.protected, 1);
    assert!(rest.going.iter().all(|entry| entry.path == recorded[2]), "{rest:?}");

    assert_eq!(ask(&mut client, delete(&recorded[0])).await, Some(RefusalKind::Forbidden));
    assert_eq!(ask(&mut client, protect(&recorded[0], false)).await, None);
    assert_eq!(ask(&mut client, delete(&recorded[0])).await, None);
    client.request(Request::Stop(id("a"))).await.unwrap();
    let found = verify(&Beneath::root(&archive.join("a")).unwrap(), false, |_| true).unwrap();
    assert_eq!(found.faults, []);
}

#[tokio::test]
async fn a_limit_can_be_tried_and_one_that_is_set_waits_for_an_hour() {
    let (sources, recorders) = files(address(82), &["a".to_owned()]);
    let engine = Running::start_with(&sources, &recorders);
    let mut client = engine.client().await;
    let recorder = engine.dir.path().join("archive/a");
    archive_of(&recorder, "", 70);
    let nothing = plan(&mut client).await;
    assert!(nothing.files == 0 && nothing.notes[0].contains("no recorder has a limit"), "{nothing:?}");

    let retention = RetentionConfig { bytes: Some(1_000_000), ..RetentionConfig::default() };
    let before = config(&mut client).await;
    let tried = plan_with(&mut client, keep_of("a", retention)).await.unwrap();
    // A file has 16,096 bytes and some 1,400 of ledger and sidecar.
    assert!((5..20).contains(&tried.files) && tried.going[0].path == "a/000.wav", "{tried:?}");
    let [of_a] = &tried.recorders[..] else { panic!("{tried:?}") };
    assert_eq!((&*of_a.recorder, of_a.files, of_a.bytes), ("a", tried.files, tried.bytes));
    assert_eq!((of_a.recordings, of_a.oldest), (tried.files, tried.going[0].start));
    assert_eq!(Some(of_a.newest), tried.going.last().map(|last| last.start));
    assert!(matches!(&tried.pending[..], [one] if one.acts_in_seconds == 3_600), "{tried:?}");
    assert_eq!(config(&mut client).await, before, "nothing is set");
    let unknown = plan_with(&mut client, keep_of("b", retention)).await;
    assert_eq!(kind(unknown), RefusalKind::NotFound);
    let days = RetentionConfig { days: Some(0), ..RetentionConfig::default() };
    assert_eq!(kind(plan_with(&mut client, keep_of("a", days)).await), RefusalKind::Invalid);
    let volume = Some(VolumeConfig { floor_percent: 91, ..VolumeConfig::default() });
    let floor = ProposedLimits { volume, ..ProposedLimits::default() };
    assert_eq!(kind(plan_with(&mut client, floor).await), RefusalKind::Invalid);

    let limited = RecorderConfig { retention, ..before.recorders[0].clone() };
    change(&mut client, |revision| Request::PutRecorder { revision, recorder: limited }).await.unwrap();
    let pending = snapshot(&mut client).await.retention.pending;
    assert!(matches!(&pending[..], [one] if one.recorder.as_deref() == Some("a")), "{pending:?}");
    assert!((3_000..=3_600).contains(&pending[0].acts_in_seconds), "{pending:?}");
    assert_eq!(pending[0].in_force, Some(RetentionConfig::default()));
    let planned = plan(&mut client).await;
    assert_eq!((planned.files, planned.pending.len()), (tried.files, 1));
    let recorder = before.recorders[0].clone();
    change(&mut client, |revision| Request::PutRecorder { revision, recorder }).await.unwrap();
    let now = snapshot(&mut client).await.retention;
    assert_eq!((now.pending, now.deleted), (vec![], 0));
}

#[tokio::test]
async fn a_wrong_limit_is_refused_by_name_and_changes_nothing() {
    let (sources, recorders) = files(address(81), &["a".to_owned()]);
    let engine = Running::start_with(&sources, &recorders);
    let mut client = engine.client().await;
    let before = config(&mut client).await;
    let retention = RetentionConfig { days: Some(0), ..RetentionConfig::default() };
    let recorder = RecorderConfig { retention, ..before.recorders[0].clone() };
    match change(&mut client, |revision| Request::PutRecorder { revision, recorder }).await {
        Err(ClientError::Refused(refusal)) => assert!(refusal.detail.contains("retention: days 0")),
        other => panic!("{other:?}"),
    }
    assert_eq!(config(&mut client).await, before);
}

struct Guard(Child);

impl Guard {
    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn an_engine_that_is_killed_while_it_deletes_leaves_a_chain_that_verifies() {
    const FILES: i64 = 150;
    let dir = tempfile::tempdir().unwrap();
    let (archive, state) = (dir.path().join("archive"), dir.path().join("state"));
    let recorder = archive.join("a");
    archive_of(&recorder, "", FILES);
    std::fs::create_dir(&state).unwrap();
    let recorders = serde_json::json!([
        { "id": "a", "name": "A", "retention": { "bytes": 1_000_000 } },
    ]);
    std::fs::write(state.join("recorders.json"), recorders.to_string()).unwrap();
    keeps(&state, "a", 1_000_000);
    let start = || {
        let engine = Command::new(env!("CARGO_BIN_EXE_audyn-engine"))
            .args(["--state", &state.to_string_lossy()])
            .args(["--socket", &dir.path().join("engine.sock").to_string_lossy()])
            .args(["--archive-root", &archive.to_string_lossy()])
            .stderr(Stdio::null())
            .spawn();
        Guard(engine.unwrap())
    };
    let buried = || {
        let tombstones = std::fs::File::open(recorder.join(".audyn/tombstones.jsonl"));
        tombstones.map_or(0, |file| std::io::BufReader::new(file).lines().count())
    };
    let left = || {
        let names = std::fs::read_dir(&recorder).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".wav")).count()
    };
    let check = || {
        drop(Chain::open(Beneath::root(&recorder).unwrap()).unwrap());
        let found = verify(&Beneath::root(&recorder).unwrap(), false, |_| true).unwrap();
        assert_eq!(found.faults, []);
        assert_eq!(left() + buried(), FILES as usize, "each that has gone is accounted for");
    };
    let mut last = 0;
    // Each round ends somewhere behind the tombstone that it waits for.
    for _ in 0..8 {
        let mut engine = start();
        until("a deletion more", || buried() > last);
        engine.kill();
        check();
        last = buried();
    }
    let _engine = start();
    // A file has 16,096 bytes and some 1,400 of ledger and sidecar.
    until("what is above the limit", || left() < 60);
    let settled = left();
    assert!(settled > 50, "{settled} are left of what fits");
}
