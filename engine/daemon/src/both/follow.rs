//! The mirror follows the archive in what a person asks.
//!
//! Owns: which of its files that is, and the thread that asks its disk, which may hang: one at a time, and waited for [`PATIENCE`]. Never:
//! goes by a name alone. After a volume was away its files begin and end elsewhere than the other's, and what is the same has other names: a
//! file on the mirror follows that is of the recorder, the format and the rate and begins with the same frame, though one may lack its end,
//! or that holds nothing but frames of what was asked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SendError, channel};
use std::time::{Duration, Instant};

use audyn_api::{Beginning, Refusal, RefusalKind};
use audyn_media::archive::{Kind, Segment, Wanted, When, of_recorder};
use audyn_media::chain::{self, Sidecar, Tombstone};
use audyn_media::{Beneath, MediaError};
use audyn_units::{FrameIndex, SampleRate};

use super::{Deed, On};
use crate::chains::Chains;
use crate::delete::{self, find};

/// How long the mirror is waited for, for all that is asked at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// The second volume.
pub(crate) struct Mirror {
    pub(crate) chains: Chains,
    /// Why its disk is not asked, if it does not answer.
    pub(crate) stalled: Option<String>,
    pub(crate) follower: Follower,
    pub(crate) patience: Duration,
}

/// That one thread at most waits for the mirror's disk. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Follower(Arc<AtomicBool>);

/// The turn of one thread.
struct Turn(Follower);

impl Follower {
    fn turn(&self) -> Option<Turn> {
        (!self.0.swap(true, Ordering::AcqRel)).then(|| Turn(self.clone()))
    }

    #[cfg(test)]
    pub(super) fn waits(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// The recorder's directory below the root.
    below: PathBuf,
    kind: Kind,
    rate: SampleRate,
    start: FrameIndex,
    /// The frame after its last one.
    end: FrameIndex,
    /// It has a sidecar.
    sealed: bool,
}

/// What the mirror is to do.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// Its place in the request.
    pub(super) at: usize,
    pub(super) path: String,
    /// What the archive had of that name, each time.
    pub(super) known: Result<Vec<Known>, String>,
    /// It had gone from the archive before.
    pub(super) is_gone: bool,
}

/// Why the mirror has not followed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Not {
    /// Its disk was not asked, or has not answered.
    Away(String),
    /// It may another time.
    Yet(String),
    /// It never will.
    Ever(String),
}

impl Wish {
    pub(super) fn is_sealed(&self) -> bool {
        self.known.as_ref().is_ok_and(|known| !known.is_empty() && known.iter().all(|known| known.sealed))
    }
}

impl Known {
    fn of(segment: &Segment, below: &Path, sealed: bool) -> Self {
        let Segment { kind, rate, start, .. } = *segment;
        Self { below: below.to_owned(), kind, rate, start, end: segment.end(), sealed }
    }

    /// What was deleted; none if it was not sealed.
    pub(super) fn of_tombstone(tombstone: &Tombstone, below: &Path) -> Option<Self> {
        let sidecar: Sidecar = serde_json::from_str(tombstone.sidecar.as_deref()?).ok()?;
        Some(Self::of(&Segment::of_sidecar(&sidecar).ok()?, below, true))
    }

    /// Whether its first frame is this one.
    pub(super) fn begins_at(&self, beginning: Beginning) -> bool {
        (self.start, self.rate) == (beginning.position, beginning.rate)
    }

    /// Whether both are the same recording, though one may lack its end.
    fn begins_as(&self, other: &Self) -> bool {
        (&self.below, self.rate, self.start) == (&other.below, other.rate, other.start)
    }

    /// Whether a file holds no other frames.
    fn covers(&self, segment: &Segment) -> bool {
        segment.start < segment.end() && self.start <= segment.start && segment.end() <= self.end
    }
}

