//! Clock scenarios by seed: positions are what the sender's media clock says, whatever the clocks do.

mod support;

use audyn_core::flow::{Placement, Why};
use audyn_core::sender::{Span, Spans};
use audyn_sim::{Happening, Timed};
use audyn_units::{FrameCount, FrameIndex, Nanos};

/// Seeds, unless `SEEDS` says otherwise.
const SEEDS: u64 = 500;

/// How near our clock a flow is placed by arrival: lateness of the first packets, loss among them.
const NEAR: Nanos = Nanos::from_millis(150);

fn run(timed: &Timed) {
    let rate = timed.steady.config.format.rate;
    let mut world = timed.world();
    world.run_out();
    let truth = world.truth(0).clone();
    let (tape, counters) = world.finish_timed();

    // Each stretch is placed as it must be: by its media clock to the frame, the same through all that happens.
    let expected = timed.expected();
    let is: Vec<_> =
        tape.stretches().iter().map(|s| (s.placed.placement, kind(s.placed.why), s.offset)).collect();
    let should: Vec<_> = expected.iter().map(|e| (e.placement, kind(e.why), e.offset)).collect();
    assert_eq!(is.len(), should.len(), "stretches (is, should be): {is:?} {should:?}");
    for (stretch, expected) in tape.stretches().iter().zip(&expected) {
        let placed = stretch.placed;
        assert_eq!(
            (placed.placement, kind(placed.why)),
            (expected.placement, kind(expected.why)),
            "stretches (is, should be): {is:?} {should:?}"
        );
        if let (Why::ClockStepped(is), Why::ClockStepped(should)) = (placed.why, expected.why) {
            assert!((is - should).abs() < Nanos::from_millis(20), "a step of {should:?}, told as {is:?}");
        }
        let Some(offset) = stretch.offset else { continue };
        match expected.placement {
            Placement::MediaClock => assert_eq!(offset, expected.offset, "by media clock, to the frame"),
            Placement::Arrival => {
                let off = offset - expected.offset;
                assert!(off.unsigned_abs() <= rate.frames_in(NEAR).0, "by arrival, {off} frames off");
            }
        }
    }

    // What is not in the file is in the ledger, and it is what the network did not bring.
    let kept = tape.kept(timed.steady.stream.number);
    let heard = kept.as_slice();
    let (first, end) = (heard[0].start, heard[heard.len() - 1].end());
    let within = |span: Span| span.start >= first && span.end() <= end;
    let packet = FrameCount(u64::from(truth.packet_frames));
    if timed.is_whole() {
        let mut ledger = Spans::default();
        let mut mapping = 0;
        for (number, stretch) in tape.stretches().iter().enumerate() {
            // Indices count on through all stretches; each lies further on by what it says.
            mapping = if number == 0 {
                stretch.offset.expect("it begins with audio")
            } else {
                mapping + stretch.placed.moved
            };
            if let Some(offset) = stretch.offset {
                assert_eq!(offset, mapping, "a stretch lies where it says");
            }
            for gap in tape.gaps_of(number) {
                assert!(!gap.estimated, "every length is exact: {gap:?}");
                let start = FrameIndex(gap.position.0.wrapping_sub(mapping as u64));
                ledger.insert(Span { start, frames: gap.frames });
            }
        }
        let mut wanted = Spans::default();
        for &span in truth.never_sent().as_slice().iter().filter(|span| within(**span)) {
            wanted.insert(span);
        }
        let ledger: Vec<Span> = ledger.as_slice().iter().copied().filter(|span| within(*span)).collect();
        assert_eq!(ledger, wanted.as_slice(), "the ledger is the truth");
        assert_eq!(
            tape.written() + tape.filled(),
            end.since(first) + tape.open_silence(),
            "written + filled = elapsed"
        );
    } else {
        // At a break what was out of order is lost, and what nobody was there to receive.
        let mut lost = truth.never_sent();
        lost.insert(Span { start: FrameIndex(0), frames: first.since(FrameIndex(0)) });
        let dropped = truth.frames.0 - lost.frames().0 - tape.written().0;
        let disorder = rate.frames_in(timed.steady.disorder() + Nanos::from_millis(8)).0 + 3 * packet.0;
        let bound: u64 = timed
            .happenings
            .iter()
            .map(|&(_, what)| match what {
                Happening::Restart(away) => {
                    // Half filled windows, the reader's grid, and packets on their way.
                    rate.frames_in(away + Nanos::from_millis(120)).0 + 2 * disorder + 10 * packet.0
                }
                Happening::Grandmaster(..) | Happening::Ssrc => disorder,
                _ => 0,
            })
            .sum();
        assert!(dropped <= bound, "{dropped} frames that came are not there; at most {bound} may be");
    }
    let changes = timed.happenings.iter().filter(|(_, what)| *what == Happening::Ssrc).count() as u64;
    assert!(counters.ssrc_changes <= changes, "{counters:?}");
}

fn kind(why: Why) -> &'static str {
    match why {
        Why::First => "first",
        Why::ClockStepped(_) => "clock stepped",
        Why::MediaClockAgrees => "media clock agrees",
        Why::SenderBroke => "sender broke",
    }
}

#[test]
fn clocks() {
    support::every_seed("clocks", SEEDS, Timed::draw, run);
}
