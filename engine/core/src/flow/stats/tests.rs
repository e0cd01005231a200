//! Figures of made-up legs whose truth is known.

use audyn_units::{PayloadType, SeqNo};

use super::*;

const RATE: SampleRate = SampleRate::HZ_48000;

/// Packet `n` of 48 frames, `late_us` after its time.
fn packet(n: i64, late_us: i64) -> Arrived {
    Arrived {
        arrival: Timestamp::from_nanos(n * 1_000_000 + late_us * 1_000),
        header: Header {
            marker: false,
            payload_type: PayloadType::DYNAMIC,
            sequence: SeqNo((65_000 + n) as u16),
            timestamp: RtpTime((u64::from(u32::MAX) - 10_000 + n as u64 * 48) as u32),
            ssrc: Ssrc(7),
        },
        frames: 48,
        bytes: 300,
        marks: Marks { source: Some([192, 0, 2, 1].into()), dscp: Some(34), ttl: Some(15) },
        link_offset: Some(Nanos::from_micros(1_000 + late_us)),
    }
}

fn of(packets: impl IntoIterator<Item = Arrived>) -> LegStats {
    let mut stats = LegStats::new(RATE);
    packets.into_iter().for_each(|packet| stats.observe(&packet));
    stats
}

/// A packet as if it had come `us` after the time of packet `n`.
fn at(packet: Arrived, n: i64, us: i64) -> Arrived {
    Arrived { arrival: Timestamp::from_nanos(n * 1_000_000 + us * 1_000), ..packet }
}

#[test]
fn a_clean_leg() {
    let stats = of((0..10_000).map(|n| packet(n, 0)));
    let all = stats.since_start();
    assert_eq!((all.packets, all.bytes, all.lost, all.lost_frames), (10_000, 3_000_000, 0, 0));
    assert_eq!((all.reordered, all.duplicated, all.late), (0, 0, 0));
    assert_eq!((stats.jitter(), all.jitter_max, all.ts_df_max), (Nanos(0), Nanos(0), Some(Nanos(0))));
    assert_eq!(all.interval, Extent(Some((Nanos::from_millis(1), Nanos::from_millis(1)))));
    assert_eq!((all.interval_mean(), stats.rfc_lost(), stats.restarts()), (Nanos::from_millis(1), 0, 0));
    assert_eq!(stats.dscps().collect::<Vec<_>>(), [34]);
    assert_eq!((stats.ttl(), stats.marks().source), (Some((15, 15)), Some([192, 0, 2, 1].into())));
    assert_eq!(stats.link_offset(), Some(Nanos::from_millis(1)));
}

#[test]
fn each_fault_is_counted_as_what_it_is() {
    let mut packets: Vec<_> = (0..2_000).map(|n| packet(n, 0)).collect();
    packets.remove(1_000); // lost
    packets.drain(500..503); // lost
    let held = packets.remove(300); // comes after the next two
    packets.insert(302, at(held, 302, 500));
    let copy = packets[100];
    packets.insert(101, at(copy, 100, 200)); // comes twice
    let stats = of(packets);
    let all = stats.since_start();
    assert_eq!((all.packets, all.lost, all.lost_frames), (1_997, 4, 4 * 48));
    assert_eq!((all.reordered, all.duplicated), (1, 1));
    assert_eq!((stats.expected(), stats.rfc_lost()), (2_000, 3), "a copy hides a loss from RFC 3550 A.3");
    assert_eq!(stats.strays() + stats.restarts() + stats.jumps() + stats.foreign(), 0);
}

#[test]
fn jitter_is_the_rfcs_recurrence() {
    let late = |n: i64| n * 7_919 % 400;
    let stats = of((0..5_000).map(|n| packet(n, late(n))));
    let (mut jitter, mut greatest, mut sum) = (0.0f64, 0.0f64, 0.0f64);
    for n in 1..5_000 {
        jitter += ((late(n) - late(n - 1)).abs() as f64 * 1_000.0 - jitter) / 16.0;
        greatest = greatest.max(jitter);
        sum += jitter;
    }
    let all = stats.since_start();
    for (ours, theirs) in
        [(stats.jitter(), jitter), (all.jitter_max, greatest), (all.jitter_mean(), sum / 5_000.0)]
    {
        assert!((ours.0 as f64 - theirs).abs() < 2.0, "{ours:?} beside {theirs}");
    }
    assert_eq!(stats.jitter_ticks(), RATE.frames_in(stats.jitter()));
    assert_eq!(all.ts_df_max, Some(Nanos::from_micros(399)));
    assert_eq!(all.link_offset, Extent(Some((Nanos::from_micros(1_000), Nanos::from_micros(1_399)))));
}

