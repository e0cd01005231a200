//! Files on a real file system, against `hound` and a strict reader.

use std::fs::File;
use std::io::Cursor;
use std::os::unix::fs::MetadataExt;

use crate::support::{by_hound, facts, index_signal, spec, strict};
use audyn_media::{MediaError, PcmDepth, WavInfo, WavReader, WavWriter};
use audyn_units::FrameCount;
use proptest::prelude::*;

#[test]
fn a_new_file_is_valid_and_empty_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new.wav");
    let spec = spec(2, PcmDepth::Pcm24);
    let writer = WavWriter::create(&path, spec, &facts()).unwrap();
    assert_eq!(strict(&mut File::open(&path).unwrap(), spec).frames, 0);
    assert!(by_hound(&path, spec).is_empty());
    assert_eq!((writer.bytes(), writer.needs_flush()), (4_096, false));
    assert_eq!(writer.path(), path);
}

#[test]
fn an_existing_file_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("taken.wav");
    std::fs::write(&path, b"an hour of radio").unwrap();
    let before = std::fs::metadata(&path).unwrap();
    let error = WavWriter::create(&path, spec(2, PcmDepth::Pcm24), &facts()).unwrap_err();
    assert!(matches!(&error, MediaError::Exists { path: p } if *p == path));
    assert!(error.to_string().contains("taken.wav exists already"));
    assert_eq!(std::fs::read(&path).unwrap(), b"an hour of radio");
    let after = std::fs::metadata(&path).unwrap();
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_directory_that_is_missing_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let error =
        WavWriter::create(dir.path().join("no/a.wav"), spec(1, PcmDepth::Pcm16), &facts()).unwrap_err();
    assert!(matches!(error, MediaError::Create { .. }));
    assert!(error.to_string().contains("check that the directory exists"));
}

#[test]
fn appends_wait_in_memory_until_the_threshold() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lazy.wav");
    let spec = spec(2, PcmDepth::Pcm24);
    let mut writer = WavWriter::create(&path, spec, &facts()).unwrap();
    let below = 256 * 1024 / 6;
    writer.append(&index_signal(spec.depth, 0, below * 2)).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 4_096);
    assert_eq!(writer.buffered_frames(), FrameCount(below as u64));
    writer.append(&index_signal(spec.depth, below * 2, 2)).unwrap();
    // The block of the header and 64 more: the end of the last frame waits for the next block.
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 4_096 + 256 * 1024);
    let whole = 256 * 1024 / 6;
    assert_eq!(strict(&mut File::open(&path).unwrap(), spec).frames, whole);
    assert_eq!(writer.buffered_frames(), FrameCount(below as u64 + 1 - whole));
}

#[test]
fn odd_data_are_padded_at_every_flush() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("odd.wav");
    let spec = spec(1, PcmDepth::Pcm24);
    let mut writer = WavWriter::create(&path, spec, &facts()).unwrap();
    for n in 0..9usize {
        writer.append(&index_signal(spec.depth, n, 1)).unwrap();
        writer.flush().unwrap();
        let len = std::fs::metadata(&path).unwrap().len();
        assert_eq!((len, len % 2), (writer.bytes(), 0));
        assert_eq!(by_hound(&path, spec), index_signal(spec.depth, 0, n + 1));
    }
    writer.sync().unwrap();
    writer.close().unwrap();
}

