//! What speaks against a place for the mirror of which nothing is known yet.
//!
//! Owns: the decision, once for each volume: one that is remembered as the mirror's is known by its identity from then on, and the
//! archive's disk is not asked again, which may hang. Never: writes.

use audyn_api::VolumeStanding;
use audyn_media::Beneath;

use super::Ours;

/// Why a place does not become the mirror by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Against {
    /// The archive's own volume cannot be looked at, so nothing tells whether this is another one.
    Waits,
    /// It lies on the archive's volume.
    Same,
    /// It lies on the machine's own file system, as what stays of a mount point does whose disk is not mounted.
    System,
}

/// What speaks against `place` as the mirror of `first`.
pub(super) fn against(first: &Ours, place: &Beneath) -> Option<Against> {
    let (Ok(archive), Ok(here)) = (first.open().and_then(|root| root.device()), place.device()) else {
        return Some(Against::Waits);
    };
    if archive == here {
        return Some(Against::Same);
    }
    let system = Beneath::root("/".as_ref()).and_then(|root| root.device());
    system.is_ok_and(|system| system == here).then_some(Against::System)
}

impl Against {
    pub(super) fn standing(self) -> VolumeStanding {
        match self {
            Self::Waits => VolumeStanding::New,
            Self::Same => VolumeStanding::Same,
            Self::System => VolumeStanding::Unmarked,
        }
    }

    pub(super) fn sentence(self, first: &Ours, mirror: &Ours) -> String {
        let (archive, root) = (first.root().display(), mirror.root().display());
        match self {
            Self::Waits => format!(
                "the mirror {root} waits for the archive's volume at {archive}, since nothing else tells that it is another one; nothing is \
                 written there yet"
            ),
            Self::Same => format!(
                "the mirror {root} lies on the same volume as the archive at {archive}, where it protects nothing; nothing is written there: \
                 mount another disk"
            ),
            Self::System => format!(
                "the mirror {root} lies on this machine's own file system, so it may be an empty mount point; nothing is written there: mount \
                 its disk, or say that it is meant: `audyn volume adopt {root}`"
            ),
        }
    }
}
