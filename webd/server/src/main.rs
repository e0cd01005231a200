//! `audyn-webd`: starts the server of the library and stops it when told to.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use audyn_webd::app::App;
use audyn_webd::engine::Engine;
use audyn_webd::options::Options;
use clap::Parser;
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// How long open downloads may go on after the signal to stop.
const LAST_BYTES: Duration = Duration::from_secs(5);

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let options = Options::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
    match run(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("audyn-webd: {sentence}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), String> {
    let listener = TcpListener::bind(options.listen).await.map_err(|error| {
        format!(
            "cannot listen on {}: {error}; choose another --listen, or stop what listens there",
            options.listen
        )
    })?;
    let address =
        listener.local_addr().map_err(|error| format!("the listening socket has no address: {error}"))?;
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|error| format!("cannot wait for SIGTERM: {error}"))?;
    let engine = Engine::new(&options.engine_socket);
    tokio::spawn(engine.clone().follow());
    let app = App::new(engine);
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
    tracing::info!("open http://{address}/");
    tell(&[NotifyState::Ready]);

    let server = axum::serve(listener, app.router()).with_graceful_shutdown(stop.clone().cancelled_owned());
    let result = tokio::select! {
        result = async { server.await } => result,
        () = async { stop.cancelled().await; tokio::time::sleep(LAST_BYTES).await } => Ok(()),
    };
    tell(&[NotifyState::Stopping]);
    result.map_err(|error| format!("the server failed: {error}"))
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
