//! The engine as a process of systemd's: what feeds the watchdog.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use audyn_api::client::{Client, ClientError};
use audyn_api::{Reply, Request};
use tokio::net::UnixDatagram;

struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The next message to systemd; the deadline is only there for what will never come.
async fn told(systemd: &UnixDatagram) -> String {
    let mut message = [0; 256];
    let received = tokio::time::timeout(Duration::from_secs(60), systemd.recv(&mut message)).await;
    let length = received.expect("systemd is told something").unwrap();
    String::from_utf8_lossy(&message[..length]).into_owned()
}

#[tokio::test]
async fn a_disk_that_hangs_does_not_starve_the_watchdog() {
    let dir = tempfile::tempdir().unwrap();
    let (state, socket) = (dir.path().join("state"), dir.path().join("engine.sock"));
    let systemd = UnixDatagram::bind(dir.path().join("notify")).unwrap();
    let engine = Command::new(env!("CARGO_BIN_EXE_audyn-engine"))
        .args(["--state", &state.to_string_lossy(), "--socket", &socket.to_string_lossy()])
        .args(["--archive-root", &dir.path().join("archive").to_string_lossy()])
        .env("NOTIFY_SOCKET", dir.path().join("notify"))
        .env("WATCHDOG_USEC", "90000")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _engine = Guard(engine);
    while !told(&systemd).await.contains("READY=1") {}

    // Who opens this to write waits for a reader, as for a volume that does not answer.
    nix::unistd::mkfifo(&state.join("sources.json.new"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut client = Client::connect(&socket, "test").await.unwrap();
    let Reply::Config(config) = client.request(Request::Config).await.unwrap() else {
        panic!("no configuration")
    };
    let source = crate::common::source("desk", crate::common::address(40));
    let put = Request::PutSource { revision: config.revision, source };
    let waiting = tokio::spawn(async move { client.request(put).await });
    for _ in 0..40 {
        assert!(told(&systemd).await.contains("WATCHDOG=1"));
    }
    assert!(!waiting.is_finished(), "the engine hangs on the write");

    let read = tokio::task::spawn_blocking(move || std::fs::read(state.join("sources.json.new")));
    let answer = waiting.await.unwrap();
    assert!(matches!(answer, Err(ClientError::Refused(_))), "{answer:?}");
    read.await.unwrap().unwrap();
}
