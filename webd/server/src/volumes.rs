//! The volumes that are recorded to: as JSON in `/api/control/status`, and `/api/system/volumes`.
//!
//! `GET /api/system/volumes` looks at each of them now, and tells which one is there and which one belongs there.
//! `POST /api/system/volumes/adopt {"root": "/srv/recordings"}` has the one that is there belong there from now on.

use audyn_api::{DiskState, Reply, Request, VolumeReport, VolumeSnapshot, VolumeStanding};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};

use crate::app::{App, both};
use crate::error::Error;
use crate::extract::{JsonBody, json};
use crate::room::Alarm;

pub(crate) fn add_routes(routes: Router<App>) -> Router<App> {
    let routes = both(routes, "/api/system/volumes", get(look));
    both(routes, "/api/system/volumes/adopt", post(adopt))
}

/// What a volume is for.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    Archive,
    Mirror,
}

/// A volume as it was seen last, no more than some seconds ago unless its disk does not answer.
#[derive(Serialize)]
pub(crate) struct Volume<'a> {
    role: Role,
    root: &'a str,
    /// `ours`, `new`, `another`, `unmarked`, `unreadable`, `missing`, `unchosen` or `same`; null if it has not answered yet. Only the
    /// first two are written to.
    standing: Option<VolumeStanding>,
    disk: DiskState,
    /// Files that are being written there.
    writing: u64,
    /// Files that the other volume has and this one lacks, and that are copied to it.
    lacks: u64,
    /// Files that were copied to it since the engine started.
    copied: u64,
    /// What keeps recordings from being written there now.
    alarms: &'a [String],
    /// Bytes that it shall keep free.
    floor_bytes: u64,
    /// What recorders write there together.
    bytes_per_second: u64,
    /// Until it is full; null while that is not foreseen.
    seconds_left: Option<u64>,
    /// What is wrong with its room; each stands among the warnings too.
    room_alarms: Vec<Alarm<'a>>,
}

impl<'a> Volume<'a> {
    /// The archive's comes first, then the mirror's.
    pub(crate) fn all(volumes: &'a [VolumeSnapshot]) -> Vec<Self> {
        let of = |(n, volume): (usize, &'a VolumeSnapshot)| Self {
            role: if n == 0 { Role::Archive } else { Role::Mirror },
            root: &volume.root,
            standing: volume.standing,
            disk: volume.disk,
            writing: volume.writing,
            lacks: volume.lacks,
            copied: volume.copied,
            alarms: &volume.alarms,
            floor_bytes: volume.floor_bytes,
            bytes_per_second: volume.bytes_per_second,
            seconds_left: volume.seconds_left,
            room_alarms: volume.room_alarms.iter().map(Alarm::from).collect(),
        };
        volumes.iter().enumerate().map(of).collect()
    }
}

async fn look(State(app): State<App>) -> Result<Response, Error> {
    Ok(json(reports(app.engine.ask(Request::Volumes).await?)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Adoption {
    /// The archive root or the mirror, as they are told.
    root: String,
    /// Who says so; none is the web page, since nobody has an account yet.
    who: Option<String>,
}

async fn adopt(State(app): State<App>, body: JsonBody) -> Result<Response, Error> {
    let Adoption { root, who } = body.parse()?;
    let who = who.unwrap_or_else(|| "the web page".to_owned());
    Ok(json(reports(app.engine.ask(Request::AdoptVolume { root, who }).await?)?))
}

fn reports(reply: Reply) -> Result<Vec<VolumeReport>, Error> {
    match reply {
        Reply::Volumes(volumes) => Ok(volumes),
        _ => Err(Error::Unexpected),
    }
}
