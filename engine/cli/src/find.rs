//! `audyn find`: which recordings an archive has, by recorder, studio and time.
//!
//! Owns: the options and the words. Never: the finding, which is media's.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use audyn_media::MediaError;
use audyn_media::archive::{Catalog, Hit, Segment, State, Wanted};
use audyn_media::chain::HOUSE;
use serde::Serialize;

use crate::instant::{self, Instant};
use crate::words::{counted, joined};

const EXAMPLES: &str = "\
Examples:
  audyn find --archive-root /srv/audio                                         everything, oldest first
  audyn find --archive-root /srv/audio --recorder studio-1 --from 13:00 --to 14:00
  audyn find --archive-root /srv/audio --studio news --from 2026-07-02 --to 2026-07-03 --json

Exit codes: 0 found, also if it is nothing; 1 it went wrong while running, 2 it was asked for wrongly.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{}\n\n{EXAMPLES}", instant::FORMS))]
pub(crate) struct FindArgs {
    /// The archive's root, or one recorder's directory.
    #[arg(long, value_name = "DIR")]
    archive_root: PathBuf,
    /// Only of this recorder.
    #[arg(long, value_name = "ID")]
    recorder: Option<String>,
    /// Only what began while its recorder was assigned to this studio.
    #[arg(long, value_name = "ID")]
    studio: Option<String>,
    /// Only what ends after this.
    #[arg(long, value_name = "TIME", value_parser = instant::instant)]
    from: Option<Instant>,
    /// Only what begins before this.
    #[arg(long, value_name = "TIME", value_parser = instant::instant)]
    to: Option<Instant>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum FindError {
    #[error(
        "no recorder has recorded below {}: neither it nor a directory in it has {HOUSE}; give an archive's root or a recorder's directory",
        .0.display()
    )]
    NoRecorder(PathBuf),
    #[error("nothing was recorded {of}then; audyn find --archive-root {} tells what there is", .root.display())]
    Nothing { of: String, root: PathBuf },
    #[error("these recorders have recorded then: {0}; say which one with --recorder")]
    Which(String),
    #[error(
        "{recorder} has recorded into several directories: {directories}; give one of them as --archive-root"
    )]
    Directories { recorder: String, directories: String },
    #[error(transparent)]
    Media(#[from] MediaError),
}

impl FindError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Media(_) => 1,
            _ => 2,
        }
    }
}

/// A line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    /// Where the file lies.
    path: PathBuf,
    /// Its first frame's instant, and that of the frame after its last one.
    start: String,
    end: String,
    #[serde(flatten)]
    hit: &'a Hit,
}

/// Opens the archive that an option names.
pub(crate) fn catalog(root: &Path) -> Result<Catalog, FindError> {
    let catalog = Catalog::open(root)?;
    if catalog.is_empty() {
        return Err(FindError::NoRecorder(root.to_owned()));
    }
    Ok(catalog)
}

/// What is there of all that is wanted, if it is of one recorder in one directory.
pub(crate) fn one_recorder(root: &Path, wanted: &Wanted) -> Result<(PathBuf, Vec<Segment>), FindError> {
    let hits = catalog(root)?.find(wanted)?;
    let there: Vec<Hit> = hits.into_iter().filter(|hit| hit.state != State::Missing).collect();
    let distinct = |of: &dyn Fn(&Hit) -> String| {
        let mut all: Vec<String> = there.iter().map(of).collect();
        all.sort();
        all.dedup();
        all
    };
    let recorders = distinct(&|hit| hit.segment.recorder.clone());
    let directories = distinct(&|hit| hit.directory.display().to_string());
    match (recorders.as_slice(), directories.as_slice()) {
        ([], _) | (_, []) => {
            let of = wanted.recorder.as_ref().map(|id| format!("by {id} ")).unwrap_or_default();
            Err(FindError::Nothing { of, root: root.to_owned() })
        }
        ([_], [_]) => {
            let directory = there.first().map(|hit| hit.directory.clone()).unwrap_or_default();
            Ok((directory, there.into_iter().map(|hit| hit.segment).collect()))
        }
        ([recorder], several) => {
            Err(FindError::Directories { recorder: recorder.clone(), directories: joined(several, "and") })
        }
        (several, _) => Err(FindError::Which(joined(several, "and"))),
    }
}

/// Finds, and tells.
pub(crate) fn run(args: &FindArgs, json: bool) -> Result<(), FindError> {
    let now = instant::now();
    let wanted = Wanted {
        recorder: args.recorder.clone(),
        studio: args.studio.clone(),
        from: args.from.as_ref().map(|from| from.when(&now)),
        to: args.to.as_ref().map(|to| to.when(&now)),
    };
    let hits = catalog(&args.archive_root)?.find(&wanted)?;
    let mut out = std::io::BufWriter::new(std::io::stdout());
    for hit in &hits {
        let told = if json { line(hit) } else { told(hit) };
        if writeln!(out, "{told}").is_err() {
            return Ok(()); // whoever read there has gone
        }
    }
    if !json {
        let _ = writeln!(out, "{}", counted(hits.len() as u64, "recording"));
    }
    let _ = out.flush();
    Ok(())
}

fn utc(nanos: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(nanos)).map(|utc| utc.to_string()).unwrap_or_default()
}

fn line(hit: &Hit) -> String {
    let line = Line {
        path: hit.directory.join(&hit.segment.file),
        start: utc(hit.segment.start_utc),
        end: utc(hit.segment.end_utc),
        hit,
    };
    serde_json::to_string(&line).expect("its fields are plain")
}

fn told(hit: &Hit) -> String {
    let segment = &hit.segment;
    let seconds = segment.rate.duration(segment.frames).as_secs_f64();
    let state = match hit.state {
        State::Sealed => String::new(),
        State::Unsealed => ", not sealed yet".to_owned(),
        State::Missing => ", gone".to_owned(),
    };
    let gaps = match segment.gaps {
        0 => String::new(),
        n => format!(", {} of {}", counted(n, "gap"), segment.filled),
    };
    let studio = segment.studio.as_ref().map(|studio| format!(" ({studio})")).unwrap_or_default();
    format!(
        "{}  {seconds:>9.3} s  {}{studio}  {}{gaps}{state}",
        utc(segment.start_utc),
        segment.recorder,
        hit.directory.join(&segment.file).display()
    )
}
