//! Which files a stretch of a recorder is taken from.

use std::collections::HashSet;

use audyn_units::{ChannelCount, FrameCount, FrameIndex, SampleRate};

use super::{Kind, Segment};
use crate::{MediaError, PcmDepth};

/// A stretch of one file, or of none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its first frame.
    pub from: FrameIndex,
    /// The frame after its last one.
    pub to: FrameIndex,
    /// Which of [`Range::segments`] holds it; none does where nothing was recorded.
    pub segment: Option<usize>,
}

/// A stretch of a recorder's timeline, and where each frame of it lies. See the module's page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// Its first frame.
    pub from: FrameIndex,
    /// The frame after its last one.
    pub to: FrameIndex,
    /// Frames per second that positions count.
    pub rate: SampleRate,
    /// Samples of a frame.
    pub channels: ChannelCount,
    /// How deep samples are at most.
    pub depth: PcmDepth,
    /// The files that it lies in, at their places on this timeline.
    pub segments: Vec<Segment>,
    /// From the first frame to the last without a hole between them.
    pub pieces: Vec<Piece>,
    /// Likewise, where each frame lies on the other volume than that of `pieces`; nowhere without a mirror.
    pub second: Vec<Piece>,
    /// Which of the segments lie on the mirror.
    of_mirror: Vec<bool>,
}

/// The formats that give back bit for bit what they were given.
const LOSSLESS: [Kind; 2] = [Kind::Wav, Kind::Flac];

/// The others.
const LOSSY: [Kind; 1] = [Kind::Opus];

/// A position at 48 kHz.
fn scaled(position: FrameIndex, rate: SampleRate) -> FrameIndex {
    let (base, rate) = (u128::from(SampleRate::HZ_48000.hz()), u128::from(rate.hz()));
    let scaled = (u128::from(position.0) * base + rate / 2) / rate;
    FrameIndex(u64::try_from(scaled).unwrap_or(u64::MAX))
}

/// Positions of one rate at the rate of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scale {
    from: SampleRate,
    to: SampleRate,
}

impl Scale {
    pub(super) fn new(from: SampleRate, to: SampleRate) -> Self {
        Self { from, to }
    }

    pub(super) fn position(self, position: FrameIndex) -> FrameIndex {
        if self.from == self.to { position } else { scaled(position, self.from) }
    }

    /// The other way, for what encloses: at most a frame too early.
    pub(super) fn back(self, position: FrameIndex) -> FrameIndex {
        if self.from == self.to {
            return position;
        }
        let there = u128::from(position.0) * u128::from(self.from.hz()) / u128::from(self.to.hz());
        FrameIndex(u64::try_from(there).unwrap_or(u64::MAX))
    }
}

impl Range {
    /// Plans [from, to), both at the segments' own rate, of one recorder. `only` takes no files but of that kind.
    ///
    /// # Errors
    /// [`MediaError::Range`] if nothing of it was recorded, or files of another rate or number of channels lie within.
    pub fn plan(
        segments: Vec<Segment>,
        from: FrameIndex,
        to: FrameIndex,
        only: Option<Kind>,
    ) -> Result<Self, MediaError> {
        Self::plan_both(segments, Vec::new(), from, to, only)
    }

