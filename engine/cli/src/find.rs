//! `audyn find`: which recordings an archive has, by recorder, studio and time.
//!
//! Owns: the options and the words. Never: the finding, which is media's.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use audyn_media::MediaError;
use audyn_media::archive::{Catalog, Hit, Segment, State, Unsealable, Wanted};
use audyn_media::chain::HOUSE;
use audyn_units::FrameCount;
use serde::Serialize;

use crate::both::{FromMirror, from_mirror};
use crate::instant::{self, Instant};
use crate::words::{counted, joined};

const EXAMPLES: &str = "\
Examples:
  audyn find --archive-root /srv/audio                                         everything, oldest first
  audyn find --archive-root /srv/audio --recorder studio-1 --from 13:00 --to 14:00
  audyn find --archive-root /srv/audio --studio news --from 2026-07-02 --to 2026-07-03 --json
  audyn find --archive-root /srv/audio --mirror /srv/mirror --from 13:00       also what only the mirror has

Exit codes: 0 found, also if it is nothing; 1 it went wrong while running, 2 it was asked for wrongly.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{}\n\n{EXAMPLES}", instant::FORMS))]
pub(crate) struct FindArgs {
    /// The archive's root, or one recorder's directory.
    #[arg(long, value_name = "DIR")]
    archive_root: PathBuf,
    /// The archive's mirror, as audyn-engine has it: what it has that the archive lacks is found, too.
    #[arg(long, value_name = "DIR")]
    mirror: Option<PathBuf>,
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
    #[error("--mirror: {} is the archive itself; give the directory of its mirror, or leave it out", .0.display())]
    Itself(PathBuf),
    #[error(
        "--mirror: {} has other recordings than the archive of the same frames, and none that is the same to the byte: it is another \
         archive's, and nothing of it is taken; give the archive's own mirror, or leave it out",
        .0.display()
    )]
    Stranger(PathBuf),
    #[error(
        "--mirror: no sealed recording of {} is the same to the byte in the archive, so nothing tells whether it is its mirror, and nothing \
         of it is taken; give it as --archive-root to read it by itself",
        .0.display()
    )]
    Unproven(PathBuf),
    #[error(
        "--mirror: nothing in {} is of {recorder}, so nothing tells whether {} belongs to it; give that as --archive-root to read it by itself",
        .which.display(), .other.display()
    )]
    Lonely { recorder: String, which: PathBuf, other: PathBuf },
    #[error(
        "of {} and {} one is a root and the other a recorder's directory; give --archive-root and --mirror two of a kind",
        .root.display(), .mirror.display()
    )]
    Levels { root: PathBuf, mirror: PathBuf },
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
    /// `mirror` for what the archive lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    volume: Option<&'static str>,
    /// Frames of it that the archive lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    lacked: Option<FrameCount>,
}

/// A line of `--json` for what can never be sealed.
#[derive(Serialize)]
struct NeverLine<'a> {
    /// Where the file lies.
    path: PathBuf,
    #[serde(flatten)]
    never: &'a Unsealable,
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
    let catalog = catalog(&args.archive_root)?;
    let hits = catalog.find(&wanted)?;
    let mirrored = match &args.mirror {
        Some(mirror) => from_mirror(&catalog, &args.archive_root, mirror, &wanted)?,
        None => FromMirror::default(),
    };
    for why in &mirrored.left_out {
        eprintln!("audyn: {why}");
    }
    let unsealable = unsealable(&catalog, &wanted, &hits)?;
    let mut all: Vec<(&Hit, Option<FrameCount>)> = hits.iter().map(|hit| (hit, None)).collect();
    all.extend(mirrored.hits.iter().map(|(hit, lacked)| (hit, Some(*lacked))));
    // Stable: without a mirror it is the order in which they were found.
    all.sort_by_key(|(hit, _)| hit.segment.start_utc);
    let mut out = std::io::BufWriter::new(std::io::stdout());
    let hits_told =
        all.iter().map(|(hit, lacked)| if json { line(hit, *lacked) } else { told(hit, *lacked) });
    let never_told =
        unsealable.iter().map(|never| if json { never_line(never) } else { never_sealed(never) });
    for told in hits_told.chain(never_told) {
        if writeln!(out, "{told}").is_err() {
            return Ok(()); // whoever read there has gone
        }
    }
    if !json {
        let _ = writeln!(out, "{}", counted((all.len() + unsealable.len()) as u64, "recording"));
    }
    let _ = out.flush();
    Ok(())
}

