//! Many clients that want nothing, and the one that does.

use std::net::SocketAddr;
use std::time::Duration;

use audyn_webd::seats::{Limits, Seats};
use audyn_webd::serve;
use axum::body::Body;
use axum::http::Method;
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::common::{Harness, in_time};
use crate::system::{activated, ask, listener};

async fn unfinished(at: SocketAddr) -> TcpStream {
    let mut stream = in_time(TcpStream::connect(at)).await.unwrap();
    // One that was turned away already may refuse it.
    let _ =
        stream.write_all(b"POST /api/recorders/start-all HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Le").await;
    stream
}

/// The program as the box starts it, with fewer descriptors than there are clients.
#[tokio::test]
async fn two_thousand_requests_that_never_end_do_not_keep_the_health_check_out() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most.min(8_192), most).unwrap(); // for our end of them
    let ((one, first), (two, second)) = (listener("127.0.0.1:0"), listener("[::1]:0"));
    let _server = activated(one, two, &[]);
    in_time(ask(first, "127.0.0.1")).await;
    let mut held = Vec::new();
    for n in 0..2_000 {
        held.push(unfinished(if n % 2 == 0 { first } else { second }).await);
    }
    for at in [first, second] {
        let told = in_time(ask(at, "127.0.0.1")).await;
        assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    }
    for gone in &mut held[..1_700] {
        let mut rest = Vec::new();
        let _ = in_time(gone.read_to_end(&mut rest)).await; // an end or a reset, and no answer
        assert_eq!(rest, b"");
    }
}

#[tokio::test]
async fn meters_stay_open_while_a_crowd_comes_and_goes() {
    let harness = Harness::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let seats = Seats::new(Limits { connections: 4, head: Duration::from_secs(1_000_000) });
    tokio::spawn(serve::serve(listener, harness.app.router(), seats.clone(), harness.app.stop.clone()));
    let (mut meters, _) =
        in_time(tokio_tungstenite::connect_async(format!("ws://{at}/ws/levels"))).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(unfinished(at).await);
    }
    let told = in_time(ask(at, "127.0.0.1")).await;
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    assert!(seats.taken() <= 4);
    harness.send_levels(-20.0).await;
    loop {
        let message = in_time(meters.next()).await.unwrap().unwrap();
        if message.to_text().is_ok_and(|text| text.contains("all_levels")) {
            break;
        }
    }
    drop(meters);
    // Who holds a seat may still end its request: the guard answers.
    let last = held.last_mut().unwrap();
    last.write_all(b"ngth: 0\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    in_time(last.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let mut harness = Harness::new().await;
    harness.app.body_patience = Duration::from_millis(1);
    for (method, path) in
        [(Method::PUT, "/api/recorders/r1/config"), (Method::POST, "/api/assets/delete-bulk")]
    {
        let never = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        let problem = harness.send(method, path, &[], Body::from_stream(never)).await.problem(408);
        assert!(problem["detail"].as_str().unwrap().contains("did not come whole"), "{problem}");
    }
    assert!(harness.state.lock().unwrap().asked.is_empty());
}
