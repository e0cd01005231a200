//! Recordings as the disk writer runs them.

use audyn_core::flow::{FlowEvent, GapCause, Placed, Placement, Why};
use audyn_core::segment::TimeAnchor;
use audyn_units::{ChannelCount, ClockQuality, SampleRate};

use audyn_media::WavSpec;

use super::*;
use crate::feed;
use crate::syncer::Told;

mod full;

const RATE: SampleRate = SampleRate::HZ_48000;

fn placed(position: u64, moved: i64, placement: Placement, why: Why) -> Placed {
    let seconds = (position / 48_000) as i64;
    let offset = Nanos::from_secs(37);
    let anchor = TimeAnchor {
        position: FrameIndex(position),
        utc: Timestamp::from_nanos(seconds * 1_000_000_000) - offset,
        rate: RATE,
        exact: placement == Placement::MediaClock,
        tai_offset: Some(offset),
    };
    let (position, tai_offset) = (FrameIndex(position), Some(offset));
    Placed { position, moved, placement, quality: ClockQuality::PtpLocked, tai_offset, why, anchor }
}

#[test]
fn a_flow_that_is_placed_anew_ends_its_file_and_both_ledgers_say_how_they_stand() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    let (mut feed, end) = feed::connect(RATE, 1, None, None);
    let plan = RecordingPlan {
        about: About {
            recorder: "a".to_owned(),
            name: "Studio 1".to_owned(),
            channel_names: vec!["Mono".to_owned()],
        },
        naming: Naming::File(path.clone()),
        formats: vec![FileFormat::Wav(WavSpec {
            rate: RATE,
            channels: ChannelCount::MONO,
            depth: PcmDepth::Pcm24,
        })],
        source_depth: PcmDepth::Pcm24,
    };
    let mut recording = Recording::new(plan, end, SharedRecording::default());
    let (notices, news) = std::sync::mpsc::sync_channel(64);

    let first = 1_783_000_000 * 48_000;
    let one = placed(first, 0, Placement::Arrival, Why::First);
    feed.placed(&one);
    feed.audio(one.position, &[256; 48], &one.anchor);
    feed.silence(one.position + FrameCount(48), FrameCount(5), GapCause::Loss, &one.anchor);
    feed.drift(Some(-12.345));
    let why = Why::ClockStepped(Nanos::from_secs(-3_600));
    let two = placed(first - 3_600 * 48_000, -172_800_053, Placement::MediaClock, why);
    feed.placed(&two);
    feed.audio(two.position, &[512; 48], &two.anchor);
    let (from, to) = (ClockQuality::PtpLocked, ClockQuality::PtpFreeRunning);
    feed.event(FlowEvent::ClockQualityChanged { from, to });
    feed.event(FlowEvent::ClockStepped(Nanos::from_secs(2)));
    feed.end(None);
    feed.turn(two.position + FrameCount(48), None);
    recording.work(Timestamp::from_nanos(1_000_000_000), Timestamp::from_nanos(i64::MAX), &notices);

    let opened: Vec<_> = news
        .try_iter()
        .filter_map(|notice| match notice {
            Notice::Opened { path, position, .. } => Some((path, position)),
            _ => None,
        })
        .collect();
    let next = dir.path().join("a_002.wav");
    assert_eq!(opened, [(path.clone(), one.position), (next.clone(), two.position)]);
    let lines = |path: &Path| -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(ledger::path_of(path)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let ledger = lines(&path);
    assert_eq!((&ledger[0]["placed_by"], &ledger[0]["clock"]), (&"arrival".into(), &"ptp-locked".into()));
    assert_eq!(ledger[0]["tai_minus_utc"], 37);
    assert_eq!(ledger[0]["start_utc"], "2026-07-02T13:46:03Z");
    assert_eq!((&ledger[1]["cause"], &ledger[1]["frames"]), (&"loss".into(), &5.into()));
    assert_eq!(ledger[2]["event"], "placed-anew");
    assert_eq!(
        ledger[2]["detail"],
        "this machine's clock stepped by -3600.000 s and stood by it; the next file goes on at frame \
         85583827200000, -172800053 frames from here, placed by its media clock"
    );
    assert_eq!((&ledger[3]["closed"], &ledger[3]["drift_ppm"]), (&true.into(), &(-12.3).into()));
    assert_eq!(ledger.len(), 4);
    let ledger = lines(&next);
    assert_eq!((&ledger[0]["placed_by"], ledger.len()), (&"media-clock".into(), 4));
    assert_eq!(
        (&ledger[1]["event"], &ledger[1]["position"]),
        (&"clock-quality".into(), &(two.position.0 + 48).into())
    );
    assert_eq!(
        ledger[1]["detail"],
        "this machine's clock is free-running after PTP, and was locked to PTP; no frame moves"
    );
    assert_eq!(ledger[2]["event"], "clock-stepped");
    assert_eq!(
        ledger[2]["detail"],
        "this machine's clock stepped by +2.000 s and stood by it; the flow goes on by its media clock, and no frame moves"
    );
    assert_eq!(ledger[0]["file"], "a_002.wav");
    for (path, position, reading) in [(&path, one.position, 49_563), (&next, two.position, 45_963)] {
        let mut reader = audyn_media::WavReader::open(path).unwrap();
        let (bext, facts) = (reader.bext().unwrap().unwrap(), reader.facts().unwrap().unwrap());
        assert_eq!(bext.time_reference.0, reading * 48_000, "the second of the day in UTC");
        assert_eq!(
            (facts.first, facts.start_utc.as_str()),
            (position, lines(path)[0]["start_utc"].as_str().unwrap())
        );
        assert_eq!(facts.placed_by.as_deref(), lines(path)[0]["placed_by"].as_str());
        assert_eq!((facts.tai_minus_utc, facts.clock.as_deref()), (Some(37), Some("ptp-locked")));
        assert_eq!((bext.description.as_str(), facts.channel_names), ("Studio 1", vec!["Mono".to_owned()]));
        assert!(bext.originator.starts_with("Audyn "), "{}", bext.originator);
    }
}

