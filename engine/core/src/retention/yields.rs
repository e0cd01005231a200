//! Whether what is deleted for the floor makes room.
//!
//! A snapshot, a hard link or a program that still reads a file keeps its blocks, and some file systems keep them by themselves. Then
//! deleting for the floor goes on until nothing is left, for nothing. So the volume is looked at behind each deletion for the floor, and
//! once what has gone is enough to be told from what recorders write meanwhile, half of it must have become free. Where it hasn't, also
//! not once the volume has settled its accounts, deleting for the floor stops until the volume has more room again, or for an hour.
//!
//! A recorder's own limits by days and bytes are not asked: they say what shall be kept, not how much room shall be.
//!
//! Rejected: *the mean over a day*: an archive is gone by then. *Every single deletion*: a file of ten seconds is less than what others
//! write meanwhile.

use audyn_units::{Mono, Nanos, Timestamp};

/// Fewer bytes tell nothing: tombstones and the chain's reserve take some themselves.
const LEAST: u64 = 1 << 20;

/// So many seconds of what is being written are as uncertain: it comes in bursts.
const BURSTS: u64 = 8;

/// When it is tried again at the latest.
const AGAIN: Nanos = Nanos::from_secs(3_600);

/// What the volume says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// When it was asked.
    pub at: Timestamp<Mono>,
    /// Bytes that were free.
    pub free: u64,
}

/// Deleting for the floor has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fruitless {
    /// Bytes on the volume that were deleted.
    pub deleted: u64,
    /// How many became free by that.
    pub freed: u64,
    /// Since when nothing is deleted for the floor.
    since: Timestamp<Mono>,
    /// The least room that was seen since then.
    least: u64,
}

/// Keeps the account. One for the life of the engine.
#[derive(Debug, Clone, Default)]
pub struct Yields {
    /// The volume before the deletions that are not judged yet, and their bytes.
    open: Option<(Sight, u64)>,
    fruitless: Option<Fruitless>,
}

impl Yields {
    /// Whether anything may be deleted for the floor now; `rate` is how many bytes a second are being written.
    pub fn may_delete(&mut self, now: Sight, rate: u64) -> bool {
        let Some(fruitless) = &mut self.fruitless else { return true };
        fruitless.least = fruitless.least.min(now.free);
        let is_roomier = now.free - fruitless.least >= enough(rate);
        if is_roomier || now.at - fruitless.since >= AGAIN {
            self.fruitless = None;
        }
        self.fruitless.is_none()
    }

    /// Something is about to be deleted for the floor.
    pub fn before(&mut self, now: Sight) {
        let _ = self.open.get_or_insert((now, 0));
    }

    /// It has gone, and had so many bytes on the volume. Whether to go on: `look` asks the volume; with `true` it is to settle its accounts
    /// before, which only a doubt is worth.
    pub fn after(&mut self, bytes: u64, rate: u64, mut look: impl FnMut(bool) -> Sight) -> bool {
        let Some((before, deleted)) = &mut self.open else { return true };
        *deleted = deleted.saturating_add(bytes);
        let (before, deleted) = (*before, *deleted);
        if deleted < enough(rate) {
            return true;
        }
        self.open = None;
        let freed = |now: Sight| {
            let seconds = (now.at - before.at).0.max(0).unsigned_abs() / 1_000_000_000;
            let written = rate.saturating_mul(seconds);
            now.free.saturating_add(written).saturating_sub(before.free)
        };
        if freed(look(false)) >= deleted / 2 {
            return true;
        }
        let now = look(true);
        let freed = freed(now);
        if freed < deleted / 2 {
            self.fruitless = Some(Fruitless { deleted, freed, since: now.at, least: now.free });
        }
        self.fruitless.is_none()
    }

    /// Why nothing is deleted for the floor; none while it may be.
    #[must_use]
    pub fn fruitless(&self) -> Option<Fruitless> {
        self.fruitless
    }
}

