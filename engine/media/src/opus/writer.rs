//! Writes Ogg Opus. See the module's page for the procedures.
//!
//! ```text
//!             succeed                              the encoder has seen what the end needs, the disk has it
//!  [running] ─────────▶ [running: the next file]  [ending: the file before] ───────────────────▶ [finished]
//!                                                        take_finished hands it out
//! ```

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use audyn_units::{ChannelCount, FrameCount, SampleRate};

use super::OpusSpec;
use super::encoder::{Encoder, PACKET};
use super::stream::{Begin, Stream};
use crate::tail::Tail;
use crate::{AudioFile, Beneath, Facts, FileStore, Finished, MediaError, Spare, Store};

/// Bytes of packets that wait at most: an append which reaches them flushes by itself.
const FLUSH_BYTES: u64 = 64 * 1024;

/// Frames that the encoder is given at once.
const AT_ONCE: usize = 4_800;

/// A file and how far the recording had come when it began and ended, in frames that the encoder had taken.
struct Part<S: Store> {
    stream: Stream<S>,
    from: FrameCount,
    /// None while it runs.
    to: Option<FrameCount>,
}

/// A file that was ended by the one after it.
pub struct OpusFinished<S: Store = FileStore> {
    /// Its name.
    pub path: PathBuf,
    /// Frames that were given.
    pub frames: FrameCount,
    /// Bytes of the file.
    pub bytes: u64,
    /// [`MediaError::Close`] if its end could not be written.
    pub result: Result<(), MediaError>,
    tail: Tail<S>,
}

impl<S: Store> OpusFinished<S> {
    /// Returns when the file and its name would survive a power cut. Takes as long as the disk does.
    ///
    /// # Errors
    /// [`MediaError::Sync`] if the disk does not confirm.
    pub fn sync(&mut self) -> Result<(), MediaError> {
        self.tail.sync().map_err(|source| MediaError::Sync { path: self.path.clone(), source })
    }
}

impl<S: Store> fmt::Debug for OpusFinished<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, frames, bytes, result, .. } = self;
        let mut out = f.debug_struct("OpusFinished");
        out.field("path", path).field("frames", frames).field("bytes", bytes).field("result", result).finish()
    }
}

/// A recording in Ogg Opus that is being written, over one file or many. Dropping it leaves the running file without its end, as
/// a kill does: use [`close`](Self::close).
pub struct OpusWriter<S: Store = FileStore> {
    spec: OpusSpec,
    encoder: Encoder,
    running: Part<S>,
    /// Files before it whose last packets are not made or not written yet, oldest first.
    ending: Vec<Part<S>>,
    finished: Vec<OpusFinished<S>>,
}

impl<S: Store> fmt::Debug for OpusWriter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("OpusWriter");
        out.field("path", &self.running.stream.path())
            .field("spec", &self.spec)
            .field("frames", &self.frames());
        out.field("ending", &self.ending.len()).finish_non_exhaustive()
    }
}

impl OpusWriter<FileStore> {
    /// Makes the file `path`, whole headers and no audio, and an encoder that begins with it.
    ///
    /// # Errors
    /// [`MediaError::Spec`] if that cannot be encoded. [`MediaError::Exists`] if the name is taken: what exists is never
    /// opened, truncated or overwritten. [`MediaError::Create`] for anything else; nothing is left behind.
    pub fn create(path: impl AsRef<Path>, spec: OpusSpec, facts: &Facts) -> Result<Self, MediaError> {
        let path = path.as_ref();
        Self::begin(path, spec, facts, |head| FileStore::create(path, head))
    }

    /// [`OpusWriter::create`] in a directory that is open, so that no link leads elsewhere; of a `spare` if there is one.
    ///
    /// # Errors
    /// As [`OpusWriter::create`].
    pub fn create_in(
        dir: &Beneath,
        name: &OsStr,
        spare: Option<Spare>,
        spec: OpusSpec,
        facts: &Facts,
    ) -> Result<Self, MediaError> {
        Self::begin(&dir.path_of(name), spec, facts, |head| FileStore::create_of(spare, dir, name, head))
    }

    /// Ends the running file exactly behind the frames given so far, and goes on in the new file `path`. The encoder runs on:
    /// the files joined are the recording, without a sample lost or repeated.
    ///
    /// The file before gets its last packets from the first 20 to 50 ms of the next one; [`take_finished`](Self::take_finished)
    /// hands it out then. `facts` are those of the new file, which begins where the other ends.
    ///
    /// # Errors
    /// As [`OpusWriter::create`]; the running file runs on then.
    pub fn succeed(&mut self, path: impl AsRef<Path>, facts: &Facts) -> Result<(), MediaError> {
        let path = path.as_ref();
        self.go_on(path, facts, |head| FileStore::create(path, head))
    }

