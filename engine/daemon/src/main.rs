//! `audyn-engine`: captures, records, and is told what to do over its Unix socket.
//!
//! Owns: options, readiness, watchdog and kept sockets towards systemd, the end on SIGTERM. Exit codes: 0 ended as asked, 1 it could not start.
#![forbid(unsafe_code)]

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use audyn_api::GlobalConfig;
use audyn_daemon::server::{Server, listen};
use audyn_daemon::{
    CapturePulse, ConfigStore, EngineError, KeptSockets, Printer, Service, journal, make_head_key,
};
use clap::Parser;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Records AES67 flows around the clock.
///
/// Its configuration is global.json, recorders.json and sources.json in the state directory; they are made on the
/// first start. Clients change it over the socket. head-key.pem beside them signs the heads of chains (`audyn head`); made likewise.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Directory of the configuration.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/audyn/engine")]
    state: PathBuf,
    /// The control socket.
    #[arg(long, value_name = "PATH", default_value = "/run/audyn/engine.sock")]
    socket: PathBuf,
    /// Archive root that a new global.json gets; an absolute path.
    #[arg(long, value_name = "DIR")]
    archive_root: Option<PathBuf>,
    /// A directory on a second volume that a new global.json gets: every recording is written there as well. It has to be there, on another
    /// volume than the archive root; one that fails, fills or is pulled costs the archive nothing, and is recorded to again when it is back.
    #[arg(long, value_name = "DIR")]
    mirror: Option<PathBuf>,
    /// A file in which the machine tells which of its disks it chose for the archive root: a line `volume=NAME`, and `missing=WORDS` if it
    /// is not the one that should be. A volume is remembered for each name, and nothing is written before the file is there.
    #[arg(long, value_name = "FILE")]
    volume_chosen: Option<PathBuf>,
}

/// How long the end waits for a disk that hangs, and for the reader of the log.
const PATIENCE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    // First of all: the manager names them by numbers.
    let kept = KeptSockets::inherit();
    let options = Options::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let socket = journal::has_stderr().then(|| journal::Socket::to(journal::SOCKET.as_ref()).ok()).flatten();
    let journal = socket.is_some();
    // Whoever reads the log may stall or go; that must not reach those who write it.
    let printing = if let Some(socket) = socket {
        let (entries, printing) = Printer::start("audyn-log", socket);
        tracing_subscriber::registry().with(filter).with(journal::Journal::new(entries)).init();
        printing
    } else {
        let (log, printing) = Printer::start("audyn-log", std::io::stderr());
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(move || log.clone())
            .init();
        printing
    };
    let (last, code) = match run(&options, kept) {
        Ok(()) => (String::new(), ExitCode::SUCCESS),
        Err(error) if journal => {
            (journal::entry(tracing::Level::ERROR, &error.to_string()), ExitCode::FAILURE)
        }
        Err(error) => (format!("audyn-engine: {error}\n"), ExitCode::FAILURE),
    };
    printing.finish(last, PATIENCE);
    code
}

fn run(options: &Options, kept: KeptSockets) -> Result<(), EngineError> {
    let store = open_store(options)?;
    make_head_key(&options.state);
    // What serves clients runs on this one thread; samples move on threads of their own, and so do questions to the disk.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| audyn_sys::SysError::Thread { source })?;
    runtime.block_on(async {
        // The socket first: where it cannot be, nothing is started.
        let listener = listen(&options.socket)?;
        let server = Server::new(Service::start_with(store, kept, options.volume_chosen.clone())?);
        let mut terminate =
            signal(SignalKind::terminate()).map_err(|source| audyn_sys::SysError::Thread { source })?;
        watchdog(server.with(|service| service.capture_pulse()))?;
        tracing::info!(socket = %options.socket.display(), state = %options.state.display(), "ready");
        notify(NotifyState::Ready);
        tokio::select! {
            () = server.accept(listener) => {}
            () = server.publish() => {}
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        notify(NotifyState::Stopping);
        tracing::info!("ending; open files are closed");
        Ok::<(), EngineError>(())
    })?;
    // Dropping the runtime has dropped the connections and with them the service: every file is closed.
    // A deletion that hangs with its volume keeps nothing open.
    runtime.shutdown_timeout(PATIENCE);
    // Nobody is left to answer. A socket that stays is replaced by the next engine.
    let _ = std::fs::remove_file(&options.socket);
    Ok(())
}

fn open_store(options: &Options) -> Result<ConfigStore, EngineError> {
    let mut first = GlobalConfig::default();
    if let Some(root) = &options.archive_root {
        first.archive_root = root.to_string_lossy().into_owned();
    }
    first.mirror = options.mirror.as_ref().map(|mirror| mirror.to_string_lossy().into_owned());
    let (wanted, mirror) = (first.archive_root.clone(), first.mirror.clone());
    let store = ConfigStore::open(&options.state, first)?;
    let kept = &store.document().global.mirror;
    if let Some(mirror) = mirror.filter(|mirror| kept.as_ref() != Some(mirror)) {
        let path = options.state.join("global.json");
        let says = kept.as_ref().map_or("names none".to_owned(), |kept| format!("says {kept}"));
        return Err(EngineError::Invalid(format!(
            "--mirror {mirror} is for a new configuration, but {} {says}; change it there, or leave the option out",
            path.display()
        )));
    }
    let stored = &store.document().global.archive_root;
    if options.archive_root.is_some() && *stored != wanted {
        return Err(EngineError::Invalid(format!(
            "--archive-root {wanted} is for a new configuration, but {} says {stored}; change it there, or leave the \
             option out",
            options.state.join("global.json").display()
        )));
    }
    Ok(store)
}

/// Feeds systemd's watchdog as long as the capture loop turns, from a thread that asks for nothing else: a hung disk is no
/// reason to end a capture that goes on. A silent network turns it too.
fn watchdog(pulse: CapturePulse) -> Result<(), EngineError> {
    let Some(timeout) = sd_notify::watchdog_enabled() else { return Ok(()) };
    let period = (timeout / 3).max(Duration::from_millis(10));
    let feed = move || {
        let mut before = None;
        loop {
            let turns = pulse.turns();
            if before != Some(turns) {
                notify(NotifyState::Watchdog);
            }
            before = Some(turns);
            std::thread::sleep(period);
        }
    };
    let thread = std::thread::Builder::new().name("audyn-watchdog".to_owned()).spawn(feed);
    thread.map(drop).map_err(|source| audyn_sys::SysError::Thread { source }.into())
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd could not be told");
    }
}
