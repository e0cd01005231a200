//! `audyn send`: an AES67 sender for a real network.
//!
//! Owns: the way from the options to a [`Sender`], its pace, and what is told of it. Never: a packet's content or
//! fate; that is `audyn_core::sender`'s.
//!
//! ```text
//! options ─ plan ─→ socket (or two) ─→ SDP written ─→ pace (until the end, or a signal) ─→ truth and summary written
//! ```

mod args;
mod error;
mod legs;
mod output;
mod pace;
mod plan;
mod replay;
mod socket;
mod source;

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use audyn_core::sender::{LegFates, LegsTruth, Sender, Truth};
use audyn_units::{FrameCount, Nanos, RtpTime, SampleRate, Ssrc};
use audyn_wire::sdp::Description;
use serde::Serialize;

pub(crate) use args::SendArgs;
pub(crate) use error::SendError;

use crate::stop::Stop;
use crate::words::counted;
use legs::{Lines, Second};
use output::Output;
use pace::Pace;
use plan::Plan;
use socket::Line;

/// From the choice of the start to the first packet: time to open the socket and write the description, so that a reader who starts on
/// it may still hear the beginning.
const LEAD: Duration = Duration::from_millis(20);

/// What is told at the end.
#[derive(Debug, Serialize)]
struct Summary {
    /// Packets that left, copies not counted.
    packets_sent: u64,
    /// Datagrams that left, copies counted.
    datagrams: u64,
    /// Packets that were made and thrown away, as `--loss`, `--burst` and `--lose-at` wanted.
    packets_dropped: u64,
    /// Packets' time in which the source was away.
    packets_paused: u64,
    /// Frames that passed on the media clock.
    frames: u64,
    first_timestamp: Option<RtpTime>,
    last_timestamp: Option<RtpTime>,
    /// The source's identifier at the end.
    ssrc: Ssrc,
    seed: u64,
    /// Whether a signal ended it.
    interrupted: bool,
    /// How far behind its time the latest packet left.
    worst_late_us: i64,
}

/// What `--truth` writes.
#[derive(Debug, Serialize)]
struct Record<'a> {
    #[serde(flatten)]
    truth: &'a Truth,
    /// What left on which leg, if there are two.
    #[serde(skip_serializing_if = "Option::is_none")]
    second_leg: Option<&'a LegsTruth>,
}

