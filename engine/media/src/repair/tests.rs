//! Files of all formats, cut and spoilt in many ways: what is there stays, is counted, and is found once. What others'
//! programs make and say of it is in `tests/repair`.

use audyn_units::SampleRate;

use super::*;
use crate::flac::FlacSpec;
use crate::{FileFormat, WavReader};

const RATE: SampleRate = SampleRate::HZ_48000;
const FIRST: u64 = 1_000;

fn formats() -> [FileFormat; 4] {
    let wav = |depth| FileFormat::Wav(WavSpec { rate: RATE, channels: ChannelCount::MONO, depth });
    [
        wav(PcmDepth::Pcm24),
        wav(PcmDepth::Float32),
        FileFormat::Flac(FlacSpec::new(RATE, ChannelCount::MONO, PcmDepth::Pcm24).unwrap()),
        FileFormat::Opus(OpusSpec::new(RATE, ChannelCount::MONO)),
    ]
}

/// Frame `n` of the signal: neither silence nor noise.
fn signal(n: usize) -> i32 {
    ((((n * n) as f64 * 0.000_03).sin() * 1e9) as i32 & !0xff) + ((n as i32 & 0x7f) << 8)
}

fn header(format: &FileFormat, name: &str) -> LedgerHeader {
    LedgerHeader {
        audyn_ledger: crate::ledger::VERSION,
        recorder: "a".to_owned(),
        studio: None,
        file: name.to_owned(),
        first_position: FrameIndex(FIRST),
        start_utc: "2026-07-02T13:46:03Z".to_owned(),
        zone: None,
        rate: RATE,
        channels: 1,
        bits: format.bits(),
        placed_by: None,
        clock: None,
        tai_minus_utc: Some(37),
    }
}

/// A directory with a file of `frames`, checkpointed now and then as the engine does, and its ledger.
struct Scene {
    dir: tempfile::TempDir,
    format: FileFormat,
    name: String,
}

impl Scene {
    fn new(format: FileFormat, frames: usize) -> Self {
        Self::of("a", format, frames)
    }

    fn of(recorder: &str, format: FileFormat, frames: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let name = format!("a.{}", format.name());
        let root = Beneath::root(dir.path()).unwrap();
        let facts = Facts { recorder: recorder.to_owned(), ..Facts::default() };
        let mut file = format.create_in(&root, OsStr::new(&name), &facts, PcmDepth::Pcm24).unwrap();
        let samples: Vec<i32> = (0..frames).map(signal).collect();
        for part in samples.chunks(9_600) {
            file.append(part).unwrap();
            file.checkpoint().unwrap();
        }
        for finished in file.close() {
            finished.result.unwrap();
        }
        let scene = Self { dir, format, name };
        scene.ledger(&[]);
        scene
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join(&self.name)
    }

    fn ledger_path(&self) -> PathBuf {
        self.dir.path().join(format!("{}.gaps.jsonl", self.name))
    }

