//! Drawing from peaks.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use audyn_units::{ChannelCount, FrameCount};

use super::{BASE, CHUNK, ENTRIES, HEAD, Peak, PeakSpec, STEP, peaks_of};
use crate::Beneath;
use crate::beneath::OFlags;

/// Points that are told at once at most.
const MOST_POINTS: usize = 100_000;

/// The peaks of a recording.
#[derive(Debug)]
pub struct Peaks {
    file: File,
    spec: PeakSpec,
}

/// A stretch of a recording as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waveform {
    channels: ChannelCount,
    /// A channel beside the other, point by point.
    peaks: Vec<Peak>,
}

/// What is drawn at one place: a peak for each channel.
pub type WavePoint<'a> = &'a [Peak];

impl Waveform {
    /// Its points from left to right, each with a peak for each channel; [`Peak::NONE`] where there is nothing.
    pub fn points(&self) -> impl ExactSizeIterator<Item = WavePoint<'_>> {
        self.peaks.chunks_exact(self.channels.get())
    }
}

impl Peaks {
    /// Opens the peaks of the audio file `audio` in a directory.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::InvalidData`] if they are none of ours.
    pub fn open_in(directory: &Beneath, audio: &OsStr) -> io::Result<Self> {
        Self::of(directory.file(&peaks_of(audio), OFlags::RDONLY)?)
    }

    fn of(file: File) -> io::Result<Self> {
        let mut head = [0; HEAD];
        let no = || io::Error::new(io::ErrorKind::InvalidData, "it holds no peaks of Audyn's");
        match file.read_exact_at(&mut head, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(no()),
            read => read?,
        }
        let spec = PeakSpec::parse(&head).ok_or_else(no)?;
        Ok(Self { file, spec })
    }

    /// What they are of.
    #[must_use]
    pub fn spec(&self) -> PeakSpec {
        self.spec
    }

    /// Frames that they reach over now, to the end of the last chunk.
    ///
    /// # Errors
    /// What the system says.
    pub fn frames(&self) -> io::Result<FrameCount> {
        let body = self.file.metadata()?.len().saturating_sub(HEAD as u64);
        Ok(FrameCount(body / (ENTRIES * self.spec.entry()) as u64 * CHUNK as u64))
    }

    /// Tells the finest entries that lie in the frames [from, to) of the recording: for each where it begins, how many frames it is of, and a
    /// peak for each channel. What is not in the file yet is not told.
    ///
    /// # Errors
    /// What the system says.
    pub fn finest(
        &self,
        from: FrameCount,
        to: FrameCount,
        mut each: impl FnMut(FrameCount, FrameCount, &[Peak]),
    ) -> io::Result<()> {
        let end = to.min(self.frames()?).0;
        let count = STEP * STEP;
        let mut bytes = vec![0; count * self.spec.entry()];
        let mut peaks = vec![Peak::NONE; self.spec.channels.get()];
        for chunk in from.0 / CHUNK as u64..end.div_ceil(CHUNK as u64) {
            let at = HEAD + (1 + STEP) * self.spec.entry();
            self.file.read_exact_at(&mut bytes, at as u64 + chunk * (ENTRIES * self.spec.entry()) as u64)?;
            for (n, entry) in bytes.chunks_exact(self.spec.entry()).enumerate() {
                let start = chunk * CHUNK as u64 + (n * BASE) as u64;
                let (left, right) = (start.max(from.0), (start + BASE as u64).min(end));
                if left >= right {
                    continue;
                }
                for (peak, value) in peaks.iter_mut().zip(entry.chunks_exact(4)) {
                    *peak = Peak::parse(value);
                }
                if !peaks.iter().all(|peak| peak.is_none()) {
                    each(FrameCount(left), FrameCount(right - left), &peaks);
                }
            }
        }
        Ok(())
    }

    /// The frames [from, to) of the recording in so many points, 1 to 100,000, each of as many frames. A point holds each sample of its
    /// frames, and at its edges may hold some of its neighbours': up to an eighth of its width on either side, or 256 frames.
    ///
    /// # Errors
    /// What the system says.
    pub fn waveform(&self, from: FrameCount, to: FrameCount, points: usize) -> io::Result<Waveform> {
        let points = points.clamp(1, MOST_POINTS);
        let channels = self.spec.channels.get();
        let mut drawn = vec![Peak::NONE; points * channels];
        let end = to.min(self.frames()?).0;
        let span = to.0.saturating_sub(from.0).max(1);
        // The coarsest level of which at least eight entries make a point.
        let width = span / points as u64;
        let (first, count) = match width {
            wide if wide >= 8 * CHUNK as u64 => (0, 1),
            wide if wide >= 8 * (BASE * STEP) as u64 => (1, STEP),
            _ => (1 + STEP, STEP * STEP),
        };
        let frames = (CHUNK / count) as u64;
        let mut bytes = vec![0; count * self.spec.entry()];
        let mut chunk = from.0 / CHUNK as u64;
        while chunk * (CHUNK as u64) < end {
            let at = HEAD + first * self.spec.entry();
            let offset = at as u64 + chunk * (ENTRIES * self.spec.entry()) as u64;
            self.file.read_exact_at(&mut bytes, offset)?;
            for (n, entry) in bytes.chunks_exact(self.spec.entry()).enumerate() {
                let start = chunk * CHUNK as u64 + n as u64 * frames;
                let (left, right) = (start.max(from.0), (start + frames).min(end));
                if left >= right {
                    continue;
                }
                let point = |frame: u64| {
                    let at = u128::from(frame - from.0) * points as u128 / u128::from(span);
                    (at as usize).min(points - 1)
                };
                for at in point(left)..=point(right - 1) {
                    let drawn = &mut drawn[at * channels..][..channels];
                    for (peak, value) in drawn.iter_mut().zip(entry.chunks_exact(4)) {
                        *peak = peak.and(Peak::parse(value));
                    }
                }
            }
            chunk += 1;
        }
        Ok(Waveform { channels: self.spec.channels, peaks: drawn })
    }
}
