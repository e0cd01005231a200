//! Ogg Opus: writing files that joined are the recording again, and reading them.
//!
//! # Goals
//! A kill at any moment leaves whole pages, which ordinary tools read, and loses less than 250 ms. One encoder runs over as many
//! files as a recording has: joined by their granule positions they give it back, without a lost or repeated sample and without
//! a seam. Each file by itself is one that any player plays right (RFC 7845).
//!
//! # Invariants
//! 1. A name appears in its directory together with both header pages; a name that exists is refused.
//! 2. A file only grows. A write ends with a page, and a page with a packet, but where one packet is longer than a page.
//! 3. A file of the frames *a* to *b* decodes to round(*b* × 48000 / rate) − round(*a* × 48000 / rate) samples, positions counted
//!    from the PTP epoch: lengths add up for ever.
//! 4. A page ends at each checkpoint, and after 160 ms.
//!
//! # Procedures
//! *Create*: 1 make a file without a name, 2 write both header pages, 3 link it to its name (fails if taken).
//! *Checkpoint*: 1 end the page, 2 append the pages. *Succeed*: 1 create the next file, whose pre-skip counts from a packet that
//! was made 0.96 s before its first frame, 2 give it those packets, 3 give each further one to both files until the encoder has
//! seen what the ended one's last frame needs (6.5 ms of lookahead, to the end of a packet), 4 end that with a page that has the
//! mark and counts the frame exactly, 5 append it; [`OpusWriter::take_finished`] hands it out.
//! *Close*: silence behind the last frame until it has come out, then 4 and 5. *Mend*: 1 write the last whole page again with the
//! mark of the end, 2 cut off what is behind it.
//!
//! # What a seam is worth
//! A decoder that begins in the middle is not what it would be if it had heard all. CELT, which is all that the defaults use,
//! forgets by half with each packet: RFC 7845's 80 ms leave an error of some dB in quiet bands, 0.96 s leave none. Twenty files
//! joined are bit for bit the one that was not cut (`tests/opus/opus_seams.rs`).
//!
//! SILK, the model of speech that low bitrates and [`OpusApplication::Voip`] use, predicts a voice from its last periods and need
//! never forget: a sustained tone came back at half its level. There the encoder holds two packets back, and codes the
//! first one of them without prediction when a new file begins. Packets then differ from those of an uncut file; the error at
//! the seams is not above the rest's.
//!
//! # What a kill loses
//! What is no whole packet (20 ms), the lookahead (6.5 ms), the resampler's block at other rates than 48 kHz (27 ms), what is held
//! back where speech is modelled (40 ms), and the time since the last checkpoint.
//!
//! # Rejected designs
//! *An encoder for each file*: its first 6.5 ms are faded in from silence, which is a click, and the joint has a codec's error of
//! its own. *More than two channels as loudspeakers*: a recorder knows no such; players would mix them. [`OpusLayout::Surround`]
//! is for those who do. *The `ogg` crate's reader*: it takes a file for whole; pages are written by that crate's writer.

mod encoder;
mod head;
mod mend;
mod page;
mod pages;
mod reader;
mod resample;
mod spec;
mod stream;
mod writer;

pub(crate) use mend::plan;
pub use mend::{OpusMended, mend, mend_file};
pub use reader::{OpusInfo, OpusReader};
pub use spec::{OpusApplication, OpusBitrateMode, OpusLayout, OpusSpec};
pub use writer::{OpusFinished, OpusWriter};
