//! What the engine does for its clients: answers requests, and makes the frames that subscribers get.
//!
//! Owns: the engine and its configuration together, so that what is on disk and what runs agree. Never: a socket.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use audyn_api::{
    Event, GlobalConfig, ProposedLimits, RecorderConfig, RecorderId, RecorderState, Refusal, Reply, Request,
    SelfTestReport, Snapshot,
};
use audyn_media::markers;
use audyn_units::{Counted, Nanos};
use tokio::sync::oneshot;

use crate::chains::Chains;
use crate::closing::OpenFiles;
use crate::engine::{CapturePulse, Engine, EngineOptions, mirror, same_flow};
use crate::error::EngineError;
use crate::keep::KeptSockets;
use crate::mark::{self, Wish};
use crate::naming::Naming;
use crate::retention::room::{Known, On, RoomAlarms, tell_with};
use crate::retention::{Archive, Retention};
use crate::shared::Notice;
use crate::snapshot::gap_entry;
use crate::store::{Change, ConfigStore, recorder_specs, rules};
use crate::volume::{Ours, report};
use crate::{both, delete};

/// The engine with its configuration.
#[derive(Debug)]
pub struct Service {
    engine: Engine,
    store: ConfigStore,
    /// `global.json` as the engine was started with it.
    running: GlobalConfig,
    /// Something happened that subscribers should see before the second is over.
    changed: bool,
    states: HashMap<String, RecorderState>,
    /// After the engine: nothing is being recorded any more when it ends.
    retention: Retention,
    room: RoomAlarms,
    /// The same of the mirror, by the same limits.
    mirror: Option<(Retention, RoomAlarms)>,
    /// Who has the mirror do what a person asked.
    follower: both::Follower,
}

/// An answer, or the promise of one.
#[derive(Debug)]
pub enum Answer {
    /// It is known now.
    Now(Reply),
    /// It is [`Reply::Done`] when all of these have been told: files are being closed.
    WhenClosed(Vec<oneshot::Receiver<()>>),
    /// The archive's disk is asked first, where it may hang.
    OnDisk(DiskWork),
}

/// What goes on when the disk has answered.
pub(crate) type Then = Box<dyn FnOnce(&mut Service) -> Reply + Send>;

/// Work that takes time or may hang with the archive's volume; it is not done on the thread that serves clients.
pub struct DiskWork {
    pub(crate) lane: Lane,
    /// Asks the disk.
    pub(crate) ask: Box<dyn FnOnce() -> Then + Send>,
    /// What is said if it takes too long; the rest is then not done.
    pub(crate) late: &'static str,
}

/// Works of different lanes do not wait for each other.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lane {
    Start,
    Delete,
    /// Looks at the archive for as long as that takes, and changes nothing.
    Plan,
    SelfTest,
    Volume,
    Mark,
}

impl std::fmt::Debug for DiskWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskWork").field("lane", &self.lane).finish_non_exhaustive()
    }
}

impl Service {
    /// Starts the engine on a configuration, and what shall record from the start.
    pub fn start(store: ConfigStore) -> Result<Self, EngineError> {
        Self::start_with(store, KeptSockets::none(), None)
    }

