//! The sender's record is held against what it sent, read back from the datagrams alone.

use std::collections::BTreeMap;

use audyn_wire::rtp::Packet;
use proptest::prelude::*;

use super::*;

const STREAM: u32 = 9;

fn config(packets: u64, impairments: Impairments) -> Config {
    let format = Format {
        encoding: Encoding::L24,
        rate: SampleRate::HZ_48000,
        channels: ChannelCount::STEREO,
        packet_frames: 48,
    };
    Config {
        format,
        payload_type: PayloadType::DYNAMIC,
        ssrc: Ssrc(7),
        first_sequence: SeqNo(65_500),
        first_timestamp: RtpTime(u32::MAX - 2_000),
        packets: Some(packets),
        seed: 1,
        impairments,
    }
}

fn chance(probability: f64) -> Chance {
    Chance::new(probability).unwrap()
}

fn at(position: u64, fault: Fault) -> Event {
    Event { at: FrameIndex(position), fault }
}

/// One datagram, read back: its slot's position, the position of its audio, its header.
struct Seen {
    slot: FrameIndex,
    position: FrameIndex,
    header: Header,
}

/// Runs to the end; reads positions out of the audio, and checks each sample of it.
fn run(config: Config) -> (Vec<Seen>, Truth) {
    let encoding = config.format.encoding;
    let mut source = Index { stream: STREAM, encoding };
    let mut sender = Sender::new(config).unwrap();
    let mut seen = Vec::new();
    let mut samples = [0; 96];
    let mut last_due = Nanos(-1);
    while let Some(slot) = sender.next(&mut source).unwrap() {
        assert!(slot.due > last_due);
        last_due = slot.due;
        for datagram in slot.datagrams() {
            let packet = Packet::parse(datagram).unwrap();
            assert_eq!(pcm::decode(encoding, packet.payload, &mut samples), 96);
            let position = index_position_of(STREAM, 0, encoding, samples[0]);
            for (n, &sample) in samples.iter().enumerate() {
                let frame = position + FrameCount(n as u64 / 2);
                assert_eq!(sample, index_sample(STREAM, frame, n % 2, encoding));
            }
            seen.push(Seen { slot: slot.position, position, header: packet.header });
        }
    }
    (seen, sender.truth().clone())
}

/// Everything in `truth` that the datagrams can tell, told by them alone.
fn check(seen: &[Seen], truth: &Truth, packets: u64) {
    let mut times = BTreeMap::<u64, u32>::new();
    let mut latest = 0;
    let mut reordered = Spans::default();
    for one in seen {
        let count = times.entry(one.position.0).or_default();
        *count += 1;
        if *count == 1 && one.position.0 < latest {
            reordered.insert(Span { start: one.position, frames: FrameCount(48) });
        }
        latest = latest.max(one.position.0);
        assert_eq!(one.header.timestamp, truth.timestamp_of(one.position), "at {}", one.position);
    }
    let (mut missing, mut twice) = (Spans::default(), Spans::default());
    for slot in 0..packets {
        let span = Span { start: FrameIndex(slot * 48), frames: FrameCount(48) };
        match times.get(&span.start.0) {
            None => missing.insert(span),
            Some(1) => {}
            Some(2) => twice.insert(span),
            Some(n) => panic!("{n} times at {}", span.start),
        }
    }
    assert_eq!(truth.never_sent(), missing);
    assert_eq!(truth.duplicated, twice);
    assert_eq!(truth.reordered, reordered);
    assert_eq!(truth.frames, FrameCount(packets * 48));
    assert_eq!(truth.packets, times.len() as u64);
    assert_eq!(truth.datagrams, seen.len() as u64);
    assert_eq!(truth.first.map(|s| s.position.0), times.keys().next().copied());
    assert_eq!(truth.last.map(|s| s.position.0), times.keys().last().copied());
    assert_eq!(truth.packets * 48 + truth.never_sent().frames().0, truth.frames.0);
}

#[test]
fn without_faults_every_packet_leaves_in_its_slot_over_both_wraps() {
    let (seen, truth) = run(config(100, Impairments::default()));
    check(&seen, &truth, 100);
    assert_eq!(seen.len(), 100);
    for (n, one) in seen.iter().enumerate() {
        assert_eq!(one.slot, one.position);
        assert_eq!(one.header.sequence, SeqNo(65_500u16.wrapping_add(n as u16)));
        assert_eq!(one.header.timestamp, RtpTime(u32::MAX - 2_000).advanced(n as u32 * 48));
        assert_eq!(one.header.ssrc, Ssrc(7));
    }
}

