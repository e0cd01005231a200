//! The engine's self-test: a signal of its own, over loopback, through capture thread, worker and feed.
//!
//! Owns: the test's flow from its opening to its end, the comparison, the report. Never: a recorder, a source, a file of an
//! archive (but one that is made and removed again to see whether that works).
//!
//! The flow is unicast to 127.0.0.1 at a port of the kernel's choice: nobody else can send there by accident, no group is
//! joined, nothing leaves the machine. What a sandbox must leave open for it is AF_INET and the address 127.0.0.1.
//!
//! ```text
//!  [idle] ─ begin: the flow is opened ─► [running: sends and compares] ─ over ─► [the flow is closed] ─► [idle]
//!                                         └ whoever asked has gone: the next reconciliation closes the flow
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::mpsc::{Receiver as Answer, RecvTimeoutError};
use std::time::Duration;

use audyn_api::{ArchiveCheck, CaptureRights, SelfTestReport};
use audyn_core::archive::ArchivePolicy;
use audyn_core::channels::ChannelMap;
use audyn_core::flow::{FlowFormat, Leg, Receiver};
use audyn_core::sender::{Config, Format, Impairments, Index, Sender, index_position_of, index_sample};
use audyn_sys::{FlowSocket, FlowSocketConfig, SysError, clock, realtime};
use audyn_units::{
    ChannelCount, Counted, Encoding, FrameCount, FrameIndex, Nanos, PayloadType, RtpTime, SampleRate, SeqNo,
    Ssrc,
};

use crate::capture;
use crate::engine::{Engine, lock};
use crate::error::EngineError;
use crate::feed::{self, DiskCommand, FeedEnd};
use crate::legs::Ports;
use crate::naming::Naming;
use crate::policy::local_zone;
use crate::shared::{FlowShared, SharedLevels};
use crate::tap::Tap;
use crate::worker::Order;

/// What every receiver must take: 1 ms packets of 48 kHz, 24 bit (AES67-2018 §7.1, §7.2.1).
const FORMAT: Format = Format {
    encoding: Encoding::L24,
    rate: SampleRate::HZ_48000,
    channels: ChannelCount::STEREO,
    packet_frames: 48,
};

/// Packets of the test: 2 s.
const PACKETS: u64 = 2_000;

/// How long sending may take on a machine that is busy with other things.
const SENDING: Nanos = Nanos::from_secs(4);

/// How long the rest may take to arrive: longer than a receiver waits before it takes silence for an outage.
const ARRIVING: Nanos = Nanos::from_secs(3);

/// How long the archive may take to say whether a file can be made there; it is asked while the test runs.
const ARCHIVE: Duration = Duration::from_secs(1);

/// Time between two looks at what has arrived.
const PERIOD: Nanos = Nanos::from_millis(4);

/// The index signal's stream; a number like any other.
const STREAM: u32 = 0x5e1f;

/// A test that runs, as control sees it.
#[derive(Debug)]
pub(crate) struct Testing {
    flow: u32,
    worker: usize,
    over: Arc<AtomicBool>,
}

/// A test that has its flow. [`SelfTest::run`] blocks; dropped at any time, the flow is closed soon.
pub(crate) struct SelfTest {
    over: Over,
    to: SocketAddr,
    end: FeedEnd,
    shared: Arc<FlowShared>,
    rights: CaptureRights,
    /// Free bytes are what was last known; the error is asked for.
    archive: ArchiveCheck,
    asked: Answer<Result<(), EngineError>>,
}

/// Says that a test is over when it goes.
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Release);
    }
}

