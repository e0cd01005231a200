//! Rounds with a stand-in for ptp4l: what is told to workers and shown, and what becomes of it when the stand-in changes.

use audyn_api::{ClockAlarmKind, PtpState};
use audyn_wire::ptp::{ClockIdentity, PortState};

use super::fake::{FakePtp, GRANDMASTER, Habits, following};
use super::*;

struct Watch {
    rounds: Rounds,
    shared: Arc<Shared>,
    clock: Arc<ClockShared>,
    ptp: Option<FakePtp>,
    _place: tempfile::TempDir,
}

impl Watch {
    fn new(configure: impl FnOnce(&mut ClockConfig)) -> Self {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("ptp4lro");
        let socket = Some(path.display().to_string());
        let mut config = ClockConfig { socket, domain: Some(0), ..ClockConfig::default() };
        configure(&mut config);
        let (shared, clock) = (Arc::new(Shared::default()), Arc::new(ClockShared::default()));
        let rounds = Rounds::new(config, None, Arc::clone(&shared), Arc::clone(&clock));
        let ptp = Some(FakePtp::start(&path, following(0), Habits::default()));
        Self { rounds, shared, clock, ptp, _place: place }
    }

    fn turn(&mut self) -> ClockSnapshot {
        if let Some(ptp) = &self.ptp {
            let mut told = ptp.told.lock().unwrap();
            if told.ingress != 0 {
                told.ingress = clock::utc_now().as_nanos() - 1_000;
            }
        }
        self.rounds.turn(Duration::from_secs(20));
        lock(&self.shared.told).clone()
    }

    fn change(&self, change: impl FnOnce(&mut PtpTold)) {
        change(&mut self.ptp.as_ref().unwrap().told.lock().unwrap());
    }
}

fn standing(snapshot: &ClockSnapshot) -> Vec<ClockAlarmKind> {
    let standing = snapshot.alarms.iter().filter(|alarm| alarm.ended.is_none());
    // What this machine's kernel knows of TAI is not of this test.
    standing.map(|alarm| alarm.kind).filter(|&kind| kind != ClockAlarmKind::TaiUnset).collect()
}

#[test]
fn a_grandmaster_is_followed_then_gone_then_another() {
    let mut watch = Watch::new(|_| {});
    let seen = watch.turn();
    assert_eq!((seen.quality, seen.tai_offset), (ClockQuality::PtpLocked, Some(37)));
    assert_eq!((watch.clock.quality(), watch.clock.tai_offset()), (ClockQuality::PtpLocked, Some(37)));
    let [ptp] = &seen.ptp[..] else { panic!("{seen:?}") };
    assert_eq!((ptp.name.as_str(), ptp.state), ("eth9", PtpState::Following));
    assert_eq!(ptp.grandmaster, Some(GRANDMASTER.to_string()));
    assert_eq!((ptp.port_state.as_deref(), ptp.stamps), (Some("UNCALIBRATED"), StampKind::Software));
    assert_eq!(standing(&seen), []);

    watch.change(|told| (told.ports[0].state, told.ingress) = (PortState::Listening, 0));
    let seen = watch.turn();
    assert_eq!(seen.quality, ClockQuality::PtpFreeRunning);
    assert_eq!((seen.ptp[0].state, &seen.ptp[0].grandmaster), (PtpState::NoGrandmaster, &None));
    assert_eq!(standing(&seen), [ClockAlarmKind::GrandmasterGone]);
    assert_eq!(watch.clock.quality(), ClockQuality::PtpFreeRunning);

    watch.change(|told| {
        (told.ports[0].state, told.ingress) = (PortState::Uncalibrated, 1);
        told.grandmaster.clock = ClockIdentity([7; 8]);
    });
    let seen = watch.turn();
    assert_eq!(seen.quality, ClockQuality::PtpLocked);
    assert_eq!(standing(&seen), [ClockAlarmKind::GrandmasterChanged]);
}

#[test]
fn a_source_of_another_clock_is_told() {
    let mut watch = Watch::new(|_| {});
    let reference = RefClock { grandmaster: ClockIdentity([7; 8]), domain: None };
    *lock(&watch.shared.references) = vec![("desk".to_owned(), reference)];
    let seen = watch.turn();
    assert_eq!(standing(&seen), [ClockAlarmKind::GrandmasterDiffers]);
    assert_eq!(
        seen.alarms.iter().find(|alarm| alarm.subject == "desk").unwrap().kind,
        ClockAlarmKind::GrandmasterDiffers
    );
}

#[test]
fn a_port_that_was_not_asked_for_is_not_judged_by() {
    let mut watch = Watch::new(|config| config.interface = Some("eth0".to_owned()));
    let seen = watch.turn();
    assert_eq!(seen.ptp, []);
    assert_ne!(seen.quality, ClockQuality::PtpLocked);
    let mut watch = Watch::new(|config| config.ptp = PtpChoice::Off);
    assert_eq!(watch.turn().ptp, []);
}

#[test]
fn a_named_device_that_is_not_there_is_told() {
    let mut watch = Watch::new(|config| config.device = Some("/dev/ptp77".to_owned()));
    let seen = watch.turn();
    assert_eq!(standing(&seen), [ClockAlarmKind::PhcGone]);
    assert!(seen.ptp.iter().any(|ptp| ptp.name == "/dev/ptp77"), "{seen:?}");
    // ptp4l stamps by the system clock, so that is judged all the same.
    assert_eq!(seen.quality, ClockQuality::PtpLocked);
}

#[test]
fn the_thread_ends_with_its_handle() {
    let config = ClockConfig { ptp: PtpChoice::Off, ..ClockConfig::default() };
    let keeper = Keeper::start(config, None, Arc::default()).unwrap();
    assert_eq!(keeper.snapshot().ptp, []);
    assert!(keeper.card_of("lo").is_none());
    drop(keeper);
}
