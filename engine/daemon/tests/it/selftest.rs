//! The self-test of a running engine: it finds its signal, and nobody else notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use audyn_api::client::{Client, ClientError};
use audyn_api::{RefusalKind, Reply, Request, SelfTestReport};

use crate::common;
use crate::socket::{Running, files, id, snapshot, until_written};

async fn self_test(client: &mut Client) -> Result<SelfTestReport, ClientError> {
    match client.request(Request::SelfTest).await? {
        Reply::SelfTest(report) => Ok(*report),
        other => panic!("{other:?}"),
    }
}

/// A stream at its own pace, whatever the engine's answers take.
struct Playing {
    stop: Arc<AtomicBool>,
    /// Tells for how long it sent nothing at most.
    thread: JoinHandle<Duration>,
}

impl Playing {
    fn start(mut stream: common::Stream) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut last = Instant::now();
        let thread = std::thread::spawn(move || {
            let mut longest = Duration::ZERO;
            // 10 packets of 1 ms; what was held up is made up for.
            let mut due = last;
            while !stopped.load(Relaxed) {
                due += Duration::from_millis(10);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                stream.send(10);
                let now = Instant::now();
                longest = longest.max(now - last);
                last = now;
            }
            longest
        });
        Self { stop, thread }
    }

    fn end(self) -> Duration {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap()
    }
}

#[tokio::test]
async fn the_engine_hears_itself_beside_a_recording_that_goes_on() {
    let to = common::address(50);
    let (sources, recorders) = files(to, &["a".to_owned()]);
    let engine = Running::start_with(&sources, &recorders);
    let mut client = engine.client().await;
    client.request(Request::Start(id("a"))).await.unwrap();
    let mut stream = common::Stream::new(1, to);
    let file = until_written(&mut client, &mut stream, "a").await;
    let playing = Playing::start(stream);
    let before = client.request(Request::Config).await.unwrap();

    let mut tester = engine.client().await;
    let testing = tokio::spawn(async move { self_test(&mut tester).await });
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    while !testing.is_finished() {
        pace.tick().await;
        let now = snapshot(&mut client).await;
        assert_eq!((now.flows.len(), now.recorders.len()), (1, 1), "the test is nobody's source or recorder");
    }
    let silent = playing.end();
    let report = testing.await.unwrap().unwrap();
    assert!(report.passed() && report.frames_sent.0 > 0, "{report:?}");
    assert_eq!(report.frames_received, report.frames_sent);
    assert_eq!((report.frames_different.0, report.frames_lost.0), (0, 0));
    assert_eq!(report.rights.fifo_priority, None, "the configuration asks for none");
    assert!(report.rights.cpu.is_some());
    assert_eq!((&report.archive.error, report.archive.free_bytes > 0), (&None, true));
    assert_eq!(report.archive.root, engine.dir.path().join("archive").to_string_lossy());

    assert_eq!(client.request(Request::Config).await.unwrap(), before);
    client.request(Request::Stop(id("a"))).await.unwrap();
    let recorder = snapshot(&mut client).await.recorders.remove(0);
    let ledger = engine.dir.path().join("archive").join(&file).with_extension("wav.gaps.jsonl");
    if silent >= Duration::from_millis(900) {
        // On a machine that gave the stream no time for so long, its silence is an outage, and rightly in the ledger.
        println!("path: the stream itself was silent for {silent:?}; its gaps are not judged");
        return;
    }
    assert_eq!(
        (recorder.gaps, recorder.frames_filled.0),
        (0, 0),
        "the stream was never silent for longer than {silent:?}: {}",
        std::fs::read_to_string(ledger).unwrap()
    );
    let got = common::samples(&engine.dir.path().join("archive").join(file));
    let first = crate::socket::common_first(&got);
    assert!(got == common::signal(1, first, got.len() as u64 / 2), "the recording is what was sent");
}

#[tokio::test]
async fn a_client_that_leaves_a_test_leaves_nothing_behind() {
    let engine = Running::start();
    std::fs::write(engine.dir.path().join("archive"), "in the way").unwrap();
    let mut client = engine.client().await;
    let leaving = tokio::time::timeout(Duration::from_millis(100), self_test(&mut client)).await;
    assert!(leaving.is_err(), "it is under way");
    drop(client);

    let mut client = engine.client().await;
    let report = loop {
        match self_test(&mut client).await {
            Ok(report) => break report,
            Err(ClientError::Refused(refusal)) if refusal.kind == RefusalKind::Conflict => {
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert!(report.passed(), "{report:?}");
    assert!(report.archive.error.unwrap().contains("archive"), "an archive that takes nothing is said to");
}
