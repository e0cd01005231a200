//! The volume that holds the archive root.
//!
//! Owns: a thread that asks it for its room once a second and may hang with it. Never: keeps who wants to know waiting.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use audyn_api::DiskState;
use audyn_sys::SysError;

use crate::engine::lock;

/// Time between two questions.
const PERIOD: Duration = Duration::from_secs(1);

/// How long the start waits for the first answer.
const FIRST: Duration = Duration::from_millis(500);

/// What was last known of the volume.
#[derive(Debug)]
pub(crate) struct Volume {
    known: Arc<Mutex<DiskState>>,
    /// Dropped, it ends the thread, which nobody waits for.
    _asking: Sender<std::convert::Infallible>,
}

impl Volume {
    /// Starts to ask.
    pub(crate) fn watch(root: PathBuf) -> Result<Self, SysError> {
        let known = Arc::new(Mutex::new(DiskState::default()));
        let (asking, end) = channel();
        let (answered, first) = channel();
        let shared = Arc::clone(&known);
        std::thread::Builder::new()
            .name("audyn-volume".to_owned())
            .spawn(move || {
                loop {
                    let state = state_of(&root);
                    *lock(&shared) = state;
                    // Only the first answer is waited for, and not for long.
                    let _ = answered.send(());
                    if end.recv_timeout(PERIOD) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                }
            })
            .map_err(|source| SysError::Thread { source })?;
        // A volume that does not answer counts as empty until it does.
        let _ = first.recv_timeout(FIRST);
        Ok(Self { known, _asking: asking })
    }

    /// What was last known; zeros if nothing is.
    pub(crate) fn state(&self) -> DiskState {
        *lock(&self.known)
    }
}

/// Asks the volume of `root`, and waits for it; zeros if it tells nothing.
pub(crate) fn state_of(root: &Path) -> DiskState {
    // The root may not exist before the first recording; its volume is that of the nearest directory above.
    let existing = root.ancestors().find(|path| path.exists()).unwrap_or(root);
    nix::sys::statvfs::statvfs(existing).map_or_else(
        |_| DiskState::default(),
        |volume| DiskState {
            total_bytes: volume.blocks() * volume.fragment_size(),
            free_bytes: volume.blocks_available() * volume.fragment_size(),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_known_from_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let volume = Volume::watch(dir.path().join("not/yet/there")).unwrap();
        assert!(volume.state().total_bytes > 0 && volume.state().free_bytes <= volume.state().total_bytes);
    }
}
