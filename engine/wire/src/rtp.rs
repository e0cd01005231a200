//! One RTP data packet (RFC 3550 §5.1).
//!
//! Owns: the header's layout and the validity checks of RFC 3550 A.1 that one packet can be given by itself.
//! Never: allocation, a judgement over several packets (probation, sequence, payload type wanted).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |V=2|P|X|  CC   |M|     PT      |       sequence number         |
//! |                           timestamp                           |
//! |                             SSRC                              |
//! |            CSRC × CC, then the extension if X ...             |
//! |            payload, then padding if P (last byte: its length) |
//! ```

use audyn_units::{PayloadType, RtpTime, SeqNo, Ssrc};

/// Bytes of the fixed header.
pub const HEADER_BYTES: usize = 12;

const VERSION: u8 = 2;

/// Why a datagram is no RTP packet. Small and `Copy`, so that each cause can be counted; see [`RtpError::index`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[repr(u8)]
pub enum RtpError {
    /// Shorter than the fixed header of 12 bytes.
    #[error("the datagram is shorter than an RTP header; check that the port carries RTP")]
    TooShort,
    /// The version field is not 2.
    #[error("the datagram is not RTP version 2; check that the port carries RTP")]
    Version,
    /// The list of contributing sources runs beyond the datagram.
    #[error("the RTP packet ends inside its list of contributing sources; its sender or the path damages it")]
    CsrcTruncated,
    /// The header extension runs beyond the datagram.
    #[error("the RTP packet ends inside its header extension; its sender or the path damages it")]
    ExtensionTruncated,
    /// The padding bit is set, but the count of padding bytes is 0 or reaches into the header.
    #[error(
        "the RTP packet's padding is longer than its payload or counts 0; its sender or the path damages it"
    )]
    Padding,
}

impl RtpError {
    /// How many causes there are: the length of a table of counters.
    pub const COUNT: usize = 5;

    /// Every cause, in the order of [`RtpError::index`].
    pub const ALL: [Self; Self::COUNT] =
        [Self::TooShort, Self::Version, Self::CsrcTruncated, Self::ExtensionTruncated, Self::Padding];

    /// This cause's place in a table of [`RtpError::COUNT`] counters.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// The fields of an RTP header that a receiver of linear audio needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The marker bit; for audio, the first packet after a silence (RFC 3551 §4.1). AES67 gives it no meaning.
    pub marker: bool,
    /// What the payload is, by the number that SDP gave it.
    pub payload_type: PayloadType,
    /// Counts packets.
    pub sequence: SeqNo,
    /// Counts frames: the media clock's time of the first frame in the payload.
    pub timestamp: RtpTime,
    /// Who sends.
    pub ssrc: Ssrc,
}

impl Header {
    /// Writes the fixed header: version 2, no padding, no extension, no contributing sources.
    pub fn write(&self, out: &mut [u8; HEADER_BYTES]) {
        out[0] = VERSION << 6;
        out[1] = u8::from(self.marker) << 7 | self.payload_type.get();
        out[2..4].copy_from_slice(&self.sequence.0.to_be_bytes());
        out[4..8].copy_from_slice(&self.timestamp.0.to_be_bytes());
        out[8..12].copy_from_slice(&self.ssrc.0.to_be_bytes());
    }
}

