//! PTP's management messages (IEEE 1588-2019 §15): what a PTP clock is asked, and what it answers.
//!
//! Owns: the layout of the messages and of the data sets that Audyn reads, among them three of linuxptp's own (`_NP`, "not in
//! the standard"). Never: I/O, allocation, SET or COMMAND: nothing here changes a clock.
//!
//! ```text
//!  header (34 bytes): type 13, version 2, length, domain, source port, sequence
//!  target port (10), hops (2), action (1), reserved (1)
//!  TLV: type (2), length (2), then
//!    MANAGEMENT               (1): what it is about (2), its data
//!    MANAGEMENT_ERROR_STATUS  (2): the error (2), what it is about (2), reserved (4), a text
//! ```

mod data;
mod message;
#[cfg(test)]
mod tests;

use core::fmt;

pub use data::{
    Announced, CurrentDataSet, DataSet, DefaultDataSet, GrandmasterQuality, ParentDataSet, PortDataSet,
    PortPropertiesNp, PortState, Stamping, TimePropertiesDataSet, TimeStatusNp,
};
pub use message::{Answer, Body, GET_BYTES, Get, MAX_ANSWER_BYTES, ManagementError};

/// A clock's identity: eight bytes, mostly made from a MAC address (IEEE 1588-2019 §7.5.2.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClockIdentity(pub [u8; 8]);

/// As SDP writes it (RFC 7273 §4.3): `00-1D-C1-FF-FE-12-34-56`.
impl fmt::Display for ClockIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("-")?;
            }
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

/// The text is no clock identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no PTP clock identity; give eight bytes in hexadecimal, as 00-1D-C1-FF-FE-12-34-56")]
pub struct BadIdentity;

/// Takes hyphens, colons, linuxptp's dots (`001dc1.fffe.123456`), or none, and either case.
impl core::str::FromStr for ClockIdentity {
    type Err = BadIdentity;

    fn from_str(text: &str) -> Result<Self, BadIdentity> {
        let mut bytes = [0; 8];
        let mut digits = 0;
        for letter in text.chars().filter(|letter| !matches!(letter, '-' | ':' | '.')) {
            let digit = letter.to_digit(16).ok_or(BadIdentity)?;
            let byte: &mut u8 = bytes.get_mut(digits / 2).ok_or(BadIdentity)?;
            *byte = *byte << 4 | digit as u8;
            digits += 1;
        }
        if digits == 16 { Ok(Self(bytes)) } else { Err(BadIdentity) }
    }
}

/// A port of a clock (IEEE 1588-2019 §7.5.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortIdentity {
    /// The clock.
    pub clock: ClockIdentity,
    /// Its port, counted from 1.
    pub port: u16,
}

impl PortIdentity {
    /// Every port of every clock that hears it (§15.3.1).
    pub const ALL: Self = Self { clock: ClockIdentity([0xff; 8]), port: 0xffff };
}

/// A clock that a session description names: `a=ts-refclk:ptp=VERSION:GMID[:DOMAIN]` (RFC 7273 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefClock {
    /// The grandmaster.
    pub grandmaster: ClockIdentity,
    /// Its domain, if said.
    pub domain: Option<u8>,
}

impl RefClock {
    /// Reads what stands after `a=ts-refclk:`. None if it names no PTP clock: another kind of clock, `traceable`, or
    /// something unreadable. PTPv1's domains are names, and so none here.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().strip_prefix("ptp=")?.split(':');
        let _version = parts.next()?;
        let grandmaster = parts.next()?.trim().parse().ok()?;
        let domain = parts.next().map(|text| text.trim().trim_start_matches("domain-nmbr="));
        Some(Self { grandmaster, domain: domain.and_then(|text| text.parse().ok()) })
    }
}

/// Why bytes are no answer to a management message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PtpError {
    /// The message ends before its fields do.
    #[error("the PTP message is cut short; ask again")]
    Truncated,
    /// Another version, or none at all.
    #[error("this is not a message of PTP version 2; check which program listens at this socket")]
    Version,
    /// Not a management message.
    #[error("this is no PTP management message; check which program listens at this socket")]
    NotManagement,
    /// A management message, but not the answer to a question.
    #[error("this PTP management message is no response; another program asks at the same socket")]
    NotResponse,
    /// Lengths in the message contradict each other.
    #[error("the lengths in the PTP message contradict each other; its sender damages it")]
    Length,
}

/// Takes fields from the front of bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], PtpError> {
        let (chunk, rest) = self.0.split_first_chunk::<N>().ok_or(PtpError::Truncated)?;
        self.0 = rest;
        Ok(*chunk)
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], PtpError> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(PtpError::Truncated)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn u8(&mut self) -> Result<u8, PtpError> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, PtpError> {
        self.take().map(u16::from_be_bytes)
    }

    fn i16(&mut self) -> Result<i16, PtpError> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, PtpError> {
        self.take().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, PtpError> {
        self.take().map(i64::from_be_bytes)
    }

    fn clock(&mut self) -> Result<ClockIdentity, PtpError> {
        self.take().map(ClockIdentity)
    }

    fn port(&mut self) -> Result<PortIdentity, PtpError> {
        Ok(PortIdentity { clock: self.clock()?, port: self.u16()? })
    }
}

/// Puts fields one after another into a buffer. What doesn't fit is not written, and the end says so.
struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    fn put(&mut self, bytes: &[u8]) {
        if let Some(place) = self.out.get_mut(self.at..self.at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        self.at += bytes.len();
    }

    fn clock(&mut self, clock: ClockIdentity) {
        self.put(&clock.0);
    }

    fn port(&mut self, port: PortIdentity) {
        self.clock(port.clock);
        self.put(&port.port.to_be_bytes());
    }

    /// How many bytes were written; none if they didn't fit.
    fn end(self) -> Option<usize> {
        (self.at <= self.out.len()).then_some(self.at)
    }
}
