//! `audyn record`: one recorder, in this process, from the command line.
//!
//! Owns: options, the live line, the summary. Never: the recording itself, which is the engine's; nor a write to a
//! terminal or pipe on the thread that ends the recording, because who reads there may stall or die.

mod args;
mod show;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

use audyn_daemon::{Engine, EngineError, EngineOptions, Naming, Printer, RecorderSpec};
use audyn_units::Nanos;

pub(crate) use args::RecordArgs;

use crate::stop::{SignalError, Stop};

/// How long the end waits for a reader that has stalled.
const PATIENCE: Duration = Duration::from_secs(2);

/// The one recorder's identifier.
const RECORDER: &str = "record";

/// Why nothing was recorded, or not all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("{option} does not work yet: {what} comes with a later version; leave it out")]
    NotYet { option: &'static str, what: &'static str },
    #[error("--archive-suffix \"{0}\" is not known; use wav, flac or opus")]
    Suffix(String),
    #[error(
        "-o names a .{0} file and --archive-suffix says {1}; leave one of them out, or add the other by --also"
    )]
    TwoSuffixes(String, String),
    #[error("--bits {0} is not a depth that {1} is written in; use 16 or 24, or with wav 32 for floats")]
    Bits(u16, &'static str),
    #[error("{0} is for Opus, and none is recorded; add --archive-suffix opus or --also opus")]
    NoOpus(&'static str),
    #[error("{0}")]
    Format(audyn_media::MediaError),
    #[error(
        "the name of -o ends in .{0}, and no such file is written; let it end in .wav, .flac or .opus, or say by --archive-suffix which \
         of them it shall be"
    )]
    OtherSuffix(String),
    #[error("--duration 0, or less than a frame, records nothing; give a time above 0, as 60 or 500ms")]
    NoDuration,
    #[error("no stream was named; give an SDP file, or a multicast group with -m")]
    NoSource,
    #[error(
        "the second leg is the first one again; give it another address, port or interface, or leave it out"
    )]
    SameLeg,
    #[error("nowhere to record to; give a file with -o, or a directory with --archive-root")]
    NoDestination,
    #[error(
        "channels {} to {} were asked for, but the stream has {stream}; set -c, --channel-offset and \
         --stream-channels so that they fit",
        .first + 1, .first + .count
    )]
    Channels { first: usize, count: usize, stream: usize },
    #[error("cannot read {}: {source}; check the name of the SDP file", .path.display())]
    SdpFile { path: PathBuf, source: std::io::Error },
    #[error("{} cannot be used: {source}", .path.display())]
    Sdp { path: PathBuf, source: audyn_wire::sdp::SdpError },
    #[error(
        "{} cannot be used: {source}, or record its first stream alone by --second-leg none", .path.display()
    )]
    SdpLegs { path: PathBuf, source: audyn_wire::sdp::SdpError },
    #[error(transparent)]
    Archive(#[from] audyn_core::archive::ArchiveError),
    #[error(transparent)]
    Clock(EngineError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("{0}")]
    Flow(String),
    #[error("{0}")]
    Signals(#[from] SignalError),
    #[error("nothing was recorded: {0}")]
    Nothing(String),
    #[error("the recording is not whole: {0}")]
    Disk(String),
}

impl RecordError {
    /// 2 for what was asked for wrongly, 1 for what went wrong.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Engine(_) | Self::Flow(_) | Self::Signals(_) | Self::Nothing(_) | Self::Disk(_) => 1,
            _ => 2,
        }
    }
}

