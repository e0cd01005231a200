//! `audyn selftest`: lets a running engine hear a signal of its own.
//!
//! Owns: one question to the engine, its answer for people or, with `--json`, for programs, and the exit code.

use std::fmt::Write as _;
use std::path::PathBuf;

use audyn_api::client::{Client, ClientError, DEFAULT_SOCKET};
use audyn_api::{Reply, Request, SelfTestReport};
use clap::{Args, ValueEnum};

use crate::words::counted;

const EXAMPLES: &str = "\
Examples:
  audyn selftest                                   the engine of this machine
  audyn selftest --require rights --require archive  fail also where a right is missing or the archive takes no file
  audyn selftest --socket /tmp/engine.sock --json  the report as JSON

It takes about 2 s and disturbs no recording.
Exit codes: 0 passed, 1 failed or the engine does not answer, 2 it was asked for wrongly.";

/// Let a running engine hear a signal of its own: every sample must arrive as it was sent.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SelfTestArgs {
    /// The engine's socket.
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
    /// What shall count as failed besides; can be given twice.
    #[arg(long, value_name = "WHAT")]
    require: Vec<Requirement>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Requirement {
    /// Everything that the capture thread asks for: SCHED_FIFO, its CPU, locked memory, the receive buffer.
    Rights,
    /// A file can be made in the archive.
    Archive,
}

/// Why the test did not pass.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SelfTestError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("no runtime could be started: {0}; free memory or raise the limit of descriptors")]
    Runtime(std::io::Error),
    #[error("the self-test failed: {0}")]
    Failed(String),
}

impl SelfTestError {
    #[expect(clippy::unused_self, reason = "the same shape as the other commands' errors")]
    pub(crate) fn exit_code(&self) -> u8 {
        1
    }
}

/// The report, with what the exit code says.
#[derive(serde::Serialize)]
struct Told<'a> {
    passed: bool,
    #[serde(flatten)]
    report: &'a SelfTestReport,
}

/// Asks, and prints the answer.
pub(crate) fn run(args: &SelfTestArgs, json: bool) -> Result<(), SelfTestError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(SelfTestError::Runtime)?;
    let report = runtime.block_on(async {
        let mut client = Client::connect(&args.socket, concat!("audyn ", env!("CARGO_PKG_VERSION"))).await?;
        match client.request(Request::SelfTest).await? {
            Reply::SelfTest(report) => Ok(*report),
            _ => Err(ClientError::Unexpected),
        }
    })?;
    let failure = failure(&report, &args.require);
    if json {
        let told = Told { passed: failure.is_none(), report: &report };
        println!("{}", serde_json::to_string(&told).expect("a report is numbers and words"));
    } else {
        print!("{}", describe(&report));
    }
    failure.map_or(Ok(()), |why| Err(SelfTestError::Failed(why)))
}

/// The first thing that makes it fail.
fn failure(report: &SelfTestReport, required: &[Requirement]) -> Option<String> {
    let right = report.rights.missing.first().filter(|_| required.contains(&Requirement::Rights));
    let archive = report.archive.error.as_ref().filter(|_| required.contains(&Requirement::Archive));
    report.failures.first().or(right).or(archive).cloned()
}

/// The report in words.
fn describe(report: &SelfTestReport) -> String {
    let SelfTestReport { frames_sent, frames_received, frames_different, frames_lost, .. } = report;
    let rights = &report.rights;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "signal   {frames_sent} sent, {} received, {} different, {} lost, {} dropped by the kernel",
        frames_received.0,
        frames_different.0,
        frames_lost.0,
        counted(report.kernel_dropped, "datagram")
    );
    let priority = rights
        .fifo_priority
        .map_or_else(|| "ordinary priority".to_owned(), |priority| format!("SCHED_FIFO {priority}"));
    let cpu = rights.cpu.map_or_else(|| "an unknown CPU".to_owned(), |cpu| format!("CPU {cpu}"));
    let hold = match (rights.pinned, rights.isolated) {
        (true, true) => ", pinned and isolated",
        (true, false) => ", pinned",
        (false, _) => ", not pinned",
    };
    let memory = if rights.memory_locked { "locked" } else { "not locked" };
    let _ = writeln!(text, "capture  {priority} on {cpu}{hold}; memory {memory}");
    let archive = &report.archive;
    let state = archive.error.as_deref().unwrap_or("takes files");
    let _ =
        writeln!(text, "archive  {}: {state}, {:.1} GB free", archive.root, archive.free_bytes as f64 / 1e9);
    for missing in &rights.missing {
        let _ = writeln!(text, "warning: {missing}");
    }
    for failure in report.failures.iter().skip(1) {
        let _ = writeln!(text, "also: {failure}");
    }
    let _ = writeln!(text, "{}", if report.passed() { "passed" } else { "FAILED" });
    text
}

#[cfg(test)]
mod tests {
    use audyn_api::{ArchiveCheck, CaptureRights};
    use audyn_units::FrameCount;

    use super::*;

    fn report() -> SelfTestReport {
        SelfTestReport {
            frames_sent: FrameCount(96_000),
            frames_received: FrameCount(96_000),
            rights: CaptureRights {
                fifo_priority: Some(50),
                cpu: Some(3),
                pinned: true,
                isolated: true,
                memory_locked: false,
                missing: vec!["memory is not locked".to_owned()],
            },
            archive: ArchiveCheck {
                root: "/srv/recordings".to_owned(),
                error: Some("read-only".to_owned()),
                free_bytes: 1_500_000_000,
            },
            ..SelfTestReport::default()
        }
    }

    #[test]
    fn what_is_missing_fails_only_where_it_is_required() {
        let (whole, mut lossy) = (report(), report());
        assert_eq!(failure(&whole, &[]), None);
        assert_eq!(failure(&whole, &[Requirement::Rights]).as_deref(), Some("memory is not locked"));
        assert_eq!(failure(&whole, &[Requirement::Archive]).as_deref(), Some("read-only"));
        lossy.failures = vec!["48 frames were lost".to_owned()];
        assert_eq!(failure(&lossy, &[Requirement::Archive]).as_deref(), Some("48 frames were lost"));
    }

    #[test]
    fn the_words_tell_priority_cpu_memory_and_archive() {
        assert_eq!(
            describe(&report()),
            "signal   96000 frames sent, 96000 received, 0 different, 0 lost, 0 datagrams dropped by the kernel\n\
             capture  SCHED_FIFO 50 on CPU 3, pinned and isolated; memory not locked\n\
             archive  /srv/recordings: read-only, 1.5 GB free\n\
             warning: memory is not locked\n\
             passed\n"
        );
    }

    #[test]
    fn programs_are_told_what_the_exit_code_says() {
        let report = report();
        let told = serde_json::to_value(Told { passed: true, report: &report }).unwrap();
        assert_eq!((&told["passed"], &told["rights"]["cpu"]), (&true.into(), &3.into()));
        assert_eq!(told["frames_sent"], 96_000);
    }
}