/// A valid RTP packet, borrowed from the datagram that it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The fixed header.
    pub header: Header,
    /// The payload: after contributing sources and extension, without padding. It may be empty.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads one datagram (RFC 3550 §5.1, with the checks of A.1).
    ///
    /// Contributing sources and a header extension are stepped over, padding is taken off.
    #[inline]
    pub fn parse(datagram: &'a [u8]) -> Result<Self, RtpError> {
        let Some((fixed, mut rest)) = datagram.split_first_chunk::<HEADER_BYTES>() else {
            return Err(RtpError::TooShort);
        };
        let [flags, kind, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3] = *fixed;
        if flags >> 6 != VERSION {
            return Err(RtpError::Version);
        }
        let padded = flags & 0x20 != 0;
        let extended = flags & 0x10 != 0;
        let csrc_bytes = usize::from(flags & 0x0f) * 4;

        rest = rest.get(csrc_bytes..).ok_or(RtpError::CsrcTruncated)?;
        if extended {
            // RFC 3550 §5.3.1: 16 bits for the profile, 16 bits that count the 32-bit words which follow.
            let Some(([_, _, w0, w1], after)) = rest.split_first_chunk::<4>() else {
                return Err(RtpError::ExtensionTruncated);
            };
            let bytes = usize::from(u16::from_be_bytes([*w0, *w1])) * 4;
            rest = after.get(bytes..).ok_or(RtpError::ExtensionTruncated)?;
        }
        if padded {
            // The last byte counts the padding, itself included. With an empty rest it would be a header byte.
            let padding = usize::from(*rest.last().ok_or(RtpError::Padding)?);
            if padding == 0 || padding > rest.len() {
                return Err(RtpError::Padding);
            }
            rest = &rest[..rest.len() - padding];
        }

        let payload_type = PayloadType::new(kind & 0x7f).expect("seven bits hold 0 to 127");
        let header = Header {
            marker: kind & 0x80 != 0,
            payload_type,
            sequence: SeqNo(u16::from_be_bytes([s0, s1])),
            timestamp: RtpTime(u32::from_be_bytes([t0, t1, t2, t3])),
            ssrc: Ssrc(u32::from_be_bytes([i0, i1, i2, i3])),
        };
        Ok(Self { header, payload: rest })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn header() -> Header {
        Header {
            marker: true,
            payload_type: PayloadType::DYNAMIC,
            sequence: SeqNo(0x1234),
            timestamp: RtpTime(0xfedc_ba98),
            ssrc: Ssrc(0x0102_0304),
        }
    }

    /// A datagram with first byte `flags` (version included) and `after` the fixed header.
    fn datagram(flags: u8, after: &[u8]) -> Vec<u8> {
        let mut fixed = [0; HEADER_BYTES];
        header().write(&mut fixed);
        fixed[0] = flags;
        [&fixed[..], after].concat()
    }

    #[test]
    fn the_header_is_laid_out_as_the_rfc_draws_it() {
        let mut out = [0xff; HEADER_BYTES];
        header().write(&mut out);
        assert_eq!(out, [0x80, 0xe0, 0x12, 0x34, 0xfe, 0xdc, 0xba, 0x98, 1, 2, 3, 4]);
    }

    #[test]
    fn accepted_forms() {
        let cases: [(&str, u8, &[u8], &[u8]); 7] = [
            ("plain", 0x80, &[7, 8, 9], &[7, 8, 9]),
            ("no payload", 0x80, &[], &[]),
            ("two CSRC", 0x82, &[0, 0, 0, 1, 0, 0, 0, 2, 9], &[9]),
            ("extension of one word", 0x90, &[0xbe, 0xde, 0, 1, 1, 2, 3, 4, 9], &[9]),
            ("extension of no word", 0x90, &[0xbe, 0xde, 0, 0, 9], &[9]),
            ("padding of three", 0xa0, &[7, 8, 0, 0, 3], &[7, 8]),
            ("CSRC, extension, nothing but padding", 0xb1, &[0, 0, 0, 1, 0, 0, 0, 0, 1], &[]),
        ];
        for (name, flags, after, payload) in cases {
            let bytes = datagram(flags, after);
            let packet = Packet::parse(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(packet.payload, payload, "{name}");
            assert_eq!(packet.header, header(), "{name}");
        }
    }

    #[test]
    fn refused_forms() {
        let cases: [(&str, u8, &[u8], RtpError); 9] = [
            ("version 0", 0x00, &[1, 2], RtpError::Version),
            ("version 1", 0x40, &[1, 2], RtpError::Version),
            ("version 3", 0xc0, &[1, 2], RtpError::Version),
            ("CSRC cut", 0x8f, &[0; 59], RtpError::CsrcTruncated),
            ("extension header cut", 0x90, &[0, 0, 0], RtpError::ExtensionTruncated),
            ("extension body cut", 0x90, &[0, 0, 0xff, 0xff, 0, 0, 0, 0], RtpError::ExtensionTruncated),
            ("padding counts 0", 0xa0, &[1, 2, 0], RtpError::Padding),
            ("padding reaches into the header", 0xa0, &[1, 2, 4], RtpError::Padding),
            ("padding of an empty rest", 0xa0, &[], RtpError::Padding),
        ];
        for (name, flags, after, error) in cases {
            assert_eq!(Packet::parse(&datagram(flags, after)), Err(error), "{name}");
        }
        let bytes = datagram(0x80, &[]);
        for length in 0..HEADER_BYTES {
            assert_eq!(Packet::parse(&bytes[..length]), Err(RtpError::TooShort));
        }
    }

    #[test]
    fn each_cause_has_its_own_counter() {
        for (place, error) in RtpError::ALL.into_iter().enumerate() {
            assert_eq!(error.index(), place);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(marker: bool, pt in 0u8..128, seq: u16, time: u32, ssrc: u32, payload: Vec<u8>) {
            let header = Header {
                marker,
                payload_type: PayloadType::new(pt).unwrap(),
                sequence: SeqNo(seq),
                timestamp: RtpTime(time),
                ssrc: Ssrc(ssrc),
            };
            let mut fixed = [0; HEADER_BYTES];
            header.write(&mut fixed);
            let bytes = [&fixed[..], &payload].concat();
            prop_assert_eq!(Packet::parse(&bytes), Ok(Packet { header, payload: &payload }));
        }

        #[test]
        fn any_bytes_are_judged(mut bytes: Vec<u8>, as_rtp: bool) {
            if let (true, Some(first)) = (as_rtp, bytes.first_mut()) {
                *first = *first & 0x3f | 0x80;
            }
            if let Ok(packet) = Packet::parse(&bytes) {
                prop_assert!(packet.payload.len() + HEADER_BYTES <= bytes.len());
            }
        }
    }
}
