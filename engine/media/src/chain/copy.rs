//! A sealed recording on its way to another volume.
//!
//! Owns: that what comes there under its name is what its sidecar tells, to the byte, or nothing. Never: touches the source; replaces
//! anything; seals, which is left to whoever keeps the other chain: it reads the copy back from the disk before.
//!
//! # Procedure
//! *Copy*: 1. the ledger into a file without a name, hashed on the way, fdatasync; 2. the audio likewise; 3. both hashes are the sidecar's, or
//! nothing more is done; 4. the ledger gets its name, fsync of the directory; 5. the audio does, if the name is free; 6. peaks likewise, if
//! there are any; 7. fsync of the directory.
//! A crash before 4 leaves nothing (where a file must have a name, a hidden one that the next copy replaces), after 4 a ledger that the next
//! copy finds and uses, and after 5 a closed recording that is not sealed yet.

use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, linkat, openat};
use rustix::io::Errno;

use super::files::{ledger_of, sidecar_of};
use super::hash::{Sha256, hash_of};
use super::seal::place;
use super::sidecar::Sidecar;
use crate::beneath::OFlags;
use crate::peaks::peaks_of;
use crate::{Beneath, MediaError};

/// What became of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// It is there, and is to be sealed.
    Whole,
    /// Its name is taken there.
    Taken,
}

/// Copies the recording that `sidecar` tells of from a recorder's directory to the same recorder's on another volume, as `name`, a path below
/// that; its directory is made. `go_on` is told of each piece of so many bytes and may wait; without its consent the copy is given up.
///
/// # Errors
/// [`MediaError::Chain`], also if it was given up; of the kind [`io::ErrorKind::InvalidData`] if the source is not what its sidecar tells,
/// [`io::ErrorKind::ResourceBusy`] if somebody writes it.
pub fn copy(
    from: &Beneath,
    sidecar: &Sidecar,
    to: &Beneath,
    name: &Path,
    mut go_on: impl FnMut(usize) -> bool,
) -> Result<Copied, MediaError> {
    let path = to.path().join(name);
    copied(from, sidecar, to, name, &mut go_on).map_err(|source| MediaError::Chain { path, source })
}

fn copied(
    from: &Beneath,
    sidecar: &Sidecar,
    to: &Beneath,
    name: &Path,
    go_on: &mut dyn FnMut(usize) -> bool,
) -> io::Result<Copied> {
    let (source, file) = place(from, Path::new(&sidecar.file))?;
    let target = to.try_clone()?.make(name.parent().unwrap_or(Path::new("")))?;
    let name = name.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let audio = source.file(file, OFlags::RDONLY)?;
    // Held to the end: whoever deletes leaves what is read.
    if matches!(audio.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, "it is being written"));
    }
    let told = sidecar.ledger.ok_or_else(|| not_as_told("has no ledger"))?;
    let ledger_name = ledger_of(name);
    let has_ledger = match is_free(&target, name, &told.sha256)? {
        None => return Ok(Copied::Taken),
        Some(has_ledger) => has_ledger,
    };
    let mut ledger = None;
    if !has_ledger {
        let made = New::make(&target, &ledger_name)?;
        let read = made.take(source.file(&ledger_of(file), OFlags::RDONLY)?, go_on)?;
        if read != (told.sha256, told.bytes) {
            return Err(not_as_told("has another ledger"));
        }
        ledger = Some(made);
    }
    let made = New::make(&target, name)?;
    if made.take(&audio, go_on)? != (sidecar.sha256, sidecar.bytes) {
        return Err(not_as_told("is another file"));
    }
    if let Some(ledger) = ledger {
        ledger.name(&target, &ledger_name)?;
        target.sync()?;
    }
    match made.name(&target, name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(Copied::Taken),
        named => named?,
    }
    // What it is drawn from is no part of the chain, and can be made anew.
    if let Ok(peaks) = source.file(&peaks_of(file), OFlags::RDONLY) {
        let made = New::make(&target, &peaks_of(name));
        let _ = made.and_then(|made| {
            made.take(peaks, go_on)?;
            made.name(&target, &peaks_of(name))
        });
    }
    target.sync()?;
    Ok(Copied::Whole)
}

