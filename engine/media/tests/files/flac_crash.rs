//! Rule 4 for FLAC: the writer is cut after every single step, and what is on the disk must be right.

use std::collections::VecDeque;
use std::fs::File;
use std::io::ErrorKind;

use crate::flac::{by_claxon, flac_spec, noise, read_all};
use crate::support::{LogStore, Op, Outcome, apply, index_signal};
use audyn_media::{AudioFile, Facts, FlacInfo, FlacSpec, FlacWriter, MediaError, PcmDepth, flac};
use audyn_units::FrameCount;
use proptest::prelude::*;

/// Where STREAMINFO lies.
const INFO: u64 = 8;

fn writer(store: &mut LogStore, spec: FlacSpec) -> FlacWriter<&mut LogStore> {
    let mut writer = FlacWriter::on_store(store, "crash.flac", spec, &Facts::default()).unwrap();
    writer.set_source_depth(spec.depth());
    writer
}

/// Writes `blocks` (frames; negative is silence), a checkpoint after each.
fn recorded(spec: FlacSpec, blocks: &[i64]) -> (LogStore, Vec<i32>) {
    let mut store = LogStore::default();
    let mut samples = Vec::new();
    let mut writer = writer(&mut store, spec);
    for &block in blocks {
        let n = block.unsigned_abs() as usize * spec.channels().get();
        if block < 0 {
            writer.append_silence(FrameCount(block.unsigned_abs())).unwrap();
            samples.resize(samples.len() + n, 0);
        } else {
            let new = index_signal(spec.depth(), samples.len(), n);
            writer.append(&new).unwrap();
            samples.extend(new);
        }
        writer.checkpoint().unwrap();
    }
    writer.close().unwrap();
    (store, samples)
}

