//! WAV, RF64 and BW64 with the chunks of Broadcast Wave: writing a file whose header is right at every instant, and reading it back.
//!
//! # Goals
//! A kill at any moment leaves a file that ordinary tools read with the length of the last flush, whether the
//! file is 1 s or 100 h long. What was recorded is bit for bit what arrived, unless fewer bits were asked for.
//!
//! # Invariants
//! 1. A name appears in its directory together with a whole header of length 0; a name that exists is refused.
//! 2. The header never counts a frame whose bytes were not written before it.
//! 3. The header is written whole, by one write of [`header::LEN`] bytes, the first page of the file, so a killed process leaves
//!    the old one or the new one. Only its sizes ever change.
//! 4. A frame's place in the file follows from its number alone, so a write that fails, or succeeds by half, is
//!    done again at the same place and nothing after it moves.
//! 5. Bytes behind the counted length (a flush cut before its header) belong to no chunk: readers skip them.
//!
//! # Procedures
//! *Create*: 1 make a file without a name, 2 write its header, 3 link it to its name (fails if taken). Step 1 may be done long before, with
//! room set aside ([`Spare`]).
//! *Flush*: 1 write the data and its pad byte, 2 extend the file if it ends in silence, 3 write the header.
//! *Flush of blocks*: the same up to the last whole block of 4 KiB, for a recording that goes on; then room is set aside for what comes
//! next (ext4, XFS: 1 to 16 MiB), which leaves the length as it is and is given back at the end.
//! *Sync*: 1 flush, 2 fdatasync, 3 once, fsync of the directory. *Close*: a flush; sync before it if wanted.
//! Each is tested by cutting it after every single write (`tests/files/crash.rs`).
//!
//! # What a power cut may do
//! Without a sync the kernel orders its own writes. Two things were seen on ext4 in its default mode (`data=ordered`):
//! - The header, written over in place each 120 ms, reaches the disk before the file's new size. It then counts frames that are
//!   not there. [`WavInfo`] takes the smaller of the two, and [`mend`] makes the header say so, which the engine has done at its
//!   start to each file that was open.
//! - The size vouches for a block's end that is zeros on the disk: the block had been written when it was half full, and what was
//!   appended to it is no newly allocated data that the journal would wait for. So a block of samples is written only once it is full,
//!   but the last of a file that is closed. The first block holds the header and no sample.
//!
//! A disk that writes sectors of 512 bytes may, besides, take the first sector of a header and not the last: the sizes of RIFF and of
//! the data then differ by one flush. Readers go by the data's, and [`mend`] finds it.
//!
//! # Rejected designs
//! *Rewriting the size fields one by one*: a kill between two leaves a header that contradicts itself.
//! *Temporary name and rename*: a recording would be invisible until closed, and rename overwrites.
//! *A longer header for many channels*: its sizes would lie in two pages, and a kill between them leave a contradiction.
//! *What a file tells behind its samples*: it would be lost with a kill, and have to be moved with each flush.
//! *WAVE_FORMAT_EXTENSIBLE*: see [`header`].

mod bext;
pub(crate) mod convert;
pub mod header;
pub(crate) mod holes;
mod ixml;
mod mend;
mod reader;
mod riff;
mod spare;
mod store;
mod writer;

pub use bext::Bext;
pub use holes::FAR;
pub use mend::{Mended, mend, mend_file};
pub(crate) use mend::{WavTold, frames_of, mend_confirmed, plan};
pub use reader::{WavInfo, WavReader};
pub use spare::Spare;
pub use store::{FileStore, Store, release};
use writer::HOLE_BYTES;
pub use writer::WavWriter;
