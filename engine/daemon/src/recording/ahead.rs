//! What is done for a recording's next files before they are wanted, so that at the cut little is left that may wait for the disk.
//!
//! Owns: when that is done, and that it is kept no longer than it may be of use. Never: a name. A file that is made ready has none
//! ([`Spare`]): it stands in no directory and no list, is no recording to anybody, and cannot be in the way of one.
//!
//! The cut is foreseen by the rule that cuts: the first boundary behind the instant by which the files are named that are open. That it is
//! near their frames tell; no clock is asked. Where it comes elsewhere after all (a clock was changed, the sender broke, a leap second), the
//! name is found as ever, and what was made ready is taken if that lies in the same directory, and else dropped. So it is when the files
//! end without others, have gone, or are let go of.
//!
//! # Procedures
//! *Ready*, of one recording each turn of the disk writer: 1. the names are looked for, as at the cut, which makes their directory; 2. where
//! it is another than that of the files that are open, the disk is asked to confirm the names of what was made; 3. for each format a file
//! without a name, with its first room set aside (`audyn_media`).
//! *Cut*: 1. the names are looked for once more, on the volume that is there then; 2. each file gets its head and then its name, unless that is
//! taken by now: nothing is replaced.
//!
//! What is refused is told by nobody but the debug log: the running files go on, and what is lacking is done at the cut, which tells. So it
//! is where there are no files without names (NFS, CIFS, FAT): there only the directories are ready.
//!
//! | a crash after | leaves | who cleans it |
//! |---|---|---|
//! | 1 and 2 of *Ready* | an empty directory, as an end of the recording does | nobody need: the files of that time go there |
//! | 3 of *Ready*, 1 of *Cut* | nothing | the kernel frees what has no name with its process, the file system after a power cut when it is mounted |
//! | 2 of *Cut* | a file of no frames | `sweep`, as if it had not been made ready |
//!
//! # Rejected designs
//! *A hidden file that is renamed*: somebody would have to find and remove it after a crash, and it would count as taken room until then.
//! *Ledger and peaks as well*: they are made without a wait by then, in a directory that is in memory, beside an inode that is.
//! *A thread of its own*: the running files are flushed between two recordings' turns, and a disk that stalls stalls them anyway.

use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;

use audyn_media::{Beneath, Spare};
use audyn_units::{FrameCount, FrameIndex, Nanos, SampleRate};

use super::Recording;
use crate::feed::Opening;
use crate::naming::Naming;
use crate::shared::Notice;
use crate::syncer::{Due, State};

/// How long before the cut it is done: time enough for 64 recorders that are all cut at the full hour, one each 40 ms.
const AHEAD: Nanos = Nanos::from_secs(4);

/// What is foreseen, and what of it is ready.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// What comes next; none where no rule cuts, or once it was made ready.
    next: Option<Next>,
    ready: Option<Ready>,
}

#[derive(Debug)]
struct Next {
    /// From this frame on it is time.
    from: FrameIndex,
    /// What the next files will begin with.
    opening: Opening,
}

#[derive(Debug)]
struct Ready {
    /// Device and inode of the directory.
    place: (u64, u64),
    spares: Vec<Spare>,
}

impl Ahead {
    /// What comes after files that begin with `opening`.
    pub(super) fn after(opening: &Opening, naming: &Naming, rate: SampleRate) -> Self {
        let Naming::Archive { policy, zone, .. } = naming else { return Self::default() };
        let Ok(utc) = policy.next_boundary(opening.utc, zone, opening.tai_offset) else {
            return Self::default();
        };
        let position = opening.position + rate.frames_in(utc - opening.utc);
        let from = FrameIndex(position.0.saturating_sub(rate.frames_in(AHEAD).0));
        Self { next: Some(Next { from, opening: Opening { position, utc, ..*opening } }), ready: None }
    }

    /// One of the files that were made ready in this very directory, if there is one. Those that lie in another go.
    pub(super) fn spare(&mut self, directory: &Beneath) -> Option<Spare> {
        let here = directory.place().ok();
        self.ready = self.ready.take().filter(|ready| Some(ready.place) == here);
        self.ready.as_mut()?.spares.pop()
    }
}

