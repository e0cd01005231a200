//! Whether what is deleted for the floor makes room.
//!
//! A snapshot, a hard link or a program that still reads a file keeps its blocks, and some file systems keep them by themselves. Then
//! deleting for the floor goes on until nothing is left, for nothing. So the volume is looked at behind each deletion for the floor, and
//! once what has gone is enough to be told from what recorders write meanwhile, half of it must have become free. Where it hasn't, also
//! not once the volume has settled its accounts, deleting for the floor stops until the volume has more room again, or for an hour.
//!
//! On a volume that is full, or nearly, recorders take each byte as soon as it is free, and to stop deleting for that would lose what they
//! record. So there what they have written since counts as what became free, and so does what may be set aside ahead of it: 16 MiB for each file
//! that is being written, and 1 MiB for all else. Four times that must have gone before it is judged, 407 MiB where six files are written. An
//! account goes on from one turn to the next there, since a turn may delete less. Where more than three quarters of that are held (by a
//! snapshot, as a rule), deleting stops as it does elsewhere, and an hour later the same amount is risked again, and no more.
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

/// What a file that is being written may take at once when there is room again: what has waited for the disk in memory, and what is set
/// aside ahead of it.
const IN_MEMORY: u64 = 2 * (16 << 20);

/// The part of it that is set aside: bytes of a file that is being written which are taken and not counted as written.
const SET_ASIDE: u64 = 16 << 20;

/// On a full volume so many times what cannot be accounted for must have gone before it is judged.
const SURE: u64 = 4;

/// A volume with less free is as good as full, beside what is in memory.
const NEARLY_FULL: u64 = 64 << 20;

/// When it is tried again at the latest.
const AGAIN: Nanos = Nanos::from_secs(3_600);

/// So often a volume that is to settle its accounts is looked at before it is judged.
const LOOKS: u32 = 100;

/// Who writes to the volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Writers {
    /// Bytes a second of all of them.
    pub bytes_per_second: u64,
    /// Files that are open.
    pub files: u64,
    /// The disk refuses one of them something, which takes what becomes free at once.
    pub refused: bool,
    /// Bytes that all of them have written since the engine began. It only grows.
    pub written: u64,
}

impl Writers {
    /// The most that may be in memory.
    fn in_memory(self) -> u64 {
        IN_MEMORY.saturating_mul(self.files)
    }

    /// Bytes that can be told from what is written meanwhile.
    fn enough(self) -> u64 {
        let bursts = self.bytes_per_second.saturating_mul(BURSTS);
        LEAST.saturating_add(bursts).saturating_add(self.in_memory())
    }

    /// What may be taken of a full volume without being written.
    fn unaccounted(self) -> u64 {
        LEAST.saturating_add(SET_ASIDE.saturating_mul(self.files))
    }

    /// Bytes that can be told from that.
    fn enough_when_full(self) -> u64 {
        self.unaccounted().saturating_mul(SURE)
    }

    /// What is uncertain with either of both.
    fn or(self, other: Self) -> Self {
        Self {
            bytes_per_second: self.bytes_per_second.max(other.bytes_per_second),
            files: self.files.max(other.files),
            refused: self.refused || other.refused,
            written: self.written.max(other.written),
        }
    }
}

/// What the volume says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// When it was asked.
    pub at: Timestamp<Mono>,
    /// Bytes that were free.
    pub free: u64,
    /// Who wrote to it then.
    pub writers: Writers,
}

impl Sight {
    /// Whether what becomes free may be gone at once.
    fn is_full(self) -> bool {
        self.writers.refused || self.free < NEARLY_FULL.saturating_add(self.writers.in_memory())
    }
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
    /// A turn begins: whether anything may be deleted for the floor in it. What was not judged in the last one is not any more, since others have
    /// written since; but on a volume that is full then and now, where what they have written is known.
    pub fn may_delete(&mut self, now: Sight) -> bool {
        self.open = self.open.take().filter(|(before, _)| before.is_full() && now.is_full());
        let Some(fruitless) = &mut self.fruitless else { return true };
        fruitless.least = fruitless.least.min(now.free);
        // Less comes and goes by itself, and is not what was to become free.
        let is_roomier = now.free - fruitless.least >= now.writers.enough().max(fruitless.deleted);
        if is_roomier || now.at - fruitless.since >= AGAIN {
            self.fruitless = None;
        }
        self.fruitless.is_none()
    }

