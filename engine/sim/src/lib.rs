//! A virtual network, and clocks that a test turns by hand.
//!
//! Owns: how datagrams of test senders become arrivals (jitter, bursts, clock drift, strangers, rubbish), the turns of
//! a virtual capture thread, and a sink that checks every promise of the receiver as it is made. Never: a socket, a
//! real clock, a thread, chance that isn't seeded. A development dependency only; its checks panic.
//!
//! ```text
//!  Sender ─► Path (drift, buffers, jitter) ─┐
//!  stranger ─► Path ────────────────────────┼─ by arrival ─► turns of a 4 or 8 ms grid ─► Receiver ─► Tape
//!  Rubbish ─────────────────────────────────┘               (and stalls of the reader)
//!
//!  two legs (ST 2022-7) are one sender made twice, each with a path and losses of its own
//! ```
//!
//! The machine that receives may have a clock, which steps, leaps and is corrected (`machine`); `timed` draws such runs.
//!
//! A run is a function of its seed alone: the one that failed fails again by itself.

#![forbid(unsafe_code)]

mod chance;
mod lane;
mod legs;
mod machine;
mod rubbish;
mod scenario;
mod tape;
mod timed;
mod trace;
mod world;

pub use chance::Dice;
pub use lane::{Path, Stream};
pub use legs::{LegFaults, LegScenario, Protection};
pub use machine::{MachineClock, Turn};
pub use rubbish::Rubbish;
pub use scenario::{Break, Kind, Scenario};
pub use tape::{Stretch, Tape};
pub use timed::{Expected, Happening, Timed};
pub use trace::Step;
pub use world::World;
