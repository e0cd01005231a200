//! Two legs of one flow (ST 2022-7): what comes on either stands in the file, once, in its place.

#[path = "support/outcome.rs"]
mod outcome;
mod support;

use audyn_core::flow::{FlowEvent, GapCause, Leg, LegState};
use audyn_core::sender::PauseKind;
use audyn_sim::{LegFaults, LegScenario, Path, Protection, Stream};
use audyn_units::{FrameCount, FrameIndex, Nanos, RtpTime, SeqNo, SkewClass, Ssrc};

use outcome::{Outcome, check, end, first};

const SEEDS: u64 = 150;

fn played(scenario: &LegScenario) -> Outcome {
    let out = end(scenario.world());
    check(scenario, &out);
    out
}

#[test]
fn half_of_the_packets_on_each_leg_are_the_whole() {
    for seed in 0..4 {
        let mut legs = Protection::whole(SkewClass::A);
        legs.faults.iter_mut().for_each(|leg| leg.loss = 500);
        let mut scenario = LegScenario::plain(20, legs);
        scenario.base.config.seed = seed;
        let out = played(&scenario);
        assert_eq!(out.counters.gaps, 0);
        assert_eq!(out.tape.written().0, 20 * 48_000 - first(&scenario, &out).0);
        for leg in &out.legs {
            assert!((9_500..10_500).contains(&leg.counters.used), "{leg:?}");
            assert!((9_500..10_500).contains(&leg.counters.lost), "{leg:?}");
            assert_eq!((leg.counters.late, leg.counters.foreign, leg.counters.duplicated), (0, 0, 0));
        }
    }
}

#[test]
fn one_leg_dead_for_ten_seconds_and_then_the_other() {
    for (class, delay) in [(SkewClass::A, 0), (SkewClass::A, 10), (SkewClass::B, 50), (SkewClass::C, 450)] {
        for later in [0, 1] {
            let mut legs = Protection::whole(class);
            legs.delay[later] = Nanos::from_millis(delay);
            // Not a packet between: where one dies the other returns.
            legs.faults[0].cuts = vec![(Nanos::from_secs(3), Nanos::from_secs(13))];
            legs.faults[1].cuts = vec![(Nanos::from_secs(13), Nanos::from_secs(23))];
            let scenario = LegScenario::plain(26, legs);
            let out = played(&scenario);
            assert_eq!((out.counters.gaps, out.counters.late), (0, 0), "{class} {delay} {later}");
            assert_eq!(out.legs.map(|leg| leg.counters.lost), [10_000, 10_000]);
        }
    }
}

/// A leg that dies, or never came, has missed what the other one brought, and nobody needs to wait for its return to know.
#[test]
fn a_dead_leg_counts_what_it_misses() {
    let secs = Nanos::from_secs;
    for (class, delay) in [(SkewClass::A, 0), (SkewClass::A, 10), (SkewClass::C, 450)] {
        for dead in [0, 1] {
            for (from, until, lost) in [
                // To the end: all but what the other's window holds, which might still come.
                (3, 20, 17_000),
                (0, 20, 20_000),
                // Back again: all of it, to the packet.
                (3, 13, 10_000),
            ] {
                let mut legs = Protection::whole(class);
                legs.delay[1] = Nanos::from_millis(delay);
                legs.faults[dead].cuts = vec![(secs(from), secs(until))];
                let out = played(&LegScenario::plain(20, legs));
                let what = format!("{class} {delay} ms, leg {dead} from {from} to {until}");
                assert_eq!((out.counters.gaps, out.legs[1 - dead].counters.lost), (0, 0), "{what}");
                let told = out.legs[dead].counters.lost;
                let open = if until == 20 { 1_200 } else { 0 };
                assert!((lost - open..=lost).contains(&told), "{what}: {told}");
            }
        }
    }
}

#[test]
fn a_leg_that_lags_further_than_its_class_bears_has_lost_nothing() {
    let mut legs = Protection::whole(SkewClass::A);
    legs.delay[1] = Nanos::from_millis(450);
    let out = end(LegScenario::plain(10, legs).world());
    assert_eq!(out.legs.map(|leg| leg.counters.lost), [0, 0], "{:?}", out.legs);
    assert!(out.legs[1].counters.late > 9_000);
}

