//! The volume that holds the archive root, or the mirror.
//!
//! Owns: a thread that asks it once a second for its room and whether it is ours ([`Ours`]), and may hang with it; nothing that is open keeps
//! a wrong one. Never: keeps who wants to know waiting.

mod beside;
mod memory;
mod ours;
pub(crate) mod report;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use audyn_api::{DiskState, VolumeStanding};
use audyn_sys::SysError;

use crate::chains::Chains;
use crate::engine::lock;
pub(crate) use ours::{Ours, Seen, is_not_ours};

/// Time between two questions.
const PERIOD: Duration = Duration::from_secs(1);

/// How long the start waits for the first answer.
const FIRST: Duration = Duration::from_millis(500);

/// What was last seen.
#[derive(Debug, Default)]
struct Known {
    standing: Option<VolumeStanding>,
    disk: DiskState,
    alarm: Option<String>,
}

/// What was last known of the volume.
#[derive(Debug)]
pub(crate) struct Volume {
    known: Arc<Mutex<Known>>,
    /// Dropped, it ends the thread, which nobody waits for.
    _asking: Sender<std::convert::Infallible>,
}

impl Volume {
    /// Starts to ask.
    pub(crate) fn watch(chains: Chains) -> Result<Self, SysError> {
        let known = Arc::new(Mutex::new(Known::default()));
        let (asking, end) = channel();
        let (answered, first) = channel();
        let shared = Arc::clone(&known);
        std::thread::Builder::new()
            .name("audyn-volume".to_owned())
            .spawn(move || {
                let mut said = None;
                loop {
                    let (standing, alarm) = look(&chains);
                    if alarm != said {
                        match &alarm {
                            Some(sentence) => tracing::warn!("{sentence}"),
                            None => tracing::info!(root = %chains.archive().display(), "the volume is the right one again"),
                        }
                        said.clone_from(&alarm);
                    }
                    let disk = room(&chains, standing);
                    *lock(&shared) = Known { standing, disk, alarm };
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

    /// What was last known of its room; zeros if nothing is.
    pub(crate) fn state(&self) -> DiskState {
        lock(&self.known).disk
    }

    /// How it stands with it; none if it has not answered yet, or cannot be opened.
    pub(crate) fn standing(&self) -> Option<VolumeStanding> {
        lock(&self.known).standing
    }

    /// What is to be said of where recordings go, if anything is.
    pub(crate) fn alarm(&self) -> Option<String> {
        lock(&self.known).alarm.clone()
    }
}

/// Looks whether the volume is ours, and says what is wrong. What is open on one that was goes, so that nothing keeps it.
fn look(chains: &Chains) -> (Option<VolumeStanding>, Option<String>) {
    // A root that cannot be opened, and of which nothing is known, is said by whoever writes there.
    let Ok(seen) = chains.ours().look() else { return (None, None) };
    if !matches!(seen.standing, VolumeStanding::Ours | VolumeStanding::New) {
        chains.close_all();
    }
    (Some(seen.standing), seen.sentence)
}

/// The room of the volume. Where a mirror is not there, that of the directory above says nothing.
fn room(chains: &Chains, standing: Option<VolumeStanding>) -> DiskState {
    match standing {
        Some(VolumeStanding::Ours) => state_of(chains.archive()),
        _ if chains.ours().is_mirror() => DiskState::default(),
        _ => state_of(chains.archive()),
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
