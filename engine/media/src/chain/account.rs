//! What the files of a closed recording say of it: everything that its sidecar tells beside the hashes.

use std::ffi::OsStr;
use std::io::{self, BufReader};
use std::path::Path;

use audyn_units::{FrameCount, FrameIndex, SampleRate};
use jiff::tz::{Offset, TimeZone};

use super::files::ledger_of;
use super::hash::Sha256;
use super::seal::{Sealing, place};
use super::sidecar::{ClockFacts, FormatFacts, Instants, Sidecar, VERSION};
use crate::beneath::OFlags;
use crate::ledger::LedgerFacts;
use crate::{Beneath, MediaError, frames_of};

/// Reads what `file`, a path below the recorder's directory, and its ledger say. Whoever closed or mended it, and wherever it lies.
///
/// # Errors
/// [`MediaError::Chain`], of the kind [`io::ErrorKind::NotFound`] if the file or its ledger is not there,
/// [`io::ErrorKind::InvalidData`] if they are not what the engine writes.
pub fn account(recorder: &Beneath, file: &Path) -> Result<Sealing, MediaError> {
    read(recorder, file).map_err(|source| MediaError::Chain { path: recorder.path().join(file), source })
}

fn read(recorder: &Beneath, file: &Path) -> io::Result<Sealing> {
    let name = file.to_str().ok_or_else(|| invalid("its name is no text"))?;
    let (directory, base) = place(recorder, file)?;
    let audio = directory.file(base, OFlags::RDONLY)?;
    let ledger = || directory.file(&ledger_of(base), OFlags::RDONLY).map(BufReader::new);
    let told = LedgerFacts::read(ledger()?, FrameCount::ZERO)?;
    let held = frames_of(audio, file, told.header.rate).map_err(|error| invalid(&error.to_string()))?;
    // What is resampled holds the flow's frames to the nearest one only; the ledger has counted them.
    let closed = told.end.map(|end| end.frames());
    let frames = closed.filter(|closed| closed.0.abs_diff(held.0) <= 1).unwrap_or(held);
    let facts = LedgerFacts::read(ledger()?, frames)?;
    let LedgerFacts { header, gaps, gaps_in_all, filled, end, .. } = facts;
    let filled_in_all = match end.filter(|end| end.frames() == frames) {
        None => filled,
        // Lines of it were refused by a full disk: the last one counts what they told.
        Some(end) if end.frames_filled >= filled => end.frames_filled,
        Some(end) => {
            let told = end.frames_filled;
            return Err(invalid(&format!(
                "its ledger contradicts itself: gaps of {filled}, and {told} at its end"
            )));
        }
    };
    let zone = header.zone.as_deref().and_then(|name| TimeZone::get(name).ok());
    let start = header.start_utc.parse::<jiff::Timestamp>().map_err(|error| invalid(&error.to_string()))?;
    let tai_at_end = end.and_then(|end| end.tai_minus_utc).or(header.tai_minus_utc);
    // A leap second within the file: UTC has moved by less than the frames tell.
    let leapt = tai_at_end.zip(header.tai_minus_utc).map_or(0, |(end, start)| end - start);
    let span = header.rate.duration(frames).0;
    let ended = start
        .checked_add(jiff::SignedDuration::from_nanos(span) - jiff::SignedDuration::from_secs(leapt))
        .map_err(|error| invalid(&error.to_string()))?;
    let last = header.first_position + frames;
    Ok(Sealing(Sidecar {
        audyn_sidecar: VERSION,
        recorder: header.recorder,
        studio: header.studio,
        file: name.to_owned(),
        format: FormatFacts {
            kind: file.extension().and_then(OsStr::to_str).unwrap_or_default().to_owned(),
            rate: header.rate,
            channels: header.channels,
            bits: header.bits,
        },
        start: instants(header.first_position, header.rate, start, zone.as_ref()),
        end: instants(last, header.rate, ended, zone.as_ref()),
        frames,
        frames_written: frames.saturating_sub(filled_in_all),
        frames_filled: filled_in_all,
        frames_unlisted: filled_in_all.saturating_sub(filled),
        gaps,
        gaps_in_all,
        clock: ClockFacts {
            quality: header.clock,
            placed_by: header.placed_by,
            tai_minus_utc: tai_at_end,
            drift_ppm: end.and_then(|end| end.drift_ppm),
        },
        mended: end.is_none_or(|end| end.frames() != frames),
        bytes: 0,
        sha256: Sha256::UNKNOWN,
        ledger: None,
        entry: 0,
        previous: None,
    }))
}

