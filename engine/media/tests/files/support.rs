//! A disk that logs and fails on demand, and a reader that forgives nothing.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use audyn_media::{PcmDepth, Store, WavSpec};
use audyn_units::{ChannelCount, SampleRate};

pub(crate) fn spec(channels: u8, depth: PcmDepth) -> WavSpec {
    WavSpec { rate: SampleRate::HZ_48000, channels: ChannelCount::new(channels).unwrap(), depth }
}

/// Samples that carry their own number, left-justified at `depth`.
pub(crate) fn index_signal(depth: PcmDepth, first: usize, samples: usize) -> Vec<i32> {
    let shift = 32 - u32::from(depth.bits());
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
            Outcome::Short(_) if offset == 0 => bytes.len(), // page cache: 80 bytes of one page go as one
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
    pub(crate) data_offset: u64,
}

/// Reads a header as a pedant would: every field checked against every other and against the file.
pub(crate) fn strict(file: &mut (impl Read + Seek), spec: WavSpec) -> Strict {
    let len = file.seek(SeekFrom::End(0)).unwrap();
    file.rewind().unwrap();
    let mut id = [0; 4];
    let mut bytes = |n: usize| {
        let mut b = vec![0; n];
        file.read_exact(&mut b).unwrap();
        b
    };
    let int = |b: &[u8]| b.iter().rev().fold(0u64, |n, &x| n << 8 | u64::from(x));
    id.copy_from_slice(&bytes(4));
    let rf64 = match &id {
        b"RIFF" => false,
        b"RF64" => true,
        other => panic!("form {other:?}"),
    };
    let riff32 = int(&bytes(4));
    assert_eq!(bytes(4), b"WAVE");
    let room = bytes(4);
    assert_eq!(int(&bytes(4)), 28);
    let body = bytes(28);
    let (riff, long_data) = if rf64 {
        assert_eq!(room, b"ds64");
        assert_eq!(riff32, 0xFFFF_FFFF);
        assert_eq!(int(&body[24..28]), 0);
        (int(&body[..8]), Some((int(&body[8..16]), int(&body[16..24]))))
    } else {
        assert_eq!(room, b"JUNK");
        (riff32, None)
    };
    assert_eq!(bytes(4), b"fmt ");
    assert_eq!(int(&bytes(4)), 16);
    let frame_bytes = spec.frame_bytes() as u64;
    assert_eq!(int(&bytes(2)), 1);
    assert_eq!(int(&bytes(2)), spec.channels.get() as u64);
    assert_eq!(int(&bytes(4)), u64::from(spec.rate.hz()));
    assert_eq!(int(&bytes(4)), u64::from(spec.rate.hz()) * frame_bytes);
    assert_eq!(int(&bytes(2)), frame_bytes);
    assert_eq!(int(&bytes(2)), u64::from(spec.depth.bits()));
    assert_eq!(bytes(4), b"data");
    let data32 = int(&bytes(4));
    let data = match long_data {
        Some((data, frames)) => {
            assert_eq!(data32, 0xFFFF_FFFF);
            assert_eq!(frames * frame_bytes, data);
            data
        }
        None => data32,
    };
    assert_eq!(data % frame_bytes, 0);
    assert_eq!(riff, 72 + data + data % 2, "RIFF size");
    assert_eq!(rf64, riff > u64::from(u32::MAX), "RF64 exactly when it is needed");
    assert!(riff + 8 <= len, "the header counts {riff} + 8 bytes, the file has {len}");
    Strict { rf64, frames: data / frame_bytes, data_offset: 80 }
}

/// All samples of a 16 or 24-bit file by `hound`, left-justified.
pub(crate) fn by_hound(path: &std::path::Path, spec: WavSpec) -> Vec<i32> {
    let mut reader = hound::WavReader::open(path).unwrap();
    let found = reader.spec();
    assert_eq!(usize::from(found.channels), spec.channels.get());
    assert_eq!(found.sample_rate, spec.rate.hz());
    assert_eq!(found.bits_per_sample, spec.depth.bits());
    let shift = 32 - u32::from(spec.depth.bits());
    reader.samples::<i32>().map(|s| s.unwrap() << shift).collect()
}
