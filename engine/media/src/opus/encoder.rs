//! The encoder of a recording, which runs on from file to file: frames in, numbered packets out.
//!
//! Owns: what is on its way from the frames given to the packets made, and the last packets, with which the next file begins.
//! Never: knows where a file begins or ends, or writes.
//!
//! Packet *n* holds the samples from 960 *n* on, 20 ms at 48 kHz. What a decoder makes of it lags by the encoder's lookahead: the
//! frame at sample *s* comes out at *s* + lookahead.

use std::collections::VecDeque;
use std::sync::Arc;

use audyn_units::{FrameCount, FrameIndex};
use opus::{Application, Bitrate, MSEncoder};

use super::head::Mapping;
use super::resample::Resampler;
use super::{OpusApplication, OpusBitrateMode, OpusSpec};

/// Samples of a packet at 48 kHz: 20 ms, the length at which Opus is best.
pub(crate) const PACKET: u64 = 960;

/// Packets before a file's first frame, unless the recording begins later: 0.96 s. RFC 7845 §4.2 asks for 80 ms, after which a
/// decoder is near to what it would be if it had heard all; see the module's page for what near means.
pub(crate) const PREROLL: u64 = 48;

/// Packets held back where the encoder may use its model of speech: 40 ms.
const HELD: usize = 2;

/// Bits per second and channel from which on libopus doesn't use its model of speech for [`OpusApplication::Audio`], with a margin.
const NO_SPEECH: u32 = 48_000;

/// The most bytes of a packet of one stream (RFC 6716 §3.4), with its length for the next ones.
const STREAM_BYTES: usize = 1_275 + 2;

/// A packet and its number.
pub(crate) type Packet = (u64, Arc<[u8]>);

/// A running encoder.
#[derive(Debug)]
pub(crate) struct Encoder {
    codec: MSEncoder,
    resampler: Resampler,
    channels: usize,
    rate: u32,
    /// Position of its first frame.
    first: FrameIndex,
    /// Frames taken.
    taken: FrameCount,
    lookahead: u64,
    /// Samples at 48 kHz that wait for a whole packet.
    pcm: Vec<f32>,
    /// Packets made.
    made: u64,
    /// The last of them.
    history: VecDeque<Packet>,
    /// Packets that are held back, so that one before a file's begin can still be made independent; see the module's page.
    held: usize,
    /// Whether the next packet is to depend on none before it.
    independent: bool,
    /// Room for a packet.
    bytes: Vec<u8>,
}

impl Encoder {
    /// One that begins at `first`.
    ///
    /// # Errors
    /// What the library says.
    pub(crate) fn new(spec: OpusSpec, first: FrameIndex) -> Result<Self, String> {
        let mapping = Mapping::of(spec.layout, spec.channels);
        let resampler = Resampler::new(spec.rate, spec.channels)?;
        let (codec, lookahead) = codec(spec, &mapping).map_err(|e| e.to_string())?;
        Ok(Self {
            codec,
            resampler,
            channels: spec.channels.get(),
            rate: spec.rate.hz(),
            first,
            taken: FrameCount::ZERO,
            lookahead,
            pcm: Vec::new(),
            made: 0,
            history: VecDeque::new(),
            held: if may_speak(spec) { HELD } else { 0 },
            independent: false,
            bytes: vec![0; usize::from(mapping.streams) * STREAM_BYTES],
        })
    }

    /// Samples by which a decoder lags.
    pub(crate) fn lookahead(&self) -> u64 {
        self.lookahead
    }

    /// Frames taken since it began.
    pub(crate) fn taken(&self) -> FrameCount {
        self.taken
    }

    /// Where the frame that is `taken` behind the first lies, in samples at 48 kHz from its first. Rounded by its position since
    /// the PTP epoch and not since the recording's begin, so that lengths add up also over what did not run on.
    pub(crate) fn place(&self, taken: FrameCount) -> u64 {
        let at =
            |frame: u64| (u128::from(frame) * 48_000 + u128::from(self.rate) / 2) / u128::from(self.rate);
        (at(self.first.0 + taken.0) - at(self.first.0)) as u64 // shorter than the time since the epoch
    }

    /// How many frames behind the first lie whole before the sample `place`: the inverse of [`Self::place`], rounded down.
    pub(crate) fn frames_before(&self, place: u64) -> FrameCount {
        let near = u128::from(place) * u128::from(self.rate) / 48_000 + 3; // not less, whatever was rounded
        let mut frames = FrameCount(near as u64);
        while frames.0 > 0 && self.place(frames) > place {
            frames.0 -= 1;
        }
        frames
    }