impl Recording {
    /// Makes the next files ready if it is time to, and says whether that was tried.
    pub(crate) fn make_ready(&mut self) -> bool {
        let Some(head) = self.segments().map(|segment| segment.head()).next() else { return false };
        let Some(next) = self.ahead.next.take_if(|next| head >= next.from) else { return false };
        // A disk that refuses is asked for nothing that could wait.
        if self.wants_files.is_some() || self.failing.is_some() || self.stuck_at.is_some() {
            return false;
        }
        let place = match self.naming.place(&next.opening, false, &self.suffixes(), &self.ours) {
            Ok(place) => place,
            Err(error) => {
                tracing::debug!(recorder = self.about.recorder, %error, "the next files are not made ready");
                return true;
            }
        };
        self.want_names_confirmed(place.directory.path());
        let spares = self.tracks.iter().map_while(|_| Spare::make(&place.directory).ok()).collect();
        self.ahead.ready = place.directory.place().ok().map(|place| Ready { place, spares });
        true
    }

    /// Wants the names confirmed of directories that lead to this one and not to the files that are open.
    fn want_names_confirmed(&mut self, directory: &Path) {
        let open = self.segments().next().and_then(|segment| segment.path().parent().map(PathBuf::from));
        let Some(open) = open else { return };
        for above in directory.ancestors() {
            if open.starts_with(above) {
                break;
            }
            if let Some(parent) = above.parent() {
                let due = Due { path: parent.to_owned(), state: State::Directory };
                self.to_sync.extend(Some(due).filter(|due| !self.to_sync.contains(due)));
            }
        }
    }