    /// The same, taking over the sockets that a service manager kept: what waits in them is recorded from its first packet on. In
    /// `volume_chosen` the machine tells which of its disks it chose for the archive's root.
    pub fn start_with(
        store: ConfigStore,
        kept: KeptSockets,
        volume_chosen: Option<PathBuf>,
    ) -> Result<Self, EngineError> {
        let document = store.document();
        let running = document.global.clone();
        let mut engine = Engine::start(options(&running, store.directory(), volume_chosen))?;
        for warning in engine.warnings() {
            tracing::warn!("{warning}");
        }
        engine.hold(kept);
        engine.configure(recorder_specs(document)?, &document.sources);
        for recorder in document.recorders.iter().filter(|r| r.enabled && r.auto_start) {
            engine.record_when_possible(recorder.id.as_str());
        }
        engine.release();
        let limits = |chains: Chains, open: OpenFiles, state: PathBuf| {
            let archive = Archive { root: chains.archive().to_owned(), chains, open };
            Retention::start(archive, state, engine.clock(), &rules(store.document()))
        };
        let state = store.directory();
        let mut retention = limits(engine.chains(), engine.open_files(), state.to_owned())?;
        let mut mirror = engine
            .mirror()
            .map(|mirror| limits(mirror.chains.clone(), mirror.open_files.clone(), mirror::state_of(state)))
            .transpose()?;
        if let Some(mirror) = &mut mirror {
            retention.is_one_of_two();
            mirror.is_one_of_two();
        }
        let mirror = mirror.map(|retention| (retention, RoomAlarms::default()));
        let (changed, states, room) = (true, HashMap::new(), RoomAlarms::default());
        let follower = both::Follower::default();
        Ok(Self { engine, store, running, changed, states, retention, room, mirror, follower })
    }

    /// How far the capture loop has come.
    pub fn capture_pulse(&self) -> CapturePulse {
        self.engine.capture_pulse()
    }

    /// The snapshot, now.
    pub fn snapshot(&mut self) -> Snapshot {
        let mut snapshot = self.engine.snapshot();
        let document = self.store.document();
        snapshot.config_revision = document.revision;
        if needs_restart(&self.running, &document.global) {
            let waiting = "global.json was changed; capture and archive root follow at the next start";
            snapshot.warnings.push(waiting.to_owned());
        }
        let now = snapshot.at;
        let [here, there] = self.writing();
        let known = |on, writing: &[_], retention: &Retention, disk, alarms: &mut RoomAlarms| {
            alarms.tell(&Known {
                on,
                now,
                disk,
                volume: &document.global.volume,
                writing,
                told: &retention.told(),
                pending: retention.pending(),
                makes_room_in: retention.makes_room_in(),
            })
        };
        snapshot.retention = known(On::Archive, &here, &self.retention, snapshot.disk, &mut self.room);
        snapshot.warnings.extend(snapshot.retention.alarms.iter().map(|alarm| alarm.text.clone()));
        if let Some(archive) = snapshot.volumes.first_mut() {
            tell_with(archive, &snapshot.retention);
        }
        if let (Some((retention, alarms)), Some(mirror)) = (&mut self.mirror, snapshot.volumes.get_mut(1)) {
            let told = known(On::Mirror, &there, retention, mirror.disk, alarms);
            tell_with(mirror, &told);
            snapshot.warnings.extend(told.alarms.into_iter().map(|alarm| alarm.text));
        }
        for (recorder, config) in snapshot.recorders.iter_mut().zip(&document.recorders) {
            debug_assert_eq!(recorder.id, config.id.as_str());
            recorder.name.clone_from(&config.name);
            recorder.studio_id.clone_from(&config.studio_id);
        }
        snapshot
    }

    /// Levels of every enabled recorder.
    pub fn levels(&self) -> Event {
        Event::Levels(self.engine.levels())
    }

    /// Once a second: brings the engine nearer to what is wanted.
    pub fn reconcile(&mut self) {
        self.engine.reconcile();
        let rates = self.writing().map(|writing| writing.iter().map(|(_, rate)| rate).sum());
        self.limits().zip(rates).for_each(|(retention, rate)| retention.writes(rate));
    }

    /// Often: keeps the flows in their places while the network changes.
    pub fn watch_network(&mut self) {
        self.engine.watch_network();
    }

