//! Every error that a request can end in, and the one map to HTTP.
//!
//! An answer is a problem document (RFC 9457): `type`, `title`, `status`, `detail`, and `field` where one field of
//! the request is to blame. `type` is `about:blank` throughout: the status says the kind, `detail` the rest.

use std::time::Duration;

use audyn_api::client::ClientError;
use audyn_api::{Refusal, RefusalKind};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// What can go wrong with a request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A part of the request cannot be read at all.
    #[error("{0}")]
    Unreadable(String),
    /// A value in the request is wrong.
    #[error("{detail}")]
    Invalid {
        /// Which field, if it was one.
        field: Option<String>,
        /// What is wrong with it and what to do.
        detail: String,
    },
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The route exists, but not with this method.
    #[error("this address does not take the method {0}")]
    Method(String),
    /// The body is not JSON.
    #[error("the body must be JSON; send it with `Content-Type: application/json`")]
    NotJson,
    /// The body is too long.
    #[error("the body is longer than the {0} bytes that are taken")]
    TooLong(usize),
    /// The body did not come.
    #[error("the body did not come whole within {} s; send it at once", .0.as_secs_f64())]
    Slow(Duration),
    /// The `Host` header names somebody else.
    #[error("this server does not answer for the host `{0}`; use the address that audyn-webd printed")]
    ForeignHost(String),
    /// Another site's page sent the request.
    #[error("the request comes from another site's page ({0}), which may not talk to this recorder")]
    ForeignOrigin(String),
    /// The range lies behind the file's end.
    #[error("the range lies outside the file's {length} bytes")]
    Range {
        /// Length of the file in bytes.
        length: u64,
    },
    /// A condition (`If-Match`, `If-Unmodified-Since`) does not hold.
    #[error("the file changed since it was last asked for; ask again without the condition")]
    Precondition,
    /// The address takes WebSockets only.
    #[error("this address is a WebSocket; connect to it as one")]
    NotWebSocket,
    /// Too many at once.
    #[error("there are {0} level meters open, which is all that this server serves at once; close some")]
    TooMany(usize),
    /// What is asked for is being done for others.
    #[error("{0}")]
    Busy(&'static str),
    /// The engine's link is down; the status is that of the error that broke it.
    #[error("{detail}")]
    Away {
        /// 503 unless the engine answered something wrong.
        status: StatusCode,
        /// Why.
        detail: String,
    },
    /// A command could not be given, or was refused.
    #[error(transparent)]
    Engine(#[from] ClientError),
    /// The engine answered a request with another request's answer.
    #[error("the engine's answer does not fit the request; are audyn-engine and audyn-webd of one version?")]
    Unexpected,
    /// The report about the running image cannot be used.
    #[error("{0}")]
    Image(String),
    /// The archive cannot be read.
    #[error("{0}")]
    Archive(String),
}

impl Error {
    /// A wrong value.
    pub fn invalid(field: &str, detail: impl Into<String>) -> Self {
        Self::Invalid { field: Some(field.to_owned()), detail: detail.into() }
    }

    /// The one map from errors to HTTP.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unreadable(_) => StatusCode::BAD_REQUEST,
            Self::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::ForeignHost(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::ForeignOrigin(_) => StatusCode::FORBIDDEN,
            Self::Range { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Precondition => StatusCode::PRECONDITION_FAILED,
            Self::NotWebSocket => StatusCode::UPGRADE_REQUIRED,
            Self::TooMany(_) | Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Away { status, .. } => *status,
            Self::Engine(error) => client_status(error),
            Self::Unexpected => StatusCode::BAD_GATEWAY,
            Self::Image(_) | Self::Archive(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// What a failed talk with the engine means to the browser.
pub(crate) fn client_status(error: &ClientError) -> StatusCode {
    match error {
        ClientError::Unreachable { .. } | ClientError::Broken(_) | ClientError::Silent => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ClientError::Protocol(_) | ClientError::Unexpected => StatusCode::BAD_GATEWAY,
        ClientError::Refused(Refusal { kind, .. }) => match kind {
            RefusalKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            RefusalKind::NotFound => StatusCode::NOT_FOUND,
            RefusalKind::Conflict => StatusCode::CONFLICT,
            RefusalKind::Forbidden => StatusCode::FORBIDDEN,
            RefusalKind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            RefusalKind::Version => StatusCode::BAD_GATEWAY,
        },
    }
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        // That the engine is away was logged when it went; an open page asks every second.
        if status.is_server_error() && !matches!(self, Self::Away { .. }) {
            tracing::warn!(%status, error = %self, "a request failed");
        }
        let field = match &self {
            Self::Invalid { field, .. } => field.as_deref(),
            _ => None,
        };
        let problem = Problem {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: self.to_string(),
            field,
        };
        let body = serde_json::to_vec(&problem).expect("strings and numbers are always JSON");
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self {
            Self::Range { length } => {
                headers.insert(header::CONTENT_RANGE, crate::extract::header(format!("bytes */{length}")));
            }
            Self::NotWebSocket => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_status() {
        for (kind, status) in [
            (RefusalKind::Invalid, 422),
            (RefusalKind::NotFound, 404),
            (RefusalKind::Conflict, 409),
            (RefusalKind::Forbidden, 403),
            (RefusalKind::Failed, 500),
            (RefusalKind::Version, 502),
        ] {
            let error = Error::from(ClientError::Refused(Refusal { kind, detail: "because".to_owned() }));
            assert_eq!(error.status().as_u16(), status);
            assert_eq!(error.to_string(), "because");
        }
    }

    #[test]
    fn an_engine_that_is_away_is_503_and_one_that_babbles_is_502() {
        let broken = ClientError::Broken(std::io::ErrorKind::BrokenPipe.into());
        assert_eq!(client_status(&broken).as_u16(), 503);
        assert_eq!(client_status(&ClientError::Silent).as_u16(), 503);
        assert_eq!(client_status(&ClientError::Unexpected).as_u16(), 502);
        assert_eq!(
            client_status(&ClientError::Protocol(audyn_api::frame::FrameError::Undecodable)).as_u16(),
            502
        );
    }
}
