//! Outages in which the counters wrap, and senders that share a group.

use audyn_core::flow::{FlowFormat, Gap, GapCause, Placement};
use audyn_core::sender::{Config, Event, Fault, Format, Impairments, PauseKind};
use audyn_sim::{MachineClock, Path, Stream, World};
use audyn_units::{
    ChannelCount, Encoding, FrameCount, FrameIndex, Mono, Nanos, PayloadType, RtpTime, SampleRate, SeqNo,
    Ssrc, Timestamp,
};

const RATE: SampleRate = SampleRate::HZ_48000;
const START: Timestamp<Mono> = Timestamp::from_nanos(77_000_000_001);
const BASE: FrameIndex = FrameIndex(5_000_000);

const FLOW: FlowFormat = FlowFormat {
    encoding: Encoding::L24,
    rate: RATE,
    channels: ChannelCount::MONO,
    payload_type: PayloadType::DYNAMIC,
};

/// A sender without faults.
fn config(ssrc: u32, packet_frames: u32, packets: u64) -> Config {
    Config {
        format: Format { encoding: FLOW.encoding, rate: RATE, channels: FLOW.channels, packet_frames },
        payload_type: FLOW.payload_type,
        ssrc: Ssrc(ssrc),
        first_sequence: SeqNo(60_000),
        first_timestamp: RtpTime(u32::MAX - 100_000),
        packets: Some(packets),
        seed: u64::from(ssrc),
        impairments: Impairments::default(),
    }
}

fn path(start: Timestamp<Mono>, ppm: i64) -> Path {
    Path { start, ppm, buffer: Nanos::ZERO, jitter: Nanos::from_millis(3) }
}

fn world() -> World {
    World::new(FLOW, BASE, START, Nanos::from_millis(4))
}

fn outage(at: u64, frames: u64) -> Gap {
    Gap {
        position: BASE + FrameCount(at),
        frames: FrameCount(frames),
        cause: GapCause::Outage,
        estimated: false,
    }
}

/// Half a second, a pause, half a second.
fn pause(packet_frames: u32, pause_packets: u64, kind: PauseKind, first_timestamp: RtpTime) {
    let half = 24_000 / u64::from(packet_frames);
    let (at, length) = (half * u64::from(packet_frames), pause_packets * u64::from(packet_frames));
    let fault = Fault::Pause { length: FrameCount(length), kind };
    let events = vec![Event { at: FrameIndex(at), fault }];
    let mut world = world();
    let config = Config {
        first_timestamp,
        impairments: Impairments { events, ..Impairments::default() },
        ..config(1, packet_frames, half + pause_packets + half)
    };
    world
        .add_sender(config, Stream { number: 3, first: FrameIndex(0) }, path(START, 37))
        .expect("the sender is valid");
    world.run_out();
    let (tape, _) = world.finish();
    assert_eq!(tape.offsets(), [BASE.0 as i64], "{pause_packets} packets, {kind:?}");
    assert_eq!(tape.gaps(), [outage(at, length)], "{pause_packets} packets, {kind:?}");
    assert_eq!(tape.written().0, 2 * at);
}

#[test]
fn an_outage_in_which_the_sequence_wraps() {
    // 65,536 packets of 125 µs are 8.192 s: the sequence number is the one that is awaited, or its neighbours.
    for packets in [65_535, 65_536, 65_537, 2 * 65_536] {
        for kind in [PauseKind::Outage, PauseKind::Running] {
            pause(6, packets, kind, RtpTime(1));
        }
    }
}

#[test]
fn an_outage_in_which_the_timestamp_wraps() {
    // The pause is from frame 24,000 to 264,000; the wrap is at its first frame, within, at its last, and after it.
    for wrap in [24_000, 24_001, 100_000, 263_999, 264_000] {
        for kind in [PauseKind::Outage, PauseKind::Running] {
            pause(48, 5_000, kind, RtpTime(0u32.wrapping_sub(wrap)));
        }
    }
}

#[test]
fn an_outage_of_a_day_in_which_every_counter_wraps() {
    // 2^32 frames are 24 h 51 m 18 s. Packets of 64 frames divide it, so that the timestamp after the outage can be the
    // very one that was awaited, with the very sequence number. Clocks may have parted by 9 s meanwhile.
    const PACKET: u64 = 64;
    for ppm in [-100, 0, 100] {
        for frames in [(1 << 32) - 48_000 * PACKET, 1 << 32, (1 << 32) + PACKET, (1 << 33) + 9 * PACKET] {
            let before = 1_500;
            let at = before * PACKET;
            let mut world = world();
            let first = config(1, PACKET as u32, before);
            let stream = Stream { number: 3, first: FrameIndex(0) };
            world.add_sender(first.clone(), stream, path(START, ppm)).unwrap();
            world.run_out();

            let away = RATE.duration(FrameCount(at + frames));
            let back = START + Nanos(away.0 - away.0 / 1_000_000 * ppm);
            let again = Config {
                first_sequence: SeqNo(first.first_sequence.0.wrapping_add(before as u16)),
                first_timestamp: first.first_timestamp.advanced((at + frames) as u32),
                ..first
            };
            let stream = Stream { number: 3, first: FrameIndex(at + frames) };
            world.add_sender(again, stream, path(back, ppm)).unwrap();
            world.set_grid(Nanos::from_secs(1));
            world.run_until(back - Nanos::from_secs(2));
            // The file has grown with the time: a second behind, and what two clocks may part by.
            let grown = RATE.duration(world.receiver().position().since(BASE));
            let behind = (world.now() - START) - grown;
            assert!(
                behind >= Nanos::from_secs(1) && behind <= Nanos::from_secs(1) + away_drift(away),
                "{behind:?}"
            );
            world.set_grid(Nanos::from_millis(4));
            world.run_out();
            let (tape, _) = world.finish();
            assert_eq!(tape.offsets(), [BASE.0 as i64], "{frames} frames at {ppm} ppm");
            assert_eq!(tape.gaps(), [outage(at, frames)], "{frames} frames at {ppm} ppm");
            assert_eq!(tape.written().0, 2 * at);
        }
    }
}

