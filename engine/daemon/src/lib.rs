//! The engine: captures flows, records them, and is told what to do.
//!
//! ```text
//! NIC → socket ─recvmmsg→ slot ─ring→ worker: receiver → tap: map, meter → feed ─ring→ disk writer → file, ledger
//!       [capture thread: FIFO, isolated CPU]   [one worker owns a flow]            [one per volume]
//! ```
//!
//! Owns: the threads between which samples move, the control over them, the configuration files, and the Unix socket.
//! Never: an HTTP request, a person's account; those are the web daemon's.

mod again;
#[cfg(any(test, feature = "bench"))]
pub mod bench;
mod both;
mod capture;
mod chains;
mod closing;
mod delete;
mod diagnosis;
mod disk;
mod door;
mod durable;
mod engine;
mod error;
mod facts;
mod feed;
mod formats;
mod headkey;
pub mod journal;
mod json;
mod keep;
mod keeper;
mod lateness;
mod ledger;
mod legmeter;
mod legs;
mod mark;
mod naming;
mod network;
mod outbox;
mod parting;
mod policy;
mod printer;
mod protect;
mod recording;
mod refill;
mod resume;
mod retention;
mod segment;
mod selftest;
pub mod server;
mod service;
mod shared;
mod snapshot;
mod store;
mod sweep;
mod syncer;
mod tap;
mod unfinished;
mod volume;
mod worker;

pub use engine::{CapturePulse, Engine, EngineOptions, RecorderSpec};
pub use error::EngineError;
pub use formats::formats_of;
pub use headkey::make_head_key;
pub use keep::KeptSockets;
pub use keeper::{CLOCK_LOG, clock_is_there};
pub use ledger::{event_line, gap_line};
pub use naming::Naming;
pub use policy::{local_zone, tai_minus_utc};
pub use printer::{Printer, Printing};
pub use service::{Answer, DiskWork, Service};
pub use shared::Notice;
pub use store::{Change, ConfigStore, recorder_specs};
