//! The receiver against a wire that a test bends by hand. Each sample carries the frame's number on the sender's
//! clock, so a frame in the wrong place shows itself. Random impairments are the simulation's business.

use audyn_units::{
    ChannelCount, Encoding, FrameCount, FrameIndex, Mono, Nanos, PayloadType, RtpTime, SampleRate, SeqNo,
    Ssrc, Timestamp,
};
use audyn_wire::rtp::{HEADER_BYTES, Header};

use super::*;

mod clock;
mod leaps;
mod missed;
mod patience;
mod pins;

const BASE: FrameIndex = FrameIndex(1_000_000);
const MS: i64 = 1_000_000;
const PACKET: u32 = 48;

/// Checks what every output must keep, and remembers the rest.
#[derive(Default)]
struct Tape {
    next: Option<FrameIndex>,
    /// Runs of audio: where, and the first and last sample's number.
    audio: Vec<(u64, i32)>,
    filled: u64,
    gaps: Vec<Gap>,
    opened: usize,
    open: bool,
    events: Vec<FlowEvent>,
    placed: Vec<Placed>,
}

impl Tape {
    fn advance(&mut self, at: FrameIndex, frames: u64) {
        assert!(frames > 0);
        assert_eq!(at, self.next.unwrap_or(at), "not contiguous");
        self.next = Some(at + FrameCount(frames));
    }

    /// Offsets between where frames stand and the numbers that they carry, each once, in order.
    fn offsets(&self) -> Vec<i64> {
        let mut offsets: Vec<i64> = self.audio.iter().map(|&(at, n)| at as i64 - i64::from(n)).collect();
        offsets.dedup();
        offsets
    }
}

impl FlowSink for Tape {
    fn placed(&mut self, placed: &Placed) {
        assert!(!self.open, "a stretch begins within a gap");
        self.next = Some(placed.position);
        self.placed.push(*placed);
    }
    fn audio(&mut self, at: FrameIndex, samples: &[i32]) {
        self.advance(at, samples.len() as u64);
        self.audio.extend((at.0..).zip(samples.iter().map(|s| s >> 8)));
    }
    fn silence(&mut self, at: FrameIndex, frames: FrameCount) {
        self.advance(at, frames.0);
        self.filled += frames.0;
    }
    fn gap_opened(&mut self, _: Gap) {
        self.opened += 1;
        self.open = true;
    }
    fn gap_closed(&mut self, gap: Gap) {
        self.open = false;
        self.gaps.push(gap);
    }
    fn event(&mut self, event: FlowEvent) {
        self.events.push(event);
    }
}

struct Wire {
    receiver: Receiver,
    tape: Tape,
    ssrc: u32,
    /// What is added to a packet's number to make its sequence number and its timestamp.
    seq: u16,
    ts: u32,
    now: Timestamp<Mono>,
}

impl Wire {
    fn new() -> Self {
        let format = FlowFormat {
            encoding: Encoding::L24,
            rate: SampleRate::HZ_48000,
            channels: ChannelCount::MONO,
            payload_type: PayloadType::DYNAMIC,
        };
        // Both counters wrap a few packets in.
        Self {
            receiver: Receiver::new(format, BASE),
            tape: Tape::default(),
            ssrc: 1,
            seq: u16::MAX - 4,
            ts: u32::MAX - 400,
            now: Timestamp::from_nanos(77 * MS),
        }
    }

    fn datagram(&self, n: u32) -> Vec<u8> {
        let mut fixed = [0; HEADER_BYTES];
        Header {
            marker: false,
            payload_type: PayloadType::DYNAMIC,
            sequence: SeqNo(self.seq.wrapping_add(n as u16)),
            timestamp: RtpTime(self.ts.wrapping_add(n.wrapping_mul(PACKET))),
            ssrc: Ssrc(self.ssrc),
        }
        .write(&mut fixed);
        let mut bytes = fixed.to_vec();
        for i in 0..PACKET {
            bytes.extend_from_slice(&n.wrapping_mul(PACKET).wrapping_add(i).to_be_bytes()[1..]);
        }
        bytes
    }

    /// Packet `n` arrives, `now` being as it is.
    fn arrives(&mut self, n: u32) {
        let bytes = self.datagram(n);
        self.receiver.on_packet(self.now, &bytes, &mut self.tape);
    }

    /// A millisecond passes.
    fn tick(&mut self) {
        self.now += Nanos(MS);
        self.receiver.on_time(self.now, &mut self.tape);
    }

