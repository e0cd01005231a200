//! Writes a WAV file. See the module's page for the procedures.
//!
//! ```text
//!            append, append_silence       flush, flush_blocks: data, then header
//!  [clean] ─────────────────────────▶ [buffered] ─────────────────────────▶ [clean]
//!                                       ▲    │ error: the file keeps the length of the last good flush,
//!                                       └────┘ what is not written stays buffered, at its place
//! ```

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use audyn_units::FrameCount;

use super::convert::Converter;
use super::header::{self, Head};
use super::spare::Spare;
use super::store::{FileStore, Store};
use crate::{Beneath, BigForm, Facts, MediaError, PcmDepth, WavSpec};

/// Bytes that a whole buffer holds: an append which reaches them flushes by itself.
const FLUSH_BYTES: usize = 256 * 1024;

/// Bytes that wait in memory while the disk refuses them: a minute of 48 kHz stereo in 24 bit.
const BACKLOG_BYTES: usize = 16 * 1024 * 1024;

/// What a file system writes at once, and a disk whole or not at all.
const BLOCK: u64 = 4_096;

/// Silence from this length on becomes a hole in the file, which costs no memory and no disk.
pub(super) const HOLE_BYTES: u64 = 64 * 1024;

/// Bytes of the buffer that lie together in the file.
#[derive(Debug)]
struct Extent {
    /// Place among the data, in bytes from the first sample.
    at: u64,
    len: usize,
}

/// A WAV file being written. Dropping it flushes it, without a word if that fails: use [`close`](Self::close).
#[derive(Debug)]
pub struct WavWriter<S: Store = FileStore> {
    store: S,
    path: PathBuf,
    spec: WavSpec,
    head: Head,
    converter: Converter,
    /// Bytes not yet written, in the order of `extents`; those before `sent` are written.
    buffer: Vec<u8>,
    sent: usize,
    extents: VecDeque<Extent>,
    /// Length of the data, in bytes, buffered ones included.
    end: u64,
    /// Length of the data that the header in the file counts.
    counted: u64,
    /// How far the file reaches: the furthest byte written.
    reach: u64,
}

impl WavWriter<FileStore> {
    /// Makes the file `path`: a valid WAV of length 0 as soon as the name exists, which tells `facts` of itself.
    ///
    /// Samples are taken for 24 bit deep until [`set_source_depth`](Self::set_source_depth) says otherwise.
    ///
    /// # Errors
    /// [`MediaError::Exists`] if the name is taken: what exists is never opened, truncated or overwritten.
    /// [`MediaError::Create`] for anything else; nothing is left behind.
    pub fn create(path: impl AsRef<Path>, spec: WavSpec, facts: &Facts) -> Result<Self, MediaError> {
        let path = path.as_ref();
        Self::created(path, spec, facts, |head| FileStore::create(path, head))
    }

    /// [`WavWriter::create`] in a directory that is open, so that no link leads elsewhere; of a `spare` if there is one.
    ///
    /// # Errors
    /// As [`WavWriter::create`].
    pub fn create_in(
        dir: &Beneath,
        name: &OsStr,
        spare: Option<Spare>,
        spec: WavSpec,
        facts: &Facts,
    ) -> Result<Self, MediaError> {
        Self::created(&dir.path_of(name), spec, facts, |head| FileStore::create_of(spare, dir, name, head))
    }

    fn created(
        path: &Path,
        spec: WavSpec,
        facts: &Facts,
        create: impl FnOnce(&[u8]) -> io::Result<FileStore>,
    ) -> Result<Self, MediaError> {
        let mut head = Head::new(spec, facts);
        match create(head.counting(FrameCount::ZERO)) {
            Ok(store) => Ok(Self::new(store, path.to_owned(), spec, head)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                Err(MediaError::Exists { path: path.to_owned() })
            }
            Err(source) => Err(MediaError::Create { path: path.to_owned(), source }),
        }
    }
}

impl<S: Store> WavWriter<S> {
    /// Writes to an empty `store` of any kind, for simulated disks; `path` is its name in messages.
    ///
    /// # Errors
    /// [`MediaError::Create`] if the header cannot be written.
    pub fn on_store(
        mut store: S,
        path: impl Into<PathBuf>,
        spec: WavSpec,
        facts: &Facts,
    ) -> Result<Self, MediaError> {
        let (path, mut head) = (path.into(), Head::new(spec, facts));
        match write_header(&mut store, head.counting(FrameCount::ZERO)) {
            Ok(()) => Ok(Self::new(store, path, spec, head)),
            Err(source) => Err(MediaError::Create { path, source }),
        }
    }

    fn new(store: S, path: PathBuf, spec: WavSpec, head: Head) -> Self {
        Self {
            store,
            path,
            spec,
            head,
            converter: Converter::new(spec.depth),
            buffer: Vec::with_capacity(FLUSH_BYTES + FLUSH_BYTES / 4),
            sent: 0,
            extents: VecDeque::new(),
            end: 0,
            counted: 0,
            reach: header::LEN as u64,
        }
    }

