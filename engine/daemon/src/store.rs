//! The configuration files: `global.json`, `recorders.json` and `sources.json` in the state directory.
//!
//! Owns: reading, checking and writing them; nobody else writes. Never: applies them.
//!
//! # Procedure
//!
//! *Save*: 1. write `NAME.json.new`; 2. fsync it; 3. rename it over `NAME.json`; 4. fsync the directory. After a crash at any
//! step the file is the old one or the new one, whole. A change touches one file, so files never disagree.
//!
//! The revision counts changes since the engine started, from the number of seconds since 1970, so that a
//! revision of a former run is never taken for one of this.

mod check;
mod files;

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use audyn_api::{
    ConfigDocument, FormatConfig, GlobalConfig, ProposedLimits, ProposedRecorder, RecorderConfig,
    RetentionConfig, SourceConfig,
};
use audyn_core::retention::Limits;
use serde::de::DeserializeOwned;

use crate::durable;
use crate::engine::RecorderSpec;
use crate::error::EngineError;
use crate::json;
use crate::naming::Naming;
use crate::retention::Rules;
use check::{check, check_new};

/// The files and what they hold.
#[derive(Debug)]
pub struct ConfigStore {
    directory: PathBuf,
    /// Holds the lock that keeps a second engine away, for as long as it is open.
    _lock: File,
    document: ConfigDocument,
}

/// One change of the configuration.
#[derive(Debug, Clone)]
pub enum Change {
    /// A new `global.json`.
    Global(GlobalConfig),
    /// A recorder that is new, or takes the place of the one with its identifier.
    PutRecorder(RecorderConfig),
    /// A recorder goes.
    RemoveRecorder(audyn_api::RecorderId),
    /// A source that is new, or takes the place of the one with its identifier.
    PutSource(SourceConfig),
    /// A source goes.
    RemoveSource(audyn_api::SourceId),
}

impl ConfigStore {
    /// Reads the files of `directory`, and makes those that are missing. Anything wrong is an error that names the
    /// file and the field, and no file is changed.
    pub fn open(directory: &Path, first_global: GlobalConfig) -> Result<Self, EngineError> {
        std::fs::create_dir_all(directory)
            .map_err(|source| EngineError::Unwritable { path: directory.to_owned(), source })?;
        let lock = only_one(directory)?;
        let document = ConfigDocument {
            revision: audyn_sys::clock::utc_now().as_nanos().unsigned_abs() / 1_000_000_000,
            global: read(directory, "global.json")?.unwrap_or(first_global),
            recorders: read(directory, "recorders.json")?.unwrap_or_default(),
            sources: read(directory, "sources.json")?.unwrap_or_default(),
        };
        check(&document).map_err(|detail| EngineError::ConfigFile { path: directory.to_owned(), detail })?;
        let store = Self { directory: directory.to_owned(), _lock: lock, document };
        for name in ["global.json", "recorders.json", "sources.json"] {
            if !directory.join(name).exists() {
                store.save(name, &store.document)?;
            }
        }
        Ok(store)
    }

    /// Where the files lie.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What is in force.
    pub fn document(&self) -> &ConfigDocument {
        &self.document
    }