#[test]
fn both_legs_dead_is_one_gap_and_exact() {
    let mut legs = Protection::whole(SkewClass::B);
    legs.delay[1] = Nanos::from_millis(40);
    let dead = (Nanos::from_secs(3), Nanos::from_secs(13));
    legs.faults.iter_mut().for_each(|leg| leg.cuts = vec![dead]);
    let scenario = LegScenario::plain(20, legs);
    let out = played(&scenario);
    assert_eq!(out.tape.gaps().len(), 1);
    let gap = out.tape.gaps()[0];
    assert_eq!((gap.frames.0, gap.cause, gap.estimated), (480_000, GapCause::Outage, false));
}

#[test]
fn a_skew_is_borne_by_its_class_and_late_in_a_lower_one() {
    for (class, delay, borne) in [
        (SkewClass::A, 10, true),
        (SkewClass::A, 50, false),
        (SkewClass::B, 50, true),
        (SkewClass::B, 450, false),
        (SkewClass::C, 450, true),
        (SkewClass::A, 450, false),
    ] {
        for later in [0, 1] {
            let mut legs = Protection::whole(class);
            legs.delay[later] = Nanos::from_millis(delay);
            legs.faults.iter_mut().for_each(|leg| leg.loss = 100);
            let scenario = LegScenario::plain(20, legs);
            let out = end(scenario.world());
            let leg = out.legs[later];
            if borne {
                check(&scenario, &out);
                assert_eq!((out.counters.gaps, leg.counters.late), (0, 0));
                // What was lost at the very start comes on the later leg, before the first frame's place.
                assert!(out.counters.late * 48 <= first(&scenario, &out).0, "{:?}", out.counters);
                let behind = leg.behind.0 / 1_000_000;
                assert!((delay - 1..=delay + 1).contains(&behind), "{behind} ms of {delay}");
            } else {
                // All of it comes too late, and what the earlier leg lost is missing: counted, not foreign.
                assert!(out.counters.gaps > 1_000, "{class} {delay}: {:?}", out.counters);
                assert!(out.counters.late > 1_500, "{class} {delay}: {:?}", out.counters);
                assert!(leg.counters.late > 17_500, "{class} {delay}: {leg:?}");
                assert_eq!(leg.counters.foreign, 0);
            }
            assert_eq!(out.tape.offsets().len(), 1);
        }
    }
}

#[test]
fn a_leg_may_be_absent_at_the_start_and_have_an_ssrc_of_its_own() {
    for absent in [0, 1] {
        let mut legs = Protection::whole(SkewClass::A);
        legs.second_ssrc = Some(Ssrc(77));
        legs.faults[absent].cuts = vec![(Nanos::ZERO, Nanos::from_secs(3))];
        legs.faults[1 - absent].cuts = vec![(Nanos::from_secs(5), Nanos::from_secs(9))];
        let scenario = LegScenario::plain(10, legs);
        let out = played(&scenario);
        assert_eq!((out.counters.gaps, out.counters.ssrc_changes), (0, 0));
        assert_eq!(out.legs[1].ssrc, Some(Ssrc(77)));
        assert_eq!(out.legs[0].ssrc, Some(scenario.base.config.ssrc));
    }
}

/// A stranger on the second leg, whose own packets never come: every way in which its counters may lie to the flow's.
#[test]
fn a_leg_with_another_stream_is_told_and_never_heard() {
    for (what, same_ssrc, same_clock, same_sequence) in [
        ("all its own", false, false, false),
        ("one SSRC for all senders", true, false, false),
        ("one device, one media clock", false, true, false),
        ("one device, one media clock, one SSRC", true, true, false),
        ("sequence numbers that began together", false, true, true),
        ("only the audio differs", true, true, true),
    ] {
        let mut legs = Protection::whole(SkewClass::B);
        // The first leg is dead for a while: the stranger must not step in.
        legs.faults[0].cuts = vec![(Nanos::from_secs(5), Nanos::from_secs(8))];
        legs.faults[1].cuts = vec![(Nanos::ZERO, Nanos::from_secs(100))];
        let scenario = LegScenario::plain(12, legs);
        let mut world = scenario.world();
        let mut config = scenario.base.config.clone();
        config.ssrc = if same_ssrc { config.ssrc } else { Ssrc(99) };
        if !same_clock {
            config.first_timestamp = RtpTime(config.first_timestamp.0 ^ 0x2345_6789);
        }
        if !same_sequence {
            config.first_sequence = SeqNo(config.first_sequence.0 ^ 0x5a5a);
        }
        let stream = Stream { number: scenario.base.stream.number + 1, first: FrameIndex(0) };
        let path = Path { start: scenario.base.path.start + Nanos::from_millis(1), ..scenario.base.path };
        world.add_stranger_on(Leg::Second, config, stream, path).unwrap();
        world.run_until(scenario.start() + Nanos::from_secs(2));
        assert_eq!(world.leg(Leg::Second).state, LegState::Differs, "{what}");
        let out = end(world);
        let told =
            out.tape.events().iter().filter(|e| matches!(e, FlowEvent::LegsDiffer(Leg::Second))).count();
        assert_eq!(told, 1, "{what}");
        assert_eq!(out.tape.gaps().len(), 1, "{what}: {:?}", out.tape.gaps());
        assert_eq!(out.tape.gaps()[0].frames, FrameCount(3 * 48_000), "{what}");
        assert_eq!(out.tape.offsets().len(), 1, "{what}");
        assert!(out.legs[1].counters.foreign > 11_000, "{what}: {:?}", out.legs[1]);
        assert_eq!(out.legs[0].counters.foreign, 0, "{what}");
        assert_eq!(out.legs[1].counters.lost, 0, "{what}: what comes is foreign");
    }
}

