//! A flow, as control sees it: its source, and how its legs' sockets are opened.
//!
//! Owns: what a socket is asked for, and whether two configurations of a source mean one flow. Never: starts or ends a flow; what is
//! opened here goes to the capture thread and a worker by the engine's hands.

use std::sync::Arc;

use audyn_api::SourceConfig;
use audyn_core::flow::{FlowFormat, Receiver};
use audyn_sys::{FlowSocket, FlowSocketConfig};
use audyn_units::{FrameIndex, Mono, Nanos, Timestamp};

use super::EngineOptions;
use crate::capture;
use crate::diagnosis::{Recent, Trouble};
use crate::error::EngineError;
use crate::keep::KeptSockets;
use crate::keeper::Keeper;
use crate::keeper::link::SharedLink;
use crate::legs::{self, LegEntry, Ports};
use crate::network::{Hold, interface_ref};
use crate::shared::FlowShared;

pub(crate) struct FlowEntry {
    pub(crate) id: u32,
    pub(crate) source: SourceConfig,
    pub(crate) shared: Arc<FlowShared>,
    /// Which worker owns it; none while its socket is not open.
    pub(super) worker: Option<usize>,
    pub(crate) legs: Vec<LegEntry>,
    /// Why none of its sockets is open.
    pub(crate) failure: Option<Trouble>,
    pub(crate) last_try: Timestamp<Mono>,
    pub(crate) recent: Recent,
}

/// A flow's ends: the capture thread's, the worker's, and what the worker does with what comes.
type Opened = (Vec<Box<capture::CapturePort>>, Ports, Box<Receiver>);

impl FlowEntry {
    pub(super) fn new(id: u32, source: SourceConfig) -> Self {
        let shared = Arc::default();
        Self {
            id,
            legs: LegEntry::of(&source, &shared),
            source,
            shared,
            worker: None,
            failure: None,
            last_try: Timestamp::ZERO,
            recent: Recent::default(),
        }
    }

