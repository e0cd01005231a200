//! The file that is open, and its ledger.
//!
//! Owns: the account of one file, and its gaps as they grow: what is silence in the file is in the ledger, to the frame, since
//! both are made of the same calls. While the disk refuses for so long that memory is full, frames are owed; when it takes
//! them again, silence of the same length stands in their place. A mirror's file is never paid: it ends where it is owed something.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use audyn_core::flow::{FlowEvent, Gap, GapCause, Placed};
use audyn_media::peaks::PeakWriter;
use audyn_media::{AudioFile, Finished, MediaError};
use audyn_units::{FrameCount, FrameIndex};

use crate::ledger::{Ending, Ledger};

/// What a file holds, in frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// Frames that came.
    pub(crate) written: FrameCount,
    /// Frames of silence in the place of those that did not.
    pub(crate) filled: FrameCount,
}

impl Account {
    pub(crate) fn frames(&self) -> FrameCount {
        self.written + self.filled
    }
}

/// The file that is open, with its account.
pub(crate) struct Segment<'a> {
    file: Box<dyn AudioFile + 'a>,
    book: Book,
    /// What it will be drawn from, if anything: the peaks of exactly the frames that the file took.
    peaks: Option<PeakWriter>,
    /// What it is owed stays missing at its end.
    unpaid: bool,
}

/// The account of a file and its ledger. It outlives the segment where the file's end is still in an encoder.
pub(crate) struct Book {
    path: PathBuf,
    /// None if it could not be made; said so in the log.
    ledger: Option<Ledger>,
    /// Position of the next frame.
    head: FrameIndex,
    account: Account,
    /// The gap that the head stands in.
    gap: Option<Gap>,
    /// Frames that the file could not take, from their position to the head; so many of them are paid by now.
    owed: Option<Gap>,
    /// Gaps that are complete and that nobody has been told of yet.
    told: Vec<Gap>,
    /// Gaps that the file need not hold yet: what is lost at its end may be theirs.
    recent: VecDeque<Gap>,
    /// What its ledger's last line tells.
    ending: Ending,
    /// The gap that the head stands in is in the ledger, as one that is open.
    entered: bool,
    /// Bytes of the file when the next one succeeded it.
    bytes: u64,
}

/// A file that is closed.
pub(crate) struct Closed {
    pub(crate) path: PathBuf,
    pub(crate) account: Account,
    /// Gaps that nobody has been told of.
    pub(crate) gaps: Vec<Gap>,
    pub(crate) bytes: u64,
    pub(crate) result: Result<(), MediaError>,
    /// Its ledger, if the disk has not taken all of it yet.
    pub(crate) ledger: Option<Ledger>,
    /// Frames that it lacks at its end.
    pub(crate) missing: FrameCount,
}

impl<'a> Segment<'a> {
    /// The account of `file`, which begins at `head`.
    pub(crate) fn new(file: Box<dyn AudioFile + 'a>, ledger: Option<Ledger>, head: FrameIndex) -> Self {
        let book = Book::new(file.path().to_owned(), ledger, head);
        Self { file, book, peaks: None, unpaid: false }
    }

    /// What it is owed is not to be paid: somebody else has it.
    pub(crate) fn unpaid(self) -> Self {
        Self { unpaid: true, ..self }
    }

    /// Whether it is owed something.
    pub(crate) fn is_owed(&self) -> bool {
        self.book.owed.is_some()
    }