    /// The document that a change would give, checked. `revision` must be the one in force.
    pub fn propose(
        &self,
        revision: u64,
        change: Change,
    ) -> Result<(ConfigDocument, &'static str), EngineError> {
        if revision != self.document.revision {
            return Err(EngineError::Conflict(format!(
                "the configuration was changed in the meantime (revision {} is in force, the change was made from \
                 {revision}); read it again and repeat the change",
                self.document.revision
            )));
        }
        let mut document = self.document.clone();
        document.revision += 1;
        check_new(&change).map_err(EngineError::Invalid)?;
        let file = match change {
            Change::Global(global) => {
                document.global = global;
                "global.json"
            }
            Change::PutRecorder(recorder) => {
                match document.recorders.iter_mut().find(|r| r.id == recorder.id) {
                    Some(before) => *before = recorder,
                    None => document.recorders.push(recorder),
                }
                "recorders.json"
            }
            Change::RemoveRecorder(id) => {
                let before = document.recorders.len();
                document.recorders.retain(|r| r.id != id);
                if document.recorders.len() == before {
                    return Err(not_found("recorder", id.as_str()));
                }
                "recorders.json"
            }
            Change::PutSource(source) => {
                match document.sources.iter_mut().find(|s| s.id == source.id) {
                    Some(before) => *before = source,
                    None => document.sources.push(source),
                }
                "sources.json"
            }
            Change::RemoveSource(id) => {
                let before = document.sources.len();
                document.sources.retain(|s| s.id != id);
                if document.sources.len() == before {
                    return Err(not_found("source", id.as_str()));
                }
                "sources.json"
            }
        };
        check(&document).map_err(EngineError::Invalid)?;
        Ok((document, file))
    }

    /// The document that limits which are only tried would give, checked likewise.
    pub fn proposed(&self, limits: ProposedLimits) -> Result<ConfigDocument, EngineError> {
        let mut document = self.document.clone();
        document.global.volume = limits.volume.unwrap_or(document.global.volume);
        for ProposedRecorder { id, retention } in limits.recorders {
            let recorder = document.recorders.iter_mut().find(|recorder| recorder.id == id);
            recorder.ok_or_else(|| not_found("recorder", id.as_str()))?.retention = retention;
        }
        check(&document).map_err(EngineError::Invalid)?;
        Ok(document)
    }

    /// Writes a proposed document's changed file and puts it in force.
    pub fn commit(&mut self, document: ConfigDocument, file: &'static str) -> Result<(), EngineError> {
        self.save(file, &document)?;
        self.document = document;
        Ok(())
    }

    fn save(&self, name: &str, document: &ConfigDocument) -> Result<(), EngineError> {
        let saved =
            files::text_of(name, document).and_then(|text| durable::replace(&self.directory, name, &text));
        saved.map_err(|error| EngineError::ConfigFile {
            path: self.directory.join(name),
            detail: format!("cannot be written ({error}), so nothing was changed; check the disk"),
        })
    }
}

/// What the engine shall run of a configuration.
pub fn recorder_specs(document: &ConfigDocument) -> Result<Vec<RecorderSpec>, EngineError> {
    let root = Path::new(&document.global.archive_root);
    let spec = |recorder: &RecorderConfig| {
        Ok(RecorderSpec {
            id: recorder.id.to_string(),
            name: recorder.name.clone(),
            source: recorder.source_id.clone(),
            enabled: recorder.enabled,
            studio: recorder.studio_id.clone(),
            channels: recorder.channels.clone(),
            formats: formats(recorder),
            opus: recorder.opus,
            naming: Naming::Archive {
                root: root.to_owned(),
                below: recorder.id.as_str().into(),
                policy: crate::policy::of(&recorder.archive)?,
                zone: crate::policy::local_zone(),
            },
        })
    };
    document.recorders.iter().map(spec).collect()
}

/// What the recorders of a configuration keep, and the room that the volume shall have.
pub(crate) fn rules(document: &ConfigDocument) -> Rules {
    let of = |recorder: &RecorderConfig| {
        let RetentionConfig { days, bytes, make_room } = recorder.retention;
        let limits = Limits { days, bytes, make_room };
        (limits != Limits::default()).then(|| (recorder.id.to_string(), limits))
    };
    let recorders = document.recorders.iter().filter_map(of).collect();
    Rules { recorders, volume: document.global.volume, ..Rules::default() }
}

/// All formats of a recorder, the main one first.
fn formats(recorder: &RecorderConfig) -> Vec<FormatConfig> {
    std::iter::once(recorder.format).chain(recorder.also.iter().copied()).collect()
}

