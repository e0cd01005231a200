//! Where things are that tell of the clock: the sockets of ptp4l, and what root's scripts say of NTP.
//!
//! Owns: those paths. Never: opens a socket.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use audyn_sys::phc;
use audyn_wire::ptp::Stamping;

/// The box: a directory for each network port, with ptp4l's socket that only answers questions.
const BOX: &str = "/run/audyn-time";
const SOCKET: &str = "ptp4lro";

/// Debian: linuxptp's own places. Before version 4 there is only the one that also changes things, for root.
const DEBIAN: [&str; 2] = ["/var/run/ptp4lro", "/var/run/ptp4l"];

/// What the box's time-gate says of chronyd, every few seconds.
const TOLD: &str = "/run/audyn-time/told/synchronised";

/// After this time it has stopped to say it.
const HOLDS: Duration = Duration::from_secs(60);

/// The sockets that there are, each with the name of its network port if the place says it.
pub(super) fn sockets() -> Vec<(Option<String>, PathBuf)> {
    sockets_below(Path::new(BOX), &DEBIAN)
}

fn sockets_below(directory: &Path, others: &[&str]) -> Vec<(Option<String>, PathBuf)> {
    let ports = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<_> = ports
        .map(|port| (port.file_name().into_string().ok(), port.path().join(SOCKET)))
        .filter(|(name, path)| name.is_some() && path.exists())
        .collect();
    found.sort();
    if found.is_empty() {
        found.extend(others.iter().map(PathBuf::from).find(|path| path.exists()).map(|path| (None, path)));
    }
    found
}

/// How the ptp4l of a port of the box stamps, by the configuration that root wrote for it. ptp4l from version 4 on tells it only to who
/// may give it orders.
pub(super) fn stamping(port: &str) -> Option<Stamping> {
    stamping_in(Path::new(BOX), port)
}

fn stamping_in(directory: &Path, port: &str) -> Option<Stamping> {
    let text = std::fs::read_to_string(directory.join(format!("{port}.conf"))).ok()?;
    match text.lines().find_map(|line| line.strip_prefix("time_stamping"))?.trim() {
        "hardware" => Some(Stamping::Hardware),
        "software" => Some(Stamping::Software),
        _ => None,
    }
}

/// Whether the system clock is synchronised, by NTP or the like: what the kernel says, or, where the sandbox keeps us from asking
/// it, what time-gate has written. None where neither tells.
pub(super) fn synchronised() -> Option<bool> {
    phc::kernel_synchronised().or_else(|| told_in(Path::new(TOLD), SystemTime::now()))
}

fn told_in(path: &Path, now: SystemTime) -> Option<bool> {
    let written = std::fs::metadata(path).ok()?.modified().ok()?;
    // Either may be the earlier one where the clock was set in between.
    let age = now.duration_since(written).unwrap_or_else(|error| error.duration());
    if age > HOLDS {
        return None;
    }
    match std::fs::read_to_string(path).ok()?.split_whitespace().next()? {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_of_the_box_is_found_and_debians_socket_only_without_them() {
        let place = tempfile::tempdir().unwrap();
        let other = place.path().join("ptp4l");
        let others = ["/nowhere/ptp4lro", other.to_str().unwrap()];
        let below = place.path().join("time");
        assert_eq!(sockets_below(&below, &others), []);
        std::fs::write(&other, "").unwrap();
        assert_eq!(sockets_below(&below, &others), [(None, other.clone())]);
        for port in ["eth1", "eth0", "slots"] {
            std::fs::create_dir_all(below.join(port)).unwrap();
        }
        let socket = |port: &str| below.join(port).join("ptp4lro");
        std::fs::write(socket("eth1"), "").unwrap();
        std::fs::write(socket("eth0"), "").unwrap();
        let found = sockets_below(&below, &others);
        assert_eq!(found, [(Some("eth0".into()), socket("eth0")), (Some("eth1".into()), socket("eth1"))]);
    }

    #[test]
    fn how_a_port_of_the_box_stamps_stands_in_its_configuration() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(stamping_in(place.path(), "eth0"), None);
        for (word, stamping) in [
            ("hardware", Some(Stamping::Hardware)),
            ("software", Some(Stamping::Software)),
            ("onestep", None),
        ] {
            let text = format!("[global]\nclientOnly 1\ntime_stamping {word}\n[eth0]\n");
            std::fs::write(place.path().join("eth0.conf"), text).unwrap();
            assert_eq!(stamping_in(place.path(), "eth0"), stamping, "{word}");
        }
    }

    #[test]
    fn what_was_told_long_ago_is_not_known() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("synchronised");
        let now = SystemTime::now();
        assert_eq!(told_in(&path, now), None);
        for (text, told) in [("yes PTP0\n", Some(true)), ("no\n", Some(false)), ("", None), ("perhaps", None)]
        {
            std::fs::write(&path, text).unwrap();
            assert_eq!(told_in(&path, now), told, "{text:?}");
        }
        std::fs::write(&path, "yes\n").unwrap();
        assert_eq!(told_in(&path, now + Duration::from_secs(61)), None);
    }
}