    /// Ends the peaks that it has, and goes on with these.
    pub(crate) fn draw(&mut self, peaks: Option<PeakWriter>) {
        if let Some(before) = std::mem::replace(&mut self.peaks, peaks)
            && let Err(error) = before.close()
        {
            tracing::debug!(%error, "the end of a file's peaks could not be written");
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.book.path
    }

    pub(crate) fn account(&self) -> Account {
        self.book.account
    }

    /// Position of the next frame.
    pub(crate) fn head(&self) -> FrameIndex {
        self.book.head
    }

    /// Bytes of the file as it is.
    pub(crate) fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    /// Frames that the file holds for whoever reads it.
    pub(crate) fn counted(&self) -> FrameCount {
        self.file.frames().saturating_sub(self.file.buffered_frames())
    }

    /// Gaps that have become complete since the last call.
    pub(crate) fn take_gaps(&mut self) -> Vec<Gap> {
        std::mem::take(&mut self.book.told)
    }

    /// Pays of the silence that is owed at most `most` frames, if the disk takes it now. False if more of it is to be paid.
    pub(crate) fn pay(&mut self, most: FrameCount) -> Result<bool, MediaError> {
        let Some(owed) = self.book.owed else { return Ok(true) };
        self.file.flush()?;
        // One that has no audio yet is no end of anything: it goes on behind the silence.
        if self.unpaid && self.book.account.written > FrameCount::ZERO {
            return Ok(true);
        }
        let left = self.book.owing();
        let part = left.min(most);
        let paid = self.file.append_silence(part);
        if matches!(paid, Err(MediaError::Backlog { .. } | MediaError::Codec { .. })) {
            return paid.map(|()| false);
        }
        let gap = Gap { frames: owed.frames + part, ..owed };
        self.book.account.filled += part;
        if let Some(peaks) = &mut self.peaks {
            peaks.append_silence(part);
        }
        self.book.gap = Some(gap);
        if part < left {
            self.book.owed = Some(gap);
        } else {
            self.book.owed = None;
            self.book.end_gap();
        }
        paid.map(|()| part == left)
    }

    /// While something is owed, what comes is owed as well; says what the disk says.
    fn while_owing(&mut self) -> Option<Result<(), MediaError>> {
        self.book.owed.map(|_| self.file.flush())
    }

    /// Writes whole frames.
    pub(crate) fn audio(&mut self, samples: &[i32]) -> Result<(), MediaError> {
        let frames = FrameCount((samples.len() / self.file.channels().get()) as u64);
        if frames == FrameCount::ZERO {
            return Ok(());
        }
        self.book.end_gap();
        let result = self.while_owing().unwrap_or_else(|| self.file.append(samples));
        if self.book.took(frames, &result) {
            self.book.account.written += frames;
            if let Some(peaks) = &mut self.peaks {
                peaks.append(samples);
            }
        }
        result
    }

    /// Writes silence and enters it.
    pub(crate) fn silence(&mut self, frames: FrameCount, cause: GapCause) -> Result<(), MediaError> {
        if self.book.gap.is_some_and(|gap| gap.cause != cause) {
            self.book.end_gap();
        }
        let at = self.book.head;
        let result = self.while_owing().unwrap_or_else(|| self.file.append_silence(frames));
        if self.book.took(frames, &result) {
            self.book.filled(at, frames, cause);
            if let Some(peaks) = &mut self.peaks {
                peaks.append_silence(frames);
            }
        }
        result
    }

    /// Takes note that what follows is placed by its arrival.
    pub(crate) fn joint(&mut self, cause: GapCause) {
        self.book.joint(cause);
    }

    /// Enters an event at the head.
    pub(crate) fn event(&mut self, event: FlowEvent) {
        let at = self.book.head;
        self.book.enter(|ledger| ledger.event(at, event));
    }

    /// Enters why the file ends here and where the next goes on.
    pub(crate) fn ends(&mut self, placed: &Placed) {
        self.book.end_gap();
        let at = self.book.head;
        self.book.enter(|ledger| ledger.placed_anew(at, placed));
    }

    /// Takes note of what is known now, should the file end.
    pub(crate) fn ending(&mut self, ending: Ending) {
        self.book.ending = ending;
    }

    /// Writes what is buffered, and what counts it. Silence that is counted is in the ledger before.
    pub(crate) fn flush(&mut self) -> Result<(), MediaError> {
        if self.book.owed.is_some() {
            self.file.flush()?;
        }
        self.book.enter_open();
        self.book.enter(|ledger| {
            ledger.settle();
        });
        let checkpoint = self.file.checkpoint();
        // A disk that refuses peaks refuses audio, which says so.
        let _ = self.peaks.as_mut().map(PeakWriter::flush);
        self.book.holds(self.file.buffered_frames());
        checkpoint
    }

    /// Ends the file here and goes on in the one that `next` makes, where one encoder runs over both: gives the account of the
    /// ended one, whose end comes by [`Segment::take_finished`]. None where each file stands for itself; an error leaves all as it was.
    pub(crate) fn succeed<E>(
        &mut self,
        next: impl FnOnce(&mut dyn AudioFile) -> Option<Result<Option<Ledger>, E>>,
    ) -> Option<Result<Book, E>> {
        // What is owed belongs into the ended file; while the disk refuses it, the next one would be refused as well.
        if self.settle().is_err() || self.book.owed.is_some() {
            return None;
        }
        let bytes = self.file.bytes();
        let ledger = match next(&mut *self.file)? {
            Ok(ledger) => ledger,
            Err(error) => return Some(Err(error)),
        };
        self.book.end_gap();
        let next = Book::new(self.file.path().to_owned(), ledger, self.book.head);
        let ended = std::mem::replace(&mut self.book, next);
        Some(Ok(Book { bytes, ..ended }))
    }

    /// The files before this one that have come out of the encoder.
    pub(crate) fn take_finished(&mut self) -> Vec<Finished> {
        self.file.take_finished()
    }

    /// Closes the file, and those before it that the encoder still had, whose accounts are `before`; then their ledgers.
    pub(crate) fn close(mut self, before: Vec<Book>) -> Vec<Closed> {
        let settled = self.settle();
        self.draw(None);
        let Self { file, book, .. } = self;
        let mut books = before;
        books.push(book);
        let mut closed: Vec<Closed> = file
            .close()
            .into_iter()
            .filter_map(|finished| {
                let at = books.iter().position(|book| book.path == finished.path)?;
                Some(books.swap_remove(at).close(finished))
            })
            .collect();
        if let (Err(error), Some(last)) = (settled, closed.last_mut())
            && last.result.is_ok()
        {
            last.result = Err(error);
        }
        closed
    }

    /// Pays all the silence that is owed, if the disk takes it now.
    fn settle(&mut self) -> Result<(), MediaError> {
        let all = self.book.owing();
        self.pay(all).map(|_| ())
    }
}

impl Book {
    fn new(path: PathBuf, ledger: Option<Ledger>, head: FrameIndex) -> Self {
        Self {
            path,
            ledger,
            head,
            account: Account::default(),
            gap: None,
            owed: None,
            told: Vec::new(),
            recent: VecDeque::new(),
            ending: Ending::default(),
            entered: false,
            bytes: 0,
        }
    }

