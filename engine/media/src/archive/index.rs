//! The index of a recorder: what its sidecars tell, in one file that is read at once.
//!
//! Owns: the bytes of `.audyn/index`. Never: the truth; that is in the sidecars, from which the index is made anew whenever it
//! does not end where the chain does.
//!
//! ```text
//! "AUDYNIX1"                        then a record for each entry of the chain, in its order:
//! length (2) sum (4) payload        integers little-endian; the payload is a [`Record`] in postcard's form
//! ```
//!
//! # Procedures
//! *Append*, by the chain's one writer, after the sidecar or tombstone is on the disk and before the head moves on: 1 one write at the end,
//! 2 fdatasync. So the index ends with the head's entry or the one behind it; anything else, a record that is torn or whose sum
//! is wrong, and no index at all mean that it is made anew: 1 read all sidecars, 2 write `.index.new`, fsync, rename.
//!
//! A day's question to 100,000 segments took 26 ms where 64 recorders made them, 28 ms where one did, and to make the index anew 3 s
//! (`examples/index.rs`, medians, on a machine with other work).
//!
//! # Rejected designs
//! *A database*: it has a journal and a repair of its own, for what can be made anew in seconds. *JSON lines*: 100,000 take
//! longer to parse than the answer may. *The time of a directory's last change*: a copy of an archive has others.

use std::ffi::OsStr;
use std::io::{self, Read as _, Write as _};

use audyn_units::{FrameCount, FrameIndex, SampleRate};
use serde::{Deserialize, Serialize};

use super::{Kind, Segment};
use crate::Beneath;
use crate::beneath::OFlags;

/// The file's name in the house of the chain.
const NAME: &str = "index";

const MAGIC: &[u8; 8] = b"AUDYNIX1";

/// Bytes of an index that are read at most: some ten million segments.
const MOST: u64 = 1 << 30;

/// What the index tells of an entry of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row<'a> {
    /// Its number.
    pub(crate) entry: u64,
    /// The first bytes of its hash.
    pub(crate) hash: u64,
    /// The recording; none for a tombstone.
    #[serde(borrow)]
    pub(crate) recorded: Option<Recorded<'a>>,
    /// The entry whose recording it buries, for a tombstone.
    pub(crate) buries: Option<u64>,
}

/// A [`Segment`] as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recorded<'a> {
    recorder: &'a str,
    studio: Option<&'a str>,
    file: &'a str,
    kind: Kind,
    rate: SampleRate,
    channels: u8,
    bits: Option<u16>,
    pub(crate) start: FrameIndex,
    frames: FrameCount,
    pub(crate) start_utc: i64,
    pub(crate) end_utc: i64,
    filled: FrameCount,
    gaps: u64,
    bytes: u64,
    exact: bool,
    tai_minus_utc: Option<i64>,
}

impl<'a> Recorded<'a> {
    /// The frame after the last one.
    pub(crate) fn end(&self) -> FrameIndex {
        FrameIndex(self.start.0.saturating_add(self.frames.0))
    }

    pub(crate) fn recorder(&self) -> &str {
        self.recorder
    }

    pub(crate) fn studio(&self) -> Option<&str> {
        self.studio
    }

    pub(crate) fn segment(&self, entry: u64) -> Segment {
        Segment {
            recorder: self.recorder.to_owned(),
            studio: self.studio.map(str::to_owned),
            file: self.file.to_owned(),
            kind: self.kind,
            rate: self.rate,
            channels: self.channels,
            bits: self.bits,
            start: self.start,
            frames: self.frames,
            start_utc: self.start_utc,
            end_utc: self.end_utc,
            filled: self.filled,
            gaps: self.gaps,
            bytes: self.bytes,
            exact: self.exact,
            tai_minus_utc: self.tai_minus_utc,
            entry,
        }
    }

    fn of(segment: &'a Segment) -> Self {
        Self {
            recorder: &segment.recorder,
            studio: segment.studio.as_deref(),
            file: &segment.file,
            kind: segment.kind,
            rate: segment.rate,
            channels: segment.channels,
            bits: segment.bits,
            start: segment.start,
            frames: segment.frames,
            start_utc: segment.start_utc,
            end_utc: segment.end_utc,
            filled: segment.filled,
            gaps: segment.gaps,
            bytes: segment.bytes,
            exact: segment.exact,
            tai_minus_utc: segment.tai_minus_utc,
        }
    }
}

impl<'a> Row<'a> {
    /// A sealed recording.
    pub(crate) fn sealed(segment: &'a Segment, hash: u64) -> Self {
        Self { entry: segment.entry, hash, recorded: Some(Recorded::of(segment)), buries: None }
    }

    /// A tombstone.
    pub(crate) fn tombstone(entry: u64, hash: u64, buries: Option<u64>) -> Self {
        Self { entry, hash, recorded: None, buries }
    }

    fn encode(&self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let payload = postcard::to_stdvec(self).map_err(io::Error::other)?;
        let length =
            u16::try_from(payload.len()).map_err(|_| io::Error::other("a name is too long for the index"))?;
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&sum(&payload).to_le_bytes());
        bytes.extend_from_slice(&payload);
        Ok(())
    }
}

