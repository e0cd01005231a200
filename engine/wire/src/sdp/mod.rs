//! Session descriptions (RFC 8866) as AES67, ST 2110-30 and the field write them.
//!
//! Owns: what a receiver needs to know of a description, said in the engine's units; the writer that the test
//! sender announces itself with. Never: a socket, a clock, a decision to record.
//!
//! Reading is generous: what is in use somewhere and can mean only one thing is taken, and each such thing is
//! said in [`Session::oddities`]. What could mean two things, or nothing, is an error that names the line.
//!
//! ```text
//! bytes → clean (line ends, odd letters, lines that don't concern us) → sdp-types (structure) → read (meaning) → legs (groups)
//! ```

mod clean;
mod legs;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::net::IpAddr;
use std::string::String;
use std::vec::Vec;

use audyn_units::{ChannelCount, Encoding, PayloadType, SampleRate};

pub use legs::Duplicates;
pub use write::Description;

/// The longest description that is read, in bytes. Real ones have 300 to 3,000; SAP's largest packet has 65,507.
pub const MAX_BYTES: usize = 65_536;

/// Why a description can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// The text doesn't begin with `v=0`.
    #[error(
        "this is not a session description: its first line is not v=0; give the sender's SDP text itself"
    )]
    NotSdp,
    /// Longer than [`MAX_BYTES`].
    #[error("the description is longer than {MAX_BYTES} bytes; give the SDP text of one session")]
    TooLong,
    /// A line breaks the form of RFC 8866.
    #[error(
        "line {line} of the description is wrong: {problem}; correct it or ask the sender for its SDP again"
    )]
    Line {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no `m=` line at all.
    #[error("the description names no stream: it has no m= line; ask the sender for its complete SDP")]
    NoMedia,
    /// A stream that can't be received, and why.
    #[error("the stream \"{media}\" can't be received: {reason}")]
    Media {
        /// Its `m=` line.
        media: String,
        /// What stands against it, and what would help.
        reason: String,
    },
    /// Lines about the legs of one stream can't all be true (RFC 5888 §4, RFC 7104, ST 2022-7).
    #[error(
        "the description contradicts itself about the legs of the stream: {problem}; ask the sender for its SDP again"
    )]
    Legs {
        /// Which lines, and what they say.
        problem: String,
    },
}

/// Who made a description (`o=`, RFC 8866 §5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The login name, if it isn't `-`.
    pub username: Option<String>,
    /// Tells this session from the origin's others.
    pub session_id: String,
    /// Grows with each change of the description.
    pub version: u64,
    /// The origin's address, as written.
    pub address: String,
}

/// One stream that can be received: an `m=audio` section, or one of its `c=` lines where it has several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// The `m=` section that it stands in, counted from 0.
    pub section: usize,
    /// Where it is sent: a multicast group, or a receiver's own address.
    pub address: IpAddr,
    /// The UDP port.
    pub port: u16,
    /// Hops that a multicast packet may travel, if said.
    pub ttl: Option<u8>,
    /// The payload type of its RTP packets.
    pub payload_type: PayloadType,
    /// How its samples lie in the payload.
    pub encoding: Encoding,
    /// Frames per second.
    pub rate: SampleRate,
    /// Channels of the stream.
    pub channels: ChannelCount,
    /// Frames in a packet, if said (`a=ptime`, rounded to the nearest whole number of frames; AES67-2018 §7.2).
    /// A promise: believe the packets where they differ.
    pub packet_frames: Option<u32>,
    /// The senders to ask for by source-specific multicast (`a=source-filter: incl`, RFC 4570); empty means any.
    pub source_filter: Vec<IpAddr>,
    /// RTP timestamp = reference clock in frames + this, modulo 2³² (`a=mediaclk:direct=`, RFC 7273 §5.2).
    pub media_clock_offset: Option<u32>,
    /// The clock that the sender follows, as written after `a=ts-refclk:` (RFC 7273 §4).
    pub ref_clock: Option<String>,
    /// The section's name within the description (`a=mid`, RFC 5888).
    pub mid: Option<String>,
    /// Names of the channels, where the sender gives them (`i=2 channels: Left, Right`).
    pub channel_names: Vec<String>,
    /// The order of the channels, as written after `channel-order=` (ST 2110-30 §6.2.2).
    pub channel_order: Option<String>,
}

/// A description, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The session's name (`s=`); may be empty.
    pub name: String,
    /// Who made it, if said properly.
    pub origin: Option<Origin>,
    /// The streams that can be received, in the order of the text.
    pub media: Vec<Media>,
    /// The streams that can't, each with its reason.
    pub unusable: Vec<SdpError>,
    /// Groups of sections that carry the same audio (`a=group:DUP`, RFC 7104).
    pub duplication: Vec<Duplicates>,
    /// What was unusual in the text and how it was taken, in words for a person.
    pub oddities: Vec<String>,
}

impl Session {
    /// Reads a description.
    ///
    /// Errors only if the text as a whole can't be read; a stream that can't be received goes to
    /// [`Session::unusable`], so that it doesn't stand in the way of another.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, SdpError> {
        read::session(text.as_ref())
    }

    /// The first stream that can be received; if there is none, why the first one can't.
    pub fn flow(&self) -> Result<&Media, SdpError> {
        self.media.first().ok_or_else(|| self.unusable.first().cloned().unwrap_or(SdpError::NoMedia))
    }

    /// All legs of [`Session::flow`] that can be received, itself first: the streams that `DUP` groups join with it, or
    /// the several `c=` lines of its section (ST 2022-7, RFC 7104). An error if the description contradicts itself
    /// about them: then [`Session::flow`] can be received alone.
    pub fn legs(&self) -> Result<Vec<&Media>, SdpError> {
        let flow = self.flow()?;
        let named = |group: &&Duplicates| flow.mid.as_ref().is_some_and(|mid| group.mids.contains(mid));
        let groups: Vec<&Duplicates> = self.duplication.iter().filter(named).collect();
        if let Some(fault) = groups.iter().find_map(|group| group.fault.clone()) {
            return Err(fault);
        }
        let joined = |leg: &&Media| {
            leg.section == flow.section
                || leg.mid.as_ref().is_some_and(|mid| groups.iter().any(|group| group.mids.contains(mid)))
        };
        Ok(core::iter::once(flow).chain(self.media[1..].iter().filter(joined)).collect())
    }
}
