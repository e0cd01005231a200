//! How a flow stands on the clock.

use audyn_units::ClockQuality;
use serde::{Deserialize, Serialize};

/// How a flow's positions were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// From the sender's media clock: exact.
    MediaClock,
    /// From this machine's clock when the first packet arrived: estimated.
    Arrival,
}

/// How a flow stands on the clock. Positions are frames since the PTP epoch, 1970-01-01 00:00:00 TAI.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct FlowTiming {
    /// By what the flow was placed; none before its first packet.
    pub placement: Option<Placement>,
    /// How good this machine's clock was then.
    pub quality: ClockQuality,
    /// By how many parts per million the sender's clock runs faster than this machine's; none until it can be said.
    pub drift_ppm: Option<f64>,
    /// How much later than its position says a frame arrives, by this machine's clock, in nanoseconds: the way of the packets, and what
    /// the two clocks are apart.
    pub behind_nanos: Option<i64>,
}
