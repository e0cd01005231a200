//! The engine's control: which flows are open, which recorders tap them, what records.
//!
//! Owns: the capture thread, the workers and the disk writer, and brings them to what is wanted ([`Engine::reconcile`]).
//! Never: moves a sample. Every method returns soon; what takes the disk's time is told by a callback.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Acquire};
use std::sync::mpsc::{Receiver as Inbox, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use audyn_api::{ClockConfig, FormatConfig, SilenceCause, SourceConfig, SourceId};
use audyn_core::channels::ChannelMap;
use audyn_core::flow::{FlowFormat, Receiver};
use audyn_media::{PcmDepth, WavSpec};
use audyn_sys::{FlowSocket, FlowSocketConfig, RealtimeRequest, clock, realtime};
use audyn_units::{Encoding, FrameCount, FrameIndex, Mono, Nanos, Timestamp, Utc};

use crate::capture::{self, Capture, MAX_FLOWS};
use crate::closing::{Closing, OpenFiles};
use crate::diagnosis::{Recent, Trouble, cause_of};
use crate::disk::{Disk, MakeSafe};
use crate::error::EngineError;
use crate::feed::{self, Cutting, Done};
use crate::keep::KeptSockets;
use crate::keeper::Keeper;
use crate::keeper::link::SharedLink;
use crate::legs::{self, LegEntry, Ports};
use crate::naming::Naming;
use crate::network::{Hold, Network, interface_ref};
use crate::recording::{Recording, RecordingPlan, make_safe};
use crate::selftest::Testing;
use crate::shared::{
    CaptureShared, ClockShared, FlowShared, Notice, RecordingStatus, SharedLevels, SharedRecording,
};
use crate::tap::Tap;
use crate::volume::Volume;
use crate::worker::{Order, Worker};

/// Time between two tries to open a flow that failed.
const RETRY: Nanos = Nanos::from_secs(2);

/// Notices that wait for control at most; later ones are dropped.
const NOTICES: usize = 4_096;

/// How the engine runs.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Period of the capture thread's wake-ups.
    pub capture_period: Nanos,
    /// SCHED_FIFO priority of the capture thread; none leaves it ordinary.
    pub fifo_priority: Option<u8>,
    /// Receive buffer asked for each flow's socket, in bytes.
    pub receive_buffer: usize,
    /// Keep all memory of the process in RAM.
    pub lock_memory: bool,
    /// Wait for the disk about once a second.
    pub sync_every_second: bool,
    /// The directory whose volume is watched.
    pub archive_root: PathBuf,
    /// TAI − UTC in seconds for a kernel that nobody has told it.
    pub tai_offset: Option<i32>,
    /// Where open files are listed, so that the next engine mends what a power cut leaves of them.
    pub state: Option<PathBuf>,
    /// Whom the clock is judged by.
    pub clock: ClockConfig,
}

/// One recorder, as the engine runs it.
#[derive(Debug, Clone)]
pub struct RecorderSpec {
    /// Its identifier.
    pub id: String,
    /// What it records.
    pub source: Option<SourceId>,
    /// Whether it receives and meters.
    pub enabled: bool,
    /// Channels of the source, counted from 0; empty takes all.
    pub channels: Vec<u8>,
    /// Format of its files.
    pub format: FormatConfig,
    /// Where its files go.
    pub naming: Naming,
}

pub(crate) struct FlowEntry {
    pub(crate) id: u32,
    pub(crate) source: SourceConfig,
    pub(crate) shared: Arc<FlowShared>,
    /// Which worker owns it; none while its socket is not open.
    worker: Option<usize>,
    pub(crate) legs: Vec<LegEntry>,
    /// Why none of its sockets is open.
    pub(crate) failure: Option<Trouble>,
    pub(crate) last_try: Timestamp<Mono>,
    pub(crate) recent: Recent,
}

pub(crate) struct RecorderEntry {
    pub(crate) spec: RecorderSpec,
    pub(crate) levels: SharedLevels,
    pub(crate) recording: SharedRecording,
    /// The flow that it taps.
    tapped: Option<u32>,
    /// Somebody wants it to record.
    pub(crate) wanted: bool,
    limit: Option<FrameCount>,
    feeding: bool,
    /// The recording that was ended last; its file may still be open.
    closing: Option<Closing>,
    pub(crate) error: Option<String>,
}

/// What waits until all recordings that begin with the engine have begun.
#[derive(Default)]
struct Held {
    orders: Vec<(usize, Order)>,
    #[expect(clippy::vec_box, reason = "a port goes to the capture thread as it is, in its box")]
    ports: Vec<Box<capture::CapturePort>>,
}