    fn run(&mut self, packets: std::ops::Range<u32>) {
        for n in packets {
            self.arrives(n);
            self.tick();
        }
    }

    fn quiet(&mut self, millis: u32) {
        for _ in 0..millis {
            self.tick();
        }
    }

    fn finish(mut self) -> (Tape, FlowCounters) {
        self.receiver.flush(&mut self.tape);
        let end = self.receiver.position();
        let given = self.tape.audio.len() as u64 + self.tape.filled;
        assert_eq!(end.since(BASE).0, given, "frames written + filled = frames elapsed");
        assert_eq!(self.receiver.counters().lost_frames, self.tape.filled);
        (self.tape, *self.receiver.counters())
    }
}

#[test]
fn in_order_across_both_wraps() {
    let mut wire = Wire::new();
    wire.run(0..100);
    let (tape, counters) = wire.finish();
    assert_eq!(tape.audio.len(), 4_800);
    assert_eq!(tape.offsets(), [BASE.0 as i64]);
    assert_eq!(counters.received, 100);
    assert!(tape.gaps.is_empty());
}

#[test]
fn a_lost_packet_is_filled_and_nothing_after_it_moves() {
    let mut wire = Wire::new();
    wire.run(0..20);
    wire.tick();
    wire.run(21..60);
    let (tape, counters) = wire.finish();
    assert_eq!(tape.offsets(), [BASE.0 as i64]);
    let gap = Gap {
        position: BASE + FrameCount(20 * 48),
        frames: FrameCount(48),
        cause: GapCause::Loss,
        estimated: false,
    };
    assert_eq!(tape.gaps, [gap]);
    assert_eq!((counters.lost_frames, counters.gaps), (48, 1));
}

#[test]
fn reordered_and_repeated_packets_leave_no_trace() {
    let mut wire = Wire::new();
    wire.run(0..10);
    for n in [12, 11, 11, 10, 13, 13, 15, 14, 16] {
        wire.arrives(n);
        wire.tick();
    }
    wire.run(17..40);
    let (tape, counters) = wire.finish();
    assert_eq!(tape.audio.len(), 40 * 48);
    assert_eq!(tape.offsets(), [BASE.0 as i64]);
    assert_eq!((counters.reordered, counters.duplicated, counters.late, counters.gaps), (3, 2, 0, 0));
}

#[test]
fn a_late_packet_after_a_burst_of_loss_still_finds_its_place() {
    // 15 packets are lost, or 900, and the next one is passed by 10 others: alone it would be well within the window.
    for lost in [15, 900] {
        let mut wire = Wire::new();
        wire.run(0..50);
        wire.quiet(lost + 1);
        let late = 50 + lost;
        wire.run(late + 1..late + 11);
        wire.arrives(late);
        wire.run(late + 11..late + 100);
        let (tape, counters) = wire.finish();
        assert_eq!(tape.offsets(), [BASE.0 as i64]);
        assert_eq!((counters.reordered, counters.late, counters.gaps), (1, 0, 1));
        assert_eq!(tape.gaps[0].frames.0, u64::from(lost) * 48);
    }
}

#[test]
fn a_packet_behind_the_window_is_late_and_changes_nothing() {
    let mut wire = Wire::new();
    wire.run(0..10);
    wire.run(11..60);
    wire.arrives(10);
    wire.arrives(9);
    wire.run(60..70);
    let (tape, counters) = wire.finish();
    assert_eq!(tape.offsets(), [BASE.0 as i64]);
    assert_eq!((counters.late, counters.duplicated, counters.gaps), (1, 1, 1));
}

#[test]
fn an_outage_with_timestamps_that_go_on_is_one_exact_gap() {
    let mut wire = Wire::new();
    wire.run(0..100);
    wire.quiet(2_500);
    let grown = wire.tape.filled;
    assert!(
        (60_000..=72_000).contains(&grown),
        "silence follows a second behind: {grown} frames after 2.5 s"
    );
    wire.quiet(500);
    wire.run(3_100..3_200);
    let (tape, _) = wire.finish();
    assert_eq!(tape.offsets(), [BASE.0 as i64]);
    let gap = Gap {
        position: BASE + FrameCount(4_800),
        frames: FrameCount(3_000 * 48),
        cause: GapCause::Outage,
        estimated: false,
    };
    assert_eq!(tape.gaps, [gap]);
    assert_eq!(tape.opened, 1);
}

