//! What stands before every route: who may ask at all, and the headers that every answer carries.
//!
//! While the server is bound to loopback, its enemy is another site's page in the same browser:
//!
//! - *DNS rebinding.* A page's own name is made to resolve to 127.0.0.1, and its scripts are then of one origin
//!   with us. The `Host` header still has that name, so anything but a loopback name is refused (421).
//! - *Cross-site requests.* A page may send forms, images and WebSocket handshakes here without asking. Browsers
//!   mark them: an `Origin` that is not our `Host`, and for a changing method a `Sec-Fetch-Site` other than
//!   `same-origin` or `none`, is refused (403).
//!
//! Programs such as curl send neither header and are let through: they aren't a browser that someone else drives.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::Error;

/// Everything comes from here, nothing stands inline: the page's styles are files, Vuetify's colours among them.
const POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";

const ON_EVERY_ANSWER: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The middleware: checks, then the route, then the headers.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    let mut response = match check(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in ON_EVERY_ANSWER {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // State is stale at once; whoever may be cached says so itself.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn check(request: &Request) -> Result<(), Error> {
    let host = host(request)?;
    if !is_loopback(&host) {
        return Err(Error::ForeignHost(host.to_string()));
    }
    check_origin(request.headers(), &host)?;
    if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        check_site(request.headers())?;
    }
    Ok(())
}

/// Whom the client believes that it talks to (RFC 9112 §3.2: exactly one `Host`; an absolute target must agree).
fn host(request: &Request) -> Result<Authority, Error> {
    let mut all = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (all.next(), all.next()) else {
        return Err(Error::Unreadable("the request must have exactly one Host header".to_owned()));
    };
    let unreadable = || Error::Unreadable("the Host header cannot be read".to_owned());
    let host: Authority = host.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(unreadable)?;
    let bare = host.as_str() == host.host();
    if host.as_str().contains('@') || !(bare || host.port_u16().is_some()) {
        return Err(unreadable());
    }
    match request.uri().authority() {
        Some(target) if !target.as_str().eq_ignore_ascii_case(host.as_str()) => {
            Err(Error::ForeignHost(target.to_string()))
        }
        _ => Ok(host),
    }
}

/// Names that no DNS server can point elsewhere (RFC 6761 §6.3), and the loopback addresses.
fn is_loopback(host: &Authority) -> bool {
    let name = host.host();
    if let Some(v6) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return v6.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback());
    }
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

fn check_origin(headers: &HeaderMap, host: &Authority) -> Result<(), Error> {
    for origin in headers.get_all(header::ORIGIN) {
        let text = origin.to_str().unwrap_or("unreadable");
        let site = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        if !site.is_some_and(|site| site.eq_ignore_ascii_case(host.as_str())) {
            return Err(Error::ForeignOrigin(text.to_owned()));
        }
    }
    Ok(())
}

fn check_site(headers: &HeaderMap) -> Result<(), Error> {
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(other) => Err(Error::ForeignOrigin(String::from_utf8_lossy(other).into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(host: &str) -> bool {
        is_loopback(&host.parse().unwrap())
    }

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for ours in
            ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:8080", "127.9.9.9:1", "[::1]:8080"]
        {
            assert!(loopback(ours), "{ours}");
        }
        for theirs in [
            "evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "192.0.2.1",
            "0.0.0.0:8080",
            "[::]:8080",
            "[2001:db8::1]",
            "[::ffff:192.0.2.1]",
            "2130706433",
        ] {
            assert!(!loopback(theirs), "{theirs}");
        }
    }
}
