//! Silence and clipping, found in the peaks of recordings.
//!
//! Owns: what counts as either. Never: reads audio; a file without peaks is told, and `audyn peaks` makes them. What is silent because it
//! lacks is no silence here: its ledger tells of it.
//!
//! Places are as fine as peaks are, 256 frames; and of a recording that is still made its last 1.4 s are not told yet.

use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use audyn_units::{FrameCount, FrameIndex, Nanos};

use super::{MOST, Marker, derived_marker};
use crate::Beneath;
use crate::archive::{Kind, LedgerGaps, Range, Segment};
use crate::beneath::OFlags;
use crate::chain::ledger_of;
use crate::peaks::{Peak, Peaks};

/// The kind of a stretch in which nothing is louder than it may be.
pub const SILENCE: &str = "silence";

/// The kind of a stretch in which samples are as great as they can be.
pub const CLIP: &str = "clip";

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LevelRules {
    /// Silence that lasts at least so long is.
    pub silence: Nanos,
    /// Nothing in it is louder than this, in dB below full scale: −90 to 0.
    pub below: f64,
}

/// Places that are full scale and less than this apart are one.
const NEIGHBOURS: Nanos = Nanos::from_secs(1);

/// A stretch that goes on.
struct Stretch {
    from: FrameIndex,
    to: FrameIndex,
    /// One for each channel that clips.
    channels: u64,
}

/// Both kinds of stretch, and what became of those before.
struct Found<'a> {
    range: &'a Range,
    rules: LevelRules,
    /// The greatest sample that is silence.
    quiet: i16,
    silence: Option<Stretch>,
    clip: Option<Stretch>,
    markers: Vec<Marker>,
}

