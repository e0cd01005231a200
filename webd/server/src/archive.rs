//! Reads the archive, and nothing but the archive.
//!
//! Owns: how a path of a request becomes an open file. Never: a write, a path given to the kernel in one piece.
//!
//! A path is checked as text ([`RelPath`]), then walked from the root's descriptor one name at a time with
//! O_NOFOLLOW. So neither `..` in whatever encoding nor a symbolic link that somebody put into the archive leads
//! out of it, and no directory that is swapped during the walk does either. The root itself may be a link: that
//! one is the administrator's.

use std::fs::File;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

use crate::error::Error;

/// Longest path that is taken, in bytes (PATH_MAX), and longest name in it (NAME_MAX).
const LONGEST_PATH: usize = 4096;
const LONGEST_NAME: usize = 255;

/// Directories below each other that are searched; the deepest layout has five, and a custom one may have more.
const DEEPEST: usize = 16;

const DIRECTORY: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
/// O_NONBLOCK: opening a FIFO that somebody put there must not wait for its writer.
const FILE: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC)
    .union(OFlag::O_NOCTTY)
    .union(OFlag::O_NONBLOCK);

/// Runs what waits for the disk where it doesn't keep other requests waiting.
pub(crate) async fn off_the_loop<T: Send + 'static>(
    task: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(task)
        .await
        .unwrap_or_else(|error| Err(Error::Archive(format!("reading the archive was broken off: {error}"))))
}

/// A path below the archive root that is safe to walk: names between single slashes, none of them `.` or `..`.
/// The root itself is the empty path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelPath(String);

impl RelPath {
    /// Checks the text of a path, percent-decoded. One slash at the end is taken as none.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let path = text.strip_suffix('/').unwrap_or(text);
        let refuse =
            |why: &str| Err(Error::invalid("path", format!("the path {text:?} cannot be used: {why}")));
        if text == "/" || path.starts_with('/') {
            return refuse("it must be relative to the archive root, without a slash in front");
        }
        if path.len() > LONGEST_PATH {
            return refuse("it is too long");
        }
        if path.chars().any(char::is_control) {
            return refuse("it has control characters");
        }
        if path.contains('\\') {
            return refuse("parts are separated by `/`, not by a backslash");
        }
        if !path.is_empty() {
            for name in path.split('/') {
                match name {
                    "" => return refuse("it has an empty part"),
                    "." | ".." => return refuse("it has a part `.` or `..`"),
                    long if long.len() > LONGEST_NAME => return refuse("one of its parts is too long"),
                    _ => {}
                }
            }
        }
        Ok(Self(path.to_owned()))
    }

    /// The text, without a slash at either end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part in front of the first slash: for all but strays in the root, the recorder's name.
    pub fn first(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// The directory that it is in; none for the root.
    pub fn parent(&self) -> Option<&str> {
        if self.0.is_empty() { None } else { Some(self.0.rsplit_once('/').map_or("", |(parent, _)| parent)) }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|name| !name.is_empty())
    }
}

/// What a name in a directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// A directory, or else a regular file; other things are not shown.
    pub directory: bool,
    /// Bytes; 0 for a directory.
    pub size: u64,
    /// When it was last written: seconds since 1970 UTC, and nanoseconds.
    pub modified: (i64, i64),
}

/// A file that was opened, as it was at that moment.
#[derive(Debug)]
pub struct OpenFile {
    /// The file, for reading.
    pub file: File,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970 UTC, and nanoseconds.
    pub modified: (i64, i64),
    /// Tells it from another file of that name.
    pub inode: u64,
}

/// An open directory of the archive.
pub struct Folder(Dir);

/// The archive below one root.
#[derive(Debug, Clone)]
pub struct Archive {
    root: PathBuf,
}

impl Archive {
    /// The archive below `root`.
    pub fn new(root: impl AsRef<Path>) -> Self {
        Self { root: root.as_ref().to_owned() }
    }

    /// Opens a directory.
    pub fn folder(&self, path: &RelPath) -> Result<Folder, Error> {
        let root = Dir::open(&self.root, DIRECTORY.difference(OFlag::O_NOFOLLOW), Mode::empty()).map_err(
            |cause| {
                Error::Archive(format!(
                    "the archive {} cannot be opened: {}; audyn-webd must be allowed to read it",
                    self.root.display(),
                    cause.desc()
                ))
            },
        )?;
        path.names()
            .try_fold(Folder(root), |folder, name| folder.folder(name))
            .map_err(|cause| said(path, cause))
    }

