//! Peaks: that they are those of the audio, whatever wrote them and however far they came.

use std::ffi::OsStr;

use audyn_media::Beneath;
use audyn_media::archive::Kind;
use audyn_media::peaks::{Peak, PeakSpec, PeakWriter, Peaks, make};
use audyn_units::{ChannelCount, FrameCount, FrameIndex};

use crate::archive::{LENGTH, RATE, START, record, signal};
use crate::support::LogStore;

const SPEC: PeakSpec = PeakSpec { rate: RATE, channels: ChannelCount::STEREO, first: FrameIndex(START) };

/// Quiet noise with a few loud samples, so that no two stretches have the same peaks.
fn sound(frames: usize) -> Vec<i32> {
    let loud = |n: usize| if n % 7_919 < 2 { i32::MAX >> (n % 5) } else { 0 };
    let noise = |n: usize| ((n as u32).wrapping_mul(2_654_435_761) as i32) >> (4 + n / 20_000 % 6);
    (0..2 * frames).map(|n| if loud(n) != 0 { loud(n) } else { noise(n) }).collect()
}

/// The peaks of a stretch of one channel, sample by sample.
fn of(samples: &[i32], channel: usize, from: usize, to: usize) -> Peak {
    let part = &samples[2 * from..2 * to.min(samples.len() / 2).max(from)];
    let values = || part.iter().skip(channel).step_by(2).map(|&sample| (sample >> 16) as i16);
    match (values().min(), values().max()) {
        (Some(min), Some(max)) => Peak { min, max },
        _ => Peak::NONE,
    }
}

fn written(dir: &tempfile::TempDir, samples: &[i32], pieces: usize) -> Peaks {
    let root = Beneath::root(dir.path()).unwrap();
    let mut writer = PeakWriter::create_in(&root, OsStr::new("a.wav"), SPEC).unwrap();
    for part in samples.chunks(2 * pieces) {
        writer.append(part);
        writer.flush().unwrap();
    }
    writer.close().unwrap();
    Peaks::open_in(&root, OsStr::new("a.wav")).unwrap()
}

#[test]
fn a_point_holds_each_sample_of_its_frames_and_few_of_its_neighbours_at_every_level() {
    let frames = 3_000_000;
    let samples = sound(frames);
    let dir = tempfile::tempdir().unwrap();
    let peaks = written(&dir, &samples, 12_345);
    assert_eq!(peaks.spec(), SPEC);
    assert_eq!(peaks.frames().unwrap(), FrameCount(frames.next_multiple_of(65_536) as u64));
    for (from, to, points) in [
        (0, frames, 2),
        (0, frames, 11),
        (77, frames - 5, 1_000),
        (500_000, 2_000_000, 120),
        (1_000_000, 1_100_000, 640),
        (65_535, 65_537, 1),
    ] {
        let drawn = peaks.waveform(FrameCount(from as u64), FrameCount(to as u64), points).unwrap();
        assert_eq!(drawn.points().len(), points);
        for (n, point) in drawn.points().enumerate() {
            let edge = |n: usize| from + (to - from) * n / points;
            let (left, right) = (edge(n), edge(n + 1));
            let more = ((right - left) / 8).max(256);
            for (channel, peak) in point.iter().enumerate() {
                let least = of(&samples, channel, (left + 1).min(right), right);
                let most = of(&samples, channel, left.saturating_sub(more), right + more);
                let lacks = peak.min > least.min || peak.max < least.max;
                assert!(!lacks, "point {n} of {points} lacks a sample");
                let far = peak.min < most.min || peak.max > most.max;
                assert!(!far, "point {n} of {points} holds what is far from it");
            }
        }
    }
}

