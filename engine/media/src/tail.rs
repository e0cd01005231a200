//! The end of a file that only grows: encoded bytes on their way to the disk, and what waits while the disk refuses them.
//!
//! Owns: that bytes reach the file in order, each at its place however often a write fails, and that what waits is bounded. For
//! formats whose bytes depend on what came before (FLAC, Ogg); WAV, whose frames have fixed places, has its own way.
//!
//! # Invariants
//! 1. A byte's place is the number of bytes that were pushed before it. A write that fails or succeeds by half is done again at
//!    the same place.
//! 2. [`Tail::patch`] writes over bytes that are written already, and never makes the file longer.

use std::io;

use crate::Store;

/// Bytes that wait in memory while the disk refuses them: a minute and more of 48 kHz stereo in FLAC, a quarter of an hour in Opus.
pub(crate) const BACKLOG_BYTES: usize = 16 * 1024 * 1024;

/// The bytes of a file from its head on.
#[derive(Debug)]
pub(crate) struct Tail<S: Store> {
    store: S,
    buffer: Vec<u8>,
    /// Bytes at the buffer's start that are written.
    sent: usize,
    /// Bytes of the file before the buffer.
    before: u64,
}

impl<S: Store> Tail<S> {
    /// Goes on behind the `head` bytes that `store` holds.
    pub(crate) fn behind(store: S, head: u64) -> Self {
        Self { store, buffer: Vec::new(), sent: 0, before: head }
    }

    /// Takes bytes; writes nothing.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Length of the file once everything is written.
    pub(crate) fn end(&self) -> u64 {
        self.before + self.buffer.len() as u64
    }

    /// Length of the file as it is.
    pub(crate) fn written(&self) -> u64 {
        self.before + self.sent as u64
    }

    /// Whether no more should be pushed before a flush has succeeded.
    pub(crate) fn is_full(&self) -> bool {
        self.buffer.len() - self.sent >= BACKLOG_BYTES
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// What the disk says; what is not written goes on waiting.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let flushed = self.write();
        self.before += self.sent as u64;
        self.buffer.drain(..self.sent);
        self.sent = 0;
        if self.buffer.is_empty() {
            self.buffer.shrink_to(BACKLOG_BYTES / 8); // give back what an outage of the disk has taken
        }
        flushed
    }

    fn write(&mut self) -> io::Result<()> {
        while self.sent < self.buffer.len() {
            match self.store.write_at(&self.buffer[self.sent..], self.before + self.sent as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Writes over bytes that are written: all of them by one write, so that a kill leaves the old ones or the new ones. Give
    /// no more than lies in one page of the file.
    ///
    /// # Errors
    /// What the disk says; written by half counts as an error, and is to be done again whole.
    pub(crate) fn patch(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        debug_assert!(offset + bytes.len() as u64 <= self.written(), "a patch lies within what is written");
        loop {
            match self.store.write_at(bytes, offset) {
                Ok(n) if n == bytes.len() => return Ok(()),
                Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Sets room aside for what comes next, where that can be had.
    pub(crate) fn set_aside(&mut self) {
        self.store.set_aside(self.written());
    }

    /// Returns when all that is written would survive a power cut.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.store.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that takes a few bytes at a time, and fails each second time.
    #[derive(Default)]
    struct Stubborn {
        bytes: Vec<u8>,
        writes: u32,
    }

    impl Store for Stubborn {
        fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
            self.writes += 1;
            if self.writes.is_multiple_of(2) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let (at, n) = (offset as usize, bytes.len().min(3));
            self.bytes.resize(self.bytes.len().max(at + n), 0);
            self.bytes[at..at + n].copy_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn set_len(&mut self, _: u64) -> io::Result<()> {
            unreachable!("a tail only writes")
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_byte_reaches_its_place_whatever_the_disk_does() {
        let mut disk = Stubborn { bytes: b"head".to_vec(), writes: 0 };
        let mut tail = Tail::behind(&mut disk, 4);
        tail.push(b"0123456789");
        let mut tries = 0;
        while tail.flush().is_err() {
            tries += 1;
            tail.push(if tries == 2 { b"abc" } else { b"" });
        }
        assert_eq!((tail.end(), tail.written()), (17, 17));
        assert!(tries > 3);
        while tail.patch(4, b"xy").is_err() {}
        assert_eq!(disk.bytes, b"headxy23456789abc");
    }
}
