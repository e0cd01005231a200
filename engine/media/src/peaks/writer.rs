//! Making peaks while a recording is made, or of one that is there.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use audyn_units::{FrameCount, FrameIndex};

use super::{BASE, CHUNK, ENTRIES, Peak, PeakSpec, STEP, peaks_of};
use crate::archive::{AudioSource, Kind};
use crate::beneath::OFlags;
use crate::chain::ledger_of;
use crate::ledger::LedgerFacts;
use crate::tail::Tail;
use crate::{Beneath, MediaError, Store};

/// Writes the peaks of one recording.
#[derive(Debug)]
pub struct PeakWriter<S: Store = Box<dyn Store + Send>> {
    /// None once the disk has refused for so long that no more could wait: there are no further peaks then.
    tail: Option<Tail<S>>,
    spec: PeakSpec,
    /// Entries of the finest level of the chunk that grows, a channel beside the other.
    chunk: Vec<Peak>,
    /// Frames of it.
    frames: usize,
}

impl PeakWriter<Box<dyn Store + Send>> {
    /// Makes the peaks of the audio file `audio` in `directory`; their name must be new as well.
    ///
    /// # Errors
    /// What the system says.
    pub fn create_in(directory: &Beneath, audio: &OsStr, spec: PeakSpec) -> io::Result<Self> {
        Self::create_as(directory, &peaks_of(audio), spec)
    }

    fn create_as(directory: &Beneath, name: &OsStr, spec: PeakSpec) -> io::Result<Self> {
        let file = directory.file(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?;
        Ok(Self::on_store(Box::new(file), spec))
    }
}

impl<S: Store> PeakWriter<S> {
    /// Peaks on an empty store.
    pub fn on_store(store: S, spec: PeakSpec) -> Self {
        let mut tail = Tail::behind(store, 0);
        tail.push(&spec.head());
        let chunk = vec![Peak::NONE; STEP * STEP * spec.channels.get()];
        Self { tail: Some(tail), spec, chunk, frames: 0 }
    }

    /// Takes whole frames: interleaved, left-justified. Writes nothing.
    pub fn append(&mut self, samples: &[i32]) {
        let channels = self.spec.channels.get();
        let mut rest = samples;
        while !rest.is_empty() && self.tail.is_some() {
            let room = BASE - self.frames % BASE;
            let (part, behind) = rest.split_at(rest.len().min(room * channels));
            let entry = self.frames / BASE * channels;
            let peaks = &mut self.chunk[entry..entry + channels];
            for frame in part.chunks_exact(channels) {
                for (peak, &sample) in peaks.iter_mut().zip(frame) {
                    let value = (sample >> 16) as i16;
                    *peak = peak.and(Peak { min: value, max: value });
                }
            }
            self.took(part.len() / channels);
            rest = behind;
        }
    }

    /// Takes `frames` of digital silence. Writes nothing.
    pub fn append_silence(&mut self, frames: FrameCount) {
        let channels = self.spec.channels.get();
        let mut left = frames.0;
        while left > 0 && self.tail.is_some() {
            let now = left.min((BASE - self.frames % BASE) as u64) as usize;
            let entry = self.frames / BASE * channels;
            for peak in &mut self.chunk[entry..entry + channels] {
                *peak = peak.and(Peak { min: 0, max: 0 });
            }
            self.took(now);
            left -= now as u64;
        }
    }

    /// Writes the whole chunks that wait.
    ///
    /// # Errors
    /// What the disk says; what is not written goes on waiting, up to 16 MiB: then there are no further peaks of this recording.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.tail {
            Some(tail) => tail.flush(),
            None => Ok(()),
        }
    }

    /// Writes the rest.
    ///
    /// # Errors
    /// What the disk says.
    pub fn close(mut self) -> io::Result<()> {
        if self.frames > 0 {
            self.end_chunk();
        }
        self.flush()
    }

    fn took(&mut self, frames: usize) {
        self.frames += frames;
        if self.frames == CHUNK {
            self.end_chunk();
        }
    }

    fn end_chunk(&mut self) {
        let Some(tail) = &mut self.tail else { return };
        if tail.is_full() {
            self.tail = None;
            return;
        }
        let channels = self.spec.channels.get();
        let coarser = |fine: &[Peak]| -> Vec<Peak> {
            let of = |entries: &[Peak]| {
                let each = |channel: usize| entries.iter().skip(channel).step_by(channels);
                (0..channels).map(|n| each(n).fold(Peak::NONE, |all, &one| all.and(one))).collect::<Vec<_>>()
            };
            fine.chunks_exact(STEP * channels).flat_map(of).collect()
        };
        let middle = coarser(&self.chunk);
        let coarsest = coarser(&middle);
        let mut bytes = Vec::with_capacity(ENTRIES * self.spec.entry());
        for peak in coarsest.iter().chain(&middle).chain(&self.chunk) {
            bytes.extend_from_slice(&peak.min.to_le_bytes());
            bytes.extend_from_slice(&peak.max.to_le_bytes());
        }
        tail.push(&bytes);
        self.chunk.fill(Peak::NONE);
        self.frames = 0;
    }
}

/// Makes the peaks of a recording that is there, in the place of those that are, if any. `go_on` is asked now and then.
///
/// # Errors
/// [`MediaError::Read`] and the like if the audio cannot be read, [`MediaError::Create`] if the peaks cannot be written,
/// [`MediaError::Stopped`]; what was there before is as it was then.
pub fn make(directory: &Beneath, name: &OsStr, mut go_on: impl FnMut() -> bool) -> Result<(), MediaError> {
    let kind = Path::new(name).extension().and_then(|suffix| Kind::of(suffix.to_str()?));
    let kind = kind.ok_or_else(|| MediaError::Spec {
        reason: format!("{} is no recording: its name ends in none of .wav, .flac, .opus", name.display()),
    })?;
    let mut source = AudioSource::open_in(directory, name, kind)?;
    let (rate, channels) = (source.rate(), source.channels());
    let mut new = OsString::from(".");
    new.push(peaks_of(name));
    new.push(".new");
    let failed = |source| MediaError::Create { path: directory.path_of(&peaks_of(name)), source };
    // One that a killed process left.
    let _ = directory.remove(&new);
    let first = first_of(directory, name).unwrap_or(FrameIndex(0));
    let spec = PeakSpec { rate, channels, first };
    let mut writer = PeakWriter::create_as(directory, &new, spec).map_err(failed)?;
    let mut samples = vec![0; CHUNK * channels.get()];
    let mut filled = || -> Result<(), MediaError> {
        loop {
            let read = source.read(&mut samples)?;
            if read == FrameCount::ZERO {
                return Ok(());
            }
            if !go_on() {
                return Err(MediaError::Stopped);
            }
            writer.append(&samples[..read.0 as usize * channels.get()]);
            writer.flush().map_err(failed)?;
        }
    };
    let done = filled().and_then(|()| {
        writer.close().map_err(failed)?;
        directory.rename_over(&new, &peaks_of(name)).map_err(failed)
    });
    if done.is_err() {
        let _ = directory.remove(&new);
    }
    done
}

/// The first frame's position, as the ledger tells it.
fn first_of(directory: &Beneath, name: &OsStr) -> Option<FrameIndex> {
    let ledger = directory.file(&ledger_of(name), OFlags::RDONLY).ok()?;
    let facts = LedgerFacts::read(io::BufReader::new(ledger), FrameCount::ZERO).ok()?;
    Some(facts.header.first_position)
}
