//! Both legs stand still together, and one of them brings what was held before the other does: nothing is missing.

#[path = "support/outcome.rs"]
mod outcome;
mod support;

use audyn_core::sender::Format;
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