/// Takes the directory's lock. The kernel lets go of it with the process, however that ends.
fn only_one(directory: &Path) -> Result<File, EngineError> {
    let path = directory.join(".lock");
    let refused = |detail: String| EngineError::ConfigFile { path: path.clone(), detail };
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|error| refused(format!("cannot be opened ({error}); check owner and mode")))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(refused(
            "another engine runs on this state directory; stop it, or choose another --state".to_owned(),
        )),
        Err(TryLockError::Error(error)) => {
            Err(refused(format!("cannot be locked ({error}); use a local disk")))
        }
    }
}

fn not_found(what: &'static str, id: &str) -> EngineError {
    EngineError::NotFound {
        what,
        id: id.to_owned(),
        known: format!("list the {what}s to see which there are"),
    }
}

fn read<T: DeserializeOwned>(directory: &Path, name: &str) -> Result<Option<T>, EngineError> {
    let path = directory.join(name);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let detail = format!("cannot be read ({error}); check its owner and mode");
            return Err(EngineError::ConfigFile { path, detail });
        }
    };
    json::read(&bytes).map(Some).map_err(|what| {
        let detail = format!("{what}; mend the file, or move it away to start from defaults");
        EngineError::ConfigFile { path, detail }
    })
}

#[cfg(test)]
mod tests {
    use super::check::{MAX_CHANNEL_NAME, MAX_DESCRIPTION, MAX_NAME, MAX_SOURCES};
    use super::*;
    use audyn_api::{ClockConfig, RecorderId, SourceId, VolumeConfig};

