//! What would go now: the answer to whoever asks.
//!
//! Owns: nothing; the plan is the one that a turn would make. Never: waits for a deletion or keeps one waiting, nor changes anything.

use std::collections::{BTreeMap, HashSet};

use audyn_api::{RecorderPlan, RetentionEntry, RetentionPlan, RetentionReason};
use audyn_core::retention::{Hold, Reason};
use audyn_sys::clock;

use super::{Judged, Rules, Shared, why};
use crate::engine::lock;

/// Files that a plan lists; an answer with as many fits a frame.
const MOST_LISTED: usize = 1_000;

/// Bytes of paths that it lists, for the same reason.
const MOST_BYTES: usize = 128 * 1_024;

impl Shared {
    /// By the limits that are wanted, whether they act already or not, or by those that are `proposed`.
    pub(super) fn dry_run(&self, proposed: Option<Rules>) -> RetentionPlan {
        let (rules, pending) = {
            let (limits, now) = (lock(&self.limits), clock::mono_now());
            match proposed {
                // What is proposed is not set, but tried on what is in force.
                Some(proposed) => {
                    let mut tried = limits.clone();
                    tried.want(&proposed, now);
                    (proposed, tried.pending(now))
                }
                None => (limits.wanted().clone(), limits.pending(now)),
            }
        };
        if rules.recorders.is_empty() {
            let notes = vec!["no recorder has a limit, so nothing is ever deleted by itself".to_owned()];
            return RetentionPlan { notes, pending, ..RetentionPlan::default() };
        }
        let told = self.told();
        let Judged { found, plan, failed } =
            self.judge(&rules, told.believed.then(clock::utc_now), told.fruitless.is_none(), &HashSet::new());
        let mut answer = RetentionPlan { lacking_bytes: plan.lacking, pending, ..RetentionPlan::default() };
        answer.protected =
            found.iter().filter(|found| found.segment.hold == Some(Hold::Protected)).count() as u64;
        let mut listed = 0;
        let mut sums = BTreeMap::new();
        for going in &plan.going {
            let of = &found[going.segment];
            let (recorder, _) = &rules.recorders[of.segment.recorder];
            let start = of.segment.start;
            let sum = sums.entry(of.segment.recorder).or_insert_with(|| RecorderPlan {
                recorder: recorder.clone(),
                recordings: 0,
                files: 0,
                bytes: 0,
                oldest: start,
                newest: start,
            });
            sum.recordings += 1;
            (sum.oldest, sum.newest) = (sum.oldest.min(start), sum.newest.max(start));
            for (file, brief) in &of.files {
                (sum.files, sum.bytes) = (sum.files + 1, sum.bytes + brief.bytes);
                answer.files += 1;
                answer.bytes += brief.bytes;
                listed += file.len();
                if answer.going.len() < MOST_LISTED && listed < MOST_BYTES {
                    answer.going.push(RetentionEntry {
                        path: format!("{recorder}/{file}"),
                        bytes: brief.bytes,
                        start: of.segment.start,
                        reason: match going.reason {
                            Reason::Days(_) => RetentionReason::Days,
                            Reason::Bytes(_) => RetentionReason::Bytes,
                            Reason::Floor(_) => RetentionReason::Floor,
                        },
                        why: why(recorder, going.reason),
                    });
                }
            }
        }
        answer.recorders = sums.into_values().collect();
        if !told.believed {
            let still = lock(&self.trust).still();
            answer.notes.extend(self.doubt(&rules, &found, clock::utc_now(), still));
        }
        answer.notes.extend(told.fruitless);
        answer.notes.extend(failed);
        answer
    }
}