    /// [`OpusWriter::succeed`] in a directory that is open, with a `spare` if there is one.
    ///
    /// # Errors
    /// As [`OpusWriter::succeed`].
    pub fn succeed_in(
        &mut self,
        dir: &Beneath,
        name: &OsStr,
        spare: Option<Spare>,
        facts: &Facts,
    ) -> Result<(), MediaError> {
        self.go_on(&dir.path_of(name), facts, |head| FileStore::create_of(spare, dir, name, head))
    }
}

impl<S: Store> OpusWriter<S> {
    /// Writes to an empty `store` of any kind, for simulated disks; `path` is its name in messages.
    ///
    /// # Errors
    /// As [`OpusWriter::create`].
    pub fn on_store(
        store: S,
        path: impl AsRef<Path>,
        spec: OpusSpec,
        facts: &Facts,
    ) -> Result<Self, MediaError> {
        Self::begin(path.as_ref(), spec, facts, |head| with_head(store, head))
    }

    /// [`OpusWriter::succeed`] on a store of any kind.
    ///
    /// # Errors
    /// As [`OpusWriter::succeed`].
    pub fn succeed_on(&mut self, store: S, path: impl AsRef<Path>, facts: &Facts) -> Result<(), MediaError> {
        self.go_on(path.as_ref(), facts, |head| with_head(store, head))
    }

    fn begin(
        path: &Path,
        spec: OpusSpec,
        facts: &Facts,
        store: impl FnOnce(&[u8]) -> io::Result<S>,
    ) -> Result<Self, MediaError> {
        spec.check()?;
        let codec = |reason| MediaError::Codec { path: path.to_owned(), reason };
        let encoder = Encoder::new(spec, facts.first).map_err(codec)?;
        let running = part(path, spec, facts, &encoder, store)?;
        Ok(Self { spec, encoder, running, ending: Vec::new(), finished: Vec::new() })
    }

    fn go_on(
        &mut self,
        path: &Path,
        facts: &Facts,
        store: impl FnOnce(&[u8]) -> io::Result<S>,
    ) -> Result<(), MediaError> {
        let mut next = part(path, self.spec, facts, &self.encoder, store)?;
        let taken = self.encoder.taken();
        for packet in self.encoder.history(next.stream.first()) {
            next.stream.take(packet).map_err(|e| self.codec_failed(&e))?;
        }
        let mut before = std::mem::replace(&mut self.running, next);
        before.to = Some(taken);
        before.stream.end(self.encoder.place(taken));
        self.ending.push(before);
        self.encoder.begin_file();
        Ok(())
    }

    /// The files that were ended since this was asked last, oldest first: whole, and written.
    pub fn take_finished(&mut self) -> Vec<OpusFinished<S>> {
        std::mem::take(&mut self.finished)
    }

    /// Takes whole frames: interleaved, left-justified. Encodes them, and does no I/O but when 64 KiB wait.
    ///
    /// # Errors
    /// [`MediaError::Write`]: the samples are taken and wait in memory as packets, a flush is to be tried again.
    /// [`MediaError::Backlog`] (16 MiB wait and the disk still refuses), [`MediaError::Codec`] and
    /// [`MediaError::PartialFrame`]: the samples are not taken.
    pub fn append(&mut self, samples: &[i32]) -> Result<(), MediaError> {
        let channels = self.spec.channels.get();
        if !samples.len().is_multiple_of(channels) {
            return Err(MediaError::PartialFrame { samples: samples.len(), channels });
        }
        self.make_room()?;
        for part in samples.chunks(AT_ONCE * channels) {
            let taken = self.encoder.push(part).and_then(|()| self.encode());
            taken.map_err(|reason| self.codec_said(reason))?;
        }
        self.flush_if_full()
    }

    /// Takes `frames` of digital silence, through the encoder as any other signal: an hour of stereo is
    /// some ten seconds of work and 1.3 MB at the defaults, so give hours of it where nobody waits.
    ///
    /// # Errors
    /// As [`append`](Self::append). If the disk refuses while a long silence is encoded, all of it is taken.
    pub fn append_silence(&mut self, frames: FrameCount) -> Result<(), MediaError> {
        self.make_room()?;
        let mut left = frames;
        let mut refused = Ok(());
        while left > FrameCount::ZERO {
            let part = left.min(FrameCount(AT_ONCE as u64));
            let taken = self.encoder.push_silence(part, true).and_then(|()| self.encode());
            taken.map_err(|reason| self.codec_said(reason))?;
            refused = self.flush_if_full();
            left = left.saturating_sub(part);
        }
        refused
    }

