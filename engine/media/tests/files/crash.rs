//! Rule 4: the writer is cut after every single step, and what is on the disk must be right.

use std::collections::VecDeque;
use std::fs::File;
use std::io::ErrorKind;

use crate::support::{LogStore, Op, Outcome, apply, by_hound, facts, index_signal, spec, strict};
use audyn_media::{MediaError, PcmDepth, WavInfo, WavReader, WavSpec, WavWriter};
use audyn_units::FrameCount;
use proptest::prelude::*;

/// What was flushed when: after so many log entries the file holds so many frames.
type Flushes = Vec<(usize, u64)>;

/// Writes `blocks` (frames; negative is silence), flushing after each, and notes what each flush promises.
fn recorded(spec: WavSpec, blocks: &[i64]) -> (Vec<Op>, Flushes, Vec<i32>) {
    let mut store = LogStore::default();
    let mut flushes = Flushes::new();
    let mut samples = Vec::new();
    let mut frames = 0u64;
    let mut writer = WavWriter::on_store(&mut store, "crash.wav", spec, &facts()).unwrap();
    writer.set_source_depth(spec.depth);
    let mut promised = vec![0u64];
    for &block in blocks {
        let n = block.unsigned_abs();
        if block < 0 {
            writer.append_silence(FrameCount(n)).unwrap();
            if n < 1 << 24 {
                samples.resize(samples.len() + n as usize * spec.channels.get(), 0);
            }
        } else {
            let new = index_signal(spec.depth, samples.len(), n as usize * spec.channels.get());
            writer.append(&new).unwrap();
            samples.extend(new);
        }
        frames += n;
        // What an append has flushed by itself, in whole blocks; then the rest.
        for told in [(writer.frames().0, writer.buffered_frames().0), (frames, 0)] {
            if promised.last() != Some(&(told.0 - told.1)) {
                promised.push(told.0 - told.1);
            }
        }
        writer.flush().unwrap();
    }
    writer.close().unwrap();
    let headers = store.log.iter().enumerate().filter(|(_, op)| matches!(op, Op::Write { offset: 0, .. }));
    for ((at, _), frames) in headers.zip(promised.iter()) {
        flushes.push((at + 1, *frames));
    }
    assert_eq!(flushes.len(), promised.len(), "one header write for each flush");
    (store.log, flushes, samples)
}

fn promised(flushes: &Flushes, steps: usize) -> u64 {
    flushes.iter().rev().find(|(at, _)| *at <= steps).expect("the header is the first step").1
}

#[test]
fn a_cut_after_any_step_leaves_the_last_flush() {
    for (channels, depth) in [
        (1, PcmDepth::Pcm24),
        (2, PcmDepth::Pcm24),
        (1, PcmDepth::Pcm16),
        (3, PcmDepth::Pcm24),
        (1, PcmDepth::Float32),
    ] {
        let spec = spec(channels, depth);
        // Odd and even sizes, silence short (written) and long (a hole), a hole at the very end, odd too.
        let blocks = [1, 480, 7, -1, 3, -30_001, 5, 1, 2, 40_000, -40_001];
        let (log, flushes, samples) = recorded(spec, &blocks);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cut.wav");
        let file = File::create_new(&path).unwrap();
        let check = |steps: usize| {
            let frames = promised(&flushes, steps);
            let found = strict(&mut File::open(&path).unwrap(), spec);
            assert_eq!(found.frames, frames, "after {steps} steps");
            assert_eq!(WavInfo::open(&path).unwrap().frames.0, frames);
            let expected = &samples[..frames as usize * spec.channels.get()];
            assert!(by_hound(&path, spec) == expected, "hound, after {steps} steps");
        };
        apply(&file, &log[0]);
        check(1);
        for (i, op) in log.iter().enumerate().skip(1) {
            // A kill may also cut a long write between two pages, never one of a header's size.
            if let Op::Write { offset, bytes } = op
                && *offset > 0
            {
                for part in [1, bytes.len() / 2, bytes.len() - 1] {
                    apply(&file, &Op::Write { offset: *offset, bytes: bytes[..part].to_vec() });
                    check(i);
                }
            }
            apply(&file, op);
            check(i + 1);
        }
        assert_eq!(promised(&flushes, log.len()), blocks.iter().map(|b| b.unsigned_abs()).sum::<u64>());
    }
}

