//! What comes in: path and query parts and JSON bodies, each refused with a problem document.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::app::App;
use crate::error::Error;

/// The longest body that is taken, in bytes.
pub(crate) const MAX_BODY: usize = 1 << 20;

/// The path's variable part, percent-decoded once.
pub(crate) struct UrlPath(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for UrlPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        Path::<String>::from_request_parts(parts, state)
            .await
            .map(|Path(part)| Self(part))
            .map_err(|rejection| Error::Unreadable(format!("the address cannot be read: {rejection}")))
    }
}

/// The query's parameters.
pub(crate) struct UrlQuery<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for UrlQuery<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        Query::<T>::from_request_parts(parts, state).await.map(|Query(value)| Self(value)).map_err(
            |rejection| Error::Unreadable(format!("the query cannot be read: {}", rejection.body_text())),
        )
    }
}

/// A body that says that it is JSON, not parsed yet.
pub(crate) struct JsonBody(Bytes);

impl FromRequest<App> for JsonBody {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self, Error> {
        // A form or a text of another site's page needs no permission to be sent; JSON does (Fetch §2.2.1).
        let json =
            request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(
                |value| {
                    let essence = value.split(';').next().unwrap_or_default().trim();
                    essence.eq_ignore_ascii_case("application/json")
                },
            );
        if !json {
            return Err(Error::NotJson);
        }
        let read = timeout(app.body_patience, Bytes::from_request(request, app)).await;
        let read = read.map_err(|_| Error::Slow(app.body_patience))?;
        read.map(Self).map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(cause)
                if cause.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE =>
            {
                Error::TooLong(MAX_BODY)
            }
            other => Error::Unreadable(format!("the body cannot be read: {other}")),
        })
    }
}

impl JsonBody {
    /// The value, or an error that names the field.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let mut reader = serde_json::Deserializer::from_slice(&self.0);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let syntax = error.inner().is_syntax() || error.inner().is_eof();
            named(&error.path().to_string(), &error.inner().to_string(), syntax)
        })?;
        reader.end().map_err(|error| named(".", &error.to_string(), true))?;
        Ok(value)
    }
}

/// A value out of JSON that is parsed already, or an error that names the field.
pub(crate) fn from_json<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Error> {
    serde_path_to_error::deserialize(value)
        .map_err(|error| named(&error.path().to_string(), &error.inner().to_string(), false))
}

fn named(path: &str, cause: &str, syntax: bool) -> Error {
    if syntax {
        return Error::Unreadable(format!("the body is not JSON: {cause}"));
    }
    // serde names a missing field in its message only, since its path does not exist.
    let missing = cause.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    let field = match (path, missing) {
        (".", None) => None,
        (".", Some(name)) => Some(name.to_owned()),
        (path, Some(name)) => Some(format!("{path}.{name}")),
        (path, None) => Some(path.to_owned()),
    };
    let detail = match &field {
        Some(field) => format!("the field `{field}` is not right: {cause}"),
        None => format!("the body is not right: {cause}"),
    };
    Error::Invalid { field, detail }
}

/// JSON out.
pub(crate) fn json<T: Serialize>(value: T) -> Response {
    Json(value).into_response()
}

/// A header's value out of text that this program made. What a header cannot carry becomes an empty value.
pub(crate) fn header(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}
