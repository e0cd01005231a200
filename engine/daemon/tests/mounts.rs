//! What is mounted below a recorder's directory is not its own. The test runs itself again in a mount namespace of its own.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "it/archive.rs"]
mod archive;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use archive::{archive_of, keeps};

/// Set where the test runs in a mount namespace of its own.
const OWN_MOUNTS: &str = "AUDYN_TEST_OWN_MOUNTS";

#[test]
fn limits_take_nothing_from_another_mount() {
    if std::env::var_os(OWN_MOUNTS).is_none() {
        let mut unshare = Command::new("unshare");
        unshare.args(["--map-root-user", "--mount"]).arg(std::env::current_exe().unwrap());
        let ran = unshare.args(["limits_take_nothing", "--nocapture"]).env(OWN_MOUNTS, "1").output();
        let said = ran.map_or_else(
            |error| error.to_string(),
            |ran| String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned(),
        );
        if said.contains("running 1 test") {
            assert!(said.contains("1 passed"), "{said}");
        } else {
            println!("skipped: this user may have no mounts of its own ({})", said.trim());
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (state, recorder) = (dir.path().join("state"), dir.path().join("archive/a"));
    let mount = recorder.join("mount");
    std::fs::create_dir_all(&mount).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&mount).status();
    assert!(mounted.unwrap().success());
    // As old as the others; without the mount's 60 the limit would take the first of both.
    archive_of(&recorder, "mount/", 60);
    archive_of(&recorder, "", 60);
    std::fs::create_dir(&state).unwrap();
    let recorders = serde_json::json!([{ "id": "a", "name": "A", "retention": { "bytes": 1_000_000 } }]);
    std::fs::write(state.join("recorders.json"), recorders.to_string()).unwrap();
    keeps(&state, "a", 1_000_000);
    let mut engine = Command::new(env!("CARGO_BIN_EXE_audyn-engine"))
        .args(["--state", &state.to_string_lossy()])
        .args(["--socket", &dir.path().join("engine.sock").to_string_lossy()])
        .args(["--archive-root", &dir.path().join("archive").to_string_lossy()])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60); // only for what never comes
    let gone = || (0..60).filter(|n| !recorder.join(format!("{n:03}.wav")).exists()).count();
    while gone() < 3 && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let _ = engine.kill();
    engine.wait().unwrap();
    let kept = (0..60).filter(|n| mount.join(format!("{n:03}.wav")).exists()).count();
    let gone = gone();
    assert!(Command::new("umount").arg(&mount).status().unwrap().success());
    assert_eq!(kept, 60, "they are another's");
    assert!((3..10).contains(&gone), "{gone} of 60 have gone, which have a little more than the limit");
}
