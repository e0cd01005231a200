//! A scenario without a receiver: what arrives, and when the reader turns, in order.
//!
//! Owns: the same order as [`crate::World`], written down, for whoever must see each call of a receiver by itself (an
//! allocator that watches it, a counter of instructions).

use audyn_units::{Mono, Nanos, Timestamp};

use crate::lane::AudioLane;
use crate::scenario::START;
use crate::{LegFaults, Rubbish, Scenario, Stream};

/// One call of a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A datagram that arrived then.
    Packet(Timestamp<Mono>, Vec<u8>),
    /// The end of a turn.
    Time(Timestamp<Mono>),
}

impl Scenario {
    /// All that a receiver is told in this scenario.
    pub fn trace(&self) -> Vec<Step> {
        let lane = |(config, stream, path)| {
            AudioLane::new(config, stream, path, LegFaults::default())
                .expect("a scenario draws only what a sender can do")
        };
        let mut lanes = vec![lane((self.config.clone(), self.stream, self.path))];
        if let Some((config, path)) = &self.stranger {
            let stream = Stream { number: self.stream.number + 1, ..self.stream };
            lanes.push(lane((config.clone(), stream, *path)));
        }
        let mut rubbish = self.draw_rubbish();
        let mut steps = Vec::new();
        let mut now = START;
        loop {
            now += self.grid;
            let stalled = self.stalls.iter().any(|&(from, length)| from <= now && now < from + length);
            while let Some((arrival, which)) = earliest(&mut lanes, rubbish.as_ref())
                && arrival <= now
                && !stalled
            {
                let mut bytes = Vec::new();
                match which {
                    Some(lane) => lanes[lane].pop(|datagram| bytes.extend_from_slice(datagram)),
                    None => rubbish.iter_mut().for_each(|rubbish| rubbish.pop(&mut bytes)),
                }
                steps.push(Step::Packet(arrival, bytes));
            }
            if !stalled {
                steps.push(Step::Time(now));
            }
            if earliest(&mut lanes, rubbish.as_ref()).is_none() {
                // Long enough for the receiver to see an outage.
                steps.extend((1..=300).map(|n| Step::Time(now + Nanos::from_millis(8) * n)));
                return steps;
            }
        }
    }
}

/// The earliest arrival, and the lane that it comes from; none for rubbish.
fn earliest(lanes: &mut [AudioLane], rubbish: Option<&Rubbish>) -> Option<(Timestamp<Mono>, Option<usize>)> {
    let mut first = rubbish.and_then(Rubbish::peek).map(|arrival| (arrival, None));
    for (number, lane) in lanes.iter_mut().enumerate() {
        if let Some(arrival) = lane.peek()
            && first.is_none_or(|(earliest, _)| arrival < earliest)
        {
            first = Some((arrival, Some(number)));
        }
    }
    first
}