#[test]
fn a_burst_after_a_stall_below_the_margin_loses_nothing() {
    let mut wire = Wire::new();
    wire.run(0..100);
    wire.quiet(950);
    for n in 100..1_050 {
        wire.arrives(n);
    }
    wire.run(1_050..1_100);
    let (tape, counters) = wire.finish();
    assert_eq!(tape.audio.len(), 1_100 * 48);
    assert_eq!((counters.gaps, counters.late), (0, 0));
}

#[test]
fn a_burst_after_a_longer_stall_keeps_its_places() {
    let mut wire = Wire::new();
    wire.run(0..100);
    wire.quiet(3_000);
    for n in 100..3_100 {
        wire.arrives(n);
    }
    wire.run(3_100..3_200);
    let (tape, counters) = wire.finish();
    assert_eq!(tape.offsets(), [BASE.0 as i64]);
    assert_eq!(tape.gaps.len(), 1);
    assert!(counters.late > 1_900, "what was written as silence stays silence");
}

#[test]
fn a_sender_whose_clock_stood_still_is_placed_by_arrival() {
    let mut wire = Wire::new();
    wire.run(0..100);
    wire.quiet(3_000);
    wire.run(100..400);
    let (tape, _) = wire.finish();
    assert_eq!(tape.gaps.len(), 1);
    let gap = tape.gaps[0];
    assert!(gap.estimated);
    assert_eq!(gap.cause, GapCause::Outage);
    assert!(gap.frames.0.abs_diff(3_000 * 48) <= 96, "{gap:?}");
    assert_eq!(tape.audio.len(), 400 * 48, "no frame of it is dropped");
}

#[test]
fn a_new_ssrc_on_the_same_media_clock_is_exact() {
    let mut wire = Wire::new();
    wire.run(0..100);
    wire.ssrc = 2;
    wire.seq = 30_000;
    wire.run(103..300);
    let (tape, counters) = wire.finish();
    assert_eq!(tape.offsets(), [BASE.0 as i64]);
    assert_eq!(counters.ssrc_changes, 1);
    let gap = Gap {
        position: BASE + FrameCount(4_800),
        frames: FrameCount(3 * 48),
        cause: GapCause::SsrcChange,
        estimated: false,
    };
    assert_eq!(tape.gaps, [gap]);
}

#[test]
fn a_new_ssrc_with_other_timestamps_is_placed_by_arrival() {
    let mut wire = Wire::new();
    wire.run(0..100);
    wire.quiet(500);
    wire.ssrc = 2;
    wire.seq = 30_000;
    wire.ts = 123_456_789;
    wire.run(100..300);
    let (tape, _) = wire.finish();
    assert_eq!(tape.audio.len(), 300 * 48);
    assert_eq!(tape.gaps.len(), 1);
    assert!(tape.gaps[0].estimated);
    assert!(tape.gaps[0].frames.0.abs_diff(500 * 48) <= 48, "{:?}", tape.gaps);
}

#[test]
fn a_timestamp_jump_without_loss_is_a_joint() {
    for jump in [1_000_000_u32, 2_400, (-1_000_000_i32) as u32, (-2_400_i32) as u32, 1 << 31] {
        let mut wire = Wire::new();
        wire.run(0..100);
        wire.ts = wire.ts.wrapping_add(jump);
        wire.run(100..300);
        let (tape, counters) = wire.finish();
        if jump == 2_400 {
            // 50 ms ahead may be a sender that leaves silence out: the timestamps are believed (see `leaps`).
            assert_eq!(tape.gaps.len(), 1);
            assert_eq!(tape.gaps[0].frames, FrameCount(2_400));
            continue;
        }
        assert_eq!(tape.offsets(), [BASE.0 as i64], "jump {jump}");
        assert_eq!(tape.audio.len(), 300 * 48, "jump {jump}");
        assert_eq!(counters.timestamp_jumps, 1);
        assert_eq!(tape.gaps.len(), 1);
        assert_eq!((tape.gaps[0].frames, tape.gaps[0].estimated), (FrameCount::ZERO, true));
    }
}

#[test]
fn copies_from_before_a_jump_do_not_bring_the_old_timestamps_back() {
    let mut wire = Wire::new();
    wire.run(0..100);
    let old = wire.ts;
    wire.ts = wire.ts.wrapping_sub(457_886);
    wire.run(100..103);
    wire.ts = old;
    wire.arrives(98);
    wire.arrives(99);
    wire.ts = wire.ts.wrapping_sub(457_886);
    wire.run(103..200);
    let (tape, counters) = wire.finish();
    assert_eq!(tape.offsets(), [BASE.0 as i64]);
    assert_eq!(tape.audio.len(), 200 * 48);
    assert_eq!((counters.timestamp_jumps, counters.late, tape.gaps.len()), (1, 2, 1));
}

