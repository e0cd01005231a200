//! What the tests of the running engine share: flows on loopback, and waiting for something to be so.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use audyn_api::{ClockConfig, FormatConfig, PtpChoice, SourceConfig};
use audyn_core::archive::ArchivePolicy;
use audyn_core::sender::{Config, Format, Impairments, Index, Sender, index_sample};
use audyn_daemon::{Engine, EngineOptions, Naming, RecorderSpec};
use audyn_media::WavReader;
use audyn_units::{ChannelCount, Encoding, FrameIndex, Nanos, PayloadType, RtpTime, SampleRate, SeqNo, Ssrc};

pub(crate) const PACKET: u32 = 48;

/// A group and port that no other test of this run uses.
pub(crate) fn address(n: u8) -> SocketAddr {
    let pid = std::process::id();
    let group = Ipv4Addr::new(239, 77, (pid % 251) as u8, n);
    SocketAddr::new(group.into(), 20_000 + (pid % 20_000) as u16)
}

pub(crate) fn source(id: &str, address: SocketAddr) -> SourceConfig {
    serde_json::from_value(serde_json::json!({
        "id": id, "name": id, "address": address.ip(), "port": address.port(), "interface": "lo",
    }))
    .unwrap()
}

pub(crate) fn recorder(id: &str, source: &SourceConfig, root: &Path) -> RecorderSpec {
    RecorderSpec {
        id: id.to_owned(),
        name: String::new(),
        source: Some(source.id.clone()),
        enabled: true,
        studio: None,
        channels: Vec::new(),
        formats: vec![FormatConfig::Wav],
        opus: audyn_api::OpusConfig::default(),
        naming: Naming::Archive {
            root: root.to_owned(),
            below: id.into(),
            policy: ArchivePolicy::default(),
            zone: audyn_daemon::local_zone(),
        },
    }
}

pub(crate) fn engine(root: &Path) -> Engine {
    engine_with(root, None)
}

/// One that lists its open files in the directory `state`.
pub(crate) fn engine_with(root: &Path, state: Option<PathBuf>) -> Engine {
    mirrored_engine(root, state, None)
}

/// One that writes every recording to a second volume as well.
pub(crate) fn mirrored_engine(root: &Path, state: Option<PathBuf>, mirror: Option<PathBuf>) -> Engine {
    Engine::start(EngineOptions {
        state,
        capture_period: Nanos::from_millis(4),
        fifo_priority: None,
        lock_memory: false,
        receive_buffer: 4_194_304,
        sync_every_second: false,
        tai_offset: None,
        archive_root: root.to_owned(),
        volume_chosen: None,
        mirror,
        // What PTP this machine may have is of no concern here.
        clock: ClockConfig { ptp: PtpChoice::Off, ..ClockConfig::default() },
    })
    .unwrap()
}

/// A stereo L24 sender of the index signal, whose packets leave when they are asked for.
pub(crate) struct Stream {
    sender: Sender,
    signal: Index,
    socket: UdpSocket,
    pub(crate) to: SocketAddr,
}

impl Stream {
    pub(crate) fn new(stream: u32, to: SocketAddr) -> Self {
        Self::from(stream, to, RtpTime(u32::MAX - 1_000))
    }

    /// One whose timestamps begin here.
    pub(crate) fn from(stream: u32, to: SocketAddr, first_timestamp: RtpTime) -> Self {
        let format = Format {
            encoding: Encoding::L24,
            rate: SampleRate::HZ_48000,
            channels: ChannelCount::STEREO,
            packet_frames: PACKET,
        };
        let sender = Sender::new(Config {
            format,
            payload_type: PayloadType::DYNAMIC,
            ssrc: Ssrc(0x1000 + stream),
            first_sequence: SeqNo(65_500),
            first_timestamp,
            packets: None,
            seed: 1,
            impairments: Impairments::default(),
        })
        .unwrap();
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
        socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        let signal = Index { stream, encoding: Encoding::L24 };
        Self { sender, signal, socket: socket.into(), to }
    }

    /// Sends so many packets at once. The receive buffer holds several thousand.
    pub(crate) fn send(&mut self, packets: usize) {
        for _ in 0..packets {
            let Ok(outgoing) = self.sender.next(&mut self.signal);
            for datagram in outgoing.unwrap().datagrams() {
                self.socket.send_to(datagram, self.to).unwrap();
            }
        }
    }
}

/// Waits until something is so; the deadline is only there for what will never be.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !so() {
        assert!(Instant::now() < deadline, "never came: {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Waits until a recorder has written so many frames.
pub(crate) fn until_written(engine: &mut Engine, recorder: &str, frames: u64) {
    until(&format!("{frames} frames of {recorder}"), || {
        let snapshot = engine.snapshot();
        let recorder = snapshot.recorders.iter().find(|r| r.id == recorder).unwrap();
        recorder.frames_written.0 + recorder.frames_filled.0 >= frames
    });
}

/// Ends a recording and waits until its file is closed.
pub(crate) fn stop(engine: &mut Engine, recorder: &str) {
    let (tell, told) = std::sync::mpsc::channel();
    engine.stop(recorder, Box::new(move || tell.send(()).unwrap())).unwrap();
    told.recv().unwrap();
}

/// The recordings below a directory, in order of their names.
pub(crate) fn recordings(root: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root)
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    files.retain(|path| path.extension().is_some_and(|suffix| suffix == "wav"));
    files.sort();
    files
}

/// All samples of a recording.
pub(crate) fn samples(path: &Path) -> Vec<i32> {
    let mut reader = WavReader::open(path).unwrap();
    let info = reader.info();
    let mut samples = vec![0; info.frames.0 as usize * info.spec.channels.get()];
    assert_eq!(reader.read(&mut samples).unwrap(), info.frames);
    samples
}

/// The first of `frames` frames of stream `stream`'s signal.
pub(crate) fn signal(stream: u32, first: u64, frames: u64) -> Vec<i32> {
    (first..first + frames)
        .flat_map(|at| [0, 1].map(|channel| index_sample(stream, FrameIndex(at), channel, Encoding::L24)))
        .collect()
}
