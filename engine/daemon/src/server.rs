//! The Unix socket: clients ask, and subscribers are told.
//!
//! Owns: who may connect (this user, root, the socket's group), how many, and how much is kept for each: a client that
//! does not read loses its connection when its queue is full. Never: lets one client hold up another, or the engine.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use audyn_api::frame::{self, MAX_BODY, MAX_HELLO};
use audyn_api::{
    ClientFrame, Event, MAGIC, Refusal, RefusalKind, Reply, Request, ServerFrame, Subscription, VERSION,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc};

use crate::engine::lock;
use crate::error::EngineError;
use crate::service::{Answer, Service};

/// Connections at once; more are closed at once.
const MAX_CLIENTS: usize = 64;

/// Frames that wait for a client: two seconds of levels. A client further behind is disconnected.
const QUEUE: usize = 64;

/// How long a client may take for its hello, and to send the rest of a frame that it began.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time between two frames of levels: 30 a second.
const LEVELS_PERIOD: Duration = Duration::from_micros(33_333);

/// Frames of levels between two snapshots when nothing changes.
const SNAPSHOT_EVERY: u32 = 30;

type Bytes = Arc<[u8]>;

struct Subscriber {
    id: u64,
    wants: Subscription,
    connection: Connection,
}

/// What reaches a client: frames, and the end.
#[derive(Clone)]
struct Connection {
    queue: mpsc::Sender<Bytes>,
    end: Arc<Notify>,
}

/// The service and those who listen to it. One thread serves all of it; the locks are never held across a wait.
#[derive(Clone)]
pub struct Server {
    service: Arc<Mutex<Service>>,
    subscribers: Arc<Mutex<Vec<Subscriber>>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("subscribers", &lock(&self.subscribers).len()).finish()
    }
}

/// Opens the socket at `path`. A socket that nobody answers on any more is replaced; anything else there is an error.
pub fn listen(path: &Path) -> Result<UnixListener, EngineError> {
    let refused = |detail: String| EngineError::Socket { path: path.to_owned(), detail };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(|error| {
            refused(format!("{error}; choose a directory that can be written to with --socket"))
        })?;
    }
    if let Ok(metadata) = std::fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            return Err(refused(
                "something that is not a socket is there; choose another --socket".to_owned(),
            ));
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(refused(
                "another engine answers there; stop it, or choose another --socket".to_owned(),
            ));
        }
        std::fs::remove_file(path)
            .map_err(|error| refused(format!("the old socket stays ({error}); remove it")))?;
    }
    let listener = UnixListener::bind(path).map_err(|error| refused(error.to_string()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))
        .map_err(|error| refused(format!("its mode cannot be set: {error}")))?;
    Ok(listener)
}

impl Server {
    /// A server of this service.
    pub fn new(service: Service) -> Self {
        Self { service: Arc::new(Mutex::new(service)), subscribers: Arc::default() }
    }

    /// The service, for a moment.
    pub fn with<T>(&self, work: impl FnOnce(&mut Service) -> T) -> T {
        work(&mut lock(&self.service))
    }

    /// Takes connections, for ever.
    pub async fn accept(&self, listener: UnixListener) {
        let places = Arc::new(tokio::sync::Semaphore::new(MAX_CLIENTS));
        let mut next = 0;
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely: those that go make room.
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            next += 1;
            let id = next;
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tracing::warn!("more than {MAX_CLIENTS} clients; one was turned away");
                continue;
            };
            let server = self.clone();
            tokio::spawn(async move {
                let _place = place;
                if let Err(why) = server.serve(id, stream).await {
                    tracing::debug!(client = id, why, "client gone");
                }
                lock(&server.subscribers).retain(|subscriber| subscriber.id != id);
            });
        }
    }

    /// Tells subscribers what there is to tell, for ever.
    pub async fn publish(&self) {
        let mut ticks = tokio::time::interval(LEVELS_PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut since_snapshot = 0;
        loop {
            ticks.tick().await;
            since_snapshot += 1;
            let due = since_snapshot >= SNAPSHOT_EVERY;
            let news = self.with(|service| {
                if due {
                    service.reconcile();
                }
                service.news(due)
            });
            if due {
                since_snapshot = 0;
            }
            for event in news {
                self.tell(event, |wants| wants.state);
            }
            if lock(&self.subscribers).iter().any(|subscriber| subscriber.wants.levels) {
                let levels = self.with(|service| service.levels());
                self.tell(levels, |wants| wants.levels);
            }
        }
    }

    /// Sends an event to those who want it. Whoever has no room for it loses its place, and with it its connection.
    fn tell(&self, event: Event, wanted: impl Fn(&Subscription) -> bool) {
        let mut subscribers = lock(&self.subscribers);
        if !subscribers.iter().any(|subscriber| wanted(&subscriber.wants)) {
            return;
        }
        let Some(bytes) = encode(&ServerFrame::Event(event)) else { return };
        subscribers.retain(|subscriber| {
            let Connection { queue, end } = &subscriber.connection;
            let sent = !wanted(&subscriber.wants) || queue.try_send(Arc::clone(&bytes)).is_ok();
            if !sent {
                end.notify_one();
                tracing::warn!(client = subscriber.id, "a client does not read and is disconnected");
            }
            sent
        });
    }

    async fn serve(&self, id: u64, stream: UnixStream) -> Result<(), String> {
        authorise(&stream)?;
        let (mut reader, mut writer) = stream.into_split();
        let hello = tokio::time::timeout(PATIENCE, read_frame(&mut reader, MAX_HELLO)).await;
        let frame = hello.map_err(|_| "no hello came".to_owned())??;
        if let Some(refusal) = unfit(frame) {
            let why = refusal.detail.clone();
            let bytes = encode(&ServerFrame::Refused(refusal)).unwrap_or_default();
            // It is disconnected whether or not it hears why.
            let _ = tokio::time::timeout(PATIENCE, writer.write_all(&bytes)).await;
            return Err(why);
        }
        let (queue, waiting) = mpsc::channel(QUEUE);
        let connection = Connection { queue, end: Arc::default() };
        let hello = ServerFrame::Hello { version: VERSION, engine: env!("CARGO_PKG_VERSION").to_owned() };
        connection.send(&hello)?;
        let end = Arc::clone(&connection.end);
        // Whichever ends first ends the connection: the client leaves, cannot be written to, or does not read.
        tokio::select! {
            ended = self.listen_to(id, &mut reader, connection) => ended,
            ended = write_queue(&mut writer, waiting) => ended,
            () = end.notified() => Err("it does not read".to_owned()),
        }
    }

    async fn listen_to(
        &self,
        client: u64,
        reader: &mut OwnedReadHalf,
        connection: Connection,
    ) -> Result<(), String> {
        loop {
            let ClientFrame::Request { id, request } = read_frame(reader, MAX_BODY).await? else {
                return Err("a second hello came".to_owned());
            };
            if let Request::Subscribe(wants) = request {
                self.subscribe(client, wants, &connection);
                connection.send(&ServerFrame::Reply { id, reply: Reply::Done })?;
                if wants.state {
                    let snapshot = self.with(Service::snapshot);
                    connection.send(&ServerFrame::Event(Event::Snapshot(Box::new(snapshot))))?;
                }
                continue;
            }
            let reply = match self.with(|service| service.answer(request)) {
                Answer::Now(reply) => reply,
                Answer::WhenClosed(closing) => {
                    for file in closing {
                        // An error means that the recording's worker has gone, and its file is closed.
                        let _ = file.await;
                    }
                    Reply::Done
                }
            };
            connection.send(&ServerFrame::Reply { id, reply })?;
        }
    }

    fn subscribe(&self, id: u64, wants: Subscription, connection: &Connection) {
        let mut subscribers = lock(&self.subscribers);
        subscribers.retain(|subscriber| subscriber.id != id);
        if wants != Subscription::default() {
            subscribers.push(Subscriber { id, wants, connection: connection.clone() });
        }
    }
}

