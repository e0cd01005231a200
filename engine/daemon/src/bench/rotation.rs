//! Recorders that rotate for hours in virtual time: all that there is between a feed and a sealed file, but no thread and no clock.
//!
//! Owns: recorders of several zones, layouts, clocks and periods over changes of summer time and leap seconds, and the check of what they
//! have left by rules of its own. Never: in a product; `engine/daemon/examples/rotation` and a test drive it.
//!
//! So that hours fit into minutes a recording is FLAC of silence, but for the frames around whole seconds of the media clock, where cuts lie:
//! those tell their position.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use audyn_core::archive::{ArchiveClock, ArchivePolicy, Layout};
use audyn_core::flow::{GapCause, Placed, Placement, Why};
use audyn_core::segment::TimeAnchor;
use audyn_media::archive::{Catalog, Segment, Wanted};
use audyn_media::chain::verify;
use audyn_media::{Beneath, FileFormat, FlacReader, FlacSpec, MediaError, PcmDepth};
use audyn_units::{ChannelCount, ClockQuality, FrameCount, FrameIndex, Mono, Nanos, SampleRate, Timestamp};
use jiff::tz::TimeZone;

use crate::chains::{Chains, Job};
use crate::facts::About;
use crate::feed::{self, Cutting, Feed};
use crate::naming::Naming;
use crate::recording::{Recording, RecordingPlan};
use crate::shared::{Notice, SharedRecording};
use crate::syncer::Told;

const RATE: SampleRate = SampleRate::HZ_48000;
const HZ: u64 = 48_000;

/// Audio on each side of a whole second; silence else.
const BURST: u64 = 48;

/// Virtual seconds of a turn.
const STEP: u64 = 10;

/// Periods in seconds.
const PERIODS: [u32; 4] = [30, 60, 900, 3_600];

const LAYOUTS: [Layout; 5] =
    [Layout::Flat, Layout::Hierarchy, Layout::Combo, Layout::DailyDir, Layout::Accurate];

/// What is special about the hours that a recorder runs through.
struct Hours {
    zone: &'static str,
    clock: ArchiveClock,
    /// The change in seconds of UTC; recorders begin some time before.
    change: i64,
    /// The leap second at it.
    leap: i64,
}

const HOURS: [Hours; 6] = [
    // 2026-10-25 02:00 +0100 becomes 01:00 +0000; 2026-03-29 01:00 +0000 becomes 02:00 +0100.
    Hours { zone: "Europe/Dublin", clock: ArchiveClock::LocalTime, change: 1_792_890_000, leap: 0 },
    Hours { zone: "Europe/Dublin", clock: ArchiveClock::LocalTime, change: 1_774_746_000, leap: 0 },
    // 2026-11-01 02:00 -0400 becomes 01:00 -0500.
    Hours { zone: "America/New_York", clock: ArchiveClock::LocalTime, change: 1_793_512_800, leap: 0 },
    // 2026-04-05 02:00 +1100 becomes 01:30 +1030.
    Hours { zone: "Australia/Lord_Howe", clock: ArchiveClock::LocalTime, change: 1_775_314_800, leap: 0 },
    // A second more, and one less, at the end of 2026.
    Hours { zone: "UTC", clock: ArchiveClock::Utc, change: 1_798_761_600, leap: 1 },
    Hours { zone: "UTC", clock: ArchiveClock::Ptp, change: 1_798_761_600, leap: -1 },
];

/// What came of it.
#[derive(Debug, Default)]
pub struct Rotated {
    /// Files that were sealed.
    pub files: u64,
    /// Frames in them.
    pub frames: u64,
    /// What is not as it should be.
    pub faults: Vec<String>,
}

/// Has `recorders` record `minutes` below `root`, and looks at what is there then.
///
/// # Errors
/// [`MediaError`] if the disk refuses.
pub fn rotate(root: &Path, recorders: usize, minutes: u64) -> Result<Rotated, MediaError> {
    let chains = Chains::below(root.to_owned());
    let (notices, heard) = sync_channel(65_536);
    let mut machines: Vec<Machine> = (0..recorders).map(|n| Machine::new(root, n, minutes)).collect();
    for turn in 0..minutes * 60 / STEP {
        let now = Timestamp::from_nanos(((turn + 1) * STEP * 1_000_000_000).cast_signed());
        for machine in &mut machines {
            machine.turn(now, &notices);
            machine.seal(&heard, &chains)?;
        }
    }
    let mut rotated = Rotated::default();
    for machine in machines {
        machine.end(&notices, &heard, &chains, &mut rotated)?;
    }
    Ok(rotated)
}

/// A recorder with its sender.
struct Machine {
    id: String,
    hours: &'static Hours,
    period: u32,
    accurate: bool,
    directory: PathBuf,
    feed: Feed,
    recording: Recording,
    status: SharedRecording,
    /// Seconds of TAI of its first and its next frame.
    first: u64,
    head: u64,
    unsealed: Vec<PathBuf>,
}

