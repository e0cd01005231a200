//! `/api/assets/stats`: how much there is and how much still fits.
//!
//! Counting walks the whole archive, on the disk that is recorded to, so it is done at most every half minute, by
//! one request at a time.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use tokio::time::Instant;

use crate::app::App;
use crate::error::Error;
use crate::extract::json;

const KEPT: Duration = Duration::from_secs(30);
/// Files that are counted; beyond, the totals are `truncated`.
const MOST_FILES: u64 = 1_000_000;

/// What was counted last.
#[derive(Debug, Clone)]
pub(crate) struct Stats {
    counted: Instant,
    root: String,
    total: Count,
    recorders: BTreeMap<String, Count>,
    truncated: bool,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Count {
    files: u64,
    bytes: u64,
}

impl Count {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    total_files: u64,
    total_bytes: u64,
    /// Room left on the volume, as the engine last saw it.
    free_bytes: u64,
    volume_bytes: u64,
    /// By the first directory of the path, which is the recorder's.
    recorders: &'a BTreeMap<String, Count>,
    /// There are more files than were counted.
    truncated: bool,
}

pub(super) async fn stats(State(app): State<App>) -> Result<Response, Error> {
    let view = app.engine.view()?;
    let root = super::root(&view).to_owned();
    let mut kept = app.stats.lock().await;
    let stats = match kept.take() {
        Some(known) if known.root == root && known.counted.elapsed() < KEPT => known,
        _ => {
            let archive = super::archive(&view);
            super::off_the_loop(move || count(&archive, root)).await?
        }
    };
    let answer = json(Answer {
        total_files: stats.total.files,
        total_bytes: stats.total.bytes,
        free_bytes: view.snapshot.disk.free_bytes,
        volume_bytes: view.snapshot.disk.total_bytes,
        recorders: &stats.recorders,
        truncated: stats.truncated,
    });
    *kept = Some(stats);
    Ok(answer)
}

fn count(archive: &crate::archive::Archive, root: String) -> Result<Stats, Error> {
    let mut total = Count::default();
    let mut recorders: BTreeMap<String, Count> = BTreeMap::new();
    let end = archive.walk(|path, item, _| {
        if total.files == MOST_FILES {
            return ControlFlow::Break(());
        }
        total.add(item.size);
        if let Some((first, _)) = path.split_once('/') {
            match recorders.get_mut(first) {
                Some(known) => known.add(item.size),
                None => recorders.entry(first.to_owned()).or_default().add(item.size),
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(Stats { counted: Instant::now(), root, total, recorders, truncated: end.is_break() })
}
