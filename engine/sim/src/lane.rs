//! One sender and its way to the receiver.
//!
//! Owns: when a datagram arrives. The path keeps the order of what it is given, as a switch does; what changes the
//! order is the test sender's own impairments.

use core::convert::Infallible;

use audyn_core::flow::Leg;
use audyn_core::sender::{self, Sender, SenderError, Source, Span, Spans, Truth, index_sample};
use audyn_units::{ChannelCount, Encoding, FrameCount, FrameIndex, Mono, Nanos, SampleRate, Timestamp};

use crate::{Dice, LegFaults};

/// How a sender's datagrams become arrivals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// When the sender's position 0 is due.
    pub start: Timestamp<Mono>,
    /// How much faster than the receiver's clock the sender's runs, in parts per million.
    pub ppm: i64,
    /// The sender sends whole buffers of this length at once, when they are full (as GStreamer does); 0 sends each
    /// packet when it is due.
    pub buffer: Nanos,
    /// Each packet is late by 0 to this much, and never overtakes another.
    pub jitter: Nanos,
}

/// A sender's index signal: which, and from where on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// The number that its samples carry; see `audyn_core::sender::Index`.
    pub number: u32,
    /// The index that the sender's position 0 has.
    pub first: FrameIndex,
}

/// The index signal, moved so that it starts at `stream.first`.
#[derive(Debug)]
struct Moved {
    stream: Stream,
    encoding: Encoding,
}

impl Source for Moved {
    type Error = Infallible;

    fn fill(&mut self, at: FrameIndex, channels: ChannelCount, out: &mut [i32]) -> Result<usize, Infallible> {
        let (number, channels) = (self.stream.number, channels.get());
        let first = at + FrameCount(self.stream.first.0);
        for channel in 0..channels {
            let mut sample = index_sample(number, first, channel, self.encoding);
            let slope = index_slope(number, channel, self.encoding);
            // A plain loop: this runs for every sample of every test, unoptimised.
            let mut place = channel;
            while place < out.len() {
                out[place] = sample;
                sample = sample.wrapping_add(slope);
                place += channels;
            }
        }
        Ok(out.len() / channels)
    }
}

/// What a sample of the index signal has more than the one a frame before it, in the same channel; left-justified.
pub(crate) const fn index_slope(number: u32, channel: usize, encoding: Encoding) -> i32 {
    (((number * ChannelCount::MAX as u32 + channel as u32) * 2 + 1) << (32 - encoding.bits() as u32)) as i32
}

/// A sender under way.
#[derive(Debug)]
pub(crate) struct AudioLane {
    sender: Sender,
    source: Moved,
    path: Path,
    rate: SampleRate,
    packet: FrameCount,
    dice: Dice,
    leg: LegFaults,
    /// Whose fate is drawn, equally on both legs.
    fates: Dice,
    /// What was not lost on this way.
    delivered: Spans,
    latest: Timestamp<Mono>,
    /// The end of what the sender has made so far, as an index.
    horizon: FrameIndex,
    /// Datagrams of the slot that is arriving, the next one last.
    waiting: Vec<Vec<u8>>,
    spare: Vec<Vec<u8>>,
}

impl AudioLane {
    pub(crate) fn new(
        config: sender::Config,
        stream: Stream,
        path: Path,
        leg: LegFaults,
    ) -> Result<Self, SenderError> {
        let (rate, encoding) = (config.format.rate, config.format.encoding);
        Ok(Self {
            dice: Dice::new(config.seed, 1 + 8 * leg.leg.index() as u64),
            fates: Dice::new(config.seed, 3),
            leg,
            delivered: Spans::default(),
            packet: FrameCount(u64::from(config.format.packet_frames)),
            sender: Sender::new(config)?,
            source: Moved { stream, encoding },
            path,
            rate,
            latest: path.start,
            horizon: stream.first,
            waiting: Vec::new(),
            spare: Vec::new(),
        })
    }

    /// When the next datagram arrives; none after the last.
    pub(crate) fn peek(&mut self) -> Option<Timestamp<Mono>> {
        while self.waiting.is_empty() {
            let Ok(next) = self.sender.next(&mut self.source);
            let slot = next?;
            self.horizon = self.source.stream.first + FrameCount(slot.position.0) + self.packet;
            let due = self.rate.duration(FrameCount(slot.position.0));
            for (sent, datagram) in slot.packets() {
                if self.leg.drops(due, &mut self.fates) {
                    continue;
                }
                self.delivered.insert(Span { start: sent.position, frames: self.packet });
                let mut bytes = self.spare.pop().unwrap_or_default();
                bytes.clear();
                bytes.extend_from_slice(datagram);
                self.waiting.push(bytes);
            }
            self.waiting.reverse();
            let due = self.rate.duration(FrameCount(slot.position.0) + self.packet);
            let jitter = Nanos(self.dice.below(self.path.jitter.0 as u64 + 1) as i64);
            self.latest = self.leg.released(self.latest.max(self.path.leaves(due) + jitter));
        }
        Some(self.latest)
    }

    /// Takes the datagram that [`Self::peek`] told of.
    pub(crate) fn pop(&mut self, take: impl FnOnce(&[u8])) {
        let bytes = self.waiting.pop().expect("a datagram is taken after it was seen");
        take(&bytes);
        self.spare.push(bytes);
    }

    pub(crate) fn horizon(&self) -> FrameIndex {
        self.horizon
    }

    pub(crate) fn stream(&self) -> Stream {
        self.source.stream
    }

    pub(crate) fn truth(&self) -> &Truth {
        self.sender.truth()
    }

    pub(crate) fn delivered(&self) -> &Spans {
        &self.delivered
    }

    pub(crate) fn leg(&self) -> Leg {
        self.leg.leg
    }
}

impl Path {
    /// When a packet leaves that is full at `due` of the sender's clock, on the receiver's clock.
    fn leaves(&self, due: Nanos) -> Timestamp<Mono> {
        let sent = match self.buffer.0 {
            0 => due.0,
            buffer => (due.0 + buffer - 1) / buffer * buffer,
        };
        self.start + Nanos(sent - sent / 1_000 * self.ppm / 1_000)
    }
}

#[cfg(test)]
mod tests {
    use audyn_core::sender::Index;

    use super::*;

    #[test]
    fn the_signal_is_the_index_signal() {
        for encoding in [Encoding::L16, Encoding::L24] {
            let channels = ChannelCount::new(8).unwrap();
            let (mut moved, mut wanted) = (vec![0; 800], vec![0; 800]);
            let stream = Stream { number: 399, first: FrameIndex(1 << 40) };
            let at = FrameIndex(65_500);
            Moved { stream, encoding }.fill(at, channels, &mut moved).unwrap();
            Index { stream: 399, encoding }.fill(at + FrameCount(1 << 40), channels, &mut wanted).unwrap();
            assert_eq!(moved, wanted);
        }
    }

    #[test]
    fn buffers_leave_at_once_and_a_fast_clock_is_early() {
        let path =
            Path { start: Timestamp::ZERO, ppm: 100, buffer: Nanos::from_millis(20), jitter: Nanos::ZERO };
        let left = |millis| path.leaves(Nanos::from_millis(millis)).as_nanos();
        assert_eq!(left(1), 20_000_000 - 2_000);
        assert_eq!(left(20), left(1));
        assert_eq!(left(21), 40_000_000 - 4_000);
        assert_eq!(
            Path { buffer: Nanos::ZERO, ppm: -100, ..path }.leaves(Nanos::from_secs(10)).as_nanos(),
            10_001_000_000
        );
    }
}
