//! Rounds as ptp4l, cards and kernel would tell them, and what is held of the clock after each.

use audyn_wire::ptp::{
    Announced, ClockIdentity, GrandmasterQuality, PortState, Stamping, TimePropertiesDataSet,
};

use super::*;

const LIMITS: Limits =
    Limits { offset: Nanos::from_millis(1), holdover: Nanos::from_secs(3_600), tai_offset: None };
const FIRST: ClockIdentity = ClockIdentity([0xa2, 0, 0, 0xff, 0xfe, 0, 0, 1]);
const SECOND: ClockIdentity = ClockIdentity([0xb0, 0, 0, 0xff, 0xfe, 0, 0, 2]);

/// A machine with one ptp4l, a second at a time.
struct Machine {
    judge: Judge,
    now: i64,
    server: ServerTold,
    kernel: Option<i32>,
    synchronised: Option<bool>,
    references: Vec<(String, RefClock)>,
    changes: Vec<Change>,
    /// Syncs come.
    syncs: bool,
}

impl Machine {
    /// Its ptp4l follows [`FIRST`], whose time is TAI, with this kind of stamps; its clock is right.
    fn new(stamping: Stamping) -> Self {
        let port = PortTold {
            number: 1,
            state: if stamping == Stamping::Hardware { PortState::Slave } else { PortState::Uncalibrated },
            stamping: Some(stamping),
            interface: "eth0".to_owned(),
        };
        let told = PtpTold {
            clock: ClockIdentity([1; 8]),
            ports: vec![port],
            grandmaster: Announced {
                clock: FIRST,
                quality: GrandmasterQuality::default(),
                ..Announced::default()
            },
            path_delay: Nanos(2_000),
            ingress: 1,
            time: TimePropertiesDataSet {
                utc_offset: 37,
                utc_valid: true,
                ptp_timescale: true,
                ..TimePropertiesDataSet::default()
            },
            ..PtpTold::default()
        };
        let phc = PhcTold::Read { minus_utc: Nanos::from_secs(37), minus_mono: Nanos::from_secs(1_000_037) };
        let phc = (stamping == Stamping::Hardware).then_some(phc);
        Self {
            judge: Judge::new(LIMITS),
            now: 0,
            server: ServerTold { name: "eth0".to_owned(), told: Some(told), phc, sync_age: None },
            kernel: Some(37),
            synchronised: Some(true),
            references: Vec::new(),
            changes: Vec::new(),
            syncs: true,
        }
    }

    /// One that has been locked for a while.
    fn locked(stamping: Stamping) -> Self {
        let mut machine = Self::new(stamping);
        assert_eq!(machine.seconds(3).quality, ClockQuality::PtpLocked);
        assert_eq!(machine.standing(), []);
        machine
    }

    fn told(&mut self) -> &mut PtpTold {
        self.server.told.as_mut().unwrap()
    }

    /// What ptp4l says when its grandmaster is gone: the port listens, and the grandmaster is named still.
    fn grandmaster_goes(&mut self) {
        let told = self.told();
        told.ports[0].state = PortState::Listening;
        told.ingress = 0;
        self.syncs = false;
    }

    fn seconds(&mut self, seconds: i64) -> Verdict {
        let mut verdict = None;
        for _ in 0..seconds {
            self.now += 1;
            if let (Some(told), true) = (&mut self.server.told, self.syncs) {
                told.ingress += 1_000_000_000;
            }
            let round = Round {
                at: Timestamp::from_nanos(self.now * 1_000_000_000),
                utc: Timestamp::from_nanos((self.now + 1_800_000_000) * 1_000_000_000),
                servers: std::slice::from_ref(&self.server),
                kernel_tai_offset: self.kernel,
                synchronised: self.synchronised,
                references: &self.references,
            };
            let (heard, changes) = self.judge.hear(&round);
            self.changes.extend(changes);
            verdict = Some(heard);
        }
        verdict.unwrap()
    }

    fn standing(&self) -> Vec<AlarmKind> {
        let standing = self.judge.alarms().iter().filter(|alarm| alarm.ended.is_none());
        let mut kinds: Vec<_> = standing.map(|alarm| alarm.kind).collect();
        kinds.sort();
        kinds
    }
}