/// Takes back a copy that is not what it was when it is read again; nothing that is sealed.
///
/// # Errors
/// [`MediaError::Chain`].
pub fn uncopy(to: &Beneath, name: &Path) -> Result<(), MediaError> {
    let remove = || -> io::Result<()> {
        let (directory, file) = place(to, name)?;
        if directory.kind_of(&sidecar_of(file))?.is_some() {
            return Ok(());
        }
        for name in [file.to_owned(), peaks_of(file), ledger_of(file)] {
            match directory.remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        directory.sync()
    };
    remove().map_err(|source| MediaError::Chain { path: to.path().join(name), source })
}

fn not_as_told(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("it {what} than its sidecar tells; audyn verify tells more"),
    )
}

/// Whether nothing of a recording has this name; then whether its very ledger is there already, as a copy that was cut off leaves it.
fn is_free(directory: &Beneath, name: &OsStr, ledger: &Sha256) -> io::Result<Option<bool>> {
    for name in [name.to_owned(), sidecar_of(name), peaks_of(name)] {
        if directory.kind_of(&name)?.is_some() {
            return Ok(None);
        }
    }
    match directory.file(&ledger_of(name), OFlags::RDONLY) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(false)),
        Err(error) => Err(error),
        Ok(there) => Ok((hash_of(there, || true)?.0 == *ledger).then_some(true)),
    }
}

/// A file that is being made: without a name, or with a hidden one where there must be one.
struct New {
    file: File,
    hidden: Option<OsString>,
}

impl New {
    fn make(directory: &Beneath, name: &OsStr) -> io::Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        match openat(directory, ".", flags, Mode::from_raw_mode(0o666)) {
            Ok(file) => Ok(Self { file: file.into(), hidden: None }),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Self::hidden(directory, name),
            Err(error) => Err(error.into()),
        }
    }

    fn hidden(directory: &Beneath, name: &OsStr) -> io::Result<Self> {
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(".copy");
        let file = directory.file(&hidden, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC)?;
        Ok(Self { file, hidden: Some(hidden) })
    }

    /// Takes all that `from` gives, and has the disk confirm it; what it was.
    fn take(&self, from: impl Read, go_on: &mut dyn FnMut(usize) -> bool) -> io::Result<(Sha256, u64)> {
        let taken = hash_of(Through { from, to: &self.file, go_on }, || true)?;
        self.file.sync_data()?;
        Ok(taken)
    }

    /// Gives it its name, if that is free.
    fn name(&self, directory: &Beneath, name: &OsStr) -> io::Result<()> {
        match &self.hidden {
            Some(hidden) => directory.rename_to_free(hidden, name),
            None => {
                // Naming the descriptor by /proc needs no capability, unlike AT_EMPTY_PATH (linkat(2)).
                let unnamed = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                Ok(linkat(CWD, unnamed, directory, name, AtFlags::SYMLINK_FOLLOW)?)
            }
        }
    }
}

/// What is read goes on to a file.
struct Through<'a, R> {
    from: R,
    to: &'a File,
    go_on: &'a mut dyn FnMut(usize) -> bool,
}

impl<R: Read> Read for Through<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        if !(self.go_on)(read) {
            return Err(io::Error::other(GivenUp));
        }
        self.to.write_all(&buffer[..read])?;
        Ok(read)
    }
}

/// Whoever copies was asked to stop.
#[derive(Debug, thiserror::Error)]
#[error("asked to stop")]
struct GivenUp;

#[cfg(test)]
mod tests {
    use std::fs::{create_dir, read, read_dir, write};

    use tempfile::TempDir;

    use super::*;
    use crate::chain::tests::{recorder_with, seal};
    use crate::chain::{Chain, Hashes, sidecar_in, verify};

    /// A recorder with a sealed recording, and the same recorder's directory on another volume.
    fn two() -> (TempDir, Beneath, Sidecar, Beneath) {
        let dir = tempfile::tempdir().unwrap();
        for name in ["one", "two"] {
            create_dir(dir.path().join(name)).unwrap();
        }
        let from = Beneath::root(&dir.path().join("one")).unwrap();
        let sidecar = recorder_with(&from, "a.wav");
        let to = Beneath::root(&dir.path().join("two")).unwrap();
        (dir, from, sidecar, to)
    }

    fn names(directory: &Beneath) -> Vec<String> {
        let entries = read_dir(directory.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != ".audyn");
        names.sort();
        names
    }

