//! The files that `audyn send` writes: the description and the record of what left.
//!
//! Owns: that none of them takes the place of another. Never: what stands in them.
//!
//! A file that is there is left as it is, and nothing is sent: the description may be the only one of a stream that a desk receives,
//! and the record that of a test which cannot be repeated. A pipe or a device has nothing to lose and is written to.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::SendError;

/// Refuses a name that is taken, before anything is opened or sent; `-` is standard output.
pub(super) fn look_for(path: &Path) -> Result<(), SendError> {
    if path.is_dir() {
        return Err(SendError::write(path, &io::Error::other("it is a directory")));
    }
    match path.symlink_metadata() {
        Ok(_) if path != Path::new("-") && !takes_more(path) => Err(SendError::Exists(path.to_owned())),
        _ => Ok(()),
    }
}

/// Whether this is a pipe or a device.
pub(super) fn takes_more(path: &Path) -> bool {
    path.metadata().is_ok_and(|about| !about.is_file() && !about.is_dir())
}

/// A file that is being written. Unless it was written to its end, it goes again.
#[derive(Debug)]
pub(super) struct Output {
    file: File,
    path: PathBuf,
    /// It was made here, and is not whole yet.
    unfinished: bool,
}

impl Output {
    pub(super) fn create(path: &Path) -> Result<Self, SendError> {
        let made = OpenOptions::new().write(true).create_new(true).open(path);
        let (file, unfinished) = match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !takes_more(path) {
                    return Err(SendError::Exists(path.to_owned()));
                }
                (OpenOptions::new().write(true).open(path), false)
            }
            made => (made, true),
        };
        let file = file.map_err(|error| SendError::write(path, &error))?;
        Ok(Self { file, path: path.to_owned(), unfinished })
    }

    pub(super) fn write(mut self, text: &[u8]) -> Result<(), SendError> {
        self.file.write_all(text).map_err(|error| SendError::write(&self.path, &error))?;
        self.unfinished = false;
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.unfinished {
            // What cannot be removed is an empty file; the error that led here is told.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays_and_what_was_not_finished_goes() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("truth.json");
        look_for(&path).unwrap();
        drop(Output::create(&path).unwrap());
        assert!(!path.exists());
        Output::create(&path).unwrap().write(b"mine").unwrap();
        for refused in [look_for(&path), Output::create(&path).map(drop)] {
            assert!(matches!(refused, Err(SendError::Exists(_))), "{refused:?}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        // A link to nowhere would make a file at its other end.
        let link = scratch.path().join("link");
        std::os::unix::fs::symlink("elsewhere", &link).unwrap();
        assert!(look_for(&link).is_err() && Output::create(&link).is_err());
        assert!(look_for(scratch.path()).is_err() && Output::create(scratch.path()).is_err());
    }

    #[test]
    fn a_device_has_nothing_to_lose() {
        let null = Path::new("/dev/null");
        look_for(null).unwrap();
        Output::create(null).unwrap().write(b"all").unwrap();
        drop(Output::create(null).unwrap());
        assert!(null.exists());
    }
}