impl Engine {
    /// Opens the flow of a self-test. One at a time.
    pub(crate) fn begin_self_test(&mut self) -> Result<SelfTest, EngineError> {
        self.end_self_test();
        if self.testing.is_some() {
            return Err(EngineError::Conflict(
                "a self-test is running already; ask again in a few seconds".to_owned(),
            ));
        }
        let socket = FlowSocket::open(&FlowSocketConfig {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            interface: None,
            source: None,
            receive_buffer: self.options.receive_buffer,
        })?;
        let to = socket.local_address();
        let mut rights = self.rights();
        if socket.granted() < self.options.receive_buffer {
            rights.missing.push(format!(
                "a receive buffer of {} bytes was granted, not {}; raise net.core.rmem_max or give CAP_NET_ADMIN",
                socket.granted(),
                self.options.receive_buffer
            ));
        }
        let shared = Arc::<FlowShared>::default();
        let flow = self.next_flow;
        self.next_flow += 1;
        let (port, worker_port) = capture::connect(flow, socket, self.slots(), &shared)?;
        let (feed, end) = feed::connect(FORMAT.rate, FORMAT.channels.get(), None, None);
        let map = ChannelMap::new(FORMAT.channels, &[]).expect("no choice takes all channels");
        let mut tap = Tap::new(String::new(), map, SharedLevels::default());
        tap.feed = Some(feed);
        let format = FlowFormat {
            encoding: FORMAT.encoding,
            rate: FORMAT.rate,
            channels: FORMAT.channels,
            payload_type: PayloadType::DYNAMIC,
        };
        let receiver = Box::new(Receiver::new(format, FrameIndex(0)));
        // One order for flow and tap: what comes between two would not be fed.
        let mut ports = Ports::default();
        ports.add(Leg::First, worker_port);
        let order = Order::AddFlow { flow, shared: Arc::clone(&shared), ports, receiver, taps: vec![tap] };
        let worker = self.add_flow(flow, order, vec![port]).ok_or_else(|| {
            EngineError::Conflict("the capture thread is busy; ask again in a few seconds".to_owned())
        })?;
        let over = Arc::new(AtomicBool::new(false));
        self.testing = Some(Testing { flow, worker, over: Arc::clone(&over) });
        let root = self.options.archive_root.clone();
        Ok(SelfTest {
            over: Over(over),
            to,
            end,
            shared,
            rights,
            archive: ArchiveCheck {
                root: root.to_string_lossy().into_owned(),
                error: None,
                free_bytes: self.volume.state().free_bytes,
            },
            asked: self.ask_archive(root)?,
        })
    }

    /// Closes the flow of a self-test that is over.
    pub(crate) fn end_self_test(&mut self) {
        if let Some(testing) = self.testing.take_if(|testing| testing.over.load(Acquire)) {
            self.remove_flow(testing.flow, testing.worker);
        }
    }

    /// How the capture thread runs now.
    fn rights(&self) -> CaptureRights {
        let granted = self.granted();
        let state = realtime::thread_state(granted.thread);
        let isolated = realtime::isolated_cpus().unwrap_or_default();
        let cpu = state.as_ref().map(|state| state.cpu);
        CaptureRights {
            fifo_priority: state.as_ref().and_then(|state| state.fifo_priority),
            cpu: cpu.and_then(|cpu| u16::try_from(cpu).ok()),
            pinned: state.as_ref().is_some_and(|state| state.allowed.len() == 1),
            isolated: cpu.is_some_and(|cpu| isolated.contains(&cpu)),
            memory_locked: granted.memory_locked,
            missing: self.warnings().to_vec(),
        }
    }

    /// Asks the archive on a thread that may hang with it. While one hangs no second is started.
    fn ask_archive(&mut self, root: PathBuf) -> Result<Answer<Result<(), EngineError>>, EngineError> {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let asking = Arc::clone(&self.asking_archive);
        if asking.swap(true, Acquire) {
            let detail = "the archive's disk has not answered since an earlier self-test; check the disk";
            // There is room for one.
            let _ = tell.send(Err(EngineError::Conflict(detail.to_owned())));
            return Ok(told);
        }
        let (tai, chains) = (self.tai_minus_utc(), self.chains());
        let ask = move || {
            let naming = Naming::Archive {
                root,
                below: PathBuf::new(),
                policy: ArchivePolicy::default(),
                zone: local_zone(),
            };
            // Whoever asked may have stopped waiting.
            let _ = tell.send(naming.check_writable_on(chains.ours(), tai, &["wav"]));
            asking.store(false, Release);
        };
        std::thread::Builder::new()
            .name("audyn-ask".to_owned())
            .spawn(ask)
            .map_err(|source| SysError::Thread { source })?;
        Ok(told)
    }
}

impl SelfTest {
    /// Sends, compares and reports, in at most 8 s.
    pub(crate) fn run(self) -> SelfTestReport {
        let Self { over, to, mut end, shared, rights, mut archive, asked } = self;
        let mut seen = Comparison::default();
        let mut failures = Vec::new();
        let sent = send(to, &mut seen, &mut end).unwrap_or_else(|(sent, why)| {
            failures.push(format!(
                "the test signal could not be sent to {to}: {why}; let 127.0.0.1 through in the service's sandbox and in the \
                 packet filter"
            ));
            sent
        });
        let deadline = clock::mono_now() + ARRIVING;
        while seen.position < sent.0 && clock::mono_now() < deadline {
            clock::sleep_until(clock::mono_now() + PERIOD);
            seen.take(&mut end);
        }
        drop(over);
        let report = SelfTestReport {
            failures,
            frames_sent: sent,
            frames_received: FrameCount(seen.received.min(sent.0)),
            frames_different: FrameCount(seen.different),
            frames_lost: sent.saturating_sub(FrameCount(seen.received)),
            kernel_dropped: shared.kernel_dropped.load(Relaxed).into(),
            rights,
            archive: {
                archive.error = match asked.recv_timeout(ARCHIVE) {
                    Ok(answer) => answer.err().map(|error| error.to_string()),
                    Err(RecvTimeoutError::Timeout) => {
                        Some("the archive's disk does not answer; check the disk".to_owned())
                    }
                    Err(RecvTimeoutError::Disconnected) => {
                        Some("asking the archive's disk failed; the log says why".to_owned())
                    }
                };
                archive
            },
        };
        judge(report, lock(&shared.status).counters.received)
    }
}