/// Records until the limit, Ctrl-C or SIGTERM, and prints what came of it.
pub(crate) fn run(args: &RecordArgs, json: bool) -> Result<(), RecordError> {
    let plan = args.plan()?;
    let stop = Stop::on_signals()?;
    let (errors, printing_errors) = Printer::start("stderr", std::io::stderr());
    show::logging(args.verbose, args.asks_for_ptp(), errors.clone());
    let mut live = show::Live::new(!args.quiet && !json && std::io::stderr().is_terminal(), errors);
    let (lines, printing) = Printer::start("stdout", std::io::stdout());
    let recorded = record(args, json, &plan, &stop, &mut live, &lines);
    let (summary, result) = recorded.unwrap_or_else(|error| (String::new(), Err(error)));
    // A reader that has gone or stalled has its loss: what was recorded is on the disk.
    printing.finish(summary, PATIENCE);
    printing_errors.finish(live.finish(), PATIENCE);
    result
}

/// Records, and tells the last line to be printed.
fn record(
    args: &RecordArgs,
    json: bool,
    plan: &args::Plan,
    stop: &Stop,
    live: &mut show::Live,
    lines: &Printer,
) -> Result<(String, Result<(), RecordError>), RecordError> {
    let tai_offset = audyn_daemon::tai_minus_utc(args.tai_offset);
    // What can be refused is refused before anything runs, and by one sentence.
    let suffixes: Vec<&str> = plan.formats.iter().map(|format| format.suffix()).collect();
    plan.naming.check_writable(tai_offset, &suffixes)?;
    let archive_root = match &plan.naming {
        Naming::File(path) => path.parent().map_or_else(PathBuf::new, PathBuf::from),
        Naming::Archive { root, .. } => root.clone(),
    };
    let mut engine = Engine::start(EngineOptions {
        state: None,
        clock: plan.clock.clone(),
        capture_period: Nanos::from_millis(4),
        fifo_priority: Some(50),
        // For a recording from a terminal; a service has the right to it.
        lock_memory: false,
        receive_buffer: args.rcvbuf,
        sync_every_second: true,
        tai_offset: args.tai_offset,
        archive_root,
        volume_chosen: None,
        mirror: None,
    })?;
    let recorder = RecorderSpec {
        id: RECORDER.to_owned(),
        name: plan.source.name.clone(),
        source: Some(plan.source.id.clone()),
        enabled: true,
        studio: None,
        channels: plan.channels.clone(),
        formats: plan.formats.clone(),
        opus: plan.opus,
        naming: plan.naming.clone(),
    };
    engine.configure(vec![recorder], std::slice::from_ref(&plan.source));
    if let Some(error) = engine.snapshot().flows.first().and_then(|flow| flow.error.clone()) {
        return Err(RecordError::Flow(error));
    }
    let limit = args.duration.map(|duration| plan.source.rate.frames_in(duration));
    engine.record(RECORDER, limit)?;
    for oddity in &plan.oddities {
        tracing::warn!("session description: {oddity}");
    }
    for warning in engine.warnings() {
        tracing::warn!("{warning}");
    }

    let (mut outcome, mut legs) = (show::Outcome::default(), show::Legs::default());
    let levels_every = Duration::from_millis(u64::from(args.levels_interval));
    let mut next_levels = Instant::now() + levels_every;
    let closed = Arc::new(AtomicBool::new(false));
    let mut stopping = false;
    while !outcome.ended {
        let pause = Duration::from_millis(100);
        std::thread::park_timeout(if args.levels { levels_every.min(pause) } else { pause });
        if stop.is_set() && !stopping {
            stopping = true;
            let closed = Arc::clone(&closed);
            engine.stop(RECORDER, Box::new(move || closed.store(true, Release)))?;
        }
        // Asked before the notices are read: those of a closed file are among them.
        let over = closed.load(Acquire);
        outcome.take(engine.notices());
        outcome.ended |= over;
        engine.watch_network();
        let snapshot = engine.snapshot();
        if args.levels && Instant::now() >= next_levels {
            next_levels += levels_every;
            if let Some(line) = show::levels(&engine.levels(), json) {
                lines.print(line);
            }
        }
        legs.tell(&snapshot);
        live.draw(&snapshot, &engine.levels());
        outcome.see(&snapshot, limit, stopping);
    }
    Ok(outcome.summary(&plan.source, json))
}
