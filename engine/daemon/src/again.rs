//! When something that failed is tried again: soon where time or a person mends it, and ever later where each try reads a disk that is broken.

use std::error::Error;
use std::io::{self, ErrorKind};

use audyn_units::{Mono, Nanos, Timestamp};

use crate::volume::is_not_ours;

/// The first time after this, and each time where it may come right by itself.
pub(crate) const SOON: Nanos = Nanos::from_secs(2);

/// No longer than this.
const LATEST: Nanos = Nanos::from_secs(3_600);

/// When it is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Again {
    at: Timestamp<Mono>,
    /// How long that is after the last failure, if it was one.
    wait: Nanos,
}

impl Again {
    /// Soon: what stands in its way goes by itself.
    pub(crate) fn soon(now: Timestamp<Mono>) -> Self {
        Self { at: now + SOON, wait: Nanos(0) }
    }

    /// After twice the time that was waited `before`.
    pub(crate) fn later(before: Option<Self>, now: Timestamp<Mono>) -> Self {
        let wait = before.map_or(SOON, |before| before.wait * 2).clamp(SOON, LATEST);
        Self { at: now + wait, wait }
    }

    pub(crate) fn is_due(&self, now: Timestamp<Mono>) -> bool {
        now >= self.at
    }
}

/// Whether an error is of what is away, or of want of room: neither says anything of the disk, and both cost next to nothing to ask again.
pub(crate) fn passes(error: &(dyn Error + 'static)) -> bool {
    use ErrorKind::{NotFound, QuotaExceeded, StorageFull};
    let errors = std::iter::successors(Some(error), |&error| error.source());
    errors
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| matches!(error.kind(), NotFound | QuotaExceeded | StorageFull) || is_not_ours(error))
}

#[cfg(test)]
mod tests {
    use audyn_media::MediaError;

    use super::*;

    fn at(seconds: i64) -> Timestamp<Mono> {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn it_is_tried_ever_later_and_soon_again_after_what_passes() {
        let (mut now, mut again, mut waited) = (0, None, Vec::new());
        for _ in 0..13 {
            let next = Again::later(again, at(now));
            let due = (1..).find(|wait| next.is_due(at(now + wait))).unwrap();
            waited.push(due);
            now += due;
            again = Some(next);
        }
        assert_eq!(waited, [2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 3_600, 3_600]);
        let soon = Again::soon(at(now));
        assert!(!soon.is_due(at(now + 1)) && soon.is_due(at(now + 2)));
        assert!(Again::later(Some(soon), at(now)).is_due(at(now + 2)));
    }

    #[test]
    fn what_is_away_or_wants_room_passes_and_a_broken_disk_does_not() {
        let of = |source| MediaError::Sync { path: "a".into(), source };
        for kind in [ErrorKind::NotFound, ErrorKind::StorageFull, ErrorKind::QuotaExceeded] {
            assert!(passes(&of(kind.into())), "{kind}");
        }
        assert!(!passes(&of(io::Error::from_raw_os_error(nix::libc::EIO))));
    }
}
