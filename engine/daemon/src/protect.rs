//! Protecting recordings against deletion, and letting them go again, on a client's word.
//!
//! Owns: nothing of its own; the list is the chain's. Never: touches a recording.

use std::path::Path;

use audyn_api::ProtectedFile;

use crate::chains::Chains;
use crate::delete::{cause, find, refusal};

/// Protects each path (relative to `root`) with all formats of its segment, or lets it go, and says what became of it.
pub(crate) fn recordings(
    root: &Path,
    chains: &Chains,
    paths: Vec<String>,
    protected: bool,
    who: &str,
) -> Vec<ProtectedFile> {
    let deed = if protected { "protected" } else { "let go" };
    let when = jiff::Timestamp::now().to_string();
    let of = |path: String| {
        let done = find(root, &path, deed).and_then(|found| {
            let entered =
                chains.with(&found.recorder, |chain| chain.protect(&found.file, protected, who, &when));
            entered.map_err(|error| refusal(&path, deed, &cause(error)))
        });
        match &done {
            Ok(()) => tracing::info!(path, who, "recording {deed}"),
            Err(refusal) => tracing::info!(path, why = refusal.detail, "recording not {deed}"),
        }
        ProtectedFile { path, refused: done.err() }
    };
    paths.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_protected_is_deleted_by_nobody_until_it_is_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir(root.join("a")).unwrap();
        for name in ["a/one.wav", "a/one.opus", "a/two.wav"] {
            std::fs::write(root.join(name), "x").unwrap();
        }
        let chains = Chains::below(root.to_owned());
        let protect = |path: &str, protected| {
            recordings(root, &chains, vec![path.to_owned()], protected, "anna").remove(0).refused
        };
        let delete = |path: &str| {
            let asked = vec![path.to_owned()];
            crate::delete::recordings(root, &chains, asked, "otto", |_| false).remove(0).refused
        };
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
