//! What the engine does for its clients: answers requests, and makes the frames that subscribers get.
//!
//! Owns: the engine and its configuration together, so that what is on disk and what runs agree. Never: a socket.

use std::collections::HashMap;
use std::path::Path;

use audyn_api::{
    Event, GlobalConfig, RecorderConfig, RecorderId, RecorderState, Refusal, Reply, Request, Snapshot,
};
use audyn_units::Nanos;
use tokio::sync::oneshot;

use crate::delete;
use crate::engine::{Engine, EngineOptions};
use crate::error::EngineError;
use crate::shared::Notice;
use crate::snapshot::gap_entry;
use crate::store::{Change, ConfigStore, recorder_specs};

/// The engine with its configuration.
#[derive(Debug)]
pub struct Service {
    engine: Engine,
    store: ConfigStore,
    /// Settings of `global.json` that wait for the next start.
    waiting: Option<String>,
    /// Something happened that subscribers should see before the second is over.
    changed: bool,
    states: HashMap<String, RecorderState>,
}

/// An answer, or the promise of one.
#[derive(Debug)]
pub enum Answer {
    /// It is known now.
    Now(Reply),
    /// It is [`Reply::Done`] when all of these have been told: files are being closed.
    WhenClosed(Vec<oneshot::Receiver<()>>),
}

impl Service {
    /// Starts the engine on a configuration, and what shall record from the start.
    pub fn start(store: ConfigStore) -> Result<Self, EngineError> {
        let document = store.document();
        let global = &document.global;
        let mut engine = Engine::start(options(global))?;
        engine.configure(recorder_specs(document)?, &document.sources);
        for recorder in document.recorders.iter().filter(|r| r.enabled && r.auto_start) {
            engine.record_when_possible(recorder.id.as_str());
        }
        Ok(Self { engine, store, waiting: None, changed: true, states: HashMap::new() })
    }

    /// Turns of the capture loop so far.
    pub fn capture_turns(&self) -> u64 {
        self.engine.capture_turns()
    }

    /// The snapshot, now.
    pub fn snapshot(&mut self) -> Snapshot {
        let mut snapshot = self.engine.snapshot();
        let document = self.store.document();
        snapshot.config_revision = document.revision;
        snapshot.warnings.extend(self.waiting.clone());
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
            Request::Start(id) => {
                self.engine.record(id.as_str(), None)?;
                self.changed = true;
                now(Reply::Done)
            }
            Request::StartAll => {
                for id in self.enabled() {
                    self.engine.record(&id, None)?;
                }
                self.changed = true;
                now(Reply::Done)
            }
            Request::Stop(id) => Ok(Answer::WhenClosed(vec![self.stop(id.as_str())?])),
            Request::StopAll => {
                let ids: Vec<String> =
                    self.store.document().recorders.iter().map(|r| r.id.to_string()).collect();
                let closing: Result<Vec<_>, _> = ids.iter().map(|id| self.stop(id)).collect();
                Ok(Answer::WhenClosed(closing?))
            }
            Request::DeleteRecordings(paths) => {
                let root = Path::new(&self.store.document().global.archive_root);
                let deleted = delete::recordings(root, paths, |path| self.engine.is_open(path));
                now(Reply::Deleted(deleted))
            }
            Request::Subscribe(_) => now(Reply::Done),
        }
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
        self.refuse_while_recording(&change)?;
        let (document, file) = self.store.propose(revision, change)?;
        let specs = recorder_specs(&document)?;
        let restart = needs_restart(&self.store.document().global, &document.global);
        self.store.commit(document, file)?;
        if restart {
            self.waiting =
                Some("global.json was changed; capture and archive root follow at the next start".to_owned());
        }
        // The archive root in force is the one that the engine was started with.
        if self.waiting.is_none() {
            self.engine.configure(specs, &self.store.document().sources);
        } else {
            let running = self.engine.options.archive_root.clone();
            let mut document = self.store.document().clone();
            document.global.archive_root = running.to_string_lossy().into_owned();
            self.engine.configure(recorder_specs(&document)?, &document.sources);
        }
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
                let unchanged = document.sources.iter().any(|old| old == new);
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

/// Whether two configurations differ in nothing that touches a running recording.
fn only_labels_differ(old: &RecorderConfig, new: &RecorderConfig) -> bool {
    let relabelled = RecorderConfig {
        name: new.name.clone(),
        studio_id: new.studio_id.clone(),
        auto_start: new.auto_start,
        ..old.clone()
    };
    relabelled == *new
}

/// Whether a change of `global.json` waits for the next start.
fn needs_restart(old: &GlobalConfig, new: &GlobalConfig) -> bool {
    GlobalConfig { active_recorders: new.active_recorders, ..old.clone() } != *new
}

fn options(global: &GlobalConfig) -> EngineOptions {
    EngineOptions {
        capture_period: Nanos::from_micros(i64::from(global.capture_period_micros)),
        fifo_priority: (global.fifo_priority > 0).then_some(global.fifo_priority),
        receive_buffer: global.receive_buffer_bytes as usize,
        sync_every_second: global.sync_every_second,
        archive_root: global.archive_root.clone().into(),
    }
}