    /// What subscribers of the state get now; `due` if a second has passed since the last snapshot.
    pub fn news(&mut self, due: bool) -> Vec<Event> {
        let mut events = Vec::new();
        for notice in self.engine.notices() {
            match notice {
                Notice::Gap { recorder, gap } => {
                    if let Ok(id) = RecorderId::new(recorder) {
                        events.push(Event::Gap { id, gap: gap_entry(&gap) });
                    }
                }
                Notice::Opened { recorder, path, .. } => {
                    tracing::info!(recorder, path = %path.display(), "file opened");
                    self.changed = true;
                }
                Notice::Ended { recorder, error } => {
                    tracing::info!(recorder, error, "recording ended");
                    self.changed = true;
                }
            }
        }
        if !(due || self.changed) {
            return events;
        }
        self.changed = false;
        let snapshot = self.snapshot();
        for recorder in &snapshot.recorders {
            let before = self.states.insert(recorder.id.clone(), recorder.state);
            if before != Some(recorder.state)
                && let Ok(id) = RecorderId::new(recorder.id.clone())
            {
                events.push(Event::Recorder { id, state: recorder.state });
            }
        }
        events.push(Event::Snapshot(Box::new(snapshot)));
        events
    }

    /// Answers a request. [`Request::Subscribe`] is the connection's own business and answered there.
    pub fn answer(&mut self, request: Request) -> Answer {
        match self.try_answer(request) {
            Ok(answer) => answer,
            Err(error) => Answer::Now(Reply::Refused(Refusal::from(&error))),
        }
    }

