//! `audyn-webd`: starts the server of the library and stops it when told to.

use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::time::Duration;

use audyn_webd::app::App;
use audyn_webd::engine::Engine;
use audyn_webd::options::Options;
use audyn_webd::seats::{Limits, Seats};
use audyn_webd::serve::serve;
use audyn_webd::{listeners, log};
use clap::Parser;
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinError, JoinSet};

/// How long open downloads may go on after the signal to stop.
const LAST_BYTES: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let options = Options::parse();
    // Before anything is opened that could take their numbers.
    let passed = listeners::passed();
    log::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = passed.and_then(|passed| {
        let runtime =
            runtime.map_err(|error| format!("no threads could be started: {error}; free memory"))?;
        runtime.block_on(run(&options, passed))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("audyn-webd: {sentence}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options, passed: Vec<OwnedFd>) -> Result<(), String> {
    let mut sockets = Vec::new();
    for socket in listeners::open(passed, options.listen)? {
        let socket = TcpListener::from_std(socket)
            .map_err(|error| format!("a listening socket cannot be waited for: {error}"))?;
        let address =
            socket.local_addr().map_err(|error| format!("a listening socket has no address: {error}"))?;
        sockets.push((socket, address));
    }
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|error| format!("cannot wait for SIGTERM: {error}"))?;
    let engine = Engine::new(&options.engine_socket);
    tokio::spawn(engine.clone().follow());
    let mut app = App::new(engine);
    app.image_report.clone_from(&options.image_report);
    let stop = app.stop.clone();
    tokio::spawn({
        let stop = stop.clone();
        async move {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            stop.cancel();
        }
    });
    tokio::spawn(feed_watchdog());
    let router = app.router();
    let seats = Seats::new(Limits::default());
    let mut servers = JoinSet::new();
    for (socket, address) in sockets {
        tracing::info!("open http://{address}/");
        servers.spawn(serve(socket, router.clone(), seats.clone(), stop.clone()));
    }
    tell(&[NotifyState::Ready]);

    let result = tokio::select! {
        result = all_of(&mut servers) => result,
        () = async { stop.cancelled().await; tokio::time::sleep(LAST_BYTES).await } => Ok(()),
    };
    tell(&[NotifyState::Stopping]);
    result.map_err(|error| format!("the server failed: {error}"))
}

/// Waits until all have ended, or one has failed.
async fn all_of(servers: &mut JoinSet<()>) -> Result<(), JoinError> {
    while let Some(ended) = servers.join_next().await {
        ended?;
    }
    Ok(())
}

/// Tells systemd, if it asked, that tasks still get their turn.
async fn feed_watchdog() {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    let mut turns = tokio::time::interval((period / 2).max(Duration::from_millis(1)));
    loop {
        turns.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot notify the service manager");
    }
}
