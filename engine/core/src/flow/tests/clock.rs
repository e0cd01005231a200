//! The receiver and the machine's clock: how a flow is placed, and when it is placed anew.

use audyn_units::ClockQuality;

use super::*;
use crate::clock::TaiReading;

const HZ: i64 = 48_000;
/// TAI at the monotonic clock's zero: some day of 2026.
const TAI: i64 = 1_783_000_800;
const HOUR: i64 = 3_600;

/// A wire whose receiver reads a clock.
struct Clocked {
    wire: Wire,
    /// What our clock is ahead of true TAI.
    ahead: Nanos,
    /// TAI − UTC as it is, and as somebody told it.
    leap_seconds: Nanos,
    tai_offset: Option<Nanos>,
    quality: ClockQuality,
    /// The number of the next packet.
    next: u32,
}

impl Clocked {
    /// The sender's timestamps are true TAI in frames and this much more.
    fn new(offset: u32) -> Self {
        let mut wire = Wire::new();
        let start = i128::from(TAI) * i128::from(HZ)
            + i128::from(wire.now.as_nanos()) * i128::from(HZ) / 1_000_000_000;
        wire.ts = (start as u32).wrapping_add(offset);
        Self {
            wire,
            ahead: Nanos::ZERO,
            leap_seconds: Nanos::from_secs(37),
            tai_offset: Some(Nanos::from_secs(37)),
            quality: ClockQuality::PtpLocked,
            next: 0,
        }
    }

    fn media_clock(mut self, offset: u32) -> Self {
        self.wire.receiver = Receiver::new(*self.wire.receiver.format(), BASE).with_media_clock(Some(offset));
        self
    }

    fn clock(&mut self) {
        let at = self.wire.now;
        let tai = at.as_nanos() + TAI * 1_000_000_000 + self.ahead.0;
        let reading = TaiReading {
            at,
            utc: Timestamp::from_nanos(tai) - self.leap_seconds,
            tai_offset: self.tai_offset,
            quality: self.quality,
        };
        self.wire.receiver.on_clock(reading, &mut self.wire.tape);
    }

    /// So many packets, a millisecond each.
    fn run(&mut self, packets: u32) {
        for n in self.next..self.next + packets {
            self.clock();
            self.wire.arrives(n);
            self.wire.tick();
        }
        self.next += packets;
    }

    /// The sender is away, its clock runs on.
    fn away(&mut self, millis: u32) {
        for _ in 0..millis {
            self.clock();
            self.wire.tick();
        }
        self.next += millis;
    }

    /// The position that a sender's frame 0 has by true TAI.
    fn truth(&self) -> i64 {
        TAI * HZ + 77 * HZ / 1_000
    }

    fn placed(&self) -> Vec<(Placement, Why, i64)> {
        self.wire.tape.placed.iter().map(|p| (p.placement, p.why, p.moved)).collect()
    }

    fn offsets(&mut self) -> Vec<i64> {
        self.wire.receiver.flush(&mut self.wire.tape);
        self.wire.tape.offsets()
    }
}

use Placement::{Arrival, MediaClock};

#[test]
fn a_media_clock_places_a_flow_to_the_frame() {
    for offset in [0, 1, 2_911_906_980] {
        let mut flow = Clocked::new(offset).media_clock(offset);
        // The packets are 300 ms on the way, and our clock is 150 ms ahead.
        flow.wire.now += Nanos::from_millis(300);
        flow.ahead = Nanos::from_millis(150);
        flow.run(1_000);
        assert_eq!(flow.placed(), [(MediaClock, Why::First, 0)], "{offset}");
        assert_eq!(flow.wire.receiver.placement(), Some((MediaClock, ClockQuality::PtpLocked)));
        let truth = flow.truth();
        assert_eq!(flow.offsets(), [truth]);
        assert_eq!(flow.wire.receiver.position().0 as i64, truth + 48_000);
    }
}

#[test]
fn a_flow_that_disagrees_is_placed_by_its_arrival() {
    for off in [31_000, -11_000, 1 << 30] {
        let mut flow = Clocked::new((-off) as u32);
        flow.run(1_000);
        assert_eq!(flow.placed(), [(Arrival, Why::First, 0)], "{off}");
        let truth = flow.truth();
        assert_eq!(flow.offsets(), [truth], "the first frame stands at our TAI");
    }
}

#[test]
fn a_receiver_that_begins_days_later_gives_the_same_positions() {
    let mut flow = Clocked::new(77).media_clock(77);
    let truth = flow.truth();
    // Three days: timestamps have repeated twice.
    let days = 3 * 24 * 3_600 * 1_000;
    flow.wire.now += Nanos::from_secs(3 * 24 * 3_600);
    flow.next = days;
    flow.run(100);
    assert_eq!(flow.wire.tape.placed[0].position.0 as i64, truth + i64::from(days) * 48);
}