/// Whether bytes are those that were written: eight at a time, since all of an index is summed for each question. It is to find what
/// a cut or a disk did, not what a person did; for that there are the sidecars' hashes.
fn sum(bytes: &[u8]) -> u32 {
    let mix = |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    let words = bytes.chunks(8).map(|part| {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        u64::from_le_bytes(word)
    });
    let sum = words.fold(bytes.len() as u64, mix);
    (sum ^ sum >> 32) as u32
}

/// The bytes of an index; none if there is none.
pub(crate) fn load(house: &Beneath) -> io::Result<Option<Vec<u8>>> {
    let file = match house.file(OsStr::new(NAME), OFlags::RDONLY) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::with_capacity(usize::try_from(file.metadata()?.len().min(MOST)).unwrap_or(0));
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Tells `each` record, in order; false if something of the bytes is none.
pub(crate) fn rows<'a>(bytes: &'a [u8], mut each: impl FnMut(Row<'a>)) -> bool {
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else { return false };
    while !rest.is_empty() {
        let Some((head, behind)) = rest.split_first_chunk::<6>() else { return false };
        let length = usize::from(u16::from_le_bytes([head[0], head[1]]));
        let Some((payload, behind)) = behind.split_at_checked(length) else { return false };
        if sum(payload) != u32::from_le_bytes([head[2], head[3], head[4], head[5]]) {
            return false;
        }
        let Ok(row) = postcard::from_bytes(payload) else { return false };
        each(row);
        rest = behind;
    }
    true
}

/// Whether these are the bytes of a whole index that holds a chain's head, told as its entry and the first bytes of its hash. It may be
/// ahead: the head moves last.
pub(crate) fn covers(bytes: &[u8], head: (u64, u64)) -> bool {
    let mut found = head.0 == 0;
    rows(bytes, |row| found |= (row.entry, row.hash) == head) && found
}

/// Adds a record behind the others; without an index there is nothing to add to.
pub(crate) fn append(house: &Beneath, row: &Row<'_>) -> io::Result<()> {
    let mut file = match house.file(OsStr::new(NAME), OFlags::WRONLY | OFlags::APPEND) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    row.encode(&mut bytes)?;
    file.write_all(&bytes)?;
    file.sync_data()
}

/// Removes an index that cannot be right any more. One that stays is found out by its end.
pub(crate) fn remove(house: &Beneath) {
    let _ = house.remove(OsStr::new(NAME));
}

/// Writes an index anew.
pub(crate) fn write_whole<'a>(house: &Beneath, rows: impl Iterator<Item = Row<'a>>) -> io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    for row in rows {
        row.encode(&mut bytes)?;
    }
    crate::chain::replace(house, OsStr::new(NAME), &bytes)
}

#[cfg(test)]
mod tests {
    use super::super::segment::tests::segment;
    use super::*;

    fn entries(bytes: &[u8]) -> (Vec<(u64, Option<u64>)>, bool) {
        let mut told = Vec::new();
        let whole = rows(bytes, |row| told.push((row.entry, row.buries)));
        (told, whole)
    }

    #[test]
    fn what_is_written_is_read_and_what_is_torn_or_altered_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let house = Beneath::root(dir.path()).unwrap();
        let one = Segment { studio: Some("s".to_owned()), ..segment("x/a.wav", Kind::Flac, 1_000, 50) };
        append(&house, &Row::sealed(&one, 7)).unwrap();
        assert_eq!(load(&house).unwrap(), None, "nothing is added to what is not there");
        write_whole(&house, [Row::sealed(&one, 7)].into_iter()).unwrap();
        append(&house, &Row::tombstone(2, 9, Some(1))).unwrap();
        let bytes = load(&house).unwrap().unwrap();
        assert_eq!(entries(&bytes), (vec![(1, None), (2, Some(1))], true));
        rows(&bytes, |row| {
            assert!(row.recorded.is_none_or(|told| told.segment(1) == one));
        });
        for cut in MAGIC.len()..bytes.len() {
            let first_only = cut == MAGIC.len() || entries(&bytes[..cut]).0 == [(1, None)];
            assert!(!entries(&bytes[..cut]).1 || first_only, "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 0x10;
            assert!(!entries(&altered).1, "byte {at}");
        }
    }

    #[test]
    fn an_index_is_that_of_a_chain_if_it_holds_its_head() {
        let dir = tempfile::tempdir().unwrap();
        let house = Beneath::root(dir.path()).unwrap();
        write_whole(&house, [1, 2].map(|entry| Row::tombstone(entry, 10 + entry, None)).into_iter()).unwrap();
        let bytes = load(&house).unwrap().unwrap();
        assert!(covers(&bytes, (0, 0)) && covers(&bytes, (1, 11)) && covers(&bytes, (2, 12)));
        assert!(!covers(&bytes, (3, 13)), "it is behind");
        assert!(!covers(&bytes, (2, 13)), "another chain's");
        assert!(!covers(&bytes[..bytes.len() - 1], (1, 11)) && !covers(b"", (0, 0)));
    }
}
