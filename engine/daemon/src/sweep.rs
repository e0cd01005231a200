//! Recordings that nobody has listed and nobody has sealed: a kill was faster than the list, or the disk comes from another box.
//!
//! Owns: one look through the archive after each start of the engine, in a thread of its own: what is found is mended and given to the
//! sealer. Never: touches what somebody writes (whoever records has a file's lock before it has its name), what is listed, what was written
//! since the engine's start and so is its own to list, what has no ledger; looks twice; keeps anything waiting, the engine's end included.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::thread::Thread;
use std::time::{Duration, SystemTime};

use audyn_media::archive::Catalog;
use audyn_media::beneath::OFlags;
use audyn_media::repair::{Found, LedgerState, look};
use audyn_media::{Beneath, MediaError, chain};

use crate::chains::{Chains, Job, Jobs};

/// Time between two tries to find the archive's root on its volume, which may come later.
const RETRY: Duration = Duration::from_secs(2);

/// The thread that looks.
#[derive(Debug)]
pub(crate) struct Sweep {
    stop: Arc<AtomicBool>,
    thread: Thread,
}

impl Sweep {
    /// Starts it. Files that are `listed` are left to whoever has listed them.
    pub(crate) fn start(chains: Chains, listed: HashSet<PathBuf>, jobs: Jobs) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let started = SystemTime::now();
        let thread = std::thread::Builder::new().name("audyn-sweep".to_owned()).spawn(move || {
            while chains.ours().open().is_err() && !stopped.load(Acquire) {
                std::thread::park_timeout(RETRY);
            }
            sweep(chains.archive(), started, &listed, &jobs, &|| !stopped.load(Acquire));
        })?;
        Ok(Self { stop, thread: thread.thread().clone() })
    }

    /// Ends it after the file that it is at, which nobody waits for: it is as if it were killed there.
    pub(crate) fn end(self) {
        self.stop.store(true, Release);
        self.thread.unpark();
    }
}

/// Looks through all recorders' directories, for files that were not written since `started`.
fn sweep(
    archive: &Path,
    started: SystemTime,
    listed: &HashSet<PathBuf>,
    jobs: &Jobs,
    go_on: &dyn Fn() -> bool,
) {
    let not_looked = |directory: &Path, error: &dyn std::fmt::Display| {
        if go_on() {
            let directory = directory.display();
            tracing::warn!(%directory, %error, "it is not looked through for recordings that were cut; audyn repair does it");
        }
    };
    let catalog = match Catalog::open(archive) {
        Ok(catalog) => catalog,
        Err(error) => return not_looked(archive, &error),
    };
    for recorder in catalog.directories() {
        let found = match chain::unsealed(recorder, go_on) {
            Ok(found) => found,
            Err(error) => {
                not_looked(recorder.path(), &error);
                continue;
            }
        };
        for file in found {
            let path = recorder.path().join(&file);
            if !go_on() {
                return;
            }
            if !listed.contains(&path) && is_closed(recorder, Path::new(&file), started) {
                jobs.seal(Job { recorder: recorder.path().to_owned(), path });
            }
        }
    }
}

