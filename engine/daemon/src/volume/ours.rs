//! Whether the archive's root lies on its volume: the one answer that everybody who writes there asks for.
//!
//! Owns: the decision, and what is said of it. Never: writes to a volume that is another's, or to the empty directory that one leaves; asks a
//! path twice: what it has judged is an open directory, and whoever writes goes on from that, so nothing can be swapped in between.
//!
//! | remembered | there | so |
//! |---|---|---|
//! | nothing | nothing, or what is none | it gets an identity, which is remembered: a new box, or recordings from before there were any |
//! | nothing | an identity | it is remembered: another box's disk, or the settings were reset |
//! | A | A | ours |
//! | A | B, nothing, what is none, or no such directory | not written to until A is back, or a person adopts what is there |
//!
//! Where nothing is remembered and no identity can be made (a full or read-only disk), it is used as it is, since nothing speaks against it,
//! and retention may have to make room first; it is tried again.
//!
//! An identity that cannot be read for a moment (a read error, too many open files) is the one that was read last in the same directory of the
//! same file system. What is written already is confirmed unless the root surely lies on another volume: nothing is written by that.
//!
//! A mirror's root is not made, and written to only where it is known by its identity, and not while it lies on the archive's volume; what
//! speaks against a place says `beside`. The archive does not become the mirror's volume on a person's word.
//!
//! A machine that chooses between disks for one root tells which one it chose (`--volume-chosen`), and the engine remembers a volume for
//! each: a box that records to its own disk while the second is missing meets a volume that it knows, and an empty mount point is told
//! from both.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};

use audyn_api::VolumeStanding;
use audyn_media::Beneath;
use audyn_media::volume::{self, Identity};

use super::beside::{Against, against, known};
use super::memory::Memory;
use crate::engine::lock;

/// Bytes of what the machine tells of its choice.
const MOST: usize = 4_096;

/// The root lies on no volume of ours; nothing was written there. What it says needs no more words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotOurs(String);

/// Whether an error says that the root lies on no volume of ours.
pub(crate) fn is_not_ours(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<NotOurs>())
}

/// Whether that is written to. A mirror is only where it is known by its identity: it is not made for want of a better place.
fn may_write(standing: VolumeStanding, is_mirror: bool) -> bool {
    standing == VolumeStanding::Ours || standing == VolumeStanding::New && !is_mirror
}

/// A root's volume, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) standing: VolumeStanding,
    pub(crate) expected: Option<Identity>,
    pub(crate) found: Option<Identity>,
    /// What a person is to know, and do.
    pub(crate) sentence: Option<String>,
}

/// The volume of an archive's root. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Ours(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// Where it is remembered. Without one every volume is as good.
    state: Option<PathBuf>,
    /// Where the machine tells which of its disks it chose for the root.
    chosen: Option<PathBuf>,
    memory: Mutex<Memory>,
    /// Held by who gives what is new its identity, which waits for the disk; who looks into `memory` never does.
    settling: Mutex<()>,
    /// Why no identity can be made was told.
    told: Mutex<bool>,
    /// Its disk has confirmed something that was being written.
    confirmed: AtomicBool,
    /// The archive's, if this is the mirror's.
    first: Option<Ours>,
    /// The mirror's, if this is the archive's and there is one.
    second: Mutex<Weak<Inner>>,
    /// The device of the root, as long as it is written to.
    device: Mutex<Option<u64>>,
    /// Device and inode of the root that bore an identity last, and which.
    last: Mutex<Option<((u64, u64), Identity)>>,
}

/// What the machine has chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Choice {
    /// The chosen disk's name; it lasts over restarts.
    volume: Option<String>,
    /// Which disk it is chosen instead of, in words.
    missing: Option<String>,
}

/// What stands in a root.
enum Found {
    Nothing,
    Is(Identity),
    Unreadable(io::Error),
}

impl Ours {
    /// That of a root. What is remembered is read from the directory `state` now.
    pub(crate) fn of(root: PathBuf, state: Option<PathBuf>, chosen: Option<PathBuf>) -> Self {
        Self::new(root, state, chosen, None)
    }