#[test]
fn a_step_of_our_clock_moves_only_what_was_placed_by_arrival() {
    for step in [-HOUR, -1, 1, HOUR] {
        for agrees in [true, false] {
            let mut flow = Clocked::new(if agrees { 0 } else { 1 << 30 });
            let truth = flow.truth();
            flow.run(1_000);
            flow.ahead = Nanos::from_secs(step);
            flow.run(10_000);
            if agrees {
                assert_eq!(flow.placed(), [(MediaClock, Why::First, 0)], "{step}");
                assert_eq!(flow.offsets(), [truth]);
                let said = FlowEvent::ClockStepped(Nanos::from_secs(step));
                assert_eq!(flow.wire.tape.events.iter().filter(|&&event| event == said).count(), 1, "{step}");
            } else {
                let why = Why::ClockStepped(Nanos::from_secs(step));
                assert_eq!(flow.placed(), [(Arrival, Why::First, 0), (Arrival, why, step * HZ)], "{step}");
                assert_eq!(flow.offsets(), [truth, truth + step * HZ]);
                let stepped = |event: &FlowEvent| matches!(event, FlowEvent::ClockStepped(_));
                assert!(!flow.wire.tape.events.iter().any(stepped), "it is placed anew, which says so");
            }
            assert!(flow.wire.tape.gaps.is_empty());
        }
    }
}

#[test]
fn a_clock_that_is_lost_and_found_under_a_flow_is_told_and_moves_nothing() {
    use ClockQuality::{PtpFreeRunning, PtpLocked};
    for agrees in [true, false] {
        let mut flow = Clocked::new(if agrees { 0 } else { 1 << 30 });
        let truth = flow.truth();
        // Before the flow is placed, nobody stands on it.
        flow.quality = PtpFreeRunning;
        flow.clock();
        flow.quality = PtpLocked;
        flow.run(1_000);
        for quality in [PtpFreeRunning, PtpLocked] {
            flow.quality = quality;
            flow.run(5_000);
        }
        let told = flow.wire.tape.events.iter().filter_map(|&event| match event {
            FlowEvent::ClockQualityChanged { from, to } => Some((from, to)),
            _ => None,
        });
        assert_eq!(told.collect::<Vec<_>>(), [(PtpLocked, PtpFreeRunning), (PtpFreeRunning, PtpLocked)]);
        assert_eq!(flow.placed().len(), 1);
        assert_eq!(flow.offsets(), [truth]);
    }
}

#[test]
fn a_leap_second_that_is_told_late_moves_nothing() {
    for agrees in [true, false] {
        for leap in [-1, 1] {
            let mut flow = Clocked::new(if agrees { 0 } else { 1 << 30 });
            let truth = flow.truth();
            flow.run(1_000);
            // UTC leaps at once, the word comes a second and a half later.
            flow.leap_seconds = Nanos::from_secs(37 + leap);
            flow.run(1_500);
            flow.tai_offset = Some(flow.leap_seconds);
            flow.run(10_000);
            assert_eq!(flow.placed().len(), 1);
            assert_eq!(flow.offsets(), [truth]);
            let anchor = flow.wire.receiver.time_anchor(flow.wire.now).unwrap();
            let tai = TAI * 1_000_000_000 + flow.wire.now.as_nanos();
            let utc = Timestamp::from_nanos(tai) - flow.leap_seconds;
            let off = anchor.position_of(utc).0 as i64 - (flow.wire.receiver.position().0 as i64);
            assert!((0..=96).contains(&off), "UTC follows: {off}");
        }
    }
}

#[test]
fn a_flow_moves_to_its_media_clock_once_our_clock_is_right() {
    // Booted with the clock an hour slow, and nobody has told the TAI offset.
    let mut flow = Clocked::new(0);
    flow.ahead = Nanos::from_secs(-HOUR);
    flow.tai_offset = None;
    flow.quality = ClockQuality::None;
    let truth = flow.truth();
    flow.run(5_000);
    // PTP locks: the clock steps, then the offset is told.
    flow.ahead = Nanos::ZERO;
    flow.quality = ClockQuality::PtpLocked;
    flow.run(5_000);
    flow.tai_offset = Some(Nanos::from_secs(37));
    flow.run(20_000);
    let (hour, offset) = (Nanos::from_secs(HOUR), Nanos::from_secs(37));
    assert_eq!(
        flow.placed(),
        [
            (Arrival, Why::First, 0),
            (Arrival, Why::ClockStepped(hour), HOUR * HZ),
            (MediaClock, Why::ClockStepped(offset), 37 * HZ)
        ]
    );
    assert_eq!(flow.offsets().last(), Some(&truth));
    assert!(flow.wire.tape.gaps.is_empty(), "nothing is lost by it");
    // It stays, whatever the clock does.
    flow.ahead = hour;
    flow.run(20_000);
    assert_eq!(flow.placed().len(), 3);
}