/// Enters what was not as it must be; `packets` is how many the receiver took for the signal's.
fn judge(mut report: SelfTestReport, packets: u64) -> SelfTestReport {
    let sent = report.frames_sent;
    if report.frames_received == FrameCount::ZERO && sent > FrameCount::ZERO {
        report.failures.push(format!(
            "none of {sent} that were sent over loopback came out of the capture path, which took {} for them; is the packet filter \
             open for 127.0.0.1?",
            Counted(packets, "packet")
        ));
    } else if report.frames_lost > FrameCount::ZERO {
        report.failures.push(format!(
            "{} of {sent} that were sent over loopback were lost, and the kernel dropped {}; the machine is too busy, or the receive \
             buffer too small",
            report.frames_lost.0,
            Counted(report.kernel_dropped, "datagram")
        ));
    }
    if report.frames_different > FrameCount::ZERO {
        report.failures.push(format!(
            "{} of {} arrived with other samples than were sent; do not trust this engine, and report it",
            report.frames_different.0, report.frames_received
        ));
    }
    report
}

/// Sends the signal at its pace, and looks at what arrives meanwhile. Tells how many frames were sent; in an error too.
fn send(
    to: SocketAddr,
    seen: &mut Comparison,
    end: &mut FeedEnd,
) -> Result<FrameCount, (FrameCount, String)> {
    let mut sent = FrameCount::ZERO;
    let failed = |sent| move |error: std::io::Error| (sent, error.to_string());
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed(sent))?;
    socket.set_write_timeout(Some(Duration::from_secs(1))).map_err(failed(sent))?;
    let mut sender = Sender::new(Config {
        format: FORMAT,
        payload_type: PayloadType::DYNAMIC,
        ssrc: Ssrc(0x5e1f_7e57),
        // Both wrap within the test.
        first_sequence: SeqNo(65_000),
        first_timestamp: RtpTime(u32::MAX - 48_000),
        packets: Some(PACKETS),
        seed: 0,
        impairments: Impairments::default(),
    })
    .expect("the format is one of AES67's");
    let mut signal = Index { stream: STREAM, encoding: FORMAT.encoding };
    let start = clock::mono_now();
    let deadline = start + SENDING;
    loop {
        let Ok(outgoing) = sender.next(&mut signal);
        let Some(outgoing) = outgoing else { return Ok(sent) };
        clock::sleep_until(start + outgoing.due);
        for datagram in outgoing.datagrams() {
            socket.send_to(datagram, to).map_err(failed(sent))?;
        }
        sent += FrameCount(FORMAT.packet_frames.into());
        seen.take(end);
        if clock::mono_now() > deadline {
            return Ok(sent);
        }
    }
}

/// What came of the signal.
#[derive(Debug, Default)]
struct Comparison {
    /// The signal's next position.
    position: u64,
    received: u64,
    different: u64,
}

impl Comparison {
    /// Compares what has come through the feed.
    fn take(&mut self, end: &mut FeedEnd) {
        while let Ok(command) = end.commands.pop() {
            match command {
                DiskCommand::Audio(frames) => {
                    let samples = frames.0 as usize * FORMAT.channels.get();
                    let chunk = end
                        .samples
                        .read_chunk(samples)
                        .expect("the feed pushed the samples before the command");
                    let (first, second) = chunk.as_slices();
                    self.audio(first);
                    self.audio(second);
                    chunk.commit_all();
                }
                DiskCommand::Silence(frames, _) => self.position += frames.0,
                DiskCommand::Open(_)
                | DiskCommand::Ends(_)
                | DiskCommand::Ending(_)
                | DiskCommand::Joint(_)
                | DiskCommand::Event(_)
                | DiskCommand::Parts
                | DiskCommand::Leaves(_)
                | DiskCommand::Close(_) => {}
            }
        }
    }

