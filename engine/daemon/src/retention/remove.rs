//! How a segment goes.
//!
//! Owns: that it goes with all its files or stays with all of them, as far as the disk allows, and only as the very one that was judged.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Mutex;

use audyn_media::beneath::OFlags;
use audyn_media::{Beneath, MediaError};

use super::scan::{self, Found};
use crate::chains::Chains;
use crate::engine::lock;

/// Who deletes, in tombstones.
pub(super) const WHO: &str = "retention";

/// Held while files are locked to see whether they can be: who plans and who deletes would take each other for a reader.
pub(super) type Trying = Mutex<()>;

/// Whether one of a segment's files is in somebody's hands: it is being recorded, mended, or read by one that has locked it.
pub(super) fn is_busy(
    directory: &Beneath,
    found: &Found,
    trying: &Trying,
    is_open: &impl Fn(&Path) -> bool,
) -> bool {
    let _alone = lock(trying);
    // Let go of before the next one tries.
    locks(directory, found, is_open).is_none()
}

/// The locks of all files of a segment; none if one of them is taken or cannot be locked.
fn locks(directory: &Beneath, found: &Found, is_open: &impl Fn(&Path) -> bool) -> Option<Vec<File>> {
    let mut locks = Vec::new();
    for (file, _) in &found.files {
        if is_open(&directory.path().join(file)) {
            return None;
        }
        match open(directory, file) {
            Ok(file) => match file.try_lock() {
                Ok(()) => locks.push(file),
                Err(TryLockError::WouldBlock | TryLockError::Error(_)) => return None,
            },
            // Somebody has removed it by hand; its sidecar is still to be accounted for.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => return None,
        }
    }
    Some(locks)
}

fn open(directory: &Beneath, file: &str) -> io::Result<File> {
    let path = Path::new(file);
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    directory.try_clone()?.open(path.parent().unwrap_or(Path::new("")))?.file(name, OFlags::RDONLY)
}

/// What has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone {
    /// Bytes of all files, with what belongs to them.
    pub(super) bytes: u64,
    /// Bytes that the audio had on the volume: less where it has holes or is packed.
    pub(super) on_volume: u64,
}

/// Deletes a segment's files, each with a tombstone (but for one that it may have if it is tried `again`), and gives what went; none if it stays since somebody has one of them.
pub(super) fn segment(
    chains: &Chains,
    recorder: &Path,
    found: &Found,
    why: &str,
    again: bool,
    trying: &Trying,
    is_open: &impl Fn(&Path) -> bool,
) -> Result<Option<Gone>, MediaError> {
    let chain = |source| MediaError::Chain { path: recorder.to_owned(), source };
    let directory = chains.directory(recorder).map_err(chain)?;
    let locks = {
        let _alone = lock(trying);
        locks(&directory, found, is_open)
    };
    let Some(locks) = locks else { return Ok(None) };
    for (file, brief) in &found.files {
        // A name may be another recording's since it was judged.
        let path = Path::new(file);
        let below = directory.try_clone().and_then(|it| it.open(path.parent().unwrap_or(Path::new(""))));
        let now = below.and_then(|below| scan::read(&below, path.file_name().unwrap_or_default()));
        if now.map_err(chain)?.entry != brief.entry {
            return Ok(None);
        }
    }
    let when = jiff::Timestamp::now().to_string();
    let of = |file: &File| file.metadata().map_or(0, |file| file.blocks() * 512);
    let (mut bytes, on_volume) = (0, locks.iter().map(of).sum());
    for (file, brief) in &found.files {
        chains.with(recorder, |chain| match again {
            true => chain.bury_again(file, WHO, &when, why),
            false => chain.bury(file, WHO, &when, why),
        })?;
        bytes += brief.bytes;
        tracing::info!(path = %recorder.join(file).display(), why, "recording deleted");
    }
    if let Some((file, _)) = found.files.first() {
        remove_empty(&directory, Path::new(file));
    }
    Ok(Some(Gone { bytes, on_volume }))
}

/// Removes the directories that a file has left empty, up to the recorder's own, which stays.
fn remove_empty(directory: &Beneath, file: &Path) {
    for empty in file.ancestors().skip(1) {
        let (Some(above), Some(name)) = (empty.parent(), empty.file_name()) else { return };
        let removed = directory.try_clone().and_then(|it| it.open(above)?.remove_directory(name));
        if removed.is_err() {
            return; // it isn't empty
        }
    }
}
