//! How long the room on the volume lasts, and what is wrong with it.
//!
//! Owns: the alarms of the room and when each began. Never: asks a disk; it is told.

use audyn_api::{
    DiskState, PendingLimits, RetentionSnapshot, RoomAlarm, RoomAlarmKind, VolumeConfig, VolumeSnapshot,
};
use audyn_core::retention::{Growth, seconds_left};
use audyn_units::{ByteSize, Timestamp, Utc};

use super::{Kept, Told};

/// The target that alarms of the room are logged under.
pub(crate) const ROOM_LOG: &str = "audyn_room";

const DAY: u64 = 86_400;

/// Whose room it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Archive,
    Mirror,
}

impl On {
    /// The volume in a sentence.
    fn volume(self) -> &'static str {
        match self {
            Self::Archive => "the archive's volume",
            Self::Mirror => "the mirror's volume",
        }
    }

    /// What the last turn says, so that the mirror's is not taken for the archive's.
    fn said(self, text: &str) -> String {
        match self {
            Self::Archive => text.to_owned(),
            Self::Mirror => format!("the mirror: {text}"),
        }
    }
}

/// What is known at an instant.
pub(crate) struct Known<'a> {
    pub(crate) on: On,
    pub(crate) now: Timestamp<Utc>,
    pub(crate) disk: DiskState,
    pub(crate) volume: &'a VolumeConfig,
    /// Each recorder that writes, and its bytes a second.
    pub(crate) writing: &'a [(String, u64)],
    pub(crate) told: &'a Told,
    pub(crate) pending: Vec<PendingLimits>,
    /// Seconds until the first limit acts by which a recorder's oldest recordings make room.
    pub(crate) makes_room_in: Option<u64>,
}

/// The alarms that stand.
#[derive(Debug, Default)]
pub(crate) struct RoomAlarms(Vec<RoomAlarm>);

impl RoomAlarms {
    /// What is told of the room now. Alarms that begin and end are logged.
    pub(crate) fn tell(&mut self, known: &Known<'_>) -> RetentionSnapshot {
        let seconds_left = known.seconds_left();
        let mut standing = Vec::new();
        for (kind, text) in known.complaints(seconds_left) {
            let before = self.0.iter().find(|alarm| alarm.kind == kind);
            let began = before.map_or(known.now, |alarm| alarm.began);
            if before.is_none() {
                tracing::warn!(target: ROOM_LOG, "{text}");
            }
            standing.push(RoomAlarm { kind, text, began });
        }
        for ended in self.0.iter().filter(|old| standing.iter().all(|alarm| alarm.kind != old.kind)) {
            tracing::info!(target: ROOM_LOG, "over: {}", ended.text);
        }
        self.0.clone_from(&standing);
        RetentionSnapshot {
            floor_bytes: known.volume.floor(known.disk.total_bytes),
            bytes_per_second: known.rate(),
            seconds_left,
            deleted: known.told.deleted,
            deleted_bytes: known.told.deleted_bytes,
            pending: known.pending.clone(),
            alarms: standing,
        }
    }
}

/// Tells of a volume how long its room lasts.
pub(crate) fn tell_with(volume: &mut VolumeSnapshot, room: &RetentionSnapshot) {
    volume.floor_bytes = room.floor_bytes;
    volume.bytes_per_second = room.bytes_per_second;
    volume.seconds_left = room.seconds_left;
    volume.room_alarms.clone_from(&room.alarms);
}

