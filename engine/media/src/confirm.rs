//! What the disk has of a file, and not what memory says of it.
//!
//! Linux tells of a write that has failed once, to whoever asks next (`fsync`), and counts the page as written from then on: whoever reads
//! it gets what was to be written, until the page has to go. A hash of that would seal what the disk has not, and a hole would pass for
//! audio. So whoever judges or seals a file has its pages forgotten first, those that memory need not keep.
//!
//! Never: touches what still waits to be written; [`forget`] leaves that in memory.

use std::fs::File;
use std::io;

use rustix::fs::{Advice, fadvise};
use rustix::io::Errno;

/// Returns when the disk has confirmed a file's bytes; whoever reads it then reads what the disk has. `file` is to be opened for this: an
/// error that another descriptor was told of is told to it no more.
///
/// # Errors
/// What the disk says; not where it cannot be asked. What was written to the file last need not be there, also if the same succeeds afterwards: judge it anew.
pub fn confirm(file: &File) -> io::Result<()> {
    match file.sync_data() {
        Err(error) if is_unsupported(&error) => {}
        done => done?,
    }
    forget(file)
}

/// Whether an error says that a file system cannot be asked to confirm anything, which is no word of what it has.
#[must_use]
pub fn is_unsupported(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS))
}

/// Has memory forget what the disk is said to have of a file.
///
/// # Errors
/// What the system says.
pub fn forget(file: &File) -> io::Result<()> {
    match fadvise(file, 0, None, Advice::DontNeed) {
        Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()), // a hint that this one does not know
        done => Ok(done?),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{IoSliceMut, Write as _};

    use rustix::io::{ReadWriteFlags, preadv2};

    use super::*;

    /// Whether memory holds the byte at this place; none where the file system does not say so.
    fn holds(file: &File, at: u64) -> Option<bool> {
        let mut byte = [0];
        match preadv2(file, &mut [IoSliceMut::new(&mut byte)], at, ReadWriteFlags::NOWAIT) {
            Ok(_) => Some(true),
            Err(Errno::AGAIN) => Some(false),
            Err(error) => {
                eprintln!("SKIPPED: memory is not told from the disk here: {error}");
                None
            }
        }
    }

    #[test]
    fn what_is_confirmed_is_read_from_the_disk_and_what_is_not_written_yet_stays() {
        let mut file = tempfile::tempfile_in(".").unwrap();
        file.write_all(&[7; 1 << 20]).unwrap();
        let Some(held) = holds(&file, 0) else { return };
        assert!(held);
        forget(&file).unwrap();
        let mut byte = [0];
        rustix::io::pread(&file, &mut byte, 1 << 19).unwrap();
        assert_eq!(byte, [7], "it was not on the disk");
        confirm(&file).unwrap();
        // The last one as well, which is no whole page of many file systems.
        assert_eq!([0, 1 << 19, (1 << 20) - 1].map(|at| holds(&file, at)), [Some(false); 3]);
    }
}
