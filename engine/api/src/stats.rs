//! Statistics of a leg, and of how late the capture thread wakes.
//!
//! What the figures mean stands in the docs of `audyn_core::flow::stats`: jitter is RFC 3550's, TS-DF is EBU Tech 3337's over windows
//! of a second.

use std::net::IpAddr;

use audyn_units::Ssrc;
use serde::{Deserialize, Serialize};

/// Upper edges, in nanoseconds, of the buckets of [`LegPeriod::intervals`] but the last, which has none.
pub const INTERVAL_EDGES_NANOS: [u64; 35] = [
    9_290,
    13_100,
    18_600,
    26_300,
    37_200,
    52_600,
    74_300,
    105_000,
    149_000,
    210_000,
    297_000,
    420_000,
    595_000,
    841_000,
    1_190_000,
    1_680_000,
    2_380_000,
    3_360_000,
    4_760_000,
    6_730_000,
    9_510_000,
    13_500_000,
    19_000_000,
    26_900_000,
    38_100_000,
    53_800_000,
    76_100_000,
    108_000_000,
    152_000_000,
    215_000_000,
    304_000_000,
    431_000_000,
    609_000_000,
    861_000_000,
    1_220_000_000,
];

/// Upper edges, in nanoseconds, of the buckets of [`WakeupLateness::counts`] but the last, which has none.
pub const LATENESS_EDGES_NANOS: [u64; 13] = [
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
];

/// One leg of a flow, as a network engineer asks of it.
///
/// A leg is counted twice, for two questions. This tells what its *network* did, for one source by its sequence numbers
/// (RFC 3550 A.1), whatever became of the packets. [`LegCounters`](crate::LegCounters) tells what the *recording* had of it:
///
/// | figure | `LegStatistics` | `LegCounters` |
/// |---|---|---|
/// | lost | numbers that did not come, also before the first packet that counts | holes in what is the flow's, less stragglers |
/// | late | the place was written already, by silence: audio that was missed | further behind the newest than the skew class allows: the class is too small |
/// | reordered, duplicated | up to 200 numbers back; what is further off is a stray or a restart | up to 16,384 packets back, as long as a leg may lag |
/// | foreign | another SSRC, or another address, while the source sends | not the flow's audio, by comparison with the other leg |
///
/// So on a leg that carries another stream (`differs`) the statistics describe that stream, and the counters call it foreign.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LegStatistics {
    /// The source that is followed.
    pub ssrc: Option<Ssrc>,
    /// The sender's address.
    pub sender: Option<IpAddr>,
    /// Every differentiated services code point that was seen, least first. Reported, never filtered on. This and TTL are looked at
    /// for a moment each second.
    pub dscps: Vec<u8>,
    /// The least TTL or hop limit that was seen.
    pub ttl_min: Option<u8>,
    /// The greatest TTL or hop limit that was seen.
    pub ttl_max: Option<u8>,
    /// Packets that should have come (RFC 3550 A.3), and those that the other leg tells of while this one is silent.
    pub expected: u64,
    /// Expected less received, copies counted as received (RFC 3550 A.3); may be negative.
    pub rfc3550_lost: i64,
    /// How often the counters began anew: another source, or other numbers.
    pub restarts: u64,
    /// How often timestamps jumped while the numbers went on.
    pub timestamp_jumps: u64,
    /// Packets that fitted to nothing and stayed alone.
    pub strays: u64,
    /// Packets of another source while this one sent.
    pub foreign: u64,
    /// Interarrival jitter as it stands (RFC 3550 §6.4.1).
    pub jitter_nanos: i64,
    /// The same in units of the RTP timestamp.
    pub jitter_ticks: u64,
    /// TS-DF of the last whole second.
    pub ts_df_nanos: Option<i64>,
    /// Arrival less media time of the last packet; none without a clock that tells it.
    pub link_offset_nanos: Option<i64>,
    /// Figures since the flow was opened.
    pub since_start: LegPeriod,
    /// Figures of the last sixty seconds, the one at hand included.
    pub last_minute: LegPeriod,
}

/// Figures over a stretch of time, in packets unless the name says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LegPeriod {
    /// Valid packets of the source, copies and late ones among them.
    pub packets: u64,
    /// Bytes of those, RTP headers included.
    pub bytes: u64,
    /// Sequence numbers that did not come. Falls when a straggler comes after all.
    pub lost: u64,
    /// Frames that did not come.
    pub lost_frames: u64,
    /// Came after a later one.
    pub reordered: u64,
    /// Came again.
    pub duplicated: u64,
    /// Came after their place had been filled.
    pub late: u64,
    /// Mean jitter.
    pub jitter_mean_nanos: i64,
    /// Greatest jitter.
    pub jitter_max_nanos: i64,
    /// Greatest TS-DF.
    pub ts_df_max_nanos: Option<i64>,
    /// Shortest interval between two arrivals.
    pub interval_min_nanos: Option<i64>,
    /// Longest interval between two arrivals.
    pub interval_max_nanos: Option<i64>,
    /// All intervals together.
    pub interval_sum_nanos: i64,
    /// Least link offset.
    pub link_offset_min_nanos: Option<i64>,
    /// Greatest link offset.
    pub link_offset_max_nanos: Option<i64>,
    /// How many intervals were how long; see [`INTERVAL_EDGES_NANOS`].
    pub intervals: Vec<u64>,
}

/// How late the capture thread woke after its ticks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WakeupLateness {
    /// The latest since the start.
    pub worst_nanos: u64,
    /// The latest of the last sixty seconds; what is above 4.29 s is told as that.
    pub last_minute_worst_nanos: u64,
    /// All together.
    pub sum_nanos: u64,
    /// How many wake-ups were how late; see [`LATENESS_EDGES_NANOS`].
    pub counts: Vec<u64>,
}