    /// Something is about to be deleted for the floor.
    pub fn before(&mut self, now: Sight) {
        match self.open {
            Some((_, deleted)) if deleted > 0 => {}
            // Or what was to be deleted then was not.
            _ => self.open = Some((now, 0)),
        }
    }

    /// It has gone, and had so many bytes on the volume. Whether to go on: `look` asks the volume. It is told how often it was asked before:
    /// from the second time on the volume is to settle its accounts before, and then to be given time for it, which only a doubt is worth.
    pub fn after(&mut self, bytes: u64, mut look: impl FnMut(u32) -> Sight) -> bool {
        let Some((before, deleted)) = &mut self.open else { return true };
        *deleted = deleted.saturating_add(bytes);
        let (before, deleted) = (*before, *deleted);
        if deleted < enough(before, before.writers, before) {
            return true;
        }
        let mut seen = None;
        for asked in 0..LOOKS {
            let now = look(asked);
            let writers = before.writers.or(now.writers);
            if deleted < enough(before, writers, now) {
                return true;
            }
            let (written, unaccounted) = if is_full(before, now) {
                (now.writers.written.saturating_sub(before.writers.written), writers.unaccounted())
            } else {
                let seconds = (now.at - before.at).0.max(0).unsigned_abs() / 1_000_000_000;
                (writers.bytes_per_second.saturating_mul(seconds), 0)
            };
            let freed = now.free.saturating_add(written).saturating_sub(before.free);
            if freed.saturating_add(unaccounted) >= deleted / 2 {
                self.open = None;
                return true;
            }
            seen = Some((now, freed));
        }
        self.open = None;
        self.fruitless =
            seen.map(|(now, freed)| Fruitless { deleted, freed, since: now.at, least: now.free });
        self.fruitless.is_none()
    }

    /// Why nothing is deleted for the floor; none while it may be.
    #[must_use]
    pub fn fruitless(&self) -> Option<Fruitless> {
        self.fruitless
    }
}

/// Whether recorders may have taken what became free between two looks.
fn is_full(before: Sight, now: Sight) -> bool {
    before.is_full() || now.is_full()
}