    /// The last packets, from the number `from` on as far as they are kept: [`PREROLL`] and what lies in the lookahead.
    pub(crate) fn history(&self, from: u64) -> impl Iterator<Item = &Packet> {
        self.history.iter().filter(move |(number, _)| *number >= from)
    }

    /// A new file begins with the next frame.
    pub(crate) fn begin_file(&mut self) {
        self.independent = self.held > 0;
    }

    /// Takes whole frames.
    ///
    /// # Errors
    /// What the library says; the frames are taken.
    pub(crate) fn push(&mut self, samples: &[i32]) -> Result<(), String> {
        self.taken.0 += (samples.len() / self.channels) as u64;
        self.resampler.push(samples.iter().copied(), &mut self.pcm)
    }

    /// Takes `frames` of silence; of the recording, or behind its end.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub(crate) fn push_silence(&mut self, frames: FrameCount, of_recording: bool) -> Result<(), String> {
        if of_recording {
            self.taken += frames;
        }
        let samples = frames.0 as usize * self.channels; // the caller asks for seconds at most
        self.resampler.push(std::iter::repeat_n(0, samples), &mut self.pcm)
    }

    /// The next packet, if its samples are there.
    ///
    /// # Errors
    /// What the library says; the samples wait on.
    pub(crate) fn next(&mut self) -> Result<Option<Packet>, String> {
        let samples = PACKET as usize * self.channels;
        if self.pcm.len() < samples * (1 + self.held) {
            return Ok(None);
        }
        if self.independent {
            self.codec.set_prediction_disabled(true).map_err(|e| e.to_string())?;
        }
        let length =
            self.codec.encode_float(&self.pcm[..samples], &mut self.bytes).map_err(|e| e.to_string())?;
        if std::mem::take(&mut self.independent) {
            self.codec.set_prediction_disabled(false).map_err(|e| e.to_string())?;
        }
        self.pcm.drain(..samples);
        let packet = (self.made, Arc::from(&self.bytes[..length]));
        self.made += 1;
        self.history.push_back(packet.clone());
        if self.history.len() as u64 > PREROLL + 2 {
            self.history.pop_front();
        }
        Ok(Some(packet))
    }
}

/// Whether the encoder may use its model of speech (SILK), whose decoder never forgets a tone that it has not heard from the begin.
fn may_speak(spec: OpusSpec) -> bool {
    match spec.application {
        OpusApplication::Audio => spec.bitrate < NO_SPEECH * spec.channels.get() as u32,
        OpusApplication::Voip => true,
        OpusApplication::LowDelay => false,
    }
}

fn codec(spec: OpusSpec, mapping: &Mapping) -> opus::Result<(MSEncoder, u64)> {
    let application = match spec.application {
        OpusApplication::Audio => Application::Audio,
        OpusApplication::Voip => Application::Voip,
        OpusApplication::LowDelay => Application::LowDelay,
    };
    let mut codec = MSEncoder::new(48_000, mapping.streams, mapping.coupled, &mapping.table, application)?;
    codec.set_bitrate(Bitrate::Bits(spec.bitrate as i32))?; // at most 64 times 510,000
    codec.set_vbr(spec.mode != OpusBitrateMode::Cbr)?;
    codec.set_vbr_constraint(spec.mode == OpusBitrateMode::ConstrainedVbr)?;
    codec.set_complexity(i32::from(spec.complexity))?;
    codec.set_lsb_depth(24)?;
    let lookahead = codec.get_lookahead()?;
    Ok((codec, lookahead as u64))
}

#[cfg(test)]
mod tests {
    use audyn_units::{ChannelCount, SampleRate};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_and_frames_are_each_others_inverse(
            first in 0u64..1 << 62, taken in 0u64..1 << 40, rate in prop::sample::select(vec![44_100, 48_000, 96_000]),
        ) {
            let spec = OpusSpec::new(SampleRate::new(rate).unwrap(), ChannelCount::MONO);
            let encoder = Encoder::new(spec, FrameIndex(first)).unwrap();
            let place = encoder.place(FrameCount(taken));
            let exact = u128::from(taken) * 48_000 / u128::from(rate);
            prop_assert!(u128::from(place).abs_diff(exact) <= 1);
            let frames = encoder.frames_before(place);
            prop_assert!(frames.0 >= taken && encoder.place(frames) == place);
            prop_assert!(encoder.place(FrameCount(frames.0 + 1)) > place);
        }
    }
}
