//! Protecting recordings against deletion, and letting them go again, on a client's word.
//!
//! Owns: nothing of its own; the list is the chain's. Never: touches a recording.

use std::io;
use std::path::Path;

use audyn_api::{Refusal, RefusalKind};

use crate::chains::Chains;
use crate::delete::{cause, find, ours, refusal};

/// Protects a path (relative to `root`) with all formats of its segment, or lets it go.
pub(crate) fn recording(
    root: &Path,
    chains: &Chains,
    path: &str,
    protected: bool,
    who: &str,
) -> Result<(), Refusal> {
    let deed = deed(protected);
    let when = jiff::Timestamp::now().to_string();
    let found = ours(chains, path, deed).and_then(|()| find(root, path, deed))?;
    let entered = chains.with(&found.recorder, |chain| chain.protect(&found.file, protected, who, &when));
    entered.map_err(|error| refused(path, protected, &cause(error)))
}

/// Writes what became of a path into the log.
pub(crate) fn tell(path: &str, who: &str, deed: &str, refused: Option<&Refusal>) {
    match refused {
        None => tracing::info!(path, who, "recording {deed}"),
        Some(refusal) => tracing::info!(path, why = refusal.detail, "recording not {deed}"),
    }
}

pub(crate) fn deed(protected: bool) -> &'static str {
    if protected { "protected" } else { "let go" }
}

/// Why a recording could not be protected or let go.
fn refused(path: &str, protected: bool, error: &io::Error) -> Refusal {
    let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    if !(protected && is_full) {
        return refusal(path, deed(protected), error);
    }
    let detail = format!(
        "`{path}` cannot be protected: the disk is full, and the little that is kept back is for deletions; stop a recorder or delete \
         something, then protect it again"
    );
    Refusal { kind: RefusalKind::Failed, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_protects_on_a_full_disk_is_told_why_not_and_what_to_do() {
        let told = |protected| refused("a/b.wav", protected, &io::ErrorKind::StorageFull.into()).detail;
        assert!(
            told(true).starts_with("`a/b.wav` cannot be protected: the disk is full, and"),
            "{}",
            told(true)
        );
        assert!(told(false).contains("cannot be let go: the disk has no room"), "{}", told(false));
    }

    #[test]
    fn what_is_protected_is_deleted_by_nobody_until_it_is_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir(root.join("a")).unwrap();
        for name in ["a/one.wav", "a/one.opus", "a/two.wav"] {
            std::fs::write(root.join(name), "x").unwrap();
        }
        let chains = Chains::below(root.to_owned());
        let protect = |path: &str, protected| recording(root, &chains, path, protected, "anna").err();
        let delete = |path: &str| crate::delete::recording(root, &chains, path, "otto", &|_| false).err();
        assert_eq!(protect("a/one.wav", true), None);
        for bad in ["a/none.wav", "a", "../x.wav", "a/.audyn/protected.jsonl"] {
            assert!(protect(bad, true).is_some(), "{bad}");
        }
        let refused = delete("a/one.opus").unwrap().detail;
        assert!(refused.contains("protected") && refused.contains("audyn unprotect"), "{refused}");
        assert_eq!(delete("a/two.wav"), None);
        assert_eq!(protect("a/one.opus", false), None);
        assert_eq!((delete("a/one.opus"), delete("a/one.wav")), (None, None));
    }
}
