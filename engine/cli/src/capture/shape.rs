//! Which of a capture's datagrams are RTP audio, by their shape alone.
//!
//! Owns: a first look at each way (sender's address to group and port): version 2, one source, numbers that count up, and
//! timestamps that count frames. From frames and bytes of a packet follow the bytes of a frame, and from those encoding and
//! channels; from the timestamps' pace follows the rate. What could be otherwise is said to be a guess.
//!
//! Never: a decision about one packet, the audio itself.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use audyn_core::flow::FlowFormat;
use audyn_units::{ChannelCount, Encoding, PayloadType, RtpTime, SampleRate, SeqNo, Ssrc};
use audyn_wire::rtp::Packet;

use super::Datagram;

/// Datagrams of a way before anything is said of it.
const FEW: u64 = 3;

/// Sources of one way that are looked at apart.
const SOURCES: usize = 16;

/// Payloads of a way that are remembered, to be compared with another leg's.
const SAMPLES: usize = 8_192;

/// One payload in so many is remembered; which, is by sequence number, so that two legs remember the same ones.
const EACH: u16 = 16;

/// A step of the timestamp that is longer is a break, and tells nothing of the rate.
const BREAK_TICKS: i32 = 96_000;

/// From where to where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Way {
    pub(crate) source: IpAddr,
    pub(crate) destination: SocketAddr,
}

impl Way {
    pub(crate) fn of(datagram: &Datagram<'_>) -> Self {
        Self { source: datagram.source.ip(), destination: datagram.destination }
    }
}

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
}

/// All ways of a capture, in the order in which they appeared.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    index: HashMap<Way, usize>,
    pub(crate) shapes: Vec<Shape>,
}

/// What one way's datagrams look like.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) way: Way,
    /// The UDP port of the datagram that came first.
    pub(crate) source_port: u16,
    pub(crate) datagrams: u64,
    /// Of those, the ones that are RTP by their first bytes.
    rtp: u64,
    types: BTreeMap<u8, u64>,
    pub(crate) first_at: i64,
    pub(crate) last_at: i64,
    tracks: Vec<Track>,
}

/// One source's numbers.
#[derive(Debug)]
struct Track {
    ssrc: Ssrc,
    packets: u64,
    seq: SeqNo,
    timestamp: RtpTime,
    at: i64,
    /// Where it began, to be compared with another leg.
    first: (i64, SeqNo, RtpTime),
    /// Pairs of neighbours by (frames, payload bytes).
    steps: Vec<(u32, usize, u64)>,
    pairs: u64,
    ticks: i64,
    nanos: i64,
    samples: BTreeMap<(u16, u32), (u64, bool)>,
}

impl Shapes {
    /// Looks at a datagram.
    pub(crate) fn look(&mut self, datagram: &Datagram<'_>) {
        let way = Way::of(datagram);
        let next = self.shapes.len();
        let at = *self.index.entry(way).or_insert(next);
        if at == next {
            self.shapes.push(Shape::new(way, datagram));
        }
        self.shapes[at].look(datagram);
    }
}

impl Shape {
    fn new(way: Way, first: &Datagram<'_>) -> Self {
        Self {
            way,
            source_port: first.source.port(),
            datagrams: 0,
            rtp: 0,
            types: BTreeMap::new(),
            first_at: first.at,
            last_at: first.at,
            tracks: Vec::new(),
        }
    }

    fn look(&mut self, datagram: &Datagram<'_>) {
        self.datagrams += 1;
        self.last_at = datagram.at;
        let Ok(packet) = Packet::parse(datagram.payload) else { return };
        let header = packet.header;
        // RTCP's types 200 to 204 look like these with the marker set (RFC 5761 §4).
        if (72..=76).contains(&header.payload_type.get()) {
            return;
        }
        self.rtp += 1;
        *self.types.entry(header.payload_type.get()).or_default() += 1;
        let whole = packet.payload.len() + datagram.length - datagram.payload.len();
        let track = match self.tracks.iter().position(|track| track.ssrc == header.ssrc) {
            Some(at) => &mut self.tracks[at],
            None if self.tracks.len() < SOURCES => {
                self.tracks.push(Track::new(header.ssrc, datagram.at, header.sequence, header.timestamp));
                self.tracks.last_mut().expect("it was pushed just now")
            }
            None => return,
        };
        track.packets += 1;
        track.step(datagram.at, header.sequence, header.timestamp, whole);
        if header.sequence.0.is_multiple_of(EACH) && track.samples.len() < SAMPLES {
            let mut hash = DefaultHasher::new();
            packet.payload.hash(&mut hash);
            let even = packet.payload.iter().all(|byte| *byte == packet.payload[0]);
            track.samples.insert((header.sequence.0, header.timestamp.0), (hash.finish(), even));
        }
    }

    /// The source with the most packets.
    fn main(&self) -> Option<&Track> {
        self.tracks.iter().max_by_key(|track| track.packets)
    }

