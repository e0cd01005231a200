//! FLAC files on a real file system: what was given comes back, from our reader and from the `flac` program.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use crate::support::{LogStore, apply, index_signal, spec};
use audyn_media::{
    AudioFile, Facts, FlacInfo, FlacReader, FlacSpec, FlacWriter, MediaError, PcmDepth, WavReader, WavWriter,
};
use audyn_units::{ChannelCount, FrameCount, FrameIndex, SampleRate};
use proptest::prelude::*;

pub(crate) fn flac_spec(channels: u8, depth: PcmDepth) -> FlacSpec {
    FlacSpec::new(SampleRate::HZ_48000, ChannelCount::new(channels).unwrap(), depth).unwrap()
}

/// All samples by `claxon`'s own reader, which heeds the count of the head, left-justified.
pub(crate) fn by_claxon(path: &Path) -> Vec<i32> {
    let mut reader = claxon::FlacReader::open(path).unwrap();
    let info = reader.streaminfo();
    let shift = 32 - info.bits_per_sample;
    let counted = info.samples.unwrap_or(0) as usize * info.channels as usize;
    reader.samples().take(counted).map(|s| s.unwrap() << shift).collect()
}

pub(crate) fn read_all(path: &Path) -> Vec<i32> {
    let mut reader = FlacReader::open(path).unwrap();
    let channels = reader.info().channels.get();
    let (mut samples, mut block) = (Vec::new(), vec![0; 1_001 * channels]);
    loop {
        match reader.read(&mut block).unwrap().0 as usize {
            0 => return samples,
            n => samples.extend(&block[..n * channels]),
        }
    }
}

/// White noise in 24 bit, which FLAC makes no smaller.
pub(crate) fn noise(samples: usize) -> Vec<i32> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as i32 & !0xFF
    };
    (0..samples).map(|_| next()).collect()
}

/// A tone, or noise where `wild`.
fn signal(depth: PcmDepth, samples: usize, wild: bool) -> Vec<i32> {
    if wild {
        let keep = i32::MIN >> (depth.bits() - 1);
        return noise(samples).into_iter().map(|sample| sample & keep).collect();
    }
    let shift = 32 - u32::from(depth.bits());
    (0..samples).map(|n| ((((n as f64) * 0.031).sin() * 8_000.0) as i32) << shift).collect()
}

fn facts() -> Facts {
    Facts {
        recorder: "studio-1".to_owned(),
        description: "Studio 1 — Übertragung".to_owned(),
        originator: "Audyn 0.1.0".to_owned(),
        first: FrameIndex(85_590_000),
        start_utc: "2026-07-02T22:46:03.5Z".to_owned(),
        start_named: "2026-07-03T00:46:03.5+02:00".to_owned(),
        since_midnight: FrameCount(132_648_000),
        tai_minus_utc: Some(37),
        placed_by: Some("media-clock".to_owned()),
        clock: Some("ptp-locked".to_owned()),
        channel_names: vec!["left".to_owned(), String::new(), "talkback".to_owned()],
    }
}

#[test]
fn a_name_shows_a_whole_file_at_once_and_is_never_taken_twice() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.flac");
    let spec = flac_spec(3, PcmDepth::Pcm24);
    let writer = FlacWriter::create(&path, spec, &facts()).unwrap();
    let info = FlacInfo::open(&path).unwrap();
    assert_eq!((info.declared.0, info.md5, info.channels), (0, None, spec.channels()));
    assert_eq!(info.facts(), facts());
    assert!(read_all(&path).is_empty());
    assert_eq!(writer.bytes(), std::fs::metadata(&path).unwrap().len());
    writer.close().unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(FlacWriter::create(&path, spec, &facts()), Err(MediaError::Exists { .. })));
    assert!(matches!(
        FlacWriter::create(dir.path().join("no/a.flac"), spec, &facts()),
        Err(MediaError::Create { .. })
    ));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_given_comes_back_in_every_bit(
        channels in 1u8..=8,
        deep in any::<bool>(),
        level in 0u8..=8,
        wild in any::<bool>(),
        parts in prop::collection::vec(-6_000i64..6_000, 0..8),
        skip in 0u64..30_000,
    ) {
        let depth = if deep { PcmDepth::Pcm24 } else { PcmDepth::Pcm16 };
        let spec = flac_spec(channels, depth).at_level(level).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.flac");
        let mut writer = FlacWriter::create(&path, spec, &Facts::default()).unwrap();
        writer.set_source_depth(depth);
        let channels = usize::from(channels);
        let mut samples = Vec::new();
        for part in parts {
            let n = part.unsigned_abs() as usize * channels;
            if part < 0 {
                writer.append_silence(FrameCount(part.unsigned_abs())).unwrap();
                samples.resize(samples.len() + n, 0);
            } else {
                let new = signal(depth, n, wild);
                writer.append(&new).unwrap();
                samples.extend(new);
            }
            writer.checkpoint().unwrap();
            prop_assert!(writer.buffered_frames().0 <= 4_096);
        }
        prop_assert_eq!(writer.frames().0 as usize * channels, samples.len());
        writer.close().unwrap();
        prop_assert!(by_claxon(&path) == samples);
        prop_assert!(read_all(&path) == samples);
        let mut reader = FlacReader::open(&path).unwrap();
        prop_assert_eq!(reader.info().declared.0 as usize * channels, samples.len());
        reader.seek(FrameCount(skip)).unwrap();
        let mut rest = vec![0; samples.len()];
        let n = reader.read(&mut rest).unwrap().0 as usize * channels;
        let expected = samples.get(skip as usize * channels..).unwrap_or_default();
        prop_assert!(&rest[..n] == expected);
    }
}

