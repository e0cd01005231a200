//! `/api/recorders/{id}/markers`: places in a recorder's timeline, and what was said or found of them.
//!
//! `POST {"text": "goal, 2:1", "at": "2026-07-02T13:46:03.5Z", "who": "anna"}` marks; without `at` it is this instant. `GET ?from=&to=` tells
//! what people have marked in that time, the last 24 hours if it isn't given; with `all=true` also what lacks, what happened to the clock,
//! silence of 10 s below −60 dBFS, and clipping. A marker is the engine's to keep; recordings never change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use audyn_api::{RecorderId, Reply, Request};
use audyn_media::archive::of_recorder;
use audyn_media::markers::{self, LevelRules, Marker};
use audyn_media::{Beneath, MediaError};
use audyn_units::{FrameIndex, Nanos, SampleRate, Timestamp, Utc};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::{Deserialize, Serialize};

use crate::app::{App, both};
use crate::archive::off_the_loop;
use crate::error::Error;
use crate::extract::{JsonBody, UrlPath, UrlQuery, json};
use crate::recorders::{known_id, unknown};
use crate::time::{parse_rfc3339, rfc3339};

/// Markers of one answer, at most.
const MOST: usize = 10_000;

/// An hour and a day in nanoseconds.
const HOUR: i64 = 3_600 * 1_000_000_000;
const DAY: i64 = 24 * HOUR;

/// The longest time of one question, in nanoseconds and in words: a month may have an hour more than its days.
const LONGEST: (i64, &str) = (31 * DAY + HOUR, "31 days");

/// The same where ledgers and peaks are read as well.
const LONGEST_OF_ALL: (i64, &str) = (DAY + HOUR, "a day");

/// What silence is where nobody says so.
const RULES: LevelRules = LevelRules { silence: Nanos::from_secs(10), below: -60.0 };

pub(crate) fn add_routes(routes: Router<App>) -> Router<App> {
    both(routes, "/api/recorders/{id}/markers", get(list).post(mark))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// One line of 1 to 1,000 bytes.
    text: String,
    /// RFC 3339; none is now.
    at: Option<String>,
    /// Who says so; none is the web page, since nobody has an account yet.
    who: Option<String>,
}

/// The place that was marked.
#[derive(Serialize)]
struct Place {
    /// Its frame, counted from the epoch of the media clock.
    position: FrameIndex,
    /// Frames per second that it counts.
    rate: SampleRate,
    /// RFC 3339, UTC
    at: String,
}

async fn mark(State(app): State<App>, UrlPath(id): UrlPath, body: JsonBody) -> Result<Response, Error> {
    let Wish { text, at, who } = body.parse()?;
    let id = known_id(&id)?;
    let at = at.map(|at| instant("at", &at)).transpose()?;
    let who = who.unwrap_or_else(|| "the web page".to_owned());
    match app.engine.ask(Request::Mark { id, at, text, who }).await? {
        Reply::Marked { position, rate, at } => Ok(json(Place { position, rate, at: rfc3339(at) })),
        _ => Err(Error::Unexpected),
    }
}

#[derive(Deserialize)]
struct Query {
    from: Option<String>,
    to: Option<String>,
    #[serde(default)]
    all: bool,
}

#[derive(Serialize)]
struct Told {
    /// By place.
    markers: Vec<One>,
    /// There are more.
    truncated: bool,
}

#[derive(Serialize)]
struct One {
    #[serde(flatten)]
    place: Place,
    /// `person`, or what was found: `gap`, `silence`, `clip`, or the ledger's word for an event.
    kind: String,
    text: String,
    /// Empty for what was found.
    who: String,
}

async fn list(
    State(app): State<App>,
    UrlPath(id): UrlPath,
    UrlQuery(query): UrlQuery<Query>,
) -> Result<Response, Error> {
    let view = app.engine.view()?;
    // Of one that was removed its recordings stay, but no name leads out of the archive.
    let id = known_id(&id)?;
    view.recorder(id.as_str()).ok_or_else(|| unknown(id.as_str()))?;
    let now = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
    let end = |field, text: Option<String>| text.map(|text| instant(field, &text)).transpose();
    let to = end("to", query.to)?.map_or(now, Timestamp::as_nanos);
    let from = end("from", query.from)?.map_or(to.saturating_sub(DAY), Timestamp::as_nanos);
    if from >= to {
        return Err(Error::invalid(
            "from",
            "the time begins at its end or behind it; give an earlier `from`",
        ));
    }
    let (longest, words) = if query.all { LONGEST_OF_ALL } else { LONGEST };
    if to.saturating_sub(from) > longest {
        let detail = format!("markers are told for at most {words} at once; give a shorter time");
        return Err(Error::invalid("from", detail));
    }
    // What is found is much to read, and goes on being read when whoever asked has gone.
    let turn = Arc::clone(&app.marker_reads).try_acquire_owned();
    let turn = turn.map_err(|_| Error::Busy("markers are being told to others; ask again in a moment"))?;
    let root = PathBuf::from(&view.config.global.archive_root);
    let rules = query.all.then_some(RULES);
    let told = off_the_loop(move || {
        let _turn = turn;
        told(&root, &id, (from, to.min(now)), now, rules).map_err(|error| Error::Archive(error.to_string()))
    });
    Ok(json(told.await?))
}

fn told(
    root: &Path,
    id: &RecorderId,
    (from, to): (i64, i64),
    now: i64,
    rules: Option<LevelRules>,
) -> Result<Told, MediaError> {
    let failed = |source| MediaError::Chain { path: root.join(id.as_str()), source };
    // No link leads out of the archive.
    let recorder = match Beneath::root(root).and_then(|root| root.open(Path::new(id.as_str()))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Told { markers: Vec::new(), truncated: false });
        }
        recorder => recorder.map_err(failed)?,
    };
    let segments = of_recorder(&recorder, &markers::wanted_between(Some(id.to_string()), from, to))?;
    let mut markers = markers::told_between(&recorder, &segments, (from, to), now, rules)?.markers;
    let truncated = markers.len() > MOST;
    markers.truncate(MOST);
    let one = |marker: Marker| {
        let at = rfc3339(Timestamp::from_nanos(markers::utc_of(&segments, &marker)));
        let Marker { position, rate, kind, text, who, .. } = marker;
        One { place: Place { position, rate, at }, kind, text, who }
    };
    Ok(Told { markers: markers.into_iter().map(one).collect(), truncated })
}

fn instant(field: &str, text: &str) -> Result<Timestamp<Utc>, Error> {
    parse_rfc3339(text).ok_or_else(|| {
        Error::invalid(field, format!("`{text}` is no instant; give it as 2026-07-02T13:46:03.5Z"))
    })
}
