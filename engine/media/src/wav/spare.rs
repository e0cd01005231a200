//! A file that is made before its name is known, so that little is left to be done once it is to have one.
//!
//! Owns: a file without a name (`O_TMPFILE`), and the room that is set aside for its first minutes. Never: a name. What has none stands in
//! no directory: nobody lists it or takes it for a recording, and nobody has to remove it. The kernel frees it with the process that made it,
//! and the file system when it is mounted after a power cut (ext4's list of orphans, XFS's of unlinked inodes).

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, CWD, FallocateFlags, Mode, OFlags, fallocate, linkat, openat};

use super::holes::is_honest;
use super::store::{AHEAD, lock};
use crate::Beneath;

/// A file without a name, for [`FileStore::create_of`](super::FileStore::create_of).
#[derive(Debug)]
pub struct Spare {
    file: File,
    /// How far blocks are set aside; none where that is not done.
    ahead: Option<u64>,
}

impl Spare {
    /// Makes one in the directory in which it is to be named, with room set aside where that is done. It may wait for the disk, which is
    /// what it is for.
    ///
    /// # Errors
    /// What the system says, also where there are no files without names (NFS, CIFS, FAT).
    pub fn make(dir: &Beneath) -> io::Result<Self> {
        let file = unnamed(dir)?;
        let ahead = is_honest(&file).then(|| {
            let set_aside = fallocate(&file, FallocateFlags::KEEP_SIZE, 0, AHEAD[0]);
            set_aside.map_or(0, |()| AHEAD[0]) // what is refused now the file asks for when it grows
        });
        Ok(Self { file, ahead })
    }

    /// Gives it its name and what it begins with; how far blocks are set aside comes along.
    pub(super) fn into_named(
        self,
        dir: &Beneath,
        name: &OsStr,
        head: &[u8],
    ) -> io::Result<(File, Option<u64>)> {
        named(&self.file, dir, name, head)?;
        Ok((self.file, self.ahead))
    }
}

/// Makes a file without a name.
pub(super) fn unnamed(dir: &Beneath) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    Ok(File::from(openat(dir, ".", flags, Mode::from_raw_mode(0o666))?))
}

/// Gives a file without a name what it begins with, and then the name, unless that is taken.
pub(super) fn named(file: &File, dir: &Beneath, name: &OsStr, head: &[u8]) -> io::Result<()> {
    file.write_all_at(head, 0)?;
    lock(file); // before anybody can see it
    // Naming the descriptor by /proc needs no capability, unlike AT_EMPTY_PATH (linkat(2)).
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, unnamed, dir, name, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;
    use crate::wav::{FileStore, Store};

    /// One in a directory; none where there are no files without names.
    fn spare() -> Option<(tempfile::TempDir, Beneath, Spare)> {
        let dir = tempfile::tempdir().unwrap();
        let root = Beneath::root(dir.path()).unwrap();
        match Spare::make(&root) {
            Ok(spare) => Some((dir, root, spare)),
            Err(error) => {
                eprintln!("SKIPPED: no files without names here: {error}");
                None
            }
        }
    }

    #[test]
    fn it_has_no_name_until_it_is_given_one_and_never_anothers() {
        let Some((dir, root, spare)) = spare() else { return };
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        // By its mode it is known again: a file that is made when it is gone may have its inode.
        spare.file.set_permissions(Permissions::from_mode(0o604)).unwrap();
        let store = FileStore::create_of(Some(spare), &root, OsStr::new("a.wav"), b"head").unwrap();
        let path = dir.path().join("a.wav");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o604);
        assert_eq!(std::fs::read(&path).unwrap(), b"head");
        // Whoever would mend it sees that it is being written.
        assert!(File::open(&path).unwrap().try_lock().is_err());
        let other = Spare::make(&root).unwrap();
        let error = FileStore::create_of(Some(other), &root, OsStr::new("a.wav"), b"other").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        drop(store);
        assert_eq!(std::fs::read(&path).unwrap(), b"head");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn its_room_is_there_from_the_first_byte_on_and_is_given_back_at_the_end() {
        let Some((dir, root, spare)) = spare() else { return };
        if spare.ahead.is_none() {
            return eprintln!("SKIPPED: no ext4 or XFS here, on which blocks are set aside");
        }
        let mut store = FileStore::create_of(Some(spare), &root, OsStr::new("a.wav"), &[7; 4_096]).unwrap();
        let takes = || std::fs::metadata(dir.path().join("a.wav")).unwrap().blocks() * 512;
        let first = AHEAD[0]..AHEAD[0] + 65_536;
        assert!(first.contains(&takes()), "{}", takes());
        store.set_aside(4_096);
        assert!(first.contains(&takes()), "it is not asked for twice: {}", takes());
        drop(store);
        assert!(takes() <= 65_536, "{}", takes());
        assert_eq!(std::fs::read(dir.path().join("a.wav")).unwrap(), [7; 4_096]);
    }

    #[test]
    fn one_that_cannot_take_the_name_costs_nothing() {
        let Some((_dir, _root, spare)) = spare() else { return };
        let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
            return eprintln!("SKIPPED: no second file system here");
        };
        let there = Beneath::root(elsewhere.path()).unwrap();
        FileStore::create_of(Some(spare), &there, OsStr::new("a.wav"), b"head").unwrap();
        assert_eq!(std::fs::read(elsewhere.path().join("a.wav")).unwrap(), b"head");
    }
}
