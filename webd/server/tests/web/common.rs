//! An engine for tests: a Unix socket that speaks the contract and holds a configuration, and the server before it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use audyn_api::frame::{self, MAX_BODY};
use audyn_api::{
    ChannelLevel, ClientFrame, ClockAlarm, ClockAlarmKind, ClockSnapshot, ConfigDocument, DeletedFile,
    DiskState, Event, FlowSnapshot, FlowState, FlowTiming, LevelsFrame, PendingLimits, Placement,
    PtpSnapshot, RecorderConfig, RecorderId, RecorderLevels, RecorderSnapshot, RecorderState, Refusal,
    RefusalKind, Reply, Request, RetentionPlan, RetentionSnapshot, RoomAlarm, RoomAlarmKind, ServerFrame,
    Snapshot, SourceConfig, TaiSource, VERSION, VolumeReport,
};
use audyn_units::{ClockQuality, Dbfs, FrameCount, FrameIndex, SampleRate, Ssrc, Timestamp};
use audyn_webd::app::App;
use audyn_webd::engine::{Engine, Link};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request as HttpRequest, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast;
use tower::ServiceExt;

/// What the fake engine holds.
pub(crate) struct State {
    pub(crate) config: ConfigDocument,
    pub(crate) snapshot: Snapshot,
    /// Answers each command with this instead of doing it.
    pub(crate) refuse: Option<Refusal>,
    /// Answers each hello with this.
    pub(crate) refuse_hello: Option<Refusal>,
    /// Answers snapshots and configurations, and babbles otherwise.
    pub(crate) babble: bool,
    /// What limits would delete, whichever.
    pub(crate) plan: RetentionPlan,
    /// The volumes, whoever belongs there.
    pub(crate) volumes: Vec<VolumeReport>,
    /// What was asked, without snapshots and configurations.
    pub(crate) asked: Vec<Request>,
}

impl State {
    fn recorder(&mut self, id: &RecorderId) -> Option<&mut RecorderSnapshot> {
        self.snapshot.recorders.iter_mut().find(|recorder| recorder.id == id.as_str())
    }

    fn answer(&mut self, request: Request) -> Reply {
        match request {
            Request::Snapshot => return Reply::Snapshot(Box::new(self.snapshot.clone())),
            Request::Config => return Reply::Config(Box::new(self.config.clone())),
            Request::Subscribe(_) => return Reply::Done,
            _ => {}
        }
        self.asked.push(request.clone());
        if let Some(refusal) = &self.refuse {
            return Reply::Refused(refusal.clone());
        }
        if self.babble {
            return Reply::Snapshot(Box::new(self.snapshot.clone()));
        }
        self.snapshot.sequence += 1;
        match request {
            Request::Start(id) => self.set(&id, RecorderState::Recording),
            Request::Stop(id) => self.set(&id, RecorderState::Stopped),
            Request::StartAll => self.set_all(RecorderState::Recording),
            Request::StopAll => self.set_all(RecorderState::Stopped),
            Request::PutGlobal { revision, global } => self.put(revision, |config| config.global = global),
            Request::PutRecorder { revision, recorder } => self.put(revision, |config| {
                let known = config.recorders.iter_mut().find(|known| known.id == recorder.id);
                *known.unwrap() = recorder;
            }),
            Request::DeleteRecordings { paths, .. } => {
                Reply::Deleted(paths.into_iter().map(|p| self.delete(p)).collect())
            }
            Request::RetentionPlan(_) => Reply::RetentionPlan(Box::new(self.plan.clone())),
            Request::Volumes | Request::AdoptVolume { .. } => Reply::Volumes(self.volumes.clone()),
            Request::Mark { .. } => Reply::Marked {
                position: FrameIndex(86_700),
                rate: SampleRate::HZ_48000,
                at: Timestamp::from_nanos(1_768_055_400_250_000_000),
            },
            other => panic!("webd does not ask this: {other:?}"),
        }
    }

    fn set(&mut self, id: &RecorderId, state: RecorderState) -> Reply {
        match self.recorder(id) {
            Some(recorder) => {
                recorder.state = state;
                Reply::Done
            }
            None => refused(RefusalKind::NotFound, &format!("there is no recorder {id}")),
        }
    }

