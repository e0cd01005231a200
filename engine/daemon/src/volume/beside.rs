//! What speaks against a place for the mirror.
//!
//! Owns: the decision. Of a place that nothing is known of yet it asks the archive's disk, once: one that is remembered as the mirror's is
//! known by its identity from then on, and what speaks against it then is what is known of the archive in memory, since its disk may hang.
//! It is the mirror that yields: the archive records, wherever it lies. Never: writes.

use audyn_api::VolumeStanding;
use audyn_media::Beneath;
use audyn_media::volume::{Identity, NAME};

use super::Ours;

/// Why a place does not become the mirror by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Against {
    /// The archive's own volume cannot be looked at, so nothing tells whether this is another one.
    Waits,
    /// It lies on the archive's volume.
    Same,
    /// It has the identity of the archive's volume: it is that one, or what stands there was copied with its identity.
    Twin,
    /// It lies on the machine's own file system, as what stays of a mount point does whose disk is not mounted.
    System,
}

/// What speaks against `place`, which has this identity, by what is known of `first` without asking its disk.
pub(super) fn known(first: &Ours, place: &Beneath, found: Option<&Identity>) -> Option<Against> {
    let device = place.device().ok();
    if device.is_some() && device == first.device() {
        return Some(Against::Same);
    }
    found.is_some_and(|found| first.remembers(found)).then_some(Against::Twin)
}

/// What speaks against `place` as the mirror of `first`, if nothing is known of it yet.
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
            Self::Same | Self::Twin => VolumeStanding::Same,
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
            Self::Twin => format!(
                "the mirror {root} has the identity of the archive's volume at {archive}, so it is that one, or was copied from it; nothing is \
                 written there: mount the mirror's disk, or remove {root}/{NAME} if this is a copy"
            ),
            Self::System => format!(
                "the mirror {root} lies on this machine's own file system, so it may be an empty mount point; nothing is written there: mount \
                 its disk, or say that it is meant: `audyn volume adopt {root}`"
            ),
        }
    }
}
