//! From a listening socket to answers: accepts, seats, and lets HTTP/1.1 be spoken.
//!
//! Owns: what a connection's end depends on: its seat ([`Seats`]), and the server's own end. Never: a route.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Response, StatusCode};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::seats::{InHand, Seat, Seated, Seats};

/// Bytes of a request's head, and of an answer that waits to be sent, at most.
const BUFFER: usize = 64 * 1024;

/// Serves `router` until `stop`, then ends when the last request is answered.
pub async fn serve(listener: TcpListener, router: Router, seats: Seats, stop: CancellationToken) {
    let mut open = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = open.join_next() => continue,
            stream = accept(&listener) => stream,
        };
        let seat = tokio::select! {
            () = stop.cancelled() => break,
            seat = seats.sit() => seat,
        };
        open.spawn(speak(stream, seat, router.clone(), stop.clone()));
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

async fn accept(listener: &TcpListener) -> TcpStream {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // It left before its turn came.
            Err(error) if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) => {
            }
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted; tried again in a second");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// One connection, from its first request to its end.
async fn speak<S>(stream: S, seat: Seat, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (gives_way, too_long, asks) = (seat.gives_way(), seat.too_long(), seat.asks());
    let service = service_fn(move |request| answer(router.clone(), request, asks.begin()));
    let connection = http1::Builder::new()
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(Seated::new(stream, seat)), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        // A route that is at work asks nothing of the stream, which would end it otherwise.
        () = gives_way.cancelled() => return,
        () = too_long => return,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn answer(
    router: Router,
    request: Request<Incoming>,
    in_hand: InHand,
) -> Result<Response<Answer>, Infallible> {
    let response = router.oneshot(request.map(Body::new)).await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        in_hand.for_good();
        return Ok(response.map(|body| Answer { body, _in_hand: None }));
    }
    Ok(response.map(|body| Answer { body, _in_hand: Some(in_hand) }))
}

/// The body of an answer; while it lives, the request is in hand.
struct Answer {
    body: Body,
    _in_hand: Option<InHand>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        HttpBody::size_hint(&self.body)
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;
    use crate::seats::Limits;

    const HEAD: Duration = Duration::from_secs(15);
    /// More than hyper and the pipe take together.
    const LONG: usize = 1 << 20;

    /// A connection in memory: its time is the test's, and passes only when nobody has anything to do.
    async fn connect(seats: &Seats) -> DuplexStream {
        let router = Router::new()
            .route("/short", get(async || "short"))
            .route("/long", get(async || vec![b'x'; LONG]))
            .route("/never", post(async || std::future::pending::<()>().await));
        let (ours, theirs) = tokio::io::duplex(4096);
        let seat = tokio::time::timeout(HEAD / 2, seats.sit()).await.expect("somebody gives way");
        tokio::spawn(speak(theirs, seat, router, CancellationToken::new()));
        ours
    }

    fn seats(connections: usize) -> Seats {
        Seats::new(Limits { connections, head: HEAD })
    }

    async fn ask(stream: &mut DuplexStream, path: &str) {
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    }

    async fn until(stream: &mut DuplexStream, end: &str) {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            text.push(stream.read_u8().await.unwrap());
        }
    }

    /// Seconds until the other side closes.
    async fn closed_after(stream: &mut DuplexStream) -> u64 {
        let begin = tokio::time::Instant::now();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert_eq!(rest, b"");
        begin.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_never_ends_and_a_client_that_asks_no_more_are_let_go() {
        let seats = seats(8);
        let mut silent = connect(&seats).await;
        assert_eq!(closed_after(&mut silent).await, 15);
        let mut dripping = connect(&seats).await;
        for _ in 0..14 {
            dripping.write_all(b"G").await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(closed_after(&mut dripping).await, 1, "no byte wins it time");
        let mut idle = connect(&seats).await;
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(14)).await;
            ask(&mut idle, "/short").await;
            until(&mut idle, "short").await;
        }
        assert_eq!(closed_after(&mut idle).await, 15);
        assert_eq!(seats.taken(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_download_is_never_cut_however_long_it_pauses() {
        let seats = seats(8);
        let mut slow = connect(&seats).await;
        ask(&mut slow, "/long").await;
        until(&mut slow, "\r\n\r\n").await;
        let mut piece = vec![0; 4096];
        for n in 1..=LONG / 4096 {
            // Also before its very end, which hyper has taken from the route long before.
            if !(4..=LONG / 4096 - 20).contains(&n) {
                tokio::time::sleep(Duration::from_secs(3600)).await;
            }
            slow.read_exact(&mut piece).await.unwrap();
        }
        // The last bytes were out of our hands an hour ago.
        assert_eq!(closed_after(&mut slow).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_wants_something_gets_it_whoever_else_holds_the_seats() {
        let seats = seats(4);
        let mut download = connect(&seats).await;
        ask(&mut download, "/long").await;
        until(&mut download, "\r\n\r\n").await;
        let mut others = Vec::new();
        for _ in 0..50 {
            let mut unfinished = connect(&seats).await;
            unfinished.write_all(b"GET / HTTP/1.1\r\nHost").await.unwrap();
            others.push(unfinished);
            tokio::task::yield_now().await;
        }
        let mut wants = connect(&seats).await;
        ask(&mut wants, "/short").await;
        until(&mut wants, "short").await;
        assert_eq!(seats.taken(), 4);
        for gone in &mut others[..48] {
            assert_eq!(closed_after(gone).await, 0);
        }
        download.read_exact(&mut vec![0; LONG]).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_route_at_work_gives_way_too() {
        let seats = seats(2);
        let mut held = Vec::new();
        for _ in 0..6 {
            let mut stuck = connect(&seats).await;
            stuck.write_all(b"POST /never HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n").await.unwrap();
            held.push(stuck);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut wants = connect(&seats).await;
        ask(&mut wants, "/short").await;
        until(&mut wants, "short").await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_server_waits_for_answers_and_not_for_idle_clients() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (begun, mut began) = tokio::sync::mpsc::channel(1);
        let go = CancellationToken::new();
        let router = Router::new().route(
            "/slow",
            get({
                let go = go.clone();
                async move || {
                    begun.send(()).await.unwrap();
                    go.cancelled().await;
                    "done"
                }
            }),
        );
        let seats = Seats::new(Limits { connections: 8, head: Duration::from_secs(1_000_000) });
        let server = tokio::spawn(serve(listener, router, seats.clone(), stop.clone()));
        let _idle = TcpStream::connect(at).await.unwrap();
        let mut slow = TcpStream::connect(at).await.unwrap();
        slow.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        began.recv().await.unwrap();
        stop.cancel();
        assert!(!server.is_finished());
        go.cancel();
        let mut text = String::new();
        slow.read_to_string(&mut text).await.unwrap();
        assert!(text.ends_with("done"), "{text}");
        server.await.unwrap();
        assert_eq!(seats.taken(), 0);
    }
}
