//! The open procedure: how a recording's files are made, one for each format, under one name.
//!
//! Owns: the order. A file's ledger is made before the file, so that no instant shows a recording without one: nothing would tell what it is,
//! and it could never be sealed. A crash between the two leaves a ledger alone, which is no recording; its name is passed over, as that of
//! what somebody has moved away (`naming`). The disk is asked for both as soon as they are there, the ledger first.

use std::path::PathBuf;
use std::sync::mpsc::SyncSender;

use audyn_media::ledger::{LedgerHeader, VERSION};
use audyn_media::peaks::{PeakSpec, PeakWriter};
use audyn_media::{AudioFile, FileFormat, MediaError, Spare, chain};
use audyn_units::FrameIndex;

use super::Recording;
use super::ahead::Ahead;
use crate::facts::rfc3339;
use crate::feed::Opening;
use crate::ledger::{self, Ledger};
use crate::naming::Place;
use crate::segment::Segment;
use crate::shared::Notice;

impl Recording {
    /// The open procedure: what is missing of the files that are wanted is made. Gives the first one's name.
    pub(super) fn open(
        &mut self,
        opening: &Opening,
        notices: &SyncSender<Notice>,
    ) -> Result<PathBuf, String> {
        // What was made ready is of use now, or never.
        let mut ahead = std::mem::take(&mut self.ahead);
        if self.place.is_none() {
            self.place = Some(self.naming.place(opening, self.first, &self.suffixes(), &self.ours)?);
        }
        for at in 0..self.tracks.len() {
            if !self.tracks[at].wants {
                continue;
            }
            match self.open_track(at, opening, &mut ahead, notices) {
                // Somebody has taken this one's name since it was found free; the others have theirs already.
                Err(error @ MediaError::Exists { .. }) if self.tracks.iter().any(|track| !track.wants) => {
                    tracing::warn!(recorder = self.about.recorder, %error, "a format has no file until the next cut");
                    self.close_segments(notices, |track| track.wants);
                }
                Err(error) => {
                    // All is to be looked at anew.
                    if self.tracks.iter().all(|track| track.wants) {
                        self.place = None;
                    }
                    return Err(error.to_string());
                }
                Ok(()) => {}
            }
            self.tracks[at].wants = false;
            self.tell_open();
        }
        let first = self.tracks.first().and_then(|track| track.segment.as_ref());
        Ok(first.map(|segment| segment.path().to_owned()).unwrap_or_default())
    }

    fn open_track(
        &mut self,
        at: usize,
        opening: &Opening,
        ahead: &mut Ahead,
        notices: &SyncSender<Notice>,
    ) -> Result<(), MediaError> {
        let place = self.place.take().expect("a place was found before");
        let spare = ahead.spare(&place.directory);
        let opened = self.open_in(at, &place, opening, spare, notices);
        self.place = Some(place);
        opened
    }

    fn open_in(
        &mut self,
        at: usize,
        place: &Place,
        opening: &Opening,
        spare: Option<Spare>,
        notices: &SyncSender<Notice>,
    ) -> Result<(), MediaError> {
        let Place { directory, names } = place;
        let name = &names[at];
        let header = self.ledger_header(opening, self.tracks[at].format, name.to_string_lossy().into_owned());
        let path = directory.path_of(name);
        let ledger = Ledger::create(directory, &path, header)
            .map_err(|error| {
                tracing::warn!(path = %path.display(), %error, "the gap ledger cannot be made; gaps are only counted");
            })
            .ok();
        let has_ledger = ledger.is_some();
        let opened = self.open_behind(ledger, at, place, opening, spare, notices);
        if opened.is_err() && has_ledger {
            // It tells of nothing; the error of the audio is the one to tell.
            let _ = directory.remove(&chain::ledger_of(name));
        }
        opened
    }