    fn set_all(&mut self, state: RecorderState) -> Reply {
        self.snapshot.recorders.iter_mut().for_each(|recorder| recorder.state = state);
        Reply::Done
    }

    fn put(&mut self, revision: u64, change: impl FnOnce(&mut ConfigDocument)) -> Reply {
        if revision != self.config.revision {
            return refused(RefusalKind::Conflict, "the configuration changed meanwhile");
        }
        change(&mut self.config);
        self.config.revision += 1;
        self.snapshot.config_revision = self.config.revision;
        Reply::Changed { revision: self.config.revision }
    }

    fn delete(&self, path: String) -> DeletedFile {
        let in_use =
            self.snapshot.recorders.iter().any(|one| one.current_file.as_deref() == Some(path.as_str()));
        let refused = if in_use {
            let detail = "it is being recorded; stop the recorder first".to_owned();
            Some(Refusal { kind: RefusalKind::Conflict, detail })
        } else {
            let file = PathBuf::from(&self.config.global.archive_root).join(&path);
            let refusal =
                |error: std::io::Error| Refusal { kind: RefusalKind::NotFound, detail: error.to_string() };
            std::fs::remove_file(file).err().map(refusal)
        };
        DeletedFile { path, refused }
    }
}

fn refused(kind: RefusalKind, detail: &str) -> Reply {
    Reply::Refused(Refusal { kind, detail: detail.to_owned() })
}

/// The fake engine, the archive, and the server before them.
pub(crate) struct Harness {
    pub(crate) app: App,
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) dir: tempfile::TempDir,
    accept: tokio::task::JoinHandle<()>,
    follow: tokio::task::JoinHandle<()>,
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.accept.abort();
        self.follow.abort();
    }
}

/// Long enough for the slowest machine; a test that waits this long has failed.
pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("what is waited for happens")
}

impl Harness {
    /// Server and engine, connected.
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut State)) -> Self {
        let harness = Self::unconnected(change);
        harness.connected().await;
        harness
    }

    pub(crate) fn unconnected(change: impl FnOnce(&mut State)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("archive");
        std::fs::create_dir(&archive).unwrap();
        let mut state = sample_state(archive.to_str().unwrap());
        change(&mut state);
        let state = Arc::new(Mutex::new(state));
        let events = broadcast::Sender::new(1024);
        let socket = dir.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let accept = tokio::spawn(accept(listener, Arc::clone(&state), events.clone()));
        let engine = Engine::new(&socket);
        let follow = tokio::spawn(engine.clone().follow());
        Self { app: App::new(engine), state, events, dir, accept, follow }
    }

    /// Waits until the server has the engine's state.
    pub(crate) async fn connected(&self) {
        let mut link = self.app.engine.link();
        in_time(link.wait_for(|link| matches!(link, Link::Here(_)))).await.unwrap();
    }

    /// Waits until the server knows that the engine is away, and says why.
    pub(crate) async fn away(&self, word: &str) {
        let mut link = self.app.engine.link();
        let gone = |link: &Link| matches!(link, Link::Away { detail, .. } if detail.contains(word));
        in_time(link.wait_for(gone)).await.unwrap();
    }

    /// The engine dies with all its connections.
    pub(crate) async fn kill_engine(&mut self) {
        self.accept.abort();
        in_time(&mut self.accept).await.unwrap_err();
        self.events = broadcast::Sender::new(1); // the connections see their channel close
        self.away("").await;
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.dir.path().join("archive")
    }

    /// Writes a file into the archive.
    pub(crate) fn file(&self, path: &str, bytes: &[u8]) {
        let path = self.archive().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Sends levels and waits until the server has them.
    pub(crate) async fn send_levels(&self, rms: f32) {
        let mut levels = self.app.engine.levels();
        let frame = levels_frame(rms);
        self.events.send(Event::Levels(frame.clone())).unwrap();
        in_time(levels.wait_for(|known| known.as_ref().is_some_and(|known| known.frame == frame)))
            .await
            .unwrap();
    }

    pub(crate) fn asked(&self) -> Vec<Request> {
        self.state.lock().unwrap().asked.clone()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        call(self.app.router(), Method::GET, path, &[], Body::empty()).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        call(self.app.router(), Method::GET, path, headers, Body::empty()).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str) -> Answer {
        call(self.app.router(), method, path, &[], Body::empty()).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        call(self.app.router(), method, path, &all, body.into()).await
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The JSON of a success.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.bytes));
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_slice(&self.bytes).unwrap()
    }

    /// The problem document of a failure, checked against RFC 9457 and the status.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.bytes));
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem: Value = serde_json::from_slice(&self.bytes).unwrap();
        assert_eq!(problem["status"], status);
        for name in ["type", "title", "detail"] {
            assert!(problem[name].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
        problem
    }
}

