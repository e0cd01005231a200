//! A tape that lets a broken promise pass would prove nothing: each one is broken here.

use audyn_core::sender::{Config, Event, Fault, Format, Impairments, Index, Sender, Source};
use audyn_units::{Nanos, PayloadType, RtpTime, SampleRate, SeqNo};

use super::*;
use audyn_core::flow::GapCause;

const SSRC: Ssrc = Ssrc(5);
const STREAM: Stream = Stream { number: 7, first: FrameIndex(0) };
const AT: FrameIndex = FrameIndex(1_000);

/// A tape that knows a sender of 100 packets of 48 frames, whose timestamps jump by a million at packet 50.
fn tape() -> Tape {
    let event = Event { at: FrameIndex(50 * 48), fault: Fault::Jump { frames: 1_000_000 } };
    let config = Config {
        format: Format {
            encoding: Encoding::L24,
            rate: SampleRate::HZ_48000,
            channels: ChannelCount::STEREO,
            packet_frames: 48,
        },
        payload_type: PayloadType::DYNAMIC,
        ssrc: SSRC,
        first_sequence: SeqNo(0),
        first_timestamp: RtpTime(0),
        packets: Some(100),
        seed: 0,
        impairments: Impairments { events: vec![event], ..Impairments::default() },
    };
    let mut sender = Sender::new(config).unwrap();
    let mut source = Index { stream: STREAM.number, encoding: Encoding::L24 };
    let mut last = Nanos::ZERO;
    while let Some(slot) = sender.next(&mut source).unwrap() {
        last = slot.due;
    }
    assert_eq!(last, Nanos::from_millis(99));
    let mut tape = Tape::new(Encoding::L24, ChannelCount::STEREO);
    tape.learn(STREAM, SSRC, sender.truth(), FrameIndex(4_800));
    tape.event(FlowEvent::Started { ssrc: SSRC, packet_frames: 48 });
    tape
}

/// `frames` of a stream from an index on.
fn audio(number: u32, from: u64, frames: usize) -> Vec<i32> {
    let mut samples = vec![0; frames * 2];
    let mut source = Index { stream: number, encoding: Encoding::L24 };
    source.fill(FrameIndex(from), ChannelCount::STEREO, &mut samples).unwrap();
    samples
}

fn gap(position: FrameIndex, frames: u64, estimated: bool) -> Gap {
    Gap { position, frames: FrameCount(frames), cause: GapCause::Loss, estimated }
}

/// The first 48 frames, and then what is to be tried.
fn after_48(then: impl FnOnce(&mut Tape, FrameIndex)) -> Tape {
    let mut tape = tape();
    tape.audio(AT, &audio(7, 0, 48));
    then(&mut tape, AT + FrameCount(48));
    tape
}

#[test]
fn what_is_right_passes() {
    let tape = after_48(|tape, at| {
        tape.silence(at, FrameCount(40));
        tape.silence(at + FrameCount(40), FrameCount(8));
        tape.gap_closed(gap(at, 48, false));
        tape.audio(at + FrameCount(48), &audio(7, 96, 48));
        let at = at + FrameCount(96);
        tape.gap_closed(gap(at, 0, true));
        tape.audio(at, &audio(7, 200, 10));
    });
    assert_eq!((tape.written().0, tape.filled().0), (106, 48));
    assert_eq!(tape.offsets(), [1_000, 944]);
    assert_eq!(tape.kept(7).frames().0, 106);
}

#[test]
fn timestamps_that_are_followed_keep_the_offset() {
    let tape = after_48(|tape, at| {
        tape.silence(at, FrameCount(49 * 48 + 1_000_000));
        tape.gap_closed(gap(at, 49 * 48 + 1_000_000, false));
        tape.audio(at + FrameCount(49 * 48 + 1_000_000), &audio(7, 50 * 48, 48));
    });
    assert_eq!(tape.offsets(), [1_000]);
}

#[test]
#[should_panic(expected = "not contiguous")]
fn a_hole() {
    after_48(|tape, at| tape.audio(at + FrameCount(1), &audio(7, 49, 1)));
}

#[test]
#[should_panic(expected = "nothing says so")]
fn audio_that_moved() {
    after_48(|tape, at| tape.audio(at, &audio(7, 49, 48)));
}

#[test]
#[should_panic(expected = "nothing says so")]
fn audio_that_moved_over_a_jump_of_the_timestamps() {
    after_48(|tape, at| tape.audio(at, &audio(7, 50 * 48, 48)));
}

#[test]
#[should_panic(expected = "backwards")]
fn a_frame_twice() {
    after_48(|tape, at| {
        tape.gap_closed(gap(at, 0, true));
        tape.audio(at, &audio(7, 47, 1));
    });
}

#[test]
#[should_panic(expected = "stands where stream 7 sent")]
fn one_wrong_bit() {
    let mut samples = audio(7, 48, 48);
    samples[77] ^= 1 << 8;
    after_48(|tape, at| tape.audio(at, &samples));
}

#[test]
#[should_panic(expected = "never sent")]
fn another_stream() {
    after_48(|tape, at| tape.audio(at, &audio(8, 48, 48)));
}

#[test]
#[should_panic(expected = "nobody knows")]
fn another_source() {
    after_48(|tape, _| tape.event(FlowEvent::SsrcChanged { from: SSRC, to: Ssrc(6) }));
}

#[test]
#[should_panic(expected = "the gap before it is open")]
fn silence_that_is_in_no_ledger() {
    after_48(|tape, at| {
        tape.silence(at, FrameCount(48));
        tape.audio(at + FrameCount(48), &audio(7, 96, 48));
    });
}

#[test]
#[should_panic(expected = "ledger and silence")]
fn a_ledger_that_says_less() {
    after_48(|tape, at| {
        tape.silence(at, FrameCount(48));
        tape.gap_closed(gap(at, 47, false));
    });
}
