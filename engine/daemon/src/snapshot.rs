//! What the engine tells of itself: threads' counters in the contract's words.

use std::sync::atomic::Ordering::Relaxed;

use audyn_api::{
    CaptureStats, ChannelLevel, FlowCounters, FlowSnapshot, FlowState, FlowTiming, GapCause, GapEntry,
    LegStatistics, LevelsFrame, Placement, RecorderLevels, RecorderSnapshot, RecorderState,
    RetentionSnapshot, Snapshot, SourceConfig, StampKind,
};
use audyn_core::flow;
use audyn_sys::clock;

use crate::diagnosis::Facts;
use crate::engine::{Engine, FlowEntry, RecorderEntry, given_names, lock};
use crate::legmeter;
use crate::legs;
use crate::shared::{FlowStatus, RecordingStatus, Stamps};

impl Engine {
    /// The state of everything, now. Names, studios and limits are the configuration's, which the engine doesn't keep.
    pub fn snapshot(&mut self) -> Snapshot {
        self.snapshots += 1;
        let capture = self.capture_shared();
        Snapshot {
            at: clock::utc_now(),
            sequence: self.snapshots,
            engine_version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started,
            config_revision: 0,
            capture: CaptureStats {
                turns: capture.turns.load(Relaxed),
                missed_ticks: capture.missed_ticks.load(Relaxed),
                worst_lateness_nanos: capture.worst_lateness.load(Relaxed),
                datagrams: capture.datagrams.load(Relaxed),
                slots_exhausted: capture.slots_exhausted.load(Relaxed),
                realtime: capture.realtime.load(Relaxed),
            },
            disk: self.volume.state(),
            flows: self.flows().iter().map(flow_snapshot).collect(),
            recorders: self.recorders().iter().map(|entry| self.recorder_snapshot(entry)).collect(),
            warnings: self.alarms(),
            clock: self.keeper.snapshot(),
            lateness: capture.lateness.read(clock::mono_now(), capture.worst_lateness.load(Relaxed)),
            retention: RetentionSnapshot::default(),
            volumes: self.volumes(),
        }
    }

    /// What the engine lacks, and what is wrong with where it records to.
    fn alarms(&self) -> Vec<String> {
        let mirror = self.mirror().and_then(|mirror| mirror.volume.alarm());
        self.warnings().iter().cloned().chain(self.volume.alarm()).chain(mirror).collect()
    }

    /// The levels of every enabled recorder, as last read.
    pub fn levels(&self) -> LevelsFrame {
        let of = |entry: &RecorderEntry| {
            let recorder = audyn_api::RecorderId::new(entry.spec.id.clone()).ok()?;
            let channels = lock(&entry.levels)
                .iter()
                .map(|level| ChannelLevel {
                    rms: level.rms,
                    peak: level.peak,
                    held_peak: level.held_peak,
                    clipping: level.clipping,
                })
                .collect();
            Some(RecorderLevels { recorder, channels })
        };
        let enabled = self.recorders().iter().filter(|entry| entry.spec.enabled);
        LevelsFrame { at: clock::utc_now(), recorders: enabled.filter_map(of).collect() }
    }

    fn recorder_snapshot(&self, entry: &RecorderEntry) -> RecorderSnapshot {
        let flow = self.flow_of(entry);
        let flow_snapshot = flow.map(flow_snapshot);
        let status = lock(&entry.recording).clone();
        let mut errors: Vec<String> = Vec::new();
        errors.extend(entry.error.clone());
        // What the disk refused a recording that has ended is told by its end, not for ever.
        let disk_error = status.error.clone().filter(|_| entry.wanted);
        errors.extend(disk_error.clone());
        errors.extend(status.warning.clone().filter(|_| entry.wanted));
        let stall = self.disk_complaint().filter(|_| entry.wanted);
        errors.extend(stall.iter().map(|(sentence, _)| sentence.clone()));
        let mirrored = self.mirror().filter(|_| entry.wanted).map(|mirror| {
            let mirrored = lock(&entry.mirrored).clone();
            let (complaints, broken) = mirror.complaints(entry, &mirrored);
            errors.extend(complaints);
            (mirrored, broken)
        });
        if let Some(seen) = &flow_snapshot
            && entry.spec.enabled
        {
            errors.extend(seen.diagnosis.iter().map(|diagnosis| diagnosis.sentence.clone()));
            let skew = flow.map(|flow| flow.source.skew).unwrap_or_default();
            errors.extend(legs::complaint(seen, skew));
        }
        // One of the two volumes is enough.
        let is_mirrored =
            mirrored.as_ref().is_some_and(|(mirrored, broken)| mirrored.file.is_some() && !broken);
        let is_refused = disk_error.is_some() || stall.is_some_and(|(_, lost)| lost);
        // What is told of it is what one volume has, never of both: the archive's, or what the mirror has while that alone takes it. What the
        // archive has lost stays told when the mirror has more.
        let status = match mirrored {
            Some((mirrored, _)) if is_refused && is_mirrored => {
                RecordingStatus { started: status.started, ..mirrored }
            }
            _ => status,
        };
        let broken = entry.error.is_some()
            || is_refused && !is_mirrored
            || flow.is_some_and(|flow| flow.failure.is_some());
        let state = match (entry.wanted, broken) {
            (true, true) => RecorderState::Error,
            (true, false) => RecorderState::Recording,
            (false, _) => RecorderState::Stopped,
        };
        RecorderSnapshot {
            id: entry.spec.id.clone(),
            name: String::new(),
            enabled: entry.spec.enabled,
            state,
            studio_id: None,
            flow_state: flow_snapshot.map_or(FlowState::Waiting, |flow| flow.state),
            start_time: status.started.filter(|_| entry.wanted),
            current_file: status.file.map(|path| {
                let below = self.all_chains().iter().find_map(|chains| {
                    path.strip_prefix(chains.archive()).ok().map(std::path::Path::to_owned)
                });
                below.unwrap_or(path).to_string_lossy().into_owned()
            }),
            bytes_written: status.bytes,
            frames_written: status.written,
            frames_filled: status.filled,
            gaps: status.gaps,
            rate: flow.map_or(0, |flow| flow.source.rate.hz()),
            channel_names: flow
                .map_or_else(Vec::new, |flow| channel_names(&flow.source, &entry.spec.channels)),
            errors,
        }
    }
}