#[test]
fn sixteen_bits_of_a_deeper_source_are_dithered_as_in_a_wav_file() {
    let dir = tempfile::tempdir().unwrap();
    let samples = index_signal(PcmDepth::Pcm24, 0, 2 * 5_000);
    let path = dir.path().join("a.flac");
    let mut writer = FlacWriter::create(&path, flac_spec(2, PcmDepth::Pcm16), &Facts::default()).unwrap();
    writer.seed_dither(7);
    let mut store = LogStore::default();
    let mut twin =
        WavWriter::on_store(&mut store, "a.wav", spec(2, PcmDepth::Pcm16), &Facts::default()).unwrap();
    twin.seed_dither(7);
    for part in samples.chunks(2 * 77) {
        writer.append(part).unwrap();
        twin.append(part).unwrap();
    }
    twin.close().unwrap();
    writer.close().unwrap();
    let file = tempfile::tempfile().unwrap();
    store.log.iter().for_each(|op| apply(&file, op));
    let mut expected = vec![0; samples.len()];
    WavReader::from_source(file, "the twin").unwrap().read(&mut expected).unwrap();
    assert!(read_all(&path) == expected);
    assert!(expected.iter().zip(&samples).any(|(a, b)| a >> 16 != b >> 16), "there was dither");
}

#[test]
fn a_reader_follows_a_file_that_grows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.flac");
    let mut writer = FlacWriter::create(&path, flac_spec(1, PcmDepth::Pcm24), &Facts::default()).unwrap();
    let mut reader = FlacReader::open(&path).unwrap();
    let samples = index_signal(PcmDepth::Pcm24, 0, 50_000);
    let (mut read, mut block) = (Vec::<i32>::new(), vec![0; 9_999]);
    for part in samples.chunks(7_000) {
        writer.append(part).unwrap();
        writer.checkpoint().unwrap();
        loop {
            let n = reader.read(&mut block).unwrap().0 as usize;
            read.extend(&block[..n]);
            if n == 0 {
                break;
            }
        }
        assert_eq!(read.len() as u64, writer.frames().0 - writer.buffered_frames().0);
    }
    writer.close().unwrap();
    while let n @ 1.. = reader.read(&mut block).unwrap().0 as usize {
        read.extend(&block[..n]);
    }
    assert!(read == samples);
}

#[test]
fn a_frame_that_is_being_written_is_read_once_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("whole.flac");
    let mut writer = FlacWriter::create(&path, flac_spec(2, PcmDepth::Pcm24), &Facts::default()).unwrap();
    let samples = noise(2 * 12_000);
    writer.append(&samples).unwrap();
    writer.close().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let growing = dir.path().join("growing.flac");
    let mut file = File::create_new(&growing).unwrap();
    let (head, frames) = bytes.split_at(86_016);
    file.write_all(head).unwrap();
    let mut reader = FlacReader::open(&growing).unwrap();
    let (mut read, mut block) = (Vec::<i32>::new(), vec![0; 2 * 5_000]);
    for part in frames.chunks(10_007) {
        file.write_all(part).unwrap();
        while let n @ 1.. = reader.read(&mut block).unwrap().0 as usize {
            read.extend(&block[..2 * n]);
        }
    }
    assert!(read == samples);
}

/// A file, and how many bytes of it were read.
struct Counting(File, Rc<Cell<u64>>);

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.0.read(buffer)?;
        self.1.set(self.1.get() + n as u64);
        Ok(n)
    }
}