/// All samples of a file.
fn samples(path: &Path) -> Vec<i32> {
    let mut samples = vec![0; 400_000];
    let read = match path.extension().and_then(|suffix| suffix.to_str()) {
        Some("wav") => audyn_media::WavReader::open(path).unwrap().read(&mut samples),
        Some("flac") => audyn_media::FlacReader::open(path).unwrap().read(&mut samples),
        _ => audyn_media::opus::OpusReader::open(path).unwrap().read(&mut samples),
    };
    samples.truncate(read.unwrap().0 as usize);
    samples
}

/// A recording of one mono channel to `path`, with its feed.
fn mono(path: &Path, formats: &[audyn_api::FormatConfig]) -> (crate::feed::Feed, Recording, SharedRecording) {
    let (feed, end) = feed::connect(RATE, 1, None, None);
    let (opus, encoding) = (audyn_api::OpusConfig::default(), audyn_units::Encoding::L24);
    let plan = RecordingPlan {
        about: About::default(),
        naming: Naming::File(path.to_owned()),
        formats: crate::formats_of(formats, &opus, RATE, ChannelCount::MONO, encoding).unwrap(),
        source_depth: PcmDepth::Pcm24,
    };
    let status = SharedRecording::default();
    (feed, Recording::new(plan, end, SharedRecording::clone(&status)), status)
}

#[test]
fn a_recording_whose_file_has_gone_goes_on_in_another_at_the_very_frame() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    let formats = [audyn_api::FormatConfig::Wav24, audyn_api::FormatConfig::Opus];
    let (mut feed, mut recording, status) = mono(&path, &formats);
    let (notices, news) = std::sync::mpsc::sync_channel(64);
    let second = |n: i64| Timestamp::from_nanos(n * 1_000_000_000);
    let placed = placed(1_783_000_000 * 48_000, 0, Placement::MediaClock, Why::First);
    feed.placed(&placed);
    feed.audio(placed.position, &[1 << 20; 24_000], &placed.anchor);
    feed.turn(placed.position + FrameCount(24_000), None);
    recording.work(second(1), Timestamp::ZERO, &notices);
    recording.gone(Path::new("/another.wav"), second(1), &notices);
    assert_eq!(status.lock().unwrap().warning, None, "it is none of its files");

    std::fs::rename(&path, dir.path().join("moved.wav")).unwrap();
    recording.gone(&path, second(1), &notices);
    assert!(status.lock().unwrap().warning.as_ref().unwrap().contains("a.wav was removed, renamed"));
    feed.audio(placed.position + FrameCount(24_000), &[1 << 21; 480], &placed.anchor);
    feed.end(None);
    feed.turn(placed.position + FrameCount(24_480), None);
    recording.listed();
    recording.flush(second(60), Nanos(0), &notices);
    assert!(status.lock().unwrap().warning.is_some());
    recording.flush(second(61), Nanos(0), &notices);
    assert_eq!(status.lock().unwrap().warning, None, "it was told for a minute");
    recording.work(second(61), Timestamp::ZERO, &notices);
    assert!(samples(&dir.path().join("moved.wav")) == [1 << 20; 24_000], "what was moved is whole");
    assert!(samples(&dir.path().join("a_002.wav")) == [1 << 21; 480]);
    assert_eq!(samples(&dir.path().join("a_002.opus")).len(), 480);
    let opened: Vec<_> = news
        .try_iter()
        .filter_map(|notice| match notice {
            Notice::Opened { position, .. } => Some(position.since(placed.position).0),
            _ => None,
        })
        .collect();
    assert_eq!(opened, [0, 24_000]);
    let ledger = std::fs::read_to_string(ledger::path_of(&dir.path().join("a_002.wav"))).unwrap();
    assert!(ledger.contains("2026-07-02T13:46:03.5Z"), "half a second later by name, too: {ledger}");
}