/// Names of the chosen channels, in file order; a channel without a name has its number.
fn channel_names(source: &SourceConfig, picks: &[u8]) -> Vec<String> {
    let number = |n: usize| picks.get(n).map_or(n, |&pick| usize::from(pick)) + 1;
    let names = given_names(source, picks).into_iter().enumerate();
    names.map(|(n, name)| if name.is_empty() { number(n).to_string() } else { name }).collect()
}

fn flow_snapshot(flow: &FlowEntry) -> FlowSnapshot {
    let status = lock(&flow.shared.status).clone();
    let state = if flow.failure.is_some() {
        FlowState::Failed
    } else if status.ssrc.is_none() {
        FlowState::Waiting
    } else if status.receiving {
        FlowState::Receiving
    } else {
        FlowState::Silent
    };
    let facts = Facts {
        source: &flow.source,
        failure: flow.failure.as_ref(),
        trouble: flow.legs.iter().find_map(|leg| leg.trouble.as_ref()),
        receiving: status.receiving,
        known: status.ssrc.is_some(),
        counters: &status.counters,
        recent: &flow.recent,
        quiet: status.quiet,
    };
    let diagnosis = facts.diagnose();
    FlowSnapshot {
        source: Some(flow.source.id.clone()),
        address: std::net::SocketAddr::new(flow.source.address, flow.source.port).to_string(),
        state,
        ssrc: status.ssrc,
        sender: status.sender,
        packet_frames: status.packet_frames.and_then(|frames| u16::try_from(frames).ok()),
        position: status.position,
        counters: counters(
            &status,
            flow.legs.iter().map(|leg| leg.shared.kernel_dropped.load(Relaxed)).sum(),
        ),
        receive_buffer_bytes: flow.legs.iter().map(|leg| leg.granted as u64).max().unwrap_or(0),
        error: flow
            .failure
            .as_ref()
            .map(|(_, sentence)| sentence.clone())
            .or_else(|| legs::socket_error(flow.shared.socket_errno.load(Relaxed))),
        diagnosis,
        timing: timing(&status),
        stamps: stamps(flow.shared.stamps.load(Relaxed)),
        legs: legs::snapshots(&flow.source, &flow.legs, &status),
        statistics: statistics(flow),
    }
}

/// Each leg's, in its place; none at all before both have been told.
fn statistics(flow: &FlowEntry) -> Vec<LegStatistics> {
    let told = lock(&flow.shared.statistics);
    let legs = told.iter().take(flow.legs.len()).map(|leg| leg.as_ref().map(legmeter::statistics));
    legs.collect::<Option<_>>().unwrap_or_default()
}

fn timing(status: &FlowStatus) -> FlowTiming {
    FlowTiming {
        placement: status.placement.map(|(placement, _)| match placement {
            flow::Placement::MediaClock => Placement::MediaClock,
            flow::Placement::Arrival => Placement::Arrival,
        }),
        quality: status.placement.map_or_else(Default::default, |(_, quality)| quality),
        drift_ppm: status.drift_ppm,
        behind_nanos: status.behind.map(|behind| behind.0),
    }
}

fn stamps(by: u8) -> StampKind {
    const KERNEL: u8 = Stamps::Kernel as u8;
    const CARD: u8 = Stamps::Card as u8;
    match by {
        KERNEL => StampKind::Software,
        CARD => StampKind::Hardware,
        _ => StampKind::Unknown,
    }
}

fn counters(status: &FlowStatus, kernel_dropped: u32) -> FlowCounters {
    let flow::FlowCounters {
        received,
        bytes,
        reordered,
        duplicated,
        late,
        lost_frames,
        gaps,
        ssrc_changes,
        sequence_resets,
        timestamp_jumps,
        too_short,
        bad_version,
        malformed,
        wrong_payload_type,
        wrong_size,
        oversized,
        foreign_source,
    } = status.counters;
    FlowCounters {
        received,
        bytes,
        reordered,
        duplicated,
        late,
        lost_frames,
        gaps,
        ssrc_changes,
        sequence_resets,
        timestamp_jumps,
        too_short,
        bad_version,
        malformed,
        wrong_payload_type,
        wrong_size,
        oversized,
        foreign_source,
        kernel_dropped: u64::from(kernel_dropped),
    }
}

/// A ledger entry in the contract's words.
pub(crate) fn gap_entry(gap: &flow::Gap) -> GapEntry {
    let cause = match gap.cause {
        flow::GapCause::Loss => GapCause::Loss,
        flow::GapCause::Outage => GapCause::Outage,
        flow::GapCause::SsrcChange => GapCause::SsrcChange,
        flow::GapCause::TimestampJump => GapCause::TimestampJump,
        flow::GapCause::DiskStall => GapCause::DiskStall,
    };
    GapEntry { position: gap.position, frames: gap.frames, cause, estimated: gap.estimated }
}