/// One leg is plugged into another stream for a while, and back.
#[test]
fn a_leg_that_is_swapped_takes_nothing_with_it() {
    for swapped in Leg::ALL {
        for same_ssrc in [false, true] {
            let mut legs = Protection::whole(SkewClass::A);
            legs.faults[swapped.index()].cuts = vec![(Nanos::from_secs(3), Nanos::from_secs(6))];
            let scenario = LegScenario::plain(10, legs);
            let mut world = scenario.world();
            let mut config = scenario.base.config.clone();
            config.ssrc = if same_ssrc { config.ssrc } else { Ssrc(99) };
            // The very same clock: only the sequence numbers tell.
            config.first_sequence = SeqNo(config.first_sequence.0 ^ 0x5a5a);
            config.first_timestamp = RtpTime(config.first_timestamp.0.wrapping_add(3 * 48_000));
            config.packets = Some(3_000);
            let stream = Stream { number: scenario.base.stream.number + 1, first: FrameIndex(0) };
            let path = Path { start: scenario.start() + Nanos::from_secs(3), ..scenario.base.path };
            world.add_stranger_on(swapped, config, stream, path).unwrap();
            world.run_until(scenario.start() + Nanos::from_millis(5_500));
            assert_eq!(world.leg(swapped).state, LegState::Differs, "{swapped:?}");
            world.run_until(scenario.start() + Nanos::from_millis(6_500));
            assert_eq!(world.leg(swapped).state, LegState::Receiving, "{swapped:?}");
            let out = end(world);
            assert_eq!(out.counters.gaps, 0, "{swapped:?}: {:?}", out.tape.gaps());
            assert_eq!(out.tape.offsets().len(), 1);
            assert_eq!((out.counters.sequence_resets, out.counters.timestamp_jumps), (0, 0));
        }
    }
}

/// Both legs break as one leg does.
#[test]
fn a_sender_that_begins_anew_does_so_on_both_legs() {
    for (class, delay) in [(SkewClass::A, 0), (SkewClass::A, 10), (SkewClass::B, 50), (SkewClass::C, 450)] {
        for later in [0, 1] {
            let mut legs = Protection::whole(class);
            legs.delay[later] = Nanos::from_millis(delay);
            legs.faults.iter_mut().for_each(|leg| leg.loss = 300);
            let (scenario, at) = LegScenario::plain(12, legs).with_restart();
            let out = end(scenario.world());
            let what = format!("{class} {delay} {later}: {:?} {:?}", out.counters, out.tape.gaps());
            assert_eq!(out.counters.ssrc_changes, 1, "{what}");
            assert_eq!(out.tape.offsets().len(), 2, "{what}");
            assert!(!out.tape.events().iter().any(|e| matches!(e, FlowEvent::LegsDiffer(_))), "{what}");
            // Before the break all is there but the last of what the later leg should have mended; so is all after it.
            let lost = 12 * 48_000 - out.tape.written().0;
            let most =
                scenario.frames(class.skew() + Nanos::from_millis(20)).0 / 3 + 96 + first(&scenario, &out).0;
            assert!(lost <= most, "{lost} frames missing, at most {most}; break at {at}; {what}");
        }
    }
}