#[test]
fn silence_that_was_not_written_yet_when_a_file_goes_stands_in_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.opus");
    let (mut feed, mut recording, status) = mono(&path, &[audyn_api::FormatConfig::Opus]);
    let (notices, _news) = std::sync::mpsc::sync_channel(64);
    let second = |n: i64| Timestamp::from_nanos(n * 1_000_000_000);
    let placed = placed(1_783_000_000 * 48_000, 0, Placement::MediaClock, Why::First);
    feed.placed(&placed);
    feed.audio(placed.position, &[1 << 20; 48_000], &placed.anchor);
    let silent = FrameCount(3 * 48_000);
    feed.silence(placed.position + FrameCount(48_000), silent, GapCause::Outage, &placed.anchor);
    feed.audio(placed.position + FrameCount(48_000) + silent, &[1 << 21; 480], &placed.anchor);
    feed.end(None);
    feed.turn(placed.position + FrameCount(48_480) + silent, None);
    recording.work(second(1), Timestamp::ZERO, &notices);
    recording.gone(&path, second(1), &notices);
    for _ in 0..5 {
        recording.work(second(2), Timestamp::ZERO, &notices);
    }
    let status = status.lock().unwrap();
    assert_eq!((status.written, status.filled, status.error.clone()), (FrameCount(48_480), silent, None));
    let next = samples(&dir.path().join("a_002.opus")).len();
    assert_eq!(samples(&path).len() + next, 48_480 + silent.0 as usize);
}

#[test]
fn what_was_written_is_counted_also_while_the_end_of_it_is_in_the_encoder() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.opus");
    let (mut feed, mut recording, status) = mono(&path, &[audyn_api::FormatConfig::Opus]);
    let (notices, _news) = std::sync::mpsc::sync_channel(64);
    let now = Timestamp::from_nanos(1_000_000_000);
    let placed = placed(1_783_000_000 * 48_000, 0, Placement::MediaClock, Why::First);
    feed.placed(&placed);
    let noise: Vec<i32> = (1..96_001_u32).map(|n| n.wrapping_mul(2_654_435_761).cast_signed() >> 2).collect();
    let (mut at, mut counted) = (placed.position, Vec::new());
    for part in [&noise[..], &noise[..120]] {
        feed.cut_here();
        feed.audio(at, part, &placed.anchor);
        at += FrameCount(part.len() as u64);
        feed.turn(at, None);
        recording.work(now, Timestamp::ZERO, &notices);
        if counted.is_empty() {
            recording.listed();
            recording.flush(now + Nanos::from_secs(9), Nanos(0), &notices);
        }
        counted.push(status.lock().unwrap().bytes);
    }
    assert_eq!(status.lock().unwrap().open.len(), 2, "the first one is not out of the encoder");
    assert!(counted[0] > 10_000 && counted[1] > counted[0], "{counted:?}");
}

#[test]
fn a_disk_without_room_is_waited_for_and_one_that_fails_is_let_go_of() {
    let of = |kind: std::io::ErrorKind| MediaError::Write {
        path: PathBuf::new(),
        valid: FrameCount(0),
        source: kind.into(),
    };
    assert!(!is_failure(&of(std::io::ErrorKind::StorageFull)));
    assert!(!is_failure(&of(std::io::ErrorKind::QuotaExceeded)));
    assert!(is_failure(&of(std::io::ErrorKind::ReadOnlyFilesystem)));

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    let (mut feed, mut recording, status) = mono(&path, &[audyn_api::FormatConfig::Wav24]);
    let (notices, _news) = std::sync::mpsc::sync_channel(64);
    let second = |n: i64| Timestamp::from_nanos(n * 1_000_000_000);
    let placed = placed(1_783_000_000 * 48_000, 0, Placement::MediaClock, Why::First);
    feed.placed(&placed);
    feed.audio(placed.position, &[1 << 20; 480], &placed.anchor);
    feed.turn(placed.position + FrameCount(480), None);
    recording.work(second(1), Timestamp::ZERO, &notices);
    // The disk refuses from here on; what memory takes, or a flush that has nothing to write, says nothing.
    recording.result(Err(of(std::io::ErrorKind::ReadOnlyFilesystem)));
    feed.audio(placed.position + FrameCount(480), &[1 << 20; 480], &placed.anchor);
    feed.turn(placed.position + FrameCount(960), None);
    recording.work(second(1), Timestamp::ZERO, &notices);
    assert_eq!(recording.failing, Some(NEVER));
    assert!(status.lock().unwrap().error.is_some());
    recording.failing = Some(second(1));
    let shared = status.lock().unwrap().open.clone();
    recording.let_go_of_a_failing_disk(second(2), &notices);
    assert_eq!((status.lock().unwrap().open.clone(), recording.take_cut()), (shared, vec![]), "not at once");
    recording.let_go_of_a_failing_disk(second(3), &notices);
    assert!(status.lock().unwrap().open.is_empty());
    assert_eq!(recording.take_cut().into_iter().map(|cut| cut.file.path).collect::<Vec<_>>(), [path]);
}

