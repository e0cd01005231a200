//! What a person asks of a recording, done on every volume that has it.
//!
//! Owns: that the mirror follows the archive's volume, and that what merely has the same name there is left alone ([`follow`]). Never: keeps
//! what is asked of the archive waiting for the mirror's disk: first everything is done in the archive, and the mirror is then waited for a
//! few seconds.
//!
//! Whoever asks may have seen a recording on the mirror while the archive's volume was away, where its name may be another recording's in the
//! archive that is back. So what is meant is told by its first frame as well, and another one of its name is refused.

mod follow;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use audyn_api::{Beginning, DeletedFile, ProtectedFile, Refusal, RefusalKind};
use audyn_media::chain;

use crate::chains::Chains;
use crate::delete;
use crate::protect;
pub(crate) use follow::{Follower, Mirror, PATIENCE};
use follow::{Known, Not, Wish, known_at};

/// The volumes that are recorded to.
pub(crate) struct Volumes {
    pub(crate) root: PathBuf,
    pub(crate) archive: Chains,
    pub(crate) mirror: Option<Mirror>,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Delete,
    Protect,
    LetGo,
}

/// Does it with a path (relative to the root) on one volume.
type On = dyn Fn(&Path, &Chains, &str) -> Result<(), Refusal> + Send + Sync;

impl Deed {
    fn done(self) -> &'static str {
        match self {
            Self::Delete => "deleted",
            Self::Protect => protect::deed(true),
            Self::LetGo => protect::deed(false),
        }
    }
}

impl Volumes {
    /// Deletes each path (relative to either root) if it is what is `meant` by it, and says what became of it.
    pub(crate) fn delete(
        &self,
        paths: Vec<String>,
        meant: &[Option<Beginning>],
        who: &str,
        is_open: impl Fn(&Path) -> bool + Send + Sync + 'static,
    ) -> Vec<DeletedFile> {
        let by = who.to_owned();
        let on = move |root: &Path, chains: &Chains, path: &str| {
            delete::recording(root, chains, path, &by, &is_open)
        };
        let done = self.on_all(paths, meant, Deed::Delete, Arc::new(on));
        let tell = |(path, refused): (String, Option<Refusal>)| {
            delete::tell(&path, who, refused.as_ref());
            DeletedFile { path, refused }
        };
        done.into_iter().map(tell).collect()
    }

    /// Protects each path with all formats of its segment, or lets it go, and says what became of it.
    pub(crate) fn protect(&self, paths: Vec<String>, protected: bool, who: &str) -> Vec<ProtectedFile> {
        let by = who.to_owned();
        let on = move |root: &Path, chains: &Chains, path: &str| {
            protect::recording(root, chains, path, protected, &by)
        };
        let deed = if protected { Deed::Protect } else { Deed::LetGo };
        let done = self.on_all(paths, &[], deed, Arc::new(on));
        let tell = |(path, refused): (String, Option<Refusal>)| {
            protect::tell(&path, who, deed.done(), refused.as_ref());
            ProtectedFile { path, refused }
        };
        done.into_iter().map(tell).collect()
    }

    /// Each path, and why it could not be done.
    fn on_all(
        &self,
        paths: Vec<String>,
        meant: &[Option<Beginning>],
        deed: Deed,
        on: Arc<On>,
    ) -> Vec<(String, Option<Refusal>)> {
        let (mut done, mut wishes) = (Vec::new(), Vec::new());
        for (at, path) in paths.into_iter().enumerate() {
            let meant = meant.get(at).copied().flatten();
            // Before anything goes by which it is known.
            let known = self.known(&path);
            let is_it = meant.map_or(Ok(()), |meant| self.is_meant(&path, meant, deed));
            let refused = is_it.and_then(|()| on(&self.root, &self.archive, &path)).err();
            let is_gone = refused.as_ref().is_some_and(|refusal| refusal.kind == RefusalKind::NotFound);
            if self.mirror.is_some() && (refused.is_none() || is_gone) {
                let known = if is_gone { self.gone(&path, meant) } else { known };
                wishes.push(Wish { at: done.len(), path: path.clone(), known, is_gone });
            }
            done.push((path, refused));
        }
        if let Some(mirror) = &self.mirror {
            for (wish, followed) in mirror.follow(wishes, deed, on) {
                let refused = &mut done[wish.at].1;
                match followed {
                    Ok(false) => {} // the mirror has nothing of it
                    Ok(true) => *refused = None,
                    Err(not) => *refused = told(&wish, deed, not, refused.take()),
                }
            }
        }
        done
    }

