//! `/ws/levels` over a real loopback socket.

use std::time::Duration;

use audyn_api::{ChannelLevel, Event, LevelsFrame, RecorderId, RecorderLevels};
use audyn_units::Dbfs;
use audyn_webd::app::App;
use audyn_webd::seats::{Limits, Seats};
use audyn_webd::serve;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::common::{Harness, in_time};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Serves on a port of the system's choice for as long as the test's runtime lives.
async fn served(app: &App) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = app.router();
    let seats = Seats::new(Limits::default());
    tokio::spawn(serve::serve(listener, router, seats, app.stop.clone()));
    address
}

async fn open(address: &str, path: &str) -> Socket {
    in_time(tokio_tungstenite::connect_async(format!("ws://{address}{path}"))).await.unwrap().0
}

/// The next text message.
async fn text(socket: &mut Socket) -> String {
    loop {
        match in_time(socket.next()).await.unwrap().unwrap() {
            Message::Text(text) => return text.to_string(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn message(socket: &mut Socket) -> Value {
    serde_json::from_str(&text(socket).await).unwrap()
}

#[tokio::test]
async fn levels_of_all_recorders_arrive() {
    let harness = Harness::new().await;
    let address = served(&harness.app).await;
    harness.send_levels(-20.0).await;
    for path in ["/ws/levels", "/ws/levels/"] {
        let mut socket = open(&address, path).await;
        let expected = json!({
            "type": "all_levels",
            "timestamp": "2026-01-10T14:31:00Z",
            "recorders": [{
                "recorder_id": "r1", "recorder_name": "Recorder r1", "studio_id": "blue", "state": "recording",
                "channels": [
                    { "name": "L", "level_db": -20.0, "level_linear": 0.1, "peak_db": -6.0, "clipping": true },
                    { "name": "R", "level_db": -144.0, "level_linear": 0.0, "peak_db": -6.0, "clipping": true },
                ],
            }],
        });
        assert_eq!(message(&mut socket).await, expected); // what is known already
    }
    let mut socket = open(&address, "/ws/levels").await;
    message(&mut socket).await;
    for rms in [-30.0, -40.0] {
        harness.send_levels(rms).await;
        assert_eq!(message(&mut socket).await["recorders"][0]["channels"][0]["level_db"], rms);
    }
}

#[tokio::test]
async fn levels_of_one_recorder_arrive() {
    let harness = Harness::new().await;
    let address = served(&harness.app).await;
    let mut socket = open(&address, "/ws/levels/r1").await;
    harness.send_levels(-20.0).await;
    let levels = message(&mut socket).await;
    assert_eq!((&levels["type"], &levels["recorder_id"]), (&json!("levels"), &json!("r1")));
    assert_eq!(levels["channels"].as_array().unwrap().len(), 2);
    assert_eq!(levels["timestamp"], "2026-01-10T14:31:00Z");
    // A recorder without levels has a silent socket that lives.
    let mut idle = open(&address, "/ws/levels/r2").await;
    idle.send(Message::text("ping")).await.unwrap();
    assert_eq!(text(&mut idle).await, "pong");
    match tokio_tungstenite::connect_async(format!("ws://{address}/ws/levels/r9")).await {
        Err(tungstenite::Error::Http(response)) => assert_eq!(response.status().as_u16(), 404),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn pings_are_answered_and_rubbish_is_not() {
    let harness = Harness::new().await;
    let address = served(&harness.app).await;
    let mut socket = open(&address, "/ws/levels").await;
    for rubbish in
        [Message::text("{"), Message::text(""), Message::binary(vec![1, 2]), Message::text("\u{0}")]
    {
        socket.send(rubbish).await.unwrap();
    }
    socket.send(Message::text("ping")).await.unwrap();
    assert_eq!(text(&mut socket).await, "pong");
    socket.send(Message::text(r#"{"type":"ping"}"#)).await.unwrap();
    assert_eq!(text(&mut socket).await, r#"{"type":"pong"}"#);
    socket.send(Message::Ping("x".into())).await.unwrap();
    loop {
        if let Message::Pong(payload) = in_time(socket.next()).await.unwrap().unwrap() {
            assert_eq!(payload, "x");
            break;
        }
    }
    // A message beyond what a ping needs ends the connection, not the server.
    let _ = socket.send(Message::text("x".repeat(100_000))).await;
    while let Some(Ok(message)) = in_time(socket.next()).await {
        assert!(!message.is_text(), "{message:?}");
    }
    no_socket_is_open(&harness.app).await;
    open(&address, "/ws/levels").await;
}

async fn no_socket_is_open(app: &App) {
    in_time(async {
        while app.open_sockets() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_engine_that_goes_away_is_told() {
    let mut harness = Harness::new().await;
    let address = served(&harness.app).await;
    let mut socket = open(&address, "/ws/levels").await;
    socket.send(Message::text("ping")).await.unwrap();
    assert_eq!(text(&mut socket).await, "pong");
    harness.kill_engine().await;
    let news = message(&mut socket).await;
    assert_eq!((&news["type"], &news["connected"]), (&json!("engine"), &json!(false)));
    assert!(news["detail"].as_str().unwrap().contains("engine"), "{news}");
    // A newcomer is told at once, also by the socket of a recorder that nobody can look up now.
    let mut late = open(&address, "/ws/levels/r1").await;
    assert_eq!(message(&mut late).await["connected"], false);
}

#[tokio::test]
async fn another_sites_page_gets_no_levels() {
    let harness = Harness::new().await;
    let address = served(&harness.app).await;
    let status = async |name: &'static str, value: &str| {
        let mut request = format!("ws://{address}/ws/levels").into_client_request().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        match in_time(tokio_tungstenite::connect_async(request)).await {
            Ok(_) => 101,
            Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
            Err(other) => panic!("{other:?}"),
        }
    };
    assert_eq!(status("origin", "http://evil.example").await, 403);
    assert_eq!(status("origin", "null").await, 403);
    assert_eq!(status("host", "evil.example").await, 421);
    assert_eq!(status("origin", &format!("http://{address}")).await, 101);
    harness.get("/ws/levels").await.problem(426); // an ordinary GET
}

/// Levels of 64 channels; a socket's buffers hold few of them.
fn large_frame(number: u16) -> LevelsFrame {
    let channel = ChannelLevel { rms: Dbfs(-f32::from(number)), ..ChannelLevel::default() };
    let one = RecorderLevels { recorder: RecorderId::new("r1").unwrap(), channels: vec![channel; 64] };
    LevelsFrame { recorders: vec![one; 64], ..LevelsFrame::default() }
}

#[tokio::test]
async fn a_browser_that_never_reads_is_dropped_and_nobody_else_waits() {
    let harness = Harness::new().await;
    let mut app = harness.app.clone();
    app.socket_patience = Duration::from_millis(50);
    let address = served(&app).await;
    let sleeper = open(&address, "/ws/levels").await;
    let mut levels = app.engine.levels();
    in_time(async {
        let mut number = 0;
        while app.open_sockets() > 0 {
            number = (number + 1) % 100;
            harness.events.send(Event::Levels(large_frame(number))).unwrap();
            levels.changed().await.unwrap();
        }
    })
    .await;
    drop(sleeper);
    let mut socket = open(&address, "/ws/levels").await;
    assert_eq!(message(&mut socket).await["recorders"].as_array().unwrap().len(), 64);
}

#[tokio::test]
async fn sockets_are_limited_and_given_back() {
    let harness = Harness::new().await;
    let address = served(&harness.app).await;
    let mut sockets = Vec::new();
    for _ in 0..64 {
        sockets.push(open(&address, "/ws/levels").await);
    }
    match tokio_tungstenite::connect_async(format!("ws://{address}/ws/levels")).await {
        Err(tungstenite::Error::Http(response)) => assert_eq!(response.status().as_u16(), 503),
        other => panic!("{other:?}"),
    }
    drop(sockets);
    no_socket_is_open(&harness.app).await;
    open(&address, "/ws/levels").await;
}

#[tokio::test]
async fn a_server_that_stops_says_goodbye() {
    let harness = Harness::new().await;
    let address = served(&harness.app).await;
    let mut socket = open(&address, "/ws/levels").await;
    harness.app.stop.cancel();
    loop {
        match in_time(socket.next()).await.unwrap().unwrap() {
            Message::Close(frame) => {
                assert_eq!(u16::from(frame.unwrap().code), 1001);
                break;
            }
            other => assert!(!other.is_text(), "{other:?}"),
        }
    }
}
