//! How a way's packets are made: what they show, what is told of them, and where the two are at odds.
//!
//! Owns: the form, and the sentences about what does not fit. Never: a form that the packets rule out.

use audyn_core::flow::FlowFormat;
use audyn_units::{ChannelCount, Encoding, PayloadType, SampleRate};

use super::{Shape, Track};
use crate::words::{counted, joined, plural};

/// Datagrams of a way before anything is said of it.
const FEW: u64 = 3;

/// By how much a pace that is no rate of AES67 must differ from what was told before it is doubted: in a short capture of a sender in
/// bursts it means little.
const FAR: f64 = 0.25;

/// What is said of a stream that the packets themselves do not say.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Told {
    pub(crate) encoding: Option<Encoding>,
    pub(crate) channels: Option<ChannelCount>,
    pub(crate) rate: Option<SampleRate>,
    pub(crate) payload_type: Option<PayloadType>,
}

/// How a stream's packets are made, and which of it is a guess.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) format: FlowFormat,
    pub(crate) packet_frames: u32,
    pub(crate) guessed: Vec<&'static str>,
    /// What the packets show against what was told and is believed all the same, as a sentence.
    pub(crate) doubt: Option<String>,
}

impl Shape {
    /// How the packets are made. None if they are no RTP at all; an error tells why RTP is no audio that is taken.
    pub(crate) fn form(&self, told: Told) -> Option<Result<Form, String>> {
        let track = self.main()?;
        let (frames, bytes, agreeing) = track.commonest()?;
        let steady = agreeing * 10 >= track.pairs * 7 && self.rtp * 10 >= self.datagrams * 9;
        let wanted = told.encoding.is_some() || told.channels.is_some() || told.payload_type.is_some();
        if self.rtp < FEW || !(steady || wanted) {
            return None;
        }
        Some(self.read(track, frames, bytes, told))
    }

    fn read(&self, track: &Track, frames: u32, bytes: usize, told: Told) -> Result<Form, String> {
        if frames == 0 {
            return Err("its timestamps do not count frames; this is RTP, but no linear audio".into());
        }
        let mut guessed = Vec::new();
        let number = self.types.iter().max_by_key(|(_, count)| **count).map_or(0, |(number, _)| *number);
        let seen = PayloadType::new(number).map_err(|error| error.to_string())?;
        let payload_type = told.payload_type.unwrap_or(seen);
        if !self.types.contains_key(&payload_type.get()) {
            return Err(self.no_such_type(payload_type, number));
        }

        if !bytes.is_multiple_of(frames as usize) {
            return Err(format!(
                "the payload of a packet has {}, no whole number for each of its {}; this is RTP, but no linear audio",
                counted(bytes as u64, "byte"),
                counted(frames.into(), "frame")
            ));
        }
        let frame = bytes / frames as usize;
        let channels_of = |encoding: Encoding| {
            let count = frame.is_multiple_of(encoding.bytes()).then_some(frame / encoding.bytes())?;
            ChannelCount::new(u8::try_from(count).ok()?).ok()
        };
        let fits = |encoding: &Encoding| {
            channels_of(*encoding).is_some_and(|channels| told.channels.is_none_or(|told| told == channels))
        };
        // RFC 3551 §6 gives these two numbers to L16; else 24 bit is what audio networks carry where both would fit.
        let order = match number {
            10 | 11 => [Encoding::L16, Encoding::L24],
            _ => [Encoding::L24, Encoding::L16],
        };
        let possible: Vec<_> = order.into_iter().filter(fits).collect();
        let encoding = match (told.encoding, possible.first()) {
            (Some(told), _) if fits(&told) => told,
            (None, Some(first)) => {
                guessed.push("encoding");
                *first
            }
            _ => {
                let shown = order
                    .into_iter()
                    .filter_map(|encoding| Some((encoding, channels_of(encoding)?)))
                    .map(|(encoding, channels)| with_channels(encoding, channels));
                return Err(misfit(frame, &shown.collect::<Vec<_>>(), told));
            }
        };
        let channels = channels_of(encoding).expect("it fits");
        if told.channels.is_none() {
            guessed.push("channels");
        }
        let rate = match told.rate {
            Some(rate) => rate,
            None => {
                guessed.push("rate");
                track.rate().ok_or(
                    "its timestamps run at no rate of AES67; give --rate if it is audio all the same",
                )?
            }
        };
        Ok(Form {
            format: FlowFormat { encoding, rate, channels, payload_type },
            packet_frames: frames,
            guessed,
            doubt: told.rate.and_then(|rate| doubt(track, rate)),
        })
    }

    fn no_such_type(&self, told: PayloadType, commonest: u8) -> String {
        let types: Vec<String> = self.types.keys().map(u8::to_string).collect();
        format!(
            "its packets have payload type{} {}, and none has {}; give --pt {commonest}, or leave it out (or see that the SDP is \
             this stream's)",
            plural(types.len() as u64),
            joined(&types, "and"),
            told.get()
        )
    }
}

/// Why no encoding and number of channels that may be meant make frames of that many bytes.
fn misfit(frame: usize, shown: &[String], told: Told) -> String {
    let bytes = counted(frame as u64, "byte");
    if shown.is_empty() {
        return format!(
            "its packets have {bytes} a frame, which neither L16 nor L24 makes with 1 to 64 channels; this is RTP, but no audio \
             that is taken"
        );
    }
    let told = match (told.encoding, told.channels) {
        (Some(encoding), Some(channels)) => with_channels(encoding, channels),
        (Some(encoding), None) => encoding.to_string(),
        (None, channels) => counted(channels.map_or(0, |channels| channels.get() as u64), "channel"),
    };
    format!(
        "its packets have {bytes} a frame: {}, and not {told}; give --encoding and --channels so that they fit, or leave them \
         out (or see that the SDP is this stream's)",
        joined(shown, "or")
    )
}

fn with_channels(encoding: Encoding, channels: ChannelCount) -> String {
    format!("{encoding} with {}", counted(channels.get() as u64, "channel"))
}

/// What the timestamps' pace says against the rate that was told.
fn doubt(track: &Track, told: SampleRate) -> Option<String> {
    let pace = track.pace();
    let shown = match track.rate() {
        Some(rate) if rate == told => return None,
        Some(rate) => format!("run at {} Hz", rate.hz()),
        None if (pace / f64::from(told.hz()) - 1.0).abs() < FAR => return None,
        None => format!("count about {pace:.0} frames a second"),
    };
    Some(format!(
        "the timestamps {shown}, but it was to be read as {} Hz: times and jitter below are reckoned by that, and are wrong if \
         the packets are right; leave --rate out, or see that the SDP is this stream's",
        told.hz()
    ))
}