#[test]
fn a_slot_is_due_when_the_media_clock_says_at_44100_too() {
    let mut config = config(44_100, Impairments::default());
    config.format.rate = SampleRate::HZ_44100;
    let mut sender = Sender::new(config).unwrap();
    let mut source = Index { stream: 0, encoding: Encoding::L24 };
    let mut last = Nanos::ZERO;
    while let Some(slot) = sender.next(&mut source).unwrap() {
        last = slot.due;
    }
    assert_eq!(last, Nanos(44_099 * 48 * 1_000_000_000 / 44_100));
}

#[test]
fn chance_is_the_seed_s_alone() {
    let faults = || Impairments {
        loss: chance(0.05),
        burst: Random { chance: chance(0.01), packets: 5 },
        reorder: Random { chance: chance(0.1), packets: 3 },
        duplicate: Random { chance: chance(0.1), packets: 2 },
        events: vec![],
    };
    let order = |seen: &[Seen]| seen.iter().map(|s| (s.slot.0, s.header.sequence.0)).collect::<Vec<_>>();
    let (first, truth) = run(config(2_000, faults()));
    let (second, again) = run(config(2_000, faults()));
    assert_eq!(order(&first), order(&second));
    assert_eq!(truth, again);

    let (other, _) = run(Config { seed: 2, ..config(2_000, faults()) });
    assert_ne!(order(&first), order(&other));

    // One kind of fault doesn't move another one's.
    let only_loss = Impairments { reorder: Random::default(), duplicate: Random::default(), ..faults() };
    let (_, alone) = run(config(2_000, only_loss));
    assert_eq!(alone.lost, truth.lost);
    let paused = Impairments {
        events: vec![at(4_800, Fault::Pause { length: FrameCount(48), kind: PauseKind::Outage })],
        ..faults()
    };
    let (_, paused) = run(config(2_000, paused));
    let without = |spans: &Spans| {
        (0..2_000).filter(|&n| n != 100 && spans.contains(FrameIndex(n * 48))).collect::<Vec<_>>()
    };
    assert_eq!(without(&paused.lost), without(&truth.lost));
}

#[test]
fn chances_are_met() {
    let share = |impairments: Impairments| {
        let (_, truth) = run(config(20_000, impairments));
        let of = |spans: &Spans| spans.frames().0 as f64 / truth.frames.0 as f64;
        (of(&truth.lost), of(&truth.duplicated))
    };
    // Far more than six standard deviations of 20,000 draws at 1 % (0.07 %): a right generator never fails this.
    let loss = share(Impairments { loss: chance(0.01), ..Impairments::default() }).0;
    assert!((0.005..0.015).contains(&loss), "{loss}");
    let twice = share(Impairments {
        duplicate: Random { chance: chance(0.01), packets: 0 },
        ..Impairments::default()
    })
    .1;
    assert!((0.005..0.015).contains(&twice), "{twice}");
    assert_eq!(share(Impairments { loss: chance(1.0), ..Impairments::default() }).0, 1.0);
    assert_eq!(share(Impairments { loss: chance(0.0), ..Impairments::default() }).0, 0.0);
}

#[test]
fn stated_faults_happen_where_stated() {
    let events = vec![
        at(3 * 48, Fault::Lose { packets: 2 }),
        at(6 * 48 + 1, Fault::Delay { packets: 2 }), // begins within a packet, so the next one, 7
        at(12 * 48, Fault::Duplicate { packets: 1 }),
    ];
    let (seen, truth) = run(config(16, Impairments { events, ..Impairments::default() }));
    check(&seen, &truth, 16);
    let order: Vec<u64> = seen.iter().map(|one| one.position.0 / 48).collect();
    assert_eq!(order, [0, 1, 2, 5, 6, 8, 9, 7, 10, 11, 12, 13, 12, 14, 15]);
    assert_eq!(truth.lost.as_slice(), [Span { start: FrameIndex(144), frames: FrameCount(96) }]);
    assert_eq!(truth.reordered.as_slice(), [Span { start: FrameIndex(336), frames: FrameCount(48) }]);
    assert_eq!(truth.duplicated.as_slice(), [Span { start: FrameIndex(576), frames: FrameCount(48) }]);
}

#[test]
fn each_kind_of_pause_treats_the_counters_its_own_way() {
    for (kind, packets_on, frames_on) in
        [(PauseKind::Outage, 10, 480), (PauseKind::Running, 0, 480), (PauseKind::Frozen, 0, 0)]
    {
        let fault = Fault::Pause { length: FrameCount(480), kind };
        let (seen, truth) =
            run(config(40, Impairments { events: vec![at(960, fault)], ..Impairments::default() }));
        check(&seen, &truth, 40);
        assert_eq!(
            truth.pauses,
            [Pause { span: Span { start: FrameIndex(960), frames: FrameCount(480) }, kind }]
        );
        assert_eq!(truth.lost, Spans::default());
        let (before, after) = (&seen[19], &seen[20]);
        assert_eq!((before.position.0, after.position.0), (912, 1_440), "{kind:?}");
        assert_eq!(after.header.sequence.distance_from(before.header.sequence), 1 + packets_on, "{kind:?}");
        assert_eq!(after.header.timestamp.distance_from(before.header.timestamp), 48 + frames_on, "{kind:?}");
    }
}