#[test]
fn copies_from_before_a_sequence_reset_are_late() {
    // To the new numbers, the old ones are ahead or behind.
    for seq in [40_000u16, 100] {
        let mut wire = Wire::new();
        wire.run(0..100);
        let old = std::mem::replace(&mut wire.seq, seq);
        wire.run(100..103);
        let new = std::mem::replace(&mut wire.seq, old);
        wire.arrives(98);
        wire.arrives(99);
        wire.seq = new;
        wire.run(103..200);
        let (tape, counters) = wire.finish();
        assert_eq!(tape.offsets(), [BASE.0 as i64]);
        assert_eq!(tape.audio.len(), 200 * 48);
        assert_eq!((counters.sequence_resets, counters.late, counters.gaps), (1, 2, 0), "to {seq}");
    }
}

#[test]
fn a_path_that_became_longer_still_bears_reordering() {
    let mut wire = Wire::new();
    wire.run(0..100);
    wire.quiet(100);
    for n in (100..1_000).step_by(2) {
        wire.arrives(n + 1);
        wire.tick();
        wire.arrives(n);
        wire.tick();
    }
    let (tape, counters) = wire.finish();
    assert_eq!(tape.audio.len(), 1_000 * 48);
    assert_eq!((counters.late, counters.gaps), (0, 0));
}

#[test]
fn a_jump_beside_a_stranger_is_still_the_flow_s_own() {
    let mut wire = Wire::new();
    let stranger = Wire { ssrc: 9, ts: 5, ..Wire::new() };
    for n in 0..300 {
        if n == 100 {
            wire.ts = wire.ts.wrapping_add(1_000_000);
        }
        if n >= 50 {
            let bytes = stranger.datagram(n + 10_000);
            wire.receiver.on_packet(wire.now, &bytes, &mut wire.tape);
        }
        wire.arrives(n);
        wire.tick();
    }
    let (tape, counters) = wire.finish();
    assert_eq!(counters.ssrc_changes, 0);
    assert_eq!(tape.offsets(), [BASE.0 as i64]);
    assert!(tape.audio.len() >= 299 * 48);
}

#[test]
fn a_sequence_reset_with_timestamps_that_go_on_loses_nothing() {
    for seq in [0u16, 20_000, 65_500] {
        let mut wire = Wire::new();
        wire.run(0..100);
        wire.seq = seq;
        wire.run(100..200);
        let (tape, counters) = wire.finish();
        assert_eq!(tape.audio.len(), 200 * 48, "to {seq}");
        assert_eq!(tape.offsets(), [BASE.0 as i64]);
        assert_eq!((counters.sequence_resets, counters.gaps), (1, 0), "to {seq}");
    }
}

#[test]
fn a_stranger_on_the_group_never_gets_in() {
    let mut wire = Wire::new();
    let stranger = Wire { ssrc: 9, ts: 5, ..Wire::new() };
    for n in 0..1_000 {
        wire.arrives(n);
        let bytes = stranger.datagram(n + 500_000 / 48);
        wire.receiver.on_packet(wire.now, &bytes, &mut wire.tape);
        wire.tick();
    }
    let (tape, counters) = wire.finish();
    assert_eq!(tape.audio.len(), 48_000);
    assert_eq!(tape.offsets(), [BASE.0 as i64]);
    assert!(counters.foreign_source >= 990);
}

#[test]
fn rubbish_is_counted_by_cause_and_never_played() {
    let mut wire = Wire::new();
    wire.run(0..10);
    let good = wire.datagram(10);
    let mut version = good.clone();
    version[0] = 0x40;
    let mut kind = good.clone();
    kind[1] = 97;
    let mut csrc = good[..20].to_vec();
    csrc[0] = 0x8f;
    let cut = good[..good.len() - 1].to_vec();
    let empty = good[..12].to_vec();
    let huge = [&good[..12], &[0; 1_500][..]].concat();
    for bytes in [&good[..11], &version, &kind, &csrc, &cut, &empty, &huge, &[][..]] {
        wire.receiver.on_packet(wire.now, bytes, &mut wire.tape);
    }
    wire.receiver.on_oversized(Leg::First);
    wire.run(10..20);
    let (tape, c) = wire.finish();
    assert_eq!(tape.audio.len(), 20 * 48);
    assert_eq!(
        (c.too_short, c.bad_version, c.malformed, c.wrong_payload_type, c.wrong_size, c.oversized),
        (2, 1, 1, 1, 3, 1)
    );
}

