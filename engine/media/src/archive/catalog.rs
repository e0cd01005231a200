//! Which recordings an archive has, by recorder, studio and time.
//!
//! Owns: the question to all recorders of an archive, and that an index which cannot be right is not believed. Never: waits for an
//! engine; what it writes is only the index of a recorder that no engine keeps at that moment.
//!
//! What is sealed comes from each recorder's index (`index`), what is not from its list of files that are written or wait to be
//! sealed (`.audyn/open.json`), their ledgers and headers.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use audyn_units::FrameIndex;
use serde::Serialize;

use super::{Segment, index};
use crate::beneath::FileType;
use crate::chain::{self, HOUSE};
use crate::{Beneath, MediaError};

/// One end of the time that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// An instant: nanoseconds of UTC since 1970.
    Utc(i64),
    /// A position.
    Frame(FrameIndex),
}

/// What is asked for. What is none is anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The recorder's identifier.
    pub recorder: Option<String>,
    /// The studio that it was assigned to.
    pub studio: Option<String>,
    /// Only what ends behind this.
    pub from: Option<When>,
    /// Only what begins before this.
    pub to: Option<When>,
}

/// How a recording stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It has a sidecar.
    Sealed,
    /// It is being written, or waits to be sealed.
    Unsealed,
    /// The index tells of it, and it is gone.
    Missing,
}

/// A recording that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// The recorder's directory.
    pub directory: PathBuf,
    /// How it stands.
    pub state: State,
    /// What is known of it.
    #[serde(flatten)]
    pub segment: Segment,
}

/// A recording that can never be sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unsealable {
    /// The recorder's directory.
    pub directory: PathBuf,
    /// [`State::Unsealed`].
    pub state: State,
    /// Its path below that.
    pub file: String,
    /// Why.
    pub why: String,
}

/// The recorders of an archive.
#[derive(Debug)]
pub struct Catalog {
    recorders: Vec<Beneath>,
}

impl Wanted {
    fn is_of(&self, recorder: &str, studio: Option<&str>) -> bool {
        self.recorder.as_deref().is_none_or(|wanted| wanted == recorder)
            && self.studio.as_deref().is_none_or(|wanted| Some(wanted) == studio)
    }

    fn meets(&self, (start, start_utc): (FrameIndex, i64), (end, end_utc): (FrameIndex, i64)) -> bool {
        let from = match self.from {
            None => true,
            Some(When::Utc(from)) => end_utc > from,
            Some(When::Frame(from)) => end > from,
        };
        from && match self.to {
            None => true,
            Some(When::Utc(to)) => start_utc < to,
            Some(When::Frame(to)) => start < to,
        }
    }

    /// Whether a recording is wanted.
    #[must_use]
    pub fn takes(&self, segment: &Segment) -> bool {
        self.is_of(&segment.recorder, segment.studio.as_deref())
            && self.meets((segment.start, segment.start_utc), (segment.end(), segment.end_utc))
    }
}

