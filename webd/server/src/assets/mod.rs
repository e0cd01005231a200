//! `/api/assets`: the archive as a list of files to play, download and delete.
//!
//! With `studio_id` only the directories of the recorders that are assigned to that studio now are shown
//! (`ROOT/<recorder>/`). What a recorder recorded for another studio before is not told apart yet.
//!
//! While the archive's volume is away its mirror is read, where the name of a file may be another recording's than in the archive that comes back in
//! that very moment. So each entry of the mirror says where it begins (`begins`), whoever deletes says it back, and another one is refused. Where it is not
//! said, it is what the mirror has under that name when it is asked for.

mod begins;
mod download;
mod entry;
mod stats;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use audyn_api::client::ClientError;
use audyn_api::{Beginning, DeletedFile, Refusal, RefusalKind, Reply, Request, VolumeStanding};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{delete, get, post};
use serde::{Deserialize, Serialize};

use crate::app::{App, both};
use crate::archive::{Archive, RelPath, off_the_loop};
use crate::engine::View;
use crate::error::Error;
use crate::extract::{JsonBody, UrlPath, UrlQuery, json};

use entry::{Entry, InUse};
pub(crate) use stats::Stats;

/// Entries of one answer, at most; a directory of one year of hours has 8,760.
const MOST_ENTRIES: usize = 10_000;
/// Hits of one search, at most.
const MOST_HITS: usize = 500;
/// Files that one request may delete.
const MOST_DELETED: usize = 1_000;

pub(crate) fn add_routes(routes: Router<App>) -> Router<App> {
    let routes = both(routes, "/api/assets/browse", get(browse));
    let routes = both(routes, "/api/assets/search", get(search));
    let routes = both(routes, "/api/assets/stats", get(stats::stats));
    let routes = both(routes, "/api/assets/delete-bulk", post(delete_bulk));
    routes
        .route("/api/assets/download/{*path}", get(download::download))
        .route("/api/assets/file/{*path}", delete(delete_one))
}

/// The archive that the engine records to.
fn archive(view: &View) -> Archive {
    Archive::new(root(view))
}

/// The root of what is read: the archive's, or its mirror's while the archive's volume is away and the mirror is there.
fn root(view: &View) -> &str {
    mirror(view).unwrap_or(&view.config.global.archive_root)
}

/// The mirror's, if that is read.
fn mirror(view: &View) -> Option<&str> {
    let is_away = |standing| !matches!(standing, VolumeStanding::Ours | VolumeStanding::New);
    match view.snapshot.volumes.as_slice() {
        [archive, mirror, ..]
            if archive.standing.is_some_and(is_away) && mirror.standing == Some(VolumeStanding::Ours) =>
        {
            Some(&mirror.root)
        }
        _ => None,
    }
}

/// Which directories a request may see.
enum Scope {
    All,
    Recorders(HashSet<String>),
}

impl Scope {
    fn of(studio: Option<&str>, view: &View) -> Self {
        let Some(studio) = studio.filter(|studio| !studio.is_empty()) else { return Self::All };
        let assigned = view.config.recorders.iter().filter(|one| one.studio_id.as_deref() == Some(studio));
        Self::Recorders(assigned.map(|one| one.id.to_string()).collect())
    }

    fn has(&self, first: &str) -> bool {
        match self {
            Self::All => true,
            Self::Recorders(ids) => ids.contains(first),
        }
    }
}