/// Mends a file, a path below its recorder's directory, and says whether it can be sealed.
fn is_closed(recorder: &Beneath, file: &Path, started: SystemTime) -> bool {
    let name = file.file_name().unwrap_or(OsStr::new(""));
    let directory = recorder.try_clone().and_then(|above| above.open(file.parent().unwrap_or(Path::new(""))));
    let path = recorder.path().join(file);
    let path = path.display();
    let Ok(directory) = directory else { return false }; // deleted meanwhile
    let written = directory.file(name, OFlags::RDONLY).and_then(|file| file.metadata()?.modified());
    if written.is_ok_and(|written| written >= started) {
        return false; // this engine's, which lists it
    }
    let case = match look(&directory, name) {
        Ok(Found::Closed(case)) if *case.ledger() == LedgerState::There => case,
        // Written by this engine or another program, sealed meanwhile, or none that an engine has recorded.
        Ok(_) => return false,
        Err(MediaError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => return false,
        Err(error) => {
            tracing::warn!(%path, %error, "a recording that nobody has sealed is left as it is");
            return false;
        }
    };
    if let Some((found, remedy)) = case.words() {
        tracing::info!(%path, "a recording that a kill has cut: {found}; {remedy}");
    }
    // A whole one only loses what its writer had set aside.
    match case.mend() {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%path, %error, "a recording that a kill has cut is not mended; audyn repair tries again");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, create_dir_all, read, write};

    use audyn_media::{Facts, PcmDepth, WavReader, WavSpec, WavWriter};
    use audyn_units::{ChannelCount, FrameCount, SampleRate};

    use super::*;
    use crate::chains::{Chains, Sealer};
    use crate::ledger;

    const HEADER: &str = r#"{"audyn_ledger":3,"recorder":"one","file":"a.wav","first_position":1000,"start_utc":"2026-07-02T13:46:03Z","rate":48000,"channels":1,"bits":24}"#;

    /// A recording of 100 frames that was killed before its header counted one.
    fn young(path: &Path) {
        create_dir_all(path.parent().unwrap()).unwrap();
        let spec =
            WavSpec { rate: SampleRate::HZ_48000, channels: ChannelCount::MONO, depth: PcmDepth::Pcm24 };
        let empty = WavWriter::create(path, spec, &Facts::default()).unwrap();
        drop(empty);
        let mut bytes = read(path).unwrap();
        bytes.extend([7; 300]);
        write(path, bytes).unwrap();
        write(ledger::path_of(path), format!("{HEADER}\n")).unwrap();
    }

    #[test]
    fn what_nobody_has_listed_is_mended_and_sealed_and_nothing_else_is_touched() {
        let archive = tempfile::tempdir().unwrap();
        let root = archive.path();
        create_dir_all(root.join("one/.audyn")).unwrap();
        let [lost, listed, written, foreign, elsewhere] =
            ["one/2026/a.wav", "one/2026/b.wav", "one/c.wav", "one/d.wav", "two/e.wav"]
                .map(|name| root.join(name));
        let all = [&lost, &listed, &written, &foreign, &elsewhere];
        all.iter().for_each(|path| young(path));
        std::fs::remove_file(ledger::path_of(&foreign)).unwrap();
        let writer = File::open(&written).unwrap();
        writer.lock().unwrap();
        let before = all.map(|path| read(path).unwrap());

        let mut sealer = Sealer::start(Chains::below(root.to_owned())).unwrap();
        let known = HashSet::from([listed.clone()]);
        let (jobs, before_all) = (sealer.jobs().unwrap(), SystemTime::UNIX_EPOCH);
        sweep(root, SystemTime::now(), &known, &jobs, &|| false);
        sweep(root, before_all, &known, &jobs, &|| true);
        let same = |from: usize| {
            all.iter().zip(&before).skip(from).all(|(path, before)| read(path).unwrap() == *before)
        };
        assert!(same(0), "it shall not go on, or all are of this engine");
        sweep(root, SystemTime::now(), &known, &jobs, &|| true);
        drop(jobs);
        sealer.end(true);

        assert_eq!(WavReader::open(&lost).unwrap().info().declared, FrameCount(100));
        assert!(root.join("one/2026/a.wav.json").exists());
        assert!(same(1), "the others are as they were");
        let sidecars = all[1..].iter().filter(|path| path.with_extension("wav.json").exists());
        assert_eq!(sidecars.count(), 0);
    }

    #[test]
    fn a_directory_that_is_anothers_keeps_nothing_from_being_found() {
        use std::os::unix::fs::PermissionsExt as _;
        let archive = tempfile::tempdir().unwrap();
        let root = archive.path().to_owned();
        young(&root.join("one/a.wav"));
        for name in ["lost+found", "one/.audyn"] {
            create_dir_all(root.join(name)).unwrap();
        }
        let allow = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        allow(&root, 0o777);
        allow(&root.join("lost+found"), 0);
        // As one whom that directory does not let in, which root is not: for this thread alone.
        let found = std::thread::spawn(move || {
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65_534));
            assert!(std::fs::read_dir(root.join("lost+found")).is_err());
            Catalog::open(&root).unwrap().len()
        });
        assert_eq!(found.join().unwrap(), 1);
        allow(&archive.path().join("lost+found"), 0o700);
    }

    #[test]
    fn it_waits_for_the_volume_and_ends_when_it_shall() {
        let archive = tempfile::tempdir().unwrap();
        let root = archive.path().join("volume");
        let mut sealer = Sealer::start(Chains::below(root.clone())).unwrap();
        Sweep::start(Chains::below(root.clone()), HashSet::new(), sealer.jobs().unwrap()).unwrap().end();
        let elsewhere = archive.path().join("made");
        create_dir_all(elsewhere.join("one/.audyn")).unwrap();
        young(&elsewhere.join("one/a.wav"));
        let sweep =
            Sweep::start(Chains::below(root.clone()), HashSet::new(), sealer.jobs().unwrap()).unwrap();
        std::fs::rename(&elsewhere, &root).unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(60); // only for what never comes
        while !root.join("one/a.wav.json").exists() {
            assert!(std::time::Instant::now() < deadline, "it is never found");
            std::thread::yield_now();
        }
        sweep.end();
        sealer.end(true);
    }
}
