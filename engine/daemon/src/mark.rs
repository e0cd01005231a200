//! Marking a place in a recorder's timeline on a client's word.
//!
//! Owns: which of the engine's recorders is meant, and the words. Never: how a marker is kept, which is media's; touches a recording.

use std::io;
use std::path::Path;

use audyn_api::{RecorderId, Refusal, RefusalKind, Reply};
use audyn_media::archive::{Segment, When, of_recorder};
use audyn_media::{Beneath, MediaError, markers};
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

/// Marks what is wished; waits for the disk.
pub(crate) fn mark(chains: &Chains, wish: &Wish) -> Reply {
    match try_mark(chains, wish) {
        Ok(reply) => reply,
        Err(refusal) => {
            tracing::info!(recorder = %wish.id, why = refusal.detail, "place not marked");
            Reply::Refused(refusal)
        }
    }
}

fn try_mark(chains: &Chains, wish: &Wish) -> Result<Reply, Refusal> {
    let disk = |error: &io::Error| {
        if is_not_ours(error) {
            let detail = format!("the place cannot be marked: {error}");
            return Refusal { kind: RefusalKind::Conflict, detail };
        }
        let detail = format!(
            "the place cannot be marked: {error}; the recordings are as they were, so check the disk and mark it again"
        );
        Refusal { kind: RefusalKind::Failed, detail }
    };
    let recorder = match chains.ours().open().and_then(|root| root.open(Path::new(wish.id.as_str()))) {
        Ok(recorder) => Some(recorder),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(disk(&error)),
    };
    let now = jiff::Timestamp::now();
    let utc =
        wish.at.map_or_else(|| i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX), Timestamp::as_nanos);
    let segments = match &recorder {
        Some(recorder) => there(recorder, wish, utc).map_err(|error| disk(&cause(error)))?,
        None => Vec::new(),
    };
    let marker = markers::marked(&segments, When::Utc(utc), &wish.text, &wish.who, &now.to_string());
    let Some((recorder, marker)) = recorder.zip(marker) else {
        let when = jiff::Timestamp::from_nanosecond(i128::from(utc)).unwrap_or(jiff::Timestamp::MAX);
        let detail = format!(
            "recorder `{}` recorded nothing at {when}, so there is no place to mark; start it, or name an instant of its recordings",
            wish.id
        );
        return Err(Refusal { kind: RefusalKind::NotFound, detail });
    };
    markers::add(&recorder, &marker).map_err(|error| disk(&error))?;
    tracing::info!(recorder = %wish.id, position = marker.position.0, who = wish.who, "place marked");
    let at = Timestamp::from_nanos(markers::utc_of(&segments, &marker));
    Ok(Reply::Marked { position: marker.position, rate: marker.rate, at })
}

/// What the recorder has there at an instant, in nanoseconds of UTC.
fn there(recorder: &Beneath, wish: &Wish, utc: i64) -> Result<Vec<Segment>, MediaError> {
    let wanted = markers::wanted_at(Some(wish.id.to_string()), When::Utc(utc));
    let mut segments = of_recorder(recorder, &wanted)?;
    if segments.is_empty() {
        // A file that was just opened is listed a moment later, and there is none before its ledger is.
        let file =
            wish.current.as_deref().and_then(|path| path.strip_prefix(wish.id.as_str())?.strip_prefix('/'));
        let opened = file.and_then(|file| Segment::of_unsealed(recorder, file).ok());
        segments.extend(opened.filter(|opened| wanted.takes(opened)));
    }
    Ok(segments)
}
