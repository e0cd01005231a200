//! What clients are told of the volumes, and a person's word that another one is the right one.
//!
//! Owns: the contract's words for what [`Ours`] has seen.

use audyn_api::{DiskState, VolumeIdentity, VolumeReport, VolumeStanding};
use audyn_media::volume::Identity;

use super::{Ours, Seen, Standing, state_of};
use crate::error::EngineError;

/// The volume of the archive's root, as it is now; waits for its disk.
pub(crate) fn volumes(ours: &Ours) -> Vec<VolumeReport> {
    let root = ours.root().to_string_lossy().into_owned();
    let report = |standing, disk, seen: Option<Seen>, note| {
        let (expected, found) = seen.map_or((None, None), |seen| (seen.expected, seen.found));
        VolumeReport { root, standing, expected: expected.map(told), found: found.map(told), disk, note }
    };
    vec![match ours.look() {
        Ok(seen) => {
            let standing = match seen.standing {
                Standing::Ours => VolumeStanding::Ours,
                Standing::New => VolumeStanding::New,
                Standing::Another => VolumeStanding::Another,
                Standing::Unmarked => VolumeStanding::Unmarked,
                Standing::Unreadable => VolumeStanding::Unreadable,
                Standing::Missing => VolumeStanding::Missing,
                Standing::Unchosen => VolumeStanding::Unchosen,
            };
            // Of a root that is not there the room would be that of the directory above.
            let is_there = !matches!(seen.standing, Standing::Missing | Standing::Unchosen);
            let disk = if is_there { state_of(ours.root()) } else { DiskState::default() };
            let note = seen.sentence.clone();
            report(standing, disk, Some(seen), note)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let note = "it is made with the first recording".to_owned();
            report(VolumeStanding::New, state_of(ours.root()), None, Some(note))
        }
        Err(error) => {
            let note = format!("it cannot be opened ({error}); check the disk");
            report(VolumeStanding::Unreadable, DiskState::default(), None, Some(note))
        }
    }]
}

/// Has the volume that is at `root` belong there.
pub(crate) fn adopt(ours: &Ours, root: &str, who: &str) -> Result<Vec<VolumeReport>, EngineError> {
    let known = ours.root().to_string_lossy();
    if root != known {
        return Err(EngineError::NotFound {
            what: "archive root",
            id: root.to_owned(),
            known: format!("there is {known}"),
        });
    }
    let volume = ours.adopt().map_err(EngineError::Conflict)?;
    tracing::warn!(root, who, %volume, "the volume that is there belongs there from now on");
    Ok(volumes(ours))
}

fn told(identity: Identity) -> VolumeIdentity {
    VolumeIdentity { id: identity.id().to_owned(), made: identity.made, by: identity.by }
}
