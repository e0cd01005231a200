//! Puts a file right that a kill or a power cut left: counts the whole frames that are there, and cuts off what is none.
//!
//! Owns: the head and the torn end of a file that nobody writes. Never: touches a whole frame of audio.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader};
use std::path::Path;

use audyn_units::FrameCount;
use md5::{Digest as _, Md5};

use super::frames::{Frame, Frames};
use super::head::{Head, INFO_AT, POINT_LEN, Point, StreamInfo};
use super::headless::{self, FlacTold};
use crate::fix::{Fix, Step};
use crate::{MediaError, Mended};

/// Files up to this long are decoded whole, for their MD5 and the sizes of their frames: a few seconds of work. Of longer ones only
/// what lies behind the last seek point is, 20 s of audio, and both stay unknown; who waits for a recorder to start would not wait.
const WHOLE_BYTES: u64 = 64 * 1024 * 1024;

/// Makes the head of `path`, a FLAC file that nobody writes, count the whole frames that are there, and cuts off what lies behind
/// the last of them. Returns when the disk has confirmed it; none if there was nothing to mend.
///
/// In a file of up to 64 MiB the sizes of its frames and the MD5 sum become what a close would have written, unless a stretch in
/// it is broken; in a longer one they stay unknown, and tools then check each frame by its own sum only.
///
/// # Errors
/// [`MediaError::NotFlac`] if it is no FLAC file, or its head is lost and no frames tell what it was; [`MediaError::Read`],
/// [`MediaError::Write`] and [`MediaError::Sync`] as they say. The file is as it was then, but after the last two.
pub fn mend(path: &Path) -> Result<Option<Mended>, MediaError> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.map_err(|source| MediaError::Read { what: path.display().to_string(), source })?;
    mend_file(&file, path)
}

/// [`mend`] for a file that is open already, for reading and writing; `path` is its name in messages.
///
/// # Errors
/// As [`mend`].
pub fn mend_file(file: &File, path: &Path) -> Result<Option<Mended>, MediaError> {
    let Some(fix) = plan(file, &path.display().to_string(), None)? else { return Ok(None) };
    fix.apply(file, path)?;
    Ok(Some(Mended { declared: fix.declared, frames: fix.frames }))
}

/// What is to be done to a file; none if nothing is. `what` names it in messages. One without a head gets one if its frames say which, or
/// the ledger does.
pub(crate) fn plan(file: &File, what: &str, told: Option<&FlacTold>) -> Result<Option<Fix>, MediaError> {
    let read = |source| MediaError::Read { what: what.to_owned(), source };
    let length = file.metadata().map_err(read)?.len();
    let (head, mut lead) = match Head::read(&mut BufReader::new(file), what) {
        Ok(head) => (head, None),
        Err(MediaError::NotFlac { what, reason }) => {
            match headless::head(file, length, told).map_err(read)? {
                Some(made) => (made.head, Some(made.lead)),
                None => {
                    let reason = format!(
                        "{reason}, and no frames in it nor a ledger beside it tell what its head was"
                    );
                    return Err(MediaError::NotFlac { what, reason });
                }
            }
        }
        Err(error) => return Err(error),
    };
    if length < head.frames_at {
        return Ok(Some(Fix {
            declared: FrameCount::ZERO,
            frames: FrameCount::ZERO,
            cut: 0,
            found: "it ends inside its head".to_owned(),
            remedy: "it will be a file of no frames".to_owned(),
            steps: vec![Step::Write(0, lead.unwrap_or_default())],
        }));
    }
    let found = Found::in_file(file, &head, length).map_err(read)?;
    let closed = head.info.md5 != [0; 16];
    if closed && found.info.frames == head.info.frames {
        return Ok(None); // and what another program may have written behind the frames is not ours
    }
    // Not even one frame: it is more likely that this program does not read them than that all are damaged.
    if found.info.frames == 0 && length - head.frames_at > 64 * 1024 {
        let reason = "none of its frames can be read here, and nothing of it is cut off".to_owned();
        return Err(MediaError::NotFlac { what: what.to_owned(), reason });
    }
    let points = head.points.iter().take_while(|point| found.holds(point, &head)).count();
    if lead.is_none() && found.info == head.info && found.end == length && points == head.points_used {
        return Ok(None);
    }
    let (declared, frames) = (FrameCount(head.info.frames), FrameCount(found.info.frames));
    let cut = length - found.end;
    // The head last: without the count that is wrong nothing would be found again after a crash.
    let mut steps = vec![Step::Cut(found.end)];
    if let Some((at, count)) = head.table {
        let unused = Point::PLACEHOLDER.encode().repeat(count - points);
        steps.push(Step::Write(at + (points * POINT_LEN) as u64, unused));
    }
    let info = found.info.encode();
    steps.push(match &mut lead {
        None => Step::Write(INFO_AT, info.to_vec()),
        Some(lead) => {
            lead[INFO_AT as usize..][..info.len()].copy_from_slice(&info);
            Step::Write(0, std::mem::take(lead))
        }
    });
    let mut told = match declared == frames {
        _ if lead.is_some() => format!("its head is lost, and {frames} are there"),
        true => "it was not closed".to_owned(),
        false => format!("its head counts {declared}, and {frames} are there"),
    };
    let mut remedy = match lead {
        Some(_) => "it will get a head that tells what the frames do".to_owned(),
        None => "its head will count what is there".to_owned(),
    };
    if cut > 0 {
        told += &format!(", with {cut} bytes behind them that are no whole frame of FLAC");
        remedy += &format!("; the {cut} bytes will be cut off");
    }
    Ok(Some(Fix { declared, frames, cut, found: told, remedy, steps }))
}