#[test]
fn what_is_written_while_recording_and_what_is_made_of_the_file_are_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let root = Beneath::root(dir.path()).unwrap();
    for kind in [Kind::Wav, Kind::Flac] {
        let name = record(dir.path(), kind, 0, "");
        let mut writer = PeakWriter::create_in(&root, OsStr::new(&name), SPEC).unwrap();
        for part in signal(START, LENGTH).chunks(2 * 48) {
            writer.append(part);
        }
        writer.close().unwrap();
        let path = dir.path().join(format!("{name}.peaks"));
        let while_recording = std::fs::read(&path).unwrap();
        std::fs::write(&path, "old").unwrap();
        make(&root, OsStr::new(&name), || true).unwrap();
        assert!(std::fs::read(&path).unwrap() == while_recording, "{kind:?}");
        assert!(make(&root, OsStr::new(&name), || false).unwrap_err().to_string().contains("stopped"));
        assert!(std::fs::read(&path).unwrap() == while_recording, "an early end leaves what was there");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 6, "nothing else is left");
    assert!(
        make(&root, OsStr::new("00.wav.peaks"), || true).unwrap_err().to_string().contains("is no recording")
    );
}

#[test]
fn silence_is_drawn_as_silence_and_what_is_not_there_as_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root = Beneath::root(dir.path()).unwrap();
    let mut writer = PeakWriter::create_in(&root, OsStr::new("a.wav"), SPEC).unwrap();
    writer.append(&[-70_000; 2 * 100]);
    writer.append_silence(FrameCount(210_000));
    writer.append(&[1 << 20; 2]);
    writer.close().unwrap();
    let peaks = Peaks::open_in(&root, OsStr::new("a.wav")).unwrap();
    let drawn = peaks.waveform(FrameCount(0), FrameCount(400_000), 4).unwrap();
    let left: Vec<Peak> = drawn.points().map(|point| point[0]).collect();
    let peak = |min, max| Peak { min, max };
    assert_eq!(left, [peak(-2, 0), peak(0, 0), peak(0, 16), Peak::NONE]);
    assert!(left[3].is_none() && !left[1].is_none());
}

#[test]
fn a_file_cut_anywhere_draws_what_is_whole() {
    let samples = sound(200_000);
    let dir = tempfile::tempdir().unwrap();
    let whole = written(&dir, &samples, 48_000);
    let all = whole.waveform(FrameCount(0), FrameCount(131_072), 100).unwrap();
    let path = dir.path().join("a.wav.peaks");
    let chunk = 273 * 8;
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes.len(), 64 + 4 * chunk);
    for (length, frames) in [(64 + 4 * chunk - 1, 3), (64 + 2 * chunk, 2), (64 + chunk + 9, 1), (64, 0)] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let cut = Peaks::open_in(&Beneath::root(dir.path()).unwrap(), OsStr::new("a.wav")).unwrap();
        assert_eq!(cut.frames().unwrap(), FrameCount(frames * 65_536));
        let drawn = cut.waveform(FrameCount(0), FrameCount(131_072), 100).unwrap();
        assert_eq!(drawn == all, frames >= 2);
    }
    for length in [0, 63] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = Peaks::open_in(&Beneath::root(dir.path()).unwrap(), OsStr::new("a.wav")).unwrap_err();
        assert!(error.to_string().contains("no peaks of Audyn's"), "{error}");
    }
}

#[test]
fn a_disk_that_refuses_for_a_while_costs_no_peak() {
    use crate::support::{Op, Outcome};
    let samples = sound(200_000);
    let plan = [Outcome::Short(10), Outcome::Error(std::io::ErrorKind::StorageFull), Outcome::Short(100)];
    let mut disk = LogStore { plan: plan.into(), ..LogStore::default() };
    let mut writer = PeakWriter::on_store(&mut disk, SPEC);
    let mut failed = 0;
    for part in samples.chunks(2 * 48_000) {
        writer.append(part);
        failed += u32::from(writer.flush().is_err());
    }
    writer.close().unwrap();
    assert!(failed > 0);
    let mut bytes = Vec::new();
    for op in &disk.log {
        if let Op::Write { offset, bytes: written } = op {
            bytes.resize(bytes.len().max(*offset as usize + written.len()), 0);
            bytes[*offset as usize..][..written.len()].copy_from_slice(written);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    written(&dir, &samples, 48_000);
    assert!(bytes == std::fs::read(dir.path().join("a.wav.peaks")).unwrap());
}
