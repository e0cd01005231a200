//! What is told and judged of two volumes: of each, what is its own.

use std::path::PathBuf;

use audyn_api::RecorderSnapshot;
use audyn_units::FrameCount;
use serde_json::json;

use super::*;
use crate::engine::lock;
use crate::shared::RecordingStatus;

/// A service with a mirror. Its recorder `a` is to record from an interface that is not there: so nothing of it reaches a disk, and what
/// each volume has of it is what a test says.
struct Two {
    dir: tempfile::TempDir,
    service: Service,
}

impl Two {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let source = json!([{ "id": "desk", "name": "", "address": "239.77.0.1", "interface": "not-there" }]);
        let recorder = json!([{ "id": "a", "name": "", "source_id": "desk", "auto_start": true }]);
        std::fs::write(state.join("sources.json"), source.to_string()).unwrap();
        std::fs::write(state.join("recorders.json"), recorder.to_string()).unwrap();
        let below = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        let global = GlobalConfig {
            archive_root: below("archive"),
            mirror: Some(below("mirror")),
            fifo_priority: 0,
            ..GlobalConfig::default()
        };
        let service = Service::start(ConfigStore::open(&state, global).unwrap()).unwrap();
        Self { dir, service }
    }

    fn path(&self, volume: &str, name: &str) -> PathBuf {
        self.dir.path().join(volume).join("a").join(name)
    }

    fn on_archive(&self, tell: impl FnOnce(&mut RecordingStatus)) {
        tell(&mut lock(&self.service.engine.recorders()[0].recording));
    }

    fn on_mirror(&self, tell: impl FnOnce(&mut RecordingStatus)) {
        tell(&mut lock(&self.service.engine.recorders()[0].mirrored));
    }
}

#[test]
fn what_one_volume_refuses_says_nothing_of_the_other_and_is_past_with_its_recording() {
    let mut two = Two::new();
    let writing = |two: &Two| {
        let (mirror, _) = two.service.mirror.as_ref().unwrap();
        [&two.service.retention, mirror].map(|retention| retention.open_files().writing())
    };
    two.on_archive(|status| status.open = vec!["/archive/a/1.wav".into(), "/archive/a/1.flac".into()]);
    two.on_mirror(|status| status.error = Some("no room is left on the disk".to_owned()));
    assert_eq!(writing(&two), [(2, false), (0, true)]);
    let open = two.service.all_open_files();
    assert!(open.iter().any(|files| files.contains(Path::new("/archive/a/1.flac"))));
    two.on_mirror(|status| status.open = vec!["/mirror/a/1.wav".into()]);
    assert!(open.iter().any(|files| files.contains(Path::new("/mirror/a/1.wav"))));
    two.on_mirror(|status| status.open.clear());
    two.service.engine.stop("a", Box::new(|| {})).unwrap();
    assert_eq!(writing(&two), [(2, false), (0, false)]);
}

#[test]
fn what_is_told_of_a_recording_is_of_one_volume_and_the_mirrors_only_while_the_archives_refuses() {
    let mut two = Two::new();
    let (here, there) = (two.path("archive", "1.wav"), two.path("mirror", "1_002.wav"));
    two.on_archive(|status| {
        (status.file, status.bytes, status.gaps) = (Some(here), 300, 2);
        (status.written, status.filled) = (FrameCount(100), FrameCount(50));
    });
    two.on_mirror(|status| {
        (status.file, status.bytes, status.written) = (Some(there), 450, FrameCount(150));
    });
    let told = |two: &mut Two| {
        let recorder = two.service.snapshot().recorders.remove(0);
        let RecorderSnapshot { frames_written, frames_filled, gaps, bytes_written, current_file, .. } =
            recorder;
        (frames_written.0, frames_filled.0, gaps, bytes_written, current_file.unwrap())
    };
    let of_archive = (100, 50, 2, 300, "a/1.wav".to_owned());
    assert_eq!(told(&mut two), of_archive, "the mirror has more of it, and the archive has lost some");
    let error = || Some("no room is left on the disk".to_owned());
    two.on_archive(|status| status.error = error());
    assert_eq!(told(&mut two), (150, 0, 0, 450, "a/1_002.wav".to_owned()));
    two.on_mirror(|status| status.error = error());
    assert_eq!(told(&mut two), of_archive, "neither takes it");
}

#[test]
fn the_room_of_each_volume_is_judged_by_what_is_written_to_that_one() {
    let mut two = Two::new();
    let rates = |two: &mut Two| {
        two.service.reconcile();
        let (mirror, _) = two.service.mirror.as_ref().unwrap();
        [&two.service.retention, mirror].map(Retention::written)
    };
    assert_eq!(rates(&mut two), [0, 0]);
    // The archive's volume is away.
    let there = two.path("mirror", "1.wav");
    two.on_mirror(|status| status.file = Some(there));
    assert_eq!(rates(&mut two), [0, 288_000], "24 bits of stereo");
    let told = |two: &mut Two| {
        let volumes = two.service.snapshot().volumes.into_iter();
        volumes.map(|volume| volume.bytes_per_second).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut two), [0, 288_000]);
    let here = two.path("archive", "1.wav");
    two.on_archive(|status| status.file = Some(here));
    two.on_mirror(|status| status.file = None);
    assert_eq!(rates(&mut two), [288_000, 0]);
    assert_eq!(told(&mut two), [288_000, 0]);
    assert_eq!(two.service.snapshot().retention.bytes_per_second, 288_000);
}
