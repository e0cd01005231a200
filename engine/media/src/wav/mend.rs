//! Puts a header right that counts more than there is: what a power cut leaves of a file that was being written.
//!
//! Owns: the header of a file that nobody writes. Never: touches a sample, or shortens a file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use audyn_units::FrameCount;

use super::WavInfo;
use super::header;
use crate::{MediaError, WavSpec};

/// A header that was put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mended {
    /// Frames that the header counted.
    pub declared: FrameCount,
    /// Frames that are there, and that it counts now.
    pub frames: FrameCount,
}

/// Makes the header of `path`, which a [`WavWriter`](super::WavWriter) made in format `spec`, count what is there. Returns
/// when the disk has confirmed it; none if there was nothing to mend.
///
/// A file that ends inside its header, since the disk got its name and nothing else, becomes a file of no frames.
///
/// # Errors
/// [`MediaError::NotWav`] if it is no file of that writer in that format; [`MediaError::Read`], [`MediaError::Write`] and
/// [`MediaError::Sync`] as they say. The file is as it was then, but after the last two.
pub fn mend(path: &Path, spec: WavSpec) -> Result<Option<Mended>, MediaError> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.map_err(|source| MediaError::Read { what: path.display().to_string(), source })?;
    mend_file(file, path, spec)
}

/// [`mend`] for a file that is open already, for reading and writing; `path` is its name in messages.
///
/// # Errors
/// As [`mend`].
pub fn mend_file(mut file: File, path: &Path, spec: WavSpec) -> Result<Option<Mended>, MediaError> {
    let what = path.display().to_string();
    let read = |source| MediaError::Read { what: what.clone(), source };
    let length = file.metadata().map_err(read)?.len();
    let mended = if length < header::LEN as u64 {
        Mended { declared: FrameCount::ZERO, frames: FrameCount::ZERO }
    } else {
        let info = WavInfo::read(&mut file)?;
        if info.spec != spec || info.data_offset != header::LEN as u64 {
            let reason = "it is not the recording that was being written under this name".to_owned();
            return Err(MediaError::NotWav { what, reason });
        }
        let data = info.declared.0 * spec.frame_bytes() as u64;
        if info.declared == info.frames && length >= header::LEN as u64 + data + (data & 1) {
            return Ok(None);
        }
        Mended { declared: info.declared, frames: info.frames }
    };
    let valid = mended.frames;
    write(&file, length, spec, valid).map_err(|source| MediaError::Write {
        path: path.to_owned(),
        valid,
        source,
    })?;
    file.sync_data().map_err(|source| MediaError::Sync { path: path.to_owned(), source })?;
    Ok(Some(mended))
}

/// The pad byte, if odd data end the file without it; then the header, whole.
fn write(file: &File, length: u64, spec: WavSpec, frames: FrameCount) -> io::Result<()> {
    let data = frames.0 * spec.frame_bytes() as u64;
    let end = header::LEN as u64 + data;
    if data & 1 == 1 && length == end {
        file.write_all_at(&[0], end)?;
    }
    file.write_all_at(&header::encode(spec, frames), 0)
}

#[cfg(test)]
mod tests {
    use audyn_units::{ChannelCount, SampleRate};

    use super::*;
    use crate::{PcmDepth, WavReader, WavWriter};

    fn spec() -> WavSpec {
        WavSpec { rate: SampleRate::HZ_48000, channels: ChannelCount::MONO, depth: PcmDepth::Pcm24 }
    }

    /// A file of 1,000 frames, each its own number, cut to `length` bytes.
    fn cut(dir: &Path, length: u64) -> std::path::PathBuf {
        let path = dir.join(format!("{length}.wav"));
        let mut writer = WavWriter::create(&path, spec()).unwrap();
        writer.append(&(0..1_000).map(|n| n << 8).collect::<Vec<i32>>()).unwrap();
        writer.close().unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        path
    }

    #[test]
    fn a_file_cut_anywhere_counts_what_is_there_and_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        for length in [0, 1, 79, 80, 82, 83, 84, 85, 86, 1_580, 1_581, 3_079] {
            let path = cut(dir.path(), length);
            let frames = length.saturating_sub(80) / 3;
            let mended = mend(&path, spec()).unwrap().unwrap();
            assert_eq!(mended.frames.0, frames, "{length}");
            let riff = u32::from_le_bytes(std::fs::read(&path).unwrap()[4..8].try_into().unwrap());
            let data = frames * 3;
            assert_eq!(u64::from(riff), 72 + data + (data & 1));
            assert!(
                std::fs::metadata(&path).unwrap().len() >= 80 + data + (data & 1),
                "the pad byte is there"
            );
            let mut samples = vec![0; frames as usize];
            WavReader::open(&path).unwrap().read(&mut samples).unwrap();
            assert!(samples.iter().zip(0..).all(|(&sample, n)| sample == n << 8));
            assert_eq!(mend(&path, spec()).unwrap(), None, "once");
        }
    }

    #[test]
    fn a_file_that_is_whole_or_anothers_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = cut(dir.path(), 3_080);
        let before = std::fs::read(&path).unwrap();
        assert_eq!(mend(&path, spec()).unwrap(), None);
        let other = WavSpec { depth: PcmDepth::Pcm16, ..spec() };
        assert!(matches!(mend(&path, other), Err(MediaError::NotWav { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert!(matches!(mend(&dir.path().join("none"), spec()), Err(MediaError::Read { .. })));
    }
}
