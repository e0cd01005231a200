//! Deleting recordings on a client's word.
//!
//! Owns: that nothing outside the archive, nothing that is being recorded and nothing but a recording is ever removed, and that each leaves
//! a tombstone.

use std::io;
use std::path::{Component, Path, PathBuf};

use audyn_api::{Refusal, RefusalKind};
use audyn_media::beneath::FileType;
use audyn_media::chain::HOUSE;
use audyn_media::{Beneath, MediaError};

use crate::chains::Chains;
use crate::error::EngineError;
use crate::volume::is_not_ours;

/// Files that one request may name.
const MOST: usize = 1_000;

/// Bytes of the paths of one request. An answer repeats each path twice, so this fits a frame.
const MOST_BYTES: usize = 256 * 1_024;

/// Bytes of the name of whoever deletes.
const MOST_WHO: usize = 200;

/// Why a recording goes that a person has deleted; other reasons begin otherwise.
pub(crate) const ASKED_FOR: &str = "asked for";

/// Suffixes that recordings have.
const SUFFIXES: [&str; 3] = ["wav", "flac", "opus"];

/// Writes what became of a path into the log.
pub(crate) fn tell(path: &str, who: &str, refused: Option<&Refusal>) {
    match refused {
        None => tracing::info!(path, who, "recording deleted"),
        Some(refusal) => tracing::info!(path, why = refusal.detail, "recording not deleted"),
    }
}

/// Refuses a request whose answer might not fit a frame.
pub(crate) fn check(paths: &[String], who: &str) -> Result<(), EngineError> {
    if who.is_empty() || who.len() > MOST_WHO || who.chars().any(char::is_control) {
        return Err(EngineError::Invalid(format!(
            "who asks for it must be told by one line of 1 to {MOST_WHO} bytes, for the record"
        )));
    }
    let bytes: usize = paths.iter().map(String::len).sum();
    if paths.len() <= MOST && bytes <= MOST_BYTES {
        return Ok(());
    }
    Err(EngineError::Invalid(format!(
        "{} paths of {bytes} bytes are too many for one request; name at most {MOST} files and {MOST_BYTES} bytes of paths \
         at once",
        paths.len()
    )))
}

/// Deletes a path (relative to `root`) with all that belongs to it.
pub(crate) fn recording(
    root: &Path,
    chains: &Chains,
    path: &str,
    who: &str,
    is_open: &impl Fn(&Path) -> bool,
) -> Result<(), Refusal> {
    ours(chains, path, "deleted")?;
    let found = find(root, path, "deleted")?;
    // The root itself may be a link, and the engine has opened its files through it or not.
    let real = root.canonicalize().map_err(|error| refusal(path, "deleted", &error))?;
    if is_open(&real.join(path)) || is_open(&root.join(path)) {
        let detail = format!("`{path}` is being recorded; stop the recorder first");
        return Err(Refusal { kind: RefusalKind::Conflict, detail });
    }
    let when = jiff::Timestamp::now().to_string();
    let buried = chains.with(&found.recorder, |chain| chain.bury(&found.file, who, &when, ASKED_FOR));
    buried.map_err(|error| refusal(path, "deleted", &cause(error)))
}

/// Refuses while the archive's root lies on another volume: the recording is not gone, and whatever has its name there is another's.
pub(crate) fn ours(chains: &Chains, path: &str, deed: &str) -> Result<(), Refusal> {
    match chains.ours().open() {
        Err(error) if is_not_ours(&error) => Err(refusal(path, deed, &error)),
        _ => Ok(()),
    }
}

/// A recording that a client has named.
#[derive(Debug)]
pub(crate) struct Named {
    /// The recorder's directory.
    pub(crate) recorder: PathBuf,
    /// The same, below the root.
    pub(crate) below: PathBuf,
    /// Its path below that.
    pub(crate) file: String,
}

