//! Audio files that are right at every instant.
//!
//! Owns: the bytes of recordings: their headers, sample formats and dither, the order in which they reach the
//! disk, and how they are read back. Must never: know the network, a clock or a recorder's configuration;
//! open, truncate or overwrite a recording that exists; hold a sample that it was given and not say so.
//!
//! Samples are interleaved `i32`, left-justified: a 24-bit sample is shifted up by 8, a 16-bit one by 16.
#![forbid(unsafe_code)]

pub mod archive;
pub mod beneath;
pub mod chain;
mod confirm;
mod error;
pub mod export;
mod facts;
mod file;
mod fix;
pub mod flac;
mod format;
pub mod ledger;
mod lock;
pub mod markers;
mod moment;
pub mod opus;
pub mod peaks;
pub mod repair;
mod spec;
mod tail;
pub mod volume;
pub mod wav;

pub use beneath::Beneath;
pub use confirm::{confirm, forget, is_unsupported};
pub use error::MediaError;
pub use facts::Facts;
pub use file::{AudioFile, Finished};
pub use flac::{FlacInfo, FlacReader, FlacSpec, FlacWriter};
pub use format::{FileFormat, frames_of};
pub use lock::is_ours_to_change;
pub use moment::{Moment, NamingClock};
pub use spec::{BigForm, PcmDepth, WavSpec};
pub use wav::{
    Bext, FileStore, Mended, Spare, Store, WavInfo, WavReader, WavWriter, mend, mend_file, release,
};