    /// Writes the ledger anew: its header and these lines.
    fn ledger(&self, lines: &[&str]) {
        let mut text =
            String::from_utf8(LedgerLine::Header(header(&self.format, &self.name)).encode()).unwrap();
        text.extend(lines.iter().copied());
        std::fs::write(self.ledger_path(), text).unwrap();
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path()).unwrap()
    }

    fn write(&self, bytes: &[u8]) {
        std::fs::write(self.path(), bytes).unwrap();
    }

    fn look(&self) -> Result<Found, MediaError> {
        look(&Beneath::root(self.dir.path()).unwrap(), OsStr::new(&self.name))
    }

    fn case(&self) -> Case {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60); // only for what never comes
        loop {
            match self.look().unwrap() {
                Found::Closed(case) => return *case,
                // Another test starts a program: until it runs, it has all open files and their locks.
                Found::BeingWritten if std::time::Instant::now() < deadline => std::thread::yield_now(),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Mends it, once and for all; gives the frames before and after.
    fn mend(&self) -> (u64, u64) {
        let before = (self.bytes(), std::fs::read(self.ledger_path()).ok());
        let case = self.case();
        assert_eq!((self.bytes(), std::fs::read(self.ledger_path()).ok()), before, "to look changes nothing");
        let (declared, frames) = case.frames();
        case.mend().unwrap();
        let after = (self.bytes(), std::fs::read(self.ledger_path()).ok());
        let again = self.case();
        assert!(again.is_whole(), "{:?} {:?}", again.words(), again.ledger_fix);
        assert_eq!(again.frames(), (frames, frames));
        again.mend().unwrap();
        assert_eq!((self.bytes(), std::fs::read(self.ledger_path()).ok()), after, "twice is as once");
        assert_eq!(self.samples().len() as u64, frames.0);
        (declared.0, frames.0)
    }

    fn samples(&self) -> Vec<i32> {
        let mut samples = vec![0; 200_000];
        let read = match self.format {
            FileFormat::Wav(_) => WavReader::open(self.path()).unwrap().read(&mut samples),
            FileFormat::Flac(_) => FlacReader::open(self.path()).unwrap().read(&mut samples),
            FileFormat::Opus(_) => OpusReader::open(self.path()).unwrap().read(&mut samples),
        };
        samples.truncate(read.unwrap().0 as usize);
        samples
    }
}

/// The samples of WAV and FLAC are those that were recorded, from the first on.
fn is_the_beginning(scene: &Scene, samples: &[i32]) {
    let float = matches!(scene.format, FileFormat::Wav(spec) if spec.depth == PcmDepth::Float32);
    if !float && !matches!(scene.format, FileFormat::Opus(_)) {
        assert!(samples.iter().enumerate().all(|(n, sample)| *sample == signal(n)), "{}", scene.name);
    }
}

#[test]
fn a_file_that_is_whole_is_left_to_the_byte() {
    for format in formats() {
        let scene = Scene::new(format, 30_011);
        let before = scene.bytes();
        assert!(scene.case().is_whole(), "{:?}", scene.case().words());
        assert_eq!((scene.mend(), scene.bytes() == before), ((30_011, 30_011), true));
    }
}

#[test]
fn a_file_cut_at_any_length_keeps_every_whole_frame() {
    for format in formats() {
        let scene = Scene::new(format, 30_011);
        let whole = scene.bytes();
        let head = Scene::new(format, 0).bytes().len();
        let step = (whole.len() - head) / 23;
        let lengths = (0..23).map(|n| head + n * step + n).chain(whole.len() - 5..whole.len());
        let mut before = 0;
        for length in lengths {
            scene.write(&whole[..length]);
            scene.ledger(&[]);
            let (_, frames) = scene.mend();
            assert!((before..=30_011).contains(&frames), "{} at {length}: {frames}", scene.name);
            before = frames;
            if let FileFormat::Wav(spec) = format {
                assert_eq!(frames, ((length - 4_096) / spec.frame_bytes()) as u64);
                assert!(scene.bytes().len() >= length, "nothing is cut off");
            }
            is_the_beginning(&scene, &scene.samples());
        }
        assert!(before > 24_000, "{} has {before}", scene.name);
    }
}

#[test]
fn what_lies_behind_the_end_is_told_before_it_is_cut_off_and_no_whole_frame_goes_with_it() {
    for format in formats() {
        let scene = Scene::new(format, 30_011);
        let whole = scene.bytes();
        for garbage in
            [&[0_u8; 1][..], &[0; 5_000], &[0xFF; 777], b"OggS\0\0 and so on", &whole[whole.len() - 60..]]
        {
            scene.write(&[&whole, garbage].concat());
            let case = scene.case();
            let cut = case.cut();
            drop(case);
            let (declared, frames) = scene.mend();
            assert_eq!((declared, frames), (30_011, 30_011), "{}", scene.name);
            match format {
                FileFormat::Opus(_) => {
                    assert_eq!(cut, garbage.len() as u64);
                    assert!(scene.bytes() == whole);
                }
                // What stands behind a file that was closed is no audio, and no fault of it.
                _ => assert!(cut == 0 && scene.bytes().starts_with(&whole)),
            }
        }
    }
}

#[test]
fn an_unclosed_flac_loses_only_what_is_no_frame() {
    let scene = Scene::new(formats()[2], 30_011);
    let mut bytes = scene.bytes();
    bytes[26..42].fill(0); // its MD5: it was never closed
    let garbage = [0x55; 333];
    scene.write(&[&bytes[..], &garbage].concat());
    let case = scene.case();
    assert_eq!(case.cut(), 333);
    assert!(case.words().unwrap().0.contains("333 bytes"), "{:?}", case.words());
    drop(case);
    scene.mend();
    assert_eq!(scene.bytes().len(), bytes.len());
    is_the_beginning(&scene, &scene.samples());
}

#[test]
fn sizes_of_zero_are_counted_anew() {
    for format in &formats()[..2] {
        let FileFormat::Wav(spec) = format else { panic!("not WAV") };
        let scene = Scene::new(*format, 30_011);
        let whole = scene.bytes();
        for fields in [&[4, 4_092][..], &[4_092], &[4]] {
            let mut bytes = whole.clone();
            for &at in fields {
                bytes[at..at + 4].fill(0);
            }
            scene.write(&bytes);
            let (declared, frames) = scene.mend();
            assert_eq!((declared, frames), (if fields.contains(&4_092) { 0 } else { 30_011 }, 30_011));
            assert!(scene.bytes() == whole, "{spec:?} {fields:?}");
        }
        // What the ledger's last line tells is the end, whatever lies behind.
        let mut bytes = whole.clone();
        bytes[4_092..4_096].fill(0);
        scene.write(&bytes);
        scene.ledger(&[
            "{\"closed\":true,\"frames_written\":30000,\"frames_filled\":0,\"tai_minus_utc\":37}\n",
        ]);
        assert_eq!(scene.mend(), (0, 30_000));
        assert_eq!(scene.bytes().len(), whole.len(), "nothing is cut off");
    }
}

#[test]
fn a_header_that_is_gone_is_made_anew_from_the_ledger_alone() {
    let scene = Scene::new(formats()[0], 30_011);
    let mut bytes = scene.bytes();
    bytes[..4_096].fill(0);
    scene.write(&bytes);
    assert_eq!(scene.mend(), (0, 30_011));
    is_the_beginning(&scene, &scene.samples());
    for format in formats() {
        for length in [0, 1, 13, 50] {
            let scene = Scene::new(format, 3_000);
            let bytes = scene.bytes()[..length].to_vec();
            scene.write(&bytes);
            assert_eq!(scene.mend(), (0, 0), "{} of {length}", scene.name);
            scene.write(&bytes);
            std::fs::remove_file(scene.ledger_path()).unwrap();
            let error = scene.look().unwrap_err().to_string();
            assert!(error.contains("cannot be read as"), "{error}");
            assert_eq!(scene.bytes(), bytes, "and it is left");
        }
    }
}

#[test]
fn a_flac_without_its_head_gets_one_from_its_frames_or_its_ledger() {
    let scene = Scene::new(formats()[2], 60_011);
    let whole = scene.bytes();
    let head = Scene::new(formats()[2], 0).bytes().len();
    let comments = |scene: &Scene| FlacReader::open(scene.path()).unwrap().info().facts().recorder;
    for (lost, with_ledger) in
        [(512, true), (512, false), (4_096, false), (head, false), (head, true), (60, false)]
    {
        let mut bytes = whole.clone();
        bytes[..lost].fill(0);
        scene.write(&bytes);
        scene.ledger(&[]);
        if !with_ledger {
            std::fs::remove_file(scene.ledger_path()).unwrap();
        }
        assert!(scene.case().words().unwrap().0.contains("head is lost"));
        assert_eq!(scene.mend(), (0, 60_011), "{lost}");
        is_the_beginning(&scene, &scene.samples());
        assert_eq!(scene.bytes()[head..], whole[head..], "no frame has moved");
        // The comments stand behind the seek points: a lost sector or block leaves them.
        assert_eq!(comments(&scene), if lost < head || with_ledger { "a" } else { "" }, "{lost}");
    }
    // Torn as well, and with garbage behind.
    let mut bytes = whole[..whole.len() - 3_000].to_vec();
    bytes[..512].fill(0);
    scene.write(&bytes);
    scene.ledger(&[]);
    let (_, frames) = scene.mend();
    assert!((40_000..60_011).contains(&frames), "{frames}");
    is_the_beginning(&scene, &scene.samples());

    // Frames without room before them, and what is no FLAC at all.
    for (bytes, ledger) in
        [(whole[head..].to_vec(), true), (vec![0x5A; 100_000], true), (vec![0; 3_000], false)]
    {
        scene.write(&bytes);
        scene.ledger(&[]);
        if !ledger {
            std::fs::remove_file(scene.ledger_path()).unwrap();
        }
        let error = scene.look().unwrap_err().to_string();
        assert!(error.contains("tell what its head was"), "{error}");
        assert_eq!(scene.bytes(), bytes);
    }
}

#[test]
fn a_ledger_is_mended_with_its_file_and_tells_what_became_of_it() {
    let gap = "{\"position\":21000,\"frames\":5000,\"cause\":\"loss\",\"estimated\":false}\n";
    let scene = Scene::new(formats()[0], 30_011);
    let whole = scene.bytes();
    scene.write(&whole[..4_096 + 22_000 * 3 + 2]);
    scene.ledger(&[gap, "{\"position\":2800"]);
    let case = scene.case();
    assert_eq!((case.ledger_torn(), case.ledger()), (16, &LedgerState::There));
    drop(case);
    assert_eq!(scene.mend(), (30_011, 22_000));
    let text = std::fs::read_to_string(scene.ledger_path()).unwrap();
    let facts = LedgerFacts::read(text.as_bytes(), FrameCount(22_000)).unwrap();
    assert_eq!((facts.gaps.len(), facts.filled), (1, FrameCount(2_000)), "the gap ends with the file");
    let last = LedgerLine::parse(text.lines().last().unwrap().as_bytes()).unwrap();
    let LedgerLine::Event(event) = last else { panic!("{text}") };
    assert_eq!((event.position, event.event.as_str()), (FrameIndex(23_000), "mended"));
    assert!(event.detail.contains("8011 frames"), "{}", event.detail);

    // A whole file, of which only the ledger is torn.
    scene.write(&whole);
    scene.ledger(&[gap.trim_end()]);
    let case = scene.case();
    assert_eq!((case.is_whole(), case.words()), (false, None));
    drop(case);
    scene.mend();
    assert!(std::fs::read_to_string(scene.ledger_path()).unwrap().ends_with(gap), "it lacked its end only");

    // What it tells as the end of a file that was mended stays the end, whatever is there and was closed; and what was counted is.
    let mended = "{\"position\":23000,\"event\":\"mended\",\"detail\":\"its disk failed\"}\n";
    let closed = "{\"closed\":true,\"frames_written\":30011,\"frames_filled\":0}\n";
    for (declared, frames) in [(20_000_u32, 22_000), (22_000, 22_000), (0, 22_000), (30_011, 30_011)] {
        let mut bytes = whole.clone();
        bytes[4..8].copy_from_slice(&(4_088 + declared * 3).next_multiple_of(2).to_le_bytes());
        bytes[4_092..4_096].copy_from_slice(&(declared * 3).to_le_bytes());
        for lines in [&[closed, mended][..], &[mended]] {
            scene.write(&bytes);
            scene.ledger(lines);
            let frames = if lines.len() == 1 && declared == 20_000 { 20_000 } else { frames };
            assert_eq!(scene.mend(), (u64::from(declared), frames), "{lines:?}");
        }
    }

    // What is no ledger is left.
    std::fs::write(scene.ledger_path(), "{\"audyn_led").unwrap();
    scene.write(&whole[..10_000]);
    assert!(matches!(scene.case().ledger(), LedgerState::Unreadable(_)));
    assert_eq!(scene.mend().1, (10_000 - 4_096) / 3);
    assert_eq!(std::fs::read_to_string(scene.ledger_path()).unwrap(), "{\"audyn_led");
}

#[test]
fn what_is_sealed_or_written_is_not_looked_into() {
    let scene = Scene::new(formats()[0], 3_000);
    let bytes = scene.bytes();
    scene.write(&bytes[..5_000]);
    let writer = File::open(scene.path()).unwrap();
    writer.try_lock().unwrap();
    assert!(matches!(scene.look().unwrap(), Found::BeingWritten));
    drop(writer);
    let sidecar = scene.dir.path().join("a.wav.json");
    std::fs::write(&sidecar, "{}").unwrap();
    assert!(matches!(scene.look().unwrap(), Found::Sealed));
    std::fs::remove_file(sidecar).unwrap();
    let case = scene.case();
    // Whoever would write it sees that it is being mended.
    assert!(matches!(File::open(scene.path()).unwrap().try_lock(), Err(std::fs::TryLockError::WouldBlock)));
    std::fs::rename(scene.path(), scene.dir.path().join("b.wav")).unwrap();
    scene.write(&bytes);
    assert!(case.mend().is_err(), "another file has its name by now");
    assert_eq!(scene.bytes(), bytes);
    let link = scene.dir.path().join("l.wav");
    std::os::unix::fs::symlink(scene.path(), link).unwrap();
    let error = look(&Beneath::root(scene.dir.path()).unwrap(), OsStr::new("l.wav")).unwrap_err().to_string();
    assert!(error.contains("is a link"), "{error}");
}

/// A chunk.
fn chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = [&id[..], &(body.len() as u32).to_le_bytes(), body].concat();
    bytes.resize(bytes.len() + body.len() % 2, 0);
    bytes
}

