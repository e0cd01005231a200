//! For how long a hole waits for the other leg, and that it waits for no longer: a class A flow of 1 ms packets.

use audyn_units::SkewClass;

use super::*;

/// The class's window in packets.
const WINDOW: u32 = 30;

impl Wire {
    pub(super) fn class_a() -> Self {
        let mut wire = Self::new();
        wire.receiver = Receiver::with_second_leg(*wire.receiver.format(), BASE, SkewClass::A);
        wire
    }

    pub(super) fn on(&mut self, leg: Leg, n: u32) {
        let bytes = self.datagram(n);
        self.receiver.on_leg_packet(leg, self.now, &bytes, &mut self.tape);
    }

    pub(super) fn both(&mut self, packets: std::ops::Range<u32>) {
        for n in packets {
            self.on(Leg::First, n);
            self.on(Leg::Second, n);
            self.tick();
        }
    }

    pub(super) fn first(&mut self, packets: std::ops::Range<u32>) {
        for n in packets {
            self.on(Leg::First, n);
            self.tick();
        }
    }

    fn filled(&self) -> u64 {
        self.tape.filled / u64::from(PACKET)
    }
}

#[test]
fn a_leg_that_is_dead_is_not_waited_for() {
    let mut wire = Wire::class_a();
    wire.both(0..100);
    wire.first(100..300);
    // Packet 300 is lost.
    wire.tick();
    wire.first(301..301 + WINDOW - 1);
    assert_eq!(wire.filled(), 0);
    wire.first(330..331);
    assert_eq!(wire.filled(), 1, "as with one leg");
    // Also where the other comes in bursts: the frames alone tell.
    wire.quiet(20);
    for n in 351..351 + WINDOW {
        wire.on(Leg::First, n);
    }
    assert_eq!(wire.filled(), 1 + 20);
    let (tape, counters) = wire.finish();
    assert_eq!((tape.gaps.len(), counters.late), (2, 0));
}

#[test]
fn a_leg_that_has_just_died_is_waited_for_as_long_as_its_class_says() {
    let mut wire = Wire::class_a();
    wire.both(0..100);
    wire.on(Leg::Second, 101);
    wire.first(101..101 + WINDOW - 1);
    assert_eq!(wire.filled(), 0);
    wire.first(101 + WINDOW - 1..101 + WINDOW + 8);
    assert_eq!(wire.filled(), 1, "the window, and up to an eighth more");
}

#[test]
fn what_a_leg_brings_after_the_other_brought_the_stalls_all_at_once_is_taken() {
    let mut wire = Wire::class_a();
    wire.both(0..100);
    // Both stand still for 150 ms: the first loses the odd ones, the second the even ones.
    wire.quiet(150);
    (100..250).filter(|n| n % 2 == 0).for_each(|n| wire.on(Leg::First, n));
    wire.quiet(10);
    assert_eq!(wire.filled(), 0);
    (100..250).filter(|n| n % 2 == 1).for_each(|n| wire.on(Leg::Second, n));
    wire.both(250..400);
    let legs = Leg::ALL.map(|leg| wire.receiver.leg(leg, wire.now).counters.late);
    let (tape, counters) = wire.finish();
    assert_eq!((tape.gaps.len(), counters.late, legs), (0, 0, [0, 0]));
    assert_eq!(tape.audio.len(), 400 * 48);
}

#[test]
fn where_nothing_comes_at_all_a_hole_is_given_up_after_200_ms() {
    let mut wire = Wire::class_a();
    wire.both(0..100);
    wire.on(Leg::First, 101);
    wire.quiet(200);
    assert_eq!(wire.filled(), 0);
    wire.quiet(1);
    assert_eq!(wire.filled(), 1);
}

#[test]
fn a_stall_that_is_longer_than_the_ring_costs_what_the_ring_does_not_hold() {
    let mut wire = Wire::class_a();
    wire.both(0..100);
    wire.quiet(600);
    (100..700).filter(|n| n % 2 == 0).for_each(|n| wire.on(Leg::First, n));
    // The ring holds 16,384 frames; what came is 599 packets long, and half of what is beyond is missing.
    let lost = (599 * 48 - 16_384) / 48 / 2;
    assert_eq!(wire.filled(), lost);
    (100..700).filter(|n| n % 2 == 1).for_each(|n| wire.on(Leg::Second, n));
    wire.both(700..800);
    let filled = wire.filled();
    let (tape, _) = wire.finish();
    assert_eq!(tape.offsets(), [BASE.0 as i64]);
    assert_eq!(filled, lost);
}

#[test]
fn a_leg_that_lies_further_behind_than_its_class_is_not_waited_for() {
    let mut wire = Wire::class_a();
    wire.both(0..100);
    wire.first(100..150);
    for n in 150..400 {
        if n % 10 != 0 {
            wire.on(Leg::First, n);
        }
        wire.on(Leg::Second, n - 50);
        wire.tick();
    }
    let late = wire.receiver.leg(Leg::Second, wire.now).counters.late;
    assert!((245..=250).contains(&late), "{late}");
    let (tape, counters) = wire.finish();
    assert_eq!(tape.gaps.len(), 25);
    assert!(counters.late >= 20, "{counters:?}");
}
