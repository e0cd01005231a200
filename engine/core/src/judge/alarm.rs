//! Alarms of the clock: each begins, stands, and ends.

use audyn_units::{Mono, Timestamp, Utc};

/// How many ended alarms are remembered.
const ENDED_KEPT: usize = 16;

/// How many stand at most: a source each may follow another grandmaster.
const STANDING: usize = 64;

/// What is wrong with the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlarmKind {
    /// A ptp4l that answered does not any more.
    PtpSilent,
    /// The grandmaster that was followed is gone.
    GrandmasterGone,
    /// Another grandmaster has taken over.
    GrandmasterChanged,
    /// A source follows another grandmaster than this machine.
    GrandmasterDiffers,
    /// The grandmaster's time began anywhere, so it is no TAI.
    TimescaleArbitrary,
    /// The grandmaster is announced, but its syncs do not come.
    SyncStopped,
    /// The kernel does not know the offset of TAI from UTC.
    TaiUnset,
    /// Kernel and PTP disagree about it.
    TaiDiffers,
    /// The system clock is not where the grandmaster's time is.
    OffsetLarge,
    /// A hardware clock can't be read.
    PhcGone,
    /// A hardware clock was set.
    PhcStepped,
}

/// An alarm, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// What is wrong.
    pub kind: AlarmKind,
    /// Whose it is: a PTP port or a source; empty for the machine's.
    pub subject: String,
    /// What is wrong and what to do, as last known.
    pub text: String,
    /// When it began.
    pub began: Timestamp<Utc>,
    /// When it ended, if it has.
    pub ended: Option<Timestamp<Utc>>,
    /// When what it tells of happened, where that is one moment: what happens again is another alarm.
    moment: Option<Timestamp<Mono>>,
}

/// An alarm began or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It began.
    Began(Alarm),
    /// It ended.
    Ended(Alarm),
}

/// An alarm that should stand now.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) kind: AlarmKind,
    pub(super) subject: String,
    pub(super) text: String,
    /// The one moment at which it happened; none for what lasts.
    pub(super) moment: Option<Timestamp<Mono>>,
}

/// All alarms: those that stand before those that ended, and within these the newest first.
#[derive(Debug, Default)]
pub(super) struct Book {
    alarms: Vec<Alarm>,
}

impl Book {
    pub(super) fn alarms(&self) -> &[Alarm] {
        &self.alarms
    }

    /// Brings the book to what is wanted.
    pub(super) fn update(&mut self, now: Timestamp<Utc>, mut wanted: Vec<Wanted>) -> Vec<Change> {
        let mut changes = Vec::new();
        wanted.truncate(STANDING);
        for alarm in self.alarms.iter_mut().filter(|alarm| alarm.ended.is_none()) {
            let same =
                |w: &Wanted| w.kind == alarm.kind && w.subject == alarm.subject && w.moment == alarm.moment;
            let still = wanted.iter().position(same);
            match still {
                Some(at) => alarm.text = wanted.swap_remove(at).text,
                None => {
                    alarm.ended = Some(now);
                    changes.push(Change::Ended(alarm.clone()));
                }
            }
        }
        for Wanted { kind, subject, text, moment } in wanted {
            let alarm = Alarm { kind, subject, text, began: now, ended: None, moment };
            changes.push(Change::Began(alarm.clone()));
            self.alarms.push(alarm);
        }
        self.alarms.sort_by_key(|alarm| {
            (alarm.ended.is_some(), std::cmp::Reverse(alarm.ended.unwrap_or(alarm.began)))
        });
        let standing = self.alarms.iter().filter(|alarm| alarm.ended.is_none()).count();
        self.alarms.truncate(standing + ENDED_KEPT);
        changes
    }
}
