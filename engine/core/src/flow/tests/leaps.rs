//! Timestamps that leap over frames while no packet is missing: told as the sender's doing, and not as loss.

use super::*;

/// The gaps' frames, causes and whether they are estimated, and the jumps that were told.
fn told(tape: &Tape) -> (Vec<(u64, GapCause, bool)>, Vec<i64>) {
    let gaps = tape.gaps.iter().map(|gap| (gap.frames.0, gap.cause, gap.estimated)).collect();
    let jumps = tape.events.iter().filter_map(|event| match event {
        FlowEvent::TimestampJumped(frames) => Some(*frames),
        _ => None,
    });
    (gaps, jumps.collect())
}

#[test]
fn a_leap_is_the_senders_jump_and_its_frames_are_filled() {
    for leap in [1, 48, 480, 2_400, 4_800, 9_600, 11_900] {
        let mut wire = Wire::new();
        wire.run(0..100);
        wire.ts = wire.ts.wrapping_add(leap);
        wire.run(100..300);
        let (tape, counters) = wire.finish();
        let gap = (u64::from(leap), GapCause::TimestampJump, false);
        assert_eq!(told(&tape), (vec![gap], vec![i64::from(leap)]), "{leap} frames");
        assert_eq!(tape.audio.len(), 300 * 48);
        assert_eq!((counters.timestamp_jumps, counters.sequence_resets), (1, 0));
    }
}

#[test]
fn a_pause_of_less_than_a_second_is_no_loss_either() {
    for pause in [5, 50, 240, 900] {
        let mut wire = Wire::new();
        wire.run(0..100);
        wire.quiet(pause);
        wire.ts = wire.ts.wrapping_add(pause * PACKET);
        wire.run(100..300);
        let (tape, counters) = wire.finish();
        let gap = (u64::from(pause * PACKET), GapCause::Outage, false);
        assert_eq!(told(&tape), (vec![gap], vec![]), "{pause} ms");
        assert_eq!(counters.timestamp_jumps, 0);
    }
}

#[test]
fn what_is_lost_beside_a_leap_hides_it_not_and_what_comes_late_takes_its_place() {
    // The packet before the leap is lost: one hole.
    let mut wire = Wire::new();
    wire.run(0..100);
    wire.tick();
    wire.ts = wire.ts.wrapping_add(2_400);
    wire.run(101..300);
    let (tape, _) = wire.finish();
    assert_eq!(told(&tape), (vec![(2_448, GapCause::TimestampJump, false)], vec![2_400]));

    // One before that, too, after which one came: two.
    let mut wire = Wire::new();
    wire.run(0..99);
    wire.tick();
    wire.run(100..101);
    wire.ts = wire.ts.wrapping_add(2_400);
    wire.run(101..300);
    let (tape, _) = wire.finish();
    let gaps = vec![(48, GapCause::Loss, false), (2_400, GapCause::TimestampJump, false)];
    assert_eq!(told(&tape), (gaps, vec![2_400]));

    // The packet before the leap comes after it.
    let mut wire = Wire::new();
    wire.run(0..100);
    wire.tick();
    let before = wire.ts;
    wire.ts = before.wrapping_add(480);
    wire.run(101..103);
    let leapt = std::mem::replace(&mut wire.ts, before);
    wire.arrives(100);
    wire.ts = leapt;
    wire.run(103..300);
    let (tape, counters) = wire.finish();
    assert_eq!(told(&tape), (vec![(480, GapCause::TimestampJump, false)], vec![480]));
    assert_eq!(tape.audio.len(), 300 * 48);
    assert_eq!((counters.reordered, counters.late), (1, 0));
}