impl Catalog {
    /// The recorders at or directly below `root`: those that have a chain.
    ///
    /// # Errors
    /// [`MediaError::Chain`] if the directory cannot be read.
    pub fn open(root: &Path) -> Result<Self, MediaError> {
        let found = || -> io::Result<Vec<Beneath>> {
            let root = Beneath::root(root)?;
            let mut recorders = Vec::new();
            if has_chain(&root)? {
                recorders.push(root.try_clone()?);
            }
            for (name, kind) in root.entries()? {
                if kind == FileType::Directory && !name.as_encoded_bytes().starts_with(b".") {
                    let below = || {
                        let below = root.try_clone()?.open(Path::new(&name))?;
                        Ok(has_chain(&below)?.then_some(below))
                    };
                    match below() {
                        Ok(recorder) => recorders.extend(recorder),
                        // Somebody else's (`lost+found` is root's), or it has gone meanwhile.
                        Err(error) if is_elsewhere(&error) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            Ok(recorders)
        };
        let recorders = found().map_err(|source| MediaError::Chain { path: root.to_owned(), source })?;
        Ok(Self { recorders })
    }

    /// Their directories.
    pub fn directories(&self) -> impl Iterator<Item = &Beneath> {
        self.recorders.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.recorders.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.recorders.is_empty()
    }

    /// What can never be sealed, in the order of the directories. When it was recorded, its files do not tell, so that no time leaves it out.
    ///
    /// # Errors
    /// [`MediaError::Chain`] if a recorder's directory cannot be read.
    pub fn unsealable(&self) -> Result<Vec<Unsealable>, MediaError> {
        let mut all = Vec::new();
        for recorder in &self.recorders {
            let told = chain::unsealable(recorder)
                .map_err(|source| MediaError::Chain { path: recorder.path().to_owned(), source })?;
            let of = |(file, why)| Unsealable {
                directory: recorder.path().to_owned(),
                state: State::Unsealed,
                file,
                why,
            };
            all.extend(told.into_iter().map(of));
        }
        Ok(all)
    }

    /// What is wanted, by its start; files of one start by recorder and kind.
    ///
    /// # Errors
    /// [`MediaError::Chain`] if a recorder's directory cannot be read.
    pub fn find(&self, wanted: &Wanted) -> Result<Vec<Hit>, MediaError> {
        let mut hits = Vec::new();
        for recorder in &self.recorders {
            find_in(recorder, wanted, &mut hits)
                .map_err(|source| MediaError::Chain { path: recorder.path().to_owned(), source })?;
        }
        hits.sort_by(|a, b| key(a).cmp(&key(b)));
        Ok(hits)
    }
}

/// What is wanted and there of the recorder that records into a directory; nothing where none ever did.
///
/// # Errors
/// [`MediaError::Chain`] if the directory cannot be read.
pub fn of_recorder(recorder: &Beneath, wanted: &Wanted) -> Result<Vec<Segment>, MediaError> {
    let failed = |source| MediaError::Chain { path: recorder.path().to_owned(), source };
    let mut hits = Vec::new();
    if has_chain(recorder).map_err(failed)? {
        find_in(recorder, wanted, &mut hits).map_err(failed)?;
    }
    hits.sort_by(|a, b| key(a).cmp(&key(b)));
    Ok(hits.into_iter().filter(|hit| hit.state != State::Missing).map(|hit| hit.segment).collect())
}

/// What a recorder's chain tells of, whether the files are there or not; the newest first.
pub(super) fn sealed_of(recorder: &Beneath) -> io::Result<Vec<Segment>> {
    let mut hits = Vec::new();
    if has_chain(recorder)? {
        find_in(recorder, &Wanted::default(), &mut hits)?;
    }
    hits.retain(|hit| hit.state != State::Unsealed);
    hits.sort_by(|a, b| key(b).cmp(&key(a)));
    Ok(hits.into_iter().map(|hit| hit.segment).collect())
}

fn key(hit: &Hit) -> (i64, &str, super::Kind, &str) {
    (hit.segment.start_utc, &hit.segment.recorder, hit.segment.kind, &hit.segment.file)
}

/// Whether a directory is not to be entered, or is not there.
fn is_elsewhere(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound)
}

fn has_chain(directory: &Beneath) -> io::Result<bool> {
    Ok(directory.kind_of(OsStr::new(HOUSE))? == Some(FileType::Directory))
}

/// What is wanted of one recorder.
fn find_in(recorder: &Beneath, wanted: &Wanted, hits: &mut Vec<Hit>) -> io::Result<()> {
    let before = hits.len();
    let hit = |segment: Segment, state| Hit { directory: recorder.path().to_owned(), state, segment };
    // Before the index: what is sealed meanwhile is then in both, and not in neither.
    let open = chain::open_files(recorder)?;
    let sealed = match indexed(recorder, wanted)? {
        Some(segments) => segments,
        None => {
            let segments = chain::reindex(recorder)?;
            segments.into_iter().filter(|segment| wanted.takes(segment)).collect()
        }
    };
    let mut there = There { recorder, last: None };
    for segment in sealed {
        let there = there.is(Path::new(&segment.file))?;
        hits.push(hit(segment, if there { State::Sealed } else { State::Missing }));
    }
    let open = match open {
        Some(open) => open,
        None => chain::unsealed(recorder, || true)?,
    };
    for file in open {
        if hits[before..].iter().any(|hit| hit.segment.file == file) {
            continue;
        }
        // Gone, sealed by now and outside the time, or without a ledger that says where it belongs.
        if there.is(Path::new(&chain::sidecar_of(OsStr::new(&file))))? {
            continue;
        }
        if let Ok(segment) = Segment::of_unsealed(recorder, &file)
            && wanted.takes(&segment)
        {
            hits.push(hit(segment, State::Unsealed));
        }
    }
    Ok(())
}

/// What is wanted, by the index; none if it is not that of the chain as it is.
fn indexed(recorder: &Beneath, wanted: &Wanted) -> io::Result<Option<Vec<Segment>>> {
    let house = recorder.try_clone()?.open(Path::new(HOUSE))?;
    // The head first: an engine that runs adds to the index before.
    let Some(head) = chain::head_of(recorder)? else { return Ok(None) };
    let Some(bytes) = index::load(&house)? else { return Ok(None) };
    let (mut found, mut buried) = (Vec::new(), Vec::new());
    // It may have grown since the head was read, and holds the head's entry then as well.
    let mut current = head.0 == 0;
    let whole = index::rows(&bytes, |row| {
        current |= (row.entry, row.hash) == head;
        buried.extend(row.buries);
        if let Some(recorded) = &row.recorded
            && wanted.is_of(recorded.recorder(), recorded.studio())
            && wanted.meets((recorded.start, recorded.start_utc), (recorded.end(), recorded.end_utc))
        {
            found.push(recorded.segment(row.entry));
        }
    });
    if !whole || !current {
        return Ok(None);
    }
    buried.sort_unstable();
    found.retain(|segment| buried.binary_search(&segment.entry).is_err());
    Ok(Some(found))
}

/// Whether files are there, many of them in the same directory.
struct There<'a> {
    recorder: &'a Beneath,
    /// The directory that was looked into last; none if it is not there.
    last: Option<(PathBuf, Option<Beneath>)>,
}

impl There<'_> {
    fn is(&mut self, file: &Path) -> io::Result<bool> {
        let parent = file.parent().unwrap_or(Path::new(""));
        if self.last.as_ref().is_none_or(|(path, _)| path != parent) {
            let directory = match self.recorder.try_clone()?.open(parent) {
                Ok(directory) => Some(directory),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            self.last = Some((parent.to_owned(), directory));
        }
        match &self.last {
            Some((_, Some(directory))) => {
                Ok(directory.kind_of(file.file_name().unwrap_or_default())?.is_some())
            }
            _ => Ok(false),
        }
    }
}
