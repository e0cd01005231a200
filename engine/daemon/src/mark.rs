//! Marking a place in a recorder's timeline on a client's word.
//!
//! Owns: which of the engine's recorders is meant, and the words. Never: how a marker is kept, which is media's; touches a recording.

use std::io;
use std::path::Path;

use audyn_api::{RecorderId, Refusal, RefusalKind, Reply};
use audyn_media::archive::{Segment, When, of_recorder};
use audyn_media::{Beneath, markers};
use audyn_units::{Timestamp, Utc};

use crate::chains::Chains;
use crate::delete::cause;
use crate::volume::is_not_ours;

/// A marker as it is asked for.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) id: RecorderId,
    /// None is now.
    pub(crate) at: Option<Timestamp<Utc>>,
    /// The file that the recorder writes now, below the archive's root.
    pub(crate) current: Option<String>,
    pub(crate) text: String,
    pub(crate) who: String,
}

/// Marks what is wished below `root`; waits for the disk.
pub(crate) fn mark(root: &Path, chains: &Chains, wish: &Wish) -> Reply {
    match try_mark(root, chains, wish) {
        Ok(reply) => reply,
        Err(refusal) => {
            tracing::info!(recorder = %wish.id, why = refusal.detail, "place not marked");
            Reply::Refused(refusal)
        }
    }
}

fn try_mark(root: &Path, chains: &Chains, wish: &Wish) -> Result<Reply, Refusal> {
    let disk = |error: &io::Error| {
        let kind = if is_not_ours(error) { RefusalKind::Conflict } else { RefusalKind::Failed };
        let detail = format!(
            "the place cannot be marked: {error}; the recordings are as they were, so check the disk and mark it again"
        );
        Refusal { kind, detail }
    };
    match chains.ours().open() {
        Err(error) if is_not_ours(&error) => return Err(disk(&error)),
        _ => {}
    }
    let now = jiff::Timestamp::now();
    let utc =
        wish.at.map_or_else(|| i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX), Timestamp::as_nanos);
    let directory = root.join(wish.id.as_str());
    let wanted = markers::wanted_at(Some(wish.id.to_string()), When::Utc(utc));
    let mut segments = of_recorder(&directory, &wanted).map_err(|error| disk(&cause(error)))?;
    if segments.is_empty() {
        // A file that was just opened is listed a moment later.
        segments.extend(just_opened(&directory, wish).filter(|opened| wanted.takes(opened)));
    }
    let marker = markers::marked(&segments, When::Utc(utc), &wish.text, &wish.who, &now.to_string());
    let Some(marker) = marker else {
        let when = jiff::Timestamp::from_nanosecond(i128::from(utc)).unwrap_or(jiff::Timestamp::MAX);
        let detail = format!(
            "recorder `{}` recorded nothing at {when}, so there is no place to mark; start it, or name an instant of its recordings",
            wish.id
        );
        return Err(Refusal { kind: RefusalKind::NotFound, detail });
    };
    let kept = Beneath::root(&directory).and_then(|recorder| markers::add(&recorder, &marker));
    kept.map_err(|error| disk(&error))?;
    tracing::info!(recorder = %wish.id, position = marker.position.0, who = wish.who, "place marked");
    let at = Timestamp::from_nanos(markers::utc_of(&segments, &marker));
    Ok(Reply::Marked { position: marker.position, rate: marker.rate, at })
}

/// What is known of the file that is written now; none before its ledger is there.
fn just_opened(directory: &Path, wish: &Wish) -> Option<Segment> {
    let file = wish.current.as_ref()?.strip_prefix(wish.id.as_str())?.strip_prefix('/')?;
    let recorder = Beneath::root(directory).ok()?;
    Segment::of_unsealed(&recorder, file).ok()
}