    /// Bytes that a file has which has ended and whose last frames are still in the encoder.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn account(&self) -> Account {
        self.account
    }

    /// Frames that are owed still.
    fn owing(&self) -> FrameCount {
        self.owed.map_or(FrameCount::ZERO, |owed| self.head.since(owed.position).saturating_sub(owed.frames))
    }

    /// Ends the account of a file that has ended, and its ledger.
    pub(crate) fn close(mut self, finished: Finished) -> Closed {
        // What is not paid is told as the end that is missing.
        let owing = self.owing();
        self.owed = None;
        self.end_gap();
        let Self { path, ledger, mut account, head, told, ending, recent, .. } = self;
        let lost = match &finished.result {
            Err(MediaError::Close { lost, .. }) => *lost,
            _ => FrameCount::ZERO,
        };
        // What was lost at the end is told as such; the rest of the account is what stands in the file.
        let valid = finished.frames.saturating_sub(lost);
        let missing = lost + owing;
        let end = head - missing;
        let behind = |gap: &Gap| (gap.position + gap.frames).since(end.max(gap.position));
        let unfilled = recent.iter().map(behind).fold(FrameCount::ZERO, |sum, frames| sum + frames);
        account.filled = account.filled.saturating_sub(unfilled).min(valid);
        account.written = valid.saturating_sub(account.filled);
        let ledger = ledger.and_then(|mut ledger| {
            if missing > FrameCount::ZERO {
                ledger.cut_short(end, missing);
            }
            ledger.close(account.written, account.filled, ending)
        });
        Closed { path, account, gaps: told, bytes: finished.bytes, result: finished.result, ledger, missing }
    }

    /// Takes note of silence that was written at `at`.
    fn filled(&mut self, at: FrameIndex, frames: FrameCount, cause: GapCause) {
        self.account.filled += frames;
        match &mut self.gap {
            Some(gap) => gap.frames += frames,
            None => {
                self.gap = Some(Gap { position: at, frames, cause, estimated: false });
                self.entered = false;
                if cause == GapCause::Outage {
                    // It may last for hours: that it has begun is on disk before it ends.
                    self.enter_open();
                }
            }
        }
    }

    /// Takes note that the file holds all but the last `buffered` frames.
    fn holds(&mut self, buffered: FrameCount) {
        // What is owed is not buffered.
        let taken = self.head - self.owing();
        let held = taken.0.saturating_sub(buffered.0);
        let gone = self.recent.partition_point(|gap| gap.position.0 + gap.frames.0 <= held);
        self.recent.drain(..gone);
    }