    /// That of the mirror of a `first`. What is remembered stands in a state directory of its own.
    pub(crate) fn mirror(root: PathBuf, state: PathBuf, first: Self) -> Self {
        let mirror = Self::new(root, Some(state), None, Some(first));
        if let Some(first) = &mirror.0.first {
            *lock(&first.0.second) = Arc::downgrade(&mirror.0);
        }
        mirror
    }

    fn new(root: PathBuf, state: Option<PathBuf>, chosen: Option<PathBuf>, first: Option<Self>) -> Self {
        let memory = Mutex::new(state.as_deref().map_or_else(Memory::none, Memory::read));
        Self(Arc::new(Inner {
            root,
            state,
            chosen,
            memory,
            settling: Mutex::default(),
            told: Mutex::default(),
            confirmed: AtomicBool::default(),
            first,
            second: Mutex::default(),
            device: Mutex::default(),
            last: Mutex::default(),
        }))
    }

    /// Every volume is as good.
    pub(crate) fn any(root: PathBuf) -> Self {
        Self::of(root, None, None)
    }

    /// The archive's root.
    pub(crate) fn root(&self) -> &Path {
        &self.0.root
    }

    /// Whether it is the mirror's.
    pub(crate) fn is_mirror(&self) -> bool {
        self.0.first.is_some()
    }

    #[cfg(test)]
    pub(super) fn first(&self) -> Option<Self> {
        self.0.first.clone()
    }

    /// The device that the root was on when it was last looked at, if it is written to. Asks no disk.
    pub(super) fn device(&self) -> Option<u64> {
        *lock(&self.0.device)
    }

    /// Whether this identity belongs there. Asks no disk.
    pub(super) fn remembers(&self, identity: &Identity) -> bool {
        let Some(choice) = self.choice() else { return false };
        let memory = lock(&self.0.memory);
        memory.of(&self.0.root, choice.volume.as_deref()).is_some_and(|known| known.is(identity))
    }

    /// Opens the root if it lies on its volume.
    ///
    /// # Errors
    /// One of which [`is_not_ours`] knows; else what the system says.
    pub(crate) fn open(&self) -> io::Result<Beneath> {
        self.enter(false)
    }

    /// The same for another root too, of which nothing is known, and which is made if it is not there and nothing is expected there.
    pub(crate) fn make(&self, root: &Path) -> io::Result<Beneath> {
        if root == self.0.root {
            return self.enter(true);
        }
        std::fs::create_dir_all(root)?;
        Beneath::root(root)
    }

    fn enter(&self, make: bool) -> io::Result<Beneath> {
        let (opened, seen) = self.judge(make)?;
        match opened {
            Some(opened) if may_write(seen.standing, self.0.first.is_some()) => Ok(opened),
            _ => Err(io::Error::other(NotOurs(seen.sentence.unwrap_or_default()))),
        }
    }

    /// Refuses a path below the root while that lies on another volume. Where nobody can tell, it may be the same.
    pub(crate) fn check(&self, path: &Path) -> io::Result<()> {
        if !path.starts_with(&self.0.root) {
            return Ok(());
        }
        match self.judge(false) {
            Ok((
                _,
                Seen {
                    standing:
                        VolumeStanding::Another
                        | VolumeStanding::Unmarked
                        | VolumeStanding::Missing
                        | VolumeStanding::Same,
                    sentence,
                    ..
                },
            )) => Err(io::Error::other(NotOurs(sentence.unwrap_or_default()))),
            _ => Ok(()),
        }
    }

    /// Its disk has confirmed something that was being written.
    pub(crate) fn note_confirmed(&self) {
        self.0.confirmed.store(true, Relaxed);
    }

    /// Whether its disk ever has, since the engine began.
    pub(crate) fn has_confirmed(&self) -> bool {
        self.0.confirmed.load(Relaxed)
    }

    /// How it stands now. What is new gets its identity, if its root is there.
    pub(crate) fn look(&self) -> io::Result<Seen> {
        let (_, seen) = self.judge(false)?;
        if let Some(state) = &self.0.state
            && let Err(error) = lock(&self.0.memory).save(state)
        {
            tracing::debug!(%error, "which volume belongs here is not noted yet");
        }
        Ok(seen)
    }