    /// Makes a file whose ledger is there, and what it is drawn from.
    fn open_behind(
        &mut self,
        mut ledger: Option<Ledger>,
        at: usize,
        place: &Place,
        opening: &Opening,
        mut spare: Option<Spare>,
        notices: &SyncSender<Notice>,
    ) -> Result<(), MediaError> {
        let Place { directory, names } = place;
        let name = &names[at];
        let format = self.tracks[at].format;
        let facts = self.about.facts(opening, format.rate(), self.naming.clock());
        // All formats have the same waveform, and only an archive is looked at on the page.
        let drawn = at == 0 && self.naming.chain().is_some();
        let peaks = || {
            let spec = PeakSpec { rate: format.rate(), channels: format.channels(), first: opening.position };
            let made = drawn.then(|| PeakWriter::create_in(directory, name, spec)).transpose();
            made.unwrap_or_else(|error| {
                let path = directory.path_of(name);
                tracing::warn!(path = %path.display(), %error, "no peaks are made of this file; audyn peaks makes them later");
                None
            })
        };
        if let Some(segment) = &mut self.tracks[at].segment {
            let succeeded = segment.succeed(|file| {
                let made = file.succeed_in(directory, name, spare.take(), &facts)?;
                Some(made.map(|()| ledger.take()))
            });
            match succeeded {
                Some(Ok(book)) => {
                    segment.draw(peaks());
                    self.tracks[at].ended.push(book);
                    return Ok(());
                }
                Some(Err(error)) => return Err(error),
                None => {
                    self.close_segments(notices, |track| track.wants);
                }
            }
        }
        let file = format.create_of(spare, directory, name, &facts, self.source_depth)?;
        let mut segment = self.segment(file, ledger, opening.position);
        segment.draw(peaks());
        self.tracks[at].segment = Some(segment);
        Ok(())
    }

