//! Writes a FLAC file. See the module's page for the procedures.
//!
//! ```text
//!            append, append_silence            checkpoint: frames, STREAMINFO, seek points
//!  [clean] ─────────────────────────▶ [waiting] ─────────────────────────▶ [clean, less than a block in the encoder]
//!                                       ▲    │ error: the file keeps the count of the last good checkpoint,
//!                                       └────┘ what is not written goes on waiting
//! ```

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use audyn_flac::{FlacEncoder, FlacEncoding};
use audyn_units::{ChannelCount, FrameCount, SampleRate};

use super::FlacSpec;
use super::head::{self, INFO_AT, POINT_SECONDS, Point, StreamInfo};
use crate::tail::Tail;
use crate::wav::convert::{Converter, decode};
use crate::{AudioFile, Beneath, Facts, FileStore, Finished, MediaError, PcmDepth, Spare, Store};

/// Bytes that wait before an append writes them by itself.
const FLUSH_BYTES: u64 = 256 * 1024;

/// A FLAC file being written. Dropping it finishes it, without a word if that fails: use [`close`](AudioFile::close).
#[derive(Debug)]
pub struct FlacWriter<S: Store = FileStore> {
    tail: Tail<S>,
    path: PathBuf,
    spec: FlacSpec,
    encoder: FlacEncoder,
    samples: Justified,
    /// Length of the head.
    head: u64,
    /// Frames taken; those that the encoder has given back; those that the file counts.
    taken: u64,
    encoded: u64,
    counted: u64,
    /// Smallest and largest frame of FLAC so far.
    sizes: [u32; 2],
    /// Seek points that are to be written once the file counts their frames, with their places.
    points: VecDeque<(u64, Point)>,
    /// Points made so far, and the frame of audio from which on the next is due.
    point_number: usize,
    point_due: u64,
    closed: bool,
}

impl FlacWriter<FileStore> {
    /// Makes the file `path`: a valid FLAC of length 0, which tells `facts`, as soon as the name exists.
    ///
    /// Samples are taken for 24 bit deep until [`set_source_depth`](Self::set_source_depth) says less.
    ///
    /// # Errors
    /// [`MediaError::Exists`] if the name is taken: what exists is never opened, truncated or overwritten.
    /// [`MediaError::Create`] for anything else; nothing is left behind.
    pub fn create(path: impl AsRef<Path>, spec: FlacSpec, facts: &Facts) -> Result<Self, MediaError> {
        let path = path.as_ref();
        Self::created(|head| FileStore::create(path, head), path, spec, facts)
    }

    /// [`FlacWriter::create`] in a directory that is open, so that no link leads elsewhere; of a `spare` if there is one.
    ///
    /// # Errors
    /// As [`FlacWriter::create`].
    pub fn create_in(
        dir: &Beneath,
        name: &OsStr,
        spare: Option<Spare>,
        spec: FlacSpec,
        facts: &Facts,
    ) -> Result<Self, MediaError> {
        Self::created(|head| FileStore::create_of(spare, dir, name, head), &dir.path_of(name), spec, facts)
    }

    fn created(
        create: impl FnOnce(&[u8]) -> io::Result<FileStore>,
        path: &Path,
        spec: FlacSpec,
        facts: &Facts,
    ) -> Result<Self, MediaError> {
        let path = path.to_owned();
        // The encoder first: it may find no memory, and then nothing is left behind.
        let encoder = match encoder(spec) {
            Ok(encoder) => encoder,
            Err(source) => return Err(MediaError::Create { path, source }),
        };
        let head = head::encode(spec, facts);
        match create(&head) {
            Ok(store) => Ok(Self::new(Tail::behind(store, head.len() as u64), path, spec, encoder)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(MediaError::Exists { path }),
            Err(source) => Err(MediaError::Create { path, source }),
        }
    }
}

impl<S: Store> FlacWriter<S> {
    /// Writes to an empty `store` of any kind, for simulated disks; `path` is its name in messages.
    ///
    /// # Errors
    /// [`MediaError::Create`] if the head cannot be written.
    pub fn on_store(
        store: S,
        path: impl Into<PathBuf>,
        spec: FlacSpec,
        facts: &Facts,
    ) -> Result<Self, MediaError> {
        let path = path.into();
        let head = head::encode(spec, facts);
        let made = encoder(spec).and_then(|encoder| {
            let mut tail = Tail::behind(store, 0);
            tail.push(&head);
            tail.flush().map(|()| (tail, encoder))
        });
        match made {
            Ok((tail, encoder)) => Ok(Self::new(tail, path, spec, encoder)),
            Err(source) => Err(MediaError::Create { path, source }),
        }
    }

