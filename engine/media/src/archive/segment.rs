//! One recorded file, as far as it matters for finding and joining.

use std::io;
use std::path::Path;

use audyn_units::{FrameCount, FrameIndex, SampleRate};
use serde::{Deserialize, Serialize};

use crate::chain::{self, Sidecar};
use crate::{Beneath, MediaError};

/// A file's format, the best source first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// WAV, RF64.
    Wav,
    /// FLAC.
    Flac,
    /// Ogg Opus.
    Opus,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Wav, Self::Flac, Self::Opus];

    /// The suffix of its files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Flac => "flac",
            Self::Opus => "opus",
        }
    }

    /// The kind with this suffix.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether what was given to it comes back bit for bit.
    #[must_use]
    pub const fn is_lossless(self) -> bool {
        !matches!(self, Self::Opus)
    }
}

/// A recorded file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Segment {
    /// The recorder's identifier.
    pub recorder: String,
    /// The studio that it was assigned to when the file began.
    pub studio: Option<String>,
    /// The file, as a path below the recorder's directory.
    pub file: String,
    /// Its format.
    pub kind: Kind,
    /// Frames per second of the flow, which positions count.
    pub rate: SampleRate,
    /// Samples of a frame.
    pub channels: u8,
    /// Bits of a sample; none for Opus.
    pub bits: Option<u16>,
    /// Position of the first frame.
    pub start: FrameIndex,
    /// Frames.
    pub frames: FrameCount,
    /// The first frame's instant in UTC: nanoseconds since 1970.
    pub start_utc: i64,
    /// That of the frame after the last one.
    pub end_utc: i64,
    /// Frames that are silence in the place of what did not come.
    pub filled: FrameCount,
    /// How many gaps there are.
    pub gaps: u64,
    /// Length of the file in bytes; 0 while it is not sealed.
    pub bytes: u64,
    /// Positions are exact: they come from the sender's media clock.
    pub exact: bool,
    /// TAI − UTC in seconds at the end, if it was known.
    pub tai_minus_utc: Option<i64>,
    /// Place in the recorder's chain; 0 while it is not sealed.
    pub entry: u64,
}

impl Segment {
    /// The frame after the last one.
    #[must_use]
    pub fn end(&self) -> FrameIndex {
        self.start + self.frames
    }

    /// What a sidecar tells.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if it is none of ours.
    pub fn of_sidecar(sidecar: &Sidecar) -> io::Result<Self> {
        let no = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        let instant = |text: &str| {
            let instant: Result<jiff::Timestamp, _> = text.parse();
            let nanos = instant.map_err(|error| no(error.to_string()))?.as_nanosecond();
            i64::try_from(nanos).map_err(|error| no(error.to_string()))
        };
        let kind = Kind::of(&sidecar.format.kind);
        Ok(Self {
            recorder: sidecar.recorder.clone(),
            studio: sidecar.studio.clone(),
            file: sidecar.file.clone(),
            kind: kind.ok_or_else(|| no(format!("`{}` is no format of recordings", sidecar.format.kind)))?,
            rate: sidecar.format.rate,
            channels: sidecar.format.channels,
            bits: sidecar.format.bits,
            start: sidecar.start.position,
            frames: sidecar.frames,
            start_utc: instant(&sidecar.start.utc)?,
            end_utc: instant(&sidecar.end.utc)?,
            filled: sidecar.frames_filled,
            gaps: sidecar.gaps_in_all,
            bytes: sidecar.bytes,
            exact: sidecar.clock.placed_by.as_deref() == Some("media-clock"),
            tai_minus_utc: sidecar.clock.tai_minus_utc,
            entry: sidecar.entry,
        })
    }

    /// What a file without a sidecar and its ledger tell now: it is being written, or not sealed yet.
    ///
    /// # Errors
    /// As [`chain::account`].
    pub fn of_unsealed(recorder: &Beneath, file: &str) -> Result<Self, MediaError> {
        let account = chain::account(recorder, Path::new(file))?;
        Self::of_sidecar(account.as_sidecar())
            .map_err(|source| MediaError::Chain { path: recorder.path().join(file), source })
    }

