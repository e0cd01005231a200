//! The sink that believes nothing.
//!
//! Owns: the check of every promise in the receiver's contract, at the call that would break it. Never: a tolerance.
//! A broken promise panics and says where.
//!
//! What it holds a receiver to, over all that it is given:
//!
//! - each call starts where the one before ended, and none is empty;
//! - each sample is the one that the announced source sent at one index, and indices only grow: no frame twice, none
//!   backwards, none of another stream;
//! - position − media index is one number, and changes only where a gap that says *estimated* was closed just before. A
//!   media index is the index plus the steps that the sender's timestamps have made up to there;
//! - each stretch of silence is one gap, of the same position and length, closed before the audio after it.

use audyn_core::flow::{FlowEvent, FlowSink, Gap, Placed};
use audyn_core::sender::{PauseKind, Span, Spans, Step, Truth, index_position_of, index_sample};
use audyn_units::{ChannelCount, Encoding, FrameCount, FrameIndex, Ssrc};

use crate::Stream;
use crate::lane::index_slope;

/// What is known of a stream, and what has been heard of it.
#[derive(Debug)]
struct Heard {
    stream: Stream,
    sources: Vec<Ssrc>,
    /// How many of the truth's changes have been read.
    changes: usize,
    /// Steps of the timestamps, by index.
    steps: Vec<(FrameIndex, i64)>,
    /// Where the source stood still, clock and all: the next index follows without a frame between.
    stops: Vec<FrameIndex>,
    /// The end of what was sent so far.
    horizon: FrameIndex,
    /// Index after the last one heard.
    end: FrameIndex,
    kept: Spans,
}

/// The checking sink. See the module for what it checks.
#[derive(Debug)]
pub struct Tape {
    encoding: Encoding,
    channels: ChannelCount,
    streams: Vec<Heard>,
    /// Which of the streams the receiver says that it plays.
    playing: Option<usize>,
    first: Option<FrameIndex>,
    next: Option<FrameIndex>,
    offset: Option<i64>,
    /// The offset may change with the next frame.
    joint: bool,
    /// A stretch has begun, so the offset may change as well.
    anew: bool,
    silence: Option<Span>,
    opened: Option<Gap>,
    offsets: Vec<i64>,
    written: u64,
    filled: u64,
    gaps: Vec<Gap>,
    events: Vec<FlowEvent>,
    stretches: Vec<Stretch>,
    /// Of which stretch each gap is, by its number.
    gap_stretches: Vec<usize>,
    /// Silence whose gap nobody closed, since the receiver ended.
    abandoned: u64,
    abandoned_gaps: u64,
}

/// What stands between two places of a flow on the clock.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// How it was placed.
    pub placed: Placed,
    /// Position minus media index of its first audio, if it has any.
    pub offset: Option<i64>,
    /// Frames of audio and silence.
    pub frames: FrameCount,
}

impl Tape {
    /// A blank tape for audio of this form.
    pub fn new(encoding: Encoding, channels: ChannelCount) -> Self {
        Self {
            encoding,
            channels,
            streams: Vec::new(),
            playing: None,
            first: None,
            next: None,
            offset: None,
            joint: false,
            anew: false,
            silence: None,
            opened: None,
            offsets: Vec::new(),
            written: 0,
            filled: 0,
            gaps: Vec::new(),
            events: Vec::new(),
            stretches: Vec::new(),
            gap_stretches: Vec::new(),
            abandoned: 0,
            abandoned_gaps: 0,
        }
    }

    /// Position of the first frame.
    pub fn first(&self) -> Option<FrameIndex> {
        self.first
    }

    /// Frames of audio so far.
    pub fn written(&self) -> FrameCount {
        FrameCount(self.written)
    }

    /// Frames of silence so far.
    pub fn filled(&self) -> FrameCount {
        FrameCount(self.filled)
    }

    /// Silence at the end whose gap isn't closed.
    pub fn open_silence(&self) -> FrameCount {
        FrameCount(self.abandoned + self.silence.map_or(0, |span| span.frames.0))
    }

    /// Gaps that nobody closed.
    pub fn open_gaps(&self) -> u64 {
        self.abandoned_gaps + u64::from(self.silence.is_some())
    }

    /// Position minus media index, one for each stretch, in order.
    pub fn offsets(&self) -> &[i64] {
        &self.offsets
    }

    /// The ledger: every gap that was closed.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// The gaps of a stretch, by its number; the first has number 0.
    pub fn gaps_of(&self, stretch: usize) -> impl Iterator<Item = &Gap> {
        self.gaps
            .iter()
            .zip(&self.gap_stretches)
            .filter(move |(_, of)| **of == stretch + 1)
            .map(|(gap, _)| gap)
    }