#[test]
fn long_silence_is_encoded_by_the_second_and_what_follows_waits_its_turn() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.opus");
    for (format, turns) in [(audyn_api::FormatConfig::Opus, 7), (audyn_api::FormatConfig::Wav24, 1)] {
        let path = path.with_extension(format.suffix());
        let (mut feed, mut recording, status) = mono(&path, &[format]);
        let (notices, _news) = std::sync::mpsc::sync_channel(64);
        let placed = placed(1_783_000_000 * 48_000, 0, Placement::MediaClock, Why::First);
        feed.placed(&placed);
        feed.silence(placed.position, FrameCount(6 * 48_000 + 77), GapCause::Outage, &placed.anchor);
        let at = placed.position + FrameCount(6 * 48_000 + 77);
        feed.audio(at, &[1 << 20; 480], &placed.anchor);
        feed.turn(at + FrameCount(480), None);
        // No turn has any time for it.
        let now = Timestamp::from_nanos(1_000_000_000);
        let account = || {
            let status = status.lock().unwrap();
            (status.written.0, status.filled.0)
        };
        for turn in 1..=turns {
            assert_eq!(account().0, 0, "{format:?} {turn}");
            recording.work(now, Timestamp::ZERO, &notices);
            assert_eq!(account().1, if turn == turns { 6 * 48_000 + 77 } else { turn * 48_000 });
        }
        if turns > 1 {
            recording.work(now, Timestamp::ZERO, &notices);
        }
        assert_eq!(account(), (480, 6 * 48_000 + 77));
        feed.end(None);
        feed.turn(at + FrameCount(480), None);
        recording.work(now, Timestamp::ZERO, &notices);
        assert_eq!(samples(&path).len(), 6 * 48_000 + 77 + 480, "{format:?}");
    }
}

#[test]
fn a_master_and_its_proxies_are_cut_at_the_same_frame_and_each_has_a_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    let (mut feed, end) = feed::connect(RATE, 1, None, None);
    let formats =
        [audyn_api::FormatConfig::Wav24, audyn_api::FormatConfig::Flac, audyn_api::FormatConfig::Opus];
    let opus = audyn_api::OpusConfig::default();
    let encoding = audyn_units::Encoding::L24;
    let plan = RecordingPlan {
        about: About::default(),
        naming: Naming::File(path.clone()),
        formats: crate::formats_of(&formats, &opus, RATE, ChannelCount::MONO, encoding).unwrap(),
        source_depth: PcmDepth::Pcm24,
    };
    let status = SharedRecording::default();
    let mut recording = Recording::new(plan, end, SharedRecording::clone(&status));
    let (notices, _news) = std::sync::mpsc::sync_channel(64);
    let now = Timestamp::from_nanos(1_000_000_000);

    // A tone, since that is what Opus can be held to; three files of odd lengths, the second one with a gap.
    let first = 1_783_000_000 * 48_000;
    let tone = |n: u64| ((n as f64 * 0.0576).sin() * 1e9) as i32 & !0xff;
    let placed = placed(first, 0, Placement::MediaClock, Why::First);
    feed.placed(&placed);
    let mut at = placed.position;
    let mut whole = Vec::new();
    for (number, frames) in [30_011u64, 40_000, 25_003].into_iter().enumerate() {
        if number > 0 {
            // As a boundary of the archive does.
            feed.cut_here();
        }
        let samples: Vec<i32> = (0..frames).map(|n| tone(whole.len() as u64 + n)).collect();
        feed.audio(at, &samples, &placed.anchor);
        at += FrameCount(frames);
        whole.extend(samples);
        if number == 1 {
            feed.silence(at, FrameCount(77), GapCause::Loss, &placed.anchor);
            at += FrameCount(77);
            whole.extend([0; 77]);
        }
        feed.turn(at, None);
        recording.work(now, Timestamp::from_nanos(i64::MAX), &notices);
    }
    let listed: Vec<_> = recording.files().map(|file| file.path).collect();
    let open = status.lock().unwrap().open.clone();
    assert!(open.len() >= 3, "an ended file of Opus may still be open");
    assert!(open.iter().all(|path| listed.contains(path)));
    let closed = ["a", "a_002"]
        .iter()
        .flat_map(|name| ["wav", "flac"].map(|suffix| dir.path().join(format!("{name}.{suffix}"))));
    for path in closed {
        assert!(
            listed.contains(&path) && !open.contains(&path),
            "the disk has not confirmed it, and it may be deleted"
        );
    }
    feed.end(None);
    feed.turn(at, None);
    recording.work(now, Timestamp::from_nanos(i64::MAX), &notices);
    confirm_all(&mut recording, now);
    assert_eq!((recording.files().count(), status.lock().unwrap().open.len()), (0, 0));
    assert_eq!(status.lock().unwrap().error, None);

    let names = ["a", "a_002", "a_003"];
    let lengths = [30_011, 40_077, 25_003];
    for suffix in ["wav", "flac", "opus"] {
        let files: Vec<_> = names.iter().map(|name| dir.path().join(format!("{name}.{suffix}"))).collect();
        let parts: Vec<_> = files.iter().map(|file| samples(file)).collect();
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), lengths, "{suffix}");
        let joined = parts.concat();
        if suffix != "opus" {
            assert!(joined == whole, "{suffix} is not what came");
        }
        let error =
            joined.iter().zip(&whole).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>();
        let power = whole.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>();
        assert!(error < power / 100.0, "{suffix}: {:.1} dB", 10.0 * (power / error).log10());
        for (file, frames) in files.iter().zip(lengths) {
            let text = std::fs::read(ledger::path_of(file)).unwrap();
            let facts = audyn_media::ledger::LedgerFacts::read(&text[..], FrameCount(frames as u64)).unwrap();
            let end = facts.end.unwrap();
            assert_eq!((end.frames_written + end.frames_filled).0, frames as u64, "{}", file.display());
            assert_eq!(facts.filled.0, if frames == 40_077 { 77 } else { 0 }, "{}", file.display());
        }
    }
}

