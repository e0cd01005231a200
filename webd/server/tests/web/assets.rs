//! `/api/assets`: lists, downloads, deletions, and the ways out of the archive that must not exist.

use std::os::unix::fs::symlink;

use audyn_api::{Request, VolumeSnapshot, VolumeStanding};
use axum::http::Method;
use serde_json::{Value, json};

use crate::common::{Answer, Harness};

/// A 16-bit mono WAV of 44.1 kHz with so many frames, as RIFF lays it down.
fn wav(frames: u32) -> Vec<u8> {
    let data = frames * 2;
    let mut bytes = Vec::new();
    bytes.extend_from_slice(b"RIFF");
    bytes.extend_from_slice(&(36 + data).to_le_bytes());
    bytes.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend_from_slice(&44_100u32.to_le_bytes());
    bytes.extend_from_slice(&88_200u32.to_le_bytes());
    bytes.extend_from_slice(b"\x02\0\x10\0data");
    bytes.extend_from_slice(&data.to_le_bytes());
    bytes.resize(44 + data as usize, 7);
    bytes
}

async fn archive() -> Harness {
    let harness = Harness::new().await;
    harness.file("r1/2026-01-10-13.wav", &wav(66_150));
    harness.file("r1/now.wav", &wav(0));
    harness.file("r1/now.wav.gaps.jsonl", b"{}\n");
    harness.file("r1/.partial", b"p");
    harness.file("r2/2026/01/10/a b%2e#ü.wav", &wav(441));
    harness.file("r2/page.html", b"<script>alert(1)</script>");
    harness
}