    /// Says what the file becomes when it outgrows 4 GiB; RF64 unless this says otherwise. Before, it is RIFF in any case.
    pub fn set_big_form(&mut self, big: BigForm) {
        self.head.set_big(big);
    }

    /// Says how deep the samples of the following appends are. From a 16-bit source (low 16 bits zero) a 16-bit
    /// file is bit exact; from a deeper one it is dithered. A file of 24 bits or of floats is bit exact from either; from floats, 24 bits
    /// are dithered too.
    pub fn set_source_depth(&mut self, source: PcmDepth) {
        self.converter.set_source(source);
    }

    /// Sets the dither's noise, which is the same for every file otherwise.
    pub fn seed_dither(&mut self, seed: u64) {
        self.converter.seed(seed);
    }

    /// Takes whole frames: interleaved, left-justified. Does no I/O but when 256 KiB wait; then it flushes their whole blocks.
    ///
    /// # Errors
    /// [`MediaError::Write`]: the samples are taken and wait in memory, the flush is to be tried again.
    /// [`MediaError::Backlog`] (16 MiB wait and the disk still refuses) and [`MediaError::PartialFrame`]: the
    /// samples are not taken.
    pub fn append(&mut self, samples: &[i32]) -> Result<(), MediaError> {
        let channels = self.spec.channels.get();
        if !samples.len().is_multiple_of(channels) {
            return Err(MediaError::PartialFrame { samples: samples.len(), channels });
        }
        let bytes = samples.len() * self.spec.depth.bytes();
        self.make_room(bytes)?;
        self.extend(bytes);
        self.converter.encode(samples, &mut self.buffer);
        self.flush_if_full()
    }

