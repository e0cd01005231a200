//! A stranger with the flow's own SSRC, and a redundant sender that takes over, from another address.

use core::net::Ipv4Addr;

use audyn_units::SkewClass;

use super::*;

/// The sender's address on a leg, a second sender's, and a stranger's.
const SENDER: u8 = 1;
const SPARE: u8 = 2;
const STRANGER: u8 = 3;

fn address(host: u8, leg: Leg) -> SocketAddr {
    (Ipv4Addr::new(192, 0, 2 + leg.index() as u8, host), 5004).into()
}

impl Wire {
    fn two_legs() -> Self {
        let mut wire = Self::new();
        wire.receiver = Receiver::with_second_leg(*wire.receiver.format(), BASE, SkewClass::A);
        wire
    }

    /// Packet `n` of a host; returns whether it was the followed one's.
    fn of(&mut self, host: u8, leg: Leg, n: u32) -> bool {
        let bytes = self.datagram(n);
        self.receiver.on_packet_from(leg, self.now, &address(host, leg), &bytes, &mut self.tape)
    }

    /// The stranger's packet that says it is `n`; its audio is another.
    fn forged(&mut self, leg: Leg, n: u32) {
        let mut bytes = self.datagram(n);
        bytes[HEADER_BYTES..].fill(0x5a);
        self.receiver.on_packet_from(leg, self.now, &address(STRANGER, leg), &bytes, &mut self.tape);
    }

    fn moved(&self) -> Vec<(Leg, SocketAddr)> {
        let moved = |event: &FlowEvent| match event {
            FlowEvent::SenderMoved { leg, to, .. } => Some((*leg, *to)),
            _ => None,
        };
        self.tape.events.iter().filter_map(moved).collect()
    }
}

/// `packets` packets that came, each in its place, with no gap.
fn whole(wire: Wire, packets: usize) -> FlowCounters {
    let (tape, counters) = wire.finish();
    assert_eq!(tape.offsets(), [BASE.0 as i64]);
    assert_eq!(tape.audio.len(), packets * 48);
    assert_eq!((tape.gaps, counters.ssrc_changes, counters.timestamp_jumps), (vec![], 0, 0));
    counters
}

type Forged = fn(u32) -> u32;

/// What a stranger's counters say beside packet `n` of the sender.
const FORGED: [(&str, Forged); 5] = [
    ("500 ahead", |n| n + 500),
    ("the next one", |n| n + 1),
    ("the same one, before it", |n| n),
    ("behind", |n| n.saturating_sub(50)),
    ("anything", |n| n.wrapping_mul(0x9e37_79b9) >> 3),
];

#[test]
fn a_stranger_with_the_flows_ssrc_costs_nothing_and_is_counted() {
    for (what, forged) in FORGED {
        let mut wire = Wire::new();
        for n in 0..1_000 {
            if n > 2 {
                wire.forged(Leg::First, forged(n));
            }
            assert!(wire.of(SENDER, Leg::First, n));
            wire.tick();
        }
        assert_eq!(wire.moved(), [], "{what}");
        let counters = whole(wire, 1_000);
        // One may still wait.
        assert!((996..=997).contains(&counters.foreign_source), "{what}: {counters:?}");
        assert_eq!((counters.received, counters.late, counters.sequence_resets), (1_000, 0, 0), "{what}");
    }
}

#[test]
fn a_stranger_on_one_of_two_legs_or_on_both_costs_nothing() {
    for strange in [&[Leg::First][..], &[Leg::Second], &Leg::ALL] {
        for (what, forged) in FORGED {
            let mut wire = Wire::two_legs();
            for n in 0..1_000 {
                for &leg in strange.iter().filter(|_| n > 6) {
                    wire.forged(leg, forged(n));
                }
                // Each packet comes on one leg only.
                let leg = if n / 3 % 2 == 0 { Leg::First } else { Leg::Second };
                assert!(wire.of(SENDER, leg, n), "{what}");
                wire.tick();
            }
            let foreign = Leg::ALL.map(|leg| wire.receiver.leg(leg, wire.now).counters.foreign);
            for leg in Leg::ALL {
                let wanted = if strange.contains(&leg) { 800..=1_986 } else { 0..=0 };
                // What comes on both legs alike waits, and counts, once.
                let count = if strange.len() == 2 { foreign[0] + foreign[1] } else { foreign[leg.index()] };
                assert!(wanted.contains(&count), "{what} on {strange:?}: {foreign:?}");
            }
            whole(wire, 1_000);
        }
    }
}