    /// How many sources sent this way.
    pub(crate) fn sources(&self) -> usize {
        self.tracks.len()
    }

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

        let odd = format!(
            "{bytes} bytes are not {frames} frames of linear audio; give --encoding and --channels if they are"
        );
        if !bytes.is_multiple_of(frames as usize) {
            return Err(odd);
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
            _ => return Err(odd),
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
        })
    }

    /// Whether two ways carry the same packets, and what tells so.
    pub(crate) fn twin(&self, other: &Self) -> Option<&'static str> {
        let (a, b) = (self.main()?, other.main()?);
        let ((frames, bytes, _), theirs) = (a.commonest()?, b.commonest()?);
        if (frames, bytes) != (theirs.0, theirs.1)
            || frames == 0
            || self.way.destination == other.way.destination
        {
            return None;
        }
        let mut same = 0;
        let mut telling = 0;
        for (place, (hash, even)) in &a.samples {
            let Some((their, _)) = b.samples.get(place) else { continue };
            if hash != their {
                return None;
            }
            same += 1;
            telling += u64::from(!even);
        }
        if telling > 0 {
            return Some("payload");
        }
        // Nothing in common but silence, or nothing at all: then one source must count on one line.
        let ticks = i64::from(b.first.2.distance_from(a.first.2));
        let steps = i64::from(b.first.1.distance_from(a.first.1));
        let line = ticks % i64::from(frames) == 0 && (ticks / i64::from(frames) - steps) % 65_536 == 0;
        let near = (b.first.0 - a.first.0).abs() < 60_000_000_000;
        (a.ssrc == b.ssrc && line && near).then_some(if same > 0 {
            "silence and counters"
        } else {
            "counters"
        })
    }

    /// The timestamp and the arrival of the first packet.
    pub(crate) fn first_timestamp(&self) -> Option<(i64, RtpTime)> {
        self.main().map(|track| (track.first.0, track.first.2))
    }
}

impl Track {
    fn new(ssrc: Ssrc, at: i64, seq: SeqNo, timestamp: RtpTime) -> Self {
        Self {
            ssrc,
            packets: 0,
            seq,
            timestamp,
            at,
            first: (at, seq, timestamp),
            steps: Vec::new(),
            pairs: 0,
            ticks: 0,
            nanos: 0,
            samples: BTreeMap::new(),
        }
    }

    fn step(&mut self, at: i64, seq: SeqNo, timestamp: RtpTime, bytes: usize) {
        let steps = i32::from(seq.distance_from(self.seq));
        let ticks = timestamp.distance_from(self.timestamp);
        if steps > 0 && self.packets > 1 {
            self.pairs += 1;
            if (0..BREAK_TICKS).contains(&ticks) && ticks % steps == 0 {
                self.ticks += i64::from(ticks);
                self.nanos += at - self.at;
                let frames = (ticks / steps) as u32;
                match self.steps.iter().position(|(f, b, _)| (*f, *b) == (frames, bytes)) {
                    Some(at) => self.steps[at].2 += 1,
                    // Four lengths and a little disorder are common; more kinds are no audio.
                    None if self.steps.len() < 64 => self.steps.push((frames, bytes, 1)),
                    None => {}
                }
            }
        }
        // Far back is no straggler, but a source that began anew.
        if !(-1_000..0).contains(&steps) {
            (self.seq, self.timestamp, self.at) = (seq, timestamp, at);
        }
    }

    fn commonest(&self) -> Option<(u32, usize, u64)> {
        self.steps.iter().copied().max_by_key(|(_, _, count)| *count)
    }

    /// The rate of AES67 that the timestamps run at, within 4 %: a short capture of a sender in bursts is no better.
    fn rate(&self) -> Option<SampleRate> {
        let hz = self.ticks as f64 * 1e9 / self.nanos.max(1) as f64;
        let rates = [SampleRate::HZ_44100, SampleRate::HZ_48000, SampleRate::HZ_96000];
        rates.into_iter().find(|rate| (hz / f64::from(rate.hz()) - 1.0).abs() < 0.04)
    }
}

#[cfg(test)]
mod tests {
    use audyn_wire::rtp::{HEADER_BYTES, Header};

    use super::*;

    struct Stream {
        to: [u8; 4],
        ssrc: u32,
        rate: i64,
        frames: u32,
        bytes: usize,
        number: u8,
    }

    const PLAIN: Stream =
        Stream { to: [239, 1, 2, 1], ssrc: 1, rate: 48_000, frames: 48, bytes: 288, number: 96 };

