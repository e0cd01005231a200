//! The engine without the rights that it would like: it says which are missing, and captures.

use std::process::{Child, Command, Stdio};

use audyn_api::client::Client;
use audyn_api::{Reply, Request};

struct Ours(Child);

impl Drop for Ours {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn what_is_missing_is_said_and_capture_runs() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let root = nix::unistd::geteuid().is_root();
    let mut words = vec!["prlimit", "--rtprio=0:0", "--memlock=1048576:1048576"];
    if root {
        words.extend(["setpriv", "--bounding-set=-sys_nice,-ipc_lock"]);
    }
    let engine = Command::new(words[0])
        .args(&words[1..])
        .arg(env!("CARGO_BIN_EXE_audyn-engine"))
        .args(["--state", &dir.path().join("state").to_string_lossy(), "--socket", &socket.to_string_lossy()])
        .args(["--archive-root", &dir.path().join("archive").to_string_lossy()])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut engine = Ours(engine);
    crate::common::until("the engine listens", || {
        assert!(engine.0.try_wait().unwrap().is_none(), "it runs on");
        socket.exists()
    });
    let mut client = Client::connect(&socket, "test").await.unwrap();
    loop {
        let Reply::Snapshot(snapshot) = client.request(Request::Snapshot).await.unwrap() else {
            panic!("no snapshot")
        };
        let said = snapshot.warnings.join("\n");
        assert!(said.contains("CAP_SYS_NICE") && said.contains("LimitRTPRIO="), "{said}");
        assert!(said.contains("CAP_IPC_LOCK") && said.contains("LimitMEMLOCK="), "{said}");
        assert!(!snapshot.capture.realtime);
        if snapshot.capture.turns > 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}