/// A ledger's disk that refuses until it is told otherwise.
struct Stubborn(std::sync::Arc<std::sync::atomic::AtomicBool>);

impl audyn_media::Store for Stubborn {
    fn write_at(&mut self, bytes: &[u8], _: u64) -> std::io::Result<usize> {
        match self.0.load(std::sync::atomic::Ordering::Relaxed) {
            true => Ok(bytes.len()),
            false => Err(std::io::ErrorKind::StorageFull.into()),
        }
    }

    fn set_len(&mut self, _: u64) -> std::io::Result<()> {
        unreachable!("a ledger only grows")
    }

    fn sync(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_file_whose_ledger_the_disk_refuses_counts_as_open_until_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    let (feed, end) = feed::connect(RATE, 1, None, None);
    let format = crate::formats_of(
        &[audyn_api::FormatConfig::Wav24],
        &audyn_api::OpusConfig::default(),
        RATE,
        ChannelCount::MONO,
        audyn_units::Encoding::L24,
    )
    .unwrap()[0];
    let plan = RecordingPlan {
        about: About::default(),
        naming: Naming::File(path.clone()),
        formats: vec![format],
        source_depth: PcmDepth::Pcm24,
    };
    let status = SharedRecording::default();
    let mut recording = Recording::new(plan, end, SharedRecording::clone(&status));
    let (notices, _news) = std::sync::mpsc::sync_channel(64);
    let room = std::sync::Arc::default();
    let disk: Box<dyn audyn_media::Store + Send> = Box::new(Stubborn(std::sync::Arc::clone(&room)));
    let ledger = Ledger::on(&path, audyn_media::ledger::LedgerWriter::on_store(disk));
    let ledger = ledger.close(FrameCount(1), FrameCount(0), crate::ledger::Ending::default());
    let account = Account::default();
    let missing = FrameCount::ZERO;
    let closed =
        Closed { path: path.clone(), account, gaps: vec![], bytes: 0, result: Ok(()), ledger, missing };
    recording.take_note(0, closed, &notices);
    recording.finished = true;
    let open = |recording: &Recording| recording.files().map(|file| file.path).collect::<Vec<_>>();
    let second = |n: i64| Timestamp::from_nanos(n * 1_000_000_000);
    confirm_all(&mut recording, second(1));
    recording.flush(second(1), Nanos(0), &notices);
    assert_eq!((open(&recording), recording.is_finished()), (vec![path.clone()], false));
    assert_eq!(status.lock().unwrap().open, std::slice::from_ref(&path), "it may not be deleted either");
    room.store(true, std::sync::atomic::Ordering::Relaxed);
    recording.flush(second(2), Nanos(0), &notices);
    assert_eq!(open(&recording), std::slice::from_ref(&path), "the disk is to confirm it");
    assert_eq!(confirm_all(&mut recording, second(2)), [ledger::path_of(&path)]);
    assert_eq!((open(&recording), status.lock().unwrap().open.len()), (vec![], 0));
    assert!(recording.is_finished());
    drop(feed);
}

/// Has the disk confirm what is due, and says what that was.
fn confirm_all(recording: &mut Recording, now: Timestamp<Mono>) -> Vec<PathBuf> {
    let dues = recording.due_to_sync(now, Nanos(0));
    for due in dues.clone() {
        recording.told(&Told { due, result: Ok(()) }, now);
    }
    dues.into_iter().map(|due| due.path).collect()
}

/// The disk does not confirm what is due at `path`.
fn refuse(recording: &mut Recording, path: &Path, state: State, now: Timestamp<Mono>) {
    let due = Due { path: path.to_owned(), state };
    recording.told(&Told { due, result: Err(std::io::Error::from_raw_os_error(nix::libc::EIO)) }, now);
}

#[test]
fn an_open_file_that_the_disk_does_not_confirm_once_is_let_go_of_whatever_the_disk_takes_then() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    let second = |n: i64| Timestamp::from_nanos(n * 1_000_000_000);
    for doubted in [path.clone(), ledger::path_of(&path)] {
        let (mut feed, mut recording, status) = mono(&path, &[audyn_api::FormatConfig::Wav24]);
        recording.ours.note_confirmed(); // of another recording on its volume
        let (notices, _news) = std::sync::mpsc::sync_channel(64);
        let placed = placed(1_783_000_000 * 48_000, 0, Placement::MediaClock, Why::First);
        feed.placed(&placed);
        let audio = |feed: &mut crate::feed::Feed, n: u64| {
            feed.audio(placed.position + FrameCount(n * 48_000), &[1 << 20; 48_000], &placed.anchor);
            feed.turn(placed.position + FrameCount((n + 1) * 48_000), None);
        };
        audio(&mut feed, 0);
        recording.work(second(1), Timestamp::ZERO, &notices);
        recording.listed();
        refuse(&mut recording, Path::new("/another.wav"), State::Open(None), second(1));
        assert_eq!(status.lock().unwrap().error, None, "it is none of its files");
        // All of the first second but its last block.
        recording.flush(second(2), Nanos(0), &notices);
        let safe = if doubted == path { confirm_all(&mut recording, second(2)).len() } else { 0 };
        refuse(&mut recording, &doubted, State::Open(None), second(2));
        let told = status.lock().unwrap().error.clone().unwrap();
        assert!(told.contains("does not confirm") && told.contains("a.wav"), "{told}");
        // It takes and confirms all that comes then.
        audio(&mut feed, 1);
        recording.work(second(2), Timestamp::ZERO, &notices);
        recording.flush(second(2), Nanos(0), &notices);
        confirm_all(&mut recording, second(2));
        assert!(status.lock().unwrap().error.is_some());
        assert_eq!(recording.take_cut(), [], "no file is let go of before it is 2 s old");
        recording.flush(second(3), Nanos(0), &notices);
        let cut = recording.take_cut().pop().unwrap();
        let confirmed = if safe > 0 { 48_000 * 3 / 4_096 * 4_096 / 3 } else { 0 };
        assert_eq!((cut.file.path, cut.confirmed), (path.clone(), Some(FrameCount(confirmed))));
        assert_eq!(recording.files().count(), 0, "and it is not sealed as a closed one is");
        audio(&mut feed, 2);
        feed.end(None);
        feed.turn(placed.position + FrameCount(3 * 48_000), None);
        recording.work(second(4), Timestamp::ZERO, &notices);
        confirm_all(&mut recording, second(4));
        assert!(recording.is_finished());
        let status = status.lock().unwrap();
        assert_eq!(status.error, None, "the next file is a good one");
        assert!(
            status.warning.as_ref().unwrap().contains("does not confirm"),
            "and yet it is told for a while"
        );
        assert_eq!(samples(&dir.path().join("a_002.wav")).len(), 48_000);
        for name in ["a.wav", "a_002.wav"] {
            std::fs::remove_file(dir.path().join(name)).unwrap();
            std::fs::remove_file(ledger::path_of(&dir.path().join(name))).unwrap();
        }
    }
}

