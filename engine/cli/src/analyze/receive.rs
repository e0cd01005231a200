//! The second reading: each stream through a receiver and statistics of its own, and legs also through one together.
//!
//! Owns: the order in which packets reach the receivers. Never: reorders a capture; a
//! receiver is given times that never go back, as a socket's do, and the statistics the times that the file says.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use audyn_core::flow::stats::{Arrived, LegStats, Marks, link_offset};
use audyn_core::flow::{Leg, Receiver};
use audyn_units::{FrameCount, FrameIndex, Mono, SkewClass, Timestamp};
use audyn_wire::rtp::Packet;

use super::AnalyzeError;
use super::sink::{Began, Output, Sink};
use super::skew::Skew;
use crate::capture::shape::Way;
use crate::capture::{Datagram, Layers, Survey, read, take_apart};

/// How often receivers are told that time passes, as a worker would.
const TURN: i64 = 10_000_000;

/// A link offset outside of this is no link offset, but another clock.
const LINK_OFFSETS: std::ops::Range<i64> = -5_000_000..500_000_000;

/// Streams that carry the same.
#[derive(Debug, Clone)]
pub(super) struct Merger {
    /// Their places among the flows.
    pub(super) flows: Vec<usize>,
    /// What tells so.
    pub(super) by: &'static str,
}

/// What the capturing machine's clock counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CaptureClock {
    Utc,
    Tai,
}

/// What came of one stream.
pub(super) struct Line {
    pub(super) receiver: Receiver,
    pub(super) stats: LegStats,
    pub(super) sink: Sink,
    pub(super) clock: Option<CaptureClock>,
    /// Packets of which the capture holds only the beginning.
    pub(super) cut: u64,
    media_offset: u32,
    latest: i64,
    late: u64,
}

/// What came of legs together.
pub(super) struct Merged {
    pub(super) merger: Merger,
    pub(super) receiver: Receiver,
    pub(super) sink: Sink,
    /// By how much one leg may lag.
    pub(super) class: SkewClass,
    /// How much later the second leg comes than the first.
    pub(super) skew: Skew,
    latest: i64,
}

/// All that came of the file.
pub(super) struct Received {
    pub(super) lines: Vec<Line>,
    pub(super) merged: Vec<Merged>,
    pub(super) last: i64,
}