/// The running engine. Dropping it stops capture, then closes every file.
pub struct Engine {
    // In the order in which they must end: no more datagrams, no more samples, then the files.
    pub(crate) capture: Capture,
    workers: Vec<Worker>,
    disk: Disk,
    pub(crate) keeper: Keeper,
    pub(crate) volume: Volume,
    open_files: OpenFiles,
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
        let safe = options.sync_every_second.then(|| Box::new(make_safe) as MakeSafe);
        let state = options.state.clone().map(|state| (state, options.archive_root.clone()));
        let disk = Disk::start(sender, safe, state)?;
        let volume = Volume::watch(options.archive_root.clone())?;
        Ok(Self {
            capture,
            workers: workers?,
            disk,
            keeper,
            volume,
            open_files: OpenFiles::default(),
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

    /// Takes over the sockets that an earlier engine left. From now to [`Engine::release`] flows are opened, tapped and recorded,
    /// and nothing of them is read: so that what waits in a socket meets its recording.
    pub fn hold(&mut self, kept: KeptSockets) {
        self.kept = kept;
        self.held = Some(Held::default());
    }

    /// Reads the flows from here on, and closes the kept sockets that none of them has claimed.
    pub fn release(&mut self) {
        self.kept.drop_rest();
        let Some(Held { orders, ports }) = self.held.take() else { return };
        let mut together: Vec<Vec<Order>> = self.workers.iter().map(|_| Vec::new()).collect();
        for (worker, order) in orders {
            together[worker].push(order);
        }
        for (worker, orders) in together.into_iter().enumerate() {
            self.workers[worker].order(Order::Together(orders));
        }
        for port in ports {
            // There is room for more than there are flows, and nothing was asked of the capture thread before.
            if !self.capture.add(port) {
                tracing::error!("the capture thread takes no flow; restart the engine");
            }
        }
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
        }
    }

    /// TAI − UTC, if somebody told it.
    pub(crate) fn tai_minus_utc(&self) -> Option<Nanos> {
        self.clock.tai_minus_utc()
    }

    /// Begins to record; already recording is no error. With a limit it ends by itself after so many frames.
    pub fn record(&mut self, id: &str, limit: Option<FrameCount>) -> Result<(), EngineError> {
        if let Some(naming) = self.would_record(id)? {
            naming.check_writable(self.tai_minus_utc())?;
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
        entry.recording = Arc::new(Mutex::new(RecordingStatus {
            active: true,
            started: Some(clock::utc_now()),
            ..RecordingStatus::default()
        }));
        self.open_files.add(&entry.recording);
        self.reconcile();
    }

    /// Ends a recording; `done` is called when its file is closed, at once if none is open. A recording that is being ended
    /// already is waited for like one that ends now.
    pub fn stop(&mut self, id: &str, done: Done) -> Result<(), EngineError> {
        let at = self.find(id)?;
        let entry = &mut self.recorders[at];
        entry.wanted = false;
        lock(&entry.recording).active = false;
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

    /// Which files are being written, to be asked from anywhere.
    pub(crate) fn open_files(&self) -> OpenFiles {
        self.open_files.clone()
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

    fn tell(&mut self, worker: usize, order: Order) {
        match &mut self.held {
            Some(held) => held.orders.push((worker, order)),
            None => self.workers[worker].order(order),
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

    fn open_flow(&mut self, at: usize, now: Timestamp<Mono>) {
        let options = &self.options;
        let flow = &mut self.flows[at];
        flow.last_try = now;
        match flow.open(options, &mut self.kept, Some(&self.keeper)) {
            Ok((captured, ports, receiver)) => {
                let (flow, shared) = (flow.id, Arc::clone(&flow.shared));
                let order = Order::AddFlow { flow, shared, ports, receiver, taps: Vec::new() };
                let worker = self.add_flow(flow, order, captured);
                let flow = &mut self.flows[at];
                flow.worker = worker;
                flow.failure = worker
                    .is_none()
                    .then(|| (SilenceCause::Join, "the capture thread is busy; trying again".to_owned()));
                if flow.failure.is_some() {
                    self.let_go(at);
                }
            }
            Err(error) => {
                self.let_go(at);
                let flow = &mut self.flows[at];
                let failure = (cause_of(&error), error.to_string());
                if flow.failure.as_ref() != Some(&failure) {
                    // The snapshot carries it; whoever shows that says it louder.
                    tracing::info!(source = %flow.source.id, "{error}");
                }
                flow.failure = Some(failure);
            }
        }
    }

    /// Closes the control's end of a flow's socket, wherever it is kept.
    fn let_go(&mut self, at: usize) {
        for leg in &mut self.flows[at].legs {
            leg.let_go(&self.kept);
        }
    }

    /// Gives a leg to the capture thread, or lays it by while flows are held.
    fn give(&mut self, port: Box<capture::CapturePort>) -> bool {
        match &mut self.held {
            Some(held) => {
                held.ports.push(port);
                true
            }
            None => self.capture.add(port),
        }
    }

    /// Gives a flow to the capture thread and, by `order`, to a worker, and tells which. None if the capture thread has too
    /// much to do now.
    pub(crate) fn add_flow(
        &mut self,
        flow: u32,
        order: Order,
        ports: impl IntoIterator<Item = Box<capture::CapturePort>>,
    ) -> Option<usize> {
        let worker = (0..self.workers.len())
            .min_by_key(|&n| self.workers[n].flows)
            .expect("there is at least one worker");
        // The worker first: it must be there when the first datagram comes.
        self.tell(worker, order);
        if ports.into_iter().all(|port| self.give(port)) {
            self.workers[worker].flows += 1;
            return Some(worker);
        }
        self.capture.remove(flow);
        self.workers[worker].order(Order::RemoveFlow { flow });
        None
    }

    pub(crate) fn remove_flow(&mut self, flow: u32, worker: usize) {
        self.capture.remove(flow);
        self.workers[worker].order(Order::RemoveFlow { flow });
        self.workers[worker].flows -= 1;
    }

    /// Opens the legs of a running flow that could not be opened with it.
    fn open_missing_legs(&mut self, at: usize, now: Timestamp<Mono>) {
        let flow = &mut self.flows[at];
        let Some(worker) = flow.worker else { return };
        for n in 0..flow.legs.len() {
            let flow = &mut self.flows[at];
            if flow.legs[n].open || now - flow.legs[n].last_try < RETRY {
                continue;
            }
            if let Some((port, worker_port)) =
                flow.open_leg(n, &self.options, &mut self.kept, Some(&self.keeper), now)
            {
                let (id, leg) = (flow.id, flow.legs[n].leg);
                self.tell(worker, Order::AddLeg { flow: id, leg, port: worker_port });
                if !self.give(port) {
                    self.flows[at].legs[n].let_go(&self.kept);
                }
            }
        }
    }

    fn close_flow(&mut self, flow: &FlowEntry) {
        if let Some(worker) = flow.worker {
            self.remove_flow(flow.id, worker);
        }
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

    fn feed(&mut self, at: usize) {
        let entry = &self.recorders[at];
        let (true, false, Some(flow)) = (entry.wanted, entry.feeding, entry.tapped) else { return };
        let Some(source) = self.flows.iter().find(|f| f.id == flow).map(|f| f.source.clone()) else { return };
        let Ok(map) = ChannelMap::new(source.channels, &entry.spec.channels) else { return };
        let source_depth = match source.encoding {
            Encoding::L16 => PcmDepth::Pcm16,
            Encoding::L24 => PcmDepth::Pcm24,
        };
        let depth = match entry.spec.format {
            FormatConfig::Wav => source_depth,
            FormatConfig::Wav16 => PcmDepth::Pcm16,
            FormatConfig::Wav24 => PcmDepth::Pcm24,
        };
        let naming = entry.spec.naming.clone();
        let cutting = match &naming {
            Naming::File(_) => None,
            Naming::Archive { policy, zone, .. } => {
                Some(Cutting { policy: policy.clone(), zone: zone.clone() })
            }
        };
        let (feed, end) = feed::connect(source.rate, map.output().get(), cutting, entry.limit);
        let plan = RecordingPlan {
            recorder: entry.spec.id.clone(),
            naming,
            spec: WavSpec { rate: source.rate, channels: map.output(), depth },
            source_depth,
        };
        self.disk.add(Recording::new(plan, end, Arc::clone(&entry.recording)));
        let recorder = entry.spec.id.clone();
        self.order(flow, Order::Record { flow, recorder, feed: Box::new(feed) });
        self.recorders[at].feeding = true;
    }
}

impl FlowEntry {
    fn new(id: u32, source: SourceConfig) -> Self {
        let shared = Arc::default();
        Self {
            id,
            legs: LegEntry::of(&source, &shared),
            source,
            shared,
            worker: None,
            failure: None,
            last_try: Timestamp::ZERO,
            recent: Recent::default(),
        }
    }

    /// Opens every leg that can be opened; an error if none can.
    fn open(
        &mut self,
        options: &EngineOptions,
        kept: &mut KeptSockets,
        keeper: Option<&Keeper>,
    ) -> Result<Opened, EngineError> {
        let now = self.last_try;
        let (mut captured, mut ports, mut refused) = (Vec::new(), Ports::default(), None);
        for n in 0..self.legs.len() {
            match self.try_leg(n, options, kept, keeper, now) {
                Ok((port, worker_port)) => {
                    captured.push(port);
                    ports.add(self.legs[n].leg, worker_port);
                }
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        if let Some(error) = refused.filter(|_| captured.is_empty()) {
            return Err(error);
        }
        let source = &self.source;
        let format = FlowFormat {
            encoding: source.encoding,
            rate: source.rate,
            channels: source.channels,
            payload_type: source.payload_type,
        };
        // The worker tells the clock before the first packet, by which the first frame is placed.
        let base = FrameIndex(0);
        let receiver = match source.second_leg {
            Some(_) => Receiver::with_second_leg(format, base, source.skew),
            None => Receiver::new(format, base),
        };
        let receiver = receiver.with_media_clock(source.media_clock_offset);
        Ok((captured, ports, Box::new(receiver)))
    }

    /// Opens one leg; if it can't be, the leg says why.
    fn open_leg(
        &mut self,
        n: usize,
        options: &EngineOptions,
        kept: &mut KeptSockets,
        keeper: Option<&Keeper>,
        now: Timestamp<Mono>,
    ) -> Option<(Box<capture::CapturePort>, capture::WorkerPort)> {
        self.try_leg(n, options, kept, keeper, now).ok()
    }

    fn try_leg(
        &mut self,
        n: usize,
        options: &EngineOptions,
        kept: &mut KeptSockets,
        keeper: Option<&Keeper>,
        now: Timestamp<Mono>,
    ) -> Result<(Box<capture::CapturePort>, capture::WorkerPort), EngineError> {
        let (source, leg) = (&self.source, &mut self.legs[n]);
        leg.last_try = now;
        let place = legs::place(source, leg.leg);
        let config = FlowSocketConfig {
            address: place.address,
            port: place.port,
            interface: place.interface.as_deref().map(interface_ref),
            source: place.source_filter,
            receive_buffer: options.receive_buffer,
        };
        let connected = open_or_claim(&config, &leg.label(source), kept).and_then(|(socket, kept_as)| {
            leg.kept_as = kept_as;
            let (granted, hold) = (socket.granted(), Hold::of(&socket, &config)?);
            let named = place.interface.as_deref();
            let card = keeper.and_then(|keeper| stamped(source, named, &socket, keeper));
            let slots = slots_for(options.capture_period);
            let (mut port, worker_port) = capture::connect(self.id, socket, slots, &leg.shared)?;
            if let Some(link) = card {
                port.stamp_by(link);
            }
            Ok((granted, hold, (port, worker_port)))
        });
        match connected {
            Ok((granted, hold, (mut port, worker_port))) => {
                if granted < options.receive_buffer {
                    tracing::warn!(
                        source = %source.id, asked = options.receive_buffer, granted,
                        "the receive buffer is smaller than asked for; raise net.core.rmem_max or give CAP_NET_ADMIN"
                    );
                }
                leg.granted = granted;
                leg.error = None;
                leg.open = true;
                leg.hold = Some(hold);
                port.leg = leg.leg;
                Ok((port, worker_port))
            }
            Err(error) => {
                leg.let_go(kept);
                leg.error = Some(error.to_string());
                Err(error)
            }
        }
    }
}

/// The socket of a flow: the one that was kept for it, or a new one, which is kept from now on.
fn open_or_claim(
    config: &FlowSocketConfig,
    label: &str,
    kept: &mut KeptSockets,
) -> Result<(FlowSocket, Option<String>), EngineError> {
    let Some(name) = config.store_name(label) else { return Ok((FlowSocket::open(config)?, None)) };
    match kept.claim(&name).map(|socket| FlowSocket::adopt(socket, config)) {
        Some(Ok(socket)) => {
            tracing::info!(name, "goes on with the socket of the engine before");
            return Ok((socket, Some(name)));
        }
        Some(Err(error)) => {
            tracing::warn!(name, "{error}");
            kept.forget(&name);
        }
        None => {}
    }
    let socket = FlowSocket::open(config)?;
    kept.keep(&name, socket.as_fd());
    Ok((socket, Some(name)))
}
/// A flow's ends: the capture thread's, the worker's, and what the worker does with what comes.
type Opened = (Vec<Box<capture::CapturePort>>, Ports, Box<Receiver>);

/// Has a flow's packets stamped by the card where it may, and gives the link to the card's clock; none where the kernel stamps.
pub(crate) fn stamped(
    source: &SourceConfig,
    named: Option<&str>,
    socket: &FlowSocket,
    keeper: &Keeper,
) -> Option<Arc<SharedLink>> {
    // The card's clock belongs to the interface's name, however the source names it.
    let interface = interface_ref(named?).find().ok()?.name;
    let card = keeper.card_of(&interface)?;
    match socket.stamp_by_card(&interface, card.virtual_clock) {
        Ok(()) => Some(card.link),
        Err(error) => {
            tracing::info!(source = %source.id, "{error}; the kernel's stamps are used");
            None
        }
    }
}

/// Slots for a flow at the usual period of 4 ms: 8 ms, a worker's turn, of 128,000 packets a second. A flood of rubbish fills
/// slots as audio does, whatever the flow's own rate.
const SLOTS: usize = 1_024;

fn slots_for(period: Nanos) -> usize {
    SLOTS * (period.0 as usize).div_ceil(4_000_000).max(1)
}

/// Whether two configurations of a source mean the same flow. What else they say is for people.
pub(crate) fn same_flow(one: &SourceConfig, other: &SourceConfig) -> bool {
    // Taken apart, so that a new field has to be judged here.
    let SourceConfig {
        id,
        name: _,
        description: _,
        address,
        port,
        payload_type,
        encoding,
        rate,
        channels,
        packet_frames,
        interface,
        source_filter,
        channel_names: _,
        media_clock_offset,
        ref_clock: _,
        second_leg,
        skew,
    } = one;
    (id, address, port, payload_type, encoding)
        == (&other.id, &other.address, &other.port, &other.payload_type, &other.encoding)
        && (rate, channels, packet_frames) == (&other.rate, &other.channels, &other.packet_frames)
        && (interface, source_filter) == (&other.interface, &other.source_filter)
        && *media_clock_offset == other.media_clock_offset
        && (second_leg, skew) == (&other.second_leg, &other.skew)
}

impl RecorderEntry {
    fn new(spec: RecorderSpec) -> Self {
        Self {
            spec,
            levels: Arc::default(),
            recording: Arc::default(),
            tapped: None,
            wanted: false,
            limit: None,
            feeding: false,
            closing: None,
            error: None,
        }
    }

    /// Whether the running tap and recording serve `spec` as well.
    fn taps_like(&self, spec: &RecorderSpec) -> bool {
        let now = &self.spec;
        now.enabled == spec.enabled
            && now.source == spec.source
            && now.channels == spec.channels
            && now.format == spec.format
            && now.naming.is_like(&spec.naming)
    }
}

/// A lock that a panic elsewhere doesn't take away: what it guards is whole at any instant.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const _: () = assert!(MAX_FLOWS >= 64, "64 recorders may have a flow each");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_of_long_packets_has_as_many_slots_for_a_flood_as_any_other() {
        let slots = |packet_frames: Option<u16>, period| {
            let source = serde_json::from_value(serde_json::json!({
                "id": "a", "name": "a", "address": "127.0.0.1", "port": 0, "packet_frames": packet_frames,
            }));
            let options = EngineOptions {
                state: None,
                clock: ClockConfig::default(),
                capture_period: Nanos::from_millis(period),
                fifo_priority: None,
                lock_memory: false,
                receive_buffer: 65_536,
                sync_every_second: false,
                tai_offset: None,
                archive_root: PathBuf::new(),
            };
            let mut flow = FlowEntry::new(0, source.unwrap());
            let (_, port) =
                flow.open_leg(0, &options, &mut KeptSockets::none(), None, Timestamp::ZERO).unwrap();
            port.slab.slots()
        };
        for packet_frames in [None, Some(6), Some(48), Some(192)] {
            // A worker's turn of 8 ms at 128,000 packets a second, whatever the flow's own packet time.
            assert!(slots(packet_frames, 4) >= 1_024, "{packet_frames:?}");
            assert!(slots(packet_frames, 8) >= 2_048, "{packet_frames:?}");
        }
    }
}