    /// Opens a regular file, and holds a shared lock on it for as long as it is open: what is read isn't deleted by its recorder's limits.
    /// One that is being recorded is locked by the engine, and read without.
    pub fn file(&self, path: &RelPath) -> Result<OpenFile, Error> {
        let (Some(parent), Some(name)) = (path.parent(), path.names().last()) else {
            return Err(said(path, Errno::EISDIR));
        };
        let open = self
            .folder(&RelPath(parent.to_owned()))
            .and_then(|folder| folder.file(name).map_err(|cause| said(path, cause)))?;
        let _ = open.file.try_lock_shared(); // not every file system has locks
        Ok(open)
    }

    /// Visits every file below the root, in each directory the latest name first, until `visit` breaks. Gives the
    /// path of each, and the directory that it is in. Directories that cannot be read are passed over.
    pub fn walk(
        &self,
        mut visit: impl FnMut(&str, &Item, &Folder) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        let root = self.folder(&RelPath(String::new()))?;
        Ok(walk(root, &mut String::new(), 0, &mut visit))
    }
}

fn walk(
    mut folder: Folder,
    path: &mut String,
    depth: usize,
    visit: &mut impl FnMut(&str, &Item, &Folder) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let Ok(items) = folder.items() else { return ControlFlow::Continue(()) };
    for item in &items {
        let length = path.len();
        if length > 0 {
            path.push('/');
        }
        path.push_str(&item.name);
        if !item.directory {
            visit(path, item, &folder)?;
        } else if depth < DEEPEST
            && let Ok(below) = folder.folder(&item.name)
        {
            walk(below, path, depth + 1, visit)?;
        }
        path.truncate(length);
    }
    ControlFlow::Continue(())
}

