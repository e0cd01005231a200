//! What a recorder's directory holds, as one timeline: which segments there are, and any stretch of them as exact frames.
//!
//! Owns: how segments follow one another and what is between them; which file a frame is taken from; what is found by recorder,
//! studio and time ([`Catalog`]). Must never: write into a recording or its sidecar, or wait for a file that grows.
//!
//! # Goals
//! Any stretch [from, to) of a recorder comes back frame by frame, in constant memory, however many files it lies in, also from
//! one that is still written. What is not there is told with its length and cause, and is never left out: what follows stays at its
//! place.
//!
//! # Invariants
//! 1. [`RangeReader`] gives each frame of its range once, in order, as audio or as a lack.
//! 2. Of a file that is written only what its header counts is read. It is looked at once, when the range is planned. What is held from then
//!    on ([`RangeReader::holding`], for exports) is read to its end, whoever deletes it meanwhile; and no limit does. Where there are more
//!    files than descriptors, those are held that are needed first, and one that went away before its turn is told as such.
//! 3. A frame that several files hold comes from one that is lossless; of two alike from the one that began first. Opus is taken where no
//!    lossless file of that segment is there; not for a few frames that a kill has taken from it, or that its header does not count yet.
//! 4. Where the ledger tells of silence, silence is given, whatever a lossy file of that volume holds there.
//! 5. Of two volumes ([`Directories`]) a frame comes from the archive's where that has it in a lossless file, by its ledger and to the eye of
//!    whoever reads it; else from the mirror's, if that has it; Opus stands in behind both. A lack is what neither has. Both count the same
//!    frames, so no frame moves where one goes on for the other. What is not known to be this archive's mirror is never asked ([`is_mirror`]).
//!
//! # Opus at other rates
//! Opus files count 48,000 frames a second. Where a recorder of 44.1 or 96 kHz has nothing else, its timeline is told at 48 kHz: each
//! position *p* becomes round(*p* × 48000 / rate), by which the files were cut (`opus`, invariant 3), so lengths still add up.

mod catalog;
mod gaps;
pub(crate) mod index;
mod mirror;
mod range;
mod reader;
mod segment;
mod shelf;
mod source;
mod spans;
mod track;

pub use catalog::{Catalog, Hit, State, Unsealable, Wanted, When, of_recorder};
pub use gaps::LedgerGaps;
pub use mirror::{Kinship, Lacked, is_mirror, lacked};
pub use range::{Piece, Range};
pub use reader::{NOT_RECORDED, Part, RangeReader, UNREADABLE};
pub use segment::{Kind, Segment};
pub use shelf::Directories;
pub use source::AudioSource;
pub use spans::{Span, without};
