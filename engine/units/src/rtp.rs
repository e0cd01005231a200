//! RTP's counters (RFC 3550 §5.1). They wrap, so they have a distance but no order.

use core::fmt;

/// An RTP timestamp: frames of the media clock plus a constant, modulo 2³². At 48 kHz it wraps every 24 h 51 m 18 s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct RtpTime(pub u32);

impl RtpTime {
    /// Frames from `earlier` to here the short way round: −2³¹ to 2³¹−1.
    pub const fn distance_from(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0) as i32
    }

    /// The timestamp `frames` later.
    #[must_use]
    pub const fn advanced(self, frames: u32) -> Self {
        Self(self.0.wrapping_add(frames))
    }
}

/// An RTP sequence number. At 125 µs packets it wraps every 8.192 s, so it tells neighbours, never lengths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct SeqNo(pub u16);

impl SeqNo {
    /// Packets from `earlier` to here the short way round: −2¹⁵ to 2¹⁵−1.
    pub const fn distance_from(self, earlier: Self) -> i16 {
        self.0.wrapping_sub(earlier.0) as i16
    }

    /// The number of the next packet.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// The number of the packet before.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.wrapping_sub(1))
    }
}

/// A synchronisation source identifier (RFC 3550 §3).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Ssrc(pub u32);

impl fmt::Debug for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ssrc({:08x})", self.0)
    }
}

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// An RTP payload type, 0 to 127; AES67 uses the dynamic ones, 96 to 127.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u8", into = "u8"))]
pub struct PayloadType(u8);

impl PayloadType {
    /// The first dynamic payload type, 96, the usual default.
    pub const DYNAMIC: Self = Self(96);

    /// A payload type, 0 to 127.
    pub const fn new(pt: u8) -> Result<Self, crate::OutOfRange> {
        if pt < 128 {
            Ok(Self(pt))
        } else {
            Err(crate::OutOfRange { what: "payload type", value: pt as u64, min: 0, max: 127 })
        }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for PayloadType {
    type Error = crate::OutOfRange;

    fn try_from(pt: u8) -> Result<Self, Self::Error> {
        Self::new(pt)
    }
}

impl From<PayloadType> for u8 {
    fn from(pt: PayloadType) -> u8 {
        pt.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_cross_the_wrap() {
        assert_eq!(RtpTime(3).distance_from(RtpTime(u32::MAX)), 4);
        assert_eq!(RtpTime(u32::MAX).distance_from(RtpTime(3)), -4);
        assert_eq!(SeqNo(0).distance_from(SeqNo(u16::MAX)), 1);
        assert_eq!(SeqNo(u16::MAX).next(), SeqNo(0));
    }
}