impl Folder {
    /// What it holds: directories first, each kind with the latest name first. Hidden names, what belongs to a recording
    /// (`NAME.wav.gaps.jsonl`, `NAME.wav.json`, `NAME.wav.peaks`), ext4's `lost+found`, links, devices and names that aren't UTF-8 are left out.
    pub fn items(&mut self) -> nix::Result<Vec<Item>> {
        let names: Vec<String> = self
            .0
            .iter()
            .filter_map(Result::ok)
            .filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned))
            .filter(|name| is_shown(name))
            .collect();
        let mut items: Vec<Item> = names.into_iter().filter_map(|name| self.item(name)).collect();
        items.sort_by(|a, b| b.directory.cmp(&a.directory).then_with(|| b.name.cmp(&a.name)));
        Ok(items)
    }

    fn item(&self, name: String) -> Option<Item> {
        let stat = fstatat(&self.0, name.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
        let kind = kind(&stat);
        let directory = kind == SFlag::S_IFDIR;
        (directory || kind == SFlag::S_IFREG).then(|| Item {
            name,
            directory,
            size: if directory { 0 } else { size(&stat) },
            modified: (stat.st_mtime, stat.st_mtime_nsec),
        })
    }

    /// Opens a directory in it by its name.
    fn folder(&self, name: &str) -> nix::Result<Self> {
        Dir::openat(&self.0, name, DIRECTORY, Mode::empty()).map(Self)
    }

    /// Opens a regular file in it by its name.
    pub fn file(&self, name: &str) -> nix::Result<OpenFile> {
        let file: OwnedFd = openat(&self.0, name, FILE, Mode::empty())?;
        let stat = fstat(&file)?;
        match kind(&stat) {
            SFlag::S_IFREG => Ok(OpenFile {
                file: file.into(),
                size: size(&stat),
                modified: (stat.st_mtime, stat.st_mtime_nsec),
                inode: stat.st_ino,
            }),
            SFlag::S_IFDIR => Err(Errno::EISDIR),
            _ => Err(Errno::ENOENT),
        }
    }
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

fn size(stat: &FileStat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// Whether a name is shown among recordings. The others can still be downloaded by who knows them.
fn is_shown(name: &str) -> bool {
    // On a box the archive is a file system of its own, with ext4's own directory in it.
    name != "lost+found"
        && !name.starts_with('.')
        && !is_companion(name)
        && !name.chars().any(char::is_control)
}

/// Whether a name is that of a recording's gap ledger or sidecar.
fn is_companion(name: &str) -> bool {
    let file = [".gaps.jsonl", ".json", ".peaks"].into_iter().find_map(|suffix| name.strip_suffix(suffix));
    file.is_some_and(|file| [".wav", ".flac", ".opus"].iter().any(|suffix| file.ends_with(suffix)))
}

/// What the kernel's refusal means to somebody who asked for `path`. A link is treated as nothing at all.
fn said(path: &RelPath, cause: Errno) -> Error {
    let path = path.as_str();
    match cause {
        Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENXIO | Errno::ENAMETOOLONG => {
            Error::NotFound(format!("the archive has no {path:?}"))
        }
        Errno::EISDIR => Error::NotFound(format!("{path:?} is a directory of the archive, not a file")),
        other => Error::Archive(format!("{path:?} cannot be read: {}", other.desc())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::parse(text).unwrap()
    }

    #[test]
    fn paths_that_could_lead_elsewhere_are_refused() {
        for bad in [
            "/",
            "/etc/passwd",
            "//",
            "a//b",
            "..",
            "../x",
            "a/..",
            "a/../b",
            "./a",
            "a/./b",
            ".",
            "a\\b",
            "..\\x",
            "a\0",
            "a\nb",
            "a//",
        ] {
            assert!(matches!(RelPath::parse(bad), Err(Error::Invalid { .. })), "{bad:?}");
        }
        assert!(RelPath::parse(&"a/".repeat(3000)).is_err());
        assert!(RelPath::parse(&"a".repeat(256)).is_err());
    }

    #[test]
    fn paths_that_are_merely_odd_are_taken() {
        for odd in ["", "...", "..a", "a b/c%2e%2e", "%2e%2e/x", "ü/ö.wav", ".hidden", "~", "a:b", "-rf"] {
            assert_eq!(path(odd).as_str(), odd);
        }
        assert_eq!(path("a/b/").as_str(), "a/b");
        assert_eq!(path("a/b").parent(), Some("a"));
        assert_eq!(path("a").parent(), Some(""));
        assert_eq!(path("").parent(), None);
        assert_eq!(path("a/b").first(), "a");
    }

    #[test]
    fn a_link_leads_nowhere() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("r1")).unwrap();
        std::fs::write(dir.path().join("r1/a.wav"), "abc").unwrap();
        symlink(outside.path(), dir.path().join("out")).unwrap();
        symlink(outside.path().join("secret"), dir.path().join("r1/secret")).unwrap();
        symlink("r1", dir.path().join("inside")).unwrap();
        let archive = Archive::new(dir.path());
        assert_eq!(archive.file(&path("r1/a.wav")).unwrap().size, 3);
        for linked in ["out/secret", "r1/secret", "inside/a.wav"] {
            assert!(matches!(archive.file(&path(linked)), Err(Error::NotFound(_))), "{linked}");
        }
        assert!(matches!(archive.folder(&path("out")), Err(Error::NotFound(_))));
        let mut seen = Vec::new();
        let end = archive.walk(|path, _, _| {
            seen.push(path.to_owned());
            ControlFlow::Continue(())
        });
        assert!(end.unwrap().is_continue());
        assert_eq!(seen, ["r1/a.wav"]);
        // The root itself may be one.
        let link = outside.path().join("root");
        symlink(dir.path(), &link).unwrap();
        assert!(Archive::new(link).file(&path("r1/a.wav")).is_ok());
    }

    #[test]
    fn only_recordings_are_shown_and_only_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        for name in
            ["b.wav", "a.wav", ".hidden.wav", "a.wav.gaps.jsonl", "a.wav.json", "a.wav.peaks", "notes.json"]
        {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        for name in ["d", "lost+found"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        nix::unistd::mkfifo(&dir.path().join("fifo"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let archive = Archive::new(dir.path());
        let items = archive.folder(&path("")).unwrap().items().unwrap();
        let names: Vec<_> = items.iter().map(|item| item.name.as_str()).collect();
        assert_eq!(names, ["d", "notes.json", "b.wav", "a.wav"]);
        for file in [".hidden.wav", "a.wav.gaps.jsonl"] {
            assert!(archive.file(&path(file)).is_ok(), "{file}");
        }
        for other in ["d", "fifo", "nothing", "a.wav/x", ""] {
            assert!(matches!(archive.file(&path(other)), Err(Error::NotFound(_))), "{other}");
        }
        assert!(matches!(archive.folder(&path("a.wav")), Err(Error::NotFound(_))));
    }

    #[test]
    fn what_is_read_is_locked_and_what_is_recorded_is_read_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.wav"), "x").unwrap();
        let archive = Archive::new(dir.path());
        let other = File::open(dir.path().join("a.wav")).unwrap();
        let (one, two) = (archive.file(&path("a.wav")).unwrap(), archive.file(&path("a.wav")).unwrap());
        drop(one);
        assert!(other.try_lock().is_err(), "somebody reads it");
        drop(two);
        other.try_lock().unwrap();
        archive.file(&path("a.wav")).unwrap();
    }

    #[test]
    fn a_root_that_is_not_there_is_said() {
        let error = Archive::new("/nonexistent/archive").folder(&path("")).err().unwrap();
        assert!(error.to_string().contains("/nonexistent/archive"), "{error}");
        assert_eq!(error.status().as_u16(), 500);
    }
}
