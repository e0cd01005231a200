//! Where the recordings of an engine that ended stood, for the one that follows: its files begin with the very next frame.
//!
//! Of two legs (ST 2022-7), the later one's copies of the last recorded packets may come when the engine reads no more. They wait in the
//! kept socket (see `keep`), and the next engine begins with them. By this note it knows that they are recorded, and leaves them out.
//!
//! Owns: `resume.json` in the state directory. Never: leaves out a frame; the feed does, and only where the flow begins less than
//! a second before the noted place ([`crate::feed::NEAR`]).
//!
//! # Procedures
//! *Note*, when the engine ends in good order, after the files are closed and the disk was waited for: 1. write `resume.json.new`; 2. fsync;
//! 3. rename; 4. fsync the directory. Noted is each recording that ran then, was placed by its media clock, and whose last file closed well.
//! What a person ended before is not.
//! *Take*, at each start: 1. read; 2. remove; 3. fsync the directory; only then is it used, and only by recordings that begin with the
//! engine. A crash leaves the old note or none: none repeats frames, as after any crash; an old one is taken once.
//!
//! # Invariants
//! - One note serves one start. One that cannot be removed, or not be read, is not used, and that is said once.
//! - A place belongs to the recorder, its channels and its whole flow; where one of them differs, it is not used. Without a media clock
//!   positions mean nothing to another engine.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver as Inbox, Sender, channel};

use audyn_api::SourceConfig;
use audyn_units::FrameIndex;
use serde::{Deserialize, Serialize};

use crate::durable;
use crate::engine::{RecorderSpec, same_flow};

/// The note's name in the state directory.
const NAME: &str = "resume.json";

/// What a recording's positions belong to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Timeline {
    recorder: String,
    channels: Vec<u8>,
    source: SourceConfig,
}

impl Timeline {
    pub(crate) fn new(recorder: &RecorderSpec, source: &SourceConfig) -> Self {
        // What is for people is long, and may change under a flow that stays.
        let source = SourceConfig {
            name: String::new(),
            description: String::new(),
            channel_names: Vec::new(),
            ..source.clone()
        };
        Self { recorder: recorder.id.clone(), channels: recorder.channels.clone(), source }
    }

    /// Whether positions of one are positions of the other.
    fn goes_on_as(&self, other: &Self) -> bool {
        self.recorder == other.recorder
            && self.channels == other.channels
            && same_flow(&self.source, &other.source)
    }
}

/// A recording, and the first frame that it has not got.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    timeline: Timeline,
    end: FrameIndex,
}

/// The disk writer's end: where one recording stood when the engine ended.
#[derive(Debug)]
pub(crate) struct Leaving {
    timeline: Timeline,
    marks: Sender<Mark>,
}

impl Leaving {
    /// The recording has all frames before `end`, and its file is closed.
    pub(crate) fn at(&self, end: FrameIndex) {
        // Nobody listens where there is no state directory.
        let _ = self.marks.send(Mark { timeline: self.timeline.clone(), end });
    }
}

/// What the engine before noted, and what this one will. Dropped after all files are closed: then it notes.
#[derive(Debug)]
pub(crate) struct Resume {
    directory: Option<PathBuf>,
    earlier: Vec<Mark>,
    marks: Sender<Mark>,
    inbox: Inbox<Mark>,
}

impl Resume {
    /// Takes what an earlier engine noted in `directory`; without one nothing is taken or noted.
    pub(crate) fn take(directory: Option<PathBuf>) -> Self {
        let earlier = directory.as_deref().map(take).unwrap_or_default();
        let (marks, inbox) = channel();
        Self { directory, earlier, marks, inbox }
    }

    /// Where the recording that goes on as this one ended.
    pub(crate) fn end_of(&self, timeline: &Timeline) -> Option<FrameIndex> {
        self.earlier.iter().find(|mark| mark.timeline.goes_on_as(timeline)).map(|mark| mark.end)
    }

    /// Forgets what was taken: whoever records from here on was told to by a person.
    pub(crate) fn forget(&mut self) {
        self.earlier.clear();
    }

    /// The end of a recording that begins, by which it will be noted.
    pub(crate) fn leaving(&self, timeline: Timeline) -> Leaving {
        Leaving { timeline, marks: self.marks.clone() }
    }
}