#[test]
fn a_clock_that_follows_by_either_kind_of_stamps_is_locked() {
    for stamping in [Stamping::Hardware, Stamping::Software] {
        let mut machine = Machine::new(stamping);
        // One sync may be an old one.
        let verdict = machine.seconds(1);
        assert_eq!((verdict.quality, verdict.follows[0]), (ClockQuality::Ntp, Follow::Settling));
        let verdict = machine.seconds(1);
        assert_eq!(verdict.quality, ClockQuality::PtpLocked, "{stamping:?}");
        assert_eq!(verdict.tai_offset, Some((37, TaiSource::Ptp)));
        assert_eq!(verdict.system_offset, Some(Nanos::ZERO));
        assert_eq!(verdict.follows, [Follow::Following]);
    }
}

#[test]
fn a_sync_whose_age_is_known_locks_at_once_if_it_is_fresh() {
    let first = |age| {
        let mut machine = Machine::new(Stamping::Hardware);
        machine.server.sync_age = Some(age);
        machine.seconds(1).quality
    };
    assert_eq!(first(Nanos::from_millis(900)), ClockQuality::PtpLocked);
    assert_eq!(first(Nanos::from_secs(3)), ClockQuality::Ntp);
    assert_eq!(first(Nanos(-1)), ClockQuality::Ntp, "the clock was set since");
}

#[test]
fn a_card_whose_clock_is_not_there_yet_is_not_locked() {
    let mut machine = Machine::new(Stamping::Hardware);
    machine.told().ports[0].state = PortState::Uncalibrated;
    let verdict = machine.seconds(5);
    assert_eq!((verdict.quality, verdict.follows[0]), (ClockQuality::Ntp, Follow::Settling));
}

#[test]
fn a_system_clock_that_ptp4l_has_not_measured_yet_is_not_locked() {
    let mut machine = Machine::new(Stamping::Software);
    machine.told().path_delay = Nanos::ZERO;
    let verdict = machine.seconds(5);
    assert_eq!((verdict.quality, verdict.follows[0]), (ClockQuality::Ntp, Follow::Settling));
    assert_eq!(verdict.system_offset, None, "nothing is claimed of it");
    let offset = Nanos::from_millis(-825);
    (machine.told().path_delay, machine.told().offset) = (Nanos(5_000), offset);
    let verdict = machine.seconds(1);
    assert_eq!((verdict.quality, verdict.system_offset), (ClockQuality::Ntp, Some(offset)));
}

#[test]
fn nobody_is_locked_to_a_grandmaster_that_is_gone() {
    for stamping in [Stamping::Hardware, Stamping::Software] {
        let mut machine = Machine::locked(stamping);
        machine.grandmaster_goes();
        let verdict = machine.seconds(1);
        assert_eq!(machine.told().grandmaster.clock, FIRST, "ptp4l names it still");
        assert_eq!(verdict.quality, ClockQuality::PtpFreeRunning);
        assert_eq!(verdict.follows, [Follow::NoGrandmaster]);
        assert_eq!(verdict.unlocked_for, Some(Nanos::from_secs(1)));
        assert_eq!(machine.standing(), [AlarmKind::GrandmasterGone]);
        // For an hour it is free-running, then it is what NTP makes of it.
        let verdict = machine.seconds(3_599);
        assert_eq!(
            (verdict.quality, verdict.unlocked_for),
            (ClockQuality::PtpFreeRunning, Some(Nanos::from_secs(3_600)))
        );
        assert_eq!(machine.seconds(1).quality, ClockQuality::Ntp);
        machine.synchronised = None;
        assert_eq!(machine.seconds(1).quality, ClockQuality::None);
    }
}

#[test]
fn a_grandmaster_that_comes_back_ends_the_alarm() {
    let mut machine = Machine::locked(Stamping::Hardware);
    machine.grandmaster_goes();
    machine.seconds(10);
    let told = machine.told();
    (told.ports[0].state, told.ingress) = (PortState::Slave, 5);
    machine.syncs = true;
    assert_eq!(machine.seconds(2).quality, ClockQuality::PtpLocked);
    assert_eq!(machine.standing(), []);
    let [Change::Began(began), Change::Ended(ended)] = &machine.changes[..] else {
        panic!("{:?}", machine.changes)
    };
    assert_eq!((began.kind, ended.kind), (AlarmKind::GrandmasterGone, AlarmKind::GrandmasterGone));
    assert_eq!(ended.ended.unwrap() - began.began, Nanos::from_secs(11));
    assert_eq!(machine.judge.alarms(), std::slice::from_ref(ended), "it is remembered");
}

