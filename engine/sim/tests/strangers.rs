//! A stranger with the flow's own SSRC, from another address: what is recorded is what would be without it.

#[path = "support/outcome.rs"]
mod outcome;
mod support;

use audyn_core::flow::{FlowEvent, Leg};
use audyn_core::sender::{Config, Impairments, Random};
use audyn_sim::{Dice, Kind, LegScenario, Path, Protection, Scenario, Stream, Tape, World};
use audyn_units::{FrameIndex, Nanos, RtpTime, SeqNo, SkewClass};

use outcome::{check, end, first};

const SEEDS: u64 = 40;

/// A stranger's packets: of the sender's form and SSRC, 500 packets ahead, the same, or anywhere; they end before the sender does.
fn forged(sender: &Config, dice: &mut Dice) -> Config {
    let packets = dice.pick(&[500, 500, 1, 0, 65_500, 30_000]);
    let frames = (sender.format.packet_frames * u32::from(packets)) ^ dice.pick(&[0, 0, 0x1234_5678]);
    let less =
        sender.format.rate.frames_in(Nanos::from_millis(700)).0 / u64::from(sender.format.packet_frames);
    Config {
        first_sequence: SeqNo(sender.first_sequence.0.wrapping_add(packets)),
        first_timestamp: RtpTime(sender.first_timestamp.0.wrapping_add(frames)),
        packets: sender.packets.map(|packets| packets - less),
        seed: sender.seed ^ 1,
        impairments: Impairments::default(),
        ..sender.clone()
    }
}

/// A sender that loses, repeats and disorders, but never falls silent.
fn draw(seed: u64) -> Scenario {
    let mut scenario = Scenario::draw(Kind::Steady, seed);
    scenario.config.impairments.events.clear();
    scenario.config.impairments.burst = Random::default();
    scenario.path.buffer = Nanos(scenario.path.buffer.0.min(20_000_000));
    scenario.path.jitter = Nanos(scenario.path.jitter.0.min(5_000_000));
    scenario.stranger = None;
    scenario.rubbish = 0;
    scenario
}

/// What was heard: where the gaps are, and how much audio there is.
fn heard(mut world: World) -> (Tape, u64) {
    world.tell_addresses();
    world.run_out();
    let (tape, counters) = world.finish();
    assert_eq!((counters.ssrc_changes, counters.timestamp_jumps), (0, 0));
    assert!(!tape.events().iter().any(|event| matches!(event, FlowEvent::SenderMoved { .. })));
    (tape, counters.foreign_source)
}

#[test]
fn one_leg() {
    support::every_seed("strangers one_leg", SEEDS, draw, |scenario| {
        let mut world = scenario.world();
        let mut dice = Dice::new(scenario.seed, 15);
        let config = forged(&scenario.config, &mut dice);
        let stream = Stream { number: scenario.stream.number + 1, first: FrameIndex(0) };
        let start = scenario.path.start + Nanos::from_millis(dice.between(100, 400) as i64);
        world.add_stranger(config, stream, Path { start, ..scenario.path }).unwrap();
        let ((alone, _), (beside, foreign)) = (heard(scenario.world()), heard(world));
        assert_eq!(beside.gaps(), alone.gaps());
        assert_eq!((beside.written(), beside.offsets()), (alone.written(), alone.offsets()));
        assert!(foreign > 1_000, "{foreign}");
    });
}

#[test]
fn two_legs() {
    let draw = |seed| {
        let mut legs = Protection::whole(SkewClass::A);
        legs.delay[seed as usize % 2] = Nanos::from_millis(seed as i64 % 11);
        legs.faults.iter_mut().for_each(|leg| leg.loss = 500);
        let mut scenario = LegScenario::plain(4, legs);
        scenario.base.config.seed = seed;
        scenario
    };
    support::every_seed("strangers two_legs", 20, draw, |scenario| {
        let mut world = scenario.world();
        let mut dice = Dice::new(scenario.base.config.seed, 16);
        for leg in Leg::ALL.into_iter().take(dice.between(1, 2) as usize) {
            let config = forged(&scenario.base.config, &mut dice);
            let stream = Stream { number: scenario.base.stream.number + 1, first: FrameIndex(0) };
            let start = scenario.start() + Nanos::from_millis(dice.between(200, 400) as i64);
            world.add_stranger_on(leg, config, stream, Path { start, ..scenario.base.path }).unwrap();
        }
        world.tell_addresses();
        let out = end(world);
        assert_eq!(out.tape.gaps(), [], "{:?}", out.counters);
        assert_eq!(out.tape.written().0, 4 * 48_000 - first(scenario, &out).0);
        assert!(out.counters.foreign_source > 1_000, "{:?}", out.counters);
    });
}

/// A second sender goes on by the first one's counters, on both legs, from other addresses.
#[test]
fn a_redundant_sender_on_two_legs() {
    for delay in [0, 8] {
        for loss in [0, 100] {
            let mut legs = Protection::whole(SkewClass::A);
            legs.delay[1] = Nanos::from_millis(delay);
            legs.faults.iter_mut().for_each(|leg| leg.loss = loss);
            let mut scenario = LegScenario::plain(4, legs);
            let packets = 2_000_u16;
            scenario.base.config.packets = Some(u64::from(packets));
            let mut world = scenario.world();
            let later = u32::from(packets) * scenario.base.config.format.packet_frames;
            let spare = Config {
                first_sequence: SeqNo(scenario.base.config.first_sequence.0.wrapping_add(packets)),
                first_timestamp: RtpTime(scenario.base.config.first_timestamp.0.wrapping_add(later)),
                ..scenario.base.config.clone()
            };
            let stream = Stream { first: FrameIndex(u64::from(later)), ..scenario.base.stream };
            for (leg, faults) in scenario.legs.faults.iter().enumerate() {
                let start = scenario.start() + Nanos::from_secs(2) + scenario.legs.delay[leg];
                let path = Path { start, ..scenario.base.path };
                world.add_leg(spare.clone(), stream, path, faults.clone()).unwrap();
            }
            world.tell_addresses();
            let out = end(world);
            let what = format!("{delay} {loss}: {:?} {:?}", out.counters, out.tape.gaps());
            assert_eq!(out.tape.gaps(), [], "{what}");
            assert_eq!(out.tape.written().0, 4 * 48_000 - first(&scenario, &out).0, "{what}");
            assert_eq!(out.tape.offsets().len(), 1, "{what}");
            let moved = |event: &&FlowEvent| matches!(event, FlowEvent::SenderMoved { .. });
            assert_eq!(out.tape.events().iter().filter(moved).count(), 2, "{what}");
        }
    }
}

/// The same legs without a stranger, whose addresses are told.
#[test]
fn addresses_alone_change_nothing() {
    let mut legs = Protection::whole(SkewClass::B);
    legs.faults.iter_mut().for_each(|leg| leg.loss = 300);
    let scenario = LegScenario::plain(4, legs);
    let mut world = scenario.world();
    world.tell_addresses();
    check(&scenario, &end(world));
}