    /// Another receiver takes over: it may begin anywhere, and knows nothing of what was open.
    pub(crate) fn restart(&mut self) {
        self.abandoned_gaps += u64::from(self.silence.is_some());
        self.abandoned += self.silence.take().map_or(0, |span| span.frames.0);
        self.opened = None;
        self.playing = None;
        (self.next, self.offset, self.joint) = (None, None, false);
    }

    /// The stretches between two places on the clock, in order; none if no clock was told.
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// What happened.
    pub fn events(&self) -> &[FlowEvent] {
        &self.events
    }

    /// Which indices of a stream were heard.
    pub fn kept(&self, number: u32) -> Spans {
        self.heard(number).map_or_else(Spans::default, |heard| heard.kept.clone())
    }

    fn heard(&self, number: u32) -> Option<&Heard> {
        self.streams.iter().find(|heard| heard.stream.number == number)
    }

    /// Learns what a sender is known to have done by now.
    pub(crate) fn learn(&mut self, stream: Stream, ssrc: Ssrc, truth: &Truth, horizon: FrameIndex) {
        let at =
            self.streams.iter().position(|heard| heard.stream.number == stream.number).unwrap_or_else(|| {
                self.streams.push(Heard {
                    stream,
                    sources: vec![ssrc],
                    changes: 0,
                    steps: Vec::new(),
                    stops: Vec::new(),
                    horizon,
                    end: FrameIndex(0),
                    kept: Spans::default(),
                });
                self.streams.len() - 1
            });
        let heard = &mut self.streams[at];
        if !heard.sources.contains(&ssrc) {
            heard.sources.push(ssrc);
        }
        if horizon < heard.horizon {
            // The later of two legs knows nothing new.
            return;
        }
        heard.horizon = horizon;
        if heard.stream != stream {
            // The same source again, from another index on; only its first sender's changes are followed.
            return;
        }
        for change in &truth.changes[heard.changes..] {
            match change.step {
                Step::Ssrc { to, .. } => heard.sources.push(to),
                Step::Timestamp { frames } => {
                    heard.steps.push((change.position + FrameCount(stream.first.0), frames));
                }
                Step::Sequence { .. } => {}
            }
        }
        heard.changes = truth.changes.len();
        let stopped = truth.pauses.iter().filter(|pause| pause.kind == PauseKind::Frozen);
        heard.stops.clear();
        heard.stops.extend(stopped.map(|pause| pause.span.start + FrameCount(stream.first.0)));
    }

    fn advance(&mut self, at: FrameIndex, frames: u64) {
        assert!(frames > 0, "an empty call at {at}");
        let next = *self.next.get_or_insert(at);
        assert_eq!(at, next, "not contiguous: {at} follows {next}");
        self.first.get_or_insert(at);
        self.next = Some(at + FrameCount(frames));
        if let Some(stretch) = self.stretches.last_mut() {
            stretch.frames += FrameCount(frames);
        }
    }

    /// Checks the longest part of a run that must be one piece; returns its frames.
    fn piece(&mut self, at: FrameIndex, samples: &[i32]) -> usize {
        let (encoding, channels) = (self.encoding, self.channels.get());
        let playing = self.playing.expect("audio came before the receiver said whose");
        let heard = &mut self.streams[playing];
        let number = heard.stream.number;

        // The newest index that was sent and whose low bits are these: what waits to be heard is never older than
        // half a second, and 16 bits last 0.68 s at 96 kHz.
        let low = index_position_of(number, 0, encoding, samples[0]).0;
        let behind = heard.horizon.0.wrapping_sub(low + 1) & ((1 << encoding.bits()) - 1);
        let index = FrameIndex((heard.horizon.0 - 1).checked_sub(behind).unwrap_or_else(|| {
            panic!("{at}: a sample that stream {number} never sent: {:08x}", samples[0]);
        }));
        assert!(index >= heard.end, "{at}: backwards to index {index}, after {}", heard.end);

        let cuts = heard.steps.iter().map(|step| step.0).chain(heard.stops.iter().copied());
        let ahead = cuts.filter(|&cut| cut > index).min();
        let room = ahead.map_or(usize::MAX, |cut| cut.since(index).0 as usize);
        let frames = room.min(samples.len() / channels);
        check(number, index, encoding, channels, &samples[..frames * channels], at);

        let steps: i64 = heard.steps.iter().filter(|step| step.0 <= index).map(|step| step.1).sum();
        let offset = at.distance_from(index) - steps;
        if self.offset != Some(offset) {
            assert!(
                self.joint || self.anew || self.offset.is_none(),
                "{at}: index {index} stands at offset {offset} after {:?}, and nothing says so",
                self.offset
            );
            self.offset = Some(offset);
            self.offsets.push(offset);
        }
        (self.joint, self.anew) = (false, false);
        if let Some(stretch) = self.stretches.last_mut() {
            stretch.offset.get_or_insert(offset);
        }
        let span = Span { start: index, frames: FrameCount(frames as u64) };
        heard.end = span.end();
        heard.kept.insert(span);
        frames
    }
}