#[test]
fn loss_is_no_jump_where_packets_are_of_two_lengths() {
    // 12 and 48 frames in turn, which come in bursts of 4 ms; now and then one of either is lost.
    let packets = (0..1_000).filter(|n| n % 99 != 98).map(|n| {
        let (ticks, frames) = (n / 2 * 60 + n % 2 * 12, if n % 2 == 1 { 48 } else { 12 });
        let mut one = packet(n, 0);
        one.header.timestamp = RtpTime(ticks as u32);
        Arrived { arrival: Timestamp::from_nanos(ticks / 192 * 4_000_000), frames, ..one }
    });
    let stats = of(packets);
    let all = stats.since_start();
    assert_eq!((stats.jumps(), stats.restarts(), all.lost, all.lost_frames), (0, 0, 10, 5 * 60));
}

#[test]
fn a_jump_of_the_timestamps_is_no_jitter() {
    let jumped = (0..3_000).map(|n| {
        let mut one = packet(n, 0);
        if n >= 1_000 {
            one.header.timestamp = one.header.timestamp.advanced(10_000_000);
        }
        one
    });
    let stats = of(jumped);
    assert_eq!((stats.jumps(), stats.restarts()), (1, 0));
    let all = stats.since_start();
    assert_eq!((all.jitter_max, all.ts_df_max, all.lost, all.lost_frames), (Nanos(0), Some(Nanos(0)), 0, 0));
}

#[test]
fn a_leap_of_the_timestamps_is_a_jump_and_no_loss() {
    let leapt = (0..3_000).map(|n| {
        let mut one = packet(n, 0);
        if n >= 1_000 {
            one.header.timestamp = one.header.timestamp.advanced(4_800);
        }
        one
    });
    let stats = of(leapt);
    let all = stats.since_start();
    assert_eq!((stats.jumps(), all.lost, all.lost_frames), (1, 0, 0));
    assert_eq!(all.jitter_max, Nanos(0));
}

#[test]
fn a_pause_on_a_running_clock_misses_frames_and_no_packets() {
    let paused = (0..2_000).map(|n| {
        let mut one = packet(if n < 1_000 { n } else { n + 50 }, 0);
        one.header.sequence = packet(n, 0).header.sequence;
        one
    });
    let stats = of(paused);
    let all = stats.since_start();
    assert_eq!((all.lost, all.lost_frames, stats.jumps()), (0, 50 * 48, 0));
}

#[test]
fn a_sender_at_another_address_is_foreign_until_it_is_followed() {
    let mut stats = of((0..1_000).map(|n| packet(n, 0)));
    (0..40).for_each(|_| stats.note_elsewhere());
    stats.note_moved();
    (1_040..2_000).for_each(|n| stats.observe(&packet(n, 0)));
    let all = stats.since_start();
    assert_eq!((stats.foreign(), stats.restarts(), stats.jumps()), (40, 1, 0));
    assert_eq!((all.packets, all.lost, all.lost_frames), (1_960, 0, 0));
}

#[test]
fn another_source_takes_over_only_after_a_silence() {
    let other = |n| {
        let mut one = packet(n, 300);
        one.header.ssrc = Ssrc(8);
        one.header.sequence = SeqNo((n as u16).wrapping_mul(1) + 5);
        one
    };
    let both = (0..1_000).flat_map(|n| [packet(n, 0), other(n)]);
    let stats = of(both.chain((1_000..2_000).map(other)));
    assert_eq!(stats.ssrc(), Some(Ssrc(8)));
    assert_eq!(stats.foreign(), 1_000 + 39, "40 ms of silence, less the first packet after it");
    let all = stats.since_start();
    assert_eq!((all.packets, all.lost, stats.restarts()), (1_000 + 961, 0, 1));
    assert_eq!(stats.expected(), 1_961);
}

#[test]
fn a_restart_counts_both_packets_that_made_it_believed() {
    let mut again: Vec<_> = (0..1_000).map(|n| packet(n, 0)).collect();
    again.extend((1_000..2_000).map(|n| {
        let mut one = packet(n, 0);
        one.header.sequence = SeqNo(n as u16 + 20_000);
        one.header.timestamp = RtpTime(n as u32 * 48);
        one
    }));
    let stats = of(again);
    let all = stats.since_start();
    assert_eq!((all.packets, all.lost, stats.restarts(), stats.strays()), (2_000, 0, 1, 0));
    assert_eq!((all.jitter_max, all.ts_df_max), (Nanos(0), Some(Nanos(0))));
}

