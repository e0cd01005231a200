//! Both legs stand still together, and one of them brings what was held before the other does: nothing is missing.

#[path = "support/outcome.rs"]
mod outcome;
mod support;

use audyn_core::flow::Leg;
use audyn_core::sender::Format;
use audyn_core::sender::PauseKind;
use audyn_sim::{Dice, LegScenario, Protection};
use audyn_units::{Nanos, SkewClass};

use outcome::{check, end, first};

const SEEDS: u64 = 60;

/// Each packet comes on one leg only. Now and then both stand still for up to 190 ms; the legs lie apart by what the class allows, in any order
/// before and after.
fn draw(seed: u64) -> LegScenario {
    let mut dice = Dice::new(seed, 14);
    let class = SkewClass::A;
    let mut legs = Protection::whole(class);
    let micros = |n: u64| Nanos::from_micros(n as i64);
    let skew = class.skew().0 as u64 / 1_000;
    let (later, delay) = (dice.below(2) as usize, dice.below(skew + 1));
    legs.delay[later] = micros(delay);
    legs.faults.iter_mut().for_each(|leg| leg.loss = 500);
    let mut scenario = LegScenario::plain(4, legs);
    let mut at = 1_000_000;
    for _ in 0..3 {
        let length = dice.between(1_000, 190_000);
        let (last, apart) = (dice.below(2) as usize, dice.below(skew + 1));
        for (n, leg) in scenario.legs.faults.iter_mut().enumerate() {
            let more = if n == last { apart } else { 0 };
            let from = scenario.base.path.start + micros(at);
            leg.holds.push((from, from + micros(length + more)));
        }
        at += length + dice.between(300_000, 600_000);
    }
    scenario.base.config.seed = seed;
    scenario.base.path.jitter = micros(dice.pick(&[0, 500, 2_000]));
    scenario.base.grid = Nanos::from_millis(dice.pick(&[4, 8]));
    let packet_frames = dice.pick(&[6, 12, 48, 192]);
    let format = Format { packet_frames, ..scenario.base.config.format };
    scenario.base.config.format = format;
    scenario.base.config.packets = Some(4 * 48_000 / u64::from(packet_frames));
    scenario
}

#[test]
fn a_stall_of_both_legs_costs_nothing() {
    support::every_seed("stalls a_stall_of_both_legs_costs_nothing", SEEDS, draw, |scenario| {
        let out = end(scenario.world());
        check(scenario, &out);
        assert_eq!(out.tape.gaps(), [], "{:?}", out.counters);
        // What came first came from the leg that led, and what the other had of before that came after its place.
        assert_eq!(out.tape.written().0, 4 * 48_000 - first(scenario, &out).0);
        assert_eq!(out.legs.map(|leg| leg.counters.late), [0, 0]);
    });
}

/// What the sender of `draw_long` sends; its pause is as long as so many more.
const SENT: u64 = 12_000;

/// Stalls of up to a second, and pauses of the sender of up to twenty; one leg is dead for a part of it, or comes no more, or each loses now and
/// then. Without jitter, so that nothing comes out of order on a leg.
fn draw_long(seed: u64) -> LegScenario {
    let mut dice = Dice::new(seed, 15);
    let class = dice.pick(&SkewClass::ALL);
    let mut legs = Protection::whole(class);
    let millis = |n: u64| Nanos::from_millis(n as i64);
    let skew = class.skew().0 as u64 / 1_000_000;
    let (later, delay) = (dice.below(2) as usize, dice.below(skew + 1));
    legs.delay[later] = millis(delay);
    match dice.below(3) {
        0 => legs.faults.iter_mut().for_each(|leg| leg.loss = 100),
        1 => {
            let from = dice.between(500, 9_000);
            let until = from + dice.pick(&[2_000, 60_000]);
            legs.faults[dice.below(2) as usize].cuts.push((millis(from), millis(until)));
        }
        _ => {}
    }
    let mut scenario = LegScenario::plain(12, legs);
    let mut at = 1_000;
    for _ in 0..3 {
        let length = dice.between(200, 1_000);
        let (last, apart) = (dice.below(2) as usize, dice.below(skew.min(100) + 1));
        for (n, leg) in scenario.legs.faults.iter_mut().enumerate() {
            let more = if n == last { apart } else { 0 };
            let from = scenario.base.path.start + millis(at);
            leg.holds.push((from, from + millis(length + more)));
        }
        at += length + dice.between(600, 1_000);
    }
    // By the sender's clock, after the last of the stalls.
    let pause = dice.pick(&[400, 900, 10_000, 20_000]);
    scenario = scenario.with_pause(millis(7_000), millis(pause), PauseKind::Running);
    scenario.base.config.packets = Some(SENT + pause);
    scenario.base.config.seed = seed;
    scenario.base.grid = Nanos::from_millis(dice.pick(&[1, 4, 8]));
    scenario
}

#[test]
fn what_a_leg_has_lost_was_sent_and_never_comes() {
    support::every_seed("stalls what_a_leg_has_lost", SEEDS, draw_long, |scenario| {
        let mut world = scenario.world();
        let mut before = [0; 2];
        let end = scenario.start() + Nanos::from_secs(34);
        while world.now() < end {
            world.run_until(world.now() + Nanos::from_millis(8));
            for leg in Leg::ALL {
                let counters = world.leg(leg).counters;
                let lost = &mut before[leg.index()];
                assert!(counters.lost >= *lost, "{leg:?} has lost {} less", *lost - counters.lost);
                assert!(counters.lost + counters.received <= SENT, "{leg:?}: {counters:?} of {SENT}");
                *lost = counters.lost;
            }
        }
        for (leg, faults) in Leg::ALL.into_iter().zip(&scenario.legs.faults) {
            let counters = world.leg(leg).counters;
            // What might still come, what came before the flow was known, and what is lost at the end.
            let open = if faults.cuts.is_empty() { 20 } else { 1_200 };
            let told = counters.lost + counters.received;
            assert!((SENT - open..=SENT).contains(&told), "{leg:?}: {counters:?} of {SENT}");
        }
    });
}
