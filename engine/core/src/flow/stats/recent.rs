//! The last minute: sixty seconds, each with its own figures, the oldest overwritten by the newest.

use audyn_units::{Mono, Nanos, Timestamp};

use super::histogram::INTERVALS;
use super::{Extent, LegFigures};

/// Seconds that are kept.
const SLOTS: usize = 60;

const SECOND: i64 = 1_000_000_000;

/// One second's figures. `lost` is signed: what was missing in one second may come in the next.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Slot {
    second: i64,
    pub(super) packets: u32,
    pub(super) bytes: u64,
    pub(super) lost: i64,
    pub(super) lost_frames: i64,
    pub(super) reordered: u32,
    pub(super) duplicated: u32,
    pub(super) late: u32,
    pub(super) jitter_sum: u64,
    pub(super) jitter_max: Nanos,
    pub(super) ts_df_max: Option<Nanos>,
    pub(super) interval: Extent,
    pub(super) interval_sum: u64,
    pub(super) link_offset: Extent,
    pub(super) intervals: Buckets,
}

/// Counts of one second; two of these make a line in any cache.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buckets(pub(super) [u32; INTERVALS]);

impl Default for Buckets {
    fn default() -> Self {
        Self([0; INTERVALS])
    }
}

#[derive(Debug, Clone)]
pub(super) struct Recent {
    slots: Box<[Slot; SLOTS]>,
}

impl Recent {
    pub(super) fn new() -> Self {
        let never = Slot { second: i64::MIN, ..Slot::default() };
        Self { slots: Box::new([never; SLOTS]) }
    }

    /// The slot of the second that `now` lies in.
    pub(super) fn at(&mut self, now: Timestamp<Mono>) -> &mut Slot {
        let second = now.as_nanos().div_euclid(SECOND);
        let slot = &mut self.slots[second.rem_euclid(SLOTS as i64) as usize];
        if slot.second != second {
            *slot = Slot { second, ..Slot::default() };
        }
        slot
    }

    /// The last minute as seen at `now`: the second at hand and the 59 before.
    pub(super) fn figures(&self, now: Timestamp<Mono>) -> LegFigures {
        let newest = now.as_nanos().div_euclid(SECOND);
        let (mut lost, mut lost_frames) = (0, 0);
        let mut sum = LegFigures::default();
        for slot in self.slots.iter().filter(|slot| (newest - 59..=newest).contains(&slot.second)) {
            lost += slot.lost;
            lost_frames += slot.lost_frames;
            sum.packets += u64::from(slot.packets);
            sum.bytes += slot.bytes;
            sum.reordered += u64::from(slot.reordered);
            sum.duplicated += u64::from(slot.duplicated);
            sum.late += u64::from(slot.late);
            sum.jitter_sum += slot.jitter_sum;
            sum.jitter_max = sum.jitter_max.max(slot.jitter_max);
            sum.ts_df_max = sum.ts_df_max.max(slot.ts_df_max);
            sum.interval = sum.interval.joined(slot.interval);
            sum.interval_sum += slot.interval_sum;
            sum.link_offset = sum.link_offset.joined(slot.link_offset);
            for (all, one) in sum.intervals.0.iter_mut().zip(slot.intervals.0) {
                *all += u64::from(one);
            }
        }
        sum.lost = u64::try_from(lost).unwrap_or(0);
        sum.lost_frames = u64::try_from(lost_frames).unwrap_or(0);
        sum
    }
}
