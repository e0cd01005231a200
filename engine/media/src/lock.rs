//! Whether somebody writes a file, told by its lock.
//!
//! Whoever records holds a file's lock from before it has its name until its end. Who cannot tell whether somebody does changes nothing.

use std::ffi::OsStr;
use std::fs::File;
use std::io;

use crate::Beneath;
use crate::beneath::OFlags;

/// Takes a file's lock, which is held until the file is closed; false if somebody has it, or nobody can tell: then the file counts as
/// being written.
#[must_use]
pub fn is_ours_to_change(file: &File) -> bool {
    file.try_lock().is_ok()
}

/// `file`, which is `name` in `directory`, with its lock; none if it counts as being written.
pub(crate) fn locked(directory: &Beneath, name: &OsStr, file: File) -> io::Result<Option<File>> {
    if is_ours_to_change(&file) {
        return Ok(Some(file));
    }
    // NFS locks for one alone only what may be written.
    drop(file);
    match directory.file(name, OFlags::RDWR) {
        Ok(file) => Ok(Some(file).filter(is_ours_to_change)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt as _;

    use super::*;

    #[test]
    fn what_cannot_be_locked_counts_as_being_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        std::fs::write(&path, "audio").unwrap();
        // A descriptor that names a file and opens nothing has no lock, as one to be read has none on NFS.
        let flags = i32::try_from(OFlags::PATH.bits()).unwrap();
        let named = || File::options().read(true).custom_flags(flags).open(&path).unwrap();
        assert!(!is_ours_to_change(&named()));
        let root = Beneath::root(dir.path()).unwrap();
        let name = OsStr::new("a.wav");
        let ours = locked(&root, name, named()).unwrap();
        assert!(ours.is_some(), "one that may be written is asked then");
        assert!(locked(&root, name, named()).unwrap().is_none());
        drop(ours);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "another").unwrap();
        let reader = File::open(&path).unwrap();
        reader.lock_shared().unwrap();
        assert!(locked(&root, name, File::open(&path).unwrap()).unwrap().is_none(), "somebody reads it");
    }
}
