//! `audyn peaks`: makes what a recording is drawn from, where it is missing.
//!
//! Owns: the options and the words. Never: a peak; that is media's.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use audyn_media::peaks::{Peaks, make, peaks_of};
use audyn_media::{Beneath, MediaError};
use audyn_units::FrameCount;
use serde::Serialize;

use crate::stop::{SignalError, Stop};
use crate::values;

const EXAMPLES: &str = "\
Examples:
  audyn peaks /srv/audio/studio-1/*.wav                   makes NAME.wav.peaks of those that have none
  audyn peaks show.wav --points 1000 --json               its waveform: least and greatest sample of each channel, point by point

Exit codes: 0 done, 1 it went wrong while running, 2 it was asked for wrongly.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PeaksArgs {
    /// Recordings: WAV, FLAC or Opus files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Make them anew where they are already.
    #[arg(long)]
    again: bool,
    /// Tell the whole of each file in so many points.
    #[arg(long, value_name = "N", value_parser = values::within("number of points", 1..=100_000u32))]
    points: Option<u32>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum PeaksError {
    #[error("cannot read {}: {source}; give recordings that are there", .path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error("{0}")]
    Signals(#[from] SignalError),
}

impl PeaksError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::File { .. } | Self::Media(MediaError::Spec { .. }) => 2,
            Self::Media(_) | Self::Signals(_) => 1,
        }
    }
}

/// A line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a Path,
    /// They were made now.
    made: bool,
    rate: u32,
    channels: usize,
    /// Frames that they reach over.
    frames: FrameCount,
    /// For each point and channel [least, greatest], of 16 bits; null where there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    points: Option<Vec<Vec<Option<[i16; 2]>>>>,
}

/// Makes what is missing, and tells.
pub(crate) fn run(args: &PeaksArgs, json: bool) -> Result<(), PeaksError> {
    let stop = Stop::on_signals()?;
    for path in &args.files {
        let of = |source| PeaksError::File { path: path.clone(), source };
        let name = path.file_name().ok_or_else(|| of(std::io::ErrorKind::InvalidInput.into()))?;
        let directory = Beneath::root(path.parent().unwrap_or(Path::new(""))).map_err(of)?;
        let made = args.again || Peaks::open_in(&directory, name).is_err();
        if made {
            make(&directory, name, || !stop.is_set())?;
        }
        let peaks = Peaks::open_in(&directory, name).map_err(of)?;
        let frames = peaks.frames().map_err(of)?;
        let drawn = args.points.map(|points| peaks.waveform(FrameCount::ZERO, frames, points as usize));
        let drawn = drawn.transpose().map_err(of)?;
        let points = drawn.map(|drawn| {
            let value = |peak: &audyn_media::peaks::Peak| (!peak.is_none()).then_some([peak.min, peak.max]);
            drawn.points().map(|point| point.iter().map(value).collect()).collect()
        });
        let spec = peaks.spec();
        let line = Line { path, made, rate: spec.rate.hz(), channels: spec.channels.get(), frames, points };
        let told =
            if json { serde_json::to_string(&line).expect("its fields are plain") } else { told(&line) };
        if writeln!(std::io::stdout(), "{told}").is_err() {
            return Ok(()); // whoever read there has gone
        }
    }
    Ok(())
}

fn told(line: &Line<'_>) -> String {
    let peaks = line.path.with_file_name(peaks_of(line.path.file_name().unwrap_or_default()));
    let head = match line.made {
        true => format!("{} is made", peaks.display()),
        false => format!("{} is there already", peaks.display()),
    };
    let points = line.points.iter().flatten().map(|point| {
        let values = point.iter().map(|peak| match peak {
            Some([min, max]) => format!("{min} {max}"),
            None => "- -".to_owned(),
        });
        values.collect::<Vec<_>>().join("  ")
    });
    std::iter::once(head).chain(points).collect::<Vec<_>>().join("\n")
}
