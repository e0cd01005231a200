//! A stretch out of an archive with holes and its mirror: what comes from where, to the sample.

use std::path::Path;

use audyn_media::archive::{Directories, Kind, Part, Range, RangeReader, Segment};
use audyn_media::export::{Exported, Mirrored, Order, export};
use audyn_media::{Beneath, MediaError, WavReader};
use audyn_units::{FrameCount, FrameIndex};

use crate::archive::{LENGTH, START, format, record, segments, signal};

/// The directories of one recorder on two volumes, and where exports go.
struct Two {
    archive: tempfile::TempDir,
    mirror: tempfile::TempDir,
    out: tempfile::TempDir,
}

fn gap(at: u64, frames: u64, cause: &str) -> String {
    format!("{{\"position\":{},\"frames\":{frames},\"cause\":\"{cause}\",\"estimated\":false}}\n", START + at)
}

/// Cuts a file short, as a disk does that has lost its end: 1,000 frames stay.
fn cut(dir: &Path, name: &str) {
    let file = std::fs::OpenOptions::new().write(true).open(dir.join(name)).unwrap();
    file.set_len(4_096 + 1_000 * 6).unwrap();
}

impl Two {
    fn new() -> Self {
        let [archive, mirror, out] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
        Self { archive, mirror, out }
    }

    fn directories(&self) -> Directories {
        let [archive, mirror] = [&self.archive, &self.mirror].map(|dir| Beneath::root(dir.path()).unwrap());
        Directories { archive, mirror: Some(mirror) }
    }

    fn plan(&self, seconds: u64) -> Range {
        let [archive, mirror] = [&self.archive, &self.mirror].map(|dir| segments(dir.path()));
        plan(archive, mirror, seconds)
    }

    fn export(&self, range: Range, name: &str) -> Result<Exported, MediaError> {
        let output = self.out.path().join(name);
        let recorder = self.directories();
        let (originator, format) = ("Audyn test".to_owned(), format(Kind::Wav));
        let order =
            Order { recorder, range, descriptors: 64, format, output: &output, clock: None, originator };
        export(order, |_| true)
    }

    fn samples(&self, name: &str, frames: u64) -> Vec<i32> {
        let mut samples = vec![0; 2 * frames as usize];
        let read = WavReader::open(self.out.path().join(name)).unwrap().read(&mut samples).unwrap();
        assert_eq!(read, FrameCount(frames));
        samples
    }

    /// The lines of an export's report between the first and the last.
    fn report(&self, name: &str) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.out.path().join(format!("{name}.gaps.jsonl"))).unwrap();
        let lines: Vec<_> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines[1..lines.len() - 1].to_vec()
    }
}

fn plan(archive: Vec<Segment>, mirror: Vec<Segment>, seconds: u64) -> Range {
    Range::plan_both(archive, mirror, FrameIndex(START), FrameIndex(START + seconds * LENGTH), None).unwrap()
}

#[test]
fn what_the_archive_lacks_comes_from_its_mirror_frame_by_frame() {
    let two = Two::new();
    for at in 0..6 {
        let loss = if at == 0 { gap(100, 50, "loss") } else { String::new() };
        let stall = if at == 3 {
            gap(3 * LENGTH + 20, 7, "disk-stall") + &gap(4 * LENGTH - 9, 9, "disk-stall")
        } else {
            String::new()
        };
        record(two.archive.path(), Kind::Wav, at, &(loss.clone() + &stall));
        // The mirror has lost one of its own, and was away before.
        if at != 5 {
            record(two.mirror.path(), Kind::Wav, at, &loss);
        }
    }
    std::fs::remove_file(two.archive.path().join("01.wav")).unwrap();
    let range = two.plan(6);
    cut(two.archive.path(), "02.wav");
    let told = two.export(range, "a.wav").unwrap();
    let mut wanted = signal(START, 6 * LENGTH);
    wanted[2 * 100..2 * 150].fill(0);
    assert!(two.samples("a.wav", 6 * LENGTH) == wanted);
    let mirrored = told.mirror.as_ref().unwrap();
    let files = ["01.wav", "02.wav", "03.wav"].map(str::to_owned).to_vec();
    let frames = FrameCount(LENGTH + LENGTH - 1_000 + 7 + 9);
    assert_eq!(*mirrored, Mirrored { count: 4, frames, files });
    assert_eq!((told.frames_filled, told.lacks.len()), (FrameCount(50), 1));
    assert!(told.troubles.len() == 1 && told.troubles[0].contains("02.wav"), "{:?}", told.troubles);
    let told: Vec<(u64, String)> = two
        .report("a.wav")
        .iter()
        .map(|line| {
            let what = line.get("event").or(line.get("cause")).unwrap().as_str().unwrap();
            (line["position"].as_u64().unwrap() - START, what.to_owned())
        })
        .collect();
    let expected = [
        (100, "loss"),
        (LENGTH, "from-mirror"),
        (2 * LENGTH + 1_000, "unreadable"),
        (2 * LENGTH + 1_000, "from-mirror"),
        (3 * LENGTH + 20, "from-mirror"),
        (4 * LENGTH - 9, "from-mirror"),
    ];
    assert_eq!(told, expected.map(|(at, what)| (at, what.to_owned())));
}

