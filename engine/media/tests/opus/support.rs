//! Signals, a disk in memory that fails on demand, and ways to write and to read.

use std::io::{self, Cursor};
use std::path::Path;
use std::sync::{Arc, Mutex};

use audyn_media::opus::{OpusReader, OpusSpec, OpusWriter};
use audyn_media::{Facts, Store};
use audyn_units::{ChannelCount, FrameCount, FrameIndex, SampleRate};

pub(crate) fn spec(hz: u32, channels: u8) -> OpusSpec {
    OpusSpec::new(SampleRate::new(hz).unwrap(), ChannelCount::new(channels).unwrap())
}

/// Facts of a file at this position; a position that no rate divides.
pub(crate) fn facts(first: u64) -> Facts {
    Facts {
        recorder: "studio-1".to_owned(),
        first: FrameIndex(81_234_567_891_234 + first),
        ..Facts::default()
    }
}

/// A disk in memory; `refuse` makes it fail. Its clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    refuses: bool,
    /// Lengths after each write.
    lengths: Vec<usize>,
}

impl Disk {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().bytes.clone()
    }

    pub(crate) fn refuse(&self, refuses: bool) {
        self.0.lock().unwrap().refuses = refuses;
    }

    pub(crate) fn lengths(&self) -> Vec<usize> {
        self.0.lock().unwrap().lengths.clone()
    }
}

impl Store for Disk {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        if state.refuses {
            return Err(io::ErrorKind::StorageFull.into());
        }
        assert_eq!(offset, state.bytes.len() as u64, "the file only grows");
        state.bytes.extend_from_slice(bytes);
        let length = state.bytes.len();
        state.lengths.push(length);
        Ok(bytes.len())
    }

    fn set_len(&mut self, _: u64) -> io::Result<()> {
        unreachable!("an Opus file grows by writing")
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    Sine,
    Sweep,
    Noise,
    /// Tones that begin and fade, with a beat of noise.
    Music,
}

/// Samples of `frames` frames, left-justified.
pub(crate) fn signal(kind: Signal, spec: OpusSpec, frames: usize) -> Vec<i32> {
    let (channels, rate) = (spec.channels.get(), f64::from(spec.rate.hz()));
    let mut state = 1u32;
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state as i32) / 2_147_483_648.0
    };
    let mut samples = Vec::with_capacity(frames * channels);
    for n in 0..frames {
        let t = n as f64 / rate;
        for channel in 0..channels {
            let detune = 1.0 + channel as f64 * 0.013;
            let sine = |hz: f64| (t * hz * detune * std::f64::consts::TAU).sin();
            let value = match kind {
                Signal::Sine => 0.5 * sine(997.0),
                Signal::Sweep => 0.5 * (t * (40.0 + t * 500.0) * detune * std::f64::consts::TAU).sin(),
                Signal::Noise => 0.3 * noise(),
                Signal::Music => {
                    let fade = |period: f64| (-(t % period) * 5.0).exp();
                    0.25 * sine(220.0 * (1.0 + (t * 2.0).floor() % 5.0 / 4.0)) * fade(0.5)
                        + 0.2 * sine(1_320.0) * fade(0.37)
                        + 0.2 * noise() * fade(0.25) * fade(0.25)
                }
            };
            samples.push((value * f64::from(1 << 23)) as i32 * 256);
        }
    }
    samples
}

/// Writes `samples` cut at `cuts` (frames), given in blocks of `block` frames, with a checkpoint after each: the files.
pub(crate) fn write(spec: OpusSpec, samples: &[i32], cuts: &[usize], block: usize) -> Vec<Vec<u8>> {
    let channels = spec.channels.get();
    let mut disks = vec![Disk::default()];
    let mut writer = OpusWriter::on_store(disks[0].clone(), "0", spec, &facts(0)).unwrap();
    let frames = samples.len() / channels;
    let mut at = 0;
    let mut ended = 0;
    for (n, &cut) in cuts.iter().chain([&frames]).enumerate() {
        let first = at;
        while at < cut {
            let to = cut.min(at + block);
            writer.append(&samples[at * channels..to * channels]).unwrap();
            writer.flush().unwrap();
            at = to;
            ended += writer.take_finished().iter().filter(|f| f.result.is_ok()).count();
        }
        assert_eq!(writer.frames(), FrameCount((cut - first) as u64));
        if n < cuts.len() {
            disks.push(Disk::default());
            let (disk, name) = (disks[n + 1].clone(), (n + 1).to_string());
            writer.succeed_on(disk, name, &facts(cut as u64)).unwrap();
        }
    }
    let finished = writer.finish();
    assert!(finished.iter().all(|f| f.result.is_ok()));
    assert_eq!(ended + finished.len(), disks.len());
    disks.iter().map(Disk::bytes).collect()
}

/// All frames of a file, and what it says to have.
pub(crate) fn read(bytes: &[u8]) -> Vec<i32> {
    let mut reader = OpusReader::from_source(Cursor::new(bytes), "memory").unwrap();
    let info = reader.info();
    assert!(info.ended, "its end is marked");
    let mut samples = Vec::new();
    let mut part = vec![0; 1_777 * info.channels.get()];
    loop {
        let n = reader.read(&mut part).unwrap().0 as usize;
        if n == 0 {
            break;
        }
        samples.extend_from_slice(&part[..n * info.channels.get()]);
    }
    assert_eq!(samples.len() as u64, info.frames.0 * info.channels.get() as u64, "as many as it says");
    samples
}

/// A file of its own for `bytes`.
pub(crate) fn saved(dir: &Path, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Frames at 48 kHz of what begins at `from` and ends at `to`, frames at `hz` from the position of [`facts`].
pub(crate) fn at_48k(hz: u32, from: usize, to: usize) -> usize {
    let place = |frame: usize| {
        let frame = 81_234_567_891_234 + frame as u128;
        (frame * 96_000 + u128::from(hz)) / (2 * u128::from(hz))
    };
    (place(to) - place(from)) as usize
}
