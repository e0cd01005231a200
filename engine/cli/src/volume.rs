//! `audyn volume`: which volumes the recordings lie on, and a person's word that another one is the right one.
//!
//! Owns: one question to the engine each, and the words. Never: looks at a disk.

use std::fmt::Write as _;
use std::path::PathBuf;

use audyn_api::client::{ClientError, DEFAULT_SOCKET};
use audyn_api::{Reply, Request, VolumeIdentity, VolumeReport, VolumeStanding};
use audyn_units::ByteSize;
use clap::{Args, Subcommand};

use crate::retention::{RetentionError, ask, who};

const EXAMPLES: &str = "\
Examples:
  audyn volume                the volume of the archive's root, and of its mirror: identity, room, and whether it is the right one
  audyn volume adopt          the one that is there is the right one from now on, after a change of the disk
  audyn volume adopt /srv/2   the same where there is a mirror: which of them is meant
  audyn --json volume         the same as JSON

The engine writes to no other volume than the one that it remembers, nor to an empty mount point: what comes waits in memory for 10 s and is
a gap then, and recording goes on by itself when the right one is back. Where a mirror is configured, each of the two has what the other may
lack, and neither waits for the other.

Exit codes: 0 the right one is there, 1 it is not or the engine does not answer, 2 it was asked for wrongly.";

/// Tell which volumes the recordings lie on, or take over one that is there.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct VolumeArgs {
    /// The engine's socket.
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
    #[command(subcommand)]
    deed: Option<Deed>,
}

#[derive(Debug, Subcommand)]
enum Deed {
    /// Have the volume that is there be the right one from now on; one without an identity gets one.
    Adopt(AdoptArgs),
}

#[derive(Debug, Args)]
struct AdoptArgs {
    /// The archive root or the mirror; none takes the only one.
    #[arg(value_name = "ROOT")]
    root: Option<String>,
    /// Who says so, for the log; none takes the user's name.
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// The engine's socket.
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
}

/// Tells it, or has it adopted; fails if a volume is the wrong one.
pub(crate) fn run(args: &VolumeArgs, json: bool) -> Result<(), RetentionError> {
    let volumes = match &args.deed {
        None => volumes(ask(&args.socket, Request::Volumes)?)?,
        Some(Deed::Adopt(adopt)) => {
            let root = match &adopt.root {
                Some(root) => root.clone(),
                None => only_root(&volumes(ask(&adopt.socket, Request::Volumes)?)?)?,
            };
            let who = who(adopt.who.clone());
            volumes(ask(&adopt.socket, Request::AdoptVolume { root, who })?)?
        }
    };
    if json {
        println!("{}", serde_json::to_string(&volumes).expect("numbers and words"));
    } else {
        for volume in &volumes {
            print!("{}", describe(volume));
        }
    }
    let wrong: Vec<&str> =
        volumes.iter().filter(|volume| !is_right(volume)).map(|volume| &*volume.root).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(RetentionError::Refused(format!("nothing is written to {}; see above", wrong.join(", "))))
}

fn volumes(reply: Reply) -> Result<Vec<VolumeReport>, RetentionError> {
    match reply {
        Reply::Volumes(volumes) => Ok(volumes),
        _ => Err(ClientError::Unexpected.into()),
    }
}

fn only_root(volumes: &[VolumeReport]) -> Result<String, RetentionError> {
    match volumes {
        [only] => Ok(only.root.clone()),
        several => {
            let roots: Vec<&str> = several.iter().map(|volume| &*volume.root).collect();
            let roots = roots.join(", ");
            Err(RetentionError::Refused(format!(
                "there are two volumes, {roots}; name the one that is meant"
            )))
        }
    }
}

fn is_right(volume: &VolumeReport) -> bool {
    matches!(volume.standing, VolumeStanding::Ours | VolumeStanding::New)
}

fn describe(volume: &VolumeReport) -> String {
    let standing = match volume.standing {
        VolumeStanding::Ours => "the right one",
        VolumeStanding::New => "none is remembered yet",
        VolumeStanding::Another => "ANOTHER ONE: nothing is written there",
        VolumeStanding::Unmarked => "WITHOUT AN IDENTITY: nothing is written there",
        VolumeStanding::Unreadable => "UNREADABLE: nothing is written there",
        VolumeStanding::Missing => "MISSING",
        VolumeStanding::Unchosen => "no disk is chosen yet: nothing is written there",
        VolumeStanding::Same => "THE ARCHIVE'S OWN VOLUME: nothing is mirrored there",
    };
    let mut text = format!("{}: {standing}\n", volume.root);
    let words = |VolumeIdentity { id, made, by }: &VolumeIdentity| {
        let made = made.as_ref().map(|made| format!(", made {made}")).unwrap_or_default();
        let by = by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        format!("{id}{made}{by}")
    };
    // Writing to a String cannot fail.
    match (&volume.expected, &volume.found) {
        (Some(expected), found) if found.as_ref() != Some(expected) => {
            let _ = writeln!(text, "  expected: {}", words(expected));
            let there = found.as_ref().map_or("no identity".to_owned(), words);
            let _ = writeln!(text, "  there:    {there}");
        }
        (_, Some(found)) => {
            let _ = writeln!(text, "  volume: {}", words(found));
        }
        (_, None) => {}
    }
    if volume.disk.total_bytes > 0 {
        let (free, total) = (ByteSize(volume.disk.free_bytes), ByteSize(volume.disk.total_bytes));
        let _ = writeln!(text, "  room: {free} free of {total}");
    }
    if let Some(note) = &volume.note {
        let _ = writeln!(text, "  note: {note}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_told_in_words() {
        let identity = |digit: &str, by: Option<&str>| VolumeIdentity {
            id: digit.repeat(32),
            made: Some("2026-07-02T13:46:03Z".to_owned()),
            by: by.map(str::to_owned),
        };
        let right = VolumeReport {
            root: "/srv/recordings".to_owned(),
            standing: VolumeStanding::Ours,
            expected: Some(identity("a", Some("audyn-1a2b3c"))),
            found: Some(identity("a", Some("audyn-1a2b3c"))),
            disk: audyn_api::DiskState { total_bytes: 2_000_000_000, free_bytes: 500_000_000 },
            note: None,
        };
        assert_eq!(
            describe(&right),
            "/srv/recordings: the right one\n  volume: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, made 2026-07-02T13:46:03Z by audyn-1a2b3c\n  \
             room: 500.0 MB free of 2.0 GB\n"
        );
        let wrong = VolumeReport {
            standing: VolumeStanding::Another,
            found: Some(identity("b", None)),
            note: Some("mount that one".to_owned()),
            ..right.clone()
        };
        assert_eq!(
            describe(&wrong),
            "/srv/recordings: ANOTHER ONE: nothing is written there\n  expected: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, made 2026-07-02T13:46:03Z by \
             audyn-1a2b3c\n  there:    bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, made 2026-07-02T13:46:03Z\n  room: 500.0 MB free of 2.0 GB\n  note: \
             mount that one\n"
        );
        assert_eq!(only_root(std::slice::from_ref(&right)).unwrap(), "/srv/recordings");
        assert!(only_root(&[right, wrong]).unwrap_err().to_string().contains("name the one"));
    }
}