#[test]
fn syncs_that_stop_while_announcements_come_are_no_lock() {
    let mut machine = Machine::locked(Stamping::Hardware);
    machine.syncs = false;
    assert_eq!(machine.seconds(6).quality, ClockQuality::PtpLocked);
    let verdict = machine.seconds(1);
    assert_eq!((verdict.quality, verdict.follows[0]), (ClockQuality::PtpFreeRunning, Follow::SyncStopped));
    assert_eq!(machine.standing(), [AlarmKind::SyncStopped]);
}

#[test]
fn a_ptp4l_that_falls_silent_is_no_lock() {
    let mut machine = Machine::locked(Stamping::Hardware);
    machine.server.told = None;
    assert_eq!(machine.seconds(3).quality, ClockQuality::PtpLocked, "one answer may be late");
    let verdict = machine.seconds(1);
    assert_eq!((verdict.quality, verdict.follows[0]), (ClockQuality::PtpFreeRunning, Follow::Absent));
    assert_eq!(machine.standing(), [AlarmKind::PtpSilent, AlarmKind::GrandmasterGone]);
}

#[test]
fn another_grandmaster_is_told_for_a_while() {
    let mut machine = Machine::locked(Stamping::Software);
    machine.told().grandmaster.clock = SECOND;
    assert_eq!(machine.seconds(1).quality, ClockQuality::PtpLocked);
    assert_eq!(machine.standing(), [AlarmKind::GrandmasterChanged]);
    let text = &machine.judge.alarms()[0].text;
    assert!(text.contains("B0-00-00-FF-FE-00-00-02 has taken over from A2-00-00-FF-FE-00-00-01"), "{text}");
    machine.seconds(600);
    assert_eq!(machine.standing(), []);
}

#[test]
fn a_clock_that_names_itself_follows_nobody() {
    let mut machine = Machine::locked(Stamping::Software);
    machine.told().grandmaster.clock = ClockIdentity([1; 8]);
    assert_eq!(machine.seconds(1).follows, [Follow::NoGrandmaster]);
}

#[test]
fn a_source_of_another_grandmaster_or_domain_is_told() {
    let mut machine = Machine::locked(Stamping::Hardware);
    let reference = |text: &str| RefClock::parse(&format!("ptp=IEEE1588-2008:{text}")).unwrap();
    machine.references = vec![
        ("same".into(), reference("A2-00-00-FF-FE-00-00-01:0")),
        ("any-domain".into(), reference("A2-00-00-FF-FE-00-00-01")),
    ];
    machine.seconds(1);
    assert_eq!(machine.standing(), []);
    machine.references.push(("other".into(), reference("B0-00-00-FF-FE-00-00-02:0")));
    machine.references.push(("other-domain".into(), reference("A2-00-00-FF-FE-00-00-01:5")));
    machine.seconds(1);
    let subjects: Vec<_> = machine.judge.alarms().iter().map(|alarm| alarm.subject.as_str()).collect();
    assert_eq!(machine.standing(), [AlarmKind::GrandmasterDiffers, AlarmKind::GrandmasterDiffers]);
    assert!(subjects.contains(&"other") && subjects.contains(&"other-domain"), "{subjects:?}");
    machine.references.truncate(2);
    machine.seconds(1);
    assert_eq!(machine.standing(), []);
}

