//! Room for the next tombstone on a disk that is full.
//!
//! Owns: `.audyn/reserve`, a file of [`BYTES`] that says nothing. Never: keeps a deletion from being tried because it is not there.
//!
//! A tombstone comes before the deletion that it tells of, so a disk without a free block could never be emptied again by those who may.
//! The file is given up for the tombstone and made again from what the deletion has freed. A recording that runs may be quicker to take
//! the room; then the deletion fails as any write does, and the next one that succeeds makes the file again.
//!
//! Protecting a recording takes none of it: who protects on a full disk would leave nobody anything to delete with.

use std::ffi::OsStr;
use std::io::{self, Write as _};

use crate::Beneath;
use crate::beneath::OFlags;

/// Its name.
const NAME: &str = "reserve";

/// Its length: a tombstone has 4 KiB as a rule and some 150 KiB at most, and file systems take whole blocks, for directories too.
pub(super) const BYTES: usize = 1 << 20;

/// Makes the file if it isn't there whole. What is not to be had is left alone.
pub(super) fn fill(house: &Beneath) {
    let name = OsStr::new(NAME);
    let there = house.file(name, OFlags::RDONLY).and_then(|file| file.metadata());
    if there.is_ok_and(|there| there.len() == BYTES as u64) {
        return;
    }
    let made = house.file(name, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC).and_then(|mut file| {
        // Not zeros, nor the same again and again: a file system that packs would keep no room for those.
        let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
        let mut bytes = Vec::with_capacity(BYTES);
        while bytes.len() < BYTES {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            bytes.extend_from_slice(&noise.to_le_bytes());
        }
        file.write_all(&bytes)?;
        file.sync_all()
    });
    if made.is_err() {
        let _ = house.remove(name); // the part of it would be in the way of others
    }
}

/// Does what needs room, and once more with the reserve given up if there was none.
pub(super) fn with<T>(house: &Beneath, mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    match work() {
        Err(error) if is_full(&error) => {
            house.remove(OsStr::new(NAME)).map_err(|_| error)?;
            house.sync()?; // file systems hand a freed block out once they have written that it is free
            work()
        }
        done => done,
    }
}

/// Whether an error says that there is no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
