//! Directories below a root that are reached without following a link.
//!
//! Owns: the way from an archive's root to a file in it. Never: follows a link below the root, whoever put it there; the root
//! itself may be one, since that is the choice of whoever set the machine up.
//!
//! Each name is opened from the descriptor of the directory above it (`openat`, `O_NOFOLLOW`), so no directory that is swapped
//! for a link on the way leads elsewhere either.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Mode, RenameFlags, linkat, mkdirat, openat, renameat, renameat_with, statat, unlinkat,
};
pub use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A link stands where only a directory or a file of ours may; nothing was read or written through it.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} is a link, and below the archive's root nothing may be one; remove it, or make the root itself the link",
    .0.display()
)]
pub struct LinkInTheWay(pub PathBuf);

/// An open directory.
#[derive(Debug)]
pub struct Beneath {
    dir: OwnedFd,
    /// Its name in messages.
    path: PathBuf,
}

/// Whether an error says that a link is in the way; what it says needs no more words then.
pub fn is_link(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<LinkInTheWay>())
}

impl AsFd for Beneath {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

impl Beneath {
    /// Opens a root, which may be a link.
    ///
    /// # Errors
    /// What the system says.
    pub fn root(path: &Path) -> io::Result<Self> {
        let there = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        Ok(Self { dir: openat(CWD, there, DIRECTORY, Mode::empty())?, path: path.to_owned() })
    }

    /// Opens the directory `below`, which is there.
    ///
    /// # Errors
    /// A [`LinkInTheWay`] in an error of the kind [`io::ErrorKind::PermissionDenied`]; else what the system says.
    pub fn open(self, below: &Path) -> io::Result<Self> {
        names(below)?.into_iter().try_fold(self, |above, name| above.enter(name))
    }

    /// Opens the directory `below`, and makes what is missing of it.
    ///
    /// # Errors
    /// As [`Beneath::open`].
    pub fn make(self, below: &Path) -> io::Result<Self> {
        names(below)?.into_iter().try_fold(self, |above, name| {
            match mkdirat(&above.dir, name, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => above.enter(name),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// The same directory once more.
    ///
    /// # Errors
    /// What the system says.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { dir: self.dir.try_clone()?, path: self.path.clone() })
    }

    /// The file system that it lies on. A directory below with another one is a mount.
    ///
    /// # Errors
    /// What the system says.
    pub fn device(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstat(&self.dir)?.st_dev)
    }

    /// Device and inode: what is mounted in its place has others.
    ///
    /// # Errors
    /// What the system says.
    pub fn place(&self) -> io::Result<(u64, u64)> {
        let found = rustix::fs::fstat(&self.dir)?;
        Ok((found.st_dev, found.st_ino))
    }

    /// Its own name in messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a name in it lies, for messages.
    pub fn path_of(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    /// Opens the file `name`; with [`OFlags::CREATE`] it may be new.
    ///
    /// # Errors
    /// As [`Beneath::open`].
    pub fn file(&self, name: &OsStr, how: OFlags) -> io::Result<File> {
        // Not to wait for whoever might write to a pipe of this name.
        let how = how | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        match openat(&self.dir, name, how, Mode::from_raw_mode(0o666)) {
            Ok(file) => Ok(file.into()),
            Err(error) => Err(self.said(name, error)),
        }
    }

    /// Whether `name` is taken, and by what; a link is told as one.
    ///
    /// # Errors
    /// What the system says.
    pub fn kind_of(&self, name: &OsStr) -> io::Result<Option<FileType>> {
        match statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the file or link `name`.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.dir, name, AtFlags::empty())?)
    }

    /// Removes the directory `name` if it is empty.
    ///
    /// # Errors
    /// [`io::ErrorKind::DirectoryNotEmpty`], and what else the system says.
    pub fn remove_directory(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.dir, name, AtFlags::REMOVEDIR)?)
    }

    /// Renames `from` to `to`, both in it, unless `to` is taken.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], and what else the system says.
    pub fn rename_to_free(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        match renameat_with(&self.dir, from, &self.dir, to, RenameFlags::NOREPLACE) {
            // The file system cannot (NFS and others): a second name, which fails likewise if it is taken, and then the first one goes.
            Err(Errno::INVAL | Errno::NOSYS) => {
                linkat(&self.dir, from, &self.dir, to, AtFlags::empty())?;
                self.remove(from)
            }
            other => Ok(other?),
        }
    }

    /// Renames `from` to `to`, both in it; what `to` named before is gone.
    ///
    /// # Errors
    /// What the system says.
    pub fn rename_over(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.dir, from, &self.dir, to)?)
    }

    /// Returns when its names would survive a power cut.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.dir)?)
    }

    /// Its names and what they are, in no order; `.` and `..` are left out.
    ///
    /// # Errors
    /// What the system says.
    pub fn entries(&self) -> io::Result<Vec<(OsString, FileType)>> {
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.dir)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                // Not every file system tells it here.
                FileType::Unknown => self.kind_of(name)?.unwrap_or(FileType::Unknown),
                kind => kind,
            };
            entries.push((name.to_owned(), kind));
        }
        Ok(entries)
    }

    fn enter(self, name: &OsStr) -> io::Result<Self> {
        match openat(&self.dir, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(dir) => Ok(Self { dir, path: self.path.join(name) }),
            Err(error) => Err(self.said(name, error)),
        }
    }

    /// A link is said as such: the kernel calls it "not a directory", or "too many links".
    fn said(&self, name: &OsStr, error: Errno) -> io::Error {
        let odd = matches!(error, Errno::NOTDIR | Errno::LOOP);
        if odd && matches!(self.kind_of(name), Ok(Some(FileType::Symlink))) {
            let link = LinkInTheWay(self.path.join(name));
            return io::Error::new(io::ErrorKind::PermissionDenied, link);
        }
        error.into()
    }
}

/// The names of a path that leads downwards only.
fn names(below: &Path) -> io::Result<Vec<&OsStr>> {
    below
        .components()
        .map(|part| match part {
            Component::Normal(name) => Ok(name),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "the path does not lead downwards")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_at_the_root_and_nowhere_below() {
        let dir = tempfile::tempdir().unwrap();
        let (outside, real, root) =
            (dir.path().join("outside"), dir.path().join("real"), dir.path().join("root"));
        std::fs::create_dir_all(outside.join("b")).unwrap();
        std::fs::create_dir(&real).unwrap();
        std::fs::write(outside.join("f"), "theirs").unwrap();
        symlink(&real, &root).unwrap();
        symlink(&outside, real.join("a")).unwrap();
        symlink(outside.join("f"), real.join("f")).unwrap();
        symlink(outside.join("new"), real.join("new")).unwrap();
        let open = || Beneath::root(&root).unwrap();
        let link = |error: io::Error| {
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
            is_link(&error)
        };
        for below in ["a", "a/b", "a/new"] {
            assert!(link(open().make(Path::new(below)).unwrap_err()), "{below}");
            assert!(link(open().open(Path::new(below)).unwrap_err()), "{below}");
        }
        for name in ["f", "new"] {
            let how = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
            assert!(link(open().file(OsStr::new(name), how).unwrap_err()), "{name}");
        }
        assert_eq!(std::fs::read(outside.join("f")).unwrap(), b"theirs");
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 2);
        open().make(Path::new("x/y")).unwrap().make(Path::new("")).unwrap();
        assert!(real.join("x/y").is_dir());
        for elsewhere in ["..", "/x", "x/../.."] {
            assert!(open().make(Path::new(elsewhere)).is_err(), "{elsewhere}");
        }
    }
}
