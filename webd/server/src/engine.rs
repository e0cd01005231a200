//! The link to the engine: follows its snapshot and levels, and passes commands on.
//!
//! Owns: the connections to the engine's socket and the latest of what it said. Never: an opinion on it.
//!
//! ```text
//!           connected, snapshot and configuration read
//!   Away ────────────────────────────────────────────────▶ Here
//!    ▲ └─ retry, 0.1 s doubling to 2 s                       │
//!    └───────────────────────────────────────────────────────┘
//!           connection broke, or silent for 5 s (the engine sends a snapshot each second)
//! ```

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use audyn_api::client::{Client, ClientError};
use audyn_api::{ConfigDocument, Event, LevelsFrame, RecorderConfig, RecorderSnapshot, Reply, Request};
use audyn_api::{Snapshot, Subscription};
use axum::extract::ws::Utf8Bytes;
use axum::http::StatusCode;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::error::{Error, client_status};

/// How this daemon introduces itself.
const NAME: &str = concat!("audyn-webd ", env!("CARGO_PKG_VERSION"));

/// The engine sends a snapshot each second; after this long without one the connection counts as dead.
const SILENCE: Duration = Duration::from_secs(5);

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(2);

/// Commands under way at once; more wait. Stopping closes files, so one may take seconds.
const COMMANDS: usize = 8;

/// The engine's state with the configuration that it runs on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct View {
    /// What it does.
    pub snapshot: Snapshot,
    /// What it was told.
    pub config: ConfigDocument,
}

impl View {
    /// The recorder of this name.
    pub fn recorder(&self, id: &str) -> Option<&RecorderSnapshot> {
        self.snapshot.recorders.iter().find(|recorder| recorder.id == id)
    }

    /// The configuration of the recorder of this name.
    pub fn recorder_config(&self, id: &str) -> Option<&RecorderConfig> {
        self.config.recorders.iter().find(|recorder| recorder.id.as_str() == id)
    }

    /// Whether this is later than `other`. An engine that started anew counts from the beginning.
    fn is_newer_than(&self, other: &Self) -> bool {
        let (new, old) = (&self.snapshot, &other.snapshot);
        new.started != old.started || new.sequence > old.sequence
    }
}

/// Whether the engine is there.
#[derive(Debug, Clone)]
pub enum Link {
    /// It isn't.
    Away {
        /// What a request that needs it answers.
        status: StatusCode,
        /// Why, in a sentence.
        detail: String,
    },
    /// It is, and this is its latest state.
    Here(Arc<View>),
}

/// One frame of levels, with its JSON made at most once however many browsers look.
#[derive(Debug)]
pub struct Levels {
    /// The levels.
    pub frame: LevelsFrame,
    /// The state at that time, for names.
    pub view: Arc<View>,
    pub(crate) all: OnceLock<Utf8Bytes>,
}

/// The engine as the rest of this daemon sees it. Clones share it.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    socket: PathBuf,
    link: watch::Sender<Link>,
    levels: watch::Sender<Option<Arc<Levels>>>,
    commands: Semaphore,
}