    fn try_answer(&mut self, request: Request) -> Result<Answer, EngineError> {
        let now = |reply| Ok(Answer::Now(reply));
        match request {
            Request::Snapshot => now(Reply::Snapshot(Box::new(self.snapshot()))),
            Request::Config => now(Reply::Config(Box::new(self.store.document().clone()))),
            Request::PutGlobal { revision, global } => now(self.change(revision, Change::Global(global))?),
            Request::PutRecorder { revision, recorder } => {
                now(self.change(revision, Change::PutRecorder(recorder))?)
            }
            Request::RemoveRecorder { revision, id } => {
                now(self.change(revision, Change::RemoveRecorder(id))?)
            }
            Request::PutSource { revision, source } => now(self.change(revision, Change::PutSource(source))?),
            Request::RemoveSource { revision, id } => now(self.change(revision, Change::RemoveSource(id))?),
            Request::Start(id) => Ok(match self.engine.would_record(id.as_str())? {
                None => Answer::Now(Reply::Done),
                Some(naming) => start(vec![(id.to_string(), naming)], Vec::new(), 1, &self.engine),
            }),
            Request::StartAll => {
                let (mut ready, mut failed) = (Vec::new(), Vec::new());
                let ids = self.enabled();
                for id in &ids {
                    match self.engine.would_record(id) {
                        Ok(None) => {}
                        Ok(Some(naming)) => ready.push((id.clone(), naming)),
                        Err(error) => failed.push((id.clone(), error)),
                    }
                }
                Ok(start(ready, failed, ids.len(), &self.engine))
            }
            Request::Stop(id) => Ok(Answer::WhenClosed(vec![self.stop(id.as_str())?])),
            Request::StopAll => {
                let ids: Vec<String> =
                    self.store.document().recorders.iter().map(|r| r.id.to_string()).collect();
                let closing: Result<Vec<_>, _> = ids.iter().map(|id| self.stop(id)).collect();
                Ok(Answer::WhenClosed(closing?))
            }
            Request::DeleteRecordings { paths, who, meant } => {
                delete::check(&paths, &who)?;
                if meant.len() > paths.len() {
                    let detail = format!(
                        "{} beginnings are told of {}; tell one for each path at most, in their order",
                        meant.len(),
                        Counted(paths.len() as u64, "path")
                    );
                    return Err(EngineError::Invalid(detail));
                }
                let (open, volumes) = (self.all_open_files(), self.both()?);
                let ask = move || -> Then {
                    let is_open = move |path: &Path| open.iter().any(|files| files.contains(path));
                    let deleted = volumes.delete(paths, &meant, &who, is_open);
                    Box::new(|_| Reply::Deleted(deleted))
                };
                Ok(Answer::OnDisk(DiskWork {
                    lane: Lane::Delete,
                    ask: Box::new(ask),
                    late: "the disk has not deleted everything within 10 s and goes on; look at the file list again, and \
                           check the disk if nothing changes",
                }))
            }
            Request::Protect { paths, protected, who } => {
                delete::check(&paths, &who)?;
                let volumes = self.both()?;
                let ask = move || -> Then {
                    let done = volumes.protect(paths, protected, &who);
                    Box::new(|_| Reply::Protected(done))
                };
                Ok(Answer::OnDisk(DiskWork {
                    lane: Lane::Delete,
                    ask: Box::new(ask),
                    late: "the disk has not noted everything within 10 s and goes on; ask again, and check the disk",
                }))
            }
            Request::RetentionPlan(proposed) => {
                let is_asked = proposed != ProposedLimits::default();
                let proposed = is_asked.then(|| self.store.proposed(proposed)).transpose()?;
                let plan = self.retention.planner(proposed.as_ref().map(rules));
                let ask = move || -> Then {
                    let plan = plan();
                    Box::new(|_| Reply::RetentionPlan(Box::new(plan)))
                };
                Ok(Answer::OnDisk(DiskWork {
                    lane: Lane::Plan,
                    ask: Box::new(ask),
                    late: "the archive was not read within 10 s; the first time after a start a great one takes longer, so ask again",
                }))
            }
            Request::Volumes => {
                let volumes = self.volumes();
                let ask = move || -> Then {
                    let volumes = report::volumes(&volumes);
                    Box::new(|_| Reply::Volumes(volumes))
                };
                Ok(Answer::OnDisk(DiskWork {
                    lane: Lane::Volume,
                    ask: Box::new(ask),
                    late: "a disk has not answered for 10 s, so it is not known which one it is; `audyn status` tells which, check it",
                }))
            }
            Request::AdoptVolume { root, who } => {
                delete::check(&[], &who)?;
                let volumes = self.volumes();
                let ask = move || -> Then {
                    let adopted = report::adopt(&volumes, &root, &who);
                    Box::new(|service| {
                        service.changed = true;
                        adopted.map_or_else(|error| Reply::Refused(Refusal::from(&error)), Reply::Volumes)
                    })
                };
                Ok(Answer::OnDisk(DiskWork {
                    lane: Lane::Volume,
                    ask: Box::new(ask),
                    late: "a disk has not answered for 10 s; look at `audyn volume` again, and check the disk",
                }))
            }
            Request::Mark { id, at, text, who } => {
                delete::check(&[], &who)?;
                markers::objection(&text, &who).map_or(Ok(()), |why| Err(EngineError::Invalid(why)))?;
                let recorders = self.engine.snapshot().recorders;
                let current =
                    recorders.into_iter().find(|one| one.id == id.as_str()).and_then(|one| one.current_file);
                let (chains, wish) = (self.engine.chains(), Wish { id, at, current, text, who });
                let ask = move || -> Then {
                    let reply = mark::mark(&chains, &wish);
                    Box::new(|_| reply)
                };
                Ok(Answer::OnDisk(DiskWork {
                    lane: Lane::Mark,
                    ask: Box::new(ask),
                    late: "the disk has not kept the marker within 10 s; it may do so later, so look at the markers again, and check the disk",
                }))
            }
            Request::Subscribe(_) => now(Reply::Done),
            Request::SelfTest => {
                let test = self.engine.begin_self_test()?;
                let ask = move || -> Then {
                    let report = test.run();
                    Box::new(|service| {
                        service.engine.end_self_test();
                        tell_of(&report);
                        Reply::SelfTest(Box::new(report))
                    })
                };
                Ok(Answer::OnDisk(DiskWork {
                    lane: Lane::SelfTest,
                    ask: Box::new(ask),
                    late: "the self-test did not end within 10 s; the machine is too busy to run it, so ask again later",
                }))
            }
        }
    }

    /// The volumes that are recorded to, the archive's first.
    fn volumes(&self) -> Vec<Ours> {
        self.engine.all_chains().iter().map(|chains| chains.ours().clone()).collect()
    }