    /// Opens every leg that can be opened; an error if none can.
    pub(super) fn open(
        &mut self,
        options: &EngineOptions,
        kept: &mut KeptSockets,
        keeper: Option<&Keeper>,
    ) -> Result<Opened, EngineError> {
        let now = self.last_try;
        let (mut captured, mut ports, mut refused) = (Vec::new(), Ports::default(), None);
        for n in 0..self.legs.len() {
            match self.try_leg(n, options, kept, keeper, now) {
                Ok((port, worker_port)) => {
                    captured.push(port);
                    ports.add(self.legs[n].leg, worker_port);
                }
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        if let Some(error) = refused.filter(|_| captured.is_empty()) {
            return Err(error);
        }
        let source = &self.source;
        let format = FlowFormat {
            encoding: source.encoding,
            rate: source.rate,
            channels: source.channels,
            payload_type: source.payload_type,
        };
        // The worker tells the clock before the first packet, by which the first frame is placed.
        let base = FrameIndex(0);
        let receiver = match source.second_leg {
            Some(_) => Receiver::with_second_leg(format, base, source.skew),
            None => Receiver::new(format, base),
        };
        let receiver = receiver.with_media_clock(source.media_clock_offset);
        Ok((captured, ports, Box::new(receiver)))
    }

    /// Opens one leg; if it can't be, the leg says why.
    pub(super) fn open_leg(
        &mut self,
        n: usize,
        options: &EngineOptions,
        kept: &mut KeptSockets,
        keeper: Option<&Keeper>,
        now: Timestamp<Mono>,
    ) -> Option<(Box<capture::CapturePort>, capture::WorkerPort)> {
        self.try_leg(n, options, kept, keeper, now).ok()
    }

    fn try_leg(
        &mut self,
        n: usize,
        options: &EngineOptions,
        kept: &mut KeptSockets,
        keeper: Option<&Keeper>,
        now: Timestamp<Mono>,
    ) -> Result<(Box<capture::CapturePort>, capture::WorkerPort), EngineError> {
        let (source, leg) = (&self.source, &mut self.legs[n]);
        leg.last_try = now;
        let place = legs::place(source, leg.leg);
        let config = FlowSocketConfig {
            address: place.address,
            port: place.port,
            interface: place.interface.as_deref().map(interface_ref),
            source: place.source_filter,
            receive_buffer: options.receive_buffer,
        };
        let connected = kept.open_or_claim(&config, &leg.label(source)).and_then(|(socket, kept_as)| {
            leg.kept_as = kept_as;
            let (granted, hold) = (socket.granted(), Hold::of(&socket, &config)?);
            let named = place.interface.as_deref();
            let card = keeper.and_then(|keeper| stamped(source, named, &socket, keeper));
            let slots = slots_for(options.capture_period);
            let (mut port, worker_port) = capture::connect(self.id, socket, slots, &leg.shared)?;
            if let Some(link) = card {
                port.stamp_by(link);
            }
            Ok((granted, hold, (port, worker_port)))
        });
        match connected {
            Ok((granted, hold, (mut port, worker_port))) => {
                if granted < options.receive_buffer {
                    tracing::warn!(
                        source = %source.id, asked = options.receive_buffer, granted,
                        "the receive buffer is smaller than asked for; raise net.core.rmem_max or give CAP_NET_ADMIN"
                    );
                }
                leg.granted = granted;
                leg.error = None;
                leg.open = true;
                leg.hold = Some(hold);
                port.leg = leg.leg;
                Ok((port, worker_port))
            }
            Err(error) => {
                leg.let_go(kept);
                leg.error = Some(error.to_string());
                Err(error)
            }
        }
    }
}

/// Has a flow's packets stamped by the card where it may, and gives the link to the card's clock; none where the kernel stamps.
pub(crate) fn stamped(
    source: &SourceConfig,
    named: Option<&str>,
    socket: &FlowSocket,
    keeper: &Keeper,
) -> Option<Arc<SharedLink>> {
    // The card's clock belongs to the interface's name, however the source names it.
    let interface = interface_ref(named?).find().ok()?.name;
    let card = keeper.card_of(&interface)?;
    match socket.stamp_by_card(&interface, card.virtual_clock) {
        Ok(()) => Some(card.link),
        Err(error) => {
            tracing::info!(source = %source.id, "{error}; the kernel's stamps are used");
            None
        }
    }
}

/// Slots for a flow at the usual period of 4 ms: 8 ms, a worker's turn, of 128,000 packets a second. A flood of rubbish fills
/// slots as audio does, whatever the flow's own rate.
const SLOTS: usize = 1_024;

pub(super) fn slots_for(period: Nanos) -> usize {
    SLOTS * (period.0 as usize).div_ceil(4_000_000).max(1)
}

/// Whether two configurations of a source mean the same flow. What else they say is for people.
pub(crate) fn same_flow(one: &SourceConfig, other: &SourceConfig) -> bool {
    // Taken apart, so that a new field has to be judged here.
    let SourceConfig {
        id,
        name: _,
        description: _,
        address,
        port,
        payload_type,
        encoding,
        rate,
        channels,
        packet_frames,
        interface,
        source_filter,
        channel_names: _,
        media_clock_offset,
        ref_clock: _,
        second_leg,
        skew,
    } = one;
    (id, address, port, payload_type, encoding)
        == (&other.id, &other.address, &other.port, &other.payload_type, &other.encoding)
        && (rate, channels, packet_frames) == (&other.rate, &other.channels, &other.packet_frames)
        && (interface, source_filter) == (&other.interface, &other.source_filter)
        && *media_clock_offset == other.media_clock_offset
        && (second_leg, skew) == (&other.second_leg, &other.skew)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use audyn_api::ClockConfig;

    use super::*;

    #[test]
    fn a_flow_of_long_packets_has_as_many_slots_for_a_flood_as_any_other() {
        let slots = |packet_frames: Option<u16>, period| {
            let source = serde_json::from_value(serde_json::json!({
                "id": "a", "name": "a", "address": "127.0.0.1", "port": 0, "packet_frames": packet_frames,
            }));
            let options = EngineOptions {
                state: None,
                clock: ClockConfig::default(),
                capture_period: Nanos::from_millis(period),
                fifo_priority: None,
                lock_memory: false,
                receive_buffer: 65_536,
                sync_every_second: false,
                tai_offset: None,
                archive_root: PathBuf::new(),
                volume_chosen: None,
                mirror: None,
            };
            let mut flow = FlowEntry::new(0, source.unwrap());
            let (_, port) =
                flow.open_leg(0, &options, &mut KeptSockets::none(), None, Timestamp::ZERO).unwrap();
            port.slab.slots()
        };
        for packet_frames in [None, Some(6), Some(48), Some(192)] {
            // A worker's turn of 8 ms at 128,000 packets a second, whatever the flow's own packet time.
            assert!(slots(packet_frames, 4) >= 1_024, "{packet_frames:?}");
            assert!(slots(packet_frames, 8) >= 2_048, "{packet_frames:?}");
        }
    }
}