#[test]
fn a_tai_offset_that_nobody_told_is_never_made_up() {
    let mut machine = Machine::new(Stamping::Hardware);
    machine.kernel = None;
    machine.told().time.utc_valid = false;
    let verdict = machine.seconds(3);
    assert_eq!((verdict.quality, verdict.tai_offset), (ClockQuality::Ntp, None));
    assert_eq!(machine.standing(), [AlarmKind::TaiUnset]);
    // PTP tells it; the kernel still doesn't know.
    machine.told().time.utc_valid = true;
    let verdict = machine.seconds(1);
    assert_eq!((verdict.quality, verdict.tai_offset), (ClockQuality::PtpLocked, Some((37, TaiSource::Ptp))));
    assert_eq!(machine.standing(), [AlarmKind::TaiUnset]);
    // What PTP told is held when it is gone.
    machine.grandmaster_goes();
    assert_eq!(machine.seconds(1).tai_offset, Some((37, TaiSource::Held)));
    machine.kernel = Some(37);
    assert_eq!(machine.seconds(1).tai_offset, Some((37, TaiSource::Kernel)));
    // A kernel that says 0, or 2, was told by nobody who knew.
    machine.kernel = Some(2);
    assert_eq!(machine.seconds(1).tai_offset, Some((37, TaiSource::Held)));
}

#[test]
fn what_a_person_says_of_tai_counts_where_nobody_else_tells_it() {
    let mut machine = Machine::new(Stamping::Hardware);
    machine.judge = Judge::new(Limits { tai_offset: Some(36), ..LIMITS });
    machine.kernel = None;
    machine.told().time.utc_valid = false;
    assert_eq!(machine.seconds(1).tai_offset, Some((36, TaiSource::Configured)));
    assert_eq!(machine.standing(), []);
    machine.kernel = Some(37);
    assert_eq!(machine.seconds(1).tai_offset, Some((37, TaiSource::Kernel)));
}

#[test]
fn of_two_tai_offsets_the_one_that_fits_is_used() {
    let mut machine = Machine::locked(Stamping::Hardware);
    machine.told().time.utc_offset = 36;
    let verdict = machine.seconds(5);
    assert_eq!(
        (verdict.quality, verdict.tai_offset),
        (ClockQuality::PtpLocked, Some((37, TaiSource::Kernel)))
    );
    assert_eq!(machine.standing(), [AlarmKind::TaiDiffers]);
    // A system clock that was led by the wrong offset is right with it.
    machine.server.phc =
        Some(PhcTold::Read { minus_utc: Nanos::from_secs(36), minus_mono: Nanos::from_secs(1_000_037) });
    let verdict = machine.seconds(1);
    assert_eq!((verdict.quality, verdict.tai_offset), (ClockQuality::PtpLocked, Some((36, TaiSource::Ptp))));
}

#[test]
fn a_time_that_began_anywhere_locks_nothing() {
    let mut machine = Machine::new(Stamping::Hardware);
    machine.told().time.ptp_timescale = false;
    let verdict = machine.seconds(3);
    assert_eq!((verdict.quality, verdict.follows[0]), (ClockQuality::Ntp, Follow::Following));
    assert_eq!((verdict.tai_offset, verdict.system_offset), (Some((37, TaiSource::Kernel)), None));
    assert_eq!(machine.standing(), [AlarmKind::TimescaleArbitrary]);
}

#[test]
fn a_system_clock_astray_is_no_lock_though_the_card_follows() {
    let mut machine = Machine::locked(Stamping::Hardware);
    let astray = |millis| {
        Some(PhcTold::Read {
            minus_utc: Nanos::from_secs(37) - Nanos::from_millis(millis),
            minus_mono: Nanos::from_secs(1_000_037),
        })
    };
    // One bad measurement is none.
    machine.server.phc = astray(5);
    assert_eq!(machine.seconds(2).quality, ClockQuality::PtpLocked);
    machine.server.phc = astray(0);
    assert_eq!(machine.seconds(1).quality, ClockQuality::PtpLocked);
    machine.server.phc = astray(5);
    let verdict = machine.seconds(4);
    assert_eq!(
        (verdict.quality, verdict.system_offset),
        (ClockQuality::PtpFreeRunning, Some(Nanos::from_millis(5)))
    );
    assert_eq!(machine.standing(), [AlarmKind::OffsetLarge]);
    assert!(machine.judge.alarms()[0].text.contains("0.005000 s ahead of"));
    machine.server.phc = astray(0);
    assert_eq!(machine.seconds(1).quality, ClockQuality::PtpLocked);
    assert_eq!(machine.standing(), []);
}

