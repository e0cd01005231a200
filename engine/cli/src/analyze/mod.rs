//! `audyn analyze`: what a recorder would have made of a capture, and what its network did.
//!
//! Owns: the way from a file to a report. The file is read twice: once to see which streams it holds (`capture::survey`), once
//! to let each through the same receiver as live audio. Never: a figure of its own; they are `core::flow`'s.
//!
//! ```text
//! file ─ survey ─→ streams and legs ─ file again ─→ a receiver and statistics each (and one for both legs) ─→ report
//! ```

mod args;
mod pair;
mod receive;
mod report;
mod sink;
mod skew;
mod text;

use std::io::Write;
use std::path::{Path, PathBuf};

use audyn_media::MediaError;
use audyn_wire::sdp::{Media, Session};

pub(crate) use args::{AnalyzeArgs, Choice, choice};

use crate::capture::shape::Told;
use crate::capture::{CaptureError, Survey, leap, survey};
use crate::words::counted;
use receive::Merger;
use report::TaiOffset;
use sink::Output;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnalyzeError {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error("cannot make the directory {path}: {reason}; give a place that is writable")]
    Directory { path: PathBuf, reason: String },
    #[error("the report cannot be printed: {0}; see what standard output leads to")]
    Print(std::io::Error),
}

impl AnalyzeError {
    /// 2 for what a correct call avoids, 1 for what happens while running.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Capture(_) | Self::Media(_) | Self::Directory { .. } | Self::Print(_) => 1,
        }
    }
}

/// Reads the capture and prints what is in it.
pub(crate) fn run(args: &AnalyzeArgs, json: bool) -> Result<(), AnalyzeError> {
    let sessions = args.sdp.iter().map(|path| session(path)).collect::<Result<Vec<_>, _>>()?;
    let media: Vec<Media> = sessions.iter().flat_map(|session| session.media.clone()).collect();
    let told =
        Told { encoding: args.encoding, channels: args.channels, rate: args.rate, payload_type: args.pt };
    let mut survey = survey(&args.file, told, &media)?;
    let pair::Pairs { joined, remarks } = pair::pairs(&survey, &sessions);
    let chosen = |flow: usize| {
        let to = survey.shapes.shapes[survey.flows[flow].shape].way.destination;
        args.flow.is_none_or(|choice| choice.is(flow + 1, to))
    };
    // With one leg comes the other: what merging gives is half of the question.
    let joined: Vec<Merger> =
        joined.into_iter().filter(|one| one.flows.iter().any(|leg| chosen(*leg))).collect();
    let wanted: Vec<usize> = (0..survey.flows.len())
        .filter(|flow| chosen(*flow) || joined.iter().any(|one| one.flows.contains(flow)))
        .collect();
    if wanted.is_empty() {
        return Err(AnalyzeError::Usage(nothing(args, &survey)));
    }
    let remarks: Vec<String> = remarks
        .into_iter()
        .filter(|remark| remark.flows.iter().any(|flow| wanted.contains(flow)))
        .map(|remark| remark.sentence)
        .collect();
    // A stream keeps the number that the whole list gives it.
    let numbers: Vec<usize> = wanted.iter().map(|flow| flow + 1).collect();
    let place = |flow: &usize| wanted.iter().position(|at| at == flow).expect("both legs are wanted");
    let joined: Vec<Merger> = joined
        .into_iter()
        .map(|one| Merger { flows: one.flows.iter().map(place).collect(), by: one.by })
        .collect();
    let mut at = 0..;
    survey.flows.retain(|_| at.next().is_some_and(|at| wanted.contains(&at)));

    let output = args.output.as_deref().map(|path| Output::at(path, &survey, &joined)).transpose()?;
    let tai = match args.tai_offset {
        Some(seconds) => TaiOffset { seconds, by: "option" },
        None => TaiOffset { seconds: survey.about.first.map_or(37, leap::tai_minus_utc), by: "leap-seconds" },
    };
    let received = receive::receive(&args.file, &survey, joined, output.as_ref(), tai.seconds, args.skew)?;
    let mut report = report::report(&args.file, &survey, &numbers, &received, tai);
    report.remarks.extend(remarks);
    let text = if json {
        serde_json::to_string(&report).expect("numbers and words are JSON") + "\n"
    } else {
        text::describe(&report)
    };
    std::io::stdout().write_all(text.as_bytes()).map_err(AnalyzeError::Print)
}

fn session(path: &Path) -> Result<Session, AnalyzeError> {
    let text = std::fs::read(path).map_err(|error| {
        AnalyzeError::Usage(format!("cannot read {}: {error}; give the sender's SDP file", path.display()))
    })?;
    Session::parse(text).map_err(|error| AnalyzeError::Usage(format!("{}: {error}", path.display())))
}

/// Why there is no stream to tell of.
fn nothing(args: &AnalyzeArgs, survey: &Survey) -> String {
    let file = args.file.display();
    if let Some(choice) = args.flow {
        return match choice {
            Choice::Number(number) => format!(
                "{file} has no stream {number}; without --flow, all {} are listed",
                survey.flows.len()
            ),
            Choice::Address(address, _) => {
                format!(
                    "{file} has no audio stream to {address} at that port; without --flow, all are listed"
                )
            }
        };
    }
    let refused = survey
        .refused
        .iter()
        .map(|(at, reason)| format!("RTP to {}, but {reason}", survey.shapes.shapes[*at].way.destination));
    let refused: Vec<String> = refused.collect();
    if refused.is_empty() {
        return format!(
            "{file} has no RTP audio stream among {}; see that the capture was taken where the audio passes",
            counted(survey.about.packets, "packet")
        );
    }
    format!("{file} has {}", refused.join("; and "))
}