impl Machine {
    fn new(root: &Path, n: usize, minutes: u64) -> Self {
        let hours = &HOURS[n % HOURS.len()];
        let period = PERIODS[n / HOURS.len() % PERIODS.len()];
        let layout = LAYOUTS[n / 3 % LAYOUTS.len()];
        let id = format!("r{n:02}");
        let zone = TimeZone::get(hours.zone).unwrap_or(TimeZone::UTC);
        let policy = ArchivePolicy::new(layout, None, period, hours.clock).expect("it is one of the usual");
        let (feed, end) =
            feed::connect(RATE, 1, Some(Cutting { policy: policy.clone(), zone: zone.clone() }), None);
        let spec = FlacSpec::new(RATE, ChannelCount::MONO, PcmDepth::Pcm16).expect("FLAC holds that");
        let plan = RecordingPlan {
            about: About { recorder: id.clone(), ..About::default() },
            naming: Naming::Archive { root: root.to_owned(), below: PathBuf::from(&id), policy, zone },
            formats: vec![FileFormat::Flac(spec)],
            source_depth: PcmDepth::Pcm16,
        };
        let status = SharedRecording::default();
        // The change comes in the first half, and not at a full turn.
        let first = (hours.change + 37).cast_unsigned() - minutes * 60 / 3 - n as u64 % 7;
        Self {
            directory: root.join(&id),
            id,
            hours,
            period,
            accurate: layout == Layout::Accurate,
            feed,
            recording: Recording::new(plan, end, SharedRecording::clone(&status)),
            status,
            first,
            head: first,
            unsealed: Vec::new(),
        }
    }

    /// TAI − UTC at a second of TAI. A second that is inserted belongs to the new offset, as the kernel counts.
    fn offset(&self, tai: u64) -> i64 {
        let leaps = match self.hours.leap {
            // 23:59:60 begins where 00:00:00 would; and it is 23:59:59 that is left out.
            1 => tai >= (self.hours.change + 37).cast_unsigned(),
            -1 => tai >= (self.hours.change + 36).cast_unsigned(),
            _ => false,
        };
        37 + if leaps { self.hours.leap } else { 0 }
    }

    /// How a flow that is placed by its media clock tells a second.
    fn anchor(&self, tai: u64) -> TimeAnchor {
        let offset = self.offset(tai);
        TimeAnchor {
            position: FrameIndex(tai * HZ),
            utc: Timestamp::from_nanos((tai.cast_signed() - offset) * 1_000_000_000),
            rate: RATE,
            exact: true,
            tai_offset: Some(Nanos::from_secs(offset)),
        }
    }

    fn turn(&mut self, now: Timestamp<Mono>, notices: &SyncSender<Notice>) {
        if self.head == self.first {
            let anchor = self.anchor(self.head);
            self.feed.placed(&Placed {
                position: anchor.position,
                moved: 0,
                placement: Placement::MediaClock,
                quality: ClockQuality::PtpLocked,
                tai_offset: anchor.tai_offset,
                why: Why::First,
                anchor,
            });
        }
        for _ in 0..STEP {
            let (anchor, at) = (self.anchor(self.head), FrameIndex(self.head * HZ));
            self.feed.audio(at, &burst(at), &anchor);
            let silence = FrameCount(HZ - 2 * BURST);
            self.feed.silence(at + FrameCount(BURST), silence, GapCause::Outage, &anchor);
            let last = at + FrameCount(HZ - BURST);
            self.feed.audio(last, &burst(last), &anchor);
            self.head += 1;
            self.feed.turn(FrameIndex(self.head * HZ), Some(&anchor));
        }
        self.recording.work(now, Timestamp::from_nanos(i64::MAX), notices);
        self.recording.listed();
        self.recording.flush(now, Nanos::ZERO, notices);
        self.recording.make_ready();
        self.confirm(now);
    }

    /// The disk confirms all at once: nobody here waits for it.
    fn confirm(&mut self, now: Timestamp<Mono>) {
        for due in self.recording.due_to_sync(now, Nanos::ZERO) {
            self.recording.told(&Told { due, result: Ok(()) }, now);
        }
    }

    /// Seals what was opened and is closed by now.
    fn seal(&mut self, heard: &Receiver<Notice>, chains: &Chains) -> Result<(), MediaError> {
        let opened = heard.try_iter().filter_map(|notice| match notice {
            Notice::Opened { path, .. } => Some(path),
            _ => None,
        });
        self.unsealed.extend(opened);
        let open: Vec<PathBuf> = self.recording.files().map(|file| file.path).collect();
        for path in self.unsealed.extract_if(.., |path| !open.contains(path)) {
            chains.seal(&Job { recorder: self.directory.clone(), path }, &mut None, || true)?;
        }
        Ok(())
    }