#[test]
fn an_ssrc_change_survives_a_flood_of_strays() {
    let mut wire = Wire::new();
    let mut stray = Wire { ssrc: 100, ..Wire::new() };
    // Of 20,000 random datagrams a second about 40 pass for RTP of the right type and size; here it is 100.
    for n in 0..300 {
        wire.ssrc = if n < 100 { 1 } else { 2 };
        if n % 10 == 3 {
            stray.ssrc += 1;
            let bytes = stray.datagram(stray.ssrc * 7_919);
            wire.receiver.on_packet(wire.now, &bytes, &mut wire.tape);
        }
        wire.run(n..n + 1);
    }
    let (tape, _) = wire.finish();
    assert_eq!(tape.offsets(), [BASE.0 as i64]);
    assert_eq!(tape.audio.len(), 300 * 48);
}

#[test]
fn a_flow_that_returns_after_a_day_is_placed_exactly() {
    let mut wire = Wire::new();
    wire.run(0..10_000);
    // 26 hours: the timestamp has wrapped, the sequence number many times.
    let away = 26 * 3_600 * 1_000_u32;
    for _ in 0..26 * 60 {
        wire.now += Nanos::from_secs(60);
        wire.receiver.on_time(wire.now, &mut wire.tape);
    }
    // Frame numbers no longer fit into 24 bits; compare modulo.
    wire.run(10_000 + away..10_100 + away);
    let tape = &wire.tape;
    assert_eq!(tape.gaps.len(), 1, "{:?}", tape.gaps);
    let gap = tape.gaps[0];
    assert_eq!((gap.frames.0, gap.estimated), (u64::from(away) * 48, false));
}

#[test]
fn short_packets_may_be_as_late_as_the_window_is_long() {
    // 6 frames a packet, 160 in the window. One is passed by 150 others; another by 139, over a pause in which the sequence
    // numbers stood still.
    let mut wire = Wire::new();
    let packet = |wire: &Wire, n: u32| {
        let frame = n * 6 + if n < 1_000 { 0 } else { 4_800 };
        let mut bytes = wire.datagram(n)[..12 + 18].to_vec();
        bytes[4..8].copy_from_slice(&wire.ts.wrapping_add(frame).to_be_bytes());
        for (i, sample) in bytes[12..].chunks_exact_mut(3).enumerate() {
            sample.copy_from_slice(&(frame + i as u32).to_be_bytes()[1..]);
        }
        bytes
    };
    let order = (0..990).chain(991..1_000).chain(1_000..1_130).chain([990]).chain(1_130..1_200);
    let order = order.chain(1_201..1_351).chain([1_200]).chain(1_351..2_000);
    for n in order {
        if n == 1_000 {
            wire.now += Nanos(100 * MS);
        }
        let bytes = packet(&wire, n);
        wire.receiver.on_packet(wire.now, &bytes, &mut wire.tape);
        wire.now += Nanos(MS / 8);
    }
    let (tape, counters) = wire.finish();
    assert_eq!(tape.offsets(), [BASE.0 as i64]);
    // The one before the pause came when its place was long filled.
    assert_eq!(tape.audio.len(), 1_999 * 6);
    assert_eq!((counters.reordered, counters.late, counters.sequence_resets), (1, 1, 0));
}

#[test]
fn packets_may_change_their_length() {
    let mut wire = Wire::new();
    wire.run(0..50);
    // 6 frames a packet from here on, in step with the same clock.
    let ts = wire.ts.wrapping_add(50 * 48);
    for n in 0..800u32 {
        let mut bytes = wire.datagram(50 + n)[..12 + 18].to_vec();
        bytes[4..8].copy_from_slice(&ts.wrapping_add(n * 6).to_be_bytes());
        for (i, sample) in bytes[12..].chunks_exact_mut(3).enumerate() {
            sample.copy_from_slice(&(50 * 48 + n * 6 + i as u32).to_be_bytes()[1..]);
        }
        wire.receiver.on_packet(wire.now, &bytes, &mut wire.tape);
        wire.now += Nanos(MS / 8);
    }
    let (tape, counters) = wire.finish();
    assert_eq!(tape.audio.len(), 50 * 48 + 800 * 6);
    assert_eq!(tape.offsets(), [BASE.0 as i64]);
    assert_eq!(counters.gaps, 0);
}