    /// Where a person's word is done. While a changed root waits for the next start nothing is: whoever asks may mean a path below either.
    fn both(&self) -> Result<both::Volumes, EngineError> {
        let (root, next) = (&self.running.archive_root, &self.store.document().global.archive_root);
        if root != next {
            return Err(EngineError::Conflict(format!(
                "the archive's root was changed to {next}, and until the next start it is {root}, so a path may mean either; nothing was \
                 changed: restart the engine, then ask again"
            )));
        }
        let mirror = self.engine.mirror().map(|mirror| both::Mirror {
            chains: mirror.chains.clone(),
            stalled: mirror.stalled(),
            follower: self.follower.clone(),
            patience: both::PATIENCE,
        });
        Ok(both::Volumes { root: root.into(), archive: self.engine.chains(), mirror })
    }

    /// Each recorder that writes a file now, and its bytes a second, on each volume.
    fn writing(&self) -> [Vec<(String, u64)>; 2] {
        [self.engine.writing(|entry| &entry.recording), self.engine.writing(|entry| &entry.mirrored)]
    }

    /// Which files are being written, on each volume.
    fn all_open_files(&self) -> Vec<OpenFiles> {
        let mirror = self.engine.mirror().map(|mirror| mirror.open_files.clone());
        std::iter::once(self.engine.open_files()).chain(mirror).collect()
    }

    /// What deletes by limits, on each volume.
    fn limits(&self) -> impl Iterator<Item = &Retention> {
        std::iter::once(&self.retention).chain(self.mirror.iter().map(|(retention, _)| retention))
    }

    /// Enabled recorders that have something to record.
    fn enabled(&self) -> Vec<String> {
        let recorders = self.store.document().recorders.iter();
        recorders.filter(|r| r.enabled && r.source_id.is_some()).map(|r| r.id.to_string()).collect()
    }

    fn stop(&mut self, id: &str) -> Result<oneshot::Receiver<()>, EngineError> {
        let (tell, told) = oneshot::channel();
        self.engine.stop(
            id,
            Box::new(move || {
                // Whoever asked may have gone; the file is closed all the same.
                let _ = tell.send(());
            }),
        )?;
        self.changed = true;
        Ok(told)
    }

    /// Checks a change, writes it, and puts it in force; in this order, so that a refusal changes nothing.
    fn change(&mut self, revision: u64, change: Change) -> Result<Reply, EngineError> {
        // What is wrong by itself is said first: nobody shall stop a recorder for a change that is refused then.
        let busy = self.refuse_while_recording(&change);
        let (document, file) = self.store.propose(revision, change)?;
        busy?;
        // The archive root in force is the one that the engine was started with.
        let mut in_force = document.clone();
        in_force.global.archive_root.clone_from(&self.running.archive_root);
        let specs = recorder_specs(&in_force)?;
        self.store.commit(document, file)?;
        self.engine.configure(specs, &in_force.sources);
        let rules = rules(self.store.document());
        self.limits().for_each(|retention| retention.configure(&rules));
        self.changed = true;
        Ok(Reply::Changed { revision: self.store.document().revision })
    }

    /// A change that would end a recording is refused: a person stops it first.
    fn refuse_while_recording(&self, change: &Change) -> Result<(), EngineError> {
        let recording = |id: &RecorderId| self.engine.is_recording(id.as_str());
        let document = self.store.document();
        let busy = match change {
            Change::Global(_) => return Ok(()),
            Change::RemoveRecorder(id) => recording(id).then(|| id.clone()),
            Change::PutRecorder(new) => {
                let old = document.recorders.iter().find(|old| old.id == new.id);
                (recording(&new.id) && old.is_some_and(|old| !only_labels_differ(old, new)))
                    .then(|| new.id.clone())
            }
            Change::PutSource(new) => {
                let unchanged = document.sources.iter().any(|old| same_flow(old, new));
                let users = document.recorders.iter().filter(|r| r.source_id.as_ref() == Some(&new.id));
                users.map(|r| &r.id).find(|id| !unchanged && recording(id)).cloned()
            }
            Change::RemoveSource(_) => None,
        };
        match busy {
            None => Ok(()),
            Some(id) => Err(EngineError::Conflict(format!(
                "recorder `{id}` is recording, and this change would cut its recording; stop it first"
            ))),
        }
    }
}

