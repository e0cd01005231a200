//! The engine's control: which flows are open, which recorders tap them, what records.
//!
//! Owns: the capture thread, the workers and the disk writer, and brings them to what is wanted ([`Engine::reconcile`]).
//! Never: moves a sample. Every method returns soon; what takes the disk's time is told by a callback.

mod begin;
mod flow;
pub(crate) mod mirror;
mod open;
mod options;
mod recorder;
mod writable;

use std::sync::atomic::{AtomicBool, Ordering::Acquire};
use std::sync::mpsc::{Receiver as Inbox, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use audyn_api::SourceConfig;
use audyn_core::channels::ChannelMap;
use audyn_media::FileFormat;
use audyn_sys::{RealtimeRequest, clock, realtime};
use audyn_units::{FrameCount, Nanos, Timestamp, Utc};

use crate::capture::{self, Capture, MAX_FLOWS};
use crate::chains::Chains;
use crate::closing::{Closing, OpenFiles};
use crate::disk::Disk;
use crate::error::EngineError;
use crate::feed::Done;
use crate::formats::formats_of;
use crate::keep::KeptSockets;
use crate::keeper::Keeper;
use crate::naming::Naming;
use crate::network::Network;
use crate::resume::Resume;
use crate::selftest::Testing;
use crate::shared::{CaptureShared, ClockShared, Notice, RecordingStatus};
use crate::tap::Tap;
use crate::volume::{Ours, Volume};
use crate::worker::{Order, Worker};

use flow::slots_for;
pub(crate) use flow::{FlowEntry, same_flow, stamped};
pub(crate) use mirror::Mirror;
use open::{Held, RETRY};
pub use options::EngineOptions;
pub(crate) use recorder::RecorderEntry;
pub use recorder::RecorderSpec;
pub(crate) use writable::Writable;

/// Notices that wait for control at most; later ones are dropped.
const NOTICES: usize = 4_096;

/// The running engine. Dropping it stops capture, then closes every file.
pub struct Engine {
    // In the order in which they must end: no more datagrams, no more samples, then the files.
    pub(crate) capture: Capture,
    workers: Vec<Worker>,
    disk: Disk,
    /// Notes where the files end; before the mirror's disk is waited for.
    resume: Resume,
    /// The second volume, if there is one. It was told to end with the first.
    mirror: Option<Mirror>,
    pub(crate) keeper: Keeper,
    pub(crate) volume: Volume,
    open_files: OpenFiles,
    chains: Chains,
    writable: Writable,
    pub(crate) options: EngineOptions,
    pub(crate) network: Network,
    clock: Arc<ClockShared>,
    pub(crate) kept: KeptSockets,
    /// Flows that are open and not read yet, with what their workers are to be told.
    held: Option<Held>,
    pub(crate) flows: Vec<FlowEntry>,
    recorders: Vec<RecorderEntry>,
    notices: Inbox<Notice>,
    pub(crate) next_flow: u32,
    pub(crate) testing: Option<Testing>,
    /// A self-test's question to the archive is not answered yet.
    pub(crate) asking_archive: Arc<AtomicBool>,
    pub(crate) started: Timestamp<Utc>,
    pub(crate) snapshots: u64,
}

/// How far the capture loop has come, to be asked from anywhere: what a watchdog may be fed by.
#[derive(Debug, Clone)]
pub struct CapturePulse(Arc<CaptureShared>);

impl CapturePulse {
    /// Turns of the capture loop so far.
    pub fn turns(&self) -> u64 {
        self.0.turns.load(Acquire)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("flows", &self.flows.len())
            .field("recorders", &self.recorders.len())
            .finish()
    }
}

impl Engine {
    /// Starts the threads; nothing is received yet. The capture thread gets the last CPU that the kernel keeps free
    /// (`isolcpus=`), though it isn't among those that the process starts with. What it may not have is no error but one of
    /// the [`Engine::warnings`], which the caller logs.
    pub fn start(options: EngineOptions) -> Result<Self, EngineError> {
        // First: what is known of the clock is told before the first flow is placed.
        let clock = Arc::<ClockShared>::default();
        let keeper = Keeper::start(options.clock.clone(), options.tai_offset, Arc::clone(&clock))?;
        let cpu = realtime::isolated_cpus().ok().and_then(|cpus| cpus.last().copied());
        let (fifo_priority, lock_memory) = (options.fifo_priority, options.lock_memory);
        let capture =
            Capture::start(options.capture_period, RealtimeRequest { fifo_priority, cpu, lock_memory })?;
        // Workers share out the flows; one of the CPUs is the capture thread's. An isolated one isn't among these.
        let cpus = std::thread::available_parallelism().map_or(1, usize::from) + usize::from(cpu.is_some());
        let period = options.capture_period * 2;
        let workers: Result<Vec<Worker>, _> = (0..cpus.saturating_sub(1).clamp(1, 4))
            .map(|n| Worker::start(n, period, Arc::clone(&clock)))
            .collect();
        let (sender, notices): (SyncSender<Notice>, _) = sync_channel(NOTICES);
        let (root, state) = (options.archive_root.clone(), options.state.clone());
        let chains = Chains::on(Ours::of(root, state, options.volume_chosen.clone()));
        let safe = options.sync_every_second.then(|| mirror::safe(chains.ours().clone()));
        let disk = Disk::start(sender, safe, options.state.clone(), chains.clone())?;
        let mirror = match (&options.mirror, &options.state) {
            (Some(root), Some(state)) => {
                let sync = options.sync_every_second;
                Some(Mirror::start(root.clone(), state, chains.clone(), sync, &disk)?)
            }
            _ => None,
        };
        let both = std::iter::once(&chains).chain(mirror.as_ref().map(|mirror| &mirror.chains));
        let writable = Writable::on(both.cloned());
        let resume = Resume::take(options.state.clone());
        let volume = Volume::watch(chains.clone())?;
        Ok(Self {
            capture,
            workers: workers?,
            disk,
            resume,
            mirror,
            keeper,
            volume,
            open_files: OpenFiles::default(),
            chains,
            writable,
            options,
            network: Network::watch(),
            clock,
            kept: KeptSockets::none(),
            held: None,
            flows: Vec::new(),
            recorders: Vec::new(),
            notices,
            next_flow: 0,
            testing: None,
            asking_archive: Arc::default(),
            started: clock::utc_now(),
            snapshots: 0,
        })
    }

    /// How far the capture loop has come.
    pub fn capture_pulse(&self) -> CapturePulse {
        CapturePulse(Arc::clone(&self.capture.shared))
    }

    /// What has happened since the last call.
    pub fn notices(&self) -> Vec<Notice> {
        self.notices.try_iter().collect()
    }

    /// What the engine lacks.
    pub fn warnings(&self) -> &[String] {
        &self.capture.granted.missing
    }

    /// Sets the recorders and the sources that they name. Recorders that stay as they are go on undisturbed; one
    /// that changes is stopped first. Flows that nobody taps are closed; where only names of a source change, its flow goes on.
    pub fn configure(&mut self, recorders: Vec<RecorderSpec>, sources: &[SourceConfig]) {
        self.keeper.compare_with(sources);
        let mut before = std::mem::take(&mut self.recorders);
        for spec in recorders {
            let source = sources.iter().find(|source| Some(&source.id) == spec.source.as_ref());
            let kept =
                before.iter().position(|entry| entry.spec.id == spec.id).map(|at| before.swap_remove(at));
            let mut entry = kept.unwrap_or_else(|| RecorderEntry::new(spec.clone()));
            let flow = entry.tapped.and_then(|id| self.flows.iter().find(|flow| flow.id == id));
            let same = flow.zip(source).is_some_and(|(flow, source)| same_flow(&flow.source, source));
            if entry.tapped.is_some() && !(same && entry.taps_like(&spec)) {
                self.untap(&mut entry);
            }
            lock(&entry.recording).studio.clone_from(&spec.studio);
            lock(&entry.mirrored).studio.clone_from(&spec.studio);
            entry.spec = spec;
            self.recorders.push(entry);
        }
        for mut entry in before {
            self.untap(&mut entry);
        }
        let wanted: Vec<SourceConfig> = sources
            .iter()
            .filter(|source| {
                self.recorders.iter().any(|r| r.spec.enabled && r.spec.source.as_ref() == Some(&source.id))
            })
            .cloned()
            .collect();
        let (keep, mut close): (Vec<_>, Vec<_>) = std::mem::take(&mut self.flows)
            .into_iter()
            .partition(|flow| wanted.iter().any(|source| same_flow(&flow.source, source)));
        self.flows = keep;
        for flow in &mut close {
            for leg in &mut flow.legs {
                leg.let_go(&self.kept);
            }
            self.close_flow(flow);
        }
        if !close.is_empty() {
            self.await_sockets();
        }
        for source in wanted {
            match self.flows.iter_mut().find(|flow| flow.source.id == source.id) {
                Some(flow) => flow.source = source,
                None => {
                    self.flows.push(FlowEntry::new(self.next_flow, source));
                    self.next_flow += 1;
                }
            }
        }
        self.reconcile();
    }

    /// Waits until the capture thread has handed back the sockets of closed flows, two turns at most: a port that one of them
    /// has cannot be opened again before.
    fn await_sockets(&mut self) {
        let pulse = self.capture_pulse();
        let enough = pulse.turns() + 2;
        let deadline = clock::mono_now() + self.options.capture_period * 4;
        while pulse.turns() < enough && clock::mono_now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        self.capture.sweep();
    }

    /// Brings what runs nearer to what is wanted: opens flows, taps them, begins recordings. Call it about once a second.
    pub fn reconcile(&mut self) {
        self.end_self_test();
        self.capture.sweep();
        let now = clock::mono_now();
        for at in 0..self.flows.len() {
            let flow = &self.flows[at];
            if flow.worker.is_none() && (flow.failure.is_none() || now - flow.last_try >= RETRY) {
                self.open_flow(at, now);
            }
            self.open_missing_legs(at, now);
        }
        for at in 0..self.recorders.len() {
            self.tap(at);
            self.feed(at);
            self.mirror_again(at);
        }
    }

    /// TAI − UTC, if somebody told it.
    pub(crate) fn tai_minus_utc(&self) -> Option<Nanos> {
        self.clock.tai_minus_utc()
    }

    /// Begins to record; already recording is no error. With a limit it ends by itself after so many frames.
    pub fn record(&mut self, id: &str, limit: Option<FrameCount>) -> Result<(), EngineError> {
        if let Some(naming) = self.would_record(id)? {
            let formats = &self.recorders[self.find(id)?].spec.formats;
            let suffixes: Vec<&'static str> = formats.iter().map(|format| format.suffix()).collect();
            self.writable.check(&naming, self.tai_minus_utc(), &suffixes)?;
            self.begin(id, limit)?;
        }
        Ok(())
    }

    /// Where a recorder would record, if it may; none if it records already. Asks no disk.
    pub(crate) fn would_record(&self, id: &str) -> Result<Option<Naming>, EngineError> {
        let entry = &self.recorders[self.find(id)?];
        if !entry.spec.enabled {
            return Err(EngineError::Conflict(format!("recorder `{id}` is disabled; enable it first")));
        }
        if entry.spec.source.is_none() {
            return Err(EngineError::Conflict(format!("recorder `{id}` has no source; give it one first")));
        }
        Ok((!entry.wanted).then(|| entry.spec.naming.clone()))
    }

    /// What asks the volumes whether a recording could be made, where they may be waited for.
    pub(crate) fn writable(&self) -> Writable {
        self.writable.clone()
    }

    /// Begins to record without asking the disk, which somebody has done.
    pub(crate) fn begin(&mut self, id: &str, limit: Option<FrameCount>) -> Result<(), EngineError> {
        if self.would_record(id)?.is_some() {
            let at = self.find(id)?;
            self.want(at, limit);
        }
        Ok(())
    }

    /// Begins to record even if the disk isn't ready: it is tried until it is. For the start of the engine.
    pub fn record_when_possible(&mut self, id: &str) {
        if let Ok(at) = self.find(id)
            && self.recorders[at].spec.enabled
            && self.recorders[at].spec.source.is_some()
        {
            self.want(at, None);
        }
    }

    fn want(&mut self, at: usize, limit: Option<FrameCount>) {
        let entry = &mut self.recorders[at];
        entry.wanted = true;
        entry.limit = limit;
        let begun = RecordingStatus {
            active: true,
            started: Some(clock::utc_now()),
            studio: entry.spec.studio.clone(),
            ..RecordingStatus::default()
        };
        entry.mirrored = Arc::new(Mutex::new(begun.clone()));
        entry.recording = Arc::new(Mutex::new(begun));
        self.open_files.add(&entry.recording);
        if let Some(mirror) = &self.mirror {
            mirror.open_files.add(&entry.mirrored);
        }
        self.reconcile();
    }

    /// Ends a recording; `done` is called when its file is closed, at once if none is open. A recording that is being ended
    /// already is waited for like one that ends now.
    pub fn stop(&mut self, id: &str, done: Done) -> Result<(), EngineError> {
        let at = self.find(id)?;
        let entry = &mut self.recorders[at];
        entry.wanted = false;
        lock(&entry.recording).active = false;
        lock(&entry.mirrored).active = false;
        if let (true, Some(flow)) = (std::mem::take(&mut entry.feeding), entry.tapped) {
            let (closing, closed) = Closing::begin();
            entry.closing = Some(closing);
            let recorder = entry.spec.id.clone();
            self.order(flow, Order::EndRecording { flow, recorder, done: closed });
        }
        match &self.recorders[at].closing {
            Some(closing) => closing.wait(done),
            None => done(),
        }
        Ok(())
    }

    /// Whether somebody wants this recorder to record.
    pub fn is_recording(&self, id: &str) -> bool {
        self.find(id).is_ok_and(|at| self.recorders[at].wanted)
    }

    /// Which files of the archive are being written, to be asked from anywhere. The mirror's are its own.
    pub(crate) fn open_files(&self) -> OpenFiles {
        self.open_files.clone()
    }

    /// What is to be said of a disk that does not answer, and whether audio is lost by now.
    pub(crate) fn disk_complaint(&self) -> Option<(String, bool)> {
        self.disk.complaint(clock::mono_now())
    }

    /// The chains of the recorders' directories.
    pub(crate) fn chains(&self) -> Chains {
        self.chains.clone()
    }

    /// What is known of the machine's clock, to be asked from anywhere.
    pub(crate) fn clock(&self) -> Arc<ClockShared> {
        Arc::clone(&self.clock)
    }

    /// Each recorder that writes a file now to the volume of which `state` is its recording's, and the bytes that a second of all its formats
    /// takes.
    pub(crate) fn writing(
        &self,
        state: fn(&RecorderEntry) -> &crate::shared::SharedRecording,
    ) -> Vec<(String, u64)> {
        let of = |entry: &RecorderEntry| {
            let RecorderSpec { id, formats, opus, .. } = &entry.spec;
            let source = &self.flow_of(entry).filter(|_| lock(state(entry)).file.is_some())?.source;
            let map = ChannelMap::new(source.channels, &entry.spec.channels).ok()?;
            let formats = formats_of(formats, opus, source.rate, map.output(), source.encoding).ok()?;
            Some((id.clone(), formats.iter().map(FileFormat::bytes_per_second).sum()))
        };
        self.recorders.iter().filter_map(of).collect()
    }

    /// The second volume, if there is one.
    pub(crate) fn mirror(&self) -> Option<&Mirror> {
        self.mirror.as_ref()
    }

    pub(crate) fn flows(&self) -> &[FlowEntry] {
        &self.flows
    }

    pub(crate) fn recorders(&self) -> &[RecorderEntry] {
        &self.recorders
    }

    pub(crate) fn capture_shared(&self) -> &crate::shared::CaptureShared {
        &self.capture.shared
    }

    pub(crate) fn granted(&self) -> &capture::Granted {
        &self.capture.granted
    }

    /// Slots of a flow.
    pub(crate) fn slots(&self) -> usize {
        slots_for(self.options.capture_period)
    }

    pub(crate) fn flow_of(&self, recorder: &RecorderEntry) -> Option<&FlowEntry> {
        self.flows.iter().find(|flow| Some(&flow.source.id) == recorder.spec.source.as_ref())
    }

    fn find(&self, id: &str) -> Result<usize, EngineError> {
        self.recorders.iter().position(|entry| entry.spec.id == id).ok_or_else(|| {
            let known: Vec<&str> = self.recorders.iter().map(|entry| entry.spec.id.as_str()).collect();
            let known = if known.is_empty() {
                "none is configured".to_owned()
            } else {
                format!("there are {}", known.join(", "))
            };
            EngineError::NotFound { what: "recorder", id: id.to_owned(), known }
        })
    }

    fn order(&mut self, flow: u32, order: Order) {
        let worker = self.flows.iter().find(|entry| entry.id == flow).and_then(|entry| entry.worker);
        if let Some(worker) = worker {
            self.tell(worker, order);
        }
    }

    fn untap(&mut self, entry: &mut RecorderEntry) {
        if let Some(flow) = entry.tapped.take() {
            let recorder = entry.spec.id.clone();
            let (closing, closed) = Closing::begin();
            if std::mem::take(&mut entry.feeding) {
                entry.closing = Some(closing);
            }
            self.order(flow, Order::RemoveTap { flow, recorder, done: closed });
        }
        entry.feeding = false;
        lock(&entry.levels).clear();
    }

    fn tap(&mut self, at: usize) {
        let entry = &self.recorders[at];
        if !entry.spec.enabled || entry.tapped.is_some() {
            return;
        }
        let Some(flow) = self.flow_of(entry) else { return };
        if flow.worker.is_none() {
            return;
        }
        let (id, channels) = (flow.id, flow.source.channels);
        let made = ChannelMap::new(channels, &entry.spec.channels);
        let entry = &mut self.recorders[at];
        match made {
            Ok(map) => {
                let tap = Tap::new(entry.spec.id.clone(), map, Arc::clone(&entry.levels));
                entry.tapped = Some(id);
                entry.error = None;
                self.order(id, Order::AddTap { flow: id, tap: Box::new(tap) });
            }
            Err(error) => entry.error = Some(error.to_string()),
        }
    }
}

/// Names that the source gives the chosen channels, in file order; a channel without one has an empty one.
pub(crate) fn given_names(source: &SourceConfig, picks: &[u8]) -> Vec<String> {
    let name = |channel: usize| source.channel_names.get(channel).cloned().unwrap_or_default();
    match picks {
        [] => (0..source.channels.get()).map(name).collect(),
        picks => picks.iter().map(|&pick| name(usize::from(pick))).collect(),
    }
}

/// A lock that a panic elsewhere doesn't take away: what it guards is whole at any instant.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const _: () = assert!(MAX_FLOWS >= 64, "64 recorders may have a flow each");