#[test]
fn a_closed_file_counts_as_open_until_the_disk_has_confirmed_it_and_is_mended_if_it_has_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    let (mut feed, mut recording, status) = mono(&path, &[audyn_api::FormatConfig::Wav24]);
    let (notices, _news) = std::sync::mpsc::sync_channel(64);
    let second = |n: i64| Timestamp::from_nanos(n * 1_000_000_000);
    let placed = placed(1_783_000_000 * 48_000, 0, Placement::MediaClock, Why::First);
    feed.placed(&placed);
    for n in 0..3u64 {
        let at = placed.position + FrameCount(n * 480);
        if n > 0 {
            feed.cut_here();
        }
        feed.audio(at, &[1 << 20; 480], &placed.anchor);
        feed.turn(at + FrameCount(480), None);
    }
    recording.work(second(1), Timestamp::from_nanos(i64::MAX), &notices);
    let [first, next, open] = ["a.wav", "a_002.wav", "a_003.wav"].map(|name| dir.path().join(name));
    let files = |recording: &Recording| {
        let mut files: Vec<_> = recording.files().map(|file| file.path).collect();
        files.sort();
        files
    };
    assert_eq!(files(&recording), [first.clone(), next.clone(), open.clone()]);
    let dues = recording.due_to_sync(second(1), Nanos::from_secs(60));
    let of = |path: &Path| dues.iter().filter(|due| due.path == path && due.state == State::Closed).count();
    assert_eq!([&first, &next].map(|path| (of(path), of(&ledger::path_of(path)))), [(1, 1); 2]);
    let ok = |recording: &mut Recording, path: &Path, state| {
        let due = Due { path: path.to_owned(), state };
        recording.told(&Told { due, result: Ok(()) }, second(1));
    };
    ok(&mut recording, &first, State::Closed);
    ok(&mut recording, &ledger::path_of(&first), State::Open(None));
    assert_eq!(files(&recording).len(), 3, "its ledger may have grown since");
    ok(&mut recording, &ledger::path_of(&first), State::Closed);
    assert_eq!(files(&recording), [next.clone(), open.clone()]);
    // Asked for while it was open, and answered now.
    refuse(&mut recording, &next, State::Open(Some(FrameCount(3))), second(1));
    assert_eq!(files(&recording), std::slice::from_ref(&open));
    assert_eq!(status.lock().unwrap().open, [open]);
    let cut: Vec<_> = recording.take_cut().into_iter().map(|cut| cut.file.path).collect();
    assert_eq!(cut, std::slice::from_ref(&next));
    assert!(status.lock().unwrap().warning.as_ref().unwrap().contains("a_002.wav"));
    assert_eq!(status.lock().unwrap().error, None, "what is open is none the worse");
    ok(&mut recording, &next, State::Closed);
    assert_eq!(recording.take_cut(), []);
}