impl Engine {
    /// The engine behind this socket. Nothing happens before [`Engine::follow`] runs.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        let away = Link::Away {
            status: StatusCode::SERVICE_UNAVAILABLE,
            detail: "the engine has not answered yet; try again in a moment".to_owned(),
        };
        Self(Arc::new(Inner {
            socket: socket.into(),
            link: watch::Sender::new(away),
            levels: watch::Sender::new(None),
            commands: Semaphore::new(COMMANDS),
        }))
    }

    /// The latest state, or why there is none.
    pub fn view(&self) -> Result<Arc<View>, Error> {
        match &*self.0.link.borrow() {
            Link::Here(view) => Ok(Arc::clone(view)),
            Link::Away { status, detail } => Err(Error::Away { status: *status, detail: detail.clone() }),
        }
    }

    /// News of the link; each snapshot is one.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.0.link.subscribe()
    }

    /// The latest levels, if the engine has sent any.
    pub fn latest_levels(&self) -> Option<Arc<Levels>> {
        self.0.levels.borrow().clone()
    }

    /// News of the levels, 30 a second; none when the engine goes away.
    pub fn levels(&self) -> watch::Receiver<Option<Arc<Levels>>> {
        self.0.levels.subscribe()
    }

    /// Gives one command, without looking at the state afterwards.
    pub async fn ask(&self, request: Request) -> Result<Reply, Error> {
        let _permit = self.permit().await;
        Ok(self.connect().await?.request(request).await?)
    }

    /// Gives one command and returns the state after it, which everybody else sees from then on too.
    pub async fn change(&self, request: Request) -> Result<Arc<View>, Error> {
        let _permit = self.permit().await;
        let mut client = self.connect().await?;
        match client.request(request).await? {
            Reply::Done | Reply::Changed { .. } => {}
            _ => return Err(Error::Unexpected),
        }
        let view = Arc::new(read_view(&mut client).await?);
        self.publish(&view, false);
        Ok(view)
    }

    /// Reads the configuration as it stands at this instant.
    pub async fn config(&self) -> Result<ConfigDocument, Error> {
        match self.ask(Request::Config).await? {
            Reply::Config(config) => Ok(*config),
            _ => Err(Error::Unexpected),
        }
    }

    async fn connect(&self) -> Result<Client, ClientError> {
        connect(&self.0.socket).await
    }

    async fn permit(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.0.commands.acquire().await.ok() // never closed
    }

    /// Follows the engine for ever, connecting again whenever it must. Run it once.
    pub async fn follow(self) {
        let mut wait = FIRST_RETRY;
        let mut told = String::new();
        loop {
            let error = match self.follow_once(&mut wait).await {
                Ok(never) => match never {},
                Err(error) => error,
            };
            let detail = error.to_string();
            if told != detail {
                tracing::warn!(%detail, "the engine is away");
                told.clone_from(&detail);
            }
            self.0.link.send_replace(Link::Away { status: client_status(&error), detail });
            self.0.levels.send_replace(None);
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LAST_RETRY);
        }
    }

    async fn follow_once(&self, wait: &mut Duration) -> Result<std::convert::Infallible, ClientError> {
        let mut client = self.connect().await?;
        client.request(Request::Subscribe(Subscription { levels: true, state: true })).await?;
        let mut view = Arc::new(read_view(&mut client).await?);
        self.publish(&view, true);
        *wait = FIRST_RETRY;
        tracing::info!(engine = client.engine_version(), "connected to the engine");
        loop {
            match timeout(SILENCE, client.next_event()).await.map_err(|_| ClientError::Silent)?? {
                Event::Levels(frame) => {
                    let levels = Levels { frame, view: Arc::clone(&view), all: OnceLock::new() };
                    self.0.levels.send_replace(Some(Arc::new(levels)));
                }
                Event::Snapshot(snapshot) => {
                    let config = if snapshot.config_revision == view.config.revision {
                        view.config.clone()
                    } else {
                        read_config(&mut client).await?
                    };
                    view = Arc::new(View { snapshot: *snapshot, config });
                    self.publish(&view, false);
                }
                // The snapshot that comes with each of these says the same and more.
                Event::Recorder { id, state } => tracing::debug!(%id, ?state, "a recorder's state changed"),
                // A disturbed network makes thousands of gaps a minute; they stand in the ledger, and must not fill the journal.
                Event::Gap { id, gap } => tracing::debug!(%id, ?gap, "a gap in a recording"),
            }
        }
    }

    /// Publishes a state unless a later one is known. `anew` is for the first one of a connection, which counts
    /// whatever was known before; only that one ends an absence.
    fn publish(&self, view: &Arc<View>, anew: bool) {
        self.0.link.send_if_modified(|link| {
            let take = anew || matches!(link, Link::Here(known) if view.is_newer_than(known));
            if take {
                *link = Link::Here(Arc::clone(view));
            }
            take
        });
    }
}

async fn connect(socket: &Path) -> Result<Client, ClientError> {
    timeout(SILENCE, Client::connect(socket, NAME)).await.map_err(|_| ClientError::Silent)?
}

async fn read_view(client: &mut Client) -> Result<View, ClientError> {
    let Reply::Snapshot(snapshot) = client.request(Request::Snapshot).await? else {
        return Err(ClientError::Unexpected);
    };
    let config = read_config(client).await?;
    Ok(View { snapshot: *snapshot, config })
}

async fn read_config(client: &mut Client) -> Result<ConfigDocument, ClientError> {
    match client.request(Request::Config).await? {
        Reply::Config(config) => Ok(*config),
        _ => Err(ClientError::Unexpected),
    }
}