/// A mono L16 receiver, and packets of `frames` frames whose samples carry the frame's number modulo 2¹⁶.
fn long_packets(frames: u32) -> (Receiver, impl Fn(u16, u32) -> Vec<u8>) {
    let format = FlowFormat {
        encoding: Encoding::L16,
        rate: SampleRate::HZ_48000,
        channels: ChannelCount::MONO,
        payload_type: PayloadType::DYNAMIC,
    };
    let packet = move |seq: u16, ts: u32| {
        let mut fixed = [0; HEADER_BYTES];
        Header {
            marker: false,
            payload_type: PayloadType::DYNAMIC,
            sequence: SeqNo(seq),
            timestamp: RtpTime(ts),
            ssrc: Ssrc(1),
        }
        .write(&mut fixed);
        let samples = (ts..ts + frames).flat_map(|n| (n as u16).to_be_bytes());
        fixed.into_iter().chain(samples).collect()
    };
    (Receiver::new(format, BASE), packet)
}

#[test]
fn packets_as_long_as_ethernet_takes_keep_their_places() {
    let (mut receiver, packet) = long_packets(744);
    let mut tape = Tape::default();
    let mut now = Timestamp::ZERO;
    for n in 0..60u16 {
        if !(5..11).contains(&n) && n != 13 {
            receiver.on_packet(now, &packet(n, u32::from(n) * 744), &mut tape);
        }
        now += Nanos(15_500_000);
        receiver.on_time(now, &mut tape);
    }
    receiver.flush(&mut tape);
    let wrong = tape.audio.iter().find(|&&(at, n)| ((at - BASE.0) as i32) << 16 >> 16 != n >> 8);
    assert_eq!(wrong, None, "a frame stands elsewhere");
    assert_eq!(tape.filled, 7 * 744);
}

#[test]
fn overlapping_packets_cannot_upset_the_window() {
    // Seven packets, the last of which lies 20 frames into the one before.
    let (mut receiver, packet) = long_packets(744);
    let mut tape = Tape::default();
    for (n, early) in [(0, 0), (1, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 20), (8, 20), (30, 0), (31, 7)] {
        receiver.on_packet(
            Timestamp::from_nanos(i64::from(n) * 15_500_000),
            &packet(n, u32::from(n) * 744 - early),
            &mut tape,
        );
    }
    receiver.on_time(Timestamp::from_nanos(5_000_000_000), &mut tape);
    receiver.flush(&mut tape);
}

#[test]
fn a_sender_that_begins_again_as_it_began_before_is_heard() {
    let mut wire = Wire::new();
    wire.run(0..1_000);
    wire.quiet(500);
    let written = wire.tape.audio.len();
    wire.run(0..500);
    let (tape, counters) = wire.finish();
    assert_eq!(tape.audio.len() - written, 500 * 48, "all of the second run");
    assert_eq!((counters.timestamp_jumps, counters.duplicated), (1, 0));
    assert!(tape.gaps[0].estimated && tape.gaps[0].frames.0.abs_diff(500 * 48) <= 48, "{:?}", tape.gaps);
}

#[test]
fn old_copies_beside_a_live_sender_are_not_played() {
    let mut wire = Wire::new();
    wire.run(0..1_000);
    for n in 1_000..2_000 {
        wire.arrives(n);
        wire.arrives(n - 900);
        wire.arrives(n - 899);
        wire.tick();
    }
    let (tape, _) = wire.finish();
    assert_eq!(tape.offsets(), [BASE.0 as i64]);
    assert_eq!(tape.audio.len(), 2_000 * 48);
}

#[test]
fn an_outage_is_as_long_for_a_reader_that_was_held_up() {
    let mut wire = Wire::new();
    wire.run(0..100);
    // The sender's clock stands still for 3 s, and nobody calls `on_time` meanwhile.
    wire.now += Nanos::from_secs(3);
    wire.run(100..400);
    let (tape, _) = wire.finish();
    assert_eq!(tape.audio.len(), 400 * 48);
    assert_eq!(tape.gaps.len(), 1);
    assert!(tape.gaps[0].frames.0.abs_diff(3_000 * 48) <= 96, "{:?}", tape.gaps);
}