#[test]
fn an_hour_of_silence_takes_no_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("silence.wav");
    let spec = spec(2, PcmDepth::Pcm24);
    let mut writer = WavWriter::create(&path, spec, &facts()).unwrap();
    writer.append(&index_signal(spec.depth, 1, 2)).unwrap();
    writer.append_silence(FrameCount(3_600 * 48_000)).unwrap();
    writer.append(&index_signal(spec.depth, 3, 2)).unwrap();
    writer.close().unwrap();
    assert!(std::fs::metadata(&path).unwrap().blocks() * 512 < 1 << 20);
    let mut reader = WavReader::open(&path).unwrap();
    assert_eq!(reader.info().frames.0, 3_600 * 48_000 + 2);
    let mut first = [1; 4];
    reader.read(&mut first).unwrap();
    assert_eq!(first, [index_signal(spec.depth, 1, 2), vec![0, 0]].concat()[..]);
    reader.seek(FrameCount(3_600 * 48_000)).unwrap();
    let mut last = [1; 9];
    assert_eq!(reader.read(&mut last).unwrap(), FrameCount(2));
    assert_eq!(last[..4], [vec![0, 0], index_signal(spec.depth, 3, 2)].concat()[..]);
    assert_eq!(last[4..], [1; 5]);
    assert_eq!(reader.read(&mut last).unwrap(), FrameCount::ZERO);
}

/// Starts near the limit by a hole, not by writing 4 GiB.
#[test]
fn a_recording_goes_on_past_4_gib() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.wav");
    let spec = spec(2, PcmDepth::Pcm24);
    let mut writer = WavWriter::create(&path, spec, &facts()).unwrap();
    let near = (1u64 << 32) / 6 - 1_000;
    writer.append_silence(FrameCount(near)).unwrap();
    writer.flush().unwrap();
    assert!(!strict(&mut File::open(&path).unwrap(), spec).rf64);
    let samples = index_signal(spec.depth, 0, 2 * 5_000);
    for block in samples.chunks(2 * 48) {
        writer.append(block).unwrap();
        writer.flush().unwrap();
    }
    writer.close().unwrap();
    let found = strict(&mut File::open(&path).unwrap(), spec);
    assert_eq!((found.rf64, found.frames), (true, near + 5_000));
    let mut reader = WavReader::open(&path).unwrap();
    assert!(reader.info().rf64);
    reader.seek(FrameCount(near)).unwrap();
    let mut back = vec![0; samples.len()];
    assert_eq!(reader.read(&mut back).unwrap(), FrameCount(5_000));
    assert!(back == samples);
}

#[test]
fn dropping_a_writer_keeps_what_it_held() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dropped.wav");
    let spec = spec(1, PcmDepth::Pcm24);
    let mut writer = WavWriter::create(&path, spec, &facts()).unwrap();
    writer.append(&index_signal(spec.depth, 0, 11)).unwrap();
    drop(writer);
    assert_eq!(by_hound(&path, spec), index_signal(spec.depth, 0, 11));
}

#[test]
fn half_a_frame_is_refused_and_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = WavWriter::create(dir.path().join("a.wav"), spec(2, PcmDepth::Pcm24), &facts()).unwrap();
    let error = writer.append(&[0; 3]).unwrap_err();
    assert!(matches!(error, MediaError::PartialFrame { samples: 3, channels: 2 }));
    assert_eq!(writer.frames(), FrameCount::ZERO);
}

#[test]
fn a_cut_file_has_the_whole_frames_that_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cut.wav");
    let spec = spec(2, PcmDepth::Pcm24);
    let mut writer = WavWriter::create(&path, spec, &facts()).unwrap();
    writer.append(&index_signal(spec.depth, 0, 200)).unwrap();
    writer.close().unwrap();
    File::options().write(true).open(&path).unwrap().set_len(4_096 + 6 * 40 + 5).unwrap();
    let info = WavInfo::open(&path).unwrap();
    assert_eq!((info.frames, info.declared), (FrameCount(40), FrameCount(100)));
}