/// Silence and clipping in a range, by place, at most [`MOST`]; and the files that have no peaks.
///
/// # Errors
/// What the system says.
pub fn levels(
    recorder: &Beneath,
    range: &Range,
    rules: LevelRules,
) -> io::Result<(Vec<Marker>, Vec<PathBuf>)> {
    let quiet = (f64::from(i16::MAX) * 10f64.powf(rules.below / 20.0)) as i16;
    let mut found = Found { range, rules, quiet, silence: None, clip: None, markers: Vec::new() };
    let mut without = Vec::new();
    for piece in &range.pieces {
        let Some(segment) = piece.segment.map(|at| &range.segments[at]) else {
            found.breaks();
            continue;
        };
        let path = Path::new(&segment.file);
        let directory = recorder.try_clone()?.open(path.parent().unwrap_or(Path::new("")))?;
        let Some(peaks) = peaks_of(&directory, path)? else {
            found.breaks();
            without.push(recorder.path().join(path));
            continue;
        };
        let ledger = match directory.file(&ledger_of(path.file_name().unwrap_or_default()), OFlags::RDONLY) {
            Ok(file) => Some(BufReader::new(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let (from, to) = (range.position_back(segment, piece.from), range.position_back(segment, piece.to));
        let mut gaps = ledger.map(|lines| LedgerGaps::new(lines, from, to.min(segment.end())));
        let mut next_gap = || gaps.as_mut().map_or(Ok(None), LedgerGaps::next_gap);
        let mut gap = next_gap()?;
        let mut failed = None;
        peaks.finest(from.since(segment.start), to.since(segment.start), |at, frames, entry| {
            let (at, end) = (segment.start + at, segment.start + at + frames);
            while gap.as_ref().is_some_and(|gap| gap.position + gap.frames <= at) {
                gap = next_gap().unwrap_or_else(|error| {
                    failed = Some(error);
                    None
                });
            }
            match &gap {
                Some(gap) if gap.position <= at && gap.position + gap.frames >= end => found.breaks(),
                _ => found.takes(segment, at, end, entry),
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
    }
    found.breaks();
    found.markers.sort_by_key(|marker| marker.position);
    Ok((found.markers, without))
}

/// The peaks of a recording: one file for all formats, called by the first of them.
fn peaks_of(directory: &Beneath, path: &Path) -> io::Result<Option<Peaks>> {
    let own = path.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
    for suffix in std::iter::once(own).chain(Kind::ALL.map(Kind::name)) {
        let name = path.with_extension(suffix);
        match Peaks::open_in(directory, name.file_name().unwrap_or_default()) {
            Ok(peaks) => return Ok(Some(peaks)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

impl Found<'_> {
    /// The next frames of a file.
    fn takes(&mut self, segment: &Segment, at: FrameIndex, end: FrameIndex, entry: &[Peak]) {
        let (at, end) = (self.range.position(segment, at), self.range.position(segment, end));
        let loud = |peak: &Peak| peak.max > self.quiet || peak.min < -self.quiet;
        if entry.iter().any(loud) {
            self.silence_ends();
        } else {
            self.silence.get_or_insert(Stretch { from: at, to: end, channels: 0 }).to = end;
        }
        let mut channels = 0;
        for (n, peak) in entry.iter().enumerate() {
            if peak.max == i16::MAX || peak.min == i16::MIN {
                channels |= 1 << n;
            }
        }
        if channels != 0 {
            let apart = self.clip.as_ref().map(|clip| self.range.rate.duration(at.since(clip.to)));
            if apart.is_some_and(|apart| apart >= NEIGHBOURS) {
                self.clip_ends();
            }
            let clip = self.clip.get_or_insert(Stretch { from: at, to: end, channels });
            (clip.to, clip.channels) = (end, clip.channels | channels);
        }
    }

    /// What follows is not their neighbour, or nothing is known of it.
    fn breaks(&mut self) {
        self.silence_ends();
        self.clip_ends();
    }

    fn silence_ends(&mut self) {
        if let Some(silence) = self.silence.take() {
            let lasted = self.lasted(&silence);
            if lasted >= self.rules.silence {
                let text = format!("{:.1} s below {} dBFS", lasted.as_secs_f64(), self.rules.below);
                self.tell(silence.from, SILENCE, text);
            }
        }
    }

    fn clip_ends(&mut self) {
        if let Some(clip) = self.clip.take() {
            let channels = (0..64).filter(|n| clip.channels & 1 << n != 0).map(|n| (n + 1).to_string());
            let channels = channels.collect::<Vec<_>>().join(", ");
            let text = format!("full scale in {:.2} s, channel {channels}", self.lasted(&clip).as_secs_f64());
            self.tell(clip.from, CLIP, text);
        }
    }

    fn lasted(&self, stretch: &Stretch) -> Nanos {
        self.range.rate.duration(FrameCount(stretch.to.since(stretch.from).0))
    }

    fn tell(&mut self, position: FrameIndex, kind: &str, text: String) {
        if self.markers.len() < MOST {
            self.markers.push(derived_marker(position, self.range.rate, kind, text));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use audyn_units::{ChannelCount, SampleRate};

    use super::*;
    use crate::peaks::{PeakSpec, PeakWriter};

    const RATE: SampleRate = SampleRate::HZ_48000;
    const START: u64 = 1_000_000;
    const RULES: LevelRules = LevelRules { silence: Nanos::from_secs(2), below: -60.0 };

    /// A stereo recording with the peaks of these samples (of both channels alike), if it has any.
    fn segment(root: &Beneath, file: &str, start: u64, samples: &[i32], has_peaks: bool) -> Segment {
        if has_peaks {
            let spec = PeakSpec { rate: RATE, channels: ChannelCount::STEREO, first: FrameIndex(start) };
            let mut peaks = PeakWriter::create_in(root, OsStr::new(file), spec).unwrap();
            let stereo: Vec<i32> = samples.iter().flat_map(|&sample| [sample, sample / 2]).collect();
            stereo.chunks(2 * 4_800).for_each(|chunk| peaks.append(chunk));
            peaks.close().unwrap();
        }
        Segment {
            recorder: "r".to_owned(),
            studio: None,
            file: file.to_owned(),
            kind: Kind::Wav,
            rate: RATE,
            channels: 2,
            bits: Some(24),
            start: FrameIndex(start),
            frames: FrameCount(samples.len() as u64),
            start_utc: 0,
            end_utc: 1,
            filled: FrameCount::ZERO,
            gaps: 0,
            bytes: 0,
            exact: true,
            tai_minus_utc: None,
            entry: 1,
        }
    }

    fn told(root: &Beneath, segments: Vec<Segment>, from: u64, to: u64) -> (Vec<String>, usize) {
        let range = Range::plan(segments, FrameIndex(from), FrameIndex(to), None).unwrap();
        let (markers, without) = levels(root, &range, RULES).unwrap();
        let tell = |marker: Marker| format!("{} {} {}", marker.position.0 - START, marker.kind, marker.text);
        (markers.into_iter().map(tell).collect(), without.len())
    }

    /// So many seconds of one sample after the other.
    fn seconds(parts: &[(f64, i32)]) -> Vec<i32> {
        parts.iter().flat_map(|&(seconds, sample)| vec![sample; (seconds * 48_000.0) as usize]).collect()
    }

    #[test]
    fn silence_is_told_over_the_cut_of_files_and_clipping_once_for_its_places() {
        let dir = tempfile::tempdir().unwrap();
        let root = Beneath::root(dir.path()).unwrap();
        let (loud, soft, full) = (1 << 28, 1 << 20, i32::MAX);
        // 256 frames are 5 1/3 ms: all parts are a whole number of entries.
        let first = seconds(&[(1.28, loud), (1.92, soft), (1.28, loud), (1.28, 0)]);
        let second = seconds(&[
            (1.28, soft),
            (0.64, full),
            (0.64, loud),
            (0.64, full),
            (1.28, loud),
            (0.32, full),
            (1.28, loud),
        ]);
        let next = START + first.len() as u64;
        let segments =
            vec![segment(&root, "a.wav", START, &first, true), segment(&root, "b.wav", next, &second, true)];
        let end = next + second.len() as u64;
        let at = |seconds: f64| (seconds * 48_000.0) as u64;
        let (markers, without) = told(&root, segments.clone(), START, end);
        assert_eq!(
            markers,
            [
                format!("{} silence 2.6 s below -60 dBFS", at(4.48)),
                format!("{} clip full scale in 1.92 s, channel 1", at(7.04)),
                format!("{} clip full scale in 0.32 s, channel 1", at(10.24)),
            ]
        );
        assert_eq!(without, 0);
        // Only what lies in the range; one and a half seconds of silence are too few.
        assert_eq!(told(&root, segments, START, next + at(0.2)).0, [""; 0]);
    }

    #[test]
    fn what_lacks_is_no_silence_and_a_file_without_peaks_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let root = Beneath::root(dir.path()).unwrap();
        let samples = seconds(&[(1.28, 0), (2.56, 0), (2.56, 0)]);
        let a = segment(&root, "a.wav", START, &samples, true);
        let header = format!(
            r#"{{"audyn_ledger":3,"recorder":"r","file":"a.wav","first_position":{START},"start_utc":"2026-07-02T13:46:03Z","rate":48000,"channels":2,"bits":24}}"#
        );
        let gap = format!(
            r#"{{"position":{},"frames":122880,"cause":"outage","estimated":false}}"#,
            START + 61_440
        );
        std::fs::write(dir.path().join("a.wav.gaps.jsonl"), format!("{header}\n{gap}\n")).unwrap();
        let end = START + samples.len() as u64;
        let b = segment(&root, "b.wav", end, &seconds(&[(3.0, 0)]), false);
        let (markers, without) = told(&root, vec![a, b], START, end + 144_000);
        assert_eq!(markers, ["184320 silence 2.6 s below -60 dBFS"]);
        assert_eq!(without, 1);
    }
}
