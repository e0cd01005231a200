//! What the box says of its image, and the sockets that systemd opens.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{Harness, in_time};

fn report() -> Value {
    json!({
        "name": "audyn-1a2b3c", "board": "x86_64-efi", "version": "1.2.0", "kind": "lab", "slot": "A", "trial": false, "health": "good",
        "recordings": { "disk": "own", "why": "missing", "name": "51 GB, Spinning Rust" },
        "fallback": {
            "slot": "B", "version": "1.3.0", "tries": 3, "reason": "the engine did not pass its self-test",
            "at": "2026-01-10T14:30:00Z",
        },
        "alarms": ["the state partition could not be mounted"],
    })
}

async fn harness() -> (Harness, std::path::PathBuf) {
    let mut harness = Harness::new().await;
    let path = harness.dir.path().join("image.json");
    harness.app.image_report.clone_from(&path);
    (harness, path)
}

#[tokio::test]
async fn the_report_is_passed_on_field_for_field() {
    let (harness, path) = harness().await;
    let mut quiet = report();
    quiet["fallback"] = Value::Null;
    quiet["alarms"] = json!([]);
    quiet["recordings"] = Value::Null;
    quiet["trial"] = json!(true);
    quiet["health"] = json!("pending");
    for report in [report(), quiet] {
        std::fs::write(&path, report.to_string()).unwrap();
        for address in ["/api/system/image", "/api/system/image/"] {
            let answer = harness.get(address).await;
            let mut told = answer.json();
            let up = told.as_object_mut().unwrap().remove("up_seconds").unwrap();
            assert!(up.as_u64().is_some_and(|up| up > 0), "{up}");
            assert_eq!((answer.status.as_u16(), told), (200, report.clone()));
        }
    }
}

#[tokio::test]
async fn a_machine_without_an_image_says_so() {
    let (harness, _) = harness().await;
    let problem = harness.get("/api/system/image").await.problem(404);
    assert!(problem["detail"].as_str().unwrap().contains("does not run an image of Audyn's"), "{problem}");
}

#[tokio::test]
async fn a_report_that_is_not_one_is_the_servers_fault_and_named() {
    let (harness, path) = harness().await;
    let with = |name: &str, value: Value| {
        let mut report = report();
        report[name] = value;
        report.to_string()
    };
    let mut without = report();
    without.as_object_mut().unwrap().remove("fallback");
    for (text, named) in [
        (String::new(), "EOF"),
        ("{}".to_owned(), "name"),
        (without.to_string(), "fallback"),
        (with("kind", json!("release2")), "kind"),
        (with("slot", json!("C")), "slot"),
        (with("trial", json!("yes")), "trial"),
        (with("healthy", json!(true)), "healthy"),
        (with("alarms", json!("fire")), "alarms"),
        (with("fallback", json!({"slot": "B"})), "fallback"),
        (with("name", Value::Null), "name"),
        (with("recordings", json!({"disk": "third", "why": "only", "name": ""})), "recordings.disk"),
        (with("recordings", json!({"disk": "own", "why": "so", "name": ""})), "recordings.why"),
        (format!("{} x", report()), "trailing"),
        (" ".repeat(70_000), "longer"),
    ] {
        std::fs::write(&path, &text).unwrap();
        let problem = harness.get("/api/system/image").await.problem(500);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(named) && detail.contains("image.json"), "{named}: {detail}");
    }
    let mut wrong = report();
    wrong["fallback"]["at"] = json!("yesterday");
    std::fs::write(&path, wrong.to_string()).unwrap();
    let problem = harness.get("/api/system/image").await.problem(500);
    assert!(problem["detail"].as_str().unwrap().contains("fallback.at"), "{problem}");
}

pub(crate) struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The server as systemd starts it: these sockets are its descriptors 3 and 4.
pub(crate) fn activated(one: TcpListener, two: TcpListener, more: &[&str]) -> Server {
    let script = "ulimit -Sn 1024; exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" \"$@\"";
    let server = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_audyn-webd"), "--engine-socket", "/nonexistent/engine.sock"])
        .args(more)
        .stdin(Stdio::from(OwnedFd::from(one)))
        .stdout(Stdio::from(OwnedFd::from(two)))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Server(server)
}

/// Asks with a `Host` of the asker's choice; the whole answer.
pub(crate) async fn ask(at: SocketAddr, host: &str) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request = format!("GET /api/control/status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

pub(crate) fn listener(at: &str) -> (TcpListener, SocketAddr) {
    // A machine without IPv6 has another loopback address to test with.
    let socket = TcpListener::bind(at).or_else(|_| TcpListener::bind("127.0.0.2:0")).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[tokio::test]
async fn passed_sockets_are_served_and_a_tunnel_with_another_port_reaches_them() {
    let ((one, first), (two, second)) = (listener("127.0.0.1:0"), listener("[::1]:0"));
    let _server = activated(one, two, &[]);
    for at in [first, second] {
        let told = in_time(ask(at, &at.to_string())).await;
        assert!(told.starts_with("HTTP/1.1 200") && told.contains(r#""connected":false"#), "{told}");
        // The browser is at the tunnel's end and names that.
        for host in ["127.0.0.1:18080", "localhost:18080", "[::1]:18080", "127.0.0.1"] {
            let told = in_time(ask(at, host)).await;
            assert!(told.starts_with("HTTP/1.1 200"), "{host}: {told}");
        }
        let told = in_time(ask(at, "audyn.example:18080")).await;
        assert!(told.starts_with("HTTP/1.1 421"), "{told}");
    }
}

#[test]
fn a_socket_that_others_reach_and_listen_beside_sockets_are_refused() {
    for (at, more, why) in [
        ("0.0.0.0:0", &[][..], "no accounts yet"),
        ("127.0.0.1:0", &["--listen", "127.0.0.1:8080"], "would be ignored"),
    ] {
        let ((one, _), (two, _)) = (listener("127.0.0.1:0"), listener(at));
        let mut server = activated(one, two, more);
        assert_eq!(server.0.wait().unwrap().code(), Some(1));
        let mut told = String::new();
        std::io::Read::read_to_string(&mut server.0.stderr.take().unwrap(), &mut told).unwrap();
        assert!(told.starts_with("audyn-webd: ") && told.contains(why), "{told}");
    }
}