#[test]
fn a_leap_is_one_whichever_packet_shows_it() {
    // The first two after it are swapped.
    let mut wire = Wire::new();
    wire.run(0..100);
    wire.ts = wire.ts.wrapping_add(480);
    wire.arrives(101);
    wire.arrives(100);
    wire.tick();
    wire.tick();
    wire.run(102..300);
    let (tape, counters) = wire.finish();
    assert_eq!(told(&tape), (vec![(480, GapCause::TimestampJump, false)], vec![480]));
    assert_eq!((tape.audio.len(), counters.timestamp_jumps), (300 * 48, 1));

    // One leg loses the first and the third after it, which come on the other.
    let mut wire = Wire::class_a();
    wire.both(0..100);
    wire.ts = wire.ts.wrapping_add(480);
    for n in 100..300 {
        if n != 100 && n != 102 {
            wire.on(Leg::First, n);
        }
        if let Some(n) = n.checked_sub(5).filter(|&n| n >= 100) {
            wire.on(Leg::Second, n);
        }
        wire.tick();
    }
    let (tape, _) = wire.finish();
    assert_eq!(told(&tape), (vec![(480, GapCause::TimestampJump, false)], vec![480]));
    assert_eq!(tape.audio.len(), 300 * 48);
}

#[test]
fn a_leap_is_told_of_its_own_hole_and_of_no_other() {
    // What is lost before it, between which and the leap packets came, and what is lost after it.
    let mut wire = Wire::new();
    wire.run(0..95);
    wire.tick();
    wire.run(96..100);
    wire.ts = wire.ts.wrapping_add(480);
    wire.run(100..105);
    wire.tick();
    wire.run(106..300);
    let (tape, _) = wire.finish();
    let lost = (48, GapCause::Loss, false);
    assert_eq!(told(&tape), (vec![lost, (480, GapCause::TimestampJump, false), lost], vec![480]));

    // The two before it are missing when it is found, and the second comes then: the first is loss.
    let mut wire = Wire::new();
    wire.run(0..98);
    wire.tick();
    wire.tick();
    let before = wire.ts;
    wire.ts = before.wrapping_add(480);
    wire.run(100..102);
    let leapt = std::mem::replace(&mut wire.ts, before);
    wire.arrives(99);
    wire.ts = leapt;
    wire.run(102..300);
    let (tape, _) = wire.finish();
    assert_eq!(told(&tape), (vec![lost, (480, GapCause::TimestampJump, false)], vec![480]));
}

#[test]
fn a_sender_that_leaps_again_and_again_has_lost_nothing() {
    let mut wire = Wire::new();
    wire.run(0..100);
    for n in 100..160 {
        wire.ts = wire.ts.wrapping_add(24);
        wire.run(n..n + 1);
    }
    wire.run(160..300);
    let (tape, counters) = wire.finish();
    assert_eq!(told(&tape), (vec![(24, GapCause::TimestampJump, false); 60], vec![24; 60]));
    assert_eq!(counters.timestamp_jumps, 60);
}

#[test]
fn loss_stays_loss_where_packets_are_of_two_lengths() {
    // 44 and 45 frames in turn once it has begun, as at 44.1 kHz; or 12 and 48: now and then one of either is lost.
    for (short, long) in [(44, 45), (12, 48)] {
        let mut wire = Wire::new();
        let mut at = 0u32;
        for n in 0..1_000u32 {
            let frames = if n >= 10 && n % 2 == 1 { long } else { short };
            let mut bytes = wire.datagram(n);
            let stamp = wire.ts.wrapping_add(at);
            bytes[4..8].copy_from_slice(&stamp.to_be_bytes());
            bytes.truncate(HEADER_BYTES + frames as usize * 3);
            if n % 99 != 98 {
                wire.receiver.on_packet(wire.now, &bytes, &mut wire.tape);
            }
            if (at + frames) / PACKET > at / PACKET {
                wire.tick();
            }
            at += frames;
        }
        let (tape, counters) = wire.finish();
        assert_eq!(counters.timestamp_jumps, 0, "{short} and {long}");
        let (all, told): (Vec<_>, Vec<_>) = tape.gaps.iter().map(|gap| (gap.frames.0, gap.cause)).unzip();
        assert_eq!(all, [short, long].repeat(5).into_iter().map(u64::from).collect::<Vec<_>>());
        assert!(told.iter().all(|&cause| cause == GapCause::Loss), "{told:?}");
    }
}
