//! Where a writer's bytes go: a file, or a test's disk.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::holes::is_honest;
use super::spare::{Spare, named, unnamed};
use crate::Beneath;

/// A file as the writer needs it: bytes at absolute places. The writer is its only user.
pub trait Store {
    /// Writes some of `bytes` at `offset` and says how many, as `pwrite` does.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Extends the file to `len` with zeros. The writer never asks for less than it has written.
    fn set_len(&mut self, len: u64) -> io::Result<()>;

    /// Returns when all that was written would survive a power cut.
    fn sync(&mut self) -> io::Result<()>;

    /// Sets room aside for what a file that ends at `end` will be given next, where that can be had; its length stays. What cannot be had
    /// the next write will say.
    fn set_aside(&mut self, end: u64) {
        let _ = end;
    }
}

impl<S: Store + ?Sized> Store for &mut S {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        (**self).write_at(bytes, offset)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        (**self).set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        (**self).sync()
    }

    fn set_aside(&mut self, end: u64) {
        (**self).set_aside(end);
    }
}

impl<S: Store + ?Sized> Store for Box<S> {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        (**self).write_at(bytes, offset)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        (**self).set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        (**self).sync()
    }

    fn set_aside(&mut self, end: u64) {
        (**self).set_aside(end);
    }
}

impl Store for File {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        Self::set_len(self, len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// How much is set aside at once: as much as the file has, so that short ones cost little, within these bounds.
pub(super) const AHEAD: [u64; 2] = [1 << 20, 16 << 20];

/// A [`Store`] on the file system.
///
/// Sets blocks aside ahead of what is written where one that was set aside and never written can be told from audio (`holes`), and gives
/// back what is left of them behind the end when it is dropped; long silence keeps the step that it begins in. What a kill leaves,
/// [`release`] gives back.
#[derive(Debug)]
pub struct FileStore {
    file: File,
    /// The directory whose entry a power cut could still lose.
    unsynced_dir: Option<OwnedFd>,
    /// How far blocks are set aside; none where that is not done, or was refused.
    ahead: Option<u64>,
    /// Some may be set aside behind the file's end.
    surplus: bool,
}

impl FileStore {
    /// Makes the file `path` that begins with `head`, so that no instant shows the name without the head:
    /// 1. open a file without a name in the same directory (`O_TMPFILE`); 2. write the head; 3. `linkat`.
    ///
    /// Where the file system cannot (NFS, CIFS, FAT), the name is made with `O_EXCL` and the head follows at
    /// once; a kill between the two leaves an empty file, never a wrong one.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if the name is taken, which then is neither opened nor changed. After
    /// any error nothing is left behind.
    pub fn create(path: &Path, head: &[u8]) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Self::create_in(&Beneath::root(path.parent().unwrap_or(Path::new("")))?, name, head)
    }

    /// [`FileStore::create`] in a directory that is open.
    ///
    /// # Errors
    /// As [`FileStore::create`].
    pub fn create_in(dir: &Beneath, name: &OsStr, head: &[u8]) -> io::Result<Self> {
        Self::create_of(None, dir, name, head)
    }

    /// [`FileStore::create_in`] of a file that was made before, if there is one: then steps 2 and 3 are left. One that cannot have the name
    /// for another reason than that it is taken counts as none.
    ///
    /// # Errors
    /// As [`FileStore::create`].
    pub fn create_of(spare: Option<Spare>, dir: &Beneath, name: &OsStr, head: &[u8]) -> io::Result<Self> {
        let unsynced_dir = Some(dir.as_fd().try_clone_to_owned()?);
        match spare.map(|spare| spare.into_named(dir, name, head)) {
            Some(Ok((file, ahead))) => {
                let surplus = ahead.is_some_and(|ahead| ahead > 0);
                return Ok(Self { file, unsynced_dir, ahead, surplus });
            }
            Some(Err(e)) if e.kind() == io::ErrorKind::AlreadyExists => return Err(e),
            Some(Err(_)) | None => {}
        }
        let file = match create_linked(dir, name, head) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => create_named(dir, name, head)?,
            other => other?,
        };
        let ahead = is_honest(&file).then_some(0);
        Ok(Self { file, unsynced_dir, ahead, surplus: false })
    }
}

/// Whoever would seal or mend a file asks for its lock first. A file system without locks has none of them wait.
pub(super) fn lock(file: &File) {
    let _ = file.try_lock();
}

fn create_linked(dir: &Beneath, name: &OsStr, head: &[u8]) -> io::Result<File> {
    let file = unnamed(dir)?;
    named(&file, dir, name, head)?;
    Ok(file)
}

