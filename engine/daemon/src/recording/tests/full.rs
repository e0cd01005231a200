//! A disk without room, in the midst of a file.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use audyn_media::{Facts, WavWriter};

use super::*;
use crate::volume::Ours;

/// A disk that takes everything or nothing.
struct Full(Arc<AtomicBool>);

impl audyn_media::Store for Full {
    fn write_at(&mut self, bytes: &[u8], _: u64) -> std::io::Result<usize> {
        if self.0.load(Relaxed) { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(bytes.len()) }
    }

    fn set_len(&mut self, _: u64) -> std::io::Result<()> {
        if self.0.load(Relaxed) { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_mirror_that_fills_ends_its_file_there_and_the_archive_is_paid_silence() {
    for mirrors in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let (feed, recording, status) = mono(&path, &[audyn_api::FormatConfig::Wav24]);
        let archive = Ours::any(dir.path().join("archive"));
        let (mut feed, ours) = match mirrors {
            true => {
                let ours = Ours::mirror(dir.path().join("mirror"), dir.path().join("state"), archive);
                (feed.mirroring(), ours)
            }
            false => (feed, archive),
        };
        let mut recording = recording.on(ours);
        let (notices, _news) = std::sync::mpsc::sync_channel(64);
        let placed = placed(1_783_000_000 * 48_000, 0, Placement::MediaClock, Why::First);
        feed.placed(&placed);
        let at = |seconds: u64| placed.position + FrameCount(seconds * 48_000);
        let give = |feed: &mut crate::feed::Feed, recording: &mut Recording, second: u64| {
            feed.audio(at(second), &[1 << 20; 48_000], &placed.anchor);
            feed.turn(at(second + 1), None);
            let now = Timestamp::from_nanos((second as i64 + 1) * 1_000_000_000);
            recording.work(now, Timestamp::from_nanos(i64::MAX), &notices);
        };
        give(&mut feed, &mut recording, 0);
        // From here on the file lies on a disk that is full.
        let full = Arc::new(AtomicBool::new(false));
        let spec = WavSpec { rate: RATE, channels: ChannelCount::MONO, depth: PcmDepth::Pcm24 };
        let file = WavWriter::on_store(Full(Arc::clone(&full)), &path, spec, &Facts::default()).unwrap();
        full.store(true, Relaxed);
        recording.tracks[0].segment = Some(recording.segment(Box::new(file), None, at(1)));
        let next = dir.path().join("a_002.wav");
        // 16 MiB wait in memory: 116 s of it.
        let mut given = 1;
        while given < 120 && !next.exists() {
            give(&mut feed, &mut recording, given);
            given += 1;
        }
        assert_eq!(next.exists(), mirrors);
        full.store(false, Relaxed);
        give(&mut feed, &mut recording, given);
        feed.end(None);
        feed.turn(at(given + 1), None);
        let now = Timestamp::from_nanos(200 * 1_000_000_000);
        recording.work(now, Timestamp::from_nanos(i64::MAX), &notices);
        let filled = status.lock().unwrap().filled;
        if mirrors {
            assert_eq!(filled, FrameCount::ZERO);
            let header = std::fs::read_to_string(ledger::path_of(&next)).unwrap();
            let header: serde_json::Value = serde_json::from_str(header.lines().next().unwrap()).unwrap();
            assert_eq!(header["first_position"], at(given).0, "behind what was refused");
            assert!(samples(&next) == [1 << 20; 48_000]);
        } else {
            assert!(filled > FrameCount::ZERO && filled < RATE.frames_in(Nanos::from_secs(5)), "{filled}");
        }
        assert_eq!(next.exists(), mirrors);
    }
}

#[test]
fn a_ledger_that_waits_for_room_waits_on_where_the_disk_could_not_be_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (path, link) = (dir.path().join("a.wav"), dir.path().join("link"));
    std::os::unix::fs::symlink(dir.path(), &link).unwrap();
    let (_feed, mut recording, _status, _placed) = flushed(&path, false);
    let file = recording.files().next().unwrap();
    let store = Full(Arc::new(AtomicBool::new(true)));
    let ledger = Ledger::on(&path, audyn_media::ledger::LedgerWriter::on_store(Box::new(store)));
    recording.late.push((file, ledger));
    let due = Due { path: path.clone(), state: State::Closed };
    recording.told(&Told { due, result: crate::syncer::make_safe(&link) }, Timestamp::ZERO);
    assert_eq!((recording.late.len(), recording.take_cut().len()), (1, 0));
}
