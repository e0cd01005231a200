//! Units as types.
//!
//! Owns: the newtypes that every other crate speaks in: rates, frame counts and positions, instants on a
//! named clock, RTP's two wrapping counters, levels. Never: I/O, allocation, a dependency (serde is optional).
//!
//! What may not be mixed does not compile: instants of two clocks, a position and a length, a wrapping
//! counter and an order.
#![no_std]
#![forbid(unsafe_code)]

mod audio;
mod counted;
mod level;
mod rtp;
mod skew;
mod time;

pub use audio::{ChannelCount, Encoding, FrameCount, FrameIndex, OutOfRange, SampleRate};
pub use counted::{ByteSize, Counted};
pub use level::Dbfs;
pub use rtp::{PayloadType, RtpTime, SeqNo, Ssrc};
pub use skew::SkewClass;
pub use time::{Clock, ClockQuality, Mono, Nanos, Phc, Tai, Timestamp, Utc};