#[test]
fn a_cut_around_4_gib_leaves_riff_or_rf64_but_never_a_mixture() {
    let spec = spec(1, PcmDepth::Pcm24);
    let last_riff = (u64::from(u32::MAX - 1) - 4_088) / 3;
    let near = -(last_riff as i64 - 3);
    let (log, flushes, _) = recorded(spec, &[near, 1, 1, 1, 1, 1, 48_000]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("4gib.wav");
    let file = File::create_new(&path).unwrap();
    let mut forms = Vec::new();
    for (i, op) in log.iter().enumerate() {
        apply(&file, op);
        let found = strict(&mut File::open(&path).unwrap(), spec);
        assert_eq!(found.frames, promised(&flushes, i + 1));
        assert_eq!(found.rf64, found.frames > last_riff);
        let info = WavInfo::open(&path).unwrap();
        assert_eq!((info.frames.0, info.rf64), (found.frames, found.rf64));
        forms.push(found.rf64);
    }
    assert!(forms.is_sorted() && forms.contains(&true) && forms.contains(&false));
}

#[test]
fn while_a_recording_goes_on_no_block_of_samples_is_written_twice() {
    for (channels, depth) in
        [(1, PcmDepth::Pcm24), (2, PcmDepth::Pcm24), (1, PcmDepth::Pcm16), (7, PcmDepth::Pcm24)]
    {
        let spec = spec(channels, depth);
        let mut store = LogStore::default();
        let mut writer = WavWriter::on_store(&mut store, "blocks.wav", spec, &facts()).unwrap();
        writer.set_source_depth(spec.depth);
        let (mut samples, mut lagging) = (Vec::new(), 0);
        for n in (0..200).map(|i| (i * 37) % 1_500) {
            let new = index_signal(spec.depth, samples.len(), n * spec.channels.get());
            writer.append(&new).unwrap();
            samples.extend(new);
            writer.flush_blocks().unwrap();
            lagging = lagging.max(writer.buffered_frames().0 as usize * spec.frame_bytes());
        }
        assert!(lagging < 4_096 + spec.frame_bytes(), "less than a block waits: {lagging}");
        writer.append_silence(FrameCount(100_001)).unwrap();
        writer.flush_blocks().unwrap();
        writer.append(&samples).unwrap();
        writer.flush_blocks().unwrap();
        writer.close().unwrap();
        let data = store.log.iter().filter_map(|op| match op {
            Op::Write { offset, bytes } if *offset > 0 => Some((*offset, *offset + bytes.len() as u64)),
            _ => None,
        });
        let data: Vec<_> = data.collect();
        for pair in data.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "nothing is written over: {pair:?}");
            assert!(pair[1].0 / 4_096 > (pair[0].1 - 1) / 4_096, "nothing is added to a block: {pair:?}");
        }
        let silence = vec![0; 100_001 * spec.channels.get()];
        assert!(replayed(&store, spec) == [samples.clone(), silence, samples].concat());
    }
}

#[test]
fn a_full_disk_keeps_the_last_flush_and_the_retry_moves_nothing() {
    let spec = spec(1, PcmDepth::Pcm24);
    let samples = index_signal(PcmDepth::Pcm24, 0, 301);
    let full = ErrorKind::StorageFull;
    // Each plan fails the second flush elsewhere: its data, half its data, its pad byte alone, its header.
    for plan in [
        vec![Outcome::Error(full)],
        vec![Outcome::Short(100), Outcome::Error(full)],
        vec![Outcome::Short(603), Outcome::Error(full)],
        vec![Outcome::Short(0)],
        vec![Outcome::Good, Outcome::Error(full)],
    ] {
        let mut store = LogStore::default();
        let mut writer = WavWriter::on_store(&mut store, "full.wav", spec, &facts()).unwrap();
        writer.append(&samples[..100]).unwrap();
        writer.flush().unwrap();
        drop(writer);
        let steps = store.log.len();

        let mut store = LogStore::default();
        store.plan.extend(vec![Outcome::Good; steps]);
        store.plan.extend(plan.iter().copied());
        let mut writer = WavWriter::on_store(&mut store, "full.wav", spec, &facts()).unwrap();
        writer.append(&samples[..100]).unwrap();
        writer.flush().unwrap();
        writer.append(&samples[100..301]).unwrap();
        let error = writer.flush().unwrap_err();
        assert!(matches!(&error, MediaError::Write { valid: FrameCount(100), .. }), "{error}");
        assert!(error.to_string().contains("full.wav") && error.to_string().contains("first 100 frames"));
        assert_eq!(writer.buffered_frames(), FrameCount(201));
        assert!(writer.needs_flush());
        writer.append(&index_signal(PcmDepth::Pcm24, 301, 9)).unwrap();
        writer.flush().unwrap();
        writer.close().unwrap();

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("full.wav");
        let file = File::create_new(&path).unwrap();
        for op in &store.log {
            apply(&file, op);
            let frames = strict(&mut File::open(&path).unwrap(), spec).frames;
            assert!([0, 100, 310].contains(&frames), "{frames}");
        }
        assert!(by_hound(&path, spec) == index_signal(PcmDepth::Pcm24, 0, 310), "{plan:?}");
    }
}

