//! Mends any recording from what lies on the disk: the file, its length, and its ledger if there is one.
//!
//! Owns: what is found at a file and in which order it is put right; `audyn repair` tells it. Must never: change a file that is sealed or
//! that somebody writes; shorten audio that is whole; change anything before what was found can have been told.
//!
//! # Invariants
//! 1. [`look`] changes nothing, and what [`Case::mend`] does is what was found.
//! 2. What is cut off holds no whole frame (WAV cuts off nothing at all).
//! 3. Of a file that is mended nothing is found any more.
//! 4. What the ledger tells as the end of a mended file (`mended`) is not counted beyond, whatever lies there: the disk failed to confirm it,
//!    and zeros or what stood there before would pass for audio.
//!
//! # Procedure
//! *Mend*, under the file's lock, which whoever records holds as well: 1 the ledger loses a torn line, and an event of the name
//! `mended` enters what becomes of the file, fdatasync; 2 the file, fdatasync. A crash between the two finds the file again, and the
//! event in its place. Sealing is another step, see [`seal`].

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use audyn_units::{ChannelCount, FrameCount, FrameIndex};

use crate::beneath::{Beneath, FileType, OFlags};
use crate::chain::{self, Chain, Hashes, Sidecar, account, ledger_of, sidecar_of};
use crate::fix::Fix;
use crate::flac::FlacTold;
use crate::ledger::mend::{LedgerFix, apply, became, plan};
use crate::ledger::{LedgerEvent, LedgerFacts, LedgerHeader, LedgerLine, MENDED};
use crate::lock::locked;
use crate::opus::{OpusReader, OpusSpec};
use crate::wav::{self, FAR, WavTold};
use crate::{Facts, FlacReader, FlacSpec, MediaError, PcmDepth, WavSpec, flac, forget, opus, release};

/// What stands at a name.
#[derive(Debug)]
pub enum Found {
    /// It is sealed: nothing may change it, and whether anything did [`chain::verify`] tells.
    Sealed,
    /// Somebody writes it right now, or nobody can tell.
    BeingWritten,
    /// A closed file, whole or not.
    Closed(Box<Case>),
}

/// What was found of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerState {
    /// It can be read.
    There,
    /// There is none.
    Missing,
    /// It is not what the engine writes, or cannot be read; it is left as it is.
    Unreadable(String),
}

/// A closed file, with what is to be done to it. It is locked until this is dropped.
#[derive(Debug)]
pub struct Case {
    directory: Beneath,
    path: PathBuf,
    file: File,
    frames: FrameCount,
    audio: Option<Fix>,
    ledger: LedgerState,
    ledger_fix: LedgerFix,
}

/// The format that a name says, as its suffix in small letters; none if it is none of a recording's.
#[must_use]
pub fn kind_of(name: &OsStr) -> Option<&'static str> {
    let suffix = Path::new(name).extension()?.to_str()?;
    ["wav", "flac", "opus"].into_iter().find(|kind| suffix.eq_ignore_ascii_case(kind))
}