#[test]
fn a_closed_file_whose_volume_has_gone_is_looked_at_as_after_a_power_cut() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    let (mut feed, mut recording, status) = mono(&path, &[audyn_api::FormatConfig::Wav24]);
    let (notices, _news) = std::sync::mpsc::sync_channel(64);
    let placed = placed(1_783_000_000 * 48_000, 0, Placement::MediaClock, Why::First);
    feed.placed(&placed);
    feed.audio(placed.position, &[1 << 20; 480], &placed.anchor);
    feed.turn(placed.position + FrameCount(480), None);
    recording.work(Timestamp::from_nanos(1), Timestamp::ZERO, &notices);
    // Its volume was another one: nothing is remembered there, and something expected.
    let (root, state) = (dir.path().join("root"), dir.path().join("state"));
    std::fs::create_dir(&state).unwrap();
    let ours = crate::volume::Ours::of(root.clone(), Some(state), None);
    ours.make(&root).unwrap();
    std::fs::remove_dir_all(&root).unwrap();
    let gone = |recording: &mut Recording, state| {
        let due = Due { path: path.clone(), state };
        recording.told(&Told { due, result: ours.check(&root) }, Timestamp::from_nanos(2));
    };
    gone(&mut recording, State::Open(None));
    assert!(!recording.is_in_doubt(), "what it has is not known yet");
    feed.end(None);
    feed.turn(placed.position + FrameCount(480), None);
    recording.work(Timestamp::from_nanos(3), Timestamp::ZERO, &notices);
    gone(&mut recording, State::Closed);
    let cut = recording.take_cut().pop().unwrap();
    assert_eq!((cut.file.path, cut.confirmed), (path.clone(), None));
    assert_eq!(recording.files().count(), 0);
    assert_eq!(status.lock().unwrap().warning, None);
}

#[test]
fn a_file_that_the_disk_could_not_be_asked_of_is_neither_confirmed_nor_in_doubt() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(dir.path(), &link).unwrap();
    let (mut feed, mut recording, status, placed) = flushed(&path, false);
    let (notices, _news) = std::sync::mpsc::sync_channel(64);
    let second = |n: i64| Timestamp::from_nanos(n * 1_000_000_000);
    // As where this process has too much open.
    let not_asked = |recording: &mut Recording, state| {
        let result = crate::syncer::make_safe(&link);
        assert!(recording.told(&Told { due: Due { path: path.clone(), state }, result }, second(2)));
    };
    not_asked(&mut recording, State::Open(Some(FLUSHED)));
    assert!(!recording.is_in_doubt());
    assert!(recording.confirmed.is_empty());
    assert_eq!(recording.due_to_sync(second(9), Nanos::from_secs(1)).len(), 2, "it is asked of again");
    feed.end(None);
    feed.turn(placed.position + FrameCount(48_000), None);
    recording.work(second(9), Timestamp::ZERO, &notices);
    not_asked(&mut recording, State::Closed);
    let cut: Vec<_> = recording.take_cut().into_iter().map(|cut| (cut.file.path, cut.confirmed)).collect();
    assert_eq!(cut, [(path.clone(), None)], "whoever lists it asks the disk by himself");
    assert_eq!((recording.files().count(), status.lock().unwrap().warning.clone()), (0, None));
    let asked = confirm_all(&mut recording, second(9));
    assert_eq!(asked, [dir.path()]);
    assert!(recording.is_finished());
}

/// What the disk confirms of a WAV of one second that was flushed once: all of it but its last block.
const FLUSHED: FrameCount = FrameCount(48_000 * 3 / 4_096 * 4_096 / 3);

/// A recording of one second to `path` of which the disk has confirmed what was flushed, if it `confirms` anything.
fn flushed(path: &Path, confirms: bool) -> (crate::feed::Feed, Recording, SharedRecording, Placed) {
    let (mut feed, mut recording, status) = mono(path, &[audyn_api::FormatConfig::Wav24]);
    let (notices, _news) = std::sync::mpsc::sync_channel(64);
    let second = |n: i64| Timestamp::from_nanos(n * 1_000_000_000);
    let placed = placed(1_783_000_000 * 48_000, 0, Placement::MediaClock, Why::First);
    feed.placed(&placed);
    feed.audio(placed.position, &[1 << 20; 48_000], &placed.anchor);
    feed.turn(placed.position + FrameCount(48_000), None);
    recording.work(second(1), Timestamp::ZERO, &notices);
    recording.listed();
    recording.flush(second(2), Nanos(0), &notices);
    if confirms {
        confirm_all(&mut recording, second(2));
    }
    (feed, recording, status, placed)
}

