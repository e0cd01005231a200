//! What clients are told of the volumes, and a person's word that another one is the right one.
//!
//! Owns: the contract's words for what [`Ours`] has seen.

use audyn_api::{DiskState, VolumeIdentity, VolumeReport, VolumeStanding};
use audyn_media::volume::Identity;

use super::{Ours, Seen, state_of};
use crate::error::EngineError;

/// Each volume, as it is now; waits for their disks.
pub(crate) fn volumes(all: &[Ours]) -> Vec<VolumeReport> {
    all.iter().map(volume).collect()
}

fn volume(ours: &Ours) -> VolumeReport {
    let root = ours.root().to_string_lossy().into_owned();
    let report = |standing, disk, seen: Option<Seen>, note| {
        let (expected, found) = seen.map_or((None, None), |seen| (seen.expected, seen.found));
        VolumeReport { root, standing, expected: expected.map(told), found: found.map(told), disk, note }
    };
    match ours.look() {
        Ok(seen) => {
            // Of a root that is not there the room would be that of the directory above.
            let is_there = !matches!(seen.standing, VolumeStanding::Missing | VolumeStanding::Unchosen);
            let disk = if is_there { state_of(ours.root()) } else { DiskState::default() };
            let note = seen.sentence.clone();
            report(seen.standing, disk, Some(seen), note)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let note = "it is made with the first recording".to_owned();
            report(VolumeStanding::New, state_of(ours.root()), None, Some(note))
        }
        Err(error) => {
            let note = format!("it cannot be opened ({error}); check the disk");
            report(VolumeStanding::Unreadable, DiskState::default(), None, Some(note))
        }
    }
}

/// Has the volume that is at `root` belong there.
pub(crate) fn adopt(all: &[Ours], root: &str, who: &str) -> Result<Vec<VolumeReport>, EngineError> {
    let Some(ours) = all.iter().find(|ours| ours.root().to_string_lossy() == root) else {
        let known: Vec<_> = all.iter().map(|ours| ours.root().to_string_lossy()).collect();
        return Err(EngineError::NotFound {
            what: "archive root",
            id: root.to_owned(),
            known: format!("there {} {}", if known.len() == 1 { "is" } else { "are" }, known.join(", ")),
        });
    };
    let volume = ours.adopt().map_err(EngineError::Conflict)?;
    tracing::warn!(root, who, %volume, "the volume that is there belongs there from now on");
    Ok(volumes(all))
}

fn told(identity: Identity) -> VolumeIdentity {
    VolumeIdentity { id: identity.id().to_owned(), made: identity.made, by: identity.by }
}