#[test]
fn the_last_minute_forgets() {
    let mut packets: Vec<_> = (0..100_000).map(|n| packet(n, 0)).collect();
    packets.remove(90_000);
    packets.drain(20_000..20_010);
    let mut stats = of(packets);
    stats.note_late();
    let now = Timestamp::from_nanos(99_999_000_000);
    let (all, minute) = (stats.since_start(), stats.last_minute(now));
    assert_eq!((all.packets, all.lost), (99_989, 11));
    // From 40 s on: the second at hand and 59 before.
    assert_eq!((minute.packets, minute.lost, minute.lost_frames, minute.late), (59_999, 1, 48, 1));
    assert_eq!(minute.intervals.0.iter().sum::<u64>(), 59_999);
    assert_eq!(minute.interval_mean(), Nanos(1_000_016));
    assert_eq!(minute.bytes, 59_999 * 300);
    let later = stats.last_minute(Timestamp::from_nanos(200_000_000_000));
    assert_eq!(later, LegFigures::default());
    assert_eq!(stats.last_minute(Timestamp::from_nanos(155_500_000_000)).packets, 4_000);
}

#[test]
fn what_a_minute_misses_may_come_in_the_next() {
    let mut packets: Vec<_> = (0..1_005).map(|n| packet(n, 0)).collect();
    let held = packets.remove(998);
    packets.push(at(held, 1_006, 0));
    let stats = of(packets);
    assert_eq!(stats.since_start().lost, 0);
    assert_eq!(stats.last_minute(Timestamp::from_nanos(1_006_000_000)).lost, 0);
    assert_eq!(stats.last_minute(Timestamp::from_nanos(60_500_000_000)).lost, 0, "less than none is none");
}

#[test]
fn link_offsets_are_exact_to_the_nanosecond() {
    let tai = Timestamp::from_nanos(1_700_000_000_000_123_456);
    let frames = RATE.frames_in(Nanos(tai.as_nanos())).0 as u32;
    let of = |ago: i64, offset: u32| {
        let timestamp = RtpTime(frames.wrapping_add(offset).wrapping_sub(ago as u32));
        link_offset(tai, offset, timestamp, RATE).0
    };
    // What has passed of the frame at hand.
    let part = of(0, 0);
    assert!((0..20_834).contains(&part), "{part}");
    assert_eq!(of(48, 0), 1_000_000 + part);
    assert_eq!(of(48, 2_911_906_980), 1_000_000 + part, "the description's offset falls out");
    assert_eq!(of(-48, 7), part - 1_000_000, "a timestamp in the future");
}

#[test]
fn what_a_dead_leg_misses_is_lost_before_it_returns_and_counted_once() {
    let mut stats = of((0..1_000).map(|n| packet(n, 0)));
    let now = |n: i64| Timestamp::from_nanos(n * 1_000_000);
    for second in 0..5 {
        stats.note_missed(now(2_000 + second * 1_000), 900, 48);
        let told = 900 * (second as u64 + 1);
        let (all, minute) = (stats.since_start(), stats.last_minute(now(2_000 + second * 1_000)));
        assert_eq!(
            (all.lost, all.lost_frames, minute.lost, minute.lost_frames),
            (told, told * 48, told, told * 48)
        );
        assert_eq!((stats.expected(), stats.rfc_lost()), (1_000 + told, told as i64));
    }
    // Its own numbers tell the rest: 5,000 are missing, of which 4,500 are counted.
    (6_000..7_000).for_each(|n| stats.observe(&packet(n, 0)));
    let (all, minute) = (stats.since_start(), stats.last_minute(now(7_000)));
    assert_eq!(
        (all.lost, all.lost_frames, minute.lost, minute.lost_frames),
        (5_000, 240_000, 5_000, 240_000)
    );
    assert_eq!((stats.expected(), stats.rfc_lost(), stats.restarts()), (7_000, 5_000, 0));
}

#[test]
fn what_was_missed_stays_lost_where_another_source_follows_and_where_none_was_before() {
    for heard in [1_000, 0] {
        let mut stats = of((0..heard).map(|n| packet(n, 0)));
        stats.note_missed(Timestamp::from_nanos(3_000_000_000), 2_000, 48);
        for n in 5_000..6_000 {
            let mut one = packet(n, 0);
            one.header.ssrc = Ssrc(8);
            stats.observe(&one);
        }
        let all = stats.since_start();
        assert_eq!((all.lost, all.lost_frames), (2_000, 96_000));
        assert_eq!((stats.expected(), stats.rfc_lost()), (heard as u64 + 3_000, 2_000));
    }
}