impl Connection {
    /// Queues a frame. No room means that the client does not read.
    fn send(&self, frame: &ServerFrame) -> Result<(), String> {
        let bytes = encode(frame).ok_or("the answer is longer than a frame")?;
        self.queue.try_send(bytes).map_err(|_| "it does not read".to_owned())
    }
}

/// Only this user, root, and members of the socket's group by its mode get here; others are refused by the kernel. What
/// the mode cannot say is said here.
fn authorise(stream: &UnixStream) -> Result<(), String> {
    let peer = stream.peer_cred().map_err(|error| format!("its credentials cannot be read: {error}"))?;
    let own = nix::unistd::geteuid().as_raw();
    let group = nix::unistd::getegid().as_raw();
    if peer.uid() == own || peer.uid() == 0 || peer.gid() == group {
        return Ok(());
    }
    tracing::warn!(
        uid = peer.uid(),
        gid = peer.gid(),
        pid = peer.pid(),
        "a client of a foreign user was refused"
    );
    Err("it belongs to a foreign user".to_owned())
}

/// What is wrong with a hello, if anything.
fn unfit(frame: ClientFrame) -> Option<Refusal> {
    let refusal = |kind, detail| Some(Refusal { kind, detail });
    match frame {
        ClientFrame::Hello { magic, version, client } if magic == MAGIC => {
            if version == VERSION {
                tracing::debug!(client, "client connected");
                None
            } else {
                let detail = format!(
                    "the engine speaks version {VERSION} of its protocol, `{client}` speaks {version}; install both \
                     from the same release"
                );
                refusal(RefusalKind::Version, detail)
            }
        }
        _ => refusal(RefusalKind::Invalid, "the first frame was not a hello of this protocol".to_owned()),
    }
}

async fn read_frame(reader: &mut OwnedReadHalf, limit: usize) -> Result<ClientFrame, String> {
    let broken = |error: std::io::Error| format!("the connection ended: {error}");
    let mut prefix = [0; 4];
    // Between frames a client may be quiet for as long as it likes; within one it may not.
    prefix[0] = reader.read_u8().await.map_err(broken)?;
    let rest = async {
        reader.read_exact(&mut prefix[1..]).await.map_err(broken)?;
        let length = frame::body_length(prefix, limit).map_err(|error| error.to_string())?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).await.map_err(broken)?;
        frame::decode_body(&body).map_err(|error| error.to_string())
    };
    tokio::time::timeout(PATIENCE, rest).await.map_err(|_| "a frame was begun and not ended".to_owned())?
}

async fn write_queue(writer: &mut OwnedWriteHalf, mut waiting: mpsc::Receiver<Bytes>) -> Result<(), String> {
    while let Some(bytes) = waiting.recv().await {
        writer.write_all(&bytes).await.map_err(|error| format!("the connection ended: {error}"))?;
    }
    Ok(())
}

fn encode(frame: &ServerFrame) -> Option<Bytes> {
    let mut bytes = Vec::new();
    frame::encode(frame, &mut bytes)
        .map_err(|error| tracing::error!(%error, "a frame could not be made"))
        .ok()?;
    Some(bytes.into())
}
