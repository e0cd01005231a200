//! What a leg has missed is told in packets that were sent, also while it is silent: a pause is none, nor is what comes a little later.
//! A class A flow of 1 ms packets, whose window is 30 of them.

use super::*;

impl Wire {
    /// What the second has missed of so many packets, the first none: all but the window, which is told to an eighth of it.
    fn has_missed(&self, packets: u64) {
        let [first, second] = self.lost();
        assert!(first == 0 && (packets - 36..=packets - 30).contains(&second), "{second} of {packets}");
    }

    fn lost(&self) -> [u64; 2] {
        Leg::ALL.map(|leg| self.receiver.leg(leg, self.now).counters.lost)
    }

    /// The sender pauses, and its clock runs on.
    fn pause(&mut self, millis: u32) {
        self.quiet(millis);
        self.ts = self.ts.wrapping_add(millis * PACKET);
    }

    /// Both legs stand still for so many packets, which the first then brings at once, and the second so much later.
    fn stall(&mut self, packets: std::ops::Range<u32>, later: u32) {
        self.quiet(packets.len() as u32);
        packets.clone().for_each(|n| self.on(Leg::First, n));
        for _ in 0..later {
            self.tick();
            assert_eq!(self.lost(), [0, 0], "it is on its way");
        }
        packets.for_each(|n| self.on(Leg::Second, n));
        self.tick();
    }
}

#[test]
fn a_dead_leg_has_not_missed_what_the_sender_did_not_send() {
    for pause in [900, 20_000, 70_000] {
        let mut wire = Wire::class_a();
        wire.both(0..100);
        wire.first(100..600);
        wire.has_missed(500);
        wire.pause(pause);
        wire.first(600..900);
        wire.has_missed(800);
        wire.both(900..1_000);
        assert_eq!(wire.lost(), [0, 800], "a pause of {pause} ms");
    }
}

#[test]
fn a_pause_or_a_stall_of_both_legs_is_no_loss_on_the_one_that_comes_later() {
    for later in [1, 10] {
        let mut wire = Wire::class_a();
        wire.both(0..100);
        wire.stall(100..500, later);
        wire.both(500..600);
        wire.pause(10_000);
        for n in 600..700 {
            wire.on(Leg::First, n);
            if let Some(n) = n.checked_sub(later).filter(|&n| n >= 600) {
                wire.on(Leg::Second, n);
            }
            wire.tick();
            assert_eq!(wire.lost(), [0, 0], "{later} ms later, packet {n}");
        }
    }
}

#[test]
fn a_sender_that_begins_anew_has_lost_nothing_on_either_leg() {
    for later in [1, 10] {
        let mut wire = Wire::class_a();
        wire.both(0..100);
        wire.pause(10_000);
        wire.seq = wire.seq.wrapping_add(20_000);
        for n in 100..1_000 {
            wire.on(Leg::First, n);
            if let Some(n) = n.checked_sub(later).filter(|&n| n >= 100) {
                wire.on(Leg::Second, n);
            }
            wire.tick();
            assert_eq!(wire.lost(), [0, 0], "{later} ms later, packet {n}");
        }
        assert_eq!(wire.receiver.counters().sequence_resets, 1);
    }
}

#[test]
fn a_dead_leg_misses_what_comes_in_a_burst_and_what_a_new_beginning_brings() {
    let mut wire = Wire::class_a();
    wire.both(0..100);
    wire.first(100..500);
    wire.quiet(400);
    (500..900).for_each(|n| wire.on(Leg::First, n));
    wire.first(900..950);
    wire.has_missed(850);
    wire.seq = wire.seq.wrapping_add(20_000);
    wire.first(950..1_500);
    wire.has_missed(1_400);
    // What was under way when it came back can't be told by its own numbers, which go on elsewhere.
    wire.both(1_500..1_600);
    wire.has_missed(1_400);
}

#[test]
fn a_leg_that_carries_another_stream_brings_foreign_packets_and_misses_none() {
    // By its own counters, and by its audio alone.
    for apart in [true, false] {
        let mut wire = Wire::class_a();
        wire.both(0..100);
        for n in 100..1_500 {
            wire.on(Leg::First, n);
            let mut other = wire.datagram(n);
            if apart {
                other[2] ^= 0x55;
                other[8] ^= 0x55;
            }
            other.iter_mut().skip(HEADER_BYTES).for_each(|byte| *byte ^= 0x0f);
            wire.receiver.on_leg_packet(Leg::Second, wire.now, &other, &mut wire.tape);
            wire.tick();
            assert_eq!(wire.lost(), [0, 0], "apart {apart}, packet {n}");
        }
        assert_eq!(wire.receiver.leg(Leg::Second, wire.now).state, LegState::Differs);
        let foreign = wire.receiver.leg(Leg::Second, wire.now).counters.foreign;
        assert!(foreign > 1_300, "{foreign}");
        // Its own stream is on it again.
        wire.both(1_500..1_800);
        assert_eq!(wire.receiver.leg(Leg::Second, wire.now).state, LegState::Receiving);
        assert_eq!(wire.lost(), [0, 0], "apart {apart}");
        // And then nothing.
        wire.first(1_800..2_500);
        wire.has_missed(700);
        assert_eq!(wire.receiver.missed(Leg::Second).0, wire.lost()[1], "what the statistics are told");
    }
}