#[test]
fn a_clock_that_is_slewed_into_agreement_counts_while_there_is_news_of_it() {
    for (news, moved) in [(true, true), (false, false)] {
        let mut flow = Clocked::new(0);
        flow.ahead = Nanos::from_millis(900);
        flow.run(if news { 100 } else { 70_000 });
        for _ in 0..90 {
            flow.ahead = flow.ahead - Nanos::from_millis(9);
            flow.run(20);
        }
        flow.run(6_000);
        assert_eq!(flow.placed().len() == 2, moved, "{:?}", flow.placed());
        if moved {
            assert_eq!(flow.placed()[1].1, Why::MediaClockAgrees);
            let truth = flow.truth();
            assert_eq!(flow.offsets().last(), Some(&truth));
        }
    }
}

#[test]
fn another_grandmaster_places_the_flow_where_both_clocks_agree() {
    let day = 24 * HOUR;
    for jump in [day, -day] {
        // Our clock follows 5 s before the sender, or 5 s after it.
        for ours_first in [true, false] {
            let mut flow = Clocked::new(0);
            let truth = flow.truth();
            flow.run(1_000);
            let ours = |flow: &mut Clocked| flow.ahead = Nanos::from_secs(jump);
            let theirs = |flow: &mut Clocked| flow.wire.ts = flow.wire.ts.wrapping_add((jump * HZ) as u32);
            if ours_first {
                ours(&mut flow);
            } else {
                theirs(&mut flow);
            }
            flow.run(5_000);
            if ours_first {
                theirs(&mut flow);
            } else {
                ours(&mut flow);
            }
            flow.run(5_000);
            let last = *flow.placed().last().unwrap();
            assert_eq!(last.0, MediaClock);
            assert_eq!(flow.offsets().last(), Some(&(truth + jump * HZ)), "{jump} {ours_first}");
            let whys: Vec<Why> = flow.placed().iter().map(|p| p.1).collect();
            let wanted = if ours_first {
                vec![Why::First, Why::SenderBroke]
            } else {
                vec![Why::First, Why::SenderBroke, Why::ClockStepped(Nanos::from_secs(jump))]
            };
            assert_eq!(whys, wanted);
            assert_eq!(flow.wire.tape.audio.len(), 11_000 * 48, "and no frame is lost");
        }
    }
}

#[test]
fn a_step_within_an_outage_divides_the_gap() {
    let mut flow = Clocked::new(1 << 30);
    let truth = flow.truth();
    flow.run(1_000);
    flow.away(3_000);
    flow.ahead = Nanos::from_secs(HOUR);
    flow.away(6_000);
    flow.run(1_000);
    assert_eq!(flow.offsets(), [truth, truth + HOUR * HZ]);
    let gaps = &flow.wire.tape.gaps;
    assert_eq!(gaps.len(), 2);
    assert_eq!(gaps.iter().map(|gap| gap.frames.0).sum::<u64>(), 9_000 * 48, "{gaps:?}");
    assert!(gaps.iter().all(|gap| gap.cause == GapCause::Outage && !gap.estimated));
}

#[test]
fn a_new_source_on_the_same_clock_is_exact_and_one_on_another_begins_a_stretch() {
    let mut flow = Clocked::new(0);
    let truth = flow.truth();
    flow.run(1_000);
    // Our clock goes wrong; the new source is on the flow's media clock.
    flow.ahead = Nanos::from_secs(HOUR);
    flow.run(5_000);
    flow.away(50);
    flow.wire.ssrc = 2;
    flow.run(1_000);
    assert_eq!(flow.placed(), [(MediaClock, Why::First, 0)]);
    assert_eq!(flow.offsets(), [truth]);
    flow.away(50);
    flow.wire.ssrc = 3;
    flow.wire.ts = flow.wire.ts.wrapping_add(1 << 30);
    flow.run(1_000);
    assert_eq!(flow.placed()[1..], [(Arrival, Why::SenderBroke, 0)], "exact no more, so another stretch");
}

#[test]
fn a_whole_second_of_utc_is_a_whole_second_of_frames() {
    let mut flow = Clocked::new(0);
    flow.run(1_234);
    let anchor = flow.wire.receiver.time_anchor(flow.wire.now).unwrap();
    assert!(anchor.exact);
    let hour = Timestamp::from_nanos((TAI - 37 + HOUR) * 1_000_000_000);
    let next = hour + Nanos::from_secs(HOUR);
    assert_eq!(anchor.position_of(hour).0 as i64, (TAI + HOUR) * HZ);
    assert_eq!(anchor.position_of(next).since(anchor.position_of(hour)).0, 172_800_000);
    assert_eq!(anchor.utc_of(anchor.position_of(hour)), hour);
}