/// Starts recorders of which some cannot be: all are tried, and the answer names those that failed. `all` is how many were
/// asked for.
fn start(
    ready: Vec<(String, Naming)>,
    failed: Vec<(String, EngineError)>,
    all: usize,
    engine: &Engine,
) -> Answer {
    let (tai_offset, writable) = (engine.tai_minus_utc(), engine.writable());
    let ask = move || -> Then {
        let mut failed = failed;
        let check = |naming: Naming| writable.check(&naming, tai_offset, &["wav"]);
        let tried: Vec<_> = ready.into_iter().map(|(id, naming)| (id, check(naming))).collect();
        Box::new(move |service| {
            for (id, writable) in tried {
                if let Err(error) = writable.and_then(|()| service.engine.begin(&id, None)) {
                    failed.push((id, error));
                }
            }
            service.changed = true;
            failures(&failed, all).map_or(Reply::Done, Reply::Refused)
        })
    };
    Answer::OnDisk(DiskWork {
        lane: Lane::Start,
        ask: Box::new(ask),
        late: "the archive's disk did not answer within 10 s, so nothing was started; check the disk and start again",
    })
}

/// The refusal that names each recorder that could not be started, of the kind that the first has.
fn failures(failed: &[(String, EngineError)], all: usize) -> Option<Refusal> {
    let (_, first) = failed.first()?;
    let mut refusal = Refusal::from(first);
    if all > 1 {
        let each: Vec<String> = failed.iter().map(|(id, error)| format!("`{id}` ({error})")).collect();
        refusal.detail = format!(
            "{} of {all} recorders could not be started, the others record: {}",
            failed.len(),
            each.join(", ")
        );
    }
    Some(refusal)
}

/// A self-test for the log.
fn tell_of(report: &SelfTestReport) {
    let (sent, lost) = (report.frames_sent.0, report.frames_lost.0);
    match report.failures.first() {
        None => tracing::info!(sent, lost, "self-test passed"),
        Some(why) => {
            tracing::error!(sent, lost, different = report.frames_different.0, "self-test failed: {why}");
        }
    }
}

/// Whether two configurations differ in nothing that touches a running recording.
fn only_labels_differ(old: &RecorderConfig, new: &RecorderConfig) -> bool {
    let relabelled = RecorderConfig {
        name: new.name.clone(),
        studio_id: new.studio_id.clone(),
        auto_start: new.auto_start,
        retention: new.retention,
        ..old.clone()
    };
    relabelled == *new
}

/// Whether a change of `global.json` waits for the next start.
fn needs_restart(old: &GlobalConfig, new: &GlobalConfig) -> bool {
    let live = GlobalConfig { active_recorders: new.active_recorders, volume: new.volume, ..old.clone() };
    live != *new
}

fn options(global: &GlobalConfig, state: &Path, volume_chosen: Option<PathBuf>) -> EngineOptions {
    EngineOptions {
        capture_period: Nanos::from_micros(i64::from(global.capture_period_micros)),
        fifo_priority: (global.fifo_priority > 0).then_some(global.fifo_priority),
        lock_memory: true,
        receive_buffer: global.receive_buffer_bytes as usize,
        sync_every_second: global.sync_every_second,
        archive_root: global.archive_root.clone().into(),
        volume_chosen,
        mirror: global.mirror.as_ref().map(PathBuf::from),
        tai_offset: global.tai_offset_seconds,
        state: Some(state.to_owned()),
        clock: global.clock.clone(),
    }
}
