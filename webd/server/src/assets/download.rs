//! `/api/assets/download/{path}`: a file or a part of it (RFC 9110 §13 and §14).
//!
//! A file that is being recorded is served as long as it was when it was opened. Audio is sent to be played
//! where it stands; `?save=1` asks the browser to save it. Everything else in the archive is only ever saved, so
//! that nothing in there can act as a page of ours.

use std::fmt::Write as _;
use std::io::SeekFrom;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use crate::app::App;
use crate::archive::{OpenFile, RelPath};
use crate::error::Error;
use crate::extract::{self, UrlPath, UrlQuery};
use crate::range::Part;
use crate::time::{http_date, parse_http_date};

/// Bytes read at once: large enough that a read is worth its way to the disk's thread.
const CHUNK: usize = 128 * 1024;

#[derive(Deserialize)]
pub(super) struct DownloadQuery {
    save: Option<String>,
}

pub(super) async fn download(
    State(app): State<App>,
    UrlPath(path): UrlPath,
    UrlQuery(query): UrlQuery<DownloadQuery>,
    asked: HeaderMap,
) -> Result<Response, Error> {
    let path = RelPath::parse(&path)?;
    let view = app.engine.view()?;
    let name = path.as_str().rsplit('/').next().unwrap_or_default().to_owned();
    let open = super::off_the_loop(move || super::archive(&view).file(&path)).await?;

    let known = Validators::of(&open);
    let verdict = known.judge(&asked)?;
    let mut headers = HeaderMap::new();
    headers.insert(header::ETAG, extract::header(known.etag.clone()));
    if let Some(date) = http_date(known.modified) {
        headers.insert(header::LAST_MODIFIED, extract::header(date));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if verdict == Verdict::NotModified {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let media_type = media_type(&name);
    let save = query.save.is_some_and(|save| save != "0") || media_type == UNKNOWN;
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CONTENT_DISPOSITION, disposition(save, &name));

    let part = match asked.get(header::RANGE).and_then(|value| value.to_str().ok()) {
        Some(range) if known.holds_for_range(&asked) => Part::asked(range, open.size),
        _ => Part::Whole,
    };
    let (status, first, length) = match part {
        Part::Outside => return Err(Error::Range { length: open.size }),
        Part::Whole => (StatusCode::OK, 0, open.size),
        Part::Bytes { first, last } => {
            let range = format!("bytes {first}-{last}/{}", open.size);
            headers.insert(header::CONTENT_RANGE, extract::header(range));
            (StatusCode::PARTIAL_CONTENT, first, last - first + 1)
        }
    };
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    let mut file = tokio::fs::File::from_std(open.file);
    if first > 0 {
        let sought = file.seek(SeekFrom::Start(first)).await;
        sought.map_err(|error| Error::Archive(format!("{name:?} cannot be read: {error}")))?;
    }
    let body = Body::from_stream(ReaderStream::with_capacity(file.take(length), CHUNK));
    Ok((status, headers, body).into_response())
}

const UNKNOWN: &str = "application/octet-stream";

fn media_type(name: &str) -> &'static str {
    match super::entry::format(name) {
        Some("wav") => "audio/wav",
        Some("flac") => "audio/flac",
        Some("opus") => "audio/ogg; codecs=opus", // RFC 7845 §9
        _ => UNKNOWN,
    }
}

/// RFC 6266: a plain name for old programs, and the true one in RFC 8187's encoding.
fn disposition(save: bool, name: &str) -> HeaderValue {
    let kind = if save { "attachment" } else { "inline" };
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || " .-_()[]".contains(c) { c } else { '_' })
        .collect();
    let mut text = format!("{kind}; filename=\"{plain}\"");
    if plain != name {
        text.push_str("; filename*=UTF-8''");
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                text.push(char::from(byte));
            } else {
                write!(text, "%{byte:02X}").expect("a String takes all that is written");
            }
        }
    }
    extract::header(text)
}

