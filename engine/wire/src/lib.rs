//! What AES67 puts on the wire: RTP packets, their linear PCM payload, the SDP that describes them, and what a PTP clock is
//! asked about itself.
//!
//! Owns: parsing and writing, and the errors of both. Never: I/O, a clock, allocation (but for SDP), a decision
//! about what a parsed value means; that is `audyn-core`'s.
//!
//! `no_std`, except for feature `sdp`, which needs `std` for text and addresses.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "sdp")]
extern crate std;

pub mod pcm;
pub mod ptp;
pub mod rtp;
#[cfg(feature = "sdp")]
pub mod sdp;

pub use rtp::{Header, Packet, RtpError};
