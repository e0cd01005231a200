//! A disk that logs and fails on demand, and a reader that forgives nothing.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use audyn_media::{Facts, PcmDepth, Store, WavSpec};
use audyn_units::{ChannelCount, FrameCount, FrameIndex, SampleRate};

pub(crate) fn spec(channels: u8, depth: PcmDepth) -> WavSpec {
    WavSpec { rate: SampleRate::HZ_48000, channels: ChannelCount::new(channels).unwrap(), depth }
}

/// What the files here tell of themselves.
pub(crate) fn facts() -> Facts {
    Facts {
        recorder: "studio-1".to_owned(),
        description: "Studio 1".to_owned(),
        originator: "Audyn 0.1.0".to_owned(),
        first: FrameIndex(85_584_000_024_000),
        start_utc: "2026-07-02T13:46:03.5Z".to_owned(),
        start_named: "2026-07-02T14:46:03.5+01:00".to_owned(),
        since_midnight: FrameCount(2_551_848_000),
        tai_minus_utc: Some(37),
        placed_by: Some("media-clock".to_owned()),
        clock: Some("ptp-locked".to_owned()),
        channel_names: vec!["Left".to_owned(), "Right".to_owned()],
    }
}

/// Samples that carry their own number, left-justified at `depth`; of a float the 24 bits that it holds wherever it is.
pub(crate) fn index_signal(depth: PcmDepth, first: usize, samples: usize) -> Vec<i32> {
    let shift = 32 - u32::from(depth.bits().min(24));
    (first..first + samples).map(|n| ((n as u32).wrapping_mul(2_654_435_761) << shift) as i32).collect()
}

#[derive(Debug, Clone)]
pub(crate) enum Op {
    Write { offset: u64, bytes: Vec<u8> },
    SetLen(u64),
    Sync,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    Good,
    /// Writes no more than this.
    Short(usize),
    Error(io::ErrorKind),
}

/// Logs what reaches the disk. `plan` tells the outcome of each call; when it is empty all is good.
#[derive(Debug, Default)]
pub(crate) struct LogStore {
    pub(crate) log: Vec<Op>,
    pub(crate) plan: VecDeque<Outcome>,
}

impl Store for LogStore {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let n = match self.plan.pop_front().unwrap_or(Outcome::Good) {
            Outcome::Good => bytes.len(),
            Outcome::Short(_) if offset == 0 => bytes.len(), // page cache: the bytes of one page go as one
            Outcome::Short(n) => n.min(bytes.len()),
            Outcome::Error(kind) => return Err(kind.into()),
        };
        if n > 0 {
            self.log.push(Op::Write { offset, bytes: bytes[..n].to_vec() });
        }
        Ok(n)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        if let Some(Outcome::Error(kind)) = self.plan.pop_front() {
            return Err(kind.into());
        }
        self.log.push(Op::SetLen(len));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.log.push(Op::Sync);
        Ok(())
    }
}

