//! FLAC files that a kill or a power cut left, and what they are after mending.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::flac::{by_claxon, flac_spec, noise, read_all};
use audyn_media::{AudioFile, Facts, FlacInfo, FlacWriter, MediaError, PcmDepth, flac};
use audyn_units::FrameCount;

/// A file of `frames` that was closed, and its samples.
fn whole(dir: &Path, frames: usize) -> (PathBuf, Vec<i32>) {
    let path = dir.join("whole.flac");
    let mut writer = FlacWriter::create(&path, flac_spec(2, PcmDepth::Pcm24), &Facts::default()).unwrap();
    let samples = noise(frames * 2);
    writer.append(&samples).unwrap();
    writer.close().unwrap();
    (path, samples)
}

/// Makes of `bytes` the file that a recorder which never closed it would have left.
fn unclosed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[12..18].fill(0); // sizes of frames
    bytes[26..42].fill(0); // MD5
    bytes
}

#[test]
fn a_file_cut_anywhere_counts_what_is_whole_and_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let (path, samples) = whole(dir.path(), 20_000);
    let bytes = std::fs::read(&path).unwrap();
    let head = 86_016;
    assert_eq!(bytes[head..head + 2], [0xFF, 0xF8], "the first frame");
    let cut = dir.path().join("cut.flac");
    let mut counts = Vec::new();
    for (length, zeros) in (head..=bytes.len())
        .step_by(977)
        .chain([bytes.len() - 1, bytes.len()])
        .zip([0, 1, 5_000].into_iter().cycle())
    {
        let mut left = unclosed(bytes[..length].to_vec());
        left.resize(length + zeros, 0);
        std::fs::write(&cut, &left).unwrap();
        let mended = flac::mend(&cut).unwrap().expect("the MD5 at least was missing");
        assert_eq!(mended.declared, FrameCount(20_000));
        let found = by_claxon(&cut);
        assert_eq!(found.len() as u64, mended.frames.0 * 2);
        assert!(found == samples[..found.len()] && read_all(&cut) == found);
        let after = std::fs::read(&cut).unwrap();
        assert!(after[head..] == left[head..after.len()], "what is whole is as it was");
        assert!(after.len() <= length);
        assert_eq!(flac::mend(&cut).unwrap(), None, "once");
        counts.push(mended.frames.0);
        if length == bytes.len() {
            assert!(after == bytes, "all that a close writes is found again");
        }
    }
    counts.dedup();
    counts.sort_unstable();
    counts.dedup();
    assert_eq!(counts, [0, 4_096, 8_192, 12_288, 16_384, 20_000]);
}

#[test]
fn what_lies_behind_a_broken_stretch_is_kept_at_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let (path, samples) = whole(dir.path(), 20_000);
    let mut bytes = unclosed(std::fs::read(&path).unwrap());
    let from = 86_016 + 30_000; // within the second frame
    bytes[from..from + 4_096].fill(0);
    let length = bytes.len();
    bytes.extend([0; 777]);
    bytes[24..26].copy_from_slice(&20_999u16.to_be_bytes()); // the count ran ahead
    std::fs::write(&path, &bytes).unwrap();
    let mended = flac::mend(&path).unwrap().unwrap();
    assert_eq!((mended.declared.0, mended.frames.0), (20_999, 20_000));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), length as u64);
    assert_eq!(FlacInfo::open(&path).unwrap().md5, None, "no sum can be right");
    let all = read_all(&path);
    assert_eq!(all.len(), samples.len());
    assert!(all[..2 * 4_096] == samples[..2 * 4_096]);
    assert!(all[2 * 4_096..2 * 8_192].iter().all(|&sample| sample == 0));
    assert!(all[2 * 8_192..] == samples[2 * 8_192..]);
    assert_eq!(flac::mend(&path).unwrap(), None);
}

#[test]
fn a_long_file_is_mended_from_its_last_seek_point() {
    let dir = tempfile::tempdir().unwrap();
    let (path, samples) = whole(dir.path(), 48_000 * 245); // 70 MB
    let bytes = unclosed(std::fs::read(&path).unwrap());
    assert!(bytes.len() > 65 << 20, "longer than what is decoded whole");
    let torn = bytes.len() - 3;
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&bytes[..42], 0).unwrap();
    file.set_len(torn as u64).unwrap();
    let mended = flac::mend(&path).unwrap().unwrap();
    assert_eq!(mended.frames.0, 48_000 * 245 / 4_096 * 4_096);
    let mut reader = audyn_media::FlacReader::open(&path).unwrap();
    reader.seek(FrameCount(mended.frames.0 - 100)).unwrap();
    let mut block = vec![0; 2 * 500];
    assert_eq!(reader.read(&mut block).unwrap().0, 100);
    assert!(block[..200] == samples[(mended.frames.0 as usize - 100) * 2..][..200]);
    assert_eq!(flac::mend(&path).unwrap(), None);
    // Cut far before the last points: they go, and those before them stay.
    file.set_len(10 << 20).unwrap();
    let mended = flac::mend(&path).unwrap().unwrap();
    assert!(mended.frames.0 > 48_000 * 30 && mended.frames.0 < 48_000 * 40, "{mended:?}");
    assert_eq!(flac::mend(&path).unwrap(), None);
    let head = std::fs::read(&path).unwrap();
    let point = |n: usize| u64::from_be_bytes(head[46 + 18 * n..][..8].try_into().unwrap());
    assert_eq!([0, 1, 2].map(point).map(|first| first / 48_000), [0, 20, u64::MAX / 48_000]);
}

#[test]
fn a_file_that_is_whole_or_none_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = whole(dir.path(), 5_000);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend(b"TAG of another program");
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(flac::mend(&path).unwrap(), None);
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    for wrong in [&b""[..], b"RIFF and more of it", &bytes[..500]] {
        std::fs::write(&path, wrong).unwrap();
        assert!(matches!(flac::mend(&path), Err(MediaError::NotFlac { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), wrong);
    }
    assert!(matches!(flac::mend(&dir.path().join("none")), Err(MediaError::Read { .. })));
}
