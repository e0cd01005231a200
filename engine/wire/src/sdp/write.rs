//! The description of a stream that we send (AES67-2018 §8; RFC 8866, RFC 7273).

use std::format;
use std::net::{IpAddr, SocketAddr};
use std::string::{String, ToString};
use std::vec::Vec;

use audyn_units::{ChannelCount, Encoding, PayloadType, SampleRate};
use sdp_types::{Attribute, Connection, Media, MediaType, Origin, Session, Time, TransportProto};

/// What there is to say of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The session's name, for people. Line ends in it are left out; an empty one is written as `-`.
    pub name: String,
    /// Tells this session from the sender's others, for as long as the sender lives.
    pub session_id: u64,
    /// To be raised with each change.
    pub version: u64,
    /// The sender's own address.
    pub origin: IpAddr,
    /// Where the stream goes: a group, or one receiver.
    pub address: IpAddr,
    /// The UDP port.
    pub port: u16,
    /// Hops that a packet may travel; written for IPv4 groups only.
    pub ttl: u8,
    /// The payload type of the RTP packets.
    pub payload_type: PayloadType,
    /// How the samples lie in the payload.
    pub encoding: Encoding,
    /// Frames per second.
    pub rate: SampleRate,
    /// Channels of the stream.
    pub channels: ChannelCount,
    /// Frames in a packet; more than 0.
    pub packet_frames: u32,
    /// RTP timestamp = reference clock in frames + this, modulo 2³².
    pub media_clock_offset: u32,
    /// The clock that is followed, as RFC 7273 §4.8 writes it: `ptp=IEEE1588-2008:…` or `local`.
    pub ref_clock: String,
    /// Whether receivers shall take the group from [`Description::origin`] only (RFC 4570).
    pub source_specific: bool,
}

impl Description {
    /// The text, with lines that end in CRLF.
    pub fn to_sdp(&self) -> String {
        self.text(None)
    }

    /// The text of a stream that is sent a second time to `second` (ST 2022-7): two sections, joined by `a=group:DUP`
    /// (RFC 7104).
    pub fn to_sdp_of_two(&self, second: SocketAddr) -> String {
        self.text(Some(second))
    }

    fn text(&self, second: Option<SocketAddr>) -> String {
        let first = self.media(SocketAddr::new(self.address, self.port), second.map(|_| "1"));
        let second = second.map(|to| self.media(to, Some("2")));

        let origin = Origin::with_ip_addr(self.session_id, self.version, self.origin);
        let name = self.name.trim();
        let mut session = Session::new(origin, if name.is_empty() { "-" } else { name });
        session.times.push(Time::new(0, 0));
        if second.is_some() {
            session.attributes.push(Attribute::with_value("group", "DUP 1 2"));
        }
        session.medias.extend(core::iter::once(first).chain(second));

        let mut out = Vec::new();
        session.write(&mut out).expect("a vector takes every write");
        String::from_utf8(out).expect("every part was text")
    }

    /// The section of one leg.
    fn media(&self, to: SocketAddr, mid: Option<&str>) -> Media {
        let mut media =
            Media::new(MediaType::Audio, to.port(), TransportProto::RtpAvp, self.payload_type.get());
        let ttl = to.ip().is_multicast().then_some(self.ttl);
        media.connections.push(Connection::from_ip_addr_ttl(to.ip(), ttl));
        if self.source_specific {
            let family = if to.is_ipv4() { "IP4" } else { "IP6" };
            media.attributes.push(Attribute::with_value(
                "source-filter",
                format!(" incl IN {family} {} {}", to.ip(), self.origin),
            ));
        }
        let map =
            format!("{} {}/{}/{}", self.payload_type.get(), self.encoding, self.rate.hz(), self.channels);
        media.attributes.push(Attribute::with_value("rtpmap", map));
        media.attributes.push(Attribute::with_value("ptime", self.ptime()));
        media.attributes.push(Attribute::with_value("ts-refclk", &self.ref_clock));
        media
            .attributes
            .push(Attribute::with_value("mediaclk", format!("direct={}", self.media_clock_offset)));
        // The words are the reader's: who reads this only receives (as every sender of the field writes it).
        media.attributes.push(Attribute::new("recvonly"));
        if let Some(mid) = mid {
            media.attributes.push(Attribute::with_value("mid", mid));
        }
        media
    }

    /// The packet time in milliseconds, with as many decimals as it has, three at most: enough for a reader to find
    /// the exact number of frames at every rate.
    fn ptime(&self) -> String {
        let micros = (u64::from(self.packet_frames) * 1_000_000 + u64::from(self.rate.hz()) / 2)
            / u64::from(self.rate.hz());
        let text = format!("{}.{:03}", micros / 1000, micros % 1000);
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    }
}