    fn feed(
        shapes: &mut Shapes,
        stream: &Stream,
        packets: impl Iterator<Item = u32>,
        fill: impl Fn(u32) -> u8,
    ) {
        for n in packets {
            let mut head = [0; HEADER_BYTES];
            Header {
                marker: false,
                payload_type: PayloadType::new(stream.number).unwrap(),
                sequence: SeqNo(65_500u16.wrapping_add(n as u16)),
                timestamp: RtpTime(n.wrapping_mul(stream.frames)),
                ssrc: Ssrc(stream.ssrc),
            }
            .write(&mut head);
            let body: Vec<u8> = (0..stream.bytes).map(|at| (at as u8).wrapping_mul(fill(n))).collect();
            let payload = [&head[..], &body].concat();
            shapes.look(&Datagram {
                at: 1_700_000_000_000_000_000 + i64::from(n * stream.frames) * 1_000_000_000 / stream.rate,
                source: ([192, 0, 2, 1], 5004).into(),
                destination: (stream.to, 5004).into(),
                dscp: 34,
                ttl: 15,
                payload: &payload,
                length: payload.len(),
            });
        }
    }

    fn form(stream: &Stream, told: Told) -> Option<Result<Form, String>> {
        let mut shapes = Shapes::default();
        feed(&mut shapes, stream, 0..500, |n| n as u8);
        shapes.shapes[0].form(told)
    }

    #[test]
    fn the_forms_of_audio() {
        for (rate, frames, bytes, number, wanted) in [
            (48_000, 48, 288, 96, (Encoding::L24, 2)),
            (48_000, 48, 192, 98, (Encoding::L16, 2)),
            (48_000, 6, 18, 96, (Encoding::L24, 1)),
            (96_000, 12, 12 * 192, 97, (Encoding::L24, 64)),
            (44_100, 48, 96, 11, (Encoding::L16, 1)),
            (48_000, 48, 288, 10, (Encoding::L16, 3)),
        ] {
            let stream = Stream { rate, frames, bytes, number, ..PLAIN };
            let form = form(&stream, Told::default()).unwrap().unwrap();
            let format = form.format;
            assert_eq!((format.encoding, format.channels.get()), wanted, "{rate} {frames} {bytes}");
            assert_eq!((i64::from(format.rate.hz()), form.packet_frames), (rate, frames));
            assert_eq!(form.guessed, ["encoding", "channels", "rate"]);
        }
        let told =
            Told { channels: ChannelCount::new(3).ok(), rate: Some(SampleRate::HZ_48000), ..Told::default() };
        let read = form(&PLAIN, told).unwrap().unwrap();
        assert_eq!((read.format.encoding, read.guessed), (Encoding::L16, vec!["encoding"]));
    }

    #[test]
    fn what_is_no_audio() {
        let video = Stream { frames: 0, ..PLAIN };
        assert!(form(&video, Told::default()).unwrap().is_err());
        let odd = Stream { bytes: 50, ..PLAIN };
        assert!(form(&odd, Told::default()).unwrap().unwrap_err().contains("50 bytes"));
        let slow = Stream { rate: 8_000, ..PLAIN };
        assert!(form(&slow, Told::default()).unwrap().unwrap_err().contains("--rate"));
        let mut shapes = Shapes::default();
        for n in 0..500u32 {
            let payload: Vec<u8> = n.to_be_bytes().into_iter().chain([n as u8; 60]).collect();
            shapes.look(&Datagram {
                at: i64::from(n),
                source: ([192, 0, 2, 1], 53).into(),
                destination: ([192, 0, 2, 2], 53).into(),
                dscp: 0,
                ttl: 64,
                payload: &payload,
                length: payload.len(),
            });
        }
        assert!(shapes.shapes[0].form(Told::default()).is_none());
    }

    #[test]
    fn legs_are_told_by_what_they_carry() {
        let other = Stream { to: [239, 1, 2, 2], ..PLAIN };
        let pair = |one: fn(&u32) -> bool, two: fn(&u32) -> bool, ssrc, fill: [fn(u32) -> u8; 2]| {
            let mut shapes = Shapes::default();
            feed(&mut shapes, &PLAIN, (0..2_000).filter(one), fill[0]);
            feed(&mut shapes, &Stream { ssrc, ..other }, (0..2_000).filter(two), fill[1]);
            shapes.shapes[0].twin(&shapes.shapes[1])
        };
        let all: fn(&u32) -> bool = |_| true;
        let odd: fn(&u32) -> bool = |n| n % 2 == 1;
        let even: fn(&u32) -> bool = |n| n % 2 == 0;
        let noise: fn(u32) -> u8 = |n| n as u8 | 1;
        let more: fn(u32) -> u8 = |n| (n as u8 | 1).wrapping_mul(3);
        let silence: fn(u32) -> u8 = |_| 0;
        assert_eq!(pair(all, all, 1, [noise, noise]), Some("payload"));
        assert_eq!(
            pair(all, all, 2, [noise, noise]),
            Some("payload"),
            "the source's identifier is not what counts"
        );
        assert_eq!(pair(all, all, 1, [noise, more]), None, "two streams of one device, started at once");
        assert_eq!(pair(all, all, 1, [silence, silence]), Some("silence and counters"));
        assert_eq!(pair(all, all, 2, [silence, silence]), None);
        assert_eq!(pair(odd, even, 1, [noise, noise]), Some("counters"), "each lost what the other has");
        assert_eq!(pair(odd, even, 2, [noise, noise]), None);
    }
}
