//! Where a recording begins, which tells it from another one of its name: `POSITION@RATE`, by its gap ledger.
//!
//! Owns: the text, and the reading of a ledger's first line. Never: an opinion on who is meant; the engine judges.

use std::io::{BufRead as _, BufReader, Read as _};

use audyn_api::Beginning;
use audyn_media::ledger::LedgerHeader;
use audyn_units::{FrameIndex, SampleRate};

use crate::archive::{Archive, Folder, RelPath};
use crate::error::Error;

/// A ledger's first line is never longer.
const MOST: u64 = 64 * 1024;

/// Where a recording in a folder begins; none where its ledger does not tell.
pub(super) fn of(folder: &Folder, name: &str) -> Option<Beginning> {
    let ledger = folder.file(&format!("{name}.gaps.jsonl")).ok()?.file;
    let mut line = Vec::new();
    BufReader::with_capacity(1_024, ledger).take(MOST).read_until(b'\n', &mut line).ok()?;
    let LedgerHeader { first_position: position, rate, .. } = serde_json::from_slice(&line).ok()?;
    Some(Beginning { position, rate })
}

/// The same of a path.
pub(super) fn of_path(archive: &Archive, path: &RelPath) -> Option<Beginning> {
    let parent = RelPath::parse(path.parent()?).ok()?;
    let name = path.as_str().rsplit('/').next()?;
    of(&archive.folder(&parent).ok()?, name)
}

pub(super) fn text(beginning: Beginning) -> String {
    format!("{}@{}", beginning.position.0, beginning.rate.hz())
}

/// Reads what [`text`] wrote; `field` is what it was given as.
pub(super) fn parse(field: &str, text: &str) -> Result<Beginning, Error> {
    let beginning = text.split_once('@').and_then(|(position, rate)| {
        let rate = SampleRate::new(rate.parse().ok()?).ok()?;
        Some(Beginning { position: FrameIndex(position.parse().ok()?), rate })
    });
    let no =
        || format!("{text:?} is no beginning of a recording; give it as the file list does, or leave it out");
    beginning.ok_or_else(|| Error::invalid(field, no()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read_again_and_nothing_else() {
        let text_of = "84067852800000@48000";
        assert_eq!(text(parse("begins", text_of).unwrap()), text_of);
        for bad in ["", "@", "1", "1@", "@48000", "1@47999", "-1@48000", "1@48000@", "a@48000", "1 @48000"] {
            assert!(matches!(parse("begins", bad), Err(Error::Invalid { field: Some(_), .. })), "{bad}");
        }
    }
}