fn create_named(dir: &Beneath, name: &OsStr, head: &[u8]) -> io::Result<File> {
    use rustix::fs::OFlags;

    let file = dir.file(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?;
    lock(&file);
    if let Err(e) = file.write_all_at(head, 0) {
        // It is ours (O_EXCL) and holds no audio yet; the first error is the one to tell.
        let _ = dir.remove(name);
        return Err(e);
    }
    Ok(file)
}

impl Store for FileStore {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        Store::write_at(&mut self.file, bytes, offset)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        if let Some(dir) = &self.unsynced_dir {
            rustix::fs::fsync(dir)?;
            self.unsynced_dir = None;
        }
        Ok(())
    }

    fn set_aside(&mut self, end: u64) {
        let Some(ahead) = self.ahead else { return };
        let step = end.clamp(AHEAD[0], AHEAD[1]);
        if end + step / 2 < ahead {
            return;
        }
        // Long silence before the end stays a hole.
        let (from, to) = (ahead.max(end), end + step);
        self.surplus = true;
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, from, to - from) {
            Ok(()) => self.ahead = Some(to),
            Err(Errno::INTR) => {} // the next flush asks again
            Err(_) => self.ahead = None,
        }
    }
}

impl Drop for FileStore {
    fn drop(&mut self) {
        if self.surplus {
            let _ = release(&self.file); // a disk that refuses this has said so, or will
        }
    }
}

/// Gives back the blocks that are set aside behind the end of a file that nobody else writes; its length stays.
///
/// # Errors
/// What the system says.
pub fn release(file: &File) -> io::Result<()> {
    match is_honest(file) {
        true => file.set_len(file.metadata()?.len()),
        false => Ok(()), // nothing is set aside there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_make_the_whole_head_and_refuse_a_taken_name() {
        let dir = tempfile::tempdir().unwrap();
        for (name, create) in [
            ("linked", create_linked as fn(&Beneath, &OsStr, &[u8]) -> io::Result<File>),
            ("named", create_named),
        ] {
            let path = dir.path().join(name);
            let root = Beneath::root(dir.path()).unwrap();
            create(&root, OsStr::new(name), b"head").unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"head");
            let error = create(&root, OsStr::new(name), b"other").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{name}");
            assert_eq!(std::fs::read(&path).unwrap(), b"head", "{name}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn whoever_writes_holds_the_lock_until_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let store = FileStore::create(&path, b"head").unwrap();
        let other = File::open(&path).unwrap();
        assert!(matches!(other.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)));
        drop(store);
        other.try_lock_shared().unwrap();
    }

    /// A store on a file system where blocks are set aside, if one can be had here, and what its file takes of the disk.
    fn honest() -> Option<(tempfile::TempDir, FileStore, impl Fn() -> u64)> {
        use std::os::unix::fs::MetadataExt as _;
        for place in [std::env::temp_dir(), std::env::current_dir().unwrap()] {
            let dir = tempfile::tempdir_in(place).unwrap();
            let path = dir.path().join("a.wav");
            let store = FileStore::create(&path, &[7; 4_096]).unwrap();
            if store.ahead.is_some() {
                return Some((dir, store, move || std::fs::metadata(&path).unwrap().blocks() * 512));
            }
        }
        eprintln!("SKIPPED: no ext4 or XFS here, on which blocks are set aside");
        None
    }

    #[test]
    fn room_is_set_aside_by_steps_the_length_stays_and_what_is_left_is_given_back() {
        let Some((dir, mut store, takes)) = honest() else { return };
        let path = dir.path().join("a.wav");
        let least = |bytes: u64| bytes..bytes + 65_536;
        store.set_aside(4_096);
        assert!(least(1 << 20).contains(&takes()), "{}", takes());
        assert_eq!(std::fs::read(&path).unwrap(), [7; 4_096]);
        Store::write_at(&mut store, &[7; 300_000], 4_096).unwrap();
        store.set_aside(304_096);
        assert!(least(1 << 20).contains(&takes()), "half of it is left");
        // Far on behind silence: the hole stays one.
        store.set_len(64 << 20).unwrap();
        store.set_aside(64 << 20);
        assert!(least(17 << 20).contains(&takes()), "{}", takes());
        drop(store);
        assert!(takes() < (1 << 20) + 65_536, "what lies within long silence stays: {}", takes());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 64 << 20);
    }

    #[test]
    fn what_a_kill_leaves_set_aside_is_given_back_and_blocks_that_were_never_written_are_not_there() {
        let Some((dir, mut store, takes)) = honest() else { return };
        Store::write_at(&mut store, &[7; 4_096], 4_096).unwrap();
        store.set_aside(8_192);
        // The size came to the disk before the data.
        store.set_len(16_384).unwrap();
        std::mem::forget(store);
        let path = dir.path().join("a.wav");
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let at = rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(0)).unwrap();
        assert_eq!(at, 8_192, "what was set aside counts as a hole");
        release(&file).unwrap();
        assert!(takes() <= 65_536, "{}", takes());
        assert_eq!(file.metadata().unwrap().len(), 16_384);
    }

    #[test]
    fn a_missing_directory_is_an_error_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let error = FileStore::create(&dir.path().join("no/such.wav"), b"head").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("link.wav");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).unwrap();
        let error = FileStore::create(&path, b"head").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert!(!dir.path().join("elsewhere").exists());
    }

    #[test]
    fn sync_settles_the_directory_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = FileStore::create(&dir.path().join("a.wav"), b"head").unwrap();
        store.sync().unwrap();
        assert!(store.unsynced_dir.is_none());
        store.sync().unwrap();
    }
}