#[test]
fn pauses_side_by_side_each_end() {
    let pause = |kind, length| Fault::Pause { length: FrameCount(length), kind };
    let events = vec![
        at(10, pause(PauseKind::Frozen, 50)),
        at(60, pause(PauseKind::Running, 50)),
        at(200, pause(PauseKind::Outage, 30)),
    ];
    let (seen, truth) = run(config(10, Impairments { events, ..Impairments::default() }));
    check(&seen, &truth, 10);
    let spans: Vec<_> = truth.pauses.iter().map(|p| (p.span.start.0, p.span.frames.0)).collect();
    assert_eq!(spans, [(48, 48), (96, 48)], "no packet starts in the third");
    assert_eq!(truth.changes.len(), 1);
}

#[test]
fn steps_in_the_headers_are_entered() {
    let events = vec![
        at(480, Fault::SsrcChange { to: None }),
        at(480, Fault::SequenceReset { to: SeqNo(3) }),
        at(960, Fault::Jump { frames: -100_000 }),
        at(1_440, Fault::Jump { frames: 5_000_000_000 }),
        at(1_920, Fault::SsrcChange { to: Some(Ssrc(99)) }),
    ];
    let (seen, truth) = run(config(50, Impairments { events, ..Impairments::default() }));
    check(&seen, &truth, 50);
    assert_eq!(truth.never_sent(), Spans::default());
    let drawn = seen[10].header.ssrc;
    assert_ne!(drawn, Ssrc(7));
    assert_eq!((seen[9].header.ssrc, seen[39].header.ssrc, seen[40].header.ssrc), (Ssrc(7), drawn, Ssrc(99)));
    assert_eq!((seen[9].header.sequence, seen[10].header.sequence), (SeqNo(65_509), SeqNo(3)));
    assert_eq!(seen[20].header.timestamp.distance_from(seen[19].header.timestamp), 48 - 100_000);
    assert_eq!(
        truth.changes[0],
        Change { position: FrameIndex(480), step: Step::Ssrc { from: Ssrc(7), to: drawn } }
    );
    assert_eq!(truth.changes.len(), 5);
    let json = serde_json::to_value(&truth).unwrap();
    assert_eq!(
        json["changes"][1],
        serde_json::json!({"position": 480, "kind": "sequence", "from": 65_510, "to": 3})
    );
    assert_eq!(serde_json::from_value::<Truth>(json).unwrap(), truth);
}

#[test]
fn what_is_held_back_at_the_end_still_leaves() {
    let events = vec![at(48 * 9, Fault::Delay { packets: 5 })];
    let (seen, truth) = run(config(10, Impairments { events: events.clone(), ..Impairments::default() }));
    check(&seen, &truth, 10);
    assert_eq!(seen.last().unwrap().slot, FrameIndex(48 * 14));

    // Stopped early, the same.
    let mut sender =
        Sender::new(Config { packets: None, ..config(0, Impairments { events, ..Impairments::default() }) })
            .unwrap();
    let mut source = Index { stream: 0, encoding: Encoding::L24 };
    for _ in 0..10 {
        sender.next(&mut source).unwrap().unwrap();
    }
    sender.stop();
    assert_eq!(sender.truth().packets, 9);
    while sender.next(&mut source).unwrap().is_some() {}
    assert_eq!(sender.truth().packets, 10);
    assert_eq!(sender.truth().frames, FrameCount(480));
}

/// A source of few frames.
struct Short(usize);

impl Source for Short {
    type Error = &'static str;

    fn fill(&mut self, _: FrameIndex, channels: ChannelCount, out: &mut [i32]) -> Result<usize, Self::Error> {
        let frames = (out.len() / channels.get()).min(self.0);
        out.fill(1 << 8);
        self.0 -= frames;
        Ok(frames)
    }
}

#[test]
fn a_source_that_ends_is_filled_up_with_silence() {
    for (length, packets, tail) in [(100, 3, 4), (96, 2, 48), (0, 0, 0)] {
        let mut sender = Sender::new(Config { packets: None, ..config(0, Impairments::default()) }).unwrap();
        let mut source = Short(length);
        let mut last = [0; 96];
        while let Some(slot) = sender.next(&mut source).unwrap() {
            for datagram in slot.datagrams() {
                pcm::decode(Encoding::L24, Packet::parse(datagram).unwrap().payload, &mut last);
            }
        }
        assert_eq!(sender.truth().packets, packets, "{length}");
        assert_eq!(last.iter().filter(|&&sample| sample != 0).count(), tail * 2, "{length}");
        assert!(sender.next(&mut source).unwrap().is_none());
    }
}