    /// The same of a recorder whose files lie in an archive and on its mirror.
    ///
    /// # Errors
    /// As of [`Self::plan`].
    pub fn plan_both(
        archive: Vec<Segment>,
        mirror: Vec<Segment>,
        from: FrameIndex,
        to: FrameIndex,
        only: Option<Kind>,
    ) -> Result<Self, MediaError> {
        let no = |reason| Err(MediaError::Range { reason });
        if from >= to {
            return no("it ends before it begins; give a later end".to_owned());
        }
        let archive = archive.into_iter().map(|segment| (segment, false));
        let mut all: Vec<(Segment, bool)> =
            archive.chain(mirror.into_iter().map(|segment| (segment, true))).collect();
        all.retain(|(s, _)| {
            s.end() > from && s.start < to && only.is_none_or(|only| s.kind == only) && s.frames.0 > 0
        });
        // A file that a kill has cut, or that is still written, may count some frames less than the Opus file beside it. That of the other volume
        // says nothing of it: it may be far shorter.
        let lossless: HashSet<(bool, FrameIndex)> = all
            .iter()
            .filter(|(s, _)| s.kind.is_lossless())
            .map(|(s, of_mirror)| (*of_mirror, s.start))
            .collect();
        all.retain(|(s, of_mirror)| s.kind.is_lossless() || !lossless.contains(&(*of_mirror, s.start)));
        all.sort_by_key(|(s, of_mirror)| (s.kind, *of_mirror, s.start, s.entry));
        // Opus has its own rate: where that is not the flow's, it has no frame in common with the other files.
        let apart = all.iter().any(|(s, _)| s.kind.is_lossless())
            && all.iter().any(|(s, _)| s.rate != SampleRate::HZ_48000);
        // So it is one or the other: what the archive has is not given up for less of the mirror's.
        let length = |s: &Segment| s.end().min(to).since(s.start.max(from)).0;
        let frames = |is_wanted: &dyn Fn(&Segment, bool) -> bool| -> u64 {
            all.iter().filter(|(s, of_mirror)| is_wanted(s, *of_mirror)).map(|(s, _)| length(s)).sum()
        };
        let only_mirror_has_lossless = !all.iter().any(|(s, of_mirror)| s.kind.is_lossless() && !of_mirror);
        let takes_lossy = only_mirror_has_lossless
            && frames(&|s, of_mirror| !s.kind.is_lossless() && !of_mirror)
                > frames(&|s, _| s.kind.is_lossless());
        all.retain(|(s, _)| !apart || s.kind.is_lossless() != takes_lossy);
        let (segments, of_mirror): (Vec<Segment>, Vec<bool>) = all.into_iter().unzip();
        let Some(first) = segments.first() else {
            return no(match only {
                Some(kind) => format!("nothing of it was recorded as {}", kind.name()),
                None => "nothing of it was recorded".to_owned(),
            });
        };
        if let Some(other) = segments.iter().find(|s| (s.rate, s.channels) != (first.rate, first.channels)) {
            return no(format!(
                "{} has {} channels at {} and {} has {} at {}: one file cannot hold both; give a range that lies in one of them",
                first.file, first.channels, first.rate, other.file, other.channels, other.rate
            ));
        }
        let lossy = !first.kind.is_lossless();
        let rate = if lossy { SampleRate::HZ_48000 } else { first.rate };
        let scale = Scale::new(first.rate, rate);
        let channels = ChannelCount::new(first.channels)
            .map_err(|error| MediaError::Range { reason: error.to_string() })?;
        let depth = segments.iter().map(|s| depth_of(s.bits)).max().unwrap_or(PcmDepth::Pcm24);
        let (from, to) = (scale.position(from), scale.position(to));
        let fill = |mut pieces: Vec<Piece>, kinds: &[Kind], mirror: bool| {
            for &kind in kinds {
                let files: Vec<Place> = segments
                    .iter()
                    .enumerate()
                    .filter(|&(at, s)| s.kind == kind && of_mirror[at] == mirror)
                    .map(|(at, s)| (at, scale.position(s.start), scale.position(s.end())))
                    .collect();
                for files in in_turn(files, &segments) {
                    pieces = pieces.into_iter().flat_map(|piece| filled(piece, &files)).collect();
                }
            }
            pieces
        };
        let whole = || vec![Piece { from, to, segment: None }];
        let mut pieces = whole();
        for kinds in [&LOSSLESS[..], &LOSSY[..]] {
            for mirror in [false, true] {
                pieces = fill(pieces, kinds, mirror);
            }
        }
        let on = [false, true].map(|mirror| fill(whole(), &Kind::ALL, mirror));
        let beside = |piece: &Piece| match piece.segment {
            // What neither has is nowhere.
            None => vec![piece.clone()],
            Some(at) => within(&on[usize::from(!of_mirror[at])], piece.from, piece.to),
        };
        let second = pieces.iter().flat_map(beside).collect();
        Ok(Self { from, to, rate, channels, depth, segments, pieces, second, of_mirror })
    }

    /// Whether one of [`Self::segments`] lies on the mirror.
    #[must_use]
    pub fn is_of_mirror(&self, number: usize) -> bool {
        self.of_mirror.get(number).copied().unwrap_or(false)
    }