    #[test]
    fn what_is_copied_is_sealed_like_the_first_one_and_a_taken_name_is_left() {
        let (_dir, from, sidecar, to) = two();
        let name = Path::new("2026/a.wav");
        assert_eq!(copy(&from, &sidecar, &to, name, |_| true).unwrap(), Copied::Whole);
        let bytes = |directory: &Beneath, name: &str| read(directory.path().join(name)).unwrap();
        assert_eq!(bytes(&from, "a.wav"), bytes(&to, "2026/a.wav"));
        assert_eq!(bytes(&from, "a.wav.gaps.jsonl"), bytes(&to, "2026/a.wav.gaps.jsonl"));
        let hashes = Hashes::of(&to, name, || true).unwrap();
        assert!(hashes.are_told_by(&sidecar));
        let sealed = seal(&mut Chain::open(to.try_clone().unwrap()).unwrap(), &to, "2026/a.wav");
        let like = Sidecar { file: "2026/a.wav".to_owned(), ..sidecar.clone() };
        assert_eq!(sealed, Sidecar { entry: 1, previous: None, ..like });
        assert_eq!(verify(&to, false, |_| true).unwrap().faults, []);
        assert_eq!(copy(&from, &sidecar, &to, name, |_| true).unwrap(), Copied::Taken);
        assert_eq!(sidecar_in(&to, name).unwrap(), Some(sealed));
        uncopy(&to, name).unwrap();
        assert!(to.path().join(name).exists(), "what is sealed stays");
    }

    #[test]
    fn a_copy_that_is_cut_off_anywhere_leaves_nothing_that_is_in_the_way_of_the_next_one() {
        let (_dir, from, sidecar, to) = two();
        let name = Path::new("a.wav");
        let mut pieces = 0;
        copy(&from, &sidecar, &to, name, |_| {
            pieces += 1;
            true
        })
        .unwrap();
        uncopy(&to, name).unwrap();
        assert_eq!(names(&to), [""; 0]);
        assert!(pieces >= 4, "ledger and audio, and the end of each");
        for most in 0..4 {
            let mut left = most;
            let given_up = copy(&from, &sidecar, &to, name, |_| {
                left -= 1;
                left >= 0
            });
            assert!(given_up.is_err(), "{most}");
            assert_eq!(names(&to), [""; 0], "{most}");
        }
        // Killed between the two names.
        let ledger = read(from.path().join("a.wav.gaps.jsonl")).unwrap();
        write(to.path().join("a.wav.gaps.jsonl"), &ledger).unwrap();
        assert_eq!(copy(&from, &sidecar, &to, name, |_| true).unwrap(), Copied::Whole);
        uncopy(&to, name).unwrap();
        // Another's is left as it is.
        write(to.path().join("a.wav.gaps.jsonl"), "another's").unwrap();
        assert_eq!(copy(&from, &sidecar, &to, name, |_| true).unwrap(), Copied::Taken);
        assert_eq!(names(&to), ["a.wav.gaps.jsonl"]);
    }

    #[test]
    fn a_source_that_is_not_what_its_sidecar_tells_is_not_copied() {
        for spoilt in ["a.wav", "a.wav.gaps.jsonl"] {
            let (_dir, from, sidecar, to) = two();
            let path = from.path().join(spoilt);
            let mut bytes = read(&path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            write(&path, bytes).unwrap();
            let error = copy(&from, &sidecar, &to, Path::new("a.wav"), |_| true).unwrap_err();
            assert!(error.to_string().contains("audyn verify"), "{error}");
            assert_eq!(names(&to), [""; 0]);
        }
    }

    #[test]
    fn where_a_file_must_have_a_name_a_hidden_one_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let to = Beneath::root(dir.path()).unwrap();
        write(dir.path().join(".a.wav.copy"), "what a kill has left of another").unwrap();
        let made = New::hidden(&to, OsStr::new("a.wav")).unwrap();
        made.take(&b"audio"[..], &mut |_| true).unwrap();
        made.name(&to, OsStr::new("a.wav")).unwrap();
        assert_eq!(
            (names(&to), read(dir.path().join("a.wav")).unwrap()),
            (vec!["a.wav".to_owned()], b"audio".to_vec())
        );
        let error =
            New::hidden(&to, OsStr::new("a.wav")).unwrap().name(&to, OsStr::new("a.wav")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }
}