#[derive(Deserialize)]
struct BrowseQuery {
    #[serde(default)]
    path: String,
    studio_id: Option<String>,
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Browse {
    path: String,
    parent: Option<String>,
    /// Entries in the directory, of which `entries` are a part if they are more than `limit`.
    total: usize,
    /// Directories first, each kind with the latest name first.
    entries: Vec<Entry>,
}

async fn browse(State(app): State<App>, UrlQuery(query): UrlQuery<BrowseQuery>) -> Result<Response, Error> {
    let path = RelPath::parse(&query.path)?;
    let view = app.engine.view()?;
    let answer = off_the_loop(move || {
        let scope = Scope::of(query.studio_id.as_deref(), &view);
        let in_root = path.as_str().is_empty();
        if !in_root && !scope.has(path.first()) {
            return Err(Error::NotFound(format!("the studio has no {:?}", path.as_str())));
        }
        let mut folder = archive(&view).folder(&path)?;
        let mut items = folder.items().map_err(|cause| {
            Error::Archive(format!("{:?} cannot be read: {}", path.as_str(), cause.desc()))
        })?;
        items.retain(|item| !in_root || scope.has(&item.name));
        let (in_use, of_mirror) = (InUse::of(&view.snapshot), mirror(&view).is_some());
        let limit = query.limit.unwrap_or(MOST_ENTRIES).min(MOST_ENTRIES);
        let page = items.iter().skip(query.offset).take(limit);
        let entries = page.map(|item| {
            let below = if in_root { item.name.clone() } else { format!("{}/{}", path.as_str(), item.name) };
            Entry::new(below, item, &folder, &in_use, of_mirror)
        });
        Ok(Browse {
            parent: path.parent().map(str::to_owned),
            total: items.len(),
            entries: entries.collect(),
            path: path.as_str().to_owned(),
        })
    });
    Ok(json(answer.await?))
}

#[derive(Deserialize)]
struct SearchQuery {
    #[serde(default)]
    q: String,
    studio_id: Option<String>,
}

#[derive(Serialize)]
struct Hits {
    /// Files whose path has all words in it, in whatever case; in each directory the latest name first.
    entries: Vec<Entry>,
    /// There are more.
    truncated: bool,
}

async fn search(State(app): State<App>, UrlQuery(query): UrlQuery<SearchQuery>) -> Result<Response, Error> {
    let words: Vec<String> = query.q.split_whitespace().map(str::to_lowercase).collect();
    if words.is_empty() {
        return Err(Error::invalid("q", "say what to look for: ?q=2026-01-10"));
    }
    let view = app.engine.view()?;
    let answer = off_the_loop(move || {
        let scope = Scope::of(query.studio_id.as_deref(), &view);
        let (in_use, of_mirror) = (InUse::of(&view.snapshot), mirror(&view).is_some());
        let mut entries = Vec::new();
        let end = archive(&view).walk(|path, item, folder| {
            let first = path.split('/').next().unwrap_or_default();
            let folded = path.to_lowercase();
            if scope.has(first) && words.iter().all(|word| folded.contains(word.as_str())) {
                if entries.len() == MOST_HITS {
                    return ControlFlow::Break(());
                }
                entries.push(Entry::new(path.to_owned(), item, folder, &in_use, of_mirror));
            }
            ControlFlow::Continue(())
        })?;
        Ok(Hits { entries, truncated: end.is_break() })
    });
    Ok(json(answer.await?))
}

#[derive(Deserialize)]
struct DeleteQuery {
    /// As its entry had it.
    begins: Option<String>,
}

/// The path is walked here as well as in the engine, so that neither side's mistake alone reaches another file.
async fn delete_one(
    State(app): State<App>,
    UrlPath(path): UrlPath,
    UrlQuery(query): UrlQuery<DeleteQuery>,
) -> Result<StatusCode, Error> {
    let path = RelPath::parse(&path)?;
    let begins = query.begins.map(|begins| begins::parse("begins", &begins)).transpose()?;
    let view = app.engine.view()?;
    let looked_at = (Arc::clone(&view), path.clone());
    off_the_loop(move || archive(&looked_at.0).file(&looked_at.1).map(drop)).await?;
    let mut outcome = delete_recordings(&app, view, vec![path], vec![begins]).await?;
    match outcome.pop() {
        Some(DeletedFile { refused: None, .. }) => Ok(StatusCode::NO_CONTENT),
        Some(DeletedFile { refused: Some(refusal), .. }) => Err(ClientError::Refused(refusal).into()),
        None => Err(Error::Unexpected),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteMany {
    paths: Vec<String>,
    /// As the entry of each path had it, in their order.
    #[serde(default)]
    begins: Vec<Option<String>>,
}

#[derive(Serialize)]
struct Deleted {
    deleted: Vec<String>,
    failed: Vec<NotDeleted>,
}

#[derive(Serialize)]
struct NotDeleted {
    path: String,
    detail: String,
}

async fn delete_bulk(State(app): State<App>, body: JsonBody) -> Result<Response, Error> {
    let DeleteMany { paths, begins } = body.parse()?;
    if paths.is_empty() || paths.len() > MOST_DELETED {
        let detail =
            format!("{} files cannot be deleted at once: give 1 to {MOST_DELETED} paths", paths.len());
        return Err(Error::invalid("paths", detail));
    }
    if begins.len() > paths.len() {
        return Err(Error::invalid("begins", "there are more beginnings than paths: give one for each"));
    }
    let mut checked = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        // What is handed to the engine has the form that was checked; with a slash at the end it would not.
        let detail = match RelPath::parse(path) {
            Ok(path_of_file) if path_of_file.as_str() == path && !path.is_empty() => {
                checked.push(path_of_file);
                continue;
            }
            Ok(_) => format!("{path:?} is not the path of a file"),
            Err(error) => error.to_string(),
        };
        return Err(Error::invalid(&format!("paths[{index}]"), detail));
    }
    let mut told = Vec::new();
    for (index, begins) in begins.iter().enumerate() {
        let field = format!("begins[{index}]");
        told.push(begins.as_ref().map(|begins| begins::parse(&field, begins)).transpose()?);
    }
    let view = app.engine.view()?;
    let mut answer = Deleted { deleted: Vec::new(), failed: Vec::new() };
    for DeletedFile { path, refused } in delete_recordings(&app, view, checked, told).await? {
        match refused {
            None => answer.deleted.push(path),
            Some(Refusal { detail, .. }) => answer.failed.push(NotDeleted { path, detail }),
        }
    }
    Ok(json(answer))
}

async fn delete_recordings(
    app: &App,
    view: Arc<View>,
    paths: Vec<RelPath>,
    told: Vec<Option<Beginning>>,
) -> Result<Vec<DeletedFile>, Error> {
    let (paths, meant, mut outcome) = off_the_loop(move || {
        let of_mirror = mirror(&view).map(Archive::new);
        let (mut asked, mut meant, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
        for (at, path) in paths.iter().enumerate() {
            let told = told.get(at).copied().flatten();
            let told = told.or_else(|| begins::of_path(of_mirror.as_ref()?, path));
            if told.is_none() && of_mirror.is_some() {
                unknown.push(unknown_there(path));
                continue;
            }
            asked.push(path.as_str().to_owned());
            meant.push(told);
        }
        Ok((asked, if meant.iter().all(Option::is_none) { Vec::new() } else { meant }, unknown))
    })
    .await?;
    if paths.is_empty() {
        return Ok(outcome);
    }
    // Nobody has an account yet: whoever reaches the page may delete.
    let who = "the web page".to_owned();
    match app.engine.ask(Request::DeleteRecordings { paths, who, meant }).await? {
        Reply::Deleted(deleted) => {
            outcome.extend(deleted);
            Ok(outcome)
        }
        _ => Err(Error::Unexpected),
    }
}

/// The archive may come back in this moment, with another recording of the same name.
fn unknown_there(path: &RelPath) -> DeletedFile {
    let path = path.as_str().to_owned();
    let detail = format!(
        "`{path}` is shown on the mirror and has no gap ledger there that tells which recording it is, so it is not deleted; wait until the \
         archive's volume is back"
    );
    DeletedFile { path, refused: Some(Refusal { kind: RefusalKind::Conflict, detail }) }
}
