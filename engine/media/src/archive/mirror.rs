//! Whether one directory is the mirror of another, and what it has that the archive lacks.
//!
//! Owns: the proof, which is in the recordings: what both volumes of an engine took is the same on both to the byte, so one recording that
//! is sealed with the same hashes on both says that they are of one recorder and count the same frames. The names of directories and files
//! say nothing, and nor does the frame that a file begins with: two boxes cut their hours at the same frames. Never: reads audio.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use audyn_units::{FrameCount, Nanos};

use super::catalog::sealed_of;
use super::{Hit, Kind, Segment, Span, State, without};
use crate::beneath::OFlags;
use crate::chain::{self, GapFacts};
use crate::{Beneath, MediaError};

/// Recordings that should be the same and are compared at most; where so many are not, no other one will be.
const MOST_COMPARED: usize = 64;

/// By so much one of two files that are being written may count its frames later than the other.
const A_MOMENT: Nanos = Nanos::from_secs(5);

/// What two directories are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinship {
    /// They are of one recorder, on two volumes.
    Mirror,
    /// They are the very same directory.
    Same,
    /// They have recordings of the same frames, and none that is the same to the byte: another recorder's, or another box's.
    Stranger,
    /// Nothing tells: no recording lies on both.
    Unknown,
}

/// What would have to be the same of a recording on both.
type Likeness = (Kind, u32, u8, Option<u16>, [u64; 5]);

fn likeness(segment: &Segment) -> Likeness {
    let Segment { kind, rate, channels, bits, start, frames, filled, gaps, bytes, .. } = segment;
    (*kind, rate.hz(), *channels, *bits, [start.0, frames.0, filled.0, *gaps, *bytes])
}

/// Whether a directory of a recorder is that of the same one on the other volume.
///
/// # Errors
/// [`MediaError::Chain`] if either cannot be read.
pub fn is_mirror(archive: &Beneath, mirror: &Beneath) -> Result<Kinship, MediaError> {
    let of = |directory: &Beneath, source| MediaError::Chain { path: directory.path().to_owned(), source };
    let here = |source| of(archive, source);
    let there = |source| of(mirror, source);
    if archive.place().map_err(here)? == mirror.place().map_err(there)? {
        return Ok(Kinship::Same);
    }
    let mut known: HashMap<Likeness, Vec<Segment>> = HashMap::new();
    for segment in sealed_of(archive).map_err(here)? {
        known.entry(likeness(&segment)).or_default().push(segment);
    }
    let mut compared = 0;
    for segment in sealed_of(mirror).map_err(there)? {
        for like in known.get(&likeness(&segment)).into_iter().flatten() {
            let Some(one) = chain::sidecar_in(archive, Path::new(&like.file)).map_err(here)? else {
                continue;
            };
            let Some(other) = chain::sidecar_in(mirror, Path::new(&segment.file)).map_err(there)? else {
                continue;
            };
            let told = |sidecar: &chain::Sidecar| (sidecar.sha256, sidecar.ledger);
            // Where the audio alone is the same it may be silence.
            if told(&one) == told(&other) && one.recorder == other.recorder && one.ledger.is_some() {
                return Ok(Kinship::Mirror);
            }
            compared += 1;
            if compared == MOST_COMPARED {
                return Ok(Kinship::Stranger);
            }
        }
    }
    Ok(if compared > 0 { Kinship::Stranger } else { Kinship::Unknown })
}

/// A recording of the mirror that has what the archive lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacked {
    /// Its place in what was given.
    pub hit: usize,
    /// Frames of it that the archive lacks.
    pub frames: FrameCount,
}