/// A file by `hound`, with chunks of odd and even size before its data.
fn foreign(channels: u16, bits: u16) -> Vec<u8> {
    let mut plain = Cursor::new(Vec::new());
    let hound_spec = hound::WavSpec {
        channels,
        sample_rate: 44_100,
        bits_per_sample: bits,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::new(&mut plain, hound_spec).unwrap();
    for n in 0..30 * i32::from(channels) {
        writer.write_sample(n - 40).unwrap();
    }
    writer.finalize().unwrap();
    let mut bytes = plain.into_inner();
    bytes.splice(12..12, *b"LIST\x03\0\0\0abc\0bext\x04\0\0\0abcd");
    bytes
}

#[test]
fn files_of_others_are_read() {
    // hound writes more than two channels and more than 16 bit as extensible.
    for (channels, bits) in [(1, 16), (2, 24), (6, 24), (1, 24)] {
        let bytes = foreign(channels, bits);
        let mut reader = WavReader::from_source(Cursor::new(bytes), "foreign").unwrap();
        let mut samples = vec![0; 100 * usize::from(channels)];
        assert_eq!(reader.read(&mut samples).unwrap(), FrameCount(30));
        let expected: Vec<i32> = (0..30 * i32::from(channels)).map(|n| (n - 40) << (32 - bits)).collect();
        assert_eq!(samples[..expected.len()], expected);
    }
}

#[test]
fn what_is_no_wav_is_refused_in_a_sentence() {
    let whole = foreign(1, 16);
    let mut no_data = whole.clone();
    let at = no_data.windows(4).position(|w| w == b"data").unwrap();
    no_data.truncate(at);
    let mut eight_bit = whole.clone();
    let fmt = eight_bit.windows(4).position(|w| w == b"fmt ").unwrap();
    eight_bit[fmt + 22] = 8;
    let mut slow = whole.clone();
    slow[fmt + 12..fmt + 16].copy_from_slice(&22_050u32.to_le_bytes());
    for (bytes, part) in [
        (vec![], "it is empty"),
        (whole[..9].to_vec(), "it ends inside its header"),
        (whole[..at + 6].to_vec(), "it ends inside its header"),
        (no_data, "no data chunk"),
        (b"OggS and so on".to_vec(), "does not begin as RIFF"),
        (eight_bit, "8 bits instead of 16 or 24"),
        (slow, "22050"),
    ] {
        let error = WavInfo::read(&mut Cursor::new(bytes)).unwrap_err();
        assert!(matches!(error, MediaError::NotWav { .. }));
        assert!(error.to_string().contains(part), "{error}");
    }
}

proptest! {
    #[test]
    fn the_split_into_blocks_changes_no_byte(
        channels in 1u8..4,
        depth in prop::sample::select(PcmDepth::ALL.to_vec()),
        source in prop_oneof![Just(PcmDepth::Pcm16), Just(PcmDepth::Pcm24)],
        cuts in prop::collection::vec((0usize..700, any::<bool>()), 0..12),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let spec = spec(channels, depth);
        let samples = index_signal(source, 0, 4_000 * spec.channels.get());
        let write = |name: &str, cuts: &[(usize, bool)]| {
            let path = dir.path().join(name);
            let mut writer = WavWriter::create(&path, spec, &facts()).unwrap();
            writer.set_source_depth(source);
            writer.seed_dither(5);
            let mut rest = &samples[..];
            for &(frames, flush) in cuts {
                let (block, after) = rest.split_at((frames * spec.channels.get()).min(rest.len()));
                writer.append(block).unwrap();
                if flush {
                    writer.flush().unwrap();
                }
                rest = after;
            }
            writer.append(rest).unwrap();
            writer.close().unwrap();
            path
        };
        let (whole, split) = (write("whole.wav", &[]), write("split.wav", &cuts));
        prop_assert!(std::fs::read(&whole).unwrap() == std::fs::read(&split).unwrap());
        if depth >= source {
            prop_assert!(by_hound(&split, spec) == samples, "bit for bit");
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), form in 0..3u8) {
        let start: &[u8] = match form {
            0 => b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0",
            1 => b"RF64\xFF\xFF\xFF\xFFWAVEds64\x1C\0\0\0",
            _ => b"",
        };
        bytes.splice(0..0, start.iter().copied());
        if let Ok(mut reader) = WavReader::from_source(Cursor::new(bytes), "noise") {
            let mut samples = vec![0; 1_000];
            while reader.read(&mut samples).unwrap() > FrameCount::ZERO {}
        }
    }
}