/// Looks at the file `name` in `directory`, and changes nothing.
///
/// # Errors
/// [`MediaError::NotWav`] and the like if it is no file of the kind that its name says, or one that cannot be mended;
/// [`MediaError::Read`].
pub fn look(directory: &Beneath, name: &OsStr) -> Result<Found, MediaError> {
    let path = directory.path_of(name);
    let what = path.display().to_string();
    let read = |source| MediaError::Read { what: what.clone(), source };
    let kind = kind_of(name).ok_or_else(|| MediaError::Spec {
        reason: format!("{what} is called neither .wav nor .flac nor .opus; only such files are mended"),
    })?;
    if directory.kind_of(&sidecar_of(name)).map_err(read)?.is_some() {
        return Ok(Found::Sealed);
    }
    let file = directory.file(name, OFlags::RDONLY).map_err(read)?;
    if !file.metadata().map_err(read)?.is_file() {
        return Err(read(io::Error::other("it is no file")));
    }
    let Some(file) = locked(directory, name, file).map_err(read)? else { return Ok(Found::BeingWritten) };
    // A hole that only memory fills is none to whoever asks for holes.
    forget(&file).map_err(read)?;
    // Sealed in the meantime.
    if directory.kind_of(&sidecar_of(name)).map_err(read)?.is_some() {
        return Ok(Found::Sealed);
    }
    let ledger = match directory.file(&ledger_of(name), OFlags::RDONLY) {
        Ok(ledger) => Ok(Some(ledger)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    };
    let told = ledger.and_then(|ledger| {
        let Some(ledger) = ledger else { return Ok(None) };
        match LedgerFacts::read(BufReader::new(&ledger), FAR) {
            Ok(facts) => Ok(Some((ledger, facts))),
            Err(_) => Err("its first line is not that of a ledger".to_owned()),
        }
    });
    let facts = match &told {
        Ok(Some((_, facts))) => Some(facts),
        _ => None,
    };
    let header = facts.map(|facts| &facts.header);
    let (audio, frames) = audio(kind, &file, &what, facts)?;
    let closed = facts.and_then(|facts| facts.end).map(|end| end.frames());
    let event = audio.as_ref().zip(header).and_then(|(fix, header)| entry(fix, header, closed));
    let (ledger, ledger_fix) = match &told {
        Ok(None) => (LedgerState::Missing, LedgerFix::default()),
        Ok(Some((ledger, ..))) => (LedgerState::There, plan(ledger, event.as_ref()).map_err(read)?),
        Err(why) => (LedgerState::Unreadable(why.clone()), LedgerFix::default()),
    };
    let directory = directory.try_clone().map_err(read)?;
    Ok(Found::Closed(Box::new(Case { directory, path, file, frames, audio, ledger, ledger_fix })))
}

/// What is to be done to the audio, and how many frames it holds then, at its own rate.
fn audio(
    kind: &str,
    file: &File,
    what: &str,
    facts: Option<&LedgerFacts>,
) -> Result<(Option<Fix>, FrameCount), MediaError> {
    let header = facts.map(|facts| &facts.header);
    let end = facts.and_then(|facts| facts.end);
    let channels = header.and_then(|header| ChannelCount::new(header.channels).ok());
    match kind {
        "wav" => {
            let told = header.zip(channels).and_then(|(header, channels)| {
                let depth = match header.bits? {
                    16 => PcmDepth::Pcm16,
                    24 => PcmDepth::Pcm24,
                    32 => PcmDepth::Float32,
                    _ => return None,
                };
                let spec = WavSpec { rate: header.rate, channels, depth };
                // When it was recorded its ledger tells; which clock named it is not known any more.
                let about = Facts { recorder: header.recorder.clone(), ..Facts::default() };
                let ledger = facts?.clone();
                Some(WavTold { spec, facts: about, closed: end.map(|end| end.frames()), ledger })
            });
            let fix = wav::plan(file, what, told.as_ref())?;
            let frames = match &fix {
                Some(fix) => fix.frames,
                None => wav::frames_of(file, what)?,
            };
            Ok((fix, frames))
        }
        "flac" => {
            let told = header.zip(channels).and_then(|(header, channels)| {
                let depth = if header.bits? == 16 { PcmDepth::Pcm16 } else { PcmDepth::Pcm24 };
                let spec = FlacSpec::new(header.rate, channels, depth).ok()?;
                let facts = Facts { recorder: header.recorder.clone(), ..Facts::default() };
                Some(FlacTold { spec, facts })
            });
            let fix = flac::plan(file, what, told.as_ref())?;
            let frames = match &fix {
                Some(fix) => fix.frames,
                None => FlacReader::from_source(BufReader::new(file), what)?.info().declared,
            };
            Ok((fix, frames))
        }
        _ => {
            let spec = header.zip(channels).map(|(header, channels)| OpusSpec::new(header.rate, channels));
            let mut fix = opus::plan(file, what, spec, false)?;
            // Counted from the first page's granule position on, as a reader does.
            let frames = match &fix {
                Some(fix) if fix.frames == FrameCount::ZERO => FrameCount::ZERO,
                _ => OpusReader::from_source(file, what)?.info().frames,
            };
            if let Some(fix) = &mut fix {
                (fix.declared, fix.frames) = (frames, frames);
            }
            Ok((fix, frames))
        }
    }
}

/// What the ledger is to tell of a fix; none where the number of frames stays, or becomes what the ledger tells already.
fn entry(fix: &Fix, header: &LedgerHeader, closed: Option<FrameCount>) -> Option<LedgerLine> {
    if fix.declared == fix.frames || closed == Some(fix.frames) {
        return None;
    }
    let position = FrameIndex(header.first_position.0.checked_add(fix.frames.0)?);
    let detail = became(fix.declared, fix.frames);
    Some(LedgerLine::Event(LedgerEvent { position, event: MENDED.to_owned(), detail }))
}

impl Case {
    /// Its name in messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nothing is to be done to the file or its ledger.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.audio.is_none() && self.ledger_fix.steps.is_empty()
    }

    /// Frames that the file counts and that it will count, at its own rate.
    #[must_use]
    pub fn frames(&self) -> (FrameCount, FrameCount) {
        (self.audio.as_ref().map_or(self.frames, |fix| fix.declared), self.frames)
    }

    /// Bytes of the file that are no whole frame and are cut off.
    #[must_use]
    pub fn cut(&self) -> u64 {
        self.audio.as_ref().map_or(0, |fix| fix.cut)
    }

    /// What was found of the ledger.
    #[must_use]
    pub fn ledger(&self) -> &LedgerState {
        &self.ledger
    }

    /// Bytes of a torn line that its ledger loses.
    #[must_use]
    pub fn ledger_torn(&self) -> u64 {
        self.ledger_fix.torn
    }

    /// What is wrong, in words, and what is done about it; none if nothing is wrong with the audio.
    #[must_use]
    pub fn words(&self) -> Option<(&str, &str)> {
        self.audio.as_ref().map(|fix| (fix.found.as_str(), fix.remedy.as_str()))
    }

    /// Does what was found to be done, and gives back what the writer had set aside behind the file's end. Returns when the disk has
    /// confirmed it. See the module's procedure.
    ///
    /// # Errors
    /// [`MediaError::Read`] if the file is another one by now, or cannot be opened to be written; [`MediaError::Write`] and
    /// [`MediaError::Sync`] as they say.
    pub fn mend(self) -> Result<(), MediaError> {
        let Self { directory, path, file, audio, ledger_fix, .. } = self;
        let name = path.file_name().unwrap_or_default();
        let read = |source| MediaError::Read { what: path.display().to_string(), source };
        if !ledger_fix.steps.is_empty() {
            let ledger = directory.file(&ledger_of(name), OFlags::RDWR).map_err(read)?;
            apply(&ledger, &ledger_fix).map_err(|source| MediaError::Sync { path: path.clone(), source })?;
        }
        let writable = directory.file(name, OFlags::RDWR).map_err(read)?;
        if writable.metadata().map_err(read)?.ino() != file.metadata().map_err(read)?.ino() {
            return Err(read(io::ErrorKind::NotFound.into()));
        }
        if let Some(fix) = audio {
            fix.apply(&writable, &path)?;
        }
        // What takes room and holds nothing stops nobody.
        let _ = release(&writable);
        Ok(())
    }
}