    /// Ends the page and writes all pages. What is not a whole packet, and what lies in the encoder's lookahead, is not in them:
    /// 26.5 ms at most at 48 kHz, 50 ms where it is resampled.
    ///
    /// # Errors
    /// [`MediaError::Write`]: nothing is lost yet, and the next flush goes on where this one stopped.
    pub fn flush(&mut self) -> Result<(), MediaError> {
        let flushed = self.flush_ending();
        let flushed = self.running.stream.end_page().and_then(|()| self.running.stream.flush()).and(flushed);
        flushed.map_err(|source| self.unwritten(source))
    }

    /// Flushes, and returns when the file and its name would survive a power cut. Takes as long as the disk does.
    ///
    /// # Errors
    /// [`MediaError::Write`] as [`flush`](Self::flush); [`MediaError::Sync`] if the disk does not confirm.
    pub fn sync(&mut self) -> Result<(), MediaError> {
        self.flush()?;
        let synced = self.running.stream.tail().sync();
        synced.map_err(|source| MediaError::Sync { path: self.path().to_owned(), source })
    }

    /// Ends the recording: all frames come out of the encoder, and the last file gets its end. Does not wait for the disk.
    ///
    /// # Errors
    /// [`MediaError::Close`] of the first file whose end could not be written. [`finish`](Self::finish) tells of each.
    pub fn close(self) -> Result<(), MediaError> {
        self.finish().into_iter().try_for_each(|finished| finished.result)
    }

    /// [`close`](Self::close), and hands out the files that were not handed out yet, the last one at the end.
    pub fn finish(mut self) -> Vec<OpusFinished<S>> {
        let taken = self.encoder.taken();
        self.running.to = Some(taken);
        self.running.stream.end(self.encoder.place(taken));
        let mut said = None;
        while self.running.stream.wants() {
            let silence = self.encoder.push_silence(FrameCount(PACKET), false);
            if let Err(reason) = silence.and_then(|()| self.encode()) {
                said = Some(reason);
                break;
            }
        }
        let Self { encoder, running, ending, mut finished, .. } = self;
        for mut part in ending.into_iter().chain([running]) {
            let flushed = match &said {
                Some(reason) if part.stream.wants() => {
                    part.stream.end_page().and(Err(io::Error::other(reason.clone())))
                }
                _ => Ok(()),
            };
            let flushed = part.stream.flush().and(flushed);
            finished.push(part.finished(&encoder, flushed));
        }
        finished
    }

    /// Frames taken so far of the running file, also those that are not encoded yet.
    pub fn frames(&self) -> FrameCount {
        self.running.frames(&self.encoder)
    }

    /// Frames taken that the running file does not hold yet: what a kill at this instant would lose.
    pub fn buffered_frames(&self) -> FrameCount {
        self.frames().saturating_sub(self.running.valid(&self.encoder))
    }

    /// Size of the running file as it is.
    pub fn bytes(&self) -> u64 {
        self.running.stream.bytes()
    }

    /// The running file's name.
    pub fn path(&self) -> &Path {
        self.running.stream.path()
    }

    /// The format.
    pub fn spec(&self) -> OpusSpec {
        self.spec
    }

    /// Encodes what is there, and gives each packet to all that want it.
    fn encode(&mut self) -> Result<(), String> {
        while let Some(packet) = self.encoder.next()? {
            let ending = self.ending.iter_mut().map(|part| &mut part.stream);
            for stream in ending.chain([&mut self.running.stream]).filter(|stream| stream.wants()) {
                stream.take(&packet).map_err(|e| e.to_string())?;
            }
        }
        Ok(())
    }

    fn flush_ending(&mut self) -> io::Result<()> {
        let mut refused = Ok(());
        for mut part in std::mem::take(&mut self.ending) {
            let flushed = part.stream.flush();
            if part.stream.is_finished() {
                self.finished.push(part.finished(&self.encoder, Ok(())));
            } else {
                self.ending.push(part);
            }
            refused = refused.and(flushed);
        }
        refused
    }

    fn is_full(&self) -> bool {
        self.parts().any(|part| part.stream.is_full())
    }

    fn parts(&self) -> impl Iterator<Item = &Part<S>> {
        self.ending.iter().chain([&self.running])
    }

    /// Refuses more only if memory is full and the disk still does not take any.
    fn make_room(&mut self) -> Result<(), MediaError> {
        if !self.is_full() {
            return Ok(());
        }
        let flushed = self.flush();
        match flushed {
            Err(MediaError::Write { path, valid, source }) if self.is_full() => {
                Err(MediaError::Backlog { path, valid, buffered: self.buffered_frames(), source })
            }
            _ => Ok(()),
        }
    }