    /// The volume that is there belongs here from now on, whatever did before; one without an identity gets one.
    pub(crate) fn adopt(&self) -> Result<Identity, String> {
        let root = self.0.root.display();
        let Some(state) = &self.0.state else {
            return Err("an engine without a state directory remembers no volume".to_owned());
        };
        let choice = self.choice().ok_or_else(|| self.unchosen())?;
        let opened = Beneath::root(&self.0.root)
            .map_err(|error| format!("{root} cannot be opened ({error}); mount its disk first"))?;
        let found = volume::read(&opened).ok().flatten();
        if let Some(first) = &self.0.first
            && let Some(against) = known(first, &opened, found.as_ref()).or_else(|| against(first, &opened))
            && against != Against::System
        {
            return Err(against.sentence(first, self));
        }
        if let Some(second) = lock(&self.0.second).upgrade().map(Self)
            && found.as_ref().is_some_and(|found| second.remembers(found))
        {
            return Err(format!(
                "the volume at {root} is the one of the mirror {}, and cannot be both; if it shall be the archive's from now on, take the \
                 mirror out of `global.json`, restart the engine, and repeat this",
                second.root().display()
            ));
        }
        let identity = found.map_or_else(|| made(&opened), Ok);
        let identity = identity.map_err(|error| {
            format!("the volume at {root} takes no identity ({error}); check that it is writable")
        })?;
        let mut memory = lock(&self.0.memory);
        memory.remember(&self.0.root, choice.volume.as_deref(), identity.clone());
        memory.save(state).map_err(|error| {
            format!(
                "the volume {identity} counts as the right one until the engine ends, but cannot be remembered ({error}): check the disk \
                 of {} and repeat this",
                state.display()
            )
        })?;
        Ok(identity)
    }

    /// What the machine has chosen; none while it has not.
    fn choice(&self) -> Option<Choice> {
        let Some(path) = &self.0.chosen else { return Some(Choice::default()) };
        let text = std::fs::read_to_string(path).ok().filter(|text| text.len() <= MOST)?;
        let of = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let volume = of("volume").filter(|name| !name.is_empty())?.to_owned();
        let missing = of("missing").filter(|words| !words.is_empty()).map(str::to_owned);
        Some(Choice { volume: Some(volume), missing })
    }

    /// Opens the root and judges what is there; with `make` a root that nothing is known of is made.
    fn judge(&self, make: bool) -> io::Result<(Option<Beneath>, Seen)> {
        let (opened, seen) = self.judged(make)?;
        let is_written = may_write(seen.standing, self.is_mirror());
        *lock(&self.0.device) =
            opened.as_ref().filter(|_| is_written).and_then(|opened| opened.device().ok());
        Ok((opened, seen))
    }