/// What the archive lacks of what a recorder's mirror has: each recording with frames that no file of the same format among those of the
/// archive has, since it is not there, has another length than when it was closed, or has a gap. Of gaps the first 1,000 of a file are known.
///
/// # Errors
/// [`MediaError::Chain`] if a sidecar or ledger cannot be read.
pub fn lacked(archive: (&Beneath, &[&Hit]), mirror: (&Beneath, &[&Hit])) -> Result<Vec<Lacked>, MediaError> {
    let mut here: Vec<&Hit> = archive.1.to_vec();
    here.sort_by_key(|hit| hit.segment.start);
    let longest = here.iter().map(|hit| hit.segment.frames).max().unwrap_or(FrameCount::ZERO);
    let spans = |directory: &Beneath, hit: &Hit| {
        spans_of(directory, hit)
            .map_err(|source| MediaError::Chain { path: directory.path().join(&hit.segment.file), source })
    };
    let mut lacked = Vec::new();
    for (at, hit) in mirror.1.iter().enumerate() {
        let Segment { kind, rate, start, .. } = hit.segment;
        let mut left = spans(mirror.0, hit)?;
        // Those that may reach into it.
        let first = here.partition_point(|other| other.segment.start + longest <= start);
        for other in here[first..].iter().take_while(|other| other.segment.start < hit.segment.end()) {
            if left.is_empty() {
                break;
            }
            if (other.segment.kind, other.segment.rate) != (kind, rate) || other.segment.end() <= start {
                continue;
            }
            let mut has = spans(archive.0, other)?;
            let (end, its_end) = (hit.segment.end(), other.segment.end());
            let are_written = [hit.state, other.state] == [State::Unsealed; 2];
            if are_written && end.since(its_end) <= rate.frames_in(A_MOMENT) {
                has.push((its_end.0, end.0));
            }
            left = without(left, &has);
        }
        let frames: u64 = left.iter().map(|span| span.1 - span.0).sum();
        if frames > 0 {
            lacked.push(Lacked { hit: at, frames: FrameCount(frames) });
        }
    }
    Ok(lacked)
}

/// Whether a sealed file has another length than when it was closed; then what it holds is not known.
///
/// # Errors
/// What the disk says.
fn is_damaged(directory: &Beneath, hit: &Hit) -> io::Result<bool> {
    if hit.state != State::Sealed {
        return Ok(false);
    }
    let path = Path::new(&hit.segment.file);
    let parent = directory.try_clone()?.open(path.parent().unwrap_or(Path::new("")))?;
    let file = parent.file(path.file_name().unwrap_or_default(), OFlags::RDONLY)?;
    Ok(file.metadata()?.len() != hit.segment.bytes)
}

/// The frames that a file has.
fn spans_of(directory: &Beneath, hit: &Hit) -> io::Result<Vec<Span>> {
    let segment = &hit.segment;
    if hit.state == State::Missing || is_damaged(directory, hit).unwrap_or(true) {
        return Ok(Vec::new());
    }
    let whole = vec![(segment.start.0, segment.end().0)];
    if segment.filled == FrameCount::ZERO {
        return Ok(whole);
    }
    let gaps: Vec<Span> = gaps_of(directory, hit)?
        .iter()
        .map(|gap| (gap.position.0, gap.position.0.saturating_add(gap.frames.0)))
        .collect();
    Ok(without(whole, &gaps))
}

