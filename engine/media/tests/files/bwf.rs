//! What a file tells of itself, floats, and BW64.

use std::fs::File;
use std::io::Cursor;

use audyn_media::{BigForm, Facts, PcmDepth, WavReader, WavWriter};
use audyn_units::FrameCount;

use crate::support::{by_hound, facts, index_signal, spec, strict};

#[test]
fn a_file_tells_what_it_was_told_and_reading_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    let spec = spec(2, PcmDepth::Pcm24);
    let mut writer = WavWriter::create(&path, spec, &facts()).unwrap();
    writer.append(&index_signal(spec.depth, 0, 20)).unwrap();
    writer.close().unwrap();
    let mut reader = WavReader::open(&path).unwrap();
    let mut samples = [0; 4];
    reader.read(&mut samples).unwrap();
    assert_eq!(reader.facts().unwrap(), Some(facts()));
    let bext = reader.bext().unwrap().unwrap();
    assert_eq!((bext.originator.as_str(), bext.time_reference), ("Audyn 0.1.0", facts().since_midnight));
    reader.read(&mut samples).unwrap();
    assert_eq!(samples[..], index_signal(spec.depth, 4, 4));
}

#[test]
fn a_file_without_an_instant_tells_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    let facts = Facts { start_utc: String::new(), ..facts() };
    WavWriter::create(&path, spec(1, PcmDepth::Pcm16), &facts).unwrap().close().unwrap();
    let mut reader = WavReader::open(&path).unwrap();
    assert_eq!(reader.facts().unwrap(), None);
    let bext = reader.bext().unwrap().unwrap();
    assert_eq!((bext.description.as_str(), bext.date.as_str()), ("Studio 1", ""));
    assert_eq!((bext.time_reference, bext.reference.as_str()), (FrameCount::ZERO, ""));
}

#[test]
fn floats_are_kept_and_others_read_them() {
    let dir = tempfile::tempdir().unwrap();
    for source in [PcmDepth::Pcm16, PcmDepth::Pcm24] {
        let path = dir.path().join(format!("{source:?}.wav"));
        let spec = spec(3, PcmDepth::Float32);
        let mut samples = index_signal(source, 0, 3 * 5_000);
        samples.extend([i32::MIN, 0x7FFF_FF00, 256]);
        let mut writer = WavWriter::create(&path, spec, &facts()).unwrap();
        writer.set_source_depth(source);
        writer.append(&samples).unwrap();
        writer.append_silence(FrameCount(7)).unwrap();
        writer.close().unwrap();
        samples.extend([0; 21]);
        assert_eq!(strict(&mut File::open(&path).unwrap(), spec).frames, 5_008);
        assert!(by_hound(&path, spec) == samples);
        let mut reader = WavReader::open(&path).unwrap();
        assert_eq!(reader.info().spec, spec);
        let mut back = vec![1; samples.len()];
        assert_eq!(reader.read(&mut back).unwrap(), FrameCount(5_008));
        assert!(back == samples);
    }
}

#[test]
fn floats_of_others_are_read() {
    let mut bytes = Cursor::new(Vec::new());
    let float = hound::WavSpec {
        channels: 6,
        sample_rate: 96_000,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::new(&mut bytes, float).unwrap();
    for sample in [0.0_f32, 0.5, -1.0, 1.5, 1e-9, f32::NAN] {
        writer.write_sample(sample).unwrap();
    }
    writer.finalize().unwrap();
    let mut reader = WavReader::from_source(bytes, "extensible floats").unwrap();
    let mut samples = [9; 6];
    assert_eq!(reader.read(&mut samples).unwrap(), FrameCount(1));
    assert_eq!(samples, [0, 1 << 30, i32::MIN, i32::MAX, 2, 0]);
    assert_eq!((reader.bext().unwrap(), reader.facts().unwrap()), (None, None));
}

/// Starts near the limit by a hole, not by writing 4 GiB.
#[test]
fn past_4_gib_a_file_is_bw64_where_that_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.wav");
    let spec = spec(2, PcmDepth::Float32);
    let mut writer = WavWriter::create(&path, spec, &facts()).unwrap();
    writer.set_big_form(BigForm::Bw64);
    let form = || {
        std::fs::File::open(&path).map(|mut file| {
            let mut form = [0; 4];
            std::io::Read::read_exact(&mut file, &mut form).unwrap();
            form
        })
    };
    let near = (1u64 << 32) / 8 - 600;
    writer.append_silence(FrameCount(near)).unwrap();
    writer.flush().unwrap();
    assert_eq!(&form().unwrap(), b"RIFF");
    let samples = index_signal(spec.depth, 0, 2 * 5_000);
    writer.append(&samples).unwrap();
    writer.close().unwrap();
    assert_eq!(&form().unwrap(), b"BW64");
    let mut reader = WavReader::open(&path).unwrap();
    assert_eq!((reader.info().rf64, reader.info().declared), (true, FrameCount(near + 5_000)));
    reader.seek(FrameCount(near)).unwrap();
    assert_eq!(reader.facts().unwrap(), Some(facts()));
    let mut back = vec![0; samples.len()];
    assert_eq!(reader.read(&mut back).unwrap(), FrameCount(5_000));
    assert!(back == samples);
}
