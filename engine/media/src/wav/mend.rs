//! Puts a header right that counts more than there is: what a power cut leaves of a file that was being written.
//!
//! Owns: the header of a file that nobody writes. Never: touches a sample, or shortens a file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use audyn_units::{FrameCount, Nanos};

use super::WavInfo;
use super::header::{self, Head};
use super::holes::FAR;
use super::{holes, riff};
use crate::fix::{Fix, Step};
use crate::ledger::LedgerFacts;
use crate::{Facts, MediaError, WavSpec};

/// A header that was put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mended {
    /// Frames that the header counted.
    pub declared: FrameCount,
    /// Frames that are there, and that it counts now.
    pub frames: FrameCount,
}

/// Makes the header of `path`, which a [`WavWriter`](super::WavWriter) of this version or one before made in format `spec`, count
/// what is there; what else it tells is kept. Returns when the disk has confirmed it; none if there was nothing to mend.
///
/// A file that ends inside its header, since the disk got its name and nothing else, becomes a file of no frames.
///
/// # Errors
/// [`MediaError::NotWav`] if it is no file of that writer in that format; [`MediaError::Read`], [`MediaError::Write`] and
/// [`MediaError::Sync`] as they say. The file is as it was then, but after the last two.
pub fn mend(path: &Path, spec: WavSpec) -> Result<Option<Mended>, MediaError> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.map_err(|source| MediaError::Read { what: path.display().to_string(), source })?;
    mend_file(&file, path, spec, None)
}

/// [`mend`] for a file that is open already, for reading and writing; `path` is its name in messages. With its `ledger`, read up to
/// [`FAR`](super::FAR), what the disk has set aside and never got is not there either.
///
/// # Errors
/// As [`mend`].
pub fn mend_file(
    file: &File,
    path: &Path,
    spec: WavSpec,
    ledger: Option<&LedgerFacts>,
) -> Result<Option<Mended>, MediaError> {
    mend_confirmed(file, path, spec, ledger, FAR)
}

/// [`mend_file`] for a file of which the disk has `confirmed` so many frames and then failed to confirm more: those behind them stay where
/// they are and are not counted. A block that a disk has lost looks like any other, with zeros in it or what stood there before.
///
/// # Errors
/// As [`mend`].
pub(crate) fn mend_confirmed(
    file: &File,
    path: &Path,
    spec: WavSpec,
    ledger: Option<&LedgerFacts>,
    confirmed: FrameCount,
) -> Result<Option<Mended>, MediaError> {
    let what = path.display().to_string();
    holes::read_only_what_is_asked_for(file).map_err(|e| read(&what, e))?;
    let length = file.metadata().map_err(|e| read(&what, e))?.len();
    let fix = if ends_in_header(file, length).map_err(|e| read(&what, e))? {
        Some(headless(spec, &Facts::default(), FrameCount::ZERO, length))
    } else {
        let info = WavInfo::read(&mut &*file)?;
        let Some((head, before)) =
            ours(file, &info).map_err(|e| read(&what, e))?.filter(|_| info.spec == spec)
        else {
            let reason = "it is not the recording that was being written under this name".to_owned();
            return Err(MediaError::NotWav { what, reason });
        };
        let held = on_the_disk(file, &head, &info, info.frames, ledger).map_err(|e| read(&what, e))?;
        counted(head, &before, &info, held.min(confirmed), length)
    };
    let Some(fix) = fix else { return Ok(None) };
    fix.apply(file, path)?;
    Ok(Some(Mended { declared: fix.declared, frames: fix.frames }))
}

/// What is older than this the disk has, twice over: the kernel writes by itself after 30 s, and the engine asks it to each second.
const POWER_CUT: Nanos = Nanos::from_secs(60);