fn gaps_of(directory: &Beneath, hit: &Hit) -> io::Result<Vec<GapFacts>> {
    let file = Path::new(&hit.segment.file);
    match chain::sidecar_in(directory, file)? {
        Some(sidecar) => Ok(sidecar.gaps),
        None => match chain::account(directory, file) {
            Ok(account) => Ok(account.as_sidecar().gaps.clone()),
            Err(MediaError::Chain { source, .. }) => Err(source),
            Err(error) => Err(io::Error::other(error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use audyn_units::SampleRate;

    use super::super::{Catalog, Wanted};
    use super::*;
    use crate::chain::{Chain, Hashes};
    use crate::{Facts, PcmDepth, WavSpec, WavWriter};

    /// Two volumes with the directory of one recorder each.
    struct Two {
        dir: tempfile::TempDir,
        chains: [Chain; 2],
    }

    impl Two {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let chains = ["archive", "mirror"].map(|volume| {
                std::fs::create_dir_all(dir.path().join(volume).join("a")).unwrap();
                Chain::open(Beneath::root(&dir.path().join(volume).join("a")).unwrap()).unwrap()
            });
            Self { dir, chains }
        }

        fn of(&self, volume: usize) -> Beneath {
            Beneath::root(&self.dir.path().join(["archive", "mirror"][volume]).join("a")).unwrap()
        }

        /// A sealed recording of mono frames that begin with the number `first` and have this sample.
        fn record(&mut self, volume: usize, name: &str, (first, frames): (u64, u64), sample: i32, gap: &str) {
            let root = self.of(volume);
            let spec = WavSpec {
                rate: SampleRate::HZ_48000,
                channels: audyn_units::ChannelCount::MONO,
                depth: PcmDepth::Pcm24,
            };
            let path = root.path().join(name);
            let mut wav = WavWriter::create(&path, spec, &Facts::default()).unwrap();
            wav.append(&vec![sample << 8; frames as usize]).unwrap();
            wav.close().unwrap();
            let header = format!(
                r#"{{"audyn_ledger":3,"recorder":"a","studio":null,"file":"{name}","first_position":{first},"start_utc":"2025-07-01T23:46:03Z","zone":null,"rate":48000,"channels":1,"bits":24,"placed_by":null,"clock":null,"tai_minus_utc":37}}"#
            );
            std::fs::write(root.path().join(format!("{name}.gaps.jsonl")), format!("{header}\n{gap}"))
                .unwrap();
            let told = chain::account(&root, Path::new(name)).unwrap();
            let hashes = Hashes::of(&root, Path::new(name), || true).unwrap();
            self.chains[volume].seal(told, hashes).unwrap();
        }

        fn kinship(&self) -> Kinship {
            is_mirror(&self.of(0), &self.of(1)).unwrap()
        }

        fn lacked(&self) -> Vec<(String, u64)> {
            let [here, there] = ["archive", "mirror"].map(|volume| {
                Catalog::open(&self.dir.path().join(volume)).unwrap().find(&Wanted::default()).unwrap()
            });
            let there: Vec<&Hit> = there.iter().collect();
            let found =
                lacked((&self.of(0), &here.iter().collect::<Vec<_>>()), (&self.of(1), &there)).unwrap();
            found.into_iter().map(|one| (there[one.hit].segment.file.clone(), one.frames.0)).collect()
        }
    }

    #[test]
    fn one_recording_that_is_the_same_proves_a_mirror_and_names_and_frames_do_not() {
        let mut two = Two::new();
        assert_eq!(two.kinship(), Kinship::Unknown);
        assert_eq!(is_mirror(&two.of(0), &two.of(0)).unwrap(), Kinship::Same);
        two.record(0, "a.wav", (1_000, 100), 1, "");
        two.record(1, "b.wav", (2_000, 100), 1, "");
        assert_eq!(two.kinship(), Kinship::Unknown, "of other frames");
        // Another box's: the same name, the same frames, other audio.
        two.record(1, "a.wav", (1_000, 100), 2, "");
        assert_eq!(two.kinship(), Kinship::Stranger);
        two.record(0, "c.wav", (3_000, 100), 1, "");
        two.record(1, "c.wav", (3_000, 100), 1, "");
        assert_eq!(two.kinship(), Kinship::Mirror);
        // The file itself need not be there any more.
        std::fs::remove_file(two.of(0).path().join("c.wav")).unwrap();
        assert_eq!(two.kinship(), Kinship::Mirror);
    }

    #[test]
    fn what_the_archive_lacks_is_what_no_file_of_it_has() {
        let mut two = Two::new();
        let gap = |from: u64, frames: u64, cause: &str| {
            format!("{{\"position\":{from},\"frames\":{frames},\"cause\":\"{cause}\",\"estimated\":false}}\n")
        };
        for (volume, gaps) in
            [(0, gap(1_010, 5, "loss") + &gap(1_050, 20, "disk-stall")), (1, gap(1_010, 5, "loss"))]
        {
            two.record(volume, "holed.wav", (1_000, 100), 1, &gaps);
            two.record(volume, "both.wav", (1_100, 100), 2, "");
            two.record(volume, "gone.wav", (1_200, 100), 3, "");
            two.record(volume, "short.wav", (1_300, 100), 4, "");
        }
        two.record(0, "part.wav", (1_400, 60), 5, "");
        two.record(1, "whole.wav", (1_400, 100), 6, "");
        std::fs::remove_file(two.of(0).path().join("gone.wav")).unwrap();
        let short = std::fs::File::options().write(true).open(two.of(0).path().join("short.wav")).unwrap();
        short.set_len(4_096 + 30).unwrap();
        let expected = [("gone.wav", 100), ("holed.wav", 20), ("short.wav", 100), ("whole.wav", 40)];
        assert_eq!(two.lacked(), expected.map(|(name, frames)| (name.to_owned(), frames)));
    }
}