    /// `tail` holds the head and nothing else.
    fn new(tail: Tail<S>, path: PathBuf, spec: FlacSpec, encoder: FlacEncoder) -> Self {
        Self {
            head: tail.end(),
            tail,
            path,
            spec,
            encoder,
            samples: Justified::new(spec.depth()),
            taken: 0,
            encoded: 0,
            counted: 0,
            sizes: [0; 2],
            points: VecDeque::new(),
            point_number: 0,
            point_due: 0,
            closed: false,
        }
    }

    /// Says how deep the samples of the following appends are. From a 16-bit source (low 16 bits zero) a 16-bit
    /// file is bit exact; from a deeper one it is dithered. A 24-bit file is bit exact from either.
    pub fn set_source_depth(&mut self, source: PcmDepth) {
        self.samples.source = source;
        self.samples.converter.set_source(source);
    }

    /// Writes the rest and closes the file; does not wait for the disk.
    ///
    /// # Errors
    /// [`MediaError::Close`]: what was still buffered is lost.
    pub fn close(mut self) -> Result<(), MediaError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), MediaError> {
        self.finish().map_err(|source| MediaError::Close {
            path: self.path.clone(),
            valid: FrameCount(self.counted),
            lost: FrameCount(self.taken - self.counted),
            source,
        })
    }

    /// Sets the dither's noise, which is the same for every file otherwise.
    pub fn seed_dither(&mut self, seed: u64) {
        self.samples.converter.seed(seed);
    }

    /// The file's format.
    pub fn spec(&self) -> FlacSpec {
        self.spec
    }

    /// Writes as [`checkpoint`](AudioFile::checkpoint), and returns when that and the name would survive a power cut. Takes as
    /// long as the disk does.
    ///
    /// # Errors
    /// [`MediaError::Write`]; [`MediaError::Sync`] if the disk does not confirm.
    pub fn sync(&mut self) -> Result<(), MediaError> {
        self.write().map_err(|source| self.unwritten(source))?;
        self.tail.sync().map_err(|source| MediaError::Sync { path: self.path.clone(), source })
    }

    fn unwritten(&self, source: io::Error) -> MediaError {
        MediaError::Write { path: self.path.clone(), valid: FrameCount(self.counted), source }
    }

    fn refused(&self, source: io::Error) -> MediaError {
        let (valid, buffered) = (FrameCount(self.counted), FrameCount(self.taken - self.counted));
        MediaError::Backlog { path: self.path.clone(), valid, buffered, source }
    }

    /// Refuses more only if memory is full and the disk still does not take any.
    fn make_room(&mut self) -> Result<(), MediaError> {
        if !self.tail.is_full() {
            return Ok(());
        }
        self.write().map_err(|source| self.refused(source))
    }

    /// Encodes whole frames, right-justified already.
    fn encode(&mut self, samples: &[i32]) -> Result<(), MediaError> {
        // Every sample fits by its shift, so that only memory can be lacking; an encoder that broke takes no more.
        if let Err(e) = self.encoder.encode(samples) {
            return Err(MediaError::Codec { path: self.path.clone(), reason: e.to_string() });
        }
        self.taken += (samples.len() / self.spec.channels().get()) as u64;
        self.collect();
        Ok(())
    }

    /// Takes over what the encoder has finished.
    fn collect(&mut self) {
        let output = self.encoder.output();
        let mut offset = self.tail.end() - self.head;
        for &(bytes, frames) in &output.frames {
            if self.encoded >= self.point_due
                && let Some(place) = head::point_at(self.point_number)
            {
                self.points.push_back((place, Point { first: self.encoded, offset, frames: frames as u16 }));
                self.point_number += 1;
                self.point_due += u64::from(POINT_SECONDS * self.spec.rate().hz());
            }
            let [least, most] = self.sizes;
            self.sizes = [if least == 0 { bytes } else { least.min(bytes) }, most.max(bytes)];
            self.encoded += u64::from(frames);
            offset += u64::from(bytes);
        }
        self.tail.push(&output.bytes);
        output.clear();
    }

    /// Whether enough waits to be written without being asked.
    fn write_if_full(&mut self) -> Result<(), MediaError> {
        if self.tail.end() - self.tail.written() < FLUSH_BYTES {
            return Ok(());
        }
        self.write().map_err(|source| self.unwritten(source))
    }

    /// Writes what is encoded, then what counts it, then the points into it.
    fn write(&mut self) -> io::Result<()> {
        let info = StreamInfo { frames: self.encoded, ..StreamInfo::new(self.spec) };
        self.write_counted_by(info)
    }

