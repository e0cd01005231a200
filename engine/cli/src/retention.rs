//! `audyn retention`, `audyn protect` and `audyn unprotect`: what goes by itself, and what never does.
//!
//! Owns: one question to the engine each, and the words. Never: looks at the archive; nor deletes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use audyn_api::client::{Client, ClientError, DEFAULT_SOCKET};
use audyn_api::{ProtectedFile, Reply, Request, RetentionPlan};
use audyn_units::ByteSize;
use clap::Args;

use crate::words::counted;

const RETENTION_EXAMPLES: &str = "\
Examples:
  audyn retention --dry-run                     what the recorders' limits would delete now, the oldest first
  audyn --json retention --dry-run              the same as JSON

What a recorder keeps is set in its configuration, and nothing is deleted where nothing is set:
  \"retention\": { \"days\": 90, \"bytes\": 500000000000, \"make_room\": true }
make_room lets its oldest recordings go where the volume has less than its floor (volume in global.json).

Exit codes: 0 told, 1 the engine does not answer or could not look, 2 it was asked for wrongly.";

const PROTECT_EXAMPLES: &str = "\
Examples:
  audyn protect studio-1/2026-07-02-13.wav      with all formats of that segment; nobody deletes it until
  audyn unprotect studio-1/2026-07-02-13.wav    it is let go

Exit codes: 0 all are as asked, 1 one is not or the engine does not answer, 2 it was asked for wrongly.";

/// Tell what the recorders' limits would delete now, and why. Nothing is deleted by this.
#[derive(Debug, Args)]
#[command(after_help = RETENTION_EXAMPLES)]
pub(crate) struct RetentionArgs {
    /// The engine's socket.
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
    /// Only tell. The engine deletes by itself, once a minute; there is no other way to call this.
    #[arg(long, required = true)]
    dry_run: bool,
}

/// Recordings that are to be protected, or let go.
#[derive(Debug, Args)]
#[command(after_help = PROTECT_EXAMPLES)]
pub(crate) struct ProtectArgs {
    /// Recordings, as paths below the archive's root.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Who says so, for the list; none takes the user's name.
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// The engine's socket.
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
}

/// Why it wasn't told or done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RetentionError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("no runtime could be started: {0}; free memory or raise the limit of descriptors")]
    Runtime(std::io::Error),
    #[error("{0}")]
    Refused(String),
}

impl RetentionError {
    #[expect(clippy::unused_self, reason = "the same shape as the other commands' errors")]
    pub(crate) fn exit_code(&self) -> u8 {
        1
    }
}

fn ask(socket: &Path, request: Request) -> Result<Reply, RetentionError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RetentionError::Runtime)?;
    Ok(runtime.block_on(async {
        Client::connect(socket, concat!("audyn ", env!("CARGO_PKG_VERSION"))).await?.request(request).await
    })?)
}

/// Asks what would go, and prints it.
pub(crate) fn run(args: &RetentionArgs, json: bool) -> Result<(), RetentionError> {
    debug_assert!(args.dry_run, "clap requires it");
    let Reply::RetentionPlan(plan) = ask(&args.socket, Request::RetentionPlan)? else {
        return Err(ClientError::Unexpected.into());
    };
    if json {
        println!("{}", serde_json::to_string(&plan).expect("a plan is numbers and words"));
    } else {
        print!("{}", describe(&plan));
    }
    Ok(())
}

/// Protects recordings or lets them go, and prints what became of each.
pub(crate) fn protect(args: &ProtectArgs, protected: bool, json: bool) -> Result<(), RetentionError> {
    let user = || std::env::var("SUDO_USER").or_else(|_| std::env::var("USER"));
    let who = args.who.clone().or_else(|| user().ok()).filter(|who| !who.is_empty());
    let who = who.unwrap_or_else(|| "audyn".to_owned());
    let Reply::Protected(files) =
        ask(&args.socket, Request::Protect { paths: args.paths.clone(), protected, who })?
    else {
        return Err(ClientError::Unexpected.into());
    };
    if json {
        println!("{}", serde_json::to_string(&files).expect("paths and words"));
    } else {
        for ProtectedFile { path, .. } in files.iter().filter(|file| file.refused.is_none()) {
            println!("{path} is {}", if protected { "protected" } else { "let go" });
        }
    }
    let refused: Vec<&str> = files
        .iter()
        .filter_map(|file| file.refused.as_ref())
        .map(|refusal| refusal.detail.as_str())
        .collect();
    if refused.is_empty() { Ok(()) } else { Err(RetentionError::Refused(refused.join("; "))) }
}

/// The plan in words.
fn describe(plan: &RetentionPlan) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for entry in &plan.going {
        let _ = writeln!(text, "{}  {}: {}", entry.path, ByteSize(entry.bytes), entry.why);
    }
    let unlisted = plan.files.saturating_sub(plan.going.len() as u64);
    if unlisted > 0 {
        let _ = writeln!(text, "and {} more", counted(unlisted, "file"));
    }
    let _ = match plan.files {
        0 => write!(text, "nothing would go now"),
        files => write!(text, "{} with {} would go now", counted(files, "file"), ByteSize(plan.bytes)),
    };
    if plan.protected > 0 {
        let _ = write!(text, "; {} protected", counted(plan.protected, "segment"));
    }
    if plan.lacking_bytes > 0 {
        let _ = write!(text, "; the volume would still lack {} to its floor", ByteSize(plan.lacking_bytes));
    }
    text.push('\n');
    for note in &plan.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

#[cfg(test)]
mod tests {
    use audyn_api::{RetentionEntry, RetentionReason};

    use super::*;

    #[test]
    fn a_plan_is_told_in_words() {
        assert_eq!(describe(&RetentionPlan::default()), "nothing would go now\n");
        let entry = RetentionEntry {
            path: "a/one.wav".to_owned(),
            bytes: 1_500_000,
            start: audyn_units::Timestamp::ZERO,
            reason: RetentionReason::Days,
            why: "it is older than 90 days".to_owned(),
        };
        let plan = RetentionPlan {
            going: vec![entry],
            files: 2,
            bytes: 3_000_000_000,
            protected: 1,
            lacking_bytes: 7_000,
            notes: vec!["the clock".to_owned()],
        };
        assert_eq!(
            describe(&plan),
            "a/one.wav  1.5 MB: it is older than 90 days\nand 1 file more\n2 files with 3.0 GB would go now; 1 segment protected; \
             the volume would still lack 7.0 kB to its floor\nnote: the clock\n"
        );
    }
}