#[test]
fn a_dead_disk_is_told_and_memory_stays_bounded() {
    let spec = spec(2, PcmDepth::Pcm24);
    let mut store = LogStore::default();
    store.plan.push_back(Outcome::Good);
    store.plan.extend(vec![Outcome::Error(ErrorKind::Other); 100_000]);
    let mut writer = WavWriter::on_store(&mut store, "dead.wav", spec, &facts()).unwrap();
    let block = index_signal(PcmDepth::Pcm24, 0, 2 * 4_800);
    let mut refused_at = None;
    for i in 0..1_000u64 {
        let before = writer.frames();
        match writer.append(&block) {
            Ok(()) => {}
            Err(MediaError::Write { valid, .. }) => assert_eq!(valid, FrameCount::ZERO),
            Err(MediaError::Backlog { buffered, .. }) => {
                assert_eq!(writer.frames(), before, "refused samples are not counted");
                assert_eq!(buffered, before);
                refused_at.get_or_insert(i);
            }
            Err(other) => panic!("{other}"),
        }
    }
    let taken = refused_at.expect("a dead disk must be refused at last") * 4_800 * 6;
    assert!((15 << 20..=16 << 20).contains(&taken), "{taken}");
    let frames = writer.frames();
    let error = writer.close().unwrap_err();
    assert!(matches!(error, MediaError::Close { lost, .. } if lost == frames), "{error}");
    assert_eq!(store.log.len(), 1, "nothing but the first header");
}

#[test]
fn a_disk_that_comes_back_gets_all_that_waited() {
    let spec = spec(2, PcmDepth::Pcm24);
    let mut store = LogStore::default();
    store.plan.push_back(Outcome::Good);
    store.plan.extend(vec![Outcome::Error(ErrorKind::StorageFull); 5]);
    let mut writer = WavWriter::on_store(&mut store, "back.wav", spec, &facts()).unwrap();
    let samples = index_signal(PcmDepth::Pcm24, 0, 2 * 480_000);
    let mut failures = 0;
    for block in samples.chunks(2 * 12_000) {
        failures += u32::from(writer.append(block).is_err());
    }
    assert_eq!(failures, 5);
    writer.close().unwrap();
    assert_eq!(replayed(&store, spec), samples);
}

fn replayed(store: &LogStore, spec: WavSpec) -> Vec<i32> {
    let mut file = tempfile::tempfile().unwrap();
    store.log.iter().for_each(|op| apply(&file, op));
    let frames = strict(&mut file, spec).frames as usize;
    let mut samples = vec![0; frames * spec.channels.get()];
    let mut reader = WavReader::from_source(file, "the replayed log").unwrap();
    assert_eq!(reader.read(&mut samples).unwrap().0 as usize, frames);
    samples
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        6 => Just(Outcome::Good),
        2 => (0usize..2_000).prop_map(Outcome::Short),
        1 => Just(Outcome::Error(ErrorKind::StorageFull)),
        1 => Just(Outcome::Error(ErrorKind::Interrupted)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_disk_does_every_sample_ends_at_its_place(
        channels in 1u8..5,
        depth in prop::sample::select(PcmDepth::ALL.to_vec()),
        blocks in prop::collection::vec((-40_000i64..4_000, any::<bool>()), 1..20),
        plan in prop::collection::vec(outcome(), 0..60),
    ) {
        let spec = spec(channels, depth);
        let plan = VecDeque::from_iter([Outcome::Good].into_iter().chain(plan));
        let mut store = LogStore { plan, ..LogStore::default() };
        let mut samples = Vec::new();
        let mut writer = WavWriter::on_store(&mut store, "any.wav", spec, &facts()).unwrap();
        writer.set_source_depth(spec.depth);
        for (block, flush) in blocks {
            let n = block.unsigned_abs() as usize * spec.channels.get();
            // An error leaves the samples in memory: nothing here reaches the backlog's limit.
            if block < 0 {
                samples.resize(samples.len() + n, 0);
                let _ = writer.append_silence(FrameCount(block.unsigned_abs()));
            } else {
                let new = index_signal(spec.depth, samples.len(), n);
                let _ = writer.append(&new);
                samples.extend(new);
            }
            if flush {
                let _ = writer.flush();
            }
            prop_assert_eq!(writer.frames().0 as usize * spec.channels.get(), samples.len());
        }
        for _ in 0..=60 {
            if writer.flush().is_ok() {
                break;
            }
        }
        prop_assert_eq!(writer.buffered_frames(), FrameCount::ZERO);
        writer.close().unwrap();
        let file = tempfile::tempfile().unwrap();
        for op in &store.log {
            apply(&file, op);
            strict(&mut &file, spec);
        }
        prop_assert!(replayed(&store, spec) == samples);
    }
}
