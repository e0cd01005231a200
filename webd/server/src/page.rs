//! The page's files, built by Vite and embedded by the compiler.
//!
//! Without a built page the Rust half builds all the same and serves a page that says how to build it.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use crate::error::Error;
use crate::extract;

#[derive(RustEmbed)]
#[folder = "../ui/dist"]
#[allow_missing = true]
struct Dist;

/// One file of the page.
#[derive(Debug, Clone)]
pub struct PageFile {
    /// Its bytes.
    pub bytes: Cow<'static, [u8]>,
    /// Its media type.
    pub media_type: String,
    /// A validator that changes with the bytes.
    pub etag: String,
}

/// Finds a file of the page by its path without the leading slash.
pub type Lookup = fn(&str) -> Option<PageFile>;

/// The files that were built in.
pub fn embedded(path: &str) -> Option<PageFile> {
    let file = Dist::get(path)?;
    let hash = file.metadata.sha256_hash();
    let etag = hash[..12].iter().map(|byte| format!("{byte:02x}")).collect();
    Some(PageFile { bytes: file.data, media_type: file.metadata.mimetype().to_owned(), etag })
}

const INDEX: &str = "index.html";

/// Answers a GET that is no program's: a file of the page, or for an address that the page's own router knows
/// (one without a dot in its last part) the page itself.
pub(crate) fn serve(lookup: Lookup, path: &str, headers: &HeaderMap) -> Response {
    let wanted = path.trim_start_matches('/');
    let wanted = if wanted.is_empty() { INDEX } else { wanted };
    if let Some(file) = lookup(wanted) {
        return send(file, wanted, headers);
    }
    if wanted.rsplit('/').next().is_some_and(|last| last.contains('.')) && wanted != INDEX {
        return Error::NotFound(format!("the page has no file {path}")).into_response();
    }
    match lookup(INDEX) {
        Some(file) => send(file, INDEX, headers),
        None => {
            let headers =
                [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
            (StatusCode::OK, headers, HOW_TO_BUILD).into_response()
        }
    }
}

fn send(file: PageFile, path: &str, headers: &HeaderMap) -> Response {
    // Vite puts a hash of the content into the names below assets/, so what such a name means never changes.
    let cache = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let etag = format!("\"{}\"", file.etag);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut response = if known.is_some_and(|known| known.split(',').any(|one| one.trim() == etag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        file.bytes.into_response()
    };
    let headers = response.headers_mut();
    let media_type = match file.media_type.as_str() {
        text @ ("text/html" | "text/css" | "text/javascript") => format!("{text}; charset=utf-8"),
        other => other.to_owned(),
    };
    headers.insert(header::CONTENT_TYPE, extract::header(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::ETAG, extract::header(etag));
    response
}

const HOW_TO_BUILD: &str = include_str!("how_to_build.html");
