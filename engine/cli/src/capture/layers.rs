//! From a captured frame to the UDP datagram in it.
//!
//! Link types: Ethernet with VLAN tags, Linux cooked (both versions), raw IP, BSD and OpenBSD loopback.

use std::net::{IpAddr, SocketAddr};

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TransportSlice, ether_type};
use pcap_parser::Linktype;

use super::Frame;

/// A UDP datagram, and what the network said of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Datagram<'a> {
    pub(crate) at: i64,
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) dscp: u8,
    pub(crate) ttl: u8,
    /// The payload as far as the file has it.
    pub(crate) payload: &'a [u8],
    /// How long the payload was on the wire.
    pub(crate) length: usize,
}

/// What a frame was.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Layers<'a> {
    Udp(Datagram<'a>),
    /// A piece of an IP packet that was sent in several.
    Fragment,
    /// IP, but not UDP.
    OtherIp,
    /// Not IP.
    NotIp,
    /// Cut so short that its headers are not whole.
    TooShort,
    /// On a link whose frames aren't known here.
    UnknownLink,
}

/// Takes a frame apart.
pub(crate) fn take_apart<'a>(frame: &Frame<'a>) -> Layers<'a> {
    let data = frame.data;
    let packet = match frame.link {
        Linktype::ETHERNET => LaxSlicedPacket::from_ethernet(data).ok(),
        Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 | Linktype(12 | 14) => {
            LaxSlicedPacket::from_ip(data).ok()
        }
        // The address family before them has the sender's byte order or the network's; the IP version says the same.
        Linktype::NULL | Linktype::LOOP => data.get(4..).and_then(|ip| LaxSlicedPacket::from_ip(ip).ok()),
        Linktype::LINUX_SLL => by_ether_type(data, 14, 16),
        Linktype::LINUX_SLL2 => by_ether_type(data, 0, 20),
        _ => return Layers::UnknownLink,
    };
    let Some(packet) = packet else { return Layers::TooShort };
    let (source, destination, dscp, ttl, fragmented): (IpAddr, IpAddr, _, _, _) = match &packet.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let fragmented = ip.is_payload_fragmented();
            (
                header.source_addr().into(),
                header.destination_addr().into(),
                header.dcp().value(),
                header.ttl(),
                fragmented,
            )
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let header = ip.header();
            let fragmented = ip.is_payload_fragmented();
            let (from, to) = (header.source_addr().into(), header.destination_addr().into());
            (from, to, header.dscp().value(), header.hop_limit(), fragmented)
        }
        _ if packet.stop_err.is_some() => return Layers::TooShort,
        _ => return Layers::NotIp,
    };
    if fragmented {
        return Layers::Fragment;
    }
    match packet.transport {
        Some(TransportSlice::Udp(udp)) => Layers::Udp(Datagram {
            at: frame.at,
            source: SocketAddr::new(source, udp.source_port()),
            destination: SocketAddr::new(destination, udp.destination_port()),
            dscp,
            ttl,
            payload: udp.payload(),
            length: usize::from(udp.length()).saturating_sub(8).max(udp.payload().len()),
        }),
        None if packet.stop_err.is_some() => Layers::TooShort,
        _ => Layers::OtherIp,
    }
}

/// A header that has the Ethernet type at `at` and `length` bytes.
fn by_ether_type(data: &[u8], at: usize, length: usize) -> Option<LaxSlicedPacket<'_>> {
    let (head, rest) = data.split_at_checked(length)?;
    let kind = EtherType(u16::from_be_bytes([head[at], head[at + 1]]));
    // Frames of IEEE 802.3 and the like have other numbers there; they carry no IP.
    (kind.0 >= ether_type::IPV4.0).then(|| LaxSlicedPacket::from_ether_type(kind, rest))
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    fn udp(link: Linktype, head: &[u8], ip: &[u8]) -> Option<(String, String, u8, u8, usize, usize)> {
        let data = [head, ip].concat();
        match take_apart(&Frame { at: 5, link, data: &data }) {
            Layers::Udp(d) => Some((
                d.source.to_string(),
                d.destination.to_string(),
                d.dscp,
                d.ttl,
                d.payload.len(),
                d.length,
            )),
            _ => None,
        }
    }

    fn packet(v6: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let payload = [7u8; 30];
        if v6 {
            let builder = PacketBuilder::ipv6([0xfd; 16], [0xff; 16], 9).udp(1, 5004);
            builder.write(&mut out, &payload).unwrap();
            out[0] |= 0x08; // the upper half of DSCP 34, whose lower half follows
            out[1] |= 0x80;
        } else {
            PacketBuilder::ipv4([192, 0, 2, 1], [239, 1, 2, 3], 15)
                .udp(5004, 5004)
                .write(&mut out, &payload)
                .unwrap();
            out[1] = 34 << 2;
        }
        out
    }

    #[test]
    fn every_link_that_is_known() {
        let v4 = packet(false);
        let wanted = Some(("192.0.2.1:5004".to_owned(), "239.1.2.3:5004".to_owned(), 34, 15, 30, 30));
        let ethernet = [&[0; 12][..], &[8, 0]].concat();
        let vlan = [&[0; 12][..], &[0x81, 0, 0, 5, 8, 0]].concat();
        let twice = [&[0; 12][..], &[0x88, 0xa8, 0, 9, 0x81, 0, 0, 5, 8, 0]].concat();
        let cooked = [&[0; 14][..], &[8, 0]].concat();
        let cooked2 = [&[8, 0][..], &[0; 18]].concat();
        for (link, head) in [
            (1, &ethernet[..]),
            (1, &vlan),
            (1, &twice),
            (113, &cooked),
            (276, &cooked2),
            (101, &[]),
            (228, &[]),
            (0, &[2, 0, 0, 0]),
            (108, &[0, 0, 0, 2]),
        ] {
            assert_eq!(udp(Linktype(link), head, &v4), wanted, "link {link}, {} bytes", head.len());
        }
        let (_, to, dscp, ttl, ..) = udp(Linktype(101), &[], &packet(true)).unwrap();
        assert_eq!((to.as_str(), dscp, ttl), ("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:5004", 34, 9));
    }

    #[test]
    fn what_is_cut_keeps_its_length() {
        let v4 = packet(false);
        let (.., held, length) = udp(Linktype(101), &[], &v4[..40]).unwrap();
        assert_eq!((held, length), (12, 30));
        let cut = |length: usize| take_apart(&Frame { at: 0, link: Linktype(101), data: &v4[..length] });
        assert!(matches!(cut(24), Layers::TooShort));
        assert!(matches!(cut(3), Layers::TooShort));
    }

    #[test]
    fn pieces_are_told_from_whole_packets() {
        let mut v4 = packet(false);
        v4[6] = 0x20; // more fragments follow
        assert!(matches!(take_apart(&Frame { at: 0, link: Linktype(101), data: &v4 }), Layers::Fragment));
        v4[6] = 0;
        v4[9] = 6;
        assert!(!matches!(take_apart(&Frame { at: 0, link: Linktype(101), data: &v4 }), Layers::Udp(_)));
        let arp = [&[0; 12][..], &[8, 6], &[0; 28]].concat();
        assert!(matches!(
            take_apart(&Frame { at: 0, link: Linktype(1), data: &arp }),
            Layers::NotIp | Layers::TooShort
        ));
        assert!(matches!(take_apart(&Frame { at: 0, link: Linktype(9), data: &v4 }), Layers::UnknownLink));
    }
}
