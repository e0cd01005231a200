//! One file: its pages, packets and channels, how it is sought, and what others say of it.

use std::io::Cursor;
use std::process::Command;

use audyn_media::opus::{OpusBitrateMode, OpusLayout, OpusReader, OpusSpec, OpusWriter};
use audyn_media::{Facts, MediaError};
use audyn_units::{ChannelCount, FrameCount, SampleRate};
use ogg::PacketReader;

use crate::support::{Disk, Signal, facts, read, saved, signal, spec, write};

#[test]
fn any_place_that_is_sought_gives_what_reading_on_gives() {
    let spec = spec(48_000, 2);
    let bytes = &write(spec, &signal(Signal::Music, spec, 48_000 * 9), &[20_000], 4_800)[1];
    let all = read(bytes);
    let mut reader = OpusReader::from_source(Cursor::new(bytes), "memory").unwrap();
    assert_eq!(reader.info().given, Some(SampleRate::HZ_48000));
    for place in [0, 1, 959, 46_079, 46_080, 46_081, 100_003, 300_000, 411_999, 412_000, 500_000] {
        reader.seek(FrameCount(place as u64)).unwrap();
        let mut found = vec![0; 2 * 3_001];
        let n = reader.read(&mut found).unwrap().0 as usize;
        let from = place.min(412_000);
        assert_eq!(n, 3_001.min(412_000 - from), "{place}");
        assert!(found[..n * 2] == all[from * 2..(from + n) * 2], "{place}");
    }
}

#[test]
fn pages_are_short_and_their_positions_true() {
    let spec = spec(48_000, 2);
    let disk = Disk::default();
    let mut writer = OpusWriter::on_store(disk.clone(), "a", spec, &facts(0)).unwrap();
    writer.append(&signal(Signal::Noise, spec, 48_000 * 5)).unwrap(); // no checkpoint
    writer.close().unwrap();
    let mut reader = PacketReader::new(Cursor::new(disk.bytes()));
    let (mut packets, mut positions) = (0, Vec::new());
    while let Some(packet) = reader.read_packet().unwrap() {
        packets += 1;
        if packet.last_in_page() && packets > 2 {
            positions.push(packet.absgp_page());
            let whole = (packets - 2) * 960;
            assert_eq!(packet.absgp_page(), if packet.last_in_stream() { 48_000 * 5 + 312 } else { whole });
        }
    }
    assert!(positions.windows(2).all(|two| two[1] - two[0] <= 9_600), "a page each 0.2 s: {positions:?}");
}

#[test]
fn cbr_gives_packets_of_one_size() {
    for (channels, layout) in
        [(1, OpusLayout::Discrete), (2, OpusLayout::Discrete), (6, OpusLayout::Surround)]
    {
        let spec = OpusSpec { mode: OpusBitrateMode::Cbr, layout, ..spec(48_000, channels) };
        let bytes = write(spec, &signal(Signal::Music, spec, 48_000), &[], 4_800).remove(0);
        let mut reader = PacketReader::new(Cursor::new(bytes));
        let mut sizes = Vec::new();
        while let Some(packet) = reader.read_packet().unwrap() {
            sizes.push(packet.data.len());
        }
        assert!(sizes[2..].iter().all(|&size| size == sizes[2]), "{sizes:?}");
        assert_eq!(sizes[2], spec.bitrate as usize / 400);
    }
}

#[test]
fn each_channel_comes_back_as_itself() {
    for (channels, layout) in [
        (2, OpusLayout::Discrete),
        (8, OpusLayout::Surround),
        (6, OpusLayout::Surround),
        (8, OpusLayout::Discrete),
        (64, OpusLayout::Discrete),
    ] {
        let spec = OpusSpec { layout, ..spec(48_000, channels) };
        let n = usize::from(channels);
        // A level of its own for each, from one period to the next.
        let level = |channel: usize, period: usize| (1 + (channel * 7 + period) % 8) as f64 / 16.0;
        let samples: Vec<i32> = (0..24_000 * n)
            .map(|i| {
                let (frame, channel) = (i / n, i % n);
                ((frame as f64 / 48.0 * std::f64::consts::TAU).sin() * level(channel, 0) * 2_147_483_647.0)
                    as i32
            })
            .collect();
        let back = read(&write(spec, &samples, &[7_000], 4_800)[1]);
        for channel in 0..n {
            let peak = back.iter().skip(channel).step_by(n).map(|s| f64::from(*s).abs()).fold(0.0, f64::max);
            let found = peak / 2_147_483_648.0;
            // Channel 6 in the order of loudspeakers, LFE, is a channel like any other here.
            assert!(
                (found - level(channel, 0)).abs() < 0.02,
                "{channels} {layout:?}, channel {channel}: {found}"
            );
        }
    }
}