/// A frame's instant on each clock.
fn instants(
    position: FrameIndex,
    rate: SampleRate,
    utc: jiff::Timestamp,
    zone: Option<&TimeZone>,
) -> Instants {
    let nanos = rate.duration(FrameCount(position.0)).0;
    let tai = jiff::Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or(jiff::Timestamp::MAX);
    Instants {
        position,
        tai: Offset::UTC.to_datetime(tai).to_string(),
        utc: utc.to_string(),
        local: zone.map(|zone| utc.to_zoned(zone.clone()).to_string()),
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use audyn_units::ChannelCount;

    use super::*;
    use crate::{PcmDepth, WavSpec, WavWriter};

    fn recording(dir: &Path, header: &str, lines: &str) -> Beneath {
        let spec =
            WavSpec { rate: SampleRate::HZ_48000, channels: ChannelCount::MONO, depth: PcmDepth::Pcm24 };
        let path: PathBuf = dir.join("a.wav");
        let mut wav = WavWriter::create(&path, spec, &crate::Facts::default()).unwrap();
        wav.append(&[256; 48_000]).unwrap();
        wav.close().unwrap();
        std::fs::write(dir.join("a.wav.gaps.jsonl"), format!("{header}\n{lines}")).unwrap();
        Beneath::root(dir).unwrap()
    }

    /// 1,751,413,600 s after the PTP epoch: 2025-07-01T23:46:40 TAI.
    const HEADER: &str = r#"{"audyn_ledger":3,"recorder":"a","studio":"s","file":"a.wav","first_position":84067852800000,"start_utc":"2025-07-01T23:46:03Z","zone":"Europe/Dublin","rate":48000,"channels":1,"bits":24,"placed_by":"media-clock","clock":"ptp-locked","tai_minus_utc":37}"#;

    #[test]
    fn a_closed_recording_is_told_on_every_clock() {
        let dir = tempfile::tempdir().unwrap();
        let closed =
            r#"{"closed":true,"frames_written":48000,"frames_filled":0,"drift_ppm":0.2,"tai_minus_utc":37}"#;
        let root = recording(dir.path(), HEADER, closed);
        let sealing = account(&root, Path::new("a.wav")).unwrap().0;
        let told = |instants: &Instants| {
            (instants.tai.clone(), instants.utc.clone(), instants.local.clone().unwrap())
        };
        let expect = |tai: &str, utc: &str, local: &str| (tai.to_owned(), utc.to_owned(), local.to_owned());
        assert_eq!(
            told(&sealing.start),
            expect("2025-07-01T23:46:40", "2025-07-01T23:46:03Z", "2025-07-02T00:46:03+01:00[Europe/Dublin]")
        );
        assert_eq!(
            told(&sealing.end),
            expect("2025-07-01T23:46:41", "2025-07-01T23:46:04Z", "2025-07-02T00:46:04+01:00[Europe/Dublin]")
        );
        assert_eq!((sealing.mended, sealing.studio.as_deref()), (false, Some("s")));
    }

    #[test]
    fn a_leap_second_within_lets_utc_fall_behind() {
        let dir = tempfile::tempdir().unwrap();
        let closed = r#"{"closed":true,"frames_written":48000,"frames_filled":0,"tai_minus_utc":38}"#;
        let sealing = account(&recording(dir.path(), HEADER, closed), Path::new("a.wav")).unwrap().0;
        assert_eq!(
            (sealing.end.tai.as_str(), sealing.end.utc.as_str()),
            ("2025-07-01T23:46:41", "2025-07-01T23:46:03Z")
        );
    }

    #[test]
    fn what_a_kill_left_is_told_as_mended() {
        let dir = tempfile::tempdir().unwrap();
        let gap = r#"{"position":84067852800100,"frames":50,"cause":"loss","estimated":false}"#;
        let sealing = account(&recording(dir.path(), HEADER, gap), Path::new("a.wav")).unwrap().0;
        assert!(sealing.mended);
        assert_eq!((sealing.frames_filled, sealing.gaps_in_all), (FrameCount(50), 1));
    }

    #[test]
    fn what_the_ledger_lost_is_told_as_silence_of_an_unknown_place() {
        let dir = tempfile::tempdir().unwrap();
        let gap = r#"{"position":84067852800100,"frames":50,"cause":"loss","estimated":false}"#;
        let closed = r#"{"closed":true,"frames_written":47900,"frames_filled":100,"tai_minus_utc":37}"#;
        let root = recording(dir.path(), HEADER, &format!("{gap}\n{closed}"));
        let told = account(&root, Path::new("a.wav")).unwrap().0;
        assert_eq!(
            (told.frames_written, told.frames_filled, told.frames_unlisted),
            (FrameCount(47_900), FrameCount(100), FrameCount(50))
        );
        assert_eq!((told.contradiction(), told.mended), (None, false));
        let less = closed.replace("47900", "47960").replace(":100,", ":40,");
        std::fs::write(dir.path().join("a.wav.gaps.jsonl"), format!("{HEADER}\n{gap}\n{less}")).unwrap();
        let error = account(&root, Path::new("a.wav")).unwrap_err().to_string();
        assert!(error.contains("gaps of 50 frames, and 40 frames at its end"), "{error}");
    }

    #[test]
    fn without_a_ledger_nothing_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let root = recording(dir.path(), HEADER, "");
        std::fs::remove_file(dir.path().join("a.wav.gaps.jsonl")).unwrap();
        let MediaError::Chain { source, .. } = account(&root, Path::new("a.wav")).unwrap_err() else {
            panic!("another error")
        };
        assert_eq!(source.kind(), io::ErrorKind::NotFound);
    }
}