impl Drop for Resume {
    fn drop(&mut self) {
        let marks: Vec<Mark> = self.inbox.try_iter().collect();
        let Some(directory) = self.directory.as_deref().filter(|_| !marks.is_empty()) else { return };
        let noted = serde_json::to_vec(&marks)
            .map_err(io::Error::from)
            .and_then(|note| durable::replace(directory, NAME, &note));
        if let Err(error) = noted {
            tracing::warn!(
                %error,
                "where the recordings end cannot be noted; of a flow on two legs the next files may repeat the last packets"
            );
        }
    }
}

/// The take procedure.
fn take(directory: &Path) -> Vec<Mark> {
    let path = directory.join(NAME);
    let read = match std::fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        read => read,
    };
    let gone = std::fs::remove_file(&path).and_then(|()| File::open(directory)?.sync_all());
    let marks = gone.and(read).and_then(|note| Ok(serde_json::from_slice(&note)?));
    marks.unwrap_or_else(|error| {
        tracing::warn!(
            path = %path.display(), %error,
            "the note of where the recordings ended is not used; of a flow on two legs this engine's first files may repeat the last packets"
        );
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use audyn_core::flow::{Placed, Placement, Why};
    use audyn_core::segment::TimeAnchor;
    use audyn_media::{FileFormat, PcmDepth, WavSpec};

    use super::*;
    use crate::facts::About;
    use crate::recording::{Recording, RecordingPlan};

    fn source() -> SourceConfig {
        serde_json::from_str(r#"{"id":"desk","name":"S","address":"239.1.1.1","media_clock_offset":7}"#)
            .unwrap()
    }

    fn recorder(id: &str) -> RecorderSpec {
        RecorderSpec {
            id: id.to_owned(),
            name: String::new(),
            source: None,
            enabled: true,
            studio: None,
            channels: vec![0],
            formats: vec![audyn_api::FormatConfig::Wav],
            opus: audyn_api::OpusConfig::default(),
            naming: crate::naming::Naming::File("a.wav".into()),
        }
    }

    fn note(directory: &Path, timeline: Timeline) {
        Resume::take(Some(directory.to_owned())).leaving(timeline).at(FrameIndex(1_000));
    }

    #[test]
    fn a_note_serves_one_start_and_only_what_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let (path, timeline) = (dir.path().join(NAME), Timeline::new(&recorder("a"), &source()));
        drop(Resume::take(Some(dir.path().to_owned())));
        assert!(!path.exists(), "nothing recorded");
        note(dir.path(), timeline.clone());
        let mut resume = Resume::take(Some(dir.path().to_owned()));
        assert!(!path.exists());
        assert_eq!(resume.end_of(&timeline), Some(FrameIndex(1_000)));
        let renamed = SourceConfig { name: "another name".to_owned(), ..source() };
        assert_eq!(resume.end_of(&Timeline::new(&recorder("a"), &renamed)), Some(FrameIndex(1_000)));
        assert_eq!(resume.end_of(&Timeline::new(&recorder("b"), &source())), None);
        let channels = RecorderSpec { channels: vec![1], ..recorder("a") };
        assert_eq!(resume.end_of(&Timeline::new(&channels, &source())), None);
        type Change = fn(&mut SourceConfig);
        let changes: [Change; 4] = [
            |source| source.media_clock_offset = Some(8),
            |source| source.rate = audyn_units::SampleRate::HZ_96000,
            |source| source.address = "239.1.1.2".parse().unwrap(),
            |source| source.id = audyn_api::SourceId::new("other").unwrap(),
        ];
        for (n, change) in changes.into_iter().enumerate() {
            let mut other = source();
            change(&mut other);
            assert_eq!(resume.end_of(&Timeline::new(&recorder("a"), &other)), None, "change {n}");
        }
        resume.forget();
        assert_eq!(resume.end_of(&timeline), None, "what begins by hand");
        drop(resume);
        assert!(!path.exists(), "it is not noted again");
    }

    #[test]
    fn a_note_that_cannot_be_read_or_not_be_removed_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let (path, timeline) = (dir.path().join(NAME), Timeline::new(&recorder("a"), &source()));
        note(dir.path(), timeline.clone());
        let whole = std::fs::read(&path).unwrap();
        let torn: [&[u8]; 4] = [&whole[..whole.len() / 2], b"", b"[{\"end\":1}]", b"\0\0\0\0"];
        for bad in torn {
            std::fs::write(&path, bad).unwrap();
            let resume = Resume::take(Some(dir.path().to_owned()));
            assert!(resume.earlier.is_empty() && !path.exists(), "{bad:?}");
        }
        // A directory in its place stands for what can neither be read nor removed.
        std::fs::create_dir(&path).unwrap();
        assert!(Resume::take(Some(dir.path().to_owned())).earlier.is_empty());
        std::fs::remove_dir(&path).unwrap();
        std::fs::write(&path, whole).unwrap();
        assert_eq!(Resume::take(Some(dir.path().to_owned())).end_of(&timeline), Some(FrameIndex(1_000)));
    }

    /// Where a recording is noted that has `frames`, of which all before `whole` came whole, when the engine ends.
    fn noted(dir: &Path, name: &str, frames: u64, whole: u64, stopped: bool) -> Option<u64> {
        let rate = audyn_units::SampleRate::HZ_48000;
        let anchor = TimeAnchor {
            position: FrameIndex(0),
            utc: audyn_units::Timestamp::from_nanos(1_767_225_597_000_000_000),
            rate,
            exact: true,
            tai_offset: None,
        };
        let timeline = Timeline::new(&recorder("a"), &source());
        let plan = RecordingPlan {
            about: About { recorder: "a".to_owned(), ..About::default() },
            naming: crate::naming::Naming::File(dir.join(name)),
            formats: vec![FileFormat::Wav(WavSpec {
                rate,
                channels: audyn_units::ChannelCount::MONO,
                depth: PcmDepth::Pcm24,
            })],
            source_depth: PcmDepth::Pcm24,
        };
        let resume = Resume::take(Some(dir.to_owned()));
        let (mut feed, end) = crate::feed::connect(rate, 1, None, None);
        let mut recording =
            Recording::new(plan, end, Arc::default()).noted_by(resume.leaving(timeline.clone()));
        let (notices, _news) = std::sync::mpsc::sync_channel(64);
        feed.placed(&Placed {
            position: FrameIndex(48_000),
            moved: 0,
            placement: Placement::MediaClock,
            quality: audyn_units::ClockQuality::PtpLocked,
            tai_offset: None,
            why: Why::First,
            anchor,
        });
        feed.audio(FrameIndex(48_000), &vec![1; frames as usize], &anchor);
        if stopped {
            feed.end(None);
        }
        feed.turn(FrameIndex(48_000 + frames), Some(&anchor));
        feed.leave(FrameIndex(48_000 + whole));
        drop(feed);
        recording.finish(audyn_units::Timestamp::from_nanos(1_000_000_000), &notices);
        drop((recording, resume));
        Resume::take(Some(dir.to_owned())).end_of(&timeline).map(|end| end.0)
    }

    #[test]
    fn a_recording_is_noted_where_its_file_ends_or_before_the_hole_at_its_end_and_not_if_a_person_ended_it() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(noted(dir.path(), "a.wav", 96, 96, false), Some(48_096));
        assert_eq!(
            noted(dir.path(), "b.wav", 96, 48, false),
            Some(48_048),
            "the other leg may still bring the rest"
        );
        assert_eq!(noted(dir.path(), "c.wav", 96, 144, false), Some(48_096), "no further than the file");
        assert_eq!(noted(dir.path(), "d.wav", 96, 96, true), None, "a person ended it");
        assert_eq!(noted(dir.path(), "nowhere/a.wav", 96, 96, false), None, "no file could be made");
    }

    #[test]
    fn what_a_crash_left_of_a_new_note_is_no_note() {
        let dir = tempfile::tempdir().unwrap();
        let timeline = Timeline::new(&recorder("a"), &source());
        std::fs::write(dir.path().join("resume.json.new"), b"[{").unwrap();
        assert!(Resume::take(Some(dir.path().to_owned())).earlier.is_empty());
        note(dir.path(), timeline.clone());
        assert_eq!(Resume::take(Some(dir.path().to_owned())).end_of(&timeline), Some(FrameIndex(1_000)));
        // Without a state directory there is nothing to note in.
        Resume::take(None).leaving(timeline).at(FrameIndex(1));
    }
}
