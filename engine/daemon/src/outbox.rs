//! What waits to be written to one client.
//!
//! Owns: the frames and the bound on them. Never: waits, or grows beyond [`MAX_FRAMES`] and [`MAX_BYTES`] a client; what is
//! superseded is dropped first (levels, and snapshots that a newer one follows), so that a burst of events is no reason to part.
//!
//! With the frame that is being written and one answer that [`Outbox::room`] let through, a client costs at most 6 MiB; only
//! configurations of the greatest size come near it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use audyn_api::frame::MAX_BODY;
use tokio::sync::Notify;

use crate::engine::lock;

/// Frames that wait for a client: several times what 64 recorders make when they all start.
pub(crate) const MAX_FRAMES: usize = 1_024;

/// Bytes that wait for a client.
pub(crate) const MAX_BYTES: usize = 4 * MAX_BODY;

/// Below this many frames a client's next request is read.
const FEW_FRAMES: usize = 64;

/// Below this many bytes a client's next request is read.
const FEW_BYTES: usize = MAX_BODY;

pub(crate) type Bytes = Arc<[u8]>;

/// What a frame is to those behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It must come.
    News,
    /// The next snapshot takes its place; that one comes after all news that it knows.
    Snapshot,
    /// The next levels take its place.
    Levels,
}

/// The frames of one client. Clones are the same outbox.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outbox(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    waiting: Mutex<Waiting>,
    filled: Notify,
    emptied: Notify,
    overrun: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<(Kind, Bytes)>,
    bytes: usize,
}

impl Outbox {
    /// Queues a frame. False if the bound is hit; the client is then to be parted from.
    pub(crate) fn push(&self, kind: Kind, frame: Bytes) -> bool {
        let pushed = lock(&self.0.waiting).push(kind, frame);
        if pushed {
            self.0.filled.notify_one();
        } else {
            self.0.overrun.notify_one();
        }
        pushed
    }

    /// Forgets what the client does not want to hear any more.
    pub(crate) fn forget(&self, unwanted: impl Fn(Kind) -> bool) {
        let mut waiting = lock(&self.0.waiting);
        waiting.frames.retain(|(kind, _)| !unwanted(*kind));
        waiting.bytes = waiting.frames.iter().map(|(_, frame)| frame.len()).sum();
    }

    /// The next frame to write. One task asks for it.
    pub(crate) async fn next(&self) -> Bytes {
        loop {
            if let Some(frame) = lock(&self.0.waiting).pop() {
                self.0.emptied.notify_one();
                return frame;
            }
            self.0.filled.notified().await;
        }
    }

    /// Returns when little enough waits for another request to be answered. One task asks for it.
    pub(crate) async fn room(&self) {
        loop {
            {
                let waiting = lock(&self.0.waiting);
                if waiting.frames.len() < FEW_FRAMES && waiting.bytes < FEW_BYTES {
                    return;
                }
            }
            self.0.emptied.notified().await;
        }
    }

    /// Returns when the bound was hit.
    pub(crate) async fn overrun(&self) {
        self.0.overrun.notified().await;
    }
}

impl Waiting {
    fn push(&mut self, kind: Kind, frame: Bytes) -> bool {
        let before = match kind {
            Kind::News => None,
            Kind::Snapshot | Kind::Levels => self.frames.iter().position(|(other, _)| *other == kind),
        };
        let superseded = before.map_or(0, |at| self.frames[at].1.len());
        let bytes = self.bytes - superseded + frame.len();
        if bytes > MAX_BYTES || (before.is_none() && self.frames.len() == MAX_FRAMES) {
            return false;
        }
        self.bytes = bytes;
        match before {
            // Levels keep their place, or a client that is behind would never get any.
            Some(at) if kind == Kind::Levels => self.frames[at].1 = frame,
            Some(at) => {
                self.frames.remove(at);
                self.frames.push_back((kind, frame));
            }
            None => self.frames.push_back((kind, frame)),
        }
        true
    }

    fn pop(&mut self) -> Option<Bytes> {
        let (_, frame) = self.frames.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, length: usize) -> Bytes {
        let mut bytes = vec![0; length];
        bytes[0] = first;
        bytes.into()
    }

    fn firsts(outbox: &Outbox) -> Vec<u8> {
        let mut waiting = lock(&outbox.0.waiting);
        std::iter::from_fn(|| waiting.pop()).map(|frame| frame[0]).collect()
    }

    #[test]
    fn the_newest_levels_and_the_newest_snapshot_come_once_and_news_always() {
        let outbox = Outbox::default();
        for n in 0..100 {
            assert!(outbox.push(Kind::Levels, frame(n, MAX_BODY / 2)));
            assert!(outbox.push(Kind::Snapshot, frame(n, MAX_BODY)));
            assert!(outbox.push(Kind::News, frame(n, 10)));
        }
        let mut expected: Vec<u8> = (0..99).collect();
        expected.insert(0, 99);
        expected.extend([99, 99]);
        assert_eq!(firsts(&outbox), expected, "levels, all news but the last, the snapshot, the last news");
        assert_eq!(lock(&outbox.0.waiting).bytes, 0);
    }

    #[test]
    fn frames_and_bytes_are_bounded() {
        let outbox = Outbox::default();
        assert!((0..MAX_FRAMES).all(|_| outbox.push(Kind::News, frame(0, 1))));
        assert!(!outbox.push(Kind::News, frame(0, 1)));
        assert!(!outbox.push(Kind::Levels, frame(0, 1)));
        let outbox = Outbox::default();
        assert!((0..4).all(|_| outbox.push(Kind::News, frame(0, MAX_BODY))));
        assert!(!outbox.push(Kind::News, frame(0, 1)));
        outbox.forget(|kind| kind == Kind::News);
        assert!(outbox.push(Kind::News, frame(0, 1)));
    }
}
