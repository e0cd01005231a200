//! `/api/recorders`: what they do, and the orders given to them.
//!
//! An order answers with the state after it: one recorder, or the list. `PUT …/config` takes the `config` object
//! that a GET shows, whole. Its `revision` (or `If-Match: "<revision>"`) says what the change was made from; if
//! the configuration has changed since, the answer is 409 and nothing happens. Without either, the change is made
//! from what is configured at that moment, so the last writer wins.

use audyn_api::{GlobalConfig, RecorderConfig, RecorderId, Request};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use axum::routing::{get, post, put};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::app::{App, both};
use crate::engine::View;
use crate::error::Error;
use crate::extract::{JsonBody, UrlPath, from_json, json};
use crate::model::{self, Recorder};

/// Recorders that may be enabled at once, at most ([`GlobalConfig::active_recorders`]).
const MOST_RECORDERS: u8 = 64;

pub(crate) fn add_routes(routes: Router<App>) -> Router<App> {
    let routes = both(routes, "/api/recorders", get(list));
    let routes = both(routes, "/api/recorders/active-count", get(active_count));
    let routes = both(routes, "/api/recorders/active-count/{n}", put(set_active_count));
    let routes = both(routes, "/api/recorders/start-all", post(start_all));
    let routes = both(routes, "/api/recorders/stop-all", post(stop_all));
    let routes = both(routes, "/api/recorders/{id}", get(one));
    let routes = both(routes, "/api/recorders/{id}/levels", get(levels));
    let routes = both(routes, "/api/recorders/{id}/config", put(configure));
    let routes = both(routes, "/api/recorders/{id}/start", post(start));
    both(routes, "/api/recorders/{id}/stop", post(stop))
}

fn answer_all(app: &App, view: &View) -> Response {
    let levels = app.engine.latest_levels();
    json(model::recorders(view, levels.as_deref().map(|levels| &levels.frame)))
}

fn answer_one(app: &App, view: &View, id: &str) -> Result<Response, Error> {
    let recorder = view.recorder(id).ok_or_else(|| unknown(id))?;
    let levels = app.engine.latest_levels();
    Ok(json(Recorder::new(view, recorder, levels.as_deref().map(|levels| &levels.frame))))
}

pub(crate) fn unknown(id: &str) -> Error {
    Error::NotFound(format!("there is no recorder `{id}`"))
}

/// A name that no recorder can have is no recorder's.
pub(crate) fn known_id(id: &str) -> Result<RecorderId, Error> {
    RecorderId::new(id).map_err(|_| unknown(id))
}

async fn list(State(app): State<App>) -> Result<Response, Error> {
    Ok(answer_all(&app, &*app.engine.view()?))
}

async fn one(State(app): State<App>, UrlPath(id): UrlPath) -> Result<Response, Error> {
    answer_one(&app, &*app.engine.view()?, &id)
}

async fn levels(State(app): State<App>, UrlPath(id): UrlPath) -> Result<Response, Error> {
    let view = app.engine.view()?;
    let recorder = view.recorder(&id).ok_or_else(|| unknown(&id))?;
    let latest = app.engine.latest_levels();
    let of_this = latest
        .iter()
        .flat_map(|levels| &levels.frame.recorders)
        .find(|levels| levels.recorder.as_str() == id)
        .map(|levels| &levels.channels[..]);
    Ok(json(model::level_list(of_this.unwrap_or_default(), recorder)))
}

async fn start(State(app): State<App>, UrlPath(id): UrlPath) -> Result<Response, Error> {
    let view = app.engine.change(Request::Start(known_id(&id)?)).await?;
    answer_one(&app, &view, &id)
}

async fn stop(State(app): State<App>, UrlPath(id): UrlPath) -> Result<Response, Error> {
    let view = app.engine.change(Request::Stop(known_id(&id)?)).await?;
    answer_one(&app, &view, &id)
}

async fn start_all(State(app): State<App>) -> Result<Response, Error> {
    Ok(answer_all(&app, &*app.engine.change(Request::StartAll).await?))
}

