//! The control socket: what clients are told, and what they cannot do to the engine.

use std::path::{Path, PathBuf};

use audyn_api::client::{Client, ClientError};
use audyn_api::frame;
use audyn_api::{
    ClientFrame, ConfigDocument, Event, GlobalConfig, MAGIC, RecorderConfig, RefusalKind, Reply, Request,
    ServerFrame, Subscription, VERSION,
};
use audyn_daemon::server::{Server, listen};
use audyn_daemon::{ConfigStore, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

pub(crate) struct Running {
    pub(crate) dir: tempfile::TempDir,
    socket: PathBuf,
}

impl Running {
    pub(crate) fn start() -> Self {
        Self::start_with(&serde_json::json!([]), &serde_json::json!([]))
    }

    /// With sources and recorders of these JSON files.
    pub(crate) fn start_with(sources: &serde_json::Value, recorders: &serde_json::Value) -> Self {
        Self::start_on(sources, recorders, |_| {})
    }

    /// The same, with what an engine of before has left in the state directory.
    pub(crate) fn start_on(
        sources: &serde_json::Value,
        recorders: &serde_json::Value,
        before: impl FnOnce(&Path),
    ) -> Self {
        Self::start_mirrored(sources, recorders, before, None)
    }

    /// The same with a mirror.
    pub(crate) fn start_mirrored(
        sources: &serde_json::Value,
        recorders: &serde_json::Value,
        before: impl FnOnce(&Path),
        mirror: Option<&Path>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("state")).unwrap();
        before(&dir.path().join("state"));
        std::fs::write(dir.path().join("state/sources.json"), sources.to_string()).unwrap();
        std::fs::write(dir.path().join("state/recorders.json"), recorders.to_string()).unwrap();
        let socket = dir.path().join("engine.sock");
        let root = dir.path().join("archive").to_string_lossy().into_owned();
        let global = GlobalConfig {
            archive_root: root,
            mirror: mirror.map(|mirror| mirror.to_string_lossy().into_owned()),
            fifo_priority: 0,
            active_recorders: 64,
            ..GlobalConfig::default()
        };
        let store = ConfigStore::open(&dir.path().join("state"), global).unwrap();
        let listener = listen(&socket).unwrap();
        let server = Server::new(Service::start(store).unwrap());
        let publisher = server.clone();
        tokio::spawn(async move { server.accept(listener).await });
        tokio::spawn(async move { publisher.publish().await });
        Self { dir, socket }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.socket, "test").await.unwrap()
    }

    /// Says hello by hand and takes the answer.
    async fn raw(&self, hello: &ClientFrame) -> (UnixStream, ServerFrame) {
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        let mut bytes = Vec::new();
        frame::encode(hello, &mut bytes).unwrap();
        stream.write_all(&bytes).await.unwrap();
        let answer = read(&mut stream).await;
        (stream, answer)
    }
}

fn hello(version: u16) -> ClientFrame {
    ClientFrame::Hello { magic: MAGIC, version, client: "test".to_owned() }
}

async fn read(stream: &mut UnixStream) -> ServerFrame {
    let length = stream.read_u32_le().await.unwrap() as usize;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    frame::decode_body(&body).unwrap()
}