/// The directory of the recorder whose chain a file in `directory` belongs to: the nearest one above with a chain. `directory` is
/// absolute and has no links in it.
///
/// # Errors
/// What the system says.
pub fn recorder_of(directory: &Path) -> io::Result<Option<PathBuf>> {
    for above in directory.ancestors() {
        if Beneath::root(above)?.kind_of(chain::HOUSE.as_ref())? == Some(FileType::Directory) {
            return Ok(Some(above.to_owned()));
        }
    }
    Ok(None)
}

/// Seals a closed file, a path below its recorder's directory, by what the disk alone tells, under the chain's lock. `go_on` is asked
/// meanwhile.
///
/// # Errors
/// [`MediaError::Chain`], of the kind [`io::ErrorKind::ResourceBusy`] while an engine keeps the chain; it seals by itself.
pub fn seal(recorder: &Path, file: &Path, go_on: impl FnMut() -> bool) -> Result<Sidecar, MediaError> {
    let open =
        || Beneath::root(recorder).map_err(|source| MediaError::Chain { path: recorder.to_owned(), source });
    let mut chain = Chain::open(open()?)?;
    let sealing = account(&open()?, file)?;
    let hashes = Hashes::of(&open()?, file, go_on)?;
    chain.seal(sealing, hashes)
}

#[cfg(test)]
mod tests;
