//! The Unix socket: clients ask, and subscribers are told.
//!
//! Owns: who may connect (this user, root, the socket's group), how many, and when to part: a client that takes nothing for
//! 5 s, or lets more wait than [`Outbox`] holds, loses its connection. Never: lets one client hold up another, or the engine;
//! what asks the archive's disk does so on other threads.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use audyn_api::frame::{self, MAX_BODY, MAX_HELLO};
use audyn_api::{
    ClientFrame, Event, MAGIC, Refusal, RefusalKind, Reply, Request, ServerFrame, Subscription, VERSION,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

pub use crate::door::listen;

use crate::door::authorise;
use crate::engine::lock;
use crate::outbox::{Bytes, Kind, Outbox};
use crate::service::{Answer, DiskWork, Lane, Service};

/// Connections at once; more are refused.
const MAX_CLIENTS: usize = 64;

/// Connections that are told at once why they are refused; more are closed without a word.
const MAX_REFUSED: usize = 16;

/// How long a client may take for its hello, to send the rest of a frame that it began, and to take anything of what waits
/// for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the archive's disk may take before a client is told that it does not answer. Clients wait 15 s.
const DISK_PATIENCE: Duration = Duration::from_secs(10);

/// Events that are told in one go; then those who write them have a turn.
const BURST: usize = 256;

/// Time between two frames of levels: 30 a second.
const LEVELS_PERIOD: Duration = Duration::from_micros(33_333);

/// Frames of levels between two snapshots when nothing changes.
const SNAPSHOT_EVERY: u32 = 30;

struct Subscriber {
    id: u64,
    wants: Subscription,
    outbox: Outbox,
}

/// Work on the disk, one at a time in each lane: it may hang, and what hangs must not pile up.
#[derive(Clone)]
struct Lanes {
    start: Arc<Semaphore>,
    delete: Arc<Semaphore>,
    plan: Arc<Semaphore>,
    self_test: Arc<Semaphore>,
    volume: Arc<Semaphore>,
    mark: Arc<Semaphore>,
}

/// The service and those who listen to it. One thread serves all of it; the locks are never held across a wait.
#[derive(Clone)]
pub struct Server {
    service: Arc<Mutex<Service>>,
    subscribers: Arc<Mutex<Vec<Subscriber>>>,
    lanes: Lanes,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("subscribers", &lock(&self.subscribers).len()).finish()
    }
}

impl Server {
    /// A server of this service.
    pub fn new(service: Service) -> Self {
        let lane = || Arc::new(Semaphore::new(1));
        Self {
            service: Arc::new(Mutex::new(service)),
            subscribers: Arc::default(),
            lanes: Lanes {
                start: lane(),
                delete: lane(),
                plan: lane(),
                self_test: lane(),
                volume: lane(),
                mark: lane(),
            },
        }
    }

    /// The service, for a moment.
    pub fn with<T>(&self, work: impl FnOnce(&mut Service) -> T) -> T {
        work(&mut lock(&self.service))
    }

    /// Takes connections, for ever.
    pub async fn accept(&self, listener: UnixListener) {
        let places = Arc::new(Semaphore::new(MAX_CLIENTS));
        let refusals = Arc::new(Semaphore::new(MAX_REFUSED));
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
            let place = authorise(&stream, &listener).and_then(|()| {
                Arc::clone(&places).try_acquire_owned().map_err(|_| Refusal {
                    kind: RefusalKind::Conflict,
                    detail: format!(
                        "{MAX_CLIENTS} clients are connected to the engine already; end one of them"
                    ),
                })
            });
            let place = match place {
                Ok(place) => place,
                Err(refusal) => {
                    tracing::warn!(why = refusal.detail, "a client was turned away");
                    if let Ok(refusing) = Arc::clone(&refusals).try_acquire_owned() {
                        tokio::spawn(async move {
                            let _refusing = refusing;
                            turn_away(stream, refusal).await;
                        });
                    }
                    continue;
                }
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
                service.watch_network();
                if due {
                    service.reconcile();
                }
                service.news(due)
            });
            if due {
                since_snapshot = 0;
            }
            for (n, event) in news.into_iter().enumerate() {
                if n % BURST == BURST - 1 {
                    tokio::task::yield_now().await;
                }
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
        let kind = kind_of(&event);
        let Some(bytes) = encode(&ServerFrame::Event(event)) else { return };
        subscribers.retain(|subscriber| {
            let sent = !wanted(&subscriber.wants) || subscriber.outbox.push(kind, Arc::clone(&bytes));
            if !sent {
                tracing::warn!(client = subscriber.id, "a client does not read and is disconnected");
            }
            sent
        });
    }