/// What a ledger tells of its file.
#[derive(Debug, Clone)]
pub(crate) struct WavTold {
    pub(crate) spec: WavSpec,
    pub(crate) facts: Facts,
    /// Frames that the file had when it was closed, if it was.
    pub(crate) closed: Option<FrameCount>,
    /// All that it tells, read up to [`FAR`](super::FAR).
    pub(crate) ledger: LedgerFacts,
}

impl WavTold {
    /// How many of the frames that are there may be counted, where the header does not count them. Behind the end of a file that was mended
    /// lies what the disk had not confirmed.
    fn most(&self, there: FrameCount) -> FrameCount {
        self.ledger.mended.map_or(there, |mended| mended.min(there))
    }
}

/// What is to be done to any file, whoever made it; none if nothing is. `what` names it in messages.
///
/// Goes further than [`mend_file`], which an engine calls at its start: where sizes contradict one another, where they are 0, or where
/// the ledger counts more, what is there is counted, and a header that is gone is made anew from what the ledger tells.
pub(crate) fn plan(file: &File, what: &str, told: Option<&WavTold>) -> Result<Option<Fix>, MediaError> {
    let no = |reason: &str| MediaError::NotWav { what: what.to_owned(), reason: format!("it {reason}") };
    let read = |error| read(what, error);
    holes::read_only_what_is_asked_for(file).map_err(read)?;
    let length = file.metadata().map_err(read)?.len();
    let cut = ends_in_header(file, length).map_err(read)?;
    if cut || is_blank(file, length).map_err(read)? {
        let Some(told) = told else {
            let what = match length {
                0 => "is empty",
                _ if cut => "ends inside its header",
                _ => "has no header, only zeros",
            };
            return Err(no(&format!("{what}, and there is no ledger that would tell its format")));
        };
        let there = length.saturating_sub(header::LEN as u64) / told.spec.frame_bytes() as u64;
        let most = told.most(FrameCount(there));
        let frames = told.closed.map_or(most, |closed| most.min(closed));
        return Ok(Some(headless(told.spec, &told.facts, frames, length)));
    }
    let known = match WavInfo::read(&mut &*file) {
        Ok(info) => ours(file, &info).map_err(read)?.map(|found| (info, found)),
        Err(MediaError::NotWav { .. }) => None,
        Err(error) => return Err(error),
    };
    let Some((info, (mut head, before))) = known else {
        return riff::plan(file, length).map_err(|refusal| refusal.named(what));
    };
    let frame = info.spec.frame_bytes() as u64;
    let data = info.declared.0 * frame;
    let end = head.len().saturating_add(data).saturating_add(data & 1);
    if end < length && riff::chunks_reach(file, end, length).map_err(read)? {
        return Ok(None); // somebody has added tags
    }
    let there = FrameCount((length - head.len()) / frame);
    let closed = told.and_then(|told| told.closed);
    let most = told.map_or(there, |told| told.most(there));
    let frames = match closed {
        _ if info.declared >= there => there,
        Some(closed) if closed > info.declared => closed.min(most).max(info.declared),
        Some(_) => info.declared,
        None if info.declared == FrameCount::ZERO || head.counting(info.declared) != before => most,
        None => info.declared,
    };
    let held = on_the_disk(file, &head, &info, frames, told.map(|told| &told.ledger)).map_err(read)?;
    Ok(counted(head, &before, &info, held, length))
}

/// How many of `frames` the disk has.
fn on_the_disk(
    file: &File,
    head: &Head,
    info: &WavInfo,
    frames: FrameCount,
    ledger: Option<&LedgerFacts>,
) -> io::Result<FrameCount> {
    let held = holes::held(file, head.len(), info.spec.frame_bytes() as u64, frames, ledger)?;
    // A power cut takes what was written last. Holes further back are silence: of a copy that left zeros out, or with a line that a full
    // disk has cost the ledger.
    let taken = frames.saturating_sub(held);
    Ok(if taken > info.spec.rate.frames_in(POWER_CUT) { frames } else { held })
}

