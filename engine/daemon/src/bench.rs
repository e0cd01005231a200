//! A flow's way through capture and worker without their threads, so that its instructions can be counted.
//!
//! Owns: one stereo L24 flow on loopback, metered and recorded, whose turns somebody else asks for. Never: in a product;
//! the feature `bench` is for `ci/instructions` only.

pub mod rotation;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use audyn_core::archive::ArchivePolicy;
use audyn_core::channels::ChannelMap;
use audyn_core::flow::{FlowFormat, Leg, Receiver};
use audyn_sys::{BatchReceiver, ClockPair, FlowSocket, FlowSocketConfig};
use audyn_units::{ChannelCount, Encoding, FrameIndex, PayloadType, SampleRate};
use jiff::tz::TimeZone;

use crate::capture::{self, CapturePort};
use crate::error::EngineError;
use crate::feed::{self, Cutting, FeedEnd};
use crate::legs::Ports;
use crate::shared::{CaptureShared, ClockShared, FlowShared, SharedLevels};
use crate::tap::Tap;
use crate::worker::{self, FlowWorker, Order};

/// Slots of a flow at the usual period.
const SLOTS: usize = 1_024;

/// One flow: socket, slots, receiver, a recorder's tap with meter and feed.
pub struct FlowPath {
    to: SocketAddr,
    port: Box<CapturePort>,
    receiver: BatchReceiver,
    shared: CaptureShared,
    clock: ClockShared,
    flows: Vec<FlowWorker>,
    end: FeedEnd,
    status: Arc<FlowShared>,
}

impl std::fmt::Debug for FlowPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FlowPath").field("to", &self.to).finish_non_exhaustive()
    }
}

impl FlowPath {
    /// Opens the flow at a port of the kernel's choice.
    pub fn open() -> Result<Self, EngineError> {
        let socket = FlowSocket::open(&FlowSocketConfig {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            interface: None,
            source: None,
            receive_buffer: 1 << 20,
        })?;
        let to = socket.local_address();
        let status = Arc::<FlowShared>::default();
        let (port, worker_port) = capture::connect(0, socket, SLOTS, &status)?;
        let (rate, channels) = (SampleRate::HZ_48000, ChannelCount::STEREO);
        let cutting = Cutting { policy: ArchivePolicy::default(), zone: TimeZone::UTC };
        let (feed, end) = feed::connect(rate, channels.get(), Some(cutting), None);
        let map = ChannelMap::new(channels, &[]).expect("no choice takes all channels");
        let mut tap = Tap::new("bench".to_owned(), map, SharedLevels::default());
        tap.feed = Some(feed);
        let format =
            FlowFormat { encoding: Encoding::L24, rate, channels, payload_type: PayloadType::DYNAMIC };
        let receiver = Box::new(Receiver::new(format, FrameIndex(0)));
        let mut flows = Vec::new();
        let mut ports = Ports::default();
        ports.add(Leg::First, worker_port);
        let shared = Arc::clone(&status);
        worker::obey(&mut flows, Order::AddFlow { flow: 0, shared, ports, receiver, taps: vec![tap] });
        let (receiver, shared) = (BatchReceiver::new(capture::BATCH), CaptureShared::default());
        let clock = ClockShared::default();
        Ok(Self { to, port, receiver, shared, clock, flows, end, status })
    }

    /// Where it is received.
    pub fn address(&self) -> SocketAddr {
        self.to
    }

    /// What the capture thread does for this flow each turn.
    #[inline(never)]
    pub fn capture_turn(&mut self, clocks: &ClockPair) {
        capture::drain(&mut self.port, None, &mut self.receiver, clocks, &self.shared);
    }

    /// What the worker does for this flow each turn: parse, place, meter, feed.
    #[inline(never)]
    pub fn worker_turn(&mut self, clocks: &ClockPair) {
        let reading = self.clock.reading(clocks);
        for flow in &mut self.flows {
            flow.turn(reading, false);
        }
    }

    /// Takes what the disk writer would, and returns the frames that were recorded.
    pub fn disk_turn(&mut self) -> u64 {
        while self.end.commands.pop().is_ok() {}
        let waiting = self.end.samples.slots();
        if let Ok(chunk) = self.end.samples.read_chunk(waiting) {
            chunk.commit_all();
        }
        waiting as u64 / 2
    }

    /// Packets that the receiver took, as of the last turn of the worker.
    pub fn received(&self) -> u64 {
        crate::engine::lock(&self.status.status).counters.received
    }
}