#[test]
fn a_file_that_is_closed_while_it_is_in_doubt_takes_its_doubt_along_and_leaves_none_behind() {
    let second = |n: i64| Timestamp::from_nanos(n * 1_000_000_000);
    for how in ["the next file", "the end", "the engine's end", "it has gone"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let (mut feed, mut recording, status, placed) = flushed(&path, true);
        let (notices, _news) = std::sync::mpsc::sync_channel(64);
        refuse(&mut recording, &path, State::Open(None), second(2));
        let next = placed.position + FrameCount(48_000);
        let audio = |feed: &mut crate::feed::Feed, at: FrameIndex| {
            feed.audio(at, &[1 << 20; 48_000], &placed.anchor);
            feed.turn(at + FrameCount(48_000), None);
        };
        match how {
            "the next file" => {
                feed.cut_here();
                audio(&mut feed, next);
                recording.work(second(2), Timestamp::ZERO, &notices);
            }
            "the end" => {
                feed.end(None);
                feed.turn(next, None);
                recording.work(second(2), Timestamp::ZERO, &notices);
            }
            "the engine's end" => recording.finish(second(2), &notices),
            _ => {
                recording.gone(&path, second(2), &notices);
                audio(&mut feed, next);
                recording.work(second(2), Timestamp::ZERO, &notices);
            }
        }
        assert!(!recording.is_finished(), "{how}: it is to be mended, and nobody knows yet");
        // Linux has told of it once, so all is well from now on.
        let asked = confirm_all(&mut recording, second(2));
        assert!(!asked.contains(&path) && !asked.contains(&ledger::path_of(&path)), "{how}: {asked:?}");
        let cut: Vec<_> =
            recording.take_cut().into_iter().map(|cut| (cut.file.path, cut.confirmed)).collect();
        assert_eq!(cut, [(path.clone(), Some(FLUSHED))], "{how}");
        assert!(recording.files().all(|file| file.path != path), "{how}: it is sealed as it is");
        assert_eq!((recording.failing, recording.is_in_doubt()), (None, false), "{how}");
        let is_open = ["the next file", "it has gone"].contains(&how);
        assert_eq!((recording.is_open(), recording.is_finished()), (is_open, !is_open), "{how}");
        if !is_open {
            continue;
        }
        // The next file is a good one: what is confirmed of it counts, and an error of it goes again.
        assert_eq!(status.lock().unwrap().error, None, "{how}");
        recording.listed();
        recording.flush(second(60), Nanos(0), &notices);
        confirm_all(&mut recording, second(60));
        assert_eq!(recording.take_cut(), [], "{how}");
        let write =
            MediaError::Write { path, valid: FrameCount(0), source: std::io::ErrorKind::TimedOut.into() };
        recording.result(Err(write));
        audio(&mut feed, next + FrameCount(48_000));
        recording.work(second(61), Timestamp::ZERO, &notices);
        recording.flush(second(61), Nanos(0), &notices);
        assert_eq!((recording.failing, status.lock().unwrap().error.clone()), (None, None), "{how}");
        refuse(&mut recording, &dir.path().join("a_002.wav"), State::Open(None), second(62));
        recording.flush(second(70), Nanos(0), &notices);
        let cut: Vec<_> = recording.take_cut().into_iter().map(|cut| cut.confirmed).collect();
        assert_eq!(cut, [Some(FLUSHED)], "{how}: all that was confirmed of it");
    }
}

#[test]
fn of_what_a_refused_write_let_go_of_no_more_counts_than_was_confirmed_and_all_where_nothing_ever_is() {
    let second = |n: i64| Timestamp::from_nanos(n * 1_000_000_000);
    for (confirms, doubts, counts) in
        [(true, false, Some(FLUSHED)), (false, false, None), (false, true, None), (true, true, Some(FLUSHED))]
    {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let (_feed, mut recording, _status, _) = flushed(&path, confirms);
        let (notices, _news) = std::sync::mpsc::sync_channel(64);
        if doubts {
            refuse(&mut recording, &path, State::Open(None), second(2));
        } else {
            let source = std::io::ErrorKind::ReadOnlyFilesystem.into();
            recording.result(Err(MediaError::Write { path: path.clone(), valid: FrameCount(0), source }));
            recording.failing = Some(second(2));
        }
        recording.flush(second(4), Nanos(0), &notices);
        // What memory could not write is told only now.
        let due = Due { path: path.clone(), state: State::Closed };
        let result = Err(std::io::Error::from_raw_os_error(nix::libc::EIO));
        assert!(!recording.told(&Told { due, result }, second(4)), "it is none of its files any more");
        let cut: Vec<_> =
            recording.take_cut().into_iter().map(|cut| (cut.file.path, cut.confirmed)).collect();
        assert_eq!(cut, [(path, counts)], "{confirms} {doubts}");
        assert!(confirm_all(&mut recording, second(4)).iter().all(|due| due == dir.path()));
    }
}
