//! Markers that clients make over the socket.

use audyn_api::client::Client;
use audyn_api::{RefusalKind, Reply, Request};
use audyn_media::archive::{Catalog, State, Wanted};
use audyn_media::{Beneath, markers};
use audyn_units::{FrameIndex, SampleRate, Timestamp, Utc};

use crate::common::{Stream, address};
use crate::socket::{Running, files, id, kind, until_written};

fn wish(recorder: &str, at: Option<Timestamp<Utc>>, text: &str) -> Request {
    Request::Mark { id: id(recorder), at, text: text.to_owned(), who: "anna".to_owned() }
}

async fn mark(client: &mut Client, at: Option<Timestamp<Utc>>, text: &str) -> (FrameIndex, SampleRate) {
    match client.request(wish("a", at, text)).await.unwrap() {
        Reply::Marked { position, rate, .. } => (position, rate),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_place_is_marked_while_it_is_recorded_and_later_and_only_where_something_was() {
    let to = address(95);
    let (sources, recorders) = files(to, &["a".to_owned()]);
    let engine = Running::start_with(&sources, &recorders);
    let mut client = engine.client().await;
    let refused = async |client: &mut Client, request| kind(client.request(request).await);
    assert_eq!(refused(&mut client, wish("a", None, "too early")).await, RefusalKind::NotFound);

    let mut stream = Stream::new(1, to);
    client.request(Request::Start(id("a"))).await.unwrap();
    until_written(&mut client, &mut stream, "a").await;
    let (now, rate) = mark(&mut client, None, "now").await;
    assert_eq!(rate, SampleRate::HZ_48000);
    client.request(Request::Stop(id("a"))).await.unwrap();

    let recorder = engine.dir.path().join("archive/a");
    let segment = loop {
        let hits = Catalog::open(&recorder).unwrap().find(&Wanted::default()).unwrap();
        match hits.into_iter().next() {
            Some(hit) if hit.state == State::Sealed => break hit.segment,
            _ => tokio::task::yield_now().await,
        }
    };
    assert!(segment.start <= now, "a marker of now lies behind the start: {now} {}", segment.start);
    let third = Timestamp::from_nanos(segment.utc_of(FrameIndex(segment.start.0 + 3)));
    assert_eq!(mark(&mut client, Some(third), "third").await.0, FrameIndex(segment.start.0 + 3));

    let long_ago = Some(Timestamp::from_nanos(1_000_000_000_000_000_000));
    for (request, why) in [
        (wish("a", long_ago, "long ago"), RefusalKind::NotFound),
        (wish("b", Some(third), "nobody"), RefusalKind::NotFound),
        (wish("a", Some(third), ""), RefusalKind::Invalid),
        (wish("a", Some(third), "two\nlines"), RefusalKind::Invalid),
    ] {
        assert_eq!(refused(&mut client, request.clone()).await, why, "{request:?}");
    }
    assert!(!engine.dir.path().join("archive/b").exists(), "what is refused makes nothing");
    let kept = markers::read(&Beneath::root(&recorder).unwrap(), FrameIndex(0), FrameIndex(u64::MAX), rate);
    let kept: Vec<_> = kept.unwrap().into_iter().map(|marker| (marker.text, marker.who)).collect();
    let [third, now] = ["third", "now"].map(|text| (text.to_owned(), "anna".to_owned()));
    assert_eq!(kept, [third, now]);
}