    async fn serve(&self, id: u64, stream: UnixStream) -> Result<(), String> {
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
        let outbox = Outbox::default();
        let hello = ServerFrame::Hello { version: VERSION, engine: env!("CARGO_PKG_VERSION").to_owned() };
        send(&outbox, Kind::News, &hello)?;
        // Whichever ends first ends the connection: the client leaves, takes nothing, or is too far behind.
        tokio::select! {
            ended = self.listen_to(id, &mut reader, &outbox) => ended,
            ended = write_out(&mut writer, &outbox) => ended,
            () = outbox.overrun() => Err("it does not read".to_owned()),
        }
    }

    async fn listen_to(
        &self,
        client: u64,
        reader: &mut OwnedReadHalf,
        outbox: &Outbox,
    ) -> Result<(), String> {
        loop {
            // Who asks and does not listen is not asked for more.
            outbox.room().await;
            let ClientFrame::Request { id, request } = read_frame(reader, MAX_BODY).await? else {
                return Err("a second hello came".to_owned());
            };
            if let Request::Subscribe(wants) = request {
                self.subscribe(client, wants, outbox);
                answer(outbox, id, Reply::Done)?;
                if wants.state {
                    let snapshot = self.with(Service::snapshot);
                    let snapshot = ServerFrame::Event(Event::Snapshot(Box::new(snapshot)));
                    send(outbox, Kind::Snapshot, &snapshot)?;
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
                Answer::OnDisk(work) => self.on_disk(work).await,
            };
            answer(outbox, id, reply)?;
        }
    }

    /// Asks the disk on a thread that may hang, then goes on here.
    async fn on_disk(&self, work: DiskWork) -> Reply {
        let DiskWork { lane, ask, late } = work;
        let lane = match lane {
            Lane::Start => &self.lanes.start,
            Lane::Delete => &self.lanes.delete,
            Lane::Plan => &self.lanes.plan,
            Lane::SelfTest => &self.lanes.self_test,
            Lane::Volume => &self.lanes.volume,
            Lane::Mark => &self.lanes.mark,
        };
        let asked = async {
            let alone = Arc::clone(lane).acquire_owned().await.ok()?;
            let ask = move || {
                let _alone = alone;
                ask()
            };
            tokio::task::spawn_blocking(ask).await.ok()
        };
        match tokio::time::timeout(DISK_PATIENCE, asked).await {
            Ok(Some(then)) => self.with(then),
            _ => Reply::Refused(Refusal { kind: RefusalKind::Failed, detail: late.to_owned() }),
        }
    }

    fn subscribe(&self, id: u64, wants: Subscription, outbox: &Outbox) {
        outbox.forget(|kind| match kind {
            Kind::News => false,
            Kind::Snapshot => !wants.state,
            Kind::Levels => !wants.levels,
        });
        let mut subscribers = lock(&self.subscribers);
        subscribers.retain(|subscriber| subscriber.id != id);
        if wants != Subscription::default() {
            subscribers.push(Subscriber { id, wants, outbox: outbox.clone() });
        }
    }
}

fn kind_of(event: &Event) -> Kind {
    match event {
        Event::Levels(_) => Kind::Levels,
        Event::Snapshot(_) => Kind::Snapshot,
        Event::Recorder { .. } | Event::Gap { .. } => Kind::News,
    }
}

/// Queues a frame. No room means that the client does not read.
fn send(outbox: &Outbox, kind: Kind, frame: &ServerFrame) -> Result<(), String> {
    let bytes = encode(frame).ok_or("what it shall be told is longer than a frame")?;
    if outbox.push(kind, bytes) { Ok(()) } else { Err("it does not read".to_owned()) }
}

/// Queues a reply. One that is longer than a frame becomes a refusal that says so.
fn answer(outbox: &Outbox, id: u32, reply: Reply) -> Result<(), String> {
    let frame = ServerFrame::Reply { id, reply };
    let Some(bytes) = encode(&frame) else {
        let detail =
            "the answer is longer than a frame of the protocol; shorten names, or ask for less at once";
        let reply = Reply::Refused(Refusal { kind: RefusalKind::Failed, detail: detail.to_owned() });
        return send(outbox, Kind::News, &ServerFrame::Reply { id, reply });
    };
    if outbox.push(Kind::News, bytes) { Ok(()) } else { Err("it does not read".to_owned()) }
}

/// Tells a client why it is refused. Its hello is read first, or the kernel would drop what is written.
async fn turn_away(stream: UnixStream, refusal: Refusal) {
    let (mut reader, mut writer) = stream.into_split();
    let told = async {
        let _ = read_frame(&mut reader, MAX_HELLO).await;
        let bytes = encode(&ServerFrame::Refused(refusal)).unwrap_or_default();
        let _ = writer.write_all(&bytes).await;
    };
    // It is disconnected whether or not it hears why.
    let _ = tokio::time::timeout(PATIENCE, told).await;
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

/// Writes what waits, as long as the client takes some of it now and then.
async fn write_out(writer: &mut OwnedWriteHalf, outbox: &Outbox) -> Result<(), String> {
    loop {
        let frame = outbox.next().await;
        let mut rest = &frame[..];
        while !rest.is_empty() {
            let written = tokio::time::timeout(PATIENCE, writer.write(rest)).await;
            let written = written.map_err(|_| "it does not read".to_owned())?;
            match written {
                Ok(0) => return Err("the connection ended".to_owned()),
                Ok(count) => rest = &rest[count..],
                Err(error) => return Err(format!("the connection ended: {error}")),
            }
        }
    }
}

fn encode(frame: &ServerFrame) -> Option<Bytes> {
    let mut bytes = Vec::new();
    frame::encode(frame, &mut bytes)
        .map_err(|error| tracing::error!(%error, "a frame could not be made"))
        .ok()?;
    Some(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_that_does_not_fit_becomes_a_refusal() {
        let outbox = Outbox::default();
        let path = "x".repeat(MAX_BODY);
        let reply = Reply::Deleted(vec![audyn_api::DeletedFile { path, refused: None }]);
        answer(&outbox, 7, reply).unwrap();
        let told: ServerFrame = frame::decode_body(&outbox.next().await[4..]).unwrap();
        let ServerFrame::Reply { id: 7, reply: Reply::Refused(refusal) } = told else { panic!("{told:?}") };
        assert_eq!(refusal.kind, RefusalKind::Failed);
    }

    #[tokio::test]
    async fn a_plan_and_a_deletion_do_not_wait_for_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let archive_root = dir.path().join("archive").to_string_lossy().into_owned();
        let global = audyn_api::GlobalConfig { archive_root, fifo_priority: 0, ..Default::default() };
        let store = crate::ConfigStore::open(&dir.path().join("state"), global).unwrap();
        let server = Server::new(Service::start(store).unwrap());
        let on_disk = |request: Request| match server.with(|service| service.answer(request)) {
            Answer::OnDisk(work) => work,
            other => panic!("{other:?}"),
        };
        let plan = || on_disk(Request::RetentionPlan(audyn_api::ProposedLimits::default()));
        let delete =
            || on_disk(Request::DeleteRecordings { paths: vec![], who: "anna".to_owned(), meant: vec![] });
        // Each in turn does not come to an end while the other one is asked.
        for (long, short) in [(delete(), plan()), (plan(), delete())] {
            let (begun, has_begun) = tokio::sync::oneshot::channel();
            let (end, ended) = std::sync::mpsc::channel::<()>();
            let ask = long.ask;
            let ask = move || -> crate::service::Then {
                begun.send(()).unwrap();
                let _ = ended.recv();
                ask()
            };
            let long = DiskWork { ask: Box::new(ask), ..long };
            let of_long = server.clone();
            let long = tokio::spawn(async move { of_long.on_disk(long).await });
            has_begun.await.unwrap();
            let told = server.on_disk(short).await;
            assert!(matches!(told, Reply::RetentionPlan(_) | Reply::Deleted(_)), "{told:?}");
            drop(end);
            let told = long.await.unwrap();
            assert!(matches!(told, Reply::RetentionPlan(_) | Reply::Deleted(_)), "{told:?}");
        }
    }
}