    /// Refuses a path that is another recording in the archive than the one that is meant, or may be.
    fn is_meant(&self, path: &str, meant: Beginning, deed: Deed) -> Result<(), Refusal> {
        let done = deed.done();
        delete::ours(&self.archive, path, done)?;
        let file = delete::find(&self.root, path, done)?.file;
        let known = known_at(&self.root, &self.archive, path);
        if known.as_ref().is_ok_and(|known| known.as_ref().is_some_and(|known| known.begins_at(meant))) {
            return Ok(());
        }
        let why = match known {
            Ok(Some(_)) => "is another recording in the archive than the one that was shown".to_owned(),
            Ok(None) => {
                format!("cannot be told from another recording of its name: {file} has no gap ledger")
            }
            Err(why) => format!("cannot be told from another recording of its name: {why}"),
        };
        let detail = format!("`{path}` {why}, so it is not {done}; look at the file list again");
        Err(Refusal { kind: RefusalKind::Conflict, detail })
    }

    /// What a path is in the archive, which nobody asks without a mirror.
    fn known(&self, path: &str) -> Result<Vec<Known>, String> {
        if self.mirror.is_none() {
            return Ok(Vec::new());
        }
        known_at(&self.root, &self.archive, path).map(|known| known.into_iter().collect())
    }

    /// What a path was in the archive that has gone from there, once for each time: by its tombstones. Of what was deleted before it was
    /// sealed they tell nothing. If one of them is `meant`, only that.
    fn gone(&self, path: &str, meant: Option<Beginning>) -> Result<Vec<Known>, String> {
        let mut gone = Vec::new();
        let named = delete::named(&self.root, path).map_err(|error| error.to_string())?;
        let Ok(recorder) = self.archive.directory(&named.recorder) else { return Ok(gone) };
        let told = chain::tombstones(&recorder, |tombstone| {
            if tombstone.file == named.file {
                gone.extend(Known::of_tombstone(&tombstone, &named.below));
            }
        });
        gone.retain(|known| meant.is_none_or(|meant| known.begins_at(meant)));
        told.map(|()| gone).map_err(|error| error.to_string())
    }
}

/// What is said of a path that the mirror has not followed in; none if it does by itself once it is back.
fn told(wish: &Wish, deed: Deed, not: Not, refused: Option<Refusal>) -> Option<Refusal> {
    let (path, done) = (&wish.path, deed.done());
    let never_was = wish.is_gone && wish.known.as_ref().map_or(true, Vec::is_empty);
    let (kind, detail) = match not {
        // What it is by its sidecar goes from the mirror later, too (`refill`).
        Not::Away(why) if deed == Deed::Delete && !wish.is_gone && wish.is_sealed() => {
            tracing::info!(path, why, "it goes from the mirror once that is back");
            return None;
        }
        Not::Away(_) | Not::Yet(_) if never_was => return refused,
        Not::Away(why) | Not::Yet(why) => (
            RefusalKind::Failed,
            format!("is {done} in the archive, but not on the mirror; ask again when that is well: {why}"),
        ),
        Not::Ever(why) if wish.is_gone => (
            RefusalKind::NotFound,
            format!("does not exist in the archive, and is not {done} on the mirror: {why}"),
        ),
        Not::Ever(why) => {
            (RefusalKind::Failed, format!("is {done} in the archive, but not on the mirror: {why}"))
        }
    };
    Some(Refusal { kind, detail: format!("`{path}` {detail}") })
}