/// Does to a real file what the log says; never makes it shorter.
pub(crate) fn apply(file: &File, op: &Op) {
    match op {
        Op::Write { offset, bytes } => file.write_all_at(bytes, *offset).unwrap(),
        Op::SetLen(len) => {
            assert!(*len >= file.metadata().unwrap().len(), "the writer cut its own file");
            file.set_len(*len).unwrap();
        }
        Op::Sync => {}
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Strict {
    pub(crate) rf64: bool,
    pub(crate) frames: u64,
}

/// Reads a header as a pedant would: every field checked against every other and against the file.
pub(crate) fn strict(file: &mut (impl Read + Seek), spec: WavSpec) -> Strict {
    let len = file.seek(SeekFrom::End(0)).unwrap();
    file.rewind().unwrap();
    let mut bytes = |n: u64| {
        let mut b = vec![0; n as usize];
        file.read_exact(&mut b).unwrap();
        b
    };
    let int = |b: &[u8]| b.iter().rev().fold(0u64, |n, &x| n << 8 | u64::from(x));
    let rf64 = match &bytes(4)[..] {
        b"RIFF" => false,
        b"RF64" => true,
        other => panic!("form {other:?}"),
    };
    let riff32 = int(&bytes(4));
    assert_eq!(bytes(4), b"WAVE");
    let (mut at, mut names) = (12, Vec::new());
    let (mut riff, mut long_data, mut fact) = (riff32, None, None);
    let frame_bytes = spec.frame_bytes() as u64;
    let float = spec.depth == PcmDepth::Float32;
    let data32 = loop {
        let (name, size) = (bytes(4), int(&bytes(4)));
        at += 8;
        names.push(String::from_utf8(name.clone()).unwrap());
        if name == b"data" {
            break size;
        }
        assert!(size % 2 == 0, "{names:?}");
        let body = bytes(size);
        at += size;
        match &name[..] {
            b"ds64" => {
                assert_eq!((size, riff32, int(&body[24..28])), (28, 0xFFFF_FFFF, 0));
                (riff, long_data) = (int(&body[..8]), Some((int(&body[8..16]), int(&body[16..24]))));
            }
            b"fmt " => {
                assert_eq!((size, int(&body[..2])), if float { (18, 3) } else { (16, 1) });
                assert_eq!(int(&body[2..4]), spec.channels.get() as u64);
                assert_eq!(int(&body[4..8]), u64::from(spec.rate.hz()));
                assert_eq!(int(&body[8..12]), u64::from(spec.rate.hz()) * frame_bytes);
                assert_eq!(int(&body[12..14]), frame_bytes);
                assert_eq!(int(&body[14..16]), u64::from(spec.depth.bits()));
                assert!(body[16..].iter().all(|&b| b == 0));
            }
            b"fact" => fact = Some(int(&body)),
            b"bext" => assert_eq!((int(&body[338..346]), int(&body[346..348])), (2_551_848_000, 2)),
            b"iXML" => assert!(String::from_utf8(body).unwrap().trim_end().ends_with("</BWFXML>")),
            b"JUNK" => assert!(body.iter().all(|&b| b == 0)),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(at, 4_096, "the samples begin at a block");
    let room = if rf64 { "ds64" } else { "JUNK" };
    let mut wanted = vec![room, "fmt ", "fact", "bext", "iXML", "JUNK", "data"];
    wanted.retain(|name| *name != "fact" || float);
    assert_eq!(names, wanted);
    let data = match long_data {
        Some((data, frames)) => {
            assert_eq!(data32, 0xFFFF_FFFF);
            assert_eq!(frames * frame_bytes, data);
            data
        }
        None => data32,
    };
    assert_eq!(data % frame_bytes, 0);
    if let Some(fact) = fact {
        assert_eq!(fact, if rf64 { 0xFFFF_FFFF } else { data / frame_bytes });
    }
    assert_eq!(riff, 4_088 + data + data % 2, "RIFF size");
    assert_eq!(rf64, riff > u64::from(u32::MAX), "RF64 exactly when it is needed");
    assert!(riff + 8 <= len, "the header counts {riff} + 8 bytes, the file has {len}");
    Strict { rf64, frames: data / frame_bytes }
}

/// All samples of a file by `hound`, left-justified; floats as what they are of 2^31.
pub(crate) fn by_hound(path: &std::path::Path, spec: WavSpec) -> Vec<i32> {
    let mut reader = hound::WavReader::open(path).unwrap();
    let found = reader.spec();
    assert_eq!(usize::from(found.channels), spec.channels.get());
    assert_eq!(found.sample_rate, spec.rate.hz());
    assert_eq!(found.bits_per_sample, spec.depth.bits());
    if spec.depth == PcmDepth::Float32 {
        return reader.samples::<f32>().map(|s| (f64::from(s.unwrap()) * 2_147_483_648.0) as i32).collect();
    }
    let shift = 32 - u32::from(spec.depth.bits());
    reader.samples::<i32>().map(|s| s.unwrap() << shift).collect()
}
