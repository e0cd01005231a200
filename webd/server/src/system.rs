//! `/api/system/image`: which image the box runs, and what became of its updates.
//!
//! Owns: reading the report that the image's boot wrote. Never: writes it, or judges what it says.

use std::io::ErrorKind;
use std::path::Path;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use crate::app::{App, both};
use crate::error::Error;
use crate::extract::json;

/// A report is a few lines; what is longer isn't one.
const MAX_REPORT: u64 = 64 * 1024;

pub(crate) fn add_routes(routes: Router<App>) -> Router<App> {
    both(routes, "/api/system/image", get(image))
}

/// The report, field for field as it lies there: the page is told nothing that it doesn't say.
#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Image {
    /// The box's host name.
    name: String,
    board: String,
    version: String,
    kind: Kind,
    slot: Slot,
    /// This image has not been marked good yet; if it isn't, the box goes back to the other slot.
    trial: bool,
    health: Health,
    /// Where recordings go; null before the boot has chosen.
    #[serde(deserialize_with = "Option::deserialize")]
    recordings: Option<Recordings>,
    /// The last update that was given up.
    #[serde(deserialize_with = "Option::deserialize")] // null, but not missing
    fallback: Option<Fallback>,
    /// What somebody should do something about, each a sentence.
    alarms: Vec<String>,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Release,
    Development,
    Lab,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
enum Slot {
    A,
    B,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Pending,
    Good,
    Failed,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Recordings {
    disk: Disk,
    why: Why,
    /// The disk that was prepared for recordings, in words; empty where there is none.
    name: String,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Disk {
    /// The box's own.
    Own,
    /// The one that was prepared for recordings.
    Second,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Why {
    /// No other disk was ever prepared.
    Only,
    /// Somebody chose the box's own.
    Forgotten,
    /// Several prepared disks are there, and none is chosen.
    Several,
    /// The prepared disk is not there.
    Missing,
    /// The prepared disk came after the start.
    Late,
    /// It is the one that was chosen.
    Remembered,
    /// It is the only prepared one that was there, and chosen from now on.
    Adopted,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Fallback {
    slot: Slot,
    version: String,
    tries: u32,
    reason: String,
    /// RFC 3339
    at: jiff::Timestamp,
}

async fn image(State(app): State<App>) -> Result<Response, Error> {
    let image = read(&app.image_report).await?;
    Ok(json(Answer { image, up_seconds: up_seconds() }))
}

/// The report, and what only this moment knows.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    image: Image,
    /// How long the box has been running. Not an instant: a box's clock may be set long after it started.
    up_seconds: u64,
}

fn up_seconds() -> u64 {
    let up = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME);
    up.map_or(0, |up| u64::try_from(up.tv_sec()).unwrap_or(0))
}

async fn read(path: &Path) -> Result<Image, Error> {
    let unreadable = |why: String| {
        Error::Image(format!(
            "the report about this image, {}, cannot be used: {why}; look at the log of audyn-boot-report",
            path.display()
        ))
    };
    let file = match tokio::fs::File::open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Error::NotFound(format!(
                "this machine does not run an image of Audyn's, or has not reported about it yet: there is no {}",
                path.display()
            )));
        }
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let mut bytes = Vec::new();
    file.take(MAX_REPORT + 1).read_to_end(&mut bytes).await.map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > MAX_REPORT {
        return Err(unreadable(format!("it is longer than {MAX_REPORT} bytes")));
    }
    let mut reader = serde_json::Deserializer::from_slice(&bytes);
    let image: Image = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let place = error.path().to_string();
        let place = if place == "." { String::new() } else { format!("{place}: ") };
        unreadable(format!("{place}{}", error.inner()))
    })?;
    reader.end().map_err(|error| unreadable(error.to_string()))?;
    Ok(image)
}