/// The receiver's allowance for drift (200 ppm) and the sender's own (100 ppm), and a second for the cadence.
fn away_drift(away: Nanos) -> Nanos {
    Nanos(away.0 / 1_000_000 * 300) + Nanos::from_secs(1)
}

#[test]
fn two_senders_on_one_group_are_heard_one_after_the_other() {
    let second = |n: i64| START + Nanos::from_secs(n);
    let (a, b) = (Stream { number: 0, first: FrameIndex(0) }, Stream { number: 1, first: FrameIndex(0) });
    let mut world = world();
    // The first for 10 s, the other from second 1 to 20, and the first once more from second 14 on.
    world.add_sender(config(1, 48, 10_000), a, path(START, 50)).unwrap();
    let other = Config { first_timestamp: RtpTime(7), ..config(2, 48, 19_000) };
    world.add_sender(other, b, path(second(1), -50)).unwrap();
    let again = Config {
        first_sequence: SeqNo(60_000u16.wrapping_add(14_000)),
        first_timestamp: RtpTime(u32::MAX - 100_000).advanced(14 * 48_000),
        ..config(1, 48, 4_000)
    };
    let at = FrameIndex(14 * 48_000);
    world.add_sender(again, Stream { first: at, ..a }, path(second(14), 50)).unwrap();
    world.run_out();
    let (tape, counters) = world.finish();

    // Every frame of the first, none of its return; then the other's to its end, without a hole.
    let first = tape.kept(a.number);
    assert_eq!((first.as_slice().len(), first.frames().0), (1, 480_000));
    assert_eq!(first.as_slice()[0].start, FrameIndex(0));
    let other = tape.kept(b.number);
    assert_eq!(other.as_slice().len(), 1);
    assert_eq!(other.as_slice()[0].end(), FrameIndex(19_000 * 48));
    // It begins when the first has ended: 9 s into its own time, but for jitter.
    let begins = other.as_slice()[0].start.0;
    assert!((432_000 - 480..=432_000 + 480).contains(&begins), "the other begins at its index {begins}");
    assert_eq!(counters.ssrc_changes, 1);
    let causes: Vec<_> = tape.gaps().iter().map(|gap| (gap.cause, gap.estimated)).collect();
    assert_eq!(causes, [(GapCause::SsrcChange, true)]);
}

#[test]
fn between_two_frames_an_hour_apart_lie_172_800_000_across_a_restart() {
    // 2026-07-02 14:00:00 TAI, an hour's outage but for half a second at both ends, and another receiver in between.
    let (tai, hour) = (1_783_000_800_u64, 3_600 * 48_000_u64);
    let (at, length) = (24_000, hour - 24_000);
    let fault = Fault::Pause { length: FrameCount(length), kind: PauseKind::Running };
    let impairments =
        Impairments { events: vec![Event { at: FrameIndex(at), fault }], ..Impairments::default() };
    let first_timestamp = RtpTime((tai * 48_000) as u32);
    let config = Config { impairments, first_timestamp, ..config(1, 48, (hour + 24_000) / 48) };
    let mut world = world();
    world.add_sender(config, Stream { number: 1, first: FrameIndex(0) }, path(START, 20)).unwrap();
    let clock = MachineClock {
        origin: (START, Timestamp::from_nanos(tai as i64 * 1_000_000_000)),
        ppm: 20,
        leap_seconds: Nanos::from_secs(37),
        told: Some(Nanos::from_secs(37)),
        turns: Vec::new(),
    };
    world.set_clock(clock, None);
    world.restart(START + Nanos::from_secs(1_000), Nanos::from_secs(5));
    world.run_until(START + Nanos::from_secs(2));
    world.set_grid(Nanos::from_millis(500));
    world.run_until(START + Nanos::from_secs(3_598));
    world.set_grid(Nanos::from_millis(4));
    world.run_out();
    let (tape, _) = world.finish_timed();
    let [one, other] = tape.stretches() else { panic!("{:?}", tape.stretches()) };
    assert_eq!(one.placed.position, FrameIndex(tai * 48_000));
    assert_eq!(other.placed.position.since(one.placed.position), FrameCount(172_800_000));
    assert_eq!(
        (one.placed.placement, other.placed.placement),
        (Placement::MediaClock, Placement::MediaClock)
    );
    assert_eq!(one.offset, other.offset, "the sample that the sender numbered stands where it did");
}
