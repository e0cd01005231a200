//! An archive of small recordings that are sealed as an engine does it.

use std::io::ErrorKind;
use std::path::Path;

use audyn_media::chain::{Chain, Hashes, account};
use audyn_media::{Beneath, Facts, MediaError, PcmDepth, WavSpec, WavWriter};
use audyn_units::{ChannelCount, SampleRate};

/// Notes that a recorder has kept so many bytes for long, so that an engine which starts with this limit needn't wait an hour.
pub(crate) fn keeps(state: &Path, recorder: &str, bytes: u64) {
    let note = serde_json::json!({ "recorders": { recorder: { "bytes": bytes } }, "floor": {} });
    std::fs::write(state.join("retention-limits.json"), note.to_string()).unwrap();
}

/// Makes sealed recordings of 16 kB each, an hour apart, in a directory `below` the recorder's.
pub(crate) fn archive_of(recorder: &Path, below: &str, count: i64) {
    std::fs::create_dir_all(recorder.join(below)).unwrap();
    let spec = WavSpec { rate: SampleRate::HZ_48000, channels: ChannelCount::MONO, depth: PcmDepth::Pcm16 };
    let directory = Beneath::root(recorder).unwrap();
    let mut chain = Chain::open(directory.try_clone().unwrap()).unwrap();
    for n in 0..count {
        let name = format!("{below}{n:03}.wav");
        let mut wav = WavWriter::create(recorder.join(&name), spec, &Facts::default()).unwrap();
        wav.append(&[1 << 20; 6_000]).unwrap();
        wav.close().unwrap();
        let start = 1_780_000_000 + n * 3_600;
        let start_utc = jiff::Timestamp::from_second(start).unwrap().to_string();
        let header = serde_json::json!({
            "audyn_ledger": 3, "recorder": "a", "file": name, "first_position": start * 48_000, "start_utc": start_utc,
            "rate": 48_000, "channels": 1, "bits": 16, "placed_by": null, "clock": null, "tai_minus_utc": null,
        });
        let closed = r#"{"closed":true,"frames_written":6000,"frames_filled":0}"#;
        std::fs::write(recorder.join(format!("{name}.gaps.jsonl")), format!("{header}\n{closed}\n")).unwrap();
        let sealing = account(&directory, name.as_ref()).unwrap();
        // A child of another test has all open files, and the locks on them, until its program runs: what is closed may be locked so long.
        let hashes = loop {
            match Hashes::of(&directory, name.as_ref(), || true) {
                Ok(hashes) => break hashes,
                Err(MediaError::Chain { source, .. }) if source.kind() == ErrorKind::ResourceBusy => {
                    std::thread::yield_now();
                }
                Err(error) => panic!("{error}"),
            }
        };
        chain.seal(sealing, hashes).unwrap();
    }
}
