//! The keeper of the clock: a thread that asks, once a second, all that tell of the clock, and passes on what the judge
//! makes of it.
//!
//! Owns: the clients of ptp4l, the open hardware clocks, the judge. Never: sets a clock; is waited for by capture, workers or
//! control: they read what was told last.
//!
//! ```text
//!  ptp4l's sockets ─┐
//!  hardware clocks ─┼─► keeper ─► judge ─► ClockShared (workers), snapshot (control), log
//!  kernel, NTP ─────┘      └────────────► links from hardware clocks (capture)
//! ```

mod ask;
mod card;
#[cfg(test)]
mod fake;
mod find;
pub(crate) mod link;
mod show;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use audyn_api::{ClockConfig, ClockSnapshot, PtpChoice, SourceConfig, StampKind};
use audyn_core::judge::{Change, Judge, Limits, PhcTold, PtpTold, Round, ServerTold};
use audyn_sys::{InterfaceRef, Phc, SysError, clock, phc};
use audyn_units::{ClockQuality, Nanos};
use audyn_wire::ptp::{RefClock, Stamping};

use crate::engine::lock;
use crate::error::EngineError;
use crate::shared::ClockShared;
use ask::PtpClient;
use card::{Cards, Reading};
use link::SharedLink;

/// Time between two rounds.
const PERIOD: Duration = Duration::from_secs(1);

/// The target that alarms of the clock are logged under.
pub const CLOCK_LOG: &str = "audyn_clock";

/// How long a ptp4l may take to answer; it does so within milliseconds, and on a machine that is busy with other things later.
const PATIENCE: Duration = Duration::from_millis(700);

/// The same for the first round, which the start of the engine waits for.
const PATIENCE_AT_START: Duration = Duration::from_millis(100);

/// A ptp4l whose socket has not been there for so long was switched off by somebody.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// What control and the keeper share.
#[derive(Debug, Default)]
struct Shared {
    told: Mutex<ClockSnapshot>,
    references: Mutex<Vec<(String, RefClock)>>,
    /// Held for the length of a round by the keeper, and for a moment by whoever opens a flow.
    cards: Mutex<Cards>,
    stop: AtomicBool,
}

/// The handle of the running keeper. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    config: ClockConfig,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Asks everybody once, so that the first flow is placed by what is known; then goes on to do so by itself.
    /// `tai_offset` is what a person says of TAI − UTC, for a machine that nobody else tells it.
    pub(crate) fn start(
        config: ClockConfig,
        tai_offset: Option<i32>,
        clock: Arc<ClockShared>,
    ) -> Result<Self, SysError> {
        let shared = Arc::new(Shared::default());
        let mut rounds = Rounds::new(config.clone(), tai_offset, Arc::clone(&shared), clock);
        rounds.turn(PATIENCE_AT_START);
        let thread = std::thread::Builder::new()
            .name("audyn-clock".to_owned())
            .spawn(move || {
                let mut next = Instant::now();
                while !rounds.shared.stop.load(Acquire) {
                    // After a suspend or a stall it goes on from now.
                    next = (next + PERIOD).max(Instant::now());
                    while Instant::now() < next && !rounds.shared.stop.load(Acquire) {
                        std::thread::park_timeout(next.saturating_duration_since(Instant::now()));
                    }
                    rounds.turn(PATIENCE);
                }
            })
            .map_err(|source| SysError::Thread { source })?;
        Ok(Self { shared, config, thread: Some(thread) })
    }

    /// What is known of the clock.
    pub(crate) fn snapshot(&self) -> ClockSnapshot {
        lock(&self.shared.told).clone()
    }

    /// Which clocks the sources' descriptions name.
    pub(crate) fn compare_with(&self, sources: &[SourceConfig]) {
        let named = |source: &SourceConfig| {
            Some((source.id.to_string(), RefClock::parse(source.ref_clock.as_deref()?)?))
        };
        *lock(&self.shared.references) = sources.iter().filter_map(named).collect();
    }

    /// The hardware clock that stamps what comes in by an interface, and the link from it; none where the kernel stamps.
    pub(crate) fn card_of(&self, interface: &str) -> Option<CardLink> {
        if self.config.ptp != PtpChoice::Auto {
            return None;
        }
        let stamps = phc::interface_stamps(interface).ok().filter(|stamps| stamps.hardware_receive)?;
        let own = stamps.phc?;
        // A clock that was named and is not the card's own is a virtual one on it: the kernel is asked to stamp by that.
        let named = self.config.device.as_deref().map(Path::new).and_then(index);
        let virtual_clock = named.filter(|&named| named != own);
        let path = device(virtual_clock.unwrap_or(own));
        let link = lock(&self.shared.cards).watch(&path);
        Some(CardLink { link, virtual_clock })
    }
}