    fn judged(&self, make: bool) -> io::Result<(Option<Beneath>, Seen)> {
        let Inner { root, state, first, .. } = &*self.0;
        let made = || if make { std::fs::create_dir_all(root) } else { Ok(()) };
        if state.is_none() {
            made()?;
            let seen = Seen { standing: VolumeStanding::New, expected: None, found: None, sentence: None };
            return Ok((Some(Beneath::root(root)?), seen));
        }
        let Some(choice) = self.choice() else {
            let sentence = Some(self.unchosen());
            return Ok((
                None,
                Seen { standing: VolumeStanding::Unchosen, expected: None, found: None, sentence },
            ));
        };
        let chosen = choice.volume.as_deref();
        let mut expected = lock(&self.0.memory).of(root, chosen).cloned();
        if expected.is_none() && first.is_none() {
            made()?;
        }
        let opened = match Beneath::root(root) {
            Err(error) if (expected.is_some() || first.is_some()) && is_away(&error) => None,
            opened => Some(opened?),
        };
        let mut found = opened.as_ref().map(|opened| match volume::read(opened) {
            Ok(None) => Found::Nothing,
            Ok(Some(identity)) => Found::Is(identity),
            Err(error) => Found::Unreadable(error),
        });
        if let (Some(opened), Some(seen)) = (&opened, found.take()) {
            found = Some(self.as_before(opened.place().ok(), seen));
        }
        let unfit = match (first, &opened) {
            (Some(first), Some(opened)) => {
                let identity = match &found {
                    Some(Found::Is(identity)) => Some(identity),
                    _ => None,
                };
                let known = known(first, opened, identity);
                let new = || if expected.is_none() { against(first, opened) } else { None };
                known.or_else(new).map(|against| (against, first))
            }
            _ => None,
        };
        if expected.is_none()
            && unfit.is_none()
            && let Some(opened) = &opened
            && let Some(identity) = self.settle(opened, chosen)
        {
            expected = Some(identity.clone());
            found = Some(Found::Is(identity));
        }
        let standing = match (unfit, &opened, first) {
            (Some((against, _)), ..) => against.standing(),
            (None, None, Some(_)) => VolumeStanding::Missing,
            _ => standing(expected.as_ref(), found.as_ref()),
        };
        let sentence = match (unfit, &expected) {
            _ if may_write(standing, first.is_some()) => choice.missing.map(|missing| self.instead(&missing)),
            (Some((against, first)), _) => Some(against.sentence(first, self)),
            (None, Some(expected)) => Some(self.wrong(expected, found.as_ref())),
            (None, None) => Some(self.unmade(standing)),
        };
        let found = match found {
            Some(Found::Is(identity)) => Some(identity),
            _ => None,
        };
        Ok((opened, Seen { standing, expected, found, sentence }))
    }

    /// What was found in the root at this place. An identity that cannot be read just now is the one that was read there last: a disk that
    /// errs, and a process with too much open, have not become another volume.
    fn as_before(&self, place: Option<(u64, u64)>, found: Found) -> Found {
        let mut last = lock(&self.0.last);
        match (found, place) {
            (Found::Is(identity), Some(place)) => {
                *last = Some((place, identity.clone()));
                Found::Is(identity)
            }
            (Found::Unreadable(error), Some(place)) if is_passing(&error) => match &*last {
                Some((at, identity)) if *at == place => Found::Is(identity.clone()),
                _ => Found::Unreadable(error),
            },
            (found, _) => found,
        }
    }

    /// Gives what is new an identity and remembers it; gives none if that is not possible now.
    fn settle(&self, opened: &Beneath, chosen: Option<&str>) -> Option<Identity> {
        let root = &self.0.root;
        // Under the lock: of two who come first, the second finds what the first has made.
        let _settling = lock(&self.0.settling);
        let (identity, what) = match volume::read(opened) {
            Ok(Some(identity)) => (Ok(identity), "the volume that is there is the archive's from now on"),
            _ => (made(opened), "the archive's volume has got an identity"),
        };
        match &identity {
            Ok(identity) => tracing::info!(root = %root.display(), volume = %identity, chosen, "{what}"),
            Err(_) if std::mem::replace(&mut *lock(&self.0.told), true) => {}
            Err(error) => tracing::warn!(
                root = %root.display(), %error,
                "the archive's volume takes no identity yet; until it does, another disk in its place is not told from it"
            ),
        }
        let identity = identity.ok()?;
        let mut memory = lock(&self.0.memory);
        memory.remember(root, chosen, identity.clone());
        if let Some(state) = &self.0.state
            && let Err(error) = memory.save(state)
        {
            tracing::warn!(%error, "which volume belongs here cannot be noted yet; it is tried again");
        }
        Some(identity)
    }

    fn unchosen(&self) -> String {
        format!(
            "this machine has not chosen a disk for {} yet, so nothing is written there; if it stays so, look at its boot report",
            self.0.root.display()
        )
    }

    fn instead(&self, missing: &str) -> String {
        format!(
            "recordings go to this machine's own disk, since its disk for recordings ({missing}) was missing at the start: connect it and \
             restart the machine"
        )
    }