    fn joint(&mut self, cause: GapCause) {
        if self.owed.is_some() {
            return;
        }
        let here = Gap { position: self.head, frames: FrameCount::ZERO, cause, estimated: true };
        self.gap.get_or_insert(here).estimated = true;
        self.end_gap();
    }

    /// Ends the gap that the head stands in, if it does. One that is being paid ends when it is paid.
    fn end_gap(&mut self) {
        if self.owed.is_none()
            && let Some(gap) = self.gap.take()
        {
            self.enter(|ledger| ledger.gap(gap, false));
            self.told.push(gap);
            self.recent.push_back(gap);
        }
    }

    /// Enters that the gap that the head stands in has begun.
    fn enter_open(&mut self) {
        if let Some(gap) = self.gap.filter(|gap| !self.entered && gap.frames > FrameCount::ZERO) {
            self.entered = true;
            self.enter(|ledger| ledger.gap(gap, true));
        }
    }

    /// Moves the head over frames that were given; false if the file could not take them.
    fn took(&mut self, frames: FrameCount, result: &Result<(), MediaError>) -> bool {
        let at = self.head;
        self.head += frames;
        // An error of writing leaves them buffered; only a full buffer or the encoder refuses.
        let refused = self.owed.is_some()
            || matches!(result, Err(MediaError::Backlog { .. } | MediaError::Codec { .. }));
        if refused {
            self.end_gap();
            let gap =
                Gap { position: at, frames: FrameCount::ZERO, cause: GapCause::DiskStall, estimated: false };
            self.owed.get_or_insert(gap);
        }
        !refused
    }

    fn enter(&mut self, line: impl FnOnce(&mut Ledger)) {
        if let Some(ledger) = &mut self.ledger {
            line(ledger);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering::Relaxed;
    use std::sync::{Arc, Mutex};

    use audyn_media::ledger::{LedgerHeader, LedgerLine, LedgerWriter, VERSION};
    use audyn_media::{Facts, PcmDepth, Store, WavSpec, WavWriter};
    use audyn_units::{ChannelCount, SampleRate};

    use super::*;

    /// A disk that takes so many more bytes, and then nothing.
    struct Disk<'a> {
        room: &'a AtomicU64,
    }

    impl Store for Disk<'_> {
        fn write_at(&mut self, bytes: &[u8], _: u64) -> io::Result<usize> {
            if self.room.load(Relaxed) == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let taken = self.room.load(Relaxed).min(bytes.len() as u64);
            self.room.store(self.room.load(Relaxed) - taken, Relaxed);
            Ok(taken as usize)
        }

        fn set_len(&mut self, _: u64) -> io::Result<()> {
            if self.room.load(Relaxed) == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const AT: FrameIndex = FrameIndex(1_000_000);

    fn header() -> LedgerHeader {
        LedgerHeader {
            audyn_ledger: VERSION,
            recorder: "a".to_owned(),
            studio: None,
            file: "a.wav".to_owned(),
            first_position: AT,
            start_utc: String::new(),
            zone: None,
            rate: SampleRate::HZ_48000,
            channels: 1,
            bits: Some(24),
            placed_by: None,
            clock: None,
            tai_minus_utc: None,
        }
    }

    fn segment<'a>(room: &'a AtomicU64, dir: &Path) -> Segment<'a> {
        let beneath = audyn_media::Beneath::root(dir).unwrap();
        with_ledger(room, Ledger::create(&beneath, &dir.join("a.wav"), header()).unwrap())
    }

