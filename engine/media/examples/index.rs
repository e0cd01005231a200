//! How long a question to a large archive takes: `cargo run --release --example index -- DIR [SEGMENTS [RECORDERS]]`.
//!
//! Makes sidecars below DIR, which must not exist, without audio: an hour each, one recorder after the other. Tells how long the index
//! took to be made from them, and a day's question after that, each as the median of 21.

use std::path::Path;
use std::time::{Duration, Instant};

use audyn_media::archive::{Catalog, Wanted, When};
use audyn_media::chain::{ClockFacts, FormatFacts, HOUSE, Instants, Sha256, Sidecar, VERSION};
use audyn_units::{FrameCount, FrameIndex, SampleRate};

const HOUR: u64 = 3_600;
const RATE: u64 = 48_000;
/// 2026-01-01 00:00:00 UTC.
const START: u64 = 1_767_225_600;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().expect("give a directory that does not exist");
    let mut number = |default| arguments.next().map_or(default, |n| n.parse::<u64>().expect("a number"));
    let (segments, recorders) = (number(100_000), number(64));
    let root = Path::new(&directory);
    std::fs::create_dir(root).expect("the directory can be made");
    for recorder in 0..recorders {
        fill(root, &format!("recorder-{recorder}"), segments / recorders);
    }
    let everything = || Catalog::open(root).and_then(|catalog| catalog.find(&Wanted::default()));
    let (found, anew) = timed(everything);
    println!("{} segments of {recorders} recorders", found.expect("it is there").len());
    println!("index made anew: {:.0} ms", anew.as_secs_f64() * 1e3);
    let day = START + 20 * 24 * HOUR;
    let at = |seconds: u64| Some(When::Utc(i64::try_from(seconds * 1_000_000_000).expect("not so far")));
    let wanted = Wanted { from: at(day), to: at(day + 24 * HOUR), ..Wanted::default() };
    let one = Wanted { recorder: Some("recorder-0".to_owned()), ..wanted.clone() };
    for (what, wanted) in [("a day of all", wanted), ("a day of one recorder", one)] {
        let mut times = Vec::new();
        let mut hits = 0;
        for _ in 0..21 {
            let (found, took) = timed(|| Catalog::open(root).and_then(|catalog| catalog.find(&wanted)));
            hits = found.expect("it is there").len();
            times.push(took);
        }
        times.sort_unstable();
        let millis = |n: usize| times[n].as_secs_f64() * 1e3;
        println!("{what}: {hits} segments, median {:.1} ms, slowest {:.1} ms", millis(10), millis(20));
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}

fn fill(root: &Path, recorder: &str, segments: u64) {
    let directory = root.join(recorder);
    std::fs::create_dir_all(directory.join(HOUSE)).expect("it can be made");
    let mut previous = None;
    for n in 0..segments {
        let file = format!("{:03}/{n:06}.wav", n / 1_000);
        let instants = |hours: u64| {
            let seconds = START + hours * HOUR;
            let utc = jiff::Timestamp::from_second(seconds as i64).expect("not so far");
            Instants {
                position: FrameIndex((seconds + 37) * RATE),
                tai: "2026-01-01T00:00:37".to_owned(),
                utc: utc.to_string(),
                local: Some(format!("{utc}[UTC]")),
            }
        };
        let sidecar = Sidecar {
            audyn_sidecar: VERSION,
            recorder: recorder.to_owned(),
            studio: Some("studio".to_owned()),
            file: file.clone(),
            format: FormatFacts {
                kind: "wav".to_owned(),
                rate: SampleRate::HZ_48000,
                channels: 2,
                bits: Some(24),
            },
            start: instants(n),
            end: instants(n + 1),
            frames: FrameCount(HOUR * RATE),
            frames_written: FrameCount(HOUR * RATE),
            frames_filled: FrameCount(0),
            frames_unlisted: FrameCount(0),
            gaps: Vec::new(),
            gaps_in_all: 0,
            clock: ClockFacts::default(),
            mended: false,
            bytes: HOUR * RATE * 6 + 4_096,
            sha256: Sha256::of(b""),
            ledger: None,
            entry: n + 1,
            previous,
        };
        let text = serde_json::to_vec_pretty(&sidecar).expect("it has a form");
        previous = Some(Sha256::of(&text));
        let path = directory.join(format!("{file}.json"));
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        std::fs::write(path, text).expect("there is room");
    }
    let hash = previous.expect("there is one");
    let head = format!(r#"{{"audyn_head":1,"entry":{segments},"hash":"{hash}"}}"#);
    std::fs::write(directory.join(HOUSE).join("head.json"), head).expect("there is room");
    std::fs::write(directory.join(HOUSE).join("lock"), "").expect("there is room");
    std::fs::write(directory.join(HOUSE).join("open.json"), "[]").expect("there is room");
}
