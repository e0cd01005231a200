//! `audyn`: the command line of the recorder.
//!
//! Owns: the choice of the command, and the way from its error to an exit code. Never: the work of a command.
//!
//! Exit codes: 0 done, 1 it went wrong while running, 2 it was asked for wrongly.
#![forbid(unsafe_code)]

mod record;
mod send;
mod status;
mod stop;
mod values;

use std::process::ExitCode;
use std::time::Duration;

use audyn_daemon::Printer;
use clap::{Parser, Subcommand};

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
    /// Record an AES67 stream to WAV, bit for bit.
    Record(Box<record::RecordArgs>),
    /// Tell what a running engine does.
    Status(status::StatusArgs),
    /// Send a tone, a file or an index signal as an AES67 stream, with faults if wanted.
    Send(Box<send::SendArgs>),
}

fn main() -> ExitCode {
    let Cli { json, command } = Cli::parse();
    let result = match command {
        Command::Record(args) => {
            record::run(&args, json).map_err(|error| (error.exit_code(), error.to_string()))
        }
        Command::Status(args) => {
            status::run(&args, json).map_err(|error| (error.exit_code(), error.to_string()))
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
