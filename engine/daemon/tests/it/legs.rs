//! A flow on two legs, through sockets, rings and one worker.

use audyn_api::{LegConfig, LegState, SourceConfig};
use audyn_units::SkewClass;

use crate::common::*;

fn two_legs(first: std::net::SocketAddr, second: std::net::SocketAddr, interface: &str) -> SourceConfig {
    SourceConfig {
        second_leg: Some(Box::new(LegConfig {
            address: second.ip(),
            port: second.port(),
            interface: Some(interface.to_owned()),
            source_filter: None,
        })),
        skew: SkewClass::B,
        ..source("air", first)
    }
}

#[test]
fn legs_take_turns_and_each_has_its_counters() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (address(61), address(62));
    let source = two_legs(first, second, "lo");
    let mut engine = engine(dir.path());
    engine.configure(vec![recorder("a", &source, dir.path())], std::slice::from_ref(&source));
    engine.record("a", None).unwrap();
    // One sender: what goes to one group does not go to the other.
    let mut stream = Stream::new(1, first);
    for turn in 0..100 {
        stream.to = if turn % 2 == 0 { first } else { second };
        stream.send(5);
    }
    until_written(&mut engine, "a", 500 * 48);
    let legs = engine.snapshot().flows.remove(0).legs;
    let counts: Vec<_> = legs.iter().map(|leg| (leg.counters.received, leg.counters.used)).collect();
    assert_eq!(counts, [(250, 250), (250, 250)], "{legs:?}");
    assert_eq!(legs[1].address, second.to_string());
    assert_eq!(legs[1].sender, Some("127.0.0.1".parse().unwrap()));
    assert!(legs.iter().all(|leg| leg.receive_buffer_bytes > 0));
    stop(&mut engine, "a");
    assert!(samples(&recordings(&dir.path().join("a"))[0]) == signal(1, 0, 500 * 48));
}

#[test]
fn a_leg_that_cannot_be_opened_says_why_and_the_other_records() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (address(63), address(64));
    let source = two_legs(first, second, "nope0");
    let mut engine = engine(dir.path());
    engine.configure(vec![recorder("a", &source, dir.path())], std::slice::from_ref(&source));
    engine.record("a", None).unwrap();
    let mut stream = Stream::new(2, first);
    stream.send(10);
    until_written(&mut engine, "a", 480);
    stream.send(10);
    let mut seen = engine.snapshot();
    until("the complaint", || {
        stream.send(1);
        seen = engine.snapshot();
        !seen.recorders[0].errors.is_empty()
    });
    let legs = &seen.flows[0].legs;
    assert_eq!(legs[1].state, LegState::Failed);
    assert!(legs[1].error.as_ref().is_some_and(|error| error.contains("nope0")), "{legs:?}");
    let said = &seen.recorders[0].errors[0];
    assert!(
        said.starts_with(&format!("only {first} protects the recording")) && said.contains("nope0"),
        "{said}"
    );
    assert_eq!(seen.recorders[0].state, audyn_api::RecorderState::Recording);
    stop(&mut engine, "a");
}

#[test]
fn the_statistics_of_a_leg_that_never_came_stand_in_its_place_and_count_what_it_misses() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (address(65), address(66));
    let source = two_legs(first, second, "lo");
    let mut engine = engine(dir.path());
    engine.configure(vec![recorder("a", &source, dir.path())], std::slice::from_ref(&source));
    engine.record("a", None).unwrap();
    let mut stream = Stream::new(3, second);
    stream.send(10);
    until_written(&mut engine, "a", 480);
    let mut seen = engine.snapshot();
    until("what the first leg misses", || {
        stream.send(5);
        seen = engine.snapshot();
        seen.flows[0].statistics.first().is_some_and(|leg| leg.since_start.lost > 0)
    });
    let flow = &seen.flows[0];
    let told: Vec<_> = flow
        .statistics
        .iter()
        .map(|leg| (leg.ssrc.is_some(), leg.since_start.packets > 0, leg.since_start.lost > 0))
        .collect();
    assert_eq!(told, [(false, false, true), (true, true, false)], "{:?}", flow.statistics);
    assert!(flow.legs[0].counters.lost >= flow.statistics[0].since_start.lost, "{:?}", flow.legs);
    assert_eq!((flow.legs[0].state, flow.legs[1].counters.lost), (LegState::Waiting, 0));
    stop(&mut engine, "a");
}