    fn write_counted_by(&mut self, info: StreamInfo) -> io::Result<()> {
        self.tail.flush()?;
        if self.counted != info.frames || info.md5 != [0; 16] {
            self.tail.patch(INFO_AT, &info.encode())?;
            self.counted = info.frames;
        }
        while let Some(&(place, point)) = self.points.front() {
            self.tail.patch(place, &point.encode())?;
            self.points.pop_front();
        }
        Ok(())
    }

    /// Encodes the last block and writes all, with what is known only now.
    fn finish(&mut self) -> io::Result<()> {
        self.closed = true;
        let md5 = match self.encoder.finish() {
            Ok(md5) => md5,
            Err(e) => return self.write().and(Err(io::Error::other(e))),
        };
        self.collect();
        self.write_counted_by(StreamInfo {
            frames: self.encoded,
            sizes: self.sizes,
            md5,
            ..StreamInfo::new(self.spec)
        })
    }
}

impl<S: Store + Send> AudioFile for FlacWriter<S> {
    fn path(&self) -> &Path {
        &self.path
    }

    fn rate(&self) -> SampleRate {
        self.spec.rate()
    }

    fn channels(&self) -> ChannelCount {
        self.spec.channels()
    }

    /// Does no I/O but when 256 KiB wait; then it writes them.
    fn append(&mut self, samples: &[i32]) -> Result<(), MediaError> {
        let channels = self.spec.channels().get();
        if !samples.len().is_multiple_of(channels) {
            return Err(MediaError::PartialFrame { samples: samples.len(), channels });
        }
        self.make_room()?;
        let mut justified = std::mem::take(&mut self.samples.room);
        self.samples.justify(samples, &mut justified);
        let encoded = self.encode(&justified);
        self.samples.room = justified;
        encoded?;
        self.write_if_full()
    }

    /// Silence is encoded as all else: its MD5 costs what any sample's does, 2 to 3 s of a processor for an hour of stereo.
    fn append_silence(&mut self, frames: FrameCount) -> Result<(), MediaError> {
        self.make_room()?;
        let channels = self.spec.channels().get();
        let silence = vec![0; usize::from(self.spec.block()) * channels];
        let mut left = frames.0;
        while left > 0 {
            let now = left.min(u64::from(self.spec.block()));
            self.encode(&silence[..now as usize * channels])?;
            left -= now;
        }
        self.write_if_full()
    }

    fn checkpoint(&mut self) -> Result<(), MediaError> {
        self.write().map_err(|source| self.unwritten(source))?;
        self.tail.set_aside();
        Ok(())
    }

    fn flush(&mut self) -> Result<(), MediaError> {
        self.checkpoint()
    }

    fn frames(&self) -> FrameCount {
        FrameCount(self.taken)
    }

    fn buffered_frames(&self) -> FrameCount {
        FrameCount(self.taken - self.counted)
    }

    fn bytes(&self) -> u64 {
        self.tail.written()
    }

    fn close(mut self: Box<Self>) -> Vec<Finished> {
        let result = self.end();
        let (path, frames, bytes) = (self.path.clone(), FrameCount(self.taken), self.tail.written());
        vec![Finished { path, frames, bytes, result }]
    }
}

impl<S: Store> Drop for FlacWriter<S> {
    fn drop(&mut self) {
        if !self.closed {
            // Nobody is left to tell; the file is valid with what it has.
            let _ = self.finish();
        }
    }
}

fn encoder(spec: FlacSpec) -> io::Result<FlacEncoder> {
    let encoding = FlacEncoding {
        rate: spec.rate().hz(),
        channels: spec.channels().get() as u32,
        bits: u32::from(spec.depth().bits()),
        block: u32::from(spec.block()),
        level: u32::from(spec.level()),
    };
    FlacEncoder::new(encoding).map_err(io::Error::other)
}

/// Samples as the encoder wants them: with as many bits as the file has, at the lower end.
#[derive(Debug)]
struct Justified {
    file: PcmDepth,
    source: PcmDepth,
    converter: Converter,
    room: Vec<i32>,
    bytes: Vec<u8>,
}

impl Justified {
    fn new(file: PcmDepth) -> Self {
        let converter = Converter::new(file);
        Self { file, source: PcmDepth::Pcm24, converter, room: Vec::new(), bytes: Vec::new() }
    }

    fn justify(&mut self, samples: &[i32], out: &mut Vec<i32>) {
        let shift = 32 - self.file.bits();
        out.clear();
        if self.source.bits() <= self.file.bits() {
            out.extend(samples.iter().map(|sample| sample >> shift));
        } else {
            // What a WAV file would hold, dither and all.
            self.bytes.clear();
            self.converter.encode(samples, &mut self.bytes);
            out.resize(samples.len(), 0);
            decode(self.file, &self.bytes, out);
            out.iter_mut().for_each(|sample| *sample >>= shift);
        }
    }
}
