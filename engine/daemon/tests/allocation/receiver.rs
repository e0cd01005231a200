//! The receiver allocates all that it will ever need when it is made, whatever comes then.

use audyn_core::clock::TaiReading;
use audyn_core::flow::{FlowEvent, FlowSink, Gap, Leg, Placed, Receiver};
use audyn_core::meter::Meter;
use audyn_sim::{Kind, Scenario, Step};
use audyn_sys::guard;
use audyn_units::{ClockQuality, FrameCount, FrameIndex, Mono, Nanos, SkewClass, Timestamp};

/// Seeds of each kind; `seeds` in audyn-sim plays hundreds, this one only asks for memory.
const SEEDS: u64 = 16;

/// A sink that meters, as a recorder does, and counts.
struct Metered {
    meter: Meter,
    next: FrameIndex,
    events: u64,
    gaps: u64,
}

impl FlowSink for Metered {
    fn placed(&mut self, _: &Placed) {}

    fn audio(&mut self, at: FrameIndex, samples: &[i32]) {
        self.meter.audio(samples);
        self.next = at;
    }

    fn silence(&mut self, at: FrameIndex, frames: FrameCount) {
        self.meter.silence(frames.0);
        self.next = at + frames;
    }

    fn gap_opened(&mut self, _: Gap) {}

    fn gap_closed(&mut self, _: Gap) {
        self.gaps += 1;
    }

    fn event(&mut self, _: FlowEvent) {
        self.events += 1;
    }
}

/// A clock that is locked, and told each turn as a worker does.
fn locked(now: Timestamp<Mono>) -> TaiReading {
    TaiReading {
        at: now,
        utc: Timestamp::from_nanos(1_790_000_000_000_000_000 + now.as_nanos()),
        tai_offset: Some(Nanos::from_secs(37)),
        quality: ClockQuality::PtpLocked,
    }
}

/// Plays a scenario, on one leg or the same on two; returns what was heard of it: gaps and events.
fn play(scenario: &Scenario, legs: &[Leg]) -> (u64, u64) {
    let steps = scenario.trace();
    let flow = scenario.flow();
    let mut receiver = match legs {
        [_] => Receiver::new(flow, scenario.base()),
        _ => Receiver::with_second_leg(flow, scenario.base(), SkewClass::A),
    };
    let mut sink = Metered { meter: Meter::new(flow.channels), next: scenario.base(), events: 0, gaps: 0 };
    guard::without_allocation(|| {
        let mut read = None;
        for step in &steps {
            match step {
                Step::Packet(arrival, datagram) => {
                    for &leg in legs {
                        receiver.on_leg_packet(leg, *arrival, datagram, &mut sink);
                    }
                }
                Step::Time(now) => {
                    if scenario.seed % 2 == 1 {
                        receiver.on_clock(locked(*now), &mut sink);
                    }
                    receiver.on_time(*now, &mut sink);
                    if read.is_none_or(|last| *now - last >= Nanos::from_millis(33)) {
                        read = Some(*now);
                        std::hint::black_box(sink.meter.read(*now));
                    }
                }
            }
        }
        receiver.on_oversized(Leg::First);
        receiver.flush(&mut sink);
    });
    assert!(receiver.counters().received > 0, "audio came");
    (sink.gaps, sink.events)
}

#[test]
fn nothing_is_allocated_after_the_start_in_any_scenario() {
    let legs: [&[Leg]; 2] = [&[Leg::First], &Leg::ALL];
    for (kind, legs) in
        [Kind::Steady, Kind::Broken].into_iter().flat_map(|kind| legs.map(|legs| (kind, legs)))
    {
        let heard: Vec<(u64, u64)> = (0..SEEDS).map(|seed| play(&Scenario::draw(kind, seed), legs)).collect();
        let gaps: u64 = heard.iter().map(|(gaps, _)| gaps).sum();
        let events: u64 = heard.iter().map(|(_, events)| events).sum();
        assert!(
            gaps > SEEDS && events > SEEDS,
            "the scenarios do what is hard: {gaps} gaps, {events} events"
        );
    }
}