/// What tells this state of the file from another.
struct Validators {
    etag: String,
    /// Seconds since 1970.
    modified: i64,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Send,
    NotModified,
}

impl Validators {
    fn of(file: &OpenFile) -> Self {
        let (seconds, nanos) = file.modified;
        Self {
            etag: format!("\"{:x}-{:x}-{seconds:x}.{nanos:x}\"", file.inode, file.size),
            modified: seconds,
        }
    }

    /// The conditions of a request in the order of RFC 9110 §13.2.2.
    fn judge(&self, asked: &HeaderMap) -> Result<Verdict, Error> {
        let holds = match (text(asked, header::IF_MATCH), date(asked, header::IF_UNMODIFIED_SINCE)) {
            (Some(tags), _) => self.is_among(tags, true),
            (None, Some(since)) => self.modified <= since,
            (None, None) => true,
        };
        if !holds {
            return Err(Error::Precondition);
        }
        let known = match (text(asked, header::IF_NONE_MATCH), date(asked, header::IF_MODIFIED_SINCE)) {
            (Some(tags), _) => self.is_among(tags, false),
            (None, Some(since)) => self.modified <= since,
            (None, None) => false,
        };
        Ok(if known { Verdict::NotModified } else { Verdict::Send })
    }

    fn is_among(&self, tags: &str, strong: bool) -> bool {
        tags.split(',').map(str::trim).any(|tag| {
            let tag = if strong { tag } else { tag.strip_prefix("W/").unwrap_or(tag) };
            tag == "*" || tag == self.etag
        })
    }

    /// Whether `Range` counts: without `If-Range` always, with it only for this very state (§13.1.5). A date is no
    /// proof of that, since a recording changes many times within the second that a date can tell.
    fn holds_for_range(&self, asked: &HeaderMap) -> bool {
        match asked.get(header::IF_RANGE) {
            None => true,
            Some(tag) => tag.as_bytes() == self.etag.as_bytes(),
        }
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<i64> {
    text(headers, name).and_then(parse_http_date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        assert_eq!(disposition(false, "a-1.wav"), "inline; filename=\"a-1.wav\"");
        let odd = disposition(true, "a\"; x=\"ü.wav");
        assert_eq!(
            odd,
            "attachment; filename=\"a__ x___.wav\"; filename*=UTF-8''a%22%3B%20x%3D%22%C3%BC.wav"
        );
    }

    #[test]
    fn conditions() {
        let file = Validators { etag: "\"1-2-3.4\"".to_owned(), modified: 1_768_055_400 };
        let with = |name: HeaderName, value: &str| HeaderMap::from_iter([(name, value.parse().unwrap())]);
        let same = "Sat, 10 Jan 2026 14:30:00 GMT";
        let earlier = "Sat, 10 Jan 2026 14:29:59 GMT";
        for (name, value, status) in [
            (header::IF_MATCH, "\"1-2-3.4\"", 200),
            (header::IF_MATCH, "*", 200),
            (header::IF_MATCH, "W/\"1-2-3.4\"", 412),
            (header::IF_MATCH, "\"other\"", 412),
            (header::IF_UNMODIFIED_SINCE, same, 200),
            (header::IF_UNMODIFIED_SINCE, earlier, 412),
            (header::IF_UNMODIFIED_SINCE, "rubbish", 200),
            (header::IF_NONE_MATCH, "\"other\", W/\"1-2-3.4\"", 304),
            (header::IF_NONE_MATCH, "\"other\"", 200),
            (header::IF_NONE_MATCH, "*", 304),
            (header::IF_MODIFIED_SINCE, same, 304),
            (header::IF_MODIFIED_SINCE, earlier, 200),
        ] {
            let got = match file.judge(&with(name.clone(), value)) {
                Ok(Verdict::Send) => 200,
                Ok(Verdict::NotModified) => 304,
                Err(error) => error.status().as_u16(),
            };
            assert_eq!(got, status, "{name}: {value}");
        }
    }
}