#[test]
fn a_redundant_sender_takes_over_with_the_same_counters_and_nothing_is_lost() {
    // It may send all the time, or begin so many packets after the first one has stopped.
    for (begins, ahead) in [(0, 0), (500, 0), (503, 0), (500, 2)] {
        let mut wire = Wire::new();
        for n in 0..1_000 {
            if n < 500 {
                wire.of(SENDER, Leg::First, n);
            }
            if n >= begins {
                wire.of(SPARE, Leg::First, n + ahead);
            }
            wire.tick();
        }
        assert_eq!(wire.moved(), [(Leg::First, address(SPARE, Leg::First))]);
        // The first one is the stranger now.
        for n in 1_000..1_100 {
            wire.of(SPARE, Leg::First, n + ahead);
            assert!(!wire.of(SENDER, Leg::First, n - 200));
            wire.tick();
        }
        let lost: u64 = if begins > 500 { 3 } else { u64::from(ahead) };
        let (tape, counters) = wire.finish();
        assert_eq!(tape.offsets(), [BASE.0 as i64], "{begins} {ahead}");
        assert_eq!(tape.filled, lost * 48, "{begins} {ahead}: {:?}", tape.gaps);
        assert_eq!((counters.ssrc_changes, counters.timestamp_jumps, counters.late), (0, 0, 0));
        assert_eq!(tape.audio.len() as u64, (1_100 + u64::from(ahead) - lost) * 48);
    }
}

#[test]
fn a_redundant_sender_takes_over_with_other_sequence_numbers_on_the_same_clock() {
    let mut wire = Wire::new();
    for n in 0..500 {
        wire.of(SENDER, Leg::First, n);
        wire.tick();
    }
    wire.quiet(5);
    wire.seq = wire.seq.wrapping_add(7_000);
    for n in 505..1_000 {
        wire.of(SPARE, Leg::First, n);
        wire.tick();
    }
    let (tape, counters) = wire.finish();
    assert_eq!(tape.offsets(), [BASE.0 as i64]);
    assert_eq!(tape.audio.len(), 995 * 48);
    let gap = (FrameCount(5 * 48), GapCause::SsrcChange, false);
    assert_eq!(tape.gaps.iter().map(|gap| (gap.frames, gap.cause, gap.estimated)).collect::<Vec<_>>(), [gap]);
    assert_eq!((counters.ssrc_changes, counters.timestamp_jumps), (0, 0));
}

#[test]
fn a_sender_that_begins_anew_from_another_port_after_a_while_is_followed() {
    let mut wire = Wire::new();
    for n in 0..500 {
        wire.of(SENDER, Leg::First, n);
        wire.tick();
    }
    wire.quiet(3_000);
    wire.seq = 77;
    wire.ts = wire.ts.wrapping_add(123_456_789);
    for n in 500..1_000 {
        wire.of(SPARE, Leg::First, n);
        wire.tick();
    }
    assert_eq!(wire.moved().len(), 1);
    let (tape, counters) = wire.finish();
    assert_eq!((tape.audio.len(), tape.gaps.len(), counters.late), (1_000 * 48, 1, 0));
    assert!(tape.gaps[0].estimated && tape.gaps[0].frames.0.abs_diff(3_000 * 48) <= 48, "{:?}", tape.gaps);
}

#[test]
fn both_legs_go_over_to_other_addresses_and_nothing_is_lost() {
    // What the one leg loses in the other's 40 ms waits for no longer than the class says; so they do it within less.
    for apart in [0, 7, 20] {
        let mut wire = Wire::two_legs();
        for n in 0..1_000 {
            let leg = if n % 2 == 0 { Leg::First } else { Leg::Second };
            let begins = if leg == Leg::First { 500 } else { 500 + apart };
            wire.of(if n < begins { SENDER } else { SPARE }, leg, n);
            wire.tick();
        }
        let moved = wire.moved();
        assert!(Leg::ALL.into_iter().all(|leg| moved.contains(&(leg, address(SPARE, leg)))), "{moved:?}");
        assert_eq!(moved.len(), 2);
        whole(wire, 1_000);
    }
}

#[test]
fn a_sender_whose_own_clock_jumps_is_believed_beside_a_stranger() {
    let mut wire = Wire::new();
    for n in 0..1_000 {
        if n == 500 {
            wire.ts = wire.ts.wrapping_add(1_000_000);
        }
        if n > 2 {
            wire.forged(Leg::First, n + 500);
        }
        wire.of(SENDER, Leg::First, n);
        wire.tick();
    }
    let (tape, counters) = wire.finish();
    assert_eq!((counters.timestamp_jumps, tape.gaps.len()), (1, 1));
    assert_eq!(tape.offsets(), [BASE.0 as i64]);
    assert_eq!(tape.audio.len(), 1_000 * 48);
}