/// Lets the capture through.
pub(super) fn receive(
    path: &Path,
    survey: &Survey,
    mergers: Vec<Merger>,
    output: Option<&Output>,
    tai_offset: i64,
    class: SkewClass,
) -> Result<Received, AnalyzeError> {
    let open = |flows: &[usize], is_leg, clock| {
        let began = flows.iter().map(|flow| survey.shapes.shapes[survey.flows[*flow].shape].first_at).min();
        let began = Began { at: began.expect("a stream has a leg"), clock, tai_offset };
        output.map_or_else(|| Ok(Sink::default()), |output| output.open(survey, flows, is_leg, began))
    };
    let in_merger = |flow: usize| mergers.iter().any(|merger| merger.flows.contains(&flow));
    let mut lines = Vec::new();
    let mut by_way = HashMap::new();
    for (at, flow) in survey.flows.iter().enumerate() {
        let shape = &survey.shapes.shapes[flow.shape];
        let format = flow.form.format;
        let media_offset = flow.media.as_ref().and_then(|media| media.media_clock_offset).unwrap_or(0);
        let clock = shape.first_timestamp().and_then(|(arrival, timestamp)| {
            let fits = |tai| {
                LINK_OFFSETS.contains(
                    &link_offset(Timestamp::from_nanos(tai), media_offset, timestamp, format.rate).0,
                )
            };
            match (fits(arrival + tai_offset * 1_000_000_000), fits(arrival)) {
                (true, _) => Some(CaptureClock::Utc),
                (false, true) => Some(CaptureClock::Tai),
                (false, false) => None,
            }
        });
        by_way.insert(shape.way, at);
        lines.push(Line {
            receiver: Receiver::new(format, FrameIndex(0)),
            stats: LegStats::new(format.rate),
            sink: open(&[at], in_merger(at), clock)?,
            clock,
            cut: 0,
            media_offset,
            latest: i64::MIN,
            late: 0,
        });
    }
    let mut merged = Vec::new();
    for merger in mergers {
        merged.push(Merged {
            receiver: Receiver::with_second_leg(
                survey.flows[merger.flows[0]].form.format,
                FrameIndex(0),
                class,
            ),
            class,
            sink: open(&merger.flows, false, lines[merger.flows[0]].clock)?,
            skew: Skew::new(survey.flows[merger.flows[0]].form.format.rate),
            merger,
            latest: i64::MIN,
        });
    }
    let mut whole = Vec::new();
    let mut turned = i64::MIN;
    let mut last = i64::MIN;
    read(path, |frame| {
        last = last.max(frame.at);
        if last.saturating_sub(turned) >= TURN {
            turned = last;
            let now = Timestamp::from_nanos(last);
            lines.iter_mut().for_each(|line| line.receiver.on_time(now, &mut line.sink));
            merged.iter_mut().for_each(|legs| legs.receiver.on_time(now, &mut legs.sink));
        }
        if let Layers::Udp(datagram) = take_apart(&frame)
            && let Some(at) = by_way.get(&Way::of(&datagram)).copied()
        {
            // What the capture cut off becomes silence: positions and gaps are right all the same.
            let cut = datagram.payload.len() < datagram.length;
            let bytes = if cut {
                whole.clear();
                whole.extend_from_slice(datagram.payload);
                whole.resize(datagram.length.min(65_535), 0);
                &whole[..]
            } else {
                datagram.payload
            };
            lines[at].take(&datagram, bytes, cut, tai_offset);
            for legs in merged.iter_mut().filter(|legs| legs.merger.flows.contains(&at)) {
                legs.take(at, datagram.at, bytes);
            }
        }
        ControlFlow::Continue(())
    })?;
    for line in &mut lines {
        line.receiver.flush(&mut line.sink);
        line.sink.finish(FrameCount(line.receiver.position().0))?;
    }
    for legs in &mut merged {
        legs.receiver.flush(&mut legs.sink);
        legs.sink.finish(FrameCount(legs.receiver.position().0))?;
    }
    Ok(Received { lines, merged, last })
}

impl Line {
    fn take(&mut self, datagram: &Datagram<'_>, bytes: &[u8], cut: bool, tai_offset: i64) {
        self.cut += u64::from(cut);
        let format = *self.receiver.format();
        let arrival = Timestamp::<Mono>::from_nanos(datagram.at);
        if let Ok(packet) = Packet::parse(bytes)
            && packet.header.payload_type == format.payload_type
            && !packet.payload.is_empty()
            && packet.payload.len().is_multiple_of(format.frame_bytes())
        {
            let tai = self.clock.map(|clock| match clock {
                CaptureClock::Utc => datagram.at + tai_offset * 1_000_000_000,
                CaptureClock::Tai => datagram.at,
            });
            let timestamp = packet.header.timestamp;
            self.stats.observe(&Arrived {
                arrival,
                header: packet.header,
                frames: (packet.payload.len() / format.frame_bytes()) as u32,
                bytes: bytes.len(),
                marks: Marks {
                    source: Some(datagram.source.ip()),
                    dscp: Some(datagram.dscp),
                    ttl: Some(datagram.ttl),
                },
                link_offset: tai.map(|tai| {
                    link_offset(Timestamp::from_nanos(tai), self.media_offset, timestamp, format.rate)
                }),
            });
        }
        self.latest = self.latest.max(datagram.at);
        self.receiver.on_packet(Timestamp::from_nanos(self.latest), bytes, &mut self.sink);
        let late = self.receiver.counters().late;
        (self.late..late).for_each(|_| self.stats.note_late());
        self.late = late;
    }
}

impl Merged {
    fn take(&mut self, flow: usize, at: i64, bytes: &[u8]) {
        self.latest = self.latest.max(at);
        let leg = if flow == self.merger.flows[0] { Leg::First } else { Leg::Second };
        self.receiver.on_leg_packet(leg, Timestamp::from_nanos(self.latest), bytes, &mut self.sink);
        let Ok(Packet { header, .. }) = Packet::parse(bytes) else { return };
        if header.payload_type == self.receiver.format().payload_type {
            self.skew.take(leg == Leg::Second, at, header.sequence, header.timestamp);
        }
    }
}
