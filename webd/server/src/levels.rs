//! `/ws/levels` and `/ws/levels/{id}`: meters, about 30 times a second.
//!
//! ```text
//! upgrade ─▶ send what is known ─▶ ┌ new levels      ─▶ send them; a browser that is behind gets the newest only
//!                                  │ engine gone/back ─▶ say so
//!                                  │ `ping`           ─▶ `pong`
//!                                  │ 20 s passed      ─▶ WebSocket ping; nothing heard for 60 s: drop
//!                                  └ server stops     ─▶ close 1001
//!          a message that the browser doesn't accept in time: drop
//! ```

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use axum::routing::get;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::app::{App, both};
use crate::engine::{Levels, Link};
use crate::error::Error;
use crate::extract::UrlPath;
use crate::{model, recorders};

/// Level sockets open at once, at most; each costs a few kilobytes and 30 messages a second.
const MOST_SOCKETS: usize = 64;

const KEEPALIVE: Duration = Duration::from_secs(20);
const GONE: Duration = Duration::from_secs(60);

/// The longest message that is taken, in bytes: a ping.
const LONGEST_MESSAGE: usize = 1024;

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

pub(crate) fn add_routes(routes: Router<App>) -> Router<App> {
    let routes = both(routes, "/ws/levels", get(all));
    both(routes, "/ws/levels/{id}", get(one))
}

async fn all(State(app): State<App>, upgrade: Upgrade) -> Result<Response, Error> {
    open(&app, upgrade, None)
}

async fn one(State(app): State<App>, UrlPath(id): UrlPath, upgrade: Upgrade) -> Result<Response, Error> {
    // While the engine is away nobody knows its recorders; the socket then waits for it.
    if app.engine.view().is_ok_and(|view| view.recorder(&id).is_none()) {
        return Err(recorders::unknown(&id));
    }
    open(&app, upgrade, Some(id))
}

/// Counts a socket for as long as it lives.
struct Seat(App);

impl Seat {
    fn take(app: &App) -> Result<Self, Error> {
        let taken = app.sockets.fetch_add(1, Ordering::Relaxed);
        let seat = Self(app.clone()); // gives it back below, too
        if taken < MOST_SOCKETS { Ok(seat) } else { Err(Error::TooMany(MOST_SOCKETS)) }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.sockets.fetch_sub(1, Ordering::Relaxed);
    }
}

fn open(app: &App, upgrade: Upgrade, id: Option<String>) -> Result<Response, Error> {
    let upgrade = upgrade.map_err(|_| Error::NotWebSocket)?;
    let seat = Seat::take(app)?;
    let upgrade = upgrade.max_message_size(LONGEST_MESSAGE).max_frame_size(LONGEST_MESSAGE);
    Ok(upgrade.on_upgrade(async move |socket| {
        let meters = Meters { app: &seat.0, socket, id };
        // Whatever ends it, there is nobody left to tell.
        if meters.serve().await.is_err() {
            tracing::debug!("a level socket was dropped");
        }
    }))
}

/// The browser is gone, too slow, or silent.
struct Dropped;

struct Meters<'a> {
    app: &'a App,
    socket: WebSocket,
    id: Option<String>,
}

impl Meters<'_> {
    async fn serve(mut self) -> Result<(), Dropped> {
        let app = self.app;
        let mut levels = app.engine.levels();
        let mut link = app.engine.link();
        let mut keepalive = interval(KEEPALIVE);
        keepalive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let mut connected = true;
        // Both channels have news for a newcomer: what they hold already.
        levels.mark_changed();
        link.mark_changed();
        loop {
            tokio::select! {
                () = app.stop.cancelled() => {
                    let reason = Utf8Bytes::from_static("the server stops");
                    let close = CloseFrame { code: close_code::AWAY, reason };
                    return self.send(Message::Close(Some(close))).await;
                }
                changed = link.changed() => {
                    changed.map_err(|_| Dropped)?;
                    let news = link_news(&link.borrow_and_update(), &mut connected);
                    if let Some(text) = news {
                        self.send(Message::Text(text.into())).await?;
                    }
                }
                changed = levels.changed() => {
                    changed.map_err(|_| Dropped)?;
                    let newest = levels.borrow_and_update().clone();
                    if let Some(text) = newest.and_then(|levels| self.text(&levels)) {
                        self.send(Message::Text(text)).await?;
                    }
                }
                message = self.socket.recv() => {
                    heard = Instant::now();
                    match message.ok_or(Dropped)?.map_err(|_| Dropped)? {
                        Message::Text(text) => {
                            if let Some(answer) = pong(&text) {
                                self.send(Message::Text(Utf8Bytes::from_static(answer))).await?;
                            }
                        }
                        Message::Close(_) => return Ok(()),
                        // Pings are answered by the WebSocket layer; pongs only show that somebody is there.
                        Message::Ping(_) | Message::Pong(_) | Message::Binary(_) => {}
                    }
                }
                _ = keepalive.tick() => {
                    if heard.elapsed() > GONE {
                        return Err(Dropped);
                    }
                    self.send(Message::Ping(axum::body::Bytes::new())).await?;
                }
            }
        }
    }

    fn text(&self, levels: &Levels) -> Option<Utf8Bytes> {
        match &self.id {
            None => {
                Some(levels.all.get_or_init(|| model::all_levels(&levels.view, &levels.frame).into()).clone())
            }
            Some(id) => model::one_recorder_levels(&levels.view, &levels.frame, id).map(Utf8Bytes::from),
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Dropped> {
        match timeout(self.app.socket_patience, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Dropped),
        }
    }
}

/// What to say about the link, if that changed.
fn link_news(link: &Link, connected: &mut bool) -> Option<String> {
    match link {
        Link::Here(_) if *connected => None,
        Link::Here(_) => {
            *connected = true;
            Some(model::engine_news(None))
        }
        Link::Away { .. } if !*connected => None,
        Link::Away { detail, .. } => {
            *connected = false;
            Some(model::engine_news(Some(detail)))
        }
    }
}

/// The answer to a ping, in the words that it came in.
fn pong(text: &str) -> Option<&'static str> {
    if text.trim() == "ping" {
        return Some("pong");
    }
    let message: serde_json::Value = serde_json::from_str(text).ok()?;
    (message.get("type")? == "ping").then_some(r#"{"type":"pong"}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_are_answered_in_kind() {
        assert_eq!(pong("ping"), Some("pong"));
        assert_eq!(pong("ping\n"), Some("pong"));
        assert_eq!(pong(r#"{"type":"ping","t":1}"#), Some(r#"{"type":"pong"}"#));
        for other in ["", "pong", "pings", "{", "null", "[]", r#"{"type":1}"#, r#"{"type":"pong"}"#] {
            assert_eq!(pong(other), None, "{other}");
        }
    }
}
