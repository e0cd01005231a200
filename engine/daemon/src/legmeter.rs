//! A worker's statistics of one leg, and how they are told to control.
//!
//! Owns: which of a leg's datagrams count (those whose payload the receiver would take; whose they are by their SSRC is `core::flow::stats`'
//! to say, by their address the receiver's), and how often figures are handed over. Never: a
//! judgement about where audio belongs.

use std::net::SocketAddr;

use audyn_api::{LegPeriod, LegStatistics};
use audyn_core::clock::TaiReading;
use audyn_core::flow::stats::{Arrived, LegFigures, LegReading, LegStats, Marks, link_offset};
use audyn_core::flow::{FlowFormat, Placement, Receiver};
use audyn_units::{Mono, Nanos, Timestamp};
use audyn_wire::rtp::Packet;

use crate::capture::Filled;

/// How often figures are handed over. Summing a minute takes some microseconds, so not at each turn.
const TELL_EACH: Nanos = Nanos::from_millis(250);

/// See the module.
#[derive(Debug)]
pub(crate) struct LegMeter {
    stats: LegStats,
    told: Timestamp<Mono>,
    /// What the receiver said it had missed.
    missed: u64,
    /// The address that the receiver followed when something last came from another; none while nothing does.
    followed: Option<SocketAddr>,
}

impl LegMeter {
    /// Allocates all that it will ever need.
    pub(crate) fn new(format: &FlowFormat) -> Self {
        Self { stats: LegStats::new(format.rate), told: Timestamp::ZERO, missed: 0, followed: None }
    }

    /// A datagram came from another address than the receiver `followed`; `late` as in [`Self::take`].
    pub(crate) fn elsewhere(&mut self, followed: Option<SocketAddr>, late: u64) {
        self.stats.note_elsewhere();
        self.followed = self.followed.or(followed);
        (0..late).for_each(|_| self.stats.note_late());
    }

    /// Takes a datagram that the receiver has taken, too; `late` is how many more it calls late since.
    pub(crate) fn take(
        &mut self,
        filled: &Filled,
        bytes: &[u8],
        receiver: &Receiver,
        clock: &TaiReading,
        late: u64,
    ) {
        let format = receiver.format();
        // Only timestamps that agree with the machine's clock tell how long a packet was under way.
        let agrees = receiver.placement().is_some_and(|(placement, _)| placement == Placement::MediaClock);
        let tai = agrees.then(|| clock.tai() + (filled.arrival - clock.at));
        if let Ok(packet) = Packet::parse(bytes)
            && packet.header.payload_type == format.payload_type
            && !packet.payload.is_empty()
            && packet.payload.len().is_multiple_of(format.frame_bytes())
        {
            if let Some(followed) = self.followed.take()
                && followed != SocketAddr::new(filled.sender, filled.port)
            {
                self.stats.note_moved();
            }
            self.stats.observe(&Arrived {
                arrival: filled.arrival,
                header: packet.header,
                frames: (packet.payload.len() / format.frame_bytes()) as u32,
                bytes: bytes.len(),
                marks: Marks { source: Some(filled.sender), dscp: filled.dscp, ttl: filled.ttl },
                link_offset: tai.map(|tai| {
                    link_offset(tai, receiver.media_clock_offset(), packet.header.timestamp, format.rate)
                }),
            });
        }
        (0..late).for_each(|_| self.stats.note_late());
    }

    /// Takes note of what this leg has missed while it was silent, as the other one tells.
    pub(crate) fn miss(&mut self, now: Timestamp<Mono>, (packets, frames): (u64, u32)) {
        let more = packets - std::mem::replace(&mut self.missed, packets);
        if more > 0 {
            self.stats.note_missed(now, more, frames);
        }
    }

    /// Whether anything has come.
    pub(crate) fn has_heard(&self) -> bool {
        self.stats.ssrc().is_some()
    }

    /// The figures, if it is time to hand them over.
    pub(crate) fn due(&mut self, now: Timestamp<Mono>) -> Option<LegReading> {
        if now - self.told < TELL_EACH {
            return None;
        }
        self.told = now;
        Some(self.stats.reading(now))
    }
}

/// A leg's figures in the contract's words.
pub(crate) fn statistics(reading: &LegReading) -> LegStatistics {
    LegStatistics {
        ssrc: reading.ssrc,
        sender: reading.marks.source,
        dscps: (0..64).filter(|dscp| reading.dscps & (1 << dscp) != 0).collect(),
        ttl_min: reading.ttl.map(|(least, _)| least),
        ttl_max: reading.ttl.map(|(_, greatest)| greatest),
        expected: reading.expected,
        rfc3550_lost: reading.rfc_lost,
        restarts: reading.restarts,
        timestamp_jumps: reading.jumps,
        strays: reading.strays,
        foreign: reading.foreign,
        jitter_nanos: reading.jitter.0,
        jitter_ticks: reading.jitter_ticks.0,
        ts_df_nanos: reading.ts_df.map(|nanos| nanos.0),
        link_offset_nanos: reading.link_offset.map(|nanos| nanos.0),
        since_start: period(&reading.since_start),
        last_minute: period(&reading.last_minute),
    }
}

fn period(figures: &LegFigures) -> LegPeriod {
    let nanos = |of: Option<Nanos>| of.map(|nanos| nanos.0);
    LegPeriod {
        packets: figures.packets,
        bytes: figures.bytes,
        lost: figures.lost,
        lost_frames: figures.lost_frames,
        reordered: figures.reordered,
        duplicated: figures.duplicated,
        late: figures.late,
        jitter_mean_nanos: figures.jitter_mean().0,
        jitter_max_nanos: figures.jitter_max.0,
        ts_df_max_nanos: nanos(figures.ts_df_max),
        interval_min_nanos: nanos(figures.interval.least()),
        interval_max_nanos: nanos(figures.interval.greatest()),
        interval_sum_nanos: figures.interval_sum().0,
        link_offset_min_nanos: nanos(figures.link_offset.least()),
        link_offset_max_nanos: nanos(figures.link_offset.greatest()),
        intervals: figures.intervals.0.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use audyn_api::INTERVAL_EDGES_NANOS;
    use audyn_core::flow::stats::INTERVAL_EDGES;

    #[test]
    fn the_contract_names_the_buckets_that_are_counted() {
        assert_eq!(INTERVAL_EDGES_NANOS.map(|edge| edge as i64), INTERVAL_EDGES);
    }
}
