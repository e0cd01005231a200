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

struct Running {
    dir: tempfile::TempDir,
    socket: PathBuf,
}

impl Running {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("engine.sock");
        let root = dir.path().join("archive").to_string_lossy().into_owned();
        let global = GlobalConfig { archive_root: root, fifo_priority: 0, ..GlobalConfig::default() };
        let store = ConfigStore::open(&dir.path().join("state"), global).unwrap();
        let listener = listen(&socket).unwrap();
        let server = Server::new(Service::start(store).unwrap());
        let publisher = server.clone();
        tokio::spawn(async move { server.accept(listener).await });
        tokio::spawn(async move { publisher.publish().await });
        Self { dir, socket }
    }

    async fn client(&self) -> Client {
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

async fn config(client: &mut Client) -> ConfigDocument {
    match client.request(Request::Config).await.unwrap() {
        Reply::Config(config) => *config,
        other => panic!("{other:?}"),
    }
}

async fn change(client: &mut Client, make: impl FnOnce(u64) -> Request) -> Result<u64, ClientError> {
    let revision = config(client).await.revision;
    match client.request(make(revision)).await? {
        Reply::Changed { revision } => Ok(revision),
        other => panic!("{other:?}"),
    }
}

fn kind(result: Result<impl std::fmt::Debug, ClientError>) -> RefusalKind {
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
    let mono = RecorderConfig { channels: vec![0], ..renamed };
    let refused = change(&mut client, |revision| Request::PutRecorder { revision, recorder: mono }).await;
    assert_eq!(kind(refused), RefusalKind::Conflict);
    let removed =
        change(&mut client, |revision| Request::RemoveRecorder { revision, id: recorder.id.clone() }).await;
    assert_eq!(kind(removed), RefusalKind::Conflict);

    let Reply::Deleted(deleted) =
        client.request(Request::DeleteRecordings(vec![file.clone()])).await.unwrap()
    else {
        panic!("not an answer to a deletion")
    };
    assert!(deleted[0].refused.as_ref().unwrap().detail.contains("being recorded"), "{deleted:?}");
    client.request(Request::Stop(recorder.id.clone())).await.unwrap();
    let path = engine.dir.path().join("archive").join(&file);
    let got = crate::common::samples(&path);
    assert!(!got.is_empty() && got == crate::common::signal(1, common_first(&got), got.len() as u64 / 2));
    let Reply::Deleted(deleted) = client.request(Request::DeleteRecordings(vec![file])).await.unwrap() else {
        panic!("not an answer to a deletion")
    };
    assert_eq!(deleted[0].refused, None);
    assert!(!path.exists());
}

/// The frame that a recording began with: it may have begun after the stream.
fn common_first(samples: &[i32]) -> u64 {
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
