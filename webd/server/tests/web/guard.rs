//! Who may ask at all, what every answer carries, and the page.

use audyn_webd::app::App;
use audyn_webd::page::PageFile;
use axum::http::Method;

use crate::common::{Harness, call};

#[tokio::test]
async fn only_a_loopback_host_is_answered_on_any_route() {
    let harness = Harness::new().await;
    for path in ["/", "/api/recorders", "/api/none", "/ws/levels", "/assets/x.js", "/api/assets/download/x"] {
        for host in
            ["evil.example", "evil.example:8080", "192.0.2.1:8080", "127.0.0.1.evil.example", "[2001:db8::1]"]
        {
            harness.get_with(path, &[("host", host)]).await.problem(421);
        }
        for bad in ["", "a b", "user@127.0.0.1", "127.0.0.1:x"] {
            harness.get_with(path, &[("host", bad)]).await.problem(400);
        }
        harness.get_with(path, &[("host", "127.0.0.1"), ("host", "evil.example")]).await.problem(400);
    }
    for host in ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080"] {
        assert_eq!(harness.get_with("/api/recorders", &[("host", host)]).await.status, 200, "{host}");
    }
    // An absolute target names the host too, and it is the one that counts (RFC 9112 §3.2.2).
    harness.get_with("http://evil.example/api/recorders", &[("host", "127.0.0.1")]).await.problem(421);
    assert_eq!(
        harness.get_with("http://127.0.0.1/api/recorders", &[("host", "127.0.0.1")]).await.status,
        200
    );
}

#[tokio::test]
async fn another_sites_page_gets_nothing_and_changes_nothing() {
    let harness = Harness::new().await;
    let foreign = ["http://evil.example", "http://127.0.0.1:9999", "http://127.0.0.1", "null", "file://", ""];
    for origin in foreign.into_iter().filter(|origin| !origin.is_empty()) {
        for path in ["/api/recorders", "/ws/levels", "/"] {
            harness.get_with(path, &[("origin", origin)]).await.problem(403);
        }
        let headers = [("origin", origin)];
        harness.send(Method::POST, "/api/recorders/r1/stop", &headers, "").await.problem(403);
    }
    for site in ["cross-site", "same-site", "rubbish"] {
        let headers = [("sec-fetch-site", site)];
        harness.send(Method::POST, "/api/recorders/stop-all", &headers, "").await.problem(403);
        harness.send(Method::DELETE, "/api/assets/file/x.wav", &headers, "").await.problem(403);
        harness.send(Method::PUT, "/api/recorders/active-count/1", &headers, "").await.problem(403);
        // A link on another page may lead here.
        assert_eq!(harness.get_with("/", &headers).await.status, 200);
    }
    assert_eq!(harness.asked(), []);
    for headers in [
        &[("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")][..],
        &[("sec-fetch-site", "none")],
        &[("host", "localhost:5173"), ("origin", "http://localhost:5173")],
        &[],
    ] {
        assert_eq!(harness.send(Method::POST, "/api/recorders/r1/stop", headers, "").await.status, 200);
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let harness = Harness::new().await;
    harness.file("r1/a.wav", b"abc");
    for path in
        ["/", "/api/recorders", "/api/none", "/no.file", "/api/assets/download/r1/a.wav", "/ws/levels"]
    {
        for host in ["127.0.0.1", "evil.example"] {
            let answer = harness.get_with(path, &[("host", host)]).await;
            let policy = answer.header("content-security-policy");
            assert!(
                policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"),
                "{policy}"
            );
            assert!(!policy.contains("unsafe-eval"), "{policy}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert_eq!(answer.header("referrer-policy"), "no-referrer");
            assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
            assert_ne!(answer.header("cache-control"), "", "{path}");
        }
    }
    assert_eq!(harness.get("/api/recorders").await.header("cache-control"), "no-store");
    assert_eq!(harness.get("/api/recorders").await.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn what_is_not_there_is_a_problem() {
    let harness = Harness::new().await;
    for path in [
        "/api",
        "/api/",
        "/api/none",
        "/api/recorders/r1/none",
        "/api/v2/recorders",
        "/ws",
        "/ws/",
        "/ws/none",
        "/api/assets",
        "/api/assets/download/",
        "/api/control",
        "/none.js",
        "/a/b.css",
    ] {
        harness.get(path).await.problem(404);
    }
    harness.call(Method::POST, "/api/none").await.problem(404);
    harness.call(Method::POST, "/").await.problem(405);
    harness.call(Method::OPTIONS, "/api/recorders").await.problem(405);
}

fn page(path: &str) -> Option<PageFile> {
    let (text, media_type) = match path {
        "index.html" => ("<html>index", "text/html"),
        "assets/app-1a2b.js" => ("js", "text/javascript"),
        "favicon.svg" => ("<svg/>", "image/svg+xml"),
        _ => return None,
    };
    Some(PageFile { bytes: text.as_bytes().into(), media_type: media_type.to_owned(), etag: "e1".to_owned() })
}

async fn get(app: &App, path: &str, headers: &[(&str, &str)]) -> crate::common::Answer {
    call(app.router(), Method::GET, path, headers, "").await
}

#[tokio::test]
async fn the_page_is_served_with_its_routes() {
    let harness = Harness::new().await;
    let mut app = harness.app.clone();
    app.page = page;
    for path in ["/", "/index.html", "/recorders", "/recorders/r1/", "/files/a/b", "/apiary"] {
        let answer = get(&app, path, &[]).await;
        assert_eq!((answer.status.as_u16(), &answer.bytes[..]), (200, &b"<html>index"[..]), "{path}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "no-cache");
        assert_eq!(answer.header("etag"), "\"e1\"");
    }
    let script = get(&app, "/assets/app-1a2b.js", &[]).await;
    assert_eq!(script.header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(script.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(get(&app, "/favicon.svg", &[]).await.header("content-type"), "image/svg+xml");
    assert_eq!(get(&app, "/", &[("if-none-match", "\"e0\", \"e1\"")]).await.status, 304);
    assert_eq!(get(&app, "/", &[("if-none-match", "\"e0\"")]).await.status, 200);
    for path in ["/assets/none.js", "/../Cargo.toml", "/%2e%2e/Cargo.toml", "/assets/../../Cargo.toml"] {
        get(&app, path, &[]).await.problem(404);
    }
}

#[tokio::test]
async fn without_a_built_page_it_says_how_to_build_it() {
    let harness = Harness::new().await;
    let mut app = harness.app.clone();
    app.page = |_| None;
    for path in ["/", "/index.html", "/recorders"] {
        let answer = get(&app, path, &[]).await;
        let text = String::from_utf8(answer.bytes.clone()).unwrap();
        assert_eq!(answer.status, 200);
        assert!(text.contains("npm run build") && text.contains("cargo build"), "{text}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    get(&app, "/assets/app.js", &[]).await.problem(404);
}