impl Known<'_> {
    fn rate(&self) -> u64 {
        self.writing.iter().map(|(_, rate)| rate).sum()
    }

    /// Until the volume is full; none while that is not foreseen.
    fn seconds_left(&self) -> Option<u64> {
        let of = |(recorder, bytes_per_second): &(String, u64)| {
            let kept = self.told.recorders.iter().find(|kept| kept.recorder == *recorder);
            let stops_after = kept.and_then(|kept| self.stops_after(kept, *bytes_per_second));
            Growth { bytes_per_second: *bytes_per_second, stops_after }
        };
        let growing: Vec<Growth> = self.writing.iter().map(of).collect();
        (self.disk.total_bytes > 0).then(|| seconds_left(self.disk.free_bytes, &growing)).flatten()
    }

    /// When a recorder's limits delete as much as it writes.
    fn stops_after(&self, kept: &Kept, rate: u64) -> Option<u64> {
        let by_bytes = kept.limits.bytes.map(|most| most.saturating_sub(kept.free_to_go) / rate.max(1));
        let by_days = kept.limits.days.filter(|_| self.told.believed).map(|days| {
            let age = kept.oldest.map_or(0, |oldest| (self.now - oldest).0.max(0) / 1_000_000_000);
            (u64::from(days) * DAY).saturating_sub(age.unsigned_abs())
        });
        // It lives of its own past, as long as it has one.
        let has_floor = self.volume.floor(self.disk.total_bytes) > 0;
        let by_room =
            (kept.limits.make_room && has_floor && kept.free_to_go > 0 && self.told.fruitless.is_none())
                .then_some(0);
        [by_bytes, by_days, by_room].into_iter().flatten().min()
    }

    /// When the first limit that waits acts.
    fn acts_in(&self) -> Option<u64> {
        self.pending.iter().map(|pending| pending.acts_in_seconds).min()
    }

    fn complaints(&self, seconds_left: Option<u64>) -> Vec<(RoomAlarmKind, String)> {
        let mut complaints = Vec::new();
        let hours = self.volume.alarm_hours;
        if let Some(left) = seconds_left
            && left < u64::from(hours) * 3_600
        {
            let what_to_do = match self.acts_in() {
                Some(acts_in) if left < acts_in => format!(
                    "a limit that would help acts only in {}, so make room before, or what is recorded then is lost",
                    span(acts_in)
                ),
                _ => "make room, or limit what recorders keep (retention)".to_owned(),
            };
            let text = format!(
                "{} will be full in {} at the present {} a second; {what_to_do}",
                self.on.volume(),
                span(left),
                ByteSize(self.rate())
            );
            complaints.push((RoomAlarmKind::FullSoon, text));
        }
        let floor = self.volume.floor(self.disk.total_bytes);
        let below = self.disk.total_bytes > 0 && self.disk.free_bytes < floor;
        // With recorders that make room it is the next turn's to do, unless that has found nothing more.
        let makes_room = self.told.recorders.iter().any(|kept| kept.limits.make_room);
        // Where deleting frees nothing, that is the alarm.
        if below && self.told.fruitless.is_none() && (!makes_room || self.told.lacking > 0) {
            let why = match (self.makes_room_in, makes_room) {
                (Some(acts_in), _) => format!("a limit that makes room acts in {}", span(acts_in)),
                (None, true) => "nothing more may be deleted".to_owned(),
                (None, false) => "nothing may be deleted for it".to_owned(),
            };
            let what_to_do = match self.makes_room_in {
                Some(_) => "make room if that is too late",
                None => "make room, or let a recorder's oldest recordings make it (retention: make_room)",
            };
            let floor = ByteSize(floor);
            let text = format!(
                "{} has less than its floor of {floor} free, and {why}; {what_to_do}",
                self.on.volume()
            );
            complaints.push((RoomAlarmKind::BelowFloor, text));
        }
        let last_turn = [
            (RoomAlarmKind::Fruitless, &self.told.fruitless),
            (RoomAlarmKind::ClockDoubted, &self.told.doubt),
            (RoomAlarmKind::Undeletable, &self.told.failed),
        ];
        for (kind, said) in last_turn {
            complaints.extend(said.iter().map(|text| (kind, self.on.said(text))));
        }
        complaints
    }
}