#[test]
fn what_cannot_be_encoded_or_written_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = OpusSpec { bitrate: 1, ..spec(48_000, 2) };
    assert!(matches!(
        OpusWriter::create(dir.path().join("a"), wrong, &facts(0)),
        Err(MediaError::Spec { .. })
    ));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let mut writer = OpusWriter::create(dir.path().join("a"), spec(48_000, 2), &facts(0)).unwrap();
    assert!(matches!(writer.append(&[0; 3]), Err(MediaError::PartialFrame { .. })));
    assert!(matches!(writer.succeed(dir.path().join("a"), &facts(0)), Err(MediaError::Exists { .. })));
    writer.append(&[0; 2_000]).unwrap();
    writer.close().unwrap();
    let bytes = std::fs::read(dir.path().join("a")).unwrap();
    assert_eq!(read(&bytes).len(), 2_000, "the file that ran ran on");
    assert!(matches!(OpusReader::open(dir.path()), Err(MediaError::Read { .. })));
    let other = saved(dir.path(), "b", b"RIFF");
    assert!(matches!(OpusReader::open(other), Err(MediaError::NotOpus { .. })));
}

/// Runs another's tool; none if it is not installed.
fn judged(program: &str, arguments: &[&str]) -> Option<String> {
    let output = match Command::new(program).args(arguments).output() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("SKIPPED: {program} is not installed");
            return None;
        }
        output => output.unwrap(),
    };
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}");
    Some(said)
}

#[test]
fn others_find_nothing_wrong_and_as_many_frames() {
    let dir = tempfile::tempdir().unwrap();
    for (hz, channels, layout) in [
        (48_000, 1, OpusLayout::Discrete),
        (44_100, 2, OpusLayout::Discrete),
        (96_000, 2, OpusLayout::Discrete),
        (48_000, 6, OpusLayout::Surround),
        (48_000, 10, OpusLayout::Discrete),
    ] {
        let spec = OpusSpec { layout, ..spec(hz, channels) };
        let files = write(spec, &signal(Signal::Music, spec, hz as usize * 4), &[70_001, 80_003], 4_800);
        for (n, bytes) in files.iter().enumerate() {
            let path = saved(dir.path(), &format!("{hz}-{channels}-{n}.opus"), bytes);
            let name = path.to_str().unwrap();
            let frames = read(bytes).len() / usize::from(channels);
            if let Some(said) = judged("opusinfo", &[name]) {
                assert!(!said.to_lowercase().contains("warning") && !said.contains("ERROR"), "{said}");
            }
            if let Some(said) = judged(
                "ffprobe",
                &["-v", "warning", "-show_entries", "stream=channels", "-of", "csv=p=0", name],
            ) {
                assert_eq!(said.trim(), channels.to_string(), "and no warning");
            }
            if channels <= 8
                && let Some(said) = judged(
                    "opusdec",
                    &["--quiet", "--rate", "48000", "--float", name, &format!("{name}.wav")],
                )
            {
                let data = std::fs::metadata(format!("{name}.wav")).unwrap().len();
                let header = data - (frames * usize::from(channels) * 4) as u64;
                assert!(header < 100, "{said}: {data} bytes for {frames} frames");
            }
            if let Some(said) = judged(
                "ffmpeg",
                &[
                    "-v",
                    "warning",
                    "-i",
                    name,
                    "-f",
                    "f32le",
                    "-c:a",
                    "pcm_f32le",
                    "-y",
                    &format!("{name}.raw"),
                ],
            ) {
                let data = std::fs::metadata(format!("{name}.raw")).unwrap().len();
                assert_eq!(
                    (data, said.as_str()),
                    ((frames * usize::from(channels) * 4) as u64, ""),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn a_file_that_grows_is_read_as_far_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.opus");
    let spec = OpusSpec::new(SampleRate::HZ_48000, ChannelCount::STEREO);
    let mut writer = OpusWriter::create(&path, spec, &Facts::default()).unwrap();
    let mut reader = OpusReader::open(&path).unwrap();
    let mut found = Vec::new();
    let mut part = vec![0; 48_000];
    let samples = signal(Signal::Music, spec, 48_000 * 3);
    for block in samples.chunks(9_602) {
        writer.append(block).unwrap();
        writer.flush().unwrap();
        let there = writer.frames().0 - writer.buffered_frames().0;
        assert!(writer.buffered_frames().0 < 960 + 312, "of what is whole, all is written");
        assert_eq!(reader.refresh().unwrap().frames.0, there);
        let n = reader.read(&mut part).unwrap().0 as usize;
        found.extend_from_slice(&part[..n * 2]);
        assert_eq!(found.len() as u64, there * 2);
    }
    writer.close().unwrap();
    let n = reader.read(&mut part).unwrap().0 as usize;
    found.extend_from_slice(&part[..n * 2]);
    assert!(found == read(&std::fs::read(&path).unwrap()));
}
