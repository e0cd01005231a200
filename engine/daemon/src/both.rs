//! What a person asks of a recording, done on every volume that has it.
//!
//! Owns: that the mirror follows the archive's volume, and that what merely has the same name there is left alone. Never: keeps the answer
//! for the archive waiting for a mirror that is known not to answer.

use std::io;
use std::path::{Path, PathBuf};

use audyn_api::{DeletedFile, ProtectedFile, Refusal, RefusalKind};
use audyn_media::archive::Segment;
use audyn_media::{MediaError, chain};
use audyn_units::{FrameIndex, SampleRate};

use crate::chains::Chains;
use crate::delete::{self, find};
use crate::protect;

/// The volumes that are recorded to.
pub(crate) struct Volumes {
    /// The archive's root as it is configured.
    pub(crate) root: PathBuf,
    pub(crate) archive: Chains,
    pub(crate) mirror: Option<Mirror>,
}

/// The second one.
pub(crate) struct Mirror {
    pub(crate) chains: Chains,
    /// Why its disk is not asked, if it does not answer.
    pub(crate) stalled: Option<String>,
}

impl Volumes {
    /// Deletes each path (relative to either root), and says what became of it.
    pub(crate) fn delete(
        &self,
        paths: Vec<String>,
        who: &str,
        is_open: impl Fn(&Path) -> bool,
    ) -> Vec<DeletedFile> {
        let of = |path: String| {
            // Before anything goes by which it is known.
            let here = self.here(&path);
            let on = |root: &Path, chains: &Chains| delete::recording(root, chains, &path, who, &is_open);
            // What it is by its sidecar goes from the mirror later, too (`refill`).
            let later = matches!(here, Ok(Some(Begin { sealed: true, .. })));
            let refused = on(&self.root, &self.archive).err();
            let refused = self.follow(&path, here, refused, ("deleted", later), on);
            delete::tell(&path, who, refused.as_ref());
            DeletedFile { path, refused }
        };
        paths.into_iter().map(of).collect()
    }

    /// Protects each path with all formats of its segment, or lets it go, and says what became of it.
    pub(crate) fn protect(&self, paths: Vec<String>, protected: bool, who: &str) -> Vec<ProtectedFile> {
        let of = |path: String| {
            let here = self.here(&path);
            let on = |root: &Path, chains: &Chains| protect::recording(root, chains, &path, protected, who);
            let (deed, refused) = (protect::deed(protected), on(&self.root, &self.archive).err());
            let refused = self.follow(&path, here, refused, (deed, false), on);
            protect::tell(&path, who, deed, refused.as_ref());
            ProtectedFile { path, refused }
        };
        paths.into_iter().map(of).collect()
    }

    /// What a path means in the archive, which nobody asks without a mirror.
    fn here(&self, path: &str) -> Result<Option<Begin>, String> {
        self.mirror.as_ref().map_or(Ok(None), |_| begin(&self.root, &self.archive, path))
    }

    /// Has the mirror do what the archive's volume has done, or has nothing to do it with. `here` is what the path meant there; the last word
    /// says whether a mirror that is away does it by itself once it is back.
    fn follow(
        &self,
        path: &str,
        here: Result<Option<Begin>, String>,
        refused: Option<Refusal>,
        (deed, later): (&str, bool),
        on: impl Fn(&Path, &Chains) -> Result<(), Refusal>,
    ) -> Option<Refusal> {
        let is_gone = refused.as_ref().is_some_and(|refusal| refusal.kind == RefusalKind::NotFound);
        let Some(mirror) = self.mirror.as_ref().filter(|_| refused.is_none() || is_gone) else {
            return refused;
        };
        let there = || match &mirror.stalled {
            Some(why) => Err(why.clone()),
            None => begin(mirror.chains.archive(), &mirror.chains, path),
        };
        let followed = match (here, there()) {
            (_, Ok(None)) => return refused, // it has none of that name
            (_, Err(why)) if later && refused.is_none() => {
                tracing::info!(path, why, "it goes from the mirror once that is back");
                return None;
            }
            (_, Err(why)) => Err(why),
            _ if is_gone => on(mirror.chains.archive(), &mirror.chains).map_err(|refusal| refusal.detail),
            (Err(why), _) => Err(why),
            // Something else of the same name is left alone.
            (Ok(here), Ok(there)) if !is_same(here, there) => return refused,
            _ => on(mirror.chains.archive(), &mirror.chains).map_err(|refusal| refusal.detail),
        };
        match followed {
            Ok(()) => None,
            Err(_) if refused.is_some() => refused,
            Err(why) => Some(Refusal {
                kind: RefusalKind::Failed,
                detail: format!(
                    "`{path}` is {deed} in the archive, but not on the mirror; ask again when that is well: {why}"
                ),
            }),
        }
    }
}

/// By what two files of one name are known to be the same recording, though one may lack its end.
#[derive(Debug, Clone, Copy)]
struct Begin {
    position: FrameIndex,
    rate: SampleRate,
    /// It has a sidecar.
    sealed: bool,
}

fn is_same(here: Option<Begin>, there: Option<Begin>) -> bool {
    let of = |begin: Option<Begin>| begin.map(|begin| (begin.position, begin.rate));
    of(here) == of(there)
}

/// What a path means on a volume; none if nothing that is known of.
fn begin(root: &Path, chains: &Chains, path: &str) -> Result<Option<Begin>, String> {
    delete::ours(chains, path, "looked at").map_err(|refusal| refusal.detail)?;
    let named = match find(root, path, "looked at") {
        Err(Refusal { kind: RefusalKind::NotFound | RefusalKind::Invalid, .. }) => return Ok(None),
        found => found.map_err(|refusal| refusal.detail)?,
    };
    let recorder = chains.directory(&named.recorder).map_err(|error| error.to_string())?;
    match Segment::of_unsealed(&recorder, &named.file) {
        Ok(Segment { start: position, rate, .. }) => {
            let sealed = matches!(chain::sidecar_in(&recorder, Path::new(&named.file)), Ok(Some(_)));
            Ok(Some(Begin { position, rate, sealed }))
        }
        // Without its ledger nothing tells what it is.
        Err(MediaError::Chain { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}
