//! The second reading: each stream through a receiver and statistics of its own, and legs also through one together.
//!
//! Owns: the order in which packets reach the receivers, and the files that their audio goes to. Never: reorders a capture; a
//! receiver is given times that never go back, as a socket's do, and the statistics the times that the file says.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use audyn_core::flow::stats::{Arrived, LegStats, Marks, link_offset};
use audyn_core::flow::{FlowEvent, FlowSink, Gap, Leg, Placed, Receiver};
use audyn_media::{Facts, MediaError, PcmDepth, WavSpec, WavWriter};
use audyn_units::{Encoding, FrameCount, FrameIndex, Mono, SkewClass, Timestamp};
use audyn_wire::rtp::Packet;

use super::AnalyzeError;
use crate::capture::shape::Way;
use crate::capture::{Datagram, Layers, Survey, read, take_apart};

/// How often receivers are told that time passes, as a worker would.
const TURN: i64 = 10_000_000;

/// Gaps that are kept of one stream; more are counted.
const GAPS: usize = 100_000;

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

/// Where audio goes.
#[derive(Debug)]
pub(super) enum Output {
    File(PathBuf),
    Directory(PathBuf),
}

/// What the capturing machine's clock counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CaptureClock {
    Utc,
    Tai,
}

/// What came of one stream.
#[derive(Debug)]
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
#[derive(Debug)]
pub(super) struct Merged {
    pub(super) merger: Merger,
    pub(super) receiver: Receiver,
    pub(super) sink: Sink,
    /// By how much one leg may lag.
    pub(super) class: SkewClass,
    /// How much later a packet came by the second leg than by the first: least and greatest.
    pub(super) skew: Option<(i64, i64)>,
    seen: HashMap<(u16, u32), (usize, i64)>,
    latest: i64,
}

/// All that came of the file.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) lines: Vec<Line>,
    pub(super) merged: Vec<Merged>,
    pub(super) last: i64,
}

/// Takes a receiver's timeline: counts it, lists its gaps, and writes it if wanted.
#[derive(Debug, Default)]
pub(super) struct Sink {
    pub(super) gaps: Vec<Gap>,
    pub(super) gaps_more: u64,
    pub(super) frames: u64,
    pub(super) filled: u64,
    pub(super) path: Option<PathBuf>,
    writer: Option<WavWriter>,
    error: Option<MediaError>,
}

impl FlowSink for Sink {
    // No clock is told, so there is one stretch, which begins with frame 0.
    fn placed(&mut self, _: &Placed) {}

    fn audio(&mut self, _: FrameIndex, samples: &[i32]) {
        self.write(|writer| writer.append(samples));
    }

    fn silence(&mut self, _: FrameIndex, frames: FrameCount) {
        self.filled += frames.0;
        self.write(|writer| writer.append_silence(frames));
    }

    fn gap_opened(&mut self, _: Gap) {}

    fn gap_closed(&mut self, gap: Gap) {
        if self.gaps.len() < GAPS {
            self.gaps.push(gap);
        } else {
            self.gaps_more += 1;
        }
    }

    fn event(&mut self, _: FlowEvent) {}
}

impl Sink {
    fn write(&mut self, what: impl FnOnce(&mut WavWriter) -> Result<(), MediaError>) {
        if let Some(writer) = &mut self.writer
            && let Err(error) = what(writer)
        {
            self.writer = None;
            self.error = Some(error);
        }
    }

    fn finish(&mut self) -> Result<(), MediaError> {
        match (self.writer.take(), self.error.take()) {
            (_, Some(error)) => Err(error),
            (Some(writer), None) => writer.close(),
            (None, None) => Ok(()),
        }
    }
}

impl Output {
    /// A file for one stream, or a directory for several.
    pub(super) fn at(path: &Path, survey: &Survey, mergers: &[Merger]) -> Result<Self, AnalyzeError> {
        let whole = survey.flows.len() - mergers.iter().map(|merger| merger.flows.len() - 1).sum::<usize>();
        let named = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        if whole == 1 && !named && !path.is_dir() {
            return Ok(Self::File(path.to_owned()));
        }
        if path.extension().is_some_and(|extension| extension == "wav") && !path.is_dir() {
            return Err(AnalyzeError::Usage(format!(
                "the capture has {whole} streams, and {} is one file; choose one by --flow, or give a directory",
                path.display()
            )));
        }
        std::fs::create_dir_all(path)
            .map_err(|error| AnalyzeError::Directory { path: path.to_owned(), reason: error.to_string() })?;
        Ok(Self::Directory(path.to_owned()))
    }

    /// Opens the file of one stream, or of the legs together. Of legs, only a directory gets each by itself.
    fn open(&self, survey: &Survey, flows: &[usize], is_leg: bool) -> Result<Sink, MediaError> {
        let form = &survey.flows[flows[0]].form;
        let names = flows.iter().map(|flow| {
            let to = survey.shapes.shapes[survey.flows[*flow].shape].way.destination;
            format!("{}-{}", to.ip().to_string().replace(':', "_"), to.port())
        });
        let name = names.collect::<Vec<_>>().join("+");
        let path = match self {
            Self::File(_) if is_leg => return Ok(Sink::default()),
            Self::File(path) => path.clone(),
            Self::Directory(directory) => directory.join(format!("{name}.wav")),
        };
        let depth = match form.format.encoding {
            Encoding::L16 => PcmDepth::Pcm16,
            Encoding::L24 => PcmDepth::Pcm24,
        };
        let spec = WavSpec { rate: form.format.rate, channels: form.format.channels, depth };
        // Of a capture no instant is told: its clock may be UTC, TAI or wrong.
        let originator = concat!("Audyn ", env!("CARGO_PKG_VERSION")).to_owned();
        let facts = Facts { description: name, originator, ..Facts::default() };
        let mut writer = WavWriter::create(&path, spec, &facts)?;
        writer.set_source_depth(depth);
        Ok(Sink { path: Some(path), writer: Some(writer), ..Sink::default() })
    }
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
    let open = |flows: &[usize], is_leg| {
        output.map_or_else(|| Ok(Sink::default()), |output| output.open(survey, flows, is_leg))
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
            sink: open(&[at], in_merger(at))?,
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
            sink: open(&merger.flows, false)?,
            merger,
            skew: None,
            seen: HashMap::new(),
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
        line.sink.frames = line.receiver.position().0;
        line.sink.finish()?;
    }
    for legs in &mut merged {
        legs.receiver.flush(&mut legs.sink);
        legs.sink.frames = legs.receiver.position().0;
        legs.sink.finish()?;
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
        let place = (header.sequence.0, header.timestamp.0);
        let first = self.merger.flows[0];
        match self.seen.get(&place).copied() {
            // A copy on one leg: the first of them is what the other leg's is compared with.
            Some((other, _)) if other == flow => {}
            Some((_, came)) => {
                self.seen.remove(&place);
                let skew = if flow == first { came - at } else { at - came };
                let (least, greatest) = self.skew.unwrap_or((skew, skew));
                self.skew = Some((least.min(skew), greatest.max(skew)));
            }
            None => {
                // What one leg lost waits here for ever; what is older than any skew class is let go.
                if self.seen.len() >= 65_536 {
                    self.seen.retain(|_, (_, came)| at - *came < 1_000_000_000);
                }
                self.seen.insert(place, (flow, at));
            }
        }
    }
}