/// Each sample is the index signal's.
fn check(
    number: u32,
    index: FrameIndex,
    encoding: Encoding,
    channels: usize,
    samples: &[i32],
    at: FrameIndex,
) {
    for channel in 0..channels {
        let mut wanted = index_sample(number, index, channel, encoding);
        let slope = index_slope(number, channel, encoding);
        // A plain loop: this runs for every sample of every test, unoptimised.
        let mut place = channel;
        while place < samples.len() {
            if samples[place] != wanted {
                panic!(
                    "position {}, channel {channel}: {:08x} stands where stream {number} sent {wanted:08x}",
                    at.0 + (place / channels) as u64,
                    samples[place]
                );
            }
            wanted = wanted.wrapping_add(slope);
            place += channels;
        }
    }
}

impl FlowSink for Tape {
    fn placed(&mut self, placed: &Placed) {
        assert!(self.silence.is_none() && self.opened.is_none(), "a stretch begins within a gap: {placed:?}");
        if let Some(next) = self.next {
            assert_eq!(
                placed.position.distance_from(next),
                placed.moved,
                "moved by what it says: {placed:?}"
            );
        }
        self.next = Some(placed.position);
        self.joint = false;
        self.first.get_or_insert(placed.position);
        self.anew = true;
        self.stretches.push(Stretch { placed: *placed, offset: None, frames: FrameCount::ZERO });
    }

    fn audio(&mut self, at: FrameIndex, samples: &[i32]) {
        let channels = self.channels.get();
        assert!(samples.len().is_multiple_of(channels), "{at}: half a frame");
        assert!(self.silence.is_none(), "{at}: audio while the gap before it is open: {:?}", self.silence);
        self.advance(at, (samples.len() / channels) as u64);
        let mut done = 0;
        while done * channels < samples.len() {
            done += self.piece(at + FrameCount(done as u64), &samples[done * channels..]);
        }
        self.written += done as u64;
    }

    fn silence(&mut self, at: FrameIndex, frames: FrameCount) {
        self.advance(at, frames.0);
        self.filled += frames.0;
        match &mut self.silence {
            Some(span) => span.frames += frames,
            None => {
                if let Some(opened) = self.opened {
                    assert_eq!(
                        (opened.position, opened.frames),
                        (at, frames),
                        "an open gap says what is known"
                    );
                }
                self.silence = Some(Span { start: at, frames });
            }
        }
    }

    fn gap_opened(&mut self, gap: Gap) {
        assert!(self.silence.is_none() && self.opened.is_none(), "a gap within a gap: {gap:?}");
        assert_eq!(Some(gap.position), self.next, "a gap opens elsewhere: {gap:?}");
        self.opened = Some(gap);
    }

    fn gap_closed(&mut self, gap: Gap) {
        match self.silence.take() {
            Some(span) => {
                assert_eq!(
                    (gap.position, gap.frames),
                    (span.start, span.frames),
                    "ledger and silence: {gap:?}"
                );
            }
            None => {
                assert_eq!(gap.frames, FrameCount::ZERO, "a gap without silence: {gap:?}");
                assert!(gap.estimated, "nothing is missing and nothing was estimated: {gap:?}");
                assert_eq!(Some(gap.position), self.next, "a joint stands elsewhere: {gap:?}");
            }
        }
        if let Some(opened) = self.opened.take() {
            assert_eq!(
                (opened.position, opened.cause),
                (gap.position, gap.cause),
                "closed otherwise than opened"
            );
        }
        assert!(!self.joint, "two gaps at one place: {gap:?}");
        self.joint = gap.estimated;
        self.gaps.push(gap);
        self.gap_stretches.push(self.stretches.len());
    }

    fn event(&mut self, event: FlowEvent) {
        self.events.push(event);
        let (FlowEvent::Started { ssrc, .. } | FlowEvent::SsrcChanged { to: ssrc, .. }) = event else {
            return;
        };
        let playing = self.streams.iter().position(|heard| heard.sources.contains(&ssrc));
        assert!(playing.is_some(), "the receiver plays a source that nobody knows: {event:?}");
        if playing != self.playing {
            // Another stream's indices have an origin of their own.
            self.offset = None;
            self.playing = playing;
        }
    }
}

#[cfg(test)]
mod tests;
