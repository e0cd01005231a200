//! Gives a file its end that a kill or a power cut left without one.
//!
//! Owns: the end of a file that nobody writes. Never: touches a page that is whole, but for the mark of the end on the last one.
//!
//! The encoder's last 20 ms and what was in no page yet are gone, so the last page keeps its granule position: all that is in it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use audyn_units::FrameCount;

use super::OpusSpec;
use super::head::Mapping;
use super::page::{At, Page};
use super::pages::{Pages, headers, last_page};
use super::stream::Begin;
use crate::fix::{Fix, Step};
use crate::{Facts, MediaError};

/// A file that was given its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpusMended {
    /// Bytes that were no whole page, or belonged to a packet without an end, and were cut off.
    pub cut: u64,
    /// Frames at 48 kHz that are there.
    pub frames: FrameCount,
}

/// Ends `path`, which an [`OpusWriter`](super::OpusWriter) made in format `spec`, behind its last whole page. Returns when the disk
/// has confirmed it; none if there was nothing to mend.
///
/// A file that ends inside its headers, since the disk got its name and nothing else, becomes a file of no frames and without
/// comments.
///
/// # Errors
/// [`MediaError::NotOpus`] if it is no file of that writer in that format; [`MediaError::Read`], [`MediaError::Write`] and
/// [`MediaError::Sync`] as they say. The file is as it was then, but after the last two.
pub fn mend(path: &Path, spec: OpusSpec) -> Result<Option<OpusMended>, MediaError> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.map_err(|source| MediaError::Read { what: path.display().to_string(), source })?;
    mend_file(&file, path, spec)
}

/// [`mend`] for a file that is open already, for reading and writing; `path` is its name in messages.
///
/// # Errors
/// As [`mend`].
pub fn mend_file(file: &File, path: &Path, spec: OpusSpec) -> Result<Option<OpusMended>, MediaError> {
    let what = path.display().to_string();
    let Some(fix) = plan(file, &what, Some(spec), true)? else { return Ok(None) };
    fix.apply(file, path)?;
    Ok(Some(OpusMended { cut: fix.cut, frames: fix.frames }))
}

/// What is to be done to a file; none if nothing is. `what` names it in messages. A file that ends inside its headers needs a `spec`;
/// with `same` it must be what the file's own headers say as well. Counts frames at 48 kHz.
pub(crate) fn plan(
    file: &File,
    what: &str,
    spec: Option<OpusSpec>,
    same: bool,
) -> Result<Option<Fix>, MediaError> {
    let read = |source| MediaError::Read { what: what.to_owned(), source };
    let no = |reason: &str| MediaError::NotOpus { what: what.to_owned(), reason: reason.to_owned() };
    let length = file.metadata().map_err(read)?.len();
    let mut pages = Pages::new(file);
    let (head, serial) = match headers(&mut pages) {
        Ok(found) => found,
        Err(refusal) => {
            // An empty file, or one cut inside its headers: whatever it has is their beginning.
            let Some(spec) = spec else { return Err(refusal.named(what)) };
            let (head, known) = empty(spec).map_err(read)?;
            let mut bytes = vec![0; length.min(head.len() as u64) as usize];
            file.read_exact_at(&mut bytes, 0).map_err(read)?;
            let begins = bytes.iter().zip(&head).take(known).all(|(a, b)| a == b);
            if length >= HEADERS_AT_MOST || !begins && !bytes.iter().all(|&b| b == 0) {
                return Err(refusal.named(what));
            }
            let end = head.len() as u64;
            return Ok(Some(Fix {
                declared: FrameCount::ZERO,
                frames: FrameCount::ZERO,
                cut: 0,
                found: "it ends inside its headers".to_owned(),
                remedy: "it will be a file of no frames".to_owned(),
                steps: vec![Step::Write(0, head), Step::Cut(end)],
            }));
        }
    };
    if let Some(spec) = spec.filter(|_| same)
        && (head.mapping != Mapping::of(spec.layout, spec.channels) || head.rate != spec.rate.hz())
    {
        return Err(no("it is not the recording that was being written under this name"));
    }
    let last = last_page(&mut pages, 0, serial).map_err(read)?;
    let last = last.ok_or_else(|| read(io::ErrorKind::UnexpectedEof.into()))?; // its headers are gone meanwhile
    if last.ended && last.end == length {
        return Ok(None);
    }
    pages.go(last.end);
    while let Some(page) = pages.page().map_err(read)? {
        if page.serial() != serial {
            return Err(no("another stream follows the first one; nothing of it is cut off"));
        }
    }
    let mut bytes = vec![0; (last.end - last.began) as usize]; // a page
    file.read_exact_at(&mut bytes, last.began).map_err(read)?;
    let ending = match Page::at(&bytes) {
        At::Page(page) => page.ending(),
        _ => return Err(read(io::ErrorKind::InvalidData.into())), // it was changed meanwhile
    };
    let frames = FrameCount(last.granule.saturating_sub(u64::from(head.pre_skip)));
    let (cut, end) = (length - last.end, last.began + ending.len() as u64);
    let mut found = "its end is not marked".to_owned();
    let mut remedy = "its last whole page will be marked as the end".to_owned();
    if cut > 0 {
        found = format!("{cut} bytes behind its last whole page are none");
        remedy += ", and they will be cut off";
    }
    // The page first: a crash before the cut finds the rest again.
    let steps = vec![Step::Write(last.began, ending), Step::Cut(end)];
    Ok(Some(Fix { declared: frames, frames, cut, found, remedy, steps }))
}

/// The lookahead of libopus at 48 kHz, in samples. Nothing is left out of a file without audio, but judges frown at less.
const USUAL: u64 = 312;

/// Headers of a file of ours are never longer.
const HEADERS_AT_MOST: u64 = 64 * 1024;

/// The headers of a file of no frames, with the mark of the end; and how many of their first bytes no fact can change.
fn empty(spec: OpusSpec) -> io::Result<(Vec<u8>, usize)> {
    let begin = Begin::new(spec, &Facts::default(), 0, USUAL)?;
    let mut bytes = begin.head().to_vec();
    if let At::Page(first) = Page::at(begin.head())
        && let At::Page(tags) = Page::at(&begin.head()[first.len()..])
    {
        let ending = tags.ending();
        bytes[first.len()..].copy_from_slice(&ending);
    }
    Ok((bytes, 14)) // as far as the serial number
}