/// Whatever one leg lags behind the other, and although each brings what the other loses.
#[test]
fn an_ssrc_that_changes_costs_nothing() {
    for (class, delay) in
        [(SkewClass::A, 0), (SkewClass::A, 8), (SkewClass::B, 20), (SkewClass::B, 45), (SkewClass::C, 400)]
    {
        for later in [0, 1] {
            for loss in [0, 200] {
                let mut legs = Protection::whole(class);
                legs.delay[later] = Nanos::from_millis(delay);
                legs.faults.iter_mut().for_each(|leg| leg.loss = loss);
                let scenario = LegScenario::plain(10, legs).with_ssrc_change(Nanos::from_secs(5));
                let out = end(scenario.world());
                let what =
                    format!("{class} {delay} {later} {loss}: {:?} {:?}", out.counters, out.tape.gaps());
                assert_eq!(out.tape.gaps(), [], "{what}");
                assert_eq!(out.counters.ssrc_changes, 1, "{what}");
                assert_eq!(out.tape.offsets().len(), 1, "{what}");
                assert_eq!(out.tape.written().0, 10 * 48_000 - first(&scenario, &out).0, "{what}");
            }
        }
    }
}

/// A pause of the sender with a clock that runs on is exact on two legs, too.
#[test]
fn a_pause_of_the_sender_is_exact_whatever_its_counters_do() {
    for kind in [PauseKind::Running, PauseKind::Outage] {
        for millis in [5, 30, 100, 240, 900, 3_000] {
            for delay in [0, 10, 450] {
                let class = if delay > 10 { SkewClass::C } else { SkewClass::A };
                let mut legs = Protection::whole(class);
                legs.delay[1] = Nanos::from_millis(delay);
                let scenario = LegScenario::plain(10, legs).with_pause(
                    Nanos::from_secs(4),
                    Nanos::from_millis(millis),
                    kind,
                );
                let out = end(scenario.world());
                let what = format!("{kind:?} {millis} ms, skew {delay}: {:?}", out.counters);
                let gaps: Vec<_> = out.tape.gaps().iter().map(|gap| (gap.frames.0, gap.estimated)).collect();
                assert_eq!(gaps, [(millis as u64 * 48, false)], "{what}");
                assert_eq!(out.tape.offsets().len(), 1, "{what}");
                // Where sequence numbers stood still, no packet was lost.
                let lost = kind == PauseKind::Outage && millis < 1_000;
                let cause = if lost { GapCause::Loss } else { GapCause::Outage };
                assert_eq!(out.tape.gaps()[0].cause, cause, "{what}");
            }
        }
    }
}

/// Timestamps that leap on both legs while no packet is missing are the sender's doing.
#[test]
fn a_leap_of_the_senders_timestamps_is_no_loss() {
    for (class, delay) in [(SkewClass::A, 0), (SkewClass::A, 10), (SkewClass::C, 450)] {
        for frames in [48, 480, 4_800, 9_600] {
            let mut legs = Protection::whole(class);
            legs.delay[1] = Nanos::from_millis(delay);
            let scenario = LegScenario::plain(10, legs).with_leap(Nanos::from_secs(5), frames);
            let out = end(scenario.world());
            let what = format!("{class} {delay} ms, {frames} frames: {:?}", out.counters);
            let gaps: Vec<_> =
                out.tape.gaps().iter().map(|gap| (gap.frames.0, gap.cause, gap.estimated)).collect();
            assert_eq!(gaps, [(frames as u64, GapCause::TimestampJump, false)], "{what}");
            assert_eq!((out.counters.timestamp_jumps, out.counters.late), (1, 0), "{what}");
            assert_eq!(out.legs.map(|leg| leg.counters.lost), [0, 0], "{what}");
            assert_eq!(out.tape.written().0, 10 * 48_000, "{what}");
        }
    }
}

#[test]
fn random_legs() {
    support::every_seed("legs random_legs", SEEDS, LegScenario::draw, |scenario| {
        played(scenario);
    });
}

#[test]
fn loss_that_meets_is_the_only_loss() {
    let mut legs = Protection::whole(SkewClass::A);
    legs.faults[0].loss = 300;
    legs.faults[1] = LegFaults {
        leg: Leg::Second,
        loss: 500,
        cuts: vec![(Nanos::from_secs(2), Nanos::from_secs(3))],
        holds: Vec::new(),
    };
    let scenario = LegScenario::plain(6, legs);
    let out = played(&scenario);
    assert!(out.counters.gaps > 100 && out.counters.late == 0, "{:?}", out.counters);
}