    pub(super) fn segment(
        &self,
        file: Box<dyn AudioFile>,
        ledger: Option<Ledger>,
        head: FrameIndex,
    ) -> Segment<'static> {
        let segment = Segment::new(file, ledger, head);
        if self.ours.is_mirror() { segment.unpaid() } else { segment }
    }

    fn ledger_header(&self, opening: &Opening, format: FileFormat, file: String) -> LedgerHeader {
        LedgerHeader {
            audyn_ledger: VERSION,
            recorder: self.about.recorder.clone(),
            studio: self.status().studio.clone(),
            file,
            first_position: opening.position,
            start_utc: rfc3339(opening.utc),
            zone: self.naming.zone_name(),
            rate: format.rate(),
            channels: format.channels().into(),
            bits: format.bits(),
            placed_by: opening.placed.map(|placed| placed.placement.name().to_owned()),
            clock: opening.placed.map(|placed| placed.quality),
            tai_minus_utc: opening.tai_offset.map(ledger::whole_seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;
    use std::sync::mpsc::sync_channel;

    use audyn_core::flow::{Placed, Placement, Why};
    use audyn_core::segment::TimeAnchor;
    use audyn_media::opus::OpusSpec;
    use audyn_media::{PcmDepth, WavSpec};
    use audyn_units::{ChannelCount, ClockQuality, FrameCount, Nanos, SampleRate, Timestamp};
    use rustix::fs::inotify;

    use super::*;
    use crate::facts::About;
    use crate::feed::{self, Feed};
    use crate::naming::Naming;
    use crate::recording::RecordingPlan;
    use crate::shared::SharedRecording;
    use crate::syncer::{Due, State};

    const RATE: SampleRate = SampleRate::HZ_48000;

    /// A recording to `path`, with 10 ms in its rings.
    fn recording(path: &std::path::Path, format: FileFormat) -> (Feed, Recording, SharedRecording) {
        let (mut feed, end) = feed::connect(RATE, 1, None, None);
        let (about, naming) = (About::default(), Naming::File(path.to_owned()));
        let plan = RecordingPlan { about, naming, formats: vec![format], source_depth: PcmDepth::Pcm24 };
        let status = SharedRecording::default();
        let placed = placed();
        feed.placed(&placed);
        feed.audio(placed.position, &[256; 480], &placed.anchor);
        feed.turn(placed.position + FrameCount(480), None);
        (feed, Recording::new(plan, end, SharedRecording::clone(&status)), status)
    }

    fn placed() -> Placed {
        let utc = Timestamp::from_nanos(1_783_000_000 * 1_000_000_000);
        let (position, rate) = (FrameIndex(1_783_000_000 * 48_000), RATE);
        let anchor = TimeAnchor { position, utc, rate, exact: true, tai_offset: None };
        let (placement, quality) = (Placement::MediaClock, ClockQuality::PtpLocked);
        Placed { position, moved: 0, placement, quality, tai_offset: None, why: Why::First, anchor }
    }

    fn wav() -> FileFormat {
        FileFormat::Wav(WavSpec { rate: RATE, channels: ChannelCount::MONO, depth: PcmDepth::Pcm24 })
    }

    #[test]
    fn no_instant_shows_a_recording_without_its_ledger() {
        let dir = tempfile::tempdir().unwrap();
        let seen = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&seen, dir.path(), inotify::WatchFlags::CREATE).unwrap();
        for (format, ends) in [(wav(), ""), (FileFormat::Opus(OpusSpec::new(RATE, ChannelCount::MONO)), "b")]
        {
            let path = dir.path().join(format!("a{ends}.{}", format.name()));
            let (mut feed, mut recording, status) = recording(&path, format);
            let (notices, _news) = sync_channel(64);
            let now = Timestamp::from_nanos(1_000_000_000);
            recording.work(now, Timestamp::from_nanos(i64::MAX), &notices);
            // Where one encoder runs over both files, too.
            feed.cut_here();
            let next = placed().position + FrameCount(480);
            feed.audio(next, &[256; 480], &placed().anchor);
            feed.turn(next + FrameCount(480), None);
            recording.work(now, Timestamp::from_nanos(i64::MAX), &notices);
            assert_eq!(status.lock().unwrap().error, None);
        }
        let mut bytes = [MaybeUninit::uninit(); 4_096];
        let mut reader = inotify::Reader::new(seen, &mut bytes);
        let mut names = Vec::new();
        while let Ok(event) = reader.next() {
            names.push(event.file_name().unwrap().to_str().unwrap().to_owned());
        }
        let both = |name: &str| [format!("{name}.gaps.jsonl"), name.to_owned()];
        assert_eq!(names, ["a.wav", "a_002.wav", "ab.opus", "ab_002.opus"].map(both).concat());
    }

    #[test]
    fn the_ledger_of_a_file_that_cannot_be_made_is_not_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let format = FileFormat::Opus(OpusSpec { bitrate: 1, ..OpusSpec::new(RATE, ChannelCount::MONO) });
        let (_feed, mut recording, status) = recording(&dir.path().join("a.opus"), format);
        let (notices, _news) = sync_channel(64);
        recording.work(Timestamp::from_nanos(1), Timestamp::from_nanos(i64::MAX), &notices);
        assert!(status.lock().unwrap().error.is_some());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_disk_is_asked_for_a_new_file_at_once_and_for_its_ledger_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let (mut feed, mut recording, _status) = recording(&path, wav());
        let (notices, _news) = sync_channel(64);
        let millis = |n: i64| Timestamp::from_nanos(n * 1_000_000);
        let second = Nanos::from_secs(1);
        let open = |recording: &mut Recording, now: i64| {
            let dues = recording.due_to_sync(millis(now), second).into_iter();
            dues.filter(|due| matches!(due.state, State::Open(_)))
                .map(|due: Due| due.path)
                .collect::<Vec<_>>()
        };
        recording.work(millis(10_000), Timestamp::from_nanos(i64::MAX), &notices);
        assert_eq!(open(&mut recording, 10_000), [ledger::path_of(&path), path]);
        assert_eq!(open(&mut recording, 10_900), Vec::<PathBuf>::new());
        feed.cut_here();
        let next = placed().position + FrameCount(480);
        feed.audio(next, &[256; 480], &placed().anchor);
        feed.turn(next + FrameCount(480), None);
        recording.work(millis(10_900), Timestamp::from_nanos(i64::MAX), &notices);
        let path = dir.path().join("a_002.wav");
        assert_eq!(open(&mut recording, 10_900), [ledger::path_of(&path), path]);
    }
}