    fn source(id: &str) -> SourceConfig {
        serde_json::from_str(&format!(r#"{{"id":"{id}","name":"S","address":"239.1.1.1"}}"#)).unwrap()
    }

    fn recorder(id: &str, source: &str) -> RecorderConfig {
        serde_json::from_str(&format!(r#"{{"id":"{id}","name":"R","source_id":"{source}"}}"#)).unwrap()
    }

    fn put(store: &mut ConfigStore, change: Change) -> Result<(), EngineError> {
        let (document, file) = store.propose(store.document().revision, change)?;
        store.commit(document, file)
    }

    #[test]
    fn what_is_saved_comes_back_and_unknown_fields_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = ConfigStore::open(dir.path(), GlobalConfig::default()).unwrap();
        put(&mut store, Change::PutSource(source("desk"))).unwrap();
        put(&mut store, Change::PutRecorder(recorder("a", "desk"))).unwrap();
        let error = ConfigStore::open(dir.path(), GlobalConfig::default()).unwrap_err().to_string();
        assert!(error.contains("another engine runs"), "{error}");
        let before = store.document().clone();
        drop(store);
        let again = ConfigStore::open(dir.path(), GlobalConfig::default()).unwrap();
        assert_eq!(again.document().recorders, before.recorders);
        assert_eq!(again.document().sources, before.sources);
        drop(again);

        std::fs::write(dir.path().join("global.json"), r#"{"archive_rot":"/x"}"#).unwrap();
        let error = ConfigStore::open(dir.path(), GlobalConfig::default()).unwrap_err().to_string();
        assert!(error.contains("global.json") && error.contains("archive_rot"), "{error}");
    }

    #[test]
    fn a_file_that_somebody_has_broken_is_named_with_what_is_wrong_and_what_to_do_and_stays_as_it_is() {
        for (name, text, what) in [
            ("sources.json", "{", "an object {…} stands where a list […] should"),
            ("recorders.json", "[{", "it ends in line 1, and an object is not closed by }"),
            ("global.json", "garbage", "line 1, column 1: no value can begin like this"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            let error = ConfigStore::open(dir.path(), GlobalConfig::default()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{}: ", path.display())) && error.contains(what), "{error}");
            assert!(error.ends_with("; mend the file, or move it away to start from defaults"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "that file and the lock");
        }
    }

    #[test]
    fn a_stale_revision_is_a_conflict_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = ConfigStore::open(dir.path(), GlobalConfig::default()).unwrap();
        let old = store.document().revision;
        put(&mut store, Change::PutSource(source("desk"))).unwrap();
        let error = store.propose(old, Change::RemoveSource(SourceId::new("desk").unwrap())).unwrap_err();
        assert!(matches!(error, EngineError::Conflict(_)));
        assert_eq!(store.document().sources.len(), 1);
    }

    #[test]
    fn wrong_values_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = ConfigStore::open(dir.path(), GlobalConfig::default()).unwrap();
        put(&mut store, Change::PutSource(source("desk"))).unwrap();
        let revision = store.document().revision;
        let refused = |change| store.propose(revision, change).unwrap_err().to_string();

        assert!(refused(Change::PutRecorder(recorder("a", "nothing"))).contains("source_id `nothing`"));
        let wide = RecorderConfig { channels: vec![0, 5], ..recorder("a", "desk") };
        assert!(refused(Change::PutRecorder(wide)).contains("channel 6"));
        let mut period = recorder("a", "desk");
        period.archive.period_seconds = 0;
        assert!(refused(Change::PutRecorder(period)).contains("period"));
        let relative = GlobalConfig { archive_root: "here".into(), ..GlobalConfig::default() };
        assert!(refused(Change::Global(relative)).contains("archive_root"));
        for (mirror, why) in [
            ("there", "absolute path"),
            ("/srv/../there", "without `..`"),
            ("", "absolute path"),
            ("/srv/a\nb", "control character"),
            ("/var/lib/audyn/recordings", "one in the other"),
            ("/var/lib/audyn/recordings/mirror", "one in the other"),
            ("/var/lib", "one in the other"),
        ] {
            let global = GlobalConfig { mirror: Some(mirror.into()), ..GlobalConfig::default() };
            let sentence = refused(Change::Global(global));
            assert!(sentence.contains("mirror") && sentence.contains(why), "{mirror:?}: {sentence}");
        }
        type Spoil = fn(&mut ClockConfig);
        let clocks: [(Spoil, &str); 5] = [
            (|clock| clock.device = Some("ptp0".into()), "clock.device"),
            (|clock| clock.socket = Some(String::new()), "clock.socket"),
            (|clock| clock.domain = Some(128), "clock.domain"),
            (|clock| clock.max_offset_micros = 0, "clock.max_offset_micros"),
            (|clock| clock.holdover_seconds = 604_801, "clock.holdover_seconds"),
        ];
        for (change, field) in clocks {
            let mut global = GlobalConfig::default();
            change(&mut global.clock);
            assert!(refused(Change::Global(global)).contains(field), "{field}");
        }
        let volume = |floor_percent, alarm_hours| {
            let volume = VolumeConfig { floor_percent, alarm_hours, ..VolumeConfig::default() };
            refused(Change::Global(GlobalConfig { volume, ..GlobalConfig::default() }))
        };
        assert!(volume(91, 24).contains("volume.floor_percent 91"));
        assert!(volume(5, 8_761).contains("volume.alarm_hours 8761"));
        for (days, bytes, field) in [
            (Some(0), None, "retention: days 0"),
            (Some(36_501), None, "retention: days 36501"),
            (None, Some(999_999), "retention: bytes 999999"),
        ] {
            let retention = RetentionConfig { days, bytes, make_room: false };
            let change = Change::PutRecorder(RecorderConfig { retention, ..recorder("a", "desk") });
            assert!(refused(change).contains(field), "{field}");
        }
        assert!(refused(Change::RemoveRecorder(RecorderId::new("b").unwrap())).contains("`b`"));
        put(&mut store, Change::PutRecorder(recorder("a", "desk"))).unwrap();
        let error =
            store.propose(store.document().revision, Change::RemoveSource(SourceId::new("desk").unwrap()));
        assert!(error.unwrap_err().to_string().contains("recorder `a`"), "a source in use stays");
    }

    #[test]
    fn names_are_one_line_of_plain_text_and_periods_long_enough() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = ConfigStore::open(dir.path(), GlobalConfig::default()).unwrap();
        put(&mut store, Change::PutSource(source("desk"))).unwrap();
        let revision = store.document().revision;
        let tried = |change| store.propose(revision, change).map(|_| ()).map_err(|error| error.to_string());
        for (bad, why) in [
            ("a\nb", "control character (U+000A)"),
            ("a\u{1b}[31m", "U+001B"),
            ("a\0", "U+0000"),
            ("a\u{7f}", "U+007F"),
            ("a\u{85}b", "U+0085"),
            ("a\u{202e}b", "U+202E"),
            (" a", "space"),
            ("a\u{3000}", "space"),
            (" ", "space"),
        ] {
            let named = |field: &str, change| {
                let sentence = tried(change).unwrap_err();
                assert!(sentence.contains(field) && sentence.contains(why), "{bad:?}: {sentence}");
            };
            let text = || bad.to_owned();
            let of = recorder("a", "desk");
            named("recorder `a`: name", Change::PutRecorder(RecorderConfig { name: text(), ..of.clone() }));
            named("studio_id", Change::PutRecorder(RecorderConfig { studio_id: Some(text()), ..of }));
            named("source `desk`: name", Change::PutSource(SourceConfig { name: text(), ..source("desk") }));
            named(
                "channel_names[0]",
                Change::PutSource(SourceConfig { channel_names: vec![text()], ..source("desk") }),
            );
            named("interface", Change::PutSource(SourceConfig { interface: Some(text()), ..source("desk") }));
        }
        let escape = "two\nlines\u{1b}".to_owned();
        let told = tried(Change::PutSource(SourceConfig { description: escape, ..source("desk") }));
        assert!(told.unwrap_err().contains("description has a control character (U+001B)"));
        for good in ["", "Studio 1", "Große Bühne – L/R", "録音", "👩\u{200d}🎤", "a  b"] {
            let name = good.to_owned();
            tried(Change::PutRecorder(RecorderConfig { name, ..recorder("a", "desk") })).unwrap();
            let description = format!("{good}\r\n{good}");
            tried(Change::PutSource(SourceConfig { description, ..source("desk") })).unwrap();
        }
        let period = |period_seconds| {
            let mut recorder = recorder("a", "desk");
            recorder.archive.period_seconds = period_seconds;
            tried(Change::PutRecorder(recorder))
        };
        for short in [1, 9] {
            let sentence = period(short).unwrap_err();
            assert!(sentence.contains(&format!("period_seconds {short} is below 10")), "{sentence}");
        }
        period(10).unwrap();
        let mut format = recorder("a", "desk");
        format.archive.custom_format = Some("%Y\n".to_owned());
        assert!(tried(Change::PutRecorder(format)).unwrap_err().contains("custom_format has a control"));
    }

    #[test]
    fn a_second_leg_must_be_a_way_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let store = ConfigStore::open(dir.path(), GlobalConfig::default()).unwrap();
        let with = |json: serde_json::Value| {
            let second_leg = Some(serde_json::from_value(json).unwrap());
            let change = Change::PutSource(SourceConfig { second_leg, ..source("desk") });
            store.propose(store.document().revision, change).map(|_| ()).map_err(|error| error.to_string())
        };
        let same = source("desk").address;
        assert_eq!(with(serde_json::json!({"address": "239.70.1.2"})), Ok(()));
        assert_eq!(with(serde_json::json!({"address": same, "interface": "eth1"})), Ok(()));
        assert_eq!(with(serde_json::json!({"address": same, "port": 5006})), Ok(()));
        assert!(with(serde_json::json!({"address": same})).unwrap_err().contains("the first one again"));
        let port = with(serde_json::json!({"address": "239.70.1.2", "port": 0})).unwrap_err();
        assert!(port.contains("source `desk`: second_leg: port 0"), "{port}");
        let long = with(serde_json::json!({"address": "239.70.1.2", "interface": "x".repeat(MAX_NAME + 1)}));
        assert!(long.unwrap_err().contains("second_leg.interface"));
        let unknown = serde_json::from_value::<audyn_api::LegConfig>(
            serde_json::json!({"address": same, "prot": 5004}),
        );
        assert!(unknown.unwrap_err().to_string().contains("prot"));
    }

    #[test]
    fn what_would_not_fit_a_frame_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = ConfigStore::open(dir.path(), GlobalConfig::default()).unwrap();
        let long = |bytes: usize| "x".repeat(bytes);
        let refused = |change| store.propose(store.document().revision, change).unwrap_err().to_string();
        let source_with = |change: fn(&mut SourceConfig, String), bytes| {
            let mut source = source("desk");
            change(&mut source, long(bytes));
            Change::PutSource(source)
        };
        for (change, field, most) in [
            ((|s, text| s.name = text) as fn(&mut SourceConfig, String), "name", MAX_NAME),
            (|s, text| s.description = text, "description", MAX_DESCRIPTION),
            (|s, text| s.interface = Some(text), "interface", MAX_NAME),
            (|s, text| s.channel_names = vec![String::new(), text], "channel_names[1]", MAX_CHANNEL_NAME),
        ] {
            let sentence = refused(source_with(change, most + 1));
            assert!(sentence.contains("source `desk`") && sentence.contains(field), "{sentence}");
            assert!(store.propose(store.document().revision, source_with(change, most)).is_ok());
        }
        let many = SourceConfig { channel_names: vec![String::new(); 65], ..source("desk") };
        assert!(refused(Change::PutSource(many)).contains("channel_names: 65"));
        let plain: RecorderConfig = serde_json::from_str(r#"{"id":"a","name":"R"}"#).unwrap();
        let named = RecorderConfig { name: long(600_000), ..plain.clone() };
        assert!(refused(Change::PutRecorder(named)).contains("recorder `a`: name has 600000 bytes"));
        let studio = RecorderConfig { studio_id: Some(long(129)), ..plain.clone() };
        assert!(refused(Change::PutRecorder(studio)).contains("studio_id"));
        let channels = RecorderConfig { channels: vec![0; 65], ..plain.clone() };
        assert!(refused(Change::PutRecorder(channels)).contains("channels: 65"));
        let mut format = plain;
        format.archive.custom_format = Some(long(257));
        assert!(refused(Change::PutRecorder(format)).contains("custom_format"));
        let root = GlobalConfig { archive_root: format!("/{}", long(512)), ..GlobalConfig::default() };
        assert!(refused(Change::Global(root)).contains("archive_root"));

        // As many sources as the file may have, each as long as it may be, are more than a frame.
        let big = |n: usize| SourceConfig {
            description: long(MAX_DESCRIPTION),
            channel_names: vec![long(MAX_CHANNEL_NAME); 64],
            ..source(&format!("s{n}"))
        };
        let mut document = store.document().clone();
        document.sources = (0..MAX_SOURCES).map(big).collect();
        assert!(check(&document).unwrap_err().contains("whole configuration"));
        document.sources.truncate(100);
        check(&document).unwrap();
        put(&mut store, Change::PutSource(big(0))).unwrap();
    }

    #[test]
    fn no_more_recorders_are_enabled_than_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = ConfigStore::open(dir.path(), GlobalConfig::default()).unwrap();
        for n in 0..6 {
            let recorder: RecorderConfig =
                serde_json::from_str(&format!(r#"{{"id":"r{n}","name":"R"}}"#)).unwrap();
            put(&mut store, Change::PutRecorder(recorder)).unwrap();
        }
        let seventh: RecorderConfig = serde_json::from_str(r#"{"id":"r6","name":"R"}"#).unwrap();
        let error = put(&mut store, Change::PutRecorder(seventh)).unwrap_err();
        assert!(error.to_string().contains("active_recorders allows 6"), "{error}");
    }
}