/// A card that may stamp a flow's packets.
#[derive(Debug, Clone)]
pub(crate) struct CardLink {
    /// From its clock to the monotonic one.
    pub(crate) link: Arc<SharedLink>,
    /// The number of the virtual clock that is to stamp, if it isn't the card's own.
    pub(crate) virtual_clock: Option<u32>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.stop.store(true, Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic in there has been printed; there is nothing to add to it here.
            let _ = thread.join();
        }
    }
}

/// Whether the hardware clock and the interface that a configuration names are there, for a person who has just named them. A
/// service does without, and says so, until they come.
pub fn clock_is_there(config: &ClockConfig) -> Result<(), EngineError> {
    if let Some(device) = &config.device {
        Phc::open(Path::new(device))?;
    }
    if let Some(interface) = &config.interface {
        InterfaceRef::Name(interface.clone()).find()?;
    }
    Ok(())
}

fn device(index: u32) -> PathBuf {
    PathBuf::from(format!("/dev/ptp{index}"))
}

fn index(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.strip_prefix("ptp")?.parse().ok()
}

/// One ptp4l.
struct Server {
    /// The name by which it is known: the place says it, or its first answer.
    name: Option<String>,
    client: PtpClient,
    /// The hardware clock that it led last.
    device: Option<PathBuf>,
    /// Since when its socket is not there.
    away: Option<Instant>,
}

/// What is known of one ptp4l, or of a clock without one, after a round.
struct Heard {
    told: ServerTold,
    device: Option<PathBuf>,
    reading: Option<Reading>,
}

/// The rounds, on the keeper's thread.
struct Rounds {
    config: ClockConfig,
    shared: Arc<Shared>,
    clock: Arc<ClockShared>,
    servers: Vec<Server>,
    judge: Judge,
    quality: Option<ClockQuality>,
}

impl Rounds {
    fn new(
        config: ClockConfig,
        tai_offset: Option<i32>,
        shared: Arc<Shared>,
        clock: Arc<ClockShared>,
    ) -> Self {
        let limits = Limits {
            offset: Nanos::from_micros(i64::from(config.max_offset_micros)),
            holdover: Nanos::from_secs(i64::from(config.holdover_seconds)),
            tai_offset,
        };
        Self { config, shared, clock, servers: Vec::new(), judge: Judge::new(limits), quality: None }
    }

    fn turn(&mut self, patience: Duration) {
        self.find();
        // Not held while ptp4l is asked: that may take its time.
        let answers: Vec<_> = self.servers.iter_mut().map(|server| server.ask(patience)).collect();
        let mut heard = Vec::new();
        {
            let mut cards = lock(&self.shared.cards);
            cards.read_all();
            for (server, told) in self.servers.iter_mut().zip(answers) {
                heard.extend(beside(&self.config, server, told, &mut cards));
            }
            heard.extend(self.named_device(&heard, &mut cards));
        }
        let references = lock(&self.shared.references).clone();
        let servers: Vec<ServerTold> = heard.iter().map(|heard| heard.told.clone()).collect();
        let round = Round {
            at: clock::mono_now(),
            utc: clock::utc_now(),
            servers: &servers,
            kernel_tai_offset: clock::tai_offset(),
            synchronised: find::synchronised(),
            references: &references,
        };
        let (verdict, changes) = self.judge.hear(&round);
        self.clock.tell(
            verdict.quality,
            verdict.tai_offset.map(|(offset, _)| offset),
            round.kernel_tai_offset,
        );
        if self.quality.replace(verdict.quality) != Some(verdict.quality) {
            tracing::info!(
                tai_offset = verdict.tai_offset.map(|(offset, _)| offset),
                "the clock is {}",
                verdict.quality
            );
        }
        for change in changes {
            match change {
                Change::Began(alarm) => tracing::warn!(target: CLOCK_LOG, "clock: {}", alarm.text),
                Change::Ended(alarm) => {
                    tracing::info!(target: CLOCK_LOG, "clock: it is over that {}", alarm.text);
                }
            }
        }
        let snapshot = show::snapshot(&verdict, &heard, round.synchronised, self.judge.alarms());
        *lock(&self.shared.told) = snapshot;
    }

