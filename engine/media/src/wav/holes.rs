//! Where the disk never got what a file's size vouches for.
//!
//! ext4 and XFS may write a file's new size before its data: after a power cut its last blocks are set aside and not written, and read as
//! zeros, which would pass for audio. Such blocks count as holes to whoever asks for them. A writer leaves holes of its own, for long
//! silence; those are in the ledger.
//!
//! Must never: take a block of zeros for a hole on a file system that makes holes of them by itself.

use std::fs::File;
use std::io;
use std::ops::Range;

use audyn_units::FrameCount;
use rustix::fs::{Advice, SeekFrom, fadvise, fstatfs, seek};
use rustix::io::Errno;

use super::HOLE_BYTES;
use crate::forget;
use crate::ledger::LedgerFacts;

/// File systems that are known to have a hole only where nothing was written: ext4, XFS.
const HONEST: [rustix::fs::FsWord; 2] = [0xEF53, 0x5846_5342];

/// A ledger's facts are read for a file of so many frames: longer than any is.
pub const FAR: FrameCount = FrameCount(1 << 48);

/// How many of the first `frames`, which begin at byte `head` and have `frame` bytes each, the disk has, by a ledger that was read up to
/// [`FAR`]. All of them without a ledger, which alone knows what is silence.
pub(super) fn held(
    file: &File,
    head: u64,
    frame: u64,
    frames: FrameCount,
    ledger: Option<&LedgerFacts>,
) -> io::Result<FrameCount> {
    let Some(ledger) = ledger.filter(|_| is_honest(file)) else { return Ok(frames) };
    let silent = silence(ledger, head, frame);
    // A block that was set aside and has been read since counts as data, for as long as memory holds its zeros.
    forget(file)?;
    let first = first_hole(file, head, head + frames.0 * frame, &silent);
    // Whoever reads it next begins at its begin.
    seek(file, SeekFrom::Start(0))?;
    Ok(first?.map_or(frames, |at| FrameCount((at - head) / frame)))
}

/// Readies a file that is to be judged: no more of it is read than is asked for, which [`held`] could not have forgotten while it is on
/// its way.
pub(super) fn read_only_what_is_asked_for(file: &File) -> io::Result<()> {
    Ok(fadvise(file, 0, None, Advice::Random)?)
}

pub(super) fn is_honest(file: &File) -> bool {
    fstatfs(file).is_ok_and(|found| HONEST.contains(&found.f_type))
}

/// The bytes in which the writer may have left holes, in order and apart.
fn silence(ledger: &LedgerFacts, head: u64, frame: u64) -> Vec<Range<u64>> {
    let first = ledger.header.first_position;
    let byte = |frames: FrameCount| head.saturating_add(frames.0.saturating_mul(frame));
    let mut all: Vec<Range<u64>> = Vec::new();
    for gap in &ledger.gaps {
        let from = byte(gap.position.since(first));
        let to = from.saturating_add(gap.frames.0.saturating_mul(frame));
        match all.last_mut() {
            Some(last) if last.end >= from => last.end = last.end.max(to),
            _ => all.push(from..to),
        }
    }
    if ledger.gaps_in_all > ledger.gaps.len() as u64 {
        // Not all of them are known: behind these nothing can be told.
        let from = all.last().map_or(head, |last| last.end);
        all.push(from..u64::MAX);
    }
    all
}