/// What can never be sealed of what is wanted. Neither its time nor its studio is known, and of its recorder only the directory.
fn unsealable(catalog: &Catalog, wanted: &Wanted, hits: &[Hit]) -> Result<Vec<Unsealable>, MediaError> {
    let mut all = catalog.unsealable()?;
    all.retain(|never| {
        let is_hit = |hit: &Hit| hit.directory == never.directory && hit.segment.file == never.file;
        let named = never.directory.file_name().and_then(|name| name.to_str());
        wanted.recorder.as_deref().is_none_or(|recorder| named == Some(recorder)) && !hits.iter().any(is_hit)
    });
    Ok(all)
}

fn never_line(never: &Unsealable) -> String {
    let line = NeverLine { path: never.directory.join(&never.file), never };
    serde_json::to_string(&line).expect("its fields are plain")
}

fn never_sealed(never: &Unsealable) -> String {
    format!(
        "{}, never sealed: {}; audyn repair tells more",
        never.directory.join(&never.file).display(),
        never.why
    )
}

fn utc(nanos: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(nanos)).map(|utc| utc.to_string()).unwrap_or_default()
}

fn line(hit: &Hit, lacked: Option<FrameCount>) -> String {
    let line = Line {
        path: hit.directory.join(&hit.segment.file),
        start: utc(hit.segment.start_utc),
        end: utc(hit.segment.end_utc),
        hit,
        volume: lacked.map(|_| "mirror"),
        lacked,
    };
    serde_json::to_string(&line).expect("its fields are plain")
}

fn told(hit: &Hit, lacked: Option<FrameCount>) -> String {
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
    let mirror =
        lacked.map(|frames| format!(", on the mirror: the archive lacks {frames}")).unwrap_or_default();
    format!(
        "{}  {seconds:>9.3} s  {}{studio}  {}{gaps}{state}{mirror}",
        utc(segment.start_utc),
        segment.recorder,
        hit.directory.join(&segment.file).display()
    )
}

#[cfg(test)]
mod tests {
    use audyn_media::Beneath;
    use audyn_media::chain::tell_unsealable;

    use super::*;

    #[test]
    fn what_can_never_be_sealed_is_found_with_the_reason_until_it_is_gone_or_sealed() {
        let root = tempfile::tempdir().unwrap();
        for recorder in ["one", "two"] {
            let directory = root.path().join(recorder);
            std::fs::create_dir_all(directory.join("day")).unwrap();
            for file in ["day/a.wav", "day/b.wav", "day/c.wav"] {
                std::fs::write(directory.join(file), "audio").unwrap();
                let why = format!("the ledger of {file} contradicts itself");
                tell_unsealable(&Beneath::root(&directory).unwrap(), file, &why).unwrap();
            }
            std::fs::remove_file(directory.join("day/b.wav")).unwrap();
            std::fs::write(directory.join("day/c.wav.json"), "{}").unwrap();
        }
        let catalog = catalog(root.path()).unwrap();
        let found = |recorder: Option<&str>| {
            let wanted = Wanted { recorder: recorder.map(str::to_owned), ..Wanted::default() };
            unsealable(&catalog, &wanted, &[]).unwrap()
        };
        assert_eq!(found(None).len(), 2);
        let [never] = &found(Some("two"))[..] else { panic!("one of one recorder") };
        let path = root.path().join("two/day/a.wav");
        let sentence = format!(
            "{}, never sealed: the ledger of day/a.wav contradicts itself; audyn repair tells more",
            path.display()
        );
        assert_eq!(never_sealed(never), sentence);
        let line: serde_json::Value = serde_json::from_str(&never_line(never)).unwrap();
        assert_eq!((line["path"].as_str(), line["state"].as_str()), (path.to_str(), Some("unsealed")));
    }
}