    fn flush_if_full(&mut self) -> Result<(), MediaError> {
        let due = self.parts().any(|part| part.stream.waiting() >= FLUSH_BYTES);
        if due { self.flush() } else { Ok(()) }
    }

    fn unwritten(&self, source: io::Error) -> MediaError {
        MediaError::Write { path: self.path().to_owned(), valid: self.running.valid(&self.encoder), source }
    }

    fn codec_said(&self, reason: String) -> MediaError {
        MediaError::Codec { path: self.path().to_owned(), reason }
    }

    fn codec_failed(&self, error: &io::Error) -> MediaError {
        self.codec_said(error.to_string())
    }
}

impl<S: Store> From<OpusFinished<S>> for Finished {
    fn from(finished: OpusFinished<S>) -> Self {
        let OpusFinished { path, frames, bytes, result, .. } = finished;
        Self { path, frames, bytes, result }
    }
}

impl<S: Store> Part<S> {
    fn frames(&self, encoder: &Encoder) -> FrameCount {
        self.to.unwrap_or_else(|| encoder.taken()).saturating_sub(self.from)
    }

    /// Frames that the disk has.
    fn valid(&self, encoder: &Encoder) -> FrameCount {
        encoder.frames_before(self.stream.there()).saturating_sub(self.from).min(self.frames(encoder))
    }

    fn finished(self, encoder: &Encoder, flushed: io::Result<()>) -> OpusFinished<S> {
        let (frames, valid, path) =
            (self.frames(encoder), self.valid(encoder), self.stream.path().to_owned());
        let lost = frames.saturating_sub(valid);
        let result = flushed.map_err(|source| MediaError::Close { path: path.clone(), valid, lost, source });
        OpusFinished { path, frames, bytes: self.stream.bytes(), result, tail: self.stream.into_tail() }
    }
}

/// A file that begins where the encoder is.
fn part<S: Store>(
    path: &Path,
    spec: OpusSpec,
    facts: &Facts,
    encoder: &Encoder,
    store: impl FnOnce(&[u8]) -> io::Result<S>,
) -> Result<Part<S>, MediaError> {
    let from = encoder.taken();
    let begin = Begin::new(spec, facts, encoder.place(from), encoder.lookahead());
    match begin.and_then(|begin| Ok((store(begin.head())?, begin))) {
        Ok((store, begin)) => {
            Ok(Part { stream: Stream::behind(store, path.to_owned(), begin), from, to: None })
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            Err(MediaError::Exists { path: path.to_owned() })
        }
        Err(source) => Err(MediaError::Create { path: path.to_owned(), source }),
    }
}

fn with_head<S: Store>(mut store: S, head: &[u8]) -> io::Result<S> {
    let mut written = 0;
    while written < head.len() {
        match store.write_at(&head[written..], written as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => written += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(store)
}

impl AudioFile for OpusWriter<FileStore> {
    fn path(&self) -> &Path {
        OpusWriter::path(self)
    }

    fn rate(&self) -> SampleRate {
        self.spec.rate
    }

    fn channels(&self) -> ChannelCount {
        self.spec.channels
    }

    fn append(&mut self, samples: &[i32]) -> Result<(), MediaError> {
        OpusWriter::append(self, samples)
    }

    fn append_silence(&mut self, frames: FrameCount) -> Result<(), MediaError> {
        OpusWriter::append_silence(self, frames)
    }

    fn checkpoint(&mut self) -> Result<(), MediaError> {
        OpusWriter::flush(self)
    }

    fn flush(&mut self) -> Result<(), MediaError> {
        OpusWriter::flush(self)
    }

    fn frames(&self) -> FrameCount {
        OpusWriter::frames(self)
    }

    fn buffered_frames(&self) -> FrameCount {
        OpusWriter::buffered_frames(self)
    }

    fn bytes(&self) -> u64 {
        OpusWriter::bytes(self)
    }

    fn succeed_in(
        &mut self,
        dir: &Beneath,
        name: &OsStr,
        spare: Option<Spare>,
        facts: &Facts,
    ) -> Option<Result<(), MediaError>> {
        Some(OpusWriter::succeed_in(self, dir, name, spare, facts))
    }

    fn take_finished(&mut self) -> Vec<Finished> {
        OpusWriter::take_finished(self).into_iter().map(Finished::from).collect()
    }

    fn close(self: Box<Self>) -> Vec<Finished> {
        self.finish().into_iter().map(Finished::from).collect()
    }
}