#[test]
fn a_cut_after_any_step_leaves_the_last_checkpoint() {
    for (channels, depth) in [(1, PcmDepth::Pcm24), (2, PcmDepth::Pcm16), (3, PcmDepth::Pcm24)] {
        let spec = flac_spec(channels, depth);
        let (store, samples) =
            recorded(spec, &[1, 4_096, 7, -1, 9_000, -30_001, 5, 20_000, -48_000 * 20, 12_000, 3]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cut.flac");
        let file = File::create_new(&path).unwrap();
        let mut counted = 0;
        let check = |counted: u64| {
            let info = FlacInfo::open(&path).unwrap();
            assert_eq!(info.declared.0, counted);
            let expected = &samples[..counted as usize * spec.channels().get()];
            assert!(by_claxon(&path) == expected, "claxon heeds the count");
            let all = read_all(&path);
            assert!(
                all.len() >= expected.len() && all == samples[..all.len()],
                "and our reader all that is whole"
            );
        };
        let mut counts = 0;
        for op in &store.log {
            if let Op::Write { offset, bytes } = op
                && *offset > INFO
                && bytes.len() > 18
            {
                // A kill may also cut a long write between two pages, never one of STREAMINFO's size.
                for part in [1, bytes.len() / 2, bytes.len() - 1] {
                    apply(&file, &Op::Write { offset: *offset, bytes: bytes[..part].to_vec() });
                    check(counted);
                }
            }
            apply(&file, op);
            if matches!(op, Op::Write { offset: INFO, .. }) {
                let now = FlacInfo::open(&path).unwrap().declared.0;
                assert!(now >= counted);
                counted = now;
                counts += 1;
            }
            check(counted);
        }
        assert!(counts > 6);
        assert_eq!(counted as usize * spec.channels().get(), samples.len());
        assert_eq!(flac::mend(&path).unwrap(), None, "a file that was closed is whole");
    }
}

#[test]
fn a_full_disk_keeps_the_last_checkpoint_and_the_retry_moves_nothing() {
    let spec = flac_spec(1, PcmDepth::Pcm24);
    let samples = index_signal(PcmDepth::Pcm24, 0, 30_000);
    let full = ErrorKind::StorageFull;
    // Each plan fails the second checkpoint elsewhere: its data, half of them, its count, half its count.
    for plan in [
        vec![Outcome::Error(full)],
        vec![Outcome::Short(100), Outcome::Error(full)],
        vec![Outcome::Good, Outcome::Error(full)],
        vec![Outcome::Good, Outcome::Short(12)],
    ] {
        let mut store = LogStore::default();
        store.plan.extend([Outcome::Good; 4]); // head; frames, count and seek point of the first checkpoint
        store.plan.extend(plan.iter().copied());
        let mut writer = writer(&mut store, spec);
        writer.append(&samples[..5_000]).unwrap();
        writer.checkpoint().unwrap();
        writer.append(&samples[5_000..10_000]).unwrap();
        let error = writer.checkpoint().unwrap_err();
        assert!(matches!(&error, MediaError::Write { valid: FrameCount(4_096), .. }), "{plan:?}: {error}");
        assert_eq!(writer.buffered_frames(), FrameCount(10_000 - 4_096));
        writer.append(&samples[10_000..]).unwrap();
        writer.checkpoint().unwrap();
        writer.close().unwrap();
        assert!(replayed(&store) == samples, "{plan:?}");
    }
}

#[test]
fn a_dead_disk_is_told_and_memory_stays_bounded() {
    let spec = flac_spec(2, PcmDepth::Pcm24);
    let mut store = LogStore::default();
    store.plan.push_back(Outcome::Good);
    store.plan.extend(vec![Outcome::Error(ErrorKind::Other); 100_000]);
    let mut writer = writer(&mut store, spec);
    let block = noise(2 * 48_000);
    let mut refused_at = None;
    for i in 0..100u64 {
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
    let taken = refused_at.expect("a dead disk must be refused at last") * 48_000 * 6;
    assert!(
        (15 << 20..=18 << 20).contains(&taken),
        "the signal is noise, which FLAC makes no smaller: {taken}"
    );
    assert!(matches!(writer.append_silence(FrameCount(1)), Err(MediaError::Backlog { .. })));
    let frames = writer.frames();
    let error = writer.close().unwrap_err();
    assert!(matches!(error, MediaError::Close { lost, .. } if lost == frames), "{error}");
    assert_eq!(store.log.len(), 1, "nothing but the head");
}

/// The file that the log makes, which must be one that was closed.
fn replayed(store: &LogStore) -> Vec<i32> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("replayed.flac");
    let file = File::create_new(&path).unwrap();
    store.log.iter().for_each(|op| apply(&file, op));
    let samples = read_all(&path);
    let info = FlacInfo::open(&path).unwrap();
    assert!(info.md5.is_some());
    assert_eq!(info.declared.0 as usize * info.channels.get(), samples.len());
    assert!(by_claxon(&path) == samples);
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
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_disk_does_every_sample_ends_at_its_place(
        channels in 1u8..5,
        deep in any::<bool>(),
        blocks in prop::collection::vec((-40_000i64..4_000, any::<bool>()), 1..20),
        plan in prop::collection::vec(outcome(), 0..60),
    ) {
        let spec = flac_spec(channels, if deep { PcmDepth::Pcm24 } else { PcmDepth::Pcm16 });
        let plan = VecDeque::from_iter([Outcome::Good].into_iter().chain(plan));
        let mut store = LogStore { plan, ..LogStore::default() };
        let mut samples = Vec::new();
        let mut writer = writer(&mut store, spec);
        for (block, checkpoint) in blocks {
            let n = block.unsigned_abs() as usize * spec.channels().get();
            // An error leaves the samples in memory: nothing here reaches the backlog's limit.
            if block < 0 {
                samples.resize(samples.len() + n, 0);
                let _ = writer.append_silence(FrameCount(block.unsigned_abs()));
            } else {
                let new = index_signal(spec.depth(), samples.len(), n);
                let _ = writer.append(&new);
                samples.extend(new);
            }
            if checkpoint {
                let _ = writer.checkpoint();
            }
            prop_assert_eq!(writer.frames().0 as usize * spec.channels().get(), samples.len());
        }
        for _ in 0..=60 {
            if writer.flush().is_ok() {
                break;
            }
        }
        // What the plan has left would hit the close, which has one try.
        while writer.sync().is_err() {}
        drop(writer);
        store.plan.clear();
        prop_assert!(replayed_prefix(&store, &samples));
    }
}

/// Whether the log makes a file of the first of these samples; a close that the disk refused may lack the last block.
fn replayed_prefix(store: &LogStore, samples: &[i32]) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("replayed.flac");
    let file = File::create_new(&path).unwrap();
    store.log.iter().for_each(|op| apply(&file, op));
    flac::mend(&path).unwrap();
    let found = by_claxon(&path);
    let channels = FlacInfo::open(&path).unwrap().channels.get();
    found == samples[..found.len()] && samples.len() - found.len() <= 4_096 * channels
}