    /// Looks which ptp4l there are. One that has gone stays: its absence is to be told.
    fn find(&mut self) {
        let found = match (self.config.ptp, &self.config.socket) {
            (PtpChoice::Off, _) => Vec::new(),
            (_, Some(path)) => vec![(None, PathBuf::from(path))],
            (_, None) => find::sockets(),
        };
        for (name, path) in found {
            let other_port =
                self.config.interface.is_some() && name.is_some() && name != self.config.interface;
            if !other_port && self.servers.iter().all(|server| server.client.path() != path) {
                let client = PtpClient::new(path, self.config.domain);
                self.servers.push(Server { name, client, device: None, away: None });
            }
        }
        for server in &mut self.servers {
            server.away = match server.client.path().exists() {
                true => None,
                false => Some(server.away.unwrap_or_else(Instant::now)),
            };
        }
        self.servers.retain(|server| server.away.is_none_or(|since| since.elapsed() < FORGOTTEN));
    }

    /// The device that was named, where no ptp4l leads it.
    fn named_device(&self, heard: &[Heard], cards: &mut Cards) -> Option<Heard> {
        let path = PathBuf::from(self.config.device.as_ref().filter(|_| self.config.ptp == PtpChoice::Auto)?);
        if heard.iter().any(|heard| heard.device.as_ref() == Some(&path)) {
            return None;
        }
        let read = cards.read(&path);
        let phc = match &read {
            Ok(reading) => reading.told(),
            Err(why) => PhcTold::Unreadable(why.clone()),
        };
        let name = path.display().to_string();
        let told = ServerTold { name, told: None, phc: Some(phc), sync_age: None };
        Some(Heard { told, device: Some(path), reading: read.ok() })
    }
}

/// Lays the hardware clock that a ptp4l leads beside what it told. None if it isn't the one that was asked for, or has never
/// answered.
fn beside(
    config: &ClockConfig,
    server: &mut Server,
    told: Option<PtpTold>,
    cards: &mut Cards,
) -> Option<Heard> {
    let name = server.name.clone()?;
    if let (Some(told), Some(wanted)) = (&told, &config.interface)
        && !told.ports.iter().any(|port| port.interface == *wanted)
    {
        return None;
    }
    if let Some(port) = told.as_ref().and_then(PtpTold::port) {
        let hardware = port.stamping == Some(Stamping::Hardware) && config.ptp == PtpChoice::Auto;
        let own = || phc::interface_stamps(&port.interface).ok()?.phc.map(device);
        // A card that has gone from under its ptp4l has a clock no more; the last one is tried, so that this is told.
        server.device = match &config.device {
            _ if !hardware => None,
            Some(path) => Some(PathBuf::from(path)),
            None => own().or_else(|| server.device.take()),
        };
    }
    let device = server.device.clone();
    let read = device.as_deref().map(|path| cards.read(path));
    let phc = read.as_ref().map(|read| match read {
        Ok(reading) => reading.told(),
        Err(why) => PhcTold::Unreadable(why.clone()),
    });
    let reading = read.and_then(Result::ok);
    let sync_age = told.as_ref().filter(|told| told.ingress > 0).and_then(|told| {
        let now = match (&device, &reading) {
            (Some(_), reading) => reading.as_ref()?.stamp.phc.as_nanos(),
            (None, _) => clock::utc_now().as_nanos(),
        };
        now.checked_sub(told.ingress).map(Nanos)
    });
    Some(Heard { told: ServerTold { name, told, phc, sync_age }, device, reading })
}

impl Server {
    fn ask(&mut self, patience: Duration) -> Option<PtpTold> {
        let mut told = self.client.ask(patience)?;
        // Where the place says whose it is, so does the port's configuration say what was not told.
        if let (Some(name), [port]) = (&self.name, &mut told.ports[..])
            && port.stamping.is_none()
        {
            port.stamping = find::stamping(name);
            port.interface.clone_from(name);
        }
        if self.name.is_none() {
            let ports: Vec<&str> = told.ports.iter().map(|port| port.interface.as_str()).collect();
            let named = ports.join("+");
            let path = || self.client.path().display().to_string();
            self.name = Some(if ports.iter().any(|port| port.is_empty()) || ports.is_empty() {
                path()
            } else {
                named
            });
        }
        Some(told)
    }
}

/// The word for who stamps.
fn stamps(stamping: Option<Stamping>) -> StampKind {
    match stamping {
        None => StampKind::Unknown,
        Some(Stamping::Software) => StampKind::Software,
        Some(Stamping::Hardware) => StampKind::Hardware,
    }
}

#[cfg(test)]
mod tests;