    /// The close procedure for all tracks, with no files behind them in sight.
    pub(super) fn close_all(&mut self, notices: &SyncSender<Notice>) -> FrameCount {
        self.ahead = Ahead::default();
        self.close_segments(notices, |_| true)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::sync::mpsc::{Receiver, sync_channel};

    use audyn_api::FormatConfig;
    use audyn_core::archive::{ArchiveClock, ArchivePolicy, Layout};
    use audyn_core::flow::{Placed, Placement, Why};
    use audyn_core::segment::TimeAnchor;
    use audyn_media::{PcmDepth, WavReader, chain};
    use audyn_units::{ChannelCount, ClockQuality, Encoding, Mono, Timestamp};
    use jiff::tz::TimeZone;

    use super::*;
    use crate::facts::About;
    use crate::feed::{self, Cutting, Feed};
    use crate::recording::RecordingPlan;
    use crate::shared::SharedRecording;

    const RATE: SampleRate = SampleRate::HZ_48000;

    /// The second of TAI that UTC shows as 2026-07-02 13:46:50: ten seconds before a minute.
    const FIRST: i64 = 1_783_000_047;

    /// A recorder whose files have ten seconds, with a directory for each minute.
    struct Scene {
        dir: tempfile::TempDir,
        feed: Feed,
        recording: Recording,
        status: SharedRecording,
        notices: SyncSender<Notice>,
        _news: Receiver<Notice>,
        /// Seconds that it was given.
        given: i64,
    }

    fn anchor(seconds: i64) -> TimeAnchor {
        let offset = Nanos::from_secs(37);
        TimeAnchor {
            position: FrameIndex((FIRST + seconds) as u64 * 48_000),
            utc: Timestamp::from_nanos((FIRST + seconds) * 1_000_000_000) - offset,
            rate: RATE,
            exact: true,
            tai_offset: Some(offset),
        }
    }

    fn placed(seconds: i64, why: Why) -> Placed {
        let anchor = anchor(seconds);
        let (position, tai_offset) = (anchor.position, anchor.tai_offset);
        let (placement, quality) = (Placement::MediaClock, ClockQuality::PtpLocked);
        Placed { position, moved: 0, placement, quality, tai_offset, why, anchor }
    }

    impl Scene {
        fn new(formats: &[FormatConfig]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let format = Some("%H%M/%S".to_owned());
            let policy = ArchivePolicy::new(Layout::Custom, format, 10, ArchiveClock::Utc).unwrap();
            let cutting = Cutting { policy: policy.clone(), zone: TimeZone::UTC };
            let (mut feed, end) = feed::connect(RATE, 1, Some(cutting), None);
            let root = dir.path().join("root");
            let naming = Naming::Archive {
                root: root.clone(),
                below: PathBuf::from("a"),
                policy,
                zone: TimeZone::UTC,
            };
            let opus = audyn_api::OpusConfig::default();
            let plan = RecordingPlan {
                about: About { recorder: "a".to_owned(), ..About::default() },
                naming,
                formats: crate::formats_of(formats, &opus, RATE, ChannelCount::MONO, Encoding::L24).unwrap(),
                source_depth: PcmDepth::Pcm24,
            };
            let status = SharedRecording::default();
            let recording =
                Recording::new(plan, end, SharedRecording::clone(&status)).on(crate::volume::Ours::any(root));
            let (notices, news) = sync_channel(64);
            feed.placed(&placed(0, Why::First));
            Self { dir, feed, recording, status, notices, _news: news, given: 0 }
        }

        fn now(&self) -> Timestamp<Mono> {
            Timestamp::from_nanos((self.given + 1) * 1_000_000_000)
        }

        /// Gives it so many seconds more.
        fn give(&mut self, seconds: i64) {
            for _ in 0..seconds {
                let anchor = anchor(self.given);
                self.feed.audio(anchor.position, &[(self.given as i32 + 1) << 8; 48_000], &anchor);
                self.given += 1;
                self.feed.turn(self::anchor(self.given).position, Some(&anchor));
                self.work();
            }
        }

        fn work(&mut self) {
            self.recording.work(self.now(), Timestamp::from_nanos(i64::MAX), &self.notices);
        }

        fn path(&self, below: &str) -> PathBuf {
            self.dir.path().join("root/a").join(below)
        }

        /// The descriptors of files without names that this process has open here.
        fn unnamed(&self) -> Vec<PathBuf> {
            let here = self.dir.path().canonicalize().unwrap();
            let open = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
            let open = open.filter(|fd| std::fs::read_link(fd).is_ok_and(|led| led.starts_with(&here)));
            open.filter(|fd| std::fs::metadata(fd).is_ok_and(|file| file.nlink() == 0)).collect()
        }

        /// Makes ready; none where there are no files without names.
        fn ready(mut self) -> Option<Self> {
            assert!(self.recording.make_ready());
            let probe = Beneath::root(self.dir.path()).and_then(|root| Spare::make(&root));
            if let Err(error) = probe {
                eprintln!("SKIPPED: no files without names here: {error}");
                return None;
            }
            Some(self)
        }

        /// The seconds that a file holds, as they were numbered.
        fn seconds(&self, below: &str) -> Vec<i32> {
            let mut samples = vec![0; 20 * 48_000];
            let read = WavReader::open(self.path(below)).unwrap().read(&mut samples).unwrap();
            assert_eq!(read.0 % 48_000, 0, "{below}");
            let seconds = samples[..read.0 as usize].chunks(48_000);
            seconds
                .map(|second| {
                    assert!(second.iter().all(|sample| *sample == second[0]), "{below}");
                    second[0] >> 8
                })
                .collect()
        }

        fn error(&self) -> Option<String> {
            self.status.lock().unwrap().error.clone()
        }
    }

    #[test]
    fn a_cut_takes_what_was_made_ready_and_nobody_sees_anything_of_it_before() {
        let mut scene = Scene::new(&[FormatConfig::Wav24, FormatConfig::Opus]);
        scene.give(5);
        assert!(!scene.recording.make_ready(), "it is not time yet");
        scene.give(1);
        scene.recording.due_to_sync(scene.now(), Nanos::from_secs(60));
        let Some(mut scene) = scene.ready() else { return };
        assert!(!scene.recording.make_ready(), "once");
        let ready = scene.unnamed();
        assert_eq!(ready.len(), 2, "a file for each format");
        // They are known again by their modes: a file that is made when these are gone may have their inodes.
        for file in &ready {
            std::fs::set_permissions(file, Permissions::from_mode(0o604)).unwrap();
        }
        // What a crash leaves now: the files that are open, and a directory with nothing in it.
        assert_eq!(std::fs::read_dir(scene.path("1347")).unwrap().count(), 0);
        let root = Beneath::root(&scene.path("")).unwrap();
        assert_eq!(chain::unsealed(&root, || true).unwrap().len(), 2);
        let due: Vec<PathBuf> = scene
            .recording
            .due_to_sync(scene.now(), Nanos::from_secs(60))
            .into_iter()
            .map(|due| due.path)
            .collect();
        assert_eq!(due, [scene.path("1347").parent().unwrap()], "its name is to outlive a power cut");

        scene.give(5);
        for name in ["1347/00.wav", "1347/00.opus"] {
            assert_eq!(std::fs::metadata(scene.path(name)).unwrap().mode() & 0o777, 0o604, "{name}");
        }
        assert_eq!(scene.unnamed(), Vec::<PathBuf>::new());
        scene.feed.end(None);
        scene.feed.turn(anchor(11).position, None);
        scene.work();
        assert_eq!(scene.error(), None);
        assert_eq!(scene.seconds("1346/50.wav"), (1..=10).collect::<Vec<_>>());
        assert_eq!(scene.seconds("1347/00.wav"), [11]);
    }

    #[test]
    fn what_was_made_ready_goes_where_the_files_end_or_others_lie_elsewhere() {
        for how in ["another volume", "the end", "the engine's end", "placed anew", "a mirror parts", "gone"]
        {
            let mut scene = Scene::new(&[FormatConfig::Wav24]);
            scene.give(7);
            let Some(mut scene) = scene.ready() else { return };
            assert_eq!(scene.unnamed().len(), 1, "{how}");
            let (now, open) = (scene.now(), scene.path("1346/50.wav"));
            match how {
                "another volume" => {
                    let root = scene.dir.path().join("root");
                    std::fs::rename(&root, scene.dir.path().join("aside")).unwrap();
                    scene.give(4);
                    assert_eq!(scene.seconds("1347/00.wav"), [0; 0], "it lies on the one that is there");
                }
                "the end" => {
                    scene.feed.end(None);
                    scene.feed.turn(anchor(7).position, None);
                    scene.work();
                }
                "the engine's end" => scene.recording.finish(now, &scene.notices),
                "placed anew" => {
                    scene.feed.placed(&placed(7, Why::SenderBroke));
                    scene.work();
                }
                "a mirror parts" => scene.recording.obey(crate::feed::DiskCommand::Parts, &scene.notices),
                _ => scene.recording.gone(&open, now, &scene.notices),
            }
            assert_eq!(scene.unnamed(), Vec::<PathBuf>::new(), "{how}");
            if how == "placed anew" {
                scene.give(1);
                assert_eq!((scene.seconds("1346/50.wav").len(), scene.error()), (7, None));
                assert!(scene.path("1346/57.wav").exists());
            }
        }
    }

    #[test]
    fn where_it_is_refused_the_open_file_goes_on_and_the_cut_is_as_ever() {
        let mut scene = Scene::new(&[FormatConfig::Wav24]);
        scene.give(7);
        std::fs::write(scene.path("1347"), "somebody's").unwrap();
        assert!(scene.recording.make_ready());
        assert_eq!((scene.unnamed(), scene.error()), (vec![], None));
        scene.give(4);
        assert!(scene.error().unwrap().contains("1347"), "{:?}", scene.error());
        assert_eq!(scene.seconds("1346/50.wav"), (1..=10).collect::<Vec<_>>());
        std::fs::remove_file(scene.path("1347")).unwrap();
        scene.give(1);
        scene.feed.end(None);
        scene.feed.turn(anchor(12).position, None);
        scene.work();
        assert_eq!((scene.seconds("1347/00.wav"), scene.error()), (vec![11, 12], None));
    }
}