/// Frames that a whole file counts, whoever made it.
pub(crate) fn frames_of(file: &File, what: &str) -> Result<FrameCount, MediaError> {
    let length = file.metadata().map_err(|error| read(what, error))?.len();
    riff::frames(file, length).map_err(|refusal| refusal.named(what))
}

fn read(what: &str, source: io::Error) -> MediaError {
    MediaError::Read { what: what.to_owned(), source }
}

/// The header of a file of ours, to be changed, and as it is; none if it is another's.
fn ours(file: &File, info: &WavInfo) -> io::Result<Option<(Head, Vec<u8>)>> {
    let mut before = vec![0; info.data_offset.min(header::LEN as u64) as usize];
    file.read_exact_at(&mut before, 0)?;
    let head = Head::found(before.clone(), info.spec).filter(|head| head.len() == info.data_offset);
    Ok(head.map(|head| (head, before)))
}

/// Has the header count `frames`; none if it does.
fn counted(mut head: Head, before: &[u8], info: &WavInfo, frames: FrameCount, length: u64) -> Option<Fix> {
    let data = info.declared.0 * info.spec.frame_bytes() as u64;
    // The sizes may also contradict one another, where a sector of the header came and another did not.
    if head.counting(frames) == before && length >= head.len().saturating_add(data).saturating_add(data & 1) {
        return None;
    }
    let declared = info.declared;
    let mut found = match declared == frames {
        true => "the sizes in its header contradict one another, or it ends where they do not say".to_owned(),
        false => format!("its header counts {declared}, and {frames} are there"),
    };
    let data = frames.0 * info.spec.frame_bytes() as u64;
    let rest = length.saturating_sub(head.len() + data + (data & 1));
    if rest > 0 {
        found += &format!(", and {rest} bytes behind them that stay and are not counted");
    }
    let remedy = "its header will count what is there".to_owned();
    let steps = steps(&mut head, data, frames, length);
    Some(Fix { declared, frames, cut: 0, found, remedy, steps })
}

/// Gives a file a header that has none.
fn headless(spec: WavSpec, facts: &Facts, frames: FrameCount, length: u64) -> Fix {
    let mut head = Head::new(spec, facts);
    let remedy = match frames {
        FrameCount::ZERO => "it will be a file of no frames".to_owned(),
        _ => format!("it will get a header that counts the {frames} that are there"),
    };
    let found = match length < head.len() {
        true => "it ends inside its header".to_owned(),
        false => "it has no header, only zeros in its place".to_owned(),
    };
    let steps = steps(&mut head, frames.0 * spec.frame_bytes() as u64, frames, length);
    Fix { declared: FrameCount::ZERO, frames, cut: 0, found, remedy, steps }
}

/// The pad byte, if odd data end the file without it; then the header, whole.
fn steps(head: &mut Head, data: u64, frames: FrameCount, length: u64) -> Vec<Step> {
    let end = head.len() + data;
    let pad = (data & 1 == 1 && length == end).then(|| Step::Write(end, vec![0]));
    pad.into_iter().chain([Step::Write(0, head.counting(frames).to_vec())]).collect()
}

/// Whether zeros stand where a header should.
fn is_blank(file: &File, length: u64) -> io::Result<bool> {
    let mut bytes = vec![0; length.min(header::LEN as u64) as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes.iter().all(|&byte| byte == 0))
}

/// Whether a file of ours has not even its header: neither today's nor the short one of versions before.
fn ends_in_header(file: &File, length: u64) -> io::Result<bool> {
    if length < header::EARLIER as u64 || length >= header::LEN as u64 {
        return Ok(length < header::EARLIER as u64);
    }
    let mut start = [0; 20];
    file.read_exact_at(&mut start, 0)?;
    let ours = matches!(&start[..4], b"RIFF" | b"RF64" | b"BW64")
        && matches!(&start[8..], b"WAVEJUNK\x1C\0\0\0" | b"WAVEds64\x1C\0\0\0");
    Ok(ours && matches!(WavInfo::read(&mut &*file), Err(MediaError::NotWav { .. })))
}

