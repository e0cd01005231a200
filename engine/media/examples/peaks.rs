//! How long it takes to draw a recording: `cargo run --release --example peaks -- DIR [HOURS]`.
//!
//! Makes the peaks of a stereo recording at 48 kHz in DIR, and tells how long that took and a waveform of 1,000 points of the last hour and
//! of all of it, each as the median of 21.

use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, Instant};

use audyn_media::Beneath;
use audyn_media::peaks::{PeakSpec, PeakWriter, Peaks};
use audyn_units::{ChannelCount, FrameCount, FrameIndex, SampleRate};

const HOUR: u64 = 3_600 * 48_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().expect("give a directory");
    let hours = arguments.next().map_or(24, |n| n.parse::<u64>().expect("a number"));
    let root = Beneath::root(Path::new(&directory)).expect("it is there");
    let name = OsStr::new("peaks-example.wav");
    let spec = PeakSpec { rate: SampleRate::HZ_48000, channels: ChannelCount::STEREO, first: FrameIndex(0) };
    let mut writer = PeakWriter::create_in(&root, name, spec).expect("there are none yet");
    let second: Vec<i32> = (0..2 * 48_000u32).map(|n| n.wrapping_mul(2_654_435_761) as i32).collect();
    let ((), made) = timed(|| {
        for _ in 0..hours * 3_600 {
            writer.append(&second);
            writer.flush().expect("there is room");
        }
    });
    writer.close().expect("there is room");
    let each = made.as_secs_f64() * 1e3 / (hours * 3_600) as f64;
    println!("made of {hours} h: {:.1} s, {each:.2} ms for each second of audio", made.as_secs_f64());
    let all = FrameCount(hours * HOUR);
    for (what, from) in [("the last hour", FrameCount(all.0.saturating_sub(HOUR))), ("all", FrameCount(0))] {
        let mut times = Vec::new();
        for _ in 0..21 {
            let (points, took) = timed(|| {
                let peaks = Peaks::open_in(&root, name).expect("they are there");
                peaks.waveform(from, all, 1_000).expect("they can be read").points().len()
            });
            assert_eq!(points, 1_000);
            times.push(took);
        }
        times.sort_unstable();
        let millis = |n: usize| times[n].as_secs_f64() * 1e3;
        println!("{what} in 1,000 points: median {:.1} ms, slowest {:.1} ms", millis(10), millis(20));
    }
    root.remove(&audyn_media::peaks::peaks_of(name)).expect("it is ours");
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}