#[test]
fn what_neither_has_is_told_once_and_as_whoever_knows_why() {
    let two = Two::new();
    for at in [0, 1, 2, 4] {
        record(
            two.mirror.path(),
            Kind::Wav,
            at,
            &if at == 1 { gap(LENGTH + 5, 10, "outage") } else { String::new() },
        );
    }
    // Parts of it: one volume was away at another time than the other.
    record(two.archive.path(), Kind::Wav, 0, &gap(40, 60, "disk-stall"));
    record(two.archive.path(), Kind::Wav, 4, "");
    let stalled = two.mirror.path().join("00.wav.gaps.jsonl");
    let text = std::fs::read_to_string(&stalled).unwrap();
    std::fs::write(&stalled, text + &gap(60, 60, "disk-stall")).unwrap();
    let range = two.plan(5);
    std::fs::remove_file(two.mirror.path().join("02.wav")).unwrap();
    let mut reader = RangeReader::new(two.directories(), range);
    let (mut lacks, mut samples, mut at) = (Vec::new(), Vec::new(), START);
    while let Some(part) = reader.next_part() {
        match part {
            Part::Audio { position, samples: more, .. } => {
                assert_eq!(position, FrameIndex(at));
                samples.extend_from_slice(more);
                at += more.len() as u64 / 2;
            }
            Part::Lack(gap) => {
                assert_eq!(gap.position, FrameIndex(at));
                lacks.push((at - START, gap.frames.0, gap.cause));
                at += gap.frames.0;
                samples.resize(2 * (at - START) as usize, 0);
            }
        }
    }
    let expected = [
        (60, 40, "disk-stall"),
        (LENGTH + 5, 10, "outage"),
        (2 * LENGTH, LENGTH, "unreadable"),
        (3 * LENGTH, LENGTH, "not-recorded"),
    ];
    let told: Vec<(u64, u64, &str)> = lacks.iter().map(|(at, n, why)| (*at, *n, why.as_str())).collect();
    assert_eq!(told, expected);
    let mut wanted = signal(START, 5 * LENGTH);
    for (at, frames, _) in expected {
        wanted[2 * at as usize..2 * (at + frames) as usize].fill(0);
    }
    assert!(samples == wanted);
    assert_eq!(reader.take_troubles().len(), 1);
}

#[test]
fn without_a_mirror_an_export_is_what_it_was() {
    let two = Two::new();
    record(two.archive.path(), Kind::Wav, 0, &gap(10, 5, "loss"));
    record(two.mirror.path(), Kind::Wav, 0, "");
    let output = two.out.path().join("a.wav");
    let recorder = Beneath::root(two.archive.path()).unwrap().into();
    let range =
        Range::plan(segments(two.archive.path()), FrameIndex(START), FrameIndex(START + LENGTH), None);
    let (originator, range, format) = ("Audyn test".to_owned(), range.unwrap(), format(Kind::Wav));
    let order = Order { recorder, range, descriptors: 0, format, output: &output, clock: None, originator };
    let told = export(order, |_| true).unwrap();
    assert_eq!((told.frames_filled, &told.mirror), (FrameCount(5), &None));
    assert!(serde_json::to_value(&told).unwrap().get("mirror").is_none());
}