#[cfg(test)]
mod tests {
    use audyn_units::{ChannelCount, SampleRate};

    use super::*;
    use crate::{PcmDepth, WavReader, WavWriter};

    fn spec() -> WavSpec {
        WavSpec { rate: SampleRate::HZ_48000, channels: ChannelCount::MONO, depth: PcmDepth::Pcm24 }
    }

    fn facts() -> Facts {
        Facts {
            recorder: "studio-1".to_owned(),
            start_utc: "2026-07-02T13:46:03Z".to_owned(),
            ..Facts::default()
        }
    }

    /// A file of 1,000 frames, each its own number, cut to `length` bytes.
    fn cut(dir: &Path, length: u64) -> std::path::PathBuf {
        let path = dir.join(format!("{length}.wav"));
        let mut writer = WavWriter::create(&path, spec(), &facts()).unwrap();
        writer.append(&(0..1_000).map(|n| n << 8).collect::<Vec<i32>>()).unwrap();
        writer.close().unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        path
    }

    /// The same as the versions before made it, with a header of 80 bytes.
    fn earlier(dir: &Path, length: u64) -> std::path::PathBuf {
        let path = dir.join(format!("{length}-earlier.wav"));
        let today = cut(dir, 7_096);
        let bytes = std::fs::read(&today).unwrap();
        std::fs::remove_file(today).unwrap();
        let mut bytes = [&bytes[..72], &bytes[4_088..]].concat();
        bytes[4..8].copy_from_slice(&3_072_u32.to_le_bytes());
        std::fs::write(&path, &bytes[..length as usize]).unwrap();
        path
    }

    /// Mends `path`, of whose samples `frames` are there, and says what it declared; the samples begin at `head`.
    fn mends(path: &Path, head: u64, frames: u64) -> FrameCount {
        let mended = mend(path, spec()).unwrap().unwrap();
        assert_eq!(mended.frames.0, frames, "{}", path.display());
        let bytes = std::fs::read(path).unwrap();
        let riff = u32::from_le_bytes(bytes[4..8].try_into().unwrap());
        let data = frames * 3;
        assert_eq!(u64::from(riff), head - 8 + data + (data & 1));
        assert!(bytes.len() as u64 >= head + data + (data & 1), "the pad byte is there");
        let mut samples = vec![0; frames as usize];
        let mut reader = WavReader::open(path).unwrap();
        assert_eq!((reader.info().data_offset, reader.info().declared.0), (head, frames));
        reader.read(&mut samples).unwrap();
        assert!(samples.iter().zip(0..).all(|(&sample, n)| sample == n << 8));
        assert_eq!(mend(path, spec()).unwrap(), None, "once");
        mended.declared
    }