#[test]
fn a_failing_source_can_be_asked_again() {
    struct Once(bool);
    impl Source for Once {
        type Error = &'static str;
        fn fill(
            &mut self,
            position: FrameIndex,
            _: ChannelCount,
            out: &mut [i32],
        ) -> Result<usize, Self::Error> {
            assert_eq!(position, FrameIndex(0));
            if core::mem::replace(&mut self.0, true) { Ok(out.len() / 2) } else { Err("not yet") }
        }
    }
    let mut sender = Sender::new(config(1, Impairments::default())).unwrap();
    let mut source = Once(false);
    assert_eq!(sender.next(&mut source).map(|_| ()), Err("not yet"));
    assert_eq!(sender.next(&mut source).unwrap().unwrap().datagrams().len(), 1);
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let format = |encoding, rate, channels, packet_frames| {
        Format { encoding, rate, channels: ChannelCount::new(channels).unwrap(), packet_frames }.validate()
    };
    let (k48, k44, k96) = (SampleRate::HZ_48000, SampleRate::HZ_44100, SampleRate::HZ_96000);
    for (encoding, rate, channels, frames) in [
        (Encoding::L24, k48, 64, 6),
        (Encoding::L24, k48, 10, 48),
        (Encoding::L16, k48, 3, 192),
        (Encoding::L24, k44, 1, 192),
        (Encoding::L24, k96, 32, 12),
        (Encoding::L16, k96, 1, 384),
    ] {
        assert_eq!(format(encoding, rate, channels, frames), Ok(()));
    }
    assert!(matches!(format(Encoding::L24, k48, 11, 48), Err(SenderError::Payload { bytes: 1584, .. })));
    assert!(matches!(format(Encoding::L16, k48, 1, 193), Err(SenderError::PacketTime { max: 192, .. })));
    assert!(matches!(format(Encoding::L16, k96, 1, 11), Err(SenderError::PacketTime { min: 12, .. })));
    assert!(matches!(format(Encoding::L16, k48, 1, 0), Err(SenderError::PacketTime { .. })));

    for probability in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        assert!(matches!(Chance::new(probability), Err(SenderError::Chance { .. })), "{probability}");
    }
    let refused = |impairments| Sender::new(config(1, impairments)).unwrap_err();
    let never = Impairments::default;
    let endless = Random { chance: chance(0.1), packets: 0 };
    assert_eq!(refused(Impairments { burst: endless, ..never() }), SenderError::NoExtent { what: "burst" });
    let far = Random { chance: chance(0.1), packets: MAX_DELAY + 1 };
    assert!(matches!(refused(Impairments { reorder: far, ..never() }), SenderError::Delay { .. }));
    let pause = Fault::Pause { length: FrameCount(100), kind: PauseKind::Running };
    let events = vec![at(599, pause), at(500, pause)];
    assert_eq!(
        refused(Impairments { events, ..never() }),
        SenderError::PausesOverlap { at: FrameIndex(599) }
    );
}

fn faults() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (0u32..9).prop_map(|packets| Fault::Lose { packets }),
        (0u32..9).prop_map(|packets| Fault::Delay { packets }),
        (0u32..9).prop_map(|packets| Fault::Duplicate { packets }),
        any::<Option<u32>>().prop_map(|to| Fault::SsrcChange { to: to.map(Ssrc) }),
        any::<u16>().prop_map(|to| Fault::SequenceReset { to: SeqNo(to) }),
        any::<i64>().prop_map(|frames| Fault::Jump { frames }),
    ]
}

proptest! {
    /// Whatever is combined, the record is what was sent.
    #[test]
    fn the_truth_is_what_was_emitted(
        seed: u64,
        packets in 0u64..150,
        chances in prop::array::uniform4(0.0f64..0.4),
        extents in prop::array::uniform3(1u32..7),
        stated in prop::collection::vec((0u64..8_000, faults()), 0..6),
        pauses in prop::collection::vec((0u64..2_000, 0u64..1_500, 0usize..3), 0..4),
    ) {
        let mut events: Vec<Event> = stated.into_iter().map(|(position, fault)| at(position, fault)).collect();
        let mut from = 0;
        for (wait, length, kind) in pauses {
            let kind = [PauseKind::Outage, PauseKind::Running, PauseKind::Frozen][kind];
            events.push(at(from + wait, Fault::Pause { length: FrameCount(length), kind }));
            from += wait + length;
        }
        let random = |n: usize| Random { chance: chance(chances[n + 1]), packets: extents[n] };
        let impairments = Impairments {
            loss: chance(chances[0]),
            burst: random(0),
            reorder: random(1),
            duplicate: random(2),
            events,
        };
        let (seen, truth) = run(Config { seed, ..config(packets, impairments) });
        check(&seen, &truth, packets);
    }
}
