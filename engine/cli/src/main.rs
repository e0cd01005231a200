//! `audyn`: the command line of the recorder.
//!
//! Owns: the choice of the command, and the way from its error to an exit code. Never: the work of a command.
//!
//! Exit codes: 0 done, 1 it went wrong while running, 2 it was asked for wrongly.
#![forbid(unsafe_code)]

mod analyze;
mod both;
mod capture;
mod export;
mod find;
mod head;
mod instant;
mod legs;
mod legs_text;
mod mark;
mod peaks;
mod record;
mod repair;
mod retention;
mod selftest;
mod send;
mod status;
mod stop;
mod usage;
mod values;
mod verify;
mod volume;
mod words;

use std::process::ExitCode;
use std::time::Duration;

use audyn_daemon::Printer;
use clap::error::ErrorKind;
use clap::{FromArgMatches as _, Parser, Subcommand};

/// Records AES67 audio, bit for bit.
#[derive(Debug, Parser)]
#[command(name = "audyn", version, arg_required_else_help = true)]
struct Cli {
    /// Print results as JSON, one object a line.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Record an AES67 stream: to WAV or FLAC, bit for bit, or to Opus.
    Record(Box<record::RecordArgs>),
    /// Analyze the RTP audio in a capture: loss, jitter, gaps, redundancy.
    Analyze(analyze::AnalyzeArgs),
    /// Tell what a running engine does.
    Status(status::StatusArgs),
    /// Tell what the recorders' limits would delete now.
    Retention(retention::RetentionArgs),
    /// Protect recordings against every deletion.
    Protect(retention::ProtectArgs),
    /// Let protected recordings go again.
    Unprotect(retention::ProtectArgs),
    /// Tell which volumes the recordings lie on, or take over one that is there.
    Volume(volume::VolumeArgs),
    /// Let a running engine hear a signal of its own.
    #[command(name = "selftest")]
    SelfTest(selftest::SelfTestArgs),
    /// Mend recordings that a kill, a power cut or a copy that broke off has left: WAV, FLAC, Opus and their ledgers.
    Repair(repair::RepairArgs),
    /// Look whether recordings are what they were when they were closed: hashes, lengths, ledgers, the chain.
    Verify(verify::VerifyArgs),
    /// Find recordings in an archive, by recorder, studio and time.
    Find(find::FindArgs),
    /// Make one file of a stretch of time, with the exact frames, also while it is recorded.
    Export(Box<export::ExportArgs>),
    /// Make what recordings are drawn from, where it is missing.
    Peaks(peaks::PeaksArgs),
    /// Mark a place in what is or was recorded.
    Mark(mark::MarkArgs),
    /// Tell what is marked in a stretch of time, and what the ledgers tell of it.
    Markers(mark::MarkersArgs),
    /// Export the newest entries of chains, signed, to be kept elsewhere.
    Head(head::HeadArgs),
    /// Send a tone, a file or an index signal as an AES67 stream, with faults if wanted.
    Send(Box<send::SendArgs>),
}

fn main() -> ExitCode {
    let asked = usage::command::<Cli>().try_get_matches().and_then(|asked| Cli::from_arg_matches(&asked));
    let Cli { json, command } = match asked {
        Ok(cli) => cli,
        // `--help` and `--version`, and help where nothing was asked, come as errors too; they print themselves.
        Err(error)
            if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            error.exit()
        }
        Err(error) => {
            eprintln!("audyn: {}", usage::sentence(&error));
            return ExitCode::from(2);
        }
    };
    let result = match command {
        Command::Record(args) => {
            record::run(&args, json).map_err(|error| (error.exit_code(), error.to_string()))
        }
        Command::Analyze(args) => {
            analyze::run(&args, json).map_err(|error| (error.exit_code(), error.to_string()))
        }
        Command::Status(args) => {
            status::run(&args, json).map_err(|error| (error.exit_code(), error.to_string()))
        }
        Command::Retention(args) => {
            retention::run(&args, json).map_err(|error| (error.exit_code(), error.to_string()))
        }
        Command::Protect(args) => {
            retention::protect(&args, true, json).map_err(|error| (error.exit_code(), error.to_string()))
        }
        Command::Unprotect(args) => {
            retention::protect(&args, false, json).map_err(|error| (error.exit_code(), error.to_string()))
        }
        Command::Volume(args) => {
            volume::run(&args, json).map_err(|error| (error.exit_code(), error.to_string()))
        }
        Command::SelfTest(args) => {
            selftest::run(&args, json).map_err(|error| (error.exit_code(), error.to_string()))
        }
        Command::Repair(args) => {
            repair::run(&args, json).map_err(|error| (error.exit_code(), error.to_string()))
        }
        Command::Head(args) => head::run(&args, json).map_err(|error| (error.exit_code(), error.to_string())),
        Command::Verify(args) => {
            verify::run(&args, json).map_err(|error| (error.exit_code(), error.to_string()))
        }
        Command::Find(args) => find::run(&args, json).map_err(|error| (error.exit_code(), error.to_string())),
        Command::Export(args) => {
            export::run(&args, json).map_err(|error| (error.exit_code(), error.to_string()))
        }
        Command::Peaks(args) => {
            peaks::run(&args, json).map_err(|error| (error.exit_code(), error.to_string()))
        }
        Command::Mark(args) => {
            mark::mark(&args, json).map_err(|error| (error.exit_code(), error.to_string()))
        }
        Command::Markers(args) => {
            mark::list(&args, json).map_err(|error| (error.exit_code(), error.to_string()))
        }
        Command::Send(args) => send::run(*args, json).map_err(|error| (error.exit_code(), error.to_string())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, sentence)) => {
            // Whoever read there may have gone or stalled; the exit code tells it as well.
            let (_, printing) = Printer::start("stderr", std::io::stderr());
            printing.finish(format!("audyn: {sentence}\n"), Duration::from_secs(2));
            ExitCode::from(code)
        }
    }
}