/// Bytes that must have gone between them before they are judged.
fn enough(before: Sight, writers: Writers, now: Sight) -> u64 {
    if is_full(before, now) { writers.enough_when_full() } else { writers.enough() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    fn sight(seconds: i64, free: u64) -> Sight {
        Sight { at: Timestamp::from_nanos(seconds * 1_000_000_000), free, writers: Writers::default() }
    }

    /// A volume where `share` percent of what is deleted becomes free, at once or when it has been looked at `late` times, and `rate` bytes
    /// a second are written. Each deletion takes a second.
    struct Volume {
        now: Sight,
        share: u64,
        late: u32,
        rate: u64,
        owed: u64,
        /// What is in memory and takes room as soon as there is some.
        waits: u64,
        files: u64,
        asked_to_settle: u32,
    }

    impl Volume {
        fn of(share: u64, late: u32, rate: u64) -> Self {
            let mut now = sight(0, 900 * MB);
            now.writers.bytes_per_second = rate;
            Self { now, share, late, rate, owed: 0, waits: 0, files: 0, asked_to_settle: 0 }
        }

        fn pass(&mut self, seconds: i64) {
            let free = self.now.free.saturating_sub(self.rate * seconds.unsigned_abs());
            let written = self.now.writers.written + (self.now.free - free);
            self.now = Sight {
                at: Timestamp::from_nanos(self.now.at.as_nanos() + seconds * 1_000_000_000),
                free,
                writers: Writers { files: self.files, written, ..self.now.writers },
            };
        }

        /// How many of `files` of `bytes` go.
        fn delete(&mut self, yields: &mut Yields, files: u32, bytes: u64) -> u32 {
            for gone in 0..files {
                yields.before(self.now);
                self.pass(1);
                self.owed += bytes * self.share / 100;
                if self.late == 0 {
                    self.now.free += std::mem::take(&mut self.owed);
                }
                let taken = self.waits.min(self.now.free);
                (self.waits, self.now.free) = (self.waits - taken, self.now.free - taken);
                self.now.writers.written += taken;
                self.now.writers.refused = self.waits > 0;
                let on = yields.after(bytes, |asked| {
                    self.asked_to_settle += u32::from(asked == 1);
                    if asked >= self.late {
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
                    let (mut yields, mut volume) = (Yields::default(), Volume::of(share, 0, rate));
                    assert_eq!(volume.delete(&mut yields, 100, bytes), 100, "{rate} {bytes} {share}");
                    assert_eq!((yields.fruitless(), volume.asked_to_settle), (None, 0));
                }
            }
        }
    }

    #[test]
    fn what_a_volume_frees_late_counts_once_it_has_settled() {
        for (late, goes) in [(1, 10), (2, 10), (LOOKS - 1, 10), (LOOKS, 1)] {
            let (mut yields, mut volume) = (Yields::default(), Volume::of(100, late, 0));
            assert_eq!(volume.delete(&mut yields, 10, 10 * MB), goes, "{late}");
            assert_eq!((yields.fruitless().is_none(), volume.asked_to_settle), (goes == 10, goes));
        }
    }

    #[test]
    fn a_full_volume_empties_itself_whatever_memory_takes_of_it() {
        for (free, files, waits, rate, refused) in [
            (0, 1, 16 * MB, MB, true),
            (0, 1, 33 * MB, MB, false),
            (0, 8, 8 * 33 * MB, 4 * MB, true),
            (0, 64, 64 * 33 * MB, 16 * MB, true),
            // It was owed for long.
            (0, 1, 900 * MB, MB, true),
            // It has room, but for what memory takes.
            (60 * MB, 1, 33 * MB, MB, false),
            (90 * MB, 1, 33 * MB, MB, false),
            (500 * MB, 8, 8 * 33 * MB, MB, true),
        ] {
            let (mut yields, mut volume) = (Yields::default(), Volume::of(100, 0, rate));
            (volume.now.free, volume.files, volume.waits) = (free, files, waits);
            volume.now.writers = Writers { files, refused, ..volume.now.writers };
            for _ in 0..40 {
                assert!(yields.may_delete(volume.now));
                assert_eq!(volume.delete(&mut yields, 5, 20 * MB), 5, "{free} {files} {waits}");
            }
            assert_eq!((yields.fruitless(), volume.asked_to_settle), (None, 0), "{free} {files} {waits}");
        }
    }

    #[test]
    fn a_full_volume_whose_blocks_are_held_stops_with_a_stated_amount_and_is_tried_again_with_no_more() {
        // A snapshot holds all of it; or most, so that recorders write the little that becomes free.
        for (share, files, refused, most) in
            [(0, 0, false, 5), (0, 1, true, 75), (0, 6, true, 410), (20, 6, true, 410)]
        {
            let (mut yields, mut volume) = (Yields::default(), Volume::of(share, 0, MB));
            (volume.now.free, volume.files, volume.waits) = (0, files, 9_000 * MB);
            volume.now.writers = Writers { files, refused, ..volume.now.writers };
            let mut gone = 0;
            // Turns that delete little each.
            while yields.may_delete(volume.now) {
                gone += volume.delete(&mut yields, 3, MB);
                volume.pass(60);
                assert!(gone < 1_000, "{share} {files}");
            }
            let amount = Writers { files, ..Writers::default() }.enough_when_full();
            assert!(u64::from(gone) * MB >= amount && gone < most + 5, "{share} {files}: {gone}");
            assert!(yields.fruitless().is_some_and(|told| told.freed <= told.deleted * share / 100));
            let mut again = 0;
            volume.pass(3_600);
            while yields.may_delete(volume.now) {
                again += volume.delete(&mut yields, 3, MB);
                volume.pass(60);
            }
            assert!(again <= gone, "{again} and {gone}");
            // The snapshot goes.
            volume.now.free += 9_900 * MB;
            assert!(yields.may_delete(volume.now));
        }
    }

    #[test]
    fn what_open_files_hold_in_memory_tells_nothing() {
        let (mut yields, mut volume) = (Yields::default(), Volume::of(0, 0, 0));
        volume.files = 4;
        volume.now.writers.files = 4;
        assert_eq!(volume.delete(&mut yields, 50, 10 * MB), 14, "4 files may take 134 MB");
        // A file more than when it began.
        let (mut yields, mut volume) = (Yields::default(), Volume::of(0, 0, 0));
        volume.files = 4;
        assert_eq!(volume.delete(&mut yields, 50, 10 * MB), 14);
    }

    #[test]
    fn an_account_is_of_one_turn_and_begins_with_what_is_deleted() {
        let mut yields = Yields::default();
        // What was to go stays, and much is written until the next one goes.
        yields.before(sight(0, 900 * MB));
        yields.before(sight(600, 500 * MB));
        assert!(yields.after(10 * MB, |_| sight(601, 510 * MB)), "it made the room that it had");
        // Too little to be judged, and the next turn comes hours later.
        yields.before(sight(700, 500 * MB));
        assert!(yields.after(MB / 2, |_| unreachable!()));
        assert!(yields.may_delete(sight(9_000, 300 * MB)));
        yields.before(sight(9_000, 300 * MB));
        assert!(yields.after(10 * MB, |_| sight(9_001, 310 * MB)));
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
            let (mut yields, mut volume) = (Yields::default(), Volume::of(share, 0, rate));
            assert_eq!(volume.delete(&mut yields, 100, bytes), goes, "{share} {rate} {bytes}");
            let told = yields.fruitless().unwrap();
            assert_eq!(
                (told.deleted, told.freed),
                (u64::from(goes) * bytes, u64::from(goes) * bytes * share / 100)
            );
            assert!(!yields.may_delete(volume.now));
        }
        // A volume that frees at first, and then comes to what a snapshot holds.
        let (mut yields, mut volume) = (Yields::default(), Volume::of(100, 0, 0));
        assert_eq!(volume.delete(&mut yields, 50, 10 * MB), 50);
        volume.share = 0;
        assert_eq!(volume.delete(&mut yields, 50, 10 * MB), 1, "what was good before is no credit");
    }

    #[test]
    fn it_is_tried_again_after_an_hour_or_once_there_is_more_room() {
        let rate = MB / 10;
        let stopped = || {
            let (mut yields, mut volume) = (Yields::default(), Volume::of(0, 0, rate));
            assert_eq!(volume.delete(&mut yields, 9, 100 * MB), 1);
            (yields, volume)
        };
        let (mut yields, mut volume) = stopped();
        for _ in 0..59 {
            volume.pass(60);
            assert!(!yields.may_delete(volume.now), "that less is free is no reason");
        }
        volume.pass(60);
        assert!(yields.may_delete(volume.now));
        assert_eq!(volume.delete(&mut yields, 9, 100 * MB), 1, "it is as it was, and one more is lost");

        let (mut yields, mut volume) = stopped();
        volume.pass(600);
        assert!(!yields.may_delete(volume.now));
        for _ in 0..9 {
            volume.now.free += 11 * MB;
            assert!(!yields.may_delete(volume.now), "less than what was to become free comes and goes");
        }
        volume.now.free += MB;
        assert!(yields.may_delete(volume.now), "more than at the worst, if not more than at first");
        volume.share = 100;
        assert_eq!(volume.delete(&mut yields, 9, 100 * MB), 9);
    }

    #[test]
    fn no_number_is_too_great() {
        for (free, later) in [(0, u64::MAX), (u64::MAX, 0)] {
            let mut yields = Yields::default();
            for seconds in [i64::MAX / 1_000_000_000, 0, i64::MIN / 1_000_000_000] {
                for most in [0, u64::MAX] {
                    let writers =
                        Writers { bytes_per_second: most, files: most, written: most, refused: false };
                    let sight = |seconds, free| Sight { writers, ..sight(seconds, free) };
                    yields.may_delete(sight(seconds, free));
                    yields.before(sight(seconds, free));
                    yields.after(u64::MAX, |_| sight(0, later));
                }
            }
        }
    }
}
