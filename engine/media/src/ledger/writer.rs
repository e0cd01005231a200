//! Writes a ledger, also past a disk that refuses for a while.
//!
//! Owns: that lines reach the file in order and whole, however often a write fails or succeeds by half, and that what waits is bounded.

use std::ffi::OsStr;
use std::io;

use audyn_units::{FrameCount, FrameIndex};

use super::{LedgerEvent, LedgerHeader, LedgerLine};
use crate::beneath::OFlags;
use crate::chain::ledger_of;
use crate::tail::Tail;
use crate::{Beneath, Store};

/// Bytes that wait in memory while the disk refuses them: some 700 gaps.
const MOST_WAITING: u64 = 64 * 1024;

/// The ledger of one file that is being written.
#[derive(Debug)]
pub struct LedgerWriter<S: Store = Box<dyn Store + Send>> {
    tail: Tail<S>,
    /// What was given while no more could wait.
    dropped: Option<Dropped>,
}

/// Lines that are in no ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Dropped {
    from: FrameIndex,
    lines: u64,
    silence: FrameCount,
}

impl LedgerWriter<Box<dyn Store + Send>> {
    /// Makes the ledger of the audio file `audio` in `directory`; its name must be new as well. What the disk refuses of the header waits
    /// like any line.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if there is one, which is left as it is; what else the system says.
    pub fn create_in(directory: &Beneath, audio: &OsStr, header: LedgerHeader) -> io::Result<Self> {
        let file = directory.file(&ledger_of(audio), OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?;
        let mut writer = Self::on_store(Box::new(file));
        let _ = writer.enter(&LedgerLine::Header(header));
        Ok(writer)
    }
}

impl<S: Store> LedgerWriter<S> {
    /// A ledger on an empty store.
    pub fn on_store(store: S) -> Self {
        Self { tail: Tail::behind(store, 0), dropped: None }
    }