pub(crate) async fn config(client: &mut Client) -> ConfigDocument {
    match client.request(Request::Config).await.unwrap() {
        Reply::Config(config) => *config,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn change(
    client: &mut Client,
    make: impl FnOnce(u64) -> Request,
) -> Result<u64, ClientError> {
    let revision = config(client).await.revision;
    match client.request(make(revision)).await? {
        Reply::Changed { revision } => Ok(revision),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn kind(result: Result<impl std::fmt::Debug, ClientError>) -> RefusalKind {
    match result {
        Err(ClientError::Refused(refusal)) => refusal.kind,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn another_version_and_rubbish_are_refused_with_a_reason() {
    let engine = Running::start();
    let (_, answer) = engine.raw(&hello(VERSION + 1)).await;
    let ServerFrame::Refused(refusal) = answer else { panic!("{answer:?}") };
    assert_eq!(refusal.kind, RefusalKind::Version);

    let (_, answer) = engine.raw(&ClientFrame::Request { id: 1, request: Request::Snapshot }).await;
    assert!(matches!(answer, ServerFrame::Refused(refusal) if refusal.kind == RefusalKind::Invalid));

    for rubbish in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0xff; 4_096], &[3, 0, 0, 0, 9, 9, 9]] {
        let mut stream = UnixStream::connect(&engine.socket).await.unwrap();
        // The engine may hang up before all of it is written.
        let _ = stream.write_all(rubbish).await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
    engine.client().await.request(Request::Snapshot).await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off_and_others_are_not() {
    let engine = Running::start();
    let (mut deaf, _) = engine.raw(&hello(VERSION)).await;
    let mut request = Vec::new();
    frame::encode(&ClientFrame::Request { id: 1, request: Request::Config }, &mut request).unwrap();
    // It asks and asks and never listens: its queue fills, and the engine hangs up.
    while deaf.write_all(&request).await.is_ok() {}
    engine.client().await.request(Request::Snapshot).await.unwrap();
}

#[tokio::test]
async fn a_stale_revision_is_a_conflict_and_nothing_changes() {
    let engine = Running::start();
    let mut client = engine.client().await;
    let source = crate::common::source("desk", crate::common::address(20));
    let old = config(&mut client).await.revision;
    change(&mut client, |revision| Request::PutSource { revision, source: source.clone() }).await.unwrap();
    let stale = client.request(Request::RemoveSource { revision: old, id: source.id.clone() }).await;
    assert_eq!(kind(stale), RefusalKind::Conflict);
    assert_eq!(config(&mut client).await.sources, [source]);
    assert!(saved(engine.dir.path(), "sources.json").contains("desk"));
}

fn saved(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join("state").join(name)).unwrap()
}

#[tokio::test]
async fn a_recorder_is_made_started_relabelled_and_stopped() {
    let engine = Running::start();
    let mut client = engine.client().await;
    let mut watcher = engine.client().await;
    watcher.request(Request::Subscribe(Subscription { levels: true, state: true })).await.unwrap();

    let to = crate::common::address(21);
    let source = crate::common::source("desk", to);
    let recorder: RecorderConfig = serde_json::from_value(serde_json::json!({
        "id": "a", "name": "A", "source_id": "desk", "auto_start": false,
    }))
    .unwrap();
    change(&mut client, |revision| Request::PutSource { revision, source }).await.unwrap();
    change(&mut client, |revision| Request::PutRecorder { revision, recorder: recorder.clone() })
        .await
        .unwrap();
    client.request(Request::Start(recorder.id.clone())).await.unwrap();

    let mut stream = crate::common::Stream::new(1, to);
    let (mut levels, mut file) = (false, None);
    while !levels || file.is_none() {
        stream.send(10);
        match watcher.next_event().await.unwrap() {
            Event::Levels(frame) => {
                levels |= frame.recorders.iter().any(|r| r.channels.iter().any(|c| c.peak.0 > -60.0));
            }
            Event::Snapshot(snapshot) => {
                file = snapshot.recorders.first().and_then(|r| r.current_file.clone());
            }
            _ => {}
        }
    }
    let file = file.unwrap();
    assert!(file.starts_with("a/"), "each recorder has its own directory: {file}");

    // While it records its labels may change, what it records may not.
    let renamed = RecorderConfig { name: "Renamed".to_owned(), ..recorder.clone() };
    change(&mut client, |revision| Request::PutRecorder { revision, recorder: renamed.clone() })
        .await
        .unwrap();
    let mut short = RecorderConfig { channels: vec![0], ..renamed.clone() };
    short.archive.period_seconds = 1;
    let refused = change(&mut client, |revision| Request::PutRecorder { revision, recorder: short }).await;
    assert_eq!(kind(refused), RefusalKind::Invalid, "nobody stops it for what is refused then");
    let mono = RecorderConfig { channels: vec![0], ..renamed };
    let refused = change(&mut client, |revision| Request::PutRecorder { revision, recorder: mono }).await;
    assert_eq!(kind(refused), RefusalKind::Conflict);
    let removed =
        change(&mut client, |revision| Request::RemoveRecorder { revision, id: recorder.id.clone() }).await;
    assert_eq!(kind(removed), RefusalKind::Conflict);

    let Reply::Deleted(deleted) = client.request(delete(vec![file.clone()])).await.unwrap() else {
        panic!("not an answer to a deletion")
    };
    assert!(deleted[0].refused.as_ref().unwrap().detail.contains("being recorded"), "{deleted:?}");
    client.request(Request::Stop(recorder.id.clone())).await.unwrap();
    let path = engine.dir.path().join("archive").join(&file);
    let got = crate::common::samples(&path);
    assert!(!got.is_empty() && got == crate::common::signal(1, common_first(&got), got.len() as u64 / 2));
    let Reply::Deleted(deleted) = client.request(delete(vec![file])).await.unwrap() else {
        panic!("not an answer to a deletion")
    };
    assert_eq!(deleted[0].refused, None);
    assert!(!path.exists());
    let tombstones =
        engine.dir.path().join("archive").join(recorder.id.as_str()).join(".audyn/tombstones.jsonl");
    let told = std::fs::read_to_string(tombstones).unwrap();
    assert!(told.contains("\"who\":\"anna\""), "{told}");
}

fn delete(paths: Vec<String>) -> Request {
    Request::DeleteRecordings { paths, who: "anna".to_owned(), meant: vec![] }
}

/// The frame that a recording began with: it may have begun after the stream.
pub(crate) fn common_first(samples: &[i32]) -> u64 {
    (0..1_000_000).find(|&at| crate::common::signal(1, at, 2) == samples[..4]).unwrap()
}

#[tokio::test]
async fn a_second_engine_does_not_take_the_socket() {
    let engine = Running::start();
    let error = listen(&engine.socket).unwrap_err().to_string();
    assert!(error.contains("another engine answers"), "{error}");
    let file = engine.dir.path().join("plain");
    std::fs::write(&file, "x").unwrap();
    let error = listen(&file).unwrap_err().to_string();
    assert!(error.contains("not a socket"), "{error}");
}

/// Sources and recorders of these JSON files, each recorder idle and on the first source.
pub(crate) fn files(to: std::net::SocketAddr, ids: &[String]) -> (serde_json::Value, serde_json::Value) {
    let recorders = ids
        .iter()
        .map(|id| serde_json::json!({ "id": id, "name": id, "source_id": "desk", "auto_start": false }));
    let source = serde_json::to_value(crate::common::source("desk", to)).unwrap();
    (serde_json::json!([source]), recorders.collect())
}

pub(crate) async fn snapshot(client: &mut Client) -> audyn_api::Snapshot {
    match client.request(Request::Snapshot).await.unwrap() {
        Reply::Snapshot(snapshot) => *snapshot,
        other => panic!("{other:?}"),
    }
}

/// Sends until a recorder writes a file, and tells which.
pub(crate) async fn until_written(
    client: &mut Client,
    stream: &mut crate::common::Stream,
    recorder: &str,
) -> String {
    loop {
        stream.send(10);
        let now = snapshot(client).await;
        let recorder = now.recorders.iter().find(|r| r.id == recorder).unwrap();
        if let Some(file) = recorder.current_file.as_ref().filter(|_| recorder.frames_written.0 > 0) {
            return file.clone();
        }
        tokio::task::yield_now().await;
    }
}

pub(crate) fn id(id: &str) -> audyn_api::RecorderId {
    audyn_api::RecorderId::new(id).unwrap()
}

#[tokio::test]
async fn a_burst_of_events_costs_no_attentive_subscriber_its_connection() {
    let ids: Vec<String> = (0..64).map(|n| format!("r{n}")).collect();
    let (sources, recorders) = files(crate::common::address(22), &ids);
    let engine = Running::start_with(&sources, &recorders);
    let (mut watcher, mut client) = (engine.client().await, engine.client().await);
    watcher.request(Request::Subscribe(Subscription { levels: true, state: true })).await.unwrap();
    client.request(Request::StartAll).await.unwrap();
    let mut recording = std::collections::BTreeSet::new();
    while recording.len() < ids.len() {
        if let Event::Recorder { id, state: audyn_api::RecorderState::Recording } =
            watcher.next_event().await.unwrap()
        {
            recording.insert(id);
        }
    }
    watcher.request(Request::Snapshot).await.unwrap();
}

#[tokio::test]
async fn one_bad_recorder_does_not_keep_the_others_from_starting() {
    let ids = ["a", "b", "c"].map(str::to_owned);
    let (sources, recorders) = files(crate::common::address(23), &ids);
    let engine = Running::start_with(&sources, &recorders);
    std::fs::create_dir(engine.dir.path().join("archive")).unwrap();
    std::fs::write(engine.dir.path().join("archive/a"), "in the way").unwrap();
    let mut client = engine.client().await;
    let Err(ClientError::Refused(refusal)) = client.request(Request::StartAll).await else {
        panic!("`a` cannot record")
    };
    assert_eq!(refusal.kind, RefusalKind::Failed);
    assert!(refusal.detail.starts_with("1 of 3 recorders") && refusal.detail.contains("`a`"), "{refusal:?}");
    let states: Vec<_> = snapshot(&mut client).await.recorders.iter().map(|r| r.state).collect();
    use audyn_api::RecorderState::{Recording, Stopped};
    assert_eq!(states, [Stopped, Recording, Recording]);
}

#[tokio::test]
async fn what_is_too_long_is_refused_and_the_socket_still_answers() {
    let engine = Running::start();
    let mut client = engine.client().await;
    let recorder: RecorderConfig =
        serde_json::from_value(serde_json::json!({ "id": "a", "name": "x".repeat(600_000) })).unwrap();
    let refused = change(&mut client, |revision| Request::PutRecorder { revision, recorder }).await;
    assert_eq!(kind(refused), RefusalKind::Invalid);
    let refused = client.request(delete(vec!["a/b.wav".to_owned(); 1_001])).await;
    assert_eq!(kind(refused), RefusalKind::Invalid);
    let gone = client.request(delete(vec!["a/b.wav".to_owned(); 1_000])).await.unwrap();
    assert!(matches!(gone, Reply::Deleted(files) if files.len() == 1_000));
    snapshot(&mut client).await;
}

#[tokio::test]
async fn the_client_too_many_is_told_so() {
    let engine = Running::start();
    let mut clients = Vec::new();
    for _ in 0..64 {
        clients.push(engine.client().await);
    }
    let refused = Client::connect(&engine.socket, "test").await;
    assert_eq!(kind(refused), RefusalKind::Conflict);
    snapshot(&mut clients[63]).await;
}

#[tokio::test]
async fn a_renamed_source_goes_on_and_a_changed_one_takes_its_port_again() {
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (mut sources, recorders) = files(port, &["a".to_owned()]);
    sources[0]["interface"] = serde_json::Value::Null;
    let engine = Running::start_with(&sources, &recorders);
    let mut client = engine.client().await;
    client.request(Request::Start(id("a"))).await.unwrap();
    let mut stream = crate::common::Stream::new(1, port);
    let file = until_written(&mut client, &mut stream, "a").await;

    let source = config(&mut client).await.sources.remove(0);
    let renamed = audyn_api::SourceConfig {
        name: "Renamed".to_owned(),
        channel_names: vec!["L".to_owned(), "R".to_owned()],
        ..source
    };
    change(&mut client, |revision| Request::PutSource { revision, source: renamed.clone() }).await.unwrap();
    let now = snapshot(&mut client).await;
    assert_eq!(now.flows[0].error, None);
    assert!(now.flows[0].counters.received > 0, "the flow is the same one");
    assert_eq!(now.recorders[0].channel_names, ["L", "R"]);
    assert_eq!(now.recorders[0].current_file, Some(file));
    client.request(Request::Stop(id("a"))).await.unwrap();

    // Another payload type is another flow, on the port that the old one has only just left.
    for payload_type in [97, 98, 99] {
        let changed = audyn_api::SourceConfig {
            payload_type: audyn_units::PayloadType::new(payload_type).unwrap(),
            ..renamed.clone()
        };
        change(&mut client, |revision| Request::PutSource { revision, source: changed }).await.unwrap();
        assert_eq!(snapshot(&mut client).await.flows[0].error, None);
    }
}

#[tokio::test]
async fn each_who_stops_waits_for_the_same_close() {
    let to = crate::common::address(24);
    let (sources, recorders) = files(to, &["a".to_owned()]);
    let engine = Running::start_with(&sources, &recorders);
    let (mut first, mut second) = (engine.client().await, engine.client().await);
    first.request(Request::Start(id("a"))).await.unwrap();
    let file = until_written(&mut first, &mut crate::common::Stream::new(1, to), "a").await;
    let ledger = engine.dir.path().join("archive").join(&file).with_extension("wav.gaps.jsonl");
    let closed = || std::fs::read_to_string(&ledger).unwrap().contains(r#""closed":true"#);
    let stop = async |client: &mut Client| {
        client.request(Request::Stop(id("a"))).await.unwrap();
        assert!(closed(), "Done means that the file is closed");
    };
    tokio::join!(stop(&mut first), stop(&mut second));
}

#[tokio::test]
async fn a_setting_that_was_put_back_waits_for_no_start_and_until_then_no_path_is_deleted() {
    let engine = Running::start();
    let mut client = engine.client().await;
    let before = config(&mut client).await.global;
    let other = GlobalConfig { archive_root: "/elsewhere".to_owned(), ..before.clone() };
    for (global, waits) in [(other, true), (before, false)] {
        change(&mut client, |revision| Request::PutGlobal { revision, global }).await.unwrap();
        let warnings = snapshot(&mut client).await.warnings;
        assert_eq!(warnings.iter().any(|warning| warning.contains("next start")), waits, "{warnings:?}");
        // Until then a path may be meant below either root.
        let (paths, who) = (vec!["a/x.wav".to_owned()], "anna".to_owned());
        let delete = Request::DeleteRecordings { paths: paths.clone(), who: who.clone(), meant: vec![] };
        for ask in [delete, Request::Protect { paths, protected: false, who }] {
            match client.request(ask).await {
                Err(ClientError::Refused(refusal)) => {
                    assert!(waits && refusal.kind == RefusalKind::Conflict, "{refusal:?}");
                    assert!(refusal.detail.contains("restart the engine"), "{refusal:?}");
                }
                answer => assert!(!waits, "{answer:?}"),
            }
        }
    }
}

#[tokio::test]
async fn what_the_disk_refused_a_recording_ends_with_it() {
    let to = crate::common::address(25);
    let (sources, recorders) = files(to, &["a".to_owned()]);
    let engine = Running::start_with(&sources, &recorders);
    let mut client = engine.client().await;
    client.request(Request::Start(id("a"))).await.unwrap();
    let directory = engine.dir.path().join("archive/a");
    std::fs::remove_dir(&directory).unwrap();
    std::fs::write(&directory, "in the way").unwrap();
    let mut stream = crate::common::Stream::new(1, to);
    let path = directory.to_string_lossy().into_owned();
    let complains =
        |now: &audyn_api::Snapshot| now.recorders[0].errors.iter().any(|error| error.contains(&path));
    loop {
        stream.send(10);
        if complains(&snapshot(&mut client).await) {
            break;
        }
    }
    client.request(Request::Stop(id("a"))).await.unwrap();
    assert!(!complains(&snapshot(&mut client).await));
}