async fn stop_all(State(app): State<App>) -> Result<Response, Error> {
    Ok(answer_all(&app, &*app.engine.change(Request::StopAll).await?))
}

/// How many recorders may be enabled at once.
#[derive(Serialize)]
struct ActiveCount {
    count: u8,
    max: u8,
}

async fn active_count(State(app): State<App>) -> Result<Response, Error> {
    let view = app.engine.view()?;
    Ok(json(ActiveCount { count: view.config.global.active_recorders, max: MOST_RECORDERS }))
}

async fn set_active_count(State(app): State<App>, UrlPath(n): UrlPath) -> Result<Response, Error> {
    let wanted = n.parse().ok().filter(|n| (1..=MOST_RECORDERS).contains(n));
    let active_recorders = wanted
        .ok_or_else(|| Error::invalid("n", format!("`{n}` recorders cannot be active: give 1 to 64")))?;
    let config = app.engine.config().await?;
    let global = GlobalConfig { active_recorders, ..config.global };
    let view = app.engine.change(Request::PutGlobal { revision: config.revision, global }).await?;
    Ok(json(ActiveCount { count: view.config.global.active_recorders, max: MOST_RECORDERS }))
}

async fn configure(
    State(app): State<App>,
    UrlPath(id): UrlPath,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Error> {
    known_id(&id)?;
    let mut fields: Map<String, Value> = body.parse()?;
    let revision = wanted_revision(fields.remove("revision"), &headers)?;
    let in_body = fields.entry("id").or_insert_with(|| Value::from(id.as_str()));
    if in_body.as_str() != Some(id.as_str()) {
        return Err(Error::invalid(
            "id",
            format!("the `id` in the body is not that of recorder `{id}`; leave it out or make them equal"),
        ));
    }
    let recorder: RecorderConfig = from_json(Value::Object(fields))?;
    let current = app.engine.config().await?;
    if !current.recorders.iter().any(|recorder| recorder.id.as_str() == id) {
        return Err(unknown(&id));
    }
    let revision = revision.unwrap_or(current.revision);
    let view = app.engine.change(Request::PutRecorder { revision, recorder }).await?;
    answer_one(&app, &view, &id)
}

/// The revision that the change was made from, out of the body or `If-Match` (RFC 9110 §13.1.1); none if neither
/// says. `*` means any.
fn wanted_revision(in_body: Option<Value>, headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let in_body = in_body
        .map(|value| {
            value.as_u64().ok_or_else(|| Error::invalid("revision", "`revision` must be a whole number"))
        })
        .transpose()?;
    let in_header = match headers.get(header::IF_MATCH).map(|value| value.to_str().unwrap_or_default()) {
        None | Some("*") => None,
        Some(tag) => {
            let number = tag.trim().trim_matches('"').parse().map_err(|_| {
                Error::invalid("If-Match", format!("`{tag}` is no revision; send it as If-Match: \"7\""))
            })?;
            Some(number)
        }
    };
    match (in_body, in_header) {
        (Some(body), Some(header)) if body != header => Err(Error::invalid(
            "revision",
            format!("the body says revision {body} and If-Match says {header}; send one of them"),
        )),
        (body, header) => Ok(body.or(header)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_comes_from_body_or_header() {
        let with = |tag: &str| HeaderMap::from_iter([(header::IF_MATCH, tag.parse().unwrap())]);
        let none = HeaderMap::new();
        assert_eq!(wanted_revision(None, &none).unwrap(), None);
        assert_eq!(wanted_revision(Some(3.into()), &none).unwrap(), Some(3));
        assert_eq!(wanted_revision(None, &with("\"7\"")).unwrap(), Some(7));
        assert_eq!(wanted_revision(None, &with("*")).unwrap(), None);
        assert_eq!(wanted_revision(Some(7.into()), &with("\"7\"")).unwrap(), Some(7));
        assert!(wanted_revision(Some(6.into()), &with("\"7\"")).is_err());
        assert!(wanted_revision(Some((-1).into()), &none).is_err());
        assert!(wanted_revision(Some("7".into()), &none).is_err());
        assert!(wanted_revision(None, &with("\"abc\"")).is_err());
    }
}