    fn audio(&mut self, samples: &[i32]) {
        if self.position == 0
            && let Some(&sample) = samples.first()
        {
            // Where the first packets were lost, the timeline begins with the first that came.
            let first = index_position_of(STREAM, 0, FORMAT.encoding, sample).0;
            self.position = if first < PACKETS * u64::from(FORMAT.packet_frames) { first } else { 0 };
        }
        for frame in samples.chunks_exact(FORMAT.channels.get()) {
            let right = frame.iter().enumerate().all(|(channel, &sample)| {
                sample == index_sample(STREAM, FrameIndex(self.position), channel, FORMAT.encoding)
            });
            self.different += u64::from(!right);
            self.received += 1;
            self.position += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use audyn_core::flow::GapCause;
    use audyn_core::segment::TimeAnchor;
    use audyn_units::Timestamp;

    use super::*;
    use crate::feed::Feed;

    const ANCHOR: TimeAnchor = TimeAnchor {
        position: FrameIndex(0),
        utc: Timestamp::ZERO,
        rate: SampleRate::HZ_48000,
        exact: false,
        tai_offset: None,
    };

    /// Gives so many frames of the signal from `first` on, changed by `change`.
    fn give(feed: &mut Feed, first: u64, frames: u64, change: impl Fn(u64, i32) -> i32) {
        let samples: Vec<i32> = (first..first + frames)
            .flat_map(|at| [0, 1].map(|channel| (at, channel)))
            .map(|(at, channel)| change(at, index_sample(STREAM, FrameIndex(at), channel, FORMAT.encoding)))
            .collect();
        feed.audio(FrameIndex(first), &samples, &ANCHOR);
    }

    /// What the comparison makes of it, and what is said then of 192 frames sent.
    fn judged(play: impl FnOnce(&mut Feed)) -> SelfTestReport {
        let (mut feed, mut end) = feed::connect(FORMAT.rate, 2, None, None);
        play(&mut feed);
        feed.turn(FrameIndex(0), None);
        let mut seen = Comparison::default();
        seen.take(&mut end);
        let report = SelfTestReport {
            frames_sent: FrameCount(192),
            frames_received: FrameCount(seen.received),
            frames_different: FrameCount(seen.different),
            frames_lost: FrameCount(192 - seen.received),
            ..SelfTestReport::default()
        };
        judge(report, 4)
    }

    #[test]
    fn there_is_one_at_a_time_and_it_leaves_no_flow() {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = Engine::start(crate::engine::EngineOptions {
            clock: audyn_api::ClockConfig::default(),
            state: None,
            capture_period: Nanos::from_millis(4),
            fifo_priority: None,
            lock_memory: false,
            receive_buffer: 65_536,
            sync_every_second: false,
            tai_offset: None,
            archive_root: dir.path().to_owned(),
            volume_chosen: None,
            mirror: None,
        })
        .unwrap();
        let first = engine.begin_self_test().unwrap();
        assert!(matches!(engine.begin_self_test(), Err(EngineError::Conflict(_))));
        assert!(engine.snapshot().flows.is_empty());
        let to = first.to;
        assert!(UdpSocket::bind(to).is_err(), "its port is open");
        drop(first);
        engine.reconcile();
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while UdpSocket::bind(to).is_err() {
            assert!(std::time::Instant::now() < deadline, "its port stays open");
            engine.reconcile();
        }
        engine.begin_self_test().unwrap();
    }

    #[test]
    fn each_way_to_fail_is_seen_and_said() {
        let whole = judged(|feed| give(feed, 0, 192, |_, sample| sample));
        assert!(whole.passed(), "{whole:?}");

        let bit = judged(|feed| give(feed, 0, 192, |at, sample| sample ^ i32::from(at == 77) << 8));
        assert_eq!((bit.frames_different.0, bit.frames_lost.0), (1, 0));
        assert!(bit.failures[0].starts_with("1 of 192 frames arrived with other samples"), "{bit:?}");

        let hole = judged(|feed| {
            give(feed, 0, 48, |_, sample| sample);
            feed.silence(FrameIndex(48), FrameCount(48), GapCause::Loss, &ANCHOR);
            give(feed, 96, 96, |_, sample| sample);
        });
        assert_eq!((hole.frames_different.0, hole.frames_lost.0), (0, 48));
        assert!(hole.failures[0].starts_with("48 of 192 frames that were sent"), "{hole:?}");

        let late = judged(|feed| give(feed, 96, 96, |_, sample| sample));
        assert_eq!((late.frames_different.0, late.frames_lost.0), (0, 96), "the beginning is missing");

        let moved = judged(|feed| {
            give(feed, 0, 96, |_, sample| sample);
            give(feed, 97, 95, |_, sample| sample);
        });
        assert_eq!((moved.frames_different.0, moved.frames_lost.0), (95, 1), "a frame was swallowed");

        let nothing = judged(|_| {});
        assert!(nothing.failures[0].starts_with("none of 192 frames"), "{nothing:?}");
    }
}