    /// What is said of a mirror that is no volume of its own yet.
    fn unmade(&self, standing: VolumeStanding) -> String {
        let root = self.0.root.display();
        match standing {
            VolumeStanding::Missing => format!(
                "the mirror {root} is not there, so nothing is mirrored: mount its disk, and make that directory on it"
            ),
            _ => format!(
                "the mirror {root} takes no identity, so nothing is written there: check that its volume is writable and has room"
            ),
        }
    }

    fn wrong(&self, expected: &Identity, found: Option<&Found>) -> String {
        let root = match &self.0.first {
            Some(_) => format!("the mirror {}", self.0.root.display()),
            None => self.0.root.display().to_string(),
        };
        let what = match found {
            None => format!("{root} is not there"),
            Some(Found::Nothing) => {
                format!("what is at {root} has no identity, so it may be an empty mount point")
            }
            Some(Found::Is(found)) => format!("another volume ({found}) is at {root}"),
            Some(Found::Unreadable(error)) => {
                format!("the identity of the volume at {root} cannot be read ({error})")
            }
        };
        let which = match &self.0.first {
            Some(_) => format!(" {}", self.0.root.display()),
            None => String::new(),
        };
        let other = match found {
            None => String::new(),
            Some(_) => {
                format!(", or say that what is there is the right one: `audyn volume adopt{which}`")
            }
        };
        format!(
            "{what}, and recordings belong on volume {expected}; nothing is written there: mount that one, and recording goes on by itself\
             {other}"
        )
    }
}

/// The decision.
fn standing(expected: Option<&Identity>, found: Option<&Found>) -> VolumeStanding {
    match (expected, found) {
        (None, _) => VolumeStanding::New,
        (Some(expected), Some(Found::Is(found))) if expected.is(found) => VolumeStanding::Ours,
        (Some(_), Some(Found::Is(_))) => VolumeStanding::Another,
        (Some(_), Some(Found::Nothing)) => VolumeStanding::Unmarked,
        (Some(_), Some(Found::Unreadable(_))) => VolumeStanding::Unreadable,
        (Some(_), None) => VolumeStanding::Missing,
    }
}

fn made(root: &Beneath) -> io::Result<Identity> {
    let now = jiff::Timestamp::now();
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let host =
        host.filter(|name| !name.is_empty() && name.len() <= 64 && !name.chars().any(char::is_control));
    volume::make(root, format!("{now:.0}"), host)
}

/// Whether an error says nothing of what stands there.
fn is_passing(error: &io::Error) -> bool {
    use nix::libc::{EINTR, EIO, EMFILE, ENFILE, ENOMEM};
    matches!(error.raw_os_error(), Some(EINTR | EIO | EMFILE | ENFILE | ENOMEM))
}

/// Whether there is no directory of that name.
fn is_away(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_that_cannot_be_read_just_now_is_the_one_that_was_read_there_last() {
        let dir = tempfile::tempdir().unwrap();
        let identity = volume::make(&Beneath::root(dir.path()).unwrap(), "2026".to_owned(), None).unwrap();
        let ours = Ours::any(dir.path().to_owned());
        let unreadable = |errno| Found::Unreadable(io::Error::from_raw_os_error(errno));
        let (here, there) = (Some((1, 2)), Some((1, 3)));
        let is = |found: &Found| matches!(found, Found::Is(found) if identity.is(found));
        assert!(!is(&ours.as_before(here, unreadable(nix::libc::EIO))), "none was read yet");
        assert!(is(&ours.as_before(here, Found::Is(identity.clone()))));
        for errno in
            [nix::libc::EINTR, nix::libc::EIO, nix::libc::EMFILE, nix::libc::ENFILE, nix::libc::ENOMEM]
        {
            assert!(is(&ours.as_before(here, unreadable(errno))), "{errno}");
        }
        assert!(!is(&ours.as_before(there, unreadable(nix::libc::EIO))), "something else is mounted");
        assert!(!is(&ours.as_before(None, unreadable(nix::libc::EIO))));
        assert!(!is(&ours.as_before(here, unreadable(nix::libc::EACCES))), "that stays so");
        assert!(!is(&ours.as_before(here, Found::Nothing)));
    }
}
