//! Two legs of one flow (ST 2022-7): how the second one is configured, and what each one does.

use std::net::IpAddr;

use audyn_units::Ssrc;
use serde::{Deserialize, Serialize};

use crate::config::rtp_port;

/// Where the second leg of a source is received. All else it shares with the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegConfig {
    /// Multicast group, or the local unicast address that it is sent to.
    pub address: IpAddr,
    /// UDP port.
    #[serde(default = "rtp_port")]
    pub port: u16,
    /// Network interface by name or address; none takes that of the first leg.
    #[serde(default)]
    pub interface: Option<String>,
    /// Accept only this sender (source-specific multicast, RFC 4607).
    #[serde(default)]
    pub source_filter: Option<IpAddr>,
}

/// What a leg does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LegState {
    /// Nothing of the flow has come on it.
    #[default]
    Waiting,
    /// The flow comes on it.
    Receiving,
    /// The flow came on it and has stopped.
    Silent,
    /// It carries another stream than the other leg: check its address. Nothing of it is recorded.
    Differs,
    /// Its socket could not be opened; [`LegSnapshot::error`] says why. It is tried again.
    Failed,
}

/// One leg of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LegSnapshot {
    /// Where it is received: `239.69.1.2:5004`.
    pub address: String,
    /// The interface, as configured.
    pub interface: Option<String>,
    /// What it does.
    pub state: LegState,
    /// The SSRC on this leg, once known; the two may differ.
    pub ssrc: Option<Ssrc>,
    /// The sender's address on this leg, once known.
    pub sender: Option<IpAddr>,
    /// What has been counted on it.
    pub counters: LegCounters,
    /// How far the last packet of this leg came after the other leg's copy of it, in nanoseconds; 0 on the leg that leads.
    pub behind_nanos: u64,
    /// Receive buffer that the kernel granted, in bytes.
    pub receive_buffer_bytes: u64,
    /// Why the leg failed, in a sentence.
    pub error: Option<String>,
}

/// What the recording had of a leg since the flow was opened, in packets unless the name says otherwise. What the leg's network
/// did is told by [`LegStatistics`](crate::LegStatistics), by other rules; its page holds the two against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LegCounters {
    /// Of the flow, repeats and late ones among them.
    pub received: u64,
    /// Bytes of those, RTP header included.
    pub bytes: u64,
    /// Brought audio that had not come before; of two whole legs without skew, half on each.
    pub used: u64,
    /// Missing on this leg, by its sequence numbers; known when a later one comes, and while the leg is silent by what the other brings.
    pub lost: u64,
    /// Came so long after the newest that they could not have filled a hole.
    pub late: u64,
    /// Came after a later one of this leg.
    pub reordered: u64,
    /// Came again on this leg.
    pub duplicated: u64,
    /// Valid RTP, but of another stream.
    pub foreign: u64,
    /// Had the sequence number and timestamp of a packet of the other leg, and other audio.
    pub differing: u64,
    /// Refused for their form: no RTP, another payload type, no whole frames, larger than a slot.
    pub refused: u64,
    /// Dropped by the kernel because the receive buffer was full.
    pub kernel_dropped: u64,
}
