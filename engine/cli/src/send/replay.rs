//! A capture's stream, sent again: the same datagrams, as far apart as they were captured.
//!
//! Owns: which stream, and its pace. Never: a byte of a packet changed; sequence, timestamps and source are the original's, so a
//! receiver that heard the original takes this for a sender which began anew.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use audyn_units::{Nanos, RtpTime};
use audyn_wire::sdp::Description;
use serde::Serialize;

use super::args::SendArgs;
use super::error::SendError;
use super::pace::sleep_until;
use super::socket::Line;
use super::{LEAD, media_clock, nanos_since_epoch, write_sdp};
use crate::capture::shape::{Told, Way};
use crate::capture::{Layers, Survey, read, survey, take_apart};
use crate::stop::Stop;
use crate::words::counted;

/// What is told at the end.
#[derive(Debug, Serialize)]
struct Summary {
    /// Datagrams that left.
    datagrams: u64,
    /// Datagrams that were not sent, since the capture holds only their beginning.
    cut: u64,
    /// Whether a signal ended it.
    interrupted: bool,
    /// How far behind its time the latest datagram left.
    worst_late_us: u128,
}

pub(super) fn run(args: &SendArgs, capture: &Path, json: bool) -> Result<(), SendError> {
    let told = Told { encoding: args.encoding, channels: args.channels, rate: args.rate, payload_type: None };
    let survey = survey(capture, told, &[])?;
    let found = &survey.flows[choose(args, capture, &survey)?];
    let shape = &survey.shapes.shapes[found.shape];
    let format = found.form.format;
    let destination = SocketAddr::new(args.destination, args.port);
    let line = Line::open(destination, args.interface.as_deref(), args.ttl, args.dscp)?;
    let stop = Stop::on_signals()?;

    let start = Instant::now() + LEAD;
    let start_utc = SystemTime::now() + LEAD;
    let media_clock = media_clock(format.rate, start_utc, args.tai_offset);
    let (first_at, timestamp) = shape.first_timestamp().unwrap_or((shape.first_at, RtpTime(0)));
    if let Some(path) = &args.sdp_out {
        let description = Description {
            name: args.name.clone().unwrap_or_else(|| name_of(capture)),
            session_id: nanos_since_epoch(start_utc) as u64,
            version: 0,
            origin: line.local_address(),
            address: destination.ip(),
            port: destination.port(),
            ttl: args.ttl,
            payload_type: format.payload_type,
            encoding: format.encoding,
            rate: format.rate,
            channels: format.channels,
            packet_frames: found.form.packet_frames,
            media_clock_offset: timestamp.0.wrapping_sub(media_clock.0),
            ref_clock: "local".into(),
            source_specific: false,
        };
        write_sdp(path, &description.to_sdp())?;
    }
    eprintln!(
        "audyn: sends the stream to {} of {} again, {} {} with {}, to {destination} from {}; Ctrl-C ends it",
        shape.way.destination,
        capture.display(),
        format.encoding,
        format.rate,
        counted(format.channels.get() as u64, "channel"),
        line.local_address(),
    );

    let length = args.duration.unwrap_or(Nanos(i64::MAX));
    let most = args.packets.unwrap_or(u64::MAX);
    let mut summary = Summary { datagrams: 0, cut: 0, interrupted: false, worst_late_us: 0 };
    let mut failed = None;
    read(capture, |frame| {
        let Layers::Udp(datagram) = take_apart(&frame) else { return ControlFlow::Continue(()) };
        if Way::of(&datagram) != shape.way {
            return ControlFlow::Continue(());
        }
        let after = datagram.at - first_at;
        if after >= length.0 || summary.datagrams >= most {
            return ControlFlow::Break(());
        }
        if datagram.payload.len() < datagram.length {
            summary.cut += 1;
            return ControlFlow::Continue(());
        }
        let due = start + Duration::from_nanos(u64::try_from(after).unwrap_or(0));
        if !sleep_until(due, &stop) {
            summary.interrupted = true;
            return ControlFlow::Break(());
        }
        let late = Instant::now().saturating_duration_since(due).as_micros();
        summary.worst_late_us = summary.worst_late_us.max(late);
        match line.send(datagram.payload) {
            Ok(()) => summary.datagrams += 1,
            Err(error) => {
                failed = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    match failed {
        Some(error) => Err(error),
        None => tell(&summary, json),
    }
}

/// The stream that is meant.
fn choose(args: &SendArgs, capture: &Path, survey: &Survey) -> Result<usize, SendError> {
    let to = |flow: usize| survey.shapes.shapes[survey.flows[flow].shape].way.destination;
    let fits = |flow: &usize| args.flow.is_none_or(|choice| choice.is(flow + 1, to(*flow)));
    let meant: Vec<usize> = (0..survey.flows.len()).filter(fits).collect();
    let file = capture.display();
    match meant.as_slice() {
        [one] => Ok(*one),
        [] if survey.flows.is_empty() => Err(SendError::Usage(format!(
            "{file} has no RTP audio stream; audyn analyze tells what is in it"
        ))),
        [] => {
            Err(SendError::Usage(format!("{file} has no such stream; audyn analyze lists those that it has")))
        }
        several => {
            let list = several.iter().map(|flow| format!("{} to {}", flow + 1, to(*flow)));
            Err(SendError::Usage(format!(
                "{file} has several streams: {}; choose one by --flow",
                list.collect::<Vec<_>>().join(", ")
            )))
        }
    }
}

fn name_of(capture: &Path) -> String {
    capture.file_stem().unwrap_or(capture.as_os_str()).to_string_lossy().into_owned()
}

fn tell(summary: &Summary, json: bool) -> Result<(), SendError> {
    let text = if json {
        serde_json::to_string(summary).expect("numbers and flags are JSON")
    } else {
        format!(
            "sent {}, {} left out since the capture cut them; latest by {} µs",
            counted(summary.datagrams, "datagram"),
            summary.cut,
            summary.worst_late_us
        )
    };
    writeln!(io::stdout(), "{text}").map_err(|error| SendError::write(Path::new("-"), &error))
}