/// Sends until the end, Ctrl-C or SIGTERM.
#[expect(clippy::needless_pass_by_value, reason = "the command's options end with the command")]
pub(crate) fn run(args: SendArgs, json: bool) -> Result<(), SendError> {
    if args.duration == Some(Nanos::ZERO) {
        return Err(SendError::Usage(
            "--duration 0 sends nothing; give a time above 0, as 60 or 500ms".into(),
        ));
    }
    if args.flow.is_some() && args.pcap.is_none() {
        return Err(SendError::Usage(
            "--flow chooses a stream of --pcap; give that too, or leave it out".into(),
        ));
    }
    if args.packets == Some(0) {
        return Err(SendError::Usage("--packets 0 sends nothing; give 1 or more, or leave it out".into()));
    }
    if args.truth.as_deref() == Some(Path::new("-")) {
        let sentence = "--truth - is none, since the summary goes to standard output; give a file";
        return Err(SendError::Usage(sentence.into()));
    }
    args.truth.iter().chain(&args.sdp_out).try_for_each(|path| output::look_for(path))?;
    if let (Some(path), true) = (&args.truth, args.truth == args.sdp_out)
        && !output::takes_more(path)
    {
        let sentence = format!("--truth and --sdp-out name one file, {}; give each its own", path.display());
        return Err(SendError::Usage(sentence));
    }
    if let Some(capture) = &args.pcap {
        return replay::run(&args, capture, json);
    }
    let Plan { mut config, mut source, destination, second, label } = plan::plan(&args)?;
    let start = Instant::now() + LEAD;
    let start_utc = SystemTime::now() + LEAD;
    let media_clock = media_clock(config.format.rate, start_utc, args.tai_offset);
    if args.media_clock {
        config.first_timestamp = media_clock;
    }
    let mut sender = Sender::new(config.clone()).map_err(|error| SendError::Usage(error.to_string()))?;
    let first = Line::open(destination, args.interface.as_deref(), args.ttl, args.dscp)?;
    let second = second.map(|leg| -> Result<Second, SendError> {
        let line = Line::open(leg.to, leg.interface.as_deref(), args.ttl, args.dscp)?;
        let packet = FrameCount(u64::from(config.format.packet_frames));
        Ok(Second::new(line, LegFates::new(leg.faults, packet, config.seed), leg.delay))
    });
    let mut line = Lines::new(first, second.transpose()?);
    let stop = Stop::on_signals()?;
    let truth_file = args.truth.as_deref().map(Output::create).transpose()?;

    let description = Description {
        name: args.name.clone().unwrap_or(label),
        session_id: nanos_since_epoch(start_utc) as u64,
        version: 0,
        origin: line.local_address(),
        address: destination.ip(),
        port: destination.port(),
        ttl: args.ttl,
        payload_type: config.payload_type,
        encoding: config.format.encoding,
        rate: config.format.rate,
        channels: config.format.channels,
        packet_frames: config.format.packet_frames,
        media_clock_offset: config.first_timestamp.0.wrapping_sub(media_clock.0),
        // The schedule is the machine's own clock; no grandmaster is claimed that isn't followed.
        ref_clock: "local".into(),
        source_specific: false,
    };
    if let Some(path) = &args.sdp_out {
        let text = match line.second_to() {
            Some(second) => description.to_sdp_of_two(second),
            None => description.to_sdp(),
        };
        write_sdp(path, &text)?;
    }
    let and = line.second_to().map_or_else(String::new, |second| format!(" and {second}"));
    eprintln!(
        "audyn: sends {} {} with {}, {} a packet, to {destination}{and} from {}; ssrc {}, seed {}; \
         Ctrl-C ends it",
        config.format.encoding,
        config.format.rate,
        counted(config.format.channels.get() as u64, "channel"),
        counted(config.format.packet_frames.into(), "frame"),
        line.local_address(),
        config.ssrc,
        config.seed,
    );

    let Pace { interrupted, worst_late } = pace::run(&mut sender, &mut source, &mut line, &stop, start)?;

    let truth = sender.truth();
    if let Some(file) = truth_file {
        let record = Record { truth, second_leg: line.truth() };
        let text = serde_json::to_vec_pretty(&record).expect("numbers and words are JSON");
        file.write(&[&text[..], b"\n"].concat())?;
    }
    let summary = summary(truth, config.ssrc, interrupted, worst_late);
    tell(&summary, json)
}

/// The media clock at the start: frames since the PTP epoch, modulo 2³² (RFC 7273 §5.2). Where nobody has told TAI − UTC, UTC
/// stands in for TAI.
fn media_clock(rate: SampleRate, start_utc: SystemTime, tai_offset: Option<i32>) -> RtpTime {
    let offset = audyn_daemon::tai_minus_utc(tai_offset).unwrap_or(Nanos::ZERO);
    let tai = nanos_since_epoch(start_utc) + offset.to_duration().as_nanos();
    RtpTime((tai * u128::from(rate.hz()) / 1_000_000_000) as u32)
}

fn nanos_since_epoch(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

fn write_sdp(path: &Path, text: &str) -> Result<(), SendError> {
    if path != Path::new("-") {
        return Output::create(path)?.write(text.as_bytes());
    }
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| SendError::write(path, &error))
}

fn summary(truth: &Truth, ssrc: Ssrc, interrupted: bool, worst_late: Nanos) -> Summary {
    let in_packets = |frames: u64| frames / u64::from(truth.packet_frames);
    Summary {
        packets_sent: truth.packets,
        datagrams: truth.datagrams,
        packets_dropped: in_packets(truth.lost.frames().0),
        packets_paused: in_packets(truth.pauses.iter().map(|pause| pause.span.frames.0).sum()),
        frames: truth.frames.0,
        first_timestamp: truth.first.map(|sent| sent.timestamp),
        last_timestamp: truth.last.map(|sent| sent.timestamp),
        ssrc: truth.last.map_or(ssrc, |sent| sent.ssrc),
        seed: truth.seed,
        interrupted,
        worst_late_us: worst_late.0 / 1_000,
    }
}

fn tell(summary: &Summary, json: bool) -> Result<(), SendError> {
    let text = if json {
        serde_json::to_string(summary).expect("numbers and flags are JSON")
    } else {
        format!(
            "sent {} as {}, {} dropped, {} paused; {}; latest by {} µs",
            counted(summary.packets_sent, "packet"),
            counted(summary.datagrams, "datagram"),
            summary.packets_dropped,
            summary.packets_paused,
            counted(summary.frames, "frame"),
            summary.worst_late_us,
        )
    };
    writeln!(io::stdout(), "{text}").map_err(|error| SendError::write(Path::new("-"), &error))
}