impl Mirror {
    /// Follows in all of it, or says in what not; what is yet waited for goes on.
    pub(super) fn follow(
        &self,
        wishes: Vec<Wish>,
        deed: Deed,
        on: Arc<On>,
    ) -> Vec<(Wish, Result<bool, Not>)> {
        let none = |wishes: Vec<Wish>, why: &str| {
            wishes.into_iter().map(|wish| (wish, Err(Not::Away(why.to_owned())))).collect()
        };
        if wishes.is_empty() {
            return Vec::new();
        }
        if let Some(why) = &self.stalled {
            return none(wishes, why);
        }
        let Some(turn) = self.follower.turn() else {
            return none(wishes, "its disk has not answered yet what it was asked before");
        };
        let (wishes, chains) = (Arc::new(wishes), self.chains.clone());
        let (tell, told) = channel();
        let asked = Arc::clone(&wishes);
        let thread = std::thread::Builder::new().name("audyn-follow".to_owned()).spawn(move || {
            let _turn = turn;
            for (at, wish) in asked.iter().enumerate() {
                // It is done though nobody is left to hear it.
                let told = tell.send((at, followed(&chains, wish, deed, &*on)));
                if let Err(SendError((_, Err(not)))) = told {
                    tracing::warn!(path = wish.path, ?not, "the mirror has not followed the archive");
                }
            }
        });
        let mut followed: Vec<Option<Result<bool, Not>>> = wishes.iter().map(|_| None).collect();
        let deadline = Instant::now() + self.patience;
        while thread.is_ok()
            && let Ok((at, one)) = told.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            followed[at] = Some(one);
        }
        let late = match thread {
            Ok(_) => format!("its disk has not answered within {} s, and goes on", self.patience.as_secs()),
            Err(error) => format!("this machine has no thread for it ({error})"),
        };
        let wishes = wishes.iter().map(Wish::clone);
        let followed = followed.into_iter().map(|one| one.unwrap_or_else(|| Err(Not::Away(late.clone()))));
        wishes.zip(followed).collect()
    }
}

/// Does it on the mirror; whether there was something to do it with.
fn followed(chains: &Chains, wish: &Wish, deed: Deed, on: &On) -> Result<bool, Not> {
    let root = chains.archive();
    let there = known_at(root, chains, &wish.path).map_err(Not::Away)?;
    let known = wish.known.as_ref().map_err(|why| Not::Yet(why.clone()))?;
    if known.is_empty() {
        let stays = "nothing tells whether what has its name there is the same, so that stays";
        return there.map_or(Ok(false), |_| Err(Not::Ever(stays.to_owned())));
    }
    let is_same = |there: &Known| known.iter().any(|known| known.begins_as(there));
    let (mut paths, mut beside) = (Vec::new(), None);
    if there.as_ref().is_some_and(is_same) {
        paths.push(wish.path.clone());
    }
    for known in known {
        for segment in overlapping(chains, known).map_err(Not::Away)? {
            let path = known.below.join(&segment.file).to_string_lossy().into_owned();
            if paths.contains(&path) || path == wish.path {
                continue; // that has been judged by what stands there
            }
            if segment.start == known.start || known.covers(&segment) || deed == Deed::Protect {
                paths.push(path);
            } else {
                beside = Some(path);
            }
        }
    }
    let refused = paths.iter().filter_map(|path| on(root, chains, path).err());
    // What has gone meanwhile is gone.
    let refused: Vec<Refusal> = refused.filter(|refusal| refusal.kind != RefusalKind::NotFound).collect();
    match (refused.into_iter().next(), beside) {
        (Some(refusal), _) => Err(Not::Yet(refusal.detail)),
        (None, Some(path)) => Err(Not::Ever(format!(
            "`{path}` there holds a part of it together with what was not asked for, and stays as it is"
        ))),
        (None, None) => Ok(!paths.is_empty()),
    }
}

/// What a recorder's directory holds of these frames in the same format.
fn overlapping(chains: &Chains, known: &Known) -> Result<Vec<Segment>, String> {
    let recorder = match chains.directory(&chains.archive().join(&known.below)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened.map_err(|error| error.to_string())?,
    };
    let (from, to) = (Some(When::Frame(known.start)), Some(When::Frame(known.end)));
    let segments = of_recorder(&recorder, &Wanted { from, to, ..Wanted::default() });
    let mut segments = segments.map_err(|error| error.to_string())?;
    segments.retain(|segment| segment.kind == known.kind && segment.rate == known.rate);
    Ok(segments)
}

/// What a path is on a volume; none if nothing that is known of.
pub(super) fn known_at(root: &Path, chains: &Chains, path: &str) -> Result<Option<Known>, String> {
    delete::ours(chains, path, "looked at").map_err(|refusal| refusal.detail)?;
    let named = match find(root, path, "looked at") {
        Err(Refusal { kind: RefusalKind::NotFound | RefusalKind::Invalid, .. }) => return Ok(None),
        found => found.map_err(|refusal| refusal.detail)?,
    };
    let recorder: Beneath = chains.directory(&named.recorder).map_err(|error| error.to_string())?;
    match Segment::of_unsealed(&recorder, &named.file) {
        Ok(segment) => {
            let sealed = matches!(chain::sidecar_in(&recorder, Path::new(&named.file)), Ok(Some(_)));
            Ok(Some(Known::of(&segment, &named.below, sealed)))
        }
        // Without its ledger nothing tells what it is.
        Err(MediaError::Chain { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}