pub(crate) async fn call(
    router: Router,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Answer {
    let mut request = HttpRequest::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header(header::HOST, "127.0.0.1:8080");
    }
    for (name, value) in headers {
        if !value.is_empty() {
            request = request.header(*name, *value);
        }
    }
    let response = router.oneshot(request.body(body.into()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { status: parts.status, headers: parts.headers, bytes }
}

pub(crate) fn recorder_config(id: &str, studio: Option<&str>) -> RecorderConfig {
    let json = serde_json::json!({ "id": id, "name": format!("Recorder {id}"), "studio_id": studio });
    serde_json::from_value(json).unwrap()
}

fn sample_state(archive: &str) -> State {
    let source: SourceConfig =
        serde_json::from_value(serde_json::json!({ "id": "desk", "name": "Desk", "address": "239.69.1.2" }))
            .unwrap();
    let mut recorders = vec![recorder_config("r1", Some("blue")), recorder_config("r2", None)];
    recorders[0].source_id = Some(source.id.clone());
    let mut config =
        ConfigDocument { revision: 7, recorders, sources: vec![source.clone()], ..ConfigDocument::default() };
    config.global.archive_root = archive.to_owned();
    let recording = RecorderSnapshot {
        id: "r1".to_owned(),
        name: "Recorder r1".to_owned(),
        enabled: true,
        state: RecorderState::Recording,
        studio_id: Some("blue".to_owned()),
        flow_state: FlowState::Receiving,
        start_time: Some(Timestamp::from_nanos(1_768_055_400_250_000_000)),
        current_file: Some("r1/now.wav".to_owned()),
        bytes_written: 288_000,
        frames_written: FrameCount(47_904),
        frames_filled: FrameCount(96),
        gaps: 2,
        rate: 48_000,
        channel_names: vec!["L".to_owned(), "R".to_owned()],
        errors: vec!["the disk is slow".to_owned()],
    };
    let idle = RecorderSnapshot { id: "r2".to_owned(), name: "Recorder r2".to_owned(), ..Default::default() };
    let snapshot = Snapshot {
        at: Timestamp::from_nanos(1_768_055_460_000_000_000),
        started: Timestamp::from_nanos(1_768_055_400_000_000_000),
        sequence: 3,
        engine_version: "9.8.7".to_owned(),
        config_revision: 7,
        disk: DiskState { total_bytes: 1000, free_bytes: 600 },
        flows: vec![FlowSnapshot {
            source: Some(source.id.clone()),
            ssrc: Some(Ssrc(0xbeef)),
            timing: FlowTiming {
                placement: Some(Placement::Arrival),
                quality: ClockQuality::Ntp,
                drift_ppm: Some(1.5),
                behind_nanos: Some(1_500_000),
            },
            address: "239.69.1.2:5004".to_owned(),
            ..Default::default()
        }],
        recorders: vec![recording, idle],
        warnings: vec!["no SCHED_FIFO".to_owned()],
        retention: RetentionSnapshot {
            floor_bytes: 50,
            bytes_per_second: 6,
            seconds_left: Some(100),
            deleted: 2,
            deleted_bytes: 70,
            pending: vec![PendingLimits {
                recorder: Some("studio-1".to_owned()),
                acts_in_seconds: 7,
                in_force: None,
            }],
            alarms: vec![RoomAlarm {
                kind: RoomAlarmKind::FullSoon,
                text: "full soon".to_owned(),
                began: Timestamp::from_nanos(1_768_055_400_000_000_000),
            }],
        },
        clock: ClockSnapshot {
            quality: ClockQuality::PtpLocked,
            tai_offset: Some(37),
            tai_source: Some(TaiSource::Ptp),
            chosen: Some(1),
            system_offset_nanos: Some(-5),
            ptp: vec![
                PtpSnapshot { name: "eth0".to_owned(), ..PtpSnapshot::default() },
                PtpSnapshot {
                    name: "eth1".to_owned(),
                    grandmaster: Some("00-1D-C1-FF-FE-12-34-56".to_owned()),
                    domain: Some(5),
                    ..PtpSnapshot::default()
                },
            ],
            alarms: vec![ClockAlarm {
                kind: ClockAlarmKind::GrandmasterChanged,
                subject: "eth1".to_owned(),
                text: "another".to_owned(),
                began: Timestamp::from_nanos(1_768_055_400_000_000_000),
                ended: None,
            }],
            ..ClockSnapshot::default()
        },
        ..Snapshot::default()
    };
    State {
        config,
        snapshot,
        refuse: None,
        refuse_hello: None,
        babble: false,
        plan: RetentionPlan::default(),
        volumes: Vec::new(),
        asked: Vec::new(),
    }
}

pub(crate) fn levels_frame(rms: f32) -> LevelsFrame {
    let level =
        |rms| ChannelLevel { rms: Dbfs(rms), peak: Dbfs(-7.0), held_peak: Dbfs(-6.0), clipping: true };
    let recorder = RecorderId::new("r1").unwrap();
    LevelsFrame {
        at: Timestamp::from_nanos(1_768_055_460_000_000_000),
        recorders: vec![RecorderLevels { recorder, channels: vec![level(rms), level(f32::NEG_INFINITY)] }],
    }
}

// ---- The engine's half of the wire.

async fn accept(listener: UnixListener, state: Arc<Mutex<State>>, events: broadcast::Sender<Event>) {
    let mut connections = tokio::task::JoinSet::new(); // aborted with this task
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn(serve(stream, Arc::clone(&state), events.clone()));
    }
}

async fn serve(mut stream: UnixStream, state: Arc<Mutex<State>>, events: broadcast::Sender<Event>) {
    let Some(ClientFrame::Hello { .. }) = read(&mut stream).await else { return };
    let refusal = state.lock().unwrap().refuse_hello.clone();
    if let Some(refusal) = refusal {
        write(&mut stream, &ServerFrame::Refused(refusal)).await;
        return;
    }
    write(&mut stream, &ServerFrame::Hello { version: VERSION, engine: "9.8.7".to_owned() }).await;
    let mut subscription: Option<broadcast::Receiver<Event>> = None;
    loop {
        // A frame is read whole before events are sent again: the client's requests are short.
        let mut next = [0; 1];
        let event = async {
            match &mut subscription {
                Some(events) => events.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = event => match event {
                Ok(event) => write(&mut stream, &ServerFrame::Event(event)).await,
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            },
            read_one = stream.read_exact(&mut next) => {
                if read_one.is_err() {
                    return;
                }
                let Some(ClientFrame::Request { id, request }) = read_after(&mut stream, next[0]).await else { return };
                if matches!(request, Request::Subscribe(wanted) if wanted.levels && wanted.state) {
                    subscription = Some(events.subscribe());
                }
                let reply = state.lock().unwrap().answer(request);
                write(&mut stream, &ServerFrame::Reply { id, reply }).await;
            }
        }
    }
}

async fn read(stream: &mut UnixStream) -> Option<ClientFrame> {
    let mut first = [0; 1];
    stream.read_exact(&mut first).await.ok()?;
    read_after(stream, first[0]).await
}

async fn read_after(stream: &mut UnixStream, first: u8) -> Option<ClientFrame> {
    let mut prefix = [first, 0, 0, 0];
    stream.read_exact(&mut prefix[1..]).await.ok()?;
    let mut body = vec![0; frame::body_length(prefix, MAX_BODY).unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    Some(frame::decode_body(&body).unwrap())
}

async fn write(stream: &mut UnixStream, frame: &ServerFrame) {
    let mut bytes = Vec::new();
    frame::encode(frame, &mut bytes).unwrap();
    let _ = stream.write_all(&bytes).await; // a client that left is told by the next read
}