fn names(list: &Value) -> Vec<&str> {
    list["entries"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn directories_and_files_are_listed() {
    let harness = archive().await;
    let root = harness.get("/api/assets/browse").await.json();
    assert_eq!((&root["path"], &root["parent"], &root["total"]), (&json!(""), &Value::Null, &json!(2)));
    assert_eq!(names(&root), ["r2", "r1"]);
    assert_eq!(root["entries"][0]["type"], "directory");
    assert_eq!(root["entries"][0]["path"], "r2");

    let list = harness.get("/api/assets/browse/?path=r1/").await.json();
    assert_eq!((&list["path"], &list["parent"]), (&json!("r1"), &json!("")));
    assert_eq!(names(&list), ["now.wav", "2026-01-10-13.wav"]);
    let mut hour = list["entries"][1].clone();
    let modified = hour.as_object_mut().unwrap().remove("modified").unwrap();
    assert!(modified.as_str().unwrap().ends_with('Z'), "{modified}");
    assert_eq!(
        hour,
        json!({
            "name": "2026-01-10-13.wav", "path": "r1/2026-01-10-13.wav", "type": "file", "size": 132_344,
            "duration_seconds": 1.5, "recording": false, "format": "wav",
        })
    );
    assert_eq!(list["entries"][0]["recording"], true);

    let page = harness.get("/api/assets/browse?path=r1&offset=1&limit=5").await.json();
    assert_eq!((names(&page), &page["total"]), (vec!["2026-01-10-13.wav"], &json!(2)));
    harness.get("/api/assets/browse?path=r3").await.problem(404);
    harness.get("/api/assets/browse?path=r1/now.wav").await.problem(404);
    harness.get("/api/assets/browse?offset=x").await.problem(400);
}

#[tokio::test]
async fn a_studio_sees_its_recorders_directories_only() {
    let harness = archive().await;
    let browse = async |query: &str| harness.get(&format!("/api/assets/browse?{query}")).await;
    assert_eq!(names(&browse("studio_id=blue").await.json()), ["r1"]);
    assert_eq!(names(&browse("studio_id=nobody").await.json()), [""; 0]);
    assert_eq!(names(&browse("studio_id=").await.json()).len(), 2);
    assert_eq!(browse("studio_id=blue&path=r1").await.json()["total"], 2);
    browse("studio_id=blue&path=r2").await.problem(404);
    let found = harness.get("/api/assets/search?q=.wav&studio_id=blue").await.json();
    assert_eq!(names(&found), ["now.wav", "2026-01-10-13.wav"]);
}

#[tokio::test]
async fn files_are_found_by_words_of_their_path() {
    let harness = archive().await;
    let search = async |query: &str| harness.get(&format!("/api/assets/search?q={query}")).await;
    let found = search("WAV+2026").await.json();
    assert_eq!(names(&found), ["a b%2e#ü.wav", "2026-01-10-13.wav"]);
    assert_eq!(found["entries"][0]["path"], "r2/2026/01/10/a b%2e#ü.wav");
    assert_eq!(found["entries"][0]["duration_seconds"], 0.01);
    assert_eq!(found["truncated"], false);
    assert_eq!(names(&search("gaps").await.json()), [""; 0]);
    for nothing in ["", "+", "%20"] {
        assert_eq!(search(nothing).await.problem(422)["field"], "q");
    }
    harness.get("/api/assets/search").await.problem(422);
}

#[tokio::test]
async fn the_archive_is_counted() {
    let harness = archive().await;
    let stats = harness.get("/api/assets/stats").await.json();
    assert_eq!(
        stats,
        json!({
            "total_files": 4, "total_bytes": 132_344 + 44 + 926 + 25, "free_bytes": 600, "volume_bytes": 1000,
            "recorders": { "r1": { "files": 2, "bytes": 132_388 }, "r2": { "files": 2, "bytes": 951 } },
            "truncated": false,
        })
    );
}

#[tokio::test]
async fn a_file_is_downloaded_whole() {
    let harness = archive().await;
    let bytes = wav(66_150);
    let answer = harness.get("/api/assets/download/r1/2026-01-10-13.wav").await;
    assert_eq!((answer.status.as_u16(), &answer.bytes), (200, &bytes));
    assert_eq!(answer.header("content-type"), "audio/wav");
    assert_eq!(answer.header("content-length"), "132344");
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert_eq!(answer.header("content-disposition"), "inline; filename=\"2026-01-10-13.wav\"");
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    assert!(answer.header("last-modified").ends_with(" GMT"));

    let head = harness.call(Method::HEAD, "/api/assets/download/r1/2026-01-10-13.wav").await;
    assert_eq!((head.header("content-length"), head.bytes.len()), ("132344", 0));
    let saved = harness.get("/api/assets/download/r1/2026-01-10-13.wav?save=1").await;
    assert!(saved.header("content-disposition").starts_with("attachment;"));
    let odd = harness.get("/api/assets/download/r2/2026/01/10/a%20b%252e%23%C3%BC.wav").await;
    assert_eq!((odd.status.as_u16(), odd.bytes.len()), (200, 926));

    // Not listed, yet there for who knows it; and what is no audio is never shown as a page of ours.
    let ledger = harness.get("/api/assets/download/r1/now.wav.gaps.jsonl").await;
    assert_eq!((ledger.status.as_u16(), &ledger.bytes[..]), (200, &b"{}\n"[..]));
    let page = harness.get("/api/assets/download/r2/page.html?save=0").await;
    assert_eq!(page.header("content-type"), "application/octet-stream");
    assert!(page.header("content-disposition").starts_with("attachment;"));
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    for nothing in ["r1/nothing.wav", "r1", "r1/", "r1/now.wav/x", "nothing/x.wav"] {
        harness.get(&format!("/api/assets/download/{nothing}")).await.problem(404);
    }
    harness.call(Method::POST, "/api/assets/download/r1/now.wav").await.problem(405);
}

#[tokio::test]
async fn parts_of_a_file_are_downloaded() {
    let harness = archive().await;
    let path = "/api/assets/download/r1/2026-01-10-13.wav";
    let bytes = wav(66_150);
    let range = async |range: &str| harness.get_with(path, &[("range", range)]).await;
    let check = |answer: &Answer, first: usize, last: usize| {
        assert_eq!(answer.status, 206);
        assert_eq!(answer.bytes, bytes[first..=last]);
        assert_eq!(answer.header("content-range"), format!("bytes {first}-{last}/132344"));
        assert_eq!(answer.header("content-length"), (last - first + 1).to_string());
    };
    check(&range("bytes=0-43").await, 0, 43);
    check(&range("bytes=44-").await, 44, 132_343);
    check(&range("bytes=-4").await, 132_340, 132_343);
    check(&range("bytes=132343-999999").await, 132_343, 132_343);
    for beyond in ["bytes=132344-", "bytes=999999-1000000", "bytes=-0"] {
        let answer = range(beyond).await;
        answer.problem(416);
        assert_eq!(answer.header("content-range"), "bytes */132344");
    }
    for ignored in ["bytes=5-2", "bytes=x", "bytes=0-1,4-5", "seconds=0-1"] {
        assert_eq!(range(ignored).await.status, 200, "{ignored}");
    }
}

#[tokio::test]
async fn conditions_are_kept() {
    let harness = archive().await;
    let path = "/api/assets/download/r1/now.wav";
    let first = harness.get(path).await;
    let (etag, date) = (first.header("etag").to_owned(), first.header("last-modified").to_owned());
    let with = async |headers: &[(&str, &str)]| harness.get_with(path, headers).await;
    let same = with(&[("if-none-match", &etag)]).await;
    assert_eq!((same.status.as_u16(), same.bytes.len(), same.header("etag")), (304, 0, &etag[..]));
    assert_eq!(with(&[("if-modified-since", &date)]).await.status, 304);
    assert_eq!(with(&[("range", "bytes=0-3"), ("if-range", &etag)]).await.status, 206);
    assert_eq!(with(&[("range", "bytes=0-3"), ("if-range", &date)]).await.status, 200);

    // It grows: the part that a client has is of another state now.
    harness.file("r1/now.wav", &wav(10));
    assert_eq!(with(&[("if-none-match", &etag)]).await.status, 200);
    let whole = with(&[("range", "bytes=0-3"), ("if-range", &etag)]).await;
    assert_eq!((whole.status.as_u16(), whole.bytes.len()), (200, 64));
    with(&[("if-match", &etag)]).await.problem(412);
}

/// Ways out of the archive as they arrive in an address. None may end in a file's bytes.
const ESCAPES: &[&str] = &[
    "../secret.wav",
    "r1/../../secret.wav",
    "..%2fsecret.wav",
    "..%2Fsecret.wav",
    "%2e%2e/secret.wav",
    "%2e%2e%2fsecret.wav",
    "r1/%2e%2e/%2e%2e/secret.wav",
    "r1/..%2f..%2fsecret.wav",
    "%252e%252e%252fsecret.wav",
    "..%252fsecret.wav",
    "..%5csecret.wav",
    "r1%5c..%5c..%5csecret.wav",
    "..%c0%afsecret.wav",
    "%c0%ae%c0%ae/secret.wav",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "//etc/passwd",
    "./../secret.wav",
    "r1/./now.wav",
    "r1//now.wav",
    "r1/now.wav%00",
    "r1/now.wav%00.txt",
    "%00",
    "r1/%0a",
    "link/secret.wav",
    "r1/link.wav",
    "inside/now.wav",
    "proc/self/environ",
    "..;/secret.wav",
    "...//secret.wav",
];

#[tokio::test]
async fn nothing_leads_out_of_the_archive() {
    let harness = archive().await;
    let secret = harness.dir.path().join("secret.wav");
    std::fs::write(&secret, "secret").unwrap();
    symlink(harness.dir.path(), harness.archive().join("link")).unwrap();
    symlink(&secret, harness.archive().join("r1/link.wav")).unwrap();
    symlink("r1", harness.archive().join("inside")).unwrap();
    symlink("/proc", harness.archive().join("proc")).unwrap();
    for escape in ESCAPES {
        for address in [
            format!("/api/assets/download/{escape}"),
            format!("/api/assets/browse?path={}", escape.replace('/', "%2f")),
            format!("/api/assets/browse?path={escape}"),
        ] {
            let answer = harness.get(&address).await;
            assert!([400, 404, 422].contains(&answer.status.as_u16()), "{address}: {answer:?}");
            answer.problem(answer.status.as_u16());
        }
        let answer = harness.call(Method::DELETE, &format!("/api/assets/file/{escape}")).await;
        assert!([400, 404, 422].contains(&answer.status.as_u16()), "{escape}: {answer:?}");
    }
    for address in [
        "/api/assets/browse?path=link",
        "/api/assets/browse?path=proc",
        "/api/assets/browse?path=r1/link.wav",
    ] {
        harness.get(address).await.problem(404);
    }
    // Links are not even shown, and the search does not follow them.
    assert_eq!(names(&harness.get("/api/assets/browse").await.json()), ["r2", "r1"]);
    assert_eq!(names(&harness.get("/api/assets/search?q=secret").await.json()), [""; 0]);
    assert_eq!(harness.get("/api/assets/stats").await.json()["total_files"], 4);
    assert_eq!(harness.asked(), []);
    assert!(secret.exists());
}

#[tokio::test]
async fn an_archive_that_is_not_there_is_said() {
    let harness =
        Harness::with(|state| state.config.global.archive_root = "/nonexistent/archive".to_owned()).await;
    for address in ["browse", "search?q=x", "stats", "download/x.wav"] {
        let problem = harness.get(&format!("/api/assets/{address}")).await.problem(500);
        assert!(problem["detail"].as_str().unwrap().contains("/nonexistent/archive"), "{problem}");
    }
}

#[tokio::test]
async fn while_the_archives_volume_is_away_its_mirror_is_read() {
    let volumes = |root: &str, mirror| {
        let of = |root: &str, standing| VolumeSnapshot {
            root: root.to_owned(),
            standing: Some(standing),
            ..VolumeSnapshot::default()
        };
        vec![of("/nonexistent/archive", VolumeStanding::Missing), of(root, mirror)]
    };
    let with = async |mirror| {
        Harness::with(move |state| {
            let root =
                std::mem::replace(&mut state.config.global.archive_root, "/nonexistent/archive".to_owned());
            std::fs::create_dir_all(format!("{root}/r1")).unwrap();
            std::fs::write(format!("{root}/r1/kept.wav"), "audio").unwrap();
            let ledger = r#"{"audyn_ledger":3,"recorder":"r1","file":"kept.wav","first_position":86700,"start_utc":"2026-01-10T14:30:00Z","rate":48000,"channels":1,"bits":24}"#;
            std::fs::write(format!("{root}/r1/kept.wav.gaps.jsonl"), format!("{ledger}\n")).unwrap();
            state.snapshot.volumes = volumes(&root, mirror);
        })
        .await
    };
    let harness = with(VolumeStanding::Ours).await;
    assert_eq!(names(&harness.get("/api/assets/search?q=kept").await.json()), ["kept.wav"]);
    assert_eq!(harness.get("/api/assets/stats").await.json()["total_files"], 1);
    assert_eq!(harness.get("/api/assets/download/r1/kept.wav").await.bytes, b"audio");
    // What is shown of it says which recording it is, and whoever deletes is taken at that word, whatever has its name by then.
    let entries = harness.get("/api/assets/browse?path=r1").await.json();
    assert_eq!(entries["entries"][0]["begins"], "86700@48000");
    let delete = async |query: &str| {
        harness.call(Method::DELETE, &format!("/api/assets/file/r1/kept.wav{query}")).await
    };
    let bulk = async |body: Value| {
        harness.send(Method::POST, "/api/assets/delete-bulk", &[], body.to_string()).await
    };
    delete("?begins=7@96000").await;
    delete("").await;
    let answer = bulk(json!({ "paths": ["r1/kept.wav", "r1/none.wav"], "begins": ["5@48000"] })).await.json();
    assert_eq!(answer["failed"][0]["path"], "r1/none.wav", "nothing tells which recording that is");
    let meant: Vec<Vec<Option<u64>>> = harness
        .asked()
        .into_iter()
        .map(|request| match request {
            Request::DeleteRecordings { meant, .. } => {
                meant.into_iter().map(|meant| meant.map(|beginning| beginning.position.0)).collect()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(meant, [vec![Some(7)], vec![Some(86_700)], vec![Some(5)]]);
    for (body, field) in [
        (json!({ "paths": ["a.wav"], "begins": ["now"] }), "begins[0]"),
        (json!({ "paths": ["a.wav"], "begins": [null, null] }), "begins"),
    ] {
        assert_eq!(bulk(body.clone()).await.problem(422)["field"], field, "{body}");
    }
    assert_eq!(delete("?begins=7").await.problem(422)["field"], "begins");
    with(VolumeStanding::Another).await.get("/api/assets/browse").await.problem(500);
}

#[tokio::test]
async fn one_recording_is_deleted_through_the_engine() {
    let harness = archive().await;
    let delete = async |path: &str| harness.call(Method::DELETE, &format!("/api/assets/file/{path}")).await;
    let gone = delete("r1/2026-01-10-13.wav").await;
    assert_eq!((gone.status.as_u16(), gone.bytes.len()), (204, 0));
    let (paths, who) = (vec!["r1/2026-01-10-13.wav".to_owned()], "the web page".to_owned());
    assert_eq!(harness.asked(), [Request::DeleteRecordings { paths, who, meant: vec![] }]);
    delete("r1/2026-01-10-13.wav").await.problem(404);
    delete("r1").await.problem(404);
    let problem = delete("r1/now.wav").await.problem(409);
    assert!(problem["detail"].as_str().unwrap().contains("being recorded"), "{problem}");
    harness.get("/api/assets/file/r1/now.wav").await.problem(405);
}

#[tokio::test]
async fn many_recordings_are_deleted_and_each_is_answered_for() {
    let harness = archive().await;
    let path = "/api/assets/delete-bulk";
    let send = async |body: Value| harness.send(Method::POST, path, &[], body.to_string()).await;
    let answer = send(json!({ "paths": ["r1/2026-01-10-13.wav", "r1/now.wav", "r1/none.wav"] })).await.json();
    assert_eq!(answer["deleted"], json!(["r1/2026-01-10-13.wav"]));
    assert_eq!(answer["failed"][0]["path"], "r1/now.wav");
    assert!(answer["failed"][0]["detail"].as_str().unwrap().contains("being recorded"));
    assert_eq!(answer["failed"].as_array().unwrap().len(), 2);
    for (body, field) in [
        (json!({ "paths": [] }), "paths"),
        (json!({ "paths": vec!["a"; 1001] }), "paths"),
        (json!({ "paths": "a" }), "paths"),
        (json!({ "paths": [7] }), "paths[0]"),
        (json!({ "path": ["a"] }), "path"),
        (json!({}), "paths"),
        (json!({ "paths": ["a.wav", ""] }), "paths[1]"),
        (json!({ "paths": ["a.wav", "b/"] }), "paths[1]"),
        (json!({ "paths": ["a.wav", "../b"] }), "paths[1]"),
    ] {
        assert_eq!(send(body.clone()).await.problem(422)["field"], field, "{body}");
    }
    assert_eq!(harness.asked().len(), 1);
    harness.get(path).await.problem(405);
}