/// Finds the recording of a path relative to `root` that is to be `deed` (deleted, protected).
pub(crate) fn find(root: &Path, path: &str, deed: &str) -> Result<Named, Refusal> {
    let failed = |error: io::Error| refusal(path, deed, &error);
    let invalid =
        |detail: String| Err(Refusal { kind: RefusalKind::Invalid, detail: format!("`{path}` {detail}") });
    let relative = Path::new(path);
    let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
    // A segment has one name: `a//b.wav` would be another's.
    let spelt = relative.components().collect::<PathBuf>().as_os_str() == relative.as_os_str();
    if path.is_empty() || !plain || !spelt || path.contains('\0') {
        return invalid("is not a path below the archive; give it as the file list does".into());
    }
    let (parent, name) =
        (relative.parent().unwrap_or(Path::new("")), relative.file_name().unwrap_or_default());
    let directory = Beneath::root(root).and_then(|root| root.open(parent)).map_err(failed)?;
    let kind = directory.kind_of(name).and_then(|kind| kind.ok_or(io::ErrorKind::NotFound.into()));
    let suffix = relative.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
    if kind.map_err(failed)? != FileType::RegularFile || !SUFFIXES.contains(&suffix) {
        return invalid(format!(
            "is not a recording; only {} files are {deed}, one by one",
            SUFFIXES.join(", ")
        ));
    }
    named(root, path).map_err(failed)
}

/// Where the recording of a path relative to `root` belongs, also of one that has gone.
pub(crate) fn named(root: &Path, path: &str) -> io::Result<Named> {
    let below = recorder_of(root, Path::new(path))?;
    let file = path.strip_prefix(below).unwrap_or(path).trim_start_matches('/').to_owned();
    Ok(Named { recorder: root.join(below), below: below.into(), file })
}

/// What the disk said of a chain.
pub(crate) fn cause(error: MediaError) -> io::Error {
    match error {
        MediaError::Chain { source, .. } => source,
        other => io::Error::other(other),
    }
}

/// Why a recording could not be `deed`.
pub(crate) fn refusal(path: &str, deed: &str, error: &io::Error) -> Refusal {
    let (kind, detail) = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            (RefusalKind::NotFound, "does not exist; look at the file list again".to_owned())
        }
        io::ErrorKind::PermissionDenied => (RefusalKind::Forbidden, format!("cannot be {deed}: {error}")),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            let why = "the disk has no room for the record of it; stop a recorder and try again";
            (RefusalKind::Failed, format!("cannot be {deed}: {why}"))
        }
        _ if is_not_ours(error) => (RefusalKind::Conflict, format!("cannot be {deed}: {error}")),
        _ => (RefusalKind::Failed, format!("cannot be {deed} ({error}); check the disk")),
    };
    Refusal { kind, detail: format!("`{path}` {detail}") }
}

