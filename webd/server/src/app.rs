//! The router: which address leads where. Everything that a route needs is in [`App`].

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{Method, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::trace::TraceLayer;

use crate::assets::Stats;
use crate::engine::Engine;
use crate::error::Error;
use crate::extract::MAX_BODY;
use crate::options::DEFAULT_IMAGE_REPORT;
use crate::page::{self, Lookup};
use crate::{assets, control, flows, guard, levels, markers, metrics, recorders, retention, system, volumes};

/// So many read markers at once; each may read a day of ledgers and peaks.
const MARKER_READS: usize = 2;

/// What all routes share. Clones share it.
#[derive(Debug, Clone)]
pub struct App {
    /// The engine.
    pub engine: Engine,
    /// Cancelled when the server stops; open WebSockets close then.
    pub stop: CancellationToken,
    /// Where the page's files come from.
    pub page: Lookup,
    /// What the image's boot says of it; there is none where this is no appliance.
    pub image_report: PathBuf,
    /// How long a WebSocket may take to accept one message before it is dropped.
    pub socket_patience: Duration,
    /// How long a client may take to send a body, however it drips.
    pub body_patience: Duration,
    pub(crate) sockets: Arc<AtomicUsize>,
    /// Turns to read markers.
    pub(crate) marker_reads: Arc<Semaphore>,
    pub(crate) stats: Arc<tokio::sync::Mutex<Option<Stats>>>,
}

impl App {
    /// The application of this engine, with the page that was built in.
    pub fn new(engine: Engine) -> Self {
        Self {
            engine,
            stop: CancellationToken::new(),
            page: page::embedded,
            image_report: DEFAULT_IMAGE_REPORT.into(),
            socket_patience: Duration::from_secs(5),
            body_patience: Duration::from_secs(15),
            sockets: Arc::default(),
            marker_reads: Arc::new(Semaphore::new(MARKER_READS)),
            stats: Arc::default(),
        }
    }

    /// WebSockets open now.
    pub fn open_sockets(&self) -> usize {
        self.sockets.load(Ordering::Relaxed)
    }

    /// All routes.
    pub fn router(&self) -> Router {
        let routes = Router::new();
        let routes = recorders::add_routes(routes);
        let routes = markers::add_routes(routes);
        let routes = retention::add_routes(routes);
        let routes = control::add_routes(routes);
        let routes = assets::add_routes(routes);
        let routes = levels::add_routes(routes);
        let routes = system::add_routes(routes);
        let routes = volumes::add_routes(routes);
        let routes = flows::add_routes(routes);
        let routes = metrics::add_routes(routes);
        routes
            .fallback(fallback)
            .method_not_allowed_fallback(async |method: Method| Error::Method(method.to_string()))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .layer(axum::middleware::from_fn(guard::guard))
            // Each error logs its own reason where it becomes an answer.
            .layer(TraceLayer::new_for_http().on_failure(()))
            .with_state(self.clone())
    }
}

/// Adds a route with and without a slash at its end, since clients of both habits exist.
pub(crate) fn both(routes: Router<App>, path: &str, methods: MethodRouter<App>) -> Router<App> {
    routes.route(&format!("{path}/"), methods.clone()).route(path, methods)
}

async fn fallback(State(app): State<App>, method: Method, uri: Uri, request: Request) -> Response {
    let path = uri.path();
    let of_programs = ["/api", "/ws"]
        .iter()
        .any(|root| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    if of_programs {
        return Error::NotFound(format!("there is nothing at {path}")).into_response();
    }
    if method != Method::GET && method != Method::HEAD {
        return Error::Method(method.to_string()).into_response();
    }
    page::serve(app.page, path, request.headers())
}