    #[test]
    fn a_file_cut_anywhere_counts_what_is_there_and_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        for length in
            [0, 1, 79, 80, 500, 4_095, 4_096, 4_098, 4_099, 4_100, 4_101, 4_102, 5_596, 5_597, 7_095]
        {
            let path = cut(dir.path(), length);
            mends(&path, 4_096, length.saturating_sub(4_096) / 3);
            let facts = WavReader::open(&path).unwrap().facts().unwrap();
            assert_eq!(facts.is_some(), length >= 4_096, "what it tells is kept");
        }
    }

    #[test]
    fn a_file_of_an_earlier_version_is_mended_with_its_short_header() {
        let dir = tempfile::tempdir().unwrap();
        for length in [80, 82, 83, 84, 85, 86, 1_580, 1_581, 3_079] {
            let path = earlier(dir.path(), length);
            assert_eq!(mends(&path, 80, (length - 80) / 3), FrameCount(1_000));
        }
        assert_eq!(mend(&earlier(dir.path(), 3_080), spec()).unwrap(), None);
    }

    #[test]
    fn a_header_of_which_only_the_first_sector_came_is_put_right() {
        let dir = tempfile::tempdir().unwrap();
        for (at, size) in [(4, 4_088 + 3_600_u32), (4_092, 2_700)] {
            let path = cut(dir.path(), 7_096);
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            file.write_all_at(&size.to_le_bytes(), at).unwrap();
            let frames = if at == 4 { 1_000 } else { 900 };
            assert_eq!(mends(&path, 4_096, frames).0, frames);
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn what_the_disk_has_not_confirmed_stays_and_is_not_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = cut(dir.path(), 7_096);
        let before = std::fs::read(&path).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        assert_eq!(mend_confirmed(&file, &path, spec(), None, FrameCount(1_000)).unwrap(), None);
        let mended = mend_confirmed(&file, &path, spec(), None, FrameCount(700)).unwrap().unwrap();
        assert_eq!((mended.declared.0, mended.frames.0), (1_000, 700));
        assert_eq!(WavReader::open(&path).unwrap().info().frames, FrameCount(700));
        assert!(std::fs::read(&path).unwrap()[4_096..] == before[4_096..]);
        assert_eq!(mend_confirmed(&file, &path, spec(), None, FrameCount(700)).unwrap(), None, "once");
    }

    #[test]
    fn a_file_that_is_whole_or_anothers_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = cut(dir.path(), 7_096);
        let before = std::fs::read(&path).unwrap();
        assert_eq!(mend(&path, spec()).unwrap(), None);
        let other = WavSpec { depth: PcmDepth::Pcm16, ..spec() };
        assert!(matches!(mend(&path, other), Err(MediaError::NotWav { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert!(matches!(mend(&dir.path().join("none"), spec()), Err(MediaError::Read { .. })));
        // Shorter than a header of ours, and whole.
        let mut plain =
            b"RIFF\x2C\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\xBB\0\0\x80\x32\x02\0\x03\0\x18\0".to_vec();
        plain.extend(b"data\x30\0\0\0");
        plain.extend([1; 48]);
        std::fs::write(&path, &plain).unwrap();
        assert!(matches!(mend(&path, spec()), Err(MediaError::NotWav { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), plain);
    }

    #[test]
    fn zeros_that_a_copy_left_out_are_silence_and_those_at_the_end_what_a_power_cut_took() {
        let dir = tempfile::tempdir().unwrap();
        let spec = WavSpec { depth: PcmDepth::Pcm16, ..spec() };
        let header = r#"{"audyn_ledger":3,"recorder":"a","file":"a.wav","first_position":1000,"start_utc":"","rate":48000,"channels":1,"bits":16}"#;
        let ledger = LedgerFacts::read(header.as_bytes(), holes::FAR).unwrap();
        let told = WavTold { spec, facts: Facts::default(), closed: None, ledger };
        // 90 s: the hole begins 89 s and 10 s before the end.
        let frames = 90 * 48_000;
        for (at, left) in [(1, None), (80, Some(80 * 48_000))] {
            let path = dir.path().join(format!("{at}.wav"));
            let mut writer = WavWriter::create(&path, spec, &facts()).unwrap();
            writer.append(&vec![1 << 16; frames]).unwrap();
            writer.close().unwrap();
            let file = File::options().read(true).write(true).open(&path).unwrap();
            if !holes::is_honest(&file) {
                return eprintln!("SKIPPED: no ext4 or XFS here, on which holes are told");
            }
            let flags = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
            let from: u64 = 4_096 + at * 96_000;
            rustix::fs::fallocate(&file, flags, from.next_multiple_of(4_096), 8 * 4_096).unwrap();
            let fix = plan(&file, "it", Some(&told)).unwrap();
            let counted = fix.map(|fix| fix.frames.0);
            assert_eq!(
                counted.map(|frames| frames / 2_048),
                left.map(|left: u64| left.div_ceil(2_048)),
                "{at} s"
            );
        }
    }
}