/// Bytes that can be told from what is written meanwhile.
fn enough(rate: u64) -> u64 {
    LEAST.saturating_add(rate.saturating_mul(BURSTS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    fn sight(seconds: i64, free: u64) -> Sight {
        Sight { at: Timestamp::from_nanos(seconds * 1_000_000_000), free }
    }

    /// A volume where `share` percent of what is deleted becomes free, at once or when it has settled, and `rate` bytes a second are
    /// written. Each deletion takes a second.
    struct Volume {
        now: Sight,
        share: u64,
        settles: bool,
        rate: u64,
        owed: u64,
        asked_to_settle: u32,
    }

    impl Volume {
        fn of(share: u64, settles: bool, rate: u64) -> Self {
            Self { now: sight(0, 900 * MB), share, settles, rate, owed: 0, asked_to_settle: 0 }
        }

        fn pass(&mut self, seconds: i64) {
            self.now = sight(
                self.now.at.as_nanos() / 1_000_000_000 + seconds,
                self.now.free - self.rate * seconds.unsigned_abs(),
            );
        }

        /// How many of `files` of `bytes` go.
        fn delete(&mut self, yields: &mut Yields, files: u32, bytes: u64) -> u32 {
            for gone in 0..files {
                yields.before(self.now);
                self.pass(1);
                self.owed += bytes * self.share / 100;
                let on = yields.after(bytes, self.rate, |settled| {
                    self.asked_to_settle += u32::from(settled);
                    if settled || !self.settles {
                        self.now.free += std::mem::take(&mut self.owed);
                    }
                    self.now
                });
                if !on {
                    return gone + 1;
                }
            }
            files
        }
    }

    #[test]
    fn what_frees_goes_on_whatever_is_written_meanwhile() {
        for rate in [0, MB, 5 * MB] {
            for bytes in [MB / 10, MB, 100 * MB] {
                for share in [100, 60] {
                    let (mut yields, mut volume) = (Yields::default(), Volume::of(share, false, rate));
                    assert_eq!(volume.delete(&mut yields, 100, bytes), 100, "{rate} {bytes} {share}");
                    assert_eq!((yields.fruitless(), volume.asked_to_settle), (None, 0));
                }
            }
        }
    }

    #[test]
    fn what_a_volume_frees_late_counts_once_it_has_settled() {
        let (mut yields, mut volume) = (Yields::default(), Volume::of(100, true, 0));
        assert_eq!(volume.delete(&mut yields, 10, 10 * MB), 10);
        assert_eq!((yields.fruitless(), volume.asked_to_settle), (None, 10));
    }

    #[test]
    fn what_frees_nothing_stops_with_as_little_as_can_be_told() {
        for (share, rate, bytes, goes) in [
            (0, 0, 100 * MB, 1),
            (0, 0, MB / 10, 11),
            (40, 0, 2 * MB, 1),
            (0, MB, 3 * MB, 4), // 9 MB can be told from what is written
            (0, MB, 100 * MB, 1),
        ] {
            let (mut yields, mut volume) = (Yields::default(), Volume::of(share, false, rate));
            assert_eq!(volume.delete(&mut yields, 100, bytes), goes, "{share} {rate} {bytes}");
            let told = yields.fruitless().unwrap();
            assert_eq!(
                (told.deleted, told.freed),
                (u64::from(goes) * bytes, u64::from(goes) * bytes * share / 100)
            );
            assert!(!yields.may_delete(volume.now, rate));
        }
        // A volume that frees at first, and then comes to what a snapshot holds.
        let (mut yields, mut volume) = (Yields::default(), Volume::of(100, false, 0));
        assert_eq!(volume.delete(&mut yields, 50, 10 * MB), 50);
        volume.share = 0;
        assert_eq!(volume.delete(&mut yields, 50, 10 * MB), 1, "what was good before is no credit");
    }

    #[test]
    fn it_is_tried_again_after_an_hour_or_once_there_is_more_room() {
        let rate = MB / 10;
        let stopped = || {
            let (mut yields, mut volume) = (Yields::default(), Volume::of(0, false, rate));
            assert_eq!(volume.delete(&mut yields, 9, 100 * MB), 1);
            (yields, volume)
        };
        let (mut yields, mut volume) = stopped();
        for _ in 0..59 {
            volume.pass(60);
            assert!(!yields.may_delete(volume.now, rate), "that less is free is no reason");
        }
        volume.pass(60);
        assert!(yields.may_delete(volume.now, rate));
        assert_eq!(volume.delete(&mut yields, 9, 100 * MB), 1, "it is as it was, and one more is lost");

        let (mut yields, mut volume) = stopped();
        volume.pass(600);
        assert!(!yields.may_delete(volume.now, rate));
        volume.now.free += MB;
        assert!(!yields.may_delete(volume.now, rate), "no more than what comes and goes");
        volume.now.free += MB;
        assert!(yields.may_delete(volume.now, rate), "more than at the worst, if not more than at first");
        volume.share = 100;
        assert_eq!(volume.delete(&mut yields, 9, 100 * MB), 9);
    }

    #[test]
    fn no_number_is_too_great() {
        for (free, later) in [(0, u64::MAX), (u64::MAX, 0)] {
            let mut yields = Yields::default();
            for seconds in [i64::MAX / 1_000_000_000, 0, i64::MIN / 1_000_000_000] {
                yields.may_delete(sight(seconds, free), u64::MAX);
                yields.before(sight(seconds, free));
                yields.after(u64::MAX, u64::MAX, |_| sight(0, later));
                yields.after(u64::MAX, 0, |_| sight(0, later));
            }
        }
    }
}
