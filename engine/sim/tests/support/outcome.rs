//! What came of a run with two legs, and what every such run must keep.
//!
//! Owns: the sums. Never: a scenario.

use audyn_core::flow::{FlowCounters, FlowEvent, Leg, LegReport};
use audyn_core::sender::{Span, Spans};
use audyn_sim::{LegScenario, Tape, World};
use audyn_units::FrameIndex;

/// What came of a run: the tape, the counters, each leg's report, and what arrived on either leg.
pub(crate) struct Outcome {
    pub(crate) tape: Tape,
    pub(crate) counters: FlowCounters,
    pub(crate) legs: [LegReport; 2],
    delivered: Spans,
}

pub(crate) fn end(mut world: World) -> Outcome {
    world.run_out();
    let mut delivered = world.delivered(0).clone();
    for span in world.delivered(1).as_slice() {
        delivered.insert(*span);
    }
    let legs = Leg::ALL.map(|leg| world.leg(leg));
    let (tape, counters) = world.finish();
    Outcome { tape, counters, legs, delivered }
}

/// One offset, and what never came is the ledger.
pub(crate) fn check(scenario: &LegScenario, out: &Outcome) {
    let number = scenario.base.stream.number;
    let kept = out.tape.kept(number);
    let first = kept.as_slice().first().expect("something was heard").start;
    let base = scenario.base.base();
    assert_eq!(out.tape.offsets(), [base.distance_from(first)], "one offset over the whole file");
    let wanted: Vec<Span> = out
        .delivered
        .as_slice()
        .windows(2)
        .filter(|pair| pair[1].start > first)
        .map(|pair| Span {
            start: base + pair[0].end().max(first).since(first),
            frames: pair[1].start.since(pair[0].end().max(first)),
        })
        .collect();
    let ledger: Vec<Span> =
        out.tape.gaps().iter().map(|gap| Span { start: gap.position, frames: gap.frames }).collect();
    let differ = ledger.iter().zip(&wanted).find(|(is, should)| is != should);
    assert_eq!(
        ledger.len(),
        wanted.len(),
        "the ledger is the truth; first difference (is, should be): {differ:?}"
    );
    assert_eq!(differ, None, "the ledger is the truth (is, should be)");
    assert!(out.tape.gaps().iter().all(|gap| !gap.estimated), "every place is exact");
    // Of legs with two SSRCs, a packet or two of the later come before the flow has a source.
    let strays = if scenario.legs.second_ssrc.is_some() { 2 } else { 0 };
    assert!(scenario.base.rubbish > 0 || out.counters.foreign_source <= strays, "{:?}", out.legs);
    assert!(!out.tape.events().iter().any(|event| matches!(event, FlowEvent::LegsDiffer(_))));
}

/// The index of the first frame heard.
pub(crate) fn first(scenario: &LegScenario, out: &Outcome) -> FrameIndex {
    out.tape.kept(scenario.base.stream.number).as_slice()[0].start
}