#[test]
fn a_card_clock_that_vanishes_is_told_and_ends_the_lock() {
    let mut machine = Machine::locked(Stamping::Hardware);
    machine.server.phc = Some(PhcTold::Unreadable("No such device".into()));
    let verdict = machine.seconds(1);
    assert_eq!((verdict.quality, verdict.system_offset), (ClockQuality::PtpFreeRunning, None));
    assert_eq!(machine.standing(), [AlarmKind::PhcGone]);
    // Nothing is known of a clock that is there and not read at all.
    machine.server.phc = None;
    assert_eq!(machine.seconds(1).quality, ClockQuality::PtpFreeRunning);
    assert_eq!(machine.standing(), []);
}

#[test]
fn a_card_clock_that_steps_is_told_and_ends_the_lock_at_once() {
    let mut machine = Machine::locked(Stamping::Hardware);
    let at = |micros| {
        Some(PhcTold::Read {
            minus_utc: Nanos::from_secs(37) + Nanos::from_micros(micros),
            minus_mono: Nanos::from_secs(1_000_037) + Nanos::from_micros(micros),
        })
    };
    // A second at 400 ppm is no step.
    machine.server.phc = at(400);
    assert_eq!(machine.seconds(1).quality, ClockQuality::PtpLocked);
    assert_eq!(machine.standing(), []);
    machine.server.phc = at(-1_000_000);
    assert_eq!(machine.seconds(1).quality, ClockQuality::PtpFreeRunning);
    assert_eq!(machine.standing(), [AlarmKind::PhcStepped]);
    assert!(machine.judge.alarms()[0].text.contains("set by -1.000400 s"), "{:?}", machine.judge.alarms());
    // Led back, it is a step as well, and then a lock again.
    machine.server.phc = at(0);
    machine.seconds(1);
    assert_eq!(machine.seconds(1).quality, ClockQuality::PtpLocked);
    // Each step is an alarm of its own, for the log as well; the last one stands.
    let told: Vec<_> = machine
        .changes
        .iter()
        .map(|change| match change {
            Change::Began(alarm) => {
                (true, alarm.text.contains("set by -1.000400 s"), alarm.text.contains("set by +1.000000 s"))
            }
            Change::Ended(alarm) => {
                (false, alarm.text.contains("set by -1.000400 s"), alarm.text.contains("set by +1.000000 s"))
            }
        })
        .collect();
    assert_eq!(told, [(true, true, false), (false, true, false), (true, false, true)]);
    assert_eq!(machine.standing(), [AlarmKind::PhcStepped]);
    machine.seconds(600);
    assert_eq!(machine.standing(), []);
}

#[test]
fn of_two_networks_the_one_that_the_system_clock_agrees_with_is_judged_by() {
    let machine = Machine::new(Stamping::Software);
    let mut astray = machine.server.clone();
    "eth0".clone_into(&mut astray.name);
    astray.told.as_mut().unwrap().offset = Nanos::from_secs(-1_000_000);
    let mut right = machine.server.clone();
    "eth1".clone_into(&mut right.name);
    let mut judge = Judge::new(LIMITS);
    let mut servers = [astray, right];
    let mut verdict = Verdict::default();
    for second in 0..5 {
        for server in &mut servers {
            server.told.as_mut().unwrap().ingress += 1;
        }
        let round = Round {
            at: Timestamp::from_nanos(second * 1_000_000_000),
            utc: Timestamp::ZERO,
            servers: &servers,
            kernel_tai_offset: Some(37),
            synchronised: None,
            references: &[],
        };
        verdict = judge.hear(&round).0;
    }
    assert_eq!((verdict.quality, verdict.chosen), (ClockQuality::PtpLocked, Some(1)));
}

#[test]
fn without_ptp_it_is_what_the_kernel_says() {
    let mut judge = Judge::new(LIMITS);
    let mut round = Round {
        at: Timestamp::ZERO,
        utc: Timestamp::ZERO,
        servers: &[],
        kernel_tai_offset: Some(37),
        synchronised: Some(true),
        references: &[],
    };
    assert_eq!(judge.hear(&round).0.quality, ClockQuality::Ntp);
    for unknown in [Some(false), None] {
        round.synchronised = unknown;
        assert_eq!(judge.hear(&round).0.quality, ClockQuality::None);
    }
    assert_eq!(judge.alarms(), []);
}