    fn end(
        mut self,
        notices: &SyncSender<Notice>,
        heard: &Receiver<Notice>,
        chains: &Chains,
        rotated: &mut Rotated,
    ) -> Result<(), MediaError> {
        self.feed.end(None);
        self.feed.turn(FrameIndex(self.head * HZ), None);
        let now = Timestamp::from_nanos(i64::MAX);
        self.recording.finish(now, notices);
        self.confirm(now);
        self.seal(heard, chains)?;
        let mut faults = Vec::new();
        if let Some(error) = &crate::engine::lock(&self.status).error {
            faults.push(error.clone());
        }
        let directory = Beneath::root(&self.directory)
            .map_err(|source| MediaError::Chain { path: self.directory.clone(), source })?;
        let found = verify(&directory, false, |_| true)?;
        faults.extend(found.faults.iter().map(ToString::to_string));
        faults.extend(found.unsealed.iter().map(|file| format!("{file} is not sealed")));
        let segments: Vec<Segment> = Catalog::open(&self.directory)?
            .find(&Wanted::default())?
            .into_iter()
            .map(|hit| hit.segment)
            .collect();
        rotated.files += segments.len() as u64;
        rotated.frames += segments.iter().map(|segment| segment.frames.0).sum::<u64>();
        self.look(segments, &mut faults);
        rotated.faults.extend(faults.into_iter().map(|fault| format!("{}: {fault}", self.id)));
        Ok(())
    }

    /// Looks at all files of the recorder in the order of their positions.
    fn look(&self, mut segments: Vec<Segment>, faults: &mut Vec<String>) {
        segments.sort_by_key(|segment| segment.start);
        // Where a name tells minutes, those of an hour that comes twice are in order each time for itself.
        let (again, names): (Vec<&str>, Vec<&str>) = segments
            .iter()
            .map(|segment| segment.file.as_str())
            .partition(|name| self.accurate && name.contains("_UTC"));
        if !names.is_sorted() || !again.is_sorted() {
            faults.push(format!("the order of names is not that of time: {names:?}"));
        }
        let starts: Vec<u64> = segments.iter().map(|segment| segment.start.0).collect();
        let expected: Vec<u64> = self.boundaries().into_iter().map(|second| second * HZ).collect();
        if starts != expected {
            faults.push(format!("files begin at {starts:?}, and should at {expected:?}"));
        }
        let ends = starts.iter().skip(1).copied().chain([self.head * HZ]);
        for (segment, end) in segments.iter().zip(ends) {
            if segment.end().0 != end {
                faults.push(format!(
                    "{} ends at {}, the next begins at {end}",
                    segment.file,
                    segment.end().0
                ));
            }
            if let Err(fault) = self.hear(segment) {
                faults.push(format!("{}: {fault}", segment.file));
            }
        }
    }

    /// The seconds of TAI at which a file begins: the first one, and those at which the clock that names files shows a whole number of
    /// periods after midnight, or has just passed one over.
    fn boundaries(&self) -> Vec<u64> {
        let zone = TimeZone::get(self.hours.zone).unwrap_or(TimeZone::UTC);
        let period = i64::from(self.period);
        let shown = |tai: u64| match self.hours.clock {
            ArchiveClock::Ptp => tai.cast_signed(),
            _ => {
                let utc = tai.cast_signed() - self.offset(tai);
                let instant = jiff::Timestamp::from_second(utc).expect("it is of this century");
                utc + i64::from(zone.to_offset(instant).seconds())
            }
        };
        let is_boundary = |tai: &u64| {
            let (before, now) = (shown(tai - 1) + 1, shown(*tai));
            // Where the clock goes on, the two are the same; where it leaps by a zone's change, all between them was reached or left out.
            // An inserted second shows one reading twice, and the first time is no boundary's.
            (before.min(now)..=before.max(now)).any(|reading| reading % period == 0)
                && !(before == now + 1 && now % period != 0)
        };
        std::iter::once(self.first).chain((self.first + 1..self.head).filter(is_boundary)).collect()
    }

    /// Reads the first and the last frames of a file: they tell their positions.
    fn hear(&self, segment: &Segment) -> Result<(), String> {
        let mut reader =
            FlacReader::open(self.directory.join(&segment.file)).map_err(|error| error.to_string())?;
        for at in [segment.start, FrameIndex(segment.end().0 - BURST)] {
            let mut samples = [0; BURST as usize];
            reader.seek(at.since(segment.start)).map_err(|error| error.to_string())?;
            let read = reader.read(&mut samples).map_err(|error| error.to_string())?;
            if read.0 != BURST || samples != burst(at) {
                return Err(format!("the frames from {} on are others", at.0));
            }
        }
        Ok(())
    }
}

/// Samples that tell their positions.
fn burst(at: FrameIndex) -> [i32; BURST as usize] {
    std::array::from_fn(|n| {
        let position = at.0 + n as u64;
        ((position.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u16).cast_signed().max(1 - i16::MAX).into()
    })
    .map(|sample: i32| sample << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorders_rotate_over_changes_of_summer_time_and_leap_seconds() {
        let dir = tempfile::tempdir().unwrap();
        let rotated = rotate(dir.path(), 24, 3).unwrap();
        assert_eq!(rotated.faults, [""; 0]);
        assert_eq!(rotated.frames, 24 * 3 * 60 * HZ);
        assert!(rotated.files >= 24 * 2, "{}", rotated.files);
    }
}