/// A file as others make it: mono, of that many bits, with `before` and `after` around the data.
fn foreign(bits: u16, data: &[u8], before: &[u8], after: &[u8]) -> Vec<u8> {
    let frame = bits / 8;
    let mut format = [1_u16.to_le_bytes(), 1_u16.to_le_bytes()].concat();
    format.extend(44_100_u32.to_le_bytes());
    format.extend((44_100 * u32::from(frame)).to_le_bytes());
    format.extend([frame.to_le_bytes(), bits.to_le_bytes()].concat());
    let body = [b"WAVE", &chunk(b"fmt ", &format)[..], before, &chunk(b"data", data), after].concat();
    chunk(b"RIFF", &body)
}

#[test]
fn a_file_of_another_program_is_counted_anew_and_keeps_its_tags() {
    let tags = chunk(b"LIST", b"INFOINAM\x02\0\0\0x\0");
    for (bits, before, after) in
        [(16, &tags[..], &b""[..]), (24, b"", &tags), (32, &tags, &tags), (8, b"", &tags), (8, b"", b"")]
    {
        let scene = Scene::new(formats()[0], 10);
        let frame = usize::from(bits) / 8;
        let data: Vec<u8> = (0..1_001 * frame).map(|n| (n * 7) as u8).collect();
        let whole = foreign(bits, &data, before, after);
        let at = 12 + 24 + before.len() + 4;
        let plan = |bytes: &[u8]| {
            scene.write(bytes);
            let found = scene.case();
            let frames = found.frames();
            assert_eq!(found.cut(), 0);
            found.mend().unwrap();
            let again = scene.bytes();
            let case = scene.case();
            assert!(case.is_whole(), "{bits} {:?}", case.words());
            (again, (frames.0.0, frames.1.0))
        };
        std::fs::remove_file(scene.ledger_path()).unwrap();
        assert_eq!(plan(&whole), (whole.clone(), (1_001, 1_001)), "{bits}: whole");
        for size in [0_u32, u32::MAX, 12] {
            let mut bytes = whole.clone();
            bytes[4..8].copy_from_slice(&size.to_le_bytes());
            assert_eq!(plan(&bytes), (whole.clone(), (1_001, 1_001)), "{bits}: RIFF of {size}");
        }
        for cut in [1, frame, frame + 1, 500] {
            let end = at + 4 + data.len() - cut;
            let (bytes, (declared, frames)) = plan(&whole[..end]);
            let there = (data.len() - cut) / frame;
            assert_eq!((declared, frames), (1_001, there as u64), "{bits} less {cut}");
            assert!(bytes.len() >= end && bytes[at + 4..end] == data[..data.len() - cut]);
            let told = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            assert_eq!(told as usize, there * frame);
        }
        if after.is_empty() {
            for size in [0_u32, u32::MAX] {
                let mut bytes = whole.clone();
                bytes[at..at + 4].copy_from_slice(&size.to_le_bytes());
                assert_eq!(plan(&bytes).1, (0, (whole.len() - at - 4) as u64 / frame as u64));
            }
        }
        // Not to be understood: left, and said.
        for (from, bad) in [(0, b"RIFX"), (8, b"AVI "), (20, b"\x11\0\x01\0")] {
            let mut bytes = whole.clone();
            bytes[from..from + 4].copy_from_slice(bad);
            scene.write(&bytes);
            assert!(scene.look().is_err());
            assert_eq!(scene.bytes(), bytes);
        }
    }
}

#[test]
fn a_second_stream_behind_the_first_is_not_cut_off() {
    let (one, other) = (Scene::new(formats()[3], 9_000), Scene::of("b", formats()[3], 9_000));
    let both = [one.bytes(), other.bytes()].concat();
    one.write(&both);
    let error = one.look().unwrap_err().to_string();
    assert!(error.contains("another stream"), "{error}");
    assert_eq!(one.bytes(), both);
}
