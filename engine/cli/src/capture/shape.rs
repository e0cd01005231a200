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

use audyn_units::{RtpTime, SampleRate, SeqNo, Ssrc};
use audyn_wire::rtp::Packet;

use super::Datagram;
pub(crate) use form::{Form, Told};

mod form;

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

/// Whether two ways carry the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Twin {
    /// They do, told by this.
    Is(&'static str),
    /// Their counters run as if they did, but nothing that they have in common tells, and their sources are named apart.
    Perhaps,
    No,
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

    /// Whether two ways carry the same packets, and what tells so.
    pub(crate) fn twin(&self, other: &Self) -> Twin {
        let (Some(a), Some(b)) = (self.main(), other.main()) else { return Twin::No };
        let (Some((frames, bytes, _)), Some(theirs)) = (a.commonest(), b.commonest()) else {
            return Twin::No;
        };
        if (frames, bytes) != (theirs.0, theirs.1)
            || frames == 0
            || self.way.destination == other.way.destination
        {
            return Twin::No;
        }
        let mut same = 0;
        let mut telling = 0;
        for (place, (hash, even)) in &a.samples {
            let Some((their, _)) = b.samples.get(place) else { continue };
            if hash != their {
                return Twin::No;
            }
            same += 1;
            telling += u64::from(!even);
        }
        if telling > 0 {
            return Twin::Is("payload");
        }
        // Nothing in common but silence, or nothing at all: then one source must count on one line.
        let ticks = i64::from(b.first.2.distance_from(a.first.2));
        let steps = i64::from(b.first.1.distance_from(a.first.1));
        let line = ticks % i64::from(frames) == 0 && (ticks / i64::from(frames) - steps) % 65_536 == 0;
        let near = (b.first.0 - a.first.0).abs() < 60_000_000_000;
        match line && near {
            false => Twin::No,
            true if a.ssrc != b.ssrc => Twin::Perhaps,
            true if same > 0 => Twin::Is("silence and counters"),
            true => Twin::Is("counters"),
        }
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

    /// How many frames a second the timestamps count.
    fn pace(&self) -> f64 {
        self.ticks as f64 * 1e9 / self.nanos.max(1) as f64
    }

    /// The rate of AES67 that the timestamps run at, within 4 %: a short capture of a sender in bursts is no better.
    fn rate(&self) -> Option<SampleRate> {
        let hz = self.pace();
        let rates = [SampleRate::HZ_44100, SampleRate::HZ_48000, SampleRate::HZ_96000];
        rates.into_iter().find(|rate| (hz / f64::from(rate.hz()) - 1.0).abs() < 0.04)
    }
}

#[cfg(test)]
mod tests {
    use audyn_units::{ChannelCount, Encoding, PayloadType};
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
        let five = Stream { bytes: 5 * 48, ..PLAIN };
        assert!(form(&five, Told::default()).unwrap().unwrap_err().contains("5 bytes a frame"));
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
    fn what_is_told_at_odds_with_the_packets_is_answered_by_what_they_show() {
        let refused = |told| form(&PLAIN, told).unwrap().unwrap_err();
        let payload_type = |number| Told { payload_type: PayloadType::new(number).ok(), ..Told::default() };
        assert_eq!(
            refused(payload_type(98)),
            "its packets have payload type 96, and none has 98; give --pt 96, or leave it out (or see that the SDP is this stream's)"
        );
        assert!(form(&PLAIN, payload_type(96)).unwrap().is_ok());
        let two =
            Told { encoding: Some(Encoding::L16), channels: ChannelCount::new(2).ok(), ..Told::default() };
        assert_eq!(
            refused(two),
            "its packets have 6 bytes a frame: L24 with 2 channels or L16 with 3 channels, and not L16 with 2 channels; give \
             --encoding and --channels so that they fit, or leave them out (or see that the SDP is this stream's)"
        );
        let mono = Stream { bytes: 48 * 2, ..PLAIN };
        let l24 = Told { encoding: Some(Encoding::L24), ..Told::default() };
        let told = form(&mono, l24).unwrap().unwrap_err();
        assert!(told.contains("2 bytes a frame: L16 with 1 channel, and not L24; give"), "{told}");

        let rate = |hz| Told { rate: SampleRate::new(hz).ok(), ..Told::default() };
        let doubt = |stream: &Stream, hz| form(stream, rate(hz)).unwrap().unwrap().doubt;
        assert_eq!(doubt(&PLAIN, 48_000), None);
        let told = doubt(&PLAIN, 96_000).unwrap();
        assert!(told.contains("run at 48000 Hz") && told.contains("read as 96000 Hz"), "{told}");
        assert!(doubt(&PLAIN, 44_100).is_some(), "the two that are nearest each other");
        let slow = Stream { rate: 8_000, ..PLAIN };
        let told = doubt(&slow, 48_000).unwrap();
        assert!(told.contains("count about 80"), "{told}");
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
        assert_eq!(pair(all, all, 1, [noise, noise]), Twin::Is("payload"));
        assert_eq!(
            pair(all, all, 2, [noise, noise]),
            Twin::Is("payload"),
            "the source's identifier is not what counts"
        );
        assert_eq!(pair(all, all, 1, [noise, more]), Twin::No, "two streams of one device, started at once");
        assert_eq!(pair(all, all, 1, [silence, silence]), Twin::Is("silence and counters"));
        assert_eq!(pair(all, all, 2, [silence, silence]), Twin::Perhaps);
        assert_eq!(pair(odd, even, 1, [noise, noise]), Twin::Is("counters"), "each lost what the other has");
        assert_eq!(pair(odd, even, 2, [noise, noise]), Twin::Perhaps);
    }
}
