//! `/api/recorders/{id}/retention`: what a recorder's limits would delete now, before they do.
//!
//! `GET` tells it of the limits that are configured; `POST {"days": 90, "bytes": 500000000000, "make_room": true}` of limits that are
//! tried, and which of them is left out is none. Nothing is set by either: that is `retention` of `PUT …/config`. What keeps less than
//! before acts an hour after it was set (`acts_in_seconds`), and until then `pending_limits` of the recorder tells what is in force: to set
//! that again takes the change back.

use audyn_api::{
    ProposedLimits, ProposedRecorder, RecorderId, Reply, Request, RetentionConfig, RetentionPlan,
};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use crate::app::{App, both};
use crate::error::Error;
use crate::extract::{JsonBody, UrlPath, json};
use crate::recorders::{known_id, unknown};
use crate::time::rfc3339;

pub(crate) fn add_routes(routes: Router<App>) -> Router<App> {
    both(routes, "/api/recorders/{id}/retention", get(configured).post(tried))
}

/// What would go of this recorder.
#[derive(Serialize)]
struct Going {
    /// A segment of several formats is one recording.
    recordings: u64,
    files: u64,
    bytes: u64,
    /// When the first of them began, and the last: RFC 3339, UTC; null where none would go.
    oldest: Option<String>,
    newest: Option<String>,
    /// Seconds until these limits act, from now or from when they were set; null where they do already, or would at once.
    acts_in_seconds: Option<u64>,
    /// Recordings that stay since they are protected, of all recorders with limits.
    protected: u64,
    /// Bytes that the volume would still lack to its floor.
    lacking_bytes: u64,
    /// Why nothing goes by its age, where that is so; or what could not be looked at.
    notes: Vec<String>,
}

impl Going {
    fn of(id: &RecorderId, plan: RetentionPlan) -> Self {
        let of_this = plan.recorders.iter().find(|of| of.recorder == id.as_str());
        let pending = plan.pending.iter().find(|pending| pending.recorder.as_deref() == Some(id.as_str()));
        Self {
            recordings: of_this.map_or(0, |of| of.recordings),
            files: of_this.map_or(0, |of| of.files),
            bytes: of_this.map_or(0, |of| of.bytes),
            oldest: of_this.map(|of| rfc3339(of.oldest)),
            newest: of_this.map(|of| rfc3339(of.newest)),
            acts_in_seconds: pending.map(|pending| pending.acts_in_seconds),
            protected: plan.protected,
            lacking_bytes: plan.lacking_bytes,
            notes: plan.notes,
        }
    }
}

async fn configured(State(app): State<App>, UrlPath(id): UrlPath) -> Result<Response, Error> {
    let id = there(&app, &id)?;
    plan(&app, &id, ProposedLimits::default()).await
}

async fn tried(State(app): State<App>, UrlPath(id): UrlPath, body: JsonBody) -> Result<Response, Error> {
    let retention: RetentionConfig = body.parse()?;
    let id = there(&app, &id)?;
    let recorders = vec![ProposedRecorder { id: id.clone(), retention }];
    plan(&app, &id, ProposedLimits { recorders, volume: None }).await
}

/// The engine's plan for what nobody has would be empty, which is no answer.
fn there(app: &App, id: &str) -> Result<RecorderId, Error> {
    let known = known_id(id)?;
    app.engine.view()?.recorder(id).ok_or_else(|| unknown(id))?;
    Ok(known)
}

async fn plan(app: &App, id: &RecorderId, limits: ProposedLimits) -> Result<Response, Error> {
    match app.engine.ask(Request::RetentionPlan(limits)).await? {
        Reply::RetentionPlan(plan) => Ok(json(Going::of(id, *plan))),
        _ => Err(Error::Unexpected),
    }
}
