//! The logic of the recorder, without I/O.
//!
//! Owns: the receiver of a flow, its legs, timeline and statistics, the judge of the clock, what the machine's clock is believed to
//! say, meters, the recorder's state, archive names and boundaries, retention, and the test sender with its impairments. Never: a socket, a
//! file, a thread, a clock or randomness of its own. Time comes in as an argument, what is to be done goes out as a value or through a
//! sink.
#![forbid(unsafe_code)]

pub mod archive;
pub mod channels;
pub mod clock;
pub mod flow;
pub mod judge;
pub mod meter;
pub mod retention;
pub mod segment;
pub mod sender;