/// The recorder's directory below the root that a recording belongs to: the nearest one above it that keeps a chain, the root itself
/// included. Where none does yet, the first directory of the path, as the engine lays them out; the root for a file that lies in it.
fn recorder_of<'a>(root: &Path, recording: &'a Path) -> io::Result<&'a str> {
    let text = |path: &'a Path| path.to_str().unwrap_or_default();
    let above = recording.parent().unwrap_or(Path::new(""));
    for below in above.ancestors() {
        match Beneath::root(root)?.open(below).and_then(|above| above.kind_of(HOUSE.as_ref())) {
            Ok(Some(FileType::Directory)) => return Ok(text(below)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(above.components().next().map_or("", |first| text(Path::new(first.as_os_str()))))
}

#[cfg(test)]
mod tests {
    use audyn_api::DeletedFile;

    use super::*;
    use crate::both::Volumes;

    fn recordings(
        root: &Path,
        chains: &Chains,
        paths: Vec<String>,
        who: &str,
        is_open: impl Fn(&Path) -> bool + Send + Sync + 'static,
    ) -> Vec<DeletedFile> {
        let volumes = Volumes { root: root.to_owned(), archive: chains.clone(), mirror: None };
        volumes.delete(paths, &[], who, is_open)
    }

    #[test]
    fn only_closed_recordings_below_the_root_are_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("archive");
        let outside = dir.path().join("outside");
        std::fs::create_dir_all(root.join("a")).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        for name in ["a/one.wav", "a/one.wav.gaps.jsonl", "a/open.wav", "a/notes.txt"] {
            std::fs::write(root.join(name), "x").unwrap();
        }
        std::fs::write(outside.join("secret.wav"), "x").unwrap();
        std::os::unix::fs::symlink(&outside, root.join("link")).unwrap();
        std::os::unix::fs::symlink(outside.join("secret.wav"), root.join("a/alias.wav")).unwrap();
        std::os::unix::fs::symlink("a", root.join("inside")).unwrap();

        let open = root.join("a/open.wav");
        let chains = Chains::below(root.clone());
        let ask = |path: &str| {
            let open = open.clone();
            recordings(&root, &chains, vec![path.to_owned()], "anna", move |p| p == open).remove(0).refused
        };
        for bad in [
            "",
            "..",
            "../outside/secret.wav",
            "/etc/passwd",
            "a/../../outside/secret.wav",
            "a//one.wav",
            "a/./one.wav",
            "./a/one.wav",
            "a/one.wav/",
            "link/secret.wav",
            "inside/one.wav",
            "a/alias.wav",
            "a/notes.txt",
            "a",
            "a/open.wav",
            "a/none.wav",
            "a/one.wav.gaps.jsonl",
            "a/\0.wav",
        ] {
            assert!(ask(bad).is_some(), "{bad:?}");
        }
        assert!(ask("inside/one.wav").unwrap().detail.contains("is a link"));
        assert!(outside.join("secret.wav").exists() && open.exists() && root.join("a/notes.txt").exists());
        assert_eq!(ask("a/one.wav"), None);
        assert!(!root.join("a/one.wav").exists() && !root.join("a/one.wav.gaps.jsonl").exists());
        let told = std::fs::read_to_string(root.join("a/.audyn/tombstones.jsonl")).unwrap();
        assert!(told.contains("one.wav") && told.contains("anna") && told.lines().count() == 1, "{told}");
    }

    #[test]
    fn a_deletion_is_entered_where_the_recordings_chain_is() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let put = |name: &str| {
            std::fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            std::fs::write(root.join(name), "x").unwrap();
        };
        for name in ["top.wav", "new/2026/a.wav", "desk/2026/01/a.wav", "group/desk/a.wav", "group/b.wav"] {
            put(name);
        }
        for house in ["desk/.audyn", "group/desk/.audyn"] {
            std::fs::create_dir(root.join(house)).unwrap();
        }
        put("group/.audyn"); // no directory keeps no chain
        let delete = |path: &str| {
            let chains = Chains::below(root.to_owned());
            let refused =
                recordings(root, &chains, vec![path.to_owned()], "anna", |_| false).remove(0).refused;
            assert_eq!(refused, None, "{path}");
            assert!(!root.join(path).exists(), "{path}");
        };
        let told =
            |house: &str| std::fs::read_to_string(root.join(house).join(".audyn/tombstones.jsonl")).unwrap();
        delete("desk/2026/01/a.wav");
        assert!(told("desk").contains(r#""file":"2026/01/a.wav""#));
        delete("group/desk/a.wav");
        assert!(told("group/desk").contains(r#""file":"a.wav""#));
        delete("new/2026/a.wav");
        assert!(told("new").contains(r#""file":"2026/a.wav""#), "as the engine lays them out");
        delete("top.wav");
        // What `audyn record` has written keeps its chain in the archive's root.
        put("2026/01/10/a.wav");
        delete("2026/01/10/a.wav");
        assert!(
            told("").contains(r#""file":"top.wav""#) && told("").contains(r#""file":"2026/01/10/a.wav""#)
        );
        std::fs::remove_file(root.join("group/.audyn")).unwrap();
        put("group/desk/b.wav");
        delete("group/desk/b.wav");
        assert_eq!(told("group/desk").lines().count(), 2);
    }

    #[test]
    fn the_answer_to_the_greatest_request_fits_a_frame() {
        let path = |length: usize| "\u{1}".repeat(length);
        assert!(check(&vec![path(1); MOST + 1], "anna").is_err());
        assert!(check(&vec![path(MOST_BYTES / MOST + 1); MOST], "anna").is_err());
        for who in ["", "an\nna", &"a".repeat(201)] {
            assert!(check(&[], who).is_err(), "{who:?}");
        }
        let paths = vec![path(MOST_BYTES / MOST); MOST];
        check(&paths, "anna").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let chains = Chains::below(dir.path().to_owned());
        let deleted = recordings(dir.path(), &chains, paths, "anna", |_| false);
        assert!(deleted.iter().all(|file| file.refused.is_some()));
        let frame = audyn_api::ServerFrame::Reply { id: 1, reply: audyn_api::Reply::Deleted(deleted) };
        audyn_api::frame::encode(&frame, &mut Vec::new()).unwrap();
    }
}