    /// Frames of the range.
    #[must_use]
    pub fn frames(&self) -> FrameCount {
        self.to.since(self.from)
    }

    /// Takes away what lies behind `to`.
    pub fn cut(&mut self, to: FrameIndex) {
        self.to = self.to.min(to);
        for pieces in [&mut self.pieces, &mut self.second] {
            pieces.retain(|piece| piece.from < self.to);
            if let Some(last) = pieces.last_mut() {
                last.to = last.to.min(self.to);
            }
        }
    }

    /// Positions of the segments' own rate on this timeline.
    pub(super) fn scale(&self, segment: &Segment) -> Scale {
        Scale::new(segment.rate, self.rate)
    }

    /// A position of the segments' own rate on this timeline.
    #[must_use]
    pub fn position(&self, segment: &Segment, position: FrameIndex) -> FrameIndex {
        self.scale(segment).position(position)
    }

    /// A position on this timeline at the segments' own rate.
    #[must_use]
    pub fn position_back(&self, segment: &Segment, position: FrameIndex) -> FrameIndex {
        self.scale(segment).back(position)
    }
}

/// A segment by its number, with its first frame and the one after its last.
type Place = (usize, FrameIndex, FrameIndex);

/// What pieces that follow one another have from one frame to another.
fn within(pieces: &[Piece], from: FrameIndex, to: FrameIndex) -> Vec<Piece> {
    let first = pieces.partition_point(|piece| piece.to <= from);
    let there = pieces[first..].iter().take_while(|piece| piece.from < to);
    there.map(|piece| Piece { from: piece.from.max(from), to: piece.to.min(to), ..*piece }).collect()
}

fn depth_of(bits: Option<u16>) -> PcmDepth {
    match bits {
        Some(16) => PcmDepth::Pcm16,
        Some(32) => PcmDepth::Float32,
        _ => PcmDepth::Pcm24,
    }
}

/// Files of one kind, sorted by their first frames, in the order in which they are taken: all at once, unless they overlap. Then one is there
/// twice, as a part that was cut or holds silence, and as the whole copy of another volume: what has less silence comes first.
fn in_turn(files: Vec<Place>, segments: &[Segment]) -> Vec<Vec<Place>> {
    let mut end = FrameIndex(0);
    let overlap = files.iter().any(|&(_, start, its_end)| {
        let overlaps = start < end;
        end = end.max(its_end);
        overlaps
    });
    if !overlap {
        return vec![files];
    }
    let mut files: Vec<_> = files.into_iter().map(|file| vec![file]).collect();
    files.sort_by_key(|file| segments[file[0].0].filled);
    files
}

