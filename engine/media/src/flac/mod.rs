//! FLAC: writing a file whose head is right at every instant, reading it back, and putting right what a power cut left.
//!
//! libFLAC makes the frames (`audyn_flac`, which says why it and no other); all else of the file is written here.
//!
//! # Goals
//! A kill at any moment leaves a file that ordinary tools read with the length of the last checkpoint, whether it is 1 s or 24 h
//! long. A file that was closed lacks nothing that `flac` itself would have put into it. The samples are bit for bit those that
//! arrived, unless fewer bits were asked for.
//!
//! # Invariants
//! 1. A name appears together with a whole head of length 0, all of its room reserved; a name that exists is refused.
//! 2. STREAMINFO never counts a frame whose bytes were not written before it, and a seek point never names one that it does not
//!    count. What lies behind the counted frames (a checkpoint that was cut) is read by nobody: decoders stop at the count.
//! 3. All fields that change lie in one write, inside the first page of the file; a seek point is a write of its own.
//! 4. While a file is open the sizes of its frames and its MD5 are 0, which means "unknown"; at the close all are exact.
//! 5. A block of FLAC lasts at most 93 ms, so that this is the most that waits in the encoder.
//!
//! # Procedures
//! *Create*: 1 make a file without a name, 2 write its head, 3 link it to its name (fails if taken).
//! *Checkpoint*: 1 write the whole FLAC frames that wait, 2 write STREAMINFO, 3 write the seek points that became due.
//! *Close*: 1 encode the last block, shorter than others, 2 write, 3 STREAMINFO with sizes and MD5, 4 seek points.
//! Each is tested by cutting it after every single write (`tests/files/flac_crash.rs`).
//!
//! # What a kill or a power cut may do
//! - Between the first frames and the first count a kill leaves a file of length 0, which FLAC reads as "unknown": tools play what
//!   is there, and may complain about its torn end. So they do while the kernel is cut within one of the few seek points that
//!   lie on two pages. [`mend`] puts both right.
//! - A power cut takes what the kernel had not written, in any order: the count may run ahead of the frames, the end be torn or
//!   zeros, a stretch in the middle be zeros. [`mend`] looks for the last whole frame, cuts off what lies behind it and counts up
//!   to it. A stretch in the middle stays as it is: [`FlacReader`] tells silence in its place, and all behind it stays at its time.
//!
//! # Rejected designs
//! *A checkpoint in whole blocks of 4 KiB*, as WAV has it: a block may hold half a minute of silence, which a kill would take.
//! *Letting libFLAC write the head*: it knows neither room for a table that grows nor when its bytes reach the disk.
//! *A point for each second*: a table of 24 h would be as long as minutes of audio.

mod frames;
mod head;
mod headless;
mod mend;
mod reader;
mod spec;
mod writer;

pub(crate) use headless::FlacTold;
pub(crate) use mend::plan;
pub use mend::{mend, mend_file};
pub use reader::{FlacInfo, FlacReader};
pub use spec::FlacSpec;
pub use writer::FlacWriter;