    /// Appends a line.
    ///
    /// # Errors
    /// What the disk says. The line waits then, and is written by the next call that the disk takes; up to 64 KiB wait. What comes
    /// beyond is counted, and an event of the name `lines-lost` says so in its place. The last line is kept in any case.
    pub fn enter(&mut self, line: &LedgerLine) -> io::Result<()> {
        if self.waits() {
            let _ = self.flush(); // what it says it will say again below
        }
        let bytes = line.encode();
        let waiting = self.tail.end() - self.tail.written();
        match line {
            LedgerLine::End(_) => {
                self.tell_dropped();
                self.tail.push(&bytes);
            }
            _ if self.dropped.is_some() || waiting + bytes.len() as u64 > MOST_WAITING => {
                let (position, silence) = match line {
                    LedgerLine::Gap(gap) if !gap.open => (gap.position, gap.frames),
                    LedgerLine::Gap(gap) => (gap.position, FrameCount::ZERO),
                    LedgerLine::Event(event) => (event.position, FrameCount::ZERO),
                    LedgerLine::Header(header) => (header.first_position, FrameCount::ZERO),
                    LedgerLine::End(_) => unreachable!("it has an arm of its own"),
                };
                let none = Dropped { from: position, lines: 0, silence: FrameCount::ZERO };
                let dropped = self.dropped.get_or_insert(none);
                dropped.lines += 1;
                dropped.silence += silence;
            }
            _ => self.tail.push(&bytes),
        }
        self.flush()
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// What the disk says; what is not written goes on waiting.
    pub fn flush(&mut self) -> io::Result<()> {
        self.tail.flush()?;
        if self.dropped.is_some() {
            self.tell_dropped();
            self.tail.flush()?;
        }
        Ok(())
    }

    /// Whether something is not in the file yet.
    pub fn waits(&self) -> bool {
        self.dropped.is_some() || self.tail.written() < self.tail.end()
    }

    fn tell_dropped(&mut self) {
        let Some(Dropped { from, lines, silence }) = self.dropped.take() else { return };
        let detail = format!(
            "the disk refused this ledger for so long that its next lines, {lines} of them, are lost, and with them where {silence} of \
             silence stand"
        );
        let event = LedgerEvent { position: from, event: "lines-lost".to_owned(), detail };
        self.tail.push(&LedgerLine::Event(event).encode());
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;
    use crate::ledger::{LedgerEnd, LedgerGap};

    /// A disk that takes so many more bytes, and then nothing.
    #[derive(Default)]
    struct Disk {
        bytes: RefCell<Vec<u8>>,
        room: Cell<usize>,
    }

    impl Store for &Disk {
        fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
            if self.room.get() == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let (at, taken) = (offset as usize, self.room.get().min(bytes.len()));
            assert_eq!(at, self.bytes.borrow().len(), "without a hole, and nothing twice");
            self.bytes.borrow_mut().extend_from_slice(&bytes[..taken]);
            self.room.set(self.room.get() - taken);
            Ok(taken)
        }

        fn set_len(&mut self, _: u64) -> io::Result<()> {
            unreachable!("a ledger only grows")
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gap(n: u64) -> LedgerLine {
        let (position, frames) = (FrameIndex(1_000 + 10 * n), FrameCount(5));
        LedgerLine::Gap(LedgerGap {
            position,
            frames,
            cause: "loss".to_owned(),
            estimated: false,
            open: false,
        })
    }

    fn end() -> LedgerLine {
        let (frames_written, frames_filled) = (FrameCount(5), FrameCount(5));
        LedgerLine::End(LedgerEnd {
            closed: true,
            frames_written,
            frames_filled,
            drift_ppm: None,
            tai_minus_utc: None,
        })
    }

    fn lines(disk: &Disk) -> Vec<LedgerLine> {
        let bytes = disk.bytes.borrow();
        let text = bytes.strip_suffix(b"\n").unwrap();
        text.split(|&byte| byte == b'\n').map(|line| LedgerLine::parse(line).unwrap()).collect()
    }

    #[test]
    fn a_line_that_was_refused_or_written_by_half_is_there_once_and_whole() {
        let whole = gap(0).encode().len();
        for room in 0..=2 * whole {
            let disk = Disk { room: room.into(), ..Disk::default() };
            let mut writer = LedgerWriter::on_store(&disk);
            let said = [writer.enter(&gap(0)).is_ok(), writer.enter(&gap(1)).is_ok()];
            assert_eq!(said, [room >= whole, room >= 2 * whole]);
            assert_eq!(writer.waits(), room < 2 * whole);
            disk.room.set(usize::MAX);
            if room % 2 == 0 {
                writer.flush().unwrap();
            }
            writer.enter(&end()).unwrap();
            assert!(!writer.waits());
            assert_eq!(lines(&disk), [gap(0), gap(1), end()], "{room}");
        }
    }

    #[test]
    fn what_waits_is_bounded_and_what_is_lost_is_said_in_its_place() {
        let disk = Disk { room: 10.into(), ..Disk::default() };
        let mut writer = LedgerWriter::on_store(&disk);
        for n in 0..5_000 {
            writer.enter(&gap(n)).unwrap_err();
        }
        assert!(writer.tail.end() - writer.tail.written() <= MOST_WAITING);
        let ended = disk.bytes.borrow().len();
        disk.room.set(usize::MAX);
        writer.enter(&gap(5_000)).unwrap();
        assert!(ended < disk.bytes.borrow().len());
        let lines = lines(&disk);
        let kept = lines.len() as u64 - 2;
        assert!((500..5_000).contains(&kept), "{kept}");
        assert!(lines.iter().take(kept as usize).zip(0..).all(|(line, n)| *line == gap(n)));
        let LedgerLine::Event(event) = &lines[kept as usize] else { panic!("{lines:?}") };
        assert_eq!((event.event.as_str(), event.position), ("lines-lost", FrameIndex(1_000 + 10 * kept)));
        let (lost, silence) = (5_000 - kept, 5 * (5_000 - kept));
        assert!(event.detail.contains(&format!("{lost} of them")), "{}", event.detail);
        assert!(event.detail.contains(&format!("{silence} frames")), "{}", event.detail);
        assert_eq!(lines.last(), Some(&gap(5_000)));
    }

    #[test]
    fn the_last_line_is_kept_in_any_case() {
        let disk = Disk::default();
        let mut writer = LedgerWriter::on_store(&disk);
        for n in 0..5_000 {
            writer.enter(&gap(n)).unwrap_err();
        }
        writer.enter(&end()).unwrap_err();
        disk.room.set(usize::MAX);
        writer.flush().unwrap();
        let lines = lines(&disk);
        assert!(matches!(&lines[lines.len() - 2], LedgerLine::Event(event) if event.event == "lines-lost"));
        assert_eq!(lines.last(), Some(&end()));
    }
}