impl Seek for Counting {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn a_seek_is_short_by_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.flac");
    let mut writer = FlacWriter::create(&path, flac_spec(1, PcmDepth::Pcm16), &Facts::default()).unwrap();
    writer.set_source_depth(PcmDepth::Pcm16);
    let samples = signal(PcmDepth::Pcm16, 48_000 * 65, true);
    writer.append(&samples).unwrap();
    writer.close().unwrap();
    // Who goes to a frame reads little.
    let read = Rc::new(Cell::new(0));
    let source = Counting(File::open(&path).unwrap(), Rc::clone(&read));
    let mut reader = FlacReader::from_source(source, "counted").unwrap();
    let before = read.get();
    reader.seek(FrameCount(48_000 * 61)).unwrap();
    assert_eq!(reader.read(&mut [0; 100]).unwrap().0, 100);
    assert!(
        read.get() - before < 1_000_000,
        "{} of {}",
        read.get() - before,
        std::fs::metadata(&path).unwrap().len()
    );
    // A stretch before the last point is destroyed: who reads from that point does not meet it.
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[90_000..middle].fill(0);
    std::fs::write(&path, bytes).unwrap();
    let mut reader = FlacReader::open(&path).unwrap();
    for second in [62, 64, 61] {
        reader.seek(FrameCount(second * 48_000 + 11)).unwrap();
        let mut block = vec![0; 5_000];
        assert_eq!(reader.read(&mut block).unwrap().0, 5_000);
        assert!(block == samples[second as usize * 48_000 + 11..][..5_000]);
    }
    // From the start on: what is gone is silence, and all behind it stays at its time.
    let all = read_all(&path);
    assert_eq!(all.len(), samples.len());
    assert!(all[48_000..].iter().take(1_000_000).all(|&sample| sample == 0));
    assert!(all[48_000 * 60..] == samples[48_000 * 60..]);
}

/// The judge of the format, where it is installed (`scripts/test` does): no error, no warning, the MD5 of what was given.
#[test]
fn the_flac_program_finds_nothing_to_say() {
    let run = |program: &str, arguments: &[&str], path: &Path| {
        Command::new(program).args(arguments).arg(path).output().ok()
    };
    // Under an emulator a program that is not there seems to start, and fails.
    if !Command::new("flac").arg("--version").output().is_ok_and(|told| told.status.success()) {
        println!("skipped: the flac program is not installed");
        return;
    }
    for (channels, depth, frames) in [
        (1, PcmDepth::Pcm16, 0),
        (2, PcmDepth::Pcm24, 1),
        (2, PcmDepth::Pcm24, 48_000 * 41 + 5),
        (8, PcmDepth::Pcm16, 9_000),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.flac");
        let mut writer = FlacWriter::create(&path, flac_spec(channels, depth), &facts()).unwrap();
        writer.set_source_depth(depth);
        for _ in 0..frames / 1_000 {
            writer.append(&signal(depth, 1_000 * usize::from(channels), false)).unwrap();
        }
        writer.append(&signal(depth, frames % 1_000 * usize::from(channels), true)).unwrap();
        writer.checkpoint().unwrap();
        let judge = |what: &str| {
            let tested = run("flac", &["-t", "--warnings-as-errors", "--silent"], &path).unwrap();
            let told = String::from_utf8_lossy(&tested.stderr).into_owned();
            // A file that is being written has no sum yet, which flac tells as a warning of its own.
            // Length 0 means "unknown" in FLAC, and the program says of its own empty files too that it cannot check them.
            let open = told.is_empty()
                || (what == "open" && told.contains("MD5"))
                || (frames == 0 && told.contains("unset"));
            assert!(open && (!told.is_empty() || tested.status.success()), "{what}: {told}");
            let listed = run("metaflac", &["--list", "--except-block-type=PADDING"], &path).unwrap();
            assert!(listed.status.success() && listed.stderr.is_empty(), "{what}: {listed:?}");
            if frames > 0
                && let Some(probed) = run("ffprobe", &["-v", "warning", "-i"], &path)
            {
                assert!(probed.status.success() && probed.stderr.is_empty(), "{what}: {probed:?}");
            }
            let listed = String::from_utf8(listed.stdout).unwrap();
            assert!(listed.contains("TITLE=Studio 1 — Übertragung"), "{listed}");
            assert!(listed.contains("TIMEREFERENCE=132648000"), "{listed}");
            listed
        };
        judge("open");
        writer.close().unwrap();
        let listed = judge("closed");
        assert!(listed.contains(&format!("total samples: {frames}")), "{listed}");
        let points =
            listed.lines().filter(|line| line.contains("point ") && line.contains("sample_number")).count();
        assert_eq!(points, frames.div_ceil(48_000 * 20), "{listed}");
        // Another program's tags fit in, and the file stays right.
        let tagged = run("metaflac", &["--set-tag=COMMENT=heard"], &path).unwrap();
        assert!(tagged.status.success() && tagged.stderr.is_empty(), "{tagged:?}");
        judge("tagged");
    }
}