/// What files, sorted by their first frames, fill of a piece that no file holds.
fn filled(piece: Piece, files: &[Place]) -> Vec<Piece> {
    if piece.segment.is_some() {
        return vec![piece];
    }
    let mut pieces = Vec::new();
    let mut at = piece.from;
    for &(segment, start, end) in files {
        if start >= piece.to || at >= piece.to {
            break;
        }
        if end <= at {
            continue;
        }
        if start > at {
            pieces.push(Piece { from: at, to: start, segment: None });
            at = start;
        }
        let to = end.min(piece.to);
        pieces.push(Piece { from: at, to, segment: Some(segment) });
        at = to;
    }
    if at < piece.to {
        pieces.push(Piece { from: at, to: piece.to, segment: None });
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::super::segment::tests::segment;
    use super::*;

    fn pieces(range: &Range) -> Vec<(u64, u64, &str)> {
        let name = |piece: &Piece| piece.segment.map_or("", |at| range.segments[at].file.as_str());
        range.pieces.iter().map(|piece| (piece.from.0, piece.to.0, name(piece))).collect()
    }

    fn plan(segments: &[Segment], from: u64, to: u64, only: Option<Kind>) -> Result<Range, MediaError> {
        Range::plan(segments.to_vec(), FrameIndex(from), FrameIndex(to), only)
    }

    #[test]
    fn each_frame_has_one_place_and_the_lossless_one_is_preferred() {
        let files = [
            segment("3.wav", Kind::Wav, 350, 50),
            segment("4.opus", Kind::Opus, 240, 110),
            segment("1.wav", Kind::Wav, 100, 100),
            segment("2.wav", Kind::Wav, 190, 60),
            segment("far.wav", Kind::Wav, 900, 60),
        ];
        let range = plan(&files, 50, 500, None).unwrap();
        let expected = [
            (50, 100, ""),
            (100, 200, "1.wav"),
            (200, 250, "2.wav"),
            (250, 350, "4.opus"),
            (350, 400, "3.wav"),
            (400, 500, ""),
        ];
        assert_eq!(pieces(&range), expected);
        assert_eq!(range.segments.len(), 4);
        assert_eq!(
            pieces(&plan(&files, 220, 360, Some(Kind::Opus)).unwrap()),
            [(220, 240, ""), (240, 350, "4.opus"), (350, 360, "")]
        );
        let mut cut = range;
        cut.cut(FrameIndex(220));
        assert_eq!(pieces(&cut), &expected.map(|(a, b, c)| (a, b.min(220), c))[..3]);
        assert_eq!(cut.frames(), FrameCount(170));
    }

    #[test]
    fn opus_stands_in_for_a_lossless_file_and_not_for_its_last_frames() {
        let files = [
            segment("1.wav", Kind::Wav, 100, 80),
            segment("1.flac", Kind::Flac, 100, 85),
            segment("1.opus", Kind::Opus, 100, 99),
        ];
        let expected = [(100, 180, "1.wav"), (180, 185, "1.flac"), (185, 300, "")];
        assert_eq!(pieces(&plan(&files, 100, 300, None).unwrap()), expected);
        assert_eq!(pieces(&plan(&files[2..], 100, 300, None).unwrap())[0], (100, 199, "1.opus"));
    }

    #[test]
    fn a_file_within_another_gives_nothing_twice() {
        let files = [
            segment("long.wav", Kind::Wav, 100, 300),
            segment("within.wav", Kind::Wav, 150, 50),
            segment("after.wav", Kind::Wav, 380, 100),
        ];
        assert_eq!(
            pieces(&plan(&files, 100, 480, None).unwrap()),
            [(100, 400, "long.wav"), (400, 480, "after.wav")]
        );
    }

    #[test]
    fn of_a_file_and_its_copy_from_another_volume_the_one_with_less_silence_is_taken() {
        let silent = |file: &str, start, frames, filled| Segment {
            filled: FrameCount(filled),
            ..segment(file, Kind::Wav, start, frames)
        };
        let files = [
            silent("holed.wav", 100, 100, 30),
            silent("copy.wav", 100, 100, 5),
            silent("cut.wav", 200, 40, 0),
            silent("whole.wav", 200, 100, 0),
            silent("longer.wav", 250, 100, 60),
        ];
        assert_eq!(
            pieces(&plan(&files, 100, 350, None).unwrap()),
            [
                (100, 200, "copy.wav"),
                (200, 240, "cut.wav"),
                (240, 300, "whole.wav"),
                (300, 350, "longer.wav")
            ]
        );
    }

    #[test]
    fn of_two_volumes_the_archives_is_first_and_the_others_stands_beside_it() {
        let archive = [
            segment("1.wav", Kind::Wav, 100, 100),
            segment("2.opus", Kind::Opus, 200, 100),
            segment("3.opus", Kind::Opus, 300, 100),
            segment("4.wav", Kind::Wav, 400, 40),
        ];
        let mirror = [
            segment("m1.wav", Kind::Wav, 150, 50),
            segment("m2.flac", Kind::Flac, 200, 100),
            segment("m3.opus", Kind::Opus, 300, 100),
            segment("m4.wav", Kind::Wav, 400, 100),
        ];
        let range =
            Range::plan_both(archive.to_vec(), mirror.to_vec(), FrameIndex(50), FrameIndex(600), None);
        let range = range.unwrap();
        let expected = [
            (50, 100, ""),
            (100, 200, "1.wav"),
            (200, 300, "m2.flac"),
            (300, 400, "3.opus"),
            (400, 440, "4.wav"),
            (440, 500, "m4.wav"),
            (500, 600, ""),
        ];
        assert_eq!(pieces(&range), expected);
        let beside = [
            (50, 100, ""),
            (100, 150, ""),
            (150, 200, "m1.wav"),
            (200, 300, "2.opus"),
            (300, 400, "m3.opus"),
            (400, 440, "m4.wav"),
            (440, 500, ""),
            (500, 600, ""),
        ];
        let second = Range { pieces: range.second.clone(), ..range.clone() };
        assert_eq!(pieces(&second), beside);
        let mirrored = (0..range.segments.len()).filter(|&at| range.is_of_mirror(at));
        let names: Vec<&str> = mirrored.map(|at| range.segments[at].file.as_str()).collect();
        assert_eq!(names, ["m1.wav", "m4.wav", "m2.flac", "m3.opus"]);
        assert!(range.segments.iter().any(|segment| segment.file == "2.opus"), "m2.flac may not be readable");
        let mut cut = range;
        cut.cut(FrameIndex(430));
        assert_eq!(cut.second.last().unwrap().to, FrameIndex(430));
        // Without a mirror nothing stands beside.
        let alone = plan(&archive, 50, 600, None).unwrap();
        assert!(alone.second.iter().all(|piece| piece.segment.is_none()));
    }

    #[test]
    fn a_mirror_never_makes_a_range_poorer() {
        // The mirror was away after a while, and the archive's WAV is gone.
        for rate in [SampleRate::HZ_48000, SampleRate::HZ_96000] {
            let at = |file, kind, frames| Segment { rate, ..segment(file, kind, 1_000, frames) };
            let archive = vec![at("whole.opus", Kind::Opus, 2_000)];
            let mirror = vec![at("short.wav", Kind::Wav, 200)];
            let range =
                Range::plan_both(archive, mirror, FrameIndex(1_000), FrameIndex(3_000), None).unwrap();
            assert!(range.pieces.iter().all(|piece| piece.segment.is_some()), "{rate}: {:?}", range.pieces);
            let is_mixed = range.segments.len() == 2;
            assert_eq!(is_mixed, rate == SampleRate::HZ_48000);
        }
        // Nor does the archive keep the mirror from being asked where its file cannot be read.
        let archive = vec![segment("a.wav", Kind::Wav, 100, 100)];
        let mirror = vec![segment("m.opus", Kind::Opus, 100, 100)];
        let range = Range::plan_both(archive, mirror, FrameIndex(100), FrameIndex(200), None).unwrap();
        assert_eq!(range.second[0].segment, Some(1));
    }

    #[test]
    fn opus_alone_at_another_rate_is_told_at_its_own() {
        let at = |file: &str, kind, start, frames| Segment {
            rate: SampleRate::HZ_96000,
            ..segment(file, kind, start, frames)
        };
        let opus = at("a.opus", Kind::Opus, 1_001, 2_000);
        let range = plan(std::slice::from_ref(&opus), 1_001, 3_001, None).unwrap();
        assert_eq!(
            (range.rate, range.from, range.to),
            (SampleRate::HZ_48000, FrameIndex(501), FrameIndex(1_501))
        );
        assert_eq!(pieces(&range), [(501, 1_501, "a.opus")]);
        let both = plan(&[opus, at("b.wav", Kind::Wav, 1_000, 1_001)], 1_001, 3_001, None).unwrap();
        assert_eq!(both.rate, SampleRate::HZ_96000, "the lossless one has the flow's own frames");
        assert_eq!(pieces(&both), [(1_001, 2_001, "b.wav"), (2_001, 3_001, "")]);
    }

    #[test]
    fn what_cannot_be_one_file_is_said() {
        let mono = Segment { channels: 1, ..segment("mono.wav", Kind::Wav, 300, 100) };
        let files = [segment("a.wav", Kind::Wav, 100, 100), mono];
        let said = |from, to, only| plan(&files, from, to, only).unwrap_err().to_string();
        assert!(said(100, 400, None).contains("a.wav has 2 channels at 48000 Hz and mono.wav has 1"));
        assert!(said(200, 300, None).contains("nothing of it was recorded"));
        assert!(said(100, 200, Some(Kind::Flac)).contains("recorded as flac"));
        assert!(said(100, 100, None).contains("ends before it begins"));
        plan(&files, 100, 300, None).unwrap();
    }
}