    fn with_ledger(room: &AtomicU64, ledger: Ledger) -> Segment<'_> {
        let spec =
            WavSpec { rate: SampleRate::HZ_48000, channels: ChannelCount::MONO, depth: PcmDepth::Pcm24 };
        let writer = WavWriter::on_store(Disk { room }, "a.wav", spec, &Facts::default()).unwrap();
        Segment::new(Box::new(writer), Some(ledger), AT)
    }

    /// The lines of the ledger as (position in the file, frames, cause), and its last line.
    fn ledger(dir: &Path) -> (Vec<(u64, u64, String)>, serde_json::Value) {
        let text = std::fs::read_to_string(dir.join("a.wav.gaps.jsonl")).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let gaps = lines.iter().filter(|line| line.get("cause").is_some() && line.get("open").is_none());
        let number = |line: &serde_json::Value, name: &str| line[name].as_u64().unwrap();
        let gaps = gaps.map(|line| {
            (
                number(line, "position") - AT.0,
                number(line, "frames"),
                line["cause"].as_str().unwrap().to_owned(),
            )
        });
        (gaps.collect(), lines.last().unwrap().clone())
    }

    #[test]
    fn peaks_are_those_of_the_file_silence_and_all() {
        use audyn_media::peaks::{PeakSpec, make};
        let dir = tempfile::tempdir().unwrap();
        let root = audyn_media::Beneath::root(dir.path()).unwrap();
        let name = std::ffi::OsStr::new("a.wav");
        let spec =
            WavSpec { rate: SampleRate::HZ_48000, channels: ChannelCount::MONO, depth: PcmDepth::Pcm24 };
        let file = audyn_media::FileFormat::Wav(spec);
        let file = file.create_in(&root, name, &Facts::default(), PcmDepth::Pcm24).unwrap();
        let mut segment = Segment::new(file, None, AT);
        let drawn = PeakSpec { rate: spec.rate, channels: spec.channels, first: FrameIndex(0) };
        segment.draw(Some(PeakWriter::create_in(&root, name, drawn).unwrap()));
        for n in 1..=10 {
            segment.audio(&[n * 7_654_321; 9_999]).unwrap();
            segment.silence(FrameCount(1_000), GapCause::Loss).unwrap();
            segment.flush().unwrap();
        }
        segment.close(Vec::new());
        let path = dir.path().join("a.wav.peaks");
        let written = std::fs::read(&path).unwrap();
        assert_eq!(written.len(), 64 + 2 * 273 * 4);
        make(&root, name, || true).unwrap();
        assert!(std::fs::read(&path).unwrap() == written);
    }

    #[test]
    fn silence_and_ledger_are_the_same_to_the_frame() {
        let (dir, room) = (tempfile::tempdir().unwrap(), AtomicU64::new(u64::MAX));
        let mut segment = segment(&room, dir.path());
        segment.silence(FrameCount(10), GapCause::Outage).unwrap();
        segment.silence(FrameCount(20), GapCause::Outage).unwrap();
        segment.joint(GapCause::Outage);
        segment.audio(&[1 << 8; 100]).unwrap();
        segment.joint(GapCause::TimestampJump);
        segment.audio(&[1 << 8; 50]).unwrap();
        segment.silence(FrameCount(5), GapCause::Loss).unwrap();
        segment.silence(FrameCount(6), GapCause::DiskStall).unwrap();
        let Closed { account, gaps, result, .. } = segment.close(Vec::new()).remove(0);
        result.unwrap();
        assert_eq!(account, Account { written: FrameCount(150), filled: FrameCount(41) });
        let entry = |at, frames, cause: &str| (at, frames, cause.to_owned());
        let (lines, last) = ledger(dir.path());
        assert_eq!(
            lines,
            [
                entry(0, 30, "outage"),
                entry(130, 0, "timestamp-jump"),
                entry(180, 5, "loss"),
                entry(185, 6, "disk-stall")
            ]
        );
        assert_eq!(gaps.iter().map(|gap| gap.estimated).collect::<Vec<_>>(), [true, true, false, false]);
        assert_eq!((last["frames_written"].as_u64(), last["frames_filled"].as_u64()), (Some(150), Some(41)));
    }

    #[test]
    fn silence_that_the_header_counts_is_in_the_ledger_whenever_the_engine_dies() {
        let (dir, room) = (tempfile::tempdir().unwrap(), AtomicU64::new(u64::MAX));
        let mut segment = segment(&room, dir.path());
        segment.audio(&[1 << 8; 100]).unwrap();
        segment.silence(FrameCount(5_000), GapCause::Loss).unwrap();
        segment.flush().unwrap();
        let text = std::fs::read_to_string(dir.path().join("a.wav.gaps.jsonl")).unwrap();
        let facts = audyn_media::ledger::LedgerFacts::read(text.as_bytes(), segment.counted()).unwrap();
        assert!(segment.counted() > FrameCount(100));
        assert_eq!(facts.filled + FrameCount(100), segment.counted(), "{text}");
        segment.flush().unwrap();
        segment.audio(&[1 << 8; 100]).unwrap();
        assert_eq!(ledger(dir.path()).0, [(100, 5_000, "loss".to_owned())], "once open, once whole");
    }

    #[test]
    fn what_a_full_disk_refused_is_silence_of_the_same_length_once_it_has_room() {
        let (dir, room) = (tempfile::tempdir().unwrap(), AtomicU64::new(u64::MAX));
        let mut segment = segment(&room, dir.path());
        segment.audio(&[1 << 8; 48_000]).unwrap();
        segment.flush().unwrap();
        room.store(0, Relaxed);
        // 16 MiB wait in memory; what comes then is owed.
        let second = vec![1 << 8; 48_000];
        let mut seconds = 1u64;
        while !matches!(segment.audio(&second), Err(MediaError::Backlog { .. })) {
            seconds += 1;
        }
        let kept = seconds * 48_000;
        segment.silence(FrameCount(1_000), GapCause::Loss).unwrap_err();
        assert!(segment.pay(FrameCount(1)).is_err(), "it is refused still");
        room.store(u64::MAX, Relaxed);
        // It is paid by parts, and a kill between two of them finds the ledger right.
        assert!(!segment.pay(FrameCount(30_000)).unwrap());
        segment.flush().unwrap();
        let text = std::fs::read_to_string(dir.path().join("a.wav.gaps.jsonl")).unwrap();
        let facts = audyn_media::ledger::LedgerFacts::read(text.as_bytes(), segment.counted()).unwrap();
        assert!(segment.counted() > FrameCount(kept) && segment.counted() <= FrameCount(kept + 30_000));
        assert_eq!(facts.filled + FrameCount(kept), segment.counted(), "{text}");
        assert!(segment.pay(FrameCount(30_000)).unwrap());
        segment.audio(&second).unwrap();
        let Closed { account, gaps, result, .. } = segment.close(Vec::new()).remove(0);
        result.unwrap();
        assert_eq!(account, Account { written: FrameCount(kept + 48_000), filled: FrameCount(49_000) });
        assert_eq!(gaps.len(), 1);
        assert_eq!(ledger(dir.path()).0, [(kept, 49_000, "disk-stall".to_owned())]);
    }

    #[test]
    fn a_mirrors_file_is_paid_only_where_it_has_taken_nothing_yet() {
        for taken in [0u64, 100] {
            let (dir, room) = (tempfile::tempdir().unwrap(), AtomicU64::new(u64::MAX));
            let mut segment = segment(&room, dir.path()).unpaid();
            segment.audio(&vec![1 << 8; taken as usize]).unwrap();
            // As where an encoder refuses what comes next.
            let (at, refused) = (segment.head(), FrameCount(5_000));
            let gap =
                Gap { position: at, frames: FrameCount::ZERO, cause: GapCause::DiskStall, estimated: false };
            (segment.book.owed, segment.book.head) = (Some(gap), at + refused);
            while !segment.pay(FrameCount(480)).unwrap() {}
            let paid = if taken == 0 { refused } else { FrameCount::ZERO };
            assert_eq!((segment.is_owed(), segment.account().filled), (taken > 0, paid), "{taken}");
        }
    }

    #[test]
    fn what_is_not_paid_at_the_end_is_told_as_missing_and_what_is_paid_stands() {
        let (dir, room) = (tempfile::tempdir().unwrap(), AtomicU64::new(u64::MAX));
        let mut segment = segment(&room, dir.path());
        room.store(0, Relaxed);
        let second = vec![1 << 8; 48_000];
        while !matches!(segment.audio(&second), Err(MediaError::Backlog { .. })) {}
        room.store(u64::MAX, Relaxed);
        assert!(!segment.pay(FrameCount(40_000)).unwrap());
        segment.flush().unwrap();
        room.store(0, Relaxed);
        let Closed { account, gaps, .. } = segment.close(Vec::new()).remove(0);
        let (lines, last) = ledger(dir.path());
        assert_eq!((gaps.len(), lines.len()), (1, 1));
        assert_eq!(account.filled, FrameCount(40_000));
        assert_eq!(last["frames_filled"].as_u64(), Some(40_000));
        let text = std::fs::read_to_string(dir.path().join("a.wav.gaps.jsonl")).unwrap();
        assert!(text.contains("the last 8000 frames"), "{text}");
        let facts = audyn_media::ledger::LedgerFacts::read(text.as_bytes(), account.frames()).unwrap();
        assert_eq!(facts.filled, FrameCount(40_000), "{text}");
    }

    #[test]
    fn a_disk_that_is_full_at_the_end_is_not_told_otherwise_by_the_ledger() {
        let (dir, room) = (tempfile::tempdir().unwrap(), AtomicU64::new(u64::MAX));
        let mut segment = segment(&room, dir.path());
        segment.audio(&[1 << 8; 1_500]).unwrap();
        segment.flush().unwrap();
        room.store(0, Relaxed);
        segment.audio(&[1 << 8; 500]).unwrap();
        let Closed { account, result, .. } = segment.close(Vec::new()).remove(0);
        assert!(matches!(result, Err(MediaError::Close { .. })));
        // One block behind the header's, of 3 bytes a frame.
        assert_eq!(account.written, FrameCount(1_365));
        let text = std::fs::read_to_string(dir.path().join("a.wav.gaps.jsonl")).unwrap();
        assert!(text.contains("the last 635 frames"), "{text}");
        assert_eq!(ledger(dir.path()).1["frames_written"].as_u64(), Some(1_365));
    }

    #[test]
    fn silence_that_a_full_disk_lost_at_the_end_is_no_silence_of_the_file() {
        let (dir, room) = (tempfile::tempdir().unwrap(), AtomicU64::new(u64::MAX));
        let mut segment = segment(&room, dir.path());
        segment.audio(&[1 << 8; 1_000]).unwrap();
        segment.silence(FrameCount(100), GapCause::Loss).unwrap();
        segment.audio(&[1 << 8; 400]).unwrap();
        segment.flush().unwrap();
        room.store(0, Relaxed);
        segment.silence(FrameCount(300), GapCause::Loss).unwrap();
        segment.audio(&[1 << 8; 200]).unwrap();
        let Closed { account, .. } = segment.close(Vec::new()).remove(0);
        assert_eq!(account, Account { written: FrameCount(1_265), filled: FrameCount(100) });
        let text = std::fs::read_to_string(dir.path().join("a.wav.gaps.jsonl")).unwrap();
        let facts = audyn_media::ledger::LedgerFacts::read(text.as_bytes(), account.frames()).unwrap();
        assert_eq!(facts.filled, facts.end.unwrap().frames_filled, "{text}");
    }

    /// A ledger's disk, which takes what it is given only while it has room.
    struct Shared {
        text: Arc<Mutex<Vec<u8>>>,
        room: Arc<AtomicU64>,
    }

    impl Store for Shared {
        fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
            let taken = Disk { room: &self.room }.write_at(bytes, offset)?;
            let mut text = self.text.lock().unwrap();
            text.truncate(offset as usize);
            text.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn set_len(&mut self, _: u64) -> io::Result<()> {
            unreachable!("a ledger only grows")
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_gap_that_the_disk_refused_is_entered_once_it_has_room_also_behind_the_end() {
        let room = AtomicU64::new(u64::MAX);
        let (text, ledgers_room) = (Arc::default(), Arc::new(AtomicU64::new(u64::MAX)));
        let disk = Shared { text: Arc::clone(&text), room: Arc::clone(&ledgers_room) };
        let mut writer = LedgerWriter::on_store(Box::new(disk) as Box<dyn Store + Send>);
        writer.enter(&LedgerLine::Header(header())).unwrap();
        let mut segment = with_ledger(&room, Ledger::on(Path::new("a.wav"), writer));
        segment.audio(&[1 << 8; 100]).unwrap();
        ledgers_room.store(20, Relaxed);
        segment.silence(FrameCount(5), GapCause::Loss).unwrap();
        segment.audio(&[1 << 8; 100]).unwrap();
        segment.silence(FrameCount(7), GapCause::Loss).unwrap();
        segment.audio(&[1 << 8; 100]).unwrap();
        assert!(!text.lock().unwrap().ends_with(b"\n"), "one is torn");
        let Closed { account, ledger, .. } = segment.close(Vec::new()).remove(0);
        let mut ledger = ledger.expect("the disk has not taken it yet");
        assert!(!ledger.settle());
        ledgers_room.store(u64::MAX, Relaxed);
        assert!(ledger.settle());
        let facts =
            audyn_media::ledger::LedgerFacts::read(&text.lock().unwrap()[..], account.frames()).unwrap();
        let gaps: Vec<_> = facts.gaps.iter().map(|gap| (gap.position.0 - AT.0, gap.frames.0)).collect();
        assert_eq!(gaps, [(100, 5), (205, 7)]);
        assert_eq!(facts.end.unwrap().frames_filled, FrameCount(12));
    }
}