/// Where the first hole begins that is no silence.
fn first_hole(file: &File, from: u64, to: u64, silent: &[Range<u64>]) -> io::Result<Option<u64>> {
    let mut at = from;
    while at < to {
        let hole = match seek(file, SeekFrom::Hole(at)) {
            Ok(hole) => hole,
            // The file ends before.
            Err(Errno::NXIO) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if hole >= to {
            return Ok(None);
        }
        let data = match seek(file, SeekFrom::Data(hole)) {
            Ok(data) => data.min(to),
            Err(Errno::NXIO) => to,
            Err(error) => return Err(error.into()),
        };
        if !silent.iter().any(|range| range.start <= hole && data <= range.end) {
            return Ok(Some(hole));
        }
        at = data;
    }
    Ok(None)
}

const _: () = assert!(HOLE_BYTES >= 4_096, "a hole of the writer has room for a block");

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};
    use std::os::unix::fs::FileExt;

    use super::*;

    const HEADER: &str = r#"{"audyn_ledger":3,"recorder":"a","file":"a.wav","first_position":1000,"start_utc":"","rate":48000,"channels":1,"bits":16}"#;

    /// A file of 64 blocks of data with a hole from block `hole` to block `to`, if a file system that says so can be had here.
    fn file(hole: u64, to: u64) -> Option<File> {
        // The system's own place for temporary files is often in memory.
        for place in [std::env::temp_dir(), std::env::current_dir().unwrap()] {
            let mut file = tempfile::tempfile_in(place).unwrap();
            if is_honest(&file) {
                file.set_len(64 * 4_096).unwrap();
                file.write_all(&vec![1; (hole * 4_096) as usize]).unwrap();
                file.write_all_at(&vec![1; ((64 - to) * 4_096) as usize], to * 4_096).unwrap();
                return Some(file);
            }
        }
        eprintln!("SKIPPED: no ext4 or XFS here, on which holes are told");
        None
    }

    fn ledger(gaps: &[(u64, u64)]) -> LedgerFacts {
        let mut text = HEADER.to_owned();
        for (position, frames) in gaps {
            let position = position + 1_000;
            text += &format!(
                "\n{{\"position\":{position},\"frames\":{frames},\"cause\":\"outage\",\"estimated\":false}}"
            );
        }
        LedgerFacts::read(text.as_bytes(), FAR).unwrap()
    }

    /// Frames of two bytes, behind a header of one block: 2,048 a block, 129,024 in all.
    fn told(file: &mut File, gaps: &[(u64, u64)]) -> u64 {
        let frames = held(file, 4_096, 2, FrameCount(63 * 2_048), Some(&ledger(gaps))).unwrap().0;
        assert_eq!(file.stream_position().unwrap(), 0);
        frames
    }

    #[test]
    fn what_was_set_aside_and_never_written_is_not_there() {
        let Some(mut file) = file(40, 64) else { return };
        assert_eq!(told(&mut file, &[]), 39 * 2_048);
        // In the midst as well: what lies behind it is no better.
        let Some(mut file) = self::file(40, 50) else { return };
        assert_eq!(told(&mut file, &[]), 39 * 2_048);
        let all = held(&file, 4_096, 2, FrameCount(39 * 2_048), Some(&ledger(&[]))).unwrap();
        assert_eq!(all, FrameCount(39 * 2_048), "what is not asked for may be missing");
    }

    #[test]
    fn what_was_set_aside_is_not_there_either_once_somebody_has_read_it() {
        let Some(mut file) = file(40, 64) else { return };
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 40 * 4_096, 24 * 4_096).unwrap();
        file.sync_data().unwrap();
        let mut bytes = [1; 100];
        file.read_exact_at(&mut bytes, 40 * 4_096 + 50).unwrap();
        assert_eq!(bytes, [0; 100]);
        assert_eq!(told(&mut file, &[]), 39 * 2_048);
    }

    #[test]
    fn a_header_that_a_power_cut_left_ahead_of_the_blocks_is_mended() {
        let place = if is_honest(&tempfile::tempfile().unwrap()) { std::env::temp_dir() } else { ".".into() };
        let dir = tempfile::tempdir_in(place).unwrap();
        let path = dir.path().join("a.wav");
        let depth = crate::PcmDepth::Pcm16;
        let (rate, channels) = (audyn_units::SampleRate::HZ_48000, audyn_units::ChannelCount::MONO);
        let spec = crate::WavSpec { rate, channels, depth };
        let mut writer = crate::WavWriter::create(&path, spec, &crate::Facts::default()).unwrap();
        writer.append(&[1 << 16; 63 * 2_048]).unwrap();
        writer.close().unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        if !is_honest(&file) {
            return eprintln!("SKIPPED: no ext4 or XFS here, on which holes are told");
        }
        let flags = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&file, flags, 60 * 4_096, 4 * 4_096).unwrap();
        let mended = super::super::mend_file(&file, &path, spec, Some(&ledger(&[]))).unwrap().unwrap();
        assert_eq!((mended.declared.0, mended.frames.0), (63 * 2_048, 59 * 2_048));
        assert_eq!(crate::WavReader::open(&path).unwrap().info().frames.0, 59 * 2_048);
        assert!(super::super::mend_file(&file, &path, spec, Some(&ledger(&[]))).unwrap().is_none());
    }

    #[test]
    fn silence_that_the_ledger_tells_of_may_be_a_hole() {
        let Some(mut file) = file(40, 50) else { return };
        assert_eq!(told(&mut file, &[(39 * 2_048 - 7, 10 * 2_048 + 9)]), 63 * 2_048);
        assert_eq!(told(&mut file, &[(39 * 2_048 - 7, 5 * 2_048), (44 * 2_048 - 7, 6 * 2_048)]), 63 * 2_048);
        assert_eq!(told(&mut file, &[(39 * 2_048 + 1, 20 * 2_048)]), 39 * 2_048, "a frame of it was audio");
        assert_eq!(told(&mut file, &[(100, 5)]), 39 * 2_048);
        let all = held(&file, 4_096, 2, FrameCount(63 * 2_048), None).unwrap();
        assert_eq!(all, FrameCount(63 * 2_048), "without a ledger nobody knows");
    }
}
