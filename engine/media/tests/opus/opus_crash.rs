//! Rule 4: cut after every write and anywhere, and a disk that refuses.

use std::io::Cursor;

use audyn_media::MediaError;
use audyn_media::opus::{OpusBitrateMode, OpusReader, OpusSpec, OpusWriter, mend};
use audyn_units::FrameCount;

use crate::support::{Disk, Signal, facts, read, saved, signal, spec, write};

/// What a recording of 2 s holds after each write: bytes, and frames that were promised.
fn recorded(spec: OpusSpec) -> (Vec<u8>, Vec<(usize, u64)>, Vec<i32>) {
    let disk = Disk::default();
    let mut writer = OpusWriter::on_store(disk.clone(), "a", spec, &facts(0)).unwrap();
    let mut promised = vec![(disk.bytes().len(), 0)];
    for block in signal(Signal::Music, spec, 96_000).chunks(5_760 * spec.channels.get()) {
        writer.append(block).unwrap();
        writer.flush().unwrap();
        let lost = writer.buffered_frames();
        assert!(lost.0 <= 960 * 3 + 312, "120 ms to the next checkpoint, and this: below 250 ms; {lost}");
        promised.push((disk.bytes().len(), writer.frames().0 - lost.0));
    }
    writer.close().unwrap();
    promised.push((disk.bytes().len(), 96_000));
    assert_eq!(disk.lengths().len(), promised.len(), "one write for each");
    let all = read(&disk.bytes());
    (disk.bytes(), promised, all)
}

#[test]
fn a_cut_anywhere_leaves_what_was_promised_and_mending_ends_it_once() {
    let dir = tempfile::tempdir().unwrap();
    for spec in [spec(48_000, 2), OpusSpec { bitrate: 24_000, ..spec(48_000, 1) }] {
        let channels = spec.channels.get();
        let (bytes, promised, all) = recorded(spec);
        let cuts = promised.windows(2).flat_map(|two| {
            let (from, to) = (two[0].0, two[1].0);
            [from, from + 1, from + 27, (from + to) / 2, to - 1]
        });
        for cut in cuts.chain([bytes.len()]) {
            let frames = promised.iter().rev().find(|(length, _)| *length <= cut).unwrap().1;
            let mut reader = OpusReader::from_source(Cursor::new(&bytes[..cut]), "cut").unwrap();
            assert!(reader.info().frames.0 >= frames, "cut at {cut}");
            let mut found = vec![0; all.len()];
            let n = reader.read(&mut found).unwrap();
            assert_eq!(n, reader.info().frames);
            assert!(found[..n.0 as usize * channels] == all[..n.0 as usize * channels]);
            let path = saved(dir.path(), "cut.opus", &bytes[..cut]);
            let mended = mend(&path, spec).unwrap();
            assert_eq!(mended.map(|m| m.frames), (cut < bytes.len()).then_some(n), "cut at {cut}");
            assert!(read(&std::fs::read(&path).unwrap()) == found[..n.0 as usize * channels]);
            assert_eq!(mend(&path, spec).unwrap(), None, "once");
        }
    }
}

#[test]
fn headers_that_are_cut_become_a_file_of_no_frames_and_what_is_anothers_stays() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(48_000, 2);
    let bytes = write(spec, &signal(Signal::Noise, spec, 4_800), &[], 480).remove(0);
    for length in [0, 5, 27, 47, 60, 100] {
        let path = saved(dir.path(), "head.opus", &bytes[..length]);
        assert_eq!(mend(&path, spec).unwrap().unwrap().frames, FrameCount::ZERO, "{length}");
        assert!(read(&std::fs::read(&path).unwrap()).is_empty());
        assert_eq!(mend(&path, spec).unwrap(), None);
    }
    for (other, spec) in
        [(bytes.clone(), crate::support::spec(48_000, 1)), (b"RIFF, something else".to_vec(), spec)]
    {
        let path = saved(dir.path(), "other.opus", &other);
        assert!(matches!(mend(&path, spec), Err(MediaError::NotOpus { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), other);
    }
}

#[test]
fn damage_costs_what_it_hit_and_moves_nothing() {
    let spec = spec(48_000, 2);
    let mut bytes = write(spec, &signal(Signal::Music, spec, 48_000 * 4), &[], 4_800).remove(0);
    let all = read(&bytes);
    let middle = bytes.len() / 3;
    bytes[middle] ^= 0x40;
    let damaged = read(&bytes);
    assert_eq!(damaged.len(), all.len());
    let same = damaged.iter().zip(&all).filter(|(a, b)| a == b).count();
    assert!(damaged != all && same > all.len() / 2);
    assert!(damaged[48_000 * 6..] == all[48_000 * 6..], "two seconds on, all is as it was");
}

#[test]
fn a_disk_that_refuses_loses_nothing_until_memory_is_full() {
    let spec = OpusSpec { bitrate: 510_000, mode: OpusBitrateMode::Cbr, complexity: 0, ..spec(48_000, 1) };
    let (disk, next) = (Disk::default(), Disk::default());
    let mut writer = OpusWriter::on_store(disk.clone(), "a", spec, &facts(0)).unwrap();
    let second = signal(Signal::Noise, spec, 48_000);
    disk.refuse(true);
    assert!(matches!(writer.append(&second).and_then(|()| writer.flush()), Err(MediaError::Write { .. })));
    writer.append_silence(FrameCount(48_000 * 100)).unwrap_err();
    writer.succeed_on(next.clone(), "b", &facts(0)).unwrap();
    writer.append(&second).unwrap_err();
    assert_eq!(writer.take_finished().len(), 0, "its end is not on the disk");
    next.refuse(true);
    let mut seconds = 1;
    let backlog = loop {
        match writer.append_silence(FrameCount(48_000 * 20)) {
            Err(MediaError::Backlog { buffered, .. }) => break buffered,
            _ => seconds += 20,
        }
    };
    // Of the second file the first second reached the disk, but for what was in no page.
    assert!(
        backlog.0 <= 48_000 * seconds && backlog.0 >= 48_000 * (seconds - 1) && (240..300).contains(&seconds)
    );
    disk.refuse(false);
    next.refuse(false);
    writer.append(&second).unwrap();
    let finished = writer.finish();
    assert!(finished.iter().all(|f| f.result.is_ok()) && finished.len() <= 2);
    assert_eq!(read(&disk.bytes()).len(), 48_000 * 101);
    assert_eq!(read(&next.bytes()).len() as u64, 48_000 * (seconds + 1));
}

#[test]
fn a_file_whose_end_cannot_be_written_says_what_is_lost() {
    let spec = spec(48_000, 2);
    let disk = Disk::default();
    let mut writer = OpusWriter::on_store(disk.clone(), "a", spec, &facts(0)).unwrap();
    writer.append(&signal(Signal::Noise, spec, 48_000)).unwrap();
    writer.flush().unwrap();
    disk.refuse(true);
    match writer.close() {
        Err(MediaError::Close { valid, lost, .. }) => {
            assert_eq!(valid.0, 48_000 - 312);
            assert_eq!(valid.0 + lost.0, 48_000);
        }
        other => panic!("{other:?}"),
    }
}