    /// The instant of a frame at or near this file, in nanoseconds of UTC.
    #[must_use]
    pub fn utc_of(&self, position: FrameIndex) -> i64 {
        let nanos = |frames: u64| self.rate.duration(FrameCount(frames)).0;
        // A leap second within: what lies behind it is told from the end.
        let from_end = self.leapt() != 0 && {
            let told = self.end_utc - nanos(self.end().since(position).0);
            position <= self.end() && told >= self.leap()
        };
        let (at, utc) = if from_end || position > self.end() {
            (self.end(), self.end_utc)
        } else {
            (self.start, self.start_utc)
        };
        match position >= at {
            true => utc.saturating_add(nanos(position.0 - at.0)),
            false => utc.saturating_sub(nanos(at.0 - position.0)),
        }
    }

    /// The frame at an instant at or near this file, to the nearest one.
    #[must_use]
    pub fn position_of(&self, utc: i64) -> FrameIndex {
        let from_end = utc >= self.end_utc || (self.leapt() != 0 && utc >= self.leap());
        let (at, told) = if from_end { (self.end(), self.end_utc) } else { (self.start, self.start_utc) };
        let span = i128::from(utc) - i128::from(told);
        let rate = i128::from(self.rate.hz());
        let frames = (span * rate + 500_000_000).div_euclid(1_000_000_000);
        let position = (i128::from(at.0) + frames).clamp(0, i128::from(u64::MAX));
        FrameIndex(u64::try_from(position).unwrap_or(u64::MAX))
    }

    /// Seconds that were inserted within.
    fn leapt(&self) -> i64 {
        let span = self.rate.duration(self.frames).0;
        let second = 1_000_000_000;
        (span - (self.end_utc - self.start_utc) + second / 2).div_euclid(second)
    }

    /// The midnight behind which such a second is inserted.
    fn leap(&self) -> i64 {
        let day = 86_400_000_000_000;
        self.end_utc.div_euclid(day) * day
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A file of stereo at 48 kHz.
    pub(crate) fn segment(file: &str, kind: Kind, start: u64, frames: u64) -> Segment {
        let utc = |position: u64| (position / 48 * 1_000_000) as i64 - 37_000_000_000;
        Segment {
            recorder: "a".to_owned(),
            studio: None,
            file: file.to_owned(),
            kind,
            rate: SampleRate::HZ_48000,
            channels: 2,
            bits: kind.is_lossless().then_some(24),
            start: FrameIndex(start),
            frames: FrameCount(frames),
            start_utc: utc(start),
            end_utc: utc(start + frames),
            filled: FrameCount::ZERO,
            gaps: 0,
            bytes: 0,
            exact: true,
            tai_minus_utc: Some(37),
            entry: 1,
        }
    }

    #[test]
    fn instants_and_frames_come_back_both_ways() {
        let hour = segment("a.wav", Kind::Wav, 84_067_852_800_000, 172_800_000);
        for position in [0, 1, 7, 172_799_999, 172_800_000, 172_800_048].map(|n| hour.start + FrameCount(n)) {
            assert_eq!(hour.position_of(hour.utc_of(position)), position);
        }
        let before = hour.start - FrameCount(48_001);
        assert_eq!(hour.position_of(hour.utc_of(before)), before);
        assert_eq!(hour.utc_of(before), hour.start_utc - 1_000_020_833);
    }

    #[test]
    fn behind_a_leap_second_the_end_counts() {
        // 23:59:50 to 00:00:10, and a second between: 21 s.
        let midnight = 20_000 * 86_400_000_000_000;
        let mut leap = segment("a.wav", Kind::Wav, 84_067_852_800_000, 21 * 48_000);
        (leap.start_utc, leap.end_utc) = (midnight - 10_000_000_000, midnight + 10_000_000_000);
        let second = |n: u64| leap.start + FrameCount(n * 48_000);
        assert_eq!(leap.position_of(midnight - 1_000_000_000), second(9));
        assert_eq!(leap.position_of(midnight), second(11));
        assert_eq!(leap.position_of(midnight + 5_000_000_000), second(16));
        assert_eq!(leap.utc_of(second(9)), midnight - 1_000_000_000);
        assert_eq!(leap.utc_of(second(16)), midnight + 5_000_000_000);
    }
}