    /// Takes `frames` of digital silence. A long one becomes a hole in the file and costs neither memory nor disk.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_silence(&mut self, frames: FrameCount) -> Result<(), MediaError> {
        let bytes = frames.0 * self.spec.frame_bytes() as u64;
        if bytes < HOLE_BYTES {
            let bytes = bytes as usize;
            self.make_room(bytes)?;
            self.extend(bytes);
            self.buffer.resize(self.buffer.len() + bytes, 0);
        } else {
            self.end += bytes;
        }
        self.flush_if_full()
    }

    /// Writes what is buffered, then the header that counts it. Does nothing if nothing is buffered.
    ///
    /// # Errors
    /// [`MediaError::Write`]: the file is valid with the length of the last good flush, nothing is lost yet,
    /// and the next flush goes on where this one stopped.
    pub fn flush(&mut self) -> Result<(), MediaError> {
        self.try_flush(self.end).map_err(|source| self.unwritten(source))
    }

    /// Writes what is buffered up to the last whole block of 4 KiB, then the header that counts the whole frames of it. For a
    /// recording that goes on: no block of samples is ever written twice, and so none that the file's size vouches for after a power
    /// cut can lack its end (see the module's page).
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn flush_blocks(&mut self) -> Result<(), MediaError> {
        let whole = (header::LEN as u64 + self.end) / BLOCK * BLOCK;
        match whole.checked_sub(header::LEN as u64) {
            Some(to) if self.whole_frames(to) > self.counted => {
                self.try_flush(to).map_err(|source| self.unwritten(source))?;
                self.store.set_aside(self.reach);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn unwritten(&self, source: io::Error) -> MediaError {
        MediaError::Write { path: self.path.clone(), valid: self.counted_frames(), source }
    }

    /// The bytes of the whole frames among the first `bytes` of the data.
    fn whole_frames(&self, bytes: u64) -> u64 {
        bytes - bytes % self.spec.frame_bytes() as u64
    }

    /// Flushes, and returns when the file and its name would survive a power cut. Takes as long as the disk does.
    ///
    /// # Errors
    /// [`MediaError::Write`] as [`flush`](Self::flush); [`MediaError::Sync`] if the disk does not confirm.
    pub fn sync(&mut self) -> Result<(), MediaError> {
        self.flush()?;
        self.store.sync().map_err(|source| MediaError::Sync { path: self.path.clone(), source })
    }

    /// Flushes and closes the file; does not wait for the disk (see [`sync`](Self::sync)).
    ///
    /// # Errors
    /// [`MediaError::Close`]: what was still buffered is lost. To be able to try again, flush before closing.
    pub fn close(mut self) -> Result<(), MediaError> {
        let Err(source) = self.try_flush(self.end) else { return Ok(()) };
        let (path, valid, lost) = (self.path.clone(), self.counted_frames(), self.buffered_frames());
        self.end = self.counted; // or `drop` would try the disk once more
        Err(MediaError::Close { path, valid, lost, source })
    }

    /// Frames taken so far, buffered ones included.
    pub fn frames(&self) -> FrameCount {
        self.to_frames(self.end)
    }

    /// Frames taken that the file does not count yet: what a kill at this instant would lose.
    pub fn buffered_frames(&self) -> FrameCount {
        self.to_frames(self.end - self.counted)
    }

    /// Whether a flush has something to do. The caller asks by its own clock (every 200 ms).
    pub fn needs_flush(&self) -> bool {
        self.counted != self.end
    }

    /// Size of the file that the last good flush left: header, samples, pad byte.
    pub fn bytes(&self) -> u64 {
        header::LEN as u64 + self.counted + (self.counted & 1)
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's format.
    pub fn spec(&self) -> WavSpec {
        self.spec
    }

    fn to_frames(&self, bytes: u64) -> FrameCount {
        FrameCount(bytes / self.spec.frame_bytes() as u64)
    }

    fn counted_frames(&self) -> FrameCount {
        self.to_frames(self.counted)
    }

    /// Refuses `bytes` more only if memory is full and the disk still does not take any.
    fn make_room(&mut self, bytes: usize) -> Result<(), MediaError> {
        if self.buffer.is_empty() || self.buffer.len() - self.sent + bytes <= BACKLOG_BYTES {
            return Ok(());
        }
        self.try_flush(self.end).map_err(|source| MediaError::Backlog {
            path: self.path.clone(),
            valid: self.counted_frames(),
            buffered: self.buffered_frames(),
            source,
        })
    }

    /// Gives the next `bytes` of the buffer their place in the file.
    fn extend(&mut self, bytes: usize) {
        match self.extents.back_mut() {
            Some(last) if last.at + last.len as u64 == self.end => last.len += bytes,
            _ => self.extents.push_back(Extent { at: self.end, len: bytes }),
        }
        self.end += bytes as u64;
    }

    fn flush_if_full(&mut self) -> Result<(), MediaError> {
        if self.end - self.counted < FLUSH_BYTES as u64 { Ok(()) } else { self.flush_blocks() }
    }

    /// Writes the data before the byte `to`, then the header that counts the whole frames of it.
    fn try_flush(&mut self, to: u64) -> io::Result<()> {
        if self.counted >= self.whole_frames(to) {
            return Ok(());
        }
        // The pad byte after odd data travels with the last samples and the next samples overwrite it.
        let padded = if to == self.end { to + (to & 1) } else { to };
        let data_len = self.buffer.len();
        if padded != to {
            self.buffer.push(0);
        }
        let written = self.write_extents(to, padded);
        self.buffer.truncate(data_len);
        self.drop_sent();
        written?;
        // A file that ends in a hole, or whose pad byte alone failed before, does not reach its end yet.
        if self.reach < header::LEN as u64 + padded {
            self.store.set_len(header::LEN as u64 + padded)?;
            self.reach = header::LEN as u64 + padded;
        }
        let counted = self.whole_frames(to);
        let frames = self.to_frames(counted);
        write_header(&mut self.store, self.head.counting(frames))?;
        self.counted = counted;
        Ok(())
    }

    fn write_extents(&mut self, to: u64, padded: u64) -> io::Result<()> {
        while let Some(extent) = self.extents.front_mut().filter(|extent| extent.at < to) {
            let pad = usize::from(extent.at + extent.len as u64 == to && padded != to);
            while extent.len > 0 && extent.at < to {
                let offset = header::LEN as u64 + extent.at;
                let due = extent.len.min(usize::try_from(to - extent.at).unwrap_or(usize::MAX));
                let bytes = &self.buffer[self.sent..self.sent + due + pad];
                let n = match self.store.write_at(bytes, offset) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(n) => n,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                    Err(e) => return Err(e),
                };
                self.reach = self.reach.max(offset + n as u64);
                let samples = n.min(due); // the rest was the pad byte
                self.sent += samples;
                extent.at += samples as u64;
                extent.len -= samples;
            }
            if extent.len == 0 {
                self.extents.pop_front();
            }
        }
        Ok(())
    }

    fn drop_sent(&mut self) {
        if self.sent == self.buffer.len() {
            self.buffer.clear();
            self.buffer.shrink_to(BACKLOG_BYTES / 8); // give back what an outage of the disk has taken
        } else if self.sent > 0 {
            self.buffer.drain(..self.sent);
        }
        self.sent = 0;
    }
}

impl<S: Store> Drop for WavWriter<S> {
    fn drop(&mut self) {
        // Nobody is left to tell; the file is valid with what it has.
        let _ = self.try_flush(self.end);
    }
}

/// Writes the whole header at once. A header written by half counts as an error and is written again whole.
fn write_header<S: Store>(store: &mut S, bytes: &[u8]) -> io::Result<()> {
    loop {
        match store.write_at(bytes, 0) {
            Ok(n) if n == bytes.len() => return Ok(()),
            Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
