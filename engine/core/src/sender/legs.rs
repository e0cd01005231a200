//! A stream that is sent twice (ST 2022-7): which datagram leaves on which leg, by plan and by seeded chance.
//!
//! Owns: that decision, and the record of it. Never: the datagrams, which are the same on both legs.

use audyn_units::{FrameCount, FrameIndex};
use rand_pcg::Pcg32;
use serde::{Deserialize, Serialize};

use super::impair::Chance;
use super::truth::{Sent, Span, Spans};

/// What is lost on which of two legs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LegFaults {
    /// For each leg, how likely a datagram is lost on it and comes on the other; at most half, since no datagram is lost on
    /// both.
    pub loss: Chance,
    /// When each leg is dead, by the positions that leave then.
    pub cuts: [Vec<Span>; 2],
}

/// What one leg carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegSent {
    /// Datagrams that left.
    pub datagrams: u64,
    /// Datagrams that did not.
    pub lost: u64,
}

/// The record of two legs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegsTruth {
    /// Each leg.
    pub legs: [LegSent; 2],
    /// What left on at least one of them.
    pub carried: Spans,
}

/// Decides for each datagram.
#[derive(Debug)]
pub struct LegFates {
    faults: LegFaults,
    packet: FrameCount,
    random: Pcg32,
    truth: LegsTruth,
}

impl LegFates {
    /// For packets of `packet` frames; the same seed loses the same.
    pub fn new(faults: LegFaults, packet: FrameCount, seed: u64) -> Self {
        // The sender's own generators have the streams 1 to 6 of the same seed.
        Self { faults, packet, random: Pcg32::new(seed, 7), truth: LegsTruth::default() }
    }

    /// Whether a datagram that carries `sent` and leaves at `now` does so on each leg.
    pub fn draw(&mut self, now: FrameIndex, sent: &Sent) -> [bool; 2] {
        let lost = self.faults.loss.one_of_two(&mut self.random);
        let leaves = [0, 1].map(|leg| {
            let cut = self.faults.cuts[leg].iter().any(|cut| cut.start <= now && now < cut.end());
            lost != Some(leg) && !cut
        });
        for (leg, leaves) in self.truth.legs.iter_mut().zip(leaves) {
            let count = if leaves { &mut leg.datagrams } else { &mut leg.lost };
            *count += 1;
        }
        if leaves.contains(&true) {
            self.truth.carried.insert(Span { start: sent.position, frames: self.packet });
        }
        leaves
    }

    /// What happened so far.
    pub fn truth(&self) -> &LegsTruth {
        &self.truth
    }
}

#[cfg(test)]
mod tests {
    use audyn_units::{RtpTime, SeqNo, Ssrc};

    use super::*;

    fn run(faults: LegFaults) -> LegsTruth {
        let mut fates = LegFates::new(faults, FrameCount(48), 9);
        for n in 0..10_000 {
            let position = FrameIndex(n * 48);
            let sent = Sent { position, sequence: SeqNo(n as u16), timestamp: RtpTime(0), ssrc: Ssrc(1) };
            fates.draw(position, &sent);
        }
        fates.truth().clone()
    }

    #[test]
    fn no_datagram_is_lost_on_both_legs_by_chance() {
        let truth = run(LegFaults { loss: Chance::new(0.5).unwrap(), ..LegFaults::default() });
        let whole = [Span { start: FrameIndex(0), frames: FrameCount(480_000) }];
        assert_eq!(truth.carried.as_slice(), whole);
        assert_eq!(truth.legs[0].datagrams + truth.legs[1].datagrams, 10_000);
        assert!((4_800..5_200).contains(&truth.legs[0].datagrams), "{truth:?}");
    }

    #[test]
    fn where_both_legs_are_dead_nothing_is_carried() {
        let span = |start, frames| Span { start: FrameIndex(start), frames: FrameCount(frames) };
        let truth = run(LegFaults {
            cuts: [vec![span(4_800, 9_600)], vec![span(9_600, 9_600)]],
            ..LegFaults::default()
        });
        assert_eq!(truth.carried.as_slice(), [span(0, 9_600), span(14_400, 465_600)]);
        assert_eq!(truth.legs.map(|leg| leg.lost), [200, 200]);
    }
}