/// What is there.
struct Found {
    /// STREAMINFO as it should be.
    info: StreamInfo,
    /// Where the last whole frame ends.
    end: u64,
}

impl Found {
    fn in_file(file: &File, head: &Head, length: u64) -> io::Result<Self> {
        let mut frames = Frames::new(BufReader::new(file), head.info);
        if length - head.frames_at > WHOLE_BYTES {
            // From the last point behind which there is a frame. The points may be what is wrong, so all are tried.
            for point in head.points.iter().skip(1).rev() {
                frames.go_to(head.frames_at + point.offset)?;
                if let Some(frame) = frames.next()? {
                    let (end, frames) = last(&mut frames, frame, |_| {})?;
                    let same = frames == head.info.frames;
                    let sizes = if same { head.info.sizes } else { [0; 2] };
                    return Ok(Self { info: StreamInfo { frames, sizes, md5: [0; 16], ..head.info }, end });
                }
            }
        }
        frames.go_to(head.frames_at)?;
        let Some(first) = frames.next()? else {
            let info = StreamInfo { frames: 0, sizes: [0; 2], md5: [0; 16], ..head.info };
            return Ok(Self { info, end: head.frames_at });
        };
        let (mut sum, mut sizes, mut expected, mut unbroken) = (Md5::new(), [u32::MAX, 0], 0, true);
        let mut bytes = Vec::new();
        let (end, frames) = last(&mut frames, first, |frame| {
            unbroken &= frame.first == expected;
            expected = frame.next();
            sizes = [sizes[0].min(frame.bytes), sizes[1].max(frame.bytes)];
            bytes.clear();
            interleave(frame, head.info.bits, &mut bytes);
            sum.update(&bytes);
        })?;
        let md5 = if unbroken { sum.finalize().into() } else { [0; 16] };
        Ok(Self { info: StreamInfo { frames, sizes, md5, ..head.info }, end })
    }

    /// Whether a seek point leads to something that is there.
    fn holds(&self, point: &Point, head: &Head) -> bool {
        point.first < self.info.frames && head.frames_at + point.offset < self.end
    }
}

/// Goes to the last whole frame from `frame` on, and says where it ends in the file and in audio.
fn last(
    frames: &mut Frames<BufReader<&File>>,
    mut frame: Frame,
    mut each: impl FnMut(&Frame),
) -> io::Result<(u64, u64)> {
    loop {
        each(&frame);
        let here = (frame.end(), frame.next());
        frames.recycle(frame);
        match frames.next()? {
            Some(next) => frame = next,
            None => return Ok(here),
        }
    }
}

/// The samples as FLAC's MD5 takes them: interleaved, little-endian, in whole bytes (RFC 9639 §8.2).
fn interleave(frame: &Frame, bits: u8, out: &mut Vec<u8>) {
    let width = usize::from(bits.div_ceil(8));
    for n in 0..frame.block.duration() {
        for channel in 0..frame.block.channels() {
            out.extend_from_slice(&frame.block.sample(channel, n).to_le_bytes()[..width]);
        }
    }
}
