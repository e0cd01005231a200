//! Two volumes on two file systems, and an engine that records to both.
//!
//! The mirror lies in memory here, the archive on the disk of temporary files.

use std::path::{Path, PathBuf};

use audyn_daemon::Engine;
use tempfile::TempDir;

use crate::common::{Stream, address, mirrored_engine, recorder, source};

/// An archive's root and a mirror's on another file system, both there; and a state directory.
pub(crate) struct Places {
    pub(crate) dir: TempDir,
    pub(crate) other: TempDir,
}

impl Places {
    pub(crate) fn new() -> Self {
        let it = Self { dir: tempfile::tempdir().unwrap(), other: tempfile::tempdir_in("/dev/shm").unwrap() };
        std::fs::create_dir(it.state()).unwrap();
        std::fs::create_dir(it.mirror()).unwrap();
        it
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub(crate) fn mirror(&self) -> PathBuf {
        self.other.path().join("mirror")
    }

    /// An engine whose recorder `a` is fed from `n`, with its mirror at `mirror`.
    pub(crate) fn engine(&self, n: u8, mirror: &Path) -> Engine {
        let source = source("desk", address(n));
        let mut engine = mirrored_engine(&self.root(), Some(self.state()), Some(mirror.to_owned()));
        engine.configure(vec![recorder("a", &source, &self.root())], std::slice::from_ref(&source));
        engine
    }

    /// The same with what feeds it.
    pub(crate) fn fed(&self, n: u8, mirror: &Path) -> (Engine, Stream) {
        (self.engine(n, mirror), Stream::new(1, address(n)))
    }
}