/// A time to come, for people; coarse, so that it isn't another sentence each second.
fn span(seconds: u64) -> String {
    match seconds {
        0..60 => "less than a minute".to_owned(),
        60..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use audyn_core::retention::Limits;

    use super::*;

    const GB: u64 = 1_000_000_000;
    const HOUR: u64 = 3_600;

    fn kept(recorder: &str, limits: Limits, bytes: u64) -> Kept {
        let oldest = Some(Timestamp::from_nanos(0));
        Kept { recorder: recorder.to_owned(), limits, bytes, free_to_go: bytes, oldest }
    }

    fn told(recorders: Vec<Kept>) -> Told {
        Told { recorders, believed: true, ..Told::default() }
    }

    /// A volume of 1,000 GB, ten days after the oldest recording; `a` and `b` write 1 MB a second each.
    fn tell(alarms: &mut RoomAlarms, free: u64, told: &Told) -> RetentionSnapshot {
        alarms.tell(&Known {
            on: On::Archive,
            now: Timestamp::from_nanos(10 * DAY as i64 * 1_000_000_000),
            disk: DiskState { total_bytes: 1_000 * GB, free_bytes: free * GB },
            volume: &VolumeConfig::default(),
            writing: &[("a".to_owned(), 1_000_000), ("b".to_owned(), 1_000_000)],
            told,
            pending: Vec::new(),
            makes_room_in: None,
        })
    }

    #[test]
    fn a_disk_that_is_full_before_a_limit_acts_says_so() {
        let tell = |recorder: Option<&str>, acts_in_seconds| {
            let pending =
                PendingLimits { recorder: recorder.map(str::to_owned), acts_in_seconds, in_force: None };
            let snapshot = RoomAlarms::default().tell(&Known {
                on: On::Mirror,
                now: Timestamp::ZERO,
                disk: DiskState { total_bytes: 1_000 * GB, free_bytes: 60 * GB },
                volume: &VolumeConfig::default(),
                writing: &[("a".to_owned(), 50_000_000)],
                told: &Told::default(),
                pending: vec![pending],
                makes_room_in: None,
            });
            snapshot.alarms[0].text.clone()
        };
        let text = tell(Some("a"), 42 * 60);
        assert!(text.starts_with("the mirror's volume will be full in 20 min"), "{text}");
        assert!(text.contains("acts only in 42 min"), "{text}");
        assert!(tell(None, 1_201).contains("acts only in 20 min"));
        let in_time = tell(Some("a"), 1_200);
        assert!(in_time.contains("or limit what recorders keep"), "{in_time}");
    }

    #[test]
    fn below_the_floor_a_limit_that_is_to_make_room_is_told() {
        let snapshot = RoomAlarms::default().tell(&Known {
            on: On::Mirror,
            now: Timestamp::ZERO,
            disk: DiskState { total_bytes: 1_000 * GB, free_bytes: 49 * GB },
            volume: &VolumeConfig::default(),
            writing: &[],
            told: &Told::default(),
            pending: Vec::new(),
            makes_room_in: Some(42 * 60),
        });
        let text = &snapshot.alarms[0].text;
        assert!(text.starts_with("the mirror's volume has less than its floor"), "{text}");
        assert!(
            text.contains("a limit that makes room acts in 42 min; make room if that is too late"),
            "{text}"
        );
    }

    fn kinds(snapshot: &RetentionSnapshot) -> Vec<RoomAlarmKind> {
        snapshot.alarms.iter().map(|alarm| alarm.kind).collect()
    }

    #[test]
    fn a_disk_that_fills_is_alarmed_before_it_is_full_and_below_its_floor() {
        let mut alarms = RoomAlarms::default();
        let at = |alarms: &mut RoomAlarms, free| tell(alarms, free, &told(vec![]));
        let well = at(&mut alarms, 180);
        assert_eq!((well.seconds_left, well.bytes_per_second), (Some(90_000), 2_000_000));
        assert_eq!((well.floor_bytes, kinds(&well)), (50 * GB, vec![]));
        let soon = at(&mut alarms, 172);
        assert_eq!(kinds(&soon), [RoomAlarmKind::FullSoon]);
        assert!(soon.alarms[0].text.contains("full in 23 h at the present 2.0 MB a second"), "{soon:?}");
        let low = at(&mut alarms, 49);
        assert_eq!(kinds(&low), [RoomAlarmKind::FullSoon, RoomAlarmKind::BelowFloor]);
        assert!(
            low.alarms[1]
                .text
                .contains("less than its floor of 50.0 GB free, and nothing may be deleted for it"),
            "{low:?}"
        );
        assert_eq!(kinds(&at(&mut alarms, 200)), []);
    }

    #[test]
    fn limits_that_delete_as_much_as_is_written_end_the_growth() {
        let mut alarms = RoomAlarms::default();
        let bytes = |most: u64| Limits { bytes: Some(most * GB), ..Limits::default() };
        let days = |days| Limits { days: Some(days), ..Limits::default() };
        let room = Limits { make_room: true, ..Limits::default() };
        let left = |alarms: &mut RoomAlarms, told: &Told| tell(alarms, 36, told).seconds_left;
        let both = |a, b| told(vec![kept("a", a, 100 * GB), kept("b", b, 100 * GB)]);
        let mut left = |told: &Told| left(&mut alarms, told);
        assert_eq!(left(&told(vec![])), Some(5 * HOUR));
        assert_eq!(left(&told(vec![kept("a", bytes(100), 100 * GB)])), Some(10 * HOUR), "b alone grows");
        assert_eq!(left(&both(bytes(100), bytes(99))), None);
        assert_eq!(left(&both(bytes(100), bytes(130))), None, "30 GB fit");
        assert_eq!(left(&both(bytes(100), bytes(140))), Some(10 * HOUR));
        assert_eq!(left(&both(days(10), bytes(100))), None, "each hour an hour goes");
        assert_eq!(left(&both(days(90), bytes(100))), Some(10 * HOUR));
        let doubted = Told { believed: false, ..both(days(10), bytes(100)) };
        assert_eq!(left(&doubted), Some(10 * HOUR), "nothing goes by its age");
        assert_eq!(left(&both(room, room)), None);
        let empty = Kept { free_to_go: 0, ..kept("b", room, 0) };
        assert_eq!(left(&told(vec![kept("a", room, GB), empty])), Some(10 * HOUR), "it has no past yet");
    }

    #[test]
    fn the_floor_is_an_alarm_only_where_it_cannot_be_kept() {
        let mut alarms = RoomAlarms::default();
        let room = Limits { make_room: true, ..Limits::default() };
        let mut all = told(vec![kept("a", room, 100 * GB), kept("b", room, 100 * GB)]);
        assert_eq!(kinds(&tell(&mut alarms, 49, &all)), [], "the next turn makes room");
        all.lacking = GB;
        let lacking = tell(&mut alarms, 49, &all);
        assert_eq!(kinds(&lacking), [RoomAlarmKind::BelowFloor]);
        let began = lacking.alarms[0].began;
        all.failed = Some("it is held".to_owned());
        all.doubt = Some("it is late".to_owned());
        let more = tell(&mut alarms, 48, &all);
        assert_eq!(
            kinds(&more),
            [RoomAlarmKind::BelowFloor, RoomAlarmKind::ClockDoubted, RoomAlarmKind::Undeletable]
        );
        assert_eq!(more.alarms[0].began, began);
    }

    #[test]
    fn a_floor_that_deleting_does_not_help_is_an_alarm_of_its_own_and_no_end_of_growth() {
        let mut alarms = RoomAlarms::default();
        let room = Limits { make_room: true, ..Limits::default() };
        let mut all = told(vec![kept("a", room, 100 * GB), kept("b", room, 100 * GB)]);
        (all.lacking, all.fruitless) = (GB, Some("something keeps the blocks".to_owned()));
        let snapshot = tell(&mut alarms, 36, &all);
        assert_eq!(snapshot.seconds_left, Some(5 * HOUR));
        assert_eq!(kinds(&snapshot), [RoomAlarmKind::FullSoon, RoomAlarmKind::Fruitless]);
    }

    #[test]
    fn each_alarm_says_of_which_volume_it_is() {
        let room = Limits { make_room: true, ..Limits::default() };
        let said = |on, fruitless: Option<&str>| -> Vec<String> {
            let told = Told {
                lacking: GB,
                fruitless: fruitless.map(str::to_owned),
                doubt: Some("it is late".to_owned()),
                failed: Some("it is held".to_owned()),
                ..told(vec![kept("a", room, 0)])
            };
            let snapshot = RoomAlarms::default().tell(&Known {
                on,
                now: Timestamp::ZERO,
                disk: DiskState { total_bytes: 1_000 * GB, free_bytes: GB },
                volume: &VolumeConfig::default(),
                writing: &[("a".to_owned(), 1_000_000)],
                told: &told,
                pending: Vec::new(),
                makes_room_in: None,
            });
            snapshot.alarms.into_iter().map(|alarm| alarm.text).collect()
        };
        for fruitless in [None, Some("something keeps the blocks")] {
            let (archive, mirror) = (said(On::Archive, fruitless), said(On::Mirror, fruitless));
            assert_eq!((archive.len(), mirror.len()), (4, 4), "{mirror:?}");
            assert!(archive.iter().all(|text| !text.contains("mirror")), "{archive:?}");
            let is_its_own = |text: &String| text.contains("the mirror") && !text.contains("archive");
            assert!(mirror.iter().all(is_its_own), "{mirror:?}");
        }
    }

    #[test]
    fn a_volume_that_says_nothing_of_itself_is_no_alarm() {
        let snapshot = RoomAlarms::default().tell(&Known {
            on: On::Mirror,
            now: Timestamp::ZERO,
            disk: DiskState::default(),
            volume: &VolumeConfig { floor_bytes: GB, ..VolumeConfig::default() },
            writing: &[("a".to_owned(), 1)],
            told: &Told::default(),
            pending: Vec::new(),
            makes_room_in: None,
        });
        assert_eq!((snapshot.seconds_left, snapshot.alarms), (None, vec![]));
    }
}
