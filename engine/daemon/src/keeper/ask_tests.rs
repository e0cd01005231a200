//! Questions and answers, over a real socket, with a stand-in for ptp4l.

use std::sync::atomic::Ordering::Relaxed;

use audyn_core::judge::PortTold;
use audyn_wire::ptp::{PortState, Stamping};

use super::super::fake::{FakePtp, Habits, following};
use super::*;

/// More than any answer takes; only a failing test waits for it.
const LONG: Duration = Duration::from_secs(20);

fn place() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("ptp4lro");
    (place, path)
}

/// Rounds until the domain is found: 16 try them all, and a busy machine may need more than one go.
fn ask_until_found(client: &mut PtpClient) -> PtpTold {
    (0..400).find_map(|_| client.ask(LONG)).expect("every domain is tried")
}

#[test]
fn everything_is_asked_and_every_port_is_heard() {
    let (_place, path) = place();
    let mut told = following(0);
    told.ports.push(PortTold {
        number: 2,
        state: PortState::Listening,
        stamping: Some(Stamping::Hardware),
        interface: "eth10".to_owned(),
    });
    (told.offset, told.path_delay) = (audyn_units::Nanos(-5), audyn_units::Nanos(2_000));
    let _ptp = FakePtp::start(&path, told.clone(), Habits::default());
    let mut client = PtpClient::new(path, Some(0));
    assert_eq!(client.ask(LONG), Some(told));
}

#[test]
fn a_domain_that_nobody_told_is_found_out_and_kept() {
    for domain in [0, 127, 1, 6, 7, 126] {
        let (_place, path) = place();
        let ptp = FakePtp::start(&path, following(domain), Habits::default());
        let mut client = PtpClient::new(path, None);
        assert_eq!(ask_until_found(&mut client).domain, domain);
        // Known from here on: the very next question is answered.
        assert!(client.ask(LONG).is_some(), "{domain}");
        // Another ptp4l may come with another one.
        ptp.told.lock().unwrap().domain = 3;
        assert_eq!(client.ask(Duration::from_millis(50)), None);
        assert_eq!(ask_until_found(&mut client).domain, 3);
    }
}

#[test]
fn an_answer_that_is_missed_does_not_make_the_domain_unknown() {
    let (_place, path) = place();
    // The last that a search would try.
    let ptp = FakePtp::start(&path, following(126), Habits::default());
    let mut client = PtpClient::new(path, None);
    ask_until_found(&mut client);
    for _ in 0..2 {
        ptp.habits.mute.store(true, Relaxed);
        assert_eq!(client.ask(Duration::from_millis(30)), None, "it is kept waiting");
        ptp.habits.mute.store(false, Relaxed);
        assert!(client.ask(LONG).is_some(), "the very next question is answered");
    }
}

#[test]
fn a_domain_that_is_configured_is_the_only_one() {
    let (_place, path) = place();
    let _ptp = FakePtp::start(&path, following(3), Habits::default());
    let mut client = PtpClient::new(path, Some(4));
    assert!((0..3).all(|_| client.ask(Duration::from_millis(30)).is_none()));
}

#[test]
fn rubbish_and_answers_to_others_are_passed_over() {
    let (_place, path) = place();
    let habits = Habits { babbles: true, ..Habits::default() };
    let _ptp = FakePtp::start(&path, following(0), habits);
    assert_eq!(PtpClient::new(path, Some(0)).ask(LONG), Some(following(0)));
}

#[test]
fn a_ptp4l_that_ends_and_comes_again_is_asked_again() {
    let (_place, path) = place();
    let mut client = PtpClient::new(path.clone(), None);
    assert_eq!(client.ask(LONG), None, "nobody is there yet");
    let first = FakePtp::start(&path, following(0), Habits::default());
    ask_until_found(&mut client);
    first.habits.mute.store(true, Relaxed);
    assert_eq!(client.ask(Duration::from_millis(30)), None, "it hangs");
    drop(first);
    assert_eq!(client.ask(LONG), None, "it has gone");
    let _second = FakePtp::start(&path, following(127), Habits::default());
    assert_eq!(ask_until_found(&mut client).domain, 127);
}

#[test]
fn another_ptp_than_linuxptp_is_not_taken_for_one_that_follows() {
    let (_place, path) = place();
    let habits = Habits { foreign: true, ..Habits::default() };
    let _ptp = FakePtp::start(&path, following(0), habits);
    let told = PtpClient::new(path, Some(0)).ask(LONG).unwrap();
    assert_eq!((told.ingress, told.ports[0].stamping), (0, None), "without these the judge sees no sync");
}
