//! One of two volumes hangs: the other one is recorded to and ended as if it were alone.
//!
//! A volume hangs at a pipe that lies where its threads write a small file: who opens it waits, until the test lets him go.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use audyn_api::GlobalConfig;
use audyn_daemon::{ConfigStore, Engine, Service};
use nix::libc::O_NONBLOCK;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::common::{PACKET, Stream, address, recordings, stop, until, until_written};
use crate::places::Places;
use crate::resume::{header, media_clock};

/// Only there for what will never come.
const NEVER_COMES: Duration = Duration::from_secs(30);

const PACKETS: usize = 50;

const FRAMES: u64 = PACKETS as u64 * PACKET as u64;

/// Whoever writes the small file at this path hangs.
struct Writing(PathBuf);

impl Writing {
    fn hangs(state: &Path, name: &str) -> Self {
        std::fs::create_dir_all(state).unwrap();
        let path = state.join(format!("{name}.new"));
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        Self(path)
    }

    /// Those who wait go on, and fail; whoever comes later writes.
    fn let_go(self) -> File {
        let reader = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(&self.0).unwrap();
        std::fs::remove_file(&self.0).unwrap();
        reader
    }
}

/// Ends it on a thread of its own, and waits for that.
fn ends<T: Send + 'static>(what: &str, ending: T) {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        drop(ending);
        tell.send(()).unwrap();
    });
    told.recv_timeout(NEVER_COMES).unwrap_or_else(|_| panic!("the end {what} never comes"));
}

/// Whether a recording was placed by the media clock, by which alone the next engine can go on: a slow machine's was not.
fn is_exact(recorder: &Path) -> bool {
    header(&recordings(recorder)[0])["placed_by"] == "media-clock"
}

#[test]
fn a_mirror_that_hangs_keeps_neither_the_engine_nor_the_archives_note_from_the_end() {
    let noted = (0..20).find_map(|_| {
        let places = Places::new();
        let hung = Writing::hangs(&places.state().join("mirror"), "volumes.json");
        let mut stream = Stream::from(1, address(240), media_clock());
        let mut engine = places.engine(240, &places.mirror());
        engine.record("a", None).unwrap();
        stream.send(PACKETS);
        until_written(&mut engine, "a", FRAMES);
        ends("beside a mirror that hangs", engine);
        assert!(recordings(&places.mirror().join("a")).is_empty(), "it did hang");
        let noted = places.state().join("resume.json").exists();
        let is_exact = is_exact(&places.root().join("a"));
        hung.let_go();
        is_exact.then_some(noted)
    });
    assert_eq!(noted, Some(true));
}

#[test]
fn an_archive_that_hangs_keeps_neither_the_engine_nor_the_mirrors_note_from_the_end() {
    let noted = (0..20).find_map(|_| {
        let places = Places::new();
        let hung = Writing::hangs(&places.state(), "unfinished.jsonl");
        let mut stream = Stream::from(1, address(241), media_clock());
        let mut engine = places.engine(241, &places.mirror());
        engine.record_when_possible("a");
        stream.send(PACKETS);
        let mirrored = places.mirror().join("a");
        until("the mirror's file", || {
            let written = recordings(&mirrored).first().map(|file| std::fs::metadata(file).unwrap().len());
            written.is_some_and(|bytes| bytes >= FRAMES * 6)
        });
        ends("beside an archive that hangs", engine);
        assert!(!places.state().join("unfinished.jsonl").exists(), "it did hang");
        let noted = places.state().join("mirror/resume.json").exists();
        let is_exact = is_exact(&mirrored);
        hung.let_go();
        is_exact.then_some(noted)
    });
    assert_eq!(noted, Some(true));
}

#[test]
fn what_deletes_by_limits_on_a_volume_that_hangs_keeps_nothing_from_the_end() {
    for hangs in ["", "mirror"] {
        let places = Places::new();
        let hung = Writing::hangs(&places.state().join(hangs), "retention.json");
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let global = GlobalConfig {
            archive_root: text(places.root()),
            mirror: Some(text(places.mirror())),
            fifo_priority: 0,
            ..GlobalConfig::default()
        };
        let service = Service::start(ConfigStore::open(&places.state(), global).unwrap()).unwrap();
        ends(&format!("with `{hangs}`"), service);
        assert!(!places.state().join(hangs).join("retention.json").exists(), "it did hang");
        hung.let_go();
    }
}

/// What is said of recorder `a` while its recording is not mirrored for want of memory.
fn is_alone(engine: &mut Engine) -> bool {
    engine.snapshot().recorders.remove(0).errors.iter().any(|error| error.contains("in the archive alone"))
}

#[test]
fn a_mirror_that_hangs_holds_the_memory_of_two_recordings_and_then_gets_the_running_one() {
    let places = Places::new();
    let hung = Writing::hangs(&places.state().join("mirror"), "volumes.json");
    let mut stream = Stream::new(1, address(242));
    let mut engine = places.engine(242, &places.mirror());
    let mut alone = Vec::new();
    for n in 1..=4 {
        engine.record("a", None).unwrap();
        stream.send(PACKETS);
        until_written(&mut engine, "a", FRAMES);
        alone.push(is_alone(&mut engine));
        if n < 4 {
            stop(&mut engine, "a");
        }
    }
    assert_eq!(alone, [false, false, true, true]);
    assert_eq!(recordings(&places.root().join("a")).len(), 4, "the archive has them all");
    hung.let_go();
    until("the running one to be mirrored", || {
        engine.reconcile();
        !is_alone(&mut engine)
    });
    stream.send(PACKETS);
    let mirrored = places.mirror().join("a");
    until("what came before it hung, and what comes now", || recordings(&mirrored).len() >= 3);
    stop(&mut engine, "a");
}
